import Apus
import CSupport

/// mass_quote and cancel_mass_quote (reference 6.5, 8.4).
///
/// An entry is replaced as a whole: first what changes leaves the book on both sides, then the new quotes enter. A
/// quote whose price and amount are unchanged stays where it is. Quotes of a side that an entry does not name stay.
/// What the reference leaves open is decided so: without any group in the session the whole request gets error 23,
/// without the instrument's own group, or with an exhausted one, each of its sides does; a level that is refused is not
/// placed while the other levels of its ladder are; an object that is refused leaves its side as it was.
extension SimulatedVenue {
  static let maximumQuotes = 100
  static let maximumQuoteLevels = 10

  /// What goes for all quotes of a request.
  private struct QuoteTerms {
    var label: String?
    var flags: MatchFlags = []
    var preventsSelfTrade = true
  }

  /// One level as it was sent.
  private struct QuoteLevel {
    var priceE8: Int64
    var amountE8: Int64
  }

  /// One side of an entry.
  private struct QuoteSide {
    var side: Side
    var isLadder: Bool
    var levels: [QuoteLevel]
  }

  /// What became of a request, and where its errors are collected.
  private struct QuoteTally {
    var done: Int64 = 0
    var failed: Int64 = 0
    let errors = TextBuffer(capacity: 256)

    mutating func refuse(_ fault: VenueFault, _ side: Side, priceE8: Int64?) {
      failed += 1
      if !errors.isEmpty { errors.byte(UInt8(ascii: ",")) }
      errors.raw("{\"code\":")
      errors.integer(fault.rawValue)
      errors.raw(",\"message\":\"")
      errors.raw(fault.message)
      errors.raw(side == .buy ? "\",\"side\":\"bid\"" : "\",\"side\":\"ask\"")
      if let priceE8 {
        errors.raw(",\"price\":")
        errors.e8(priceE8)
      }
      errors.byte(UInt8(ascii: "}"))
    }

    /// Every level of a side at once; a side without levels counts as one.
    mutating func refuse(_ fault: VenueFault, _ side: QuoteSide) {
      if side.levels.isEmpty { refuse(fault, side.side, priceE8: nil) }
      for level in side.levels { refuse(fault, side.side, priceE8: level.priceE8) }
    }
  }

  /// How many messages a mass quote counts as, by `VenueConfiguration.massQuoteCost`.
  func messageCost(massQuote arguments: Arguments) -> Int {
    guard configuration.massQuoteCost != .perRequest, let list = arguments.node("quotes"),
      document[list].kind == .array
    else { return 1 }
    var quotes = 0
    var sides = 0
    document.forEach(in: list) { entry in
      quotes += 1
      if document.member("b", of: entry) != nil { sides += 1 }
      if document.member("a", of: entry) != nil { sides += 1 }
    }
    return max(1, configuration.massQuoteCost == .perQuote ? quotes : sides)
  }

  func massQuote(_ session: Session, _ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard configuration.allowsMassQuotes else { return .massQuotesNotEnabled }
    guard session.timeout > 0 else { return .persistentSession }
    guard let terms = quoteTerms(arguments), let entries = quoteEntries(arguments) else { return .invalidRequest }
    if session.protection.isEmpty { return .protectionNotSet }
    var tally = QuoteTally()
    for entry in entries { replace(session, account, entry.name, entry.sides, terms, &tally) }
    statistics.massQuotes += 1
    statistics.quotesDone += UInt64(tally.done)
    statistics.quotesRefused += UInt64(tally.failed)
    reply.raw("{\"n_success\":")
    reply.integer(tally.done)
    reply.raw(",\"n_fail\":")
    reply.integer(tally.failed)
    reply.raw(",\"errors\":[")
    reply.append(tally.errors.bytes)
    reply.raw("]}")
    return nil
  }

