import CSupport

/// Makes tables of the recorded runs of a journal.
///
/// A run is repeated as `Replay` does, with the engine's own lane, and looked at after each record. Where a run cannot be
/// repeated — its strategy is a program's own, this engine decides otherwise, records are missing — the tables of what was
/// recorded go on, and those of what the lane made of it end there: quotes, and the account of the instruments. Cold; one
/// thread.
public struct JournalExport: ~Copyable {
  /// What came out for one run.
  public struct Run: Sendable {
    public var bootEpoch: UInt64 = 0
    public var rows: [ExportTable: Int] = [:]
    /// Nothing of the run could be read.
    public var refusal: String?
    /// What is missing in the tables, a sentence each.
    public var problems: [String] = []
    /// Something that was recorded is missing, beyond the torn tail that a killed machine leaves.
    public var isDamaged = false
  }

  /// What could not be read so far and belongs to no run that was exported, a sentence each.
  public var unreadable: [String] { replay.unreadable }

  private var replay: Replay

  /// - Parameter path: The journal's directory.
  public init(path: String) throws(MappedFileError) { replay = try Replay(path: path) }

  /// Exports the next run.
  ///
  /// - Parameter epoch: Only the run of this boot epoch; others are passed by.
  /// - Returns: `nil` if there is no further run.
  /// - Throws: what the writer throws.
  public mutating func next(epoch: UInt64? = nil, into writer: any ExportWriter) throws -> Run? {
    let tables = RunTables(writer)
    guard let result = replay.next(epoch: epoch, tables: tables) else { return nil }
    if let failure = tables.failure { throw failure }
    var run = Run()
    run.bootEpoch = result.bootEpoch
    run.rows = tables.rows
    run.refusal = result.refusal
    run.problems = tables.problems
    run.isDamaged = result.isDamaged
    return run
  }
}

/// Gathers the rows of one run from its records, and from the lane that repeats it.
final class RunTables {
  private let writer: any ExportWriter
  private(set) var failure: (any Error)?
  private(set) var rows: [ExportTable: Int] = [:]
  private(set) var problems: [String] = []

  private var run: Int64 = 0
  private var description: RunDescription?
  private var reader: RecordedFrames?
  private var sink = ExportSink()
  private let text: UnsafeMutableRawBufferPointer
  private static let textCapacity = 2 << 20

  private var began: Nanoseconds?
  private var ended: Nanoseconds = 0
  private var counts = ReplayCounts()
  private var names: [String] = []
  private var listed: [InstrumentInfo?] = []

  private struct Order {
    var clientID: UInt64?
    var venueID = ""
    var instrument: InstrumentIndex
    var side: Side
    var origin: String
    /// Decimal and count each; a new grid makes other decimals of the same counts.
    var firstPrice: [ExportValue]?
    var lastPrice: [ExportValue]?
    var size: [ExportValue]?
    var filledE8: Int64 = 0
    var filled = QtyLots(rawValue: 0)
    var amends = 0
    var state = "requested"
    var reason: String?
    var sent: Nanoseconds?
    var acknowledged: Nanoseconds?
    var ended: Nanoseconds?
  }
  private var orders: [Order] = []
  private var byClient: [UInt64: Int] = [:]
  private var byVenue: [String: Int] = [:]
  /// Those that have not ended.
  private var open: Set<Int> = []

  private struct Fill {
    var fill: FillRecord
    var record: Int64
    var time: Nanoseconds
    var venueID: String
    /// Decimal and count; a new grid makes others of the same counts.
    var price: [ExportValue]
    var size: [ExportValue]
  }
  private var fills: [Fill] = []
  private var fillPlaces: [String: Int] = [:]

  private struct Request {
    var name: String
    var record: Int64
    var time: Nanoseconds
    var clientID: UInt64?
    var instrument: InstrumentIndex?
  }
  /// By the request's id; those of the session by their kind alone.
  private var requests: [UInt64: Request] = [:]
  private var lastMassQuote: [InstrumentIndex: Nanoseconds] = [:]

