import Apus
import CSupport
import Foundation
import Testing

/// `apus run` with `mode: shadow`; the real venue of these tests is a simulated one, in a process of its own.
@Suite(.serialized) struct ShadowTests {
  /// The real venue, and configurations for shadow runs on it.
  private final class Stage {
    let room: Room
    private let kind: String
    private(set) var venue: Program
    private(set) var url = ""

    init(_ kind: String = "thalex", _ options: [String] = []) throws {
      room = try Room()
      self.kind = kind
      venue = try Program("apus", Self.arguments(kind, room, port: "0") + options)
      url = try Self.address(venue)
    }

    private static func arguments(_ kind: String, _ room: Room, port: String) -> [String] {
      ["venue", "--protocol", kind, "--port", port, "--books", room.file("books.json")]
    }

    private static func address(_ venue: Program) throws -> String {
      try #require(venue.waitFor("listening on "), "\(venue.err)")
      let line = venue.out.split(separator: "\n").first { $0.hasPrefix("listening on ") } ?? ""
      return String(line.dropFirst("listening on ".count))
    }

    /// The same address again, after `kill -9`.
    func restart() throws {
      let port = try #require(url.split(separator: ":").last?.split(separator: "/").first)
      venue = try Program("apus", Self.arguments(kind, room, port: String(port)))
      #expect(try Self.address(venue) == url)
    }

    /// Without a key; that a file is named which is not there makes no difference.
    func configuration(_ name: String, _ instrument: String, more: String = "") throws -> String {
      try room.write(
        """
        engine:
          name: \(name)
          mode: shadow
          core: none
          idle: park
          data_directory: \(room.file(name))
        venue:
          kind: \(kind)
          url: \(url)
          private_key_file: \(room.file("no-such-key.pem"))
        \(Room.quoted(instrument).replacing("      - name", with: "      - stale_after_ms: 1000\n        name"))
        safety: {toxic_fills: 0}
        \(more)
        """, to: "\(name).yaml")
      return room.file("\(name).yaml")
    }

    func lane(_ name: String) -> LaneSnapshot? {
      (try? TelemetryReader(path: room.file("\(name)/telemetry")))?.snapshot().lanes.first
    }

    /// Waits until what the telemetry of an engine shows is so.
    func wait(
      _ name: String, _ what: String, seconds: Double = 15, sourceLocation: SourceLocation = #_sourceLocation,
      _ isSo: (InstrumentSnapshot) -> Bool
    ) {
      let deadline = Date().addingTimeInterval(seconds)
      while Date() < deadline {
        if let instrument = lane(name)?.instruments.first, isSo(instrument) { return }
        usleep(20_000)
      }
      Issue.record(
        "\(name) is not \(what): \(String(describing: lane(name)?.instruments.first))", sourceLocation: sourceLocation)
    }

    /// Accounts at the real venue, after its end, and what it says of the messages that it has received.
    func end() throws -> (accounts: Int, received: Int, text: String) {
      venue.signal(SIGTERM)
      #expect(venue.wait() == 0, "\(venue.err)")
      let data = try Data(contentsOf: URL(fileURLWithPath: room.file("books.json")))
      let accounts = try JSONSerialization.jsonObject(with: data) as? [Any] ?? [0]
      let words = venue.out.split(separator: "\n").first { $0.hasPrefix("messages: ") }?.split(separator: " ") ?? []
      return (accounts.count, words.count > 1 ? Int(words[1]) ?? -1 : -1, venue.out)
    }
  }

  private static func isQuoted(_ instrument: InstrumentSnapshot) -> Bool {
    instrument.ownBid != nil && instrument.ownAsk != nil
  }

  /// Questions for instruments and subscriptions are all that the real venue hears, and a ping or heartbeat now and then.
  @Test(arguments: [
    ("thalex", "BTC-PERPETUAL", 2...2), ("deribit", "BTC_USDC-PERPETUAL", 3...4), ("bybit", "BTCUSDT", 2...4),
  ])
  func `a shadow run is filled by the live market, its books are equal, and the real venue never hears of it`(
    kind: String, instrument: String, messages: ClosedRange<Int>
  ) throws {
    let stage = try Stage(kind)
    let path = try stage.configuration("desk", instrument, more: "shadow: {order_latency_ms: 2, queue_model: log}")
    let engine = try Program("apus", ["run", "--config", path, "--report", stage.room.file("report.json")])
    #expect(engine.waitFor("stands in for \(stage.url)"), "\(engine.out)\(engine.err)")
    stage.wait("desk", "quoted", Self.isQuoted)
    let snapshot = try TelemetryReader(path: stage.room.file("desk/telemetry")).snapshot()
    #expect(snapshot.mode == .shadow)
    stage.wait("desk", "filled") { $0.fills > 2 }
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.out)\(engine.err)")
    #expect(engine.out.hasPrefix("apus: shadow: quoting \(instrument) on \(stage.url)"), "\(engine.out)")
    #expect(engine.out.contains("shadow: the books of engine and venue are equal in all"), "\(engine.out)")
    #expect(engine.out.contains("queue model log, orders 2 ms each way"), "\(engine.out)")

