import Apus
import CSupport

/// A place of a journal at which something is missing that was written, or was to be.
public struct JournalGap: Codable, Equatable, Sendable, CustomStringConvertible {
  /// For people, with the place.
  public var description: String
  /// What a killed machine leaves behind a run's last record: no damage.
  public var isTail: Bool

  public init(_ description: String, isTail: Bool = false) {
    self.description = description
    self.isTail = isTail
  }
}

/// Reads a journal over what is damaged or missing in it, and keeps where that was.
struct GapReader: ~Copyable {
  private struct Finding {
    var gap: JournalGap
    /// The runs of the records around it.
    var before: UInt64?
    var after: UInt64?
  }

  private var reader: JournalReader
  private var findings: [Finding] = []
  private var lastEpoch: UInt64?
  /// Records are missing between the one before and the one that was read last, both of the same run.
  private(set) var isBehindGap = false

  init(path: String) throws(MappedFileError) { reader = try JournalReader(path: path) }

  /// The next record; `nil` at the end.
  mutating func next() -> JournalRecord? {
    var stops: [JournalStop] = []
    while true {
      if let record = reader.next() {
        note(stops, before: record)
        return record
      }
      let stop = reader.stop
      if stop.finding != .end { stops.append(stop) }
      if stop.finding == .end || !reader.skipSegment() {
        note(stops, before: nil)
        return nil
      }
    }
  }

  private mutating func note(_ stops: [JournalStop], before record: JournalRecord?) {
    var gaps = stops.map { JournalGap("\($0)", isTail: $0.isTail) }
    isBehindGap = false
    if let record, record.bootEpoch == lastEpoch {
      isBehindGap = !stops.isEmpty || record.refusedBefore > 0
      if stops.isEmpty, record.refusedBefore > 0 {
        gaps.append(
          JournalGap("\(record.refusedBefore) records could not be written before record \(record.recordNumber)"))
      }
    }
    findings += gaps.map { Finding(gap: $0, before: lastEpoch, after: record?.bootEpoch) }
    lastEpoch = record?.bootEpoch ?? lastEpoch
  }

  /// What has been found so far, in order.
  ///
  /// - Parameter epoch: Of this run: damage between two runs may have hit both, a tail is the end of the one before it.
  ///   `nil`: of all.
  func gaps(of epoch: UInt64? = nil) -> [JournalGap] {
    findings.filter { epoch == nil || $0.before == epoch || (!$0.gap.isTail && $0.after == epoch) }.map(\.gap)
  }
}
