public import CSupport

/// What an instrument is, as far as quoting it matters.
public enum InstrumentKind: UInt8, Sendable {
  case perpetual, future, option, combination, other
}

/// How the size of an instrument becomes money.
public enum ContractKind: UInt8, Sendable {
  /// An amount of the underlying, paid in the quote currency: a trade is worth amount × price.
  case linear
  /// An amount of the quote currency, paid in the underlying: a trade is worth amount ÷ price.
  case inverse
}

/// One instrument as the venue describes it. Text stays with the adapter; the lane uses the index.
public struct InstrumentInfo: Equatable, Sendable {
  public var index: InstrumentIndex
  public var kind: InstrumentKind
  public var contract: ContractKind
  /// The protection group that its mass quotes count for; `noProduct` if that group was not asked for.
  public var product: ProductIndex
  public var grid: InstrumentGrid
  /// Seconds since the Unix epoch; 0 if it does not expire.
  public var expirySeconds: Int64
  /// Options: call or put, and the strike in 10⁻⁸ of the quote currency; `none` and 0 otherwise, or where the venue's
  /// adapter does not say.
  public var optionType: OptionType
  public var strikeE8: Int64

  public init(
    index: InstrumentIndex, kind: InstrumentKind, grid: InstrumentGrid, expirySeconds: Int64,
    product: ProductIndex = noProduct, contract: ContractKind = .linear, optionType: OptionType = .none,
    strikeE8: Int64 = 0
  ) {
    self.index = index
    self.kind = kind
    self.contract = contract
    self.grid = grid
    self.expirySeconds = expirySeconds
    self.product = product
    self.optionType = optionType
    self.strikeE8 = strikeE8
  }
}

/// A protection group: all instruments of one kind and underlying, such as options on BTC. 0 ..< 255.
public typealias ProductIndex = UInt8
/// No protection group that was asked for.
public let noProduct = ProductIndex.max

/// Why a protection group's remaining size was reported.
public enum ProtectionReason: UInt8, Sendable {
  /// The group was set; what remains is its trade amount.
  case refill
  /// A mass-quoted order traded. With nothing remaining the group's quotes have been cancelled.
  case executions
  /// The group is gone, and has to be set again before the next mass quote.
  case clientCancel, sessionEnd, failover
  /// A word that this version does not know.
  case other

  /// The venue has taken the group away.
  @inlinable public var isRemoval: Bool { self == .clientCancel || self == .sessionEnd || self == .failover }
}

/// Which members of a ticker were present, as a set of bits.
public struct TickerFields: OptionSet, Sendable {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  public static let mark = Self(rawValue: 1)
  public static let index = Self(rawValue: 2)
  public static let bid = Self(rawValue: 4)
  public static let ask = Self(rawValue: 8)
  public static let last = Self(rawValue: 16)
  public static let collars = Self(rawValue: 32)
  public static let funding = Self(rawValue: 64)
  /// Options: volatility and delta of the mark, price of the future that it is computed from.
  public static let volatility = Self(rawValue: 128)
  public static let delta = Self(rawValue: 256)
  public static let forward = Self(rawValue: 512)
  /// Perpetuals, where the venue sends it with many tickers at once.
  public static let fundingMark = Self(rawValue: 1024)
}

