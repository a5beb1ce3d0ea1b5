import Apus
import CSupport

/// Decoding and encoding of Bybit's text.
let bybitPieces: [Piece] = [
  decode("bybit.decode.book", 100, BybitSamples.books, source: .market),
  decode("bybit.decode.book.small", 400, BybitSamples.smallBooks, source: .market),
  decode("bybit.decode.order", 200, [BybitSamples.order], source: .account),
  decode("bybit.decode.execution", 200, [BybitSamples.execution], source: .account),
  decode("bybit.decode.ticker", 400, [BybitSamples.ticker], source: .market),
  decode("bybit.decode.answer", 400, [BybitSamples.answer], source: .orders),
  Piece("bybit.encode.create", .batch(4096), input: { CreateEncode.input() }) { _ in Timed(try CreateEncode()) },
  Piece("bybit.encode.amend", .batch(4096)) { _ in Timed(try AmendEncode()) },
  Piece("bybit.encode.batch", .batch(512)) { _ in Timed(try BatchEncode()) },
]

private enum Source { case market, account, orders }

/// One text after the other, over and over. Input: the first one, which is what peers decode. Check: every number of it
/// that was delivered, in the order of `FieldSink`.
private func decode(_ key: String, _ batch: Int, _ texts: [String], source: Source) -> Piece {
  Piece(key, .batch(batch), input: { Array(texts[0].utf8) }) { _ in Timed(try Decode(texts, source)) }
}

private struct Decode: Operation, ~Copyable {
  private var decoder: BybitDecoder
  private let texts: [UnsafeRawBufferPointer]
  private let source: Source
  private var next = 0

  init(_ texts: [String], _ source: Source) throws {
    self.source = source
    self.texts = texts.map { text in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 64)
      copy.copyBytes(from: text.utf8)
      return UnsafeRawBufferPointer(copy)
    }
    var decoder = try BybitDecoder(instrumentCapacity: 1, topicCapacity: 8, prefix: "apus", label: "apus-bench-mh2k0-")
    _ = try decoder.want(instrument: "BTCUSDT")
    for topic in ["orderbook.50.BTCUSDT", "tickers.BTCUSDT", "order.linear", "execution.linear"] {
      try decoder.register(topic: topic)
    }
    var sink = FieldSink()
    _ = Array(BybitSamples.listing.utf8).withUnsafeBytes { decoder.decodeRest(.instruments, $0, into: &sink) }
    self.decoder = decoder
    begin(&sink)
  }

  deinit { texts.forEach { $0.deallocate() } }

  /// What the texts follow.
  private mutating func begin(_ sink: inout FieldSink) {
    for text in [BybitSamples.snapshot, BybitSamples.tickerSnapshot] {
      Array(text.utf8).withUnsafeBytes { decoder.decodePublic($0, into: &sink) }
    }
    next = 0
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sink = CountingSink()
    let start = EngineClock.now()
    switch source {
    case .market:
      for _ in 0..<count { decoder.decodePublic(text(), into: &sink) }
    case .account:
      for _ in 0..<count { decoder.decodePrivate(text(), into: &sink) }
    case .orders:
      for _ in 0..<count { decoder.decodeTrade(text(), into: &sink) }
    }
    let time = EngineClock.now() - start
    guard sink.problems == 0, sink.events >= count else {
      throw PieceError("\(sink.events) events and \(sink.problems) problems in \(count) decodings")
    }
    keep(sink.sum)
    return time
  }

  @inline(__always)
  private mutating func text() -> UnsafeRawBufferPointer {
    let text = texts[next]
    next += 1
    if next == texts.count { next = 0 }
    return text
  }

  mutating func check() throws -> [Int64] {
    var sink = FieldSink()
    begin(&sink)
    sink = FieldSink()
    switch source {
    case .market: decoder.decodePublic(texts[0], into: &sink)
    case .account: decoder.decodePrivate(texts[0], into: &sink)
    case .orders: decoder.decodeTrade(texts[0], into: &sink)
    }
    begin(&sink)
    guard sink.problems == 0 else { throw PieceError("the sample was refused \(sink.problems) times") }
    return Array(sink.fields.prefix(sink.firstCount))
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
  mutating func replied(_ request: RequestKind, value: Int64) { events += 1 }
  mutating func bookLost(_ instrument: InstrumentIndex) { problems += 1 }
  mutating func refused(_ request: RequestKind, code: Int64) { problems += 1 }
  mutating func refusedAtEdge(_ problem: DecodeProblem) { problems += 1 }
}

