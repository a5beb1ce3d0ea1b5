import CSupport

/// Tickers and books (protocol, sections 7.1 and 7.4).
extension DeribitDecoder {
  /// One ticker, delivered whole or not at all. A last price off the grid only loses its member.
  mutating func ticker<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ json: inout JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    typealias Field = DeribitTickerField
    let isObject = scan(&json, shapes.ticker.pointer)
    guard ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    guard isObject else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    let numbers = apus_members_numbers(table)
    let wrong = (apus_members_texts(table) | apus_members_others(table)) & Field.numbers
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
    if isListed != listing.pointee.isListed, apus_members_texts(table) & Field.state.bit != 0 {
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

  /// What a book message says beside its levels.
  private struct BookMessage {
    var isSnapshot = false
    /// What kind of message it is has been said.
    var hasType = false
    var previous: UInt64 = 0
    var change: UInt64 = 0
    var hasPrevious = false
    var hasChange = false
    /// A member of another type than it should have, or no id.
    var isWrong = false
    /// Why its levels cannot be taken.
    var problem: DecodeProblem?
  }

  /// A book message. Nothing of it is delivered unless it is whole and fits the chain.
  mutating func book<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ data: JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    if !plainBook(instrument, data, isOpen: isOpen, into: &sink) {
      anyBook(instrument, data, isOpen: isOpen, into: &sink)
    }
  }

