import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

extension Harness {
  /// A session that may mass quote BTC-PERPETUAL, and hears of its orders and its protection.
  func quoter(_ number: UInt64 = 1, kid: String = "K1", trade: String = "1", quote: String = "1") -> ConnectionID {
    let id = trader(number, kid: kid)
    ask(id, "private/subscribe", #"{"channels":["session.orders","session.mm_protection"]}"#)
    protect(id, trade: trade, quote: quote)
    return id
  }

  @discardableResult
  func protect(_ id: ConnectionID, trade: String = "1", quote: String = "1", product: String = "FBTCUSD") -> Received {
    ask(
      id, "private/set_mm_protection",
      "{\"product\":\"\(product)\",\"trade_amount\":\(trade),\"quote_amount\":\(quote)}")
  }

  /// Sends quotes and returns everything that came.
  @discardableResult
  func quote(_ id: ConnectionID, _ quotes: String, _ more: String = "") -> [Received] {
    send(
      id,
      "{\"method\":\"private/mass_quote\",\"id\":7,\"params\":{\"quotes\":[\(quotes)]\(more.isEmpty ? "" : "," + more)}}"
    )
  }

  /// Sends quotes for BTC-PERPETUAL.
  @discardableResult
  func quoteBTC(_ id: ConnectionID, _ sides: String, _ more: String = "") -> [Received] {
    quote(id, "{\"i\":\"BTC-PERPETUAL\",\(sides)}", more)
  }

  func openPrices(_ id: ConnectionID) -> [Double] {
    ask(id, "private/open_orders").list.map { $0.number("price") }
  }
}

extension [Received] {
  var orders: [[String: Any]] { first { $0.channel == "session.orders" }?.list ?? [] }
  var protection: [[String: Any]] { first { $0.channel == "session.mm_protection" }?.list ?? [] }
  var tally: [Int] {
    let result = first?.object ?? [:]
    return [result["n_success"], result["n_fail"]].map { $0 as? Int ?? -1 }
  }
  var errors: [[String: Any]] { first?.object.items("errors") ?? [] }
}

/// mass_quote in both encodings (reference 6.5, 8.4).
@Suite struct VenueMassQuoteTests {
  @Test func `an object quotes one level a side, and each is an ordinary order of the session`() throws {
    let h = try Harness()
    let id = h.quoter()
    let out = h.quoteBTC(id, #""b":{"p":61790,"a":0.1},"a":{"p":61810,"a":0.2}"#, #""label":"mq""#)
    #expect(out[0].text == #"{"id":7,"result":{"n_success":2,"n_fail":0,"errors":[]}}"#)
    #expect(out.orders.map { $0.text("direction") } == ["buy", "sell"])
    #expect(out.orders.map { $0.text("status") } == ["open", "open"])
    #expect(out.orders.allSatisfy { $0.text("label") == "mq" && $0.text("change_reason") == "insert" })
    #expect(out.orders.allSatisfy { $0["client_order_id"] == nil && $0["persistent"] as? Bool == false })
    #expect(h.openPrices(id) == [61_790, 61_810])
    let book = h.ask(id, "public/ticker", #"{"instrument_name":"BTC-PERPETUAL"}"#).object
    #expect(book.number("best_bid_price") == 61_800)
  }

  @Test func `a ladder replaces its whole side and leaves the other alone`() throws {
    let h = try Harness()
    let id = h.quoter()
    #expect(h.quoteBTC(id, #""b":[[61790,0.1],[61780,0.2],[61785,0.3]],"a":[[61810,0.1]]"#).tally == [4, 0])
    let out = h.quoteBTC(id, #""b":[[61785,0.3],[61770,0.1]]"#)
    #expect(out.tally == [2, 0])
    // What leaves comes first, then what is new; the unchanged level is not mentioned.
    #expect(out.orders.map { $0.number("price") } == [61_790, 61_780, 61_770])
    #expect(out.orders.map { $0.text("status") } == ["cancelled", "cancelled", "open"])
    #expect(out.orders[0].text("delete_reason") == "replaced")
    #expect(Set(h.openPrices(id)) == [61_785, 61_770, 61_810])
    // An empty side is deleted; a level of amount 0 too.
    let empty = h.quoteBTC(id, #""b":[],"a":[[61810,0]]"#)
    #expect(empty.tally == [2, 0])
    #expect(empty.orders.map { $0.text("delete_reason") } == ["client_cancel", "client_cancel", "client_cancel"])
    #expect(h.openPrices(id).isEmpty)
  }

  @Test func `amount 0 deletes the side of an object, even without a price that makes sense`() throws {
    let h = try Harness()
    let id = h.quoter()
    h.quoteBTC(id, #""b":{"p":61790,"a":0.1},"a":{"p":61810,"a":0.2}"#)
    let out = h.quoteBTC(id, #""a":{"p":0,"a":0}"#)
    #expect(out.tally == [1, 0])
    #expect(out.orders.map { $0.text("delete_reason") } == ["client_cancel"])
    #expect(h.openPrices(id) == [61_790])
    #expect(h.quoteBTC(id, #""a":{"p":0,"a":0}"#).tally == [1, 0])
  }

  @Test func `the same price and amount keep the order and its place; anything else is a new order behind`() throws {
    let h = try Harness()
    let id = h.quoter()
    let other = h.trader(2, kid: "K2")
    let first = h.quoteBTC(id, #""b":{"p":61790,"a":0.1}"#).orders[0].text("order_id")
    h.insert(other, "buy", "0.1", "61790", client: 1)
    // Unchanged: no event, and still in front.
    let same = h.quoteBTC(id, #""b":{"p":61790.0,"a":0.10000000000000001}"#)
    #expect(same.count == 1 && same.tally == [1, 0])
    #expect(h.ask(id, "private/open_orders").list[0].text("order_id") == first)
    // A smaller amount is a new order, at the end of the queue.
    let smaller = h.quoteBTC(id, #""b":{"p":61790,"a":0.05}"#)
    #expect(smaller.orders.map { $0.text("delete_reason") } == ["replaced", ""])
    #expect(smaller.orders[1].text("order_id") != first)
    let taker = h.trader(3, kid: "K3")
    h.insert(taker, "sell", "3.1", "61790")
    #expect(h.venue.books("A2")?.fills.count == 1)
    #expect(h.venue.books("A1")?.fills.isEmpty == true)
  }

  @Test(arguments: [false, true])
  func `after a fill in part, the same amount keeps what is left or is a full new quote, by choice`(remaining: Bool)
    throws
  {
    let h = try Harness(flow: [(0, wideMarket[0].1)]) { $0.comparesRemainingQuote = remaining }
    let id = h.quoter()
    h.quoteBTC(id, #""b":{"p":61800,"a":0.5}"#)
    let taker = h.trader(2, kid: "K2")
    h.insert(taker, "sell", "0.2", "61800")
    let out = h.quoteBTC(id, #""b":{"p":61800,"a":0.5}"#)
    let open = h.ask(id, "private/open_orders").list
    #expect(open.map { $0.number("remaining_amount") } == [remaining ? 0.5 : 0.3])
    #expect(out.orders.count == (remaining ? 2 : 0))
    if remaining { #expect(out.orders[0].text("status") == "cancelled_partially_filled") }
  }

  @Test func `both sides of an entry change together, without meeting each other`() throws {
    let h = try Harness(flow: [(0, wideMarket[0].1)])
    let id = h.quoter()
    h.quoteBTC(id, #""b":{"p":61795,"a":0.1},"a":{"p":61798,"a":0.1}"#)
    let out = h.quoteBTC(id, #""b":{"p":61799,"a":0.1},"a":{"p":61803,"a":0.1}"#)
    #expect(out.orders.map { $0.text("status") } == ["cancelled", "cancelled", "open", "open"])
    #expect(out.orders.allSatisfy { $0.items("fills").isEmpty })
  }

  @Test func `a side is refused by itself: with its code, its side and its price`() throws {
    let h = try Harness()
    let id = h.quoter(quote: "2")
    h.quoteBTC(id, #""b":{"p":61790,"a":0.1}"#)
    let out = h.quote(
      id,
      #"{"i":"BTC-PERPETUAL","b":{"p":61790.5,"a":0.1},"a":{"p":61810,"a":2.001}},{"i":"NOPE","b":{"p":1,"a":1}},"#
        + #"{"i":"BTC-PERPETUAL","a":[[61820,0.1],[-5,0.1],[61830,0.0005],[61820,0.2]]}"#)
    #expect(out.tally == [1, 6])
    #expect(out.errors.map { $0["code"] as? Int } == [15, 44, 5, 13, 14, 6])
    #expect(out.errors.map { $0.text("side") } == ["bid", "ask", "bid", "ask", "ask", "ask"])
    #expect(out.errors.map { $0.number("price") } == [61_790.5, 61_810, 1, -5, 61_830, 61_820])
    // The refused bid left the standing one alone; the good level of the ladder rests.
    #expect(h.openPrices(id) == [61_790, 61_820])
  }

  @Test func `quotes are not checked against collars, nor against the number of open orders`() throws {
    let h = try Harness { $0.maximumOpenOrders = 1 }
    let id = h.quoter()
    // The collar of a sale is 59,946; the best bid is 61,800, so this sells down to the book.
    let out = h.quoteBTC(id, #""b":[[61790,0.1],[61789,0.1]],"a":{"p":1000,"a":0.1}"#)
    #expect(out.tally == [3, 0])
    #expect(out.orders.map { $0.text("status") } == ["open", "open", "filled"])
    #expect(h.insert(id, "buy", "0.1", "61700").errorCode == nil)
    #expect(h.insert(id, "buy", "0.1", "61700").errorCode == 49)
  }

  @Test func `post-only widens a price that would cross, or removes it`() throws {
    let h = try Harness()
    let id = h.quoter()
    let widened = h.quoteBTC(id, #""b":{"p":61805,"a":0.1}"#, #""post_only":true"#)
    #expect(widened.tally == [1, 0])
    #expect(widened.orders.map { $0.number("price") } == [61_800])
    let removed = h.quoteBTC(id, #""b":{"p":61806,"a":0.1}"#, #""post_only":true,"reject_post_only":true"#)
    #expect(removed.tally == [1, 0])
    #expect(removed.orders.map { $0.text("delete_reason") } == ["replaced", "immediate_cancel"])
    #expect(h.openPrices(id).isEmpty)
  }

  @Test func `a quote stops at an order of its own account`() throws {
    let h = try Harness(flow: [(0, wideMarket[0].1)])
    let id = h.quoter()
    h.quoteBTC(id, #""a":{"p":61800,"a":0.1}"#)
    let out = h.quoteBTC(id, #""b":{"p":61802,"a":0.1}"#)
    #expect(out.orders.map { $0.text("delete_reason") } == ["self_trade_prevention"])
    #expect(h.openPrices(id) == [61_800])
  }

  @Test(arguments: [
    #"{}"#, #"{"quotes":1}"#, #"{"quotes":[1]}"#, #"{"quotes":[{"b":{"p":1,"a":1}}]}"#,
    #"{"quotes":[{"i":"BTC-PERPETUAL","b":{"p":1}}]}"#, #"{"quotes":[{"i":"BTC-PERPETUAL","b":[[1]]}]}"#,
    #"{"quotes":[{"i":"BTC-PERPETUAL","b":[1]}]}"#, #"{"quotes":[{"i":"BTC-PERPETUAL","b":7}]}"#,
    #"{"quotes":[{"i":"BTC-PERPETUAL","b":{"p":"1","a":1}}]}"#, #"{"quotes":[],"label":"a b"}"#,
    #"{"quotes":[],"reject_post_only":true}"#, #"{"quotes":[],"stp_level":"none"}"#,
  ])
  func `a malformed request is refused as a whole`(params: String) throws {
    let h = try Harness()
    let id = h.quoter()
    #expect(h.ask(id, "private/mass_quote", params).errorCode == 6)
  }

  @Test func `a request carries 100 entries and a side ten levels, not more`() throws {
    let h = try Harness()
    let id = h.quoter()
    let entry = #"{"i":"BTC-PERPETUAL","b":{"p":61790,"a":0.1}}"#
    #expect(h.quote(id, Array(repeating: entry, count: 100).joined(separator: ",")).tally == [100, 0])
    #expect(h.quote(id, Array(repeating: entry, count: 101).joined(separator: ","))[0].errorCode == 6)
    func ladder(_ count: Int) -> String {
      "\"b\":[" + (0..<count).map { "[\(61_700 - $0),0.01]" }.joined(separator: ",") + "]"
    }
    #expect(h.quoteBTC(id, ladder(10)).tally == [10, 0])
    #expect(h.quoteBTC(id, ladder(11))[0].errorCode == 6)
    #expect(h.openPrices(id).count == 10)
  }

  @Test func `it needs cancel-on-disconnect, a protection and an account that may`() throws {
    let h = try Harness()
    let plain = h.trader(cod: false)
    #expect(h.protect(plain).errorCode == nil)
    #expect(h.quoteBTC(plain, #""b":[]"#)[0].errorCode == 52)
    let fresh = h.trader(2)
    #expect(h.quoteBTC(fresh, #""b":{"p":61790,"a":0.1}"#)[0].errorCode == 23)
    let other = h.trader(3)
    h.protect(other, product: "FETHUSD")
    let refused = h.quoteBTC(other, #""b":{"p":61790,"a":0.1},"a":[]"#)
    #expect(refused.tally == [0, 2])
    #expect(refused.errors.map { $0["code"] as? Int } == [23, 23])
    let closed = try Harness { $0.allowsMassQuotes = false }
    #expect(closed.quoteBTC(closed.quoter(), #""b":[]"#)[0].errorCode == 51)
  }

  @Test(arguments: [
    (VenueConfiguration.MassQuoteCost.perRequest, 50), (.perQuote, 25), (.perSide, 16),
  ])
  func `a mass quote counts by request, entry or side`(cost: VenueConfiguration.MassQuoteCost, passes: Int) throws {
    let h = try Harness { $0.massQuoteCost = cost }
    let id = h.quoter()
    let both = #"{"i":"BTC-PERPETUAL","b":{"p":61790,"a":0.1},"a":{"p":61810,"a":0.1}}"#
    let one = #"{"i":"BTC-PERPETUAL","b":{"p":61789,"a":0.1}}"#
    var passed = 0
    while passed < 100, h.quote(id, both + "," + one)[0].errorCode == nil { passed += 1 }
    #expect(passed == passes)
    #expect(h.quote(id, both + "," + one)[0].errorCode == 4)
  }

  @Test func `cancel_mass_quote takes the quotes of all sessions of the account, of one product or of all`() throws {
    let h = try Harness()
    let a = h.quoter(1)
    let b = h.quoter(2)
    h.protect(b, trade: "50", quote: "50", product: "FETHUSD")
    h.quoteBTC(a, #""b":{"p":61790,"a":0.1}"#)
    h.quote(b, #"{"i":"BTC-PERPETUAL","b":{"p":61780,"a":0.1}},{"i":"ETH-PERPETUAL","b":{"p":2600,"a":1}}"#)
    h.insert(a, "buy", "0.1", "61700", client: 1)
    _ = h.take(b)
    let out = h.send(a, #"{"method":"private/cancel_mass_quote","id":7,"params":{"product":"FBTCUSD"}}"#)
    #expect(out[0].text == #"{"id":7,"result":null}"#)
    #expect(out.orders.map { $0.text("delete_reason") } == ["client_bulk_cancel"])
    #expect(out.protection.map { $0.text("reason") } == ["client_cancel"])
    let told = h.take(b)
    #expect(told.orders.map { $0.text("delete_reason") } == ["client_bulk_cancel"])
    #expect(told.protection.map { $0.text("product") } == ["FBTCUSD"])
    #expect(h.openPrices(a) == [2_600, 61_700])
    #expect(h.quoteBTC(a, #""b":{"p":61790,"a":0.1}"#)[0].errorCode == 23)
    #expect(h.quote(b, #"{"i":"ETH-PERPETUAL","b":{"p":2601,"a":1}}"#).tally == [1, 0])
    h.ask(a, "private/cancel_mass_quote")
    #expect(h.openPrices(a) == [61_700])
    #expect(h.ask(a, "private/cancel_mass_quote", #"{"product":"X"}"#).errorCode == 17)
    #expect(h.ask(a, "private/cancel_mass_quote", #"{"product":1}"#).errorCode == 6)
  }

  @Test(arguments: [true, false])
  func `cancel_all takes mass quotes, or leaves them`(takes: Bool) throws {
    let h = try Harness { $0.cancelAllTakesQuotes = takes }
    let id = h.quoter()
    h.quoteBTC(id, #""b":{"p":61790,"a":0.1}"#)
    h.insert(id, "buy", "0.1", "61700")
    #expect(h.ask(id, "private/cancel_all").result as? Int == (takes ? 2 : 1))
    #expect(h.openPrices(id) == (takes ? [] : [61_790]))
  }

  @Test func `amended quotes are ordinary orders, and the next mass quote finds them`() throws {
    let h = try Harness()
    let id = h.quoter()
    let order = h.quoteBTC(id, #""b":{"p":61790,"a":0.1}"#).orders[0].text("order_id")
    #expect(h.ask(id, "private/amend", "{\"order_id\":\"\(order)\",\"price\":61791,\"amount\":0.2}").errorCode == nil)
    #expect(h.quoteBTC(id, #""b":{"p":61791,"a":0.2}"#).count == 1)
    #expect(h.quoteBTC(id, #""b":{"p":61792,"a":0.2}"#).orders[0].text("order_id") == order)
  }

  @Test func `a notification of very many orders comes in pieces below 1 MiB`() throws {
    let h = try Harness { $0.maximumOpenOrders = 5000 }
    let id = h.trader(cod: false)
    h.ask(id, "private/subscribe", #"{"channels":["account.orders"]}"#)
    for _ in 0..<2500 {
      h.insert(id, "buy", "0.001", "61000")
      h.pass(100 * millisecond)
    }
    _ = h.take(id)
    let out = h.send(id, #"{"method":"private/cancel_all","id":1,"params":{}}"#)
    #expect(out[0].result as? Int == 2500)
    #expect(out.count == 3 && out.dropFirst().map(\.list.count).reduce(0, +) == 2500)
    #expect(out.allSatisfy { $0.text.utf8.count < 1 << 20 })
    #expect(Set(out.dropFirst().flatMap(\.list).map { $0.text("order_id") }).count == 2500)
  }

  @Test func `rolls are mass quoted at prices of either sign, and count in the product of their legs`() throws {
    let h = try Harness.dated()
    let id = h.quoter(trade: "0.3", quote: "1")
    let roll = "BTC-21APR26-PERPETUAL"
    let out = h.quote(
      id,
      "{\"i\":\"\(roll)\",\"b\":[[-5,0.2],[-6,0.2]],\"a\":{\"p\":0,\"a\":0.2}},{\"i\":\"BTC-21APR26\",\"b\":{\"p\":61700,\"a\":0.1}}"
    )
    #expect(out.tally == [4, 0])
    h.order(h.trader(2, kid: "K2"), roll, "sell", "0.4", "-6")
    let told = h.take(id)
    #expect(told.protection.map { $0.number("remaining_amount") } == [-0.1])
    // The future's quote went with the roll's: one product.
    #expect(h.openPrices(id).isEmpty)
  }
}
