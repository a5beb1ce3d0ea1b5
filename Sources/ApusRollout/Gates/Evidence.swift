import Glibc

/// Evidence that something is worse than it may be, as a bet against "it is not".
///
/// Whoever holds a bet that is fair, or worse than fair, while the hypothesis is true, multiplies the stake by `w` with a
/// chance of at most 1/w, however often is looked and whenever is stopped (J. Ville, Étude critique de la notion de
/// collectif, 1939; G. Shafer, "Testing by betting", J. R. Stat. Soc. A 184, 2021). So the wealth can be looked at after
/// each slice, and a candidate that is no worse is taken back with a chance of at most 1/threshold over the whole stage.
/// It holds from the first observation on: with few of them the wealth cannot be large.
///
/// A bet has to be fair given all that came before, so what happens together is one observation: a slice, or a longer time, is
/// bet on once, however many instruments or events there were in it.
protocol Evidence {
  /// What a stake of 1 has become.
  var wealth: Double { get }
  /// Observations that count, for people.
  var text: String { get }
}

/// Three who bet on values from -1 to 1 whose mean is at most 0 under the hypothesis, whatever came before: who stakes the
/// part s of the wealth has 1 + s·x times as much afterwards.
struct Bettors: Codable, Equatable, Sendable {
  /// The bettors' average is fair as each of them is. A small stake gathers what is slightly more often worse, a large one
  /// what always is.
  private static let stakes = [0.2, 0.5, 0.8]
  private var logs: [Double] = [0, 0, 0]

  mutating func bet(on value: Double) {
    let value = min(max(value, -1), 1)
    for (place, stake) in Self.stakes.enumerated() { logs[place] += log1p(stake * value) }
  }

  var wealth: Double { logs.map { exp($0) }.reduce(0, +) / Double(logs.count) }
}

/// Of observations that are worse or better one by one: under the hypothesis each is worse with a chance of at most one half,
/// whatever came before.
public struct SignEvidence: Evidence, Codable, Equatable, Sendable {
  public private(set) var worse = 0
  public private(set) var better = 0
  private var bettors = Bettors()

  public init() {}

  public mutating func note(isWorse: Bool) {
    if isWorse { worse += 1 } else { better += 1 }
    bettors.bet(on: isWorse ? 1 : -1)
  }

  public var wealth: Double { bettors.wealth }

  public var text: String { "worse in \(worse) of \(worse + better)" }
}

/// Of differences that may be large: under the hypothesis their mean is at most 0, as far as they lie within bounds.
///
/// What is beyond a bound counts as much as the bound. Several bounds see small differences and large ones: each has
/// bettors of its own.
public struct MeanEvidence: Evidence, Codable, Equatable, Sendable {
  public private(set) var count = 0
  private var sum = 0.0
  private var bettors: [Bettors] = []

  public init() {}

  /// - Parameters:
  ///   - difference: By how much the candidate is worse.
  ///   - bounds: In the same unit; always the same ones.
  public mutating func note(_ difference: Double, bounds: [Double]) {
    count += 1
    sum += difference
    if bettors.isEmpty { bettors = bounds.map { _ in Bettors() } }
    for (place, bound) in bounds.enumerated() { bettors[place].bet(on: difference / bound) }
  }

  public var wealth: Double { bettors.isEmpty ? 1 : bettors.map(\.wealth).reduce(0, +) / Double(bettors.count) }

  public var text: String {
    let mean = count > 0 ? sum / Double(count) : 0
    return "\(mean < 0 ? "better" : "worse") by \(Self.decimals(abs(mean))) in the mean of \(count)"
  }

  private static func decimals(_ value: Double) -> String {
    let hundredths = Int64(min((value * 100).rounded(), 1e15))
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }
}

/// Of events that happen at rates: under the hypothesis the candidate's rate is at most `allowed` times the incumbent's.
///
/// Events come in bursts: a venue that refuses for a second refuses twenty requests, and these are not twenty observations. So
/// a time in which there were any counts as one event, of which each engine has the part that it has of that time's events. The
/// mean of the candidate's part is at most the part that it would have at the allowed rate, however the events hang together,
/// and nothing makes a wealth larger by more than four fifths at once.
public struct CountEvidence: Evidence, Codable, Equatable, Sendable {
  public private(set) var candidate = 0
  public private(set) var incumbent = 0
  /// At which there were any events.
  public private(set) var times = 0
  private var bettors = Bettors()

  public init() {}

  /// Of one slice, or of what else is one observation.
  ///
  /// - Parameters:
  ///   - exposure: Of what the events are counted: seconds, or requests; of both engines over the same time.
  ///   - allowed: Ratio of the rates.
  public mutating func note(candidate: Int, incumbent: Int, exposure: (candidate: Double, incumbent: Double), allowed: Double) {
    guard exposure.candidate > 0, exposure.incumbent > 0, candidate + incumbent > 0 else { return }
    self.candidate += candidate
    self.incumbent += incumbent
    times += 1
    let weight = allowed * exposure.candidate
    let fair = weight / (weight + exposure.incumbent)
    let part = Double(candidate) / Double(candidate + incumbent)
    bettors.bet(on: (part - fair) / max(fair, 1 - fair))
  }

  public var wealth: Double { bettors.wealth }

  public var text: String { "\(candidate) against \(incumbent), at \(times) times" }
}
