import CSupport

/// What an error reply to an insert proves (R04); the adapter has the venue's table.
public enum RefusalProof: Sendable {
  /// The request had no effect.
  case noEffect
  /// The venue does not know the order (any more): a final report is on its way, or a query must tell.
  case orderGone
  /// The venue does not say whether the request had an effect.
  case nothing
}

/// What became of a report about an order.
public enum ReportOutcome: Equatable, Sendable {
  /// Nothing new, or older than what is known (R02).
  case stale
  case changed
  /// The order is gone for good.
  case ended
  /// Not an order of this engine; left alone (R14).
  case foreign
  /// Labelled as ours and resting, but not among the orders of this life: it is to be cancelled.
  case orphan
  /// Contradicts what can be true (R05); counted, the order is of unknown state.
  case impossible
}

public enum FillOutcome: Equatable, Sendable {
  case booked
  /// Known already; its fee was new.
  case feeAdded
  case duplicate
  /// Belongs to no order of this life.
  case foreign
}

/// Numbers that only grow, for telemetry.
public struct TrackerCounters: Sendable {
  public var stale = 0
  public var impossible = 0
  public var foreignReports = 0
  public var foreignFills = 0
  public var orphans = 0
  public var timeouts = 0
  public var duplicateFills = 0
  /// Fills that were told only after the end of their order.
  public var lateFills = 0
}

/// The account of our orders, fills and positions on one venue.
///
/// The venue is the source of truth: an order ends by its word alone. Whatever is not known counts
/// as live. Single-threaded, owned by the lane; allocates nothing after `init`.
public struct StateTracker: ~Copyable {
  /// How long an ended order is remembered, so that late reports and fills still find it.
  public static let remembrance: Nanoseconds = 10_000_000_000

  var slab: OrderSlab
  private let states: UnsafeMutablePointer<InstrumentState>
  public let instrumentCapacity: Int
  var trades: TradeSet

  /// Ended orders in the order of their ends.
  private let ended: UnsafeMutablePointer<(clientID: UInt64, at: Nanoseconds)>
  private let endedCapacity: Int
  private var endedFirst = 0
  private var endedCount = 0

  public private(set) var counters = TrackerCounters()
  public private(set) var unknownCount = 0
  public private(set) var liveCount = 0
  /// Requests without an answer.
  public private(set) var inFlightCount = 0
  /// When the query of open orders now being answered was sent.
  private var querySentAt: Nanoseconds = 0
  private var isQuerySnapshot = false

  private static let seenInQuery: UInt8 = 1

  /// - Parameters:
  ///   - orderCapacity: orders at once, those lately ended included; a power of two.
  ///   - idBits: how wide a client order id may be on this venue.
  public init(
    instrumentCapacity: Int, orderCapacity: Int, ordersPerSide: Int, idBits: Int, firstGeneration: UInt64,
    tradeMemory: Int
  ) throws(CapacityError) {
    slab = try OrderSlab(capacity: orderCapacity, idBits: idBits, firstGeneration: firstGeneration)
    trades = TradeSet(capacity: tradeMemory)
    self.instrumentCapacity = instrumentCapacity
    states = .allocate(capacity: instrumentCapacity)
    for index in 0..<instrumentCapacity {
      (states + index).initialize(to: InstrumentState(ordersPerSide: ordersPerSide))
    }
    endedCapacity = orderCapacity
    ended = .allocate(capacity: endedCapacity)
  }

  deinit {
    states.deinitialize(count: instrumentCapacity)
    states.deallocate()
    ended.deallocate()
  }

  /// The state of an instrument; `index` < `instrumentCapacity`.
  public func with<R>(_ index: InstrumentIndex, _ body: (borrowing InstrumentState) -> R) -> R {
    body(states[Int(index)])
  }

  @inline(__always)
  func state(_ index: InstrumentIndex) -> UnsafeMutablePointer<InstrumentState> {
    precondition(Int(index) < instrumentCapacity)
    return states + Int(index)
  }

  /// The order with this client id, ended ones included while they are remembered.
  public func order(_ clientID: UInt64) -> OrderPointer? { slab.find(clientID: clientID) }

