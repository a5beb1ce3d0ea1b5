import CSupport

/// Orders and their fills, from feeds, snapshots, queries and replies (protocol reference 7.1).
extension ThalexDecoder {
  /// What became of an item of an array.
  enum ItemOutcome {
    case delivered, ignored, refused
  }

  /// Delivers the fills of an order and then its report.
  ///
  /// - Parameters:
  ///   - members: What was read of the order; `nil` if it was no object.
  ///   - isSession: The order belongs to this session, so it has to be about a wanted instrument.
  ///   - amendSerial: Of the amend that is answered, if it is the reply to one.
  private mutating func deliver<Sink: VenueEventSink & ~Copyable>(
    _ members: OpaquePointer?, source: ReportSource, isSession: Bool, amendSerial: UInt16 = 0, into sink: inout Sink
  ) -> ItemOutcome {
    guard let members else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    scratchCount = 0
    let numbers = apus_members_numbers(members), texts = apus_members_texts(members)
    let others = apus_members_others(members)
    // The label is documented as a string that "can also be a number"; ours is a string.
    var isWrong =
      numbers & (OrderField.texts & ~OrderField.label.bit | OrderField.persistent.bit)
      | texts & (OrderField.numbers | OrderField.persistent.bit)
      | others & (OrderField.numbers | OrderField.texts & ~OrderField.label.bit) != 0
    var isPersistent = false
    if others & OrderField.persistent.bit != 0 {
      let value = apus_members_value(members, OrderField.persistent.rawValue)
      isPersistent = value.equals("true")
      if !isPersistent, !value.equals("false") { isWrong = true }
    }
    let isOurs = texts & OrderField.label.bit != 0 && isOurs(text(members, .label))
    guard texts & OrderField.instrument.bit != 0, let index = instrument(text(members, .instrument)) else {
      // An order of several legs has no instrument of its own. The engine sends none, and none can rest (reference 6.1):
      // a list with one of another program of the account is complete without it. What its legs traded is told by the
      // trades and the positions.
      let isCombination = others & OrderField.legs.bit != 0 && texts & OrderField.instrument.bit == 0
      if isCombination, !isWrong, source != .reply {
        ignoredItems += 1
        return .ignored
      }
      if isSession || isOurs || isWrong {
        sink.refusedAtEdge(isWrong ? .missingMember : .unknownName)
        return .refused
      }
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listing(index) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    var report = OrderReport()
    report.source = source
    report.amendSerial = amendSerial
    report.instrument = index
    report.isLabelledOurs = isOurs
    if numbers & OrderField.clientID.bit == 0, isOurs {
      report.isOurQuote = isOfThisLife(text(members, .label))
    }
    report.isPersistent = isPersistent
    let neededTexts = OrderField.orderID.bit | OrderField.direction.bit | OrderField.status.bit
    // A finished order has no remaining amount (reference 7.3).
    let neededNumbers =
      OrderField.amount.bit | OrderField.filled.bit | (source == .history ? 0 : OrderField.remaining.bit)
    guard !isWrong, texts & neededTexts == neededTexts, numbers & neededNumbers == neededNumbers,
      setID(&report.venueID, text(members, .orderID)),
      numbers & OrderField.clientID.bit == 0
        || apus_decimal_to_u64(apus_members_decimal(members, OrderField.clientID.rawValue), &report.clientID)
    else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let side = Side(text(members, .direction)) else {
      sink.refusedAtEdge(.unknownWord)
      return .refused
    }
    report.side = side

    var hasUnknownWord = false
    if let status = OrderStatus(text(members, .status)) { report.status = status } else { hasUnknownWord = true }
    if texts & OrderField.change.bit != 0 {
      if let change = ChangeReason(text(members, .change)) { report.change = change } else { hasUnknownWord = true }
    }
    if texts & OrderField.deletion.bit != 0 {
      report.deletion = DeleteReason(text(members, .deletion)) ?? .other
      if report.deletion == .other { hasUnknownWord = true }
    }
    if numbers & OrderField.createTime.bit != 0 {
      _ = apus_decimal_to_ns(apus_members_decimal(members, OrderField.createTime.rawValue), &report.createTime)
    }
    let hasRemaining = numbers & OrderField.remaining.bit != 0
    if let problem = Self.quantities(
      listing, members, hasPrice: numbers & OrderField.price.bit != 0, hasRemaining: hasRemaining, &report)
    {
      sink.refusedAtEdge(problem)
      return .refused
    }
    if others & OrderField.fills.bit != 0 {
      let value = apus_members_value(members, OrderField.fills.rawValue)
      if let bytes = value.bytes, !value.equals("[]") {
        var fills = apus_json_begin(bytes, value.count)
        self.fills(
          &fills, of: report, run: isOurs ? run(of: text(members, .label)) : 0, listing, into: &sink)
      }
    } else if (numbers | texts) & OrderField.fills.bit != 0 {
      sink.refusedAtEdge(.missingMember)
    }
    if hasUnknownWord { sink.refusedAtEdge(.unknownWord) }
    sink.order(report)
    return .delivered
  }

  /// A member that is a string, its escapes resolved; empty if it is not there.
  @inline(always)
  private mutating func text(_ members: OpaquePointer, _ field: OrderField) -> JSONText {
    var text = apus_members_text(members, field.rawValue)
    plain(&text)
    return text
  }

  /// The index of a wanted instrument.
  @inline(always)
  private mutating func instrument(_ name: JSONText) -> InstrumentIndex? {
    guard let bytes = name.bytes, let index = instrumentNames.find(bytes, name.count) else { return nil }
    return InstrumentIndex(index)
  }

  /// Whether the id is neither empty nor too long.
  @inline(always)
  private func setID(_ id: inout VenueID, _ text: JSONText) -> Bool {
    guard let bytes = text.bytes else { return false }
    return apus_id_set(&id, bytes, text.count)
  }

  /// Price and sizes of an order, and whether they can be true together (R05).
  ///
  /// An amend to no more than what was executed kills the order (reference 6.2), and such a dead order may carry
  /// the small amount: its total is then what was executed. Its death must not be lost.
  @inline(always)
  private static func quantities(
    _ listing: UnsafePointer<Listing>, _ members: OpaquePointer, hasPrice: Bool, hasRemaining: Bool,
    _ report: inout OrderReport
  ) -> DecodeProblem? {
    if hasPrice {
      let price = apus_members_decimal(members, OrderField.price.rawValue)
      if let problem = listing.pointee.price(price, &report.price) { return problem }
      report.hasPrice = true
    } else if report.status.isLive {
      return .missingMember
    }
    let amount = apus_members_decimal(members, OrderField.amount.rawValue)
    let filled = apus_members_decimal(members, OrderField.filled.rawValue)
    let remaining = apus_members_decimal(members, OrderField.remaining.rawValue)
    if let problem = listing.pointee.size(amount, &report.qty) { return problem }
    if let problem = listing.pointee.size(filled, &report.filled) { return problem }
    if hasRemaining, let problem = listing.pointee.size(remaining, &report.remaining) { return problem }
    if report.status == .cancelledPartiallyFilled, report.qty < report.filled { report.qty = report.filled }
    if report.filled > report.qty || report.remaining > report.qty { return .impossible }
    // By subtraction: a sum could leave 64 bits.
    if report.status.isLive, report.remaining > report.qty - report.filled { return .impossible }
    if report.status == .filled, report.filled < report.qty { return .impossible }
    return nil
  }

  /// The new fills of an order. Each stands for itself: a broken one is refused, the others are delivered.
  private mutating func fills<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, of order: OrderReport, run: UInt64, _ listing: UnsafePointer<Listing>,
    into sink: inout Sink
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
      fill.isOurQuote = order.isOurQuote
      fill.run = run
      fill.clientID = order.clientID
      fill.venueID = order.venueID
      if let problem = execution(&item, listing, &fill, into: &sink) {
        sink.refusedAtEdge(problem)
      } else {
        sink.fill(fill)
      }
    }
  }

  /// Reads one object completely; `nil` if it is another value. The cursor fails if it is no JSON.
  @inline(always)
  private mutating func readOrder(_ json: inout JSONCursor, into table: Int) -> OpaquePointer? {
    guard json.isNext(.object) else {
      json.skip()
      return nil
    }
    json.at += 1
    let members = orderTables[table]
    _ = apus_members_scan(&json, shapes.order.pointer, members, index.pointer)
    return members
  }

  /// A reply to insert, amend or cancel.
  mutating func orderReply<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ json: inout JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    let members = readOrder(&json, into: 0)
    guard ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    let serial = request.amendSerial
    if deliver(members, source: .reply, isSession: true, amendSerial: serial, into: &sink) == .delivered {
      sink.replied(request, value: 0)
    }
  }

  /// A notification about a few orders, inside an envelope that is still open: all are read before the first one is
  /// delivered, because the snapshot flag stands behind them. False if it is anything else or no JSON; nothing has been
  /// delivered then, and the general way reads it again.
  mutating func plainOrders<Sink: VenueEventSink & ~Copyable>(
    _ frame: JSONCursor, snapshot: SnapshotKind, isSession: Bool, into sink: inout Sink
  ) -> Bool {
    var json = frame
    guard apus_json_accept(&json, 0x5B) else { return false }
    var count = 0
    var started = false
    while apus_json_next_element(&json, &started) {
      guard count < Self.orderCapacity, readOrder(&json, into: count) != nil else { return false }
      count += 1
    }
    guard !json.failed, let isSnapshot = closeEnvelope(&json) else { return false }
    if isSnapshot { sink.snapshotBegin(snapshot) }
    var isComplete = true
    for table in 0..<count {
      let outcome = deliver(
        orderTables[table], source: isSnapshot ? .snapshot : .feed, isSession: isSession, into: &sink)
      if outcome == .refused { isComplete = false }
    }
    if isSnapshot, isComplete { sink.snapshotEnd(snapshot) }
    return true
  }

  /// An array of orders, which has been checked.
  mutating func orders<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, source: ReportSource, snapshot: SnapshotKind?, isSession: Bool, reply: RequestKind?,
    into sink: inout Sink
  ) {
    guard isArray(&json, into: &sink) else { return }
    if let snapshot { sink.snapshotBegin(snapshot) }
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      let members = readOrder(&json, into: 0)
      if json.failed { break }
      if deliver(members, source: source, isSession: isSession, into: &sink) == .refused { isComplete = false }
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
