import CSupport

/// Time, gaps, and the questions that close them.
extension StateTracker {
  /// Marks requests without an answer since `deadline` as unknown (R01). Returns how many.
  mutating func expire(sentBefore deadline: Nanoseconds, now: Nanoseconds) -> Int {
    guard inFlightCount > 0 else { return 0 }
    var expired = 0
    forEachOrder { tracker, order in
      if order.pointee.inFlightValue != .none, order.pointee.phaseValue != .unknown,
        order.pointee.sent_ns < deadline
      {
        tracker.markUnknown(order, now: now)
        tracker.counters.timeouts += 1
        expired += 1
      }
    }
    return expired
  }

  /// The connection is gone: the state of every order is unknown until the venue has been asked.
  mutating func connectionLost(now: Nanoseconds) {
    forEachOrder { tracker, order in tracker.markUnknown(order, now: now) }
  }

  /// A query of open orders was sent at `sentAt`; its items follow, then `endQuery`.
  mutating func beginQuery(sentAt: Nanoseconds) {
    querySentAt = sentAt
    isQuerySnapshot = true
    forEachOrder { _, order in order.pointee.flags &= ~Self.seenInQuery }
  }

  /// Ends orders of unknown state that the venue did not list. Absence proves death only if the
  /// query left at least `grace` after the order's last request (R04).
  ///
  /// - Returns: how many orders ended.
  mutating func endQuery(grace: Nanoseconds, now: Nanoseconds) -> Int {
    guard isQuerySnapshot else { return 0 }
    isQuerySnapshot = false
    let sentAt = querySentAt
    var count = 0
    forEachOrder { tracker, order in
      let record = order.pointee
      guard record.phaseValue == .unknown, record.flags & Self.seenInQuery == 0,
        record.sent_ns + grace <= sentAt
      else { return }
      if tracker.wasNeverPlaced(order) {
        tracker.end(order, reported: .zero, now: now)
        count += 1
        return
      }
      // What it executed before it ended is not known either: all of it, as far as exposure goes.
      let most = max(record.qty_lots, record.target_lots)
      tracker.end(order, reported: max(record.reported_lots, record.filled_lots, most), now: now)
      order.pointee.flags |= Self.endedByAbsence | Self.fillsUnasked
      order.pointee.sent_ns = now
      count += 1
    }
    return count
  }

  /// The venue's position of an instrument was taken over: executions that we miss are part of it.
  mutating func forgiveMissing(_ instrument: InstrumentIndex) {
    guard missingFillOrders > 0 else { return }
    for offset in 0..<endedCount {
      guard let order = slab.find(clientID: ended[(endedFirst + offset) % endedCapacity].clientID),
        order.pointee.instrument_index == instrument, order.pointee.worstCaseLots > .zero
      else { continue }
      change(order) {
        $0.pointee.flags &= ~Self.fillsUnasked
        $0.pointee.reported_lots = $0.pointee.filled_lots
      }
    }
  }

  /// A complete answer about executions has arrived to a question sent at `askedAt`: what ended unseen
  /// at least `lag` before that has traded no more than was told.
  mutating func tradesAnswered(askedAt: Nanoseconds, lag: Nanoseconds) {
    guard missingFillOrders > 0 else { return }
    for offset in 0..<endedCount {
      guard let order = slab.find(clientID: ended[(endedFirst + offset) % endedCapacity].clientID),
        order.pointee.flags & Self.fillsUnasked != 0, order.pointee.sent_ns + lag <= askedAt
      else { continue }
      change(order) {
        $0.pointee.flags &= ~Self.fillsUnasked
        $0.pointee.reported_lots = $0.pointee.filled_lots
      }
    }
  }

  /// Forgets ended orders after `remembrance`, unless fills that the venue reported are missing.
  mutating func purge(now: Nanoseconds) {
    var checks = endedCount
    while checks > 0, endedCount > 0 {
      let clientID = ended[endedFirst].clientID
      guard now - ended[endedFirst].at >= Self.remembrance else { return }
      endedFirst = (endedFirst + 1) % endedCapacity
      endedCount -= 1
      checks -= 1
      guard let order = slab.find(clientID: clientID) else { continue }
      let isAbsent = order.pointee.flags & Self.endedByAbsence != 0
      if order.pointee.worstCaseLots > .zero || isAbsent && now - order.pointee.sent_ns < Self.absentRemembrance {
        pushEnded(clientID, now)  // still waiting for a fill, or for a late answer
      } else {
        slab.erase(order)
      }
    }
  }
}
