import CSupport

/// Where an instrument's state lies, for the lane's thread. Hot functions take the pointer: a borrowed argument of
/// this size is copied to the stack first.
typealias StatePointer = UnsafeMutablePointer<InstrumentState>

/// What is known of our orders and our position in one instrument.
public struct InstrumentState: ~Copyable {
  public var bids: SideOrders
  public var asks: SideOrders
  /// `nil` until the venue has stated it: unknown is not zero, and forbids quoting (R22).
  public internal(set) var position: QtyLots?
  /// The position has been left to another engine of the account: it is none of ours, and no unknown one.
  public internal(set) var isReleased = false
  /// The position as the venue last stated it; behind our own count after a fill, ahead of it after a
  /// trade that we were not told of.
  public internal(set) var stated: QtyLots?
  /// When it was stated it agreed with our own count. If it did not, an equal count later proves nothing: both may miss
  /// something else.
  var statedAgrees = true
  /// Executions booked lately, in two steps of `StateTracker.statementLag` each: a statement may not contain them yet.
  var bought = RecentLots()
  var sold = RecentLots()
  /// When the account began, by the venue's clock: the position was taken over as it was. 0: not known.
  var openedAt: Nanoseconds = 0
  /// Executions until this time, by the venue's clock, are part of the position: it was compared with the venue's
  /// own, or taken over from it, later.
  var includedUntil: Nanoseconds = 0
  /// What a lot of such an execution was valued at then.
  var includedMark = PriceTicks(rawValue: 0)
  /// Since the last mass quote for a side was announced the order feed has told something that it did there.
  private var areBidsTold = false
  private var areAsksTold = false
  /// Number the mass quotes for a side, and wrap: `OrderRecord.level` says which of them announced an order whose id is not
  /// known, or was to replace one whose id is.
  private var bidAnnouncement: UInt8 = 0
  private var askAnnouncement: UInt8 = 0
  /// Sum of `worstCaseLots` over all orders of a side.
  public internal(set) var openBuyLots = QtyLots(rawValue: 0)
  public internal(set) var openSellLots = QtyLots(rawValue: 0)
  /// What its lots are worth; nothing until the instrument is listed.
  public internal(set) var value = ContractValue()
  /// The lot that everything here is counted in, 10⁻⁸ contracts; 0 until the instrument is listed.
  var lotE8: Int64 = 0
  /// Proceeds of sells minus costs of buys since the opening balance, fees not included; like the fees in the currency
  /// that the instrument is settled in.
  public internal(set) var cashE8: MoneyE8 = 0
  public internal(set) var feesE8: MoneyE8 = 0
  public internal(set) var fills = 0
  /// Fills booked whose fee the venue has not told yet.
  public internal(set) var fillsWithoutFee = 0
  public internal(set) var boughtLots = QtyLots(rawValue: 0)
  public internal(set) var soldLots = QtyLots(rawValue: 0)
  /// Value of all executions, 10⁻⁸ of the quote currency.
  public internal(set) var tradedE8: MoneyE8 = 0
  /// Times that a position stated by the venue differed from ours and was taken over.
  public internal(set) var positionAdjustments = 0
  /// The largest |position| and the largest worst case of either side seen.
  public internal(set) var peakPosition = QtyLots(rawValue: 0)
  public internal(set) var peakExposure = QtyLots(rawValue: 0)
  /// Orders accepted by the venue.
  public internal(set) var ordersAccepted = 0
  /// Orders of which something was executed.
  public internal(set) var ordersFilled = 0

  init(ordersPerSide: Int) {
    bids = SideOrders(side: .buy, capacity: ordersPerSide)
    asks = SideOrders(side: .sell, capacity: ordersPerSide)
  }

  /// The position if everything that may still be bought is bought (R07).
  public var worstLong: QtyLots { (position ?? .zero) + openBuyLots }
  /// The position, as a short of this size, if everything that may still be sold is sold.
  public var worstShort: QtyLots { openSellLots - (position ?? .zero) }

  var isAccountKnown: Bool { position != nil || isReleased }

  /// Realised and unrealised profit since the opening balance at the given mark, fees taken off, in the quote currency:
  /// what is settled in the underlying is valued at the mark.
  public func profitE8(markE8: Int64) -> MoneyE8 {
    guard let position = position ?? (isReleased ? .zero : nil) else { return 0 }
    let settled = Int128(cashE8) + value.worth(position, atE8: markE8) - Int128(feesE8)
    return value.inQuote(settled, markE8: markE8)
  }

  /// The fees in the quote currency.
  public func quotedFeesE8(markE8: Int64) -> MoneyE8 { value.inQuote(Int128(feesE8), markE8: markE8) }

  /// Room for another buy (or sell) before the worst case reaches `limit`; may be negative. As long as
  /// the venue's count differs from ours, the worse of both counts, the venue's with what it may not
  /// have contained yet (R07).
  @inline(__always)
  public func room(for side: Side, limit: QtyLots) -> QtyLots {
    let ours = position ?? .zero
    // A function of values: the state itself, borrowed, would be copied for the call.
    let worst =
      statedAgrees && (stated ?? ours) == ours
      ? ours : Self.worst(side, ours, stated ?? ours, bought: bought.sum, sold: sold.sum)
    return side == .buy ? limit - worst - openBuyLots : limit - openSellLots + worst
  }