/// A ticker or light ticker. A member whose bit is not in `fields` was absent or null.
public struct Ticker: Sendable {
  public var fields: TickerFields = []
  /// Model prices lie between ticks: 10⁻⁸ of the quote currency.
  public var markE8: Int64 = 0
  public var indexE8: Int64 = 0
  public var bidPrice = PriceTicks(rawValue: 0)
  public var bidQty = QtyLots(rawValue: 0)
  public var askPrice = PriceTicks(rawValue: 0)
  public var askQty = QtyLots(rawValue: 0)
  public var lastPrice = PriceTicks(rawValue: 0)
  /// Bids above `collarHighE8` and asks below `collarLowE8` are refused.
  public var collarLowE8: Int64 = 0
  public var collarHighE8: Int64 = 0
  /// Rate × 10¹².
  public var fundingRateE12: Int64 = 0
  /// The venue's time of the mark, nanoseconds since the Unix epoch; 0 if absent.
  public var venueTime: Nanoseconds = 0
  /// Volatility of an option's mark as a fraction: 0.369 is 36.9 %. 10⁻⁸.
  public var volatilityE8: Int64 = 0
  /// Of an option; −1 ... 1 as 10⁻⁸.
  public var deltaE8: Int64 = 0
  /// Price of the underlying future, 10⁻⁸ of the quote currency.
  public var forwardE8: Int64 = 0
  /// Accrued funding of one long contract since the last settlement, 10⁻⁸ of the quote currency.
  public var fundingMarkE8: Int64 = 0

  /// `deltaE8`, if the venue has said it.
  var delta: Int64? { fields.contains(.delta) ? deltaE8 : nil }

  public init() {}
}

/// An underlying that is known by name: its index price, its forwards. 0 ..< 255.
public typealias UnderlyingIndex = UInt8
/// No underlying that was asked for.
public let noUnderlying = UnderlyingIndex.max

/// The index of an underlying. Prices are 10⁻⁸ of the quote currency, times nanoseconds since the Unix epoch.
public struct IndexReport: Equatable, Sendable {
  public var priceE8: Int64 = 0
  /// The venue's time of the price; 0 if absent.
  public var venueTime: Nanoseconds = 0
  public var previousSettlementE8: Int64?
  /// While an expiry is being priced: the average so far, how much of the window is over (0 ... 1 as 10⁻⁸), and what
  /// the expiration price would be if the index stayed where it is.
  public var expirationAverageE8: Int64?
  public var expirationProgressE8: Int64?
  public var expectedExpirationE8: Int64?

  public init() {}
}

/// What options of one expiry are priced from.
public struct BasePrice: Equatable, Sendable {
  /// The future that it is the price of; `.max` if it is computed without one, or if that future was not asked for.
  public var instrument: InstrumentIndex = .max
  /// 10⁻⁸ of the quote currency.
  public var priceE8: Int64 = 0
  public var indexE8: Int64 = 0
  /// How much the base moves with the index; falls to 0 while the expiry is being priced. 10⁻⁸.
  public var indexDeltaE8: Int64 = 0

  public init() {}
}

/// The state of the account. 10⁻⁸ of the quote currency.
public struct AccountSummary: Equatable, Sendable {
  public var marginE8: MoneyE8 = 0
  public var requiredMarginE8: MoneyE8 = 0
  public var remainingMarginE8: MoneyE8 = 0
  public var cashCollateralE8: MoneyE8 = 0
  public var unrealisedE8: MoneyE8 = 0
  public var sessionRealisedE8: MoneyE8 = 0

  public init() {}
}

public enum OptionType: UInt8, Sendable {
  case none, call, put
}

/// An instrument of a family that is watched, whether it is traded here or not.
public struct InstrumentListing: Sendable {
  /// Which family it belongs to: the position of that in the order of declaration.
  public var family = 0
  /// At most 39 bytes.
  public var name = VenueID()
  public var kind: InstrumentKind = .other
  public var optionType: OptionType = .none
  /// `noProduct` if its protection group was not asked for.
  public var product = noProduct
  /// The instrument if it was asked for, else `.max`.
  public var instrument: InstrumentIndex = .max
  public var grid = InstrumentGrid(tickE8: 0, lotE8: 0, minimumLots: QtyLots(rawValue: 0))
  /// Seconds since the Unix epoch; 0 if it does not expire.
  public var expirySeconds: Int64 = 0
  /// 10⁻⁸ of the quote currency; 0 if it has none.
  public var strikeE8: Int64 = 0

  public init() {}
}

/// Where a report about an order or a fill came from.
public enum ReportSource: UInt8, Sendable {
  /// The reply to a request of ours.
  case reply
  /// The private order feed.
  case feed
  /// An item of a snapshot of the private order feed.
  case snapshot
  /// The reply to a query of open orders or of trades.
  case query
  /// The private trade feed (slower than the order feed; it brings the fee).
  case tradeFeed
  /// The feed of finished orders; slower than the order feed.
  case history
}

