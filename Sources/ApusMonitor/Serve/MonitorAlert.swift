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

  public init(name: String, severity: String, since: Double, text: String, runbook: String) {
    self.name = name
    self.severity = severity
    self.since = since
    self.text = text
    self.runbook = runbook
  }
}
