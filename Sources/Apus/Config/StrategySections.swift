/// The strategies that a configuration can choose.
public enum StrategyKind: String, Codable, CaseIterable, Sendable {
  case ladder
  case avellanedaStoikov = "avellaneda_stoikov"
  case glft
  case makeAndHedge = "make_and_hedge"
  case options
}

/// What decides the quotes of an instrument, with the parameters that it has beside the ladder's.
public enum StrategySection: Equatable, Sendable {
  case ladder
  case avellanedaStoikov(AvellanedaStoikovSection)
  case glft(GLFTSection)
  case makeAndHedge(MakeAndHedgeSection)
  case options(OptionsSection)

  public var kind: StrategyKind {
    switch self {
    case .ladder: .ladder
    case .avellanedaStoikov: .avellanedaStoikov
    case .glft: .glft
    case .makeAndHedge: .makeAndHedge
    case .options: .options
    }
  }
}

extension StrategySection: Codable {
  enum CodingKeys: String, CodingKey, CaseIterable { case kind }

  public init(from decoder: any Decoder) throws {
    switch try decoder.container(keyedBy: CodingKeys.self).decode(StrategyKind.self, forKey: .kind) {
    case .ladder: self = .ladder
    case .avellanedaStoikov: self = .avellanedaStoikov(try AvellanedaStoikovSection(from: decoder))
    case .glft: self = .glft(try GLFTSection(from: decoder))
    case .makeAndHedge: self = .makeAndHedge(try MakeAndHedgeSection(from: decoder))
    case .options: self = .options(try OptionsSection(from: decoder))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .ladder: break
    case .avellanedaStoikov(let section): try section.encode(to: encoder)
    case .glft(let section): try section.encode(to: encoder)
    case .makeAndHedge(let section): try section.encode(to: encoder)
    case .options(let section): try section.encode(to: encoder)
    }
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(kind, forKey: .kind)
  }
}

extension KeyedDecodingContainer {
  /// Journals of before there was a choice do not name it; the synthesised decoding finds this.
  func decode(_ type: StrategySection.Type, forKey key: Key) throws -> StrategySection {
    try decodeIfPresent(type, forKey: key) ?? .ladder
  }
}

extension InstrumentSection {
  var isNamedAsOption: Bool { Underlying.isOption(name) }

  /// Whether its sizes are amounts of the quote currency, as the name tells: futures at Deribit that name no pair.
  func isNamedAsInverse(at venue: VenueKind) -> Bool {
    venue == .deribit && !isNamedAsOption && !name.contains("_")
  }
}

/// How a market is estimated: of both models of Avellaneda and Stoikov.
public struct GLFTSection: Codable, Equatable, Sendable {
  /// γ: per unit of the quote currency, for one order's size.
  public var riskAversion: DecimalE8
  /// An observation counts half after this long.
  public var halfLifeSeconds: Int
  public var volatilitySampleMs: Int
  public var tradeSampleMs: Int
  /// Whether the plain ladder is quoted until there are estimates; otherwise nothing is.
  public var startsWithLadder: Bool

  enum CodingKeys: String, CodingKey, CaseIterable {
    case riskAversion = "risk_aversion_per_usd"
    case halfLifeSeconds = "half_life_s"
    case volatilitySampleMs = "volatility_sample_ms"
    case tradeSampleMs = "trade_sample_ms"
    case startsWithLadder = "starts_with_ladder"
  }

  public init(
    riskAversion: DecimalE8, halfLifeSeconds: Int = 120, volatilitySampleMs: Int = 1000, tradeSampleMs: Int = 500,
    startsWithLadder: Bool = false
  ) {
    self.riskAversion = riskAversion
    self.halfLifeSeconds = halfLifeSeconds
    self.volatilitySampleMs = volatilitySampleMs
    self.tradeSampleMs = tradeSampleMs
    self.startsWithLadder = startsWithLadder
  }
}

public struct AvellanedaStoikovSection: Codable, Equatable, Sendable {
  /// Of a period, at the end of which the inventory has no price.
  public var horizonSeconds: Int
  public var model: GLFTSection

  enum CodingKeys: String, CodingKey, CaseIterable {
    case horizonSeconds = "horizon_s"
    case riskAversion = "risk_aversion_per_usd"
    case halfLifeSeconds = "half_life_s"
    case volatilitySampleMs = "volatility_sample_ms"
    case tradeSampleMs = "trade_sample_ms"
    case startsWithLadder = "starts_with_ladder"
  }

  public init(horizonSeconds: Int, model: GLFTSection) {
    self.horizonSeconds = horizonSeconds
    self.model = model
  }

  public init(from decoder: any Decoder) throws {
    horizonSeconds = try decoder.container(keyedBy: CodingKeys.self).decode(Int.self, forKey: .horizonSeconds)
    model = try GLFTSection(from: decoder)
  }

