import CSupport

/// The slow decoder: the same meaning, derived from a parsed tree, one member after the other in the order of
/// the wire. Of a member that is given twice the later one counts.
struct Oracle {
  struct Listing {
    var info: InstrumentInfo
    var tickE8: Int64 { info.grid.tickE8 }
    var lotE8: Int64 { info.grid.lotE8 }
  }

  let names: [String]
  let channels: [String: (kind: ThalexChannel, instrument: InstrumentIndex)]
  let labelPrefix: String
  var listings: [Listing?]
  var confirmed: Set<String> = []
  var ignoredItems: UInt64 = 0
  var bookmark: String?
  var accountNumber: String?
  var lastReplyID = UInt64.max
  var awaitedOrdersID: UInt64?
  var awaitedTradesID: UInt64?
  /// By protection group: 10⁻⁸ contracts of one lot.
  var productLots: [Int64] = []
  let products: [String]
  let families: [(underlying: String, kind: InstrumentKind)] = [("BTCUSD", .option), ("BTCUSD", .combination)]
  var sink = Recorder()

  init(
    names: [String], products: [String], channels: [(String, ThalexChannel, InstrumentIndex)], labelPrefix: String
  ) {
    self.names = names
    self.products = products
    productLots = Array(repeating: 0, count: products.count)
    self.channels = Dictionary(uniqueKeysWithValues: channels.map { ($0.0, ($0.1, $0.2)) })
    self.labelPrefix = labelPrefix
    listings = Array(repeating: nil, count: names.count)
  }

  typealias Members = [SlowJSON.Member]
  typealias Text = [UInt8]

  // MARK: Typed members

  private func number(_ value: SlowJSON, _ wrong: inout Bool) -> SlowNumber? {
    switch value {
    case .number(let spelled): return SlowNumber(spelled)
    case .null: return nil
    default:
      wrong = true
      return nil
    }
  }

  private func text(_ value: SlowJSON, _ wrong: inout Bool) -> Text? {
    switch value {
    case .string(let raw): return SlowJSON.meaning(of: raw)
    case .null: return nil
    default:
      wrong = true
      return nil
    }
  }

  private func flag(_ value: SlowJSON, _ wrong: inout Bool) -> Bool {
    switch value {
    case .bool(let flag): return flag
    case .null: return false
    default:
      wrong = true
      return false
    }
  }

  private func name(_ member: SlowJSON.Member) -> String { String(decoding: member.name, as: UTF8.self) }
  private func word(_ text: Text) -> String { String(decoding: text, as: UTF8.self) }
  private func has(_ text: Text?, prefix: String) -> Bool {
    guard let text, !prefix.isEmpty else { return false }
    return text.starts(with: prefix.utf8)
  }
  private func id(_ text: Text) -> VenueID? {
    guard (1...39).contains(text.count) else { return nil }
    var id = VenueID()
    withUnsafeMutableBytes(of: &id) { $0.copyBytes(from: text) }
    id.count = UInt8(text.count)
    return id
  }
  private func index(_ text: Text) -> Int? { names.firstIndex { Array($0.utf8) == text } }

  private func price(_ number: SlowNumber, _ listing: Listing, _ out: inout PriceTicks) -> DecodeProblem? {
    guard let (outcome, ticks) = number.steps(listing.tickE8), outcome != .overflow else { return .offGrid }
    if ticks <= 0, listing.info.kind != .combination { return .impossible }
    out = PriceTicks(rawValue: ticks)
    return nil
  }

  private func signedSize(_ number: SlowNumber, _ listing: Listing, _ out: inout QtyLots) -> DecodeProblem? {
    guard let (outcome, lots) = number.steps(listing.lotE8), outcome != .overflow else { return .offGrid }
    out = QtyLots(rawValue: lots)
    return nil
  }

  private func size(_ number: SlowNumber, _ listing: Listing, _ out: inout QtyLots) -> DecodeProblem? {
    signedSize(number, listing, &out) ?? (out.rawValue < 0 ? .impossible : nil)
  }

  // MARK: Frames

  /// Whether the envelope says one thing once. Of others only safety is asked.
  static func isPlain(_ frame: SlowJSON) -> Bool {
    guard case .object(let members) = frame else { return true }
    let known = ["channel_name", "notification", "snapshot", "id", "result", "error"]
    let names = members.map { String(decoding: $0.name, as: UTF8.self) }.filter(known.contains)
    guard Set(names).count == names.count else { return false }
    let isNotification = names.contains("channel_name") || names.contains("notification")
    let hasError = members.contains { $0.name.elementsEqual("error".utf8) && $0.value != .null }
    let isReply = names.contains("id") || names.contains("result") || names.contains("error")
    return !(isNotification && isReply) && !(hasError && names.contains("result"))
  }

  mutating func decode(_ frame: SlowJSON) {
    guard case .object(let members) = frame else { return sink.refusedAtEdge(.malformed) }
    var channel: Text?
    var id: SlowNumber?
    var hasID = false, isSnapshot = false, ignored = false
    var notification: SlowJSON?, result: SlowJSON?, error: SlowJSON?
    for member in members {
      switch name(member) {
      case "channel_name": channel = text(member.value, &ignored)
      case "id":
        hasID = true
        id = number(member.value, &ignored)
      case "snapshot": isSnapshot = flag(member.value, &ignored)
      case "notification": notification = member.value
      case "result": result = member.value
      case "error": error = member.value == .null ? nil : member.value
      default: break
      }
    }
    if let channel, let notification {
      guard let entry = channels[word(channel)] else { return sink.refusedAtEdge(.unknownName) }
      deliver(notification, entry.kind, entry.instrument, isSnapshot)
    } else if error != nil || result != nil {
      lastReplyID = id?.whole ?? .max
      let request = lastReplyID == .max ? RequestKind.unknown : ThalexRequestID.kind(of: lastReplyID)
      if let error { failure(request, error) } else if let result { success(request, result) }
    } else {
      sink.refusedAtEdge(channel != nil || hasID ? .missingMember : .malformed)
    }
  }

