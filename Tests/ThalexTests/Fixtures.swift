import Apus
import CSupport
import Foundation

/// The sample frames of the protocol reference, byte for byte.
enum Fixtures {
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/thalex-samples")

  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: directory.appendingPathComponent(name + ".json")))
  }

  static func names(_ prefix: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path)
      .filter { $0.hasPrefix(prefix) && $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
  }
}

/// A small generator with a seed, so that a failure can be repeated.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

extension VenueID {
  var text: String {
    var copy = self
    return withUnsafeBytes(of: &copy) { String(decoding: $0.prefix(Int(count)), as: UTF8.self) }
  }
}

extension QtyLots {
  init(_ lots: Int64) { self.init(rawValue: lots) }
}

/// Writes down what it is told, one line for each event, and notes what can never be true.
struct Recorder: VenueEventSink {
  var lines: [String] = []
  var impossible: [String] = []

  mutating func ticker(_ instrument: InstrumentIndex, _ t: Ticker) {
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
  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
    lines.append("book \(instrument)\(isSnapshot ? " snapshot" : "")")
  }
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    lines.append("level \(instrument) \(side == .buy ? "bid" : "ask") \(price.rawValue)x\(qty.rawValue)")
    check(qty >= .zero && price.rawValue > 0)
  }
  mutating func bookEnd(_ instrument: InstrumentIndex) { lines.append("book end \(instrument)") }
  mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {
    lines.append("trade \(instrument) \(aggressor == .buy ? "buy" : "sell") \(price.rawValue)x\(qty.rawValue) \(time)")
    check(qty >= .zero && price.rawValue > 0)
  }
  mutating func index(_ underlying: UnderlyingIndex, _ r: IndexReport) {
    var line = "index \(underlying) \(r.priceE8) time \(r.venueTime)"
    if let value = r.previousSettlementE8 { line += " settled \(value)" }
    if let value = r.expirationAverageE8 { line += " average \(value)" }
    if let value = r.expirationProgressE8 { line += " progress \(value)" }
    if let value = r.expectedExpirationE8 { line += " expected \(value)" }
    lines.append(line)
    check(r.priceE8 > 0)
  }
  mutating func basePrice(_ underlying: UnderlyingIndex, expirySeconds: Int64, _ r: BasePrice) {
    lines.append(
      "base \(underlying) of \(expirySeconds) from \(r.instrument) \(r.priceE8) index \(r.indexE8) delta \(r.indexDeltaE8)"
    )
    check(r.priceE8 > 0 && r.indexE8 > 0)
  }
  mutating func account(_ s: AccountSummary) {
    lines.append(
      "account margin \(s.marginE8) required \(s.requiredMarginE8) remaining \(s.remainingMarginE8) collateral "
        + "\(s.cashCollateralE8) unrealised \(s.unrealisedE8) realised \(s.sessionRealisedE8)")
  }
  mutating func listing(_ l: InstrumentListing, isListed: Bool) {
    lines.append(
      "family \(l.family) \(isListed ? "added" : "gone") \(l.name.text) \(l.kind) \(l.optionType) product \(l.product) "
        + "instrument \(l.instrument) tick \(l.grid.tickE8) lot \(l.grid.lotE8) expiry \(l.expirySeconds) strike \(l.strikeE8)"
    )
    check(l.grid.tickE8 > 0 && l.grid.lotE8 > 0 && l.name.count > 0)
  }
  mutating func snapshotBegin(_ kind: SnapshotKind) { lines.append("begin \(kind)") }
  mutating func snapshotEnd(_ kind: SnapshotKind) { lines.append("end \(kind)") }
  mutating func order(_ r: OrderReport) {
    lines.append(
      "order \(r.venueID.text) client \(r.clientID) instrument \(r.instrument) \(r.side == .buy ? "buy" : "sell") "
        + (r.hasPrice ? "\(r.price.rawValue)" : "market")
        + " qty \(r.qty.rawValue) filled \(r.filled.rawValue) remaining \(r.remaining.rawValue) "
        + "\(r.status) \(r.change) \(r.deletion) \(r.source)\(r.isLabelledOurs ? " ours" : "")"
        + "\(r.isPersistent ? " persistent" : "") created \(r.createTime)")
    check(r.qty >= .zero && r.filled >= .zero && r.remaining >= .zero && r.filled <= r.qty && r.remaining <= r.qty)
    check(r.status != .filled || r.filled == r.qty)
    check(!r.status.isLive || r.hasPrice && r.remaining.rawValue <= r.qty.rawValue - r.filled.rawValue)
    check(!r.hasPrice || r.price.rawValue > 0)
    check(r.venueID.count > 0)
  }
  mutating func fill(_ r: FillReport) {
    lines.append(
      "fill \(r.tradeID.text) order \(r.venueID.text) client \(r.clientID) instrument \(r.instrument) "
        + "\(r.side == .buy ? "buy" : "sell") \(r.price.rawValue)x\(r.qty.rawValue) \(r.isMaker ? "maker" : "taker") "
        + "\(r.source)\(r.isLabelledOurs ? " ours" : "")\(r.hasFee ? " fee \(r.feeE8)" : "") time \(r.time)")
    check(r.qty > .zero && r.price.rawValue > 0 && r.tradeID.count > 0 && r.venueID.count > 0)
  }
  mutating func position(_ r: PositionReport) {
    lines.append("position \(r.instrument) \(r.position.rawValue) mark \(r.markE8) average \(r.averagePriceE8)")
  }
  mutating func instrument(_ i: InstrumentInfo, isListed: Bool) {
    lines.append(
      "\(isListed ? "listed" : "removed") \(i.index) \(i.kind) tick \(i.grid.tickE8) lot \(i.grid.lotE8) "
        + "minimum \(i.grid.minimumLots.rawValue) expiry \(i.expirySeconds)")
    check(i.grid.tickE8 > 0 && i.grid.lotE8 > 0 && i.grid.minimumLots.rawValue > 0 && i.expirySeconds >= 0)
  }
  mutating func replied(_ request: RequestKind, value: Int64) { lines.append("replied \(request) \(value)") }
  mutating func refused(_ request: RequestKind, code: Int64) { lines.append("refused \(request) \(code)") }
  mutating func massQuoteFailed(_ serial: UInt64, code: Int64, side: Side?, priceE8: Int64?) {
    let side = side.map { $0 == .buy ? " bid" : " ask" } ?? ""
    lines.append("quote failed \(serial) code \(code)\(side)\(priceE8.map { " \($0)" } ?? "")")
  }
  mutating func massQuoted(_ serial: UInt64, succeeded: Int64, failed: Int64) {
    lines.append("quoted \(serial) good \(succeeded) bad \(failed)")
    check(succeeded >= 0 && failed >= 0)
  }
  mutating func protection(_ product: ProductIndex, remaining: QtyLots, reason: ProtectionReason) {
    lines.append("protection \(product) \(remaining.rawValue) \(reason)")
  }
  mutating func reconnectRequested() { lines.append("reconnect") }
  mutating func refusedAtEdge(_ problem: DecodeProblem) { lines.append("edge \(problem)") }

  private mutating func check(_ isPossible: Bool) {
    if !isPossible { impossible.append(lines.last ?? "") }
  }
}

