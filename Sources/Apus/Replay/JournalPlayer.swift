import CSupport
import Glibc

/// How many records of a run were repeated.
public struct ReplayCounts: Equatable, Sendable {
  public var records = 0
  public var framesIn = 0
  public var framesOut = 0
  public var fills = 0
}

/// A frame of the watched order, and of what else the step was about.
struct WatchedRecord {
  var number: UInt64
  var time: Nanoseconds
  var connection: UInt32
  var isOutbound: Bool
  var text: String
}

/// Reads a run record by record, and compares what a lane notes while it repeats it.
///
/// One record is looked at ahead. The lane's own notes move on: each has to be the record that is next. One thread.
final class JournalPlayer {
  private let reader: OpaquePointer
  /// The next record, while `hasRecord`; its payload is valid until then.
  private(set) var record = apus_journal_record()
  /// There is a next record, and it is of this run.
  private(set) var hasRecord = false
  /// Why there is none.
  private(set) var end = End.journal
  private(set) var difference: ReplayDifference?
  private(set) var counts = ReplayCounts()
  private(set) var firstTime: Nanoseconds = 0
  private(set) var lastTime: Nanoseconds = 0
  private(set) var bootEpoch: UInt64 = 0
  /// Texts that the order to be watched is known by; empty: none is.
  var needles: [Needle] = []
  private(set) var watched: [WatchedRecord] = []
  /// Shown each record of the run, before it is left.
  var tables: RunTables?
  /// Where the run ended whose gap was told last, so that it is not told again.
  var toldStop: JournalStop?

  enum End { case journal, nextRun, refused(UInt64) }

  init(path: String) throws(MappedFileError) {
    var opened: OpaquePointer?
    let code = apus_journal_reader_open(path, &opened)
    guard code == 0, let opened else { throw MappedFileError(path: path, action: "read the journal", code: code) }
    reader = opened
    read()
  }

  deinit { apus_journal_reader_close(reader) }

  /// Where the reader stands.
  var stop: JournalStop { JournalStop(apus_journal_reader_position(reader)) }

  /// Where there is no next record, the reason is of the run that is read: not the end, nor what cannot be read of the next.
  var isWithinRun: Bool {
    let stop = stop
    return switch stop.finding {
    case .record, .end: false
    case .torn, .badCRC, .badRecord: stop.bootEpoch == bootEpoch
    case .missingSegment, .badHeader, .otherVersion, .fileError: !stop.isClosed
    }
  }

  // MARK: - Moving on

  private func read() {
    guard apus_journal_reader_next(reader, &record) == .record else {
      hasRecord = false
      end = .journal
      return
    }
    hasRecord = true
  }

  private func advance() {
    counts.records += 1
    lastTime = record.time_ns
    tables?.take(kind, record, payload)
    read()
    guard hasRecord else { return }
    if record.boot_epoch != bootEpoch {
      hasRecord = false
      end = .nextRun
    } else if record.refused_before > 0 {
      hasRecord = false
      end = .refused(record.refused_before)
    }
  }

  /// The next record is the first of a run: its description.
  func beginRun() -> UnsafeRawBufferPointer? {
    bootEpoch = record.boot_epoch
    firstTime = record.time_ns
    lastTime = record.time_ns
    counts = ReplayCounts()
    difference = nil
    return kind == .run && record.refused_before == 0 ? payload : nil
  }

  /// Why the next record, the first that is left of its run, is no description.
  var missingBeginning: String {
    record.record_number > 1 || record.refused_before > 0
      ? "its beginning is no longer there: the first record that is left is \(record.record_number)"
      : "it does not begin with its description: an older version wrote it"
  }

  /// Goes on behind the description.
  func leaveDescription() {
    advance()
    if hasRecord { firstTime = record.time_ns }
  }

  /// Takes the next record without repeating it.
  func passOver() { advance() }

