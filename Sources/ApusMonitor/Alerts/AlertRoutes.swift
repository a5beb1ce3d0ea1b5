public import Apus
import CSupport
import Foundation
import FoundationNetworking
import Logging
import Synchronization

/// Why a route could not deliver. `isFinal`: to try again would not help.
public struct AlertRouteError: Error, CustomStringConvertible {
  public var reason: String
  public var isFinal: Bool

  public init(_ reason: String, isFinal: Bool = false) {
    self.reason = reason
    self.isFinal = isFinal
  }

  public var description: String { reason }
}

/// A way to tell people or programs.
public protocol AlertRoute: Sendable {
  /// Unique among the routes.
  var name: String { get }
  var least: AlertSeverity { get }
  func deliver(_ change: AlertChange) async throws(AlertRouteError)
}

extension AlertChange {
  /// The JSON that webhooks and commands get: one object, keys in snake case and in order.
  public func json() throws(AlertRouteError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    do {
      return Array(try encoder.encode(self))
    } catch {
      throw AlertRouteError("the alert could not be written as JSON", isFinal: true)
    }
  }
}

/// One line for each change.
public struct TerminalRoute: AlertRoute {
  public let name = "terminal"
  public let least = AlertSeverity.info
  private let say: @Sendable (String) -> Void

  public init(say: @escaping @Sendable (String) -> Void) { self.say = say }

  public func deliver(_ change: AlertChange) async throws(AlertRouteError) { say(change.text) }
}

/// Lines through swift-log, as text or as JSON.
public struct LogRoute: AlertRoute {
  public let name = "log"
  public let least = AlertSeverity.info
  private let logger: Logger
  private let handler: AlertLogHandler

  /// - Parameter path: `nil`: standard error.
  public init(format: AlertRoutesSection.LogFormat, path: String?) throws(AlertRouteError) {
    var descriptor: Int32 = 2
    if let path {
      descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
      guard descriptor >= 0 else {
        throw AlertRouteError("could not open the log \(path): \(String(cString: strerror(errno)))", isFinal: true)
      }
    }
    let handler = AlertLogHandler(file: LogFile(descriptor, isOurs: path != nil), isJSON: format == .json)
    self.handler = handler
    logger = Logger(label: "apus.alerts") { _ in handler }
  }

  public func deliver(_ change: AlertChange) async throws(AlertRouteError) {
    let alert = change.alert
    var metadata: Logger.Metadata = [
      "alert": "\(alert.name)", "change": "\(change.kind.rawValue)", "engine": "\(change.engine)",
      "severity": "\(alert.severity.rawValue)", "found": "\(alert.found)", "runbook": "\(alert.runbook)",
    ]
    if let lane = alert.lane { metadata["lane"] = "\(lane)" }
    if let subject = alert.subject { metadata["subject"] = "\(subject)" }
    let level: Logger.Level =
      change.kind == .cleared
      ? .notice : alert.severity == .page ? .critical : alert.severity == .warn ? .warning : .info
    logger.log(level: level, "\(change.text)", metadata: metadata)
    if let problem = handler.file.takeProblem() { throw AlertRouteError(problem) }
  }
}

/// A descriptor to append lines to.
final class LogFile: Sendable {
  private let descriptor: Int32
  private let isOurs: Bool
  private let problem = Mutex<String?>(nil)

  init(_ descriptor: Int32, isOurs: Bool) {
    self.descriptor = descriptor
    self.isOurs = isOurs
  }

  deinit { if isOurs { close(descriptor) } }

  func append(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    // One call a line: lines of several writers stay whole.
    guard write(descriptor, bytes, bytes.count) != bytes.count else { return }
    let code = errno
    problem.withLock { $0 = "the log could not be written: \(String(cString: strerror(code)))" }
  }

  /// What went wrong since the last question.
  func takeProblem() -> String? { problem.withLock { $0.take() } }
}

/// Writes events of swift-log as one line each: text, or a JSON object.
struct AlertLogHandler: LogHandler {
  let file: LogFile
  let isJSON: Bool
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?
  var logLevel = Logger.Level.info

