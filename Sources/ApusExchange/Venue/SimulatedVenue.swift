public import Apus
import CSupport

/// A venue that speaks the Thalex protocol, without sockets and without a clock.
///
/// Connection events, messages and time go in; messages come out through `drain`. Every call
/// that takes a time first does what was due until then. Times are nanoseconds since the venue's
/// start and never run backwards. Not thread-safe: one thread at a time owns it. The same
/// configuration, seed, flow and calls give the same bytes.
///
/// It serves what quoting needs, on perpetuals, futures, options and listed rolls; other methods get error 31 (37 where
/// the real venue knows them), other channels and ad-hoc combinations are not accepted. What is simplified: it checks no
/// margin and shows 2 % of the worst case as required; rolls have books of their own without implied matching; values named after 24 hours count from the start; marks of options and of futures without a flow
/// come from a model (`Derived.swift`). All fills are kept for as long as it lives.
public final class SimulatedVenue: ExchangeCore, VenueSimulation {
  let verifier: (any TokenVerifier)?
  var sessions: [ConnectionID: Session] = [:]
  var channels: [String: Channel] = [:]
  @exclusivity(unchecked) var underlyingChannels: [Channel] = []
  // Looked at in every step of a simulation, and by one thread: not checked for overlapping accesses at run time.
  @exclusivity(unchecked) var timers = TimerQueue<VenueTimer>()
  var settlementAt: Nanoseconds = 0
  var tokenTimes: [String: Nanoseconds] = [:]
  var delays: SplitMix

  /// An order update that waits for the end of the transaction.
  struct PendingItem {
    var session: Session?
    var account: Account
    var offset: Int
    var length: Int
    var isPersistent: Bool
  }
  @exclusivity(unchecked) var pending: [PendingItem] = []
  /// Sessions whose quotes traded since the last look at their protection.
  @exclusivity(unchecked) var touchedSessions: [Session] = []
  @exclusivity(unchecked) var pendingProtection: [ProtectionItem] = []
  /// Accounts with orders that ended in this transaction.
  @exclusivity(unchecked) var finishedAccounts: [Account] = []
  @exclusivity(unchecked) var conditionalAccounts: [Account] = []
  var nextConditional: UInt64 = 0x0001_1E57_0000_0000
  var requests: [RequestForQuote] = []
  var nextRequest: UInt64 = 0x0000_0000_00A1_0000
  @exclusivity(unchecked) var requestNews: [RequestNews] = []
  /// Every login is refused with error 19 (fault injection).
  public var refusesLogins = false
  @exclusivity(unchecked) var newSubscriptions: [Subscription] = []
  var closeAfterReply: UInt16?

  /// - Throws: `VenueError` for a configuration that makes no venue, or if memory is short.
  public init(
    _ configuration: VenueConfiguration, flow: (any MarketFlow)? = nil, verifier: (any TokenVerifier)? = nil
  ) throws(VenueError) {
    self.verifier = verifier
    delays = SplitMix(seed: configuration.seed)
    super.init(configuration, flow: flow, firstOrderNumber: VenueOrder.numberBase)
    guard !configuration.instruments.isEmpty else { throw .configuration("a venue needs an instrument") }
    guard configuration.messageRate > 0, configuration.sessionMessageRate > 0, configuration.cancelRate > 0,
      configuration.markInterval > 0, configuration.summaryInterval > 0, configuration.maximumOpenOrders > 0
    else { throw .configuration("rates, intervals and limits must be above 0") }
    for spec in configuration.instruments { _ = try add(spec) }
    for underlying in underlyings where underlying.markets.contains(where: { $0.spec.kind != .perpetual }) {
      updateMarks(of: underlying)
    }
    timers.set(.mark, at: configuration.markInterval)
    timers.set(.summary, at: configuration.summaryInterval)
    scheduleSettlement()
  }

  /// The daily settlement by the wall clock as it is now.
  func scheduleSettlement() {
    settlementAt = nextSettlement
    timers.set(.settlement(at: settlementAt), at: settlementAt)
  }

  // MARK: connections

  /// A connection was accepted. The id must not have been used before.
  public func connect(_ id: ConnectionID, now: Nanoseconds) {
    advance(to: now)
    precondition(sessions[id] == nil, "connection ids are used once")
    sessions[id] = Session(id: id, now: self.now, configuration: configuration)
  }

  /// A text message arrived; `text` is its whole payload. Ignored if the connection is gone.
  public func receive(_ id: ConnectionID, text: UnsafeRawBufferPointer, now: Nanoseconds) {
    advance(to: now)
    guard let session = sessions[id], session.isOpen else { return }
    session.lastInbound = self.now
    session.received += 1
    session.account?.messages += 1
    statistics.received += 1
    answer(session, text)
  }

