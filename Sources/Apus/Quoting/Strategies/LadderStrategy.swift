import CSupport

/// The parameters of a ladder, in the units of the instrument's grid or in basis points of the price.
public struct LadderParameters: Codable, Equatable, Sendable {
  /// Quotes a side, ≥ 1.
  public var levels: Int
  /// Distance of the best quote from the fair price, in 10⁻² basis points, ≥ 0.
  public var halfSpreadCentiBps: Int64
  /// Distance from one level to the next, in ticks, ≥ 1.
  public var stepTicks: Int64
  /// Size of the best level, lots, ≥ 1.
  public var size: QtyLots
  /// Each level is larger than the one before by this many thousandths, ≥ 0.
  public var growthPermille: Int64
  /// How far the fair price is moved against a full position, in 10⁻² basis points, ≥ 0.
  public var skewCentiBps: Int64
  /// Weight of the venue's mark price in the fair price, in thousandths; the rest is the mid.
  public var markWeightPermille: Int64
  /// Quotes around the manager's fair value instead, and nothing without one. Journals of before do not say.
  public var isAroundFair: Bool?

  public init(
    levels: Int, halfSpreadCentiBps: Int64, stepTicks: Int64, size: QtyLots, growthPermille: Int64 = 0,
    skewCentiBps: Int64, markWeightPermille: Int64 = 0, isAroundFair: Bool? = nil
  ) {
    self.levels = levels
    self.halfSpreadCentiBps = halfSpreadCentiBps
    self.stepTicks = stepTicks
    self.size = size
    self.growthPermille = growthPermille
    self.skewCentiBps = skewCentiBps
    self.markWeightPermille = markWeightPermille
    self.isAroundFair = isAroundFair
  }

  @inline(__always)
  public var shape: LadderShape {
    LadderShape(levels: levels, stepTicks: stepTicks, size: size, growthPermille: growthPermille)
  }
}

/// Quotes around a fair price that leans against the inventory.
///
/// All in integers: prices in 2⁻¹⁰ of a tick until the one rounding at the end, bids down and asks up.
/// The loading side moves away with the position; the unloading side moves towards the market and
/// never away from it, at every size of the position (R60).
public struct LadderStrategy: Strategy, Sendable {
  public var parameters: LadderParameters

  public init(_ parameters: LadderParameters) {
    self.parameters = parameters
  }

  public mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {
    guard view.directive.isQuotingAllowed else { return }
    let bid = view.bestBid.price.rawValue
    let ask = view.bestAsk.price.rawValue

    // Fair price in 1/1024 tick.
    let mid = (bid + ask) &* 512
    var fair = mid
    if parameters.isAroundFair == true {
      guard view.directive.fairValueE8 > 0 else { return }
      fair = Self.scaled(view.directive.fairValueE8, 1024, view.grid.tickE8)
    } else if parameters.markWeightPermille > 0, view.markE8 != 0 {
      let mark = Self.scaled(view.markE8, 1024, view.grid.tickE8)
      fair += Self.scaled(mark - mid, parameters.markWeightPermille, 1000)
    }
    let price = abs(fair)
    let half = Self.scaled(
      Self.scaled(price, parameters.halfSpreadCentiBps, 1_000_000), Int64(view.directive.widenPermille), 1000)

    // Inventory in thousandths of the largest position, −1000 ... 1000.
    let excess = (view.position - view.directive.targetPosition).rawValue
    let limit = view.maximumPosition.rawValue
    let fullness = limit > 0 ? max(-1000, min(1000, Self.scaled(excess, 1000, limit))) : 0
    let shift = -Self.scaled(Self.scaled(price, parameters.skewCentiBps, 1_000_000), fullness, 1000)

    // Rounding: bids down, asks up.
    let bidTop = Self.floorDivide(fair + shift - half, 1024)
    let askTop = -Self.floorDivide(-(fair + shift + half), 1024)
    parameters.shape.lay(bidTop: bidTop, askTop: askTop, view, into: &ladders)
  }

  /// `value × numerator ÷ denominator`, towards zero, without overflow in between.
  @inline(__always)
  static func scaled(_ value: Int64, _ numerator: Int64, _ denominator: Int64) -> Int64 {
    // A 128-bit division costs ten times a 64-bit one, and is hardly ever needed.
    let (product, overflows) = value.multipliedReportingOverflow(by: numerator)
    return overflows ? wideScaled(value, numerator, denominator) : product / denominator
  }

  @inline(never)
  private static func wideScaled(_ value: Int64, _ numerator: Int64, _ denominator: Int64) -> Int64 {
    denominator.dividingFullWidth(value.multipliedFullWidth(by: numerator)).quotient
  }

  static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}
