public import Apus
import CSupport
import FlyingFox
import FlyingSocks
import Foundation
import Synchronization

/// Serves an engine's telemetry file over HTTP, from a process of its own. Read-only: GET and HEAD are all it knows.
///
/// - `/metrics`: Prometheus text; 503 and the reason if the file cannot be read.
/// - `/alerts`: the alerts that hold, as JSON.
/// - `/healthz`: 200 while the engine and its lanes give signs of life, else 503 and the reason.
/// - `/`: the dashboard, one page without anything from elsewhere.
/// - `/api/rollout`: the rollout of a release that is under way or was the last one, as JSON; 204 without one.
/// - `/api/view`: what the dashboard shows now, as JSON; `/api/history`: its last fifteen minutes, a row a second.
///
/// The file is opened for each request, so that a restarted engine's new file is found at once.
public final class MonitorServer: Sendable {
  /// Somebody else has the address.
  struct AddressInUse: Error, CustomStringConvertible {
    var description: String { "another program has this address: end it, or choose another with --port or --listen" }
  }

  private let place: @Sendable () -> String
  private var path: String { place() }
  private let address: ListenAddress
  private let token: [UInt8]?
  private let staleAfter: Nanoseconds
  private let now: @Sendable () -> Nanoseconds
  private let alerts: @Sendable () -> [AlertView]
  private let rollout: @Sendable () -> Data?
  private let state = Mutex(State())
  private let server: HTTPServer

  private struct State: ~Copyable {
    var observer = EngineObserver()
    var process: (at: Nanoseconds, processID: Int64, use: ProcessUse)?
    var look: (at: Nanoseconds, json: Data)?
    var sample: (at: Nanoseconds, wall: Double, values: [String: Double])?
    var history = MonitorHistory()
  }

  /// - Parameters:
  ///   - path: Of the telemetry file, asked for at each request; it need not exist yet.
  ///   - address: Port 0 lets the system choose.
  ///   - token: What every request but that of the empty page must bring as `Authorization: Bearer`. Needed where
  ///     others can reach the address; the caller sees to that.
  ///   - staleAfter: The age at which a heartbeat counts as missing.
  ///   - now: CLOCK_MONOTONIC.
  ///   - alerts: Those that hold now; called from any thread.
  ///   - rollout: The rollout that the engine takes part in, JSON; called from any thread.
  public init(
    path: @autoclosure @escaping @Sendable () -> String, address: ListenAddress, token: String? = nil, staleAfter: Nanoseconds = 5_000_000_000,
    now: @escaping @Sendable () -> Nanoseconds = { TelemetrySnapshot.monotonicNow },
    alerts: @escaping @Sendable () -> [AlertView] = { [] }, rollout: @escaping @Sendable () -> Data? = { nil }
  ) throws {
    place = path
    self.address = address
    self.token = token.map { Array($0.utf8) }
    self.staleAfter = staleAfter
    self.now = now
    self.alerts = alerts
    self.rollout = rollout
    // A request is one short exchange. A connection that sends nothing is closed.
    if address.isIPv6 {
      server = HTTPServer(
        address: try .inet6(ip6: address.host, port: address.port), timeout: 5, logger: .disabled)
    } else {
      server = HTTPServer(address: try .inet(ip4: address.host, port: address.port), timeout: 5, logger: .disabled)
    }
  }

  /// Serves until it is cancelled or ``stop()`` is called.
  public func run() async throws {
    // "/*" does not match the root.
    for route in ["/", "/*"] as [HTTPRoute] { await server.appendRoute(route) { [self] in respond(to: $0) } }
    try await withThrowingTaskGroup { [self] group in
      group.addTask {
        do {
          try await self.server.run()
        } catch let error as FlyingSocks.SocketError {
          if case .failed(_, let code, _) = error, code == EADDRINUSE { throw AddressInUse() }
          throw error
        }
      }
      group.addTask {
        while true {
          self.sample()
          try await Task.sleep(for: .seconds(1))
        }
      }
      try await group.next()
      group.cancelAll()
    }
  }

  /// Waits, at most five seconds, and returns the port it listens on.
  public func waitUntilListening() async throws -> UInt16 {
    try await server.waitUntilListening(timeout: 5)
    switch await server.listeningAddress {
    case .ip4(_, let port), .ip6(_, let port): return port
    default: throw SocketError.disconnected
    }
  }

