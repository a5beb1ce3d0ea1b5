public import Apus
import FoundationEssentials

/// What came of a backtest. Times are nanoseconds from the beginning of the feed, money 10⁻⁸ of the quote currency.
///
/// Of each instrument and of the sum: `profit = spread + inventory − fees + funding`, to the last unit.
public struct BacktestReport: Codable, Sendable, Equatable {
  /// How it was made.
  public struct Circumstances: Codable, Sendable, Equatable {
    /// `risk-averse`, `power:2`, `log`; `recorded` for what a journal says has happened.
    public var model = ""
    public var feedLatency = ""
    public var orderLatency = ""
    public var seed: UInt64 = 1
    /// Names of the feeds, without their folders.
    public var feeds: [String] = []
    public var duration: Nanoseconds = 0
    /// Fees in 10⁻⁶ of the value.
    public var makerFeeE6: Int64 = 0
    public var takerFeeE6: Int64 = 0
    /// What is missing of the journals that the market and the latencies were taken from.
    public var gaps: [JournalGap] = []
    /// Why the run ended before its feed; `nil` if it did not.
    public var failure: String?

    public init() {}
  }

  /// How the mid moved after the fills, as seen from our side: below 0 it went against us.
  public struct Markout: Codable, Sendable, Equatable {
    public var horizon: Nanoseconds
    /// Fills whose horizon lies within the feed.
    public var fills = 0
    /// Sum over these fills: mid after the horizon against the price of the fill.
    public var valueE8: MoneyE8 = 0
    /// What they traded together.
    public var tradedE8: MoneyE8 = 0

    public init(horizon: Nanoseconds) { self.horizon = horizon }

    /// Of the traded value, in basis points; `nil` without fills.
    public var basisPoints: Double? { tradedE8 > 0 ? Double(valueE8) / Double(tradedE8) * 1e4 : nil }
  }

  /// Sums of one instrument, or of all.
  public struct Figures: Codable, Sendable, Equatable {
    /// Time from the first moment with a bid and an ask of ours, and of it with both, a bid, an ask.
    public var watched: Nanoseconds = 0
    public var quotedBoth: Nanoseconds = 0
    public var quotedBid: Nanoseconds = 0
    public var quotedAsk: Nanoseconds = 0
    /// Mean distance of our best quotes from the mid while they stood, 10⁻⁸ of the mid.
    public var bidDistanceE8: Int64 = 0
    public var askDistanceE8: Int64 = 0
    public var makerFills = 0
    public var takerFills = 0
    /// The maker's fills by what made them: a recorded trade at the price, one through it, a quote. 0 where it is not known.
    public var queueFills = 0
    public var throughFills = 0
    public var quoteFills = 0
    public var tradedE8: MoneyE8 = 0
    /// Σ over fills: distance of the price from the mid of the moment, on our side.
    public var spreadE8: MoneyE8 = 0
    /// What the positions gained or lost while the mid moved.
    public var inventoryE8: MoneyE8 = 0
    public var feesE8: MoneyE8 = 0
    public var fundingE8: MoneyE8 = 0
    public var profitE8: MoneyE8 = 0
    /// Deepest fall of the profit below its highest.
    public var drawdownE8: MoneyE8 = 0
    public var markouts: [Markout] = []

    public init() {}
  }

  public struct Messages: Codable, Sendable, Equatable {
    /// Inserts, amends and mass quotes.
    public var orders = 0
    public var cancels = 0
    /// Refused for their rate.
    public var violations = 0
    /// Inserts and amends that the venue refused or took out at once, post-only ones that would have traded among them.
    public var refused = 0

    public init() {}
  }

  public struct Fill: Codable, Sendable, Equatable {
    public var time: Nanoseconds
    public var isBuy: Bool
    public var isMaker: Bool
    public var cause: FillCause
    public var priceE8: Int64
    public var lots: Int64
    public var feeE8: MoneyE8
    public var midE8: Int64
    public var positionAfter: Int64
    /// The mid after each horizon; `nil` where the feed had ended.
    public var midsAfter: [Int64?]
  }

  /// Prices in ticks, 0 = none. One value for each time of `times`.
  public struct Series: Codable, Sendable, Equatable {
    public var bid: [Int64] = []
    public var ask: [Int64] = []
    /// Lowest and highest mid since the time before, half ticks; 0 before there is one.
    public var low: [Int64] = []
    public var high: [Int64] = []
    public var ownBid: [Int64] = []
    public var ownAsk: [Int64] = []
    public var position: [Int64] = []
    public var profitE8: [MoneyE8] = []
  }

  public struct Instrument: Codable, Sendable, Equatable {
    public var name: String
    public var tickE8: Int64
    public var lotE8: Int64
    public var boughtLots: Int64 = 0
    public var soldLots: Int64 = 0
    /// Traded by everybody, as recorded.
    public var marketLots: Int64 = 0
    public var positionLots: Int64 = 0
    public var largestPositionLots: Int64 = 0
    /// Mean |position| over time, thousandths of a lot.
    public var meanPositionMilliLots: Int64 = 0
    public var figures = Figures()
    public var fills: [Fill] = []
    public var series = Series()
  }

  public var version = 1
  public var circumstances = Circumstances()
  public var total = Figures()
  public var messages = Messages()
  public var instruments: [Instrument] = []
  /// Times of all series, thinned out evenly.
  public var times: [Nanoseconds] = []

  public init() {}

  /// The same report gives the same bytes.
  public func json() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return [UInt8](try encoder.encode(self))
  }

  /// One line for each fill, under a line of names.
  public func csv() -> String {
    var text = "time_s,instrument,side,role,cause,price,quantity,fee,mid,position_after"
    let horizons = total.markouts.map(\.horizon)
    for horizon in horizons { text += ",mid_\(horizon / 1_000_000_000)s" }
    text += "\n"
    for instrument in instruments {
      func price(_ e8: Int64) -> String { Self.decimal(e8) }
      for fill in instrument.fills {
        var line = [
          Self.decimal(fill.time / 10), instrument.name, fill.isBuy ? "buy" : "sell", fill.isMaker ? "maker" : "taker",
          fill.cause.rawValue,
          price(fill.priceE8), price(fill.lots * instrument.lotE8), price(fill.feeE8), price(fill.midE8),
          price(fill.positionAfter * instrument.lotE8),
        ]
        for mid in fill.midsAfter { line.append(mid.map(price) ?? "") }
        text += line.joined(separator: ",") + "\n"
      }
    }
    return text
  }

  /// 10⁻⁸ as a decimal without needless zeros.
  static func decimal(_ e8: Int64) -> String {
    let magnitude = e8.magnitude
    var fraction = String(magnitude % 100_000_000)
    fraction = String(repeating: "0", count: 8 - fraction.count) + fraction
    while fraction.hasSuffix("0") { fraction.removeLast() }
    return (e8 < 0 ? "-" : "") + "\(magnitude / 100_000_000)" + (fraction.isEmpty ? "" : "." + fraction)
  }
}
