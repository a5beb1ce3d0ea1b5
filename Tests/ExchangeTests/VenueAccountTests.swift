import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Order history, persistent orders, conditional orders, requests for quotes, margin questions (reference 6.6 to 7.7).
@Suite struct VenueAccountTests {
  @Test func `the order history keeps what the reference says, late and a page at a time`() throws {
    let h = try Harness()
    let id = h.quoter()
    h.ask(id, "private/subscribe", #"{"channels":["account.order_history"]}"#)
    h.insert(id, "buy", "0.1", "61700", client: 1)
    h.ask(id, "private/cancel", #"{"client_order_id":1}"#)
    h.quoteBTC(id, #""b":{"p":61710,"a":0.1}"#)
    h.quoteBTC(id, #""b":[]"#)
    #expect(h.ask(id, "private/order_history").object.items("orders").isEmpty)
    h.insert(id, "buy", "0.1", "61801", client: 2, #""label":"x""#)
    h.insert(id, "buy", "0.1", "61700", client: 3, #""time_in_force":"immediate_or_cancel""#)
    h.insert(id, "buy", "0.1", "61700", client: 4)
    h.ask(id, "private/cancel_session")
    #expect(h.ask(id, "private/order_history").object.items("orders").isEmpty)
    h.pass(51 * millisecond)
    let told = h.take(id).filter { $0.channel == "account.order_history" }.flatMap(\.list)
    #expect(told.map { $0.text("delete_reason") } == ["filled", "immediate_cancel", "session_end"])
    let first = h.ask(id, "private/order_history", #"{"limit":2}"#).object
    #expect(first.items("orders").map { $0["client_order_id"] as? Int } == [4, 3])
    let second = h.ask(id, "private/order_history", "{\"limit\":2,\"bookmark\":\"\(first.text("bookmark"))\"}").object
    #expect(second.items("orders").map { $0["client_order_id"] as? Int } == [2])
    #expect(second["bookmark"] is NSNull)
    let filled = second.items("orders")[0]
    #expect(filled.items("fills").count == 1 && filled["remaining_amount"] == nil && filled["close_time"] != nil)
    func count(_ filter: String) -> Int { h.ask(id, "private/order_history", filter).object.items("orders").count }
    #expect(count(#"{"label":"x"}"#) == 1)
    #expect(count(#"{"direction":"sell"}"#) == 0)
    #expect(count(#"{"instrument_names":"ETH-PERPETUAL"}"#) == 0)
    #expect(count(#"{"sort":"ascending"}"#) == 3)
    #expect(h.ask(id, "private/order_history", #"{"limit":0}"#).errorCode == 6)
  }

  @Test func `account.persistent_orders shows persistent orders only`() throws {
    let h = try Harness()
    let id = h.trader(cod: false)
    h.insert(id, "buy", "0.1", "61600", client: 1)
    let snapshot = h.send(
      id, #"{"method":"private/subscribe","id":1,"params":{"channels":["account.persistent_orders"]}}"#)
    #expect(snapshot[1].list.count == 1 && snapshot[1].json["snapshot"] as? Bool == true)
    h.insert(id, "buy", "0.1", "61601", client: 2)
    #expect(h.take(id).isEmpty)
    h.ask(id, "private/set_cancel_on_disconnect", #"{"timeout_secs":6}"#)
    let more = h.send(
      id,
      #"{"method":"private/buy","id":1,"params":{"instrument_name":"BTC-PERPETUAL","amount":0.1,"price":61602}}"#)
    #expect(more.count == 1)
    let gone = h.send(id, #"{"method":"private/cancel_all","id":1,"params":{}}"#)
    #expect(gone.first { $0.channel == "account.persistent_orders" }?.list.count == 2)
  }

  // MARK: conditional orders

  private func conditional(_ h: Harness, _ id: ConnectionID, _ params: String) -> Received {
    h.ask(
      id, "private/create_conditional_order",
      "{\"instrument_name\":\"BTC-PERPETUAL\",\"amount\":0.1,\"target\":\"index\",\(params)}")
  }

  @Test(arguments: [
    (#""direction":"sell","stop_price":61500"#, 61_600, 61_500),
    (#""direction":"buy","stop_price":62000"#, 61_999, 62_000),
    (#""direction":"buy","stop_price":70000,"bracket_price":61000"#, 61_001, 61_000),
    (#""direction":"sell","stop_price":60000,"trailing_stop_callback_rate":0.01"#, 62_000, 61_380),
  ])
  func `a conditional order waits for its price, then is a market order`(params: String, quiet: Int64, trigger: Int64)
    throws
  {
    let h = try Harness(flow: [
      (0, ScriptedFlow.calm), (second, [.index(0, e8: quiet * 100_000_000)]),
      (3 * second, [.index(0, e8: trigger * 100_000_000)]),
    ])
    let id = h.trader(cod: false)
    h.ask(id, "private/subscribe", #"{"channels":["account.conditional_orders","account.orders"]}"#)
    let made = conditional(h, id, params).object
    #expect(made.text("status") == "created")
    #expect(h.ask(id, "private/open_conditional_orders").list.map { $0.text("status") } == ["active"])
    h.pass(2500 * millisecond)
    #expect(h.ask(id, "private/open_conditional_orders").list.count == 1)
    _ = h.take(id)
    h.pass(2 * second)
    let out = h.take(id)
    let list = out.first { $0.channel == "account.conditional_orders" }?.list ?? []
    #expect(list.map { $0.text("status") } == ["converted"])
    let order = out.first { $0.channel == "account.orders" }?.list.first ?? [:]
    #expect(order.text("insert_reason") == "conditional_order")
    #expect(order.text("conditional_order_id") == made.text("order_id"))
    #expect(order.text("order_id") == list[0].text("converted_order_id"))
    #expect(order.text("status") == "filled" && order.text("order_type") == "market")
    #expect(h.ask(id, "private/open_conditional_orders").list.isEmpty)
    #expect(h.ask(id, "private/conditional_orders").list.count == 1)
  }

  @Test func `a stop-limit rests, cancels work, and nonsense is refused`() throws {
    let h = try Harness(flow: [(0, ScriptedFlow.calm), (second, [.index(0, e8: 61_400_00000000)])])
    let id = h.trader(cod: false)
    _ = conditional(h, id, #""direction":"sell","stop_price":61500,"limit_price":61900"#)
    let kept = conditional(h, id, #""direction":"sell","stop_price":50000"#).object.text("order_id")
    #expect(h.ask(id, "private/cancel_all").result as? Int == 0)
    h.pass(2 * second)
    #expect(h.openPrices(id) == [61_900])
    #expect(h.ask(id, "private/cancel_conditional_order", "{\"order_id\":\"\(kept)\"}").errorCode == nil)
    #expect(h.ask(id, "private/cancel_conditional_order", "{\"order_id\":\"\(kept)\"}").errorCode == 1)
    _ = conditional(h, id, #""direction":"sell","stop_price":50000"#)
    #expect(h.ask(id, "private/cancel_all_conditional_orders").errorCode == nil)
    #expect(h.ask(id, "private/open_conditional_orders").list.isEmpty)
    _ = conditional(h, id, #""direction":"buy","stop_price":61000,"reduce_only":true"#)
    h.pass(second)
    let list = h.ask(id, "private/conditional_orders").list
    #expect(list.last?.text("status") == "rejected" && list.last?["reject_reason"] != nil)
    #expect(conditional(h, id, #""direction":"up","stop_price":61000"#).errorCode == 6)
    #expect(conditional(h, id, #""direction":"buy","stop_price":61000.5"#).errorCode == 15)
    #expect(
      conditional(h, id, #""direction":"buy","stop_price":61000,"limit_price":1,"bracket_price":2"#).errorCode == 6)
  }

  // MARK: requests for quotes

  @Test func `a request for quotes reaches market makers, who quote it; it is not traded here`() throws {
    let h = try Harness.dated()
    let asker = h.trader(1)
    let maker = h.trader(2, kid: "K2")
    #expect(
      h.send(maker, #"{"method":"private/subscribe","id":1,"params":{"channels":["mm.rfqs","mm.rfq_quotes"]}}"#)
        .dropFirst().allSatisfy { $0.list.isEmpty && $0.json["snapshot"] as? Bool == true })
    let made = h.ask(
      asker, "private/create_rfq",
      #"{"legs":[{"instrument_name":"BTC-21APR26-62000-C","amount":0.4},{"instrument_name":"BTC-21APR26-62000-P","amount":-0.2}]}"#
    ).object
    #expect(made.number("amount") == 0.2)
    #expect(made.items("legs").map { $0["quantity"] as? Int } == [2, -1])
    let rfq = made.text("rfq_id")
    #expect(h.take(maker).map { $0.list[0].text("rfq_id") } == [rfq])
    #expect(h.ask(asker, "private/open_rfqs").list.count == 1)
    #expect(h.ask(maker, "private/open_rfqs").list.isEmpty)
    #expect(h.ask(maker, "private/mm_rfqs").list.count == 1)
    let trade = "{\"rfq_id\":\"\(rfq)\",\"direction\":\"sell\",\"limit_price\":100}"
    #expect(h.ask(asker, "private/trade_rfq", trade).errorCode == 41)
    let quote = h.send(
      maker,
      "{\"method\":\"private/mm_rfq_insert_quote\",\"id\":1,\"params\":{\"rfq_id\":\"\(rfq)\",\"direction\":\"buy\","
        + "\"price\":120.5,\"amount\":0.2,\"client_order_id\":5}}")
    #expect(quote[0].object.number("price") == 120.5 && quote[0].object.text("rfq_id") == rfq)
    #expect(quote.dropFirst().map { $0.list[0].text("event") } == ["Inserted"])
    #expect(h.ask(asker, "private/trade_rfq", trade).errorCode == 37)
    #expect(
      h.ask(maker, "private/mm_rfq_amend_quote", #"{"client_order_id":5,"price":130,"amount":0.2}"#).object.number(
        "price") == 130)
    #expect(h.ask(maker, "private/mm_rfq_quotes").list.count == 1)
    #expect(h.ask(maker, "private/mm_rfq_delete_quote", #"{"client_order_id":5}"#).errorCode == nil)
    #expect(h.ask(maker, "private/mm_rfq_delete_quote", #"{"client_order_id":5}"#).errorCode == 1)
    #expect(h.ask(maker, "private/cancel_rfq", "{\"rfq_id\":\"\(rfq)\"}").errorCode == 1)
    #expect(h.ask(asker, "private/cancel_rfq", "{\"rfq_id\":\"\(rfq)\"}").errorCode == nil)
    #expect(h.ask(maker, "private/mm_rfqs").list.isEmpty)
    #expect(h.ask(asker, "private/create_rfq", #"{"legs":[]}"#).errorCode == 6)
    #expect(h.ask(asker, "private/create_rfq", #"{"legs":[{"instrument_name":"X","amount":1}]}"#).errorCode == 5)
  }

  @Test func `margin questions follow the summary's rule, and what is not modelled gets 37`() throws {
    let h = try Harness()
    let id = h.trader()
    h.insert(id, "buy", "1", "61801")
    let current = h.ask(id, "private/account_summary").object.number("required_margin")
    #expect(
      abs(
        current - h.ask(id, "public/ticker", #"{"instrument_name":"BTC-PERPETUAL"}"#).object.number("mark_price") / 50)
        < 1e-6)
    let what = h.ask(
      id, "private/required_margin_for_order", #"{"instrument_name":"BTC-PERPETUAL","price":61000,"amount":1}"#
    ).object.mapValues { ($0 as? [String: Any])?.number("required_margin") }
    #expect(what["current"] == current)
    #expect(abs(((what["with_buy"] ?? 0) ?? 0) - current * 2) < 1e-6)
    #expect(what["with_sell"] == current)
    let breakdown = h.ask(id, "private/account_breakdown").object
    #expect(breakdown.text("account_number") == "A1")
    #expect(breakdown.items("portfolio").map { $0.number("position") } == [1])
    for method in ["required_margin_breakdown", "create_bot", "rfq_history"] {
      #expect(h.ask(id, "private/\(method)").errorCode == 37)
    }
  }
}
