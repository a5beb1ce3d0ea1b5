import Apus
import CSupport

/// Members of objects in which most values are strings: each writes its comma, unless it is the first.
extension TextBuffer {
  func key(_ name: StaticString) {
    if let last = bytes.last, last != UInt8(ascii: "{") { byte(UInt8(ascii: ",")) }
    byte(UInt8(ascii: "\""))
    raw(name)
    raw("\":")
  }
  func member(_ name: StaticString, _ value: StaticString) {
    key(name)
    byte(UInt8(ascii: "\""))
    raw(value)
    byte(UInt8(ascii: "\""))
  }
  func member(_ name: StaticString, text: String) {
    key(name)
    quoted(text)
  }
  /// 10⁻⁸ as a string without trailing zeros.
  func member(_ name: StaticString, e8: Int64) {
    key(name)
    byte(UInt8(ascii: "\""))
    self.e8(e8)
    byte(UInt8(ascii: "\""))
  }
  func member(_ name: StaticString, fixed value: Int64, places: Int) {
    key(name)
    byte(UInt8(ascii: "\""))
    fixed(value, places: places)
    byte(UInt8(ascii: "\""))
  }
  func member(_ name: StaticString, decimal value: Int64, places: Int) {
    key(name)
    byte(UInt8(ascii: "\""))
    decimal(value, places: places)
    byte(UInt8(ascii: "\""))
  }
  /// A whole number as a string, as it is or only for show.
  func member(_ name: StaticString, whole value: Int64) {
    key(name)
    byte(UInt8(ascii: "\""))
    integer(value)
    byte(UInt8(ascii: "\""))
  }
  func member(_ name: StaticString, number: Int64) {
    key(name)
    integer(number)
  }
  func member(_ name: StaticString, flag: Bool) {
    key(name)
    bool(flag)
  }
  func member(_ name: StaticString, verbatim: StaticString) {
    key(name)
    raw(verbatim)
  }
}

/// Orders, executions and positions as Bybit writes them (8); what the streams and the queries have apart is marked.
extension SimulatedBybit {
  func milliseconds(_ time: Nanoseconds) -> Int64 { wall(time) / 1_000_000 }

  static func word(_ side: Side) -> StaticString { side == .buy ? "Buy" : "Sell" }

  // MARK: orders

  func writeOrder(_ out: TextBuffer, _ order: BybitOrder, isStream: Bool) {
    let market = order.market
    let grid = market.spec.grid
    let left = order.state.isLive ? order.remaining.rawValue : 0
    let filled = order.filled.rawValue
    let (cancelType, reason) = cause(order)
    out.byte(UInt8(ascii: "{"))
    if isStream { out.member("category", "linear") }
    out.member("symbol", text: market.spec.name)
    out.member("orderId", text: order.id)
    out.member("orderLinkId", text: order.link)
    out.member("blockTradeId", "")
    out.member("side", Self.word(order.side))
    out.member("positionIdx", number: 0)
    out.member("orderStatus", status(order))
    out.member("cancelType", cancelType)
    out.member("rejectReason", reason)
    out.member("timeInForce", text: order.lifetime.rawValue)
    out.member("isLeverage", "")
    out.member("price", e8: order.price.rawValue * grid.tickE8)
    out.member("qty", e8: order.amount.rawValue * grid.lotE8)
    if filled > 0 {
      out.member("avgPrice", e8: Decimal.scaled(order.valueE8, 100_000_000, over: filled * grid.lotE8))
    } else {
      out.member("avgPrice", isStream ? "0" : "")
    }
    out.member("leavesQty", e8: left * grid.lotE8)
    out.member("leavesValue", e8: market.valueE8(lots: left, priceE8: order.price.rawValue * grid.tickE8))
    out.member("cumExecQty", e8: filled * grid.lotE8)
    out.member("cumExecValue", e8: order.valueE8)
    out.member("cumExecFee", e8: order.feeE8)
    out.member("orderType", order.isMarket ? "Market" : "Limit")
    for name in [
      "stopOrderType", "orderIv", "triggerPrice", "takeProfit", "stopLoss", "triggerBy", "tpTriggerBy", "slTriggerBy",
    ] as [StaticString] { out.member(name, "") }
    out.member("triggerDirection", number: 0)
    out.member("placeType", "")
    if order.lastPriceE8 > 0 {
      out.member("lastPriceOnCreated", e8: order.lastPriceE8)
    } else {
      out.member("lastPriceOnCreated", "")
    }
    out.member("closeOnTrigger", flag: false)
    out.member("reduceOnly", flag: order.isReduceOnly)
    out.member("smpGroup", "0")
    out.member("smpType", text: order.selfMatch.rawValue)
    out.member("smpOrderId", text: order.counterID)
    out.member("slLimitPrice", "0")
    out.member("tpLimitPrice", "0")
    out.member("tpslMode", isStream ? "UNKNOWN" : "")
    out.member("createType", "CreateByUser")
    out.member("marketUnit", "")
    out.member("createdTime", whole: milliseconds(order.createTime))
    out.member("updatedTime", whole: milliseconds(order.updateTime))
    if isStream {
      out.member("feeCurrency", "")
      out.member("closedPnl", e8: order.profitE8)
    }
    out.member("parentOrderLinkId", "")
    if isStream {
      out.member("slippageTolerance", "0")
      out.member("slippageToleranceType", "UNKNOWN")
    }
    out.key("cumFeeDetail")
    out.byte(UInt8(ascii: "{"))
    if filled > 0 { out.member("USDT", e8: order.feeE8) }
    out.byte(UInt8(ascii: "}"))
    if isStream {
      out.member("rpiTakerAccess", flag: false)
      out.member("rpiMatchedQty", "0")
    }
    out.byte(UInt8(ascii: "}"))
  }

