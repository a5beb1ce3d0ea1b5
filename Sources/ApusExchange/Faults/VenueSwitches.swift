import Apus
import CSupport

/// What faults do to a simulated venue itself, beyond its own calls.
extension SimulatedVenue {
  /// The venue's program ends and starts again: all connections are gone, and nobody is told anything.
  ///
  /// - Parameter keepsBook: the orders are still there afterwards, of no session: they die by a cancel only. Else they
  ///   are gone. Fills and positions stay in either case.
  func restartForFault(keepsBook: Bool, now: Nanoseconds) {
    advance(to: now)
    for session in sessions.values.sorted(by: { $0.id < $1.id }) {
      if keepsBook {
        for order in session.orders { order.session = nil }
        session.orders.removeAll()
        session.byClientID.removeAll()
      }
      end(session)
    }
    if !keepsBook { cancelAll(accountList.flatMap(\.orders), deletion: .adminCancel) }
    settle(requester: nil)
    outbox.drain { _, _ in }
  }

  /// The instrument is gone, and everybody is told: its orders are cancelled. Its position is not settled.
  func expireForFault(_ name: String, now: Nanoseconds) {
    advance(to: now)
    guard let market = marketsByName[name] else { return }
    cancelAll(accountList.flatMap(\.orders).filter { $0.market === market }, deletion: .adminCancel)
    settle(requester: nil)
    guard let channel = channels["instruments"] else { return }
    message.clear()
    message.raw("{\"channel_name\":\"instruments\",\"notification\":[{\"removed\":")
    writeInstrument(message, market)
    message.raw("}]}")
    for session in channel.subscribers { outbox.post(session.id, message) }
  }

  /// The instrument gets a tick that is `factor` times finer.
  ///
  /// - Returns: whether the market flow has to count in the new ticks from now on: the venue does that itself.
  func refineTickForFault(_ name: String, factor: Int, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name], market.spec.grid.tickE8 % Int64(factor) == 0 else { return false }
    try? setTick(name, tickE8: market.spec.grid.tickE8 / Int64(factor), now: now)
    return false
  }

  public func letGo() {
    for underlying in underlyings { underlying.markets.removeAll() }
    for session in sessions.values {
      session.account = nil
      session.orders.removeAll()
      session.byClientID.removeAll()
      session.quotes.removeAll()
      session.channels.removeAll()
    }
    for account in accountList {
      account.orders.removeAll()
      account.history.removeAll()
      account.conditionals.removeAll()
      account.sessions.removeAll()
    }
    for channel in channels.values { channel.subscribers.removeAll() }
    timers = TimerQueue()
    pending.removeAll()
    newSubscriptions.removeAll()
    tradedAccounts.removeAll()
    touchedSessions.removeAll()
    finishedAccounts.removeAll()
    conditionalAccounts.removeAll()
  }

  /// The price of an execution, 10⁻⁸ USD.
  func priceE8(of fill: Fill) -> Int64 { fill.priceE8 }
}