  init(file: LogFile, isJSON: Bool) {
    self.file = file
    self.isJSON = isJSON
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    let time = Date().formatted(
      .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    guard isJSON else { return file.append("\(time) \(event.level) \(event.message)") }
    var values = all.mapValues { "\($0)" }
    values["time"] = time
    values["level"] = "\(event.level)"
    values["message"] = "\(event.message)"
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if let line = try? encoder.encode(values) { file.append(String(decoding: line, as: UTF8.self)) }
  }
}

/// Posts each change as JSON, signed.
///
/// Foundation's URLSession and not the HTTP client inside FlyingFox: that one has no TLS and is not public API, while
/// this one comes with the toolchain and checks certificates. Redirects are refused: the signature is for one receiver.
public final class WebhookRoute: AlertRoute {
  public let name = "webhook"
  public let least: AlertSeverity
  private let url: URL
  private let key: Key
  private let session: URLSession
  private let wall: @Sendable () -> Int64

  /// A secret that a class can hold.
  // Sendable: read only after its making.
  private final class Key: @unchecked Sendable {
    private let secret: Secret
    init(_ secret: consuming Secret) { self.secret = secret }
    func sign(_ bytes: [UInt8]) -> [UInt8]? {
      secret.withBytes { key in
        // A last line break belongs to the file, not to the key.
        var count = key.count
        while count > 0, key[count - 1] == 10 || key[count - 1] == 13 { count -= 1 }
        return hmacSHA256(key: UnsafeBufferPointer(rebasing: key[..<count]), bytes)
      }
    }
  }

  private final class NoRedirects: NSObject, URLSessionTaskDelegate {
    func urlSession(
      _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
      newRequest request: URLRequest, completionHandler: @escaping @Sendable (URLRequest?) -> Void
    ) { completionHandler(nil) }
  }

  /// The least length of a key: what SHA-256 makes of it is no stronger.
  static let leastKeyBytes = 16

  /// - Parameters:
  ///   - keyFile: Mode 0600 or stricter; a line break at its end does not count.
  ///   - wall: Nanoseconds since 1970 UTC, for the timestamp that is signed.
  public init(
    url: String, keyFile: String, least: AlertSeverity = .info, timeout: Double = 5,
    wall: @escaping @Sendable () -> Int64 = { AlertService.wallNow }
  ) throws(AlertRouteError) {
    guard let parsed = URL(string: url), let host = parsed.host(), !host.isEmpty else {
      throw AlertRouteError("the webhook's address is not http://host/path or https://host/path", isFinal: true)
    }
    do {
      let secret = try Secret.load(file: keyFile)
      guard secret.byteCount >= Self.leastKeyBytes else {
        throw AlertRouteError(
          "the webhook's key in \(keyFile) has \(secret.byteCount) bytes, but needs \(Self.leastKeyBytes) or more: "
            + "head -c 32 /dev/urandom | base64 > \(keyFile)", isFinal: true)
      }
      key = Key(secret)
    } catch let error as AlertRouteError {
      throw error
    } catch {
      throw AlertRouteError("\(error)", isFinal: true)
    }
    self.url = parsed
    self.least = least
    self.wall = wall
    let configuration = URLSessionConfiguration.ephemeral
    configuration.timeoutIntervalForRequest = timeout
    configuration.timeoutIntervalForResource = timeout
    configuration.httpCookieStorage = nil
    configuration.urlCache = nil
    session = URLSession(configuration: configuration, delegate: NoRedirects(), delegateQueue: nil)
  }

  /// What is signed: the decimal timestamp, a point, the body.
  static func signature(timestamp: String, body: [UInt8], sign: ([UInt8]) -> [UInt8]?) -> String? {
    sign(Array("\(timestamp).".utf8) + body).map { bytes in
      bytes.reduce(into: "sha256=") { $0 += ($1 < 16 ? "0" : "") + String($1, radix: 16) }
    }
  }

