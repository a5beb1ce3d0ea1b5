import CSupport

/// The rules that a lane's timers judge, and what the kill ladder makes the lane do.
extension Lane where Adapter: ~Copyable {
  // MARK: - The ladder

  /// Latches a level for a cause: it stays until `rearm` (R52). Idempotent.
  @inline(never)
  mutating func halt(_ cause: HaltCause, at level: StopLevel, now: Nanoseconds) {
    setTime(now)
    output.records.control(.halt, UInt64(cause.rawValue), UInt64(level.rawValue), now: now)
    latch(cause, at: level, now: now)
  }

  private mutating func latch(_ cause: HaltCause, at level: StopLevel, now: Nanoseconds) {
    guard safety.ladder.latch(cause, at: level) else { return }
    output.records.note("kill ladder: a cause was latched", now: now)
    safety.haltedAt = now
    ladderChanged(now)
  }

  /// A limit of the manager was met.
  @inline(never)
  mutating func obey(_ message: DirectiveMessage, now: Nanoseconds) {
    let level = StopLevel(rawValue: UInt32(message.haltLevel)) ?? .disconnect
    halt(HaltCause(rawValue: message.haltCause) ?? .overallLoss, at: level, now: now)
  }

  /// What the manager asks, a halt first.
  @inline(never)
  mutating func take(_ message: DirectiveMessage, now: Nanoseconds) {
    guard Int(message.instrument) < core.instrumentCount else { return }
    directivesTaken += 1
    if message.haltLevel != 0 { obey(message, now: now) }
    if message.isHedge {
      hedge(
        message.instrument, lots: message.targetPosition, slippageCentiBps: message.longCap, now: now)
    } else {
      direct(message.directive, instrument: message.instrument, now: now)
    }
    safety.instruments[Int(message.instrument)].serial = message.serial
  }

  /// Lets go of every latch, by hand only. Loss and drawdown count anew from here; a cause that still holds latches
  /// again.
  @inline(never)
  mutating func rearm(now: Nanoseconds) {
    setTime(now)
    output.records.control(.rearm, now: now)
    output.records.note("kill ladder: re-armed by hand", now: now)
    safety.ladder.rearm()
    safety.rearmings &+= 1
    safety.profitBase = nil
    safety.verifiedAt = 0
    safety.endPauses()
    core.acks.forget()
    core.closeBreakers()
    ladderChanged(now)
  }

  /// What has to happen when the ruling level, or what is latched, has changed. Cold.
  mutating func ladderChanged(_ now: Nanoseconds) {
    safety.changeCount += 1
    for index in 0..<core.instrumentCount {
      quoting.direct(safety.widened(safety.instruments[index].directive), InstrumentIndex(index))
    }
    if safety.ladder.latchedLevel >= .cancelAll { hold(now) } else { release(now) }
    core.markAllDirty()
    lookAll(now)
  }

  private mutating func pass(_ cause: HaltCause, at level: StopLevel, _ now: Nanoseconds) {
    guard safety.ladder.pass(cause, at: level) else { return }
    output.records.note("kill ladder: a passing cause has changed", now: now)
    ladderChanged(now)
  }

  /// How far the lane has come with what the ladder asks of it.
  var haltOutcome: HaltOutcome {
    let level = safety.ladder.level
    guard level > .none else { return .none }
    guard safety.ladder.latchedLevel >= .cancelAll else { return .obeyed }
    guard adapter.phase == .ready || adapter.phase == .synchronising else { return .offline }
    guard stop.phase == .held else { return .working }
    guard safety.ladder.latchedLevel >= .flatten else { return .verified }
    return isFlat ? .flat : .closing
  }

  /// No position, by our count and by the venue's. What another engine has is that one's to close.
  var isFlat: Bool {
    for index in 0..<core.instrumentCount {
      let state = core.tracker.state(InstrumentIndex(index))
      if settings.instruments[index].isHandedOver == true, state.pointee.position == nil { continue }
      if state.pointee.position != .zero || core.statedPosition(InstrumentIndex(index)) != .zero { return false }
    }
    return true
  }

