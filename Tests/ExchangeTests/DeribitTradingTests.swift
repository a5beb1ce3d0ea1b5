import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// buy, sell, edit and the cancels (reference 10, 14, 19).
@Suite struct DeribitTradingTests {
  @Test func `an order rests, is edited and cancelled, and its states are told`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let placed = h.order(id, "buy", "1000", "59990.5", #""label":"mm1","post_only":true,"reject_post_only":true"#).order
    #expect(placed.text("order_state") == "open" && placed.text("label") == "mm1")
    #expect(placed.number("contracts") == 100 && placed["reject_post_only"] as? Bool == true)
    let number = placed.text("order_id")
    #expect(number.count == 18)
    let edited = h.ask(
      id, "private/edit", #"{"order_id":"\#(number)","amount":800,"price":59990,"post_only":true}"#)
    #expect(edited.order.text("order_id") == number && edited.order["replaced"] as? Bool == true)
    #expect(edited.order.number("price") == 59_990 && edited.order.number("amount") == 800)
    let cancelled = h.ask(id, "private/cancel", #"{"order_id":"\#(number)"}"#).object
    #expect(cancelled.text("order_state") == "cancelled" && cancelled.text("cancel_reason") == "user_request")
    #expect(h.ask(id, "private/cancel", #"{"order_id":"\#(number)"}"#).code == 11044)
    #expect(h.ask(id, "private/edit", #"{"order_id":"\#(number)","amount":10,"price":59990}"#).code == 11044)
    #expect(h.ask(id, "private/cancel", #"{"order_id":"210049234017437152"}"#).code == 10004)
    #expect(
      h.ask(id, "private/get_order_state", #"{"order_id":"\#(number)"}"#).object.text("order_state") == "cancelled")
  }

  @Test func `ids carry the currency that settles, except BTC`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let linear = h.order(id, "buy", "0.01", "59000", instrument: "BTC_USDC-PERPETUAL").order
    #expect(linear.text("order_id").hasPrefix("USDC-2100"))
    #expect(h.ask(id, "private/cancel", #"{"order_id":"\#(linear.text("order_id").dropFirst(5))"}"#).code == 10004)
    #expect(h.ask(id, "private/cancel", #"{"order_id":"\#(linear.text("order_id"))"}"#).code == nil)
  }

  @Test func `orders that do not fit are refused, and say what is wrong`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    func reason(_ message: DeribitMessage) -> String {
      let data = message.error["data"] as? [String: Any] ?? [:]
      return "\(data.text("param")): \(data.text("reason"))"
    }
    let step = h.order(id, "buy", "1005", "59000")
    #expect(step.code == -32602 && reason(step) == "amount: must be a multiple of contract size")
    let tick = h.order(id, "buy", "1000", "59000.25")
    #expect(tick.code == -32602 && reason(tick) == "price: must conform to tick size")
    #expect(h.order(id, "buy", "10", "61800.5").error.text("message") == "price_too_high 61800.0")
    #expect(h.order(id, "buy", "10", "61800.5").code == 10007)
    #expect(h.order(id, "sell", "10", "58199.5").error.text("message") == "price_too_low 58200.0")
    #expect(h.order(id, "sell", "10", "58199.5").code == 10005)
    #expect(h.order(id, "buy", "10", nil).code == -32602)
    #expect(h.order(id, "buy", "10", "59000", #""type":"stop_limit""#).code == -32602)
    #expect(h.order(id, "buy", "10", "59000", #""label":"\#(String(repeating: "x", count: 65))""#).code == -32602)
    #expect(h.order(id, "buy", "10", "59000", #""contracts":2"#).code == -32602)
    #expect(h.order(id, "buy", "10", "59000", #""contracts":1"#).code == nil)
    #expect(h.order(id, "buy", "10", "59000", instrument: "XRP-PERPETUAL").code == -32602)
    #expect(h.order(id, "buy", "10", "59000", #""valid_until":\#(h.milliseconds)"#).code == 13888)
    #expect(h.order(id, "buy", "10", "59000", #""valid_until":\#(h.milliseconds + 1)"#).code == nil)
    #expect(h.order(id, "buy", "10", "59000", #""reduce_only":true"#).code == 11030)
    #expect(h.venue.books("desk")?.openOrders.count == 2)
  }

  @Test func `post-only orders that cross are moved one tick inside, or refused`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let moved = h.order(id, "buy", "10", "60500", #""post_only":true"#)
    #expect(moved.order.number("price") == 60_000.5 && moved.trades.isEmpty)
    let refused = h.order(id, "buy", "10", "60500", #""post_only":true,"reject_post_only":true"#)
    #expect(refused.code == 11054 && refused.error.text("message") == "post_only_reject")
    // Without the flag it takes.
    #expect(h.order(id, "buy", "10", "60500").trades.count == 1)
    #expect(h.order(id, "buy", "10", "60500", #""post_only":true,"time_in_force":"immediate_or_cancel""#).code == 11055)
  }

  @Test func `an edit in post-only mode that would take is moved, or cancels the order`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let first = h.order(id, "buy", "10", "59000", #""post_only":true"#).order.text("order_id")
    let moved = h.ask(id, "private/edit", #"{"order_id":"\#(first)","price":60001,"amount":10,"post_only":true}"#)
    #expect(moved.order.number("price") == 60_000.5 && moved.order.text("order_state") == "open")
    let ended = h.ask(
      id, "private/edit",
      #"{"order_id":"\#(first)","price":60001,"amount":10,"post_only":true,"reject_post_only":true}"#)
    #expect(ended.order.text("order_state") == "cancelled")
    #expect(ended.order.text("cancel_reason") == "edit_post_only_reject")
    // The flags do not stay from the placement.
    let second = h.order(id, "buy", "10", "59000", #""post_only":true,"reject_post_only":true"#).order.text("order_id")
    let taken = h.ask(id, "private/edit", #"{"order_id":"\#(second)","price":60001,"amount":10}"#)
    #expect(taken.order.text("order_state") == "filled" && taken.trades.count == 1)
  }

  @Test(arguments: [
    ("", true), (#""amount":60,"price":60000.5"#, true), (#""amount":100"#, true),
    (#""amount":110,"price":60000.5"#, false), (#""amount":100,"price":60001"#, false),
  ])
  func `an edit keeps its place for a smaller size, and loses it for a larger one or another price`(
    edit: String, keeps: Bool
  ) throws {
    let h = try DeribitHarness(flow: [
      (0, DeribitHarness.calm), (second, [.trade(0, aggressor: .buy, 120_001, 5)]),
    ])
    let maker = h.trader(1)
    let rival = h.trader(2, id: "other")
    let own = h.order(maker, "sell", "100", "60000.5").order.text("order_id")
    let other = h.order(rival, "sell", "100", "60000.5").order.text("order_id")
    if !edit.isEmpty { #expect(h.ask(maker, "private/edit", #"{"order_id":"\#(own)",\#(edit)}"#).code == nil) }
    h.pass(second)
    let filled = [(maker, own), (rival, other)].map { session, number in
      h.ask(session, "private/get_order_state", #"{"order_id":"\#(number)"}"#).object.number("filled_amount")
    }
    #expect(filled == (keeps ? [50, 0] : [0, 50]))
  }

  @Test func `amounts of an edit include what has been filled`() throws {
    let h = try DeribitHarness(flow: [
      (0, DeribitHarness.calm), (second, [.trade(0, aggressor: .sell, 119_000, 3)]),
    ])
    let id = h.trader()
    let number = h.order(id, "buy", "100", "60000.5", #""post_only":true"#).order.text("order_id")
    h.pass(second)
    let open = h.ask(id, "private/get_order_state", #"{"order_id":"\#(number)"}"#).object
    #expect(open.text("order_state") == "open" && open.number("filled_amount") == 30)
    #expect(open.number("average_price") == 60_000.5)
    #expect(h.ask(id, "private/edit", #"{"order_id":"\#(number)","amount":30,"price":60000.5}"#).code == 10021)
    let edited = h.ask(id, "private/edit", #"{"order_id":"\#(number)","amount":50,"price":59000}"#).order
    #expect(edited.number("filled_amount") == 30 && edited.number("amount") == 50)
    #expect(h.venue.books("desk")?.openOrders.map(\.remainingLots) == [2])
  }

  @Test func `edit_by_label wants one order of that label`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    func edit() -> DeribitMessage {
      h.ask(
        id, "private/edit_by_label", #"{"label":"a","instrument_name":"BTC-PERPETUAL","amount":20,"price":59001}"#)
    }
    #expect(edit().code == 10004)
    h.order(id, "buy", "10", "59000", #""label":"a""#)
    #expect(edit().order.number("amount") == 20)
    h.order(id, "buy", "10", "59000", #""label":"a""#)
    #expect(edit().code == 13032)
    #expect(h.ask(id, "private/cancel_by_label", #"{"label":"a","currency":"ETH"}"#).result as? Int == 0)
    #expect(h.ask(id, "private/cancel_by_label", #"{"label":"a"}"#).result as? Int == 2)
    #expect(h.ask(id, "private/cancel_by_label", #"{"label":"a"}"#).result as? Int == 0)
    let states = h.ask(id, "private/get_order_state_by_label", #"{"currency":"BTC","label":"a"}"#).list
    #expect(states.map { $0.text("order_state") } == ["cancelled", "cancelled"])
  }

  @Test func `immediate orders leave nothing behind, and fill-or-kill all or nothing`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let none = h.order(id, "sell", "500", "60500", #""time_in_force":"immediate_or_cancel""#)
    #expect(none.order.text("order_state") == "cancelled" && none.trades.isEmpty && none.order["cancel_reason"] == nil)
    let part = h.order(id, "buy", "15000", "60001", #""time_in_force":"immediate_or_cancel""#)
    #expect(part.order.text("order_state") == "cancelled" && part.order.number("filled_amount") == 10_000)
    let killed = h.order(id, "buy", "30000", "60001.5", #""time_in_force":"fill_or_kill""#)
    #expect(killed.order.text("order_state") == "cancelled" && killed.order.number("filled_amount") == 0)
    let whole = h.order(id, "buy", "20000", "60001.5", #""time_in_force":"fill_or_kill""#)
    #expect(whole.order.text("order_state") == "filled" && whole.order.number("average_price") == 60_001.5)
    #expect(h.venue.books("desk")?.openOrders.isEmpty == true)
  }

  @Test func `a sweep brings a trade for each level, of one match`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let swept = h.order(id, "buy", "15000", "60002")
    #expect(swept.trades.map { $0.number("amount") } == [10_000, 5_000])
    #expect(Set(swept.trades.map { $0["starbase_match_id"] as? Int64 }).count == 1)
    #expect(Set(swept.trades.map { $0.text("trade_id") }).count == 2)
    #expect(swept.trades.allSatisfy { $0["matching_id"] is NSNull && $0.text("liquidity") == "T" })
    #expect(swept.trades.map { $0.text("state") } == ["open", "filled"])
    #expect(swept.trades.map { $0["tick_direction"] as? Int } == [0, 0])
    // A harmonic mean, since the contract is inverse.
    let exact = 15_000 / (10_000 / 60_001.0 + 5_000 / 60_001.5)
    #expect(abs(swept.order.number("average_price") - exact) < 1e-5)
  }

  @Test func `a market order is a limit order at the band, whose rest stays`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let result = h.order(id, "buy", "40000", nil, #""type":"market""#)
    #expect(result.order.text("order_state") == "open" && result.order.number("price") == 61_800)
    #expect(result.order.text("order_type") == "limit" && result.order.text("original_order_type") == "market")
    #expect(result.order.number("filled_amount") == 30_000)
    #expect(result.trades.allSatisfy { $0.text("order_type") == "market" })
    #expect(h.order(id, "buy", "10", nil, #""type":"market","time_in_force":"fill_or_kill""#).code == -32602)
    h.ask(id, "private/cancel_all")
    let limit = h.order(id, "sell", "10", nil, #""type":"market_limit""#).order
    #expect(limit.text("original_order_type") == "market_limit")
  }

  @Test func `reduce-only orders never open a position`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.order(id, "buy", "100", "60001")
    #expect(h.order(id, "buy", "10", "59000", #""reduce_only":true"#).code == 11030)
    let exit = h.order(id, "sell", "500", "60500", #""reduce_only":true"#)
    #expect(exit.order.number("amount") == 100)
    // What no longer reduces ends by itself.
    h.order(id, "sell", "100", "60000")
    #expect(h.venue.books("desk")?.openOrders.isEmpty == true)
    #expect(
      h.ask(id, "private/get_position", #"{"instrument_name":"BTC-PERPETUAL"}"#).object.text("direction") == "zero")
  }

  @Test func `own orders do not meet: the taker is refused, or the maker goes`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.order(id, "sell", "100", "60000.5", #""label":"rest""#)
    let refused = h.order(id, "buy", "100", "60001")
    #expect(refused.code == 10003 && refused.error.text("message") == "order_overlap")
    #expect(h.venue.books("desk")?.fills.isEmpty == true)
    h.ask(id, "private/set_self_trading_config", #"{"mode":"cancel_maker"}"#)
    let taken = h.order(id, "buy", "100", "60001")
    #expect(taken.trades.map { $0.number("price") } == [60_001])
    let maker = h.ask(id, "private/get_order_state_by_label", #"{"currency":"BTC","label":"rest"}"#).list[0]
    #expect(maker.text("order_state") == "cancelled" && maker.text("cancel_reason") == "order_overlap")
    // What is behind enough of others' orders is not met.
    h.order(id, "sell", "100", "60001.5", #""label":"behind""#)
    #expect(h.order(id, "buy", "100", "60002").trades.count == 1)
    #expect(h.venue.books("desk")?.openOrders.count == 1)
  }

  @Test func `self-trade refusals can come as a cancelled order instead`() throws {
    let h = try DeribitHarness { $0.cancelsOverlap = true }
    let id = h.trader()
    h.order(id, "sell", "100", "60000.5")
    let ended = h.order(id, "buy", "100", "60001")
    #expect(ended.order.text("order_state") == "cancelled" && ended.order.text("cancel_reason") == "order_overlap")
  }

  @Test func `cancel_all and its kin choose by instrument, currency and kind, and can list what they took`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    func place() {
      h.order(id, "buy", "10", "59000")
      h.order(id, "buy", "0.01", "59000", instrument: "BTC_USDC-PERPETUAL")
      h.order(id, "buy", "0.1", "1999", instrument: "ETH_USDC-PERPETUAL")
    }
    place()
    func count(_ method: String, _ params: String = "{}") -> Int? { h.ask(id, method, params).result as? Int }
    #expect(count("private/cancel_all_by_instrument", #"{"instrument_name":"BTC_USDC-PERPETUAL","type":"all"}"#) == 1)
    #expect(count("private/cancel_all_by_currency", #"{"currency":"USDC"}"#) == 1)
    #expect(count("private/cancel_all_by_kind_or_type", #"{"currency":"any","kind":"option"}"#) == 0)
    #expect(count("private/cancel_all") == 1)
    place()
    let groups = h.ask(id, "private/cancel_all", #"{"detailed":true}"#).list
    #expect(groups.map { $0.text("currency") } == ["BTC", "USDC"])
    #expect(groups.map { $0.items("result").count } == [1, 2])
    #expect(h.ask(id, "private/get_open_orders").list.isEmpty)
  }

  @Test func `a taker waits for its speed bump, passive orders and cancels do not`() throws {
    let h = try DeribitHarness { $0.instruments[1].takerDelay = 10 * millisecond }
    let taker = h.trader(1)
    let maker = h.trader(2, id: "other")
    let instrument = "BTC_USDC-PERPETUAL"
    let rest = h.order(maker, "sell", "0.5", "60000.5", instrument: instrument).order.text("order_id")
    let params = #"{"instrument_name":"\#(instrument)","amount":0.5,"price":60000.5,"label":"t"}"#
    let number = h.begin(taker, "private/buy", params)
    #expect(h.reply(taker, number) == nil)
    // The maker gets away meanwhile.
    h.pass(9 * millisecond)
    #expect(h.ask(maker, "private/cancel", #"{"order_id":"\#(rest)"}"#).code == nil)
    h.pass(millisecond)
    let reply = try #require(h.reply(taker, number))
    #expect(reply.order.text("order_state") == "open" && reply.json["usDiff"] as? Int == 10_000)
    // What is still waiting when its connection cancels all is not done at all.
    let second = h.begin(taker, "private/buy", #"{"instrument_name":"\#(instrument)","amount":0.5,"price":60001}"#)
    #expect(h.ask(taker, "private/cancel_all").result as? Int == 1)
    #expect(h.reply(taker, second)?.code == 13666)
    // Inverse perpetuals are not bumped.
    #expect(h.order(taker, "buy", "10", "60001").order.text("order_state") == "filled")
  }

  @Test func `valid_until is looked at again after the bump, and a second edit supersedes the first`() throws {
    let h = try DeribitHarness { $0.instruments[1].takerDelay = 10 * millisecond }
    let id = h.trader()
    let instrument = "BTC_USDC-PERPETUAL"
    let late = h.begin(
      id, "private/buy",
      #"{"instrument_name":"\#(instrument)","amount":0.5,"price":60001,"valid_until":\#(h.milliseconds + 5)}"#)
    h.pass(10 * millisecond)
    #expect(h.reply(id, late)?.code == 13888)
    let order = h.order(id, "buy", "0.5", "59000", instrument: instrument).order.text("order_id")
    let first = h.begin(id, "private/edit", #"{"order_id":"\#(order)","amount":0.5,"price":60001}"#)
    let second = h.begin(id, "private/edit", #"{"order_id":"\#(order)","amount":0.4,"price":60001}"#)
    #expect(h.reply(id, first)?.code == 13777)
    h.pass(10 * millisecond)
    #expect(h.reply(id, second)?.order.number("amount") == 0.4)
  }

  @Test func `orders that need more margin than there is are refused`() throws {
    let h = try DeribitHarness { $0.initialBalances = ["BTC": 10_000_000, "USDC": 0] }
    let id = h.trader()
    // 0.1 BTC at 60,000 and a leverage of 50 carry 300,000 USD.
    let refused = h.order(id, "buy", "310000", "59000")
    #expect(refused.code == 10009 && refused.error.text("message") == "not_enough_funds")
    #expect(h.order(id, "buy", "290000", "59000").code == nil)
    #expect(h.order(id, "buy", "20000", "59000").code == 10009)
    // The other side is no worse.
    #expect(h.order(id, "sell", "290000", "61000").code == nil)
    #expect(h.order(id, "buy", "0.01", "59000", instrument: "BTC_USDC-PERPETUAL").code == 10009)
  }

  @Test func `a halted book refuses orders until it is open again`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(id, "public/subscribe", #"{"channels":["instrument.state.future.BTC"]}"#)
    #expect(h.venue.halt("BTC-PERPETUAL", now: h.now))
    #expect(h.take(id, "instrument.state.future.BTC").map { $0.data.text("state") } == ["halted"])
    #expect(h.order(id, "buy", "10", "59000").code == 10012)
    #expect(h.venue.resume("BTC-PERPETUAL", now: h.now))
    #expect(h.order(id, "buy", "10", "59000").code == nil)
  }
}
