import CSupport
import TestSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// What any adapter has to show with a lane behind it: the account of our orders is right under every fault.
@Suite struct ConformanceTests {
  private static let second: Nanoseconds = 1_000_000_000

  private func readyWorld(_ venue: VenueUnderTest, seed: UInt64 = 1) throws -> ConformanceWorld {
    let world = try venue.world(seed: seed)
    let isReady = try world.run { world.isReady && world.books?.openOrders.isEmpty == false }
    try #require(isReady, "\(world.status)")
    return world
  }

  /// Stops, and compares both sides' books.
  private func settle(_ world: ConformanceWorld, _ venue: VenueUnderTest, _ comment: Comment? = nil) throws {
    world.fate = nil
    world.requestFate = nil
    world.isUnreachable = false
    try world.run(for: 3 * Self.second)
    world.requestStop()
    let isStopped = try world.run { world.isStopped }
    #expect(isStopped && world.isVerified, comment)
    let books = try #require(world.books, comment)
    #expect(books.openOrders.isEmpty, comment)
    let stated = books.positions.first { $0.instrument == venue.instrument }
    #expect(world.position() == stated.map { QtyLots(rawValue: $0.lots) }, comment)
    let fills = books.fills.filter { $0.instrument == venue.instrument }
    let ours = world.state { ($0.pointee.fills, $0.pointee.cashE8, $0.pointee.feesE8, $0.pointee.positionAdjustments) }
    #expect(ours.0 == fills.count && ours.3 == 0, comment)
    #expect(ours.2 == fills.reduce(0) { $0 + $1.feeE8 }, comment)
    var cash: MoneyE8 = 0
    for fill in fills {
      let worth = venue.contract.worth(QtyLots(rawValue: fill.lots), at: PriceTicks(rawValue: fill.priceTicks)) ?? 0
      cash -= fill.isBuy ? worth : -worth
    }
    #expect(ours.1 == cash, comment)
    #expect(world.venue.brokenInvariant() == nil, comment)
    #expect(books.rateViolations == 0 && world.venue.statistics.rateViolations == 0, comment)
    let position = try #require(stated)
    #expect(position.worstLongLots <= venue.limit && position.worstShortLots <= venue.limit, comment)
  }

  @Test(arguments: VenueUnderTest.allCases, [0, 2, 5, 30, 300])
  func `a session comes up whichever of its connections opens first`(venue: VenueUnderTest, milliseconds: Int64) throws {
    let world = try venue.world()
    world.detour = milliseconds * 1_000_000
    let isReady = try world.run { world.isReady }
    #expect(isReady && world.counters.reconnects == 0, "\(world.status)")
  }

