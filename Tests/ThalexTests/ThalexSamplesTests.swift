import Apus
import CSupport
import Foundation
import TestSupport
import Testing

/// Every sample frame of the protocol reference: read if it comes from the venue, written if it goes there.
@Suite struct ThalexSamplesTests {
  @Test func `every frame from the venue is decoded, and none is left out`() throws {
    let known =
      try Expected.all().map(\.name) + Expected.unread
      + Fixtures.names("err-")  // "error replies name the request and the code" has a table of its own
    let samples = try Fixtures.names("res-") + Fixtures.names("ntf-") + Fixtures.names("err-")
    #expect(samples.count == 100 && Set(samples) == Set(known))
    var bench = try Bench()
    for name in Expected.unread {
      let lines = bench.decode(try Fixtures.bytes(name).count > 0 ? try Self.foreign(name) : "")
      #expect(lines == ["replied unknown 0"], "\(name)")
    }
  }

  /// A reply with an id that is none of ours (9 is no operation).
  private static func foreign(_ name: String) throws -> String { #"{"id":19,"result":\#(try Bench.result(of: name))}"# }

  @Test func `feeds that are not interpreted are counted, and never an error`() throws {
    var bench = try Bench()
    let names = [
      "account-conditional-orders", "mm-rfqs", "mm-rfq-quotes", "banners", "underlying-statistics", "index-components",
    ]
    for name in names {
      let before = bench.decoder.ignoredItems
      let lines = bench.decode(try Fixtures.bytes("ntf-" + name))
      let after = bench.decoder.ignoredItems
      #expect(lines.isEmpty && after == before + 1, "\(name)")
    }
    let broken = bench.decode(#"{"channel_name":"mm.rfqs","notification":[{]}"#)
    #expect(broken == ["edge malformed"])
  }

  private static func encoder(label: String) throws -> ThalexEncoder {
    var encoder = try ThalexEncoder(instrumentCapacity: 8, label: label)
    let future = InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(1))
    let option = InstrumentGrid(tickE8: 500_000_000, lotE8: 1_000_000, minimumLots: QtyLots(1))
    try encoder.setInstrument(0, name: "BTC-PERPETUAL", grid: future)
    try encoder.setInstrument(1, name: "BTC-24APR26", grid: future)
    try encoder.setInstrument(2, name: "BTC-24APR26-80000-C", grid: option)
    try encoder.setInstrument(3, name: "BTC-24APR26-85000-C", grid: option)
    try encoder.setProduct(0, name: "FBTCUSD", lotE8: 100_000)
    return encoder
  }

  private static func massQuote(
    _ encoder: borrowing ThalexEncoder, into memory: UnsafeMutableRawBufferPointer,
    _ entries: [(InstrumentIndex, [Quote]?, [Quote]?)], options: ThalexMassQuoteOptions, form: ThalexMassQuoteForm
  ) -> Int {
    func buffer(_ quotes: [Quote]?) -> UnsafeBufferPointer<Quote>? {
      quotes.map {
        let memory = UnsafeMutableBufferPointer<Quote>.allocate(capacity: $0.count)
        _ = memory.initialize(from: $0)
        return UnsafeBufferPointer(memory)
      }
    }
    let list = entries.map { ThalexMassQuote(instrument: $0.0, bids: buffer($0.1), asks: buffer($0.2)) }
    defer {
      for entry in list {
        entry.bids?.deallocate()
        entry.asks?.deallocate()
      }
    }
    return list.withUnsafeBufferPointer {
      encoder.massQuote(into: memory, id: RequestID.massQuote(1), quotes: $0, options: options, form: form)
    }
  }

  /// The text of each request sample, written by this engine. Ids are its own: they say what a reply is about.
  static func requests() throws -> [String: String] {
    typealias Memory = UnsafeMutableRawBufferPointer
    let mm = try encoder(label: "mm"), mq = try encoder(label: "mq"), plain = try encoder(label: "")
    var venueID = VenueID()
    "001F3C2600000019".withCString { _ = apus_id_set(&venueID, $0, 16) }
    let perpetual: InstrumentIndex = 0, dated: InstrumentIndex = 1
    func price(_ ticks: Int64) -> PriceTicks { PriceTicks(rawValue: ticks) }
    func quote(_ ticks: Int64, _ lots: Int64) -> Quote { Quote(price: price(ticks), qty: QtyLots(lots)) }
    let token =
      "eyJhbGciOiJSUzUxMiIsImtpZCI6IksxMjM0NTY3ODkiLCJ0eXAiOiJKV1QifQ.eyJpYXQiOjE3NzY3MTU0OTcuNzE4fQ.c2lnbmF0dXJlLXBsYWNlaG9sZGVyLW5vdC1hLXJlYWwtc2lnbmF0dXJl"
    let publicChannels = [
      "instruments", "lwt.BTC-PERPETUAL.raw", "ticker.BTC-PERPETUAL.100ms", "book.BTC-PERPETUAL.none.10.100ms",
      "price_index.BTCUSD", "recent_trades.BTCUSD.all", "system",
    ]
    let privateChannels = [
      "session.orders", "account.trade_history", "account.portfolio", "account.summary", "session.mm_protection",
    ]
    var market = ThalexOrder(.buy, perpetual, qty: QtyLots(50), price: nil)
    market.options = .reduceOnly
    var combo = ThalexOrder(.buy, 2, qty: QtyLots(10), price: price(70))
    combo.legs = [(2, 1), (3, -1)]
    var buy = ThalexOrder(.buy, dated, qty: QtyLots(10), price: price(76310))
    buy.method = .trade
    var sell = ThalexOrder(.sell, dated, qty: QtyLots(10), price: price(76410))
    sell.method = .trade
    var stop = ThalexConditionalOrder(.sell, perpetual, qty: QtyLots(100), stopPrice: price(75000))
    stop.target = .mark
    stop.isReduceOnly = true
    func text(_ write: (Memory) -> Int) -> String { ThalexEncoderTests.text(4096, write) ?? "nothing" }
    return [
      "account-summary": text { plain.accountSummary(into: $0, id: 8) },
      "amend-client-order-id": text {
        mm.amend(into: $0, clientID: 1001, serial: 1, instrument: perpetual, price: price(76285), qty: QtyLots(100))
      },
      "amend-order-id": text {
        mm.amend(
          into: $0, venueID: venueID, operand: 1008, instrument: perpetual, price: price(76285), qty: QtyLots(100),
          collar: .clamp)
      },
      "book": text { mm.book(into: $0, id: 8, name: "BTC-PERPETUAL") },
      "buy": text { mm.order(into: $0, id: 8, buy) }, "sell": text { mm.order(into: $0, id: 8, sell) },
      "cancel-all": text { mm.cancelAll(into: $0, id: 8) },
      "cancel-client-order-id": text { mm.cancel(into: $0, clientID: 1001) },
      "cancel-mass-quote": text { mm.cancelMassQuote(into: $0, product: 0) },
      "cancel-order-id": text { mm.cancel(into: $0, venueID: venueID, operand: 1009) },
      "cancel-session": text { mm.cancelSession(into: $0, id: 8) },
      "create-conditional-order": text { mm.createConditional(into: $0, id: 8, stop) },
      "index": text { mm.index(into: $0, id: 8, underlying: "BTCUSD") },
      "insert-book-or-cancel": text {
        mm.insert(
          into: $0, clientID: 1002, instrument: perpetual, side: .sell, price: price(76300), qty: QtyLots(100),
          options: [.postOnly, .rejectPostOnly])
      },
      "insert-combo": text { mm.order(into: $0, id: 8, combo) },
      "insert-ioc": text {
        plain.insert(
          into: $0, clientID: 1003, instrument: perpetual, side: .sell, price: price(76270), qty: QtyLots(500),
          options: .immediateOrCancel, collar: .clamp)
      },
      "insert-limit-post-only": text {
        mm.insert(
          into: $0, clientID: 1001, instrument: perpetual, side: .buy, price: price(76280), qty: QtyLots(100),
          options: .postOnly)
      },
      "insert-market": text { mm.order(into: $0, id: 8, market) },
      "instrument": text { mm.instrument(into: $0, id: 8, name: "BTC-PERPETUAL") },
      "instruments": text { mm.instruments(into: $0, id: 8) },
      "instruments-filtered": text {
        mm.instruments(
          into: $0, id: 8,
          filter: ThalexInstrumentFilter(underlying: "BTCUSD", kind: .options, expiryDate: "2026-04-24"))
      },
      "login": text { mm.login(into: $0, id: 8, token: token) },
      "login-account": text { mm.login(into: $0, id: 8, token: token, account: "A123456789") },
      "mass-quote-multi-level": text {
        massQuote(
          mq, into: $0,
          [(2, [quote(46, 200), quote(45, 100)], [quote(50, 100), quote(51, 200)]), (3, [], [quote(12, 100)])],
          options: [.postOnly, .rejectPostOnly], form: .ladder)
      },
      "mass-quote-single-level": text {
        massQuote(
          mq, into: $0, [(0, [quote(76280, 100)], [quote(76300, 100)]), (1, nil, [quote(76390, 0)])],
          options: .postOnly, form: .singleLevel)
      },
      "mm-rfq-insert-quote": text {
        mm.quoteRequest(
          into: $0, id: 8, rfq: "0000000000A1B2C3", side: .buy, priceE8: 12_050_000_000, amountE8: 100_000_000)
      },
      "open-orders": text { mm.openOrders(into: $0, id: 8) }, "portfolio": text { mm.portfolio(into: $0, id: 8) },
      "private-subscribe": text { mm.subscribe(into: $0, id: 8, channels: privateChannels, isPrivate: true) },
      "public-subscribe": text { mm.subscribe(into: $0, id: 8, channels: publicChannels, isPrivate: false) },
      "required-margin-for-order": text {
        mm.requiredMargin(into: $0, id: 8, instrument: perpetual, price: price(76280), qty: QtyLots(1000))
      },
      "set-cancel-on-disconnect": text { mm.setCancelOnDisconnect(into: $0, id: 8, seconds: 6) },
      "set-mm-protection": text {
        mm.setProtection(into: $0, product: 0, trade: QtyLots(1000), quote: QtyLots(2000))
      },
      "system-info": text { mm.systemInfo(into: $0, id: 8) },
      "ticker": text { mm.ticker(into: $0, id: 8, name: "BTC-PERPETUAL") },
      "trade-history": text {
        mm.tradeHistory(
          into: $0, id: 8, query: ThalexTradeQuery(limit: 100, timeLow: 1_776_700_000, isAscending: true))
      },
      "unsubscribe": text {
        mm.unsubscribe(into: $0, id: 8, channels: ["book.BTC-PERPETUAL.none.10.100ms", "account.summary"])
      },
    ]
  }

  @Test func `every request is written as the sample has it, and none is left out`() throws {
    let requests = try Self.requests()
    let samples = try Fixtures.names("req-").map { String($0.dropFirst(4)) }
    let ours = samples.filter { !$0.hasPrefix("py-") }
    #expect(Set(ours) == Set(requests.keys) && ours.count == 37)
    for (name, text) in requests {
      let parsed = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
      let id = try #require((parsed?["id"] as? NSNumber)?.uint64Value, "\(name): \(text)")
      #expect(try ThalexEncoderTests.isSame(text, as: "req-" + name, id: id), "\(name): \(text)")
    }
    // What another client writes is read as JSON; it has blanks, and ids that are absent, null or 0.
    for name in samples where name.hasPrefix("py-") {
      let bytes = try Fixtures.bytes("req-" + name)
      let isRead = bytes.withUnsafeBytes { memory in
        var cursor = apus_json_begin(memory.baseAddress!.assumingMemoryBound(to: CChar.self), memory.count)
        return apus_json_skip(&cursor) && apus_json_finish(&cursor)
      }
      #expect(isRead, "\(name)")
    }
  }

  @Test func `flags for collars and self-trades are words of the venue`() throws {
    let encoder = try Self.encoder(label: "")
    let insert = ThalexEncoderTests.text {
      encoder.insert(
        into: $0, clientID: 5, instrument: 0, side: .buy, price: PriceTicks(rawValue: 1), qty: QtyLots(1),
        options: .postOnly, collar: .ignore, selfTrade: ThalexSelfTrade(level: .account, action: .noFill))
    }
    #expect(
      insert?.hasSuffix(
        #""post_only":true,"collar":"ignore","stp_level":"account","stp_action":"cancel_aggressive_no_fill"}}"#) == true
    )
    let only = ThalexEncoderTests.text {
      encoder.insert(
        into: $0, clientID: 5, instrument: 0, side: .buy, price: PriceTicks(rawValue: 1), qty: QtyLots(1),
        options: .postOnly, selfTrade: ThalexSelfTrade(level: .disabled))
    }
    #expect(only?.hasSuffix(#""post_only":true,"stp_level":"disabled"}}"#) == true)
    let amend = ThalexEncoderTests.text {
      encoder.amend(
        into: $0, clientID: 5, serial: 1, instrument: 0, price: PriceTicks(rawValue: 1), qty: QtyLots(1),
        collar: .reject)
    }
    #expect(amend?.hasSuffix(#""collar":"reject"}}"#) == true)
    var order = ThalexOrder(.sell, 0, qty: QtyLots(1), price: PriceTicks(rawValue: 2))
    order.clientID = 9
    order.isLabelled = true
    order.collar = .clamp
    order.selfTrade = ThalexSelfTrade(level: .customer, action: .partialFill)
    order.options = [.postOnly, .rejectPostOnly, .immediateOrCancel]
    let full = ThalexEncoderTests.text { encoder.order(into: $0, id: RequestID.insert(9), order) }
    #expect(
      full
        == #"{"method":"private/insert","id":91,"params":{"direction":"sell","instrument_name":"BTC-PERPETUAL","amount":0.001,"price":2,"client_order_id":9,"post_only":true,"reject_post_only":true,"time_in_force":"immediate_or_cancel","collar":"clamp","stp_level":"customer","stp_action":"cancel_aggressive_partial_fill"}}"#
    )
    for legs in [[(InstrumentIndex(2), Int64(1))], [(2, 1), (7, 1)], [(2, 1), (3, 0)]] {
      order.legs = legs
      let none = ThalexEncoderTests.text { encoder.order(into: $0, id: 8, order) }
      #expect(none == nil, "\(legs)")
    }
  }

