import CSupport
import TestSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// A lane that quotes with mass quotes against the simulated venue.
@Suite struct MassQuoteTests {
  private let second: Nanoseconds = 1_000_000_000

  private func settings(maximumPosition: Int64 = 200) -> LaneSettings {
    var settings = LaneWorld.settings(maximumPosition: maximumPosition)
    settings.instruments[0].usesMassQuotes = true
    settings.protection.trade = DecimalE8(e8: 10 * 100_000_000)
    settings.protection.quote = settings.protection.trade
    return settings
  }

  private func stop(_ world: LaneWorld) throws -> AccountBooks {
    world.requestStop()
    let stopped = try world.run(until: { $0.lane.isStopped })
    #expect(stopped)
    #expect(world.lane.stop.isVerified)
    return try #require(world.books)
  }

  @Test func `both sides rest, replaced with one message each time, and the books agree in the end`() throws {
    let world = try LaneWorld(settings: settings())
    world.recordsRequests = true
    #expect(try world.run(until: { $0.isReady }))
    try world.run(for: 20 * second)
    // A fill that meets a mass quote under way is asked about; that lasts milliseconds.
    #expect(try world.run(limit: second) { $0.isTwoSided && $0.lane.core.tracker.unknownCount == 0 })
    #expect(!world.requests.contains { $0.contains("private/insert") || $0.contains("private/amend") })
    let quotes = world.requests.filter { $0.contains("private/mass_quote") }
    #expect(quotes.count > 10)
    #expect(world.lane.core.counters.rejects == 0)
    let books = try stop(world)
    let position = try #require(books.positions.first { $0.instrument == "BTC-PERPETUAL" })
    #expect(books.openOrders.isEmpty)
    #expect(world.position == position.lots)
    #expect(world.fills == books.fills.count)
    #expect(world.fills > 0)
    #expect(books.rateViolations == 0)
    #expect(world.adjustments == 0)
  }

  @Test func `a group that is used up rests, is set again after the pause, and quoting goes on`() throws {
    var settings = settings()
    settings.protection.trade = DecimalE8(e8: 20 * 100_000)
    let world = try LaneWorld(settings: settings)
    #expect(try world.run(until: { $0.isReady }))
    let isHit = try world.run(limit: 60 * second) { ($0.lane.core.protection(0)?.hits ?? 0) > 0 }
    #expect(isHit)
    #expect(world.block == .protection)
    let since = world.now
    let isBack = try world.run { $0.quoted.bids > 0 && $0.quoted.asks > 0 }
    #expect(isBack)
    #expect(world.now - since >= settings.protection.pause)
    #expect(world.lane.core.tracker.unknownCount == 0)
    let books = try stop(world)
    #expect(world.position == books.positions.first { $0.instrument == "BTC-PERPETUAL" }?.lots)
  }

  @Test func `a group that trades little at a time is refilled and quoting never rests`() throws {
    var settings = settings()
    settings.protection.trade = DecimalE8(e8: 60 * 100_000)
    settings.protection.window = second / 2
    let world = try LaneWorld(settings: settings)
    world.recordsRequests = true
    #expect(try world.run(until: { $0.isReady }))
    try world.run(for: 20 * second)
    #expect(world.requests.filter { $0.contains("set_mm_protection") }.count > 5)
    #expect(world.fills > 5)
    #expect(world.lane.core.protection(0)?.state != .unset)
    let books = try stop(world)
    #expect(world.position == books.positions.first { $0.instrument == "BTC-PERPETUAL" }?.lots)
  }

