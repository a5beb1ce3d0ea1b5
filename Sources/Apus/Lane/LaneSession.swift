import CSupport

/// Why a connection is to be, or was, closed.
enum CloseReason: Equatable, Sendable {
  case none
  case venueClosed(UInt16)
  case webSocket(WebSocketFailure)
  /// The driver's or TLS's own words.
  case transport
  case silence
  case setupTimedOut
  /// The venue refused the session; see the adapter's `failureCode`.
  case refused
  case reconnectRequested
  /// A book message could not be applied: only a new snapshot makes the book right again (R28).
  case brokenBook
  /// Orders could not be cancelled in any other way (R12).
  case escalation
  /// One of the session's other connections is gone.
  case companion
  /// An instrument has a new tick or lot: everything about it is asked for anew (R32).
  case instrumentChanged
  /// The kill ladder says "disconnect".
  case halted
  case stopped
}

/// The bookkeeping of one lane's session: timers, synchronisation, reconnects.
struct LaneSession {
  static let timerInterval: Nanoseconds = 10_000_000
  /// Long before any time that occurs, and safe to subtract.
  static let never: Nanoseconds = .min / 4
  /// An order that a query does not list is dead if the query left this long after its last request.
  static let absenceGrace: Nanoseconds = 1_000_000_000
  static let queryInterval: Nanoseconds = 250_000_000
  /// Between two cancels of the same order.
  static let cancelInterval: Nanoseconds = 100_000_000
  /// A venue's records of executions are behind its matching by less than this.
  static let tradeLag: Nanoseconds = 1_000_000_000
  /// A session that was ready for less than this counts as a failed one when the next try is timed.
  static let provenAfter: Nanoseconds = 2_000_000_000
  static let auditInterval: Nanoseconds = 500_000_000
  /// Nothing rests crossed, and no book is missing, for this long: it is wrong.
  static let longestCross: Nanoseconds = 5_000_000_000

  var openedAt: Nanoseconds = 0
  var connectedAt: Nanoseconds = 0
  var lastHeard: Nanoseconds = 0
  var lastPing: Nanoseconds = 0
  /// When one of several connections was lost: the others are given up too.
  var companionLostAt: Nanoseconds?
  /// The first reason counts: what follows it is its consequence.
  var closeReason = CloseReason.none {
    didSet { if oldValue != .none, closeReason != .none { closeReason = oldValue } }
  }
  /// The move to another connection before the venue closes this one.
  var handOver = HandOver()
  /// This session began on a connection that was made beside the one before: its steps are not left to the timers.
  var isMovedOver = false
  /// Nothing was unknown when it took over: no trade and no position has to be waited for.
  var isUnbroken = false
  /// The private streams may have lost something: nothing is sent until the venue has been asked (R23).
  var isFrozen = false
  /// A session has been ready before: what traded while it was away must be asked for.
  var hasBeenReady = false

  var orderQueryAt: Nanoseconds?
  var tradeQueryAt: Nanoseconds?
  var lastOrderQuery = LaneSession.never
  /// When the first page of the trades being answered, and when any, was asked for.
  var tradesAskedAt = LaneSession.never
  /// Wait between two questions for missing executions; grows while they are not found.
  var tradeInterval = LaneSession.tradeLag
  var tradeTimeouts = 0
  /// Orders of an earlier life, or given up as dead, have been seen: the query is to be repeated.
  var hasSeenOrphans = false
  var positionsAskedAt = LaneSession.never
  /// An instrument is handed over, or was once.
  var mindsShares = false
  /// When an instrument was last taken over from another engine: what the venue stated before does not count.
  var sharesRegainedAt = LaneSession.never
  /// The same by the venue's clock, or earlier; 0 if not asked on this connection.
  var positionsAskedVenueTime: Nanoseconds = 0
  var nextStepAt: Nanoseconds = 0
  var nextAuditAt: Nanoseconds = 0
  /// When the trades were asked for to which the last complete answer came.
  var tradesAnsweredFrom = LaneSession.never
  /// When that answer was complete.
  var tradesAnsweredAt = LaneSession.never
  var escalations = 0
  var readyAt: Nanoseconds = 0
  var ordersAreSettled = false
  var ordersSettledAt: Nanoseconds = 0
  var tradesAreSettled = false
  var positionAttempts = 0
  var nextSyncAt: Nanoseconds = 0

