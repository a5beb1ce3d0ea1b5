import CSupport

/// Counters of a lane that only grow.
public struct LaneCounters: Sendable {
  public var framesIn = 0
  /// Payload of these frames.
  public var bytesIn = 0
  public var ticks = 0
  public var looks = 0
  public var unchanged = 0
  public var inserts = 0
  public var amends = 0
  public var cancels = 0
  /// Orders that the manager has asked for to hedge; they are counted in `inserts` too.
  public var hedges = 0
  /// Messages, of whatever many instruments.
  public var massQuotes = 0
  public var throttled = 0
  public var rejects = 0
  /// Requests about an order that had been executed or had ended meanwhile: no fault of anybody, and not in `rejects`.
  public var refusedLate = 0
  public var edgeRefusals = 0
  public var gaps = 0
  /// Books that were begun anew because a message was missing.
  public var bookGaps = 0
  public var reconnects = 0
  /// Moves to a connection that was made before the venue closed the last one.
  public var moves = 0
  public var limitBreaches = 0
  public var queries = 0
  /// Commands held back because the message budget was used up.
  public var budgetWaits = 0
  /// Executions that were booked but did not reach the journal.
  public var fillsUnrecorded = 0
}

/// The state of a lane and the receiver of its adapter's events.
///
/// Kept apart from the adapter so that decoding can write here while the adapter is borrowed.
struct LaneCore: ~Copyable, VenueEventSink {
  var tracker: StateTracker
  let markets: UnsafeMutablePointer<MarketState>
  /// The memory of all books, if it was given: it lives as long as they do.
  private let bookMemory: LockedMemory?
  let instrumentCount: Int
  var counters = LaneCounters()
  var now: Nanoseconds = 0
  /// Instruments in which something that a strategy can see has changed since the last look.
  var dirty: DirtySet
  private let rules: ReplyRules
  /// Requests a second as the venue has last stated them in an answer; 0: it has not.
  private(set) var statedRate: Int64 = 0
  /// Time of the newest execution seen, by the venue's clock: queries ask from here on.
  var tradeWatermark: Nanoseconds = 0
  private var venueClock = VenueClock()
  /// The latest time of the venue's clock that it has stated: its clock is not behind this. 0 before the first.
  var venueTime: Nanoseconds { venueClock.latest }
  /// What its clock shows now, or a little earlier. 0 before it has stated a time.
  var venueTimeNow: Nanoseconds { venueClock.estimate(now: now) }
  /// When the last execution was booked.
  var lastFillAt = LaneSession.never
  /// No inserts and amends until then: the message rate was exceeded (R39).
  private(set) var throttledUntil = LaneSession.never
  /// Inserts, amends and mass quotes sent since the venue last answered one, and when the last of them left.
  private(set) var sentSinceAnswer = 0
  private var lastSentAt = LaneSession.never
  private let protections: UnsafeMutablePointer<ProtectionGroup>
  /// Protection groups that a lane can have.
  static let protectionCapacity = 64
  private let refusals: UnsafeMutablePointer<RejectBreaker>
  var breakerRules = BreakerRules(SafetySettings())
  var acks = AnswerTimes()

  /// Positions as the venue last stated them.
  private let stated: UnsafeMutablePointer<QtyLots?>
  private(set) var statedAt: Nanoseconds = 0
  /// When a snapshot of all positions was read last: unlike a line of the feed it cannot be late.
  private(set) var answeredAt: Nanoseconds = 0
  /// What these snapshots differed by from our own count.
  private let differences: UnsafeMutablePointer<PositionDifference>

