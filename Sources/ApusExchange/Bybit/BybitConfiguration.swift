public import Apus
import CSupport

/// A linear perpetual as a simulated Bybit lists it; settled in USDT.
public struct BybitInstrument: Sendable, Equatable {
  /// What the matching needs; the name is the symbol.
  public var spec: InstrumentSpec
  public var baseCoin: String
  /// Decimals of prices in trades and tickers; those of books are the tick's.
  public var priceScale = 2
  /// The most that a limit order and a market order may ask for.
  public var maximumLots: Int64
  public var maximumMarketLots: Int64
  /// The least that price · size may be, 10⁻⁸ USDT.
  public var minimumValueE8: MoneyE8 = 5_00000000
  /// `priceLimitRatioX` and `priceLimitRatioY`, 10⁻⁶; the band of prices is mark · (1 ± X).
  public var bandRatioE6: Int64 = 10_000
  public var outerBandRatioE6: Int64 = 20_000
  /// Fees in 10⁻⁶ of the value; negative for a rebate.
  public var makerFeeE6: Int64 = 200
  public var takerFeeE6: Int64 = 550
  public var leverage: Int64 = 10
  public var maximumLeverage: Int64 = 100
  /// Minutes between two payments of funding; they fall on whole multiples of the UTC day.
  public var fundingMinutes: Int64 = 480

  public init(
    _ symbol: String, base: String, tickE8: Int64, lotE8: Int64, indexE8: Int64, premiumLots: Int64, maximumLots: Int64,
    maximumMarketLots: Int64
  ) {
    spec = InstrumentSpec(
      name: symbol, product: symbol, underlying: symbol,
      grid: InstrumentGrid(tickE8: tickE8, lotE8: lotE8, minimumLots: QtyLots(rawValue: 1)), initialIndexE8: indexE8,
      premiumLots: QtyLots(rawValue: premiumLots))
    baseCoin = base
    self.maximumLots = maximumLots
    self.maximumMarketLots = maximumMarketLots
  }

  /// `BTCUSDT`: tick 0.1, lot 0.001 (protocol reference 7).
  public static let btc = Self(
    "BTCUSDT", base: "BTC", tickE8: 10_000_000, lotE8: 100_000, indexE8: 85_930_00000000, premiumLots: 1000,
    maximumLots: 1_190_000, maximumMarketLots: 500_000)
  /// `ETHUSDT`: tick 0.01, lot 0.01.
  public static let eth = Self(
    "ETHUSDT", base: "ETH", tickE8: 1_000_000, lotE8: 1_000_000, indexE8: 2_800_00000000, premiumLots: 2000,
    maximumLots: 724_000, maximumMarketLots: 350_000)
  /// `XRPUSDT`: tick 0.0001, lot 1.
  public static let xrp: Self = {
    var xrp = Self(
      "XRPUSDT", base: "XRP", tickE8: 10_000, lotE8: 100_000_000, indexE8: 2_50000000, premiumLots: 20_000,
      maximumLots: 6_000_000, maximumMarketLots: 2_800_000)
    xrp.priceScale = 4
    xrp.bandRatioE6 = 50_000
    xrp.outerBandRatioE6 = 50_000
    return xrp
  }()
}

/// A key that may log in and sign.
public struct BybitClient: Sendable, Equatable {
  public var key: String
  /// `nil`: any signature will do.
  public var secret: String?
  /// Name of the account in the venue's books.
  public var account: String

  public init(key: String, secret: String?, account: String) {
    self.key = key
    self.secret = secret
    self.account = account
  }
}

/// How a simulated Bybit behaves; what the protocol reference leaves open (section 22) is to be chosen here.
public struct BybitConfiguration: Sendable {
  public var instruments: [BybitInstrument] = [.btc, .eth, .xrp]
  /// Decides ids, numbers of books and orders of messages; same seed and inputs, same bytes out.
  public var seed: UInt64 = 1
  /// The venue's wall clock at virtual time 0, nanoseconds since the Unix epoch.
  public var wallClockBase: Nanoseconds = 1_791_270_738_000_000_000
  /// Empty: every key may sign with any secret, and owns an account of its own name.
  public var clients: [BybitClient] = []
  /// USDT of a new account, 10⁻⁸.
  public var initialBalanceE8: MoneyE8 = 1_000_000_00000000