  // What the present step of the lane has shown.
  private var recordNumber: Int64 = 0
  private var laneTime: Nanoseconds = 0
  private var wallTime: Nanoseconds = 0
  private var wallOffset: Nanoseconds = 0
  private var connection: Int64 = 0
  private var looksAtAll = true
  private var standings: [Standing?] = []

  init(_ writer: any ExportWriter) {
    self.writer = writer
    text = .allocate(byteCount: Self.textCapacity + 64, alignment: 64)
  }

  deinit { text.deallocate() }

  func begin(_ description: RunDescription, epoch: UInt64) {
    run = Int64(bitPattern: epoch)
    self.description = description
    names = description.settings.instruments.map(\.name)
    listed = Array(repeating: nil, count: names.count)
    standings = Array(repeating: nil, count: names.count)
    do {
      reader = try RecordedFrames.reader(for: description.settings)
    } catch {
      note("the frames cannot be decoded: \(error)")
    }
  }

  func note(_ problem: String) { problems.append(problem) }

  // MARK: - Rows

  private func write(_ table: ExportTable, _ row: [ExportValue]) {
    guard failure == nil else { return }
    do {
      try writer.write(row, to: table)
      rows[table, default: 0] += 1
    } catch {
      failure = error
    }
  }

  private func name(_ instrument: InstrumentIndex?) -> ExportValue {
    guard let instrument, Int(instrument) < names.count else { return .null }
    return .text(names[Int(instrument)])
  }

  /// A count of steps as a decimal; `null` if the grid is not known.
  private func decimal(
    _ steps: Int64?, _ instrument: InstrumentIndex?, _ step: KeyPath<InstrumentGrid, Int64>
  ) -> ExportValue {
    guard let steps, let instrument, Int(instrument) < listed.count, let info = listed[Int(instrument)] else {
      return .null
    }
    let (value, isTooLarge) = steps.multipliedReportingOverflow(by: info.grid[keyPath: step])
    return isTooLarge ? .null : .decimal(DecimalE8(e8: value))
  }

  private func price(_ ticks: PriceTicks?, _ instrument: InstrumentIndex?) -> [ExportValue] {
    [decimal(ticks?.rawValue, instrument, \.tickE8), .maybe(ticks?.rawValue)]
  }

  private func size(_ lots: QtyLots?, _ instrument: InstrumentIndex?) -> [ExportValue] {
    [decimal(lots?.rawValue, instrument, \.lotE8), .maybe(lots?.rawValue)]
  }

  private static func side(_ side: Side) -> ExportValue { .text(side == .buy ? "buy" : "sell") }

  private static func id(_ id: UInt64?) -> ExportValue { id.map { .integer(Int64(clamping: $0)) } ?? .null }

  // MARK: - Records

  /// A record of the run, in order.
  func take(_ kind: JournalKind?, _ record: apus_journal_record, _ payload: UnsafeRawBufferPointer) {
    recordNumber = Int64(clamping: record.record_number)
    laneTime = record.time_ns
    // One relation of the two clocks for the whole run, so that times differ as they did on the lane's clock; each segment
    // has one of its own.
    if began == nil { wallOffset = record.wall_ns - record.time_ns }
    wallTime = record.time_ns + wallOffset
    connection = Int64(record.connection)
    if began == nil { began = wallTime }
    ended = wallTime
    counts.records += 1
    switch kind {
    case .inbound, .more:
      counts.framesIn += 1
      inbound(payload)
    case .outbound:
      counts.framesOut += 1
      reader?.sent(payload, connection: record.connection)
      outbound(payload)
    case .fill:
      counts.fills += 1
      if payload.count >= MemoryLayout<FillRecord>.size { fill(payload.loadUnaligned(as: FillRecord.self)) }
    case .control:
      looksAtAll = true
      let control =
        payload.count == MemoryLayout<ControlRecord>.size ? payload.loadUnaligned(as: ControlRecord.self) : nil
      if let control { reader?.note(control, connection: record.connection) }
    case .timer, .directive, .parameters: looksAtAll = true
    case .note, .account, .run, .none: break
    }
  }

