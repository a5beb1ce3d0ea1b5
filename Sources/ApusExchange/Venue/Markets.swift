import Apus
import CSupport

/// Which markets there are, and how they end: what does not depend on a protocol.
extension ExchangeCore {
  /// Checks an instrument and makes its market.
  func makeMarket(_ spec: InstrumentSpec) throws(VenueError) -> Market {
    guard allByName[spec.name] == nil else { throw .configuration("\(spec.name) is listed twice") }
    guard spec.grid.tickE8 > 0, spec.grid.lotE8 > 0, spec.grid.minimumLots.rawValue > 0, spec.initialIndexE8 > 0,
      spec.premiumLots.rawValue > 0
    else { throw .configuration("\(spec.name): tick, lot, minimum, index and premium size must be above 0") }
    let isDated = spec.kind != .perpetual
    guard !isDated || spec.expirySeconds * 1_000_000_000 > wallClock else {
      throw .configuration("\(spec.name): a dated instrument must expire after the venue's time")
    }
    guard (spec.kind == .option) == (spec.optionType != nil), spec.kind != .option || spec.strikeE8 > 0 else {
      throw .configuration("\(spec.name): an option, and nothing else, has a type and a strike above 0")
    }
    let legs = try legs(of: spec)
    let underlying: Underlying
    if let known = underlyings.first(where: { $0.name == Array(spec.underlying.utf8) }) {
      underlying = known
    } else {
      underlying = Underlying(name: spec.underlying, indexE8: spec.initialIndexE8)
      underlyings.append(underlying)
    }
    let market = try Market(
      index: markets.count, spec: spec, underlying: underlying, legs: legs, configuration: configuration)
    markets.append(market)
    marketsByName[spec.name] = market
    allByName[spec.name] = market
    for account in accountList { account.positions.append(Position()) }
    return market
  }

  private func legs(of spec: InstrumentSpec) throws(VenueError) -> [Market] {
    guard spec.kind == .combination else { return [] }
    var legs: [Market] = []
    for leg in spec.legs {
      guard let market = marketsByName[leg.instrument] else {
        throw .configuration("\(spec.name): its leg \(leg.instrument) must be listed before it")
      }
      legs.append(market)
    }
    guard spec.legs.map(\.quantity) == [1, -1],
      legs.allSatisfy({
        $0.spec.grid.lotE8 == spec.grid.lotE8 && spec.grid.tickE8 % $0.spec.grid.tickE8 == 0
          && $0.spec.underlying == spec.underlying && $0.spec.kind != .option && $0.spec.kind != .combination
      })
    else {
      throw .configuration(
        "\(spec.name): a roll has the legs far · 1 and near · −1, delta-1 contracts of one underlying and one lot size, "
          + "and a tick that fits theirs")
    }
    return legs
  }

  /// The time of the next daily settlement, 08:00 UTC.
  var nextSettlement: Nanoseconds {
    let day: Nanoseconds = 86_400_000_000_000, eight: Nanoseconds = 28_800_000_000_000
    return now + day - (wallClock - eight) % day
  }

  /// The final prices, and the trades that close what is open.
  func settlePositions(_ market: Market) {
    let window = market.underlying.window
    let indexE8 = window?.end == market.spec.expirySeconds ? window?.averageE8 ?? market.indexE8 : market.indexE8
    var priceE8 = indexE8
    switch market.spec.optionType {
    case .call: priceE8 = max(0, indexE8 - market.spec.strikeE8)
    case .put: priceE8 = max(0, market.spec.strikeE8 - indexE8)
    case nil: break
    }
    if market.spec.isPricedInCoin { priceE8 = Decimal.scaled(priceE8, 100_000_000, over: indexE8) }
    market.settlement = (priceE8, indexE8)
    market.markE8 = priceE8
    for account in accountList {
      let lots = account.positions[market.index].lots
      guard lots != 0 else { continue }
      let side: Side = lots > 0 ? .sell : .buy
      account.positions[market.index].trade(
        side: side, quantity: abs(lots), valueE8: market.valueE8(lots: abs(lots), priceE8: priceE8))
      let position = account.positions[market.index]
      account.fills.append(
        Fill(
          number: nextFillNumber, orderNumber: 0, market: market.index, orderMarket: market.index, isExpiration: true,
          side: side, priceE8: priceE8, orderPriceE8: priceE8, lots: QtyLots(rawValue: abs(lots)), isMaker: false,
          time: now, feeE8: 0, feeRateE6: 0, indexE8: indexE8, midE8: priceE8, fundingMarkE8: 0, positionAfter: .zero,
          realisedAfterE8: position.sessionRealised - position.sessionFeesE8, visibleAt: .max))
      nextFillNumber += 1
      if !account.changedPositions.contains(market.index) { account.changedPositions.append(market.index) }
      if !tradedAccounts.contains(where: { $0 === account }) { tradedAccounts.append(account) }
    }
  }

  /// Everything that the flow, or the venue itself, has resting.
  func clearBackground(_ market: Market) {
    for side in [Side.buy, .sell] {
      while true {
        let slot = side == .buy ? market.background.bestBid : market.background.bestAsk
        guard slot >= 0, slot < market.background.span else { break }
        setBackground(market, side, slot, market.background.price(slot), lots: 0)
      }
    }
    market.ownQuotes = nil
  }

  /// What the flow has resting, in its own ticks.
  func backgroundLevels(_ market: Market) -> [FlowEvent] {
    guard !market.spec.isQuotedByVenue else { return [] }
    var events: [FlowEvent] = []
    for slot in 0..<market.background.span {
      for side in [Side.buy, .sell] {
        let lots = market.background.lots(side, slot)
        guard lots > 0 else { continue }
        let price = market.background.price(slot).rawValue * market.spec.grid.tickE8 / market.flowTickE8
        events.append(.level(market.index, side, price, lots))
      }
    }
    return events
  }

  /// Ends a halt: what the flow said meanwhile counts.
  func catchUp(_ market: Market) {
    market.isHalted = false
    let missed = market.missed.sorted {
      ($0.key.value, $0.key.side.rawValue) < ($1.key.value, $1.key.side.rawValue)
    }
    market.missed.removeAll()
    let events = missed.map { FlowEvent.level(market.index, $0.key.side, $0.key.value, $0.value) }
    applyLevels(market, events, 0..<events.count)
  }

  /// The most aggressive tick that the collar allows.
  func collarLimit(_ market: Market, _ side: Side) -> PriceTicks {
    let tick = market.spec.grid.tickE8
    let collar = market.collarE8(configuration)
    return PriceTicks(
      rawValue: side == .buy ? floorDivision(collar.high, tick) : -floorDivision(-collar.low, tick))
  }

  /// Lots that are held long, the anonymous rest of the market counted as one holder.
  func openInterest(_ market: Market) -> Int64 {
    var long: Int64 = 0
    var net: Int64 = 0
    for account in accountList {
      let lots = account.positions[market.index].lots
      long += max(0, lots)
      net += lots
    }
    return long + max(0, -net)
  }
}
