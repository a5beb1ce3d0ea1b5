import Yams

/// How urgent an alert is.
public enum AlertSeverity: String, Codable, CaseIterable, Comparable, Sendable {
  /// Worth knowing.
  case info
  /// To be looked at within the day.
  case warn
  /// Wakes somebody.
  case page

  public static func < (left: Self, right: Self) -> Bool {
    func rank(_ severity: Self) -> Int { allCases.firstIndex(of: severity) ?? 0 }
    return rank(left) < rank(right)
  }
}

/// What a file gives in place of a rule's defaults; `nil` leaves the default. Durations in seconds.
public struct AlertRuleSection: Equatable, Sendable {
  public var isEnabled = true
  public var severity: AlertSeverity?
  /// In the rule's own unit.
  public var bound: DecimalE8?
  public var clear: DecimalE8?
  public var holdSeconds: DecimalE8?
  public var clearSeconds: DecimalE8?
  public var repeatSeconds: DecimalE8?
  public var windowSeconds: DecimalE8?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case isEnabled = "enabled"
    case severity, bound, clear
    case holdSeconds = "for_s"
    case clearSeconds = "clear_for_s"
    case repeatSeconds = "repeat_s"
    case windowSeconds = "window_s"
  }
}

/// Where alerts go.
public struct AlertRoutesSection: Equatable, Sendable {
  public enum LogFormat: String, CaseIterable, Sendable {
    case none, text, json
  }

  public var isOnTerminal = true
  public var log = LogFormat.none
  /// `nil`: standard error.
  public var logFile: String?
  public var webhookURL: String?
  public var webhookKeyFile: String?
  public var webhookLeast = AlertSeverity.info
  public var command: String?
  /// Behind the program's name.
  public var commandArguments: [String] = []
  public var commandLeast = AlertSeverity.info
  public var commandSeconds = 10

  public init() {}

  enum CodingKeys: String, CodingKey, CaseIterable {
    case isOnTerminal = "terminal"
    case log
    case logFile = "log_file"
    case webhookURL = "webhook_url"
    case webhookKeyFile = "webhook_key_file"
    case webhookLeast = "webhook_from"
    case command
    case commandLeast = "command_from"
    case commandSeconds = "command_timeout_s"
  }
}

/// A rule as far as its file has to know it.
public struct AlertRuleShape: Sendable {
  public var name: String
  /// Fires above its bound; otherwise below it.
  public var firesAbove: Bool
  public var bound: Double
  public var clear: Double

  public init(name: String, firesAbove: Bool, bound: Double, clear: Double) {
    self.name = name
    self.firesAbove = firesAbove
    self.bound = bound
    self.clear = clear
  }
}

/// The file of `apus monitor --alerts`: bounds of rules, and routes.
///
///     rules:
///       ApusLoss: {bound: 5000, severity: page}
///     routes:
///       log: json
///       webhook_url: https://pager.example/apus
///       webhook_key_file: webhook.key
public struct AlertFile: Equatable, Sendable {
  public var rules: [String: AlertRuleSection] = [:]
  public var routes = AlertRoutesSection()

  public init() {}

  /// - Parameter shapes: the rules that there are.
  /// - Throws: All problems of the file at once, in the order of its lines; nothing is half loaded.
  public static func load(path: String, shapes: [AlertRuleShape]) throws(ConfigurationError) -> AlertFile {
    try parse(try ConfigurationFile.content(of: path), shapes: shapes, path: path)
  }

  /// Reads YAML text; `path` is the name that messages give it.
  public static func parse(_ text: String, shapes: [AlertRuleShape], path: String = "alerts")
    throws(ConfigurationError) -> AlertFile
  {
    let yaml = ConfigurationYAML(text)
    if let failure = yaml.failure { throw ConfigurationError(path: path, problems: [failure]) }
    var reader = ConfigurationReader(yaml)
    let file = reader.readAlerts(yaml, shapes)
    guard reader.problems.isEmpty else { throw ConfigurationFile.error(path, reader.problems) }
    return file
  }
}

