import CSupport

/// Mass quotes and what protects them (protocol, sections 12 and 13).
extension DeribitEncoder {
  /// All of a mass quote but its entries, with room to spare.
  private static let headBytes = 512

  /// `private/mass_quote`: replaces each side that is given, by one level, or takes it away if it has none. Allocates
  /// nothing.
  ///
  /// `quote_set_id` is this life's label with the serial, and comes back in all that the venue says of the order until
  /// another mass quote has changed it; `quote_id` rises over the lives of the engine too, as the venue wants it.
  ///
  /// - Parameter serial: 1 ... `RequestID.operandLimit`, rising.
  /// - Returns: 0 if it does not fit, an instrument is not known, or a side has more than one level.
  func massQuote(
    into memory: UnsafeMutableRawBufferPointer, serial: UInt64, quotes: UnsafeBufferPointer<MassQuote>
  ) -> Int {
    let rules = MassQuoteRules.deribit
    let most = Self.headBytes + quotes.count * (MassQuoteRules.entryBytes + 2 * rules.levelBytes)
    guard var text = OrderFrame(memory, most) else { return 0 }
    text.put("{\"jsonrpc\":\"2.0\",\"id\":")
    _ = text.id(serial, RequestID.massQuoteOperation)
    text.put(quoteHead)
    text.put(digits: serial)
    text.put("\",\"quotes\":[")
    for place in 0..<quotes.count {
      let entry = quotes[place]
      guard Int(entry.instrument) < capacity, (entry.bids?.count ?? 0) <= rules.levels,
        (entry.asks?.count ?? 0) <= rules.levels
      else { return 0 }
      let template = templates + Int(entry.instrument)
      guard template.pointee.quote.count > 0 else { return 0 }
      if place > 0 { text.put(",") }
      text.put(template.pointee.quote)
      text.tag(serial)
      if let bids = entry.bids {
        text.put("\",\"bid\":{\"")
        side(bids, template, &text)
      }
      if let asks = entry.asks {
        // A literal each: of one that is chosen the length would not be known.
        if entry.bids == nil { text.put("\",\"ask\":{\"") } else { text.put(",\"ask\":{\"") }
        side(asks, template, &text)
      }
      if entry.bids == nil, entry.asks == nil { text.put("\"") }
      text.put("}")
    }
    text.put("]}}")
    return text.count
  }

  @inline(__always)
  private func side(
    _ levels: UnsafeBufferPointer<Quote>, _ template: UnsafeMutablePointer<Template>, _ text: inout OrderFrame
  ) {
    guard levels.count > 0 else {
      text.put("amount\":0}")
      return
    }
    text.put("price\":")
    text.decimal(levels[0].price.rawValue, template.pointee.tick)
    text.put(",\"amount\":")
    text.decimal(levels[0].qty.rawValue, template.pointee.lot)
    // A crossing price is moved behind the opposite best: an errored change would take the standing quote away.
    text.put(",\"post_only\":true}")
  }

  /// `private/set_mmp_config` of this engine's group: the window begins with the first trade in it, and a group that is used
  /// up stays so until it is reset. Both amounts are coins, and are rounded to the four decimals that the venue takes. Cold.
  func setProtection(
    into memory: UnsafeMutableRawBufferPointer, product: ProductIndex, index: String, settings: ProtectionSettings,
    serial: UInt64
  ) -> Int {
    let rules = MassQuoteRules.deribit
    let step = rules.protectionStepE8
    return request(memory, RequestID.protection(product, serial: serial), "private/set_mmp_config") {
      $0.member("index_name", index)
      $0.member("mmp_group", group)
      $0.member("interval", (min(settings.window, rules.longestWindow) + 999_999_999) / 1_000_000_000)
      $0.member("frozen_time", 0)
      $0.member("quantity_limit", max(1, settings.trade.e8 / step), stepE8: step)
      $0.member("max_quote_quantity", max(1, settings.quote.e8 / step), stepE8: step)
    }
  }

  /// `private/reset_mmp` of this engine's group. Cold.
  func resetProtection(into memory: UnsafeMutableRawBufferPointer, index: String, serial: UInt64) -> Int {
    request(memory, RequestID.session(.resetProtection, serial: serial), "private/reset_mmp") {
      $0.member("index_name", index)
      $0.member("mmp_group", group)
    }
  }

  /// `private/cancel_quotes` of all mass quotes of the account, those of other engines included; without the venue's freeze,
  /// which would hit them too. Cold.
  func cancelQuotes(into memory: UnsafeMutableRawBufferPointer, serial: UInt64) -> Int {
    request(memory, RequestID.cancelMassQuote(noProduct, serial: serial), "private/cancel_quotes") {
      $0.member("cancel_type", "all")
    }
  }
}

extension OrderFrame {
  /// Sixteen digits of a number below 10¹⁶, leading zeros included.
  @inline(__always)
  fileprivate mutating func put(digits value: UInt64) {
    let (high, low) = value.quotientAndRemainder(dividingBy: 100_000_000)
    put(four: UInt32(truncatingIfNeeded: high / 10_000))
    put(four: UInt32(truncatingIfNeeded: high % 10_000))
    put(four: UInt32(truncatingIfNeeded: low / 10_000))
    put(four: UInt32(truncatingIfNeeded: low % 10_000))
  }
}
