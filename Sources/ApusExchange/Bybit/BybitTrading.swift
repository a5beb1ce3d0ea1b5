import Apus
import CSupport

/// An order as it was asked for, read and checked against its instrument.
struct BybitTerms {
  var market: Market
  var side = Side.buy
  var isMarket = false
  var price = PriceTicks(rawValue: 0)
  var amount = QtyLots.zero
  var lifetime = BybitOrder.Lifetime.goodTillCancelled
  var selfMatch = BybitConfiguration.SelfMatch.none
  var isReduceOnly = false
  var link = ""
}

/// Create, amend, cancel (9, 10).
extension SimulatedBybit {
  // MARK: reading

  func market(_ arguments: BybitArguments) throws(BybitRefusal) -> Market {
    let name = try arguments.string("symbol") ?? ""
    guard let market = marketsByName[name] else { throw .symbol(name) }
    return market
  }

  /// A decimal of the request, 10⁻⁸; `nil` if it is missing or empty.
  private func decimal(
    _ arguments: BybitArguments, _ name: StaticString, _ refusal: BybitRefusal
  ) throws(BybitRefusal) -> Int64? {
    guard let node = arguments.node(name) else { return nil }
    if document[node].kind == .string, document.bytes(node).isEmpty { return nil }
    do throws(BybitRefusal) { return try arguments.decimal(name) } catch { throw refusal }
  }

  private func lots(
    _ market: Market, _ arguments: BybitArguments, isMarket: Bool
  ) throws(BybitRefusal) -> QtyLots? {
    guard let e8 = try decimal(arguments, "qty", .quantity) else { return nil }
    let grid = market.spec.grid
    let most = isMarket ? listing(market).maximumMarketLots : listing(market).maximumLots
    guard e8 >= 0, e8 % grid.lotE8 == 0, e8 / grid.lotE8 <= most else { throw .quantity }
    return QtyLots(rawValue: e8 / grid.lotE8)
  }

  private func ticks(_ market: Market, _ arguments: BybitArguments) throws(BybitRefusal) -> PriceTicks? {
    guard let e8 = try decimal(arguments, "price", .price) else { return nil }
    let tickE8 = market.spec.grid.tickE8
    guard e8 > 0, e8 % tickE8 == 0, e8 / tickE8 <= Self.highestTick else { throw .price }
    return PriceTicks(rawValue: e8 / tickE8)
  }

  /// `maxPrice` of every instrument, in ticks.
  static let highestTick: Int64 = 19_999_998

  /// What nobody here does: conditional orders, attached exits, prices made by the venue.
  private static let unsupported: [StaticString] = [
    "triggerPrice", "takeProfit", "stopLoss", "tpLimitPrice", "slLimitPrice", "slippageTolerance", "bboSideType",
    "orderIv",
  ]

