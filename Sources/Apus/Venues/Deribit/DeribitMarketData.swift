import CSupport

/// Tickers and books (protocol, sections 7.1 and 7.4).
extension DeribitDecoder {
  /// One ticker, delivered whole or not at all. A last price off the grid only loses its member.
  mutating func ticker<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ json: inout JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    typealias Field = DeribitTickerField
    guard scan(&json, shapes.ticker.pointer), ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(json.failed ? .malformed : .missingMember)
      return
    }
    let numbers = apus_members_numbers(members.pointer)
    let wrong = (apus_members_texts(members.pointer) | apus_members_others(members.pointer)) & Field.numbers
    guard wrong == 0, numbers & (Field.mark.bit | Field.index.bit) == Field.mark.bit | Field.index.bit else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    guard let listing = listing(instrument) else {
      sink.refusedAtEdge(.unknownName)
      return
    }
    var ticker = Ticker()
    ticker.fields = [.mark, .index]
    var isFine = scaled(.mark, 8, &ticker.markE8) && scaled(.index, 8, &ticker.indexE8)
    if numbers & Field.time.bit != 0 { ticker.venueTime = time(Field.time) }
    let collars = Field.low.bit | Field.high.bit
    if numbers & collars == collars {
      isFine = scaled(.low, 8, &ticker.collarLowE8) && scaled(.high, 8, &ticker.collarHighE8) && isFine
      ticker.fields.insert(.collars)
    }
    if numbers & Field.funding.bit != 0 {
      isFine = scaled(.funding, 12, &ticker.fundingRateE12) && isFine
      ticker.fields.insert(.funding)
    }
    if numbers & Field.volatility.bit != 0 {
      // Stated in per cent.
      isFine = scaled(.volatility, 6, &ticker.volatilityE8) && isFine
      ticker.fields.insert(.volatility)
    }
    if numbers & Field.forward.bit != 0 {
      isFine = scaled(.forward, 8, &ticker.forwardE8) && isFine
      ticker.fields.insert(.forward)
    }
    guard isFine else {
      sink.refusedAtEdge(.impossible)
      return
    }
    if let problem = side(.bidPrice, .bidAmount, numbers, listing, &ticker.bidPrice, &ticker.bidQty)
      ?? side(.askPrice, .askAmount, numbers, listing, &ticker.askPrice, &ticker.askQty)
    {
      sink.refusedAtEdge(problem)
      return
    }
    if ticker.bidQty > .zero { ticker.fields.insert(.bid) }
    if ticker.askQty > .zero { ticker.fields.insert(.ask) }
    if numbers & Field.last.bit != 0, listing.pointee.price(decimal(Field.last), &ticker.lastPrice) == nil {
      ticker.fields.insert(.last)
    }
    // What the state says is the venue's word about trading: anything but `open` forbids quoting (R32).
    let isListed = text(Field.state).equals("open")
    if isListed != listing.pointee.isListed, apus_members_texts(members.pointer) & Field.state.bit != 0 {
      listings[Int(instrument)].isListed = isListed
      sink.instrument(listing.pointee.info, isListed: isListed)
      if isListed {
        // Its book was not followed meanwhile.
        chains[Int(instrument)].isWhole = false
        sink.bookLost(instrument)
      }
    }
    sink.ticker(instrument, ticker)
  }

  /// One side of a ticker. An empty one has no amount, or one of 0, and its price says nothing.
  @inline(always)
  private func side(
    _ price: DeribitTickerField, _ amount: DeribitTickerField, _ numbers: UInt32,
    _ listing: UnsafePointer<VenueListing>, _ priceOut: inout PriceTicks, _ amountOut: inout QtyLots
  ) -> DecodeProblem? {
    guard numbers & amount.bit != 0 else { return nil }
    var lots = QtyLots.zero
    if let problem = listing.pointee.size(decimal(amount), &lots) { return problem }
    guard lots > .zero else { return nil }
    guard numbers & price.bit != 0 else { return .missingMember }
    if let problem = listing.pointee.price(decimal(price), &priceOut) { return problem }
    amountOut = lots
    return nil
  }

  /// A model value rounded to `places` decimals; whether it fits.
  @inline(always)
  private func scaled(_ field: DeribitTickerField, _ places: Int32, _ out: inout Int64) -> Bool {
    apus_decimal_to_scaled(decimal(field), places, &out) != .overflow
  }

  /// A book message, read twice: first whether it is whole and fits the chain, then its levels.
  mutating func book<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ data: JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    var json = data
    guard json.isNext(.object) else {
      json.skip()
      sink.refusedAtEdge(ends(&json, isOpen: isOpen) ? .missingMember : .malformed)
      return
    }
    json.at += 1
    var type = JSONText()
    var previous = ScannedDecimal(), change = ScannedDecimal()
    var hasPrevious = false, hasChange = false, wrong = false
    var bids: JSONCursor?
    var asks: JSONCursor?
    var walk = JSONWalk()
    while true {
      let found = apus_json_next_field(&json, shapes.book.pointer, &walk)
      guard let field = DeribitBookField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .type: _ = json.text(&type, wrong: &wrong)
      case .previous: hasPrevious = json.number(&previous, wrong: &wrong)
      case .change: hasChange = json.number(&change, wrong: &wrong)
      // Leapt over: the levels are checked when they are read.
      case .bids: bids = Self.leap(&json)
      case .asks: asks = Self.leap(&json)
      case .time, .instrument: json.skip()
      }
    }
    guard ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    guard let listing = listing(instrument) else {
      sink.refusedAtEdge(.unknownName)
      return
    }
    // Nothing is quoted there now; when it trades again, that is told by its ticker, and its book is begun anew.
    guard listing.pointee.isListed else {
      chains[Int(instrument)].isWhole = false
      ignoredItems += 1
      return
    }
    var changeID: UInt64 = 0, previousID: UInt64 = 0
    let isSnapshot = type.equals("snapshot")
    guard !wrong, hasChange, apus_decimal_to_u64(&change, &changeID),
      !hasPrevious || apus_decimal_to_u64(&previous, &previousID), isSnapshot || type.equals("change")
    else {
      lose(instrument, into: &sink)
      sink.refusedAtEdge(.missingMember)
      return
    }
    let chain = chains + Int(instrument)
    if isSnapshot {
      chain.pointee.isWhole = true
    } else if !chain.pointee.isWhole {
      ignoredItems += 1
      return
    } else if !hasPrevious || previousID != chain.pointee.last {
      lose(instrument, into: &sink)
      return
    }
    chain.pointee.last = changeID
    sink.bookBegin(instrument, isSnapshot: isSnapshot)
    var isFine = true
    if var bids { isFine = levels(instrument, listing, .buy, &bids, into: &sink) }
    if isFine, var asks { isFine = levels(instrument, listing, .sell, &asks, into: &sink) }
    sink.bookEnd(instrument)
    if !isFine { lose(instrument, into: &sink) }
  }

  private static func leap(_ json: inout JSONCursor) -> JSONCursor {
    apus_json_space(&json)
    let start = json.at
    _ = apus_json_leap(&json)
    return apus_json_begin(start, json.failed ? 0 : json.at - start)
  }

  /// The book is void until its next snapshot.
  private func lose<Sink: VenueEventSink & ~Copyable>(_ instrument: InstrumentIndex, into sink: inout Sink) {
    let chain = chains + Int(instrument)
    let wasWhole = chain.pointee.isWhole
    chain.pointee.isWhole = false
    if wasWhole { sink.bookLost(instrument) }
  }

  /// `[word, price, amount]`: the amount is the level's new size, and the word says nothing more (section 7.1).
  ///
  /// - Returns: false if a level was none, and the book is wrong from there on.
  @inline(always)
  private func levels<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ listing: UnsafePointer<VenueListing>, _ side: Side, _ json: inout JSONCursor,
    into sink: inout Sink
  ) -> Bool {
    guard apus_json_accept(&json, 0x5B) else { return apus_json_null(&json) }
    var started = false
    while apus_json_next_element(&json, &started) {
      var price = ScannedDecimal(), amount = ScannedDecimal()
      var word = JSONText()
      var ticks = PriceTicks(rawValue: 0)
      var lots = QtyLots.zero
      guard apus_json_accept(&json, 0x5B), apus_json_string(&json, &word), apus_json_accept(&json, 0x2C),
        apus_json_number(&json, &price), apus_json_accept(&json, 0x2C), apus_json_number(&json, &amount),
        apus_json_accept(&json, 0x5D)
      else {
        sink.refusedAtEdge(.missingMember)
        return false
      }
      if let problem = listing.pointee.price(&price, &ticks) ?? listing.pointee.size(&amount, &lots) {
        sink.refusedAtEdge(problem)
        return false
      }
      sink.bookLevel(instrument, side, ticks, lots)
    }
    guard !json.failed else {
      sink.refusedAtEdge(.malformed)
      return false
    }
    return true
  }
}
