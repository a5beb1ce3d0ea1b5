import CSupport

/// Tickers, books and the index (protocol reference 5.3-5.6).
extension ThalexDecoder {
  /// One ticker, delivered whole or not at all. A last price off the grid (older than a change of the tick)
  /// only loses its member; a bid or ask off the grid refuses the ticker.
  mutating func ticker<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ json: inout JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    var ticker = Ticker()
    var problem: DecodeProblem?
    var wrong = false
    var lastIsOffGrid = false
    var number = ScannedDecimal()
    var bidPrice = ScannedDecimal(), bidQty = ScannedDecimal(), askPrice = ScannedDecimal(), askQty = ScannedDecimal()
    var hasBidPrice = false, hasBidQty = false, hasAskPrice = false, hasAskQty = false
    var hasLow = false, hasHigh = false
    let listing = listing(instrument)
    var walk = JSONWalk()
    if !json.isNext(.object) {
      wrong = true
      json.skip()
      walk.started = true
    } else {
      json.at += 1
      while true {
        let index = apus_json_next_field(&json, shapes.ticker.pointer, &walk)
        guard let field = TickerField(rawValue: index) else {
          if index == APUS_JSON_FIELD_END { break }
          json.skip()
          continue
        }
        switch field {
        case .markPrice:
          if json.number(&number, wrong: &wrong) {
            ticker.fields.formUnion(scaled(&number, 8, &ticker.markE8, .mark, &problem))
          }
        case .markTimestamp:
          if json.number(&number, wrong: &wrong) { _ = apus_decimal_to_ns(&number, &ticker.venueTime) }
        case .bidPrice: hasBidPrice = json.number(&bidPrice, wrong: &wrong)
        case .bidAmount: hasBidQty = json.number(&bidQty, wrong: &wrong)
        case .askPrice: hasAskPrice = json.number(&askPrice, wrong: &wrong)
        case .askAmount: hasAskQty = json.number(&askQty, wrong: &wrong)
        case .lastPrice:
          if json.number(&number, wrong: &wrong), let listing {
            if listing.pointee.price(&number, &ticker.lastPrice) == nil {
              ticker.fields.insert(.last)
            } else {
              lastIsOffGrid = true
            }
          }
        case .index:
          if json.number(&number, wrong: &wrong) {
            ticker.fields.formUnion(scaled(&number, 8, &ticker.indexE8, .index, &problem))
          }
        case .collarLow:
          if json.number(&number, wrong: &wrong) {
            hasLow = !scaled(&number, 8, &ticker.collarLowE8, .collars, &problem).isEmpty
          }
        case .collarHigh:
          if json.number(&number, wrong: &wrong) {
            hasHigh = !scaled(&number, 8, &ticker.collarHighE8, .collars, &problem).isEmpty
          }
        case .fundingRate:
          if json.number(&number, wrong: &wrong) {
            ticker.fields.formUnion(scaled(&number, 12, &ticker.fundingRateE12, .funding, &problem))
          }
        case .impliedVolatility, .delta, .volume, .value, .low, .high, .change, .forward, .openInterest,
          .fundingMark, .realisedFunding, .averageFunding:
          json.skip()
        }
      }
    }
    guard ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    if wrong || hasBidPrice != hasBidQty || hasAskPrice != hasAskQty { problem = problem ?? .missingMember }
    if let listing {
      if hasLow, hasHigh { ticker.fields.insert(.collars) }
      if hasBidPrice, hasBidQty {
        level(
          listing, &bidPrice, &bidQty, .bid, &ticker.bidPrice, &ticker.bidQty, &ticker.fields, &problem)
      }
      if hasAskPrice, hasAskQty {
        level(
          listing, &askPrice, &askQty, .ask, &ticker.askPrice, &ticker.askQty, &ticker.fields, &problem)
      }
    } else {
      problem = problem ?? .unknownName
    }
    if let problem {
      sink.refusedAtEdge(problem)
      return
    }
    if lastIsOffGrid { sink.refusedAtEdge(.offGrid) }
    sink.ticker(instrument, ticker)
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
        case .volatility: json.skip()
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
    _ number: inout ScannedDecimal, _ places: Int32, _ out: inout Int64, _ bit: TickerFields,
    _ problem: inout DecodeProblem?
  ) -> TickerFields {
    if apus_decimal_to_scaled(&number, places, &out) == .overflow {
      problem = problem ?? .impossible
      return []
    }
    return bit
  }

  /// One side of a ticker; a size of 0 means that the side is empty.
  @inline(always)
  func level(
    _ listing: UnsafePointer<Listing>, _ price: inout ScannedDecimal, _ qty: inout ScannedDecimal, _ bit: TickerFields,
    _ priceOut: inout PriceTicks, _ qtyOut: inout QtyLots, _ fields: inout TickerFields,
    _ problem: inout DecodeProblem?
  ) {
    if let found = listing.pointee.price(&price, &priceOut) ?? listing.pointee.size(&qty, &qtyOut) {
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
  private mutating func publicTrades<Sink: VenueEventSink & ~Copyable>(
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

  /// The index of an underlying, above 0.
  mutating func priceIndex<Sink: VenueEventSink & ~Copyable>(_ json: inout JSONCursor, into sink: inout Sink) {
    var number = ScannedDecimal()
    var wrong = false
    let found = member(.price, of: &json) { $0.number(&number, wrong: &wrong) }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    var value: Int64 = 0
    if !found {
      sink.refusedAtEdge(.missingMember)
    } else if apus_decimal_to_e8(&number, &value) == .overflow || value <= 0 {
      sink.refusedAtEdge(.impossible)
    } else {
      sink.indexPrice(value)
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
