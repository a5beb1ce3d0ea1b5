import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Public market data: books, trades, tickers and bands (protocol reference 6).
@Suite struct BybitStreamTests {
  private func subscribe(_ h: BybitHarness, _ id: ConnectionID, _ topics: String...) -> [BybitMessage] {
    let list = topics.map { "\"\($0)\"" }.joined(separator: ",")
    return h.send(id, #"{"req_id":"s","op":"subscribe","args":[\#(list)]}"#)
  }

  @Test func `a book begins with a snapshot behind the acknowledgement, and goes on by one in its number`() throws {
    let h = try BybitHarness(flow: [
      (0, BybitHarness.calm),
      (second, [.level(0, .buy, 859_300, 500), .level(0, .buy, 859_290, 700), .level(0, .sell, 859_315, 0)]),
      (2 * second, [.level(0, .sell, 859_320, 100)]),
    ])
    let id = h.connectPublic()
    let first = subscribe(h, id, "orderbook.50.BTCUSDT")
    #expect(first.map(\.operation) == ["subscribe", nil])
    let snapshot = first[1]
    #expect(snapshot.json["type"] as? String == "snapshot" && snapshot.topic == "orderbook.50.BTCUSDT")
    #expect(snapshot.levels.bids == [["85930.0", "1.000"], ["85929.5", "2.000"]])
    #expect(snapshot.levels.asks == [["85931.0", "1.000"], ["85931.5", "2.000"]])
    h.pass(2 * second)
    let deltas = h.take(id)
    #expect(deltas.map { $0.json["type"] as? String } == ["delta", "delta"])
    #expect(deltas[0].levels.bids == [["85930.0", "0.500"], ["85929.0", "0.700"]])
    #expect(deltas[0].levels.asks == [["85931.5", "0"]])
    let updates = ([snapshot] + deltas).map { $0.data["u"] as? Int ?? 0 }
    #expect(updates == [updates[0], updates[0] + 1, updates[0] + 2])
    let sequences = ([snapshot] + deltas).map { $0.data["seq"] as? Int ?? 0 }
    #expect(sequences == sequences.sorted() && Set(sequences).count == 3)
    #expect(deltas[1].json["cts"] as? Int64 == h.milliseconds)
    #expect(
      h.get("/v5/market/orderbook", "category=linear&symbol=BTCUSDT", isPrivate: false).result["seq"] as? Int
        == sequences[2])
  }

  @Test func `what comes and goes within a period is not told, and the rest is told once`() throws {
    let h = try BybitHarness(flow: [
      (0, BybitHarness.calm),
      (second, [.level(0, .buy, 859_200, 10)]),
      (second + 5 * millisecond, [.level(0, .buy, 859_100, 10)]),
      (second + 10 * millisecond, [.level(0, .buy, 859_100, 0), .level(0, .buy, 859_200, 20)]),
      (second + 15 * millisecond, [.level(0, .buy, 859_200, 30)]),
    ])
    let id = h.connectPublic()
    _ = subscribe(h, id, "orderbook.50.BTCUSDT")
    h.pass(second + 19 * millisecond)
    #expect(h.take(id).map(\.levels.bids) == [[["85920.0", "0.010"]]])
    h.pass(1 * millisecond)
    #expect(h.take(id).map(\.levels.bids) == [[["85920.0", "0.030"]]])
    h.pass(second)
    #expect(h.take(id).isEmpty)
  }

  @Test func `a side never has more levels than its topic, and who leaves the window is deleted`() throws {
    var levels: [FlowEvent] = [.index(0, e8: 85_930_00000000), .level(0, .sell, 859_310, 1)]
    for place in 0..<60 { levels.append(.level(0, .buy, 859_300 - Int64(place), 10)) }
    let h = try BybitHarness(flow: [
      (0, levels), (second, [.level(0, .buy, 859_305, 7)]), (2 * second, [.level(0, .buy, 859_305, 0)]),
    ])
    let id = h.connectPublic()
    let snapshot = subscribe(h, id, "orderbook.50.BTCUSDT")[1]
    #expect(snapshot.levels.bids.count == 50)
    h.pass(second)
    #expect(h.take(id)[0].levels.bids == [["85930.5", "0.007"], ["85925.1", "0"]])
    h.pass(second)
    #expect(h.take(id)[0].levels.bids == [["85930.5", "0"], ["85925.1", "0.010"]])
  }

  @Test func `the first level comes whole each time, and again with the same number when nothing happens`() throws {
    let h = try BybitHarness(flow: [
      (0, BybitHarness.calm), (second, [.level(0, .buy, 859_300, 5)]), (2 * second, [.level(0, .buy, 859_295, 5)]),
    ])
    let id = h.connectPublic()
    let snapshot = subscribe(h, id, "orderbook.1.BTCUSDT")[1]
    h.pass(second)
    let next = h.take(id)
    #expect(next.count == 1 && next[0].json["type"] as? String == "snapshot")
    #expect(next[0].levels.bids == [["85930.0", "0.005"]] && next[0].levels.asks == [["85931.0", "1.000"]])
    #expect(next[0].data["u"] as? Int == (snapshot.data["u"] as? Int ?? 0) + 1)
    // The level behind it does not matter here.
    h.pass(2 * second)
    #expect(h.take(id).isEmpty)
    h.pass(second)
    let again = h.take(id)
    #expect(again.map { $0.data["u"] as? Int } == [next[0].data["u"] as? Int])
  }

