import Apus
import CSupport

/// A public topic with all who listen to it. Made with the first subscriber, kept for good.
final class BybitChannel {
  enum Kind: Equatable { case book(depth: Int), trades, ticker, priceLimit }

  let name: String
  let kind: Kind
  let market: Market
  /// It speaks at most this often.
  let period: Nanoseconds
  var isScheduled = false
  var nextAllowed: Nanoseconds = .min
  var subscribers: [BybitConnection] = []
  /// Books: number of the last message, and what has been told, by price in ticks.
  var update: Int64
  var bids: [Int64: Int64] = [:]
  var asks: [Int64: Int64] = [:]
  var match: UInt64 = 0
  var lastSent: Nanoseconds = 0
  var watchesSilence = false
  /// So many messages get lost on their way (fault injection).
  var messagesToLose = 0
  /// Tickers: what has been told, by field.
  var shown: [String] = []
  /// Trades: number of the first that has not been told.
  var nextTrade = 0

  init(name: String, kind: Kind, market: Market, period: Nanoseconds, update: Int64) {
    self.name = name
    self.kind = kind
    self.market = market
    self.period = period
    self.update = update
  }

  var depth: Int? { if case .book(let depth) = kind { depth } else { nil } }
  /// It speaks of mark and index too.
  var followsMark: Bool { kind == .ticker || kind == .priceLimit }
}

/// Public market data: who is told what, and when (5, 6).
extension SimulatedBybit {
  /// The channel of that topic, made if it makes sense and does not exist yet.
  func channel(_ name: String) -> BybitChannel? {
    if let known = channels[name] { return known }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count > 1, let market = marketsByName[String(parts[parts.count - 1])] else { return nil }
    let kind: BybitChannel.Kind
    let period: Nanoseconds
    switch (parts[0], parts.count) {
    case ("orderbook", 3):
      guard let depth = Int(parts[1]), parts[1] == "\(depth)", let every = settings.bookPeriods[depth] else {
        return nil
      }
      kind = .book(depth: depth)
      period = every
    case ("publicTrade", 2): (kind, period) = (.trades, 0)
    case ("tickers", 2): (kind, period) = (.ticker, settings.tickerPeriod)
    case ("priceLimit", 2): (kind, period) = (.priceLimit, settings.priceLimitPeriod)
    default: return nil
    }
    let channel = BybitChannel(
      name: name, kind: kind, market: market, period: period, update: 1_000_000 + random.below(1_000_000))
    channels[name] = channel
    channelList.append(channel)
    return channel
  }

  func join(_ connection: BybitConnection, _ channel: BybitChannel) {
    if channel.subscribers.isEmpty { prime(channel) }
    channel.subscribers.append(connection)
    connection.channels.append(channel)
    newSubscriptions.append((connection, channel))
  }

  func leave(_ connection: BybitConnection, _ channel: BybitChannel) {
    connection.channels.removeAll { $0 === channel }
    channel.subscribers.removeAll { $0 === connection }
    newSubscriptions.removeAll { $0.connection === connection && $0.channel === channel }
  }

  /// Makes the present state the one that news are told against: for a channel's first listener.
  private func prime(_ channel: BybitChannel) {
    channel.nextAllowed = now
    switch channel.kind {
    case .book(let depth):
      channel.bids = window(channel.market, .buy, depth)
      channel.asks = window(channel.market, .sell, depth)
      channel.match = bookMatches[channel.market.index]
      channel.update += 1
    case .trades: channel.nextTrade = channel.market.tradeCount
    case .ticker: channel.shown = tickerValues(channel.market)
    case .priceLimit: channel.shown = []
    }
  }

  private func window(_ market: Market, _ side: Side, _ depth: Int) -> [Int64: Int64] {
    var levels: [Int64: Int64] = [:]
    market.levels(side, limit: depth) { price, lots in
      levels[price.rawValue] = lots.rawValue
      return true
    }
    return levels
  }

  /// After a transaction: everything about books that changed.
  func publishMarkets() {
    for market in markets where market.isBookChanged {
      market.isBookChanged = false
      // Books have a number of their own behind those of their trades.
      matchNumber &+= 1
      bookMatches[market.index] = matchNumber
      for channel in channelList where channel.market === market && channel.kind != .priceLimit { offer(channel) }
    }
  }

  /// Publishes now, or as soon as the channel's period allows.
  func offer(_ channel: BybitChannel) {
    if channel.subscribers.isEmpty || channel.isScheduled { return }
    if now >= channel.nextAllowed {
      publish(channel)
    } else {
      channel.isScheduled = true
      timers.set(.channel(channel), at: channel.nextAllowed)
    }
  }

  /// Sends what is new on a channel, if anything is.
  func publish(_ channel: BybitChannel) {
    guard !channel.subscribers.isEmpty, !isSilent, writeNews(channel) else { return }
    channel.nextAllowed = now + channel.period
    send(channel)
  }