  private mutating func deliver(
    _ value: SlowJSON, _ kind: ThalexChannel, _ instrument: InstrumentIndex, _ isSnapshot: Bool
  ) {
    let source: ReportSource = isSnapshot ? .snapshot : .feed
    switch kind {
    case .ticker: ticker(Int(instrument), value)
    case .lightTicker: lightTicker(Int(instrument), value)
    case .book: book(Int(instrument), value, isSnapshot)
    case .priceIndex: _ = priceIndex(value, 0)
    case .instruments: instruments(value, isSnapshot: isSnapshot, isWrapped: true, reply: nil)
    case .sessionOrders: orders(value, source, isSnapshot ? .sessionOrders : nil, isSession: true, reply: nil)
    case .accountOrders: orders(value, source, isSnapshot ? .accountOrders : nil, isSession: false, reply: nil)
    case .portfolio: portfolio(value, isSnapshot: isSnapshot, reply: nil)
    case .tradeHistory: trades(value, .tradeFeed, reply: nil, hasMore: false)
    case .protection: list(value, nil, reply: nil, value: 0) { $0.protection($1) }
    case .system: system(value)
    case .other: ignoredItems += 1
    case .lightFutures, .lightOptions, .lightRolls: lightTickers(value, kind)
    case .basePrice: basePrice(value)
    case .recentTrades: list(value, isSnapshot ? .recentTrades : nil, reply: nil, value: 0) { $0.recentTrade($1) }
    case .accountSummary: _ = account(value)
    case .persistentOrders: orders(value, source, isSnapshot ? .persistentOrders : nil, isSession: false, reply: nil)
    case .orderHistory: orders(value, .history, nil, isSession: false, reply: nil)
    }
  }

  // MARK: Market data

  private mutating func ticker(_ instrument: Int, _ value: SlowJSON) {
    var ticker = Ticker()
    var problem: DecodeProblem?
    var wrong = false, lastIsOffGrid = false, hasLow = false, hasHigh = false
    var bidPrice: SlowNumber?, bidQty: SlowNumber?, askPrice: SlowNumber?, askQty: SlowNumber?
    let listing = listings[instrument]
    let isOption = listing?.info.kind == .option
    func scaled(_ number: SlowNumber, _ places: Int, _ out: inout Int64) -> Bool {
      let (outcome, value) = number.scaled(places)
      if outcome == .overflow {
        problem = problem ?? .impossible
        return false
      }
      out = value
      return true
    }
    if case .object(let members) = value {
      for member in members {
        let value = member.value
        switch name(member) {
        case "mark_price":
          if let n = number(value, &wrong), scaled(n, 8, &ticker.markE8) { ticker.fields.insert(.mark) }
        case "mark_timestamp":
          if let n = number(value, &wrong), n.scaled(9).outcome != .overflow { ticker.venueTime = n.scaled(9).value }
        case "best_bid_price": bidPrice = number(value, &wrong)
        case "best_bid_amount": bidQty = number(value, &wrong)
        case "best_ask_price": askPrice = number(value, &wrong)
        case "best_ask_amount": askQty = number(value, &wrong)
        case "last_price":
          if let n = number(value, &wrong), let listing {
            if price(n, listing, &ticker.lastPrice) == nil {
              ticker.fields.insert(.last)
            } else {
              lastIsOffGrid = true
            }
          }
        case "index":
          if let n = number(value, &wrong), scaled(n, 8, &ticker.indexE8) { ticker.fields.insert(.index) }
        case "collar_low": if let n = number(value, &wrong) { hasLow = scaled(n, 8, &ticker.collarLowE8) }
        case "collar_high": if let n = number(value, &wrong) { hasHigh = scaled(n, 8, &ticker.collarHighE8) }
        case "iv" where isOption:
          if let n = number(value, &wrong), scaled(n, 8, &ticker.volatilityE8) { ticker.fields.insert(.volatility) }
        case "delta" where isOption:
          if let n = number(value, &wrong), scaled(n, 8, &ticker.deltaE8) { ticker.fields.insert(.delta) }
        case "forward" where isOption:
          if let n = number(value, &wrong), scaled(n, 8, &ticker.forwardE8) { ticker.fields.insert(.forward) }
        case "funding_rate":
          if let n = number(value, &wrong), scaled(n, 12, &ticker.fundingRateE12) { ticker.fields.insert(.funding) }
        default: break
        }
      }
    } else {
      wrong = true
    }
    if wrong || (bidPrice == nil) != (bidQty == nil) || (askPrice == nil) != (askQty == nil) {
      problem = problem ?? .missingMember
    }
    guard let listing else { return sink.refusedAtEdge(problem ?? .unknownName) }
    if hasLow, hasHigh { ticker.fields.insert(.collars) }
    if let bidPrice, let bidQty { level(bidPrice, bidQty, .bid, listing, &ticker, &problem) }
    if let askPrice, let askQty { level(askPrice, askQty, .ask, listing, &ticker, &problem) }
    if let problem { return sink.refusedAtEdge(problem) }
    if lastIsOffGrid { sink.refusedAtEdge(.offGrid) }
    sink.ticker(InstrumentIndex(instrument), ticker)
  }

  private func level(
    _ priceNumber: SlowNumber, _ qtyNumber: SlowNumber, _ bit: TickerFields, _ listing: Listing,
    _ ticker: inout Ticker, _ problem: inout DecodeProblem?
  ) {
    var ticks = PriceTicks(rawValue: 0)
    var lots = QtyLots(rawValue: 0)
    if let found = price(priceNumber, listing, &ticks) ?? size(qtyNumber, listing, &lots) {
      problem = problem ?? found
      return
    }
    ticker.fields.remove(bit)
    if lots.rawValue > 0 { ticker.fields.insert(bit) }
    if bit == .bid {
      ticker.bidPrice = ticks
      ticker.bidQty = lots
    } else {
      ticker.askPrice = ticks
      ticker.askQty = lots
    }
  }

