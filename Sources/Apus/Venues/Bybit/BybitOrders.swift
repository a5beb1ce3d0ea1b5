import CSupport

/// Orders and executions, from the private stream and from queries (protocol reference 8.1, 8.2).
extension BybitDecoder {
  /// The record is about another kind of contract, in which the same symbol means another thing.
  @inline(always)
  private mutating func isOtherCategory(_ members: OpaquePointer, _ texts: UInt32, _ field: some FrameField) -> Bool {
    texts & field.bit != 0 && !text(members, field).equals("linear")
  }

  /// One record of an order. Its executions come on their own.
  mutating func order<Sink: VenueEventSink & ~Copyable>(
    _ members: OpaquePointer, source: ReportSource, into sink: inout Sink
  ) -> ItemOutcome {
    let texts = apus_members_texts(members)
    if isOtherCategory(members, texts, BybitOrderField.category) {
      ignoredItems += 1
      return .ignored
    }
    var owner = OrderTag.Owner.other
    if texts & BybitOrderField.linkID.bit != 0 { owner = tag.owner(of: text(members, BybitOrderField.linkID)) }
    guard texts & BybitOrderField.symbol.bit != 0 else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let index = instrument(text(members, BybitOrderField.symbol)) else {
      if owner != .other {
        sink.refusedAtEdge(.unknownName)
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
    report.instrument = index
    report.isLabelledOurs = owner != .other
    if case .ourOrder(let clientID) = owner { report.clientID = clientID }
    let needed =
      BybitOrderField.orderID.bit | BybitOrderField.side.bit | BybitOrderField.orderStatus.bit | BybitOrderField.qty.bit
      | BybitOrderField.cumExecQty.bit
    guard texts & needed == needed, Self.setID(&report.venueID, text(members, BybitOrderField.orderID)) else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let side = Side(bybit: text(members, BybitOrderField.side)) else {
      sink.refusedAtEdge(.unknownWord)
      return .refused
    }
    report.side = side
    let word = BybitOrderWord(text(members, BybitOrderField.orderStatus))
    if let problem = quantities(members, texts, listing, word, &report) {
      sink.refusedAtEdge(problem)
      return .refused
    }
    var hasUnknownWord = word == nil
    report.deletion = deletion(members, texts, report.status, &hasUnknownWord)
    if texts & BybitOrderField.createdTime.bit != 0 {
      report.createTime = time(apus_members_text(members, BybitOrderField.createdTime.rawValue))
    }
    if texts & BybitOrderField.updatedTime.bit != 0 {
      report.updateTime = time(apus_members_text(members, BybitOrderField.updatedTime.rawValue))
    }
    if hasUnknownWord { sink.refusedAtEdge(.unknownWord) }
    sink.order(report)
    return .delivered
  }

  /// Price, sizes and status of an order, and whether they can be true together (R05).
  ///
  /// What a dead order leaves is stated as 0 even if it was never executed, and an order that has been amended below
  /// what was executed may be dead with that amount: its total is then what was executed. Its death must not be lost.
  @inline(always)
  private mutating func quantities(
    _ members: OpaquePointer, _ texts: UInt32, _ listing: UnsafePointer<Listing>, _ word: BybitOrderWord?,
    _ report: inout OrderReport
  ) -> DecodeProblem? {
    var value = ScannedDecimal()
    guard number(members, BybitOrderField.qty, &value) == .number else { return .missingMember }
    if let problem = listing.pointee.size(&value, &report.qty) { return problem }
    switch number(members, BybitOrderField.cumExecQty, &value) {
    case .number: if let problem = listing.pointee.size(&value, &report.filled) { return problem }
    // Of an order that has not been executed a query may say nothing.
    case .absent: break
    case .unreadable: return .missingMember
    }
    report.status = word?.status(hasFills: report.filled > QtyLots.zero) ?? .other
    let isMarket =
      texts & BybitOrderField.orderType.bit != 0 && text(members, BybitOrderField.orderType).equals("Market")
    // The price of a market order is the venue's protection price.
    if texts & BybitOrderField.price.bit != 0, !isMarket {
      switch number(members, BybitOrderField.price, &value) {
      case .number:
        // A conditional order has none before it is triggered.
        if value.mantissa != 0 || report.status.isLive {
          if let problem = listing.pointee.price(&value, &report.price) { return problem }
          report.hasPrice = true
        }
      case .absent: break
      case .unreadable: return .missingMember
      }
    }
    if !report.hasPrice, report.status.isLive, !isMarket { return .missingMember }
    if report.status.isTerminal {
      if report.status == .cancelledPartiallyFilled, report.qty < report.filled { report.qty = report.filled }
      if report.filled > report.qty || report.status == .filled && report.filled < report.qty { return .impossible }
      return nil
    }
    guard texts & BybitOrderField.leavesQty.bit != 0, number(members, BybitOrderField.leavesQty, &value) == .number
    else {
      // Without a known status it may be dead or alive, and nothing is concluded from what it leaves.
      return report.status.isLive ? .missingMember : report.filled > report.qty ? .impossible : nil
    }
    if let problem = listing.pointee.size(&value, &report.remaining) { return problem }
    // By subtraction: a sum could leave 64 bits.
    if report.filled > report.qty || report.remaining > report.qty - report.filled { return .impossible }
    return nil
  }

  /// Why an order ended: by `cancelType`, and by `rejectReason` where that says nothing.
  @inline(always)
  private mutating func deletion(
    _ members: OpaquePointer, _ texts: UInt32, _ status: OrderStatus, _ hasUnknownWord: inout Bool
  ) -> DeleteReason {
    guard status.isTerminal else { return .none }
    // A cancel that came too late is told by a second record of the filled order.
    if status == .filled { return .filled }
    if texts & BybitOrderField.cancelType.bit != 0 {
      switch BybitCancelWord(text(members, BybitOrderField.cancelType)) {
      case .cause(let reason): return reason
      case .unstated: break
      case nil:
        hasUnknownWord = true
        return .other
      }
    }
    guard texts & BybitOrderField.rejectReason.bit != 0 else { return .other }
    let reason = DeleteReason(bybitReason: text(members, BybitOrderField.rejectReason))
    return reason == .none ? .other : reason
  }

  /// One record of an execution stream or of the list of executions.
  mutating func execution<Sink: VenueEventSink & ~Copyable>(
    _ members: OpaquePointer, _ context: ItemContext, into sink: inout Sink
  ) -> ItemOutcome {
    let texts = apus_members_texts(members)
    if isOtherCategory(members, texts, BybitExecutionField.category) {
      ignoredItems += 1
      return .ignored
    }
    // The fast stream has executions only, and does not say so.
    if context.kind == .execution {
      guard texts & BybitExecutionField.execType.bit != 0 else {
        sink.refusedAtEdge(.missingMember)
        return .refused
      }
      guard let meaning = BybitExecutionMeaning(text(members, BybitExecutionField.execType)) else {
        sink.refusedAtEdge(.unknownWord)
        return .refused
      }
      if meaning == .bookkeeping {
        ignoredItems += 1
        return .ignored
      }
    }
    var owner = OrderTag.Owner.other
    if texts & BybitExecutionField.linkID.bit != 0 { owner = tag.owner(of: text(members, BybitExecutionField.linkID)) }
    guard texts & BybitExecutionField.symbol.bit != 0 else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let index = instrument(text(members, BybitExecutionField.symbol)) else {
      if owner != .other {
        sink.refusedAtEdge(.unknownName)
        return .refused
      }
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listing(index) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    var fill = FillReport()
    fill.source = context.source
    fill.instrument = index
    fill.isLabelledOurs = owner != .other
    if case .ourOrder(let clientID) = owner { fill.clientID = clientID }
    let needed =
      BybitExecutionField.execID.bit | BybitExecutionField.orderID.bit | BybitExecutionField.side.bit
      | BybitExecutionField.execPrice.bit | BybitExecutionField.execQty.bit
    var price = ScannedDecimal(), size = ScannedDecimal()
    guard texts & needed == needed, Self.setID(&fill.tradeID, text(members, BybitExecutionField.execID)),
      Self.setID(&fill.venueID, text(members, BybitExecutionField.orderID)),
      number(members, BybitExecutionField.execPrice, &price) == .number,
      number(members, BybitExecutionField.execQty, &size) == .number
    else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let side = Side(bybit: text(members, BybitExecutionField.side)) else {
      sink.refusedAtEdge(.unknownWord)
      return .refused
    }
    fill.side = side
    if let problem = listing.pointee.price(&price, &fill.price) ?? listing.pointee.size(&size, &fill.qty) {
      sink.refusedAtEdge(problem)
      return .refused
    }
    guard fill.qty > QtyLots.zero else {
      sink.refusedAtEdge(.impossible)
      return .refused
    }
    if let problem = fee(members, texts, &fill, into: &sink) {
      sink.refusedAtEdge(problem)
      return .refused
    }
    if apus_members_others(members) & BybitExecutionField.isMaker.bit != 0 {
      fill.isMaker = apus_members_value(members, BybitExecutionField.isMaker.rawValue).equals("true")
    }
    if texts & BybitExecutionField.execTime.bit != 0 {
      fill.time = time(apus_members_text(members, BybitExecutionField.execTime.rawValue))
    }
    sink.fill(fill)
    return .delivered
  }

  /// The fee, above 0 if it was paid. In another coin than the settle coin it cannot be booked: the fill is then
  /// without.
  @inline(always)
  private mutating func fee<Sink: VenueEventSink & ~Copyable>(
    _ members: OpaquePointer, _ texts: UInt32, _ fill: inout FillReport, into sink: inout Sink
  ) -> DecodeProblem? {
    guard texts & BybitExecutionField.execFee.bit != 0 else { return nil }
    var value = ScannedDecimal()
    switch number(members, BybitExecutionField.execFee, &value) {
    case .absent: return nil
    case .unreadable: return .missingMember
    case .number: break
    }
    if texts & BybitExecutionField.feeCurrency.bit != 0 {
      let coin = text(members, BybitExecutionField.feeCurrency)
      if coin.count > 0, !isSettleCoin(coin) {
        sink.refusedAtEdge(.unknownWord)
        return nil
      }
    }
    if apus_decimal_to_e8(&value, &fill.feeE8) == .overflow { return .impossible }
    fill.hasFee = true
    return nil
  }

  @inline(always)
  func isSettleCoin(_ coin: JSONText) -> Bool {
    guard let bytes = coin.bytes, let own = settleCoin.baseAddress, coin.count == settleCoin.count else { return false }
    return apus_json_same(bytes, own, coin.count)
  }
}