  public func stop() async {
    await server.stop(timeout: 1)
  }

  // MARK: - Who may ask what

  private func respond(to request: HTTPRequest) -> HTTPResponse {
    guard request.method == .GET || request.method == .HEAD else {
      var refusal = answer(.methodNotAllowed, "only GET and HEAD: this server changes nothing\n")
      refusal.headers[HTTPHeader("Allow")] = "GET, HEAD"
      return finished(refusal, request)
    }
    if let token {
      // The page by itself says nothing of the engine; it asks for the token and sends it along.
      if request.path != "/", !Self.isBearer(request.headers[.authorization], of: token) {
        var refusal = answer(.unauthorized, "a token is needed: send Authorization: Bearer TOKEN\n")
        refusal.headers[HTTPHeader("WWW-Authenticate")] = "Bearer"
        return finished(refusal, request)
      }
    } else if let host = request.headers[.host], !Self.isOfThisMachine(host) {
      // A page elsewhere could give its own name this machine's address and then read the answers.
      return finished(
        answer(.misdirectedRequest, "this address is for requests to 127.0.0.1 or localhost\n"), request)
    }
    let response =
      switch request.path {
      case "/": answer(.ok, MonitorPage.html, type: "text/html; charset=utf-8")
      case "/metrics": metrics()
      case "/alerts": answer(.ok, AlertText.json(alerts()) + "\n", type: "application/json")
      case "/healthz": health()
      case "/api/view": view()
      case "/api/rollout": rollout().map { answer(.ok, $0, type: "application/json") } ?? answer(.noContent, "")
      case "/api/history": answer(.ok, history(), type: "application/json")
      default: answer(.notFound, "there are /, /metrics, /alerts, /healthz, /api/view, /api/history and /api/rollout\n")
      }
    return finished(response, request)
  }

  /// In a time that does not depend on how much of it is right.
  static func isBearer(_ header: String?, of token: [UInt8]) -> Bool {
    let scheme = "bearer "
    guard let header, header.lowercased().hasPrefix(scheme) else { return false }
    let given = Array(header.utf8.dropFirst(scheme.utf8.count))
    var difference = given.count ^ token.count
    for place in token.indices { difference |= Int(token[place] ^ (place < given.count ? given[place] : 0)) }
    return difference == 0
  }

  static func isOfThisMachine(_ host: String) -> Bool {
    var name = host[...]
    if let colon = name.lastIndex(of: ":"), name[name.index(after: colon)...].allSatisfy(\.isNumber) {
      name = name[..<colon]
    }
    return name == "localhost" || name == "[::1]" || (name.hasPrefix("127.") && ListenAddress("\(name):1") != nil)
  }

  private func answer(
    _ status: HTTPStatusCode, _ text: String, type: String = "text/plain; charset=utf-8"
  ) -> HTTPResponse {
    answer(status, Data(text.utf8), type: type)
  }

  private func answer(_ status: HTTPStatusCode, _ body: Data, type: String) -> HTTPResponse {
    HTTPResponse(
      statusCode: status,
      headers: [
        .contentType: type, .contentLength: "\(body.count)",
        // What is shown is of this moment.
        .cacheControl: "no-store",
        HTTPHeader("Content-Security-Policy"):
          "default-src 'self' 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        HTTPHeader("X-Content-Type-Options"): "nosniff",
        HTTPHeader("Referrer-Policy"): "no-referrer",
      ],
      body: body)
  }

  /// The answer to HEAD is that to GET without its body.
  private func finished(_ response: HTTPResponse, _ request: HTTPRequest) -> HTTPResponse {
    guard request.method == .HEAD else { return response }
    return HTTPResponse(statusCode: response.statusCode, headers: response.headers, body: Data())
  }

  // MARK: - Answers

  private var dataDirectory: String {
    let folder = (path as NSString).deletingLastPathComponent
    return folder.isEmpty ? "." : folder
  }

