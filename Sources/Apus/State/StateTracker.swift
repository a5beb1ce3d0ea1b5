import CSupport

/// The account of our orders, fills and positions on one venue.
///
/// The venue is the source of truth: an order ends by its word alone. Whatever is not known counts
/// as live. Single-threaded, owned by the lane; allocates nothing after `init`.
public struct StateTracker: ~Copyable {
  /// How long an ended order is remembered, so that late reports and fills still find it.
  public static let remembrance: Nanoseconds = 10_000_000_000
  /// How long an order is remembered whose end was concluded from its absence alone: a late answer
  /// may still show that it lives (R19).
  public static let absentRemembrance: Nanoseconds = 120_000_000_000
  /// A position that the venue states contains everything that was executed this long before, and may not contain
  /// what was executed later.
  static let statementLag: Nanoseconds = 1_000_000_000
  /// More than any order or fill can have; what is larger is not true (R05).
  static let largestLots = QtyLots(rawValue: 1 << 40)
  static let lastAmendSerial = UInt16(RequestID.amendSerials - 1)

  var slab: OrderSlab
  /// The slab's memory, if it was given: it lives as long as the slab.
  private let slabMemory: LockedMemory?
  private let states: UnsafeMutablePointer<InstrumentState>
  public let instrumentCapacity: Int
  var trades: TradeSet

  /// Ended orders in the order of their ends.
  private let ended: UnsafeMutablePointer<EndedOrder>
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
  /// The answer to a request says how the order stands; if not, that is told by the feed alone.
  private let repliesAreState: Bool
  /// If not: by slot of the order, when it came to be as last confirmed, by the venue's clock. Records have no room left.
  private let statedTimes: UnsafeMutablePointer<Nanoseconds>
  /// By slot: which of the order's amends was the last to be sent, 1 ... 9,999 and then 1 again; 0 before the first.
  private let amendSerials: UnsafeMutablePointer<UInt16>
  /// By slot of a quote: the mass quote that placed it, or changed it last; 0 where the venue does not name them.
  let quoteSerials: UnsafeMutablePointer<UInt64>
  /// This run continues a killed one: executions of its orders are booked, although the orders are not known.
  var carriesAccount = false
  /// The first of the runs whose account this is; 0: not known.
  var firstRun: UInt64 = 0

  /// Ended orders that still miss fills which the venue has reported, or may have made unseen.
  public private(set) var missingFillOrders = 0

  // Bits of `OrderRecord.flags`.
  static let seenInQuery: UInt8 = 1
  /// A query did not list the order; nobody said that it ended.
  static let endedByAbsence: UInt8 = 2
  /// Ended unseen: it counts as filled until the venue has been asked what traded.
  static let fillsUnasked: UInt8 = 4
  /// Placed by a mass quote: the venue knows no client order id of it.
  static let isQuote: UInt8 = 16
  /// With a cancel in flight: that is a mass quote which replaces the order's side.
  static let isReplaced: UInt8 = 32

  /// - Parameters:
  ///   - orderCapacity: orders at once, those lately ended included; a power of two.
  ///   - idBits: how wide a client order id may be on this venue.
  ///   - slabMemory: at least `OrderSlab.memoryBytes(capacity: orderCapacity)`, for the orders; `nil` to allocate.
  public init(
    instrumentCapacity: Int, orderCapacity: Int, ordersPerSide: Int, idBits: Int, firstGeneration: UInt64,
    tradeMemory: Int, repliesAreState: Bool = true, slabMemory: consuming LockedMemory? = nil
  ) throws(CapacityError) {
    let block = Self.block(of: slabMemory)
    slab = try OrderSlab(capacity: orderCapacity, idBits: idBits, firstGeneration: firstGeneration, memory: block)
    self.slabMemory = slabMemory
    trades = TradeSet(capacity: tradeMemory)
    self.repliesAreState = repliesAreState
    self.instrumentCapacity = instrumentCapacity
    states = .allocate(capacity: instrumentCapacity)
    for index in 0..<instrumentCapacity {
      (states + index).initialize(to: InstrumentState(ordersPerSide: ordersPerSide))
    }
    endedCapacity = orderCapacity
    ended = .allocate(capacity: endedCapacity)
    statedTimes = .allocate(capacity: repliesAreState ? 0 : orderCapacity)
    if !repliesAreState { statedTimes.initialize(repeating: 0, count: orderCapacity) }
    amendSerials = .allocate(capacity: orderCapacity)
    amendSerials.initialize(repeating: 0, count: orderCapacity)
    quoteSerials = .allocate(capacity: orderCapacity)
    quoteSerials.initialize(repeating: 0, count: orderCapacity)
  }

