import CSupport

/// Where a lane notes what it takes in and does, in the order in which it does: the journal.
///
/// Every input that decides anything is a record (`apus_journal.h` has the format), so that the run can be repeated: in
/// a repetition the same calls go to a `JournalPlayer`, which compares them with what was recorded.
struct LaneRecords: ~Copyable {
  private var journal: JournalWriter?
  private let player: JournalPlayer?
  /// This is a repetition of a recorded run.
  let isReplay: Bool
  /// A record could not be written: quoting stops, because what cannot be accounted for is not done.
  private(set) var hasFailed = false
  /// Records that could not be written.
  private(set) var lostCount = 0
  /// Quoting goes on without the records that could not be written.
  var goesOnWithoutJournal = false
  /// The connection that the records belong to, counted from 1; the second one's, while there is one; and how many
  /// there have been.
  private var connection: UInt32 = 0
  private var spare: UInt32 = 0
  private var connectionCount: UInt32 = 0
  /// Nothing of the read under way has been noted yet.
  private var isReadNew = true

  init(journal: consuming JournalWriter?) {
    self.journal = journal
    player = nil
    isReplay = false
  }

  /// For a repetition.
  init(player: JournalPlayer) {
    journal = .none
    self.player = player
    isReplay = true
  }

  @inline(__always)
  private mutating func append(_ kind: JournalKind, _ bytes: UnsafeRawBufferPointer, _ now: Nanoseconds) {
    guard journal != nil else {
      if isReplay { compare(kind, bytes, now) }
      return
    }
    if !journal!.append(kind, connection: connection, time: now, payload: bytes) { lost() }
  }

  @inline(never)
  private mutating func lost() {
    lostCount += 1
    if !goesOnWithoutJournal { hasFailed = true }
  }

  @inline(never)
  private func compare(_ kind: JournalKind, _ bytes: UnsafeRawBufferPointer, _ now: Nanoseconds) {
    player?.compare(kind, connection: connection, time: now, payload: bytes)
  }

  // MARK: - Inputs

  /// What is noted is kept.
  var isOn: Bool {
    switch journal {
    case .some: true
    case .none: false
    }
  }

  /// The connection that notes belong to now.
  var currentConnection: UInt32 { connection }

  /// How the lane is set up. Cold, before everything else.
  mutating func run(_ text: String, now: Nanoseconds) {
    var text = text
    text.withUTF8 { append(.run, UnsafeRawBufferPointer($0), now) }
  }

  /// Parameters that the lane takes over. Cold.
  mutating func parameters(_ text: [UInt8], now: Nanoseconds) {
    text.withUnsafeBytes { append(.parameters, $0, now) }
  }

  /// A read of a connection begins: its first event is marked as such.
  @inline(__always)
  mutating func beginRead() { isReadNew = true }

  /// A read in which nothing was said is noted too: it is a sign of life.
  @inline(__always)
  mutating func endRead(now: Nanoseconds) {
    if isReadNew { control(.heard, now: now) }
  }

  @inline(__always)
  mutating func inbound(_ text: UnsafeRawBufferPointer, now: Nanoseconds) {
    append(isReadNew ? .inbound : .more, text, now)
    isReadNew = false
  }

  /// What a read told beside texts.
  mutating func event(_ kind: ControlKind, _ first: UInt64 = 0, _ second: UInt64 = 0, now: Nanoseconds) {
    control(kind, first, second, isContinued: !isReadNew, now: now)
    isReadNew = false
  }

  mutating func timer(now: Nanoseconds) {
    append(.timer, UnsafeRawBufferPointer(start: nil, count: 0), now)
  }

  @inline(never)
  mutating func control(
    _ kind: ControlKind, _ first: UInt64 = 0, _ second: UInt64 = 0, _ third: UInt64 = 0, _ fourth: UInt64 = 0,
    isContinued: Bool = false, now: Nanoseconds
  ) {
    var record = ControlRecord(
      control: kind.rawValue, is_continued: isContinued ? 1 : 0, first: first, second: second, third: third,
      fourth: fourth)
    withUnsafeBytes(of: &record) { append(.control, $0, now) }
  }

  @inline(never)
  mutating func directive(_ directive: Directive, _ instrument: InstrumentIndex, now: Nanoseconds) {
    var record = DirectiveRecord(
      instrument_index: instrument, is_quoting_allowed: directive.isQuotingAllowed ? 1 : 0,
      flags: UInt8(
        (directive.pullsBids ? APUS_DIRECTIVE_NO_BIDS : 0) | (directive.pullsAsks ? APUS_DIRECTIVE_NO_ASKS : 0)),
      widen_permille: directive.widenPermille, target_lots: directive.targetPosition.rawValue,
      long_cap_lots: directive.longCap.rawValue, short_cap_lots: directive.shortCap.rawValue,
      fair_value_e8: directive.fairValueE8, passive_lots: directive.passiveHedge.rawValue)
    withUnsafeBytes(of: &record) { append(.directive, $0, now) }
  }

  /// The manager asks for an order that takes.
  @inline(never)
  mutating func hedge(_ instrument: InstrumentIndex, lots: Int64, slippageCentiBps: Int64, now: Nanoseconds) {
    var record = DirectiveRecord(
      instrument_index: instrument, is_quoting_allowed: 1, flags: UInt8(APUS_DIRECTIVE_HEDGE), widen_permille: 1000,
      target_lots: lots, long_cap_lots: slippageCentiBps, short_cap_lots: 0, fair_value_e8: 0, passive_lots: 0)
    withUnsafeBytes(of: &record) { append(.directive, $0, now) }
  }

