import CSupport

/// Orders and executions, from the private feed, from replies and from queries (protocol, sections 8, 10 and 11).
extension DeribitDecoder {
  enum ItemOutcome {
    case delivered, ignored, refused
  }

  /// `user.changes.*`: trades, orders and positions of one event.
  mutating func changes<Sink: VenueEventSink & ~Copyable>(_ json: inout JSONCursor, isOpen: Bool, into sink: inout Sink)
  {
    if !plainChanges(json, isOpen: isOpen, into: &sink) { anyChanges(&json, isOpen: isOpen, into: &sink) }
  }

  /// An event of a few objects as Deribit writes it: all of them are read before the first is delivered. False if it is
  /// written in another way; nothing has been delivered then, and `anyChanges` reads it again.
  @inline(always)
  private mutating func plainChanges<Sink: VenueEventSink & ~Copyable>(
    _ data: JSONCursor, isOpen: Bool, into sink: inout Sink
  ) -> Bool {
    var json = data
    var name = JSONText()
    guard json.accept("{\"instrument_name\":\""), apus_json_string_rest(&json, &name), json.accept(",\"trades\":"),
      let trades = scanAll(&json, shapes.trade.pointer, from: 0), json.accept(",\"orders\":"),
      let orders = scanAll(&json, shapes.order.pointer, from: trades), json.accept(",\"positions\":"),
      let positions = scanAll(&json, shapes.position.pointer, from: orders), json.accept("}"),
      ends(&json, isOpen: isOpen)
    else { return false }
    newestTradeInPage = 0
    for place in 0..<trades {
      useTable(place)
      _ = deliverTrade(source: .feed, into: &sink)
    }
    for place in trades..<orders {
      useTable(place)
      _ = deliverOrder(source: .feed, into: &sink)
    }
    for place in orders..<positions {
      useTable(place)
      _ = deliverPosition(into: &sink)
    }
    return true
  }

  /// Reads an array of objects into the tables from `start` on. Returns the place behind the last; `nil` if the array is
  /// written in another way or there are too many.
  @inline(always)
  private mutating func scanAll(_ json: inout JSONCursor, _ shape: OpaquePointer, from start: Int) -> Int? {
    var place = start
    if json.accept("[]") { return place }
    guard json.accept("[{") else { return nil }
    while place < Self.tableCount {
      useTable(place)
      guard apus_members_scan(&json, shape, table, index.pointer) else { return nil }
      place += 1
      if json.accept("]") { return place }
      guard json.accept(",{") else { return nil }
    }
    return nil
  }

