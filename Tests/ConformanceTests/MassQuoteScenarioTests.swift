import CSupport
import TestSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// A lane that quotes with mass quotes, at every venue that takes them. What holds for any quoting is in `ConformanceTests`.
@Suite struct MassQuoteScenarioTests {
  private static let second: Nanoseconds = 1_000_000_000
  private static let venues: [VenueUnderTest] = [.thalexQuotes, .deribitQuotes, .deribitLinearQuotes]
  private static let deribit: [VenueUnderTest] = [.deribitQuotes, .deribitLinearQuotes]

  private func readyWorld(
    _ venue: VenueUnderTest, seed: UInt64 = 1, _ change: (inout LaneSettings) -> Void = { _ in }
  ) throws -> ConformanceWorld {
    var settings = venue.settings()
    // Coins, or contracts of a coin: more than is traded.
    settings.protection.trade = DecimalE8(e8: 50 * 100_000_000)
    settings.protection.quote = settings.protection.trade
    change(&settings)
    let world = try venue.world(seed: seed, settings: settings)
    world.keepsRequests = true
    try #require(try world.run { world.isReady }, "\(world.status)")
    return world
  }

  private func isTwoSided(_ world: ConformanceWorld) -> Bool {
    let orders = world.books?.openOrders ?? []
    return orders.contains { $0.isBuy } && orders.contains { !$0.isBuy }
  }

