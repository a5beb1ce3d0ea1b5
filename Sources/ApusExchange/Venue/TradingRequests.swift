import Apus
import CSupport

/// insert, amend, cancel (reference 6.1 to 6.3; the order of the checks is section 11).
extension SimulatedVenue {
  private enum CollarMode { case ignore, reject, clamp }

  private func collarMode(_ arguments: Arguments, standard: CollarMode) -> CollarMode? {
    switch arguments.string("collar") {
    case .absent: standard
    case .value("ignore"): .ignore
    case .value("reject"): .reject
    case .value("clamp"): .clamp
    default: nil
    }
  }

  /// A price in ticks; 13 for none or one that is not positive, 15 off the grid.
  func price(_ market: Market, _ e8: Int64) -> Result<PriceTicks, FaultError> {
    guard e8 > 0 || market.spec.kind == .combination else { return .failure(FaultError(.invalidPrice)) }
    guard e8 % market.spec.grid.tickE8 == 0 else { return .failure(FaultError(.priceNotAligned)) }
    return .success(PriceTicks(rawValue: e8 / market.spec.grid.tickE8))
  }

  /// The price after the collar; `nil` if it breaches one that rejects.
  private func collared(_ market: Market, _ side: Side, _ price: PriceTicks, _ mode: CollarMode) -> PriceTicks? {
    if mode == .ignore { return price }
    let limit = collarLimit(market, side)
    guard side.isBetter(price, than: limit) else { return price }
    return mode == .clamp ? limit : nil
  }

  func isTooLarge(_ market: Market, _ price: PriceTicks, amountE8: Int64) -> Bool {
    let value = Int128(abs(price.rawValue)) * Int128(market.spec.grid.tickE8) * Int128(amountE8) / 100_000_000
    return amountE8 > 1_000_000_00000000 || value > Int128(configuration.maximumOrderValueE8)
  }

  func direction(_ arguments: Arguments) -> Side? {
    switch arguments.string("direction") {
    case .value("buy"): .buy
    case .value("sell"): .sell
    default: nil
    }
  }

  /// Everything that an insert says, before it meets an instrument.
  private struct InsertTerms {
    var side = Side.buy
    var isMarket = false
    var isImmediate = false
    var amountE8: Int64 = 0
    var priceE8: Int64?
    var clientID: UInt64?
    var label: String?
    var postOnly = false
    var rejectPostOnly = false
    var reduceOnly = false
    var collar = CollarMode.reject
    var preventsSelfTrade = true
    var stopsBeforeFill = false
  }

  /// Reads and cross-checks the parameters.
  private func insertTerms(_ arguments: Arguments, side: Side?) -> Result<InsertTerms, FaultError> {
    let wrong = Result<InsertTerms, FaultError>.failure(FaultError(.invalidRequest))
    var terms = InsertTerms()
    if let side {
      terms.side = side
    } else {
      guard let given = direction(arguments) else { return wrong }
      terms.side = given
    }
    switch arguments.string("order_type") {
    case .absent, .value("limit"): break
    case .value("market"): terms.isMarket = true
    default: return wrong
    }
    var isGoodTillCancelled = false
    switch arguments.string("time_in_force") {
    case .absent: terms.isImmediate = terms.isMarket
    case .value("good_till_cancelled"): isGoodTillCancelled = true
    case .value("immediate_or_cancel"): terms.isImmediate = true
    default: return wrong
    }
    guard case .value(let amount) = arguments.decimal("amount", places: 8) else { return wrong }
    terms.amountE8 = amount
    switch arguments.decimal("price", places: 8) {
    case .absent: break
    case .value(let price): terms.priceE8 = price
    case .wrong: return wrong
    }
    switch arguments.unsigned("client_order_id") {
    case .absent: break
    case .value(let id): terms.clientID = id
    case .wrong: return wrong
    }
    switch arguments.string("label") {
    case .absent: break
    case .value(let label):
      guard Self.isLabel(label) else { return wrong }
      terms.label = label
    case .wrong: return wrong
    }
    guard let postOnly = arguments.flag("post_only"), let rejectPostOnly = arguments.flag("reject_post_only"),
      let reduceOnly = arguments.flag("reduce_only"),
      let collar = collarMode(arguments, standard: terms.isMarket ? .clamp : .reject)
    else { return wrong }
    terms.postOnly = postOnly
    terms.rejectPostOnly = rejectPostOnly
    terms.reduceOnly = reduceOnly
    terms.collar = collar
    guard let prevents = selfTradeLevel(arguments), let stops = selfTradeStop(arguments) else { return wrong }
    terms.preventsSelfTrade = prevents
    terms.stopsBeforeFill = stops
    if rejectPostOnly && !postOnly { return wrong }
    if terms.isMarket && isGoodTillCancelled || terms.isImmediate && postOnly {
      return .failure(FaultError(.invalidTimeInForce))
    }
    if terms.isMarket && collar == .ignore { return .failure(FaultError(.unboundedMarketOrder)) }
    return .success(terms)
  }

