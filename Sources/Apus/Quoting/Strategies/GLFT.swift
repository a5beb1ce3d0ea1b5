import CSupport
import Glibc

/// The model of Guéant, Lehalle and Fernandez-Tapia: that of Avellaneda and Stoikov with an infinite horizon.
///
/// With s the fair price and q the inventory in orders, the asymptotic quotes are
///
///     bid = s − c₁ − (2q + 1)/2 · c₂        c₁ = ln(1 + γ/k) / γ
///     ask = s + c₁ − (2q − 1)/2 · c₂        c₂ = √( σ² γ / (2 k A) · (1 + γ/k)^(1 + k/γ) )
///
/// O. Guéant, C.-A. Lehalle, J. Fernandez-Tapia, "Dealing with the inventory risk: a solution to the market making
/// problem", Mathematics and Financial Economics 7 (2013), section 3.2. σ, A and k are estimated (`VolatilityEstimator`,
/// `IntensityEstimator`); c₁ and c₂ are taken anew with them, once a second, and not for each quote.
public struct GLFT: Strategy, Sendable {
  private var quoter: InventoryQuoter
  /// In the quote currency; 0 until there are estimates.
  private var spreadPart = 0.0
  private var step = 0.0

  public init(_ parameters: InventoryParameters, grid: InstrumentGrid) {
    quoter = InventoryQuoter(parameters, grid: grid)
  }

  /// Other parameters from the next look on; what was estimated last stays in force until there are new estimates.
  mutating func retune(_ parameters: InventoryParameters, grid: InstrumentGrid) {
    quoter.retune(parameters, grid: grid)
    adopt()
  }

  public mutating func trade(_ trade: PublicTrade) { quoter.note(trade) }

  public mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {
    if quoter.note(view) { adopt() }
    guard view.directive.isQuotingAllowed else { return }
    guard spreadPart > 0 else { return quoter.quoteStart(view, into: &ladders) }
    quoter.quote(step: step, half: spreadPart + step / 2, view, into: &ladders)
  }

  @inline(never)
  private mutating func adopt() {
    guard let variance = quoter.estimates.variance, let arrivals = quoter.estimates.arrivals else { return }
    let aversion = quoter.parameters.riskAversion
    let step = Self.step(aversion: aversion, variance: variance, arrivals)
    guard step.isFinite else { return }
    self.step = step
    spreadPart = AvellanedaStoikov.fillPart(aversion: aversion, decay: arrivals.decay)
  }

  /// c₂.
  static func step(aversion: Double, variance: Double, _ arrivals: IntensityEstimator.Estimate) -> Double {
    let power = exp(log1p(aversion / arrivals.decay) * (1 + arrivals.decay / aversion))
    return (variance * aversion / (2 * arrivals.decay * arrivals.arrivals) * power).squareRoot()
  }
}