  private static func block(of memory: borrowing LockedMemory?) -> UnsafeMutableRawBufferPointer? {
    switch memory {
    case .some(let memory): UnsafeMutableRawBufferPointer(start: memory.base, count: memory.count)
    case .none: nil
    }
  }

  deinit {
    states.deinitialize(count: instrumentCapacity)
    states.deallocate()
    ended.deallocate()
    statedTimes.deallocate()
    amendSerials.deallocate()
    quoteSerials.deallocate()
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

  /// The order that the venue knows by this id.
  func order(_ venueID: VenueID) -> OrderPointer? { slab.find(venueID: venueID) }

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
    let place = slab.index(of: order)
    if !repliesAreState { statedTimes[place] = 0 }
    amendSerials[place] = 0
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
    amendSerials[place] = amendSerials[place] == Self.lastAmendSerial ? 1 : amendSerials[place] + 1
    state(order.pointee.instrument_index).pointee.reposition(order)
    return true
  }

  /// Which amend of the order was the last to be sent: its number in the request's id.
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

  // MARK: - What the venue says

  /// Takes over one statement of the venue about one order.
  mutating func apply(_ report: OrderReport, now: Nanoseconds) -> ReportOutcome {
    var found: OrderPointer?
    if report.quoteSerial > 0 {
      switch findNamed(report.venueID, report.instrument, report.side, report.quoteSerial, now: now) {
      case .none: found = nil
      case .order(let order): found = order
      case .earlier(let order):
        // Of before the order was changed, unless it says that it has ended: that is never taken back.
        guard report.status.isTerminal else { return stale() }
        found = order
      }
    } else {
      found = find(report)
    }
    guard let order = found else {
      guard report.isLabelledOurs else {
        counters.foreignReports += 1
        return .foreign
      }
      guard report.status.isLive else { return .stale }
      counters.orphans += 1
      return .orphan
    }
    order.pointee.flags |= Self.seenInQuery
    if order.pointee.phaseValue == .dead { return applyDead(report, to: order, now: now) }
    var known = order.pointee
    if report.source == .query, known.sent_ns >= querySentAt {
      // Older than our last request or than the venue's last answer to one (R02). Not even its id is taken: a quote is
      // found by side and price, and what was listed before it was announced is another one.
      counters.stale += 1
      return .stale
    }
    if known.venue_id.count == 0, report.venueID.count > 0 {
      _ = slab.bind(order, venueID: report.venueID)
      if report.quoteSerial > 0 {
        includeEarlier(report, in: order)
        known = order.pointee
      }
    }
    if known.flags & (Self.isQuote | Self.isReplaced) != 0 { noteReplacement(order, report) }
    if report.filled > report.qty || report.qty > Self.largestLots {
      counters.impossible += 1
      markUnknown(order, now: now)
      return .impossible
    }
    if report.status.isTerminal {
      if report.qty > max(known.qty_lots, known.target_lots) { counters.impossible += 1 }
      end(order, reported: max(report.filled, known.filled_lots), now: now)
      return .ended
    }
    guard report.status.isLive else {
      // A word we do not know: nothing may be concluded (R05).
      counters.impossible += 1
      markUnknown(order, now: now)
      return .impossible
    }
    if report.qty > max(known.qty_lots, known.target_lots) {
      counters.impossible += 1
      // A query that is newer than everything else rules even so: otherwise the order would never
      // be settled. Anything else may be late; the larger size is reserved until a query tells (R18).
      if report.source != .query {
        change(order) { $0.pointee.target_lots = report.qty }
        markUnknown(order, now: now)
        return .impossible
      }
    }
    return applyLive(report, to: order, now: now)
  }

