import CSupport

/// Quoting with mass quotes: one message replaces whole sides of up to a hundred instruments.
extension Lane where Adapter: ~Copyable {
  /// A look at an instrument that is quoted with mass quotes: plans its sides, cancels what is only too much, and puts what
  /// is to be replaced into the batch.
  @inline(never)
  mutating func lookForQuotes(_ instrument: InstrumentIndex, _ gate: QuotingBlock, _ now: Nanoseconds) {
    let index = Int(instrument)
    quotes.waiting.remove(instrument)
    let market = core.markets + index
    let state = core.tracker.state(instrument)
    let group = market.pointee.info.map { core.protection($0.product) } ?? nil
    let block = gate == .none && !(group?.isArmed ?? false) ? QuotingBlock.protection : gate
    quoting.lookForQuotes(
      instrument, market: market, state: state, limits: risk.limits(for: instrument),
      staleAfter: settings.instruments[index].staleAfter, gate: block, bids: &quotes.bids, asks: &quotes.asks, now: now)
    market.pointee.watched = quoting.lastBests
    guard adapter.phase == .ready, !stop.isRequested else { return }
    // The venue is cancelling the quotes of a group that is used up.
    if let group, group.state == .exhausted, now - group.since < settings.requestTimeout { return }

    let areBidsFree = !quotes.isOpen(instrument, .buy)
    let areAsksFree = !quotes.isOpen(instrument, .sell)
    if quotes.bids.need == .nothing || quotes.bids.isTakenAway, quotes.asks.need == .nothing || quotes.asks.isTakenAway,
      takeAway(
        instrument, bids: areBidsFree && quotes.bids.isTakenAway, asks: areAsksFree && quotes.asks.isTakenAway, now)
    {
      return
    }
    if areBidsFree, quotes.bids.need == .cancels { cancelLeaving(instrument, .buy, now) }
    if areAsksFree, quotes.asks.need == .cancels { cancelLeaving(instrument, .sell, now) }
    guard areBidsFree && quotes.bids.need == .replacement || areAsksFree && quotes.asks.need == .replacement,
      let info = market.pointee.info
    else { return }
    let hold = holdChanges(instrument, now)
    guard hold == .none else {
      quoting.hold(instrument, hold)
      return
    }
    if let block = safety.admit(isNew: true, instrument, now) {
      quoting.hold(instrument, block)
      if block == .churn {
        budgetReadyAt = min(budgetReadyAt, safety.churnReadyAt(instrument))
        return
      }
      // A replacement is a new order: what should move goes instead.
      if areBidsFree { cancelLeaving(instrument, .buy, now) }
      if areAsksFree { cancelLeaving(instrument, .sell, now) }
      return
    }
    if !quotes.batch.hasRoom(for: info.product) { sendQuotes(now) }
    if !areBidsFree { quotes.bids.leaveAlone() }
    if !areAsksFree { quotes.asks.leaveAlone() }
    let isTaken = risk.admit(
      instrument, info.product, bids: quotes.bids, asks: quotes.asks, state: state,
      market: RiskMarket(info, market.pointee.ticker), into: &quotes.batch)
    if isTaken.bids || isTaken.asks {
      quotes.waiting.note(
        instrument, value: (isTaken.bids ? quotes.bids.value : 0) + (isTaken.asks ? quotes.asks.value : 0))
    }
    // What risk has no room to replace must not stay behind at prices that are no longer wanted.
    if quotes.bids.need == .replacement, !isTaken.bids { cancelLeaving(instrument, .buy, now) }
    if quotes.asks.need == .replacement, !isTaken.asks { cancelLeaving(instrument, .sell, now) }
  }

