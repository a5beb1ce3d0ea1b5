public import Apus
import CSupport

/// A price step above a price: Deribit's `tick_size_steps`.
public struct DeribitTickStep: Sendable, Equatable {
  public var aboveE8: Int64
  public var tickE8: Int64

  public init(aboveE8: Int64, tickE8: Int64) {
    self.aboveE8 = aboveE8
    self.tickE8 = tickE8
  }
}

/// An instrument as a simulated Deribit lists it.
public struct DeribitInstrument: Sendable, Equatable {
  /// What the matching needs; `underlying` is the price index, `btc_usd` say, and the lot is what amounts are multiples of.
  public var spec: InstrumentSpec
  public var baseCurrency: String
  public var quoteCurrency: String
  public var counterCurrency: String
  public var settlementCurrency: String
  /// `perpetual`, `day`, `week` or `month`.
  public var settlementPeriod = "perpetual"
  public var contractSizeE8: Int64
  /// By rising price; empty for one tick at all prices. Each tick is a multiple of the base tick.
  public var tickSteps: [DeribitTickStep] = []
  /// Fees in 10⁻⁶ of the value; negative for a rebate.
  public var makerFeeE6: Int64 = 0
  public var takerFeeE6: Int64 = 500
  public var maximumLeverage: Int64 = 50
  /// How long an order that would take is held back before it is matched.
  public var takerDelay: Nanoseconds = 0

  public init(
    spec: InstrumentSpec, base: String, quote: String, counter: String, settlement: String, contractSizeE8: Int64? = nil
  ) {
    self.spec = spec
    baseCurrency = base
    quoteCurrency = quote
    counterCurrency = counter
    settlementCurrency = settlement
    self.contractSizeE8 = contractSizeE8 ?? spec.grid.lotE8
  }

  /// `BTC-PERPETUAL`: amounts in USD, multiples of 10; tick 0.5; settled in BTC.
  public static let btcPerpetual = inverse("BTC", tickE8: 50_000_000, contractUSD: 10, indexE8: 86_400_00000000)
  /// `ETH-PERPETUAL`: amounts in USD, whole ones; tick 0.05; settled in ETH.
  public static let ethPerpetual = inverse("ETH", tickE8: 5_000_000, contractUSD: 1, indexE8: 2_800_00000000)
  /// `BTC_USDC-PERPETUAL`: amounts in BTC, multiples of 0.0001; tick 0.1; settled in USDC.
  public static let btcLinear = linear("BTC", tickE8: 10_000_000, lotE8: 10_000, indexE8: 86_400_00000000)
  /// `ETH_USDC-PERPETUAL`: amounts in ETH, multiples of 0.001; tick 0.01; settled in USDC.
  public static let ethLinear = linear("ETH", tickE8: 1_000_000, lotE8: 100_000, indexE8: 2_800_00000000)

  static func inverse(_ coin: String, tickE8: Int64, contractUSD: Int64, indexE8: Int64) -> Self {
    let lotE8 = contractUSD * 100_000_000
    var spec = InstrumentSpec(
      name: "\(coin)-PERPETUAL", product: coin, underlying: "\(coin.lowercased())_usd",
      grid: InstrumentGrid(tickE8: tickE8, lotE8: lotE8, minimumLots: QtyLots(rawValue: 1)), initialIndexE8: indexE8,
      premiumLots: QtyLots(rawValue: 100_000 / contractUSD))
    spec.isInverse = true
    return Self(spec: spec, base: coin, quote: "USD", counter: "USD", settlement: coin)
  }

  static func linear(_ coin: String, tickE8: Int64, lotE8: Int64, indexE8: Int64) -> Self {
    let spec = InstrumentSpec(
      name: "\(coin)_USDC-PERPETUAL", product: "\(coin)_USDC", underlying: "\(coin.lowercased())_usdc",
      grid: InstrumentGrid(tickE8: tickE8, lotE8: lotE8, minimumLots: QtyLots(rawValue: 1)), initialIndexE8: indexE8,
      premiumLots: QtyLots(rawValue: max(1, 100_000_00000000 / (indexE8 / 100_000_000) / lotE8)))
    return Self(spec: spec, base: coin, quote: "USDC", counter: "USDC", settlement: "USDC")
  }

