import Apus
import ArgumentParser
import Foundation

struct ApplyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply",
    abstract: "Give a running engine other parameters, without a restart.",
    discussion: """
      Takes over, of each instrument, share, ladder, limits, stale_after_ms, the strategy's parameters and those of the order \
      flow; every lane does so in its next turn, all at once: no quote is made of old and new ones. What the strategy has \
      learned stays. A file that differs in anything else is refused with the keys that need a restart. The change is in \
      the journal, and `apus top` shows its version; to take it back, apply the file of before. The next start uses the \
      file that it is given. Exit codes: 0 in force at every venue; 65 refused, nothing has changed; 69 no engine is \
      running or it does not answer; 71 the system refused something; 75 a lane has not taken it over in time; 78 the file \
      is wrong.
      """)

  @Option(help: "The configuration file (YAML); its data directory is that of the engine.")
  var config: String

  @Flag(help: "Only say what would change.")
  var dryRun = false

  @Option(help: "Seconds to wait for the engine's answer.")
  var wait: Double = 5

  func validate() throws {
    if !(wait > 0 && wait <= 600) { throw ValidationError("--wait must be above 0 and at most 600") }
  }

  func run() throws {
    let configuration: Configuration
    let text: String
    do {
      configuration = try ConfigurationFile.load(path: config)
      text = try String(contentsOfFile: config, encoding: .utf8)
    } catch {
      throw Exit.fail(Exit.configuration, "\(error)")
    }
    let data = configuration.engine.dataDirectory
    let path = data + "/telemetry"
    guard let reader = try? TelemetryReader(path: path), reader.isWriterAlive else {
      throw Exit.fail(Exit.unreachable, "no engine writes \(path): start it with apus run --config \(config)")
    }
    let clock = ContinuousClock()
    let begin = clock.now
    let answer: ParameterAnswer?
    do {
      answer = try ParameterRequest.send(text, dataDirectory: data, seconds: wait, isTrial: dryRun)
    } catch {
      throw Exit.fail(Exit.system, "\(error)")
    }
    guard let answer else {
      throw Exit.fail(
        Exit.unreachable, "the engine has not answered within \(wait) s, and the request was withdrawn: look at apus top")
    }
    for change in answer.changes { print("  \(change)") }
    if let refusal = answer.refusal {
      throw Exit.fail(answer.isLate ? Exit.unverified : Exit.refusedContent, refusal)
    }
    guard !dryRun else {
      return print(answer.changes.isEmpty ? "nothing would change" : "this would change; nothing has")
    }
    let took = (clock.now - begin) / .milliseconds(1)
    print(
      "version \(answer.version) is in force: every lane quoted by it \(answer.effectiveMicroseconds) µs after it was handed "
        + "over, \(String(format: "%.1f", took)) ms after the command")
  }
}
