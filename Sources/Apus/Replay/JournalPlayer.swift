import CSupport
import Glibc

/// The first place at which a replay is not what was recorded.
public struct ReplayDifference: Sendable {
  /// In the run's numbering, from 1.
  public var recordNumber: UInt64
  /// On the lane's clock, and the same moment in nanoseconds since 1970 UTC.
  public var time: Nanoseconds
  public var wallTime: Nanoseconds
  public var connection: UInt32
  /// What it is that differs.
  public var what: String
  /// Readable cuts of both, around the first byte that differs.
  public var recorded: String
  public var replayed: String
}

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
    case .nextRun: return false
    case .refused(let count):
      tell("\(count) records before record \(record.record_number) could not be written")
      hasRecord = true
      end = .journal
      return true
    case .journal:
      let found = stop
      if found.finding == .end {
        if found.refusedAtEnd > 0 { tell("\(found.refusedAtEnd) records at the end could not be written") }
        return false
      }
      tell("\(found)")
      guard skipSegment() else { return false }
      guard record.boot_epoch == bootEpoch else {
        hasRecord = false
        end = .nextRun
        return false
      }
      return true
    }
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

  /// After damage, goes on with the next segment; false if there is none.
  func skipSegment() -> Bool {
    guard apus_journal_reader_skip_segment(reader) else { return false }
    read()
    return hasRecord
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
    case .fill: counts.fills += 1
    default: break
    }
    if !needles.isEmpty { watch(found) }
    advance()
  }

  private static func areEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
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
    let recorded = RecordText.text(kind, payload)
    let replayed = RecordText.text(found, bytes)
    var what: String
    if kind != found {
      what = "recorded is \(RecordText.name(kind)), the replay made \(RecordText.name(found))"
    } else if recorded != replayed {
      what = "\(RecordText.name(found)) differs"
    } else if record.connection != connection {
      what = "\(RecordText.name(found)) is of connection \(connection) in the replay"
    } else {
      what = "\(RecordText.name(found)) has the time \(time) in the replay"
    }
    let (first, second) = (Array(recorded.utf8), Array(replayed.utf8))
    let place =
      zip(first, second).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      ?? min(first.count, second.count)
    if kind == found, recorded != replayed { what += " from its byte \(place) on" }
    report(
      what,
      recorded: first.withUnsafeBytes { RecordText.cut($0, around: kind == found ? place : 0) },
      replayed: second.withUnsafeBytes { RecordText.cut($0, around: kind == found ? place : 0) })
  }

  /// The lane has done nothing about the next record.
  func missed() {
    guard hasRecord, difference == nil else { return }
    report(
      "recorded is \(RecordText.name(kind)), the replay made nothing",
      recorded: RecordText.cut(Array(RecordText.text(kind, payload).utf8), around: 0), replayed: "nothing")
  }

  private func report(_ what: String, recorded: String, replayed: String) {
    difference = ReplayDifference(
      recordNumber: record.record_number, time: record.time_ns, wallTime: record.wall_ns,
      connection: record.connection, what: what, recorded: recorded, replayed: replayed)
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
      let name = record.kind.map { "\(word($0))" }
      return "\(name ?? "control \(record.control)") (\(record.first), \(record.second), \(record.third))"
        + (record.is_continued == 1 ? ", in the same read" : "")
    default: return String(decoding: payload, as: UTF8.self)
    }
  }

  private static func word(_ kind: ControlKind) -> String {
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

  static func cut(_ text: [UInt8], around place: Int) -> String {
    text.withUnsafeBytes { cut($0, around: place) }
  }
}
