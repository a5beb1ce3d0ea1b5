import Apus
import ApusExchange
import CSupport

/// The matching engine under five flows of two million messages, reports read.
let matchPieces: [Piece] = MatchScenario.allCases.map { scenario in
  Piece(
    "match.\(scenario.rawValue)", .flow(total: MatchFlow.count, step: 2000), input: { MatchFlow.of(scenario).input }
  ) { _ in
    Timed(try MatchRun(flow: MatchFlow.of(scenario)))
  }
}

/// The messages of a flow one after the other, with their reports read; at its end it begins again with an engine that
/// is made outside of the time.
///
/// Input: the messages as they lie in memory (`MatchMessage`). Check: trades, traded size, the sum of price × size
/// over the trades, and orders resting at the end.
private struct MatchRun: Operation, ~Copyable {
  private let flow: MatchFlow
  private var engine: MatchingEngine
  private var handles = [UInt64](repeating: 0, count: MatchFlow.numbers)
  private var next = 0

  init(flow: MatchFlow) throws {
    self.flow = flow
    engine = try MatchingEngine(limits: MatchFlow.limits)
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    if next == MatchFlow.count { try restart() }
    let end = min(next + count, MatchFlow.count)
    var tally = MatchTally()
    let start = EngineClock.now()
    flow.play(&engine, &handles, from: next, to: end, &tally)
    let time = EngineClock.now() - start
    next = end
    keep(tally.value)
    return time
  }

  mutating func check() throws -> [Int64] {
    try restart()
    var tally = MatchTally()
    flow.play(&engine, &handles, from: 0, to: MatchFlow.count, &tally)
    let resting = Int64(engine.count)
    try restart()
    return [tally.trades, tally.quantity, tally.value, resting]
  }

  private mutating func restart() throws {
    engine = try MatchingEngine(limits: MatchFlow.limits)
    next = 0
  }
}
