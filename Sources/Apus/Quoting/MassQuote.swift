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
  /// The most levels that one side of a mass quote has at any venue.
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
  /// What replacing the side is worth: the sum over its new levels, see `MessageValue`.
  private(set) var value: Int64 = 0
  /// Standing quotes that are no longer wanted, by their place on the side.
  private(set) var leaving: UInt64 = 0

  /// Levels that the venue takes.
  private let levelLimit: Int

  init(levelLimit: Int) {
    self.levelLimit = min(levelLimit, Self.levelCapacity)
    levels = .allocate(capacity: Self.levelCapacity)
  }
  deinit { levels.deallocate() }

  /// All that stands is to go.
  var isTakenAway: Bool { need == .cancels && count == 0 }

  /// The side is not to be touched now.
  mutating func leaveAlone() { need = .nothing }

  func isLeaving(_ position: Int) -> Bool { position < 64 && leaving & (1 << UInt64(position)) != 0 }
  var buffer: UnsafeBufferPointer<Quote> { UnsafeBufferPointer(start: levels, count: count) }

  /// Plans one side. The side must have no mass quote in flight.
  ///
  /// - Parameter far: the market's best price on the other side; known whenever something is desired.
  mutating func plan(
    desired: borrowing Ladder, orders: borrowing SideOrders, policy: ReconcilePolicy, far: PriceTicks?
  ) {
    let side = desired.side
    let scale = desired.count > 0 ? far.map { MessageValue(side: side, far: $0, bestDesired: desired[0].price) } : nil
    count = 0
    need = .nothing
    value = 0
    leaving = 0
    var standing: UInt64 = 0
    for position in 0..<min(orders.count, 64) where orders[position].pointee.isSettled {
      standing |= 1 << UInt64(position)
    }
    leaving = standing
    var isNew = false
    for index in 0..<min(desired.count, levelLimit) {
      let wanted = desired[index]
      if let position = keeper(of: wanted, orders, policy) {
        leaving &= ~(1 << UInt64(position))
        let record = orders[position].pointee
        let standing = Quote(price: record.price_ticks, qty: record.qty_lots - record.filled_lots)
        append(policy.queue.keepsRepeated ? standing : wanted)
      } else if append(wanted) {
        isNew = true
        if let scale { value += worth(of: wanted, orders, standing, scale) }
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

  /// What a new level is worth: the nearest standing quote moves there, or gets another size.
  private func worth(
    of wanted: Quote, _ orders: borrowing SideOrders, _ standing: UInt64, _ scale: MessageValue
  ) -> Int64 {
    guard standing != 0 else { return scale.insert(at: wanted.price) + (count == 1 ? MessageValue.missingSide : 0) }
    var nearest: OrderPointer?
    var distance = Int64.max
    for position in 0..<min(orders.count, 64) where standing & (1 << UInt64(position)) != 0 {
      let away = abs((orders[position].pointee.price_ticks - wanted.price).rawValue)
      if away < distance { (nearest, distance) = (orders[position], away) }
    }
    guard let nearest else { return 0 }
    if distance > 0 { return scale.move(from: nearest.pointee.price_ticks, to: wanted.price) }
    let remaining = nearest.pointee.qty_lots - nearest.pointee.filled_lots
    return scale.resize(at: wanted.price, missing: wanted.qty - remaining, of: wanted.qty)
  }
}