  /// Whether `stp_level` asks for prevention; `nil` if it is no such word.
  func selfTradeLevel(_ arguments: Arguments) -> Bool? {
    switch arguments.string("stp_level") {
    case .absent, .value("customer"), .value("account"): true
    case .value("disabled"): false
    default: nil
    }
  }

  /// Whether `stp_action` asks for no fill at all; `nil` if it is no such word.
  func selfTradeStop(_ arguments: Arguments) -> Bool? {
    switch arguments.string("stp_action") {
    case .absent, .value("cancel_aggressive_partial_fill"): false
    case .value("cancel_aggressive_no_fill"): true
    default: nil
    }
  }

  static func isLabel(_ text: String) -> Bool { text.utf8.count <= 64 && text.utf8.allSatisfy(isLabelCharacter) }

  private static func isLabelCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 65...90, 97...122: true
    default: "<>|_-".utf8.contains(byte)
    }
  }

  func insert(_ session: Session, _ account: Account, _ arguments: Arguments, side: Side?) -> VenueFault? {
    let terms: InsertTerms
    switch insertTerms(arguments, side: side) {
    case .success(let good): terms = good
    case .failure(let error): return error.fault
    }
    guard arguments.node("legs") == nil, case .value(let name) = arguments.string("instrument_name") else {
      return .invalidRequest
    }
    guard let market = marketsByName[name] else { return .unknownInstrument }
    if market.isHalted { return .partitionUnavailable }
    if let id = terms.clientID, session.byClientID[id] != nil { return .duplicateOrderID }
    let grid = market.spec.grid

    var limit = collarLimit(market, terms.side)
    if !terms.isMarket {
      guard let priceE8 = terms.priceE8 else { return .invalidPrice }
      switch price(market, priceE8) {
      case .success(let ticks): limit = ticks
      case .failure(let error): return error.fault
      }
    }
    guard terms.amountE8 > 0, terms.amountE8 % grid.lotE8 == 0 else { return .invalidQuantity }
    var amount = QtyLots(rawValue: terms.amountE8 / grid.lotE8)
    guard amount >= grid.minimumLots else { return .invalidQuantity }
    if isTooLarge(market, terms.isMarket ? collarLimit(market, terms.side) : limit, amountE8: terms.amountE8) {
      return .totalOrderSizeTooLarge
    }
    if terms.isMarket {
      if market.best(terms.side.opposite) == nil { return .insufficientLiquidity }
    } else {
      guard let within = collared(market, terms.side, limit, terms.collar) else { return .priceCollarBreach }
      limit = within
    }
    if terms.reduceOnly {
      let reducible = -terms.side.sign * account.positions[market.index].lots
      guard reducible > 0 else { return .reduceOnlyMode }
      amount = min(amount, QtyLots(rawValue: reducible))
    }
    if account.orders.count - account.quoteCount >= configuration.maximumOpenOrders { return .tooManyOpenOrders }

    let order = VenueOrder(
      number: nextOrderNumber, account: account, market: market, session: session, side: terms.side,
      isMarket: terms.isMarket, isImmediate: terms.isImmediate, isReduceOnly: terms.reduceOnly,
      isPersistent: session.timeout == 0, clientID: terms.clientID, label: terms.label, createTime: now, price: limit,
      amount: amount)
    nextOrderNumber += 1
    var flags: MatchFlags = []
    // A market order is bounded by the collar, hence an immediate limit order for the engine.
    if terms.isImmediate { flags.insert(.immediateOrCancel) }
    if terms.postOnly { flags.insert(.postOnly) }
    if terms.rejectPostOnly { flags.insert(.postOnlyReject) }
    if terms.stopsBeforeFill { flags.insert(.selfTradeNoFill) }
    if let fault = enter(order, flags: flags, owner: terms.preventsSelfTrade ? account.owner : 0) {
      return fault
    }
    conclude(order, change: .insert, newFills: order.fills[...])
    return nil
  }

  /// Writes the order as the result and notes it for the feeds.
  private func conclude(_ order: VenueOrder, change: OrderChange, newFills: ArraySlice<Int>) {
    order.write(reply, change: change, newFills: newFills)
    notify(order, change: change, newFills: newFills)
  }

  /// The live order that `order_id` or `client_order_id` names; exactly one must be given.
  private func target(_ session: Session, _ account: Account, _ arguments: Arguments) -> Result<VenueOrder, FaultError>
  {
    let missing = Result<VenueOrder, FaultError>.failure(FaultError(.orderNotFound))
    switch (arguments.string("order_id"), arguments.unsigned("client_order_id")) {
    case (.value(let text), .absent):
      guard !text.isEmpty, text.utf8.count <= 64, text.utf8.allSatisfy(Self.isLabelCharacter) else {
        return .failure(FaultError(.invalidOrderID))
      }
      guard text.utf8.count == 16, let number = UInt64(text, radix: 16), let order = ordersByNumber[number],
        order.account === account
      else { return missing }
      return .success(order)
    case (.absent, .value(let id)):
      guard let order = session.byClientID[id] else { return missing }
      return .success(order)
    default: return .failure(FaultError(.invalidRequest))
    }
  }

  func amend(_ session: Session, _ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard case .value(let priceE8) = arguments.decimal("price", places: 8),
      case .value(let amountE8) = arguments.decimal("amount", places: 8),
      let collar = collarMode(arguments, standard: .reject)
    else { return .invalidRequest }
    let order: VenueOrder
    switch target(session, account, arguments) {
    case .success(let found): order = found
    case .failure(let error): return error.fault
    }
    let market = order.market
    if market.isHalted { return .partitionUnavailable }
    let grid = market.spec.grid
    var limit: PriceTicks
    switch price(market, priceE8) {
    case .success(let ticks): limit = ticks
    case .failure(let error): return error.fault
    }
    guard amountE8 >= 0, amountE8 % grid.lotE8 == 0 else { return .invalidQuantity }
    var amount = QtyLots(rawValue: amountE8 / grid.lotE8)
    if amount > order.filled {
      guard amount >= grid.minimumLots else { return .invalidQuantity }
      if isTooLarge(market, limit, amountE8: amountE8) { return .totalOrderSizeTooLarge }
      guard let within = collared(market, order.side, limit, collar) else { return .priceCollarBreach }
      limit = within
      if order.isReduceOnly {
        let reducible = max(0, -order.side.sign * account.positions[market.index].lots)
        amount = min(amount, order.filled + QtyLots(rawValue: reducible))
      }
    }
    let known = order.fills.count
    change(order, price: limit, amount: amount)
    conclude(order, change: .amend, newFills: order.fills[known...])
    return nil
  }

  func cancel(_ session: Session, _ account: Account, _ arguments: Arguments) -> VenueFault? {
    switch target(session, account, arguments) {
    case .success(let order):
      withdraw(order, deletion: .clientCancel)
      conclude(order, change: .cancel, newFills: [])
      return nil
    case .failure(let error): return error.fault
    }
  }
}

/// A fault as the failure of a `Result`.
struct FaultError: Error {
  let fault: VenueFault
  init(_ fault: VenueFault) { self.fault = fault }
}