  func cancelMassQuote(_ account: Account, _ arguments: Arguments) -> VenueFault? {
    var product: String?
    switch arguments.string("product") {
    case .absent: break
    case .value(let name):
      guard isListed(product: name) else { return .unknownProduct }
      product = name
    case .wrong: return .invalidRequest
    }
    for session in account.sessions {
      cancelAll(quotes(of: session, product), deletion: .clientBulkCancel)
      resetProtection(session, product, reason: .clientCancel)
    }
    reply.raw("null")
    return nil
  }

  // MARK: reading

  private func quoteTerms(_ arguments: Arguments) -> QuoteTerms? {
    var terms = QuoteTerms()
    switch arguments.string("label") {
    case .absent: break
    case .value(let label):
      guard Self.isLabel(label) else { return nil }
      terms.label = label
    case .wrong: return nil
    }
    guard let postOnly = arguments.flag("post_only"), let rejects = arguments.flag("reject_post_only"),
      postOnly || !rejects
    else { return nil }
    if postOnly { terms.flags.insert(.postOnly) }
    if rejects { terms.flags.insert(.postOnlyReject) }
    guard let level = selfTradeLevel(arguments), let stopsBeforeFill = selfTradeStop(arguments) else { return nil }
    terms.preventsSelfTrade = level
    if stopsBeforeFill { terms.flags.insert(.selfTradeNoFill) }
    return terms
  }

  /// All entries in their order; `nil` if any is malformed or there are too many.
  private func quoteEntries(_ arguments: Arguments) -> [(name: String, sides: [QuoteSide])]? {
    guard let list = arguments.node("quotes"), document[list].kind == .array else { return nil }
    var entries: [(name: String, sides: [QuoteSide])] = []
    var isGood = true
    document.forEach(in: list) { entry in
      guard isGood, let name = document.member("i", of: entry).flatMap({ document.string($0) }) else {
        isGood = false
        return
      }
      var sides: [QuoteSide] = []
      for (key, side) in [("b", Side.buy), ("a", Side.sell)] as [(StaticString, Side)] {
        guard let node = document.member(key, of: entry), document[node].kind != .null else { continue }
        guard let read = quoteSide(node, side) else {
          isGood = false
          return
        }
        sides.append(read)
      }
      entries.append((name, sides))
    }
    return isGood && entries.count <= Self.maximumQuotes ? entries : nil
  }

  private func quoteSide(_ node: Int, _ side: Side) -> QuoteSide? {
    func level(_ price: Int?, _ amount: Int?) -> QuoteLevel? {
      guard let price, let amount, let priceE8 = document.decimal(price, places: 8),
        let amountE8 = document.decimal(amount, places: 8)
      else { return nil }
      return QuoteLevel(priceE8: priceE8, amountE8: amountE8)
    }
    switch document[node].kind {
    case .object:
      guard let only = level(document.member("p", of: node), document.member("a", of: node)) else { return nil }
      return QuoteSide(side: side, isLadder: false, levels: [only])
    case .array:
      var levels: [QuoteLevel] = []
      var isGood = true
      document.forEach(in: node) { pair in
        var parts: [Int] = []
        if document[pair].kind == .array { document.forEach(in: pair) { parts.append($0) } }
        if parts.count == 2, let read = level(parts[0], parts[1]) { levels.append(read) } else { isGood = false }
      }
      guard isGood, levels.count <= Self.maximumQuoteLevels else { return nil }
      return QuoteSide(side: side, isLadder: true, levels: levels)
    default: return nil
    }
  }

  // MARK: doing

