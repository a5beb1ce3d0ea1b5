import Apus
import CSupport

/// Requests in the second that is just over (protocol reference 14).
struct RateWindow {
  let limit: Int
  let length: Nanoseconds
  private var times: [Nanoseconds] = []

  init(limit: Int, length: Nanoseconds = 1_000_000_000) {
    self.limit = limit
    self.length = length
  }

  /// How many more there may be now.
  mutating func left(now: Nanoseconds) -> Int {
    times.removeAll { $0 <= now - length }
    return max(0, limit - times.count)
  }

  /// False, and nothing taken, if it is one too many.
  mutating func take(now: Nanoseconds) -> Bool {
    guard left(now: now) > 0 else { return false }
    times.append(now)
    return true
  }

  /// When the next one may come.
  func reset(now: Nanoseconds) -> Nanoseconds { times.count < limit ? now : (times.first ?? now) + length }

  /// Nothing is left.
  mutating func exhaust(now: Nanoseconds) { while take(now: now) {} }
}

/// One connection as the venue knows it.
final class BybitConnection {
  enum Kind: String, CaseIterable {
    case publicStream = "/v5/public/linear"
    case privateStream = "/v5/private"
    case trade = "/v5/trade"
    case http = ""
  }

  let id: ConnectionID
  let kind: Kind
  /// As its answers show it.
  let name: String
  var account: BybitAccount?
  var isOpen = true
  var lastInbound: Nanoseconds
  var lastOutbound: Nanoseconds
  var received: UInt64 = 0
  /// It is cut after so much silence.
  var idleTimeout: Nanoseconds
  var channels: [BybitChannel] = []
  /// Private topics as they were subscribed, in that order.
  var topics: [String] = []
  /// Trade: the ids of its requests, none of which may come again.
  var requestIDs: Set<String> = []
  var requests: RateWindow
  /// Trade: nothing new is taken on it.
  var isRestarting = false
  /// HTTP: it stays open after the response under way.
  var keepsAlive = true

  init(id: ConnectionID, kind: Kind, name: String, idleTimeout: Nanoseconds, rate: Int, now: Nanoseconds) {
    self.id = id
    self.kind = kind
    self.name = name
    self.idleTimeout = idleTimeout
    requests = RateWindow(limit: rate)
    lastInbound = now
    lastOutbound = now
  }
}

/// One execution from the side of an account, beside its `Fill` at the same place.
struct BybitTrade {
  var order: BybitOrder
  /// The call of the matching engine that made it.
  var match: UInt64
  var markE8: Int64
  /// Size, price and rest of the order behind this execution.
  var orderLots: QtyLots
  var orderPrice: PriceTicks
  var leftLots: QtyLots
  /// What of it reduced the position, and with what profit.
  var closedLots: Int64
  var profitE8: MoneyE8
}

/// A payment of funding: paid if above 0.
struct BybitFunding {
  var number: UInt64
  var market: Int
  var side: Side
  var lots: Int64
  var priceE8: Int64
  var rateE12: Int64
  var amountE8: MoneyE8
  var match: UInt64
  var time: Nanoseconds
}

/// What the list of executions has, in the order of time.
enum BybitPosting {
  /// Its place among the account's fills.
  case trade(Int)
  /// Its place among the account's payments of funding.
  case funding(Int)
}

/// What a position has beside the ledger's `Position`.
struct BybitPositionSide {
  /// Realised profit as of the last trade.
  var realisedE8: MoneyE8 = 0
  /// Profit, fees and funding up to the moment at which the present position was opened.
  var beforeE8: MoneyE8 = 0
  var fundingE8: MoneyE8 = 0
  var created: Nanoseconds?
  var opened: Nanoseconds = 0
  var updated: Nanoseconds = 0
  /// Of the last execution; `nil` if there was none.
  var match: UInt64?
  var leverageE2: Int64
}

/// The classes of requests that are counted apart.
enum BybitRateClass: Int, CaseIterable {
  case create, amend, cancel, cancelAll, createBatch, amendBatch, cancelBatch
  case orders, executions, positions, account, settings

  var isQuery: Bool { rawValue >= Self.orders.rawValue && self != .settings }
}

/// An account with its Bybit side.
final class BybitAccount: Account {
  let userID: Int64
  /// Aligned with `fills`.
  var trades: [BybitTrade] = []
  var fundings: [BybitFunding] = []
  var postings: [BybitPosting] = []
  /// By market.
  var sides: [BybitPositionSide]
  /// Its private streams.
  var streams: [BybitConnection] = []
  var tradeConnections: [BybitConnection] = []
  /// Every order there ever was, by both of its ids.
  var byID: [String: BybitOrder] = [:]
  var byLink: [String: BybitOrder] = [:]
  /// In the order of their acceptance, and of their end.
  var accepted: [BybitOrder] = []
  var closed: [BybitOrder] = []
  var rates: [RateWindow]
  /// Orders outside the price band are moved to it.
  var movesToBand = true
  /// Protection on disconnect: seconds; `nil` is off.
  var protectionSeconds: Int64?
  var protectionFrom: Nanoseconds = .max
  /// Nobody has listened since then; `nil` while somebody does, or never did.
  var unprotectedSince: Nanoseconds?

  init(
    name: String, number: Int, instruments: [BybitInstrument], clock: VenueClock, settings: BybitConfiguration
  ) {
    userID = Int64(100_000_000 + number)
    sides = instruments.map { BybitPositionSide(leverageE2: $0.leverage * 100) }
    rates = BybitRateClass.allCases.map { RateWindow(limit: $0.isQuery ? settings.queryRate : settings.orderRate) }
    super.init(
      name: name, owner: UInt32(number), instruments: instruments.count, clock: clock,
      initialCashE8: settings.initialBalanceE8)
  }
}

/// A participant's order with its Bybit side.
final class BybitOrder: VenueOrder {
  enum Lifetime: String, CaseIterable {
    case goodTillCancelled = "GTC"
    case immediateOrCancel = "IOC"
    case fillOrKill = "FOK"
    case postOnly = "PostOnly"
  }

  let id: String
  let link: String
  let lifetime: Lifetime
  let selfMatch: BybitConfiguration.SelfMatch
  let lastPriceE8: Int64
  /// The order that it met of its own account's.
  var counterID = ""
  /// Why it ended, or why an amend failed, if its `deletion` does not say it.
  var reason: StaticString?
  var cancelType: StaticString?
  var updateTime: Nanoseconds
  var valueE8: MoneyE8 = 0
  var feeE8: MoneyE8 = 0
  var profitE8: MoneyE8 = 0

  init(
    number: UInt64, id: String, account: BybitAccount, market: Market, side: Side, isMarket: Bool, lifetime: Lifetime,
    selfMatch: BybitConfiguration.SelfMatch, isReduceOnly: Bool, link: String, now: Nanoseconds, price: PriceTicks,
    amount: QtyLots
  ) {
    self.id = id
    self.link = link
    self.lifetime = lifetime
    self.selfMatch = selfMatch
    lastPriceE8 = (market.lastPrice?.rawValue ?? 0) * market.spec.grid.tickE8
    updateTime = now
    super.init(
      number: number, account: account, market: market, session: nil, side: side, isMarket: isMarket,
      isImmediate: lifetime == .immediateOrCancel || lifetime == .fillOrKill, isReduceOnly: isReduceOnly,
      isPersistent: true, clientID: nil, label: link.isEmpty ? nil : link, createTime: now, price: price,
      amount: amount)
  }

  var owner: BybitAccount { unsafeDowncast(account, to: BybitAccount.self) }
}
