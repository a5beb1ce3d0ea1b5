import Glibc
import Testing

@testable import Apus
@testable import ApusRollout

/// What is asked before anything of a candidate trades: times of replays.
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
}
