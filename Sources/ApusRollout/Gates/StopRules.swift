import Apus
import CSupport

/// What ends a rollout by itself, whatever the incumbent does; a sentence each.
enum StopRules {
  static func breach(_ engine: EngineSight, _ stops: RolloutPlan.StopSection) -> String? {
    guard engine.isShown else { return nil }
    if engine.heartbeatAge > Nanoseconds(stops.heartbeatMs) * 1_000_000 {
      return "no sign of life of the candidate for \(engine.heartbeatAge / 1_000_000) ms, allowed are \(stops.heartbeatMs)"
    }
    if let lane = engine.lanes.first(where: { $0.latched >= .cancelAll }) {
      return "the candidate has halted at \(lane.name): \(lane.cause)"
    }
    if engine.rejectsInSecond > stops.rejects {
      return "\(engine.rejectsInSecond) requests of the candidate were rejected within a second, allowed are \(stops.rejects)"
    }
    if engine.unknownOrders > stops.unknownOrders {
      return "\(engine.unknownOrders) orders of the candidate are unknown, allowed are \(stops.unknownOrders)"
    }
    if engine.memoryBytes > stops.memoryMB << 20 {
      return "the candidate has \(engine.memoryBytes >> 20) MB of memory, allowed are \(stops.memoryMB)"
    }
    if stops.atLimitSeconds > 0, engine.timeAtLimit >= Nanoseconds(stops.atLimitSeconds) * 1_000_000_000 {
      return "a position of the candidate has been at its limit for \(engine.timeAtLimit / 1_000_000_000) s, allowed are "
        + "\(stops.atLimitSeconds)"
    }
    let loss = stops.maxLoss.asDouble
    if loss > 0, engine.profit < -loss {
      return "the candidate has lost \(Self.money(-engine.profit)), allowed are \(stops.maxLoss)"
    }
    return engine.alert.map { "alert of the candidate: \($0)" }
  }

  /// - Parameter before: Profit of both when the rollout began to trade.
  static func commonLoss(
    _ candidate: EngineSight, _ incumbent: EngineSight, before: Double?, _ stops: RolloutPlan.StopSection
  ) -> String? {
    let allowed = stops.maxCommonLoss.asDouble
    guard allowed > 0, let before, incumbent.isShown else { return nil }
    let loss = before - candidate.profit - incumbent.profit
    guard loss > allowed else { return nil }
    return "both engines together have lost \(Self.money(loss)) since the first step, allowed are \(stops.maxCommonLoss)"
  }

  private static func money(_ value: Double) -> String {
    let cents = Int64((value * 100).rounded())
    return "\(cents / 100).\(cents % 100 < 10 ? "0" : "")\(cents % 100)"
  }
}
