import CSupport

/// What we send, and the answers that say that it had no effect.
extension StateTracker {
  /// Notes an insert that is about to leave. The order exists from here on (R09).
  ///
  /// - Returns: `nil` if no order slot is free; nothing has changed then.
  mutating func beginInsert(
    _ instrument: InstrumentIndex, _ side: Side, price: PriceTicks, qty: QtyLots, now: Nanoseconds
  ) -> OrderPointer? {
    let state = state(instrument)
    guard !state.pointee.isFull(side), let order = slab.insert() else { return nil }
    order.pointee.instrument_index = instrument
    order.pointee.sideValue = side
    order.pointee.phaseValue = .inserting
    order.pointee.inFlightValue = .insert
    order.pointee.target_ticks = price
    order.pointee.target_lots = qty
    order.pointee.price_ticks = price
    order.pointee.sent_ns = now
    if !repliesAreState { statedTimes[slab.index(of: order)] = 0 }
    inFlightCount += 1
    state.pointee.insert(order)
    state.pointee.addExposure(side, order.pointee.worstCaseLots)
    return order
  }

  /// Notes an amend that is about to leave. Only a settled order may be amended.
  ///
  /// - Returns: `false`, counted as impossible and with nothing changed, in every other state: what is not known
  ///   would be overwritten, and what is dead would be in flight.
  @discardableResult
  mutating func beginAmend(_ order: OrderPointer, price: PriceTicks, qty: QtyLots, now: Nanoseconds) -> Bool {
    guard order.pointee.isSettled else { return refuseRequest() }
    change(order) {
      $0.pointee.inFlightValue = .amend
      $0.pointee.target_ticks = price
      $0.pointee.target_lots = qty
      $0.pointee.sent_ns = now
    }
    let place = slab.index(of: order)
    let serial = amendSerials[place]
    amendSerials[place] = serial < Self.lastAmendSerial ? serial &+ 1 : 1
    state(order.pointee.instrument_index).pointee.reposition(order)
    return true
  }

  /// Which amend of the order was the last to be sent: its number in the request's id.
  @inline(__always)
  func amendSerial(of order: OrderPointer) -> UInt16 { amendSerials[slab.index(of: order)] }

  /// Whether an answer is that to the amend in flight. One with another serial, or none, may be of any amend before.
  @inline(__always)
  func answersAmend(_ order: OrderPointer, _ serial: UInt16) -> Bool {
    order.pointee.inFlightValue == .amend && serial == amendSerials[slab.index(of: order)] && serial != 0
  }

  /// Notes a cancel by our number that is about to leave; as `beginAmend`. An order that is not settled is cancelled
  /// by the venue's id, which this account leaves as it is.
  @discardableResult
  mutating func beginCancel(_ order: OrderPointer, now: Nanoseconds) -> Bool {
    guard order.pointee.isSettled else { return refuseRequest() }
    change(order) {
      $0.pointee.inFlightValue = .cancel
      $0.pointee.flags &= ~Self.isReplaced
      $0.pointee.sent_ns = now
      if $0.pointee.cancel_attempts < .max { $0.pointee.cancel_attempts += 1 }
    }
    return true
  }

  /// Takes back a request whose frame was never handed to the connection. That is known only before anything else
  /// has happened to the order.
  ///
  /// - Returns: `false`, counted as impossible and with nothing changed, if nothing is in flight, or no longer known.
  @discardableResult
  mutating func takeBack(_ order: OrderPointer, now: Nanoseconds) -> Bool {
    switch (order.pointee.phaseValue, order.pointee.inFlightValue) {
    case (.inserting, .insert) where !order.pointee.isSeen: end(order, reported: order.pointee.filled_lots, now: now)
    case (.live, .amend), (.live, .cancel): settle(order, now: now)
    default: return refuseRequest()
    }
    return true
  }

  @inline(never)
  private mutating func refuseRequest() -> Bool {
    counters.impossible += 1
    return false
  }

  /// Takes over an error reply. `proof` is what the venue's table says that it proves (R04).
  mutating func refuse(_ kind: RequestKind, proof: RefusalProof, now: Nanoseconds) -> OrderPointer? {
    let clientID: UInt64
    switch kind {
    case .insert(let id), .amend(let id, _), .cancel(let id): clientID = id
    case .session, .massQuote, .protection, .cancelMassQuote, .unknown: return nil
    }
    guard let order = slab.find(clientID: clientID), order.pointee.phaseValue != .dead else { return nil }
    switch (kind, proof) {
    case (.insert, .noEffect):
      guard order.pointee.inFlightValue == .insert, !order.pointee.isSeen else {
        markUnknown(order, now: now)  // it was seen to rest or to trade: a contradiction that a query must settle
        return order
      }
      end(order, reported: order.pointee.filled_lots, now: now)
    case (.amend(_, let serial), .noEffect):
      if answersAmend(order, serial) {
        settleRefused(order, now: now)
      } else if serial == 0, order.pointee.inFlightValue == .amend {
        markUnknown(order, now: now)  // of this one, or of one before
      } else {
        counters.lateReplies += 1  // of one that a query has settled: it has changed nothing
        return nil
      }
    case (.cancel, .noEffect)
    where order.pointee.inFlightValue == .cancel && order.pointee.flags & Self.isReplaced == 0:
      settleRefused(order, now: now)
    case (_, .orderGone), (_, .nothing):
      // Fills may be on their way: gone is not the same as never filled.
      markUnknown(order, now: now)
    default:
      return nil
    }
    return order
  }

  /// The request in flight had no effect. That does not say how an order stands whose state was unknown already, for a
  /// late reply may have contradicted what was confirmed: a query must tell.
  private mutating func settleRefused(_ order: OrderPointer, now: Nanoseconds) {
    guard order.pointee.phaseValue == .live else { return }
    settle(order, now: now)
  }

  /// The venue's id of an order, from an acknowledgement: of its state that says nothing.
  mutating func name(_ clientID: UInt64, _ venueID: VenueID) {
    guard let order = slab.find(clientID: clientID), order.pointee.venue_id.count == 0, venueID.count > 0 else {
      return
    }
    _ = slab.bind(order, venueID: venueID)
  }
}
