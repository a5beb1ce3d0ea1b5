public import Apus

/// One rule: what is measured, where it fires and clears, and what to say.
public struct AlertRule: Sendable {
  public enum Unit: String, Sendable {
    case seconds, share, bytes, events, money
    /// 1 while it is so, else 0.
    case state
  }

  public var name: String
  public var severity: AlertSeverity
  public var unit: Unit
  /// What the value is, for people.
  public var measure: String
  public var firesAbove = true
  public var bound: Double
  /// Clears at this or better: no further from good than the bound.
  public var clear: Double
  /// Seconds beyond the bound before it fires, and clear before it clears.
  public var hold: Double = 0
  public var clearHold: Double = 5
  /// Seconds between two tellings while it lasts; one that fires again sooner than a fifth of that is held back.
  public var repeatAfter: Double = 300
  /// Seconds over which increases of counters are summed up; 0 if there is none.
  public var window: Double = 0
  public var summary: String
  /// What is allowed, where a bound does not say it.
  public var allowed: String?
  public var advice: String
  public var isEnabled = true

  public var runbook: String { "Runbook.md#\(name)" }

  /// Every rule with its defaults, under which an engine that is well tells nothing.
  public static let standard: [AlertRule] = [
    AlertRule(
      name: "ApusEngineDown", severity: .page, unit: .state,
      measure: "the engine's process is gone without an orderly end",
      bound: 0, clear: 0, clearHold: 2, summary: "the engine is not running", allowed: "a running process",
      advice: "Its orders rest until the venue's dead-man timer ends them: look at the venue, then start it again."),
    AlertRule(
      name: "ApusLaneSilent", severity: .page, unit: .seconds, measure: "age of a lane's last sign of life",
      bound: 2, clear: 1, clearHold: 2, summary: "a lane gives no sign of life",
      advice:
        "Check whether its process is stopped or starved (ps, apus top); if it stays, end it and verify at the venue."),
    AlertRule(
      name: "ApusHighLatency", severity: .warn, unit: .seconds,
      measure: "p99 of the last 10 s of tick_to_frame, submit, tick_to_order (acknowledge: 20 times the bound)",
      bound: 0.05, clear: 0.025, hold: 5, repeatAfter: 1800, summary: "the engine or the venue answers late",
      advice: "See which span in apus top: our own means a busy host, acknowledge the venue or the network."),
    AlertRule(
      name: "ApusThroughputFallen", severity: .warn, unit: .share,
      measure: "frames received in the last 5 s against the average before", firesAbove: false, bound: 0.2, clear: 0.5,
      hold: 5, repeatAfter: 1800, window: 120, summary: "far fewer messages arrive than before",
      advice: "Compare with the venue's status page; if only we are affected, reconnect by restarting the engine."),
    AlertRule(
      name: "ApusMemoryHigh", severity: .warn, unit: .share,
      measure: "memory in use: of the engine's limit, and of the machine", bound: 0.92, clear: 0.88, hold: 5,
      repeatAfter: 1800, summary: "memory is nearly used up",
      advice: "Find the largest process (ps --sort=-rss) and end what does not belong here, before the kernel chooses."),
    AlertRule(
      name: "ApusRingFull", severity: .warn, unit: .events, measure: "events that found the ring to the manager full",
      bound: 0, clear: 0, repeatAfter: 1800, window: 30, summary: "the manager does not keep up with its lane",
      advice: "Look at the load of the manager's core; risk limits of the lane hold meanwhile."),
    AlertRule(
      name: "ApusDiskLow", severity: .page, unit: .bytes, measure: "free space where the journal is written",
      firesAbove: false, bound: 1_073_741_824, clear: 1_610_612_736, hold: 2,
      summary: "the disk of the journal is nearly full",
      advice: "Free space now: an engine that cannot write its journal stops quoting."),
    AlertRule(
      name: "ApusFilesLow", severity: .warn, unit: .share, measure: "file descriptors in use, of the process's limit",
      bound: 0.8, clear: 0.7, hold: 2, repeatAfter: 1800, summary: "file descriptors are nearly used up",
      advice: "See what they are (ls -l /proc/PID/fd); raise LimitNOFILE at the next restart."),
    AlertRule(
      name: "ApusClockOff", severity: .warn, unit: .seconds, measure: "our clock against the venue's, delay included",
      bound: 1, clear: 0.5, hold: 2, repeatAfter: 1800, summary: "this machine's clock and the venue's disagree",
      advice: "Check chronyc tracking or timedatectl; a login is refused when they are too far apart."),
    AlertRule(
      name: "ApusBooksDiffer", severity: .page, unit: .state,
      measure: "the venue states another position than ours, or its position was taken over within the window",
      bound: 0, clear: 0, hold: 2, window: 60, summary: "our books and the venue's differ",
      allowed: "equal positions",
      advice: "Halt (apus halt), compare the position at the venue, then apus replay --order."),
    AlertRule(
      name: "ApusImpossibleReport", severity: .page, unit: .events, measure: "reports that cannot be true",
      bound: 0, clear: 0, window: 60, summary: "the venue reported what cannot be, and it was not believed",
      advice: "See the last events in apus top; if positions differ as well, halt."),
    AlertRule(
      name: "ApusStreamGap", severity: .warn, unit: .events, measure: "gaps in a stream", bound: 0, clear: 0,
      repeatAfter: 1800, window: 60, summary: "a stream lost messages",
      advice: "The lane has fetched the state anew; if it comes back, look at the network and at slow reads."),
    AlertRule(
      name: "ApusRejects", severity: .warn, unit: .events, measure: "requests that the venue refused, but for orders that had ended",
      bound: 5,
      clear: 1,
      repeatAfter: 900, window: 10, summary: "the venue refuses our requests",
      advice: "The reason is in apus top and in the journal; a change of tick size, margin or permission is usual."),
    AlertRule(
      name: "ApusErrors", severity: .warn, unit: .events,
      measure: "rate limits exceeded, reconnects; any risk limit found exceeded", bound: 2, clear: 0, repeatAfter: 900,
      window: 60, summary: "errors come too often",
      advice: "See which in apus top; a limit that was exceeded is a reason to halt."),
    AlertRule(
      name: "ApusMarketStale", severity: .warn, unit: .seconds, measure: "age of an instrument's market data", bound: 5,
      clear: 2, hold: 1, clearHold: 3, repeatAfter: 900, summary: "market data does not come",
      advice: "Quotes are pulled meanwhile; see whether the venue has halted the instrument or the connection hangs."),
    AlertRule(
      name: "ApusNotQuoting", severity: .warn, unit: .state, measure: "a lane, or an instrument of it, has no quotes",
      bound: 0, clear: 0, hold: 10, clearHold: 3, repeatAfter: 1800, summary: "nothing is quoted",
      allowed: "quotes on the market", advice: "The cause is named in apus top beside it; most end by themselves."),
    AlertRule(
      name: "ApusStalled", severity: .page, unit: .seconds,
      measure: "longest turn of the lane in 10 s; or the watchdog pulled the quotes", bound: 1, clear: 0.5,
      clearHold: 5,
      summary: "the lane stood still",
      advice: "Look for what took its core (pidstat -w, dmesg); apus resume lets go of the watchdog's latch."),
    AlertRule(
      name: "ApusBudgetLow", severity: .warn, unit: .share, measure: "order messages left, of those of one second",
      firesAbove: false, bound: 0.02, clear: 0.1, hold: 30, repeatAfter: 1800, summary: "the message budget is used up",
      advice: "Quotes wait meanwhile; see in apus top what it is spent on, and quote fewer levels or wider tolerances."),
    AlertRule(
      name: "ApusLoss", severity: .page, unit: .money, measure: "loss of a lane since the engine's start, after fees",
      bound: 1000, clear: 800, hold: 1, clearHold: 30, summary: "the engine loses money",
      advice: "Compare fills and marks in apus top; if it is not the market, apus halt."),
    AlertRule(
      name: "ApusProtectionHit", severity: .warn, unit: .state,
      measure: "the venue's protection of mass quotes is used up after fills", bound: 0, clear: 0, clearHold: 5,
      repeatAfter: 900, summary: "the venue's protection has cancelled our quotes", allowed: "an unused protection",
      advice: "It is set again after a pause; see from which side the fills came before widening it."),
    AlertRule(
      name: "ApusHalted", severity: .page, unit: .state, measure: "a latch of the kill ladder", bound: 0, clear: 0,
      clearHold: 1, summary: "the kill ladder has halted quoting", allowed: "no latch",
      advice: "Follow the cause first; apus resume lets go of all latches."),
    AlertRule(
      name: "ApusJournalFailed", severity: .page, unit: .state, measure: "the journal could not be written", bound: 0,
      clear: 0, clearHold: 1, summary: "the journal could not be written, and quoting has stopped",
      allowed: "a journal on disk", advice: "Free space on the data directory's disk, then restart the engine."),
    AlertRule(
      name: "ApusMonitorBlind", severity: .page, unit: .state, measure: "the telemetry file cannot be read", bound: 0,
      clear: 0, hold: 1, clearHold: 1, summary: "nothing is known of the engine", allowed: "a readable telemetry file",
      advice:
        "Check the path, its mode and that engine and monitor are of one version; look at the engine by other means."),
    AlertRule(
      name: "ApusRouteFailing", severity: .warn, unit: .state, measure: "a route of alerts does not deliver", bound: 0,
      clear: 0, clearHold: 1, repeatAfter: 900, summary: "alerts do not arrive on one route",
      allowed: "delivered alerts",
      advice: "Check the receiver and the route's settings; the other routes work meanwhile."),
  ]