  private func inbound(_ payload: UnsafeRawBufferPointer) {
    guard payload.count <= Self.textCapacity, let reader else { return }
    // The decoder may look at a few bytes behind a text: they are zero.
    text.copyMemory(from: payload)
    for index in 0..<64 { text[payload.count + index] = 0 }
    reader.read(
      UnsafeRawBufferPointer(rebasing: text[..<payload.count]), connection: UInt32(truncatingIfNeeded: connection),
      into: &sink)
    for event in sink.events {
      switch event {
      case .listed(let info):
        if Int(info.index) < listed.count { listed[Int(info.index)] = info }
      case .order(let report): reported(report)
      case .replied(let request): answered(request, "accepted", code: nil)
      case .refused(let request, let code): refused(request, code)
      case .massQuoted(let serial, let succeeded, let failed):
        answered(
          .massQuote(serial), failed == 0 ? "accepted" : "\(failed) of \(succeeded + failed) refused", code: nil)
      case .quoteFailed(let code, let side):
        write(
          .orderEvents,
          eventRow("refused", source: "reply", side: side.map(Self.side) ?? .null, code: .integer(code)))
      }
    }
    sink.events.removeAll(keepingCapacity: true)
  }

  private func eventRow(
    _ name: String, source: String, clientID: UInt64? = nil, venueID: String = "",
    instrument: InstrumentIndex? = nil, side: ExportValue = .null, price ticks: PriceTicks? = nil,
    qty: QtyLots? = nil, filled: QtyLots? = nil, status: String? = nil, change: String? = nil, reason: String? = nil,
    code: ExportValue = .null
  ) -> [ExportValue] {
    var row: [ExportValue] = [
      .integer(run), .integer(recordNumber), .integer(wallTime), .integer(connection), .text(name), .text(source),
      Self.id(clientID), venueID.isEmpty ? .null : .text(venueID), self.name(instrument), side,
    ]
    row += price(ticks, instrument) + size(qty, instrument) + size(filled, instrument)
    row += [.maybe(status), .maybe(change), .maybe(reason), code]
    return row
  }

  /// The venue has said something about an order.
  private func reported(_ report: OrderReport) {
    let venueID = report.venueID.text
    guard let place = place(of: report, venueID) else { return }
    if orders[place].clientID == nil, report.clientID != 0 { orders[place].clientID = report.clientID }
    if orders[place].venueID.isEmpty, !venueID.isEmpty {
      orders[place].venueID = venueID
      byVenue[venueID] = place
    }
    if orders[place].acknowledged == nil { orders[place].acknowledged = wallTime }
    // An order that has ended stays so: a later report is a late one.
    if orders[place].ended == nil {
      if report.hasPrice {
        let price = self.price(report.price, report.instrument)
        orders[place].lastPrice = price
        if orders[place].firstPrice == nil { orders[place].firstPrice = price }
      }
      orders[place].size = size(report.qty, report.instrument)
      if report.status.isTerminal {
        end(place, report.status == .filled ? "filled" : "cancelled", Self.word(report.deletion))
      } else {
        orders[place].state = report.status.isLive ? "open" : "unknown"
      }
    }
    write(
      .orderEvents,
      eventRow(
        "report", source: Self.word(report.source), clientID: orders[place].clientID, venueID: venueID,
        instrument: report.instrument, side: Self.side(report.side), price: report.hasPrice ? report.price : nil,
        qty: report.qty, filled: report.filled, status: Self.word(report.status), change: Self.word(report.change),
        reason: report.deletion == .none ? nil : Self.word(report.deletion)))
  }