/// Collects what was delivered of one message as plain numbers, for the comparison with peers:
/// - a book level: side (0 buy, 1 sell), price, size (ticks of 0.1, lots of 0.001)
/// - an order: side, price, size, executed, remaining, is it live, time of making (ms)
/// - an execution: side, price, size, fee (10⁻⁸), is it a maker's, time (ms)
private struct FieldSink: SelectiveEventSink {
  var fields: [Int64] = []
  var problems = 0
  /// Fields of the first message.
  private var messages = 0
  var firstCount = 0

  private mutating func add(_ values: [Int64]) {
    fields += values
    if messages <= 1 { firstCount = fields.count }
  }

  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) { messages += 1 }
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    add([side == .buy ? 0 : 1, price.rawValue, qty.rawValue])
  }
  mutating func order(_ r: OrderReport) {
    messages += 1
    add([
      r.side == .buy ? 0 : 1, r.price.rawValue, r.qty.rawValue, r.filled.rawValue, r.remaining.rawValue,
      r.status.isLive ? 1 : 0, r.createTime / 1_000_000,
    ])
  }
  mutating func fill(_ r: FillReport) {
    messages += 1
    add([
      r.side == .buy ? 0 : 1, r.price.rawValue, r.qty.rawValue, r.feeE8, r.isMaker ? 1 : 0, r.time / 1_000_000,
    ])
  }
  mutating func bookLost(_ instrument: InstrumentIndex) { problems += 1 }
  mutating func refused(_ request: RequestKind, code: Int64) { problems += 1 }
  mutating func refusedAtEdge(_ problem: DecodeProblem) { problems += 1 }
}

private func makeEncoder() throws -> BybitEncoder {
  var encoder = try BybitEncoder(instrumentCapacity: 1, label: "apus-bench-mh2k0-")
  try encoder.setInstrument(
    0, name: "BTCUSDT",
    grid: InstrumentGrid(tickE8: 10_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)))
  return encoder
}

/// Orders whose numbers change from one to the next. 64 of them: client id, price in ticks of 0.1, size in lots of
/// 0.001, and a time that goes on by 1 ms every eighth.
private struct OrderNumbers {
  static let count = 64
  static let time: Int64 = 1_791_270_738_605
  let all: [BybitBatchOrder]

  init() {
    all = (0..<Self.count).map { index in
      BybitBatchOrder(
        clientID: UInt64(index) * 7919 + 1_000_000, instrument: 0, price: PriceTicks(rawValue: 859_300 + Int64(index)),
        qty: QtyLots(rawValue: 100 + 13 * Int64(index)))
    }
  }

  static func milliseconds(_ index: Int) -> Int64 { time + Int64(index / 8) }
}

