public import Apus

/// How a gate stands.
public struct GateVerdict: Codable, Equatable, Sendable {
  /// `tick_to_order p50`, `rejects`, …
  public var gate: String
  /// Above this the gate is breached.
  public var threshold: Double
  public var wealth: Double
  /// What was counted, and what is allowed.
  public var evidence: String

  public var isBreached: Bool { wealth >= threshold }

  /// Of the claim that the candidate is worse than allowed, before many gates are counted.
  public var confidence: Double { wealth <= 1 ? 0 : 1 - 1 / wealth }
}

/// The candidate against the incumbent over one stage: takes slices, keeps the evidence of every gate.
///
/// Pure. The confidence of the plan is shared out among the gates: each is breached when its wealth is the number of gates
/// divided by what the plan allows in error (Boole's inequality).
public struct GateKeeper: Codable, Equatable, Sendable {
  private let gates: RolloutPlan.GateSection
  /// Both see the same market and have the same part of it, as in the shadow.
  private let isSameInput: Bool
  private var signs: [String: SignEvidence] = [:]
  private var means: [String: MeanEvidence] = [:]
  private var counts: [String: CountEvidence] = [:]
  /// Slices that are bet on together, by how many seconds that is.
  private var sums: [Int: Sum] = [:]
  public private(set) var slices = 0
  public private(set) var candidate = SliceFigures()
  public private(set) var incumbent = SliceFigures()

  /// Spans that are the engine's own work; others measure the venue and the way there.
  static let ownSpans = ["tick_to_order", "turn", "decode", "decide"]
  /// A percentile of fewer says too little.
  static let leastCount = 20
  /// Of a position below this part of its limit no direction is asked for.
  static let leastInventory = 0.2
  /// With other instruments, what a market does to those of one engine looks like its own doing, from one slice to the next:
  /// money is bet on once in this time. Trends that last longer than that are not told apart.
  static let moneySeconds = 30
  /// What else a host does meets one engine's core for some seconds: of its spans one slice in this time is bet on.
  static let spanSeconds = 15
  /// Bursts of rejects and errors may go on from one slice to the next.
  static let countSeconds = 10
  /// With other instruments, spans differ a little for that: seldom used code and data are slower to reach.
  static let spanRoom = 1.15
  /// Bounds of the difference in profit, basis points of what the limits are worth, of one bet: a position at its limit loses so
  /// much when the price moves by so much. Moves of seconds are mostly below the lower one.
  static let profitBounds = [5.0, 50]

  public init(_ gates: RolloutPlan.GateSection, isSameInput: Bool) {
    self.gates = gates
    self.isSameInput = isSameInput
  }

  private struct Sum: Codable, Equatable, Sendable {
    var candidate = SliceFigures()
    var incumbent = SliceFigures()
  }

  /// Gates that there can be: two a span, throughput, rejects, errors, memory, profit and its size, inventory, three horizons
  /// of markouts.
  private static let gateCount = 2 * ownSpans.count + 10

  private var threshold: Double { Double(Self.gateCount) / (1 - gates.confidence.asDouble) }

  public mutating func note(candidate: SliceFigures, incumbent: SliceFigures) {
    slices += 1
    self.candidate.add(candidate)
    self.incumbent.add(incumbent)
    if isSameInput, incumbent.frames >= Self.leastCount {
      note("throughput", isWorse: Double(candidate.frames) < gates.throughputRatio.asDouble * Double(incumbent.frames))
    }
    if candidate.memoryBytes > 0, incumbent.memoryBytes > 0 {
      let allowed = Double(gates.memoryGrowth) * 1024 * candidate.seconds
      note("memory", isWorse: Double(candidate.memoryGrowth - max(0, incumbent.memoryGrowth)) > allowed)
    }
    noteSums(candidate, incumbent)
    // Quotes that are skewed the right way bring positions back more often than they make them larger; in a market with a
    // trend those of both engines grow.
    if let own = candidate.growing, let other = incumbent.growing {
      means["inventory", default: MeanEvidence()].note(own - other, bounds: [1])
    }
  }

  private mutating func noteSpans(_ candidate: SliceFigures, _ incumbent: SliceFigures) {
    for span in candidate.spans where Self.ownSpans.contains(span.name) && span.count >= Self.leastCount {
      // A turn is as long as what both have to do in it is alike.
      if span.name == "turn", !isSameInput { continue }
      guard let other = incumbent.spans.first(where: { $0.name == span.name }), other.count >= Self.leastCount else { continue }
      let allowed = spanRatio
      note("\(span.name) p50", isWorse: Double(span.median) > allowed * Double(other.median))
      note("\(span.name) p99", isWorse: Double(span.high) > allowed * Double(other.high))
    }
  }

  private var spanRatio: Double { gates.spanRatio.asDouble * (isSameInput ? 1 : Self.spanRoom) }