  public func encode(to encoder: any Encoder) throws {
    try model.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(horizonSeconds, forKey: .horizonSeconds)
  }
}

/// Basis points of the price.
public struct MakeAndHedgeSection: Codable, Equatable, Sendable {
  /// Negative: a rebate.
  public var makerFeeBps: DecimalE8
  public var hedgeFeeBps: DecimalE8
  public var hedgeHalfSpreadBps: DecimalE8
  public var slippageBps: DecimalE8
  public var edgeBps: DecimalE8
  public var maxGapBps: DecimalE8

  enum CodingKeys: String, CodingKey, CaseIterable {
    case makerFeeBps = "maker_fee_bps"
    case hedgeFeeBps = "hedge_fee_bps"
    case hedgeHalfSpreadBps = "hedge_half_spread_bps"
    case slippageBps = "slippage_bps"
    case edgeBps = "edge_bps"
    case maxGapBps = "max_gap_bps"
  }

  public init(
    makerFeeBps: DecimalE8, hedgeFeeBps: DecimalE8, hedgeHalfSpreadBps: DecimalE8, slippageBps: DecimalE8,
    edgeBps: DecimalE8, maxGapBps: DecimalE8 = DecimalE8(e8: 10_000_000_000)
  ) {
    self.makerFeeBps = makerFeeBps
    self.hedgeFeeBps = hedgeFeeBps
    self.hedgeHalfSpreadBps = hedgeHalfSpreadBps
    self.slippageBps = slippageBps
    self.edgeBps = edgeBps
    self.maxGapBps = maxGapBps
  }
}

public struct OrderFlowSection: Codable, Equatable, Sendable {
  public var enabled: Bool
  public var halfLifeMs: Int
  /// In mean sizes of a best level.
  public var widenAt: DecimalE8
  public var pullAt: DecimalE8
  public var widenBps: DecimalE8

  enum CodingKeys: String, CodingKey, CaseIterable {
    case enabled
    case halfLifeMs = "half_life_ms"
    case widenAt = "widen_at_best_sizes"
    case pullAt = "pull_at_best_sizes"
    case widenBps = "widen_bps"
  }

  public init(
    enabled: Bool = true, halfLifeMs: Int = 500, widenAt: DecimalE8 = DecimalE8(e8: 200_000_000),
    pullAt: DecimalE8 = DecimalE8(e8: 400_000_000), widenBps: DecimalE8 = .one
  ) {
    self.enabled = enabled
    self.halfLifeMs = halfLifeMs
    self.widenAt = widenAt
    self.pullAt = pullAt
    self.widenBps = widenBps
  }
}

public struct OptionsSection: Codable, Equatable, Sendable {
  /// Points of volatility.
  public var volHalfSpread: DecimalE8
  public var deltaHalfSpreadBps: DecimalE8
  /// Points of volatility at the limit of vega.
  public var vegaSkew: DecimalE8
  public var deltaSkewBps: DecimalE8
  /// Units of the underlying.
  public var maxDelta: DecimalE8
  /// Units of the underlying per unit of the quote currency.
  public var maxGamma: DecimalE8
  /// Quote currency per point of volatility.
  public var maxVega: DecimalE8
  public var refitMs: Int
  public var markLifeMs: Int
  public var lastQuoteSeconds: Int

  enum CodingKeys: String, CodingKey, CaseIterable {
    case volHalfSpread = "half_spread_vol_points"
    case deltaHalfSpreadBps = "delta_half_spread_bps"
    case vegaSkew = "vega_skew_vol_points"
    case deltaSkewBps = "delta_skew_bps"
    case maxDelta = "max_delta_coins"
    case maxGamma = "max_gamma_coins_per_usd"
    case maxVega = "max_vega_usd_per_point"
    case refitMs = "refit_ms"
    case markLifeMs = "mark_life_ms"
    case lastQuoteSeconds = "last_quote_s"
  }

  public init(
    volHalfSpread: DecimalE8, deltaHalfSpreadBps: DecimalE8, maxDelta: DecimalE8, maxGamma: DecimalE8,
    maxVega: DecimalE8, vegaSkew: DecimalE8 = .zero, deltaSkewBps: DecimalE8 = .zero, refitMs: Int = 100,
    markLifeMs: Int = 10_000, lastQuoteSeconds: Int = 3600
  ) {
    self.volHalfSpread = volHalfSpread
    self.deltaHalfSpreadBps = deltaHalfSpreadBps
    self.vegaSkew = vegaSkew
    self.deltaSkewBps = deltaSkewBps
    self.maxDelta = maxDelta
    self.maxGamma = maxGamma
    self.maxVega = maxVega
    self.refitMs = refitMs
    self.markLifeMs = markLifeMs
    self.lastQuoteSeconds = lastQuoteSeconds
  }
}
