import CSupport

/// A question that only the REST interface answers (protocol reference 11).
public enum BybitQuestion: UInt8, Sendable, CaseIterable {
  case instruments, openOrders, executions, positions, wallet, cancelAll
  /// One order: it may rest, or have ended lately. Says nothing about others.
  case order
  case feeRate, deadMan, setDeadMan, time, priceLimit, setPriceLimitAction

  /// The request of a session that it stands for; `nil` for a question that no session request is about.
  public var request: SessionRequest? {
    switch self {
    case .instruments: .instruments
    case .openOrders: .openOrders
    case .executions: .tradeHistory
    case .positions: .portfolio
    case .wallet: .accountSummary
    case .cancelAll: .cancelAll
    case .setDeadMan: .cancelOnDisconnect
    case .order, .feeRate, .deadMan, .time, .priceLimit, .setPriceLimitAction: nil
    }
  }

  /// What a list begins and ends as. Orders, positions and instruments are a snapshot over all pages, executions page
  /// by page.
  var snapshot: SnapshotKind? {
    switch self {
    case .instruments: .instruments
    case .openOrders: .openOrders
    case .executions: .tradeHistory
    case .positions: .portfolio
    default: nil
    }
  }
}

/// What became of a question.
public enum BybitRestOutcome: Equatable, Sendable {
  /// It was answered; if `hasMore`, the next page starts at the decoder's `cursor`.
  case answered(hasMore: Bool)
  case refused(code: Int64)
  /// The body was no answer, or part of it was refused: to be asked again.
  case unreadable
}

/// Answers of the REST interface (protocol reference 7, 11, 15). Cold.
extension BybitDecoder {
  /// What was read of a result.
  private struct RestResult {
    var list = JSONText()
    var cursor = JSONText()
    var category = JSONText()
    var symbol = JSONText()
    var highest = JSONText(), lowest = JSONText()
    var nanoseconds = JSONText()
    var hasList = false, isObject = false, wrong = false
    var rows = 0
  }

  /// Reads the body of an answer and delivers what it says, and `replied` or `refused` for the request that the
  /// question stands for.
  ///
  /// A list of orders, positions or instruments is one snapshot over all of its pages: it begins with the first, and
  /// ends, with the reply, behind the last if no item of any page was refused. Each page of executions is a snapshot of
  /// its own, and the value of its reply is 1 if another follows.
  ///
  /// - Parameter isContinued: The body is a further page.
  @discardableResult
  public mutating func decodeRest<Sink: VenueEventSink & ~Copyable>(
    _ question: BybitQuestion, _ body: UnsafeRawBufferPointer, isContinued: Bool = false, into sink: inout Sink
  ) -> BybitRestOutcome {
    cursorCount = 0
    if !isContinued { incompleteLists &= ~(1 << UInt32(question.rawValue)) }
    guard var json = begin(body), apus_json_enter_object(&json) else {
      sink.refusedAtEdge(.malformed)
      return .unreadable
    }
    var walk = JSONWalk()
    var wrong = false, hasCode = false
    var code: Int64 = 0
    var value: JSONCursor?
    while true {
      let found = apus_json_next_field(&json, shapes.rest.pointer, &walk)
      if found == BybitRestField.code.rawValue {
        var number = ScannedDecimal()
        hasCode = json.number(&number, wrong: &wrong) && apus_decimal_to_scaled(&number, 0, &code) == .exact
      } else if found == BybitRestField.result.rawValue {
        value = json.checkedSlice()
      } else if found == APUS_JSON_FIELD_END {
        break
      } else {
        json.skip()
      }
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return .unreadable
    }
    guard hasCode else {
      sink.refusedAtEdge(.missingMember)
      return .unreadable
    }
    guard code == 0 else {
      if let request = question.request { sink.refused(.session(request), code: code) }
      return .refused(code: code)
    }
    guard var value else {
      sink.refusedAtEdge(.missingMember)
      return .unreadable
    }
    return result(question, &value, isContinued: isContinued, into: &sink)
  }

