import CSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// Each safety rule: what sets it off, what it does, and how it ends.
@Suite struct SafetyRuleTests {
  private let second: Nanoseconds = 1_000_000_000

  private func settings(_ change: (inout SafetySettings) -> Void) -> LaneSettings {
    var settings = LaneWorld.settings()
    change(&settings.safety)
    return settings
  }

  private func quoting(seed: UInt64, _ change: (inout SafetySettings) -> Void) throws -> LaneWorld {
    let world = try LaneWorld(seed: seed, settings: settings(change))
    let isQuoting = try world.run(until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    try #require(isQuoting)
    world.recordsRequests = true
    return world
  }

  private func quotesAgain(_ world: LaneWorld, within limit: Nanoseconds = 20_000_000_000) throws {
    let again = try world.run(limit: limit, until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 && $0.block == .none })
    #expect(again, "\(world.block)")
  }

  private func pulled(_ world: LaneWorld, _ block: QuotingBlock, within limit: Nanoseconds = 30_000_000_000) throws {
    let isPulled = try world.run(limit: limit, until: { $0.block == block && $0.quoted == (0, 0) })
    #expect(isPulled, "\(world.block), \(world.quoted)")
  }

  private func changes(_ world: LaneWorld) -> Int {
    world.requests.count { $0.contains("private/insert") || $0.contains("private/amend") }
  }

  /// The text with the number of a member replaced.
  private static func replace(_ member: String, in text: String, by value: String) -> String {
    guard let start = text.firstRange(of: "\"\(member)\":")?.upperBound else { return text }
    let rest = text[start...]
    let end = rest.firstIndex { $0 == "," || $0 == "}" } ?? rest.endIndex
    return text[..<start] + value + text[end...]
  }

  // MARK: - Churn

  @Test func `R45 no more messages of an instrument in a minute than allowed, and cancels go on`() throws {
    let world = try LaneWorld(seed: 31, settings: settings { $0.messagesPerMinute = 60 })
    world.recordsRequests = true
    let held = try world.run(until: { $0.block == .churn })
    #expect(held)
    try world.run(for: 30 * second - world.now)
    let count = changes(world)
    // A bucket of 60 that fills at one a second.
    #expect(count >= 60 && count <= 91, "\(count) in 30 s")
    let cancels = world.lane.core.counters.cancels
    world.pullQuotes()
    try world.run(for: second)
    #expect(world.quoted == (0, 0))
    #expect(world.lane.core.counters.cancels > cancels)
  }

  @Test func `R45 too many messages without a fill pull the quotes for a while, and it counts anew`() throws {
    let world = try quoting(seed: 32) {
      $0.messagesPerFill = 40
      $0.churnPause = 3_000_000_000
    }
    try pulled(world, .churn, within: 120 * second)
    let paused = world.lane.safety.pauseCount
    #expect(paused == 1)
    try quotesAgain(world)
  }

  // MARK: - Refusals

  @Test func `R44 three equal refusals open the breaker, different ones later, and the pause doubles up to its limit`()
  {
    let rules = BreakerRules(SafetySettings())
    var breaker = RejectBreaker()
    var now: Nanoseconds = 1_000_000_000
    for _ in 0..<2 { breaker.note(code: 24, rules: rules, now: now) }
    #expect(breaker.until < now)
    breaker.note(code: 24, rules: rules, now: now)
    #expect(breaker.until == now + 100_000_000 && breaker.code == 24)
    breaker.note(code: 24, rules: rules, now: now)
    #expect(breaker.until == now + 200_000_000)
    for _ in 0..<20 { breaker.note(code: 24, rules: rules, now: now) }
    #expect(breaker.until == now + 5_000_000_000)

    breaker = RejectBreaker()
    now += 60_000_000_000
    for code in [24, 43, 24, 43, 24] as [Int64] { breaker.note(code: code, rules: rules, now: now) }
    #expect(breaker.until < now)
    breaker.note(code: 43, rules: rules, now: now)
    #expect(breaker.until > now)
  }

  @Test func `R44 R62 the breaker names the code, lets one attempt through after its pause, and a hand closes it`()
    throws
  {
    let world = try quoting(seed: 33) {
      $0.rejectCount = 2
      $0.rejectPause = 60_000_000_000
      $0.longestRejectPause = 60_000_000_000
    }
    world.fate = { $0.contains("private/insert") || $0.contains("private/amend") ? .refuse(24) : .pass }
    let open = try world.run(until: { $0.block == .refusedByVenue })
    #expect(open)
    #expect(world.lane.core.refusalCode(0) == 24)
    world.fate = nil
    try world.run(for: 10 * second)
    #expect(world.block == .refusedByVenue)
    world.rearm()
    try quotesAgain(world)
  }

  // MARK: - Stale data

  @Test func `R29 a silent book pulls the quotes until it speaks, although the ticker goes on`() throws {
    let world = try quoting(seed: 34) { $0.bookStaleAfter = 2_000_000_000 }
    world.tamper = { $0.hasPrefix("{\"channel_name\":\"book") ? nil : $0 }
    try pulled(world, .staleBook, within: 4 * second)
    world.tamper = nil
    try quotesAgain(world)
  }

