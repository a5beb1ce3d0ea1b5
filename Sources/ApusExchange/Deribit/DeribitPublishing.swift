import Apus
import CSupport

/// Public market data: who is told what, and when (reference 7).
extension DeribitVenue {
  /// After a transaction: everything about books that changed.
  func publishMarkets() {
    for market in markets where market.isBookChanged {
      market.isBookChanged = false
      lastChangeID += 1 + random.below(30)
      changeIDs[market.index] = lastChangeID
      for channel in channelList where !channel.subscribers.isEmpty && fits(channel.scope, market) {
        switch channel.kind {
        case .book:
          channel.touchedBids.formUnion(market.touchedBids)
          channel.touchedAsks.formUnion(market.touchedAsks)
          offer(channel)
        case .window, .quote, .ticker, .trades: offer(channel)
        case .perpetual, .index, .platform, .state: break
        }
      }
      market.touchedBids.removeAll(keepingCapacity: true)
      market.touchedAsks.removeAll(keepingCapacity: true)
    }
  }

  /// The mark has moved.
  func offerTickers(_ market: Market) {
    for channel in channelList where !channel.subscribers.isEmpty {
      if case .ticker = channel.kind, fits(channel.scope, market) { offer(channel) }
    }
  }

  /// Publishes now, or as soon as the channel's interval allows.
  func offer(_ channel: DeribitChannel) {
    if channel.subscribers.isEmpty || channel.isScheduled { return }
    if now >= channel.nextAllowed {
      publish(channel)
    } else {
      channel.isScheduled = true
      timers.set(.channel(channel), at: channel.nextAllowed)
    }
  }

  /// Sends what is new on a channel, if anything is.
  func publish(_ channel: DeribitChannel) {
    guard !channel.subscribers.isEmpty, !isSilent, writeNews(channel) else { return }
    channel.nextAllowed = now + channel.interval
    if channel.changesToLose > 0 {
      channel.changesToLose -= 1
      return
    }
    for session in channel.subscribers { outbox.post(session.id, message) }
  }

  func begin(_ name: String) {
    message.clear()
    message.raw("{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{\"channel\":")
    message.quoted(name)
    message.raw(",\"data\":")
  }

  private func market(_ channel: DeribitChannel) -> Market {
    guard case .market(let index) = channel.scope else { preconditionFailure("a channel of one instrument") }
    return markets[index]
  }

  /// Writes the next notification into `message`; false if nothing has changed.
  private func writeNews(_ channel: DeribitChannel) -> Bool {
    begin(channel.name)
    let shown = showing(channel)
    if !shown.isEmpty {
      // The same as before is not said again.
      if shown == channel.shown { return false }
      channel.shown = shown
    }
    switch channel.kind {
    case .book: guard writeBookChange(channel, market(channel)) else { return false }
    case .window(let group, let depth):
      writeWindow(channel, market(channel), group, depth)
    case .quote: writeQuote(market(channel))
    case .ticker: writeTicker(message, market(channel), isTimed: false)
    case .trades: guard writeTrades(channel) else { return false }
    case .perpetual:
      message.raw("{\"timestamp\":")
      message.integer(wallClock / 1_000_000)
      message.raw(",\"interest\":")
      number(message, market(channel).fundingRateE12, places: 12)
      message.raw(",\"index_price\":")
      number(message, market(channel).indexE8)
      message.byte(UInt8(ascii: "}"))
    case .index(let index):
      message.raw("{\"timestamp\":")
      message.integer(wallClock / 1_000_000)
      message.raw(",\"price\":")
      number(message, underlyings[index].indexE8)
      message.raw(",\"index_name\":\"")
      message.append(underlyings[index].name)
      message.raw("\"}")
    case .platform, .state: return false
    }
    message.raw("}}")
    return true
  }

  /// What a window, quote or ticker says at the moment; empty for other channels.
  private func showing(_ channel: DeribitChannel) -> [Int64] {
    switch channel.kind {
    case .window(let group, let depth):
      var levels: [Int64] = []
      for side in [Side.buy, .sell] {
        read(market(channel), side, depth: depth, group: group)
        for level in view { levels += [level.price, level.lots] }
        levels.append(0)
      }
      return levels
    case .quote, .ticker:
      let market = market(channel)
      var state: [Int64] = []
      for side in [Side.buy, .sell] {
        let best = market.best(side)
        state += [best?.price.rawValue ?? 0, best?.lots.rawValue ?? 0]
      }
      if case .ticker = channel.kind { state += [Int64(market.tradeCount), market.markTime] }
      return state
    default: return []
    }
  }

