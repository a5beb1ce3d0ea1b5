import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

@Suite struct VenueFeedsTests {
  /// Writes a recording of one ticker at a time in seconds; packed by gzip if asked.
  private func record(_ name: String, second: Int, bid: String, ask: String, packed: Bool = false) throws -> String {
    let path = NSTemporaryDirectory() + "/apus-\(UUID().uuidString)-\(name).jsonl"
    let text =
      "\(second)000000000 {\"stream\":\"x@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":1,\"s\":\"X\",\"b\":\"\(bid)\","
      + "\"B\":\"5\",\"a\":\"\(ask)\",\"A\":\"5\",\"T\":1,\"E\":1}}\n"
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    guard packed else { return path }
    let gzip = Process()
    gzip.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    gzip.arguments = ["gzip", "--", path]
    try gzip.run()
    gzip.waitUntilExit()
    return path + ".gz"
  }

  private func times(_ flow: any MarketFlow) -> [Nanoseconds] {
    var times: [Nanoseconds] = []
    var events: [FlowEvent] = []
    while let time = flow.nextTime {
      times.append(time)
      flow.next(into: &events)
    }
    return times
  }

  @Test(arguments: [false, true])
  func `recordings of the same hour keep their distance, and set the first index`(packed: Bool) throws {
    let bitcoin = try record("a", second: 1_700_000_003, bid: "99000", ask: "99002", packed: packed)
    let ether = try record("b", second: 1_700_000_000, bid: "4000.5", ask: "4000.7")
    defer { for path in [bitcoin, ether] { unlink(path) } }
    var instruments = VenueConfiguration().instruments
    let feeds = try VenueFeeds(
      [.init(path: bitcoin, instrument: "BTC-PERPETUAL"), .init(path: ether, instrument: "ETH-PERPETUAL")],
      for: &instruments, speedThousandths: 2000)
    #expect(times(feeds.flow) == [0, 1_500_000_000])
    #expect(instruments.map(\.initialIndexE8) == [99_001_00000000, 4_000_60000000])
  }

  @Test func `recordings of different days all begin at 0`() throws {
    let bitcoin = try record("a", second: 1_700_000_000, bid: "99000", ask: "99002")
    let ether = try record("b", second: 1_700_100_000, bid: "4000.5", ask: "4000.7")
    defer { for path in [bitcoin, ether] { unlink(path) } }
    var instruments = VenueConfiguration().instruments
    let feeds = try VenueFeeds(
      [.init(path: bitcoin, instrument: "BTC-PERPETUAL"), .init(path: ether, instrument: "ETH-PERPETUAL")],
      for: &instruments)
    #expect(times(feeds.flow) == [0, 0])
  }

  @Test func `what feeds an inverse contract counts in its own currency`() throws {
    let path = try record("a", second: 1_700_000_000, bid: "60000", ask: "60001")
    defer { unlink(path) }
    var specs = [DeribitInstrument.btcPerpetual.spec, DeribitInstrument.btcLinear.spec]
    let feeds = try VenueFeeds(
      [.init(path: path, instrument: "BTC-PERPETUAL"), .init(path: path, instrument: "BTC_USDC-PERPETUAL")], for: &specs
    )
    var events: [FlowEvent] = []
    while feeds.flow.nextTime != nil { feeds.flow.next(into: &events) }
    // 5 BTC: 300,000 USD in contracts of 10, or 50,000 of 0.0001 BTC.
    #expect(events.contains(.level(0, .buy, 120_000, 30_000)) && events.contains(.level(0, .sell, 120_002, 30_000)))
    #expect(events.contains(.level(1, .buy, 600_000, 50_000)) && events.contains(.level(1, .sell, 600_010, 50_000)))
  }

  @Test func `an instrument fed twice or not listed is refused`() throws {
    let path = try record("a", second: 1_700_000_000, bid: "99000", ask: "99002")
    defer { unlink(path) }
    var instruments = VenueConfiguration().instruments
    let twice = VenueFeeds.Source(path: path, instrument: "BTC-PERPETUAL")
    #expect(throws: VenueFeeds.Failure.self) { _ = try VenueFeeds([twice, twice], for: &instruments) }
    #expect(throws: VenueFeeds.Failure.self) {
      _ = try VenueFeeds([.init(path: path, instrument: "XRP-PERPETUAL")], for: &instruments)
    }
  }
}
