import CSupport

/// One venue's path from received bytes to bytes to send: the single writer of everything it owns.
///
/// Free of I/O and of clocks: received plaintext, time and requests in; bytes to send and state out.
/// The same code runs over io_uring, in a simulation and in a benchmark. One thread; nothing is
/// allocated once the session is ready.
struct Lane<Adapter: ExchangeAdapter & ~Copyable>: ~Copyable {
  var adapter: Adapter
  var core: LaneCore
  var output: LaneOutput
  /// The second connection, while the venue has announced that it will close the first one.
  var standby: LaneStandby
  var quoting: QuotingService
  var risk: RiskGate
  private(set) var settings: LaneSettings
  /// Order messages, and cancels where the venue counts them apart (R40). Where it does not, they have the order
  /// messages' budget too, and so many tokens of it for themselves.
  var orderBudget: TokenBucket
  var cancelBudget: TokenBucket
  var cancelsApart = true
  var keptForCancels: UInt32 = 0
  /// Made anew for each login.
  let makeToken: () -> String
  /// Cold: when an instrument is listed.
  let strategies: StrategyMaking
  /// Changes of parameters that were taken over.
  private(set) var parameterVersion: UInt32 = 0

  var session = LaneSession()
  var stop = StopProgress()
  /// The kill ladder and the safety rules.
  var safety: LaneSafety
  /// Instruments whose changes were not worth a message yet.
  var waiting: WaitingChanges
  /// Inserts, amends and mass quotes that may be without an answer.
  var unansweredLimit = 1
  /// When a command was held back for lack of budget: look again then.
  var budgetReadyAt: Nanoseconds = .max
  var nextTimerAt: Nanoseconds = 0
  var quotedTime: QuotedTime
  var markouts: Markouts
  /// Messages of the manager that were taken.
  var directivesTaken = 0
  /// Instruments that are quoted with mass quotes, and what is under way for them.
  var quotes: LaneQuotes
  let hasMassQuotes: Bool
  /// Order messages sent, and how many left in this turn: the runner stamps those.
  private(set) var ordersSent = 0
  var messagesSent = 0
  /// The stages of a tick, of one turn in several; no decision looks at it.
  let stages = StageTimes()

  /// Levels that a book keeps beyond its window.
  static var bookLevels: Int { 1024 }

  init(
    settings: LaneSettings, adapter: consuming Adapter, output: consuming LaneOutput,
    orderMemory: consuming LockedMemory? = nil, bookMemory: consuming LockedMemory? = nil,
    makeToken: @escaping () -> String,
    strategies: StrategyMaking
  ) throws {
    let standby = try LaneStandby()
    let count = settings.instruments.count
    let perSide = max(64, 2 * settings.ladderCapacity)
    // Until the venue has granted a rate.
    let least = try BucketRate(capacity: 1, tokensPerSecond: 1)
    let tracker = try StateTracker(
      instrumentCapacity: count, orderCapacity: settings.orderCapacity, ordersPerSide: perSide, idBits: 32,
      firstGeneration: settings.firstGeneration, tradeMemory: 1 << 16, repliesAreState: Adapter.repliesAreState,
      slabMemory: orderMemory)
    let core = try LaneCore(
      instrumentCount: count, tracker: tracker, bookLevels: Self.bookLevels, bookMemory: bookMemory,
      rules: ReplyRules(of: Adapter.self))
    let quotes = try LaneQuotes(instrumentCapacity: count, rules: Adapter.massQuoteRules)
    self.core = core
    self.core.breakerRules = BreakerRules(settings.safety)
    safety = LaneSafety(settings: settings.safety, instrumentCount: count)
    orderBudget = TokenBucket(least)
    cancelBudget = TokenBucket(least)
    quoting = QuotingService(
      instrumentCapacity: count, ladderCapacity: settings.ladderCapacity, ordersPerSide: perSide)
    risk = RiskGate(instrumentCapacity: count)
    waiting = WaitingChanges(instrumentCapacity: count)
    quotedTime = QuotedTime(instruments: count)
    markouts = Markouts(instruments: count)
    self.quotes = quotes
    hasMassQuotes = Adapter.massQuoteRules.levels > 0 && settings.instruments.contains { $0.usesMassQuotes }
    self.standby = standby
    self.adapter = adapter
    self.output = output
    self.settings = settings
    self.makeToken = makeToken
    self.strategies = strategies
    session.jitter = settings.seed
    for (index, instrument) in settings.instruments.enumerated() where instrument.awaitsDirective == true {
      safety.instruments[index].directive.longCap = .zero
      safety.instruments[index].directive.shortCap = .zero
      quoting.direct(safety.instruments[index].directive, InstrumentIndex(index))
    }
    if let carried = settings.carried {
      self.core.tracker.carry(carried, names: settings.instruments.map(\.name))
      self.core.tradeWatermark = carried.newestTrade
    }
  }