  /// Makes the present state the one that news are told against: for a channel's first listener.
  func prime(_ channel: DeribitChannel) {
    channel.nextAllowed = now
    channel.shown = showing(channel)
    switch channel.kind {
    case .book:
      let market = market(channel)
      channel.touchedBids = []
      channel.touchedAsks = []
      channel.bids = [:]
      channel.asks = [:]
      market.levels(.buy, limit: .max) { price, lots in
        channel.bids[price.rawValue] = lots.rawValue
        return true
      }
      market.levels(.sell, limit: .max) { price, lots in
        channel.asks[price.rawValue] = lots.rawValue
        return true
      }
      channel.changeID = changeIDs[market.index]
    case .trades:
      for market in markets where fits(channel.scope, market) { channel.nextTrade[market.index] = market.tradeCount }
    default: break
    }
  }

  /// The first message of a channel, to one subscriber.
  func sendFirst(_ channel: DeribitChannel, to session: DeribitSession) {
    guard session.isOpen else { return }
    switch channel.kind {
    case .book:
      begin(channel.name)
      writeBookSnapshot(channel, market(channel))
      message.raw("}}")
    case .window(let group, let depth):
      begin(channel.name)
      writeWindow(channel, market(channel), group, depth)
      message.raw("}}")
    case .quote:
      begin(channel.name)
      writeQuote(market(channel))
      message.raw("}}")
    case .ticker:
      begin(channel.name)
      writeTicker(message, market(channel), isTimed: false)
      message.raw("}}")
    case .perpetual, .index: guard writeNews(channel) else { return }
    case .trades, .platform, .state: return
    }
    outbox.post(session.id, message)
  }

  // MARK: books

  private func writeHead(_ market: Market) {
    message.raw("\"timestamp\":")
    message.integer(wall(market.bookTime) / 1_000_000)
  }

  private func writeEntry(_ action: StaticString, _ market: Market, _ price: Int64, _ lots: Int64) {
    message.raw("[\"")
    message.raw(action)
    message.raw("\",")
    number(message, price * market.spec.grid.tickE8)
    message.byte(UInt8(ascii: ","))
    number(message, lots * market.spec.grid.lotE8)
    message.byte(UInt8(ascii: "]"))
  }

  private func writeBookSnapshot(_ channel: DeribitChannel, _ market: Market) {
    message.raw("{\"type\":\"snapshot\",")
    writeHead(market)
    message.raw(",\"instrument_name\":\"")
    message.append(market.name)
    message.raw("\",\"change_id\":")
    message.integer(channel.changeID)
    for (side, levels) in [(Side.buy, channel.bids), (.sell, channel.asks)] {
      message.raw(side == .buy ? ",\"bids\":[" : ",\"asks\":[")
      var isFirst = true
      for price in levels.keys.sorted(by: { side == .buy ? $0 > $1 : $0 < $1 }) {
        if !isFirst { message.byte(UInt8(ascii: ",")) }
        isFirst = false
        writeEntry("new", market, price, levels[price] ?? 0)
      }
      message.byte(UInt8(ascii: "]"))
    }
    message.byte(UInt8(ascii: "}"))
  }

  private func writeBookChange(_ channel: DeribitChannel, _ market: Market) -> Bool {
    message.raw("{\"type\":\"change\",")
    writeHead(market)
    message.raw(",\"prev_change_id\":")
    message.integer(channel.changeID)
    message.raw(",\"instrument_name\":\"")
    message.append(market.name)
    message.raw("\",\"change_id\":")
    message.integer(changeIDs[market.index])
    let bids = writeChanges(market, .buy, channel.touchedBids, &channel.bids)
    let asks = writeChanges(market, .sell, channel.touchedAsks, &channel.asks)
    channel.touchedBids.removeAll(keepingCapacity: true)
    channel.touchedAsks.removeAll(keepingCapacity: true)
    message.byte(UInt8(ascii: "}"))
    guard bids || asks else { return false }
    channel.changeID = changeIDs[market.index]
    return true
  }

