public import CSupport

/// An order with everything that the venue offers, for what a quoting lane does not send: orders that take, market
/// orders, combinations (protocol reference 6.1).
public struct ThalexOrder {
  /// `insert` states the side as a member, `trade` calls `private/buy` or `private/sell`.
  public enum Method: Sendable { case insert, trade }

  public var method: Method = .insert
  public var side: Side
  /// Empty for an outright. A combination takes 2 to 4 distinct instruments with quantities other than 0, and is
  /// always immediate-or-cancel; price and size are on the grid of its first leg.
  public var legs: [(instrument: InstrumentIndex, quantity: Int64)] = []
  /// Not used by combinations.
  public var instrument: InstrumentIndex
  public var qty: QtyLots
  /// `nil` for a market order.
  public var price: PriceTicks?
  /// 1 ... `RequestID.operandLimit`; `nil` for none.
  public var clientID: UInt64?
  public var isLabelled = false
  public var options: ThalexInsertOptions = []
  public var collar = ThalexCollar.venueDefault
  public var selfTrade = ThalexSelfTrade.venueDefault

  public init(_ side: Side, _ instrument: InstrumentIndex, qty: QtyLots, price: PriceTicks?) {
    self.side = side
    self.instrument = instrument
    self.qty = qty
    self.price = price
  }
}

/// An order that waits for a price (protocol reference 6.6).
public struct ThalexConditionalOrder: Sendable {
  /// Which price triggers it.
  public enum Target: Sendable { case venueDefault, last, mark, index }

  public var side: Side
  public var instrument: InstrumentIndex
  public var qty: QtyLots
  public var stopPrice: PriceTicks
  /// Makes a stop-limit order of it.
  public var limitPrice: PriceTicks?
  /// Makes a bracket order of it.
  public var bracketPrice: PriceTicks?
  public var target = Target.venueDefault
  public var isReduceOnly = false
  public var selfTrade = ThalexSelfTrade.venueDefault

  public init(_ side: Side, _ instrument: InstrumentIndex, qty: QtyLots, stopPrice: PriceTicks) {
    self.side = side
    self.instrument = instrument
    self.qty = qty
    self.stopPrice = stopPrice
  }
}

/// Which instruments a list is asked for (protocol reference 4.4).
public struct ThalexInstrumentFilter: Sendable {
  public enum Kind: Sendable { case futures, options, futureRolls }
  public var underlying: String?
  public var kind: Kind?
  /// `2026-04-24`.
  public var expiryDate: String?

  public init(underlying: String? = nil, kind: Kind? = nil, expiryDate: String? = nil) {
    self.underlying = underlying
    self.kind = kind
    self.expiryDate = expiryDate
  }
}

/// Requests outside the way from a tick to an order. All are cold, and return 0 if the text does not fit or an
/// instrument is not set. Replies to ids that `RequestID` does not make come as replies to an unknown request.
extension ThalexEncoder {
  /// `private/insert`, `private/buy` or `private/sell`; with `id` of `RequestID.insert(clientID)` the reply is
  /// read as an order's.
  public func order(into memory: UnsafeMutableRawBufferPointer, id: UInt64, _ order: ThalexOrder) -> Int {
    guard let grid = grid(order.legs.first?.instrument ?? order.instrument) else { return 0 }
    guard order.legs.isEmpty || (2...4).contains(order.legs.count) else { return 0 }
    var isKnown = true
    let method: StaticString =
      order.method == .insert ? "private/insert" : order.side == .buy ? "private/buy" : "private/sell"
    let count = request(memory, method, id) { text in
      if order.method == .insert { text.member("direction", order.side == .buy ? "buy" : "sell") }
      if order.legs.isEmpty {
        isKnown = instrument(order.instrument, into: &text)
      } else {
        isKnown = legs(order.legs, into: &text)
      }
      text.member("amount", order.qty.rawValue, stepE8: grid.lotE8)
      if let price = order.price {
        text.member("price", price.rawValue, stepE8: grid.tickE8)
      } else {
        text.member("order_type", "market")
      }
      if let clientID = order.clientID { text.member("client_order_id", Int64(clientID)) }
      if order.isLabelled { label(into: &text) }
      text.member("post_only", order.options.contains(.postOnly))
      text.member("reject_post_only", order.options.contains(.rejectPostOnly))
      text.member("reduce_only", order.options.contains(.reduceOnly))
      if order.options.contains(.immediateOrCancel) || !order.legs.isEmpty {
        text.member("time_in_force", "immediate_or_cancel")
      }
      collar(order.collar, into: &text)
      selfTrade(order.selfTrade, into: &text)
    }
    return isKnown ? count : 0
  }

  /// `private/amend` by the venue's order id; `qty` is the new total, executed part included.
  ///
  /// - Parameter operand: Stands for the order in the request id, `RequestID.amend(operand)`.
  public func amend(
    into memory: UnsafeMutableRawBufferPointer, venueID: VenueID, operand: UInt64, instrument: InstrumentIndex,
    price: PriceTicks, qty: QtyLots, collar: ThalexCollar = .venueDefault
  ) -> Int {
    guard let grid = grid(instrument), venueID.count > 0 else { return 0 }
    return request(memory, "private/amend", RequestID.amend(operand)) { text in
      text.member("order_id", Self.string(venueID))
      text.member("price", price.rawValue, stepE8: grid.tickE8)
      text.member("amount", qty.rawValue, stepE8: grid.lotE8)
      self.collar(collar, into: &text)
    }
  }

