/// What may be held of one underlying at all venues together, in its own units: coins.
public struct UnderlyingSection: Codable, Equatable, Sendable {
  /// As instruments' names begin: `BTC`.
  public var name: String
  /// Long or short, everything counted that may still trade.
  public var maxPosition: DecimalE8
  /// Whether every venue's quotes lean against the position of all.
  public var skew: Bool
  /// `venue:instrument`, at which a position above `hedgeBand` is closed by taking; `nil`: nowhere.
  public var hedge: String?
  public var hedgeBand: DecimalE8
  /// From the best price, basis points, at most 2 decimals.
  public var hedgeSlippageBps: DecimalE8
  /// How long an order that waits at the best price is tried before one takes; 0: it takes at once.
  public var hedgePatienceMs: Int
  /// Coins that may be taken within a minute; 0: as many as are needed.
  public var hedgePerMinute: DecimalE8
  /// What quoting does while the venue of `hedge` is away.
  public var hedgeLost: HedgeLoss
  /// What of each venue's top goes into the fair value.
  public var fair: FairWord
  public var fairHalfLifeMs: Int
  public var fairStaleMs: Int
  public var fairBasisSeconds: Int
  public var fairOutlierBps: DecimalE8
  public var crossed: CrossedRule
  public var crossedEdgeBps: DecimalE8
  /// Coins that one attempt takes at each venue.
  public var crossedSize: DecimalE8
  /// Coins that may be taken within a minute.
  public var crossedPerMinute: DecimalE8

  /// How a fair value is made of the tops of all venues.
  public enum FairWord: String, Codable, CaseIterable, Sendable {
    case none, mid, micro
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name
    case maxPosition = "max_position"
    case skew, hedge
    case hedgeBand = "hedge_band"
    case hedgeSlippageBps = "hedge_slippage_bps"
    case hedgePatienceMs = "hedge_patience_ms"
    case hedgePerMinute = "hedge_per_minute"
    case hedgeLost = "hedge_lost"
    case fair
    case fairHalfLifeMs = "fair_half_life_ms"
    case fairStaleMs = "fair_stale_ms"
    case fairBasisSeconds = "fair_basis_s"
    case fairOutlierBps = "fair_outlier_bps"
    case crossed
    case crossedEdgeBps = "crossed_edge_bps"
    case crossedSize = "crossed_size"
    case crossedPerMinute = "crossed_per_minute"
  }

  public init(
    name: String, maxPosition: DecimalE8, skew: Bool = true, hedge: String? = nil, hedgeBand: DecimalE8 = .zero,
    hedgeSlippageBps: DecimalE8 = DecimalE8(e8: 10_00000000), hedgePatienceMs: Int = 0,
    hedgePerMinute: DecimalE8 = .zero, hedgeLost: HedgeLoss = .widen, fair: FairWord = .none,
    fairHalfLifeMs: Int = 500, fairStaleMs: Int = 3000, fairBasisSeconds: Int = 60,
    fairOutlierBps: DecimalE8 = DecimalE8(e8: 20_00000000), crossed: CrossedRule = .ignore,
    crossedEdgeBps: DecimalE8 = .one, crossedSize: DecimalE8 = .zero, crossedPerMinute: DecimalE8 = .zero
  ) {
    self.name = name
    self.maxPosition = maxPosition
    self.skew = skew
    self.hedge = hedge
    self.hedgeBand = hedgeBand
    self.hedgeSlippageBps = hedgeSlippageBps
    self.hedgePatienceMs = hedgePatienceMs
    self.hedgePerMinute = hedgePerMinute
    self.hedgeLost = hedgeLost
    self.fair = fair
    self.fairHalfLifeMs = fairHalfLifeMs
    self.fairStaleMs = fairStaleMs
    self.fairBasisSeconds = fairBasisSeconds
    self.fairOutlierBps = fairOutlierBps
    self.crossed = crossed
    self.crossedEdgeBps = crossedEdgeBps
    self.crossedSize = crossedSize
    self.crossedPerMinute = crossedPerMinute
  }

