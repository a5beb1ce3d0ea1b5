import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// What the simulated Bybit says has the members, and the kinds of values, that the samples of the reference have.
@Suite struct BybitShapeTests {
  static func sample(_ name: String) throws -> [String: Any] {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/bybit-samples/\(name).json")
    return try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
  }

  func check(_ name: String, _ message: BybitMessage?, ignoring: Set<String> = []) throws {
    let message = try #require(message, "nothing like \(name) was said")
    let found = DeribitShapeTests.difference(try Self.sample(name), message.json, name, ignoring: ignoring)
    #expect(found.isEmpty, "\(found.joined(separator: "\n"))\n\(message.text)")
  }

  /// Levels are pairs of text, so a delta may be compared with any.
  @Test func `market data has the shape of the samples`() throws {
    let h = try BybitHarness(flow: [
      (0, BybitHarness.calm),
      (second, [.trade(0, aggressor: .buy, 859_310, 10), .level(0, .buy, 859_300, 5), .level(0, .sell, 859_310, 0)]),
      (2 * second, [.index(0, e8: 85_940_00000000)]),
    ])
    let id = h.connectPublic()
    try check("ws-public-pong", h.send(id, #"{"op":"ping"}"#).first)
    let topics = [
      "orderbook.1.BTCUSDT", "orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT", "priceLimit.BTCUSDT",
    ]
    let list = topics.map { "\"\($0)\"" }.joined(separator: ",")
    let first = h.send(id, #"{"req_id":"s-1","op":"subscribe","args":[\#(list)]}"#)
    try check("ws-public-subscribe-ack", first.first)
    func of(_ list: [BybitMessage], _ topic: String) -> BybitMessage? { list.first { $0.topic == topic } }
    try check("ws-orderbook-1-snapshot", of(first, topics[0]))
    try check("ws-orderbook-50-snapshot", of(first, topics[1]))
    try check("ws-tickers-snapshot", of(first, topics[3]))
    try check("ws-priceLimit", of(first, topics[4]))
    try check(
      "ws-public-subscribe-error-already",
      h.send(id, #"{"req_id":"s-2","op":"subscribe","args":["\#(topics[1])"]}"#).first)
    try check("ws-public-subscribe-error", h.send(id, #"{"req_id":"s-3","op":"subscribe","args":["x"]}"#).first)
    h.pass(second)
    let next = h.take(id)
    try check("ws-orderbook-50-delta", of(next, topics[1]))
    try check("ws-publicTrade", of(next, topics[2]))
    h.pass(2 * second)
    let change = try #require(h.take(id).last { $0.topic == topics[3] })
    let known = try #require(try Self.sample("ws-tickers-snapshot")["data"] as? [String: Any])
    #expect(change.json["type"] as? String == "delta" && change.data.keys.allSatisfy { known[$0] != nil })
    h.venue.resendBooks("BTCUSDT", isRestart: true, now: h.now)
    try check("ws-orderbook-50-snapshot-service-restart", of(h.take(id), topics[1]))
  }

  @Test func `account streams and order entry have the shape of the samples`() throws {
    let h = try BybitHarness(flow: [
      (0, BybitHarness.calm), (second, [.trade(0, aggressor: .sell, 859_000, 4)]),
      (2 * second, [.trade(0, aggressor: .sell, 859_000, 100)]),
    ]) { $0.orderRate = 20 }
    let orders = h.connect("/v5/trade")
    try check("ws-trade-auth-error", h.login(orders, secret: "x"))
    try check("ws-trade-auth-ack", h.login(orders))
    try check("ws-trade-pong", h.send(orders, #"{"op":"ping"}"#).first)
    let stream = h.connect("/v5/private")
    try check("ws-private-auth-error", h.login(stream, secret: "x"))
    try check("ws-private-auth-ack", h.login(stream))
    try check(
      "ws-private-subscribe-ack",
      h.send(
        stream,
        #"{"req_id":"p-1","op":"subscribe","args":["order.linear","execution.linear","execution.fast.linear","position.linear","wallet"]}"#
      ).first)
    try check("ws-private-pong", h.send(stream, #"{"req_id":"x","op":"ping"}"#).first)

    func told(_ topic: String) -> BybitMessage? { h.take(stream).last { $0.topic == topic } }
    try check("ws-trade-create-ack", h.order(orders, "Buy", "0.010", "85930.5", link: "a"))
    try check("ws-private-order-new", told("order.linear"))
    try check(
      "ws-trade-amend-ack", h.ask(orders, "order.amend", #""symbol":"BTCUSDT","orderLinkId":"a","price":"85930.6""#))
    try check("ws-private-order-amended", told("order.linear"))
    try check(
      "ws-trade-amend-reject-unchanged",
      h.ask(orders, "order.amend", #""symbol":"BTCUSDT","orderLinkId":"a","price":"85930.6""#))
    try check(
      "ws-trade-amend-reject-unknown",
      h.ask(orders, "order.amend", #""symbol":"BTCUSDT","orderLinkId":"z","price":"85930.6""#))
    try check(
      "ws-private-position-flat",
      {
        h.order(orders, "Buy", "0.010", "85000.0", link: "b"); return told("position.linear")
      }())
    h.pass(second)
    let part = h.take(stream)
    func of(_ list: [BybitMessage], _ topic: String) -> BybitMessage? { list.first { $0.topic == topic } }
    try check("ws-private-order-partially-filled", of(part, "order.linear"))
    try check("ws-private-execution-maker-partial", of(part, "execution.linear"))
    try check("ws-private-execution-fast", of(part, "execution.fast.linear"))
    try check("ws-private-position-long", of(part, "position.linear"))
    try check("ws-private-wallet", of(part, "wallet"))
    h.pass(second)
    let rest = h.take(stream)
    try check("ws-private-order-filled", of(rest, "order.linear"))
    try check("ws-private-execution-maker-final", of(rest, "execution.linear"))
    h.venue.acknowledgeLateCancels(count: 1, now: h.now)
    h.ask(orders, "order.cancel", #""symbol":"BTCUSDT","orderLinkId":"a""#)
    try check("ws-private-order-filled-cancel-too-late", told("order.linear"))
    try check(
      "ws-trade-cancel-reject-unknown", h.ask(orders, "order.cancel", #""symbol":"BTCUSDT","orderLinkId":"a""#))
    try check("ws-trade-cancel-ack", h.ask(orders, "order.cancel", #""symbol":"BTCUSDT","orderLinkId":"b""#))
    try check("ws-private-order-cancelled-by-user", told("order.linear"))
    h.order(orders, "Buy", "0.010", "85931.0")
    try check("ws-private-order-cancelled-postonly", told("order.linear"))
    h.order(orders, "Buy", "1.500", "85931.0", #","timeInForce":"IOC""#)
    try check("ws-private-order-cancelled-ioc-remainder", told("order.linear"))
    h.ask(orders, "order.create", #""symbol":"BTCUSDT","side":"Sell","orderType":"Market","qty":"1.500""#)
    try check("ws-private-execution-taker-multi", told("execution.linear"))
    h.order(orders, "Sell", "0.010", "85930.9", link: "c")
    h.order(orders, "Buy", "0.010", "85930.9", #","timeInForce":"GTC","smpType":"CancelTaker""#)
    try check("ws-private-order-cancelled-smp", told("order.linear"))
    let limit = { (quantity: String, price: String, link: String) in
      #"{"symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"\#(quantity)","price":"\#(price)","orderLinkId":"\#(link)"}"#
    }
    try check(
      "ws-trade-create-batch-response-partial",
      h.ask(
        orders, "order.create-batch",
        "\"request\":[\(limit("0.010", "85000.0", "d")),\(limit("0.0105", "85000.0", "e"))]"))
    try check(
      "ws-trade-cancel-batch-response",
      h.ask(orders, "order.cancel-batch", #""request":[{"symbol":"BTCUSDT","orderLinkId":"d"}]"#))
    try check(
      "ws-trade-create-reject-duplicate-link-id", h.order(orders, "Buy", "0.010", "85000.0", link: "d"))
    try check("ws-trade-create-reject-qty", h.order(orders, "Buy", "0.0105", "85000.0"))
    try check("ws-trade-create-reject-margin", h.order(orders, "Buy", "1000", "85000.0"))
    h.venue.drainRates("desk", now: h.now)
    try check("ws-trade-create-reject-rate-limit", h.order(orders, "Buy", "0.010", "85000.0"))
  }

  @Test func `funding and protection have the shape of the samples`() throws {
    let h = try BybitHarness()
    let (orders, stream) = (h.trader(), h.stream(["order.linear", "execution.linear", "dcp.future"]))
    let watch = h.stream(["order.linear", "execution.linear"])
    h.order(orders, "Buy", "0.010", "85931.0", #","timeInForce":"IOC""#)
    h.order(orders, "Buy", "0.010", "85000.0")
    #expect(h.post("/v5/order/disconnected-cancel-all", #"{"product":"DERIVATIVES","timeWindow":10}"#).code == 0)
    _ = h.take(watch)
    h.venue.disconnected(stream, now: h.now)
    h.pass(20 * second)
    try check("ws-private-order-cancelled-dcp", h.take(watch).first)
    for _ in 0..<(8 * 60) {
      h.pass(60 * second)
      h.send(watch, #"{"op":"ping"}"#)
      if let funding = h.said.last(where: { $0.text.contains("\"Funding\"") }) {
        let json = try #require(try JSONSerialization.jsonObject(with: Data(funding.text.utf8)) as? [String: Any])
        return try check("ws-private-execution-funding", BybitMessage(text: funding.text, json: json))
      }
    }
    Issue.record("no funding within 8 hours")
  }

  @Test func `answers over HTTP have the shape of the samples`() throws {
    let h = try BybitHarness()
    let orders = h.trader()
    func market(_ path: String, _ query: String) -> BybitMessage {
      h.get("/v5/market/\(path)", query, isPrivate: false)
    }
    try check("rest-market-time", market("time", ""))
    try check("rest-instruments-info-linear", market("instruments-info", "category=linear"))
    try check("rest-market-orderbook", market("orderbook", "category=linear&symbol=BTCUSDT&limit=5"))
    try check("rest-order-realtime-empty", h.get("/v5/order/realtime", "category=linear&symbol=BTCUSDT"))
    try check("rest-position-list-flat", h.get("/v5/position/list", "category=linear&symbol=BTCUSDT"))
    try check(
      "rest-order-create-response",
      h.post(
        "/v5/order/create",
        #"{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.010","price":"85000.5","timeInForce":"PostOnly","orderLinkId":"a"}"#
      ))
    try check("rest-order-realtime", h.get("/v5/order/realtime", "category=linear&settleCoin=USDT"))
    try check(
      "rest-order-cancel-all-response", h.post("/v5/order/cancel-all", #"{"category":"linear","settleCoin":"USDT"}"#))
    h.order(orders, "Buy", "0.010", "85931.0", #","timeInForce":"IOC""#)
    try check("rest-execution-list", h.get("/v5/execution/list", "category=linear"))
    try check("rest-position-list", h.get("/v5/position/list", "category=linear&symbol=BTCUSDT"))
    try check("rest-wallet-balance", h.get("/v5/account/wallet-balance", "accountType=UNIFIED"))
    try check("rest-fee-rate", h.get("/v5/account/fee-rate", "category=linear&symbol=BTCUSDT"))
    try check("rest-account-info", h.get("/v5/account/info"))
    h.post("/v5/order/disconnected-cancel-all", #"{"product":"DERIVATIVES","timeWindow":10}"#)
    try check("rest-query-dcp-info", h.get("/v5/account/query-dcp-info"))
    try check(
      "rest-error-position-idx",
      h.post(
        "/v5/order/create",
        #"{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.010","price":"85000","positionIdx":1}"#
      ))
    var headers = h.signed("category=linear&symbol=BTCUSDT")
    headers["x-bapi-timestamp"] = "1"
    try check(
      "rest-error-timestamp",
      h.call("GET", "/v5/order/realtime", "category=linear&symbol=BTCUSDT", "", headers: headers).body)
  }
}
