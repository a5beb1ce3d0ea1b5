import Apus
import CBench
import Foundation
import Pieces

/// How often everything is repeated.
struct Effort {
  var rounds: Int
  var sampleRounds: Int
  /// Rounds of a batch above a millisecond.
  var longRounds: Int
  var crossRounds: Int
  /// Tries of a cross-core run before it counts as not measurable.
  var crossTries: Int
  var gapSeconds: Double

  static let full = Effort(
    rounds: 41, sampleRounds: 25, longRounds: 7, crossRounds: 31, crossTries: 400, gapSeconds: 1)
  static let quick = Effort(
    rounds: 7, sampleRounds: 5, longRounds: 3, crossRounds: 7, crossTries: 100, gapSeconds: 0.2)
}

/// The figures of one piece, before they are rows.
struct PieceResult {
  var ours: [Double] = []
  var samples: [Int64] = []
  var oursName = "ours"
  var oursMedian: Double?
  var spread: Double?
  var peers: [(name: String, median: Double?)] = []
  /// What has to be known of the run: dropped runs, gaps.
  var conditions: [String] = []
}

/// Times pieces and their peers, interleaved.
struct Measurement {
  let cores: Cores
  let library: PeerLibrary
  let effort: Effort
  /// Something that did not work, named; the run goes on.
  var problems: [String] = []
  /// The last bounces of a line that were not out of the ordinary.
  private(set) var bounces: [Double] = []

  /// How far the bounce may be from its median, and before a run from after it.
  static let tolerance = 0.15

  init(cores: Cores, library: PeerLibrary, effort: Effort) {
    self.cores = cores
    self.library = library
    self.effort = effort
  }

  mutating func measure(_ piece: Piece) throws -> PieceResult {
    switch piece.measure {
    case .samples: return try sample(piece)
    case .batch(let count): return try interleave(piece, count, isCrossCore: false)
    case .crossCore(let count): return try interleave(piece, count, isCrossCore: true)
    }
  }

  private func sample(_ piece: Piece) throws -> PieceResult {
    var result = PieceResult()
    let runner = try piece.make(cores)
    var gaps = Gaps()
    var warm: [Int64] = []
    try runner.run(into: &warm)
    for _ in 0..<effort.sampleRounds {
      sched_yield()
      try runner.run(into: &result.samples)
      gaps.measure(seconds: effort.gapSeconds / Double(effort.sampleRounds))
    }
    result.conditions = ["\(result.samples.count) ticks timed one by one", gaps.text]
    return result
  }

  private mutating func interleave(_ piece: Piece, _ count: Int, isCrossCore: Bool) throws -> PieceResult {
    if isCrossCore, cores.other == nil {
      var result = PieceResult()
      result.conditions = ["not measurable: the process may use one core only"]
      return result
    }
    let input = try piece.input()
    return try input.withUnsafeBytes { input in
      var contenders = [Self.contender("ours", try piece.make(cores))]
      for alternative in piece.alternatives {
        contenders.append(Self.contender(alternative.name, try alternative.make(cores)))
      }
      var found: [String] = []
      contenders += library.contenders(row: piece.key, input: input, cores: cores) { found.append($0) }
      problems += found.map { "\(piece.key): \($0)" }
      contenders = try agreeing(contenders, on: piece.key)
      var result = PieceResult()
      if isCrossCore {
        try timeAcross(contenders, count, &result)
      } else {
        try time(contenders, count, &result)
      }
      result.ours = contenders[0].rounds
      result.oursMedian = contenders[0].median
      result.spread = contenders[0].spread
      result.peers += contenders.dropFirst().map { ($0.name, $0.median) }
      return result
    }
  }

  private static func contender(_ name: String, _ runner: Runner) -> Contender {
    Contender(name: name, run: { try runner.run($0) }, check: { try runner.check() })
  }

