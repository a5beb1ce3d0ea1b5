import Apus
import CSupport
import Foundation
import Testing

/// `apus release` with the program that was built beside the tests, and engines started from what it packed.
@Suite(.serialized) struct ReleaseCommandTests {
  static let apus = Program.buildDirectory.appendingPathComponent("apus").path

  private func apus(_ arguments: String..., code: Int32 = 0, sourceLocation: SourceLocation = #_sourceLocation) throws
    -> Program
  {
    let program = try Program("apus", arguments)
    #expect(program.wait() == code, "\(program.err)\(program.out)", sourceLocation: sourceLocation)
    return program
  }

  @Test func `a packed release starts from current in under a second, passes, and is switched back`() throws {
    let stage = try RunTests.Stage()
    let config = try stage.configuration()
    let root = stage.room.file("releases")
    let packed = try apus("release", "pack", "--config", config, "--name", "v1", "--to", root, "--note", "the first")
    #expect(packed.out.contains("packed \(root)/v1: apus 0.1.0"), "\(packed.out)")
    #expect(packed.out.contains("test for simulated"), "\(packed.out)")
    _ = try apus("release", "verify", "\(root)/v1")
    _ = try apus("release", "use", root, "v1")
    _ = try apus("release", "pack", "--config", config, "--name", "v2", "--to", root, "--base", "v1")

    // Nothing of the build directory is needed: the libraries lie beside the program.
    let current = URL(fileURLWithPath: "\(root)/current").resolvingSymlinksInPath().path
    #expect(current == URL(fileURLWithPath: "\(root)/v1").resolvingSymlinksInPath().path)
    let report = stage.room.file("report.json")
    let begun = Date()
    let engine = try ChildProcess(
      "\(current)/apus", ["run", "--config", "\(current)/config.yaml", "--report", report])
    let line = try engine.line(startingWith: "apus: ", seconds: 20)
    let seconds = Date().timeIntervalSince(begun)
    #expect(seconds < 1, "the first line came after \(seconds) s")
    #expect(line.hasPrefix("apus: simulated: quoting BTC-PERPETUAL on ws://127.0.0.1:"), "\(line)")
    var state: LaneState?
    while state != .quoting, Date().timeIntervalSince(begun) < 20 {
      usleep(5_000)
      guard let reader = try? TelemetryReader(path: stage.room.file("data/telemetry")) else { continue }
      let snapshot = reader.snapshot()
      #expect(snapshot.mode == .simulated)
      state = snapshot.lanes.first?.state
    }
    #expect(state == .quoting)
    print("a release quoted \(Date().timeIntervalSince(begun)) s after its start")
    let manifest = try stage.room.json("data/run.json")
    #expect((manifest["engine"] as? [String: Any])?["mode"] as? String == "simulated")
    let top = try apus("top", "--telemetry", stage.room.file("data/telemetry"), "--once", "--json")
    let shown = try JSONSerialization.jsonObject(with: Data(top.out.utf8)) as? [String: Any]
    #expect(shown?["mode"] as? String == "simulated", "\(top.out)")
    usleep(2_000_000)
    engine.interrupt()
    #expect(try engine.waitForExit(seconds: 60) == 0, "\(engine.errorOutput)")
    #expect(engine.output.contains("test, simulated: ran"), "\(engine.output)")
    var journal = try JournalReader(path: stage.room.file("data/journal"))
    while let record = journal.next() {
      guard record.kind == .run else { continue }
      #expect(String(decoding: record.payload, as: UTF8.self).contains("\"mode\":\"simulated\""))
    }

    let passed = try apus("release", "passed", "\(root)/v1", "--mode", "simulated", "--report", report)
    #expect(passed.out.contains("has passed simulated: run "), "\(passed.out)")
    let twice = try apus("release", "passed", "\(root)/v1", "--mode", "simulated", "--report", report, code: 77)
    #expect(twice.err.contains("is recorded already"), "\(twice.err)")
    // v2 has the same program and the same configuration: the run is as good for it.
    _ = try apus("release", "passed", "\(root)/v2", "--mode", "simulated", "--report", report)

    _ = try apus("release", "use", root, "v2")
    let back = try apus("release", "back", root)
    #expect(back.out == "current is v1 (simulated, engine test); before, v2\n")
    let list = try apus("release", "list", root)
    let lines = list.out.split(separator: "\n")
    #expect(lines.contains { $0.hasPrefix("*  v1 ") && $0.hasSuffix("simulated") }, "\(list.out)")
    #expect(list.out.contains("the first") && list.out.contains("program of v1"), "\(list.out)")
    let json =
      try JSONSerialization.jsonObject(
        with: Data(apus("release", "list", root, "--json").out.utf8)) as? [[String: Any]]
    #expect(json?.map { $0["name"] as? String } == ["v1", "v2"])
    #expect(json?.map { $0["is_current"] as? Bool } == [true, false])
    let build = try #require((json?.first?["manifest"] as? [String: Any])?["build"] as? [String: Any])
    #expect(build["version"] as? String == "0.1.0" && build["revision"] != nil)
    try stage.expectNothingLeft()
  }

  @Test func `a corrupted program is named by verify and not let in by use`() throws {
    let stage = try Room()
    try stage.write(Self.configuration("ws://127.0.0.1:9/ws"), to: "a.yaml")
    let root = stage.file("releases")
    let program = try apus(
      "release", "pack", "--config", stage.file("a.yaml"), "--name", "v1", "--to", root, "--binary", Self.apus)
    #expect(program.out.contains("desk_1 for simulated"), "\(program.out)")
    let file = try #require(FileHandle(forUpdatingAtPath: "\(root)/v1/apus"))
    try file.seek(toOffset: 100_000)
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: 100_000)
    try file.write(contentsOf: Data([byte ^ 1]))
    try file.close()
    let verified = try apus("release", "verify", "\(root)/v1", code: 1)
    #expect(verified.err == "apus: \(root)/v1: apus was changed: its SHA-256 is another one\n")
    let used = try apus("release", "use", root, "v1", code: 65)
    #expect(used.err.contains("is damaged: apus was changed"), "\(used.err)")
  }

