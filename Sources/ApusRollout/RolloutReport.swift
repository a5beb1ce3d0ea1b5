import Apus
import Foundation

/// What came of a rollout, to put into a change ticket.
public struct RolloutReport: Sendable {
  private let state: RolloutState
  private let lines: [RolloutLine]
  private let isSupervised: Bool?

  /// - Parameter isSupervised: Whether a supervisor is at work; `nil`: it does not matter any more.
  public init(_ state: RolloutState, lines: [RolloutLine], isSupervised: Bool? = nil) {
    self.state = state
    self.isSupervised = state.phase == .done ? nil : isSupervised
    self.lines = lines
  }

  private struct Document: Encodable {
    struct Gate: Encodable {
      var name: String
      var evidence: String
      var confidence: Double
      var breached: Bool
    }
    struct Stage: Encodable {
      var name: String
      var began: String
      var ended: String?
      var candidate: SliceFigures
      var incumbent: SliceFigures
      /// The same for people, side by side.
      var table: [RolloutTable.Row]
      var gates: [Gate]
      var notes: [String]
    }
    var rollout: String
    var candidate: String
    var incumbent: String
    var engine: String
    var outcome: String?
    var phase: String
    /// The phase, or the outcome, in words.
    var status: String
    var isPaused: Bool
    var isSupervised: Bool?
    /// What has to be seen before the next stage, and what was.
    var seen: String?
    var reason: String?
    /// Why rules against it did not hold.
    var overridden: String?
    /// From the breach being seen: no new order, nothing left by the venue's word, everything with the incumbent.
    var quietMs: Double?
    var haltMs: Double?
    var backMs: Double?
    var stages: [Stage]
    var journal: [RolloutLine]
  }

  /// Keys in snake case.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return try encoder.encode(
      Document(
        rollout: state.id, candidate: state.candidate, incumbent: state.incumbent, engine: state.engineName,
        outcome: state.outcome?.rawValue, phase: state.phase.rawValue, status: state.words, isPaused: state.isPaused,
        isSupervised: isSupervised, seen: state.seen, reason: state.reason, overridden: state.override,
        quietMs: milliseconds(state.quiet), haltMs: milliseconds(state.haltVerified), backMs: milliseconds(state.givenBack),
        stages: shownStages.map { stage in
          Document.Stage(
            name: stage.name, began: WallTime.text(of: stage.began), ended: stage.ended.map(WallTime.text),
            candidate: stage.candidate, incumbent: stage.incumbent,
            table: stage.candidate.seconds > 0 ? RolloutTable.rows(stage.candidate, stage.incumbent) : [],
            gates: stage.verdicts.map {
              Document.Gate(name: $0.gate, evidence: $0.evidence, confidence: $0.confidence, breached: $0.isBreached)
            }, notes: stage.notes)
        }, journal: lines))
  }

  /// With what the stage that is under way has seen so far.
  private var shownStages: [RolloutStage] {
    var stages = state.stages
    if let last = stages.indices.last, stages[last].ended == nil, let keeper = state.keeper {
      stages[last].candidate = keeper.candidate
      stages[last].incumbent = keeper.incumbent
      stages[last].verdicts = keeper.verdicts
    }
    return stages
  }

  /// From the breach being seen.
  private func milliseconds(_ time: Nanoseconds?) -> Double? {
    guard let time, let seen = state.breachSeen else { return nil }
    return Double(time - seen) / 1e6
  }

  public var markdown: String {
    var text = "# Rollout of \(state.candidate)\n\n"
    text += "| | |\n|---|---|\n"
    text += "| engine | \(state.engineName) |\n| candidate | \(state.candidate) |\n| incumbent | \(state.incumbent) |\n"
    text += "| began | \(WallTime.text(of: state.began)) |\n"
    text += "| outcome | \(state.outcome?.text ?? "under way: \(state.phase.rawValue)") |\n"
    if let reason = state.reason { text += "| reason | \(Self.cell(reason)) |\n" }
    if let why = state.override { text += "| rules overridden | \(Self.cell(why)) |\n" }
    if let quiet = milliseconds(state.quiet) {
      text += "| no new order of the candidate | \(Self.number(quiet)) ms after the breach was seen |\n"
    }
    if let halt = milliseconds(state.haltVerified) {
      text += "| nothing of the candidate left, by the venue's word | \(Self.number(halt)) ms after the breach was seen |\n"
    }
    if let back = milliseconds(state.givenBack) {
      text += "| incumbent back to full | \(Self.number(back)) ms after the breach was seen |\n"
    }
    for stage in shownStages { text += Self.text(of: stage) }
    text += "\n## Journal\n\n"
    for line in lines { text += "- \(line.at) \(line.severity.rawValue): \(line.text)\n" }
    return text
  }

  private static func text(of stage: RolloutStage) -> String {
    var text = "\n## \(stage.name)\n\n"
    text += "\(WallTime.text(of: stage.began)) to \(stage.ended.map(WallTime.text) ?? "now")\n"
    for note in stage.notes { text += "\n- \(note)" }
    if !stage.notes.isEmpty { text += "\n" }
    guard stage.candidate.seconds > 0 else { return text }
    text += "\n| | candidate | incumbent |\n|---|---:|---:|\n"
    for row in RolloutTable.rows(stage.candidate, stage.incumbent) {
      text += "| \(row.name) | \(row.candidate) | \(row.incumbent) |\n"
    }
    guard !stage.verdicts.isEmpty else { return text }
    text += "\n| gate | evidence that it is worse than allowed | confidence |\n|---|---|---:|\n"
    for verdict in stage.verdicts {
      let mark = verdict.isBreached ? " **breached**" : ""
      text += "| \(verdict.gate)\(mark) | \(verdict.evidence) | \(Percent.text(verdict.confidence)) |\n"
    }
    return text
  }

  /// A text that a table's cell can hold.
  private static func cell(_ text: String) -> String { text.replacing("|", with: "\\|") }

  private static func number(_ value: Double) -> String { String(format: "%.1f", value) }
}

