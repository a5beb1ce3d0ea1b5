import Apus
import ApusRelease
import ApusRollout
import ArgumentParser

struct UseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "use",
    abstract: "Make a release the current one, after verifying it and what it has passed.",
    discussion: """
      A running engine goes on with what it was started with, unless --live gives it the parameters of a release that differs \
      from the current one in nothing else (see apus apply). A release for testnet needs a pass in simulated, one for \
      production a pass in testnet, of a release in ROOT with the same program and the same configuration apart from mode, \
      addresses, keys and data directory.
      """)

  @Argument(help: "The directory of releases.", completion: .directory)
  var root: String

  @Argument(help: "The release.")
  var name: String

  @Flag(help: "Give the running engine the release's parameters, too; where it cannot take them over, nothing is switched.")
  var live = false

  @Option(
    name: .customLong("override"),
    help: ArgumentHelp(
      "Although it has not passed what it should have; written to ROOT/audit.jsonl.", valueName: "reason"))
  var reason: String?

  func validate() throws {
    if let reason, reason.allSatisfy(\.isWhitespace) {
      throw ValidationError("--override needs a reason, for those who will ask")
    }
  }

  func run() throws {
    try checkRollout(root)
    let change = try ReleaseCommand.run { () throws(ReleaseError) in
      try ReleaseRoot(path: root).use(name, override: reason, live: LiveParameters.adopter(live))
    }
    if let rule = change.overridden {
      _ = Exit.fail(
        .success,
        "OVERRIDDEN: \(rule.prefix { $0 != ":" }). Reason given: \(reason ?? ""). It is in \(root)/audit.jsonl.")
    }
    say(change.text)
  }
}

struct BackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "back",
    abstract: "Make the release current that was so before.",
    discussion: "Again and again, it goes further back. It asks for no passes; the release is verified.")

  @Argument(help: "The directory of releases.", completion: .directory)
  var root: String

  @Flag(help: "Give the running engine that release's parameters, too; where it cannot take them over, nothing is switched.")
  var live = false

  func run() throws {
    try checkRollout(root)
    say(try ReleaseCommand.run { () throws(ReleaseError) in
      try ReleaseRoot(path: root).back(live: LiveParameters.adopter(live))
    }.text)
  }
}

private func checkRollout(_ root: String) throws {
  if let problem = RolloutStore(root: ReleaseRoot(path: root)).switchProblem { throw Exit.fail(Exit.cannotCreate, problem) }
}

extension LiveParameters {
  fileprivate static func adopter(_ isAsked: Bool) -> ((Release) throws(ReleaseError) -> Void)? {
    guard isAsked else { return nil }
    return { (release: Release) throws(ReleaseError) in try adopt(release) }
  }

  /// Says what came of it; thrown is what `apus release` makes of a refusal.
  private static func adopt(_ release: Release) throws(ReleaseError) {
    do throws(Failure) {
      let change = try apply(release.configurationPath)
      for line in change.answer.changes { say("  \(line)") }
      say(change.text)
    } catch {
      let kind: ReleaseError.Kind =
        switch error.code {
        case Exit.refusedContent: .needsRestart
        case Exit.configuration: .configuration
        default: .unreachable
        }
      throw ReleaseError(kind, error.description)
    }
  }
}

extension ReleaseRoot.Switch {
  fileprivate var text: String {
    let manifest = release.manifest
    if from == manifest.name { return "\(manifest.name) is current already" }
    return "current is \(manifest.name) (\(manifest.mode.rawValue), engine \(manifest.engineName))"
      + (from.map { "; before, \($0)" } ?? "")
  }
}

struct PassedCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "passed",
    abstract: "Record in a release's manifest that it has passed a mode.",
    discussion: """
      The report must be of a run of this very program and configuration, in that mode, that ended well: stopped and \
      verified at the venue, no order left or unknown, no limit breached, something sent, and books equal where they were \
      compared (`apus demo`).
      """)

  @Argument(help: "The release's directory.", completion: .directory)
  var directory: String

  @Option(help: "The mode.")
  var mode: EngineMode

  @Option(help: "The JSON report of `apus run` or `apus demo`.", completion: .file())
  var report: String

  func run() throws {
    let pass = try ReleaseCommand.run { () throws(ReleaseError) in
      try Release(directory: directory).recordPass(mode: mode, reportPath: report)
    }
    say("\(directory) has passed \(pass.mode.rawValue): run \(pass.run), \(pass.seconds) s\(pass.booksText)")
  }
}

extension ReleaseManifest.Pass {
  var booksText: String { booksEqual == true ? ", books equal" : ", books not compared" }
}

extension EngineMode: ExpressibleByArgument {}
