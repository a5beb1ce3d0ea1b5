public import Apus
import Foundation

/// An alert engine beside somebody's own looks, telling nobody: for a screen.
public final class AlertWatch {
  private let directory: String
  private var engine: AlertEngine

  /// - Parameter path: Of the telemetry file.
  public init(path: String, rules: [AlertRule] = AlertRule.standard) {
    directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
    engine = AlertEngine(rules: rules)
  }

  /// The view with the alerts that hold.
  public func look(_ view: EngineView, now: Nanoseconds = TelemetrySnapshot.monotonicNow) -> EngineView {
    var view = view
    let host = HostHeadroom.read(processID: view.isAlive ? view.processID : 0, directory: directory)
    _ = engine.step(AlertInputs(now: now, wall: AlertService.wallNow, view: view, host: host))
    view.alerts = engine.active(now: now)
    return view
  }

  /// There was nothing to look at.
  public func lookFailed(_ problem: String, now: Nanoseconds = TelemetrySnapshot.monotonicNow) {
    _ = engine.step(AlertInputs(now: now, wall: AlertService.wallNow, view: nil, problem: problem))
  }
}
