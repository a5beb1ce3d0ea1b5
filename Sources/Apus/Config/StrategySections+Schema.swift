/// The key that says which others a strategy's section has.
struct StrategyKindSection: DescribedSection {
  var kind: StrategyKind

  static var blank: Self { Self(kind: .ladder) }
  static let keys: [ConfigurationKey<Self>] = [
    .init(
      StrategySection.CodingKeys.kind, \.kind, .choice, .required, "Which strategy; the keys of each are listed below.")
  ]
}

/// Of a strategy without parameters of its own.
struct NoParametersSection: DescribedSection {
  static var blank: Self { Self() }
  static let keys: [ConfigurationKey<Self>] = []
}

/// The sections of both models of Avellaneda and Stoikov have these keys.
protocol ModelSection: DescribedSection {
  var model: GLFTSection { get set }
}

extension ModelSection {
  private var riskAversion: DecimalE8 {
    get { model.riskAversion }
    set { model.riskAversion = newValue }
  }
  private var halfLifeSeconds: Int {
    get { model.halfLifeSeconds }
    set { model.halfLifeSeconds = newValue }
  }
  private var volatilitySampleMs: Int {
    get { model.volatilitySampleMs }
    set { model.volatilitySampleMs = newValue }
  }
  private var tradeSampleMs: Int {
    get { model.tradeSampleMs }
    set { model.tradeSampleMs = newValue }
  }
  private var startsWithLadder: Bool {
    get { model.startsWithLadder }
    set { model.startsWithLadder = newValue }
  }

  static var modelKeys: [ConfigurationKey<Self>] {
    typealias Keys = GLFTSection.CodingKeys
    return [
      .init(
        Keys.riskAversion, \.riskAversion, .decimal(.zero...decimal(1000), isAboveLower: true), .required,
        unit: "1/USD",
        "How much a move of the price against one order's size is feared: larger leans harder and, with a horizon, "
          + "quotes wider."),
      .init(
        Keys.halfLifeSeconds, \.halfLifeSeconds, .whole(1...86_400), .defaulted, unit: "s",
        "What was seen of volatility and trades counts half after this long."),
      .init(
        Keys.volatilitySampleMs, \.volatilitySampleMs, .whole(10...60_000), .defaulted, unit: "ms",
        "Between two samples of the mid for the volatility."),
      .init(
        Keys.tradeSampleMs, \.tradeSampleMs, .whole(10...60_000), .defaulted, unit: "ms",
        "Interval in which the farthest trade from the mid is taken for the intensity."),
      .init(
        Keys.startsWithLadder, \.startsWithLadder, .flag, .defaulted,
        "Whether the plain ladder is quoted until there are estimates; otherwise nothing is."),
    ]
  }
}

extension GLFTSection: ModelSection {
  static var blank: Self { Self(riskAversion: .zero) }
  static let keys: [ConfigurationKey<Self>] = modelKeys

  var model: GLFTSection {
    get { self }
    set { self = newValue }
  }
}

extension AvellanedaStoikovSection: ModelSection {
  static var blank: Self { Self(horizonSeconds: 0, model: .blank) }
  static let keys: [ConfigurationKey<Self>] =
    [
      .init(
        CodingKeys.horizonSeconds, \.horizonSeconds, .whole(1...86_400), .required, unit: "s",
        "Length of a period, at the end of which inventory has no price; periods follow one another on the venue's clock."
      )
    ] + modelKeys
}

extension MakeAndHedgeSection: DescribedSection {
  static var blank: Self {
    Self(makerFeeBps: .zero, hedgeFeeBps: .zero, hedgeHalfSpreadBps: .zero, slippageBps: .zero, edgeBps: .zero)
  }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.makerFeeBps, \.makerFeeBps, .decimal(DecimalE8(e8: -10_000_000_000)...decimal(100), decimals: 2),
      .required, unit: "bps", "Paid for a fill here, as maker; negative is received."),
    .init(
      CodingKeys.hedgeFeeBps, \.hedgeFeeBps, .decimal(.zero...decimal(100), decimals: 2), .required, unit: "bps",
      "Paid for the hedge there, as taker."),
    .init(
      CodingKeys.hedgeHalfSpreadBps, \.hedgeHalfSpreadBps, .decimal(.zero...decimal(1000), decimals: 2), .required,
      unit: "bps", "From the fair value to the best price there."),
    .init(
      CodingKeys.slippageBps, \.slippageBps, .decimal(.zero...decimal(1000), decimals: 2), .required, unit: "bps",
      "How far beyond the best price a hedge trades."),
    .init(
      CodingKeys.edgeBps, \.edgeBps, .decimal(.zero...decimal(1000), decimals: 2), .required, unit: "bps",
      "What is to be left of a fill here and its hedge there."),
    .init(
      CodingKeys.maxGapBps, \.maxGapBps, .decimal(.zero...decimal(5000), isAboveLower: true, decimals: 2), .defaulted,
      unit: "bps", "Nothing is quoted while the fair value is this far from the mid here."),
  ]
}

