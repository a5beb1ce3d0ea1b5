import CSupport

/// Shows a lane to other processes: counters, state with its cause, instruments, spans.
///
/// Written by the lane's thread alone. Counters and instruments a few times a second, spans as they happen.
struct LaneTelemetry: ~Copyable {
  private var file: TelemetryWriter?
  private var lane: TelemetryLane?
  /// The file with the control page; it is mapped as long as `lane` is there.
  private let controlFile: OpaquePointer?
  /// Receive of a tick to submit of its order, in memory of its own; the mapped one is a copy of it for others.
  private(set) var tickToOrder = LatencyHistogram()
  /// Receive of a tick to the order's frame in the output buffer: the engine's own part of it.
  private(set) var tickToFrame = LatencyHistogram()
  private let span: UnsafeMutablePointer<apus_histogram>?
  private let frameSpan: UnsafeMutablePointer<apus_histogram>?
  private let submitSpan: UnsafeMutablePointer<apus_histogram>?
  private let turnSpan: UnsafeMutablePointer<apus_histogram>?
  private let stageSpans: (receive: Span?, decode: Span?, decide: Span?, risk: Span?, encode: Span?)
  private typealias Span = UnsafeMutablePointer<apus_histogram>
  /// Of the lane's loop.
  private var turns = 0
  /// For the lane, which knows when a request left and when its answer came.
  let acknowledgeSpan: UnsafeMutablePointer<apus_histogram>?
  private var grids: [InstrumentTelemetry?]
  /// The limit of each instrument that the manager knows of.
  private var toldLimits: [QtyLots?]
  private let names: [String]
  /// Where the round that is under way goes on, and sums over the instruments before.
  private var nextInstrument = 0
  private var sums = Sums()
  private struct Sums {
    var fills = 0
    var adjustments = 0
    var quoted = 0
    var differing = 0
    var accepted = 0
    var filled = 0
  }
  /// Our best prices as last shown, and since when, of each instrument.
  private var bests: [OwnBests]
  private struct OwnBests {
    var bid: (price: PriceTicks, since: Nanoseconds)?
    var ask: (price: PriceTicks, since: Nanoseconds)?
  }
  private var shownError = ""
  private var shownState: LaneState?
  private var shownCause = ""
  /// The answer to a halt, and what its text was made of.
  private var answer = HaltAnswer()
  private var haltText = ""
  private var updates: RingProducer?
  private(set) var updatesDropped = 0
  private var tops: LaneTops?

  init(
    file: consuming TelemetryWriter?, lane: consuming TelemetryLane?, instrumentNames: [String],
    updates: consuming RingProducer?
  ) {
    self.file = file
    func histogram(_ memory: UnsafeMutableRawBufferPointer?) -> UnsafeMutablePointer<apus_histogram>? {
      guard let memory, memory.count >= LatencyHistogram.byteCount else { return nil }
      return memory.baseAddress?.assumingMemoryBound(to: apus_histogram.self)
    }
    span = histogram(lane?.span(.tickToOrder))
    frameSpan = histogram(lane?.span(.tickToFrame))
    submitSpan = histogram(lane?.span(.submit))
    turnSpan = histogram(lane?.span(.turn))
    stageSpans = (
      histogram(lane?.span(.receive)), histogram(lane?.span(.decode)), histogram(lane?.span(.decide)),
      histogram(lane?.span(.risk)), histogram(lane?.span(.encode))
    )
    acknowledgeSpan = histogram(lane?.span(.acknowledge))
    controlFile = Self.file(of: lane)
    self.lane = lane
    names = instrumentNames
    grids = Array(repeating: nil, count: instrumentNames.count)
    toldLimits = Array(repeating: nil, count: instrumentNames.count)
    bests = Array(repeating: OwnBests(), count: instrumentNames.count)
    self.updates = updates
  }

  mutating func keep(_ file: consuming TelemetryWriter) { self.file = .some(file) }

  /// The manager wants to hear of prices too.
  mutating func keep(_ tops: consuming LaneTops) { self.tops = .some(tops) }