  private func end(_ place: Int, _ state: String, _ reason: String?) {
    orders[place].state = state
    orders[place].reason = reason == "none" ? nil : reason
    orders[place].ended = wallTime
    open.remove(place)
  }

  private func place(of report: OrderReport, _ venueID: String) -> Int? {
    if report.clientID != 0, let known = byClient[report.clientID] { return known }
    if !venueID.isEmpty, let known = byVenue[venueID] { return known }
    guard report.isLabelledOurs else { return nil }
    let origin = report.isOurQuote ? "mass_quote" : "earlier_run"
    orders.append(
      Order(
        venueID: venueID, instrument: report.instrument, side: report.side, origin: origin,
        sent: report.isOurQuote ? lastMassQuote[report.instrument] : nil))
    if !venueID.isEmpty { byVenue[venueID] = orders.count - 1 }
    open.insert(orders.count - 1)
    return orders.count - 1
  }

  // MARK: - Requests

  /// A frame out. Of its members only those of order requests are looked at.
  private func outbound(_ payload: UnsafeRawBufferPointer) {
    guard let frame = OutboundFrame(payload), let id = frame.id else { return }
    let kind = RequestID.kind(of: id)
    var request = Request(name: frame.method, record: recordNumber, time: laneTime)
    switch kind {
    case .insert(let clientID):
      let instrument = frame.instrumentName.flatMap(index(of:))
      let ticks = self.ticks(frame.price, instrument)
      let lots = self.lots(frame.amount, instrument)
      let price = self.price(ticks, instrument)
      let order = Order(
        clientID: clientID, instrument: instrument ?? .max, side: frame.isBuy ? .buy : .sell, origin: "order",
        firstPrice: price, lastPrice: price, size: self.size(lots, instrument), sent: wallTime)
      orders.append(order)
      byClient[clientID] = orders.count - 1
      open.insert(orders.count - 1)
      request.clientID = clientID
      request.instrument = instrument
      write(
        .orderEvents,
        eventRow(
          "insert", source: "request", clientID: clientID, instrument: instrument, side: Self.side(order.side),
          price: ticks, qty: lots))
    case .amend(let clientID, _), .cancel(let clientID):
      // An order of a mass quote, or of an earlier run, is cancelled by the venue's id.
      let place = frame.venueID.flatMap { byVenue[$0] } ?? byClient[clientID]
      let order = place.map { orders[$0] }
      request.clientID = clientID
      request.instrument = order?.instrument
      var (price, qty): (PriceTicks?, QtyLots?) = (nil, nil)
      if case .amend = kind {
        price = ticks(frame.price, order?.instrument)
        qty = lots(frame.amount, order?.instrument)
        if let place { orders[place].amends += 1 }
      }
      write(
        .orderEvents,
        eventRow(
          { if case .amend = kind { "amend" } else { "cancel" } }(), source: "request", clientID: clientID,
          venueID: frame.venueID ?? order?.venueID ?? "", instrument: order?.instrument,
          side: order.map { Self.side($0.side) } ?? .null, price: price, qty: qty))
    case .massQuote:
      for quote in frame.quotes { massQuote(quote) }
    case .session(let session): requests[RequestID.session(session)] = request
    case .protection, .cancelMassQuote, .unknown: break
    }
    if case .session = kind { return }
    requests[id] = request
  }

  private func massQuote(_ quote: OutboundFrame.Quote) {
    let instrument = index(of: quote.instrument)
    if let instrument { lastMassQuote[instrument] = wallTime }
    for (side, levels) in [(Side.buy, quote.bids), (.sell, quote.asks)] {
      for level in levels {
        write(
          .orderEvents,
          eventRow(
            "quote", source: "request", instrument: instrument, side: Self.side(side),
            price: ticks(level.price, instrument), qty: lots(level.amount, instrument)))
      }
    }
  }

  private func index(of name: String) -> InstrumentIndex? { names.firstIndex(of: name).map { InstrumentIndex($0) } }