  @inline(__always)
  private static func worst(
    _ side: Side, _ ours: QtyLots, _ stated: QtyLots, bought: QtyLots, sold: QtyLots
  ) -> QtyLots {
    return side == .buy ? max(ours, stated + bought) : min(ours, stated - sold)
  }

  /// The value that an execution was given when the position that contains it was confirmed; `nil` on overflow.
  func valueOfIncluded(_ qty: QtyLots) -> MoneyE8? {
    value.worth(qty, at: includedMark)
  }

  /// What may still be bought (or sold) and does not rest by the venue's word: requests without an answer, orders of
  /// unknown state, executions that were reported and not told.
  func unproven(_ side: Side) -> QtyLots {
    side == .buy ? openBuyLots - bids.settledLots : openSellLots - asks.settledLots
  }

  /// Mutating, as the next but one, although it changes nothing: a borrowed state would be copied for the call.
  mutating func isReplacementTold(_ side: Side) -> Bool { side == .buy ? areBidsTold : areAsksTold }

  mutating func noteReplacementTold(_ side: Side) {
    if side == .buy { areBidsTold = true } else { areAsksTold = true }
  }

  mutating func announcement(_ side: Side) -> UInt8 { side == .buy ? bidAnnouncement : askAnnouncement }

  /// A mass quote for a side is about to leave. Returns its number.
  mutating func announce(_ side: Side) -> UInt8 {
    if side == .buy {
      areBidsTold = false
      bidAnnouncement &+= 1
    } else {
      areAsksTold = false
      askAnnouncement &+= 1
    }
    return announcement(side)
  }

  mutating func addExposure(_ side: Side, _ delta: QtyLots) {
    if side == .buy { openBuyLots += delta } else { openSellLots += delta }
    notePeaks()
  }

  mutating func notePeaks() {
    guard let position else { return }
    peakPosition = max(peakPosition, QtyLots(rawValue: abs(position.rawValue)))
    peakExposure = max(peakExposure, max(worstLong, worstShort))
  }

  /// Leaves the position to another engine, at the mark: profit stays what it is. Only when nothing may trade any more.
  ///
  /// - Returns: false if the position is worth more than can be counted.
  mutating func release(mark: PriceTicks) -> Bool {
    guard let worth = value.worth(position ?? .zero, at: mark) else { return false }
    let (cash, isOver) = cashE8.addingReportingOverflow(worth)
    guard !isOver else { return false }
    cashE8 = cash
    position = nil
    isReleased = true
    return true
  }

  mutating func insert(_ order: OrderPointer) {
    if order.pointee.sideValue == .buy { bids.insert(order) } else { asks.insert(order) }
  }

  mutating func remove(_ order: OrderPointer) {
    if order.pointee.sideValue == .buy { bids.remove(order) } else { asks.remove(order) }
  }

  mutating func reposition(_ order: OrderPointer) {
    if order.pointee.sideValue == .buy { bids.reposition(order) } else { asks.reposition(order) }
  }

  func isFull(_ side: Side) -> Bool { side == .buy ? bids.isFull : asks.isFull }
}

/// From lots of one size to lots of another.
struct LotScale {
  private let old: Int64
  private let new: Int64

  init(from old: Int64, to new: Int64) {
    self.old = old
    self.new = new
  }

  /// `nil` if the amount is no whole number of new lots.
  func exactly(_ lots: QtyLots) -> QtyLots? {
    let (quotient, rest) = (Int128(lots.rawValue) * Int128(old)).quotientAndRemainder(dividingBy: Int128(new))
    return rest == 0 ? QtyLots(rawValue: Int64(clamping: quotient)) : nil
  }

  /// Away from zero: a size that may still trade is not made smaller.
  func up(_ lots: QtyLots) -> QtyLots {
    let (quotient, rest) = (Int128(lots.rawValue) * Int128(old)).quotientAndRemainder(dividingBy: Int128(new))
    return QtyLots(rawValue: Int64(clamping: quotient + Int128(rest.signum())))
  }
}

extension InstrumentState {
  /// A position that is no whole number of new lots is unknown until the venue states it (R22).
  mutating func rescale(_ scale: LotScale) {
    position = position.flatMap(scale.exactly)
    stated = nil
    bought = RecentLots()
    sold = RecentLots()
    boughtLots = scale.up(boughtLots)
    soldLots = scale.up(soldLots)
    peakPosition = scale.up(peakPosition)
    peakExposure = scale.up(peakExposure)
  }
}

extension OrderRecord {
  mutating func rescale(_ scale: LotScale) {
    qty_lots = scale.up(qty_lots)
    target_lots = scale.up(target_lots)
    // What is still open, or still to be told, is not made smaller, and what is settled is not opened again.
    let isTold = reported_lots <= filled_lots
    filled_lots = scale.exactly(filled_lots) ?? scale.up(filled_lots) - QtyLots(rawValue: 1)
    reported_lots = isTold ? filled_lots : scale.up(reported_lots)
  }
}

/// A sum over the present step of time and the one before.
struct RecentLots {
  private var present = QtyLots(rawValue: 0)
  private var before = QtyLots(rawValue: 0)

  var sum: QtyLots { present + before }
  mutating func add(_ lots: QtyLots) { present += lots }
  mutating func step() {
    before = present
    present = .zero
  }
}
