import Apus
import CSupport
import Foundation

/// The sample frames of the protocol reference, byte for byte.
enum Fixtures {
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/bybit-samples")

  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: directory.appendingPathComponent(name + ".json")))
  }

  static func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

  static func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path)
      .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
  }

  /// The `orderLinkId` of an order of this life: the label and ten digits of base 32.
  static func tag(_ clientID: UInt64) -> String {
    let digits = Array("0123456789abcdefghijklmnopqrstuv")
    return Bench.label + String((0..<10).map { digits[Int(clientID >> UInt64(45 - 5 * $0) & 31)] })
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

/// Writes down what it is told, one line for each event, and notes what can never be true.
struct Recorder: VenueEventSink {
  var lines: [String] = []
  var impossible: [String] = []
  private var bookOpen: InstrumentIndex?

  private func side(_ side: Side) -> String { side == .buy ? "buy" : "sell" }

  mutating func ticker(_ instrument: InstrumentIndex, _ t: Ticker) {
    var line = "ticker \(instrument)"
    if t.fields.contains(.mark) { line += " mark \(t.markE8)" }
    if t.fields.contains(.index) { line += " index \(t.indexE8)" }
    if t.fields.contains(.bid) { line += " bid \(t.bidPrice.rawValue)x\(t.bidQty.rawValue)" }
    if t.fields.contains(.ask) { line += " ask \(t.askPrice.rawValue)x\(t.askQty.rawValue)" }
    if t.fields.contains(.last) { line += " last \(t.lastPrice.rawValue)" }
    if t.fields.contains(.collars) { line += " collars \(t.collarLowE8)-\(t.collarHighE8)" }
    if t.fields.contains(.funding) { line += " funding \(t.fundingRateE12)" }
    lines.append(line + " time \(t.venueTime)")
    check(!t.fields.contains(.bid) || t.bidQty > .zero && t.bidPrice.rawValue > 0)
    check(!t.fields.contains(.ask) || t.askQty > .zero && t.askPrice.rawValue > 0)
    check(!t.fields.contains(.last) || t.lastPrice.rawValue > 0)
  }
  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
    lines.append("book \(instrument)\(isSnapshot ? " snapshot" : "")")
    check(bookOpen == nil)
    bookOpen = instrument
  }
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    lines.append("level \(instrument) \(side == .buy ? "bid" : "ask") \(price.rawValue)x\(qty.rawValue)")
    check(qty >= .zero && price.rawValue > 0 && bookOpen == instrument)
  }
  mutating func bookEnd(_ instrument: InstrumentIndex) {
    lines.append("book end \(instrument)")
    check(bookOpen == instrument)
    bookOpen = nil
  }
  mutating func bookLost(_ instrument: InstrumentIndex) {
    lines.append("book lost \(instrument)")
    check(bookOpen == nil)
  }
  mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {
    lines.append("trade \(instrument) \(side(aggressor)) \(price.rawValue)x\(qty.rawValue) \(time)")
    check(qty >= .zero && price.rawValue > 0)
  }
  mutating func account(_ s: AccountSummary) {
    lines.append(
      "account margin \(s.marginE8) required \(s.requiredMarginE8) remaining \(s.remainingMarginE8) collateral "
        + "\(s.cashCollateralE8) unrealised \(s.unrealisedE8)")
  }
  mutating func snapshotBegin(_ kind: SnapshotKind) { lines.append("begin \(kind)") }
  mutating func snapshotEnd(_ kind: SnapshotKind) { lines.append("end \(kind)") }
  mutating func order(_ r: OrderReport) {
    lines.append(
      "order \(r.venueID.text) client \(r.clientID) instrument \(r.instrument) \(side(r.side)) "
        + (r.hasPrice ? "\(r.price.rawValue)" : "market")
        + " qty \(r.qty.rawValue) filled \(r.filled.rawValue) remaining \(r.remaining.rawValue) "
        + "\(r.status) \(r.deletion) \(r.source)\(r.isLabelledOurs ? " ours" : "") created \(r.createTime)")
    check(r.qty >= .zero && r.filled >= .zero && r.remaining >= .zero && r.filled <= r.qty && r.remaining <= r.qty)
    check(r.status != .filled || r.filled == r.qty)
    check(!r.status.isLive || r.remaining.rawValue <= r.qty.rawValue - r.filled.rawValue)
    check(!r.hasPrice || r.price.rawValue > 0)
    check(r.venueID.count > 0 && (r.clientID == 0 || r.isLabelledOurs))
  }
  mutating func fill(_ r: FillReport) {
    lines.append(
      "fill \(r.tradeID.text) order \(r.venueID.text) client \(r.clientID) instrument \(r.instrument) "
        + "\(side(r.side)) \(r.price.rawValue)x\(r.qty.rawValue) \(r.isMaker ? "maker" : "taker") "
        + "\(r.source)\(r.isLabelledOurs ? " ours" : "")\(r.hasFee ? " fee \(r.feeE8)" : "") time \(r.time)")
    check(r.qty > .zero && r.price.rawValue > 0 && r.tradeID.count > 0 && r.venueID.count > 0)
  }
  mutating func position(_ r: PositionReport) {
    lines.append("position \(r.instrument) \(r.position.rawValue) mark \(r.markE8) average \(r.averagePriceE8)")
  }
  mutating func instrument(_ i: InstrumentInfo, isListed: Bool) {
    lines.append(
      "\(isListed ? "listed" : "removed") \(i.index) \(i.kind) \(i.contract) tick \(i.grid.tickE8) lot \(i.grid.lotE8) "
        + "minimum \(i.grid.minimumLots.rawValue)")
    check(i.grid.tickE8 > 0 && i.grid.lotE8 > 0 && i.grid.minimumLots.rawValue > 0 && i.expirySeconds == 0)
  }
  mutating func replied(_ request: RequestKind, value: Int64) { lines.append("replied \(short(request)) \(value)") }
  mutating func refused(_ request: RequestKind, code: Int64) { lines.append("refused \(short(request)) \(code)") }
  mutating func orderNamed(_ clientID: UInt64, _ venueID: VenueID) {
    lines.append("named \(clientID) \(venueID.text)")
    check(clientID > 0 && venueID.count > 0)
  }
  mutating func rateLimit(_ r: RateLimitReport) {
    lines.append("rate \(short(r.request)) \(r.remaining) of \(r.limit) until \(r.resetTime)")
    check(r.remaining >= 0 && r.limit >= 0 && r.resetTime > 0)
  }
  mutating func feeRate(_ instrument: InstrumentIndex, makerE12: Int64, takerE12: Int64) {
    lines.append("fees \(instrument) maker \(makerE12) taker \(takerE12)")
  }
  mutating func reconnectRequested() { lines.append("reconnect") }
  mutating func refusedAtEdge(_ problem: DecodeProblem) { lines.append("edge \(problem)") }

  private func short(_ request: RequestKind) -> String {
    if case .session(let session) = request { return "\(session)" }
    return "\(request)"
  }

  private mutating func check(_ isPossible: Bool) {
    if !isPossible { impossible.append(lines.last ?? "") }
  }
}

