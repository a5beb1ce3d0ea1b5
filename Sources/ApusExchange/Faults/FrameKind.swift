import Apus
import CSupport

/// Which way a frame goes.
public enum FrameDirection: UInt8, Sendable {
  case toEngine, toVenue
}

/// What frames are about, as a set: faults name the frames that they strike.
public struct FrameKinds: OptionSet, Hashable, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  private init(bit: UInt32) { rawValue = 1 << bit }

  // From the engine to the venue.
  public static let inserts = Self(bit: 0)
  public static let amends = Self(bit: 1)
  public static let cancels = Self(bit: 2)
  /// cancel_session, cancel_all, cancel_mass_quote.
  public static let massCancels = Self(bit: 3)
  /// open_orders, trade_history, portfolio.
  public static let queries = Self(bit: 4)
  public static let logins = Self(bit: 5)
  /// Subscriptions, the dead-man timer, instruments.
  public static let setups = Self(bit: 6)
  public static let massQuotes = Self(bit: 7)

  // From the venue to the engine.
  /// Results of inserts, amends and cancels.
  public static let replies = Self(bit: 8)
  /// Errors in answer to these.
  public static let refusals = Self(bit: 9)
  /// Answers to queries of open orders, of trades and of positions.
  public static let orderAnswers = Self(bit: 10)
  public static let tradeAnswers = Self(bit: 11)
  public static let positionAnswers = Self(bit: 12)
  /// Answers to logins, subscriptions and other session requests.
  public static let setupAnswers = Self(bit: 13)
  /// The feeds session.orders, account.trade_history and account.portfolio.
  public static let orders = Self(bit: 14)
  public static let trades = Self(bit: 15)
  public static let positions = Self(bit: 16)
  public static let tickers = Self(bit: 17)
  public static let books = Self(bit: 18)
  public static let instruments = Self(bit: 19)
  public static let system = Self(bit: 20)
  /// The first message of a private feed.
  public static let snapshots = Self(bit: 21)
  public static let others = Self(bit: 22)

  /// Requests that make or change an order.
  public static let changes: Self = [.inserts, .amends, .massQuotes]
  /// Everything that tells the engine what became of its orders.
  public static let privateFeeds: Self = [.orders, .trades, .positions]

  static let names: [(name: String, kind: FrameKinds)] = [
    ("inserts", .inserts), ("amends", .amends), ("cancels", .cancels), ("mass-cancels", .massCancels),
    ("queries", .queries), ("logins", .logins), ("setups", .setups), ("mass-quotes", .massQuotes),
    ("replies", .replies), ("refusals", .refusals), ("order-answers", .orderAnswers),
    ("trade-answers", .tradeAnswers), ("position-answers", .positionAnswers), ("setup-answers", .setupAnswers),
    ("orders", .orders), ("trades", .trades), ("positions", .positions), ("tickers", .tickers), ("books", .books),
    ("instruments", .instruments), ("system", .system), ("snapshots", .snapshots), ("others", .others),
  ]

  /// As in a plan: `replies,orders`.
  public var text: String { Self.names.filter { contains($0.kind) }.map(\.name).joined(separator: ",") }

  public init?(text: some StringProtocol) {
    var set: FrameKinds = []
    for word in text.split(separator: ",") {
      guard let known = Self.names.first(where: { $0.name == word }) else { return nil }
      set.insert(known.kind)
    }
    guard !set.isEmpty else { return nil }
    self = set
  }
}

/// What is read of a frame to decide what a fault does to it.
public struct FrameFacts: Equatable, Sendable {
  public var kind: FrameKinds
  /// The `id` of a request or reply.
  public var id: UInt64?

  /// Looks at the beginning of a frame only; both sides write their members in a fixed order.
  public init(_ text: UnsafeRawBufferPointer, _ direction: FrameDirection) {
    switch direction {
    case .toVenue: self = Self.request(text)
    case .toEngine: self = Self.message(text)
    }
  }

  private init(kind: FrameKinds, id: UInt64? = nil) {
    self.kind = kind
    self.id = id
  }