  @Test func `new listings of a watched family come with name, kind, expiry, strike and option type`() throws {
    var bench = try Bench()
    let family0 = try bench.decoder.want(family: "BTCUSD", kind: .option)
    #expect(family0 == 0)
    let family1 = try bench.decoder.want(family: "BTCUSD", kind: .future)
    #expect(family1 == 1)
    let family2 = try bench.decoder.want(family: "BTCUSD", kind: .combination)
    #expect(family2 == 2)
    let family3 = try bench.decoder.want(family: "ETHUSD", kind: .option)
    #expect(family3 == 3)
    let lines = bench.decode(try Fixtures.bytes("ntf-instruments-update"))
    #expect(
      lines == [
        "removed 4 future tick 100000000 lot 100000 minimum 1 expiry 1776758400",
        "family 1 gone BTC-21APR26 future none product 0 instrument 4 tick 100000000 lot 100000 expiry 1776758400 strike 0",
        "family 2 gone BTC-21APR26-PERPETUAL combination none product 0 instrument 65535 tick 100000000 lot 100000 expiry 1776758400 strike 0",
        "family 1 added BTC-22APR26 future none product 0 instrument 65535 tick 100000000 lot 100000 expiry 1776844800 strike 0",
      ])
    let option = bench.decode(Bench.reply(.instrument, result: try Bench.result(of: "res-instrument-option")))
    #expect(
      option.dropFirst() == [
        "family 0 added BTC-21APR26-75000-P option put product 1 instrument 3 tick 500000000 lot 1000000 expiry 1776758400 strike 7500000000000",
        "replied session(Apus.SessionRequest.instrument) 0",
      ])
    func list(_ members: String) -> [String] {
      bench.decode(
        #"{"channel_name":"instruments","notification":[{"added":{"underlying":"ETHUSD","type":"option","tick_size":1,"volume_tick_size":1,"min_order_amount":1,\#(members)}}]}"#
      )
    }
    let plain = list(#""instrument_name":"E-1-C","option_type":"call","strike_price":3e3"#)
    #expect(
      plain == [
        "family 3 added E-1-C option call product 255 instrument 65535 tick 100000000 lot 100000000 expiry 0 strike 300000000000"
      ])
    let odd = list(#""instrument_name":"E-1-X","option_type":"chooser""#)
    #expect(odd.first == "edge unknownWord" && odd.last?.contains("E-1-X option none") == true)
    let noStrike = list(#""instrument_name":"E-1-X","strike_price":0"#)
    #expect(noStrike == ["edge impossible"])
    let long = list(#""instrument_name":"\#(String(repeating: "E", count: 40))""#)
    #expect(long == ["edge unknownName"])
    let lots = bench.decoder.lotE8(ofProduct: 2)
    #expect(lots == nil, "what is only watched sets no lot")
  }

  @Test func `R05_ broken items of feeds about many instruments cost only themselves`() throws {
    var bench = try Bench()
    let cases: [(String, String, [String])] = [
      (
        "lwt_futures.BTCUSD.1000ms",
        #"{"tickers":{"X":[1],"BTC-24APR26":[1,2,3,[],[],null,4],"BTC-PERPETUAL":[1,2,3,[76280.5,1],[],null],"BTC-26JUN26":[1e0,2.0,3,null,[5,0],7.5]}}"#,
        [
          "edge missingMember", "edge offGrid", "edge offGrid",
          "ticker 2 mark 200000000 index 300000000 time 1000000000",
        ]
      ),
      ("lwt_futures.BTCUSD.1000ms", #"{"tickers":{"BTC-PERPETUAL":{}}}"#, ["edge missingMember"]),
      ("lwt_futures.BTCUSD.1000ms", #"{"tickers":[]}"#, ["edge missingMember"]),
      ("lwt_futures.BTCUSD.1000ms", #"{}"#, ["edge missingMember"]),
      ("lwt_futures.BTCUSD.1000ms", #"{"tickers":{"BTC-PERPETUAL":[1,}}"#, ["edge malformed"]),
      (
        "lwt_options.BTCUSD.all.1000ms", #"{"tickers":{"BTC-24APR26-72000-C":[1,2,3,4,5,[],[]]}}"#,
        ["edge missingMember"]
      ),
      (
        "lwt_options.BTCUSD.all.1000ms", #"{"tickers":{"BTC-24APR26-72000-C":[1,2,3,4,5,[],[],"6"]}}"#,
        ["edge missingMember"]
      ),
      (
        "lwt_future_rolls.BTCUSD.1000ms", #"{"tickers":{"BTC-24APR26-21APR26":[1,-2.5,3,[-4,1],[0,2],-3]}}"#,
        ["ticker 6 mark -250000000 index 300000000 bid -4x1000 ask 0x2000 last -3 time 1000000000"]
      ),
      (
        "lwt_future_rolls.BTCUSD.1000ms", #"{"tickers":{"BTC-24APR26-21APR26":[1,2,3,[],[],4,5,6]}}"#,
        ["edge missingMember"]
      ),
      (
        "recent_trades.BTCUSD.all",
        #"[[1,0.1,"buy",5,"ETH-PERPETUAL",false],[1,0.1,"hold",5,"BTC-PERPETUAL"],[1,0.1,"buy",5],7,[-1,0.1,"buy",5,"BTC-PERPETUAL"],[2,0.1,"sell",5.5,"BTC-PERPETUAL",true]]"#,
        [
          "edge unknownWord", "edge missingMember", "edge missingMember", "edge impossible",
          "trade 0 sell 2x100 5500000000",
        ]
      ),
      (
        "base_price.BTCUSD.2026-04-24", #"{"base_name":"synthetic","price":5,"index":6,"index_delta":0.25}"#,
        ["base 0 of 1777017600 from 65535 500000000 index 600000000 delta 25000000"]
      ),
      (
        "base_price.BTCUSD.2026-04-24", #"{"base_name":"synthetic","price":5,"index_delta":0.25}"#,
        ["edge missingMember"]
      ),
      ("base_price.BTCUSD.2026-04-24", #"{"price":0,"index":6,"index_delta":0.25}"#, ["edge impossible"]),
      ("price_index.BTCUSD", #"{"index_name":"BTCUSD","price":-1,"timestamp":1}"#, ["edge impossible"]),
      ("price_index.BTCUSD", #"{"index_name":"BTCUSD","timestamp":1}"#, ["edge missingMember"]),
      ("price_index.BTCUSD", #"{"price":1,"timestamp":"1"}"#, ["edge missingMember"]),
      ("account.summary", #"{"margin":1}"#, ["edge missingMember"]),
      ("account.summary", #"[]"#, ["edge missingMember"]),
    ]
    for (channel, value, expected) in cases {
      let lines = bench.decode(#"{"channel_name":"\#(channel)","notification":\#(value)}"#)
      #expect(lines == expected, "\(channel) \(value)")
    }
    let index = bench.decode(Bench.reply(.index, result: #"{"index_name":"ETHUSD","price":5,"timestamp":1}"#))
    #expect(index == ["replied session(Apus.SessionRequest.index) 0"])
  }

  @Test func `a channel about an underlying has to name it, and a date`() throws {
    var bench = try Bench()
    for name in [
      "base_price.BTCUSD", "base_price.BTCUSD.2026-13-01", "base_price.BTCUSD.26-04-24", "base_price..2026-04-24",
    ] {
      #expect(throws: TableError.unusableName(name)) { try bench.decoder.register(channel: name, kind: .basePrice) }
    }
    #expect(throws: TableError.unusableName("price_index")) {
      try bench.decoder.register(channel: "price_index", kind: .priceIndex)
    }
    try bench.decoder.register(channel: "price_index.ETHUSD", kind: .priceIndex)
    try bench.decoder.register(channel: "base_price.ETHUSD.2028-02-29", kind: .basePrice)
    let names = bench.decoder.underlyings
    #expect(names == ["BTCUSD", "ETHUSD"])
    let base = bench.decode(
      #"{"channel_name":"base_price.ETHUSD.2028-02-29","notification":{"base_name":"x","price":1,"index":1,"index_delta":1}}"#
    )
    #expect(base == ["base 1 of 1835424000 from 65535 100000000 index 100000000 delta 100000000"])
    let index = bench.decode(#"{"channel_name":"price_index.ETHUSD","notification":{"price":3}}"#)
    #expect(index == ["index 1 300000000 time 0"])
  }
}
