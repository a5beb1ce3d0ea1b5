/// One thing about a host that costs or saves latency, or safety, as it was found.
public struct HostCheck: Codable, Equatable, Sendable {
  public enum State: String, Codable, Sendable, CaseIterable {
    case good
    case couldBeBetter = "could be better"
    case bad
    /// Counts for nothing; `found` says why it is not known.
    case notKnown = "not known"
  }

  public var id: ID
  public var title: String
  /// Points of 100.
  public var weight: Int
  public var state: State
  /// What was found, or why it is not known.
  public var found: String
  public var why: String
  /// A command, a kernel parameter or a setting; `nil` where nothing is to be done.
  public var fix: String?

  /// Points that it adds, in halves, so that they stay whole.
  var halfPoints: Int {
    switch state {
    case .good: 2 * weight
    case .couldBeBetter: weight
    case .bad, .notKnown: 0
    }
  }

  /// In the order in which they are shown.
  public enum ID: String, Codable, Sendable, CaseIterable {
    case isolatedCore = "isolated_core"
    case nohzFull = "nohz_full"
    case interruptAffinity = "irq_affinity"
    case cpuQuota = "cpu_quota"
    case governor
    case powerSupply = "power_supply"
    case turbo
    case idleStates = "c_states"
    case siblings = "smt_siblings"
    case numa
    case memoryLock = "memory_lock"
    case hugePages = "huge_pages"
    case transparentHugePages = "transparent_huge_pages"
    case swap
    case clockSource = "clock_source"
    case invariantCounter = "invariant_counter"
    case clockSynchronised = "clock_synchronised"
    case venueClock = "venue_clock"
    case kernel
    case ioUring = "io_uring"
    case busyPoll = "busy_poll"
    case openFiles = "open_files"
    case realTime = "real_time"
    case coreDumps = "core_dumps"

    /// What of 100 it is worth: by how much it is felt in the tail, or how much harm it does.
    public var weight: Int { entry.weight }
    public var title: String { entry.title }
    public var why: String { entry.why }

    private var entry: (weight: Int, title: String, why: String) {
      switch self {
      case .isolatedCore:
        (9, "isolated core", "On a core that the scheduler uses for others, the lane waits for them.")
      case .nohzFull:
        (
          6, "no scheduler tick",
          "The tick takes a spinning thread off its work 100 to 1000 times a second, for microseconds."
        )
      case .interruptAffinity:
        (7, "interrupts elsewhere", "An interrupt on the lane's core stops the lane for as long as its handler runs.")
      case .cpuQuota:
        (
          4, "CPU quota",
          "A group that has used up its quota is stopped for the rest of the period, tens of milliseconds."
        )
      case .governor:
        (7, "frequency governor", "A core that was slowed down needs microseconds to milliseconds to come up to speed.")
      case .powerSupply:
        (2, "power supply", "On battery the firmware lowers frequencies, whatever the governor says.")
      case .turbo:
        (2, "turbo", "Without it a core runs at its base frequency, often a third below what it can do.")
      case .idleStates:
        (
          6, "idle states",
          "A core in a deep idle state needs its exit latency before it runs; this hits lanes that park, and neighbours."
        )
      case .siblings:
        (
          6, "SMT siblings",
          "Two threads of one core share its units and caches: a busy sibling halves the lane's speed."
        )
      case .numa:
        (5, "NUMA placement", "Memory and network card of another node cost about 100 ns more at each access.")
      case .memoryLock:
        (
          5, "memory lock limit",
          "Memory that cannot be locked may be paged out, and the next tick then waits for a disk."
        )
      case .hugePages:
        (
          3, "huge pages",
          "With 2 MiB pages books and orders need few TLB entries; with 4 KiB pages each miss costs a walk."
        )
      case .transparentHugePages:
        (
          3, "transparent huge pages",
          "With always, the kernel compacts memory and merges pages of threads that never asked, at moments of its choice."
        )
      case .swap:
        (4, "swap", "What was written to swap comes back at the speed of a disk, and keys may stay there.")
      case .clockSource:
        (5, "clock source", "Without the processor's counter each reading of the clock is a system call or worse.")
      case .invariantCounter:
        (
          5, "invariant counter",
          "The lane reads time from the processor's counter, which must run evenly in all states of power."
        )
      case .clockSynchronised:
        (
          4, "clock synchronised",
          "Login tokens carry our time, and staleness is judged by the venue's: a clock that runs free drifts."
        )
      case .venueClock:
        (
          2, "offset to the venue",
          "A venue refuses logins from another time, and the engine refuses to quote past its bound."
        )
      case .kernel:
        (
          4, "kernel",
          "The socket driver over io_uring needs 6.1: deferred task work, multishot receive, provided buffers."
        )
      case .ioUring:
        (3, "io_uring", "Without it many connections, and lanes that park or yield, cost a system call for each look.")
      case .busyPoll:
        (
          2, "busy polling",
          "With it a receive looks into the network card itself instead of waiting for its interrupt."
        )
      case .openFiles:
        (1, "open files", "A socket that cannot be opened is a connection that does not come back.")
      case .realTime:
        (
          3, "real-time permission",
          "Under SCHED_FIFO no ordinary thread pre-empts the lane, also on a core that is not isolated."
        )
      case .coreDumps:
        (2, "core dumps", "A dump writes memory to disk: positions, strategies, and whatever a library kept of a key.")
      }
    }
  }
}

/// What was found on a host, point by point.
public struct HostExamination: Codable, Equatable, Sendable {
  /// One sentence: processor, kernel, cores, and whether this is a virtual machine or a container.
  public var host: String
  /// The lane's core, which the checks are about.
  public var core: Int
  public var checks: [HostCheck]

  /// 0 … 100: the points of what is known, as a share of the weight of what is known; `nil` if nothing is.
  public var score: Int? {
    let known = knownWeight
    guard known > 0 else { return nil }
    return (checks.reduce(0) { $0 + $1.halfPoints } * 100 + known) / (2 * known)
  }

  /// Of 100: what is not known counts neither way.
  public var knownWeight: Int { checks.filter { $0.state != .notKnown }.reduce(0) { $0 + $1.weight } }

  public var hasBad: Bool { checks.contains { $0.state == .bad } }

  public subscript(id: HostCheck.ID) -> HostCheck? { checks.first { $0.id == id } }

  enum CodingKeys: String, CodingKey { case host, core, score, knownWeight, checks }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    host = try container.decode(String.self, forKey: .host)
    core = try container.decode(Int.self, forKey: .core)
    checks = try container.decode([HostCheck].self, forKey: .checks)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(host, forKey: .host)
    try container.encode(core, forKey: .core)
    try container.encodeIfPresent(score, forKey: .score)
    try container.encode(knownWeight, forKey: .knownWeight)
    try container.encode(checks, forKey: .checks)
  }

  init(host: String, core: Int, checks: [HostCheck]) {
    self.host = host
    self.core = core
    self.checks = checks
  }
}