  /// Goes on in the same run behind what ended it, if anything of it is left. What is missing is told.
  func goOn(_ tell: (String) -> Void) -> Bool {
    switch end {
    case .nextRun:
      tellRefusedAtEnd(tell)
      return false
    case .refused(let count):
      tell("\(count) records before record \(record.record_number) could not be written")
      hasRecord = true
      end = .journal
      return true
    case .journal:
      guard isWithinRun else {
        tellRefusedAtEnd(tell)
        return false
      }
      tell("\(stop)")
      let isThere = skipSegments { tell("\($0)") }
      toldStop = stop
      guard isThere else { return false }
      guard record.boot_epoch == bootEpoch else {
        hasRecord = false
        end = .nextRun
        return false
      }
      return true
    }
  }

  private func tellRefusedAtEnd(_ tell: (String) -> Void) {
    let count = stop.refusedAtEnd
    if count > 0 { tell("\(count) records at the end could not be written") }
  }

  /// Goes to the first record of the next run; false if there is none.
  func skipRun() -> Bool {
    while true {
      if hasRecord, record.boot_epoch != bootEpoch { return true }
      if case .nextRun = end, !hasRecord {
        hasRecord = true
        return true
      }
      read()
      if !hasRecord { return false }
    }
  }

  /// After damage, goes on with the next segment that begins with a record, and tells of those that do not; false if there
  /// is none.
  func skipSegments(_ tell: (JournalStop) -> Void) -> Bool {
    while apus_journal_reader_skip_segment(reader) {
      read()
      if hasRecord { return true }
      if stop.finding == .end { return false }
      tell(stop)
    }
    return false
  }

  // MARK: - The next record

  var kind: JournalKind? {
    let known = JournalKind.inbound.rawValue...JournalKind.parameters.rawValue
    return known.contains(UInt32(record.kind)) ? JournalKind(rawValue: UInt32(record.kind)) : nil
  }

