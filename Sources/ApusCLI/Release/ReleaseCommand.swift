import Apus
import ApusRelease
import ArgumentParser

struct ReleaseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "release",
    abstract: "Pack, verify and switch releases: a program and its configuration under one name.",
    discussion: """
      A release is a directory below ROOT that is never changed: apus, config.yaml, and manifest.json with the hash of \
      each file. ROOT/current is a link to the one in use; it is switched in one atomic step, and those before stay. \
      Start the engine so that a switch cannot come between program and configuration: \
      `r=$(readlink -f ROOT/current) && exec $r/apus run --config $r/config.yaml`. A release for the test network needs a \
      pass in simulation, one for production a pass on the test network; --override lets it in, and ROOT/audit.jsonl \
      says so. Exit codes: 0; 1 a release that was verified is damaged; 64 wrong arguments; 65 a damaged release, or \
      more of them, are in the way, or with --live a restart is needed; 66 something is not there or cannot be read; 69 with --live: no \
      engine runs or answers; 73 something cannot be written, or is \
      there already; 77 a rule forbids it; 78 the configuration is wrong.
      """,
    subcommands: [
      PackCommand.self, VerifyCommand.self, ListCommand.self, UseCommand.self, BackCommand.self, PassedCommand.self,
      DescribeCommand.self,
    ])

  /// What `body` throws becomes one line and an exit code.
  static func run<Result>(_ body: () throws(ReleaseError) -> Result) throws -> Result {
    do throws(ReleaseError) {
      return try body()
    } catch {
      throw Exit.fail(Exit.code(of: error.kind), error.description)
    }
  }
}

extension Exit {
  static func code(of kind: ReleaseError.Kind) -> ExitCode {
    switch kind {
    case .arguments: usage
    case .configuration: configuration
    case .unreadable: unreadable
    case .damaged: damaged
    case .unwritable: cannotCreate
    case .notPermitted: refused
    case .needsRestart: refusedContent
    case .unreachable: unreachable
    }
  }
}
