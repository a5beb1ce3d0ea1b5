import Apus
import CSupport
import Foundation
import Testing

/// The journal's policies in a whole engine.
@Suite(.serialized) struct JournalPolicyTests {
  private func lane(_ stage: RunTests.Stage) -> LaneSnapshot? {
    (try? TelemetryReader(path: stage.room.file("data/telemetry")))?.snapshot().lanes.first
  }

  private func segments(_ stage: RunTests.Stage) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: stage.room.file("data/journal"))) ?? []).sorted()
  }

  @Test func `below the floor of free space the quotes are pulled, and it is told`() throws {
    let stage = try RunTests.Stage()
    // More than any disk has: the floor is met from the beginning.
    let config = try stage.configuration(journal: "{min_free_mib: 1000000000}")
    let engine = try Program("apus", ["run", "--config", config, "--report", stage.room.file("report.json")])
    let deadline = Date().addingTimeInterval(20)
    while Date() < deadline, !engine.err.contains("min_free_mib") { usleep(20_000) }
    usleep(2_000_000)
    let halt = lane(stage)?.halt
    #expect(halt?.latchedLevel == .cancelAll, "\(String(describing: halt))")
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.err)")
    #expect(engine.err.contains("the quotes are pulled; free space, then apus resume"), "\(engine.err)")
    let report = try stage.room.json("report.json")
    #expect((report["journal_problem"] as? String)?.contains("min_free_mib") == true, "\(report)")
    try stage.expectNothingLeft()
    // The halt is an input of the lane: the run is repeated with it.
    let replay = try Program("apus", ["replay", stage.room.file("data")])
    #expect(replay.wait() == 0, "\(replay.out)")
  }

  @Test func `with on_failure continue it is told, and quoting goes on`() throws {
    let stage = try RunTests.Stage()
    let config = try stage.configuration(journal: "{min_free_mib: 1000000000, on_failure: continue}")
    let engine = try Program("apus", ["run", "--config", config, "--report", stage.room.file("report.json")])
    #expect(engine.waitFor("quoting"))
    usleep(4_000_000)
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.err)")
    #expect(engine.err.contains("quoting goes on"), "\(engine.err)")
    let report = try stage.room.json("report.json")
    #expect((report["inserts"] as? Int ?? 0) > 0, "\(report)")
  }

  @Test(arguments: ["none", "interval", "each"])
  func `small segments under each sync policy are repeated to the byte, and a size limit holds`(sync: String) throws {
    let stage = try RunTests.Stage(["--speed", "20"])
    let config = try stage.configuration(
      journal: "{sync: \(sync), sync_interval_ms: 50, segment_mib: 1, keep_mib: 6, min_free_mib: 0}")
    for _ in 0..<2 {
      let engine = try Program("apus", ["run", "--config", config])
      #expect(engine.waitFor("quoting"))
      usleep(4_000_000)
      engine.signal(SIGTERM)
      #expect(engine.wait() == 0, "\(engine.err)")
      #expect(!engine.out.contains("journal:"), "\(engine.out)")
    }
    let names = segments(stage)
    #expect(names.count <= 7 && !names.isEmpty, "\(names)")
    let replay = try Program("apus", ["replay", stage.room.file("data")])
    let code = replay.wait()
    #expect(code == 0 || (code == 65 && replay.out.contains("its beginning is no longer there")), "\(replay.out)")
    #expect(replay.out.contains("equal: every frame out, fill and note is the recorded one"), "\(replay.out)")
  }
}
