import Foundation
import Testing

@testable import ApusHost

/// A captured host: its files, and beside them what it said to system calls.
struct CapturedHost: Decodable {
  var core: Int
  var probe: HostProbe

  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/hosts").path
  static let kinds = [
    "bare-metal-tuned", "cloud-vm-untuned", "container-without-io-uring", "laptop-on-battery", "small-vm-captured",
  ]

  static func examine(_ kind: String) throws -> HostExamination {
    let root = "\(folder)/\(kind)"
    let host = try JSONDecoder().decode(Self.self, from: Data(contentsOf: URL(fileURLWithPath: "\(root)/probe.json")))
    return HostExaminer(tree: HostTree(root: root), probe: host.probe, core: host.core).examine()
  }
}

@Suite struct HostExaminerTests {
  /// The states of all checks in their order: g good, c could be better, b bad, n not known.
  private func states(_ examination: HostExamination) -> String {
    examination.checks.map { String($0.state.rawValue.prefix(1)) }.joined()
  }

  @Test func `the weights add up to 100, and every check says what, why and its title`() {
    #expect(HostCheck.ID.allCases.reduce(0) { $0 + $1.weight } == 100)
    for id in HostCheck.ID.allCases {
      #expect(id.weight > 0 && id.weight < 10)
      #expect(id.why.hasSuffix(".") && !id.title.isEmpty, "\(id)")
    }
  }

  @Test(arguments: CapturedHost.kinds)
  func `a check that is not good says how to fix it, one that is not known why`(kind: String) throws {
    let examination = try CapturedHost.examine(kind)
    #expect(examination.checks.map(\.id) == HostCheck.ID.allCases)
    for check in examination.checks {
      #expect(!check.found.isEmpty, "\(check.id)")
      switch check.state {
      case .good, .notKnown: #expect(check.fix == nil, "\(check.id)")
      case .couldBeBetter, .bad: #expect(check.fix?.isEmpty == false, "\(check.id)")
      }
    }
  }