  private mutating func applyDead(_ report: OrderReport, to order: OrderPointer, now: Nanoseconds) -> ReportOutcome {
    let known = order.pointee
    let isAbsent = known.flags & Self.endedByAbsence != 0
    if report.filled > report.qty || report.qty > Self.largestLots || !report.status.isLive && !report.status.isTerminal
    {
      counters.impossible += 1
      // Its numbers are not believed: fills that never come would be waited for. That it rests is.
      guard isAbsent, report.status.isLive, report.qty <= Self.largestLots else { return .impossible }
    }
    if isAbsent, report.status.isLive, report.qty <= Self.largestLots,
      report.source != .query || known.sent_ns < querySentAt
    {
      return revive(order, report, now: now)
    }
    if isAbsent, report.status.isTerminal {
      // Now the venue has said it, and how much was executed.
      change(order) {
        $0.pointee.flags &= ~(Self.endedByAbsence | Self.fillsUnasked)
        $0.pointee.reported_lots = max(report.filled, $0.pointee.filled_lots)
      }
      return .changed
    }
    // Never re-opened; but a larger executed size means that fills are still to come.
    if report.filled > max(known.reported_lots, known.filled_lots) {
      change(order) { $0.pointee.reported_lots = report.filled }
      return .changed
    }
    counters.stale += 1
    return .stale
  }

  /// The end was concluded from absence, and the venue contradicts: the order counts as live again,
  /// and a query will tell how it stands (R01, R19).
  private mutating func revive(_ order: OrderPointer, _ report: OrderReport, now: Nanoseconds) -> ReportOutcome {
    let state = state(order.pointee.instrument_index)
    counters.revived += 1
    guard !state.pointee.isFull(order.pointee.sideValue) else { return .orphan }
    forgetEnded(order.pointee.client_id)
    if order.pointee.venue_id.count == 0 { _ = slab.bind(order, venueID: report.venueID) }
    change(order) {
      $0.pointee.phaseValue = .unknown
      $0.pointee.flags &= ~(Self.endedByAbsence | Self.fillsUnasked)
      if report.hasPrice { $0.pointee.price_ticks = report.price }
      $0.pointee.qty_lots = report.qty
      $0.pointee.target_ticks = $0.pointee.price_ticks
      $0.pointee.target_lots = report.qty
      $0.pointee.reported_lots = max(min(report.filled, report.qty), $0.pointee.filled_lots)
      $0.pointee.sent_ns = now
    }
    state.pointee.insert(order)
    return .changed
  }

  private mutating func applyLive(_ report: OrderReport, to order: OrderPointer, now: Nanoseconds) -> ReportOutcome {
    let known = order.pointee
    let isQuery = report.source == .query || report.source == .snapshot
    // A report with fewer executions than we have booked is older than those: it says nothing about
    // price and size (R02), unless it is the very answer that a request waits for.
    let isBehind = report.filled < known.filled_lots
    if report.source == .reply, report.amendSerial != 0 || report.change == .amend, known.inFlightValue != .insert {
      return applyAmendReply(report, to: order, now: now)
    }
    switch known.inFlightValue {
    case .insert:
      if isBehind, report.source != .reply { return stale() }
      if known.qty_lots == .zero { state(known.instrument_index).pointee.ordersAccepted += 1 }
      confirm(order, report, now: now)
      return .changed
    case .amend:
      let isTarget = report.price == known.target_ticks && report.qty == known.target_lots
      // Only replies and queries answer: there is one reply to each request, but an item of the feed
      // may tell of an amend before this one.
      //
      // A query is no request to the matching engine, and may be answered before the amend has been dealt with: only what
      // the amend asked for settles it, or time, as with an absence.
      let isLate = known.sent_ns + LaneSession.absenceGrace <= querySentAt
      let isAnswer =
        isQuery && !isBehind && (isTarget || isLate || report.source == .snapshot)
        || report.source == .feed && !repliesAreState && isTarget && !isBehind && !isOlder(report, than: order)
      guard isAnswer else {
        noteExecuted(order, report)
        return stale()
      }
      confirm(order, report, now: now)
      return .changed
    case .cancel:
      // A query sent after the cancel that still shows the order: the cancel was lost.
      guard isQuery, !isBehind else {
        noteExecuted(order, report)
        return stale()
      }
      confirm(order, report, now: now)
      return .changed
    case .none:
      let differs = report.hasPrice && report.price != known.price_ticks || report.qty != known.qty_lots
      // Resting and settled. Feed items may be late; a query is not (checked above), so it rules. What is unknown is known
      // again by a repetition of all that it may be: a smaller size may be that of long ago.
      let rules =
        !isBehind && (isQuery || known.phaseValue == .unknown && !differs && report.qty >= known.target_lots)
      guard rules else {
        noteExecuted(order, report)
        let isNew = report.filled > max(known.reported_lots, known.filled_lots)
        return !differs && isNew ? .changed : stale()
      }
      confirm(order, report, now: now)
      return .changed
    }
  }

