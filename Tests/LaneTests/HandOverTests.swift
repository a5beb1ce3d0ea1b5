import CSupport
import Glibc
import Testing

@testable import Apus
@testable import ApusExchange

/// Make before break: the venue announces that it will close the connection.
@Suite struct HandOverTests {
  private let ms: Nanoseconds = 1_000_000
  private let second: Nanoseconds = 1_000_000_000

  /// A world whose lane quotes and has traded.
  private func quoting(
    seed: UInt64 = 1, latency: Nanoseconds = 1_000_000, adjust: (inout LaneSettings) -> Void = { _ in }
  ) throws -> LaneWorld {
    var settings = LaneWorld.settings()
    adjust(&settings)
    let world = try LaneWorld(seed: seed, settings: settings)
    world.latency = latency
    let isQuoting = try world.run(until: { $0.quoted.bids == 3 && $0.quoted.asks == 3 })
    #expect(isQuoting)
    try world.run(for: 5 * second)
    return world
  }

  private func announce(_ world: LaneWorld, notice: Nanoseconds = 10_000_000_000) {
    world.venue.announceClosure(notice: notice, now: world.now)
  }

  private func isQuoting(_ world: LaneWorld) -> Bool {
    world.isReady && world.quoted.bids == 3 && world.quoted.asks == 3
  }

  /// A stop at the end: verified, and the books are equal.
  private func conclude(_ world: LaneWorld) throws {
    world.requestStop()
    let stopped = try world.run(until: { $0.lane.isStopped })
    #expect(stopped && world.lane.stop.isVerified)
    let books = try #require(world.books)
    let position = try #require(books.positions.first { $0.instrument == "BTC-PERPETUAL" })
    #expect(books.openOrders.isEmpty && world.lane.core.tracker.unknownCount == 0)
    #expect(world.position == position.lots && world.fills == books.fills.count && world.feesE8 == position.feesE8)
    #expect(world.adjustments == 0 && books.fills.count > 0 && books.rateViolations == 0)
    #expect(position.worstLongLots <= 500 && position.worstShortLots <= 500)
  }

  @Test(arguments: 1...8 as ClosedRange<UInt64>, [100_000, 1_000_000, 20_000_000] as [Nanoseconds])
  func `R23 R25 the move takes a few round trips, and no order is unknown at any moment`(
    seed: UInt64, latency: Nanoseconds
  ) throws {
    let world = try quoting(seed: seed, latency: latency)
    let before = world.timeWithoutOrders
    announce(world)
    var unknown = 0
    let hasMoved = try world.run(
      limit: 3 * second,
      until: { world in
        unknown = max(unknown, world.lane.core.tracker.unknownCount)
        return world.lane.core.counters.moves == 1 && self.isQuoting(world)
      })
    #expect(hasMoved && unknown == 0)
    let gap = world.timeWithoutOrders - before
    #expect(gap <= 5 * latency + 12 * ms, "without orders for \(gap) ns at \(latency) ns one way")
    #expect(world.lane.core.counters.gaps == 0 && world.lane.core.counters.reconnects == 0)
    // When the venue closes what was announced, nothing happens.
    try world.run(for: 15 * second)
    #expect(world.lane.core.counters.reconnects == 0 && world.timeWithoutOrders - before == gap)
    try conclude(world)
  }

