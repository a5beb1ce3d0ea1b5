import Apus
import CSupport
import Foundation
import TestSupport

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
