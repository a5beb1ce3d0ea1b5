import Apus
import CSupport

/// What an account has in one currency, 10⁻⁸.
struct DeribitTotals {
  var balance: MoneyE8 = 0
  var sessionRealised: MoneyE8 = 0
  var sessionUnrealised: MoneyE8 = 0
  var initialMargin: MoneyE8 = 0
  var maintenanceMargin: MoneyE8 = 0
  /// Initial margin of the positions alone.
  var positionMargin: MoneyE8 = 0
  /// Base currency.
  var deltaE8: Int64 = 0
  var deltas: [(index: String, deltaE8: Int64)] = []
  var equity: MoneyE8 { balance + sessionRealised + sessionUnrealised }
}

/// Objects as Deribit writes them (reference 7 to 11).
extension DeribitVenue {
  /// A decimal, as `1000.0`, and with an exponent if it is tiny; at random in other ways too, if so configured.
  func number(_ out: TextBuffer, _ value: Int64, places: Int = 8) {
    var isTiny = false
    if value != 0, places > 4 {
      var bound: UInt64 = 1
      for _ in 0..<(places - 4) { bound *= 10 }
      isTiny = value.magnitude < bound
    }
    let way = settings.numbers == .varied ? numberRandom.below(3) : 0
    if value != 0, isTiny && way != 1 || way == 2 {
      exponent(out, value, places: places)
    } else {
      out.decimal(value, places: places, pointAlways: way != 1)
    }
  }

  /// `8.64725e4`.
  private func exponent(_ out: TextBuffer, _ value: Int64, places: Int) {
    var digits = Array(String(value.magnitude).utf8)
    let power = digits.count - 1 - places
    while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
    if value < 0 { out.byte(UInt8(ascii: "-")) }
    out.byte(digits[0])
    if digits.count > 1 {
      out.byte(UInt8(ascii: "."))
      out.append(Array(digits[1...]))
    }
    out.byte(UInt8(ascii: "e"))
    out.integer(Int64(power))
  }

  private func milliseconds(_ out: TextBuffer, _ time: Nanoseconds) { out.integer(wall(time) / 1_000_000) }

  // MARK: orders

  func writeOrders(_ out: TextBuffer, _ list: [VenueOrder]) {
    out.byte(UInt8(ascii: "["))
    for (place, order) in list.enumerated() {
      if place > 0 { out.byte(UInt8(ascii: ",")) }
      writeOrder(out, unsafeDowncast(order, to: DeribitOrder.self))
    }
    out.byte(UInt8(ascii: "]"))
  }

  private func contracts(_ out: TextBuffer, _ market: Market, _ lots: QtyLots) {
    number(
      out, Decimal.scaled(lots.rawValue * market.spec.grid.lotE8, 100_000_000, over: listing(market).contractSizeE8))
  }

