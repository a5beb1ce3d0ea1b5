/// Looks at a host as an expert would: reads files, judges, says what to do. Changes nothing.
///
/// Pure: what it says depends on the tree, the probe and the core alone. What cannot be read is `not known`, with the
/// reason; nothing here fails.
public struct HostExaminer {
  let tree: HostTree
  let probe: HostProbe
  /// The lane's core.
  let core: Int

  public init(tree: HostTree = HostTree(), probe: HostProbe, core: Int) {
    self.tree = tree
    self.probe = probe
    self.core = core
  }

  /// This host, without questions to a venue.
  public static func current(core: Int) -> HostExamination {
    HostExaminer(probe: .live(), core: core).examine()
  }

  public func examine() -> HostExamination {
    let checks = HostCheck.ID.allCases.map { id in
      let verdict = verdict(id)
      return HostCheck(
        id: id, title: id.title, weight: id.weight, state: verdict.state, found: verdict.found, why: id.why,
        fix: verdict.fix)
    }
    return HostExamination(host: description, core: core, checks: checks)
  }

  struct Verdict: Equatable {
    var state: HostCheck.State
    var found: String
    var fix: String?

    static func good(_ found: String) -> Self { Self(state: .good, found: found, fix: nil) }
    static func better(_ found: String, fix: String?) -> Self { Self(state: .couldBeBetter, found: found, fix: fix) }
    static func bad(_ found: String, fix: String) -> Self { Self(state: .bad, found: found, fix: fix) }
    static func notKnown(_ reason: String) -> Self { Self(state: .notKnown, found: reason, fix: nil) }
    /// A file is not there, or not for us.
    static func unreadable(_ path: String, _ more: String = "") -> Self {
      .notKnown("\(path) cannot be read\(more.isEmpty ? "" : ": \(more)")")
    }
  }

  private func verdict(_ id: HostCheck.ID) -> Verdict {
    switch id {
    case .isolatedCore: isolatedCore
    case .nohzFull: nohzFull
    case .interruptAffinity: interruptAffinity
    case .cpuQuota: cpuQuota
    case .governor: governor
    case .powerSupply: powerSupply
    case .turbo: turbo
    case .idleStates: idleStates
    case .siblings: siblings
    case .numa: numa
    case .memoryLock: memoryLock
    case .hugePages: hugePages
    case .transparentHugePages: transparentHugePages
    case .swap: swap
    case .clockSource: clockSource
    case .invariantCounter: invariantCounter
    case .clockSynchronised: clockSynchronised
    case .venueClock: venueClock
    case .kernel: kernel
    case .ioUring: ioUring
    case .busyPoll: busyPoll
    case .openFiles: openFiles
    case .realTime: realTime
    case .coreDumps: coreDumps
    }
  }

  // MARK: - What several checks ask

  var cpu: String { "/sys/devices/system/cpu" }

  var isVirtual: Bool { processorFlags?.contains("hypervisor") ?? false }
  var isContainer: Bool { tree.exists("/.dockerenv") || tree.exists("/run/.containerenv") }

  /// Of the first processor; `nil` where there is no such line.
  var processorFlags: Set<String>? {
    (tree.value(of: "flags", in: "/proc/cpuinfo") ?? tree.value(of: "Features", in: "/proc/cpuinfo")).map {
      Set($0.split(separator: " ").map(String.init))
    }
  }

  var isARM: Bool { tree.value(of: "CPU implementer", in: "/proc/cpuinfo") != nil }

  /// Cores that can be used, by the kernel's list.
  var onlineCores: CoreList? { tree.text("\(cpu)/online").flatMap { CoreList($0) } }

  /// Those that a fix may name for all the rest.
  var otherCores: String {
    let others = (onlineCores?.cores ?? []).filter { $0 != core }
    return others.isEmpty ? "0" : CoreList(others.map(String.init).joined(separator: ","))?.description ?? "0"
  }

  private var description: String {
    let model =
      tree.value(of: "model name", in: "/proc/cpuinfo") ?? (isARM ? "an Arm processor" : "an unknown processor")
    let count = onlineCores?.cores.count
    let kind = [isVirtual ? "virtual machine" : nil, isContainer ? "container" : nil].compactMap { $0 }
    return [
      model, count.map { "\($0) \($0 == 1 ? "core" : "cores")" },
      tree.text("/proc/sys/kernel/osrelease").map { "Linux \($0)" }, kind.isEmpty ? nil : kind.joined(separator: ", "),
    ].compactMap { $0 }.joined(separator: ", ")
  }

  /// Has one of these bits of CapEff (capabilities(7)).
  func hasCapability(_ bit: Int) -> Bool? {
    tree.value(of: "CapEff", in: "/proc/self/status").flatMap { UInt64($0, radix: 16) }.map {
      $0 >> UInt64(bit) & 1 == 1
    }
  }

  /// The soft limit of a line of /proc/self/limits; `Int.max` for unlimited.
  func limit(_ name: String) -> Int? {
    guard let words = tree.value(of: name, in: "/proc/self/limits")?.split(separator: " "), let soft = words.first
    else { return nil }
    return soft == "unlimited" ? .max : Int(soft)
  }

  /// The word in brackets: `always [madvise] never`.
  func chosen(_ path: String) -> String? {
    guard let text = tree.text(path), let open = text.firstIndex(of: "["), let close = text.firstIndex(of: "]"),
      open < close
    else { return nil }
    return String(text[text.index(after: open)..<close])
  }

  /// The interface of the default route, or the first one that is a device.
  var networkInterface: String? {
    for line in (tree.text("/proc/net/route") ?? "").split(separator: "\n").dropFirst() {
      let words = line.split(whereSeparator: \.isWhitespace)
      if words.count > 2, words[1] == "00000000" { return String(words[0]) }
    }
    return tree.names(in: "/sys/class/net").first { tree.exists("/sys/class/net/\($0)/device") }
  }

  static func megabytes(_ bytes: Int) -> String {
    bytes == .max ? "unlimited" : bytes >= 1 << 20 ? "\(bytes >> 20) MiB" : "\(bytes >> 10) KiB"
  }
}
