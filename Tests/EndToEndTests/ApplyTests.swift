import Apus
import CSupport
import Foundation
import Testing

/// Other parameters for an engine that runs.
@Suite struct ApplyTests {
  private func apply(_ path: String, _ options: [String] = []) throws -> (code: Int32, out: String, err: String) {
    let apply = try Program("apus", ["apply", "--config", path] + options)
    return (apply.wait(), apply.out, apply.err)
  }

  @Test func `parameters are taken over while it quotes, refused with their keys where they need a restart, and replayed`() throws {
    let stage = try RunTests.Stage()
    let path = try stage.configuration()
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let nobody = try apply(path)
    #expect(nobody.code == 69 && nobody.err.contains("no engine writes"), "\(nobody)")

    let engine = try Program("apus", ["run", "--config", path])
    #expect(engine.waitFor("quoting"))
    func lane() -> LaneSnapshot? {
      (try? TelemetryReader(path: stage.room.file("data/telemetry")))?.snapshot().lanes.first
    }
    func wait(until isSo: (LaneSnapshot) -> Bool) -> Bool {
      let deadline = Date().addingTimeInterval(20)
      while Date() < deadline {
        if let lane = lane(), isSo(lane) { return true }
        usleep(20_000)
      }
      return false
    }
    #expect(wait { $0[.ordersLive] > 0 })
    let wider = try #require(text.firstMatch(of: /half_spread_bps: [0-9.]+/))
    let changed = stage.room.file("changed.yaml")
    try text.replacingCharacters(in: wider.range, with: "half_spread_bps: 7.5").write(
      toFile: changed, atomically: true, encoding: .utf8)

    let trial = try apply(changed, ["--dry-run"])
    #expect(trial.code == 0 && trial.out.contains("half_spread_bps") && trial.out.contains("nothing has"), "\(trial)")
    let done = try apply(changed)
    #expect(done.code == 0 && done.out.contains("→ 7.5") && done.out.contains("version 1 is in force"), "\(done)")
    #expect(wait { $0[.parameters] == 1 })

    let fixed = stage.room.file("fixed.yaml")
    try text.replacing("instruments:", with: "manager:\n  max_loss: 5\ninstruments:").write(
      toFile: fixed, atomically: true, encoding: .utf8)
    let refused = try apply(fixed)
    #expect(refused.code == 65 && refused.err.contains("manager.max_loss 0 → 5"), "\(refused)")
    let wrong = stage.room.file("wrong.yaml")
    try text.replacing("instruments:", with: "instrumentes:").write(toFile: wrong, atomically: true, encoding: .utf8)
    #expect(try apply(wrong).code == 78)
    // Back again, by the file of before.
    let back = try apply(path)
    #expect(back.code == 0 && back.out.contains("version 2 is in force"), "\(back)")

    // As releases of configuration alone, there and back.
    func release(_ arguments: String...) throws -> (code: Int32, out: String, err: String) {
      let program = try Program("apus", ["release"] + arguments)
      return (program.wait(), program.out, program.err)
    }
    let root = stage.room.file("releases")
    let binary = Program.buildDirectory.appendingPathComponent("apus").path
    #expect(try release("pack", "--config", path, "--name", "a", "--to", root, "--binary", binary).code == 0)
    #expect(try release("pack", "--config", changed, "--name", "b", "--to", root, "--base", "a").code == 0)
    #expect(try release("pack", "--config", fixed, "--name", "c", "--to", root, "--base", "a").code == 0)
    let first = try release("use", root, "b", "--live")
    #expect(first.code == 66 && first.err.contains("no release is current"), "\(first)")
    #expect(try release("use", root, "a").code == 0)
    let used = try release("use", root, "b", "--live")
    #expect(used.code == 0 && used.out.contains("version 3 is in force") && used.out.contains("current is b"), "\(used)")
    let third = try release("use", root, "c", "--live")
    #expect(third.code == 65 && third.err.contains("manager.max_loss 0 → 5"), "\(third)")
    let returned = try release("back", root, "--live")
    #expect(returned.code == 0 && returned.out.contains("version 4") && returned.out.contains("current is a"), "\(returned)")

    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.err)")
    let late = try release("use", root, "b", "--live")
    #expect(late.code == 69 && late.err.contains("no engine writes"), "\(late)")
    try stage.expectNothingLeft()
    let replay = try Program("apus", ["replay", stage.room.file("data/journal")])
    #expect(replay.wait() == 0 && replay.out.contains("equal"), "\(replay.out) \(replay.err)")
    var reader = try JournalReader(path: stage.room.file("data/journal"))
    var changes = 0
    while let record = reader.next() { changes += record.kind == .parameters ? 1 : 0 }
    #expect(changes == 4)
  }
}
