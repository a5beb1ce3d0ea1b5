import Apus
import ArgumentParser

/// Nothing that can trade starts with real money unless the engine is named on the command line.
struct ProductionConfirmation: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Confirms that this engine trades real money: needed if the configuration's mode is production, and only then.",
      valueName: "engine.name"))
  var production: String?

  /// Arguments that confirm what they were asked to.
  var arguments: [String] { production.map { ["--production", $0] } ?? [] }

  /// Refuses with a sentence; nothing has connected by then.
  func check(_ configuration: Configuration) throws {
    let name = configuration.engine.name
    guard let problem = problem(configuration.mode, name) else { return }
    throw Exit.fail(Exit.usage, problem)
  }

  func problem(_ mode: EngineMode, _ name: String) -> String? {
    switch (mode, production) {
    case (.simulated, nil), (.shadow, nil), (.testnet, nil): nil
    case (.production, let given?) where given == name: nil
    case (.production, nil):
      "engine \(name) is configured for production, where orders cost real money: confirm with --production \(name)"
    case (.production, let given?):
      "--production \(given) confirms another engine, this configuration is of \(name): check that it is the right "
        + "file, then confirm with --production \(name)"
    default:
      "--production was given, but the mode of engine \(name) is \(mode.rawValue): check that it is the right file, "
        + "or leave --production out"
    }
  }
}
