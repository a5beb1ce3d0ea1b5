import Apus
import CSupport

/// Decoding and encoding of Deribit's text.
let deribitPieces: [Piece] = [
  decode("deribit.decode.snapshot", 50, DeribitSamples.snapshots),
  decode("deribit.decode.change", 400, DeribitSamples.changes),
  decode("deribit.decode.ticker", 400, DeribitSamples.tickers),
  decode("deribit.decode.fill", 100, [DeribitSamples.fill]),
  decode("deribit.decode.reply", 200, [DeribitSamples.reply]),
  Piece("deribit.encode.buy", .batch(4096), input: { BuyEncode.input() }) { _ in Timed(try BuyEncode()) },
  Piece("deribit.encode.edit", .batch(4096)) { _ in Timed(try EditEncode()) },
  Piece("deribit.encode.cancel", .batch(4096)) { _ in Timed(try CancelEncode()) },
]

private let label = "apus-bench-mh2k0-"

/// One text after the other, over and over. Input: the first one, which is what peers decode. Check: every number of it
/// that was delivered, in the order of `FieldSink`.
private func decode(_ key: String, _ batch: Int, _ texts: [String]) -> Piece {
  Piece(key, .batch(batch), input: { Array(texts[0].utf8) }) { _ in Timed(try Decode(texts)) }
}

private struct Decode: Operation, ~Copyable {
  private var decoder: DeribitDecoder
  private let texts: [UnsafeRawBufferPointer]
  private var next = 0

  init(_ texts: [String]) throws {
    self.texts = texts.map { text in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 64)
      copy.copyBytes(from: text.utf8)
      return UnsafeRawBufferPointer(copy)
    }
    var decoder = try DeribitDecoder(instrumentCapacity: 1, labelPrefix: "apus", label: label)
    let instrument = try decoder.want(instrument: "BTC-PERPETUAL")
    try decoder.register(channel: "book.BTC-PERPETUAL.raw", kind: .book, instrument: instrument)
    try decoder.register(channel: "ticker.BTC-PERPETUAL.100ms", kind: .ticker, instrument: instrument)
    try decoder.register(channel: "user.changes.future.BTC.raw", kind: .userChanges)
    var sink = FieldSink()
    Array(DeribitSamples.listing.utf8).withUnsafeBytes { decoder.decode($0, into: &sink) }
    self.decoder = decoder
    begin(&sink)
  }

  deinit { texts.forEach { $0.deallocate() } }

  /// What the texts follow.
  private mutating func begin(_ sink: inout FieldSink) {
    Array(DeribitSamples.snapshot.utf8).withUnsafeBytes { decoder.decode($0, into: &sink) }
    next = 0
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sink = CountingSink()
    let start = EngineClock.now()
    for _ in 0..<count {
      decoder.decode(texts[next], into: &sink)
      next += 1
      if next == texts.count { next = 0 }
    }
    let time = EngineClock.now() - start
    guard sink.problems == 0, sink.events >= count else {
      throw PieceError("\(sink.events) events and \(sink.problems) problems in \(count) decodings")
    }
    keep(sink.sum)
    return time
  }

  mutating func check() throws -> [Int64] {
    var sink = FieldSink()
    begin(&sink)
    sink = FieldSink()
    decoder.decode(texts[0], into: &sink)
    let (fields, problems) = (sink.fields, sink.problems)
    begin(&sink)
    guard problems == 0 else { throw PieceError("the sample was refused \(problems) times") }
    return fields
  }
}

/// Uses every event a little, so that nothing is optimised away.
private struct CountingSink: SelectiveEventSink {
  var events = 0
  var problems = 0
  var sum: Int64 = 0

  mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker) {
    events += 1
    sum &+= ticker.markE8 &+ ticker.bidPrice.rawValue
  }
  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) { events += 1 }
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    sum &+= price.rawValue &+ qty.rawValue
  }
  mutating func order(_ report: OrderReport) {
    events += 1
    sum &+= report.price.rawValue
  }
  mutating func fill(_ report: FillReport) {
    events += 1
    sum &+= report.price.rawValue
  }
  mutating func position(_ report: PositionReport) { sum &+= report.position.rawValue }
  mutating func bookLost(_ instrument: InstrumentIndex) { problems += 1 }
  mutating func refused(_ request: RequestKind, code: Int64) { problems += 1 }
  mutating func refusedAtEdge(_ problem: DecodeProblem) { problems += 1 }
}

/// Collects what was delivered as plain numbers, for the comparison with peers:
/// - a ticker: mark, index (10⁻⁸), bid price, bid size, ask price, ask size, last price (ticks of 0.5, lots of 10), lower
///   and upper collar (10⁻⁸), funding rate (10⁻¹²), time (ms)
/// - a book level: side (0 buy, 1 sell), price, size
/// - an execution: side, price, size, fee (10⁻⁸), is it a maker's, time (ms)
/// - an order: side, price, size, executed, remaining, is it live, time of making (ms)
/// - a position: size, mark, average price (10⁻⁸)
private struct FieldSink: SelectiveEventSink {
  var fields: [Int64] = []
  var problems = 0

  mutating func ticker(_ instrument: InstrumentIndex, _ t: Ticker) {
    fields += [
      t.markE8, t.indexE8, t.bidPrice.rawValue, t.bidQty.rawValue, t.askPrice.rawValue, t.askQty.rawValue,
      t.lastPrice.rawValue, t.collarLowE8, t.collarHighE8, t.fundingRateE12, t.venueTime / 1_000_000,
    ]
  }
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    fields += [side == .buy ? 0 : 1, price.rawValue, qty.rawValue]
  }
  mutating func fill(_ r: FillReport) {
    fields += [
      r.side == .buy ? 0 : 1, r.price.rawValue, r.qty.rawValue, r.feeE8, r.isMaker ? 1 : 0, r.time / 1_000_000,
    ]
  }
  mutating func order(_ r: OrderReport) {
    fields += [
      r.side == .buy ? 0 : 1, r.price.rawValue, r.qty.rawValue, r.filled.rawValue, r.remaining.rawValue,
      r.status.isLive ? 1 : 0, r.createTime / 1_000_000,
    ]
  }
  mutating func position(_ r: PositionReport) { fields += [r.position.rawValue, r.markE8, r.averagePriceE8] }
  mutating func bookLost(_ instrument: InstrumentIndex) { problems += 1 }
  mutating func refused(_ request: RequestKind, code: Int64) { problems += 1 }
  mutating func refusedAtEdge(_ problem: DecodeProblem) { problems += 1 }
}

private func makeEncoder() throws -> DeribitEncoder {
  var encoder = try DeribitEncoder(instrumentCapacity: 1, label: label)
  try encoder.setInstrument(
    0, name: "BTC-PERPETUAL",
    grid: InstrumentGrid(tickE8: 50_000_000, lotE8: 1_000_000_000, minimumLots: QtyLots(rawValue: 1)))
  return encoder
}

/// Orders whose numbers change from one to the next. 64 of them: client id, price in ticks of 0.5, size in lots of 10.
private struct OrderNumbers {
  static let count = 64
  let all: [(clientID: UInt64, price: PriceTicks, qty: QtyLots)]
  let venueID: UnsafeMutablePointer<VenueID>

  init() {
    all = (0..<Self.count).map { index in
      (
        UInt64(index) * 7919 + 1_000_000, PriceTicks(rawValue: 172_940 + Int64(index)),
        QtyLots(rawValue: 100 + 13 * Int64(index))
      )
    }
    venueID = .allocate(capacity: 1)
    venueID.initialize(to: VenueID())
    let text = Array("210049234017437153".utf8CString)
    _ = apus_id_set(venueID, text, text.count - 1)
  }
}

