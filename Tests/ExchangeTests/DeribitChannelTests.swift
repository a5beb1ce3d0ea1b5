import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Subscriptions, books, quotes, tickers, trades and private channels (reference 6 to 8).
@Suite struct DeribitChannelTests {
  /// A book as a client keeps it.
  struct Book {
    var bids: [Double: Double] = [:]
    var asks: [Double: Double] = [:]
    var last: Int64 = 0
    var gaps = 0

    mutating func apply(_ message: DeribitMessage) {
      let data = message.data
      let change = data["change_id"] as? Int64 ?? 0
      if data.text("type") == "snapshot" {
        #expect(data["prev_change_id"] == nil)
        bids = [:]
        asks = [:]
      } else if data["prev_change_id"] as? Int64 != last {
        gaps += 1
      }
      last = change
      for (key, side) in [("bids", \Book.bids), ("asks", \.asks)] {
        for case let entry as [Any] in data[key] as? [Any] ?? [] {
          let price = (entry[1] as? NSNumber)?.doubleValue ?? 0
          let amount = (entry[2] as? NSNumber)?.doubleValue ?? 0
          self[keyPath: side][price] = amount == 0 ? nil : amount
        }
      }
    }
  }

  @Test func `subscribing answers with what is valid, and a duplicate brings no second snapshot`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let reply = h.ask(
      id, "public/subscribe",
      #"{"channels":["book.BTC-PERPETUAL.raw","book.XRP-PERPETUAL.raw","ticker.BTC-PERPETUAL.5ms","nonsense"]}"#)
    #expect(reply.names == ["book.BTC-PERPETUAL.raw"])
    #expect(h.take(id).map { $0.data.text("type") } == ["snapshot"])
    #expect(h.ask(id, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.raw"]}"#).names.count == 1)
    #expect(h.take(id).isEmpty)
    #expect(h.ask(id, "public/unsubscribe", #"{"channels":["book.BTC-PERPETUAL.raw"]}"#).names.count == 1)
    #expect(h.ask(id, "private/subscribe", #"{"channels":["book.BTC-PERPETUAL.raw"]}"#).names.count == 1)
    #expect(h.take(id).map { $0.data.text("type") } == ["snapshot"])
    #expect(h.ask(id, "public/subscribe", #"{"channels":["nonsense"]}"#).names.isEmpty)
  }

