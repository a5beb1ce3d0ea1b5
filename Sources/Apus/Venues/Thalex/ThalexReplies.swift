import CSupport

/// Replies to requests that are not about one order, and the lists that also come as notifications.
extension ThalexDecoder {
  /// An error reply. Without a code it is still an error: the request failed.
  mutating func failure<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ value: JSONCursor, into sink: inout Sink
  ) {
    var json = value
    var number = ScannedDecimal()
    var wrong = false
    var code: Int64 = 0
    let found = member(.code, of: &json) { $0.number(&number, wrong: &wrong) }
    if !found || apus_decimal_to_scaled(&number, 0, &code) != .exact {
      sink.refusedAtEdge(.missingMember)
      code = 0
    }
    sink.refused(request, code: code)
  }

  /// A result. The envelope has been checked, and so has the value.
  mutating func success<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ value: JSONCursor, into sink: inout Sink
  ) {
    var json = value
    switch request {
    case .insert, .amend, .cancel: orderReply(request, &json, isOpen: false, into: &sink)
    case .massQuote(let serial): massQuoteReply(serial, &json, into: &sink)
    case .protection, .cancelMassQuote: sink.replied(request, value: 0)
    case .unknown: sink.replied(.unknown, value: 0)
    case .session(let session):
      switch session {
      case .login:
        var text = JSONText()
        var wrong = false
        if member(.accountNumber, of: &json, { $0.text(&text, wrong: &wrong) }) { accountNumber = string(text) }
        sink.replied(request, value: 0)
      case .cancelOnDisconnect: number(.messageRate, request, &json, into: &sink)
      case .cancelAll: number(nil, request, &json, into: &sink)
      case .cancelSession, .systemInfo, .cancelConditional, .heartbeat, .resetProtection:
        sink.replied(request, value: 0)
      case .instrument:
        if instrument(&json, isListed: true, into: &sink) != .refused { sink.replied(request, value: 0) }
      case .index: if priceIndex(&json, nil, into: &sink) { sink.replied(request, value: 0) }
      case .accountSummary: if account(&json, into: &sink) { sink.replied(request, value: 0) }
      case .subscribePublic, .subscribePrivate:
        confirm(request, &json, isConfirmed: true, into: &sink)
      case .unsubscribe: confirm(request, &json, isConfirmed: false, into: &sink)
      case .instruments: instruments(&json, snapshot: true, isWrapped: false, reply: request, into: &sink)
      case .openOrders where awaitedOrdersID ?? lastReplyID != lastReplyID,
        .tradeHistory where awaitedTradesID ?? lastReplyID != lastReplyID,
        .portfolio where awaitedPositionsID ?? lastReplyID != lastReplyID:
        sink.replied(.unknown, value: 0)
      case .openOrders:
        orders(&json, source: .query, snapshot: .openOrders, isSession: false, reply: request, into: &sink)
      case .portfolio: portfolio(&json, snapshot: true, reply: request, into: &sink)
      case .tradeHistory: tradeHistory(request, &json, into: &sink)
      }
    }
  }

  /// A result that is a whole number ≥ 0, or a member of it that is one.
  private mutating func number<Sink: VenueEventSink & ~Copyable>(
    _ field: DetailField?, _ request: RequestKind, _ json: inout JSONCursor, into sink: inout Sink
  ) {
    var number = ScannedDecimal()
    var wrong = false
    var value: Int64 = 0
    let found =
      if let field { member(field, of: &json) { $0.number(&number, wrong: &wrong) } } else {
        json.number(&number, wrong: &wrong)
      }
    if !found {
      sink.refusedAtEdge(.missingMember)
    } else if apus_decimal_to_scaled(&number, 0, &value) != .exact || value < 0 {
      sink.refusedAtEdge(.impossible)
    } else {
      sink.replied(request, value: value)
    }
  }

  /// A list of channels that were accepted or left.
  private mutating func confirm<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ json: inout JSONCursor, isConfirmed: Bool, into sink: inout Sink
  ) {
    guard isArray(&json, into: &sink) else { return }
    var count: Int64 = 0
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      scratchCount = 0
      var name = JSONText()
      var wrong = false
      guard json.text(&name, wrong: &wrong) else {
        sink.refusedAtEdge(.missingMember)
        isComplete = false
        continue
      }
      plain(&name)
      count += 1
      if let bytes = name.bytes, let index = channelNames.find(bytes, name.count) {
        channels[Int(index)].isConfirmed = isConfirmed
      } else {
        sink.refusedAtEdge(.unknownName)
      }
    }
    finish(&json, isComplete: isComplete, snapshot: nil, reply: request, value: isConfirmed ? count : 0, into: &sink)
  }

  private mutating func tradeHistory<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ value: inout JSONCursor, into sink: inout Sink
  ) {
    var list: JSONCursor?
    var bookmark = JSONText()
    var hasBookmark = false
    var wrong = false
    if value.isNext(.object) {
      value.at += 1
      var walk = JSONWalk()
      while true {
        let field = apus_json_next_field(&value, shapes.detail.pointer, &walk)
        if field == APUS_JSON_FIELD_END { break }
        if field == DetailField.trades.rawValue {
          list = value.checkedSlice()
        } else if field == DetailField.bookmark.rawValue {
          hasBookmark = value.text(&bookmark, wrong: &wrong)
        } else {
          value.skip()
        }
      }
    }
    guard var list, !wrong else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    tradeHistoryBookmark = hasBookmark ? string(bookmark) : nil
    trades(&list, source: .query, reply: (request, hasBookmark), into: &sink)
  }

  /// Portfolio lines: a snapshot, or only those that changed (reference 7.4).
  mutating func portfolio<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, snapshot isSnapshot: Bool, reply: RequestKind?, into sink: inout Sink
  ) {
    guard isArray(&json, into: &sink) else { return }
    let snapshot: SnapshotKind? = isSnapshot ? .portfolio : nil
    if let snapshot { sink.snapshotBegin(snapshot) }
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      scratchCount = 0
      if position(&json, into: &sink) == .refused { isComplete = false }
    }
    finish(&json, isComplete: isComplete, snapshot: snapshot, reply: reply, value: 0, into: &sink)
  }

  private mutating func position<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, into sink: inout Sink
  ) -> ItemOutcome {
    var name = JSONText()
    var size = ScannedDecimal(), mark = ScannedDecimal(), average = ScannedDecimal()
    var hasName = false, hasSize = false, hasMark = false, hasAverage = false, wrong = false
    if json.isNext(.object) {
      json.at += 1
      var walk = JSONWalk()
      while true {
        let index = apus_json_next_field(&json, shapes.position.pointer, &walk)
        guard let field = PositionField(rawValue: index) else {
          if index == APUS_JSON_FIELD_END { break }
          json.skip()
          continue
        }
        switch field {
        case .instrument: hasName = json.text(&name, wrong: &wrong)
        case .position: hasSize = json.number(&size, wrong: &wrong)
        case .mark: hasMark = json.number(&mark, wrong: &wrong)
        case .averagePrice: hasAverage = json.number(&average, wrong: &wrong)
        }
      }
    } else {
      json.skip()
    }
    if json.failed { return .refused }
    plain(&name)
    guard hasName, hasSize, !wrong, let bytes = name.bytes else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let index = instrumentNames.find(bytes, name.count) else {
      ignoredItems += 1
      return .ignored
    }
    var report = PositionReport()
    report.instrument = InstrumentIndex(index)
    guard let listing = listing(report.instrument) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    if let problem = listing.pointee.signedSize(&size, &report.position) {
      sink.refusedAtEdge(problem)
      return .refused
    }
    if hasMark && apus_decimal_to_e8(&mark, &report.markE8) == .overflow
      || hasAverage && apus_decimal_to_e8(&average, &report.averagePriceE8) == .overflow
    {
      sink.refusedAtEdge(.impossible)
      return .refused
    }
    sink.position(report)
    return .delivered
  }

  /// Instruments: objects, or objects wrapped as `{"added":…}` and `{"removed":…}`.
  mutating func instruments<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, snapshot isSnapshot: Bool, isWrapped: Bool, reply: RequestKind?, into sink: inout Sink
  ) {
    guard isArray(&json, into: &sink) else { return }
    let snapshot: SnapshotKind? = isSnapshot ? .instruments : nil
    if let snapshot { sink.snapshotBegin(snapshot) }
    if isSnapshot { for index in instruments.indices { listings[index].isListed = false } }
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      scratchCount = 0
      guard isWrapped, json.isNext(.object) else {
        if instrument(&json, isListed: true, into: &sink) == .refused { isComplete = false }
        continue
      }
      json.at += 1
      var walk = JSONWalk()
      while true {
        let field = apus_json_next_field(&json, shapes.detail.pointer, &walk)
        if field == APUS_JSON_FIELD_END { break }
        if field == DetailField.added.rawValue || field == DetailField.removed.rawValue {
          let isListed = field == DetailField.added.rawValue
          if instrument(&json, isListed: isListed, into: &sink) == .refused { isComplete = false }
        } else {
          json.skip()
        }
      }
    }
    finish(&json, isComplete: isComplete, snapshot: snapshot, reply: reply, value: 0, into: &sink)
  }

  /// One instrument. Its grid is in force at once; a removed one keeps it, for what may still come about it.
  private mutating func instrument<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, isListed: Bool, into sink: inout Sink
  ) -> ItemOutcome {
    var item = InstrumentItem()
    if json.isNext(.object) {
      json.at += 1
      var walk = JSONWalk()
      while true {
        let index = apus_json_next_field(&json, shapes.instrument.pointer, &walk)
        guard let field = InstrumentField(rawValue: index) else {
          if index == APUS_JSON_FIELD_END { break }
          json.skip()
          continue
        }
        switch field {
        case .name: item.hasName = json.text(&item.name, wrong: &item.wrong)
        case .product: _ = json.text(&item.product, wrong: &item.wrong)
        case .type: item.hasType = json.text(&item.type, wrong: &item.wrong)
        case .tick: item.hasTick = json.number(&item.tick, wrong: &item.wrong)
        case .lot: item.hasLot = json.number(&item.lot, wrong: &item.wrong)
        case .minimum: item.hasMinimum = json.number(&item.minimum, wrong: &item.wrong)
        case .expiry: item.hasExpiry = json.number(&item.expiry, wrong: &item.wrong)
        case .underlying: _ = json.text(&item.underlying, wrong: &item.wrong)
        case .optionType: item.hasOptionType = json.text(&item.optionType, wrong: &item.wrong)
        case .strike: item.hasStrike = json.number(&item.strike, wrong: &item.wrong)
        case .expiryDate, .currency, .createTime: json.skip()
        }
      }
    } else {
      json.skip()
    }
    if json.failed { return .refused }
    plain(&item.name)
    plain(&item.type)
    plain(&item.product)
    plain(&item.underlying)
    plain(&item.optionType)
    guard item.hasName, let bytes = item.name.bytes else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    let wanted = instrumentNames.find(bytes, item.name.count)
    let family = family(item)
    guard wanted != nil || family != nil else {
      ignoredItems += 1
      return .ignored
    }
    guard item.hasTick, item.hasLot, item.hasMinimum, item.hasType, !item.wrong else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    var tickE8: Int64 = 0, lotE8: Int64 = 0, minimumLots: Int64 = 0, seconds: Int64 = 0, strikeE8: Int64 = 0
    guard apus_decimal_to_e8(&item.tick, &tickE8) == .exact, apus_decimal_to_e8(&item.lot, &lotE8) == .exact,
      tickE8 > 0, lotE8 > 0,
      !item.hasExpiry || apus_decimal_to_scaled(&item.expiry, 0, &seconds) != .overflow && seconds >= 0,
      !item.hasStrike || apus_decimal_to_e8(&item.strike, &strikeE8) != .overflow && strikeE8 > 0
    else {
      sink.refusedAtEdge(.impossible)
      return .refused
    }
    var lotStep = apus_step_make(lotE8)
    let outcome = apus_decimal_to_steps(&item.minimum, &lotStep, &minimumLots)
    guard outcome == .exact || outcome == .inexact, minimumLots >= 1 else {
      sink.refusedAtEdge(.offGrid)
      return .refused
    }
    let kind = InstrumentKind(item.type)
    if kind == nil { sink.refusedAtEdge(.unknownWord) }
    let grid = InstrumentGrid(tickE8: tickE8, lotE8: lotE8, minimumLots: QtyLots(rawValue: minimumLots))
    var group = noProduct
    if let text = item.product.bytes, let found = productNames.find(text, item.product.count) {
      group = ProductIndex(found)
    }
    if let wanted {
      if group != noProduct {
        let known = productLots[Int(group)]
        productLots[Int(group)] = known == 0 ? lotE8 : min(known, lotE8)
      }
      let info = InstrumentInfo(
        index: InstrumentIndex(wanted), kind: kind ?? .other, grid: grid, expirySeconds: seconds, product: group,
        optionType: item.hasOptionType ? Self.optionType(item.optionType) ?? .none : .none, strikeE8: strikeE8)
      var known = Listing(info, isListed: isListed)
      listings[Int(wanted)] = known
      apus_level_grid_set(grids + Int(wanted), &known.tick, &known.lot)
      forgetTickers(of: InstrumentIndex(wanted))
      sink.instrument(info, isListed: isListed)
    }
    guard let family, let kind else { return .delivered }
    var listing = InstrumentListing()
    listing.family = family
    listing.kind = kind
    listing.product = group
    listing.instrument = wanted.map { InstrumentIndex($0) } ?? .max
    listing.grid = grid
    listing.expirySeconds = seconds
    listing.strikeE8 = strikeE8
    guard apus_id_set(&listing.name, bytes, item.name.count) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    if item.hasOptionType {
      if let type = Self.optionType(item.optionType) {
        listing.optionType = type
      } else {
        sink.refusedAtEdge(.unknownWord)
      }
    }
    sink.listing(listing, isListed: isListed)
    return .delivered
  }

  private static func optionType(_ text: JSONText) -> OptionType? {
    if text.equals("call") { return .call }
    return text.equals("put") ? .put : nil
  }

  /// The members of an instrument as they stand in the frame.
  private struct InstrumentItem {
    var name = JSONText(), type = JSONText(), product = JSONText(), underlying = JSONText(), optionType = JSONText()
    var tick = ScannedDecimal(), lot = ScannedDecimal(), minimum = ScannedDecimal(), expiry = ScannedDecimal()
    var strike = ScannedDecimal()
    var hasName = false, hasType = false, hasTick = false, hasLot = false, hasMinimum = false, hasExpiry = false
    var hasStrike = false, hasOptionType = false, wrong = false
  }

  /// The watched family that an instrument belongs to.
  private mutating func family(_ item: InstrumentItem) -> Int? {
    guard familyCount > 0, let kind = InstrumentKind(item.type), let bytes = item.underlying.bytes,
      let underlying = underlyingNames.find(bytes, item.underlying.count)
    else { return nil }
    for place in 0..<familyCount
    where families[place].kind == kind && families[place].underlying == UnderlyingIndex(underlying) {
      return place
    }
    return nil
  }

  /// A copy of a text with its escapes resolved. Allocates.
  private func string(_ text: JSONText) -> String {
    guard let bytes = text.bytes else { return "" }
    return String(unsafeUninitializedCapacity: text.count) { buffer in
      buffer.withMemoryRebound(to: CChar.self) { out in
        guard let start = out.baseAddress else { return 0 }
        return max(0, Int(apus_json_unescape(bytes, text.count, start, out.count)))
      }
    }
  }
}
