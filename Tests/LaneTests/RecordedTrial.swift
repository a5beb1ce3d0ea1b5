import CSupport

@testable import Apus
@testable import ApusExchange

/// A configuration of one instrument that quotes a made market through a simulated venue, recorded.
enum RecordedTrial {
  /// - Parameters:
  ///   - strategy: YAML lines of the instrument beside ladder and limits.
  ///   - more: YAML lines of the whole file, each with its end.
  static func configuration(
    _ strategy: String = "", size: String = "0.02", halfSpread: String = "0.1", skew: String = "0.5", more: String = ""
  ) throws -> Configuration {
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
      \(more)instruments:
        - name: BTC-PERPETUAL
          ladder:
            levels: 2
            half_spread_bps: \(halfSpread)
            step_ticks: 1
            size: \(size)
            skew_bps: \(skew)
          limits:
            max_position: 1
            max_order: 0.5
            max_notional: 100000
            collar_bps: 100
            max_orders: 40

      """ + lines)
  }

  static func record(
    _ configuration: Configuration, changes: [(at: Nanoseconds, configuration: Configuration)] = [],
    for time: Nanoseconds, into path: String
  ) throws -> QuotingTrial.Outcome {
    let spec = InstrumentSpec.btcPerpetual
    var plan = QuotingTrial.Plan(
      instruments: [spec], ladders: configuration.ladders(on: [spec.grid]),
      settings: LaneSettings(configuration, labelPrefix: "apus-trial-", bootEpoch: 1))
    plan.quote(configuration)
    plan.changes = changes
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
    return try QuotingTrial(plan, flow: flow, observer: nil, journal: ends.writer).run(for: time)
  }

  /// The first run of a journal, repeated.
  static func replayed(_ path: String) throws -> Replay.Run? {
    var replay = try Replay(path: path)
    return replay.next(until: nil, order: nil, tell: { _ in })
  }
}
