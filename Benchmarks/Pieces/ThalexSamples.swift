/// Frames in the shape of the venue's samples, with as many digits as live ones have.
enum ThalexSamples {
  /// A ticker of about 690 bytes.
  static func ticker(mark: String, last: Int) -> String {
    "{\"channel_name\":\"ticker.BTC-PERPETUAL.raw\",\"notification\":{\"mark_price\":\(mark),"
      + "\"mark_timestamp\":1776715497.7188172,\"best_bid_price\":99990,\"best_bid_amount\":1.5,"
      + "\"best_ask_price\":100010,\"best_ask_amount\":1.5,\"last_price\":\(last),\"delta\":1.0,"
      + "\"volume_24h\":152.31300000000002,\"value_24h\":11603845.120000001,\"low_price_24h\":94610.0,"
      + "\"high_price_24h\":106915.0,\"change_24h\":512.4120000000013,\"index\":100003.25916667,"
      + "\"collar_low\":93999.7577,\"collar_high\":108577.0623,\"open_interest\":1234.5670000000002,"
      + "\"funding_rate\":0.000012713,\"funding_mark\":-1.2713000000000001,\"realised_funding_24h\":-3.2112480000000003,"
      + "\"average_funding_rate_24h\":0.0000127130000000012,\"forward\":100003.25916667,\"iv\":0.512300000001}}"
  }

  static func book(bids: String, asks: String, isSnapshot: Bool = false) -> String {
    "{\"channel_name\":\"book.BTC-PERPETUAL.none.10.raw\",\"notification\":{\"trades\":[],\"bid_changes\":[\(bids)],"
      + "\"ask_changes\":[\(asks)],\"total_bid_amount\":15,\"total_ask_amount\":15,\"time\":1776715497.209106}"
      + (isSnapshot ? ",\"snapshot\":true}" : "}")
  }

  /// A book update of `levels` × 2 levels.
  static func book(levels: Int) -> String {
    let bids = (0..<levels).map { "[\(76_280 - $0),\($0 + 1).25,\($0 + 1).25]" }
    let asks = (0..<levels).map { "[\(76_300 + $0),\($0 + 1).5,\($0 + 1).5]" }
    return book(bids: bids.joined(separator: ","), asks: asks.joined(separator: ","))
  }

  /// A notification of `count` inserted orders, about 400 bytes each.
  static func orders(_ count: Int) -> String {
    let items = (0..<count).map { number in
      "{\"order_id\":\"001F3C26000000\(String(16 + number, radix: 16, uppercase: true))\",\"order_type\":\"limit\","
        + "\"time_in_force\":\"good_till_cancelled\",\"instrument_name\":\"BTC-PERPETUAL\","
        + "\"direction\":\"\(number % 2 == 0 ? "buy" : "sell")\",\"price\":\(76_280 + number).0,"
        + "\"amount\":\(number + 1).1,\"filled_amount\":0.0,\"remaining_amount\":\(number + 1).1,\"label\":\"mm\","
        + "\"client_order_id\":\(1001 + number),\"status\":\"open\",\"fills\":[],\"change_reason\":\"insert\","
        + "\"insert_reason\":\"client_request\",\"create_time\":1776715498.\(201_377 + number),\"persistent\":false}"
    }
    return "{\"channel_name\":\"session.orders\",\"notification\":[\(items.joined(separator: ","))]}"
  }

  /// One order notification.
  static let insert = orders(1)
}
