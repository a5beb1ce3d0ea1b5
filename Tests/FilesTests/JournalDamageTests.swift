import Apus
import CSupport
import Foundation
import Testing

@Suite struct JournalDamageTests {
  @Test func `R13_ what a killed writer appended is there, and the next boot goes on behind it`() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      var ends = try JournalEnds(path: path, name: "x", configuration: .small(bootEpoch: 7), now: 0)
      for index in 0..<40 {
        let entry = Entry(
          kind: .outbound, connection: 2, time: Nanoseconds(index), payload: [UInt8](repeating: 9, count: 200))
        if ends.writer.append(entry) { try ends.service.service(now: 0) }
      }
      kill(getpid(), SIGKILL)
    }
    let (records, stop) = try readAll(path)
    #expect(records.map(\.time) == Array(0..<40))
    #expect(stop.finding == .end && !stop.isClosed)

    // The spare segment is reused, nothing else is touched.
    let lastUsed = records.last!.segmentNumber
    let written = try writeJournal(path, count: 3, seed: 5, bootEpoch: 8)
    let (both, end) = try readAll(path)
    #expect(both.count == 43)
    #expect(both[..<40] == records[...])
    #expect(both[40...].map(Entry.init) == written)
    #expect(both[40...].map(\.segmentNumber) == [lastUsed + 1, lastUsed + 1, lastUsed + 1])
    #expect(both[40...].map(\.recordNumber) == [1, 2, 3])
    #expect(both[40...].allSatisfy { $0.bootEpoch == 8 && $0.refusedBefore == 0 })
    #expect(end.isClosed)
  }

  @Test func `R13_ a tail cut off at any byte of the last record costs that record alone`() throws {
    let (path, records, directory) = try oneSegment(count: 5)
    let original = try TemporaryDirectory.bytes(of: path)
    let last = records[4]
    let start = Int(last.segmentOffset), end = start + 32 + last.payload.count
    for cut in start..<end {
      try TemporaryDirectory.write(Array(original[..<cut]), to: path)
      let (left, stop) = try readAll(directory)
      #expect(left == Array(records[..<4]), "cut at \(cut)")
      #expect(stop.finding == (cut == start ? .end : .torn), "cut at \(cut)")
      #expect(stop.segmentNumber == 1 && stop.segmentOffset == UInt64(start))
    }
    try TemporaryDirectory.write(Array(original[..<end]), to: path)
    #expect(try readAll(directory).records == records)
    try? FileManager.default.removeItem(atPath: directory)
  }

  @Test func `R13_ a tail that reads as zeros from any byte on costs the last record alone`() throws {
    let (path, records, directory) = try oneSegment(count: 5)
    let original = try TemporaryDirectory.bytes(of: path)
    let last = records[4]
    let start = Int(last.segmentOffset), end = start + 32 + last.payload.count
    for cut in start..<end {
      var damaged = original
      for index in cut..<damaged.count { damaged[index] = 0 }
      guard damaged[..<end] != original[..<end] else { continue }
      try TemporaryDirectory.write(damaged, to: path)
      let (left, stop) = try readAll(directory)
      #expect(left == Array(records[..<4]), "zeros from \(cut)")
      #expect(stop.finding == (cut == start ? .end : .badCRC), "zeros from \(cut)")
      #expect(stop.isTail == (cut != start))
      #expect(stop.segmentOffset == UInt64(start))
    }
    try? FileManager.default.removeItem(atPath: directory)
  }

  @Test func `R13_ a record whose length was not yet stored is torn, whatever else of it is there`() throws {
    let (path, records, directory) = try oneSegment(count: 5)
    var damaged = try TemporaryDirectory.bytes(of: path)
    let start = Int(records[4].segmentOffset)
    for index in start..<start + 4 { damaged[index] = 0 }
    // Whoever was killed here has not sealed the segment either.
    for index in (start + 32 + records[4].payload.count)..<damaged.count { damaged[index] = 0 }
    try TemporaryDirectory.write(damaged, to: path)
    let (left, stop) = try readAll(directory)
    #expect(left == Array(records[..<4]))
    #expect(stop.finding == .torn && stop.isTail && stop.segmentOffset == UInt64(start))
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// The third of five records, and the last one before the seal; with and without a payload.
  @Test(arguments: [2, 4], [0, 100])
  func `a flipped bit anywhere in a record is found, at its segment and offset, and is no torn tail`(
    place: Int, maximum: Int
  ) throws {
    let (path, records, directory) = try oneSegment(count: 5, maximum: maximum)
    let original = try TemporaryDirectory.bytes(of: path)
    let victim = records[place]
    let start = Int(victim.segmentOffset)
    for bit in 0..<(32 + victim.payload.count) * 8 {
      var damaged = original
      damaged[start + bit / 8] ^= 1 << UInt8(bit % 8)
      try TemporaryDirectory.write(damaged, to: path)
      let (left, stop) = try readAll(directory)
      #expect(left == Array(records[..<place]), "bit \(bit)")
      // One bit makes nothing of the length 32.
      let isUnfinished = damaged[start..<start + 4].allSatisfy { $0 == 0 }
      #expect(stop.finding == (isUnfinished ? .torn : .badCRC), "bit \(bit)")
      #expect(stop.segmentNumber == 1 && stop.segmentOffset == victim.segmentOffset)
      #expect(!stop.isTail, "bit \(bit)")
    }
    try? FileManager.default.removeItem(atPath: directory)
  }

  @Test func `a flipped bit anywhere in a segment's seal is no torn tail when the next one has records`() throws {
    let directory = try TemporaryDirectory()
    try writeJournal(directory.path, count: 200, seed: 3)
    let first = try readAll(directory.path).records.filter { $0.segmentNumber == 1 }
    let path = segmentPath(directory.path, 1)
    let original = try TemporaryDirectory.bytes(of: path)
    let seal = (Int(first.last!.segmentOffset) + 32 + first.last!.payload.count + 7) & ~7
    for bit in 0..<32 * 8 {
      var damaged = original
      damaged[seal + bit / 8] ^= 1 << UInt8(bit % 8)
      try TemporaryDirectory.write(damaged, to: path)
      let (left, stop) = try readAll(directory.path)
      #expect(left == first, "bit \(bit)")
      #expect((stop.finding == .badCRC || stop.finding == .torn) && !stop.isTail, "bit \(bit): \(stop)")
      #expect(stop.segmentNumber == 1 && stop.segmentOffset == UInt64(seal))
    }
  }

  @Test func `a segment cut off anywhere is no torn tail when a later one has records`() throws {
    let directory = try TemporaryDirectory()
    try writeJournal(directory.path, count: 200, seed: 3)
    let all = try readAll(directory.path).records
    let path = segmentPath(directory.path, 2)
    let original = try TemporaryDirectory.bytes(of: path)
    let end = Int(all.last { $0.segmentNumber == 2 }!.segmentOffset)
    for cut in [128] + Array(stride(from: 129, to: end, by: 37))
      + all.filter({ $0.segmentNumber == 2 }).map({ Int($0.segmentOffset) })
    {
      try TemporaryDirectory.write(Array(original[..<cut]), to: path)
      let (left, stop) = try readAll(directory.path)
      #expect(
        left
          == all.filter {
            $0.segmentNumber < 2 || $0.segmentNumber == 2 && Int($0.segmentOffset) + 32 + $0.payload.count <= cut
          })
      #expect(stop.finding == .torn && !stop.isTail && stop.segmentNumber == 2, "cut at \(cut): \(stop)")
    }
    // The next one has lost its first records, and what follows it is whole.
    try TemporaryDirectory.write(Array(original[..<end]), to: path)
    var next = try TemporaryDirectory.bytes(of: segmentPath(directory.path, 3))
    for index in 128..<1000 { next[index] = 0 }
    try TemporaryDirectory.write(next, to: segmentPath(directory.path, 3))
    let stop = try readAll(directory.path).stop
    #expect(stop.finding == .torn && !stop.isTail, "\(stop)")
  }

  @Test func `a torn record before the next run is a tail`() throws {
    let (path, records, directory) = try oneSegment(count: 5)
    let start = Int(records[4].segmentOffset)
    let bytes = try TemporaryDirectory.bytes(of: path)
    try TemporaryDirectory.write(
      Array(bytes[..<(start + 20)]) + [UInt8](repeating: 0, count: bytes.count - start - 20), to: path)
    try writeJournal(directory, count: 100, seed: 2, bootEpoch: 2)
    let (left, stop) = try readAll(directory)
    #expect(left == Array(records[..<4]))
    #expect(stop.finding == .badCRC && stop.isTail && stop.bootEpoch == 1, "\(stop)")
    try? FileManager.default.removeItem(atPath: directory)
  }

  @Test func `before a segment that cannot be entered the reader knows whether the run was over`() throws {
    let directory = try TemporaryDirectory()
    try writeJournal(directory.path, count: 60, seed: 3)
    let last = Int(try readAll(directory.path).records.last!.segmentNumber)
    try writeJournal(directory.path, count: 60, seed: 4, bootEpoch: 2)
    for (number, isOver) in [(last, false), (last + 1, true)] {
      let path = segmentPath(directory.path, number)
      let original = try TemporaryDirectory.bytes(of: path)
      var damaged = original
      damaged[50] ^= 1
      try TemporaryDirectory.write(damaged, to: path)
      let stop = try readAll(directory.path).stop
      #expect(stop.finding == .badHeader && stop.isClosed == isOver && !stop.isTail, "\(stop)")
      try TemporaryDirectory.write(original, to: path)
    }
  }

  @Test func `a flipped bit anywhere in a segment's header is found before any record is believed`() throws {
    let (path, _, directory) = try oneSegment(count: 5)
    let original = try TemporaryDirectory.bytes(of: path)
    for bit in 0..<128 * 8 {
      var damaged = original
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      try TemporaryDirectory.write(damaged, to: path)
      let (left, stop) = try readAll(directory)
      #expect(left.isEmpty)
      // A version that is known is not believed either: the checksum says that it was another.
      let version = damaged[8..<12].reversed().reduce(0) { $0 << 8 | UInt32($1) }
      let known = UInt32(APUS_JOURNAL_VERSION_OLDEST)...UInt32(APUS_JOURNAL_VERSION)
      let isVersion = (8..<12).contains(bit / 8) && !known.contains(version)
      #expect(stop.finding == (isVersion ? .otherVersion : .badHeader), "bit \(bit)")
    }
    try? FileManager.default.removeItem(atPath: directory)
  }

  @Test func `a journal of the first version is still read`() throws {
    let (path, records, directory) = try oneSegment(count: 5)
    var bytes = try TemporaryDirectory.bytes(of: path)
    #expect(bytes[8] == UInt8(APUS_JOURNAL_VERSION) && APUS_JOURNAL_VERSION > 1)
    bytes[8] = 1
    let crc = bytes.withUnsafeBufferPointer { apus_crc32c(0, $0.baseAddress!, 124) }
    withUnsafeBytes(of: crc.littleEndian) { for index in 0..<4 { bytes[124 + index] = $0[index] } }
    try TemporaryDirectory.write(bytes, to: path)
    let (left, stop) = try readAll(directory)
    #expect(left.count == records.count && left.map(\.payload) == records.map(\.payload))
    #expect(stop.finding == .end)
    try? FileManager.default.removeItem(atPath: directory)
  }

  @Test func `random bytes anywhere never yield a record that was not written`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = TestRandom(state: seed)
    let (path, records, directory) = try oneSegment(count: 12)
    let original = try TemporaryDirectory.bytes(of: path)
    for _ in 0..<300 {
      var damaged = original
      for _ in 0..<Int.random(in: 1...40, using: &random) {
        damaged[Int.random(in: 128..<1200, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      try TemporaryDirectory.write(Array(damaged[..<Int.random(in: 1...4096, using: &random)]), to: path)
      let left = try readAll(directory).records
      #expect(left == Array(records[..<left.count]), "seed \(seed)")
    }
    try? FileManager.default.removeItem(atPath: directory)
  }

  @Test func `a missing segment stops the reader, which goes on beyond it when told to`() throws {
    let directory = try TemporaryDirectory()
    try writeJournal(directory.path, count: 200, seed: 3)
    let all = try readAll(directory.path).records
    try FileManager.default.removeItem(atPath: segmentPath(directory.path, 3))
    var reader = try JournalReader(path: directory.path)
    var found: [JournalRecord] = []
    while let record = reader.next() { found.append(record) }
    let stop = reader.stop
    #expect(stop.finding == .missingSegment && stop.segmentNumber == 3)
    #expect(stop.description.contains("segment 3 is missing"))
    #expect(found == all.filter { $0.segmentNumber < 3 })
    let skipped = reader.skipSegment()
    #expect(skipped)
    found = []
    while let record = reader.next() { found.append(record) }
    #expect(found == all.filter { $0.segmentNumber > 3 })
    let end = reader.stop
    #expect(end.finding == .end && end.isClosed)
  }

  @Test func `segments that retention took from the front are not missed`() throws {
    let directory = try TemporaryDirectory()
    try writeJournal(directory.path, count: 200, seed: 3)
    let all = try readAll(directory.path).records
    for number in 1...2 { try FileManager.default.removeItem(atPath: segmentPath(directory.path, number)) }
    let (left, stop) = try readAll(directory.path)
    #expect(left == all.filter { $0.segmentNumber > 2 })
    #expect(stop.finding == .end)
  }

  @Test func `a newest segment that is gone is missed, for the one before says that it existed`() throws {
    let directory = try TemporaryDirectory()
    try writeJournal(directory.path, count: 200, seed: 3)
    let last = Int(try readAll(directory.path).records.last!.segmentNumber)
    try FileManager.default.removeItem(atPath: segmentPath(directory.path, last))
    let stop = try readAll(directory.path).stop
    #expect(stop.finding == .missingSegment && stop.segmentNumber == UInt64(last))
  }

  @Test func `the lost end of a segment is found although its successor is whole`() throws {
    let directory = try TemporaryDirectory()
    try writeJournal(directory.path, count: 200, seed: 3)
    let all = try readAll(directory.path).records
    let lastInSecond = all.last { $0.segmentNumber == 2 }!
    var bytes = try TemporaryDirectory.bytes(of: segmentPath(directory.path, 2))
    for index in Int(lastInSecond.segmentOffset)..<bytes.count { bytes[index] = 0 }
    try TemporaryDirectory.write(bytes, to: segmentPath(directory.path, 2))
    let (left, stop) = try readAll(directory.path)
    #expect(left == all.filter { $0.recordNumber < lastInSecond.recordNumber })
    #expect(stop.finding == .torn && stop.segmentNumber == 2)
  }

  @Test func `a reader that skips a torn segment reads the next boot`() throws {
    let (path, _, directory) = try oneSegment(count: 5)
    var damaged = try TemporaryDirectory.bytes(of: path)
    damaged[200] ^= 1
    try TemporaryDirectory.write(damaged, to: path)
    let later = try writeJournal(directory, count: 4, seed: 2, bootEpoch: 2)
    var reader = try JournalReader(path: directory)
    while reader.next() != nil {}
    let finding = reader.stop.finding
    #expect(finding == .badCRC)
    let skipped = reader.skipSegment()
    #expect(skipped)
    var found: [Entry] = []
    while let record = reader.next() { found.append(Entry(record)) }
    #expect(found == later)
    let skippedAgain = reader.skipSegment()
    #expect(!skippedAgain)
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// A closed journal of one segment, and what is in it. The caller removes the directory.
  private func oneSegment(count: Int, maximum: Int = 100) throws -> (
    path: String, records: [JournalRecord], directory: String
  ) {
    let directory = NSTemporaryDirectory() + "/apus-damage-" + UUID().uuidString
    try writeJournal(directory, count: count, seed: 11, maximum: maximum)
    let records = try readAll(directory).records
    #expect(records.count == count && records.last!.segmentNumber == 1)
    return (segmentPath(directory, 1), records, directory)
  }
}
