import CSupport
import Glibc

/// The Thalex decoder against `Oracle`. The input is a series of frames with 0x1E between them, so that what one
/// frame teaches the decoder (the order of members, the grid of an instrument) is in force for the next. A frame
/// that begins with 0x01 is a command: forget confirmations, or await one id only.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  var world = World()
  for frame in Array(UnsafeBufferPointer(start: data, count: size)).split(separator: separator).prefix(12) {
    world.take(frame)
  }
  return 0
}

let separator: UInt8 = 0x1E

/// Instruments of several grids, the odd ones included, and one that is never listed.
private let names = [
  "BTC-PERPETUAL", "BTC-24APR26", "BTC-26JUN26", "BTC-21APR26-75000-P", "BTC-21APR26-PERPETUAL", "BTC-21APR26",
  "ODD-GRID",
]
/// Two groups, and one of which no instrument is known.
private let products = ["FBTCUSD", "OBTCUSD", "FETHUSD"]
private let listing = ArraySlice(
  #"""
  {"id":30,"result":[
  {"instrument_name":"BTC-PERPETUAL","product":"FBTCUSD","tick_size":1,"volume_tick_size":0.001,"min_order_amount":0.001,"type":"perpetual"},
  {"instrument_name":"BTC-24APR26","tick_size":1,"volume_tick_size":0.001,"min_order_amount":0.001,"type":"future","expiration_timestamp":1777017600},
  {"instrument_name":"BTC-26JUN26","tick_size":0.5,"volume_tick_size":0.25,"min_order_amount":1,"type":"future"},
  {"instrument_name":"BTC-21APR26-75000-P","product":"OBTCUSD","tick_size":5,"volume_tick_size":0.01,"min_order_amount":0.01,"type":"option"},
  {"instrument_name":"BTC-21APR26-PERPETUAL","tick_size":1,"volume_tick_size":0.001,"min_order_amount":0.1,"type":"combination"},
  {"instrument_name":"ODD-GRID","tick_size":0.00000007,"volume_tick_size":123.45678901,"min_order_amount":123.45678901,"type":"future"}]}
  """#.utf8)
let channels: [(String, ThalexChannel, InstrumentIndex)] = [
  ("ticker.BTC-PERPETUAL.100ms", .ticker, 0),
  ("ticker.BTC-24APR26.1000ms", .ticker, 1),
  ("ticker.BTC-21APR26-75000-P.1000ms", .ticker, 3),
  ("ticker.ODD-GRID.raw", .ticker, 6),
  ("lwt.BTC-PERPETUAL.raw", .lightTicker, 0),
  ("lwt.BTC-26JUN26.1000ms", .lightTicker, 2),
  ("lwt.BTC-21APR26-75000-P.100ms", .lightTicker, 3),
  ("lwt.BTC-21APR26-PERPETUAL.raw", .lightTicker, 4),
  ("lwt.BTC-21APR26.raw", .lightTicker, 5),
  ("book.BTC-PERPETUAL.none.10.100ms", .book, 0),
  ("book.BTC-21APR26-PERPETUAL.none.all.raw", .book, 4),
  ("book.BTC-21APR26.none.all.raw", .book, 5),
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
  ("account.summary", .accountSummary, .max),
  ("account.persistent_orders", .persistentOrders, .max),
  ("account.order_history", .orderHistory, .max),
  ("account.conditional_orders", .other, .max),
]

private func fail(_ what: String, _ frame: ArraySlice<UInt8>, _ found: [Event], _ expected: [Event]) -> Never {
  var text = "fuzz: \(what)\nframe:    \(String(decoding: frame, as: UTF8.self))\n"
  text += "expected: \(expected.map(\.description).joined(separator: "\n          "))\n"
  text += "found:    \(found.map(\.description).joined(separator: "\n          "))\n"
  _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) }
  abort()
}

struct World: ~Copyable {
  private var decoder: ThalexDecoder
  private var oracle = Oracle(names: names, products: products, channels: channels, labelPrefix: "mm")

  init() {
    // Capacities and names are right, so nothing here can throw.
    var decoder = try! ThalexDecoder(instrumentCapacity: 8, channelCapacity: 64, labelPrefix: "mm")
    for name in names { _ = try! decoder.want(instrument: name) }
    for name in products { _ = try! decoder.want(product: name) }
    _ = try! decoder.want(family: "BTCUSD", kind: .option)
    _ = try! decoder.want(family: "BTCUSD", kind: .combination)
    for (name, kind, instrument) in channels {
      try! decoder.register(channel: name, kind: kind, instrument: instrument)
    }
    self.decoder = decoder
    take(listing)
  }

  mutating func take(_ frame: ArraySlice<UInt8>) {
    if frame.first == 0x01 { return command(frame.dropFirst().first ?? 0) }
    let found = decode(frame)
    guard let tree = SlowJSON.parse(frame) else {
      refused(frame, found)
      adopt()
      return
    }
    // The decoder refuses what is nested deeply. Escaped text shares a scratch area of 1,024 bytes; beyond it names
    // may count as unknown. What a member that is given twice means is not laid down.
    let isHugeBook = frame.starts(with: Array(#"{"channel_name":"book."#.utf8)) && tree.hasHugeNumbers
    guard !isHugeBook, tree.depth < 40, Oracle.isPlain(tree), tree.escapedBytes < 1_000,
      !tree.hasTwins
    else {
      adopt()
      return
    }
    oracle.sink.events = []
    oracle.decode(tree)
    if found != oracle.sink.events { fail("the decoder and the oracle differ", frame, found, oracle.sink.events) }
    compareState(frame)
  }

  /// Decodes a copy that ends where its memory ends.
  private mutating func decode(_ frame: ArraySlice<UInt8>) -> [Event] {
    var recorder = Recorder()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: frame.count, alignment: 1)
    memory.copyBytes(from: frame)
    decoder.decode(UnsafeRawBufferPointer(memory), into: &recorder)
    memory.deallocate()
    return recorder.events
  }

  /// A frame that is no JSON delivers one `.malformed` and nothing else; only items of a list, read before the
  /// defect was met, may come before it, and a book ends behind it. Nothing is concluded: no end of a snapshot, no
  /// reply.
  private func refused(_ frame: ArraySlice<UInt8>, _ found: [Event]) {
    var rest = found
    if rest.last?.kind == "bookEnd" { rest.removeLast() }
    let isRefused = rest.popLast() == Recorder.malformed
    let early: Set<String> = [
      "bookBegin", "bookLevel", "publicTrade", "snapshotBegin", "order", "fill", "position", "instrument",
      "refusedAtEdge",
    ]
    let isFast = frame.starts(with: Array(#"{"channel_name":""#.utf8))
    if !isRefused || rest.contains(where: { !early.contains($0.kind) || $0 == Recorder.malformed })
      || !isFast && found != [Recorder.malformed]
    {
      fail("no JSON, and more than a refusal", frame, found, [Recorder.malformed])
    }
  }

  private mutating func command(_ byte: UInt8) {
    switch byte & 3 {
    case 0:
      decoder.forgetConfirmations()
      oracle.confirmed = []
    case 1:
      let id = byte & 4 == 0 ? nil : RequestID.session(.openOrders, serial: UInt64(byte >> 4))
      decoder.awaitedOrdersID = id
      oracle.awaitedOrdersID = id
    default:
      let id = byte & 4 == 0 ? nil : RequestID.session(.tradeHistory, serial: UInt64(byte >> 4))
      decoder.awaitedTradesID = id
      oracle.awaitedTradesID = id
    }
  }

  /// After a frame of which only safety was asked: goes on from where the decoder is.
  private mutating func adopt() {
    for index in names.indices {
      oracle.listings[index] = decoder.info(of: InstrumentIndex(index)).map { Oracle.Listing(info: $0) }
    }
    for index in products.indices { oracle.productLots[index] = decoder.lotE8(ofProduct: ProductIndex(index)) ?? 0 }
    oracle.confirmed = Set(decoder.confirmedChannels)
    oracle.ignoredItems = decoder.ignoredItems
    oracle.bookmark = decoder.tradeHistoryBookmark
    oracle.accountNumber = decoder.accountNumber
    oracle.lastReplyID = decoder.lastReplyID
  }

  private func compareState(_ frame: ArraySlice<UInt8>) {
    func check(_ isSame: Bool, _ what: String) {
      if !isSame { fail("\(what) differs after a frame", frame, [], oracle.sink.events) }
    }
    for index in names.indices {
      check(decoder.info(of: InstrumentIndex(index)) == oracle.listings[index]?.info, "the listing of \(names[index])")
    }
    check(Set(decoder.confirmedChannels) == oracle.confirmed, "the set of confirmed channels")
    check(decoder.isEveryChannelConfirmed == (oracle.confirmed.count == channels.count), "whether all are confirmed")
    check(decoder.ignoredItems == oracle.ignoredItems, "the count of ignored items")
    check(decoder.tradeHistoryBookmark == oracle.bookmark, "the bookmark")
    check(decoder.accountNumber == oracle.accountNumber, "the account number")
    check(decoder.lastReplyID == oracle.lastReplyID, "the id of the last reply")
  }
}
