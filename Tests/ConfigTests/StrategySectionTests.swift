import CSupport
import Foundation
import Testing

@testable import Apus

/// The section `strategy`: its keys depend on its kind.
@Suite struct StrategySectionTests {
  /// The sample with lines added to its first instrument.
  private static func text(_ lines: String, name: String = "BTC-PERPETUAL") -> String {
    let indented = lines.split(separator: "\n").map { "    \($0)\n" }.joined()
    return Sample.text("  - name: BTC-PERPETUAL\n", "  - name: \(name)\n\(indented)")
  }

  private static let options = """
    strategy:
      kind: options
      half_spread_vol_points: 1.5
      delta_half_spread_bps: 2
      vega_skew_vol_points: 0.5
      max_delta_coins: 2
      max_gamma_coins_per_usd: 0.001
      max_vega_usd_per_point: 500
    """

  static let sections: [(StrategyKind, String)] = [
    (.ladder, "strategy:\n  kind: ladder"),
    (.glft, "strategy:\n  kind: glft\n  risk_aversion_per_usd: 0.002\n  half_life_s: 60"),
    (
      .avellanedaStoikov,
      "strategy:\n  kind: avellaneda_stoikov\n  horizon_s: 300\n  risk_aversion_per_usd: 0.002\n  starts_with_ladder: true"
    ),
    (
      .makeAndHedge,
      "strategy:\n  kind: make_and_hedge\n  maker_fee_bps: -0.5\n  hedge_fee_bps: 3\n  hedge_half_spread_bps: 0.1\n"
        + "  slippage_bps: 0.5\n  edge_bps: 0.25"
    ),
    (.options, options),
  ]

  /// The written file of an instrument with this strategy and an order flow, without the keys that may be left out.
  static func withOnlyRequired(_ lines: String) throws -> String {
    let defaulted = ConfigurationSchema.sections.filter { $0.path.hasPrefix("instruments[].strategy") }.flatMap(\.keys)
      .filter { $0.presence != .required }.map(\.name)
    let left = lines.split(separator: "\n").filter { line in !defaulted.contains { line.contains("\($0):") } }
    let whole = left.joined(separator: "\n") + "\norder_flow:"
    return ConfigurationFile.text(of: try ConfigurationFile.parse(text(whole, name: "BTC-27MAR26-60000-C")))
  }

  @Test(arguments: sections)
  func `each kind is read with its own keys, written out, and recorded with the run`(kind: StrategyKind, lines: String)
    throws
  {
    let name = kind == .options ? "BTC-27MAR26-60000-C" : "BTC-PERPETUAL"
    let configuration = try ConfigurationFile.parse(Self.text(lines, name: name))
    #expect(configuration.instruments[0].strategy.kind == kind)
    #expect(configuration.instruments[1].strategy == .ladder)
    #expect(try ConfigurationFile.parse(ConfigurationFile.text(of: configuration)) == configuration)
    let coded = try JSONEncoder().encode(configuration)
    #expect(try JSONDecoder().decode(Configuration.self, from: coded) == configuration)
  }

  @Test func `values arrive in their units`() throws {
    let lines = Self.options
    let configuration = try ConfigurationFile.parse(Self.text(lines, name: "BTC-27MAR26-60000-C"))
    guard case .options(let section) = configuration.instruments[0].strategy else {
      Issue.record("no options")
      return
    }
    let grid = InstrumentGrid(tickE8: 100_000_000, lotE8: 1_000_000, minimumLots: QtyLots(rawValue: 1))
    let parameters = section.parameters(configuration.instruments[0].ladder.parameters(on: grid))
    #expect(abs(parameters.volatilityHalfSpread - 0.015) < 1e-12 && abs(parameters.vegaSkew - 0.005) < 1e-12)
    #expect(parameters.deltaHalfSpreadCentiBps == 200)
    // 500 USD for a point are 50,000 for a whole unit of volatility.
    #expect(parameters.largest == ChainGreeks(delta: 2, gamma: 0.001, vega: 50_000))
  }

