import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// What can be made to go wrong, and what it looks like from outside.
@Suite struct VenueFaultTests {
  @Test(arguments: [true, false])
  func `a halted instrument refuses orders with 10 until it is resumed; its orders go or stay`(cancelling: Bool)
    throws
  {
    let h = try Harness(flow: [
      (0, ScriptedFlow.calm),
      (second, [.level(0, .buy, 61_800, 0), .level(0, .buy, 61_790, 500), .trade(0, aggressor: .sell, 61_000, 5000)]),
    ])
    let id = h.quoter()
    h.insert(id, "buy", "0.1", "61700", client: 1)
    h.quoteBTC(id, #""b":{"p":61710,"a":0.1}"#)
    #expect(h.venue.halt("BTC-PERPETUAL", cancelling: cancelling, now: h.now))
    #expect(h.take(id).orders.map { $0.text("delete_reason") } == (cancelling ? ["admin_cancel", "admin_cancel"] : []))
    #expect(h.insert(id, "buy", "0.1", "61700").errorCode == 10)
    #expect(h.quoteBTC(id, #""b":{"p":61720,"a":0.1}"#).errors.map { $0["code"] as? Int } == [10])
    if !cancelling {
      #expect(h.ask(id, "private/amend", #"{"client_order_id":1,"price":61700,"amount":0.2}"#).errorCode == 10)
      #expect(h.ask(id, "private/cancel", #"{"client_order_id":1}"#).errorCode == nil)
    }
    // Nothing trades meanwhile, and the market catches up afterwards.
    h.pass(2 * second)
    func bid() -> Double {
      h.ask(id, "public/ticker", #"{"instrument_name":"BTC-PERPETUAL"}"#).object.number("best_bid_price")
    }
    #expect(bid() == 61_800)
    #expect(h.venue.resume("BTC-PERPETUAL", now: h.now))
    #expect(bid() == 61_799)
    #expect(h.insert(id, "buy", "0.1", "61700").errorCode == nil)
    #expect(!h.venue.halt("NOPE", cancelling: true, now: h.now) && !h.venue.resume("NOPE", now: h.now))
  }

  @Test(arguments: [(50_000_000, "61800.5", 61_801.0), (500_000_000, "61795", 61_805.0)] as [(Int64, String, Double)])
  func `a new tick size is announced; orders die, prices of the old grid that do not fit get 15`(
    tickE8: Int64, good: String, ask: Double
  ) throws {
    let h = try Harness(flow: [(0, ScriptedFlow.calm), (second, [.level(0, .sell, 61_801, 7000)])])
    let id = h.quoter()
    h.ask(id, "public/subscribe", #"{"channels":["instruments","book.BTC-PERPETUAL.none.all.raw"]}"#)
    h.insert(id, "buy", "0.1", "61700", client: 1)
    let before = h.insert(id, "buy", "0.1", "61801").object.items("fills").count
    try h.venue.setTick("BTC-PERPETUAL", tickE8: tickE8, now: h.now)
    let out = h.take(id)
    #expect(out.orders.map { $0.text("delete_reason") } == ["admin_cancel"])
    let news = out.first { $0.channel == "instruments" }?.list ?? []
    #expect((news[0]["removed"] as? [String: Any])?.number("tick_size") == 1)
    #expect((news[1]["added"] as? [String: Any])?.number("tick_size") == Double(tickE8) / 1e8)
    #expect(h.insert(id, "buy", "0.1", good, client: 1).errorCode == nil)
    #expect(h.insert(id, "buy", "0.1", "61800.25").errorCode == 15)
    let ticker = h.ask(id, "public/ticker", #"{"instrument_name":"BTC-PERPETUAL"}"#).object
    #expect(ticker.number("best_ask_price") == ask)
    #expect(ticker.number("last_price") == (tickE8 == 50_000_000 ? 61_801 : 61_800))
    // The flow goes on in its own ticks; the books know what was traded before.
    h.pass(second)
    #expect(h.ask(id, "public/ticker", #"{"instrument_name":"BTC-PERPETUAL"}"#).object.number("best_ask_amount") == 7)
    #expect(before == 1 && h.venue.books("A1")?.fills[0].priceE8 == 61_801_00000000)
    #expect(h.lots("BTC-PERPETUAL") == 100)
    #expect(throws: VenueError.self) { try h.venue.setTick("NOPE", tickE8: 1, now: h.now) }
    #expect(throws: VenueError.self) { try h.venue.setTick("BTC-PERPETUAL", tickE8: 7, now: h.now) }
  }

  @Test func `a throttle shuts order messages of everybody for its time, cancels if asked`() throws {
    let h = try Harness()
    let id = h.trader()
    h.venue.throttle(for: second, now: h.now)
    #expect(h.insert(id, "buy", "0.1", "61700").errorCode == 4)
    #expect(h.ask(id, "private/cancel_all").errorCode == nil)
    h.pass(second)
    #expect(h.insert(id, "buy", "0.1", "61700").errorCode == nil)
    h.venue.throttle(for: second, cancels: true, now: h.now)
    #expect(h.ask(id, "private/cancel_all").errorCode == 4)
  }

  @Test func `refused logins get 19 while it lasts`() throws {
    let h = try Harness { $0.closesOnFailedLogin = false }
    let id = h.connect()
    h.venue.refusesLogins = true
    #expect(h.ask(id, "public/login", "{\"token\":\"\(h.token())\"}").errorCode == 19)
    h.venue.refusesLogins = false
    #expect(h.ask(id, "public/login", "{\"token\":\"\(h.token())\"}").errorCode == nil)
  }

  @Test func `a failover takes volatile orders, quotes and protection groups, and leaves persistent orders`() throws {
    let h = try Harness()
    let plain = h.trader(9, cod: false)
    h.insert(plain, "buy", "0.1", "61600")
    let id = h.quoter()
    h.insert(id, "buy", "0.1", "61700")
    h.quoteBTC(id, #""b":{"p":61710,"a":0.1}"#)
    h.venue.failOver(now: h.now)
    let out = h.take(id)
    #expect(out.orders.map { $0.text("delete_reason") } == ["failover", "failover"])
    #expect(out.protection.map { $0.text("reason") } == ["failover"])
    #expect(h.openPrices(id) == [61_600])
    #expect(h.quoteBTC(id, #""b":{"p":61710,"a":0.1}"#)[0].errorCode == 23)
    #expect(h.insert(id, "buy", "0.1", "61700").errorCode == nil)
  }

  @Test(arguments: [true, false])
  func `a restart closes all connections; persistent orders survive with the book`(keepingBook: Bool) throws {
    let h = try Harness()
    let plain = h.trader(9, cod: false)
    h.insert(plain, "buy", "0.1", "61600")
    h.insert(plain, "buy", "0.1", "61801")
    let id = h.trader()
    h.insert(id, "buy", "0.1", "61700")
    h.venue.restart(keepingBook: keepingBook, now: h.now)
    h.collect()
    #expect(h.closes[id] == 1012 && h.closes[plain] == 1012)
    let again = h.trader(2)
    #expect(h.openPrices(again) == (keepingBook ? [61_600] : []))
    #expect(h.lots("BTC-PERPETUAL") == 100)
    #expect(
      h.ask(again, "public/ticker", #"{"instrument_name":"BTC-PERPETUAL"}"#).object.number("best_bid_price") == 61_800)
  }

  @Test func `a stepped clock moves times, token checks and expiries, but not the past`() throws {
    let h = try Harness.dated(secondsBefore: 40_000) { $0.closesOnFailedLogin = false }
    let id = h.trader(cod: false)
    let created = h.insert(id, "buy", "0.1", "61700", client: 1).object.number("create_time")
    h.pass(second)
    h.venue.setClockOffset(60 * second, now: h.now)
    #expect(h.ask(id, "private/open_orders").list[0].number("create_time") == created)
    #expect(h.insert(id, "buy", "0.1", "61701").object.number("create_time") == created + 61)
    let late = h.connect(2)
    #expect(h.ask(late, "public/login", "{\"token\":\"\(h.token())\"}").errorCode == 19)
    #expect(h.ask(id, "public/instruments").list.count == 6)
    h.venue.setClockOffset(40_000 * second, now: h.now)
    #expect(h.ask(id, "public/instruments").list.count == 2)
  }
}