  /// An inverse BTC future that expires at 08:00 UTC of a day since the epoch, quoted by the venue itself; tick 2.5 USD.
  public static func btcFuture(day: Int64, indexE8: Int64 = btcPerpetual.spec.initialIndexE8) -> Self {
    var instrument = btcPerpetual
    let future = InstrumentSpec.btcFuture(day: day, indexE8: indexE8)
    // The day without a leading zero.
    let short = future.name.dropFirst("BTC-".count)
    instrument.spec.name = "BTC-\(short.hasPrefix("0") ? short.dropFirst() : short)"
    instrument.spec.kind = .future
    instrument.spec.expirySeconds = future.expirySeconds
    instrument.spec.expiryDate = future.expiryDate
    instrument.spec.initialIndexE8 = indexE8
    instrument.spec.grid.tickE8 = 250_000_000
    instrument.spec.grid.minimumLots = QtyLots(rawValue: 1)
    instrument.spec.isQuotedByVenue = true
    instrument.settlementPeriod = "month"
    return instrument
  }
}

extension DeribitInstrument {
  /// An option on BTC for a future's expiry, priced in BTC: tick 0.0001, 0.0005 above 0.005; amounts are multiples of 0.1.
  public static func btcOption(
    _ type: InstrumentSpec.OptionType, strike: Int64, expiryOf future: DeribitInstrument
  ) -> Self {
    var spec = future.spec
    spec.name = "\(future.spec.name)-\(strike)-\(type == .call ? "C" : "P")"
    spec.kind = .option
    spec.isInverse = false
    spec.isPricedInCoin = true
    spec.optionType = type
    spec.strikeE8 = strike * 100_000_000
    spec.grid = InstrumentGrid(tickE8: 10_000, lotE8: 10_000_000, minimumLots: QtyLots(rawValue: 1))
    spec.premiumLots = QtyLots(rawValue: 10)
    var option = Self(
      spec: spec, base: "BTC", quote: "BTC", counter: "USD", settlement: "BTC", contractSizeE8: 100_000_000)
    option.settlementPeriod = future.settlementPeriod
    option.tickSteps = [DeribitTickStep(aboveE8: 500_000, tickE8: 50_000)]
    option.makerFeeE6 = 300
    option.takerFeeE6 = 300
    option.maximumLeverage = 10
    return option
  }

  /// Calls and puts around the money, about as many as asked for, strikes 1,000 USD apart.
  public static func btcOptions(_ count: Int, expiryOf future: DeribitInstrument) -> [Self] {
    let strikes = Int64((max(0, min(2000, count)) + 1) / 2)
    let money = future.spec.initialIndexE8 / 100_000_000_000 * 1000
    var options: [Self] = []
    for place in 0..<strikes {
      let strike = money + (place - strikes / 2) * 1000
      guard strike > 0 else { continue }
      options.append(btcOption(.call, strike: strike, expiryOf: future))
      options.append(btcOption(.put, strike: strike, expiryOf: future))
    }
    return options
  }
}

/// A key that may log in.
public struct DeribitClient: Sendable, Equatable {
  public var id: String
  /// `nil`: any secret and any signature will do.
  public var secret: String?
  /// Name of the account in the venue's books.
  public var account: String

  public init(id: String, secret: String?, account: String) {
    self.id = id
    self.secret = secret
    self.account = account
  }
}

/// How a simulated Deribit behaves; what the protocol reference leaves open (section 24) is to be chosen here.
public struct DeribitConfiguration: Sendable {
  public var instruments: [DeribitInstrument] = [.btcPerpetual, .btcLinear, .ethLinear]
  /// Decides tokens, change ids, orders of messages and ways of writing numbers; same seed and inputs, same bytes out.
  public var seed: UInt64 = 1
  /// The venue's wall clock at virtual time 0, nanoseconds since the Unix epoch.
  public var wallClockBase: Nanoseconds = 1_790_867_074_000_000_000
  /// Empty: every key may log in with any secret, and owns an account of its own name.
  public var clients: [DeribitClient] = []
  /// Balance of a new account by currency, 10⁻⁸.
  public var initialBalances: [String: MoneyE8] = [
    "BTC": 10_00000000, "ETH": 100_00000000, "USDC": 1_000_000_00000000,
  ]

