import CSupport
import Foundation
import Testing

@testable import Apus
@testable import ApusExchange

/// The strategies of a configuration in the engine's own lane, on made markets.
@Suite struct StrategyBacktestTests {
  /// A configuration of BTC-PERPETUAL with a strategy, and with options beside it.
  static func configuration(_ strategy: String, options: [InstrumentSpec] = []) throws -> Configuration {
    var text = """
      engine:
        name: trial
        data_directory: data
      venue:
        url: wss://testnet.thalex.com/ws/api/v2
        key_id: K1
        private_key_file: key.pem
        protection_trade: 1000
        protection_quote: 1000
      defaults:
        limits:
          max_position: 1
          max_order: 0.5
          max_notional: 100000
          collar_bps: 10000
          max_orders: 40
      instruments:
        - name: BTC-PERPETUAL
          ladder:
            levels: 2
            half_spread_bps: 0.1
            step_ticks: 1
            size: 0.02
            skew_bps: 0.5

      """
    func add(_ lines: String, indent: Int) {
      for line in lines.split(separator: "\n") { text += String(repeating: " ", count: indent) + line + "\n" }
    }
    add(strategy, indent: 4)
    for option in options {
      add("- name: \(option.name)", indent: 2)
      add(Self.option, indent: 4)
    }
    return try ConfigurationFile.parse(text)
  }

  private static let option = """
    mass_quotes: true
    strategy:
      kind: options
      half_spread_vol_points: 1
      delta_half_spread_bps: 2
      vega_skew_vol_points: 1
      delta_skew_bps: 5
      max_delta_coins: 1.5
      max_gamma_coins_per_usd: 0.005
      max_vega_usd_per_point: 1000
    ladder:
      levels: 1
      half_spread_bps: 0
      step_ticks: 1
      size: 0.05
      skew_bps: 0
      keep_within_ticks: 1
      keep_size: 0.5
    """

  static let strategies: [(name: String, lines: String)] = [
    ("ladder", "strategy:\n  kind: ladder"),
    ("glft", "strategy:\n  kind: glft\n  risk_aversion_per_usd: 0.001\n  half_life_s: 60\n  trade_sample_ms: 100"),
    (
      "avellaneda_stoikov",
      "strategy:\n  kind: avellaneda_stoikov\n  horizon_s: 30\n  risk_aversion_per_usd: 0.001\n  half_life_s: 60\n  trade_sample_ms: 100"
    ),
    ("order_flow", "order_flow:\n  half_life_ms: 500\n  widen_at_best_sizes: 1\n  pull_at_best_sizes: 2"),
    (
      "make_and_hedge",
      "strategy:\n  kind: make_and_hedge\n  maker_fee_bps: 0\n  hedge_fee_bps: 0\n  hedge_half_spread_bps: 0\n"
        + "  slippage_bps: 0.05\n  edge_bps: 0.05"
    ),
  ]

  static func plan(_ configuration: Configuration, _ specs: [InstrumentSpec]) -> QuotingTrial.Plan {
    var plan = QuotingTrial.Plan(
      instruments: specs, ladders: configuration.ladders(on: specs.map(\.grid)),
      settings: LaneSettings(configuration, labelPrefix: "apus-trial-", bootEpoch: 1))
    plan.quote(configuration)
    plan.fillModel = FillModel(queue: .riskAverse)
    return plan
  }

  static func flow(seed: UInt64 = 9) -> SyntheticFlow {
    let spec = InstrumentSpec.btcPerpetual
    return SyntheticFlow(
      seed: seed,
      streams: [
        SyntheticFlow.Stream(
          instrument: FlowInstrument(index: 0, grid: spec.grid), startE8: spec.initialIndexE8,
          levelLots: spec.premiumLots.rawValue / 2)
      ])
  }

  private func report(_ lines: String, seconds: Nanoseconds = 75) throws -> BacktestReport {
    let plan = Self.plan(try Self.configuration(lines), [.btcPerpetual])
    let report = try Backtest(plan, flow: Self.flow(), feeds: ["made"]).run(for: seconds * second)
    #expect(report.circumstances.failure == nil)
    return report
  }