  @Test func `a tuned server on bare metal is good in everything`() throws {
    let examination = try CapturedHost.examine("bare-metal-tuned")
    for check in examination.checks { #expect(check.state == .good, "\(check.id): \(check.found)") }
    #expect(examination.score == 100)
    #expect(examination.knownWeight == 100)
    #expect(!examination.hasBad)
    #expect(examination.host == "AMD EPYC 9175F 16-Core Processor, 16 cores, Linux 6.12.48-rt")
    #expect(examination[.numa]?.found == "core 5 and enp65s0f0 are both on node 0")
    #expect(examination[.idleStates]?.found == "deepest enabled: C1, 1 µs to leave it")
    #expect(examination[.realTime]?.found == "allowed: CAP_SYS_NICE")
  }

  @Test func `a virtual machine as it comes is told what costs it most`() throws {
    let examination = try CapturedHost.examine("cloud-vm-untuned")
    let expected: [HostCheck.ID: HostCheck.State] = [
      .isolatedCore: .bad, .nohzFull: .couldBeBetter, .interruptAffinity: .bad, .cpuQuota: .good, .governor: .notKnown,
      .powerSupply: .good, .turbo: .notKnown, .idleStates: .notKnown, .siblings: .bad, .numa: .good, .memoryLock: .bad,
      .hugePages: .couldBeBetter, .transparentHugePages: .couldBeBetter, .swap: .bad, .clockSource: .couldBeBetter,
      .invariantCounter: .bad, .clockSynchronised: .bad, .venueClock: .bad, .kernel: .bad, .ioUring: .couldBeBetter,
      .busyPoll: .couldBeBetter, .openFiles: .good, .realTime: .couldBeBetter, .coreDumps: .couldBeBetter,
    ]
    for check in examination.checks { #expect(check.state == expected[check.id], "\(check.id): \(check.found)") }
    #expect(examination.hasBad)
    #expect(
      examination[.interruptAffinity]?.found.hasPrefix("2 interrupts may come to core 3: ens5-Tx-Rx-1 (28)") == true)
    #expect(examination[.interruptAffinity]?.fix?.hasPrefix("echo 0-2 > /proc/irq/28/smp_affinity_list") == true)
    #expect(examination[.swap]?.found == "/swapfile, swappiness 60")
    #expect(examination[.siblings]?.fix == "echo 0 > /sys/devices/system/cpu/cpu2/online, or kernel parameter nosmt")
    #expect(examination[.venueClock]?.found == "venue.example:443 is between −3200.5 and −2900 ms ahead of us")
    #expect(examination[.coreDumps]?.found.contains("/usr/share/apport/apport") == true)
    #expect(examination.host.hasSuffix("virtual machine"))
    // 8 of good, and halves, of the 85 that are known.
    #expect(examination.knownWeight == 85)
    #expect(examination.score == 30)
  }

  @Test func `a laptop on battery is told to be plugged in, and what slows its core`() throws {
    let examination = try CapturedHost.examine("laptop-on-battery")
    #expect(examination[.powerSupply]?.state == .bad)
    #expect(examination[.powerSupply]?.fix == "plug it in")
    #expect(examination[.governor]?.found == "core 15 runs under powersave (intel_pstate)")
    #expect(examination[.turbo]?.state == .couldBeBetter)
    #expect(examination[.idleStates]?.found == "deepest enabled: C3_ACPI, 1048 µs to leave it")
    #expect(examination[.idleStates]?.state == .bad)
    #expect(examination[.memoryLock]?.state == .couldBeBetter)
    #expect(examination[.swap]?.state == .couldBeBetter)
    // The network's interrupt is elsewhere, those of keyboard and screen are not.
    #expect(examination[.interruptAffinity]?.state == .couldBeBetter)
    #expect(examination[.venueClock]?.found == "not asked: name a venue with --venue host:port")
    #expect(examination[.clockSynchronised]?.state == .couldBeBetter)
  }

  @Test func `a container says what forbids io_uring, and what it cannot see`() throws {
    let examination = try CapturedHost.examine("container-without-io-uring")
    #expect(
      examination[.ioUring]?.found == "forbidden by a seccomp filter, as containers have one; the engine takes epoll")
    #expect(examination[.cpuQuota]?.found == "200 ms of CPU time in each 100 ms (cpu.max of /)")
    #expect(examination[.cpuQuota]?.state == .bad)
    for id in [
      .interruptAffinity, .governor, .turbo, .idleStates, .numa, .clockSynchronised, .venueClock, .busyPoll,
    ] as [HostCheck.ID] {
      #expect(examination[id]?.state == .notKnown, "\(id): \(examination[id]?.found ?? "")")
    }
    #expect(
      examination[.interruptAffinity]?.found
        == "/proc/irq cannot be read: a container does not see the host's interrupts")
    #expect(examination[.clockSynchronised]?.found == "adjtimex(2) is not allowed here: Operation not permitted")
    #expect(examination[.hugePages]?.state == .bad)
    #expect(examination[.openFiles]?.state == .bad)
    #expect(examination.host.hasSuffix("virtual machine, container"))
  }

  @Test func `a small virtual machine that was captured is judged`() throws {
    let examination = try CapturedHost.examine("small-vm-captured")
    #expect(states(examination) == "bcbgngnggggcggggbnggcgcg")
    #expect(examination[.interruptAffinity]?.found.contains("may come to core 1") == true)
  }

  @Test func `an empty tree is not known in everything and has no score`() throws {
    let root = NSTemporaryDirectory() + "/apus-host-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: root) }
    let examination = HostExaminer(tree: HostTree(root: root), probe: HostProbe(), core: 0).examine()
    for check in examination.checks { #expect(check.state == .notKnown, "\(check.id): \(check.found)") }
    #expect(examination.score == nil)
    #expect(examination.knownWeight == 0)
    #expect(examination.host == "an unknown processor")
  }

  @Test func `this host can be looked at, and the result survives JSON`() throws {
    let examination = HostExaminer.current(core: 0)
    #expect(examination[.kernel]?.state == .good)
    #expect(examination.score != nil)
    let data = try JSONEncoder().encode(examination)
    #expect(try JSONDecoder().decode(HostExamination.self, from: data) == examination)
    let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
    #expect(object?["score"] as? Int == examination.score)
    #expect(object?["knownWeight"] as? Int == examination.knownWeight)
  }
}

