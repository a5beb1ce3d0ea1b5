import Apus
import CSupport
import Foundation
import Testing

@testable import ApusMonitor

@Suite(.timeLimit(.minutes(1))) struct MonitorServerTests {
  @Test func `a scrape over HTTP gives the text, and the pages around it`() async throws {
    let directory = try MonitorDirectory()
    let file = directory.file
    var writer = try TelemetryWriter(path: file, name: "mm", bootEpoch: 7, now: TelemetrySnapshot.monotonicNow)
    guard var lane = writer.openLane(0, name: "thalex", now: TelemetrySnapshot.monotonicNow) else { throw NoLane() }
    lane.add(3, to: .fills)
    LatencyHistogram.record(5_000, in: lane.span(.turn).baseAddress!.assumingMemoryBound(to: apus_histogram.self))
    let alert = AlertView(
      name: "ApusHalted", severity: .page, lane: "thalex", age: 5, value: 3, bound: 0, summary: "halted",
      found: "level 3",
      allowed: "none", advice: "Look.", runbook: "here")
    let server = try MonitorServer(
      path: file, address: ListenAddress(port: 0), staleAfter: 600_000_000_000, alerts: { [alert] })
    try await serving(server) { port in
      let metrics = try await get("/metrics", port: port)
      #expect(metrics.status == 200)
      #expect(metrics.head.lowercased().contains("content-type: \(PrometheusText.contentType)"))
      #expect(metrics.body.contains("apus_fills_total{lane=\"thalex\"} 3\n"))
      #expect(metrics.body.contains("apus_engine_alive 1\n"))
      #expect(metrics.body.contains("apus_span_seconds_count{lane=\"thalex\",span=\"turn\"} 1\n"))
      #expect(metrics.body.contains("apus_thread_cpu_seconds_total{"))
      let health = try await get("/healthz", port: port)
      #expect(health.status == 200 && health.body == "ok\n")
      let index = try await get("/", port: port)
      #expect(index.status == 200 && index.body.contains("<!doctype html>"))
      for address in index.body.matches(of: /(?:src|href)="([^"]*)"/).map(\.1) {
        #expect(
          address.hasPrefix("/") || address.hasPrefix("#") || address == "data:,", "fetched from elsewhere: \(address)")
      }
      #expect(!index.body.contains("http://") && !index.body.contains("https://"))
      struct View: Decodable {
        struct Engine: Decodable { var name: String }
        var engine: Engine
        var alerts: [MonitorAlert]
        var sample: [String: Double]
      }
      let view = try await get("/api/view", port: port)
      let shown = try JSONDecoder().decode(View.self, from: Data(view.body.utf8))
      #expect(view.status == 200 && shown.engine.name == "mm")
      let told = try #require(shown.alerts.first)
      #expect(shown.alerts.count == 1 && told.name == "ApusHalted" && told.severity == "page" && told.runbook == "here")
      #expect(told.text == "halted (lane thalex): level 3; allowed is none. Look.")
      #expect(abs(Date().timeIntervalSince1970 - 5 - told.since) < 30)
      let alerts = try await get("/alerts", port: port)
      #expect(alerts.status == 200 && alerts.body.contains("ApusHalted"))
      #expect(shown.sample["thalex/fills"] == 0 && shown.sample["process/resident"] != nil)
      let history = try await get("/api/history", port: port)
      #expect(history.status == 200 && history.body.contains("\"thalex\\/orders_live\":[0"), "\(history.body)")
      for page in ["/", "/metrics", "/api/view", "/api/history", "/healthz"] {
        let answer = try await get(page, port: port, method: "HEAD")
        #expect(answer.status == 200 && answer.body.isEmpty && answer.head.lowercased().contains("content-length: "))
        for header in [
          "Cache-Control: no-store", "X-Content-Type-Options: nosniff", "default-src 'self' 'unsafe-inline'",
        ] {
          #expect(answer.head.contains(header))
        }
        let post = try await get(page, port: port, method: "POST")
        #expect(post.status == 405 && post.head.contains("Allow: GET, HEAD"))
      }
      #expect(try await get("/other", port: port).status == 404)
      #expect(try await get("/api/rollout", port: port).status == 204)
    }
  }

  @Test func `without an engine the answers say what is missing, and an engine that starts later is found`()
    async throws
  {
    let directory = try MonitorDirectory()
    let file = directory.file
    try await serving(try MonitorServer(path: file, address: ListenAddress(port: 0), staleAfter: 600_000_000_000)) {
      port in
      let view = try await get("/api/view", port: port)
      #expect(view.status == 503 && view.body.contains("could not read the telemetry file"))
      for page in ["/metrics", "/healthz"] {
        let answer = try await get(page, port: port)
        #expect(answer.status == 503)
        #expect(answer.body.hasPrefix("could not read the telemetry file at \(file): there is no such file"))
      }
      do {
        _ = try TelemetryWriter(path: file, name: "one", bootEpoch: 1, now: TelemetrySnapshot.monotonicNow)
        let dead = try await get("/healthz", port: port)
        #expect(dead.status == 503 && dead.body.contains("the engine one") && dead.body.contains("is not running"))
      }
      let second = try TelemetryWriter(path: file, name: "two", bootEpoch: 2, now: TelemetrySnapshot.monotonicNow)
      #expect(try await get("/healthz", port: port).status == 200)
      #expect(try await get("/metrics", port: port).body.contains("name=\"two\""))
      let level = second.requestedStop
      #expect(level == .none)
    }
  }

  @Test func `R57 with a token nothing is told without it, and without one only to requests for this machine`()
    async throws
  {
    let directory = try MonitorDirectory()
    let file = directory.file
    let writer = try TelemetryWriter(path: file, name: "mm", bootEpoch: 7, now: TelemetrySnapshot.monotonicNow)
    let secret = "0123456789abcdef"
    try await serving(
      try MonitorServer(
        path: file, address: ListenAddress(port: 0), token: secret, staleAfter: 600_000_000_000)
    ) { port in
      for page in ["/metrics", "/api/view", "/api/history", "/healthz", "/other"] {
        for header in [
          "", "Authorization: Bearer \(secret)0", "Authorization: Bearer ", "Authorization: Basic \(secret)",
        ] {
          let answer = try await get(page, port: port, header: header)
          #expect(answer.status == 401 && answer.head.contains("WWW-Authenticate: Bearer"), "\(page) \(header)")
          #expect(!answer.body.contains("mm") && !answer.body.contains(secret))
        }
        let answer = try await get(page, port: port, header: "Authorization: Bearer \(secret)")
        #expect(answer.status == (page == "/other" ? 404 : 200))
      }
      // The page itself holds nothing of the engine; it asks for the token.
      let page = try await get("/", port: port)
      #expect(page.status == 200 && !page.body.contains(secret))
    }
    try await serving(try MonitorServer(path: file, address: ListenAddress(port: 0), staleAfter: 600_000_000_000)) {
      port in
      for host in ["127.0.0.1", "127.0.0.1:\(port)", "localhost:9464", "[::1]:80", "[::1]"] {
        let answer = try await get("/metrics", port: port, host: host)
        #expect(answer.status == 200, "\(host)")
      }
      for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.evil.example:80", "localhost.x"] {
        let answer = try await get("/metrics", port: port, host: host)
        #expect(answer.status == 421, "\(host)")
      }
    }
    let level = writer.requestedStop
    #expect(level == .none)
  }

  @Test func `addresses to listen on are read whole or not at all`() throws {
    #expect(ListenAddress("127.0.0.1:9464") == ListenAddress(port: 9464))
    #expect(ListenAddress("localhost:1")?.isLoopback == true)
    let six = try #require(ListenAddress("[::1]:80"))
    #expect(six.isIPv6 && six.isLoopback && "\(six)" == "[::1]:80")
    let open = try #require(ListenAddress("0.0.0.0:9464"))
    #expect(!open.isLoopback && !open.isIPv6)
    #expect(ListenAddress("[::]:80")?.isLoopback == false)
    for wrong in ["", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "host:80", "127.0.0.1:80x"] {
      #expect(ListenAddress(wrong) == nil, "\(wrong)")
    }
  }

  @Test func `health needs a heartbeat of the engine and of every lane that is not stopped`() throws {
    let directory = try MonitorDirectory()
    var writer = try TelemetryWriter(path: directory.file, name: "mm", bootEpoch: 7, now: 0)
    guard var first = writer.openLane(0, name: "a", now: 0), var second = writer.openLane(1, name: "b", now: 0)
    else { throw NoLane() }
    let reader = try TelemetryReader(path: directory.file)
    let stale = 5_000_000_000 as Nanoseconds
    func problem(_ now: Nanoseconds) -> String? {
      MonitorServer.problem(of: reader.snapshot(), isAlive: true, now: now, staleAfter: stale)
    }
    #expect(problem(stale) == nil)
    #expect(problem(stale + 1_000_000) == "the engine mm gave no sign of life for 5001 ms")
    writer.beat(now: stale)
    first.beat(now: stale)
    #expect(problem(stale + 1_000_000) == "the lane b gave no sign of life for 5001 ms")
    second.show(.stopped, cause: "asked to", since: 0)
    #expect(problem(stale + 1_000_000) == nil)
    #expect(
      MonitorServer.problem(of: reader.snapshot(), isAlive: false, now: 0, staleAfter: stale)?.contains("not running")
        == true)
  }

  /// Runs the server while `body` runs; both end within the suite's limit.
  private func serving(_ server: MonitorServer, _ body: (UInt16) async throws -> Void) async throws {
    let task = Task { try await server.run() }
    do {
      try await body(try await server.waitUntilListening())
    } catch {
      await server.stop()
      task.cancel()
      throw error
    }
    await server.stop()
    task.cancel()
    _ = await task.result
  }
}