  /// Of a journal, which may be older than a key.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      name: try values.decode(String.self, forKey: .name),
      maxPosition: try values.decode(DecimalE8.self, forKey: .maxPosition))
    func read<Value: Decodable>(_ key: CodingKeys, _ value: inout Value) throws {
      value = try values.decodeIfPresent(Value.self, forKey: key) ?? value
    }
    try read(.skew, &skew)
    hedge = try values.decodeIfPresent(String.self, forKey: .hedge)
    try read(.hedgeBand, &hedgeBand)
    try read(.hedgeSlippageBps, &hedgeSlippageBps)
    try read(.hedgePatienceMs, &hedgePatienceMs)
    try read(.hedgePerMinute, &hedgePerMinute)
    try read(.hedgeLost, &hedgeLost)
    try read(.fair, &fair)
    try read(.fairHalfLifeMs, &fairHalfLifeMs)
    try read(.fairStaleMs, &fairStaleMs)
    try read(.fairBasisSeconds, &fairBasisSeconds)
    try read(.fairOutlierBps, &fairOutlierBps)
    try read(.crossed, &crossed)
    try read(.crossedEdgeBps, &crossedEdgeBps)
    try read(.crossedSize, &crossedSize)
    try read(.crossedPerMinute, &crossedPerMinute)
  }
}

/// What holds over all lanes and underlyings.
public struct ManagerSection: Codable, Equatable, Sendable {
  /// Loss since the start, or since the last `apus resume`, at which `safety.loss_level` is latched, quote currency;
  /// 0 = no limit.
  public var maxLoss: DecimalE8
  /// Fall from the best profit since the start at which the same happens, quote currency; 0 = no limit.
  public var maxDrawdown: DecimalE8
  /// Loss at which the manager widens the quotes, quote currency; 0 = never.
  public var widenAtLoss: DecimalE8
  /// By how much: 2 = twice the half-spread.
  public var widenFactor: DecimalE8
  /// What the worst cases of all underlyings may be worth together, quote currency; 0 = no limit.
  public var maxExposure: DecimalE8
  /// A lane that says nothing for so long is taken for dark.
  public var darkAfterMs: Int

  enum CodingKeys: String, CodingKey, CaseIterable {
    case maxLoss = "max_loss"
    case maxDrawdown = "max_drawdown"
    case widenAtLoss = "widen_at_loss"
    case widenFactor = "widen_factor"
    case maxExposure = "max_exposure"
    case darkAfterMs = "dark_after_ms"
  }

  public init(
    maxLoss: DecimalE8 = .zero, maxDrawdown: DecimalE8 = .zero, widenAtLoss: DecimalE8 = .zero,
    widenFactor: DecimalE8 = .two, maxExposure: DecimalE8 = .zero, darkAfterMs: Int = 1000
  ) {
    self.maxLoss = maxLoss
    self.maxDrawdown = maxDrawdown
    self.widenAtLoss = widenAtLoss
    self.widenFactor = widenFactor
    self.maxExposure = maxExposure
    self.darkAfterMs = darkAfterMs
  }

  /// Of a journal, which may be older than a key.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      maxLoss: try values.decode(DecimalE8.self, forKey: .maxLoss),
      maxDrawdown: try values.decode(DecimalE8.self, forKey: .maxDrawdown),
      widenAtLoss: try values.decode(DecimalE8.self, forKey: .widenAtLoss),
      widenFactor: try values.decode(DecimalE8.self, forKey: .widenFactor))
    maxExposure = try values.decodeIfPresent(DecimalE8.self, forKey: .maxExposure) ?? maxExposure
    darkAfterMs = try values.decodeIfPresent(Int.self, forKey: .darkAfterMs) ?? darkAfterMs
  }
}