  func writeOrder(_ out: TextBuffer, _ order: DeribitOrder) {
    let market = order.market
    let grid = market.spec.grid
    let isOpen = order.state.isLive
    out.raw("{\"label\":")
    out.quoted(order.label ?? "")
    out.raw(",\"price\":")
    number(out, order.price.rawValue * grid.tickE8)
    out.raw(",\"user_id\":")
    out.integer(order.owner.userID)
    out.raw(order.side == .buy ? ",\"direction\":\"buy\"" : ",\"direction\":\"sell\"")
    out.raw(",\"time_in_force\":")
    out.quoted(order.lifetime.rawValue)
    out.raw(",\"instrument_name\":\"")
    out.append(market.name)
    out.raw("\",\"web\":false,\"api\":true,\"amount\":")
    number(out, order.amount.rawValue * grid.lotE8)
    out.raw(",\"order_id\":")
    out.quoted(orderID(order.number, market))
    out.raw(",\"creation_timestamp\":")
    milliseconds(out, order.createTime)
    out.raw(",\"filled_amount\":")
    number(out, order.filled.rawValue * grid.lotE8)
    out.raw(",\"average_price\":")
    number(out, priceE8(market, lots: order.filled.rawValue, valueE16: order.filledValueE16))
    out.raw(",\"mmp\":")
    out.bool(order.isProtected)
    out.raw(",\"post_only\":")
    out.bool(order.postOnly)
    if order.postOnly {
      out.raw(",\"reject_post_only\":")
      out.bool(order.rejectPostOnly)
    }
    out.raw(",\"replaced\":")
    out.bool(order.isReplaced)
    out.raw(",\"reduce_only\":")
    out.bool(order.isReduceOnly)
    out.raw(",\"starbase_order_id\":")
    out.integer(Self.starbase + order.number)
    out.raw(",\"last_update_timestamp\":")
    milliseconds(out, order.updateTime)
    out.raw(",\"contracts\":")
    contracts(out, market, order.amount)
    // What is left of a market order is a limit order.
    let isMarket = order.originalType == "market" && !isOpen
    if let original = order.originalType, !isMarket {
      out.raw(",\"original_order_type\":")
      out.quoted(original)
    }
    let state: StaticString = isOpen ? "open" : order.state == .filled ? "filled" : "cancelled"
    out.raw(",\"order_state\":\"")
    out.raw(state)
    out.raw(isMarket ? "\",\"order_type\":\"market\"" : "\",\"order_type\":\"limit\"")
    out.raw(",\"starbase_last_update_timestamp\":")
    out.integer(wall(order.updateTime))
    out.raw(",\"is_liquidation\":false,\"risk_reducing\":false")
    if let reason = reason(order) {
      out.raw(",\"cancel_reason\":\"")
      out.raw(reason)
      out.byte(UInt8(ascii: "\""))
    }
    if order.isProtectionCancelled { out.raw(",\"mmp_cancelled\":true") }
    if order.isQuote {
      out.raw(",\"quote\":true,\"mmp_group\":")
      out.quoted(order.protectionKey?.group ?? "")
      out.raw(",\"quote_id\":")
      out.quoted(order.quoteID ?? "")
      if let set = order.quoteSetID {
        out.raw(",\"quote_set_id\":")
        out.quoted(set)
      }
    }
    out.byte(UInt8(ascii: "}"))
  }

  /// Orders and matches have 64-bit numbers of the matching engine too.
  static let starbase: UInt64 = 21_381_866_696_000_000

  private func reason(_ order: DeribitOrder) -> StaticString? {
    if order.state.isLive || order.state == .filled { return nil }
    if let reason = order.cancelReason { return reason }
    switch order.deletion {
    case .clientCancel, .clientBulkCancel, .replaced: return "user_request"
    case .sessionEnd: return "cancel_on_disconnect"
    case .protection: return "mmp_trigger"
    case .instrumentDeactivated: return "settlement"
    case .selfTradePrevention: return "order_overlap"
    case .adminCancel, .failover: return "risk_mitigation"
    case .immediateCancel, .filled, nil: return nil
    }
  }

  // MARK: trades

  func writeTrades(_ out: TextBuffer, _ account: DeribitAccount, _ fills: ArraySlice<Int>) {
    var isFirst = true
    for index in fills {
      if !isFirst { out.byte(UInt8(ascii: ",")) }
      isFirst = false
      writeTrade(out, account, index)
    }
  }

  func tradeNumber(_ market: Market, _ sequence: Int) -> Int64 {
    Int64(market.index + 1) * 1_000_000_000 + Int64(sequence)
  }

  private func writeTradeID(_ out: TextBuffer, _ market: Market, _ sequence: Int) {
    out.raw(",\"trade_id\":\"")
    let prefix = orderPrefix(market)
    if !prefix.isEmpty { out.append(Array(prefix.utf8)) }
    out.integer(tradeNumber(market, sequence))
    out.byte(UInt8(ascii: "\""))
  }

