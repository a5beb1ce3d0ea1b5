import CSupport

/// What a strategy that leans by its inventory in units of its order size is made of, beside its model.
public struct InventoryParameters: Equatable, Sendable {
  public var shape: LadderShape
  /// γ, per unit of the quote currency, > 0.
  public var riskAversion: Double
  public var estimates: EstimateParameters
  /// The best quotes are at least this far from the centre, in 10⁻² basis points of the price: what fees cost, for example.
  public var leastHalfSpreadCentiBps: Int64
  /// Weight of the venue's mark in the fair price, in thousandths; the rest is the mid.
  public var markWeightPermille: Int64
  /// Quoted until there are estimates; `nil`: nothing is.
  public var start: LadderParameters?

  public init(
    shape: LadderShape, riskAversion: Double, estimates: EstimateParameters = EstimateParameters(),
    leastHalfSpreadCentiBps: Int64 = 0, markWeightPermille: Int64 = 0, start: LadderParameters? = nil
  ) {
    self.shape = shape
    self.riskAversion = riskAversion
    self.estimates = estimates
    self.leastHalfSpreadCentiBps = leastHalfSpreadCentiBps
    self.markWeightPermille = markWeightPermille
    self.start = start
  }
}

/// The part that the finite-horizon and the infinite-horizon model share: both quote a half-spread around a price that
/// lies a fixed step against the position for every order's size that is held.
struct InventoryQuoter: Sendable {
  private(set) var parameters: InventoryParameters
  private(set) var estimates: MarketEstimates

  init(_ parameters: InventoryParameters, grid: InstrumentGrid) {
    self.parameters = parameters
    estimates = MarketEstimates(parameters.estimates, grid: grid)
  }

  /// What was learned stays, unless it is to be learned in another way.
  mutating func retune(_ new: InventoryParameters, grid: InstrumentGrid) {
    if new.estimates != parameters.estimates { estimates = MarketEstimates(new.estimates, grid: grid) }
    parameters = new
  }

  @inline(__always)
  mutating func note(_ trade: PublicTrade) { estimates.note(trade) }

  /// Returns whether the estimates were taken anew.
  @inline(__always)
  mutating func note(_ view: QuoteView) -> Bool { estimates.note(view) }

  /// There is no model yet.
  @inline(__always)
  func quoteStart(_ view: QuoteView, into ladders: inout Ladders) {
    guard let start = parameters.start else { return }
    var ladder = LadderStrategy(start)
    ladder.quote(view, into: &ladders)
  }

  /// - Parameters:
  ///   - step: what one order's size of inventory moves the centre, ≥ 0; in the quote currency, as `half`.
  ///   - half: from the centre to the best quotes, ≥ 0.
  @inline(__always)
  func quote(step: Double, half: Double, _ view: QuoteView, into ladders: inout Ladders) {
    let tick = view.grid.tick
    let fair = view.fairTicks(markWeightPermille: parameters.markWeightPermille)
    let orders = view.excess / Double(parameters.shape.size.rawValue)
    let least = abs(fair) * Double(parameters.leastHalfSpreadCentiBps) * 1e-6
    parameters.shape.lay(
      centre: fair - orders * step / tick, half: max(half / tick, least) * view.widening, view, into: &ladders)
  }
}