  private func send(_ channel: BybitChannel) {
    channel.lastSent = now
    watchSilence(channel)
    if channel.messagesToLose > 0 {
      channel.messagesToLose -= 1
      return
    }
    for connection in channel.subscribers { post(connection, message) }
  }

  /// The first message of a channel, to one subscriber: the state as it has been told to the others.
  func sendFirst(_ channel: BybitChannel, to connection: BybitConnection) {
    guard connection.isOpen else { return }
    switch channel.kind {
    case .book: writeBook(channel, isSnapshot: true, channel.bids, channel.asks)
    case .ticker: writeTicker(channel, Array(channel.shown.indices), isSnapshot: true)
    case .priceLimit: writePriceLimit(channel)
    case .trades: return
    }
    channel.lastSent = now
    watchSilence(channel)
    post(connection, message)
  }

  /// A snapshot to everybody: the venue's own repair, or behind a restart of the service, with the number 1 (6.1).
  func sendSnapshot(_ channel: BybitChannel, isRestart: Bool) {
    guard let depth = channel.depth, !channel.subscribers.isEmpty else { return }
    channel.bids = window(channel.market, .buy, depth)
    channel.asks = window(channel.market, .sell, depth)
    channel.match = bookMatches[channel.market.index]
    channel.update = isRestart ? 1 : channel.update + 1
    writeBook(channel, isSnapshot: true, channel.bids, channel.asks)
    send(channel)
  }

  // MARK: silence of the level-1 topic

  private func watchSilence(_ channel: BybitChannel) {
    guard channel.depth == 1, !channel.watchesSilence, settings.topRepeat > 0 else { return }
    channel.watchesSilence = true
    timers.set(.silence(channel), at: now + settings.topRepeat)
  }

  func repeatTop(_ channel: BybitChannel) {
    channel.watchesSilence = false
    guard !channel.subscribers.isEmpty else { return }
    if isSilent {
      channel.watchesSilence = true
      timers.set(.silence(channel), at: now + settings.topRepeat)
    } else if now - channel.lastSent >= settings.topRepeat {
      writeBook(channel, isSnapshot: true, channel.bids, channel.asks)
      send(channel)
    } else {
      channel.watchesSilence = true
      timers.set(.silence(channel), at: channel.lastSent + settings.topRepeat)
    }
  }

  // MARK: what is written

  /// Writes the next message into `message`; false if nothing has changed.
  private func writeNews(_ channel: BybitChannel) -> Bool {
    switch channel.kind {
    case .book(let depth): return writeBookNews(channel, depth)
    case .trades: return writeTrades(channel)
    case .ticker:
      let values = tickerValues(channel.market)
      let changed = values.indices.filter { values[$0] != channel.shown[$0] }
      guard !changed.isEmpty else { return false }
      channel.shown = values
      writeTicker(channel, changed, isSnapshot: false)
      return true
    case .priceLimit:
      writePriceLimit(channel)
      return true
    }
  }

  private func writeBookNews(_ channel: BybitChannel, _ depth: Int) -> Bool {
    let bids = window(channel.market, .buy, depth)
    let asks = window(channel.market, .sell, depth)
    guard bids != channel.bids || asks != channel.asks else { return false }
    let bidChanges = changes(from: channel.bids, to: bids)
    let askChanges = changes(from: channel.asks, to: asks)
    channel.bids = bids
    channel.asks = asks
    channel.match = bookMatches[channel.market.index]
    channel.update += 1
    // The level-1 topic says everything each time.
    if depth == 1 {
      writeBook(channel, isSnapshot: true, bids, asks)
    } else {
      writeBook(channel, isSnapshot: false, bidChanges, askChanges)
    }
    return true
  }

  /// Sizes by price that make the one the other; 0 for a level that is gone, or has left the window.
  private func changes(from old: [Int64: Int64], to new: [Int64: Int64]) -> [Int64: Int64] {
    var changes = new.filter { old[$0.key] != $0.value }
    for price in old.keys where new[price] == nil { changes[price] = 0 }
    return changes
  }

  private func writeBook(
    _ channel: BybitChannel, isSnapshot: Bool, _ bids: [Int64: Int64], _ asks: [Int64: Int64]
  ) {
    let market = channel.market
    message.clear()
    message.raw("{\"topic\":\"")
    message.append(Array(channel.name.utf8))
    // As it is seen: the order of the members is another one for the level-1 topic.
    if channel.depth == 1 {
      message.raw("\",\"ts\":")
      message.integer(wallClock / 1_000_000)
      message.raw(",\"type\":\"snapshot\",\"data\":{\"s\":\"")
    } else {
      message.raw(isSnapshot ? "\",\"type\":\"snapshot\",\"ts\":" : "\",\"type\":\"delta\",\"ts\":")
      message.integer(wallClock / 1_000_000)
      message.raw(",\"data\":{\"s\":\"")
    }
    message.append(market.name)
    message.raw("\",\"b\":[")
    writeLevels(message, market, bids.sorted { $0.key > $1.key })
    message.raw("],\"a\":[")
    writeLevels(message, market, asks.sorted { $0.key < $1.key })
    message.raw("],\"u\":")
    message.integer(channel.update)
    message.raw(",\"seq\":")
    message.integer(sequence(channel.match))
    message.raw("},\"cts\":")
    message.integer(wall(market.bookTime) / 1_000_000)
    message.byte(UInt8(ascii: "}"))
  }

