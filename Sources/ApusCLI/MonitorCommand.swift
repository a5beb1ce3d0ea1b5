import Apus
import ApusMonitor
import ApusRelease
import ApusRollout
import ArgumentParser
import Foundation

struct MonitorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "monitor",
    abstract: "Serve an engine's telemetry: a dashboard for people, metrics for Prometheus, and alerts.",
    discussion: """
      A process of its own that reads the engine's telemetry file, which costs the engine nothing. GET / is the \
      dashboard, /metrics Prometheus text, /healthz 200 while the engine and its lanes beat, else 503; /alerts is what the \
      alert engine has found, which also goes to the routes of --alerts. Nothing can be changed through it. It listens on \
      this machine alone unless --listen says otherwise, and then it wants a token.
      """)

  @Option(
    help: "The engine's telemetry file: DATA_DIRECTORY/telemetry. Default: the one of --config.", completion: .file())
  var telemetry: String?

  @Option(
    name: .customLong("config"),
    help: "The configuration file that the engine runs with; it is followed when a rollout moves it to another data directory.",
    completion: .file())
  var configPath: String?

  @Option(help: "Port on 127.0.0.1.")
  var port: UInt16 = 9464

  @Option(
    help: ArgumentHelp(
      "Listen there instead, such as 0.0.0.0:9464. Needs --token-file unless it is this machine's loopback.",
      valueName: "address:port"))
  var listen: ListenAddress?

  @Option(
    help: "Answer only requests with the token in this file (mode 0600), sent as Authorization: Bearer.",
    completion: .file())
  var tokenFile: String?

  @Option(
    help: ArgumentHelp("Bounds of alerts, and where they go (see the article Alerts).", valueName: "file"),
    completion: .file())
  var alerts: String?

  @Option(
    help: ArgumentHelp(
      "Show the rollouts of this root of releases. Default: that which --config lies in.", valueName: "root"),
    completion: .directory)
  var rollout: String?

  @Flag(help: "List the alerts with their bounds and end.")
  var explainAlerts = false

  private var address: ListenAddress { listen ?? ListenAddress(port: port) }

  func validate() throws {
    if !explainAlerts { try engine.validate() }
    if !address.isLoopback, tokenFile == nil {
      throw ValidationError("\(address) can be reached from elsewhere: --listen there needs --token-file")
    }
  }

  /// What the page shows of a rollout, if releases can have one.
  private var rolloutView: @Sendable () -> Data? {
    guard let root = rollout ?? configPath.flatMap(Self.releaseRoot) else { return { nil } }
    return {
      let store = RolloutStore(root: ReleaseRoot(path: root))
      guard let state = try? store.state() else { return nil }
      return try? RolloutReport(state, lines: store.lines(of: state.id), isSupervised: store.isSupervised).json()
    }
  }

  /// `ROOT/RELEASE/config.yaml` lies in `ROOT`.
  private static func releaseRoot(_ config: String) -> String? {
    let release = URL(fileURLWithPath: config).standardizedFileURL.deletingLastPathComponent()
    guard FileManager.default.fileExists(atPath: release.appendingPathComponent(ReleaseManifest.fileName).path) else { return nil }
    return release.deletingLastPathComponent().path
  }

  private var engine: EngineChoice {
    var engine = EngineChoice()
    engine.telemetry = telemetry
    engine.configPath = configPath
    return engine
  }

  func run() async throws {
    let file = try alertFile(alerts)
    let rules = AlertRule.rules(file)
    guard !explainAlerts else { return say(AlertRule.table(rules).joined(separator: "\n")) }
    let paths = try engine.paths()
    let token = try tokenFile.map(Self.token)
    do {
      let routes = try file.routes.routes { say("apus: alert \($0)") }
      let service = AlertService(path: paths()[0], rules: rules, dispatcher: AlertDispatcher(routes))
      let server = try MonitorServer(
        path: paths()[0], address: address, token: token, alerts: { service.active }, rollout: rolloutView)
      // The first that fails ends all: a server that cannot have its address is not waited for.
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.run() }
        group.addTask { [address] in
          let port = try await server.waitUntilListening()
          say("apus: serving http://\(ListenAddress(host: address.host, port: port))/ and /metrics; Ctrl-C ends")
          await service.run()
        }
        try await group.next()
        group.cancelAll()
      }
    } catch let error as AlertRouteError {
      throw Exit.fail(Exit.configuration, "\(error)")
    } catch {
      throw Exit.fail(Exit.system, "could not serve on \(address): \(error)")
    }
  }

  /// The token in a file that nobody else may read.
  static func token(file path: String) throws -> String {
    let text: String
    do {
      text = try Secret.load(file: path).withBytes { String(decoding: $0, as: UTF8.self) }
    } catch {
      throw Exit.fail(Exit.configuration, "\(error)")
    }
    let token = text.filter { !$0.isNewline }
    guard token.utf8.count >= 16, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
      throw Exit.fail(
        Exit.configuration,
        "the token in \(path) must be at least 16 printable ASCII characters without blanks: openssl rand -hex 32 makes one"
      )
    }
    return token
  }
}

extension ListenAddress: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

/// What a file says of alerts; without one, what holds without a file.
func alertFile(_ path: String?) throws -> AlertFile {
  guard let path else { return AlertFile() }
  do {
    return try AlertFile.load(path: path, shapes: AlertRule.shapes)
  } catch {
    throw Exit.fail(Exit.configuration, "\(error)")
  }
}
