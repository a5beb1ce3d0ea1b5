import Apus
import CSupport

/// An order as it was asked for, read and checked against its instrument.
struct DeribitTerms {
  var market: Market
  var side = Side.buy
  var price = PriceTicks(rawValue: 0)
  var amount = QtyLots.zero
  var lifetime = DeribitOrder.Lifetime.goodTillCancelled
  var originalType: String?
  var postOnly = false
  var rejectPostOnly = false
  var reduceOnly = false
  var label = ""
  var protectionKey: ProtectionKey?
  var quoteID: String?
  var quoteSetID: String?
  /// Milliseconds since the epoch.
  var validUntil: Int64?
}

/// What an edit asks for.
struct DeribitEdit {
  var price: PriceTicks
  var amount: QtyLots
  var postOnly: Bool
  var rejectPostOnly: Bool
  var validUntil: Int64?
}

/// buy, sell, edit (reference 10.1, 10.2).
extension DeribitVenue {
  // MARK: reading

  func market(_ arguments: DeribitArguments, _ name: StaticString = "instrument_name") throws(DeribitFault) -> Market {
    guard let market = marketsByName[try arguments.requiredString(name)] else {
      throw .invalid("\(name)", "instrument not found")
    }
    return market
  }

  /// No order is larger.
  static let mostLots: Int64 = 1_000_000_000

  /// `amount`, or `contracts` times the contract size, in lots; `nil` without either.
  func lots(_ market: Market, _ arguments: DeribitArguments) throws(DeribitFault) -> QtyLots? {
    var amountE8 = try arguments.decimal("amount")
    if let contractsE8 = try arguments.decimal("contracts") {
      let (high, low) = contractsE8.multipliedFullWidth(by: listing(market).contractSizeE8)
      guard high == (contractsE8 < 0 ? -1 : 0) || abs(high) < 50_000_000 else { throw .invalidAmount }
      let (sameE8, rest) = Int64(100_000_000).dividingFullWidth((high, low))
      guard rest == 0, amountE8 == nil || amountE8 == sameE8 else {
        throw .invalid("contracts", "must agree with the amount")
      }
      amountE8 = sameE8
    }
    guard let amountE8 else { return nil }
    let grid = market.spec.grid
    guard amountE8 > 0 else { throw .invalidAmount }
    guard amountE8 % grid.lotE8 == 0 else { throw .invalid("amount", "must be a multiple of contract size") }
    let lots = QtyLots(rawValue: amountE8 / grid.lotE8)
    guard lots >= grid.minimumLots else { throw .invalid("amount", "must be at least the minimum trade amount") }
    guard lots.rawValue <= Self.mostLots else { throw .invalidAmount }
    return lots
  }

  func ticks(_ market: Market, _ priceE8: Int64) throws(DeribitFault) -> PriceTicks {
    let tickE8 = market.spec.grid.tickE8
    guard priceE8 > 0 else { throw .invalidPrice }
    guard priceE8 % tickE8 == 0, (priceE8 / tickE8) % step(market, at: priceE8 / tickE8) == 0 else {
      throw .invalid("price", "must conform to tick size")
    }
    return PriceTicks(rawValue: priceE8 / tickE8)
  }

  /// The highest price of a buy, the lowest of a sell, on the grid.
  func bandLimit(_ market: Market, _ side: Side) -> PriceTicks {
    let limit = collarLimit(market, side).rawValue
    let step = step(market, at: limit)
    if step == 1 { return PriceTicks(rawValue: max(1, limit)) }
    return PriceTicks(rawValue: max(step, side == .buy ? limit / step * step : (limit + step - 1) / step * step))
  }

  func checkBand(_ market: Market, _ side: Side, _ price: PriceTicks) throws(DeribitFault) {
    let limit = bandLimit(market, side)
    guard side.isBetter(price, than: limit) else { return }
    let text = TextBuffer(capacity: 64)
    text.e8Pointed(limit.rawValue * market.spec.grid.tickE8)
    let shown = String(decoding: text.bytes, as: UTF8.self)
    throw side == .buy ? DeribitFault(10007, "price_too_high \(shown)") : DeribitFault(10005, "price_too_low \(shown)")
  }

