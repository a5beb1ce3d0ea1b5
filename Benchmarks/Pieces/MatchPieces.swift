import Apus
import ApusExchange
import CSupport

/// The matching engine under five flows of two million messages, reports read.
let matchPieces: [Piece] = MatchScenario.allCases.map { scenario in
  Piece("match.\(scenario.rawValue)", .batch(MatchFlow.count), input: { MatchFlow.of(scenario).input }) { _ in
    Timed(MatchRun(flow: MatchFlow.of(scenario)))
  }
}

/// A flow from the first message to the last, on an engine of its own that was made outside of the time.
///
/// Input: the messages as they lie in memory (`MatchMessage`). Check: trades, traded size, the sum of price × size
/// over the trades, and orders resting at the end.
private struct MatchRun: Operation {
  private let flow: MatchFlow

  init(flow: MatchFlow) { self.flow = flow }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var tally = MatchTally()
    return try play(count, &tally)
  }

  mutating func check() throws -> [Int64] {
    var tally = MatchTally()
    _ = try play(MatchFlow.count, &tally)
    return [tally.trades, tally.quantity, tally.value, tally.resting]
  }

  private func play(_ count: Int, _ tally: inout MatchTally) throws -> Nanoseconds {
    var engine = try MatchingEngine(limits: MatchFlow.limits)
    // A first lap warms what the engine touches on its way.
    _ = flow.play(&engine, from: 0, to: min(count, MatchFlow.warmCount))
    engine = try MatchingEngine(limits: MatchFlow.limits)
    let start = EngineClock.now()
    tally = flow.play(&engine, from: 0, to: count)
    let time = EngineClock.now() - start
    tally.resting = Int64(engine.count)
    return time
  }
}
