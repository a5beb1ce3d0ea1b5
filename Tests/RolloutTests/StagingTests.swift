import Glibc
import Testing

@testable import Apus
@testable import ApusRollout

/// What is asked before anything of a candidate trades: times of replays, and limits.
@Suite struct StagingTests {
  /// - Parameter others: Part of the pairs of a program that takes 1.3 times as long in which it seems no slower than allowed.
  private static func verdicts(ratio: Double, others: Double = 0.07, runs: Int = 2000) -> (slower: Int, fine: Int, pairs: Double) {
    // The noise that lets 1.3 seem less than 1.15 so often: 7 % of a normal distribution are below -1.476.
    let noise = log(1.3 / 1.15) / 1.476
    var random = Gauss(seed: 3)
    var found = (slower: 0, fine: 0, pairs: 0.0)
    let plan = RolloutPlan()
    for _ in 0..<runs {
      var evidence = PairEvidence(plan)
      while evidence.verdict == .open, evidence.ratios.count < plan.staging.pairs {
        evidence.note(candidate: ratio * exp(noise * random.next()), incumbent: 1)
      }
      found.slower += evidence.verdict == .slower ? 1 : 0
      found.fine += evidence.verdict == .fine ? 1 : 0
      found.pairs += Double(evidence.ratios.count) / Double(runs)
    }
    return found
  }

  @Test func `a program that takes 1.3 times as long is found although 7 % of the pairs go the other way, an equal one passes`() {
    let (slow, equal) = (Self.verdicts(ratio: 1.3), Self.verdicts(ratio: 1))
    #expect(slow.slower >= 1900 && slow.fine <= 20, "\(slow)")
    #expect(equal.slower <= 20 && equal.fine >= 1980, "\(equal)")
    #expect(equal.pairs <= 10 && slow.pairs <= 20, "\(equal) \(slow)")
  }

  @Test func `a plan says what it does not guard against`() throws {
    let steps = "steps:\n  - {instruments: 100%}\n"
    let gaps = try RolloutPlan.parse(steps).gaps
    #expect(gaps.count == 2 && gaps[0].contains("nothing bounds what the candidate may lose") && gaps[0].contains("set stops.max_loss"))
    #expect(gaps[1].contains("staging.recordings"))
    #expect(try RolloutPlan.parse("staging: {recordings: a}\nstops: {max_loss: 1}\n" + steps).gaps.isEmpty)
    let few = try RolloutPlan.parse("staging: {recordings: a, pairs: 9}\nstops: {max_loss: 1}\n" + steps)
    #expect(few.leastPairs == 10 && few.gaps.count == 1 && few.gaps[0].contains("takes 10 pairs"), "\(few.gaps)")
  }

  // MARK: - Limits

  private static let text = """
    engine: {name: desk_1, data_directory: data}
    venue: {url: "wss://testnet.thalex.com/ws/api/v2", key_id: K1, private_key_file: key.pem, protection_trade: 3, protection_quote: 4}
    instruments:
      - name: BTC-PERPETUAL
        ladder: {levels: 3, half_spread_bps: 0.35, step_ticks: 2, size: 0.02, skew_bps: 1}
        limits: {max_position: 0.5, max_order: 0.1, max_notional: 20000, collar_bps: 20, max_orders: 12}
    underlyings:
      - {name: BTC, max_position: 2, hedge: "thalex:BTC-PERPETUAL", hedge_band: 1, hedge_per_minute: 3}
    manager: {max_loss: 100, max_drawdown: 50, max_exposure: 70000}
    safety: {lane_max_loss: 60, lane_max_drawdown: 40, max_messages_per_minute: 300, max_messages_per_fill: 500}

    """

  @Test(arguments: [
    ("max_position: 0.5", "max_position: 0.6", "BTC-PERPETUAL: max_position 0.5 → 0.6"),
    ("max_orders: 12", "max_orders: 13", "BTC-PERPETUAL: max_orders 12 → 13"),
    ("protection_trade: 3", "protection_trade: 3.5", "thalex: protection_trade 3 → 3.5"),
    ("protection_quote: 4", "protection_quote: 5", "thalex: protection_quote 4 → 5"),
    ("max_position: 2", "max_position: 2.5", "underlyings BTC: max_position 2 → 2.5"),
    ("hedge_per_minute: 3", "hedge_per_minute: 0", "underlyings BTC: hedge_per_minute 3 → none"),
    ("max_loss: 100", "max_loss: 101", "manager.max_loss 100 → 101"),
    ("max_loss: 100, ", "", "manager.max_loss 100 → none"),
    ("max_drawdown: 50", "max_drawdown: 0", "manager.max_drawdown 50 → none"),
    ("max_exposure: 70000", "max_exposure: 70001", "manager.max_exposure 70000 → 70001"),
    ("lane_max_loss: 60", "lane_max_loss: 61", "safety.lane_max_loss 60 → 61"),
    ("lane_max_drawdown: 40", "lane_max_drawdown: 0", "safety.lane_max_drawdown 40 → none"),
    ("max_messages_per_minute: 300", "max_messages_per_minute: 301", "safety.max_messages_per_minute 300 → 301"),
    ("max_messages_per_fill: 500", "max_messages_per_fill: 0", "safety.max_messages_per_fill 500 → none"),
  ])
  func `a limit that rises or is taken away is told of by its name, one that falls is not`(
    old: String, new: String, words: String
  ) throws {
    try #require(Self.text.contains(old))
    let before = try ConfigurationFile.parse(Self.text)
    let after = try ConfigurationFile.parse(Self.text.replacing(old, with: new))
    #expect(Staging.raisedLimits(after, before) == [words])
    #expect(Staging.raisedLimits(before, after) == [])
    #expect(Staging.raisedLimits(before, before) == [])
  }

  @Test func `an underlying that is taken away has no limit any more`() throws {
    let text = Self.text.replacing(", max_exposure: 70000", with: "")
    let lines = text.split(separator: "\n").filter { !$0.contains("underlyings") && !$0.contains("{name: BTC,") }
    let (before, after) = (try ConfigurationFile.parse(text), try ConfigurationFile.parse(lines.joined(separator: "\n")))
    #expect(Staging.raisedLimits(after, before) == ["underlyings BTC: max_position 2 → none"])
    #expect(Staging.raisedLimits(before, after) == [])
  }
}