  // MARK: - What we do

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
    inFlightCount += 1
    state.pointee.insert(order)
    state.pointee.addExposure(side, order.pointee.worstCaseLots)
    return order
  }

  mutating func beginAmend(_ order: OrderPointer, price: PriceTicks, qty: QtyLots, now: Nanoseconds) {
    change(order) {
      $0.pointee.inFlightValue = .amend
      $0.pointee.target_ticks = price
      $0.pointee.target_lots = qty
      $0.pointee.sent_ns = now
    }
    state(order.pointee.instrument_index).pointee.reposition(order)
  }

  mutating func beginCancel(_ order: OrderPointer, now: Nanoseconds) {
    change(order) {
      $0.pointee.inFlightValue = .cancel
      $0.pointee.sent_ns = now
      if $0.pointee.cancel_attempts < .max { $0.pointee.cancel_attempts += 1 }
    }
  }

  /// Takes back a request whose frame was never handed to the connection.
  mutating func takeBack(_ order: OrderPointer, now: Nanoseconds) {
    switch order.pointee.inFlightValue {
    case .insert: end(order, reported: .zero, now: now)
    case .amend, .cancel: settle(order)
    case .none: break
    }
  }

  // MARK: - What the venue says

  /// Takes over one statement of the venue about one order.
  mutating func apply(_ report: OrderReport, now: Nanoseconds) -> ReportOutcome {
    guard let order = find(report) else {
      guard report.isLabelledOurs else {
        counters.foreignReports += 1
        return .foreign
      }
      guard report.status.isLive else { return .stale }
      counters.orphans += 1
      return .orphan
    }
    order.pointee.flags |= Self.seenInQuery
    let known = order.pointee

    if known.phaseValue == .dead {
      // Never re-opened; but a larger executed size means that fills are still to come.
      if report.filled > known.reported_lots {
        change(order) { $0.pointee.reported_lots = report.filled }
        return .changed
      }
      counters.stale += 1
      return .stale
    }
    let largest = known.isChanging ? max(known.qty_lots, known.target_lots) : known.qty_lots
    if report.qty > largest || report.filled > report.qty {
      counters.impossible += 1
      markUnknown(order, now: now)
      return .impossible
    }
    if report.source == .query, known.sent_ns >= querySentAt, known.inFlightValue != .none {
      counters.stale += 1
      return .stale
    }
    if report.filled < known.filled_lots, !report.status.isTerminal {
      // Older than a fill that we have: it can say nothing about price and size either (R02).
      counters.stale += 1
      return .stale
    }
    if known.venue_id.count == 0, report.venueID.count > 0 {
      _ = slab.bind(order, venueID: report.venueID)
    }

    if report.status.isTerminal {
      end(order, reported: max(report.filled, known.filled_lots), now: now)
      return .ended
    }
    guard report.status.isLive else {
      // A word we do not know: nothing may be concluded (R05).
      counters.impossible += 1
      markUnknown(order, now: now)
      return .impossible
    }
    return applyLive(report, to: order)
  }

  private mutating func applyLive(_ report: OrderReport, to order: OrderPointer) -> ReportOutcome {
    let known = order.pointee
    let instrument = known.instrument_index
    switch known.inFlightValue {
    case .insert:
      let wasInserting = known.qty_lots == .zero
      change(order) {
        $0.pointee.phaseValue = .live
        $0.pointee.inFlightValue = .none
        if report.hasPrice { $0.pointee.price_ticks = report.price }
        $0.pointee.qty_lots = report.qty
        $0.pointee.reported_lots = max($0.pointee.reported_lots, report.filled)
      }
      if wasInserting { state(instrument).pointee.ordersAccepted += 1 }
      state(instrument).pointee.reposition(order)
      return .changed
    case .amend:
      let isAnswer =
        report.source == .reply || report.source == .query || report.source == .snapshot
        || (report.change == .amend && report.price == known.target_ticks && report.qty == known.target_lots)
      change(order) {
        $0.pointee.reported_lots = max($0.pointee.reported_lots, report.filled)
        guard isAnswer else { return }
        $0.pointee.phaseValue = .live
        $0.pointee.inFlightValue = .none
        if report.hasPrice { $0.pointee.price_ticks = report.price }
        $0.pointee.qty_lots = report.qty
      }
      state(instrument).pointee.reposition(order)
      return isAnswer ? .changed : .stale
    case .cancel:
      // A query sent after the cancel that still shows the order: the cancel was lost.
      let isAlive = report.source == .query
      change(order) {
        $0.pointee.reported_lots = max($0.pointee.reported_lots, report.filled)
        guard isAlive else { return }
        $0.pointee.phaseValue = .live
        $0.pointee.inFlightValue = .none
      }
      return isAlive ? .changed : .stale
    case .none:
      // Resting and settled. Feed items may be late; a query is not (checked above), so it rules.
      let rules = report.source == .query || known.phaseValue == .unknown
      let differs = report.hasPrice && report.price != known.price_ticks || report.qty != known.qty_lots
      change(order) {
        $0.pointee.reported_lots = max($0.pointee.reported_lots, report.filled)
        guard rules else { return }
        $0.pointee.phaseValue = .live
        if report.hasPrice { $0.pointee.price_ticks = report.price }
        $0.pointee.qty_lots = report.qty
      }
      if rules { state(instrument).pointee.reposition(order) }
      if differs, !rules { counters.stale += 1 }
      return rules || report.filled > known.reported_lots ? .changed : .stale
    }
  }

  /// Books an execution exactly once (R06).
  mutating func apply(_ fill: FillReport, now: Nanoseconds) -> FillOutcome {
    let order = find(fill)
    if order == nil, !trades.contains(fill.tradeID) {
      counters.foreignFills += 1
      return .foreign
    }
    if case .known(let hadFee) = trades.note(fill.tradeID, hasFee: fill.hasFee) {
      guard fill.hasFee, !hadFee, Int(fill.instrument) < instrumentCapacity else {
        counters.duplicateFills += 1
        return .duplicate
      }
      let state = state(fill.instrument)
      state.pointee.feesE8 += fill.feeE8
      state.pointee.fillsWithoutFee -= 1
      return .feeAdded
    }
    guard let order else { return .foreign }

    let side = order.pointee.sideValue
    let state = state(order.pointee.instrument_index)
    if order.pointee.phaseValue == .dead { counters.lateFills += 1 }
    // The position first: with the fill off the order, the worst case of the side stays the same.
    state.pointee.position = (state.pointee.position ?? .zero) + QtyLots(rawValue: side.sign * fill.qty.rawValue)
    change(order) { $0.pointee.filled_lots += fill.qty }
    if order.pointee.filled_lots > max(order.pointee.qty_lots, order.pointee.target_lots) {
      counters.impossible += 1
    }
    state.pointee.cashE8 -= side.sign * fill.price.rawValue * fill.qty.rawValue * state.pointee.tickLotE8
    if side == .buy { state.pointee.boughtLots += fill.qty } else { state.pointee.soldLots += fill.qty }
    state.pointee.fills += 1
    if fill.hasFee { state.pointee.feesE8 += fill.feeE8 } else { state.pointee.fillsWithoutFee += 1 }
    state.pointee.notePeaks()
    return .booked
  }

  /// Takes over an error reply. `proof` is what the venue's table says that it proves (R04).
  mutating func refuse(_ kind: RequestKind, proof: RefusalProof, now: Nanoseconds) -> OrderPointer? {
    let clientID: UInt64
    switch kind {
    case .insert(let id), .amend(let id), .cancel(let id): clientID = id
    case .session, .unknown: return nil
    }
    guard let order = slab.find(clientID: clientID), order.pointee.phaseValue != .dead else { return nil }
    switch (kind, proof) {
    case (.insert, .noEffect):
      guard order.pointee.inFlightValue == .insert else { return nil }
      end(order, reported: order.pointee.filled_lots, now: now)
    case (.amend, .noEffect) where order.pointee.inFlightValue == .amend,
      (.cancel, .noEffect) where order.pointee.inFlightValue == .cancel:
      settle(order)
    case (_, .orderGone), (_, .nothing):
      // Fills may be on their way: gone is not the same as never filled.
      markUnknown(order, now: now)
    default:
      return nil
    }
    return order
  }

  /// The position as the venue states it. The first statement is the opening balance (R56).
  ///
  /// - Returns: whether it differs from what was believed.
  mutating func setPosition(_ instrument: InstrumentIndex, _ position: QtyLots, mark: PriceTicks) -> Bool {
    let state = state(instrument)
    let before = state.pointee.position
    guard before != position else { return false }
    // The difference is taken over at the mark, so that it makes neither profit nor loss.
    let delta = position - (before ?? .zero)
    state.pointee.cashE8 -= mark.rawValue * delta.rawValue * state.pointee.tickLotE8
    state.pointee.position = position
    state.pointee.notePeaks()
    if before != nil { state.pointee.positionAdjustments += 1 }
    return before != nil
  }

  mutating func list(_ info: InstrumentInfo) {
    state(info.index).pointee.tickLotE8 = info.grid.tickLotE8 ?? 0
  }

  // MARK: - Time and gaps

  /// Marks requests without an answer since `deadline` as unknown (R01). Returns how many.
  mutating func expire(sentBefore deadline: Nanoseconds, now: Nanoseconds) -> Int {
    guard inFlightCount > 0 else { return 0 }
    var expired = 0
    forEachOrder { tracker, order in
      if order.pointee.inFlightValue != .none, order.pointee.phaseValue != .unknown,
        order.pointee.sent_ns < deadline
      {
        tracker.markUnknown(order, now: now)
        tracker.counters.timeouts += 1
        expired += 1
      }
    }
    return expired
  }

  /// The connection is gone: the state of every order is unknown until the venue has been asked.
  mutating func connectionLost(now: Nanoseconds) {
    forEachOrder { tracker, order in tracker.markUnknown(order, now: now) }
  }

  /// A query of open orders was sent at `sentAt`; its items follow, then `endQuery`.
  mutating func beginQuery(sentAt: Nanoseconds) {
    querySentAt = sentAt
    isQuerySnapshot = true
    forEachOrder { _, order in order.pointee.flags &= ~Self.seenInQuery }
  }

  /// Ends orders of unknown state that the venue did not list. Absence proves death only if the
  /// query left at least `grace` after the order's last request (R04).
  ///
  /// - Returns: how many orders ended.
  mutating func endQuery(grace: Nanoseconds, now: Nanoseconds) -> Int {
    guard isQuerySnapshot else { return 0 }
    isQuerySnapshot = false
    let sentAt = querySentAt
    var count = 0
    forEachOrder { tracker, order in
      let record = order.pointee
      guard record.phaseValue == .unknown, record.flags & Self.seenInQuery == 0,
        record.sent_ns + grace <= sentAt
      else { return }
      tracker.end(order, reported: max(record.reported_lots, record.filled_lots), now: now)
      count += 1
    }
    return count
  }

  /// Forgets ended orders after `remembrance`, unless fills that the venue reported are missing.
  mutating func purge(now: Nanoseconds) {
    var checks = endedCount
    while checks > 0, endedCount > 0 {
      let (clientID, at) = ended[endedFirst]
      guard now - at >= Self.remembrance else { return }
      endedFirst = (endedFirst + 1) % endedCapacity
      endedCount -= 1
      checks -= 1
      guard let order = slab.find(clientID: clientID) else { continue }
      if order.pointee.worstCaseLots > .zero {
        pushEnded(clientID, now)  // still waiting for a fill
      } else {
        slab.erase(order)
      }
    }
  }

  /// Ended orders that still miss fills which the venue has reported.
  var missingFillOrders: Int {
    var count = 0
    for offset in 0..<endedCount {
      let (clientID, _) = ended[(endedFirst + offset) % endedCapacity]
      if let order = slab.find(clientID: clientID), order.pointee.worstCaseLots > .zero { count += 1 }
    }
    return count
  }

  /// Calls `body` with every order that the venue says rests.
  func forEachResting(_ body: (OrderPointer) -> Void) {
    for index in 0..<instrumentCapacity {
      let state = states + index
      for position in 0..<state.pointee.bids.count where state.pointee.bids[position].pointee.phaseValue == .live {
        body(state.pointee.bids[position])
      }
      for position in 0..<state.pointee.asks.count where state.pointee.asks[position].pointee.phaseValue == .live {
        body(state.pointee.asks[position])
      }
    }
  }

  /// The most often that one order has been asked to be cancelled without effect (R12).
  var largestCancelAttempts: UInt8 {
    var largest: UInt8 = 0
    for index in 0..<instrumentCapacity {
      let state = states + index
      for position in 0..<state.pointee.bids.count {
        largest = max(largest, state.pointee.bids[position].pointee.cancel_attempts)
      }
      for position in 0..<state.pointee.asks.count {
        largest = max(largest, state.pointee.asks[position].pointee.cancel_attempts)
      }
    }
    return largest
  }

  mutating func forgetCancelAttempts() {
    forEachOrder { _, order in order.pointee.cancel_attempts = 0 }
  }

  // MARK: - Inside

  private func find(_ report: OrderReport) -> OrderPointer? {
    if report.venueID.count > 0, let order = slab.find(venueID: report.venueID) { return order }
    guard report.clientID != 0, let order = slab.find(clientID: report.clientID),
      order.pointee.instrument_index == report.instrument, order.pointee.sideValue == report.side
    else { return nil }
    // Another session may use the same client id: an order that has its venue id is known by that.
    if order.pointee.venue_id.count > 0, report.venueID.count > 0 { return nil }
    return order
  }

  private func find(_ fill: FillReport) -> OrderPointer? {
    if fill.venueID.count > 0, let order = slab.find(venueID: fill.venueID) { return order }
    guard fill.clientID != 0, fill.source != .query, fill.source != .tradeFeed,
      let order = slab.find(clientID: fill.clientID),
      order.pointee.instrument_index == fill.instrument, order.pointee.sideValue == fill.side,
      order.pointee.venue_id.count == 0
    else { return nil }
    return order
  }

  /// Changes an order and keeps the sums that depend on it.
  private mutating func change(_ order: OrderPointer, _ body: (OrderPointer) -> Void) {
    let before = order.pointee.worstCaseLots
    let phase = order.pointee.phaseValue
    let wasInFlight = order.pointee.inFlightValue != .none
    body(order)
    let delta = order.pointee.worstCaseLots - before
    if delta != .zero {
      state(order.pointee.instrument_index).pointee.addExposure(order.pointee.sideValue, delta)
    }
    let isInFlight = order.pointee.inFlightValue != .none
    inFlightCount += (isInFlight ? 1 : 0) - (wasInFlight ? 1 : 0)
    let now = order.pointee.phaseValue
    if phase != now {
      unknownCount += (now == .unknown ? 1 : 0) - (phase == .unknown ? 1 : 0)
      liveCount += (now == .live ? 1 : 0) - (phase == .live ? 1 : 0)
    }
  }

  /// The request in flight had no effect, or is answered: back to what was confirmed.
  private mutating func settle(_ order: OrderPointer) {
    change(order) {
      $0.pointee.inFlightValue = .none
      $0.pointee.phaseValue = .live
      $0.pointee.target_ticks = $0.pointee.price_ticks
      $0.pointee.target_lots = $0.pointee.qty_lots
    }
    state(order.pointee.instrument_index).pointee.reposition(order)
  }

  mutating func markUnknown(_ order: OrderPointer, now: Nanoseconds) {
    guard order.pointee.phaseValue != .dead, order.pointee.phaseValue != .unknown else { return }
    change(order) {
      $0.pointee.phaseValue = .unknown
      $0.pointee.sent_ns = now
    }
  }

  private mutating func end(_ order: OrderPointer, reported: QtyLots, now: Nanoseconds) {
    change(order) {
      $0.pointee.phaseValue = .dead
      $0.pointee.inFlightValue = .none
      $0.pointee.reported_lots = reported
    }
    state(order.pointee.instrument_index).pointee.remove(order)
    pushEnded(order.pointee.client_id, now)
  }

  private mutating func pushEnded(_ clientID: UInt64, _ now: Nanoseconds) {
    precondition(endedCount < endedCapacity)
    ended[(endedFirst + endedCount) % endedCapacity] = (clientID, now)
    endedCount += 1
  }

  private mutating func forEachOrder(_ body: (inout StateTracker, OrderPointer) -> Void) {
    for index in 0..<instrumentCapacity {
      let state = states + index
      // Backwards, because `body` may end the order and so take it out of the list.
      var position = state.pointee.bids.count - 1
      while position >= 0 {
        body(&self, state.pointee.bids[position])
        position -= 1
      }
      position = state.pointee.asks.count - 1
      while position >= 0 {
        body(&self, state.pointee.asks[position])
        position -= 1
      }
    }
  }
}
