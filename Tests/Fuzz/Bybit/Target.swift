import CSupport
import Glibc

/// The Bybit decoder against its own general reader, and against `Oracle` where that has an opinion. The input is a series
/// of frames with 0x1E between them, so that what one frame teaches the decoder (the order of members, the number of a
/// book's message, the grid of an instrument) is in force for the next. A first byte below 0x10 says where a frame comes
/// from; without one the text does.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  // Half of the inputs for the second best kernels: the best hide what those do.
  let second = [ScanLevel.avx2, .neon].first { apus_scan_runs($0) }
  var world = World(size % 2 == 0 ? nil : second)
  for frame in Array(UnsafeBufferPointer(start: data, count: size)).split(separator: separator).prefix(12) {
    world.take(frame)
  }
  return 0
}

let separator: UInt8 = 0x1E

private let names = ["BTCUSDT", "ETHUSDT", "XRPUSDT", "ODDUSDT", "NEWUSDT"]
private let label = "mm1-"
private let topics = [
  "orderbook.50.BTCUSDT", "orderbook.1.ETHUSDT", "orderbook.200.ODDUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT",
  "tickers.ODDUSDT", "priceLimit.BTCUSDT", "order.linear", "order", "execution.linear", "execution.fast.linear",
  "position.linear", "wallet", "dcp.future", "kline.1.BTCUSDT",
]
private let listing = ArraySlice(
  #"""
  {"retCode":0,"result":{"category":"linear","list":[
  {"symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Trading","settleCoin":"USDT","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"qtyStep":"0.001","minOrderQty":"0.001"}},
  {"symbol":"ETHUSDT","contractType":"LinearPerpetual","status":"Trading","settleCoin":"USDT","priceFilter":{"tickSize":"0.01"},"lotSizeFilter":{"qtyStep":"0.01","minOrderQty":"0.01"}},
  {"symbol":"XRPUSDT","contractType":"LinearPerpetual","status":"Trading","settleCoin":"USDT","priceFilter":{"tickSize":"0.0001"},"lotSizeFilter":{"qtyStep":"1","minOrderQty":"1"}},
  {"symbol":"ODDUSDT","contractType":"LinearPerpetual","status":"Trading","settleCoin":"USDT","priceFilter":{"tickSize":"0.00000007"},"lotSizeFilter":{"qtyStep":"123.45678901","minOrderQty":"123.45678901"}}],"nextPageCursor":""}}
  """#.utf8)

private enum Source: Equatable {
  case market, account, orders
  case rest(BybitQuestion)
}

private func fail(_ what: String, _ frame: ArraySlice<UInt8>, _ found: [String], _ expected: [String]) -> Never {
  var text = "fuzz: \(what)\nframe:    \(String(decoding: frame, as: UTF8.self))\n"
  text += "expected: \(expected.joined(separator: "\n          "))\n"
  text += "found:    \(found.joined(separator: "\n          "))\n"
  _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) }
  abort()
}

struct World: ~Copyable {
  private var decoder: BybitDecoder
  private var general: BybitDecoder
  private var oracle = Oracle(names: names, prefix: "mm1", label: label)

  private static func make(_ level: ScanLevel?) -> BybitDecoder {
    // Capacities and names are right, so nothing here can throw.
    var decoder = try! BybitDecoder(
      instrumentCapacity: 8, topicCapacity: 32, prefix: "mm1", label: label, scanLevel: level)
    for name in names { _ = try! decoder.want(instrument: name) }
    for topic in topics { try! decoder.register(topic: topic) }
    return decoder
  }

  init(_ level: ScanLevel?) {
    decoder = Self.make(level)
    general = Self.make(.general)
    for topic in topics where topic.hasPrefix("orderbook") { oracle.books[topic] = Oracle.Book() }
    take(listing)
  }

  mutating func take(_ whole: ArraySlice<UInt8>) {
    var frame = whole
    let source: Source
    if let byte = frame.first, byte < 0x10 {
      frame = frame.dropFirst()
      if byte == 0 {
        decoder.forgetStreams()
        general.forgetStreams()
        for topic in oracle.books.keys { oracle.books[topic]?.isLive = false }
      }
      source = Self.source(Int(byte))
    } else if frame.starts(with: Array(#"{"retCode":0,"#.utf8)), !frame.starts(with: Array(#"{"retCode":0,"retMsg":"OK","op""#.utf8)) {
      source = .rest(.instruments)
    } else if frame.starts(with: Array(#"{"reqId""#.utf8)) {
      source = .orders
    } else {
      source = frame.starts(with: Array(#"{"id""#.utf8)) ? .account : .market
    }
    for index in names.indices { oracle.infos[index] = decoder.info(of: InstrumentIndex(index)) }
    let found = Self.decode(frame, source, &decoder)
    let slow = Self.decode(frame, source, &general)
    if found.lines != slow.lines { fail("the fast and the general reader differ", frame, found.lines, slow.lines) }
    if !found.impossible.isEmpty { fail("this can never be", frame, found.impossible, []) }
    if decoder.ignoredItems != general.ignoredItems || decoder.pongs != general.pongs
      || decoder.cursor != general.cursor || decoder.lastReplyID != general.lastReplyID
    {
      fail("the states of the fast and the general reader differ", frame, [], [])
    }
    guard let tree = SlowJSON.parse(frame) else {
      if found.lines != ["edge malformed"] { fail("no JSON, and more than a refusal", frame, found.lines, []) }
      return
    }
    defer {
      // A change of a grid gives up the books; what is not judged here may have been one.
      for index in names.indices where oracle.infos[index] != decoder.info(of: InstrumentIndex(index)) {
        for topic in oracle.books.keys where topic.hasSuffix(names[index]) { oracle.books[topic]?.isLive = false }
      }
    }
    // The decoder refuses what is nested deeply. Escaped text shares a scratch area of 1,024 bytes. What a member that is
    // given twice means is not laid down.
    guard source == .market || source == .account else { return }
    guard tree.depth < 40, tree.escapedBytes < 1_000, !tree.hasTwins else {
      // Its book may be one that the oracle cannot follow.
      decoder.forgetStreams()
      general.forgetStreams()
      for topic in oracle.books.keys { oracle.books[topic]?.isLive = false }
      return
    }
    guard oracle.decode(tree) else {
      // A message without data, for example, is not judged, but gives a book up.
      for index in names.indices where found.lines.contains("book lost \(index)") {
        for topic in oracle.books.keys where topic.hasSuffix(names[index]) { oracle.books[topic]?.isLive = false }
      }
      return
    }
    if oracle.lines != found.lines { fail("the decoder and the oracle differ", frame, found.lines, oracle.lines) }
  }

  private static func source(_ byte: Int) -> Source {
    switch byte {
    case 0, 1: .market
    case 2: .account
    case 3: .orders
    default: .rest(BybitQuestion.allCases[(byte - 4) % BybitQuestion.allCases.count])
    }
  }

  /// Decodes a copy that ends where its memory ends.
  private static func decode(
    _ frame: ArraySlice<UInt8>, _ source: Source, _ decoder: inout BybitDecoder
  ) -> Recorder {
    var recorder = Recorder()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: frame.count, alignment: 1)
    memory.copyBytes(from: frame)
    let text = UnsafeRawBufferPointer(memory)
    switch source {
    case .market: decoder.decodePublic(text, into: &recorder)
    case .account: decoder.decodePrivate(text, into: &recorder)
    case .orders: decoder.decodeTrade(text, into: &recorder)
    case .rest(let question): decoder.decodeRest(question, text, into: &recorder)
    }
    memory.deallocate()
    return recorder
  }
}
