public import Apus
import CSupport

/// What goes wrong at a venue, on demand: for tests and for fault injection. Each call first does what was due until its
/// time, and may be made at any time between other calls.
extension SimulatedVenue {
  /// Refuses orders for an instrument with error 10 until `resume`; cancels still work, its market stands still.
  ///
  /// - Parameter cancelling: Participants' orders die with `admin_cancel`; else they stay.
  /// - Returns: False if it is not listed.
  @discardableResult
  public func halt(_ name: String, cancelling: Bool, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name] else { return false }
    market.isHalted = true
    if cancelling {
      cancelAll(accountList.flatMap(\.orders).filter { $0.market === market }, deletion: .adminCancel)
      settle(requester: nil)
    }
    return true
  }

  /// Ends a halt; the market flow catches up at once. False if it is not listed.
  @discardableResult
  public func resume(_ name: String, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name] else { return false }
    catchUp(market)
    settle(requester: nil)
    return true
  }

  /// Gives an instrument another tick size. All orders in it die with `admin_cancel`; channel `instruments` carries the
  /// old one as removed and the new one as added. Flow prices between the new ticks are rounded away from the middle.
  ///
  /// - Parameter tickE8: > 0; the price of the smallest amount at one tick must be whole in 10⁻⁸ USD. A leg of a listed
  ///   roll must keep a tick that fits the roll's.
  public func setTick(_ name: String, tickE8: Int64, now: Nanoseconds) throws(VenueError) {
    advance(to: now)
    guard let market = marketsByName[name] else { throw .configuration("\(name) is not listed") }
    var grid = market.spec.grid
    grid.tickE8 = tickE8
    guard tickE8 > 0, let unit = grid.tickLotE8, unit > 0,
      markets.allSatisfy({ roll in
        !roll.isListed || !roll.legs.contains { $0 === market } || roll.spec.grid.tickE8 % tickE8 == 0
      }), market.legs.allSatisfy({ tickE8 % $0.spec.grid.tickE8 == 0 })
    else { throw .configuration("\(name): a tick of \(tickE8) · 1e-8 USD does not fit its lot or its rolls") }
    cancelAll(accountList.flatMap(\.orders).filter { $0.market === market }, deletion: .adminCancel)
    // The public book empties on the old grid, before anything is said on the new one.
    let levels = backgroundLevels(market)
    clearBackground(market)
    settle(requester: nil)
    // Spelled out before it changes.
    let listeners = channels["instruments"]?.subscribers ?? []
    message.clear()
    message.raw("{\"channel_name\":\"instruments\",\"notification\":[{\"removed\":")
    writeInstrument(message, market)
    message.raw("},{\"added\":")
    market.setTick(tickE8, tickLotE8: unit)
    market.background = BackgroundBook(span: market.background.span, allowsNegative: market.spec.kind == .combination)
    writeInstrument(message, market)
    message.raw("}]}")
    for session in listeners { outbox.post(session.id, message) }
    applyLevels(market, levels, 0..<levels.count)
    if market.spec.isQuotedByVenue { quoteDerived() }
    settle(requester: nil)
  }

  /// Error 4 for all order messages of all connections for a while, and for cancels too if asked.
  public func throttle(for duration: Nanoseconds, cancels: Bool = false, now: Nanoseconds) {
    advance(to: now)
    for session in sessions.values {
      session.messages.shut(until: self.now + duration)
      if cancels { session.cancels.shut(until: self.now + duration) }
    }
  }

  /// The matching engine fails over: non-persistent orders vanish with `failover`, protection groups too.
  public func failOver(now: Nanoseconds) {
    advance(to: now)
    cancelAll(accountList.flatMap(\.orders).filter { !$0.isPersistent }, deletion: .failover)
    for account in accountList {
      for session in account.sessions { resetProtection(session, reason: .failover) }
    }
    settle(requester: nil)
  }

  /// The venue goes down and comes back: every connection is closed with 1012.
  ///
  /// - Parameter keepingBook: Persistent orders survive. Else they are gone without a word. Positions and trades survive
  ///   in any case.
  public func restart(keepingBook: Bool, now: Nanoseconds) {
    advance(to: now)
    for session in sessions.values.sorted(by: { $0.id < $1.id }) {
      outbox.close(session.id, code: 1012)
      end(session)
    }
    if !keepingBook {
      for account in accountList {
        cancelAll(account.orders, deletion: .failover)
        account.conditionals.removeAll()
      }
    }
    settle(requester: nil)
  }

  /// Announces on channel `system` that all connections will be closed, and closes those that are open now when `notice`
  /// is over: their non-persistent orders die then. Connections that are made meanwhile stay.
  public func announceClosure(notice: Nanoseconds, now: Nanoseconds) {
    announceReconnect(now: now)
    timers.set(.closure(sessions.keys.sorted()), at: self.now + notice)
  }

  func close(_ connections: [ConnectionID]) {
    for id in connections {
      guard let session = sessions[id] else { continue }
      outbox.close(id, code: 1012)
      end(session)
    }
    settle(requester: nil)
  }

  /// The venue's wall clock is off by this from now on, compared with its start: token checks, times in messages and
  /// expiries go by it.
  public func setClockOffset(_ offset: Nanoseconds, now: Nanoseconds) {
    advance(to: now)
    clock.set(offset: offset, at: self.now)
    expireDue()
    scheduleSettlement()
    for market in markets where market.isListed && market.spec.kind != .perpetual {
      timers.set(.expiries, at: self.now + max(1, market.spec.expirySeconds * 1_000_000_000 - wallClock))
    }
  }
}
