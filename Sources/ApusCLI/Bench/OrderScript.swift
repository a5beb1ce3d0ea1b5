import Apus
import CSupport

/// Directives to a lane and the venue's answers to what the lane then sends, recorded once, to be played to lanes that
/// are made alike: a lane is deterministic, so the answers fit.
final class OrderScript {
  /// A directive, and the answers to the requests that it leads to.
  struct Cycle {
    var directive: Directive
    /// Places in `bytes`: one frame each.
    var answers: [Range<Int>]
    /// Lane time of the directive; the answers follow, `answerGap` apart.
    var now: Nanoseconds
    /// What the lane writes when it is directed.
    var outputCount: Int
  }

  static let answerGap: Nanoseconds = 1000

  private let levels: Int
  /// Frames before the first cycle, with their lane times.
  private(set) var prelude: [(range: Range<Int>, now: Nanoseconds)] = []
  private(set) var cycles: [Cycle] = []
  /// Cycles that were recorded before those and left out.
  private(set) var skipped = 0
  private(set) var bytes: [UInt8] = []
  private var probe: LaneProbe
  private var now: Nanoseconds

  /// Every quote is pulled, and every quote comes back: each time `2 × levels` cancels, then as many inserts.
  static func placing(levels: Int, rounds: Int) throws -> OrderScript {
    let script = try OrderScript(levels: levels)
    var pull = Directive()
    pull.isQuotingAllowed = false
    for _ in 0..<rounds {
      try script.record(pull, gap: 100_000_000)
      try script.record(Directive(), gap: 100_000_000)
    }
    return script
  }

  /// Every quote moves away from the middle, and back: each time `2 × levels` amends. Two cycles, which may be
  /// played again and again.
  ///
  /// - Parameter wide: what moves them away.
  static func moving(levels: Int, wide: Directive) throws -> OrderScript {
    let script = try OrderScript(levels: levels)
    for _ in 0..<2 {
      try script.record(wide, gap: 1_000_000)
      try script.record(Directive(), gap: 1_000_000)
    }
    // The first two found the orders as they were inserted.
    script.cycles.removeFirst(2)
    script.skipped = 2
    return script
  }

  private init(levels: Int) throws {
    self.levels = levels
    let made = try Self.makeProbe(levels: levels)
    now = made.startTime
    probe = made
    for text in [Self.ticker(of: Self.instrument), Self.book(of: Self.instrument)] {
      now += 1_000_000
      let range = append(text)
      prelude.append((range, now))
      receive(range)
      for answer in try takeAnswers() {
        now += Self.answerGap
        prelude.append((answer, now))
        receive(answer)
      }
    }
  }

  /// A lane as the recording one was at first, before the prelude.
  func makeProbe() throws -> LaneProbe { try Self.makeProbe(levels: levels) }

  private static func makeProbe(levels: Int) throws -> LaneProbe {
    var settings = LaneSettings()
    settings.instruments = [
      InstrumentSettings(
        name: instrument, maximumPosition: DecimalE8(e8: 1_000_000_000), maximumOrder: DecimalE8(e8: 100_000_000),
        maximumNotional: DecimalE8(e8: 1_000_000_000_000_000), collarCentiBps: 20_000, maximumOrders: 40,
        priceToleranceTicks: 0, keepSizePermille: 500, bookDepth: 10, staleAfter: 1 << 60)
    ]
    let ladder = LadderParameters(
      levels: levels, halfSpreadCentiBps: 100, stepTicks: 2, size: QtyLots(rawValue: 20), skewCentiBps: 100)
    return try LaneProbe(settings: settings, ladder: ladder)
  }

  private func record(_ directive: Directive, gap: Nanoseconds) throws {
    now += gap
    probe.direct(directive, instrument: 0, now: now)
    var cycle = Cycle(directive: directive, answers: [], now: now, outputCount: probe.outputCount)
    cycle.answers = try takeAnswers()
    guard cycle.answers.count == 2 * levels else {
      throw BenchFailure("the lane sent \(cycle.answers.count) requests, not \(2 * levels), to a directive")
    }
    for answer in cycle.answers {
      now += Self.answerGap
      receive(answer)
    }
    guard probe.outputCount == 0 else { throw BenchFailure("the lane sent requests when it was answered") }
    cycles.append(cycle)
  }

  private func append(_ text: String) -> Range<Int> {
    let start = bytes.count
    probe.appendFrame(text, to: &bytes)
    return start..<bytes.count
  }

  private func receive(_ range: Range<Int>) {
    bytes.withUnsafeBytes { probe.receive(UnsafeRawBufferPointer(rebasing: $0[range]), now: now) }
  }

