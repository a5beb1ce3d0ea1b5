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
  public internal(set) var count: Int {
    @inlinable get { filled }
    set { filled = newValue }
  }
  @usableFromInline var filled = 0

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

  /// Moves all quotes this many ticks away from the market, ≥ 0: bids down, asks up.
  public mutating func moveAway(by ticks: Int64) {
    let step = PriceTicks(rawValue: -side.sign &* ticks)
    for index in 0..<count { quotes[index].price = quotes[index].price + step }
  }

  /// Adds a quote where its price belongs; the size is added to a quote that already stands there.
  ///
  /// - Returns: false, and nothing changes, if the ladder is full or `qty` is not positive.
  @inlinable @discardableResult
  public mutating func add(price: PriceTicks, qty: QtyLots) -> Bool {
    guard qty > .zero else { return false }
    // Most strategies state their levels best first.
    if filled < capacity, filled == 0 || side.isBetter(quotes[filled - 1].price, than: price) {
      quotes[filled] = Quote(price: price, qty: qty)
      filled += 1
      return true
    }
    return addBetween(price: price, qty: qty)
  }

  @usableFromInline @inline(never)
  mutating func addBetween(price: PriceTicks, qty: QtyLots) -> Bool {
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

  /// Makes the ladder safe, in one pass: drops quotes that are better than `bound` (a post-only quote may touch
  /// the market, not cross it), then takes from the worst prices until the sum of the sizes is at most `limit`, then
  /// drops what is smaller than `minimum`.
  @inline(__always)
  mutating func clip(bound: PriceTicks, limit: QtyLots, minimum: QtyLots) {
    // Best first: what is too good stands in front.
    var index = 0
    while index < count, side.isBetter(quotes[index].price, than: bound) { index += 1 }
    // An empty rest is dropped whatever the minimum is.
    let least = max(minimum, QtyLots(rawValue: 1))
    var room = max(limit, .zero)
    var kept = 0
    while index < count {
      let quote = quotes[index]
      let qty = min(quote.qty, room)
      room -= qty
      quotes[kept] = Quote(price: quote.price, qty: qty)
      if qty >= least { kept += 1 }
      index += 1
    }
    count = kept
  }
}

extension Ladder {
  /// Drops the bids at prices of 0 and less: they mean something only for a difference of prices.
  @inline(__always)
  mutating func keepPositive() {
    while count > 0, quotes[count - 1].price.rawValue <= 0 { count -= 1 }
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
