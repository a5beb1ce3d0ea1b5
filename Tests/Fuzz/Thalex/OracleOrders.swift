import CSupport

/// Orders, executions and the lists that they come in.
extension Oracle {
  enum Outcome { case delivered, ignored, refused }

  mutating func refuse(_ problem: DecodeProblem) -> Outcome {
    sink.refusedAtEdge(problem)
    return .refused
  }

  struct Item {
    var texts: [String: Text] = [:]
    var numbers: [String: SlowNumber] = [:]
    var label: Text?
    var isPersistent = false
    var fills: SlowJSON?
    var hasLegs = false
    var wrong = false
  }

  func read(_ value: SlowJSON, texts: Set<String>, numbers: Set<String>, isOrder: Bool) -> Item {
    var item = Item()
    guard case .object(let members) = value else {
      item.wrong = true
      return item
    }
    for member in members {
      let key = name(member)
      var isNumber = false
      if texts.contains(key) {
        item.texts[key] = text(member.value, &item.wrong)
      } else if numbers.contains(key) {
        item.numbers[key] = number(member.value, &item.wrong)
      } else if key == "label" {
        item.label = text(member.value, &isNumber) ?? item.label
      } else if isOrder, key == "persistent" {
        item.isPersistent = flag(member.value, &item.wrong)
      } else if isOrder, key == "fills" {
        item.fills = member.value
      } else if isOrder, key == "legs" {
        switch member.value {
        case .bool, .array, .object: item.hasLegs = true
        case .null, .number, .string: break
        }
      }
    }
    return item
  }

  static let orderTexts: Set<String> = [
    "order_id", "instrument_name", "direction", "status", "change_reason", "delete_reason",
  ]
  static let orderNumbers: Set<String> = [
    "price", "amount", "filled_amount", "remaining_amount", "client_order_id", "create_time",
  ]
  static let tradeTexts: Set<String> = [
    "order_id", "trade_id", "instrument_name", "direction", "trade_type", "maker_taker",
  ]
  static let tradeNumbers: Set<String> = ["price", "amount", "time", "fee", "client_order_id", "leg_index"]

