/// The lane's core: who else uses it, and how fast it runs.
extension HostExaminer {
  var isolatedCore: Verdict {
    let path = "\(cpu)/isolated"
    let boot = tree.text(path)
    let group = tree.text("/sys/fs/cgroup/cpuset.cpus.isolated")
    guard boot != nil || group != nil else { return .unreadable(path) }
    let lists = [boot, group].compactMap { $0.flatMap { CoreList($0) } }
    if lists.contains(where: { $0.contains(core) }) { return .good("core \(core) is isolated") }
    let isolated = Set(lists.flatMap(\.cores)).sorted()
    if let first = isolated.first {
      return .bad(
        "cores \(CoreList(isolated.map(String.init).joined(separator: ","))?.description ?? "") are isolated, but not core \(core)",
        fix: "set engine.core to \(first)")
    }
    guard (onlineCores?.cores.count ?? 2) > 1 else {
      return .bad("there is one core, for the lane and for everything else", fix: "use a host with two cores or more")
    }
    return .bad(
      "no core is isolated",
      fix:
        "kernel parameter isolcpus=managed_irq,domain,\(core), or a cpuset partition of type isolated with core \(core)"
    )
  }

  var nohzFull: Verdict {
    let path = "\(cpu)/nohz_full"
    let fix = "kernel parameters nohz_full=\(core) rcu_nocbs=\(core) (a kernel with CONFIG_NO_HZ_FULL)"
    guard let text = tree.text(path) else {
      guard tree.exists("\(cpu)/online") else { return .unreadable(path) }
      return .better("this kernel is built without nohz_full", fix: fix)
    }
    if CoreList(text)?.contains(core) == true {
      return .good("core \(core) runs without the tick while one thread spins")
    }
    return .better("core \(core) takes the scheduler's tick", fix: fix)
  }

  var interruptAffinity: Verdict {
    let numbers = tree.names(in: "/proc/irq").filter { Int($0) != nil }
    guard !numbers.isEmpty else {
      return .unreadable("/proc/irq", isContainer ? "a container does not see the host's interrupts" : "")
    }
    guard (onlineCores?.cores.count ?? 2) > 1 else {
      return .better("there is one core, which takes all interrupts", fix: "use a host with two cores or more")
    }
    var found: [(number: String, name: String)] = []
    var isKnown = false
    for number in numbers {
      // A directory beside the files is named after the handler; without one nobody waits for this interrupt.
      let entries = tree.names(in: "/proc/irq/\(number)")
      guard
        let name = entries.first(where: {
          !$0.hasPrefix("smp_affinity") && !$0.hasPrefix("effective_affinity")
            && !["affinity_hint", "node", "spurious"].contains($0)
        })
      else { continue }
      let path = "/proc/irq/\(number)"
      guard
        let list = tree.text("\(path)/effective_affinity_list").flatMap({ $0.isEmpty ? nil : CoreList($0) })
          ?? tree.text("\(path)/smp_affinity_list").flatMap({ CoreList($0) })
      else { continue }
      isKnown = true
      if list.contains(core) { found.append((number, name)) }
    }
    guard isKnown else { return .notKnown("no affinity of an interrupt in /proc/irq can be read") }
    guard !found.isEmpty else { return .good("no interrupt of a device goes to core \(core)") }
    let network = networkInterrupts
    let ofNetwork = found.filter { network.contains($0.number) }
    let named = (ofNetwork.isEmpty ? found : ofNetwork).prefix(3).map { "\($0.name) (\($0.number))" }
    let more = found.count > named.count ? " and \(found.count - named.count) more" : ""
    let text =
      "\(found.count) \(found.count == 1 ? "interrupt" : "interrupts") may come to core \(core): "
      + named.joined(separator: ", ") + more
    let first = (ofNetwork.first ?? found[0]).number
    let fix =
      "echo \(otherCores) > /proc/irq/\(first)/smp_affinity_list for each of them, or kernel parameter "
      + "irqaffinity=\(otherCores); and keep irqbalance off core \(core) (IRQBALANCE_BANNED_CPULIST=\(core))"
    return ofNetwork.isEmpty ? .better(text, fix: fix) : .bad("\(text); the network card's are among them", fix: fix)
  }

