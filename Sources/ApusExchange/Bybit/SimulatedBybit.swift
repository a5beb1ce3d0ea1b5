public import Apus
import CSupport

/// What a simulated Bybit has to do at a certain time.
enum BybitTimer {
  case mark
  case channel(BybitChannel)
  /// The level-1 topic has been silent.
  case silence(BybitChannel)
  case idle(BybitConnection)
  /// A message that was delayed.
  case post(ConnectionID, [UInt8])
  case funding(at: Nanoseconds)
  /// Orders of an account without a listener may have to go.
  case protection(BybitAccount)
}

/// A venue that speaks Bybit's V5 protocol for linear perpetuals in USDT, without sockets and without a clock; see
/// `VenueSimulation`. (`BybitVenue` are the engine's facts about the real one.)
///
/// ```swift
/// init(_ settings: BybitConfiguration, flow: (any MarketFlow)? = nil) throws(VenueError)
/// // WebSockets: the target of the handshake says which of the three it is.
/// func connect(_ id: ConnectionID, target: String, now: Nanoseconds)     // "/v5/private", a query may follow
/// func receive(_ id: ConnectionID, text: UnsafeRawBufferPointer, now: Nanoseconds)   // or text: String
/// func pinged(_ id: ConnectionID, now: Nanoseconds)
/// func disconnected(_ id: ConnectionID, now: Nanoseconds)
/// func advance(to: Nanoseconds); var nextWake: Nanoseconds
/// func drain(_ deliver: (ConnectionID, Outgoing) -> Void)
/// // REST, without a connection; `headers` by name in lower case.
/// func rest(method: String, path: String, query: String, headers: [String: String], body: [UInt8], now: Nanoseconds)
///   -> BybitRestResponse                                                  // status, headers, body
/// // The same through an HTTP connection: connectHTTP, receive(_:request:now:).
/// ```
///
/// It serves what quoting needs: public market data, orders, amends, cancels and batches of them over WebSocket and REST,
/// account streams, queries with pages, rate limits, protection on disconnect, funding. What is simplified: one position
/// mode (one-way), one margin for all (value over leverage), no liquidation, no conditional orders, no attached take-profit
/// or stop-loss: these are refused. Numbers in comments are sections of the Bybit protocol reference.
public final class SimulatedBybit: ExchangeCore, VenueSimulation {
  let settings: BybitConfiguration
  var connections: [ConnectionID: BybitConnection] = [:]
  var timers = TimerQueue<BybitTimer>()
  var channels: [String: BybitChannel] = [:]
  /// In the order of their making.
  var channelList: [BybitChannel] = []
  /// What the request that is being served makes somebody hear behind its answer.
  var newSubscriptions: [(connection: BybitConnection, channel: BybitChannel)] = []
  /// By market: the call of the matching engine that last changed its book.
  var bookMatches: [UInt64] = []
  var accountEvents: [BybitEvent] = []
  var random: SplitMix
  var orderRandom: SplitMix
  var addresses: RateWindow
  /// By market: when funding is paid next.
  private var fundingTimes: [Nanoseconds] = []
  private var fundingAt: Nanoseconds = 0
  /// What is wrong with it.
  var faults = BybitFaults()

  public init(
    _ settings: BybitConfiguration, flow: (any MarketFlow)? = nil
  ) throws(VenueError) {
    self.settings = settings
    random = SplitMix(seed: settings.seed ^ 0xB1B1_7000)
    orderRandom = SplitMix(seed: settings.seed ^ 0x0B1B)
    addresses = RateWindow(limit: settings.addressRate, length: 5_000_000_000)
    super.init(settings.core, flow: flow, firstOrderNumber: 1)
    guard !settings.instruments.isEmpty else { throw .configuration("a venue needs an instrument") }
    guard settings.markInterval > 0, settings.maximumOpenOrders > 0, settings.tickerPeriod > 0,
      settings.priceLimitPeriod > 0, settings.orderRate > 0, settings.queryRate > 0, settings.addressRate > 0,
      settings.recordsPerMessage > 0
    else { throw .configuration("rates, periods and limits must be above 0") }
    for instrument in settings.instruments {
      guard instrument.leverage > 0, instrument.maximumLeverage >= instrument.leverage, instrument.fundingMinutes > 0,
        instrument.maximumLots > 0, instrument.maximumMarketLots > 0, instrument.spec.kind == .perpetual,
        !instrument.spec.isInverse
      else {
        throw .configuration(
          "\(instrument.spec.name): it must be a linear perpetual, with leverage, sizes and a funding interval above 0")
      }
      _ = try makeMarket(instrument.spec)
      bookMatches.append(0)
    }
    timers.set(.mark, at: settings.markInterval)
    scheduleFunding()
  }

