public import Apus
import CSupport

/// What a simulated Deribit has to do at a certain time.
enum DeribitTimer {
  case mark
  case channel(DeribitChannel)
  case userChannel(DeribitUserChannel, DeribitSession)
  case heartbeat(DeribitSession, number: UInt64)
  case idle(DeribitSession)
  /// The speed bump of a request is over.
  case held(HeldRequest)
  /// A message that was delayed.
  case post(ConnectionID, [UInt8])
  case expiries
  case settlement(at: Nanoseconds)
  case settlementEnd
}

/// A venue that speaks Deribit's protocol, without sockets and without a clock; see `VenueSimulation`.
///
/// It serves what quoting and hedging futures need: public market data, orders, edits, cancels, mass quotes with protection,
/// positions, summaries, heartbeats, cancel on disconnect, credits. Methods that it does not know get −32601, channels that
/// it does not know are left out of the answer. What is simplified: margin is the worst case over the largest leverage;
/// funding of inverse contracts is converted at the index of the moment; the fills of a transaction are told at its end.
/// Trigger orders, linked orders, icebergs and combos are refused. Numbers in comments are sections of the Deribit protocol
/// reference.
public final class DeribitVenue: ExchangeCore, VenueSimulation {
  let settings: DeribitConfiguration
  /// By market.
  var listings: [DeribitInstrument] = []
  var sessions: [ConnectionID: DeribitSession] = [:]
  var timers = TimerQueue<DeribitTimer>()
  var tokens: [String: DeribitToken] = [:]
  var channels: [String: DeribitChannel] = [:]
  /// In the order of their making.
  var channelList: [DeribitChannel] = []
  var newSubscriptions: [(session: DeribitSession, channel: DeribitChannel)] = []
  /// By market: the change id of its book.
  var changeIDs: [Int64] = []
  var lastChangeID: Int64
  var random: SplitMix
  var orderRandom: SplitMix
  var numberRandom: SplitMix
  var closeAfterReply: UInt16?
  /// The reply to the request that is being served comes later, or not at all.
  var isDeferred = false
  /// The request that is being served.
  var requestID: [UInt8]?
  var requestTime: Nanoseconds = 0
  /// Closed orders by number, beside the live ones.
  var closedByNumber: [UInt64: DeribitOrder] = [:]
  var accountEvents: [DeribitEvent] = []
  var settlementAt: Nanoseconds = 0

  // What is wrong with it (see `DeribitFaults.swift`).
  var isSettling = false
  var inMaintenance = false
  var fullQueueReplies = 0
  var repliesToLose = 0
  var refusesLogins = false

  public init(
    _ settings: DeribitConfiguration, flow: (any MarketFlow)? = nil
  ) throws(VenueError) {
    self.settings = settings
    lastChangeID = settings.firstChangeID
    random = SplitMix(seed: settings.seed ^ 0xDE21_B170)
    orderRandom = SplitMix(seed: settings.seed ^ 0x0DE2)
    numberRandom = SplitMix(seed: settings.seed ^ 0x4E0B)
    super.init(settings.core, flow: flow, firstOrderNumber: 210_049_234_017_437_153)
    guard !settings.instruments.isEmpty else { throw .configuration("a venue needs an instrument") }
    guard settings.markInterval > 0, settings.maximumOpenOrders > 0, settings.slowInterval > 0,
      settings.matchingRate > 0, settings.matchingBurst > 0, settings.cancelAllRate > 0, settings.cancelAllBurst > 0,
      settings.massQuoteRate > 0, settings.quoteRate > 0
    else { throw .configuration("rates, bursts, intervals and limits must be above 0") }
    for instrument in settings.instruments { try add(instrument) }
    for underlying in underlyings where underlying.markets.contains(where: { $0.spec.kind != .perpetual }) {
      updateMarks(of: underlying)
    }
    timers.set(.mark, at: settings.markInterval)
    scheduleSettlement()
  }

  func add(_ instrument: DeribitInstrument) throws(VenueError) {
    guard instrument.spec.kind != .combination else {
      throw .configuration("\(instrument.spec.name): combinations are not listed here")
    }
    let market = try makeMarket(instrument.spec)
    listings.append(instrument)
    changeIDs.append(lastChangeID)
    for account in accountList {
      let account = unsafeDowncast(account, to: DeribitAccount.self)
      account.averages.append(AverageCost())
      account.lastRealised.append(0)
    }
    if market.spec.kind != .perpetual {
      timers.set(.expiries, at: now + market.spec.expirySeconds * 1_000_000_000 - wallClock)
    }
  }