  private func status(_ order: BybitOrder) -> StaticString {
    switch order.state {
    case .open: "New"
    case .partiallyFilled: "PartiallyFilled"
    case .filled: "Filled"
    case .cancelled, .cancelledPartiallyFilled: "Cancelled"
    }
  }

  /// `cancelType` and `rejectReason`.
  private func cause(_ order: BybitOrder) -> (StaticString, StaticString) {
    var cause: (StaticString, StaticString) = ("UNKNOWN", "EC_NoError")
    if !order.state.isLive, order.state != .filled {
      switch order.deletion {
      case .clientCancel, .clientBulkCancel: cause = ("CancelByUser", "EC_PerCancelRequest")
      case .sessionEnd: cause = ("CancelByDCP", "EC_PerCancelRequest")
      case .selfTradePrevention: cause = ("CancelBySmp", "EC_BySelfMatch")
      case .immediateCancel: cause = ("UNKNOWN", "EC_NoImmediateQtyToFill")
      case .adminCancel where order.isReduceOnly: cause = ("CancelByReduceOnly", "EC_NoError")
      case .instrumentDeactivated: cause = ("CancelBySettle", "EC_PerCancelRequest")
      default: cause = ("CancelByAdmin", "EC_Others")
      }
    }
    return (order.cancelType ?? cause.0, order.reason ?? cause.1)
  }

  // MARK: executions

  /// The names that both of the streams and the list have.
  private func writeHead(
    _ out: TextBuffer, _ market: Market, id: String, priceE8: Int64, lots: Int64, side: Side, time: Nanoseconds,
    match: UInt64
  ) {
    out.member("symbol", text: market.spec.name)
    out.member("execId", text: id)
    out.member("execPrice", e8: priceE8)
    out.member("execQty", e8: lots * market.spec.grid.lotE8)
    out.member("side", Self.word(side))
    out.member("execTime", whole: milliseconds(time))
    out.member("seq", number: sequence(match))
  }

  private func writeTail(_ out: TextBuffer, _ market: Market, value: MoneyE8, fee: MoneyE8, isStream: Bool) {
    out.member("execValue", e8: value)
    out.member("execFee", e8: fee)
    for name in ["tradeIv", "markIv", "blockTradeId", "indexPrice", "underlyingPrice", "marketUnit"]
      as [StaticString]
    { out.member(name, "") }
    out.member("feeCurrency", "USDT")
    out.member("stopOrderType", "UNKNOWN")
    if isStream {
      out.member("isLeverage", "0")
      out.member("extraFees", verbatim: "[]")
    } else {
      out.member("extraFees", "")
      out.member("execFeeV2", e8: fee)
    }
  }

