import Foundation
import Testing

/// The monitor beside a running engine, as people and Prometheus see it. Each starts a demo, so one at a time.
@Suite(.serialized) struct MonitorTests {
  /// Where the pictures of the page are left for people to look at: beside the build.
  static var pictures: String { Places.package + "/.build/pictures" }

  private func check(_ script: String, _ arguments: [String]) throws -> Program {
    try Program(
      "apus", [],
      shell: (["exec python3 '\(Places.pythonScripts)/\(script)'"] + arguments.map { "'\($0)'" }).joined(separator: " ")
    )
  }

  @Test func `the page, its data and other readers show the same figures`() throws {
    let room = try Room()
    let check = try check("monitor_check.py", [Places.apus(), room.path, Self.pictures])
    #expect(check.wait(seconds: 240) == 0, "\(check.out)\(check.err)")
    print(check.out, terminator: "")
    #expect(check.out.contains("figures equal apus top"))
    #expect(check.out.contains("figures equal /metrics"))
  }

  @Test func `the real Prometheus scrapes it, and rules and dashboard find what they ask for`() throws {
    let room = try Room()
    let check = try check("prometheus_check.py", [Places.apus(), room.path])
    #expect(check.wait(seconds: 240) == 0, "\(check.out)\(check.err)")
    print(check.out, terminator: "")
    #expect(check.out.contains("ApusLaneSilent fires") || check.out.contains("tools/setup --monitoring"))
  }

  @Test func `apus top in a real terminal fits, does not flicker, and obeys its keys`() throws {
    let room = try Room()
    let check = try check("top_check.py", [Places.apus(), room.path])
    #expect(check.wait(seconds: 240) == 0, "\(check.out)\(check.err)")
    print(check.out, terminator: "")
    #expect(check.out.contains("q ends") || check.out.contains("tools/setup --monitoring"))
  }

  @Test func `it listens beyond this machine only with a token that nobody else may read`() throws {
    let room = try Room()
    func expect(_ code: Int32, _ arguments: [String], _ text: String) throws {
      let run = try Program("apus", ["monitor", "--telemetry", room.file("telemetry")] + arguments)
      #expect(run.wait(seconds: 20) == code, "\(arguments): \(run.err)")
      #expect(run.err.contains(text), "\(arguments): \(run.err)")
    }
    try room.write("0123456789abcdef0123\n", to: "token", mode: 0o644)
    try room.write("short\n", to: "short")
    try expect(64, ["--listen", "0.0.0.0:0"], "--listen there needs --token-file")
    try expect(64, ["--listen", "somewhere:80"], "--listen")
    try expect(78, ["--listen", "0.0.0.0:0", "--token-file", room.file("token")], "chmod 600")
    try expect(78, ["--listen", "0.0.0.0:0", "--token-file", room.file("short")], "at least 16")
    try expect(78, ["--token-file", room.file("missing")], "No such file")
    try room.write("0123456789abcdef0123\n", to: "good")
    // An address that is not this machine's.
    try expect(
      71, ["--listen", "203.0.113.1:9464", "--token-file", room.file("good")], "could not serve on 203.0.113.1:9464")
  }

  @Test func `an address that another program has is refused at once, and the way out is told`() throws {
    let room = try Room()
    let first = try Program("apus", ["monitor", "--telemetry", room.file("telemetry"), "--port", "0"])
    #expect(first.waitFor("serving http://127.0.0.1:"), "\(first.err)")
    let port = try #require(first.out.firstMatch(of: /127\.0\.0\.1:([0-9]+)\//)?.1)
    let second = try Program("apus", ["monitor", "--telemetry", room.file("telemetry"), "--port", String(port)])
    #expect(second.wait(seconds: 20) == 71)
    #expect(
      second.err.contains("could not serve on 127.0.0.1:\(port): another program has this address"), "\(second.err)")
    first.signal(SIGINT)
    _ = first.wait(seconds: 20)
  }
}
