import Apus
import CSupport

/// Market-maker protection of an index: of the orders that ask for it, or of a group of mass quotes (reference 13).
struct DeribitProtection {
  var interval: Nanoseconds
  /// 0 = until it is reset by hand.
  var frozenTime: Nanoseconds
  var quantityLimitE8: Int64?
  var deltaLimitE8: Int64?
  var vegaLimitE8: Int64?
  /// What a quote may show a side, 10⁻⁸ of the base currency.
  var maximumQuoteE8: Int64?
  private var windowStart: Nanoseconds?
  private var tradedE8: Int64 = 0
  private var deltaE8: Int64 = 0
  /// Traded beyond its limits since the last look.
  private(set) var isExhausted = false
  /// `.max` = until it is reset; `nil` = armed.
  var frozenUntil: Nanoseconds?

  init(interval: Nanoseconds, frozenTime: Nanoseconds) {
    self.interval = interval
    self.frozenTime = frozenTime
  }

  func isFrozen(now: Nanoseconds) -> Bool { frozenUntil.map { now < $0 } ?? false }

  /// A trade of that much base currency, negative for a sale.
  mutating func trade(_ signedE8: Int64, now: Nanoseconds) {
    if let start = windowStart, now - start < interval {
    } else {
      windowStart = now
      tradedE8 = 0
      deltaE8 = 0
    }
    tradedE8 += abs(signedE8)
    deltaE8 += signedE8
    if let limit = quantityLimitE8, tradedE8 >= limit { isExhausted = true }
    if let limit = deltaLimitE8, abs(deltaE8) >= limit { isExhausted = true }
  }

  mutating func freeze(now: Nanoseconds) {
    reset()
    frozenUntil = frozenTime == 0 ? .max : now + frozenTime
  }

  mutating func reset() {
    isExhausted = false
    windowStart = nil
    tradedE8 = 0
    deltaE8 = 0
    frozenUntil = nil
  }
}

/// Mass quotes and what protects them (reference 12, 13).
extension DeribitVenue {
  /// Amount in base currency, 10⁻⁸.
  func baseE8(_ market: Market, lots: Int64, priceE8: Int64) -> Int64 {
    let amountE8 = lots * market.spec.grid.lotE8
    return market.spec.isInverse ? Decimal.scaled(amountE8, 100_000_000, over: max(1, priceE8)) : amountE8
  }

  /// A protected order has traded.
  func charge(_ order: DeribitOrder, _ fill: Fill) {
    guard let key = order.protectionKey else { return }
    let signed = order.side.sign * baseE8(order.market, lots: fill.lots.rawValue, priceE8: fill.priceE8)
    order.owner.protection[key]?.trade(signed, now: now)
    isProtectionTouched = true
  }

  /// Groups that have traded too much lose their orders and are frozen.
  func triggerProtection() {
    for account in accountList {
      let account = unsafeDowncast(account, to: DeribitAccount.self)
      guard account.protection.contains(where: { $0.value.isExhausted }) else { continue }
      let keys = account.protection.filter { $0.value.isExhausted }.keys.sorted {
        ($0.index, $0.group ?? "") < ($1.index, $1.group ?? "")
      }
      for key in keys {
        account.protection[key]?.freeze(now: now)
        statistics.protectionHits += 1
        cancelAll(
          account.orders.filter { unsafeDowncast($0, to: DeribitOrder.self).protectionKey == key },
          deletion: .protection)
        accountEvents.append(.protection(account, key, until: account.protection[key]?.frozenUntil ?? .max))
      }
    }
  }

  /// Milliseconds since the epoch; 0 for a freeze that only a reset ends.
  func shown(frozenUntil: Nanoseconds) -> Int64 { frozenUntil == .max ? 0 : wall(frozenUntil) / 1_000_000 }

  // MARK: configuration

