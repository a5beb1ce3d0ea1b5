import CSupport

/// Books, public trades, tickers and price limits (protocol reference 6).
extension BybitDecoder {
  /// What was read of the data of a book message.
  private struct BookData {
    /// Where the levels of a side begin in `levels`, and how many there are.
    var bids = (start: 0, count: 0)
    var asks = (start: 0, count: 0)
    var used = 0
    var update = UInt64.max
    var problem: DecodeProblem?
  }

  /// A book message: read whole, and delivered if it is the next one.
  @inline(always)
  mutating func book<Sink: VenueEventSink & ~Copyable>(
    _ topic: Int, _ frame: JSONCursor, _ start: JSONWalk, into sink: inout Sink
  ) {
    var json = frame
    var walk = start
    let entry = topics + topic
    let instrument = entry.pointee.instrument
    var data: BookData?
    var message: BybitMessageWord?
    var isWordNew = false
    while true {
      let found = apus_json_next_field(&json, entry.pointee.envelope, &walk)
      if found == BybitEnvelopeField.data.rawValue {
        data = bookData(&json, instrument)
      } else if found == BybitEnvelopeField.type.rawValue {
        var word = JSONText()
        var wrong = false
        if json.text(&word, wrong: &wrong) {
          message = BybitMessageWord(word)
          isWordNew = message == nil
        }
      } else if found == APUS_JSON_FIELD_END {
        break
      } else {
        json.skip()
      }
    }
    guard apus_json_finish(&json) else {
      // What it said is missing: the number of the next one will tell.
      sink.refusedAtEdge(.malformed)
      return
    }
    var problem = data?.problem ?? (data == nil || data?.update == .max ? .missingMember : nil)
    if message == nil { problem = problem ?? (isWordNew ? .unknownWord : .missingMember) }
    guard problem == nil, let data, let message else {
      sink.refusedAtEdge(problem ?? .missingMember)
      giveUpBook(entry, into: &sink)
      return
    }
    if message == .delta {
      guard entry.pointee.isLive else {
        ignoredItems += 1
        return
      }
      guard data.update == entry.pointee.update &+ 1 else {
        giveUpBook(entry, into: &sink)
        return
      }
    }
    entry.pointee.isLive = true
    entry.pointee.update = data.update
    sink.bookBegin(instrument, isSnapshot: message == .snapshot)
    for i in data.bids.start..<data.bids.start + data.bids.count {
      let level = (levels + i).pointee
      sink.bookLevel(instrument, .buy, PriceTicks(rawValue: level.ticks), QtyLots(rawValue: level.lots))
    }
    for i in data.asks.start..<data.asks.start + data.asks.count {
      let level = (levels + i).pointee
      sink.bookLevel(instrument, .sell, PriceTicks(rawValue: level.ticks), QtyLots(rawValue: level.lots))
    }
    sink.bookEnd(instrument)
  }

  /// Tells that a book holds no longer, if it did.
  @inline(never)
  private func giveUpBook<Sink: VenueEventSink & ~Copyable>(
    _ entry: UnsafeMutablePointer<TopicEntry>, into sink: inout Sink
  ) {
    guard entry.pointee.isLive else { return }
    entry.pointee.isLive = false
    sink.bookLost(entry.pointee.instrument)
  }

  /// Tells that the books of an instrument hold no longer: its grid has changed. Cold.
  func giveUpBooks<Sink: VenueEventSink & ~Copyable>(of instrument: InstrumentIndex, into sink: inout Sink) {
    for topic in 0..<topicCount where topics[topic].instrument == instrument && topics[topic].kind == .book {
      giveUpBook(topics + topic, into: &sink)
    }
  }

  /// Reads `{"s":…,"b":[["price","size"],…],"a":[…],"u":…,"seq":…}` into `levels`.
  @inline(always)
  private mutating func bookData(_ json: inout JSONCursor, _ instrument: InstrumentIndex) -> BookData {
    var data = BookData()
    guard let listing = listing(instrument) else {
      json.skip()
      data.problem = .unknownName
      return data
    }
    guard json.isNext(.object) else {
      json.skip()
      data.problem = .missingMember
      return data
    }
    apus_index_build(index.pointer, json.at, json.end - json.at)
    json.at += 1
    let grid = grids + Int(instrument)
    var walk = JSONWalk()
    while true {
      let found = apus_json_next_field(&json, shapes.book.pointer, &walk)
      if found == BybitBookField.bids.rawValue {
        data.bids = side(&json, listing, grid, &data)
      } else if found == BybitBookField.asks.rawValue {
        data.asks = side(&json, listing, grid, &data)
      } else if found == BybitBookField.update.rawValue {
        var number = ScannedDecimal()
        var wrong = false
        if !json.number(&number, wrong: &wrong) || !apus_decimal_to_u64(&number, &data.update) { data.update = .max }
      } else if found == APUS_JSON_FIELD_END {
        return data
      } else {
        json.skip()
      }
    }
  }

