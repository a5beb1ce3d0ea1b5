public import Apus

/// One alert as people and programs see it.
public struct AlertView: Codable, Equatable, Sendable {
  public var name: String
  public var severity: AlertSeverity
  /// The lane; absent for what concerns the whole engine or the host.
  public var lane: String?
  /// What in the lane or on the host: an instrument, a span, a route.
  public var subject: String?
  /// Seconds since it fired.
  public var age: Double
  /// What was measured and where it fires, in the rule's unit.
  public var value: Double
  public var bound: Double
  /// What is wrong; what was found; what is allowed; what to do next.
  public var summary: String
  public var found: String
  public var allowed: String
  public var advice: String
  /// Page and section to follow.
  public var runbook: String

  public init(
    name: String, severity: AlertSeverity, lane: String? = nil, subject: String? = nil, age: Double, value: Double,
    bound: Double, summary: String, found: String, allowed: String, advice: String, runbook: String
  ) {
    self.name = name
    self.severity = severity
    self.lane = lane
    self.subject = subject
    self.age = age
    self.value = value
    self.bound = bound
    self.summary = summary
    self.found = found
    self.allowed = allowed
    self.advice = advice
    self.runbook = runbook
  }

  /// "lane thalex, BTC-PERPETUAL"; empty if the whole engine is meant.
  public var place: String { [lane.map { "lane \($0)" }, subject].compactMap(\.self).joined(separator: ", ") }

  /// All of it in one line without control characters.
  public var text: String {
    let place = place.isEmpty ? "" : " (\(place))"
    let line =
      "\(name) [\(severity.rawValue)]\(place): \(summary): \(found); allowed is \(allowed). \(advice) See \(runbook)."
    return String(String.UnicodeScalarView(line.unicodeScalars.map { Self.isControl($0) ? "\u{FFFD}" : $0 }))
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
  }
}

/// Something to tell about an alert.
public struct AlertChange: Codable, Equatable, Sendable {
  public enum Kind: String, Codable, Sendable {
    case fired, repeated, cleared
  }
  public var kind: Kind
  /// When, nanoseconds since 1970 UTC.
  public var at: Int64
  /// Counts the changes of one alert engine from 1: a receiver that saw it before drops it.
  public var number: UInt64
  public var engine: String
  /// Times that it fired and was not told, for it had been told just before.
  public var held: Int
  public var alert: AlertView

  public init(kind: Kind, at: Int64, number: UInt64, engine: String, held: Int = 0, alert: AlertView) {
    self.kind = kind
    self.at = at
    self.number = number
    self.engine = engine
    self.held = held
    self.alert = alert
  }

  /// For a log or a terminal.
  public var text: String {
    let more = held > 0 ? " (and \(held) more in between)" : ""
    return kind == .cleared
      ? "cleared after \(TopScreen.time(alert.age))\(more): \(alert.name)\(alert.place.isEmpty ? "" : " (\(alert.place))")"
      : "\(kind.rawValue)\(more): \(alert.text)"
  }
}

/// What an alert engine looks at, all of one moment.
public struct AlertInputs: Sendable {
  /// CLOCK_MONOTONIC, and nanoseconds since 1970 UTC.
  public var now: Nanoseconds
  public var wall: Int64
  /// `nil`: it could not be read, and `problem` says why.
  public var view: EngineView?
  public var problem: String
  public var host: HostHeadroom
  public var routeFaults: [AlertRouteFault]

  public init(
    now: Nanoseconds, wall: Int64, view: EngineView?, problem: String = "", host: HostHeadroom = HostHeadroom(),
    routeFaults: [AlertRouteFault] = []
  ) {
    self.now = now
    self.wall = wall
    self.view = view
    self.problem = problem
    self.host = host
    self.routeFaults = routeFaults
  }
}

/// A way of telling that does not work.
public struct AlertRouteFault: Equatable, Sendable {
  public var route: String
  public var reason: String

  public init(route: String, reason: String) {
    self.route = route
    self.reason = reason
  }
}

/// What the host has left for an engine; what is not known is absent.
public struct HostHeadroom: Equatable, Sendable {
  /// Of the engine's process, and what it may have by its control group or else the machine.
  public var residentBytes: UInt64?
  public var memoryLimitBytes: UInt64?
  /// Of the machine.
  public var availableBytes: UInt64?
  public var totalBytes: UInt64?
  /// For others than root, in the file system of the data directory.
  public var diskFreeBytes: UInt64?
  public var dataDirectory = ""
  /// Of the engine's process.
  public var filesOpen: Int?
  public var filesLimit: Int?

  public init() {}
}
