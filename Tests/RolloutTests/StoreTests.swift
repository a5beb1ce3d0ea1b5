import Apus
import ApusRelease
import CSupport
import Foundation
import Testing

@testable import ApusRollout

/// What a rollout keeps on disk, and what others make of it.
@Suite struct StoreTests {
  private func state(_ room: EngineTests.Room, phase: RolloutPhase) throws -> (RolloutStore, RolloutState) {
    let store = RolloutStore(root: ReleaseRoot(path: room.path))
    try store.makeDirectories()
    var state = RolloutState(
      id: "R7", candidate: "v2", checksum: "", incumbent: "v1", engineName: "e",
      slots: (EngineSlot(name: "b", dataDirectory: room.file("b")), EngineSlot(name: "a", dataDirectory: room.file("a"))),
      plan: try RolloutPlan.parse("steps:\n  - {instruments: 100%, at_least_s: 1}\n"), instruments: ["A"], now: 0, wall: 0)
    state.phase = phase
    try store.save(state)
    return (store, state)
  }

  @Test func `a state that cannot be read is not taken for none`() throws {
    let room = try EngineTests.Room()
    let (store, saved) = try state(room, phase: .watch)
    #expect(try store.state() == saved && store.switchProblem?.contains("under way") == true)
    let path = "\(store.directory)/state.json"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    for (damaged, message) in [
      (text.replacing("\"version\":1", with: "\"version\":2"), "version 2"),
      (text.replacing("\"candidate\":", with: "\"candidates\":"), "is not a state that this program reads"), ("{", "bytes that are none"),
    ] {
      try Data(damaged.utf8).write(to: URL(fileURLWithPath: path))
      #expect { try store.state() } throws: { "\($0)".contains(message) }
      #expect(store.switchProblem?.contains(message) == true)
      #expect { try store.ask(RolloutRequest(kind: .abort, user: "test")) } throws: { "\($0)".contains(message) }
    }
    unlink(path)
    #expect(try store.state() == nil && store.switchProblem == nil)
  }

  @Test func `a supervisor begins although somebody asks whether one is at work`() throws {
    let room = try EngineTests.Room()
    let (store, _) = try state(room, phase: .watch)
    let box = try Box(store.directory)
    Thread.detachNewThread {
      usleep(50_000)
      box.drop()
    }
    let lock = try store.lock()
    #expect(store.isSupervised)
    withExtendedLifetime(lock) {}
  }

  /// A lock that another thread lets go.
  private final class Box: @unchecked Sendable {
    private var lock: DirectoryLock?
    init(_ path: String) throws { lock = try DirectoryLock.attempt(path) }
    func drop() { lock = nil }
  }

  @Test func `a request says which rollout and stage it is for`() throws {
    let room = try EngineTests.Room()
    let (store, _) = try state(room, phase: .watch)
    #expect { try store.ask(RolloutRequest(kind: .pause, user: "test")) } throws: { "\($0)".contains("it goes on where it was") }
    let lock = try store.lock()
    try store.ask(RolloutRequest(kind: .promote, user: "test"))
    let request = try #require(store.takeRequests().first)
    #expect(request.rollout == "R7" && request.stage == "watch 0")
    // It waits for its alerts to be delivered, and obeys nobody any more.
    _ = try state(room, phase: .done)
    #expect { try store.ask(RolloutRequest(kind: .pause, user: "test")) } throws: { "\($0)".contains("no rollout is under way") }
    withExtendedLifetime(lock) {}
  }

  @Test func `while a rollout has divided the instruments nobody else starts an engine there`() throws {
    let room = try EngineTests.Room()
    let (store, _) = try state(room, phase: .watch)
    let data = room.file("a")
    func problem(_ environment: [String: String] = [:]) -> String? { RolloutMark.problem(dataDirectory: data, environment: environment) }
    #expect(problem() == nil)
    try RolloutMark(root: room.path, rollout: "R7").write(to: data)
    #expect(problem()?.contains("the rollout of v2 against v1 is under way") == true)
    #expect(problem(["APUS_ROLLOUT": "R6"]) != nil && problem(["APUS_ROLLOUT": "R7"]) == nil)
    // Nobody knows: not started either.
    try Data("{".utf8).write(to: URL(fileURLWithPath: "\(store.directory)/state.json"))
    #expect(problem()?.contains("not known") == true)
    // It has ended: what it left is of no account.
    _ = try state(room, phase: .done)
    #expect(problem() == nil && !FileManager.default.fileExists(atPath: "\(data)/rollout.json"))
  }
}