/// A decoder that knows the instruments and channels of the samples.
struct Bench: ~Copyable {
  var decoder: ThalexDecoder
  static let perpetual: InstrumentIndex = 0, dated: InstrumentIndex = 1, june: InstrumentIndex = 2
  static let option: InstrumentIndex = 3, gone: InstrumentIndex = 4
  static let call: InstrumentIndex = 5, roll: InstrumentIndex = 6
  static let channels: [(String, ThalexChannel, InstrumentIndex)] = [
    ("ticker.BTC-PERPETUAL.100ms", .ticker, perpetual),
    ("ticker.BTC-24APR26.1000ms", .ticker, dated),
    ("ticker.BTC-21APR26-75000-P.1000ms", .ticker, option),
    ("lwt.BTC-PERPETUAL.raw", .lightTicker, perpetual),
    ("lwt.BTC-26JUN26.1000ms", .lightTicker, june),
    ("lwt.BTC-21APR26-75000-P.100ms", .lightTicker, option),
    ("book.BTC-PERPETUAL.none.10.100ms", .book, perpetual),
    ("price_index.BTCUSD", .priceIndex, .max),
    ("instruments", .instruments, .max),
    ("session.orders", .sessionOrders, .max),
    ("account.orders", .accountOrders, .max),
    ("account.portfolio", .portfolio, .max),
    ("account.trade_history", .tradeHistory, .max),
    ("session.mm_protection", .protection, .max),
    ("system", .system, .max),
    ("lwt_futures.BTCUSD.1000ms", .lightFutures, .max),
    ("lwt_options.BTCUSD.all.1000ms", .lightOptions, .max),
    ("lwt_future_rolls.BTCUSD.1000ms", .lightRolls, .max),
    ("base_price.BTCUSD.2026-04-24", .basePrice, .max),
    ("recent_trades.BTCUSD.all", .recentTrades, .max),
    ("recent_trades.BTC-PERPETUAL.single", .recentTrades, .max),
    ("account.summary", .accountSummary, .max),
    ("account.persistent_orders", .persistentOrders, .max),
    ("account.order_history", .orderHistory, .max),
    ("account.conditional_orders", .other, .max),
    ("mm.rfqs", .other, .max),
    ("mm.rfq_quotes", .other, .max),
    ("banners", .other, .max),
    ("underlying_statistics.BTCUSD", .other, .max),
    ("index_components.BTCUSD", .other, .max),
  ]

