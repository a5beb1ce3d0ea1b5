import CSupport

/// A rehearsal before the first live tick: the lane's whole code is run on a session that is only memory.
///
/// It brings the code and its constants into the caches of the lane's core, teaches the branch predictors and the
/// order in which the venue's members come, and has every function resolved and every page of code read in, so that
/// the first tick of the day costs about what the thousandth does. The lane that rehearses is thrown away: the one
/// that trades, its journal and its venue see nothing of it.
enum LaneRehearsal {
  /// Ticks that are rehearsed; enough for the predictors. Some 50 ms with three quotes a side.
  static let rounds = 300

  /// Runs on the lane's own thread, after that has been pinned. The first instrument is rehearsed, and the first one
  /// that is quoted in the other way: order by order, or by mass quotes.
  ///
  /// - Parameter makeStrategy: as the engine's. It is asked for one or two strategies more, which see a market that is
  ///   not real and are then thrown away.
  /// - Returns: the order frames that were written: 0 if the strategy did not want to quote.
  @discardableResult
  static func run(
    settings: LaneSettings, makeStrategy: @escaping (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy
  ) throws -> Int {
    guard let first = settings.instruments.first else { return 0 }
    var frames = try rehearse(first, settings, makeStrategy)
    if let other = settings.instruments.first(where: { $0.usesMassQuotes != first.usesMassQuotes }) {
      frames += try rehearse(other, settings, makeStrategy)
    }
    return frames
  }

  private static func rehearse(
    _ instrument: InstrumentSettings, _ settings: LaneSettings,
    _ makeStrategy: @escaping (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy
  ) throws -> Int {
    var settings = settings
    settings.instruments = [instrument]
    var probe = try LaneProbe(settings: settings, makeStrategy: makeStrategy)
    var quotes = RehearsedQuotes(instrument: instrument.name)
    var now = probe.startTime
    var frames = 0

    // A market of its own scale: half a million ticks leaves room for any spread in basis points. It walks up and
    // down, a tick at a time: each step takes the best price of both sides away and sets a new one.
    let middle = 500_000
    var shift = 0
    var texts = [
      RehearsedFrames.ticker(instrument.name, mark: middle),
      RehearsedFrames.book(instrument, bids: levels(below: middle), asks: levels(above: middle), isSnapshot: true),
    ]
    for round in 0..<rounds {
      // Turns and answers alternate, as they do with a venue.
      while !texts.isEmpty {
        var bytes: [UInt8] = []
        for text in texts { probe.appendFrame(text, to: &bytes) }
        now += 1_000_000
        bytes.withUnsafeBytes { probe.receive($0, now: now) }
        probe.tick(now: now)
        var requests: [String] = []
        probe.takeRequests(into: &requests)
        texts = []
        for request in requests {
          if let answer = probe.acknowledgement(of: request) {
            texts.append(answer)
            frames += 1
          } else if let answers = quotes.answers(to: request) {
            texts += answers
            frames += answers.count > 1 ? 1 : 0
          }
        }
      }
      // What became of a mass quote is looked at by a timer.
      if instrument.usesMassQuotes { now += LaneSession.timerInterval }
      let step = round / 20 % 2 == 0 ? 1 : -1
      if round % 3 == 0 {
        texts = [RehearsedFrames.ticker(instrument.name, mark: middle + shift)]
      } else {
        texts = [move(instrument, from: middle + shift, by: step)]
        shift += step
      }
    }
    return frames
  }

  /// Ten levels a side, ten ticks from the middle.
  private static func levels(below price: Int) -> String {
    (0..<10).map { "[\(price - 10 - $0),1.5,1.5]" }.joined(separator: ",")
  }

  private static func levels(above price: Int) -> String {
    (0..<10).map { "[\(price + 10 + $0),1.5,1.5]" }.joined(separator: ",")
  }

  /// The update that moves both sides by one tick.
  private static func move(_ instrument: InstrumentSettings, from price: Int, by step: Int) -> String {
    let next = price + step
    return step > 0
      ? RehearsedFrames.book(
        instrument, bids: "[\(next - 10),1.5,1.5],[\(price - 19),0,0]",
        asks: "[\(price + 10),0,0],[\(next + 19),1.5,1.5]",
        isSnapshot: false)
      : RehearsedFrames.book(
        instrument, bids: "[\(price - 10),0,0],[\(next - 19),1.5,1.5]",
        asks: "[\(next + 10),1.5,1.5],[\(price + 19),0,0]",
        isSnapshot: false)
  }
}

/// Market data as Thalex writes it (protocol reference 5.3 and 5.5).
private enum RehearsedFrames {
  static func ticker(_ name: String, mark: Int) -> String {
    "{\"channel_name\":\"ticker.\(name).raw\",\"notification\":{\"mark_price\":\(mark).41,"
      + "\"mark_timestamp\":1776715497.7188172,\"best_bid_price\":\(mark - 10),\"best_bid_amount\":1.5,"
      + "\"best_ask_price\":\(mark + 10),\"best_ask_amount\":1.5,\"last_price\":\(mark),\"delta\":1,"
      + "\"volume_24h\":152.313,\"value_24h\":11603845.12,\"low_price_24h\":94610,\"high_price_24h\":106915,"
      + "\"change_24h\":512,\"index\":\(mark).25916666667,\"collar_low\":\(mark * 9 / 10).7577,"
      + "\"collar_high\":\(mark * 11 / 10).0623,\"open_interest\":123.456,\"funding_rate\":1e-05,"
      + "\"funding_mark\":-1.27,\"realised_funding_24h\":-3.21,\"average_funding_rate_24h\":1.27e-05}}"
  }

  static func book(_ instrument: InstrumentSettings, bids: String, asks: String, isSnapshot: Bool) -> String {
    "{\"channel_name\":\"book.\(instrument.name).none.\(instrument.bookDepth).raw\",\"notification\":{\"trades\":[],"
      + "\"bid_changes\":[\(bids)],\"ask_changes\":[\(asks)],\"total_bid_amount\":15,\"total_ask_amount\":15,"
      + "\"time\":1776715497.209106}" + (isSnapshot ? ",\"snapshot\":true}" : "}")
  }
}

/// The venue's side of mass quotes of one instrument: both sides are replaced as asked, and nothing trades (protocol
/// reference 6.5 and 8.4).
private struct RehearsedQuotes {
  let instrument: String
  private var standing: [Standing] = []
  private var orders = 0

  private struct Standing {
    var side: String
    var price: String
    var amount: String
    var id: Int
  }

  init(instrument: String) { self.instrument = instrument }

  /// The reply to a mass quote and the orders that it opened and closed, or the reply to setting a protection group;
  /// `nil` for other requests.
  mutating func answers(to request: String) -> [String]? {
    guard let idStart = request.firstRange(of: "\"id\":")?.upperBound else { return nil }
    let id = request[idStart...].prefix { $0.isNumber }
    if request.contains("\"private/set_mm_protection\"") { return ["{\"id\":\(id),\"result\":null}"] }
    guard request.contains("\"private/mass_quote\""),
      let labelStart = request.firstRange(of: "\"label\":\"")?.upperBound
    else { return nil }
    let label = String(request[labelStart...].prefix { $0 != "\"" })
    var items: [String] = []
    var count = 0
    for (key, side) in [("b", "buy"), ("a", "sell")] {
      guard let levels = Self.levels(key, in: request) else { continue }
      count += levels.count
      // What is repeated keeps its order; the rest of the side is replaced.
      for old in standing where old.side == side && !levels.contains(where: { $0 == (old.price, old.amount) }) {
        items.append(item(old, label, isOpen: false))
      }
      standing.removeAll { old in
        old.side == side && !levels.contains(where: { $0 == (old.price, old.amount) })
      }
      for (price, amount) in levels
      where !standing.contains(where: { $0.side == side && $0.price == price && $0.amount == amount }) {
        orders += 1
        standing.append(Standing(side: side, price: price, amount: amount, id: orders))
        items.append(item(standing[standing.count - 1], label, isOpen: true))
      }
    }
    return [
      "{\"id\":\(id),\"result\":{\"n_success\":\(count),\"n_fail\":0,\"errors\":[]}}",
      "{\"channel_name\":\"session.orders\",\"notification\":[\(items.joined(separator: ","))]}",
    ]
  }

  /// The levels of a side as our encoder writes them, `"b":[[price,amount],…]`; `nil` if the side is not named.
  private static func levels(_ key: String, in request: String) -> [(String, String)]? {
    guard let start = request.firstRange(of: "\"\(key)\":[")?.upperBound else { return nil }
    guard request[start...].first == "[", let end = request[start...].firstRange(of: "]]")?.lowerBound else {
      return []
    }
    return request[request.index(after: start)..<end].split(separator: "],[").compactMap { level in
      let parts = level.split(separator: ",")
      return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
    }
  }

  private func item(_ order: Standing, _ label: String, isOpen: Bool) -> String {
    "{\"order_id\":\"00Q\(order.id)\",\"order_type\":\"limit\",\"time_in_force\":\"good_till_cancelled\","
      + "\"instrument_name\":\"\(instrument)\",\"direction\":\"\(order.side)\",\"price\":\(order.price),"
      + "\"amount\":\(order.amount),\"filled_amount\":0,\"remaining_amount\":\(isOpen ? order.amount : "0"),"
      + "\"label\":\"\(label)\",\"status\":\"\(isOpen ? "open" : "cancelled")\",\"fills\":[],"
      + "\"change_reason\":\"\(isOpen ? "insert" : "cancel")\",\"insert_reason\":\"client_request\","
      + "\"create_time\":1776715498.201377,\"persistent\":false"
      + (isOpen ? "}" : ",\"delete_reason\":\"replaced\",\"close_time\":1776715504.0}")
  }
}
