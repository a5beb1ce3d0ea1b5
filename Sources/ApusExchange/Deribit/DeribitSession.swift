import Apus
import CSupport

/// A leaky bucket of credits, as one integer: the time at which it is full again.
struct CreditBucket {
  private let capacity: Nanoseconds
  private let unit: Nanoseconds
  private var fullAt: Nanoseconds = .min / 2

  /// - Parameters:
  ///   - rate: Requests a second in the long run.
  ///   - burst: Requests that a full bucket allows.
  init(rate: Int, burst: Int) {
    unit = 1_000_000_000 / Int64(max(1, rate))
    capacity = unit * Int64(max(1, burst))
  }

  mutating func take(_ count: Int = 1, now: Nanoseconds) -> Bool {
    let after = max(fullAt, now) + unit * Int64(count)
    guard after - now <= capacity else { return false }
    fullAt = after
    return true
  }

  /// Nothing is left.
  mutating func empty(now: Nanoseconds) { fullAt = now + capacity }
}

/// One connection as the venue knows it.
final class DeribitSession {
  let id: ConnectionID
  let isHTTP: Bool
  var account: DeribitAccount?
  var isOpen = true
  var lastInbound: Nanoseconds
  var received: UInt64 = 0
  /// Cancel on disconnect of this connection.
  var cancelsOnDisconnect = false
  /// 0 = no heartbeats.
  var heartbeat: Nanoseconds = 0
  /// Which heartbeat timer counts: an older one is void.
  var heartbeatNumber: UInt64 = 0
  var awaitsTest = false
  /// Live orders that were created on it, in the order of their creation.
  var orders: [DeribitOrder] = []
  var channels: [DeribitChannel] = []
  var userChannels: [DeribitUserChannel] = []
  /// Requests that are held back before they are matched.
  var held: [HeldRequest] = []
  /// Bucket of a connection without a login.
  var anonymous = CreditBucket(rate: 20, burst: 100)
  /// HTTP: it stays open after the response under way.
  var keepsAlive = true

  init(id: ConnectionID, isHTTP: Bool, now: Nanoseconds) {
    self.id = id
    self.isHTTP = isHTTP
    lastInbound = now
  }
}

/// An access or refresh token.
struct DeribitToken {
  var account: DeribitAccount
  var expires: Nanoseconds
  var scope: String
  var isRefresh: Bool
  /// It counts on this connection only.
  var connection: ConnectionID?
}

/// One execution from the side of an account, beside its `Fill` at the same place.
struct DeribitTrade {
  /// `nil` for the final settlement of an expired instrument.
  var order: DeribitOrder?
  /// Number in its instrument, from 1.
  var sequence: Int
  var match: UInt64
  var tick: UInt8
  var markE8: Int64
  var profitE8: MoneyE8
  var isFilled: Bool
}

/// The average price of a position, more exactly than the ledger's 10⁻⁸ coins.
struct AverageCost {
  /// Signed like the position; 10⁻¹⁶ of the settlement currency.
  private(set) var costE16: Int128 = 0
  private var lots: Int64 = 0

  mutating func trade(side: Side, quantity: Int64, valueE16: Int128) {
    let signed = side.sign * quantity
    if lots == 0 || (lots > 0) == (signed > 0) {
      costE16 += Int128(side.sign) * valueE16
      lots += signed
      return
    }
    let closing = min(abs(lots), quantity)
    costE16 -= costE16 * Int128(closing) / Int128(abs(lots))
    lots += signed
    let opened = quantity - closing
    if opened > 0 { costE16 += Int128(side.sign) * valueE16 * Int128(opened) / Int128(quantity) }
  }
}

/// An account with its Deribit side.
final class DeribitAccount: Account {
  let userID: Int64
  /// Aligned with `fills`.
  var trades: [DeribitTrade] = []
  var averages: [AverageCost] = []
  /// Realised profit of each instrument as of its last trade.
  var lastRealised: [MoneyE8] = []
  var connections: [DeribitSession] = []
  /// Ended orders, in the order of their end.
  var closed: [DeribitOrder] = []
  var cancelsOnDisconnect = false
  var selfTradeMode = SelfTradeMode.rejectTaker
  var extendsToSubaccounts = false
  var protection: [ProtectionKey: DeribitProtection] = [:]
  /// Mass quotes are refused until then.
  var quotesFrozenUntil: Nanoseconds = .min
  /// Live quotes by group, instrument and side.
  var quotes: [QuoteKey: DeribitOrder] = [:]
  var other = CreditBucket(rate: 20, burst: 100)
  var subscribes = CreditBucket(rate: 10, burst: 10)
  var instruments = CreditBucket(rate: 1, burst: 50)
  var matching: CreditBucket
  var cancelAlls: CreditBucket
  var massQuotes: CreditBucket
  var quoteCredits: CreditBucket
  /// Balances that changed since `user.portfolio` told of them, by currency.
  var changedCurrencies: [String] = []

