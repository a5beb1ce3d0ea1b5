import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// The daily settlement at 08:00 UTC (reference 4.3, 7.4).
@Suite struct VenueSettlementTests {
  /// A trader long 1 BTC of the perpetual, at a premium over the index, so that funding accrues.
  private func stage(_ adjust: (inout VenueConfiguration) -> Void = { _ in }) throws -> (Harness, ConnectionID) {
    let h = try perpetual(adjust)
    let id = h.trader(cod: false)
    #expect(h.order(id, "BTC-PERPETUAL", "buy", "1", "61801").errorCode == nil)
    _ = h.ask(id, "private/subscribe", #"{"channels":["account.portfolio"]}"#)
    return (h, id)
  }

  /// 300 s before the settlement, and with no instrument that expires then.
  private func perpetual(
    later: [(Nanoseconds, Int64)] = [], _ adjust: (inout VenueConfiguration) -> Void = { _ in }
  ) throws -> Harness {
    let first: [FlowEvent] = [
      .index(0, e8: 61_000_00000000), .level(0, .buy, 61_800, 9000), .level(0, .sell, 61_801, 9000),
    ]
    return try Harness(flow: [(0, first)] + later.map { ($0.0, [.index(0, e8: $0.1 * 100_000_000)]) }) {
      $0.wallClockBase = (expirySeconds - 300) * second
      adjust(&$0)
    }
  }

  private func margin(_ h: Harness, _ id: ConnectionID) -> (cash: Double, margin: Double, realised: Double) {
    let summary = h.ask(id, "private/account_summary").object
    let cash = (summary["cash"] as? [[String: Any]])?.first?["balance"] as? Double ?? .nan
    return (cash, summary.number("margin"), summary.number("session_realised_pnl"))
  }

  private func line(_ h: Harness, _ id: ConnectionID) -> [String: Any] {
    h.ask(id, "private/portfolio").list.first { $0.text("instrument_name") == "BTC-PERPETUAL" } ?? [:]
  }

  @Test func `the start price becomes the mark, the average and the position stay, and the margin is the same`() throws
  {
    // No mark is due at 08:00:00 itself.
    let (h, id) = try stage { $0.markInterval = 7 * second }
    h.pass(299 * second)
    let before = margin(h, id)
    let old = line(h, id)
    #expect(old.number("start_price") == 61_801 && old.number("unrealised_pnl") < -20)
    #expect(old.number("unrealised_perpetual_funding") < 0)
    _ = h.take(id)
    h.pass(second)
    let told = h.take(id).filter { $0.channel == "account.portfolio" }
    #expect(told.last?.list.map { $0.text("instrument_name") } == ["BTC-PERPETUAL"])
    let new = line(h, id)
    #expect(new.number("position") == 1 && new.number("average_price") == 61_801)
    #expect(
      new.number("start_price") == new.number("mark_price") && new.number("entry_value") == new.number("mark_price"))
    #expect(new.number("unrealised_pnl") == 0 && new.number("unrealised_perpetual_funding") == 0)
    #expect(new.number("realised_pnl") == 0)
    let after = margin(h, id)
    #expect(after.realised == 0)
    #expect(abs(after.margin - before.margin) < 0.000_001, "\(before) \(after)")
    #expect(after.cash < before.cash - 20 && after.cash == after.margin)
    let ticker = h.ask(id, "public/ticker", #"{"instrument_name":"BTC-PERPETUAL"}"#).object
    #expect(ticker.number("funding_mark") == 0 && ticker.number("realised_funding_24h") > 0)
    let index = h.ask(id, "public/index", #"{"underlying":"BTCUSD"}"#).object
    #expect(index.number("previous_settlement_price") == 61_000)
  }

  @Test func `what is closed after a settlement has made as much as without one, funding aside`() throws {
    func end(settling: Bool) throws -> (cash: Double, session: Double, books: MoneyE8) {
      let (h, id) = try stage { if !settling { $0.wallClockBase -= 7200 * second } }
      h.pass(310 * second)
      let funding = margin(h, id).margin
      #expect(h.order(id, "BTC-PERPETUAL", "sell", "1", "61800").errorCode == nil)
      #expect(h.lots("BTC-PERPETUAL") == 0)
      let now = margin(h, id)
      #expect(funding.isFinite)
      let realised = h.venue.books("A1")?.positions.first { $0.instrument == "BTC-PERPETUAL" }?.realisedE8 ?? 0
      // Without a settlement, what funding has come to is not paid yet.
      return (settling ? now.cash : now.margin, now.realised, realised)
    }
    let (with, without) = try (end(settling: true), end(settling: false))
    #expect(with.books == without.books && with.books == -1_00000000)
    #expect(abs(with.cash - without.cash) < 1, "\(with) \(without)")
    // The session's own profit counts from the mark at the settlement.
    #expect(with.session != without.session)
  }

  @Test func `settlements come every day, and go by the clock when that is stepped`() throws {
    let day: Nanoseconds = 86_400 * second
    let h = try perpetual(later: [(1000 * second, 61_100), (day + 1000 * second, 61_200)]) {
      $0.markInterval = 60 * second
    }
    let id = h.connect()
    func last() -> Double {
      h.ask(id, "public/index", #"{"underlying":"BTCUSD"}"#).object.number("previous_settlement_price")
    }
    h.pass(299 * second)
    #expect(last() == 61_800)  // the index at the listing
    h.pass(day)
    #expect(last() == 61_000)
    h.pass(2 * second)
    #expect(last() == 61_100)
    // An hour back: it is 07:00:01, with another index.
    h.pass(3600 * second)
    h.venue.setClockOffset(-7200 * second, now: h.now)
    h.pass(3597 * second)
    #expect(last() == 61_100)
    h.pass(3 * second)
    #expect(last() == 61_200)
  }
}