/// One thing changed in a good host, one thing judged otherwise.
@Suite struct HostCheckTests {
  /// The tuned server with files replaced, or removed where there is no text.
  private func verdict(
    _ id: HostCheck.ID, _ changes: [String: String?], probe change: (inout HostProbe) -> Void = { _ in }
  ) throws -> HostCheck {
    let root = NSTemporaryDirectory() + "/apus-host-\(UUID().uuidString)"
    try FileManager.default.copyItem(atPath: "\(CapturedHost.folder)/bare-metal-tuned", toPath: root)
    defer { try? FileManager.default.removeItem(atPath: root) }
    for (path, text) in changes {
      try? FileManager.default.removeItem(atPath: root + path)
      guard let text else { continue }
      let file = URL(fileURLWithPath: root + path)
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: file)
    }
    var host = try JSONDecoder().decode(
      CapturedHost.self, from: Data(contentsOf: URL(fileURLWithPath: "\(root)/probe.json")))
    change(&host.probe)
    let examination = HostExaminer(tree: HostTree(root: root), probe: host.probe, core: host.core).examine()
    return try #require(examination[id])
  }

  static let cpu = "/sys/devices/system/cpu"

  @Test func `another core than ours is isolated`() throws {
    let check = try verdict(.isolatedCore, ["\(Self.cpu)/isolated": "2-3,6"])
    #expect(check.state == .bad)
    #expect(check.found == "cores 2-3,6 are isolated, but not core 5")
    #expect(check.fix == "set engine.core to 2")
  }

  @Test func `a partition of control groups isolates as well`() throws {
    let check = try verdict(
      .isolatedCore, ["\(Self.cpu)/isolated": "", "/sys/fs/cgroup/cpuset.cpus.isolated": "5"])
    #expect(check.state == .good)
  }

  @Test func `one core is too few`() throws {
    let check = try verdict(.isolatedCore, ["\(Self.cpu)/isolated": "", "\(Self.cpu)/online": "5"])
    #expect(check.fix == "use a host with two cores or more")
  }

  @Test(arguments: [("", "core 5 takes the scheduler's tick"), (nil, "this kernel is built without nohz_full")])
  func `a core with the tick could be better`(list: String?, found: String) throws {
    let check = try verdict(.nohzFull, ["\(Self.cpu)/nohz_full": list])
    #expect(check.state == .couldBeBetter)
    #expect(check.found == found)
    #expect(check.fix?.contains("nohz_full=5 rcu_nocbs=5") == true)
  }

  @Test func `an isolated sibling is better than a busy one`() throws {
    let path = "\(Self.cpu)/cpu5/topology/thread_siblings_list"
    #expect(try verdict(.siblings, [path: "5,6"]).state == .couldBeBetter)
    #expect(try verdict(.siblings, [path: "5,13"]).state == .bad)
  }

  @Test func `a card of another node is bad, and the fix names the cores near it`() throws {
    let check = try verdict(.numa, ["/sys/class/net/enp65s0f0/device/numa_node": "1"])
    #expect(check.state == .bad)
    #expect(check.fix == "set engine.core to one of the cores 8-15")
    #expect(try verdict(.numa, ["/sys/class/net/enp65s0f0/device/numa_node": nil]).state == .notKnown)
  }

  @Test func `a quota of a group above counts`() throws {
    let check = try verdict(.cpuQuota, ["/sys/fs/cgroup/system.slice/cpu.max": "50000 100000"])
    #expect(check.state == .bad)
    #expect(check.found == "50 ms of CPU time in each 100 ms (cpu.max of /system.slice)")
  }

  @Test(arguments: [("C2", 18, HostCheck.State.couldBeBetter), ("C6", 133, .bad), ("C1E", 2, .good)])
  func `the deepest idle state that is enabled decides`(name: String, latency: Int, state: HostCheck.State) throws {
    let folder = "\(Self.cpu)/cpu5/cpuidle/state2"
    let check = try verdict(
      .idleStates, ["\(folder)/name": name, "\(folder)/latency": "\(latency)", "\(folder)/disable": "0"])
    #expect(check.state == state)
  }

  @Test(
    arguments: [
      (1, 0, 1, "forbidden by kernel.io_uring_disabled=1, for processes outside kernel.io_uring_group"),
      (1, 0, 2, "forbidden by kernel.io_uring_disabled=2, for all"), (1, 2, 0, "forbidden by a seccomp filter"),
      (38, 2, 0, "forbidden by a seccomp filter"), (38, 0, 0, "this kernel is built without io_uring"),
      (1, 0, 0, "refused: Operation not permitted"), (95, 0, 0, "this kernel's io_uring is too old"),
      (12, 0, 0, "refused for lack of lockable memory"),
    ] as [(Int32, Int, Int, String)])
  func `what forbids io_uring is named`(code: Int32, seccomp: Int, disabled: Int, found: String) throws {
    let check = try verdict(
      .ioUring,
      [
        "/proc/self/status": "Name:\tapus\nCapEff:\t0000000000000000\nSeccomp:\t\(seccomp)\n",
        "/proc/sys/kernel/io_uring_disabled": "\(disabled)",
      ]
    ) { $0.ioUring = -code }
    #expect(check.state == .couldBeBetter)
    #expect(check.found.hasPrefix(found), "\(check.found)")
    #expect(check.found.hasSuffix("the engine takes epoll"))
  }

  @Test(arguments: [
    ("8388608", HostCheck.State.couldBeBetter, "8 MiB: enough for few instruments"), ("65536", .bad, "64 KiB"),
    ("unlimited", .good, "unlimited"), ("1073741824", .good, "1024 MiB"),
  ])
  func `a limit of locked memory is judged without the capability`(
    limit: String, state: HostCheck.State, found: String
  ) throws {
    let check = try verdict(
      .memoryLock,
      [
        "/proc/self/status": "CapEff:\t0000000000000000\n",
        "/proc/self/limits": "Max locked memory         \(limit)              \(limit)              bytes\n",
      ])
    #expect(check.state == state)
    #expect(check.found == found)
  }

  @Test func `real-time permission with the throttle left on could be better`() throws {
    let check = try verdict(.realTime, ["/proc/sys/kernel/sched_rt_runtime_us": "950000"])
    #expect(check.state == .couldBeBetter)
    #expect(check.found.contains("stopped 50 ms in each 1000 ms"))
  }

  @Test(arguments: [
    ("hpet", "tsc hpet", HostCheck.State.bad, "echo tsc > "),
    ("kvm-clock", "kvm-clock", .couldBeBetter, "choose a type"),
  ])
  func `a slow clock source is named with the way to the fast one`(
    source: String, available: String, state: HostCheck.State, fix: String
  ) throws {
    let folder = "/sys/devices/system/clocksource/clocksource0"
    let check = try verdict(
      .clockSource, ["\(folder)/current_clocksource": source, "\(folder)/available_clocksource": available])
    #expect(check.state == state)
    #expect(check.fix?.hasPrefix(fix) == true)
  }

  @Test func `a TSC that the kernel has given up is not believed`() throws {
    let check = try verdict(
      .invariantCounter, ["/sys/devices/system/clocksource/clocksource0/available_clocksource": "hpet acpi_pm"])
    #expect(check.state == .bad)
    #expect(check.found.contains("the kernel has given it up"))
  }

  @Test(arguments: [
    (-200.0, 100.0, HostCheck.State.good), (300, 900, .couldBeBetter), (-900, -300, .couldBeBetter), (2500, 2600, .bad),
    (-9000, -8000, .bad),
  ])
  func `the least offset that the venue's answers allow is judged`(
    from: Double, to: Double, state: HostCheck.State
  ) throws {
    let check = try verdict(.venueClock, [:]) {
      $0.venue = .offset(address: "a:1", fromMilliseconds: from, toMilliseconds: to)
    }
    #expect(check.state == state)
  }
}