  enum SelfTradeMode: String { case rejectTaker = "reject_taker", cancelMaker = "cancel_maker" }

  init(name: String, number: Int, instruments: Int, clock: VenueClock, settings: DeribitConfiguration) {
    userID = Int64(number)
    matching = CreditBucket(rate: settings.matchingRate, burst: settings.matchingBurst)
    cancelAlls = CreditBucket(rate: settings.cancelAllRate, burst: settings.cancelAllBurst)
    massQuotes = CreditBucket(rate: settings.massQuoteRate, burst: settings.massQuoteRate)
    quoteCredits = CreditBucket(rate: settings.quoteRate, burst: settings.quoteRate)
    averages = Array(repeating: AverageCost(), count: instruments)
    lastRealised = Array(repeating: 0, count: instruments)
    super.init(name: name, owner: UInt32(number), instruments: instruments, clock: clock, initialCashE8: 0)
  }
}

/// A group of market-maker protection: an index, and the name of the quotes' group or nothing for other orders.
struct ProtectionKey: Hashable {
  var index: String
  var group: String?
}

/// A place for one quote.
struct QuoteKey: Hashable {
  var group: String
  var market: Int
  var side: Side
}

/// A participant's order with its Deribit side.
final class DeribitOrder: VenueOrder {
  enum Lifetime: String {
    case goodTillCancelled = "good_til_cancelled"
    case goodTillDay = "good_til_day"
    case immediateOrCancel = "immediate_or_cancel"
    case fillOrKill = "fill_or_kill"
  }

  /// The connection that created it, until that closes.
  var connection: DeribitSession?
  let lifetime: Lifetime
  var postOnly = false
  var rejectPostOnly = false
  /// `market` or `market_limit`, if it is no plain limit order.
  var originalType: String?
  var protectionKey: ProtectionKey?
  var quoteID: String?
  var quoteSetID: String?
  var isReplaced = false
  var isProtectionCancelled = false
  /// Overrides what its end says.
  var cancelReason: StaticString?
  var updateTime: Nanoseconds
  /// Σ |value| of its fills, 10⁻¹⁶ of the settlement currency; linear ones exactly.
  var filledValueE16: Int128 = 0

  init(
    number: UInt64, account: DeribitAccount, market: Market, connection: DeribitSession?, side: Side,
    lifetime: Lifetime, isReduceOnly: Bool, label: String?, now: Nanoseconds, price: PriceTicks, amount: QtyLots
  ) {
    self.lifetime = lifetime
    self.connection = connection
    updateTime = now
    super.init(
      number: number, account: account, market: market, session: nil, side: side, isMarket: false,
      isImmediate: lifetime == .immediateOrCancel || lifetime == .fillOrKill, isReduceOnly: isReduceOnly,
      isPersistent: false, clientID: nil, label: label, createTime: now, price: price, amount: amount)
  }

  var owner: DeribitAccount { unsafeDowncast(account, to: DeribitAccount.self) }
  var isProtected: Bool { protectionKey != nil }
}

/// A request whose order would take, held back for the speed bump of its instrument.
final class HeldRequest {
  enum Action {
    case place(DeribitTerms)
    case edit(DeribitOrder, DeribitEdit)
  }

  let session: DeribitSession
  let account: DeribitAccount
  let action: Action
  /// The request's `id` as it was written; `nil` without one.
  let id: [UInt8]?
  let received: Nanoseconds
  var isDone = false

  init(
    session: DeribitSession, account: DeribitAccount, action: Action, id: [UInt8]?, received: Nanoseconds
  ) {
    self.session = session
    self.account = account
    self.action = action
    self.id = id
    self.received = received
  }
}