  /// Orders that may rest, by the venue's last answer or by our own count.
  var ordersLeft: Int {
    max(stop.isRequested ? stop.left : 0, core.tracker.liveCount + core.tracker.unknownCount)
  }

  /// Whether a connection may be made: not while the ladder says "disconnect", unless the stop needs one.
  var mayConnect: Bool { safety.ladder.level < .disconnect || stop.isFinal }

  /// Drops the connection when everything is cancelled, or when that takes too long: the venue cancels then.
  private mutating func runDisconnect(_ now: Nanoseconds) {
    guard safety.ladder.latchedLevel >= .disconnect, !stop.isFinal, adapter.phase != .offline else { return }
    guard stop.phase == .held || now - safety.haltedAt > settings.requestTimeout else { return }
    session.closeReason = .halted
  }

  // MARK: - Rules

  /// Judges every rule; each timer interval. Cold beside what a tick does.
  @inline(never)
  mutating func runSafety(_ now: Nanoseconds) {
    runDisconnect(now)
    judgeMarkets(now)
    judgeClock(now)
    judgeAnswers(now)
    guard now >= safety.nextProfitAt else { return }
    safety.nextProfitAt = now + 10 * LaneSession.timerInterval
    judgeProfit(now)
  }

  private mutating func judgeMarkets(_ now: Nanoseconds) {
    guard adapter.phase == .ready else { return }
    for index in 0..<core.instrumentCount {
      let block = judge(index, now)
      guard block != safety.instruments[index].block else { continue }
      safety.instruments[index].block = block
      safety.changeCount += 1
      core.markDirty(InstrumentIndex(index))
    }
  }

  private mutating func judge(_ index: Int, _ now: Nanoseconds) -> QuotingBlock {
    if settings.instruments[index].isHandedOver == true { return .handedOver }
    let rules = safety.settings
    let market = core.markets + index
    let known = safety.instruments + index
    if market.pointee.ticker.indexE8 != known.pointee.indexE8 || known.pointee.indexSince == 0 {
      known.pointee.indexE8 = market.pointee.ticker.indexE8
      known.pointee.indexSince = now
    }
    if market.pointee.ticker.venueTime != known.pointee.markTime || known.pointee.markSince == 0 {
      known.pointee.markTime = market.pointee.ticker.venueTime
      known.pointee.markSince = now
      noteVenueTime(market.pointee.ticker.venueTime, arrival: market.pointee.tickerTime, now)
    }
    if rules.toxicMoveCentiBps > 0,
      known.pointee.hasMovedAgainst(
        markE8: market.pointee.ticker.markE8, centiBps: rules.toxicMoveCentiBps, within: rules.toxicMoveWindow,
        now: now)
    {
      safety.pause(index, .toxicFlow, until: now + rules.toxicPause)
    }
    if rules.messagesPerFill > 0, known.pointee.messagesSinceFill > rules.messagesPerFill {
      known.pointee.messagesSinceFill = 0
      safety.pause(index, .churn, until: now + rules.churnPause)
    }
    if now < known.pointee.pausedUntil { return known.pointee.pauseBlock }
    known.pointee.pauseBlock = .none
    if !safety.isClockProven, rules.clockOffsetLimit > 0, safety.wallOffset != nil { return .clockOff }
    if rules.bookStaleAfter > 0, market.pointee.isBookValid, now - market.pointee.bookTime > rules.bookStaleAfter {
      return .staleBook
    }
    if rules.markStaleAfter > 0, now - known.pointee.markSince > rules.markStaleAfter { return .staleMark }
    if rules.indexStaleAfter > 0, now - known.pointee.indexSince > rules.indexStaleAfter { return .staleIndex }
    return .none
  }

  /// Lane time plus `offset` is our wall clock from now on: the lane itself reads no clock.
  mutating func noteWallClock(_ offset: Nanoseconds, now: Nanoseconds) {
    guard offset != safety.wallOffset else { return }
    output.records.control(.wallClock, UInt64(bitPattern: offset), now: now)
    safety.wallOffset = offset
    adapter.setWallClock(offset)
  }

