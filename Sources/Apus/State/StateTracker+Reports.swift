import CSupport

/// What the venue says about orders.
extension StateTracker {
  /// Takes over one statement of the venue about one order.
  mutating func apply(_ report: OrderReport, now: Nanoseconds) -> ReportOutcome {
    var found: OrderPointer?
    if report.quoteSerial > 0 {
      switch findNamed(report.venueID, report.instrument, report.side, report.quoteSerial, now: now) {
      case .none: found = nil
      case .order(let order): found = order
      case .earlier(let order):
        // Of before the order was changed, unless it says that it has ended: that is never taken back.
        guard report.status.isTerminal else { return stale() }
        found = order
      }
    } else {
      found = find(report)
    }
    guard let order = found else {
      guard report.isLabelledOurs else {
        counters.foreignReports += 1
        return .foreign
      }
      guard report.status.isLive else { return .stale }
      counters.orphans += 1
      return .orphan
    }
    order.pointee.flags |= Self.seenInQuery
    if order.pointee.phaseValue == .dead { return applyDead(report, to: order, now: now) }
    var known = order.pointee
    if report.source == .query, known.sent_ns >= querySentAt {
      // Older than our last request or than the venue's last answer to one (R02). Not even its id is taken: a quote is
      // found by side and price, and what was listed before it was announced is another one.
      counters.stale += 1
      return .stale
    }
    if known.venue_id.count == 0, report.venueID.count > 0 {
      _ = slab.bind(order, venueID: report.venueID)
      if report.quoteSerial > 0 {
        includeEarlier(report, in: order)
        known = order.pointee
      }
    }
    if known.flags & (Self.isQuote | Self.isReplaced) != 0 { noteReplacement(order, report) }
    if report.filled > report.qty || report.qty > Self.largestLots {
      counters.impossible += 1
      markUnknown(order, now: now)
      return .impossible
    }
    if report.status.isTerminal {
      if report.qty > max(known.qty_lots, known.target_lots) { counters.impossible += 1 }
      end(order, reported: max(report.filled, known.filled_lots), now: now)
      return .ended
    }
    guard report.status.isLive else {
      // A word we do not know: nothing may be concluded (R05).
      counters.impossible += 1
      markUnknown(order, now: now)
      return .impossible
    }
    if report.qty > max(known.qty_lots, known.target_lots) {
      counters.impossible += 1
      // A query that is newer than everything else rules even so: otherwise the order would never
      // be settled. Anything else may be late; the larger size is reserved until a query tells (R18).
      if report.source != .query {
        change(order) { $0.pointee.target_lots = report.qty }
        markUnknown(order, now: now)
        return .impossible
      }
    }
    return applyLive(report, to: order, now: now)
  }

  private mutating func applyDead(_ report: OrderReport, to order: OrderPointer, now: Nanoseconds) -> ReportOutcome {
    let known = order.pointee
    let isAbsent = known.flags & Self.endedByAbsence != 0
    if report.filled > report.qty || report.qty > Self.largestLots || !report.status.isLive && !report.status.isTerminal
    {
      counters.impossible += 1
      // Its numbers are not believed: fills that never come would be waited for. That it rests is.
      guard isAbsent, report.status.isLive, report.qty <= Self.largestLots else { return .impossible }
    }
    if isAbsent, report.status.isLive, report.qty <= Self.largestLots,
      report.source != .query || known.sent_ns < querySentAt
    {
      return revive(order, report, now: now)
    }
    if isAbsent, report.status.isTerminal {
      // Now the venue has said it, and how much was executed.
      change(order) {
        $0.pointee.flags &= ~(Self.endedByAbsence | Self.fillsUnasked)
        $0.pointee.reported_lots = max(report.filled, $0.pointee.filled_lots)
      }
      return .changed
    }
    // Never re-opened; but a larger executed size means that fills are still to come.
    if report.filled > max(known.reported_lots, known.filled_lots) {
      change(order) { $0.pointee.reported_lots = report.filled }
      return .changed
    }
    counters.stale += 1
    return .stale
  }

  /// The end was concluded from absence, and the venue contradicts: the order counts as live again,
  /// and a query will tell how it stands (R01, R19).
  private mutating func revive(_ order: OrderPointer, _ report: OrderReport, now: Nanoseconds) -> ReportOutcome {
    let state = state(order.pointee.instrument_index)
    counters.revived += 1
    guard !state.pointee.isFull(order.pointee.sideValue) else { return .orphan }
    forgetEnded(order.pointee.client_id)
    if order.pointee.venue_id.count == 0 { _ = slab.bind(order, venueID: report.venueID) }
    change(order) {
      $0.pointee.phaseValue = .unknown
      $0.pointee.flags &= ~(Self.endedByAbsence | Self.fillsUnasked)
      if report.hasPrice { $0.pointee.price_ticks = report.price }
      $0.pointee.qty_lots = report.qty
      $0.pointee.target_ticks = $0.pointee.price_ticks
      $0.pointee.target_lots = report.qty
      $0.pointee.reported_lots = max(min(report.filled, report.qty), $0.pointee.filled_lots)
      $0.pointee.sent_ns = now
    }
    state.pointee.insert(order)
    return .changed
  }

