import Apus
import ApusHost
import Foundation
import Synchronization
import Testing

@testable import ApusRelease

@Suite struct PackingTests {
  /// How often each packing ended in which way.
  private final class Results: Sendable { let counts = Mutex<[String: Int]>([:]) }

  @Test func `a release has program, configuration and manifest, and nothing else is left`() throws {
    let room = try ReleaseRoom()
    let release = try room.packing("v1", note: "first").run(describe: ReleaseRoom.describe)
    #expect(try room.names("releases") == ["v1"])
    #expect(try room.text("releases/v1/config.yaml") == ReleaseRoom.configurations[.simulated])
    #expect(try room.text("releases/v1/apus") == room.text("apus"))
    let manifest = release.manifest
    #expect(manifest.name == "v1" && manifest.note == "first" && manifest.base == nil && manifest.passed == [])
    #expect(manifest.mode == .simulated && manifest.engineName == "desk_1" && manifest.version == 1)
    let configuration = try ConfigurationFile.load(path: release.configurationPath)
    #expect(manifest.configurationSha256 == ConfigurationFile.sha256(of: configuration))
    let program = try #require(manifest.files.first { $0.name == "apus" })
    #expect(program.isExecutable && program.bytes == 19)
    // printf '#!/bin/sh\necho one\n' | sha256sum
    #expect(program.sha256 == "f5dd87fa1cf3d592ff0ba84641abfe39bacecaad5e003c74aa181ccb54c2cc9a")
    #expect(release.problems() == [])
    #expect(try Release(directory: release.directory) == release)
    // Started as it lies there.
    #expect(access(release.programPath, X_OK) == 0)
  }

  @Test func `a taken name, a wrong configuration and a secret in it are refused, and nothing is left`() throws {
    let room = try ReleaseRoom()
    try room.pack("v1")
    failure(.unwritable, "v1 is there already", "another name") { try room.pack("v1") }
    try room.write(ReleaseRoom.configuration("wss://example.com/ws"), to: "wrong.yaml")
    failure(.configuration, "give engine.mode") { try room.pack("v2", configuration: "wrong.yaml") }
    failure(.configuration, "could not read") { try room.pack("v2", configuration: "none.yaml") }
    failure(.unreadable, "is not a program that can be run") {
      try room.pack("v2", program: .file(room.file("simulated.yaml")))
    }
    failure(.unreadable, "v0") { try room.pack("v2", program: .base("v0")) }
    for name in ["", ".", "..", ".v", "a/b", "current", "audit.jsonl", "a b", "ü", String(repeating: "a", count: 65)] {
      failure(.arguments, "cannot be called") { try room.pack(name) }
    }
    #expect(try room.names("releases") == ["v1"])
  }

  @Test(arguments: [
    ("# token eyJhbGciOiJSUzUxMiJ9.eyJpYXQiOjF9.MIIEvQ_x", "a token"),
    ("# -----BEGIN PRIVATE KEY-----", "a private key"),
    ("# see https://me:hunter2pass@example.com/", "a URL with a password"),
    ("version: 1  # AKIA1234567890ABCDEF", "a key or a token in its comment"),
  ])
  func `R57 a configuration with a secret in it is not packed, and the message does not have it`(
    line: String, what: String
  ) throws {
    let room = try ReleaseRoom()
    try room.write("\(line)\n" + (ReleaseRoom.configurations[.simulated] ?? ""), to: "secret.yaml")
    failure(.configuration, "line 1 has what looks like \(what)") { try room.pack("v1", configuration: "secret.yaml") }
    do {
      try room.pack("v1", configuration: "secret.yaml")
    } catch {
      #expect(!"\(error)".contains("hunter2") && !"\(error)".contains("AKIA") && !"\(error)".contains("eyJ"))
    }
    #expect(!FileManager.default.fileExists(atPath: room.root.path))
  }

  @Test func `the id of a key and comments in words are no secrets`() throws {
    let room = try ReleaseRoom()
    let text = ReleaseRoom.configuration("ws://127.0.0.1:1/x", key: "AKIA1234567890ABCDEF")
      .replacing("K1.pem", with: "key.pem")
    try room.write("# see https://example.com/docs#modes, commit 1a2b3c4d5e6f\n" + text, to: "long.yaml")
    try room.pack("v1", configuration: "long.yaml")
  }

