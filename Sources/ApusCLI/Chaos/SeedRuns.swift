import Apus
import ApusExchange
import Dispatch
import Foundation
import Synchronization

/// Runs of plans on virtual time: many seeds on several threads, or one plan with a trace.
enum SeedRuns {
  /// Runs every seed of a range and reports; returns the seeds that failed.
  ///
  /// - Parameter untilFailure: ends with the first seed that fails.
  static func run(_ seeds: ClosedRange<UInt64>, jobs: Int, untilFailure: Bool = false) -> [UInt64] {
    struct State {
      var next: UInt64
      var failed: [UInt64] = []
      var passed = 0
      var takenOver = 0
      var fills = 0
      var struck = 0
      var virtualTime: Nanoseconds = 0
      /// Seconds of processor time that the runs took, all threads together.
      var processorTime = 0.0
      var lives = 0
      var halts = 0
      var runs: Int { passed + failed.count }
      /// Simulated seconds in a second of one core.
      var speed: Int { processorTime > 0 ? Int(Double(virtualTime) / 1e9 / processorTime) : 0 }
      var nextLine = Date().addingTimeInterval(10)
    }
    let state = Mutex(State(next: seeds.lowerBound))
    let start = Date()
    DispatchQueue.concurrentPerform(iterations: jobs) { _ in
      while true {
        let seed: UInt64? = state.withLock {
          guard $0.next <= seeds.upperBound, !untilFailure || $0.failed.isEmpty else { return nil }
          $0.next += 1
          return $0.next - 1
        }
        guard let seed else { return }
        let begin = processorTime()
        let verdict = judge(FaultPlan.random(seed: seed))
        let took = processorTime() - begin
        state.withLock {
          $0.processorTime += took
          switch verdict {
          case .success(let verdict):
            $0.lives += verdict.lives
            $0.halts += verdict.halts
            $0.fills += verdict.fills
            $0.struck += verdict.struck
            $0.virtualTime += verdict.virtualTime
            if verdict.adjustments > 0 { $0.takenOver += 1 }
            if verdict.isPassed {
              $0.passed += 1
            } else {
              $0.failed.append(seed)
              say(verdict.account)
            }
          case .failure(let error):
            $0.failed.append(seed)
            say("seed \(seed): FAILED: \(error)")
          }
          if Date() >= $0.nextLine {
            $0.nextLine = Date().addingTimeInterval(10)
            say(
              "\($0.runs) of \(seeds.count) seeds, \($0.failed.count) failed, \($0.speed) simulated seconds a second of a core"
            )
          }
        }
      }
    }
    let seconds = Date().timeIntervalSince(start)
    let failed = state.withLock { $0.failed.sorted() }
    state.withLock {
      say(
        "\($0.passed) of \($0.runs) seeds passed, \(failed.count) failed; \($0.fills) fills, \($0.struck) frames struck, "
          + "positions taken over in \($0.takenOver) seeds, \($0.lives - $0.runs) deaths of the engine, "
          + "\($0.halts) halts by the manager; \(Int($0.virtualTime / 1_000_000_000)) s of virtual time in "
          + "\(Int(seconds.rounded())) s on \(jobs) threads: \($0.speed) simulated seconds a second of a core")
    }
    return failed
  }

  /// Of this thread, seconds.
  private static func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  struct RunError: Error, CustomStringConvertible { let description: String }

  private static func judge(_ plan: FaultPlan) -> Result<ChaosVerdict, RunError> {
    do {
      return .success(try ChaosRun.run(plan))
    } catch {
      return .failure(RunError(description: "\(error)"))
    }
  }

