import CSupport

/// Replies that are not about one order (protocol, sections 2, 9, 11.3, 15 and 16).
extension DeribitDecoder {
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
    apus_index_build(index.pointer, json.at, json.end - json.at)
    switch request {
    case .cancel where json.isNext(.number): cancelled(request, &json, into: &sink)
    case .insert, .amend, .cancel: orderReply(request, json, into: &sink)
    case .massQuote(let serial): massQuoteReply(serial, json, into: &sink)
    case .protection, .cancelMassQuote: sink.replied(request, value: 0)
    case .unknown: sink.replied(.unknown, value: 0)
    case .session(let session):
      switch session {
      case .login, .cancelOnDisconnect, .heartbeat, .cancelSession, .systemInfo, .cancelConditional, .cancelAll, .index,
        .instruments, .resetProtection:
        sink.replied(request, value: 0)
      case .accountSummary: limits(request, json, into: &sink)
      case .instrument:
        if instrument(&json, into: &sink) { sink.replied(request, value: 0) }
      case .subscribePublic, .subscribePrivate, .unsubscribe: channels(request, &json, into: &sink)
      case .openOrders where awaitedOrdersID ?? lastReplyID != lastReplyID,
        .tradeHistory where awaitedTradesID ?? lastReplyID != lastReplyID,
        .portfolio where awaitedPositionsID ?? lastReplyID != lastReplyID:
        sink.replied(.unknown, value: 0)
      case .openOrders:
        sink.snapshotBegin(.openOrders)
        guard orders(&json, source: .query, into: &sink) else { return }
        sink.snapshotEnd(.openOrders)
        sink.replied(request, value: 0)
      case .portfolio:
        sink.snapshotBegin(.portfolio)
        guard positions(&json, into: &sink) else { return }
        sink.snapshotEnd(.portfolio)
        sink.replied(request, value: 0)
      case .tradeHistory: tradeHistory(request, &json, into: &sink)
      }
    }
  }

  /// The answer to a cancel by label says how many orders it ended. None: the order was gone before (section 10.3).
  private mutating func cancelled<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ json: inout JSONCursor, into sink: inout Sink
  ) {
    var number = ScannedDecimal()
    var count: Int64 = 0
    guard apus_json_number(&json, &number), apus_decimal_to_scaled(&number, 0, &count) == .exact else {
      sink.refusedAtEdge(.impossible)
      return
    }
    if count > 0 { sink.replied(request, value: count) } else { sink.refused(request, code: DeribitCode.notOpenOrder) }
  }

  /// The channels that were accepted; invalid ones are missing without a word (section 6).
  private mutating func channels<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ json: inout JSONCursor, into sink: inout Sink
  ) {
    guard apus_json_accept(&json, 0x5B) else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    var count: Int64 = 0
    var started = false
    while apus_json_next_element(&json, &started) {
      json.skip()
      count += 1
    }
    sink.replied(request, value: count)
  }

  private mutating func tradeHistory<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ json: inout JSONCursor, into sink: inout Sink
  ) {
    var parts = Parts()
    guard read(&parts, &json), var list = parts.trades else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    sink.snapshotBegin(.tradeHistory)
    guard trades(&list, source: .query, into: &sink) else { return }
    hasMoreTrades = parts.hasMore
    sink.snapshotEnd(.tradeHistory)
    sink.replied(request, value: parts.hasMore || tradesGoOn ? 1 : 0)
  }

  /// Positions, which have been checked; false if one of them was refused.
  mutating func positions<Sink: VenueEventSink & ~Copyable>(_ json: inout JSONCursor, into sink: inout Sink) -> Bool {
    guard apus_json_accept(&json, 0x5B) else {
      sink.refusedAtEdge(.missingMember)
      return false
    }
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      if position(&json, into: &sink) == .refused { isComplete = false }
    }
    return isComplete && !json.failed
  }

  /// The size of an inverse future is in the quote currency and that of an option in contracts, as their orders' amounts
  /// are; a linear future states its amount as `size_currency`, and its `size` is a value (section 11.3).
  private mutating func position<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, into sink: inout Sink
  ) -> ItemOutcome {
    guard scan(&json, shapes.position.pointer) else {
      sink.refusedAtEdge(json.failed ? .malformed : .missingMember)
      return .refused
    }
    return deliverPosition(into: &sink)
  }

  /// The position in `table`.
  mutating func deliverPosition<Sink: VenueEventSink & ~Copyable>(into sink: inout Sink) -> ItemOutcome {
    typealias Field = DeribitPositionField
    scratchCount = 0
    let numbers = apus_members_numbers(table), texts = apus_members_texts(table)
    guard texts & Field.instrument.bit != 0 else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let instrument = instrument(text(Field.instrument)) else {
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listing(instrument) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    let info = listing.pointee.info
    let field = info.contract == .linear && info.kind != .option ? Field.coins : Field.size
    var report = PositionReport()
    report.instrument = instrument
    guard numbers & field.bit != 0 else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    if let problem = listing.pointee.signedSize(decimal(field), &report.position) {
      sink.refusedAtEdge(problem)
      return .refused
    }
    if numbers & Field.mark.bit != 0 && apus_decimal_to_e8(decimal(Field.mark), &report.markE8) == .overflow
      || numbers & Field.average.bit != 0
        && apus_decimal_to_e8(decimal(Field.average), &report.averagePriceE8) == .overflow
    {
      sink.refusedAtEdge(.impossible)
      return .refused
    }
    sink.position(report)
    return .delivered
  }

  /// One instrument; its grid is in force at once. False if it was refused.
  private mutating func instrument<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, into sink: inout Sink
  ) -> Bool {
    typealias Field = DeribitInstrumentField
    guard scan(&json, shapes.instrument.pointer) else {
      sink.refusedAtEdge(json.failed ? .malformed : .missingMember)
      return false
    }
    let numbers = apus_members_numbers(table), texts = apus_members_texts(table)
    let neededTexts = Field.name.bit | Field.kind.bit | Field.state.bit
    let neededNumbers = Field.contractSize.bit | Field.tick.bit | Field.minimum.bit
    guard texts & neededTexts == neededTexts, numbers & neededNumbers == neededNumbers else {
      sink.refusedAtEdge(.missingMember)
      return false
    }
    guard let wanted = instrument(text(Field.name)) else {
      ignoredItems += 1
      return true
    }
    var contractE8: Int64 = 0, tickE8: Int64 = 0, minimumE8: Int64 = 0, expiry: Int64 = 0
    guard apus_decimal_to_e8(decimal(Field.contractSize), &contractE8) == .exact, contractE8 > 0,
      apus_decimal_to_e8(decimal(Field.tick), &tickE8) == .exact, tickE8 > 0,
      apus_decimal_to_e8(decimal(Field.minimum), &minimumE8) == .exact, minimumE8 > 0,
      numbers & Field.expiry.bit == 0 || apus_decimal_to_scaled(decimal(Field.expiry), 0, &expiry) == .exact
    else {
      sink.refusedAtEdge(.impossible)
      return false
    }
    // Amounts of futures are whole contracts; an option of one coin may be traded in tenths.
    let lotE8 = min(contractE8, minimumE8)
    let isPerpetual = text(Field.period).equals("perpetual")
    let kind: InstrumentKind
    let word = text(Field.kind)
    if word.equals("future") {
      kind = isPerpetual ? .perpetual : .future
    } else if word.equals("option") {
      kind = .option
    } else if word.equals("future_combo") || word.equals("option_combo") {
      kind = .combination
    } else {
      kind = .other
    }
    let info = InstrumentInfo(
      index: wanted, kind: kind,
      grid: InstrumentGrid(
        tickE8: tickE8, lotE8: lotE8, minimumLots: QtyLots(rawValue: (minimumE8 + lotE8 - 1) / lotE8)),
      expirySeconds: isPerpetual ? 0 : expiry / 1000, product: product(text(Field.index)),
      // A reversed option is paid in coins too, but by its price in coins: an amount of it costs amount × price.
      contract: kind != .option && text(Field.type).equals("reversed") ? .inverse : .linear)
    let isListed = text(Field.state).equals("open")
    listings[Int(wanted)] = VenueListing(info, isListed: isListed)
    var tick = apus_step_make(tickE8), lot = apus_step_make(lotE8)
    apus_level_grid_set(grids + Int(wanted), &tick, &lot)
    sink.instrument(info, isListed: isListed)
    return true
  }

  /// The rates of order messages and of mass quotes, deep in the account's summary.
  private mutating func limits<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ value: JSONCursor, into sink: inout Sink
  ) {
    var json = value
    guard enter(.limits, &json), enter(.matching, &json) else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    var orders = json
    guard enter(.trading, &orders), enter(.total, &orders) else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    guard let orders = limit(orders) else {
      sink.refusedAtEdge(.impossible)
      return
    }
    (grantedRate, grantedBurst) = orders
    // An account without mass quotes may be told nothing of them.
    var requests = json, sides = json
    if enter(.massQuotes, &requests), enter(.quotes, &sides) {
      guard let requests = limit(requests), let sides = limit(sides) else {
        sink.refusedAtEdge(.impossible)
        return
      }
      grantedMassQuotes = (requests.rate, requests.burst, sides.rate, sides.burst)
    }
    sink.replied(request, value: grantedRate)
  }

  /// A rate and a burst; `nil` unless both are above 0. Mutating: a borrowed decoder would be copied for the call.
  private mutating func limit(_ object: JSONCursor) -> (rate: Int64, burst: Int64)? {
    var first = object, second = object
    var rate = ScannedDecimal(), burst = ScannedDecimal()
    var limit: (rate: Int64, burst: Int64) = (0, 0)
    var wrong = false
    guard member(.rate, of: &first, { $0.number(&rate, wrong: &wrong) }),
      member(.burst, of: &second, { $0.number(&burst, wrong: &wrong) }),
      apus_decimal_to_scaled(&rate, 0, &limit.rate) == .exact, limit.rate > 0,
      apus_decimal_to_scaled(&burst, 0, &limit.burst) == .exact, limit.burst > 0
    else { return nil }
    return limit
  }
}

extension DeribitDecoder {
  /// Goes into a member that is an object.
  private func enter(_ field: DeribitDetailField, _ json: inout JSONCursor) -> Bool {
    var inner: JSONCursor?
    guard
      member(
        field, of: &json,
        {
          inner = $0.checkedSlice(); return true
        }), let inner
    else { return false }
    json = inner
    return true
  }
}

/// Error codes that the adapter knows by name (protocol, section 17).
enum DeribitCode {
  static let notOpenOrder: Int64 = 11044
}
