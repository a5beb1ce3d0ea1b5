/// What the mutator puts into frames.
enum Vocabulary {
  static let numbers = [
    "0", "-0", "0.0", "1", "-1", "0.5", "10", "10.0", "20.5", "86472.0", "86472.5", "86472.50", "86472.55", "1e0",
    "8647E1", "864725e-1", "1e-3", "0.0000000001", "9223372036854775807", "9223372036854775808", "92233720368.54775807",
    "92233720368.54775808", "18446744073709551615", "1e19", "1e400", "12345678901234567890123", "1790867074233",
    "0.00000007", "123.45678901", "246.91357802", "123456789012345", "1234567890123456", "0.01", "0.1", "01", "1.",
    "210049235256678389", "210049235256678391", "210049235256678392", "1000.0", "400.0", "600.0",
  ]
  static let words = [
    "buy", "sell", "open", "filled", "cancelled", "rejected", "untriggered", "user_request", "cancel_on_disconnect",
    "mmp_trigger", "settlement", "autoliquidation", "order_overlap", "new", "change", "delete", "snapshot",
    "BTC-PERPETUAL", "BTC_USDC-PERPETUAL", "BTC-25DEC26-100000-C", "ODD-GRID", "NEW-PERPETUAL", "ETH-PERPETUAL",
    "mm1-000000002d", "mm1-0000000000", "mm1", "other", "M", "T", "market_price", "limit", "future", "option",
    "future_combo", "reversed", "linear", "perpetual", "halted", "subscription", "heartbeat", "test_request",
    "book.BTC-PERPETUAL.raw", "book.ODD-GRID.raw", "ticker.BTC-PERPETUAL.100ms", "user.changes.future.BTC.raw", "2.0",
    "123456789012345678901234567890123456789", "1234567890123456789012345678901234567890", "\\u0062uy", "n\\u0065w",
    "a,b", "}",
  ]
  static let keys = [
    "jsonrpc", "id", "method", "params", "result", "error", "usIn", "usOut", "usDiff", "testnet", "channel", "data",
    "type", "timestamp", "prev_change_id", "change_id", "instrument_name", "bids", "asks", "trades", "orders",
    "positions", "order", "label", "price", "direction", "amount", "order_id", "filled_amount", "order_state",
    "cancel_reason", "trade_id", "fee", "liquidity", "replaced", "size", "size_currency", "code", "has_more", "state",
    "extra",
  ]

  static func number(_ text: String) -> SlowJSON { .number(Array(text.utf8)) }
  static func level(_ price: String, _ size: String) -> SlowJSON {
    .array([.string(Array("new".utf8)), number(price), number(size)])
  }
}
