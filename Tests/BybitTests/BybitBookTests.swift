import Apus
import CSupport
import Foundation
import Testing

/// A book as a dictionary, kept by what a sink is told.
private struct BookSink: SelectiveEventSink {
  var bids: [Int64: Int64] = [:]
  var asks: [Int64: Int64] = [:]
  var messages = 0
  var faults = 0

  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
    if isSnapshot { (bids, asks) = ([:], [:]) }
    messages += 1
  }
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    if side == .buy {
      bids[price.rawValue] = qty > .zero ? qty.rawValue : nil
    } else {
      asks[price.rawValue] = qty > .zero ? qty.rawValue : nil
    }
  }
  mutating func bookLost(_ instrument: InstrumentIndex) { faults += 1 }
  mutating func refusedAtEdge(_ problem: DecodeProblem) { faults += 1 }
}

@Suite struct BybitBookTests {
  private static func message(
    _ type: String, u: UInt64, bids: String = "", asks: String = "", topic: String = "orderbook.50.BTCUSDT"
  ) -> String {
    #"{"topic":"\#(topic)","type":"\#(type)","ts":1,"data":{"s":"BTCUSDT","b":[\#(bids)],"a":[\#(asks)],"u":\#(u),"seq":9},"cts":2}"#
  }
  private static let snapshot = message("snapshot", u: 10, bids: #"["10.0","1"]"#, asks: #"["10.1","2"]"#)
  private static let opened = ["book 0 snapshot", "level 0 bid 100x1000", "level 0 ask 101x2000", "book end 0"]

  @Test func `R20 a gap in the numbers gives the book up until the next snapshot`() throws {
    var bench = try Bench()
    let early = bench.decode(Self.message("delta", u: 9), .market)
    #expect(early == [], "nothing can be said of a book that has not begun")
    #expect(bench.decode(Self.snapshot, .market) == Self.opened)
    let next = bench.decode(Self.message("delta", u: 11, bids: #"["10.0","0"]"#), .market)
    #expect(next == ["book 0", "level 0 bid 100x0", "book end 0"])
    let lost = bench.decode(Self.message("delta", u: 13, bids: #"["9.0","1"]"#), .market)
    #expect(lost == ["book lost 0"])
    for u in [UInt64(12), 13, 14] {
      let before = bench.decoder.ignoredItems
      #expect(bench.decode(Self.message("delta", u: u), .market) == [])
      let after = bench.decoder.ignoredItems
      #expect(after == before + 1)
    }
    #expect(bench.decode(Self.snapshot, .market) == Self.opened)
    // Twice the same is no successor either.
    #expect(bench.decode(Self.message("delta", u: 10), .market) == ["book lost 0"])
    #expect(bench.decode(Self.message("snapshot", u: 1), .market) == ["book 0 snapshot", "book end 0"])
    #expect(bench.decode(Self.message("delta", u: 2), .market) == ["book 0", "book end 0"])
    // A snapshot at any time replaces the book, whatever its number.
    #expect(bench.decode(Self.snapshot, .market) == Self.opened)
    bench.decoder.forgetStreams()
    #expect(bench.decode(Self.message("delta", u: 11), .market) == [], "on a new connection")
  }

  @Test func `R05_ a level that cannot be gives the book up, and nothing of its message is delivered`() throws {
    var bench = try Bench()
    let cases: [(String, String)] = [
      (#"["10.05","1"]"#, "offGrid"), (#"["10.0","0.0001"]"#, "offGrid"), (#"["-1.0","1"]"#, "impossible"),
      (#"["0","1"]"#, "impossible"), (#"["10.0","-1"]"#, "impossible"), (#"["10.0"]"#, "missingMember"),
      (#"["10.0",""]"#, "missingMember"), (#"["","1"]"#, "missingMember"), (#"[10.0,1]"#, "missingMember"),
      (#"["10.0","1x"]"#, "missingMember"), (#"["10.0 ","1"]"#, "missingMember"), (#"7"#, "missingMember"),
      (#"["1e30","1"]"#, "offGrid"), (#"["00.1","1"]"#, "missingMember"), (#"{}"#, "missingMember"),
      (#"["10.","1"]"#, "missingMember"), (#"[".5","1"]"#, "missingMember"), (#"["10.0","1"],null"#, "missingMember"),
    ]
    for (level, problem) in cases {
      #expect(bench.decode(Self.snapshot, .market) == Self.opened)
      for (bids, asks) in [(#"["9.9","3"],"# + level, ""), ("", level)] {
        _ = bench.decode(Self.snapshot, .market)
        let found = bench.decode(Self.message("delta", u: 11, bids: bids, asks: asks), .market)
        #expect(found == ["edge \(problem)", "book lost 0"], "\(level)")
      }
    }
    // Written in another way, but right.
    for level in [
      #"["10.00","1.000"]"#, #" [ "10" , "1" ] "#, #"["1e1","1"]"#, #"["10.0","1","5"]"#, #"["10","10e-1"]"#,
    ] {
      _ = bench.decode(Self.snapshot, .market)
      let found = bench.decode(Self.message("delta", u: 11, bids: level), .market)
      #expect(found == ["book 0", "level 0 bid 100x1000", "book end 0"], "\(level)")
    }
    for (text, problem) in [
      (#"{"topic":"orderbook.50.BTCUSDT","type":"delta","data":{"b":[],"a":[]}}"#, "missingMember"),
      (#"{"topic":"orderbook.50.BTCUSDT","type":"delta","data":{"b":[],"a":[],"u":"11"}}"#, "missingMember"),
      (#"{"topic":"orderbook.50.BTCUSDT","type":"delta","data":[]}"#, "missingMember"),
      (#"{"topic":"orderbook.50.BTCUSDT","type":"delta"}"#, "missingMember"),
      (#"{"topic":"orderbook.50.BTCUSDT","data":{"b":[],"a":[],"u":11}}"#, "missingMember"),
      (#"{"topic":"orderbook.50.BTCUSDT","type":"full","data":{"b":[],"a":[],"u":11}}"#, "unknownWord"),
      (#"{"topic":"orderbook.50.BTCUSDT","type":"delta","data":{"b":{},"a":[],"u":11}}"#, "missingMember"),
    ] {
      _ = bench.decode(Self.snapshot, .market)
      let found = bench.decode(text, .market)
      // Without data there is no message of the topic at all.
      #expect(found == ["edge \(problem)", "book lost 0"], "\(text)")
    }
    // A frame that is no JSON concludes nothing by itself; the number of the next one does.
    _ = bench.decode(Self.snapshot, .market)
    #expect(bench.decode(String(Self.message("delta", u: 11).dropLast()), .market) == ["edge malformed"])
    #expect(bench.decode(Self.message("delta", u: 12), .market) == ["book lost 0"])
  }

  @Test func `the level-1 topic has snapshots only, and a repetition is one`() throws {
    var bench = try Bench()
    let text = try Fixtures.text("ws-orderbook-1-snapshot")
    let first = bench.decode(text, .market)
    #expect(first.count == 4 && first.first == "book 0 snapshot")
    #expect(bench.decode(text, .market) == first)
    let older = bench.decode(text.replacing(#""u":880523"#, with: #""u":880500"#), .market)
    #expect(older == first)
  }

  @Test func `a book as deep as can be is read, and a deeper one is refused`() throws {
    var bench = try Bench()
    func levels(_ count: Int, _ first: Int) -> String {
      (0..<count).map { #"["\#(first + $0).5","0.00\#($0 % 9 + 1)"]"# }.joined(separator: ",")
    }
    for (bids, asks) in [(0, 0), (1, 0), (0, 1), (200, 200), (1000, 1000), (2048, 2048)] {
      let found = bench.decode(
        Self.message("snapshot", u: 1, bids: levels(bids, 1), asks: levels(asks, 9_000)), .market)
      #expect(found.count == bids + asks + 2, "\(bids) x \(asks)")
    }
    let deep = bench.decode(Self.message("snapshot", u: 1, bids: levels(4097, 1)), .market)
    #expect(deep == ["edge impossible", "book lost 0"])
  }

  @Test func `a change of the grid gives up what was counted in the old one`() throws {
    var bench = try Bench()
    _ = bench.decode(Self.snapshot, .market)
    let listing = try Fixtures.text("rest-instruments-info-linear")
    let same = bench.decode(listing, .rest(.instruments))
    #expect(!same.contains("book lost 0"))
    let finer = listing.replacing(#""tickSize":"0.10""#, with: #""tickSize":"0.01""#)
    let found = bench.decode(finer, .rest(.instruments))
    #expect(
      found.contains("book lost 0") && found.contains("listed 0 perpetual linear tick 1000000 lot 100000 minimum 1"))
    #expect(bench.decode(Self.message("delta", u: 11), .market) == [])
    let again = bench.decode(Self.snapshot, .market)
    #expect(again[1] == "level 0 bid 1000x1000")
  }

  /// Recorded traffic of the venue, beside the project and not part of it.
  private static let recording = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("shared/market-data/bybit-linear-xrpusdt-ob500-20241201.jsonl")

  @Test func `recorded frames of a 500-level book rebuild what a naive reader rebuilds`() throws {
    let path = ProcessInfo.processInfo.environment["APUS_MARKET_DATA"].map {
      URL(fileURLWithPath: $0).appendingPathComponent(Self.recording.lastPathComponent)
    }
    let file = path ?? Self.recording
    guard let text = try? String(contentsOf: file, encoding: .utf8) else {
      print(
        "not run: the recording \(file.lastPathComponent) is not in \(file.deletingLastPathComponent().path); "
          + "set APUS_MARKET_DATA to the directory that has it")
      return
    }
    for level in [ScanLevel.general, .portable, .neon, .avx2, .avx512] where apus_scan_runs(level) {
      var bench = try Bench(level: level)
      var sink = BookSink()
      var bids: [Decimal: Decimal] = [:], asks: [Decimal: Decimal] = [:]
      var frames = 0
      for line in text.split(whereSeparator: \.isNewline) {
        let bytes = [UInt8](line.utf8)
        bytes.withUnsafeBytes { bench.decoder.decodePublic($0, into: &sink) }
        let parsed = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
        let data = try #require(parsed["data"] as? [String: Any])
        if parsed["type"] as? String == "snapshot" { (bids, asks) = ([:], [:]) }
        for pair in data["b"] as? [[String]] ?? [] { Self.set(pair, in: &bids) }
        for pair in data["a"] as? [[String]] ?? [] { Self.set(pair, in: &asks) }
        frames += 1
        #expect(Self.scaled(bids) == sink.bids && Self.scaled(asks) == sink.asks, "frame \(frames)")
        let best = (sink.bids.keys.max() ?? 0, sink.asks.keys.min() ?? 0)
        #expect(best.0 < best.1 && sink.bids.count == 500 && sink.asks.count == 500, "frame \(frames)")
      }
      #expect(frames == 50 && sink.messages == 50 && sink.faults == 0, "level \(level.rawValue)")
    }
  }

  private static func set(_ pair: [String], in side: inout [Decimal: Decimal]) {
    guard let price = Decimal(string: pair[0]), let size = Decimal(string: pair[1]) else { return }
    side[price] = size > 0 ? size : nil
  }

  /// On the grid of the instrument: ticks of 0.0001, lots of 1.
  private static func scaled(_ side: [Decimal: Decimal]) -> [Int64: Int64] {
    var out: [Int64: Int64] = [:]
    for (price, size) in side {
      out[NSDecimalNumber(decimal: price * 10_000).int64Value] = NSDecimalNumber(decimal: size).int64Value
    }
    return out
  }
}