  @Test func `R25 the time without quotes, made anew and made before`() throws {
    var times: [[Nanoseconds]] = []
    for latency in [100_000, 1_000_000, 20_000_000] as [Nanoseconds] {
      var row: [Nanoseconds] = []
      for window in [0, 8 * second] {
        let world = try quoting(latency: latency) { $0.closureWindow = window }
        let before = world.timeWithoutOrders
        announce(world)
        try world.run(for: 12 * second)
        #expect(isQuoting(world))
        row.append(world.timeWithoutOrders - before)
        try conclude(world)
      }
      print("one way \(latency / 1000) us: without quotes for \(row[0] / 1000) us anew, \(row[1] / 1000) us moved over")
      times.append(row)
    }
    for row in times { #expect(row[1] * 5 < row[0], "\(times)") }
  }

  @Test(arguments: [19, 53])
  func `R62 a refused login ends as before, at once where there is no room for a second connection`(code: Int) throws {
    let world = try quoting()
    world.spareFate = { $0.contains("public/login") ? .refuse(code) : .pass }
    let before = world.timeWithoutOrders
    announce(world, notice: 30 * second)
    let began = world.now
    let isLost = try world.run(limit: 12 * second, until: { $0.lane.core.counters.reconnects == 1 })
    #expect(isLost)
    let quotedOn = world.now - began
    if code == 53 {
      #expect(quotedOn < 100 * ms && world.spareTries == 1)
    } else {
      // It was quoting all that time.
      #expect((8 * second...9 * second).contains(quotedOn) && (6...9).contains(world.spareTries), "\(world.spareTries)")
      #expect(world.timeWithoutOrders - before < 50 * ms)
    }
    let isBack = try world.run(limit: 10 * second, until: { self.isQuoting($0) })
    #expect(isBack && world.lane.core.counters.moves == 0 && !world.hasSpare)
    try conclude(world)
  }

  @Test
  func `R62 a second connection that cannot be made, or does not answer, is tried again while the first one quotes`()
    throws
  {
    let world = try quoting()
    world.isUnreachable = true
    announce(world)
    try world.run(for: 2 * second)
    #expect(world.spareTries >= 2 && isQuoting(world))
    world.isUnreachable = false
    world.spareFate = { _ in .swallow }
    try world.run(for: 2 * second)
    #expect(world.hasSpare && isQuoting(world))
    world.spareFate = nil
    let hasMoved = try world.run(limit: 4 * second, until: { $0.lane.core.counters.moves == 1 && self.isQuoting($0) })
    #expect(hasMoved && world.lane.core.counters.reconnects == 0)
    try conclude(world)
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func `R23 a venue that closes early, at any moment of the preparation or the move, is a lost connection`(seed: UInt64)
    throws
  {
    for steps in [1, 3, 5, 7, 8, 9, 10, 11, 12, 14] as [Int64] {
      let world = try quoting(seed: seed, latency: 10 * ms)
      // A one-way trip is 10 ms: the announcement arrives after one, the second connection stands after seven.
      announce(world, notice: steps * 10 * ms + Int64(seed) * ms)
      try world.run(for: 200 * ms)
      let isBack = try world.run(limit: 20 * second, until: { self.isQuoting($0) })
      #expect(isBack, "closed after \(steps) trips")
      #expect(world.lane.core.counters.moves + world.lane.core.counters.reconnects >= 1)
      try world.run(for: 3 * second)
      try conclude(world)
    }
  }

  @Test func `R23 where the cancel of everything is not answered the move is a gap, and nothing rests twice`() throws {
    for fate in [LaneWorld.Fate.swallow, .refuse(21)] {
      let world = try quoting()
      world.fate = { $0.contains("cancel_session") ? fate : .pass }
      announce(world)
      let hasMoved = try world.run(limit: 6 * second, until: { $0.lane.core.counters.moves == 1 })
      #expect(hasMoved && world.lane.core.counters.gaps == 1)
      world.fate = nil
      let isBack = try world.run(limit: 10 * second, until: { self.isQuoting($0) })
      #expect(isBack && world.books?.openOrders.count == 6)
      try conclude(world)
    }
  }

  @Test func `R23 where the last reports are lost the orders are unknown until the venue is asked`() throws {
    let world = try quoting()
    world.tamper = { $0.contains("session_end") ? nil : $0 }
    announce(world)
    let hasMoved = try world.run(limit: 3 * second, until: { $0.lane.core.counters.moves == 1 })
    #expect(hasMoved && world.lane.core.counters.gaps == 1 && world.lane.core.tracker.unknownCount > 0)
    world.tamper = nil
    let isBack = try world.run(limit: 10 * second, until: { self.isQuoting($0) })
    #expect(isBack)
    try conclude(world)
  }

  @Test
  func
    `R62 the second connection may break in the midst of the move: the first one quotes again, and it is tried again`()
    throws
  {
    let world = try quoting(latency: 10 * ms)
    announce(world)
    let leaves = try world.run(limit: second, until: { $0.lane.adapter.phase == .leaving })
    #expect(leaves)
    world.dropSpare()
    #expect(world.isReady)
    let hasMoved = try world.run(limit: 6 * second, until: { $0.lane.core.counters.moves == 1 && self.isQuoting($0) })
    #expect(hasMoved && world.lane.core.counters.reconnects == 0 && world.spareTries == 2)
    try conclude(world)
  }

  @Test(arguments: [0, 25, 65, 75, 85, 95] as [Nanoseconds])
  func `R10 R11 a stop during the preparation or the move outranks it`(after: Nanoseconds) throws {
    let world = try quoting(latency: 10 * ms)
    announce(world)
    try world.run(for: after * ms)
    try conclude(world)
    #expect(!world.hasSpare || !world.lane.keepsStandby)
  }

  @Test func `R10 a halt during the move holds on the connection that is there, and after the closure on the next`()
    throws
  {
    let world = try quoting(latency: 10 * ms)
    announce(world, notice: 5 * second)
    let leaves = try world.run(limit: second, until: { $0.lane.adapter.phase == .leaving })
    #expect(leaves)
    world.halt(.cancelAll)
    let isHeld = try world.run(limit: 3 * second, until: { $0.outcome == .verified })
    #expect(isHeld && world.lane.core.counters.moves == 0)
    try world.run(for: 10 * second)
    #expect(world.lane.core.counters.reconnects == 1 && world.books?.openOrders.isEmpty == true)
    #expect(world.outcome == .verified)
    world.rearm()
    let isBack = try world.run(limit: 5 * second, until: { self.isQuoting($0) })
    #expect(isBack)
    try conclude(world)
  }

  @Test func `R23 with orders unknown the move waits for a better moment, but not for ever`() throws {
    let world = try quoting()
    // Nobody answers about orders, and the answers to inserts and amends are lost: some stay unknown.
    world.fate = { text in
      ["open_orders", "trade_history"].contains(where: text.contains) ? .swallow : .pass
    }
    world.tamper = { $0.contains("\"order_id\"") && !$0.contains("session_end") ? nil : $0 }
    let isUnknown = try world.run(limit: 20 * second, until: { $0.lane.core.tracker.unknownCount > 0 })
    #expect(isUnknown)
    world.venue.announceClosure(notice: 10 * second, now: world.now)
    try world.run(for: 3 * second)
    #expect(world.hasSpare && world.lane.core.counters.moves == 0)
    world.tamper = nil
    world.fate = nil
    let hasMoved = try world.run(limit: 8 * second, until: { $0.lane.core.counters.moves == 1 && self.isQuoting($0) })
    #expect(hasMoved)
    try conclude(world)
  }

  @Test func `R25 an announcement that is repeated is heard once, and the next connection can be left in turn`() throws
  {
    let world = try quoting()
    for round in 1...3 {
      announce(world, notice: 4 * second)
      announce(world, notice: 4 * second)
      try world.run(for: 6 * second)
      #expect(isQuoting(world) && world.lane.core.counters.moves == round && world.spareTries == round)
    }
    #expect(world.lane.core.counters.reconnects == 0)
    try conclude(world)
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func `R23 mass quotes move over as well: the protection is set anew`(seed: UInt64) throws {
    let world = try quoting(seed: seed) { $0.instruments[0].usesMassQuotes = true }
    announce(world)
    let leaves = try world.run(limit: 5 * second, until: { $0.lane.adapter.phase == .leaving })
    #expect(leaves)
    let before = world.timeWithoutOrders
    let hasMoved = try world.run(limit: second, until: { $0.lane.core.counters.moves == 1 && self.isQuoting($0) })
    #expect(hasMoved && world.lane.core.counters.gaps == 0)
    #expect(world.timeWithoutOrders - before < 60 * ms, "\(world.timeWithoutOrders - before)")
    try world.run(for: 10 * second)
    try conclude(world)
  }
}

/// What the network does for it.
@Suite struct HostLookupTests {
  private func addresses(_ host: String) throws -> [String] {
    let lookup = HostLookup(host)
    defer { lookup.end() }
    lookup.ask()
    for _ in 0..<1000 where lookup.addresses == nil { usleep(10_000) }
    return try #require(lookup.addresses)
  }

  @Test func `a host's addresses are found beside the caller, and an address is itself at once`() throws {
    #expect(HostLookup("127.0.0.1").addresses?.first == "127.0.0.1")
    #expect(HostLookup("::1").addresses?.first == "::1")
    let local = try addresses("localhost")
    #expect(local.contains("127.0.0.1") || local.contains("::1"), "\(local)")
    #expect(try addresses("no such host.invalid").isEmpty)
  }
}
