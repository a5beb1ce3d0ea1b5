import Apus
import CSupport

/// What faults do to a simulated venue itself.
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

  /// The instrument is gone: its orders are cancelled, and everybody is told.
  func expireForFault(_ name: String, now: Nanoseconds) {
    advance(to: now)
    guard let market = marketsByName[name] else { return }
    cancelAll(accountList.flatMap(\.orders).filter { $0.market === market }, deletion: .adminCancel)
    settle(requester: nil)
    announce { out in
      out.raw("{\"removed\":")
      self.writeInstrument(out, market)
      out.byte(UInt8(ascii: "}"))
    }
  }

  /// The instrument gets a tick that is `factor` times finer: its orders are cancelled, it is removed and added anew,
  /// and its book begins again, empty. What is kept in ticks is counted in the new ones.
  ///
  /// - Returns: whether the market flow has to count in the new ticks from now on.
  func refineTickForFault(_ name: String, factor: Int, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let old = marketsByName[name], old.spec.grid.tickE8 % Int64(factor) == 0 else { return false }
    var spec = old.spec
    spec.grid.tickE8 /= Int64(factor)
    cancelAll(accountList.flatMap(\.orders).filter { $0.market === old }, deletion: .adminCancel)
    settle(requester: nil)
    guard
      let market = try? Market(
        index: old.index, spec: spec, underlying: old.underlying, configuration: configuration)
    else { return false }
    market.underlying.markets.removeAll { $0 === old || $0 === market }
    market.underlying.markets.append(market)
    market.markE8 = old.markE8
    market.channels = old.channels
    market.collectsTouched = old.collectsTouched
    markets[old.index] = market
    marketsByName[name] = market
    for account in accountList {
      account.positions[old.index].cost *= Int64(factor)
      account.positions[old.index].cash *= Int64(factor)
      for index in account.fills.indices where account.fills[index].market == old.index {
        account.fills[index].price = PriceTicks(rawValue: account.fills[index].price.rawValue * Int64(factor))
      }
    }
    announce { out in
      out.raw("{\"removed\":")
      self.writeInstrument(out, old)
      out.raw("},{\"added\":")
      self.writeInstrument(out, market)
      out.byte(UInt8(ascii: "}"))
    }
    for channel in market.channels {
      prime(channel)
      for session in channel.subscribers {
        sendFirst(Subscription(session: session, target: .publicChannel(channel)))
      }
    }
    return true
  }

  /// Lets go of what holds each other in circles, so that thousands of venues fit one process. The venue's last call.
  func letGo() {
    for underlying in underlyings { underlying.markets.removeAll() }
    for session in sessions.values {
      session.account = nil
      session.orders.removeAll()
      session.byClientID.removeAll()
      session.channels.removeAll()
    }
    for account in accountList {
      account.orders.removeAll()
      account.sessions.removeAll()
    }
    for channel in channels.values { channel.subscribers.removeAll() }
    timers = TimerQueue()
    pending.removeAll()
    newSubscriptions.removeAll()
    tradedAccounts.removeAll()
  }

  /// The price of an execution, 10⁻⁸ USD.
  func priceE8(of fill: Fill) -> Int64 { fill.price.rawValue * markets[fill.market].spec.grid.tickE8 }

  /// Tells items to all who listen to the instruments.
  private func announce(_ write: (TextBuffer) -> Void) {
    guard let channel = channels["instruments"] else { return }
    message.clear()
    message.raw("{\"channel_name\":\"instruments\",\"notification\":[")
    write(message)
    message.raw("]}")
    for session in channel.subscribers { outbox.post(session.id, message) }
  }
}