  /// In each turn, when the lane's orders have left.
  @inline(__always)
  mutating func tellTops<A: ExchangeAdapter & ~Copyable>(_ lane: inout Lane<A>, now: Nanoseconds) {
    guard tops != nil else { return }
    tops!.tell(&lane, now: now)
  }

  private static func file(of lane: borrowing TelemetryLane?) -> OpaquePointer? {
    switch lane {
    case .some(let lane): lane.file
    case .none: nil
    }
  }

  /// One tick that led to an order: from reaped to the frame, and to submitted.
  mutating func noteTick(toFrame framed: Nanoseconds, toOrder submitted: Nanoseconds) {
    tickToFrame.record(framed)
    tickToOrder.record(submitted)
    if let frameSpan { LatencyHistogram.record(framed, in: frameSpan) }
    if let submitSpan { LatencyHistogram.record(submitted - framed, in: submitSpan) }
    if let span { LatencyHistogram.record(submitted, in: span) }
  }

  /// The stages of a tick that led to an order. One that the tick did not come to has no value.
  ///
  /// Mutating, as what is lent not to be changed would be copied first.
  @inline(never)
  mutating func noteStages(_ stages: borrowing StageTimes) {
    Self.note(stages[.receive], in: stageSpans.receive)
    Self.note(stages[.decode], in: stageSpans.decode)
    Self.note(stages[.decide], in: stageSpans.decide)
    Self.note(stages[.risk], in: stageSpans.risk)
    Self.note(stages[.encode], in: stageSpans.encode)
  }

  @inline(__always)
  private static func note(_ time: Nanoseconds, in span: Span?) {
    if let span, time > 0 { LatencyHistogram.record(time, in: span) }
  }

  /// A turn of the lane's loop begins.
  @inline(__always)
  mutating func noteTurn() { turns &+= 1 }

  /// A turn in which something came in.
  @inline(__always)
  func noteTurn(_ duration: Nanoseconds) {
    if let turnSpan { LatencyHistogram.record(duration, in: turnSpan) }
  }

  /// What is asked for by way of the file: the stop word's level and the count of re-armings.
  var controlWord: UInt64 {
    @inline(__always) get {
      guard let controlFile else { return 0 }
      return apus_telemetry_control_word(controlFile)
    }
  }

  /// The process that made the last request; 0 if there was none. Cold.
  var stopRequester: Int64 {
    guard let controlFile else { return 0 }
    return apus_telemetry_read_stop(controlFile).requester_process_id
  }

  /// Instruments shown in one call: the lane is away from its sockets for no longer than that takes.
  private static let instrumentsAtOnce = 8

  /// Goes on with a round of showing everything.
  ///
  /// - Returns: whether the round is complete; the next call begins another one.
  mutating func publish<A: ExchangeAdapter & ~Copyable>(_ lane: inout Lane<A>, error: String, now: Nanoseconds)
    -> Bool
  {
    if nextInstrument == 0 { lane.settleMarkouts(now: now) }
    let end = min(nextInstrument + Self.instrumentsAtOnce, lane.core.instrumentCount)
    while nextInstrument < end {
      publishInstrument(nextInstrument, &lane, now)
      count(nextInstrument, &lane)
      nextInstrument += 1
    }
    guard nextInstrument == lane.core.instrumentCount else { return false }
    publishLane(&lane, error: error, now)
    nextInstrument = 0
    sums = Sums()
    return true
  }

  private mutating func count<A: ExchangeAdapter & ~Copyable>(_ index: Int, _ lane: inout Lane<A>) {
    let state = lane.core.tracker.state(InstrumentIndex(index))
    sums.fills += state.pointee.fills
    sums.adjustments += state.pointee.positionAdjustments
    if state.pointee.bids.hasResting, state.pointee.asks.hasResting { sums.quoted += 1 }
    if !state.pointee.statedAgrees, state.pointee.position != nil { sums.differing += 1 }
    sums.accepted += state.pointee.ordersAccepted
    sums.filled += state.pointee.ordersFilled
  }

