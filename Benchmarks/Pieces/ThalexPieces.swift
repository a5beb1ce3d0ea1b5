import Apus
import CSupport

/// Decoding and encoding of the venue's text.
let thalexPieces: [Piece] = [
  decode("decode.ticker", 400, ThalexSamples.tickers(16)),
  decode("decode.ticker.mixed", 400, ThalexSamples.mixedTickers(16)),
  decode("decode.book", 100, [ThalexSamples.book(levels: 20)]),
  decode("decode.orders", 50, [ThalexSamples.orders(10)]),
  decode("decode.book10", 200, [ThalexSamples.book(levels: 10)]),
  decode("decode.order", 400, [ThalexSamples.insert]),
  Piece("encode.insert", .batch(4096), input: { InsertEncode.input() }) { _ in Timed(try InsertEncode()) },
  Piece("encode.amend", .batch(4096)) { _ in Timed(try AmendEncode()) },
  Piece("encode.massquote", .batch(1024), input: { MassQuoteEncode.input() }) { _ in Timed(try MassQuoteEncode()) },
]

/// One text after the other, over and over. Input: the first one, which is what peers decode. Check: every number of it
/// that was delivered, in the order of `FieldSink`.
private func decode(_ key: String, _ batch: Int, _ texts: [String]) -> Piece {
  Piece(key, .batch(batch), input: { Array(texts[0].utf8) }) { _ in Timed(try Decode(texts)) }
}

private struct Decode: Operation, ~Copyable {
  private var decoder: ThalexDecoder
  private let texts: [UnsafeRawBufferPointer]
  private var next = 0

  init(_ texts: [String]) throws {
    self.texts = texts.map { text in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 64)
      copy.copyBytes(from: text.utf8)
      return UnsafeRawBufferPointer(copy)
    }
    var decoder = try ThalexDecoder(instrumentCapacity: 1, channelCapacity: 8, labelPrefix: "mm")
    let instrument = try decoder.want(instrument: "BTC-PERPETUAL")
    try decoder.register(channel: "ticker.BTC-PERPETUAL.raw", kind: .ticker, instrument: instrument)
    try decoder.register(channel: "book.BTC-PERPETUAL.none.10.raw", kind: .book, instrument: instrument)
    try decoder.register(channel: "session.orders", kind: .sessionOrders)
    var sink = FieldSink()
    let listing = Array(
      ("{\"id\":\(RequestID.session(.instruments)),\"result\":[{\"instrument_name\":\"BTC-PERPETUAL\","
        + "\"tick_size\":1,\"volume_tick_size\":0.001,\"min_order_amount\":0.001,\"type\":\"perpetual\"}]}").utf8)
    listing.withUnsafeBytes { decoder.decode($0, into: &sink) }
    self.decoder = decoder
  }

  deinit { texts.forEach { $0.deallocate() } }

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
    decoder.decode(texts[0], into: &sink)
    guard sink.problems == 0 else { throw PieceError("the sample was refused \(sink.problems) times") }
    return sink.fields
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
  mutating func refused(_ request: RequestKind, code: Int64) { problems += 1 }
  mutating func refusedAtEdge(_ problem: DecodeProblem) { problems += 1 }
}

/// Collects what was delivered as plain numbers, for the comparison with peers:
/// - a ticker: mark, index (10⁻⁸), bid price, bid size, ask price, ask size (ticks, lots), last price (ticks),
///   lower and upper collar (10⁻⁸), funding rate (10⁻¹²), time of the mark (µs, which is what a double can hold)
/// - a book level: side (0 buy, 1 sell), price, size
/// - an order: side, price, size, executed, remaining (ticks, lots), client id, is it live, time of making (µs)
private struct FieldSink: SelectiveEventSink {
  var fields: [Int64] = []
  var problems = 0

  mutating func ticker(_ instrument: InstrumentIndex, _ t: Ticker) {
    fields += [
      t.markE8, t.indexE8, t.bidPrice.rawValue, t.bidQty.rawValue, t.askPrice.rawValue, t.askQty.rawValue,
      t.lastPrice.rawValue, t.collarLowE8, t.collarHighE8, t.fundingRateE12, (t.venueTime + 500) / 1000,
    ]
  }
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    fields += [side == .buy ? 0 : 1, price.rawValue, qty.rawValue]
  }
  mutating func order(_ r: OrderReport) {
    fields += [
      r.side == .buy ? 0 : 1, r.price.rawValue, r.qty.rawValue, r.filled.rawValue, r.remaining.rawValue,
      Int64(r.clientID), r.status.isLive ? 1 : 0, (r.createTime + 500) / 1000,
    ]
  }
  mutating func refused(_ request: RequestKind, code: Int64) { problems += 1 }
  mutating func refusedAtEdge(_ problem: DecodeProblem) { problems += 1 }
}

private let label = "apus-bench-12345"

private func makeEncoder() throws -> ThalexEncoder {
  var encoder = try ThalexEncoder(instrumentCapacity: 1, label: label)
  try encoder.setInstrument(
    0, name: "BTC-PERPETUAL",
    grid: InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)))
  return encoder
}

/// Orders whose numbers change from one to the next. 64 of them: client id, price in ticks of 1, size in lots of 0.001.
private struct OrderNumbers {
  static let count = 64
  let all: [(clientID: UInt64, price: PriceTicks, qty: QtyLots)]

  init() {
    all = (0..<Self.count).map { index in
      (
        UInt64(index) * 7919 + 1_000_000, PriceTicks(rawValue: 76_280 + Int64(index)),
        QtyLots(rawValue: 100 + 13 * Int64(index))
      )
    }
  }
}

