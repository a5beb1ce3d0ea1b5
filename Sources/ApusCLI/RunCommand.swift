import Apus
import ApusHost
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
      started only with --production and the engine's name. Exit codes: 0 stopped and verified; 75 stopped, but the venue did not confirm that no order is \
      left; 69 the venue could not be reached; 77 the venue refused the session; 78 the configuration is wrong; \
      71 the operating system refused something; 64 --production is missing, or of another engine.
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
    let engine = Engine(configuration)
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
      throw Exit.fail(Exit.code(of: error.kind), error.description)
    }
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
    if let failure = result.failure { _ = Exit.fail(Exit.unverified, failure) }
    if !result.isStopVerified { throw Exit.unverified }
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