public enum OrderStatus: UInt8, Sendable {
  case open, partiallyFilled, filled, cancelled, cancelledPartiallyFilled
  /// A word that this version does not know: neither live nor dead may be concluded (R05).
  case other

  /// The venue says that the order is gone for good.
  @inlinable public var isTerminal: Bool {
    self == .filled || self == .cancelled || self == .cancelledPartiallyFilled
  }
  @inlinable public var isLive: Bool { self == .open || self == .partiallyFilled }
}

public enum ChangeReason: UInt8, Sendable {
  case existing, insert, amend, cancel, fill, other
}

/// Why an order ended.
public enum DeleteReason: UInt8, Sendable {
  case none, clientCancel, clientBulkCancel, sessionEnd, instrumentDeactivated, protection, failover
  case marginBreach, filled, immediateCancel, adminCancel, replaced, selfTradePrevention, other
}

/// One statement of the venue about one order.
public struct OrderReport: Sendable {
  public var source: ReportSource = .feed
  public var status: OrderStatus = .other
  public var change: ChangeReason = .other
  public var deletion: DeleteReason = .none
  public var side: Side = .buy
  public var instrument: InstrumentIndex = .max
  /// The label starts with this engine's prefix (R14).
  public var isLabelledOurs = false
  /// Labelled as this life's own, and without a client order id: a mass quote has placed it.
  public var isOurQuote = false
  /// Of a reply: which amend of the order it answers, as in `RequestKind`.
  public var amendSerial: UInt16 = 0
  /// Which mass quote of this life has placed it or changed it last; 0 if the venue does not say.
  public var quoteSerial: UInt64 = 0
  public var isPersistent = false
  /// False for market orders.
  public var hasPrice = false
  /// 0 if the venue sent none.
  public var clientID: UInt64 = 0
  public var venueID = VenueID()
  public var price = PriceTicks(rawValue: 0)
  /// Total, executed and resting size.
  public var qty = QtyLots(rawValue: 0)
  public var filled = QtyLots(rawValue: 0)
  public var remaining = QtyLots(rawValue: 0)
  /// When the order was made, by the venue's clock, nanoseconds since the Unix epoch.
  public var createTime: Nanoseconds = 0
  /// When the order came to be as it is, by the same clock; 0 if the venue does not say. Of two reports with the same
  /// executed size the later one is newer.
  public var updateTime: Nanoseconds = 0

  public init() {}
}

/// One execution. The same one arrives in several ways; `tradeID` makes it one (R06).
public struct FillReport: Sendable {
  public var source: ReportSource = .feed
  public var side: Side = .buy
  public var isMaker = false
  /// Only trade feeds and trade queries bring the fee.
  public var hasFee = false
  public var isLabelledOurs = false
  /// As in `OrderReport`.
  public var isOurQuote = false
  public var quoteSerial: UInt64 = 0
  /// The boot epoch of the run of this engine that the label names; 0 if it is not ours, or names none.
  public var run: UInt64 = 0
  public var instrument: InstrumentIndex = .max
  public var tradeID = VenueID()
  /// The order's ids; `clientID` is 0 if the venue sent none.
  public var clientID: UInt64 = 0
  public var venueID = VenueID()
  public var price = PriceTicks(rawValue: 0)
  public var qty = QtyLots(rawValue: 0)
  /// Positive = paid, 10⁻⁸ of the quote currency.
  public var feeE8: MoneyE8 = 0
  /// By the venue's clock, nanoseconds since the Unix epoch; 0 if absent.
  public var time: Nanoseconds = 0

  public init() {}
}

