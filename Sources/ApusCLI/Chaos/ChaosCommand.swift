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
      With --seed, --seeds or --plan: lane and simulated venue in this process on virtual time. Exit codes: 0 every \
      verdict was good; 1 one was not.
      """)

  @Option(help: "Run the mixture of this seed on virtual time, and print what happened.")
  var seed: UInt64?

  @Option(help: ArgumentHelp("Run the mixtures of a range of seeds on virtual time.", valueName: "first-last"))
  var seeds: SeedRange?

  @Option(help: ArgumentHelp("Run this plan, as a run prints it, on virtual time.", valueName: "line"))
  var plan: String?

  @Option(help: ArgumentHelp("One scenario on virtual time; --list names them.", valueName: "name"))
  var scenario: String?

  @Flag(help: "Name the scenarios and the requirements that they prove.")
  var list = false

  @Option(help: "With --seeds: how many threads. Default: the cores that this process may use.")
  var jobs: Int?

  @Flag(help: "With --seed or --plan: print every frame, not only those around a breach.")
  var whole = false

  @Flag(help: "With --seed or --plan: if it fails, look for the smallest plan that still does.")
  var shrink = false

  @MainActor func run() async throws {
    if let seeds {
      let cores = (try? CPU.allowedCores().count) ?? 1
      let failed = SeedRuns.run(seeds.range, jobs: max(1, jobs ?? cores))
      guard failed.isEmpty else {
        for seed in failed { say("replay: tools/seeds \(seed)") }
        throw ExitCode(1)
      }
      return
    }
    if list {
      ScenarioRuns.list()
      return
    }
    var chosen: FaultPlan
    if let scenario {
      guard let known = FaultScenario.named(scenario) else {
        throw ValidationError("there is no scenario \(scenario); --list names them")
      }
      chosen = known.plan
    } else if let plan {
      do {
        chosen = try FaultPlan(text: plan)
      } catch { throw ValidationError("\(error)") }
    } else {
      chosen = FaultPlan.random(seed: seed ?? 1)
    }
    if shrink {
      chosen = SeedRuns.shrink(chosen)
      say("smallest plan: \(chosen.text)")
    }
    do {
      guard try SeedRuns.replay(chosen, whole: whole) else { throw ExitCode(1) }
    } catch let error as PlanError {
      throw ValidationError("\(error)")
    }
  }
}

/// `1-2000`, or one seed.
struct SeedRange: ExpressibleByArgument {
  let range: ClosedRange<UInt64>

  init?(argument: String) {
    let ends = argument.split(separator: "-").compactMap { UInt64($0) }
    guard let first = ends.first, let last = ends.last, ends.count <= 2, first <= last, last < .max else { return nil }
    range = first...last
  }
}
