public import CSupport

/// Reads the records of a journal directory in the order in which they were written.
///
/// A journal that is being written may be read: after `.end`, ask again for what came since.
@safe
public struct JournalReader: ~Copyable {
  private let reader: OpaquePointer

  /// - Parameter path: A directory. An empty one is a journal without records.
  public init(path: String) throws(MappedFileError) {
    var opened: OpaquePointer?
    let code = unsafe apus_journal_reader_open(path, &opened)
    guard code == 0, let reader = unsafe opened else {
      throw MappedFileError(path: path, action: "read the journal", code: code)
    }
    unsafe self.reader = reader
  }

  deinit { unsafe apus_journal_reader_close(reader) }

  /// The next record, or `nil` where the reader stops; ``stop`` says why.
  public mutating func next() -> JournalRecord? {
    var raw = unsafe apus_journal_record()
    guard unsafe apus_journal_reader_next(reader, &raw) == .record else { return nil }
    return unsafe JournalRecord(raw)
  }

  /// Where the reader stands, and what it found there.
  public var stop: JournalStop { JournalStop(unsafe apus_journal_reader_position(reader)) }

  /// After a stop, goes on at the next segment that exists; `false` if there is none.
  ///
  /// What lies between is not read: the caller decides that it can do without.
  public mutating func skipSegment() -> Bool {
    unsafe apus_journal_reader_skip_segment(reader)
  }
}

/// One record of a journal, copied out of the file.
public struct JournalRecord: Equatable, Sendable {
  /// An ``JournalKind``, or the value of a later writer.
  public var rawKind: UInt16
  public var connection: UInt32
  /// On the lane's clock.
  public var time: Nanoseconds
  /// The same moment in nanoseconds since 1970 UTC, as the segment's header relates the two clocks.
  public var wallTime: Nanoseconds
  public var payload: [UInt8]
  /// From 1 for each boot epoch.
  public var recordNumber: UInt64
  /// How many records the writer refused between the record before and this one.
  public var refusedBefore: UInt64
  public var bootEpoch: UInt64
  public var segmentNumber: UInt64
  public var segmentOffset: UInt64

  /// `nil` for a kind that this program does not know.
  public var kind: JournalKind? {
    let known = JournalKind.inbound.rawValue...JournalKind.parameters.rawValue
    return known.contains(UInt32(rawKind)) ? JournalKind(rawValue: UInt32(rawKind)) : nil
  }

  init(_ raw: apus_journal_record) {
    unsafe rawKind = raw.kind
    unsafe connection = raw.connection
    unsafe time = raw.time_ns
    unsafe wallTime = raw.wall_ns
    unsafe payload = Array(UnsafeRawBufferPointer(start: raw.payload, count: Int(raw.payload_bytes)))
    unsafe recordNumber = raw.record_number
    unsafe refusedBefore = raw.refused_before
    unsafe bootEpoch = raw.boot_epoch
    unsafe segmentNumber = raw.segment_number
    unsafe segmentOffset = raw.segment_offset
  }
}

/// Where and why a ``JournalReader`` stands.
public struct JournalStop: Equatable, Sendable, CustomStringConvertible {
  public var finding: JournalFinding
  /// The segment it stands in, or the one that is missing.
  public var segmentNumber: UInt64
  public var segmentOffset: UInt64
  public var bootEpoch: UInt64
  /// At the end, or before a segment that is missing or cannot be entered: the writer of what was read closed its journal,
  /// rather than being killed or still running.
  public var isClosed: Bool
  /// No whole record of the same run comes after, in this segment or a later one, as when the machine died while writing.
  /// A stop that is neither this nor the end is damage.
  public var isTail: Bool
  /// How many records were refused after the last one of a run that was closed: where `isClosed`, and where the next run
  /// begins.
  public var refusedAtEnd: UInt64
  /// Of a segment of another version.
  public var version: UInt32
  /// `errno` of a file error.
  public var errorCode: Int32

  init(_ raw: JournalPosition) {
    finding = raw.finding
    segmentNumber = raw.segment_number
    segmentOffset = raw.segment_offset
    bootEpoch = raw.boot_epoch
    isClosed = raw.is_closed
    isTail = raw.is_tail
    refusedAtEnd = raw.refused_at_end
    version = raw.version
    errorCode = -raw.error
  }

  public var description: String {
    let place = "segment \(segmentNumber), offset \(segmentOffset)"
    let after = isTail ? "; no whole record comes after it" : "; there is more after it"
    return switch finding {
    case .record: "\(place): a record was read"
    case .end: "\(place): the end of the journal; its writer \(isClosed ? "closed it" : "is running or was killed")"
    case .torn:
      "\(place): a record was begun and not finished\(isTail ? "" : ", or the end of the segment is lost")\(after)"
    case .badCRC: "\(place): the bytes of a record are not those that were written\(after)"
    case .badRecord: "\(place): a record has an impossible number\(after)"
    case .missingSegment: "segment \(segmentNumber) is missing; restore it, or skip what it held"
    case .badHeader: "segment \(segmentNumber) is damaged or is not a journal segment; restore it, or skip it"
    case .otherVersion:
      "segment \(segmentNumber) has version \(version) of the format and this program knows the versions up to \(APUS_JOURNAL_VERSION); use the program that wrote it"
    case .fileError:
      "segment \(segmentNumber) could not be read (errno \(errorCode)); correct that and read again"
    }
  }
}
