/// Frames in the shape of Bybit's samples.
enum BybitSamples {
  static let listing =
    #"{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Trading","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"minOrderQty":"0.001","qtyStep":"0.001"},"settleCoin":"USDT"}],"nextPageCursor":""}}"#

  private static func book(_ type: String, levels: Int, update: Int) -> String {
    let bids = (0..<levels / 2).map {
      #"["\#(85_930 - $0).\#(($0 * 3 + update) % 10)","\#($0 % 7).\#(100 + ($0 * 37 + update) % 900)"]"#
    }
    let asks = (0..<levels / 2).map {
      #"["\#(85_931 + $0).\#(($0 * 7 + update) % 10)","\#($0 % 5).\#(100 + ($0 * 53 + update) % 900)"]"#
    }
    return
      #"{"topic":"orderbook.50.BTCUSDT","type":"\#(type)","ts":1791270738620,"data":{"s":"BTCUSDT","b":[\#(bids.joined(separator: ","))],"a":[\#(asks.joined(separator: ","))],"u":\#(update),"seq":\#(9_688_537_131 + update)},"cts":1791270738617}"#
  }

  private static let first = 1_250_331
  static let snapshot = book("snapshot", levels: 50, update: first)

  /// Deltas that follow the snapshot and one another, and the snapshot again.
  private static func cycle(levels: Int) -> [String] {
    (1..<32).map { book("delta", levels: levels, update: first + $0) } + [
      book("snapshot", levels: levels, update: first)
    ]
  }
  /// Of 25 × 2 levels, and of 2 × 2.
  static let books = cycle(levels: 50)
  static let smallBooks = cycle(levels: 4)

  private static let tag = "apus-bench-mh2k0-0000000ugh"

  static let order =
    #"{"id":"5923240c6880ab-c59f-420b-9adb-3639adc9dd01","topic":"order.linear","creationTime":1791270738651,"data":[{"category":"linear","symbol":"BTCUSDT","orderId":"39bbc94a-2310-4324-9996-707881007fd5","orderLinkId":"\#(tag)","blockTradeId":"","side":"Buy","positionIdx":0,"orderStatus":"New","cancelType":"UNKNOWN","rejectReason":"EC_NoError","timeInForce":"PostOnly","isLeverage":"","price":"85930.5","qty":"0.01","avgPrice":"0","leavesQty":"0.01","leavesValue":"859.305","cumExecQty":"0","cumExecValue":"0","cumExecFee":"0","orderType":"Limit","stopOrderType":"","orderIv":"","triggerPrice":"","takeProfit":"","stopLoss":"","triggerBy":"","tpTriggerBy":"","slTriggerBy":"","triggerDirection":0,"placeType":"","lastPriceOnCreated":"85931.2","closeOnTrigger":false,"reduceOnly":false,"smpGroup":"0","smpType":"CancelMaker","smpOrderId":"","slLimitPrice":"0","tpLimitPrice":"0","tpslMode":"UNKNOWN","createType":"CreateByUser","marketUnit":"","createdTime":"1791270738610","updatedTime":"1791270738615","feeCurrency":"","closedPnl":"0","parentOrderLinkId":"","slippageTolerance":"0","slippageToleranceType":"UNKNOWN","cumFeeDetail":{},"rpiTakerAccess":false,"rpiMatchedQty":"0"}]}"#

  static let execution =
    #"{"id":"5923240c6880ab-c59f-420b-9adb-3639adc9dd0b","topic":"execution.linear","creationTime":1791270740033,"data":[{"category":"linear","symbol":"BTCUSDT","closedSize":"0","execFee":"0.0687444","execId":"021f2667-541d-5c95-95ce-d69cef81197f","execPrice":"85930.5","execQty":"0.004","execType":"Trade","execValue":"343.722","feeRate":"0.0002","tradeIv":"","markIv":"","blockTradeId":"","markPrice":"85932.11","indexPrice":"","underlyingPrice":"","leavesQty":"0.006","orderId":"39bbc94a-2310-4324-9996-707881007fd5","orderLinkId":"\#(tag)","orderPrice":"85930.5","orderQty":"0.01","orderType":"Limit","stopOrderType":"UNKNOWN","side":"Buy","execTime":"1791270740000","isLeverage":"0","isMaker":true,"seq":9688537400,"marketUnit":"","execPnl":"0","createType":"CreateByUser","extraFees":[],"feeCurrency":"USDT"}]}"#

  static let tickerSnapshot =
    #"{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","lastPrice":"85930.50","markPrice":"85932.11","indexPrice":"85927.54","fundingRate":"0.0001","bid1Price":"85930.60","bid1Size":"0.009","ask1Price":"85931.20","ask1Size":"0.001"},"cs":9688537112,"ts":1791270738612}"#
  static let ticker =
    #"{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","turnover24h":"7449682763.9800","volume24h":"86044.1420","markPrice":"85932.19","bid1Price":"85930.50","bid1Size":"1.104","ask1Price":"85931.30","ask1Size":"0.642"},"cs":9688537131,"ts":1791270738712}"#

  static let answer =
    #"{"reqId":"10000001-17","retCode":0,"retMsg":"OK","op":"order.create","data":{"orderId":"39bbc94a-2310-4324-9996-707881007fd5","orderLinkId":"\#(tag)"},"retExtInfo":{},"header":{"X-Bapi-Limit":"10","X-Bapi-Limit-Status":"9","X-Bapi-Limit-Reset-Timestamp":"1791270738612","Traceid":"38b7977b430f9bd228f4b19724794dfd","Timenow":"1791270738613"},"connId":"cnt5leec0hvan15eukcg-2v"}"#
}
