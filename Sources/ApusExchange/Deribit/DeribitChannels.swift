import Apus
import CSupport

/// A public channel with all who listen to it. Made with the first subscriber, kept for good.
final class DeribitChannel {
  enum Kind {
    /// Full depth: a snapshot, then changes.
    case book
    /// The best levels as a whole; `group` in ticks.
    case window(group: Int64, depth: Int)
    case quote
    case ticker
    case trades
    case perpetual
    case index(Int)
    case platform
    case state
  }

  let name: String
  let kind: Kind
  /// The instruments that it speaks of.
  let scope: DeribitScope
  let interval: Nanoseconds
  var isScheduled = false
  var nextAllowed: Nanoseconds = .min
  var subscribers: [DeribitSession] = []
  /// Books: what has been published, by price in ticks.
  var bids: [Int64: Int64] = [:]
  var asks: [Int64: Int64] = [:]
  var touchedBids: Set<Int64> = []
  var touchedAsks: Set<Int64> = []
  var changeID: Int64 = 0
  /// So many changes get lost on their way (fault injection).
  var changesToLose = 0
  /// Windows, quotes and tickers: what the last message showed.
  var shown: [Int64] = []
  /// Trades: number of the first not yet published, by market.
  var nextTrade: [Int: Int] = [:]

  init(name: String, kind: Kind, scope: DeribitScope, interval: Nanoseconds) {
    self.name = name
    self.kind = kind
    self.scope = scope
    self.interval = interval
  }

  /// It follows the marks, not the books.
  var isTimed: Bool {
    switch kind {
    case .index, .perpetual: true
    default: false
    }
  }
  var isBook: Bool { if case .book = kind { true } else { false } }
}

/// Which instruments a channel or a question is about.
enum DeribitScope: Equatable {
  case market(Int)
  /// `nil` for any; the currency is that of the settlement.
  case family(kind: String?, currency: String?)
}

/// A private channel of one connection.
final class DeribitUserChannel {
  enum Topic: Equatable { case orders, trades, changes, portfolio(String?), protection(String), lock }

  let name: String
  let topic: Topic
  let scope: DeribitScope
  let interval: Nanoseconds
  var isScheduled = false
  /// What waits for the end of the interval, with its market.
  var orders: [(market: Int, text: [UInt8])] = []
  var trades: [(market: Int, text: [UInt8])] = []

  init(name: String, topic: Topic, scope: DeribitScope, interval: Nanoseconds) {
    self.name = name
    self.topic = topic
    self.scope = scope
    self.interval = interval
  }
}

/// subscribe and unsubscribe (reference 6).
extension DeribitVenue {
  func fits(_ scope: DeribitScope, _ market: Market) -> Bool {
    switch scope {
    case .market(let index): market.index == index
    case .family(let kind, let currency):
      (kind == nil || kind == word(kind: market))
        && (currency == nil || currency == listing(market).settlementCurrency)
    }
  }

  /// `future` or `option`.
  func word(kind market: Market) -> String { market.spec.kind == .option ? "option" : "future" }

  /// Settlement currencies in the order of the listings.
  var currencies: [String] {
    var list: [String] = []
    for listing in listings where !list.contains(listing.settlementCurrency) { list.append(listing.settlementCurrency) }
    return list
  }

  func subscribe(
    _ session: DeribitSession, _ account: DeribitAccount?, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    guard !session.isHTTP else { throw .needsWebSocket }
    guard let names = try arguments.strings("channels") else { throw .invalid("channels", "value required") }
    if let label = try arguments.string("label"), label.utf8.count > 16 {
      throw .invalid("label", "must be at most 16 characters long")
    }
    if account == nil {
      if names.contains(where: { $0.hasSuffix(".raw") }) { throw .rawNeedsLogin }
      if names.contains(where: { $0.hasPrefix("user.") }) { throw .unauthorized }
    }
    var accepted: [String] = []
    for name in names where !accepted.contains(name) {
      if name.hasPrefix("user.") {
        if session.userChannels.contains(where: { $0.name == name }) {
          accepted.append(name)
        } else if let channel = userChannel(name) {
          session.userChannels.append(channel)
          accepted.append(name)
        }
        continue
      }
      guard let channel = publicChannel(name) else { continue }
      accepted.append(name)
      // Again is harmless, and brings no second snapshot.
      guard !session.channels.contains(where: { $0 === channel }) else { continue }
      if channel.subscribers.isEmpty { prime(channel) } else { publish(channel) }
      channel.subscribers.append(session)
      session.channels.append(channel)
      newSubscriptions.append((session, channel))
    }
    // The order of the request is not kept.
    if accepted.count > 1, settings.messageOrder == .random { accepted.swapAt(0, accepted.count - 1) }
    write(names: accepted)
  }

  func write(names: [String]) {
    reply.byte(UInt8(ascii: "["))
    for (place, name) in names.enumerated() {
      if place > 0 { reply.byte(UInt8(ascii: ",")) }
      reply.quoted(name)
    }
    reply.byte(UInt8(ascii: "]"))
  }

  func unsubscribe(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    guard !session.isHTTP else { throw .needsWebSocket }
    guard let names = try arguments.strings("channels") else { throw .invalid("channels", "value required") }
    var removed: [String] = []
    for name in names {
      if let place = session.userChannels.firstIndex(where: { $0.name == name }) {
        session.userChannels.remove(at: place)
        removed.append(name)
      } else if let place = session.channels.firstIndex(where: { $0.name == name }) {
        leave(session, session.channels[place])
        removed.append(name)
      }
    }
    write(names: removed)
  }

