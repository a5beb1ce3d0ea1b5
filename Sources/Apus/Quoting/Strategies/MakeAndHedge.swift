import CSupport

public struct MakeAndHedgeParameters: Equatable, Sendable {
  public var shape: LadderShape
  /// In 10⁻² basis points: what is paid for a fill here, as maker (negative: received), and there, as taker.
  public var makerFeeCentiBps: Int64
  public var hedgeFeeCentiBps: Int64
  /// From the fair value to the best price there, and how far beyond it a hedge trades.
  public var hedgeHalfSpreadCentiBps: Int64
  public var slippageCentiBps: Int64
  /// What is to be left of a fill here and its hedge there.
  public var edgeCentiBps: Int64
  /// How far the fair value is moved against a full position that is not hedged yet, ≥ 0.
  public var skewCentiBps: Int64
  /// Nothing is quoted while the fair value is this far from the middle of the market here, > 0: one of the two is wrong.
  public var largestGapCentiBps: Int64

  public init(
    shape: LadderShape, makerFeeCentiBps: Int64, hedgeFeeCentiBps: Int64, hedgeHalfSpreadCentiBps: Int64,
    slippageCentiBps: Int64, edgeCentiBps: Int64, skewCentiBps: Int64 = 0, largestGapCentiBps: Int64 = 10_000
  ) {
    self.shape = shape
    self.makerFeeCentiBps = makerFeeCentiBps
    self.hedgeFeeCentiBps = hedgeFeeCentiBps
    self.hedgeHalfSpreadCentiBps = hedgeHalfSpreadCentiBps
    self.slippageCentiBps = slippageCentiBps
    self.edgeCentiBps = edgeCentiBps
    self.skewCentiBps = skewCentiBps
    self.largestGapCentiBps = largestGapCentiBps
  }
}

/// Quotes here what can be hedged there with an edge.
///
/// With F the manager's fair value over all venues (`Directive.fairValueE8`), moved against the inventory, and h, f, s, e the hedge's
/// half-spread, its taker fee, its slippage and the edge, m the maker fee here, each as a part of the price:
///
///     bid ≤ F (1 − h − f − s − e) / (1 + m)        sold there at F (1 − h − s), less f, after m was paid here
///     ask ≥ F (1 + h + f + s + e) / (1 − m)
///
/// The hedge itself is the manager's (`underlyings[].hedge`); without a fair value nothing is quoted.
public struct MakeAndHedge: Strategy, Sendable {
  public let parameters: MakeAndHedgeParameters
  private let bidFactor: Double
  private let askFactor: Double

  public init(_ parameters: MakeAndHedgeParameters) {
    self.parameters = parameters
    let cost =
      Double(
        parameters.hedgeHalfSpreadCentiBps + parameters.hedgeFeeCentiBps + parameters.slippageCentiBps
          + parameters.edgeCentiBps) * 1e-6
    let fee = Double(parameters.makerFeeCentiBps) * 1e-6
    bidFactor = (1 - cost) / (1 + fee)
    askFactor = (1 + cost) / (1 - fee)
  }

  public mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {
    guard view.directive.isQuotingAllowed, view.directive.fairValueE8 > 0 else { return }
    let fair = Double(view.directive.fairValueE8) / Double(view.grid.tickE8)
    let middle = view.fairTicks(markWeightPermille: 0)
    guard abs(fair - middle) <= abs(middle) * Double(parameters.largestGapCentiBps) * 1e-6 else { return }
    let leaning = fair * (1 - Double(parameters.skewCentiBps) * 1e-6 * view.fullness)
    let widening = view.widening
    let bid = leaning + fair * (bidFactor - 1) * widening
    let ask = leaning + fair * (askFactor - 1) * widening
    guard let bidTop = GridStep.down(bid), let askTop = GridStep.up(ask) else { return }
    parameters.shape.lay(bidTop: bidTop, askTop: askTop, view, into: &ladders)
  }
}