  private func steps(_ value: DecimalE8?, _ instrument: InstrumentIndex?, _ step: KeyPath<InstrumentGrid, Int64>)
    -> Int64?
  {
    guard let value, let instrument, Int(instrument) < listed.count, let info = listed[Int(instrument)],
      info.grid[keyPath: step] > 0
    else { return nil }
    return value.e8 / info.grid[keyPath: step]
  }

  private func ticks(_ value: DecimalE8?, _ instrument: InstrumentIndex?) -> PriceTicks? {
    steps(value, instrument, \.tickE8).map { PriceTicks(rawValue: $0) }
  }

  private func lots(_ value: DecimalE8?, _ instrument: InstrumentIndex?) -> QtyLots? {
    steps(value, instrument, \.lotE8).map { QtyLots(rawValue: $0) }
  }

  /// A request has its answer.
  private func answered(_ kind: RequestKind, _ outcome: String, code: Int64?) {
    guard let id = Self.requestID(kind), let request = requests.removeValue(forKey: id) else { return }
    write(
      .spans,
      [
        .integer(run), .integer(recordNumber), .integer(wallTime), .text("reply"), .integer(laneTime - request.time),
        .integer(request.record), .text(request.name), .text(code.map { "error \($0)" } ?? outcome),
        Self.id(request.clientID), name(request.instrument),
      ])
  }

  private func refused(_ kind: RequestKind, _ code: Int64) {
    switch kind {
    case .insert(let clientID), .amend(let clientID, _), .cancel(let clientID):
      let place = byClient[clientID]
      // Only a code that proves it says that the order was not placed.
      if case .insert = kind, let place, orders[place].ended == nil,
        reader?.proof(of: kind, code: code) == .noEffect
      {
        end(place, "refused", "error \(code)")
      }
      let order = place.map { orders[$0] }
      write(
        .orderEvents,
        eventRow(
          "refused", source: "reply", clientID: clientID, venueID: order?.venueID ?? "",
          instrument: order?.instrument, side: order.map { Self.side($0.side) } ?? .null, code: .integer(code)))
    case .massQuote: write(.orderEvents, eventRow("refused", source: "reply", code: .integer(code)))
    case .session, .protection, .cancelMassQuote, .unknown: break
    }
    answered(kind, "refused", code: code)
  }

  private static func requestID(_ kind: RequestKind) -> UInt64? {
    switch kind {
    case .insert(let id): RequestID.insert(id)
    case .amend(let id, let serial): RequestID.amend(id, serial: serial)
    case .cancel(let id): RequestID.cancel(id)
    case .massQuote(let serial): RequestID.massQuote(serial)
    case .session(let session): RequestID.session(session)
    case .protection, .cancelMassQuote, .unknown: nil
    }
  }

  // MARK: - Fills

  private func fill(_ fill: FillRecord) {
    let venueID = fill.order_id.text
    let key = "\(fill.trade_id.text) \(venueID) \(fill.side)"
    if fill.is_fee_only == 1, let place = fillPlaces[key] {
      fills[place].fill.fee_e8 = fill.fee_e8
      fills[place].fill.has_fee = fill.has_fee
      return
    }
    fillPlaces[key] = fills.count
    fills.append(
      Fill(
        fill: fill, record: recordNumber, time: wallTime, venueID: venueID,
        price: price(fill.price_ticks, fill.instrument_index), size: size(fill.qty_lots, fill.instrument_index)))
  }

  private func writeFills() {
    for entry in fills {
      let fill = entry.fill
      if let place = byVenue[entry.venueID] {
        orders[place].filled += fill.qty_lots
        if case .decimal(let size)? = entry.size.first { orders[place].filledE8 &+= size.e8 }
      }
      let instrument = fill.instrument_index
      var row: [ExportValue] = [
        .integer(run), .integer(entry.record), .integer(entry.time),
        fill.venue_time_ns == 0 ? .null : .integer(fill.venue_time_ns), .text(fill.trade_id.text),
        .text(entry.venueID), Self.id(byVenue[entry.venueID].flatMap { orders[$0].clientID }), name(instrument),
        .text(fill.side == 0 ? "buy" : "sell"),
      ]
      row += entry.price + entry.size
      row +=
        fill.has_fee == 1 ? [.decimal(DecimalE8(e8: fill.fee_e8)), .integer(fill.fee_e8)] : [.null, .null]
      row.append(.text(fill.is_maker == 1 ? "maker" : "taker"))
      write(.fills, row)
    }
  }

