import Apus

/// Frames in the shape of Deribit's samples.
enum DeribitSamples {
  static let listing =
    #"{"jsonrpc":"2.0","id":\#(RequestID.session(.instrument)),"result":{"tick_size":0.5,"tick_size_steps":[],"state":"open","settlement_period":"perpetual","quote_currency":"USD","min_trade_amount":10.0,"kind":"future","instrument_type":"reversed","instrument_name":"BTC-PERPETUAL","expiration_timestamp":32503708800000,"contract_size":10.0},"usIn":1790867074192000,"usOut":1790867074192340,"usDiff":340,"testnet":true}"#

  private static func notification(_ channel: String, _ data: String) -> String {
    #"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"\#(channel)","data":\#(data)}}"#
  }

  private static func levels(_ words: [String], _ prices: [Int], _ number: Int) -> String {
    // Prices in halves, amounts in tens.
    prices.enumerated().map { place, price in
      let word = words[(place + number) % words.count]
      let amount = word == "delete" ? 0 : (place * 379 + number * 53) % 25_000 + 1
      return #"["\#(word)",\#(price / 2).\#(price % 2 * 5),\#(amount * 10).0]"#
    }.joined(separator: ",")
  }

  private static func book(_ type: String, id: UInt64, previous: UInt64?, bids: String, asks: String) -> String {
    let chain = previous.map { #""prev_change_id":\#($0),"# } ?? ""
    return notification(
      "book.BTC-PERPETUAL.raw",
      #"{"type":"\#(type)","timestamp":1790867074233,\#(chain)"instrument_name":"BTC-PERPETUAL","change_id":\#(id),"bids":[\#(bids)],"asks":[\#(asks)]}"#
    )
  }

  private static let count = 32
  private static func id(_ number: Int) -> UInt64 { 210_049_235_256_678_389 + 2 * UInt64(number % count) }

  /// Changes of 2 × 2 levels that follow one another in a ring; the first follows `snapshot`.
  static let changes = (1...count).map { number in
    book(
      "change", id: id(number), previous: id(number - 1),
      bids: levels(["change", "delete", "new"], [172_945 - number % 7, 172_940 - number % 5], number),
      asks: levels(["new", "change"], [172_949 + number % 3, 172_960 + number], number))
  }

  private static func snapshot(_ number: Int) -> String {
    book(
      "snapshot", id: id(number), previous: nil, bids: levels(["new"], (0..<50).map { 172_945 - 3 * $0 }, number),
      asks: levels(["new"], (0..<50).map { 172_949 + 3 * $0 }, number))
  }
  static let snapshot = snapshot(0)
  /// Of 50 × 2 levels.
  static let snapshots = (0..<8).map { snapshot($0) }

  static let tickers = (0..<16).map { number in
    notification(
      "ticker.BTC-PERPETUAL.100ms",
      #"{"timestamp":1790867074\#(300 + number),"state":"open","stats":{"high":87758.5,"low":84707.5,"price_change":2.0057,"volume":2162.\#(1000 + number),"volume_usd":185606850.0,"volume_notional":185606850.0},"settlement_price":85101.05,"open_interest":1033167480,"min_price":83875.5,"max_price":89063.5,"mark_price":86473.\#(11 + number),"last_price":86473.0,"interest_value":1.949857600679\#(8525 + number),"instrument_name":"BTC-PERPETUAL","index_price":86430.\#(95 - number),"funding_8h":8.1e-07,"estimated_delivery_price":86430.\#(95 - number),"current_funding":0.00000\#(31 + number),"best_bid_price":86472.5,"best_bid_amount":9120.0,"best_ask_price":86474.5,"best_ask_amount":8000.0}"#
    )
  }

  private static let tag = "apus-bench-mh2k0-0000000ugh"

  private static func order(filled: Int) -> String {
    #"{"label":"\#(tag)","price":86472.0,"user_id":1,"direction":"buy","time_in_force":"good_til_cancelled","instrument_name":"BTC-PERPETUAL","web":false,"api":true,"amount":1000.0,"order_id":"210049234017437153","creation_timestamp":1790867074192,"filled_amount":\#(filled).0,"average_price":\#(filled > 0 ? "86472.0" : "0.0"),"mmp":false,"post_only":true,"reject_post_only":true,"replaced":false,"reduce_only":false,"starbase_order_id":231431100713402376,"last_update_timestamp":1790867074900,"contracts":100.0,"order_state":"open","order_type":"limit","starbase_last_update_timestamp":1790867074900100011,"is_liquidation":false,"risk_reducing":false}"#
  }

  static let fill = notification(
    "user.changes.future.BTC.raw",
    #"{"instrument_name":"BTC-PERPETUAL","trades":[{"label":"\#(tag)","timestamp":1790867074900,"state":"open","price":86472.0,"user_id":1,"direction":"buy","index_price":86430.95,"instrument_name":"BTC-PERPETUAL","trade_seq":141982044,"api":true,"amount":400.0,"mark_price":86471.9,"order_id":"210049234017437153","matching_id":null,"tick_direction":3,"profit_loss":0.0,"mmp":false,"post_only":true,"reduce_only":false,"starbase_order_id":231431100713402376,"starbase_match_id":231431103803929600,"trade_id":"355597301","self_trade":false,"contracts":40.0,"fee_currency":"BTC","starbase_timestamp":1790867074900983894,"fee":0.0000004,"order_type":"limit","risk_reducing":false,"liquidity":"M"}],"orders":[\#(order(filled: 400))],"positions":[{"total_profit_loss":-3.2e-07,"size_currency":0.00462577,"size":400.0,"settlement_price":85101.05,"realized_profit_loss":0.0,"realized_funding":0.0,"open_orders_margin":0.00013877,"mark_price":86471.9,"maintenance_margin":4.626e-05,"leverage":50,"kind":"future","interest_value":1.9498576006798525,"instrument_name":"BTC-PERPETUAL","initial_margin":9.252e-05,"index_price":86430.95,"floating_profit_loss":-3.2e-07,"direction":"buy","delta":0.00462577,"average_price":86472.0}]}"#
  )

  static let reply =
    #"{"jsonrpc":"2.0","id":\#(RequestID.insert(1_000_000)),"result":{"order":\#(order(filled: 0)),"trades":[]},"usIn":1790867074192000,"usOut":1790867074196340,"usDiff":4340,"testnet":true}"#
}