  public func deliver(_ change: AlertChange) async throws(AlertRouteError) {
    let body = try change.json()
    let timestamp = "\(wall() / 1_000_000_000)"
    guard let signature = Self.signature(timestamp: timestamp, body: body, sign: key.sign) else {
      throw AlertRouteError("the signature could not be made")
    }
    var request = URLRequest(url: url)
    request.httpMethod = "POST"
    request.httpBody = Data(body)
    request.setValue("application/json", forHTTPHeaderField: "Content-Type")
    request.setValue("apus", forHTTPHeaderField: "User-Agent")
    request.setValue(timestamp, forHTTPHeaderField: "X-Apus-Timestamp")
    request.setValue(signature, forHTTPHeaderField: "X-Apus-Signature")
    let response: URLResponse
    do {
      response = try await session.data(for: request).1
    } catch {
      // Foundation's own text has the address in it, and a path may be a secret.
      throw AlertRouteError("\(place) cannot be reached (\((error as? URLError)?.code.rawValue ?? -1))")
    }
    let status = (response as? HTTPURLResponse)?.statusCode ?? 0
    guard !(200..<300).contains(status) else { return }
    let isFinal = (300..<500).contains(status) && status != 408 && status != 429
    throw AlertRouteError("\(place) answered \(status)", isFinal: isFinal)
  }

  /// Without path and query.
  private var place: String {
    "\(url.scheme ?? "http")://\(url.host() ?? "")\(url.port.map { ":\($0)" } ?? "")"
  }
}

/// Runs a program for each change: JSON on its standard input, nothing of our environment, no shell.
public struct CommandRoute: AlertRoute {
  public let name = "command"
  public let least: AlertSeverity
  private let words: [String]
  private let seconds: Int

  /// - Parameters:
  ///   - words: Path of the program, and its arguments.
  ///   - seconds: After which it and its group are killed.
  public init(_ words: [String], seconds: Int = 10, least: AlertSeverity = .info) throws(AlertRouteError) {
    guard let program = words.first, access(program, X_OK) == 0 else {
      throw AlertRouteError("\(words.first ?? "the command") is not a program that may be run", isFinal: true)
    }
    self.words = words
    self.seconds = seconds
    self.least = least
  }

  public func deliver(_ change: AlertChange) async throws(AlertRouteError) {
    let input = try change.json()
    // Off the cooperative threads: it waits.
    let problem: String? = await withCheckedContinuation { continuation in
      Thread.detachNewThread { continuation.resume(returning: run(input)) }
    }
    if let problem { throw AlertRouteError(problem) }
  }

  /// What went wrong; `nil` if it ended with 0.
  private func run(_ input: [UInt8]) -> String? {
    let program = words[0]
    var pipes: [Int32] = [0, 0]
    guard pipe(&pipes) == 0 else { return "no pipe for \(program): \(String(cString: strerror(errno)))" }
    for end in pipes { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(pipes[1], F_SETFL, O_NONBLOCK)
    // An alert is far smaller than a pipe holds, so that nobody has to read yet.
    let wrote = write(pipes[1], input, input.count)
    close(pipes[1])
    defer { close(pipes[0]) }
    guard wrote == input.count else { return "the alert does not fit into a pipe" }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, pipes[0], 0)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    // Sockets of the server and the telemetry file are none of its business.
    for file in Self.openFiles where file > 2 { posix_spawn_file_actions_addclose(&actions, file) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    let settings = ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    var environment: [UnsafeMutablePointer<CChar>?] = settings.map { strdup($0) }
    arguments.append(nil)
    environment.append(nil)
    defer { (arguments + environment).forEach { free($0) } }
    var child = pid_t()
    let code = posix_spawn(&child, program, &actions, &attributes, &arguments, &environment)
    guard code == 0 else { return "\(program) could not be started: \(String(cString: strerror(code)))" }
    var status: Int32 = 0
    let deadline = TelemetrySnapshot.monotonicNow + Nanoseconds(seconds) * 1_000_000_000
    while true {
      let ended = waitpid(child, &status, WNOHANG)
      if ended == child { break }
      if ended < 0, errno != EINTR { return "\(program) could not be waited for" }
      if TelemetrySnapshot.monotonicNow >= deadline {
        kill(-child, SIGKILL)
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        return "\(program) was killed, for it did not end within \(seconds) s"
      }
      usleep(5000)
    }
    if status & 0x7F != 0 { return "\(program) was ended by signal \(status & 0x7F)" }
    let exit = status >> 8 & 0xFF
    return exit == 0 ? nil : "\(program) ended with \(exit)"
  }

  private static var openFiles: [Int32] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []).compactMap { Int32($0) }
  }
}