  @Test(arguments: [4, 20, 23, 51])
  func `R44 R62 a mass quote that is refused as a whole leaves nothing behind and is tried again`(code: Int) throws {
    let world = try LaneWorld(settings: settings())
    #expect(try world.run(until: { $0.isReady }))
    try world.run(for: 2 * second)
    var left = 3
    world.fate = { text in
      guard text.contains("private/mass_quote"), left > 0 else { return .pass }
      left -= 1
      return .refuse(code)
    }
    try world.run(for: 30 * second)
    #expect(left == 0)
    world.fate = nil
    try world.run(for: 20 * second)
    #expect(try world.run(limit: second) { $0.isTwoSided && $0.lane.core.tracker.unknownCount == 0 })
    // What has been taken since ends the streak.
    #expect(world.lane.core.refusalCode(0) == 0)
    let books = try stop(world)
    #expect(world.position == books.positions.first { $0.instrument == "BTC-PERPETUAL" }?.lots)
    #expect(world.fills == books.fills.count)
  }

  @Test func `R01 R19 a mass quote that is not answered is of unknown outcome until a query has told`() throws {
    let world = try LaneWorld(settings: settings())
    #expect(try world.run(until: { $0.isReady }))
    try world.run(for: 2 * second)
    world.tamper = { $0.contains("n_success") || $0.hasPrefix("{\"channel_name\":\"session.orders") ? nil : $0 }
    #expect(try world.run(limit: 10 * second) { $0.lane.core.tracker.unknownCount > 0 })
    world.tamper = nil
    #expect(try world.run(limit: 20 * second) { $0.lane.core.tracker.unknownCount == 0 })
    try world.run(for: 5 * second)
    #expect(world.quoted.bids > 0 && world.quoted.asks > 0)
    let books = try stop(world)
    #expect(world.position == books.positions.first { $0.instrument == "BTC-PERPETUAL" }?.lots)
  }

  /// Private frames lost, repeated and late, requests lost, connections broken, noticed or not.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func `R08 R11 with mass quotes, whatever is lost or late, exposure stays within the limit`(seed: UInt64) throws {
    let limit: Int64 = 100
    var configuration = VenueConfiguration()
    configuration.notifiesBeforeReply = seed % 2 == 0
    let world = try LaneWorld(seed: seed, settings: settings(maximumPosition: limit), venue: configuration)
    world.latency = Int64(seed % 5) * 4_000_000 + 100_000
    var random = TestSupport.SplitMix(seed: seed &* 77)
    world.schedule = { text in
      let isFeed = text.hasPrefix("{\"channel_name\":\"session") || text.hasPrefix("{\"channel_name\":\"account")
      guard isFeed && !text.contains("\"snapshot\":true") || text.contains("n_success") else { return [0] }
      let late: Nanoseconds = random.chance(200) ? .random(in: 1...500_000_000, using: &random) : 0
      if random.chance(20) { return [] }
      return isFeed && random.chance(100) ? [late, late + 30_000_000] : [late]
    }
    world.fate = { $0.contains("private/mass_quote") && random.chance(10) ? .swallow : .pass }
    for _ in 0..<5 {
      try world.run(for: .random(in: second...12 * second, using: &random))
      switch Int.random(in: 0..<4, using: &random) {
      case 0: world.drop()
      case 1: world.dropUnnoticed()
      default: break
      }
    }
    world.schedule = nil
    world.fate = nil
    _ = try world.run(limit: 60 * second, until: { $0.isReady })
    try world.run(for: 8 * second)
    let books = try stop(world)
    let position = try #require(books.positions.first { $0.instrument == "BTC-PERPETUAL" })
    #expect(books.openOrders.isEmpty, "seed \(seed)")
    #expect(world.lane.core.tracker.unknownCount == 0, "seed \(seed)")
    #expect(world.position == position.lots, "seed \(seed)")
    #expect(
      position.worstLongLots <= limit && position.worstShortLots <= limit,
      "seed \(seed): long \(position.worstLongLots), short \(position.worstShortLots), adjustments \(world.adjustments)"
    )
    #expect(books.rateViolations == 0, "seed \(seed)")
    #expect(books.fills.count > 0, "seed \(seed)")
  }
}

extension LaneWorld {
  fileprivate var isTwoSided: Bool { quoted.bids > 0 && quoted.asks > 0 }
}