  // MARK: - What comes in

  /// Bytes of the connection's plain stream, in order, in pieces of any size.
  mutating func receive(_ bytes: UnsafeRawBufferPointer, now: Nanoseconds) {
    setTime(now)
    session.lastHeard = now
    output.endpoint.receive(bytes)
    output.records.beginRead()
    while true {
      switch output.endpoint.next() {
      case .none:
        output.records.endRead(now: now)
        lookAll(now)
        return
      case .opened:
        opened(now)
      case .text(let text):
        handle(text, now)
      case .binary, .ping, .pong:
        continue
      case .closed(let code, _):
        closed(code, now)
        return
      case .failed(let failure):
        failed(failure, now)
        return
      }
    }
  }

  /// Cold, and kept out of the path of a frame.
  @inline(never)
  mutating func opened(_ now: Nanoseconds) {
    output.records.event(.opened, now: now)
    session.openedAt = now
    adapter.opened(token: makeToken(), output: &output)
  }

  @inline(never)
  mutating func closed(_ code: UInt16, _ now: Nanoseconds) {
    output.records.event(.closed, UInt64(code), now: now)
    session.closeReason = .venueClosed(code)
  }

  @inline(never)
  mutating func failed(_ failure: WebSocketFailure, _ now: Nanoseconds) {
    let (raw, code) = failure.raw
    output.records.event(.failed, UInt64(raw.rawValue), UInt64(code), now: now)
    session.closeReason = .webSocket(failure)
  }

  mutating func handle(_ text: UnsafeRawBufferPointer, _ now: Nanoseconds) {
    core.counters.framesIn += 1
    core.counters.bytesIn &+= text.count
    if adapter.phase == .loggingIn {
      recordLoginAnswer(text, now)
    } else {
      output.records.inbound(text, now: now)
    }
    if stages.isOn { return decodeTimed(text, now) }
    adapter.decode(text, into: &core)
    conclude(now)
  }

  /// One turn in several.
  @inline(never)
  private mutating func decodeTimed(_ text: UnsafeRawBufferPointer, _ now: Nanoseconds) {
    stages.end(.receive)
    adapter.decode(text, into: &core)
    conclude(now)
    stages.end(.decode)
  }

  /// What a text has told beyond the books.
  @inline(__always)
  mutating func conclude(_ now: Nanoseconds) {
    if core.fillCount > 0 { recordFills(now) }
    if core.hasNewListing { setUpListings() }
    if core.orphanCount > 0 { cancelOrphans() }
    if core.eventCount > 0 { handleSessionEvents(now) }
  }

  @inline(never)
  private mutating func recordLoginAnswer(_ text: UnsafeRawBufferPointer, _ now: Nanoseconds) {
    guard let redacted = Adapter.redacted(text) else { return output.records.inbound(text, now: now) }
    output.records.inbound(
      UnsafeRawBufferPointer(start: redacted.utf8Start, count: redacted.utf8CodeUnitCount), now: now)
  }

  /// A directive of the manager.
  mutating func direct(_ directive: Directive, instrument: InstrumentIndex, now: Nanoseconds) {
    guard Int(instrument) < core.instrumentCount else { return }
    setTime(now)
    output.records.directive(directive, instrument, now: now)
    var directive = directive
    directive.time = now
    safety.instruments[Int(instrument)].directive = directive
    risk.cap(instrument, long: directive.longCap, short: directive.shortCap)
    quoting.direct(safety.widened(directive), instrument)
    core.markDirty(instrument)
    lookAll(now)
  }