  func checkTime(_ validUntil: Int64?) throws(DeribitFault) {
    if let validUntil, wallClock / 1_000_000 >= validUntil { throw .timedOut }
  }

  func checkOpen(_ market: Market) throws(DeribitFault) {
    if !market.isListed || market.isHalted { throw .bookClosed }
  }

  /// One tick inside the other side's best, for an order that must not take.
  func behindBest(_ market: Market, _ side: Side) throws(DeribitFault) -> PriceTicks {
    guard let best = market.best(side.opposite)?.price.rawValue else { throw .postOnlyImpossible }
    let price =
      side == .buy ? best - step(market, at: best - 1) : best + step(market, at: best + 1)
    guard price > 0 else { throw .postOnlyImpossible }
    return PriceTicks(rawValue: price)
  }

  private func terms(
    _ account: DeribitAccount, _ arguments: DeribitArguments, _ side: Side
  ) throws(DeribitFault) -> DeribitTerms {
    var terms = DeribitTerms(market: try market(arguments))
    let market = terms.market
    terms.side = side
    switch try arguments.string("time_in_force") ?? "good_til_cancelled" {
    case let word:
      guard let lifetime = DeribitOrder.Lifetime(rawValue: word) else {
        throw .invalid("time_in_force", "unknown time in force")
      }
      terms.lifetime = lifetime
    }
    terms.label = try arguments.string("label") ?? ""
    guard terms.label.utf8.count <= 64 else { throw .invalid("label", "must be at most 64 characters long") }
    guard let amount = try lots(market, arguments) else { throw .invalid("amount", "value required") }
    terms.amount = amount
    terms.postOnly = try arguments.flag("post_only") ?? false
    terms.rejectPostOnly = try arguments.flag("reject_post_only") ?? false
    if !terms.postOnly { terms.rejectPostOnly = false }
    terms.reduceOnly = try arguments.flag("reduce_only") ?? false
    terms.validUntil = try arguments.integer("valid_until")
    for name in ["trigger_price", "trigger", "trigger_offset", "linked_order_type", "otoco_config", "advanced"]
      as [StaticString]
    where arguments.has(name) { throw .invalid("\(name)", "not supported here") }
    let isRestless = terms.lifetime == .immediateOrCancel || terms.lifetime == .fillOrKill
    if terms.postOnly, isRestless { throw DeribitFault(11055, "post_only_not_allowed") }
    switch try arguments.string("type") ?? "limit" {
    case "limit":
      guard let priceE8 = try arguments.decimal("price") else { throw .invalid("price", "value required") }
      terms.price = try ticks(market, priceE8)
    case "market":
      if isRestless { throw .invalid("time_in_force", "not allowed with a market order") }
      if terms.postOnly { throw DeribitFault(11055, "post_only_not_allowed") }
      terms.originalType = "market"
      terms.price = bandLimit(market, side)
    case "market_limit":
      guard let best = market.best(side.opposite) else { throw DeribitFault(10011, "price_not_allowed") }
      terms.originalType = "market_limit"
      terms.price = best.price
    default: throw .invalid("type", "order type not supported here")
    }
    if try arguments.flag("mmp") ?? false {
      terms.protectionKey = ProtectionKey(index: market.spec.underlying, group: nil)
    }
    return terms
  }

  // MARK: placing

  func place(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments, _ side: Side
  ) throws(DeribitFault) {
    let terms = try terms(account, arguments, side)
    try checkOpen(terms.market)
    try checkTime(terms.validUntil)
    try checkBand(terms.market, side, terms.price)
    if hold(
      session, account, .place(terms), takes: !terms.postOnly && crosses(terms.market, side, terms.price), terms.market)
    {
      return
    }
    let order = try enter(terms, account, session)
    writeOutcome(order, from: 0)
  }

