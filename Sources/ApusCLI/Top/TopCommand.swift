import Apus
import ApusMonitor
import ArgumentParser
import CSupport
import Foundation

struct TopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top",
    abstract: "Watch an engine live in a terminal: markets, quotes, positions, latency, budget, the kill ladder.",
    discussion: """
      Reads the engine's telemetry file, which costs the engine nothing. Keys: p pauses (all orders cancelled, verified), h \
      halts by level, r resumes, each after a word that has to be typed; o tells an order's journey from the journal; s \
      sorts, e shows the other engine while a rollout lasts, the cursor keys scroll, q ends. Distances are basis points behind the best of the others; worst is the \
      exposure if all that may still trade does, as a share of the limit, * with a part that is not proven; venue tells the \
      shares of requests rejected and of orders filled, requests and fees of an execution, and what executions have gained 1, \
      10 and 60 s later. --once prints \
      one picture of each engine and ends. Exit codes: 0; 69 the engine is not running (with --once); 71 the file cannot be read.
      """)

  @OptionGroup var engine: EngineChoice

  @Flag(help: "Print one picture and end.")
  var once = false

  @Flag(help: "With --once: as JSON.")
  var json = false

  @Option(help: "Milliseconds between two pictures, 50 to 10000.")
  var interval = 500

  @Option(
    help: ArgumentHelp("Bounds of alerts, as apus monitor takes them.", valueName: "file"), completion: .file())
  var alerts: String?

  func validate() throws {
    if json, !once { throw ValidationError("--json goes with --once") }
    if !(50...10_000).contains(interval) { throw ValidationError("--interval must be from 50 to 10000") }
  }

  func run() throws {
    let places = try engine.paths()
    let rules = AlertRule.rules(try alertFile(alerts))
    if once {
      for path in places() { try printOnce(path, rules) }
      return
    }
    guard var terminal = RawTerminal() else {
      throw Exit.fail(Exit.system, "apus top needs a terminal; use --once, or --once --json, in a script")
    }
    var session = TopSession(places: places, rules: rules)
    let environment = ProcessInfo.processInfo.environment
    let inColour = environment["NO_COLOR"] == nil && environment["TERM"] != "dumb"
    while !terminal.isEnding {
      let size = terminal.size
      terminal.show(session.draw(columns: size.columns, rows: size.rows).map { $0.rendered(inColour: inColour) })
      let deadline = TelemetrySnapshot.monotonicNow + Nanoseconds(interval) * 1_000_000
      while !terminal.isEnding {
        let left = (deadline - TelemetrySnapshot.monotonicNow) / 1_000_000
        guard left > 0 else { break }
        guard let key = terminal.key(milliseconds: Int32(min(left, 100))) else {
          if terminal.size != size { break }
          continue
        }
        if !session.press(key) { return }
        break
      }
    }
  }

  private func printOnce(_ path: String, _ rules: [AlertRule]) throws {
    let reader = try engine.reader(path)
    var observer = EngineObserver()
    _ = observer.look(reader)
    // Rates need two looks.
    usleep(useconds_t(min(interval, 1000)) * 1000)
    let view = AlertWatch(path: path, rules: rules).look(observer.look(reader))
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      say(String(decoding: try encoder.encode(view), as: UTF8.self))
    } else {
      var screen = TopScreen()
      screen.prompt = ""
      let rows = view.lanes.reduce(12) { $0 + 12 + $1.instruments.count }
      var lines = screen.draw(view, columns: 160, rows: rows).map(\.text)
      while lines.last?.isEmpty == true { lines.removeLast() }
      say(lines.joined(separator: "\n"))
    }
    if !view.isAlive { throw Exit.fail(Exit.unreachable, "no engine writes \(path): this is what the last one left") }
  }
}
