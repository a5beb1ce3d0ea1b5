import Apus
import CSupport
import Foundation
import FoundationNetworking
import Testing

@testable import ApusMonitor

/// Where alerts are seen.
@Suite struct AlertShownTests {
  private func active(_ counters: [String: UInt64]) throws -> [AlertView] {
    var engine = AlertEngine()
    let lanes = ["a", "b"].map { AlertEngineTests.lane($0, counters: counters) }
    _ = engine.step(AlertInputs(now: 1, wall: 1, view: AlertEngineTests.view(lanes, uptime: 1)))
    return engine.active(now: 1)
  }

  @Test func `the head of the screen names each alert once, the urgent first`() throws {
    var view = AlertEngineTests.view([AlertEngineTests.lane("a")])
    view.alerts = try active(["journal_failed": 1, "gaps": 2])
    var screen = TopScreen()
    let lines = screen.draw(view, columns: 80, rows: 24).map(\.text)
    #expect(lines[1] == "alerts  4: ApusJournalFailed ×2 (page), ApusStreamGap ×2 (warn)")
    view.alerts = []
    #expect(!screen.draw(view, columns: 80, rows: 24).contains { $0.text.hasPrefix("alerts") })
  }

  @Test func `Prometheus gets the number of places by name and severity`() throws {
    #expect(
      AlertText.metrics(try active(["journal_failed": 1])).hasSuffix(
        "# TYPE apus_alert_active gauge\napus_alert_active{name=\"ApusJournalFailed\",severity=\"page\"} 2\n"))
    #expect(AlertText.metrics([]).split(separator: "\n").allSatisfy { $0.hasPrefix("#") })
  }

  @Test func `as JSON an alert can be read back`() throws {
    let alerts = try active(["journal_failed": 1])
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    #expect(try decoder.decode([AlertView].self, from: Data(AlertText.json(alerts).utf8)) == alerts)
    #expect(AlertText.json([]) == "[]")
  }

  @Test func `one look of a watch is enough for what needs no time`() throws {
    let directory = try MonitorDirectory()
    let now = TelemetrySnapshot.monotonicNow
    var writer = try TelemetryWriter(path: directory.file, name: "desk", bootEpoch: 1, now: now)
    guard var lane = writer.openLane(0, name: "thalex", now: now) else { throw NoLane() }
    lane.show(.quoting, cause: "quoting", since: now)
    lane.set(.journalFailed, to: 1)
    lane.beat(now: now)
    var observer = EngineObserver()
    let reader = try TelemetryReader(path: directory.file)
    let view = AlertWatch(path: directory.file).look(observer.look(reader))
    #expect(view.alerts.map(\.name) == ["ApusJournalFailed"])
  }

  @Test(.timeLimit(.minutes(1))) func `the monitor serves what holds as JSON and as a metric`() async throws {
    let directory = try MonitorDirectory()
    let writer = try TelemetryWriter(
      path: directory.file, name: "desk", bootEpoch: 1, now: TelemetrySnapshot.monotonicNow)
    let alerts = try active(["journal_failed": 1])
    let server = try MonitorServer(path: directory.file, address: ListenAddress(port: 0), alerts: { alerts })
    let task = Task { try await server.run() }
    defer { task.cancel() }
    let port = try await server.waitUntilListening()
    func get(_ page: String) async throws -> String {
      let url = try #require(URL(string: "http://127.0.0.1:\(port)\(page)"))
      return String(decoding: try await URLSession.shared.data(from: url).0, as: UTF8.self)
    }
    let list = try await get("/alerts")
    #expect(list == AlertText.json(alerts) + "\n" && list.contains("\"runbook\":\"Runbook.md#ApusJournalFailed\""))
    #expect(try await get("/metrics").contains("apus_alert_active{name=\"ApusJournalFailed\",severity=\"page\"} 2\n"))
    await server.stop()
    let level = writer.requestedStop
    #expect(level == .none)
  }
}
