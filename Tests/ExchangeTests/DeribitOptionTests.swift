import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Options priced in coins, with tick steps, and changes of listings (reference 9, 18).
@Suite struct DeribitOptionTests {
  /// A BTC-PERPETUAL at 60,000, a future of the next 08:00 and options on it.
  func harness(options: Int = 8) throws -> (h: DeribitHarness, calls: [String]) {
    let day = DeribitConfiguration().wallClockBase / (86_400 * second) + 1
    let future = DeribitInstrument.btcFuture(day: day, indexE8: 60_000_00000000)
    let list = DeribitInstrument.btcOptions(options, expiryOf: future)
    let h = try DeribitHarness(flow: [(0, DeribitHarness.calm.filter { $0.instrument == 0 })]) {
      $0.instruments = [.btcPerpetual, future] + list
      $0.instruments[0].spec.initialIndexE8 = 60_000_00000000
      $0.idleTimeout = 0
      $0.settlementPause = 0
      $0.derivedTradesPerMark = 0
    }
    return (h, list.map(\.spec.name).filter { $0.hasSuffix("-C") })
  }

  @Test func `an option is listed as in the sample, with its tick steps`() throws {
    let (h, calls) = try harness()
    let id = h.connect()
    let listed = h.ask(id, "public/get_instrument", #"{"instrument_name":"\#(calls[0])"}"#)
    let found = DeribitShapeTests.difference(
      try DeribitShapeTests.sample("instrument-option-tick-steps"), listed.json, "option", ignoring: [])
    #expect(found.isEmpty, "\(found)")
    #expect(listed.object.text("option_type") == "call" && listed.object.number("contract_size") == 1)
    #expect(listed.object.number("min_trade_amount") == 0.1)
    let step = listed.object.items("tick_size_steps")[0]
    #expect(step.number("tick_size") == 0.0005 && step.number("above_price") == 0.005)
    let options = h.ask(id, "public/get_instruments", #"{"currency":"BTC","kind":"option"}"#).list
    #expect(options.count == 8)
  }

  @Test func `prices of options conform to the step at the price, the venue's own too`() throws {
    let (h, calls) = try harness()
    let id = h.trader()
    h.pass(2 * second)
    for name in h.venue.instrumentNames where name.hasSuffix("-C") || name.hasSuffix("-P") {
      let book = h.ask(id, "public/get_order_book", #"{"instrument_name":"\#(name)","depth":10}"#).object
      for key in ["bids", "asks"] {
        for case let level as [NSNumber] in book[key] as? [Any] ?? [] {
          let units = (level[0].doubleValue * 10_000).rounded()
          #expect(abs(level[0].doubleValue * 10_000 - units) < 1e-6)
          if units > 50 { #expect(units.truncatingRemainder(dividingBy: 5) == 0, "\(name): \(level)") }
        }
      }
    }
    let ticker = h.ask(id, "public/ticker", #"{"instrument_name":"\#(calls[0])"}"#).object
    let bid = ticker.number("best_bid_price")
    #expect(bid > 0.005 && ticker["underlying_price"] != nil && ticker["greeks"] != nil)
    #expect(h.order(id, "buy", "0.1", "\(bid - 0.0001)", instrument: calls[0]).code == -32602)
    #expect(h.order(id, "buy", "0.1", "\(bid - 0.0005)", instrument: calls[0]).code == nil)
    #expect(h.order(id, "buy", "0.15", "\(bid)", instrument: calls[0]).code == -32602)
    // Post-only behind an ask goes by the step as well.
    let moved = h.order(
      id, "buy", "0.1", "\(ticker.number("best_ask_price") + 0.001)", #""post_only":true"#, instrument: calls[0])
    #expect(abs(moved.order.number("price") - (ticker.number("best_ask_price") - 0.0005)) < 1e-9)
  }

  @Test func `a call is paid in coins and settled at what it is worth in coins`() throws {
    let (h, calls) = try harness()
    let id = h.trader()
    let name = calls[0]
    let ask = h.ask(id, "public/ticker", #"{"instrument_name":"\#(name)"}"#).object.number("best_ask_price")
    let bought = h.order(id, "buy", "1", "\(ask)", instrument: name)
    #expect(bought.order.text("order_state") == "filled" && bought.order.number("average_price") == ask)
    let trade = bought.trades[0]
    #expect(trade.text("fee_currency") == "BTC" && abs(trade.number("fee") - min(0.0003, ask / 8)) < 1e-9)
    let position = h.ask(id, "private/get_positions", #"{"kind":"option"}"#).list[0]
    #expect(position.number("size") == 1 && position.text("kind") == "option")
    #expect(position.number("delta") > 0.5 && position.number("delta") <= 1)
    let strike = try #require(Double(name.split(separator: "-")[2]))
    let day: Nanoseconds = 86_400 * second
    h.pass(day - (h.configuration.wallClockBase - 28_800 * second) % day)
    let book = try #require(h.venue.books("desk"))
    let payoff = (60_000 - strike) / 60_000
    #expect(book.fills.map(\.type) == ["normal", "expiration"])
    #expect(abs(Double(book.fills[1].priceE8) / 1e8 - payoff) < 1e-6)
    let realised = book.positions.first { $0.instrument == name }?.realisedE8 ?? 0
    #expect(abs(Double(realised) / 1e8 - (payoff - ask)) < 1e-6)
    #expect(h.venue.brokenInvariant() == nil)
  }

  @Test func `a new tick cancels the orders, and a book that follows stays right`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(id, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.raw"]}"#)
    var book = DeribitChannelTests.Book()
    h.order(id, "buy", "10", "59000.5")
    try h.venue.setTick("BTC-PERPETUAL", tickE8: 100_000_000, now: h.now)
    for message in h.take(id, "book.BTC-PERPETUAL.raw") { book.apply(message) }
    #expect(h.venue.books("desk")?.openOrders.isEmpty == true)
    #expect(book.gaps == 0 && Set(book.bids.keys) == [60_000, 59_999] && Set(book.asks.keys) == [60_001, 60_002])
    #expect(h.order(id, "buy", "10", "59000.5").code == -32602)
    #expect(h.order(id, "buy", "10", "59000").code == nil)
    #expect(h.venue.brokenInvariant() == nil)
    #expect(throws: VenueError.self) { try h.venue.setTick("BTC-PERPETUAL", tickE8: 0, now: h.now) }
  }

  @Test(arguments: [true, false])
  func `a restart closes all connections, and keeps the other orders if asked`(keeps: Bool) throws {
    let h = try DeribitHarness()
    let one = h.trader(1)
    let two = h.trader(2)
    h.ask(one, "private/enable_cancel_on_disconnect")
    h.order(one, "buy", "10", "59000")
    h.order(two, "buy", "10", "58000")
    h.venue.restart(keepingBook: keeps, now: h.now)
    h.collect()
    #expect(h.closes == [one: 1012, two: 1012])
    #expect(h.ask(h.trader(3), "private/get_open_orders").list.map { $0.number("price") } == (keeps ? [58_000] : []))
    h.venue.letGo()
  }

  @Test func `an edit that would meet an own order is refused and changes nothing`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.order(id, "sell", "100", "60000.5")
    let number = h.order(id, "buy", "100", "59000").order.text("order_id")
    #expect(h.ask(id, "private/edit", #"{"order_id":"\#(number)","price":60000.5,"amount":100}"#).code == 10003)
    #expect(h.ask(id, "private/get_open_orders").list.map { $0.number("price") } == [60_000.5, 59_000])
    h.ask(id, "private/set_self_trading_config", #"{"mode":"cancel_maker"}"#)
    #expect(h.ask(id, "private/edit", #"{"order_id":"\#(number)","price":60000.5,"amount":100}"#).code == nil)
    #expect(h.ask(id, "private/get_open_orders").list.map { $0.number("price") } == [60_000.5])
  }
}
