import CSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// The simulated world itself: what its network does, its manager, its disk, and that its invariants can fail.
@Suite struct SimulationTests {
  private let ms: Nanoseconds = 1_000_000
  private let second: Nanoseconds = 1_000_000_000

  // MARK: - The network

  @Test func `parcels keep their order, and merge only what has arrived`() {
    var queue = ParcelQueue()
    func add(_ text: String, _ at: Nanoseconds) {
      var text = text
      text.withUTF8 { queue.append(UnsafeRawBufferPointer($0), at: at) }
    }
    func take(_ now: Nanoseconds, merges: Bool = false) -> String? {
      var found: String?
      _ = queue.take(by: now, merges: merges) { found = String(decoding: $0, as: UTF8.self) }
      return found
    }
    add("one", 5)
    // It may not overtake the one before.
    add("two", 3)
    add("three", 9)
    #expect(queue.nextTime == 5)
    #expect(take(4) == nil)
    #expect(take(5) == "onetwo")
    #expect(take(5) == nil)
    add("four", 9)
    add("five", 9)
    #expect(take(9) == "three")
    #expect(take(9, merges: true) == "fourfive")
    #expect(queue.nextTime == nil && take(100) == nil)
  }

  @Test func `what waits in the receive buffer while nothing is read comes in one read`() throws {
    // Seven bytes at a time, and a second and a half in which nothing is read: a read for each piece would be more than any
    // journal takes at once, and no socket reads so.
    let world = plan(
      [
        TimedFault(at: 0, lasting: 6 * second, .fragment(7)),
        TimedFault(at: second, lasting: 3 * second / 2, .stallReads), TimedFault(at: 5 * second, .crash),
      ]
    ) { $0.levels = 8 }
    let verdict = try ChaosRun.run(world)
    let isPassed = verdict.isPassed
    #expect(isPassed, "\(verdict.account)")
    #expect(verdict.lives == 2)
  }

  private func plan(_ faults: [TimedFault], adjust: (inout FaultPlan) -> Void = { _ in }) -> FaultPlan {
    var plan = FaultPlan()
    plan.faults = faults
    plan.length = 6 * second
    adjust(&plan)
    return plan
  }

  @Test(arguments: [
    [Fault.fragment(3)], [.merge(50_000_000)], [.jitter(100_000_000)], [.shortWrites(40)],
    [.fragment(60), .merge(5_000_000), .jitter(3_000_000), .shortWrites(200)],
  ])
  func `frames may be cut anywhere, come together, late, and leave in pieces`(faults: [Fault]) throws {
    let world = plan(faults.map { TimedFault(at: 0, lasting: 6 * second, $0) }) {
      $0.back = 7 * ms
      $0.usesMassQuotes = faults.count > 1
    }
    let verdict = try ChaosRun.run(world)
    let isPassed = verdict.isPassed
    #expect(isPassed, "\(verdict.account)")
    #expect(verdict.fills > 0 && verdict.counters.reconnects == 0, "\(verdict.line)")
    // What merely comes in pieces is refused by nobody.
    #expect(verdict.counters.edgeRefusals == 0)
  }

  // MARK: - The manager

  @Test func `R52 a manager in the world widens, halts, and the lane quotes again when it has been re-armed`() throws {
    var lines: [String] = []
    let verdict = try ChaosRun.run(
      plan([]) {
        $0.length = 60 * second
        $0.managerTurn = 20 * ms
        $0.widenCents = 5
        $0.drawdownCents = 60
      }
    ) { lines.append($1) }
    let isPassed = verdict.isPassed
    #expect(isPassed, "\(verdict.account)")
    #expect(verdict.halts > 0)
    #expect(lines.contains { $0 == "the lane obeys the manager" })
    #expect(lines.contains { $0 == "the lane obeys the manager, and is halted" })
    #expect(lines.contains { $0 == "a person re-arms" })
  }

  // MARK: - The disk