  /// The first two numbers of an array, if both are there; `wrong` if anything in their place is something else.
  private func pair(_ value: SlowJSON, _ wrong: inout Bool) -> (SlowNumber, SlowNumber)? {
    guard case .array(let items) = value else {
      if value != .null { wrong = true }
      return nil
    }
    var found: [SlowNumber] = []
    for item in items where found.count < 2 {
      if case .number(let spelled) = item { found.append(SlowNumber(spelled)) } else { wrong = true }
    }
    if found.count == 1 { wrong = true }
    return found.count == 2 ? (found[0], found[1]) : nil
  }

  private mutating func lightTicker(_ instrument: Int, _ value: SlowJSON) {
    var ticker = Ticker()
    var problem: DecodeProblem?
    var wrong = false, lastIsOffGrid = false
    let listing = listings[instrument]
    if case .object(let members) = value {
      for member in members {
        switch name(member) {
        case "m", "v":
          if let n = number(member.value, &wrong) {
            let (outcome, value) = n.scaled(8)
            if outcome == .overflow {
              problem = problem ?? .impossible
            } else if name(member) == "m" {
              ticker.markE8 = value
              ticker.fields.insert(.mark)
            } else {
              ticker.volatilityE8 = value
              ticker.fields.insert(.volatility)
            }
          }
        case "b", "a":
          if let (price, qty) = pair(member.value, &wrong), let listing {
            level(price, qty, name(member) == "b" ? .bid : .ask, listing, &ticker, &problem)
          }
        case "l":
          if let n = number(member.value, &wrong), let listing {
            if price(n, listing, &ticker.lastPrice) == nil {
              ticker.fields.insert(.last)
            } else {
              lastIsOffGrid = true
            }
          }
        default: break
        }
      }
    } else {
      wrong = true
    }
    if wrong { problem = problem ?? .missingMember }
    if listing == nil { problem = problem ?? .unknownName }
    if let problem { return sink.refusedAtEdge(problem) }
    if lastIsOffGrid { sink.refusedAtEdge(.offGrid) }
    sink.ticker(InstrumentIndex(instrument), ticker)
  }

  private mutating func book(_ instrument: Int, _ value: SlowJSON, _ isSnapshot: Bool) {
    guard let listing = listings[instrument] else { return sink.refusedAtEdge(.unknownName) }
    guard case .object(let members) = value else { return sink.refusedAtEdge(.missingMember) }
    let index = InstrumentIndex(instrument)
    sink.bookBegin(index, isSnapshot: isSnapshot)
    for member in members {
      switch name(member) {
      case "bid_changes": levels(index, member.value, .buy, listing)
      case "ask_changes": levels(index, member.value, .sell, listing)
      case "trades": if !isSnapshot { publicTrades(index, member.value, listing) }
      default: break
      }
    }
    sink.bookEnd(index)
  }

  private mutating func levels(_ index: InstrumentIndex, _ value: SlowJSON, _ side: Side, _ listing: Listing) {
    guard case .array(let items) = value else {
      if value != .null { sink.refusedAtEdge(.missingMember) }
      return
    }
    for item in items {
      var wrong = false
      var ticks = PriceTicks(rawValue: 0)
      var lots = QtyLots(rawValue: 0)
      guard let (priceNumber, qty) = pair(item, &wrong), !wrong else {
        sink.refusedAtEdge(.missingMember)
        continue
      }
      if let problem = price(priceNumber, listing, &ticks) ?? size(qty, listing, &lots) {
        sink.refusedAtEdge(problem)
      } else {
        sink.bookLevel(index, side, ticks, lots)
      }
    }
  }

  private mutating func publicTrades(_ index: InstrumentIndex, _ value: SlowJSON, _ listing: Listing) {
    guard case .array(let items) = value else {
      if value != .null { sink.refusedAtEdge(.missingMember) }
      return
    }
    for item in items {
      var ignored = false
      var ticks = PriceTicks(rawValue: 0)
      var lots = QtyLots(rawValue: 0)
      guard case .array(let parts) = item, parts.count >= 4, let priceNumber = number(parts[0], &ignored),
        let qty = number(parts[1], &ignored), let aggressor = text(parts[2], &ignored),
        let time = number(parts[3], &ignored)
      else {
        sink.refusedAtEdge(.missingMember)
        continue
      }
      let (outcome, stamp) = time.scaled(9)
      if let problem = price(priceNumber, listing, &ticks) ?? size(qty, listing, &lots) {
        sink.refusedAtEdge(problem)
      } else if let side = side(aggressor) {
        sink.publicTrade(index, aggressor: side, price: ticks, qty: lots, time: outcome == .overflow ? 0 : stamp)
      } else {
        sink.refusedAtEdge(.unknownWord)
      }
    }
  }

  private mutating func priceIndex(_ value: SlowJSON, _ underlying: UnderlyingIndex?) -> Bool {
    var report = IndexReport()
    var named: Text?
    var wrong = false, isTooLarge = false, hasPrice = false
    func e8(_ value: SlowJSON) -> Int64? {
      guard let number = number(value, &wrong) else { return nil }
      let (outcome, value) = number.scaled(8)
      if outcome == .overflow { isTooLarge = true }
      return outcome == .overflow ? nil : value
    }
    if case .object(let members) = value {
      for member in members {
        switch name(member) {
        case "index_name": named = text(member.value, &wrong)
        case "price":
          if case .number = member.value { hasPrice = true }
          report.priceE8 = e8(member.value) ?? 0
        case "timestamp":
          if let n = number(member.value, &wrong), n.scaled(9).outcome != .overflow {
            report.venueTime = n.scaled(9).value
          }
        case "previous_settlement_price": report.previousSettlementE8 = e8(member.value)
        case "expiration_print_average": report.expirationAverageE8 = e8(member.value)
        case "expiration_progress": report.expirationProgressE8 = e8(member.value)
        case "expected_expiration_price": report.expectedExpirationE8 = e8(member.value)
        default: break
        }
      }
    }
    guard hasPrice, !wrong else { return refuse(.missingMember) == .delivered }
    guard !isTooLarge, report.priceE8 > 0 else { return refuse(.impossible) == .delivered }
    if let underlying {
      sink.index(underlying, report)
    } else if let named, word(named) == "BTCUSD" {
      sink.index(0, report)
    } else {
      ignoredItems += 1
    }
    return true
  }