  func setProtection(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let index = try arguments.requiredString("index_name")
    guard underlyings.contains(where: { $0.name == Array(index.utf8) }) else {
      throw .invalid("index_name", "unknown index")
    }
    let group = try arguments.string("mmp_group")
    if let group, group.isEmpty || group.utf8.count > 64 { throw .invalid("mmp_group", "must be 1 to 64 characters") }
    let key = ProtectionKey(index: index, group: group)
    guard let interval = try arguments.integer("interval") else { throw .invalid("interval", "value required") }
    guard (0...3600).contains(interval) else { throw .invalid("interval", "must be 0 to 3600") }
    if interval == 0 {
      cancelAll(
        account.orders.filter { unsafeDowncast($0, to: DeribitOrder.self).protectionKey == key && $0.isQuote },
        deletion: .clientBulkCancel)
      account.protection[key] = nil
      reply.raw("[]")
      return
    }
    guard let frozen = try arguments.integer("frozen_time") else { throw .invalid("frozen_time", "value required") }
    guard (0...3600).contains(frozen) else { throw .invalid("frozen_time", "must be 0 to 3600") }
    func limit(_ name: StaticString) throws(DeribitFault) -> Int64? {
      guard let value = try arguments.decimal(name) else { return nil }
      guard value > 0, value % 10_000 == 0, value <= 1_000_000_00000000 else {
        throw .invalid("\(name)", "must be above 0, with at most 4 decimals")
      }
      return value
    }
    var protection = DeribitProtection(interval: interval * 1_000_000_000, frozenTime: frozen * 1_000_000_000)
    protection.quantityLimitE8 = try limit("quantity_limit")
    protection.deltaLimitE8 = try limit("delta_limit")
    protection.vegaLimitE8 = try limit("vega_limit")
    protection.maximumQuoteE8 = try limit("max_quote_quantity")
    guard protection.quantityLimitE8 != nil || protection.deltaLimitE8 != nil || protection.vegaLimitE8 != nil else {
      throw .invalid("quantity_limit", "a limit is required")
    }
    if let delta = protection.deltaLimitE8, let quantity = protection.quantityLimitE8, delta >= quantity {
      throw .invalid("delta_limit", "must be below the quantity limit")
    }
    if group != nil, protection.maximumQuoteE8 == nil { throw .invalid("max_quote_quantity", "value required") }
    if group != nil, account.protection[key] == nil,
      account.protection.keys.filter({ $0.index == index && $0.group != nil }).count >= 16
    {
      throw .invalid("mmp_group", "too many groups")
    }
    // A freeze outlives a new configuration.
    protection.frozenUntil = account.protection[key]?.frozenUntil
    account.protection[key] = protection
    // What is larger than allowed now goes.
    if let maximum = protection.maximumQuoteE8 {
      let large = account.orders.filter { order in
        unsafeDowncast(order, to: DeribitOrder.self).protectionKey == key && order.isQuote
          && baseE8(
            order.market, lots: order.remaining.rawValue, priceE8: order.price.rawValue * order.market.spec.grid.tickE8)
            > maximum
      }
      for order in large { unsafeDowncast(order, to: DeribitOrder.self).cancelReason = "mmp_config_curtailment" }
      cancelAll(large, deletion: .protection)
    }
    reply.byte(UInt8(ascii: "["))
    writeProtection(key, protection)
    reply.byte(UInt8(ascii: "]"))
  }

  private func writeKey(_ key: ProtectionKey) {
    reply.raw("{\"index_name\":")
    reply.quoted(key.index)
    if let group = key.group {
      reply.raw(",\"mmp_group\":")
      reply.quoted(group)
    }
  }

  private func writeProtection(_ key: ProtectionKey, _ protection: DeribitProtection) {
    writeKey(key)
    reply.raw(",\"interval\":")
    reply.integer(protection.interval / 1_000_000_000)
    reply.raw(",\"frozen_time\":")
    reply.integer(protection.frozenTime / 1_000_000_000)
    for (name, value) in [
      (",\"quantity_limit\":", protection.quantityLimitE8), (",\"delta_limit\":", protection.deltaLimitE8),
      (",\"vega_limit\":", protection.vegaLimitE8), (",\"max_quote_quantity\":", protection.maximumQuoteE8),
    ] as [(StaticString, Int64?)] {
      guard let value else { continue }
      reply.raw(name)
      number(reply, value)
    }
    reply.byte(UInt8(ascii: "}"))
  }

  /// Groups of an account that a request names.
  private func keys(_ account: DeribitAccount, _ arguments: DeribitArguments) throws(DeribitFault) -> [ProtectionKey] {
    let index = try arguments.string("index_name")
    let group = try arguments.string("mmp_group")
    return account.protection.keys.filter { key in
      (index == nil || index == "all" || key.index == index) && (group == nil || key.group == group)
    }.sorted { ($0.index, $0.group ?? "") < ($1.index, $1.group ?? "") }
  }

  func getProtection(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    reply.byte(UInt8(ascii: "["))
    for (place, key) in try keys(account, arguments).enumerated() {
      if place > 0 { reply.byte(UInt8(ascii: ",")) }
      if let protection = account.protection[key] { writeProtection(key, protection) }
    }
    reply.byte(UInt8(ascii: "]"))
  }