  var payload: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: record.payload, count: Int(record.payload_bytes))
  }

  var control: ControlRecord? {
    guard kind == .control, payload.count == MemoryLayout<ControlRecord>.size else { return nil }
    return payload.loadUnaligned(as: ControlRecord.self)
  }

  var directive: DirectiveRecord? {
    kind == .directive ? Self.directive(payload) : nil
  }

  /// Records of before there were caps and hedges, or fair values, are the beginning of today's.
  static func directive(_ payload: UnsafeRawBufferPointer) -> DirectiveRecord? {
    guard oldDirectiveBytes.contains(payload.count) || payload.count == MemoryLayout<DirectiveRecord>.size else {
      return nil
    }
    var record = DirectiveRecord()
    record.long_cap_lots = .max
    record.short_cap_lots = .max
    withUnsafeMutableBytes(of: &record) { $0.copyMemory(from: payload) }
    return record
  }

  private static let oldDirectiveBytes = [16, 32]

  /// The next record is a further event of the read that the record before belongs to.
  var isContinued: Bool {
    guard hasRecord, difference == nil else { return false }
    return kind == .more || kind == .control && control?.is_continued == 1
  }

  var nextIsNoRoom: Bool { hasRecord && control?.control == ControlKind.noRoom.rawValue }

  // MARK: - Comparing

  func compare(_ found: JournalKind, connection: UInt32, time: Nanoseconds, payload bytes: UnsafeRawBufferPointer) {
    guard hasRecord, difference == nil else { return }
    guard UInt32(record.kind) == found.rawValue, record.connection == connection, record.time_ns == time,
      Self.areEqual(payload, bytes)
    else { return differ(found, connection, time, bytes) }
    switch found {
    case .inbound, .more: counts.framesIn += 1
    case .outbound: counts.framesOut += 1
    case .fill: if !Self.isFeeOnly(bytes) { counts.fills += 1 }
    default: break
    }
    if !needles.isEmpty { watch(found) }
    advance()
  }

  /// The record brings the fee of an execution that an earlier one has booked.
  static func isFeeOnly(_ payload: UnsafeRawBufferPointer) -> Bool {
    payload.count >= MemoryLayout<FillRecord>.size && payload.loadUnaligned(as: FillRecord.self).is_fee_only != 0
  }

  static func areEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard
      left.count == right.count
        || oldDirectiveBytes.contains(left.count) && right.count == MemoryLayout<DirectiveRecord>.size
    else { return false }
    guard let first = left.baseAddress, let second = right.baseAddress else { return left.count == 0 }
    return memcmp(first, second, left.count) == 0
  }

  @inline(never)
  private func watch(_ kind: JournalKind) {
    guard kind == .inbound || kind == .more || kind == .outbound else { return }
    for needle in needles {
      guard let place = Self.find(needle, in: payload) else { continue }
      watched.append(
        WatchedRecord(
          number: record.record_number, time: record.time_ns, connection: record.connection,
          isOutbound: kind == .outbound, text: RecordText.cut(payload, around: place, width: 240)))
      return
    }
  }

  func takeWatched() -> [WatchedRecord] {
    defer { watched = [] }
    return watched
  }

  /// A word that is looked for in frames.
  struct Needle {
    var bytes: [UInt8]
    /// So many digits more, whatever they are, belong to the word.
    var digits: Int

    init(_ text: String, digits: Int = 0) {
      bytes = Array(text.utf8)
      self.digits = digits
    }
  }

  /// A whole word: what stands before and behind it is no letter and no digit.
  private static func find(_ needle: Needle, in text: UnsafeRawBufferPointer) -> Int? {
    func isWord(_ byte: UInt8) -> Bool {
      byte >= 48 && byte <= 57 || byte >= 65 && byte <= 90 || byte >= 97 && byte <= 122 || byte == 46
    }
    let count = needle.bytes.count + needle.digits
    guard let base = text.baseAddress, let first = needle.bytes.first else { return nil }
    var from = 0
    while from + count <= text.count, let hit = memchr(base + from, Int32(first), text.count - from - count + 1) {
      let place = base.distance(to: UnsafeRawPointer(hit))
      let end = place + count
      if memcmp(hit, needle.bytes, needle.bytes.count) == 0, place == 0 || !isWord(text[place - 1]),
        end == text.count || !isWord(text[end]),
        text[(end - needle.digits)..<end].allSatisfy({ $0 >= 48 && $0 <= 57 })
      {
        return place
      }
      from = place + 1
    }
    return nil
  }

  @inline(never)
  private func differ(
    _ found: JournalKind, _ connection: UInt32, _ time: Nanoseconds, _ bytes: UnsafeRawBufferPointer
  ) {
    difference = ReplayDifference(
      record, kind, payload, replayed: (found, connection, time, bytes))
  }

  /// The lane has done nothing about the next record.
  func missed() {
    guard hasRecord, difference == nil else { return }
    difference = ReplayDifference(record, kind, payload, replayed: nil)
  }
}

/// Records as people read them.
enum RecordText {
  static func name(_ kind: JournalKind?) -> String {
    switch kind {
    case .inbound: "a frame in"
    case .more: "a further frame in of the same read"
    case .outbound: "a frame out"
    case .timer: "a timer"
    case .directive: "a directive"
    case .control: "a control record"
    case .note: "a note"
    case .fill: "a fill"
    case .account: "an account"
    case .run: "the description of a run"
    case .parameters: "a change of parameters"
    case .none: "a record of an unknown kind"
    }
  }

