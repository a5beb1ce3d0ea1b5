import Apus
import CSupport
import Foundation
import Testing

@testable import ApusExchange

/// What a recording of a venue's stream plays.
@Suite struct StreamFlowTests {
  private static let channel = "book.BTC-PERPETUAL.none.2.raw"
  private let grid = InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1))

  /// Writes runs of a recorder, each a list of times in seconds and texts.
  private func record(_ runs: [[(second: Double, text: String)]], levels: String = "2") throws -> String {
    let path = NSTemporaryDirectory() + "/apus-stream-\(UUID().uuidString)"
    let description = RecordingDescription(url: "ws://x/y?secret", instruments: ["BTC-PERPETUAL"], levels: levels)
    #expect(description.url == "ws://x/y")
    let first = try JSONEncoder().encode(description)
    for (index, run) in runs.enumerated() {
      var ends = try JournalEnds(
        path: path, name: "x",
        configuration: JournalConfiguration(segmentBytes: 64 << 10, bootEpoch: UInt64(index + 1), sync: .none),
        now: Nanoseconds((run.first?.second ?? 0) * 1e9))
      let start = Nanoseconds((run.first?.second ?? 0) * 1e9)
      var records: [(JournalKind, Nanoseconds, [UInt8])] = [
        (.run, start, Array(first)), (.inbound, start, Array(Self.listing.utf8)),
      ]
      records += run.map { (.inbound, Nanoseconds($0.second * 1e9), Array($0.text.utf8)) }
      for (kind, time, bytes) in records {
        try ends.service.service(now: time)
        let isWritten = bytes.withUnsafeBytes { ends.writer.append(kind, connection: 1, time: time, payload: $0) }
        #expect(isWritten)
      }
    }
    return path
  }

  private static let listing =
    "{\"id\":\(RequestID.session(.instruments)),\"result\":[{\"instrument_name\":\"BTC-PERPETUAL\","
    + "\"tick_size\":1,\"volume_tick_size\":0.001,\"min_order_amount\":0.001,\"type\":\"perpetual\"}]}"

  private func book(_ bids: String, _ asks: String, trades: String = "", snapshot: Bool = false) -> String {
    "{\"channel_name\":\"\(Self.channel)\",\"notification\":{\"trades\":[\(trades)],\"bid_changes\":[\(bids)],"
      + "\"ask_changes\":[\(asks)],\"total_bid_amount\":1,\"total_ask_amount\":1,\"time\":1776715497.2}"
      + (snapshot ? ",\"snapshot\":true}" : "}")
  }

  private func ticker(_ index: Int) -> String {
    "{\"channel_name\":\"ticker.BTC-PERPETUAL.raw\",\"notification\":{\"mark_price\":\(index),\"mark_timestamp\":1776715497.2,"
      + "\"best_bid_price\":99,\"best_bid_amount\":1,\"best_ask_price\":101,\"best_ask_amount\":1,\"last_price\":100,"
      + "\"index\":\(index)}}"
  }

  private func play(_ path: String, grid: InstrumentGrid, speed: Int64 = 1000) throws -> [(Nanoseconds, [FlowEvent])] {
    let flow = try StreamFlow(
      directory: path, instruments: ["BTC-PERPETUAL": FlowInstrument(index: 3, grid: grid)], speedThousandths: speed)
    var steps: [(Nanoseconds, [FlowEvent])] = []
    while let time = flow.nextTime {
      var events: [FlowEvent] = []
      flow.next(into: &events)
      steps.append((time, events))
    }
    return steps
  }

  @Test func `levels, trades and the index come in order, and a snapshot takes away what it does not have`() throws {
    let path = try record([
      [
        (0, book("[99,1,1],[98,2,2]", "[101,1,1]", snapshot: true)), (1, ticker(100)),
        (2, book("[99,0.5,0.5]", "", trades: "[99,0.5,\"sell\",1776715490.1,false]")),
        (3, book("[97,4,4]", "[102,1,1]", snapshot: true)), (4, ticker(100)), (5, ticker(105)),
      ]
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let steps = try play(path, grid: grid)
    #expect(steps.map(\.0) == [0, 1, 2, 3, 5].map { $0 * 1_000_000_000 })
    #expect(steps[0].1 == [.level(3, .buy, 98, 2000), .level(3, .buy, 99, 1000), .level(3, .sell, 101, 1000)])
    #expect(steps[1].1 == [.index(3, e8: 100_00000000)])
    #expect(steps[2].1 == [.trade(3, aggressor: .sell, 99, 500), .level(3, .buy, 99, 500)])
    #expect(
      steps[3].1 == [
        .level(3, .buy, 97, 4000), .level(3, .buy, 98, 0), .level(3, .buy, 99, 0), .level(3, .sell, 101, 0),
        .level(3, .sell, 102, 1000),
      ])
    #expect(steps[4].1 == [.index(3, e8: 105_00000000)])
    let fast = try play(path, grid: grid, speed: 10_000)
    #expect(fast.map(\.0) == steps.map { $0.0 / 10 })
  }

  @Test func `levels beyond the recorded depth are forgotten`() throws {
    let path = try record([
      [
        (0, book("[99,1,1],[98,1,1]", "[101,1,1]", snapshot: true)), (1, book("[100,1,1]", "")),
      ]
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let steps = try play(path, grid: grid)
    #expect(steps[1].1 == [.level(3, .buy, 98, 0), .level(3, .buy, 100, 1000)])
  }

  @Test func `on a coarser grid sizes are gathered, bids down and asks up`() throws {
    let path = try record([[(0, book("[99,1,1],[98,2,2]", "[101,1,1],[104,3,3]", snapshot: true))]])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let coarse = InstrumentGrid(tickE8: 500_000_000, lotE8: 100_000_000, minimumLots: QtyLots(rawValue: 1))
    let steps = try play(path, grid: coarse)
    #expect(steps[0].1 == [.level(3, .buy, 19, 3), .level(3, .sell, 21, 4)])
  }

  @Test func `a pause between two runs is cut to a second, and the book of the first one taken away`() throws {
    let path = try record([
      [(0, book("[99,1,1]", "[101,1,1]", snapshot: true)), (1, ticker(100))],
      [(50_000, book("[90,1,1]", "[91,1,1]", snapshot: true)), (50_001, ticker(90))],
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let steps = try play(path, grid: grid)
    #expect(steps.count == 4)
    #expect(steps[2].1.contains(.level(3, .buy, 99, 0)) && steps[2].1.contains(.level(3, .sell, 101, 0)))
    // The wall clock of the segments is this test's own: the second run begins at most a second behind the first.
    #expect(steps[2].0 - steps[1].0 <= 1_100_000_000)
    #expect(steps[3].0 - steps[2].0 == 1_000_000_000)
  }

  @Test func `a damaged segment is passed over and counted`() throws {
    let texts = (0..<900).map { (Double($0), book("[\(90 + $0 % 9),1,1]", "[101,\(1 + $0 % 7),1]", snapshot: true)) }
    let path = try record([texts])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let whole = try play(path, grid: grid).count
    let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    try #require(names.count > 3)
    let victim = "\(path)/\(names[1])"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: victim))
    bytes[2000] ^= 255
    try bytes.write(to: URL(fileURLWithPath: victim))
    let flow = try StreamFlow(directory: path, instruments: ["BTC-PERPETUAL": FlowInstrument(index: 0, grid: grid)])
    var count = 0
    var events: [FlowEvent] = []
    while flow.nextTime != nil {
      flow.next(into: &events)
      count += 1
    }
    #expect(flow.statistics.gaps == 1 && count < whole && count > whole / 2)
  }

  @Test func `the beginning tells instruments and prices, and what is no recording is refused`() throws {
    let path = try record([[(0, ticker(123))]])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let beginning = try #require(try StreamFlow.look(at: path))
    #expect(beginning.instruments == ["BTC-PERPETUAL"] && beginning.pricesE8 == ["BTC-PERPETUAL": 123_00000000])
    let empty = path + "-empty"
    try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: empty) }
    let nothing = try StreamFlow.look(at: empty)
    #expect(nothing == nil)
    var instruments = VenueConfiguration().instruments
    #expect(throws: VenueFeeds.Failure.self) {
      _ = try VenueFeeds([.init(path: empty, instrument: nil)], for: &instruments)
    }
    #expect(throws: VenueFeeds.Failure.self) {
      _ = try VenueFeeds([.init(path: path, instrument: "ETH-PERPETUAL")], for: &instruments)
    }
  }
}
