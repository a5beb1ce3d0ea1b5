import CSupport

/// Instruments with changes that were not worth a message yet, and what those are worth. Fixed memory.
struct WaitingChanges: ~Copyable {
  /// By instrument; 0: nothing waits.
  private let values: UnsafeMutablePointer<Int64>
  private let capacity: Int
  private(set) var count = 0
  private(set) var sum: Int64 = 0
  /// When some of them can be paid; `.max` if nothing waits.
  var readyAt: Nanoseconds = .max

  init(instrumentCapacity: Int) {
    capacity = instrumentCapacity
    values = .allocate(capacity: capacity)
    values.initialize(repeating: 0, count: capacity)
  }

  deinit { values.deallocate() }

  /// `value` counts as 1 at least.
  mutating func note(_ instrument: InstrumentIndex, value: Int64) {
    let place = values + Int(instrument)
    precondition(Int(instrument) < capacity)
    if place.pointee == 0 { count += 1 }
    sum += max(1, value) - place.pointee
    place.pointee = max(1, value)
  }

  @inline(__always)
  mutating func remove(_ instrument: InstrumentIndex) {
    if count > 0 { removeNoted(instrument) }
  }

  private mutating func removeNoted(_ instrument: InstrumentIndex) {
    let place = values + Int(instrument)
    precondition(Int(instrument) < capacity)
    if place.pointee != 0 { count -= 1 }
    sum -= place.pointee
    place.pointee = 0
  }

  func isWaiting(_ index: Int) -> Bool {
    precondition(index < capacity)
    return (values + index).pointee != 0
  }

  /// The instrument whose changes are worth most, the first of equals.
  func mostValuable() -> (instrument: InstrumentIndex, value: Int64)? {
    guard count > 0 else { return nil }
    var best = 0
    for index in 0..<capacity where (values + index).pointee > (values + best).pointee { best = index }
    return (InstrumentIndex(best), (values + best).pointee)
  }
}

/// Spending order messages: what is worth most goes first, what is not worth its price waits.
extension Lane where Adapter: ~Copyable {
  /// Sends the changes of the last look.
  mutating func sendChanges(_ instrument: InstrumentIndex, _ now: Nanoseconds) {
    var next = 0
    let count = quoting.changes.count
    // With messages in plenty nothing is weighed: in the order of the reconciler.
    while next < count, settings.spending != .byValue || orderBudget.isPlenty(now: now) {
      if change(quoting.changes[next], now) == .noBudget { return }
      next += 1
    }
    if next < count { sendByValue(instrument, from: next, now) }
  }

  /// Sends the changes from `first` on that are worth the price of a message, the most valuable first.
  @inline(never)
  private mutating func sendByValue(_ instrument: InstrumentIndex, from first: Int, _ now: Nanoseconds) {
    let state = core.tracker.state(instrument)
    var isStarved = (buy: state.pointee.bids.count == 0, sell: state.pointee.asks.count == 0)
    var next = first
    while next < quoting.changes.count {
      let (best, value) = mostValuable(from: next, isStarved)
      let command = quoting.changes[best]
      guard value >= orderBudget.price(now: now) else {
        pullWorst(from: next, now)
        wait(instrument, value, now)
        return
      }
      quoting.changes.swap(next, best)
      next += 1
      if change(command, now) == .noBudget { return }
      if command.side == .buy { isStarved.buy = false } else { isStarved.sell = false }
    }
  }

  /// Mutating, as what it calls is: a borrowed lane of this size would be copied to the stack first.
  private mutating func mostValuable(from first: Int, _ isStarved: (buy: Bool, sell: Bool)) -> (Int, Int64) {
    var best = first
    var bestValue: Int64 = -1
    for position in first..<quoting.changes.count {
      let command = quoting.changes[position]
      let order = command.kind == .amend ? core.tracker.order(command.clientID) : nil
      var value = quoting.value(of: command, order: order)
      // The first command of a side is that of its best quote.
      if command.side == .buy ? isStarved.buy : isStarved.sell { value += MessageValue.missingSide }
      if value > bestValue { (best, bestValue) = (position, value) }
    }
    return (best, bestValue)
  }

  /// Cancels, which cost nothing of the budget, what stands where it can only lose and cannot be moved now.
  private mutating func pullWorst(from first: Int, _ now: Nanoseconds) {
    for position in first..<quoting.changes.count {
      let command = quoting.changes[position]
      guard command.kind == .amend, let order = core.tracker.order(command.clientID),
        quoting.value(of: command, order: order) >= MessageValue.worseThanNone
      else { continue }
      sendCancel(command.clientID, now)
    }
  }

  private mutating func wait(_ instrument: InstrumentIndex, _ value: Int64, _ now: Nanoseconds) {
    waiting.note(instrument, value: value)
    waiting.readyAt = min(waiting.readyAt, orderBudget.time(toPay: value, now: now))
  }

  /// Looks again at what waits and can be paid now, the most valuable first.
  @inline(never)
  mutating func sendWaiting(_ now: Nanoseconds) {
    waiting.readyAt = .max
    // A look that leaves something waiting says that it is not worth the price: the loop ends.
    while let next = waiting.mostValuable(), next.value >= orderBudget.price(now: now) {
      waiting.remove(next.instrument)
      look(next.instrument, now)
    }
    if let next = waiting.mostValuable() { waiting.readyAt = orderBudget.time(toPay: next.value, now: now) }
  }

  /// Whether a message of this value may be sent now.
  func isAffordable(_ value: Int64, _ now: Nanoseconds) -> Bool {
    settings.spending != .byValue || max(1, value) >= orderBudget.price(now: now)
  }
}
