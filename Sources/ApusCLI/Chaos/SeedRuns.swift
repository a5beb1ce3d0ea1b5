import Apus
import ApusExchange
import Dispatch
import Foundation
import Synchronization

/// Runs of plans on virtual time: many seeds on several threads, or one plan with a trace.
enum SeedRuns {
  /// Runs every seed of a range and reports; returns the seeds that failed.
  static func run(_ seeds: ClosedRange<UInt64>, jobs: Int) -> [UInt64] {
    struct State {
      var next: UInt64
      var failed: [UInt64] = []
      var passed = 0
      var takenOver = 0
      var fills = 0
      var struck = 0
      var virtualTime: Nanoseconds = 0
      var nextLine = Date().addingTimeInterval(10)
    }
    let state = Mutex(State(next: seeds.lowerBound))
    let start = Date()
    DispatchQueue.concurrentPerform(iterations: jobs) { _ in
      while true {
        let seed: UInt64? = state.withLock {
          guard $0.next <= seeds.upperBound else { return nil }
          $0.next += 1
          return $0.next - 1
        }
        guard let seed else { return }
        let verdict = judge(FaultPlan.random(seed: seed))
        state.withLock {
          switch verdict {
          case .success(let verdict):
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
            say("\($0.passed + $0.failed.count) of \(seeds.count) seeds, \($0.failed.count) failed")
          }
        }
      }
    }
    let seconds = Date().timeIntervalSince(start)
    let failed = state.withLock { $0.failed.sorted() }
    state.withLock {
      let perThousand = Int((seconds * 1000 / Double(seeds.count)).rounded())
      say(
        "\($0.passed) of \(seeds.count) seeds passed, \(failed.count) failed; \($0.fills) fills, \($0.struck) frames struck, "
          + "positions taken over in \($0.takenOver) seeds; \(Int($0.virtualTime / 1_000_000_000)) s of virtual time in "
          + "\(Int(seconds)) s (\(perThousand) s for 1,000 seeds)")
    }
    return failed
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
  /// - Parameter whole: print every line.
  static func replay(_ plan: FaultPlan, whole: Bool) throws -> Bool {
    var lines: [(at: Nanoseconds, text: String)] = []
    let verdict = try ChaosRun.run(plan) { lines.append(($0, $1)) }
    let around = verdict.breach?.at
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

  /// Leaves faults out of a failing plan, and makes it shorter, as long as it still fails.
  static func shrink(_ plan: FaultPlan) -> FaultPlan {
    func fails(_ plan: FaultPlan) -> Bool {
      switch judge(plan) {
      case .success(let verdict): !verdict.isPassed
      case .failure: true
      }
    }
    var best = plan
    guard fails(best) else { return best }
    var hasChanged = true
    while hasChanged {
      hasChanged = false
      for index in best.faults.indices.reversed() {
        var smaller = best
        smaller.faults.remove(at: index)
        if fails(smaller) {
          best = smaller
          hasChanged = true
        }
      }
      for instrument in best.instruments where best.instruments.count > 1 {
        var smaller = best
        smaller.instruments.removeAll { $0 == instrument }
        let isNeeded = smaller.faults.contains {
          switch $0.fault {
          case .halt(let name), .expire(let name), .tick(let name, _): name == instrument
          default: false
          }
        }
        if !isNeeded, fails(smaller) {
          best = smaller
          hasChanged = true
        }
      }
      for levels in [1, 3] where levels < best.levels {
        var smaller = best
        smaller.levels = levels
        if fails(smaller) {
          best = smaller
          hasChanged = true
          break
        }
      }
    }
    return best
  }
}