  public static let shapes: [AlertRuleShape] = standard.map {
    AlertRuleShape(name: $0.name, firesAbove: $0.firesAbove, bound: $0.bound, clear: $0.clear)
  }

  /// The standard rules with what a file changes of them.
  public static func rules(_ file: AlertFile) -> [AlertRule] {
    standard.map { standard in
      guard let section = file.rules[standard.name] else { return standard }
      var rule = standard
      func set(_ path: WritableKeyPath<AlertRule, Double>, _ value: DecimalE8?) {
        if let value { rule[keyPath: path] = Double(value.e8) / 1e8 }
      }
      set(\.bound, section.bound)
      if section.bound != nil {
        rule.clear = standard.bound == 0 ? rule.bound : rule.bound * (standard.clear / standard.bound)
      }
      set(\.clear, section.clear)
      set(\.hold, section.holdSeconds)
      set(\.clearHold, section.clearSeconds)
      set(\.repeatAfter, section.repeatSeconds)
      set(\.window, section.windowSeconds)
      rule.severity = section.severity ?? rule.severity
      rule.isEnabled = section.isEnabled
      return rule
    }
  }

  /// A value in the rule's unit, for people.
  public func text(_ value: Double) -> String {
    switch unit {
    case .seconds: value < 0.1 ? TopScreen.duration(Int64(value * 1e9)) : "\(TopScreen.short(value)) s"
    case .share: value < 0.1 ? "\(TopScreen.fixed(value * 100, 1)) %" : TopScreen.percent(value)
    case .bytes: "\(TopScreen.fixed(value / 1_048_576, 0)) MiB"
    case .events: TopScreen.short(value)
    case .money: TopScreen.money(value)
    case .state: value > 0 ? "yes" : "no"
    }
  }