  private func metrics() -> HTTPResponse {
    do {
      let reader = try TelemetryReader(path: path)
      let snapshot = reader.snapshot()
      let isAlive = reader.isWriterAlive
      let process = isAlive ? ProcessUse(of: snapshot.processID, dataDirectory: dataDirectory) : nil
      let text = PrometheusText.render(snapshot, isAlive: isAlive, process: process, now: now()) { lane, span in
        unsafe reader.withSpan(lane: lane, span) { unsafe PrometheusText.SpanHistogram($0) } ?? nil
      }
      return answer(.ok, text + AlertText.metrics(alerts()), type: PrometheusText.contentType)
    } catch {
      return answer(.serviceUnavailable, "\(error)\n")
    }
  }

  /// As the page shows them.
  private func shownAlerts() -> [MonitorAlert] {
    let wall = Date().timeIntervalSince1970
    return alerts().map { MonitorAlert($0, at: wall) }
  }

  private func health() -> HTTPResponse {
    do {
      let reader = try TelemetryReader(path: path)
      if let problem = Self.problem(
        of: reader.snapshot(), isAlive: reader.isWriterAlive, now: now(), staleAfter: staleAfter)
      {
        return answer(.serviceUnavailable, problem + "\n")
      }
      return answer(.ok, "ok\n")
    } catch {
      return answer(.serviceUnavailable, "\(error)\n")
    }
  }

  /// What a health check has to say of an engine; `nil` if it is well.
  static func problem(
    of snapshot: TelemetrySnapshot, isAlive: Bool, now: Nanoseconds, staleAfter: Nanoseconds
  ) -> String? {
    if !isAlive { return "the engine \(snapshot.name) (process \(snapshot.processID)) is not running" }
    func silence(_ heartbeat: Nanoseconds) -> String? {
      now - heartbeat > staleAfter ? "no sign of life for \((now - heartbeat) / 1_000_000) ms" : nil
    }
    if let silence = silence(snapshot.heartbeat) { return "the engine \(snapshot.name) gave \(silence)" }
    for lane in snapshot.lanes where lane.state != .stopped {
      if let silence = silence(lane.heartbeat) { return "the lane \(lane.name) gave \(silence)" }
    }
    return nil
  }

  // MARK: - The dashboard's data

  /// What the dashboard gets with every look.
  private struct Look: Encodable {
    /// Seconds since 1970 UTC.
    var at: Double
    var engine: EngineView
    var process: ProcessUse?
    var alerts: [MonitorAlert]
    /// A row of the history.
    var sample: [String: Double]
  }

  private struct Problem: Encodable {
    var error: String
    var alerts: [MonitorAlert]
  }

  private func view() -> HTTPResponse {
    do {
      return answer(.ok, try look().json, type: "application/json")
    } catch {
      let problem = Problem(error: "\(error)", alerts: shownAlerts())
      return answer(.serviceUnavailable, (try? Self.encoder.encode(problem)) ?? Data(), type: "application/json")
    }
  }

  /// Looks at the engine, or takes the last look if that is younger than a quarter of a second: however many pages are
  /// open, rates are over a sensible time, and the work is bounded.
  private func look() throws -> (at: Nanoseconds, json: Data) {
    let firing = shownAlerts()
    return try state.withLock { state in
      let time = now()
      if let last = state.look, time - last.at < 250_000_000 { return last }
      let reader = try TelemetryReader(path: path)
      let engine = state.observer.look(reader, now: time)
      var process = engine.isAlive ? ProcessUse(of: engine.processID, dataDirectory: dataDirectory) : nil
      if let last = state.process, last.processID == engine.processID {
        process?.rate(since: last.use, seconds: Double(time - last.at) / 1e9)
      }
      state.process = process.map { (time, engine.processID, $0) }
      let wall = Date().timeIntervalSince1970
      // What an engine left that is gone is no history.
      let sample = engine.isAlive ? MonitorHistory.sample(engine, process) : [:]
      let json = try Self.encoder.encode(
        Look(at: wall, engine: engine, process: process, alerts: firing, sample: sample))
      state.sample = (time, wall, sample)
      state.look = (time, json)
      return (time, json)
    }
  }

  /// Once a second: adds a row to the history, if there is an engine to look at.
  private func sample() {
    guard (try? look()) != nil else { return }
    state.withLock { state in
      guard let sample = state.sample, !sample.values.isEmpty else { return }
      state.history.append(sample.values, at: sample.wall)
    }
  }

  private func history() -> Data { state.withLock { $0.history.json() } }

  private static var encoder: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return encoder
  }
}