/// One GET over a plain socket, off the cooperative threads; five seconds at most for each step.
private func get(
  _ page: String, port: UInt16, method: String = "GET", host: String = "localhost", header: String = ""
) async throws -> (status: Int, head: String, body: String) {
  let answer = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<String, any Error>) in
    Thread.detachNewThread {
      let request =
        "\(method) \(page) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\(header.isEmpty ? "" : header + "\r\n")\r\n"
      continuation.resume(with: Result { try exchange(request, port: port) })
    }
  }
  let parts = answer.components(separatedBy: "\r\n\r\n")
  let status = Int(answer.split(separator: " ").dropFirst().first ?? "") ?? 0
  return (status, parts[0], parts.dropFirst().joined(separator: "\r\n\r\n"))
}

private func exchange(_ request: String, port: UInt16) throws -> String {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(descriptor) }
  var limit = timeval(tv_sec: 5, tv_usec: 0)
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  let connected = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
    }
  }
  guard connected == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
  let bytes = Array(request.utf8)
  guard send(descriptor, bytes, bytes.count, 0) == bytes.count else { throw POSIXError(.EIO) }
  var answer: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let got = recv(descriptor, &buffer, buffer.count, 0)
    if got < 0 { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    if got == 0 { break }
    answer += buffer[..<got]
  }
  return String(decoding: answer, as: UTF8.self)
}