  /// A trade of an account; `index` is its place in the account's list.
  func writeTrade(_ out: TextBuffer, _ account: DeribitAccount, _ index: Int) {
    let fill = account.fills[index]
    let trade = account.trades[index]
    guard let order = trade.order else { return }
    let market = markets[fill.market]
    out.raw("{\"label\":")
    out.quoted(order.label ?? "")
    out.raw(",\"timestamp\":")
    milliseconds(out, fill.time)
    out.raw(trade.isFilled ? ",\"state\":\"filled\",\"price\":" : ",\"state\":\"open\",\"price\":")
    number(out, fill.priceE8)
    out.raw(",\"user_id\":")
    out.integer(account.userID)
    out.raw(fill.side == .buy ? ",\"direction\":\"buy\"" : ",\"direction\":\"sell\"")
    out.raw(",\"index_price\":")
    number(out, fill.indexE8)
    out.raw(",\"instrument_name\":\"")
    out.append(market.name)
    out.raw("\",\"trade_seq\":")
    out.integer(Int64(trade.sequence))
    out.raw(",\"api\":true,\"amount\":")
    number(out, fill.lots.rawValue * market.spec.grid.lotE8)
    out.raw(",\"mark_price\":")
    number(out, trade.markE8)
    out.raw(",\"order_id\":")
    out.quoted(orderID(fill.orderNumber, market))
    out.raw(",\"matching_id\":null,\"tick_direction\":")
    out.integer(Int64(trade.tick))
    out.raw(",\"profit_loss\":")
    number(out, trade.profitE8)
    out.raw(",\"mmp\":")
    out.bool(order.isProtected)
    out.raw(",\"post_only\":")
    out.bool(order.postOnly)
    out.raw(",\"reduce_only\":")
    out.bool(order.isReduceOnly)
    out.raw(",\"starbase_order_id\":")
    out.integer(Self.starbase + order.number)
    out.raw(",\"starbase_match_id\":")
    out.integer(Self.starbase * 10 + trade.match)
    writeTradeID(out, market, trade.sequence)
    out.raw(",\"self_trade\":false,\"contracts\":")
    contracts(out, market, fill.lots)
    out.raw(",\"fee_currency\":")
    out.quoted(listing(market).settlementCurrency)
    out.raw(",\"starbase_timestamp\":")
    out.integer(wall(fill.time))
    out.raw(",\"fee\":")
    number(out, fill.feeE8)
    out.raw(
      order.originalType == "market" && !fill.isMaker ? ",\"order_type\":\"market\"" : ",\"order_type\":\"limit\"")
    out.raw(",\"risk_reducing\":false,\"liquidity\":")
    out.raw(fill.isMaker ? "\"M\"" : "\"T\"")
    if order.isQuote {
      out.raw(",\"quote_id\":")
      out.quoted(order.quoteID ?? "")
      if let set = order.quoteSetID {
        out.raw(",\"quote_set_id\":")
        out.quoted(set)
      }
    }
    out.byte(UInt8(ascii: "}"))
  }

  /// A trade as the public sees it.
  func write(_ out: TextBuffer, _ market: Market, _ trade: PublicTrade, _ sequence: Int) {
    out.raw("{\"trade_seq\":")
    out.integer(Int64(sequence))
    writeTradeID(out, market, sequence)
    out.raw(",\"timestamp\":")
    milliseconds(out, trade.time)
    out.raw(",\"tick_direction\":")
    out.integer(Int64(trade.tick))
    out.raw(",\"price\":")
    number(out, trade.price.rawValue * market.spec.grid.tickE8)
    out.raw(",\"mark_price\":")
    number(out, trade.markE8)
    out.raw(",\"instrument_name\":\"")
    out.append(market.name)
    out.raw("\",\"index_price\":")
    number(out, trade.indexE8)
    out.raw(trade.aggressor == .buy ? ",\"direction\":\"buy\",\"amount\":" : ",\"direction\":\"sell\",\"amount\":")
    number(out, trade.lots.rawValue * market.spec.grid.lotE8)
    out.raw(",\"contracts\":")
    contracts(out, market, trade.lots)
    out.raw(",\"starbase_match_id\":")
    out.integer(Self.starbase * 10 + trade.match)
    out.raw(",\"starbase_timestamp\":")
    out.integer(wall(trade.time))
    out.byte(UInt8(ascii: "}"))
  }

  // MARK: positions and money

  /// Initial margin of so many lots, 10⁻⁸ of the settlement currency.
  func marginE8(_ market: Market, lots: Int64) -> MoneyE8 {
    abs(market.valueE8(lots: lots, priceE8: market.markE8)) / listing(market).maximumLeverage
  }

  /// Funding of a position since it was built or settled, 10⁻⁸ of the settlement currency.
  private func fundingE8(_ market: Market, _ position: Position) -> MoneyE8 {
    let funding = position.fundingE8(market)
    guard market.spec.isInverse, funding != 0 else { return funding }
    // It was counted for amounts in USD as if they were coins.
    let coins = Decimal.scaled(funding, 100_000_000, over: market.indexE8)
    return Decimal.scaled(coins, 100_000_000, over: market.indexE8)
  }

