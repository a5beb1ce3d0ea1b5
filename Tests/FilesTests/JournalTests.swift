import Apus
import CSupport
import Foundation
import Testing

@Suite struct JournalTests {
  @Test func `records come back in order, over many segments`() throws {
    let directory = try TemporaryDirectory()
    let seed = UInt64.random(in: 0...UInt64.max)
    let written = try writeJournal(directory.path, count: 2000, seed: seed)
    #expect(written.count == 2000)
    let (records, stop) = try readAll(directory.path)
    #expect(records.map(Entry.init) == written, "seed \(seed)")
    #expect(records.map(\.recordNumber) == Array(1...2000))
    #expect(records.allSatisfy { $0.refusedBefore == 0 && $0.bootEpoch == 1 })
    #expect(records.last!.segmentNumber > 50)
    #expect(stop.finding == .end && stop.isClosed && stop.refusedAtEnd == 0)
    // The spare segment went with the close.
    #expect(TemporaryDirectory.names(in: directory.path).count == Int(records.last!.segmentNumber))
  }

  @Test func `an empty directory and a journal without records both end at once`() throws {
    let directory = try TemporaryDirectory()
    #expect(try readAll(directory.path).stop.finding == .end)
    try writeJournal(directory.path, count: 0, seed: 1)
    let (records, stop) = try readAll(directory.path)
    #expect(records.isEmpty)
    #expect(stop.finding == .end && stop.isClosed)
  }

  @Test func `a payload of every length up to the largest fits, one more is refused`() throws {
    let directory = try TemporaryDirectory()
    let largest = 4096 - 128 - 32 - 32
    var ends = try JournalEnds(path: directory.path, name: "x", configuration: .small(), now: 0)
    var lengths: [Int] = []
    for length in Array(0...70) + [largest - 1, largest, largest, 0, largest] {
      let accepted = ends.writer.append(
        Entry(kind: .note, connection: 0, time: 0, payload: [UInt8](repeating: 7, count: length)))
      #expect(accepted, "\(length)")
      lengths.append(length)
      try ends.service.service(now: 0)
    }
    let tooLong = Entry(kind: .note, connection: 0, time: 0, payload: [UInt8](repeating: 7, count: largest + 1))
    let hasRoom = ends.writer.hasRoom(forPayload: largest + 1)
    let accepted = ends.writer.append(tooLong)
    #expect(!hasRoom && !accepted)
    let refused = ends.writer.status.refused_count
    #expect(refused == 1)
    let (records, stop) = try readAll(directory.path)
    #expect(records.map(\.payload.count) == lengths)
    #expect(records.allSatisfy { $0.payload.allSatisfy { $0 == 7 } })
    #expect(stop.finding == .end && !stop.isClosed)
  }

  @Test func `the lane's clock is related to the wall clock`() throws {
    let directory = try TemporaryDirectory()
    let before = Nanoseconds(Date().timeIntervalSince1970 * 1e9)
    var ends = try JournalEnds(path: directory.path, name: "x", configuration: .small(), now: 5_000)
    _ = ends.writer.append(Entry(kind: .timer, connection: 0, time: 7_000, payload: []))
    let record = try #require(try readAll(directory.path).records.first)
    #expect(record.time == 7_000)
    #expect(abs(record.wallTime - before - 2_000) < 10_000_000_000)
  }

  @Test func `a slow helper costs records, and the journal says how many`() throws {
    let directory = try TemporaryDirectory()
    var ends = try JournalEnds(path: directory.path, name: "x", configuration: .small(), now: 0)
    let entry = Entry(kind: .inbound, connection: 1, time: 9, payload: [UInt8](repeating: 1, count: 968))
    // Three records of 1000 bytes fit into each of the two segments that exist.
    var accepted: [Bool] = []
    for _ in 0..<9 { accepted.append(ends.writer.append(entry)) }
    #expect(accepted == [true, true, true, true, true, true, false, false, false])
    let status = ends.writer.status
    #expect(status.refused_count == 3 && !status.next_is_ready)

    try ends.service.service(now: 0)
    let hasRoom = ends.writer.hasRoom(forPayload: 968)
    #expect(hasRoom)
    ends.writer.appendOrFail(entry)
    let (records, stop) = try readAll(directory.path)
    #expect(records.map(\.refusedBefore) == [0, 0, 0, 0, 0, 0, 3])
    #expect(records.map(\.recordNumber) == [1, 2, 3, 4, 5, 6, 10])
    #expect(stop.finding == .end)
  }

  @Test func `records refused at the very end are told by the seal`() throws {
    let directory = try TemporaryDirectory()
    do {
      var ends = try JournalEnds(path: directory.path, name: "x", configuration: .small(), now: 0)
      let entry = Entry(kind: .inbound, connection: 1, time: 9, payload: [UInt8](repeating: 1, count: 968))
      for _ in 0..<8 { _ = ends.writer.append(entry) }
    }
    let (records, stop) = try readAll(directory.path)
    #expect(records.count == 6)
    #expect(stop.isClosed && stop.refusedAtEnd == 2)

    // The first record of the next run says so as well, and no other.
    try writeJournal(directory.path, count: 3, seed: 1, bootEpoch: 2)
    var reader = try JournalReader(path: directory.path)
    var refused: [UInt64] = []
    while reader.next() != nil { refused.append(reader.stop.refusedAtEnd) }
    #expect(refused == [0, 0, 0, 0, 0, 0, 2, 0, 0])
    let end = reader.stop
    #expect(end.isClosed && end.refusedAtEnd == 0)
  }