@Suite struct HostTreeTests {
  @Test(
    arguments: [
      ("0", [0]), ("0-3", [0, 1, 2, 3]), ("2-3,8", [2, 3, 8]), ("", []), ("(null)", []),
    ] as [(String, [Int])])
  func `a kernel list is read`(text: String, cores: [Int]) throws {
    #expect(CoreList(text)?.cores == cores)
  }

  @Test(arguments: ["x", "3-", "-3", "5-2", "1-2-3", "0-99999999"])
  func `what is no kernel list is refused`(text: String) { #expect(CoreList(text) == nil) }

  @Test func `a kernel list is written in its shortest form`() {
    #expect(CoreList("0,1,2,5,7,8")?.description == "0-2,5,7-8")
  }

  @Test func `names are sorted, numbers by size`() {
    let tree = HostTree(root: "\(CapturedHost.folder)/bare-metal-tuned")
    #expect(tree.names(in: "/proc/irq") == ["8", "98", "120", "121"])
    #expect(tree.names(in: "/nowhere") == [])
    #expect(tree.text("/proc/irq") == nil)
  }
}

@Suite struct BuildTests {
  @Test func `this program knows how it was built`() {
    let build = Build.current()
    #expect(build.version == Build.version)
    #expect(["debug", "release"].contains(build.configuration))
    #expect(build.compiler.lowercased().contains("clang") || build.compiler.contains("."))
    #expect(["installed", "checkout", "unknown"].contains(build.revisionSource))
  }

