import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Market-maker protection as a state machine (reference 6.5, 7.6, 8.5).
@Suite struct VenueProtectionTests {
  private func seller(_ h: Harness, _ number: UInt64 = 9) -> ConnectionID { h.trader(number, kid: "K9") }

  @Test func `setting a group refills it and says so`() throws {
    let h = try Harness()
    let id = h.trader()
    h.ask(id, "private/subscribe", #"{"channels":["session.mm_protection"]}"#)
    let out = h.send(
      id,
      #"{"method":"private/set_mm_protection","id":20,"params":{"product":"FBTCUSD","trade_amount":1.0,"quote_amount":2.0}}"#
    )
    #expect(
      out.map(\.text) == [
        #"{"id":20,"result":null}"#,
        #"{"channel_name":"session.mm_protection","notification":[{"product":"FBTCUSD","remaining_amount":1.0,"reason":"refill"}]}"#,
      ])
    let old = h.send(
      id,
      #"{"method":"private/set_mm_protection","id":1,"params":{"product":"FBTCUSD","trade_amount":1,"quote_amount":1,"amount":3}}"#
    )
    #expect(old.protection.map { $0.number("remaining_amount") } == [3])
    #expect(h.ask(id, "private/set_mm_protection", #"{"product":"FBTCUSD","amount":3}"#).errorCode == nil)
  }

