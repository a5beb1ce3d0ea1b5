import Apus
import CSupport

/// A market that moves in every instrument of a lane, and the venue's answers to what the lane then sends: recorded once, to
/// be played to lanes that are made alike.
///
/// In each of two cycles every instrument has one book message that moves its middle by three ticks, up and back, so that
/// all of its six quotes are amended.
final class MarketScript {
  struct Step {
    var frame: Range<Int>
    /// Lane time of the frame; the answers follow, `OrderScript.answerGap` apart.
    var now: Nanoseconds
    var answers: [Range<Int>] = []
    /// What the lane writes because of the frame.
    var outputCount = 0
  }

  static let levels = 3
  private static let gap: Nanoseconds = 1_000_000

  let instruments: Int
  fileprivate private(set) var prelude: [Step] = []
  fileprivate private(set) var steps: [Step] = []
  fileprivate private(set) var bytes: [UInt8] = []
  private var probe: LaneProbe
  private var now: Nanoseconds

  init(instruments: Int) throws {
    self.instruments = instruments
    let made = try Self.makeProbe(instruments)
    now = made.startTime
    probe = made
    for instrument in 0..<instruments {
      let name = Self.name(instrument)
      for text in [OrderScript.ticker(of: name), OrderScript.book(of: name)] { prelude.append(try play(text)) }
    }
    // The first two find the orders as they were inserted.
    for cycle in 0..<4 {
      for instrument in 0..<instruments {
        let step = try play(Self.move(Self.name(instrument), isUp: cycle % 2 == 0))
        guard step.answers.count == 2 * Self.levels else {
          throw BenchFailure(
            "the lane sent \(step.answers.count) requests, not \(2 * Self.levels), when the market moved")
        }
        if cycle < 2 { prelude.append(step) } else { steps.append(step) }
      }
    }
  }

  func makePlayer() throws -> MarketPlayer { MarketPlayer(self, try Self.makeProbe(instruments)) }

  private func play(_ text: String) throws -> Step {
    now += Self.gap
    var step = Step(frame: append(text), now: now)
    receive(step.frame)
    step.outputCount = probe.outputCount
    var requests: [String] = []
    probe.takeRequests(into: &requests)
    step.answers = try requests.map { request in
      guard let answer = probe.acknowledgement(of: request) else {
        throw BenchFailure("the lane sent a request that is about no order: \(request)")
      }
      return append(answer)
    }
    for answer in step.answers {
      now += OrderScript.answerGap
      receive(answer)
    }
    guard probe.outputCount == 0 else { throw BenchFailure("the lane sent requests when it was answered") }
    return step
  }

  private func append(_ text: String) -> Range<Int> {
    let start = bytes.count
    probe.appendFrame(text, to: &bytes)
    return start..<bytes.count
  }

  private func receive(_ range: Range<Int>) {
    bytes.withUnsafeBytes { probe.receive(UnsafeRawBufferPointer(rebasing: $0[range]), now: now) }
  }

  private static func name(_ instrument: Int) -> String { "C\(instrument)-PERPETUAL" }

  private static func makeProbe(_ instruments: Int) throws -> LaneProbe {
    var settings = LaneSettings()
    settings.instruments = (0..<instruments).map {
      InstrumentSettings(
        name: name($0), maximumPosition: DecimalE8(e8: 1_000_000_000), maximumOrder: DecimalE8(e8: 100_000_000),
        maximumNotional: DecimalE8(e8: 1_000_000_000_000_000), collarCentiBps: 20_000, maximumOrders: 40,
        priceToleranceTicks: 0, keepSizePermille: 500, bookDepth: 10, staleAfter: 1 << 60)
    }
    settings.orderCapacity = max(settings.orderCapacity, 64 * instruments)
    let ladder = LadderParameters(
      levels: levels, halfSpreadCentiBps: 100, stepTicks: 2, size: QtyLots(rawValue: 20), skewCentiBps: 100)
    return try LaneProbe(settings: settings, ladder: ladder)
  }

  /// A bid in front of the others comes, and goes.
  private static func move(_ instrument: String, isUp: Bool) -> String {
    let change = isUp ? "[\(OrderScript.middle - 4),1.5,1.5]" : "[\(OrderScript.middle - 4),0,-1.5]"
    return "{\"channel_name\":\"book.\(instrument).none.10.raw\",\"notification\":{\"trades\":[],"
      + "\"bid_changes\":[\(change)],\"ask_changes\":[],\"total_bid_amount\":15,\"total_ask_amount\":15,"
      + "\"time\":1776715497.209106}}"
  }
}

/// Plays a market to a lane of its own.
final class MarketPlayer {
  private let script: MarketScript
  private var frames: ScriptBytes
  private var probe: LaneProbe
  private var offset: Nanoseconds = 0

  fileprivate init(_ script: MarketScript, _ probe: consuming LaneProbe) {
    self.script = script
    frames = ScriptBytes(script.bytes, answers: script.steps.flatMap(\.answers))
    self.probe = probe
    for step in script.prelude {
      receive(step.frame, now: step.now)
      self.probe.discardOutput()
      answer(step)
    }
  }

  var stepCount: Int { script.steps.count }

  /// - Returns: Nanoseconds from the bytes of a book message to the masked frames of its six amends.
  func tick(_ index: Int) throws -> Nanoseconds {
    let step = script.steps[index]
    let start = EngineClock.now()
    receive(step.frame, now: step.now + offset)
    let time = EngineClock.now() - start
    guard probe.outputCount == step.outputCount else {
      throw BenchFailure("the lane wrote \(probe.outputCount) bytes where it wrote \(step.outputCount) when recorded")
    }
    probe.discardOutput()
    return time
  }

  func answer(_ index: Int) { answer(script.steps[index]) }

  private func answer(_ step: MarketScript.Step) {
    var now = step.now + offset
    for answer in step.answers {
      now += OrderScript.answerGap
      receive(answer, now: now)
    }
  }

  private func receive(_ range: Range<Int>, now: Nanoseconds) {
    frames.bytes.withUnsafeBytes { probe.receive(UnsafeRawBufferPointer(rebasing: $0[range]), now: now) }
  }

  /// The script begins again, later by the time that it takes.
  func again() {
    guard let first = script.steps.first, let last = script.steps.last else { return }
    offset += 2 * (last.now - first.now) + 10_000_000
    frames.again()
  }
}
