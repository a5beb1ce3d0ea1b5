import CSupport

/// The reconciler with both sides of an instrument quoted: no lane, no venue, no clock.
///
/// For benchmarks and for guards that look at the machine code. `init` brings orders to rest two ticks apart; each
/// call then compares them with the ladders asked for. Nothing is sent, so the orders stay as they are.
///
/// One thread. Deterministic.
public struct ReconcilerProbe: ~Copyable {
  /// Where the desired ladders stand, compared with the orders.
  public enum Desired: Sendable {
    /// Where the orders are: nothing to do.
    case standing
    /// One tick above, and below: every order has to move.
    case up, down
  }

  private var tracker: StateTracker
  private var standing: Ladders
  private var up: Ladders
  private var down: Ladders
  private var cancels: CommandBuffer
  private var changes: CommandBuffer

  /// - Parameter levels: Quotes a side, ≥ 1.
  /// - Throws: `CapacityError` if memory for so many orders cannot be had.
  public init(levels: Int) throws(CapacityError) {
    var capacity = 64
    while capacity < 4 * levels { capacity *= 2 }
    tracker = try StateTracker(
      instrumentCapacity: 1, orderCapacity: capacity, ordersPerSide: levels, idBits: 32,
      firstGeneration: 1, tradeMemory: 64)
    standing = Self.ladders(levels, movedBy: 0)
    up = Self.ladders(levels, movedBy: 1)
    down = Self.ladders(levels, movedBy: -1)
    cancels = CommandBuffer(capacity: 4 * levels)
    changes = CommandBuffer(capacity: 4 * levels)
    for level in 0..<levels {
      rest(.buy, standing.bids[level])
      rest(.sell, standing.asks[level])
    }
  }

  /// Compares both sides and returns the number of commands: 0 for `.standing`, an amend for each order otherwise.
  @inline(__always)
  public mutating func reconcile(_ desired: Desired) -> Int {
    cancels.removeAll()
    changes.removeAll()
    let state = tracker.state(0)
    switch desired {
    case .standing: Self.compare(standing, state, &cancels, &changes)
    case .up: Self.compare(up, state, &cancels, &changes)
    case .down: Self.compare(down, state, &cancels, &changes)
    }
    return cancels.count + changes.count
  }

  private static func compare(
    _ desired: borrowing Ladders, _ state: StatePointer, _ cancels: inout CommandBuffer,
    _ changes: inout CommandBuffer
  ) {
    let policy = ReconcilePolicy()
    Reconciler.reconcile(
      instrument: 0, desired: desired.bids, orders: state.pointee.bids, policy: policy, cancels: &cancels,
      changes: &changes)
    Reconciler.reconcile(
      instrument: 0, desired: desired.asks, orders: state.pointee.asks, policy: policy, cancels: &cancels,
      changes: &changes)
  }

  private static func ladders(_ levels: Int, movedBy ticks: Int64) -> Ladders {
    var ladders = Ladders(capacity: levels)
    for level in 0..<Int64(levels) {
      ladders.bids.add(price: PriceTicks(rawValue: 99_990 - 2 * level + ticks), qty: QtyLots(rawValue: 10))
      ladders.asks.add(price: PriceTicks(rawValue: 100_010 + 2 * level + ticks), qty: QtyLots(rawValue: 10))
    }
    return ladders
  }

  private mutating func rest(_ side: Side, _ quote: Quote) {
    guard let order = tracker.beginInsert(0, side, price: quote.price, qty: quote.qty, now: 1) else { return }
    var report = OrderReport()
    report.source = .reply
    report.status = .open
    report.change = .insert
    report.side = side
    report.instrument = 0
    report.clientID = order.pointee.client_id
    report.hasPrice = true
    report.price = quote.price
    report.qty = quote.qty
    report.remaining = quote.qty
    _ = tracker.apply(report, now: 2)
  }
}
