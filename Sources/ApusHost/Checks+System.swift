import Glibc

/// Memory: locked, in large pages, never on a disk.
extension HostExaminer {
  /// What one lane with its rings, orders and books, and its process, may want locked.
  static let wantedLock = 64 << 20

  var memoryLock: Verdict {
    guard let limit = limit("Max locked memory") else { return .unreadable("/proc/self/limits") }
    // CAP_IPC_LOCK
    if hasCapability(14) == true { return .good("no limit: this process has CAP_IPC_LOCK") }
    if limit >= Self.wantedLock { return .good(Self.megabytes(limit)) }
    let fix =
      "LimitMEMLOCK=infinity in the unit, a line \"memlock unlimited\" in /etc/security/limits.conf, or "
      + "--ulimit memlock=-1 for a container"
    return limit >= 8 << 20
      ? .better("\(Self.megabytes(limit)): enough for few instruments", fix: fix)
      : .bad(Self.megabytes(limit), fix: fix)
  }

  var hugePages: Verdict {
    let directory = "/sys/kernel/mm/hugepages/hugepages-2048kB"
    guard let free = tree.number("\(directory)/free_hugepages") else { return .unreadable(directory) }
    if free >= 8 { return .good("\(free) pages of 2 MiB are free") }
    let fix = "sysctl vm.nr_hugepages=32, and a line in /etc/sysctl.d to keep it"
    switch chosen("/sys/kernel/mm/transparent_hugepage/enabled") {
    case "always", "madvise":
      return .better(
        "\(free == 0 ? "none" : "only \(free)") reserved; transparent ones are taken when the kernel has some", fix: fix
      )
    default: return .bad("\(free == 0 ? "none" : "only \(free)") reserved, and no transparent ones", fix: fix)
    }
  }

  var transparentHugePages: Verdict {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled"
    guard let choice = chosen(path) else { return .unreadable(path) }
    let fix = "echo madvise > \(path), or kernel parameter transparent_hugepage=madvise"
    switch choice {
    case "madvise": return .good("madvise: for memory that asks for them")
    case "never": return .better("never: also not for memory that asks for them", fix: fix)
    default: return .better("\(choice)", fix: fix)
    }
  }

  var swap: Verdict {
    guard let text = tree.text("/proc/swaps") else { return .unreadable("/proc/swaps") }
    let areas = text.split(separator: "\n").dropFirst().compactMap { $0.split(whereSeparator: \.isWhitespace).first }
    guard !areas.isEmpty else { return .good("none") }
    let swappiness = tree.number("/proc/sys/vm/swappiness")
    let named = areas.prefix(2).joined(separator: ", ") + (areas.count > 2 ? " …" : "")
    let isInMemory = areas.allSatisfy { $0.hasPrefix("/dev/zram") }
    let text2 = "\(named)\(swappiness.map { ", swappiness \($0)" } ?? "")"
    let fix = "swapoff -a, and take it out of /etc/fstab; or MemorySwapMax=0 in the unit"
    return isInMemory || (swappiness ?? 60) <= 10 ? .better(text2, fix: fix) : .bad(text2, fix: fix)
  }
}

/// Clocks.
extension HostExaminer {
  private var clockDirectory: String { "/sys/devices/system/clocksource/clocksource0" }

  var clockSource: Verdict {
    guard let source = tree.text("\(clockDirectory)/current_clocksource") else {
      return .unreadable("\(clockDirectory)/current_clocksource")
    }
    if source == "tsc" || source == "arch_sys_counter" { return .good(source) }
    let available = (tree.text("\(clockDirectory)/available_clocksource") ?? "").split(separator: " ")
    let fix =
      available.contains("tsc")
      ? "echo tsc > \(clockDirectory)/current_clocksource, or kernel parameters clocksource=tsc tsc=reliable"
      : "choose a type of machine with an invariant TSC; dmesg | grep -i tsc says why the kernel gave it up"
    // These are read without a system call, at a price.
    let isFast = ["kvm-clock", "hyperv_clocksource_tsc_page", "xen"].contains(source)
    return isFast ? .better(source, fix: fix) : .bad(source, fix: fix)
  }