  private mutating func lightTickers(_ value: SlowJSON, _ kind: ThalexChannel) {
    guard case .object(let tickers)? = last("tickers", of: value) else { return sink.refusedAtEdge(.missingMember) }
    for member in tickers {
      if let index = names.firstIndex(of: name(member)) {
        lightTicker(index, member.value, kind)
      } else {
        ignoredItems += 1
      }
    }
  }

  private mutating func lightTicker(_ instrument: Int, _ value: SlowJSON, _ kind: ThalexChannel) {
    guard case .array(let items) = value else { return sink.refusedAtEdge(.missingMember) }
    let futures = ["time", "mark", "index", "bid", "ask", "last", "accrued", "funding"]
    let options = ["time", "mark", "index", "forward", "iv", "bid", "ask", "last"]
    var ticker = Ticker()
    var problem: DecodeProblem?
    var wrong = false, lastIsOffGrid = false
    let listing = listings[instrument]
    for (what, item) in zip(kind == .lightOptions ? options : futures, items) {
      if what == "bid" || what == "ask" {
        if let (price, qty) = pair(item, &wrong), let listing {
          level(price, qty, what == "bid" ? .bid : .ask, listing, &ticker, &problem)
        }
        continue
      }
      guard let n = number(item, &wrong) else { continue }
      if what == "time" {
        if n.scaled(9).outcome != .overflow { ticker.venueTime = n.scaled(9).value }
      } else if what == "last" {
        guard let listing else { continue }
        if price(n, listing, &ticker.lastPrice) == nil { ticker.fields.insert(.last) } else { lastIsOffGrid = true }
      } else {
        let (outcome, value) = n.scaled(what == "funding" ? 12 : 8)
        if outcome == .overflow {
          problem = problem ?? .impossible
          continue
        }
        switch what {
        case "mark":
          ticker.markE8 = value
          ticker.fields.insert(.mark)
        case "index":
          ticker.indexE8 = value
          ticker.fields.insert(.index)
        case "forward":
          ticker.forwardE8 = value
          ticker.fields.insert(.forward)
        case "iv":
          ticker.volatilityE8 = value
          ticker.fields.insert(.volatility)
        case "accrued":
          ticker.fundingMarkE8 = value
          ticker.fields.insert(.fundingMark)
        default:
          ticker.fundingRateE12 = value
          ticker.fields.insert(.funding)
        }
      }
    }
    let lengths: [Int] = kind == .lightOptions ? [8] : kind == .lightRolls ? [6] : [6, 8]
    if wrong || !lengths.contains(items.count) { problem = problem ?? .missingMember }
    if listing == nil { problem = problem ?? .unknownName }
    if let problem { return sink.refusedAtEdge(problem) }
    if lastIsOffGrid { sink.refusedAtEdge(.offGrid) }
    sink.ticker(InstrumentIndex(instrument), ticker)
  }