  static func text(_ kind: JournalKind?, _ payload: UnsafeRawBufferPointer) -> String {
    switch kind {
    case .timer: return "a timer was due"
    case .fill where payload.count >= MemoryLayout<FillRecord>.size:
      let fill = payload.loadUnaligned(as: FillRecord.self)
      return "trade \(fill.trade_id.text) of order \(fill.order_id.text): instrument \(fill.instrument_index), "
        + "\(fill.side == 0 ? "buy" : "sell") \(fill.qty_lots.rawValue) lots at \(fill.price_ticks.rawValue) ticks, "
        + (fill.has_fee == 1 ? "fee \(fill.fee_e8) e-8" : "fee not known")
        + (fill.is_maker == 1 ? ", maker" : ", taker") + (fill.is_fee_only == 1 ? ", only its fee" : "")
        + ", venue time \(fill.venue_time_ns)"
        + (payload.count == MemoryLayout<BookedFillRecord>.size
          ? "; then " + text(payload.loadUnaligned(as: BookedFillRecord.self).account) : "")
    case .account where payload.count == MemoryLayout<AccountRecord>.size:
      return "instrument \(payload.loadUnaligned(as: AccountRecord.self).instrument_index): "
        + text(payload.loadUnaligned(as: AccountRecord.self))
    case .directive:
      guard let directive = JournalPlayer.directive(payload) else { return String(decoding: payload, as: UTF8.self) }
      if directive.isHedge {
        return "instrument \(directive.instrument_index): hedge \(directive.target_lots) lots, at most "
          + "\(directive.long_cap_lots) hundredths of a basis point from the best price"
      }
      func cap(_ lots: Int64) -> String { lots == .max ? "none" : "\(lots)" }
      return
        "instrument \(directive.instrument_index): quoting \(directive.is_quoting_allowed == 1 ? "allowed" : "forbidden"), "
        + "widened to \(directive.widen_permille) thousandths, target \(directive.target_lots) lots, "
        + "caps \(cap(directive.long_cap_lots)) long and \(cap(directive.short_cap_lots)) short"
        + (directive.fair_value_e8 == 0 ? "" : ", fair value \(DecimalE8(e8: directive.fair_value_e8))")
        + (directive.passive_lots == 0 ? "" : ", \(directive.passive_lots) lots to be hedged by waiting")
        + (directive.directive.pullsBids ? ", no bids" : "") + (directive.directive.pullsAsks ? ", no asks" : "")
    case .control where payload.count == MemoryLayout<ControlRecord>.size:
      let record = payload.loadUnaligned(as: ControlRecord.self)
      let name = record.kind.map(word)
      return "\(name ?? "control \(record.control)") (\(record.first), \(record.second), \(record.third))"
        + (record.is_continued == 1 ? ", in the same read" : "")
    default: return String(decoding: payload, as: UTF8.self)
    }
  }

  static func word(_ kind: ControlKind) -> String {
    switch kind {
    case .connected: "connected"
    case .disconnected: "disconnected"
    case .opened: "WebSocket opened"
    case .closed: "WebSocket closed by the venue"
    case .failed: "WebSocket failed"
    case .heard: "a read without a frame"
    case .halt: "halt"
    case .rearm: "re-armed"
    case .stop: "stop requested"
    case .stopStep: "stop looked at before the venue was reached"
    case .wallClock: "wall clock"
    case .noRoom: "no room for a frame"
    case .spareUp: "second connection up"
    case .spareLost: "second connection lost"
    case .movedOver: "moved over to the second connection"
    case .companionUp: "another connection of the session up"
    case .companionLost: "another connection of the session lost"
    case .stopped: "ended"
    }
  }

  private static func text(_ account: AccountRecord) -> String {
    "position \(account.is_position_known == 1 ? "\(account.position_lots.rawValue) lots" : "not known"), cash "
      + "\(account.cash_e8) e-8, fees \(account.fees_e8) e-8, \(account.fill_count) fills"
  }

  /// About `width` bytes around a place, what is left out marked by `…`.
  static func cut(_ text: UnsafeRawBufferPointer, around place: Int, width: Int = 280) -> String {
    let start = max(0, min(place - width / 2, text.count - width))
    let end = min(text.count, start + width)
    let body = String(decoding: UnsafeRawBufferPointer(rebasing: text[start..<end]), as: UTF8.self)
    return (start > 0 ? "…" : "") + body + (end < text.count ? "…" : "")
  }

  /// The payload of a record for people: of a text what is around a byte, of others all.
  static func cut(_ kind: JournalKind?, _ payload: UnsafeRawBufferPointer, around place: Int) -> String {
    isText(kind) ? cut(payload, around: place) : text(kind, payload)
  }

  static func isText(_ kind: JournalKind?) -> Bool {
    switch kind {
    case .inbound, .more, .outbound, .note, .run, .parameters: true
    case .timer, .directive, .control, .fill, .account, .none: false
    }
  }
}
