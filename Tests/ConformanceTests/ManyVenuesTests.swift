import CSupport
import TestSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// Several venues on virtual time, with the engine's manager over them.
final class Desk {
  let worlds: [ConformanceWorld]
  private let work: ManagerWork
  private var now: Nanoseconds = 0
  /// The largest |position| and worst case over all venues seen, 10⁻⁸ coins.
  private(set) var largestPosition: Int64 = 0
  private(set) var largestWorst: Int64 = 0

  /// - Parameters:
  ///   - references: those of the venues that are only looked at.
  ///   - change: of what every lane's settings are.
  init(
    _ venues: [VenueUnderTest], seed: UInt64, underlying: UnderlyingSettings, references: Set<Int> = [],
    change: (inout ManagerSettings) -> Void = { _ in }
  ) throws {
    var settings = ManagerSettings()
    settings.underlyings = [underlying]
    settings.referenceLanes = references
    change(&settings)
    let isShared = !settings.underlyings.isEmpty
    var links: [ManagerLink] = []
    worlds = try venues.enumerated().map { index, venue in
      var settings = venue.settings()
      settings.instruments[0].awaitsDirective = isShared && !references.contains(index)
      settings.isReference = references.contains(index)
      let world = try venue.world(seed: seed, settings: settings)
      let updates = try Ring(capacity: 64)
      let tops = try Ring(capacity: 64)
      let directives = try Ring(capacity: 64)
      links.append(
        ManagerLink(
          updates: updates.consumer, tops: .some(tops.consumer), directives: directives.producer, waker: nil,
          control: LaneControl()))
      world.attach(
        updates: updates.producer, tops: tops.producer, directives: directives.consumer, names: [venue.instrument])
      return world
    }
    work = ManagerWork(
      manager: StrategyManager(settings: settings, instruments: venues.map { [$0.instrument] }), lanes: links)
  }

  /// `stalled` are the worlds that do not move.
  func run(for duration: Nanoseconds, stalled: Set<Int> = []) throws {
    for _ in 0..<(duration / 2_000_000) {
      for (index, world) in worlds.enumerated() where !stalled.contains(index) { try world.run(for: 2_000_000) }
      now += 2_000_000
      work.turn(now: now)
      note()
    }
  }

  private func note() {
    var position: Int64 = 0, long: Int64 = 0, short: Int64 = 0
    for world in worlds {
      guard let coins = world.coins() else { return }
      position += coins.position
      long += coins.long
      short += coins.short
    }
    largestPosition = max(largestPosition, abs(position))
    largestWorst = max(largestWorst, long, short)
  }

  var position: Int64? {
    worlds.reduce(Optional(0)) { sum, world in
      guard let sum, let coins = world.coins() else { return nil }
      return sum + coins.position
    }
  }
}

@Suite struct ManyVenuesTests {
  private static let second: Nanoseconds = 1_000_000_000
  private static let coin: Int64 = 100_000_000

  @Test(arguments: [UInt64(1), 2, 3])
  func `R07_ the worst case over all venues stays within the limit of the underlying`(seed: UInt64) throws {
    // Each venue alone may hold 0.5 coins; all three together 0.3.
    let limit = 3 * Self.coin / 10
    let desk = try Desk(
      [.thalex, .deribit, .deribitLinear], seed: seed, underlying: UnderlyingSettings(name: "BTC", maximumE8: limit))
    try desk.run(for: 60 * Self.second)
    #expect(desk.worlds.allSatisfy { ($0.books?.fills.count ?? 0) > 0 })
    // The mark moves: so does what inverse lots are in coins, by less than a hundredth here.
    #expect(desk.largestWorst <= limit + limit / 100)
    #expect(desk.largestWorst > limit / 2)
  }

  @Test func `R07_ a dark venue's worst case stays counted, and the others quote on within what is left`() throws {
    let limit = 3 * Self.coin / 10
    let desk = try Desk(
      [.thalex, .deribit, .deribitLinear], seed: 4, underlying: UnderlyingSettings(name: "BTC", maximumE8: limit))
    try desk.run(for: 15 * Self.second)
    desk.worlds[1].isUnreachable = true
    desk.worlds[1].drop()
    let before = desk.worlds[0].counters.amends + desk.worlds[0].counters.inserts
    try desk.run(for: 30 * Self.second)
    #expect(desk.worlds[0].counters.amends + desk.worlds[0].counters.inserts > before)
    #expect(desk.largestWorst <= limit + limit / 100)
    desk.worlds[1].isUnreachable = false
    try desk.run(for: 20 * Self.second)
    #expect(desk.worlds[1].isReady && desk.worlds[1].books?.openOrders.isEmpty == false)
    #expect(desk.largestWorst <= limit + limit / 100)
  }

  @Test func `a venue that stands still holds up nobody`() throws {
    let desk = try Desk(
      [.thalex, .deribit], seed: 5, underlying: UnderlyingSettings(name: "BTC", maximumE8: 2 * Self.coin))
    try desk.run(for: 15 * Self.second)
    let before = desk.worlds[0].counters.looks
    try desk.run(for: 10 * Self.second, stalled: [1])
    #expect(desk.worlds[0].counters.looks > before && desk.worlds[0].isReady)
    #expect(desk.worlds[0].books?.openOrders.isEmpty == false)
  }

  /// What becomes of the second of three venues.
  enum Trouble: CaseIterable {
    case none, stalled, throttled, killed
  }

