import Apus
import Benchmark
import CSupport

/// From the bytes of a market-data frame to the masked bytes of the order frames that it leads to, in
/// memory: WebSocket, decoding, book, strategy, reconciler, risk, encoding, WebSocket. No TLS, no
/// sockets, no journal. Each tick is timed alone, with two readings of the clock around it (about
/// 20 ns, included); the venue's answers are fed in between and not timed.
func laneBenchmarks() {
  for levels in [1, 3, 10] {
    Benchmark(
      "Lane tick to order, book update moves the market, \(levels) x 2 quotes amended", configuration: laneConfiguration
    ) { benchmark in
      try run(LaneScript.moving(levels: levels), benchmark)
    }
  }
  Benchmark("Lane tick, ticker with nothing new, 3 x 2 quotes stand", configuration: laneConfiguration) { benchmark in
    try run(LaneScript.standing { LaneScript.ticker(mark: 100_000, last: 99_000 + $0 % 7) }, benchmark)
  }
  Benchmark("Lane tick, book update behind the best, 3 x 2 quotes stand", configuration: laneConfiguration) {
    benchmark in
    try run(LaneScript.standing { LaneScript.book(bids: "[99900,\(1 + $0 % 3),1]", asks: "") }, benchmark)
  }
  for levels in [3, 10] {
    Benchmark(
      "Lane tick, new mark that leaves \(levels) x 2 quotes where they are", configuration: laneConfiguration
    ) { benchmark in
      try run(
        LaneScript.standing(levels: levels) { LaneScript.ticker(mark: 100_000 + $0 % 2, last: 99_000) }, benchmark)
    }
  }
}

private let tickTime = BenchmarkMetric.custom("one tick (ns)", polarity: .prefersSmaller, useScalingFactor: false)

private var laneConfiguration: Benchmark.Configuration {
  Benchmark.Configuration(metrics: [tickTime], warmupIterations: 1, maxDuration: .seconds(3), maxIterations: 20)
}

private func run(_ script: LaneScript, _ benchmark: Benchmark) throws {
  EngineClock.start()
  var probe = try script.makeProbe()
  var times: [Int] = []
  times.reserveCapacity(script.steps.count)
  var sent = 0
  for step in script.steps {
    step.bytes.withUnsafeBytes { bytes in
      let start = EngineClock.now()
      probe.receive(bytes, now: step.now)
      let end = EngineClock.now()
      if step.isTimed {
        times.append(Int(end - start))
        sent += probe.outputCount
      }
    }
    probe.discardOutput()
  }
  // A script that no longer makes the lane do what the benchmark's name says must not pass unnoticed.
  guard (sent > 0) == script.sendsOrders, !script.sendsOrders || sent >= script.leastOutput else {
    benchmark.error("the lane wrote \(sent) bytes")
    return
  }
  for time in times { benchmark.measurement(tickTime, time) }
}

/// Frames recorded against one probe, to be fed to others that are made alike: the lane is
/// deterministic, so the answers fit.
private struct LaneScript {
  struct Step {
    var bytes: [UInt8]
    var now: Nanoseconds
    var isTimed: Bool
  }

  var levels = 3
  var steps: [Step] = []
  var sendsOrders = false
  var leastOutput = 0

  func makeProbe() throws -> LaneProbe {
    var settings = LaneSettings()
    settings.instruments = [
      InstrumentSettings(
        name: "BTC-PERPETUAL", maximumPosition: DecimalE8(e8: 1_000_000_000), maximumOrder: DecimalE8(e8: 100_000_000),
        maximumNotional: DecimalE8(e8: 1_000_000_000_000_000), collarCentiBps: 20_000, maximumOrders: 40,
        priceToleranceTicks: 0, keepSizePermille: 500, bookDepth: 10, staleAfter: 1_000_000_000_000)
    ]
    settings.silenceLimit = 1_000_000_000_000
    let ladder = LadderParameters(
      levels: levels, halfSpreadCentiBps: 100, stepTicks: 2, size: QtyLots(rawValue: 20), skewCentiBps: 100)
    return try LaneProbe(settings: settings, strategy: LadderStrategy(ladder))
  }

