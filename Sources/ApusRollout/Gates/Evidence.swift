import Glibc

/// Evidence that something is worse than it may be, as a bet against "it is not".
///
/// Whoever holds a bet that is fair, or worse than fair, while the hypothesis is true, multiplies the stake by `w` with a
/// chance of at most 1/w, however often is looked and whenever is stopped (J. Ville, Étude critique de la notion de
/// collectif, 1939; G. Shafer, "Testing by betting", J. R. Stat. Soc. A 184, 2021). So the wealth can be looked at after
/// each slice, and a candidate that is no worse is taken back with a chance of at most 1/threshold over the whole stage.
/// It holds from the first observation on: with few of them the wealth cannot be large.
protocol Evidence {
  /// What a stake of 1 has become.
  var wealth: Double { get }
  /// Observations that count, for people.
  var text: String { get }
}

/// Of observations that are worse or better one by one: under the hypothesis each is worse with a chance of at most one half,
/// whatever came before.
public struct SignEvidence: Evidence, Codable, Equatable, Sendable {
  public private(set) var worse = 0
  public private(set) var better = 0
  /// Parts of the wealth that are staked each time; the bettors' average is fair as each of them is. A small stake
  /// gathers what is slightly more often worse, a large one what always is.
  private static let stakes = [0.2, 0.5, 0.8]

  public init() {}

  public mutating func note(isWorse: Bool) { if isWorse { worse += 1 } else { better += 1 } }

  public var wealth: Double {
    let wealths = Self.stakes.map { exp(Double(worse) * log1p($0) + Double(better) * log1p(-$0)) }
    return wealths.reduce(0, +) / Double(Self.stakes.count)
  }

  public var text: String { "worse in \(worse) of \(worse + better) slices" }
}

/// Of events that happen at rates: under the hypothesis the candidate's rate is at most `allowed` times the incumbent's.
///
/// Given the number of events of both together, the candidate's share of them is binomial; the bet is the likelihood
/// ratio against rates that are 2, 4 and 16 times what is allowed (A. Wald, Sequential Analysis, 1947, chapter 6).
public struct CountEvidence: Evidence, Codable, Equatable, Sendable {
  public private(set) var candidate = 0
  public private(set) var incumbent = 0
  private var logs: [Double] = [0, 0, 0]
  private static let factors = [2.0, 4, 16]

  public init() {}

  /// - Parameters:
  ///   - exposure: Of what the events are counted: seconds, or requests; of both engines over the same time.
  ///   - allowed: Ratio of the rates.
  public mutating func note(candidate: Int, incumbent: Int, exposure: (candidate: Double, incumbent: Double), allowed: Double) {
    guard exposure.candidate > 0, exposure.incumbent > 0, candidate + incumbent > 0 else { return }
    self.candidate += candidate
    self.incumbent += incumbent
    func share(_ ratio: Double) -> Double {
      let weight = ratio * exposure.candidate
      return weight / (weight + exposure.incumbent)
    }
    let null = share(allowed)
    for (place, factor) in Self.factors.enumerated() {
      let other = share(allowed * factor)
      logs[place] += Double(candidate) * log(other / null) + Double(incumbent) * (log1p(-other) - log1p(-null))
    }
  }

  public var wealth: Double { logs.map { exp($0) }.reduce(0, +) / Double(logs.count) }

  public var text: String { "\(candidate) against \(incumbent)" }
}
