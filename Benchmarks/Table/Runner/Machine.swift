import Apus
import CBench
import CSupport
import Foundation

/// The machine as a reader of the figures has to know it.
struct Machine {
  let lines: [String]
  /// The same on one line, for each JSON row.
  let summary: String

  init(cores: (main: Int, other: Int?), clock: ClockSource) {
    var facts = HostFacts()
    apus_host_read(UInt32(cores.main), &facts)
    let info = Self.read("/proc/cpuinfo")
    func field(_ name: String) -> String? {
      info.split(separator: "\n").first { $0.hasPrefix(name) }?.split(separator: ":", maxSplits: 1).last
        .map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let flags = Set((field("flags") ?? "").split(separator: " "))
    let model = field("model name") ?? field("CPU part").map { "arm64 part \($0)" } ?? "unknown processor"
    let count = ProcessInfo.processInfo.processorCount
    let isVirtual = flags.contains("hypervisor")
    let governor = Self.text(facts.governor)
    let isolated = Self.text(facts.isolated)
    let tickless = Self.text(facts.nohz_full)
    let tsc = ["constant_tsc", "nonstop_tsc"].allSatisfy { flags.contains(Substring($0)) }
    let loads = Self.read("/proc/loadavg").split(separator: " ").prefix(3).joined(separator: " ")
    let cpu =
      "\(model), \(count) cores" + (isVirtual ? ", virtual machine" : "")
      + (flags.contains("avx512f") ? ", AVX-512" : flags.contains("avx2") ? ", AVX2" : "")
    let kernel = "kernel \(Self.text(facts.release))"
    let place =
      "measured on core \(cores.main)" + (cores.other.map { ", second thread on core \($0)" } ?? ", no second core")
    let tuning =
      "governor \(governor.isEmpty ? "not known" : governor), isolated cores \(isolated.isEmpty ? "none" : isolated), "
      + "tickless cores \(tickless.isEmpty ? "none" : tickless)"
    let clocks =
      "kernel's clock source \(Self.text(facts.clock_source)), ours \(clock == .counter ? "the counter" : "the kernel's")"
      + (tsc ? ", TSC invariant" : "")
    lines = [cpu, kernel, place, tuning, clocks, "load average at the start \(loads)"]
    summary = [cpu, kernel, tuning, "load \(loads)"].joined(separator: "; ")
  }

  static func load() -> Double { Double(read("/proc/loadavg").split(separator: " ").first ?? "") ?? 0 }

  private static func read(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }

  private static func text<Characters: BitwiseCopyable>(_ characters: Characters) -> String {
    withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

/// The machine's own gaps, seen by a thread that only reads the clock.
struct Gaps {
  private var elapsed: Int64 = 0
  private var count: Int64 = 0
  private var lost: Int64 = 0
  private var longest: Int64 = 0

  static let threshold: Int64 = 10_000

  mutating func measure(seconds: Double) {
    let gaps = apus_gaps_measure(Int64(seconds * 1e9), Self.threshold)
    elapsed += gaps.elapsed_ns
    count += gaps.count
    lost += gaps.lost_ns
    longest = max(longest, gaps.longest_ns)
  }

  var text: String {
    guard elapsed > 0 else { return "machine's gaps not measured" }
    let perSecond = Double(count) * 1e9 / Double(elapsed)
    let share = 100 * Double(lost) / Double(elapsed)
    return
      "machine's gaps > 10 µs: \(Int(perSecond.rounded()))/s, \(String(format: "%.2f", share)) % of the time, "
      + "longest \(longest / 1000) µs"
  }
}
