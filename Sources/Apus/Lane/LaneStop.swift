import CSupport

/// How far a stop, or a "cancel all" of the kill ladder, has come. Latched: once requested it survives reconnects and
/// outranks everything (R10).
struct StopProgress: Sendable {
  enum Phase: UInt8, Sendable {
    case none, requested
    /// The session's orders are being cancelled by the venue's own command.
    case cancelling
    /// The venue is asked what still rests.
    case verifying
    /// Nothing rests; waiting for the fees of the last fills.
    case settling
    case stopped
    /// Nothing rests, and the lane lives on until it is re-armed; the venue is asked now and then.
    case held
  }

  var phase = Phase.none
  /// The lane ends when nothing is left; otherwise it holds still.
  var isFinal = false
  var requestedAt: Nanoseconds = 0
  var phaseSince: Nanoseconds = 0
  /// The venue has confirmed that nothing of ours rests.
  var isVerified = false
  var verifiedAt: Nanoseconds = 0
  /// Orders of ours that the last query showed.
  var left = 0
  var hasAskedForTrades = false
  var rounds = 0

  var isRequested: Bool { phase != .none }
}

enum LaneStopTiming {
  /// How long a stop waits for the venue's position to agree with our own.
  static let agreement: Nanoseconds = 4_000_000_000
  /// Between two questions whether still nothing rests.
  static let recheck: Nanoseconds = 5_000_000_000
}

/// The end of a session: cancel with the venue's own command, verify by a query, repeat until nothing
/// is left (R11), then wait for the fees of the last fills so that the books can be compared.
extension Lane where Adapter: ~Copyable {
  /// Idempotent.
  @inline(never)
  mutating func requestStop(now: Nanoseconds) {
    guard !stop.isFinal else { return }
    setTime(now)
    output.records.control(.stop, now: now)
    accountQuotedTime(now)
    quotedTime.stop(now: now)
    stop.isFinal = true
    beginStop(now)
    output.records.note("stop requested", now: now)
    runStop(now)
  }

  /// Cancels everything, verifies it and then holds still, until `release`. Idempotent.
  mutating func hold(_ now: Nanoseconds) {
    guard stop.phase == .none else { return }
    accountQuotedTime(now)
    safety.verifiedAt = 0
    beginStop(now)
    output.records.note("cancel all requested", now: now)
    runStop(now)
  }

  /// Quoting may go on, unless the lane is to end.
  mutating func release(_ now: Nanoseconds) {
    guard stop.phase != .none, !stop.isFinal else { return }
    stop = StopProgress()
  }

  private mutating func beginStop(_ now: Nanoseconds) {
    giveUpHandOver(now)
    stop.phase = .requested
    stop.isVerified = false
    stop.requestedAt = now
    stop.phaseSince = now
  }

  var isStopped: Bool { stop.phase == .stopped }

  private mutating func enter(_ phase: StopProgress.Phase, _ now: Nanoseconds) {
    stop.phase = phase
    stop.phaseSince = now
    if phase == .stopped { output.records.control(.stopped, stop.isVerified ? 1 : 0, now: now) }
  }

  /// The network has not reached the venue yet: nothing of ours can be there.
  mutating func runStopUnreached(now: Nanoseconds) {
    setTime(now)
    output.records.control(.stopStep, now: now)
    runStop(now)
  }

  /// Moves the stop on; called by the timers and when an answer arrives.
  mutating func runStop(_ now: Nanoseconds) {
    guard stop.isRequested, stop.phase != .stopped else { return }
    if stop.isFinal, now - stop.requestedAt > settings.stopTimeout {
      enter(.stopped, now)
      return
    }
    let phase = adapter.phase
    guard phase == .ready || phase == .synchronising else {
      // Nothing can be asked. If this life has nothing that can rest, there is nothing to wait for; but
      // orders of a crashed earlier one may, and nobody has asked: that is not verified.
      if stop.isFinal, nothingCanRest, !session.hasBeenReady, core.tracker.counters.orphans == 0 {
        enter(.stopped, now)
      }
      return
    }
    switch stop.phase {
    case .none, .stopped:
      return
    case .requested:
      stop.rounds += 1
      if !Adapter.cancelsSessions {
        cancelEach(now)
        enter(.verifying, now)
        askForOrders(now)
      } else if adapter.cancelSession(output: &output) {
        enter(.cancelling, now)
      }
    case .cancelling:
      if now - stop.phaseSince > settings.requestTimeout { enter(.requested, now) }
    case .verifying:
      if !Adapter.cancelsSessions { cancelEach(now) }
      if session.orderQueryAt == nil { askForOrders(now) }
      if now - stop.phaseSince > 2 * settings.requestTimeout { enter(.requested, now) }
    case .settling:
      settle(now)
    case .held:
      holdStill(now)
    }
  }