  func closePosition(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let market = try market(arguments)
    let lots = account.positions[market.index].lots
    guard lots != 0 else { throw .reduceOnly }
    var terms = DeribitTerms(market: market)
    terms.side = lots > 0 ? .sell : .buy
    terms.amount = QtyLots(rawValue: abs(lots))
    terms.reduceOnly = true
    switch try arguments.requiredString("type") {
    case "limit":
      guard let priceE8 = try arguments.decimal("price") else { throw .invalid("price", "value required") }
      terms.price = try ticks(market, priceE8)
    case "market":
      terms.originalType = "market"
      terms.price = bandLimit(market, terms.side)
    default: throw .invalid("type", "must be limit or market")
    }
    try checkOpen(market)
    try checkBand(market, terms.side, terms.price)
    writeOutcome(try enter(terms, account, session), from: 0)
  }

  /// `{"order":…,"trades":[…]}`, and the same to who listens; trades from the given place in the order's fills.
  func writeOutcome(_ order: DeribitOrder, from first: Int) {
    reply.raw("{\"order\":")
    writeOrder(reply, order)
    reply.raw(",\"trades\":[")
    writeTrades(reply, order.owner, order.fills[first...])
    reply.raw("]}")
  }

  /// Puts an order that has passed the checks of its form into the book. It is told to who listens.
  ///
  /// - Throws: Why it was refused; it has left no trace then.
  func enter(
    _ given: DeribitTerms, _ account: DeribitAccount, _ session: DeribitSession?
  ) throws(DeribitFault) -> DeribitOrder {
    var terms = given
    let market = terms.market
    if let key = terms.protectionKey {
      guard let group = account.protection[key] else { throw .protectionRequired }
      if group.isFrozen(now: now) { throw .protectionTriggered }
    }
    if terms.reduceOnly {
      let reducible = -terms.side.sign * account.positions[market.index].lots
      guard reducible > 0 else { throw .reduceOnly }
      terms.amount = min(terms.amount, QtyLots(rawValue: reducible))
    }
    if terms.quoteID == nil, account.orders.count - account.quoteCount >= settings.maximumOpenOrders {
      throw DeribitFault(10014, "pme_max_future_open_orders \(settings.maximumOpenOrders)")
    }
    if terms.postOnly, crosses(market, terms.side, terms.price) {
      if terms.rejectPostOnly { throw .postOnlyReject }
      terms.price = try behindBest(market, terms.side)
    }
    if !terms.reduceOnly { try checkFunds(account, market, terms.side, more: terms.amount.rawValue) }
    let order = DeribitOrder(
      number: nextOrderNumber, account: account, market: market, connection: session?.isHTTP == true ? nil : session,
      side: terms.side, lifetime: terms.lifetime, isReduceOnly: terms.reduceOnly, label: terms.label, now: now,
      price: terms.price, amount: terms.amount)
    nextOrderNumber += 1 + UInt64(random.below(1000))
    order.postOnly = terms.postOnly
    order.rejectPostOnly = terms.rejectPostOnly
    order.originalType = terms.originalType
    order.protectionKey = terms.protectionKey
    order.quoteID = terms.quoteID
    order.quoteSetID = terms.quoteSetID
    order.isQuote = terms.quoteID != nil
    var flags: MatchFlags = []
    if order.isImmediate { flags.insert(.immediateOrCancel) }
    if !terms.postOnly {
      if account.selfTradeMode == .cancelMaker {
        cancelAll(met(account, market, terms.side, terms.price, terms.amount), deletion: .selfTradePrevention)
      } else {
        flags.insert(.selfTradeNoFill)
      }
    }
    if terms.lifetime == .fillOrKill, available(market, terms.side, terms.price, terms.amount) < terms.amount.rawValue {
      order.state = .cancelled
      order.deletion = .immediateCancel
      order.remaining = .zero
      noteEnd(order)
      tell(order, [])
      return order
    }
    order.connection?.orders.append(order)
    if let fault = enter(order, flags: flags, owner: account.owner) {
      order.connection?.orders.removeAll { $0 === order }
      switch fault {
      case .invalidPrice: throw .invalidPrice
      case .tooManyOpenOrders: throw .queueFull
      default: throw .invalidAmount
      }
    }
    if order.deletion == .selfTradePrevention, order.filled == .zero, !settings.cancelsOverlap {
      account.closed.removeAll { $0 === order }
      closedByNumber[order.number] = nil
      throw .overlap
    }
    if order.isQuote, order.state.isLive, let group = order.protectionKey?.group {
      account.quotes[QuoteKey(group: group, market: market.index, side: order.side)] = order
    }
    tell(order, order.fills[...])
    // Its own trades may have been too many for its protection.
    triggerProtection()
    return order
  }