  /// Puts sides into the batch that are only taken away. False if there are none, or cancels have to do it: because the
  /// venue's rules say so, or because it has just refused mass quotes.
  private mutating func takeAway(_ instrument: InstrumentIndex, bids: Bool, asks: Bool, _ now: Nanoseconds) -> Bool {
    guard quotes.rules.takesAway, bids || asks, let info = core.markets[Int(instrument)].lastInfo,
      core.refusalCode(instrument) == 0, now >= core.throttledUntil
    else { return false }
    if !quotes.batch.hasRoom(for: info.product) { sendQuotes(now) }
    quotes.batch.takeAway(instrument, info.product, bids: bids, asks: asks)
    return true
  }

  /// Takes all quotes of all instruments away that are at rest, if the venue's mass quotes do that.
  @inline(never)
  mutating func takeAllQuotesAway(_ now: Nanoseconds) {
    guard hasMassQuotes, quotes.rules.takesAway else { return }
    for index in 0..<core.instrumentCount where settings.instruments[index].usesMassQuotes {
      let instrument = InstrumentIndex(index)
      let state = core.tracker.state(instrument)
      _ = takeAway(
        instrument, bids: !quotes.isOpen(instrument, .buy) && state.pointee.bids.settledLots > .zero,
        asks: !quotes.isOpen(instrument, .sell) && state.pointee.asks.settledLots > .zero, now)
    }
    sendQuotes(now)
  }

  /// The batch cannot be sent now: what it was to take away is cancelled by itself.
  private mutating func cancelTakenAway(_ now: Nanoseconds) {
    guard quotes.batch.takesAway else { return }
    for index in 0..<quotes.batch.count {
      let entry = quotes.batch[index]
      if let bids = entry.bids, bids.isEmpty { cancelAll(entry.instrument, .buy, now) }
      if let asks = entry.asks, asks.isEmpty { cancelAll(entry.instrument, .sell, now) }
    }
  }

  private mutating func cancelAll(_ instrument: InstrumentIndex, _ side: Side, _ now: Nanoseconds) {
    let state = core.tracker.state(instrument)
    let count = side == .buy ? state.pointee.bids.count : state.pointee.asks.count
    for position in 0..<count {
      sendCancel((side == .buy ? state.pointee.bids[position] : state.pointee.asks[position]).pointee.client_id, now)
    }
  }

  private mutating func cancelLeaving(_ instrument: InstrumentIndex, _ side: Side, _ now: Nanoseconds) {
    let state = core.tracker.state(instrument)
    let count = side == .buy ? state.pointee.bids.count : state.pointee.asks.count
    for position in 0..<count {
      let order = side == .buy ? state.pointee.bids[position] : state.pointee.asks[position]
      let isLeaving = side == .buy ? quotes.bids.isLeaving(position) : quotes.asks.isLeaving(position)
      if isLeaving { sendCancel(order.pointee.client_id, now) }
    }
  }

  /// Takes all that waits into the message that is about to be sent: it costs no more with it.
  @inline(never)
  mutating func gatherWaitingQuotes(_ now: Nanoseconds) {
    guard quotes.waiting.count > quotes.batch.count, isWorthMassQuote(quotes.waiting.sum, now) else { return }
    for index in 0..<core.instrumentCount where quotes.waiting.isWaiting(index) {
      // Of another group, if groups have messages of their own, or there is no room: it waits on.
      let group = core.markets[index].info?.product ?? noProduct
      guard quotes.batch.hasRoom(for: group), !quotes.batch.contains(InstrumentIndex(index)) else { continue }
      look(InstrumentIndex(index), now)
    }
  }

  /// Whether changes of this value are worth a mass quote now. Mutating: a borrowed lane would be copied first.
  private mutating func isWorthMassQuote(_ value: Int64, _ now: Nanoseconds) -> Bool {
    isAffordable(value, now) && (settings.spending != .byValue || max(1, value) >= quotes.price(now: now))
  }

  /// Time has passed, messages are cheaper: what waits is looked at again.
  @inline(never)
  mutating func lookAtWaitingQuotes() {
    quotes.waiting.readyAt = .max
    for index in 0..<core.instrumentCount where quotes.waiting.isWaiting(index) {
      core.markDirty(InstrumentIndex(index))
    }
  }

