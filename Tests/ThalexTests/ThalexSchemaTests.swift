import Apus
import CSupport
import Foundation
import TestSupport
import Testing

/// JSON whose numbers keep their spelling and whose members keep their order.
indirect enum SampleValue {
  case number(String), text(String), bool(Bool), null, array([SampleValue]), object([(String, SampleValue)])

  /// How numbers are spelled; the value is the same.
  enum Spelling: CaseIterable { case plain, float, exponent }

  func json(_ spelling: Spelling) -> String {
    switch self {
    case .number(let digits): Self.spell(digits, spelling)
    case .text(let text): "\"\(text)\""
    case .bool(let flag): flag ? "true" : "false"
    case .null: "null"
    case .array(let items): "[" + items.map { $0.json(spelling) }.joined(separator: ",") + "]"
    case .object(let members):
      "{" + members.map { "\"\($0.0)\":\($0.1.json(spelling))" }.joined(separator: ",") + "}"
    }
  }

  private static func spell(_ digits: String, _ spelling: Spelling) -> String {
    switch spelling {
    case .plain: return digits
    case .float: return digits.contains(".") ? digits + "00" : digits + ".0"
    case .exponent:
      let sign = digits.hasPrefix("-") ? "-" : ""
      let parts = digits.drop { $0 == "-" }.split(separator: ".", omittingEmptySubsequences: false)
      let fraction = parts.count > 1 ? String(parts[1]) : ""
      let whole = (String(parts[0]) + fraction).drop { $0 == "0" }
      return whole.isEmpty ? "\(sign)0e-1" : "\(sign)\(whole)0e-\(fraction.count + 1)"
    }
  }

  /// A copy in which the member at a path (names; a number for an element) is replaced, or removed with `nil`.
  func replacing(_ path: ArraySlice<String>, with value: SampleValue?) -> SampleValue {
    guard let first = path.first else { return value ?? .null }
    switch self {
    case .object(let members):
      return .object(
        members.compactMap { member in
          guard member.0 == first else { return member }
          if path.count == 1 { return value.map { (first, $0) } }
          return (first, member.1.replacing(path.dropFirst(), with: value))
        })
    case .array(let items):
      return .array(
        items.enumerated().map { place, item in
          String(place) == first ? item.replacing(path.dropFirst(), with: value) : item
        })
    default: return self
    }
  }
}

/// The exchange's own description, reduced by tools/reduce-openapi, against both directions of the codec.
@Suite struct ThalexSchemaTests {
  typealias Schema = [String: Any]

