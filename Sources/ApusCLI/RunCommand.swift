import Apus
import ApusExchange
import ApusHost
import ApusRollout
import ArgumentParser
import CSupport
import Foundation

struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run the engine on a venue until SIGINT or SIGTERM.",
    discussion: """
      At the end it cancels its orders with the venue's own command, asks the venue until none is left, and \
      reports. SIGUSR1 allows no new orders, SIGUSR2 cancels all of them and keeps running; `apus halt` does that and \
      more from another process, and only `apus resume` takes it back. A configuration whose mode is production is \
      started only with --production and the engine's name. One whose mode is shadow follows the live market of its venues \
      without a key, and no order leaves this process: see the article Shadow. Exit codes: 0 stopped and verified; 75 stopped, but the venue did not confirm that no order is \
      left; 69 the venue could not be reached; 77 the venue refused the session; 78 the configuration is wrong; \
      71 the operating system refused something; 73 a rollout has this data directory; 64 --production is missing, or of another engine; 1 in mode shadow, the \
      books of the engine and of the venue that stood in differ.
      """)

  @Option(name: .customLong("config"), help: "The configuration file (YAML).", completion: .file())
  var configPath: String

  @Option(help: "Also write the report as JSON to this file.", completion: .file())
  var report: String?

  @Option(
    help: ArgumentHelp(
      "Keep when ticks took longer than this and write it to slow-ticks.csv in the data directory, for tools/profile.",
      valueName: "microseconds"))
  var slowTicksAbove: SlowTickArgument?

  @OptionGroup var confirmation: ProductionConfirmation

  @Flag(help: "Print nothing but errors.")
  var quiet = false

  @Flag(help: .hidden)
  var dieWithParent = false

  @MainActor func run() async throws {
    if dieWithParent { _ = apus_die_with_parent() }
    let configuration: Configuration
    do {
      configuration = try ConfigurationFile.load(path: configPath)
    } catch {
      throw Exit.fail(Exit.configuration, "\(error)")
    }
    try confirmation.check(configuration)
    if let problem = RolloutMark.problem(dataDirectory: configuration.engine.dataDirectory) {
      throw Exit.fail(Exit.cannotCreate, problem)
    }
    let isQuiet = quiet
    let shadow =
      configuration.mode == .shadow ? ShadowVenues(tell: { if !isQuiet { say("apus: \($0)") } }) : nil
    let engine = Engine(configuration, standIn: shadow)
    do {
      try SignalWatcher.start(halt: { engine.haltBySignal($0) }) { engine.requestStop() }
    } catch {
      throw Exit.fail(Exit.system, "\(error)")
    }
    if !quiet {
      for lane in configuration.lanes {
        let names = lane.instruments.map(\.name)
        let more = names.count > 4 ? " and \(names.count - 3) more" : ""
        let shown = names.prefix(more.isEmpty ? 4 : 3).joined(separator: ", ") + more
        let mode = configuration.mode.rawValue
        say("apus: \(mode): quoting \(shown) on \(lane.venue.url) as \(lane.engine.name); Ctrl-C stops")
      }
      for line in hostFindings(core: configuration.engine.core) { say("apus: \(line)") }
      say("apus: live state in \(engine.telemetryPath)")
    }
    var result: EngineReport
    do {
      result = try engine.run(slowTicksAbove: slowTicksAbove?.nanoseconds) { if !quiet { say("apus: \($0)") } }
    } catch {
      shadow?.stop()
      throw Exit.fail(Exit.code(of: error.kind), error.description)
    }
    let comparison = shadow.map { result.compare(with: $0.stop()) }
    if let report {
      do {
        result.programSha256 = try SHA256.textOfThisProgram()
        try result.json().write(to: URL(fileURLWithPath: report), options: .atomic)
      } catch {
        let reason = (error as? SystemError)?.description ?? error.localizedDescription
        throw Exit.fail(Exit.system, "could not write the report to \(report): \(reason)")
      }
    }
    if !quiet { say(result.text) }
    if let comparison, !quiet { say(comparison) }
    if let failure = result.failure { _ = Exit.fail(Exit.unverified, failure) }
    if !result.isStopVerified { throw Exit.unverified }
    if result.booksEqual == false {
      throw Exit.fail(Exit.booksDiffer, "the books of the engine and of the venue that stood in differ")
    }
  }
}

/// A threshold: whole microseconds, 0 to 10,000,000.
struct SlowTickArgument: ExpressibleByArgument {
  let microseconds: Int64
  var nanoseconds: Nanoseconds { microseconds * 1000 }

  init?(argument: String) {
    guard let value = Int64(argument), (0...10_000_000).contains(value) else { return nil }
    microseconds = value
  }
}

/// What of this machine costs latency most; errors are met later, where they matter.
private func hostFindings(core: CoreChoice) -> [String] {
  var lane = (try? CPU.allowedCores())?.last ?? 0
  if case .core(let core) = core { lane = core }
  let bad = HostExaminer.current(core: lane).checks.filter { $0.state == .bad }
  guard !bad.isEmpty else { return [] }
  return bad.map { "\($0.title): \($0.found)" } + ["`apus doctor` says why that matters, and how to change it"]
}

extension EngineReport {
  /// Holds the account of a shadow run against the books of the venues that stood in; says so in a few lines.
  mutating func compare(with venues: [ShadowReport]) -> String {
    let compared = BooksComparison(
      engine: self, venues: venues.map(\.books), inverse: venues.reduce(into: []) { $0.formUnion($1.inverse) })
    booksEqual = compared.isEqual
    booksDiffer = compared.items.filter { !$0.isEqual }.map {
      BooksItem(name: $0.name, engine: $0.engine, venue: $0.venue)
    }
    var lines = [
      compared.isEqual
        ? "shadow: the books of engine and venue are equal in all \(compared.items.count) items"
        : "shadow: the books of engine and venue DIFFER"
    ]
    for item in compared.items where !item.isEqual {
      lines.append("  \(item.name): \(item.engine) by the engine, \(item.venue) by the venue")
    }
    let frames = venues.reduce(0) { $0 + $1.frames }
    let absences = venues.reduce(0) { $0 + $1.absences }
    let seconds = venues.reduce(0) { $0 + $1.absentSeconds }
    lines.append(
      "  live market: \(frames) frames"
        + (absences == 0 ? "" : ", away \(absences) times for \(String(format: "%.1f", seconds)) s"))
    lines += venues.compactMap(\.failure).map { "  \($0)" }
    return lines.joined(separator: "\n")
  }

  func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return try encoder.encode(self)
  }

  init(json: Data) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(Self.self, from: json)
  }
}