  /// Session events of one frame, handled by the lane after decoding.
  private let events: UnsafeMutablePointer<SessionEvent>
  private static let eventCapacity = 256
  private(set) var eventCount = 0
  /// Orders of an earlier life that still rest.
  private let orphanIDs: UnsafeMutablePointer<(id: VenueID, instrument: InstrumentIndex)>
  private static let orphanCapacity = 64
  private(set) var orphanCount = 0
  /// Of those, how many the last query showed.
  private(set) var orphansInQuery = 0
  /// Orders of this engine, of any life, that a query showed resting.
  private(set) var restingInQuery = 0
  /// What the lane must do for an instrument that has just been listed.
  private let newlyListed: UnsafeMutablePointer<Bool>
  var hasNewListing = false
  private var isInQuery = false
  /// The instrument whose book message is being read.
  private var bookBeingRead: InstrumentIndex?
  /// A book message could not be applied since the connection began.
  private(set) var hasBrokenBook = false
  /// Executions to be handed on; see `LaneRecords`.
  let fills: UnsafeMutablePointer<BookedFill>
  static let fillCapacity = 4096
  /// How long inserts and amends pause after the venue's first word that there were too many.
  static let throttlePause: Nanoseconds = 1_000_000_000
  private(set) var fillCount = 0

  init(
    instrumentCount: Int, tracker: consuming StateTracker, bookLevels: Int, bookMemory: consuming LockedMemory? = nil,
    rules: ReplyRules
  ) throws(CapacityError) {
    self.instrumentCount = instrumentCount
    self.tracker = tracker
    self.rules = rules
    dirty = DirtySet(count: instrumentCount)
    markets = .allocate(capacity: instrumentCount)
    for index in 0..<instrumentCount {
      (markets + index).initialize(
        to: try MarketState(bookLevels: bookLevels, memory: Self.block(index, of: bookMemory, bookLevels)))
    }
    self.bookMemory = bookMemory
    stated = .allocate(capacity: instrumentCount)
    stated.initialize(repeating: nil, count: instrumentCount)
    differences = .allocate(capacity: instrumentCount)
    differences.initialize(repeating: PositionDifference(), count: instrumentCount)
    refusals = .allocate(capacity: instrumentCount)
    refusals.initialize(repeating: RejectBreaker(), count: instrumentCount)
    protections = .allocate(capacity: Self.protectionCapacity)
    protections.initialize(repeating: ProtectionGroup(), count: Self.protectionCapacity)
    newlyListed = .allocate(capacity: instrumentCount)
    newlyListed.initialize(repeating: false, count: instrumentCount)
    events = .allocate(capacity: Self.eventCapacity)
    orphanIDs = .allocate(capacity: Self.orphanCapacity)
    fills = .allocate(capacity: Self.fillCapacity)
  }

  /// Bytes of the memory for the books of so many instruments.
  static func bookBytes(instrumentCount: Int, bookLevels: Int) -> Int { instrumentCount * bookStride(bookLevels) }

  private static func bookStride(_ bookLevels: Int) -> Int {
    (Book.memoryBytes(tailLevels: bookLevels) + Book.memoryAlignment - 1) / Book.memoryAlignment * Book.memoryAlignment
  }

  private static func block(_ index: Int, of memory: borrowing LockedMemory?, _ bookLevels: Int)
    -> UnsafeMutableRawBufferPointer?
  {
    switch memory {
    case .some(let memory):
      UnsafeMutableRawBufferPointer(
        start: memory.base + index * bookStride(bookLevels), count: Book.memoryBytes(tailLevels: bookLevels))
    case .none: nil
    }
  }

  deinit {
    markets.deinitialize(count: instrumentCount)
    markets.deallocate()
    stated.deallocate()
    refusals.deallocate()
    protections.deallocate()
    differences.deallocate()
    newlyListed.deallocate()
    events.deallocate()
    orphanIDs.deallocate()
    fills.deallocate()
  }

  func market(_ index: InstrumentIndex) -> UnsafeMutablePointer<MarketState>? {
    Int(index) < instrumentCount ? markets + Int(index) : nil
  }

  func event(_ index: Int) -> SessionEvent { events[index] }
  mutating func clearEvents() { eventCount = 0 }

  func orphan(_ index: Int) -> (id: VenueID, instrument: InstrumentIndex) { orphanIDs[index] }
  mutating func clearOrphans() { orphanCount = 0 }
  mutating func clearFills() { fillCount = 0 }

  func statedPosition(_ index: InstrumentIndex) -> QtyLots? { stated[Int(index)] }

