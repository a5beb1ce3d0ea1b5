/// What the mutator puts into frames.
enum Vocabulary {
  static let numbers = [
    "", "0", "-0", "0.0", "1", "-1", "0.001", "0.1", "85930.5", "85930.50", "85930.55", "1e0", "7628E1", "1e-3",
    "0.0000000001", "9223372036854775807", "9223372036854775808", "92233720368.54775807", "92233720368.54775808",
    "18446744073709551615", "1e19", "1e400", "12345678901234567890123", "1791270738617", "0.00000007", "123.45678901",
    "123456789012345", "1234567890123456", "000", "01", "1.", "-", " 1", "1 ", "0.01", "0.004", "0.006", "2", "10",
  ]
  static let words = [
    "Buy", "Sell", "New", "PartiallyFilled", "Filled", "Cancelled", "Rejected", "Deactivated", "Untriggered",
    "PartiallyFilledCanceled", "UNKNOWN", "CancelByUser", "CancelBySmp", "CancelByDCP", "EC_NoError",
    "EC_PerCancelRequest", "EC_PostOnlyWillTakeLiquidity", "Trade", "Funding", "AdlTrade", "Market", "Limit", "linear",
    "spot", "USDT", "BTC", "BTCUSDT", "ETHUSDT", "ODDUSDT", "NEWUSDT", "DOGEUSDT", "mm1-000000002d", "mm1-0000000000",
    "mm1", "other", "snapshot", "delta", "orderbook.50.BTCUSDT", "orderbook.200.ODDUSDT", "publicTrade.BTCUSDT",
    "tickers.BTCUSDT", "order.linear", "execution.linear", "execution.fast.linear", "position.linear", "order.create",
    "order.cancel-batch", "auth", "pong", "71-1", "LinearPerpetual", "Trading", "DERIVATIVES", "ON",
    "123456789012345678901234567890123456789", "1234567890123456789012345678901234567890", "\\u0042uy",
  ]
  static let keys = [
    "topic", "type", "data", "ts", "b", "a", "u", "symbol", "side", "price", "qty", "leavesQty", "cumExecQty",
    "category",
    "orderStatus", "orderLinkId", "orderId", "execId", "execPrice", "execQty", "execFee", "T", "S", "v", "p", "success",
    "op", "reqId", "retCode", "list", "code", "result", "extra",
  ]

  static func number(_ text: String) -> SlowJSON { .string(Array(text.utf8)) }
  static func level(_ price: String, _ size: String) -> SlowJSON { .array([number(price), number(size)]) }
}
