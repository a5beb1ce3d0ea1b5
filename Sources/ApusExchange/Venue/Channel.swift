import Apus
import CSupport

/// What a ticker shows that can change; equal values need no new message.
struct TickerState: Equatable {
  var bid: Int64 = -1
  var bidLots: Int64 = 0
  var ask: Int64 = -1
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
    case recentTrades(Int)
    case underlyingTrades(Int)
    case noTrades
    case priceIndex(Int)
    case instruments
    case system
  }

  let name: [UInt8]
  let kind: Kind
  /// Least time between notifications; 0 = every change.
  let delay: Nanoseconds
  var nextAllowed: Nanoseconds = .min
  var isScheduled = false
  var subscribers: [Session] = []

  var sent: [TickerState] = []
  /// Levels as last published, best first.
  var bids: [(price: Int64, lots: Int64)] = []
  var asks: [(price: Int64, lots: Int64)] = []
  /// Full-depth books: prices to be published.
  var touchedBids: [Int64] = []
  var touchedAsks: [Int64] = []
  /// Number of the first trade not yet published, by market.
  var nextTrade: [Int] = []

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
    case .lwt, .lwtFutures: 2
    default: 3
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

  static func named(_ name: String) -> Self? {
    switch name {
    case "session.orders": .sessionOrders
    case "account.orders": .accountOrders
    case "account.portfolio": .portfolio
    case "account.trade_history": .tradeHistory
    case "account.summary": .summary
    case "session.mm_protection": .protection
    default: nil
    }
  }
}
