import Apus
import ArgumentParser
import CSupport
import Foundation

struct RecordCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record",
    abstract: "Keep Thalex's public stream: books, tickers, trades. No key, no trading.",
    discussion: """
      Writes what the venue sends into a journal in DIR: the format of the engine's own journal, with times and \
      connections. It asks for instruments and channels as Thalex has them; other venues' streams are not kept. A lost connection is made anew. `apus venue`, `apus demo`, `apus backtest` and `apus bench budget` play \
      it with --feed DIR. Ctrl-C ends it. Exit codes: 0 ended as asked; 69 nothing was received; 71 the operating system refused \
      something, a full disk for example; 77 the venue refused a subscription.
      """)

  @Option(help: ArgumentHelp("The venue's WebSocket: ws://… or wss://…", valueName: "url"))
  var venueURL: String

  @Option(help: ArgumentHelp("What to keep, by the venue's names, with commas between.", valueName: "names"))
  var instruments: String

  @Option(
    help: ArgumentHelp("The directory; made if missing. A further run goes behind those in it.", valueName: "dir"))
  var out: String

  @Option(help: ArgumentHelp("End after this many seconds. Default: at Ctrl-C.", valueName: "n"))
  var seconds: Double?

  @Option(help: ArgumentHelp("Levels a side of the books: 1 to 1000, or all.", valueName: "n"))
  var levels = "all"

  @Option(help: ArgumentHelp("Certificate authority to trust instead of the system's.", valueName: "file"))
  var caFile: String?

  @Option(help: ArgumentHelp("Size of a segment's file, 1 to 2048 MiB.", valueName: "MiB"))
  var segmentMib = 64

  @Option(
    help: ArgumentHelp("Remove the oldest segments while all take more than this; 0: keep all.", valueName: "MiB"))
  var keepMib = 0

  @Flag(help: .hidden)
  var dieWithParent = false

  func validate() throws {
    try TimeLimit.check(seconds, "--seconds")
    if levels != "all", !(1...1000).contains(Int(levels) ?? 0) {
      throw ValidationError("--levels must be 1 to 1000, or all, not '\(levels)'")
    }
    guard (1...2048).contains(segmentMib) else { throw ValidationError("--segment-mib must be from 1 to 2048") }
    guard (0...1_000_000_000).contains(keepMib) else {
      throw ValidationError("--keep-mib must be from 0 to 1000000000, not \(keepMib)")
    }
  }

  @MainActor func run() async throws {
    if dieWithParent { _ = apus_die_with_parent() }
    let names = instruments.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    let report: MarketRecorder.Report
    do {
      let recorder = try MarketRecorder(
        url: venueURL, instruments: names, levels: levels, directory: out, trusting: caFile,
        journal: JournalSection(segmentMib: segmentMib, keepMib: keepMib, minFreeMib: 0))
      try SignalWatcher.start { recorder.requestStop() }
      report = try recorder.run(seconds: seconds) { say($0) }
    } catch let error as EngineError {
      throw Exit.fail(Exit.code(of: error.kind), error.description)
    } catch {
      throw Exit.fail(Exit.system, "\(error)")
    }
    say(
      "kept \(report.frames) frames, \(report.bytes) bytes, over \(report.connections) "
        + "connection\(report.connections == 1 ? "" : "s") in \(String(format: "%.1f", report.seconds)) s, in \(out)")
    for problem in report.problems { say("  \(problem)") }
    if let failure = report.failure {
      throw Exit.fail(report.isRefused ? Exit.refused : Exit.system, failure)
    }
    if report.frames == 0 { throw Exit.fail(Exit.unreachable, "nothing was received from \(venueURL)") }
  }
}
