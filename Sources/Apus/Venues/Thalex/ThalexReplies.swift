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
      case .cancelSession, .systemInfo: sink.replied(request, value: 0)
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
    var name = JSONText(), type = JSONText(), product = JSONText()
    var tick = ScannedDecimal(), lot = ScannedDecimal(), minimum = ScannedDecimal(), expiry = ScannedDecimal()
    var hasName = false, hasType = false, hasTick = false, hasLot = false, hasMinimum = false, hasExpiry = false
    var wrong = false
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
        case .name: hasName = json.text(&name, wrong: &wrong)
        case .product: _ = json.text(&product, wrong: &wrong)
        case .type: hasType = json.text(&type, wrong: &wrong)
        case .tick: hasTick = json.number(&tick, wrong: &wrong)
        case .lot: hasLot = json.number(&lot, wrong: &wrong)
        case .minimum: hasMinimum = json.number(&minimum, wrong: &wrong)
        case .expiry: hasExpiry = json.number(&expiry, wrong: &wrong)
        }
      }
    } else {
      json.skip()
    }
    if json.failed { return .refused }
    plain(&name)
    plain(&type)
    plain(&product)
    guard hasName, let bytes = name.bytes else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let index = instrumentNames.find(bytes, name.count) else {
      ignoredItems += 1
      return .ignored
    }
    guard hasTick, hasLot, hasMinimum, hasType, !wrong else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    var tickE8: Int64 = 0, lotE8: Int64 = 0, minimumLots: Int64 = 0, seconds: Int64 = 0
    guard apus_decimal_to_e8(&tick, &tickE8) == .exact, apus_decimal_to_e8(&lot, &lotE8) == .exact, tickE8 > 0,
      lotE8 > 0,
      !hasExpiry || apus_decimal_to_scaled(&expiry, 0, &seconds) != .overflow && seconds >= 0
    else {
      sink.refusedAtEdge(.impossible)
      return .refused
    }
    var lotStep = apus_step_make(lotE8)
    let outcome = apus_decimal_to_steps(&minimum, &lotStep, &minimumLots)
    guard outcome == .exact || outcome == .inexact, minimumLots >= 1 else {
      sink.refusedAtEdge(.offGrid)
      return .refused
    }
    let kind = InstrumentKind(type)
    if kind == nil { sink.refusedAtEdge(.unknownWord) }
    var group = noProduct
    if let bytes = product.bytes, let found = productNames.find(bytes, product.count) {
      group = ProductIndex(found)
      let known = productLots[Int(found)]
      productLots[Int(found)] = known == 0 ? lotE8 : min(known, lotE8)
    }
    let info = InstrumentInfo(
      index: InstrumentIndex(index), kind: kind ?? .other,
      grid: InstrumentGrid(tickE8: tickE8, lotE8: lotE8, minimumLots: QtyLots(rawValue: minimumLots)),
      expirySeconds: seconds, product: group)
    var tickStep = apus_step_make(tickE8)
    listings[Int(index)] = Listing(info: info, tick: tickStep, lot: lotStep, hasGrid: true)
    apus_level_grid_set(grids + Int(index), &tickStep, &lotStep)
    sink.instrument(info, isListed: isListed)
    return .delivered
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