  private func write(_ text: String, _ path: String) throws {
    let file = URL(fileURLWithPath: path)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
  }

  @Test func `the commit comes from what was installed, or from the working copy, or is unknown`() throws {
    let root = NSTemporaryDirectory() + "/apus-build-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    let (a, b) = (String(repeating: "a1", count: 20), String(repeating: "b2", count: 20))
    try write(a + "\n", "\(root)/usr/lib/apus/revision")
    #expect(BuildRevision.find(program: "\(root)/usr/lib/apus/apus") == (a, "installed"))

    try write("ref: refs/heads/main\n", "\(root)/copy/.git/HEAD")
    let program = "\(root)/copy/.build/x86_64-unknown-linux-gnu/release/apus"
    #expect(BuildRevision.find(program: program) == ("unknown", "unknown"))
    try write("# pack-refs\n\(b) refs/heads/main\n", "\(root)/copy/.git/packed-refs")
    #expect(BuildRevision.find(program: program) == (b, "checkout"))
    try write(a + "\n", "\(root)/copy/.git/refs/heads/main")
    #expect(BuildRevision.find(program: program) == (a, "checkout"))
    try write(b + "\n", "\(root)/copy/.git/HEAD")
    #expect(BuildRevision.find(program: program) == (b, "checkout"))

    // A linked working tree.
    try write("gitdir: \(root)/copy/.git/worktrees/other\n", "\(root)/other/.git")
    try write("ref: refs/heads/main\n", "\(root)/copy/.git/worktrees/other/HEAD")
    try write("../..\n", "\(root)/copy/.git/worktrees/other/commondir")
    #expect(BuildRevision.find(program: "\(root)/other/.build/release/apus") == (a, "checkout"))
  }
}
