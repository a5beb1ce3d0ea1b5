import CSupport

/// Executions, each booked exactly once.
extension StateTracker {
  /// Books an execution exactly once (R06).
  mutating func apply(_ fill: FillReport, now: Nanoseconds) -> FillOutcome {
    let order = fill.quoteSerial > 0 ? findNamed(fill, now: now) : find(fill)
    // An execution of an order of the run that is continued: nothing else is left of the order. Or of a quote of ours that
    // was taken for another one: the label says that it is of this run.
    let isInherited = order == nil && (carriesAccount || fill.isOurQuote) && isOfAccount(fill)
    if order == nil, !isInherited, !trades.contains(fill.tradeID) {
      counters.foreignFills += 1
      return .foreign
    }
    guard Int(fill.instrument) < instrumentCapacity else { return .foreign }
    let side = order?.pointee.sideValue ?? fill.side
    let state = state(order?.pointee.instrument_index ?? fill.instrument)
    // Nothing that comes over the wire may overflow a sum.
    let worth = state.pointee.value.worth(fill.qty, at: fill.price)
    let cost = worth ?? 0
    // An execution that is told only now, but is part of the position already, replaces the value it was given then.
    let isIncluded = fill.time != 0 && fill.time <= state.pointee.includedUntil
    let replaced = isIncluded ? state.pointee.valueOfIncluded(fill.qty) : 0
    let (due, _) = cost.subtractingReportingOverflow(replaced ?? 0)
    let (cash, third) = state.pointee.cashE8.subtractingReportingOverflow(side == .buy ? due : 0 &- due)
    let (fees, fourth) = state.pointee.feesE8.addingReportingOverflow(fill.hasFee ? fill.feeE8 : 0)
    if worth == nil || third || fourth || replaced == nil || fill.qty > Self.largestLots {
      counters.impossible += 1
      if let order { markUnknown(order, now: now) }
      return .impossible
    }
    if case .known(let hadFee) = trades.note(fill.tradeID, hasFee: fill.hasFee) {
      guard fill.hasFee, !hadFee else {
        counters.duplicateFills += 1
        return .duplicate
      }
      state.pointee.feesE8 = fees
      state.pointee.fillsWithoutFee -= 1
      return .feeAdded
    }
    guard isInherited || order != nil else { return .foreign }

    // The position first: with the fill off the order, the worst case of the side stays the same.
    if !isIncluded {
      state.pointee.position = (state.pointee.position ?? .zero) + QtyLots(rawValue: side.sign * fill.qty.rawValue)
      if side == .buy { state.pointee.bought.add(fill.qty) } else { state.pointee.sold.add(fill.qty) }
    }
    if let order { take(fill, off: order, now: now) } else { counters.inheritedFills += 1 }
    state.pointee.cashE8 = cash
    // Only shown: at the end of its range it stays there.
    let (traded, isFull) = state.pointee.tradedE8.addingReportingOverflow(
      state.pointee.value.notional(fill.qty, at: fill.price) ?? .max)
    state.pointee.tradedE8 = isFull ? .max : traded
    if side == .buy { state.pointee.boughtLots += fill.qty } else { state.pointee.soldLots += fill.qty }
    state.pointee.fills += 1
    state.pointee.feesE8 = fees
    if !fill.hasFee { state.pointee.fillsWithoutFee += 1 }
    state.pointee.notePeaks()
    return .booked
  }

  private mutating func take(_ fill: FillReport, off order: OrderPointer, now: Nanoseconds) {
    if order.pointee.venue_id.count == 0, fill.venueID.count > 0 { _ = slab.bind(order, venueID: fill.venueID) }
    if order.pointee.phaseValue == .dead { counters.lateFills += 1 }
    if order.pointee.filled_lots == .zero { state(order.pointee.instrument_index).pointee.ordersFilled += 1 }
    change(order) { $0.pointee.filled_lots += fill.qty }
    if order.pointee.filled_lots > max(order.pointee.qty_lots, order.pointee.target_lots) {
      counters.impossible += 1
      markUnknown(order, now: now)
    }
  }

  /// Labelled as ours, and made since the account began: of a run that is continued, then, or of this one.
  private func isOfAccount(_ fill: FillReport) -> Bool {
    guard fill.isLabelledOurs, Int(fill.instrument) < instrumentCapacity else { return false }
    let openedAt = state(fill.instrument).pointee.openedAt
    guard openedAt > 0 else { return false }
    // A run sends nothing before its account has begun: the name of the run says it, and no clock need be asked.
    if fill.isOurQuote { return true }
    return firstRun > 0 && fill.run > 0 ? fill.run >= firstRun : fill.time > openedAt
  }

  /// The account of an instrument begins, by the venue's clock, unless it has begun before.
  mutating func open(_ instrument: InstrumentIndex, at time: Nanoseconds) {
    let state = state(instrument)
    if state.pointee.openedAt == 0 { state.pointee.openedAt = time }
  }

  private mutating func find(_ fill: FillReport) -> OrderPointer? {
    if fill.venueID.count > 0, let order = slab.find(venueID: fill.venueID) { return order }
    // A quote never takes, so its own price is the one that it trades at.
    if fill.isOurQuote {
      return findQuote(fill.instrument, fill.side, fill.price, executed: fill.qty) ?? findAbsentQuote(fill)
    }
    // Trade feeds tell the whole account: by our own number only what bears our label.
    guard fill.clientID != 0, fill.isLabelledOurs || fill.source != .query && fill.source != .tradeFeed,
      let order = slab.find(clientID: fill.clientID),
      order.pointee.instrument_index == fill.instrument, order.pointee.sideValue == fill.side,
      order.pointee.venue_id.count == 0
    else { return nil }
    return order
  }

  /// Whether a quote of this price was given up for its absence before the venue had told its id. Cold.
  @inline(never)
  mutating func hasAbsentQuote(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks) -> Bool {
    for offset in 0..<endedCount {
      guard let order = slab.find(clientID: ended[(endedFirst + offset) % endedCapacity].clientID),
        order.pointee.flags & (Self.isQuote | Self.endedByAbsence) == Self.isQuote | Self.endedByAbsence,
        order.pointee.venue_id.count == 0, order.pointee.instrument_index == instrument,
        order.pointee.sideValue == side, order.pointee.target_ticks == price
      else { continue }
      return true
    }
    return false
  }

  /// A quote that was given up for its absence before the venue had told its id. Cold.
  @inline(never)
  mutating func findAbsentQuote(_ fill: FillReport) -> OrderPointer? {
    for offset in 0..<endedCount {
      guard let order = slab.find(clientID: ended[(endedFirst + offset) % endedCapacity].clientID),
        order.pointee.flags & Self.isQuote != 0, order.pointee.flags & Self.endedByAbsence != 0,
        order.pointee.venue_id.count == 0, order.pointee.instrument_index == fill.instrument,
        order.pointee.sideValue == fill.side,
        fill.quoteSerial > 0
          ? quoteSerials[slab.index(of: order)] == fill.quoteSerial : order.pointee.target_ticks == fill.price,
        order.pointee.filled_lots + fill.qty <= order.pointee.target_lots
      else { continue }
      return order
    }
    return nil
  }
}
