import Apus
import ApusExchange

/// The named scenarios on virtual time.
enum ScenarioRuns {
  static func list() {
    for scenario in FaultScenario.all {
      say("\(scenario.name)  (\(scenario.requirements.joined(separator: ", ")))")
      say("    \(scenario.story)")
    }
  }
}
