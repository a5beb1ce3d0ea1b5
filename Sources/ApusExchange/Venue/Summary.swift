import Apus
import CSupport

/// What an account is worth and what it needs (reference 7.5, 6.8).
///
/// The required margin is for show: 2 % of the value of the worst case of each instrument, at its mark. Nothing is refused
/// for want of margin.
struct AccountTotals {
  /// Since the last daily settlement: profit after fees, profit before them, fees.
  var realised: MoneyE8 = 0
  var pnl: MoneyE8 = 0
  var fees: MoneyE8 = 0
  /// What came to the first cash.
  var cash: MoneyE8 = 0
  var unrealised: MoneyE8 = 0
  var required: MoneyE8 = 0
}

extension SimulatedVenue {
  func requiredMarginE8(_ market: Market, _ position: Position, extraBuys: Int64 = 0, extraSells: Int64 = 0) -> MoneyE8
  {
    let worst = max(
      abs(position.lots + position.openBuys + extraBuys), abs(position.lots - position.openSells - extraSells))
    return valueE8(lots: worst, priceE8: abs(market.markE8), grid: market.spec.grid) / 50
  }

  private func totals(_ account: Account) -> AccountTotals {
    var totals = AccountTotals()
    for (index, position) in account.positions.enumerated() where position.isOfInterest {
      let market = markets[index]
      totals.pnl += position.sessionRealised
      totals.fees += position.sessionFeesE8
      totals.cash += position.realisedWithSettlements + position.settledFundingE8 - position.feesE8
      totals.unrealised += position.unrealisedE8(market) + position.fundingE8(market)
      totals.required += requiredMarginE8(market, position)
    }
    totals.realised = totals.pnl - totals.fees
    return totals
  }

  private func writeTotals(_ out: TextBuffer, _ totals: AccountTotals, cash: MoneyE8) {
    out.raw(",\"unrealised_pnl\":")
    out.e8Pointed(totals.unrealised)
    out.raw(",\"cash_collateral\":")
    out.e8Pointed(cash)
    out.raw(",\"margin\":")
    out.e8Pointed(cash + totals.unrealised)
    out.raw(",\"required_margin\":")
    out.e8Pointed(totals.required)
    out.raw(",\"remaining_margin\":")
    out.e8Pointed(cash + totals.unrealised - totals.required)
    out.raw(",\"session_realised_pnl\":")
    out.e8Pointed(totals.realised)
  }

  func writeSummary(_ out: TextBuffer, _ account: Account) {
    let totals = totals(account)
    let cash = account.initialCashE8 + totals.cash
    out.raw("{\"cash\":[{\"currency\":\"USDT\",\"balance\":")
    out.e8Pointed(cash)
    out.raw(",\"collateral_factor\":1,\"collateral_index_price\":null,\"transactable\":true}]")
    writeTotals(out, totals, cash: cash)
    out.byte(UInt8(ascii: "}"))
  }

  /// The summary with a line for each instrument that was traded or has open orders. Funding is realised by the daily
  /// settlement alone, which also begins a new session: so far it has none.
  func writeBreakdown(_ account: Account) {
    let totals = totals(account)
    let cash = account.initialCashE8 + totals.cash
    reply.raw("{\"account_number\":")
    reply.quoted(account.name)
    reply.raw(",\"cash\":[{\"currency\":\"USDT\",\"balance\":")
    reply.e8Pointed(cash)
    reply.raw(",\"collateral_factor\":1,\"collateral_index_price\":null,\"applied_collateral\":")
    reply.e8Pointed(cash)
    reply.raw(",\"transactable\":true}]")
    writeTotals(reply, totals, cash: cash)
    reply.raw(",\"realised_position_pnl\":")
    reply.e8Pointed(totals.pnl)
    reply.raw(",\"realised_perpetual_funding\":0,\"session_fees\":")
    reply.e8Pointed(totals.fees)
    reply.raw(",\"portfolio\":[")
    var isFirst = true
    for (index, position) in account.positions.enumerated() where position.isOfInterest {
      if !isFirst { reply.byte(UInt8(ascii: ",")) }
      isFirst = false
      position.writeBreakdown(reply, market: markets[index])
    }
    reply.raw("]}")
  }

  /// By the same rule as the summary, without and with the order. The scenario parts are not modelled and left out.
  func marginForOrder(_ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard case .value(let amountE8) = arguments.decimal("amount", places: 8),
      case .value = arguments.decimal("price", places: 8)
    else { return .invalidRequest }
    // Margins of ad-hoc combinations are not modelled.
    if arguments.node("legs") != nil { return .invalidState }
    guard case .value(let name) = arguments.string("instrument_name") else { return .invalidRequest }
    guard let market = marketsByName[name] else { return .unknownInstrument }
    let grid = market.spec.grid
    guard amountE8 > 0, amountE8 % grid.lotE8 == 0, amountE8 <= 1_000_000_00000000 else { return .invalidQuantity }
    let lots = amountE8 / grid.lotE8
    let current = totals(account).required
    let position = account.positions[market.index]
    let now = requiredMarginE8(market, position)
    reply.raw("{\"current\":{\"required_margin\":")
    reply.e8Pointed(current)
    reply.raw("},\"with_buy\":{\"required_margin\":")
    reply.e8Pointed(current - now + requiredMarginE8(market, position, extraBuys: lots))
    reply.raw("},\"with_sell\":{\"required_margin\":")
    reply.e8Pointed(current - now + requiredMarginE8(market, position, extraSells: lots))
    reply.raw("}}")
    return nil
  }

  func sendSummary(_ account: Account) {
    let listeners = listeners(account, .summary)
    guard !listeners.isEmpty else { return }
    message.clear()
    message.raw("{\"channel_name\":\"account.summary\",\"notification\":")
    writeSummary(message, account)
    message.byte(UInt8(ascii: "}"))
    for session in listeners { outbox.post(session.id, message) }
  }
}

extension Position {
  /// It was traded, or orders are open.
  var isOfInterest: Bool { hasTraded || openBuys + openSells > 0 }

  /// A line of the account's breakdown.
  func writeBreakdown(_ out: TextBuffer, market: Market) {
    let lotE8 = market.spec.grid.lotE8
    out.raw("{\"instrument_name\":\"")
    out.append(market.name)
    out.raw("\",\"position\":")
    out.e8Pointed(lots * lotE8)
    out.raw(",\"mark_price\":")
    out.e8Pointed(market.markE8)
    out.raw(",\"start_price\":")
    out.e8Pointed(priceE8(startCost, market.spec.grid))
    out.raw(",\"average_price\":")
    out.e8Pointed(priceE8(cost, market.spec.grid))
    out.raw(",\"unrealised_pnl_positional\":")
    out.e8Pointed(unrealisedE8(market))
    if market.spec.kind == .perpetual {
      out.raw(",\"unrealised_pnl_perpetual\":")
      out.e8Pointed(fundingE8(market))
    }
    out.raw(",\"unrealised_pnl\":")
    out.e8Pointed(unrealisedE8(market) + fundingE8(market))
    out.raw(",\"open_buy_amount\":")
    out.e8Pointed(openBuys * lotE8)
    out.raw(",\"open_sell_amount\":")
    out.e8Pointed(openSells * lotE8)
    out.raw(",\"session_realised_pnl\":")
    out.e8Pointed(sessionRealised - sessionFeesE8)
    out.raw(",\"realised_position_pnl\":")
    out.e8Pointed(sessionRealised)
    out.raw(",\"realised_perpetual_funding\":0,\"session_fees\":")
    out.e8Pointed(sessionFeesE8)
    out.byte(UInt8(ascii: "}"))
  }
}
