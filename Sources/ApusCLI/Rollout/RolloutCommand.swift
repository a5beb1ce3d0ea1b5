import Apus
import ApusMonitor
import ApusRelease
import ApusRollout
import ArgumentParser
import CSupport
import Foundation

struct RolloutCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rollout",
    abstract: "Roll a release out in stages beside the one that it replaces, and take it back by itself.",
    discussion: """
      `apus rollout --candidate DIR --plan PLAN` supervises a rollout: staging, the shadow, steps by instruments or size, \
      and the way back on a breached gate, a crash, a stall, an alert or a word. The article Rollout has the plan's keys. \
      The engines are processes of their own, and the state is in ROOT/rollout: a supervisor that was killed goes on where \
      it was when it is started again in the same way. SIGINT and SIGTERM abort: the incumbent gets everything back.
      """,
    subcommands: [
      Begin.self, Status.self, Pause.self, Resume.self, Promote.self, Abort.self, Forget.self, History.self, Check.self,
    ], defaultSubcommand: Begin.self)

  /// What `body` throws becomes one line and an exit code.
  static func run<Result>(_ body: () throws(RolloutError) -> Result) throws -> Result {
    do throws(RolloutError) {
      return try body()
    } catch {
      throw Exit.fail(Exit.code(of: error.kind), error.description)
    }
  }

  static func plan(_ path: String) throws -> RolloutPlan {
    do {
      return try RolloutPlan.load(path: path)
    } catch {
      throw Exit.fail(Exit.configuration, "\(error)")
    }
  }

  struct Begin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "begin",
      abstract: "Supervise a rollout to its end, or take up the one that is under way (the default).",
      usage: "apus rollout [begin] --candidate <dir> --plan <plan> [--alerts <file>] [--override <reason>] [--production <name>]",
      discussion: """
        Exit codes: 0 the candidate is the current release and has everything; 1 it was rejected, taken back or aborted, and \
        the incumbent has everything; 75 it was taken back, and the incumbent did not come back: nothing trades; 64 the \
        releases, or the plan, do not fit together; 65 a damaged release; 66 something is not there; 69 no incumbent runs; \
        73 another supervisor is at work, or something cannot be written; 77 a rule forbids it; 78 plan or configuration \
        are wrong.
        """)

    // Both are needed; that they are optional lets a word that is no subcommand be told as what it is.
    @Option(help: ArgumentHelp("The release to roll out: ROOT/NAME.", valueName: "dir"), completion: .directory)
    var candidate: String?

    @Option(help: ArgumentHelp("Stages, gates and stops (YAML).", valueName: "plan"), completion: .file())
    var plan: String?

    @Argument(help: .private)
    var words: [String] = []

    @Option(
      help: ArgumentHelp("Bounds of alerts, and where they go (see the article Alerts).", valueName: "file"),
      completion: .file())
    var alerts: String?

    @Option(
      help: ArgumentHelp(
        "Why this release is tried although it has failed twice, or without its pass; it is kept.", valueName: "reason"))
    var override: String?

    @OptionGroup var confirmation: ProductionConfirmation

    func validate() throws {
      if let word = words.first {
        let known = RolloutCommand.configuration.subcommands.map { "\($0)".lowercased() }
        throw ValidationError("there is no apus rollout \(word): there are \(known.joined(separator: ", "))")
      }
      if candidate == nil { throw ValidationError("Missing expected argument '--candidate <dir>'") }
      if plan == nil { throw ValidationError("Missing expected argument '--plan <plan>'") }
    }

    @MainActor func run() async throws {
      // Neither a terminal that goes away nor a pipe that nobody reads ends the supervision.
      for number in [SIGHUP, SIGPIPE] { signal(number, SIG_IGN) }
      let candidate = candidate ?? ""
      let plan = try RolloutCommand.plan(plan ?? "")
      let path = "\(candidate)/config.yaml"
      if let configuration = try? ConfigurationFile.load(path: path) { try confirmation.check(configuration) }
      let voice = try RolloutVoice(alertFile(alerts))
      let supervisor = try RolloutCommand.run { () throws(RolloutError) in
        try RolloutSupervisor(
          candidate: candidate, plan: plan, production: confirmation.production, override: override,
          hooks: RolloutHooks(
            alert: { path, least in voice.alert(path, least) }, announce: { line in voice.announce(line) }))
      }
      do {
        try SignalWatcher.start { [abort = supervisor.abort] in abort.request("the supervisor was told to end by a signal") }
      } catch {
        throw Exit.fail(Exit.system, "\(error)")
      }
      let state = try RolloutCommand.run { () throws(RolloutError) in try supervisor.run() }
      await voice.finish()
      say("report: \(supervisor.store.reportsDirectory)/\(state.id).md")
      switch state.outcome {
      case .promoted: return
      case .flat: throw Exit.unverified
      default: throw ExitCode(1)
      }
    }
  }

  /// Where rollouts of a root keep their state.
  struct RootArgument: ParsableArguments {
    @Argument(help: ArgumentHelp("The directory of the releases.", valueName: "root"), completion: .directory)
    var root: String

    var store: RolloutStore { RolloutStore(root: ReleaseRoot(path: root)) }
  }

  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show how the rollout stands: stage, what was seen, and each gate with its confidence.",
      discussion: "Exit codes: 0; 66 there never was a rollout in this root.")

    @OptionGroup var root: RootArgument
    @Flag(help: "As JSON, the document of the report.")
    var json = false

    func run() throws {
      let store = root.store
      guard let state = try RolloutCommand.run({ () throws(RolloutError) in try store.state() }) else {
        throw Exit.fail(Exit.unreadable, "there is no rollout in \(store.directory): begin one with apus rollout --candidate DIR --plan PLAN")
      }
      if json {
        let report = RolloutReport(state, lines: store.lines(of: state.id), isSupervised: store.isSupervised)
        return say(String(decoding: try report.json(), as: UTF8.self))
      }
      say(RolloutText.status(state, isSupervised: store.isSupervised, lines: store.lines(of: state.id)))
    }
  }

  struct Reason: ParsableArguments {
    @Option(help: "Why; it is kept.")
    var why: String?

    func ask(_ kind: RolloutRequest.Kind, _ store: RolloutStore) throws {
      try RolloutCommand.run { () throws(RolloutError) in
        try store.ask(RolloutRequest(kind: kind, user: AuditLine.currentUser(), why: why))
      }
      say("asked for: the supervisor's lines, and apus rollout status \(store.root.path), show what came of it")
    }
  }

  private static let requestCodes = "Exit codes: 0 asked for; 69 no supervisor is at work; 73 the request cannot be written."

  struct Pause: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Stay in this stage; gates and stops hold.", discussion: requestCodes)
    @OptionGroup var root: RootArgument
    @OptionGroup var reason: Reason
    func run() throws { try reason.ask(.pause, root.store) }
  }

  struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Go on after a pause.", discussion: requestCodes)
    @OptionGroup var root: RootArgument
    @OptionGroup var reason: Reason
    func run() throws { try reason.ask(.resume, root.store) }
  }

  struct Promote: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "On to the next stage now, whatever has been seen and whatever the hour.", discussion: requestCodes)
    @OptionGroup var root: RootArgument
    @OptionGroup var reason: Reason
    func run() throws { try reason.ask(.promote, root.store) }
  }

  struct Abort: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Back: the candidate is halted, and the incumbent gets everything.", discussion: requestCodes)
    @OptionGroup var root: RootArgument
    @OptionGroup var reason: Reason
    func run() throws { try reason.ask(.abort, root.store) }
  }

  struct Forget: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "End the record of a rollout that cannot go on, for its candidate is not there any more.",
      discussion: """
        Tells no engine anything, and wants that none of the candidate runs. Exit codes: 0; 66 no rollout is under way; 73 a \
        supervisor is at work (abort it instead), an engine of the candidate runs, or something cannot be written.
        """)
    @OptionGroup var root: RootArgument
    @Option(help: "Why; it is kept.")
    var why: String

    func run() throws {
      let state = try RolloutCommand.run { () throws(RolloutError) in
        try RolloutSupervisor.forget(root.store, user: AuditLine.currentUser(), why: why)
      }
      say("the rollout of \(state.candidate) against \(state.incumbent) has ended in its record; report: \(root.store.reportsDirectory)/\(state.id).md")
      guard state.hasTraded else { return }
      say("the incumbent has the shares that it had: apus apply --config \(root.root)/\(state.incumbent)/config.yaml gives it everything")
    }
  }

  struct History: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the rollouts of a root, the newest last.")
    @OptionGroup var root: RootArgument

    func run() throws {
      let lines = root.store.history()
      guard !lines.isEmpty else { return say("no rollout has ended in \(root.store.directory)") }
      for line in lines {
        say(
          "\(line.at)  \(line.candidate) against \(line.incumbent): \(line.outcome.text)"
            + (line.reason.map { ": \($0)" } ?? "") + (line.overridden.map { " [overridden: \($0)]" } ?? ""))
      }
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Name every mistake in a plan, or show it with all defaults.",
      discussion: "Exit codes: 0 it is good; 78 it is not.")
    @Argument(help: ArgumentHelp("The plan (YAML).", valueName: "plan"), completion: .file())
    var plan: String

    func run() throws { say(RolloutText.plan(try RolloutCommand.plan(plan))) }
  }
}

extension Exit {
  static func code(of kind: RolloutError.Kind) -> ExitCode {
    switch kind {
    case .arguments: usage
    case .configuration: configuration
    case .unreadable: unreadable
    case .unwritable, .busy: cannotCreate
    case .damaged: damaged
    case .notPermitted: refused
    case .unreachable: unreachable
    }
  }
}
