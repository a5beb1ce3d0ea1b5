import Apus
import Foundation
import Synchronization
import Testing

@testable import ApusRelease

@Suite struct SwitchTests {
  /// What the reader and the switcher tell each other.
  private final class Shared: Sendable {
    let isDone = Atomic<Bool>(false)
    let counts = Mutex<[String: Int]>([:])
  }

  @Test func `use switches, back returns step by step, and all of it is in the audit`() throws {
    let room = try ReleaseRoom()
    let root = room.root
    failure(.unreadable, "releases") { _ = try root.use("v1") }
    for name in ["v1", "v2", "v3"] { try room.pack(name) }
    #expect(root.current == nil)
    failure(.unreadable, "no release before") { _ = try root.back() }
    for name in ["v1", "v2", "v3"] { #expect(try root.use(name).release.manifest.name == name) }
    #expect(root.current == "v3")
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: room.file("releases/current")) == "v3")
    #expect(try root.use("v3").from == "v3", "it is current already, and no line says otherwise")
    #expect(try root.back().from == "v3")
    #expect(root.current == "v2")
    #expect(try root.back().release.manifest.name == "v1")
    failure(.unreadable, "no release before v1") { _ = try root.back() }
    _ = try root.use("v3")
    #expect(try root.back().release.manifest.name == "v1")
    let lines = try root.audit.lines()
    #expect(
      lines.map { "\($0.what.rawValue) \($0.from ?? "-") \($0.release)" } == [
        "use - v1", "use v1 v2", "use v2 v3", "back v3 v2", "back v2 v1", "use v1 v3", "back v3 v1",
      ])
    #expect(lines.allSatisfy { !$0.user.isEmpty && $0.at.count == 20 && $0.at.hasSuffix("Z") })
    let list = try root.list()
    #expect(list.map(\.name) == ["v1", "v2", "v3"] && list.filter(\.isCurrent).map(\.name) == ["v1"])
  }

  @Test func `a record whose switch did not follow, and one that was cut short, have not happened`() throws {
    let room = try ReleaseRoom()
    for name in ["v1", "v2", "v3"] { try room.pack(name) }
    _ = try room.root.use("v1")
    _ = try room.root.use("v2")
    // Killed after the record.
    try room.root.audit.append(
      AuditLine(at: "2026-01-01T00:00:00Z", user: "a", what: .use, release: "v3", mode: .simulated, from: "v2"))
    #expect(ReleaseAudit.before("v2", try room.root.audit.lines()) == ["v1"])
    _ = try room.root.use("v3")
    #expect(ReleaseAudit.before("v3", try room.root.audit.lines()) == ["v1", "v2"])
    // Killed within it.
    let file = try #require(FileHandle(forWritingAtPath: room.file("releases/audit.jsonl")))
    try file.seekToEnd()
    try file.write(contentsOf: Data("{\"at\":\"2026".utf8))
    #expect(try room.root.back().release.manifest.name == "v2")
    #expect(try room.root.back().release.manifest.name == "v1")
    #expect(try room.root.audit.lines().count == 6)
  }

  @Test func `a directory called current is not touched`() throws {
    let room = try ReleaseRoom()
    try room.pack("v1")
    try FileManager.default.createDirectory(atPath: room.file("releases/current"), withIntermediateDirectories: false)
    failure(.unwritable, "current is not a link") { _ = try room.root.use("v1") }
    #expect(try room.names("releases") == ["current", "v1"])
  }

  @Test(.timeLimit(.minutes(2)))
  func `who follows current 10,000 times while it is switched always finds a whole release`()
    async throws
  {
    let room = try ReleaseRoom()
    try room.pack("one")
    try room.pack("two", program: .file(room.file("apus-2")))
    let root = room.root
    _ = try root.use("one")
    let shared = Shared()
    await withTaskGroup { group in
      group.addTask {
        for _ in 0..<10_000 {
          // Resolved once, as a start does it.
          let name = (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(root.path)/current")) ?? "broken"
          let program = (try? Files.read("\(root.path)/\(name)/apus", limit: 100)) ?? []
          let through = (try? Files.read("\(root.path)/current/apus", limit: 100)) ?? []
          let isWhole =
            !through.isEmpty && String(decoding: program, as: UTF8.self).contains(name == "one" ? "one" : "another")
          shared.counts.withLock { $0[isWhole ? name : "broken", default: 0] += 1 }
        }
        shared.isDone.store(true, ordering: .releasing)
      }
      group.addTask {
        var switches = 0
        while !shared.isDone.load(ordering: .acquiring) || switches < 2 {
          _ = try? root.use(switches % 2 == 0 ? "two" : "one")
          switches += 1
        }
        let count = switches
        shared.counts.withLock { $0["switches"] = count }
      }
    }
    let found = shared.counts.withLock { $0 }
    #expect(found["broken"] == nil, "\(found)")
    #expect((found["one"] ?? 0) + (found["two"] ?? 0) == 10_000, "\(found)")
    #expect((found["switches"] ?? 0) >= 2, "\(found)")
    let switches = try root.audit.lines().count
    #expect(switches == 1 + (found["switches"] ?? 0), "each switch has its line")
  }
}
