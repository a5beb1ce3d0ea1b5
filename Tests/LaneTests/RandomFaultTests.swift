import CSupport
import TestSupport
import Testing

@testable import Apus
@testable import ApusExchange

@Suite struct RandomFaultTests {
  /// Halts and re-armings at random moments, while the network does what it likes.
  @Test(arguments: 1...16 as ClosedRange<UInt64>)
  func `R10 R11 R52 whenever a halt is verified nothing of ours rests at the venue, whatever was lost or late`(
    seed: UInt64
  ) throws {
    let second: Nanoseconds = 1_000_000_000
    let world = try LaneWorld(seed: seed)
    world.latency = Int64(seed % 4) * 5_000_000 + 100_000
    var random = TestSupport.SplitMix(seed: seed &* 131)
    world.schedule = { text in
      let isFeed = text.hasPrefix("{\"channel_name\":\"session") || text.hasPrefix("{\"channel_name\":\"account")
      guard isFeed && !text.contains("\"snapshot\":true") || text.hasPrefix("{\"id\":") && text.contains("order_id")
      else { return [0] }
      if random.chance(20) { return [] }
      return [random.chance(200) ? .random(in: 1...500_000_000, using: &random) : 0]
    }
    world.fate = { text in
      let mayBeLost = ["private/insert", "private/amend", "private/cancel", "open_orders"].contains(
        where: text.contains)
      return mayBeLost && random.chance(30) ? .swallow : .pass
    }
    _ = try world.run(until: { $0.quoted.bids > 0 && $0.quoted.asks > 0 })
    for round in 0..<6 {
      try world.run(for: .random(in: 1...3 * second, using: &random))
      let level = [StopLevel.cancelAll, .cancelAll, .flatten].randomElement(using: &random) ?? .cancelAll
      world.halt(level, HaltCause.allCases[Int.random(in: 0..<8, using: &random)])
      if random.chance(300) {
        try world.run(for: .random(in: 1...200_000_000, using: &random))
        world.drop()
      }
      let verified = try world.run(
        limit: 90 * second,
        until: { [.verified, .closing, .flat].contains($0.outcome) && $0.lane.core.tracker.inFlightCount == 0 })
      #expect(verified, "seed \(seed), round \(round): \(world.outcome), \(world.lane.stop)")
      if level == .cancelAll {
        #expect(world.books?.openOrders.isEmpty == true, "seed \(seed), round \(round)")
      }
      // What was swallowed or late cannot bring an order back.
      try world.run(for: 2 * second)
      #expect(world.books?.openOrders.isEmpty == true, "seed \(seed), round \(round), later")
      world.rearm()
    }
    let position = try #require(world.books?.positions.first { $0.instrument == "BTC-PERPETUAL" })
    #expect(position.worstLongLots <= 500 && position.worstShortLots <= 500, "seed \(seed)")
  }

  /// Private frames lost, repeated and late, requests lost, connections broken, noticed or not.
  @Test(arguments: 1...30 as ClosedRange<UInt64>)
  func `R08 R11 whatever is lost, repeated or late, exposure stays within the limit and a stop ends with equal books`(
    seed: UInt64
  ) throws {
    let second: Nanoseconds = 1_000_000_000
    let limit: Int64 = 100
    var configuration = VenueConfiguration()
    configuration.notifiesBeforeReply = seed % 2 == 0
    let world = try LaneWorld(seed: seed, settings: LaneWorld.settings(maximumPosition: limit), venue: configuration)
    world.latency = Int64(seed % 5) * 4_000_000 + 100_000
    var random = TestSupport.SplitMix(seed: seed &* 77)
    world.schedule = { text in
      let isFeed = text.hasPrefix("{\"channel_name\":\"session") || text.hasPrefix("{\"channel_name\":\"account")
      guard isFeed && !text.contains("\"snapshot\":true") || text.hasPrefix("{\"id\":") && text.contains("order_id")
      else {
        return [0]
      }
      let late: Nanoseconds = random.chance(200) ? .random(in: 1...500_000_000, using: &random) : 0
      if random.chance(20) { return [] }
      if random.chance(10) { return [.random(in: 4_000_000_000...8_000_000_000, using: &random)] }
      // There is one reply to each request; feed items may repeat.
      return isFeed && random.chance(100) ? [late, late + 30_000_000] : [late]
    }
    world.fate = { text in
      (text.contains("private/insert") || text.contains("private/amend")) && random.chance(10) ? .swallow : .pass
    }
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
    world.requestStop()
    let stopped = try world.run(until: { $0.lane.isStopped })
    #expect(stopped, "seed \(seed)")
    #expect(world.lane.stop.isVerified, "seed \(seed)")
    let books = try #require(world.books)
    let position = try #require(books.positions.first { $0.instrument == "BTC-PERPETUAL" })
    #expect(books.openOrders.isEmpty, "seed \(seed)")
    #expect(world.lane.core.tracker.unknownCount == 0, "seed \(seed)")
    #expect(world.position == position.lots, "seed \(seed)")
    #expect(position.maximumLots <= limit, "seed \(seed)")
    #expect(
      position.worstLongLots <= limit && position.worstShortLots <= limit,
      "seed \(seed): long \(position.worstLongLots), short \(position.worstShortLots), adjustments \(world.adjustments), impossible \(world.lane.core.tracker.counters)"
    )
    #expect(books.rateViolations == 0, "seed \(seed)")
    if world.adjustments == 0 {
      #expect(world.fills == books.fills.count, "seed \(seed)")
      #expect(world.feesE8 == position.feesE8, "seed \(seed)")
    }
  }
}
