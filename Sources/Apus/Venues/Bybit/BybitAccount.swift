import CSupport

/// Positions and balances, from the private stream and from queries (protocol reference 8.3, 8.4).
extension BybitDecoder {
  /// One row of a position. The stream calls its average price `entryPrice`, a query `avgPrice`.
  ///
  /// The engine trades in one-way mode: an open position of the hedge mode is refused, an empty one is left out.
  mutating func position<Sink: VenueEventSink & ~Copyable>(
    _ members: OpaquePointer, into sink: inout Sink
  ) -> ItemOutcome {
    let texts = apus_members_texts(members)
    if texts & BybitPositionField.category.bit != 0, !text(members, BybitPositionField.category).equals("linear") {
      ignoredItems += 1
      return .ignored
    }
    let needed = BybitPositionField.symbol.bit | BybitPositionField.side.bit | BybitPositionField.size.bit
    guard texts & needed == needed else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    guard let index = instrument(text(members, BybitPositionField.symbol)) else {
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listing(index) else {
      sink.refusedAtEdge(.unknownName)
      return .refused
    }
    var report = PositionReport()
    report.instrument = index
    var value = ScannedDecimal()
    var size = QtyLots.zero
    switch number(members, BybitPositionField.size, &value) {
    case .number:
      if let problem = listing.pointee.size(&value, &size) {
        sink.refusedAtEdge(problem)
        return .refused
      }
    case .absent: break
    case .unreadable:
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    var mode: Int64 = 0
    if apus_members_numbers(members) & BybitPositionField.positionIdx.bit != 0 {
      let number = apus_members_decimal(members, BybitPositionField.positionIdx.rawValue)
      if apus_decimal_to_scaled(number, 0, &mode) != .exact { mode = -1 }
    }
    if mode != 0 {
      if size == QtyLots.zero {
        ignoredItems += 1
        return .ignored
      }
      sink.refusedAtEdge(.impossible)
      return .refused
    }
    if size > QtyLots.zero {
      guard let side = Side(bybit: text(members, BybitPositionField.side)) else {
        sink.refusedAtEdge(text(members, BybitPositionField.side).count == 0 ? .missingMember : .unknownWord)
        return .refused
      }
      report.position = side == .buy ? size : QtyLots(rawValue: -size.rawValue)
    }
    let average =
      texts & BybitPositionField.entryPrice.bit != 0 ? BybitPositionField.entryPrice : BybitPositionField.avgPrice
    if let problem = scaled(members, texts, BybitPositionField.markPrice, &report.markE8)
      ?? scaled(members, texts, average, &report.averagePriceE8)
    {
      sink.refusedAtEdge(problem)
      return .refused
    }
    if texts & BybitPositionField.updatedTime.bit != 0 {
      report.updateTime = time(apus_members_text(members, BybitPositionField.updatedTime.rawValue))
    }
    sink.position(report)
    return .delivered
  }

  /// An optional value in 10⁻⁸; 0 if there is none.
  @inline(always)
  private func scaled(
    _ members: OpaquePointer, _ texts: UInt32, _ field: some FrameField, _ out: inout Int64
  ) -> DecodeProblem? {
    guard texts & field.bit != 0 else { return nil }
    var value = ScannedDecimal()
    switch number(members, field, &value) {
    case .absent: return nil
    case .unreadable: return .missingMember
    case .number: return apus_decimal_to_e8(&value, &out) == .overflow ? .impossible : nil
    }
  }

  /// The state of the account in US dollars; what is held in which coin is left out.
  mutating func account<Sink: VenueEventSink & ~Copyable>(
    _ members: OpaquePointer, into sink: inout Sink
  ) -> ItemOutcome {
    let texts = apus_members_texts(members)
    let needed = BybitAccountField.totalMarginBalance.bit | BybitAccountField.totalAvailableBalance.bit
    // Empty means that the account is of another kind, not that it holds nothing.
    guard texts & needed == needed,
      apus_members_text(members, BybitAccountField.totalMarginBalance.rawValue).count > 0,
      apus_members_text(members, BybitAccountField.totalAvailableBalance.rawValue).count > 0
    else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    var summary = AccountSummary()
    let problem =
      scaled(members, texts, BybitAccountField.totalMarginBalance, &summary.marginE8)
      ?? scaled(members, texts, BybitAccountField.totalInitialMargin, &summary.requiredMarginE8)
      ?? scaled(members, texts, BybitAccountField.totalAvailableBalance, &summary.remainingMarginE8)
      ?? scaled(members, texts, BybitAccountField.totalWalletBalance, &summary.cashCollateralE8)
      ?? scaled(members, texts, BybitAccountField.totalPerpUPL, &summary.unrealisedE8)
    if let problem {
      sink.refusedAtEdge(problem)
      return .refused
    }
    sink.account(summary)
    return .delivered
  }
}