  private func floatingE8(_ account: DeribitAccount, _ market: Market) -> MoneyE8 {
    let lots = account.positions[market.index].lots
    guard lots != 0 else { return 0 }
    let cost = account.averages[market.index].costE16
    let value = valueE16(market, lots: lots, priceE8: market.markE8)
    // Both are negative for inverse contracts held long.
    let signedCost = market.spec.isInverse ? -cost : cost
    return Int64((value - signedCost) / 100_000_000)
  }

  private func deltaE8(_ market: Market, _ lots: Int64) -> Int64 {
    let base = baseE8(market, lots: lots, priceE8: market.markE8)
    return market.spec.kind == .option ? Decimal.scaled(base, market.deltaE12, over: 1_000_000_000_000) : base
  }

  func totals(_ account: DeribitAccount, _ currency: String) -> DeribitTotals {
    var totals = DeribitTotals()
    totals.balance = settings.initialBalances[currency] ?? 0
    for market in markets where listing(market).settlementCurrency == currency {
      let position = account.positions[market.index]
      guard position.hasTraded || position.openBuys != 0 || position.openSells != 0 else { continue }
      totals.balance += position.settledE8 + position.settledFundingE8 - position.feesE8
      totals.sessionRealised += position.sessionRealised + fundingE8(market, position)
      totals.sessionUnrealised += position.unrealisedE8(market)
      let worst = max(abs(position.lots + position.openBuys), abs(position.lots - position.openSells))
      totals.initialMargin += marginE8(market, lots: worst)
      totals.positionMargin += marginE8(market, lots: position.lots)
      totals.maintenanceMargin += marginE8(market, lots: position.lots) / 2
      let delta = deltaE8(market, position.lots)
      totals.deltaE8 += delta
      if let place = totals.deltas.firstIndex(where: { $0.index == market.spec.underlying }) {
        totals.deltas[place].deltaE8 += delta
      } else if position.lots != 0 {
        totals.deltas.append((market.spec.underlying, delta))
      }
    }
    return totals
  }

  /// - Parameter isUpdate: Of `user.changes`, which leaves out some members.
  func writePosition(_ out: TextBuffer, _ account: DeribitAccount, _ market: Market, isUpdate: Bool) {
    let position = account.positions[market.index]
    let listing = listing(market)
    let lots = position.lots
    let grid = market.spec.grid
    let floating = floatingE8(account, market)
    let realised = position.sessionRealised
    let delta = deltaE8(market, lots)
    out.raw("{\"total_profit_loss\":")
    number(out, floating + realised)
    if market.spec.kind != .option {
      out.raw(",\"size_currency\":")
      number(out, baseE8(market, lots: lots, priceE8: market.markE8))
    }
    out.raw(",\"size\":")
    // Linear futures show what they are worth.
    let isLinear = !market.spec.isInverse && market.spec.kind != .option
    number(out, isLinear ? market.valueE8(lots: lots, priceE8: market.markE8) : lots * grid.lotE8)
    out.raw(",\"settlement_price\":")
    number(out, market.underlying.previousSettlementE8)
    out.raw(",\"realized_profit_loss\":")
    number(out, realised)
    if market.spec.kind == .perpetual {
      out.raw(",\"realized_funding\":")
      number(out, fundingE8(market, position))
    }
    out.raw(",\"open_orders_margin\":")
    let worst = max(abs(lots + position.openBuys), abs(lots - position.openSells))
    number(out, marginE8(market, lots: worst) - marginE8(market, lots: lots))
    out.raw(",\"mark_price\":")
    number(out, market.markE8)
    out.raw(",\"maintenance_margin\":")
    number(out, marginE8(market, lots: lots) / 2)
    out.raw(",\"leverage\":")
    out.integer(listing.maximumLeverage)
    out.raw(",\"kind\":\"")
    out.append(Array(word(kind: market).utf8))
    out.raw("\",\"interest_value\":")
    number(out, market.totalFundingE8)
    out.raw(",\"instrument_name\":\"")
    out.append(market.name)
    out.raw("\",\"initial_margin\":")
    number(out, marginE8(market, lots: lots))
    out.raw(",\"index_price\":")
    number(out, market.indexE8)
    out.raw(",\"floating_profit_loss\":")
    number(out, floating)
    out.raw(lots > 0 ? ",\"direction\":\"buy\"" : lots < 0 ? ",\"direction\":\"sell\"" : ",\"direction\":\"zero\"")
    out.raw(",\"delta\":")
    number(out, delta)
    out.raw(",\"average_price\":")
    number(out, priceE8(market, lots: lots, valueE16: account.averages[market.index].costE16))
    if !isUpdate {
      out.raw(",\"user_id\":")
      out.integer(account.userID)
      out.raw(",\"estimated_liquidation_price\":null")
    }
    out.byte(UInt8(ascii: "}"))
  }