  func listing(_ market: Market) -> BybitInstrument { settings.instruments[market.index] }

  // MARK: connections

  public func connect(_ id: ConnectionID, now: Nanoseconds) {
    connect(id, target: BybitConnection.Kind.publicStream.rawValue, now: now)
  }

  /// A WebSocket was accepted. The id must not have been used before.
  ///
  /// - Parameter target: Path and query of its handshake; the path is one of `webSocketPaths`.
  public func connect(_ id: ConnectionID, target: String, now: Nanoseconds) {
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    guard let kind = BybitConnection.Kind(rawValue: String(parts[0])), kind != .http else {
      preconditionFailure("\(target) is no path of a WebSocket of Bybit")
    }
    var timeout = settings.idleTimeout
    if kind != .publicStream, parts.count > 1, let seconds = Self.activeSeconds(parts[1]), timeout > 0 {
      timeout = seconds * 1_000_000_000
    }
    open(id, kind, timeout: timeout, now: now)
  }

  public var webSocketPaths: [String] { BybitConnection.Kind.allCases.filter { $0 != .http }.map(\.rawValue) }

  public func connectHTTP(_ id: ConnectionID, now: Nanoseconds) { open(id, .http, timeout: 0, now: now) }

  private func open(_ id: ConnectionID, _ kind: BybitConnection.Kind, timeout: Nanoseconds, now: Nanoseconds) {
    advance(to: now)
    precondition(connections[id] == nil, "connection ids are used once")
    var name = uuid(.connection, id.rawValue)
    if kind != .publicStream {
      // Other services, another form.
      name = name.filter { $0 != "-" }.prefix(20) + (kind == .trade ? "-2t" : "-p")
    }
    let connection = BybitConnection(
      id: id, kind: kind, name: name, idleTimeout: timeout,
      rate: settings.connectionRate > 0 ? settings.connectionRate : .max, now: self.now)
    connections[id] = connection
    if timeout > 0 { timers.set(.idle(connection), at: self.now + limit(connection)) }
  }

  /// `max_active_time` of a query, 30 s to 10 min; `nil` without.
  private static func activeSeconds(_ query: Substring) -> Int64? {
    for item in query.split(separator: "&") where item.hasPrefix("max_active_time=") {
      let text = item.dropFirst("max_active_time=".count)
      guard let number = Int64(text.dropLast()), let unit = text.last, unit == "s" || unit == "m" else { return nil }
      return max(30, min(600, unit == "m" ? number.multipliedReportingOverflow(by: 60).partialValue : number))
    }
    return nil
  }

  public func receive(_ id: ConnectionID, text: UnsafeRawBufferPointer, now: Nanoseconds) {
    advance(to: now)
    guard let connection = connections[id], connection.isOpen, connection.kind != .http else { return }
    connection.lastInbound = self.now
    connection.received += 1
    connection.account?.messages += 1
    statistics.received += 1
    answer(connection, text)
  }

  public func pinged(_ id: ConnectionID, now: Nanoseconds) {
    advance(to: now)
    connections[id]?.lastInbound = self.now
  }

  public func disconnected(_ id: ConnectionID, now: Nanoseconds) {
    advance(to: now)
    guard let connection = connections[id] else { return }
    end(connection)
    settle()
  }

  /// Forgets a connection. Orders stay; who protected them may be gone (15).
  func end(_ connection: BybitConnection) {
    connection.isOpen = false
    for channel in connection.channels { leave(connection, channel) }
    if let account = connection.account {
      let protected = connection.topics.contains(Self.protectionTopic)
      account.streams.removeAll { $0 === connection }
      account.tradeConnections.removeAll { $0 === connection }
      if protected { lookAtProtection(account) }
    }
    connection.topics.removeAll()
    connections[connection.id] = nil
  }

  /// Ends a connection from this side.
  func close(_ connection: BybitConnection, code: UInt16) {
    guard connection.isOpen else { return }
    outbox.close(connection.id, code: code)
    end(connection)
    settle()
  }

