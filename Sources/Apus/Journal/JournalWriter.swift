public import CSupport

/// The lane's end of a journal: appends records to mapped memory, without a system call.
///
/// See `apus_journal.h` for the file format, the bounds and what survives which kind of death.
// Sendable: the lane's end and the helper's end meet only through the release/acquire pairs that
// apus_journal.h names; being noncopyable, each end has exactly one owner.
@safe
public struct JournalWriter: ~Copyable, @unchecked Sendable {
  @usableFromInline let journal: OpaquePointer
  private let storage: JournalStorage

  fileprivate init(_ storage: JournalStorage) {
    self.storage = storage
    unsafe journal = storage.journal
  }

  /// Appends a record that holds a copy of `payload`.
  ///
  /// - Parameters:
  ///   - connection: Which of the lane's connections it belongs to; the caller's numbering.
  ///   - time: On the lane's clock.
  ///   - payload: At most the segment's size less 192 bytes.
  /// - Returns: `false` if the next segment is not ready. The refusal is counted, and the journal shows
  ///   a gap in its record numbers; to wait instead of losing, ask ``hasRoom(forPayload:)`` first.
  @inlinable @inline(always) @_noLocks
  public mutating func append(
    _ kind: JournalKind, connection: UInt32, time: Nanoseconds, payload: UnsafeRawBufferPointer
  ) -> Bool {
    unsafe apus_journal_append(
      journal, kind, connection, time, payload.baseAddress, UInt32(clamping: payload.count))
  }

  /// Whether an append of a payload of so many bytes would succeed now.
  @inlinable @inline(always) @_noLocks
  public func hasRoom(forPayload byteCount: Int) -> Bool {
    unsafe apus_journal_has_room(journal, UInt32(clamping: byteCount))
  }

  /// What was appended, refused and synced so far.
  public var status: JournalStatus { unsafe apus_journal_status(journal) }
}

/// The helper thread's end of a journal.
// Sendable: as JournalWriter.
@safe
public struct JournalService: ~Copyable, @unchecked Sendable {
  private let storage: JournalStorage

  fileprivate init(_ storage: JournalStorage) {
    self.storage = storage
  }

  /// Prepares the next segment, keeps pages ahead of the lane writable, and syncs by policy.
  ///
  /// Call it every millisecond or so. After an error the journal goes on in the segments it has, and the
  /// next call tries again.
  public mutating func service(now: Nanoseconds) throws(MappedFileError) {
    let code = unsafe apus_journal_service(storage.journal, now)
    guard code == 0 else {
      throw MappedFileError(path: storage.path, action: "prepare or sync a journal segment", code: code)
    }
  }

  /// Removes the oldest segments that `keep` lets go of; those of this run only if the size limit leaves no choice.
  ///
  /// - Parameter wallClock: Nanoseconds since 1970 UTC.
  public mutating func retain(_ keep: JournalRetention, wallClock: Nanoseconds) -> JournalRetained {
    var keep = keep
    return unsafe apus_journal_retain(storage.journal, &keep, wallClock)
  }

  /// Bytes that may still be written where the journal is; `nil` if the system does not say.
  public var freeBytes: Int64? {
    let bytes = unsafe apus_journal_free_bytes(storage.journal)
    return bytes < 0 ? nil : bytes
  }

  public var status: JournalStatus { unsafe apus_journal_status(storage.journal) }

  /// Leaves the files as a killed process does: when both ends are gone nothing is sealed and nothing synced. For
  /// simulations. While the writer is not in use.
  ///
  /// - Returns: the number of the last record that is on the disk; 0: none yet, or policy none.
  public mutating func abandon() -> UInt64 {
    storage.isAbandoned = true
    return unsafe apus_journal_status(storage.journal).synced_number
  }
}

/// Both ends of a journal that is open for writing. It is closed when both are gone.
@frozen public struct JournalEnds: ~Copyable {
  public var writer: JournalWriter
  public var service: JournalService

  /// Opens the directory at `path` for writing, and prepares two segments behind those that are there.
  ///
  /// The last component of the path is created if it is missing; only one process may write a
  /// directory at a time. Existing segments are never changed; a spare one that a killed writer left without a
  /// record is removed.
  ///
  /// - Parameters:
  ///   - name: Of the lane, for people; at most 47 bytes of it are kept.
  ///   - now: The lane's clock, the one that ``JournalWriter/append(_:connection:time:payload:)`` gets.
  public init(
    path: String, name: String, configuration: JournalConfiguration, now: Nanoseconds
  ) throws(MappedFileError) {
    let action = "open the journal"
    if let (found, allowed) = configuration.firstProblem {
      throw MappedFileError(
        path: path, action: action, cause: .invalidConfiguration(found: found, allowed: allowed))
    }
    var journal: OpaquePointer?
    var configuration = configuration
    let code = unsafe apus_journal_open(path, name, &configuration, now, &journal)
    guard code == 0, let journal = unsafe journal else {
      throw MappedFileError(path: path, action: action, code: code)
    }
    let storage = unsafe JournalStorage(journal: journal, path: path)
    writer = JournalWriter(storage)
    service = JournalService(storage)
  }
}

extension JournalConfiguration {
  /// - Parameters:
  ///   - segmentBytes: A multiple of 4096, from 4096 to 2³¹. Two or three segments exist ahead at any time.
  ///   - windowBytes: How far ahead of the lane pages are kept writable; 0 means the whole segment.
  ///   - bootEpoch: Tells the runs of the engine apart; different for each.
  ///   - syncInterval: For `.interval`, above 0.
  public init(
    segmentBytes: Int = 64 << 20, windowBytes: Int = 4 << 20, bootEpoch: UInt64,
    sync: JournalSync = .interval, syncInterval: Nanoseconds = 1_000_000_000
  ) {
    self.init()
    self.segment_bytes = UInt64(clamping: segmentBytes)
    self.window_bytes = UInt64(clamping: windowBytes)
    self.boot_epoch = bootEpoch
    self.sync = sync
    self.sync_interval_ns = syncInterval
  }

  fileprivate var firstProblem: (found: String, allowed: String)? {
    let range = UInt64(APUS_JOURNAL_SEGMENT_BYTES_MIN)...UInt64(APUS_JOURNAL_SEGMENT_BYTES_MAX)
    if !range.contains(segment_bytes) || segment_bytes % 4096 != 0 {
      return (
        "segments of \(segment_bytes) bytes", "a multiple of 4096 from \(range.lowerBound) to \(range.upperBound)"
      )
    }
    if sync == .interval && sync_interval_ns <= 0 {
      return ("a sync interval of \(sync_interval_ns) ns", "more than 0")
    }
    return nil
  }
}

@safe
private final class JournalStorage {
  let journal: OpaquePointer
  let path: String
  /// Written by the helper's end alone, and read when both ends are gone.
  var isAbandoned = false

  init(journal: OpaquePointer, path: String) {
    unsafe self.journal = journal
    self.path = path
  }

  deinit {
    if isAbandoned {
      unsafe apus_journal_abandon(journal)
    } else {
      unsafe apus_journal_close(journal)
    }
  }
}
