import Apus
import CSupport

/// What a ticker shows that can change; equal values need no new message.
struct TickerState: Equatable {
  /// `none` = that side is empty; a roll's price may be negative.
  static let none = Int64.min
  var bid = none
  var bidLots: Int64 = 0
  var ask = none
  var askLots: Int64 = 0
  var trades = 0
  var markTime: Nanoseconds = -1
}

/// A public channel with all who listen to it. Made with the first subscriber, kept for good.
final class Channel {
  enum Kind: Equatable {
    case ticker(Int)
    case lwt(Int)
    case lwtFutures(Int)
    /// `group` in ticks, 1 = every price; `levels` `nil` = all.
    case book(Int, group: Int64, levels: Int?)
    /// `expiry` as a date, `nil` = all.
    case lwtOptions(Int, expiry: String?)
    case lwtRolls(Int)
    case recentTrades(Int)
    case underlyingTrades(Int, TradeCategory)
    case priceIndex(Int)
    case statistics(Int)
    case basePrice(Int, expiry: Int64)
    case indexComponents(Int)
    case instruments
    case system
    case banners
    case rfqs
  }

  enum TradeCategory: Equatable { case all, options, rolls }

  let name: [UInt8]
  let kind: Kind
  /// Least time between notifications; 0 = every change.
  let delay: Nanoseconds
  var nextAllowed: Nanoseconds = .min
  var isScheduled = false
  var subscribers: [Session] = []

  /// By market.
  var sent: [Int: TickerState] = [:]
  /// Levels as last published, best first.
  var bids: [(price: Int64, lots: Int64)] = []
  var asks: [(price: Int64, lots: Int64)] = []
  /// Full-depth books: prices to be published.
  var touchedBids: [Int64] = []
  var touchedAsks: [Int64] = []
  /// Number of the first trade not yet published, by market.
  var nextTrade: [Int: Int] = [:]

  init(name: [UInt8], kind: Kind, delay: Nanoseconds) {
    self.name = name
    self.kind = kind
    self.delay = delay
  }

  /// Books go out before tickers, tickers before trades.
  var rank: Int {
    switch kind {
    case .book: 0
    case .ticker: 1
    case .lwt, .lwtFutures, .lwtOptions, .lwtRolls: 2
    default: 3
    }
  }

  /// It follows the marks, not the books.
  var isTimed: Bool {
    switch kind {
    case .priceIndex, .statistics, .basePrice, .indexComponents: true
    default: false
    }
  }

  var isFullDepth: Bool {
    if case .book(_, group: 1, levels: nil) = kind { return true }
    return false
  }
}

/// The private channels, as a set of bits.
struct PrivateChannels: OptionSet {
  let rawValue: UInt32
  static let sessionOrders = Self(rawValue: 1)
  static let accountOrders = Self(rawValue: 2)
  static let portfolio = Self(rawValue: 4)
  static let tradeHistory = Self(rawValue: 8)
  static let summary = Self(rawValue: 16)
  static let protection = Self(rawValue: 32)
  static let persistentOrders = Self(rawValue: 64)
  static let orderHistory = Self(rawValue: 128)
  static let conditionals = Self(rawValue: 256)
  static let rfqs = Self(rawValue: 512)
  static let rfqHistory = Self(rawValue: 1024)
  static let makerRFQs = Self(rawValue: 2048)
  static let makerQuotes = Self(rawValue: 4096)
  static let bots = Self(rawValue: 8192)
  static let inbox = Self(rawValue: 16384)

  static func named(_ name: String) -> Self? {
    switch name {
    case "session.orders": .sessionOrders
    case "account.orders": .accountOrders
    case "account.portfolio": .portfolio
    case "account.trade_history": .tradeHistory
    case "account.summary": .summary
    case "session.mm_protection": .protection
    case "account.persistent_orders": .persistentOrders
    case "account.order_history": .orderHistory
    case "account.conditional_orders": .conditionals
    case "account.rfqs": .rfqs
    case "account.rfq_history": .rfqHistory
    case "mm.rfqs": .makerRFQs
    case "mm.rfq_quotes": .makerQuotes
    case "account.bots": .bots
    case "user.inbox_notifications": .inbox
    default: nil
    }
  }
}
