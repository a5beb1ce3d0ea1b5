public import Apus
import CSupport
import FlyingFox
import FlyingSocks
import Foundation

/// Serves an engine's telemetry file over HTTP, from a process of its own.
///
/// - `/metrics`: Prometheus text; 503 and the reason if the file cannot be read.
/// - `/alerts`: the alerts that hold, as JSON.
/// - `/healthz`: 200 while the engine and its lanes give signs of life, else 503 and the reason.
/// - `/`: a page that points to the two.
///
/// The file is opened for each request, so that a restarted engine's new file is found at once.
public final class MonitorServer: Sendable {
  /// Sums up the memory of one histogram; `nil` if there is nothing in it.
  public typealias SpanSummarizer = @Sendable (UnsafeRawBufferPointer) -> PrometheusText.SpanSummary?

  private let path: String
  private let staleAfter: Nanoseconds
  private let now: @Sendable () -> Nanoseconds
  private let summarize: SpanSummarizer?
  private let alerts: @Sendable () -> [AlertView]
  private let server: HTTPServer

  /// - Parameters:
  ///   - path: Of the telemetry file; it need not exist yet.
  ///   - port: On 127.0.0.1; 0 lets the system choose.
  ///   - staleAfter: The age at which a heartbeat counts as missing.
  ///   - now: CLOCK_MONOTONIC.
  ///   - summarize: Knows the layout of the spans; without it they are not shown.
  ///   - alerts: Those that hold now.
  public init(
    path: String, port: UInt16, staleAfter: Nanoseconds = 5_000_000_000,
    now: @escaping @Sendable () -> Nanoseconds = { TelemetrySnapshot.monotonicNow },
    summarize: SpanSummarizer? = nil, alerts: @escaping @Sendable () -> [AlertView] = { [] }
  ) throws {
    self.path = path
    self.staleAfter = staleAfter
    self.now = now
    self.summarize = summarize
    self.alerts = alerts
    // A scrape is one short exchange; nobody else is on this address.
    server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: port), timeout: 5, logger: .disabled)
  }

  /// Serves until it is cancelled or ``stop()`` is called.
  public func run() async throws {
    await server.appendRoute("GET /metrics") { [self] _ in metrics() }
    await server.appendRoute("GET /alerts") { [self] _ in
      answer(.ok, AlertText.json(alerts()) + "\n", type: "application/json")
    }
    await server.appendRoute("GET /healthz") { [self] _ in health() }
    await server.appendRoute("GET /") { [self] _ in
      answer(.ok, "apus monitor of \(path)\n\n/metrics  Prometheus text\n/healthz  200 while the engine is well\n")
    }
    try await server.run()
  }

  /// Waits, at most five seconds, and returns the port it listens on.
  public func waitUntilListening() async throws -> UInt16 {
    try await server.waitUntilListening(timeout: 5)
    guard case .ip4(_, let port) = await server.listeningAddress else { throw SocketError.disconnected }
    return port
  }

  public func stop() async {
    await server.stop(timeout: 1)
  }

  private func metrics() -> HTTPResponse {
    do {
      let reader = try TelemetryReader(path: path)
      let text = PrometheusText.render(reader.snapshot(), isAlive: reader.isWriterAlive, now: now()) { lane, span in
        guard let summarize else { return nil }
        return unsafe reader.withSpan(lane: lane, span) { unsafe summarize($0) } ?? nil
      }
      return answer(.ok, text + AlertText.metrics(alerts()), type: PrometheusText.contentType)
    } catch {
      return answer(.serviceUnavailable, "\(error)\n")
    }
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

  private func answer(
    _ status: HTTPStatusCode, _ text: String, type: String = "text/plain; charset=utf-8"
  ) -> HTTPResponse {
    HTTPResponse(statusCode: status, headers: [.contentType: type], body: Data(text.utf8))
  }
}