  func writeSummary(
    _ out: TextBuffer, _ account: DeribitAccount, _ currency: String, isPortfolio: Bool, isExtended: Bool
  ) {
    let totals = totals(account, currency)
    func member(_ name: StaticString, _ value: MoneyE8) {
      out.raw(name)
      number(out, value)
    }
    out.raw("{\"currency\":")
    out.quoted(currency)
    member(",\"balance\":", totals.balance)
    member(",\"equity\":", totals.equity)
    member(",\"margin_balance\":", totals.equity)
    member(",\"available_funds\":", max(0, totals.equity - totals.initialMargin))
    member(",\"available_withdrawal_funds\":", max(0, min(totals.balance, totals.equity) - totals.initialMargin))
    member(",\"initial_margin\":", totals.initialMargin)
    member(",\"maintenance_margin\":", totals.maintenanceMargin)
    member(",\"projected_initial_margin\":", totals.positionMargin)
    member(",\"projected_maintenance_margin\":", totals.maintenanceMargin)
    out.raw(
      ",\"portfolio_margining_enabled\":false,\"cross_collateral_enabled\":false,\"margin_model\":\"segregated_sm\"")
    member(",\"delta_total\":", totals.deltaE8)
    member(",\"projected_delta_total\":", totals.deltaE8)
    out.raw(",\"delta_total_map\":{")
    for (place, item) in totals.deltas.enumerated() {
      if place > 0 { out.byte(UInt8(ascii: ",")) }
      out.quoted(item.index)
      out.byte(UInt8(ascii: ":"))
      number(out, item.deltaE8)
    }
    out.byte(UInt8(ascii: "}"))
    let total = totals.sessionRealised + totals.sessionUnrealised
    member(",\"futures_pl\":", total)
    member(",\"futures_session_upl\":", totals.sessionUnrealised)
    member(",\"futures_session_rpl\":", totals.sessionRealised)
    out.raw(
      ",\"options_pl\":0.0,\"options_session_upl\":0.0,\"options_session_rpl\":0.0,\"options_delta\":0.0,\"options_gamma\":0.0,\"options_gamma_map\":{},\"options_theta\":0.0,\"options_theta_map\":{},\"options_vega\":0.0,\"options_vega_map\":{},\"options_value\":0.0"
    )
    member(",\"session_upl\":", totals.sessionUnrealised)
    member(",\"session_rpl\":", totals.sessionRealised)
    member(",\"total_pl\":", total)
    out.raw(",\"spot_reserve\":0.0,\"additional_reserve\":0.0,\"fee_balance\":0.0,\"locked_balance\":0.0")
    if !isPortfolio {
      out.raw(",\"limits\":")
      writeLimits(out)
    }
    if isExtended { writeIdentity(out, account) }
    out.byte(UInt8(ascii: "}"))
  }

  func writeIdentity(_ out: TextBuffer, _ account: DeribitAccount) {
    out.raw(",\"id\":")
    out.integer(account.userID)
    out.raw(",\"username\":")
    out.quoted(account.name)
    out.raw(",\"type\":\"main\",\"system_name\":")
    out.quoted(account.name)
    out.raw(",\"mmp_enabled\":true,\"self_trading_reject_mode\":")
    out.quoted(account.selfTradeMode.rawValue)
    out.raw(",\"self_trading_extended_to_subaccounts\":")
    out.bool(account.extendsToSubaccounts)
  }

