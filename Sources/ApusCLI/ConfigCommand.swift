import Apus
import ArgumentParser

struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Check a configuration file, or explain its keys.",
    subcommands: [Check.self, Explain.self])

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check a configuration file without connecting to anything.",
      discussion:
        "Names every mistake with line, key, the value found and what is allowed. Exit code 78 if there is one.")

    @Argument(help: "The configuration file (YAML).", completion: .file())
    var file: String

    func run() throws {
      do {
        let configuration = try ConfigurationFile.load(path: file)
        let venues = configuration.lanes.map { lane in
          "\(lane.venue.url), \(lane.instruments.map(\.name).joined(separator: ", "))"
        }
        let name = "\(configuration.engine.name), \(configuration.mode.rawValue)"
        say("\(file): good: \(name), on \(venues.joined(separator: "; and on "))")
      } catch {
        throw Exit.fail(Exit.configuration, "\(error)")
      }
    }
  }

  struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List every key with its unit, range, default and meaning.")

    func run() { say(ConfigurationExplanation.text) }
  }
}