  /// `["price","size"],…`, with the decimals of the grid.
  func writeLevels(_ out: TextBuffer, _ market: Market, _ levels: [(key: Int64, value: Int64)]) {
    let grid = market.spec.grid
    for (place, level) in levels.enumerated() {
      out.raw(place == 0 ? "[\"" : ",[\"")
      out.fixed(level.key * grid.tickE8, places: Self.places(grid.tickE8))
      out.raw("\",\"")
      if level.value == 0 {
        out.byte(UInt8(ascii: "0"))
      } else {
        out.fixed(level.value * grid.lotE8, places: Self.places(grid.lotE8))
      }
      out.raw("\"]")
    }
  }

  /// How many decimals a step of the grid has.
  static func places(_ stepE8: Int64) -> Int {
    var step = stepE8
    var places = 8
    while places > 0, step % 10 == 0 {
      step /= 10
      places -= 1
    }
    return places
  }

  private func writeTrades(_ channel: BybitChannel) -> Bool {
    let market = channel.market
    var number = max(channel.nextTrade, market.tradeCount - Market.tradeCapacity)
    guard number < market.tradeCount else { return false }
    // More do not fit a message; the rest comes with the next transaction.
    let end = min(market.tradeCount, number + 1024)
    channel.nextTrade = end
    message.clear()
    message.raw("{\"topic\":\"")
    message.append(Array(channel.name.utf8))
    message.raw("\",\"type\":\"snapshot\",\"ts\":")
    message.integer(wallClock / 1_000_000)
    message.raw(",\"data\":[")
    let first = number
    market.recentTrades(from: number) { trade in
      guard number < end else { return }
      if number > first { message.byte(UInt8(ascii: ",")) }
      message.raw("{\"T\":")
      message.integer(wall(trade.time) / 1_000_000)
      message.raw(",\"s\":\"")
      message.append(market.name)
      message.raw(trade.aggressor == .buy ? "\",\"S\":\"Buy\",\"v\":\"" : "\",\"S\":\"Sell\",\"v\":\"")
      message.fixed(trade.lots.rawValue * market.spec.grid.lotE8, places: Self.places(market.spec.grid.lotE8))
      message.raw("\",\"p\":\"")
      message.fixed(trade.price.rawValue * market.spec.grid.tickE8, places: listing(market).priceScale)
      message.raw("\",\"L\":\"")
      message.raw(Self.direction(trade.tick))
      message.raw("\",\"i\":\"")
      message.append(Array(publicTradeID(market, number).utf8))
      message.raw("\",\"BT\":false,\"RPI\":false,\"seq\":")
      message.integer(sequence(trade.match))
      message.byte(UInt8(ascii: "}"))
      number += 1
    }
    message.raw("]}")
    return true
  }

  func publicTradeID(_ market: Market, _ number: Int) -> String {
    uuid(.publicTrade, UInt64(market.index) << 40 | UInt64(number))
  }

  static func direction(_ tick: UInt8) -> StaticString {
    switch tick {
    case 0: "PlusTick"
    case 1: "ZeroPlusTick"
    case 2: "MinusTick"
    default: "ZeroMinusTick"
    }
  }

  private func writeTicker(_ channel: BybitChannel, _ fields: [Int], isSnapshot: Bool) {
    message.clear()
    message.raw("{\"topic\":\"")
    message.append(Array(channel.name.utf8))
    message.raw(isSnapshot ? "\",\"type\":\"snapshot\",\"data\":{" : "\",\"type\":\"delta\",\"data\":{")
    message.raw("\"symbol\":\"")
    message.append(channel.market.name)
    message.byte(UInt8(ascii: "\""))
    writeTickerFields(message, channel.shown, fields)
    message.raw("},\"cs\":")
    message.integer(sequence(bookMatches[channel.market.index]))
    message.raw(",\"ts\":")
    message.integer(wallClock / 1_000_000)
    message.byte(UInt8(ascii: "}"))
  }

  private func writePriceLimit(_ channel: BybitChannel) {
    message.clear()
    message.raw("{\"topic\":\"")
    message.append(Array(channel.name.utf8))
    message.raw("\",\"data\":{\"symbol\":\"")
    message.append(channel.market.name)
    message.raw("\",")
    writeBand(message, channel.market)
    message.raw("},\"ts\":")
    message.integer(wallClock / 1_000_000)
    message.byte(UInt8(ascii: "}"))
  }
}
