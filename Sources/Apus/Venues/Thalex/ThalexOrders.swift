import CSupport

/// Orders and their fills, from feeds, snapshots, queries and replies (protocol reference 7.1).
extension ThalexDecoder {
  /// The members of one order object as they stand in the frame.
  struct OrderItem {
    var orderID = JSONText()
    var instrument = JSONText()
    var label = JSONText()
    var direction = JSONText()
    var status = JSONText()
    var change = JSONText()
    var deletion = JSONText()
    var price = ScannedDecimal()
    var amount = ScannedDecimal()
    var filled = ScannedDecimal()
    var remaining = ScannedDecimal()
    var clientID = ScannedDecimal()
    var createTime = ScannedDecimal()
    var fills: JSONCursor?
    var hasID = false, hasInstrument = false, hasDirection = false, hasStatus = false, hasChange = false
    var hasDeletion = false, hasPrice = false, hasAmount = false, hasFilled = false, hasRemaining = false
    var hasClientID = false, hasCreateTime = false, isPersistent = false, wrong = false
  }

  /// What became of an item of an array.
  enum ItemOutcome {
    case delivered, ignored, refused
  }

  /// Reads one object completely; the cursor fails if it is no JSON.
  private mutating func readOrder(_ json: inout JSONCursor, _ item: inout OrderItem) {
    scratchCount = 0
    guard json.isNext(.object) else {
      item.wrong = true
      json.skip()
      return
    }
    json.at += 1
    var walk = JSONWalk()
    while true {
      let index = apus_json_next_field(&json, shapes.order.pointer, &walk)
      guard let field = OrderField(rawValue: index) else {
        if index == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .orderID: item.hasID = json.text(&item.orderID, wrong: &item.wrong)
      case .instrument: item.hasInstrument = json.text(&item.instrument, wrong: &item.wrong)
      case .direction: item.hasDirection = json.text(&item.direction, wrong: &item.wrong)
      case .status: item.hasStatus = json.text(&item.status, wrong: &item.wrong)
      case .change: item.hasChange = json.text(&item.change, wrong: &item.wrong)
      case .deletion: item.hasDeletion = json.text(&item.deletion, wrong: &item.wrong)
      case .label:
        // Documented as a string that "can also be a number"; ours is a string.
        var isNumber = false
        _ = json.text(&item.label, wrong: &isNumber)
      case .price: item.hasPrice = json.number(&item.price, wrong: &item.wrong)
      case .amount: item.hasAmount = json.number(&item.amount, wrong: &item.wrong)
      case .filled: item.hasFilled = json.number(&item.filled, wrong: &item.wrong)
      case .remaining: item.hasRemaining = json.number(&item.remaining, wrong: &item.wrong)
      case .clientID: item.hasClientID = json.number(&item.clientID, wrong: &item.wrong)
      case .createTime: item.hasCreateTime = json.number(&item.createTime, wrong: &item.wrong)
      case .persistent: item.isPersistent = json.flag(wrong: &item.wrong)
      case .fills: item.fills = json.checkedSlice()
      case .orderType, .timeInForce, .insertReason, .closeTime, .reduceOnly, .legs: json.skip()
      }
    }
  }