  var invariantCounter: Verdict {
    if isARM { return .good("the architecture's counter runs evenly") }
    guard let flags = processorFlags else { return .unreadable("/proc/cpuinfo") }
    guard flags.contains("constant_tsc"), flags.contains("nonstop_tsc") else {
      return .bad(
        "the processor does not promise an invariant TSC: the lane reads the kernel's clock instead",
        fix: "choose a processor or a type of virtual machine that shows constant_tsc and nonstop_tsc in /proc/cpuinfo")
    }
    let available = tree.text("\(clockDirectory)/available_clocksource")
    if let available, !available.split(separator: " ").contains("tsc") {
      return .bad(
        "invariant by the processor's word, but the kernel has given it up: the lane reads the kernel's clock instead",
        fix: "dmesg | grep -i tsc says why; kernel parameter tsc=reliable if the reason does not hold")
    }
    return .good("constant and nonstop\(flags.contains("rdtscp") ? ", with rdtscp" : "")")
  }

  var clockSynchronised: Verdict {
    guard let clock = probe.clock else { return .notKnown("the kernel's clock was not asked") }
    guard clock.error == 0 else {
      return .notKnown("adjtimex(2) is not allowed here: \(String(cString: strerror(-clock.error)))")
    }
    let fix =
      "run chrony (apt-get install chrony) or another NTP or PTP client; in a virtual machine, let the host's PTP clock lead (/dev/ptp0)"
    // STA_UNSYNC makes the state TIME_ERROR.
    if clock.state == 5 { return .bad("the kernel's clock is not synchronised", fix: fix) }
    let milliseconds = Double(clock.maximumErrorMicroseconds) / 1000
    let text = "synchronised, at most \(Self.rounded(milliseconds)) ms off by the kernel's bound"
    return milliseconds <= 500 ? .good(text) : .better(text, fix: fix)
  }

  var venueClock: Verdict {
    switch probe.venue {
    case nil: return .notKnown("not asked: name a venue with --venue host:port")
    case .notKnown(let address, let reason): return .notKnown("\(address) did not tell: \(reason)")
    case .offset(let address, let from, let to):
      let text = "\(address) is between \(Self.rounded(from)) and \(Self.rounded(to)) ms ahead of us"
      let fix = "synchronise the clock (chronyc tracking shows the rest)"
      // The least difference that the answers allow.
      let least = from > 0 ? from : to < 0 ? -to : 0
      if least <= 250 { return .good(text) }
      return least <= 2000 ? .better(text, fix: fix) : .bad(text, fix: fix)
    }
  }

  static func rounded(_ value: Double) -> String {
    let tenths = Int((value.magnitude * 10).rounded())
    let sign = value < 0 && tenths > 0 ? "−" : ""
    return tenths % 10 == 0 ? "\(sign)\(tenths / 10)" : "\(sign)\(tenths / 10).\(tenths % 10)"
  }
}