  /// The message rate that the last session was granted.
  var grantedRate: Int64 = 0
  /// Reconnects without a ready session in between, and when the next may be tried (R25).
  var failures = 0
  var retryAt: Nanoseconds = 0
  var jitter: UInt64 = 1

  mutating func began(now: Nanoseconds) {
    connectedAt = now
    lastHeard = now
    lastPing = now
    closeReason = .none
    companionLostAt = nil
    handOver = HandOver()
    isMovedOver = false
    isUnbroken = false
    orderQueryAt = nil
    tradeQueryAt = nil
    ordersAreSettled = false
    tradesAreSettled = false
    positionAttempts = 0
    nextSyncAt = 0
    tradeTimeouts = 0
    tradeInterval = LaneSession.tradeLag
    hasSeenOrphans = false
    positionsAskedAt = LaneSession.never
    positionsAskedVenueTime = 0
    nextAuditAt = 0
    tradesAnsweredFrom = LaneSession.never
    tradesAnsweredAt = LaneSession.never
    escalations = 0
  }

  /// Exponential backoff with jitter between one half and the whole of the step.
  mutating func scheduleRetry(first: Nanoseconds, longest: Nanoseconds, now: Nanoseconds) {
    let step = min(longest, first << min(failures, 20))
    jitter ^= jitter << 13
    jitter ^= jitter >> 7
    jitter ^= jitter << 17
    retryAt = now + step / 2 + Nanoseconds(jitter % UInt64(step / 2 + 1))
    failures += 1
  }
}

extension Lane where Adapter: ~Copyable {
  /// The transport (TLS included) is up: begins the WebSocket upgrade.
  ///
  /// - Parameters:
  ///   - key: 16 random bytes.
  ///   - maskSeed: entropy for the masks of this connection's frames.
  mutating func connected(key: [UInt8], maskSeed: UInt64, now: Nanoseconds) throws(WebSocketSetupError) {
    setTime(now)
    output.records.connected(key: key, maskSeed: maskSeed, now: now)
    session.began(now: now)
    try output.endpoint.start(
      host: settings.host, path: settings.path + Adapter.mainPath, key: key, maskSeed: maskSeed)
    adapter.connecting()
    if Adapter.companionCount > 0 { openDesk(now) }
    output.records.note("connected", now: now)
  }

  /// The connection is gone, for whatever reason. Everything unproven is unknown from here on.
  mutating func disconnected(now: Nanoseconds) {
    setTime(now)
    output.records.control(.disconnected, now: now)
    let wasReady = adapter.phase == .ready
    if wasReady { core.counters.gaps += 1 }
    if wasReady, now - session.readyAt >= LaneSession.provenAfter { session.failures = 0 }
    adapter.lost()
    core.connectionLost(now: now)
    quotes.closeAll()
    session.isFrozen = true
    session.handOver = HandOver()
    session.scheduleRetry(first: settings.firstBackoff, longest: settings.longestBackoff, now: now)
    output.endpoint.reset()
    output.companions.reset()
    output.records.note("disconnected", now: now)
    core.counters.reconnects += 1
    if stop.phase != .none, stop.phase != .stopped { stop.phase = .requested }
    accountQuotedTime(now)
  }

  /// Whether the runner should close the connection now.
  var wantsClose: Bool { session.closeReason != .none || stop.phase == .stopped }

  // MARK: - Session events