  private mutating func recentTrade(_ value: SlowJSON) -> Outcome {
    var ignored = false
    guard case .array(let items) = value, items.count >= 5, let price = number(items[0], &ignored),
      let qty = number(items[1], &ignored), let direction = text(items[2], &ignored),
      let time = number(items[3], &ignored), let name = text(items[4], &ignored)
    else { return refuse(.missingMember) }
    guard let index = index(name) else {
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listings[index] else { return refuse(.unknownName) }
    var ticks = PriceTicks(rawValue: 0)
    var lots = QtyLots(rawValue: 0)
    if let problem = self.price(price, listing, &ticks) ?? size(qty, listing, &lots) { return refuse(problem) }
    guard let side = side(direction) else { return refuse(.unknownWord) }
    let stamp = time.scaled(9).outcome == .overflow ? 0 : time.scaled(9).value
    sink.publicTrade(InstrumentIndex(index), aggressor: side, price: ticks, qty: lots, time: stamp)
    return .delivered
  }

  private mutating func basePrice(_ value: SlowJSON) {
    let item = read(value, texts: ["base_name"], numbers: ["price", "index", "index_delta"], isOrder: false)
    guard let price = item.numbers["price"]?.scaled(8), let index = item.numbers["index"]?.scaled(8),
      let delta = item.numbers["index_delta"]?.scaled(8), !item.wrong
    else { return sink.refusedAtEdge(.missingMember) }
    let isTooLarge = [price.outcome, index.outcome, delta.outcome].contains(.overflow)
    guard !isTooLarge, price.value > 0, index.value > 0 else { return sink.refusedAtEdge(.impossible) }
    var report = BasePrice()
    report.priceE8 = price.value
    report.indexE8 = index.value
    report.indexDeltaE8 = delta.value
    if let name = item.texts["base_name"], let found = self.index(name) { report.instrument = InstrumentIndex(found) }
    sink.basePrice(0, expirySeconds: 1_777_017_600, report)
  }

  private mutating func account(_ value: SlowJSON) -> Bool {
    let names = [
      "margin", "required_margin", "remaining_margin", "cash_collateral", "unrealised_pnl", "session_realised_pnl",
    ]
    let item = read(value, texts: [], numbers: Set(names), isOrder: false)
    let numbers = names.compactMap { item.numbers[$0]?.scaled(8) }
    guard numbers.count == names.count, !item.wrong else { return refuse(.missingMember) == .delivered }
    guard !numbers.contains(where: { $0.outcome == .overflow }) else { return refuse(.impossible) == .delivered }
    var summary = AccountSummary()
    summary.marginE8 = numbers[0].value
    summary.requiredMarginE8 = numbers[1].value
    summary.remainingMarginE8 = numbers[2].value
    summary.cashCollateralE8 = numbers[3].value
    summary.unrealisedE8 = numbers[4].value
    summary.sessionRealisedE8 = numbers[5].value
    sink.account(summary)
    return true
  }

  private mutating func system(_ value: SlowJSON) {
    var ignored = false
    guard case .object(let members) = value,
      let last = members.last(where: { name($0) == "event" }), let event = text(last.value, &ignored)
    else { return sink.refusedAtEdge(.missingMember) }
    if word(event) == "reconnect" { sink.reconnectRequested() } else { sink.refusedAtEdge(.unknownWord) }
  }

  // MARK: Words

  private func side(_ text: Text?) -> Side? {
    guard let text else { return nil }
    return ["buy": Side.buy, "sell": .sell][word(text)]
  }
  private static let statuses: [String: OrderStatus] = [
    "open": .open, "partially_filled": .partiallyFilled, "filled": .filled, "cancelled": .cancelled,
    "cancelled_partially_filled": .cancelledPartiallyFilled,
  ]
  private static let changes: [String: ChangeReason] = [
    "insert": .insert, "amend": .amend, "cancel": .cancel, "fill": .fill, "existing": .existing,
  ]
  private static let deletions: [String: DeleteReason] = [
    "client_cancel": .clientCancel, "filled": .filled, "immediate_cancel": .immediateCancel,
    "session_end": .sessionEnd, "client_bulk_cancel": .clientBulkCancel, "replaced": .replaced,
    "self_trade_prevention": .selfTradePrevention, "mm_protection": .protection,
    "instrument_deactivated": .instrumentDeactivated, "failover": .failover, "margin_breach": .marginBreach,
    "admin_cancel": .adminCancel,
  ]
  private static let kinds: [String: InstrumentKind] = [
    "perpetual": .perpetual, "future": .future, "option": .option, "combination": .combination,
  ]

  // MARK: Orders and trades

  private enum Outcome { case delivered, ignored, refused }

  private mutating func refuse(_ problem: DecodeProblem) -> Outcome {
    sink.refusedAtEdge(problem)
    return .refused
  }

  private struct Item {
    var texts: [String: Text] = [:]
    var numbers: [String: SlowNumber] = [:]
    var label: Text?
    var isPersistent = false
    var fills: SlowJSON?
    var wrong = false
  }

  private func read(_ value: SlowJSON, texts: Set<String>, numbers: Set<String>, isOrder: Bool) -> Item {
    var item = Item()
    guard case .object(let members) = value else {
      item.wrong = true
      return item
    }
    for member in members {
      let key = name(member)
      var isNumber = false
      if texts.contains(key) {
        item.texts[key] = text(member.value, &item.wrong)
      } else if numbers.contains(key) {
        item.numbers[key] = number(member.value, &item.wrong)
      } else if key == "label" {
        item.label = text(member.value, &isNumber) ?? item.label
      } else if isOrder, key == "persistent" {
        item.isPersistent = flag(member.value, &item.wrong)
      } else if isOrder, key == "fills" {
        item.fills = member.value
      }
    }
    return item
  }

  private static let orderTexts: Set<String> = [
    "order_id", "instrument_name", "direction", "status", "change_reason", "delete_reason",
  ]
  private static let orderNumbers: Set<String> = [
    "price", "amount", "filled_amount", "remaining_amount", "client_order_id", "create_time",
  ]
  private static let tradeTexts: Set<String> = [
    "order_id", "trade_id", "instrument_name", "direction", "trade_type", "maker_taker",
  ]
  private static let tradeNumbers: Set<String> = ["price", "amount", "time", "fee", "client_order_id", "leg_index"]

  private mutating func order(_ value: SlowJSON, _ source: ReportSource, isSession: Bool) -> Outcome {
    let item = read(value, texts: Self.orderTexts, numbers: Self.orderNumbers, isOrder: true)
    let isOurs = has(item.label, prefix: labelPrefix)
    guard let name = item.texts["instrument_name"], let index = index(name) else {
      if isSession || isOurs || item.wrong { return refuse(item.wrong ? .missingMember : .unknownName) }
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listings[index] else { return refuse(.unknownName) }
    var report = OrderReport()
    report.source = source
    report.instrument = InstrumentIndex(index)
    report.isLabelledOurs = isOurs
    report.isPersistent = item.isPersistent
    guard !item.wrong, let direction = item.texts["direction"], let amount = item.numbers["amount"],
      let filled = item.numbers["filled_amount"], source == .history || item.numbers["remaining_amount"] != nil,
      let status = item.texts["status"], let idText = item.texts["order_id"], let venueID = id(idText)
    else { return refuse(.missingMember) }
    report.venueID = venueID
    if let client = item.numbers["client_order_id"] {
      guard let whole = client.whole else { return refuse(.missingMember) }
      report.clientID = whole
    }
    guard let side = side(direction) else { return refuse(.unknownWord) }
    report.side = side
    var hasUnknownWord = false
    if let known = Self.statuses[word(status)] { report.status = known } else { hasUnknownWord = true }
    if let change = item.texts["change_reason"] {
      if let known = Self.changes[word(change)] { report.change = known } else { hasUnknownWord = true }
    }
    if let deletion = item.texts["delete_reason"] {
      report.deletion = Self.deletions[word(deletion)] ?? .other
      if report.deletion == .other { hasUnknownWord = true }
    }
    if let time = item.numbers["create_time"]?.scaled(9), time.outcome != .overflow { report.createTime = time.value }

    if let number = item.numbers["price"] {
      if let problem = price(number, listing, &report.price) { return refuse(problem) }
      report.hasPrice = true
    } else if report.status.isLive {
      return refuse(.missingMember)
    }
    if let problem = size(amount, listing, &report.qty) ?? size(filled, listing, &report.filled)
      ?? item.numbers["remaining_amount"].flatMap({ size($0, listing, &report.remaining) })
    {
      return refuse(problem)
    }
    if report.status == .cancelledPartiallyFilled, report.qty < report.filled { report.qty = report.filled }
    let (total, executed, resting) = (report.qty.rawValue, report.filled.rawValue, report.remaining.rawValue)
    let isPossible =
      executed <= total && resting <= total && !(report.status.isLive && resting > total - executed)
      && !(report.status == .filled && executed < total)
    if !isPossible { return refuse(.impossible) }

    switch item.fills {
    case nil, .null?: break
    case .array(let items)?:
      for fill in items { self.fill(fill, of: report, listing) }
    default: sink.refusedAtEdge(.missingMember)
    }
    if hasUnknownWord { sink.refusedAtEdge(.unknownWord) }
    sink.order(report)
    return .delivered
  }

  private mutating func fill(_ value: SlowJSON, of order: OrderReport, _ listing: Listing) {
    let item = read(value, texts: Self.tradeTexts, numbers: Self.tradeNumbers, isOrder: false)
    var fill = FillReport()
    fill.source = order.source
    fill.side = order.side
    fill.instrument = order.instrument
    fill.isLabelledOurs = order.isLabelledOurs
    fill.clientID = order.clientID
    fill.venueID = order.venueID
    if let problem = execution(item, listing, &fill) { sink.refusedAtEdge(problem) } else { sink.fill(fill) }
  }

  private mutating func execution(_ item: Item, _ listing: Listing, _ fill: inout FillReport) -> DecodeProblem? {
    guard !item.wrong, let priceNumber = item.numbers["price"], let amount = item.numbers["amount"],
      var text = item.texts["trade_id"], var tradeID = id(text)
    else { return .missingMember }
    if let leg = item.numbers["leg_index"] {
      guard let number = leg.whole, number < 10 else { return .impossible }
      if number > 0 {
        text += Array("/\(number)".utf8)
        guard let longer = id(text) else { return .missingMember }
        tradeID = longer
      }
    }
    fill.tradeID = tradeID
    if let problem = price(priceNumber, listing, &fill.price) ?? size(amount, listing, &fill.qty) { return problem }
    if fill.qty.rawValue <= 0 { return .impossible }
    if let time = item.numbers["time"]?.scaled(9), time.outcome != .overflow { fill.time = time.value }
    if let role = item.texts["maker_taker"] {
      fill.isMaker = word(role) == "maker"
      if !fill.isMaker, word(role) != "taker" { sink.refusedAtEdge(.unknownWord) }
    }
    return nil
  }

  private mutating func trade(_ value: SlowJSON, _ source: ReportSource) -> Outcome {
    let item = read(value, texts: Self.tradeTexts, numbers: Self.tradeNumbers, isOrder: false)
    let isOurs = has(item.label, prefix: labelPrefix)
    if let type = item.texts["trade_type"] {
      if ["daily_mark", "expiration", "internal_transfer", "amend", "delete"].contains(word(type)) {
        ignoredItems += 1
        return .ignored
      }
      guard ["normal", "block", "combo", "rfq", "liquidation"].contains(word(type)) else { return refuse(.unknownWord) }
    }
    guard let name = item.texts["instrument_name"], let index = index(name) else {
      if item.wrong || item.texts["instrument_name"] == nil { return refuse(.missingMember) }
      if isOurs { return refuse(.unknownName) }
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listings[index] else { return refuse(.unknownName) }
    var fill = FillReport()
    fill.source = source
    fill.instrument = InstrumentIndex(index)
    fill.isLabelledOurs = isOurs
    guard !item.wrong, let direction = item.texts["direction"], let idText = item.texts["order_id"],
      let venueID = id(idText)
    else { return refuse(.missingMember) }
    fill.venueID = venueID
    if let client = item.numbers["client_order_id"] {
      guard let whole = client.whole else { return refuse(.missingMember) }
      fill.clientID = whole
    }
    guard let side = side(direction) else { return refuse(.unknownWord) }
    fill.side = side
    if let fee = item.numbers["fee"] {
      let (outcome, value) = fee.scaled(8)
      if outcome == .overflow { return refuse(.impossible) }
      fill.hasFee = true
      fill.feeE8 = value
    }
    if let problem = execution(item, listing, &fill) { return refuse(problem) }
    sink.fill(fill)
    return .delivered
  }

  // MARK: Lists

  private mutating func list(
    _ value: SlowJSON, _ snapshot: SnapshotKind?, reply: RequestKind?, value replyValue: Int64,
    _ item: (inout Oracle, SlowJSON) -> Outcome
  ) {
    guard case .array(let items) = value else { return sink.refusedAtEdge(.missingMember) }
    if let snapshot { sink.snapshotBegin(snapshot) }
    var isComplete = true
    for value in items where item(&self, value) == .refused { isComplete = false }
    guard isComplete else { return }
    if let snapshot { sink.snapshotEnd(snapshot) }
    if let reply { sink.replied(reply, value: replyValue) }
  }

  private mutating func orders(
    _ value: SlowJSON, _ source: ReportSource, _ snapshot: SnapshotKind?, isSession: Bool, reply: RequestKind?
  ) {
    list(value, snapshot, reply: reply, value: 0) { $0.order($1, source, isSession: isSession) }
  }

  private mutating func trades(_ value: SlowJSON, _ source: ReportSource, reply: RequestKind?, hasMore: Bool) {
    list(value, reply == nil ? nil : .tradeHistory, reply: reply, value: hasMore ? 1 : 0) { $0.trade($1, source) }
  }

  private mutating func portfolio(_ value: SlowJSON, isSnapshot: Bool, reply: RequestKind?) {
    list(value, isSnapshot ? .portfolio : nil, reply: reply, value: 0) { $0.position($1) }
  }

  private mutating func position(_ value: SlowJSON) -> Outcome {
    let item = read(
      value, texts: ["instrument_name"], numbers: ["position", "mark_price", "average_price"], isOrder: false)
    guard let name = item.texts["instrument_name"], let size = item.numbers["position"],
      !(item.wrong)
    else { return refuse(.missingMember) }
    guard let index = index(name) else {
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listings[index] else { return refuse(.unknownName) }
    var report = PositionReport()
    report.instrument = InstrumentIndex(index)
    if let problem = signedSize(size, listing, &report.position) { return refuse(problem) }
    if let mark = item.numbers["mark_price"]?.scaled(8) {
      if mark.outcome == .overflow { return refuse(.impossible) }
      report.markE8 = mark.value
    }
    if let average = item.numbers["average_price"]?.scaled(8) {
      if average.outcome == .overflow { return refuse(.impossible) }
      report.averagePriceE8 = average.value
    }
    sink.position(report)
    return .delivered
  }

  private mutating func instruments(_ value: SlowJSON, isSnapshot: Bool, isWrapped: Bool, reply: RequestKind?) {
    list(value, isSnapshot ? .instruments : nil, reply: reply, value: 0) { oracle, item in
      guard isWrapped, case .object(let members) = item else { return oracle.instrument(item, isListed: true) }
      var outcome = Outcome.ignored
      for member in members {
        let key = oracle.name(member)
        guard key == "added" || key == "removed" else { continue }
        if oracle.instrument(member.value, isListed: key == "added") == .refused { outcome = .refused }
      }
      return outcome
    }
  }

  private mutating func instrument(_ value: SlowJSON, isListed: Bool) -> Outcome {
    let item = read(
      value, texts: ["instrument_name", "type", "product", "underlying", "option_type"],
      numbers: ["tick_size", "volume_tick_size", "min_order_amount", "expiration_timestamp", "strike_price"],
      isOrder: false)
    guard let name = item.texts["instrument_name"] else { return refuse(.missingMember) }
    let index = index(name)
    let kind = item.texts["type"].flatMap { Self.kinds[word($0)] }
    let family = families.firstIndex {
      $0.kind == kind && item.texts["underlying"].map(word) == $0.underlying
    }
    guard index != nil || family != nil else {
      ignoredItems += 1
      return .ignored
    }
    guard let tick = item.numbers["tick_size"]?.scaled(8), let lot = item.numbers["volume_tick_size"]?.scaled(8),
      let minimum = item.numbers["min_order_amount"], item.texts["type"] != nil, !item.wrong
    else { return refuse(.missingMember) }
    var seconds: Int64 = 0
    if let expiry = item.numbers["expiration_timestamp"]?.scaled(0) {
      if expiry.outcome == .overflow || expiry.value < 0 { return refuse(.impossible) }
      seconds = expiry.value
    }
    if let strike = item.numbers["strike_price"]?.scaled(8), strike.outcome == .overflow || strike.value <= 0 {
      return refuse(.impossible)
    }
    guard tick.outcome == .exact, lot.outcome == .exact, tick.value > 0, lot.value > 0 else {
      return refuse(.impossible)
    }
    guard let lots = minimum.steps(lot.value), lots.outcome != .overflow, lots.value >= 1 else {
      return refuse(.offGrid)
    }
    if kind == nil { sink.refusedAtEdge(.unknownWord) }
    let grid = InstrumentGrid(tickE8: tick.value, lotE8: lot.value, minimumLots: QtyLots(rawValue: lots.value))
    var product = noProduct
    if let name = item.texts["product"], let found = products.firstIndex(of: word(name)) {
      product = ProductIndex(found)
      if index != nil {
        productLots[found] = productLots[found] == 0 ? lot.value : min(productLots[found], lot.value)
      }
    }
    if let index {
      let info = InstrumentInfo(
        index: InstrumentIndex(index), kind: kind ?? .other, grid: grid, expirySeconds: seconds, product: product)
      listings[index] = Listing(info: info)
      sink.instrument(info, isListed: isListed)
    }
    guard let family, let kind else { return .delivered }
    guard let short = id(name) else { return refuse(.unknownName) }
    var listing = InstrumentListing()
    listing.family = family
    listing.name = short
    listing.kind = kind
    listing.product = product
    listing.instrument = index.map { InstrumentIndex($0) } ?? .max
    listing.grid = grid
    listing.expirySeconds = seconds
    listing.strikeE8 = item.numbers["strike_price"]?.scaled(8).value ?? 0
    if let type = item.texts["option_type"] {
      let types: [String: OptionType] = ["call": .call, "put": .put]
      listing.optionType = types[word(type)] ?? .none
      if listing.optionType == .none { sink.refusedAtEdge(.unknownWord) }
    }
    sink.listing(listing, isListed: isListed)
    return .delivered
  }

  // MARK: Replies

  private func last(_ key: String, of value: SlowJSON) -> SlowJSON? {
    guard case .object(let members) = value else { return nil }
    return members.last { name($0) == key }?.value
  }

  private mutating func failure(_ request: RequestKind, _ value: SlowJSON) {
    var ignored = false
    if let code = last("code", of: value).flatMap({ number($0, &ignored) })?.scaled(0), code.outcome == .exact {
      sink.refused(request, code: code.value)
    } else {
      sink.refusedAtEdge(.missingMember)
      sink.refused(request, code: 0)
    }
  }

  private mutating func success(_ request: RequestKind, _ value: SlowJSON) {
    var ignored = false
    guard case .session(let session) = request else {
      switch request {
      case .unknown, .protection, .cancelMassQuote: return sink.replied(request, value: 0)
      case .massQuote(let serial): return massQuoted(serial, value)
      default: break
      }
      if order(value, .reply, isSession: true) == .delivered { sink.replied(request, value: 0) }
      return
    }
    switch session {
    case .login:
      if let text = last("account_number", of: value).flatMap({ text($0, &ignored) }) { accountNumber = word(text) }
      sink.replied(request, value: 0)
    case .cancelOnDisconnect: amount(request, last("message_rate", of: value))
    case .cancelAll: amount(request, value)
    case .cancelSession, .systemInfo, .cancelConditional: sink.replied(request, value: 0)
    case .instrument: if instrument(value, isListed: true) != .refused { sink.replied(request, value: 0) }
    case .index: if priceIndex(value, nil) { sink.replied(request, value: 0) }
    case .accountSummary: if account(value) { sink.replied(request, value: 0) }
    case .subscribePublic, .subscribePrivate: confirm(request, value, true)
    case .unsubscribe: confirm(request, value, false)
    case .instruments: instruments(value, isSnapshot: true, isWrapped: false, reply: request)
    case .openOrders:
      if let awaited = awaitedOrdersID, awaited != lastReplyID { return sink.replied(.unknown, value: 0) }
      orders(value, .query, .openOrders, isSession: false, reply: request)
    case .portfolio: portfolio(value, isSnapshot: true, reply: request)
    case .tradeHistory:
      if let awaited = awaitedTradesID, awaited != lastReplyID { return sink.replied(.unknown, value: 0) }
      tradeHistory(request, value)
    }
  }

  private mutating func massQuoted(_ serial: UInt64, _ value: SlowJSON) {
    let answer = read(value, texts: [], numbers: ["n_success", "n_fail"], isOrder: false)
    guard let good = answer.numbers["n_success"], let bad = answer.numbers["n_fail"], !answer.wrong else {
      return sink.refusedAtEdge(.missingMember)
    }
    var isComplete = true
    let errors = last("errors", of: value) ?? .null
    if errors != .null {
      guard case .array(let items) = errors else { return sink.refusedAtEdge(.missingMember) }
      for error in items {
        let item = read(error, texts: ["side"], numbers: ["code", "price"], isOrder: false)
        guard let code = item.numbers["code"]?.scaled(0), code.outcome == .exact, !item.wrong else {
          isComplete = refuse(.missingMember) == .delivered
          continue
        }
        let price = item.numbers["price"]?.scaled(8)
        if price?.outcome == .overflow {
          isComplete = refuse(.impossible) == .delivered
          continue
        }
        let sides: [String: Side] = ["bid": .buy, "buy": .buy, "ask": .sell, "sell": .sell]
        let side = item.texts["side"].flatMap { sides[word($0)] }
        if item.texts["side"] != nil, side == nil { sink.refusedAtEdge(.unknownWord) }
        sink.massQuoteFailed(serial, code: code.value, side: side, priceE8: price?.value)
      }
    }
    let counts = (good.scaled(0), bad.scaled(0))
    guard counts.0.outcome == .exact, counts.1.outcome == .exact, counts.0.value >= 0, counts.1.value >= 0 else {
      return sink.refusedAtEdge(.impossible)
    }
    if isComplete { sink.massQuoted(serial, succeeded: counts.0.value, failed: counts.1.value) }
  }

  private static let reasons: [String: ProtectionReason] = [
    "refill": .refill, "executions": .executions, "client_cancel": .clientCancel, "session_end": .sessionEnd,
    "failover": .failover,
  ]

  private mutating func protection(_ value: SlowJSON) -> Outcome {
    let item = read(value, texts: ["product", "reason"], numbers: ["remaining_amount"], isOrder: false)
    guard let name = item.texts["product"], let reason = item.texts["reason"],
      let amount = item.numbers["remaining_amount"], !item.wrong
    else { return refuse(.missingMember) }
    guard let index = products.firstIndex(of: word(name)) else {
      ignoredItems += 1
      return .ignored
    }
    guard productLots[index] > 0 else { return refuse(.unknownName) }
    let size = amount.scaled(8)
    if size.outcome == .overflow { return refuse(.impossible) }
    if Self.reasons[word(reason)] == nil { sink.refusedAtEdge(.unknownWord) }
    var lots = size.value / productLots[index]
    if lots * productLots[index] > size.value { lots -= 1 }
    sink.protection(
      ProductIndex(index), remaining: QtyLots(rawValue: lots), reason: Self.reasons[word(reason)] ?? .other)
    return .delivered
  }

  private mutating func amount(_ request: RequestKind, _ value: SlowJSON?) {
    var ignored = false
    guard let number = value.flatMap({ number($0, &ignored) })?.scaled(0) else {
      return sink.refusedAtEdge(.missingMember)
    }
    if number.outcome != .exact || number.value < 0 {
      sink.refusedAtEdge(.impossible)
    } else {
      sink.replied(request, value: number.value)
    }
  }

  private mutating func confirm(_ request: RequestKind, _ value: SlowJSON, _ isConfirmed: Bool) {
    guard case .array(let items) = value else { return sink.refusedAtEdge(.missingMember) }
    var count: Int64 = 0
    var isComplete = true
    for item in items {
      var ignored = false
      guard let text = text(item, &ignored) else {
        sink.refusedAtEdge(.missingMember)
        isComplete = false
        continue
      }
      count += 1
      if channels[word(text)] == nil {
        sink.refusedAtEdge(.unknownName)
      } else if isConfirmed {
        confirmed.insert(word(text))
      } else {
        confirmed.remove(word(text))
      }
    }
    if isComplete { sink.replied(request, value: isConfirmed ? count : 0) }
  }

  private mutating func tradeHistory(_ request: RequestKind, _ value: SlowJSON) {
    var wrong = false
    var mark: Text?
    var found: SlowJSON?
    if case .object(let members) = value {
      for member in members {
        switch name(member) {
        case "trades": found = member.value
        case "bookmark": mark = text(member.value, &wrong)
        default: break
        }
      }
    }
    guard let found, !wrong else { return sink.refusedAtEdge(.missingMember) }
    bookmark = mark.map(word)
    trades(found, .query, reply: request, hasMore: mark != nil)
  }
}
