import Apus
import CSupport
import Testing

/// What a test appended, to compare with what the reader gives back.
struct Entry: Equatable {
  var kind: JournalKind
  var connection: UInt32
  var time: Nanoseconds
  var payload: [UInt8]

  static func random(_ index: Int, maximum: Int, using random: inout TestRandom) -> Entry {
    let length = Int.random(in: 0...maximum, using: &random)
    return Entry(
      kind: JournalKind(rawValue: UInt32(1 + index % 8))!, connection: UInt32(index % 3),
      time: Nanoseconds(1_000_000 + index),
      payload: (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) })
  }

  init(kind: JournalKind, connection: UInt32, time: Nanoseconds, payload: [UInt8]) {
    self.kind = kind
    self.connection = connection
    self.time = time
    self.payload = payload
  }

  init(_ record: JournalRecord) {
    self.init(
      kind: record.kind!, connection: record.connection, time: record.time, payload: record.payload)
  }
}

extension JournalWriter {
  mutating func append(_ entry: Entry) -> Bool {
    entry.payload.withUnsafeBytes {
      append(entry.kind, connection: entry.connection, time: entry.time, payload: $0)
    }
  }

  mutating func appendOrFail(_ entry: Entry, at location: SourceLocation = #_sourceLocation) {
    let accepted = append(entry)
    #expect(accepted, "the record at \(entry.time) was refused", sourceLocation: location)
  }
}

extension JournalConfiguration {
  static func small(bootEpoch: UInt64 = 1, sync: JournalSync = .none) -> Self {
    Self(segmentBytes: 4096, windowBytes: 0, bootEpoch: bootEpoch, sync: sync)
  }
}

/// Reads a directory to where the reader stops.
func readAll(_ path: String) throws -> (records: [JournalRecord], stop: JournalStop) {
  var reader = try JournalReader(path: path)
  var records: [JournalRecord] = []
  while let record = reader.next() { records.append(record) }
  return (records, reader.stop)
}

/// Writes `count` random entries, with a helper that is always in time, and closes.
@discardableResult
func writeJournal(
  _ path: String, count: Int, seed: UInt64, bootEpoch: UInt64 = 1, maximum: Int = 200
) throws -> [Entry] {
  var random = TestRandom(state: seed)
  var ends = try JournalEnds(path: path, name: "test", configuration: .small(bootEpoch: bootEpoch), now: 0)
  var entries: [Entry] = []
  for index in 0..<count {
    let entry = Entry.random(index, maximum: maximum, using: &random)
    if !ends.writer.hasRoom(forPayload: entry.payload.count) { try ends.service.service(now: Nanoseconds(index)) }
    if ends.writer.append(entry) { entries.append(entry) }
    try ends.service.service(now: Nanoseconds(index))
  }
  return entries
}

func segmentPath(_ directory: String, _ number: Int) -> String {
  let digits = String(number)
  return directory + "/journal-" + String(repeating: "0", count: 20 - digits.count) + digits + ".apus"
}