  @Test func `a run of before there was a choice is one of ladders`() throws {
    let configuration = try ConfigurationFile.parse(Sample.text)
    let coded = try JSONEncoder().encode(configuration)
    var object = try #require(try JSONSerialization.jsonObject(with: coded) as? [String: Any])
    var instruments = try #require(object["instruments"] as? [[String: Any]])
    for index in instruments.indices { #expect(instruments[index].removeValue(forKey: "strategy") != nil) }
    object["instruments"] = instruments
    let old = try JSONSerialization.data(withJSONObject: object)
    #expect(try JSONDecoder().decode(Configuration.self, from: old) == configuration)
  }

  // MARK: - Mistakes

  private func problems(_ lines: String, name: String = "BTC-PERPETUAL") -> [String] {
    Sample.problems(Self.text(lines, name: name))
  }

  @Test func `R51 a key of another kind, a missing one, and one out of range are named with their lines`() {
    let found = problems("strategy:\n  kind: glft\n  horizon_s: 300\n  half_life_s: 0")
    #expect(found.count == 3, "\(found)")
    #expect(found.contains { $0.contains("instruments[0].strategy.risk_aversion_per_usd is missing") })
    #expect(found.contains { $0.contains("a.yaml:12:") && $0.contains("strategy.horizon_s is not a key") })
    #expect(found.contains { $0.contains("a.yaml:13:") && $0.contains("strategy.half_life_s is 0") })
  }

  @Test(arguments: [
    ("strategy:\n  kind: gltf\n  risk_aversion_per_usd: 1", #"strategy.kind is "gltf", but must be one of"#),
    ("strategy:\n  risk_aversion_per_usd: 1", "strategy.kind is missing"),
    ("strategy:\n  kind:", "strategy.kind has no value"),
    ("strategy: glft", "must be a mapping"),
    ("strategy:\n  kind: ladder\n  half_life_s: 3", "strategy.half_life_s is not a key"),
    (options, "is not the name of an option"),
    ("order_flow:\n  widen_at_best_sizes: 3\n  pull_at_best_sizes: 3", "must be above widen_at_best_sizes (3)"),
  ])
  func `R51 one mistake gives one sentence`(lines: String, sentence: String) {
    let found = problems(lines)
    #expect(found.count == 1 && found[0].contains(sentence), "\(found)")
  }

  // MARK: - Several instruments

  private static func withDefaults(_ defaults: String, second: String) -> String {
    Sample.text("  - name: ETH-PERPETUAL\n", "  - name: ETH-PERPETUAL\n\(second)") + defaults
  }

  @Test func `a strategy under defaults is that of all, changed key by key, but not by one of another kind`() throws {
    let defaults = "defaults:\n  strategy:\n    kind: glft\n    risk_aversion_per_usd: 0.5\n    half_life_s: 30\n"
    let changed = try ConfigurationFile.parse(
      Self.withDefaults(defaults, second: "    strategy:\n      half_life_s: 90\n"))
    #expect(changed.instruments[0].strategy == .glft(GLFTSection(riskAversion: Self.half, halfLifeSeconds: 30)))
    #expect(changed.instruments[1].strategy == .glft(GLFTSection(riskAversion: Self.half, halfLifeSeconds: 90)))
    let other = try ConfigurationFile.parse(
      Self.withDefaults(defaults, second: "    strategy:\n      kind: ladder\n"))
    #expect(other.instruments[1].strategy == .ladder)
  }

  private static let half = DecimalE8(e8: 50_000_000)

  @Test func `options of one chain must agree on how it is modelled`() {
    func lines(_ life: Int) -> String { Self.options + "\n  mark_life_ms: \(life)" }
    let text = Self.text(lines(5000), name: "BTC-27MAR26-60000-C")
    let indented = lines(7000).split(separator: "\n").map { "    \($0)\n" }.joined()
    guard let range = text.range(of: "  - name: ETH-PERPETUAL\n") else { return }
    let both = text.replacingCharacters(in: range, with: "  - name: BTC-27MAR26-60000-P\n\(indented)")
    let found = Sample.problems(both)
    #expect(found.count == 1 && found[0].contains("mark_life_ms is 7000, but instruments[0] has 5000"), "\(found)")
  }
}