  /// Every request of the first and the third lane with its time, while the second one is in trouble from 5 s to 15 s.
  private static func decisions(_ trouble: Trouble) throws -> [[String]] {
    final class Log { var lines: [[String]] = [[], []] }
    let log = Log()
    let desk = try Desk(
      [.thalex, .deribitLinear, .deribit], seed: 8, underlying: UnderlyingSettings(name: "BTC", maximumE8: coin)
    ) { $0.underlyings = [] }
    for (place, index) in [0, 2].enumerated() {
      let world = desk.worlds[index]
      world.requestFate = { [unowned world] _, text in
        log.lines[place].append("\(world.now) \(text)")
        return true
      }
    }
    let victim = desk.worlds[1]
    try desk.run(for: 5 * second)
    switch trouble {
    case .none, .stalled: break
    case .throttled:
      victim.fate = { _, _ in .copies([700_000_000]) }
      victim.requestFate = { _, text in text.count % 2 == 0 }
    case .killed:
      victim.isUnreachable = true
      victim.drop()
    }
    try desk.run(for: 10 * second, stalled: trouble == .stalled ? [1] : [])
    victim.fate = nil
    victim.requestFate = nil
    victim.isUnreachable = false
    try desk.run(for: 5 * second)
    return log.lines
  }

  @Test func `one venue stalled, throttled or killed: what the other lanes send is the same to the nanosecond`() throws {
    let usual = try Self.decisions(.none)
    #expect(usual.allSatisfy { $0.count > 100 })
    for trouble in Trouble.allCases where trouble != .none {
      let others = try Self.decisions(trouble)
      #expect(others == usual, "\(trouble)")
    }
  }

  @Test func `a venue that is only looked at gets no order, and its prices are in the fair value of the other`() throws {
    var underlying = UnderlyingSettings(name: "BTC", maximumE8: 2 * Self.coin)
    underlying.fair = FairValue.Settings()
    underlying.fair!.outlierCentiBps = 100_000
    let desk = try Desk([.thalex, .deribitLinear], seed: 9, underlying: underlying, references: [1])
    try desk.run(for: 20 * Self.second)
    #expect(desk.worlds[1].isReady && desk.worlds[1].block == .referenceOnly)
    #expect(desk.worlds[1].counters.inserts == 0 && desk.worlds[1].books?.openOrders.isEmpty == true)
    #expect(desk.worlds[0].books?.openOrders.isEmpty == false)
    let both = desk.worlds[0].directive.fairValueE8
    #expect(both > 0 && desk.worlds[1].directive.fairValueE8 == 0)
    // Without the reference the value is the first venue's own.
    desk.worlds[1].isUnreachable = true
    desk.worlds[1].drop()
    try desk.run(for: 5 * Self.second)
    #expect(desk.worlds[0].directive.fairValueE8 > 0 && desk.worlds[0].directive.fairValueE8 != both)
    #expect(desk.worlds[0].books?.openOrders.isEmpty == false)
  }

  @Test func `without the venue that hedges the other one stops, and goes on when it is back`() throws {
    var hedge = UnderlyingSettings.Hedge(lane: 1, instrument: 0, bandE8: Self.coin / 20, slippageCentiBps: 1000)
    hedge.whenLost = .stop
    let desk = try Desk(
      [.thalex, .deribitLinear], seed: 10,
      underlying: UnderlyingSettings(name: "BTC", maximumE8: 2 * Self.coin, hedge: hedge))
    try desk.run(for: 15 * Self.second)
    #expect(desk.worlds[0].books?.openOrders.isEmpty == false)
    desk.worlds[1].isUnreachable = true
    desk.worlds[1].drop()
    try desk.run(for: 2 * Self.second)
    #expect(desk.worlds[0].books?.openOrders.isEmpty == true && desk.worlds[0].block == .directive)
    desk.worlds[1].isUnreachable = false
    try desk.run(for: 20 * Self.second)
    #expect(desk.worlds[1].isReady && desk.worlds[0].books?.openOrders.isEmpty == false)
  }

  @Test(arguments: [UInt64(11), 12])
  func `an order that waits hedges, and one that takes is the exception`(seed: UInt64) throws {
    var hedge = UnderlyingSettings.Hedge(lane: 1, instrument: 0, bandE8: Self.coin / 20, slippageCentiBps: 1000)
    hedge.patience = 3 * Self.second
    hedge.perMinuteE8 = Self.coin
    let desk = try Desk(
      [.thalex, .deribitLinear], seed: seed,
      underlying: UnderlyingSettings(name: "BTC", maximumE8: 2 * Self.coin, hedge: hedge))
    try desk.run(for: 90 * Self.second)
    let position = try #require(desk.position)
    #expect(abs(position) < Self.coin / 2 && desk.worlds[1].counters.rejects == 0)
    #expect((desk.worlds[1].books?.fills.count ?? 0) > desk.worlds[1].counters.hedges)
  }

  @Test(arguments: [UInt64(6), 7])
  func `what is filled at one venue is hedged at the other`(seed: UInt64) throws {
    let band = Self.coin / 20
    let desk = try Desk(
      [.thalex, .deribitLinear], seed: seed,
      underlying: UnderlyingSettings(
        name: "BTC", maximumE8: 2 * Self.coin,
        hedge: .init(lane: 1, instrument: 0, bandE8: band, slippageCentiBps: 1000)))
    try desk.run(for: 90 * Self.second)
    #expect(desk.worlds[1].counters.hedges > 0)
    let position = try #require(desk.position)
    // A ladder's side may be filled at once at both venues before the hedge is there.
    #expect(abs(position) <= band + Self.coin / 10 && desk.largestPosition < Self.coin / 2)
    #expect(desk.worlds[1].counters.rejects == 0)
  }
}
