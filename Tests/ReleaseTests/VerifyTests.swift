import Apus
import Foundation
import Testing

@testable import ApusRelease

@Suite struct VerifyTests {
  private func expect(_ parts: [String], after change: (ReleaseRoom) throws -> Void) throws {
    let room = try ReleaseRoom()
    let release = try room.pack("v1")
    #expect(release.problems() == [])
    try change(room)
    let found = try Release(directory: release.directory).problems().map(\.description)
    #expect(found.count == parts.count, "\(found)")
    for (part, text) in zip(parts, found) { #expect(text.contains(part), "\(found)") }
    failure(.damaged, parts[0]) { _ = try room.root.use("v1") }
    #expect(room.root.current == nil)
  }

  @Test func `one changed byte of the program is named`() throws {
    try expect(["apus was changed: its SHA-256"]) { room in
      var bytes = try Data(contentsOf: URL(fileURLWithPath: room.file("releases/v1/apus")))
      bytes[bytes.count / 2] ^= 1
      let file = try #require(FileHandle(forUpdatingAtPath: room.file("releases/v1/apus")))
      try file.write(contentsOf: bytes)
    }
  }

  @Test func `what is shorter, missing, extra, not executable or a link is named`() throws {
    try expect(["apus was changed: it has 4 bytes and had 19"]) { room in
      truncate(room.file("releases/v1/apus"), 4)
    }
    try expect(["config.yaml is missing"]) { room in unlink(room.file("releases/v1/config.yaml")) }
    try expect(["apus.bak is extra"]) { room in try room.write("x", to: "releases/v1/apus.bak") }
    try expect(["apus is not executable"]) { room in chmod(room.file("releases/v1/apus"), 0o644) }
    try expect(["apus is not a regular file", "other is extra"]) { room in
      rename(room.file("releases/v1/apus"), room.file("releases/v1/other"))
      symlink("other", room.file("releases/v1/apus"))
    }
  }

  @Test func `a release under another name is noticed`() throws {
    let room = try ReleaseRoom()
    try room.pack("v1")
    rename(room.file("releases/v1"), room.file("releases/v2"))
    failure(.damaged, "is of the release v1, but lies in v2") { _ = try room.root.use("v2") }
    symlink("v2", room.file("releases/v1"))
    failure(.damaged, "lies in v2") { _ = try room.root.use("v1") }
  }

  @Test func `a manifest that was cut at any place is one sentence`() throws {
    let room = try ReleaseRoom()
    let release = try room.pack("v1")
    let whole = try room.text("releases/v1/manifest.json")
    for count in stride(from: 0, to: whole.utf8.count - 2, by: 23) {
      try room.write(String(decoding: whole.utf8.prefix(count), as: UTF8.self), to: "releases/v1/manifest.json")
      failure(.damaged, "is cut short or is no manifest") { _ = try Release(directory: release.directory) }
    }
    let listed = try #require(try room.root.list().first)
    #expect(listed.name == "v1" && listed.manifest == nil && listed.problem?.contains("cut short") == true)
  }

  @Test func `a manifest that was changed by hand, or is of another version, or is gone is one sentence`() throws {
    let room = try ReleaseRoom()
    let release = try room.pack("v1")
    let whole = try room.text("releases/v1/manifest.json")
    try room.write(whole.replacing("\"simulated\"", with: "\"testnet\""), to: "releases/v1/manifest.json")
    failure(.damaged, "was changed since it was written") { _ = try Release(directory: release.directory) }
    try room.write(whole.replacing("\"version\" : 1\n", with: "\"version\" : 7\n"), to: "releases/v1/manifest.json")
    failure(.damaged, "has version 7", "reads version 1") { _ = try Release(directory: release.directory) }
    unlink(room.file("releases/v1/manifest.json"))
    failure(.unreadable, "is not a release") { _ = try Release(directory: release.directory) }
    failure(.unreadable, "v9") { _ = try room.root.use("v9") }
  }
}