  /// Stops, and compares both sides' books.
  private func settle(_ world: ConformanceWorld, _ venue: VenueUnderTest, _ comment: Comment? = nil) throws {
    world.fate = nil
    world.requestFate = nil
    world.refusal = nil
    try world.run(for: 5 * Self.second)
    world.requestStop()
    #expect(try world.run { world.isStopped }, comment)
    #expect(world.isVerified && world.unknownCount == 0, comment)
    let books = try #require(world.books, comment)
    let stated = books.positions.first { $0.instrument == venue.instrument }
    #expect(books.openOrders.isEmpty, comment)
    #expect(world.position()?.rawValue == stated?.lots, comment)
    #expect(world.state { $0.pointee.fills } == books.fills.count { $0.instrument == venue.instrument }, comment)
    #expect(world.state { $0.pointee.positionAdjustments } == 0, comment)
    #expect(books.rateViolations == 0 && world.venue.statistics.rateViolations == 0, comment)
    #expect(world.venue.brokenInvariant() == nil, comment)
    if let stated { #expect(stated.worstLongLots <= venue.limit && stated.worstShortLots <= venue.limit, comment) }
  }

  @Test(arguments: venues)
  func `R13_ both sides rest most of the time, and each change is one message for both`(venue: VenueUnderTest) throws {
    let world = try readyWorld(venue)
    #expect(try world.run { isTwoSided(world) })
    var looks = 0, good = 0, unknown = 0
    for _ in 0..<600 {
      try world.run(for: 50_000_000)
      looks += 1
      if isTwoSided(world) { good += 1 }
      if world.unknownCount > 0 { unknown += 1 }
    }
    // Six executions a second, and at Deribit nine mass quotes.
    #expect(good * 2 >= looks, "\(good) of \(looks)")
    // Where each order names its mass quote nothing is ever in doubt.
    if Self.deribit.contains(venue) { #expect(unknown == 0) }
    #expect(world.counters.massQuotes > 20 && world.counters.inserts == 0 && world.counters.amends == 0)
    #expect(world.counters.rejects == 0 && world.counters.edgeRefusals == 0 && world.counters.reconnects == 0)
    #expect(world.state { $0.pointee.fills } > 0)
    try settle(world, venue)
  }

  @Test(arguments: venues)
  func `a group that is used up rests, is set again after the pause, and quoting goes on`(venue: VenueUnderTest) throws
  {
    let world = try readyWorld(venue) {
      // Little more than one quote of about 0.02 coins.
      $0.protection.trade = DecimalE8(e8: 2_500_000)
      $0.protection.quote = DecimalE8(e8: 5_000_000)
      $0.protection.window = 60 * Self.second
    }
    #expect(try world.run { isTwoSided(world) })
    #expect(try world.run(limit: 120 * Self.second) { world.venue.statistics.protectionHits > 0 })
    let since = world.now
    #expect(try world.run(limit: Self.second) { world.block == .protection })
    #expect(try world.run(limit: Self.second) { world.books?.openOrders.isEmpty == true })
    #expect(try world.run(limit: 30 * Self.second) { isTwoSided(world) })
    #expect(world.now - since >= ProtectionSettings().pause)
    try settle(world, venue)
  }

  /// Not protected, no cancel-on-disconnect, frozen, switched off, too many quotes, too many requests, not sure, unheard of.
  @Test(arguments: deribit, [13040, 13042, 13043, 13902, 13903, 10047, 10040, 99_999])
  func `R44_ R62_ a mass quote that is refused as a whole changes nothing, and is tried again`(
    venue: VenueUnderTest, code: Int
  ) throws {
    let world = try readyWorld(venue)
    #expect(try world.run { isTwoSided(world) })
    try world.run(for: 2 * Self.second)
    var left = 3
    world.refusal = { kind, _ in
      guard case .massQuote = kind, left > 0 else { return nil }
      left -= 1
      return code
    }
    try world.run(for: 30 * Self.second)
    #expect(left == 0)
    #expect(try world.run(limit: 10 * Self.second) { isTwoSided(world) && world.unknownCount == 0 })
    try settle(world, venue)
  }

  @Test(arguments: venues)
  func `R01_ R19_ a mass quote that is not answered is of unknown outcome until a query has told`(venue: VenueUnderTest)
    throws
  {
    let world = try readyWorld(venue)
    #expect(try world.run { isTwoSided(world) })
    world.fate = { role, _ in role == .massQuoteReply || role == .privateFeed ? .drop : .pass }
    #expect(try world.run(limit: 10 * Self.second) { world.unknownCount > 0 })
    world.fate = nil
    #expect(try world.run(limit: 20 * Self.second) { world.unknownCount == 0 })
    #expect(try world.run(limit: 10 * Self.second) { isTwoSided(world) })
    try settle(world, venue)
  }

  @Test(arguments: deribit)
  func `R04_ a side that the venue refuses loses what stood there, and the other side rests on`(venue: VenueUnderTest)
    throws
  {
    // No quote of this size may be shown: both sides of each request are refused.
    let world = try readyWorld(venue) {
      $0.protection.trade = DecimalE8(e8: 100_000)
      $0.protection.quote = DecimalE8(e8: 100_000)
    }
    try world.run(for: 20 * Self.second)
    #expect(world.counters.massQuotes > 0 && world.counters.rejects >= 2)
    #expect(world.books?.openOrders.isEmpty == true && world.unknownCount == 0)
    try settle(world, venue)
  }

  @Test(arguments: deribit)
  func `R10_ a feed that falls silent, and a stop, take what stands away with a mass quote`(venue: VenueUnderTest)
    throws
  {
    for isStop in [false, true] {
      let world = try readyWorld(venue)
      #expect(try world.run { isTwoSided(world) && world.unknownCount == 0 })
      let messages = world.requests.count
      // What trades in the silence is not quoted anew.
      var stood = true
      if isStop {
        world.requestStop()
      } else {
        world.fate = { role, _ in role == .ticker ? .drop : .pass }
        #expect(try world.run(limit: 10 * Self.second) { world.block == .staleMarket })
        stood = world.books?.openOrders.isEmpty == false
      }
      #expect(try world.run(limit: Self.second) { world.books?.openOrders.isEmpty == true })
      let after = world.requests[messages...]
      let isTaken = after.contains { $0.contains("private/mass_quote") && $0.contains(#":{"amount":0}"#) }
      #expect(isTaken == stood)
      #expect(!after.contains { $0.contains("private/cancel") })
      try settle(world, venue)
    }
  }

  @Test(arguments: deribit)
  func `R40_ where the venue refuses to take quotes away by mass quotes they are cancelled one by one`(
    venue: VenueUnderTest
  ) throws {
    let world = try readyWorld(venue)
    #expect(try world.run { isTwoSided(world) && world.unknownCount == 0 })
    world.refusal = { kind, _ in
      if case .massQuote = kind { return 13902 }
      return nil
    }
    world.fate = { role, _ in role == .ticker ? .drop : .pass }
    #expect(try world.run(limit: 20 * Self.second) { world.books?.openOrders.isEmpty == true })
    #expect(world.requests.contains { $0.contains("private/cancel") })
    try settle(world, venue)
  }

  @Test(arguments: deribit)
  func `a quote that moves keeps the venue's id, and one that has gone is placed anew`(venue: VenueUnderTest) throws {
    let world = try readyWorld(venue)
    #expect(try world.run { isTwoSided(world) })
    var ids: Set<String> = []
    for _ in 0..<2000 {
      try world.run(for: 5_000_000)
      for order in world.books?.openOrders ?? [] { ids.insert(order.orderID) }
    }
    // Each side has one order from one complete execution to the next.
    #expect(ids.count <= 2 + world.state { $0.pointee.fills } + world.counters.cancels, "\(ids.count)")
    #expect(world.venue.statistics.quotesDone > UInt64(ids.count))
    try settle(world, venue)
  }

  /// Private frames lost, repeated and late, requests lost, connections broken.
  @Test(arguments: deribit, 1...10 as ClosedRange<UInt64>)
  func `R08_ R11_ whatever is lost or late, exposure stays within the limit`(venue: VenueUnderTest, seed: UInt64) throws
  {
    let world = try readyWorld(venue, seed: seed)
    var random = TestSupport.SplitMix(seed: seed &* 77)
    world.detour = Int64(seed % 5) * 4_000_000
    world.fate = { role, _ in
      guard [.massQuoteReply, .privateFeed, .cancelReply].contains(role) else { return .pass }
      let late: Nanoseconds = random.chance(200) ? .random(in: 1...500_000_000, using: &random) : 0
      if random.chance(20) { return .drop }
      return random.chance(100) ? .copies([late, late + 30_000_000]) : .copies([late])
    }
    world.requestFate = { kind, _ in
      if case .massQuote = kind { return !random.chance(10) }
      return true
    }
    for _ in 0..<4 {
      try world.run(for: .random(in: Self.second...10 * Self.second, using: &random))
      if random.chance(500) { world.drop() }
    }
    try settle(world, venue, "seed \(seed)")
  }
}