  /// What the snapshots of positions have differed by from our own count.
  func difference(_ index: InstrumentIndex) -> PositionDifference { differences[Int(index)] }

  /// A snapshot of all positions has been read. Returns whether it agrees with our own count in all.
  mutating func compareAnswer() -> Bool {
    var agrees = true
    for index in 0..<instrumentCount {
      guard let stated = stated[index], let ours = tracker.state(InstrumentIndex(index)).pointee.position else {
        differences[index] = PositionDifference()
        continue
      }
      differences[index].note(stated - ours, now: now)
      if stated != ours { agrees = false }
    }
    return agrees
  }

  mutating func forgetDifferences() {
    for index in 0..<instrumentCount { differences[index] = PositionDifference() }
  }

  mutating func takeNewListing(_ index: Int) -> Bool {
    defer { newlyListed[index] = false }
    return newlyListed[index]
  }

  private mutating func push(_ event: SessionEvent) {
    // A frame holds one reply or one notification, such as the answer to a mass quote with all that failed of it; the
    // buffer is emptied after each.
    guard eventCount < Self.eventCapacity else { return }
    events[eventCount] = event
    eventCount += 1
  }

  /// Until when inserts and amends of an instrument wait because the venue refuses them.
  func refusedUntil(_ instrument: InstrumentIndex) -> Nanoseconds { refusals[Int(instrument)].until }
  /// The error code of the last refusals of an instrument; 0 for none.
  func refusalCode(_ instrument: InstrumentIndex) -> Int64 { refusals[Int(instrument)].code }
  mutating func closeBreakers() { refusals.update(repeating: RejectBreaker(), count: instrumentCount) }

  mutating func noteSent() {
    sentSinceAnswer += 1
    lastSentAt = now
  }

  /// Answers that do not come in time are no longer waited for: one more message finds out whether the venue reads.
  mutating func giveUpAnswers(to limit: Int, sentBefore deadline: Nanoseconds) {
    guard sentSinceAnswer >= limit, lastSentAt < deadline else { return }
    sentSinceAnswer = limit - 1
    markAllDirty()
  }

  mutating func refuse(_ instrument: InstrumentIndex, code: Int64) {
    refusals[Int(instrument)].note(code: code, rules: breakerRules, now: now)
  }

  /// The venue has taken what it was sent for an instrument: a streak of refusals is over.
  mutating func accept(_ instrument: InstrumentIndex) {
    if refusals[Int(instrument)].code != 0 { refusals[Int(instrument)] = RejectBreaker() }
  }

  /// `nil` if there is no such group.
  func protection(_ product: ProductIndex) -> ProtectionGroup? {
    Int(product) < Self.protectionCapacity ? protections[Int(product)] : nil
  }

  mutating func noteProtection(_ product: ProductIndex, _ event: ProtectionGroup.Event) {
    guard Int(product) < Self.protectionCapacity else { return }
    let wasArmed = protections[Int(product)].isArmed
    protections[Int(product)].note(event, now: now)
    if protections[Int(product)].isArmed != wasArmed { markAllDirty() }
  }

  @inline(__always)
  mutating func markDirty(_ instrument: InstrumentIndex) {
    guard Int(instrument) < instrumentCount else { return }
    dirty.insert(Int(instrument))
  }

  mutating func markAllDirty() { dirty.insertAll() }

  /// The connection is gone: market data is void, orders are of unknown state (R23).
  mutating func connectionLost(now: Nanoseconds) {
    for index in 0..<instrumentCount {
      markets[index].invalidate()
      setStated(InstrumentIndex(index), nil)
    }
    for index in 0..<Self.protectionCapacity { protections[index].note(.removed, now: now) }
    statedAt = 0
    answeredAt = 0
    sentSinceAnswer = 0
    forgetDifferences()
    isInQuery = false
    hasBrokenBook = false
    bookBeingRead = nil
    markAllDirty()
    tracker.connectionLost(now: now)
  }