  @Test func `a reader follows a journal that is being written`() throws {
    let directory = try TemporaryDirectory()
    var ends = try JournalEnds(path: directory.path, name: "x", configuration: .small(), now: 0)
    var reader = try JournalReader(path: directory.path)
    var seen: [Nanoseconds] = []
    for index in 0..<300 {
      let entry = Entry(
        kind: .account, connection: 0, time: Nanoseconds(index), payload: [UInt8](repeating: 3, count: index % 90))
      ends.writer.appendOrFail(entry)
      if index % 3 == 0 {
        while let record = reader.next() { seen.append(record.time) }
        let finding = reader.stop.finding
        #expect(finding == .end)
      }
      try ends.service.service(now: 0)
    }
    while let record = reader.next() { seen.append(record.time) }
    #expect(seen == Array(0..<300))
  }

  @Test func `a second writer is turned away while the first is there`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    do {
      let first = try JournalEnds(path: path, name: "x", configuration: .small(), now: 0)
      let error = #expect(throws: MappedFileError.self) {
        _ = try JournalEnds(path: path, name: "y", configuration: .small(bootEpoch: 2), now: 0)
      }
      #expect(error?.cause == .inUse)
      let appended = first.writer.status.appended_count
      #expect(appended == 0)
    }
    _ = try JournalEnds(path: path, name: "y", configuration: .small(bootEpoch: 2), now: 0)
  }

  @Test(arguments: [JournalSync.interval, .each])
  func `what was synced is reported, and nothing beyond it`(sync: JournalSync) throws {
    let directory = try TemporaryDirectory()
    var configuration = JournalConfiguration.small(sync: sync)
    configuration.sync_interval_ns = 100
    var ends = try JournalEnds(path: directory.path, name: "x", configuration: configuration, now: 0)
    let entry = Entry(kind: .fill, connection: 0, time: 0, payload: [UInt8](repeating: 1, count: 968))
    ends.writer.appendOrFail(entry)
    ends.writer.appendOrFail(entry)
    try ends.service.service(now: 50)
    expectSynced(ends.service.status, sync == .each ? 2 : 0)
    try ends.service.service(now: 100)
    expectSynced(ends.service.status, 2)
    ends.writer.appendOrFail(entry)
    ends.writer.appendOrFail(entry)
    expectSynced(ends.service.status, 2)
    try ends.service.service(now: 200)
    expectSynced(ends.service.status, 4)
  }

  @Test func `without a sync policy nothing is called synced`() throws {
    let directory = try TemporaryDirectory()
    var ends = try JournalEnds(path: directory.path, name: "x", configuration: .small(), now: 0)
    ends.writer.appendOrFail(Entry(kind: .fill, connection: 0, time: 0, payload: []))
    try ends.service.service(now: 1 << 40)
    expectSynced(ends.service.status, 0)
  }

  @Test func `two threads: the lane waits for the helper and loses nothing`() throws {
    let directory = try TemporaryDirectory()
    let ends = try JournalEnds(path: directory.path, name: "x", configuration: .small(sync: .each), now: 0)
    let helper = HelperThread(consume(ends))
    var writer = helper.takeWriter()
    let thread = Thread { helper.run() }
    thread.start()
    let deadline = Date() + 60
    var appended = 0
    while appended < 3000 && Date() < deadline {
      let entry = Entry(
        kind: .inbound, connection: 0, time: Nanoseconds(appended),
        payload: [UInt8](repeating: UInt8(truncatingIfNeeded: appended), count: appended % 500))
      guard writer.hasRoom(forPayload: entry.payload.count) else {
        sched_yield()
        continue
      }
      if writer.append(entry) { appended += 1 }
    }
    #expect(appended == 3000)
    helper.stop()
    let records = try readAll(directory.path).records
    #expect(records.map(\.time) == Array(0..<3000))
    #expect(records.allSatisfy { $0.payload.count == Int($0.time) % 500 })
    #expect(helper.failures == 0)
  }
}

private func expectSynced(_ status: JournalStatus, _ number: UInt64, at location: SourceLocation = #_sourceLocation) {
  #expect(status.synced_number == number, sourceLocation: location)
}

private func consume(_ ends: consuming JournalEnds) -> JournalEnds { ends }

/// Runs a journal's service on a thread of its own.
private final class HelperThread: @unchecked Sendable {
  // The writer leaves before the thread starts; the rest is the thread's until `finished` is signalled.
  private var writer: JournalWriter?
  private var service: JournalService
  private let finished = DispatchSemaphore(value: 0)
  private let stopping = DispatchSemaphore(value: 0)
  private(set) var failures = 0

  init(_ ends: consuming JournalEnds) {
    writer = consume ends.writer
    service = consume ends.service
  }

  func takeWriter() -> JournalWriter { writer.take()! }

  func run() {
    while stopping.wait(timeout: .now() + .microseconds(100)) == .timedOut {
      do { try service.service(now: 0) } catch { failures += 1 }
    }
    finished.signal()
  }

  func stop() {
    stopping.signal()
    finished.wait()
  }
}