/// A post-only buy with an `orderLinkId` of 27 bytes.
///
/// Input: 64 times five 64-bit integers: request id, serial of the request, price in tenths, size in thousandths, time in
/// ms; then the ten last digits of the client tag, in two 64-bit integers. The text is `{"reqId":"…-…","header":
/// {"X-BAPI-TIMESTAMP":"…","X-BAPI-RECV-WINDOW":"5000"},"op":"order.create","args":[{"category":"linear","symbol":
/// "BTCUSDT","side":"Buy","orderType":"Limit","qty":"…","price":"…","timeInForce":"PostOnly","positionIdx":0,
/// "orderLinkId":"apus-bench-mh2k0-…"}]}`, numbers without trailing zeros. Check: FNV-1a of each of the 64 texts.
private struct CreateEncode: Operation, ~Copyable {
  private var encoder: BybitEncoder
  private let numbers = OrderNumbers()
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)

  init() throws { encoder = try makeEncoder() }

  deinit { memory.deallocate() }

  /// The digits of a client id in an `orderLinkId`.
  private static func tag(_ clientID: UInt64) -> [UInt8] {
    let digits = Array("0123456789abcdefghijklmnopqrstuv".utf8)
    return (0..<10).map { digits[Int(clientID >> UInt64(45 - 5 * $0) & 31)] } + [0, 0, 0, 0, 0, 0]
  }

  static func input() -> [UInt8] {
    var bytes: [UInt8] = []
    for (index, order) in OrderNumbers().all.enumerated() {
      bytes.append(raw: RequestID.insert(order.clientID))
      bytes.append(raw: UInt64(index + 1))
      bytes.append(raw: order.price.rawValue)
      bytes.append(raw: order.qty.rawValue)
      bytes.append(raw: OrderNumbers.milliseconds(index))
      bytes += tag(order.clientID)
    }
    return bytes
  }

  @inline(__always)
  private mutating func encode(_ order: BybitBatchOrder, _ index: Int) -> Int {
    encoder.create(
      into: memory, clientID: order.clientID, instrument: 0, side: .buy, price: order.price, qty: order.qty,
      milliseconds: OrderNumbers.milliseconds(index))
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let orders = numbers.all
    let start = EngineClock.now()
    for index in 0..<count { sum &+= encode(orders[index % OrderNumbers.count], index) }
    let time = EngineClock.now() - start
    guard sum > 280 * count else { throw PieceError("creates of \(sum / count) bytes") }
    keep(Int64(sum))
    return time
  }

  mutating func check() throws -> [Int64] {
    // The serials begin anew.
    encoder = try makeEncoder()
    let orders = numbers.all
    var hashes: [Int64] = []
    for (index, order) in orders.enumerated() { hashes.append(hash(of: memory.prefix(encode(order, index)))) }
    return hashes
  }
}

private struct AmendEncode: Operation, ~Copyable {
  private var encoder: BybitEncoder
  private let numbers = OrderNumbers()
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)

  init() throws { encoder = try makeEncoder() }

  deinit { memory.deallocate() }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let orders = numbers.all
    let start = EngineClock.now()
    for index in 0..<count {
      let order = orders[index % OrderNumbers.count]
      sum &+= encoder.amend(
        into: memory, clientID: order.clientID, serial: UInt16(index % 9_999 + 1), instrument: 0, price: order.price,
        qty: order.qty, milliseconds: OrderNumbers.milliseconds(index))
    }
    let time = EngineClock.now() - start
    guard sum > 200 * count else { throw PieceError("amends of \(sum / count) bytes") }
    keep(Int64(sum))
    return time
  }
}

/// Twenty orders in one request.
private struct BatchEncode: Operation, ~Copyable {
  private var encoder: BybitEncoder
  private let numbers = OrderNumbers()
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8192, alignment: 64)

  init() throws { encoder = try makeEncoder() }

  deinit { memory.deallocate() }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    var time: Nanoseconds = 0
    numbers.all.withUnsafeBufferPointer { orders in
      let start = EngineClock.now()
      for index in 0..<count {
        sum &+= encoder.create(
          into: memory, id: RequestID.massQuote(1),
          orders: UnsafeBufferPointer(rebasing: orders[index % 4..<index % 4 + 20]),
          milliseconds: OrderNumbers.milliseconds(index))
      }
      time = EngineClock.now() - start
    }
    guard sum > 3000 * count else { throw PieceError("batches of \(sum / max(count, 1)) bytes") }
    keep(Int64(sum))
    return time
  }
}
