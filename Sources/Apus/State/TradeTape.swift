public import CSupport

/// A trade between any two, as a venue makes it public.
public struct PublicTrade: Equatable, Sendable {
  /// When it was received, on the lane's clock.
  public var time: Nanoseconds
  public var price: PriceTicks
  public var qty: QtyLots
  /// Who came last: a buy took from the asks.
  public var aggressor: Side

  public init(time: Nanoseconds, price: PriceTicks, qty: QtyLots, aggressor: Side) {
    self.time = time
    self.price = price
    self.qty = qty
    self.aggressor = aggressor
  }
}

/// The public trades of one instrument that its strategy has not been told of. Fixed memory: the newest are kept.
public struct TradeTape: ~Copyable {
  public static let capacity = 32

  private let trades: UnsafeMutablePointer<PublicTrade>
  /// Trades that were ever added, and that were ever taken or overwritten.
  private var added: UInt64 = 0
  private var taken: UInt64 = 0

  init() { trades = .allocate(capacity: Self.capacity) }
  deinit { trades.deallocate() }

  mutating func add(_ trade: PublicTrade) {
    trades[Int(added % UInt64(Self.capacity))] = trade
    added &+= 1
    if added &- taken > UInt64(Self.capacity) { taken &+= 1 }
  }

  /// The oldest that is left.
  @inline(__always)
  mutating func take() -> PublicTrade? {
    guard taken != added else { return nil }
    let trade = trades[Int(taken % UInt64(Self.capacity))]
    taken &+= 1
    return trade
  }
}
