import CSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// A journal names the strategies of its run, and they decide the same again.
@Suite struct StrategyReplayTests {
  private static let second: Nanoseconds = 1_000_000_000

  private static func configuration(_ strategy: String) throws -> Configuration {
    let lines = strategy.split(separator: "\n").map { "    \($0)\n" }.joined()
    return try ConfigurationFile.parse(
      """
      engine:
        name: trial
        data_directory: data
      venue:
        url: wss://testnet.thalex.com/ws/api/v2
        key_id: K1
        private_key_file: key.pem
      instruments:
        - name: BTC-PERPETUAL
          ladder:
            levels: 2
            half_spread_bps: 0.1
            step_ticks: 1
            size: 0.02
            skew_bps: 0.5
          limits:
            max_position: 1
            max_order: 0.5
            max_notional: 100000
            collar_bps: 100
            max_orders: 40

      """ + lines)
  }

  /// A minute of a made market, recorded.
  private static func record(_ configuration: Configuration, into path: String) throws -> QuotingTrial.Outcome {
    let spec = InstrumentSpec.btcPerpetual
    var plan = QuotingTrial.Plan(
      instruments: [spec], ladders: configuration.ladders(on: [spec.grid]),
      settings: LaneSettings(configuration, labelPrefix: "apus-trial-", bootEpoch: 1))
    plan.quote(configuration)
    let flow = SyntheticFlow(
      seed: 9,
      streams: [
        SyntheticFlow.Stream(
          instrument: FlowInstrument(index: 0, grid: spec.grid), startE8: spec.initialIndexE8,
          levelLots: spec.premiumLots.rawValue / 2)
      ])
    let ends = try JournalEnds(
      path: path, name: "trial",
      configuration: JournalConfiguration(segmentBytes: 256 << 20, bootEpoch: 1, sync: .none), now: 0)
    let trial = try QuotingTrial(plan, flow: flow, observer: nil, journal: ends.writer)
    return try trial.run(for: 60 * second)
  }

  @Test(arguments: [
    "strategy:\n  kind: glft\n  risk_aversion_per_usd: 0.001\n  half_life_s: 60\n  trade_sample_ms: 100",
    "strategy:\n  kind: avellaneda_stoikov\n  horizon_s: 30\n  risk_aversion_per_usd: 0.02\n  starts_with_ladder: true",
    "order_flow:\n  widen_at_best_sizes: 1\n  pull_at_best_sizes: 2",
  ])
  func `a run is repeated to the byte by the strategy that its journal names`(strategy: String) throws {
    let room = try JournalRoom()
    let configuration = try Self.configuration(strategy)
    let outcome = try Self.record(configuration, into: room.journal)
    #expect(outcome.fills > 5)
    var replay = try Replay(path: room.journal)
    let repeated = replay.next(until: nil, order: nil, tell: { _ in })
    let run = try #require(repeated)
    #expect(run.difference == nil, "\(String(describing: run.difference))")
    #expect(run.refusal == nil && run.gap == nil)
    #expect(run.counts.framesOut > 20)
    var reader = try JournalReader(path: room.journal)
    let head = reader.next()
    let recorded = try RecordedRun(description: try #require(head))
    #expect(recorded.configuration?.instruments == configuration.instruments)
  }
}