  /// Sends what has gathered as one message, if it is worth it and the budget allows.
  @inline(never)
  mutating func sendQuotes(_ now: Nanoseconds) {
    defer { quotes.batch.removeAll() }
    guard quotes.batch.count > 0 else { return }
    guard quotes.batch.takesAway || isWorthMassQuote(quotes.batch.value, now) else {
      core.counters.budgetWaits += 1
      let sum = quotes.waiting.sum
      quotes.waiting.readyAt = min(
        quotes.waiting.readyAt, max(orderBudget.time(toPay: sum, now: now), quotes.time(toPay: sum, now: now)))
      return
    }
    let readyAt = quotes.readyAt(now: now)
    guard readyAt <= now else {
      risk.count(.rate)
      core.counters.budgetWaits += 1
      budgetReadyAt = min(budgetReadyAt, readyAt)
      cancelTakenAway(now)
      return
    }
    // What is kept back for cancels is for what takes away, too.
    let isPaid = quotes.batch.takesAway ? orderBudget.tryTake(now: now) == .taken : takeForOrder(now)
    guard isPaid else {
      risk.count(.rate)
      core.counters.budgetWaits += 1
      cancelTakenAway(now)
      budgetReadyAt = min(budgetReadyAt, orderBudget.readyTime(keeping: keptForCancels, now: now) ?? .max)
      return
    }
    stages.end(.decide)
    quotes.spend(now: now)
    for index in 0..<quotes.batch.count { quotes.waiting.remove(quotes.batch[index].instrument) }
    let serial = quotes.nextSerial()
    guard announce(serial, now), let buffer = output.begin(maximum: QuoteBatch.byteCapacity) else {
      takeBackQuotes(now)
      budgetReadyAt = min(budgetReadyAt, now + LaneSession.timerInterval)
      return
    }
    let count = adapter.encode(quotes.batch, serial: serial, into: buffer)
    if count == 0 { output.drop() }
    guard count > 0, output.commit(buffer, count) else {
      takeBackQuotes(now)
      return
    }
    core.counters.massQuotes += 1
    noteOrderMessage()
    stages.end(.encode)
    for index in 0..<quotes.batch.count {
      let entry = quotes.batch[index]
      if !(entry.bids?.isEmpty ?? true) || !(entry.asks?.isEmpty ?? true) { safety.sent(entry.instrument, now) }
    }
  }

  /// Notes every level before the bytes leave (R09). False if there is no room for all of them.
  private mutating func announce(_ serial: UInt64, _ now: Nanoseconds) -> Bool {
    for index in 0..<quotes.batch.count {
      let entry = quotes.batch[index]
      guard announce(entry.instrument, .buy, entry.bids, serial, now),
        announce(entry.instrument, .sell, entry.asks, serial, now)
      else { return false }
    }
    return true
  }

  private mutating func announce(
    _ instrument: InstrumentIndex, _ side: Side, _ levels: UnsafeBufferPointer<Quote>?, _ serial: UInt64,
    _ now: Nanoseconds
  ) -> Bool {
    guard let levels else { return true }
    quotes.open(instrument, side, serial: serial, now: now)
    core.tracker.beginReplacement(instrument, side, now: now)
    let name = quotes.rules.isNamed ? serial : 0
    for level in levels where core.tracker.beginQuote(instrument, side, level, serial: name, now: now) == nil {
      return false
    }
    return true
  }

  private mutating func takeBackQuotes(_ now: Nanoseconds) {
    for index in 0..<quotes.batch.count {
      let entry = quotes.batch[index]
      if entry.bids != nil { undo(entry.instrument, .buy, now) }
      if entry.asks != nil { undo(entry.instrument, .sell, now) }
    }
  }

  private mutating func undo(_ instrument: InstrumentIndex, _ side: Side, _ now: Nanoseconds) {
    guard quotes.isOpen(instrument, side) else { return }
    core.tracker.quotesHadNoEffect(instrument, side, now: now)
    quotes.close(instrument, side)
    core.markDirty(instrument)
  }