  private mutating func publishLane<A: ExchangeAdapter & ~Copyable>(
    _ lane: inout Lane<A>, error: String, _ now: Nanoseconds
  ) {
    file?.beat(now: now)
    guard self.lane != nil else { return }
    let counters = lane.core.counters
    let tracker = lane.core.tracker.counters
    self.lane!.beat(now: now)
    set(.framesIn, counters.framesIn)
    set(.framesOut, lane.output.framesOut)
    set(.bytesIn, counters.bytesIn)
    set(.bytesOut, lane.output.bytesOut)
    set(.turns, turns)
    set(.messagesUsed, lane.messagesSent)
    set(.messageBudget, max(0, Int(lane.adapter.messageRate) - lane.settings.reserveMessages))
    set(.messagesThrottled, counters.budgetWaits)
    set(.inserts, counters.inserts)
    set(.amends, counters.amends)
    set(.cancels, counters.cancels)
    set(.fills, sums.fills)
    set(.fillsRepeated, tracker.duplicateFills)
    set(.rejects, counters.rejects)
    set(.refusedLate, counters.refusedLate)
    set(.edgeRefusals, counters.edgeRefusals + tracker.impossible)
    set(.gaps, counters.gaps)
    set(.reconnects, counters.reconnects)
    set(.rateViolations, counters.throttled)
    set(.reconciliations, counters.queries)
    set(.limitBreaches, counters.limitBreaches)
    set(.massQuotes, counters.massQuotes)
    set(.moves, counters.moves)
    set(.ticks, counters.ticks)
    set(.budgetLeft, lane.orderBudget.available(now: now))
    set(.cancelsLeft, lane.cancelBudget.available(now: now))
    set(.fillsMissing, lane.core.tracker.missingFillOrders)
    set(.positionsAdjusted, sums.adjustments)
    set(.instrumentsQuoted, sums.quoted)
    set(.positionsDiffer, sums.differing > 0 ? 1 : 0)
    set(.journalFailed, lane.output.records.hasFailed ? 1 : 0)
    set(.journalLost, lane.output.records.lostCount)
    set(.ordersLive, lane.core.tracker.liveCount)
    set(.ordersUnknown, lane.core.tracker.unknownCount)
    set(.ordersInFlight, lane.core.tracker.inFlightCount)
    set(.ordersForeign, tracker.foreignReports)
    set(.ringFull, updatesDropped + (tops?.heldCount ?? 0))
    set(.ringHighWater, max(updates?.statistics.highWater ?? 0, tops?.highWater ?? 0))
    set(.ordersAccepted, sums.accepted)
    set(.ordersFilled, sums.filled)
    set(.hedges, counters.hedges)
    set(.parameters, Int(lane.parameterVersion))
    set(.markoutsLeftOut, lane.markouts.leftOut)
    set(.directives, lane.directivesTaken)
    set(.riskRefusals, lane.risk.refusalCount)
    set(.haltLevel, Int(lane.safety.ladder.level.rawValue))
    set(.halts, lane.safety.ladder.latchCount)
    set(.pauses, lane.safety.pauseCount)
    set(.clockOffsetUs, Int(abs(lane.safety.clock.estimate ?? 0) / 1000))
    publishHalt(&lane, now)
    publishState(&lane, error, now)
  }

  private mutating func set(_ counter: TelemetryCounter, _ value: Int) {
    lane!.set(counter, to: UInt64(clamping: value))
  }

  /// The lane's answer to what the kill ladder asks; at once when it changes, and with each round.
  mutating func publishHalt<A: ExchangeAdapter & ~Copyable>(_ lane: inout Lane<A>, _ now: Nanoseconds) {
    let ladder = lane.safety.ladder
    if answer.latched != ladder.latched || answer.passing != ladder.passing {
      // A text is made, which happens as seldom as the ladder changes.
      apus_realtime_allow_begin()
      haltText = ladder.causeText
      answer.latched = ladder.latched
      answer.passing = ladder.passing
      withUnsafeMutableBytes(of: &answer.cause) { bytes in
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        bytes.copyBytes(from: haltText.utf8.prefix(bytes.count - 1))
      }
      apus_realtime_allow_end()
    }
    guard self.lane != nil else { return }
    answer.level = ladder.level.rawValue
    answer.latched_level = ladder.latchedLevel.rawValue
    answer.outcome = lane.haltOutcome.rawValue
    answer.orders_left = UInt32(clamping: lane.ordersLeft)
    answer.obeyed_level = lane.safety.obeyedLevel.rawValue
    answer.rearm_count = lane.safety.rearmCount
    answer.verified_ns = lane.safety.verifiedAt
    answer.answered_ns = now
    answer.clock_offset_ns = lane.safety.clock.estimate ?? .min
    self.lane!.show(&answer)
  }

