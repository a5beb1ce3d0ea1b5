import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// A recording in the collector's format, made up for the test.
private final class Recording {
  let path: String

  init(_ lines: [String], name: String = "feed.jsonl") throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    path = directory.appendingPathComponent(name).path
    try Data(lines.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: path))
  }

  deinit { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }

  static func depth(_ time: Int, first: Int, last: Int, before: Int, bids: String, asks: String) -> String {
    "\(time) {\"stream\":\"btcusdt@depth@0ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":1,\"T\":1,\"s\":\"BTCUSDT\",\"U\":\(first),\"u\":\(last),\"pu\":\(before),\"b\":[\(bids)],\"a\":[\(asks)]}}"
  }
  static func ticker(_ time: Int, id: Int, _ bid: String, _ bidSize: String, _ ask: String, _ askSize: String) -> String
  {
    "\(time) {\"stream\":\"btcusdt@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":\(id),\"s\":\"BTCUSDT\",\"b\":\"\(bid)\",\"B\":\"\(bidSize)\",\"a\":\"\(ask)\",\"A\":\"\(askSize)\",\"T\":1,\"E\":1}}"
  }
  static func trade(_ time: Int, _ price: String, _ size: String, sells: Bool) -> String {
    "\(time) {\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":1,\"T\":1,\"s\":\"BTCUSDT\",\"t\":5,\"p\":\"\(price)\",\"q\":\"\(size)\",\"X\":\"MARKET\",\"m\":\(sells)}}"
  }
  static func snapshot(_ time: Int, id: Int, bids: String, asks: String) -> String {
    "\(time) {\"lastUpdateId\":\(id),\"E\":1,\"T\":1,\"bids\":[\(bids)],\"asks\":[\(asks)]}"
  }
}

@Suite struct MarketFlowTests {
  let btc = FlowInstrument(index: 0, grid: InstrumentSpec.btcPerpetual.grid)

  private func play(_ flow: RecordedFlow) -> [(Nanoseconds, [FlowEvent])] {
    var steps: [(Nanoseconds, [FlowEvent])] = []
    while let time = flow.nextTime {
      var events: [FlowEvent] = []
      flow.next(into: &events)
      steps.append((time, events))
    }
    return steps
  }

  /// The levels that the events so far leave standing.
  private func book(_ steps: [(Nanoseconds, [FlowEvent])], _ side: Side) -> [Int64: Int64] {
    var levels: [Int64: Int64] = [:]
    for event in steps.flatMap(\.1) where event.kind == .level && event.side == side {
      levels[event.value] = event.lots == 0 ? nil : event.lots
    }
    return levels
  }