  public var servesHTTP: Bool { true }

  // MARK: time

  public var nextWake: Nanoseconds { min(timers.nextTime, flow?.nextTime ?? .max) }

  public func advance(to target: Nanoseconds) {
    pass(to: target, nextTimer: { timers.nextTime }, expire: { if let timer = timers.pop() { expire(timer) } }) {
      settle()
    }
  }

  private func expire(_ timer: BybitTimer) {
    switch timer {
    case .mark:
      timers.set(.mark, at: now + settings.markInterval)
      guard !isSilent else { return }
      for underlying in underlyings {
        underlying.indexE8 = underlying.latestE8
        underlying.time = max(1, now)
        updateMarks(of: underlying)
      }
      for channel in channelList where channel.followsMark { offer(channel) }
      settle()
    case .channel(let channel):
      channel.isScheduled = false
      publish(channel)
    case .silence(let channel): repeatTop(channel)
    case .idle(let connection): lookAtSilence(connection)
    case .post(let id, let bytes):
      guard connections[id]?.isOpen == true else { return }
      message.clear()
      message.append(bytes)
      outbox.post(id, message)
    case .funding(let time): if time == fundingAt { payFunding() }
    case .protection(let account): lookAtProtection(account)
    }
  }

  private func limit(_ connection: BybitConnection) -> Nanoseconds {
    let isTopicless = connection.kind == .publicStream && connection.channels.isEmpty
    return isTopicless && settings.topiclessTimeout > 0
      ? min(connection.idleTimeout, settings.topiclessTimeout) : connection.idleTimeout
  }

  private func lookAtSilence(_ connection: BybitConnection) {
    guard connection.isOpen else { return }
    let deadline = max(connection.lastInbound, connection.lastOutbound) + limit(connection)
    guard now >= deadline else {
      timers.set(.idle(connection), at: deadline)
      return
    }
    statistics.timeouts += 1
    close(connection, code: 1001)
  }

  // MARK: funding (17)

  func scheduleFunding() {
    fundingTimes = settings.instruments.map { instrument in
      let period = instrument.fundingMinutes * 60_000_000_000
      return now + period - wallClock % period
    }
    fundingAt = fundingTimes.min() ?? .max
    timers.set(.funding(at: fundingAt), at: fundingAt)
  }

  /// When funding of an instrument is paid next, nanoseconds since the Unix epoch.
  func nextFunding(_ market: Market) -> Nanoseconds { wall(fundingTimes[market.index]) }

  private func payFunding() {
    for market in markets where fundingTimes[market.index] <= now {
      for account in accountList {
        payFunding(unsafeDowncast(account, to: BybitAccount.self), market)
      }
    }
    scheduleFunding()
    settle()
  }

  private func payFunding(_ account: BybitAccount, _ market: Market) {
    let lots = account.positions[market.index].lots
    guard lots != 0 else { return }
    let value = market.valueE8(lots: lots, priceE8: market.markE8)
    let amount = Decimal.scaled(value, market.fundingRateE12, over: 1_000_000_000_000)
    matchNumber &+= 1
    account.postings.append(.funding(account.fundings.count))
    account.fundings.append(
      BybitFunding(
        number: nextFillNumber, market: market.index, side: lots > 0 ? .buy : .sell, lots: abs(lots),
        priceE8: market.markE8, rateE12: market.fundingRateE12, amountE8: amount, match: matchNumber, time: now))
    nextFillNumber += 1
    account.sides[market.index].fundingE8 += amount
    account.sides[market.index].updated = now
    tellFunding(account, market)
  }

  // MARK: what the matching tells

  override func fee(
    _ order: VenueOrder, _ market: Market, _ lots: QtyLots, priceE8: Int64, isMaker: Bool
  ) -> (feeE8: MoneyE8, rateE6: Int64) {
    let rate = isMaker ? listing(market).makerFeeE6 : listing(market).takerFeeE6
    return (Decimal.scaled(market.valueE8(lots: lots.rawValue, priceE8: priceE8), rate, over: 1_000_000), rate)
  }

