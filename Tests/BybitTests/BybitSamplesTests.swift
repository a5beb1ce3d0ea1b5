import Apus
import CSupport
import Foundation
import Testing

/// What each sample frame of the protocol reference delivers, to a decoder that has seen those before it.
enum Expected {
  struct Case {
    let name: String
    let source: Source
    let lines: [String]
  }

  private static let order = "order 39bbc94a-2310-4324-9996-707881007fd5 client 0 instrument 0 buy"
  private static let made = "feed ours created 1791270738610000000"
  private static let fill = "order 39bbc94a-2310-4324-9996-707881007fd5 client 0 instrument 0 buy"

  static let all: [Case] = [
    Case(name: "rest-error-position-idx", source: .rest(.openOrders), lines: ["refused openOrders 10001"]),
    Case(name: "rest-error-timestamp", source: .rest(.positions), lines: ["refused portfolio 10002"]),
    Case(
      name: "rest-execution-list", source: .rest(.executions),
      lines: [
        "begin tradeHistory",
        "fill 021f2667-541d-5c95-95ce-d69cef81197f \(fill) 859305x4 maker query ours fee 6874440 time 1791270740000000000",
        "end tradeHistory", "replied tradeHistory 1",
      ]),
    Case(name: "rest-fee-rate", source: .rest(.feeRate), lines: ["fees 0 maker 200000000 taker 550000000"]),
    Case(
      name: "rest-instruments-info-linear", source: .rest(.instruments),
      lines: [
        "begin instruments", "listed 0 perpetual linear tick 10000000 lot 100000 minimum 1",
        "listed 1 perpetual linear tick 1000000 lot 1000000 minimum 1",
        "listed 2 perpetual linear tick 10000 lot 100000000 minimum 1", "end instruments", "replied instruments 0",
      ]),
    Case(name: "rest-market-time", source: .rest(.time), lines: []),
    Case(name: "rest-order-cancel-all-response", source: .rest(.cancelAll), lines: ["replied cancelAll 2"]),
    // A page with a cursor: the snapshot is not complete before the next.
    Case(
      name: "rest-order-realtime", source: .rest(.openOrders),
      lines: [
        "begin openOrders",
        "\(order) 859305 qty 10 filled 0 remaining 10 open none query ours created 1791270738610000000",
      ]),
    Case(
      name: "rest-order-realtime-empty", source: .rest(.openOrders),
      lines: ["begin openOrders", "end openOrders", "replied openOrders 0"]),
    Case(
      name: "rest-position-list", source: .rest(.positions),
      lines: ["begin portfolio", "position 0 10 mark 8593211000000 average 8593050000000"]),
    Case(
      name: "rest-position-list-flat", source: .rest(.positions),
      lines: ["begin portfolio", "position 0 0 mark 0 average 0", "end portfolio", "replied portfolio 0"]),
    Case(name: "rest-query-dcp-info", source: .rest(.deadMan), lines: []),
    Case(
      name: "rest-wallet-balance", source: .rest(.wallet),
      lines: [
        "account margin 1999354000000 required 0 remaining 1999354000000 collateral 1999354000000 unrealised 0",
        "replied accountSummary 0",
      ]),
    Case(name: "ws-allLiquidation", source: .market, lines: []),
    Case(name: "ws-kline-1", source: .market, lines: []),
    Case(
      name: "ws-orderbook-1-snapshot", source: .market,
      lines: ["book 0 snapshot", "level 0 bid 859306x9", "level 0 ask 859312x1", "book end 0"]),
    Case(
      name: "ws-orderbook-50-snapshot", source: .market,
      lines: [
        "book 0 snapshot", "level 0 bid 859306x9", "level 0 bid 859305x1204", "level 0 bid 859300x350",
        "level 0 bid 859294x2117", "level 0 bid 859288x500", "level 0 ask 859312x1", "level 0 ask 859313x642",
        "level 0 ask 859319x1900", "level 0 ask 859320x75", "level 0 ask 859331x3010", "book end 0",
      ]),
    Case(
      name: "ws-orderbook-50-delta", source: .market,
      lines: [
        "book 0", "level 0 bid 859305x1104", "level 0 bid 859300x0", "level 0 bid 859279x880", "level 0 ask 859312x0",
        "book end 0",
      ]),
    Case(
      name: "ws-orderbook-50-delta-next", source: .market,
      lines: ["book 0", "level 0 ask 859311x420", "level 0 ask 859331x2510", "book end 0"]),
    Case(
      name: "ws-orderbook-50-snapshot-service-restart", source: .market,
      lines: ["book 0 snapshot", "level 0 bid 859288x500", "level 0 ask 859311x420", "book end 0"]),
    Case(name: "ws-priceLimit", source: .market, lines: []),
    Case(name: "ws-private-auth-ack", source: .account, lines: ["replied login 0"]),
    Case(name: "ws-private-auth-error", source: .account, lines: ["refused login -1"]),
    Case(
      name: "ws-private-execution-fast", source: .account,
      lines: ["fill 021f2667-541d-5c95-95ce-d69cef81197f \(fill) 859305x4 maker feed time 1791270740000000000"]),
    Case(name: "ws-private-execution-funding", source: .account, lines: []),
    Case(
      name: "ws-private-execution-maker-final", source: .account,
      lines: [
        "fill 6fdbe702-e6c5-5d88-bfcd-684f0d26eba8 \(fill) 859305x6 maker tradeFeed ours fee 10311660 time 1791270740579000000"
      ]),
    Case(
      name: "ws-private-execution-maker-partial", source: .account,
      lines: [
        "fill 021f2667-541d-5c95-95ce-d69cef81197f \(fill) 859305x4 maker tradeFeed ours fee 6874440 time 1791270740000000000"
      ]),
    Case(
      name: "ws-private-execution-taker-multi", source: .account,
      lines: [
        "fill f890f555-710a-518c-8855-d952f29f9448 order 0938c031-eb85-41a6-8fc3-18ea4d439c3e client 0 instrument 0 sell 859305x10 taker tradeFeed fee 47261775 time 1791270742162000000",
        "fill 6727aeb2-fe0e-5cc1-82a3-57fc9c9706ec order 0938c031-eb85-41a6-8fc3-18ea4d439c3e client 0 instrument 0 sell 859295x5 taker tradeFeed fee 23630613 time 1791270742162000000",
      ]),
    Case(
      name: "ws-private-order-amended", source: .account,
      lines: ["\(order) 859301 qty 12 filled 0 remaining 12 open none \(made)"]),
    Case(
      name: "ws-private-order-cancelled-by-user", source: .account,
      lines: ["\(order) 859305 qty 10 filled 0 remaining 0 cancelled clientCancel \(made)"]),
    Case(
      name: "ws-private-order-cancelled-dcp", source: .account,
      lines: ["\(order) 859305 qty 10 filled 0 remaining 0 cancelled sessionEnd \(made)"]),
    Case(
      name: "ws-private-order-cancelled-ioc-remainder", source: .account,
      lines: [
        "order 0938c031-eb85-41a6-8fc3-18ea4d439c3e client 0 instrument 0 sell market qty 20 filled 15 remaining 0 cancelledPartiallyFilled immediateCancel feed created 1791270742159000000"
      ]),
    Case(
      name: "ws-private-order-cancelled-postonly", source: .account,
      lines: [
        "order 5fd3a3a1-2ad9-4e6c-9d73-0e4f1c0d8b21 client 0 instrument 0 buy 859320 qty 10 filled 0 remaining 0 cancelled immediateCancel \(made)"
      ]),
    Case(
      name: "ws-private-order-cancelled-smp", source: .account,
      lines: ["\(order) 859305 qty 10 filled 0 remaining 0 cancelled selfTradePrevention \(made)"]),
    Case(
      name: "ws-private-order-filled", source: .account,
      lines: ["\(order) 859305 qty 10 filled 10 remaining 0 filled filled \(made)"]),
    Case(
      name: "ws-private-order-filled-cancel-too-late", source: .account,
      lines: ["\(order) 859305 qty 10 filled 10 remaining 0 filled filled \(made)"]),
    Case(
      name: "ws-private-order-new", source: .account,
      lines: ["\(order) 859305 qty 10 filled 0 remaining 10 open none \(made)"]),
    Case(
      name: "ws-private-order-partially-filled", source: .account,
      lines: ["\(order) 859305 qty 10 filled 4 remaining 6 partiallyFilled none \(made)"]),
    Case(name: "ws-private-pong", source: .account, lines: []),
    Case(
      name: "ws-private-position-flat", source: .account, lines: ["position 0 0 mark 8593211000000 average 0"]),
    Case(
      name: "ws-private-position-long", source: .account,
      lines: ["position 0 10 mark 8593211000000 average 8593050000000"]),
    Case(name: "ws-private-subscribe-ack", source: .account, lines: ["replied unknown 0"]),
    Case(
      name: "ws-private-wallet", source: .account,
      lines: [
        "account margin 1999338420000 required 8637740000 remaining 1990700680000 collateral 1999336810000 unrealised 1610000"
      ]),
    Case(name: "ws-public-pong", source: .market, lines: []),
    Case(name: "ws-public-subscribe-ack", source: .market, lines: ["replied unknown 0"]),
    Case(name: "ws-public-subscribe-error", source: .market, lines: ["refused unknown -2"]),
    Case(name: "ws-public-subscribe-error-already", source: .market, lines: ["refused unknown -3"]),
    Case(
      name: "ws-publicTrade", source: .market,
      lines: ["trade 0 buy 859312x1 1791270738617000000", "trade 0 sell 859305x100 1791270738617000000"]),
    Case(
      name: "ws-tickers-snapshot", source: .market,
      lines: [
        "ticker 0 mark 8593211000000 index 8592754000000 bid 859306x9 ask 859312x1 last 859305 collars 8507280000000-8679140000000 funding 100000000 time 1791270738612000000"
      ]),
    Case(
      name: "ws-tickers-delta", source: .market,
      lines: [
        "ticker 0 mark 8593211000000 index 8592754000000 bid 859305x1104 ask 859313x642 last 859305 collars 8507280000000-8679140000000 funding 100000000 time 1791270738712000000"
      ]),
    Case(
      name: "ws-trade-amend-ack", source: .orders,
      lines: ["rate unknown 9 of 10 until 1791270739272000000", "replied unknown 0"]),
    Case(
      name: "ws-trade-amend-reject-unchanged", source: .orders,
      lines: ["rate unknown 7 of 10 until 1791270739402000000", "refused unknown 10001"]),
    Case(
      name: "ws-trade-amend-reject-unknown", source: .orders,
      lines: ["rate unknown 8 of 10 until 1791270739302000000", "refused unknown 110001"]),
    Case(name: "ws-trade-auth-ack", source: .orders, lines: ["replied login 0"]),
    Case(name: "ws-trade-auth-error", source: .orders, lines: ["refused login 10004"]),
    Case(
      name: "ws-trade-cancel-ack", source: .orders,
      lines: ["rate unknown 9 of 10 until 1791270741902000000", "replied unknown 0"]),
    Case(
      name: "ws-trade-cancel-batch-response", source: .orders,
      lines: [
        "rate unknown 8 of 10 until 1791270745210000000", "replied unknown 0", "refused unknown 110001",
        "replied unknown 1",
      ]),
    Case(
      name: "ws-trade-cancel-reject-unknown", source: .orders,
      lines: ["rate unknown 8 of 10 until 1791270741932000000", "refused unknown 110001"]),
    Case(
      name: "ws-trade-create-ack", source: .orders,
      lines: ["rate unknown 9 of 10 until 1791270738612000000", "replied unknown 0"]),
    Case(
      name: "ws-trade-create-batch-response-partial", source: .orders,
      lines: [
        "rate unknown 7 of 10 until 1791270745010000000", "replied unknown 0", "replied unknown 0",
        "refused unknown 10001", "replied unknown 2",
      ]),
    Case(
      name: "ws-trade-create-reject-duplicate-link-id", source: .orders,
      lines: ["rate unknown 6 of 10 until 1791270738612000000", "refused unknown 110072"]),
    Case(
      name: "ws-trade-create-reject-margin", source: .orders,
      lines: ["rate unknown 8 of 10 until 1791270738612000000", "refused unknown 110007"]),
    Case(
      name: "ws-trade-create-reject-qty", source: .orders,
      lines: ["rate unknown 7 of 10 until 1791270738612000000", "refused unknown 10001"]),
    Case(
      name: "ws-trade-create-reject-rate-limit", source: .orders,
      lines: ["rate unknown 0 of 10 until 1791270739612000000", "refused unknown 10006"]),
    Case(name: "ws-trade-pong", source: .orders, lines: []),
  ]

