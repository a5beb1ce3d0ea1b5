import Apus
import CSupport
import Foundation
import Testing

@Suite struct BybitDecoderTests {
  private static func order(_ changes: [String: String] = [:], without: [String] = []) -> String {
    var members = [
      ("category", #""linear""#), ("symbol", #""BTCUSDT""#), ("orderId", #""o-1""#),
      ("orderLinkId", "\"\(Fixtures.tag(77))\""), ("side", #""Buy""#), ("orderStatus", #""New""#),
      ("cancelType", #""UNKNOWN""#), ("rejectReason", #""EC_NoError""#), ("price", #""85930.5""#), ("qty", #""0.01""#),
      ("leavesQty", #""0.01""#), ("cumExecQty", #""0""#), ("orderType", #""Limit""#),
      ("createdTime", #""1791270738610""#),
    ]
    for (key, value) in changes {
      if let place = members.firstIndex(where: { $0.0 == key }) {
        members[place].1 = value
      } else {
        members.append((key, value))
      }
    }
    let text = members.filter { !without.contains($0.0) }.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",")
    return "{\(text)}"
  }

  private static func orders(_ items: String..., topic: String = "order.linear") -> String {
    #"{"id":"1","topic":"\#(topic)","creationTime":1791270738651,"data":[\#(items.joined(separator: ","))]}"#
  }

  private static func line(
    _ status: String, _ deletion: String = "none", price: String = "859305", filled: Int = 0, remaining: Int = 10,
    qty: Int = 10, client: Int = 77, isOurs: Bool = true
  ) -> String {
    "order o-1 client \(client) instrument 0 buy \(price) qty \(qty) filled \(filled) remaining \(remaining) \(status) "
      + "\(deletion) feed\(isOurs ? " ours" : "") created 1791270738610000000"
  }

  @Test func `R05 every status word means one thing, and an unknown one concludes nothing`() throws {
    var bench = try Bench()
    let half = ["cumExecQty": #""0.004""#, "leavesQty": #""0.006""#]
    let dead = ["leavesQty": #""0""#]
    let partlyDead = ["cumExecQty": #""0.004""#, "leavesQty": #""0""#]
    let cases: [(String, [String: String], [String])] = [
      ("New", [:], [Self.line("open")]),
      ("PartiallyFilled", half, [Self.line("partiallyFilled", filled: 4, remaining: 6)]),
      (
        "Filled", ["cumExecQty": #""0.01""#, "leavesQty": #""0""#],
        [Self.line("filled", "filled", filled: 10, remaining: 0)]
      ),
      ("Cancelled", dead, [Self.line("cancelled", "other", remaining: 0)]),
      ("Cancelled", partlyDead, [Self.line("cancelledPartiallyFilled", "other", filled: 4, remaining: 0)]),
      ("Rejected", dead, [Self.line("cancelled", "other", remaining: 0)]),
      ("Deactivated", dead, [Self.line("cancelled", "other", remaining: 0)]),
      (
        "PartiallyFilledCanceled", partlyDead,
        [Self.line("cancelledPartiallyFilled", "other", filled: 4, remaining: 0)]
      ),
      ("Untriggered", [:], [Self.line("other")]),
      ("Triggered", [:], [Self.line("other")]),
      ("Sleeping", [:], ["edge unknownWord", Self.line("other")]),
      ("new", [:], ["edge unknownWord", Self.line("other")]),
      ("", [:], ["edge unknownWord", Self.line("other")]),
    ]
    for (word, changes, expected) in cases {
      let text = Self.order(changes.merging(["orderStatus": "\"\(word)\""]) { $1 })
      let found = bench.record([UInt8](Self.orders(text).utf8), .account)
      #expect(found.lines == expected && found.impossible == [], "\(word) \(changes)")
    }
  }

  @Test func `R05 why an order ended is told by one word or the other`() throws {
    var bench = try Bench()
    let causes: [(String, String)] = [
      ("CancelByUser", "clientCancel"), ("CancelByReduceOnly", "other"), ("CancelByPrepareLiq", "marginBreach"),
      ("CancelAllBeforeLiq", "marginBreach"), ("CancelByPrepareAdl", "marginBreach"),
      ("CancelAllBeforeAdl", "marginBreach"), ("CancelByAdmin", "adminCancel"),
      ("CancelBySettle", "instrumentDeactivated"),
      ("CancelByTpSlTsClear", "other"), ("CancelBySmp", "selfTradePrevention"), ("CancelByDCP", "sessionEnd"),
      ("CancelByRebalance", "other"), ("CancelByOCOTpCanceledBySlTriggered", "other"),
      ("CancelByOCOSlCanceledByTpTriggered", "other"),
    ]
    let reasons: [(String, String)] = [
      ("EC_NoError", "other"), ("", "other"), ("EC_PerCancelRequest", "clientCancel"),
      ("EC_PostOnlyWillTakeLiquidity", "immediateCancel"), ("EC_NoImmediateQtyToFill", "immediateCancel"),
      ("EC_NoEnoughQtyToFill", "immediateCancel"), ("EC_CancelForNoFullFill", "immediateCancel"),
      ("EC_BySelfMatch", "selfTradePrevention"), ("EC_StopBySelfMatch", "selfTradePrevention"),
      ("EC_CancelReplaceOrder", "replaced"), ("EC_CancelByMMP", "protection"),
      ("EC_InvalidSymbolStatus", "instrumentDeactivated"), ("EC_InCallAuctionStatus", "instrumentDeactivated"),
      ("EC_SecurityStatusFail", "instrumentDeactivated"), ("EC_ReachRiskPriceLimit", "other"),
      // An open set: a new word is no fault.
      ("EC_OfTomorrow", "other"),
    ]
    func lines(_ cancel: String, _ reason: String) -> [String] {
      let text = Self.order([
        "orderStatus": #""Cancelled""#, "leavesQty": #""0""#, "cancelType": "\"\(cancel)\"",
        "rejectReason": "\"\(reason)\"",
      ])
      return bench.decode(Self.orders(text), .account)
    }
    for (word, expected) in causes {
      #expect(lines(word, "EC_PerCancelRequest") == [Self.line("cancelled", expected, remaining: 0)], "\(word)")
    }
    for (word, expected) in reasons {
      for unstated in ["UNKNOWN", ""] {
        #expect(lines(unstated, word) == [Self.line("cancelled", expected, remaining: 0)], "\(word)")
      }
    }
    #expect(
      lines("CancelByTomorrow", "EC_NoError") == ["edge unknownWord", Self.line("cancelled", "other", remaining: 0)])
  }

  @Test func `R05_ orders with impossible values are refused, and their neighbours are not`() throws {
    var bench = try Bench()
    let cases: [([String: String], [String], String)] = [
      (["side": #""Hold""#], [], "edge unknownWord"),
      (["qty": #""0.0105""#], [], "edge offGrid"),
      (["qty": #""-0.01""#], [], "edge impossible"),
      (["qty": #""""#], [], "edge missingMember"),
      (["qty": #""x""#], [], "edge missingMember"),
      (["qty": "0.01"], [], "edge missingMember"),
      (["qty": #""1e30""#], [], "edge offGrid"),
      (["price": #""85930.55""#], [], "edge offGrid"),
      (["price": #""0""#], [], "edge impossible"),
      (["price": #""-1""#], [], "edge impossible"),
      (["price": #""""#], [], "edge missingMember"),
      (["price": #""1 ""#], [], "edge missingMember"),
      (["price": #""01""#], [], "edge missingMember"),
      ([:], ["price"], "edge missingMember"),
      ([:], ["leavesQty"], "edge missingMember"),
      ([:], ["orderId"], "edge missingMember"),
      (["orderId": #""""#], [], "edge missingMember"),
      (["orderId": "\"\(String(repeating: "9", count: 40))\""], [], "edge missingMember"),
      ([:], ["symbol"], "edge missingMember"),
      ([:], ["side"], "edge missingMember"),
      ([:], ["orderStatus"], "edge missingMember"),
      ([:], ["cumExecQty"], "edge missingMember"),
      (["cumExecQty": #""0.02""#], [], "edge impossible"),
      (["leavesQty": #""0.011""#], [], "edge impossible"),
      (["orderStatus": #""Filled""#, "leavesQty": #""0""#], [], "edge impossible"),
      (["orderStatus": #""PartiallyFilled""#, "cumExecQty": #""0.004""#], [], "edge impossible"),
      (["symbol": #""NEWUSDT""#], [], "edge unknownName"),
      (["symbol": #""DOGEUSDT""#], [], "edge unknownName"),
    ]
    for (changes, without, expected) in cases {
      let broken = Self.order(changes, without: without)
      let found = bench.decode(Self.orders(broken, Self.order()), .account)
      #expect(found == [expected, Self.line("open")], "\(changes) without \(without)")
    }
    for item in ["7", "null", "[]", #""x""#] {
      let found = bench.decode(Self.orders(item, Self.order()), .account)
      #expect(found == ["edge missingMember", Self.line("open")], "\(item)")
    }
    let twice = bench.decode(Self.orders(Self.order(["qty": #""0.02""#])), .account)
    #expect(twice == [Self.line("open", remaining: 10, qty: 20)])
  }

  @Test func `R14 orders of others, of other categories and of earlier lives are told apart`() throws {
    var bench = try Bench()
    func decode(_ changes: [String: String], _ topic: String = "order") -> [String] {
      bench.decode(Self.orders(Self.order(changes), topic: topic), .account)
    }
    #expect(decode(["orderLinkId": #""""#]) == [Self.line("open", client: 0, isOurs: false)])
    #expect(decode(["orderLinkId": #""other""#]) == [Self.line("open", client: 0, isOurs: false)])
    #expect(decode(["orderLinkId": #""mm1x-0000000001""#]) == [Self.line("open", client: 0)])
    #expect(decode(["orderLinkId": #""mm1-000000000w""#]) == [Self.line("open", client: 0)])
    #expect(decode(["orderLinkId": #""mm1-0000000000""#]) == [Self.line("open", client: 0)])
    #expect(decode(["orderLinkId": #""\u006dm1-000000002d""#]) == [Self.line("open")])
    let before = bench.decoder.ignoredItems
    #expect(decode(["category": #""spot""#]) == [])
    #expect(decode(["category": #""inverse""#]) == [])
    #expect(decode(["symbol": #""DOGEUSDT""#, "orderLinkId": #""other""#]) == [])
    let after = bench.decoder.ignoredItems
    #expect(after == before + 3)
  }

  private struct TimeSink: SelectiveEventSink {
    var times: [Nanoseconds] = []
    mutating func order(_ report: OrderReport) { times.append(report.updateTime) }
    mutating func position(_ report: PositionReport) { times.append(report.updateTime) }
  }

  @Test func `R02 orders and positions say since when they are as they are`() throws {
    var bench = try Bench()
    var sink = TimeSink()
    for name in ["ws-private-order-new", "ws-private-order-filled", "ws-private-position-long"] {
      try Fixtures.bytes(name).withUnsafeBytes { bench.decoder.decodePrivate($0, into: &sink) }
    }
    for (name, question) in [
      ("rest-order-realtime", BybitQuestion.openOrders), ("rest-position-list-flat", .positions),
    ] {
      _ = try Fixtures.bytes(name).withUnsafeBytes { bench.decoder.decodeRest(question, $0, into: &sink) }
    }
    #expect(
      sink.times == [
        1_791_270_738_615_000_000, 1_791_270_740_580_000_000, 1_791_270_740_580_000_000, 1_791_270_738_615_000_000, 0,
      ])
  }

  @Test func `R06 executions are fills, postings are not, and an unknown kind is refused`() throws {
    var bench = try Bench()
    let sample = try Fixtures.text("ws-private-execution-maker-partial")
    func decode(_ word: String) -> [String] {
      bench.decode(sample.replacing(#""execType":"Trade""#, with: "\"execType\":\"\(word)\""), .account)
    }
    for word in ["Trade", "AdlTrade", "BustTrade", "BlockTrade", "FutureSpread"] {
      #expect(decode(word).first?.hasPrefix("fill 021f2667") == true, "\(word)")
    }
    for word in ["Funding", "Delivery", "Settle", "MovePosition", "CorporateAction"] {
      let before = bench.decoder.ignoredItems
      #expect(decode(word) == [], "\(word)")
      let after = bench.decoder.ignoredItems
      #expect(after == before + 1)
    }
    for word in ["UNKNOWN", "", "trade", "Gift"] { #expect(decode(word) == ["edge unknownWord"], "\(word)") }
    let nameless = bench.decode(sample.replacing(#""execType":"Trade","#, with: ""), .account)
    #expect(nameless == ["edge missingMember"])
    let tagged = bench.decode(sample.replacing("mm1-000001", with: Fixtures.tag(9)), .account)
    #expect(tagged.first?.contains(" client 9 ") == true)
    // A fee that is not in the settle coin cannot be booked, but the fill must be.
    let coin = bench.decode(sample.replacing(#""feeCurrency":"USDT""#, with: #""feeCurrency":"BTC""#), .account)
    #expect(coin.first == "edge unknownWord" && coin.last?.contains("tradeFeed ours time") == true)
    let rebate = bench.decode(sample.replacing(#""execFee":"0.0687444""#, with: #""execFee":"-0.01""#), .account)
    #expect(rebate.first?.contains("fee -1000000 ") == true)
    for (old, new, expected) in [
      (#""execQty":"0.004""#, #""execQty":"0""#, "edge impossible"),
      (#""execQty":"0.004""#, #""execQty":"""#, "edge missingMember"),
      (#""execPrice":"85930.5""#, #""execPrice":"85930.55""#, "edge offGrid"),
      (#""execId":"021f2667-541d-5c95-95ce-d69cef81197f""#, #""execId":"""#, "edge missingMember"),
      (#""side":"Buy""#, #""side":"""#, "edge unknownWord"),
      (#""execFee":"0.0687444""#, #""execFee":"abc""#, "edge missingMember"),
      (#""execFee":"0.0687444""#, #""execFee":"1e30""#, "edge impossible"),
      (#""symbol":"BTCUSDT""#, #""symbol":"NEWUSDT""#, "edge unknownName"),
    ] {
      #expect(bench.decode(sample.replacing(old, with: new), .account) == [expected], "\(new)")
    }
  }

  @Test func `lists of any length are delivered whole`() throws {
    var bench = try Bench()
    for count in [0, 1, 15, 16, 17, 40] {
      let items = (0..<count).map { Self.order(["orderId": "\"o-\($0)\""]) }
      let text = #"{"topic":"order.linear","data":[\#(items.joined(separator: ","))]}"#
      let found = bench.decode(text, .account)
      #expect(found.count == count && Set(found).count == count, "\(count)")
      let broken = bench.decode(String(text.dropLast(2)) + ",]}", .account)
      #expect(broken == ["edge malformed"], "\(count)")
    }
    let trades = (0..<50).map { #"{"T":\#($0 + 1),"s":"BTCUSDT","S":"Sell","v":"0.001","p":"\#($0 + 1).0"}"# }
    let found = bench.decode(
      #"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[\#(trades.joined(separator: ","))]}"#, .market)
    #expect(found.count == 50 && found.last == "trade 0 sell 500x1 50000000")
  }

  @Test func `R05_ public trades with impossible values are refused alone`() throws {
    var bench = try Bench()
    for (item, expected) in [
      (#"{"T":1,"S":"Hold","v":"0.001","p":"1.0"}"#, "edge unknownWord"),
      (#"{"T":1,"S":"Buy","v":"0.0001","p":"1.0"}"#, "edge offGrid"),
      (#"{"T":1,"S":"Buy","v":"0.001","p":"0"}"#, "edge impossible"),
      (#"{"T":1,"S":"Buy","v":0.001,"p":"1.0"}"#, "edge missingMember"),
      (#"{"T":"1","S":"Buy","v":"0.001","p":"1.0"}"#, "edge missingMember"),
      (#"{"S":"Buy","v":"0.001","p":"1.0"}"#, "edge missingMember"),
      (#"{"T":1,"S":"Buy","v":"","p":"1.0"}"#, "edge missingMember"),
    ] {
      let good = #"{"T":1,"S":"Buy","v":"0.001","p":"1.0"}"#
      let found = bench.decode(#"{"topic":"publicTrade.BTCUSDT","data":[\#(item),\#(good)]}"#, .market)
      #expect(found == [expected, "trade 0 buy 10x1 1000000"], "\(item)")
    }
  }

  @Test func `a ticker keeps what a message leaves out, and loses what cannot be read`() throws {
    var bench = try Bench()
    func delta(_ members: String, topic: String = "tickers.ETHUSDT") -> [String] {
      bench.decode(#"{"topic":"\#(topic)","type":"delta","data":{\#(members)},"cs":1,"ts":2}"#, .market)
    }
    #expect(delta(#""markPrice":"1""#) == [], "before the snapshot")
    let first = bench.decode(
      #"{"topic":"tickers.ETHUSDT","type":"snapshot","data":{"symbol":"ETHUSDT","markPrice":"3000.123456789","indexPrice":"3001","bid1Price":"3000.00","bid1Size":"1.5","ask1Price":"","ask1Size":""},"ts":5}"#,
      .market)
    #expect(first == ["ticker 1 mark 300012345679 index 300100000000 bid 300000x150 time 5000000"])
    #expect(
      delta(#""bid1Size":"0.20","ask1Price":"3000.05""#)
        == ["ticker 1 mark 300012345679 index 300100000000 bid 300000x20 time 2000000"])
    #expect(
      delta(#""ask1Size":"2","fundingRate":"-0.000125","lastPrice":"2999.99""#)
        == [
          "ticker 1 mark 300012345679 index 300100000000 bid 300000x20 ask 300005x200 last 299999 funding -125000000 time 2000000"
        ])
    #expect(
      delta(#""bid1Size":"0","indexPrice":"","lastPrice":"2999.995""#)
        == ["edge offGrid", "ticker 1 mark 300012345679 ask 300005x200 funding -125000000 time 2000000"])
    #expect(
      delta(#""markPrice":"x","ask1Price":"-5""#)
        == ["edge missingMember", "edge impossible", "ticker 1 funding -125000000 time 2000000"])
    #expect(
      delta(#""markPrice":12,"ask1Price":"3000.05""#)
        == ["edge missingMember", "ticker 1 ask 300005x200 funding -125000000 time 2000000"])
    #expect(delta(#""markPrice":"1e30""#).first == "edge impossible")
    #expect(
      bench.decode(
        #"{"topic":"tickers.ETHUSDT","type":"snapshot","data":{"markPrice":"7"},"ts":9}"#, .market)
        == ["ticker 1 mark 700000000 time 9000000"])
    #expect(
      bench.decode(#"{"topic":"tickers.ETHUSDT","type":"update","data":{},"ts":9}"#, .market) == ["edge unknownWord"])
    #expect(bench.decode(#"{"topic":"tickers.ETHUSDT","data":{},"ts":9}"#, .market) == ["edge missingMember"])
    #expect(
      bench.decode(#"{"topic":"tickers.ETHUSDT","type":"delta","data":[],"ts":9}"#, .market) == ["edge missingMember"])
    bench.decoder.forgetStreams()
    #expect(delta(#""markPrice":"1""#) == [], "on a new connection")
  }

  @Test func `price limits become the collars of the ticker`() throws {
    var bench = try Bench()
    func limits(_ members: String) -> [String] {
      bench.decode(#"{"topic":"priceLimit.BTCUSDT","data":{\#(members)},"ts":1}"#, .market)
    }
    _ = bench.decode(
      #"{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"markPrice":"7"},"ts":9}"#, .market)
    #expect(
      limits(#""symbol":"BTCUSDT","buyLmt":"8.5","sellLmt":"5.5""#)
        == ["ticker 0 mark 700000000 collars 550000000-850000000 time 9000000"])
    for (members, expected) in [
      (#""buyLmt":"8.5""#, "edge missingMember"), (#""buyLmt":"","sellLmt":"1""#, "edge missingMember"),
      (#""buyLmt":"0","sellLmt":"1""#, "edge impossible"), (#""buyLmt":"1","sellLmt":"-1""#, "edge impossible"),
      (#""buyLmt":1,"sellLmt":2"#, "edge missingMember"),
    ] { #expect(limits(members) == [expected], "\(members)") }
    let answer = bench.decode(
      #"{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","buyLmt":"9","sellLmt":"5","ts":"1"},"time":1}"#,
      .rest(.priceLimit))
    #expect(answer == ["ticker 0 mark 700000000 collars 500000000-900000000 time 9000000"])
    // The collars stay when the ticker begins anew.
    let again = bench.decode(
      #"{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"markPrice":"8"},"ts":9}"#, .market)
    #expect(again == ["ticker 0 mark 800000000 collars 500000000-900000000 time 9000000"])
  }

  @Test func `positions have a sign, and only those of one-way mode are taken`() throws {
    var bench = try Bench()
    func decode(_ members: String) -> [String] {
      bench.decode(#"{"id":"1","topic":"position.linear","data":[{"symbol":"BTCUSDT",\#(members)}]}"#, .account)
    }
    #expect(decode(#""side":"Sell","size":"0.5","entryPrice":"7""#) == ["position 0 -500 mark 0 average 700000000"])
    #expect(decode(#""side":"","size":"0""#) == ["position 0 0 mark 0 average 0"])
    #expect(decode(#""side":"","size":"""#) == ["position 0 0 mark 0 average 0"])
    #expect(decode(#""side":"","size":"1""#) == ["edge missingMember"])
    #expect(decode(#""side":"Long","size":"1""#) == ["edge unknownWord"])
    #expect(decode(#""side":"Buy","size":"-1""#) == ["edge impossible"])
    #expect(decode(#""side":"Buy","size":"0.0001""#) == ["edge offGrid"])
    #expect(decode(#""side":"Buy","size":"1","positionIdx":1"#) == ["edge impossible"])
    #expect(decode(#""side":"","size":"0","positionIdx":2"#) == [])
    #expect(decode(#""side":"Buy","size":"1","markPrice":"1e30""#) == ["edge impossible"])
    #expect(decode(#""side":"Buy","size":"1","category":"inverse""#) == [])
    #expect(decode(#""size":"1""#) == ["edge missingMember"])
  }

  @Test func `R20_ a frame that is no JSON delivers nothing, and one of another shape is refused`() throws {
    var bench = try Bench()
    for text in ["", " ", "{", "[]", "7", "null", #"{"topic":}"#, #"{"topic":"tickers.BTCUSDT""#, "{}x", #"{"a":1}"#] {
      for source in [Source.market, .account] {
        #expect(bench.decode(text, source) == ["edge malformed"], "\(text)")
      }
      #expect(bench.decode(text, .orders) == [text == #"{"a":1}"# ? "edge missingMember" : "edge malformed"], "\(text)")
      let rest = bench.decode(text, .rest(.positions))
      #expect(rest == [text == #"{"a":1}"# ? "edge missingMember" : "edge malformed"], "\(text)")
    }
    #expect(bench.decode(#"{"topic":"orderbook.77.BTCUSDT","data":{}}"#, .market) == ["edge unknownName"])
    #expect(bench.decode(#"{"topic":"tickers.BTCUSDT"}"#, .market) == ["edge missingMember"])
    #expect(bench.decode(#"{"topic":"order.linear","data":{}}"#, .account) == ["edge missingMember"])
    #expect(bench.decode(#"{"topic":7,"data":{}}"#, .market) == ["edge malformed"])
    let nested = String(repeating: "[", count: 80) + String(repeating: "]", count: 80)
    #expect(bench.decode(#"{"topic":"kline.1.BTCUSDT","data":\#(nested)}"#, .market) == ["edge malformed"])
    // Members in another order, and blanks.
    let odd = bench.decode(
      #" { "data" : [ {"p":"1.0","v":"0.001","T":1,"S":"Buy"} ] , "topic" : "publicTrade.BTCUSDT" } "#, .market)
    #expect(odd == ["trade 0 buy 10x1 1000000"])
    let escaped = bench.decode(
      #"{"topic":"publicTrad\u0065.BTCUSDT","data":[{"p":"1.0","v":"0.001","T":1,"S":"\u0042uy"}]}"#, .market)
    #expect(escaped == ["trade 0 buy 10x1 1000000"])
  }

  @Test func `topics say what they carry, and need an instrument that is wanted`() throws {
    var bench = try Bench(topics: [])
    for name in ["orderbook.50.DOGEUSDT", "publicTrade.DOGEUSDT", "tickers.", "priceLimit.X", ""] {
      #expect(throws: TableError.self, "\(name)") { try bench.decoder.register(topic: name) }
    }
    // What is not interpreted is subscribed all the same.
    for name in ["orderbook.rpi.BTCUSDT", "dcp.future", "greeks", "order.spot"] {
      try bench.decoder.register(topic: name)
      let before = bench.decoder.ignoredItems
      #expect(bench.decode(#"{"topic":"\#(name)","data":[1]}"#, .market) == [])
      let after = bench.decoder.ignoredItems
      #expect(after == before + 1, "\(name)")
    }
    let names = bench.decoder.registeredTopics
    #expect(names == ["orderbook.rpi.BTCUSDT", "dcp.future", "greeks", "order.spot"])
    #expect(throws: TableError.self) {
      _ = try BybitDecoder(
        instrumentCapacity: 1, topicCapacity: 1, prefix: "mm", label: String(repeating: "m", count: 27))
    }
    #expect(throws: TableError.self) {
      _ = try BybitDecoder(instrumentCapacity: 0, topicCapacity: 1, prefix: "mm", label: "mm")
    }
  }

  @Test func `R64 nothing is read of an instrument before its grid is known`() throws {
    var bench = try Bench(isListed: false)
    for (name, source) in [
      ("ws-orderbook-50-snapshot", Source.market), ("ws-publicTrade", .market), ("ws-tickers-snapshot", .market),
      ("ws-private-order-new", .account), ("ws-private-execution-maker-partial", .account),
      ("ws-private-position-long", .account),
    ] {
      let found = Set(bench.decode(try Fixtures.bytes(name), source))
      #expect(found == ["edge unknownName"], "\(name)")
    }
  }
}
