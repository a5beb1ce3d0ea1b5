import CSupport

/// Sides of instruments that have passed the gate and wait for one mass quote. Only `RiskGate.admit` fills it, and
/// adapters encode no other mass quote.
struct QuoteBatch: ~Copyable {
  private static let instrumentCapacity = 100
  /// Bytes that a mass quote may take in the output.
  static let byteCapacity = 60_000

  private let entries: UnsafeMutablePointer<MassQuote>
  private let quotes: UnsafeMutablePointer<Quote>
  private(set) var count = 0
  private(set) var levelCount = 0
  private(set) var sideCount = 0
  /// Some sides are only taken away.
  private(set) var takesAway = false
  /// What the message is worth: the sum over its sides, see `MessageValue`.
  private(set) var value: Int64 = 0
  private let rules: MassQuoteRules
  /// The protection group of the last entry.
  private var group = noProduct

  init(rules: MassQuoteRules) {
    self.rules = rules
    entries = .allocate(capacity: Self.instrumentCapacity)
    quotes = .allocate(capacity: Self.instrumentCapacity * 2 * QuotePlan.levelCapacity)
  }

  deinit {
    entries.deallocate()
    quotes.deallocate()
  }

  subscript(index: Int) -> MassQuote {
    precondition(index >= 0 && index < count)
    return entries[index]
  }

  var approved: UnsafeBufferPointer<MassQuote> { UnsafeBufferPointer(start: entries, count: count) }

  /// Room for one more instrument of a protection group, with all its levels.
  func hasRoom(for group: ProductIndex) -> Bool {
    let levels = max(levelCount, sideCount) + 2 * rules.levels
    return count < min(rules.instruments, Self.instrumentCapacity) && levels <= rules.levelsInRequest
      && (count + 2) * MassQuoteRules.entryBytes + levels * rules.levelBytes <= Self.byteCapacity
      && (!rules.isOneGroup || count == 0 || group == self.group)
  }

  func contains(_ instrument: InstrumentIndex) -> Bool {
    for index in 0..<count where (entries + index).pointee.instrument == instrument { return true }
    return false
  }

  mutating func removeAll() {
    count = 0
    levelCount = 0
    sideCount = 0
    takesAway = false
    value = 0
  }

  /// Takes all away that stands on the sides: what takes away passes every gate.
  mutating func takeAway(_ instrument: InstrumentIndex, _ group: ProductIndex, bids: Bool, asks: Bool) {
    let empty = UnsafeBufferPointer<Quote>(start: nil, count: 0)
    entries[count] = MassQuote(instrument: instrument, bids: bids ? empty : nil, asks: asks ? empty : nil)
    count += 1
    sideCount += (bids ? 1 : 0) + (asks ? 1 : 0)
    takesAway = true
    self.group = group
  }

  fileprivate mutating func append(
    _ instrument: InstrumentIndex, _ group: ProductIndex, bids: borrowing QuotePlan, asks: borrowing QuotePlan,
    bidCount: Int, askCount: Int
  ) {
    entries[count] = MassQuote(
      instrument: instrument, bids: bidCount > 0 ? copy(bids, bidCount) : nil,
      asks: askCount > 0 ? copy(asks, askCount) : nil)
    count += 1
    sideCount += (bidCount > 0 ? 1 : 0) + (askCount > 0 ? 1 : 0)
    self.group = group
    if bidCount > 0 { value += bids.value }
    if askCount > 0 { value += asks.value }
  }

  private mutating func copy(_ plan: borrowing QuotePlan, _ levels: Int) -> UnsafeBufferPointer<Quote> {
    let start = quotes + levelCount
    start.update(from: plan.levels, count: levels)
    levelCount += levels
    return UnsafeBufferPointer(start: start, count: levels)
  }
}

extension RiskGate {
  /// Lets sides that are to be replaced by a mass quote through, cut from the worst level on to what the limits allow.
  ///
  /// What stands and what replaces it both count: a mass quote takes no heed of what trades while it is under way
  /// (Thalex protocol 8.4).
  ///
  /// - Parameter group: the instrument's protection group.
  /// - Returns: whether each side was taken into `batch`.
  mutating func admit(
    _ instrument: InstrumentIndex, _ group: ProductIndex, bids: borrowing QuotePlan, asks: borrowing QuotePlan,
    state: StatePointer,
    market: RiskMarket, into batch: inout QuoteBatch
  ) -> (bids: Bool, asks: Bool) {
    guard batch.hasRoom(for: group) else { return (false, false) }
    var bidCount = bids.need == .replacement ? allowed(bids, .buy, instrument, state, market) : 0
    var askCount = asks.need == .replacement ? allowed(asks, .sell, instrument, state, market) : 0
    // Sides of one entry are replaced at once, so only what stays behind can be met.
    if bidCount > 0, askCount > 0, bids.levels[0].price >= asks.levels[0].price {
      count(.selfCross)
      (bidCount, askCount) = (0, 0)
    }
    if bidCount > 0, meets(.buy, bids.levels[0].price, state.pointee.asks, isReplaced: askCount > 0) {
      count(.selfCross)
      bidCount = 0
    }
    if askCount > 0, meets(.sell, asks.levels[0].price, state.pointee.bids, isReplaced: bidCount > 0) {
      count(.selfCross)
      askCount = 0
    }
    guard bidCount + askCount > 0 else { return (false, false) }
    batch.append(instrument, group, bids: bids, asks: asks, bidCount: bidCount, askCount: askCount)
    return (bidCount > 0, askCount > 0)
  }

  /// How many levels from the best on the limits allow.
  private mutating func allowed(
    _ plan: borrowing QuotePlan, _ side: Side, _ instrument: InstrumentIndex, _ state: StatePointer,
    _ market: RiskMarket
  ) -> Int {
    guard let limits = limits(for: instrument) else {
      count(.noLimits)
      return 0
    }
    var room = state.pointee.room(for: side, limit: limits.maximum(side))
    let orders = state.pointee.bids.count + state.pointee.asks.count
    for index in 0..<plan.count {
      let quote = plan.levels[index]
      guard index + orders < limits.maximumOrders else {
        count(.tooManyOrders)
        return index
      }
      guard quote.qty <= room else {
        count(.exposure)
        return index
      }
      // The remaining checks are those of a single order.
      let command = Command(
        kind: .insert, side: side, instrument: instrument, clientID: 0, price: quote.price, qty: quote.qty)
      if let refusal = judgeAlone(command, limits: limits, state: state, market: market) {
        count(refusal)
        return index
      }
      room -= quote.qty
    }
    return plan.count
  }

  /// Whether a price would meet an order of the other side that the same mass quote does not take away.
  private func meets(_ side: Side, _ price: PriceTicks, _ others: borrowing SideOrders, isReplaced: Bool) -> Bool {
    for index in 0..<others.count {
      let order = others[index]
      if isReplaced, order.pointee.isSettled { continue }
      let other = order.pointee.boldestPrice
      if side == .buy ? other <= price : other >= price { return true }
    }
    return false
  }
}
