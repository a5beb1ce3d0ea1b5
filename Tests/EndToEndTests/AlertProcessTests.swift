import Apus
import CSupport
import Foundation
import Testing

/// Real processes: an engine, its monitor, and a receiver of webhooks that verifies signatures.
@Suite(.serialized) struct AlertProcessTests {
  /// What the receiver and the monitor need, around a venue.
  private final class Desk {
    let stage: RunTests.Stage
    let receiver: ChildProcess
    let monitor: Program
    var telemetry: String { stage.room.file("data/telemetry") }

    init(rules: String = "{}") throws {
      stage = try RunTests.Stage()
      try stage.room.write("planted-webhook-key-0123456789\n", to: "webhook.key")
      receiver = try ChildProcess(
        "/usr/bin/env", ["python3", "\(Places.pythonScripts)/webhook_receiver.py", stage.room.file("webhook.key")])
      let deadline = Date().addingTimeInterval(20)
      while !receiver.output.contains("\n"), Date() < deadline { usleep(10_000) }
      let port = receiver.output.prefix { $0.isNumber }
      try stage.room.write(
        """
        rules: \(rules)
        routes:
          webhook_url: http://127.0.0.1:\(port)/T0KEN
          webhook_key_file: \(stage.room.file("webhook.key"))
          log: json
          log_file: \(stage.room.file("alerts.log"))
        """, to: "alerts.yaml")
      monitor = try Program(
        "apus",
        [
          "monitor", "--telemetry", stage.room.file("data/telemetry"), "--alerts", stage.room.file("alerts.yaml"),
          "--port", "0",
        ])
      #expect(monitor.waitFor("serving"), "\(monitor.err)")
    }

    func engine() throws -> Program {
      let engine = try Program("apus", ["run", "--config", stage.configuration()])
      #expect(engine.waitFor("quoting"), "\(engine.err)")
      return engine
    }

    /// Seconds until the receiver has had so many lines of `text`.
    func wait(_ text: String, count: Int = 1, seconds: Double) -> Double? {
      let begin = Date()
      while Date().timeIntervalSince(begin) < seconds {
        if receiver.output.split(separator: "\n").filter({ $0 == text }).count >= count {
          return Date().timeIntervalSince(begin)
        }
        usleep(5000)
      }
      Issue.record("no '\(text)' within \(seconds) s; \(receiver.output), \(monitor.out)\(monitor.err)")
      return nil
    }
  }

  @Test func `a halt, a stopped process and a killed one reach the webhook within two seconds of showing, and clear`()
    throws
  {
    let desk = try Desk()
    // Nothing is there yet.
    _ = desk.wait("fired ApusMonitorBlind", seconds: 5)
    let engine = try desk.engine()
    _ = desk.wait("cleared ApusMonitorBlind", seconds: 10)

    try TelemetryControl.requestStop(path: desk.telemetry, level: .cancelAll, cause: "a test")
    let halted = try #require(desk.wait("fired ApusHalted", seconds: 10))
    #expect(halted < 2, "from the request to the receipt")
    let top = try Program("apus", ["top", "--telemetry", desk.telemetry, "--once"])
    #expect(top.wait() == 0 && top.out.contains("alerts  ") && top.out.contains("ApusHalted (page)"), "\(top.out)")
    let json = try Program("apus", ["top", "--telemetry", desk.telemetry, "--once", "--json"])
    #expect(json.wait() == 0)
    let view = try JSONSerialization.jsonObject(with: Data(json.out.utf8)) as? [String: Any]
    let names = (view?["alerts"] as? [[String: Any]])?.compactMap { $0["name"] as? String } ?? []
    #expect(names.contains("ApusHalted"))
    try TelemetryControl.clearStop(path: desk.telemetry)
    _ = desk.wait("cleared ApusHalted", seconds: 10)

    engine.signal(SIGSTOP)
    _ = desk.wait("fired ApusLaneSilent", seconds: 10)
    engine.signal(SIGCONT)
    _ = desk.wait("cleared ApusLaneSilent", seconds: 10)

    engine.signal(SIGKILL)
    let down = try #require(desk.wait("fired ApusEngineDown", seconds: 10))
    #expect(down < 2, "from the signal to the receipt")
    _ = engine.wait()
    let second = try desk.engine()
    _ = desk.wait("cleared ApusEngineDown", seconds: 20)
    second.signal(SIGTERM)
    #expect(second.wait() == 0, "\(second.err)")
    desk.monitor.signal(SIGINT)
    _ = desk.monitor.wait(seconds: 10)

    // Everything that the monitor left behind: told in the log too, and no secret in it.
    let log = try String(contentsOfFile: desk.stage.room.file("alerts.log"), encoding: .utf8)
    #expect(log.contains("\"alert\":\"ApusHalted\"") && desk.monitor.out.contains("alert fired: ApusHalted [page]"))
    for text in [log, desk.monitor.out, desk.monitor.err] {
      #expect(!text.contains("planted-webhook-key") && !text.contains("T0KEN"))
    }
    #expect(!desk.receiver.output.contains("bad"))
  }