  /// Timers. Cheap when nothing is due; to be called at least every few milliseconds.
  mutating func tick(now: Nanoseconds) {
    guard now >= nextDueAt else { return }
    setTime(now)
    output.records.timer(now: now)
    if now >= budgetReadyAt {
      budgetReadyAt = .max
      core.markAllDirty()
    }
    if now >= waiting.readyAt { sendWaiting(now) }
    if now >= quotes.waiting.readyAt { lookAtWaitingQuotes() }
    if now >= nextTimerAt {
      nextTimerAt = now + LaneSession.timerInterval
      runTimers(now)
      accountQuotedTime(now)
    }
    lookAll(now)
  }

  /// When `tick` next has something to do.
  var nextDueAt: Nanoseconds { min(nextTimerAt, budgetReadyAt, min(waiting.readyAt, quotes.waiting.readyAt)) }

  mutating func setTime(_ now: Nanoseconds) {
    core.now = now
    output.now = now
  }

  // MARK: - Looking and sending

  /// Looks at every instrument in which something has changed.
  mutating func lookAll(_ now: Nanoseconds) {
    guard core.dirty.isAny else {
      core.counters.unchanged += 1
      return
    }
    // What a look marks again waits for the next round.
    core.dirty.beginRound()
    var word = 0
    while let index = core.dirty.next(&word) {
      look(InstrumentIndex(index), now)
      // Whether quotes rest changes only with what makes an instrument dirty, or with a look.
      noteQuotedTime(index, now)
    }
    if hasMassQuotes, quotes.batch.count > 0 {
      gatherWaitingQuotes(now)
      sendQuotes(now)
    }
  }

  /// Mutating, as what it calls is: a borrowed lane of this size would be copied to the stack first.
  private mutating func gate(_ instrument: InstrumentIndex) -> QuotingBlock {
    if stop.isRequested { return stop.isFinal ? .stopping : .halted }
    if output.records.hasFailed { return .journalFailed }
    if adapter.phase != .ready || session.isFrozen { return .sessionNotReady }
    if settings.isReference == true { return .referenceOnly }
    return safety.block(instrument)
  }

  mutating func look(_ instrument: InstrumentIndex, _ now: Nanoseconds) {
    core.counters.looks += 1
    let index = Int(instrument)
    waiting.remove(instrument)
    let gate = gate(instrument)
    if hasMassQuotes, settings.instruments[index].usesMassQuotes {
      lookForQuotes(instrument, gate, now)
      return
    }
    quoting.look(
      instrument, market: core.markets + index, state: core.tracker.state(instrument),
      limits: risk.limits(for: instrument), staleAfter: settings.instruments[index].staleAfter, gate: gate,
      now: now)
    core.markets[index].watched = quoting.lastBests
    // Without a session nothing can be sent; its orders are dealt with when there is one again.
    guard adapter.phase == .ready, !stop.isRequested else { return }
    if settings.spending == .naively, !canReplaceAll(now) { return }
    let hold = holdChanges(instrument, now)
    stages.end(.decide)
    for position in 0..<quoting.cancels.count {
      let command = quoting.cancels[position]
      if command.kind == .cancel || hold != .none {
        sendCancel(command.clientID, now)
      } else if send(command, now) != .sent {
        sendCancel(command.clientID, now)  // too much rests; a cancel is never refused and has a budget of its own
      }
    }
    guard quoting.changes.count > 0 else { return }
    guard hold == .none else {
      quoting.hold(instrument, hold)
      return
    }
    sendChanges(instrument, now)
  }

  /// Sends a change. If it was to make a standing order larger and risk has no room for that, the order
  /// moves with the size it has; if that is refused too, it is cancelled: an order that should move
  /// must not stay behind at a price that is no longer wanted.
  mutating func change(_ command: Command, _ now: Nanoseconds) -> Sending {
    let result = send(command, now)
    guard result == .refused, command.kind == .amend, let order = core.tracker.order(command.clientID),
      order.pointee.phaseValue == .live, order.pointee.inFlightValue == .none
    else { return result }
    var smaller = command
    smaller.qty = order.pointee.qty_lots
    if smaller.qty < command.qty, smaller.price != order.pointee.price_ticks,
      send(smaller, now) != .refused
    {
      return .sent
    }
    // A refusal for meeting our own other side ends when that side has moved away.
    if !command.side.isBetter(command.price, than: order.pointee.price_ticks),
      command.price != order.pointee.price_ticks
    {
      sendCancel(command.clientID, now)
    }
    return result
  }

