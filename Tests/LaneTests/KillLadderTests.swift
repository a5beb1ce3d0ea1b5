import CSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// The kill ladder on the lane and the simulated venue.
@Suite struct KillLadderTests {
  private let second: Nanoseconds = 1_000_000_000

  private func quoting(seed: UInt64, settings: LaneSettings = LaneWorld.settings()) throws -> LaneWorld {
    let world = try LaneWorld(seed: seed, settings: settings)
    let isQuoting = try world.run(until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    try #require(isQuoting)
    world.recordsRequests = true
    return world
  }

  private func withPosition(seed: UInt64, settings: LaneSettings = LaneWorld.settings()) throws -> LaneWorld {
    let world = try quoting(seed: seed, settings: settings)
    let holds = try world.run(limit: 120 * second, until: { abs($0.position ?? 0) >= 20 })
    try #require(holds)
    return world
  }

  private func quotesAgain(_ world: LaneWorld) throws {
    let again = try world.run(limit: 20 * second, until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    #expect(again)
  }

  private func stopWithEqualBooks(_ world: LaneWorld) throws {
    world.requestStop()
    let stopped = try world.run(until: { $0.lane.isStopped })
    #expect(stopped)
    #expect(world.lane.stop.isVerified)
    let books = try #require(world.books)
    #expect(books.openOrders.isEmpty)
    #expect(world.position == books.positions.first { $0.instrument == "BTC-PERPETUAL" }?.lots)
    #expect(world.fills == books.fills.count)
  }

  private func inserts(_ world: LaneWorld) -> [String] { world.requests.filter { $0.contains("private/insert") } }

  // MARK: - The latch itself

  @Test func `R52 the highest of all causes rules, and each keeps its own level`() {
    var ladder = KillLadder()
    #expect(ladder.level == .none)
    let changes = [
      ladder.latch(.signal, at: .noNewOrders), ladder.latch(.laneLoss, at: .cancelAll),
      // A latch is never lowered.
      ladder.latch(.laneLoss, at: .widen), ladder.pass(.slowVenue, at: .widen),
    ]
    #expect(changes == [true, true, false, true])
    #expect(ladder.level == .cancelAll && ladder.latchedLevel == .cancelAll)
    #expect(ladder.level(of: .signal) == .noNewOrders)
    #expect(ladder.level(of: .slowVenue) == .widen)
    #expect(ladder.causeText == "loss of the lane (cancel), a signal (no-new), slow acknowledgements (widen)")
    #expect(ladder.latchCount == 2)
    ladder.rearm()
    // What passes by itself goes on.
    #expect(ladder.level == .widen && ladder.latchedLevel == .none)
    ladder.pass(.slowVenue, at: .none)
    #expect(ladder.level == .none && ladder.latched == 0 && ladder.passing == 0)
    for cause in HaltCause.allCases {
      var one = KillLadder()
      one.latch(cause, at: .disconnect)
      #expect(one.level(of: cause) == .disconnect && one.level == .disconnect)
      #expect(HaltCause.allCases.allSatisfy { $0 == cause || one.level(of: $0) == .none })
    }
  }

  // MARK: - Levels

  @Test func `R52 widen moves the quotes out, and re-arming moves them back`() throws {
    // A spread of hundreds of ticks, so that its doubling cannot be mistaken.
    struct Wide: Strategy {
      var ladder = LadderStrategy(
        LadderParameters(
          levels: 3, halfSpreadCentiBps: 2000, stepTicks: 2, size: QtyLots(rawValue: 20), skewCentiBps: 0))
      mutating func quote(_ view: QuoteView, into ladders: inout Ladders) { ladder.quote(view, into: &ladders) }
    }
    let world = try LaneWorld(seed: 5, strategy: Wide())
    let isQuoting = try world.run(until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    try #require(isQuoting)
    func spread() -> Int64 {
      world.lane.core.tracker.with(0) {
        ($0.asks.firstResting?.pointee.price_ticks.rawValue ?? 0)
          - ($0.bids.firstResting?.pointee.price_ticks.rawValue ?? 0)
      }
    }
    let before = spread()
    world.halt(.widen)
    try world.run(for: 2 * second)
    #expect(world.outcome == .obeyed)
    let wide = spread()
    #expect(wide > before * 18 / 10 && wide < before * 22 / 10, "\(before) to \(wide)")
    world.rearm()
    try world.run(for: 2 * second)
    #expect(spread() < before * 12 / 10)
    try stopWithEqualBooks(world)
  }

  @Test
  func `R52 no new orders: nothing is inserted or enlarged, and what rests follows the market until it is used up`()
    throws
  {
    let world = try quoting(seed: 6)
    try world.run(for: second)
    world.halt(.noNewOrders, .signal)
    try world.run(for: second / 10)
    let before = inserts(world).count
    let amends = world.lane.core.counters.amends
    let fills = world.fills
    try world.run(for: 20 * second)
    #expect(inserts(world).count == before)
    #expect(world.lane.core.counters.amends > amends, "a quote that stays behind would be picked off")
    #expect(world.fills > fills)
    #expect(world.outcome == .obeyed)
    #expect(world.isReady)
    world.rearm()
    try quotesAgain(world)
    try stopWithEqualBooks(world)
  }

  @Test func `R52 R11 cancel all is verified at the venue, the lane lives on, and only a hand re-arms it`() throws {
    let world = try quoting(seed: 7)
    world.halt(.cancelAll)
    let verified = try world.run(limit: 5 * second, until: { $0.outcome == .verified })
    #expect(verified)
    #expect(world.books?.openOrders.isEmpty == true)
    #expect(world.lane.safety.verifiedAt > 0)
    #expect(world.requests.contains { $0.contains("private/cancel_session") })
    let before = inserts(world).count
    try world.run(for: 60 * second)
    #expect(inserts(world).count == before, "a latch never ends by itself")
    #expect(world.isReady && world.block == .halted && !world.lane.isStopped)
    // It goes on asking.
    let queries = world.requests.count { $0.contains("private/open_orders") }
    #expect(queries >= 10, "\(queries) queries in a minute")
    world.rearm()
    try quotesAgain(world)
    try stopWithEqualBooks(world)
  }

  @Test func `R11 cancel all is repeated until the venue shows nothing`() throws {
    let world = try quoting(seed: 8)
    var lost = 0
    world.fate = { text in
      guard text.contains("private/cancel_session"), lost < 2 else { return .pass }
      lost += 1
      return .swallow
    }
    world.halt(.cancelAll)
    try world.run(for: second)
    #expect(world.outcome == .working)
    #expect(world.ordersLeft > 0)
    let verified = try world.run(limit: 20 * second, until: { $0.outcome == .verified })
    #expect(verified)
    #expect(lost == 2)
    #expect(world.books?.openOrders.isEmpty == true)
    #expect(world.ordersLeft == 0)
  }

  @Test func `R10 a latch survives a lost connection and is verified anew`() throws {
    let world = try quoting(seed: 9)
    world.halt(.cancelAll)
    try world.run(for: second / 100)
    world.drop()
    #expect(world.outcome == .offline)
    let before = inserts(world).count
    let verified = try world.run(limit: 20 * second, until: { $0.outcome == .verified })
    #expect(verified)
    world.drop()
    let again = try world.run(limit: 20 * second, until: { $0.outcome == .verified })
    #expect(again)
    try world.run(for: 5 * second)
    #expect(inserts(world).count == before)
    world.rearm()
    try quotesAgain(world)
    try stopWithEqualBooks(world)
  }

  @Test func `R10 a halt before the session is ready lets nothing leave`() throws {
    let world = try LaneWorld(seed: 10)
    world.recordsRequests = true
    world.halt(.cancelAll)
    let verified = try world.run(limit: 10 * second, until: { $0.outcome == .verified })
    #expect(verified)
    try world.run(for: 5 * second)
    #expect(inserts(world).isEmpty)
    world.rearm()
    try quotesAgain(world)
  }

  @Test(arguments: [11, 12, 13] as [UInt64])
  func `R52 flatten closes the position with reduce-only orders inside the worst price`(seed: UInt64) throws {
    var settings = LaneWorld.settings()
    settings.safety.flattenWorstCentiBps = 30_00
    let world = try withPosition(seed: seed, settings: settings)
    let limit = world.plan
    world.halt(.flatten)
    // What was under way reaches the venue before anything of the ladder's.
    try world.run(for: 150_000)
    let before = inserts(world).count
    let flat = try world.run(limit: 30 * second, until: { $0.outcome == .flat })
    #expect(flat, "\(world.position ?? 0) left, plan \(String(describing: world.plan))")
    #expect(world.position == 0)
    #expect(world.books?.positions.first { $0.instrument == "BTC-PERPETUAL" }?.lots == 0)
    #expect(world.books?.openOrders.isEmpty == true)
    let orders = inserts(world)[before...]
    #expect(!orders.isEmpty && limit != nil)
    for order in orders {
      #expect(order.contains("\"reduce_only\":true") && order.contains("immediate_or_cancel"), "\(order)")
    }
    #expect(world.outcome == .flat)
    try world.run(for: 5 * second)
    #expect(inserts(world).count == before + orders.count, "flat is flat")
    world.rearm()
    try quotesAgain(world)
    try stopWithEqualBooks(world)
  }

  @Test func `R52 flatten takes no price beyond the worst one, waits, and goes on when there is depth`() throws {
    let world = try withPosition(seed: 14)
    // A mark from which every displayed price is too far away for the side that closes the position.
    let mark = (world.position ?? 0) > 0 ? "99000.5" : "50000.5"
    world.tamper = { text in
      guard text.hasPrefix("{\"channel_name\":\"ticker"), let start = text.firstRange(of: "\"mark_price\":")?.upperBound
      else { return text }
      return text[..<start] + mark + text[start...].drop { $0 != "," }
    }
    try world.run(for: 2 * second)
    world.halt(.flatten)
    try world.run(for: 150_000)
    let before = inserts(world).count
    try world.run(for: 5 * second)
    #expect(world.outcome == .closing)
    #expect(world.position != 0)
    #expect(inserts(world).count == before)
    let plan = try #require(world.plan)
    #expect(plan.qty == .zero && plan.depth == .zero)
    world.tamper = nil
    let flat = try world.run(limit: 30 * second, until: { $0.outcome == .flat })
    #expect(flat)
  }

  @Test func `R52 disconnect drops the connection when nothing rests, and stays away until it is re-armed`() throws {
    let world = try quoting(seed: 15)
    world.halt(.disconnect)
    let off = try world.run(limit: 5 * second, until: { !$0.isUp })
    #expect(off)
    #expect(world.outcome == .offline)
    #expect(world.lane.safety.verifiedAt > 0)
    #expect(world.books?.openOrders.isEmpty == true)
    try world.run(for: 60 * second)
    #expect(!world.isUp)
    world.rearm()
    try quotesAgain(world)
    try stopWithEqualBooks(world)
  }

  @Test func `R52 disconnect does not wait for a venue that does not answer`() throws {
    let world = try quoting(seed: 16)
    world.fate = { $0.contains("cancel_session") || $0.contains("open_orders") ? .swallow : .pass }
    world.halt(.disconnect)
    let off = try world.run(limit: 5 * second, until: { !$0.isUp })
    #expect(off)
    #expect(world.lane.safety.verifiedAt == 0, "nobody has confirmed anything")
    #expect(world.books?.openOrders.isEmpty == true, "the venue has seen the connection go")
  }

  @Test func `R10 a stop outranks a halt, and ends as it always does`() throws {
    let world = try quoting(seed: 17)
    world.halt(.cancelAll)
    _ = try world.run(limit: 5 * second, until: { $0.outcome == .verified })
    try stopWithEqualBooks(world)
    // And from a lane that has disconnected: it connects once more to be sure.
    let other = try quoting(seed: 18)
    other.halt(.disconnect)
    _ = try other.run(limit: 5 * second, until: { !$0.isUp })
    other.rearm()
    other.halt(.disconnect)
    try stopWithEqualBooks(other)
  }

  @Test func `R52 the manager's limit latches the lane's ladder with its own cause`() throws {
    let world = try quoting(seed: 19)
    var manager = StrategyManager(
      settings: ManagerSettings(maximumDrawdownE8: 500, haltLevel: .noNewOrders), instrumentsPerLane: [1])
    func note(_ profit: MoneyE8) -> Bool {
      manager.note(
        LaneUpdate(
          instrument: 0, isPositionKnown: true, isReady: true, position: 0, worstLong: 0, worstShort: 0, markE8: 1,
          profitE8: profit), lane: 0)
      return manager.decide()
    }
    let decisions = [note(300), note(-199), note(-200)]
    #expect(decisions == [false, false, true])
    #expect(manager.level == .halted && manager.cause == .overallDrawdown)
    let message = manager.directives(lane: 0)[0]
    world.obey(message)
    #expect(world.level(of: .overallDrawdown) == .noNewOrders)
    // By hand: from here on it counts anew.
    manager.rearm()
    let later = [note(-600), note(-700)]
    #expect(later == [false, true])
  }
}