  mutating func handleSessionEvents(_ now: Nanoseconds) {
    for index in 0..<core.eventCount {
      let event = core.event(index)
      adapter.advance(event, output: &output)
      switch event {
      case .replied(.cancelOnDisconnect, _): applyGrantedRate(now)
      // Where nobody grants a rate it is known before.
      case .replied(.subscribePrivate, _) where !Adapter.repliesAreState: applyGrantedRate(now)
      case .replied(.cancelSession, _):
        stopSawCancel(now)
        leavingAnswered(isDone: true, now)
      case .snapshotEnded(.openOrders):
        orderQueryAnswered(now)
      case .replied(.tradeHistory, let hasMore):
        session.tradeQueryAt = nil
        if hasMore != 0, adapter.queryTrades(since: tradesSince, continued: true, output: &output) {
          session.tradeQueryAt = now
        } else {
          session.tradesAreSettled = true
          session.tradesAnsweredFrom = session.tradesAskedAt
          session.tradesAnsweredAt = now
          core.tracker.tradesAnswered(askedAt: session.tradesAskedAt, lag: LaneSession.tradeLag)
          core.markAllDirty()
        }
      case .snapshotEnded(.instruments):
        dropUnlisted()
      case .snapshotEnded(.portfolio):
        if core.compareAnswer() { confirmPositions(isAgreement: true) }
      case .refused(.openOrders, _):
        session.orderQueryAt = nil
      case .refused(.tradeHistory, _):
        session.tradeQueryAt = nil
      case .refused(.cancelSession, _):
        stopCancelRefused(now)
        leavingAnswered(isDone: false, now)
      case .quotesAnswered(let serial):
        quotesAnswered(serial, now: now)
      case .quoteFailed(let serial, let code, let side, let priceE8, let instrument):
        quoteFailed(serial, code: code, side: side, priceE8: priceE8, instrument: instrument, now: now)
      case .quotesRefused(let serial, let code):
        quotesRefused(serial, code: code, now: now)
      case .reconnectRequested:
        closureAnnounced(now)
      default: break
      }
      if adapter.phase == .failed { session.closeReason = .refused }
    }
    if session.isMovedOver, adapter.phase != .ready { nextTimerAt = now }
    core.clearEvents()
  }

  /// A whole list of instruments is also the word about what it leaves out: expired, or halted (R32).
  private mutating func dropUnlisted() {
    for index in 0..<core.instrumentCount {
      guard let info = core.markets[index].info, !adapter.isListed(InstrumentIndex(index)) else { continue }
      core.instrument(info, isListed: false)
    }
  }

  mutating func applyGrantedRate(_ now: Nanoseconds) {
    cancelsApart = adapter.cancelRate > 0
    let reserve = min(settings.reserveMessages, Int(adapter.messageRate) / 5)
    let usable = max(1, Int(adapter.messageRate) - reserve)
    let burst = max(1, Int(adapter.messageBurst) - reserve)
    let cancels = max(1, Int(adapter.cancelRate) * 9 / 10)
    keptForCancels = cancelsApart ? 0 : UInt32(clamping: burst / 4)
    guard let orderRate = try? BucketRate(capacity: burst, tokensPerSecond: usable),
      let cancelRate = try? BucketRate(capacity: cancels, tokensPerSecond: cancels)
    else { return }  // a rate that makes no sense: the smallest one stays
    if Adapter.countsByConnection || adapter.messageRate != session.grantedRate {
      orderBudget = TokenBucket(orderRate)
    } else {
      // The account is counted, and not the connection: what the last session has spent is spent.
      orderBudget.reconfigure(orderRate, now: now)
    }
    quotes.setGrant(adapter.massQuoteGrant, now: now)
    session.grantedRate = adapter.messageRate
    unansweredLimit = max(1, usable / 2)
    if Adapter.countsByConnection { cancelBudget = TokenBucket(cancelRate) } else { cancelBudget.reconfigure(cancelRate, now: now) }
  }

  private var tradesSince: Nanoseconds { max(0, core.tradeWatermark - 60_000_000_000) }

  // MARK: - Synchronisation: ask, diff, resume

  private mutating func synchronise(_ now: Nanoseconds) {
    guard now >= session.nextSyncAt else { return }
    if !session.ordersAreSettled {
      askForOrders(now)
      return
    }
    if session.hasBeenReady || settings.carried != nil, !session.tradesAreSettled, !session.isUnbroken {
      askForTrades(now)
      return
    }
    guard core.statedAt > 0, session.isUnbroken || settlePositions(now) else { return }
    adapter.synchronised()
    session.isFrozen = false
    session.hasBeenReady = true
    session.readyAt = now
    // The positions agree or were taken over: what ended unseen long enough before they were asked for is part of them.
    if !session.isUnbroken {
      core.tracker.tradesAnswered(askedAt: session.positionsAskedAt, lag: LaneSession.tradeLag)
    }
    output.records.note("ready", now: now)
    core.markAllDirty()
  }

  mutating func askForOrders(_ now: Nanoseconds) {
    guard session.orderQueryAt == nil, now - session.lastOrderQuery >= LaneSession.queryInterval else { return }
    guard adapter.queryOpenOrders(output: &output) else { return }
    session.orderQueryAt = now
    session.lastOrderQuery = now
    core.counters.queries += 1
    core.tracker.beginQuery(sentAt: now)
  }