  func unsubscribeAll(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    guard !session.isHTTP else { throw .needsWebSocket }
    for channel in session.channels { leave(session, channel) }
    session.userChannels.removeAll()
    reply.raw("\"ok\"")
  }

  private func leave(_ session: DeribitSession, _ channel: DeribitChannel) {
    session.channels.removeAll { $0 === channel }
    channel.subscribers.removeAll { $0 === session }
    newSubscriptions.removeAll { $0.session === session && $0.channel === channel }
  }

  // MARK: names

  private func interval(_ text: some StringProtocol) -> Nanoseconds? {
    switch text {
    case "raw": 0
    case "100ms": 100_000_000
    case "agg2": settings.slowInterval
    default: nil
    }
  }

  private func scope(kind: Substring, currency: Substring) -> DeribitScope? {
    guard ["any", "future", "option", "spot", "future_combo", "option_combo"].contains(kind) else { return nil }
    let known = ["BTC", "ETH", "USDC", "USDT", "EURR", "SOL", "any"].contains {
      $0.lowercased() == currency.lowercased()
    }
    guard known else { return nil }
    return .family(
      kind: kind == "any" ? nil : String(kind), currency: currency.lowercased() == "any" ? nil : currency.uppercased())
  }

  /// The instrument, or kind and currency, in the parts of a name between its head and its interval.
  private func scope(_ parts: ArraySlice<Substring>) -> DeribitScope? {
    guard let first = parts.first else { return nil }
    switch parts.count {
    case 1: return marketsByName[String(first)].map { .market($0.index) }
    case 2: return scope(kind: first, currency: parts[parts.startIndex + 1])
    default: return nil
    }
  }

  private func userChannel(_ name: String) -> DeribitUserChannel? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    func make(
      _ topic: DeribitUserChannel.Topic, _ scope: DeribitScope = .family(kind: nil, currency: nil),
      _ interval: Nanoseconds = 0
    ) -> DeribitUserChannel {
      DeribitUserChannel(name: name, topic: topic, scope: scope, interval: interval)
    }
    guard parts.count >= 2 else { return nil }
    switch parts[1] {
    case "orders", "trades", "changes":
      guard parts.count >= 4, let interval = interval(parts[parts.count - 1]),
        let scope = scope(parts[2..<parts.count - 1])
      else { return nil }
      return make(parts[1] == "orders" ? .orders : parts[1] == "trades" ? .trades : .changes, scope, interval)
    case "portfolio" where parts.count == 3:
      if parts[2].lowercased() == "any" { return make(.portfolio(nil)) }
      let currency = parts[2].uppercased()
      return ["BTC", "ETH", "USDC", "USDT", "EURR", "SOL"].contains(currency) ? make(.portfolio(currency)) : nil
    case "mmp_trigger" where parts.count == 3:
      let isKnown = underlyings.contains { $0.name == Array(parts[2].utf8) } || parts[2] == "any"
      return isKnown ? make(.protection(String(parts[2]))) : nil
    case "lock" where parts.count == 2: return make(.lock)
    default: return nil
    }
  }

  /// The channel of that name, made if it makes sense and does not exist yet.
  private func publicChannel(_ name: String) -> DeribitChannel? {
    guard let (kind, scope, interval) = channelKind(name) else { return nil }
    if let known = channels[name] { return known }
    let channel = DeribitChannel(name: name, kind: kind, scope: scope, interval: interval)
    channels[name] = channel
    channelList.append(channel)
    if channel.isBook, case .market(let index) = scope { markets[index].collectsTouched = true }
    return channel
  }

  private func channelKind(_ name: String) -> (DeribitChannel.Kind, DeribitScope, Nanoseconds)? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    let all = DeribitScope.family(kind: nil, currency: nil)
    func market() -> Market? { parts.count > 1 ? marketsByName[String(parts[1])] : nil }
    switch (parts[0], parts.count) {
    case ("book", 3):
      guard let market = market(), let interval = interval(parts[2]) else { return nil }
      return (.book, .market(market.index), interval)
    case ("book", 5):
      guard let market = market(), let interval = interval(parts[4]), let depth = Int(parts[3]),
        [1, 10, 20].contains(depth)
      else { return nil }
      var group: Int64 = 1
      if parts[2] != "none" {
        guard let steps = Int64(parts[2]), [1, 2, 5, 10, 25, 100, 250].contains(steps) else { return nil }
        group = steps
      }
      return (.window(group: group, depth: depth), .market(market.index), interval)
    case ("quote", 2): return market().map { (.quote, .market($0.index), 0) }
    case ("ticker", 3):
      guard let market = market(), let interval = interval(parts[2]) else { return nil }
      return (.ticker, .market(market.index), interval)
    case ("trades", 3), ("trades", 4):
      guard let interval = interval(parts[parts.count - 1]), let scope = scope(parts[1..<parts.count - 1]) else {
        return nil
      }
      return (.trades, scope, interval)
    case ("perpetual", 3):
      guard let market = market(), market.spec.kind == .perpetual, let interval = interval(parts[2]) else { return nil }
      return (.perpetual, .market(market.index), interval)
    case ("deribit_price_index", 2):
      return underlyings.firstIndex { $0.name == Array(parts[1].utf8) }.map { (.index($0), all, 0) }
    case ("platform_state", 1): return (.platform, all, 0)
    case ("instrument", 4) where parts[1] == "state":
      return scope(kind: parts[2], currency: parts[3]).map { (.state, $0, 0) }
    default: return nil
    }
  }
}