  private func writeLimits(_ out: TextBuffer) {
    func rate(_ name: StaticString, _ rate: Int, _ burst: Int) {
      out.raw(name)
      out.raw("{\"rate\":")
      out.integer(Int64(rate))
      out.raw(",\"burst\":")
      out.integer(Int64(burst))
      out.byte(UInt8(ascii: "}"))
    }
    rate("{\"limits_per_currency\":false,\"non_matching_engine\":", 20, 100)
    rate(",\"matching_engine\":{\"trading\":{\"total\":", settings.matchingRate, settings.matchingBurst)
    rate("},\"spot\":", settings.matchingRate, settings.matchingBurst)
    rate(",\"maximum_quotes\":", settings.quoteRate, settings.quoteRate)
    rate(",\"maximum_mass_quotes\":", settings.massQuoteRate, settings.massQuoteRate)
    rate(",\"guaranteed_mass_quotes\":", 2, 2)
    rate(",\"cancel_all\":", settings.cancelAllRate, settings.cancelAllBurst)
    rate(",\"block_rfq_maker\":", 10, 20)
    out.raw("}}")
  }

  // MARK: markets

  func state(_ market: Market) -> StaticString {
    market.settlement != nil ? "delivered" : !market.isListed ? "inactive" : market.isHalted ? "halted" : "open"
  }

  /// - Parameter isTimed: Of `get_order_book`, which names the change and the levels too.
  func writeTicker(_ out: TextBuffer, _ market: Market, isTimed: Bool, depth: Int = 5) {
    let grid = market.spec.grid
    let listing = listing(market)
    out.raw("{\"timestamp\":")
    milliseconds(out, max(market.bookTime, market.markTime))
    out.raw(",\"state\":\"")
    out.raw(state(market))
    out.raw("\",\"stats\":{\"high\":")
    func price(_ ticks: PriceTicks) {
      if market.lastPrice == nil { out.raw("null") } else { number(out, ticks.rawValue * grid.tickE8) }
    }
    price(market.highPrice)
    out.raw(",\"low\":")
    price(market.lowPrice)
    out.raw(",\"price_change\":")
    if let last = market.lastPrice, market.firstPrice.rawValue > 0 {
      number(
        out, Decimal.scaled((last - market.firstPrice).rawValue, 1_000_000, over: market.firstPrice.rawValue), places: 4
      )
    } else {
      out.raw("null")
    }
    let amountE8 = market.volumeLots * grid.lotE8
    // Amounts of inverse contracts are what they are worth.
    let worthE8 = market.spec.isInverse ? amountE8 : Decimal.scaled(amountE8, market.indexE8, over: 100_000_000)
    out.raw(",\"volume\":")
    number(out, market.spec.isInverse ? Decimal.scaled(amountE8, 100_000_000, over: market.indexE8) : amountE8)
    out.raw(",\"volume_usd\":")
    number(out, worthE8)
    out.raw(",\"volume_notional\":")
    number(out, worthE8)
    out.byte(UInt8(ascii: "}"))
    if isTimed {
      out.raw(",\"change_id\":")
      out.integer(changeIDs[market.index])
    }
    out.raw(",\"settlement_price\":")
    number(out, market.underlying.previousSettlementE8)
    out.raw(",\"open_interest\":")
    number(out, openInterest(market) * grid.lotE8)
    out.raw(",\"min_price\":")
    number(out, bandLimit(market, .sell).rawValue * grid.tickE8)
    out.raw(",\"max_price\":")
    number(out, bandLimit(market, .buy).rawValue * grid.tickE8)
    out.raw(",\"mark_price\":")
    number(out, market.markE8)
    out.raw(",\"last_price\":")
    if let last = market.lastPrice { number(out, last.rawValue * grid.tickE8) } else { out.raw("null") }
    if market.spec.kind == .perpetual {
      out.raw(",\"interest_value\":")
      number(out, market.totalFundingE8)
    }
    out.raw(",\"instrument_name\":\"")
    out.append(market.name)
    out.raw("\",\"index_price\":")
    number(out, market.indexE8)
    if market.spec.kind == .perpetual {
      out.raw(",\"funding_8h\":")
      number(out, market.averageFundingRateE12, places: 12)
      out.raw(",\"current_funding\":")
      number(out, market.fundingRateE12, places: 12)
    }
    if market.spec.kind == .option {
      out.raw(",\"underlying_price\":")
      number(out, market.forwardE8)
      out.raw(",\"underlying_index\":")
      out.quoted(listing.spec.underlying)
      out.raw(",\"interest_rate\":0.0,\"mark_iv\":")
      number(out, market.volatilityE12, places: 10)
      out.raw(",\"bid_iv\":0.0,\"ask_iv\":0.0,\"greeks\":{\"delta\":")
      number(out, market.deltaE12, places: 12)
      out.raw(",\"gamma\":0.0,\"vega\":0.0,\"theta\":0.0,\"rho\":0.0}")
    }
    out.raw(",\"estimated_delivery_price\":")
    number(out, market.indexE8)
    writeBest(out, market)
    if isTimed { writeLevels(out, market, depth: depth) }
    out.byte(UInt8(ascii: "}"))
  }

