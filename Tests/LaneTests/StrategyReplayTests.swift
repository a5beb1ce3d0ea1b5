import ApusExchange
import CSupport
import Testing

@testable import Apus

/// A journal names the strategies of its run, and they decide the same again.
@Suite struct StrategyReplayTests {
  private static let second: Nanoseconds = 1_000_000_000

  @Test(arguments: [
    "strategy:\n  kind: glft\n  risk_aversion_per_usd: 0.001\n  half_life_s: 60\n  trade_sample_ms: 100",
    "strategy:\n  kind: avellaneda_stoikov\n  horizon_s: 30\n  risk_aversion_per_usd: 0.02\n  starts_with_ladder: true",
    "order_flow:\n  widen_at_best_sizes: 1\n  pull_at_best_sizes: 2",
  ])
  func `a run is repeated to the byte by the strategy that its journal names`(strategy: String) throws {
    let room = try JournalRoom()
    let configuration = try RecordedTrial.configuration(strategy)
    let outcome = try RecordedTrial.record(configuration, for: 60 * Self.second, into: room.journal)
    #expect(outcome.fills > 5)
    let run = try #require(try RecordedTrial.replayed(room.journal))
    #expect(run.difference == nil, "\(String(describing: run.difference))")
    #expect(run.refusal == nil && run.gap == nil)
    #expect(run.counts.framesOut > 20)
    var reader = try JournalReader(path: room.journal)
    let head = reader.next()
    let recorded = try RecordedRun(description: try #require(head))
    #expect(recorded.configuration?.instruments == configuration.instruments)
  }
}
