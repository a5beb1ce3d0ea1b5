import Apus
import CSupport

/// A stop, stop-limit, bracket or trailing stop that waits for its price (reference 6.6).
struct ConditionalOrder {
  enum Target { case last, mark, index }
  enum Status { case created, active, converted, rejected, cancelled }

  var number: UInt64
  var market: Market
  var side: Side
  var amountE8: Int64
  var stopE8: Int64
  var limitE8: Int64?
  var bracketE8: Int64?
  /// In 10⁻⁸.
  var callbackE8: Int64?
  var target = Target.mark
  var label: String?
  var isReduceOnly = false
  var preventsSelfTrade = true
  var status = Status.created
  var createTime: Nanoseconds
  var updateTime: Nanoseconds
  var convertTime: Nanoseconds?
  var convertedOrder: UInt64?
  var rejection: StaticString?

  /// Buys trigger at or above the stop, or at or below the bracket; sells mirrored. A trailing stop first follows.
  mutating func isTriggered(at priceE8: Int64) -> Bool {
    if let callbackE8 {
      let distance = Decimal.scaled(priceE8, callbackE8, over: 100_000_000)
      stopE8 = side == .buy ? min(stopE8, priceE8 + distance) : max(stopE8, priceE8 - distance)
    }
    let isBuy = side == .buy
    if isBuy ? priceE8 >= stopE8 : priceE8 <= stopE8 { return true }
    guard let bracketE8 else { return false }
    return isBuy ? priceE8 <= bracketE8 : priceE8 >= bracketE8
  }

  func write(_ out: TextBuffer, clock: VenueClock) {
    func price(_ name: StaticString, _ e8: Int64?) {
      guard let e8 else { return }
      out.raw(name)
      out.e8Pointed(e8)
    }
    out.raw("{\"order_id\":\"")
    out.hex(number, digits: 16)
    out.raw("\",\"instrument_name\":\"")
    out.append(market.name)
    out.raw(side == .buy ? "\",\"direction\":\"buy\"" : "\",\"direction\":\"sell\"")
    price(",\"amount\":", amountE8)
    price(",\"stop_price\":", stopE8)
    price(",\"limit_price\":", limitE8)
    price(",\"bracket_price\":", bracketE8)
    price(",\"trailing_stop_callback_rate\":", callbackE8)
    if let label {
      out.raw(",\"label\":")
      out.quoted(label)
    }
    out.raw(",\"status\":\"")
    switch status {
    case .created: out.raw("created")
    case .active: out.raw("active")
    case .converted: out.raw("converted")
    case .rejected: out.raw("rejected")
    case .cancelled: out.raw("cancelled")
    }
    out.raw("\",\"create_time\":")
    out.seconds(clock.wall(createTime))
    out.raw(",\"update_time\":")
    out.seconds(clock.wall(updateTime))
    if let convertTime {
      out.raw(",\"convert_time\":")
      out.seconds(clock.wall(convertTime))
    }
    if let convertedOrder {
      out.raw(",\"converted_order_id\":\"")
      out.hex(convertedOrder, digits: 16)
      out.byte(UInt8(ascii: "\""))
    }
    if let rejection {
      out.raw(",\"reject_reason\":\"")
      out.raw(rejection)
      out.byte(UInt8(ascii: "\""))
    }
    out.raw(",\"reduce_only\":")
    out.bool(isReduceOnly)
    switch target {
    case .last: out.raw(",\"target\":\"last\"}")
    case .mark: out.raw(",\"target\":\"mark\"}")
    case .index: out.raw(",\"target\":\"index\"}")
    }
  }
}

/// Conditional orders, with simple triggers: prices are looked at with every mark, not with every trade.
extension SimulatedVenue {
  func createConditional(_ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard case .value(let name) = arguments.string("instrument_name"),
      case .value(let amountE8) = arguments.decimal("amount", places: 8),
      case .value(let stopE8) = arguments.decimal("stop_price", places: 8), let side = direction(arguments),
      let reduceOnly = arguments.flag("reduce_only"), let prevents = selfTradeLevel(arguments),
      selfTradeStop(arguments) != nil
    else { return .invalidRequest }
    guard let market = marketsByName[name] else { return .unknownInstrument }
    var order = ConditionalOrder(
      number: nextConditional, market: market, side: side, amountE8: amountE8, stopE8: stopE8, createTime: now,
      updateTime: now)
    order.isReduceOnly = reduceOnly
    order.preventsSelfTrade = prevents
    for (key, path) in [
      ("limit_price", \ConditionalOrder.limitE8), ("bracket_price", \.bracketE8),
      ("trailing_stop_callback_rate", \.callbackE8),
    ] as [(StaticString, WritableKeyPath<ConditionalOrder, Int64?>)] {
      switch arguments.decimal(key, places: 8) {
      case .absent: break
      case .value(let value): order[keyPath: path] = value
      case .wrong: return .invalidRequest
      }
    }
    switch arguments.string("target") {
    case .absent, .value("mark"): break
    case .value("last"): order.target = .last
    case .value("index"): order.target = .index
    default: return .invalidRequest
    }
    switch arguments.string("label") {
    case .absent: break
    case .value(let label) where Self.isLabel(label): order.label = label
    default: return .invalidRequest
    }
    // A limit, a bracket and a callback exclude one another.
    guard [order.limitE8, order.bracketE8, order.callbackE8].filter({ $0 != nil }).count <= 1,
      order.callbackE8.map({ $0 > 0 && $0 < 100_000_000 }) ?? true
    else { return .invalidRequest }
    for e8 in [stopE8, order.limitE8, order.bracketE8] {
      guard let e8 else { continue }
      if case .failure(let error) = price(market, e8) { return error.fault }
    }
    let grid = market.spec.grid
    guard amountE8 > 0, amountE8 % grid.lotE8 == 0, amountE8 / grid.lotE8 >= grid.minimumLots.rawValue else {
      return .invalidQuantity
    }
    // Bounded by its limit, or by the price at which it becomes a market order.
    let bound = PriceTicks(rawValue: (order.limitE8 ?? stopE8) / grid.tickE8)
    if isTooLarge(market, bound, amountE8: amountE8) { return .totalOrderSizeTooLarge }
    nextConditional += 1
    order.write(reply, clock: clock)
    order.status = .active
    account.conditionals.append(order)
    changedConditionals(account)
    return nil
  }