  /// The reply to an amend of an order that rests.
  private mutating func applyAmendReply(_ report: OrderReport, to order: OrderPointer, now: Nanoseconds)
    -> ReportOutcome
  {
    let known = order.pointee
    if answersAmend(order, report.amendSerial) {
      guard report.price == known.target_ticks, report.qty == known.target_lots else {
        return doubt(order, report, now: now)  // the venue has made something else of it: ask
      }
      confirm(order, report, now: now)
      return .changed
    }
    // Late, of an amend that a query has settled since. If it only repeats what is known, it is of no more use. If not, the
    // query was answered before that amend was dealt with, and what it said is not true any more: ask.
    counters.lateReplies += 1
    guard report.hasPrice && report.price != known.price_ticks || report.qty != known.qty_lots else {
      noteExecuted(order, report)
      return stale()
    }
    return doubt(order, report, now: now)
  }

  /// What was confirmed, or was asked for, is contradicted: a query must tell.
  private mutating func doubt(_ order: OrderPointer, _ report: OrderReport, now: Nanoseconds) -> ReportOutcome {
    noteExecuted(order, report)
    guard order.pointee.phaseValue != .unknown else { return stale() }
    markUnknown(order, now: now)
    return .changed
  }

  /// From before what was last confirmed: it may show what is asked for now because that was so once. Only where the feed
  /// answers, which a query may have overtaken.
  private func isOlder(_ report: OrderReport, than order: OrderPointer) -> Bool {
    report.updateTime < statedTimes[slab.index(of: order)]
  }

  private mutating func stale() -> ReportOutcome {
    counters.stale += 1
    return .stale
  }

  private mutating func noteExecuted(_ order: OrderPointer, _ report: OrderReport) {
    change(order) { $0.pointee.reported_lots = max($0.pointee.reported_lots, report.filled) }
  }

  /// The order rests as the report says, and no request is in flight any more.
  private mutating func confirm(_ order: OrderPointer, _ report: OrderReport, now: Nanoseconds) {
    change(order) {
      $0.pointee.phaseValue = .live
      $0.pointee.inFlightValue = .none
      if report.hasPrice { $0.pointee.price_ticks = report.price }
      $0.pointee.qty_lots = report.qty
      $0.pointee.target_ticks = $0.pointee.price_ticks
      $0.pointee.target_lots = report.qty
      $0.pointee.reported_lots = max($0.pointee.reported_lots, report.filled)
      $0.pointee.sent_ns = now
    }
    if !repliesAreState {
      let place = slab.index(of: order)
      statedTimes[place] = max(statedTimes[place], report.updateTime)
    }
    state(order.pointee.instrument_index).pointee.reposition(order)
  }

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

