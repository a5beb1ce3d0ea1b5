import CSupport

/// One character for each byte: text from a fuzzer is mostly not UTF-8.
func spelled(_ bytes: some Sequence<UInt8>) -> String {
  var text = String.UnicodeScalarView()
  for byte in bytes { text.append(Unicode.Scalar(byte)) }
  return String(text)
}

/// Writes down what it is told, one line for each event, and notes what can never be true.
struct Recorder: VenueEventSink {
  var lines: [String] = []
  var impossible: [String] = []
  /// Combinations may cost nothing or less.
  var takesNegativePrices = false
  private var openBook: InstrumentIndex?

  private func text(_ id: VenueID) -> String {
    var id = id
    let count = Int(id.count)
    return withUnsafeBytes(of: &id) { spelled($0.prefix(count)) }
  }
  private func isPrice(_ price: PriceTicks) -> Bool { takesNegativePrices || price.rawValue > 0 }
  private mutating func note(_ line: String, _ isPossible: Bool = true) {
    lines.append(line)
    if !isPossible { impossible.append(line) }
  }

  mutating func ticker(_ instrument: InstrumentIndex, _ t: Ticker) {
    var line = "ticker \(instrument) \(t.fields.rawValue) \(t.venueTime)"
    if t.fields.contains(.mark) { line += " mark \(t.markE8)" }
    if t.fields.contains(.index) { line += " index \(t.indexE8)" }
    if t.fields.contains(.bid) { line += " bid \(t.bidPrice.rawValue)x\(t.bidQty.rawValue)" }
    if t.fields.contains(.ask) { line += " ask \(t.askPrice.rawValue)x\(t.askQty.rawValue)" }
    if t.fields.contains(.last) { line += " last \(t.lastPrice.rawValue)" }
    if t.fields.contains(.collars) { line += " collars \(t.collarLowE8)-\(t.collarHighE8)" }
    if t.fields.contains(.funding) { line += " funding \(t.fundingRateE12)" }
    note(
      line,
      (!t.fields.contains(.bid) || t.bidQty > .zero && isPrice(t.bidPrice))
        && (!t.fields.contains(.ask) || t.askQty > .zero && isPrice(t.askPrice))
        && (!t.fields.contains(.last) || isPrice(t.lastPrice)) && t.venueTime >= 0)
  }
  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
    note("book \(instrument) \(isSnapshot)", openBook == nil)
    openBook = instrument
  }
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    note(
      "level \(instrument) \(side.rawValue) \(price.rawValue)x\(qty.rawValue)",
      isPrice(price) && qty >= .zero && openBook == instrument)
  }
  mutating func bookEnd(_ instrument: InstrumentIndex) {
    note("book end \(instrument)", openBook == instrument)
    openBook = nil
  }
  mutating func bookLost(_ instrument: InstrumentIndex) { note("book lost \(instrument)", openBook == nil) }
  mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {
    note(
      "trade \(instrument) \(aggressor.rawValue) \(price.rawValue)x\(qty.rawValue) \(time)",
      isPrice(price) && qty >= .zero && time >= 0)
  }
  mutating func account(_ s: AccountSummary) {
    note(
      "account \(s.marginE8) \(s.requiredMarginE8) \(s.remainingMarginE8) \(s.cashCollateralE8) \(s.unrealisedE8)")
  }
  mutating func snapshotBegin(_ kind: SnapshotKind) { note("begin \(kind)") }
  mutating func snapshotEnd(_ kind: SnapshotKind) { note("end \(kind)") }
  mutating func order(_ r: OrderReport) {
    note(
      "order \(text(r.venueID)) \(r.clientID) \(r.instrument) \(r.side.rawValue) \(r.hasPrice ? r.price.rawValue : -1) "
        + "\(r.qty.rawValue) \(r.filled.rawValue) \(r.remaining.rawValue) \(r.status) \(r.deletion) \(r.source) "
        + "\(r.isLabelledOurs) \(r.createTime)",
      r.qty >= .zero && r.filled >= .zero && r.remaining >= .zero && r.filled <= r.qty && r.remaining <= r.qty
        && (r.status != .filled || r.filled == r.qty) && (!r.hasPrice || isPrice(r.price))
        && (!r.status.isLive || r.remaining.rawValue <= r.qty.rawValue - r.filled.rawValue) && r.venueID.count > 0
        && (r.clientID == 0 || r.isLabelledOurs && r.clientID <= RequestID.operandLimit))
  }
  mutating func fill(_ r: FillReport) {
    note(
      "fill \(text(r.tradeID)) \(text(r.venueID)) \(r.clientID) \(r.instrument) \(r.side.rawValue) \(r.price.rawValue)x"
        + "\(r.qty.rawValue) \(r.isMaker) \(r.source) \(r.isLabelledOurs) \(r.hasFee ? r.feeE8 : .min) \(r.time)",
      r.qty > .zero && isPrice(r.price) && r.tradeID.count > 0 && r.venueID.count > 0 && r.time >= 0)
  }
  mutating func position(_ r: PositionReport) {
    note("position \(r.instrument) \(r.position.rawValue) \(r.markE8) \(r.averagePriceE8)")
  }
  mutating func instrument(_ i: InstrumentInfo, isListed: Bool) {
    note(
      "instrument \(i.index) \(isListed) \(i.grid.tickE8) \(i.grid.lotE8) \(i.grid.minimumLots.rawValue)",
      i.grid.tickE8 > 0 && i.grid.lotE8 > 0 && i.grid.minimumLots.rawValue > 0)
  }
  mutating func replied(_ request: RequestKind, value: Int64) { note("replied \(request) \(value)") }
  mutating func refused(_ request: RequestKind, code: Int64) { note("refused \(request) \(code)") }
  mutating func orderNamed(_ clientID: UInt64, _ venueID: VenueID) {
    note("named \(clientID) \(text(venueID))", clientID > 0 && venueID.count > 0)
  }
  mutating func rateLimit(_ r: RateLimitReport) {
    note(
      "rate \(r.request) \(r.limit) \(r.remaining) \(r.resetTime)", r.limit >= 0 && r.remaining >= 0 && r.resetTime > 0)
  }
  mutating func feeRate(_ instrument: InstrumentIndex, makerE12: Int64, takerE12: Int64) {
    note("fees \(instrument) \(makerE12) \(takerE12)")
  }
  mutating func reconnectRequested() { note("reconnect", false) }
  mutating func refusedAtEdge(_ problem: DecodeProblem) { note("edge \(problem)") }
}
