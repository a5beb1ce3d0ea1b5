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
  private var counts: [String: CountEvidence] = [:]
  public private(set) var slices = 0
  public private(set) var candidate = SliceFigures()
  public private(set) var incumbent = SliceFigures()

  /// Spans that are the engine's own work; others measure the venue and the way there.
  static let ownSpans = ["tick_to_order", "turn", "decode", "decide"]
  /// A percentile of fewer says too little.
  static let leastCount = 20
  /// Of a position below this part of its limit no direction is asked for.
  static let leastInventory = 0.2

  public init(_ gates: RolloutPlan.GateSection, isSameInput: Bool) {
    self.gates = gates
    self.isSameInput = isSameInput
  }

  /// Gates that there can be: two a span, throughput, rejects, errors, memory, profit, inventory, three horizons of markouts.
  private static let gateCount = 2 * ownSpans.count + 9

  private var threshold: Double { Double(Self.gateCount) / (1 - gates.confidence.asDouble) }

  public mutating func note(candidate: SliceFigures, incumbent: SliceFigures) {
    slices += 1
    self.candidate.add(candidate)
    self.incumbent.add(incumbent)
    noteSpans(candidate, incumbent)
    if isSameInput, incumbent.frames >= Self.leastCount {
      note("throughput", isWorse: Double(candidate.frames) < gates.throughputRatio.asDouble * Double(incumbent.frames))
    }
    counts["rejects", default: CountEvidence()].note(
      candidate: candidate.rejects, incumbent: incumbent.rejects,
      exposure: (Double(candidate.requests), Double(incumbent.requests)), allowed: gates.rejectRatio.asDouble)
    // By messages in both directions: who quotes more may err more often.
    counts["errors", default: CountEvidence()].note(
      candidate: candidate.errors, incumbent: incumbent.errors,
      exposure: (Double(candidate.frames + candidate.requests), Double(incumbent.frames + incumbent.requests)),
      allowed: gates.errorRatio.asDouble)
    if candidate.memoryBytes > 0, incumbent.memoryBytes > 0 {
      let allowed = Double(gates.memoryGrowth) * 1024 * candidate.seconds
      note("memory", isWorse: Double(candidate.memoryGrowth - max(0, incumbent.memoryGrowth)) > allowed)
    }
    noteMoney(candidate, incumbent)
    for position in candidate.inventory
    where abs(position.before) >= Self.leastInventory && position.change != 0 {
      // Quotes that are skewed the right way bring a position back more often than they make it larger.
      note("inventory", isWorse: position.before * position.change > 0)
    }
  }

  private mutating func noteSpans(_ candidate: SliceFigures, _ incumbent: SliceFigures) {
    for span in candidate.spans where Self.ownSpans.contains(span.name) && span.count >= Self.leastCount {
      // A turn is as long as what both have to do in it is alike.
      if span.name == "turn", !isSameInput { continue }
      guard let other = incumbent.spans.first(where: { $0.name == span.name }), other.count >= Self.leastCount else { continue }
      let allowed = gates.spanRatio.asDouble
      note("\(span.name) p50", isWorse: Double(span.median) > allowed * Double(other.median))
      note("\(span.name) p99", isWorse: Double(span.high) > allowed * Double(other.high))
    }
  }

  private mutating func noteMoney(_ candidate: SliceFigures, _ incumbent: SliceFigures) {
    func bps(_ value: Double, _ traded: Double) -> Double? { traded > 0 ? value / traded * 10_000 : nil }
    // Whoever trades ten times as much at the same loss a trade loses ten times as much: it is held against the limits.
    if candidate.profit != 0 || incumbent.profit != 0, let own = candidate.profitRate, let other = incumbent.profitRate {
      note("profit", isWorse: own < other - gates.profitBps.asDouble)
    }
    for (own, other) in zip(candidate.markouts, incumbent.markouts) {
      guard let ours = bps(own.value, own.traded), let theirs = bps(other.value, other.traded) else { continue }
      note("markout \(own.seconds) s", isWorse: ours < theirs - gates.markoutBps.asDouble)
    }
  }

  private mutating func note(_ gate: String, isWorse: Bool) { signs[gate, default: SignEvidence()].note(isWorse: isWorse) }

  /// Every gate that has seen anything, the strongest evidence first, ties by name.
  public var verdicts: [GateVerdict] {
    let all =
      signs.map { GateVerdict(gate: $0.key, threshold: threshold, wealth: $0.value.wealth, evidence: $0.value.text) }
      + counts.filter { $0.value.candidate + $0.value.incumbent > 0 }.map {
        GateVerdict(gate: $0.key, threshold: threshold, wealth: $0.value.wealth, evidence: $0.value.text)
      }
    return all.sorted { ($1.wealth, $0.gate) < ($0.wealth, $1.gate) }
  }

  public var breach: GateVerdict? { verdicts.first { $0.isBreached } }

  /// What the gate allows, for people.
  public func allowance(of gate: String) -> String {
    if gate.hasSuffix(" p50") || gate.hasSuffix(" p99") { return "at most \(gates.spanRatio) times the incumbent's" }
    if gate.hasPrefix("markout") { return "at most \(gates.markoutBps) bps below the incumbent's" }
    return switch gate {
    case "throughput": "at least \(gates.throughputRatio) of the incumbent's"
    case "rejects": "at most \(gates.rejectRatio) times the incumbent's a request"
    case "errors": "at most \(gates.errorRatio) times the incumbent's a message"
    case "memory": "at most \(gates.memoryGrowth) KB/s more than the incumbent's"
    case "profit": "at most \(gates.profitBps) bps of the limits' value a minute below the incumbent's"
    case "inventory": "positions come back more often than they grow"
    default: ""
    }
  }
}

extension DecimalE8 {
  /// For statistics.
  var asDouble: Double { Double(e8) * 1e-8 }
}
