import Apus
import ApusRollout
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
      file that it is given; `apus release use ROOT NAME --live` and `apus release back ROOT --live` switch both. \
      Exit codes: 0 in force at every venue; 65 refused, nothing has changed; 69 no engine is running or it does not \
      answer; 71 the system refused something; 75 a lane has not taken it over in time; 78 the file is wrong.
      """)

  @Option(help: "The configuration file (YAML); the engine is that of its data directory, or of the one beside.")
  var config: String

  @Flag(help: "Only say what would change.")
  var dryRun = false

  @Option(help: "Seconds to wait for the engine's answer.")
  var wait: Double = 5

  func validate() throws {
    if !(wait > 0 && wait <= 600) { throw ValidationError("--wait must be above 0 and at most 600") }
  }

  func run() throws {
    do throws(LiveParameters.Failure) {
      let change = try LiveParameters.apply(config, wait: wait, isTrial: dryRun)
      for change in change.answer.changes { print("  \(change)") }
      guard !dryRun else {
        return print(change.answer.changes.isEmpty ? "nothing would change" : "this would change; nothing has")
      }
      print(change.text)
    } catch {
      for change in error.changes { print("  \(change)") }
      throw Exit.fail(error.code, error.description)
    }
  }
}

/// Gives a running engine the parameters of a file.
enum LiveParameters {
  struct Failure: Error, CustomStringConvertible {
    var code: ExitCode
    var description: String
    var changes: [String] = []
  }

  struct Change {
    var answer: ParameterAnswer
    /// From the command to the engine's answer.
    var milliseconds: Double

    var text: String {
      "version \(answer.version) is in force: every lane quoted by it \(answer.effectiveMicroseconds) µs after it was handed "
        + "over, \(String(format: "%.1f", milliseconds)) ms after the command"
    }
  }

  /// - Parameters:
  ///   - path: A whole configuration; its data directory is that of the engine.
  ///   - wait: Seconds for the answer.
  static func apply(_ path: String, wait: Double = 5, isTrial: Bool = false) throws(Failure) -> Change {
    let configuration: Configuration
    do {
      configuration = try ConfigurationFile.load(path: path)
    } catch {
      throw Failure(code: Exit.configuration, description: "\(error)")
    }
    let taken = EngineSlot.all(configuration).filter(\.isTaken)
    guard let slot = taken.first else {
      throw Failure(
        code: Exit.unreachable,
        description: "no engine writes \(configuration.engine.dataDirectory)/telemetry: start it with apus run --config \(path)")
    }
    guard taken.count == 1 else {
      throw Failure(
        code: Exit.refusedContent,
        description: "two engines run, \(taken[0].dataDirectory) and \(taken[1].dataDirectory), as during a rollout: let it end first")
    }
    let clock = ContinuousClock()
    let begin = clock.now
    // One that a rollout has started differs from its release in where and how it runs: a refusal changes nothing.
    var answers: [ParameterAnswer] = []
    for placing in EnginePlacing.allCases {
      let text = ConfigurationFile.text(of: configuration.placed(in: slot, placing))
      let answer: ParameterAnswer?
      do {
        answer = try ParameterRequest.send(text, dataDirectory: slot.dataDirectory, seconds: wait, isTrial: isTrial)
      } catch {
        throw Failure(code: Exit.system, description: "\(error)")
      }
      guard let answer else {
        throw Failure(
          code: Exit.unreachable,
          description: "the engine has not answered within \(wait) s, and the request was withdrawn: look at apus top")
      }
      answers.append(answer)
      if answer.refusal == nil || answer.isLate { break }
    }
    // Why it is refused is told by what the file says, unless one of them was taken.
    let answer = answers.last.flatMap { $0.refusal == nil || $0.isLate ? $0 : nil } ?? answers[0]
    if let refusal = answer.refusal {
      throw Failure(
        code: answer.isLate ? Exit.unverified : Exit.refusedContent, description: refusal, changes: answer.changes)
    }
    return Change(answer: answer, milliseconds: (clock.now - begin) / .milliseconds(1))
  }
}