  func getProtectionStatus(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    reply.byte(UInt8(ascii: "["))
    var isFirst = true
    for key in try keys(account, arguments) {
      guard let until = account.protection[key]?.frozenUntil, until > now else { continue }
      if !isFirst { reply.byte(UInt8(ascii: ",")) }
      isFirst = false
      reply.raw("{\"index_name\":")
      reply.quoted(key.index)
      reply.raw(",\"mmp_group\":")
      reply.quoted(key.group ?? "")
      reply.raw(",\"frozen_until\":")
      reply.integer(shown(frozenUntil: until))
      reply.byte(UInt8(ascii: "}"))
    }
    reply.byte(UInt8(ascii: "]"))
  }

  func resetProtection(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let key = ProtectionKey(index: try arguments.requiredString("index_name"), group: try arguments.string("mmp_group"))
    guard account.protection[key] != nil else { throw .invalid("index_name", "no such configuration") }
    account.protection[key]?.reset()
    reply.raw("\"ok\"")
  }

  // MARK: mass quotes

  /// One side of a quote as it was sent.
  private struct QuoteSide {
    var market: Market
    var side: Side
    var setID: String?
    var priceE8: Int64?
    var amountE8: Int64?
    var postOnly: Bool
    var rejectPostOnly: Bool
  }

  func massQuote(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    guard !session.isHTTP else { throw .needsWebSocket }
    guard settings.allowsMassQuotes else { throw .massQuotesDisabled }
    guard session.cancelsOnDisconnect || account.cancelsOnDisconnect else { throw .needsCancelOnDisconnect }
    let quoteID = try arguments.requiredString("quote_id")
    let group = try arguments.requiredString("mmp_group")
    try checkTime(try arguments.integer("valid_until"))
    if now < account.quotesFrozenUntil { throw .quotesFrozen }
    let isDetailed = try arguments.flag("detailed") ?? false
    let waits = try arguments.flag("wait_for_response") ?? true
    let sides = try quoteSides(arguments)
    guard let index = sides.first?.market.spec.underlying else { throw .invalid("quotes", "must not be empty") }
    guard sides.allSatisfy({ $0.market.spec.underlying == index }) else {
      throw .invalid("quotes", "must be of one index")
    }
    let key = ProtectionKey(index: index, group: group)
    guard let protection = account.protection[key] else { throw .protectionRequired }
    if protection.isFrozen(now: now) { throw .protectionTriggered }
    if settings.enforcesLimits, !account.quoteCredits.take(sides.count, now: now) { throw .tooManyQuotes }

    statistics.massQuotes += 1
    let tooLarge = Set(
      sides.filter { exceeds($0, account, group, protection.maximumQuoteE8) }.map(\.market.index))
    let list = TextBuffer(capacity: 1024)
    let trades = TextBuffer(capacity: 256)
    let errors = TextBuffer(capacity: 256)
    var failed: Int64 = 0
    for side in ordered(sides, account, group) {
      do throws(DeribitFault) {
        guard let (order, first) = try quote(side, account, session, key, quoteID, tooLarge: tooLarge) else { continue }
        statistics.quotesDone += 1
        if !list.isEmpty { list.byte(UInt8(ascii: ",")) }
        writeOrder(list, order)
        if first < order.fills.count {
          if !trades.isEmpty { trades.byte(UInt8(ascii: ",")) }
          writeTrades(trades, account, order.fills[first...])
        }
      } catch {
        statistics.quotesRefused += 1
        failed += 1
        // An amendment that fails takes the resting quote of its side with it.
        let place = QuoteKey(group: group, market: side.market.index, side: side.side)
        if let resting = account.quotes[place] { cancelAll([resting], deletion: .clientCancel) }
        if !errors.isEmpty { errors.byte(UInt8(ascii: ",")) }
        errors.raw("{\"instrument_name\":")
        errors.quoted(side.market.spec.name)
        errors.raw(side.side == .buy ? ",\"side\":\"bid\"," : ",\"side\":\"ask\",")
        error.write(errors)
        errors.byte(UInt8(ascii: "}"))
      }
    }
    reply.byte(UInt8(ascii: "{"))
    if isDetailed {
      reply.raw("\"orders\":[")
      reply.append(list.bytes)
      reply.raw("],\"trades\":[")
      reply.append(trades.bytes)
      reply.raw("],")
    } else {
      reply.raw("\"errors_count\":")
      reply.integer(failed)
      reply.byte(UInt8(ascii: ","))
    }
    reply.raw("\"errors\":[")
    reply.append(errors.bytes)
    // Nothing is ever pending here: matching is over before the answer is written.
    if waits {
      reply.raw("]}")
    } else {
      reply.raw(isDetailed ? "],\"pending_requests\":[]}" : "],\"pending_requests_count\":0}")
    }
  }

