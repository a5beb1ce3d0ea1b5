import CSupport

/// What keeps an order's place in the queue of its price: a venue's rules, as data.
///
/// A change of the price loses the place everywhere.
public struct QueueRules: Equatable, Sendable {
  /// An amend to a smaller size at the same price.
  public var keepsReduced: Bool
  /// An amend to a larger size at the same price.
  public var keepsEnlarged: Bool
  /// A level of a mass quote that repeats price and size of the standing quote.
  public var keepsRepeated: Bool

  public init(keepsReduced: Bool = true, keepsEnlarged: Bool = false, keepsRepeated: Bool = true) {
    self.keepsReduced = keepsReduced
    self.keepsEnlarged = keepsEnlarged
    self.keepsRepeated = keepsRepeated
  }
}

/// When a standing quote is good enough to be left alone.
public struct ReconcilePolicy: Equatable, Sendable {
  /// A standing price this many ticks from the desired one is kept, ≥ 0.
  public var priceToleranceTicks: Int64
  /// A standing size of at least this many thousandths of the desired one is kept, 0 ... 1000.
  /// A standing size above the desired one is always reduced.
  public var keepSizePermille: Int64
  public var queue: QueueRules
  /// A side in which anything has to change is cancelled and inserted anew. To be compared with.
  public var replacesEverything: Bool

  public init(
    priceToleranceTicks: Int64 = 0, keepSizePermille: Int64 = 1000, queue: QueueRules = QueueRules(),
    replacesEverything: Bool = false
  ) {
    self.priceToleranceTicks = priceToleranceTicks
    self.keepSizePermille = keepSizePermille
    self.queue = queue
    self.replacesEverything = replacesEverything
  }

  func matches(_ a: PriceTicks, _ b: PriceTicks) -> Bool {
    abs(a.rawValue - b.rawValue) <= priceToleranceTicks
  }

  /// Whether `standing` need not be changed to become `desired`.
  func keeps(standing: QtyLots, desired: QtyLots) -> Bool {
    standing <= desired && standing.rawValue * 1000 >= desired.rawValue * keepSizePermille
  }
}

/// Compares the desired ladder of one side with its orders and yields the smallest safe set of commands.
///
/// Rules, in this order; the tests hold a slow model of the same rules against it:
/// 1. An order that is leaving (cancel in flight) or whose outcome is unknown is set aside: it is not
///    touched, and it does not stand in for a desired quote. Its exposure is the risk gate's matter (R18).
/// 2. Walking both from the best price on, a quote and an order whose prices match within the
///    tolerance are one: kept if the size will do, else amended in place. Busy ones are left alone.
/// 3. What is left over is paired in order of price: the order is amended to the quote. One message
///    moves it, and there is never a moment without it. A busy order holds its quote back until the
///    venue has answered, so that no more orders rest than were desired.
/// 4. Orders left over are cancelled, quotes left over inserted. Cancels come first.
///
/// O(orders + quotes).
public enum Reconciler {
  /// - Parameters:
  ///   - desired: the ladder, best first.
  ///   - orders: the side's orders that are not dead, best effective price first.
  ///   - cancels: receives cancels and amends that only make an order smaller.
  ///   - changes: receives everything else, best price first.
  public static func reconcile(
    instrument: InstrumentIndex, desired: borrowing Ladder, orders: borrowing SideOrders, policy: ReconcilePolicy,
    cancels: inout CommandBuffer, changes: inout CommandBuffer
  ) {
    let side = desired.side
    // The usual case first: as many orders as quotes, all settled, and each will do as it stands.
    if orders.count == desired.count {
      var index = 0
      while index < orders.count, stands(orders[index], as: desired[index], policy) { index += 1 }
      if index == orders.count { return }
    }

    if policy.replacesEverything {
      replace(instrument, desired, orders, &cancels, &changes)
      return
    }

    // Two passes over the same merge: what matched is found again rather than stored.
    var order = 0
    var quote = 0
    var hasLeftovers = false
    while order < orders.count {
      let standing = orders[order]
      if isSetAside(standing) {
        order += 1
        continue
      }
      guard quote < desired.count else {
        hasLeftovers = true
        break
      }
      let wanted = desired[quote]
      let price = standing.pointee.effectivePrice
      if policy.matches(price, wanted.price) {
        settleSize(instrument, side, standing, wanted, policy, &cancels, &changes)
        order += 1
        quote += 1
      } else {
        hasLeftovers = true
        if side.isBetter(price, than: wanted.price) { order += 1 } else { quote += 1 }
      }
    }
    guard hasLeftovers || quote < desired.count else { return }

    // Second pass: pair the leftovers. Each cursor walks the same merge and stops at what did not match.
    var spareOrder = MergeCursor()
    var spareQuote = MergeCursor()
    while true {
      let left = spareOrder.nextOrder(desired, orders, policy)
      let wanted = spareQuote.nextQuote(desired, orders, policy)
      switch (left, wanted) {
      case (nil, nil):
        return
      case (let left?, let wanted?):
        let record = orders[left]
        if isBusy(record) { continue }
        let target = desired[wanted]
        changes.append(
          Command(
            kind: .amend, side: side, instrument: instrument, clientID: record.pointee.client_id,
            price: target.price, qty: record.pointee.filled_lots + target.qty))
      case (let left?, nil):
        let record = orders[left]
        if isBusy(record) { continue }
        cancels.append(
          Command(
            kind: .cancel, side: side, instrument: instrument, clientID: record.pointee.client_id,
            price: record.pointee.price_ticks, qty: .zero))
      case (nil, let wanted?):
        let target = desired[wanted]
        changes.append(
          Command(
            kind: .insert, side: side, instrument: instrument, clientID: 0, price: target.price, qty: target.qty))
      }
    }
  }