  private mutating func publishState<A: ExchangeAdapter & ~Copyable>(
    _ lane: inout Lane<A>, _ error: String, _ now: Nanoseconds
  ) {
    let state: LaneState
    var cause = lane.adapter.statusText
    switch lane.stop.phase {
    case .stopped:
      state = .stopped
      cause = "stopped"
    case _ where !lane.stop.isFinal:
      switch lane.adapter.phase {
      case .offline where !lane.mayConnect:
        state = .frozen
        cause = haltText
      case .offline, .opening, .loggingIn, .settingUp, .subscribing:
        state = .connecting
        if !error.isEmpty { cause += "; before: " + error }
      case .synchronising: state = .syncing
      case .failed, .leaving: state = .frozen
      case .ready:
        // Of the first instrument that is ours.
        let first = lane.settings.instruments.firstIndex { $0.isHandedOver != true } ?? 0
        let block = lane.core.instrumentCount > 0 ? lane.quoting.block(InstrumentIndex(first)) : .notListed
        state = block == .none ? .quoting : .frozen
        cause = block.text
        if lane.safety.ladder.level > .none { cause = haltText }
      }
    default:
      state = .stopping
      cause = "cancelling orders and verifying that none is left"
    }
    if !error.isEmpty, error != shownError {
      shownError = error
      self.lane!.add(event: error, at: now)
    }
    guard state != shownState || cause != shownCause else { return }
    shownState = state
    shownCause = cause
    self.lane!.show(state, cause: cause, since: now)
    self.lane!.add(event: cause, at: now)
  }