  @Test func `what is refused says so in one line, with its exit code`() throws {
    let stage = try Room()
    let root = stage.file("releases")
    try stage.write(Self.configuration("wss://thalex.com/ws/api/v2"), to: "unsaid.yaml")
    try stage.write(Self.configuration("wss://thalex.com/ws/api/v2", mode: "mode: production"), to: "production.yaml")
    func pack(_ config: String, _ more: String..., code: Int32 = 0) throws -> String {
      let program = try Program(
        "apus", ["release", "pack", "--config", stage.file(config), "--name", "v1", "--to", root] + more)
      #expect(program.wait() == code, "\(program.err)")
      #expect(code == 0 || program.err.hasPrefix("apus: "), "\(program.err)")
      return program.err
    }
    #expect(try pack("unsaid.yaml", code: 78).contains("unsaid.yaml:5:"))
    #expect(try pack("unsaid.yaml", "--binary", Self.apus, code: 78).contains("\(stage.file("unsaid.yaml")):5:"))
    #expect(try pack("none.yaml", code: 78).contains("none.yaml"))
    #expect(try pack("production.yaml", "--base", "v0", code: 66).contains("v0"))
    #expect(try pack("production.yaml", "--binary", "/bin/true", code: 66).contains("does not say what it is"))
    #expect(try pack("production.yaml", "--binary", stage.file("none"), code: 66).contains("none"))
    #expect(try pack("production.yaml") == "")
    #expect(try pack("production.yaml", code: 73).contains("is there already"))
    let refused = try apus("release", "use", root, "v1", code: 77)
    #expect(refused.err.contains("has passed testnet") && refused.err.contains("--override REASON"), "\(refused.err)")
    _ = try apus("release", "use", root, "v1", "--override", " ", code: 64)
    let loud = try apus("release", "use", root, "v1", "--override", "a drill")
    #expect(loud.err.hasPrefix("apus: OVERRIDDEN: the release v1 is for production"), "\(loud.err)")
    #expect(loud.err.contains("a drill"))
    #expect(try apus("release", "list", root).out.contains("OVERRIDDEN "))
    #expect(try String(contentsOfFile: "\(root)/audit.jsonl", encoding: .utf8).contains("\"why\":\"a drill\""))
    _ = try apus("release", "back", root, code: 66)
    _ = try apus("release", "list", stage.file("none"), code: 66)
  }

  @Test func `production needs the engine's name at the start, and nothing connects before`() throws {
    let stage = try Room()
    try stage.write(
      Self.configuration("wss://venue.invalid/ws", mode: "mode: production"), to: "production.yaml")
    try stage.write(Self.configuration("ws://127.0.0.1:9/ws"), to: "simulated.yaml")
    func run(_ config: String, _ more: String..., code: Int32) throws -> String {
      let program = try Program("apus", ["run", "--config", stage.file(config)] + more)
      #expect(program.wait() == code, "\(program.err)")
      #expect(program.out == "")
      return program.err
    }
    #expect(
      try run("production.yaml", code: 64)
        == "apus: engine desk_1 is configured for production, where orders cost real money: confirm with --production "
        + "desk_1\n")
    #expect(
      try run("production.yaml", "--production", "desk_2", code: 64).contains("--production desk_2 confirms another"))
    #expect(
      try run("simulated.yaml", "--production", "desk_1", code: 64).contains("the mode of engine desk_1 is simulated"))
    // It goes as far as the name of the venue, which does not exist.
    try stage.writeKey("key.pem")
    let program = try Program(
      "apus", ["run", "--config", stage.file("production.yaml"), "--production", "desk_1"],
      shell: "cd '\(stage.path)'")
    #expect(program.wait() == 69, "\(program.err)")
    #expect(
      program.out.hasPrefix("apus: production: quoting BTC-PERPETUAL on wss://venue.invalid/ws"), "\(program.out)")
    let drill = try Program("apus", ["drill", "--config", stage.file("production.yaml")])
    #expect(drill.wait() == 64 && drill.err.contains("--production desk_1"), "\(drill.err)")
  }

  private static func configuration(_ url: String, mode: String = "idle: park") -> String {
    """
    engine:
      name: desk_1
      data_directory: data
      \(mode)
    venue: {url: "\(url)", key_id: K1, private_key_file: key.pem}
    \(Room.quoted())
    """
  }
}

extension Room {
  /// A new private key.
  fileprivate func writeKey(_ name: String) throws {
    try write(SigningKey.generate().withPrivatePEM { String(decoding: $0, as: UTF8.self) }, to: name)
  }
}