  private mutating func setStated(_ instrument: InstrumentIndex, _ position: QtyLots?) {
    stated[Int(instrument)] = position
    tracker.notePosition(instrument, stated: position)
  }

  // MARK: - VenueEventSink

  /// Prices up to here, in 10⁻⁸ and in ticks, leave room for every sum and product made with them.
  private static let largestPriceE8: Int64 = 1 << 53
  private static let largestPriceTicks: Int64 = 1 << 40

  private func isPlausible(_ priceE8: Int64, _ tickE8: Int64) -> Bool {
    priceE8 >= -Self.largestPriceE8 && priceE8 <= Self.largestPriceE8
      && (tickE8 == 0 || abs(priceE8) / tickE8 <= Self.largestPriceTicks)
  }

  mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker) {
    guard let market = market(instrument) else { return }
    counters.ticks += 1
    let tickE8 = market.pointee.info?.grid.tickE8 ?? 0
    guard isPlausible(ticker.markE8, tickE8), isPlausible(ticker.indexE8, tickE8) else {
      counters.edgeRefusals += 1
      return
    }
    // Nothing of ours trades before the first ticker: that is where trades begin to be asked for.
    if tradeWatermark == 0 { tradeWatermark = ticker.venueTime }
    venueClock.note(ticker.venueTime, now: now)
    let before = market.pointee.ticker
    market.pointee.ticker = ticker
    market.pointee.tickerTime = now
    if ticker.markE8 != 0 { market.pointee.lastMarkE8 = ticker.markE8 }
    if ticker.markE8 != before.markE8 || ticker.indexE8 != before.indexE8 || !market.pointee.isFresh {
      markDirty(instrument)
    }
    market.pointee.isFresh = true
  }

  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
    guard let market = market(instrument) else { return }
    counters.ticks += 1
    bookBeingRead = instrument
    if isSnapshot {
      market.pointee.book.clear()
      market.pointee.isBookValid = true
      markDirty(instrument)
    }
  }

  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    guard let market = market(instrument) else { return }
    guard abs(price.rawValue) <= Self.largestPriceTicks, qty <= StateTracker.largestLots,
      let info = market.pointee.info, abs(price.rawValue) <= Self.largestPriceE8 / info.grid.tickE8
    else {
      refusedAtEdge(.impossible)
      return
    }
    if market.pointee.book.qty(side, at: price) == qty { return }
    let topChanged = market.pointee.book.set(side, price, qty)
    let watched = side == .buy ? market.pointee.watched.bid : market.pointee.watched.ask
    if topChanged || watched.map({ !side.isBetter($0, than: price) }) ?? true {
      markDirty(instrument)
    }
  }

  mutating func bookEnd(_ instrument: InstrumentIndex) {
    bookBeingRead = nil
    market(instrument)?.pointee.bookTime = now
  }

  mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {
    market(instrument)?.pointee.trades.add(PublicTrade(time: now, price: price, qty: qty, aggressor: aggressor))
  }

  mutating func indexPrice(_ valueE8: Int64) {}

  mutating func snapshotBegin(_ kind: SnapshotKind) {
    switch kind {
    case .openOrders:
      isInQuery = true
      restingInQuery = 0
      orphansInQuery = 0
    case .portfolio:
      // Unknown until the snapshot has been read whole: a line that is refused is not a flat one (R22).
      for index in 0..<instrumentCount { setStated(InstrumentIndex(index), nil) }
    default: break
    }
  }

  mutating func snapshotEnd(_ kind: SnapshotKind) {
    if kind == .openOrders { isInQuery = false }
    if kind == .portfolio {
      statedAt = now
      answeredAt = now
      // A snapshot is complete: what it does not list is flat.
      for index in 0..<instrumentCount where stated[index] == nil { setStated(InstrumentIndex(index), .zero) }
    }
    push(.snapshotEnded(kind))
  }

  mutating func order(_ report: OrderReport) {
    if isInQuery, report.isLabelledOurs, report.status.isLive { restingInQuery += 1 }
    if report.source == .reply { noteAnswer(report.clientID) }
    switch tracker.apply(report, now: now) {
    case .stale, .foreign:
      return
    case .orphan:
      if isInQuery { orphansInQuery += 1 }
      guard orphanCount < Self.orphanCapacity else { return }
      orphanIDs[orphanCount] = (report.venueID, report.instrument)
      orphanCount += 1
    case .changed, .ended, .impossible:
      markDirty(report.instrument)
    }
  }

  /// The reply to a request about an order has come: how long did it take?
  private mutating func noteAnswer(_ clientID: UInt64) {
    guard clientID != 0, let order = tracker.order(clientID), order.pointee.inFlightValue != .none else { return }
    acks.note(now - order.pointee.sent_ns)
  }

  mutating func fill(_ report: FillReport) {
    let outcome = tracker.apply(report, now: now)
    guard outcome == .booked || outcome == .feeAdded else { return }
    if outcome == .booked {
      lastFillAt = now
      markDirty(report.instrument)
    }
    tradeWatermark = max(tradeWatermark, report.time)
    venueClock.note(report.time, now: now)
    guard fillCount < Self.fillCapacity else {
      // A frame with more executions than any venue sends: booked, but the journal does not get them.
      counters.fillsUnrecorded += 1
      return
    }
    fills[fillCount] = BookedFill(
      report: report, isFeeOnly: outcome == .feeAdded,
      account: tracker.account(report.instrument, newestTrade: tradeWatermark))
    fillCount += 1
  }

  mutating func position(_ report: PositionReport) {
    guard Int(report.instrument) < instrumentCount else { return }
    let market = markets + Int(report.instrument)
    guard abs(report.position.rawValue) <= StateTracker.largestLots.rawValue else {
      counters.edgeRefusals += 1
      return
    }
    // Until a ticker has come the line's own mark values the position.
    if market.pointee.lastMarkE8 == 0, isPlausible(report.markE8, market.pointee.info?.grid.tickE8 ?? 0) {
      market.pointee.lastMarkE8 = report.markE8
    }
    setStated(report.instrument, report.position)
    statedAt = now
  }

  mutating func instrument(_ info: InstrumentInfo, isListed: Bool) {
    guard let market = market(info.index) else { return }
    if isListed {
      market.pointee.info = info
      tracker.list(info)
      newlyListed[Int(info.index)] = true
      hasNewListing = true
    } else {
      market.pointee.info = nil  // halted or expired: pull (R32)
    }
    markDirty(info.index)
  }

  mutating func replied(_ request: RequestKind, value: Int64) {
    noteAnswer(to: request)
    switch request {
    case .session(let kind): push(.replied(kind, value: value))
    case .insert(let id), .amend(let id, _):
      if !rules.areState { noteAnswer(id) }
      if let order = tracker.order(id) { refusals[Int(order.pointee.instrument_index)] = RejectBreaker() }
    case .protection(let product): noteProtection(product, .set)
    case .cancel, .massQuote, .cancelMassQuote, .unknown: break
    }
  }

  private mutating func noteAnswer(to request: RequestKind) {
    switch request {
    case .insert, .amend, .massQuote: sentSinceAnswer = 0
    case .session, .cancel, .protection, .cancelMassQuote, .unknown: break
    }
  }

  mutating func refused(_ request: RequestKind, code: Int64) {
    noteAnswer(to: request)
    let isThrottled = rules.isThrottle(code)
    if rules.isRestart(code) { push(.reconnectRequested) }
    if isThrottled {
      counters.throttled += 1
    } else if rules.isOvertaken(request, code) {
      counters.refusedLate += 1
    } else {
      counters.rejects += 1
    }
    if case .session(let kind) = request {
      push(.refused(kind, code: code))
      return
    }
    let proof = rules.proof(request, code)
    switch request {
    case .insert(let id), .amend(let id, _):
      if isThrottled { throttledUntil = now + Self.throttlePause }
      // An order that is gone is ordinary: it traded while the request was under way.
      if proof != .orderGone, !isThrottled, let order = tracker.order(id) {
        refusals[Int(order.pointee.instrument_index)].note(code: code, rules: breakerRules, now: now)
      }
    case .massQuote(let serial):
      if isThrottled { throttledUntil = now + Self.throttlePause }
      push(.quotesRefused(serial, code: code))
    case .protection(let product): noteProtection(product, .refused)
    case .cancel, .session, .cancelMassQuote, .unknown: break
    }
    if let order = tracker.refuse(request, proof: proof, now: now) {
      markDirty(order.pointee.instrument_index)
    }
  }

  mutating func orderNamed(_ clientID: UInt64, _ venueID: VenueID) { tracker.name(clientID, venueID) }

  mutating func rateLimit(_ report: RateLimitReport) {
    switch report.request {
    case .insert, .amend: statedRate = report.limit
    default: break
    }
  }

  mutating func massQuoted(_ serial: UInt64, succeeded: Int64, failed: Int64) {
    sentSinceAnswer = 0
    push(.quotesAnswered(serial))
  }

  mutating func massQuoteFailed(
    _ serial: UInt64, code: Int64, side: Side?, priceE8: Int64?, instrument: InstrumentIndex?
  ) {
    push(.quoteFailed(serial, code: code, side: side, priceE8: priceE8, instrument: instrument))
  }

  mutating func protection(_ product: ProductIndex, remaining: QtyLots, reason: ProtectionReason) {
    switch reason {
    case .refill: noteProtection(product, .refill)
    // What remains is the venue's word, whatever the reason's.
    case .executions, .other: noteProtection(product, .executed(remaining: remaining))
    case .clientCancel, .sessionEnd, .failover: noteProtection(product, .removed)
    }
  }

  mutating func reconnectRequested() { push(.reconnectRequested) }

  mutating func heartbeatRequested() { push(.heartbeatRequested) }

  mutating func bookLost(_ instrument: InstrumentIndex) {
    guard let market = market(instrument) else { return }
    market.pointee.isBookValid = false
    market.pointee.bookLostAt = now
    counters.bookGaps += 1
    markDirty(instrument)
    push(.bookLost(instrument))
  }

  mutating func refusedAtEdge(_ problem: DecodeProblem) {
    counters.edgeRefusals += 1
    // Levels have no words: it is a public trade in the book's message.
    guard problem != .unknownWord else { return }
    guard let broken = bookBeingRead, let market = market(broken) else { return }
    // A level is missing: the book is wrong from here on, within this one message (R28).
    market.pointee.isBookValid = false
    hasBrokenBook = true
    markDirty(broken)
  }
}