/// One line of a position report.
public struct PositionReport: Sendable {
  public var instrument: InstrumentIndex = .max
  /// Negative = short.
  public var position = QtyLots(rawValue: 0)
  public var markE8: Int64 = 0
  public var averagePriceE8: Int64 = 0
  /// When the position came to be so, by the venue's clock, nanoseconds since the Unix epoch; 0 if the venue does not
  /// say.
  public var updateTime: Nanoseconds = 0

  public init() {}
}

/// Stateful feeds that begin with a snapshot.
public enum SnapshotKind: UInt8, Sendable {
  case sessionOrders, accountOrders, portfolio, instruments, openOrders, tradeHistory, persistentOrders, recentTrades
}

/// What a request that is not about a single order was for.
public enum SessionRequest: UInt8, Sendable, CaseIterable {
  case login = 1
  case cancelOnDisconnect, instruments, subscribePublic, subscribePrivate, unsubscribe
  case openOrders, portfolio, tradeHistory, cancelAll, cancelSession, systemInfo
  case instrument, index, accountSummary, cancelConditional, heartbeat
  /// A protection group that has been used up is to count anew.
  case resetProtection
}

/// What one of our requests was.
public enum RequestKind: Equatable, Sendable {
  case session(SessionRequest)
  /// The operand is the client order id.
  case insert(UInt64), cancel(UInt64)
  /// The serial tells the amends of an order apart, 1 ... 9,999; 0 if the answer does not say which one it is about.
  case amend(UInt64, serial: UInt16 = 0)
  /// The operand is the serial that the sender gave it.
  case massQuote(UInt64)
  /// A protection group was set.
  case protection(ProductIndex)
  /// Mass quotes were cancelled: those of one protection group, or of all with `noProduct`.
  case cancelMassQuote(ProductIndex)
  /// An id that this engine cannot have sent, or none.
  case unknown

  /// Of an amend; 0 of anything else.
  @inline(__always)
  var amendSerial: UInt16 {
    if case .amend(_, let serial) = self { serial } else { 0 }
  }
}

/// Why a frame, or an item in it, was refused at the edge (R05).
public enum DecodeProblem: UInt8, Sendable, CaseIterable {
  /// Not JSON, or JSON of another shape than a reply or a notification.
  case malformed
  /// A member that must be there is missing or has another type.
  case missingMember
  /// A number that is no whole tick or lot, or out of range.
  case offGrid
  /// A quantity that contradicts itself (filled above total, negative).
  case impossible
  /// A channel or instrument that was never asked for.
  case unknownName
  /// A new word in a closed set of words.
  case unknownWord
}

/// What a venue grants of one kind of request, as it stands in an answer.
public struct RateLimitReport: Equatable, Sendable {
  /// The request that was answered; what is granted counts for all of its kind.
  public var request: RequestKind = .unknown
  /// Requests in the venue's window, and how many of them are left.
  public var limit: Int64 = 0
  public var remaining: Int64 = 0
  /// When more are granted, by the venue's clock, nanoseconds since the Unix epoch.
  public var resetTime: Nanoseconds = 0

  public init() {}
}