  public func createConditional(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, _ order: ThalexConditionalOrder
  ) -> Int {
    guard let grid = grid(order.instrument) else { return 0 }
    return request(memory, "private/create_conditional_order", id) { text in
      text.member("direction", order.side == .buy ? "buy" : "sell")
      _ = instrument(order.instrument, into: &text)
      text.member("amount", order.qty.rawValue, stepE8: grid.lotE8)
      text.member("stop_price", order.stopPrice.rawValue, stepE8: grid.tickE8)
      if let limit = order.limitPrice { text.member("limit_price", limit.rawValue, stepE8: grid.tickE8) }
      if let bracket = order.bracketPrice { text.member("bracket_price", bracket.rawValue, stepE8: grid.tickE8) }
      switch order.target {
      case .venueDefault: break
      case .last: text.member("target", "last")
      case .mark: text.member("target", "mark")
      case .index: text.member("target", "index")
      }
      text.member("reduce_only", order.isReduceOnly)
      selfTrade(order.selfTrade, into: &text)
    }
  }

  public func cancelConditional(into memory: UnsafeMutableRawBufferPointer, id: UInt64, orderID: String) -> Int {
    request(memory, "private/cancel_conditional_order", id) { $0.member("order_id", orderID) }
  }

  public func cancelAllConditional(into memory: UnsafeMutableRawBufferPointer, id: UInt64) -> Int {
    request(memory, "private/cancel_all_conditional_orders", id) { _ in }
  }

  public func instruments(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, filter: ThalexInstrumentFilter
  ) -> Int {
    request(memory, "public/instruments", id) { text in
      if let underlying = filter.underlying { text.member("underlying", underlying) }
      switch filter.kind {
      case nil: break
      case .futures: text.member("instrument_type", "futures")
      case .options: text.member("instrument_type", "options")
      case .futureRolls: text.member("instrument_type", "future_rolls")
      }
      if let date = filter.expiryDate { text.member("expiry_date", date) }
    }
  }

  /// Also of an instrument that is not set: this is how its grid is learnt.
  public func instrument(into memory: UnsafeMutableRawBufferPointer, id: UInt64, name: String) -> Int {
    request(memory, "public/instrument", id) { $0.member("instrument_name", name) }
  }

  public func ticker(into memory: UnsafeMutableRawBufferPointer, id: UInt64, name: String) -> Int {
    request(memory, "public/ticker", id) { $0.member("instrument_name", name) }
  }

  /// At most 5 levels a side.
  public func book(into memory: UnsafeMutableRawBufferPointer, id: UInt64, name: String) -> Int {
    request(memory, "public/book", id) { $0.member("instrument_name", name) }
  }

  public func index(into memory: UnsafeMutableRawBufferPointer, id: UInt64, underlying: String) -> Int {
    request(memory, "public/index", id) { $0.member("underlying", underlying) }
  }

  public func accountSummary(into memory: UnsafeMutableRawBufferPointer, id: UInt64) -> Int {
    request(memory, "private/account_summary", id) { _ in }
  }

  public func requiredMargin(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, instrument: InstrumentIndex, price: PriceTicks, qty: QtyLots
  ) -> Int {
    guard let grid = grid(instrument) else { return 0 }
    return request(memory, "private/required_margin_for_order", id) { text in
      _ = self.instrument(instrument, into: &text)
      text.member("price", price.rawValue, stepE8: grid.tickE8)
      text.member("amount", qty.rawValue, stepE8: grid.lotE8)
    }
  }

  /// `private/mm_rfq_insert_quote`; the grid is the request's own, so price and size are given in 10⁻⁸.
  public func quoteRequest(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, rfq: String, side: Side, priceE8: Int64, amountE8: Int64
  ) -> Int {
    request(memory, "private/mm_rfq_insert_quote", id) { text in
      text.member("rfq_id", rfq)
      text.member("direction", side == .buy ? "buy" : "sell")
      text.member("price", priceE8, stepE8: 1)
      text.member("amount", amountE8, stepE8: 1)
    }
  }

  private func legs(_ legs: [(instrument: InstrumentIndex, quantity: Int64)], into text: inout RequestText) -> Bool {
    var isKnown = true
    text.name("legs")
    text.append("[")
    for (position, leg) in legs.enumerated() {
      text.append(position > 0 ? ",{" : "{")
      text.beginObject()
      isKnown = instrument(leg.instrument, into: &text) && leg.quantity != 0 && isKnown
      text.member("quantity", leg.quantity)
      text.append("}")
    }
    text.append("]")
    return isKnown
  }

  private func collar(_ collar: ThalexCollar, into text: inout RequestText) {
    switch collar {
    case .venueDefault: break
    case .ignore: text.member("collar", "ignore")
    case .reject: text.member("collar", "reject")
    case .clamp: text.member("collar", "clamp")
    }
  }

  private func selfTrade(_ selfTrade: ThalexSelfTrade, into text: inout RequestText) {
    switch selfTrade.level {
    case .venueDefault: break
    case .customer: text.member("stp_level", "customer")
    case .account: text.member("stp_level", "account")
    case .disabled: text.member("stp_level", "disabled")
    }
    switch selfTrade.action {
    case .venueDefault: break
    case .partialFill: text.member("stp_action", "cancel_aggressive_partial_fill")
    case .noFill: text.member("stp_action", "cancel_aggressive_no_fill")
    }
  }

  private static func string(_ id: VenueID) -> String {
    var id = id
    let count = Int(id.count)
    return withUnsafeBytes(of: &id) { String(decoding: $0.prefix(count), as: UTF8.self) }
  }
}
