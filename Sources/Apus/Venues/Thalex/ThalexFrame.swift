import CSupport

/// What only Thalex's order frames have.
extension OrderFrame {
  @inline(__always)
  mutating func collar(_ collar: ThalexCollar) {
    switch collar {
    case .venueDefault: break
    case .ignore: put(",\"collar\":\"ignore\"")
    case .reject: put(",\"collar\":\"reject\"")
    case .clamp: put(",\"collar\":\"clamp\"")
    }
  }

  @inline(never)
  mutating func selfTrade(_ selfTrade: ThalexSelfTrade) {
    switch selfTrade.level {
    case .venueDefault: break
    case .customer: put(",\"stp_level\":\"customer\"")
    case .account: put(",\"stp_level\":\"account\"")
    case .disabled: put(",\"stp_level\":\"disabled\"")
    }
    switch selfTrade.action {
    case .venueDefault: break
    case .partialFill: put(",\"stp_action\":\"cancel_aggressive_partial_fill\"")
    case .noFill: put(",\"stp_action\":\"cancel_aggressive_no_fill\"")
    }
  }

  /// One side of a mass quote: `[[price,amount],…]` behind `name`.
  @inline(__always)
  mutating func levels(
    _ name: StaticString, _ quotes: UnsafeBufferPointer<Quote>, _ tick: DecimalUnit, _ lot: DecimalUnit
  ) {
    put(name)
    for quote in quotes {
      put("[")
      decimal(quote.price.rawValue, tick)
      put(",")
      decimal(quote.qty.rawValue, lot)
      put("],")
    }
    if !quotes.isEmpty { takeBack(1) }
    put("]")
  }

  /// One side of a mass quote: `{"p":price,"a":amount}` behind `name`, or `[]` for none.
  @inline(__always)
  mutating func level(
    _ name: StaticString, _ quotes: UnsafeBufferPointer<Quote>, _ tick: DecimalUnit, _ lot: DecimalUnit
  ) {
    put(name)
    guard let quote = quotes.first else {
      put("[]")
      return
    }
    put("{\"p\":")
    decimal(quote.price.rawValue, tick)
    put(",\"a\":")
    decimal(quote.qty.rawValue, lot)
    put("}")
  }
}