  mutating func askForTrades(_ now: Nanoseconds) {
    guard session.tradeQueryAt == nil, adapter.queryTrades(since: tradesSince, continued: false, output: &output)
    else { return }
    session.tradeQueryAt = now
    session.tradesAskedAt = now
    core.counters.queries += 1
  }

  mutating func askForPositions(_ now: Nanoseconds) {
    guard adapter.queryPositions(output: &output) else { return }
    session.positionsAskedAt = now
    session.positionsAskedVenueTime = core.venueTime
    core.counters.queries += 1
  }

  /// Orders that rest under our label but are none of this life: cancelled by the venue's id.
  mutating func cancelOrphans() {
    guard adapter.phase == .ready || adapter.phase == .synchronising else { return }
    for index in 0..<core.orphanCount {
      let orphan = core.orphan(index)
      _ = adapter.cancelForeign(orphan.id, clientID: 0, instrument: orphan.instrument, output: &output)
    }
    core.clearOrphans()
    session.hasSeenOrphans = true
  }

  private mutating func orderQueryAnswered(_ now: Nanoseconds) {
    session.orderQueryAt = nil
    let ended = core.tracker.endQuery(grace: LaneSession.absenceGrace, now: now)
    // An order that ended unseen may have traded: its fills are to be asked for.
    if ended > 0, adapter.phase == .ready { askForTrades(now) }
    session.hasSeenOrphans = core.orphansInQuery > 0
    if adapter.phase == .synchronising || adapter.phase == .subscribing && session.isUnbroken {
      cancelEarlierOrders()
      session.ordersAreSettled = core.restingInQuery == 0 && core.tracker.unknownCount == 0
      session.ordersSettledAt = now
    }
    stopSawQuery(now)
    core.markAllDirty()
  }

  /// Orders of the session before this one can only be reached by the venue's id.
  private mutating func cancelEarlierOrders() {
    core.tracker.forEachResting { order in
      Self.cancelForeign(order, &adapter, &output)
    }
  }

  /// Cancels by the venue's id.
  static func cancelForeign(_ order: OrderPointer, _ adapter: inout Adapter, _ output: inout LaneOutput) {
    _ = adapter.cancelForeign(
      order.pointee.venue_id, clientID: order.pointee.client_id, instrument: order.pointee.instrument_index,
      output: &output)
  }

  /// Takes over the venue's positions: at the start as they are, later only once the trades asked for
  /// agree or have been asked for often enough (the venue's trade history lags).
  private mutating func settlePositions(_ now: Nanoseconds) -> Bool {
    guard isOpeningBalanceFresh(now) else { return false }
    // Only a position stated since the last question counts: the snapshot may be older than a trade since.
    let isFresh = session.positionAttempts > 0 && core.answeredAt > session.positionsAskedAt
    if positionsDiffer, session.positionAttempts < 8 || !isFresh {
      askForPositions(now)
      session.positionAttempts += 1
      session.tradesAreSettled = false
      session.nextSyncAt = now + LaneSession.queryInterval
      return false
    }
    adoptPositions(now)
    return true
  }

  /// Orders of an earlier life have traded until they were gone: the opening balance, and the trades if that life is
  /// continued, have to be asked for when the venue's records have them (R13, R56).
  private mutating func isOpeningBalanceFresh(_ now: Nanoseconds) -> Bool {
    let isContinued = settings.carried != nil
    guard !session.hasBeenReady, core.tracker.counters.orphans > 0 || isContinued else { return true }
    let from = session.ordersSettledAt + LaneSession.tradeLag
    if isContinued, now >= from, session.tradesAskedAt < from {
      session.tradesAreSettled = false
      return false
    }
    if session.positionsAskedAt >= from, core.answeredAt > session.positionsAskedAt { return true }
    if now >= from, session.positionsAskedAt < max(from, now - settings.requestTimeout) { askForPositions(now) }
    session.nextSyncAt = now + LaneSession.timerInterval
    return false
  }

  private var positionsDiffer: Bool {
    for index in 0..<core.instrumentCount {
      let stated = core.statedPosition(InstrumentIndex(index))
      let ours = core.tracker.state(InstrumentIndex(index)).pointee.position
      if ours != nil, stated != ours { return true }
    }
    return false
  }

  /// Fresh statements and our own count agree, or no longer can.
  var positionsAgree: Bool { !positionsDiffer }