  @Test func `R29 a mark whose time stands still pulls the quotes until it advances`() throws {
    let world = try quoting(seed: 35) { $0.markStaleAfter = 3_000_000_000 }
    world.tamper = {
      $0.hasPrefix("{\"channel_name\":\"ticker") ? Self.replace("mark_timestamp", in: $0, by: "1776715400.5") : $0
    }
    try pulled(world, .staleMark, within: 6 * second)
    world.tamper = nil
    try quotesAgain(world)
  }

  @Test func `R29 an index that does not change pulls the quotes until it does`() throws {
    let world = try quoting(seed: 36) { $0.indexStaleAfter = 4_000_000_000 }
    world.tamper = { $0.hasPrefix("{\"channel_name\":\"ticker") ? Self.replace("index", in: $0, by: "76283.25") : $0 }
    try pulled(world, .staleIndex, within: 8 * second)
    world.tamper = nil
    try quotesAgain(world)
  }

  // MARK: - Clocks

  @Test func `R48 the estimate is the least of a window, and old samples leave it`() throws {
    var clock = ClockOffset()
    #expect(clock.estimate == nil)
    clock.note(arrival: 105, venueTime: 100, now: 0)
    clock.note(arrival: 203, venueTime: 200, now: 1)
    clock.note(arrival: 309, venueTime: 300, now: 2)
    #expect(clock.estimate == 3)
    // Half a minute later the clocks are further apart; the old least still counts.
    clock.note(arrival: 1050, venueTime: 1000, now: 3 * ClockOffset.slotLength)
    #expect(clock.estimate == 3)
    clock.note(arrival: 2060, venueTime: 2000, now: 7 * ClockOffset.slotLength)
    #expect(clock.estimate == 50)
    // After a long silence only what is new counts.
    clock.note(arrival: 3007, venueTime: 3000, now: 100 * ClockOffset.slotLength)
    #expect(clock.estimate == 7)
    clock.note(arrival: 0, venueTime: 500, now: 100 * ClockOffset.slotLength)
    #expect(clock.estimate == -500)
    clock.note(arrival: .min, venueTime: .max, now: 100 * ClockOffset.slotLength)
    #expect(clock.estimate == -500, "what overflows is no time")
  }