  /// The first change id of the books, which all instruments share. Above 2⁵³ by default.
  public var firstChangeID: Int64 = 210_049_235_256_678_389

  /// How numbers are written: `1000.0`, or at random also `1000` and `1e3`.
  public enum Numbers: String, Sendable, CaseIterable { case pointed, varied }
  public var numbers = Numbers.pointed

  /// What comes first: the reply to a request or what it makes others hear, `user.orders` or `user.trades`.
  public enum MessageOrder: String, Sendable, CaseIterable {
    /// The reply, then `user.orders`, `user.trades`, `user.changes`, `user.portfolio`.
    case replyFirst
    /// The same with the reply last.
    case replyLast
    /// Drawn for each transaction.
    case random
  }
  public var messageOrder = MessageOrder.replyFirst
  /// Notifications of accounts come this much later than what they tell of.
  public var notificationDelay: Nanoseconds = 0

  /// Index, mark and funding move this often; 1 s at the real venue.
  public var markInterval: Nanoseconds = 1_000_000_000
  /// `min_price` and `max_price` are mark · (1 ∓ this / 10,000).
  public var bandBasisPoints: Int64 = 300
  public var optionBandBasisPoints: Int64 = 5000
  /// `not_enough_funds` for orders whose worst case needs more initial margin than there is equity.
  public var checksMargin = true
  /// Open orders of an account, quotes not counted; error 10014 above it.
  public var maximumOpenOrders = 1000

  /// Requests over their credits get 10028, and the connection is closed.
  public var enforcesLimits = true
  /// Matching-engine requests a second and their burst; the same for `cancel_all`.
  public var matchingRate = 5
  public var matchingBurst = 20
  public var cancelAllRate = 5
  public var cancelAllBurst = 20
  public var massQuoteRate = 10
  public var quoteRate = 500

  /// Mass quotes are allowed at all (else 13902).
  public var allowsMassQuotes = true
  /// `reject_taker`: an order that meets its owner's is cancelled with `order_overlap` instead of being refused.
  public var cancelsOverlap = false
  /// A connection from which nothing has come for so long is closed, with a subscription after ten times as long; 0 never.
  public var idleTimeout: Nanoseconds = 60_000_000_000
  /// Error 10041 for this long at the daily settlement, 08:00 UTC.
  public var settlementPause: Nanoseconds = 3_000_000_000
  /// Trades a mark interval that others do in the instruments which the venue itself quotes.
  public var derivedTradesPerMark = 2
  /// What `agg2` means.
  public var slowInterval: Nanoseconds = 1_000_000_000

  /// How participants' orders trade against the flow of a recorded market, as for `VenueConfiguration`.
  public var fillModel: FillModel?
  /// Bounds of each matching engine.
  public var maximumRestingOrders: UInt32 = 65_536
  public var maximumLevels: UInt32 = 16_384

  public init() {}

  /// A made-up market for the instruments that the venue does not quote itself.
  public func syntheticFlow(seed: UInt64, speedThousandths: Int64 = 1000) -> SyntheticFlow {
    SyntheticFlow(
      seed: seed,
      streams: instruments.enumerated().filter { !$0.element.spec.isQuotedByVenue }.map { index, instrument in
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
    core.collarBasisPoints = bandBasisPoints
    core.optionCollarBasisPoints = optionBandBasisPoints
    core.maximumOpenOrders = maximumOpenOrders
    core.fillModel = fillModel
    core.derivedTradesPerMark = derivedTradesPerMark
    core.maximumRestingOrders = maximumRestingOrders
    core.maximumLevels = maximumLevels
    return core
  }
}