  /// Naive spending: everything at once, or nothing yet.
  @inline(never)
  private mutating func canReplaceAll(_ now: Nanoseconds) -> Bool {
    let wanted = UInt32(quoting.changes.count)
    guard wanted > 0, orderBudget.available(now: now) < quoting.changes.count else { return true }
    budgetReadyAt = min(budgetReadyAt, orderBudget.readyTime(for: wanted, now: now) ?? .max)
    return false
  }

  /// Why inserts and amends have to wait, and when to look again.
  mutating func holdChanges(_ instrument: InstrumentIndex, _ now: Nanoseconds) -> QuotingBlock {
    if now < core.throttledUntil {
      budgetReadyAt = min(budgetReadyAt, core.throttledUntil)
      return .throttled
    }
    if core.sentSinceAnswer >= unansweredLimit {
      // A venue that reads again after a pause takes everything at once: that must stay within the rate (R16).
      budgetReadyAt = min(budgetReadyAt, now + LaneSession.timerInterval)
      return .unanswered
    }
    let until = core.refusedUntil(instrument)
    guard now < until else { return .none }
    budgetReadyAt = min(budgetReadyAt, until)
    return .refusedByVenue
  }

  enum Sending {
    case sent, refused, noBudget
  }

  /// Sends one insert or amend, if risk and budget allow.
  private mutating func send(_ command: Command, _ now: Nanoseconds) -> Sending {
    let state = core.tracker.state(command.instrument)
    let market = core.markets + Int(command.instrument)
    guard let info = market.pointee.info else { return .refused }
    var order: OrderPointer?
    if command.kind == .amend {
      order = core.tracker.order(command.clientID)
      guard let order, order.pointee.inFlightValue == .none, order.pointee.phaseValue == .live else {
        risk.count(.orderGone)
        return .refused
      }
    }
    let verdict = risk.check(
      command, order: order, state: state,
      market: RiskMarket(info, market.pointee.ticker))
    stages.end(.risk)
    guard case .passed(let approved) = verdict else { return .refused }
    // Larger than what rests is a new order too.
    let isNew = order.map { command.qty > $0.pointee.qty_lots } ?? true
    if let block = safety.admit(isNew: isNew, command.instrument, now) {
      return holdBack(command.instrument, block)
    }
    guard takeForOrder(now) else {
      risk.count(.rate)
      core.counters.budgetWaits += 1
      budgetReadyAt = min(budgetReadyAt, orderBudget.readyTime(keeping: keptForCancels, now: now) ?? .max)
      return .noBudget
    }
    guard let buffer = output.begin() else {
      core.markDirty(command.instrument)
      return .noBudget
    }
    if let order {
      // A frame that the account does not know of must not leave (R09).
      guard core.tracker.beginAmend(order, price: command.price, qty: command.qty, now: now) else {
        output.drop()
        return .refused
      }
      core.counters.amends += 1
    } else {
      order = core.tracker.beginInsert(
        command.instrument, command.side, price: command.price, qty: command.qty, now: now)
      guard order != nil else {
        // No free order slot: those of ended orders come back with time.
        output.drop()
        core.markDirty(command.instrument)
        budgetReadyAt = min(budgetReadyAt, now + 100 * LaneSession.timerInterval)
        return .noBudget
      }
      core.counters.inserts += 1
    }
    guard let order, transmit(approved, order, buffer, now) else { return .refused }
    safety.sent(command.instrument, now)
    return .sent
  }

  /// A safety rule lets nothing new leave now; what rests may still be cancelled.
  @inline(never)
  private mutating func holdBack(_ instrument: InstrumentIndex, _ block: QuotingBlock) -> Sending {
    quoting.hold(instrument, block)
    guard block == .churn else { return .refused }
    budgetReadyAt = min(budgetReadyAt, safety.churnReadyAt(instrument))
    return .noBudget
  }

