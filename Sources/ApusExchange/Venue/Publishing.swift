import Apus
import CSupport

/// Public market data: who is told what, and when.
extension SimulatedVenue {
  /// One second has passed: index, mark, funding, and what hangs on them.
  func updateMarks() {
    for underlying in underlyings {
      underlying.indexE8 = underlying.latestE8
      underlying.time = max(1, now)
    }
    for underlying in underlyings { updateMarks(of: underlying) }
    for channel in underlyingChannels where channel.isTimed { offer(channel) }
    for market in markets { publish(market) }
    publishUnderlyingChannels()
    // A line is repeated when its mark has moved by more than 1 % (reference 7.4).
    for account in accountList {
      var moved: [Int] = []
      for (index, position) in account.positions.enumerated() where position.lots != 0 && position.sentMarkE8 != 0 {
        if abs(markets[index].markE8 - position.sentMarkE8) * 100 > abs(position.sentMarkE8) { moved.append(index) }
      }
      sendPortfolio(account, moved)
    }
    triggerConditionals()
    quoteDerived()
    settle(requester: nil)
  }

  /// After a transaction: everything about books that changed.
  func publishMarkets() {
    var changed = false
    for market in markets where market.isBookChanged {
      changed = true
      if market.collectsTouched {
        for channel in market.channels where channel.isFullDepth && !channel.subscribers.isEmpty {
          channel.touchedBids += market.touchedBids
          channel.touchedAsks += market.touchedAsks
        }
        market.touchedBids.removeAll(keepingCapacity: true)
        market.touchedAsks.removeAll(keepingCapacity: true)
      }
      publish(market)
      market.isBookChanged = false
    }
    if changed { publishUnderlyingChannels() }
  }

  private func publish(_ market: Market) {
    for channel in market.channels { offer(channel) }
  }

  private func publishUnderlyingChannels() {
    for channel in underlyingChannels where !channel.isTimed { offer(channel) }
  }

  /// Publishes now, or as soon as the channel's delay allows.
  private func offer(_ channel: Channel) {
    if channel.subscribers.isEmpty || channel.isScheduled { return }
    if now >= channel.nextAllowed {
      publish(channel)
    } else {
      channel.isScheduled = true
      timers.set(.channel(channel), at: channel.nextAllowed)
    }
  }

  /// Sends what is new on a channel, if anything is.
  func publish(_ channel: Channel) {
    guard !channel.subscribers.isEmpty, !isSilent else { return }
    guard writeNews(channel) else { return }
    channel.nextAllowed = now + channel.delay
    for session in channel.subscribers { outbox.post(session.id, message) }
  }

  func begin(_ channel: Channel) {
    message.clear()
    message.raw("{\"channel_name\":\"")
    message.append(channel.name)
    message.raw("\",\"notification\":")
  }

  /// Writes the next notification into `message`; false if nothing has changed.
  private func writeNews(_ channel: Channel) -> Bool {
    switch channel.kind {
    case .ticker(let index):
      let state = state(markets[index])
      if channel.sent[index] == state { return false }
      channel.sent[index] = state
      begin(channel)
      writeTicker(message, markets[index], state)
    case .lwt(let index):
      let state = state(markets[index])
      if channel.sent[index] == state { return false }
      channel.sent[index] = state
      begin(channel)
      writeLightTicker(markets[index], state)
    case .lwtFutures, .lwtOptions, .lwtRolls: return writeAggregated(channel, all: false)
    case .book(let index, let group, let levels):
      return writeBookNews(channel, markets[index], group: group, levels: levels)
    case .recentTrades, .underlyingTrades: return writeTrades(channel, markets(of: channel))
    case .priceIndex, .statistics, .basePrice, .indexComponents: return writeValue(channel)
    case .instruments, .system, .banners, .rfqs: return false
    }
    message.byte(UInt8(ascii: "}"))
    return true
  }

  // MARK: books

