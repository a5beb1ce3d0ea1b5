import CSupport

/// What closing a position begins with: one reduce-only order that takes what is displayed, and no worse price.
public struct FlattenPlan: Equatable, Sendable {
  /// Of the order: sell closes a long position.
  public var side: Side
  /// Of the first order, ≥ 0: the position, cut to the depth and to the largest order. 0: there is no depth.
  public var qty: QtyLots
  /// Displayed by others from the best price to the worst one.
  public var depth: QtyLots
  /// Limit of the first order: the price of the last level that it needs.
  public var limit: PriceTicks
  /// No order goes beyond it.
  public var worst: PriceTicks

  /// Levels of the book that are counted.
  private static let levels = 100

  /// `nil`: there is no position to close, or it, the mark or the book is not known.
  init?(
    market: MarketPointer, state: StatePointer, limits: RiskLimits?, worstCentiBps: Int64
  ) {
    guard let position = state.pointee.position, position != .zero, let limits,
      let grid = market.pointee.info?.grid, market.pointee.isBookValid, market.pointee.ticker.markE8 > 0
    else { return nil }
    let mark = market.pointee.ticker.markE8
    let distance = mark / 1_000_000 * worstCentiBps + mark % 1_000_000 * worstCentiBps / 1_000_000
    side = position > .zero ? .sell : .buy
    let low = market.pointee.ticker.collarLowE8
    let high = market.pointee.ticker.collarHighE8
    // Inwards to the grid: up for a sell, down for a buy.
    if side == .sell {
      worst = PriceTicks(rawValue: (max(mark - distance, low) + grid.tickE8 - 1) / grid.tickE8)
    } else {
      worst = PriceTicks(rawValue: (high > 0 ? min(mark + distance, high) : mark + distance) / grid.tickE8)
    }
    let wanted = QtyLots(rawValue: min(abs(position.rawValue), limits.maximumOrder.rawValue))
    qty = .zero
    depth = .zero
    limit = worst
    let other: Side = side == .sell ? .buy : .sell
    var cursor = market.pointee.book.walk(other)
    var count = 0
    while count < Self.levels, let level = market.pointee.book.next(&cursor) {
      count += 1
      if side == .sell ? level.price_ticks < worst : level.price_ticks > worst { break }
      let own =
        other == .buy
        ? state.pointee.bids.restingLots(at: level.price_ticks) : state.pointee.asks.restingLots(at: level.price_ticks)
      let left = level.qty_lots - own
      guard left > .zero else { continue }
      depth += left
      guard qty < wanted else { continue }
      qty = min(wanted, qty + left)
      limit = level.price_ticks
    }
    if qty < grid.minimumLots { qty = .zero }
  }
}
