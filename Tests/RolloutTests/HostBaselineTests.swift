import ApusRelease
import Foundation
import Testing

@testable import ApusRollout

@Suite struct HostBaselineTests {
  @Test func `times are kept by host, program and recording, and survive a file that is damaged`() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let path = directory.appendingPathComponent("baseline.json").path
    func entry(_ host: String, _ program: String, _ recording: String) -> Double? {
      HostBaseline(path: path, host: host).entry(program: program, recording)?.cpuSeconds
    }
    var baseline = HostBaseline(path: path, host: "a")
    baseline.note(program: "p", "monday", cpuSeconds: 0.5, at: "then")
    baseline.note(program: "p", "monday", cpuSeconds: 0.4, at: "later")
    baseline.note(program: "q", "monday", cpuSeconds: 0.3, at: "later")
    baseline.save()
    #expect(entry("a", "p", "monday") == 0.4 && entry("a", "q", "monday") == 0.3)
    #expect(entry("b", "p", "monday") == nil && entry("a", "p", "tuesday") == nil)
    try Data("[{".utf8).write(to: URL(fileURLWithPath: path))
    #expect(entry("a", "p", "monday") == nil)
    #expect(!HostBaseline.currentHost.isEmpty)
  }
}
