import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Mass quotes and market-maker protection (reference 12, 13).
@Suite struct DeribitQuoteTests {
  /// A maker with cancel on disconnect and a configured group.
  func maker(_ h: DeribitHarness, config: String = #""quantity_limit":2.5,"delta_limit":1.5"#) -> ConnectionID {
    let id = h.trader()
    h.ask(id, "private/enable_cancel_on_disconnect")
    let set = h.ask(
      id, "private/set_mmp_config",
      #"{"index_name":"btc_usd","mmp_group":"g","interval":10,"frozen_time":30,"max_quote_quantity":5,\#(config)}"#)
    #expect(set.list.first?.text("mmp_group") == "g", "\(set.text)")
    return id
  }

  @discardableResult
  func quote(
    _ h: DeribitHarness, _ id: ConnectionID, bid: String?, ask: String?, _ more: String = "", set: String = "s",
    instrument: String = "BTC-PERPETUAL"
  ) -> DeribitMessage {
    var sides = ""
    if let bid { sides += #","bid":{\#(bid)}"# }
    if let ask { sides += #","ask":{\#(ask)}"# }
    return h.ask(
      id, "private/mass_quote",
      #"{"quote_id":"1","mmp_group":"g","detailed":true\#(more),"quotes":[{"instrument_name":"\#(instrument)","quote_set_id":"\#(set)"\#(sides)}]}"#
    )
  }

  @Test func `mass quotes need cancel on disconnect, a group, one index and the venue's leave`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let bid = #""price":59000,"amount":100"#
    #expect(quote(h, id, bid: bid, ask: nil).code == 13042)
    h.ask(id, "private/enable_cancel_on_disconnect")
    #expect(quote(h, id, bid: bid, ask: nil).code == 13040)
    h.ask(
      id, "private/set_mmp_config",
      #"{"index_name":"btc_usd","mmp_group":"g","interval":10,"frozen_time":30,"quantity_limit":1,"max_quote_quantity":5}"#
    )
    #expect(quote(h, id, bid: bid, ask: nil).object.items("orders").count == 1)
    #expect(quote(h, id, bid: bid, ask: nil, instrument: "BTC_USDC-PERPETUAL").code == 13040)
    let two =
      #"{"quote_id":"1","mmp_group":"g","quotes":[{"instrument_name":"BTC-PERPETUAL","bid":{\#(bid)}},{"instrument_name":"ETH_USDC-PERPETUAL","bid":{"price":1999,"amount":1}}]}"#
    #expect(h.ask(id, "private/mass_quote", two).code == -32602)
    let closed = try DeribitHarness { $0.allowsMassQuotes = false }
    #expect(quote(closed, closed.trader(), bid: bid, ask: nil).code == 13902)
  }

  @Test func `a quote replaces the one before it, keeps its id, and 0 takes it away`() throws {
    let h = try DeribitHarness()
    let id = maker(h)
    let first = quote(h, id, bid: #""price":59000,"amount":1000"#, ask: #""price":61000,"amount":1000"#).object
    let orders = first.items("orders")
    #expect(orders.count == 2 && orders.allSatisfy { $0["quote"] as? Bool == true && $0["mmp"] as? Bool == true })
    #expect(
      orders[0].text("mmp_group") == "g" && orders[0].text("quote_set_id") == "s" && orders[0].text("label") == "")
    let second = quote(h, id, bid: #""price":59100"#, ask: #""amount":500"#).object.items("orders")
      .sorted { $0.text("direction") < $1.text("direction") }
    #expect(second.map { $0.text("order_id") } == orders.map { $0.text("order_id") })
    #expect(
      second.map { $0.number("price") } == [59_100, 61_000] && second.map { $0.number("amount") } == [1000, 500])
    #expect(h.ask(id, "private/edit", #"{"order_id":"\#(orders[0].text("order_id"))","price":58000}"#).code == 10004)
    quote(h, id, bid: #""amount":0"#, ask: nil)
    let open = h.ask(id, "private/get_open_orders").list
    #expect(open.count == 1 && open[0].text("direction") == "sell")
    #expect(h.ask(id, "private/cancel_quotes", #"{"cancel_type":"all"}"#).result as? Int == 1)
    #expect(h.venue.brokenInvariant() == nil)
  }

  @Test func `one side may fail while the other stands, and a failed amendment takes the resting side`() throws {
    let h = try DeribitHarness()
    let id = maker(h)
    quote(h, id, bid: #""price":59000,"amount":100"#, ask: #""price":61000,"amount":100"#)
    let mixed = quote(h, id, bid: #""price":59001,"amount":100"#, ask: #""price":58000,"amount":100"#).object
    #expect(mixed.items("orders").map { $0.text("direction") } == ["buy"])
    let error = try #require(mixed.items("errors").first)
    #expect(error.text("side") == "ask" && (error["error"] as? [String: Any])?["code"] as? Int == 10005)
    #expect(h.ask(id, "private/get_open_orders").list.map { $0.text("direction") } == ["buy"])
    let none = quote(h, id, bid: nil, ask: #""amount":100"#).object.items("errors")
    #expect((none.first?["error"] as? [String: Any])?["code"] as? Int == 10004)
    let short = h.ask(
      id, "private/mass_quote",
      #"{"quote_id":"2","mmp_group":"g","wait_for_response":false,"quotes":[{"instrument_name":"BTC-PERPETUAL","ask":{"amount":100}}]}"#
    ).object
    #expect(short["errors_count"] as? Int == 1 && short["pending_requests_count"] as? Int == 0)
  }

  @Test func `quotes that move up together do not meet`() throws {
    let h = try DeribitHarness()
    let id = maker(h)
    quote(h, id, bid: #""price":60000.5,"amount":100"#, ask: #""price":60000.5,"amount":0"#)
    quote(h, id, bid: #""price":59990,"amount":100"#, ask: #""price":60000.5,"amount":100"#)
    let moved = quote(h, id, bid: #""price":60000.5,"amount":100"#, ask: #""price":60100,"amount":100"#).object
    #expect(moved.items("orders").count == 2 && moved.items("trades").isEmpty)
  }

  @Test(arguments: [
    (#""price":60000.5,"amount":60"#, "s", true), (#""price":60000.5,"amount":100"#, "t", true),
    (#""price":60000.5,"amount":100"#, "s", false), (#""price":60000.5,"amount":110"#, "s", false),
  ])
  func `a smaller size or another set keeps the place, the same again loses it`(
    ask: String, set: String, keeps: Bool
  ) throws {
    let h = try DeribitHarness(flow: [
      (0, DeribitHarness.calm), (second, [.trade(0, aggressor: .buy, 120_001, 5)]),
    ])
    let id = maker(h)
    let rival = h.trader(2, id: "other")
    quote(h, id, bid: nil, ask: #""price":60000.5,"amount":100"#)
    h.order(rival, "sell", "100", "60000.5")
    quote(h, id, bid: nil, ask: ask, set: set)
    h.pass(second)
    #expect(h.venue.books("desk")?.fills.count == (keeps ? 1 : 0))
    #expect(h.venue.books("other")?.fills.count == (keeps ? 0 : 1))
  }

  @Test func `a quote above max_quote_quantity is refused, and a lower limit curtails what stands`() throws {
    let h = try DeribitHarness()
    let id = maker(h)
    // 5 BTC at 59,000 are 295,000 USD.
    let large = quote(h, id, bid: #""price":59000,"amount":296000"#, ask: nil).object
    #expect(large.items("errors").count == 1)
    // The other side goes with it.
    let both = quote(h, id, bid: #""price":59000,"amount":296000"#, ask: #""price":61000,"amount":10"#).object
    #expect(both.items("errors").map { $0.text("side") } == ["bid", "ask"] && both.items("orders").isEmpty)
    quote(h, id, bid: #""price":59000,"amount":200000"#, ask: nil)
    h.ask(id, "private/subscribe", #"{"channels":["user.orders.any.any.raw"]}"#)
    _ = h.take(id)
    h.ask(
      id, "private/set_mmp_config",
      #"{"index_name":"btc_usd","mmp_group":"g","interval":10,"frozen_time":30,"max_quote_quantity":1,"quantity_limit":2}"#
    )
    #expect(h.take(id).map { $0.data.text("cancel_reason") } == ["mmp_config_curtailment"])
  }

  @Test func `traded quantity triggers protection: quotes go, the account is told, new ones are refused`() throws {
    let h = try DeribitHarness(flow: [
      (0, DeribitHarness.calm), (second, [.trade(0, aggressor: .sell, 119_000, 3100)]),
    ])
    let id = maker(h, config: #""quantity_limit":0.5"#)
    h.ask(id, "private/subscribe", #"{"channels":["user.mmp_trigger.btc_usd","user.orders.any.any.raw"]}"#)
    quote(h, id, bid: #""price":60000.5,"amount":60000"#, ask: #""price":61000,"amount":100"#)
    let plain = h.order(id, "buy", "100", "58000").order.text("order_id")
    _ = h.take(id)
    h.pass(second)
    let told = h.take(id)
    let trigger = try #require(told.first { $0.channel == "user.mmp_trigger.btc_usd" }?.data)
    #expect(trigger["frozen_until"] as? Int64 == h.milliseconds + 30_000 && trigger.text("mmp_group") == "g")
    let cancelled = told.map(\.data).filter { $0.text("order_state") == "cancelled" }
    #expect(cancelled.count == 2 && cancelled.allSatisfy { $0.text("cancel_reason") == "mmp_trigger" })
    #expect(cancelled.allSatisfy { $0["mmp_cancelled"] as? Bool == true })
    #expect(h.ask(id, "private/get_open_orders").list.map { $0.text("order_id") } == [plain])
    #expect(quote(h, id, bid: #""price":59000,"amount":100"#, ask: nil).code == 13030)
    let status = h.ask(id, "private/get_mmp_status").list
    #expect(status.count == 1 && status[0]["frozen_until"] as? Int64 == h.milliseconds + 30_000)
    #expect(h.ask(id, "private/reset_mmp", #"{"index_name":"btc_usd","mmp_group":"g"}"#).result as? String == "ok")
    #expect(h.ask(id, "private/get_mmp_status").list.isEmpty)
    #expect(quote(h, id, bid: #""price":59000,"amount":100"#, ask: nil).object.items("orders").count == 1)
    #expect(h.venue.statistics.protectionHits == 1)
  }

  @Test func `a window that is over counts no more, and net delta has a limit of its own`() throws {
    let h = try DeribitHarness(flow: [
      (0, DeribitHarness.calm), (second, [.trade(0, aggressor: .sell, 120_001, 240)]),
      (20 * second, [.trade(0, aggressor: .sell, 120_001, 240)]),
      (21 * second, [.trade(0, aggressor: .sell, 120_001, 240)]),
    ])
    // 2,400 USD are 0.04 BTC.
    let id = maker(h, config: #""quantity_limit":0.9,"delta_limit":0.07"#)
    quote(h, id, bid: #""price":60000.5,"amount":60000"#, ask: nil)
    h.pass(second)
    h.pass(19 * second)
    #expect(h.venue.statistics.protectionHits == 0)
    h.pass(second)
    #expect(h.venue.statistics.protectionHits == 1 && h.venue.books("desk")?.openOrders.isEmpty == true)
  }

  @Test func `orders with the mmp flag belong to the index's own group`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    #expect(h.order(id, "buy", "10", "59000", #""mmp":true"#).code == 13040)
    h.ask(
      id, "private/set_mmp_config",
      #"{"index_name":"btc_usd","interval":10,"frozen_time":0,"quantity_limit":0.1,"max_quote_quantity":5}"#)
    let order = h.order(id, "buy", "10", "59000", #""mmp":true"#).order
    #expect(order["mmp"] as? Bool == true && order["quote"] == nil)
    #expect(h.ask(id, "private/edit", #"{"order_id":"\#(order.text("order_id"))","mmp":false}"#).code == -32602)
    // Its own taking counts as well.
    h.order(id, "buy", "10000", "60001", #""mmp":true"#)
    #expect(h.order(id, "buy", "10", "59000", #""mmp":true"#).code == 13030)
    #expect(h.ask(id, "private/get_open_orders").list.isEmpty)
    #expect(h.ask(id, "private/get_mmp_status").list.first?["frozen_until"] as? Int == 0)
    h.pass(3600 * second)
    let again = h.trader(2)
    #expect(h.order(again, "buy", "10", "59000", #""mmp":true"#).code == 13030)
    h.ask(again, "private/reset_mmp", #"{"index_name":"btc_usd"}"#)
    #expect(h.order(again, "buy", "10", "59000", #""mmp":true"#).code == nil)
  }

  @Test func `cancels can freeze quotes for a second`() throws {
    let h = try DeribitHarness()
    let id = maker(h)
    quote(h, id, bid: #""price":59000,"amount":100"#, ask: nil)
    #expect(h.ask(id, "private/cancel_all", #"{"freeze_quotes":true}"#).result as? Int == 1)
    #expect(quote(h, id, bid: #""price":59000,"amount":100"#, ask: nil).code == 13043)
    h.pass(second)
    #expect(quote(h, id, bid: #""price":59000,"amount":100"#, ask: nil, set: "a").code == nil)
    #expect(
      h.ask(id, "private/cancel_quotes", #"{"cancel_type":"quote_set_id","quote_set_id":"b"}"#).result as? Int == 0)
    #expect(
      h.ask(id, "private/cancel_quotes", #"{"cancel_type":"quote_set_id","quote_set_id":"a","freeze_quotes":true}"#)
        .result as? Int == 1)
    #expect(quote(h, id, bid: #""price":59000,"amount":100"#, ask: nil).code == 13043)
  }

  @Test func `wrong protection is refused`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    func set(_ params: String) -> Int? { h.ask(id, "private/set_mmp_config", "{\(params)}").code }
    #expect(set(#""index_name":"xrp_usd","interval":1,"frozen_time":1,"quantity_limit":1"#) == -32602)
    #expect(set(#""index_name":"btc_usd","interval":3601,"frozen_time":1,"quantity_limit":1"#) == -32602)
    #expect(set(#""index_name":"btc_usd","interval":1,"frozen_time":1"#) == -32602)
    #expect(set(#""index_name":"btc_usd","interval":1,"frozen_time":1,"quantity_limit":1,"delta_limit":1"#) == -32602)
    #expect(set(#""index_name":"btc_usd","interval":1,"frozen_time":1,"quantity_limit":0.00001"#) == -32602)
    #expect(set(#""index_name":"btc_usd","mmp_group":"g","interval":1,"frozen_time":1,"quantity_limit":1"#) == -32602)
    #expect(set(#""index_name":"btc_usd","interval":1,"frozen_time":1,"quantity_limit":1"#) == nil)
    #expect(h.ask(id, "private/get_mmp_config").list.count == 1)
    #expect(set(#""index_name":"btc_usd","interval":0,"frozen_time":0"#) == nil)
    #expect(h.ask(id, "private/get_mmp_config").list.isEmpty)
  }
}