  /// Every message on a WebSocket comes this much later than what it tells of, or answers. Some clients note a request
  /// only after they have sent it, and lose an answer that comes at once.
  public var messageDelay: Nanoseconds = 0
  /// What private streams tell comes later still by this.
  public var privateDelay: Nanoseconds = 0
  /// Queries do not know orders and executions that are younger than this.
  public var queryDelay: Nanoseconds = 0

  public enum MessageOrder: String, Sendable, CaseIterable {
    /// The answer, then order, execution, position and wallet.
    case replyFirst
    /// The same with the answer last.
    case replyLast
    /// Drawn for each transaction.
    case random
  }
  public var messageOrder = MessageOrder.replyFirst
  /// Records of one message of a private stream.
  public var recordsPerMessage = 10

  /// Levels a side of the book topics, and how often each speaks at most.
  public var bookPeriods: [Int: Nanoseconds] = [
    1: 10_000_000, 50: 20_000_000, 200: 100_000_000, 500: 100_000_000, 1000: 200_000_000,
  ]
  public var tickerPeriod: Nanoseconds = 100_000_000
  public var priceLimitPeriod: Nanoseconds = 300_000_000
  /// The level-1 topic repeats itself after so much silence; 0 never.
  public var topRepeat: Nanoseconds = 3_000_000_000
  /// Index, mark and funding move this often.
  public var markInterval: Nanoseconds = 1_000_000_000

  /// Requests of one class a second of an account: create, amend, cancel, cancel-all, and each kind of batch (which costs
  /// as many as it has orders).
  public var orderRate = 10
  /// Queries of one class a second of an account.
  public var queryRate = 50
  /// Requests over HTTP within 5 s, of everybody; 403 above it.
  public var addressRate = 600
  public var enforcesLimits = true
  /// Order requests of one connection a second (20003 above it); 0 no limit.
  public var connectionRate = 0

  /// Longest `orderLinkId`, and open orders of an account on one instrument.
  public var maximumLinkID = 36
  public var maximumOpenOrders = 500
  /// 110007 for orders whose margin is not there.
  public var checksMargin = true
  /// What an order outside the price band gets where the account wants no re-pricing.
  public var bandRefusal: Int64 = 110_003
  /// What becomes of a post-only order whose amend would cross.
  public enum CrossingAmend: String, Sendable, CaseIterable {
    /// It is cancelled, as one that is new.
    case cancelled
    /// The amend fails behind its acknowledgement: the order stays as it was, and a record says why.
    case refused
  }
  public var crossingAmend = CrossingAmend.cancelled
  /// `smpType` of an order that names none.
  public var selfMatch = SelfMatch.none
  public enum SelfMatch: String, Sendable, CaseIterable {
    case none = "None"
    case maker = "CancelMaker"
    case taker = "CancelTaker"
    case both = "CancelBoth"
  }

  /// Protection on disconnect can be had at all (else 10005), and begins so long after it is set.
  public var allowsDisconnectProtection = true
  public var protectionDelay: Nanoseconds = 10_000_000_000
  /// A connection is cut after so long without a word from the client; a public one without a topic sooner. 0 never.
  public var idleTimeout: Nanoseconds = 600_000_000_000
  public var topiclessTimeout: Nanoseconds = 60_000_000_000

  /// How participants' orders trade against the flow of a recorded market, as for `VenueConfiguration`.
  public var fillModel: FillModel?
  /// Bounds of each matching engine.
  public var maximumRestingOrders: UInt32 = 65_536
  public var maximumLevels: UInt32 = 16_384

  public init() {}

  /// A made-up market for all instruments.
  public func syntheticFlow(seed: UInt64, speedThousandths: Int64 = 1000) -> SyntheticFlow {
    SyntheticFlow(
      seed: seed,
      streams: instruments.enumerated().map { index, instrument in
        SyntheticFlow.Stream(
          instrument: FlowInstrument(index: index, grid: instrument.spec.grid),
          startE8: instrument.spec.initialIndexE8, levelLots: max(1, instrument.spec.premiumLots.rawValue / 2))
      }, speedThousandths: speedThousandths)
  }

  /// What the matching goes by.
  var core: VenueConfiguration {
    var core = VenueConfiguration()
    core.instruments = instruments.map(\.spec)
    core.seed = seed
    core.wallClockBase = wallClockBase
    core.markInterval = markInterval
    core.maximumOpenOrders = maximumOpenOrders
    core.fillModel = fillModel
    core.maximumRestingOrders = maximumRestingOrders
    core.maximumLevels = maximumLevels
    return core
  }
}
