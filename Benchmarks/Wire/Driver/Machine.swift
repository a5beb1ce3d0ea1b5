import Apus
import CSupport
import Foundation

/// What the figures were measured on.
struct Machine {
  var text: String
  /// Processes that wanted a core in the last minute: figures of a busy machine are to be read with that in mind.
  var load: Double

  static func current(core: Int) -> Machine {
    var facts = HostFacts()
    apus_host_read(UInt32(clamping: core), &facts)
    let model =
      (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n")
      .first { $0.hasPrefix("model name") }?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces)
    let cores = (try? CPU.allowedCores())?.count ?? 1
    var averages = [0.0, 0.0, 0.0]
    getloadavg(&averages, 3)
    let governor = words(facts.governor)
    let isolated = words(facts.isolated)
    let parts = [
      model ?? "unknown processor", "\(cores) cores", "kernel \(words(facts.release))",
      "governor \(governor.isEmpty ? "unknown" : governor)", "isolated cores \(isolated.isEmpty ? "none" : isolated)",
      "clock \(EngineClock.source == .counter ? "processor counter" : "kernel")",
      "load \(Statistics.text(averages[0], 1))",
    ]
    return Machine(text: parts.joined(separator: ", "), load: averages[0])
  }

  private static func words<Characters>(_ characters: Characters) -> String {
    withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