/// Figures of both engines side by side: for the report, the status and the page.
public enum RolloutTable {
  public struct Row: Encodable, Sendable {
    public var name: String
    public var candidate: String
    public var incumbent: String
  }

  public static func rows(_ own: SliceFigures, _ other: SliceFigures) -> [Row] {
    func number(_ value: Double, _ decimals: Int) -> String { String(format: "%.\(decimals)f", value) }
    func rate(_ count: Int, _ seconds: Double) -> String { seconds > 0 ? number(Double(count) / seconds, 1) : "–" }
    func bps(_ value: Double, _ traded: Double) -> String { traded > 0 ? number(value / traded * 1e4, 3) : "–" }
    var rows: [(String, String, String)] = [
      ("seconds", number(own.seconds, 0), number(other.seconds, 0)),
      ("frames in a second", rate(own.frames, own.seconds), rate(other.frames, other.seconds)),
      ("requests", "\(own.requests)", "\(other.requests)"),
      ("rejects", "\(own.rejects)", "\(other.rejects)"),
      ("errors", "\(own.errors)", "\(other.errors)"),
      ("fills", "\(own.fills)", "\(other.fills)"),
      ("traded", number(own.traded, 0), number(other.traded, 0)),
      ("profit", number(own.profit, 2), number(other.profit, 2)),
      (
        "profit of the limits a minute, bps", own.profitRate.map { number($0, 2) } ?? "–",
        other.profitRate.map { number($0, 2) } ?? "–"
      ),
    ]
    for (ours, theirs) in zip(own.markouts, other.markouts) {
      rows.append(("markout \(ours.seconds) s, bps", bps(ours.value, ours.traded), bps(theirs.value, theirs.traded)))
    }
    for span in own.spans {
      let theirs = other.spans.first { $0.name == span.name }
      func micro(_ value: Int64?) -> String { value.map { number(Double($0) / 1000, 1) } ?? "–" }
      rows.append(("\(span.name) p50, µs", micro(span.median), micro(theirs?.median)))
      rows.append(("\(span.name) p99, µs", micro(span.high), micro(theirs?.high)))
    }
    rows.append(("memory, MB", "\(own.memoryBytes >> 20)", "\(other.memoryBytes >> 20)"))
    return rows.map { Row(name: $0.0, candidate: $0.1, incumbent: $0.2) }
  }
}
