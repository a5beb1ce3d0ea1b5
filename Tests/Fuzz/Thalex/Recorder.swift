import CSupport

/// One delivered event, in a form that compares.
struct Event: Equatable, CustomStringConvertible {
  var kind: String
  var values: [Int64] = []
  var text: [UInt8] = []

  var description: String {
    "\(kind) \(values)" + (text.isEmpty ? "" : " \"\(String(decoding: text, as: UTF8.self))\"")
  }
}

/// Writes down what it is told. What is not known (a member whose bit is not set) is not looked at.
struct Recorder: VenueEventSink {
  var events: [Event] = []

  private func bytes(_ id: VenueID) -> [UInt8] {
    var id = id
    return withUnsafeBytes(of: &id) { Array($0) }
  }
  private func values(_ request: RequestKind) -> [Int64] {
    switch request {
    case .session(let session): [0, Int64(session.rawValue)]
    case .insert(let id): [1, Int64(id)]
    case .amend(let id, let serial): [2, Int64(id), Int64(serial)]
    case .cancel(let id): [3, Int64(id)]
    case .unknown: [4, 0]
    case .massQuote(let serial): [5, Int64(serial)]
    case .protection(let product): [6, Int64(product)]
    case .cancelMassQuote(let product): [7, Int64(product)]
    }
  }
  private func bit(_ value: Bool) -> Int64 { value ? 1 : 0 }