  func listing(_ market: Market) -> DeribitInstrument { listings[market.index] }

  func scheduleSettlement() {
    settlementAt = nextSettlement
    timers.set(.settlement(at: settlementAt), at: settlementAt)
  }

  // MARK: connections

  public func connect(_ id: ConnectionID, now: Nanoseconds) { open(id, isHTTP: false, now: now) }

  public func connectHTTP(_ id: ConnectionID, now: Nanoseconds) { open(id, isHTTP: true, now: now) }

  private func open(_ id: ConnectionID, isHTTP: Bool, now: Nanoseconds) {
    advance(to: now)
    precondition(sessions[id] == nil, "connection ids are used once")
    let session = DeribitSession(id: id, isHTTP: isHTTP, now: self.now)
    sessions[id] = session
    if !isHTTP, settings.idleTimeout > 0 { timers.set(.idle(session), at: self.now + settings.idleTimeout) }
  }

  public func receive(_ id: ConnectionID, text: UnsafeRawBufferPointer, now: Nanoseconds) {
    advance(to: now)
    guard let session = sessions[id], session.isOpen, !session.isHTTP else { return }
    note(session)
    answer(session, text)
  }

  /// Something has arrived from a connection.
  func note(_ session: DeribitSession) {
    session.lastInbound = now
    session.received += 1
    session.account?.messages += 1
    statistics.received += 1
  }

  public func pinged(_ id: ConnectionID, now: Nanoseconds) {
    advance(to: now)
    sessions[id]?.lastInbound = self.now
  }

  public func disconnected(_ id: ConnectionID, now: Nanoseconds) {
    advance(to: now)
    guard let session = sessions[id] else { return }
    end(session)
    settle()
  }

  /// Forgets a connection; cancels its orders if that was asked for.
  ///
  /// - Parameter isLogout: Cancel on disconnect does not apply.
  func end(_ session: DeribitSession, isLogout: Bool = false) {
    session.isOpen = false
    let cancels = !isLogout && (session.cancelsOnDisconnect || session.account?.cancelsOnDisconnect == true)
    for request in session.held { request.isDone = true }
    session.held.removeAll()
    for channel in session.channels { channel.subscribers.removeAll { $0 === session } }
    session.channels.removeAll()
    session.userChannels.removeAll()
    session.account?.connections.removeAll { $0 === session }
    if cancels { cancelAll(session.orders, deletion: .sessionEnd) }
    for order in session.orders { order.connection = nil }
    session.orders.removeAll()
    for (text, token) in tokens where token.connection == session.id { tokens[text] = nil }
    sessions[session.id] = nil
  }

  /// Ends a connection from this side.
  func close(_ session: DeribitSession, code: UInt16, isLogout: Bool = false) {
    guard session.isOpen else { return }
    outbox.close(session.id, code: code)
    end(session, isLogout: isLogout)
    settle()
  }

  public var servesHTTP: Bool { true }

  public func closeReason(_ code: UInt16) -> String {
    switch code {
    case Self.heartbeatClose: "heartbeat close"
    case Self.limitClose: "too_many_requests"
    default: ""
    }
  }

  static let heartbeatClose: UInt16 = 4000
  static let limitClose: UInt16 = 4001

  // MARK: time

  public var nextWake: Nanoseconds { min(timers.nextTime, flow?.nextTime ?? .max) }

  public func advance(to target: Nanoseconds) {
    pass(to: target, nextTimer: { timers.nextTime }, expire: { if let timer = timers.pop() { expire(timer) } }) {
      settle()
    }
  }

  private func expire(_ timer: DeribitTimer) {
    switch timer {
    case .mark:
      timers.set(.mark, at: now + settings.markInterval)
      if !isSilent { updateMarks() }
    case .channel(let channel):
      channel.isScheduled = false
      publish(channel)
    case .userChannel(let channel, let session):
      channel.isScheduled = false
      if session.isOpen { flush(channel, to: session) }
    case .heartbeat(let session, let number): beat(session, number)
    case .idle(let session): lookAtSilence(session)
    case .held(let request): release(request)
    case .post(let connection, let bytes):
      guard sessions[connection]?.isOpen == true else { return }
      message.clear()
      message.append(bytes)
      outbox.post(connection, message)
    case .expiries: expireDue()
    case .settlement(let time):
      guard time == settlementAt else { return }
      settleDaily()
      scheduleSettlement()
    case .settlementEnd: isSettling = false
    }
  }

