public import Apus
public import CSupport

extension VenueID {
  public var text: String {
    var copy = self
    return withUnsafeBytes(of: &copy) { String(decoding: $0.prefix(Int(count)), as: UTF8.self) }
  }
}

/// Writes down what it is told, one line for each event, and notes what can never be true.
public struct Recorder: VenueEventSink {
  public var lines: [String] = []
  public var impossible: [String] = []

  public init() {}

  public mutating func ticker(_ instrument: InstrumentIndex, _ t: Ticker) {
    var line = "ticker \(instrument)"
    if t.fields.contains(.mark) { line += " mark \(t.markE8)" }
    if t.fields.contains(.index) { line += " index \(t.indexE8)" }
    if t.fields.contains(.bid) { line += " bid \(t.bidPrice.rawValue)x\(t.bidQty.rawValue)" }
    if t.fields.contains(.ask) { line += " ask \(t.askPrice.rawValue)x\(t.askQty.rawValue)" }
    if t.fields.contains(.last) { line += " last \(t.lastPrice.rawValue)" }
    if t.fields.contains(.collars) { line += " collars \(t.collarLowE8)-\(t.collarHighE8)" }
    if t.fields.contains(.funding) { line += " funding \(t.fundingRateE12)" }
    if t.fields.contains(.fundingMark) { line += " accrued \(t.fundingMarkE8)" }
    if t.fields.contains(.volatility) { line += " iv \(t.volatilityE8)" }
    if t.fields.contains(.delta) { line += " delta \(t.deltaE8)" }
    if t.fields.contains(.forward) { line += " forward \(t.forwardE8)" }
    lines.append(line + " time \(t.venueTime)")
    check(!t.fields.contains(.bid) || t.bidQty > .zero && t.bidPrice.rawValue > 0)
    check(!t.fields.contains(.ask) || t.askQty > .zero && t.askPrice.rawValue > 0)
  }
  public mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
    lines.append("book \(instrument)\(isSnapshot ? " snapshot" : "")")
  }
  public mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    lines.append("level \(instrument) \(side == .buy ? "bid" : "ask") \(price.rawValue)x\(qty.rawValue)")
    check(qty >= .zero && price.rawValue > 0)
  }
  public mutating func bookEnd(_ instrument: InstrumentIndex) { lines.append("book end \(instrument)") }
  public mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {
    lines.append("trade \(instrument) \(aggressor == .buy ? "buy" : "sell") \(price.rawValue)x\(qty.rawValue) \(time)")
    check(qty >= .zero && price.rawValue > 0)
  }
  public mutating func index(_ underlying: UnderlyingIndex, _ r: IndexReport) {
    var line = "index \(underlying) \(r.priceE8) time \(r.venueTime)"
    if let value = r.previousSettlementE8 { line += " settled \(value)" }
    if let value = r.expirationAverageE8 { line += " average \(value)" }
    if let value = r.expirationProgressE8 { line += " progress \(value)" }
    if let value = r.expectedExpirationE8 { line += " expected \(value)" }
    lines.append(line)
    check(r.priceE8 > 0)
  }
  public mutating func basePrice(_ underlying: UnderlyingIndex, expirySeconds: Int64, _ r: BasePrice) {
    lines.append(
      "base \(underlying) of \(expirySeconds) from \(r.instrument) \(r.priceE8) index \(r.indexE8) delta \(r.indexDeltaE8)"
    )
    check(r.priceE8 > 0 && r.indexE8 > 0)
  }
  public mutating func account(_ s: AccountSummary) {
    lines.append(
      "account margin \(s.marginE8) required \(s.requiredMarginE8) remaining \(s.remainingMarginE8) collateral "
        + "\(s.cashCollateralE8) unrealised \(s.unrealisedE8) realised \(s.sessionRealisedE8)")
  }
  public mutating func listing(_ l: InstrumentListing, isListed: Bool) {
    lines.append(
      "family \(l.family) \(isListed ? "added" : "gone") \(l.name.text) \(l.kind) \(l.optionType) product \(l.product) "
        + "instrument \(l.instrument) tick \(l.grid.tickE8) lot \(l.grid.lotE8) expiry \(l.expirySeconds) strike \(l.strikeE8)"
    )
    check(l.grid.tickE8 > 0 && l.grid.lotE8 > 0 && l.name.count > 0)
  }
  public mutating func snapshotBegin(_ kind: SnapshotKind) { lines.append("begin \(kind)") }
  public mutating func snapshotEnd(_ kind: SnapshotKind) { lines.append("end \(kind)") }
  public mutating func order(_ r: OrderReport) {
    lines.append(
      "order \(r.venueID.text) client \(r.clientID) instrument \(r.instrument) \(r.side == .buy ? "buy" : "sell") "
        + (r.hasPrice ? "\(r.price.rawValue)" : "market")
        + " qty \(r.qty.rawValue) filled \(r.filled.rawValue) remaining \(r.remaining.rawValue) "
        + "\(r.status) \(r.change) \(r.deletion) \(r.source)"
        + "\(r.amendSerial > 0 ? " to amend \(r.amendSerial)" : "")\(r.isLabelledOurs ? " ours" : "")"
        + "\(r.quoteSerial > 0 ? " quote \(r.quoteSerial)" : "")"
        + "\(r.isPersistent ? " persistent" : "") created \(r.createTime)")
    check(r.qty >= .zero && r.filled >= .zero && r.remaining >= .zero && r.filled <= r.qty && r.remaining <= r.qty)
    check(r.status != .filled || r.filled == r.qty)
    check(!r.status.isLive || r.hasPrice && r.remaining.rawValue <= r.qty.rawValue - r.filled.rawValue)
    check(!r.hasPrice || r.price.rawValue > 0)
    check(r.venueID.count > 0)
  }
  public mutating func fill(_ r: FillReport) {
    lines.append(
      "fill \(r.tradeID.text) order \(r.venueID.text) client \(r.clientID) instrument \(r.instrument) "
        + "\(r.side == .buy ? "buy" : "sell") \(r.price.rawValue)x\(r.qty.rawValue) \(r.isMaker ? "maker" : "taker") "
        + "\(r.source)\(r.isLabelledOurs ? " ours" : "")\(r.quoteSerial > 0 ? " quote \(r.quoteSerial)" : "")\(r.hasFee ? " fee \(r.feeE8)" : "") time \(r.time)"
    )
    check(r.qty > .zero && r.price.rawValue > 0 && r.tradeID.count > 0 && r.venueID.count > 0)
  }
  public mutating func position(_ r: PositionReport) {
    lines.append("position \(r.instrument) \(r.position.rawValue) mark \(r.markE8) average \(r.averagePriceE8)")
  }
  public mutating func instrument(_ i: InstrumentInfo, isListed: Bool) {
    lines.append(
      "\(isListed ? "listed" : "removed") \(i.index) \(i.kind) tick \(i.grid.tickE8) lot \(i.grid.lotE8) "
        + "minimum \(i.grid.minimumLots.rawValue) expiry \(i.expirySeconds)\(i.contract == .inverse ? " inverse" : "")")
    check(i.grid.tickE8 > 0 && i.grid.lotE8 > 0 && i.grid.minimumLots.rawValue > 0 && i.expirySeconds >= 0)
  }
  public mutating func replied(_ request: RequestKind, value: Int64) { lines.append("replied \(request) \(value)") }
  public mutating func refused(_ request: RequestKind, code: Int64) { lines.append("refused \(request) \(code)") }
  public mutating func massQuoteFailed(
    _ serial: UInt64, code: Int64, side: Side?, priceE8: Int64?, instrument: InstrumentIndex?
  ) {
    let side = side.map { $0 == .buy ? " bid" : " ask" } ?? ""
    lines.append(
      "quote failed \(serial) code \(code)\(instrument.map { " instrument \($0)" } ?? "")\(side)"
        + "\(priceE8.map { " \($0)" } ?? "")")
  }
  public mutating func massQuoted(_ serial: UInt64, succeeded: Int64, failed: Int64) {
    lines.append("quoted \(serial) good \(succeeded) bad \(failed)")
    check(succeeded >= 0 && failed >= 0)
  }
  public mutating func protection(_ product: ProductIndex, remaining: QtyLots, reason: ProtectionReason) {
    lines.append("protection \(product) \(remaining.rawValue) \(reason)")
  }
  public mutating func heartbeatRequested() { lines.append("heartbeat requested") }
  public mutating func bookLost(_ instrument: InstrumentIndex) { lines.append("book lost \(instrument)") }
  public mutating func reconnectRequested() { lines.append("reconnect") }
  public mutating func refusedAtEdge(_ problem: DecodeProblem) { lines.append("edge \(problem)") }

  private mutating func check(_ isPossible: Bool) {
    if !isPossible { impossible.append(lines.last ?? "") }
  }
}
