import CSupport

/// Tickers, books and the index (protocol reference 5.3-5.6).
extension ThalexDecoder {
  /// One ticker, delivered whole or not at all. A last price off the grid (older than a change of the tick)
  /// only loses its member; a bid or ask off the grid refuses the ticker.
  ///
  /// - Parameter channel: Whose next ticker is to be compared with this one, if nothing of it is refused.
  mutating func ticker<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ json: inout JSONCursor, isOpen: Bool, channel: Int? = nil, into sink: inout Sink
  ) {
    let text = json
    guard json.isNext(.object) else {
      json.skip()
      sink.refusedAtEdge(ends(&json, isOpen: isOpen) ? .missingMember : .malformed)
      return
    }
    json.at += 1
    let members = tickerMembers.pointer
    // Two shapes, so that nothing is converted that no one wants of a perpetual or a future.
    let isOption = listings[Int(instrument)].info.kind == .option
    let shape = isOption ? shapes.optionTicker.pointer : shapes.ticker.pointer
    guard apus_members_scan(&json, shape, members, index.pointer), ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    let numbers = apus_members_numbers(members)
    let wrong = apus_members_texts(members) | apus_members_others(members)
    var ticker = Ticker()
    var isTooLarge = false
    if numbers & TickerField.markPrice.bit != 0 {
      isTooLarge = Self.scaled(members, .markPrice, 8, &ticker.markE8) || isTooLarge
      ticker.fields.insert(.mark)
    }
    if numbers & TickerField.index.bit != 0 {
      isTooLarge = Self.scaled(members, .index, 8, &ticker.indexE8) || isTooLarge
      ticker.fields.insert(.index)
    }
    if numbers & TickerField.collarLow.bit != 0 {
      isTooLarge = Self.scaled(members, .collarLow, 8, &ticker.collarLowE8) || isTooLarge
    }
    if numbers & TickerField.collarHigh.bit != 0 {
      isTooLarge = Self.scaled(members, .collarHigh, 8, &ticker.collarHighE8) || isTooLarge
    }
    let collars = TickerField.collarLow.bit | TickerField.collarHigh.bit
    if numbers & collars == collars { ticker.fields.insert(.collars) }
    if numbers & TickerField.fundingRate.bit != 0 {
      isTooLarge = Self.scaled(members, .fundingRate, 12, &ticker.fundingRateE12) || isTooLarge
      ticker.fields.insert(.funding)
    }
    if numbers & TickerField.markTimestamp.bit != 0 { _ = Self.scaled(members, .markTimestamp, 9, &ticker.venueTime) }
    if isOption { isTooLarge = Self.optionMembers(members, numbers, &ticker) || isTooLarge }
    if isTooLarge {
      sink.refusedAtEdge(.impossible)
      return
    }
    let wanted = isOption ? TickerField.wanted | TickerField.ofOptions : TickerField.wanted
    let bid = TickerField.bidPrice.bit | TickerField.bidAmount.bit
    let ask = TickerField.askPrice.bit | TickerField.askAmount.bit
    let hasBid = numbers & bid == bid, hasAsk = numbers & ask == ask
    if wrong & wanted != 0 || !hasBid && numbers & bid != 0 || !hasAsk && numbers & ask != 0 {
      sink.refusedAtEdge(.missingMember)
      return
    }
    guard let listing = listing(instrument) else {
      sink.refusedAtEdge(.unknownName)
      return
    }
    if hasBid {
      let problem = Self.level(
        listing, members, .bidPrice, .bidAmount, .bid, &ticker.bidPrice, &ticker.bidQty, &ticker.fields)
      if let problem {
        sink.refusedAtEdge(problem)
        return
      }
    }
    if hasAsk {
      let problem = Self.level(
        listing, members, .askPrice, .askAmount, .ask, &ticker.askPrice, &ticker.askQty, &ticker.fields)
      if let problem {
        sink.refusedAtEdge(problem)
        return
      }
    }
    if numbers & TickerField.lastPrice.bit != 0 {
      let last = apus_members_decimal(members, TickerField.lastPrice.rawValue)
      if listing.pointee.price(last, &ticker.lastPrice) == nil {
        ticker.fields.insert(.last)
      } else {
        sink.refusedAtEdge(.offGrid)
        sink.ticker(instrument, ticker)
        return
      }
    }
    sink.ticker(instrument, ticker)
    if let channel, let learnedText = learned[channel].text, apus_repeat_is_due(learnedText) {
      Self.learn(learned + channel, text, shape, ticker)
    }
  }

  // Static: the decoder must not be copied for the call.
  @inline(never)
  private static func learn(
    _ last: UnsafeMutablePointer<LearnedTicker>, _ text: JSONCursor, _ shape: OpaquePointer, _ ticker: Ticker
  ) {
    guard let learned = last.pointee.text else { return }
    var text = text
    apus_repeat_learn(learned, &text, shape)
    last.pointee.ticker = ticker
  }

  /// A ticker with the members of the last one, inside an envelope that is still open: only what has changed is
  /// converted.
  ///
  /// - Returns: `false`, with nothing delivered, if it is another text or something in it has to be refused.
  @inline(always)
  mutating func learnedTicker<Sink: VenueEventSink & ~Copyable>(
    _ channel: Int, _ instrument: InstrumentIndex, _ json: inout JSONCursor, into sink: inout Sink
  ) -> Bool {
    let last = learned + channel
    guard let text = last.pointee.text else { return false }
    let members = tickerMembers.pointer
    var changed: UInt32 = 0
    let outcome = apus_repeat_match(text, &json, members, &changed)
    if outcome == .none { return false }
    if outcome == .same {
      // In place: that is the ticker from now on.
      if changed != 0, !take(changed, members, instrument, &last.pointee.ticker) {
        apus_repeat_forget(text)
        return false
      }
      sink.ticker(instrument, last.pointee.ticker)
      return true
    }
    var ticker = last.pointee.ticker
    guard take(changed, members, instrument, &ticker) else { return false }
    sink.ticker(instrument, ticker)
    return true
  }

  /// Converts the members of `changed` into a ticker that had them with other values; `false` if one is to be refused.
  @inline(always)
  private func take(
    _ changed: UInt32, _ members: OpaquePointer, _ instrument: InstrumentIndex, _ ticker: inout Ticker
  ) -> Bool {
    let listing = listings + Int(instrument)
    var isFine = true
    if changed & TickerField.markPrice.bit != 0 {
      isFine = !Self.scaled(members, .markPrice, 8, &ticker.markE8)
    }
    if changed & TickerField.markTimestamp.bit != 0 {
      // As in every ticker: a time that is too large is none.
      ticker.venueTime = 0
      _ = Self.scaled(members, .markTimestamp, 9, &ticker.venueTime)
    }
    if changed & TickerField.index.bit != 0 {
      isFine = !Self.scaled(members, .index, 8, &ticker.indexE8) && isFine
    }
    if changed & (TickerField.bidPrice.bit | TickerField.bidAmount.bit) != 0 {
      isFine =
        Self.side(
          changed, listing, members, .bidPrice, .bidAmount, .bid, &ticker.bidPrice, &ticker.bidQty, &ticker.fields)
        && isFine
    }
    if changed & (TickerField.askPrice.bit | TickerField.askAmount.bit) != 0 {
      isFine =
        Self.side(
          changed, listing, members, .askPrice, .askAmount, .ask, &ticker.askPrice, &ticker.askQty, &ticker.fields)
        && isFine
    }
    let rare =
      TickerField.lastPrice.bit | TickerField.collarLow.bit | TickerField.collarHigh.bit | TickerField.fundingRate.bit
      | TickerField.ofOptions
    if changed & rare != 0 { isFine = Self.rareMembers(changed, listing, members, &ticker) && isFine }
    return isFine
  }

  /// One side of which price or size has changed.
  @inline(always)
  private static func side(
    _ changed: UInt32, _ listing: UnsafePointer<Listing>, _ members: OpaquePointer, _ price: TickerField,
    _ qty: TickerField, _ bit: TickerFields, _ priceOut: inout PriceTicks, _ qtyOut: inout QtyLots,
    _ fields: inout TickerFields
  ) -> Bool {
    if changed & price.bit != 0,
      listing.pointee.price(apus_members_decimal(members, price.rawValue), &priceOut) != nil
    {
      return false
    }
    if changed & qty.bit != 0, listing.pointee.size(apus_members_decimal(members, qty.rawValue), &qtyOut) != nil {
      return false
    }
    if qtyOut > QtyLots.zero { fields.insert(bit) } else { fields.remove(bit) }
    return true
  }

  @inline(never)
  private static func rareMembers(
    _ changed: UInt32, _ listing: UnsafePointer<Listing>, _ members: OpaquePointer, _ ticker: inout Ticker
  ) -> Bool {
    var isTooLarge = false
    if changed & TickerField.collarLow.bit != 0 {
      isTooLarge = scaled(members, .collarLow, 8, &ticker.collarLowE8) || isTooLarge
    }
    if changed & TickerField.collarHigh.bit != 0 {
      isTooLarge = scaled(members, .collarHigh, 8, &ticker.collarHighE8) || isTooLarge
    }
    if changed & TickerField.fundingRate.bit != 0 {
      isTooLarge = scaled(members, .fundingRate, 12, &ticker.fundingRateE12) || isTooLarge
    }
    isTooLarge = optionMembers(members, changed, &ticker) || isTooLarge
    if changed & TickerField.lastPrice.bit != 0 {
      let last = apus_members_decimal(members, TickerField.lastPrice.rawValue)
      if listing.pointee.price(last, &ticker.lastPrice) != nil { return false }
    }
    return !isTooLarge
  }

  /// What only options have; whether something in it was too large.
  @inline(never)
  private static func optionMembers(_ members: OpaquePointer, _ numbers: UInt32, _ ticker: inout Ticker) -> Bool {
    var isTooLarge = false
    if numbers & TickerField.impliedVolatility.bit != 0 {
      isTooLarge = scaled(members, .impliedVolatility, 8, &ticker.volatilityE8) || isTooLarge
      ticker.fields.insert(.volatility)
    }
    if numbers & TickerField.delta.bit != 0 {
      isTooLarge = scaled(members, .delta, 8, &ticker.deltaE8) || isTooLarge
      ticker.fields.insert(.delta)
    }
    if numbers & TickerField.forward.bit != 0 {
      isTooLarge = scaled(members, .forward, 8, &ticker.forwardE8) || isTooLarge
      ticker.fields.insert(.forward)
    }
    return isTooLarge
  }

  /// A model value rounded to `places` decimals; whether it was too large.
  @inline(always)
  private static func scaled(
    _ members: OpaquePointer, _ field: TickerField, _ places: Int32, _ out: inout Int64
  ) -> Bool {
    apus_decimal_to_scaled(apus_members_decimal(members, field.rawValue), places, &out) == .overflow
  }

  /// One side of a ticker; a size of 0 means that the side is empty.
  @inline(always)
  private static func level(
    _ listing: UnsafePointer<Listing>, _ members: OpaquePointer, _ price: TickerField, _ qty: TickerField,
    _ bit: TickerFields, _ priceOut: inout PriceTicks, _ qtyOut: inout QtyLots, _ fields: inout TickerFields
  ) -> DecodeProblem? {
    if let problem = listing.pointee.price(apus_members_decimal(members, price.rawValue), &priceOut) { return problem }
    if let problem = listing.pointee.size(apus_members_decimal(members, qty.rawValue), &qtyOut) { return problem }
    if qtyOut > QtyLots.zero { fields.insert(bit) }
    return nil
  }

  /// A light ticker: `m`, `b` and `a` as `[price, amount, outright amount]`, `l`.
  mutating func lightTicker<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ json: inout JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    var ticker = Ticker()
    var problem: DecodeProblem?
    var wrong = false
    var lastIsOffGrid = false
    var number = ScannedDecimal()
    let listing = listing(instrument)
    if !json.isNext(.object) {
      wrong = true
      json.skip()
    } else {
      json.at += 1
      var walk = JSONWalk()
      while true {
        let index = apus_json_next_field(&json, shapes.lightTicker.pointer, &walk)
        guard let field = LightTickerField(rawValue: index) else {
          if index == APUS_JSON_FIELD_END { break }
          json.skip()
          continue
        }
        switch field {
        case .mark:
          if json.number(&number, wrong: &wrong) {
            ticker.fields.formUnion(scaled(&number, 8, &ticker.markE8, .mark, &problem))
          }
        case .bid, .ask:
          var price = ScannedDecimal(), qty = ScannedDecimal()
          let count = pair(&json, &price, &qty, &wrong)
          guard count == 2, let listing else {
            if count == 1 { wrong = true }
            continue
          }
          if field == .bid {
            level(listing, &price, &qty, .bid, &ticker.bidPrice, &ticker.bidQty, &ticker.fields, &problem)
          } else {
            level(listing, &price, &qty, .ask, &ticker.askPrice, &ticker.askQty, &ticker.fields, &problem)
          }
        case .last:
          if json.number(&number, wrong: &wrong), let listing {
            if listing.pointee.price(&number, &ticker.lastPrice) == nil {
              ticker.fields.insert(.last)
            } else {
              lastIsOffGrid = true
            }
          }
        case .volatility:
          if json.number(&number, wrong: &wrong) {
            ticker.fields.formUnion(scaled(&number, 8, &ticker.volatilityE8, .volatility, &problem))
          }
        }
      }
    }
    guard ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    if wrong { problem = problem ?? .missingMember }
    if listing == nil { problem = problem ?? .unknownName }
    if let problem {
      sink.refusedAtEdge(problem)
      return
    }
    if lastIsOffGrid { sink.refusedAtEdge(.offGrid) }
    sink.ticker(instrument, ticker)
  }

  /// A model value rounded to `places` decimals; the bit if it fits.
  @inline(always)
  func scaled(
    _ number: UnsafePointer<ScannedDecimal>, _ places: Int32, _ out: inout Int64, _ bit: TickerFields,
    _ problem: inout DecodeProblem?
  ) -> TickerFields {
    if apus_decimal_to_scaled(number, places, &out) == .overflow {
      problem = problem ?? .impossible
      return []
    }
    return bit
  }

  /// One side of a ticker; a size of 0 means that the side is empty.
  @inline(always)
  func level(
    _ listing: UnsafePointer<Listing>, _ price: UnsafePointer<ScannedDecimal>, _ qty: UnsafePointer<ScannedDecimal>,
    _ bit: TickerFields,
    _ priceOut: inout PriceTicks, _ qtyOut: inout QtyLots, _ fields: inout TickerFields,
    _ problem: inout DecodeProblem?
  ) {
    if let found = listing.pointee.price(price, &priceOut) ?? listing.pointee.size(qty, &qtyOut) {
      problem = problem ?? found
    } else if qtyOut > QtyLots.zero {
      fields.insert(bit)
    } else {
      fields.remove(bit)  // a side that is given twice: the later one counts
    }
  }

  /// The first two numbers of an array; how many there were (0 for an empty array or `null`). Elements of another
  /// type set `wrong`.
  @inline(always)
  func pair(
    _ json: inout JSONCursor, _ first: inout ScannedDecimal, _ second: inout ScannedDecimal, _ wrong: inout Bool
  )
    -> Int
  {
    guard apus_json_accept(&json, 0x5B) else {
      if !apus_json_null(&json) {
        wrong = true
        json.skip()
      }
      return 0
    }
    var started = false
    var count = 0
    while apus_json_next_element(&json, &started) {
      if count == 0 {
        if json.number(&first, wrong: &wrong) { count = 1 } else { wrong = true }
      } else if count == 1 {
        if json.number(&second, wrong: &wrong) { count = 2 } else { wrong = true }
      } else {
        json.skip()
      }
    }
    return count
  }

  /// A book message as Thalex writes it, inside an envelope that is still open: read in one pass, and delivered when all
  /// of it has been seen. False if it is written in another way or if something in it has to be refused; nothing has
  /// been delivered then, and the general way reads it again.
  mutating func plainBook<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ frame: JSONCursor, into sink: inout Sink
  ) -> Bool {
    guard let listing = listing(instrument) else { return false }
    var json = frame
    guard apus_json_accept(&json, 0x7B) else { return false }
    let grid = grids + Int(instrument)
    var trades: JSONCursor?
    var bids = Int32(-1), asks = Int32(-1)
    var bidsStart = 0, asksStart = 0
    var used = 0
    var walk = JSONWalk()
    while true {
      let found = apus_json_next_field(&json, shapes.book.pointer, &walk)
      guard let field = BookField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .trades:
        guard bids < 0, asks < 0, trades == nil else { return false }
        trades = json.checkedSlice()
      case .bids:
        guard bids < 0 else { return false }
        bids = apus_levels_scan(
          &json, index.pointer, grid, levels + used, UInt32(truncatingIfNeeded: Self.levelCapacity - used))
        guard bids >= 0 else { return false }
        bidsStart = used
        used += Int(bids)
      case .asks:
        guard asks < 0 else { return false }
        asks = apus_levels_scan(
          &json, index.pointer, grid, levels + used, UInt32(truncatingIfNeeded: Self.levelCapacity - used))
        guard asks >= 0 else { return false }
        asksStart = used
        used += Int(asks)
      case .totalBid, .totalAsk, .time: json.skip()
      }
    }
    guard !json.failed, let isSnapshot = closeEnvelope(&json) else { return false }
    sink.bookBegin(instrument, isSnapshot: isSnapshot)
    if !isSnapshot, var trades { publicTrades(instrument, listing, &trades, into: &sink) }
    // Both sides in the order of the wire.
    let middle = asksStart < bidsStart ? bidsStart : max(asksStart, Int(max(bids, 0)))
    let first: Side = asksStart < bidsStart ? .sell : .buy
    for i in 0..<middle {
      sink.bookLevel(
        instrument, first, PriceTicks(rawValue: levels[i].ticks), QtyLots(rawValue: levels[i].lots))
    }
    let second: Side = asksStart < bidsStart ? .buy : .sell
    for i in middle..<used {
      sink.bookLevel(
        instrument, second, PriceTicks(rawValue: levels[i].ticks), QtyLots(rawValue: levels[i].lots))
    }
    sink.bookEnd(instrument)
    return true
  }

  /// A book message. Trades come where the wire has them; those of a snapshot may be old and are left out.
  mutating func book<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ json: inout JSONCursor, isSnapshot: Bool, into sink: inout Sink
  ) {
    guard let listing = listing(instrument) else {
      json.skip()
      sink.refusedAtEdge(apus_json_finish(&json) ? .unknownName : .malformed)
      return
    }
    guard json.isNext(.object) else {
      json.skip()
      sink.refusedAtEdge(json.failed ? .malformed : .missingMember)
      return
    }
    json.at += 1
    sink.bookBegin(instrument, isSnapshot: isSnapshot)
    var walk = JSONWalk()
    while true {
      let index = apus_json_next_field(&json, shapes.book.pointer, &walk)
      guard let field = BookField(rawValue: index) else {
        if index == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .bids: levels(instrument, listing, .buy, &json, into: &sink)
      case .asks: levels(instrument, listing, .sell, &json, into: &sink)
      case .trades where !isSnapshot: publicTrades(instrument, listing, &json, into: &sink)
      case .trades, .totalBid, .totalAsk, .time: json.skip()
      }
    }
    if !apus_json_finish(&json) { sink.refusedAtEdge(.malformed) }
    sink.bookEnd(instrument)
  }

  @inline(always)
  private func levels<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ listing: UnsafePointer<Listing>, _ side: Side, _ json: inout JSONCursor,
    into sink: inout Sink
  ) {
    guard json.isNext(.array) else {
      if !apus_json_null(&json) {
        json.skip()
        sink.refusedAtEdge(.missingMember)
      }
      return
    }
    json.at += 1
    var started = false
    while apus_json_next_element(&json, &started) {
      var price = ScannedDecimal(), qty = ScannedDecimal()
      var wrong = false
      let count = pair(&json, &price, &qty, &wrong)
      if json.failed { return }
      var ticks = PriceTicks(rawValue: 0)
      var lots = QtyLots.zero
      if wrong || count != 2 {
        sink.refusedAtEdge(.missingMember)
      } else if let problem = listing.pointee.price(&price, &ticks) ?? listing.pointee.size(&qty, &lots) {
        sink.refusedAtEdge(problem)
      } else {
        sink.bookLevel(instrument, side, ticks, lots)
      }
    }
  }

  /// `[price, amount, aggressor, time, implied]`.
  mutating func publicTrades<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ listing: UnsafePointer<Listing>, _ json: inout JSONCursor, into sink: inout Sink
  ) {
    guard json.isNext(.array) else {
      if !apus_json_null(&json) {
        json.skip()
        sink.refusedAtEdge(.missingMember)
      }
      return
    }
    json.at += 1
    var started = false
    while apus_json_next_element(&json, &started) {
      guard json.isNext(.array) else {
        json.skip()
        sink.refusedAtEdge(.missingMember)
        continue
      }
      json.at += 1
      var price = ScannedDecimal(), qty = ScannedDecimal(), time = ScannedDecimal()
      var word = JSONText()
      var wrong = false
      var inner = false
      var position = 0
      var found = 0
      while apus_json_next_element(&json, &inner) {
        switch position {
        case 0: found += json.number(&price, wrong: &wrong) ? 1 : 0
        case 1: found += json.number(&qty, wrong: &wrong) ? 1 : 0
        case 2: found += json.text(&word, wrong: &wrong) ? 1 : 0
        case 3: found += json.number(&time, wrong: &wrong) ? 1 : 0
        default: json.skip()
        }
        position += 1
      }
      if json.failed { return }
      scratchCount = 0
      plain(&word)
      var ticks = PriceTicks(rawValue: 0)
      var lots = QtyLots.zero
      var stamp: Nanoseconds = 0
      if found != 4 {
        sink.refusedAtEdge(.missingMember)
      } else if let problem = listing.pointee.price(&price, &ticks) ?? listing.pointee.size(&qty, &lots) {
        sink.refusedAtEdge(problem)
      } else if let side = Side(word) {
        _ = apus_decimal_to_ns(&time, &stamp)
        sink.publicTrade(instrument, aggressor: side, price: ticks, qty: lots, time: stamp)
      } else {
        sink.refusedAtEdge(.unknownWord)
      }
    }
  }

  mutating func system<Sink: VenueEventSink & ~Copyable>(_ json: inout JSONCursor, into sink: inout Sink) {
    var event = JSONText()
    var wrong = false
    let found = member(.event, of: &json) { $0.text(&event, wrong: &wrong) }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    plain(&event)
    if !found {
      sink.refusedAtEdge(.missingMember)
    } else if event.equals("reconnect") {
      sink.reconnectRequested()
    } else {
      sink.refusedAtEdge(.unknownWord)
    }
  }

  /// Steps over an object and reads one of its members; whether it was there and readable. Another value than an
  /// object is stepped over.
  @inline(always)
  func member(_ wanted: DetailField, of json: inout JSONCursor, _ read: (inout JSONCursor) -> Bool) -> Bool {
    guard json.isNext(.object) else {
      json.skip()
      return false
    }
    json.at += 1
    var found = false
    var walk = JSONWalk()
    while true {
      let field = apus_json_next_field(&json, shapes.detail.pointer, &walk)
      if field == APUS_JSON_FIELD_END { return found }
      if field == wanted.rawValue { found = read(&json) } else { json.skip() }
    }
  }
}
