import CSupport

/// Orders that mass quotes place, replace and take away, a side at a time (Thalex protocol 6.5, 8.4; Deribit protocol 12).
///
/// The venue gives them no client order id: a new one is known by its side and price until its first report has
/// brought the venue's id. The answer to a mass quote only counts; what became of each order comes through the
/// order feed, before or after it. Until both have come the old and the new count in full.
extension StateTracker {
  /// One level that is about to leave in a mass quote; `nil` if no order slot is free.
  ///
  /// - Parameter serial: The mass quote, if the venue names it in what it says of the order; else 0.
  mutating func beginQuote(
    _ instrument: InstrumentIndex, _ side: Side, _ quote: Quote, serial: UInt64 = 0, now: Nanoseconds
  ) -> OrderPointer? {
    guard let order = beginInsert(instrument, side, price: quote.price, qty: quote.qty, now: now) else { return nil }
    order.pointee.flags |= Self.isQuote
    quoteSerials[slab.index(of: order)] = serial
    order.pointee.level = state(instrument).pointee.announcement(side)
    return order
  }

  /// The standing orders of a side are about to be replaced by a mass quote.
  mutating func beginReplacement(_ instrument: InstrumentIndex, _ side: Side, now: Nanoseconds) {
    let announcement = state(instrument).pointee.announce(side)
    forEachOrder(instrument, side) { tracker, order in
      guard order.pointee.isSettled else { return }
      tracker.change(order) {
        $0.pointee.inFlightValue = .cancel
        $0.pointee.flags |= Self.isReplaced
        $0.pointee.level = announcement
        $0.pointee.sent_ns = now
      }
    }
  }

  /// The mass quote was not sent, or the venue refused it as a whole: everything is as it was.
  mutating func quotesHadNoEffect(_ instrument: InstrumentIndex, _ side: Side, now: Nanoseconds) {
    forEachOrder(instrument, side) { tracker, order in
      if Self.isAwaited(order) {
        // What has traded was placed, whatever the refusal says: a query must tell.
        if order.pointee.isSeen {
          tracker.markUnknown(order, now: now)
        } else {
          tracker.end(order, reported: .zero, now: now)
        }
      } else if Self.isBeingReplaced(order) {
        tracker.settle(order, now: now)
      }
    }
  }

  /// The venue said that it did not place the quote at this price.
  mutating func quoteFailed(_ instrument: InstrumentIndex, _ side: Side, price: PriceTicks, now: Nanoseconds) -> Bool {
    guard let order = findQuote(instrument, side, price), Self.isAwaited(order) else { return false }
    end(order, reported: order.pointee.filled_lots, now: now)
    return true
  }

  /// The same of a quote that the venue names. One that was seen all the same is of unknown state.
  mutating func quoteFailed(_ instrument: InstrumentIndex, _ side: Side, serial: UInt64, now: Nanoseconds) {
    guard let order = findQuote(instrument, side, serial: serial), Self.isAwaited(order) else { return }
    if order.pointee.isSeen { markUnknown(order, now: now) } else { end(order, reported: .zero, now: now) }
  }

  /// Whether what was announced for a side and what the venue has reported of it leave nothing open: what was new is
  /// known by the venue's id or has ended, what was old has ended.
  ///
  /// Mutating, like others that change nothing: a borrowed tracker would be copied for the call.
  mutating func areQuotesSettled(_ instrument: InstrumentIndex, _ side: Side) -> Bool {
    var isSettled = true
    forEachOrder(instrument, side) { order in
      if Self.isAwaited(order) || Self.isBeingReplaced(order) { isSettled = false }
    }
    return isSettled
  }

