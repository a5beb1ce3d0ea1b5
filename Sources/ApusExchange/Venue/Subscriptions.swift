import Apus
import CSupport

/// A channel that a session has just begun to listen to; its first message is due.
struct Subscription {
  enum Target {
    case publicChannel(Channel)
    case privateChannel(PrivateChannels)
  }
  var session: Session
  var target: Target
}

/// subscribe and unsubscribe (reference 5.1, 5.2).
extension SimulatedVenue {
  private func channelNames(_ arguments: Arguments) -> [String]? {
    guard let list = arguments.node("channels"), document[list].kind == .array else { return nil }
    var names: [String] = []
    var isGood = true
    document.forEach(in: list) { element in
      if let name = document.string(element) { names.append(name) } else { isGood = false }
    }
    return isGood ? names : nil
  }

  private func writeNames(_ names: [String]) {
    reply.byte(UInt8(ascii: "["))
    for (place, name) in names.enumerated() {
      if place > 0 { reply.byte(UInt8(ascii: ",")) }
      reply.quoted(name)
    }
    reply.byte(UInt8(ascii: "]"))
  }

  func subscribe(_ session: Session, _ arguments: Arguments, isPrivate: Bool) -> VenueFault? {
    guard let names = channelNames(arguments) else { return .invalidRequest }
    var accepted: [String] = []
    for name in names {
      if isPrivate {
        guard let channel = PrivateChannels.named(name) else { continue }
        accepted.append(name)
        // Again is harmless, and brings no second snapshot.
        guard !session.privateChannels.contains(channel) else { continue }
        session.privateChannels.insert(channel)
        newSubscriptions.append(Subscription(session: session, target: .privateChannel(channel)))
      } else {
        guard let channel = publicChannel(name) else { continue }
        accepted.append(name)
        guard !session.channels.contains(where: { $0 === channel }) else { continue }
        if channel.subscribers.isEmpty { prime(channel) }
        session.channels.append(channel)
        channel.subscribers.append(session)
        newSubscriptions.append(Subscription(session: session, target: .publicChannel(channel)))
      }
    }
    writeNames(accepted)
    return nil
  }

  func unsubscribe(_ session: Session, _ arguments: Arguments) -> VenueFault? {
    guard let names = channelNames(arguments) else { return .invalidRequest }
    var removed: [String] = []
    for name in names {
      if let channel = PrivateChannels.named(name) {
        if session.privateChannels.remove(channel) != nil { removed.append(name) }
      } else if let channel = channels[name], session.channels.contains(where: { $0 === channel }) {
        session.channels.removeAll { $0 === channel }
        channel.subscribers.removeAll { $0 === session }
        removed.append(name)
      }
    }
    writeNames(removed)
    return nil
  }

  /// The channel of that name, made if it makes sense and does not exist yet.
  private func publicChannel(_ name: String) -> Channel? {
    // What has expired is not listened to any more, even if its channel was made before.
    guard let (kind, delay) = channelKind(name) else { return nil }
    if let known = channels[name] { return known }
    let channel = Channel(name: Array(name.utf8), kind: kind, delay: delay)
    channels[name] = channel
    switch kind {
    case .ticker(let index), .lwt(let index), .book(let index, _, _), .recentTrades(let index):
      let market = markets[index]
      // After its equals in rank, so that channels keep the order of their making.
      let place = market.channels.firstIndex { $0.rank > channel.rank } ?? market.channels.count
      market.channels.insert(channel, at: place)
      if channel.isFullDepth { market.collectsTouched = true }
    case .lwtFutures, .lwtOptions, .lwtRolls, .priceIndex, .statistics, .basePrice, .indexComponents, .underlyingTrades:
      underlyingChannels.append(channel)
    case .instruments, .system, .banners, .rfqs: break
    }
    return channel
  }

