import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Random mixtures of requests in a moving market: the books must agree, whatever happens.
@Suite struct DeribitMixtureTests {
  struct Random {
    var state: UInt64
    mutating func below(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(bound))
    }
    mutating func one<T>(of list: [T]) -> T { list[below(list.count)] }
  }

  /// What one client believes, from `user.changes` alone.
  struct Belief {
    var open: [String: (amount: Double, filled: Double)] = [:]
    var ended: Set<String> = []
    var trades: Set<String> = []
    var book = DeribitChannelTests.Book()
  }

  /// A session of `steps` random requests of three connections of two accounts.
  func play(seed: UInt64, steps: Int, into bytes: inout [UInt8]) throws {
    var random = Random(state: seed)
    var settings = DeribitConfiguration()
    settings.seed = seed
    settings.enforcesLimits = false
    settings.messageOrder = random.one(of: DeribitConfiguration.MessageOrder.allCases)
    settings.numbers = random.one(of: DeribitConfiguration.Numbers.allCases)
    settings.cancelsOverlap = random.below(2) == 0
    settings.maximumOpenOrders = 40
    settings.instruments = [.btcPerpetual, .btcLinear]
    settings.instruments[1].takerDelay = random.one(of: [0, 10 * millisecond])
    settings.idleTimeout = 0
    let venue = try DeribitVenue(settings, flow: settings.syntheticFlow(seed: seed, speedThousandths: 20_000))
    var now: Nanoseconds = 0
    var beliefs: [UInt64: Belief] = [:]
    var numbers: [UInt64: [String]] = [:]
    var nextID = 0
    var sessions: [UInt64] = []

    func collect() {
      venue.drain { connection, outgoing in
        guard case .text(let text) = outgoing else {
          if case .close = outgoing { sessions.removeAll { $0 == connection.rawValue } }
          return
        }
        bytes += text
        let json = (try? JSONSerialization.jsonObject(with: Data(text))) as? [String: Any]
        guard let json else {
          Issue.record("not JSON: \(String(decoding: text, as: UTF8.self))")
          return
        }
        let message = DeribitMessage(text: "", json: json)
        let id = connection.rawValue
        if let number = message.order["order_id"] as? String { numbers[id, default: []].append(number) }
        for order in message.object.items("orders") { numbers[id, default: []].append(order.text("order_id")) }
        if message.channel?.hasPrefix("book.") == true { beliefs[id, default: Belief()].book.apply(message) }
        guard message.channel == "user.changes.any.any.raw" else { return }
        for order in message.data.items("orders") {
          let number = order.text("order_id")
          if order.text("order_state") == "open" {
            #expect(beliefs[id]?.ended.contains(number) != true, "an order that ended is open again")
            beliefs[id, default: Belief()].open[number] = (order.number("amount"), order.number("filled_amount"))
          } else {
            beliefs[id, default: Belief()].open[number] = nil
            beliefs[id, default: Belief()].ended.insert(number)
          }
        }
        for trade in message.data.items("trades") {
          #expect(
            beliefs[id, default: Belief()].trades.insert(trade.text("trade_id") + trade.text("order_id")).inserted)
        }
      }
    }
    func send(_ id: UInt64, _ method: String, _ params: String) {
      nextID += 1
      venue.receive(
        ConnectionID(id), text: #"{"jsonrpc":"2.0","id":\#(nextID),"method":"\#(method)","params":{\#(params)}}"#,
        now: now)
      collect()
    }
    func open(_ id: UInt64, _ client: String) {
      venue.connect(ConnectionID(id), now: now)
      sessions.append(id)
      send(id, "public/auth", #""grant_type":"client_credentials","client_id":"\#(client)","client_secret":"x""#)
      beliefs[id] = Belief()
      send(id, "private/subscribe", #""channels":["user.changes.any.any.raw","book.BTC-PERPETUAL.raw"]"#)
      send(
        id, "private/set_mmp_config",
        #""index_name":"btc_usd","mmp_group":"g","interval":1,"frozen_time":1,"quantity_limit":0.3,"max_quote_quantity":5"#
      )
      if random.below(3) > 0 { send(id, "private/enable_cancel_on_disconnect", "") }
    }
    venue.advance(to: 0)
    open(1, "a")
    open(2, "a")
    open(3, "b")
    var next: UInt64 = 10
    for _ in 0..<steps {
      now += Nanoseconds(random.below(20)) * millisecond
      venue.advance(to: now)
      collect()
      if sessions.count < 3 || random.below(100) == 0 {
        if sessions.count > 2 {
          let id = random.one(of: sessions)
          venue.disconnected(ConnectionID(id), now: now)
          sessions.removeAll { $0 == id }
          collect()
        }
        next += 1
        open(next, random.one(of: ["a", "b"]))
        // A late comer knows nothing of the orders that are open.
        beliefs[next]?.open = [:]
      }
      let id = random.one(of: sessions)
      let isLinear = random.below(3) == 0
      let name = isLinear ? "BTC_USDC-PERPETUAL" : "BTC-PERPETUAL"
      let amount = isLinear ? "0.\(random.below(9) + 1)" : "\((random.below(500) + 1) * 10)"
      let price = 86_400 + random.below(200) - 100
      switch random.below(14) {
      case 0...4:
        let flags = [
          "", #","post_only":true"#, #","post_only":true,"reject_post_only":true"#,
          #","time_in_force":"immediate_or_cancel""#, #","time_in_force":"fill_or_kill""#, #","reduce_only":true"#,
          #","label":"l""#,
        ]
        send(
          id, random.one(of: ["private/buy", "private/sell"]),
          #""instrument_name":"\#(name)","amount":\#(amount),"price":\#(price)\#(random.one(of: flags))"#)
      case 5...7:
        guard let known = numbers[id]?.suffix(12), !known.isEmpty else { continue }
        let number = random.one(of: Array(known))
        send(id, "private/edit", #""order_id":"\#(number)","amount":\#(amount),"price":\#(price)"#)
      case 8:
        guard let number = numbers[id]?.last else { continue }
        send(id, "private/cancel", #""order_id":"\#(number)""#)
      case 9...11:
        send(
          id, "private/mass_quote",
          #""quote_id":"1","mmp_group":"g","detailed":true,"quotes":[{"instrument_name":"BTC-PERPETUAL","bid":{"price":\#(price - 20),"amount":\#(random.below(50) * 10)},"ask":{"price":\#(price + 20),"amount":\#(random.below(50) * 10)}}]"#
        )
      case 12:
        send(id, random.one(of: ["private/cancel_all", "private/cancel_quotes"]), #""cancel_type":"all""#)
      default:
        send(
          id, "private/set_self_trading_config", #""mode":"\#(random.one(of: ["reject_taker", "cancel_maker"]))""#)
      }
      if let broken = venue.brokenInvariant() {
        Issue.record("seed \(seed): \(broken)")
        return
      }
    }
    // The first connection that is still there has heard of everything since it came.
    for id in sessions {
      let belief = try #require(beliefs[id])
      #expect(belief.book.gaps == 0)
      nextID += 1
      var book: [String: Any] = [:]
      var orders: [[String: Any]] = []
      venue.receive(
        ConnectionID(id),
        text: #"{"id":1,"method":"public/get_order_book","params":{"instrument_name":"BTC-PERPETUAL","depth":10000}}"#,
        now: now)
      venue.receive(ConnectionID(id), text: #"{"id":2,"method":"private/get_open_orders","params":{}}"#, now: now)
      venue.drain { _, outgoing in
        guard case .text(let text) = outgoing,
          let json = (try? JSONSerialization.jsonObject(with: Data(text))) as? [String: Any]
        else { return }
        let message = DeribitMessage(text: "", json: json)
        if json["id"] as? Int == 1 { book = message.object }
        if json["id"] as? Int == 2 { orders = message.list }
      }
      for (key, side) in [("bids", belief.book.bids), ("asks", belief.book.asks)] {
        var levels: [Double: Double] = [:]
        for case let level as [NSNumber] in book[key] as? [Any] ?? [] {
          levels[level[0].doubleValue] = level[1].doubleValue
        }
        #expect(levels == side, "seed \(seed): \(key) of connection \(id)")
      }
      guard id <= 3 else { continue }
      let open = Dictionary(uniqueKeysWithValues: orders.map { ($0.text("order_id"), $0.number("filled_amount")) })
      #expect(open == belief.open.mapValues(\.filled), "seed \(seed): open orders of connection \(id)")
    }
    // What both accounts have traded is what the public has seen of them; each side counts its own.
    for name in venue.accountNames {
      let book = try #require(venue.books(name))
      for (index, position) in book.positions.enumerated() {
        let sum = book.fills.filter { $0.instrument == settings.instruments[index].spec.name }
          .reduce(0) { $0 + ($1.isBuy ? $1.lots : -$1.lots) }
        #expect(sum == position.lots, "seed \(seed): \(name)")
      }
    }
  }

  @Test(arguments: 1...12) func `books, orders, trades and positions agree after any mixture`(seed: Int) throws {
    var bytes: [UInt8] = []
    try play(seed: UInt64(seed), steps: 500, into: &bytes)
    #expect(bytes.count > 10_000)
  }

  @Test(arguments: 1...6) func `nothing that a request can say brings the venue down`(seed: Int) throws {
    var random = Random(state: UInt64(seed))
    let h = try DeribitHarness {
      $0.enforcesLimits = false
      $0.idleTimeout = 0
      $0.checksMargin = seed % 2 == 0
      $0.initialBalances = ["BTC": 1_000_000_00000000]
    }
    let methods = [
      "public/auth", "public/subscribe", "public/unsubscribe", "public/get_instruments", "public/get_instrument",
      "public/ticker", "public/get_order_book", "public/get_last_trades_by_instrument",
      "public/get_last_trades_by_currency", "public/get_index_price", "public/set_heartbeat", "private/buy",
      "private/sell", "private/edit", "private/edit_by_label", "private/cancel", "private/cancel_by_label",
      "private/cancel_all", "private/cancel_all_by_currency", "private/cancel_all_by_instrument",
      "private/cancel_all_by_kind_or_type", "private/close_position", "private/get_open_orders_by_label",
      "private/get_order_state", "private/get_order_history_by_currency",
      "private/get_user_trades_by_currency_and_time",
      "private/get_positions", "private/get_position", "private/get_account_summary", "private/set_mmp_config",
      "private/reset_mmp", "private/mass_quote", "private/cancel_quotes", "private/set_self_trading_config",
      "private/enable_cancel_on_disconnect", "private/subscribe", "private/buy", "private/sell", "private/mass_quote",
    ]
    let names = [
      "instrument_name", "amount", "contracts", "price", "type", "time_in_force", "post_only", "reject_post_only",
      "reduce_only", "label", "order_id", "currency", "kind", "count", "start_timestamp", "end_timestamp", "start_seq",
      "depth", "mmp", "mmp_group", "index_name", "interval", "frozen_time", "quantity_limit", "max_quote_quantity",
      "quotes", "quote_id", "cancel_type", "mode", "scope", "channels", "grant_type", "client_id", "valid_until",
      "detailed", "timestamp", "sorting", "offset",
    ]
    let values = [
      "0", "-1", "1", "10", "1e3", "0.0001", "60000", "60000.5", "59990", "0.5", "1e18", "9223372036854775807",
      "92233720368.54775807", "-9223372036854775808", "1e-30", "1e400", "null", "true", "\"true\"", "\"\"", "\"x\"",
      "\"10\"", "[]", "{}", "[1]",
      "[\"book.BTC-PERPETUAL.raw\",\"user.changes.any.any.raw\",\"a.b.c.d.e.f\",\"\",\".\"]",
      "\"BTC-PERPETUAL\"", "\"BTC_USDC-PERPETUAL\"", "\"BTC\"", "\"any\"", "\"limit\"", "\"market\"",
      "\"market_limit\"", "\"fill_or_kill\"", "\"immediate_or_cancel\"", "\"btc_usd\"", "\"g\"", "\"asc\"", "\"all\"",
      "\"\\ud83d\\ude00\"", "\"cancel_maker\"",
      #"[{"instrument_name":"BTC-PERPETUAL","bid":{"price":59000,"amount":9e18},"ask":{"price":0.5,"amount":1e9}}]"#,
      #"[{"instrument_name":"BTC-PERPETUAL","bid":{"price":0.5,"amount":10000000000},"ask":{"price":60000.5,"amount":10}}]"#,
    ]
    var trader = h.trader()
    h.ask(trader, "private/enable_cancel_on_disconnect")
    h.ask(
      trader, "private/set_mmp_config",
      #"{"index_name":"btc_usd","mmp_group":"g","interval":1,"frozen_time":1,"quantity_limit":1,"max_quote_quantity":1000}"#
    )
    for step in 0..<3000 {
      var params: [String] = []
      // Half of the time something that may well be an order.
      if random.below(2) == 0 {
        params += [#""instrument_name":"BTC-PERPETUAL""#, #""amount":10"#, #""price":60000.5"#]
        params += [#""quote_id":"1","mmp_group":"g""#]
      }
      for _ in 0..<random.below(6) { params.append("\"\(random.one(of: names))\":\(random.one(of: values))") }
      let id = random.below(50) == 0 ? h.connect(UInt64(step + 100)) : trader
      h.begin(id, random.one(of: methods), "{\(params.joined(separator: ","))}")
      h.pass(Nanoseconds(random.below(3)) * millisecond)
      h.collect()
      if h.closes[trader] != nil { trader = h.trader(UInt64(step + 100_000)) }
      if step % 50 == 0, let broken = h.venue.brokenInvariant() {
        Issue.record("seed \(seed): \(broken)")
        return
      }
    }
  }

  @Test func `the same seed gives the same bytes`() throws {
    var first: [UInt8] = []
    var second: [UInt8] = []
    try play(seed: 77, steps: 200, into: &first)
    try play(seed: 77, steps: 200, into: &second)
    #expect(first == second)
  }
}