  mutating func ticker(_ instrument: InstrumentIndex, _ t: Ticker) {
    var values = [Int64(instrument), Int64(t.fields.rawValue), t.venueTime]
    if t.fields.contains(.mark) { values.append(t.markE8) }
    if t.fields.contains(.index) { values.append(t.indexE8) }
    if t.fields.contains(.bid) { values += [t.bidPrice.rawValue, t.bidQty.rawValue] }
    if t.fields.contains(.ask) { values += [t.askPrice.rawValue, t.askQty.rawValue] }
    if t.fields.contains(.last) { values.append(t.lastPrice.rawValue) }
    if t.fields.contains(.collars) { values += [t.collarLowE8, t.collarHighE8] }
    if t.fields.contains(.funding) { values.append(t.fundingRateE12) }
    if t.fields.contains(.volatility) { values.append(t.volatilityE8) }
    if t.fields.contains(.delta) { values.append(t.deltaE8) }
    if t.fields.contains(.forward) { values.append(t.forwardE8) }
    if t.fields.contains(.fundingMark) { values.append(t.fundingMarkE8) }
    if t.fields.contains(.bid), t.bidQty <= .zero { values.append(-1) }  // never true of the oracle's
    events.append(Event(kind: "ticker", values: values))
  }
  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
    events.append(Event(kind: "bookBegin", values: [Int64(instrument), bit(isSnapshot)]))
  }
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    events.append(
      Event(kind: "bookLevel", values: [Int64(instrument), Int64(side.rawValue), price.rawValue, qty.rawValue]))
  }
  mutating func bookEnd(_ instrument: InstrumentIndex) {
    events.append(Event(kind: "bookEnd", values: [Int64(instrument)]))
  }
  mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {
    events.append(
      Event(
        kind: "publicTrade",
        values: [Int64(instrument), Int64(aggressor.rawValue), price.rawValue, qty.rawValue, time]))
  }
  mutating func index(_ underlying: UnderlyingIndex, _ r: IndexReport) {
    var values = [Int64(underlying), r.priceE8, r.venueTime]
    let optional = [r.previousSettlementE8, r.expirationAverageE8, r.expirationProgressE8, r.expectedExpirationE8]
    for value in optional { values += [bit(value != nil), value ?? 0] }
    events.append(Event(kind: "index", values: values))
  }
  mutating func basePrice(_ underlying: UnderlyingIndex, expirySeconds: Int64, _ r: BasePrice) {
    events.append(
      Event(
        kind: "basePrice",
        values: [Int64(underlying), expirySeconds, Int64(r.instrument), r.priceE8, r.indexE8, r.indexDeltaE8]))
  }
  mutating func account(_ s: AccountSummary) {
    events.append(
      Event(
        kind: "account",
        values: [
          s.marginE8, s.requiredMarginE8, s.remainingMarginE8, s.cashCollateralE8, s.unrealisedE8, s.sessionRealisedE8,
        ]))
  }
  mutating func listing(_ l: InstrumentListing, isListed: Bool) {
    events.append(
      Event(
        kind: "listing",
        values: [
          Int64(l.family), Int64(l.kind.rawValue), Int64(l.optionType.rawValue), Int64(l.product), Int64(l.instrument),
          l.grid.tickE8, l.grid.lotE8, l.grid.minimumLots.rawValue, l.expirySeconds, l.strikeE8, bit(isListed),
        ], text: bytes(l.name)))
  }
  mutating func snapshotBegin(_ kind: SnapshotKind) {
    events.append(Event(kind: "snapshotBegin", values: [Int64(kind.rawValue)]))
  }
  mutating func snapshotEnd(_ kind: SnapshotKind) {
    events.append(Event(kind: "snapshotEnd", values: [Int64(kind.rawValue)]))
  }
  mutating func order(_ r: OrderReport) {
    events.append(
      Event(
        kind: "order",
        values: [
          Int64(r.source.rawValue), Int64(r.status.rawValue), Int64(r.change.rawValue), Int64(r.deletion.rawValue),
          Int64(r.side.rawValue), Int64(r.instrument), bit(r.isLabelledOurs), bit(r.isPersistent), bit(r.hasPrice),
          Int64(bitPattern: r.clientID), r.hasPrice ? r.price.rawValue : 0, r.qty.rawValue, r.filled.rawValue,
          r.remaining.rawValue, r.createTime, Int64(r.amendSerial),
        ], text: bytes(r.venueID)))
  }
  mutating func fill(_ r: FillReport) {
    events.append(
      Event(
        kind: "fill",
        values: [
          Int64(r.source.rawValue), Int64(r.side.rawValue), bit(r.isMaker), bit(r.hasFee), bit(r.isLabelledOurs),
          Int64(r.instrument), Int64(bitPattern: r.clientID), r.price.rawValue, r.qty.rawValue,
          r.hasFee ? r.feeE8 : 0, r.time,
        ], text: bytes(r.tradeID) + bytes(r.venueID)))
  }
  mutating func position(_ r: PositionReport) {
    events.append(
      Event(kind: "position", values: [Int64(r.instrument), r.position.rawValue, r.markE8, r.averagePriceE8]))
  }
  mutating func instrument(_ i: InstrumentInfo, isListed: Bool) {
    events.append(
      Event(
        kind: "instrument",
        values: [
          Int64(i.index), Int64(i.kind.rawValue), i.grid.tickE8, i.grid.lotE8, i.grid.minimumLots.rawValue,
          i.expirySeconds, Int64(i.product), bit(isListed),
        ]))
  }
  mutating func replied(_ request: RequestKind, value: Int64) {
    events.append(Event(kind: "replied", values: values(request) + [value]))
  }
  mutating func refused(_ request: RequestKind, code: Int64) {
    events.append(Event(kind: "refused", values: values(request) + [code]))
  }
  mutating func massQuoteFailed(
    _ serial: UInt64, code: Int64, side: Side?, priceE8: Int64?, instrument: InstrumentIndex?
  ) {
    events.append(
      Event(
        kind: "massQuoteFailed",
        values: [Int64(serial), code, side.map { Int64($0.rawValue) } ?? -1, bit(priceE8 != nil), priceE8 ?? 0]))
  }
  mutating func massQuoted(_ serial: UInt64, succeeded: Int64, failed: Int64) {
    events.append(Event(kind: "massQuoted", values: [Int64(serial), succeeded, failed]))
  }
  mutating func protection(_ product: ProductIndex, remaining: QtyLots, reason: ProtectionReason) {
    events.append(Event(kind: "protection", values: [Int64(product), remaining.rawValue, Int64(reason.rawValue)]))
  }
  mutating func reconnectRequested() { events.append(Event(kind: "reconnectRequested")) }
  mutating func refusedAtEdge(_ problem: DecodeProblem) {
    events.append(Event(kind: "refusedAtEdge", values: [Int64(problem.rawValue)]))
  }

  static let malformed = Event(kind: "refusedAtEdge", values: [Int64(DecodeProblem.malformed.rawValue)])
}