/// Which connection a frame comes from, or which question it answers.
enum Source: Hashable {
  case market, account, orders
  case rest(BybitQuestion)
}

/// A decoder that knows the instruments and topics of the samples.
struct Bench: ~Copyable {
  var decoder: BybitDecoder
  static let label = "mm1-"
  static let btc: InstrumentIndex = 0, eth: InstrumentIndex = 1, xrp: InstrumentIndex = 2
  static let topics = [
    "orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT", "priceLimit.BTCUSDT", "orderbook.1.ETHUSDT",
    "orderbook.1.BTCUSDT", "orderbook.500.XRPUSDT", "tickers.ETHUSDT", "order.linear", "execution.linear",
    "execution.fast.linear",
    "position.linear", "wallet", "order", "execution", "position", "dcp.future", "kline.1.BTCUSDT",
    "allLiquidation.BTCUSDT",
  ]

  init(isListed: Bool = true, level: ScanLevel? = nil, topics: [String] = topics) throws {
    let listing = try Fixtures.bytes("rest-instruments-info-linear")
    var decoder = try BybitDecoder(
      instrumentCapacity: 8, topicCapacity: 32, prefix: "mm1", label: Self.label, scanLevel: level)
    for name in ["BTCUSDT", "ETHUSDT", "XRPUSDT", "NEWUSDT"] { _ = try decoder.want(instrument: name) }
    for topic in topics { try decoder.register(topic: topic) }
    self.decoder = decoder
    if isListed { _ = decode(listing, .rest(.instruments)) }
  }

  /// Decodes bytes that end where their memory ends, and returns what was delivered.
  mutating func record(_ bytes: [UInt8], _ source: Source) -> Recorder {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    memory.copyBytes(from: bytes)
    defer { memory.deallocate() }
    return record(UnsafeRawBufferPointer(memory), source)
  }
  /// Decodes bytes where they lie.
  mutating func record(_ text: UnsafeRawBufferPointer, _ source: Source) -> Recorder {
    var recorder = Recorder()
    switch source {
    case .market: decoder.decodePublic(text, into: &recorder)
    case .account: decoder.decodePrivate(text, into: &recorder)
    case .orders: decoder.decodeTrade(text, into: &recorder)
    case .rest(let question): decoder.decodeRest(question, text, into: &recorder)
    }
    return recorder
  }
  mutating func decode(_ bytes: [UInt8], _ source: Source) -> [String] { record(bytes, source).lines }
  mutating func decode(_ text: String, _ source: Source) -> [String] { decode([UInt8](text.utf8), source) }
}

/// Memory between pages that nobody may touch: text at its very start, or at its very end.
final class GuardedMemory {
  private let base: UnsafeMutableRawPointer
  private static let page = sysconf(Int32(_SC_PAGESIZE))
  private static let inner = 64 * page

  init() {
    base = mmap(nil, Self.inner + 2 * Self.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    mprotect(base, Self.page, PROT_NONE)
    mprotect(base + Self.page + Self.inner, Self.page, PROT_NONE)
  }
  deinit { munmap(base, Self.inner + 2 * Self.page) }

  func with<T>(_ bytes: [UInt8], atEnd: Bool, _ body: (UnsafeRawBufferPointer) -> T) -> T {
    precondition(bytes.count <= Self.inner)
    let start = base + Self.page + (atEnd ? Self.inner - bytes.count : 0)
    UnsafeMutableRawBufferPointer(start: start, count: bytes.count).copyBytes(from: bytes)
    return body(UnsafeRawBufferPointer(start: start, count: bytes.count))
  }
}
