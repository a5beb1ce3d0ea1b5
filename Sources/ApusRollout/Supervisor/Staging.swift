import Apus
import ApusHost
import ApusRelease
import Foundation
import Synchronization

/// What is asked of a candidate before anything of it reaches a venue. Blocks for as long as replays take.
struct Staging: Sendable {
  let plan: RolloutPlan
  let candidate: Release
  let incumbent: Release
  let candidateConfiguration: Configuration
  let incumbentConfiguration: Configuration
  /// Where outputs of the replays go.
  let room: String
  /// Where the times of this host are kept.
  let baselinePath: String

  struct Failure: Error { let sentence: String }

  /// Lines of what was done, then why it did not pass.
  func run() -> (lines: [String], problem: String?) {
    var lines: [String] = []
    do {
      lines.append(try verify())
      lines.append(try checkConfiguration())
      lines.append(try compareLimits())
      lines.append(try examineHost())
      lines += try replay()
      return (lines, nil)
    } catch let failure as Failure {
      return (lines, failure.sentence)
    } catch {
      return (lines, "\(error)")
    }
  }

  private func verify() throws -> String {
    let problems = candidate.problems()
    guard problems.isEmpty else {
      throw Failure(sentence: "the release is damaged: \(problems.map(\.description).joined(separator: "; ")); pack it anew")
    }
    return "verified: \(candidate.manifest.files.count) files are what the manifest says"
  }

  /// By the candidate's own program, which may know other keys.
  private func checkConfiguration() throws -> String {
    let output = "\(room)/staging-check.txt"
    let result = try Run(candidate.programPath, ["config", "check", candidate.configurationPath], output: output).wait()
    guard result.code == 0 else {
      throw Failure(sentence: "its program refuses its configuration (code \(result.code)): \(Self.lastLine(output))")
    }
    return "configuration: accepted by the release's own program"
  }

  /// A limit that rises is the costliest slip there is.
  private func compareLimits() throws -> String {
    let raised = Self.raisedLimits(candidateConfiguration, incumbentConfiguration)
    guard raised.isEmpty || plan.staging.mayRaiseLimits else {
      throw Failure(
        sentence: "limits are above the incumbent's: \(raised.joined(separator: "; ")); if that is meant, say "
          + "staging.limits_may_rise: true in the plan")
    }
    return raised.isEmpty ? "limits: none is above the incumbent's" : "limits that rise, as the plan allows: \(raised.joined(separator: "; "))"
  }