  // MARK: - The lane

  /// The lane has repeated a step.
  func look(_ lane: borrowing LaneReplay<some ExchangeAdapter & ~Copyable>) {
    if looksAtAll {
      for index in 0..<names.count { lookAt(InstrumentIndex(index), lane) }
    } else {
      for instrument in sink.touched { lookAt(instrument, lane) }
    }
    if looksAtAll || sink.hasSnapshot { findEnds(lane) }
    endStep()
  }

  /// A step is over.
  func endStep() {
    sink.touched.removeAll(keepingCapacity: true)
    sink.hasSnapshot = false
    looksAtAll = false
  }

  private func lookAt(_ instrument: InstrumentIndex, _ lane: borrowing LaneReplay<some ExchangeAdapter & ~Copyable>) {
    let standing = lane.standing(instrument)
    guard Int(instrument) < standings.count, standing.isOtherThan(standings[Int(instrument)]) else { return }
    let isFirst = standings[Int(instrument)] == nil
    standings[Int(instrument)] = standing
    if isFirst, standing == Standing() { return }
    func level(_ level: Quote?) -> [ExportValue] {
      price(level?.price, instrument) + [.maybe(level?.qty.rawValue)]
    }
    var row: [ExportValue] = [.integer(run), .integer(recordNumber), .integer(wallTime), name(instrument)]
    row += level(standing.ourBid) + level(standing.ourAsk) + level(standing.bid) + level(standing.ask)
    row.append(standing.markE8 == 0 ? .null : .decimal(DecimalE8(e8: standing.markE8)))
    write(.quotes, row)
  }

  /// Orders of whose end no report has told: the lane has concluded it.
  private func findEnds(_ lane: borrowing LaneReplay<some ExchangeAdapter & ~Copyable>) {
    for place in open {
      guard let id = orders[place].clientID, orders[place].origin == "order" else { continue }
      if lane.isDead(id) { end(place, "gone", "not_listed") }
    }
  }

  // MARK: - The end

  /// All records of the run have been taken.
  ///
  /// - Parameter accounts: of the lane, one for each instrument, if it has repeated the whole run.
  func finish(accounts: [ReplayedAccount]?) {
    writeFills()
    for order in orders {
      var row: [ExportValue] = [
        .integer(run), Self.id(order.clientID), order.venueID.isEmpty ? .null : .text(order.venueID),
        name(order.instrument), Self.side(order.side), .text(order.origin),
      ]
      for pair in [order.firstPrice, order.lastPrice, order.size] { row += pair ?? [.null, .null] }
      row += [.decimal(DecimalE8(e8: order.filledE8)), .integer(order.filled.rawValue)]
      row += [
        .count(order.amends), .text(order.state), .maybe(order.reason), .maybe(order.sent),
        .maybe(order.acknowledged), .maybe(order.ended),
      ]
      write(.orders, row)
    }
    for index in names.indices {
      let instrument = InstrumentIndex(index)
      let account = accounts.map { $0[index] }
      let info = listed[index]
      write(
        .instruments,
        [
          .integer(run), name(instrument), .maybe(info.map { Self.word($0.kind) }),
          decimal(1, instrument, \.tickE8), decimal(1, instrument, \.lotE8), .maybe(info?.grid.tickE8),
          .maybe(info?.grid.lotE8), .maybe(account?.position), .maybe(account?.bought),
          .maybe(account?.sold), .maybe(account?.fills), .maybe(account?.feesE8), .maybe(account?.cashE8),
        ])
    }
    writeRun(isReplayed: accounts != nil)
  }