  private mutating func applyLive(_ report: OrderReport, to order: OrderPointer, now: Nanoseconds) -> ReportOutcome {
    let known = order.pointee
    let isQuery = report.source == .query || report.source == .snapshot
    // A report with fewer executions than we have booked is older than those: it says nothing about
    // price and size (R02), unless it is the very answer that a request waits for.
    let isBehind = report.filled < known.filled_lots
    if report.source == .reply, report.amendSerial != 0 || report.change == .amend, known.inFlightValue != .insert {
      return applyAmendReply(report, to: order, now: now)
    }
    switch known.inFlightValue {
    case .insert:
      if isBehind, report.source != .reply { return stale() }
      if known.qty_lots == .zero { state(known.instrument_index).pointee.ordersAccepted += 1 }
      confirm(order, report, now: now)
      return .changed
    case .amend:
      let isTarget = report.price == known.target_ticks && report.qty == known.target_lots
      // Only replies and queries answer: there is one reply to each request, but an item of the feed
      // may tell of an amend before this one.
      //
      // A query is no request to the matching engine, and may be answered before the amend has been dealt with: only what
      // the amend asked for settles it, or time, as with an absence.
      let isLate = known.sent_ns + LaneSession.absenceGrace <= querySentAt
      let isAnswer =
        isQuery && !isBehind && (isTarget || isLate || report.source == .snapshot)
        || report.source == .feed && !repliesAreState && isTarget && !isBehind && !isOlder(report, than: order)
      guard isAnswer else {
        noteExecuted(order, report)
        return stale()
      }
      confirm(order, report, now: now)
      return .changed
    case .cancel:
      // A query sent after the cancel that still shows the order: the cancel was lost.
      guard isQuery, !isBehind else {
        noteExecuted(order, report)
        return stale()
      }
      confirm(order, report, now: now)
      return .changed
    case .none:
      let differs = report.hasPrice && report.price != known.price_ticks || report.qty != known.qty_lots
      // Resting and settled. Feed items may be late; a query is not (checked above), so it rules. What is unknown is known
      // again by a repetition of all that it may be: a smaller size may be that of long ago.
      let rules =
        !isBehind && (isQuery || known.phaseValue == .unknown && !differs && report.qty >= known.target_lots)
      guard rules else {
        noteExecuted(order, report)
        let isNew = report.filled > max(known.reported_lots, known.filled_lots)
        return !differs && isNew ? .changed : stale()
      }
      confirm(order, report, now: now)
      return .changed
    }
  }

  /// The reply to an amend of an order that rests.
  private mutating func applyAmendReply(_ report: OrderReport, to order: OrderPointer, now: Nanoseconds)
    -> ReportOutcome
  {
    let known = order.pointee
    if answersAmend(order, report.amendSerial) {
      guard report.price == known.target_ticks, report.qty == known.target_lots else {
        return doubt(order, report, now: now)  // the venue has made something else of it: ask
      }
      confirm(order, report, now: now)
      return .changed
    }
    // Late, of an amend that a query has settled since. If it only repeats what is known, it is of no more use. If not, the
    // query was answered before that amend was dealt with, and what it said is not true any more: ask.
    counters.lateReplies += 1
    guard report.hasPrice && report.price != known.price_ticks || report.qty != known.qty_lots else {
      noteExecuted(order, report)
      return stale()
    }
    return doubt(order, report, now: now)
  }

  /// What was confirmed, or was asked for, is contradicted: a query must tell.
  private mutating func doubt(_ order: OrderPointer, _ report: OrderReport, now: Nanoseconds) -> ReportOutcome {
    noteExecuted(order, report)
    guard order.pointee.phaseValue != .unknown else { return stale() }
    markUnknown(order, now: now)
    return .changed
  }

  /// From before what was last confirmed: it may show what is asked for now because that was so once. Only where the feed
  /// answers, which a query may have overtaken.
  private func isOlder(_ report: OrderReport, than order: OrderPointer) -> Bool {
    report.updateTime < statedTimes[slab.index(of: order)]
  }

  private mutating func stale() -> ReportOutcome {
    counters.stale += 1
    return .stale
  }

  private mutating func noteExecuted(_ order: OrderPointer, _ report: OrderReport) {
    change(order) { $0.pointee.reported_lots = max($0.pointee.reported_lots, report.filled) }
  }

  /// The order rests as the report says, and no request is in flight any more.
  private mutating func confirm(_ order: OrderPointer, _ report: OrderReport, now: Nanoseconds) {
    change(order) {
      $0.pointee.phaseValue = .live
      $0.pointee.inFlightValue = .none
      if report.hasPrice { $0.pointee.price_ticks = report.price }
      $0.pointee.qty_lots = report.qty
      $0.pointee.target_ticks = $0.pointee.price_ticks
      $0.pointee.target_lots = report.qty
      $0.pointee.reported_lots = max($0.pointee.reported_lots, report.filled)
      $0.pointee.sent_ns = now
    }
    if !repliesAreState {
      let place = slab.index(of: order)
      statedTimes[place] = max(statedTimes[place], report.updateTime)
    }
    state(order.pointee.instrument_index).pointee.reposition(order)
  }

  private func find(_ report: OrderReport) -> OrderPointer? {
    if report.venueID.count > 0, let order = slab.find(venueID: report.venueID) { return order }
    if report.isOurQuote, report.hasPrice {
      return findQuote(
        report.instrument, report.side, report.price, lots: report.qty, isEnding: report.status.isTerminal)
    }
    guard report.clientID != 0, let order = slab.find(clientID: report.clientID),
      order.pointee.instrument_index == report.instrument, order.pointee.sideValue == report.side
    else { return nil }
    // A query lists the whole account, and others may use the same client ids.
    if report.source == .query, !report.isLabelledOurs { return nil }
    // Another session may use the same client id: an order that has its venue id is known by that.
    if order.pointee.venue_id.count > 0, report.venueID.count > 0 { return nil }
    // What the venue has not accepted yet has not been amended: that is another order, of a life that used the same number.
    if report.amendSerial != 0, order.pointee.inFlightValue == .insert { return nil }
    return order
  }
}