  /// Delivers the fills of an order and then its report.
  ///
  /// - Parameter isSession: The order belongs to this session, so it has to be about a wanted instrument.
  private mutating func deliver<Sink: VenueEventSink & ~Copyable>(
    _ item: inout OrderItem, source: ReportSource, isSession: Bool, into sink: inout Sink
  ) -> ItemOutcome {
    plain(&item.label)
    plain(&item.instrument)
    let isOurs = isOurs(item.label)
    // An order of several legs has no instrument of its own.
    guard item.hasInstrument, let name = item.instrument.bytes,
      let index = instrumentNames.find(name, item.instrument.count)
    else {
      if isSession || isOurs || item.wrong {
        sink.refusedAtEdge(item.wrong ? .missingMember : .unknownName)
        return .refused
      }
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listing(InstrumentIndex(index)) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    var report = OrderReport()
    report.source = source
    report.instrument = InstrumentIndex(index)
    report.isLabelledOurs = isOurs
    report.isPersistent = item.isPersistent
    plain(&item.orderID)
    plain(&item.direction)
    guard !item.wrong, item.hasID, item.hasDirection, item.hasAmount, item.hasFilled, item.hasRemaining, item.hasStatus,
      let id = item.orderID.bytes, apus_id_set(&report.venueID, id, item.orderID.count),
      !item.hasClientID || apus_decimal_to_u64(&item.clientID, &report.clientID)
    else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let side = Side(item.direction) else {
      sink.refusedAtEdge(.unknownWord)
      return .refused
    }
    report.side = side

    var hasUnknownWord = false
    plain(&item.status)
    plain(&item.change)
    plain(&item.deletion)
    if let status = OrderStatus(item.status) { report.status = status } else { hasUnknownWord = true }
    if item.hasChange {
      if let change = ChangeReason(item.change) { report.change = change } else { hasUnknownWord = true }
    }
    if item.hasDeletion {
      report.deletion = DeleteReason(item.deletion) ?? .other
      if report.deletion == .other { hasUnknownWord = true }
    }
    if item.hasCreateTime { _ = apus_decimal_to_ns(&item.createTime, &report.createTime) }
    if let problem = quantities(listing, &item, &report) {
      sink.refusedAtEdge(problem)
      return .refused
    }
    if var fills = item.fills { self.fills(&fills, of: report, listing, into: &sink) }
    if hasUnknownWord { sink.refusedAtEdge(.unknownWord) }
    sink.order(report)
    return .delivered
  }

  /// Price and sizes of an order, and whether they can be true together (R05).
  ///
  /// An amend to no more than what was executed kills the order (reference 6.2), and such a dead order may carry
  /// the small amount: its total is then what was executed. Its death must not be lost.
  private func quantities(
    _ listing: UnsafePointer<Listing>, _ item: inout OrderItem, _ report: inout OrderReport
  ) -> DecodeProblem? {
    if item.hasPrice {
      if let problem = listing.pointee.price(&item.price, &report.price) { return problem }
      report.hasPrice = true
    } else if report.status.isLive {
      return .missingMember
    }
    if let problem = listing.pointee.size(&item.amount, &report.qty) ?? listing.pointee.size(
      &item.filled, &report.filled)
      ?? listing.pointee.size(&item.remaining, &report.remaining)
    {
      return problem
    }
    if report.status == .cancelledPartiallyFilled, report.qty < report.filled { report.qty = report.filled }
    if report.filled > report.qty || report.remaining > report.qty { return .impossible }
    // By subtraction: a sum could leave 64 bits.
    if report.status.isLive, report.remaining > report.qty - report.filled { return .impossible }
    if report.status == .filled, report.filled < report.qty { return .impossible }
    return nil
  }

  /// The new fills of an order. Each stands for itself: a broken one is refused, the others are delivered.
  private mutating func fills<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, of order: OrderReport, _ listing: UnsafePointer<Listing>, into sink: inout Sink
  ) {
    guard json.isNext(.array) else {
      if !apus_json_null(&json) { sink.refusedAtEdge(.missingMember) }
      return
    }
    json.at += 1
    var started = false
    while apus_json_next_element(&json, &started) {
      var item = TradeItem()
      readTrade(&json, shapes.fill.pointer, &item)
      var fill = FillReport()
      fill.source = order.source
      fill.side = order.side
      fill.instrument = order.instrument
      fill.isLabelledOurs = order.isLabelledOurs
      fill.clientID = order.clientID
      fill.venueID = order.venueID
      if let problem = execution(&item, listing, &fill, into: &sink) {
        sink.refusedAtEdge(problem)
      } else {
        sink.fill(fill)
      }
    }
  }

  /// A reply to insert, amend or cancel.
  mutating func orderReply<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ json: inout JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    var item = OrderItem()
    readOrder(&json, &item)
    guard ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    if deliver(&item, source: .reply, isSession: true, into: &sink) == .delivered {
      sink.replied(request, value: 0)
    }
  }

  /// An array of orders.
  mutating func orders<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, source: ReportSource, snapshot: SnapshotKind?, isSession: Bool, reply: RequestKind?,
    into sink: inout Sink
  ) {
    guard isArray(&json, into: &sink) else { return }
    if let snapshot { sink.snapshotBegin(snapshot) }
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      var item = OrderItem()
      readOrder(&json, &item)
      if json.failed { break }
      if deliver(&item, source: source, isSession: isSession, into: &sink) == .refused { isComplete = false }
    }
    finish(&json, isComplete: isComplete, snapshot: snapshot, reply: reply, value: 0, into: &sink)
  }

  /// Enters an array; anything else is refused.
  mutating func isArray<Sink: VenueEventSink & ~Copyable>(_ json: inout JSONCursor, into sink: inout Sink) -> Bool {
    if json.isNext(.array) {
      json.at += 1
      return true
    }
    json.skip()
    sink.refusedAtEdge(apus_json_finish(&json) ? .missingMember : .malformed)
    return false
  }

  /// Ends an array of items: only a complete one is confirmed.
  mutating func finish<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, isComplete: Bool, snapshot: SnapshotKind?, reply: RequestKind?, value: Int64,
    into sink: inout Sink
  ) {
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    guard isComplete else { return }
    if let snapshot { sink.snapshotEnd(snapshot) }
    if let reply { sink.replied(reply, value: value) }
  }
}