  func allowedText(_ bound: Double) -> String {
    allowed
      ?? ((firesAbove ? bound == 0 ? "none" : "at most \(text(bound))" : "at least \(text(bound))")
        + (window > 0 && unit == .events ? " in \(TopScreen.time(window))" : ""))
  }

  /// What a table of rules says, as Markdown rows; `apus monitor --explain-alerts` and the article show the same.
  public static func table(_ rules: [AlertRule]) -> [String] {
    [
      "| Alert | Severity | Measured | Fires | for | Clears | for | Window | Told again |",
      "|---|---|---|---|---|---|---|---|---|",
    ]
      + rules.map { rule in
        let isState = rule.unit == .state
        func seconds(_ value: Double) -> String { value == 0 ? "at once" : "\(AlertFile.text(value)) s" }
        let fires = isState ? "when so" : (rule.firesAbove ? "above " : "below ") + rule.text(rule.bound)
        let clears = isState ? "when not" : (rule.firesAbove ? "at most " : "at least ") + rule.text(rule.clear)
        let off = rule.isEnabled ? "" : " (off)"
        return
          "| \(rule.name)\(off) | \(rule.severity.rawValue) | \(rule.measure) | \(fires) | \(seconds(rule.hold)) | \(clears) | "
          + "\(seconds(rule.clearHold)) | \(rule.window > 0 ? seconds(rule.window) : "–") | \(seconds(rule.repeatAfter)) |"
      }
  }
}