  /// The mass quote is answered and the order feed has had its time. If the feed has told something that the mass quote did,
  /// a level that repeated a standing order has left it as it was; for had that order gone before, the new one would have been
  /// told in the same notification. Everything else that is still open is of unknown state: the same silence comes of a
  /// report that is lost or late.
  ///
  /// - Parameter processedBy: when the venue had certainly dealt with the mass quote: a query sent later proves by what it
  ///   does not list. `nil` if that is not known.
  /// - Parameter isTold: the feed has told what the same mass quote did on another side.
  mutating func quotesAnswered(
    _ instrument: InstrumentIndex, _ side: Side, processedBy: Nanoseconds?, isTold: Bool = false, now: Nanoseconds
  ) {
    // Without an answer the mass quote may still be on its way, and replace what stands when that has traded.
    let isTold = processedBy != nil && (isTold || state(instrument).pointee.isReplacementTold(side))
    forEachOrder(instrument, side) { tracker, order in
      guard Self.isAwaited(order) else { return }
      if isTold, let standing = tracker.repeated(by: order) {
        tracker.end(order, reported: .zero, now: now)
        if Self.isBeingReplaced(standing) { tracker.settle(standing, now: now) }
      } else {
        tracker.markUnknown(order, processedBy: processedBy, now: now)
      }
    }
    forEachOrder(instrument, side) { tracker, order in
      if Self.isBeingReplaced(order) { tracker.markUnknown(order, processedBy: processedBy, now: now) }
    }
  }

  /// An order of a side for which a mass quote is under way is told of, by something that only a mass quote does. A new one
  /// tells nothing if it may be an earlier one of its price, whose report is late.
  mutating func noteReplacement(_ order: OrderPointer, _ report: OrderReport) {
    guard report.source == .feed else { return }
    let known = order.pointee
    let isEntering =
      known.flags & Self.isQuote != 0 && known.phaseValue == .inserting && report.change == .insert
      && isOnlyQuote(order)
    let isLeaving =
      known.flags & Self.isReplaced != 0 && known.inFlightValue == .cancel && report.change == .cancel
      && (report.deletion == .replaced || report.deletion == .clientCancel)
    if isEntering || isLeaving { state(known.instrument_index).pointee.noteReplacementTold(known.sideValue) }
  }

  /// Whether no other quote of its side and price could be meant by a report about an order whose id is not known yet.
  private mutating func isOnlyQuote(_ quote: OrderPointer) -> Bool {
    let (instrument, side) = (quote.pointee.instrument_index, quote.pointee.sideValue)
    let price = quote.pointee.target_ticks
    guard missingFillOrders == 0 || !hasAbsentQuote(instrument, side, price) else { return false }
    let state = state(instrument)
    let count = side == .buy ? state.pointee.bids.count : state.pointee.asks.count
    for position in 0..<count {
      let order = side == .buy ? state.pointee.bids[position] : state.pointee.asks[position]
      if order != quote, order.pointee.flags & Self.isQuote != 0, order.pointee.venue_id.count == 0,
        order.pointee.target_ticks == price
      {
        return false
      }
    }
    return true
  }

  private mutating func markUnknown(_ order: OrderPointer, processedBy: Nanoseconds?, now: Nanoseconds) {
    markUnknown(order, now: now)
    if let processedBy { order.pointee.sent_ns = processedBy - LaneSession.absenceGrace }
  }

  /// The standing order that has the price, and in all or still open the size, of an announced quote. It may have been of
  /// unknown state when the mass quote left, and known since.
  private func repeated(by quote: OrderPointer) -> OrderPointer? {
    var found: OrderPointer?
    forEachOrder(quote.pointee.instrument_index, quote.pointee.sideValue) { order in
      if Self.isBeingReplaced(order) || order.pointee.isSettled,
        order.pointee.price_ticks == quote.pointee.target_ticks,
        Self.sizes(of: order, include: quote.pointee.target_lots)
      {
        found = order
      }
    }
    return found
  }

  private static func sizes(of order: OrderPointer, include lots: QtyLots) -> Bool {
    order.pointee.qty_lots == lots || order.pointee.qty_lots - order.pointee.filled_lots == lots
  }