  @Test func `ApusStalled: the watchdog pulls the quotes of a lane that stands still`() throws {
    let desk = try Desk(rules: "{ApusStalled: {bound: 100, clear: 100}}")
    let configuration = try ConfigurationFile.load(path: try desk.stage.configuration())
    let engine = Engine(configuration)
    let ended = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      _ = try? engine.run()
      ended.signal()
    }
    let deadline = Date().addingTimeInterval(20)
    func lane() -> LaneSnapshot? { (try? TelemetryReader(path: desk.telemetry))?.snapshot().lanes.first }
    while Date() < deadline, lane()?.watchdog?.state != .watching || lane()?.state != .quoting { usleep(10_000) }
    engine.stallLane(seconds: 3)
    _ = desk.wait("fired ApusStalled", seconds: 10)
    // The lane wakes up into the watchdog's latch.
    _ = desk.wait("fired ApusHalted", seconds: 10)
    engine.resume()
    _ = desk.wait("cleared ApusStalled", seconds: 20)
    _ = desk.wait("cleared ApusHalted", seconds: 10)
    engine.requestStop()
    ended.wait()
    try desk.stage.expectNothingLeft()
  }

  @Test func `explain-alerts lists every rule, and a file with a mistake starts nothing`() throws {
    let room = try Room()
    try room.write("rules: {ApusLoss: {bound: 77}}", to: "good.yaml")
    let list = try Program("apus", ["monitor", "--explain-alerts", "--alerts", room.file("good.yaml")])
    #expect(list.wait() == 0)
    #expect(list.out.contains("| ApusLoss | page |") && list.out.contains("above 77.00"))
    try room.write("rules: {ApusLos: {bound: 77}}", to: "bad.yaml")
    let bad = try Program(
      "apus", ["monitor", "--telemetry", room.file("t"), "--alerts", room.file("bad.yaml"), "--port", "0"])
    #expect(bad.wait() == 78)
    #expect(bad.err.contains("bad.yaml:1:9: rules.ApusLos is not a key") && bad.err.contains("did you mean ApusLoss?"))
    // Nor does a key that others may read.
    try room.write("0123456789abcdef0123456789abcdef", to: "webhook.key", mode: 0o644)
    try room.write(
      "routes: {webhook_url: 'http://127.0.0.1:1/', webhook_key_file: '\(room.file("webhook.key"))'}", to: "open.yaml")
    let open = try Program(
      "apus", ["monitor", "--telemetry", room.file("t"), "--alerts", room.file("open.yaml"), "--port", "0"])
    #expect(open.wait() == 78)
    #expect(open.err.contains("chmod 600") && !open.err.contains("0123456789abcdef"))
  }

  @Test func `the article shows the code that the receiver runs`() throws {
    let script = try String(contentsOfFile: "\(Places.pythonScripts)/webhook_receiver.py", encoding: .utf8)
    let code = try #require(
      script.components(separatedBy: "# begin: as in the article Alerts\n").last?.components(separatedBy: "\n# end")
        .first)
    let article = try String(contentsOfFile: "\(Places.package)/Sources/Apus/Apus.docc/Alerts.md", encoding: .utf8)
    #expect(article.contains("```python\n" + code.trimmingCharacters(in: .whitespacesAndNewlines) + "\n```"))
  }
}