  @inline(always)
  private mutating func side(
    _ json: inout JSONCursor, _ listing: UnsafePointer<Listing>, _ grid: UnsafeMutablePointer<LevelGrid>,
    _ data: inout BookData
  ) -> (start: Int, count: Int) {
    let start = data.used
    let room = UInt32(truncatingIfNeeded: Self.levelCapacity - start)
    let count = apus_quoted_levels_scan(&json, index.pointer, grid, levels + start, room)
    if count >= 0 {
      data.used += Int(count)
      return (start, Int(count))
    }
    readLevels(&json, listing, &data.used, &data.problem)
    return (start, data.used - start)
  }

  /// Levels however they are written; the first defect of one stays in `problem`.
  @inline(never)
  private mutating func readLevels(
    _ json: inout JSONCursor, _ listing: UnsafePointer<Listing>, _ used: inout Int, _ problem: inout DecodeProblem?
  ) {
    guard json.isNext(.array) else {
      json.skip()
      problem = problem ?? .missingMember
      return
    }
    json.at += 1
    var started = false
    while apus_json_next_element(&json, &started) {
      guard json.isNext(.array) else {
        json.skip()
        problem = problem ?? .missingMember
        continue
      }
      json.at += 1
      var price = JSONText(), size = JSONText()
      var wrong = false, inner = false
      var position = 0
      while apus_json_next_element(&json, &inner) {
        switch position {
        case 0: if !json.text(&price, wrong: &wrong) { wrong = true }
        case 1: if !json.text(&size, wrong: &wrong) { wrong = true }
        default: json.skip()
        }
        position += 1
      }
      if json.failed { return }
      var number = ScannedDecimal()
      var ticks = PriceTicks(rawValue: 0)
      var lots = QtyLots.zero
      if wrong || position < 2 || self.number(price, &number) != .number {
        problem = problem ?? .missingMember
      } else if let found = listing.pointee.price(&number, &ticks) {
        problem = problem ?? found
      } else if self.number(size, &number) != .number {
        problem = problem ?? .missingMember
      } else if let found = listing.pointee.size(&number, &lots) {
        problem = problem ?? found
      } else if used == Self.levelCapacity {
        problem = problem ?? .impossible
      } else {
        levels[used] = ScannedLevel(ticks: ticks.rawValue, lots: lots.rawValue)
        used += 1
      }
    }
  }

  /// One trade of a list of them.
  mutating func publicTrade<Sink: VenueEventSink & ~Copyable>(
    _ members: OpaquePointer, _ instrument: InstrumentIndex, into sink: inout Sink
  ) -> ItemOutcome {
    let needed = BybitPublicTradeField.side.bit | BybitPublicTradeField.size.bit | BybitPublicTradeField.price.bit
    guard apus_members_texts(members) & needed == needed,
      apus_members_numbers(members) & BybitPublicTradeField.time.bit != 0
    else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let listing = listing(instrument) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    var price = ScannedDecimal(), size = ScannedDecimal()
    guard number(members, BybitPublicTradeField.price, &price) == .number,
      number(members, BybitPublicTradeField.size, &size) == .number
    else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    var ticks = PriceTicks(rawValue: 0)
    var lots = QtyLots.zero
    if let problem = listing.pointee.price(&price, &ticks) ?? listing.pointee.size(&size, &lots) {
      sink.refusedAtEdge(problem)
      return .refused
    }
    guard let side = Side(bybit: text(members, BybitPublicTradeField.side)) else {
      sink.refusedAtEdge(.unknownWord)
      return .refused
    }
    let time = Self.time(apus_members_decimal(members, BybitPublicTradeField.time.rawValue))
    sink.publicTrade(instrument, aggressor: side, price: ticks, qty: lots, time: time)
    return .delivered
  }