  /// An execution; `index` is its place among the account's fills.
  func writeExecution(_ out: TextBuffer, _ account: BybitAccount, _ index: Int, isStream: Bool) {
    let fill = account.fills[index]
    let trade = account.trades[index]
    let market = markets[fill.market]
    let grid = market.spec.grid
    out.byte(UInt8(ascii: "{"))
    if isStream { out.member("category", "linear") }
    writeHead(
      out, market, id: uuid(.execution, fill.number), priceE8: fill.priceE8, lots: fill.lots.rawValue, side: fill.side,
      time: fill.time, match: trade.match)
    out.member("execType", "Trade")
    out.member("orderId", text: trade.order.id)
    out.member("orderLinkId", text: trade.order.link)
    out.member("orderPrice", e8: trade.orderPrice.rawValue * grid.tickE8)
    out.member("orderQty", e8: trade.orderLots.rawValue * grid.lotE8)
    out.member("leavesQty", e8: trade.leftLots.rawValue * grid.lotE8)
    out.member("orderType", trade.order.isMarket ? "Market" : "Limit")
    out.member("createType", "CreateByUser")
    out.member("isMaker", flag: fill.isMaker)
    out.member("closedSize", e8: trade.closedLots * grid.lotE8)
    if isStream { out.member("execPnl", e8: trade.profitE8) }
    out.member("feeRate", decimal: fill.feeRateE6, places: 6)
    out.member("markPrice", fixed: trade.markE8, places: listing(market).priceScale)
    writeTail(
      out, market, value: market.valueE8(lots: fill.lots.rawValue, priceE8: fill.priceE8), fee: fill.feeE8,
      isStream: isStream)
    out.byte(UInt8(ascii: "}"))
  }

  func writeFastExecution(_ out: TextBuffer, _ account: BybitAccount, _ index: Int) {
    let fill = account.fills[index]
    let trade = account.trades[index]
    out.byte(UInt8(ascii: "{"))
    out.member("category", "linear")
    writeHead(
      out, markets[fill.market], id: uuid(.execution, fill.number), priceE8: fill.priceE8, lots: fill.lots.rawValue,
      side: fill.side, time: fill.time, match: trade.match)
    out.member("orderId", text: trade.order.id)
    out.member("isMaker", flag: fill.isMaker)
    // Known by the order's id alone if it rested.
    out.member("orderLinkId", text: fill.isMaker ? "" : trade.order.link)
    out.byte(UInt8(ascii: "}"))
  }

  /// A payment of funding, which looks like an execution of the whole position (8.2).
  func writeFunding(_ out: TextBuffer, _ funding: BybitFunding, isStream: Bool) {
    let market = markets[funding.market]
    out.byte(UInt8(ascii: "{"))
    if isStream { out.member("category", "linear") }
    writeHead(
      out, market, id: uuid(.execution, funding.number), priceE8: funding.priceE8, lots: funding.lots,
      side: funding.side, time: funding.time, match: funding.match)
    out.member("execType", "Funding")
    out.member("orderId", text: uuid(.order, UInt64.max - funding.number))
    out.member("orderLinkId", "")
    for name in ["orderPrice", "orderQty", "leavesQty", "closedSize"] as [StaticString] { out.member(name, "0") }
    out.member("orderType", "UNKNOWN")
    out.member("createType", "")
    out.member("isMaker", flag: false)
    if isStream { out.member("execPnl", "0") }
    out.member("feeRate", decimal: funding.rateE12, places: 12)
    out.member("markPrice", fixed: funding.priceE8, places: listing(market).priceScale)
    writeTail(
      out, market, value: market.valueE8(lots: funding.lots, priceE8: funding.priceE8), fee: funding.amountE8,
      isStream: isStream)
    out.byte(UInt8(ascii: "}"))
  }

  // MARK: positions

  func marginE8(_ account: BybitAccount, _ market: Market, lots: Int64) -> MoneyE8 {
    let value = abs(market.valueE8(lots: lots, priceE8: market.markE8))
    return Decimal.scaled(value, 100, over: account.sides[market.index].leverageE2)
      + Decimal.scaled(value, max(0, listing(market).takerFeeE6), over: 1_000_000)
  }

  func maintenanceE8(_ market: Market, lots: Int64) -> MoneyE8 {
    abs(market.valueE8(lots: lots, priceE8: market.markE8)) / 200
  }