  /// Sees to it that a changed order meets none of its owner's: they are cancelled, or it is refused.
  func keepApart(_ order: DeribitOrder, _ price: PriceTicks, _ amount: QtyLots) throws(DeribitFault) {
    let own = met(order.owner, order.market, order.side, price, amount)
    guard !own.isEmpty else { return }
    if order.owner.selfTradeMode == .cancelMaker {
      cancelAll(own, deletion: .selfTradePrevention)
    } else if !settings.cancelsOverlap {
      throw .overlap
    }
  }

  /// Whether the worst case of an account with `more` lots on a side is covered by its equity.
  func checkFunds(_ account: DeribitAccount, _ market: Market, _ side: Side, more: Int64) throws(DeribitFault) {
    guard more > 0 else { return }
    let position = account.positions[market.index]
    // What can be counted, whatever margin there is.
    let most = Int64.max / 64 / max(market.spec.grid.lotE8, 100_000_000)
    guard abs(position.lots) + position.openBuys + position.openSells + more <= most else {
      throw DeribitFault(10018, "non_pme_max_future_position_size \(most)")
    }
    guard settings.checksMargin else { return }
    // What makes the worst case no worse is always allowed.
    let before = max(abs(position.lots + position.openBuys), abs(position.lots - position.openSells))
    let after =
      side == .buy ? abs(position.lots + position.openBuys + more) : abs(position.lots - position.openSells - more)
    guard after > before else { return }
    let currency = listing(market).settlementCurrency
    let totals = totals(account, currency)
    let added = marginE8(market, lots: after) - marginE8(market, lots: before)
    guard totals.equity >= totals.initialMargin + added else { throw .notEnoughFunds }
  }

  // MARK: speed bumps (reference 19)

  /// Holds a request back if it would take in an instrument that delays takers.
  private func hold(
    _ session: DeribitSession, _ account: DeribitAccount, _ action: HeldRequest.Action, takes: Bool, _ market: Market
  ) -> Bool {
    let delay = listing(market).takerDelay
    guard delay > 0, takes else { return false }
    let request = HeldRequest(
      session: session, account: account, action: action, id: requestID, received: requestTime)
    session.held.append(request)
    timers.set(.held(request), at: now + delay)
    isDeferred = true
    return true
  }

  /// The bump is over: the request meets the book as it is now.
  func release(_ request: HeldRequest) {
    guard !request.isDone, request.session.isOpen else { return }
    conclude(request) { () throws(DeribitFault) in
      switch request.action {
      case .place(let terms):
        try self.checkOpen(terms.market)
        try self.checkTime(terms.validUntil)
        self.writeOutcome(try self.enter(terms, request.account, request.session), from: 0)
      case .edit(let order, let edit):
        guard order.state.isLive else { throw .notOpen }
        try self.checkOpen(order.market)
        try self.checkTime(edit.validUntil)
        try self.change(order, edit)
      }
    }
  }

  /// Answers a request that was held back.
  private func conclude(_ request: HeldRequest, _ body: () throws(DeribitFault) -> Void) {
    request.isDone = true
    request.session.held.removeAll { $0 === request }
    requestID = request.id
    requestTime = request.received
    beginReply()
    let mark = reply.count
    do throws(DeribitFault) {
      reply.raw("\"result\":")
      try body()
    } catch {
      reply.truncate(to: mark)
      error.write(reply)
    }
    endReply()
    settle(requester: request.session)
  }

  /// Fails what a connection's cancel finds still waiting (reference 10.3). The answers go out at once, before that of the
  /// cancel.
  func purgeHeld(_ session: DeribitSession, _ fits: (HeldRequest) -> Bool) {
    let list = session.held.filter(fits)
    guard !list.isEmpty else { return }
    // The reply under way is put aside.
    let kept = Array(reply.bytes)
    let (id, time) = (requestID, requestTime)
    for request in list { conclude(request) { () throws(DeribitFault) in throw .cancelledByUser } }
    (requestID, requestTime) = (id, time)
    reply.clear()
    reply.append(kept)
  }

