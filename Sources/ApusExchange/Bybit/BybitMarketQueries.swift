import Apus
import CSupport

/// Public requests (7, 11).
extension SimulatedBybit {
  func writeServerTime() {
    reply.byte(UInt8(ascii: "{"))
    reply.member("timeSecond", whole: wallClock / 1_000_000_000)
    reply.member("timeNano", whole: wallClock)
    reply.byte(UInt8(ascii: "}"))
  }

  func writeInstruments(_ arguments: BybitArguments) throws(BybitRefusal) {
    if try answersEmpty(arguments) { return }
    let symbol = try arguments.string("symbol") ?? ""
    let coin = try arguments.string("baseCoin") ?? ""
    let status = try arguments.string("status") ?? ""
    if !symbol.isEmpty { _ = try market(arguments) }
    var list = markets.filter {
      $0.isListed && (symbol.isEmpty || $0.spec.name == symbol) && (coin.isEmpty || listing($0).baseCoin == coin)
        && (status.isEmpty || status == "Trading")
    }[...]
    if let cursor = try arguments.string("cursor"), !cursor.isEmpty {
      list = list.drop { $0.spec.name != cursor }.dropFirst()
    }
    let limit = try arguments.integer("limit") ?? 500
    guard (1...1000).contains(limit) else { throw .invalid("limit", "must be from 1 to 1000") }
    let page = list.prefix(Int(limit))
    reply.raw("{\"category\":\"linear\",\"list\":[")
    for (place, market) in page.enumerated() {
      if place > 0 { reply.byte(UInt8(ascii: ",")) }
      writeInstrument(market)
    }
    reply.byte(UInt8(ascii: "]"))
    reply.member("nextPageCursor", text: list.count > page.count ? page.last?.spec.name ?? "" : "")
    reply.byte(UInt8(ascii: "}"))
  }

  private func writeInstrument(_ market: Market) {
    let listing = listing(market)
    let grid = market.spec.grid
    let (tickPlaces, lotPlaces) = (Self.places(grid.tickE8), Self.places(grid.lotE8))
    // As it writes the steps, with at least two decimals of a price.
    let places = max(2, tickPlaces)
    func price(_ name: StaticString, _ e8: Int64) { reply.member(name, fixed: e8, places: places) }
    func size(_ name: StaticString, _ lots: Int64) {
      reply.member(name, fixed: lots * grid.lotE8, places: lotPlaces)
    }
    reply.byte(UInt8(ascii: "{"))
    reply.member("symbol", text: market.spec.name)
    reply.member("contractType", "LinearPerpetual")
    reply.member("status", "Trading")
    reply.member("baseCoin", text: listing.baseCoin)
    reply.member("quoteCoin", "USDT")
    reply.member("launchTime", "1585526400000")
    reply.member("deliveryTime", "0")
    reply.member("deliveryFeeRate", "")
    reply.member("priceScale", whole: Int64(listing.priceScale))
    reply.key("leverageFilter")
    reply.byte(UInt8(ascii: "{"))
    reply.member("minLeverage", "1")
    reply.member("maxLeverage", fixed: listing.maximumLeverage * 100_000_000, places: 2)
    reply.member("leverageStep", "0.01")
    reply.raw("},\"priceFilter\":{")
    price("minPrice", grid.tickE8)
    price("maxPrice", grid.tickE8 * Self.highestTick)
    price("tickSize", grid.tickE8)
    reply.raw("},\"lotSizeFilter\":{")
    size("maxOrderQty", listing.maximumLots)
    size("minOrderQty", grid.minimumLots.rawValue)
    size("qtyStep", 1)
    size("postOnlyMaxOrderQty", listing.maximumLots)
    size("maxMktOrderQty", listing.maximumMarketLots)
    reply.member("minNotionalValue", e8: listing.minimumValueE8)
    reply.raw("},\"unifiedMarginTrade\":true")
    reply.member("fundingInterval", number: listing.fundingMinutes)
    reply.member("settleCoin", "USDT")
    reply.raw(
      ",\"copyTrading\":\"both\",\"upperFundingRate\":\"0.00333\",\"lowerFundingRate\":\"-0.00333\",\"isPreListing\":false,\"preListingInfo\":null,\"riskParameters\":{"
    )
    reply.member("priceLimitRatioX", decimal: listing.bandRatioE6, places: 6)
    reply.member("priceLimitRatioY", decimal: listing.outerBandRatioE6, places: 6)
    reply.byte(UInt8(ascii: "}"))
    reply.member("displayName", text: market.spec.name)
    reply.raw(",\"symbolType\":\"\",\"forbidUplWithdrawal\":false")
    reply.member("symbolId", number: Int64(market.index + 5))
    reply.member("fullName", text: listing.baseCoin)
    reply.raw(",\"marketRegion\":\"\",\"underlyingTicker\":\"\",\"tags\":[]}")
  }