  mutating func order(
    _ value: SlowJSON, _ source: ReportSource, isSession: Bool, amendSerial: UInt16 = 0
  ) -> Outcome {
    let item = read(value, texts: Self.orderTexts, numbers: Self.orderNumbers, isOrder: true)
    let isOurs = has(item.label, prefix: labelPrefix)
    guard let name = item.texts["instrument_name"], let index = index(name) else {
      let isCombination = item.hasLegs && item.texts["instrument_name"] == nil
      if isCombination, !item.wrong, source != .reply {
        ignoredItems += 1
        return .ignored
      }
      if isSession || isOurs || item.wrong { return refuse(item.wrong ? .missingMember : .unknownName) }
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listings[index] else { return refuse(.unknownName) }
    var report = OrderReport()
    report.source = source
    report.instrument = InstrumentIndex(index)
    report.isLabelledOurs = isOurs
    report.isPersistent = item.isPersistent
    guard !item.wrong, let direction = item.texts["direction"], let amount = item.numbers["amount"],
      let filled = item.numbers["filled_amount"], source == .history || item.numbers["remaining_amount"] != nil,
      let status = item.texts["status"], let idText = item.texts["order_id"], let venueID = id(idText)
    else { return refuse(.missingMember) }
    report.venueID = venueID
    if let client = item.numbers["client_order_id"] {
      guard let whole = client.whole else { return refuse(.missingMember) }
      report.clientID = whole
    }
    guard let side = side(direction) else { return refuse(.unknownWord) }
    report.side = side
    var hasUnknownWord = false
    if let known = Self.statuses[word(status)] { report.status = known } else { hasUnknownWord = true }
    if let change = item.texts["change_reason"] {
      if let known = Self.changes[word(change)] { report.change = known } else { hasUnknownWord = true }
    }
    if let deletion = item.texts["delete_reason"] {
      report.deletion = Self.deletions[word(deletion)] ?? .other
      if report.deletion == .other { hasUnknownWord = true }
    }
    if let time = item.numbers["create_time"]?.scaled(9), time.outcome != .overflow { report.createTime = time.value }

    if let number = item.numbers["price"] {
      if let problem = price(number, listing, &report.price) { return refuse(problem) }
      report.hasPrice = true
    } else if report.status.isLive {
      return refuse(.missingMember)
    }
    if let problem = size(amount, listing, &report.qty) ?? size(filled, listing, &report.filled)
      ?? item.numbers["remaining_amount"].flatMap({ size($0, listing, &report.remaining) })
    {
      return refuse(problem)
    }
    if report.status == .cancelledPartiallyFilled, report.qty < report.filled { report.qty = report.filled }
    let (total, executed, resting) = (report.qty.rawValue, report.filled.rawValue, report.remaining.rawValue)
    let isPossible =
      executed <= total && resting <= total && !(report.status.isLive && resting > total - executed)
      && !(report.status == .filled && executed < total)
    if !isPossible { return refuse(.impossible) }

    switch item.fills {
    case nil, .null?: break
    case .array(let items)?:
      for fill in items { self.fill(fill, of: report, listing) }
    default: sink.refusedAtEdge(.missingMember)
    }
    if hasUnknownWord { sink.refusedAtEdge(.unknownWord) }
    report.amendSerial = amendSerial
    sink.order(report)
    return .delivered
  }

  mutating func fill(_ value: SlowJSON, of order: OrderReport, _ listing: Listing) {
    let item = read(value, texts: Self.tradeTexts, numbers: Self.tradeNumbers, isOrder: false)
    var fill = FillReport()
    fill.source = order.source
    fill.side = order.side
    fill.instrument = order.instrument
    fill.isLabelledOurs = order.isLabelledOurs
    fill.clientID = order.clientID
    fill.venueID = order.venueID
    if let problem = execution(item, listing, &fill) { sink.refusedAtEdge(problem) } else { sink.fill(fill) }
  }

  mutating func execution(_ item: Item, _ listing: Listing, _ fill: inout FillReport) -> DecodeProblem? {
    guard !item.wrong, let priceNumber = item.numbers["price"], let amount = item.numbers["amount"],
      var text = item.texts["trade_id"], var tradeID = id(text)
    else { return .missingMember }
    if let leg = item.numbers["leg_index"] {
      guard let number = leg.whole, number < 10 else { return .impossible }
      if number > 0 {
        text += Array("/\(number)".utf8)
        guard let longer = id(text) else { return .missingMember }
        tradeID = longer
      }
    }
    fill.tradeID = tradeID
    if let problem = price(priceNumber, listing, &fill.price) ?? size(amount, listing, &fill.qty) { return problem }
    if fill.qty.rawValue <= 0 { return .impossible }
    if let time = item.numbers["time"]?.scaled(9), time.outcome != .overflow { fill.time = time.value }
    if let role = item.texts["maker_taker"] {
      fill.isMaker = word(role) == "maker"
      if !fill.isMaker, word(role) != "taker" { sink.refusedAtEdge(.unknownWord) }
    }
    return nil
  }

  mutating func trade(_ value: SlowJSON, _ source: ReportSource) -> Outcome {
    let item = read(value, texts: Self.tradeTexts, numbers: Self.tradeNumbers, isOrder: false)
    let isOurs = has(item.label, prefix: labelPrefix)
    if let type = item.texts["trade_type"] {
      if ["daily_mark", "expiration", "internal_transfer", "amend", "delete"].contains(word(type)) {
        ignoredItems += 1
        return .ignored
      }
      guard ["normal", "block", "combo", "rfq", "liquidation"].contains(word(type)) else { return refuse(.unknownWord) }
    }
    guard let name = item.texts["instrument_name"], let index = index(name) else {
      if item.wrong || item.texts["instrument_name"] == nil { return refuse(.missingMember) }
      if isOurs { return refuse(.unknownName) }
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listings[index] else { return refuse(.unknownName) }
    var fill = FillReport()
    fill.source = source
    fill.instrument = InstrumentIndex(index)
    fill.isLabelledOurs = isOurs
    guard !item.wrong, let direction = item.texts["direction"], let idText = item.texts["order_id"],
      let venueID = id(idText)
    else { return refuse(.missingMember) }
    fill.venueID = venueID
    if let client = item.numbers["client_order_id"] {
      guard let whole = client.whole else { return refuse(.missingMember) }
      fill.clientID = whole
    }
    guard let side = side(direction) else { return refuse(.unknownWord) }
    fill.side = side
    if let fee = item.numbers["fee"] {
      let (outcome, value) = fee.scaled(8)
      if outcome == .overflow { return refuse(.impossible) }
      fill.hasFee = true
      fill.feeE8 = value
    }
    if let problem = execution(item, listing, &fill) { return refuse(problem) }
    sink.fill(fill)
    return .delivered
  }

  mutating func list(
    _ value: SlowJSON, _ snapshot: SnapshotKind?, reply: RequestKind?, value replyValue: Int64,
    _ item: (inout Oracle, SlowJSON) -> Outcome
  ) {
    guard case .array(let items) = value else { return sink.refusedAtEdge(.missingMember) }
    if let snapshot { sink.snapshotBegin(snapshot) }
    var isComplete = true
    for value in items where item(&self, value) == .refused { isComplete = false }
    guard isComplete else { return }
    if let snapshot { sink.snapshotEnd(snapshot) }
    if let reply { sink.replied(reply, value: replyValue) }
  }

  mutating func orders(
    _ value: SlowJSON, _ source: ReportSource, _ snapshot: SnapshotKind?, isSession: Bool, reply: RequestKind?
  ) {
    list(value, snapshot, reply: reply, value: 0) { $0.order($1, source, isSession: isSession) }
  }

  mutating func trades(_ value: SlowJSON, _ source: ReportSource, reply: RequestKind?, hasMore: Bool) {
    list(value, reply == nil ? nil : .tradeHistory, reply: reply, value: hasMore ? 1 : 0) { $0.trade($1, source) }
  }

  mutating func portfolio(_ value: SlowJSON, isSnapshot: Bool, reply: RequestKind?) {
    list(value, isSnapshot ? .portfolio : nil, reply: reply, value: 0) { $0.position($1) }
  }

  mutating func position(_ value: SlowJSON) -> Outcome {
    let item = read(
      value, texts: ["instrument_name"], numbers: ["position", "mark_price", "average_price"], isOrder: false)
    guard let name = item.texts["instrument_name"], let size = item.numbers["position"],
      !(item.wrong)
    else { return refuse(.missingMember) }
    guard let index = index(name) else {
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listings[index] else { return refuse(.unknownName) }
    var report = PositionReport()
    report.instrument = InstrumentIndex(index)
    if let problem = signedSize(size, listing, &report.position) { return refuse(problem) }
    if let mark = item.numbers["mark_price"]?.scaled(8) {
      if mark.outcome == .overflow { return refuse(.impossible) }
      report.markE8 = mark.value
    }
    if let average = item.numbers["average_price"]?.scaled(8) {
      if average.outcome == .overflow { return refuse(.impossible) }
      report.averagePriceE8 = average.value
    }
    sink.position(report)
    return .delivered
  }

  mutating func instruments(_ value: SlowJSON, isSnapshot: Bool, isWrapped: Bool, reply: RequestKind?) {
    list(value, isSnapshot ? .instruments : nil, reply: reply, value: 0) { oracle, item in
      guard isWrapped, case .object(let members) = item else { return oracle.instrument(item, isListed: true) }
      var outcome = Outcome.ignored
      for member in members {
        let key = oracle.name(member)
        guard key == "added" || key == "removed" else { continue }
        if oracle.instrument(member.value, isListed: key == "added") == .refused { outcome = .refused }
      }
      return outcome
    }
  }

  mutating func instrument(_ value: SlowJSON, isListed: Bool) -> Outcome {
    let item = read(
      value, texts: ["instrument_name", "type", "product", "underlying", "option_type"],
      numbers: ["tick_size", "volume_tick_size", "min_order_amount", "expiration_timestamp", "strike_price"],
      isOrder: false)
    guard let name = item.texts["instrument_name"] else { return refuse(.missingMember) }
    let index = index(name)
    let kind = item.texts["type"].flatMap { Self.kinds[word($0)] }
    let family = families.firstIndex {
      $0.kind == kind && item.texts["underlying"].map(word) == $0.underlying
    }
    guard index != nil || family != nil else {
      ignoredItems += 1
      return .ignored
    }
    guard let tick = item.numbers["tick_size"]?.scaled(8), let lot = item.numbers["volume_tick_size"]?.scaled(8),
      let minimum = item.numbers["min_order_amount"], item.texts["type"] != nil, !item.wrong
    else { return refuse(.missingMember) }
    var seconds: Int64 = 0
    if let expiry = item.numbers["expiration_timestamp"]?.scaled(0) {
      if expiry.outcome == .overflow || expiry.value < 0 { return refuse(.impossible) }
      seconds = expiry.value
    }
    if let strike = item.numbers["strike_price"]?.scaled(8), strike.outcome == .overflow || strike.value <= 0 {
      return refuse(.impossible)
    }
    guard tick.outcome == .exact, lot.outcome == .exact, tick.value > 0, lot.value > 0 else {
      return refuse(.impossible)
    }
    guard let lots = minimum.steps(lot.value), lots.outcome != .overflow, lots.value >= 1 else {
      return refuse(.offGrid)
    }
    if kind == nil { sink.refusedAtEdge(.unknownWord) }
    let grid = InstrumentGrid(tickE8: tick.value, lotE8: lot.value, minimumLots: QtyLots(rawValue: lots.value))
    var product = noProduct
    if let name = item.texts["product"], let found = products.firstIndex(of: word(name)) {
      product = ProductIndex(found)
      if index != nil {
        productLots[found] = productLots[found] == 0 ? lot.value : min(productLots[found], lot.value)
      }
    }
    let types: [String: OptionType] = ["call": .call, "put": .put]
    let optionType = item.texts["option_type"].map { types[word($0)] ?? .none }
    let strikeE8 = item.numbers["strike_price"]?.scaled(8).value ?? 0
    if let index {
      let info = InstrumentInfo(
        index: InstrumentIndex(index), kind: kind ?? .other, grid: grid, expirySeconds: seconds, product: product,
        optionType: optionType ?? .none, strikeE8: strikeE8)
      listings[index] = Listing(info: info)
      sink.instrument(info, isListed: isListed)
    }
    guard let family, let kind else { return .delivered }
    guard let short = id(name) else { return refuse(.unknownName) }
    var listing = InstrumentListing()
    listing.family = family
    listing.name = short
    listing.kind = kind
    listing.product = product
    listing.instrument = index.map { InstrumentIndex($0) } ?? .max
    listing.grid = grid
    listing.expirySeconds = seconds
    listing.strikeE8 = strikeE8
    if let optionType {
      listing.optionType = optionType
      if optionType == .none { sink.refusedAtEdge(.unknownWord) }
    }
    sink.listing(listing, isListed: isListed)
    return .delivered
  }
}