  @Test func `everybody has the same numbers, and a late comer a snapshot that the next delta fits`() throws {
    let h = try BybitHarness(flow: [
      (0, BybitHarness.calm), (second, [.level(0, .buy, 859_200, 10)]), (3 * second, [.level(0, .buy, 859_100, 10)]),
    ])
    let early = h.connectPublic()
    _ = subscribe(h, early, "orderbook.200.BTCUSDT")
    h.pass(2 * second)
    let late = h.connectPublic()
    var book = BybitHarness.Book()
    book.apply(subscribe(h, late, "orderbook.200.BTCUSDT")[1])
    h.pass(second)
    let (one, other) = (h.take(early), h.take(late))
    #expect(one.last?.text == other.last?.text && other.count == 1)
    book.apply(other[0])
    #expect(book.gaps == 0 && book.bids[85_910] == 0.01)
    // A subscription that was given up begins anew.
    h.send(late, #"{"op":"unsubscribe","args":["orderbook.200.BTCUSDT"]}"#)
    #expect(subscribe(h, late, "orderbook.200.BTCUSDT")[1].json["type"] as? String == "snapshot")
  }

  @Test func `trades tell the taker's side, and only what came after the subscription`() throws {
    let h = try BybitHarness(flow: [
      (0, BybitHarness.calm), (second, [.trade(0, aggressor: .sell, 859_300, 10)]),
      (3 * second, [.trade(0, aggressor: .buy, 859_310, 25)]),
    ])
    h.pass(2 * second)
    let id = h.connectPublic()
    #expect(subscribe(h, id, "publicTrade.BTCUSDT").count == 1)
    h.pass(second)
    let told = h.take(id, "publicTrade.BTCUSDT")
    #expect(told.count == 1 && told[0].records.count == 1)
    let trade = told[0].records[0]
    #expect(trade.text("S") == "Buy" && trade.text("p") == "85931.00" && trade.text("v") == "0.025")
    #expect(trade["T"] as? Int64 == h.milliseconds && trade.text("i").count == 36 && trade["BT"] as? Bool == false)
    let list = h.get("/v5/market/recent-trade", "category=linear&symbol=BTCUSDT", isPrivate: false).list
    #expect(list.map { $0.text("side") } == ["Buy", "Sell"] && list[0].text("execId") == trade.text("i"))
  }

  @Test func `a ticker tells what has changed, and not more often than its period`() throws {
    let h = try BybitHarness(flow: [
      (0, BybitHarness.calm), (second + 500 * millisecond, [.level(0, .buy, 859_300, 5)]),
      (second + 550 * millisecond, [.level(0, .buy, 859_300, 6)]),
    ])
    let id = h.connectPublic()
    let snapshot = subscribe(h, id, "tickers.BTCUSDT")[1]
    #expect(snapshot.json["type"] as? String == "snapshot" && snapshot.data.text("markPrice") == "85930.00")
    #expect(snapshot.data.text("fundingIntervalHour") == "8" && snapshot.data.text("nextFundingTime").count == 13)
    h.pass(second + 499 * millisecond)
    _ = h.take(id)
    h.pass(millisecond)
    let delta = h.take(id)
    #expect(delta.count == 1 && delta[0].json["type"] as? String == "delta")
    #expect(delta[0].data.text("bid1Size") == "0.005" && delta[0].data["lastPrice"] == nil)
    h.pass(99 * millisecond)
    #expect(h.take(id).isEmpty)
    h.pass(millisecond)
    #expect(h.take(id).map { $0.data.text("bid1Size") } == ["0.006"])
  }

  @Test func `the band of prices goes with the mark price`() throws {
    let h = try BybitHarness(flow: [(0, BybitHarness.calm), (second, [.index(0, e8: 86_000_00000000)])])
    let id = h.connectPublic()
    let first = subscribe(h, id, "priceLimit.BTCUSDT")[1]
    #expect(first.data.text("buyLmt") == "86789.30" && first.data.text("sellLmt") == "85070.70")
    h.pass(3 * second)
    let next = try #require(h.take(id).last)
    let ticker = h.get("/v5/market/tickers", "category=linear&symbol=BTCUSDT", isPrivate: false).list[0]
    let mark = try #require(Double(ticker.text("markPrice")))
    let (buy, sell) = (Double(next.data.text("buyLmt")) ?? 0, Double(next.data.text("sellLmt")) ?? 0)
    #expect(
      mark > 85_931 && buy <= 1.01 * mark && buy > 1.01 * mark - 0.11 && sell >= 0.99 * mark
        && sell < 0.99 * mark + 0.11)
    let asked = h.get("/v5/market/price-limit", "category=linear&symbol=BTCUSDT", isPrivate: false)
    #expect(asked.result.text("buyLmt") == next.data.text("buyLmt"))
  }
}
