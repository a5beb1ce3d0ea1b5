import Apus
import CSupport

/// What an account has, 10⁻⁸ USDT. A USDT is a dollar here.
struct BybitTotals {
  var wallet: MoneyE8
  var unrealised: MoneyE8 = 0
  var realised: MoneyE8 = 0
  var positionMargin: MoneyE8 = 0
  var orderMargin: MoneyE8 = 0
  var maintenance: MoneyE8 = 0

  var equity: MoneyE8 { wallet + unrealised }
  var margin: MoneyE8 { positionMargin + orderMargin }
  var available: MoneyE8 { max(0, equity - margin) }
}

/// Balances, and market data that comes as text of fields (6.3, 8.4).
extension SimulatedBybit {
  func totals(_ account: BybitAccount) -> BybitTotals {
    var totals = BybitTotals(wallet: account.initialCashE8)
    for market in markets {
      let position = account.positions[market.index]
      guard position.hasTraded || position.openBuys != 0 || position.openSells != 0 else { continue }
      let realised = position.realised - position.feesE8 - account.sides[market.index].fundingE8
      totals.wallet += realised
      totals.realised += realised
      totals.unrealised += market.valueE8(lots: position.lots, priceE8: market.markE8) - position.cost
      let margin = marginE8(account, market, lots: position.lots)
      totals.positionMargin += margin
      totals.orderMargin += marginE8(account, market, lots: worst(position)) - margin
      totals.maintenance += maintenanceE8(market, lots: position.lots)
    }
    return totals
  }

  func worst(_ position: Position) -> Int64 {
    max(abs(position.lots + position.openBuys), abs(position.lots - position.openSells))
  }

  /// Whether the worst case of an account with `more` lots on a side is covered by its equity.
  func checkFunds(_ account: BybitAccount, _ market: Market, _ side: Side, more: Int64) throws(BybitRefusal) {
    guard more > 0 else { return }
    let position = account.positions[market.index]
    // What can be counted, whatever margin there is.
    let most = Int64.max / 16 / max(1, market.valueE8(lots: 1, priceE8: market.markE8))
    guard abs(position.lots) + position.openBuys + position.openSells + more <= most else {
      throw BybitRefusal(110_090, "The position would exceed the risk limit.")
    }
    guard settings.checksMargin else { return }
    let before = worst(position)
    let after =
      side == .buy ? abs(position.lots + position.openBuys + more) : abs(position.lots - position.openSells - more)
    // What makes the worst case no worse is always allowed.
    guard after > before else { return }
    let added = marginE8(account, market, lots: after) - marginE8(account, market, lots: before)
    guard totals(account).available >= added else { throw .margin }
  }

  /// `isStream`: the wallet topic; else the list of balances.
  func writeWallet(_ out: TextBuffer, _ account: BybitAccount, isStream: Bool) {
    let totals = totals(account)
    func rate(_ margin: MoneyE8) -> Int64 {
      totals.equity > 0 ? Decimal.scaled(margin, 100_000_000, over: totals.equity) / 10_000 * 10_000 : 0
    }
    out.byte(UInt8(ascii: "{"))
    for name in ["accountIMRate", "accountIMRateByMp"] as [StaticString] { out.member(name, e8: rate(totals.margin)) }
    for name in ["accountMMRate", "accountMMRateByMp"] as [StaticString] {
      out.member(name, e8: rate(totals.maintenance))
    }
    out.member("totalEquity", e8: totals.equity)
    out.member("totalWalletBalance", e8: totals.wallet)
    out.member("totalMarginBalance", e8: totals.equity)
    out.member("totalAvailableBalance", e8: totals.available)
    out.member("totalPerpUPL", e8: totals.unrealised)
    for name in ["totalInitialMargin", "totalInitialMarginByMp"] as [StaticString] {
      out.member(name, e8: totals.margin)
    }
    for name in ["totalMaintenanceMargin", "totalMaintenanceMarginByMp"] as [StaticString] {
      out.member(name, e8: totals.maintenance)
    }
    out.key("coin")
    out.raw("[{")
    out.member("coin", "USDT")
    out.member("equity", e8: totals.equity)
    out.member("usdValue", e8: totals.equity)
    out.member("walletBalance", e8: totals.wallet)
    for name in ["availableToWithdraw", "availableToBorrow"] as [StaticString] { out.member(name, "") }
    for name in ["borrowAmount", "accruedInterest", "bonus", "locked", "spotHedgingQty", "spotBorrow"]
      as [StaticString]
    { out.member(name, "0") }
    out.member("totalOrderIM", e8: totals.orderMargin)
    out.member("totalPositionIM", e8: totals.positionMargin)
    out.member("totalPositionMM", e8: totals.maintenance)
    out.member("unrealisedPnl", e8: totals.unrealised)
    out.member("cumRealisedPnl", e8: totals.realised)
    out.member("collateralSwitch", flag: true)
    out.member("marginCollateral", flag: true)
    if !isStream { out.member("colRes", "-1") }
    out.raw("}]")
    out.member("accountLTV", "0")
    out.member("accountType", "UNIFIED")
    out.byte(UInt8(ascii: "}"))
  }