  @inline(never)
  private mutating func anyChanges<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    var parts = Parts()
    let isObject = read(&parts, &json)
    guard ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    guard isObject else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    if var trades = parts.trades { _ = self.trades(&trades, source: .feed, into: &sink) }
    if var orders = parts.orders { _ = self.orders(&orders, source: .feed, into: &sink) }
    if var positions = parts.positions { _ = self.positions(&positions, into: &sink) }
  }

  /// The reply to an order request: `{order, trades}`, or the order alone.
  mutating func orderReply<Sink: VenueEventSink & ~Copyable>(
    _ request: RequestKind, _ value: JSONCursor, into sink: inout Sink
  ) {
    var json = value
    var parts = Parts()
    guard read(&parts, &json) else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    if var trades = parts.trades { _ = self.trades(&trades, source: .reply, into: &sink) }
    var order = parts.order ?? value
    if self.order(&order, source: .reply, amendSerial: request.amendSerial, into: &sink) == .delivered {
      sink.replied(request, value: 0)
    }
  }

  /// Members of an event or a reply that are objects or arrays of their own.
  struct Parts {
    var order: JSONCursor?
    var trades: JSONCursor?
    var orders: JSONCursor?
    var positions: JSONCursor?
    var errors: JSONCursor?
    var hasMore = false
  }

  /// False if this is no object.
  mutating func read(_ parts: inout Parts, _ json: inout JSONCursor) -> Bool {
    guard json.isNext(.object) else {
      json.skip()
      return false
    }
    json.at += 1
    var walk = JSONWalk()
    var wrong = false
    while true {
      let found = apus_json_next_field(&json, shapes.detail.pointer, &walk)
      if found == APUS_JSON_FIELD_END { return !json.failed }
      // By number: of so many cases the enum's initialiser asks for its metadata.
      switch found {
      case DeribitDetailField.order.rawValue: parts.order = json.checkedSlice()
      case DeribitDetailField.trades.rawValue: parts.trades = json.checkedSlice()
      case DeribitDetailField.orders.rawValue: parts.orders = json.checkedSlice()
      case DeribitDetailField.positions.rawValue: parts.positions = json.checkedSlice()
      case DeribitDetailField.errors.rawValue: parts.errors = json.checkedSlice()
      case DeribitDetailField.hasMore.rawValue: parts.hasMore = json.flag(wrong: &wrong)
      default: json.skip()
      }
    }
  }

  /// An array of orders, which has been checked; false if one of them was refused.
  mutating func orders<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, source: ReportSource, into sink: inout Sink
  ) -> Bool {
    guard apus_json_accept(&json, 0x5B) else {
      sink.refusedAtEdge(.missingMember)
      return false
    }
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      if order(&json, source: source, into: &sink) == .refused { isComplete = false }
    }
    return isComplete && !json.failed
  }

  private mutating func order<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, source: ReportSource, amendSerial: UInt16 = 0, into sink: inout Sink
  ) -> ItemOutcome {
    guard scan(&json, shapes.order.pointer) else {
      sink.refusedAtEdge(json.failed ? .malformed : .missingMember)
      return .refused
    }
    return deliverOrder(source: source, amendSerial: amendSerial, into: &sink)
  }

  /// The order in `table`.
  ///
  /// - Parameter amendSerial: Of the amend that is answered, if it is the reply to one.
  mutating func deliverOrder<Sink: VenueEventSink & ~Copyable>(
    source: ReportSource, amendSerial: UInt16 = 0, into sink: inout Sink
  ) -> ItemOutcome {
    typealias Field = DeribitOrderField
    scratchCount = 0
    let numbers = apus_members_numbers(table), texts = apus_members_texts(table)
    let others = apus_members_others(table)
    let isQuote = texts & Field.quoteSet.bit != 0
    let owner =
      isQuote
      ? tag.owner(of: text(Field.quoteSet)) : texts & Field.label.bit != 0 ? tag.owner(of: text(Field.label)) : .other
    let neededTexts = Field.instrument.bit | Field.orderID.bit | Field.direction.bit | Field.state.bit
    let isWrong =
      (numbers | others) & Field.texts | (texts & ~Field.price.bit | others) & Field.numbers != 0
      || texts & neededTexts != neededTexts
    guard let instrument = texts & Field.instrument.bit != 0 ? instrument(text(Field.instrument)) : nil else {
      return ignore(unless: isWrong || owner != .other, isWrong, into: &sink)
    }
    guard let listing = listing(instrument) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    // A conditional order has a word for a price and no filled amount; the engine sends none, and others' are stepped over.
    if owner == .other, texts & Field.price.bit != 0 || numbers & Field.filled.bit == 0 {
      ignoredItems += 1
      return .ignored
    }
    let neededNumbers = Field.price.bit | Field.amount.bit | Field.filled.bit
    var report = OrderReport()
    guard !isWrong, numbers & neededNumbers == neededNumbers, setID(&report.venueID, Field.orderID) else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let side = DeribitWords.side(text(Field.direction)) else {
      sink.refusedAtEdge(.unknownWord)
      return .refused
    }
    report.source = source
    report.amendSerial = amendSerial
    report.instrument = instrument
    report.side = side
    report.isLabelledOurs = owner != .other
    if case .ourOrder(let id) = owner {
      if isQuote {
        report.isOurQuote = true
        report.quoteSerial = id
      } else {
        report.clientID = id
      }
    }
    report.hasPrice = true
    if let problem = listing.pointee.price(decimal(Field.price), &report.price)
      ?? listing.pointee.size(decimal(Field.amount), &report.qty)
      ?? listing.pointee.size(decimal(Field.filled), &report.filled)
    {
      sink.refusedAtEdge(problem)
      return .refused
    }
    report.status = DeribitWords.status(text(Field.state), hasFills: report.filled > .zero)
    if report.filled > report.qty || report.status == .filled && report.filled < report.qty {
      sink.refusedAtEdge(.impossible)
      return .refused
    }
    if report.status.isLive { report.remaining = report.qty - report.filled }
    if texts & Field.reason.bit != 0 {
      report.deletion = DeribitWords.deletion(text(Field.reason))
    } else if others & Field.isProtected.bit != 0, isTrue(Field.isProtected) {
      report.deletion = .protection
    }
    report.change =
      source == .query ? .existing : others & Field.replaced.bit != 0 && isTrue(Field.replaced) ? .amend : .other
    if numbers & Field.created.bit != 0 { report.createTime = time(Field.created) }
    if report.status == .other { sink.refusedAtEdge(.unknownWord) }
    sink.order(report)
    return .delivered
  }

  private func isTrue(_ field: DeribitOrderField) -> Bool { apus_members_value(table, field.rawValue).equals("true") }

  /// An item about an instrument that nobody asked for: stepped over, unless something of it is ours.
  private mutating func ignore<Sink: VenueEventSink & ~Copyable>(
    unless isRefused: Bool, _ isWrong: Bool, into sink: inout Sink
  ) -> ItemOutcome {
    guard isRefused else {
      ignoredItems += 1
      return .ignored
    }
    sink.refusedAtEdge(isWrong ? .missingMember : .unknownName)
    return .refused
  }

  /// An array of executions, which has been checked; false if one of them was refused.
  mutating func trades<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, source: ReportSource, into sink: inout Sink
  ) -> Bool {
    guard apus_json_accept(&json, 0x5B) else {
      sink.refusedAtEdge(.missingMember)
      return false
    }
    newestTradeInPage = 0
    var isComplete = true
    var started = false
    while apus_json_next_element(&json, &started) {
      if trade(&json, source: source, into: &sink) == .refused { isComplete = false }
    }
    return isComplete && !json.failed
  }

  private mutating func trade<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, source: ReportSource, into sink: inout Sink
  ) -> ItemOutcome {
    guard scan(&json, shapes.trade.pointer) else {
      sink.refusedAtEdge(json.failed ? .malformed : .missingMember)
      return .refused
    }
    return deliverTrade(source: source, into: &sink)
  }

  /// The execution in `table`.
  private mutating func deliverTrade<Sink: VenueEventSink & ~Copyable>(
    source: ReportSource, into sink: inout Sink
  ) -> ItemOutcome {
    typealias Field = DeribitTradeField
    scratchCount = 0
    let numbers = apus_members_numbers(table), texts = apus_members_texts(table)
    let others = apus_members_others(table)
    if numbers & Field.time.bit != 0 { newestTradeInPage = max(newestTradeInPage, time(Field.time) / 1_000_000) }
    let isQuote = texts & Field.quoteSet.bit != 0
    let name = isQuote ? text(Field.quoteSet) : texts & Field.label.bit != 0 ? text(Field.label) : JSONText()
    let owner = tag.owner(of: name)
    let neededTexts = Field.instrument.bit | Field.orderID.bit | Field.tradeID.bit | Field.direction.bit
    let neededNumbers = Field.price.bit | Field.amount.bit
    let isWrong =
      (numbers | others) & Field.texts | (texts | others) & Field.numbers != 0 || texts & neededTexts != neededTexts
      || numbers & neededNumbers != neededNumbers
    guard let instrument = texts & Field.instrument.bit != 0 ? instrument(text(Field.instrument)) : nil else {
      return ignore(unless: isWrong || owner != .other, isWrong, into: &sink)
    }
    guard let listing = listing(instrument) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    var fill = FillReport()
    guard !isWrong, setID(&fill.venueID, Field.orderID), setID(&fill.tradeID, Field.tradeID) else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    // Documented as the taker's, but the records that were seen have the order's own (section 11.2); an order that we
    // know has its own side anyway.
    guard let side = DeribitWords.side(text(Field.direction)) else {
      sink.refusedAtEdge(.unknownWord)
      return .refused
    }
    fill.source = source
    fill.instrument = instrument
    fill.side = side
    fill.isLabelledOurs = owner != .other
    if case .ourOrder(let id) = owner {
      if isQuote {
        fill.isOurQuote = true
        fill.quoteSerial = id
      } else {
        fill.clientID = id
      }
    }
    if owner != .other { fill.run = tag.run(of: name) }
    fill.isMaker = text(Field.liquidity).equals("M")
    if numbers & Field.fee.bit != 0 {
      fill.hasFee = true
      if apus_decimal_to_e8(decimal(Field.fee), &fill.feeE8) == .overflow {
        sink.refusedAtEdge(.impossible)
        return .refused
      }
    }
    if numbers & Field.time.bit != 0 { fill.time = time(Field.time) }
    if let problem = listing.pointee.price(decimal(Field.price), &fill.price)
      ?? listing.pointee.size(decimal(Field.amount), &fill.qty) ?? (fill.qty > .zero ? nil : .impossible)
    {
      sink.refusedAtEdge(problem)
      return .refused
    }
    sink.fill(fill)
    return .delivered
  }

  /// Whether the id is neither empty nor too long, and can be sent back as it is.
  @inline(always)
  private func setID(_ id: inout VenueID, _ field: some FrameField) -> Bool {
    let text = apus_members_text(table, field.rawValue)
    guard let bytes = text.bytes, !text.has_escapes else { return false }
    return apus_id_set(&id, bytes, text.count)
  }
}