  /// Reads the side's levels as a channel shows them: bids grouped down, asks up.
  private func read(
    _ market: Market, _ side: Side, group: Int64, levels: Int?, into result: inout [(price: Int64, lots: Int64)]
  ) {
    result.removeAll(keepingCapacity: true)
    let wanted = levels ?? .max
    let limit = group == 1 && wanted < 4096 ? wanted : Int(configuration.maximumLevels)
    market.levels(side, limit: limit) { price, lots in
      var shown = price.rawValue
      if group > 1 { shown = side == .buy ? shown / group * group : (shown + group - 1) / group * group }
      if let last = result.indices.last, result[last].price == shown {
        result[last].lots += lots.rawValue
        return true
      }
      if result.count == wanted { return false }
      result.append((shown, lots.rawValue))
      return true
    }
  }

  /// Writes levels of `new` that differ from `old`, gone ones with amount 0; both best first.
  private func writeChanges(
    _ market: Market, _ side: Side, old: [(price: Int64, lots: Int64)], new: [(price: Int64, lots: Int64)]
  ) -> Bool {
    var written = false
    func level(_ price: Int64, _ lots: Int64) {
      if written { message.byte(UInt8(ascii: ",")) }
      written = true
      writeFullLevel(message, market, price, lots)
    }
    var before = 0
    var after = 0
    while before < old.count || after < new.count {
      if after == new.count {
        level(old[before].price, 0)
        before += 1
      } else if before == old.count {
        level(new[after].price, new[after].lots)
        after += 1
      } else if old[before].price == new[after].price {
        if old[before].lots != new[after].lots { level(new[after].price, new[after].lots) }
        before += 1
        after += 1
      } else if (side == .buy) == (old[before].price > new[after].price) {
        level(old[before].price, 0)
        before += 1
      } else {
        level(new[after].price, new[after].lots)
        after += 1
      }
    }
    return written
  }

  private func writeTouched(_ market: Market, _ side: Side, _ prices: inout [Int64]) -> Bool {
    prices.sort()
    var previous = Int64.min
    var written = false
    for price in side == .buy ? Array(prices.reversed()) : prices where price != previous {
      previous = price
      if written { message.byte(UInt8(ascii: ",")) }
      written = true
      let lots = market.engine.depth(side, at: PriceTicks(rawValue: price))
      writeFullLevel(message, market, price, lots.rawValue)
    }
    prices.removeAll(keepingCapacity: true)
    return written
  }

  private func writeBookTrades(_ market: Market, from first: Int) -> Bool {
    var written = false
    message.raw("\"trades\":[")
    // Not sent for combinations (reference 5.5).
    market.recentTrades(from: market.spec.kind == .combination ? .max : first) { trade in
      if written { message.byte(UInt8(ascii: ",")) }
      written = true
      writeLevel(message, market, trade.price.rawValue, trade.lots.rawValue)
      message.raw(trade.aggressor == .buy ? ",\"buy\"," : ",\"sell\",")
      message.seconds(wall(trade.time))
      message.raw(",false]")
    }
    message.raw("],")
    return written
  }

  private func writeBookEnd(_ market: Market) {
    message.raw("\"total_bid_amount\":")
    message.e8(market.totalBids * market.spec.grid.lotE8)
    message.raw(",\"total_ask_amount\":")
    message.e8(market.totalAsks * market.spec.grid.lotE8)
    message.raw(",\"time\":")
    message.seconds(wall(market.bookTime))
    message.byte(UInt8(ascii: "}"))
  }

  private func writeBookNews(_ channel: Channel, _ market: Market, group: Int64, levels: Int?) -> Bool {
    begin(channel)
    message.byte(UInt8(ascii: "{"))
    var isNews = writeBookTrades(market, from: channel.nextTrade[market.index] ?? 0)
    channel.nextTrade[market.index] = market.tradeCount
    for side in [Side.buy, Side.sell] {
      let mark = message.count
      message.raw(side == .buy ? "\"bid_changes\":[" : "\"ask_changes\":[")
      let written: Bool
      if channel.isFullDepth {
        written =
          side == .buy
          ? writeTouched(market, .buy, &channel.touchedBids) : writeTouched(market, .sell, &channel.touchedAsks)
      } else {
        read(market, side, group: group, levels: levels, into: &view)
        written = writeChanges(market, side, old: side == .buy ? channel.bids : channel.asks, new: view)
        if side == .buy { swap(&channel.bids, &view) } else { swap(&channel.asks, &view) }
      }
      if written {
        message.raw("],")
        isNews = true
      } else {
        message.truncate(to: mark)
      }
    }
    guard isNews else { return false }
    writeBookEnd(market)
    message.byte(UInt8(ascii: "}"))
    return true
  }

