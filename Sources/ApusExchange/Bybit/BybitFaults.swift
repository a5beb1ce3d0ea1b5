public import Apus
import CSupport

/// What is wrong with a venue at the moment.
struct BybitFaults {
  var silent: Set<BybitConnection.Kind> = []
  var repliesToLose = 0
  var reportsToLose: [String: Int] = [:]
  var executionsToRepeat = 0
  var repeatDelay: Nanoseconds = 0
  var executionDelay: Nanoseconds = 0
  var refusals = 0
  var refusal = BybitRefusal.serverError
  var refusalsAreLies = false
  var lateCancels = 0
  var refusesLogins = false
  var isDown = false

  /// A message of a private topic gets lost.
  mutating func takes(_ topic: String) -> Bool {
    for name in [topic, ""] {
      if let left = reportsToLose[name], left > 0 {
        reportsToLose[name] = left - 1
        return true
      }
    }
    return false
  }
}

/// Which connections a fault is about.
public enum BybitSocket: String, Sendable, CaseIterable {
  case publicStream, privateStream, trade

  var kind: BybitConnection.Kind {
    switch self {
    case .publicStream: .publicStream
    case .privateStream: .privateStream
    case .trade: .trade
    }
  }
}

/// What goes wrong at a venue, on demand: for tests and for fault injection. Each call first does what was due until its
/// time, and may be made at any time between other calls (19).
extension SimulatedBybit {
  private func books(_ name: String) -> [BybitChannel] {
    channelList.filter { $0.depth != nil && $0.market.spec.name == name }
  }

  /// The next `count` messages on every book topic of an instrument get lost: their numbers have a gap. False if it is not
  /// listed.
  @discardableResult
  public func loseBookMessages(_ name: String, count: Int = 1, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard marketsByName[name] != nil else { return false }
    for channel in books(name) { channel.messagesToLose += count }
    return true
  }

  /// A snapshot on every book topic of an instrument that is listened to; with `isRestart` it has the number 1.
  public func resendBooks(_ name: String, isRestart: Bool, now: Nanoseconds) {
    advance(to: now)
    for channel in books(name) { sendSnapshot(channel, isRestart: isRestart) }
  }

  /// The next `count` answers on trade connections are never sent, though what was asked for is done.
  public func loseReplies(count: Int, now: Nanoseconds) {
    advance(to: now)
    faults.repliesToLose += count
  }

  /// The next `count` messages of a private topic (`order`, `execution`, `execution.fast`, `position`, `wallet`, or any of
  /// them) are never sent.
  public func loseReports(_ topic: String? = nil, count: Int, now: Nanoseconds) {
    advance(to: now)
    faults.reportsToLose[topic ?? "", default: 0] += count
  }

  /// The next `count` messages with executions come twice, the second time later by `delay`.
  public func repeatExecutions(count: Int, delay: Nanoseconds = 0, now: Nanoseconds) {
    advance(to: now)
    faults.executionsToRepeat += count
    faults.repeatDelay = delay
  }

  /// Messages with executions come so much later than the others, until it is set to 0.
  public func delayExecutions(by delay: Nanoseconds, now: Nanoseconds) {
    advance(to: now)
    faults.executionDelay = delay
  }

  /// The next `count` order requests get an error.
  ///
  /// - Parameter isLie: What was asked for is done all the same, as after a 10016.
  public func refuseOrders(count: Int, code: Int64 = 10_016, isLie: Bool = false, now: Nanoseconds) {
    advance(to: now)
    faults.refusals += count
    faults.refusal = code == 10_016 ? .serverError : code == 10_006 ? .tooMany : BybitRefusal(code, "fault \(code)")
    faults.refusalsAreLies = isLie
  }

  /// The next `count` cancels of filled orders are acknowledged, and told by a second record of the filled order (8.1).
  public func acknowledgeLateCancels(count: Int, now: Nanoseconds) {
    advance(to: now)
    faults.lateCancels += count
  }

  /// Nothing is said any more on one kind of connection, and what should have been said is lost.
  public func setSilence(_ socket: BybitSocket, _ isOn: Bool, now: Nanoseconds) {
    advance(to: now)
    if isOn { faults.silent.insert(socket.kind) } else { faults.silent.remove(socket.kind) }
  }

  public func refuseLogins(_ isOn: Bool, now: Nanoseconds) {
    advance(to: now)
    faults.refusesLogins = isOn
  }

  /// Order requests and private queries get 10016 until it is over.
  public func setMaintenance(_ isOn: Bool, now: Nanoseconds) {
    advance(to: now)
    faults.isDown = isOn
  }

  /// Every trade connection that there is gets 10019 for each new request from now on.
  public func restartTrade(now: Nanoseconds) {
    advance(to: now)
    for connection in connections.values where connection.kind == .trade { connection.isRestarting = true }
  }

  /// Connections are closed: all, or those of one kind, of one account.
  public func disconnectAll(
    _ socket: BybitSocket? = nil, account name: String? = nil, code: UInt16 = 1001, now: Nanoseconds
  ) {
    advance(to: now)
    for connection in connections.values.sorted(by: { $0.id < $1.id })
    where connection.kind != .http && (socket == nil || connection.kind == socket?.kind)
      && (name == nil || connection.account?.name == name)
    {
      close(connection, code: code)
    }
  }

  /// An account's allowance of this second is gone: its next requests get 10006.
  public func drainRates(_ name: String, now: Nanoseconds) {
    advance(to: now)
    guard let account = accounts[name] else { return }
    let own = unsafeDowncast(account, to: BybitAccount.self)
    for index in own.rates.indices { own.rates[index].exhaust(now: self.now) }
  }

  /// The venue goes down and comes back: every connection is closed.
  ///
  /// - Parameter keepingBook: Orders survive. Else they are gone without a word. Positions and executions survive in any
  ///   case.
  public func restart(keepingBook: Bool, now: Nanoseconds) {
    disconnectAll(now: now)
    if !keepingBook {
      cancelAll(accountList.flatMap(\.orders), deletion: .failover)
      settle()
    }
  }

  /// Refuses orders for an instrument with 110066 until `resume`; its market stands still. False if it is not listed.
  @discardableResult
  public func halt(_ name: String, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name] else { return false }
    market.isHalted = true
    return true
  }

  /// Ends a halt; the market flow catches up at once. False if it is not listed.
  @discardableResult
  public func resume(_ name: String, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name] else { return false }
    catchUp(market)
    settle()
    return true
  }

  /// The venue's wall clock is off by this from now on, compared with its start.
  public func setClockOffset(_ offset: Nanoseconds, now: Nanoseconds) {
    advance(to: now)
    clock.set(offset: offset, at: self.now)
    scheduleFunding()
  }

  public func letGo() {
    for underlying in underlyings { underlying.markets.removeAll() }
    for connection in connections.values {
      connection.account = nil
      connection.channels.removeAll()
    }
    for account in accountList {
      let account = unsafeDowncast(account, to: BybitAccount.self)
      account.orders.removeAll()
      account.accepted.removeAll()
      account.closed.removeAll()
      account.trades.removeAll()
      account.byID.removeAll()
      account.byLink.removeAll()
      account.streams.removeAll()
      account.tradeConnections.removeAll()
    }
    for channel in channelList { channel.subscribers.removeAll() }
    timers = TimerQueue()
    accountEvents.removeAll()
    newSubscriptions.removeAll()
    tradedAccounts.removeAll()
  }
}
