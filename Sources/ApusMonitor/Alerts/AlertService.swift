public import Apus
import Foundation
import Synchronization

/// Looks at one engine again and again, keeps its alerts, and tells what changes.
public final class AlertService: Sendable {
  /// Between two looks: what fires at once is told within a second of its showing.
  public static let interval: Nanoseconds = 500_000_000

  private let path: @Sendable () -> String
  private let dispatcher: AlertDispatcher
  private let work: Mutex<Work>
  private let shown = Mutex<[AlertView]>([])

  /// What only one look at a time touches.
  private struct Work {
    var file: OpenFile?
    var engine: AlertEngine
  }

  /// A telemetry file that stays open between two looks, and what rates need.
  private final class OpenFile {
    let path: String
    let reader: TelemetryReader
    private var observer = EngineObserver()

    init(_ path: String) throws {
      self.path = path
      reader = try TelemetryReader(path: path)
    }

    func look(_ now: Nanoseconds) -> EngineView { observer.look(reader, now: now) }
  }

  /// - Parameter path: Of the telemetry file, asked for at each look; it need not exist yet.
  public init(path: @autoclosure @escaping @Sendable () -> String, rules: [AlertRule], dispatcher: AlertDispatcher) {
    self.path = path
    self.dispatcher = dispatcher
    work = Mutex(Work(file: nil, engine: AlertEngine(rules: rules)))
  }

  /// The alerts that hold, as of the last look.
  public var active: [AlertView] { shown.withLock { $0 } }

  /// Nanoseconds since 1970 UTC.
  public static var wallNow: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  /// Looks until the task is cancelled.
  public func run() async {
    while !Task.isCancelled {
      look()
      try? await Task.sleep(for: .nanoseconds(Self.interval))
    }
    await dispatcher.finish()
  }

  /// One look.
  public func look(now: Nanoseconds = TelemetrySnapshot.monotonicNow) {
    let faults = dispatcher.routeFaults
    let changes = work.withLock { work in
      let changes = Self.look(path(), &work, faults, now)
      let active = work.engine.active(now: now)
      shown.withLock { $0 = active }
      return changes
    }
    dispatcher.tell(changes)
  }

  private static func look(_ path: String, _ work: inout Work, _ faults: [AlertRouteFault], _ now: Nanoseconds)
    -> [AlertChange]
  {
    let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
    var view: EngineView?
    var problem = ""
    do {
      // A restarted engine has another file.
      if work.file.map({ $0.path != path || $0.reader.isReplaced }) ?? true {
        work.file = nil
        work.file = try OpenFile(path)
      }
      view = work.file?.look(now)
    } catch {
      problem = "\(error)"
    }
    return work.engine.step(
      AlertInputs(
        now: now, wall: wallNow, view: view, problem: problem,
        host: HostHeadroom.read(processID: view.map { $0.isAlive ? $0.processID : 0 } ?? 0, directory: directory),
        routeFaults: faults))
  }
}

extension AlertRoutesSection {
  /// The routes that are asked for.
  public func routes(say: @escaping @Sendable (String) -> Void) throws(AlertRouteError) -> [any AlertRoute] {
    var routes: [any AlertRoute] = []
    if isOnTerminal { routes.append(TerminalRoute(say: say)) }
    if log != .none { routes.append(try LogRoute(format: log, path: logFile)) }
    if let webhookURL, let webhookKeyFile {
      routes.append(try WebhookRoute(url: webhookURL, keyFile: webhookKeyFile, least: webhookLeast))
    }
    if let command {
      routes.append(try CommandRoute([command] + commandArguments, seconds: commandSeconds, least: commandLeast))
    }
    return routes
  }
}

/// Active alerts for Prometheus and for scripts.
public enum AlertText {
  /// Prometheus text of what holds: the number of places at which each alert does.
  public static func metrics(_ active: [AlertView]) -> String {
    var counts: [[String]: Int] = [:]
    for alert in active { counts[[alert.name, alert.severity.rawValue], default: 0] += 1 }
    return
      "# HELP apus_alert_active Places at which an alert holds; absent while it does not\n# TYPE apus_alert_active gauge\n"
      + counts.sorted { $0.key[0] < $1.key[0] }.map {
        "apus_alert_active{name=\"\($0.key[0])\",severity=\"\($0.key[1])\"} \($0.value)\n"
      }.joined()
  }

  /// A JSON list, keys in snake case.
  public static func json(_ active: [AlertView]) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return (try? encoder.encode(active)).map { String(decoding: $0, as: UTF8.self) } ?? "[]"
  }

  /// One line for the head of a screen.
  static func line(_ active: [AlertView]) -> String {
    let names = Dictionary(grouping: active, by: \.name)
    var seen: Set<String> = []
    let shown = active.filter { seen.insert($0.name).inserted }.map { alert in
      let count = names[alert.name]?.count ?? 1
      return "\(alert.name)\(count > 1 ? " ×\(count)" : "") (\(alert.severity.rawValue))"
    }
    return "alerts  \(active.count): " + shown.joined(separator: ", ")
  }
}