extension OrderFlowSection: DescribedSection {
  static var blank: Self { Self() }

  static let keys: [ConfigurationKey<Self>] = [
    .init(CodingKeys.enabled, \.enabled, .flag, .defaulted, "Off where defaults have switched it on."),
    .init(
      CodingKeys.halfLifeMs, \.halfLifeMs, .whole(1...600_000), .defaulted, unit: "ms",
      "After this long what came to the best prices, or left them, counts half."),
    .init(
      CodingKeys.widenAt, \.widenAt, .decimal(.zero...decimal(1000), decimals: 3), .defaulted, unit: "mean best sizes",
      "Signal from which the side about to be run over moves away; a pulled one comes back below it."),
    .init(
      CodingKeys.pullAt, \.pullAt, .decimal(.zero...decimal(1000), isAboveLower: true, decimals: 3), .defaulted,
      unit: "mean best sizes", "Signal at which that side is pulled."),
    .init(
      CodingKeys.widenBps, \.widenBps, .decimal(.zero...decimal(1000), decimals: 2), .defaulted, unit: "bps",
      "How far that side has moved away just before it is pulled."),
  ]
}

extension OptionsSection: DescribedSection {
  static var blank: Self {
    Self(volHalfSpread: .zero, deltaHalfSpreadBps: .zero, maxDelta: .zero, maxGamma: .zero, maxVega: .zero)
  }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.volHalfSpread, \.volHalfSpread, .decimal(.zero...decimal(100)), .required, unit: "vol points",
      "Half-spread for the volatility, times vega."),
    .init(
      CodingKeys.deltaHalfSpreadBps, \.deltaHalfSpreadBps, .decimal(.zero...decimal(1000), decimals: 2), .required,
      unit: "bps of forward",
      "Half-spread for the hedge, times the absolute delta; added to the one for the volatility."),
    .init(
      CodingKeys.vegaSkew, \.vegaSkew, .decimal(.zero...decimal(100)), .defaulted, unit: "vol points",
      "How far the volatility is moved against the chain's vega at its limit."),
    .init(
      CodingKeys.deltaSkewBps, \.deltaSkewBps, .decimal(.zero...decimal(1000), decimals: 2), .defaulted,
      unit: "bps of forward", "How far the forward is moved against the chain's delta at its limit."),
    .init(
      CodingKeys.maxDelta, \.maxDelta, .decimal(.zero...decimal(1_000_000), isAboveLower: true), .required,
      unit: "coins", "No quote may bring the chain's delta past this; a perpetual or future quoted here counts."),
    .init(
      CodingKeys.maxGamma, \.maxGamma, .decimal(.zero...decimal(1_000_000), isAboveLower: true), .required,
      unit: "coins per USD", "Likewise its gamma: delta per unit of the quote currency."),
    .init(
      CodingKeys.maxVega, \.maxVega, .decimal(.zero...decimal(1_000_000_000), isAboveLower: true), .required,
      unit: "USD per vol point", "Likewise its vega."),
    .init(
      CodingKeys.refitMs, \.refitMs, .whole(1...60_000), .defaulted, unit: "ms",
      "An expiry's smile is fitted at most this often."),
    .init(
      CodingKeys.markLifeMs, \.markLifeMs, .whole(100...600_000), .defaulted, unit: "ms",
      "Marks older than this are not fitted."),
    .init(
      CodingKeys.lastQuoteSeconds, \.lastQuoteSeconds, .whole(0...86_400), .defaulted, unit: "s",
      "An expiry is quoted until this long before it."),
  ]
}
