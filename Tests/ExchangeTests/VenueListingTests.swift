import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// 21 April 2026, 08:00 UTC.
let expirySeconds: Int64 = 1_776_758_400
let expiryDay = expirySeconds / 86_400

extension Harness {
  /// A venue with the perpetual, a future and a roll of tomorrow's date, and two options on it. No trades of others.
  static func dated(
    secondsBefore: Int64 = 40_000, quoted: Bool = false, index: Int64 = 61_800,
    later: [(Nanoseconds, Int64)] = [],
    _ adjust: (inout VenueConfiguration) -> Void = { _ in }
  ) throws -> Harness {
    let first: [FlowEvent] = [
      .index(0, e8: index * 100_000_000), .level(0, .buy, 61_800, 1000), .level(0, .sell, 61_801, 1000),
    ]
    return try Harness(flow: [(0, first)] + later.map { ($0.0, [.index(0, e8: $0.1 * 100_000_000)]) }) {
      $0.wallClockBase = (expirySeconds - secondsBefore) * second
      $0.derivedTradesPerMark = 0
      let future = InstrumentSpec.btcFuture(day: expiryDay)
      $0.instruments += [
        future, .roll(far: future, near: .btcPerpetual), .btcOption(.call, strike: 62_000, expiryOf: future),
        .btcOption(.put, strike: 62_000, expiryOf: future),
      ]
      for place in $0.instruments.indices { $0.instruments[place].isQuotedByVenue = quoted && place > 1 }
      adjust(&$0)
    }
  }

  @discardableResult
  func order(
    _ id: ConnectionID, _ instrument: String, _ direction: String, _ amount: String, _ price: String,
    _ more: String = ""
  ) -> Received {
    ask(
      id, "private/insert",
      "{\"instrument_name\":\"\(instrument)\",\"direction\":\"\(direction)\",\"amount\":\(amount),\"price\":\(price)"
        + (more.isEmpty ? "}" : ",\(more)}"))
  }

  func lots(_ instrument: String, _ account: String = "A1") -> Int64? {
    venue.books(account)?.positions.first { $0.instrument == instrument }?.lots
  }
}

/// New listings, expiry and settlement (reference 4.3, 5.2).
@Suite struct VenueListingTests {
  private let future = "BTC-21APR26"
  private let roll = "BTC-21APR26-PERPETUAL"
  private let call = "BTC-21APR26-62000-C"