  /// Runs one plan and prints what happened around the first breach, or all of the end, and the verdict.
  ///
  /// - Parameters:
  ///   - whole: print every line.
  ///   - journal: where the engine's lives leave their journal.
  static func replay(_ plan: FaultPlan, whole: Bool, journal: String? = nil) throws -> Bool {
    var lines: [(at: Nanoseconds, text: String)] = []
    let verdict = try ChaosRun.run(plan, journal: journal) { lines.append(($0, $1)) }
    let around = verdict.violations.first?.at
    var skipped = 0
    for line in lines {
      let isMilestone = !line.text.hasPrefix("→") && !line.text.hasPrefix("←") && !line.text.hasPrefix("fault: d")
      let isNear =
        around.map { line.at > $0 - 4_000_000_000 && line.at < $0 + 500_000_000 }
        ?? !verdict.isPassed
      guard whole || isNear || isMilestone else {
        skipped += 1
        continue
      }
      if skipped > 0 { say("             … \(skipped) lines not shown; --whole shows them") }
      skipped = 0
      say("\(time(line.at)) \(line.text)")
    }
    say("")
    say(verdict.account)
    say(
      "  while it went on: \(verdict.sent(.changes)) inserts and amends, \(verdict.sent(.cancels)) cancels, "
        + "\(verdict.sent(.massCancels)) mass cancels, \(verdict.sent(.queries)) queries, \(verdict.sent(.logins)) logins; "
        + "\(verdict.tracker.timeouts) time-outs, \(verdict.tracker.duplicateFills) repeated fills, "
        + "\(verdict.counters.edgeRefusals) refused at the edge, \(verdict.counters.throttled) throttled, "
        + "\(verdict.counters.rejects) refusals, \(verdict.aboutExpired) about what had expired, \(verdict.deadMen) dead-man timers, "
        + "\(verdict.timeWithoutOrders / 1_000_000) ms without orders")
    return verdict.isPassed
  }

  private static func time(_ time: Nanoseconds) -> String {
    let micros = String(time / 1000 % 1_000_000)
    let seconds = "\(time / 1_000_000_000)"
    return String(repeating: " ", count: max(0, 4 - seconds.count)) + seconds + "."
      + String(repeating: "0", count: 6 - micros.count) + micros
  }

  /// Leaves faults out of a failing plan, and makes what is left simpler and shorter, as long as it fails of the same
  /// invariant.
  static func shrink(_ plan: FaultPlan) -> FaultPlan {
    func failure(_ plan: FaultPlan) -> String? {
      switch judge(plan) {
      case .success(let verdict): verdict.failures.first?.rawValue
      case .failure(let error): "\(error)"
      }
    }
    var best = plan
    guard let wanted = failure(best) else { return best }
    var tries = 0
    /// Takes a change over if the plan then still fails of the same.
    func attempt(_ change: (inout FaultPlan) -> Void) -> Bool {
      var smaller = best
      change(&smaller)
      guard smaller != best, tries < 600 else { return false }
      tries += 1
      guard failure(smaller) == wanted else { return false }
      best = smaller
      return true
    }
    var hasChanged = true
    while hasChanged {
      hasChanged = false
      for index in best.faults.indices.reversed() where attempt({ $0.faults.remove(at: index) }) { hasChanged = true }
      for instrument in best.instruments where best.instruments.count > 1 {
        let isNeeded = best.faults.contains {
          switch $0.fault {
          case .halt(let name), .expire(let name), .tick(let name, _): name == instrument
          default: false
          }
        }
        if !isNeeded, attempt({ $0.instruments.removeAll { $0 == instrument } }) { hasChanged = true }
      }
      let plain = FaultPlan()
      let changes: [(inout FaultPlan) -> Void] = [
        { $0.back = nil }, { $0.latency = plain.latency }, { $0.feedDelay = plain.feedDelay }, { $0.pace = plain.pace },
        { $0.notifiesBeforeReply = false }, { $0.usesMassQuotes = false }, { $0.drawdownCents = 0 },
        { $0.widenCents = 0 },
        {
          $0.managerTurn = 0
          $0.widenCents = 0
          $0.drawdownCents = 0
        },
        { $0.levels = 1 }, { $0.levels = min($0.levels, 3) },
      ]
      for change in changes where attempt(change) { hasChanged = true }
      for index in best.faults.indices where best.faults[index].lasting > 0 {
        // The second half, and then the first, is left out.
        let half = best.faults[index].lasting / 2 / 1_000_000 * 1_000_000
        guard half >= 50_000_000 else { continue }
        if attempt({ $0.faults[index].lasting = half }) {
          hasChanged = true
        } else if attempt({
          $0.faults[index].at += half
          $0.faults[index].lasting = half
        }) {
          hasChanged = true
        }
      }
      let end = best.faults.reduce(1_000_000_000) { max($0, $1.end) }
      if end < best.length, attempt({ $0.length = end }) { hasChanged = true }
    }
    return best
  }
}