/// The two sections of the file, and the name of any rule.
private struct AlertKey: CodingKey {
  var stringValue: String
  var intValue: Int? { nil }
  init(_ name: String) { stringValue = name }
  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { nil }
}

/// A mapping whose keys are all sections.
private struct SectionsOnly: DescribedSection {
  static let blank = SectionsOnly()
  static let keys: [ConfigurationKey<Self>] = []
}

private func number(_ whole: Int64) -> DecimalE8 { DecimalE8(e8: whole * 100_000_000) }

extension AlertRuleSection: DescribedSection {
  static var blank: Self { Self() }

  private static let seconds = ConfigurationRule.decimal(.zero...number(86_400))
  private static let amount = ConfigurationRule.decimal(.zero...number(90_000_000_000))

  static let keys: [ConfigurationKey<Self>] = [
    .init(CodingKeys.isEnabled, \.isEnabled, .flag, .defaulted, "Whether the rule is looked at."),
    .init(CodingKeys.severity, \.severity, optional: .choice, "How urgent it is."),
    .init(CodingKeys.bound, \.bound, optional: amount, "Where it fires, in the rule's unit."),
    .init(CodingKeys.clear, \.clear, optional: amount, "Where it clears; scaled with the bound if left out."),
    .init(CodingKeys.holdSeconds, \.holdSeconds, optional: seconds, "How long it must be beyond the bound."),
    .init(CodingKeys.clearSeconds, \.clearSeconds, optional: seconds, "How long it must be clear."),
    .init(CodingKeys.repeatSeconds, \.repeatSeconds, optional: seconds, "How often it is told while it lasts."),
    .init(CodingKeys.windowSeconds, \.windowSeconds, optional: seconds, "Over which time increases are counted."),
  ]
}

extension AlertRoutesSection: DescribedSection {
  static var blank: Self { Self() }

  static let keys: [ConfigurationKey<Self>] = [
    .init(CodingKeys.isOnTerminal, \.isOnTerminal, .flag, .defaulted, "A line on standard output for each change."),
    .init(CodingKeys.log, \.log, .choice, .defaulted, "A log of changes, as text or JSON lines."),
    .init(
      CodingKeys.logFile, \.logFile, optional: .path("a file", advice: "give the path of a file"),
      "Where the log goes; standard error if left out."),
    .init(
      CodingKeys.webhookURL, \.webhookURL,
      optional: .text(range: "http://… or https://…", allowed: "http://host[:port]/path or https://host[:port]/path") {
        text in
        let rest =
          text.hasPrefix("https://") ? text.dropFirst(8) : text.hasPrefix("http://") ? text.dropFirst(7) : ""
        let isGood = !rest.isEmpty && !rest.hasPrefix("/") && text.utf8.allSatisfy { $0 > 32 && $0 < 127 }
        if rest.prefix(while: { $0 != "/" }).contains("@") { return "write it without a password, it is signed anyway" }
        return isGood ? nil : "write it as https://pager.example/apus"
      }, "Each change is posted there as JSON."),
    .init(
      CodingKeys.webhookKeyFile, \.webhookKeyFile, optional: .path("a file", advice: "give the path of a file"),
      "Key of the signature, mode 0600."),
    .init(CodingKeys.webhookLeast, \.webhookLeast, .choice, .defaulted, "Least severity that is posted."),
    .init(
      CodingKeys.command, \.command, optional: .path("a program", advice: "give the path of a program"),
      "Run for each change with JSON on standard input; arguments with command_arguments."),
    .init(CodingKeys.commandLeast, \.commandLeast, .choice, .defaulted, "Least severity that runs it."),
    .init(CodingKeys.commandSeconds, \.commandSeconds, .whole(1...300), .defaulted, "After which it is killed."),
  ]
}

