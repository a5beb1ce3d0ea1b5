public import CSupport

/// How the quotes of a side are laid out from the best one on.
public struct LadderShape: Equatable, Sendable {
  /// Quotes a side, ≥ 1.
  public var levels: Int
  /// Distance from one level to the next, in ticks, ≥ 1.
  public var stepTicks: Int64
  /// Size of the best level, lots, ≥ 1.
  public var size: QtyLots
  /// Each level is larger than the one before by this many thousandths, ≥ 0.
  public var growthPermille: Int64

  public init(levels: Int, stepTicks: Int64 = 1, size: QtyLots, growthPermille: Int64 = 0) {
    self.levels = levels
    self.stepTicks = stepTicks
    self.size = size
    self.growthPermille = growthPermille
  }

  /// Lays both sides out from their best quotes, which are first moved back where they would cross the market, or one
  /// another: a post-only quote may join the market, not cross it.
  ///
  /// - Parameters:
  ///   - bidTop, askTop: the best quotes, ticks.
  ///   - bidRoom, askRoom: what a side may add up to, lots; levels beyond it are smaller or left out.
  @inline(__always)
  public func lay(
    bidTop: Int64, askTop: Int64, bidRoom: Int64 = .max, askRoom: Int64 = .max, _ view: QuoteView,
    into ladders: inout Ladders
  ) {
    let bidTop = min(bidTop, view.bestAsk.price.rawValue - 1)
    let askTop = max(askTop, view.bestBid.price.rawValue + 1, bidTop + 1)
    var size = size.rawValue
    var bidRoom = bidRoom
    var askRoom = askRoom
    for level in 0..<levels {
      let offset = Int64(level) &* stepTicks
      let bid = min(size, bidRoom)
      let ask = min(size, askRoom)
      ladders.bids.add(price: PriceTicks(rawValue: bidTop - offset), qty: QtyLots(rawValue: bid))
      ladders.asks.add(price: PriceTicks(rawValue: askTop + offset), qty: QtyLots(rawValue: ask))
      bidRoom -= bid
      askRoom -= ask
      if growthPermille != 0 { size += LadderStrategy.scaled(size, growthPermille, 1000) }
    }
  }
}

extension LadderShape {
  /// Lays both sides out around a centre, both in ticks. Rounding: bids down, asks up. Nothing is laid out of what is no
  /// number, or lies where no price is.
  @inline(__always)
  public func lay(
    centre: Double, half: Double, bidRoom: Int64 = .max, askRoom: Int64 = .max, _ view: QuoteView,
    into ladders: inout Ladders
  ) {
    guard let bidTop = GridStep.down(centre - half), let askTop = GridStep.up(centre + half) else { return }
    lay(bidTop: bidTop, askTop: askTop, bidRoom: bidRoom, askRoom: askRoom, view, into: &ladders)
  }
}

/// The one step from a model's prices to the grid.
public enum GridStep {
  /// Prices up to here leave room for every sum made with them, ticks; the lane refuses larger ones at its edge.
  static let limit = 1.0e12

  /// The price in ticks rounded down, as a bid is; `nil` if it is no number or beyond ±10¹².
  @inline(__always)
  public static func down(_ ticks: Double) -> Int64? {
    guard abs(ticks) <= limit else { return nil }
    let whole = Int64(ticks)
    return Double(whole) > ticks ? whole - 1 : whole
  }

  /// The price in ticks rounded up, as an ask is.
  @inline(__always)
  public static func up(_ ticks: Double) -> Int64? { down(-ticks).map { -$0 } }
}

extension InstrumentGrid {
  /// The size of a tick in the quote currency, and of a lot in contracts, for models.
  @inline(__always) var tick: Double { Double(tickE8) * 1e-8 }
  @inline(__always) var lot: Double { Double(lotE8) * 1e-8 }
}

extension QuoteView {
  /// The middle of the others' best prices, in ticks, drawn towards the venue's mark by its weight in thousandths.
  @inline(__always)
  func fairTicks(markWeightPermille: Int64) -> Double {
    let middle = (Double(bestBid.price.rawValue) + Double(bestAsk.price.rawValue)) / 2
    guard markWeightPermille > 0, markE8 != 0 else { return middle }
    return middle + (Double(markE8) / Double(grid.tickE8) - middle) * Double(markWeightPermille) / 1000
  }

  /// How much more is held than the directive steers to, lots.
  @inline(__always)
  var excess: Double { Double(position.rawValue) - Double(directive.targetPosition.rawValue) }

  /// The excess as a part of the largest position, −1 ... 1.
  @inline(__always)
  var fullness: Double {
    maximumPosition > .zero ? max(-1, min(1, excess / Double(maximumPosition.rawValue))) : 0
  }

  /// What half-spreads are multiplied by.
  @inline(__always)
  var widening: Double { Double(directive.widenPermille) / 1000 }
}
