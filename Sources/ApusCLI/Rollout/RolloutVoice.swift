import Apus
import ApusMonitor
import ApusRollout
import Foundation
import Synchronization

/// Tells the turns of a rollout on the terminal and by the routes of alerts, and watches the candidate by their rules.
final class RolloutVoice: Sendable {
  private let rules: [AlertRule]
  private let dispatcher: AlertDispatcher
  /// Of the engine that is looked at; another telemetry file is another one.
  private let service = Mutex<(path: String, service: AlertService)?>(nil)
  private let number = Mutex<UInt64>(0)
  /// A terminal that is held still holds up nobody else.
  private let printer = DispatchQueue(label: "apus-rollout-lines")

  init(_ file: AlertFile) throws {
    rules = AlertRule.rules(file)
    var routes = file.routes
    // Its own lines are on the terminal already.
    routes.isOnTerminal = false
    do {
      dispatcher = AlertDispatcher(try routes.routes { say("apus: alert \($0)") })
    } catch {
      throw Exit.fail(Exit.configuration, "\(error)")
    }
  }

  /// The most urgent alert of an engine, of this severity or above.
  func alert(_ path: String, _ least: AlertSeverity) -> String? {
    let current = service.withLock { current in
      if let current, current.path == path { return current.service }
      // What the candidate's monitor tells is not told twice: this one only looks.
      let service = AlertService(path: path, rules: rules, dispatcher: AlertDispatcher([]))
      current = (path, service)
      return service
    }
    current.look()
    return current.active.first { $0.severity >= least }.map { "\($0.name): \($0.found)" }
  }

  func announce(_ line: RolloutLine) {
    printer.async { say("\(line.at) \(line.severity == .info ? "" : "\(line.severity.rawValue.uppercased()) ")\(line.text)") }
    let count = number.withLock { number -> UInt64 in
      number += 1
      return number
    }
    dispatcher.tell([
      AlertChange(
        kind: .fired, at: AlertService.wallNow, number: count, engine: line.rollout, held: 0,
        alert: AlertView(
          name: "ApusRollout", severity: line.severity, age: 0, value: 0, bound: 0, summary: "a rollout has taken a turn",
          found: line.text, allowed: "what the plan says", advice: "apus rollout status shows more.", runbook: "Rollout"))
    ])
  }

  func finish() async {
    await dispatcher.finish()
    printer.sync {}
  }
}
