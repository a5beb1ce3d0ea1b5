import Apus
import CSupport
import Foundation
import Testing

/// What of the past is kept, and how much room there is.
@Suite struct JournalRetentionTests {
  private let hour: Nanoseconds = 3_600_000_000_000

  private func names(_ path: String) -> [Int] {
    TemporaryDirectory.names(in: path).compactMap { Int($0.dropFirst("journal-".count).prefix(20)) }
  }

  /// Segments of earlier runs were last written so many hours ago: the oldest one first.
  private func age(_ path: String, hours: [Int]) throws {
    for (index, hours) in hours.enumerated() {
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSinceNow: -Double(hours) * 3600)],
        ofItemAtPath: segmentPath(path, index + 1))
    }
  }

  private var wallClock: Nanoseconds { Nanoseconds(Date().timeIntervalSince1970 * 1e9) }

  private func keep(ns: Nanoseconds = 0, bytes: UInt64 = 0) -> JournalRetention {
    var keep = JournalRetention()
    keep.keep_ns = ns
    keep.keep_bytes = bytes
    return keep
  }

  @Test func `old segments of earlier runs go by age, those of this run stay however old`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    try writeJournal(path, count: 120, seed: 1)
    let earlier = names(path).count
    try #require(earlier > 3)
    var ends = try JournalEnds(path: path, name: "x", configuration: .small(bootEpoch: 2), now: 0)
    for index in 0..<60 {
      ends.writer.appendOrFail(
        Entry(kind: .note, connection: 0, time: Nanoseconds(index), payload: [UInt8](repeating: 1, count: 900)))
      try ends.service.service(now: 0)
    }
    let all = names(path)
    try age(path, hours: (0..<all.count - 2).map { _ in 50 })
    try age(path, hours: Array(repeating: 50, count: earlier - 2) + [10, 10])
    let nothing = ends.service.retain(keep(), wallClock: wallClock)
    #expect(nothing.removed_count == 0 && nothing.kept_bytes > 0 && nothing.error == 0)
    let result = ends.service.retain(keep(ns: 20 * hour), wallClock: wallClock)
    #expect(result.removed_count == UInt64(earlier - 2) && result.removed_of_run == 0 && result.error == 0)
    #expect(names(path) == Array(all[(earlier - 2)...]))
    let again = ends.service.retain(keep(ns: 5 * hour), wallClock: wallClock)
    #expect(again.removed_count == 2 && again.removed_of_run == 0)
    #expect(names(path).first == earlier + 1)
    // What is left is a whole run, in which nothing is missed.
    let (records, stop) = try readAll(path)
    #expect(records.count == 60 && records.allSatisfy { $0.bootEpoch == 2 } && stop.finding == .end)
  }

  @Test func `a size limit takes earlier runs first, then this one, and says so; never what is being written`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    try writeJournal(path, count: 60, seed: 1)
    let earlier = names(path).count
    var ends = try JournalEnds(path: path, name: "x", configuration: .small(bootEpoch: 2), now: 0)
    for index in 0..<40 {
      ends.writer.appendOrFail(
        Entry(kind: .note, connection: 0, time: Nanoseconds(index), payload: [UInt8](repeating: 1, count: 900)))
      try ends.service.service(now: 0)
    }
    let all = names(path)
    let own = all.count - earlier
    let first = ends.service.retain(keep(bytes: UInt64(own + 1) * 4096), wallClock: wallClock)
    #expect(first.removed_count == UInt64(earlier - 1) && first.removed_of_run == 0)
    #expect(first.kept_bytes <= UInt64(own + 1) * 4096)
    let second = ends.service.retain(keep(bytes: UInt64(own - 3) * 4096), wallClock: wallClock)
    #expect(second.removed_count == 4 && second.removed_of_run == 3)
    let third = ends.service.retain(keep(bytes: 1), wallClock: wallClock)
    #expect(third.removed_of_run == third.removed_count)
    // The segment in use and the one prepared.
    #expect(names(path) == Array(all.suffix(2)))
    ends.writer.appendOrFail(Entry(kind: .note, connection: 0, time: 99, payload: []))
    let (records, stop) = try readAll(path)
    #expect(records.last?.time == 99 && stop.finding == .end)
    #expect(records.first.map { $0.recordNumber > 1 } == true)
  }

  @Test func `a gap never opens in the middle: what is newer than a young segment stays`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    try writeJournal(path, count: 60, seed: 1)
    let earlier = names(path).count
    var ends = try JournalEnds(path: path, name: "x", configuration: .small(bootEpoch: 2), now: 0)
    try age(path, hours: [50, 1] + Array(repeating: 50, count: earlier - 2))
    let result = ends.service.retain(keep(ns: 20 * hour), wallClock: wallClock)
    #expect(result.removed_count == 1)
    #expect(names(path).first == 2)
    #expect(try readAll(path).stop.finding == .end)
  }

  @Test func `free space is that of the file system`() throws {
    let directory = try TemporaryDirectory()
    let ends = try JournalEnds(path: directory.path + "/j", name: "x", configuration: .small(), now: 0)
    let bytes = ends.service.freeBytes
    let free = try #require(bytes)
    let said =
      try FileManager.default.attributesOfFileSystem(forPath: directory.path)[.systemFreeSize] as? Int64 ?? 0
    #expect(abs(free - said) < 1 << 30 && free > 0)
  }
}
