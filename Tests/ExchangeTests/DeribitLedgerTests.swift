import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Positions, profit, fees, summaries and histories (reference 9, 11, 15, 18).
@Suite struct DeribitLedgerTests {
  @Test func `an inverse position gains coins as the reference says, with fees in coins`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let bought = h.order(id, "buy", "6000", "60001").trades[0]
    #expect(bought.text("fee_currency") == "BTC")
    #expect(abs(bought.number("fee") - 6000 / 60_001 * 0.0005) < 1e-8)
    let sold = h.order(id, "sell", "3000", "60000").trades[0]
    #expect(abs(sold.number("profit_loss") - 3000 * (1 / 60_001.0 - 1 / 60_000)) < 2e-8)
    let position = h.ask(id, "private/get_position", #"{"instrument_name":"BTC-PERPETUAL"}"#).object
    #expect(position.number("size") == 3000 && position.text("direction") == "buy")
    #expect(position.number("average_price") == 60_001)
    #expect(abs(position.number("size_currency") - 3000 / position.number("mark_price")) < 1e-8)
    #expect(abs(position.number("delta") - position.number("size_currency")) < 1e-12)
    let floating = 3000 * (1 / 60_001.0 - 1 / position.number("mark_price"))
    #expect(abs(position.number("floating_profit_loss") - floating) < 2e-8)
    let book = try #require(h.venue.books("desk"))
    #expect(book.positions[0].lots == 300 && book.fills.map(\.tradeID).count == 2)
    #expect(book.positions[0].realisedE8 == Int64((sold.number("profit_loss") * 1e8).rounded()))
  }