  /// A connection is up; its records follow.
  mutating func connected(key: [UInt8], maskSeed: UInt64, now: Nanoseconds) {
    connectionCount += 1
    connection = connectionCount
    upgrade(.connected, key, maskSeed, now)
  }

  /// The second connection is up.
  mutating func spareConnected(key: [UInt8], maskSeed: UInt64, now: Nanoseconds) {
    connectionCount += 1
    spare = connectionCount
    swapConnections()
    upgrade(.spareUp, key, maskSeed, now)
    swapConnections()
  }

  /// Another connection of the same session is up.
  ///
  /// - Returns: its number, for `on`.
  mutating func companionConnected(
    _ place: Int, key: [UInt8], maskSeed: UInt64, now: Nanoseconds
  ) -> UInt32 {
    let number = newConnection()
    let main = on(number)
    upgrade(.companionUp, key, maskSeed, now, place: UInt64(place))
    _ = on(main)
    return number
  }

  /// A number for what is no connection of its own, but whose texts are told apart.
  mutating func newConnection() -> UInt32 {
    connectionCount += 1
    return connectionCount
  }

  /// What is noted from here on belongs to this connection.
  ///
  /// - Returns: the one before.
  @inline(__always)
  mutating func on(_ number: UInt32) -> UInt32 {
    defer { connection = number }
    return connection
  }

  private mutating func upgrade(
    _ kind: ControlKind, _ key: [UInt8], _ maskSeed: UInt64, _ now: Nanoseconds, place: UInt64 = 0
  ) {
    func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    control(kind, word(key.prefix(8)), word(key.dropFirst(8).prefix(8)), maskSeed, place, now: now)
  }

  /// What is noted until the next call belongs to the other one of two connections.
  mutating func swapConnections() { swap(&connection, &spare) }

  // MARK: - What the lane does

  mutating func outbound(_ text: UnsafeRawBufferPointer, now: Nanoseconds) {
    append(.outbound, text, now)
  }

  mutating func note(_ text: StaticString, now: Nanoseconds) {
    append(.note, UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount), now)
  }

  /// A frame could not be begun: the output is full, or the WebSocket is not open. What the network takes when is not
  /// repeated; that it took too little is.
  @inline(never)
  mutating func noRoom(now: Nanoseconds) { control(.noRoom, now: now) }

  /// In a repetition: whether a frame could not be begun here.
  @inline(never)
  func hadNoRoom() -> Bool { player?.nextIsNoRoom ?? false }

  /// Notes an execution, or its fee, as booked.
  mutating func fill(_ fill: BookedFill, now: Nanoseconds) {
    var record = BookedFillRecord()
    record.fill.trade_id = fill.report.tradeID
    record.fill.order_id = fill.report.venueID
    record.fill.price_ticks = fill.report.price
    record.fill.qty_lots = fill.report.qty
    record.fill.fee_e8 = fill.report.feeE8
    record.fill.venue_time_ns = fill.report.time
    record.fill.instrument_index = fill.report.instrument
    record.fill.side = UInt8(fill.report.side.rawValue)
    record.fill.is_maker = fill.report.isMaker ? 1 : 0
    record.fill.has_fee = fill.report.hasFee ? 1 : 0
    record.fill.is_fee_only = fill.isFeeOnly ? 1 : 0
    record.account = fill.account
    withUnsafeBytes(of: &record) { append(.fill, $0, now) }
  }

  /// Notes how an account stands that something else than an execution has changed.
  @inline(never)
  mutating func account(_ account: AccountRecord, now: Nanoseconds) {
    var record = account
    withUnsafeBytes(of: &record) { append(.account, $0, now) }
  }
}

extension ControlRecord {
  /// What it says; `nil` for a word of a later version.
  var kind: ControlKind? {
    (ControlKind.connected.rawValue...ControlKind.companionLost.rawValue).contains(control)
      ? ControlKind(rawValue: control) : nil
  }
}

/// How one instrument of a lane stands, or its own limit; fits in one ring record.
struct LaneUpdate: BitwiseCopyable {
  var instrument: InstrumentIndex
  private var flags: UInt16
  /// Of the last directive that was obeyed.
  var serial: UInt32
  var position: Int64
  var worstLong: Int64
  var worstShort: Int64
  var markE8: Int64
  var profitE8: MoneyE8
  /// Coins of one lot, 10⁻¹²; 0 if that is not known, negative for puts.
  var unitE12: Int64

  init(
    instrument: InstrumentIndex, isPositionKnown: Bool, isReady: Bool, position: Int64, worstLong: Int64,
    worstShort: Int64, markE8: Int64, profitE8: MoneyE8, serial: UInt32 = 0, unitE12: Int64 = 0, isHedging: Bool = false
  ) {
    self.instrument = instrument
    flags = (isPositionKnown ? 1 : 0) | (isReady ? 2 : 0) | (isHedging ? 4 : 0)
    self.serial = serial
    self.position = position
    self.worstLong = worstLong
    self.worstShort = worstShort
    self.markE8 = markE8
    self.profitE8 = profitE8
    self.unitE12 = unitE12
  }

  /// The instrument's own limit, lots. Nothing else is said.
  static func limit(_ lots: QtyLots, of instrument: InstrumentIndex) -> LaneUpdate {
    var update = LaneUpdate(
      instrument: instrument, isPositionKnown: false, isReady: false, position: lots.rawValue, worstLong: 0,
      worstShort: 0, markE8: 0, profitE8: 0)
    update.flags = 8
    return update
  }

  var limit: Int64? { flags & 8 != 0 ? position : nil }
  var isPositionKnown: Bool { flags & 1 != 0 }
  var isReady: Bool { flags & 2 != 0 }
  /// An order that was asked for to hedge is under way.
  var isHedging: Bool { flags & 4 != 0 }
}