  /// Cancels one order by its client id. Never refused by risk; the budget of its own is large.
  mutating func sendCancel(_ clientID: UInt64, _ now: Nanoseconds) {
    // What is not settled is cancelled when it is: until then our account could not tell what became of it.
    guard let order = core.tracker.order(clientID), order.pointee.isSettled else { return }
    // A cancel that has been refused is repeated, but not as fast as the venue can refuse it.
    let nextAttempt = order.pointee.sent_ns + LaneSession.cancelInterval
    if order.pointee.cancel_attempts > 1, now < nextAttempt {
      budgetReadyAt = min(budgetReadyAt, nextAttempt)
      return
    }
    guard takeForCancel(now), let buffer = output.begin() else {
      core.markDirty(order.pointee.instrument_index)
      budgetReadyAt = min(budgetReadyAt, now + LaneSession.timerInterval)
      return
    }
    let approved = risk.passCancel(
      Command(
        kind: .cancel, side: order.pointee.sideValue, instrument: order.pointee.instrument_index,
        clientID: clientID, price: order.pointee.price_ticks, qty: .zero))
    guard core.tracker.beginCancel(order, now: now) else {
      output.drop()
      return
    }
    core.counters.cancels += 1
    _ = transmit(approved, order, buffer, now)
  }

  /// Where the venue counts cancels with the other messages, the ones that are kept back for them may be used too.
  @inline(__always)
  private mutating func takeForCancel(_ now: Nanoseconds) -> Bool {
    cancelsApart ? cancelBudget.tryTake(now: now) == .taken : orderBudget.tryTake(now: now) == .taken
  }

  /// Takes the token of an insert, an amend or a mass quote.
  @inline(__always)
  mutating func takeForOrder(_ now: Nanoseconds) -> Bool {
    orderBudget.tryTake(keeping: keptForCancels, now: now) == .taken
  }

  private mutating func transmit(
    _ approved: ApprovedCommand, _ order: OrderPointer, _ buffer: UnsafeMutableRawBufferPointer, _ now: Nanoseconds
  ) -> Bool {
    // Only a cancel is sent for a quote: the venue does not know it by our number.
    let count =
      order.pointee.flags & StateTracker.isQuote == 0
      ? adapter.encode(
        approved, order, amendSerial: core.tracker.amendSerial(of: order), now: now, into: buffer)
      : adapter.encodeCancel(
        of: order.pointee.venue_id, clientID: order.pointee.client_id, instrument: order.pointee.instrument_index,
        now: now, into: buffer)
    if count == 0 { output.drop() }
    guard count > 0, output.commit(buffer, count) else {
      core.tracker.takeBack(order, now: now)
      return false
    }
    messagesSent += 1
    stages.end(.encode)
    if approved.command.kind != .cancel {
      ordersSent += 1
      core.noteSent()
    }
    return true
  }

  mutating func noteOrderMessage() {
    messagesSent += 1
    ordersSent += 1
    core.noteSent()
  }

  // MARK: - Books

  private mutating func recordFills(_ now: Nanoseconds) {
    for index in 0..<core.fillCount {
      output.records.fill(core.fills[index], now: now)
      let fill = core.fills + index
      let instrument = Int(fill.pointee.report.instrument)
      let markE8 = instrument < core.instrumentCount ? core.markets[instrument].ticker.markE8 : 0
      if !fill.pointee.isFeeOnly {
        noteMarkout(fill.pointee.report, now)
        safety.noteFill(instrument, isBuy: fill.pointee.report.side == .buy, markE8: markE8, now: now)
      }
    }
    core.clearFills()
  }

  private mutating func noteMarkout(_ fill: FillReport, _ now: Nanoseconds) {
    guard Int(fill.instrument) < core.instrumentCount, let info = core.markets[Int(fill.instrument)].lastInfo else { return }
    let lots = fill.side == .buy ? fill.qty.rawValue : -fill.qty.rawValue
    markouts.note(
      fill.instrument, priceE8: Int64(clamping: Int128(fill.price.rawValue) * Int128(info.grid.tickE8)),
      qtyE8: Int64(clamping: Int128(lots) * Int128(info.grid.lotE8)), contract: info.contract, now: now)
  }

  /// Executions of a while ago are held against the market of now. Not on the way of a tick.
  mutating func settleMarkouts(now: Nanoseconds) {
    guard core.instrumentCount > 0 else { return }
    let (markets, states) = (core.markets, core.tracker.state(0))
    markouts.settle(now: now) { index in
      let market = markets + index
      let state = states + index
      guard market.pointee.isBookValid, let info = market.pointee.info, !market.pointee.book.isCrossed,
        let bid = market.pointee.book.bestOfOthers(.buy, own: state.pointee.bids),
        let ask = market.pointee.book.bestOfOthers(.sell, own: state.pointee.asks)
      else { return 0 }
      return Int64(clamping: (Int128(bid.price.rawValue) + Int128(ask.price.rawValue)) * Int128(info.grid.tickE8) / 2)
    }
  }