  private static func message(_ text: UnsafeRawBufferPointer) -> Self {
    if text.starts(with: "{\"channel_name\":\"") {
      let name = text[17...]
      if name.starts(with: "book.") { return Self(kind: .books) }
      if name.starts(with: "ticker.") || name.starts(with: "lwt") { return Self(kind: .tickers) }
      let isSnapshot = text.holds("\"snapshot\":true")
      if name.starts(with: "session.orders") { return Self(kind: isSnapshot ? .snapshots : .orders) }
      if name.starts(with: "account.trade_history") { return Self(kind: isSnapshot ? .snapshots : .trades) }
      if name.starts(with: "account.portfolio") { return Self(kind: isSnapshot ? .snapshots : .positions) }
      if name.starts(with: "instruments") { return Self(kind: .instruments) }
      if name.starts(with: "system") { return Self(kind: .system) }
      return Self(kind: .others)
    }
    guard let id = text.number(after: "\"id\":") else { return Self(kind: .others) }
    // Not a switch: whatever is about orders and is not of the session, mass quotes too, is answered alike.
    let request = RequestID.kind(of: id)
    if request == .unknown { return Self(kind: .others, id: id) }
    if request == .session(.openOrders) { return Self(kind: .orderAnswers, id: id) }
    if request == .session(.tradeHistory) { return Self(kind: .tradeAnswers, id: id) }
    if request == .session(.portfolio) { return Self(kind: .positionAnswers, id: id) }
    if case .session = request { return Self(kind: .setupAnswers, id: id) }
    return Self(kind: text.prefix(64).holds("\"error\":") ? .refusals : .replies, id: id)
  }

  private static func request(_ text: UnsafeRawBufferPointer) -> Self {
    let id = text.number(after: "\"id\":")
    guard let method = text.word(after: "\"method\":\"") else { return Self(kind: .others, id: id) }
    let kind: FrameKinds =
      switch method {
      case "private/insert", "private/buy", "private/sell": .inserts
      case "private/amend": .amends
      case "private/cancel": .cancels
      case "private/cancel_session", "private/cancel_all", "private/cancel_mass_quote": .massCancels
      case "private/mass_quote": .massQuotes
      case "private/open_orders", "private/trade_history", "private/portfolio": .queries
      case "public/login": .logins
      default: .setups
      }
    return Self(kind: kind, id: id)
  }
}

extension Collection where Element == UInt8, Index == Int {
  /// Where `word` begins; ASCII.
  func place(of word: StaticString) -> Int? {
    let length = word.utf8CodeUnitCount
    let pattern = word.utf8Start
    guard count >= length else { return nil }
    var start = startIndex
    while start + length <= endIndex {
      var offset = 0
      while offset < length, self[start + offset] == pattern[offset] { offset += 1 }
      if offset == length { return start }
      start += 1
    }
    return nil
  }

  func holds(_ word: StaticString) -> Bool { place(of: word) != nil }

  func starts(with word: StaticString) -> Bool {
    guard count >= word.utf8CodeUnitCount else { return false }
    for offset in 0..<word.utf8CodeUnitCount where self[startIndex + offset] != word.utf8Start[offset] { return false }
    return true
  }

  /// The digits that follow the first `key`.
  func number(after key: StaticString) -> UInt64? {
    guard let place = place(of: key) else { return nil }
    var value: UInt64 = 0
    var index = place + key.utf8CodeUnitCount
    let start = index
    while index < endIndex, self[index] >= 48, self[index] <= 57 {
      value = value &* 10 &+ UInt64(self[index] - 48)
      index += 1
    }
    return index > start ? value : nil
  }

  /// What follows the first `key`, up to the next quotation mark.
  func word(after key: StaticString) -> String? {
    guard let place = place(of: key) else { return nil }
    let start = place + key.utf8CodeUnitCount
    guard let end = self[start...].firstIndex(of: UInt8(ascii: "\"")) else { return nil }
    return String(decoding: self[start..<end], as: UTF8.self)
  }
}