/// What a venue's replies prove.
struct ReplyRules {
  /// A refusal.
  var proof: (RequestKind, Int64) -> RefusalProof
  var isThrottle: (Int64) -> Bool
  var isOvertaken: (RequestKind, Int64) -> Bool
  var isRestart: (Int64) -> Bool
  /// A reply says how the order stands.
  var areState: Bool

  init<Adapter: ExchangeAdapter & ~Copyable>(of adapter: Adapter.Type) {
    proof = Adapter.proof
    isThrottle = Adapter.isThrottle
    isOvertaken = Adapter.isOvertaken
    isRestart = Adapter.isRestart
    areState = Adapter.repliesAreState
  }
}

/// By how much the venue's snapshots of positions have differed from our own count of one instrument.
struct PositionDifference {
  private(set) var lots = QtyLots(rawValue: 0)
  /// Snapshots in a row, the last one included, that differed by this much; 0 if the last one agreed.
  private(set) var count = 0
  /// When the first of them arrived.
  private(set) var since: Nanoseconds = 0

  mutating func note(_ difference: QtyLots, now: Nanoseconds) {
    if difference == .zero {
      self = PositionDifference()
    } else if difference == lots {
      count += 1
    } else {
      lots = difference
      count = 1
      since = now
    }
  }
}

/// An execution as it was booked, for the journal, the manager and the report.
struct BookedFill {
  var report: FillReport
  /// The execution was booked before; this brought its fee.
  var isFeeOnly: Bool
  /// How the account stood with it.
  var account: AccountRecord
}