  @Test func `a linear position shows what it is worth, with fees in USDC`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let trade = h.order(id, "sell", "0.1", "60000", instrument: "BTC_USDC-PERPETUAL").trades[0]
    #expect(trade.text("fee_currency") == "USDC" && trade.number("fee") == 3 && trade.number("contracts") == 1000)
    let position = h.ask(id, "private/get_positions", #"{"currency":"USDC","kind":"future"}"#).list[0]
    #expect(position.text("direction") == "sell" && position.number("size_currency") == -0.1)
    #expect(abs(position.number("size") + 0.1 * position.number("mark_price")) < 1e-6)
    #expect(position.number("average_price") == 60_000)
    let summary = h.ask(id, "private/get_account_summary", #"{"currency":"USDC"}"#).object
    #expect(summary.number("balance") == 999_997)
    let equity = 999_997 + 0.1 * (60_000 - position.number("mark_price"))
    #expect(abs(summary.number("equity") - equity) < 1e-6)
    #expect(abs(summary.number("delta_total") + 0.1) < 1e-9)
    let all = h.ask(id, "private/get_account_summaries").object.items("summaries")
    #expect(all.map { $0.text("currency") } == ["BTC", "USDC"])
    #expect(h.ask(id, "private/get_account_summary", #"{"currency":"DOGE"}"#).code == -32602)
    #expect(h.ask(id, "private/get_positions").list.count == 1)
  }

  @Test func `a position that turns round starts at the price of the turn`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.order(id, "buy", "1000", "60001")
    h.order(id, "sell", "3000", "60000")
    let position = h.ask(id, "private/get_position", #"{"instrument_name":"BTC-PERPETUAL"}"#).object
    #expect(position.number("size") == -2000 && position.number("average_price") == 60_000)
  }

  @Test func `trades are paged by count, number and time`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    var times: [Int64] = []
    for _ in 0..<5 {
      h.order(id, "buy", "10", "60001", #""label":"x""#)
      times.append(h.milliseconds)
      h.pass(second)
    }
    func ask(_ method: String, _ params: String) -> (sequences: [Int], more: Bool, code: Int?) {
      let reply = h.ask(id, "private/get_user_trades_by_\(method)", params)
      return (
        reply.trades.compactMap { $0["trade_seq"] as? Int }, reply.object["has_more"] as? Bool ?? false, reply.code
      )
    }
    let name = #""instrument_name":"BTC-PERPETUAL""#
    let newest = ask("instrument", "{\(name),\"count\":2}")
    #expect(newest.sequences == [5, 4] && newest.more)
    let all = ask("instrument", "{\(name),\"count\":5}")
    #expect(all.sequences == [5, 4, 3, 2, 1] && !all.more)
    #expect(ask("instrument", "{\(name),\"start_seq\":3}").sequences == [3, 4, 5])
    #expect(ask("instrument", "{\(name),\"sorting\":\"asc\",\"count\":1}").sequences == [1])
    #expect(ask("instrument", "{\(name),\"count\":1001}").code == -32602)
    let window = #""start_timestamp":\#(times[1]),"end_timestamp":\#(times[3])"#
    #expect(ask("instrument_and_time", "{\(name),\(window)}").sequences == [2, 3, 4])
    #expect(ask("currency_and_time", #"{"currency":"BTC",\#(window),"sorting":"desc"}"#).sequences == [4, 3, 2])
    #expect(ask("currency_and_time", #"{"currency":"BTC"}"#).code == -32602)
    #expect(ask("currency", #"{"currency":"USDC"}"#).sequences.isEmpty)
    let order = h.ask(id, "private/get_user_trades_by_currency", #"{"currency":"BTC"}"#).trades[0].text("order_id")
    #expect(h.ask(id, "private/get_user_trades_by_order", #"{"order_id":"\#(order)"}"#).list.count == 1)
  }

  @Test func `closed orders are in the history, unfilled ones if asked for`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.order(id, "buy", "10", "60001", #""label":"filled""#)
    h.order(id, "buy", "10", "59000", #""label":"open""#)
    h.ask(id, "private/cancel_all")
    func labels(_ params: String) -> [String] {
      h.ask(id, "private/get_order_history_by_instrument", "{\"instrument_name\":\"BTC-PERPETUAL\"\(params)}").list
        .map { $0.text("label") }
    }
    #expect(labels("") == ["filled"])
    #expect(labels(#","include_unfilled":true"#) == ["open", "filled"])
    #expect(labels(#","include_unfilled":true,"offset":1"#) == ["filled"])
  }

  @Test func `open orders are asked for by currency, instrument and label`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.order(id, "buy", "10", "59000", #""label":"a""#)
    h.order(id, "buy", "10", "59000", #""label":"b""#)
    h.order(id, "buy", "0.01", "59000", #""label":"a""#, instrument: "BTC_USDC-PERPETUAL")
    func count(_ suffix: String, _ params: String) -> Int {
      h.ask(id, "private/get_open_orders\(suffix)", params).list.count
    }
    #expect(count("", "{}") == 3 && count("", #"{"kind":"option"}"#) == 0)
    #expect(count("_by_currency", #"{"currency":"BTC"}"#) == 2)
    #expect(count("_by_instrument", #"{"instrument_name":"BTC_USDC-PERPETUAL"}"#) == 1)
    #expect(count("_by_label", #"{"currency":"BTC","label":"a"}"#) == 1)
  }

  @Test func `the daily settlement pauses trading, ends orders for the day and starts a session`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(id, "public/subscribe", #"{"channels":["quote.BTC-PERPETUAL"]}"#)
    h.order(id, "buy", "1000", "60001")
    h.order(id, "buy", "10", "59000", #""time_in_force":"good_til_day""#)
    h.order(id, "buy", "10", "59000")
    let eight: Nanoseconds = 86_400 * second
    let wait = eight - (h.configuration.wallClockBase - 28_800 * second) % eight
    h.pass(wait)
    let late = h.trader(2)
    #expect(h.order(late, "buy", "10", "59000").code == 10041)
    #expect(h.ask(late, "private/get_open_orders").list.map { $0.text("time_in_force") } == ["good_til_cancelled"])
    let position = h.ask(late, "private/get_position", #"{"instrument_name":"BTC-PERPETUAL"}"#).object
    #expect(position.number("realized_profit_loss") == 0 && position.number("size") == 1000)
    h.pass(3 * second)
    #expect(h.order(late, "buy", "10", "59000").code == nil)
  }

  @Test func `a dated future is quoted by the venue, expires and is settled at the index`() throws {
    let day = DeribitConfiguration().wallClockBase / (86_400 * second) + 1
    let flow = DeribitHarness.calm.filter { $0.instrument == 0 }
    let h = try DeribitHarness(flow: [(0, flow)]) {
      $0.instruments = [.btcPerpetual, .btcFuture(day: day, indexE8: 60_000_00000000)]
      $0.instruments[0].spec.initialIndexE8 = 60_000_00000000
      $0.settlementPause = 0
      $0.idleTimeout = 0
    }
    let id = h.trader()
    let listed = h.ask(id, "public/get_instruments", #"{"currency":"BTC","kind":"future"}"#).list
    let future = try #require(listed.last)
    let name = future.text("instrument_name")
    #expect(future.number("tick_size") == 2.5 && future.text("settlement_period") == "month")
    h.ask(id, "public/subscribe", #"{"channels":["instrument.state.any.any"]}"#)
    let ticker = h.ask(id, "public/ticker", #"{"instrument_name":"\#(name)"}"#).object
    let ask = ticker.number("best_ask_price")
    #expect(h.order(id, "buy", "10", "\(ask)", instrument: name).order.text("order_state") == "filled")
    let expiry = (future["expiration_timestamp"] as? Int64 ?? 0) * 1_000_000 - h.configuration.wallClockBase
    // Others sell into whatever bid there is: it would not stay for long.
    h.pass(expiry - h.now - 1000)
    let resting = h.trader(3)
    #expect(h.order(resting, "buy", "10", "59000", instrument: name).code == nil)
    _ = h.take(id)
    h.pass(1000)
    #expect(h.take(id, "instrument.state.any.any").map { $0.data.text("state") } == ["delivered"])
    let after = h.trader(2)
    #expect(h.order(after, "buy", "10", "\(ask)", instrument: name).code == -32602)
    #expect(
      h.ask(after, "public/get_instrument", #"{"instrument_name":"\#(name)"}"#).object.text("state") == "delivered")
    #expect(h.ask(after, "private/get_positions").list.isEmpty)
    let book = try #require(h.venue.books("desk"))
    #expect(book.openOrders.isEmpty && book.positions.allSatisfy { $0.lots == 0 })
    #expect(book.fills.map(\.type) == ["normal", "expiration"])
    #expect(h.ask(after, "private/get_user_trades_by_currency", #"{"currency":"BTC"}"#).trades.count == 1)
    #expect(h.venue.brokenInvariant() == nil)
  }
}