  private func channelKind(_ name: String) -> (Channel.Kind, Nanoseconds)? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let first = parts.first else { return nil }
    func market(_ text: Substring) -> Int? { marketsByName[String(text)]?.index }
    func underlying(_ text: Substring) -> Int? { underlyings.firstIndex { $0.name == Array(text.utf8) } }
    switch (first, parts.count) {
    case ("instruments", 1): return (.instruments, 0)
    case ("system", 1): return (.system, 0)
    case ("banners", 1): return (.banners, 0)
    case ("rfqs", 1): return (.rfqs, 0)
    case ("underlying_statistics", 2): return underlying(parts[1]).map { (.statistics($0), 0) }
    case ("index_components", 2): return underlying(parts[1]).map { (.indexComponents($0), 0) }
    case ("base_price", 3):
      guard let index = underlying(parts[1]),
        let market = underlyings[index].markets.first(where: { $0.spec.expiryDate == parts[2] })
      else { return nil }
      return (.basePrice(index, expiry: market.spec.expirySeconds), 0)
    case ("lwt_options", 4):
      guard let index = underlying(parts[1]), let delay = Self.delay(parts[3]),
        parts[2] == "all" || underlyings[index].markets.contains(where: { $0.spec.expiryDate == parts[2] })
      else { return nil }
      return (.lwtOptions(index, expiry: parts[2] == "all" ? nil : String(parts[2])), delay)
    case ("lwt_future_rolls", 3):
      guard let index = underlying(parts[1]), let delay = Self.delay(parts[2]) else { return nil }
      return (.lwtRolls(index), delay)
    case ("price_index", 2): return underlying(parts[1]).map { (.priceIndex($0), 0) }
    case ("ticker", 3):
      guard let index = market(parts[1]), let delay = Self.delay(parts[2]) else { return nil }
      return (.ticker(index), delay)
    case ("lwt", 3):
      guard let index = market(parts[1]), let delay = Self.delay(parts[2]) else { return nil }
      return (.lwt(index), delay)
    case ("lwt_futures", 3):
      guard let index = underlying(parts[1]), let delay = Self.delay(parts[2]) else { return nil }
      return (.lwtFutures(index), delay)
    case ("recent_trades", 3):
      if parts[2] == "single" { return market(parts[1]).map { (.recentTrades($0), 0) } }
      guard let index = underlying(parts[1]) else { return nil }
      switch parts[2] {
      case "all": return (.underlyingTrades(index, .all), 0)
      case "options": return (.underlyingTrades(index, .options), 0)
      case "future_rolls": return (.underlyingTrades(index, .rolls), 0)
      default: return nil
      }
    case ("book", 5...6):
      // A fractional grouping brings a dot of its own: split from both ends (reference 4.2).
      let last = parts.count - 1
      guard let index = market(parts[1]), let delay = Self.delay(parts[last]),
        let group = grouping(parts[2..<last - 1].joined(separator: "."), markets[index])
      else { return nil }
      if parts[last - 1] == "all" { return (.book(index, group: group, levels: nil), delay) }
      guard let levels = Int(parts[last - 1]), levels > 0 else { return nil }
      return (.book(index, group: group, levels: levels), delay)
    default: return nil
    }
  }

  private func grouping(_ text: String, _ market: Market) -> Int64? {
    if text == "none" { return 1 }
    guard let step = Array(text.utf8).withUnsafeBytes({ Decimal.parse($0, places: 8) }), step > 0,
      step % market.spec.grid.tickE8 == 0
    else { return nil }
    return step / market.spec.grid.tickE8
  }

  private static func delay(_ text: Substring) -> Nanoseconds? {
    switch text {
    case "raw": 0
    case "100ms": 100_000_000
    case "200ms": 200_000_000
    case "500ms": 500_000_000
    case "1000ms": 1_000_000_000
    case "5000ms": 5_000_000_000
    case "60000ms": 60_000_000_000
    default: nil
    }
  }
}
