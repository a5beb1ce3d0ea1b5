import CSupport

/// Positions as the venue states them, and the lots that they are counted in.
extension StateTracker {
  /// The position as the venue states it. The first statement is the opening balance (R56).
  ///
  /// - Returns: whether it differs from what was believed.
  mutating func setPosition(_ instrument: InstrumentIndex, _ position: QtyLots, mark: PriceTicks) -> Bool {
    let state = state(instrument)
    let before = state.pointee.position
    guard before != position else { return false }
    // The difference is taken over at the mark, so that it makes neither profit nor loss.
    guard abs(position.rawValue) <= Self.largestLots.rawValue else {
      counters.impossible += 1
      return false
    }
    let delta = position - (before ?? .zero)
    let cost = state.pointee.value.worth(delta, at: mark)
    let (cash, isOver) = state.pointee.cashE8.subtractingReportingOverflow(cost ?? 0)
    guard cost != nil, !isOver else {
      counters.impossible += 1
      return false
    }
    state.pointee.cashE8 = cash
    state.pointee.position = position
    state.pointee.isReleased = false
    state.pointee.statedAgrees = state.pointee.stated == nil || state.pointee.stated == position
    state.pointee.notePeaks()
    if before != nil { state.pointee.positionAdjustments += 1 }
    return before != nil
  }

  /// Our position and the one that the venue stated to a question agree, or were made to.
  ///
  /// - Parameters:
  ///   - askedAt: the venue's time when the question was sent; 0 if not known.
  ///   - mark: the value of what is told only later.
  mutating func confirmPosition(_ instrument: InstrumentIndex, askedAt: Nanoseconds, mark: PriceTicks) {
    let state = state(instrument)
    guard askedAt - Self.statementLag > state.pointee.includedUntil else { return }
    state.pointee.includedUntil = askedAt - Self.statementLag
    state.pointee.includedMark = mark
  }

  /// To be called every `statementLag`.
  mutating func stepRecentFills() {
    for index in 0..<instrumentCapacity {
      states[index].bought.step()
      states[index].sold.step()
    }
  }

  /// What the venue says that we hold; until it agrees with our own count the worse of both limits us.
  mutating func notePosition(_ instrument: InstrumentIndex, stated: QtyLots?) {
    let state = state(instrument)
    state.pointee.stated = stated
    state.pointee.statedAgrees = stated == nil || stated == state.pointee.position
  }

  /// An instrument is listed. If its lot has changed, what was counted in old lots is counted in new ones (R32).
  mutating func list(_ info: InstrumentInfo) {
    let state = state(info.index)
    state.pointee.value = ContractValue(info.contract, info.grid)
    let before = state.pointee.lotE8
    state.pointee.lotE8 = info.grid.lotE8
    guard before > 0, before != info.grid.lotE8 else { return }
    let scale = LotScale(from: before, to: info.grid.lotE8)
    state.pointee.rescale(scale)
    forEachOrder { _, order in
      if order.pointee.instrument_index == info.index { order.pointee.rescale(scale) }
    }
    for offset in 0..<endedCount {
      guard let order = slab.find(clientID: ended[(endedFirst + offset) % endedCapacity].clientID),
        order.pointee.instrument_index == info.index
      else { continue }
      order.pointee.rescale(scale)
    }
    // Rounded one by one, the orders are the truth about the sums.
    state.pointee.openBuyLots = .zero
    state.pointee.openSellLots = .zero
    forEachOrder { _, order in
      guard order.pointee.instrument_index == info.index else { return }
      state.pointee.addExposure(order.pointee.sideValue, order.pointee.worstCaseLots)
    }
    for offset in 0..<endedCount {
      guard let order = slab.find(clientID: ended[(endedFirst + offset) % endedCapacity].clientID),
        order.pointee.instrument_index == info.index
      else { continue }
      state.pointee.addExposure(order.pointee.sideValue, order.pointee.worstCaseLots)
    }
  }
}
