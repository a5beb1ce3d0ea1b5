import Apus
import ApusRollout
import Foundation

/// A rollout for people.
enum RolloutText {
  static func status(_ state: RolloutState, isSupervised: Bool, lines: [RolloutLine]) -> String {
    var text = "\(state.candidate) against \(state.incumbent), engine \(state.engineName): "
    text += state.words
    if state.outcome != nil {
      text += state.reason.map { ": \($0)" } ?? ""
    } else if !isSupervised {
      text += "\nno supervisor is at work: start it again, it goes on where it was"
    }
    if let stage = state.stages.last {
      text += "\n\n\(stage.name)"
      if let seen = state.seen, let keeper = state.keeper {
        text += ": \(seen)\n"
        if keeper.slices > 0 { text += table(keeper.candidate, keeper.incumbent) + gates(keeper.verdicts) }
      } else if stage.candidate.seconds > 0 {
        text += "\n" + table(stage.candidate, stage.incumbent) + gates(stage.verdicts)
      }
    }
    text += "\n"
    for line in lines.suffix(8) { text += "\n\(line.at) \(line.text)" }
    return text
  }

  private static func table(_ own: SliceFigures, _ other: SliceFigures) -> String {
    let rows = RolloutTable.rows(own, other)
    var text = "  " + "".padded(34) + "candidate".leftPadded(14) + "incumbent".leftPadded(14) + "\n"
    for row in rows { text += "  " + row.name.padded(34) + row.candidate.leftPadded(14) + row.incumbent.leftPadded(14) + "\n" }
    return text
  }

  private static func gates(_ verdicts: [GateVerdict]) -> String {
    guard !verdicts.isEmpty else { return "" }
    var text = "\n  " + "gate".padded(24) + "worse than allowed?".padded(38) + "confidence\n"
    for verdict in verdicts {
      text += "  " + verdict.gate.padded(24) + verdict.evidence.padded(38) + String(format: "%.2f %%", verdict.confidence * 100)
        + (verdict.isBreached ? "  BREACHED" : "") + "\n"
    }
    return text
  }

  /// What a plan comes to.
  static func plan(_ plan: RolloutPlan) -> String {
    var text = "staging: "
    text += plan.staging.recordings.map { "replays \($0), timed in at most \(plan.staging.pairs) pairs" } ?? "no recordings"
    text += plan.staging.mayRaiseLimits ? ", limits may rise" : ", no limit may rise"
    if let shadow = plan.shadow { text += "\nshadow: \(watch(shadow))" }
    for (index, step) in plan.steps.enumerated() {
      let what = step.instruments.map { "instruments \($0)" } ?? "size \(step.size?.description ?? "")"
      text += "\nstep \(index + 1): \(what), \(watch(step.watch))" + (step.hours.map { ", begins in \($0) UTC" } ?? "")
    }
    let gates = plan.gates
    text += "\ngates: confidence \(gates.confidence), slices of \(gates.sliceSeconds) s; spans × \(gates.spanRatio) (in steps 1.15 times "
      + "that), throughput × "
      + "\(gates.throughputRatio), rejects × \(gates.rejectRatio), errors × \(gates.errorRatio), memory \(gates.memoryGrowth) KB/s, "
      + "markouts \(gates.markoutBps) bps, profit \(gates.profitBps) bps"
    let stops = plan.stops
    func loss(_ bound: DecimalE8) -> String { bound == .zero ? "without a bound" : bound.description }
    text += "\nstops: loss \(loss(stops.maxLoss)), common loss \(loss(stops.maxCommonLoss)), \(stops.rejects) rejects a second, "
      + "\(stops.unknownOrders) unknown orders, \(stops.memoryMB) MB, \(stops.heartbeatMs) ms without a sign of life, \(stops.atLimitSeconds) s at a limit, alerts from "
      + stops.alert.rawValue
    for gap in plan.gaps { text += "\nnote: \(gap)" }
    return text
  }

  private static func watch(_ watch: RolloutPlan.WatchSection) -> String {
    "at least \(watch.atLeastSeconds) s, \(watch.messages) messages, \(watch.fills) fills"
      + (watch.atMostSeconds > 0 ? ", at most \(watch.atMostSeconds) s" : "")
  }
}

extension String {
  fileprivate func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
  fileprivate func leftPadded(_ width: Int) -> String { String(repeating: " ", count: max(1, width - count)) + self }
}