  /// The venue's id of an order, from an acknowledgement: of its state that says nothing.
  mutating func name(_ clientID: UInt64, _ venueID: VenueID) {
    guard let order = slab.find(clientID: clientID), order.pointee.venue_id.count == 0, venueID.count > 0 else { return }
    _ = slab.bind(order, venueID: venueID)
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
      if tracker.wasNeverPlaced(order) {
        tracker.end(order, reported: .zero, now: now)
        count += 1
        return
      }
      // What it executed before it ended is not known either: all of it, as far as exposure goes.
      let most = max(record.qty_lots, record.target_lots)
      tracker.end(order, reported: max(record.reported_lots, record.filled_lots, most), now: now)
      order.pointee.flags |= Self.endedByAbsence | Self.fillsUnasked
      order.pointee.sent_ns = now
      count += 1
    }
    return count
  }

  /// The venue's position of an instrument was taken over: executions that we miss are part of it.
  mutating func forgiveMissing(_ instrument: InstrumentIndex) {
    guard missingFillOrders > 0 else { return }
    for offset in 0..<endedCount {
      guard let order = slab.find(clientID: ended[(endedFirst + offset) % endedCapacity].clientID),
        order.pointee.instrument_index == instrument, order.pointee.worstCaseLots > .zero
      else { continue }
      change(order) {
        $0.pointee.flags &= ~Self.fillsUnasked
        $0.pointee.reported_lots = $0.pointee.filled_lots
      }
    }
  }

  /// A complete answer about executions has arrived to a question sent at `askedAt`: what ended unseen
  /// at least `lag` before that has traded no more than was told.
  mutating func tradesAnswered(askedAt: Nanoseconds, lag: Nanoseconds) {
    guard missingFillOrders > 0 else { return }
    for offset in 0..<endedCount {
      guard let order = slab.find(clientID: ended[(endedFirst + offset) % endedCapacity].clientID),
        order.pointee.flags & Self.fillsUnasked != 0, order.pointee.sent_ns + lag <= askedAt
      else { continue }
      change(order) {
        $0.pointee.flags &= ~Self.fillsUnasked
        $0.pointee.reported_lots = $0.pointee.filled_lots
      }
    }
  }

  /// Forgets ended orders after `remembrance`, unless fills that the venue reported are missing.
  mutating func purge(now: Nanoseconds) {
    var checks = endedCount
    while checks > 0, endedCount > 0 {
      let clientID = ended[endedFirst].clientID
      guard now - ended[endedFirst].at >= Self.remembrance else { return }
      endedFirst = (endedFirst + 1) % endedCapacity
      endedCount -= 1
      checks -= 1
      guard let order = slab.find(clientID: clientID) else { continue }
      let isAbsent = order.pointee.flags & Self.endedByAbsence != 0
      if order.pointee.worstCaseLots > .zero || isAbsent && now - order.pointee.sent_ns < Self.absentRemembrance {
        pushEnded(clientID, now)  // still waiting for a fill, or for a late answer
      } else {
        slab.erase(order)
      }
    }
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
    if report.isOurQuote, report.hasPrice {
      return findQuote(
        report.instrument, report.side, report.price, lots: report.qty, isEnding: report.status.isTerminal)
    }
    guard report.clientID != 0, let order = slab.find(clientID: report.clientID),
      order.pointee.instrument_index == report.instrument, order.pointee.sideValue == report.side
    else { return nil }
    // A query lists the whole account, and others may use the same client ids.
    if report.source == .query, !report.isLabelledOurs { return nil }
    // Another session may use the same client id: an order that has its venue id is known by that.
    if order.pointee.venue_id.count > 0, report.venueID.count > 0 { return nil }
    // What the venue has not accepted yet has not been amended: that is another order, of a life that used the same number.
    if report.amendSerial != 0, order.pointee.inFlightValue == .insert { return nil }
    return order
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

  /// Changes an order and keeps the sums that depend on it.
  mutating func change(_ order: OrderPointer, _ body: (OrderPointer) -> Void) {
    let before = order.pointee.worstCaseLots
    let phase = order.pointee.phaseValue
    let wasInFlight = order.pointee.inFlightValue != .none
    let wasMissing = phase == .dead && before > .zero
    body(order)
    let delta = order.pointee.worstCaseLots - before
    if delta != .zero {
      state(order.pointee.instrument_index).pointee.addExposure(order.pointee.sideValue, delta)
    }
    let isInFlight = order.pointee.inFlightValue != .none
    inFlightCount += (isInFlight ? 1 : 0) - (wasInFlight ? 1 : 0)
    let now = order.pointee.phaseValue
    let isMissing = now == .dead && order.pointee.worstCaseLots > .zero
    missingFillOrders += (isMissing ? 1 : 0) - (wasMissing ? 1 : 0)
    if phase != now {
      unknownCount += (now == .unknown ? 1 : 0) - (phase == .unknown ? 1 : 0)
      liveCount += (now == .live ? 1 : 0) - (phase == .live ? 1 : 0)
    }
  }

  /// The request in flight had no effect. That does not say how an order stands whose state was unknown already, for a
  /// late reply may have contradicted what was confirmed: a query must tell.
  private mutating func settleRefused(_ order: OrderPointer, now: Nanoseconds) {
    guard order.pointee.phaseValue == .live else { return }
    settle(order, now: now)
  }

  /// The request in flight had no effect, or is answered: back to what was confirmed.
  mutating func settle(_ order: OrderPointer, now: Nanoseconds) {
    change(order) {
      $0.pointee.sent_ns = now
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

  mutating func end(_ order: OrderPointer, reported: QtyLots, now: Nanoseconds) {
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
    ended[(endedFirst + endedCount) % endedCapacity] = EndedOrder(clientID: clientID, at: now)
    endedCount += 1
  }

  /// Takes an order out of the ended ones. Cold.
  private mutating func forgetEnded(_ clientID: UInt64) {
    var kept = 0
    for offset in 0..<endedCount {
      let entry = ended[(endedFirst + offset) % endedCapacity]
      guard entry.clientID != clientID else { continue }
      ended[(endedFirst + kept) % endedCapacity] = entry
      kept += 1
    }
    endedCount = kept
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

private struct EndedOrder {
  var clientID: UInt64
  var at: Nanoseconds
}