/// A post-only buy with a label of 27 bytes.
///
/// Input: 64 times three 64-bit integers: request id, price in halves, size in tens; then the ten last digits of the
/// label, in two 64-bit integers. The text is `{"jsonrpc":"2.0","id":…,"method":"private/buy","params":{
/// "instrument_name":"BTC-PERPETUAL","type":"limit","amount":…,"price":…,"label":"apus-bench-mh2k0-…",
/// "post_only":true}}`, numbers without trailing zeros. Check: FNV-1a of each of the 64 texts.
private struct BuyEncode: Operation, ~Copyable {
  private let encoder: DeribitEncoder
  private let numbers = OrderNumbers()
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)

  init() throws { encoder = try makeEncoder() }

  deinit {
    memory.deallocate()
    numbers.venueID.deallocate()
  }

  /// The digits of a client id in a label.
  private static func tag(_ clientID: UInt64) -> [UInt8] {
    let digits = Array("0123456789abcdefghijklmnopqrstuv".utf8)
    return (0..<10).map { digits[Int(clientID >> UInt64(45 - 5 * $0) & 31)] } + [0, 0, 0, 0, 0, 0]
  }

  static func input() -> [UInt8] {
    var bytes: [UInt8] = []
    let numbers = OrderNumbers()
    for order in numbers.all {
      bytes.append(raw: RequestID.insert(order.clientID))
      bytes.append(raw: order.price.rawValue)
      bytes.append(raw: order.qty.rawValue)
      bytes += tag(order.clientID)
    }
    numbers.venueID.deallocate()
    return bytes
  }

  @inline(__always)
  private func encode(_ order: (clientID: UInt64, price: PriceTicks, qty: QtyLots)) -> Int {
    encoder.insert(
      into: memory, clientID: order.clientID, instrument: 0, side: .buy, price: order.price, qty: order.qty,
      options: .postOnly)
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let time = numbers.all.withUnsafeBufferPointer { orders in
      let start = EngineClock.now()
      for index in 0..<count { sum &+= encode(orders[index % OrderNumbers.count]) }
      return EngineClock.now() - start
    }
    guard sum > 190 * count else { throw PieceError("buys of \(sum / count) bytes") }
    keep(Int64(sum))
    return time
  }

  mutating func check() throws -> [Int64] { numbers.all.map { order in hash(of: memory.prefix(encode(order))) } }
}

private struct EditEncode: Operation, ~Copyable {
  private let encoder: DeribitEncoder
  private let numbers = OrderNumbers()
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)

  init() throws { encoder = try makeEncoder() }

  deinit {
    memory.deallocate()
    numbers.venueID.deallocate()
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let time = numbers.all.withUnsafeBufferPointer { orders in
      let start = EngineClock.now()
      for index in 0..<count {
        let order = orders[index % OrderNumbers.count]
        sum &+= encoder.amend(
          into: memory, clientID: order.clientID, serial: UInt16(index % 9_999 + 1), venueID: numbers.venueID,
          instrument: 0, price: order.price, qty: order.qty)
      }
      return EngineClock.now() - start
    }
    guard sum > 120 * count else { throw PieceError("edits of \(sum / count) bytes") }
    keep(Int64(sum))
    return time
  }
}

private struct CancelEncode: Operation, ~Copyable {
  private let encoder: DeribitEncoder
  private let numbers = OrderNumbers()
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)

  init() throws { encoder = try makeEncoder() }

  deinit {
    memory.deallocate()
    numbers.venueID.deallocate()
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let time = numbers.all.withUnsafeBufferPointer { orders in
      let start = EngineClock.now()
      for index in 0..<count {
        sum &+= encoder.cancel(
          into: memory, clientID: orders[index % OrderNumbers.count].clientID, venueID: numbers.venueID, instrument: 0)
      }
      return EngineClock.now() - start
    }
    guard sum > 90 * count else { throw PieceError("cancels of \(sum / count) bytes") }
    keep(Int64(sum))
    return time
  }
}