    let report = try stage.room.json("report.json")
    #expect(report["mode"] as? String == "shadow" && report["is_stop_verified"] as? Bool == true)
    #expect(report["books_equal"] as? Bool == true && (report["books_differ"] as? [Any])?.isEmpty == true)
    #expect(
      report["configuration_sha256"] as? String
        == ConfigurationFile.sha256(of: try ConfigurationFile.load(path: path)))
    let fills = ((report["instruments"] as? [[String: Any]])?.first?["fills"] as? Int) ?? 0
    #expect(fills > 2 && (report["trades"] as? [Any])?.count == fills)
    let manifest = try stage.room.json("desk/run.json")
    #expect((manifest["engine"] as? [String: Any])?["mode"] as? String == "shadow")

    let end = try stage.end()
    #expect(end.accounts == 0 && messages.contains(end.received), "\(end)")
    #expect(!end.text.contains("failed logins") && end.text.contains("rate violations: 0"), "\(end)")
  }

  @Test func `while the real venue is away the quotes are pulled, and two shadows beside each other come back`() throws {
    let stage = try Stage()
    let engines = try ["one", "two"].map { name in
      let path = try stage.configuration(name, name == "one" ? "BTC-PERPETUAL" : "ETH-PERPETUAL")
      return (name, try Program("apus", ["run", "--config", path]))
    }
    for (name, _) in engines { stage.wait(name, "quoted", Self.isQuoted) }
    stage.venue.signal(SIGKILL)
    _ = stage.venue.wait()
    for (name, engine) in engines {
      stage.wait(name, "without quotes") { $0.ownBid == nil && $0.ownAsk == nil }
      #expect(engine.waitFor("no connection to \(stage.url)"), "\(engine.out)")
      #expect([.quoting, .frozen].contains(stage.lane(name)?.state), "\(String(describing: stage.lane(name)))")
    }
    let fills = engines.map { stage.lane($0.0)?.instruments.first?.fills }
    usleep(1_500_000)
    #expect(engines.map { stage.lane($0.0)?.instruments.first?.fills } == fills)
    try stage.restart()
    for (name, _) in engines { stage.wait(name, "quoted again", seconds: 30, Self.isQuoted) }
    for (name, engine) in engines {
      engine.signal(SIGINT)
      #expect(engine.wait() == 0, "\(name): \(engine.out)\(engine.err)")
      #expect(engine.out.contains("are equal in all") && engine.out.contains("away 1 times"), "\(engine.out)")
    }
    #expect(try stage.end().accounts == 0)
  }

  @Test func `a shadow run passes for its release, as every next mode asks`() throws {
    let stage = try Stage()
    let path = try stage.configuration("desk", "BTC-PERPETUAL")
    let root = stage.room.file("releases")
    let pack = try Program("apus", ["release", "pack", "--config", path, "--name", "v1", "--to", root])
    #expect(pack.wait() == 0 && pack.out.contains("desk for shadow"), "\(pack.out)\(pack.err)")
    let use = try Program("apus", ["release", "use", root, "v1"])
    #expect(use.wait() == 77 && use.err.contains("has passed simulated"), "\(use.err)")
    let engine = try Program(
      "apus", ["run", "--config", path, "--report", stage.room.file("report.json"), "--quiet"])
    stage.wait("desk", "quoted", Self.isQuoted)
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0 && engine.out.isEmpty, "\(engine.out)\(engine.err)")
    let passed = try Program(
      "apus", ["release", "passed", "\(root)/v1", "--mode", "shadow", "--report", stage.room.file("report.json")])
    #expect(passed.wait() == 0 && passed.out.contains("has passed shadow"), "\(passed.out)\(passed.err)")
    #expect(passed.out.contains("books equal"), "\(passed.out)")
  }

  @Test func `what cannot start says so in one line, with its code`() throws {
    let stage = try Stage()
    let unlisted = try Program("apus", ["run", "--config", try stage.configuration("a", "NOPE-PERPETUAL"), "--quiet"])
    #expect(unlisted.wait() == 77)
    #expect(unlisted.err.contains("does not list NOPE-PERPETUAL"), "\(unlisted.err)")
    stage.venue.signal(SIGKILL)
    _ = stage.venue.wait()
    let unreachable = try Program("apus", ["run", "--config", try stage.configuration("b", "BTC-PERPETUAL")])
    #expect(unreachable.waitFor("trying again"), "\(unreachable.out)")
    unreachable.signal(SIGTERM)
    #expect(unreachable.wait() == 69)
    #expect(unreachable.err.contains("stopped before the market of \(stage.url) was there"), "\(unreachable.err)")
    let drill = try Program("apus", ["drill", "--config", stage.room.file("b.yaml")])
    #expect(drill.wait() != 0 && drill.err.contains("shadow"), "\(drill.err)")
    for program in [unlisted, unreachable] { #expect(program.err.split(separator: "\n").count == 1, "\(program.err)") }
  }
}
