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
    lane.span(.turn)[0] = 5
    let server = try MonitorServer(
      path: file, port: 0, staleAfter: 600_000_000_000,
      summarize: { memory in
        memory[0] == 0 ? nil : PrometheusText.SpanSummary(count: UInt64(memory[0]), sum: 0, quantiles: [])
      })
    try await serving(server) { port in
      let metrics = try await get("/metrics", port: port)
      #expect(metrics.status == 200)
      #expect(metrics.head.lowercased().contains("content-type: \(PrometheusText.contentType)"))
      #expect(metrics.body.contains("apus_fills_total{lane=\"thalex\"} 3\n"))
      #expect(metrics.body.contains("apus_engine_alive 1\n"))
      #expect(metrics.body.contains("apus_span_seconds_count{lane=\"thalex\",span=\"turn\"} 5\n"))
      #expect(!metrics.body.contains("span=\"book\""))
      let health = try await get("/healthz", port: port)
      #expect(health.status == 200 && health.body == "ok\n")
      let index = try await get("/", port: port)
      #expect(index.status == 200 && index.body.contains("/metrics") && index.body.contains("/healthz"))
      #expect(try await get("/other", port: port).status == 404)
    }
  }

  @Test func `without an engine the answers say what is missing, and an engine that starts later is found`()
    async throws
  {
    let directory = try MonitorDirectory()
    let file = directory.file
    try await serving(try MonitorServer(path: file, port: 0, staleAfter: 600_000_000_000)) { port in
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
private func get(_ page: String, port: UInt16) async throws -> (status: Int, head: String, body: String) {
  let answer = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<String, any Error>) in
    Thread.detachNewThread {
      let request = "GET \(page) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
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