  init(isListed: Bool = true, level: ScanLevel? = nil) throws {
    let listings = [
      Self.reply(.instruments, result: try Self.result(of: "res-instruments")),
      Self.reply(
        .instruments,
        result:
          #"[{"instrument_name":"BTC-26JUN26","tick_size":1,"volume_tick_size":0.001,"min_order_amount":0.001,"type":"future"},{"instrument_name":"BTC-21APR26","tick_size":1,"volume_tick_size":0.001,"min_order_amount":0.001,"type":"future"},{"instrument_name":"BTC-24APR26-72000-C","product":"OBTCUSD","tick_size":5,"volume_tick_size":0.01,"min_order_amount":0.01,"type":"option"},{"instrument_name":"BTC-24APR26-21APR26","product":"FBTCUSD","tick_size":1,"volume_tick_size":0.001,"min_order_amount":0.1,"type":"combination"}]"#
      ),
    ]
    var decoder = try ThalexDecoder(instrumentCapacity: 8, channelCapacity: 64, labelPrefix: "mm", scanLevel: level)
    for name in [
      "BTC-PERPETUAL", "BTC-24APR26", "BTC-26JUN26", "BTC-21APR26-75000-P", "BTC-21APR26", "BTC-24APR26-72000-C",
      "BTC-24APR26-21APR26",
    ] {
      _ = try decoder.want(instrument: name)
    }
    for name in ["FBTCUSD", "OBTCUSD", "FETHUSD"] { _ = try decoder.want(product: name) }
    for (name, kind, instrument) in Self.channels {
      try decoder.register(channel: name, kind: kind, instrument: instrument)
    }
    self.decoder = decoder
    if isListed {
      for listing in listings { _ = decode(listing) }
    }
  }

  /// Decodes bytes that end where their memory ends, and returns what was delivered.
  mutating func record(_ bytes: [UInt8]) -> Recorder {
    var recorder = Recorder()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    memory.copyBytes(from: bytes)
    decoder.decode(UnsafeRawBufferPointer(memory), into: &recorder)
    memory.deallocate()
    return recorder
  }
  /// Decodes bytes where they lie.
  mutating func record(_ text: UnsafeRawBufferPointer) -> Recorder {
    var recorder = Recorder()
    decoder.decode(text, into: &recorder)
    return recorder
  }
  mutating func decode(_ bytes: [UInt8]) -> [String] { record(bytes).lines }
  mutating func decode(_ text: String) -> [String] { decode([UInt8](text.utf8)) }

  /// The result part of a sample reply.
  static func result(of name: String) throws -> String {
    let text = String(decoding: try Fixtures.bytes(name), as: UTF8.self)
    let start = text.range(of: #""result":"#) ?? text.startIndex..<text.startIndex
    return String(text[start.upperBound...].dropLast())
  }
  static func reply(_ request: SessionRequest, result: String) -> String {
    #"{"id":\#(RequestID.session(request, serial: 5)),"result":\#(result)}"#
  }
  static func reply(_ id: UInt64, _ name: String) throws -> String {
    #"{"id":\#(id),"result":\#(try result(of: name))}"#
  }
}