  private func terms(_ arguments: BybitArguments) throws(BybitRefusal) -> BybitTerms {
    var terms = BybitTerms(market: try market(arguments))
    let market = terms.market
    switch try arguments.string("side") {
    case "Buy": terms.side = .buy
    case "Sell": terms.side = .sell
    default: throw .invalid("side", "invalid")
    }
    switch try arguments.string("orderType") {
    case "Limit": break
    case "Market": terms.isMarket = true
    default: throw .invalid("orderType", "invalid")
    }
    for name in Self.unsupported {
      guard let node = arguments.node(name) else { continue }
      let isNone = document.bytes(node).isEmpty || document.equals(node, "0")
      if !isNone { throw .invalid("\(name)", "not supported here") }
    }
    if let mode = try arguments.integer("positionIdx"), mode != 0 { throw .positionMode }
    terms.isReduceOnly = try arguments.flag("reduceOnly") ?? false
    guard let lots = try lots(market, arguments, isMarket: terms.isMarket) else { throw .quantity }
    terms.amount = lots
    if lots == .zero {
      // Closes the position.
      guard terms.isReduceOnly, try arguments.flag("closeOnTrigger") ?? false else { throw .quantity }
    } else if lots < market.spec.grid.minimumLots {
      throw .quantity
    }
    if !terms.isMarket {
      guard let price = try ticks(market, arguments) else { throw .price }
      terms.price = price
    }
    let word = try arguments.string("timeInForce") ?? ""
    if word == "RPI" { throw BybitRefusal(110_119, "Only RPI users are allowed to place RPI orders.") }
    guard let lifetime = word.isEmpty ? .goodTillCancelled : BybitOrder.Lifetime(rawValue: word) else {
      throw .invalid("timeInForce", "invalid")
    }
    terms.lifetime = terms.isMarket ? .immediateOrCancel : lifetime
    let selfMatch = try arguments.string("smpType") ?? ""
    guard let rule = selfMatch.isEmpty ? settings.selfMatch : BybitConfiguration.SelfMatch(rawValue: selfMatch) else {
      throw .invalid("smpType", "invalid")
    }
    terms.selfMatch = rule
    terms.link = try arguments.string("orderLinkId") ?? ""
    guard terms.link.utf8.count <= settings.maximumLinkID else {
      throw BybitRefusal(10_001, "order link id is longer than \(settings.maximumLinkID)")
    }
    let isPlain = terms.link.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x2D: true
      default: false
      }
    }
    guard isPlain else { throw .invalid("orderLinkId", "invalid") }
    return terms
  }

  /// A price within the band: moved to it, or refused (10.6).
  private func banded(
    _ account: BybitAccount, _ market: Market, _ side: Side, _ price: PriceTicks
  ) throws(BybitRefusal) -> PriceTicks {
    let limit = bandLimit(market, side)
    guard side.isBetter(price, than: limit) else { return price }
    if account.movesToBand { return limit }
    throw BybitRefusal(settings.bandRefusal, "Order price is out of permissible range.")
  }

  private func checkValue(_ market: Market, _ lots: QtyLots, _ price: PriceTicks) throws(BybitRefusal) {
    let value = market.valueE8(lots: lots.rawValue, priceE8: price.rawValue * market.spec.grid.tickE8)
    guard value >= listing(market).minimumValueE8 else { throw .belowMinimum }
  }

  // MARK: create

  /// Puts an order into the book, or lets it end at once. What becomes of it is told to who listens.
  ///
  /// - Throws: Why it was refused; it has left no trace then.
  func create(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) -> BybitOrder {
    var terms = try terms(arguments)
    let market = terms.market
    if market.isHalted { throw .notTrading }
    if !terms.link.isEmpty, account.byLink[terms.link] != nil { throw .duplicateLink }
    if terms.isReduceOnly {
      let reducible = -terms.side.sign * account.positions[market.index].lots
      guard reducible > 0 else { throw .reduceOnly }
      terms.amount =
        terms.amount == .zero ? QtyLots(rawValue: reducible) : min(terms.amount, QtyLots(rawValue: reducible))
    }
    terms.price =
      terms.isMarket ? bandLimit(market, terms.side) : try banded(account, market, terms.side, terms.price)
    if !terms.isReduceOnly {
      try checkValue(market, terms.amount, terms.price)
      try checkFunds(account, market, terms.side, more: terms.amount.rawValue)
    }
    guard account.orders.count(where: { $0.market === market }) < settings.maximumOpenOrders else {
      throw .tooManyOrders
    }
    let order = BybitOrder(
      number: nextOrderNumber, id: uuid(.order, nextOrderNumber), account: account, market: market, side: terms.side,
      isMarket: terms.isMarket, lifetime: terms.lifetime, selfMatch: terms.selfMatch,
      isReduceOnly: terms.isReduceOnly, link: terms.link, now: now, price: terms.price, amount: terms.amount)
    try enter(order)
    nextOrderNumber += 1
    account.accepted.append(order)
    account.byID[order.id] = order
    if !order.link.isEmpty { account.byLink[order.link] = order }
    tell(order, order.fills[...])
    return order
  }

  private func enter(_ order: BybitOrder) throws(BybitRefusal) {
    let market = order.market
    if order.lifetime == .postOnly, crosses(market, order.side, order.price) {
      return end(order, "EC_PostOnlyWillTakeLiquidity")
    }
    if order.lifetime == .fillOrKill,
      available(market, order.side, order.price, order.amount) < order.amount.rawValue
    {
      return end(order, "EC_NoEnoughQtyToFill")
    }
    var owner = order.account.owner
    let own = met(order.account, market, order.side, order.price, order.amount)
    if !own.isEmpty, order.selfMatch == .none { owner = 0 }
    separate(order, own)
    if let fault = enter(order, flags: order.isImmediate ? .immediateOrCancel : [], owner: owner) {
      switch fault {
      case .invalidPrice: throw .price
      case .tooManyOpenOrders: throw .engineFull
      default: throw .quantity
      }
    }
    cancelBoth(order, own)
  }

  /// An order that never comes to rest.
  private func end(_ order: BybitOrder, _ reason: StaticString) {
    order.state = .cancelled
    order.deletion = .immediateCancel
    order.reason = reason
    order.remaining = .zero
    order.closeTime = now
    noteEnd(order)
  }

  /// Before an order meets others of its account: those go, if it says so (16).
  private func separate(_ order: BybitOrder, _ own: [VenueOrder]) {
    guard !own.isEmpty, order.selfMatch != .none else { return }
    if order.selfMatch == .maker {
      for other in own { unsafeDowncast(other, to: BybitOrder.self).counterID = order.id }
      cancelAll(own, deletion: .selfTradePrevention)
    } else {
      order.counterID = unsafeDowncast(own[0], to: BybitOrder.self).id
    }
  }

  /// It has met one of its account's: with `CancelBoth` that one goes too.
  private func cancelBoth(_ order: BybitOrder, _ own: [VenueOrder]) {
    guard order.deletion == .selfTradePrevention else {
      order.counterID = ""
      return
    }
    guard order.selfMatch == .both, let other = own.first, other.state.isLive else { return }
    unsafeDowncast(other, to: BybitOrder.self).counterID = order.id
    cancelAll([other], deletion: .selfTradePrevention)
  }

  // MARK: amend and cancel

  /// The order that a request names, live or ended.
  private func find(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) -> BybitOrder? {
    let market = try market(arguments)
    var order: BybitOrder?
    if let id = try arguments.string("orderId"), !id.isEmpty {
      order = account.byID[id]
    } else if let link = try arguments.string("orderLinkId"), !link.isEmpty {
      order = account.byLink[link]
    } else {
      throw .invalid("orderId", "and orderLinkId are both empty")
    }
    return order?.market === market ? order : nil
  }

  func amend(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) -> BybitOrder {
    guard let order = try find(account, arguments), order.state.isLive else { throw .tooLateToReplace }
    let market = order.market
    if market.isHalted { throw .notTrading }
    var amount = try lots(market, arguments, isMarket: false) ?? order.amount
    var price = try ticks(market, arguments) ?? order.price
    guard amount > .zero else { throw .quantity }
    guard amount != order.amount || price != order.price else { throw .unchanged }
    guard amount > order.filled else { throw .belowFilled }
    price = try banded(account, market, order.side, price)
    if order.isReduceOnly {
      let reducible = max(0, -order.side.sign * account.positions[market.index].lots)
      amount = min(amount, order.filled + QtyLots(rawValue: reducible))
    } else {
      try checkValue(market, amount, price)
      try checkFunds(account, market, order.side, more: amount.rawValue - order.amount.rawValue)
    }
    change(order, to: price, amount)
    return order
  }

  private func change(_ order: BybitOrder, to price: PriceTicks, _ amount: QtyLots) {
    order.updateTime = now
    if order.lifetime == .postOnly, crosses(order.market, order.side, price) {
      switch settings.crossingAmend {
      case .cancelled:
        order.reason = "EC_PostOnlyWillTakeLiquidity"
        withdraw(order, deletion: .immediateCancel)
        tell(order, [])
      case .refused:
        order.reason = "EC_PostOnlyWillTakeLiquidity"
        tell(order, [])
        order.reason = nil
      }
      return
    }
    let own = met(order.account, order.market, order.side, price, amount - order.filled)
    separate(order, own)
    let known = order.fills.count
    change(order, price: price, amount: amount)
    cancelBoth(order, own)
    tell(order, order.fills[known...])
  }

  func cancel(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) -> BybitOrder {
    guard let order = try find(account, arguments) else { throw .tooLateToCancel }
    if order.state.isLive {
      withdraw(order, deletion: .clientCancel)
      tell(order, [])
      return order
    }
    guard order.state == .filled, faults.lateCancels > 0 else { throw .tooLateToCancel }
    faults.lateCancels -= 1
    order.cancelType = "CancelByUser"
    order.reason = "EC_OrigClOrdIDDoesNotExist"
    tell(order, [])
    order.cancelType = nil
    order.reason = nil
    return order
  }

  /// Up to 500 orders on one instrument, on those of a base coin, or on all.
  func cancelAll(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) -> [BybitOrder] {
    var fits: (Market) -> Bool = { _ in true }
    if let name = try arguments.string("symbol"), !name.isEmpty {
      let market = try market(arguments)
      fits = { $0 === market }
    } else if let coin = try arguments.string("baseCoin"), !coin.isEmpty {
      fits = { self.listing($0).baseCoin == coin }
    } else if let coin = try arguments.string("settleCoin"), !coin.isEmpty {
      fits = { _ in coin == "USDT" }
    } else {
      throw .invalid("symbol", "settleCoin or baseCoin must be given")
    }
    let list = account.orders.filter { fits($0.market) }.prefix(500)
    cancelAll(Array(list), deletion: .clientBulkCancel)
    return list.map { unsafeDowncast($0, to: BybitOrder.self) }
  }
}