  func refuse(_ epoch: UInt64, _ refusal: String) {
    run = Int64(bitPattern: epoch)
    note(refusal)
    writeRun(isReplayed: false)
  }

  var laneDuration: Nanoseconds?

  private func writeRun(isReplayed: Bool) {
    write(
      .runs,
      [
        .integer(run), .maybe(began), began == nil ? .null : .integer(ended), .maybe(laneDuration),
        .maybe(description?.settings.label), .maybe(description.map { Self.word($0.strategy) }),
        .count(counts.records), .count(counts.framesIn), .count(counts.framesOut), .count(counts.fills),
        .integer(problems.isEmpty ? 1 : 0), .integer(isReplayed ? 1 : 0),
        problems.isEmpty ? .null : .text(problems.joined(separator: "; ")),
      ])
  }

  /// The name of an enumeration's case as one reads it in a table: `partially_filled`.
  private static func word(_ value: some Sendable) -> String {
    "\(value)".reduce(into: "") { text, letter in
      if letter.isUppercase { text += "_" + letter.lowercased() } else { text.append(letter) }
    }
  }
}

/// What a replayed lane counts for one instrument.
struct ReplayedAccount {
  var position: Int64?
  var bought: Int64
  var sold: Int64
  var fills: Int64
  var feesE8: Int64
  var cashE8: Int64
}

/// The best prices of an instrument: ours by the venue's word, and the book's, our own orders included.
struct Standing: Equatable {
  var ourBid: Quote?
  var ourAsk: Quote?
  var bid: Quote?
  var ask: Quote?
  /// At that moment; a change of it alone makes no row.
  var markE8: Int64 = 0

  func isOtherThan(_ other: Standing?) -> Bool {
    guard let other else { return true }
    return ourBid != other.ourBid || ourAsk != other.ourAsk || bid != other.bid || ask != other.ask
  }
}

/// Keeps what the decoder reads of orders and listings, in order.
struct ExportSink: ~Copyable, SelectiveEventSink {
  enum Event {
    case listed(InstrumentInfo)
    case order(OrderReport)
    case replied(RequestKind)
    case refused(RequestKind, Int64)
    case massQuoted(UInt64, Int64, Int64)
    case quoteFailed(Int64, Side?)
  }
  var events: [Event] = []
  /// Instruments that something was said about since the last look.
  var touched: Set<InstrumentIndex> = []
  var hasSnapshot = false

  // Not inlined: the decoder's code is the lane's, whose guards find any allocation in it, and these are passed by there.
  @inline(never)
  private mutating func touch(_ instrument: InstrumentIndex) { touched.insert(instrument) }
  @inline(never)
  private mutating func keep(_ event: Event) { events.append(event) }

  mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker) { touch(instrument) }
  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) { touch(instrument) }
  mutating func snapshotEnd(_ kind: SnapshotKind) { hasSnapshot = true }
  mutating func order(_ report: OrderReport) {
    touch(report.instrument)
    keep(.order(report))
  }
  mutating func fill(_ report: FillReport) { touch(report.instrument) }
  mutating func instrument(_ info: InstrumentInfo, isListed: Bool) {
    touch(info.index)
    if isListed { keep(.listed(info)) }
  }
  mutating func replied(_ request: RequestKind, value: Int64) { keep(.replied(request)) }
  mutating func refused(_ request: RequestKind, code: Int64) { keep(.refused(request, code)) }
  mutating func massQuoted(_ serial: UInt64, succeeded: Int64, failed: Int64) {
    keep(.massQuoted(serial, succeeded, failed))
  }
  mutating func massQuoteFailed(
    _ serial: UInt64, code: Int64, side: Side?, priceE8: Int64?, instrument: InstrumentIndex?
  ) {
    keep(.quoteFailed(code, side))
  }
}