  private mutating func adoptPositions(_ now: Nanoseconds) {
    for index in 0..<core.instrumentCount {
      guard settings.instruments[index].isHandedOver != true else { continue }
      if let stated = core.statedPosition(InstrumentIndex(index)) { adopt(stated, InstrumentIndex(index), now) }
    }
    confirmPositions()
  }

  mutating func adopt(_ position: QtyLots, _ instrument: InstrumentIndex, _ now: Nanoseconds) {
    guard let mark = mark(of: instrument) else { return }
    if core.tracker.state(instrument).pointee.position != position { core.tracker.forgiveMissing(instrument) }
    if core.tracker.setPosition(instrument, position, mark: mark) {
      output.records.note("position taken over from the venue", now: now)
      core.markDirty(instrument)
    }
    // Not the latest time that the venue has stated: what an earlier life executed since is part of this position already.
    core.tracker.open(instrument, at: core.venueTimeNow)
    recordAccount(instrument, now)
  }

  /// The last mark of an instrument that is, or was, listed, on its grid.
  func mark(of instrument: InstrumentIndex) -> PriceTicks? {
    let market = core.markets + Int(instrument)
    return market.pointee.strategyGrid.map { PriceTicks(rawValue: market.pointee.lastMarkE8 / $0.tickE8) }
  }

  /// The positions stated since the last question are ours: what is told later of the time before is part of them.
  ///
  /// - Parameter isAgreement: They were not taken over, but found to be the same. Where we know of executions that the
  ///   venue's statement may not contain yet, that proves nothing: it may contain another of the same size instead.
  private mutating func confirmPositions(isAgreement: Bool = false) {
    guard session.positionsAskedVenueTime > 0, core.answeredAt > session.positionsAskedAt else { return }
    for index in 0..<core.instrumentCount {
      let state = core.tracker.state(InstrumentIndex(index))
      if isAgreement, state.pointee.bought.sum != .zero || state.pointee.sold.sum != .zero { continue }
      guard let mark = mark(of: InstrumentIndex(index)) else { continue }
      core.tracker.confirmPosition(InstrumentIndex(index), askedAt: session.positionsAskedVenueTime, mark: mark)
      recordAccount(InstrumentIndex(index), core.now)
    }
  }

  /// While quoting: asks for the position after the last execution and now and then. A difference that
  /// stays the same in one answer after the other, although all trades of the time before it have been told
  /// and whatever else trades meanwhile, is taken over, with a record (R56).
  private mutating func auditPositions(_ now: Nanoseconds) {
    guard core.statedAt > 0, now >= session.nextAuditAt else { return }
    session.nextAuditAt = now + LaneSession.auditInterval
    guard positionsDiffer else {
      let isConfirmed = session.positionsAskedAt > core.lastFillAt + LaneSession.auditInterval
      if !isConfirmed || now - session.positionsAskedAt > 60 * LaneSession.auditInterval { askForPositions(now) }
      return
    }
    var isTaken = false
    for index in 0..<core.instrumentCount {
      let difference = core.difference(InstrumentIndex(index))
      // A position has to be stated after the answer about trades, which may have told what was missing. A venue that does not
      // answer about trades cannot keep the difference open for ever.
      let areTradesTold =
        session.tradesAnsweredFrom >= difference.since + LaneSession.tradeLag && core.answeredAt >= session.tradesAnsweredAt
      guard difference.count > 4, areTradesTold || difference.count > 20,
        let ours = core.tracker.state(InstrumentIndex(index)).pointee.position, core.statedPosition(InstrumentIndex(index)) != ours
      else { continue }
      adopt(ours + difference.lots, InstrumentIndex(index), now)
      isTaken = true
    }
    if isTaken {
      confirmPositions()
      core.forgetDifferences()
    }
    askForTrades(now)
    askForPositions(now)
  }

  // MARK: - Timers

