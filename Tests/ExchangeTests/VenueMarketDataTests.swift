import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Channels, tickers, books, marks (reference 4.3, 5).
@Suite struct VenueMarketDataTests {
  func subscribe(_ h: Harness, _ c: ConnectionID, _ names: String...) -> [Received] {
    let list = names.map { "\"\($0)\"" }.joined(separator: ",")
    return h.send(c, "{\"method\":\"public/subscribe\",\"id\":1,\"params\":{\"channels\":[\(list)]}}")
  }

  @Test func `only channels that exist are accepted, and unsubscribing names what was removed`() throws {
    let h = try Harness()
    let c = h.connect()
    let good = [
      "ticker.BTC-PERPETUAL.raw", "lwt.ETH-PERPETUAL.1000ms", "lwt_futures.BTCUSD.500ms",
      "book.BTC-PERPETUAL.none.all.raw",
      "book.BTC-PERPETUAL.5.10.100ms", "book.ETH-PERPETUAL.0.5.3.raw", "price_index.BTCUSD", "instruments", "system",
      "recent_trades.BTC-PERPETUAL.single", "recent_trades.BTCUSD.all", "recent_trades.BTCUSD.options",
    ]
    let bad = [
      "ticker.BTC-PERPETUAL.50ms", "ticker.DOGE.raw", "book.BTC-PERPETUAL.none.0.raw", "book.BTC-PERPETUAL.0.5.10.raw",
      "price_index.DOGE", "session.orders", "recent_trades.BTCUSD.single", "", "ticker", "nonsense.x.y",
    ]
    let names = (good + bad).map { "\"\($0)\"" }.joined(separator: ",")
    #expect(h.ask(c, "public/subscribe", "{\"channels\":[\(names)]}").result as? [String] == good)
    #expect(h.ask(c, "unsubscribe", "{\"channels\":[\(names)]}").result as? [String] == good)
    #expect(h.ask(c, "private/subscribe", #"{"channels":["session.orders"]}"#).errorCode == 7)
    #expect(h.ask(c, "public/subscribe", #"{"channels":"x"}"#).errorCode == 6)
    h.pass(2 * second)
    #expect(h.take(c).isEmpty)
  }