  /// Nothing rests, by the venue's word. It is asked again now and then, and what rests after all is cancelled.
  private mutating func holdStill(_ now: Nanoseconds) {
    if core.tracker.liveCount > 0 {
      enter(.requested, now)
      return
    }
    if now - session.lastOrderQuery > LaneStopTiming.recheck { askForOrders(now) }
    runFlatten(now)
  }

  private var nothingCanRest: Bool {
    core.tracker.liveCount == 0 && core.tracker.unknownCount == 0 && core.tracker.inFlightCount == 0
  }

  mutating func stopSawCancel(_ now: Nanoseconds) {
    guard stop.phase == .cancelling else { return }
    // An answer to a question from before the cancel would prove nothing.
    session.orderQueryAt = nil
    session.lastOrderQuery = LaneSession.never
    enter(.verifying, now)
    askForOrders(now)
  }

  /// Cancels what is not known to be dead, within the budget; an order's cancel is not repeated at once.
  private mutating func cancelEach(_ now: Nanoseconds) {
    takeAllQuotesAway(now)
    for index in 0..<core.instrumentCount {
      let state = core.tracker.state(InstrumentIndex(index))
      for place in 0..<state.pointee.bids.count { sendCancel(state.pointee.bids[place].pointee.client_id, now) }
      for place in 0..<state.pointee.asks.count { sendCancel(state.pointee.asks[place].pointee.client_id, now) }
    }
  }

  mutating func stopCancelRefused(_ now: Nanoseconds) {
    // Without a session of its own the venue's command does not apply: one by one then.
    guard stop.phase == .cancelling else { return }
    core.tracker.forEachResting { order in
      Self.cancelForeign(order, &adapter, &output)
    }
    enter(.verifying, now)
  }

  mutating func stopSawQuery(_ now: Nanoseconds) {
    if stop.phase == .held, core.restingInQuery > 0 { enter(.requested, now) }
    guard stop.phase == .verifying else { return }
    stop.left = core.restingInQuery
    if stop.left == 0, nothingCanRest {
      stop.isVerified = true
      stop.verifiedAt = now
      safety.verifiedAt = now
      safety.changeCount += 1
      if !stop.isFinal {
        output.records.note("cancel all verified: nothing rests", now: now)
        enter(.held, now)
        return
      }
      enter(.settling, now)
      settle(now)
    } else if stop.left == 0, core.tracker.liveCount > 0 {
      // The venue shows none of ours, but the words that ended some of them were lost: their state is unknown, and
      // the next question settles it by their absence.
      core.tracker.connectionLost(now: now)
    } else if stop.left > 0, !Adapter.cancelsSessions {
      cancelEach(now)
    } else if stop.left > 0 {
      core.tracker.forEachResting { order in
        Self.cancelForeign(order, &adapter, &output)
      }
    }
  }

  private mutating func settle(_ now: Nanoseconds) {
    var missing = core.tracker.missingFillOrders
    for index in 0..<core.instrumentCount {
      missing += core.tracker.state(InstrumentIndex(index)).pointee.fillsWithoutFee
    }
    // The last execution may not have been told by any feed: the position tells, if it does in time.
    let isSettled = positionsAgree || now - stop.verifiedAt > LaneStopTiming.agreement
    if missing == 0, isSettled {
      enter(.stopped, now)
      return
    }
    // The private trade feed lags; if it stays behind, ask.
    if now - stop.phaseSince > 1_000_000_000, session.tradeQueryAt == nil {
      stop.phaseSince = now
      askForTrades(now)
    }
  }
}