  func writeRestBook(_ arguments: BybitArguments) throws(BybitRefusal) {
    try checkCategory(arguments)
    let market = try market(arguments)
    let limit = try arguments.integer("limit") ?? 25
    guard (1...1000).contains(limit) else { throw .invalid("limit", "must be from 1 to 1000") }
    func side(_ side: Side) {
      var levels: [(key: Int64, value: Int64)] = []
      market.levels(side, limit: Int(limit)) { price, lots in
        levels.append((price.rawValue, lots.rawValue))
        return true
      }
      writeLevels(reply, market, levels)
    }
    reply.byte(UInt8(ascii: "{"))
    reply.member("s", text: market.spec.name)
    reply.raw(",\"b\":[")
    side(.buy)
    reply.raw("],\"a\":[")
    side(.sell)
    reply.byte(UInt8(ascii: "]"))
    reply.member("ts", number: wallClock / 1_000_000)
    // It is the number of the topic with 1000 levels, where somebody listens to that.
    let update = channels["orderbook.1000.\(market.spec.name)"].flatMap { $0.subscribers.isEmpty ? nil : $0.update }
    reply.member("u", number: update ?? Int64(bookMatches[market.index]) + 1)
    reply.member("seq", number: sequence(bookMatches[market.index]))
    reply.member("cts", number: milliseconds(market.bookTime))
    reply.byte(UInt8(ascii: "}"))
  }

  func writeRestTickers(_ arguments: BybitArguments) throws(BybitRefusal) {
    if try answersEmpty(arguments) { return }
    let symbol = try arguments.string("symbol") ?? ""
    let list = symbol.isEmpty ? markets.filter(\.isListed) : [try market(arguments)]
    reply.raw("{\"category\":\"linear\",\"list\":[")
    for (place, market) in list.enumerated() {
      reply.raw(place == 0 ? "{" : ",{")
      reply.member("symbol", text: market.spec.name)
      let values = tickerValues(market)
      writeTickerFields(reply, values, Array(values.indices))
      reply.byte(UInt8(ascii: "}"))
    }
    reply.raw("]}")
  }

  func writeRestPriceLimit(_ arguments: BybitArguments) throws(BybitRefusal) {
    try checkCategory(arguments)
    let market = try market(arguments)
    reply.byte(UInt8(ascii: "{"))
    reply.member("symbol", text: market.spec.name)
    reply.byte(UInt8(ascii: ","))
    writeBand(reply, market)
    reply.member("ts", whole: wallClock / 1_000_000)
    reply.byte(UInt8(ascii: "}"))
  }

  func writeRecentTrades(_ arguments: BybitArguments) throws(BybitRefusal) {
    try checkCategory(arguments)
    let market = try market(arguments)
    let limit = try arguments.integer("limit") ?? 500
    guard (1...1000).contains(limit) else { throw .invalid("limit", "must be from 1 to 1000") }
    var number = max(0, market.tradeCount - Int(limit), market.tradeCount - Market.tradeCapacity)
    var found: [(number: Int, trade: PublicTrade)] = []
    market.recentTrades(from: number) { trade in
      found.append((number, trade))
      number += 1
    }
    reply.raw("{\"category\":\"linear\",\"list\":[")
    for (place, item) in found.reversed().enumerated() {
      reply.raw(place == 0 ? "{" : ",{")
      reply.member("execId", text: publicTradeID(market, item.number))
      reply.member("symbol", text: market.spec.name)
      reply.member(
        "price", fixed: item.trade.price.rawValue * market.spec.grid.tickE8, places: listing(market).priceScale)
      reply.member(
        "size", fixed: item.trade.lots.rawValue * market.spec.grid.lotE8, places: Self.places(market.spec.grid.lotE8))
      reply.member("side", Self.word(item.trade.aggressor))
      reply.member("time", whole: milliseconds(item.trade.time))
      reply.raw(",\"isBlockTrade\":false,\"isRPITrade\":false")
      reply.member("seq", whole: sequence(item.trade.match))
      reply.byte(UInt8(ascii: "}"))
    }
    reply.raw("]}")
  }
}
