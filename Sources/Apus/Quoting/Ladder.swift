import CSupport

/// One quote: a price and a size on one side.
public struct Quote: Equatable, Sendable {
  public var price: PriceTicks
  public var qty: QtyLots

  public init(price: PriceTicks, qty: QtyLots) {
    self.price = price
    self.qty = qty
  }
}

/// The quotes that one side should have, best price first, prices distinct, sizes > 0.
///
/// Fixed capacity, memory of its own, reused for every look: filling it allocates nothing.
public struct Ladder: ~Copyable {
  @usableFromInline let quotes: UnsafeMutablePointer<Quote>
  public let side: Side
  public let capacity: Int
  public private(set) var count = 0

  public init(side: Side, capacity: Int) {
    self.side = side
    self.capacity = capacity
    quotes = .allocate(capacity: capacity)
  }

  deinit { quotes.deallocate() }

  @inlinable public subscript(index: Int) -> Quote {
    precondition(index >= 0 && index < count)
    return quotes[index]
  }

  public mutating func removeAll() { count = 0 }

  /// Adds a quote where its price belongs; the size is added to a quote that already stands there.
  ///
  /// - Returns: false, and nothing changes, if the ladder is full or `qty` is not positive.
  @discardableResult
  public mutating func add(price: PriceTicks, qty: QtyLots) -> Bool {
    guard qty > .zero else { return false }
    var index = count
    while index > 0, side.isBetter(price, than: quotes[index - 1].price) { index -= 1 }
    if index > 0, quotes[index - 1].price == price {
      quotes[index - 1].qty += qty
      return true
    }
    guard count < capacity else { return false }
    var move = count
    while move > index {
      quotes[move] = quotes[move - 1]
      move -= 1
    }
    quotes[index] = Quote(price: price, qty: qty)
    count += 1
    return true
  }

  /// Makes the sum of the sizes at most `limit`, taking from the worst prices first.
  mutating func cut(to limit: QtyLots) {
    var room = max(limit, .zero)
    var kept = 0
    while room > .zero, kept < count {
      if quotes[kept].qty > room { quotes[kept].qty = room }
      room -= quotes[kept].qty
      kept += 1
    }
    count = kept
  }

  /// Removes quotes smaller than `minimum`.
  mutating func dropBelow(_ minimum: QtyLots) {
    var kept = 0
    for index in 0..<count where quotes[index].qty >= minimum {
      quotes[kept] = quotes[index]
      kept += 1
    }
    count = kept
  }

  /// Removes quotes that are better than `bound`: a post-only quote may touch the market, not cross it.
  mutating func drop(betterThan bound: PriceTicks) {
    var kept = 0
    for index in 0..<count where !side.isBetter(quotes[index].price, than: bound) {
      quotes[kept] = quotes[index]
      kept += 1
    }
    count = kept
  }
}

/// What a strategy wants to have in the market for one instrument.
public struct Ladders: ~Copyable {
  public var bids: Ladder
  public var asks: Ladder

  public init(capacity: Int) {
    bids = Ladder(side: .buy, capacity: capacity)
    asks = Ladder(side: .sell, capacity: capacity)
  }

  public mutating func removeAll() {
    bids.removeAll()
    asks.removeAll()
  }
}
