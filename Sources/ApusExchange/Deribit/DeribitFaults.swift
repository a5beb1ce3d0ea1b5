public import Apus
import CSupport

/// What goes wrong at a venue, on demand: for tests and for fault injection. Each call first does what was due until its
/// time, and may be made at any time between other calls (reference 21).
extension DeribitVenue {
  /// The next `count` changes on every book channel of an instrument get lost: the chain of change ids breaks. False if it
  /// is not listed.
  @discardableResult
  public func loseBookChanges(_ name: String, count: Int = 1, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name] else { return false }
    for channel in channelList where channel.isBook && channel.scope == .market(market.index) {
      channel.changesToLose += count
    }
    return true
  }

  /// The next `count` replies are never sent, though what was asked for is done.
  public func loseReplies(count: Int, now: Nanoseconds) {
    advance(to: now)
    repliesToLose += count
  }

  /// The next `count` trading requests get 10047.
  public func fillQueue(count: Int, now: Nanoseconds) {
    advance(to: now)
    fullQueueReplies += count
  }

  /// Trading requests get 10041 for a while.
  public func pauseForSettlement(_ duration: Nanoseconds, now: Nanoseconds) {
    advance(to: now)
    beginPause(duration)
  }

  func beginPause(_ duration: Nanoseconds) {
    guard duration > 0 else { return }
    isSettling = true
    timers.set(.settlementEnd, at: now + duration)
  }

  /// Logins are refused with 13004.
  public func refuseLogins(_ isOn: Bool, now: Nanoseconds) {
    advance(to: now)
    refusesLogins = isOn
  }

  /// Trading requests get 11051 until it is over; `platform_state` tells of both.
  public func setMaintenance(_ isOn: Bool, now: Nanoseconds) {
    advance(to: now)
    inMaintenance = isOn
    guard let channel = channels["platform_state"] else { return }
    begin(channel.name)
    message.raw(isOn ? "{\"maintenance\":true}}}" : "{\"maintenance\":false}}}")
    for session in channel.subscribers { outbox.post(session.id, message) }
  }

  /// Every connection is closed with a code, or those of one account.
  public func disconnectAll(account name: String? = nil, code: UInt16 = 1012, now: Nanoseconds) {
    advance(to: now)
    for session in sessions.values.sorted(by: { $0.id < $1.id })
    where !session.isHTTP && (name == nil || session.account?.name == name) {
      close(session, code: code)
    }
  }

  /// An account's credits are gone: its next requests get 10028.
  public func drainCredits(_ name: String, now: Nanoseconds) {
    advance(to: now)
    guard let account = accounts[name] else { return }
    let own = unsafeDowncast(account, to: DeribitAccount.self)
    own.matching.empty(now: self.now)
    own.other.empty(now: self.now)
  }

  /// The venue goes down and comes back: every connection is closed with 1012, and with it go the orders that have asked
  /// for it.
  ///
  /// - Parameter keepingBook: The other orders survive. Else they are gone without a word. Positions and trades survive in
  ///   any case.
  public func restart(keepingBook: Bool, now: Nanoseconds) {
    disconnectAll(code: 1012, now: now)
    if !keepingBook {
      cancelAll(accountList.flatMap(\.orders), deletion: .failover)
      settle()
    }
  }

  /// Gives an instrument another tick size. All orders in it die; `instrument.state` tells of it. Flow prices between the
  /// new ticks are rounded away from the middle.
  ///
  /// - Parameter tickE8: > 0; the price of the smallest amount at one tick must be whole in 10⁻⁸.
  public func setTick(_ name: String, tickE8: Int64, now: Nanoseconds) throws(VenueError) {
    advance(to: now)
    guard let market = marketsByName[name] else { throw .configuration("\(name) is not listed") }
    var grid = market.spec.grid
    grid.tickE8 = tickE8
    guard tickE8 > 0, let unit = grid.tickLotE8, unit > 0 else {
      throw .configuration("\(name): a tick of \(tickE8) · 1e-8 does not fit its lot")
    }
    cancelAll(accountList.flatMap(\.orders).filter { $0.market === market }, deletion: .adminCancel)
    let levels = backgroundLevels(market)
    clearBackground(market)
    settle()
    // Levels of the old grid are no levels of the new one.
    for channel in channelList where channel.isBook && channel.scope == .market(market.index) {
      channel.bids = [:]
      channel.asks = [:]
    }
    market.setTick(tickE8, tickLotE8: unit)
    market.background = BackgroundBook(span: market.background.span, allowsNegative: false)
    applyLevels(market, levels, 0..<levels.count)
    if market.spec.isQuotedByVenue { quoteDerived() }
    announce(market, "open")
    settle()
  }

  /// Lets an instrument expire now. False if it is not listed.
  @discardableResult
  public func expire(_ name: String, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name] else { return false }
    expire([market])
    return true
  }

  public func letGo() {
    for underlying in underlyings { underlying.markets.removeAll() }
    for session in sessions.values {
      session.account = nil
      session.orders.removeAll()
      session.channels.removeAll()
      session.held.removeAll()
    }
    for account in accountList {
      let account = unsafeDowncast(account, to: DeribitAccount.self)
      account.orders.removeAll()
      account.closed.removeAll()
      account.trades.removeAll()
      account.quotes.removeAll()
      account.connections.removeAll()
    }
    for channel in channelList { channel.subscribers.removeAll() }
    tokens.removeAll()
    closedByNumber.removeAll()
    timers = TimerQueue()
    accountEvents.removeAll()
    newSubscriptions.removeAll()
    tradedAccounts.removeAll()
  }

  /// Refuses orders for an instrument with 10012 until `resume`; its market stands still. False if it is not listed.
  @discardableResult
  public func halt(_ name: String, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name] else { return false }
    market.isHalted = true
    announce(market, "halted")
    return true
  }

  /// Ends a halt; the market flow catches up at once. False if it is not listed.
  @discardableResult
  public func resume(_ name: String, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name] else { return false }
    catchUp(market)
    announce(market, "open")
    settle()
    return true
  }

  /// The venue's wall clock is off by this from now on, compared with its start.
  public func setClockOffset(_ offset: Nanoseconds, now: Nanoseconds) {
    advance(to: now)
    clock.set(offset: offset, at: self.now)
    expireDue()
    scheduleSettlement()
    for market in markets where market.isListed && market.spec.kind != .perpetual {
      timers.set(.expiries, at: self.now + max(1, market.spec.expirySeconds * 1_000_000_000 - wallClock))
    }
  }

  // MARK: settlement and expiry (reference 18)

  /// 08:00 UTC: trading pauses, orders for the day die, what is open starts at the mark.
  func settleDaily() {
    expireDue()
    beginPause(settings.settlementPause)
    for underlying in underlyings { underlying.previousSettlementE8 = underlying.indexE8 }
    cancelAll(
      accountList.flatMap(\.orders).filter { unsafeDowncast($0, to: DeribitOrder.self).lifetime == .goodTillDay },
      deletion: .instrumentDeactivated)
    for account in accountList {
      let account = unsafeDowncast(account, to: DeribitAccount.self)
      for market in markets where account.positions[market.index].hasTraded {
        account.positions[market.index].settle(market)
        let currency = listing(market).settlementCurrency
        if !account.changedCurrencies.contains(currency) { account.changedCurrencies.append(currency) }
      }
    }
    for market in markets { market.payFunding() }
    settle()
  }

  /// What is due by the venue's wall clock: orders die, positions are settled.
  func expireDue() {
    let wall = wallClock
    expire(
      markets.filter { $0.isListed && $0.spec.kind != .perpetual && $0.spec.expirySeconds * 1_000_000_000 <= wall })
  }

  private func expire(_ dying: [Market]) {
    for market in dying {
      cancelAll(accountList.flatMap(\.orders).filter { $0.market === market }, deletion: .instrumentDeactivated)
      market.isListed = false
      marketsByName[market.spec.name] = nil
      market.underlying.markets.removeAll { $0 === market }
      settlePositions(market)
      for account in accountList {
        let account = unsafeDowncast(account, to: DeribitAccount.self)
        account.averages[market.index] = AverageCost()
        // One for each fill.
        while account.trades.count < account.fills.count {
          account.trades.append(
            DeribitTrade(
              order: nil, sequence: market.tradeCount, match: matchNumber, tick: 0, markE8: market.markE8, profitE8: 0,
              isFilled: true))
        }
      }
      clearBackground(market)
      announce(market, "delivered")
    }
    if !dying.isEmpty { settle() }
  }

  private func announce(_ market: Market, _ state: StaticString) {
    for channel in channelList where !channel.subscribers.isEmpty && fits(channel.scope, market) {
      guard case .state = channel.kind else { continue }
      begin(channel.name)
      message.raw("{\"timestamp\":")
      message.integer(wallClock / 1_000_000)
      message.raw(",\"state\":\"")
      message.raw(state)
      message.raw("\",\"instrument_name\":\"")
      message.append(market.name)
      message.raw("\"}}}")
      for session in channel.subscribers { outbox.post(session.id, message) }
    }
  }
}