  /// Whether a side shows more than its group allows: its instrument is refused on both sides then.
  private func exceeds(_ side: QuoteSide, _ account: DeribitAccount, _ group: String, _ maximumE8: Int64?) -> Bool {
    let resting = account.quotes[QuoteKey(group: group, market: side.market.index, side: side.side)]
    let grid = side.market.spec.grid
    guard let maximumE8, let priceE8 = side.priceE8 ?? resting.map({ $0.price.rawValue * grid.tickE8 }),
      let amountE8 = side.amountE8 ?? resting.map({ $0.remaining.rawValue * grid.lotE8 }),
      priceE8 >= grid.tickE8, amountE8 > 0, amountE8 / grid.lotE8 <= Self.mostLots
    else { return false }
    return baseE8(side.market, lots: amountE8 / grid.lotE8, priceE8: priceE8) > maximumE8
  }

  private func quoteSides(_ arguments: DeribitArguments) throws(DeribitFault) -> [QuoteSide] {
    guard let node = arguments.node("quotes"), document[node].kind == .array else {
      throw .invalid("quotes", "must be a list")
    }
    var entries: [Int] = []
    document.forEach(in: node) { entries.append($0) }
    guard entries.count <= 100 else { throw .invalid("quotes", "at most 100 quotes") }
    var sides: [QuoteSide] = []
    for entry in entries {
      guard document[entry].kind == .object else { throw .invalid("quotes", "must be a list of objects") }
      let quote = DeribitArguments(document: document, object: entry)
      let market = try market(quote)
      let setID = try quote.string("quote_set_id")
      for (name, side) in [("bid", Side.buy), ("ask", .sell)] as [(StaticString, Side)] {
        guard let object = quote.node(name) else { continue }
        guard document[object].kind == .object else { throw .invalid("\(name)", "must be an object") }
        let terms = DeribitArguments(document: document, object: object)
        let postOnly = try terms.flag("post_only") ?? false
        sides.append(
          QuoteSide(
            market: market, side: side, setID: setID, priceE8: try terms.decimal("price"),
            amountE8: try terms.decimal("amount"), postOnly: postOnly,
            rejectPostOnly: try terms.flag("reject_post_only") ?? false && postOnly))
      }
    }
    guard Set(sides.map { QuoteKey(group: "", market: $0.market.index, side: $0.side) }).count == sides.count else {
      throw .invalid("quotes", "one quote per instrument and side")
    }
    return sides
  }

  /// Asks before bids where both move up, so that the client's own sides do not meet.
  private func ordered(_ sides: [QuoteSide], _ account: DeribitAccount, _ group: String) -> [QuoteSide] {
    var result: [QuoteSide] = []
    var place = 0
    while place < sides.count {
      let bid = sides[place]
      if bid.side == .buy, place + 1 < sides.count, sides[place + 1].market === bid.market, let priceE8 = bid.priceE8,
        let resting = account.quotes[QuoteKey(group: group, market: bid.market.index, side: .buy)],
        priceE8 > resting.price.rawValue * bid.market.spec.grid.tickE8
      {
        result += [sides[place + 1], bid]
        place += 2
      } else {
        result.append(bid)
        place += 1
      }
    }
    return result
  }