  @Test(arguments: strategies.map(\.name))
  func `R50 R59 each strategy trades within its limits, and equal inputs give equal bytes`(name: String) throws {
    let lines = try #require(Self.strategies.first { $0.name == name }).lines
    let first = try report(lines)
    #expect(first.total.makerFills > 5, "\(first.total.makerFills)")
    #expect(first.total.takerFills == 0)
    #expect(first.messages.violations == 0)
    // A position of 1 is 1000 lots.
    #expect(abs(first.instruments[0].positionLots) <= 1000)
    #expect(first.instruments[0].fills.allSatisfy { $0.lots <= 20 })
    #expect(try first.json() == report(lines).json())
    if name != "ladder" {
      let ladder = try report(Self.strategies[0].lines)
      #expect(first.instruments[0].fills.map(\.time) != ladder.instruments[0].fills.map(\.time))
    }
  }

  @Test func `a model without estimates quotes nothing, or its ladder where that is asked for`() throws {
    let lines = "strategy:\n  kind: glft\n  risk_aversion_per_usd: 0.02"
    let waits = try report(lines, seconds: 20)
    let starts = try report(lines + "\n  starts_with_ladder: true", seconds: 20)
    #expect(waits.messages.orders == 0)
    #expect(starts.total.makerFills > 0)
  }

  // MARK: - Options

  /// What rests of options, looked at whenever something has happened.
  private final class ChainObserver: TrialObserver {
    /// Sides that were set anew or moved, and the most that rested at once.
    var changes = 0
    var most = 0
    private var last: [Int: PriceTicks] = [:]
    /// Where the chain's Greeks were at their largest, by the venue's own deltas.
    var largestDelta = 0.0

    func observe(_ venue: SimulatedVenue, _ account: Account?, now: Nanoseconds) {
      guard let account else { return }
      var prices: [Int: PriceTicks] = [:]
      for order in account.orders { prices[2 * order.market.index + (order.side == .buy ? 0 : 1)] = order.price }
      for (place, price) in prices where last[place] != price { changes += 1 }
      most = max(most, prices.count)
      last = prices
      var delta = 0.0
      for (market, position) in zip(venue.markets, account.positions) {
        let size = Double(position.lots) * Double(market.spec.grid.lotE8) * 1e-8
        delta += market.spec.kind == .option ? size * Double(market.deltaE12) * 1e-12 : size
      }
      largestDelta = max(largestDelta, abs(delta))
    }
  }

  @Test func `R08 a chain of two hundred options is quoted whole, many with one message, and only what moved`() throws {
    let options = InstrumentSpec.btcChain(options: 200, wallClock: VenueConfiguration().wallClockBase)
      .filter { $0.kind == .option }
    let specs = [InstrumentSpec.btcPerpetual] + options
    var plan = Self.plan(try Self.configuration("strategy:\n  kind: ladder", options: options), specs)
    plan.fillModel = nil
    let observer = ChainObserver()
    let trial = try QuotingTrial(plan, flow: Self.flow(), observer: observer)
    let outcome = try trial.run(for: 20 * second)
    #expect(trial.failure == nil, "\(trial.failure ?? "")")
    #expect(outcome.violations == 0)
    #expect(outcome.fills > 50)
    // The perpetual's four sides beside them; far from the money some have an empty side.
    #expect(observer.most > 360, "\(observer.most)")
    #expect(outcome.quoted * 10 > outcome.watched * 8, "\(outcome.quoted) of \(outcome.watched)")
    // Marks come ten times a second: 80,000 looks at a side, of which few led to a new price.
    #expect(observer.changes < 80_000 / 10, "\(observer.changes)")
    #expect(observer.changes > 3 * outcome.orderMessages, "\(observer.changes) by \(outcome.orderMessages)")
    // The limit, and what may be filled at once before it is looked at again.
    #expect(observer.largestDelta < 1.5 + 0.5, "\(observer.largestDelta)")
  }
}