  // MARK: the price band (10.6)

  /// The highest price of a buy, the lowest of a sell: mark · (1 ± X), on the grid.
  func bandLimit(_ market: Market, _ side: Side) -> PriceTicks {
    let tick = market.spec.grid.tickE8
    let width = Decimal.scaled(market.markE8, listing(market).bandRatioE6, over: 1_000_000)
    let ticks =
      side == .buy ? floorDivision(market.markE8 + width, tick) : -floorDivision(-(market.markE8 - width), tick)
    return PriceTicks(rawValue: max(1, ticks))
  }

  func writeBand(_ out: TextBuffer, _ market: Market) {
    out.raw("\"buyLmt\":\"")
    let (tick, places) = (market.spec.grid.tickE8, listing(market).priceScale)
    out.fixed(bandLimit(market, .buy).rawValue * tick, places: places)
    out.raw("\",\"sellLmt\":\"")
    out.fixed(bandLimit(market, .sell).rawValue * tick, places: places)
    out.byte(UInt8(ascii: "\""))
  }

  // MARK: tickers

  static let tickerFields: [StaticString] = [
    "tickDirection", "price24hPcnt", "lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "prevPrice1h",
    "markPrice", "indexPrice", "openInterest", "openInterestValue", "turnover24h", "volume24h", "fundingIntervalHour",
    "fundingCap", "singleOpenInterest", "singleOpenInterestValue", "nextFundingTime", "fundingRate", "bid1Price",
    "bid1Size", "ask1Price", "ask1Size", "preOpenPrice",
    "preQty", "curPreListingPhase",
  ]

  /// The values of the fields above. What is of 24 hours counts from the venue's start.
  func tickerValues(_ market: Market) -> [String] {
    let grid = market.spec.grid
    let listing = listing(market)
    let text = TextBuffer(capacity: 64)
    func shown(_ body: () -> Void) -> String {
      text.clear()
      body()
      return String(decoding: text.bytes, as: UTF8.self)
    }
    func price(_ e8: Int64?) -> String { e8.map { e8 in shown { text.fixed(e8, places: listing.priceScale) } } ?? "" }
    func size(_ lots: Int64) -> String { shown { text.fixed(lots * grid.lotE8, places: Self.places(grid.lotE8)) } }
    func ticks(_ price: PriceTicks?) -> Int64? { price.map { $0.rawValue * grid.tickE8 } }
    let (bid, ask) = (market.best(.buy), market.best(.sell))
    let last = ticks(market.lastPrice) ?? market.indexE8
    let first = market.lastPrice == nil ? last : ticks(market.firstPrice) ?? last
    let interest = openInterest(market)
    func worth(_ lots: Int64) -> String {
      shown { text.fixed(market.valueE8(lots: lots, priceE8: market.markE8), places: 2) }
    }
    var tick: UInt8 = 1
    market.recentTrades(from: market.tradeCount - 1) { tick = $0.tick }
    return [
      "\(Self.direction(tick))",
      shown { text.decimal(first == 0 ? 0 : Decimal.scaled(last - first, 1_000_000, over: first), places: 6) },
      price(last), price(first), price(market.lastPrice == nil ? last : ticks(market.highPrice)),
      price(market.lastPrice == nil ? last : ticks(market.lowPrice)), price(first), price(market.markE8),
      price(market.indexE8), size(interest), worth(interest),
      shown { text.fixed(Int64(clamping: Int128(market.value) * Int128(grid.tickLotE8 ?? 0)), places: 4) },
      size(market.volumeLots), "\(max(1, listing.fundingMinutes / 60))", "0.00333", size(interest), worth(interest),
      "\(nextFunding(market) / 1_000_000)", shown { text.decimal(market.fundingRateE12, places: 12) },
      price(ticks(bid?.price)), bid.map { size($0.lots.rawValue) } ?? "0", price(ticks(ask?.price)),
      ask.map { size($0.lots.rawValue) } ?? "0", "", "", "",
    ]
  }

  /// `,"name":"value"` of some fields.
  func writeTickerFields(_ out: TextBuffer, _ values: [String], _ fields: [Int]) {
    for field in fields { out.member(Self.tickerFields[field], text: values[field]) }
  }
}
