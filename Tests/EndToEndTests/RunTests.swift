import Apus
import Foundation
import Testing

/// `apus run` against `apus venue`, and everything that can be wrong at the start.
@Suite(.serialized) struct RunTests {
  /// A venue process with a registered key, and a configuration for it.
  final class Stage {
    let room: Room
    let venue: Program
    private(set) var url = ""

    /// - Parameter keys: Accounts with the one key pair.
    init(_ options: [String] = [], keys: [String] = ["K1"]) throws {
      room = try Room()
      let key = try SigningKey.generate()
      try room.write(key.publicPEM(), to: "public.pem")
      let pem = try key.withPrivatePEM { String(decoding: $0, as: UTF8.self) }
      try room.write(pem, to: "key.pem")
      let (books, publicKey) = (room.file("books.json"), room.file("public.pem"))
      venue = try Program(
        "apus", ["venue", "--port", "0", "--books", books] + keys.flatMap { ["--key", "\($0)=\(publicKey)"] } + options)
      #expect(venue.waitFor("listening on "), "\(venue.err)")
      let line = venue.out.split(separator: "\n").first { $0.hasPrefix("listening on ") } ?? ""
      url = String(line.dropFirst("listening on ".count))
    }

    func configuration(
      url: String? = nil, keyID: String = "K1", instrument: String = "BTC-PERPETUAL", data: String = "data",
      key: String = "key.pem", name: String = "test", journal: String = "{}"
    ) throws -> String {
      try room.write(
        """
        version: 1
        engine:
          name: \(name)
          core: none
          idle: park
          data_directory: \(room.file(data))
        journal: \(journal)
        venue:
          url: \(url ?? self.url)
          key_id: \(keyID)
          private_key_file: \(room.file(key))
        \(Room.quoted(instrument))
        """, to: "\(name).yaml")
      return room.file("\(name).yaml")
    }

    /// The venue's list of accounts, after its orderly end.
    func books() throws -> [[String: Any]] {
      venue.signal(SIGTERM)
      #expect(venue.wait() == 0, "\(venue.err)")
      let data = try Data(contentsOf: URL(fileURLWithPath: room.file("books.json")))
      return try JSONSerialization.jsonObject(with: data) as? [[String: Any]] ?? []
    }

    func expectNothingLeft() throws {
      for account in try books() { #expect((account["openOrders"] as? [Any])?.isEmpty == true) }
    }
  }

  /// One line on standard error, starting with the program's name.
  private func expectOneLine(_ program: Program, _ parts: String...) {
    let lines = program.err.split(separator: "\n").filter { !$0.isEmpty }
    #expect(lines.count == 1, "\(program.err)")
    #expect(lines.first?.hasPrefix("apus: ") == true)
    for part in parts { #expect(program.err.contains(part), "\(program.err)") }
  }

  @Test func `SIGTERM cancels, verifies, reports and exits with 0`() throws {
    let stage = try Stage()
    let engine = try Program(
      "apus", ["run", "--config", stage.configuration(), "--report", stage.room.file("report.json")])
    #expect(engine.waitFor("quoting"))
    usleep(3_000_000)
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.err)")
    #expect(engine.out.contains("the venue confirms that no order of ours is left"))
    #expect(try stage.room.json("report.json")["is_stop_verified"] as? Bool == true)
    try stage.expectNothingLeft()
  }

  @Test func `R13 after kill -9 a restart takes over the position, quotes again, and leaves nothing`() throws {
    let stage = try Stage()
    let config = try stage.configuration()
    let first = try Program("apus", ["run", "--config", config])
    #expect(first.waitFor("quoting"))
    usleep(5_000_000)
    first.signal(SIGKILL)
    _ = first.wait()
    let second = try Program("apus", ["run", "--config", config, "--report", stage.room.file("second.json")])
    #expect(second.waitFor("quoting"))
    usleep(5_000_000)
    second.signal(SIGINT)
    #expect(second.wait() == 0, "\(second.err)")
    let report = try stage.room.json("second.json")
    let instrument = (report["instruments"] as? [[String: Any]])?.first ?? [:]
    #expect(report["unknown_orders"] as? Int == 0)
    let accounts = try stage.books()
    let positions = accounts.first?["positions"] as? [[String: Any]] ?? []
    let position = positions.first { $0["instrument"] as? String == "BTC-PERPETUAL" } ?? [:]
    #expect(instrument["position_lots"] as? Int == position["lots"] as? Int)
    #expect((accounts.first?["openOrders"] as? [Any])?.isEmpty == true)
  }

  @Test func `a wrong port says so in one line and exits with 69`() throws {
    let stage = try Stage()
    let engine = try Program("apus", ["run", "--config", stage.configuration(url: "ws://127.0.0.1:1/ws/api/v2")])
    #expect(engine.wait() == 69)
    expectOneLine(engine, "127.0.0.1:1", "refused")
  }

  @Test func `a refused login says so in one line and exits with 77`() throws {
    let stage = try Stage()
    let engine = try Program("apus", ["run", "--config", stage.configuration(keyID: "UNKNOWN")])
    #expect(engine.wait() == 77)
    expectOneLine(engine, "login", "key")
    try stage.expectNothingLeft()
  }