  func cancelConditional(_ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard case .value(let text) = arguments.string("order_id") else { return .invalidRequest }
    guard text.utf8.count == 16, let number = UInt64(text, radix: 16),
      let place = account.conditionals.firstIndex(where: { $0.number == number && $0.status == .active })
    else { return .orderNotFound }
    end(account, place, .cancelled)
    reply.raw("null")
    return nil
  }

  func cancelAllConditionals(_ account: Account) {
    for place in account.conditionals.indices where account.conditionals[place].status == .active {
      end(account, place, .cancelled)
    }
    reply.raw("null")
  }

  private func end(_ account: Account, _ place: Int, _ status: ConditionalOrder.Status) {
    account.conditionals[place].status = status
    account.conditionals[place].updateTime = now
    changedConditionals(account)
  }

  /// An instrument is gone, and with it what waited for its price.
  func cancelConditionals(_ market: Market) {
    for account in accountList {
      for place in account.conditionals.indices
      where account.conditionals[place].market === market && account.conditionals[place].status == .active {
        end(account, place, .cancelled)
      }
    }
  }

  func writeConditionals(_ out: TextBuffer, _ account: Account, activeOnly: Bool) {
    out.byte(UInt8(ascii: "["))
    var isFirst = true
    for order in account.conditionals where !activeOnly || order.status == .active {
      if !isFirst { out.byte(UInt8(ascii: ",")) }
      isFirst = false
      order.write(out, clock: clock)
    }
    out.byte(UInt8(ascii: "]"))
  }

  /// The full list every time, past ones included.
  func writeConditionalNotification(_ account: Account) {
    message.clear()
    message.raw("{\"channel_name\":\"account.conditional_orders\",\"notification\":")
    writeConditionals(message, account, activeOnly: false)
    message.byte(UInt8(ascii: "}"))
  }

  private func changedConditionals(_ account: Account) {
    if !conditionalAccounts.contains(where: { $0 === account }) { conditionalAccounts.append(account) }
  }

  func flushConditionals() {
    guard !conditionalAccounts.isEmpty else { return }
    for account in conditionalAccounts {
      let listeners = listeners(account, .conditionals)
      guard !listeners.isEmpty else { continue }
      writeConditionalNotification(account)
      for session in listeners { outbox.post(session.id, message) }
    }
    conditionalAccounts.removeAll()
  }

  /// Looks at every waiting order; called with the marks.
  func triggerConditionals() {
    for account in accountList {
      for place in account.conditionals.indices where account.conditionals[place].status == .active {
        let market = account.conditionals[place].market
        let priceE8: Int64? =
          switch account.conditionals[place].target {
          case .mark: market.markE8
          case .index: market.indexE8
          case .last: market.lastPrice.map { $0.rawValue * market.spec.grid.tickE8 }
          }
        guard let priceE8, !market.isHalted, account.conditionals[place].isTriggered(at: priceE8) else { continue }
        convert(account, place)
      }
    }
  }

  /// Becomes a market order, bounded by the collar, or a limit order.
  private func convert(_ account: Account, _ place: Int) {
    let conditional = account.conditionals[place]
    let market = conditional.market
    var amount = QtyLots(rawValue: conditional.amountE8 / market.spec.grid.lotE8)
    if conditional.isReduceOnly {
      let reducible = -conditional.side.sign * account.positions[market.index].lots
      guard reducible > 0 else {
        account.conditionals[place].rejection = VenueFault.reduceOnlyMode.message
        end(account, place, .rejected)
        return
      }
      amount = min(amount, QtyLots(rawValue: reducible))
    }
    let limit =
      conditional.limitE8.map { PriceTicks(rawValue: $0 / market.spec.grid.tickE8) }
      ?? collarLimit(market, conditional.side)
    let order = VenueOrder(
      number: nextOrderNumber, account: account, market: market, session: nil, side: conditional.side,
      isMarket: conditional.limitE8 == nil, isImmediate: conditional.limitE8 == nil,
      isReduceOnly: conditional.isReduceOnly, isPersistent: true, clientID: nil, label: conditional.label,
      createTime: now, price: limit, amount: amount)
    order.conditional = conditional.number
    nextOrderNumber += 1
    let flags: MatchFlags = conditional.limitE8 == nil ? .immediateOrCancel : []
    if let fault = enter(order, flags: flags, owner: conditional.preventsSelfTrade ? account.owner : 0) {
      account.conditionals[place].rejection = fault.message
      end(account, place, .rejected)
      return
    }
    notify(order, change: .insert, newFills: order.fills[...])
    account.conditionals[place].convertTime = now
    account.conditionals[place].convertedOrder = order.number
    end(account, place, .converted)
  }
}
