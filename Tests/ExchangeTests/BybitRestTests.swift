import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// What is asked and ordered by HTTP (protocol reference 4.2, 7, 11).
@Suite struct BybitRestTests {
  @Test func `requests are signed over what was sent, in time`() throws {
    let h = try BybitHarness()
    func get(_ query: String, _ headers: [String: String]) -> Int? {
      h.call("GET", "/v5/order/realtime", query, "", headers: headers).body.code
    }
    let query = "symbol=BTCUSDT&category=linear"
    #expect(get(query, h.signed(query)) == 0)
    #expect(get("category=linear&symbol=BTCUSDT", h.signed(query)) == 10_004)
    #expect(get(query, h.signed(query, key: "nobody")) == 10_003)
    #expect(get(query, h.signed(query, secret: "wrong")) == 10_004)
    #expect(h.call("GET", "/v5/order/realtime", query, "", headers: [:]).status == 401)
    let headers = h.signed(query)
    h.pass(5 * second)
    #expect(get(query, headers) == 0)
    h.pass(millisecond)
    let late = h.call("GET", "/v5/order/realtime", query, "", headers: headers).body
    #expect(late.code == 10_002 && (late.json["retMsg"] as? String ?? "").contains("req_timestamp["))
    // Spaces count.
    let body =
      #"{"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.010", "price": "85900.5", "timeInForce": "PostOnly"}"#
    #expect(h.post("/v5/order/create", body).code == 0)
    // The vectors of the reference.
    #expect(
      BybitHarness.signature("1791270738000\(BybitHarness.key)5000category=linear&symbol=BTCUSDT", BybitHarness.secret)
        == "86fdac40d1f8ffb3853c004cc2651a7617262dbccccff78e6ce6a62495615af6")
  }

  @Test func `what is no request has a status of its own`() throws {
    let h = try BybitHarness { $0.addressRate = 20 }
    func status(_ method: String, _ path: String, _ body: String = "") -> Int {
      h.call(method, path, "category=linear", body, headers: h.signed(body)).status
    }
    #expect(status("GET", "/v5/nothing") == 404 && status("POST", "/v5/market/time") == 400)
    #expect(status("GET", "/v5/order/create") == 400 && status("GET", "/v5/market/tickers", "{}") == 403)
    #expect(h.post("/v5/order/create", "nonsense").code == 10_001)
    let statuses = (0..<20).map { _ in h.call("GET", "/v5/market/time", "", "", headers: [:]).status }
    #expect(statuses == [Int](repeating: 200, count: 15) + [Int](repeating: 403, count: 5))
    h.pass(5 * second)
    #expect(h.call("GET", "/v5/market/time", "", "", headers: [:]).status == 200)
  }

  @Test func `instruments come with their grids, page by page`() throws {
    let h = try BybitHarness()
    func list(_ query: String) -> BybitMessage {
      h.get("/v5/market/instruments-info", "category=linear\(query)", isPrivate: false)
    }
    let all = list("&limit=1000")
    #expect(all.list.map { $0.text("symbol") } == ["BTCUSDT", "ETHUSDT", "XRPUSDT"])
    #expect(
      all.result.text("nextPageCursor") == "" && all.list.allSatisfy { $0.text("contractType") == "LinearPerpetual" })
    let bitcoin = all.list[0]
    #expect((bitcoin["priceFilter"] as? [String: Any])?.text("tickSize") == "0.10")
    #expect((bitcoin["lotSizeFilter"] as? [String: Any])?.text("qtyStep") == "0.001")
    let first = list("&limit=2")
    #expect(first.list.count == 2)
    #expect(
      list("&limit=2&cursor=\(first.result.text("nextPageCursor"))").list.map { $0.text("symbol") } == ["XRPUSDT"])
    #expect(list("&status=PreLaunch").list.isEmpty && list("&baseCoin=ETH").list.count == 1)
    #expect(list("&symbol=NOPEUSDT").code == 10_001)
    for category in ["spot", "inverse", "option"] {
      #expect(h.get("/v5/market/instruments-info", "category=\(category)", isPrivate: false).list.isEmpty)
      #expect(h.get("/v5/position/list", "category=\(category)").code == 0)
    }
    #expect(h.get("/v5/market/instruments-info", "category=bonds", isPrivate: false).code == 10_001)
  }

  @Test func `orders are asked for by instrument or coin, page by page`() throws {
    let h = try BybitHarness()
    let id = h.trader()
    for place in 0..<7 { h.order(id, "Buy", "0.010", "8590\(place).0", link: "l\(place)") }
    h.ask(id, "order.cancel", #""symbol":"BTCUSDT","orderLinkId":"l3""#)
    var cursor = ""
    var links: [String] = []
    for _ in 0..<5 {
      let page = h.get(
        "/v5/order/realtime", "category=linear&settleCoin=USDT&limit=4" + (cursor.isEmpty ? "" : "&cursor=\(cursor)"))
      links += page.list.map { $0.text("orderLinkId") }
      cursor = page.result.text("nextPageCursor")
      if cursor.isEmpty { break }
    }
    #expect(links == ["l6", "l5", "l4", "l2", "l1", "l0"] && cursor.isEmpty)
    #expect(h.get("/v5/order/realtime", "category=linear").code == 10_001)
    #expect(h.get("/v5/order/realtime", "category=linear&symbol=ETHUSDT").list.isEmpty)
    let one = h.get("/v5/order/realtime", "category=linear&symbol=BTCUSDT&orderLinkId=l3")
    #expect(one.list.isEmpty)
    let ended = h.get("/v5/order/realtime", "category=linear&symbol=BTCUSDT&orderLinkId=l3&openOnly=1").list
    #expect(ended.map { $0.text("orderStatus") } == ["Cancelled"] && ended[0].text("avgPrice") == "")
    #expect(h.get("/v5/order/history", "category=linear").list.map { $0.text("orderLinkId") } == ["l3"])
  }

  @Test func `cancel-all takes what it names, and tells which`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["order"]))
    h.order(id, "Buy", "0.010", "85900.0", link: "a")
    h.ask(
      id, "order.create",
      #""symbol":"ETHUSDT","side":"Buy","orderType":"Limit","qty":"0.10","price":"2790","orderLinkId":"b""#)
    _ = h.take(stream)
    #expect(h.post("/v5/order/cancel-all", #"{"category":"linear"}"#).code == 10_001)
    let some = h.post("/v5/order/cancel-all", #"{"category":"linear","symbol":"ETHUSDT"}"#)
    #expect(some.list.map { $0.text("orderLinkId") } == ["b"] && some.result.text("success") == "1")
    let rest = h.post("/v5/order/cancel-all", #"{"category":"linear","settleCoin":"USDT"}"#)
    #expect(rest.list.map { $0.text("orderLinkId") } == ["a"])
    #expect(h.records(stream, "order").map { $0.text("cancelType") } == ["CancelByUser", "CancelByUser"])
    #expect(h.post("/v5/order/cancel-all", #"{"category":"linear","settleCoin":"USDT"}"#).list.isEmpty)
  }

  @Test func `executions are listed backwards, within their times, and page by page`() throws {
    let h = try BybitHarness()
    let id = h.trader()
    let start = h.milliseconds
    for _ in 0..<5 {
      h.order(id, "Buy", "0.010", "85931.0", #","timeInForce":"IOC""#)
      h.pass(second)
    }
    func list(_ query: String) -> BybitMessage { h.get("/v5/execution/list", "category=linear\(query)") }
    let all = list("").list.map { $0.text("execId") }
    #expect(all.count == 5 && Set(all).count == 5)
    var cursor = ""
    var paged: [String] = []
    repeat {
      let page = list("&limit=2" + (cursor.isEmpty ? "" : "&cursor=\(cursor)"))
      paged += page.list.map { $0.text("execId") }
      cursor = page.result.text("nextPageCursor")
    } while !cursor.isEmpty && paged.count < 20
    #expect(paged == all)
    #expect(list("&startTime=\(start + 2000)").list.map { $0.text("execId") } == Array(all.prefix(3)))
    #expect(list("&startTime=\(start)&endTime=\(start + 1999)").list.map { $0.text("execId") } == Array(all.suffix(2)))
    #expect(list("&startTime=\(start)&endTime=\(start + 8 * 86_400_000)").code == 10_001)
    #expect(list("&symbol=ETHUSDT").list.isEmpty && list("&execType=Funding").list.isEmpty)
  }

  @Test func `positions, balance, fees and settings are told`() throws {
    let h = try BybitHarness()
    let id = h.trader()
    let flat = h.get("/v5/position/list", "category=linear&symbol=BTCUSDT").list
    #expect(flat.count == 1 && flat[0].text("side") == "" && flat[0]["seq"] as? Int == -1)
    #expect(h.get("/v5/position/list", "category=linear&settleCoin=USDT").list.isEmpty)
    h.order(id, "Sell", "0.100", "85930.0", #","timeInForce":"IOC""#)
    let position = h.get("/v5/position/list", "category=linear&settleCoin=USDT").list
    #expect(position.map { $0.text("side") } == ["Sell"] && position[0].text("avgPrice") == "85930")
    #expect(position[0].text("size") == "0.1" && position[0]["entryPrice"] == nil)
    let wallet = h.get("/v5/account/wallet-balance", "accountType=UNIFIED").list[0]
    // A taker's fee on 8593 USDT.
    #expect(wallet.items("coin")[0].text("walletBalance") == "999995.27385")
    #expect(h.get("/v5/account/wallet-balance", "accountType=SPOT").code == 10_001)
    let fees = h.get("/v5/account/fee-rate", "category=linear&symbol=BTCUSDT").list
    #expect(fees.map { $0.text("takerFeeRate") } == ["0.00055"])
    #expect(h.post("/v5/position/switch-mode", #"{"category":"linear","symbol":"BTCUSDT","mode":0}"#).code == 110_025)
    let leverage = { (x: Int) in
      h.post(
        "/v5/position/set-leverage",
        #"{"category":"linear","symbol":"BTCUSDT","buyLeverage":"\#(x)","sellLeverage":"\#(x)"}"#
      ).code
    }
    #expect([10, 20, 20, 101].map(leverage) == [110_043, 0, 110_043, 10_001])
    #expect(h.get("/v5/position/list", "category=linear&symbol=BTCUSDT").list[0].text("leverage") == "20")
    #expect(h.get("/v5/account/smp-group").result["smpGroup"] as? Int == 0)
    #expect(h.get("/v5/user/query-api").result.text("apiKey") == BybitHarness.key)
    #expect(h.get("/v5/account/info").result["unifiedMarginStatus"] as? Int == 6)
  }

  @Test func `queries have an allowance, and may be late in what they know`() throws {
    let h = try BybitHarness {
      $0.queryRate = 2
      $0.queryDelay = 100 * millisecond
    }
    let id = h.trader()
    h.order(id, "Buy", "0.010", "85900.0")
    let list = { h.get("/v5/order/realtime", "category=linear&symbol=BTCUSDT") }
    #expect(list().list.isEmpty)
    h.pass(100 * millisecond)
    #expect(list().list.count == 1)
    #expect(list().code == 10_006)
    let response = h.call(
      "GET", "/v5/order/realtime", "category=linear&symbol=BTCUSDT", "",
      headers: h.signed("category=linear&symbol=BTCUSDT"))
    #expect(response.headers.contains { $0.name == "X-Bapi-Limit" && $0.value == "2" })
  }

  @Test func `the engine's own requests are understood`() throws {
    let h = try BybitHarness()
    let requests: [BybitRestRequest] = [
      .instruments(), .openOrders(), .executions(), .executions(since: h.milliseconds - 1000), .positions(), .wallet,
      .deadMan, .setDeadMan(seconds: 10), .setPriceLimitAction(isMoved: false), .order(linkID: "x", symbol: "BTCUSDT"),
    ]
    for request in requests { #expect(h.rest(request).code == 0, "\(request.target)") }
  }
}
