import CSupport
import Glibc

/// The model of Avellaneda and Stoikov with its finite horizon.
///
/// With s the fair price, q the inventory in orders, T − t what is left of the period in seconds:
///
///     centre  r = s − q γ σ² (T − t)
///     half      = γ σ² (T − t) / 2 + ln(1 + γ/k) / γ
///
/// M. Avellaneda, S. Stoikov, "High-frequency trading in a limit order book", Quantitative Finance 8 (2008), equations
/// (3.17), the indifference price r and the spread, in section 3.2. σ and k are estimated (`VolatilityEstimator`,
/// `IntensityEstimator`). Periods follow one another on the venue's clock: at the end of one there is no reason to lean.
public struct AvellanedaStoikov: Strategy, Sendable {
  /// Of a period, > 0.
  public private(set) var horizon: Nanoseconds
  private var quoter: InventoryQuoter
  /// ln(1 + γ/k) / γ; 0 until there is an estimate.
  private var fillPart = 0.0
  /// γ σ².
  private var riskRate = 0.0

  public init(_ parameters: InventoryParameters, horizon: Nanoseconds, grid: InstrumentGrid) {
    self.horizon = horizon
    quoter = InventoryQuoter(parameters, grid: grid)
  }

  /// Other parameters from the next look on; what was estimated last stays in force until there are new estimates.
  mutating func retune(_ parameters: InventoryParameters, horizon: Nanoseconds, grid: InstrumentGrid) {
    self.horizon = horizon
    quoter.retune(parameters, grid: grid)
    adopt()
  }

  public mutating func trade(_ trade: PublicTrade) { quoter.note(trade) }

  public mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {
    if quoter.note(view) { adopt() }
    guard view.directive.isQuotingAllowed else { return }
    guard fillPart > 0 else { return quoter.quoteStart(view, into: &ladders) }
    let step = riskRate * secondsLeft(view)
    quoter.quote(step: step, half: step / 2 + fillPart, view, into: &ladders)
  }

  @inline(never)
  private mutating func adopt() {
    guard let variance = quoter.estimates.variance, let arrivals = quoter.estimates.arrivals else { return }
    let aversion = quoter.parameters.riskAversion
    riskRate = aversion * variance
    fillPart = Self.fillPart(aversion: aversion, decay: arrivals.decay)
  }

  /// What the chance of a fill alone makes of the half-spread.
  static func fillPart(aversion: Double, decay: Double) -> Double { log1p(aversion / decay) / aversion }

  private func secondsLeft(_ view: QuoteView) -> Double {
    let clock = view.venueTime != 0 ? view.venueTime : view.now
    let into = clock % horizon
    return Double(horizon - (into < 0 ? into + horizon : into)) * 1e-9
  }
}