  /// Places, amends or cancels one side.
  ///
  /// - Returns: The order and how many fills it had before; `nil` if there was nothing to do.
  private func quote(
    _ side: QuoteSide, _ account: DeribitAccount, _ session: DeribitSession, _ key: ProtectionKey, _ quoteID: String,
    tooLarge: Set<Int>
  ) throws(DeribitFault) -> (DeribitOrder, Int)? {
    let market = side.market
    let place = QuoteKey(group: key.group ?? "", market: market.index, side: side.side)
    let resting = account.quotes[place]
    // The group may have been frozen by a trade of this very request.
    if account.protection[key]?.isFrozen(now: now) == true { throw .protectionTriggered }
    if side.amountE8 == 0 {
      guard let resting else { return nil }
      withdraw(resting, deletion: .clientCancel)
      tell(resting, [])
      return (resting, resting.fills.count)
    }
    try checkOpen(market)
    let grid = market.spec.grid
    guard let priceE8 = side.priceE8 ?? resting.map({ $0.price.rawValue * grid.tickE8 }),
      let amountE8 = side.amountE8 ?? resting.map({ $0.remaining.rawValue * grid.lotE8 })
    else { throw .orderNotFound }
    let price = try ticks(market, priceE8)
    guard amountE8 > 0, amountE8 % grid.lotE8 == 0 else {
      throw .invalid("amount", "must be a multiple of contract size")
    }
    let amount = QtyLots(rawValue: amountE8 / grid.lotE8)
    guard amount >= grid.minimumLots else { throw .invalid("amount", "must be at least the minimum trade amount") }
    guard amount.rawValue <= Self.mostLots else { throw .invalidAmount }
    if tooLarge.contains(market.index) { throw .invalid("amount", "exceeds max_quote_quantity") }
    try checkBand(market, side.side, price)
    // The amount is what shall rest, beside what has traded already.
    if let resting, resting.price == price, amount <= resting.remaining,
      amount < resting.remaining || resting.quoteSetID != side.setID
    {
      // Keeps its place: smaller, or only another set.
      resting.quoteID = quoteID
      resting.quoteSetID = side.setID
      resting.isReplaced = true
      resting.updateTime = now
      let known = resting.fills.count
      if amount < resting.remaining { change(resting, price: price, amount: resting.filled + amount) }
      tell(resting, resting.fills[known...])
      return (resting, known)
    }
    var terms = DeribitTerms(market: market)
    terms.side = side.side
    terms.price = price
    terms.amount = amount
    terms.postOnly = side.postOnly
    terms.rejectPostOnly = side.rejectPostOnly
    terms.protectionKey = key
    terms.quoteID = quoteID
    terms.quoteSetID = side.setID
    if let resting {
      // Moves: a new price or a larger or identical size goes to the end of its queue, under the same id.
      var moved = price
      if terms.postOnly, crosses(market, side.side, price) {
        if terms.rejectPostOnly { throw .postOnlyReject }
        moved = try behindBest(market, side.side)
      }
      try checkFunds(account, market, side.side, more: amount.rawValue - resting.remaining.rawValue)
      if !terms.postOnly { try keepApart(resting, moved, amount) }
      let total = amount + resting.filled
      resting.quoteID = quoteID
      resting.quoteSetID = side.setID
      resting.postOnly = side.postOnly
      resting.rejectPostOnly = side.rejectPostOnly
      resting.isReplaced = true
      resting.updateTime = now
      let known = resting.fills.count
      // By way of another size, which loses the place even if nothing else has changed.
      if moved == resting.price, amount <= resting.remaining {
        change(resting, price: moved, amount: total + QtyLots(rawValue: 1))
      }
      if resting.state.isLive { change(resting, price: moved, amount: total) }
      tell(resting, resting.fills[known...])
      triggerProtection()
      return (resting, known)
    }
    return (try enter(terms, account, session), 0)
  }

  func cancelQuotes(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    guard !session.isHTTP else { throw .needsWebSocket }
    guard session.cancelsOnDisconnect || account.cancelsOnDisconnect else { throw .needsCancelOnDisconnect }
    var list = account.orders.filter(\.isQuote)
    switch try arguments.requiredString("cancel_type") {
    case "all": break
    case "quote_set_id":
      let id = try arguments.requiredString("quote_set_id")
      list = list.filter { unsafeDowncast($0, to: DeribitOrder.self).quoteSetID == id }
    case "instrument":
      let market = try market(arguments)
      list = list.filter { $0.market === market }
    case "instrument_kind", "kind":
      let kind = try arguments.requiredString("kind")
      list = list.filter { kind == "any" || word(kind: $0.market) == kind }
      if let currency = try arguments.string("currency") {
        list = list.filter { listing($0.market).settlementCurrency == currency }
      }
    case "currency":
      let currency = try arguments.requiredString("currency")
      list = list.filter { listing($0.market).settlementCurrency == currency }
    case "currency_pair":
      let pair = try arguments.requiredString("currency_pair")
      list = list.filter { $0.market.spec.underlying == pair.lowercased() }
    case "delta":
      let low = try arguments.decimal("min_delta", places: 12) ?? .min
      let high = try arguments.decimal("max_delta", places: 12) ?? .max
      list = list.filter { low <= $0.market.deltaE12 && $0.market.deltaE12 <= high }
    default: throw .invalid("cancel_type", "unknown cancel type")
    }
    if try arguments.flag("freeze_quotes") ?? false { account.quotesFrozenUntil = now + 1_000_000_000 }
    cancelAll(list, deletion: .clientBulkCancel)
    writeCancelled(list, isDetailed: try arguments.flag("detailed") ?? false)
  }
}