  @Test func `a release of a configuration alone has its base's program without a copy of it`() throws {
    let room = try ReleaseRoom()
    let base = try room.pack("v1")
    let release = try room.pack("v1-wider", .testnet, program: .base("v1"))
    #expect(release.manifest.base == "v1" && release.manifest.program == base.manifest.program)
    #expect(release.manifest.mode == .testnet && release.problems() == [])
    func inode(_ path: String) throws -> UInt64? {
      try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? UInt64
    }
    #expect(try inode(base.programPath) == inode(release.programPath))
    // It does not need the base any more.
    try FileManager.default.removeItem(atPath: base.directory)
    #expect(release.problems() == [] && access(release.programPath, X_OK) == 0)
  }

  @Test func `a damaged base is refused`() throws {
    let room = try ReleaseRoom()
    try room.pack("v1")
    try room.write("#!/bin/sh\necho One\n", to: "releases/v1/apus", mode: 0o755)
    failure(.damaged, "apus was changed") { try room.pack("v2", program: .base("v1")) }
    #expect(try room.names("releases") == ["v1"])
  }

  @Test func `libraries that come with the program and its commit are packed beside it`() throws {
    let room = try ReleaseRoom()
    try room.write("a library", to: "libown.so")
    let release = try room.packing("v1").run { (program, configuration) throws(ReleaseError) in
      var subject = try ReleaseRoom.describe(program, configuration)
      subject.libraries = [room.file("libown.so")]
      subject.build.revision = String(repeating: "a", count: 40)
      return subject
    }
    #expect(try room.names("releases/v1") == ["apus", "config.yaml", "libown.so", "manifest.json", "revision"])
    #expect(try room.text("releases/v1/revision") == String(repeating: "a", count: 40) + "\n")
    // Of the two, only the library decides what the program does.
    #expect(release.manifest.program.keys.sorted() == ["apus", "libown.so"])
    let next = try room.pack("v2", program: .base("v1"))
    #expect(next.manifest.program == release.manifest.program)
  }

  @Test(arguments: ReleasePacking.Step.allCases.indices)
  func `kill -9 between two steps leaves nothing half made under the release's name`(index: Int) async throws {
    let room = try ReleaseRoom()
    try room.pack("v0")
    let path = room.path
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, index = index as Int] in
      let step = ReleasePacking.Step.allCases[index]
      let packing = ReleasePacking(
        root: ReleaseRoot(path: "\(path)/releases"), name: "v1", configurationPath: "\(path)/simulated.yaml",
        program: .file("\(path)/apus"))
      _ = try packing.run(describe: ReleaseRoom.describe) { if $0 == step { kill(getpid(), SIGKILL) } }
    }
    if ReleasePacking.Step.allCases[index] == .placed {
      #expect(try Release(directory: room.file("releases/v1")).problems() == [])
      return
    }
    #expect(!FileManager.default.fileExists(atPath: room.file("releases/v1")))
    #expect(try room.root.list().map(\.name) == ["v0"])
    // The next one packs under that name, and clears away what was left.
    try room.pack("v1")
    #expect(try room.names("releases") == ["v0", "v1"])
  }

  @Test func `a failed packing leaves nothing`() throws {
    let room = try ReleaseRoom()
    failure(.unreadable, "no") {
      _ = try room.packing("v1").run { (_, _) throws(ReleaseError) in throw ReleaseError(.unreadable, "no") }
    }
    #expect(try room.names("releases") == [])
  }

  @Test func `of packers of one name at once, one wins; of others, each does`() async throws {
    let room = try ReleaseRoom()
    let results = Results()
    try FileManager.default.createDirectory(atPath: room.root.path, withIntermediateDirectories: true)
    await withTaskGroup { group in
      for number in 0..<8 {
        let packing = room.packing(number < 4 ? "same" : "own-\(number)")
        group.addTask {
          do throws(ReleaseError) {
            let release = try packing.run(describe: ReleaseRoom.describe)
            results.counts.withLock { $0[release.manifest.name, default: 0] += 1 }
          } catch {
            results.counts.withLock { $0["\(error.kind)", default: 0] += 1 }
          }
        }
      }
    }
    #expect(
      results.counts.withLock { $0 } == ["same": 1, "unwritable": 3, "own-4": 1, "own-5": 1, "own-6": 1, "own-7": 1])
    #expect(try room.names("releases") == ["own-4", "own-5", "own-6", "own-7", "same"])
    for entry in try room.root.list() {
      #expect(try Release(directory: "\(room.root.path)/\(entry.name)").problems() == [])
    }
  }
}
