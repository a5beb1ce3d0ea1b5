public import CSupport

/// What of the machine stands in a lane's way, as sentences for an operator.
public struct HostReport: Sendable {
  public enum Severity: Int, Comparable, Sendable {
    case note, warning, error
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  }

  public struct Finding: Equatable, Sendable {
    public var severity: Severity
    public var text: String
  }

  /// The oldest kernel that the socket driver runs on: DEFER_TASKRUN came with 6.1.
  public static let oldestKernel = (major: 6, minor: 1)

  public var findings: [Finding] = []

  /// - Parameters:
  ///   - core: The core that a lane is to have.
  ///   - realTime: Whether the lane is to run under SCHED_FIFO.
  public static func current(core: Int, realTime: Bool) -> HostReport {
    var facts = HostFacts()
    unsafe apus_host_read(UInt32(clamping: core), &facts)
    return HostReport(facts, core: core, realTime: realTime)
  }

  /// Judges facts that were read, here or elsewhere.
  public init(_ facts: HostFacts, core: Int, realTime: Bool) {
    let release = Self.text(facts.release)
    let (major, minor) = (Int(facts.kernel_major), Int(facts.kernel_minor))
    if (major, minor) < Self.oldestKernel {
      add(
        .error, "kernel \(release) is too old: \(Self.oldestKernel.major).\(Self.oldestKernel.minor) or later is needed"
      )
    }
    if realTime {
      if !facts.rt_known {
        add(.warning, "could not read sched_rt_runtime_us: a spinning SCHED_FIFO thread may be stopped each second")
      } else if facts.rt_runtime_us >= 0 && facts.rt_runtime_us < facts.rt_period_us {
        let stall = (facts.rt_period_us - facts.rt_runtime_us) / 1000
        let period = facts.rt_period_us / 1000
        add(
          .error,
          "a spinning SCHED_FIFO thread is stopped for \(stall) ms in every \(period) ms: "
            + "set kernel.sched_rt_runtime_us to -1")
      }
    }
    let governor = Self.text(facts.governor)
    if !governor.isEmpty && governor != "performance" {
      add(.warning, "core \(core) runs under the \(governor) governor: set it to performance")
    }
    if !Self.lists(facts.isolated, core: core) {
      add(
        .warning, "core \(core) is not isolated: other threads may run on it; add it to isolcpus or a cpuset partition")
    }
    if !Self.lists(facts.nohz_full, core: core) {
      add(.note, "core \(core) takes the scheduler's tick: add it to nohz_full to be rid of gaps of 10 to 40 µs")
    }
    let clock = Self.text(facts.clock_source)
    if !clock.isEmpty && clock != "tsc" && clock != "arch_sys_counter" {
      add(.note, "the kernel's clock source is \(clock), which makes clock_gettime slow")
    }
    if !facts.numa {
      add(.note, "NUMA is not available: memory is placed where the kernel likes")
    }
  }

  private mutating func add(_ severity: Severity, _ text: String) {
    findings.append(Finding(severity: severity, text: text))
  }

  /// A C array of characters as text.
  static func text<Characters: BitwiseCopyable>(_ characters: Characters) -> String {
    unsafe withUnsafeBytes(of: characters) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  private static func lists<Characters: BitwiseCopyable>(_ list: Characters, core: Int) -> Bool {
    unsafe apus_host_list_has(text(list), UInt32(clamping: core))
  }
}