  func writePosition(_ out: TextBuffer, _ account: BybitAccount, _ market: Market, isStream: Bool) {
    let position = account.positions[market.index]
    let side = account.sides[market.index]
    if !isStream, side.match == nil { return writeUntraded(out, account, market) }
    let grid = market.spec.grid
    let isFlat = position.lots == 0
    let total = position.realised - position.feesE8 - side.fundingE8
    let entry = position.priceE8(position.cost, grid)
    let (initial, maintenance) = (
      marginE8(account, market, lots: position.lots), maintenanceE8(market, lots: position.lots)
    )
    out.byte(UInt8(ascii: "{"))
    out.member("positionIdx", number: 0)
    out.member("tradeMode", number: 0)
    out.member("riskId", number: 1)
    out.member("riskLimitValue", "2000000")
    out.member("symbol", text: market.spec.name)
    out.member("side", isFlat ? "" : position.lots > 0 ? "Buy" : "Sell")
    out.member("size", e8: abs(position.lots) * grid.lotE8)
    if isStream || !isFlat {
      out.member(isStream ? "entryPrice" : "avgPrice", e8: entry)
    } else {
      out.member("avgPrice", "")
    }
    out.member("leverage", decimal: side.leverageE2, places: 2)
    out.member("breakEvenPrice", e8: isFlat ? 0 : breakEven(position, total - side.beforeE8, market))
    out.member("positionValue", e8: abs(position.cost))
    out.member("positionBalance", "0")
    out.member("markPrice", fixed: market.markE8, places: listing(market).priceScale)
    for name in ["positionIM", "positionIMByMp"] as [StaticString] { out.member(name, e8: initial) }
    for name in ["positionMM", "positionMMByMp"] as [StaticString] { out.member(name, e8: maintenance) }
    for name in ["takeProfit", "stopLoss", "trailingStop"] as [StaticString] { out.member(name, "0") }
    out.member("unrealisedPnl", e8: market.valueE8(lots: position.lots, priceE8: market.markE8) - position.cost)
    out.member("curRealisedPnl", e8: total - side.beforeE8)
    out.member("cumRealisedPnl", e8: total)
    out.member("sessionAvgPrice", isStream ? "0" : "")
    out.member("createdTime", whole: milliseconds(side.created ?? 0))
    out.member("updatedTime", whole: milliseconds(side.updated))
    out.member("openTime", number: isFlat ? 0 : milliseconds(side.opened))
    out.member("tpslMode", "Full")
    out.member("liqPrice", "")
    out.member("bustPrice", "")
    if isStream { out.member("category", "linear") }
    out.member("positionStatus", "Normal")
    out.member("adlRankIndicator", number: isFlat ? 0 : 2)
    out.member("autoAddMargin", number: 0)
    out.member("leverageSysUpdatedTime", "")
    out.member("mmrSysUpdatedTime", "")
    out.member("seq", number: side.match.map(sequence) ?? -1)
    out.member("isReduceOnly", flag: false)
    if !isStream { out.member("netDeltaRatio", "") }
    out.byte(UInt8(ascii: "}"))
  }

  /// The row of an instrument that the account has never traded, as queries have it: it says next to nothing.
  private func writeUntraded(_ out: TextBuffer, _ account: BybitAccount, _ market: Market) {
    out.byte(UInt8(ascii: "{"))
    out.member("symbol", text: market.spec.name)
    out.member("leverage", decimal: account.sides[market.index].leverageE2, places: 2)
    out.member("size", "0")
    out.member("riskLimitValue", "2000000")
    for name in [
      "side", "avgPrice", "liqPrice", "takeProfit", "positionValue", "tpslMode", "trailingStop", "unrealisedPnl",
      "markPrice", "cumRealisedPnl", "positionMM", "createdTime", "positionIM", "updatedTime", "bustPrice",
      "positionBalance", "leverageSysUpdatedTime", "curRealisedPnl", "positionStatus", "mmrSysUpdatedTime", "stopLoss",
      "sessionAvgPrice",
    ] as [StaticString] { out.member(name, "") }
    for name in ["positionIdx", "tradeMode", "autoAddMargin", "adlRankIndicator"] as [StaticString] {
      out.member(name, number: 0)
    }
    out.member("riskId", number: 1)
    out.member("seq", number: -1)
    out.member("isReduceOnly", flag: false)
    out.byte(UInt8(ascii: "}"))
  }

  /// Where closing would bring neither profit nor loss (17).
  private func breakEven(_ position: Position, _ realised: MoneyE8, _ market: Market) -> Int64 {
    let lots = position.lots
    let feeE6 = max(550, listing(market).takerFeeE6)
    let amountE8 =
      lots * market.spec.grid.lotE8 - Decimal.scaled(abs(lots) * market.spec.grid.lotE8, feeE6, over: 1_000_000)
    return amountE8 == 0 ? 0 : Decimal.scaled(position.cost - realised, 100_000_000, over: amountE8)
  }
}
