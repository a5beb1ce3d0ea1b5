import Foundation
import Testing

/// `apus doctor` as it is typed, and the manifest that each start leaves.
@Suite(.serialized) struct DoctorTests {
  @Test func `the doctor judges this host, with a score, reasons and ways to fix`() throws {
    let doctor = try Program("apus", ["doctor", "--seconds", "0"])
    #expect(doctor.wait(seconds: 20) == 0, "\(doctor.err)")
    #expect(doctor.out.contains("isolated core"))
    #expect(doctor.out.contains("score "))
    #expect(!doctor.out.contains("jitter of core"))
  }

  @Test func `the doctor's JSON has every check and the measurement`() throws {
    let doctor = try Program("apus", ["doctor", "--json", "--seconds", "0.2", "--core", "0"])
    #expect(doctor.wait(seconds: 20) == 0, "\(doctor.err)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(doctor.out.utf8)) as? [String: Any])
    let host = try #require(report["host"] as? [String: Any])
    let checks = try #require(host["checks"] as? [[String: Any]])
    #expect(checks.count == 24)
    #expect(host["core"] as? Int == 0)
    #expect((0...100).contains(try #require(host["score"] as? Int)))
    for check in checks {
      #expect(Set(check.keys).subtracting(["fix"]) == ["id", "title", "weight", "state", "found", "why"])
    }
    let jitter = try #require(report["jitter"] as? [String: Any])
    #expect(jitter["rounds"] as? Int ?? 0 > 1000)
    #expect(jitter["p9999_nanoseconds"] as? Double ?? 0 > 0)
  }

  @Test func `with --strict something bad is an exit code`() throws {
    // A limit of few files is bad anywhere.
    let strict = try Program("apus", ["doctor", "--seconds", "0", "--strict"], shell: "ulimit -n 100")
    #expect(strict.wait(seconds: 20) == 1, "\(strict.out)")
    let lax = try Program("apus", ["doctor", "--seconds", "0"], shell: "ulimit -n 100")
    #expect(lax.wait(seconds: 20) == 0)
    #expect(lax.out.contains("LimitNOFILE=65536"))
  }

  @Test func `the core comes from the configuration, and a wrong one is an error of the configuration`() throws {
    let room = try Room()
    try room.write(
      """
      engine: {name: a, core: 0, data_directory: data}
      venue: {url: "ws://127.0.0.1:9/ws", key_id: K1, private_key_file: key.pem}
      \(Room.quoted())
      """, to: "a.yaml")
    let doctor = try Program("apus", ["doctor", "--seconds", "0", "--config", room.file("a.yaml")])
    #expect(doctor.wait(seconds: 20) == 0, "\(doctor.err)")
    #expect(doctor.out.contains("the lane's core: 0\n"))
    try room.write("engine: {}\n", to: "b.yaml")
    let wrong = try Program("apus", ["doctor", "--seconds", "0", "--config", room.file("b.yaml")])
    #expect(wrong.wait(seconds: 20) == 78)
  }

  @Test(arguments: [
    (["--seconds", "1000"], "--seconds must be 0, or from 0.001 to 600"), (["--core", "-1"], "--core"),
    (["--venue", "no port"], "--venue no port is neither"),
  ])
  func `wrong arguments are refused with what is allowed`(arguments: [String], text: String) throws {
    let doctor = try Program("apus", ["doctor"] + arguments)
    #expect(doctor.wait(seconds: 20) == 64)
    #expect(doctor.err.contains(text), "\(doctor.err)")
  }

  @Test func `a venue without a clock of its own is named with the reason`() throws {
    let stage = try RunTests.Stage()
    let doctor = try Program("apus", ["doctor", "--seconds", "0", "--venue", stage.url])
    #expect(doctor.wait(seconds: 20) == 0, "\(doctor.err)")
    #expect(doctor.out.contains("did not tell: its answer has no field Date"), "\(doctor.out)")
  }

  @Test func `each start leaves its manifest, and the last ones are kept`() throws {
    let stage = try RunTests.Stage()
    let path = try stage.configuration()
    let runs = stage.room.file("data/runs")
    try FileManager.default.createDirectory(atPath: runs, withIntermediateDirectories: true)
    // As many starts as are kept, long ago; and a file that is none of ours.
    for epoch in 1...64 { try Data("{}".utf8).write(to: URL(fileURLWithPath: "\(runs)/\(epoch).json")) }
    try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(runs)/notes.json"))
    var hashes: Set<String> = []
    for turn in 1...2 {
      let engine = try Program("apus", ["run", "--config", path])
      #expect(engine.waitFor("live state in", seconds: 30), "\(engine.err)")
      usleep(1_500_000)
      engine.signal(SIGTERM)
      #expect(engine.wait(seconds: 60) == 0, "\(engine.err)")
      let run = try stage.room.json("data/run.json")
      let epoch = try #require(run["boot_epoch"] as? Int)
      #expect(try stage.room.json("data/runs/\(epoch).json") as NSDictionary == run as NSDictionary)
      let kept = try FileManager.default.contentsOfDirectory(atPath: runs)
      #expect(kept.count == 65)
      #expect(!kept.contains("\(turn).json") && kept.contains("\(turn + 1).json") && kept.contains("notes.json"))
      hashes.insert(try #require(run["configuration_sha256"] as? String))

      let build = try #require(run["build"] as? [String: Any])
      #expect(build["version"] as? String == "0.1.0")
      let venue = try #require(run["venue"] as? [String: Any])
      #expect(venue["address"] as? String == stage.url)
      #expect((venue["capabilities"] as? [String])?.contains("cancel_on_disconnect") == true)
      let engineFacts = try #require(run["engine"] as? [String: Any])
      #expect(engineFacts["name"] as? String == "test")
      #expect(["io_uring", "epoll"].contains(engineFacts["driver"] as? String))
      #expect(((run["host"] as? [String: Any])?["checks"] as? [Any])?.count == 24)
      let text = try String(contentsOfFile: stage.room.file("data/run.json"), encoding: .utf8)
      #expect(!text.contains("key.pem") && !text.contains("K1"))
      let mode = try FileManager.default.attributesOfItem(atPath: stage.room.file("data/run.json"))[.posixPermissions]
      #expect(mode as? Int == 0o600)
    }
    #expect(hashes.count == 1)
    #expect(hashes.first?.count == 64)
  }
}