  /// What hangs together from one slice to the next is bet on together.
  private mutating func noteSums(_ candidate: SliceFigures, _ incumbent: SliceFigures) {
    let money = isSameInput ? 0 : Self.moneySeconds
    // Markouts over a minute of fills five seconds apart are mostly the same minute: they are bet on once in their horizon.
    for seconds in Set([Self.countSeconds, Self.spanSeconds, money] + candidate.markouts.map { max($0.seconds, money) }).sorted() {
      var sum = sums[seconds] ?? Sum()
      sum.candidate.add(candidate)
      sum.incumbent.add(incumbent)
      let isWhole = sum.candidate.seconds + candidate.seconds / 2 >= Double(seconds)
      sums[seconds] = isWhole ? nil : sum
      guard isWhole else { continue }
      if seconds == Self.spanSeconds { noteSpans(candidate, incumbent) }
      if seconds == Self.countSeconds { noteCounts(sum.candidate, sum.incumbent) }
      if seconds == money { noteProfit(sum.candidate, sum.incumbent) }
      noteMarkouts(sum.candidate, sum.incumbent) { max($0, money) == seconds }
    }
  }

  private mutating func noteCounts(_ candidate: SliceFigures, _ incumbent: SliceFigures) {
    counts["rejects", default: CountEvidence()].note(
      candidate: candidate.rejects, incumbent: incumbent.rejects,
      exposure: (Double(candidate.requests), Double(incumbent.requests)), allowed: gates.rejectRatio.asDouble)
    // By messages in both directions: who quotes more may err more often.
    counts["errors", default: CountEvidence()].note(
      candidate: candidate.errors, incumbent: incumbent.errors,
      exposure: (Double(candidate.frames + candidate.requests), Double(incumbent.frames + incumbent.requests)),
      allowed: gates.errorRatio.asDouble)
  }

  private mutating func noteProfit(_ candidate: SliceFigures, _ incumbent: SliceFigures) {
    // One that has no limits left, as in the last step, is nothing to be held against.
    guard candidate.profit != 0 || incumbent.profit != 0, incumbent.limitValue > 0 else { return }
    // Whoever trades ten times as much at the same loss a trade loses ten times as much: it is held against the limits.
    guard let own = candidate.profitRate, let other = incumbent.profitRate else { return }
    let difference = other - gates.profitBps.asDouble - own
    note("profit", isWorse: difference > 0)
    // A loss that is rare and large is in few of the signs.
    let minutes = candidate.seconds / 60
    guard minutes > 0 else { return }
    means["profit size", default: MeanEvidence()].note(difference, bounds: Self.profitBounds.map { $0 / minutes })
  }

  private mutating func noteMarkouts(_ candidate: SliceFigures, _ incumbent: SliceFigures, _ isMeant: (Int) -> Bool) {
    func bps(_ value: Double, _ traded: Double) -> Double? { traded > 0 ? value / traded * 10_000 : nil }
    for (own, other) in zip(candidate.markouts, incumbent.markouts) where isMeant(own.seconds) {
      guard let ours = bps(own.value, own.traded), let theirs = bps(other.value, other.traded) else { continue }
      note("markout \(own.seconds) s", isWorse: ours < theirs - gates.markoutBps.asDouble)
    }
  }

  private mutating func note(_ gate: String, isWorse: Bool) { signs[gate, default: SignEvidence()].note(isWorse: isWorse) }

  /// Every gate that has seen anything, the strongest evidence first, ties by name.
  public var verdicts: [GateVerdict] {
    let all =
      signs.map { GateVerdict(gate: $0.key, threshold: threshold, wealth: $0.value.wealth, evidence: $0.value.text) }
      + means.map { GateVerdict(gate: $0.key, threshold: threshold, wealth: $0.value.wealth, evidence: $0.value.text) }
      + counts.filter { $0.value.candidate + $0.value.incumbent > 0 }.map {
        GateVerdict(gate: $0.key, threshold: threshold, wealth: $0.value.wealth, evidence: $0.value.text)
      }
    return all.sorted { ($1.wealth, $0.gate) < ($0.wealth, $1.gate) }
  }

  public var breach: GateVerdict? { verdicts.first { $0.isBreached } }

  /// What the gate allows, for people.
  public func allowance(of gate: String) -> String {
    if gate.hasSuffix(" p50") || gate.hasSuffix(" p99") {
      return "at most \(gates.spanRatio) times the incumbent's" + (isSameInput ? "" : ", and \(Self.spanRoom) times that in a step")
    }
    if gate.hasPrefix("markout") { return "at most \(gates.markoutBps) bps below the incumbent's" }
    return switch gate {
    case "throughput": "at least \(gates.throughputRatio) of the incumbent's"
    case "rejects": "at most \(gates.rejectRatio) times the incumbent's a request"
    case "errors": "at most \(gates.errorRatio) times the incumbent's a message"
    case "memory": "at most \(gates.memoryGrowth) KB/s more than the incumbent's"
    case "profit", "profit size": "at most \(gates.profitBps) bps of the limits' value a minute below the incumbent's"
    case "inventory": "positions that grow are no larger a part than of the incumbent's"
    default: ""
    }
  }
}

extension DecimalE8 {
  /// For statistics.
  var asDouble: Double { Double(e8) * 1e-8 }
}
