import Apus
import ApusHost
import ArgumentParser
import Foundation

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Look at this host as a lane would: what costs latency, why, and how to fix it.",
    discussion: """
      Reads /proc and /sys, tries io_uring, asks the kernel's clock, and then spins on the core for some seconds to see \
      how often it is taken away. Changes nothing and needs no rights. What cannot be seen, in a container or a virtual \
      machine, is told as not known, with the reason, and does not count. The score is the points of what is known: good \
      gives all of a check's weight, could be better half of it, bad nothing. Exit codes: 0; with --strict 1 if \
      something is bad; 78 the configuration is wrong.
      """)

  @Flag(help: "Print JSON.")
  var json = false

  @Option(help: "How long to measure the core's jitter, 0.001 to 600; 0 does not measure.")
  var seconds: Double = 10

  @Option(
    help: ArgumentHelp(
      "Also compare clocks with this venue: host:port (TLS), or an address as in venue.url. Asks five times.",
      valueName: "address"))
  var venue: String?

  @Option(help: "The core to look at. Default: that of --config, else the last one that this process may use.")
  var core: Int?

  @Option(
    name: .customLong("config"), help: "A configuration file, for its engine.core.", completion: .file())
  var configPath: String?

  @Flag(help: "Exit with 1 if something is bad.")
  var strict = false

  func validate() throws {
    guard seconds == 0 || (seconds >= 0.001 && seconds <= 600) else {
      throw ValidationError("--seconds must be 0, or from 0.001 to 600")
    }
    if let core, core < 0 { throw ValidationError("--core must be 0 or more") }
    if let venue, VenueAddress(Self.url(venue)) == nil {
      throw ValidationError("--venue \(venue) is neither host:port nor ws://host:port/path nor wss://host[:port]/path")
    }
  }

  func run() throws {
    let examined = try examinedCore()
    var probe = HostProbe.live()
    if let venue, let address = VenueAddress(Self.url(venue)) {
      probe.venue = VenueClockQuestion.ask(
        host: address.host, port: address.port, path: address.path, isEncrypted: address.isEncrypted)
    }
    var report = DoctorReport(host: HostExaminer(probe: probe, core: examined).examine())
    if !json { say(report.hostText) }
    if seconds > 0 {
      if !json, isatty(STDOUT_FILENO) == 1 { say("measuring core \(examined) for \(seconds.formatted()) s ...") }
      do {
        report.jitter = try JitterMeasurement.measure(core: examined, seconds: seconds)
      } catch {
        report.jitterProblem = error.description
      }
      if !json { say(report.jitterText) }
    }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      say(String(decoding: try encoder.encode(report), as: UTF8.self))
    }
    if strict, report.host.hasBad { throw ExitCode(1) }
  }

  /// `host:port` means TLS and the path at the top.
  private static func url(_ venue: String) -> String { venue.contains("://") ? venue : "wss://\(venue)/" }

  private func examinedCore() throws -> Int {
    if let core { return core }
    if let configPath {
      do {
        if case .core(let core) = try ConfigurationFile.load(path: configPath).engine.core { return core }
      } catch {
        throw Exit.fail(Exit.configuration, "\(error)")
      }
    }
    return (try? CPU.allowedCores())?.last ?? 0
  }
}

/// What `apus doctor` tells.
struct DoctorReport: Encodable {
  var host: HostExamination
  var jitter: JitterMeasurement?
  var jitterProblem: String?

  var hostText: String {
    var lines = [host.host, "the lane's core: \(host.core)", ""]
    let width = host.checks.map(\.title.count).max() ?? 0
    for check in host.checks {
      let points = check.state == .notKnown ? "  –" : Self.right(Self.points(check), 3)
      let title = check.title + String(repeating: " ", count: width - check.title.count)
      lines.append(
        "  \(Self.mark(check.state))  \(title)  \(points) of \(Self.right("\(check.weight)", 1))  \(check.found)")
      if check.state == .good || check.state == .notKnown { continue }
      lines.append("        \(check.why)")
      if let fix = check.fix { lines.append("        fix: \(fix)") }
    }
    lines.append("")
    let counts = HostCheck.State.allCases.map { state in
      "\(host.checks.count { $0.state == state }) \(state.rawValue)"
    }
    let score = host.score.map { "score \($0) of 100" } ?? "no score: nothing is known"
    lines.append("\(score) (\(host.knownWeight) points of weight are known): \(counts.joined(separator: ", "))")
    return lines.joined(separator: "\n")
  }

  var jitterText: String {
    guard let jitter else { return "jitter: not measured: \(jitterProblem ?? "unknown reason")" }
    func text(_ value: Double) -> String {
      if value >= 1_000_000 { return "\((value / 1_000_000).rounded(1)) ms" }
      return value >= 1000 ? "\((value / 1000).rounded(1)) µs" : "\(value.rounded(1)) ns"
    }
    return """
      jitter of core \(jitter.core) over \(jitter.seconds.rounded(1)) s, \(jitter.rounds) readings of the counter:
        gaps   p50 \(text(jitter.medianNanoseconds))   p99.99 \(text(jitter.p9999Nanoseconds))   max \(text(Double(jitter.maximumNanoseconds)))
        above  1 µs \(jitter.above1Microsecond)   10 µs \(jitter.above10Microseconds)   100 µs \(jitter.above100Microseconds)
        lost   \(Int(jitter.lostPartsPerMillion.rounded())) of a million parts of the time; the core went to another thread \(jitter.contextSwitches) times
      """
  }

  private static func mark(_ state: HostCheck.State) -> String {
    switch state {
    case .good: "good  "
    case .couldBeBetter: "better"
    case .bad: "BAD   "
    case .notKnown: "?     "
    }
  }

  private static func points(_ check: HostCheck) -> String {
    switch check.state {
    case .good: "\(check.weight)"
    case .couldBeBetter: check.weight % 2 == 0 ? "\(check.weight / 2)" : "\(check.weight / 2).5"
    case .bad, .notKnown: "0"
    }
  }

  private static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}

extension Double {
  /// With this many digits after the point.
  fileprivate func rounded(_ digits: Int) -> String { String(format: "%.\(digits)f", self) }
}
