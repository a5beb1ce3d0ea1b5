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
  static let lastAmendSerial: UInt16 = 9_999

  var slab: OrderSlab
  /// The slab's memory, if it was given: it lives as long as the slab.
  private let slabMemory: LockedMemory?
  let states: UnsafeMutablePointer<InstrumentState>
  public let instrumentCapacity: Int
  var trades: TradeSet

  /// Ended orders in the order of their ends.
  let ended: UnsafeMutablePointer<EndedOrder>
  let endedCapacity: Int
  var endedFirst = 0
  var endedCount = 0

  public internal(set) var counters = TrackerCounters()
  public private(set) var unknownCount = 0
  public private(set) var liveCount = 0
  /// Requests without an answer.
  public internal(set) var inFlightCount = 0
  /// When the query of open orders now being answered was sent.
  var querySentAt: Nanoseconds = 0
  var isQuerySnapshot = false
  /// The answer to a request says how the order stands; if not, that is told by the feed alone.
  let repliesAreState: Bool
  /// If not: by slot of the order, when it came to be as last confirmed, by the venue's clock. Records have no room left.
  let statedTimes: UnsafeMutablePointer<Nanoseconds>
  /// By slot: the serial of the last amend sent, 1 ... 9,999 and then 1 again; 0 before the first. An order's serials go
  /// on where those of the slot's last tenant ended.
  let amendSerials: UnsafeMutablePointer<UInt16>
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

  mutating func pushEnded(_ clientID: UInt64, _ now: Nanoseconds) {
    precondition(endedCount < endedCapacity)
    ended[(endedFirst + endedCount) % endedCapacity] = EndedOrder(clientID: clientID, at: now)
    endedCount += 1
  }

  /// Takes an order out of the ended ones. Cold.
  mutating func forgetEnded(_ clientID: UInt64) {
    var kept = 0
    for offset in 0..<endedCount {
      let entry = ended[(endedFirst + offset) % endedCapacity]
      guard entry.clientID != clientID else { continue }
      ended[(endedFirst + kept) % endedCapacity] = entry
      kept += 1
    }
    endedCount = kept
  }

  mutating func forEachOrder(_ body: (inout StateTracker, OrderPointer) -> Void) {
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

struct EndedOrder {
  var clientID: UInt64
  var at: Nanoseconds
}
