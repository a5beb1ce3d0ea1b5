import CSupport

/// How volatility and intensity are estimated.
public struct EstimateParameters: Equatable, Sendable {
  /// Between two samples of the middle for the volatility, > 0.
  public var volatilityInterval: Nanoseconds
  /// In which the farthest trade is taken for the intensity, > 0.
  public var tradeInterval: Nanoseconds
  /// After which an observation counts half, > 0.
  public var halfLife: Nanoseconds

  public init(
    volatilityInterval: Nanoseconds = 1_000_000_000, tradeInterval: Nanoseconds = 500_000_000,
    halfLife: Nanoseconds = 120_000_000_000
  ) {
    self.volatilityInterval = volatilityInterval
    self.tradeInterval = tradeInterval
    self.halfLife = halfLife
  }
}

/// What the models of Avellaneda and Stoikov need to know of a market, in the quote currency and seconds.
struct MarketEstimates: Sendable {
  /// How often the estimates are taken anew: their logarithms cost more than a look.
  static let refreshInterval: Nanoseconds = 1_000_000_000

  private let tick: Double
  private var volatility: VolatilityEstimator
  private var intensity: IntensityEstimator
  private var nextRefresh: Nanoseconds?

  init(_ parameters: EstimateParameters, grid: InstrumentGrid) {
    tick = grid.tick
    volatility = VolatilityEstimator(interval: parameters.volatilityInterval, halfLife: parameters.halfLife)
    intensity = IntensityEstimator(
      width: grid.tick / 2, interval: parameters.tradeInterval, halfLife: parameters.halfLife)
  }

  /// σ² in squared price units per second.
  var variance: Double? { volatility.variance }
  var arrivals: IntensityEstimator.Estimate? { intensity.estimate }

  @inline(__always)
  mutating func note(_ trade: PublicTrade) {
    intensity.note(tradeAt: Double(trade.price.rawValue) * tick, aggressor: trade.aggressor, time: trade.time)
  }

  /// Returns whether the estimates were taken anew.
  @inline(__always)
  mutating func note(_ view: QuoteView) -> Bool {
    let middle = view.fairTicks(markWeightPermille: 0) * tick
    volatility.note(middle, now: view.now)
    intensity.note(middle, now: view.now)
    guard let due = nextRefresh, view.now >= due else {
      if nextRefresh == nil { nextRefresh = view.now &+ Self.refreshInterval }
      return false
    }
    nextRefresh = view.now &+ Self.refreshInterval
    intensity.refresh(now: view.now)
    return true
  }
}