  /// Feeds one text to the recording probe, then its answers until it is silent.
  private mutating func record(_ text: String, isTimed: Bool, _ probe: inout LaneProbe, _ now: inout Nanoseconds) {
    var texts = [text]
    var isFirst = true
    now += 1_000_000
    while !texts.isEmpty {
      for text in texts {
        now += 1000
        var bytes: [UInt8] = []
        probe.appendFrame(text, to: &bytes)
        bytes.withUnsafeBytes { probe.receive($0, now: now) }
        steps.append(Step(bytes: bytes, now: now, isTimed: isTimed && isFirst))
        isFirst = false
      }
      var requests: [String] = []
      probe.takeRequests(into: &requests)
      texts = requests.compactMap { probe.acknowledgement(of: $0) }
    }
  }

  private mutating func begin(_ probe: inout LaneProbe, _ now: inout Nanoseconds) {
    record(Self.ticker(mark: 100_000, last: 99_000), isTimed: false, &probe, &now)
    let bids = (0..<10).map { "[\(99_990 - $0),1.5,1.5]" }.joined(separator: ",")
    let asks = (0..<10).map { "[\(100_010 + $0),1.5,1.5]" }.joined(separator: ",")
    record(Self.book(bids: bids, asks: asks, isSnapshot: true), isTimed: false, &probe, &now)
  }

  static func moving(levels: Int) throws -> LaneScript {
    var script = LaneScript()
    script.levels = levels
    script.sendsOrders = true
    var probe = try script.makeProbe()
    var now = probe.startTime
    script.begin(&probe, &now)
    // A triangle of 50 ticks: each tick takes the old best away and sets a new one, on both sides.
    var bid = 99_990
    for step in 0..<2000 {
      let next = bid + (step / 50 % 2 == 0 ? 1 : -1)
      let worst = next > bid ? bid - 9 : next - 9
      let text =
        next > bid
        ? book(
          bids: "[\(next),1.5,1.5],[\(worst),0,0]", asks: "[\(bid + 20),0,0],[\(next + 29),1.5,1.5]")
        : book(bids: "[\(bid),0,0],[\(worst),1.5,1.5]", asks: "[\(next + 20),1.5,1.5],[\(bid + 29),0,0]")
      script.record(text, isTimed: true, &probe, &now)
      bid = next
    }
    // At least one frame for each quote in most ticks.
    script.leastOutput = 2000 * levels * 2 * 100
    return script
  }

  static func standing(levels: Int = 3, _ text: (Int) -> String) throws -> LaneScript {
    var script = LaneScript()
    script.levels = levels
    var probe = try script.makeProbe()
    var now = probe.startTime
    script.begin(&probe, &now)
    for step in 0..<2000 { script.record(text(step), isTimed: step > 10, &probe, &now) }
    return script
  }

  static func ticker(mark: Int, last: Int) -> String {
    "{\"channel_name\":\"ticker.BTC-PERPETUAL.raw\",\"notification\":{\"mark_price\":\(mark).41,"
      + "\"mark_timestamp\":1776715497.7188172,\"best_bid_price\":99990,\"best_bid_amount\":1.5,\"best_ask_price\":100010,"
      + "\"best_ask_amount\":1.5,\"last_price\":\(last),\"delta\":1,\"volume_24h\":152.313,\"value_24h\":11603845.12,"
      + "\"low_price_24h\":94610,\"high_price_24h\":106915,\"change_24h\":512,\"index\":100003.25916666667,"
      + "\"collar_low\":93999.7577,\"collar_high\":108577.0623,\"open_interest\":123.456,\"funding_rate\":1e-05,"
      + "\"funding_mark\":-1.27,\"realised_funding_24h\":-3.21,\"average_funding_rate_24h\":1.27e-05}}"
  }

  static func book(bids: String, asks: String, isSnapshot: Bool = false) -> String {
    "{\"channel_name\":\"book.BTC-PERPETUAL.none.10.raw\",\"notification\":{\"trades\":[],\"bid_changes\":[\(bids)],"
      + "\"ask_changes\":[\(asks)],\"total_bid_amount\":15,\"total_ask_amount\":15,\"time\":1776715497.209106}"
      + (isSnapshot ? ",\"snapshot\":true}" : "}")
  }
}