  /// A book message as Deribit writes it, read in one pass. False if it is written in another way or if something in it
  /// has to be refused; nothing has been delivered then, and `anyBook` reads it again.
  @inline(always)
  private mutating func plainBook<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ data: JSONCursor, isOpen: Bool, into sink: inout Sink
  ) -> Bool {
    guard listing(instrument) != nil else { return false }
    var json = data
    guard apus_json_accept(&json, 0x7B) else { return false }
    let grid = grids + Int(instrument)
    var message = BookMessage()
    var bids: Int32 = -1, asks: Int32 = -1
    var bidsStart = 0, asksStart = 0
    var used = 0
    var walk = JSONWalk()
    while true {
      let found = apus_json_next_field(&json, shapes.book.pointer, &walk)
      guard let field = DeribitBookField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .type:
        message.isSnapshot = json.accept("\"snapshot\"")
        guard message.isSnapshot || json.accept("\"change\"") else { return false }
        message.hasType = true
      case .previous:
        guard apus_json_whole(&json, &message.previous) else { return false }
        message.hasPrevious = true
      case .change:
        guard apus_json_whole(&json, &message.change) else { return false }
        message.hasChange = true
      case .bids:
        guard bids < 0 else { return false }
        bids = apus_worded_levels_scan(
          &json, index.pointer, grid, levels + used, UInt32(truncatingIfNeeded: Self.levelCapacity - used))
        guard bids >= 0 else { return false }
        bidsStart = used
        used += Int(bids)
      case .asks:
        guard asks < 0 else { return false }
        asks = apus_worded_levels_scan(
          &json, index.pointer, grid, levels + used, UInt32(truncatingIfNeeded: Self.levelCapacity - used))
        guard asks >= 0 else { return false }
        asksStart = used
        used += Int(asks)
      case .time:
        var time: UInt64 = 0
        if !apus_json_whole(&json, &time) { json.skip() }
      case .instrument: json.skip()
      }
    }
    guard ends(&json, isOpen: isOpen) else { return false }
    guard accept(message, instrument, into: &sink) else { return true }
    sink.bookBegin(instrument, isSnapshot: message.isSnapshot)
    for place in bidsStart..<bidsStart + Int(max(bids, 0)) {
      let level = (levels + place).pointee
      sink.bookLevel(instrument, .buy, PriceTicks(rawValue: level.ticks), QtyLots(rawValue: level.lots))
    }
    for place in asksStart..<asksStart + Int(max(asks, 0)) {
      let level = (levels + place).pointee
      sink.bookLevel(instrument, .sell, PriceTicks(rawValue: level.ticks), QtyLots(rawValue: level.lots))
    }
    sink.bookEnd(instrument)
    return true
  }

  /// A book message of any length, however it is written, read twice: first whether it is whole and all of its levels are
  /// on the grid, then its levels.
  @inline(never)
  private mutating func anyBook<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ data: JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    var json = data
    guard json.isNext(.object) else {
      json.skip()
      sink.refusedAtEdge(ends(&json, isOpen: isOpen) ? .missingMember : .malformed)
      return
    }
    json.at += 1
    let listing = listing(instrument)
    var message = BookMessage()
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
      case .type:
        var word = JSONText()
        let isText = json.text(&word, wrong: &message.isWrong)
        message.isSnapshot = isText && word.equals("snapshot")
        message.hasType = message.isSnapshot || isText && word.equals("change")
      case .previous: message.hasPrevious = Self.id(&json, &message.previous, &message.isWrong)
      case .change: message.hasChange = Self.id(&json, &message.change, &message.isWrong)
      case .bids: bids = Self.checkedLevels(&json, listing, &message.problem)
      case .asks: asks = Self.checkedLevels(&json, listing, &message.problem)
      case .time, .instrument: json.skip()
      }
    }
    guard ends(&json, isOpen: isOpen) else {
      // What it said is missing: the chain will tell.
      sink.refusedAtEdge(.malformed)
      return
    }
    guard let listing else {
      sink.refusedAtEdge(.unknownName)
      return
    }
    guard accept(message, instrument, into: &sink) else { return }
    sink.bookBegin(instrument, isSnapshot: message.isSnapshot)
    if var bids { deliver(instrument, listing, .buy, &bids, into: &sink) }
    if var asks { deliver(instrument, listing, .sell, &asks, into: &sink) }
    sink.bookEnd(instrument)
  }

  /// Whether the levels of a message are to be delivered: it says what it has to, and is a snapshot or follows the last
  /// message. If it does not, the book is void.
  @inline(always)
  private mutating func accept<Sink: VenueEventSink & ~Copyable>(
    _ message: BookMessage, _ instrument: InstrumentIndex, into sink: inout Sink
  ) -> Bool {
    // Nothing is quoted there now; when it trades again, that is told by its ticker, and its book is begun anew.
    guard listings[Int(instrument)].isListed else {
      chains[Int(instrument)].isWhole = false
      ignoredItems += 1
      return false
    }
    guard !message.isWrong, message.hasChange, message.hasType else {
      lose(instrument, into: &sink)
      sink.refusedAtEdge(.missingMember)
      return false
    }
    let chain = chains + Int(instrument)
    if !message.isSnapshot {
      guard chain.pointee.isWhole else {
        ignoredItems += 1
        return false
      }
      guard message.hasPrevious, message.previous == chain.pointee.last else {
        lose(instrument, into: &sink)
        return false
      }
    }
    if let problem = message.problem {
      lose(instrument, into: &sink)
      sink.refusedAtEdge(problem)
      return false
    }
    chain.pointee = BookChain(last: message.change, isWhole: true)
    return true
  }

  /// Whether an id was read; a number that is none sets `isWrong`.
  private static func id(_ json: inout JSONCursor, _ out: inout UInt64, _ isWrong: inout Bool) -> Bool {
    var number = ScannedDecimal()
    guard json.number(&number, wrong: &isWrong) else { return false }
    if !apus_decimal_to_u64(&number, &out) { isWrong = true }
    return true
  }

  /// The book is void until its next snapshot.
  @inline(never)
  private func lose<Sink: VenueEventSink & ~Copyable>(_ instrument: InstrumentIndex, into sink: inout Sink) {
    let chain = chains + Int(instrument)
    let wasWhole = chain.pointee.isWhole
    chain.pointee.isWhole = false
    if wasWhole { sink.bookLost(instrument) }
  }

  /// Reads `[word, price, amount]`: the amount is the level's new size, and the word says nothing more
  /// (section 7.1). False if this is no level; the cursor is anywhere then.
  @inline(always)
  private static func level(
    _ json: inout JSONCursor, _ price: inout ScannedDecimal, _ amount: inout ScannedDecimal
  ) -> Bool {
    var word = JSONText()
    return apus_json_accept(&json, 0x5B) && apus_json_string(&json, &word) && apus_json_accept(&json, 0x2C)
      && apus_json_number(&json, &price) && apus_json_accept(&json, 0x2C) && apus_json_number(&json, &amount)
      && apus_json_accept(&json, 0x5D)
  }

  /// Steps over the levels of one side, checked completely; the first defect of one stays in `problem`.
  ///
  /// - Returns: Where they are; `nil` for none.
  private static func checkedLevels(
    _ json: inout JSONCursor, _ listing: UnsafePointer<VenueListing>?, _ problem: inout DecodeProblem?
  ) -> JSONCursor? {
    if apus_json_null(&json) { return nil }
    if json.failed { return nil }
    let start = json
    guard apus_json_accept(&json, 0x5B) else {
      _ = json.checkedSlice()
      problem = problem ?? .missingMember
      return nil
    }
    var started = false
    while apus_json_next_element(&json, &started) {
      var price = ScannedDecimal(), amount = ScannedDecimal()
      var ticks = PriceTicks(rawValue: 0)
      var lots = QtyLots.zero
      let element = json
      if !level(&json, &price, &amount) {
        json = element
        _ = json.checkedSlice()
        problem = problem ?? .missingMember
      } else if let listing, let found = listing.pointee.price(&price, &ticks) ?? listing.pointee.size(&amount, &lots) {
        problem = problem ?? found
      }
    }
    return start
  }

  /// Levels that have been checked.
  private func deliver<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ listing: UnsafePointer<VenueListing>, _ side: Side, _ json: inout JSONCursor,
    into sink: inout Sink
  ) {
    guard apus_json_accept(&json, 0x5B) else { return }
    var started = false
    while apus_json_next_element(&json, &started) {
      var price = ScannedDecimal(), amount = ScannedDecimal()
      var ticks = PriceTicks(rawValue: 0)
      var lots = QtyLots.zero
      guard Self.level(&json, &price, &amount), listing.pointee.price(&price, &ticks) == nil,
        listing.pointee.size(&amount, &lots) == nil
      else { return }
      sink.bookLevel(instrument, side, ticks, lots)
    }
  }
}