  /// A ticker message. Bid and ask in it are up to 100 ms old: not for quoting.
  mutating func ticker<Sink: VenueEventSink & ~Copyable>(
    _ topic: Int, _ frame: JSONCursor, _ start: JSONWalk, into sink: inout Sink
  ) {
    var json = frame
    var walk = start
    let entry = topics + topic
    let instrument = entry.pointee.instrument
    var message: BybitMessageWord?
    var isWordNew = false, isObject = false
    var time: Nanoseconds = 0
    while true {
      let found = apus_json_next_field(&json, entry.pointee.envelope, &walk)
      if found == BybitEnvelopeField.data.rawValue {
        isObject = json.isNext(.object)
        if isObject {
          apus_index_build(index.pointer, json.at, json.end - json.at)
          json.at += 1
          _ = apus_members_scan(&json, shapes.ticker.pointer, items.pointer, index.pointer)
        } else {
          json.skip()
        }
      } else if found == BybitEnvelopeField.type.rawValue {
        var word = JSONText()
        var wrong = false
        if json.text(&word, wrong: &wrong) {
          message = BybitMessageWord(word)
          isWordNew = message == nil
        }
      } else if found == BybitEnvelopeField.ts.rawValue {
        var number = ScannedDecimal()
        var wrong = false
        if json.number(&number, wrong: &wrong) { time = Self.time(&number) }
      } else if found == APUS_JSON_FIELD_END {
        break
      } else {
        json.skip()
      }
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    guard isObject, let message else {
      sink.refusedAtEdge(isWordNew ? .unknownWord : .missingMember)
      return
    }
    guard let listing = listing(instrument) else {
      sink.refusedAtEdge(.unknownName)
      return
    }
    let merged = tickers + Int(instrument)
    if message == .snapshot {
      // The collars come on a topic of their own, and stay.
      let old = merged.pointee.ticker
      merged.pointee = MergedTicker()
      merged.pointee.hasSnapshot = true
      if old.fields.contains(.collars) {
        merged.pointee.ticker.fields = .collars
        merged.pointee.ticker.collarLowE8 = old.collarLowE8
        merged.pointee.ticker.collarHighE8 = old.collarHighE8
      }
    } else if !merged.pointee.hasSnapshot {
      ignoredItems += 1
      return
    }
    let members = items.pointer
    let texts = apus_members_texts(members)
    let others = apus_members_numbers(members) | apus_members_others(members)
    if others & BybitTickerField.wanted != 0 { sink.refusedAtEdge(.missingMember) }
    if time > 0 { merged.pointee.ticker.venueTime = time }
    merge(texts, others, members, listing, &merged.pointee.ticker, into: &sink)
    sink.ticker(instrument, merged.pointee.ticker)
  }

  /// Takes the members that are there into a ticker. What is empty or cannot be read is absent from then on.
  @inline(always)
  private mutating func merge<Sink: VenueEventSink & ~Copyable>(
    _ texts: UInt32, _ others: UInt32, _ members: OpaquePointer, _ listing: UnsafePointer<Listing>,
    _ ticker: inout Ticker, into sink: inout Sink
  ) {
    let present = texts | others
    scaled(present, texts, members, .markPrice, 8, .mark, &ticker.markE8, &ticker.fields, into: &sink)
    scaled(present, texts, members, .indexPrice, 8, .index, &ticker.indexE8, &ticker.fields, into: &sink)
    scaled(present, texts, members, .fundingRate, 12, .funding, &ticker.fundingRateE12, &ticker.fields, into: &sink)
    if present & BybitTickerField.lastPrice.bit != 0 {
      price(texts, members, listing, .lastPrice, &ticker.lastPrice, into: &sink)
      if ticker.lastPrice.rawValue != 0 { ticker.fields.insert(.last) } else { ticker.fields.remove(.last) }
    }
    let bid = BybitTickerField.bid1Price.bit | BybitTickerField.bid1Size.bit
    if present & bid != 0 {
      side(
        present, texts, members, listing, .bid1Price, .bid1Size, .bid, &ticker.bidPrice, &ticker.bidQty, &ticker.fields,
        into: &sink)
    }
    let ask = BybitTickerField.ask1Price.bit | BybitTickerField.ask1Size.bit
    if present & ask != 0 {
      side(
        present, texts, members, listing, .ask1Price, .ask1Size, .ask, &ticker.askPrice, &ticker.askQty, &ticker.fields,
        into: &sink)
    }
  }

  /// A model value rounded to `places` decimals.
  @inline(always)
  private func scaled<Sink: VenueEventSink & ~Copyable>(
    _ present: UInt32, _ texts: UInt32, _ members: OpaquePointer, _ field: BybitTickerField, _ places: Int32,
    _ bit: TickerFields, _ out: inout Int64, _ fields: inout TickerFields, into sink: inout Sink
  ) {
    guard present & field.bit != 0 else { return }
    var value = ScannedDecimal()
    out = 0
    fields.remove(bit)
    guard texts & field.bit != 0 else { return }
    switch number(members, field, &value) {
    case .number:
      if apus_decimal_to_scaled(&value, places, &out) == .overflow {
        sink.refusedAtEdge(.impossible)
      } else {
        fields.insert(bit)
      }
    case .absent: break
    case .unreadable: sink.refusedAtEdge(.missingMember)
    }
  }

  /// A price on the grid; 0 for none.
  @inline(always)
  private func price<Sink: VenueEventSink & ~Copyable>(
    _ texts: UInt32, _ members: OpaquePointer, _ listing: UnsafePointer<Listing>, _ field: BybitTickerField,
    _ out: inout PriceTicks, into sink: inout Sink
  ) {
    out = PriceTicks(rawValue: 0)
    guard texts & field.bit != 0 else { return }
    var value = ScannedDecimal()
    switch number(members, field, &value) {
    case .number:
      if value.mantissa != 0, let problem = listing.pointee.price(&value, &out) {
        out = PriceTicks(rawValue: 0)
        sink.refusedAtEdge(problem)
      }
    case .absent: break
    case .unreadable: sink.refusedAtEdge(.missingMember)
    }
  }

  /// One side of which price or size has come; without either it is empty.
  @inline(always)
  private func side<Sink: VenueEventSink & ~Copyable>(
    _ present: UInt32, _ texts: UInt32, _ members: OpaquePointer, _ listing: UnsafePointer<Listing>,
    _ priceField: BybitTickerField, _ sizeField: BybitTickerField, _ bit: TickerFields, _ priceOut: inout PriceTicks,
    _ sizeOut: inout QtyLots, _ fields: inout TickerFields, into sink: inout Sink
  ) {
    if present & priceField.bit != 0 { price(texts, members, listing, priceField, &priceOut, into: &sink) }
    if present & sizeField.bit != 0 {
      sizeOut = .zero
      var value = ScannedDecimal()
      let kind = texts & sizeField.bit != 0 ? number(members, sizeField, &value) : .absent
      switch kind {
      case .number:
        if let problem = listing.pointee.size(&value, &sizeOut) {
          sizeOut = .zero
          sink.refusedAtEdge(problem)
        }
      case .absent: break
      case .unreadable: sink.refusedAtEdge(.missingMember)
      }
    }
    if priceOut.rawValue != 0, sizeOut > QtyLots.zero { fields.insert(bit) } else { fields.remove(bit) }
  }

  /// The prices beyond which orders are moved or refused: the collars of the ticker, which is delivered with them.
  mutating func priceLimit<Sink: VenueEventSink & ~Copyable>(
    _ topic: Int, _ frame: JSONCursor, _ start: JSONWalk, into sink: inout Sink
  ) {
    var json = frame
    var walk = start
    let entry = topics[topic]
    var isObject = false
    while true {
      let found = apus_json_next_field(&json, entry.envelope, &walk)
      if found == BybitEnvelopeField.data.rawValue {
        isObject = json.isNext(.object)
        if isObject {
          apus_index_build(index.pointer, json.at, json.end - json.at)
          json.at += 1
          _ = apus_members_scan(&json, shapes.priceLimit.pointer, items.pointer, index.pointer)
        } else {
          json.skip()
        }
      } else if found == APUS_JSON_FIELD_END {
        break
      } else {
        json.skip()
      }
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    let members = items.pointer
    let both = BybitPriceLimitField.highest.bit | BybitPriceLimitField.lowest.bit
    guard isObject, apus_members_texts(members) & both == both else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    _ = collars(
      entry.instrument, highest: apus_members_text(members, BybitPriceLimitField.highest.rawValue),
      lowest: apus_members_text(members, BybitPriceLimitField.lowest.rawValue), into: &sink)
  }

  /// Takes the highest price of a buy and the lowest of a sell into the ticker; false if they are refused.
  mutating func collars<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, highest: JSONText, lowest: JSONText, into sink: inout Sink
  ) -> Bool {
    var high = ScannedDecimal(), low = ScannedDecimal()
    guard number(highest, &high) == .number, number(lowest, &low) == .number else {
      sink.refusedAtEdge(.missingMember)
      return false
    }
    var highE8: Int64 = 0, lowE8: Int64 = 0
    guard apus_decimal_to_e8(&high, &highE8) != .overflow, apus_decimal_to_e8(&low, &lowE8) != .overflow, lowE8 >= 0,
      highE8 > 0
    else {
      sink.refusedAtEdge(.impossible)
      return false
    }
    let merged = tickers + Int(instrument)
    merged.pointee.ticker.collarHighE8 = highE8
    merged.pointee.ticker.collarLowE8 = lowE8
    merged.pointee.ticker.fields.insert(.collars)
    // Before the ticker itself there is no mark to go with them.
    if merged.pointee.hasSnapshot { sink.ticker(instrument, merged.pointee.ticker) }
    return true
  }
}

extension BybitTickerField {
  /// The members that are read; each is a string.
  @inline(always)
  static var wanted: UInt32 {
    lastPrice.bit | markPrice.bit | indexPrice.bit | fundingRate.bit | bid1Price.bit | bid1Size.bit | ask1Price.bit
      | ask1Size.bit
  }
}
