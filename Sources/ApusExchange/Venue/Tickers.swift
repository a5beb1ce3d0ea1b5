import Apus
import CSupport

/// What a ticker says, in its forms (reference 5.3, 5.4), and the values of an underlying (5.6).
extension SimulatedVenue {
  func state(_ market: Market) -> TickerState {
    var state = TickerState()
    if let bid = market.best(.buy) { (state.bid, state.bidLots) = (bid.price.rawValue, bid.lots.rawValue) }
    if let ask = market.best(.sell) { (state.ask, state.askLots) = (ask.price.rawValue, ask.lots.rawValue) }
    state.trades = market.tradeCount
    state.markTime = market.markTime
    return state
  }

  func writeTicker(_ out: TextBuffer, _ market: Market) { writeTicker(out, market, state(market)) }

  func writeTicker(_ out: TextBuffer, _ market: Market, _ state: TickerState) {
    let grid = market.spec.grid
    out.raw("{\"mark_price\":")
    out.e8(market.markE8)
    out.raw(",\"mark_timestamp\":")
    out.seconds(wall(market.markTime))
    if state.bid != TickerState.none {
      out.raw(",\"best_bid_price\":")
      out.e8(state.bid * grid.tickE8)
      out.raw(",\"best_bid_amount\":")
      out.e8(state.bidLots * grid.lotE8)
    } else {
      out.raw(",\"best_bid_price\":null,\"best_bid_amount\":null")
    }
    if state.ask != TickerState.none {
      out.raw(",\"best_ask_price\":")
      out.e8(state.ask * grid.tickE8)
      out.raw(",\"best_ask_amount\":")
      out.e8(state.askLots * grid.lotE8)
    } else {
      out.raw(",\"best_ask_price\":null,\"best_ask_amount\":null")
    }
    let isCombination = market.spec.kind == .combination
    if !isCombination {
      out.raw(",\"last_price\":")
      writeLast(out, market)
    }
    if market.spec.kind == .option {
      out.raw(",\"iv\":")
      out.decimal(market.volatilityE12, places: 12)
    }
    out.raw(",\"delta\":")
    out.decimal(isCombination ? market.legs[0].deltaE12 - market.legs[1].deltaE12 : market.deltaE12, places: 12)
    if !isCombination { writeStatistics(out, market) }
    out.raw(",\"index\":")
    out.e8(market.indexE8)
    if market.spec.kind == .future || market.spec.kind == .option {
      out.raw(",\"forward\":")
      out.e8(market.forwardE8)
    }
    let collar = market.collarE8(configuration)
    out.raw(",\"collar_low\":")
    out.e8(collar.low)
    out.raw(",\"collar_high\":")
    out.e8(collar.high)
    if !isCombination {
      out.raw(",\"open_interest\":")
      out.e8(openInterest(market) * grid.lotE8)
    }
    if market.spec.kind == .perpetual {
      out.raw(",\"funding_rate\":")
      out.decimal(market.fundingRateE12, places: 12)
      out.raw(",\"funding_mark\":")
      out.e8(market.fundingMarkE8)
      out.raw(",\"realised_funding_24h\":")
      out.e8(market.totalFundingE8)
      out.raw(",\"average_funding_rate_24h\":")
      out.decimal(market.averageFundingRateE12, places: 12)
    }
    out.byte(UInt8(ascii: "}"))
  }

  private func writeStatistics(_ out: TextBuffer, _ market: Market) {
    let grid = market.spec.grid
    out.raw(",\"volume_24h\":")
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
  }

  func writeLast(_ out: TextBuffer, _ market: Market) {
    if let last = market.lastPrice {
      out.e8(last.rawValue * market.spec.grid.tickE8)
    } else {
      out.raw("null")
    }
  }

