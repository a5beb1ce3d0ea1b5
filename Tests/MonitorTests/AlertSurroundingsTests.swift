import Apus
import CSupport
import Foundation
import Testing

@testable import ApusMonitor

/// Alerts whose cause is around the engine: its file, its process, its host.
@Suite(.serialized) struct AlertSurroundingsTests {
  /// Looks of a service on a clock of the test's own, which begins now.
  private final class Watch {
    let service: AlertService
    private var now = TelemetrySnapshot.monotonicNow

    init(_ path: String, rules: String = "") throws {
      let file = try AlertFile.parse(rules.isEmpty ? "" : "rules: \(rules)", shapes: AlertRule.shapes)
      service = AlertService(path: path, rules: AlertRule.rules(file), dispatcher: AlertDispatcher([]))
    }

    func look(seconds: Int) -> [String] {
      for _ in 0..<(2 * seconds) {
        now += 500_000_000
        service.look(now: now)
      }
      return service.active.map(\.name)
    }
  }

  @Test func `ApusMonitorBlind: there is no file, then one of another kind, then a good one`() throws {
    let directory = try MonitorDirectory()
    let watch = try Watch(directory.file, rules: "{ApusLaneSilent: {enabled: false}, ApusNotQuoting: {enabled: false}}")
    #expect(watch.look(seconds: 2) == ["ApusMonitorBlind"])
    #expect(watch.service.active.first?.found.contains("there is no such file") == true)
    try Data("something else".utf8).write(to: URL(fileURLWithPath: directory.file))
    #expect(watch.look(seconds: 2) == ["ApusMonitorBlind"])
    let writer = try TelemetryWriter(path: directory.file, name: "desk", bootEpoch: 1, now: 0)
    #expect(watch.look(seconds: 3) == [])
    let level = writer.requestedStop
    #expect(level == .none)
  }

  @Test func `ApusEngineDown: the writer is gone, and another one comes`() throws {
    let directory = try MonitorDirectory()
    let watch = try Watch(directory.file, rules: "{ApusLaneSilent: {enabled: false}, ApusNotQuoting: {enabled: false}}")
    do {
      var writer = try TelemetryWriter(path: directory.file, name: "desk", bootEpoch: 1, now: 0)
      _ = writer.openLane(0, name: "thalex", now: 0)
      #expect(watch.look(seconds: 3) == [])
    }
    #expect(watch.look(seconds: 1) == ["ApusEngineDown"])
    let writer = try TelemetryWriter(path: directory.file, name: "desk", bootEpoch: 2, now: 0)
    #expect(watch.look(seconds: 4) == [])
    let level = writer.requestedStop
    #expect(level == .none)
  }

  /// An alert of the host on the facts of this very process.
  private func expectFires(
    _ name: String, bound: String, facts: () -> HostHeadroom, cause: () throws -> Void, end: () throws -> Void
  ) throws {
    let file = try AlertFile.parse(
      "rules: {\(name): {bound: \(bound), for_s: 0, clear: \(bound), clear_for_s: 0}}", shapes: AlertRule.shapes)
    var engine = AlertEngine(rules: AlertRule.rules(file).filter { $0.name == name })
    var now: Nanoseconds = 0
    func told() -> [AlertChange.Kind] {
      now += 1_000_000_000_000
      return engine.step(AlertInputs(now: now, wall: now, view: nil, problem: "", host: facts())).map(\.kind)
    }
    #expect(told() == [])
    try cause()
    #expect(told() == [.fired])
    try end()
    #expect(told() == [.cleared])
  }

  private func decimal(_ value: Double) -> String { String(format: "%.8f", value) }

  @Test func `ApusFilesLow: descriptors are opened and closed`() throws {
    let directory = try MonitorDirectory()
    let id = Int64(getpid())
    let before = HostHeadroom.read(processID: id, directory: directory.path)
    let (open, limit) = (try #require(before.filesOpen), try #require(before.filesLimit))
    try #require(open + 300 < limit)
    var files: [Int32] = []
    try expectFires(
      "ApusFilesLow", bound: decimal(Double(open + 150) / Double(limit)),
      facts: { HostHeadroom.read(processID: id, directory: directory.path) },
      cause: { files = (0..<300).map { _ in Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC) } },
      end: { files.forEach { close($0) } })
  }

  @Test func `ApusMemoryHigh: memory is used and given back`() throws {
    let directory = try MonitorDirectory()
    let id = Int64(getpid())
    let before = HostHeadroom.read(processID: id, directory: directory.path)
    let (used, limit) = (try #require(before.residentBytes), try #require(before.memoryLimitBytes))
    let size = 512 << 20
    var memory: UnsafeMutableRawPointer?
    try expectFires(
      "ApusMemoryHigh", bound: decimal(Double(Int(used) + size / 2) / Double(limit)),
      facts: {
        var facts = HostHeadroom.read(processID: id, directory: directory.path)
        facts.availableBytes = nil
        return facts
      },
      cause: {
        let mapped = try #require(mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
        try #require(mapped != MAP_FAILED)
        memset(mapped, 1, size)
        memory = mapped
      },
      end: { munmap(memory, size) })
  }

  @Test func `ApusDiskLow: a file takes the space and is removed`() throws {
    let directory = try MonitorDirectory()
    let before = HostHeadroom.read(processID: 0, directory: directory.path)
    let free = try #require(before.diskFreeBytes)
    let size = 768 << 20
    try #require(free > 2 * UInt64(size), "this test needs 1.5 GiB of disk")
    let path = directory.path + "/ballast"
    try expectFires(
      "ApusDiskLow", bound: "\(Int(free) - size / 2)",
      facts: { HostHeadroom.read(processID: 0, directory: directory.path) },
      cause: {
        let file = Glibc.open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        #expect(posix_fallocate(file, 0, off_t(size)) == 0)
        close(file)
      },
      end: { try FileManager.default.removeItem(atPath: path) })
  }
}

/// What was told, in order.
final class ToldLines: @unchecked Sendable {
  // Sendable: behind the lock.
  private let lock = NSLock()
  private var lines: [String] = []
  func add(_ line: String) { lock.withLock { lines.append(line) } }
  var all: [String] { lock.withLock { lines } }
  func wait(_ count: Int, seconds: Double = 10) async -> Bool {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end {
      if all.count >= count { return true }
      try? await Task.sleep(for: .milliseconds(5))
    }
    return false
  }
}