  /// Answers to questions that the engine does not ask.
  static let unread = ["rest-account-info", "rest-market-orderbook", "rest-order-create-response"]
  /// What goes to the venue, and how this engine writes it.
  static let requests = [
    "ws-ping-request", "ws-private-auth-request", "ws-private-subscribe-request", "ws-public-subscribe-request",
    "ws-public-unsubscribe-request", "ws-trade-amend-batch-request", "ws-trade-amend-request", "ws-trade-auth-request",
    "ws-trade-cancel-batch-request", "ws-trade-cancel-request", "ws-trade-create-batch-request",
    "ws-trade-create-request",
  ]
}

/// Every sample frame of the protocol reference: read if it comes from the venue, written if it goes there.
@Suite struct BybitSamplesTests {
  @Test func `every frame from the venue is decoded, and none is left out`() throws {
    var bench = try Bench()
    for expected in Expected.all {
      let found = bench.record(try Fixtures.bytes(expected.name), expected.source)
      #expect(found.lines == expected.lines, "\(expected.name)")
      #expect(found.impossible == [], "\(expected.name)")
    }
    let samples = Set(try Fixtures.names())
    let known = Expected.all.map(\.name) + Expected.unread + Expected.requests
    #expect(samples == Set(known) && known.count == samples.count)
    // What came without an event.
    let time = bench.decoder.venueTime, seconds = bench.decoder.deadManSeconds, pongs = bench.decoder.pongs
    #expect(time == 1_791_270_738_801_234_567 && seconds == 10 && pongs == 3)
    let ignored = bench.decoder.ignoredItems
    #expect(ignored == 3, "funding, a candle and a liquidation")
    let limits = bench.decoder.limits(of: Bench.btc)
    #expect(
      limits?.largestLots.rawValue == 1_190_000 && limits?.smallestValueE8 == 500_000_000
        && limits?.fundingMinutes == 480)
  }

  @Test func `what the engine does not ask for is no answer to anything`() throws {
    var bench = try Bench()
    let account = bench.decode(try Fixtures.bytes("rest-account-info"), .rest(.positions))
    #expect(account == ["edge missingMember"])
    let book = bench.decode(try Fixtures.bytes("rest-market-orderbook"), .rest(.openOrders))
    #expect(book == ["edge missingMember"])
    let created = bench.decode(try Fixtures.bytes("rest-order-create-response"), .rest(.executions))
    #expect(created == ["edge missingMember"])
  }

  @Test func `every request has the members and values of its sample`() throws {
    var encoder = try BybitEncoder(instrumentCapacity: 1, label: "mm1-")
    try encoder.setInstrument(
      0, name: "BTCUSDT",
      grid: InstrumentGrid(tickE8: 10_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)))
    func price(_ ticks: Int64) -> PriceTicks { PriceTicks(rawValue: ticks) }
    func lots(_ lots: Int64) -> QtyLots { QtyLots(rawValue: lots) }
    var id = VenueID()
    "39bbc94a-2310-4324-9996-707881007fd5".withCString { _ = apus_id_set(&id, $0, 36) }
    let creates = [
      BybitBatchOrder(clientID: 101, instrument: 0, side: .buy, price: price(859_200), qty: lots(10)),
      BybitBatchOrder(clientID: 102, instrument: 0, side: .sell, price: price(859_400), qty: lots(10)),
    ]
    let amends = [
      BybitBatchOrder(clientID: 101, instrument: 0, price: price(859_210), qty: lots(10)),
      BybitBatchOrder(clientID: 102, instrument: 0, price: price(859_390), qty: lots(8)),
    ]
    var texts: [String: String] = [:]
    func note(_ name: String, _ write: (inout BybitEncoder, UnsafeMutableRawBufferPointer) -> Int) {
      texts[name] = EncoderText.text(&encoder, 8192, write)
    }
    note("ws-ping-request") { $0.ping(into: $1) }
    let signature = "9f6f9a9707a3b49927f783afafec403b57c599483072e6fd7c5f1090aa22581c"
    note("ws-private-auth-request") {
      $0.login(
        into: $1, id: RequestID.session(.login), key: "k7Qd2vXyB1mTnE9RzA", expires: 1_791_270_748_000,
        signature: signature, connection: .stream)
    }
    note("ws-trade-auth-request") {
      $0.login(
        into: $1, id: RequestID.session(.login), key: "k7Qd2vXyB1mTnE9RzA", expires: 1_791_270_758_000,
        signature: "e5564f6d4581d2bbb3a3c4c5c778678290f7b68206f75d596b5d92d8a94c4298", connection: .orders)
    }
    note("ws-private-subscribe-request") {
      $0.subscribe(
        into: $1, id: RequestID.session(.subscribePrivate),
        topics: ["order.linear", "execution.linear", "position.linear", "wallet"])
    }
    note("ws-public-subscribe-request") {
      $0.subscribe(
        into: $1, id: RequestID.session(.subscribePublic),
        topics: ["orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT"])
    }
    note("ws-public-unsubscribe-request") {
      $0.unsubscribe(into: $1, id: RequestID.session(.unsubscribe), topics: ["orderbook.50.BTCUSDT"])
    }
    note("ws-trade-create-request") {
      $0.create(
        into: $1, clientID: 1, instrument: 0, side: .buy, price: price(859_305), qty: lots(10),
        milliseconds: 1_791_270_738_605)
    }
    note("ws-trade-amend-request") {
      $0.amend(
        into: $1, clientID: 1, serial: 1, instrument: 0, price: price(859_301), qty: lots(12),
        milliseconds: 1_791_270_739_265)
    }
    note("ws-trade-cancel-request") {
      $0.cancel(into: $1, venueID: id, operand: 1, instrument: 0, milliseconds: 1_791_270_741_896)
    }
    note("ws-trade-create-batch-request") { encoder, memory in
      creates.withUnsafeBufferPointer {
        encoder.create(into: memory, id: RequestID.massQuote(1), orders: $0, milliseconds: 1_791_270_745_000)
      }
    }
    note("ws-trade-amend-batch-request") { encoder, memory in
      amends.withUnsafeBufferPointer {
        encoder.amend(into: memory, id: RequestID.massQuote(2), orders: $0, milliseconds: 1_791_270_745_100)
      }
    }
    note("ws-trade-cancel-batch-request") { encoder, memory in
      amends.withUnsafeBufferPointer {
        encoder.cancel(into: memory, id: RequestID.massQuote(3), orders: $0, milliseconds: 1_791_270_745_200)
      }
    }
    #expect(Set(texts.keys) == Set(Expected.requests))
    for (name, text) in texts {
      let ours = try JSONSerialization.jsonObject(with: Data(text.utf8))
      let theirs = try JSONSerialization.jsonObject(with: Data(try Fixtures.bytes(name)))
      #expect(Self.difference(ours, theirs) == nil, "\(name): \(text)")
    }
  }

  /// Where ours has another value than theirs. Numbers in strings are compared as numbers; ids and what an order's id
  /// stands for are their own; lists of orders may be shorter; the venue's defaults need not be stated.
  private static func difference(_ ours: Any, _ theirs: Any, _ path: String = "") -> String? {
    if let ours = ours as? [String: Any], let theirs = theirs as? [String: Any] {
      for (key, value) in ours where !["reqId", "req_id", "orderLinkId", "positionIdx"].contains(key) {
        // An order of ours is named by its tag, and an amend states both numbers.
        if key == "qty", theirs[key] == nil { continue }
        guard let other = theirs[key] else { return "\(path).\(key) is not in the sample" }
        if let found = difference(value, other, "\(path).\(key)") { return found }
      }
      let optional = ["reqId", "req_id", "orderLinkId", "orderId", "reduceOnly", "smpType", "positionIdx"]
      return theirs.keys.first { ours[$0] == nil && !optional.contains($0) }.map { "\(path).\($0) is missing" }
    }
    if let ours = ours as? [Any], let theirs = theirs as? [Any] {
      guard ours.count <= theirs.count else { return "\(path) is longer" }
      for (place, pair) in zip(ours, theirs).enumerated() {
        if let found = difference(pair.0, pair.1, "\(path)[\(place)]") { return found }
      }
      return nil
    }
    if let ours = ours as? String, let theirs = theirs as? String {
      if let a = Decimal(string: ours), let b = Decimal(string: theirs), ours.first?.isNumber == true {
        return a == b || ours == theirs ? nil : "\(path): \(ours), not \(theirs)"
      }
      return ours == theirs ? nil : "\(path): \(ours), not \(theirs)"
    }
    return "\(ours)" == "\(theirs)" ? nil : "\(path): \(ours), not \(theirs)"
  }
}