  @Test(arguments: VenueUnderTest.allCases)
  func `R13_ a session comes up, quotes both sides, trades and ends with equal books`(venue: VenueUnderTest) throws {
    let world = try readyWorld(venue)
    try world.run(for: 60 * Self.second)
    // One that has just traded is missing for a moment.
    let isTwoSided = try world.run(limit: 2 * Self.second) {
      let orders = world.books?.openOrders ?? []
      return orders.contains { $0.isBuy } && orders.contains { !$0.isBuy }
    }
    let books = try #require(world.books)
    #expect(
      isTwoSided, "position \(world.position()?.rawValue ?? 0), \(world.block), \(books.openOrders.count) orders")
    #expect(books.fills.count > 0 && world.counters.amends + world.counters.massQuotes > 10)
    // Where the book comes on another connection, an amend may meet an order that has just traded.
    let races = venue == .bybit ? books.fills.count : 0
    #expect(world.counters.refusedLate <= races)
    #expect(world.counters.rejects == 0 && world.counters.edgeRefusals == 0 && world.counters.reconnects == 0)
    try settle(world, venue)
  }

  @Test(arguments: VenueUnderTest.allCases)
  func `a stop while requests are under way is no impossible report`(venue: VenueUnderTest) throws {
    for seed in 1...4 as ClosedRange<UInt64> {
      let world = try readyWorld(venue, seed: seed)
      try world.run(for: 2 * Self.second)
      let isBusy = try world.run { world.inFlightCount > 0 }
      #expect(isBusy)
      world.requestStop()
      let isStopped = try world.run { world.isStopped }
      #expect(isStopped && world.isVerified && world.books?.openOrders.isEmpty == true)
      #expect(world.impossibleCount == 0)
    }
  }

  @Test(arguments: VenueUnderTest.allCases)
  func `R23_ a lost connection leaves nothing at the venue, and what traded meanwhile is booked once`(
    venue: VenueUnderTest
  ) throws {
    let world = try readyWorld(venue, seed: 2)
    for _ in 0..<4 {
      try world.run(for: 5 * Self.second)
      world.drop()
      if venue.cancelsAtDisconnect { #expect(world.books?.openOrders.isEmpty == true) }
      let isBack = try world.run { world.isReady && world.books?.openOrders.isEmpty == false }
      #expect(isBack, "\(world.status)")
    }
    try settle(world, venue)
  }

  @Test(arguments: VenueUnderTest.allCases)
  func `R23_ the loss of one of several connections takes away what rests, and all of them are made anew`(
    venue: VenueUnderTest
  ) throws {
    let world = try readyWorld(venue, seed: 13)
    for place in [0, 1, 0, 1] {
      try world.run(for: 3 * Self.second)
      guard world.dropCompanion(place) else { continue }
      let isGone = try world.run(limit: Self.second) { world.books?.openOrders.isEmpty == true }
      #expect(isGone)
      let isBack = try world.run { world.isReady && world.books?.openOrders.isEmpty == false }
      #expect(isBack, "\(world.status)")
    }
    try settle(world, venue)
  }

  @Test(arguments: VenueUnderTest.allCases)
  func `R02_ R03_ replies that are lost, late, or twice leave no order unknown`(venue: VenueUnderTest) throws {
    let world = try readyWorld(venue, seed: 3)
    var random = TestSupport.SplitMix(seed: 5)
    world.fate = { role, _ in
      switch role {
      case .insertReply, .amendReply, .cancelReply, .massQuoteReply:
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return .drop
        case 1: return .copies([0, 700_000_000])
        case 2: return .copies([Nanoseconds.random(in: 0...2_000_000_000, using: &random)])
        default: return .pass
        }
      default: return .pass
      }
    }
    try world.run(for: 40 * Self.second)
    try settle(world, venue)
    #expect(world.unknownCount == 0)
  }

  @Test(arguments: VenueUnderTest.allCases)
  func `R06_ words of the private feed that are lost, late, or twice make no execution be missed or counted twice`(
    venue: VenueUnderTest
  ) throws {
    let world = try readyWorld(venue, seed: 4)
    var random = TestSupport.SplitMix(seed: 6)
    world.fate = { role, _ in
      guard role == .privateFeed else { return .pass }
      switch Int.random(in: 0..<10, using: &random) {
      case 0: return .drop
      case 1: return .copies([0, 300_000_000])
      case 2: return .copies([Nanoseconds.random(in: 0...1_000_000_000, using: &random)])
      default: return .pass
      }
    }
    try world.run(for: 60 * Self.second)
    try settle(world, venue)
  }

  @Test(arguments: VenueUnderTest.allCases)
  func `R03_ requests that never arrive are found out`(venue: VenueUnderTest) throws {
    let world = try readyWorld(venue, seed: 7)
    var random = TestSupport.SplitMix(seed: 8)
    world.requestFate = { kind, _ in
      switch kind {
      case .insert, .amend, .cancel, .massQuote: !random.chance(100)
      default: true
      }
    }
    try world.run(for: 40 * Self.second)
    try settle(world, venue)
  }

  @Test(arguments: VenueUnderTest.allCases)
  func `R28_ books of which messages are lost are not quoted on, and are whole again`(venue: VenueUnderTest) throws {
    let world = try readyWorld(venue, seed: 9)
    var random = TestSupport.SplitMix(seed: 10)
    var dropped = 0
    world.fate = { role, _ in
      guard role == .book, random.chance(20) else { return .pass }
      dropped += 1
      return .drop
    }
    try world.run(for: 20 * Self.second)
    world.fate = nil
    #expect(dropped > 3)
    if venue != .thalex, venue != .thalexQuotes { #expect(world.counters.bookGaps > 0) }
    let isBack = try world.run(limit: 10 * Self.second) {
      world.isReady && world.books?.openOrders.isEmpty == false && world.block == .none
    }
    #expect(isBack, "\(world.status) \(world.block)")
    try settle(world, venue)
  }

  @Test(arguments: VenueUnderTest.allCases)
  func `R29_ a feed that falls silent pulls the quotes`(venue: VenueUnderTest) throws {
    let world = try readyWorld(venue, seed: 11)
    world.fate = { role, _ in role == .ticker ? .drop : .pass }
    let isPulled = try world.run(limit: 10 * Self.second) { world.books?.openOrders.isEmpty == true }
    #expect(isPulled)
    world.fate = nil
    let isBack = try world.run(limit: 10 * Self.second) { world.books?.openOrders.isEmpty == false }
    #expect(isBack)
    try settle(world, venue)
  }

  @Test(arguments: VenueUnderTest.allCases)
  func `R17_ an earlier life's orders are found and cancelled, and its ids are never used again`(venue: VenueUnderTest)
    throws
  {
    let world = try readyWorld(venue, seed: 12)
    world.keepsRequests = true
    try world.run(for: 2 * Self.second)
    let ids = world.requests.compactMap { text -> UInt64? in
      guard case .insert(let id)? = ConformanceWorld.kind(ofID: text) else { return nil }
      return id
    }
    #expect(Set(ids).count == ids.count)
    try settle(world, venue)
  }

  @Test(arguments: VenueUnderTest.allCases, [UInt64(21), 22, 23, 24])
  func `R07_ under a mixture of faults the books are equal in the end and no limit is passed`(
    venue: VenueUnderTest, seed: UInt64
  ) throws {
    let world = try readyWorld(venue, seed: seed)
    var random = TestSupport.SplitMix(seed: seed &* 77)
    world.fate = { role, _ in
      guard role != .ticker, role != .other, role != .sessionReply else { return .pass }
      switch Int.random(in: 0..<50, using: &random) {
      case 0: return .drop
      case 1: return .copies([0, Nanoseconds.random(in: 0...1_000_000_000, using: &random)])
      case 2...4: return role == .book ? .pass : .copies([Nanoseconds.random(in: 0...500_000_000, using: &random)])
      default: return .pass
      }
    }
    world.requestFate = { _, _ in !random.chance(10) }
    for _ in 0..<3 {
      try world.run(for: Nanoseconds.random(in: 3...9, using: &random) * Self.second)
      world.drop()
    }
    try world.run(for: 5 * Self.second)
    try settle(world, venue, "seed \(seed)")
  }
}
