import Apus
import ApusExchange
import CSupport
import Testing

/// insert, amend, cancel (reference 6.1 to 6.3, 7.1, 8.6, section 11).
@Suite struct VenueTradingTests {
  @Test func `an order rests, is amended, trades as maker and reports every step`() throws {
    let h = try Harness(flow: [(0, ScriptedFlow.calm), (second, [.trade(0, aggressor: .sell, 61_800, 1040)])])
    let id = h.trader()
    h.ask(id, "private/subscribe", #"{"channels":["session.orders","account.portfolio","account.trade_history"]}"#)
    let reply = h.insert(id, "buy", "0.1", "61799", client: 1001, #""label":"mm","post_only":true"#)
    #expect(reply.object.text("status") == "open")
    let amended = h.send(
      id, #"{"method":"private/amend","id":8,"params":{"client_order_id":1001,"price":61800,"amount":0.1}}"#)
    #expect(amended.count == 2)
    #expect(amended[0].object.text("change_reason") == "amend")
    #expect(amended[1].channel == "session.orders")
    h.pass(second)
    let fills = h.take(id)
    #expect(fills.map(\.channel) == ["session.orders"])
    #expect(fills[0].list[0].text("status") == "partially_filled")
    #expect(fills[0].list[0].number("remaining_amount") == 0.06)
    #expect(fills[0].list[0].items("fills")[0].text("maker_taker") == "maker")
    h.pass(50 * millisecond)
    #expect(h.take(id).map(\.channel) == ["account.trade_history", "account.portfolio"])
  }

  @Test func `a request's outputs come as reply, session orders, account orders, market data`() throws {
    let h = try Harness()
    let id = h.trader()
    h.ask(id, "private/subscribe", #"{"channels":["account.orders","session.orders"]}"#)
    h.ask(
      id, "public/subscribe",
      #"{"channels":["ticker.BTC-PERPETUAL.raw","recent_trades.BTC-PERPETUAL.single","book.BTC-PERPETUAL.none.5.raw"]}"#
    )
    let out = h.send(
      id, #"{"method":"private/buy","id":3,"params":{"instrument_name":"BTC-PERPETUAL","amount":0.5,"price":61801}}"#)
    #expect(
      out.map(\.channel) == [
        nil, "session.orders", "account.orders", "book.BTC-PERPETUAL.none.5.raw", "ticker.BTC-PERPETUAL.raw",
        "recent_trades.BTC-PERPETUAL.single",
      ])
  }

  @Test func `the switch for notifications before replies turns the two round`() throws {
    let h = try Harness { $0.notifiesBeforeReply = true }
    let id = h.trader()
    h.ask(id, "private/subscribe", #"{"channels":["session.orders"]}"#)
    let out = h.send(
      id, #"{"method":"private/buy","id":3,"params":{"instrument_name":"BTC-PERPETUAL","amount":0.5,"price":61000}}"#)
    #expect(out.map(\.channel) == ["session.orders", nil])
  }

  @Test(arguments: [
    // price and amount both misaligned: the price is checked first
    ("0.0005", "61799.5", "", 15), ("0.0005", "61799", "", 14), ("0", "61799", "", 14), ("-1", "61799", "", 14),
    ("0.1", "0", "", 13), ("0.1", "-5", "", 13), ("0.1", nil, "", 13), ("0.1", "\"61799\"", "", 6),
    ("\"0.1\"", "61799", "", 6), ("null", "61799", "", 6), ("0.1", "61799", #""time_in_force":"fill_or_kill""#, 6),
    ("0.1", "61799", #""order_type":"stop""#, 6), ("0.1", "61799", #""post_only":1"#, 6),
    ("0.1", "61799", #""reject_post_only":true"#, 6), ("0.1", "61799", #""label":"a b""#, 6),
    ("0.1", "61799", #""client_order_id":-1"#, 6), ("0.1", "61799", #""client_order_id":1.5"#, 6),
    ("0.1", "61799", #""stp_level":"nobody""#, 6), ("0.1", "61799", #""collar":"maybe""#, 6),
    ("0.1", "61799", #""legs":[]"#, 6),
    ("0.1", "61799", #""post_only":true,"time_in_force":"immediate_or_cancel""#, 25),
    ("0.1", nil, #""order_type":"market","time_in_force":"good_till_cancelled""#, 25),
    ("0.1", nil, #""order_type":"market","collar":"ignore""#, 45), ("0.1", "63655", "", 43),
    ("0.1", "61799", #""reduce_only":true"#, 57), ("2000", "61799", "", 50),
  ])
  func `a faulty insert is refused with the code of its fault`(
    amount: String, price: String?, more: String, code: Int
  ) throws {
    let h = try Harness()
    let id = h.trader()
    #expect(h.insert(id, "buy", amount, price, more).errorCode == code)
    #expect(h.ask(id, "private/open_orders").list.isEmpty)
  }

  @Test func `sizes and prices are rounded to eight decimals before the grid is checked`() throws {
    let h = try Harness()
    let id = h.trader()
    let order = h.insert(id, "buy", "0.30000000000000004", "61799.000000000001").object
    #expect(order.number("amount") == 0.3)
    #expect(order.number("price") == 61799)
    #expect(h.insert(id, "buy", "3e-1", "6.1799E4").object.number("amount") == 0.3)
  }

  @Test func `post-only moves a crossing price one tick behind the opposite best, or refuses if asked`() throws {
    let h = try Harness()
    let id = h.trader()
    let moved = h.insert(id, "buy", "0.1", "61805", #""post_only":true"#).object
    #expect(moved.number("price") == 61_800)
    #expect(moved.text("status") == "open")
    let refused = h.insert(id, "sell", "0.1", "61790", #""post_only":true,"reject_post_only":true"#).object
    #expect(refused.text("status") == "cancelled")
    #expect(refused.text("delete_reason") == "immediate_cancel")
    #expect(refused.number("price") == 61_790)
    #expect(refused.number("remaining_amount") == 0)
  }

  @Test func `an immediate order takes what is there and dies with the rest`() throws {
    let h = try Harness()
    let id = h.trader()
    let part = h.insert(id, "buy", "1.5", "61801", #""time_in_force":"immediate_or_cancel""#).object
    #expect(part.text("status") == "cancelled_partially_filled")
    #expect(part.text("delete_reason") == "immediate_cancel")
    #expect(part.number("filled_amount") == 1)
    #expect(part.items("fills").count == 1)
    let none = h.insert(id, "buy", "0.1", "61801", #""time_in_force":"immediate_or_cancel""#).object
    #expect(none.text("status") == "cancelled")
    #expect(none.items("fills").isEmpty)
  }

  @Test func `a market order sweeps within the collar and has no price`() throws {
    let h = try Harness()
    let id = h.trader()
    let order = h.insert(id, "sell", "1.5", nil, #""order_type":"market""#).object
    #expect(order.text("status") == "filled")
    #expect(order["price"] == nil)
    #expect(order.items("fills").map { $0.number("price") } == [61_800, 61_799])
    #expect(order.text("time_in_force") == "immediate_or_cancel")
    let empty = try Harness(flow: [])
    let other = empty.trader()
    #expect(empty.insert(other, "sell", "1", nil, #""order_type":"market""#).errorCode == 41)
  }

  @Test func `a price beyond the collar is clamped on request and kept with ignore`() throws {
    let h = try Harness()
    let id = h.trader()
    // Mark 61,800: bids up to 63,654, asks down to 59,946.
    #expect(h.insert(id, "sell", "0.001", "59945").errorCode == 43)
    #expect(h.insert(id, "sell", "5", "50000", #""collar":"clamp""#).object.number("price") == 59_946)
    let other = h.trader(2, kid: "K2")
    #expect(h.insert(other, "buy", "0.001", "63654").object.text("status") == "filled")
    #expect(h.insert(other, "buy", "9", "70000", #""collar":"ignore""#).object.number("price") == 70_000)
    // Far from the market on the passive side is fine.
    #expect(h.insert(other, "buy", "0.001", "100").object.text("status") == "open")
  }

  @Test func `meeting an own order ends the rest of the incoming one, before or after partial fills`() throws {
    let h = try Harness()
    let id = h.trader()
    #expect(h.insert(id, "sell", "0.5", "61802").object.text("status") == "open")
    // 1 at 61,801 and 2 of the background at 61,802 come first.
    let cut = h.insert(id, "buy", "4", "61805").object
    #expect(cut.text("status") == "cancelled_partially_filled")
    #expect(cut.text("delete_reason") == "self_trade_prevention")
    #expect(cut.number("filled_amount") == 3)
    let whole = h.insert(id, "buy", "1", "61805", #""stp_action":"cancel_aggressive_no_fill""#).object
    #expect(whole.text("delete_reason") == "self_trade_prevention")
    #expect(whole.number("filled_amount") == 0)
    #expect(h.insert(id, "buy", "0.5", "61805", #""stp_level":"disabled""#).object.text("status") == "filled")
    #expect(h.ask(id, "private/open_orders").list.isEmpty)
  }

  @Test func `the same self-trade group spans the connections of an account, not other accounts`() throws {
    let h = try Harness()
    let first = h.trader(1)
    let second = h.trader(2)
    let other = h.trader(3, kid: "K2")
    h.insert(first, "sell", "0.5", "61800")
    #expect(h.insert(first, "sell", "0.5", "61801").object.text("status") == "open")
    #expect(
      h.insert(second, "buy", "2", "61801", #""time_in_force":"immediate_or_cancel""#).object.text("delete_reason")
        == "self_trade_prevention")
    #expect(h.insert(other, "buy", "0.5", "61801").object.text("status") == "filled")
  }

  @Test func `a reduce-only order is cut to the position and shrinks with it`() throws {
    let h = try Harness()
    let id = h.trader()
    h.insert(id, "buy", "0.5", "61801")
    #expect(h.insert(id, "buy", "0.1", "61700", #""reduce_only":true"#).errorCode == 57)
    let cut = h.insert(id, "sell", "2", "61900", client: 5, #""reduce_only":true"#).object
    #expect(cut.number("amount") == 0.5)
    #expect(cut["reduce_only"] as? Bool == true)
    h.insert(id, "sell", "0.3", "61800")
    #expect(h.ask(id, "private/open_orders").list[0].number("amount") == 0.2)
    h.insert(id, "sell", "0.2", "61800")
    #expect(h.ask(id, "private/open_orders").list.isEmpty)
    #expect(h.ask(id, "private/cancel", #"{"client_order_id":5}"#).errorCode == 1)
  }

  @Test func `a client order id is refused while in use and free again after death`() throws {
    let h = try Harness()
    let id = h.trader()
    #expect(h.insert(id, "buy", "0.1", "61700", client: 1001).errorCode == nil)
    #expect(h.insert(id, "buy", "0.1", "61700", client: 1001).errorCode == 2)
    #expect(h.ask(id, "private/cancel", #"{"client_order_id":1001}"#).object.text("delete_reason") == "client_cancel")
    #expect(h.ask(id, "private/cancel", #"{"client_order_id":1001}"#).errorCode == 1)
    #expect(h.insert(id, "buy", "0.1", "61700", client: 1001).errorCode == nil)
    let other = h.trader(2)
    #expect(h.ask(other, "private/cancel", #"{"client_order_id":1001}"#).errorCode == 1)
    #expect(h.insert(other, "buy", "0.1", "61700", client: 1001).errorCode == nil)
    let large = h.insert(other, "buy", "0.1", "61700", client: nil, #""client_order_id":18446744073709551615"#)
    #expect(large.text.contains("\"client_order_id\":18446744073709551615"))
  }

  @Test func `an order can be reached by its id from any connection of its account only`() throws {
    let h = try Harness()
    let owner = h.trader(1)
    let sibling = h.trader(2)
    let stranger = h.trader(3, kid: "K2")
    let order = h.insert(owner, "buy", "0.1", "61700").object.text("order_id")
    #expect(h.ask(stranger, "private/cancel", "{\"order_id\":\"\(order)\"}").errorCode == 1)
    let amended = h.ask(sibling, "private/amend", "{\"order_id\":\"\(order)\",\"price\":61701,\"amount\":0.2}").object
    #expect(amended.number("price") == 61_701)
    #expect(h.ask(sibling, "private/cancel", "{\"order_id\":\"\(order)\"}").object.text("status") == "cancelled")
    #expect(h.ask(owner, "private/cancel", "{\"order_id\":\"\(order)\"}").errorCode == 1)
    #expect(h.ask(owner, "private/cancel", "{\"order_id\":\"\"}").errorCode == 12)
    #expect(h.ask(owner, "private/cancel", "{}").errorCode == 6)
    #expect(h.ask(owner, "private/cancel", "{\"order_id\":\"\(order)\",\"client_order_id\":1}").errorCode == 6)
  }

  @Test func `an amend keeps its place only with the same price and a smaller size`() throws {
    for (size, price, isFirst) in [("0.4", "61800", true), ("0.6", "61800", false), ("0.5", "61799", false)] {
      let h = try Harness(flow: [(0, [.index(0, e8: 61_800_00000000)])])
      let first = h.trader(1)
      let second = h.trader(2, kid: "K2")
      h.insert(first, "buy", "0.5", "61800", client: 1)
      h.insert(second, "buy", "0.5", "61800", client: 2)
      h.ask(first, "private/amend", "{\"client_order_id\":1,\"price\":\(price),\"amount\":\(size)}")
      if price == "61799" { h.ask(first, "private/amend", #"{"client_order_id":1,"price":61800,"amount":0.5}"#) }
      let taker = h.trader(3, kid: "K3")
      h.insert(taker, "sell", "0.1", "61800")
      #expect((h.ask(first, "private/open_orders").list[0].number("filled_amount") == 0.1) == isFirst)
    }
  }

  @Test func `an amend states the total size, may trade, and at or below the filled size cancels`() throws {
    let h = try Harness()
    let id = h.trader()
    h.insert(id, "buy", "1.5", "61801", client: 1)
    let grown = h.ask(id, "private/amend", #"{"client_order_id":1,"price":61801,"amount":2}"#).object
    #expect(grown.number("remaining_amount") == 1)
    #expect(grown.text("status") == "partially_filled")
    let crossing = h.ask(id, "private/amend", #"{"client_order_id":1,"price":61802,"amount":2.5}"#).object
    #expect(crossing.text("status") == "filled")
    #expect(crossing.items("fills").map { $0.number("amount") } == [1.5])
    h.insert(id, "sell", "1.5", "61800", client: 2)
    let ended = h.ask(id, "private/amend", #"{"client_order_id":2,"price":61800,"amount":1}"#).object
    #expect(ended.text("status") == "cancelled_partially_filled")
    #expect(ended.text("delete_reason") == "client_cancel")
    #expect(ended.text("change_reason") == "amend")
    h.insert(id, "sell", "0.1", "61900", client: 3)
    #expect(
      h.ask(id, "private/amend", #"{"client_order_id":3,"price":61900,"amount":0}"#).object.text("status")
        == "cancelled")
    #expect(h.ask(id, "private/amend", #"{"client_order_id":3,"price":61900,"amount":0}"#).errorCode == 1)
  }

  @Test func `a faulty amend leaves the order as it was`() throws {
    let h = try Harness()
    let id = h.trader()
    h.insert(id, "buy", "0.1", "61700", client: 1)
    for (params, code) in [
      (#""price":61700.5,"amount":0.1"#, 15), (#""price":61700,"amount":0.0001"#, 14), (#""price":0,"amount":0.1"#, 13),
      (#""amount":0.1"#, 6), (#""price":61700"#, 6), (#""price":64000,"amount":0.1"#, 43),
    ] {
      #expect(h.ask(id, "private/amend", "{\"client_order_id\":1,\(params)}").errorCode == code)
    }
    let order = h.ask(id, "private/open_orders").list[0]
    #expect(order.number("price") == 61_700)
    #expect(order.number("amount") == 0.1)
  }

  @Test func `a market that moves through an order trades with it at the order's price`() throws {
    let h = try Harness(flow: [
      (0, ScriptedFlow.calm),
      (
        second,
        [
          .level(0, .sell, 61_801, 0), .level(0, .sell, 61_802, 0), .level(0, .buy, 61_806, 500),
          .level(0, .sell, 61_807, 500),
        ]
      ),
    ])
    let id = h.trader()
    h.insert(id, "sell", "0.2", "61803", client: 1)
    h.pass(second + 50 * millisecond)
    let books = try #require(h.venue.books("A1"))
    #expect(books.fills.map(\.priceTicks) == [61_803])
    #expect(books.positions[0].lots == -200)
    #expect(h.ask(id, "public/book", #"{"instrument_name":"BTC-PERPETUAL"}"#).text.contains("[61806,0.3,0.3]"))
  }

  @Test func `too many open orders are refused`() throws {
    let h = try Harness { $0.maximumOpenOrders = 2 }
    let id = h.trader()
    h.insert(id, "buy", "0.1", "61700")
    h.insert(id, "buy", "0.1", "61700")
    #expect(h.insert(id, "buy", "0.1", "61700").errorCode == 49)
  }
}