  /// Whether an announced quote of which nothing was ever heard was never placed: the query that does not list it lists the
  /// standing order of its price and size that the same mass quote was to replace, and so has left where it was.
  mutating func wasNeverPlaced(_ quote: OrderPointer) -> Bool {
    guard quote.pointee.flags & Self.isQuote != 0, quote.pointee.inFlightValue == .insert, !quote.pointee.isSeen else {
      return false
    }
    let serial = quoteSerials[slab.index(of: quote)]
    if serial > 0 { return hasEarlierInQuery(quote, serial) }
    var isRepetition = false
    forEachOrder(quote.pointee.instrument_index, quote.pointee.sideValue) { order in
      if order.pointee.flags & Self.isReplaced != 0, order.pointee.flags & Self.seenInQuery != 0,
        order.pointee.level == quote.pointee.level, order.pointee.phaseValue == .live,
        order.pointee.price_ticks == quote.pointee.target_ticks,
        Self.sizes(of: order, include: quote.pointee.target_lots)
      {
        isRepetition = true
      }
    }
    return isRepetition
  }

  /// An announced quote whose venue id is not known yet, by its side and price.
  ///
  /// Where the report about an earlier one was lost or is late there are two at a price: the size tells which is meant, of
  /// two of one size the earlier one is the one that ends, and the earliest that has room is the one that trades.
  func findQuote(
    _ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, lots: QtyLots? = nil, isEnding: Bool = false,
    executed: QtyLots? = nil
  ) -> OrderPointer? {
    guard Int(instrument) < instrumentCapacity else { return nil }
    var found: OrderPointer?
    var exact: OrderPointer?
    forEachOrder(instrument, side) { order in
      guard order.pointee.flags & Self.isQuote != 0, order.pointee.venue_id.count == 0,
        order.pointee.target_ticks == price
      else { return }
      found = order
      if order.pointee.target_lots == lots, exact == nil || !isEnding { exact = order }
      if let executed, exact == nil, order.pointee.filled_lots + executed <= order.pointee.target_lots { exact = order }
    }
    // A report of another size is about an earlier quote, and late.
    return exact ?? (lots == nil ? found : nil)
  }

  // MARK: - Quotes that the venue names

  /// What a report about a named quote is about.
  enum NamedQuote {
    case none
    case order(OrderPointer)
    /// This order, as it was before a later mass quote changed it.
    case earlier(OrderPointer)
  }

  /// The order that is meant by a report that bears a serial.
  ///
  /// Where a quote still rests, a mass quote changes it, and the order keeps the venue's id; where it has just gone, the same
  /// request places a new one. So each announcement is an order of its own here, and when the venue's id of a standing
  /// quote comes with the serial of an announced one, that one takes the order over.
  mutating func findNamed(
    _ venueID: VenueID, _ instrument: InstrumentIndex, _ side: Side, _ serial: UInt64, now: Nanoseconds
  ) -> NamedQuote {
    guard Int(instrument) < instrumentCapacity else { return .none }
    guard venueID.count > 0, let bound = slab.find(venueID: venueID) else {
      guard let quote = findQuote(instrument, side, serial: serial), quote.pointee.venue_id.count == 0 else {
        return .none
      }
      return .order(quote)
    }
    let place = slab.index(of: bound)
    guard bound.pointee.flags & Self.isQuote != 0, serial != quoteSerials[place] else { return .order(bound) }
    if serial < quoteSerials[place] { return .earlier(bound) }
    let isGone = bound.pointee.phaseValue == .dead && bound.pointee.flags & Self.endedByAbsence == 0
    guard !isGone, let next = findQuote(instrument, side, serial: serial), next.pointee.venue_id.count == 0,
      bound.pointee.instrument_index == instrument, bound.pointee.sideValue == side
    else { return .order(bound) }
    handOver(bound, to: next, now: now)
    return .order(next)
  }

  /// The order of an execution that bears a serial: by the venue's id whatever the serial, for that is the order's.
  mutating func findNamed(_ fill: FillReport, now: Nanoseconds) -> OrderPointer? {
    switch findNamed(fill.venueID, fill.instrument, fill.side, fill.quoteSerial, now: now) {
    case .none: findAbsentQuote(fill)
    case .order(let order), .earlier(let order): order
    }
  }