  // MARK: editing

  func edit(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let order = try order(account, try arguments.requiredString("order_id"))
    try edit(order, session, account, arguments)
  }

  func editByLabel(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let market = try market(arguments)
    let label = try arguments.string("label") ?? ""
    let found = account.orders.filter { $0.market === market && $0.label == label && !$0.isQuote }
    guard let order = found.first else { throw .orderNotFound }
    guard found.count == 1 else { throw .labelNotUnique }
    try edit(unsafeDowncast(order, to: DeribitOrder.self), session, account, arguments)
  }

  /// An order of the account by its id, live or ended.
  func order(_ account: DeribitAccount, _ id: String) throws(DeribitFault) -> DeribitOrder {
    let digits = id.split(separator: "-").last.map(String.init) ?? ""
    guard let number = UInt64(digits) else { throw DeribitFault(10025, "invalid_order_id") }
    let live = ordersByNumber[number].map { unsafeDowncast($0, to: DeribitOrder.self) }
    guard let order = live ?? closedByNumber[number], order.account === account,
      orderID(number, order.market) == id
    else { throw .orderNotFound }
    return order
  }

  private func edit(
    _ order: DeribitOrder, _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    if arguments.has("mmp") { throw .invalid("mmp", "cannot be changed") }
    if order.isQuote { throw .orderNotFound }
    guard order.state.isLive else { throw .notOpen }
    let market = order.market
    try checkOpen(market)
    let amount = try lots(market, arguments) ?? order.amount
    guard amount > order.filled else { throw .invalidAmount }
    let price = try arguments.decimal("price").map { (e8) throws(DeribitFault) in try ticks(market, e8) } ?? order.price
    let edit = DeribitEdit(
      price: price, amount: amount, postOnly: try arguments.flag("post_only") ?? false,
      rejectPostOnly: try arguments.flag("reject_post_only") ?? false, validUntil: try arguments.integer("valid_until"))
    try checkTime(edit.validUntil)
    try checkBand(market, order.side, price)
    // An edit that is still waiting is superseded.
    purgeEdits(of: order)
    if hold(session, account, .edit(order, edit), takes: !edit.postOnly && crosses(market, order.side, price), market) {
      return
    }
    try change(order, edit)
  }

  private func purgeEdits(of order: DeribitOrder) {
    for session in order.owner.connections {
      let list = session.held.filter { if case .edit(let other, _) = $0.action { other === order } else { false } }
      guard !list.isEmpty else { continue }
      let kept = Array(reply.bytes)
      let (id, time) = (requestID, requestTime)
      for request in list { conclude(request) { () throws(DeribitFault) in throw .replaced } }
      (requestID, requestTime) = (id, time)
      reply.clear()
      reply.append(kept)
    }
  }

  /// Gives a live order its new price and size, and writes the outcome.
  func change(_ order: DeribitOrder, _ edit: DeribitEdit) throws(DeribitFault) {
    let market = order.market
    let account = order.owner
    var price = edit.price
    if edit.postOnly, crosses(market, order.side, price) {
      if edit.rejectPostOnly {
        order.cancelReason = "edit_post_only_reject"
        withdraw(order, deletion: .clientCancel)
        tell(order, [])
        writeOutcome(order, from: order.fills.count)
        return
      }
      price = try behindBest(market, order.side)
    }
    if !order.isReduceOnly {
      try checkFunds(account, market, order.side, more: edit.amount.rawValue - order.amount.rawValue)
    }
    var amount = edit.amount
    if order.isReduceOnly {
      let reducible = max(0, -order.side.sign * account.positions[market.index].lots)
      amount = min(amount, order.filled + QtyLots(rawValue: reducible))
    }
    if !edit.postOnly { try keepApart(order, price, amount - order.filled) }
    order.postOnly = edit.postOnly
    order.rejectPostOnly = edit.postOnly && edit.rejectPostOnly
    order.isReplaced = true
    order.updateTime = now
    let known = order.fills.count
    change(order, price: price, amount: amount)
    tell(order, order.fills[known...])
    triggerProtection()
    writeOutcome(order, from: known)
  }
}
