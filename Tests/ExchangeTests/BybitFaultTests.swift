import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// What goes wrong on demand, and what an account is told then (protocol reference 8.1, 15, 19).
@Suite struct BybitFaultTests {
  @Test func `lost messages leave a gap in a book's numbers, and a snapshot heals it`() throws {
    let h = try BybitHarness(flow: [
      (0, BybitHarness.calm), (second, [.level(0, .buy, 859_200, 10)]), (2 * second, [.level(0, .buy, 859_100, 10)]),
      (3 * second, [.level(0, .buy, 859_000, 10)]),
    ])
    let id = h.connectPublic()
    var book = BybitHarness.Book()
    book.apply(h.send(id, #"{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}"#)[1])
    #expect(h.venue.loseBookMessages("BTCUSDT", now: h.now))
    #expect(!h.venue.loseBookMessages("NOPEUSDT", now: h.now))
    h.pass(2 * second)
    for message in h.take(id) { book.apply(message) }
    #expect(book.gaps == 1 && book.bids[85_920] == nil && book.bids[85_910] == 0.01)
    h.venue.resendBooks("BTCUSDT", isRestart: true, now: h.now)
    let again = h.take(id)
    #expect(again.count == 1 && again[0].data["u"] as? Int == 1 && again[0].json["type"] as? String == "snapshot")
    book.apply(again[0])
    #expect(book.bids[85_920] == 0.01)
    h.pass(second)
    for message in h.take(id) { book.apply(message) }
    #expect(book.gaps == 1 && book.update == 2)
  }

  @Test func `a lost answer hides an order that is there, and its link cannot be used again`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["order"]))
    h.venue.loseReplies(count: 1, now: h.now)
    #expect(h.order(id, "Buy", "0.010", "85900.0", link: "a").text.isEmpty)
    #expect(h.records(stream, "order").map { $0.text("orderStatus") } == ["New"])
    #expect(h.order(id, "Buy", "0.010", "85900.0", link: "a").code == 110_072)
  }

  @Test func `an internal error may be a lie`() throws {
    let h = try BybitHarness()
    let id = h.trader()
    h.venue.refuseOrders(count: 1, now: h.now)
    #expect(h.order(id, "Buy", "0.010", "85900.0").code == 10_016)
    #expect(h.venue.books("desk")?.openOrders.isEmpty != false)
    h.venue.refuseOrders(count: 1, isLie: true, now: h.now)
    #expect(h.order(id, "Buy", "0.010", "85900.0").code == 10_016)
    #expect(h.venue.books("desk")?.openOrders.count == 1)
    h.venue.drainRates("desk", now: h.now)
    #expect(h.order(id, "Buy", "0.010", "85900.0").code == 10_006)
    #expect(h.get("/v5/order/realtime", "category=linear&symbol=BTCUSDT").code == 10_006)
    h.pass(second)
    h.venue.setMaintenance(true, now: h.now)
    #expect(h.order(id, "Buy", "0.010", "85900.0").code == 10_016)
    h.venue.setMaintenance(false, now: h.now)
    #expect(h.order(id, "Buy", "0.010", "85900.0").code == 0)
  }

  @Test func `executions may be lost, late or told twice, and orders of messages drawn`() throws {
    let h = try BybitHarness { $0.messageOrder = .random }
    let (id, stream) = (h.trader(), h.stream(["order", "execution"]))
    func take() -> [[String: Any]] {
      h.order(id, "Buy", "0.010", "85931.0", #","timeInForce":"IOC""#)
      return h.records(stream, "execution")
    }
    h.venue.loseReports("execution", count: 1, now: h.now)
    #expect(take().isEmpty)
    h.venue.repeatExecutions(count: 1, delay: second, now: h.now)
    let once = take()
    h.pass(second)
    let twice = h.records(stream, "execution")
    #expect(once.count == 1 && once[0].text("execId") == twice.first?.text("execId"))
    h.venue.delayExecutions(by: second, now: h.now)
    #expect(take().isEmpty)
    h.pass(second)
    #expect(h.records(stream, "execution").count == 1)
    h.venue.delayExecutions(by: 0, now: h.now)
    var orders: Set<[String]> = []
    for _ in 0..<20 {
      h.order(id, "Buy", "0.010", "85931.0", #","timeInForce":"IOC""#)
      orders.insert(h.take(stream).compactMap(\.topic))
    }
    #expect(orders == [["order", "execution"], ["execution", "order"]])
    #expect(h.get("/v5/execution/list", "category=linear").list.count == 23)
  }

  @Test func `a cancel that comes too late may be acknowledged, with a second record of the fill`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["order"]))
    let number = h.order(id, "Buy", "0.010", "85931.0", #","timeInForce":"IOC""#).orderID
    _ = h.take(stream)
    let cancel = #""symbol":"BTCUSDT","orderId":"\#(number)""#
    #expect(h.ask(id, "order.cancel", cancel).code == 110_001)
    h.venue.acknowledgeLateCancels(count: 1, now: h.now)
    #expect(h.ask(id, "order.cancel", cancel).code == 0)
    let record = try #require(h.records(stream, "order").first)
    #expect(record.text("orderStatus") == "Filled" && record.text("cancelType") == "CancelByUser")
    #expect(record.text("rejectReason") == "EC_OrigClOrdIDDoesNotExist")
    #expect(h.get("/v5/order/history", "category=linear").list[0].text("cancelType") == "UNKNOWN")
  }

  @Test func `orders survive lost connections, unless the account is protected`() throws {
    let h = try BybitHarness()
    let id = h.trader()
    var stream = h.stream(["order", "dcp.future"])
    let other = h.stream(["order"])
    h.order(id, "Buy", "0.010", "85900.0")
    h.venue.disconnected(stream, now: h.now)
    h.pass(60 * second)
    #expect(h.venue.books("desk")?.openOrders.count == 1)
    #expect(h.get("/v5/account/query-dcp-info").result.items("dcpInfos").isEmpty)
    #expect(h.post("/v5/order/disconnected-cancel-all", #"{"timeWindow":5}"#).code == 0)
    #expect(h.get("/v5/account/query-dcp-info").result.items("dcpInfos").isEmpty, "options are meant")
    stream = h.stream(["order", "dcp.future"])
    #expect(h.post("/v5/order/disconnected-cancel-all", #"{"product":"DERIVATIVES","timeWindow":5}"#).code == 0)
    #expect(h.get("/v5/account/query-dcp-info").result.items("dcpInfos").map { $0.text("timeWindow") } == ["5"])
    h.pass(10 * second)
    // Somebody comes back in time.
    h.venue.disconnected(stream, now: h.now)
    h.pass(4 * second)
    stream = h.stream(["order", "dcp.future"])
    h.pass(10 * second)
    #expect(h.venue.books("desk")?.openOrders.count == 1)
    _ = h.take(other)
    h.venue.disconnected(stream, now: h.now)
    h.pass(5 * second - millisecond)
    #expect(h.venue.books("desk")?.openOrders.count == 1)
    h.pass(millisecond)
    #expect(h.records(other, "order").map { $0.text("cancelType") } == ["CancelByDCP"])
    #expect(h.venue.books("desk")?.openOrders.isEmpty == true)
  }

  @Test func `protection needs a permission where the venue has not given it to all`() throws {
    let h = try BybitHarness { $0.allowsDisconnectProtection = false }
    #expect(h.post("/v5/order/disconnected-cancel-all", #"{"product":"DERIVATIVES","timeWindow":5}"#).code == 10_005)
  }

  @Test func `a service that restarts takes nothing new, and a venue that does may lose its orders`() throws {
    let h = try BybitHarness()
    let id = h.trader()
    let stream = h.stream(["order"])
    h.order(id, "Buy", "0.010", "85900.0", link: "a")
    h.venue.restartTrade(now: h.now)
    #expect(h.ask(id, "order.cancel", #""symbol":"BTCUSDT","orderLinkId":"a""#).code == 10_019)
    #expect(h.ask(h.trader(), "order.amend", #""symbol":"BTCUSDT","orderLinkId":"a","price":"85901""#).code == 0)
    h.venue.restart(keepingBook: true, now: h.now)
    h.collect()
    #expect(h.closes[id] == 1001 && h.closes[stream] == 1001 && h.venue.books("desk")?.openOrders.count == 1)
    h.venue.restart(keepingBook: false, now: h.now)
    #expect(h.venue.books("desk")?.openOrders.isEmpty == true)
  }

  @Test func `a halted instrument takes no orders, but cancels`() throws {
    let h = try BybitHarness(flow: [(0, BybitHarness.calm), (second, [.level(0, .buy, 859_305, 10)])])
    let id = h.trader()
    let market = h.connectPublic()
    _ = h.send(market, #"{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}"#)
    let number = h.order(id, "Buy", "0.010", "85900.0").orderID
    _ = h.take(market)
    #expect(h.venue.halt("BTCUSDT", now: h.now) && !h.venue.halt("NOPEUSDT", now: h.now))
    #expect(h.order(id, "Buy", "0.010", "85900.0").code == 110_066)
    #expect(h.ask(id, "order.amend", #""symbol":"BTCUSDT","orderId":"\#(number)","price":"85901""#).code == 110_066)
    #expect(h.ask(id, "order.cancel", #""symbol":"BTCUSDT","orderId":"\#(number)""#).code == 0)
    h.pass(second)
    #expect(!h.take(market).contains { $0.levels.bids.contains { $0[0] == "85930.5" } })
    h.venue.resume("BTCUSDT", now: h.now)
    #expect(h.take(market).contains { $0.levels.bids.contains { $0[0] == "85930.5" } })
    #expect(h.order(id, "Buy", "0.010", "85900.0").code == 0)
  }

  @Test func `silence, refused logins and closed connections are of those that they name`() throws {
    let h = try BybitHarness()
    let (id, stream, market) = (h.trader(), h.stream(["order"]), h.connectPublic())
    h.venue.setSilence(.privateStream, true, now: h.now)
    #expect(h.order(id, "Buy", "0.010", "85900.0").code == 0 && h.take(stream).isEmpty)
    h.venue.setSilence(.privateStream, false, now: h.now)
    #expect(h.send(stream, #"{"op":"ping"}"#).count == 1)
    h.venue.refuseLogins(true, now: h.now)
    #expect(h.login(h.connect("/v5/trade")).code == 10_003)
    h.venue.disconnectAll(.privateStream, account: "other", now: h.now)
    h.venue.disconnectAll(.trade, account: "desk", code: 1012, now: h.now)
    h.collect()
    #expect(h.closes[id] == 1012 && h.closes[stream] == nil && h.closes[market] == nil)
  }

  @Test func `a clock that is off moves what is in time`() throws {
    let h = try BybitHarness()
    let id = h.trader()
    h.venue.setClockOffset(10 * second, now: h.now)
    #expect(h.order(id, "Buy", "0.010", "85900.0").code == 10_002)
  }
}