  /// By name, what may be held, sent or lost more than before.
  static func raisedLimits(_ candidate: Configuration, _ incumbent: Configuration) -> [String] {
    var raised: [String] = []
    /// - Parameter zeroIsNone: 0 sets no limit.
    func compare(_ name: String, _ now: DecimalE8, _ before: DecimalE8, zeroIsNone: Bool = false) {
      func isNone(_ limit: DecimalE8) -> Bool { zeroIsNone && limit == .zero }
      func text(_ limit: DecimalE8) -> String { isNone(limit) ? "none" : limit.description }
      guard !isNone(before), isNone(now) || now > before else { return }
      raised.append("\(name) \(text(before)) → \(text(now))")
    }
    func compare(_ name: String, _ now: Int, _ before: Int, zeroIsNone: Bool = false) {
      guard before > 0 || !zeroIsNone, now > before || (zeroIsNone && now == 0 && before > 0) else { return }
      raised.append("\(name) \(before) → \(zeroIsNone && now == 0 ? "none" : "\(now)")")
    }
    for (lane, other) in zip(candidate.lanes, incumbent.lanes) {
      compare("\(lane.venue.name): protection_trade", lane.venue.protectionTrade, other.venue.protectionTrade)
      compare("\(lane.venue.name): protection_quote", lane.venue.protectionQuote, other.venue.protectionQuote)
      for section in lane.instruments {
        guard let before = other.instruments.first(where: { $0.name == section.name })?.limits else { continue }
        let now = section.limits
        compare("\(section.name): max_position", now.maxPosition, before.maxPosition)
        compare("\(section.name): max_order", now.maxOrder, before.maxOrder)
        compare("\(section.name): max_notional", now.maxNotional, before.maxNotional)
        compare("\(section.name): collar_bps", now.collarBps, before.collarBps)
        compare("\(section.name): max_orders", now.maxOrders, before.maxOrders)
      }
    }
    for before in incumbent.underlyings {
      guard let now = candidate.underlyings.first(where: { $0.name == before.name }) else {
        raised.append("underlyings \(before.name): max_position \(before.maxPosition) → none")
        continue
      }
      compare("underlyings \(before.name): max_position", now.maxPosition, before.maxPosition)
      compare("underlyings \(before.name): hedge_per_minute", now.hedgePerMinute, before.hedgePerMinute, zeroIsNone: true)
      compare("underlyings \(before.name): crossed_size", now.crossedSize, before.crossedSize)
      compare("underlyings \(before.name): crossed_per_minute", now.crossedPerMinute, before.crossedPerMinute)
    }
    let (manager, managerBefore) = (candidate.manager, incumbent.manager)
    compare("manager.max_loss", manager.maxLoss, managerBefore.maxLoss, zeroIsNone: true)
    compare("manager.max_drawdown", manager.maxDrawdown, managerBefore.maxDrawdown, zeroIsNone: true)
    compare("manager.max_exposure", manager.maxExposure, managerBefore.maxExposure, zeroIsNone: true)
    let (safety, safetyBefore) = (candidate.safety, incumbent.safety)
    compare("safety.lane_max_loss", safety.laneMaxLoss, safetyBefore.laneMaxLoss, zeroIsNone: true)
    compare("safety.lane_max_drawdown", safety.laneMaxDrawdown, safetyBefore.laneMaxDrawdown, zeroIsNone: true)
    compare("safety.max_messages_per_minute", safety.maxMessagesPerMinute, safetyBefore.maxMessagesPerMinute, zeroIsNone: true)
    compare("safety.max_messages_per_fill", safety.maxMessagesPerFill, safetyBefore.maxMessagesPerFill, zeroIsNone: true)
    return raised
  }

  private func examineHost() throws -> String {
    let core: Int
    switch candidateConfiguration.engine.core {
    case .core(let wanted): core = wanted
    default: core = (try? CPU.allowedCores())?.last ?? 0
    }
    let bad = HostExaminer.current(core: core).checks.filter { $0.state == .bad }.map { "\($0.title): \($0.found)" }
    guard bad.isEmpty || !plan.staging.needsHealthyHost else {
      throw Failure(sentence: "the doctor finds this host bad: \(bad.joined(separator: "; "))")
    }
    return bad.isEmpty ? "host: nothing bad found" : "host: \(bad.joined(separator: "; "))"
  }

  // MARK: - Recorded sessions

  private func replay() throws -> [String] {
    let recordings = plan.recordingPaths
    guard !recordings.isEmpty else { return ["recordings: the plan names none; nothing was repeated, nothing timed"] }
    var lines: [String] = []
    for path in recordings {
      let output = "\(room)/staging-replay.txt"
      let result = try Run(candidate.programPath, ["replay", path], output: output).wait()
      switch result.code {
      case 0: lines.append("replay of \(path): the same bytes")
      case 1:
        let first = Self.line(output, containing: "differ") ?? Self.lastLine(output)
        guard let why = plan.staging.difference else {
          throw Failure(
            sentence: "the replay of \(path) differs: \(first); if that is meant, say why with staging.difference in the plan")
        }
        lines.append("replay of \(path) differs (\(first)), as the plan explains: \(why)")
      default: throw Failure(sentence: "the replay of \(path) failed (\(result.ending)): \(Self.lastLine(output))")
      }
    }
    return lines + (try time(recordings))
  }

