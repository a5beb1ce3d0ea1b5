import CSupport

/// One entry of a mass quote: the whole of one side, or of both, of an instrument.
public struct MassQuote {
  public var instrument: InstrumentIndex
  /// The levels that replace the side's: at most 10, distinct prices; empty takes all away, `nil` leaves the side alone.
  public var bids: UnsafeBufferPointer<Quote>?
  public var asks: UnsafeBufferPointer<Quote>?

  public init(instrument: InstrumentIndex, bids: UnsafeBufferPointer<Quote>?, asks: UnsafeBufferPointer<Quote>?) {
    self.instrument = instrument
    self.bids = bids
    self.asks = asks
  }
}

/// What one side of an instrument should be replaced by, planned from its ladder and its standing quotes.
///
/// A mass quote replaces a side as a whole: what it repeats unchanged keeps its place in the queue, everything else is a
/// new order. So a standing quote that will do is repeated as it stands, and a side in which every quote will do
/// is left alone. A quote too many is cancelled by itself: that costs no message of the order budget.
struct QuotePlan: ~Copyable {
  /// Levels that one side of a mass quote can have (Thalex protocol 6.5).
  static let levelCapacity = 10

  enum Need {
    case nothing
    /// Only quotes that are no longer wanted are to go.
    case cancels
    case replacement
  }

  let levels: UnsafeMutablePointer<Quote>
  private(set) var count = 0
  private(set) var need = Need.nothing
  /// How far the worst quote is off, 10⁻² basis points, a quote that is too bold four times as much; a missing side
  /// counts as `missingSide`.
  private(set) var urgency: Int64 = 0
  static let missingSide: Int64 = 1_000_000
  /// Standing quotes that are no longer wanted, by their place on the side.
  private(set) var leaving: UInt64 = 0

  init() { levels = .allocate(capacity: Self.levelCapacity) }
  deinit { levels.deallocate() }

  /// The side is not to be touched now.
  mutating func leaveAlone() { need = .nothing }

  func isLeaving(_ position: Int) -> Bool { position < 64 && leaving & (1 << UInt64(position)) != 0 }
  var buffer: UnsafeBufferPointer<Quote> { UnsafeBufferPointer(start: levels, count: count) }

  /// Plans one side. The side must have no mass quote in flight.
  mutating func plan(desired: borrowing Ladder, orders: borrowing SideOrders, policy: ReconcilePolicy) {
    let side = desired.side
    count = 0
    need = .nothing
    urgency = 0
    leaving = 0
    var standing: UInt64 = 0
    for position in 0..<min(orders.count, 64) where orders[position].pointee.isSettled {
      standing |= 1 << UInt64(position)
    }
    leaving = standing
    var isNew = false
    for index in 0..<min(desired.count, Self.levelCapacity) {
      let wanted = desired[index]
      if let position = keeper(of: wanted, orders, policy) {
        leaving &= ~(1 << UInt64(position))
        let record = orders[position].pointee
        append(Quote(price: record.price_ticks, qty: record.qty_lots - record.filled_lots))
      } else if append(wanted) {
        isNew = true
        urgency = max(urgency, distance(of: wanted, orders, standing, side))
      }
    }
    if isNew { need = .replacement } else if leaving != 0 { need = .cancels }
  }

  /// A standing quote, not yet taken, that will do.
  private func keeper(of wanted: Quote, _ orders: borrowing SideOrders, _ policy: ReconcilePolicy) -> Int? {
    for position in 0..<min(orders.count, 64) where isLeaving(position) {
      let record = orders[position].pointee
      let remaining = record.qty_lots - record.filled_lots
      if policy.matches(record.price_ticks, wanted.price),
        remaining == wanted.qty || policy.keeps(standing: remaining, desired: wanted.qty)
      {
        return position
      }
    }
    return nil
  }

  /// Prices within a side are distinct: a second quote at one price is left out.
  @discardableResult
  private mutating func append(_ quote: Quote) -> Bool {
    for index in 0..<count where levels[index].price == quote.price { return false }
    levels[count] = quote
    count += 1
    return true
  }

  /// How far the nearest standing quote is from a wanted one.
  private func distance(of wanted: Quote, _ orders: borrowing SideOrders, _ standing: UInt64, _ side: Side) -> Int64 {
    guard standing != 0 else { return Self.missingSide }
    var nearest = Self.missingSide
    let base = max(1, abs(wanted.price.rawValue))
    for position in 0..<min(orders.count, 64) where standing & (1 << UInt64(position)) != 0 {
      let price = orders[position].pointee.price_ticks
      let away = LadderStrategy.scaled(abs(price.rawValue - wanted.price.rawValue), 1_000_000, base)
      nearest = min(nearest, side.isBetter(price, than: wanted.price) ? 4 &* away : away)
    }
    return nearest
  }
}