  private mutating func result<Sink: VenueEventSink & ~Copyable>(
    _ question: BybitQuestion, _ value: inout JSONCursor, isContinued: Bool, into sink: inout Sink
  ) -> BybitRestOutcome {
    switch question {
    case .setDeadMan, .setPriceLimitAction: return answered(question, hasMore: false, value: 0, into: &sink)
    default: break
    }
    var result = RestResult()
    guard value.isNext(.object) else {
      sink.refusedAtEdge(.missingMember)
      return .unreadable
    }
    value.at += 1
    var walk = JSONWalk()
    while true {
      let found = apus_json_next_field(&value, shapes.result.pointer, &walk)
      guard let field = BybitResultField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { break }
        value.skip()
        continue
      }
      switch field {
      case .cursor: _ = value.text(&result.cursor, wrong: &result.wrong)
      case .category: _ = value.text(&result.category, wrong: &result.wrong)
      case .symbol: _ = value.text(&result.symbol, wrong: &result.wrong)
      case .highest: _ = value.text(&result.highest, wrong: &result.wrong)
      case .lowest: _ = value.text(&result.lowest, wrong: &result.wrong)
      case .timeNano: _ = value.text(&result.nanoseconds, wrong: &result.wrong)
      case .list, .dcpInfos:
        let slice = value.checkedSlice()
        result.list = JSONText(bytes: slice.at, count: slice.end - slice.at, has_escapes: false)
        result.hasList = true
      case .timeSecond, .success, .timestamp: value.skip()
      }
    }
    guard !result.wrong else {
      sink.refusedAtEdge(.missingMember)
      return .unreadable
    }
    switch question {
    case .time:
      var number = ScannedDecimal()
      var time: Nanoseconds = 0
      guard self.number(result.nanoseconds, &number) == .number,
        apus_decimal_to_scaled(&number, 0, &time) == .exact, time > 0
      else {
        sink.refusedAtEdge(.missingMember)
        return .unreadable
      }
      venueTime = time
      return .answered(hasMore: false)
    case .priceLimit: return priceLimit(&result, into: &sink)
    default: return list(question, &result, isContinued: isContinued, into: &sink)
    }
  }

  private mutating func list<Sink: VenueEventSink & ~Copyable>(
    _ question: BybitQuestion, _ result: inout RestResult, isContinued: Bool, into sink: inout Sink
  ) -> BybitRestOutcome {
    scratchCount = 0
    plain(&result.category)
    guard result.hasList, let bytes = result.list.bytes else {
      sink.refusedAtEdge(.missingMember)
      return .unreadable
    }
    // The same symbol is another contract in another category.
    if result.category.count > 0, !result.category.equals("linear") {
      sink.refusedAtEdge(.unknownName)
      return .unreadable
    }
    var json = apus_json_begin(bytes, result.list.count)
    guard json.isNext(.array) else {
      sink.refusedAtEdge(.missingMember)
      return .unreadable
    }
    let isWhole = question != .executions
    if let snapshot = question.snapshot, !isContinued || !isWhole { sink.snapshotBegin(snapshot) }
    let isEmpty = Self.isEmpty(json)
    var isGood = true
    var count: Int64 = 0
    switch question {
    case .openOrders, .order, .executions, .positions, .wallet:
      let kind: BybitTopic =
        switch question {
        case .openOrders, .order: .order
        case .executions: .execution
        case .positions: .position
        default: .wallet
        }
      let context = ItemContext(kind: kind, source: .query, shape: shape(of: kind))
      let list = readList(&json, context.shape)
      isGood = deliver(list, context, into: &sink) && !json.failed
    case .instruments:
      if !isContinued { for index in instruments.indices { listings[index].isListed = false } }
      isGood = each(&json, into: &sink) { $0.instrument(&$1, into: &$2) }
    case .feeRate: isGood = each(&json, into: &sink) { $0.feeRate(&$1, into: &$2) }
    case .deadMan:
      deadManSeconds = 0
      isGood = each(&json, into: &sink) { $0.protection(&$1, into: &$2) }
    case .cancelAll:
      isGood = each(&json, into: &sink) { decoder, json, _ in
        json.skip()
        return .delivered
      }
      count = cancelled(bytes, result.list.count)
    case .setDeadMan, .setPriceLimitAction, .time, .priceLimit: break
    }
    let bit: UInt32 = 1 << UInt32(question.rawValue)
    if !isGood { incompleteLists |= bit }
    // An empty page ends a list whatever cursor it has.
    let hasMore = result.cursor.count > 0 && !isEmpty && question.snapshot != nil
    if hasMore, !keep(result.cursor) {
      sink.refusedAtEdge(.impossible)
      return .unreadable
    }
    let isDone = isWhole ? !hasMore : true
    guard isGood, !isWhole || incompleteLists & bit == 0 else { return .unreadable }
    guard isDone else { return .answered(hasMore: true) }
    if let snapshot = question.snapshot { sink.snapshotEnd(snapshot) }
    return answered(question, hasMore: hasMore, value: isWhole ? count : hasMore ? 1 : 0, into: &sink)
  }

  private func answered<Sink: VenueEventSink & ~Copyable>(
    _ question: BybitQuestion, hasMore: Bool, value: Int64, into sink: inout Sink
  ) -> BybitRestOutcome {
    if let request = question.request { sink.replied(.session(request), value: value) }
    return .answered(hasMore: hasMore)
  }

  private static func isEmpty(_ list: JSONCursor) -> Bool {
    var json = list
    json.at += 1
    return apus_json_accept(&json, 0x5D)
  }

  /// How many items a checked list has.
  private func cancelled(_ bytes: UnsafePointer<CChar>, _ length: Int) -> Int64 {
    var json = apus_json_begin(bytes, length)
    var count: Int64 = 0
    var started = false
    guard apus_json_enter_array(&json) else { return 0 }
    while apus_json_next_element(&json, &started) {
      json.skip()
      count += 1
    }
    return count
  }

  /// Each item of a checked list; whether none was refused.
  private mutating func each<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, into sink: inout Sink,
    _ read: (inout BybitDecoder, inout JSONCursor, inout Sink) -> ItemOutcome
  ) -> Bool {
    json.at += 1
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      scratchCount = 0
      if read(&self, &json, &sink) == .refused { isComplete = false }
    }
    return isComplete && !json.failed
  }

  /// A text with its escapes resolved. Allocates.
  /// False for a cursor that could not be sent back: it would change the query, or is longer than any.
  private mutating func keep(_ text: JSONText) -> Bool {
    var text = text
    scratchCount = 0
    plain(&text)
    guard let bytes = text.bytes, text.count <= Self.cursorCapacity else { return false }
    for place in 0..<text.count {
      let byte = UInt8(bitPattern: bytes[place])
      guard byte > 0x20, byte < 0x7F, byte != 0x26, byte != 0x23 else { return false }
      cursorBytes[place] = bytes[place]
    }
    cursorCount = text.count
    return true
  }

  /// The small members of an object; where it is none, all are absent.
  private struct Details {
    var texts: [BybitDetailField: JSONText] = [:]
    func text(_ field: BybitDetailField) -> JSONText { texts[field] ?? JSONText() }
  }

  private mutating func details(_ json: inout JSONCursor) -> Details {
    var details = Details()
    guard json.isNext(.object) else {
      json.skip()
      return details
    }
    json.at += 1
    var walk = JSONWalk()
    var wrong = false
    while true {
      let found = apus_json_next_field(&json, shapes.detail.pointer, &walk)
      guard let field = BybitDetailField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { return details }
        json.skip()
        continue
      }
      var text = JSONText()
      if json.text(&text, wrong: &wrong) { details.texts[field] = text }
    }
  }

  /// A positive number in 10⁻⁸, exact; `nil` for anything else.
  private func amountE8(_ text: JSONText) -> Int64? {
    var value = ScannedDecimal()
    var amount: Int64 = 0
    guard number(text, &value) == .number, apus_decimal_to_e8(&value, &amount) == .exact, amount > 0 else { return nil }
    return amount
  }

  /// One instrument. Its grid is in force at once. What is no perpetual in the settle coin, or is not traded, is not
  /// listed.
  private mutating func instrument<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, into sink: inout Sink
  ) -> ItemOutcome {
    var name = JSONText(), type = JSONText(), status = JSONText(), coin = JSONText()
    var prices = Details(), lots = Details()
    var interval = ScannedDecimal()
    var hasName = false, hasInterval = false, wrong = false
    guard json.isNext(.object) else {
      json.skip()
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    json.at += 1
    var walk = JSONWalk()
    while true {
      let found = apus_json_next_field(&json, shapes.instrument.pointer, &walk)
      guard let field = BybitInstrumentField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .symbol: hasName = json.text(&name, wrong: &wrong)
      case .contractType: _ = json.text(&type, wrong: &wrong)
      case .status: _ = json.text(&status, wrong: &wrong)
      case .settleCoin: _ = json.text(&coin, wrong: &wrong)
      case .priceFilter: prices = details(&json)
      case .lotSizeFilter: lots = details(&json)
      case .fundingInterval: hasInterval = json.number(&interval, wrong: &wrong)
      case .deliveryTime: json.skip()
      }
    }
    plain(&name)
    plain(&type)
    plain(&status)
    plain(&coin)
    guard hasName, !wrong else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let index = self.instrument(name) else {
      ignoredItems += 1
      return .ignored
    }
    guard type.count > 0, status.count > 0, coin.count > 0, prices.text(.tickSize).count > 0,
      lots.text(.qtyStep).count > 0, lots.text(.minOrderQty).count > 0
    else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    // A dated future or a contract in another coin is settled and expires in ways that this adapter does not know.
    guard type.equals("LinearPerpetual"), isSettleCoin(coin) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    guard let tickE8 = amountE8(prices.text(.tickSize)), let lotE8 = amountE8(lots.text(.qtyStep)),
      let minimumE8 = amountE8(lots.text(.minOrderQty)), minimumE8 % lotE8 == 0
    else {
      sink.refusedAtEdge(.impossible)
      return .refused
    }
    let grid = InstrumentGrid(tickE8: tickE8, lotE8: lotE8, minimumLots: QtyLots(rawValue: minimumE8 / lotE8))
    let info = InstrumentInfo(
      index: index, kind: .perpetual, grid: grid, expirySeconds: 0, contract: BybitVenue.contract)
    let old = listings[Int(index)]
    if old.hasGrid, old.info.grid != grid {
      giveUpBooks(of: index, into: &sink)
      tickers[Int(index)] = MergedTicker()
    }
    let isTrading = status.equals("Trading")
    (listings + Int(index)).pointee = Listing(info, isListed: isTrading)
    var tick = apus_step_make(tickE8), lot = apus_step_make(lotE8)
    apus_level_grid_set(grids + Int(index), &tick, &lot)
    var limit = BybitLimits()
    let largest = amountE8(lots.text(.postOnlyMaxOrderQty)) ?? amountE8(lots.text(.maxOrderQty))
    limit.largestLots = QtyLots(rawValue: (largest ?? 0) / lotE8)
    limit.smallestValueE8 = amountE8(lots.text(.minNotionalValue)) ?? 0
    if hasInterval { _ = apus_decimal_to_scaled(&interval, 0, &limit.fundingMinutes) }
    limits[Int(index)] = limit
    sink.instrument(info, isListed: isTrading)
    return .delivered
  }

  private mutating func feeRate<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, into sink: inout Sink
  ) -> ItemOutcome {
    let details = details(&json)
    var name = details.text(.symbol)
    plain(&name)
    guard name.count > 0 else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let index = instrument(name) else {
      ignoredItems += 1
      return .ignored
    }
    var value = ScannedDecimal()
    var taker: Int64 = 0, maker: Int64 = 0
    guard number(details.text(.takerFeeRate), &value) == .number,
      apus_decimal_to_scaled(&value, 12, &taker) == .exact,
      number(details.text(.makerFeeRate), &value) == .number,
      apus_decimal_to_scaled(&value, 12, &maker) == .exact
    else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    sink.feeRate(index, makerE12: maker, takerE12: taker)
    return .delivered
  }

  /// Protection on disconnect of one product.
  private mutating func protection<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, into sink: inout Sink
  ) -> ItemOutcome {
    let details = details(&json)
    guard details.text(.product).equals("DERIVATIVES") else {
      ignoredItems += 1
      return .ignored
    }
    var value = ScannedDecimal()
    var seconds: Int64 = 0
    guard number(details.text(.timeWindow), &value) == .number,
      apus_decimal_to_scaled(&value, 0, &seconds) == .exact, seconds > 0
    else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    if details.text(.dcpStatus).equals("ON") { deadManSeconds = seconds }
    return .delivered
  }

  /// The answer to a question for the price limits.
  private mutating func priceLimit<Sink: VenueEventSink & ~Copyable>(
    _ result: inout RestResult, into sink: inout Sink
  ) -> BybitRestOutcome {
    scratchCount = 0
    plain(&result.symbol)
    guard let index = instrument(result.symbol) else {
      sink.refusedAtEdge(.unknownName)
      return .unreadable
    }
    guard collars(index, highest: result.highest, lowest: result.lowest, into: &sink) else { return .unreadable }
    return .answered(hasMore: false)
  }
}