  /// Notes how the account of an instrument stands: a run that is killed is continued from there.
  mutating func recordAccount(_ instrument: InstrumentIndex, _ now: Nanoseconds) {
    guard core.tracker.state(instrument).pointee.isAccountKnown else { return }
    output.records.account(core.tracker.account(instrument, newestTrade: core.tradeWatermark), now: now)
  }

  /// Loads limits and strategy of instruments that have just been listed.
  private mutating func setUpListings() {
    core.hasNewListing = false
    for index in 0..<core.instrumentCount where core.takeNewListing(index) {
      guard let info = core.markets[index].info else { continue }
      recordAccount(InstrumentIndex(index), core.now)
      let hasNewGrid = core.markets[index].strategyGrid.map { $0 != info.grid } ?? false
      if adapter.phase != .settingUp, hasNewGrid || !adapter.isSubscribed(InstrumentIndex(index)) {
        // Books, orders and templates are on the old grid, or there are no channels yet: a new connection takes all
        // orders away and begins with snapshots on the new one (R32, R64).
        core.markets[index].info = nil
        core.markDirty(InstrumentIndex(index))
        session.closeReason = .instrumentChanged
        continue
      }
      let setting = settings.instruments[index]
      if setting.isHandedOver == true { session.mindsShares = true }
      if settings.isReference != true { risk.load(setting.limits(on: info.grid), for: InstrumentIndex(index)) }
      let directive = safety.instruments[index].directive
      risk.cap(InstrumentIndex(index), long: directive.longCap, short: directive.shortCap)
      // A strategy keeps what it has learned over a reconnect; only a new grid begins it anew.
      guard core.markets[index].strategyGrid != info.grid else { continue }
      core.markets[index].strategyGrid = info.grid
      quoting.assign(
        strategies.make(InstrumentIndex(index), setting.name, info), policy: policy(setting),
        to: InstrumentIndex(index))
    }
  }

  private func policy(_ setting: InstrumentSettings) -> ReconcilePolicy {
    ReconcilePolicy(
      priceToleranceTicks: setting.priceToleranceTicks, keepSizePermille: setting.keepSizePermille,
      queue: Adapter.queueRules, replacesEverything: settings.spending == .naively)
  }

  /// Other parameters: all of them between two looks, so that no quote is made of old and new ones. Cold.
  @inline(never)
  mutating func adopt(_ change: ParameterChange, now: Nanoseconds) {
    guard let maker = strategies.maker, change.sections.count == core.instrumentCount else { return }
    setTime(now)
    output.records.parameters(change.text, now: now)
    parameterVersion = change.version
    maker.adopt(change.sections)
    for index in 0..<core.instrumentCount {
      let instrument = InstrumentIndex(index)
      var setting = InstrumentSettings(change.sections[index])
      setting.awaitsDirective = settings.instruments[index].awaitsDirective
      let wasHandedOver = settings.instruments[index].isHandedOver == true
      settings.instruments[index] = setting
      if wasHandedOver != (setting.isHandedOver == true) { noteHandedOver(instrument, now) }
      // What is not listed now gets its limits when it is; a strategy that was never made is made of the new section.
      if let info = core.markets[index].info, settings.isReference != true {
        risk.load(setting.limits(on: info.grid), for: instrument)
        let directive = safety.instruments[index].directive
        risk.cap(instrument, long: directive.longCap, short: directive.shortCap)
      }
      if let info = core.markets[index].lastInfo, core.markets[index].strategyGrid == info.grid {
        quoting.retune(instrument, policy: policy(setting)) { maker.retune($0, instrument, info) }
      }
      core.markDirty(instrument)
    }
    lookAll(now)
  }

  /// Adds the time since the last call to what stood in the market during it. For all instruments at
  /// once: by the timers, so that what others read is never older than one of their intervals.
  mutating func accountQuotedTime(_ now: Nanoseconds) {
    for index in 0..<core.instrumentCount { noteQuotedTime(index, now) }
  }

  private mutating func noteQuotedTime(_ index: Int, _ now: Nanoseconds) {
    let state = core.tracker.state(InstrumentIndex(index))
    quotedTime.note(index, isTwoSided: state.pointee.bids.hasResting && state.pointee.asks.hasResting, now: now)
  }
}
