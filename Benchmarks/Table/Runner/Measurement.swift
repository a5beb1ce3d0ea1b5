import Apus
import CBench
import Foundation
import Pieces

/// How often everything is repeated.
struct Effort {
  var rounds: Int
  var sampleRounds: Int
  /// How often a flow is played from beginning to end.
  var flowRounds: Int
  var crossRounds: Int
  /// Tries of a cross-core run before it counts as not measurable.
  var crossTries: Int
  /// The time that a cross-core row may take: two threads that spin and wait for a core are nobody's friend.
  var crossSeconds: Double
  var gapSeconds: Double

  static let full = Effort(
    rounds: 41, sampleRounds: 25, flowRounds: 7, crossRounds: 31, crossTries: 400, crossSeconds: 30, gapSeconds: 1)
  static let quick = Effort(
    rounds: 7, sampleRounds: 5, flowRounds: 3, crossRounds: 7, crossTries: 100, crossSeconds: 8, gapSeconds: 0.2)
}

/// The figures of one piece, before they are rows.
struct PieceResult {
  var samples: [Int64] = []
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
  /// How far the bounce after a run may be from that before it, and both from the row's.
  static let tolerance = 0.15
  /// Above this, in ns, it was no bounce between two running threads.
  static let longestBounce = 3000.0

  /// Tries of one run, as long as others take the core in it.
  static let attempts = 5

  init(cores: Cores, library: PeerLibrary, effort: Effort) {
    self.cores = cores
    self.library = library
    self.effort = effort
  }

  mutating func measure(_ piece: Piece) throws -> PieceResult {
    switch piece.measure {
    case .samples: return try sample(piece)
    case .batch(let count):
      return try interleave(piece) { measurement, contenders, result in
        try measurement.time(contenders, count, &result)
      }
    case .flow(let total, let step):
      return try interleave(piece) { measurement, contenders, result in
        try measurement.timeFlow(contenders, total, step, &result)
      }
    case .crossCore(let count):
      guard cores.other != nil else {
        var result = PieceResult()
        result.conditions = ["not measurable: there is no second core for it"]
        return result
      }
      return try interleave(piece) { measurement, contenders, result in
        try measurement.timeAcross(contenders, count, &result)
      }
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

  private mutating func interleave(
    _ piece: Piece, _ time: (inout Measurement, [Contender], inout PieceResult) throws -> Void
  ) throws -> PieceResult {
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
      try time(&self, contenders, &result)
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
    for contender in contenders { _ = try contender.run(count) }
    var repeated = 0
    for round in 0..<effort.rounds {
      for offset in contenders.indices {
        // Each round begins with another one, so that nobody always follows the same neighbour.
        let contender = contenders[(round + offset) % contenders.count]
        for attempt in 1...Self.attempts {
          sched_yield()
          // Half untimed: the caches and the predictors are the contender's own again.
          _ = try contender.run(max(1, count / 2))
          let switches = apus_forced_switches()
          let time = try contender.run(count)
          if apus_forced_switches() == switches || attempt == Self.attempts {
            contender.rounds.append(time)
            break
          }
          repeated += 1
        }
      }
    }
    result.conditions.append(
      "median of \(effort.rounds) rounds of \(count)"
        + (repeated > 0 ? ", \(repeated) runs repeated because others took the core" : ""))
  }

  /// A flow is played from its beginning to its end in steps, and each step's time is the median of that same step
  /// over the rounds: a step in which somebody else ran does not count.
  private func timeFlow(_ contenders: [Contender], _ total: Int, _ step: Int, _ result: inout PieceResult) throws {
    let steps = total / step
    var times = contenders.map { _ in [[Double]](repeating: [], count: steps) }
    for round in 0..<effort.flowRounds {
      for offset in contenders.indices {
        let index = (round + offset) % contenders.count
        for place in 0..<steps {
          if place % 20 == 0 { sched_yield() }
          times[index][place].append(try contenders[index].run(step))
        }
      }
    }
    for (contender, times) in zip(contenders, times) {
      let medians = times.map { Statistics.percentile(50, of: $0) }
      contender.rounds = [medians.reduce(0, +) / Double(steps)]
    }
    result.conditions.append(
      "\(total) operations in steps of \(step), of each step the median of \(effort.flowRounds) rounds")
  }

  /// Each run stands between two bounces of a bare cache line. If these differ, the virtual cores have moved or
  /// somebody else ran, and the run is dropped. Steady runs are gathered by their bounce, for cores stay in one place
  /// for a while and then in another; the place with enough runs of everybody is the row's.
  private func timeAcross(_ contenders: [Contender], _ count: Int, _ result: inout PieceResult) throws {
    let end = EngineClock.now() + Nanoseconds(effort.crossSeconds * 1e9)
    var runs: [CrossRun] = []
    var tries = 0
    while tries < effort.crossTries, EngineClock.now() < end,
      Self.place(of: runs, contenders.count).least < effort.crossRounds
    {
      let index = tries % contenders.count
      tries += 1
      // Lets go of both cores, so that whoever waits for them runs now and not inside of the run.
      usleep(500)
      let before = bounce()
      guard before < Self.longestBounce else { continue }
      let switches = apus_forced_switches()
      let time = try contenders[index].run(count)
      guard apus_forced_switches() == switches else { continue }
      let after = bounce()
      if abs(before - after) <= Self.tolerance * min(before, after) {
        runs.append(CrossRun(contender: index, bounce: (before + after) / 2, time: time))
      }
    }
    let place = Self.place(of: runs, contenders.count)
    let used = runs.filter { $0.isAt(place.bounce) }
    let enough = max(5, effort.crossRounds / 4)
    for (index, contender) in contenders.enumerated() {
      let times = used.filter { $0.contender == index }.map(\.time)
      if times.count >= enough { contender.rounds = times }
    }
    // The bounces round our own runs: a target may be a multiple of them.
    let bounces = used.filter { $0.contender == 0 }.map(\.bounce)
    result.peers.append((bounceName, bounces.isEmpty ? nil : Statistics.percentile(50, of: bounces)))
    result.conditions.append(
      (place.least < enough
        ? "not measurable now: at most \(used.count) steady runs in one place"
        : "median of \(place.least) or more runs of \(count)")
        + "; \(tries - used.count) of \(tries) runs dropped because the bare bounce moved by more than 15 % or others took "
        + "a core")
  }

  /// A run between two bounces that agree.
  private struct CrossRun {
    var contender: Int
    var bounce: Double
    var time: Double

    func isAt(_ place: Double) -> Bool { abs(bounce - place) <= Measurement.tolerance * place }
  }

  /// The bounce round which every contender has the most runs, and how many the one with the fewest has there.
  private static func place(of runs: [CrossRun], _ contenders: Int) -> (bounce: Double, least: Int) {
    var best = (bounce: 0.0, least: 0, all: 0)
    for candidate in runs {
      var counts = [Int](repeating: 0, count: contenders)
      for run in runs where run.isAt(candidate.bounce) { counts[run.contender] += 1 }
      let least = counts.min() ?? 0
      let all = counts.reduce(0, +)
      if (least, all) > (best.least, best.all) { best = (candidate.bounce, least, all) }
    }
    return (best.bounce, best.least)
  }

  private func bounce() -> Double { apus_bounce_ns(Int32(cores.other ?? 0), 500) }
}