  @Test func `a chain has futures, rolls and options with the names and members of the reference`() throws {
    let h = try Harness.dated()
    let id = h.connect()
    func text(_ name: String) -> String { h.ask(id, "public/instrument", "{\"instrument_name\":\"\(name)\"}").text }
    #expect(
      text(future)
        == #"{"id":7,"result":{"instrument_name":"BTC-21APR26","product":"FBTCUSD","tick_size":1,"volume_tick_size":0.001,"min_order_amount":0.001,"underlying":"BTCUSD","type":"future","expiry_date":"2026-04-21","expiration_timestamp":1776758400,"base_currency":"USD","create_time":1630051200.0}}"#
    )
    #expect(
      text(roll).contains(
        #""min_order_amount":0.1,"underlying":"BTCUSD","type":"combination","expiry_date":"2026-04-21","expiration_timestamp":1776758400,"base_currency":"USD","legs":[{"instrument_name":"BTC-21APR26","quantity":1},{"instrument_name":"BTC-PERPETUAL","quantity":-1}]"#
      ))
    #expect(
      text("BTC-21APR26-62000-P").contains(
        #""product":"OBTCUSD","tick_size":5,"volume_tick_size":0.01,"min_order_amount":0.01,"underlying":"BTCUSD","type":"option","option_type":"put","expiry_date":"2026-04-21","expiration_timestamp":1776758400,"strike_price":62000,"base_currency":"USD""#
      ))
    func names(_ filter: String) -> [String] {
      h.ask(id, "public/instruments", filter).list.map { $0.text("instrument_name") }
    }
    #expect(names(#"{"instrument_type":"futures"}"#) == ["BTC-PERPETUAL", "ETH-PERPETUAL", future])
    #expect(names(#"{"instrument_type":"future_rolls"}"#) == [roll])
    #expect(names(#"{"instrument_type":"options"}"#) == [call, "BTC-21APR26-62000-P"])
    #expect(names(#"{"expiry_date":"2026-04-21"}"#).count == 4)
    #expect(names(#"{"underlying":"ETHUSD"}"#) == ["ETH-PERPETUAL"])
  }

  @Test func `a whole chain of BTC is about as large as asked for and begins within 26 hours`() throws {
    for (now, options) in [(expirySeconds - 7200, 400), (expirySeconds - 7199, 0), (expirySeconds, 30)] {
      let chain = InstrumentSpec.btcChain(options: options, wallClock: now * second)
      #expect(chain.filter { $0.kind == .future }.count == 5)
      #expect(chain.filter { $0.kind == .combination }.count == 9)
      let count = chain.filter { $0.kind == .option }.count
      #expect(count >= options && count < options + 10)
      let first = chain.map(\.expirySeconds).min() ?? 0
      #expect(first - now >= 7200 && first - now < 26 * 3600)
      #expect(Set(chain.map(\.name)).count == chain.count)
      _ = try Harness {
        $0.wallClockBase = now * second
        $0.instruments += chain
      }
    }
    #expect(InstrumentSpec.btcFuture(day: 19_782).name == "BTC-29FEB24")
    #expect(InstrumentSpec.btcFuture(day: 19_782).expiryDate == "2024-02-29")
  }

  @Test func `what makes no instrument is not listed`() throws {
    let future = InstrumentSpec.btcFuture(day: expiryDay)
    let past = InstrumentSpec.btcFuture(day: 20_000)
    var typeless = InstrumentSpec.btcOption(.call, strike: 62_000, expiryOf: future)
    typeless.optionType = nil
    var coarse = future
    coarse.grid.tickE8 = 300_000_000
    var odd = InstrumentSpec.roll(far: future, near: .btcPerpetual)
    odd.grid.lotE8 = 1_000_000
    for wrong in [
      [past], [typeless], [.roll(far: future, near: .btcPerpetual)], [coarse, .roll(far: future, near: .btcPerpetual)],
      [future, odd],
    ] {
      #expect(throws: VenueError.self) { try Harness { $0.instruments += wrong } }
    }
  }

  @Test func `the instruments channel tells of listings and of expiries, whose instruments then are unknown`() throws {
    let h = try Harness.dated()
    let id = h.trader(cod: false)
    let snapshot = h.send(id, #"{"method":"public/subscribe","id":1,"params":{"channels":["instruments"]}}"#)
    #expect(snapshot[1].list.count == 6)
    #expect(snapshot[1].json["snapshot"] as? Bool == true)
    let next = InstrumentSpec.btcFuture(day: expiryDay + 1)
    try h.venue.list(next, now: h.now)
    let added = h.take(id)
    #expect(added.map { ($0.list[0]["added"] as? [String: Any])?.text("instrument_name") } == ["BTC-22APR26"])
    #expect(added[0].json["snapshot"] == nil)
    #expect(h.order(id, "BTC-22APR26", "buy", "0.1", "61000").errorCode == nil)
    #expect(throws: VenueError.self) { try h.venue.list(next, now: h.now) }

    h.order(id, call, "buy", "0.1", "5")
    #expect(h.venue.expire(call, now: h.now))
    #expect(!h.venue.expire(call, now: h.now))
    let removed = h.take(id).first { $0.channel == "instruments" }
    #expect((removed?.list[0]["removed"] as? [String: Any])?.text("instrument_name") == call)
    #expect(h.order(id, call, "buy", "0.1", "5").errorCode == 5)
    #expect(h.ask(id, "public/ticker", "{\"instrument_name\":\"\(call)\"}").errorCode == 5)
    #expect(h.ask(id, "public/subscribe", "{\"channels\":[\"ticker.\(call).raw\"]}").text.contains("\"result\":[]"))
    // Still described, and among all instruments.
    let old = h.ask(id, "public/instrument", "{\"instrument_name\":\"\(call)\"}").object
    #expect(old.number("settlement_index_price") == 61_800 && old.number("settlement_price") == 0)
    #expect(h.ask(id, "public/all_instruments").list.count == 7)
    #expect(h.ask(id, "public/instruments").list.count == 6)
    let window = "{\"time_low\":\(expirySeconds - 10),\"time_high\":\(expirySeconds + 10)}"
    #expect(h.ask(id, "public/all_instruments", window).list.count == 4)
    #expect(h.ask(id, "public/all_instruments", #"{"time_low":0,"time_high":300000}"#).errorCode == 6)
  }

  @Test func `at 08:00 UTC orders die, positions settle at the average index, and the instruments go`() throws {
    let h = try Harness.dated(secondsBefore: 1860)
    let id = h.trader(cod: false)
    let other = h.trader(2, kid: "K2", cod: false)
    h.ask(
      id, "private/subscribe",
      #"{"channels":["account.orders","account.trade_history","account.portfolio","account.order_history"]}"#)
    h.ask(id, "public/subscribe", #"{"channels":["instruments","price_index.BTCUSD","base_price.BTCUSD.2026-04-21"]}"#)
    h.order(other, future, "sell", "0.5", "61810")
    h.order(id, future, "buy", "0.5", "61810")
    h.order(other, call, "buy", "1", "120", #""collar":"ignore""#)
    h.order(id, call, "sell", "1", "120", #""collar":"ignore""#)
    h.order(id, future, "buy", "0.1", "61000")
    h.order(id, roll, "buy", "0.1", "-50")
    h.pass(59 * second)
    #expect(
      h.take(id).filter { $0.channel == "price_index.BTCUSD" }.allSatisfy {
        $0.notification["expiration_progress"] == nil
      })
    // A minute into the window the index moves.
    h.pass(901 * second)
    let half = h.take(id)
    let index = half.last { $0.channel == "price_index.BTCUSD" }?.notification ?? [:]
    #expect(abs(index.number("expiration_progress") - 0.5) < 0.002)
    #expect(index.number("expiration_print_average") == 61_800)
    #expect(index.number("expected_expiration_price") == 61_800)
    let base = half.last { $0.channel == "base_price.BTCUSD.2026-04-21" }?.notification ?? [:]
    #expect(base.text("base_name") == future)
    #expect(abs(base.number("index_delta") - 0.5) < 0.002)
    #expect(abs(h.ask(id, "public/ticker", "{\"instrument_name\":\"\(future)\"}").object.number("delta") - 0.5) < 0.002)
    h.pass(900 * second + 60 * millisecond)
    let out = h.take(id)
    let cancelled = out.filter { $0.channel == "account.orders" }.flatMap(\.list)
    #expect(cancelled.map { $0.text("delete_reason") } == ["instrument_deactivated", "instrument_deactivated"])
    #expect(
      out.first { $0.channel == "instruments" }?.list.compactMap {
        ($0["removed"] as? [String: Any])?.text("instrument_name")
      }
        == [future, roll, call, "BTC-21APR26-62000-P"])
    let trades = out.filter { $0.channel == "account.trade_history" }.flatMap(\.list)
    #expect(trades.map { $0.text("trade_type") } == ["expiration", "expiration"])
    #expect(trades.map { $0.text("instrument_name") } == [future, call])
    #expect(trades.map { $0.number("price") } == [61_800, 0])
    #expect(trades.map { $0.number("position_after") } == [0, 0])
    let lines = out.last { $0.channel == "account.portfolio" }?.list ?? []
    #expect(lines.map { $0.number("position") } == [0, 0])
    // Half a contract that lost 10, and a premium that was kept.
    #expect(lines.map { $0.number("realised_pnl") } == [-5, 120])
    #expect(out.filter { $0.channel == "account.order_history" }.flatMap(\.list).count == 2)
    #expect(h.lots(future) == 0 && h.lots(call) == 0)
    #expect(h.order(id, future, "buy", "0.1", "61000").errorCode == 5)
    #expect(h.ask(id, "public/index", #"{"underlying":"BTCUSD"}"#).object.number("previous_settlement_price") == 61_800)
    #expect(
      h.ask(id, "public/subscribe", #"{"channels":["base_price.BTCUSD.2026-04-21"]}"#).text.contains("\"result\":[]"))
  }

  @Test func `rolls have a book of their own: prices may be negative, a fill trades both legs at that distance`() throws
  {
    let h = try Harness.dated()
    let maker = h.trader(1)
    let taker = h.trader(2, kid: "K2")
    h.ask(maker, "private/subscribe", #"{"channels":["session.orders","account.trade_history","account.portfolio"]}"#)
    #expect(h.order(maker, roll, "sell", "0.2", "-3", #""client_order_id":100"#).errorCode == nil)
    #expect(h.order(maker, roll, "buy", "0.2", "-8").errorCode == nil)
    #expect(h.order(maker, roll, "buy", "0.2", "-8.5").errorCode == 15)
    #expect(h.order(maker, roll, "buy", "0.05", "-8").errorCode == 14)
    let ticker = h.ask(taker, "public/ticker", "{\"instrument_name\":\"\(roll)\"}").object
    #expect(ticker.number("best_bid_price") == -8 && ticker.number("best_ask_price") == -3)
    #expect(ticker["last_price"] == nil && ticker["volume_24h"] == nil)
    _ = h.take(maker)
    let filled = h.order(taker, roll, "buy", "0.1", "-3").object
    #expect(filled.items("fills").map { $0.number("price") } == [-3])
    #expect(filled.text("status") == "filled")
    h.pass(60 * millisecond)
    let told = h.take(maker)
    #expect(told.orders[0].items("fills").map { $0.number("price") } == [-3])
    let trades = told.first { $0.channel == "account.trade_history" }?.list ?? []
    #expect(trades.map { $0.text("instrument_name") } == [future, "BTC-PERPETUAL"])
    #expect(trades.map { $0.text("direction") } == ["sell", "buy"])
    #expect(trades.map { $0["leg_index"] as? Int } == [0, 1])
    #expect(Set(trades.map { $0.text("trade_id") }).count == 1)
    #expect(trades[0].number("price") - trades[1].number("price") == -3)
    #expect(trades.allSatisfy { $0.text("trade_type") == "combo" && $0["client_order_id"] as? Int == 100 })
    #expect(h.lots(future) == -100 && h.lots("BTC-PERPETUAL") == 100 && h.lots(roll) == 0)
    #expect(h.lots(future, "A2") == 100 && h.lots("BTC-PERPETUAL", "A2") == -100)
    // No price off the legs' difference by more than 3 % of the index, by default.
    #expect(h.order(taker, roll, "buy", "0.1", "2500").errorCode == 43)
  }

  @Test func `options have model marks with volatility and delta, and their own collars`() throws {
    let h = try Harness.dated()
    let id = h.trader()
    h.pass(second)
    func ticker(_ name: String) -> [String: Any] {
      h.ask(id, "public/ticker", "{\"instrument_name\":\"\(name)\"}").object
    }
    let (c, p, f) = (ticker(call), ticker("BTC-21APR26-62000-P"), ticker(future))
    // Put-call parity on the future's mark.
    let parity = c.number("mark_price") - p.number("mark_price") - (f.number("mark_price") - 62_000)
    #expect(abs(parity) < 0.01)
    #expect(abs(c.number("delta") - p.number("delta") - 1) < 1e-6)
    #expect(c.number("delta") > 0.3 && c.number("delta") < 0.5)
    #expect(c.number("iv") > 0.2 && c.number("iv") < 0.6)
    #expect(c.number("forward") == f.number("mark_price") && f.number("forward") == f.number("mark_price"))
    #expect(abs(c.number("collar_low") - c.number("mark_price") * 0.75) < 1e-6)
    #expect(abs(c.number("collar_high") - c.number("mark_price") * 1.25) < 1e-6)
    let above = Int(c.number("mark_price") * 1.3 / 5) * 5
    #expect(h.order(id, call, "buy", "0.1", "\(above)").errorCode == 43)
    #expect(h.order(id, call, "buy", "0.1", "\(above)", #""collar":"clamp""#).object.number("price") < Double(above))
  }

  @Test func `the aggregated light tickers carry what the reference lists`() throws {
    let h = try Harness.dated(quoted: true)
    let id = h.connect()
    h.pass(second)
    let channels =
      #"["lwt_futures.BTCUSD.raw","lwt_options.BTCUSD.all.raw","lwt_options.BTCUSD.2026-04-21.1000ms","lwt_options.BTCUSD.2026-04-22.raw","lwt_future_rolls.BTCUSD.raw","lwt.\#(call).raw","underlying_statistics.BTCUSD","index_components.BTCUSD","banners","rfqs","recent_trades.BTCUSD.options","[BTC-PERPETUAL:1].raw"]"#
    let out = h.send(id, "{\"method\":\"public/subscribe\",\"id\":1,\"params\":{\"channels\":\(channels)}}")
    #expect((out[0].result as? [String])?.count == 10)
    func tickers(_ channel: String) -> [String: [Any]] {
      out.first { $0.channel == channel }?.notification["tickers"] as? [String: [Any]] ?? [:]
    }
    #expect(tickers("lwt_futures.BTCUSD.raw").mapValues(\.count) == ["BTC-PERPETUAL": 8, future: 6])
    #expect(tickers("lwt_options.BTCUSD.all.raw").mapValues(\.count) == [call: 8, "BTC-21APR26-62000-P": 8])
    #expect(tickers("lwt_options.BTCUSD.2026-04-21.1000ms").count == 2)
    #expect(tickers("lwt_future_rolls.BTCUSD.raw").mapValues(\.count) == [roll: 6])
    // Books are not empty: bid and ask have two items each.
    #expect((tickers("lwt_options.BTCUSD.all.raw")[call]?[5] as? [Any])?.count == 2)
    #expect((tickers("lwt_future_rolls.BTCUSD.raw")[roll]?[3] as? [Any])?.count == 2)
    #expect(out.first { $0.channel == "lwt.\(call).raw" }?.notification["v"] != nil)
    h.pass(second)
    #expect(h.take(id).contains { $0.channel == "lwt_options.BTCUSD.all.raw" })
  }

  @Test func `quoted books follow the market wherever it goes`() throws {
    let h = try Harness.dated(
      quoted: true, later: [(second / 2, 70_000), (3 * second / 2, 30_000), (5 * second / 2, 150_000)])
    let id = h.connect()
    for index in [61_800.0, 70_000, 30_000, 150_000] {
      for name in [future, call, roll] {
        let ticker = h.ask(id, "public/ticker", "{\"instrument_name\":\"\(name)\"}").object
        let (bid, mark, ask) = (
          ticker.number("best_bid_price"), ticker.number("mark_price"), ticker.number("best_ask_price")
        )
        // An option that is worth nothing has no bid.
        if name == call && index == 30_000 { #expect(bid.isNaN) } else { #expect(bid < mark, "\(name) at \(index)") }
        #expect(mark < ask, "\(name) at \(index)")
        if name == future { #expect(abs(bid - index) < index / 50) }
      }
      h.pass(1001 * millisecond)
    }
    #expect(h.venue.statistics.droppedLevels == 0)
  }

  @Test func `others trade in quoted instruments, the same way every time`() throws {
    func run() throws -> (UInt64, [String]) {
      let h = try Harness.dated(quoted: true) { $0.derivedTradesPerMark = 3 }
      let id = h.trader(cod: false)
      h.ask(id, "public/subscribe", #"{"channels":["recent_trades.BTCUSD.all"]}"#)
      h.order(id, call, "buy", "5", "250")
      h.pass(30 * second)
      return (h.venue.statistics.trades, h.take(id).map(\.text))
    }
    let first = try run()
    #expect(first.0 > 60)
    #expect(try run() == first)
  }
}