/// The kernel, and what it permits.
extension HostExaminer {
  private var release: (major: Int, minor: Int)? {
    let parts = (tree.text("/proc/sys/kernel/osrelease") ?? "").split(separator: ".", maxSplits: 2)
    guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1].prefix { $0.isNumber }) else {
      return nil
    }
    return (major, minor)
  }

  var kernel: Verdict {
    guard let release else { return .unreadable("/proc/sys/kernel/osrelease") }
    let text = "Linux \(release.major).\(release.minor)"
    return release >= (6, 1) ? .good(text) : .bad(text, fix: "install a kernel from 6.1 on")
  }

  var ioUring: Verdict {
    guard let result = probe.ioUring else { return .notKnown("it was not tried") }
    if result == 0 {
      return .good("works: single issuer, deferred task work, provided buffers, registered files")
    }
    let disabled = tree.number("/proc/sys/kernel/io_uring_disabled") ?? 0
    let filter = tree.value(of: "Seccomp", in: "/proc/self/status").flatMap { Int($0) } ?? 0
    let epoll = "; the engine takes epoll"
    switch -result {
    case EPERM where disabled > 0, EACCES where disabled > 0:
      let who = disabled == 1 ? "for processes outside kernel.io_uring_group" : "for all"
      return .better(
        "forbidden by kernel.io_uring_disabled=\(disabled), \(who)\(epoll)", fix: "sysctl kernel.io_uring_disabled=0")
    case EPERM where filter == 2, EACCES where filter == 2, ENOSYS where filter == 2:
      return .better(
        "forbidden by a seccomp filter, as containers have one\(epoll)",
        fix: "allow io_uring_setup, io_uring_enter and io_uring_register in the profile "
          + "(docker run --security-opt seccomp=profile.json)")
    case EPERM, EACCES:
      return .better(
        "refused: \(String(cString: strerror(-result)))\(epoll)",
        fix: "look for a security module's rule (dmesg | grep -i io_uring)")
    case ENOSYS:
      return .better("this kernel is built without io_uring\(epoll)", fix: "a kernel with CONFIG_IO_URING")
    case EOPNOTSUPP:
      return .better("this kernel's io_uring is too old\(epoll)", fix: "a kernel from 6.1 on")
    case ENOMEM:
      return .better(
        "refused for lack of lockable memory\(epoll)", fix: "LimitMEMLOCK=infinity in the unit (ulimit -l)")
    default: return .better("does not work: \(String(cString: strerror(-result)))\(epoll)", fix: nil)
    }
  }

  var busyPoll: Verdict {
    guard let receive = tree.number("/proc/sys/net/core/busy_read"),
      let poll = tree.number("/proc/sys/net/core/busy_poll")
    else { return .unreadable("/proc/sys/net/core/busy_read", "a network namespace of its own does not show it") }
    if receive > 0, poll > 0 { return .good("\(receive) µs in a read, \(poll) µs in a poll") }
    return .better(
      "off (net.core.busy_read=\(receive), net.core.busy_poll=\(poll))",
      fix: "sysctl net.core.busy_read=50 net.core.busy_poll=50, if the card's driver can (not for loopback)")
  }

  var openFiles: Verdict {
    guard let limit = limit("Max open files") else { return .unreadable("/proc/self/limits") }
    let text = limit == .max ? "unlimited" : "\(limit)"
    let fix = "LimitNOFILE=65536 in the unit, or ulimit -n 65536"
    if limit >= 1024 { return .good(text) }
    return limit >= 256 ? .better(text, fix: fix) : .bad(text, fix: fix)
  }

  var realTime: Verdict {
    guard let limit = limit("Max realtime priority") else { return .unreadable("/proc/self/limits") }
    // CAP_SYS_NICE
    let isAllowed = hasCapability(23) == true || limit > 0
    guard isAllowed else {
      return .better("not allowed", fix: "LimitRTPRIO=50 or AmbientCapabilities=CAP_SYS_NICE in the unit")
    }
    let source = hasCapability(23) == true ? "CAP_SYS_NICE" : "up to priority \(limit)"
    guard let runtime = tree.number("/proc/sys/kernel/sched_rt_runtime_us"),
      let period = tree.number("/proc/sys/kernel/sched_rt_period_us"), runtime >= 0, runtime < period
    else { return .good("allowed: \(source)") }
    return .better(
      "allowed (\(source)), but a spinning real-time thread is stopped \((period - runtime) / 1000) ms in each \(period / 1000) ms",
      fix: "sysctl kernel.sched_rt_runtime_us=-1 before a lane is put under SCHED_FIFO")
  }

  var coreDumps: Verdict {
    guard let limit = limit("Max core file size") else { return .unreadable("/proc/self/limits") }
    let pattern = tree.text("/proc/sys/kernel/core_pattern") ?? ""
    // A program behind a pipe gets the dump whatever the limit says (core(5)), except for a limit of 1.
    let isPiped = pattern.hasPrefix("|")
    if limit == 0, !isPiped { return .good("off for what is started from here") }
    let to =
      isPiped ? "to \(pattern.dropFirst().prefix { !$0.isWhitespace })" : "as \(pattern.isEmpty ? "core" : pattern)"
    return .better(
      "dumps are written \(to); the engine itself forbids its own (engine.core_dumps: false)",
      fix: "LimitCORE=0 in the unit, or ulimit -c 0; sysctl kernel.core_pattern=core")
  }
}