  func writeInstrument(_ out: TextBuffer, _ market: Market) {
    let listing = listing(market)
    let spec = market.spec
    let isOption = spec.kind == .option
    func text(_ name: StaticString, _ value: String) {
      out.raw(name)
      out.quoted(value)
    }
    text("{\"price_index\":", spec.underlying)
    text(",\"kind\":", word(kind: market))
    text(",\"instrument_name\":", spec.name)
    out.raw(",\"maker_commission\":")
    number(out, listing.makerFeeE6, places: 6)
    out.raw(",\"taker_commission\":")
    number(out, listing.takerFeeE6, places: 6)
    let isReversed = spec.isInverse || isOption && listing.settlementCurrency == listing.baseCurrency
    text(",\"instrument_type\":", isReversed ? "reversed" : "linear")
    out.raw(",\"expiration_timestamp\":")
    out.integer(spec.kind == .perpetual ? 32_503_708_800_000 : spec.expirySeconds * 1000)
    out.raw(",\"creation_timestamp\":")
    out.integer(market.listTime.map { wall($0) / 1_000_000 } ?? 1_534_167_754_000)
    out.raw(",\"is_active\":")
    out.bool(market.isListed)
    out.raw(",\"state\":\"")
    out.raw(state(market))
    out.raw("\",\"contract_size\":")
    number(out, listing.contractSizeE8)
    out.raw(",\"tick_size\":")
    number(out, spec.grid.tickE8)
    out.raw(",\"tick_size_steps\":[")
    for (place, step) in listing.tickSteps.enumerated() {
      out.raw(place == 0 ? "{\"tick_size\":" : ",{\"tick_size\":")
      number(out, step.tickE8)
      out.raw(",\"above_price\":")
      number(out, step.aboveE8)
      out.byte(UInt8(ascii: "}"))
    }
    out.raw("],\"min_trade_amount\":")
    number(out, spec.grid.lotE8 * spec.grid.minimumLots.rawValue)
    out.raw(",\"lot_size\":1")
    if !isOption {
      out.raw(",\"max_leverage\":")
      out.integer(listing.maximumLeverage)
      out.raw(",\"max_non_default_leverage\":")
      number(out, listing.maximumLeverage, places: 0)
      out.raw(",\"max_liquidation_commission\":0.01")
    }
    out.raw(
      ",\"block_trade_commission\":0.00025,\"block_trade_min_trade_amount\":200000,\"block_trade_tick_size\":0.01")
    text(",\"settlement_period\":", listing.settlementPeriod)
    text(",\"settlement_currency\":", listing.settlementCurrency)
    text(",\"base_currency\":", listing.baseCurrency)
    text(",\"quote_currency\":", listing.quoteCurrency)
    text(",\"counter_currency\":", listing.counterCurrency)
    if isOption {
      text(",\"option_type\":", spec.optionType == .put ? "put" : "call")
      out.raw(",\"strike\":")
      number(out, spec.strikeE8)
    } else {
      text(",\"future_type\":", spec.isInverse ? "reversed" : "linear")
    }
    out.raw(",\"instrument_id\":")
    out.integer(Int64(210_838 + market.index))
    out.raw(",\"index_id\":")
    out.integer(Int64((underlyings.firstIndex { $0 === market.underlying } ?? 0) + 1))
    out.raw(",\"product_group\":\"TIER_1\",\"underlying_type\":\"crypto\"}")
  }
}
