import CSupport

/// What an instrument is on, and how much of it one lot is.
enum Underlying {
  /// The coin that an instrument's name begins with: `BTC` of `BTC-PERPETUAL`, `BTC_USDC-PERPETUAL` and `BTCUSDT`.
  static func name(of instrument: String) -> String {
    let word = instrument.prefix { $0.isLetter || $0.isNumber }
    for quote in ["USDT", "USDC", "USD", "PERP"] where word.count > quote.count && word.hasSuffix(quote) {
      return String(word.dropLast(quote.count))
    }
    return String(word)
  }

  /// By the name, which is known before the venue has listed anything: `BTC-27MAR26-60000-C`.
  static func isOption(_ instrument: String) -> Bool { instrument.hasSuffix("-C") || instrument.hasSuffix("-P") }

  /// Coins of one lot, 10⁻¹²; 0 while that is not known. A lot of a linear contract is an amount of coins, one of an
  /// inverse contract an amount of money, and an option moves as its delta says: a put against the coin.
  ///
  /// - Parameter deltaE8: of an option; `nil` while it is not known.
  static func unitE12(_ info: InstrumentInfo, markE8: Int64, deltaE8: Int64?) -> Int64 {
    let lotE8 = Int128(info.grid.lotE8)
    // An option's amount is one of coins, however it is settled.
    if info.kind == .option {
      guard let deltaE8 else { return 0 }
      // One that is all but worthless still counts: room for endless lots of it would be no limit.
      let size = max(deltaE8.magnitude, leastDeltaE8)
      return Int64(clamping: lotE8 * Int128(size) / 10_000) * (info.optionType == .put || deltaE8 < 0 ? -1 : 1)
    }
    switch info.contract {
    case .linear: return Int64(clamping: lotE8 * 10_000)
    case .inverse: return markE8 > 0 ? Int64(clamping: lotE8 * 1_000_000_000_000 / Int128(markE8)) : 0
    }
  }

  private static let leastDeltaE8: UInt64 = 100_000
}

/// What the manager is to keep of one underlying over all venues. Amounts in 10⁻⁸ coins.
public struct UnderlyingSettings: Equatable, Sendable {
  /// Where a position is closed.
  public struct Hedge: Equatable, Sendable {
    public var lane: Int
    public var instrument: InstrumentIndex
    public var bandE8: Int64
    /// From the best price, 10⁻² basis points.
    public var slippageCentiBps: Int64
    /// How long an order that waits at the best price is tried before one takes; 0: it takes at once.
    public var patience: Nanoseconds = 0
    /// What may be taken within a minute; 0: as much as is needed.
    public var perMinuteE8: Int64 = 0
    /// What becomes of quoting while the venue is away.
    public var whenLost = HedgeLoss.quote

    public init(lane: Int, instrument: InstrumentIndex, bandE8: Int64, slippageCentiBps: Int64) {
      self.lane = lane
      self.instrument = instrument
      self.bandE8 = bandE8
      self.slippageCentiBps = slippageCentiBps
    }
  }

  /// What is done when a bid at one venue is above an ask at another, the basis and both fees deducted.
  public struct Crossed: Equatable, Sendable {
    public var rule = CrossedRule.ignore
    /// What has to be left after fees, 10⁻² basis points.
    public var edgeCentiBps: Int64 = 100
    /// The most that one attempt takes at each venue.
    public var sizeE8: Int64 = 0
    /// The most that is taken within a minute.
    public var perMinuteE8: Int64 = 0
    /// What taking costs, by lane, 10⁻² basis points.
    public var feesCentiBps: [Int64] = []

    public init() {}
  }

  public var name: String
  public var maximumE8: Int64
  public var skews: Bool
  public var hedge: Hedge?
  /// How the fair value is made; `nil`: there is none.
  public var fair: FairValue.Settings?
  public var crossed = Crossed()

  public init(name: String, maximumE8: Int64, skews: Bool = true, hedge: Hedge? = nil) {
    self.name = name
    self.maximumE8 = maximumE8
    self.skews = skews
    self.hedge = hedge
  }
}

/// What quoting does while the venue that hedges it is away.
public enum HedgeLoss: String, Codable, CaseIterable, Sendable {
  case quote, widen, stop
}

public enum CrossedRule: String, Codable, CaseIterable, Sendable {
  case ignore
  /// The sides that would be taken at a loss are pulled.
  case avoid
  /// That, and both prices are taken.
  case take
}