  /// `[price,amount` of a level, without the closing bracket.
  func writeLevel(_ out: TextBuffer, _ market: Market, _ price: Int64, _ lots: Int64) {
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

  func writeLightTicker(_ market: Market, _ state: TickerState) {
    message.byte(UInt8(ascii: "{"))
    if state.bid != TickerState.none {
      message.raw("\"b\":")
      writeFullLevel(message, market, state.bid, state.bidLots)
      message.byte(UInt8(ascii: ","))
    }
    if state.ask != TickerState.none {
      message.raw("\"a\":")
      writeFullLevel(message, market, state.ask, state.askLots)
      message.byte(UInt8(ascii: ","))
    }
    message.raw("\"m\":")
    message.e8(market.markE8)
    if market.spec.kind == .option {
      message.raw(",\"v\":")
      message.decimal(market.volatilityE12, places: 12)
    }
    if market.lastPrice != nil, market.spec.kind != .combination {
      message.raw(",\"l\":")
      writeLast(message, market)
    }
    message.byte(UInt8(ascii: "}"))
  }

  func writeAggregatedTicker(_ market: Market, _ state: TickerState) {
    message.byte(UInt8(ascii: "\""))
    message.append(market.name)
    message.raw("\":[")
    message.seconds(wall(market.markTime))
    message.byte(UInt8(ascii: ","))
    message.e8(market.markE8)
    message.byte(UInt8(ascii: ","))
    message.e8(market.indexE8)
    message.byte(UInt8(ascii: ","))
    if market.spec.kind == .option {
      message.e8(market.forwardE8)
      message.byte(UInt8(ascii: ","))
      message.decimal(market.volatilityE12, places: 12)
      message.byte(UInt8(ascii: ","))
    }
    for (price, lots) in [(state.bid, state.bidLots), (state.ask, state.askLots)] {
      if price != TickerState.none {
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
    if let window = underlying.window {
      out.raw(",\"expiration_print_average\":")
      out.e8(window.averageE8)
      out.raw(",\"expiration_progress\":")
      out.decimal(window.progressE12, places: 12)
      out.raw(",\"expected_expiration_price\":")
      out.e8(window.expectedE8)
    }
    out.raw(",\"previous_settlement_price\":")
    out.e8(underlying.previousSettlementE8)
    out.byte(UInt8(ascii: "}"))
  }

  /// `{"tickers":{...}}`: all instruments of the channel, or those that changed; false if none did.
  func writeAggregated(_ channel: Channel, all: Bool) -> Bool {
    begin(channel)
    message.raw("{\"tickers\":{")
    var isFirst = true
    for market in markets(of: channel) {
      let state = state(market)
      if !all {
        if channel.sent[market.index] == state { continue }
        channel.sent[market.index] = state
      }
      if !isFirst { message.byte(UInt8(ascii: ",")) }
      isFirst = false
      writeAggregatedTicker(market, state)
    }
    message.raw("}}}")
    return all || !isFirst
  }

  // MARK: values of an underlying

  /// The present value of a channel that comes with the marks.
  func writeValue(_ channel: Channel) -> Bool {
    begin(channel)
    switch channel.kind {
    case .priceIndex(let index): writeIndex(message, underlyings[index])
    case .statistics(let index): writeUnderlyingStatistics(underlyings[index])
    case .basePrice(let index, let expiry):
      let underlying = underlyings[index]
      guard underlying.markets.contains(where: { $0.spec.expirySeconds == expiry }) else { return false }
      let forward = forward(underlying, expiry)
      message.raw("{\"base_name\":")
      message.quoted(forward.future?.spec.name ?? "synthetic")
      message.raw(",\"price\":")
      message.e8(forward.priceE8)
      message.raw(",\"index\":")
      message.e8(underlying.indexE8)
      message.raw(",\"index_delta\":")
      let progress = underlying.window.flatMap { $0.end == expiry ? $0.progressE12 : nil } ?? 0
      message.decimal(1_000_000_000_000 - progress, places: 12)
      message.byte(UInt8(ascii: "}"))
    case .indexComponents(let index):
      // One source, named for what it is.
      message.raw("{\"index_price\":")
      message.e8(underlyings[index].indexE8)
      message.raw(",\"components\":{\"simulated\":")
      message.e8(underlyings[index].indexE8)
      message.raw("}}")
    default: return false
    }
    message.byte(UInt8(ascii: "}"))
    return true
  }

  /// Volumes since the venue's start, though the names say 24 hours; interest as of now.
  private func writeUnderlyingStatistics(_ underlying: Underlying) {
    func sum(_ kinds: [InstrumentSpec.Kind], _ value: (Market) -> Int64) -> Int64 {
      underlying.markets.filter { kinds.contains($0.spec.kind) }.reduce(0) { $0 + value($1) }
    }
    func volumeE8(_ market: Market) -> Int64 { market.volumeLots * market.spec.grid.lotE8 }
    func valueE2(_ market: Market) -> Int64 { Decimal.scaled(market.value, market.tickLotE8, over: 1_000_000) }
    func interestE8(_ market: Market) -> Int64 { openInterest(market) * market.spec.grid.lotE8 }
    func option(_ type: InstrumentSpec.OptionType, _ expiry: Int64?) -> Int64 {
      underlying.markets.filter {
        $0.spec.optionType == type && (expiry == nil || $0.spec.expirySeconds == expiry)
      }.reduce(0) { $0 + interestE8($1) }
    }
    let deltaOne: [InstrumentSpec.Kind] = [.perpetual, .future]
    message.raw("{\"trade_volume_24h\":")
    message.e8(sum(deltaOne + [.option], volumeE8))
    message.raw(",\"option_volume_24h\":")
    message.e8(sum([.option], volumeE8))
    message.raw(",\"delta_one_volume_24h\":")
    message.e8(sum(deltaOne, volumeE8))
    message.raw(",\"trade_value_24h\":")
    message.decimal(sum(deltaOne + [.option], valueE2), places: 2)
    message.raw(",\"option_value_24h\":")
    message.decimal(sum([.option], valueE2), places: 2)
    message.raw(",\"delta_one_value_24h\":")
    message.decimal(sum(deltaOne, valueE2), places: 2)
    message.raw(",\"open_interest\":{\"expirations\":[")
    let dated = underlying.markets.filter { $0.spec.kind == .future || $0.spec.kind == .option }
    for (place, expiry) in Set(dated.map(\.spec.expirySeconds)).sorted().enumerated() {
      if place > 0 { message.byte(UInt8(ascii: ",")) }
      message.raw("{\"expiration_timestamp\":")
      message.integer(expiry)
      message.raw(",\"expiry_date\":")
      message.quoted(dated.first { $0.spec.expirySeconds == expiry }?.spec.expiryDate ?? "")
      message.byte(UInt8(ascii: ","))
      let future = dated.filter { $0.spec.kind == .future && $0.spec.expirySeconds == expiry }
      writeInterest(option(.call, expiry), option(.put, expiry), future.reduce(0) { $0 + interestE8($1) })
      message.byte(UInt8(ascii: "}"))
    }
    message.raw("],\"totals\":{")
    writeInterest(option(.call, nil), option(.put, nil), sum([.future], interestE8))
    message.raw(",\"delta_one\":")
    message.e8(sum(deltaOne, interestE8))
    message.raw("}}}")
  }

  private func writeInterest(_ call: Int64, _ put: Int64, _ future: Int64) {
    message.raw("\"call\":")
    message.e8(call)
    message.raw(",\"put\":")
    message.e8(put)
    message.raw(",\"option\":")
    message.e8(call + put)
    message.raw(",\"future\":")
    message.e8(future)
  }
}