/// Where an adapter's decoder delivers what it reads, in the order of the wire.
///
/// The lane implements this. Called on the lane's thread only; implementations neither block nor
/// allocate. Within one order item the fills come before the order's own report.
public protocol VenueEventSink: ~Copyable {
  mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker)
  /// Begins one book message; a snapshot replaces both sides.
  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool)
  /// The level's new absolute size; 0 removes it.
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots)
  mutating func bookEnd(_ instrument: InstrumentIndex)
  /// A trade of anyone. Between the beginning and the end of a snapshot of `recentTrades` it is an old one.
  mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds)
  /// The index of an underlying, 10⁻⁸, for receivers that know only one: `index` calls it unless it is implemented.
  mutating func indexPrice(_ valueE8: Int64)

  mutating func snapshotBegin(_ kind: SnapshotKind)
  mutating func snapshotEnd(_ kind: SnapshotKind)
  mutating func order(_ report: OrderReport)
  mutating func fill(_ report: FillReport)
  mutating func position(_ report: PositionReport)
  mutating func instrument(_ info: InstrumentInfo, isListed: Bool)

  /// A request succeeded; what its result said has been delivered before. `value` is the granted
  /// message rate for `cancelOnDisconnect`, the number of orders for `cancelAll`, the number of
  /// accepted channels for the two subscribes, for `tradeHistory` 1 if another page follows; else 0.
  /// A mass quote is answered by `massQuoted` instead.
  mutating func replied(_ request: RequestKind, value: Int64)
  /// A request failed with the venue's error code.
  mutating func refused(_ request: RequestKind, code: Int64)
  /// The venue will close this connection soon; a new one should take over.
  mutating func reconnectRequested()
  /// The venue closes this connection unless it gets a sign of life now.
  mutating func heartbeatRequested()
  /// A message of the book is missing, between two that have arrived: what was delivered of it is void (R28).
  mutating func bookLost(_ instrument: InstrumentIndex)
  mutating func refusedAtEdge(_ problem: DecodeProblem)

  mutating func index(_ underlying: UnderlyingIndex, _ report: IndexReport)
  mutating func basePrice(_ underlying: UnderlyingIndex, expirySeconds: Int64, _ report: BasePrice)
  mutating func account(_ summary: AccountSummary)
  /// An instrument of a watched family is there, or is no longer. If it was asked for too, `instrument` came before.
  mutating func listing(_ listing: InstrumentListing, isListed: Bool)

  /// One part of a mass quote failed; the sum follows in `massQuoted`.
  ///
  /// - Parameters:
  ///   - side: `nil` if the venue did not say.
  ///   - priceE8: As it was sent, on no grid; `nil` if the venue did not say.
  ///   - instrument: `nil` if the venue did not say.
  mutating func massQuoteFailed(
    _ serial: UInt64, code: Int64, side: Side?, priceE8: Int64?, instrument: InstrumentIndex?)
  /// A mass quote was answered: so many of its parts (sides, or levels of a ladder) are in force and so many failed.
  mutating func massQuoted(_ serial: UInt64, succeeded: Int64, failed: Int64)
  /// What a protection group may still trade, in lots of the group, rounded down. 0 or less: it is exhausted, or gone.
  mutating func protection(_ product: ProductIndex, remaining: QtyLots, reason: ProtectionReason)

  /// The venue's id of an order of ours, told by an acknowledgement: it says nothing about the order's state.
  mutating func orderNamed(_ clientID: UInt64, _ venueID: VenueID)
  mutating func rateLimit(_ report: RateLimitReport)
  /// What the account pays, as a fraction of a trade's value × 10¹²; below 0 it is paid.
  mutating func feeRate(_ instrument: InstrumentIndex, makerE12: Int64, takerE12: Int64)
}

/// What not every venue says, and not every receiver needs.
extension VenueEventSink where Self: ~Copyable {
  public mutating func heartbeatRequested() {}
  public mutating func bookLost(_ instrument: InstrumentIndex) {}
  public mutating func indexPrice(_ valueE8: Int64) {}
  public mutating func index(_ underlying: UnderlyingIndex, _ report: IndexReport) { indexPrice(report.priceE8) }
  public mutating func basePrice(_ underlying: UnderlyingIndex, expirySeconds: Int64, _ report: BasePrice) {}
  public mutating func account(_ summary: AccountSummary) {}
  public mutating func listing(_ listing: InstrumentListing, isListed: Bool) {}
  public mutating func massQuoteFailed(
    _ serial: UInt64, code: Int64, side: Side?, priceE8: Int64?, instrument: InstrumentIndex?
  ) {}
  public mutating func massQuoted(_ serial: UInt64, succeeded: Int64, failed: Int64) {}
  public mutating func protection(_ product: ProductIndex, remaining: QtyLots, reason: ProtectionReason) {}
  public mutating func orderNamed(_ clientID: UInt64, _ venueID: VenueID) {}
  public mutating func rateLimit(_ report: RateLimitReport) {}
  public mutating func feeRate(_ instrument: InstrumentIndex, makerE12: Int64, takerE12: Int64) {}
}