  /// As above, for text in memory.
  public func receive(_ id: ConnectionID, text: String, now: Nanoseconds) {
    var text = text
    text.withUTF8 { receive(id, text: UnsafeRawBufferPointer($0), now: now) }
  }

  /// A ping, or any other frame that carries no message, arrived.
  public func pinged(_ id: ConnectionID, now: Nanoseconds) {
    advance(to: now)
    sessions[id]?.lastInbound = self.now
  }

  /// The connection is gone: its non-persistent orders die at once. Harmless if repeated.
  public func disconnected(_ id: ConnectionID, now: Nanoseconds) {
    advance(to: now)
    guard let session = sessions[id] else { return }
    end(session)
    settle(requester: nil)
  }

  /// Cancels what dies with a connection and forgets it.
  func end(_ session: Session) {
    session.isOpen = false
    session.privateChannels = []
    session.protection.removeAll()
    endQuotes(of: session)
    cancelAll(session.orders.filter { !$0.isPersistent }, deletion: .sessionEnd)
    for order in session.orders { order.session = nil }
    session.orders.removeAll()
    session.quotes.removeAll()
    session.byClientID.removeAll()
    for channel in session.channels { channel.subscribers.removeAll { $0 === session } }
    session.channels.removeAll()
    session.privateChannels = []
    session.account?.sessions.removeAll { $0 === session }
    sessions[session.id] = nil
  }

  /// Announces the end of all connections on channel `system` (reference 1.3).
  public func announceReconnect(now: Nanoseconds) {
    advance(to: now)
    guard let channel = channels["system"] else { return }
    message.clear()
    message.raw("{\"channel_name\":\"system\",\"notification\":{\"event\":\"reconnect\"}}")
    for session in channel.subscribers { outbox.post(session.id, message) }
  }

  // MARK: time

  /// When `advance` has something to do next; `.max` if never.
  public var nextWake: Nanoseconds { min(timers.nextTime, flow?.nextTime ?? .max) }

  /// Does everything that is due until `target`, in the order of time.
  public func advance(to target: Nanoseconds) {
    pass(to: target, nextTimer: { timers.nextTime }, expire: { if let timer = timers.pop() { expire(timer) } }) {
      settle(requester: nil)
    }
  }

  private func expire(_ timer: VenueTimer) {
    switch timer {
    case .mark:
      timers.set(.mark, at: now + configuration.markInterval)
      if !isSilent { updateMarks() }
    case .summary:
      timers.set(.summary, at: now + configuration.summaryInterval)
      for account in accountList { sendSummary(account) }
    case .silence(let session):
      guard session.isOpen, session.nextLook == now else { return }
      let deadline = session.lastInbound + session.timeout
      if now < deadline {
        session.nextLook = deadline
        timers.set(.silence(session), at: deadline)
        return
      }
      expireSession(session)
    case .channel(let channel):
      channel.isScheduled = false
      publish(channel)
    case .expiries: expireDue()
    case .settlement(let time):
      guard time == settlementAt else { return }
      settleDaily()
      scheduleSettlement()
    case .orderHistory(let account, let orders): deliver(account, orders: orders)
    case .closure(let connections): close(connections)
    case .delivery(let account, let fills, let markets):
      deliver(account, fills: fills, markets: markets)
    }
  }

  /// Silence for longer than promised: first the orders, then the connection (section 11).
  private func expireSession(_ session: Session) {
    statistics.timeouts += 1
    cancelAll(session.orders.filter { !$0.isPersistent }, deletion: .sessionEnd)
    settle(requester: session)
    outbox.close(session.id, code: 1001)
    end(session)
    settle(requester: nil)
  }

  // MARK: what the matching tells

  override func noteChange(_ order: VenueOrder, _ change: OrderChange, newFills: ArraySlice<Int>) {
    notify(order, change: change, newFills: newFills)
  }
  override func noteQuoteTrade(_ order: VenueOrder, _ lots: QtyLots) { charge(order, lots) }
  override func watchProtection() { evaluateProtection() }
  override func noteEnd(_ order: VenueOrder) { recordHistory(order) }

  // MARK: output

  /// The end of a transaction: reply, order notifications, market data, later the account's feeds.
  func settle(requester: Session?, hasReply: Bool = false) {
    watchReduceOnly()
    if hasReply, let requester, !configuration.notifiesBeforeReply { outbox.post(requester.id, reply) }
    flushOrderNotifications(requester: requester)
    flushProtection()
    flushConditionals()
    flushRequestNews()
    if hasReply, let requester, configuration.notifiesBeforeReply { outbox.post(requester.id, reply) }
    if !newSubscriptions.isEmpty {
      let list = newSubscriptions
      newSubscriptions.removeAll()
      for subscription in list { sendFirst(subscription) }
    }
    publishMarkets()
    scheduleHistory()
    scheduleDeliveries()
  }
}
