import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Random mixtures of requests in a moving market: the books must agree, whatever happens.
@Suite struct BybitMixtureTests {
  /// What a client believes of its account, from the streams alone.
  struct Belief {
    /// Filled quantity by order.
    var open: [String: String] = [:]
    var ended: Set<String> = []
    var executions: Set<String> = []
    /// Signed, by symbol.
    var positions: [String: Double] = [:]
  }

  /// A session of `steps` random requests of three traders of two accounts, with market data and account streams.
  func play(seed: UInt64, steps: Int, into bytes: inout [UInt8]) throws {
    var random = DeribitMixtureTests.Random(state: seed)
    var settings = BybitConfiguration()
    settings.seed = seed
    settings.enforcesLimits = false
    settings.messageOrder = random.one(of: BybitConfiguration.MessageOrder.allCases)
    settings.crossingAmend = random.one(of: BybitConfiguration.CrossingAmend.allCases)
    settings.recordsPerMessage = random.one(of: [1, 3, 10])
    settings.maximumOpenOrders = 40
    settings.instruments = [.btc, .eth]
    settings.idleTimeout = 0
    settings.topiclessTimeout = 0
    settings.instruments[0].fundingMinutes = 1
    let venue = try SimulatedBybit(settings, flow: settings.syntheticFlow(seed: seed, speedThousandths: 4000))
    var now: Nanoseconds = 0
    var beliefs: [String: Belief] = [:]
    var books: [UInt64: BybitHarness.Book] = [:]
    var tops: [UInt64: Int] = [:]
    var streams: [UInt64: String] = [:]
    var links: [String: [String]] = [:]
    var nextID = 0

    func collect() {
      venue.drain { connection, outgoing in
        guard case .text(let text) = outgoing else { return }
        bytes += text
        guard let json = (try? JSONSerialization.jsonObject(with: Data(text))) as? [String: Any] else {
          Issue.record("not JSON: \(String(decoding: text, as: UTF8.self))")
          return
        }
        let message = BybitMessage(text: "", json: json)
        let id = connection.rawValue
        if message.topic == "orderbook.50.BTCUSDT" {
          books[id, default: BybitHarness.Book()].apply(message)
          if let book = books[id] {
            #expect(book.bids.count <= 50 && book.asks.count <= 50)
            if let bid = book.bids.keys.max(), let ask = book.asks.keys.min() { #expect(bid < ask, "a crossed book") }
          }
        }
        if message.topic == "orderbook.1.BTCUSDT" {
          let update = message.data["u"] as? Int ?? 0
          #expect(update >= tops[id] ?? 0)
          tops[id] = update
        }
        guard let account = streams[id] else { return }
        for record in message.records {
          switch message.topic {
          case "order":
            let number = record.text("orderId")
            if ["New", "PartiallyFilled"].contains(record.text("orderStatus")) {
              #expect(beliefs[account]?.ended.contains(number) != true, "an order that ended is open again")
              beliefs[account, default: Belief()].open[number] = record.text("cumExecQty")
            } else {
              beliefs[account, default: Belief()].open[number] = nil
              beliefs[account, default: Belief()].ended.insert(number)
            }
          case "execution":
            #expect(beliefs[account, default: Belief()].executions.insert(record.text("execId")).inserted)
            guard record.text("execType") == "Trade" else { continue }
            let quantity = Double(record.text("execQty")) ?? .nan
            beliefs[account, default: Belief()].positions[record.text("symbol"), default: 0] +=
              record.text("side") == "Buy" ? quantity : -quantity
          default: break
          }
        }
      }
    }
    func send(_ id: UInt64, _ text: String) {
      venue.receive(ConnectionID(id), text: text, now: now)
      collect()
    }
    func open(_ id: UInt64, _ target: String, _ account: String, _ topics: String = "") {
      venue.connect(ConnectionID(id), target: target, now: now)
      if !account.isEmpty {
        let expires = (settings.wallClockBase + now) / 1_000_000 + 1000
        send(id, #"{"op":"auth","args":["\#(account)",\#(expires),"x"]}"#)
      }
      if !topics.isEmpty { send(id, #"{"op":"subscribe","args":[\#(topics)]}"#) }
    }
    venue.advance(to: 0)
    let traders: [(id: UInt64, account: String)] = [(1, "a"), (2, "a"), (3, "b")]
    for (id, account) in traders { open(id, "/v5/trade", account) }
    for (id, account) in [(11, "a"), (12, "b")] as [(UInt64, String)] {
      streams[id] = account
      open(id, "/v5/private", account, #""order","execution","position","wallet""#)
    }
    open(
      21, "/v5/public/linear", "",
      #""orderbook.50.BTCUSDT","orderbook.1.BTCUSDT","publicTrade.BTCUSDT","tickers.BTCUSDT""#)
    for step in 0..<steps {
      now += Nanoseconds(random.below(60)) * millisecond
      venue.advance(to: now)
      collect()
      let (id, account) = random.one(of: traders)
      let isEther = random.below(4) == 0
      // Bitcoin's market wanders off; Ether's orders wait for it.
      let center = Int((books[21]?.bids.keys.max() ?? 85_930) * 10)
      let price = isEther ? 280_000 + random.below(200) - 100 : center + random.below(200) - 100
      let shown = isEther ? String(format: "%.2f", Double(price) / 100) : String(format: "%.1f", Double(price) / 10)
      let symbol = isEther ? "ETHUSDT" : "BTCUSDT"
      let quantity = isEther ? "0.\(random.below(90) + 10)" : "0.\(String(format: "%03d", random.below(300) + 1))"
      let link = "l-\(step)"
      nextID += 1
      func ask(_ operation: String, _ order: String) {
        send(
          id,
          #"{"reqId":"\#(nextID)","header":{"X-BAPI-TIMESTAMP":\#((settings.wallClockBase + now) / 1_000_000)},"op":"\#(operation)","args":[{"category":"linear",\#(order)}]}"#
        )
      }
      func order(_ link: String) -> String {
        let kind = random.one(of: [
          #","timeInForce":"PostOnly""#, #","timeInForce":"PostOnly""#, "", #","timeInForce":"IOC""#,
          #","timeInForce":"FOK""#, #","reduceOnly":true"#,
        ])
        let match = random.one(of: BybitConfiguration.SelfMatch.allCases)
        links[account, default: []].append(link)
        return
          #""symbol":"\#(symbol)","side":"\#(random.one(of: ["Buy", "Sell"]))","orderType":"\#(random.below(12) == 0 ? "Market" : "Limit")","qty":"\#(quantity)","price":"\#(shown)","smpType":"\#(match.rawValue)","orderLinkId":"\#(link)"\#(kind)"#
      }
      let known = Array((links[account] ?? []).suffix(12))
      switch random.below(14) {
      case 0...4: ask("order.create", order(link))
      case 5...7:
        guard !known.isEmpty else { continue }
        ask(
          "order.amend",
          #""symbol":"\#(symbol)","orderLinkId":"\#(random.one(of: known))","qty":"\#(quantity)","price":"\#(shown)""#)
      case 8, 9:
        guard !known.isEmpty else { continue }
        ask("order.cancel", #""symbol":"\#(symbol)","orderLinkId":"\#(random.one(of: known))""#)
      case 10:
        let items = (0..<3).map { "{\(order("\(link)-\($0)"))}" }.joined(separator: ",")
        ask("order.create-batch", "\"request\":[\(items)]")
      case 11:
        let items = known.map { #"{"symbol":"\#(symbol)","orderLinkId":"\#($0)"}"# }.joined(separator: ",")
        if !items.isEmpty { ask("order.cancel-batch", "\"request\":[\(items)]") }
      case 12:
        send(21, #"{"op":"unsubscribe","args":["orderbook.50.BTCUSDT"]}"#)
        books[21] = nil
        send(21, #"{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}"#)
      default:
        if random.below(10) == 0 {
          _ = rest(
            venue, account, "POST", "/v5/order/cancel-all", #"{"category":"linear","settleCoin":"USDT"}"#, now, settings
          )
          collect()
        }
      }
      if let broken = venue.brokenInvariant() {
        Issue.record("seed \(seed): \(broken)")
        return
      }
    }
    // The market stands still, and all that waits for its period is told.
    venue.halt("BTCUSDT", now: now)
    now += second
    venue.advance(to: now)
    collect()
    let book = try #require(books[21])
    #expect(book.gaps == 0 && book.strangers == 0, "seed \(seed)")
    let asked = rest(
      venue, "a", "GET", "/v5/market/orderbook", "category=linear&symbol=BTCUSDT&limit=50", now, settings)
    #expect(book.isTop(of: asked, depth: 50), "seed \(seed)")
    for account in ["a", "b"] {
      let belief = beliefs[account] ?? Belief()
      var open: [String: String] = [:]
      var cursor = ""
      repeat {
        let page = rest(
          venue, account, "GET", "/v5/order/realtime",
          "category=linear&settleCoin=USDT&limit=10" + (cursor.isEmpty ? "" : "&cursor=\(cursor)"), now, settings)
        for order in page.list { open[order.text("orderId")] = order.text("cumExecQty") }
        cursor = page.result.text("nextPageCursor")
      } while !cursor.isEmpty
      #expect(open == belief.open, "seed \(seed): open orders of \(account)")
      let positions = rest(
        venue, account, "GET", "/v5/position/list", "category=linear&settleCoin=USDT", now, settings
      ).list
      var told: [String: Double] = [:]
      for position in positions {
        let size = Double(position.text("size")) ?? .nan
        told[position.text("symbol")] = position.text("side") == "Buy" ? size : -size
      }
      for symbol in ["BTCUSDT", "ETHUSDT"] {
        let (have, want) = (belief.positions[symbol] ?? 0, told[symbol] ?? 0)
        #expect(abs(have - want) < 1e-9, "seed \(seed): \(symbol) of \(account)")
      }
      let books = try #require(venue.books(account))
      for (index, position) in books.positions.enumerated() {
        let sum = books.fills.filter { $0.instrument == settings.instruments[index].spec.name }
          .reduce(0) { $0 + ($1.isBuy ? $1.lots : -$1.lots) }
        #expect(sum == position.lots, "seed \(seed): \(account)")
      }
    }
  }

  private func rest(
    _ venue: SimulatedBybit, _ account: String, _ method: String, _ path: String, _ payload: String, _ now: Nanoseconds,
    _ settings: BybitConfiguration
  ) -> BybitMessage {
    let isGet = method == "GET"
    let response = venue.rest(
      method: method, path: path, query: isGet ? payload : "",
      headers: [
        "x-bapi-api-key": account, "x-bapi-timestamp": "\((settings.wallClockBase + now) / 1_000_000)",
        "x-bapi-sign": "x",
      ], body: isGet ? [] : Array(payload.utf8), now: now)
    let json = (try? JSONSerialization.jsonObject(with: Data(response.body))) as? [String: Any]
    return BybitMessage(text: String(decoding: response.body, as: UTF8.self), json: json ?? [:])
  }

  @Test(arguments: 1...8) func `books, orders, executions and positions agree after any mixture`(seed: Int) throws {
    var bytes: [UInt8] = []
    try play(seed: UInt64(seed), steps: 300, into: &bytes)
    #expect(bytes.count > 10_000)
  }

  @Test(arguments: 1...6) func `nothing that a request can say brings the venue down`(seed: Int) throws {
    var random = DeribitMixtureTests.Random(state: UInt64(seed))
    let h = try BybitHarness {
      $0.enforcesLimits = false
      $0.idleTimeout = 0
      $0.checksMargin = seed % 2 == 0
    }
    let operations = [
      "order.create", "order.create", "order.create", "order.amend", "order.cancel", "order.create-batch",
      "order.amend-batch", "order.cancel-batch", "ping", "auth", "subscribe", "unsubscribe", "x",
    ]
    let paths = [
      "/v5/order/create", "/v5/order/amend", "/v5/order/cancel", "/v5/order/create-batch", "/v5/order/cancel-all",
      "/v5/order/disconnected-cancel-all", "/v5/position/set-leverage", "/v5/position/switch-mode",
      "/v5/account/set-limit-px-action", "/v5/order/realtime", "/v5/order/history", "/v5/execution/list",
      "/v5/position/list", "/v5/account/wallet-balance", "/v5/account/info", "/v5/account/fee-rate",
      "/v5/user/query-api",
      "/v5/account/query-dcp-info", "/v5/market/instruments-info", "/v5/market/orderbook", "/v5/market/tickers",
      "/v5/market/price-limit", "/v5/market/recent-trade", "/v5/market/time",
    ]
    let names = [
      "category", "symbol", "side", "orderType", "qty", "price", "timeInForce", "orderLinkId", "orderId", "reduceOnly",
      "closeOnTrigger", "smpType", "positionIdx", "triggerPrice", "takeProfit", "request", "settleCoin", "baseCoin",
      "limit", "cursor", "startTime", "endTime", "openOnly", "execType", "accountType", "timeWindow", "product",
      "buyLeverage", "sellLeverage", "mode", "modifyEnable", "status",
    ]
    let values = [
      "0", "-1", "1", "0.001", "1e3", "85930", "85930.5", "1e18", "9223372036854775807", "92233720368.54775807",
      "-9223372036854775808", "1e-30", "1e400", "null", "true", "\"true\"", "\"\"", "\"x\"", "\"0.01\"", "\"85930.5\"",
      "\"85000000000\"", "\"1190\"", "[]", "{}", "[1]", "\"BTCUSDT\"", "\"ETHUSDT\"", "\"BTC\"", "\"USDT\"",
      "\"linear\"", "\"Buy\"", "\"Sell\"", "\"Limit\"", "\"Market\"", "\"PostOnly\"", "\"IOC\"", "\"FOK\"",
      "\"CancelBoth\"", "\"a%2Cb%3A1\"", "\"%\"", "\"\\ud83d\\ude00\"", "\"UNIFIED\"",
      #"[{"symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"85900"},7,{}]"#,
      #"[{"symbol":"BTCUSDT","side":"Sell","orderType":"Limit","qty":"1190","price":"85900","timeInForce":"FOK"}]"#,
    ]
    let (trader, stream, market) = (
      h.trader(), h.stream(["order", "execution", "execution.fast", "position", "wallet", "dcp.future"]),
      h.connectPublic()
    )
    _ = h.send(market, #"{"op":"subscribe","args":["orderbook.50.BTCUSDT","orderbook.1.BTCUSDT","tickers.BTCUSDT"]}"#)
    func members() -> [String] {
      var list: [String] = []
      // Half of the time something that may well be an order.
      if random.below(2) == 0 {
        list += [#""category":"linear","symbol":"BTCUSDT","side":"\#(random.one(of: ["Buy", "Sell"]))""#]
        list += [#""orderType":"Limit","qty":"0.010","price":"8593\#(random.below(4)).0""#]
      }
      for _ in 0..<random.below(6) { list.append("\"\(random.one(of: names))\":\(random.one(of: values))") }
      return list
    }
    for step in 0..<2000 {
      let object = "{\(members().joined(separator: ","))}"
      switch random.below(3) {
      case 0:
        let path = random.one(of: paths)
        _ = h.call("POST", path, "", object, headers: h.signed(object))
        let query = (0..<random.below(5)).map { _ in
          "\(random.one(of: names))=\(random.one(of: values).filter { $0 != "\"" && $0 != "&" })"
        }.joined(separator: "&")
        let shown = "category=linear&" + query
        _ = h.call("GET", path, shown, "", headers: h.signed(shown))
      case 1:
        let id = random.one(of: [trader, stream, market])
        h.venue.receive(
          id,
          text:
            #"{"op":"\#(random.one(of: operations))","req_id":\#(random.one(of: values.filter { $0 != "1e400" })),"args":[\#(random.one(of: values))]}"#,
          now: h.now)
      default:
        h.venue.receive(
          trader,
          text:
            #"{"op":"\#(random.one(of: operations))","header":{"X-BAPI-TIMESTAMP":\#(h.milliseconds)},"args":[\#(object)]}"#,
          now: h.now)
      }
      h.pass(Nanoseconds(random.below(3)) * millisecond)
      h.collect()
      if step % 50 == 0, let broken = h.venue.brokenInvariant() {
        Issue.record("seed \(seed): \(broken)")
        return
      }
    }
    #expect(h.closes.isEmpty && (h.venue.books("desk")?.fills.count ?? 0) > 0)
  }

  @Test func `the same seed gives the same bytes`() throws {
    var first: [UInt8] = []
    var second: [UInt8] = []
    try play(seed: 77, steps: 200, into: &first)
    try play(seed: 77, steps: 200, into: &second)
    #expect(first == second)
  }
}