  /// Index, mark and funding move; what hangs on them is told.
  private func updateMarks() {
    for underlying in underlyings {
      underlying.indexE8 = underlying.latestE8
      underlying.time = max(1, now)
    }
    for underlying in underlyings { updateMarks(of: underlying) }
    for channel in channelList where channel.isTimed { offer(channel) }
    for market in markets { offerTickers(market) }
    quoteDerived()
    for account in accountList {
      let account = unsafeDowncast(account, to: DeribitAccount.self)
      for currency in account.changedCurrencies { sendPortfolio(account, currency) }
      account.changedCurrencies.removeAll()
    }
    settle()
  }

  // MARK: heartbeats and silence (reference 3)

  func startHeartbeat(_ session: DeribitSession, _ interval: Nanoseconds) {
    session.heartbeat = interval
    session.heartbeatNumber += 1
    session.awaitsTest = false
    guard interval > 0 else { return }
    timers.set(.heartbeat(session, number: session.heartbeatNumber), at: now + interval)
  }

  private func beat(_ session: DeribitSession, _ number: UInt64) {
    guard session.isOpen, session.heartbeatNumber == number else { return }
    if session.awaitsTest {
      statistics.timeouts += 1
      close(session, code: Self.heartbeatClose)
      return
    }
    if now - session.lastInbound >= session.heartbeat {
      message.clear()
      message.raw("{\"params\":{\"type\":\"heartbeat\"},\"method\":\"heartbeat\",\"jsonrpc\":\"2.0\"}")
      outbox.post(session.id, message)
    }
    session.awaitsTest = true
    message.clear()
    message.raw("{\"params\":{\"type\":\"test_request\"},\"method\":\"heartbeat\",\"jsonrpc\":\"2.0\"}")
    outbox.post(session.id, message)
    timers.set(.heartbeat(session, number: number), at: now + session.heartbeat)
  }

  private func lookAtSilence(_ session: DeribitSession) {
    guard session.isOpen else { return }
    let isListening = !session.channels.isEmpty || !session.userChannels.isEmpty
    let limit = isListening ? 10 * settings.idleTimeout : settings.idleTimeout
    let deadline = session.lastInbound + limit
    guard now >= deadline else {
      timers.set(.idle(session), at: deadline)
      return
    }
    statistics.timeouts += 1
    close(session, code: 1001)
  }

  // MARK: what the matching tells

  override func fee(
    _ order: VenueOrder, _ market: Market, _ lots: QtyLots, priceE8: Int64, isMaker: Bool
  ) -> (feeE8: MoneyE8, rateE6: Int64) {
    let listing = listing(market)
    let rate = isMaker ? listing.makerFeeE6 : listing.takerFeeE6
    let value = abs(market.valueE8(lots: lots.rawValue, priceE8: priceE8))
    if market.spec.kind == .option {
      // A share of the underlying, at most an eighth of the price.
      let amountE8 = lots.rawValue * market.spec.grid.lotE8
      return (min(Decimal.scaled(amountE8, rate, over: 1_000_000), value / 8), rate)
    }
    return (Decimal.scaled(value, rate, over: 1_000_000), rate)
  }

  override func step(_ market: Market, at price: Int64) -> Int64 {
    let tickE8 = market.spec.grid.tickE8
    let priceE8 = price * tickE8
    return (listing(market).tickSteps.last { priceE8 > $0.aboveE8 }?.tickE8 ?? tickE8) / tickE8
  }

  override func noteFill(_ order: VenueOrder, _ market: Market) {
    let order = unsafeDowncast(order, to: DeribitOrder.self)
    let account = order.owner
    let fill = account.fills[account.fills.count - 1]
    let value = valueE16(market, lots: fill.lots.rawValue, priceE8: fill.priceE8)
    order.filledValueE16 += abs(value)
    order.updateTime = now
    account.averages[market.index].trade(side: order.side, quantity: fill.lots.rawValue, valueE16: abs(value))
    let realised = account.positions[market.index].realisedWithSettlements
    var trade = DeribitTrade(
      order: order, sequence: market.tradeCount, match: matchNumber, tick: 0, markE8: market.markE8,
      profitE8: realised - account.lastRealised[market.index], isFilled: order.remaining == .zero)
    market.recentTrades(from: market.tradeCount - 1) { trade.tick = $0.tick }
    account.lastRealised[market.index] = realised
    account.trades.append(trade)
    let currency = listing(market).settlementCurrency
    if !account.changedCurrencies.contains(currency) { account.changedCurrencies.append(currency) }
    charge(order, fill)
  }

