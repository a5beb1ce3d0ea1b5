import Apus
import CSupport
import Foundation

/// The lane under the eyes of the guards: tools/rtsan, tools/check-hot-path and tools/instructions.
@main struct LaneReplay {
  static let usage = """
    usage: LaneReplay replay [--scenario NAME] [--checked] [--fault FAULT]
           LaneReplay live --seconds N [--tls] [--checked] [--fault FAULT]
           LaneReplay list

    replay  records each scenario with one lane and feeds it to another; the second must write the same bytes,
            and in a build with RealtimeSanitizer it must neither allocate nor lock nor block. One line a scenario.
    live    runs the engine against the simulated venue over loopback for N seconds.
    list    prints the scenarios.

    --checked  fail unless this is a build with RealtimeSanitizer
    --fault    what the strategy does wrong, to see a guard fail: \(Fault.allCases.map(\.rawValue).joined(separator: ", "))
    """

  static func main() {
    do {
      try run(Array(CommandLine.arguments.dropFirst()))
    } catch {
      fail("\(error)")
    }
  }

  private static func run(_ arguments: [String]) throws {
    var arguments = arguments
    guard let command = arguments.first, command != "--help", command != "-h" else {
      print(usage)
      return
    }
    arguments.removeFirst()
    func flag(_ name: String) -> Bool {
      guard let place = arguments.firstIndex(of: name) else { return false }
      arguments.remove(at: place)
      return true
    }
    func option(_ name: String) throws -> String? {
      guard let place = arguments.firstIndex(of: name) else { return nil }
      guard place + 1 < arguments.count else { throw ReplayError(description: "\(name) needs a value; see --help") }
      let value = arguments[place + 1]
      arguments.removeSubrange(place...place + 1)
      return value
    }
    let isChecked = flag("--checked")
    let isEncrypted = flag("--tls")
    let scenarioName = try option("--scenario")
    let seconds = try option("--seconds")
    let faultName = try option("--fault") ?? "none"
    guard let fault = Fault(rawValue: faultName) else {
      throw ReplayError(
        description: "no fault \(faultName); choose one of \(Fault.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    if let unknown = arguments.first { throw ReplayError(description: "unknown argument \(unknown); see --help") }
    if isChecked, !apus_realtime_is_checked() {
      throw ReplayError(description: "this build has no RealtimeSanitizer; build it as tools/rtsan does")
    }
    switch command {
    case "list":
      for scenario in Scenario.all { print(scenario.name) }
    case "replay":
      let chosen = Scenario.all.filter { scenarioName == nil || $0.name == scenarioName }
      guard !chosen.isEmpty else {
        throw ReplayError(description: "no scenario \(scenarioName ?? ""); see LaneReplay list")
      }
      for scenario in chosen {
        let played = try scenario.play(fault: fault)
        print("\(played.measured)\t\(played.looks)\t\(played.outputBytes)\t\(scenario.name)")
      }
    case "live":
      guard let seconds, let time = Double(seconds), time > 0 else {
        throw ReplayError(description: "live needs --seconds N, above 0")
      }
      let report = try LiveRun.run(seconds: time, isEncrypted: isEncrypted, fault: fault)
      let fills = report.instruments.reduce(0) { $0 + $1.fills }
      print(
        "\(isEncrypted ? "TLS" : "plain"): \(report.inserts) inserts, \(report.amends) amends, \(report.cancels) cancels, "
          + "\(fills) fills, \(report.moves) moves to another connection, stop verified: \(report.isStopVerified)")
      guard report.inserts > 0, report.amends > 0, fills > 0, report.moves == 1, report.isStopVerified,
        report.failure == nil
      else {
        throw ReplayError(
          description: "the engine did not do all that this run is to show: it must insert, amend, be filled, "
            + "move to another connection and stop in order" + (report.failure.map { "; " + $0 } ?? ""))
      }
    default:
      throw ReplayError(description: "unknown command \(command); see --help")
    }
  }
}

/// One line on what went wrong, and the end.
func fail(_ text: String) -> Never {
  FileHandle.standardError.write(Data("LaneReplay: \(text)\n".utf8))
  exit(1)
}