  private func takeAnswers() throws -> [Range<Int>] {
    var requests: [String] = []
    probe.takeRequests(into: &requests)
    return try requests.map { request in
      guard let answer = probe.acknowledgement(of: request) else {
        throw BenchFailure("the lane sent a request that is about no order: \(request)")
      }
      return append(answer)
    }
  }

  // MARK: - The market, in the shape of the venue's samples

  private static let instrument = "BTC-PERPETUAL"
  static let middle = 100_100

  static func ticker(of instrument: String) -> String {
    "{\"channel_name\":\"ticker.\(instrument).raw\",\"notification\":{\"mark_price\":\(middle).0,"
      + "\"mark_timestamp\":1776715497.7188172,\"best_bid_price\":\(middle - 10),\"best_bid_amount\":1.5,"
      + "\"best_ask_price\":\(middle + 10),\"best_ask_amount\":1.5,\"last_price\":\(middle),\"delta\":1.0,"
      + "\"volume_24h\":152.313,\"value_24h\":11603845.12,\"low_price_24h\":94610.0,\"high_price_24h\":106915.0,"
      + "\"change_24h\":512.412,\"index\":100103.25916667,\"collar_low\":93999.7577,\"collar_high\":108577.0623,"
      + "\"open_interest\":1234.567,\"funding_rate\":0.000012713,\"funding_mark\":-1.2713,"
      + "\"realised_funding_24h\":-3.211248,\"average_funding_rate_24h\":0.000012713,\"forward\":100103.25916667}}"
  }

  static func book(of instrument: String) -> String {
    let bids = (0..<10).map { "[\(middle - 10 - $0),1.5,1.5]" }.joined(separator: ",")
    let asks = (0..<10).map { "[\(middle + 10 + $0),1.5,1.5]" }.joined(separator: ",")
    return
      "{\"channel_name\":\"book.\(instrument).none.10.raw\",\"notification\":{\"trades\":[],\"bid_changes\":[\(bids)],"
      + "\"ask_changes\":[\(asks)],\"total_bid_amount\":15,\"total_ask_amount\":15,\"time\":1776715497.209106},"
      + "\"snapshot\":true}"
  }
}

/// Plays a script to a lane of its own.
struct ScriptPlayer: ~Copyable {
  private let script: OrderScript
  private var frames: ScriptBytes
  private var probe: LaneProbe
  /// Added to the script's times: it moves on when the script begins again.
  private var offset: Nanoseconds = 0

  init(_ script: OrderScript) throws {
    self.script = script
    frames = ScriptBytes(script.bytes, answers: script.cycles.flatMap(\.answers), skipped: script.skipped)
    var probe = try script.makeProbe()
    script.bytes.withUnsafeBytes { bytes in
      for (range, now) in script.prelude {
        probe.receive(UnsafeRawBufferPointer(rebasing: bytes[range]), now: now)
        probe.discardOutput()
      }
    }
    self.probe = probe
  }

  /// Directs the lane as in a cycle of the script; `direct` and `answer` take turns.
  ///
  /// - Returns: Nanoseconds from the directive to the last masked frame that it leads to.
  /// - Throws: if the lane does not write what it wrote when it was recorded.
  mutating func direct(_ index: Int) throws -> Nanoseconds { try direct(index, as: script.cycles[index].directive) }

  /// The same with a directive of the caller's, which must be equal to the script's.
  mutating func direct(_ index: Int, as directive: Directive) throws -> Nanoseconds {
    let now = script.cycles[index].now + offset
    let start = EngineClock.now()
    probe.direct(directive, instrument: 0, now: now)
    let time = EngineClock.now() - start
    guard probe.outputCount == script.cycles[index].outputCount else {
      throw BenchFailure(
        "the lane wrote \(probe.outputCount) bytes where it wrote \(script.cycles[index].outputCount) when recorded")
    }
    probe.discardOutput()
    return time
  }

  /// Hands in the venue's answers, one frame at a time.
  ///
  /// - Returns: Nanoseconds that all of them took together.
  mutating func answer(_ index: Int) throws -> Nanoseconds {
    let script = self.script
    var now = script.cycles[index].now + offset
    let start = EngineClock.now()
    frames.bytes.withUnsafeBytes { bytes in
      for range in script.cycles[index].answers {
        now += OrderScript.answerGap
        probe.receive(UnsafeRawBufferPointer(rebasing: bytes[range]), now: now)
      }
    }
    let time = EngineClock.now() - start
    guard probe.outputCount == 0 else { throw BenchFailure("the lane sent requests when it was answered") }
    return time
  }

  /// The script's first cycle comes next, later by the time that the script takes.
  mutating func again() {
    guard let first = script.cycles.first, let last = script.cycles.last else { return }
    offset += 2 * (last.now - first.now)
    frames.again()
  }
}

/// A measurement did something else than its row says: its figures would mean nothing.
struct BenchFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
