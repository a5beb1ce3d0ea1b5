/// The members that are read, by kind of object, in the order in which Bybit writes them.
///
/// Source: protocol reference 5 to 9 and 11, and its samples. Members that are never used are listed behind the others,
/// because a known key is stepped over faster; from the 33rd on no more can be done with them.
enum BybitEnvelopeField: Int32, FrameField {
  case topic, type, ts, data, cts, cs, id, creationTime, success, reason, op, requestID, requestID2, code, message
  case connection, arguments
  var key: String {
    switch self {
    case .reason: "ret_msg"
    case .requestID: "req_id"
    case .requestID2: "reqId"
    case .code: "retCode"
    case .message: "retMsg"
    case .connection: "conn_id"
    case .arguments: "args"
    default: "\(self)"
    }
  }
}

enum BybitBookField: Int32, FrameField {
  case symbol, bids, asks, update, sequence
  var key: String {
    switch self {
    case .symbol: "s"
    case .bids: "b"
    case .asks: "a"
    case .update: "u"
    case .sequence: "seq"
    }
  }
}

enum BybitPublicTradeField: Int32, FrameField {
  case time, symbol, side, size, price, direction, id, isBlock, isRetail, sequence
  var key: String {
    switch self {
    case .time: "T"
    case .symbol: "s"
    case .side: "S"
    case .size: "v"
    case .price: "p"
    case .direction: "L"
    case .id: "i"
    case .isBlock: "BT"
    case .isRetail: "RPI"
    case .sequence: "seq"
    }
  }
}

enum BybitTickerField: Int32, FrameField {
  case symbol, lastPrice, markPrice, indexPrice, fundingRate, bid1Price, bid1Size, ask1Price, ask1Size
  case tickDirection, price24hPcnt, prevPrice24h, highPrice24h, lowPrice24h, prevPrice1h, openInterest
  case openInterestValue, turnover24h, volume24h, fundingIntervalHour, fundingCap, singleOpenInterest
  case nextFundingTime, preOpenPrice, preQty, curPreListingPhase, singleOpenInterestValue
  var key: String {
    "\(self)"
  }
}

enum BybitPriceLimitField: Int32, FrameField {
  case symbol, highest, lowest
  var key: String {
    switch self {
    case .highest: "buyLmt"
    case .lowest: "sellLmt"
    default: "\(self)"
    }
  }
}

enum BybitOrderField: Int32, FrameField {
  case category, symbol, orderID, linkID, side, orderStatus, cancelType, rejectReason, price, qty, cumExecQty
  case leavesQty, orderType, createdTime, updatedTime, blockTradeId, positionIdx, timeInForce, isLeverage, avgPrice
  case leavesValue, cumExecValue, cumExecFee, stopOrderType, orderIv, triggerPrice, takeProfit, stopLoss
  case triggerBy, tpTriggerBy, slTriggerBy, triggerDirection, placeType, lastPriceOnCreated, closeOnTrigger
  case reduceOnly, smpGroup, smpType, smpOrderId, slLimitPrice, tpLimitPrice, tpslMode, createType, marketUnit
  case feeCurrency, closedPnl, parentOrderLinkId, slippageTolerance, slippageToleranceType
  case cumFeeDetail, rpiTakerAccess, rpiMatchedQty
  var key: String {
    switch self {
    case .orderID: "orderId"
    case .linkID: "orderLinkId"
    default: "\(self)"
    }
  }
}

enum BybitExecutionField: Int32, FrameField {
  case category, symbol, execID, execPrice, execQty, execType, orderID, linkID, side, execTime, isMaker, execFee
  case feeCurrency, closedSize, execValue, feeRate, tradeIv, markIv, blockTradeId, markPrice, indexPrice
  case underlyingPrice, leavesQty, orderPrice, orderQty, orderType, stopOrderType, isLeverage, seq, marketUnit
  case execPnl, createType, extraFees, execFeeV2
  var key: String {
    switch self {
    case .execID: "execId"
    case .orderID: "orderId"
    case .linkID: "orderLinkId"
    default: "\(self)"
    }
  }
}

enum BybitPositionField: Int32, FrameField {
  case category, symbol, side, size, entryPrice, avgPrice, markPrice, positionIdx, tradeMode, riskId
  case riskLimitValue, leverage, breakEvenPrice, positionValue, positionBalance, positionIM, positionIMByMp
  case positionMM, positionMMByMp, takeProfit, stopLoss, trailingStop, unrealisedPnl, curRealisedPnl
  case cumRealisedPnl, sessionAvgPrice, createdTime, updatedTime, openTime, tpslMode, liqPrice, bustPrice
  case positionStatus, adlRankIndicator, autoAddMargin, leverageSysUpdatedTime, mmrSysUpdatedTime, seq
  case isReduceOnly, netDeltaRatio
  var key: String {
    "\(self)"
  }
}

enum BybitAccountField: Int32, FrameField {
  case totalMarginBalance, totalInitialMargin, totalAvailableBalance, totalWalletBalance, totalPerpUPL
  case totalEquity, accountType, coin
  var key: String {
    "\(self)"
  }
}

enum BybitInstrumentField: Int32, FrameField {
  case symbol, contractType, status, settleCoin, priceFilter, lotSizeFilter, fundingInterval, deliveryTime
  var key: String {
    "\(self)"
  }
}

enum BybitAnswerField: Int32, FrameField {
  case requestID, code, message, op, data, extra, header, connection
  var key: String {
    switch self {
    case .requestID: "reqId"
    case .code: "retCode"
    case .message: "retMsg"
    case .extra: "retExtInfo"
    case .connection: "connId"
    default: "\(self)"
    }
  }
}

/// The `data` of an answer to an order request, or an item of its list.
enum BybitAckField: Int32, FrameField {
  case orderID, linkID, list, category, symbol, createAt, code, msg
  var key: String {
    switch self {
    case .orderID: "orderId"
    case .linkID: "orderLinkId"
    default: "\(self)"
    }
  }
}

enum BybitHeaderField: Int32, FrameField {
  case limit, remaining, reset, trace, now
  var key: String {
    switch self {
    case .limit: "X-Bapi-Limit"
    case .remaining: "X-Bapi-Limit-Status"
    case .reset: "X-Bapi-Limit-Reset-Timestamp"
    case .trace: "Traceid"
    case .now: "Timenow"
    }
  }
}

enum BybitRestField: Int32, FrameField {
  case code, message, result, extra, time
  var key: String {
    switch self {
    case .code: "retCode"
    case .message: "retMsg"
    case .extra: "retExtInfo"
    default: "\(self)"
    }
  }
}

/// What the results of the REST calls have.
enum BybitResultField: Int32, FrameField {
  case cursor, category, list, dcpInfos, timeSecond, timeNano, success, symbol, highest, lowest, timestamp
  var key: String {
    switch self {
    case .cursor: "nextPageCursor"
    case .highest: "buyLmt"
    case .lowest: "sellLmt"
    case .timestamp: "ts"
    default: "\(self)"
    }
  }
}

/// Small objects: filters of an instrument, fee rates, protection on disconnect.
enum BybitDetailField: Int32, FrameField {
  case tickSize, qtyStep, minOrderQty, postOnlyMaxOrderQty, maxOrderQty, minNotionalValue, symbol, takerFeeRate
  case makerFeeRate, product, dcpStatus, timeWindow, minPrice, maxPrice, maxMktOrderQty
  var key: String {
    "\(self)"
  }
}
