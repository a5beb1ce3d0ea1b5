import Apus

/// An alert that is firing, as pages show it.
public struct MonitorAlert: Codable, Equatable, Sendable {
  public var name: String
  /// "page" or "critical" is shown in red; "warn", "warning" and others are not.
  public var severity: String
  /// Seconds since 1970 UTC.
  public var since: Double
  /// What is wrong, with its figures, in one sentence.
  public var text: String
  /// Where to read what to do.
  public var runbook: String

  /// - Parameter wall: Now, seconds since 1970 UTC.
  init(_ alert: AlertView, at wall: Double) {
    name = alert.name
    severity = alert.severity.rawValue
    since = wall - alert.age
    let place = alert.place.isEmpty ? "" : " (\(alert.place))"
    text = "\(alert.summary)\(place): \(alert.found); allowed is \(alert.allowed). \(alert.advice)"
    runbook = alert.runbook
  }
}