  private mutating func publishInstrument<A: ExchangeAdapter & ~Copyable>(
    _ index: Int, _ lane: inout Lane<A>, _ now: Nanoseconds
  ) {
    // What is no longer listed may still be held.
    guard let info = lane.core.markets[index].lastInfo else { return }
    let state = lane.core.tracker.state(InstrumentIndex(index))
    let market = lane.core.markets + index
    // The last one: while the connection is lost a position is worth what it was, not nothing.
    let mark = market.pointee.lastMarkE8
    let profit = state.pointee.profitE8(markE8: mark)
    if updates != nil {
      let limit = lane.risk.limits(for: InstrumentIndex(index))?.maximumPosition
      if let limit, limit != toldLimits[index],
        updates!.push(LaneUpdate.limit(limit, of: InstrumentIndex(index)))
      {
        toldLimits[index] = limit
      }
      let update = LaneUpdate(
        instrument: InstrumentIndex(index), isPositionKnown: state.pointee.isAccountKnown,
        isReady: lane.adapter.phase == .ready, position: state.pointee.position?.rawValue ?? 0,
        // The worse of our count and the venue's (R07).
        worstLong: -state.pointee.room(for: .buy, limit: .zero).rawValue,
        worstShort: -state.pointee.room(for: .sell, limit: .zero).rawValue,
        markE8: mark, profitE8: profit, serial: lane.safety.instruments[index].serial,
        unitE12: Underlying.unitE12(info, markE8: mark, deltaE8: market.pointee.ticker.delta),
        isHedging: lane.isHedging(InstrumentIndex(index)))
      if !updates!.push(update) { updatesDropped += 1 }
    }
    guard self.lane != nil else { return }
    var shown = grids[index] ?? InstrumentTelemetry(name: names[index], grid: info.grid)
    grids[index] = shown
    if let bid = market.pointee.book.bestOfOthers(.buy, own: state.pointee.bids) {
      shown.bid_ticks = bid.price
      shown.bid_lots = bid.qty
    }
    if let ask = market.pointee.book.bestOfOthers(.sell, own: state.pointee.asks) {
      shown.ask_ticks = ask.price
      shown.ask_lots = ask.qty
    }
    shown.mark_e8 = mark
    shown.own_bid_level_count = UInt32(state.pointee.bids.restingCount)
    shown.own_ask_level_count = UInt32(state.pointee.asks.restingCount)
    if let best = state.pointee.bids.firstResting {
      shown.own_bid_ticks = best.pointee.price_ticks
      shown.own_bid_lots = best.pointee.qty_lots - best.pointee.filled_lots
    }
    if let best = state.pointee.asks.firstResting {
      shown.own_ask_ticks = best.pointee.price_ticks
      shown.own_ask_lots = best.pointee.qty_lots - best.pointee.filled_lots
    }
    if let position = state.pointee.position {
      shown.position_lots = position
      shown.flags |= UInt64(APUS_TELEMETRY_POSITION_KNOWN)
    }
    let fees = state.pointee.quotedFeesE8(markE8: mark)
    shown.pnl_e8 = profit + fees
    shown.fees_e8 = fees
    shown.fill_count = UInt64(state.pointee.fills)
    let time = lane.quotedTime[index]
    if let plan = lane.flattenPlan(InstrumentIndex(index)) {
      shown.plan_lots = plan.side == .sell ? -plan.qty : plan.qty
      shown.plan_depth_lots = plan.depth
      shown.plan_limit_ticks = plan.limit
      shown.plan_worst_ticks = plan.worst
    }
    showExposure(&shown, state, lane.risk.limits(for: InstrumentIndex(index))?.maximumPosition ?? .zero)
    Self.note(shown.own_bid_lots > .zero ? shown.own_bid_ticks : nil, in: &bests[index].bid, now)
    Self.note(shown.own_ask_lots > .zero ? shown.own_ask_ticks : nil, in: &bests[index].ask, now)
    let markouts = lane.markouts.sums(index)
    shown.markout_e8 = (markouts.0.valueE8, markouts.1.valueE8, markouts.2.valueE8)
    shown.marked_e8 = (markouts.0.tradedE8, markouts.1.tradedE8, markouts.2.tradedE8)
    shown.own_bid_since_ns = bests[index].bid?.since ?? 0
    shown.own_ask_since_ns = bests[index].ask?.since ?? 0
    shown.market_ns = market.pointee.tickerTime
    Self.copy(lane.quoting.block(InstrumentIndex(index)), to: &shown)
    shown.quoted_ns = time.quoted
    shown.observed_ns = time.observed
    _ = self.lane!.show(&shown, at: index)
  }

  private func showExposure(_ shown: inout InstrumentTelemetry, _ state: StatePointer, _ limit: QtyLots) {
    shown.worst_long_lots = state.pointee.worstLong
    shown.worst_short_lots = state.pointee.worstShort
    shown.unproven_buy_lots = state.pointee.unproven(.buy)
    shown.unproven_sell_lots = state.pointee.unproven(.sell)
    shown.limit_lots = limit
    shown.bought_lots = state.pointee.boughtLots
    shown.sold_lots = state.pointee.soldLots
    shown.traded_e8 = state.pointee.tradedE8
    shown.adjustment_count = UInt64(state.pointee.positionAdjustments)
  }

  private static func note(
    _ price: PriceTicks?, in best: inout (price: PriceTicks, since: Nanoseconds)?, _ now: Nanoseconds
  ) {
    guard let price else {
      best = nil
      return
    }
    if best?.price != price { best = (price, now) }
  }

  private static func copy(_ block: QuotingBlock, to shown: inout InstrumentTelemetry) {
    guard block != .none else { return }
    var text = block.text
    text.withUTF8 { text in
      withUnsafeMutableBytes(of: &shown.block) { bytes in
        bytes.copyBytes(from: UnsafeRawBufferPointer(text).prefix(bytes.count - 1))
      }
    }
  }
}
