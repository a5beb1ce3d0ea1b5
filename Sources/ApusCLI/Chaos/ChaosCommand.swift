import Apus
import ApusExchange
import ArgumentParser
import CSupport
import Foundation

struct ChaosCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chaos",
    abstract: "Let everything go wrong between engine and venue, and hold their books against each other.",
    discussion: """
      Without options a bad minute: a real engine in a process of its own, on real sockets, against a venue that \
      loses, repeats, delays and damages messages, resets connections, falls silent, refuses and restarts. At the end \
      a table: what each fault was to prove, whether it did, exposure against the limit, and how long it took until \
      quotes stood again. Ctrl-C ends it at any moment with the table.

      With --virtual, --seed, --seeds or --plan: engine and venue in this process on virtual time, thousands of times \
      as fast, and every run can be replayed by its line. Exit codes: 0 every verdict was good; 1 one was not; others \
      as for `apus run`.
      """)

  @Option(help: ArgumentHelp("Only this scenario; --list names them.", valueName: "name"))
  var scenario: String?

  @Flag(help: "Name the scenarios and the requirements that they prove.")
  var list = false

  @Option(help: "Go on with scenarios drawn at random until so many minutes have passed.")
  var minutes: Double?

  @Flag(help: "With --scenario: on virtual time, with a trace.")
  var virtual = false

  @Option(help: "Run the mixture of this seed on virtual time, with a trace. With --minutes: what draws the scenarios.")
  var seed: UInt64?

  @Option(help: ArgumentHelp("Run the mixtures of a range of seeds on virtual time.", valueName: "first-last"))
  var seeds: SeedRange?

  @Option(help: ArgumentHelp("Run this plan, as a run prints it, on virtual time.", valueName: "line"))
  var plan: String?

  @Option(help: "With --seeds: how many threads. Default: the cores that this process may use.")
  var jobs: Int?

  @Flag(help: "On virtual time: print every frame, not only those around a breach.")
  var whole = false

  @Flag(help: "With --seeds: end with the first seed that fails.")
  var untilFailure = false

  @Option(
    help: ArgumentHelp(
      "On virtual time, one run: keep the engine's journal in this directory, for `apus replay`.",
      valueName: "directory"),
    completion: .directory)
  var journal: String?

  @Flag(help: "On virtual time: if it fails, look for the smallest plan that still does.")
  var shrink = false

  @Option(
    help: "What the sockets go through: auto takes io_uring, or epoll where the system does not allow it.")
  var driver = DriverChoice.automatic

  @Option(
    help: "Keep configuration, key, journal and telemetry of the engine in this directory. Default: a temporary one.",
    completion: .directory)
  var directory: String?

  private var isVirtual: Bool { virtual || plan != nil || seeds != nil || seed != nil && minutes == nil }

  func validate() throws {
    try TimeLimit.check(minutes, "--minutes", most: 1e7)
    if journal != nil, !isVirtual || seeds != nil {
      throw ValidationError(
        "--journal keeps the journal of one run on virtual time: add --seed, --plan, or --scenario with --virtual")
    }
    if let jobs, jobs < 1 { throw ValidationError("--jobs must be at least 1") }
    if let scenario, FaultScenario.named(scenario) == nil {
      throw ValidationError("there is no scenario \(scenario); --list names them")
    }
    if virtual, scenario == nil { throw ValidationError("--virtual needs --scenario; --list names them") }
    if let scenario, !isVirtual, FaultScenario.named(scenario)?.isLive == false {
      throw ValidationError("\(scenario) runs on virtual time only: add --virtual")
    }
    if let scenario, !isVirtual, let known = FaultScenario.named(scenario),
      known.plan.instruments.contains(where: { $0 != "BTC-PERPETUAL" && $0 != "ETH-PERPETUAL" })
    {
      throw ValidationError("\(scenario) needs an instrument that runs on virtual time only: add --virtual")
    }
  }

  @MainActor func run() async throws {
    if list {
      for scenario in FaultScenario.all {
        say("\(scenario.name)  (\(scenario.requirements.joined(separator: ", ")))\n    \(scenario.story)")
      }
    } else if isVirtual {
      try runVirtually()
    } else {
      try runLive()
    }
  }

  private func runVirtually() throws {
    if let seeds {
      let failed = SeedRuns.run(
        seeds.range, jobs: jobs ?? (try? CPU.allowedCores().count) ?? 1, untilFailure: untilFailure)
      for seed in failed { say("replay: tools/seeds \(seed)") }
      if !failed.isEmpty { throw ExitCode(1) }
      return
    }
    do {
      var chosen: FaultPlan
      if let plan {
        chosen = try FaultPlan(text: plan)
      } else if let scenario, let known = FaultScenario.named(scenario) {
        chosen = known.plan
        if let seed { chosen.seed = seed }
      } else {
        chosen = FaultPlan.random(seed: seed ?? 1)
      }
      if shrink {
        chosen = SeedRuns.shrink(chosen)
        say("the smallest plan that fails of the same:")
        for line in chosen.story { say("  \(line)") }
      }
      guard try SeedRuns.replay(chosen, whole: whole, journal: journal) else { throw ExitCode(1) }
    } catch let error as PlanError {
      throw ValidationError("\(error)")
    }
  }

  @MainActor private func runLive() throws {
    let stopping = StopFlag()
    do {
      try SignalWatcher.start { stopping.set() }
    } catch {
      throw Exit.fail(Exit.system, "\(error)")
    }
    let room = try WorkingDirectory.make(directory, prefix: "apus-chaos")
    defer { if directory == nil { try? FileManager.default.removeItem(atPath: room) } }
    let isGood: Bool
    do {
      let chosen = scenario.flatMap { FaultScenario.named($0) }.map { [$0] } ?? FaultScenario.badMinute
      let chaos = try LiveChaos(room: room, seed: seed ?? 1, driver: driver, stopping: stopping)
      isGood = try chaos.run(chosen, minutes: minutes, seed: seed ?? 1)
    } catch {
      throw Exit.fail(Exit.system, "\(error)")
    }
    if !isGood { throw ExitCode(1) }
  }
}

/// `1-2000`, or one seed.
struct SeedRange: ExpressibleByArgument {
  let range: ClosedRange<UInt64>

  init?(argument: String) {
    let parts = argument.split(separator: "-", omittingEmptySubsequences: false)
    let ends = parts.compactMap { UInt64($0) }
    guard let first = ends.first, let last = ends.last, ends.count == parts.count, ends.count <= 2, first <= last,
      last < .max
    else { return nil }
    range = first...last
  }
}