  mutating func runTimers(_ now: Nanoseconds) {
    switch adapter.phase {
    case .offline, .failed:
      break
    case .opening, .loggingIn, .settingUp, .subscribing:
      if now - session.connectedAt > settings.setupTimeout { session.closeReason = .setupTimedOut }
    case .synchronising:
      giveUpQueries(now)
      synchronise(now)
      if adapter.phase == .synchronising, now - session.connectedAt > 3 * settings.setupTimeout {
        session.closeReason = .setupTimedOut
      }
    case .ready:
      runReadyTimers(now)
      if core.hasBrokenBook { session.closeReason = .brokenBook }
      if session.handOver.phase != .none { runHandOver(now) }
    case .leaving:
      giveUpQueries(now)
      runHandOver(now)
    }
    if adapter.phase != .offline {
      if now - session.lastHeard > settings.silenceLimit { session.closeReason = .silence }
      if now - session.lastPing >= settings.pingInterval, output.endpoint.state == .open {
        session.lastPing = now
        _ = output.endpoint.ping(UnsafeRawBufferPointer(start: nil, count: 0))
        if Adapter.companionCount > 0 { pingCompanions(now) }
      }
      if Adapter.companionCount > 0 { mindCompanions(now) }
    }
    core.tracker.purge(now: now)
    if now >= session.nextStepAt {
      session.nextStepAt = now + StateTracker.statementLag
      core.tracker.stepRecentFills()
    }
    runSafety(now)
    runStop(now)
  }

  /// A question that is not answered completely in time is asked again. Trades are not waited for
  /// forever: a row that cannot be read stays, and the positions will tell whether it was ours.
  private mutating func giveUpQueries(_ now: Nanoseconds) {
    if let sent = session.orderQueryAt, now - sent > settings.requestTimeout { session.orderQueryAt = nil }
    if let sent = session.tradeQueryAt, now - sent > settings.requestTimeout {
      session.tradeQueryAt = nil
      session.tradeTimeouts += 1
      if session.tradeTimeouts >= 2 { session.tradesAreSettled = true }
    }
  }

  private mutating func runReadyTimers(_ now: Nanoseconds) {
    if core.tracker.expire(sentBefore: now - settings.requestTimeout, now: now) > 0 { core.markAllDirty() }
    if core.statedRate != 0, adapter.granted(core.statedRate) { applyGrantedRate(now) }
    giveUpQueries(now)
    core.giveUpAnswers(to: unansweredLimit, sentBefore: now - settings.requestTimeout)
    if hasMassQuotes { runQuoteTimers(now) }
    if core.tracker.unknownCount > 0 || session.hasSeenOrphans { askForOrders(now) }
    askForMissingTrades(now)
    escalateCancels()
    auditPositions(now)
    if session.mindsShares { settleShares(now) }
    // Staleness is judged by a timer, and it pulls quotes (R29).
    for index in 0..<core.instrumentCount {
      let market = core.markets + index
      if market.pointee.isFresh, now - market.pointee.tickerTime > settings.instruments[index].staleAfter {
        market.pointee.isFresh = false
        core.markDirty(InstrumentIndex(index))
      }
      if market.pointee.crossedFor(now: now) > LaneSession.longestCross
        || isBookMissing(market, now)
      {
        session.closeReason = .brokenBook
      }
    }
  }

  /// The snapshot that should have come has not: it was lost, or the request for it.
  private func isBookMissing(_ market: UnsafeMutablePointer<MarketState>, _ now: Nanoseconds) -> Bool {
    !market.pointee.isBookValid && market.pointee.info != nil
      && now - max(market.pointee.bookLostAt, session.readyAt) > LaneSession.longestCross
  }

  /// Executions that the venue has reported without telling them, or that may have been made unseen.
  private mutating func askForMissingTrades(_ now: Nanoseconds) {
    guard core.tracker.missingFillOrders > 0 else {
      session.tradeInterval = LaneSession.tradeLag
      return
    }
    guard now - session.tradesAskedAt > session.tradeInterval else { return }
    session.tradeInterval = min(2 * session.tradeInterval, 30 * LaneSession.tradeLag)
    askForTrades(now)
  }

  /// Cancels that stay without effect: the session's own command, then the end of the session (R12).
  private mutating func escalateCancels() {
    guard core.tracker.largestCancelAttempts > 3, !stop.isRequested else { return }
    core.tracker.forgetCancelAttempts()
    session.escalations += 1
    if session.escalations > 1 || !adapter.cancelSession(output: &output) { session.closeReason = .escalation }
  }

  /// Whether a refused session would only be refused again: the operator has to act.
  var isRefusalFinal: Bool {
    guard session.closeReason == .refused, !session.hasBeenReady else { return false }
    let code = adapter.failureCode
    return code == 0 || Adapter.proof(of: .unknown, code: code) != .nothing && !Adapter.isThrottle(code: code)
  }
}
