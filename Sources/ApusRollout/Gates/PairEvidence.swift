import Apus

/// Of replays of both programs by turns: whether the candidate takes longer than allowed, or clearly does not.
struct PairEvidence {
  enum Verdict { case open, slower, fine }

  private(set) var slower = SignEvidence()
  private var fine = SignEvidence()
  private(set) var ratios: [Double] = []
  private let allowed: Double
  private let threshold: Double

  /// Replays take long: one that is slower than allowed may be let through early in one of 20 cases.
  private static let enough = 20.0

  init(_ plan: RolloutPlan) {
    allowed = plan.staging.slowerAtMost.asDouble
    threshold = 1 / (1 - plan.gates.confidence.asDouble)
  }

  /// CPU times of one replay each.
  mutating func note(candidate: Double, incumbent: Double) {
    ratios.append(candidate / max(incumbent, 1e-6))
    let isWorse = candidate > allowed * incumbent
    slower.note(isWorse: isWorse)
    fine.note(isWorse: !isWorse)
  }

  var verdict: Verdict {
    if slower.wealth >= threshold { return .slower }
    return fine.wealth >= Self.enough ? .fine : .open
  }
}

extension RolloutPlan {
  /// Pairs of replays of which each is worse, until a slower program is found.
  public var leastPairs: Int {
    var evidence = PairEvidence(self)
    while evidence.verdict != .slower { evidence.note(candidate: .infinity, incumbent: 1) }
    return evidence.ratios.count
  }
}
