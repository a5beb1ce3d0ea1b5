public import Apus
import FoundationEssentials

extension Release {
  /// Adds a pass to the manifest, by the JSON report of `apus run` or `apus demo`.
  ///
  /// The run must have been of this program and this configuration, in the release's own mode, and must have ended well:
  /// stopped and verified at the venue, no order left or unknown, no limit breached, something sent, and, where the
  /// books were compared, books equal.
  public func recordPass(mode: EngineMode, reportPath: String) throws(ReleaseError) -> ReleaseManifest.Pass {
    let bytes: [UInt8]
    do {
      bytes = try Files.read(reportPath, limit: 1 << 30)
    } catch {
      throw ReleaseError(.unreadable, error)
    }
    let evidence = try RunEvidence(Data(bytes), path: reportPath)
    let parent = directory.hasPrefix("/") ? "\(directory)/.." : "./\(directory)/.."
    let root = ReleaseRoot(path: parent)
    let lock = try root.lock()
    defer { withExtendedLifetime(lock) {} }
    // Read under the lock: somebody may have added one meanwhile.
    var manifest = try ReleaseManifest(directory: directory)
    try check()
    guard let program = manifest.files.first(where: { $0.name == ReleaseManifest.programName })?.sha256 else {
      throw ReleaseError(.damaged, "the manifest of \(directory) names no program: pack the release anew")
    }
    if let problem = evidence.problem(manifest, mode: mode, program: program) {
      throw ReleaseError(.notPermitted, "\(reportPath) is no pass of the release \(manifest.name): \(problem)")
    }
    let pass = ReleaseManifest.Pass(
      mode: mode, at: WallTime.now(), run: evidence.run, seconds: Int(evidence.engine.seconds),
      booksEqual: evidence.booksEqual, reportSha256: SHA256.text(of: String(decoding: bytes, as: UTF8.self)))
    manifest.passed.append(pass)
    try root.audit.append(
      AuditLine(
        at: pass.at, user: AuditLine.currentUser(), what: .passed, release: manifest.name, mode: mode,
        why: "run \(pass.run), \(pass.seconds) s"))
    try manifest.write(to: directory, by: "\(root.path)/.manifest.new")
    return pass
  }
}

/// What of a report says how a run went.
struct RunEvidence {
  struct Engine: Decodable {
    var mode: EngineMode?
    var configurationSha256: String?
    var programSha256: String?
    var seconds: Double
    var isStopVerified: Bool
    var ordersLeft: Int
    var unknownOrders: Int
    var limitBreaches: Int
    var messagesSent: Int
    var failure: String?
    var runs: [UInt64]
    /// Of a shadow run.
    var booksEqual: Bool?
  }
  var engine: Engine
  var booksEqual: Bool?
  var run: UInt64 { engine.runs.last ?? 0 }

  /// Of `apus run`, or of `apus demo`, which has the engine's in it and spells that one's keys as they are.
  init(_ data: Data, path: String) throws(ReleaseError) {
    struct Demo: Decodable {
      var books_equal: Bool
      var engine: Engine
    }
    let decoder = JSONDecoder()
    if let demo = try? decoder.decode(Demo.self, from: data) {
      engine = demo.engine
      booksEqual = demo.books_equal
      return
    }
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      engine = try decoder.decode(Engine.self, from: data)
      booksEqual = engine.booksEqual
    } catch {
      throw ReleaseError(
        .unreadable, "\(path) is not the JSON report of apus run --report or apus demo --report: give that file")
    }
  }

  /// Why it is no pass; `nil` if it is one.
  func problem(_ manifest: ReleaseManifest, mode: EngineMode, program: String) -> String? {
    guard manifest.mode == mode else {
      return "its configuration is for \(manifest.mode.rawValue), where it can pass, and not for \(mode.rawValue)"
    }
    guard engine.mode == mode else {
      return "the run was in mode \(engine.mode?.rawValue ?? "unknown"), not \(mode.rawValue)"
    }
    guard engine.configurationSha256 == manifest.configurationSha256 else {
      return "the run had another configuration; run \(ReleaseManifest.configurationName) of this release"
    }
    guard engine.programSha256 == program else {
      return "the run was of another program; run \(ReleaseManifest.programName) of this release"
    }
    guard !manifest.passed.contains(where: { $0.run == run }) else { return "run \(run) is recorded already" }
    if let failure = engine.failure { return "the run ended early: \(failure)" }
    guard engine.isStopVerified, engine.ordersLeft == 0 else {
      return "the venue did not confirm at the end that no order was left"
    }
    guard engine.unknownOrders == 0 else { return "the outcome of \(engine.unknownOrders) orders is not known" }
    guard engine.limitBreaches == 0 else { return "limits were passed \(engine.limitBreaches) times" }
    guard booksEqual != false else { return "the books of engine and venue differ" }
    guard engine.messagesSent > 0 else { return "the run sent nothing, so it says nothing" }
    return nil
  }
}
