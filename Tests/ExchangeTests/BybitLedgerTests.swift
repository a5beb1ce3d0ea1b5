import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Positions, fees, funding and margin (protocol reference 8.2 to 8.4, 17).
@Suite struct BybitLedgerTests {
  private func take(_ h: BybitHarness, _ id: ConnectionID, _ side: String, _ quantity: String, _ price: String) {
    #expect(h.order(id, side, quantity, price, #","timeInForce":"IOC""#).code == 0)
  }

  @Test func `an average price moves with increases only, and profit is told by execution and in sum`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["execution", "position"]))
    take(h, id, "Buy", "1.000", "85931.0")
    take(h, id, "Buy", "1.000", "85931.5")
    let grown = try #require(h.records(stream, "position").last)
    #expect(grown.text("entryPrice") == "85931.25" && grown.text("size") == "2")
    take(h, id, "Sell", "0.500", "85930.0")
    let told = h.take(stream)
    let fill = try #require(told.first { $0.topic == "execution" }?.records.first)
    #expect(fill.text("closedSize") == "0.5" && fill.text("execPnl") == "-0.625")
    let less = try #require(told.last { $0.topic == "position" }?.records.first)
    #expect(less.text("entryPrice") == "85931.25" && less.text("size") == "1.5")
    // Fees of 85931, 85931.5 and 42965 USDT at 0.055 %, and the loss.
    let fees = (85_931 + 85_931.5 + 42_965) * 0.00055
    let realised = Double(less.text("curRealisedPnl")) ?? 0
    #expect(abs(realised + fees + 0.625) < 1e-7)
    #expect(less.text("cumRealisedPnl") == less.text("curRealisedPnl"))
    let wallet = h.get("/v5/account/wallet-balance", "accountType=UNIFIED").list[0].items("coin")[0]
    let balance = Double(wallet.text("walletBalance")) ?? 0
    #expect(abs(balance - 1_000_000 + fees + 0.625) < 1e-7)
  }

  @Test func `a position that turns begins anew`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["execution", "position"]))
    take(h, id, "Buy", "0.500", "85931.0")
    _ = h.take(stream)
    take(h, id, "Sell", "0.800", "85930.0")
    let told = h.take(stream)
    let fill = try #require(told.first { $0.topic == "execution" }?.records.first)
    #expect(fill.text("closedSize") == "0.5" && fill.text("execPnl") == "-0.5")
    let turned = try #require(told.last { $0.topic == "position" }?.records.first)
    #expect(turned.text("side") == "Sell" && turned.text("size") == "0.3" && turned.text("entryPrice") == "85930")
    // Of the present position only the fee of this trade counts; in sum everything does.
    let (now, sum) = (Double(turned.text("curRealisedPnl")) ?? 0, Double(turned.text("cumRealisedPnl")) ?? 0)
    #expect(now > sum && sum < -0.5)
    take(h, id, "Buy", "0.300", "85931.0")
    let flat = try #require(h.records(stream, "position").last)
    #expect(flat.text("side") == "" && flat.text("size") == "0" && flat.text("entryPrice") == "0")
    #expect(h.get("/v5/position/list", "category=linear&settleCoin=USDT").list.isEmpty)
  }

  @Test func `funding is paid on the whole hour of the contract, and one side's cost is the other's gain`() throws {
    let h = try BybitHarness {
      $0.instruments[0].fundingMinutes = 60
      $0.idleTimeout = 0
    }
    let (id, rival) = (h.trader(), h.trader(key: "other"))
    let (stream, other) = (h.stream(["execution", "wallet"]), h.stream(["execution"], key: "other"))
    h.order(rival, "Sell", "0.500", "85930.5")
    take(h, id, "Buy", "0.500", "85930.5")
    _ = h.take(stream)
    _ = h.take(other)
    let start = h.configuration.wallClockBase
    let hour: Nanoseconds = 3_600 * second
    h.pass(hour - start % hour - millisecond)
    #expect(!h.take(stream).contains { $0.topic == "execution" })
    h.pass(millisecond)
    let told = h.take(stream)
    let paid = try #require(told.first { $0.topic == "execution" }?.records.first)
    let got = try #require(h.records(other, "execution").first)
    #expect(paid.text("execType") == "Funding" && paid.text("side") == "Buy" && paid.text("execQty") == "0.5")
    #expect(got.text("side") == "Sell" && paid.text("execTime") == "\(h.milliseconds)")
    let (rate, mark) = (Double(paid.text("feeRate")) ?? 0, Double(paid.text("execPrice")) ?? 0)
    let (fee, gain) = (Double(paid.text("execFee")) ?? .nan, Double(got.text("execFee")) ?? .nan)
    #expect(abs(fee - 0.5 * mark * rate) < 1e-6)
    #expect(abs(fee + gain) < 1e-7)
    #expect(told.contains { $0.topic == "wallet" } && h.venue.brokenInvariant() == nil)
    #expect(
      h.get("/v5/execution/list", "category=linear&execType=Funding").list.map { $0.text("execId") } == [
        paid.text("execId")
      ])
    #expect(h.venue.books("desk")?.positions[0].lots == 500)
  }

  @Test func `margin is for the worst of position and orders, and what does not worsen it is free`() throws {
    let h = try BybitHarness { $0.initialBalanceE8 = 10_000_00000000 }
    let id = h.trader()
    // 1 BTC at ten times leverage takes 8593 USDT and its closing fee.
    #expect(h.order(id, "Buy", "1.000", "85900.0", link: "a").code == 0)
    #expect(h.order(id, "Buy", "0.200", "85900.0").code == 110_007)
    #expect(h.order(id, "Sell", "1.000", "85950.0", link: "b").code == 0)
    #expect(h.order(id, "Sell", "0.200", "85950.0").code == 110_007)
    let before = h.get("/v5/account/wallet-balance", "accountType=UNIFIED").list[0]
    let margin = Double(before.text("totalInitialMargin")) ?? 0
    #expect(abs(margin - 8593 - 85_930 * 0.00055) < 1)
    #expect(h.ask(id, "order.amend", #""symbol":"BTCUSDT","orderLinkId":"a","qty":"1.2""#).code == 110_007)
    #expect(h.ask(id, "order.cancel", #""symbol":"BTCUSDT","orderLinkId":"a""#).code == 0)
    #expect(h.ask(id, "order.cancel", #""symbol":"BTCUSDT","orderLinkId":"b""#).code == 0)
    let after = h.get("/v5/account/wallet-balance", "accountType=UNIFIED").list[0]
    #expect(after.text("totalInitialMargin") == "0" && after.text("totalAvailableBalance") == "10000")
  }

  @Test func `a rebate is a fee below zero`() throws {
    let h = try BybitHarness(flow: [(0, BybitHarness.calm), (second, [.trade(0, aggressor: .sell, 859_000, 10)])]) {
      $0.instruments[0].makerFeeE6 = -50
    }
    let (id, stream) = (h.trader(), h.stream(["execution"]))
    h.order(id, "Buy", "0.010", "85930.5")
    h.pass(second)
    let fill = try #require(h.records(stream, "execution").first)
    #expect(fill.text("execFee") == "-0.04296525" && fill.text("feeRate") == "-0.00005")
    let books = try #require(h.venue.books("desk"))
    #expect(books.fills.count == 1 && books.positions[0].lots == 10)
  }
}