  @Test func `R48 clocks that agree are found to do so, to within the network's delay`() throws {
    let world = try LaneWorld(seed: 37, settings: settings { $0.clockOffsetLimit = 2_000_000_000 })
    world.clockError = 0
    let isQuoting = try world.run(until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    #expect(isQuoting)
    try world.run(for: 20 * second)
    let estimate = try #require(world.clockEstimate)
    #expect(estimate >= 100_000 && estimate < 100_000_000, "\(estimate)")
  }

  @Test(arguments: [7_000_000_000, -7_000_000_000] as [Nanoseconds])
  func `R48 with clocks too far apart the start is refused, and no order ever leaves`(error: Nanoseconds) throws {
    let world = try LaneWorld(seed: 38, settings: settings { $0.clockOffsetLimit = 2_000_000_000 })
    world.recordsRequests = true
    world.clockError = error
    let refused = try world.run(until: { $0.isClockRefused })
    #expect(refused)
    try world.run(for: 5 * second)
    #expect(changes(world) == 0)
    #expect(world.block == .clockOff)
  }

  @Test func `R48 a drift while quoting is alerted and widens, and both end with it`() throws {
    let world = try LaneWorld(seed: 39, settings: settings { $0.clockOffsetLimit = 2_000_000_000 })
    world.clockError = 0
    let isQuoting = try world.run(until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    #expect(isQuoting)
    world.clockError = 3_000_000_000
    let drifted = try world.run(limit: 90 * second, until: { $0.level(of: .clockDrift) == .widen })
    #expect(drifted)
    #expect(world.quoted.bids > 0 && world.quoted.asks > 0)
    world.clockError = 0
    let back = try world.run(limit: 30 * second, until: { $0.level(of: .clockDrift) == .none })
    #expect(back)
  }

  // MARK: - Slow answers

  @Test func `R16 slow acknowledgements widen, and narrow again when they are fast`() throws {
    let world = try quoting(seed: 40) {
      $0.slowAckWiden = 500_000_000
      $0.slowAckStop = 1_500_000_000
    }
    world.latency = 400_000_000
    let wide = try world.run(until: { $0.level(of: .slowVenue) == .widen })
    #expect(wide)
    #expect(world.block != .slowVenue)
    world.latency = 100_000
    let narrow = try world.run(until: { $0.level(of: .slowVenue) == .none })
    #expect(narrow)
  }

  @Test func `R16 very slow acknowledgements pull the quotes, and after a pause it is tried again`() throws {
    let world = try quoting(seed: 41) {
      $0.slowAckWiden = 500_000_000
      $0.slowAckStop = 1_500_000_000
      $0.slowAckPause = 4_000_000_000
    }
    world.latency = 1_000_000_000
    let stopped = try world.run(until: { $0.level(of: .slowVenue) == .cancelAll })
    #expect(stopped)
    world.latency = 100_000
    let empty = try world.run(limit: 4 * second, until: { $0.books?.openOrders.isEmpty == true })
    #expect(empty)
    #expect(world.block == .slowVenue)
    try quotesAgain(world)
    #expect(world.level(of: .slowVenue) == .none)
  }

  // MARK: - Toxic flow

  @Test func `R62 so many fills on one side in a short time pull the quotes for a cool-down`() throws {
    let world = try quoting(seed: 42) {
      $0.toxicFills = 3
      $0.toxicWindow = 10_000_000_000
      $0.toxicPause = 4_000_000_000
    }
    try pulled(world, .toxicFlow, within: 240 * second)
    let since = world.now
    try quotesAgain(world)
    #expect(world.now - since > 2 * second)
  }

  @Test func `R62 a mark that moves against a fill pulls the quotes, one that moves with it does not`() throws {
    let world = try quoting(seed: 43) {
      $0.toxicMoveCentiBps = 50
      $0.toxicMoveWindow = 5_000_000_000
      $0.toxicPause = 4_000_000_000
    }
    try pulled(world, .toxicFlow, within: 240 * second)
    try quotesAgain(world, within: 60 * second)

    var known = InstrumentSafety()
    known.lastFill(isBuy: true, at: 10, markE8: 100_000_000_000)
    func moved(_ markE8: Int64, at now: Nanoseconds = 10) -> Bool {
      known.hasMovedAgainst(markE8: markE8, centiBps: 1000, within: 5, now: now)
    }
    // 10 basis points of 1000.
    #expect(!moved(99_900_000_000) && moved(99_899_999_999))
    #expect(!moved(200_000_000_000))
    #expect(!moved(99_000_000_000, at: 16), "too late to be the fill's doing")
    known.lastFill(isBuy: false, at: 20, markE8: 100_000_000_000)
    #expect(moved(100_200_000_000, at: 20) && !moved(99_000_000_000, at: 20))
  }

  // MARK: - Loss

  @Test func `R52 the lane's loss latches its level with its name, and after re-arming it counts anew`() throws {
    let world = try quoting(seed: 44) {
      $0.maximumLossE8 = 1_000_000
      $0.lossLevel = .cancelAll
    }
    let met = try world.run(limit: 600 * second, until: { $0.level(of: .laneLoss) == .cancelAll })
    #expect(met)
    let verified = try world.run(limit: 5 * second, until: { $0.outcome == .verified })
    #expect(verified)
    try world.run(for: 30 * second)
    #expect(world.quoted == (0, 0))
    world.rearm()
    let again = try world.run(limit: 20 * second, until: { $0.quoted.bids + $0.quoted.asks > 0 })
    #expect(again)
  }

  @Test func `R52 the lane's drawdown latches, from the best profit so far`() throws {
    let world = try quoting(seed: 45) {
      $0.maximumDrawdownE8 = 1_000_000
      $0.lossLevel = .noNewOrders
    }
    let met = try world.run(limit: 600 * second, until: { $0.level(of: .laneDrawdown) == .noNewOrders })
    #expect(met)
    #expect(world.level(of: .laneLoss) == .none)
  }

  // MARK: - Configuration

  @Test func `every key of the safety section reaches its rule in the rule's unit`() {
    let settings = SafetySection().settings
    #expect(settings.widenPermille == 2000 && settings.flattenWorstCentiBps == 50_00)
    #expect(settings.flattenInterval == second / 4 && settings.lossLevel == .cancelAll)
    #expect(settings.messagesPerMinute == 3000 && settings.messagesPerFill == 50_000)
    #expect(settings.churnPause == 10 * second && settings.rejectCount == 3)
    #expect(settings.rejectPause == second / 10 && settings.longestRejectPause == 5 * second)
    #expect(settings.bookStaleAfter == 120 * second && settings.markStaleAfter == 10 * second)
    #expect(settings.indexStaleAfter == 30 * second && settings.clockOffsetLimit == 2 * second)
    #expect(settings.slowAckWiden == second / 2 && settings.slowAckStop == second * 3 / 2)
    #expect(settings.slowAckPause == 5 * second && settings.toxicFills == 20 && settings.toxicWindow == second)
    #expect(settings.toxicMoveCentiBps == 20_00 && settings.toxicMoveWindow == second)
    #expect(settings.toxicPause == 5 * second)
    var section = SafetySection()
    section.laneMaxLoss = .one
    section.laneMaxDrawdown = .two
    section.lossLevel = .flatten
    #expect(section.settings.maximumLossE8 == 100_000_000 && section.settings.maximumDrawdownE8 == 200_000_000)
    #expect(section.settings.lossLevel == .flatten)
  }
}