extension ConfigurationReader {
  fileprivate mutating func readAlerts(_ yaml: ConfigurationYAML, _ shapes: [AlertRuleShape]) -> AlertFile {
    var alerts = AlertFile()
    let top = ConfigurationPlace(line: 1, column: 1)
    let names = (rules: AlertKey("rules"), routes: AlertKey("routes"))
    guard let file = mapping(yaml.root, "", SectionsOnly.self, top, sections: [names.rules, names.routes]) else {
      return alerts
    }
    if let entry = file.entries["rules"],
      let rules = mapping(
        entry.value, "rules", SectionsOnly.self, entry.keyPlace, sections: shapes.map { AlertKey($0.name) })
    {
      for shape in shapes where rules.entries[shape.name] != nil {
        guard let found = section(AlertKey(shape.name), of: rules, "rules", AlertRuleSection.self) else { continue }
        var rule = AlertRuleSection()
        fill(&rule, found.mapping, found.path)
        check(rule, shape, found.path)
        alerts.rules[shape.name] = rule
      }
    }
    if let entry = file.entries["routes"],
      let routes = mapping(
        entry.value, "routes", AlertRoutesSection.self, entry.keyPlace, sections: [AlertKey("command_arguments")])
    {
      fill(&alerts.routes, routes, "routes")
      if let list = routes.entries["command_arguments"] {
        let words = list.value.sequence?.map { $0.scalar?.string }
        if let words, !words.contains(nil), words.count <= 64 {
          alerts.routes.commandArguments = words.compactMap(\.self)
        } else {
          report(
            Self.place(list.value), "routes.command_arguments",
            "routes.command_arguments is \(words == nil ? Self.kind(list.value) : "a list of \(words?.count ?? 0) things"), "
              + "but must be a list of at most 64 texts: write [--to, desk]")
        }
      }
      check(alerts.routes, entry.keyPlace)
    }
    return alerts
  }

  private mutating func check(_ rule: AlertRuleSection, _ shape: AlertRuleShape, _ path: String) {
    guard let clear = rule.clear else { return }
    let bound = rule.bound.map { Double($0.e8) / 1e8 } ?? shape.bound
    let isGood = shape.firesAbove ? Double(clear.e8) / 1e8 <= bound : Double(clear.e8) / 1e8 >= bound
    guard !isGood, let place = places["\(path).clear"] else { return }
    report(
      place, "\(path).clear",
      "\(path).clear is \(clear), but must be \(shape.firesAbove ? "at most" : "at least") the bound, \(AlertFile.text(bound)): "
        + (shape.firesAbove ? "lower it" : "raise it"))
  }

  private mutating func check(_ routes: AlertRoutesSection, _ place: ConfigurationPlace) {
    func at(_ key: String) -> ConfigurationPlace { places["routes.\(key)"] ?? place }
    if routes.webhookURL != nil, routes.webhookKeyFile == nil {
      report(
        at("webhook_url"), "routes.webhook_key_file",
        "routes.webhook_key_file is missing, but is required with webhook_url, which is posted signed: add the path of a file "
          + "of mode 0600 with 32 or more random bytes")
    }
    if routes.webhookURL == nil, routes.webhookKeyFile != nil {
      report(
        at("webhook_key_file"), "routes.webhook_url",
        "routes.webhook_url is missing, but webhook_key_file is given: add the address or remove the key")
    }
    if routes.logFile != nil, routes.log == .none {
      report(
        at("log_file"), "routes.log",
        "routes.log is none, but log_file is given: write log: text or log: json, or remove log_file")
    }
    if routes.command == nil, !routes.commandArguments.isEmpty {
      report(
        place, "routes.command",
        "routes.command is missing, but command_arguments are given: add the program or remove them")
    }
  }
}

extension AlertFile {
  /// A bound as people write it.
  public static func text(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
  }
}
