public import Apus
import CSupport

/// Which instruments there are: listing, expiry and settlement (reference 4.3).
///
/// Simplified: an instrument settles at the average of the marks' index values since 07:30 UTC (at the index of the moment
/// if it expires outside that window); expiry costs no fee.
extension SimulatedVenue {
  /// Checks an instrument and makes its market.
  func add(_ spec: InstrumentSpec) throws(VenueError) -> Market {
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
    if isDated { timers.set(.expiries, at: now + spec.expirySeconds * 1_000_000_000 - wallClock) }
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

  /// Lists an instrument; channel `instruments` says so. Its legs, if any, must be listed.
  public func list(_ spec: InstrumentSpec, now: Nanoseconds) throws(VenueError) {
    advance(to: now)
    let market = try add(spec)
    market.listTime = self.now
    market.underlying.time = max(1, self.now)
    updateMarks(of: market.underlying)
    announce([], added: [market])
    if spec.isQuotedByVenue { quoteDerived() }
    settle(requester: nil)
  }

  /// Lets an instrument expire now, and with it the rolls that it is a leg of. False if it is not listed.
  @discardableResult
  public func expire(_ name: String, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name] else { return false }
    expire([market])
    return true
  }

  /// What is due by the venue's wall clock.
  func expireDue() {
    let wall = wallClock
    expire(
      markets.filter { $0.isListed && $0.spec.kind != .perpetual && $0.spec.expirySeconds * 1_000_000_000 <= wall })
  }

  /// The time of the next daily settlement, 08:00 UTC.
  var nextSettlement: Nanoseconds {
    let day: Nanoseconds = 86_400_000_000_000, eight: Nanoseconds = 28_800_000_000_000
    return now + day - (wallClock - eight) % day
  }

  /// 08:00 UTC: what is open starts at the mark, funding is paid, and a new session begins (reference 4.3). Positions do
  /// not change, and there is no trade of it.
  func settleDaily() {
    // What expires now is settled finally, and not daily.
    expireDue()
    for underlying in underlyings where underlying.settledAt != wallClock / 1_000_000_000 {
      underlying.previousSettlementE8 = underlying.indexE8
    }
    for account in accountList {
      var changed: [Int] = []
      for market in markets where market.spec.kind != .combination && account.positions[market.index].hasTraded {
        // What a contract that is just gone has made belongs to the session that begins: else nobody would see it.
        guard market.isListed || market.spec.expirySeconds < wallClock / 1_000_000_000 else { continue }
        account.positions[market.index].settle(market)
        if account.positions[market.index].lots != 0 { changed.append(market.index) }
      }
      sendPortfolio(account, changed)
    }
    for market in markets { market.payFunding() }
    settle(requester: nil)
  }

  /// Orders die, positions are settled, the instruments are gone.
  private func expire(_ dying: [Market]) {
    guard !dying.isEmpty else { return }
    let gone = markets.filter { market in
      market.isListed
        && (dying.contains { $0 === market } || market.legs.contains { leg in dying.contains { $0 === leg } })
    }
    for market in gone {
      cancelAll(accountList.flatMap(\.orders).filter { $0.market === market }, deletion: .instrumentDeactivated)
      market.isListed = false
      marketsByName[market.spec.name] = nil
      market.underlying.markets.removeAll { $0 === market }
    }
    for market in gone where market.spec.kind != .combination { settlePositions(market) }
    for market in gone {
      clearBackground(market)
      cancelConditionals(market)
    }
    for underlying in underlyings {
      guard let window = underlying.window, window.end * 1_000_000_000 <= wallClock else { continue }
      underlying.previousSettlementE8 = window.averageE8
      underlying.settledAt = wallClock / 1_000_000_000
      underlying.window = nil
    }
    announce(gone, added: [])
    settle(requester: nil)
  }

  /// The final prices, and the trades that close what is open.
  private func settlePositions(_ market: Market) {
    let window = market.underlying.window
    let indexE8 = window?.end == market.spec.expirySeconds ? window?.averageE8 ?? market.indexE8 : market.indexE8
    var priceE8 = indexE8
    switch market.spec.optionType {
    case .call: priceE8 = max(0, indexE8 - market.spec.strikeE8)
    case .put: priceE8 = max(0, market.spec.strikeE8 - indexE8)
    case nil: break
    }
    market.settlement = (priceE8, indexE8)
    market.markE8 = priceE8
    for account in accountList {
      let lots = account.positions[market.index].lots
      guard lots != 0 else { continue }
      let side: Side = lots > 0 ? .sell : .buy
      account.positions[market.index].trade(
        side: side, quantity: abs(lots), valueE8: valueE8(lots: abs(lots), priceE8: priceE8, grid: market.spec.grid))
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

  /// Channel `instruments`: what went, then what came.
  func announce(_ removed: [Market], added: [Market]) {
    guard let channel = channels["instruments"], !channel.subscribers.isEmpty, !(removed + added).isEmpty else {
      return
    }
    message.clear()
    message.raw("{\"channel_name\":\"instruments\",\"notification\":[")
    for (place, market) in (removed + added).enumerated() {
      message.raw(place == 0 ? "{\"" : ",{\"")
      message.raw(place < removed.count ? "removed\":" : "added\":")
      writeInstrument(message, market)
      message.byte(UInt8(ascii: "}"))
    }
    message.raw("]}")
    for session in channel.subscribers { outbox.post(session.id, message) }
  }
}
