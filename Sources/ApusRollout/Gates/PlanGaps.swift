public import Apus

extension RolloutPlan {
  /// What the plan does not guard against, and which key does; a sentence each.
  public var gaps: [String] {
    var gaps: [String] = []
    if stops.maxLoss == .zero {
      gaps.append(
        "nothing bounds what the candidate may lose: gates take minutes and only compare with the incumbent; set stops.max_loss to "
          + "the most that this rollout may cost, in the quote currency")
    }
    if staging.recordings == nil {
      gaps.append("nothing is timed before the candidate trades: set staging.recordings to the journal of a recorded session")
    } else if staging.pairs < leastPairs {
      gaps.append(
        "a slower program is never found: at confidence \(gates.confidence) that takes \(leastPairs) pairs of replays at least; set "
          + "staging.pairs to \(max(30, leastPairs)) or more")
    }
    return gaps
  }
}