  // MARK: - What the venue says

  /// Calls `body` with every side that was announced in the mass quote `serial`.
  private mutating func forEachSide(
    of serial: UInt64, _ body: (inout Self, InstrumentIndex, Side) -> Void
  ) {
    for index in 0..<core.instrumentCount {
      let instrument = InstrumentIndex(index)
      if quotes.announcement(instrument, .buy).serial == serial { body(&self, instrument, .buy) }
      if quotes.announcement(instrument, .sell).serial == serial { body(&self, instrument, .sell) }
    }
  }

  mutating func quotesAnswered(_ serial: UInt64, now: Nanoseconds) {
    forEachSide(of: serial) { lane, instrument, side in
      lane.core.acks.note(now - lane.quotes.announcement(instrument, side).sentAt)
      lane.quotes.noteAnswer(instrument, side, now: now)
      if lane.quotes.failedSerial != serial, !lane.quotes.announcement(instrument, side).hasFailed {
        lane.core.accept(instrument)
      }
      lane.settleIfComplete(instrument, side)
    }
  }

  /// One level failed.
  mutating func quoteFailed(
    _ serial: UInt64, code: Int64, side: Side?, priceE8: Int64?, instrument: InstrumentIndex?, now: Nanoseconds
  ) {
    core.counters.rejects += 1
    if Adapter.isProtectionMissing(code: code) { protectionIsMissing(serial, now) }
    guard let side else { return quotes.noteFailure(serial, nil, nil) }
    if let instrument { return quoteFailed(serial, code: code, instrument, side, now) }
    // Where the venue does not name the instrument only a price that was announced once tells.
    guard let priceE8 else { return quotes.noteFailure(serial, nil, nil) }
    var matches = 0
    var found: (InstrumentIndex, PriceTicks)?
    forEachSide(of: serial) { lane, instrument, other in
      guard other == side, let tickE8 = lane.core.markets[Int(instrument)].info?.grid.tickE8, priceE8 % tickE8 == 0
      else {
        return
      }
      let price = PriceTicks(rawValue: priceE8 / tickE8)
      if lane.core.tracker.findQuote(instrument, side, price) != nil {
        matches += 1
        found = (instrument, price)
      }
    }
    guard matches == 1, let (instrument, price) = found else { return quotes.noteFailure(serial, nil, nil) }
    quotes.noteFailure(serial, instrument, side)
    _ = core.tracker.quoteFailed(instrument, side, price: price, now: now)
    core.refuse(instrument, code: code)
    core.markDirty(instrument)
  }

  private mutating func quoteFailed(
    _ serial: UInt64, code: Int64, _ instrument: InstrumentIndex, _ side: Side, _ now: Nanoseconds
  ) {
    guard Int(instrument) < core.instrumentCount, quotes.announcement(instrument, side).serial == serial else { return }
    quotes.noteFailure(serial, instrument, side)
    // A code that does not say whether there was an effect leaves it open: the feed or a query tells.
    if Adapter.proof(of: .massQuote(serial), code: code) != .nothing {
      core.tracker.quoteFailed(instrument, side, serial: serial, now: now)
    }
    if !Adapter.isProtectionMissing(code: code) { core.refuse(instrument, code: code) }
    core.markDirty(instrument)
  }

  /// The venue refused a mass quote as a whole.
  mutating func quotesRefused(_ serial: UInt64, code: Int64, now: Nanoseconds) {
    if Adapter.isProtectionMissing(code: code) { protectionIsMissing(serial, now) }
    let proof = Adapter.proof(of: .massQuote(serial), code: code)
    forEachSide(of: serial) { lane, instrument, side in
      guard proof == .noEffect else {
        lane.core.tracker.quotesAnswered(instrument, side, processedBy: nil, now: now)
        lane.quotes.close(instrument, side)
        return
      }
      lane.undo(instrument, side, now)
      if !Adapter.isThrottle(code: code) { lane.core.refuse(instrument, code: code) }
    }
  }