  /// The whole state of a book channel. Later news are absolute sizes, so it may run ahead of them.
  func writeBookSnapshot(_ channel: Channel, _ market: Market, group: Int64, levels: Int?) {
    begin(channel)
    message.byte(UInt8(ascii: "{"))
    _ = writeBookTrades(market, from: market.tradeCount - 10)
    for side in [Side.buy, Side.sell] {
      message.raw(side == .buy ? "\"bid_changes\":[" : "\"ask_changes\":[")
      var isFirst = true
      read(market, side, group: group, levels: levels, into: &view)
      for level in view {
        if !isFirst { message.byte(UInt8(ascii: ",")) }
        isFirst = false
        writeFullLevel(message, market, level.price, level.lots)
      }
      message.raw("],")
    }
    writeBookEnd(market)
    message.raw(",\"snapshot\":true}")
  }

  // MARK: trades

  func writeTrades(_ channel: Channel, _ list: [Market], isSnapshot: Bool = false) -> Bool {
    begin(channel)
    message.byte(UInt8(ascii: "["))
    var isFirst = true
    for market in list {
      market.recentTrades(from: isSnapshot ? market.tradeCount - 50 : channel.nextTrade[market.index] ?? 0) { trade in
        if !isFirst { message.byte(UInt8(ascii: ",")) }
        isFirst = false
        writeLevel(message, market, trade.price.rawValue, trade.lots.rawValue)
        message.raw(trade.aggressor == .buy ? ",\"buy\"," : ",\"sell\",")
        message.seconds(wall(trade.time))
        message.raw(",\"")
        message.append(market.name)
        message.raw("\",false]")
      }
      if !isSnapshot { channel.nextTrade[market.index] = market.tradeCount }
    }
    message.raw(isSnapshot ? "],\"snapshot\":true}" : "]}")
    return !isFirst
  }

  /// Makes the present state the one that news are told against: for a channel's first listener.
  func prime(_ channel: Channel) {
    channel.nextAllowed = now + channel.delay
    channel.touchedBids.removeAll()
    channel.touchedAsks.removeAll()
    switch channel.kind {
    case .ticker, .lwt, .lwtFutures, .lwtOptions, .lwtRolls:
      channel.sent.removeAll()
      for market in markets(of: channel) { channel.sent[market.index] = state(market) }
    case .book(let index, let group, let levels):
      channel.nextTrade[index] = markets[index].tradeCount
      if channel.isFullDepth { return }
      read(markets[index], .buy, group: group, levels: levels, into: &channel.bids)
      read(markets[index], .sell, group: group, levels: levels, into: &channel.asks)
    case .recentTrades, .underlyingTrades:
      channel.nextTrade.removeAll()
      for market in markets(of: channel) { channel.nextTrade[market.index] = market.tradeCount }
    case .priceIndex, .statistics, .basePrice, .indexComponents, .instruments, .system, .banners, .rfqs: return
    }
  }

  /// The instruments that a channel speaks of.
  func markets(of channel: Channel) -> [Market] {
    switch channel.kind {
    case .ticker(let index), .lwt(let index), .book(let index, _, _), .recentTrades(let index): [markets[index]]
    case .lwtFutures(let index):
      underlyings[index].markets.filter { $0.spec.kind == .perpetual || $0.spec.kind == .future }
    case .lwtOptions(let index, let expiry):
      underlyings[index].markets.filter { $0.spec.kind == .option && (expiry == nil || $0.spec.expiryDate == expiry) }
    case .lwtRolls(let index): underlyings[index].markets.filter { $0.spec.kind == .combination }
    case .underlyingTrades(let index, let category):
      underlyings[index].markets.filter {
        category == .all || $0.spec.kind == (category == .options ? .option : .combination)
      }
    default: []
    }
  }
}
