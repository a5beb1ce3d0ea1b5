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
    for market in markets { market.updateMark(now: now, interval: configuration.markInterval) }
    for channel in underlyingChannels {
      if case .priceIndex = channel.kind { offer(channel) }
    }
    for market in markets { publish(market) }
    publishUnderlyingChannels()
    // A line is repeated when its mark has moved by more than 1 % (reference 7.4).
    for account in accountList {
      var moved: [Int] = []
      for (index, position) in account.positions.enumerated() where position.lots != 0 && position.sentMarkE8 != 0 {
        if abs(markets[index].markE8 - position.sentMarkE8) * 100 > position.sentMarkE8 { moved.append(index) }
      }
      sendPortfolio(account, moved)
    }
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
    for channel in underlyingChannels {
      if case .priceIndex = channel.kind { continue }
      offer(channel)
    }
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
    guard !channel.subscribers.isEmpty else { return }
    guard writeNews(channel) else { return }
    channel.nextAllowed = now + channel.delay
    for session in channel.subscribers { outbox.post(session.id, message) }
  }

  private func begin(_ channel: Channel) {
    message.clear()
    message.raw("{\"channel_name\":\"")
    message.append(channel.name)
    message.raw("\",\"notification\":")
  }

  private func state(_ market: Market) -> TickerState {
    var state = TickerState()
    if let bid = market.best(.buy) { (state.bid, state.bidLots) = (bid.price.rawValue, bid.lots.rawValue) }
    if let ask = market.best(.sell) { (state.ask, state.askLots) = (ask.price.rawValue, ask.lots.rawValue) }
    state.trades = market.tradeCount
    state.markTime = market.markTime
    return state
  }

  /// Writes the next notification into `message`; false if nothing has changed.
  private func writeNews(_ channel: Channel) -> Bool {
    switch channel.kind {
    case .ticker(let index):
      let state = state(markets[index])
      if channel.sent.first == state { return false }
      channel.sent = [state]
      begin(channel)
      writeTicker(message, markets[index], state)
    case .lwt(let index):
      let state = state(markets[index])
      if channel.sent.first == state { return false }
      channel.sent = [state]
      begin(channel)
      writeLightTicker(markets[index], state)
    case .lwtFutures(let index):
      begin(channel)
      message.raw("{\"tickers\":{")
      var isFirst = true
      for (place, market) in underlyings[index].markets.enumerated() {
        let state = state(market)
        if channel.sent.count > place, channel.sent[place] == state { continue }
        if channel.sent.count > place { channel.sent[place] = state } else { channel.sent.append(state) }
        if !isFirst { message.byte(UInt8(ascii: ",")) }
        isFirst = false
        writeAggregatedTicker(market, state)
      }
      if isFirst { return false }
      message.raw("}}")
      message.byte(UInt8(ascii: "}"))
      return true
    case .book(let index, let group, let levels):
      return writeBookNews(channel, markets[index], group: group, levels: levels)
    case .recentTrades(let index):
      return writeTrades(channel, [markets[index]])
    case .underlyingTrades(let index):
      return writeTrades(channel, underlyings[index].markets)
    case .priceIndex(let index):
      begin(channel)
      writeIndex(message, underlyings[index])
    case .instruments, .system, .noTrades:
      return false
    }
    message.byte(UInt8(ascii: "}"))
    return true
  }

  // MARK: tickers

  func writeTicker(_ out: TextBuffer, _ market: Market) { writeTicker(out, market, state(market)) }

  private func writeTicker(_ out: TextBuffer, _ market: Market, _ state: TickerState) {
    let grid = market.spec.grid
    out.raw("{\"mark_price\":")
    out.e8(market.markE8)
    out.raw(",\"mark_timestamp\":")
    out.seconds(wall(market.markTime))
    if state.bid >= 0 {
      out.raw(",\"best_bid_price\":")
      out.e8(state.bid * grid.tickE8)
      out.raw(",\"best_bid_amount\":")
      out.e8(state.bidLots * grid.lotE8)
    } else {
      out.raw(",\"best_bid_price\":null,\"best_bid_amount\":null")
    }
    if state.ask >= 0 {
      out.raw(",\"best_ask_price\":")
      out.e8(state.ask * grid.tickE8)
      out.raw(",\"best_ask_amount\":")
      out.e8(state.askLots * grid.lotE8)
    } else {
      out.raw(",\"best_ask_price\":null,\"best_ask_amount\":null")
    }
    out.raw(",\"last_price\":")
    writeLast(out, market)
    out.raw(",\"delta\":1,\"volume_24h\":")
    out.e8(market.volumeLots * grid.lotE8)
    out.raw(",\"value_24h\":")
    out.decimal(Decimal.scaled(market.value, market.tickLotE8, over: 1_000_000), places: 2)
    if let last = market.lastPrice {
      out.raw(",\"low_price_24h\":")
      out.e8(market.lowPrice.rawValue * grid.tickE8)
      out.raw(",\"high_price_24h\":")
      out.e8(market.highPrice.rawValue * grid.tickE8)
      out.raw(",\"change_24h\":")
      out.e8((last - market.firstPrice).rawValue * grid.tickE8)
    } else {
      out.raw(",\"low_price_24h\":null,\"high_price_24h\":null,\"change_24h\":null")
    }
    out.raw(",\"index\":")
    out.e8(market.indexE8)
    if market.spec.kind == .future {
      out.raw(",\"forward\":")
      out.e8(market.markE8)
    }
    out.raw(",\"collar_low\":")
    out.e8(market.collarLowE8(configuration.collarBasisPoints))
    out.raw(",\"collar_high\":")
    out.e8(market.collarHighE8(configuration.collarBasisPoints))
    out.raw(",\"open_interest\":")
    out.e8(openInterest(market) * grid.lotE8)
    if market.spec.kind == .perpetual {
      out.raw(",\"funding_rate\":")
      out.decimal(market.fundingRateE12, places: 12)
      out.raw(",\"funding_mark\":")
      out.e8(market.fundingMarkE8)
      out.raw(",\"realised_funding_24h\":")
      out.e8(market.fundingMarkE8)
      out.raw(",\"average_funding_rate_24h\":")
      out.decimal(market.averageFundingRateE12, places: 12)
    }
    out.byte(UInt8(ascii: "}"))
  }

  private func writeLast(_ out: TextBuffer, _ market: Market) {
    if let last = market.lastPrice {
      out.e8(last.rawValue * market.spec.grid.tickE8)
    } else {
      out.raw("null")
    }
  }

  /// Lots that are held long, the anonymous rest of the market counted as one holder.
  private func openInterest(_ market: Market) -> Int64 {
    var long: Int64 = 0
    var net: Int64 = 0
    for account in accountList {
      let lots = account.positions[market.index].lots
      long += max(0, lots)
      net += lots
    }
    return long + max(0, -net)
  }

  /// `[price,amount` of a level, without the closing bracket.
  private func writeLevel(_ out: TextBuffer, _ market: Market, _ price: Int64, _ lots: Int64) {
    out.byte(UInt8(ascii: "["))
    out.e8(price * market.spec.grid.tickE8)
    out.byte(UInt8(ascii: ","))
    out.e8(lots * market.spec.grid.lotE8)
  }

  /// `[price,amount,outright_amount]`; nothing is implied here, so both amounts are the same.
  func writeFullLevel(_ out: TextBuffer, _ market: Market, _ price: Int64, _ lots: Int64) {
    writeLevel(out, market, price, lots)
    out.byte(UInt8(ascii: ","))
    out.e8(lots * market.spec.grid.lotE8)
    out.byte(UInt8(ascii: "]"))
  }

  private func writeLightTicker(_ market: Market, _ state: TickerState) {
    message.byte(UInt8(ascii: "{"))
    if state.bid >= 0 {
      message.raw("\"b\":")
      writeFullLevel(message, market, state.bid, state.bidLots)
      message.byte(UInt8(ascii: ","))
    }
    if state.ask >= 0 {
      message.raw("\"a\":")
      writeFullLevel(message, market, state.ask, state.askLots)
      message.byte(UInt8(ascii: ","))
    }
    message.raw("\"m\":")
    message.e8(market.markE8)
    if market.lastPrice != nil {
      message.raw(",\"l\":")
      writeLast(message, market)
    }
    message.byte(UInt8(ascii: "}"))
  }

  private func writeAggregatedTicker(_ market: Market, _ state: TickerState) {
    message.byte(UInt8(ascii: "\""))
    message.append(market.name)
    message.raw("\":[")
    message.seconds(wall(market.markTime))
    message.byte(UInt8(ascii: ","))
    message.e8(market.markE8)
    message.byte(UInt8(ascii: ","))
    message.e8(market.indexE8)
    message.byte(UInt8(ascii: ","))
    for (price, lots) in [(state.bid, state.bidLots), (state.ask, state.askLots)] {
      if price >= 0 {
        writeLevel(message, market, price, lots)
        message.raw("],")
      } else {
        message.raw("[],")
      }
    }
    writeLast(message, market)
    if market.spec.kind == .perpetual {
      message.byte(UInt8(ascii: ","))
      message.e8(market.fundingMarkE8)
      message.byte(UInt8(ascii: ","))
      message.decimal(market.fundingRateE12, places: 12)
    }
    message.byte(UInt8(ascii: "]"))
  }

  func writeIndex(_ out: TextBuffer, _ underlying: Underlying) {
    out.raw("{\"index_name\":\"")
    out.append(underlying.name)
    out.raw("\",\"price\":")
    out.e8(underlying.indexE8)
    out.raw(",\"timestamp\":")
    out.seconds(wall(underlying.time))
    out.raw(",\"previous_settlement_price\":")
    out.e8(underlying.previousSettlementE8)
    out.byte(UInt8(ascii: "}"))
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
    market.recentTrades(from: first) { trade in
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
    var isNews = writeBookTrades(market, from: channel.nextTrade[0])
    channel.nextTrade[0] = market.tradeCount
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

  private func writeTrades(_ channel: Channel, _ list: [Market], isSnapshot: Bool = false) -> Bool {
    begin(channel)
    message.byte(UInt8(ascii: "["))
    var isFirst = true
    for (place, market) in list.enumerated() {
      market.recentTrades(from: isSnapshot ? market.tradeCount - 50 : channel.nextTrade[place]) { trade in
        if !isFirst { message.byte(UInt8(ascii: ",")) }
        isFirst = false
        writeLevel(message, market, trade.price.rawValue, trade.lots.rawValue)
        message.raw(trade.aggressor == .buy ? ",\"buy\"," : ",\"sell\",")
        message.seconds(wall(trade.time))
        message.raw(",\"")
        message.append(market.name)
        message.raw("\",false]")
      }
      if !isSnapshot { channel.nextTrade[place] = market.tradeCount }
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
    case .ticker(let index), .lwt(let index): channel.sent = [state(markets[index])]
    case .lwtFutures(let index): channel.sent = underlyings[index].markets.map { state($0) }
    case .book(let index, let group, let levels):
      channel.nextTrade = [markets[index].tradeCount]
      if channel.isFullDepth { return }
      read(markets[index], .buy, group: group, levels: levels, into: &channel.bids)
      read(markets[index], .sell, group: group, levels: levels, into: &channel.asks)
    case .recentTrades(let index): channel.nextTrade = [markets[index].tradeCount]
    case .underlyingTrades(let index): channel.nextTrade = underlyings[index].markets.map { $0.tradeCount }
    case .priceIndex, .noTrades, .instruments, .system: return
    }
  }

  /// The first message of a channel, to one subscriber.
  func sendFirst(_ subscription: Subscription) {
    let session = subscription.session
    guard session.isOpen else { return }
    switch subscription.target {
    case .publicChannel(let channel):
      switch channel.kind {
      case .ticker(let index):
        begin(channel)
        writeTicker(message, markets[index])
        message.byte(UInt8(ascii: "}"))
      case .lwt(let index):
        begin(channel)
        writeLightTicker(markets[index], state(markets[index]))
        message.byte(UInt8(ascii: "}"))
      case .lwtFutures(let index):
        begin(channel)
        message.raw("{\"tickers\":{")
        for (place, market) in underlyings[index].markets.enumerated() {
          if place > 0 { message.byte(UInt8(ascii: ",")) }
          writeAggregatedTicker(market, state(market))
        }
        message.raw("}}}")
      case .book(let index, let group, let levels):
        writeBookSnapshot(channel, markets[index], group: group, levels: levels)
      case .recentTrades(let index): _ = writeTrades(channel, [markets[index]], isSnapshot: true)
      case .underlyingTrades(let index): _ = writeTrades(channel, underlyings[index].markets, isSnapshot: true)
      case .noTrades: _ = writeTrades(channel, [], isSnapshot: true)
      case .priceIndex(let index):
        begin(channel)
        writeIndex(message, underlyings[index])
        message.byte(UInt8(ascii: "}"))
      case .instruments:
        begin(channel)
        message.byte(UInt8(ascii: "["))
        for (place, market) in markets.enumerated() {
          message.raw(place == 0 ? "{\"added\":" : ",{\"added\":")
          writeInstrument(message, market)
          message.byte(UInt8(ascii: "}"))
        }
        message.raw("],\"snapshot\":true}")
      case .system: return
      }
    case .privateChannel(let channel):
      guard let account = session.account else { return }
      message.clear()
      switch channel {
      case .sessionOrders:
        message.raw("{\"channel_name\":\"session.orders\",\"notification\":")
        writeOrders(message, session.orders)
        message.raw(",\"snapshot\":true}")
      case .accountOrders:
        message.raw("{\"channel_name\":\"account.orders\",\"notification\":")
        writeOrders(message, account.orders)
        message.raw(",\"snapshot\":true}")
      case .portfolio:
        message.raw("{\"channel_name\":\"account.portfolio\",\"notification\":")
        writePortfolio(message, account)
        message.raw(",\"snapshot\":true}")
      case .summary:
        message.raw("{\"channel_name\":\"account.summary\",\"notification\":")
        writeSummary(message, account)
        message.byte(UInt8(ascii: "}"))
      default: return
      }
    }
    outbox.post(session.id, message)
  }
}