  @Test func `the reply comes before the first messages, which keep the order of the request`() throws {
    let h = try Harness()
    let c = h.trader()
    let out = subscribe(h, c, "instruments", "ticker.BTC-PERPETUAL.raw", "price_index.BTCUSD")
    #expect(out.map(\.channel) == [nil, "instruments", "ticker.BTC-PERPETUAL.raw", "price_index.BTCUSD"])
    #expect(out[1].json["snapshot"] as? Bool == true)
    #expect(out[1].list.count == 2)
    #expect(subscribe(h, c, "instruments").count == 1)
    let account = h.send(
      c,
      #"{"method":"private/subscribe","id":2,"params":{"channels":["session.orders","account.portfolio","account.orders","account.trade_history","account.summary"]}}"#
    )
    #expect(
      account.map(\.channel) == [nil, "session.orders", "account.portfolio", "account.orders", "account.summary"])
    #expect(account[1].text == #"{"channel_name":"session.orders","notification":[],"snapshot":true}"#)
    #expect(account[2].text == #"{"channel_name":"account.portfolio","notification":[],"snapshot":true}"#)
  }

  @Test(arguments: ["none.all", "none.2", "none.10", "5.3", "2.all"])
  func `a book kept from snapshot and changes equals the venue's own`(shape: String) throws {
    let flow = SyntheticFlow(seed: 11)
    let venue = try SimulatedVenue(VenueConfiguration(), flow: flow)
    let raw = ConnectionID(1)
    let late = ConnectionID(2)
    var books: [ConnectionID: (bids: [Int: Double], asks: [Int: Double])] = [:]
    var totals: [ConnectionID: (Double, Double)] = [:]
    func drain() {
      venue.drain { id, outgoing in
        guard case .text(let bytes) = outgoing,
          let json = (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any],
          let body = json["notification"] as? [String: Any]
        else { return }
        var book = books[id] ?? ([:], [:])
        if json["snapshot"] != nil { book = ([:], [:]) }
        for (key, path) in [("bid_changes", \(bids: [Int: Double], asks: [Int: Double]).bids), ("ask_changes", \.asks)]
        {
          for level in body[key] as? [[NSNumber]] ?? [] {
            book[keyPath: path][level[0].intValue] = level[1].doubleValue == 0 ? nil : level[1].doubleValue
          }
        }
        books[id] = book
        totals[id] = (body.number("total_bid_amount"), body.number("total_ask_amount"))
      }
    }
    for (id, delay) in [(raw, "raw"), (late, "100ms")] {
      venue.connect(id, now: 0)
      venue.receive(
        id,
        text:
          "{\"method\":\"public/subscribe\",\"id\":1,\"params\":{\"channels\":[\"book.BTC-PERPETUAL.\(shape).\(delay)\"]}}",
        now: 0)
    }
    var now: Nanoseconds = 0
    for _ in 0..<400 {
      now += 13 * millisecond
      venue.advance(to: now)
      drain()
      // A fresh connection is told the truth.
      let check = ConnectionID(UInt64(now))
      venue.connect(check, now: now)
      venue.receive(
        check,
        text:
          "{\"method\":\"public/subscribe\",\"id\":1,\"params\":{\"channels\":[\"book.BTC-PERPETUAL.\(shape).raw\"]}}",
        now: now)
      drain()
      venue.disconnected(check, now: now)
      #expect(books[raw]?.bids == books[check]?.bids)
      #expect(books[raw]?.asks == books[check]?.asks)
      if shape.hasSuffix("all") {
        let sum = books[raw]?.bids.values.reduce(0, +) ?? -1
        #expect(abs(sum - (totals[check]?.0 ?? 0)) < 1e-6)
      }
    }
    // With delay the same state, at most one delay later.
    venue.disconnected(raw, now: now)
    #expect(books[late]?.bids.isEmpty == false)
  }

  @Test func `a delayed channel merges changes and keeps its distance`() throws {
    var steps: [(Nanoseconds, [FlowEvent])] = [(0, ScriptedFlow.calm)]
    for k in 1...50 { steps.append((Nanoseconds(k) * 10 * millisecond, [.level(0, .buy, 61_800, 1000 + Int64(k))])) }
    let h = try Harness(flow: steps)
    let c = h.connect()
    _ = subscribe(h, c, "ticker.BTC-PERPETUAL.100ms", "lwt.BTC-PERPETUAL.raw")
    h.pass(499 * millisecond)
    let out = h.take(c)
    #expect(out.filter { $0.channel == "lwt.BTC-PERPETUAL.raw" }.count == 49)
    let slow = out.filter { $0.channel == "ticker.BTC-PERPETUAL.100ms" }
    #expect(slow.map { $0.notification.number("best_bid_amount") } == [1.009, 1.019, 1.029, 1.039])
    h.pass(101 * millisecond)
    #expect(
      h.take(c).last { $0.channel == "ticker.BTC-PERPETUAL.100ms" }?.notification.number("best_bid_amount") == 1.05)
    h.pass(300 * millisecond)
    #expect(h.take(c).isEmpty)
  }

  @Test func `the ticker of an empty market has nulls, and all of its members`() throws {
    let h = try Harness(flow: [])
    let c = h.connect()
    let ticker = h.ask(c, "public/ticker", #"{"instrument_name":"BTC-PERPETUAL"}"#).object
    for key in ["best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount", "last_price"] {
      #expect(ticker[key] is NSNull)
    }
    #expect(ticker.number("mark_price") == 61_800)
    #expect(ticker.number("collar_low") == 59_946)
    #expect(ticker.number("collar_high") == 63_654)
    #expect(
      subscribe(h, c, "lwt.BTC-PERPETUAL.raw")[1].text
        == #"{"channel_name":"lwt.BTC-PERPETUAL.raw","notification":{"m":61800}}"#)
  }

  @Test func `the mark follows index and premium once a second, and funding accrues`() throws {
    // The book stands 62 above the index: 10 bp.
    let h = try Harness(flow: [
      (0, [.index(0, e8: 61_800_00000000), .level(0, .buy, 61_861, 5000), .level(0, .sell, 61_863, 5000)])
    ])
    let c = h.connect()
    _ = subscribe(h, c, "ticker.BTC-PERPETUAL.raw", "price_index.BTCUSD")
    h.pass(100 * second)
    let out = h.take(c)
    let marks = out.filter { $0.channel == "ticker.BTC-PERPETUAL.raw" }.map { $0.notification.number("mark_price") }
    #expect(marks.count == 100)
    #expect(out.filter { $0.channel == "price_index.BTCUSD" }.count == 100)
    #expect(marks == marks.sorted())
    #expect(abs((marks.first ?? 0) - (61_800 + 62.0 * 2 / 31)) < 1e-6)
    #expect(abs((marks.last ?? 0) - 61_862) < 0.2)
    let last = try #require(out.last { $0.channel == "ticker.BTC-PERPETUAL.raw" }).notification
    // p = 62 / 61,800 = 10.03 bp, less the dampener of 2.5 bp.
    #expect(abs(last.number("funding_rate") - 0.000753) < 0.000002)
    let full = 0.000753 * 61_800 / 28_800
    #expect(last.number("funding_mark") > full * 80 && last.number("funding_mark") < full * 100)
  }

  @Test func `light tickers of all futures carry funding and arrays`() throws {
    let h = try Harness()
    let c = h.connect()
    let first = subscribe(h, c, "lwt_futures.BTCUSD.raw")[1]
    let tickers = first.notification["tickers"] as? [String: [Any]] ?? [:]
    #expect(tickers["BTC-PERPETUAL"]?.count == 8)
    #expect(tickers["BTC-PERPETUAL"]?[3] as? [Double] == [61_800, 1])
    #expect(tickers["BTC-PERPETUAL"]?[5] is NSNull)
  }

  @Test func `trades reach the book channel and the trade channels once`() throws {
    let h = try Harness(flow: [(0, ScriptedFlow.calm), (second / 2, [.trade(0, aggressor: .buy, 61_802, 1500)])])
    let c = h.connect()
    _ = subscribe(
      h, c, "book.BTC-PERPETUAL.none.2.raw", "recent_trades.BTCUSD.all", "recent_trades.BTC-PERPETUAL.single")
    h.pass(second / 2)
    let out = h.take(c)
    #expect(out.count == 3)
    #expect(
      out[0].text.contains(
        #""trades":[[61801,1,"buy",1776715497.5,false],[61802,0.5,"buy",1776715497.5,false]],"ask_changes":[[61801,0,0],[61802,1.5,1.5]],"total_bid_amount":3,"total_ask_amount":1.5,"#
      ))
    #expect((out[1].json["notification"] as? [[Any]])?.count == 2)
    let late = h.connect(2)
    #expect((subscribe(h, late, "recent_trades.BTC-PERPETUAL.single")[1].json["notification"] as? [[Any]])?.count == 2)
  }
}