/// A post-only buy with a label of 16 bytes.
///
/// Input: 64 times four 64-bit integers: request id, client id, price (whole), size (thousandths). The text is
/// `{"method":"private/insert","id":…,"params":{"direction":"buy","instrument_name":"BTC-PERPETUAL","amount":…,
/// "price":…,"client_order_id":…,"label":"apus-bench-12345","post_only":true}}`, the size without trailing zeros.
/// Check: FNV-1a of each of the 64 texts.
private struct InsertEncode: Operation, ~Copyable {
  private let encoder: ThalexEncoder
  private let numbers = OrderNumbers()
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)

  init() throws { encoder = try makeEncoder() }

  deinit { memory.deallocate() }

  static func input() -> [UInt8] {
    var bytes: [UInt8] = []
    for order in OrderNumbers().all {
      bytes.append(raw: RequestID.insert(order.clientID))
      bytes.append(raw: order.clientID)
      bytes.append(raw: order.price.rawValue)
      bytes.append(raw: order.qty.rawValue)
    }
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
    guard sum > 200 * count else { throw PieceError("inserts of \(sum / count) bytes") }
    keep(Int64(sum))
    return time
  }

  mutating func check() throws -> [Int64] { numbers.all.map { order in hash(of: memory.prefix(encode(order))) } }
}

private struct AmendEncode: Operation, ~Copyable {
  private let encoder: ThalexEncoder
  private let numbers = OrderNumbers()
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)

  init() throws { encoder = try makeEncoder() }

  deinit { memory.deallocate() }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let time = numbers.all.withUnsafeBufferPointer { orders in
      let start = EngineClock.now()
      for index in 0..<count {
        let order = orders[index % OrderNumbers.count]
        sum &+= encoder.amend(
          into: memory, clientID: order.clientID, serial: UInt16(index % 9_999 + 1), instrument: 0, price: order.price,
          qty: order.qty)
      }
      return EngineClock.now() - start
    }
    guard sum > 90 * count else { throw PieceError("amends of \(sum / count) bytes") }
    keep(Int64(sum))
    return time
  }
}

/// One level a side on ten options, with a label of 16 bytes.
///
/// Input: 16 messages, each 20 times two 64-bit integers: price (whole) and size (thousandths) of the bid and the ask of
/// each option in turn. The text is `{"method":"private/mass_quote","id":22,"params":{"quotes":[{"i":
/// "BTC-24APR26-80000-C","b":[[price,size]],"a":[[price,size]]},…],"label":"apus-bench-12345","post_only":true}}`, the
/// strikes 1,000 apart, sizes without trailing zeros. Check: FNV-1a of each of the 16 texts.
private struct MassQuoteEncode: Operation, ~Copyable {
  private static let messages = 16
  private static let options = 10
  private let encoder: ThalexEncoder
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8192, alignment: 64)
  private let levels = UnsafeMutableBufferPointer<Quote>.allocate(capacity: messages * options * 2)
  private let quotes = UnsafeMutableBufferPointer<ThalexMassQuote>.allocate(capacity: messages * options)

  private static func quote(_ message: Int, _ option: Int, isAsk: Bool) -> Quote {
    Quote(
      price: PriceTicks(rawValue: Int64(200 + 37 * option + 3 * message + (isAsk ? 20 : 0))),
      qty: QtyLots(rawValue: Int64(100 + 13 * message + 50 * option)))
  }

  init() throws {
    var encoder = try ThalexEncoder(instrumentCapacity: Self.options, label: label)
    for option in 0..<Self.options {
      try encoder.setInstrument(
        InstrumentIndex(option), name: "BTC-24APR26-\(80_000 + 1000 * option)-C",
        grid: InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)))
    }
    self.encoder = encoder
    for message in 0..<Self.messages {
      for option in 0..<Self.options {
        let place = message * Self.options + option
        levels.initializeElement(at: 2 * place, to: Self.quote(message, option, isAsk: false))
        levels.initializeElement(at: 2 * place + 1, to: Self.quote(message, option, isAsk: true))
        quotes.initializeElement(
          at: place,
          to: ThalexMassQuote(
            instrument: InstrumentIndex(option), bids: UnsafeBufferPointer(rebasing: levels[2 * place...2 * place]),
            asks: UnsafeBufferPointer(rebasing: levels[2 * place + 1...2 * place + 1])))
      }
    }
  }

  deinit {
    memory.deallocate()
    levels.deallocate()
    quotes.deallocate()
  }

  static func input() -> [UInt8] {
    var bytes: [UInt8] = []
    for message in 0..<messages {
      for option in 0..<options {
        for isAsk in [false, true] {
          bytes.append(raw: quote(message, option, isAsk: isAsk).price.rawValue)
          bytes.append(raw: quote(message, option, isAsk: isAsk).qty.rawValue)
        }
      }
    }
    return bytes
  }

  @inline(__always)
  private func encode(_ message: Int) -> Int {
    let first = message * Self.options
    return encoder.massQuote(
      into: memory, id: 22, quotes: UnsafeBufferPointer(rebasing: quotes[first..<first + Self.options]))
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let start = EngineClock.now()
    for index in 0..<count { sum &+= encode(index % Self.messages) }
    let time = EngineClock.now() - start
    guard sum > 500 * count else { throw PieceError("mass quotes of \(sum / max(count, 1)) bytes") }
    keep(Int64(sum))
    return time
  }

  mutating func check() throws -> [Int64] { (0..<Self.messages).map { hash(of: memory.prefix(encode($0))) } }
}