  /// The numbers of the interrupts of the card that the default route uses.
  private var networkInterrupts: Set<String> {
    guard let interface = networkInterface else { return [] }
    // A virtio device's interrupts belong to the PCI device above it.
    let device = "/sys/class/net/\(interface)/device"
    let names = tree.names(in: "\(device)/msi_irqs") + tree.names(in: "\(device)/../msi_irqs")
    if !names.isEmpty { return Set(names) }
    return Set([tree.text("\(device)/irq") ?? tree.text("\(device)/../irq")].compactMap { $0 })
  }

  var cpuQuota: Verdict {
    guard let groups = tree.text("/proc/self/cgroup") else { return .unreadable("/proc/self/cgroup") }
    var isKnown = false
    for line in groups.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      // Each group above may have a quota as well.
      var path = parts[2] == "/" ? "" : String(parts[2])
      while true {
        if parts[1].isEmpty, let text = tree.text("/sys/fs/cgroup\(path)/cpu.max") {
          isKnown = true
          let words = text.split(separator: " ").map { Int($0) }
          if words.count == 2, let quota = words[0], let period = words[1] {
            return quotaFound(quota, period, "cpu.max", path)
          }
        } else if parts[1].split(separator: ",").contains("cpu"),
          let quota = tree.number("/sys/fs/cgroup/cpu\(path)/cpu.cfs_quota_us")
        {
          isKnown = true
          if quota > 0 {
            let period = tree.number("/sys/fs/cgroup/cpu\(path)/cpu.cfs_period_us") ?? 100_000
            return quotaFound(quota, period, "cpu.cfs_quota_us", path)
          }
        }
        guard let slash = path.lastIndex(of: "/") else { break }
        path = String(path[..<slash])
      }
    }
    // The group at the top has no quota, and no file for one.
    if isKnown || groups.split(separator: "\n").contains("0::/") && !isContainer { return .good("no quota") }
    return .notKnown("the control group's quota is not mounted here")
  }

  private func quotaFound(_ quota: Int, _ period: Int, _ file: String, _ group: String) -> Verdict {
    .bad(
      "\(quota / 1000) ms of CPU time in each \(period / 1000) ms (\(file) of \(group.isEmpty ? "/" : group))",
      fix:
        "remove it: CPUQuota= in the unit, --cpus of the container, limits.cpu of the pod (with whole, equal requests and limits and the static CPU manager)"
    )
  }

  var governor: Verdict {
    let path = "\(cpu)/cpu\(core)/cpufreq/scaling_governor"
    guard let governor = tree.text(path) else {
      return .notKnown(
        isVirtual
          ? "the hypervisor decides about frequencies" : "\(path) cannot be read: no frequency driver, or not for us")
    }
    let driver = tree.text("\(cpu)/cpu\(core)/cpufreq/scaling_driver").map { " (\($0))" } ?? ""
    if governor == "performance" { return .good("performance\(driver)") }
    return .bad(
      "core \(core) runs under \(governor)\(driver)",
      fix: "cpupower frequency-set -g performance, or echo performance > \(path)")
  }

  var powerSupply: Verdict {
    let directory = "/sys/class/power_supply"
    let supplies = tree.names(in: directory)
    var mains: [Bool] = []
    var isDischarging = false
    for name in supplies {
      switch tree.text("\(directory)/\(name)/type") {
      case "Mains", "USB":
        if let online = tree.number("\(directory)/\(name)/online") { mains.append(online == 1) }
      case "Battery": isDischarging = isDischarging || tree.text("\(directory)/\(name)/status") == "Discharging"
      default: break
      }
    }
    if isDischarging || (!mains.isEmpty && !mains.contains(true)) {
      return .bad("this host runs on battery", fix: "plug it in")
    }
    return tree.exists("\(cpu)/online") ? .good(supplies.isEmpty ? "no battery" : "mains") : .unreadable(directory)
  }

  var turbo: Verdict {
    let isOff: Bool
    let fix: String
    if let off = tree.number("\(cpu)/intel_pstate/no_turbo") {
      isOff = off == 1
      fix = "echo 0 > \(cpu)/intel_pstate/no_turbo; or leave it, if even times matter more than fast ones"
    } else if let boost = tree.number("\(cpu)/cpufreq/boost") {
      isOff = boost == 0
      fix = "echo 1 > \(cpu)/cpufreq/boost; or leave it, if even times matter more than fast ones"
    } else {
      return .notKnown(isVirtual ? "the hypervisor decides about frequencies" : "the frequency driver does not tell")
    }
    return isOff ? .better("turbo is off: even, but slower", fix: fix) : .good("on")
  }

  var idleStates: Verdict {
    let directory = "\(cpu)/cpu\(core)/cpuidle"
    let states = tree.names(in: directory).filter { $0.hasPrefix("state") }
    guard !states.isEmpty else {
      if tree.text("\(cpu)/cpuidle/current_driver") == "none" {
        return isVirtual
          ? .notKnown("the hypervisor decides about idle states")
          : .good("no idle driver: an idle core halts at most")
      }
      return .unreadable(directory)
    }
    var deepest: (name: String, latency: Int) = ("none", 0)
    for state in states {
      guard tree.number("\(directory)/\(state)/disable") != 1,
        let latency = tree.number("\(directory)/\(state)/latency"),
        latency > deepest.latency
      else { continue }
      deepest = (tree.text("\(directory)/\(state)/name") ?? state, latency)
    }
    let text = "deepest enabled: \(deepest.name), \(deepest.latency) µs to leave it"
    let fix =
      "cpupower idle-set -D 2 (disables states of more than 2 µs), or kernel parameters intel_idle.max_cstate=1 "
      + "processor.max_cstate=1"
    if deepest.latency <= 2 { return .good(text) }
    return deepest.latency <= 50 ? .better(text, fix: fix) : .bad(text, fix: fix)
  }

  var siblings: Verdict {
    let path = "\(cpu)/cpu\(core)/topology/thread_siblings_list"
    guard let list = tree.text(path).flatMap({ CoreList($0) }) else { return .unreadable(path) }
    let others = list.cores.filter { $0 != core }
    guard let other = others.first else { return .good("core \(core) has none") }
    let names = others.map(String.init).joined(separator: ", ")
    let isolated = (tree.text("\(cpu)/isolated").flatMap { CoreList($0) })?.cores ?? []
    if others.allSatisfy(isolated.contains) {
      return .better(
        "core \(core) shares its units with \(names), which is isolated: quiet as long as nothing is pinned there",
        fix: "echo 0 > \(cpu)/cpu\(other)/online")
    }
    return .bad(
      "core \(core) shares its units with core \(names), which others use",
      fix: "echo 0 > \(cpu)/cpu\(other)/online, or kernel parameter nosmt")
  }

  var numa: Verdict {
    guard let nodes = tree.text("/sys/devices/system/node/online").flatMap({ CoreList($0) }) else {
      return .unreadable("/sys/devices/system/node/online")
    }
    guard nodes.cores.count > 1 else { return .good("one node") }
    let own = tree.names(in: "\(cpu)/cpu\(core)").first { $0.hasPrefix("node") && Int($0.dropFirst(4)) != nil }
      .flatMap { Int($0.dropFirst(4)) }
    guard let own else { return .notKnown("the node of core \(core) is not told") }
    guard let interface = networkInterface, let node = tree.number("/sys/class/net/\(interface)/device/numa_node"),
      node >= 0
    else { return .notKnown("\(nodes.cores.count) nodes; the node of the network card is not told") }
    guard node != own else { return .good("core \(core) and \(interface) are both on node \(own)") }
    let near = tree.text("/sys/devices/system/node/node\(node)/cpulist") ?? "of that node"
    return .bad(
      "core \(core) is on node \(own), the network card \(interface) on node \(node)",
      fix: "set engine.core to one of the cores \(near)")
  }
}