  /// One entry: both sides leave, then both sides enter, then the protection is looked at.
  private func replace(
    _ session: Session, _ account: Account, _ name: String, _ sides: [QuoteSide], _ terms: QuoteTerms,
    _ tally: inout QuoteTally
  ) {
    var fault: VenueFault?
    let market = marketsByName[name]
    let group = market.flatMap { session.protection[$0.spec.product] }
    if market == nil {
      fault = .unknownInstrument
    } else if market?.isHalted == true {
      fault = .partitionUnavailable
    } else if group == nil || group?.state == .exhausted {
      fault = .protectionNotSet
    }
    guard fault == nil, let market, let group else {
      for side in sides { tally.refuse(fault ?? .protectionNotSet, side) }
      return
    }
    var entering: [VenueOrder] = []
    for side in sides {
      prepare(session, account, market, group, side, terms, &tally, &entering)
    }
    for order in entering {
      if let fault = enter(order, flags: terms.flags, owner: terms.preventsSelfTrade ? account.owner : 0) {
        tally.done -= 1
        tally.refuse(fault, order.side, priceE8: order.price.rawValue * market.spec.grid.tickE8)
      } else {
        notify(order, change: .insert, newFills: order.fills[...])
      }
    }
    evaluateProtection()
  }

  /// Takes away what one side no longer wants, and lists what it wants instead.
  private func prepare(
    _ session: Session, _ account: Account, _ market: Market, _ group: ProtectionGroup, _ side: QuoteSide,
    _ terms: QuoteTerms, _ tally: inout QuoteTally, _ entering: inout [VenueOrder]
  ) {
    let standing = session.quotes[Session.quoteKey(market, side.side)] ?? []
    var kept: [VenueOrder] = []
    var wanted: [(price: PriceTicks, amount: QtyLots)] = []
    var seen: [Int64] = []
    for level in side.levels {
      let fault = seen.contains(level.priceE8) ? VenueFault.invalidRequest : faultOf(level, market, group)
      seen.append(level.priceE8)
      if let fault {
        tally.refuse(fault, side.side, priceE8: level.priceE8)
        continue
      }
      tally.done += 1
      if level.amountE8 == 0 { continue }
      let price = PriceTicks(rawValue: level.priceE8 / market.spec.grid.tickE8)
      let amount = QtyLots(rawValue: level.amountE8 / market.spec.grid.lotE8)
      if let same = standing.first(where: { $0.price == price && quotedAmount($0) == amount }) {
        kept.append(same)
      } else {
        wanted.append((price, amount))
      }
    }
    if side.levels.isEmpty { tally.done += 1 }
    // A refused object changes nothing; a ladder is the whole side, whatever became of its levels.
    if !side.isLadder, faultOf(side.levels[0], market, group) != nil { return }
    let leaving = standing.filter { order in !kept.contains { $0 === order } }
    cancelAll(leaving, deletion: wanted.isEmpty ? .clientCancel : .replaced)
    for (price, amount) in wanted {
      let order = VenueOrder(
        number: nextOrderNumber, account: account, market: market, session: session, side: side.side, isMarket: false,
        isImmediate: false, isReduceOnly: false, isPersistent: false, clientID: nil, label: terms.label,
        createTime: now, price: price, amount: amount)
      order.isQuote = true
      nextOrderNumber += 1
      entering.append(order)
    }
  }

  /// The amount that a new one is compared with.
  private func quotedAmount(_ order: VenueOrder) -> QtyLots {
    configuration.comparesRemainingQuote ? order.remaining : order.amount
  }

  private func faultOf(_ level: QuoteLevel, _ market: Market, _ group: ProtectionGroup) -> VenueFault? {
    let grid = market.spec.grid
    // A level that is deleted need not have a price that makes sense.
    if level.amountE8 == 0 { return nil }
    switch price(market, level.priceE8) {
    case .success(let ticks):
      guard level.amountE8 > 0, level.amountE8 % grid.lotE8 == 0,
        level.amountE8 / grid.lotE8 >= grid.minimumLots.rawValue
      else { return .invalidQuantity }
      if level.amountE8 > group.quoteE8 { return .quoteTooLarge }
      return isTooLarge(market, ticks, amountE8: level.amountE8) ? .totalOrderSizeTooLarge : nil
    case .failure(let error): return error.fault
    }
  }
}
