import CSupport

/// Where a lane notes what it sees and does: the journal.
struct LaneRecords: ~Copyable {
  private var journal: JournalWriter?
  /// A record could not be written: quoting stops, because what cannot be accounted for is not done.
  private(set) var hasFailed = false

  init(journal: consuming JournalWriter?) {
    self.journal = journal
  }

  private mutating func append(_ kind: JournalKind, _ bytes: UnsafeRawBufferPointer, _ now: Nanoseconds) {
    guard journal != nil else { return }
    if !journal!.append(kind, connection: 0, time: now, payload: bytes) { hasFailed = true }
  }

  mutating func inbound(_ text: UnsafeRawBufferPointer, now: Nanoseconds) {
    append(.inbound, text, now)
  }

  mutating func outbound(_ text: UnsafeRawBufferPointer, now: Nanoseconds) {
    append(.outbound, text, now)
  }

  mutating func note(_ text: StaticString, now: Nanoseconds) {
    append(.note, UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount), now)
  }

  /// Notes an execution, or its fee, as booked.
  mutating func fill(_ fill: BookedFill, now: Nanoseconds) {
    var record = FillRecord()
    record.trade_id = fill.report.tradeID
    record.order_id = fill.report.venueID
    record.price_ticks = fill.report.price
    record.qty_lots = fill.report.qty
    record.fee_e8 = fill.report.feeE8
    record.venue_time_ns = fill.report.time
    record.instrument_index = fill.report.instrument
    record.side = UInt8(fill.report.side.rawValue)
    record.is_maker = fill.report.isMaker ? 1 : 0
    record.has_fee = fill.report.hasFee ? 1 : 0
    record.is_fee_only = fill.isFeeOnly ? 1 : 0
    withUnsafeBytes(of: &record) { append(.fill, $0, now) }
  }
}

/// How one instrument of a lane stands; fits in one ring record.
struct LaneUpdate: BitwiseCopyable {
  var instrument: InstrumentIndex
  var isPositionKnown: Bool
  var isReady: Bool
  var position: Int64
  var worstLong: Int64
  var worstShort: Int64
  var markE8: Int64
  var profitE8: MoneyE8
  var time: Nanoseconds
}