  @Test(arguments: [("7000", "behind"), ("-7000", "ahead of")])
  func `R48 a clock too far from the venue's says by how much, exits with 77, and no order has left`(
    error: String, direction: String
  ) throws {
    let stage = try Stage(["--clock-error-ms=" + error])
    let engine = try Program(
      "apus", ["run", "--config", stage.configuration(), "--report", stage.room.file("report.json")])
    #expect(engine.wait() == 77)
    expectOneLine(engine, "clock is", "ms \(direction) the venue's", "may differ by 2000 ms", "safety.clock_offset_ms")
    let accounts = try stage.books()
    #expect(accounts.count == 1)
    for account in accounts {
      #expect((account["openOrders"] as? [Any])?.isEmpty == true)
      #expect((account["positions"] as? [[String: Any]])?.allSatisfy { $0["lots"] as? Int == 0 } == true)
    }
  }

  @Test func `an instrument that the venue does not list says so and exits with 77`() throws {
    let stage = try Stage()
    let engine = try Program("apus", ["run", "--config", stage.configuration(instrument: "DOGE-PERPETUAL")])
    #expect(engine.wait() == 77)
    expectOneLine(engine, "DOGE-PERPETUAL")
    try stage.expectNothingLeft()
  }

  @Test func `an untrusted certificate says so and exits with 69`() throws {
    let stage = try Stage(["--tls"])
    let engine = try Program("apus", ["run", "--config", stage.configuration()])
    #expect(engine.wait() == 69)
    expectOneLine(engine, "certificate")
  }

  @Test func `R57 a key file that others can read is refused with the fix, and exits with 78`() throws {
    let stage = try Stage()
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: stage.room.file("key.pem"))
    let engine = try Program("apus", ["run", "--config", stage.configuration()])
    #expect(engine.wait() == 78)
    expectOneLine(engine, "chmod 600", "0644")
  }

  @Test func `a full disk says so before anything connects and exits with 71`() throws {
    let stage = try Stage()
    // The same refusal as a full disk gives, without needing one: no file may pass 64 KiB.
    let engine = try Program(
      "apus", ["run", "--config", stage.configuration()], shell: "trap '' XFSZ; ulimit -f 64")
    #expect(engine.wait() == 71)
    expectOneLine(engine, "journal", stage.room.file("data"))
    try stage.expectNothingLeft()
  }

  @Test func `a data directory that cannot be made says so and exits with 71`() throws {
    let stage = try Stage()
    let engine = try Program("apus", ["run", "--config", stage.configuration(data: "key.pem/data")])
    #expect(engine.wait() == 71)
    expectOneLine(engine, "key.pem/data", "Not a directory", "engine.data_directory")
  }

  @Test func `R51 config check names file, line, key, the value found and what is allowed`() throws {
    let room = try Room()
    try room.write(
      """
      engine:
        name: test
        data_directory: data
      venue:
        url: ws://127.0.0.1:8765/ws/api/v2
        key_id: K1
        private_key_file: key.pem
      instruments:
        - name: BTC-PERPETUAL
          ladder: {levels: 99, half_spread_bps: 0.3, step_ticks: 2, size: 0.02, skew_bps: 1.0}
          limits: {max_position: 0.5, max_order: 0.1, max_notional: 20000, collar_bps: 100, max_orders: 12}
      """, to: "bad.yaml")
    let check = try Program("apus", ["config", "check", room.file("bad.yaml")])
    #expect(check.wait() == 78)
    #expect(check.err.contains("bad.yaml:10:"))
    #expect(check.err.contains("levels"))
    #expect(check.err.contains("99"))
    #expect(check.err.contains("1 to 32"))
    let run = try Program("apus", ["run", "--config", room.file("bad.yaml")])
    #expect(run.wait() == 78)
  }

  @Test func `the example configurations are good, and every command explains itself`() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    for name in ["demo", "thalex-testnet", "several-venues", "strategies", "make-and-hedge"] {
      let check = try Program(
        "apus", ["config", "check", root.appendingPathComponent("tools/configs/\(name).yaml").path])
      #expect(check.wait() == 0, "\(check.err)")
    }
    for command in [
      ["--help"], ["demo", "--help"], ["run", "--help"], ["venue", "--help"], ["config", "check", "--help"],
      ["monitor", "--help"], ["config", "explain"],
    ] {
      let help = try Program("apus", command)
      #expect(help.wait() == 0)
      #expect(help.out.count > 100, "\(command)")
    }
    let wrong = try Program("apus", ["demo", "--sedonds", "3"])
    #expect(wrong.wait() == 64)
    #expect(wrong.err.contains("--seconds"))
  }

  @Test func `the embedding example runs the engine with its own strategy`() throws {
    let stage = try Stage()
    let example = try Program("OwnStrategy", [stage.configuration()])
    #expect(example.wait(seconds: 60) == 0, "\(example.err)")
    #expect(example.out.contains("stop verified: true"), "\(example.out)")
    try stage.expectNothingLeft()
  }

  @Test func `a program with its own strategy repeats its journal to the byte, and apus alone cannot`() throws {
    let stage = try Stage()
    let example = try Program("OwnStrategy", [stage.configuration()])
    #expect(example.wait(seconds: 60) == 0, "\(example.err)")
    let journal = stage.room.file("data/journal")
    let replay = try Program("OwnStrategy", ["--replay", journal])
    #expect(replay.wait() == 0, "\(replay.err)")
    let line = try #require(replay.out.split(separator: "\n").first)
    #expect(line.hasSuffix(" frames out: equal"), "\(replay.out)")
    let words = line.split(separator: " ")
    // Not equal because there was nothing.
    #expect(words.firstIndex(of: "frames").flatMap { Int(words[$0 - 1]) }.map { $0 > 10 } == true, "\(replay.out)")
    let apus = try Program("apus", ["replay", journal])
    #expect(apus.wait() == 65, "\(apus.out)")
    #expect(apus.out.contains("strategy of the program's own"), "\(apus.out)")
  }
}