  @Test(arguments: [
    (#"{"product":"XBTCUSD","trade_amount":1,"quote_amount":1}"#, 17), (#"{"trade_amount":1,"quote_amount":1}"#, 6),
    (#"{"product":"FBTCUSD","trade_amount":1}"#, 6), (#"{"product":"FBTCUSD","trade_amount":"1","quote_amount":1}"#, 6),
    (#"{"product":"FBTCUSD","trade_amount":2,"quote_amount":1}"#, 6),
    (#"{"product":"FBTCUSD","trade_amount":0,"quote_amount":1}"#, 14),
    (#"{"product":"FBTCUSD","trade_amount":-1,"quote_amount":1}"#, 14),
  ])
  func `a group needs a listed product and sensible amounts`(params: String, code: Int) throws {
    let h = try Harness()
    #expect(h.ask(h.trader(), "private/set_mm_protection", params).errorCode == code)
  }

  @Test func `executions subtract; at zero the quotes of the product are gone until the group is set again`() throws {
    let h = try Harness(flow: [(0, wideMarket[0].1)])
    let id = h.quoter(trade: "0.5", quote: "0.5")
    h.protect(id, trade: "10", quote: "10", product: "FETHUSD")
    let taker = seller(h)
    h.quote(
      id,
      #"{"i":"BTC-PERPETUAL","b":[[61800,0.3],[61799,0.3]],"a":{"p":61805,"a":0.5}},{"i":"ETH-PERPETUAL","b":{"p":2600,"a":1}}"#
    )
    h.insert(id, "buy", "0.1", "61700", client: 5)
    // armed -> hit
    h.insert(taker, "sell", "0.2", "61800")
    let hit = h.take(id)
    #expect(hit.map(\.channel) == ["session.orders", "session.mm_protection"])
    #expect(hit.protection.map { $0.number("remaining_amount") } == [0.3])
    #expect(hit.protection.map { $0.text("reason") } == ["executions"])
    // hit -> exhausted, exactly at zero
    h.insert(taker, "sell", "0.3", "61799")
    let out = h.take(id)
    #expect(
      out.orders.map { $0.text("status") } == [
        "filled", "partially_filled", "cancelled_partially_filled", "cancelled",
      ])
    #expect(out.orders.map { $0.text("delete_reason") } == ["filled", "", "mm_protection", "mm_protection"])
    #expect(out.protection.map { $0.number("remaining_amount") } == [0])
    // The other product's quotes and the ordinary order stay.
    #expect(h.openPrices(id) == [2_600, 61_700])
    let refused = h.quote(
      id, #"{"i":"BTC-PERPETUAL","b":{"p":61790,"a":0.1},"a":[]},{"i":"ETH-PERPETUAL","b":{"p":2601,"a":1}}"#)
    #expect(refused.tally == [1, 2])
    #expect(refused.errors.map { $0["code"] as? Int } == [23, 23])
    #expect(h.venue.statistics.protectionHits == 1)
    #expect(h.venue.statistics.massQuotes == 2)
    #expect(h.venue.statistics.quotesDone == 5 && h.venue.statistics.quotesRefused == 2)
    // exhausted -> armed, by hand only
    h.pass(5 * second)
    #expect(h.quoteBTC(id, #""b":{"p":61790,"a":0.1}"#).tally == [0, 1])
    h.protect(id, trade: "0.5", quote: "0.5")
    #expect(h.quoteBTC(id, #""b":{"p":61790,"a":0.1}"#).tally == [1, 0])
  }

  @Test func `one aggressor may sweep several quotes before the group acts: what is left goes below zero`() throws {
    let h = try Harness(flow: [(0, wideMarket[0].1)])
    let id = h.quoter(trade: "0.1", quote: "0.5")
    h.quoteBTC(id, #""b":[[61800,0.1],[61799,0.1],[61798,0.1],[61797,0.1]]"#)
    h.insert(seller(h), "sell", "0.25", "61795")
    let out = h.take(id)
    #expect(out.protection.map { $0.number("remaining_amount") } == [-0.15])
    #expect(
      out.orders.map { $0.text("delete_reason") } == ["filled", "filled", "", "mm_protection", "mm_protection"])
    #expect(h.openPrices(id).isEmpty)
  }

  @Test func `the market's own trades and levels hit quotes too`() throws {
    let h = try Harness(flow: [
      (0, wideMarket[0].1), (second, [.trade(0, aggressor: .sell, 61_800, 200)]),
      (2 * second, [.level(0, .sell, 61_800, 300)]),
    ])
    let id = h.quoter(trade: "0.4", quote: "0.5")
    h.quoteBTC(id, #""b":[[61800,0.5],[61799,0.5]]"#)
    h.pass(second)
    #expect(h.take(id).protection.map { $0.number("remaining_amount") } == [0.2])
    h.pass(second)
    #expect(h.take(id).protection.map { $0.number("remaining_amount") } == [-0.1])
    #expect(h.openPrices(id).isEmpty)
  }

  @Test func `a quote that takes on entry counts; the rest of its request is refused once the group is empty`() throws {
    let h = try Harness()
    let id = h.quoter(trade: "0.5", quote: "1")
    let out = h.quote(
      id,
      #"{"i":"BTC-PERPETUAL","b":{"p":61801,"a":0.6},"a":{"p":61900,"a":0.1}},{"i":"BTC-PERPETUAL","a":{"p":61950,"a":0.1}}"#
    )
    // The entry is one step: its ask entered before the group was looked at, and went with it.
    #expect(out.tally == [2, 1])
    #expect(out.errors.map { $0["code"] as? Int } == [23])
    #expect(out.orders.map { $0.text("delete_reason") } == ["filled", "", "mm_protection"])
    #expect(out.protection.map { $0.number("remaining_amount") } == [-0.1])
  }

  @Test func `ordinary orders neither count nor go, and the aggressive part of an amend does not count`() throws {
    let h = try Harness()
    let id = h.quoter(trade: "0.5", quote: "1")
    h.insert(id, "buy", "0.6", "61801")
    #expect(h.take(id).protection.isEmpty)
    let order = h.quoteBTC(id, #""b":{"p":61700,"a":0.4}"#).orders[0].text("order_id")
    h.ask(id, "private/amend", "{\"order_id\":\"\(order)\",\"price\":61801,\"amount\":0.4}")
    let out = h.take(id)
    #expect(out.protection.isEmpty)
    #expect(h.venue.books("A1")?.fills.map(\.lots).reduce(0, +) == 1000)
  }

  @Test func `groups of different connections are independent`() throws {
    let h = try Harness(flow: [(0, wideMarket[0].1)])
    let a = h.quoter(1, trade: "0.1", quote: "0.5")
    let b = h.quoter(2, trade: "0.5", quote: "0.5")
    h.quoteBTC(a, #""b":{"p":61800,"a":0.1}"#)
    h.quoteBTC(b, #""b":{"p":61799,"a":0.1}"#)
    _ = h.take(a)
    h.insert(seller(h), "sell", "0.1", "61800")
    #expect(h.take(a).protection.map { $0.number("remaining_amount") } == [0])
    #expect(h.take(b).isEmpty)
    #expect(h.openPrices(b) == [61_799])
  }

  @Test func `cancel_session removes the groups of its session, and so does its end`() throws {
    let h = try Harness()
    let a = h.quoter(1)
    let b = h.quoter(2)
    h.quoteBTC(a, #""b":{"p":61790,"a":0.1}"#)
    let out = h.send(a, #"{"method":"private/cancel_session","id":1,"params":{}}"#)
    #expect(out.orders.map { $0.text("delete_reason") } == ["session_end"])
    #expect(out.protection.map { $0.text("reason") } == ["session_end"])
    #expect(h.quoteBTC(a, #""b":{"p":61790,"a":0.1}"#)[0].errorCode == 23)
    #expect(h.quoteBTC(b, #""b":{"p":61790,"a":0.1}"#).tally == [1, 0])
    h.venue.disconnected(b, now: h.now)
    #expect(h.openPrices(a).isEmpty)
    let c = h.trader(3)
    #expect(h.quoteBTC(c, #""b":{"p":61790,"a":0.1}"#)[0].errorCode == 23)
  }

  @Test func `a refill in the middle starts from the full amount, and standing quotes stay`() throws {
    let h = try Harness(flow: [(0, wideMarket[0].1)])
    let id = h.quoter(trade: "0.3", quote: "0.5")
    h.quoteBTC(id, #""b":{"p":61800,"a":0.5}"#)
    h.insert(seller(h), "sell", "0.2", "61800")
    h.protect(id, trade: "0.25", quote: "0.25")
    #expect(h.openPrices(id) == [61_800])
    h.insert(seller(h, 8), "sell", "0.2", "61800")
    #expect(h.take(id).protection.map { $0.number("remaining_amount") } == [0.05])
    #expect(h.quoteBTC(id, #""b":{"p":61799,"a":0.3}"#).errors.map { $0["code"] as? Int } == [44])
  }

  @Test func `nothing is told to who has not asked`() throws {
    let h = try Harness(flow: [(0, wideMarket[0].1)])
    let id = h.trader()
    h.protect(id, trade: "0.1", quote: "0.1")
    h.quoteBTC(id, #""b":{"p":61800,"a":0.1}"#)
    h.insert(seller(h), "sell", "0.1", "61800")
    #expect(h.take(id).isEmpty)
    #expect(h.openPrices(id).isEmpty)
  }
}