  @Test(arguments: [Fault.crash, .powerCut], 1...6 as ClosedRange<UInt64>)
  func `R13 an engine that is killed, or loses power, leaves a journal that is read up to its last moments`(
    death: Fault, seed: UInt64
  ) throws {
    let directory = try MemoryDirectory()
    let path = directory.path
    let verdict = try ChaosRun.run(
      plan([TimedFault(at: 3 * second, death)]) { $0.seed = seed }, journal: path)
    let isPassed = verdict.isPassed
    #expect(isPassed, "\(verdict.account)")
    #expect(verdict.lives == 2)
    var replay = try Replay(path: path)
    var runs: [Replay.Run] = []
    while let run = replay.next() { runs.append(run) }
    #expect(runs.map(\.bootEpoch) == [1, 2])
    for run in runs { #expect(run.difference == nil && run.refusal == nil, "\(run)") }
    #expect(runs.last?.gap == nil)
    if death == .crash { #expect(runs.first?.gap == nil) }
    let lived = runs.first?.laneTime ?? 0
    // Of the last two seconds, the longest time without a sync, something may be lost.
    #expect(lived > (death == .crash ? 2900 : 900) * ms, "\(lived)")
  }

  // MARK: - The invariants

  private func quoting(_ adjust: (inout FaultPlan) -> Void = { _ in }) throws -> ChaosWorld {
    let world = try ChaosWorld(plan([], adjust: adjust))
    _ = try world.run(limit: 10 * second, until: { $0.isQuoting })
    let hasTraded = try world.run(limit: 60 * second, until: { $0.lane.risk(0).fills > 2 })
    #expect(hasTraded && world.violations.isEmpty)
    return world
  }

  private func found(_ world: ChaosWorld) throws -> [Invariant] {
    try world.run(for: 20 * ms)
    return world.violations.map(\.invariant)
  }

  @Test func `the exposure at the venue is looked at`() throws {
    let world = try quoting()
    try #require(world.ledger).positions[0].worstShort = 101
    let names = try found(world)
    #expect(names == [.exposure])
    #expect(world.violations[0].text.contains("worst short 101") && !world.violations[0].venueView.isEmpty)
  }

  @Test func `a position at the venue that our worst case does not cover is seen at once`() throws {
    let world = try quoting()
    let ledger = try #require(world.ledger)
    ledger.positions[0].lots += 60
    let names = try found(world)
    #expect(names.contains(.coverage))
  }

  @Test func `an execution that the venue has not made is seen at once`() throws {
    let world = try quoting()
    world.memory.fills[0] -= 1
    let names = try found(world)
    #expect(names.contains(.booking))
  }

  @Test func `an order message beyond the rate is seen at once`() throws {
    let world = try quoting()
    world.memory.sentBefore -= 46
    let names = try found(world)
    #expect(names.contains(.rate))
  }

  @Test func `orders are compared one by one when nothing is under way`() throws {
    let world = try quoting()
    world.pauseMarket()
    let isQuiet = try world.run(limit: 5 * second, until: { $0.isQuiet })
    #expect(isQuiet)
    world.compareOrders()
    #expect(world.violations.isEmpty)
    try #require(world.ledger).orders.removeLast()
    world.compareOrders()
    #expect(world.violations.map(\.invariant) == [.books])
  }

  @Test func `the venue's own account must add up`() throws {
    let world = try quoting()
    #expect(world.brokenLedger() == nil)
    let ledger = try #require(world.ledger)
    ledger.positions[0].cash += 1
    #expect(world.brokenLedger()?.contains("its executions add up to") == true)
    ledger.positions[0].cash -= 1
    ledger.positions[0].feesE8 += 1
    #expect(world.brokenLedger() != nil)
    ledger.positions[0].feesE8 -= 1
    #expect(world.brokenLedger() == nil)
    try #require(world.venue.markets.first).totalBids += 1
    #expect(world.brokenLedger()?.contains("lots rest by the count") == true)
  }

  @Test func `an order that rests while a halt is verified is seen`() throws {
    let world = try ChaosWorld(
      plan([]) {
        $0.managerTurn = 20 * ms
        $0.drawdownCents = 1
      })
    let isQuoting = try world.run(limit: 10 * second, until: { $0.isQuoting })
    #expect(isQuoting)
    let ledger = try #require(world.ledger)
    let order = try #require(ledger.orders.first)
    let isHalted = try world.run(limit: 60 * second, until: { $0.lane.isHaltVerified })
    #expect(isHalted && world.violations.isEmpty && ledger.orders.isEmpty)
    ledger.orders.append(order)
    world.checkInvariants()
    #expect(world.violations.map(\.invariant).contains(.halt))
    ledger.orders.removeLast()
  }
}