  /// Those that come to our result; the others are named as problems and left out.
  private mutating func agreeing(_ contenders: [Contender], on key: String) throws -> [Contender] {
    let expected = try contenders[0].check() ?? []
    guard !expected.isEmpty else { return contenders }
    var kept = [contenders[0]]
    for contender in contenders.dropFirst() {
      let found = try contender.check() ?? []
      // An alternative of the piece itself has nothing to compare.
      if found.isEmpty || found == expected {
        kept.append(contender)
      } else {
        let place = zip(found, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset
        problems.append(
          "\(key): \(contender.name) comes to another result"
            + (place.map { " (number \($0): \(found[$0]), ours \(expected[$0]))" }
              ?? " (\(found.count) numbers, ours \(expected.count))"))
      }
    }
    return kept
  }

  private func time(_ contenders: [Contender], _ count: Int, _ result: inout PieceResult) throws {
    // Warm, and long enough to see what a round costs.
    var longest = 0.0
    for contender in contenders { longest = max(longest, try contender.run(count) * Double(count)) }
    let rounds = longest > 5e6 ? effort.longRounds : effort.rounds
    for round in 0..<rounds {
      for offset in contenders.indices {
        // Each round begins with another one, so that nobody always follows the same neighbour.
        let contender = contenders[(round + offset) % contenders.count]
        sched_yield()
        // A tenth untimed: the caches and the predictors are the contender's own again.
        if longest <= 5e6 { _ = try contender.run(max(1, count / 10)) }
        contender.rounds.append(try contender.run(count))
      }
    }
    result.conditions.append("median of \(rounds) rounds of \(count)")
  }

  /// Each run stands between two bounces of a bare cache line: if they differ from each other or from the usual one,
  /// the virtual cores have moved or somebody else ran, and the run is repeated.
  private mutating func timeAcross(_ contenders: [Contender], _ count: Int, _ result: inout PieceResult) throws {
    guard let usual = usualBounce() else {
      result.conditions.append("not measurable now: the bare cache-line bounce does not settle")
      result.peers.append((bounceName, nil))
      return
    }
    var accepted: [Double] = []
    var dropped = 0
    var tries = 0
    var turn = 0
    for contender in contenders { _ = try contender.run(count) }
    while tries < effort.crossTries, contenders.contains(where: { $0.rounds.count < effort.crossRounds }) {
      let contender = contenders[turn % contenders.count]
      turn += 1
      guard contender.rounds.count < effort.crossRounds else { continue }
      tries += 1
      // Lets go of both cores, so that whoever waits for them runs now and not inside of the run.
      usleep(500)
      let before = bounce()
      let time = try contender.run(count)
      let after = bounce()
      let isSteady =
        abs(before - after) <= Self.tolerance * min(before, after)
        && [before, after].allSatisfy { abs($0 - usual) <= Self.tolerance * usual }
      guard isSteady else {
        dropped += 1
        continue
      }
      accepted += [before, after]
      contender.rounds.append(time)
    }
    let least = contenders.map(\.rounds.count).min() ?? 0
    let enough = max(5, effort.crossRounds / 4)
    for contender in contenders where contender.rounds.count < enough { contender.rounds.removeAll() }
    result.peers.append((bounceName, accepted.isEmpty ? nil : Statistics.percentile(50, of: accepted)))
    result.conditions.append(
      "\(least < enough ? "not measurable now" : "median of \(least) to \(effort.crossRounds) runs of \(count)"); "
        + "\(dropped) of \(tries) runs dropped because the bare bounce moved by more than 15 %")
  }

  private func bounce() -> Double { apus_bounce_ns(Int32(cores.other ?? 0), 500) }

  /// The median of several bounces, if half of them lie within the tolerance of it.
  private func usualBounce() -> Double? {
    for _ in 0..<5 {
      var values: [Double] = []
      for _ in 0..<25 {
        usleep(500)
        values.append(bounce())
      }
      let median = Statistics.percentile(50, of: values)
      if values.count(where: { abs($0 - median) <= Self.tolerance * median }) * 2 >= values.count { return median }
    }
    return nil
  }
}
