/// Frames in the shape of the venue's samples, with as many digits as live ones have.
enum ThalexSamples {
  /// A ticker of about 690 bytes.
  ///
  /// - Parameters:
  ///   - number: Which one of a series. From one to the next the time, the index, the collars, the volumes and the
  ///     funding change as well, now and then in length: trailing zeros are not written.
  ///   - isIndexSteady: The index stays as it was.
  static func ticker(mark: String, last: Int, number: Int = 0, isIndexSteady: Bool = false) -> String {
    func decimals(_ value: Int, _ factor: Int, _ places: Int) -> String {
      var modulus = 1
      for _ in 0..<places { modulus *= 10 }
      var text = String((value &+ number &* factor) % modulus + modulus).dropFirst()
      while text.count > 1, text.last == "0" { text = text.dropLast() }
      return String(text)
    }
    let seconds = 1_776_715_497 + number / 10
    let index = "100003.\(decimals(25_916_667, isIndexSteady ? 0 : 7_919, 8))"
    return "{\"channel_name\":\"ticker.BTC-PERPETUAL.raw\",\"notification\":{\"mark_price\":\(mark),"
      + "\"mark_timestamp\":\(seconds).\(decimals(7_188_172, 1_000_037, 7)),\"best_bid_price\":99990,"
      + "\"best_bid_amount\":1.5,\"best_ask_price\":100010,\"best_ask_amount\":1.5,\"last_price\":\(last),"
      + "\"delta\":1.0,\"volume_24h\":152.31\(decimals(300_000_000_002, 700_000_000_001, 12)),"
      + "\"value_24h\":116038\(45 + number % 50).\(decimals(120_000_001, 13_000_000, 9)),\"low_price_24h\":94610.0,"
      + "\"high_price_24h\":106915.0,\"change_24h\":512.\(decimals(4_120_000_000_013, 500_000_000_000, 13)),"
      + "\"index\":\(index),\"collar_low\":93999.\(decimals(7_577, 7, 4)),\"collar_high\":108577.\(decimals(623, 7, 4)),"
      + "\"open_interest\":1234.5670000000002,\"funding_rate\":0.000012\(decimals(713, 3, 3)),"
      + "\"funding_mark\":-1.\(decimals(2_713_000_000_000_001, 1_000_000_000_007, 16)),"
      + "\"realised_funding_24h\":-3.2112480000000003,\"average_funding_rate_24h\":0.0000127130000000012,"
      + "\"forward\":\(index),\"iv\":0.512300000001}}"
  }

  /// Tickers one after the other: the mark and what goes with it change.
  static func tickers(_ count: Int) -> [String] {
    (0..<count).map { ticker(mark: "10000\($0 % 7).\(41 + $0 % 9)", last: 99_000, number: $0) }
  }

  /// Tickers of two forms in turn, without a best bid and with one.
  static func mixedTickers(_ count: Int) -> [String] {
    tickers(count).enumerated().map { number, text in
      number % 2 == 0
        ? text
        : text.replacing(
          "\"best_bid_price\":99990,\"best_bid_amount\":1.5,", with: "\"best_bid_price\":null,\"best_bid_amount\":null,"
        )
    }
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
