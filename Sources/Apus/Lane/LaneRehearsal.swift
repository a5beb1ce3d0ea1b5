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

  /// Runs on the lane's own thread, after that has been pinned.
  ///
  /// - Parameter makeStrategy: as the engine's. It is asked for one strategy more, which sees a market that is not
  ///   real and is then thrown away.
  /// - Returns: the order frames that were written: 0 if the strategy did not want to quote.
  @discardableResult
  static func run(
    settings: LaneSettings, makeStrategy: @escaping (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy
  ) throws -> Int {
    guard let first = settings.instruments.first else { return 0 }
    var settings = settings
    settings.instruments = [first]
    var probe = try LaneProbe(settings: settings, makeStrategy: makeStrategy)
    var now = probe.startTime
    var frames = 0

    // A market of its own scale: half a million ticks leaves room for any spread in basis points. It walks up and
    // down, a tick at a time: each step takes the best price of both sides away and sets a new one.
    let middle = 500_000
    var shift = 0
    var texts = [
      RehearsedFrames.ticker(first.name, mark: middle),
      RehearsedFrames.book(first, bids: levels(below: middle), asks: levels(above: middle), isSnapshot: true),
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
        texts = requests.compactMap { probe.acknowledgement(of: $0) }
        frames += texts.count
      }
      let step = round / 20 % 2 == 0 ? 1 : -1
      if round % 3 == 0 {
        texts = [RehearsedFrames.ticker(first.name, mark: middle + shift)]
      } else {
        texts = [move(first, from: middle + shift, by: step)]
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