  private mutating func protectionIsMissing(_ serial: UInt64, _ now: Nanoseconds) {
    forEachSide(of: serial) { lane, instrument, _ in
      guard let info = lane.core.markets[Int(instrument)].info else { return }
      lane.core.noteProtection(info.product, .quoteRefused)
    }
  }

  private mutating func settleIfComplete(_ instrument: InstrumentIndex, _ side: Side) {
    guard core.tracker.areQuotesSettled(instrument, side) else { return }
    let serial = quotes.announcement(instrument, side).serial
    noteTold(instrument, side, of: serial)
    quotes.close(instrument, side)
    core.markDirty(instrument)
  }

  // MARK: - Timers

  /// Ends announcements whose answer has come, or has not come in time, and sets protection groups.
  mutating func runQuoteTimers(_ now: Nanoseconds) {
    if !stop.isRequested { setProtection(now) }
    guard quotes.openSides > 0 else { return }
    for index in 0..<core.instrumentCount {
      let instrument = InstrumentIndex(index)
      settle(instrument, .buy, now)
      settle(instrument, .sell, now)
    }
  }

  private mutating func settle(_ instrument: InstrumentIndex, _ side: Side, _ now: Nanoseconds) {
    let announcement = quotes.announcement(instrument, side)
    guard announcement.serial != 0 else { return }
    let isDue =
      announcement.answeredAt > 0
      ? now - announcement.answeredAt >= LaneQuotes.feedTime || core.tracker.areQuotesSettled(instrument, side)
      : now - announcement.sentAt > settings.requestTimeout
    guard isDue else { return }
    // What one mass quote did comes in one notification: what is told of one side says that of the others there is no more.
    for index in 0..<core.instrumentCount {
      noteTold(InstrumentIndex(index), .buy, of: announcement.serial)
      noteTold(InstrumentIndex(index), .sell, of: announcement.serial)
    }
    let isTold = quotes.isTold(announcement.serial)
    core.tracker.quotesAnswered(
      instrument, side, processedBy: announcement.answeredAt > 0 ? announcement.answeredAt : nil, isTold: isTold,
      now: now)
    quotes.close(instrument, side)
    core.markDirty(instrument)
  }

  private mutating func noteTold(_ instrument: InstrumentIndex, _ side: Side, of serial: UInt64) {
    guard quotes.announcement(instrument, side).serial == serial,
      core.tracker.state(instrument).pointee.isReplacementTold(side)
    else { return }
    quotes.noteTold(serial)
  }

  /// Sets the protection groups that are not armed: at once when they are new, after a pause and with none of their
  /// quotes left when they were used up. Armed ones that have traded are refilled once a window.
  private mutating func setProtection(_ now: Nanoseconds) {
    for index in 0..<adapter.protectionGroupCount {
      let product = ProductIndex(index)
      guard let group = core.protection(product) else { continue }
      switch group.state {
      case .armed:
        if group.hasTraded, now - group.askedAt > settings.protection.window { askForProtection(product, now) }
      case .setting:
        if now - group.since > settings.requestTimeout { core.noteProtection(product, .refused) }
      case .unset:
        let pause = settings.protection.pause << min(group.refusals, 6)
        if group.refusals == 0 || now - group.since > pause { askForProtection(product, now) }
      case .exhausted:
        if now - group.since > settings.protection.pause, !hasQuotes(of: product) { askForProtection(product, now) }
      }
    }
  }

  private mutating func askForProtection(_ product: ProductIndex, _ now: Nanoseconds) {
    guard adapter.setProtection(product, settings.protection, output: &output) else { return }
    core.noteProtection(product, .asked)
  }

  private func hasQuotes(of product: ProductIndex) -> Bool {
    for index in 0..<core.instrumentCount where core.markets[index].info?.product == product {
      let state = core.tracker.state(InstrumentIndex(index))
      if settings.instruments[index].usesMassQuotes, state.pointee.bids.count + state.pointee.asks.count > 0 {
        return true
      }
    }
    return false
  }
}