  private func writeChanges(
    _ market: Market, _ side: Side, _ touched: Set<Int64>, _ known: inout [Int64: Int64]
  ) -> Bool {
    message.raw(side == .buy ? ",\"bids\":[" : ",\"asks\":[")
    var written = false
    for price in touched.sorted(by: { side == .buy ? $0 > $1 : $0 < $1 }) {
      let lots = market.engine.depth(side, at: PriceTicks(rawValue: price)).rawValue
      let before = known[price] ?? 0
      guard lots != before else { continue }
      if written { message.byte(UInt8(ascii: ",")) }
      written = true
      writeEntry(lots == 0 ? "delete" : before == 0 ? "new" : "change", market, price, lots)
      known[price] = lots == 0 ? nil : lots
    }
    message.byte(UInt8(ascii: "]"))
    return written
  }

  private func writeWindow(_ channel: DeribitChannel, _ market: Market, _ group: Int64, _ depth: Int) {
    message.byte(UInt8(ascii: "{"))
    writeHead(market)
    message.raw(",\"instrument_name\":\"")
    message.append(market.name)
    message.raw("\",\"change_id\":")
    message.integer(changeIDs[market.index])
    writeLevels(message, market, depth: depth, group: group)
    message.byte(UInt8(ascii: "}"))
  }

  /// Puts a side's best levels into `view`: bids grouped down, asks up.
  private func read(_ market: Market, _ side: Side, depth: Int, group: Int64) {
    view.removeAll(keepingCapacity: true)
    market.levels(side, limit: group == 1 ? depth : .max) { price, lots in
      var shown = price.rawValue
      if group > 1 { shown = side == .buy ? shown / group * group : (shown + group - 1) / group * group }
      if let last = view.indices.last, view[last].price == shown {
        view[last].lots += lots.rawValue
        return true
      }
      if view.count == depth { return false }
      view.append((shown, lots.rawValue))
      return true
    }
  }

  /// `,"bids":[[price,amount],…],"asks":[…]`.
  func writeLevels(_ out: TextBuffer, _ market: Market, depth: Int, group: Int64 = 1) {
    for side in [Side.buy, .sell] {
      read(market, side, depth: depth, group: group)
      out.raw(side == .buy ? ",\"bids\":[" : ",\"asks\":[")
      for (place, level) in view.enumerated() {
        out.raw(place == 0 ? "[" : ",[")
        number(out, level.price * market.spec.grid.tickE8)
        out.byte(UInt8(ascii: ","))
        number(out, level.lots * market.spec.grid.lotE8)
        out.byte(UInt8(ascii: "]"))
      }
      out.byte(UInt8(ascii: "]"))
    }
  }

  private func writeQuote(_ market: Market) {
    message.byte(UInt8(ascii: "{"))
    writeHead(market)
    message.raw(",\"instrument_name\":\"")
    message.append(market.name)
    message.byte(UInt8(ascii: "\""))
    writeBest(message, market)
    message.byte(UInt8(ascii: "}"))
  }

  func writeBest(_ out: TextBuffer, _ market: Market) {
    for side in [Side.buy, .sell] {
      out.raw(side == .buy ? ",\"best_bid_price\":" : ",\"best_ask_price\":")
      let best = market.best(side)
      if let best { number(out, best.price.rawValue * market.spec.grid.tickE8) } else { out.raw("null") }
      out.raw(side == .buy ? ",\"best_bid_amount\":" : ",\"best_ask_amount\":")
      number(out, (best?.lots.rawValue ?? 0) * market.spec.grid.lotE8)
    }
  }

  // MARK: trades

  private func writeTrades(_ channel: DeribitChannel) -> Bool {
    message.byte(UInt8(ascii: "["))
    var isFirst = true
    for market in markets where fits(channel.scope, market) {
      var sequence = max(channel.nextTrade[market.index] ?? market.tradeCount, market.tradeCount - Market.tradeCapacity)
      channel.nextTrade[market.index] = market.tradeCount
      market.recentTrades(from: sequence) { trade in
        sequence += 1
        if !isFirst { message.byte(UInt8(ascii: ",")) }
        isFirst = false
        write(message, market, trade, sequence)
      }
    }
    message.byte(UInt8(ascii: "]"))
    return !isFirst
  }
}