  private mutating func noteVenueTime(_ time: Nanoseconds, arrival: Nanoseconds, _ now: Nanoseconds) {
    guard let offset = safety.wallOffset, time > 0, arrival > 0 else { return }
    safety.clock.note(arrival: arrival + offset, venueTime: time, now: now)
  }

  /// A first message may carry an old time, which only makes us look ahead: that is waited for.
  private static var clockPatience: Nanoseconds { 5_000_000_000 }

  private mutating func judgeClock(_ now: Nanoseconds) {
    let limit = safety.settings.clockOffsetLimit
    guard limit > 0, let estimate = safety.clock.estimate, let firstAt = safety.clock.firstAt else { return }
    safety.clock.turn(now)
    let isOff = estimate > limit || estimate < -limit
    if safety.isClockProven {
      pass(.clockDrift, at: isOff ? .widen : .none, now)
    } else if !isOff {
      safety.isClockProven = true
    } else if estimate < 0 || now - firstAt > Self.clockPatience {
      safety.isClockRefused = true
      safety.changeCount += 1
      core.markAllDirty()
    }
  }

  private mutating func judgeAnswers(_ now: Nanoseconds) {
    let rules = safety.settings
    guard rules.slowAckWiden > 0 || rules.slowAckStop > 0 else { return }
    let before = safety.ladder.level(of: .slowVenue)
    if before >= .cancelAll {
      guard now >= safety.slowUntil, adapter.phase == .ready else { return }
      core.acks.forget()
    }
    var time = core.acks.smoothed
    if core.tracker.inFlightCount > 0 { time = max(time, now - oldestRequest(now)) }
    var level = StopLevel.none
    if rules.slowAckStop > 0, time >= rules.slowAckStop {
      level = .cancelAll
      safety.slowUntil = now + rules.slowAckPause
    } else if rules.slowAckWiden > 0, time >= (before == .widen ? rules.slowAckWiden / 2 : rules.slowAckWiden) {
      level = .widen
    }
    pass(.slowVenue, at: level, now)
  }

  /// When the oldest request without an answer left; `now` if there is none. Unknown ones are not waited for.
  private func oldestRequest(_ now: Nanoseconds) -> Nanoseconds {
    var oldest = now
    for index in 0..<core.instrumentCount {
      let state = core.tracker.state(InstrumentIndex(index))
      for position in 0..<state.pointee.bids.count {
        oldest = min(oldest, Self.sentAt(state.pointee.bids[position], now))
      }
      for position in 0..<state.pointee.asks.count {
        oldest = min(oldest, Self.sentAt(state.pointee.asks[position], now))
      }
    }
    return oldest
  }

  private static func sentAt(_ order: OrderPointer, _ now: Nanoseconds) -> Nanoseconds {
    guard order.pointee.inFlightValue != .none, order.pointee.phaseValue != .unknown else { return now }
    return order.pointee.sent_ns
  }

  private mutating func judgeProfit(_ now: Nanoseconds) {
    let rules = safety.settings
    guard rules.maximumLossE8 > 0 || rules.maximumDrawdownE8 > 0 else { return }
    var profit: MoneyE8 = 0
    for index in 0..<core.instrumentCount {
      guard core.markets[index].info != nil else { continue }
      let mark = core.markets[index].lastMarkE8
      // Without a mark nothing is known of the profit.
      guard mark > 0 else { return }
      let one = core.tracker.state(InstrumentIndex(index)).pointee.profitE8(markE8: mark)
      profit = MoneyE8(clamping: Int128(profit) + Int128(one))
    }
    guard let base = safety.profitBase else {
      safety.profitBase = profit
      safety.profitPeak = profit
      return
    }
    safety.profitPeak = max(safety.profitPeak, profit)
    if rules.maximumLossE8 > 0, profit <= base - rules.maximumLossE8 { latch(.laneLoss, at: rules.lossLevel, now: now) }
    if rules.maximumDrawdownE8 > 0, profit <= safety.profitPeak - rules.maximumDrawdownE8 {
      latch(.laneDrawdown, at: rules.lossLevel, now: now)
    }
  }
}
