import Apus
import CSupport

/// What an order would meet, for venues that decide before they match.
extension ExchangeCore {
  /// Whether an order at this price would trade at once.
  func crosses(_ market: Market, _ side: Side, _ price: PriceTicks) -> Bool {
    guard let best = market.best(side.opposite) else { return false }
    return side == .buy ? price >= best.price : price <= best.price
  }

  /// Lots of the other side up to a price, at most `amount`.
  func available(_ market: Market, _ side: Side, _ price: PriceTicks, _ amount: QtyLots) -> Int64 {
    var found: Int64 = 0
    market.levels(side.opposite, limit: .max) { level, lots in
      guard side == .buy ? level <= price : level >= price else { return false }
      found += lots.rawValue
      return found < amount.rawValue
    }
    return min(found, amount.rawValue)
  }

  /// The account's own orders that an order would meet.
  func met(
    _ account: Account, _ market: Market, _ side: Side, _ price: PriceTicks, _ amount: QtyLots
  ) -> [VenueOrder] {
    var own: [VenueOrder] = []
    var prices: [PriceTicks] = []
    guard account.orders.contains(where: { $0.market === market && $0.side != side }) else { return [] }
    market.levels(side.opposite, limit: .max) { level, _ in
      guard side == .buy ? level <= price : level >= price else { return false }
      prices.append(level)
      return true
    }
    var left = amount.rawValue
    var handles = [UInt64](repeating: 0, count: 4096)
    for level in prices where left > 0 {
      var span = handles.mutableSpan
      let count = market.engine.queue(side.opposite, at: level, handles: &span)
      for place in 0..<count where left > 0 {
        guard let resting = market.engine.order(handles[place]) else { continue }
        if !Tag.isBackground(resting.tag), let order = orders[Int(resting.tag)], order.account === account {
          own.append(order)
        } else {
          left -= resting.remaining.rawValue
        }
      }
    }
    return own
  }
}
