import CSupport

/// An order of ours in the slab. Valid until the slab erases it; the lane's thread only.
public typealias OrderPointer = UnsafeMutablePointer<OrderRecord>

extension OrderRecord {
  @inlinable public var phaseValue: OrderPhase {
    get { OrderPhase(rawValue: UInt32(phase)).unsafelyUnwrapped }
    set { phase = UInt8(truncatingIfNeeded: newValue.rawValue) }
  }

  @inlinable public var inFlightValue: InFlight {
    get { InFlight(rawValue: UInt32(in_flight)).unsafelyUnwrapped }
    set { in_flight = UInt8(truncatingIfNeeded: newValue.rawValue) }
  }

  @inlinable public var sideValue: Side {
    get { side == 0 ? .buy : .sell }
    set { side = UInt8(truncatingIfNeeded: newValue.rawValue) }
  }

  /// It rests by the venue's word, and no request of ours is in flight.
  @inlinable var isSettled: Bool {
    phase == UInt8(OrderPhase.live.rawValue) && in_flight == UInt8(InFlight.none.rawValue)
  }

  /// The venue has shown it: by its id, or by an execution.
  @inlinable var isSeen: Bool { venue_id.count > 0 || filled_lots > .zero }

  /// A request of ours may still change price or size.
  @inlinable public var isChanging: Bool { inFlightValue == .insert || inFlightValue == .amend }

  /// Where the order is, or will be when the request in flight has taken effect.
  @inlinable public var effectivePrice: PriceTicks { isChanging ? target_ticks : price_ticks }

  /// What will rest when the request in flight has taken effect, as far as the fills are known.
  @inlinable public var effectiveRemaining: QtyLots {
    let total = isChanging ? target_lots : qty_lots
    return max(total - filled_lots, .zero)
  }

  /// The most that this order can still trade: everything not proven dead counts, and so does an
  /// execution that the venue has reported but whose fill has not been booked yet (R07).
  @inlinable public var worstCaseLots: QtyLots {
    switch phaseValue {
    case .free: return .zero
    case .dead: return max(reported_lots - filled_lots, .zero)
    default:
      // Not listed one by one: with all cases of a C enum, every switch first asks for the type's metadata.
      // Inserting, live or unknown. Settled orders have their own size as target.
      return max(max(qty_lots, target_lots) - filled_lots, .zero)
    }
  }
}

/// The orders of one side of one instrument, best effective price first, oldest first at a price.
///
/// An array of pointers rather than a list: it is walked on every look at the market and changed
/// only when an order is sent or ends.
public struct SideOrders: ~Copyable {
  @usableFromInline let slots: UnsafeMutablePointer<OrderPointer>
  public let side: Side
  public let capacity: Int
  public private(set) var count = 0

  public init(side: Side, capacity: Int) {
    self.side = side
    self.capacity = capacity
    slots = .allocate(capacity: capacity)
  }

  deinit { slots.deallocate() }

  @inlinable public subscript(index: Int) -> OrderPointer {
    precondition(index >= 0 && index < count)
    return slots[index]
  }

  var isFull: Bool { count == capacity }

  /// The best order that rests here by the venue's word.
  var firstResting: OrderPointer? {
    for index in 0..<count where slots[index].pointee.phaseValue == .live { return slots[index] }
    return nil
  }

  var hasResting: Bool { firstResting != nil }

  /// What of our own size stands in the book at a price: only what rests by the venue's word; an order on its way
  /// is not there yet.
  @inline(__always)
  func restingLots(at price: PriceTicks) -> QtyLots {
    var lots = QtyLots.zero
    for index in 0..<count {
      let order = slots[index]
      if order.pointee.price_ticks == price, order.pointee.phaseValue == .live {
        lots += order.pointee.qty_lots - order.pointee.filled_lots
      }
    }
    return lots
  }

  /// What may still trade of orders that rest and have no request in flight.
  var settledLots: QtyLots {
    var lots = QtyLots.zero
    for index in 0..<count where slots[index].pointee.isSettled { lots += slots[index].pointee.worstCaseLots }
    return lots
  }

  var restingCount: Int {
    var resting = 0
    for index in 0..<count where slots[index].pointee.phaseValue == .live { resting += 1 }
    return resting
  }

  mutating func insert(_ order: OrderPointer) {
    precondition(count < capacity)
    let price = order.pointee.effectivePrice
    var index = count
    while index > 0, side.isBetter(price, than: slots[index - 1].pointee.effectivePrice) {
      slots[index] = slots[index - 1]
      index -= 1
    }
    slots[index] = order
    count += 1
  }

  mutating func remove(_ order: OrderPointer) {
    var index = 0
    while index < count, slots[index] != order { index += 1 }
    guard index < count else { return }
    count -= 1
    while index < count {
      slots[index] = slots[index + 1]
      index += 1
    }
  }

  /// To be called after the effective price of `order` has changed.
  mutating func reposition(_ order: OrderPointer) {
    // Most often the order keeps its place: then nothing is moved. One at the same price as the order
    // before or behind it takes the general way, which puts it last there.
    let price = order.pointee.effectivePrice
    var index = 0
    while index < count, slots[index] != order { index += 1 }
    guard index < count else { return }
    let isBehind = index == 0 || side.isBetter(slots[index - 1].pointee.effectivePrice, than: price)
    let isBefore = index + 1 == count || side.isBetter(price, than: slots[index + 1].pointee.effectivePrice)
    guard !isBehind || !isBefore else { return }
    remove(order)
    insert(order)
  }
}
