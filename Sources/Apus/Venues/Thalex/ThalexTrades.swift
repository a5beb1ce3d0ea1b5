import CSupport

/// Fills inside orders, and the trade objects of the trade feed and of the trade history (reference 7.1, 7.2).
extension ThalexDecoder {
  /// The members of one fill or trade as they stand in the frame.
  struct TradeItem {
    var orderID = JSONText()
    var tradeID = JSONText()
    var instrument = JSONText()
    var direction = JSONText()
    var label = JSONText()
    var type = JSONText()
    var makerTaker = JSONText()
    var price = ScannedDecimal()
    var amount = ScannedDecimal()
    var time = ScannedDecimal()
    var fee = ScannedDecimal()
    var clientID = ScannedDecimal()
    var leg = ScannedDecimal()
    var hasOrderID = false, hasTradeID = false, hasInstrument = false, hasDirection = false, hasType = false
    var hasMakerTaker = false, hasPrice = false, hasAmount = false, hasTime = false, hasFee = false
    var hasClientID = false, hasLeg = false, wrong = false
  }

  mutating func readTrade(_ json: inout JSONCursor, _ shape: OpaquePointer, _ item: inout TradeItem) {
    guard json.isNext(.object) else {
      item.wrong = true
      json.skip()
      return
    }
    json.at += 1
    var walk = JSONWalk()
    while true {
      let index = apus_json_next_field(&json, shape, &walk)
      guard let field = TradeField(rawValue: index) else {
        if index == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .orderID: item.hasOrderID = json.text(&item.orderID, wrong: &item.wrong)
      case .tradeID: item.hasTradeID = json.text(&item.tradeID, wrong: &item.wrong)
      case .instrument: item.hasInstrument = json.text(&item.instrument, wrong: &item.wrong)
      case .direction: item.hasDirection = json.text(&item.direction, wrong: &item.wrong)
      case .label:
        var isNumber = false
        _ = json.text(&item.label, wrong: &isNumber)
      case .type: item.hasType = json.text(&item.type, wrong: &item.wrong)
      case .makerTaker: item.hasMakerTaker = json.text(&item.makerTaker, wrong: &item.wrong)
      case .price: item.hasPrice = json.number(&item.price, wrong: &item.wrong)
      case .amount: item.hasAmount = json.number(&item.amount, wrong: &item.wrong)
      case .time: item.hasTime = json.number(&item.time, wrong: &item.wrong)
      case .fee: item.hasFee = json.number(&item.fee, wrong: &item.wrong)
      case .clientID: item.hasClientID = json.number(&item.clientID, wrong: &item.wrong)
      case .legIndex: item.hasLeg = json.number(&item.leg, wrong: &item.wrong)
      case .positionAfter, .sessionRealised, .index, .feeRate, .feeBasis, .fundingMark: json.skip()
      }
    }
  }

  /// Id, price, size, role and time of one execution.
  ///
  /// The trades of a combination may share an id, so the index of a later leg becomes part of it (`id/1`).
  mutating func execution<Sink: VenueEventSink & ~Copyable>(
    _ item: inout TradeItem, _ listing: UnsafePointer<Listing>, _ fill: inout FillReport, into sink: inout Sink
  ) -> DecodeProblem? {
    plain(&item.tradeID)
    plain(&item.makerTaker)
    guard !item.wrong, item.hasTradeID, item.hasPrice, item.hasAmount, let id = item.tradeID.bytes,
      apus_id_set(&fill.tradeID, id, item.tradeID.count)
    else { return .missingMember }
    if item.hasLeg {
      var leg: UInt64 = 0
      guard apus_decimal_to_u64(&item.leg, &leg), leg < 10 else { return .impossible }
      if leg > 0 {
        let count = item.tradeID.count
        let isLong = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(APUS_ID_CAPACITY) + 2) { text in
          text.baseAddress!.update(from: id, count: count)
          text[count] = 0x2F
          text[count + 1] = CChar(0x30 + leg)
          return !apus_id_set(&fill.tradeID, text.baseAddress!, count + 2)
        }
        if isLong { return .missingMember }
      }
    }
    if let problem = listing.pointee.price(&item.price, &fill.price) ?? listing.pointee.size(&item.amount, &fill.qty) {
      return problem
    }
    if fill.qty <= QtyLots.zero { return .impossible }
    if item.hasTime { _ = apus_decimal_to_ns(&item.time, &fill.time) }
    if item.hasMakerTaker {
      fill.isMaker = item.makerTaker.equals("maker")
      if !fill.isMaker, !item.makerTaker.equals("taker") { sink.refusedAtEdge(.unknownWord) }
    }
    return nil
  }

  /// An array of trades. Settlements and transfers are stepped over and counted: they are no executions.
  mutating func trades<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, source: ReportSource, reply: (request: RequestKind, hasMore: Bool)?, into sink: inout Sink
  ) {
    guard isArray(&json, into: &sink) else { return }
    let snapshot: SnapshotKind? = reply == nil ? nil : .tradeHistory
    if let snapshot { sink.snapshotBegin(snapshot) }
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      scratchCount = 0
      var item = TradeItem()
      readTrade(&json, shapes.trade.pointer, &item)
      if json.failed { break }
      if deliver(&item, source: source, into: &sink) == .refused { isComplete = false }
    }
    finish(
      &json, isComplete: isComplete, snapshot: snapshot, reply: reply?.request, value: reply?.hasMore == true ? 1 : 0,
      into: &sink)
  }

  private mutating func deliver<Sink: VenueEventSink & ~Copyable>(
    _ item: inout TradeItem, source: ReportSource, into sink: inout Sink
  ) -> ItemOutcome {
    plain(&item.label)
    plain(&item.instrument)
    plain(&item.direction)
    plain(&item.orderID)
    plain(&item.type)
    let isOurs = isOurs(item.label)
    if item.hasType {
      guard let meaning = TradeMeaning(item.type) else {
        sink.refusedAtEdge(.unknownWord)
        return .refused
      }
      if meaning == .bookkeeping {
        ignoredItems += 1
        return .ignored
      }
    }
    guard item.hasInstrument, let name = item.instrument.bytes,
      let index = instrumentNames.find(name, item.instrument.count)
    else {
      if isOurs || item.wrong || !item.hasInstrument {
        sink.refusedAtEdge(item.wrong || !item.hasInstrument ? .missingMember : .unknownName)
        return .refused
      }
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listing(InstrumentIndex(index)) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    var fill = FillReport()
    fill.source = source
    fill.instrument = InstrumentIndex(index)
    fill.isLabelledOurs = isOurs
    fill.isOurQuote = isOurs && !item.hasClientID && isOfThisLife(item.label)
    if isOurs { fill.run = run(of: item.label) }
    guard !item.wrong, item.hasDirection, item.hasOrderID, let id = item.orderID.bytes,
      apus_id_set(&fill.venueID, id, item.orderID.count),
      !item.hasClientID || apus_decimal_to_u64(&item.clientID, &fill.clientID)
    else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let side = Side(item.direction) else {
      sink.refusedAtEdge(.unknownWord)
      return .refused
    }
    fill.side = side
    if item.hasFee {
      fill.hasFee = true
      if apus_decimal_to_e8(&item.fee, &fill.feeE8) == .overflow {
        sink.refusedAtEdge(.impossible)
        return .refused
      }
    }
    if let problem = execution(&item, listing, &fill, into: &sink) {
      sink.refusedAtEdge(problem)
      return .refused
    }
    sink.fill(fill)
    return .delivered
  }
}