  /// An announced quote by its mass quote. Mutating: a borrowed tracker would be copied for the call.
  mutating func findQuote(_ instrument: InstrumentIndex, _ side: Side, serial: UInt64) -> OrderPointer? {
    guard Int(instrument) < instrumentCapacity else { return nil }
    let state = state(instrument)
    let count = side == .buy ? state.pointee.bids.count : state.pointee.asks.count
    for position in 0..<count {
      let order = side == .buy ? state.pointee.bids[position] : state.pointee.asks[position]
      if order.pointee.flags & Self.isQuote != 0, quoteSerials[slab.index(of: order)] == serial { return order }
    }
    return nil
  }

  /// The venue has changed a standing order into the announced one: executions, told and untold, go on with the id. The new
  /// one's size may be as much as both; its first report tells.
  private mutating func handOver(_ order: OrderPointer, to next: OrderPointer, now: Nanoseconds) {
    let known = order.pointee
    slab.unbindVenueID(order)
    if known.phaseValue == .dead {
      change(order) {
        $0.pointee.flags &= ~(Self.endedByAbsence | Self.fillsUnasked)
        $0.pointee.reported_lots = $0.pointee.filled_lots
      }
    } else {
      end(order, reported: known.filled_lots, now: now)
    }
    _ = slab.bind(next, venueID: known.venue_id)
    change(next) {
      $0.pointee.filled_lots += known.filled_lots
      $0.pointee.reported_lots = max($0.pointee.reported_lots, known.reported_lots)
      $0.pointee.target_lots += max(known.qty_lots, known.target_lots)
    }
  }

  /// The first report of a quote has an id that nothing here has: what the order executed before the mass quote changed it
  /// is part of its size.
  mutating func includeEarlier(_ report: OrderReport, in quote: OrderPointer) {
    guard quote.pointee.inFlightValue == .insert, report.filled <= report.qty, report.qty <= Self.largestLots else {
      return
    }
    change(quote) { $0.pointee.target_lots += max(report.filled - $0.pointee.filled_lots, .zero) }
  }

  /// Whether a query has listed an order of the same side that an earlier mass quote placed or changed last: a later one
  /// would have changed it.
  private mutating func hasEarlierInQuery(_ quote: OrderPointer, _ serial: UInt64) -> Bool {
    let side = quote.pointee.sideValue
    let state = state(quote.pointee.instrument_index)
    let count = side == .buy ? state.pointee.bids.count : state.pointee.asks.count
    for position in 0..<count {
      let order = side == .buy ? state.pointee.bids[position] : state.pointee.asks[position]
      let other = quoteSerials[slab.index(of: order)]
      if order.pointee.flags & (Self.isQuote | Self.seenInQuery) == Self.isQuote | Self.seenInQuery, other > 0,
        other < serial, order.pointee.isSettled
      {
        return true
      }
    }
    return false
  }

  /// Announced, and nothing heard of it.
  private static func isAwaited(_ order: OrderPointer) -> Bool {
    order.pointee.flags & isQuote != 0 && order.pointee.phaseValue == .inserting
  }

  private static func isBeingReplaced(_ order: OrderPointer) -> Bool {
    order.pointee.flags & isReplaced != 0 && order.pointee.inFlightValue == .cancel
      && order.pointee.phaseValue == .live
  }

  private func forEachOrder(_ instrument: InstrumentIndex, _ side: Side, _ body: (OrderPointer) -> Void) {
    let state = state(instrument)
    let count = side == .buy ? state.pointee.bids.count : state.pointee.asks.count
    for position in 0..<count { body(side == .buy ? state.pointee.bids[position] : state.pointee.asks[position]) }
  }

  /// Backwards, because `body` may end the order and so take it out of the list.
  private mutating func forEachOrder(
    _ instrument: InstrumentIndex, _ side: Side, _ body: (inout StateTracker, OrderPointer) -> Void
  ) {
    let state = state(instrument)
    var position = side == .buy ? state.pointee.bids.count : state.pointee.asks.count
    while position > 0 {
      position -= 1
      body(&self, side == .buy ? state.pointee.bids[position] : state.pointee.asks[position])
    }
  }
}