  @Test func `levels are gathered on the venue's grid, bids down and asks up`() throws {
    let file = try Recording([
      Recording.snapshot(
        1000, id: 10, bids: #"["61800.20","2.909"],["61800.10","0.696"],["61799.90","0.004"],["100.00","7"]"#,
        asks: #"["61800.30","1.000"],["61800.90","0.500"],["61801.00","0.250"],["61801.10","0.125"]"#)
    ])
    let flow = try RecordedFlow(path: file.path, instrument: btc)
    let steps = play(flow)
    #expect(book(steps, .buy) == [61_800: 3605, 61_799: 4, 100: 7000])
    #expect(book(steps, .sell) == [61_801: 1750, 61_802: 125])
    #expect(flow.isFinished)
  }

  @Test func `updates inside the snapshot are skipped, newer ones that came before it are applied again`() throws {
    let file = try Recording([
      Recording.depth(1000, first: 1, last: 8, before: 0, bids: #"["61790.00","9.000"]"#, asks: ""),
      Recording.depth(
        1001, first: 11, last: 12, before: 8, bids: #"["61795.00","3.000"]"#, asks: #"["61805.00","2.000"]"#),
      Recording.snapshot(1002, id: 10, bids: #"["61800.00","1.000"]"#, asks: #"["61803.00","1.000"]"#),
      Recording.depth(1003, first: 9, last: 10, before: 8, bids: #"["61791.00","5.000"]"#, asks: ""),
      // A level that was never seen is removed; another changes.
      Recording.depth(
        1004, first: 13, last: 14, before: 12, bids: #"["61700.00","0.000"],["61800.00","0.400"]"#, asks: ""),
      Recording.depth(1005, first: 20, last: 21, before: 17, bids: #"["61800.00","0.000"]"#, asks: ""),
    ])
    let flow = try RecordedFlow(path: file.path, instrument: btc)
    let steps = play(flow)
    #expect(book(steps, .buy) == [61_795: 3000])
    #expect(book(steps, .sell) == [61_805: 2000, 61_803: 1000])
    #expect(flow.statistics.stale == 1)
    #expect(flow.statistics.gaps == 1)
  }

  @Test func `a ticker moves the touch at once, and an older depth update cannot undo it`() throws {
    let file = try Recording([
      Recording.snapshot(
        1000, id: 10, bids: #"["61800.00","1.000"],["61799.00","2.000"]"#,
        asks: #"["61801.00","1.000"],["61802.00","2.000"]"#),
      Recording.ticker(1001, id: 20, "61799.00", "1.500", "61800.00", "0.700"),
      Recording.depth(
        1002, first: 11, last: 15, before: 10, bids: #"["61800.00","4.000"],["61798.00","1.000"]"#,
        asks: #"["61800.00","9.000"]"#),
      Recording.ticker(1003, id: 19, "61900.00", "1.000", "61901.00", "1.000"),
      Recording.depth(
        1004, first: 16, last: 25, before: 15, bids: #"["61799.00","1.600"]"#, asks: #"["61800.00","0.000"]"#),
    ])
    let flow = try RecordedFlow(path: file.path, instrument: btc)
    let steps = play(flow)
    let beforeLast = Array(steps.dropLast())
    #expect(book(beforeLast, .buy) == [61_799: 1500, 61_798: 1000])
    #expect(book(beforeLast, .sell) == [61_800: 700, 61_801: 1000, 61_802: 2000])
    #expect(book(steps, .buy) == [61_799: 1600, 61_798: 1000])
    #expect(book(steps, .sell) == [61_801: 1000, 61_802: 2000])
    #expect(steps.flatMap(\.1).first { $0.kind == .index }?.value == 61_799_50000000)
  }

  @Test func `trades become aggressors on the outer tick, and fractions of a lot add up`() throws {
    let eth = FlowInstrument(index: 1, grid: InstrumentSpec.ethPerpetual.grid)
    let file = try Recording([
      Recording.trade(1000, "2681.62", "0.016", sells: true), Recording.trade(1001, "2681.63", "0.004", sells: false),
      Recording.trade(1002, "2681.62", "0.004", sells: true), Recording.trade(1003, "2681.70", "0.020", sells: false),
    ])
    let flow = try RecordedFlow(path: file.path, instrument: eth)
    #expect(
      play(flow).flatMap(\.1) == [
        .trade(1, aggressor: .sell, 26_816, 1), .trade(1, aggressor: .sell, 26_816, 1),
        .trade(1, aggressor: .buy, 26_817, 2),
      ])
  }

  @Test func `what is not in the format is counted and left out`() throws {
    let good = Recording.trade(1000, "61800.00", "0.016", sells: true)
    var lines = ["", "x", "12", "12 ", "12 {}", "12 {\"stream\":\"a\"}", "12 [1]", "99999999999999999999 {}"]
    for length in stride(from: 6, to: good.utf8.count - 1, by: 3) { lines.append(String(good.prefix(length))) }
    lines.append(#"5 {"stream":"x","data":{"e":"markPrice","p":"1"}}"#)
    lines.append(
      #"6 {"stream":"x","extra":{"q":[1,"}"]},"data":{"m":true,"new":{"a":[1]},"q":"0.010","p":"61799.00","e":"trade"}}"#
    )
    let file = try Recording(lines)
    let flow = try RecordedFlow(path: file.path, instrument: btc)
    #expect(play(flow).flatMap(\.1) == [.trade(0, aggressor: .sell, 61_799, 10)])
    #expect(flow.statistics.malformed == lines.count - 2)
  }

  @Test func `speed scales time, and time never runs backwards`() throws {
    let base = 1_723_161_255_000_000_000
    let lines = [0, 1_000_000_000, 500_000_000, 3_000_000_000].map {
      Recording.trade(base + $0, "61800.00", "1.000", sells: true)
    }
    let file = try Recording(lines)
    let real = try RecordedFlow(path: file.path, instrument: btc, startTime: 7)
    #expect(play(real).map(\.0) == [7, second + 7, second + 7, 3 * second + 7])
    let fast = try RecordedFlow(
      path: file.path, instrument: btc, speedThousandths: 20_000, origin: Nanoseconds(base) - second)
    #expect(play(fast).map(\.0) == [50, 100, 100, 200].map { $0 * millisecond })
  }

  @Test func `a compressed recording reads like a plain one`() throws {
    let lines = (0..<20_000).map {
      Recording.trade(1000 + $0, "61800.\($0 % 10)0", "0.0\(10 + $0 % 90)", sells: $0 % 3 == 0)
    }
    let file = try Recording(lines)
    let plain = play(try RecordedFlow(path: file.path, instrument: btc)).flatMap(\.1)
    let gzip = Process()
    gzip.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    gzip.arguments = ["gzip", "-k", file.path]
    try gzip.run()
    gzip.waitUntilExit()
    let packed = play(try RecordedFlow(path: file.path + ".gz", instrument: btc)).flatMap(\.1)
    #expect(plain.count == 20_000)
    #expect(plain == packed)
    // Left half-read, it lets go of its reader.
    _ = try RecordedFlow(path: file.path + ".gz", instrument: btc)
    #expect(throws: RecordingError.self) { try RecordedFlow(path: file.path + ".nope", instrument: btc) }
  }

  @Test func `the venue shows a recorded book, trades included, and reports the end`() throws {
    let file = try Recording([
      Recording.snapshot(
        1000, id: 10, bids: #"["61800.00","1.000"]"#, asks: #"["61801.00","1.000"],["61802.00","2.000"]"#),
      Recording.trade(1001, "61801.00", "0.400", sells: false),
      // The market jumps: new bids above the old asks, in one update.
      Recording.depth(
        1002, first: 11, last: 15, before: 10, bids: #"["61802.00","4.000"]"#,
        asks: #"["61801.00","0.000"],["61802.00","0.000"],["61803.00","1.000"]"#),
    ])
    let venue = try SimulatedVenue(VenueConfiguration(), flow: RecordedFlow(path: file.path, instrument: btc))
    #expect(!venue.isFinished)
    venue.advance(to: millisecond)
    #expect(venue.isFinished)
    #expect(venue.statistics.trades == 1)
    let id = ConnectionID(1)
    venue.connect(id, now: millisecond)
    venue.receive(
      id, text: #"{"method":"public/book","id":1,"params":{"instrument_name":"BTC-PERPETUAL"}}"#, now: millisecond)
    venue.drain { _, outgoing in
      guard case .text(let bytes) = outgoing else { return }
      #expect(
        String(decoding: bytes, as: UTF8.self).hasPrefix(
          #"{"id":1,"result":{"bids":[[61802,4,4],[61800,1,1]],"asks":[[61803,1,1]],"last":61801,"#))
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `a synthetic market is reproducible, never crossed, breathes and trades in bursts`(seed: UInt64) throws {
    let first = SyntheticFlow(seed: seed)
    let again = SyntheticFlow(seed: seed)
    var bids: [Int64: Int64] = [:]
    var asks: [Int64: Int64] = [:]
    var spreads: Set<Int64> = []
    var tradesBySecond = [Int](repeating: 0, count: 121)
    var crossed = 0
    var late = 0
    var previous: Nanoseconds = 0
    while let time = first.nextTime, time < 120 * second {
      #expect(again.nextTime == time)
      late += time < previous ? 1 : 0
      previous = time
      var events: [FlowEvent] = []
      var same: [FlowEvent] = []
      first.next(into: &events)
      again.next(into: &same)
      if events != same { Issue.record("seed \(seed): the flows differ at \(time)") }
      for event in events where event.instrument == 0 {
        switch event.kind {
        case .level where event.side == .buy: bids[event.value] = event.lots == 0 ? nil : event.lots
        case .level: asks[event.value] = event.lots == 0 ? nil : event.lots
        case .trade: tradesBySecond[Int(time / second)] += 1
        case .index, .away, .back: break
        }
      }
      let (bid, ask) = (bids.keys.max() ?? 0, asks.keys.min() ?? .max)
      crossed += bid >= ask ? 1 : 0
      spreads.insert(ask - bid)
    }
    #expect(crossed == 0 && late == 0)
    #expect(spreads.count >= 3)
    let mean = Double(tradesBySecond.reduce(0, +)) / 120
    let variance = tradesBySecond.prefix(120).reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / 120
    #expect(mean > 4 && mean < 40)
    // A Poisson process would have a variance equal to its mean.
    #expect(variance > 1.5 * mean)
    var other: [FlowEvent] = []
    SyntheticFlow(seed: seed + 100).next(into: &other)
    var mine: [FlowEvent] = []
    SyntheticFlow(seed: seed).next(into: &mine)
    #expect(other != mine)
  }

  @Test func `merged flows keep the order of time`() {
    let a = ScriptedFlow([(1, [.index(0, e8: 1)]), (5, [.index(0, e8: 2)])])
    let b = ScriptedFlow([(1, [.index(1, e8: 3)]), (3, [.index(1, e8: 4)])])
    let merged = MergedFlow([a, b])
    var values: [Int64] = []
    var times: [Nanoseconds] = []
    while let time = merged.nextTime {
      var events: [FlowEvent] = []
      merged.next(into: &events)
      times.append(time)
      values += events.map(\.value)
    }
    #expect(values == [1, 3, 4, 2])
    #expect(times == [1, 1, 3, 5])
    #expect(merged.isFinished)
  }
}
