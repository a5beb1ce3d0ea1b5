import CSupport

@testable import Apus

/// A lane on a venue that says only what the test makes it say: the market stands still unless it is
/// moved, and every order request is consented to at once unless `refuses` is set.
struct Quiet: ~Copyable {
  var lane: LaneProbe
  private(set) var now: Nanoseconds
  /// Refuse the last order request of the next batch with this error code; nothing follows that refusal.
  var refusal: Int?
  /// Leave requests without an answer.
  var holdsAnswers = false
  private(set) var requests: [String] = []

  /// Quoting three levels a side around 99,990 x 100,010.
  init(settings: LaneSettings = LaneWorld.settings(), ladder: LadderParameters = LaneWorld.ladder) throws {
    let lane = try LaneProbe(settings: settings, strategy: LadderStrategy(ladder))
    now = lane.startTime
    self.lane = lane
    market(mark: 100_000)
    say(
      #"{"channel_name":"book.BTC-PERPETUAL.none.10.raw","notification":{"trades":[],"bid_changes":[[99990,1,1],[99980,2,2],[99970,1,1]],"ask_changes":[[100010,1,1],[100020,2,2]],"time":1776715497.2},"snapshot":true}"#
    )
  }

  /// Feeds one frame, then lets the venue answer until the lane has nothing more to say.
  mutating func say(_ text: String) {
    now += 1_000_000
    deliver(text)
    settle()
  }

  private mutating func deliver(_ text: String) {
    var bytes: [UInt8] = []
    lane.appendFrame(text, to: &bytes)
    bytes.withUnsafeBytes { lane.receive($0, now: now) }
  }

  mutating func settle() {
    while !holdsAnswers {
      var batch: [String] = []
      lane.takeRequests(into: &batch)
      if batch.isEmpty { return }
      requests += batch
      for (place, request) in batch.enumerated() {
        now += 1000
        if let answer = queryAnswer(request) {
          deliver(answer)
          continue
        }
        guard let consent = lane.acknowledgement(of: request) else { continue }
        if let refusal, place == batch.count - 1 {
          let id = request.split(separator: "\"id\":")[1].prefix { $0.isNumber }
          deliver("{\"id\":\(id),\"error\":{\"code\":\(refusal),\"message\":\"no\"}}")
          self.refusal = nil
        } else {
          deliver(consent)
        }
      }
    }
  }

  /// What the venue says when it is asked for the position, as text; nil: as it was at the start.
  var statedPosition: String?

  private func queryAnswer(_ request: String) -> String? {
    let id = request.split(separator: "\"id\":")[1].prefix { $0.isNumber }
    if request.contains("private/trade_history") {
      return "{\"id\":\(id),\"result\":{\"trades\":[],\"bookmark\":null}}"
    }
    guard request.contains("private/portfolio") else { return nil }
    let lines =
      statedPosition.map { "{\"instrument_name\":\"BTC-PERPETUAL\",\"position\":\($0),\"mark_price\":100000}" } ?? ""
    return "{\"id\":\(id),\"result\":[\(lines)]}"
  }

  mutating func forgetRequests() { requests = [] }

  /// Lets time go by with nothing but timers, and the answers to what they ask.
  mutating func pass(_ duration: Nanoseconds) {
    let end = now + duration
    while now < end {
      now = min(end, now + 10_000_000)
      lane.tick(now: now)
      settle()
    }
  }

  // MARK: - What happens to our orders

  private var lastFill = ""

  private func item(_ order: OrderRecord, _ status: String, _ change: String, filled: Int64, _ rest: String) -> String {
    let side = order.sideValue == .buy ? "buy" : "sell"
    let left = order.qty_lots.rawValue - filled
    return
      "{\"channel_name\":\"session.orders\",\"notification\":[{\"order_id\":\"00\(order.client_id)\","
      + "\"order_type\":\"limit\",\"time_in_force\":\"good_till_cancelled\",\"instrument_name\":\"BTC-PERPETUAL\","
      + "\"direction\":\"\(side)\",\"price\":\(order.price_ticks.rawValue),\"amount\":\(order.qty_lots.rawValue)e-3,"
      + "\"filled_amount\":\(filled)e-3,\"remaining_amount\":\(left)e-3,\"label\":\"apus-test-1\","
      + "\"client_order_id\":\(order.client_id),\"status\":\"\(status)\",\"change_reason\":\"\(change)\",\(rest)"
      + "\"insert_reason\":\"client_request\",\"create_time\":1776715498.2,\"persistent\":false}]}"
  }