  override func noteFill(_ order: VenueOrder, _ market: Market) {
    let order = unsafeDowncast(order, to: BybitOrder.self)
    let account = order.owner
    let fill = account.fills[account.fills.count - 1]
    let position = account.positions[market.index]
    let signed = order.side.sign * fill.lots.rawValue
    let before = position.lots - signed
    let closed = before != 0 && (before > 0) != (signed > 0) ? min(abs(before), abs(signed)) : 0
    let profit = position.realised - account.sides[market.index].realisedE8
    order.updateTime = now
    order.valueE8 += market.valueE8(lots: fill.lots.rawValue, priceE8: fill.priceE8)
    order.feeE8 += fill.feeE8
    order.profitE8 += profit
    account.postings.append(.trade(account.trades.count))
    account.trades.append(
      BybitTrade(
        order: order, match: matchNumber, markE8: market.markE8, orderLots: order.amount, orderPrice: order.price,
        leftLots: order.remaining, closedLots: closed, profitE8: profit))
    noteSide(account, market, before: before, feeE8: fill.feeE8)
  }

  private func noteSide(_ account: BybitAccount, _ market: Market, before: Int64, feeE8: MoneyE8) {
    let position = account.positions[market.index]
    var side = account.sides[market.index]
    if before == 0 || (before > 0) != (position.lots > 0) && position.lots != 0 {
      // A new position: its profit begins here, the fee of its opening included.
      side.beforeE8 = position.realised - (position.feesE8 - feeE8) - side.fundingE8
      side.opened = now
    }
    side.realisedE8 = position.realised
    if side.created == nil { side.created = now }
    side.updated = now
    side.match = matchNumber
    account.sides[market.index] = side
  }

  override func firstPrice(_ market: Market, _ prices: some Sequence<Int64>) -> Int64? {
    // A window around the deepest level of a recording would miss the market.
    let index = market.indexE8 / market.spec.grid.tickE8
    return prices.filter { $0 > 0 }.min { abs($0 - index) < abs($1 - index) }
  }

  override func noteChange(_ order: VenueOrder, _ change: OrderChange, newFills: ArraySlice<Int>) {
    let order = unsafeDowncast(order, to: BybitOrder.self)
    order.updateTime = now
    tell(order, newFills)
  }

  override func noteEnd(_ order: VenueOrder) {
    let order = unsafeDowncast(order, to: BybitOrder.self)
    order.updateTime = now
    order.owner.closed.append(order)
  }

  override func orderID(_ number: UInt64, _ market: Market) -> String { uuid(.order, number) }
  override func tradeID(of fill: Fill, _ index: Int, _ account: Account) -> String { uuid(.execution, fill.number) }

  enum IDKind: UInt64 { case order = 1, execution, publicTrade, connection, message, trace }

  /// The id of the thing of that number: it looks like chance, and is the same for the same seed.
  func uuid(_ kind: IDKind, _ number: UInt64) -> String {
    var mix = SplitMix(seed: settings.seed ^ kind.rawValue << 56 ^ number &* 0xD134_2543_DE82_EF95)
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(36)
    for (index, word) in [mix.next(), mix.next()].enumerated() {
      for place in 0..<16 {
        if index == 0 ? place == 8 || place == 12 : place == 0 || place == 4 { text.append(UInt8(ascii: "-")) }
        text.append(digits[Int(word >> UInt64(60 - 4 * place) & 15)])
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The number in the stream of all matching that a call of the engine stands for.
  func sequence(_ match: UInt64) -> Int64 { 9_688_537_112 + Int64(match) }

  // MARK: the end of a transaction

  /// Answer, what accounts hear, market data; in the order that is asked for.
  func settle(requester: BybitConnection? = nil) {
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
      for subscription in list { sendFirst(subscription.channel, to: subscription.connection) }
    }
    publishMarkets()
  }

  private func post(reply connection: BybitConnection) {
    guard connection.kind != .http else { return }
    if faults.repliesToLose > 0, connection.kind == .trade {
      faults.repliesToLose -= 1
      return
    }
    post(connection, reply)
  }

  /// Sends a message, as late as messages are.
  func post(_ connection: BybitConnection, _ text: TextBuffer, later: Nanoseconds = 0) {
    guard connection.isOpen, !faults.silent.contains(connection.kind) else { return }
    connection.lastOutbound = now
    let delay = settings.messageDelay + later
    if delay > 0 {
      timers.set(.post(connection.id, Array(text.bytes)), at: now + delay)
    } else {
      outbox.post(connection.id, text)
    }
  }
}
