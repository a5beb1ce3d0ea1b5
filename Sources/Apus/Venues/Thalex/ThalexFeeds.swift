import CSupport

/// Feeds about many instruments, about underlyings and about the account (protocol reference 5.4, 5.6, 7.5). None of
/// them is on the way from a tick to an order of a lane that subscribes tickers and books.
extension ThalexDecoder {
  /// 08:00 UTC of a date as `2026-04-24`, seconds since the Unix epoch; `nil` if it is no date.
  static func expiry(ofDate text: some StringProtocol) -> Int64? {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].count == 4, parts[1].count == 2, parts[2].count == 2, let year = Int64(parts[0]),
      let month = Int64(parts[1]), let day = Int64(parts[2]), (1970...9999).contains(year), (1...12).contains(month),
      (1...31).contains(day)
    else { return nil }
    // Days of the civil calendar, counted from March.
    let y = month <= 2 ? year - 1 : year
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let days = y * 365 + y / 4 - y / 100 + y / 400 + dayOfYear - 719_468
    return days * 86_400 + 8 * 3_600
  }

  /// One light ticker of many: an array of numbers and of `[price, amount]` (empty or null for none).
  private enum LightValue {
    case time, mark, index, forward, volatility, bid, ask, last, fundingMark, fundingRate
  }
  /// What stands at a place. A switch and no table: a table of this kind would be made lazily, on the lane.
  @inline(__always)
  private static func lightValue(_ place: Int, _ kind: ThalexChannel) -> LightValue? {
    if kind == .lightOptions {
      switch place {
      case 0: return .time
      case 1: return .mark
      case 2: return .index
      case 3: return .forward
      case 4: return .volatility
      case 5: return .bid
      case 6: return .ask
      case 7: return .last
      default: return nil
      }
    }
    switch place {
    case 0: return .time
    case 1: return .mark
    case 2: return .index
    case 3: return .bid
    case 4: return .ask
    case 5: return .last
    case 6: return .fundingMark
    case 7: return .fundingRate
    default: return nil
    }
  }

  /// `{"tickers":{name:[…]}}`: one ticker for each wanted instrument; the others are counted in `ignoredItems`.
  mutating func lightTickers<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, _ kind: ThalexChannel, into sink: inout Sink
  ) {
    var tickers: JSONCursor?
    _ = member(.tickers, of: &json) { value in
      tickers = value.checkedSlice()
      return true
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    guard var tickers, tickers.isNext(.object) else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    tickers.at += 1
    var started = false
    var name = JSONText()
    while apus_json_next_key(&tickers, &started, &name) {
      scratchCount = 0
      plain(&name)
      guard let bytes = name.bytes, let found = instrumentNames.find(bytes, name.count) else {
        tickers.skip()
        ignoredItems += 1
        continue
      }
      lightTicker(InstrumentIndex(found), &tickers, kind, into: &sink)
    }
  }

  private mutating func lightTicker<Sink: VenueEventSink & ~Copyable>(
    _ instrument: InstrumentIndex, _ json: inout JSONCursor, _ kind: ThalexChannel, into sink: inout Sink
  ) {
    guard json.isNext(.array) else {
      json.skip()
      sink.refusedAtEdge(.missingMember)
      return
    }
    json.at += 1
    let listing = listing(instrument)
    var ticker = Ticker()
    var problem: DecodeProblem?
    var wrong = false, lastIsOffGrid = false
    var started = false
    var count = 0
    var number = ScannedDecimal()
    while apus_json_next_element(&json, &started) {
      let next = Self.lightValue(count, kind)
      count += 1
      guard let value = next else {
        json.skip()
        continue
      }
      switch value {
      case .bid, .ask:
        var price = ScannedDecimal(), qty = ScannedDecimal()
        let size = pair(&json, &price, &qty, &wrong)
        guard size == 2, let listing else {
          if size == 1 { wrong = true }
          continue
        }
        if value == .bid {
          level(listing, &price, &qty, .bid, &ticker.bidPrice, &ticker.bidQty, &ticker.fields, &problem)
        } else {
          level(listing, &price, &qty, .ask, &ticker.askPrice, &ticker.askQty, &ticker.fields, &problem)
        }
        continue
      default: break
      }
      guard json.number(&number, wrong: &wrong) else { continue }
      switch value {
      case .time: _ = apus_decimal_to_ns(&number, &ticker.venueTime)
      case .mark: ticker.fields.formUnion(scaled(&number, 8, &ticker.markE8, .mark, &problem))
      case .index: ticker.fields.formUnion(scaled(&number, 8, &ticker.indexE8, .index, &problem))
      case .forward: ticker.fields.formUnion(scaled(&number, 8, &ticker.forwardE8, .forward, &problem))
      case .volatility: ticker.fields.formUnion(scaled(&number, 8, &ticker.volatilityE8, .volatility, &problem))
      case .fundingMark: ticker.fields.formUnion(scaled(&number, 8, &ticker.fundingMarkE8, .fundingMark, &problem))
      case .fundingRate: ticker.fields.formUnion(scaled(&number, 12, &ticker.fundingRateE12, .funding, &problem))
      case .last:
        guard let listing else { continue }
        if listing.pointee.price(&number, &ticker.lastPrice) == nil {
          ticker.fields.insert(.last)
        } else {
          lastIsOffGrid = true
        }
      case .bid, .ask: break
      }
    }
    let isComplete =
      switch kind {
      case .lightOptions: count == 8
      case .lightRolls: count == 6
      default: count == 6 || count == 8
      }
    if wrong || !isComplete { problem = problem ?? .missingMember }
    if listing == nil { problem = problem ?? .unknownName }
    if let problem {
      sink.refusedAtEdge(problem)
      return
    }
    if lastIsOffGrid { sink.refusedAtEdge(.offGrid) }
    sink.ticker(instrument, ticker)
  }

  /// `[price, amount, aggressor, time, instrument, implied]`; old trades lie between the ends of a snapshot.
  mutating func recentTrades<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, isSnapshot: Bool, into sink: inout Sink
  ) {
    guard isArray(&json, into: &sink) else { return }
    let snapshot: SnapshotKind? = isSnapshot ? .recentTrades : nil
    if let snapshot { sink.snapshotBegin(snapshot) }
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      scratchCount = 0
      if recentTrade(&json, into: &sink) == .refused { isComplete = false }
    }
    finish(&json, isComplete: isComplete, snapshot: snapshot, reply: nil, value: 0, into: &sink)
  }

  private mutating func recentTrade<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, into sink: inout Sink
  ) -> ItemOutcome {
    var price = ScannedDecimal(), qty = ScannedDecimal(), time = ScannedDecimal()
    var word = JSONText(), name = JSONText()
    var wrong = false, started = false
    var position = 0, found = 0
    if json.isNext(.array) {
      json.at += 1
      while apus_json_next_element(&json, &started) {
        switch position {
        case 0: found += json.number(&price, wrong: &wrong) ? 1 : 0
        case 1: found += json.number(&qty, wrong: &wrong) ? 1 : 0
        case 2: found += json.text(&word, wrong: &wrong) ? 1 : 0
        case 3: found += json.number(&time, wrong: &wrong) ? 1 : 0
        case 4: found += json.text(&name, wrong: &wrong) ? 1 : 0
        default: json.skip()
        }
        position += 1
      }
    } else {
      json.skip()
    }
    if json.failed { return .refused }
    plain(&word)
    plain(&name)
    guard found == 5, let bytes = name.bytes else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let index = instrumentNames.find(bytes, name.count) else {
      ignoredItems += 1
      return .ignored
    }
    var ticks = PriceTicks(rawValue: 0)
    var lots = QtyLots.zero
    var stamp: Nanoseconds = 0
    let problem: DecodeProblem? =
      if let listing = listing(InstrumentIndex(index)) {
        listing.pointee.price(&price, &ticks) ?? listing.pointee.size(&qty, &lots)
      } else {
        .unknownName
      }
    let side = Side(word)
    if let problem = problem ?? (side == nil ? .unknownWord : nil) {
      sink.refusedAtEdge(problem)
      return .refused
    }
    _ = apus_decimal_to_ns(&time, &stamp)
    sink.publicTrade(InstrumentIndex(index), aggressor: side ?? .buy, price: ticks, qty: lots, time: stamp)
    return .delivered
  }

  /// The index of an underlying, above 0. The reply to a query names it, a channel has it in its own name.
  mutating func priceIndex<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, _ underlying: UnderlyingIndex?, into sink: inout Sink
  ) -> Bool {
    var report = IndexReport()
    var name = JSONText()
    var number = ScannedDecimal()
    var hasPrice = false, wrong = false, isTooLarge = false
    func optional(_ json: inout JSONCursor, _ out: inout Int64?) {
      var value: Int64 = 0
      guard json.number(&number, wrong: &wrong) else { return }
      if apus_decimal_to_e8(&number, &value) == .overflow { isTooLarge = true } else { out = value }
    }
    if json.isNext(.object) {
      json.at += 1
      var walk = JSONWalk()
      while true {
        let index = apus_json_next_field(&json, shapes.priceIndex.pointer, &walk)
        guard let field = IndexField(rawValue: index) else {
          if index == APUS_JSON_FIELD_END { break }
          json.skip()
          continue
        }
        switch field {
        case .name: _ = json.text(&name, wrong: &wrong)
        case .price:
          hasPrice = json.number(&number, wrong: &wrong)
          if hasPrice, apus_decimal_to_e8(&number, &report.priceE8) == .overflow { isTooLarge = true }
        case .timestamp: if json.number(&number, wrong: &wrong) { _ = apus_decimal_to_ns(&number, &report.venueTime) }
        case .expirationAverage: optional(&json, &report.expirationAverageE8)
        case .expirationProgress: optional(&json, &report.expirationProgressE8)
        case .expectedExpiration: optional(&json, &report.expectedExpirationE8)
        case .previousSettlement: optional(&json, &report.previousSettlementE8)
        }
      }
    } else {
      json.skip()
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return false
    }
    guard hasPrice, !wrong else {
      sink.refusedAtEdge(.missingMember)
      return false
    }
    guard !isTooLarge, report.priceE8 > 0 else {
      sink.refusedAtEdge(.impossible)
      return false
    }
    var named = underlying
    if underlying == nil {
      scratchCount = 0
      plain(&name)
      if let bytes = name.bytes, let found = underlyingNames.find(bytes, name.count) {
        named = UnderlyingIndex(found)
      } else {
        ignoredItems += 1
      }
    }
    if let named { sink.index(named, report) }
    return true
  }

  /// What the options of one expiry are priced from.
  mutating func basePrice<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, _ entry: ChannelEntry, into sink: inout Sink
  ) {
    var report = BasePrice()
    var name = JSONText()
    var number = ScannedDecimal()
    var found = 0
    var wrong = false, isTooLarge = false
    func value(_ json: inout JSONCursor, _ bit: Int, _ out: inout Int64) {
      guard json.number(&number, wrong: &wrong) else { return }
      found |= bit
      if apus_decimal_to_e8(&number, &out) == .overflow { isTooLarge = true }
    }
    if json.isNext(.object) {
      json.at += 1
      var walk = JSONWalk()
      while true {
        let index = apus_json_next_field(&json, shapes.basePrice.pointer, &walk)
        guard let field = BasePriceField(rawValue: index) else {
          if index == APUS_JSON_FIELD_END { break }
          json.skip()
          continue
        }
        switch field {
        case .name: _ = json.text(&name, wrong: &wrong)
        case .price: value(&json, 1, &report.priceE8)
        case .index: value(&json, 2, &report.indexE8)
        case .delta: value(&json, 4, &report.indexDeltaE8)
        }
      }
    } else {
      json.skip()
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    guard found == 7, !wrong else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    guard !isTooLarge, report.priceE8 > 0, report.indexE8 > 0 else {
      sink.refusedAtEdge(.impossible)
      return
    }
    scratchCount = 0
    plain(&name)
    if let bytes = name.bytes, let index = instrumentNames.find(bytes, name.count) {
      report.instrument = InstrumentIndex(index)
    }
    sink.basePrice(entry.underlying, expirySeconds: entry.expirySeconds, report)
  }

  /// The state of the account; what is held in which currency is left out.
  mutating func account<Sink: VenueEventSink & ~Copyable>(_ json: inout JSONCursor, into sink: inout Sink) -> Bool {
    var summary = AccountSummary()
    var number = ScannedDecimal()
    var found = 0
    var wrong = false, isTooLarge = false
    func value(_ json: inout JSONCursor, _ bit: Int, _ out: inout Int64) {
      guard json.number(&number, wrong: &wrong) else { return }
      found |= bit
      if apus_decimal_to_e8(&number, &out) == .overflow { isTooLarge = true }
    }
    if json.isNext(.object) {
      json.at += 1
      var walk = JSONWalk()
      while true {
        let index = apus_json_next_field(&json, shapes.account.pointer, &walk)
        guard let field = AccountField(rawValue: index) else {
          if index == APUS_JSON_FIELD_END { break }
          json.skip()
          continue
        }
        switch field {
        case .cash: json.skip()
        case .unrealised: value(&json, 1, &summary.unrealisedE8)
        case .cashCollateral: value(&json, 2, &summary.cashCollateralE8)
        case .margin: value(&json, 4, &summary.marginE8)
        case .requiredMargin: value(&json, 8, &summary.requiredMarginE8)
        case .remainingMargin: value(&json, 16, &summary.remainingMarginE8)
        case .sessionRealised: value(&json, 32, &summary.sessionRealisedE8)
        }
      }
    } else {
      json.skip()
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return false
    }
    guard found == 63, !wrong else {
      sink.refusedAtEdge(.missingMember)
      return false
    }
    guard !isTooLarge else {
      sink.refusedAtEdge(.impossible)
      return false
    }
    sink.account(summary)
    return true
  }
}