  override func firstPrice(_ market: Market, _ prices: some Sequence<Int64>) -> Int64? {
    // Ticks are fine here: a window around the deepest level of a recording would miss the market.
    guard market.spec.kind != .option else { return nil }
    let index = market.indexE8 / market.spec.grid.tickE8
    return prices.filter { $0 > 0 }.min { abs($0 - index) < abs($1 - index) }
  }

  override func noteChange(_ order: VenueOrder, _ change: OrderChange, newFills: ArraySlice<Int>) {
    let order = unsafeDowncast(order, to: DeribitOrder.self)
    if change == .amend { order.isReplaced = true }
    order.updateTime = now
    tell(order, newFills)
  }

  override func noteEnd(_ order: VenueOrder) {
    let order = unsafeDowncast(order, to: DeribitOrder.self)
    order.updateTime = now
    order.connection?.orders.removeAll { $0 === order }
    order.connection = nil
    if order.isQuote, let group = order.protectionKey?.group {
      let key = QuoteKey(group: group, market: order.market.index, side: order.side)
      if order.owner.quotes[key] === order { order.owner.quotes[key] = nil }
    }
    if order.deletion == .protection { order.isProtectionCancelled = true }
    order.owner.closed.append(order)
    closedByNumber[order.number] = order
  }

  override func watchProtection() { triggerProtection() }

  /// The value of lots at a price, 10⁻¹⁶ of the settlement currency; positive for linear contracts, negative for inverse.
  func valueE16(_ market: Market, lots: Int64, priceE8: Int64) -> Int128 {
    let amountE8 = Int128(lots) * Int128(market.spec.grid.lotE8)
    if market.spec.isInverse {
      return -(amountE8 * 10_000_000_000_000_000 + Int128(priceE8) / 2) / Int128(priceE8)
    }
    return amountE8 * Int128(priceE8)
  }

  /// The price at which lots have that value, 10⁻⁸, to six places.
  func priceE8(_ market: Market, lots: Int64, valueE16: Int128) -> Int64 {
    guard lots != 0, valueE16 != 0 else { return 0 }
    let amountE8 = Int128(abs(lots)) * Int128(market.spec.grid.lotE8)
    let value = abs(valueE16)
    let exact = market.spec.isInverse ? (amountE8 * 100_000_000_000_000 + value / 2) / value * 100 : value / amountE8
    return Int64((exact + 50) / 100 * 100)
  }

  override func orderID(_ number: UInt64, _ market: Market) -> String { orderPrefix(market) + String(number) }

  func orderPrefix(_ market: Market) -> String {
    let currency = listing(market).settlementCurrency
    return currency == "BTC" ? "" : currency + "-"
  }

  override var namesFillsByTrades: Bool { true }

  /// As its messages have it.
  override func tradeID(of fill: Fill, _ index: Int, _ account: Account) -> String {
    guard let account = account as? DeribitAccount, index < account.trades.count else { return "\(fill.number)" }
    let market = markets[fill.market]
    return orderPrefix(market) + "\(tradeNumber(market, account.trades[index].sequence))"
  }

  // MARK: the end of a transaction

  /// Reply, what accounts hear, market data; in the order that is asked for.
  func settle(requester: DeribitSession? = nil) {
    watchReduceOnly()
    tradedAccounts.removeAll(keepingCapacity: true)
    let isLast =
      switch settings.messageOrder {
      case .replyFirst: false
      case .replyLast: true
      case .random: requester != nil && orderRandom.below(2) == 0
      }
    if let requester, !isLast { post(reply: requester) }
    flushAccountEvents()
    if let requester, isLast { post(reply: requester) }
    if !newSubscriptions.isEmpty {
      let list = newSubscriptions
      newSubscriptions.removeAll()
      for subscription in list { sendFirst(subscription.channel, to: subscription.session) }
    }
    publishMarkets()
  }

  private func post(reply session: DeribitSession) {
    guard session.isOpen else { return }
    if repliesToLose > 0 {
      repliesToLose -= 1
      return
    }
    if session.isHTTP { writeHTTP(session, reply) } else { outbox.post(session.id, reply) }
  }

  /// A message that is not a reply.
  func notify(_ session: DeribitSession, _ message: TextBuffer) {
    if settings.notificationDelay > 0 {
      timers.set(.post(session.id, Array(message.bytes)), at: now + settings.notificationDelay)
    } else {
      outbox.post(session.id, message)
    }
  }
}