  @Test func `raw channels and private ones need a login`() throws {
    let h = try DeribitHarness()
    let id = h.connect()
    #expect(
      h.ask(id, "public/subscribe", #"{"channels":["quote.BTC-PERPETUAL","book.BTC-PERPETUAL.raw"]}"#).code == 13778)
    #expect(h.ask(id, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.100ms"]}"#).names.count == 1)
    #expect(h.ask(id, "private/subscribe", #"{"channels":["user.orders.any.any.raw"]}"#).code == 13009)
    #expect(h.ask(h.trader(2), "private/subscribe", #"{"channels":["user.orders.any.any.raw"]}"#).names.count == 1)
  }

  @Test func `change ids begin above 2^53, are shared by instruments and chain within a channel`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(id, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.raw","book.BTC_USDC-PERPETUAL.raw"]}"#)
    var books = ["BTC-PERPETUAL": Book(), "BTC_USDC-PERPETUAL": Book()]
    var seen: [Int64] = []
    func apply() {
      for message in h.take(id) where message.channel?.hasPrefix("book.") == true {
        books[message.data.text("instrument_name")]?.apply(message)
        if message.data.text("type") == "change" { seen.append(message.data["change_id"] as? Int64 ?? 0) }
      }
    }
    apply()
    for step in 0..<20 {
      h.order(id, "buy", "10", "\(59_000 + step)")
      h.order(id, "buy", "0.01", "\(59_000 + step)", instrument: "BTC_USDC-PERPETUAL")
    }
    h.ask(id, "private/cancel_all")
    apply()
    #expect(books.values.allSatisfy { $0.gaps == 0 && $0.bids.count < 3 })
    #expect(seen.count == 42 && seen == seen.sorted() && Set(seen).count == 42)
    #expect(seen.allSatisfy { $0 > 1 << 53 })
    #expect(zip(seen, seen.dropFirst()).contains { $1 - $0 > 1 })
  }

  @Test func `a book says new, change and delete, best levels first`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(id, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.raw"]}"#)
    let snapshot = h.take(id)[0].text
    #expect(
      snapshot.hasSuffix(
        #""bids":[["new",60000.0,10000.0],["new",59999.5,20000.0]],"asks":[["new",60001.0,10000.0],["new",60001.5,20000.0]]}}}"#
      ))
    let order = h.order(id, "buy", "10", "59999").order.text("order_id")
    #expect(h.take(id)[0].text.contains(#""bids":[["new",59999.0,10.0]],"asks":[]"#))
    h.order(id, "buy", "10", "59999")
    #expect(h.take(id)[0].text.contains(#""bids":[["change",59999.0,20.0]],"asks":[]"#))
    h.ask(id, "private/edit", #"{"order_id":"\#(order)","price":59998,"amount":10}"#)
    #expect(h.take(id)[0].text.contains(#""bids":[["change",59999.0,10.0],["new",59998.0,10.0]]"#))
    h.ask(id, "private/cancel_all")
    #expect(h.take(id)[0].text.contains(#""bids":[["delete",59999.0,0.0],["delete",59998.0,0.0]]"#))
  }

  @Test func `the 100ms book gathers changes and has a chain of its own`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(id, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.raw","book.BTC-PERPETUAL.100ms"]}"#)
    var raw = Book()
    var slow = Book()
    var counts = (raw: 0, slow: 0)
    func apply() {
      for message in h.take(id) {
        if message.channel == "book.BTC-PERPETUAL.raw" {
          raw.apply(message)
          counts.raw += 1
        } else if message.channel == "book.BTC-PERPETUAL.100ms" {
          slow.apply(message)
          counts.slow += 1
        }
      }
    }
    apply()
    for step in 0..<30 {
      h.order(id, "buy", "10", "\(59_000 + step % 7)")
      h.pass(10 * millisecond)
      apply()
    }
    h.pass(200 * millisecond)
    apply()
    #expect(raw.gaps == 0 && slow.gaps == 0 && raw.bids == slow.bids && raw.bids.count == 9)
    #expect(counts.raw == 31 && counts.slow > 3 && counts.slow < 8)
    // One who joins later finds the chain where it is.
    let late = h.trader(2)
    h.order(id, "buy", "10", "58000")
    h.ask(late, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.100ms"]}"#)
    h.order(id, "buy", "10", "58001")
    h.pass(200 * millisecond)
    var book = Book()
    for message in h.take(late) where message.channel != nil { book.apply(message) }
    apply()
    #expect(book.gaps == 0 && slow.gaps == 0 && book.bids == slow.bids && book.bids[58_001] == 10)
  }

  @Test func `a change that gets lost breaks the chain once, and a new subscription mends it`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(id, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.raw"]}"#)
    var book = Book()
    func apply() { for message in h.take(id, "book.BTC-PERPETUAL.raw") { book.apply(message) } }
    h.venue.loseBookChanges("BTC-PERPETUAL", now: h.now)
    h.order(id, "buy", "10", "59000")
    h.order(id, "buy", "10", "59001")
    h.order(id, "buy", "10", "59002")
    apply()
    #expect(book.gaps == 1 && book.bids[59_000] == nil && book.bids[59_002] == 10)
    h.ask(id, "public/unsubscribe", #"{"channels":["book.BTC-PERPETUAL.raw"]}"#)
    h.ask(id, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.raw"]}"#)
    apply()
    #expect(book.bids[59_000] == 10)
  }

  @Test func `windows, quotes and tickers speak when what they show has changed`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(
      id, "public/subscribe",
      #"{"channels":["book.BTC-PERPETUAL.none.1.raw","book.BTC-PERPETUAL.10.10.raw","quote.BTC-PERPETUAL","ticker.BTC-PERPETUAL.raw"]}"#
    )
    let first = h.take(id)
    #expect(first.count == 4 && first.allSatisfy { $0.data["prev_change_id"] == nil })
    let ticker = try #require(first.last?.data)
    #expect(ticker.number("min_price") == 58_200 && ticker.number("max_price") == 61_800)
    #expect(ticker["last_price"] is NSNull && ticker.number("index_price") == 60_000)
    // Behind the best: only the grouped window shows it.
    h.order(id, "buy", "10", "59990")
    #expect(h.take(id).compactMap(\.channel) == ["book.BTC-PERPETUAL.10.10.raw"])
    h.order(id, "buy", "10", "60000.5")
    let told = h.take(id)
    #expect(Set(told.compactMap(\.channel)).count == 4)
    let quote = try #require(told.first { $0.channel == "quote.BTC-PERPETUAL" }?.data)
    #expect(quote.number("best_bid_price") == 60_000.5 && quote.number("best_bid_amount") == 10)
    #expect(quote.number("best_ask_price") == 60_001 && quote.number("best_ask_amount") == 10_000)
  }

  @Test func `a recording that begins far from the market is shown where the market is`() throws {
    let deep: [FlowEvent] = [
      .level(2, .buy, 14_900, 5), .level(2, .buy, 200_000, 7), .level(2, .sell, 200_010, 9),
      .index(2, e8: 2_000_00000000),
    ]
    let h = try DeribitHarness(flow: [(0, deep)])
    let book = h.ask(h.connect(), "public/get_order_book", #"{"instrument_name":"ETH_USDC-PERPETUAL"}"#).object
    #expect(book.number("best_bid_price") == 2000 && book.number("best_ask_price") == 2000.1)
    #expect(h.venue.statistics.droppedLevels == 1)
  }

  @Test func `an empty side of a quote is null with amount 0`() throws {
    let h = try DeribitHarness(flow: [(0, [.index(0, e8: 60_000_00000000)])])
    let id = h.trader()
    h.ask(id, "public/subscribe", #"{"channels":["quote.BTC-PERPETUAL"]}"#)
    let quote = h.take(id)[0].data
    #expect(quote["best_bid_price"] is NSNull && quote.number("best_bid_amount") == 0)
  }

  @Test func `public trades are numbered by instrument and reach family channels too`() throws {
    let h = try DeribitHarness(flow: [
      (0, DeribitHarness.calm),
      (second, [.trade(0, aggressor: .sell, 119_000, 3), .trade(1, aggressor: .buy, 600_020, 5)]),
    ])
    let id = h.trader()
    h.ask(
      id, "public/subscribe",
      #"{"channels":["trades.BTC-PERPETUAL.raw","trades.future.USDC.100ms","trades.any.any.raw"]}"#)
    h.order(id, "buy", "20", "60001")
    let mine = h.take(id, "trades.BTC-PERPETUAL.raw")
    #expect(mine.count == 1 && mine[0].dataList[0]["trade_seq"] as? Int == 1)
    #expect(mine[0].dataList[0].text("direction") == "buy" && mine[0].dataList[0].number("contracts") == 2)
    h.pass(second)
    h.pass(second)
    let told = h.take(id)
    let own = told.filter { $0.channel == "trades.BTC-PERPETUAL.raw" }
    #expect(own.count == 1 && own[0].dataList[0]["trade_seq"] as? Int == 2)
    #expect(own[0].dataList[0]["tick_direction"] as? Int == 2)
    #expect(told.filter { $0.channel == "trades.future.USDC.100ms" }[0].dataList[0].text("trade_id").hasPrefix("USDC-"))
    #expect(told.filter { $0.channel == "trades.any.any.raw" }.flatMap(\.dataList).count == 2)
    let last = h.ask(id, "public/get_last_trades_by_instrument", #"{"instrument_name":"BTC-PERPETUAL","count":1}"#)
    #expect(last.trades.map { $0["trade_seq"] as? Int } == [2] && last.object["has_more"] as? Bool == true)
  }

  @Test func `user.changes brings order, trades and position of one event together`() throws {
    let h = try DeribitHarness(flow: [
      (0, DeribitHarness.calm), (second, [.trade(0, aggressor: .sell, 119_000, 3)]),
    ])
    let id = h.trader()
    h.ask(
      id, "private/subscribe",
      #"{"channels":["user.changes.future.BTC.raw","user.orders.any.any.raw","user.trades.BTC-PERPETUAL.raw","user.portfolio.btc"]}"#
    )
    h.order(id, "buy", "100", "60000.5", #""label":"a""#)
    let placed = h.take(id)
    #expect(placed.compactMap(\.channel) == ["user.orders.any.any.raw", "user.changes.future.BTC.raw"])
    // A single object, not a list.
    #expect(placed[0].data.text("label") == "a")
    #expect(placed[1].data.items("trades").isEmpty && placed[1].data.items("positions").isEmpty)
    h.pass(second)
    // The margin of the order was told with the mark, just before.
    let filled = Array(h.take(id).drop { $0.channel == "user.portfolio.btc" })
    #expect(
      filled.compactMap(\.channel).prefix(4) == [
        "user.orders.any.any.raw", "user.trades.BTC-PERPETUAL.raw", "user.changes.future.BTC.raw", "user.portfolio.btc",
      ])
    let change = filled[2].data
    #expect(change.items("orders")[0].number("filled_amount") == 30)
    #expect(change.items("orders")[0].text("order_state") == "open")
    let trade = change.items("trades")[0]
    #expect(trade.text("liquidity") == "M" && trade.text("direction") == "buy" && trade.number("fee") == 0)
    #expect(change.items("positions")[0].number("size") == 30)
    #expect(filled[1].dataList[0].text("trade_id") == trade.text("trade_id"))
    // Another account, another family: nothing.
    let other = h.trader(2, id: "other")
    h.ask(other, "private/subscribe", #"{"channels":["user.changes.any.any.raw"]}"#)
    h.ask(id, "private/subscribe", #"{"channels":["user.changes.option.any.raw","user.changes.any.ETH.raw"]}"#)
    h.ask(id, "private/cancel_all")
    #expect(h.take(other).isEmpty)
    #expect(
      h.take(id).allSatisfy { $0.channel != "user.changes.option.any.raw" && $0.channel != "user.changes.any.ETH.raw" })
  }

  @Test func `an order that fills at once is told as filled only`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(id, "private/subscribe", #"{"channels":["user.orders.BTC-PERPETUAL.raw"]}"#)
    h.order(id, "buy", "15000", "60002")
    #expect(h.take(id).map { $0.data.text("order_state") } == ["filled"])
  }

  @Test func `aggregated private channels send lists every 100 ms`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(
      id, "private/subscribe",
      #"{"channels":["user.orders.BTC-PERPETUAL.100ms","user.changes.any.any.100ms","user.trades.any.any.100ms"]}"#)
    h.order(id, "buy", "10", "59000")
    h.order(id, "buy", "10", "60001")
    h.order(id, "buy", "0.01", "60001", instrument: "BTC_USDC-PERPETUAL")
    #expect(h.take(id).isEmpty)
    h.pass(100 * millisecond)
    let told = h.take(id)
    #expect(told.filter { $0.channel == "user.orders.BTC-PERPETUAL.100ms" }.map(\.dataList.count) == [2])
    #expect(told.filter { $0.channel == "user.trades.any.any.100ms" }.map(\.dataList.count) == [2])
    let changes = told.filter { $0.channel == "user.changes.any.any.100ms" }.map(\.data)
    #expect(changes.map { $0.text("instrument_name") } == ["BTC-PERPETUAL", "BTC_USDC-PERPETUAL"])
    #expect(changes[0].items("orders").count == 2 && changes[0].items("positions").count == 1)
  }

  @Test func `the order of reply and notifications can be turned round, drawn or delayed`() throws {
    func order(_ adjust: (inout DeribitConfiguration) -> Void) throws -> [String] {
      let h = try DeribitHarness(flow: [(0, DeribitHarness.calm)], adjust)
      let id = h.trader()
      h.ask(
        id, "private/subscribe",
        #"{"channels":["user.orders.any.any.raw","user.trades.any.any.raw","user.changes.any.any.raw"]}"#)
      _ = h.take(id)
      var all: [String] = []
      for _ in 0..<8 {
        let messages = h.send(
          id, #"{"id":1,"method":"private/buy","params":{"instrument_name":"BTC-PERPETUAL","amount":10,"price":60001}}"#
        )
        all.append(
          messages.map { $0.channel.map { String($0.split(separator: ".")[1]) } ?? "reply" }.joined(separator: " "))
      }
      h.pass(20 * millisecond)
      all.append("\(h.take(id).count)")
      return all
    }
    #expect(try order { _ in }.dropLast().allSatisfy { $0 == "reply orders trades changes" })
    #expect(try order { $0.messageOrder = .replyLast }.dropLast().allSatisfy { $0 == "orders trades changes reply" })
    #expect(Set(try order { $0.messageOrder = .random }.dropLast()).count > 3)
    let late = try order { $0.notificationDelay = 20 * millisecond }
    #expect(late.dropLast().allSatisfy { $0 == "reply" } && late.last == "24")
  }

  @Test func `numbers can be written in three ways, and mean the same`() throws {
    func texts(_ numbers: DeribitConfiguration.Numbers) throws -> [DeribitMessage] {
      let h = try DeribitHarness { $0.numbers = numbers }
      let id = h.trader()
      h.ask(id, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.raw"]}"#)
      var all = h.take(id).filter { $0.channel != nil }
      all.append(h.order(id, "buy", "1000", "59000.5"))
      for _ in 0..<10 {
        all.append(h.ask(id, "private/get_account_summary", #"{"currency":"BTC"}"#))
        all.append(h.ask(id, "public/get_order_book", #"{"instrument_name":"BTC-PERPETUAL"}"#))
      }
      return all
    }
    let plain = try texts(.pointed)
    let varied = try texts(.varied)
    #expect(plain.count == varied.count)
    for (one, two) in zip(plain, varied) {
      #expect(isSame(one.json, two.json), "\(one.text)\n\(two.text)")
    }
    let all = varied.map(\.text).joined()
    for way in ["0000]", "0000.0,", "e4"] { #expect(all.contains(way)) }
    #expect(!plain.map(\.text).joined().contains("e4"))
  }

  /// Whether two JSON values are the same but for the ways of writing numbers.
  private func isSame(_ one: Any, _ two: Any) -> Bool {
    switch (one, two) {
    case (let one as [String: Any], let two as [String: Any]):
      Set(one.keys) == Set(two.keys) && one.allSatisfy { isSame($0.value, two[$0.key] ?? NSNull()) }
    case (let one as [Any], let two as [Any]): one.count == two.count && zip(one, two).allSatisfy { isSame($0, $1) }
    case (let one as NSNumber, let two as NSNumber): one.doubleValue == two.doubleValue
    case (let one as String, let two as String): one == two
    default: one is NSNull && two is NSNull
    }
  }

  @Test func `perpetual and price index channels follow the mark`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    let names = h.ask(
      id, "public/subscribe",
      #"{"channels":["perpetual.BTC-PERPETUAL.100ms","deribit_price_index.btc_usd","deribit_price_index.xrp_usd"]}"#
    ).names
    #expect(names.count == 2)
    _ = h.take(id)
    h.pass(second)
    let told = h.take(id)
    #expect(told.count == 2)
    #expect(told.first { $0.channel == "deribit_price_index.btc_usd" }?.data.number("price") == 60_000)
  }
}