  static func document() throws -> [String: [String: Schema]] {
    let url = Fixtures.directory.deletingLastPathComponent().appendingPathComponent("thalex-openapi.json")
    let parsed = try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: [String: Schema]]
    return try #require(parsed)
  }

  // MARK: Requests

  /// What is wrong with a value; empty if it is valid. Members that the schema does not know are wrong.
  static func faults(_ value: Any, _ schema: Schema, at path: String) -> [String] {
    if let choices = schema["oneOf"] as? [Schema] {
      let results = choices.map { faults(value, $0, at: path) }
      return results.contains { $0.isEmpty } ? [] : results.flatMap { $0 }
    }
    var found: [String] = []
    if let words = schema["enum"] as? [String], !words.contains(value as? String ?? "") {
      found.append("\(path): \(value) is none of \(words)")
    }
    switch schema["type"] as? String {
    case "object":
      guard let object = value as? [String: Any] else { return ["\(path): no object"] }
      let known = schema["properties"] as? [String: Schema] ?? [:]
      for name in schema["required"] as? [String] ?? [] where object[name] == nil {
        found.append("\(path): \(name) is missing")
      }
      for (name, member) in object {
        guard let part = known[name] else {
          found.append("\(path): unknown member \(name)")
          continue
        }
        found += faults(member, part, at: path + "/" + name)
      }
    case "array":
      guard let items = value as? [Any] else { return ["\(path): no array"] }
      if let least = schema["minItems"] as? Int, items.count < least { found.append("\(path): too few items") }
      if let most = schema["maxItems"] as? Int, items.count > most { found.append("\(path): too many items") }
      for (place, item) in items.enumerated() {
        let fixed = schema["prefixItems"] as? [Schema] ?? []
        guard let part = place < fixed.count ? fixed[place] : schema["items"] as? Schema else { continue }
        found += faults(item, part, at: "\(path)[\(place)]")
      }
    case "string": if !(value is String) { found.append("\(path): no string") }
    case "boolean":
      if !((value as? NSNumber).map { isBool($0) } ?? false) { found.append("\(path): no boolean") }
    case "number", "integer":
      guard let number = value as? NSNumber, !isBool(number) else { return found + ["\(path): no number"] }
      if schema["type"] as? String == "integer", number.doubleValue.rounded() != number.doubleValue {
        found.append("\(path): no integer")
      }
      if let most = schema["maximum"] as? NSNumber, number.doubleValue > most.doubleValue {
        found.append("\(path): above \(most)")
      }
    default: break
    }
    return found
  }

  private static func isBool(_ number: NSNumber) -> Bool { ["c", "B"].contains(String(cString: number.objCType)) }

  /// The requests of the samples, and each option of each of them.
  private static func requests() throws -> [String] {
    var encoder = try ThalexEncoder(instrumentCapacity: 4, label: "mm")
    let grid = InstrumentGrid(tickE8: 50_000_000, lotE8: 100_000, minimumLots: QtyLots(1))
    for (index, name) in ["BTC-PERPETUAL", "BTC-24APR26", "BTC-26JUN26", "BTC-24APR26-PERPETUAL"].enumerated() {
      try encoder.setInstrument(InstrumentIndex(index), name: name, grid: grid)
    }
    var texts = Array(try ThalexSamplesTests.requests().values)
    func add(_ write: (UnsafeMutableRawBufferPointer) -> Int) {
      texts.append(ThalexEncoderTests.text(4096, write) ?? "nothing")
    }
    let price = PriceTicks(rawValue: 152_561), qty = QtyLots(15)
    let collars: [ThalexCollar] = [.venueDefault, .ignore, .reject, .clamp]
    var selfTrades: [ThalexSelfTrade] = []
    for level in ThalexSelfTrade.Level.allCases {
      for action in ThalexSelfTrade.Action.allCases { selfTrades.append(ThalexSelfTrade(level: level, action: action)) }
    }
    for bits in UInt8(0)..<16 {
      for selfTrade in selfTrades {
        let options = ThalexInsertOptions(rawValue: bits)
        let collar = collars[Int(bits) % collars.count]
        add {
          encoder.insert(
            into: $0, clientID: 1, instrument: 0, side: bits & 1 == 0 ? .buy : .sell, price: price, qty: qty,
            options: options, collar: collar, selfTrade: selfTrade)
        }
        for method in [ThalexOrder.Method.insert, .trade] {
          for isMarket in [false, true] {
            var order = ThalexOrder(bits & 2 == 0 ? .buy : .sell, 1, qty: qty, price: isMarket ? nil : price)
            order.method = method
            order.options = options
            order.collar = collar
            order.selfTrade = selfTrade
            order.clientID = bits & 4 == 0 ? nil : 7
            if bits & 8 != 0 { order.legs = [(0, 1), (1, -1), (2, 2)] }
            order.isLabelled = bits & 1 != 0
            add { encoder.order(into: $0, id: 8, order) }
          }
        }
      }
    }
    for collar in collars {
      add { encoder.amend(into: $0, clientID: 1, serial: 1, instrument: 0, price: price, qty: qty, collar: collar) }
    }
    for target in [ThalexConditionalOrder.Target.venueDefault, .last, .mark, .index] {
      for selfTrade in selfTrades {
        var order = ThalexConditionalOrder(.buy, 3, qty: qty, stopPrice: price)
        order.target = target
        order.selfTrade = selfTrade
        order.limitPrice = price
        order.bracketPrice = price
        add { encoder.createConditional(into: $0, id: 8, order) }
      }
    }
    add { encoder.cancelConditional(into: $0, id: 8, orderID: "00011E570000004B") }
    add { encoder.cancelAllConditional(into: $0, id: 8) }
    add { encoder.cancelMassQuote(into: $0, product: noProduct) }
    for kind in [ThalexInstrumentFilter.Kind.futures, .options, .futureRolls] {
      add { encoder.instruments(into: $0, id: 8, filter: ThalexInstrumentFilter(kind: kind)) }
    }
    for isAscending in [false, true] {
      let query = ThalexTradeQuery(
        limit: 1000, timeLow: 1, timeHigh: 2, bookmark: "b", isAscending: isAscending, instrumentNames: "A,B",
        label: "mm")
      add { encoder.tradeHistory(into: $0, id: 8, query: query) }
    }
    let level = Quote(price: price, qty: qty)
    for form in [ThalexMassQuoteForm.ladder, .singleLevel] {
      for bits in UInt8(0)..<4 {
        for selfTrade in selfTrades {
          withUnsafePointer(to: level) { level in
            let side = UnsafeBufferPointer(start: level, count: 1)
            let none = UnsafeBufferPointer<Quote>(start: level, count: 0)
            let quotes = [
              ThalexMassQuote(instrument: 0, bids: side, asks: none),
              ThalexMassQuote(instrument: 1, bids: nil, asks: side),
            ]
            quotes.withUnsafeBufferPointer { quotes in
              add {
                encoder.massQuote(
                  into: $0, id: 14, quotes: quotes, options: ThalexMassQuoteOptions(rawValue: bits), form: form,
                  selfTrade: selfTrade)
              }
            }
          }
        }
      }
    }
    return texts
  }

  @Test func `every request that can be written is valid by the exchange's description`() throws {
    let schemas = try #require(try Self.document()["requests"])
    var used: Set<String> = []
    var wrong: [String] = []
    for text in try Self.requests() {
      let request = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
      guard let method = request["method"] as? String, let schema = schemas[method], let params = request["params"],
        request["id"] is NSNumber, request.count == 3
      else {
        wrong.append("no request: \(text)")
        continue
      }
      used.insert(method)
      wrong += Self.faults(params, schema, at: method).map { "\($0) in \(text)" }
    }
    #expect(wrong.isEmpty, "\(wrong.prefix(3))")
    #expect(used == Set(schemas.keys), "methods that nothing here writes: \(Set(schemas.keys).subtracting(used))")
  }

  @Test func `the check of requests finds what is wrong`() throws {
    let schemas = try #require(try Self.document()["requests"])
    let insert = try #require(schemas["private/insert"]), quote = try #require(schemas["private/mass_quote"])
    let cases: [(Schema, String)] = [
      (insert, #"{"direction":"up","amount":1}"#), (insert, #"{"direction":"buy"}"#),
      (insert, #"{"direction":"buy","amount":"1"}"#), (insert, #"{"direction":"buy","amount":1,"pots_only":true}"#),
      (insert, #"{"direction":"buy","amount":1,"post_only":1}"#), (insert, #"{"direction":"buy","amount":true}"#),
      (insert, #"{"direction":"buy","amount":1,"client_order_id":1.5}"#),
      (quote, #"{"quotes":[{"b":[[1,2]]}]}"#), (quote, #"{"quotes":[{"i":"A","b":[[1]]}]}"#),
      (quote, #"{"quotes":[{"i":"A","b":{"p":1}}]}"#), (quote, #"{"quotes":{}}"#),
    ]
    for (schema, text) in cases {
      let value = try JSONSerialization.jsonObject(with: Data(text.utf8))
      #expect(!Self.faults(value, schema, at: "").isEmpty, "\(text)")
    }
  }

  // MARK: Replies and notifications

  /// Values that can be true together: one BTC of the perpetual, filled. What is not named is 1 or "x".
  private static let values: [String: SampleValue] = [
    "instrument_name": .text("BTC-PERPETUAL"), "product": .text("FBTCUSD"), "underlying": .text("BTCUSD"),
    "remaining_amount": .number("0"), "label": .text("mm"), "leg_index": .number("0"),
    "client_order_id": .number("1001"),
    "price": .number("76280"), "order_id": .text("001F"), "trade_id": .text("T1"), "index_name": .text("BTCUSD"),
    "base_name": .text("BTC-PERPETUAL"), "create_time": .number("1776715498.25"), "time": .number("1776715499.5"),
    "best_bid_price": .number("76280"), "best_ask_price": .number("76300"), "last_price": .number("76290"),
    "mark_price": .number("76288.41"), "funding_rate": .number("0.00001"), "delta": .number("-0.25"),
    "iv": .number("0.369"), "position": .number("-0.125"), "side": .text("ask"), "event": .text("reconnect"),
    "tick_size": .number("0.5"), "volume_tick_size": .number("0.001"), "min_order_amount": .number("0.01"),
    "l": .number("76290"), "fee": .number("0.31"), "code": .number("15"), "expiration_timestamp": .number("1776758400"),
    "trades": .array([]), "n_fail": .number("1"), "n_success": .number("4"), "bookmark": .text("next"),
    "bid_changes": .array([.array([.number("76280"), .number("0.4"), .number("0.3")])]),
    "ask_changes": .array([.array([.number("76300"), .number("1"), .number("1")])]),
  ]

  /// An instance with every member, the paths of what may be absent or null, and of each closed set of words.
  private struct Instance {
    var value: SampleValue
    var optional: [[String]] = []
    var words: [(path: [String], words: [String])] = []
  }

  private static func instance(_ schema: Schema, name: String, path: [String]) -> Instance {
    if let choices = schema["oneOf"] as? [Schema] {
      return instance(choices[choices.count - 1], name: name, path: path)
    }
    if let words = schema["enum"] as? [String] {
      // The first word is as good as another, but an order of which all is filled.
      let first = name == "status" ? "filled" : words[0]
      return Instance(value: .text(first), words: [(path, words)])
    }
    if let value = values[name], schema["properties"] == nil, schema["items"] as? Schema == nil {
      return Instance(value: value)
    }
    switch schema["type"] as? String {
    case "object":
      if let each = schema["additionalProperties"] as? Schema {
        let inner = instance(each, name: name, path: path + ["BTC-PERPETUAL"])
        return Instance(value: .object([("BTC-PERPETUAL", inner.value)]), optional: inner.optional, words: inner.words)
      }
      var result = Instance(value: .null)
      var members: [(String, SampleValue)] = []
      let required = Set(schema["required"] as? [String] ?? [])
      for (key, part) in (schema["properties"] as? [String: Schema] ?? [:]).sorted(by: { $0.key < $1.key }) {
        let inner = instance(part, name: key, path: path + [key])
        members.append((key, inner.value))
        if !required.contains(key) { result.optional.append(path + [key]) }
        result.optional += inner.optional
        result.words += inner.words
      }
      result.value = .object(members)
      return result
    case "array":
      if let fixed = schema["prefixItems"] as? [Schema] {
        let parts = fixed.enumerated().map { instance($0.element, name: "", path: path + [String($0.offset)]) }
        return Instance(value: .array(parts.map(\.value)))
      }
      guard let item = schema["items"] as? Schema else { return Instance(value: .array([])) }
      // An array in an array whose shape is not described (recent trades): the samples say what is in it.
      if item["type"] as? String == "array", item["items"] == nil, item["prefixItems"] == nil {
        return Instance(value: .array([]))
      }
      let inner = instance(item, name: name, path: path + ["0"])
      return Instance(value: .array([inner.value]), optional: inner.optional, words: inner.words)
    case "string": return Instance(value: .text("x"))
    case "boolean": return Instance(value: .bool(false))
    case "null": return Instance(value: .null)
    default: return Instance(value: .number("1"))
    }
  }

  /// One schema: how its value reaches the decoder, what the full instance says, and which members the decoder cannot
  /// do without although the description leaves them optional (it marks few as required).
  private struct Case {
    var name: String
    var isResult = false
    /// Around the value.
    var before: String
    var lines: [String]
    var needed: Set<String> = []
    /// Each list of a book has lines of its own.
    var isList: Bool { name.hasPrefix("book.") }

    func hasAll(_ found: [String]) -> Bool {
      isList ? found.count >= 2 && found.allSatisfy(lines.contains) : found.count == lines.count
    }
  }

  private static let filled =
    "fill T1 order 001F client 1001 instrument 0 buy 76280x1000 maker"
  private static func order(_ source: String, change: String = "existing", amend: Int? = nil) -> [String] {
    [
      "\(filled) \(source) ours time 1776715499500000000",
      "order 001F client 1001 instrument 0 buy 76280 qty 1000 filled 1000 remaining 0 filled \(change) clientCancel \(source)\(amend.map { " to amend \($0)" } ?? "") ours created 1776715498250000000",
    ]
  }
  private static let trade = "\(filled) query ours fee 31000000 time 1776715499500000000"
  private static let ticker =
    "ticker 0 mark 7628841000000 index 100000000 bid 76280x1000 ask 76300x1000 last 76290 collars 100000000-100000000 funding 10000000 time 1000000000"
  private static let instrument = "listed 0 perpetual tick 50000000 lot 100000 minimum 10 expiry 1776758400"
  private static let index =
    "index 0 7628000000000 time 1000000000 settled 100000000 average 100000000 progress 100000000 expected 100000000"
  private static let summary =
    "account margin 100000000 required 100000000 remaining 100000000 collateral 100000000 unrealised 100000000 realised 100000000"

  private static func cases() -> [Case] {
    func channel(_ schema: String, _ name: String, _ lines: [String], needed: Set<String> = []) -> Case {
      Case(name: schema, before: "{\"channel_name\":\"\(name)\",\"notification\":", lines: lines, needed: needed)
    }
    func result(_ method: String, _ id: UInt64, _ lines: [String], needed: Set<String> = []) -> Case {
      Case(name: method, isResult: true, before: "{\"id\":\(id),\"result\":", lines: lines, needed: needed)
    }
    func session(_ method: String, _ request: SessionRequest, _ lines: [String], needed: Set<String> = []) -> Case {
      let value =
        switch request {
        case .cancelOnDisconnect, .cancelAll, .subscribePublic, .subscribePrivate, .tradeHistory: 1
        default: 0
        }
      return result(
        method, RequestID.session(request), lines + ["replied session(Apus.SessionRequest.\(request)) \(value)"],
        needed: needed)
    }
    let ofTrade: Set<String> = ["trade_id", "order_id", "instrument_name", "direction", "price", "amount"]
    let ofInstrument: Set<String> = ["instrument_name", "tick_size", "volume_tick_size", "min_order_amount", "type"]
    // An order that belongs to this session has an instrument; the words for the rest are the description's.
    let ofOrder: Set<String> = ["instrument_name"]
    let ofPosition: Set<String> = ["instrument_name", "position"]
    let position = "position 0 -125 mark 7628841000000 average 100000000"
    return [
      channel(
        "ticker.<instrument>.<delay>", "ticker.BTC-PERPETUAL.100ms", [ticker],
        needed: ["best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount"]),
      channel(
        "lwt.<instrument>.<delay>", "lwt.BTC-PERPETUAL.raw",
        ["ticker 0 mark 100000000 bid 1x1000 ask 1x1000 last 76290 iv 100000000 time 0"]),
      channel(
        "lwt_futures.<underlying>.<delay>", "lwt_futures.BTCUSD.1000ms",
        [
          "ticker 0 mark 100000000 index 100000000 bid 1x1000 ask 1x1000 last 1 funding 1000000000000 accrued 100000000 time 1000000000"
        ]),
      channel(
        "lwt_options.<underlying>.<expiration>.<delay>", "lwt_options.BTCUSD.all.1000ms",
        [
          "ticker 0 mark 100000000 index 100000000 bid 1x1000 ask 1x1000 last 1 iv 100000000 forward 100000000 time 1000000000"
        ]),
      channel(
        "lwt_future_rolls.<underlying>.<delay>", "lwt_future_rolls.BTCUSD.1000ms",
        ["ticker 0 mark 100000000 index 100000000 bid 1x1000 ask 1x1000 last 1 time 1000000000"]),
      channel(
        "book.<instrument>.<grouping>.<nlevels>.<delay>", "book.BTC-PERPETUAL.none.10.100ms",
        ["book 0", "level 0 ask 76300x1000", "level 0 bid 76280x400", "book end 0"]),
      channel("recent_trades.<target>.<category>", "recent_trades.BTCUSD.all", []),
      channel("price_index.<underlying>", "price_index.BTCUSD", [index]),
      channel(
        "base_price.<underlying>.<expiration>", "base_price.BTCUSD.2026-04-24",
        ["base 0 of 1777017600 from 0 7628000000000 index 100000000 delta 100000000"]),
      channel(
        "instruments", "instruments", [instrument.replacing("listed", with: "removed")],
        needed: ofInstrument.union(["removed"])),
      channel("system", "system", ["reconnect"]),
      channel("session.orders", "session.orders", order("feed"), needed: ofOrder),
      channel(
        "session.mm_protection", "session.mm_protection", ["protection 0 0 refill"],
        needed: ["product", "remaining_amount", "reason"]),
      channel("account.orders", "account.orders", order("feed"), needed: ofOrder),
      channel("account.persistent_orders", "account.persistent_orders", order("feed"), needed: ofOrder),
      channel("account.order_history", "account.order_history", order("history", change: "other"), needed: ofOrder),
      channel(
        "account.trade_history", "account.trade_history", [trade.replacing("query", with: "tradeFeed")],
        needed: ofTrade),
      channel("account.portfolio", "account.portfolio", [position], needed: ofPosition),
      channel("account.summary", "account.summary", [summary]),
      channel("account.conditional_orders", "account.conditional_orders", []), channel("mm.rfqs", "mm.rfqs", []),
      channel("mm.rfq_quotes", "mm.rfq_quotes", []), channel("banners", "banners", []),
      channel("account.rfqs", "account.rfqs", []), channel("rfqs", "rfqs", []),
      session("public/login", .login, []), session("private/set_cancel_on_disconnect", .cancelOnDisconnect, []),
      result(
        "private/insert", RequestID.insert(1001), order("reply") + ["replied insert(1001) 0"], needed: ofOrder),
      result("private/buy", RequestID.insert(1001), order("reply") + ["replied insert(1001) 0"], needed: ofOrder),
      result(
        "private/sell", RequestID.insert(1001), order("reply") + ["replied insert(1001) 0"], needed: ofOrder),
      result(
        "private/amend", RequestID.amend(1001, serial: 5),
        order("reply", amend: 5) + ["replied amend(1001, serial: 5) 0"],
        needed: ofOrder),
      result(
        "private/cancel", RequestID.cancel(1001), order("reply") + ["replied cancel(1001) 0"], needed: ofOrder),
      session("private/cancel_all", .cancelAll, []), session("private/cancel_session", .cancelSession, []),
      result(
        "private/mass_quote", RequestID.massQuote(3),
        ["quote failed 3 code 15 ask 7628000000000", "quoted 3 good 4 bad 1"], needed: ["code"]),
      result("private/cancel_mass_quote", RequestID.cancelMassQuote(0), ["replied cancelMassQuote(0) 0"]),
      result("private/set_mm_protection", RequestID.protection(0), ["replied protection(0) 0"]),
      session("private/portfolio", .portfolio, ["begin portfolio", position, "end portfolio"], needed: ofPosition),
      session(
        "private/open_orders", .openOrders, ["begin openOrders"] + order("query") + ["end openOrders"],
        needed: ofOrder),
      session(
        "private/trade_history", .tradeHistory, ["begin tradeHistory", trade, "end tradeHistory"],
        needed: ofTrade.union(["trades"])),
      session("private/account_summary", .accountSummary, [summary]),
      session("private/cancel_conditional_order", .cancelConditional, []),
      session("private/cancel_all_conditional_orders", .cancelConditional, []),
      session(
        "public/instruments", .instruments, ["begin instruments", instrument, "end instruments"],
        needed: ofInstrument),
      session("public/instrument", .instrument, [instrument], needed: ofInstrument),
      session("public/index", .index, [index]), session("public/system_info", .systemInfo, []),
      session("public/subscribe", .subscribePublic, ["edge unknownName"]),
      session("private/subscribe", .subscribePrivate, ["edge unknownName"]),
      session("unsubscribe", .unsubscribe, ["edge unknownName"]),
    ]
  }

  /// Replies to requests whose ids are none of ours are not read.
  private static let unread: Set<String> = [
    "private/required_margin_for_order", "private/create_conditional_order", "private/mm_rfq_insert_quote",
    "public/ticker", "public/book",
  ]

  @Test func `every valid reply and notification is read, and its values arrive`() throws {
    let document = try Self.document()
    let results = try #require(document["results"]), notifications = try #require(document["notifications"])
    let cases = Self.cases()
    #expect(Set(cases.filter(\.isResult).map(\.name)).union(Self.unread) == Set(results.keys))
    #expect(Set(cases.filter { !$0.isResult }.map(\.name)) == Set(notifications.keys))
    var wrong: [String] = []
    var decoded = 0
    for item in cases {
      let schema = try #require(item.isResult ? results[item.name] : notifications[item.name])
      var bench = try Bench()
      try bench.decoder.register(channel: "account.rfqs", kind: .other)
      try bench.decoder.register(channel: "rfqs", kind: .other)
      let full = Self.instance(schema, name: "", path: [])
      func read(_ value: SampleValue, _ spelling: SampleValue.Spelling = .plain) -> [String] {
        decoded += 1
        return bench.decode(item.before + value.json(spelling) + "}")
      }
      // A subscription names a channel "x", which nobody asked for; all else may not be refused.
      let allowed = item.lines.contains("edge unknownName")
      func isRefused(_ lines: [String]) -> Bool { !allowed && lines.contains { $0.hasPrefix("edge") } }
      for spelling in SampleValue.Spelling.allCases {
        let lines = read(full.value, spelling)
        if lines != item.lines { wrong.append("\(item.name), numbers as \(spelling): \(lines), not \(item.lines)") }
      }
      var bare = full.value
      for path in full.optional {
        // What is read inside an item: the last name on the path, unless it belongs to a nested object.
        let name = path[path.count - 1]
        let isNeeded = item.needed.contains(name) && !path.contains("legs")
        if !isNeeded { bare = bare.replacing(path[...], with: nil) }
        for value in [SampleValue?.none, .null] {
          let lines = read(full.value.replacing(path[...], with: value))
          let what = "\(item.name) with \(path.joined(separator: "/")) \(value == nil ? "absent" : "null"): \(lines)"
          if isNeeded {
            // Half a side of a ticker, an order of several legs: refused or stepped over, never half read.
            if lines.contains(where: item.lines.contains), lines.count >= item.lines.count {
              wrong.append("read: " + what)
            }
          } else if isRefused(lines) || !item.hasAll(lines) {
            wrong.append(what)
          }
        }
      }
      let least = read(bare)
      if isRefused(least) || !item.hasAll(least) { wrong.append("\(item.name), the least: \(least)") }
      for (path, words) in full.words {
        for word in words {
          let lines = read(full.value.replacing(path[...], with: .text(word)))
          if isRefused(lines) { wrong.append("\(item.name): \(path.joined(separator: "/")) \(word): \(lines)") }
        }
        let lines = read(full.value.replacing(path[...], with: .text("a_new_word")))
        if !item.lines.isEmpty, Self.closed.contains(path[path.count - 1]),
          !lines.contains("edge unknownWord")
        {
          wrong.append("\(item.name): a new word for \(path.joined(separator: "/")) is not noticed: \(lines)")
        }
      }
    }
    #expect(wrong.isEmpty, "\(wrong.count): \(wrong.prefix(6).joined(separator: "\n"))")
    #expect(decoded > 1_000, "\(decoded) instances")
  }

  /// The closed sets of words that mean something here.
  private static let closed: Set<String> = [
    "status", "change_reason", "delete_reason", "direction", "maker_taker", "trade_type", "type", "reason", "event",
  ]
}