  /// Cancels all orders of a side and inserts all its quotes.
  @inline(never)
  private static func replace(
    _ instrument: InstrumentIndex, _ desired: borrowing Ladder, _ orders: borrowing SideOrders,
    _ cancels: inout CommandBuffer, _ changes: inout CommandBuffer
  ) {
    for index in 0..<orders.count where !isSetAside(orders[index]) {
      let record = orders[index]
      // What is under way is waited for.
      if isBusy(record) { return }
    }
    for index in 0..<orders.count where !isSetAside(orders[index]) {
      let record = orders[index]
      cancels.append(
        Command(
          kind: .cancel, side: desired.side, instrument: instrument, clientID: record.pointee.client_id,
          price: record.pointee.price_ticks, qty: .zero))
    }
    for index in 0..<desired.count {
      changes.append(
        Command(
          kind: .insert, side: desired.side, instrument: instrument, clientID: 0, price: desired[index].price,
          qty: desired[index].qty))
    }
  }

  /// Settled, and good enough to be left alone.
  @inline(__always)
  private static func stands(_ order: OrderPointer, as wanted: Quote, _ policy: ReconcilePolicy) -> Bool {
    guard order.pointee.isSettled, policy.matches(order.pointee.price_ticks, wanted.price) else { return false }
    let remaining = order.pointee.qty_lots - order.pointee.filled_lots
    return remaining == wanted.qty || policy.keeps(standing: remaining, desired: wanted.qty)
  }

  /// Leaving, or of unknown outcome.
  static func isSetAside(_ order: OrderPointer) -> Bool {
    order.pointee.inFlightValue == .cancel || order.pointee.phaseValue == .unknown
  }

  static func isBusy(_ order: OrderPointer) -> Bool {
    order.pointee.inFlightValue != .none
  }

  private static func settleSize(
    _ instrument: InstrumentIndex, _ side: Side, _ order: OrderPointer, _ wanted: Quote, _ policy: ReconcilePolicy,
    _ cancels: inout CommandBuffer, _ changes: inout CommandBuffer
  ) {
    guard !isBusy(order) else { return }
    let standing = order.pointee.effectiveRemaining
    guard !policy.keeps(standing: standing, desired: wanted.qty) else { return }
    // What keeps its place in the queue keeps its own price; what loses it in any case, as a top-up does on most venues,
    // moves to the desired price too.
    let isReduction = standing > wanted.qty
    let keepsPlace = isReduction ? policy.queue.keepsReduced : policy.queue.keepsEnlarged
    let command = Command(
      kind: .amend, side: side, instrument: instrument, clientID: order.pointee.client_id,
      price: keepsPlace ? order.pointee.price_ticks : wanted.price,
      qty: order.pointee.filled_lots + wanted.qty)
    if isReduction { cancels.append(command) } else { changes.append(command) }
  }

  /// Walks the merge of step 2 again and stops at what it did not match.
  private struct MergeCursor {
    var order = 0
    var quote = 0

    /// Index of the next order without a quote, or nil.
    mutating func nextOrder(
      _ desired: borrowing Ladder, _ orders: borrowing SideOrders, _ policy: ReconcilePolicy
    ) -> Int? {
      while order < orders.count {
        let standing = orders[order]
        if Reconciler.isSetAside(standing) {
          order += 1
          continue
        }
        guard quote < desired.count else {
          order += 1
          return order - 1
        }
        let price = standing.pointee.effectivePrice
        if policy.matches(price, desired[quote].price) {
          order += 1
          quote += 1
        } else if desired.side.isBetter(price, than: desired[quote].price) {
          order += 1
          return order - 1
        } else {
          quote += 1
        }
      }
      return nil
    }

    /// Index of the next quote without an order, or nil.
    mutating func nextQuote(
      _ desired: borrowing Ladder, _ orders: borrowing SideOrders, _ policy: ReconcilePolicy
    ) -> Int? {
      while quote < desired.count {
        if order < orders.count, Reconciler.isSetAside(orders[order]) {
          order += 1
          continue
        }
        guard order < orders.count else {
          quote += 1
          return quote - 1
        }
        let price = orders[order].pointee.effectivePrice
        if policy.matches(price, desired[quote].price) {
          order += 1
          quote += 1
        } else if desired.side.isBetter(price, than: desired[quote].price) {
          order += 1
        } else {
          quote += 1
          return quote - 1
        }
      }
      return nil
    }
  }
}