  /// Replays of both programs by turns: what the machine does meanwhile hits both.
  private func time(_ recordings: [String]) throws -> [String] {
    var evidence = PairEvidence(plan)
    var times: [String: (own: [Double], other: [Double])] = [:]
    func cpu(_ release: Release, _ path: String) throws -> Double {
      let result = try Run(release.programPath, ["replay", path], output: "/dev/null").wait()
      guard result.code == 0 || result.code == 1 else {
        throw Failure(sentence: "a timed replay of \(path) by \(release.manifest.name) failed (\(result.ending))")
      }
      return result.cpuSeconds
    }
    pairs: for pair in 0..<plan.staging.pairs {
      let path = recordings[pair % recordings.count]
      // Who is first changes, too.
      let first = pair % 2 == 0 ? incumbent : candidate
      let a = try cpu(first, path)
      let b = try cpu(pair % 2 == 0 ? candidate : incumbent, path)
      let (own, other) = pair % 2 == 0 ? (b, a) : (a, b)
      times[path, default: ([], [])].own.append(own)
      times[path, default: ([], [])].other.append(other)
      evidence.note(candidate: own, incumbent: other)
      switch evidence.verdict {
      case .slower:
        throw Failure(
          sentence: "slower: a replay takes \(Self.decimals(Self.median(evidence.ratios))) times the incumbent's CPU time, allowed is "
            + "\(plan.staging.slowerAtMost); \(evidence.slower.text) pairs, confidence " + Percent.text(1 - 1 / evidence.slower.wealth))
      case .fine: break pairs
      case .open: continue
      }
    }
    var line = "replays: \(Self.decimals(Self.median(evidence.ratios))) times the incumbent's CPU time, median of "
    line += "\(evidence.ratios.count) pairs"
    if evidence.verdict == .open {
      line += "; not decided: above \(plan.staging.slowerAtMost) in \(evidence.slower.worse) of them"
    }
    return [line]
      + compareWithBaseline(recordings.compactMap { path in times[path].map { (path, $0.own, $0.other) } })
  }

  /// What the incumbent took when it was timed last on this host. A host that has become slower is told of and ends nothing: both
  /// programs have met the same host by turns.
  private func compareWithBaseline(_ times: [(path: String, own: [Double], other: [Double])]) -> [String] {
    var baseline = HostBaseline(path: baselinePath)
    var lines: [String] = []
    for (path, own, other) in times {
      let now = Self.median(other)
      if let before = baseline.entry(incumbent, path), before.cpuSeconds > 0 {
        let ratio = now / before.cpuSeconds
        let isSlower = ratio > plan.staging.slowerAtMost.asDouble
        lines.append(
          "host: the incumbent repeats \(path) in \(Self.decimals(now)) s, \(Self.decimals(ratio)) times what is stored of "
            + "\(before.at)" + (isSlower ? ": this host has become slower, or has much else to do" : ""))
      } else {
        lines.append("host: the incumbent repeats \(path) in \(Self.decimals(now)) s; nothing was stored before")
        baseline.note(incumbent, path, cpuSeconds: now, at: WallTime.now())
      }
      baseline.note(candidate, path, cpuSeconds: Self.median(own), at: WallTime.now())
    }
    baseline.save()
    return lines
  }

  private static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return 0 }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  static func decimals(_ value: Double) -> String { String(format: "%.2f", value) }

  private static func lines(_ path: String) -> [Substring] {
    ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
  }

  private static func lastLine(_ path: String) -> String { lines(path).last.map(String.init) ?? "it printed nothing" }

  private static func line(_ path: String, containing text: String) -> String? {
    lines(path).first { $0.contains(text) }.map(String.init)
  }
}

/// A program that is run to its end.
struct Run {
  private let process: pid_t

  struct Ended {
    var code: Int32
    var cpuSeconds: Double
    var ending: String { code > 128 ? "signal \(code - 128)" : "code \(code)" }
  }

  init(_ program: String, _ arguments: [String], output: String) throws(SystemError) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
    words.append(nil)
    defer { words.forEach { free($0) } }
    var child = pid_t()
    let failure = posix_spawn(&child, program, &actions, &attributes, words, environ)
    guard failure == 0 else { throw SystemError("start \(program)", result: -failure) }
    process = child
  }

  /// Its end, and the CPU time of all its threads.
  func wait() -> Ended {
    var word: Int32 = 0
    var usage = rusage()
    while wait4(process, &word, 0, &usage) < 0, errno == EINTR {}
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return Ended(
      code: word & 0x7F == 0 ? (word >> 8) & 0xFF : 128 + (word & 0x7F),
      cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime))
  }
}