  private func best(_ side: Side) -> OrderRecord? {
    lane.lane.core.tracker.with(0) { (side == .buy ? $0.bids.firstResting : $0.asks.firstResting)?.pointee }
  }

  /// A part of our best order trades.
  mutating func fillBest(_ side: Side, lots: Int64) {
    guard let order = best(side) else { return }
    lastFill = item(
      order, "partially_filled", "fill", filled: lots,
      "\"fills\":[{\"trade_id\":\"T1\",\"price\":\(order.price_ticks.rawValue),\"amount\":\(lots)e-3,"
        + "\"time\":1776715499.0,\"maker_taker\":\"maker\",\"leg_index\":0}],")
    say(lastFill)
  }

  /// A part of our best order trades, and the private trade feed tells it before the order feed does.
  mutating func tradeBest(_ side: Side, lots: Int64) {
    guard let order = best(side) else { return }
    say(
      "{\"channel_name\":\"account.trade_history\",\"notification\":[{\"trade_type\":\"normal\",\"trade_id\":\"T9\","
        + "\"order_id\":\"00\(order.client_id)\",\"client_order_id\":\(order.client_id),"
        + "\"instrument_name\":\"BTC-PERPETUAL\",\"direction\":\"\(side == .buy ? "buy" : "sell")\","
        + "\"price\":\(order.price_ticks.rawValue),\"amount\":\(lots)e-3,\"label\":\"apus-test-1\","
        + "\"time\":1776715499.0,\"maker_taker\":\"maker\",\"fee\":0.01}]}")
  }

  mutating func repeatFill() { say(lastFill) }

  /// The venue takes our best order away.
  mutating func cancelBest(_ side: Side) {
    guard let order = best(side) else { return }
    say(item(order, "cancelled", "cancel", filled: 0, "\"fills\":[],\"delete_reason\":\"admin_cancel\","))
  }

  mutating func market(mark: Int) { say(Self.ticker(mark: mark)) }

  static func ticker(mark: Int, last: Int = 100_000) -> String {
    "{\"channel_name\":\"ticker.BTC-PERPETUAL.raw\",\"notification\":{\"mark_price\":\(mark),"
      + "\"mark_timestamp\":1776715497.7,\"best_bid_price\":99990,\"best_bid_amount\":1,\"best_ask_price\":100010,"
      + "\"best_ask_amount\":1,\"last_price\":\(last),\"index\":100000}}"
  }

  mutating func book(bids: String = "", asks: String = "") {
    say(
      "{\"channel_name\":\"book.BTC-PERPETUAL.none.10.raw\",\"notification\":{\"trades\":[],\"bid_changes\":[\(bids)],"
        + "\"ask_changes\":[\(asks)],\"time\":1776715497.3}}")
  }

  mutating func direct(_ directive: Directive) {
    now += 1_000_000
    lane.lane.direct(directive, instrument: 0, now: now)
    settle()
  }

  var looks: Int { lane.looks }

  var resting: (bids: Int, asks: Int) {
    lane.lane.core.tracker.with(0) { ($0.bids.restingCount, $0.asks.restingCount) }
  }

  struct Best: Equatable {
    var bid: Int64
    var ask: Int64
  }

  var bestOwn: Best {
    lane.lane.core.tracker.with(0) {
      Best(
        bid: $0.bids.firstResting?.pointee.price_ticks.rawValue ?? 0,
        ask: $0.asks.firstResting?.pointee.price_ticks.rawValue ?? 0)
    }
  }
}
