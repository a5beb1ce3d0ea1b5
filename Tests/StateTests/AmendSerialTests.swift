import CSupport
import Testing

@testable import Apus

/// Each amend of an order has a serial in its request's id; answers may be late.
@Suite struct AmendSerialTests {
  private static let grace = LaneSession.absenceGrace

  private func amend(
    _ tracker: inout StateTracker, _ order: OrderPointer, _ price: Int64, _ qty: Int64, now: Nanoseconds
  ) {
    let isTaken = tracker.beginAmend(
      order, price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty), now: now)
    #expect(isTaken)
  }

  /// The reply to the amend in flight is late: a query that was answered before the venue came to it settles the order as
  /// it was. Returns the reply that will come.
  private func lose(
    _ tracker: inout StateTracker, _ order: OrderPointer, _ price: Int64, _ qty: Int64, now: inout Nanoseconds
  ) -> OrderReport {
    let known = (price: order.pointee.price_ticks.rawValue, qty: order.pointee.qty_lots.rawValue)
    amend(&tracker, order, price, qty, now: now)
    let reply = tracker.amendReply(order)
    _ = tracker.expire(sentBefore: now + 1, now: now + 1)
    now += 1 + Self.grace
    tracker.beginQuery(sentAt: now)
    let listed = Say.report(order, change: .existing, source: .query, price: known.price, qty: known.qty)
    _ = tracker.apply(listed, now: now + 1)
    now += 2
    #expect(order.pointee.isSettled)
    return reply
  }

  @Test func `R02 of two late replies the second is not believed for an amend that asks for the same again`() throws {
    var tracker = try Say.tracker()
    var now: Nanoseconds = 10
    let order = tracker.rest(.buy, 100, 7)
    let first = lose(&tracker, order, 101, 5, now: &now)
    let second = lose(&tracker, order, 102, 3, now: &now)
    amend(&tracker, order, 102, 3, now: now)
    let third = tracker.amendReply(order)

    #expect(tracker.apply(first, now: now + 1) == .changed)
    #expect(order.pointee.phaseValue == .unknown)
    #expect(tracker.apply(second, now: now + 2) == .stale)
    // It names price and size of the amend in flight, and is of the one before: the venue has not told of this one.
    #expect(order.pointee.phaseValue == .unknown && order.pointee.inFlightValue == .amend)
    #expect(tracker.buys == 7)
    #expect(tracker.counters.lateReplies == 2)
    #expect(tracker.apply(third, now: now + 3) == .changed)
    #expect(order.pointee.isSettled && order.pointee.price_ticks.rawValue == 102)
    #expect(tracker.buys == 3)
  }

  @Test func `R02 a late reply that repeats what is known is dropped and counted`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    amend(&tracker, order, 101, 9, now: 1)
    let reply = tracker.amendReply(order)
    tracker.beginQuery(sentAt: 2)
    _ = tracker.apply(Say.report(order, change: .existing, source: .query), now: 3)
    amend(&tracker, order, 104, 9, now: 4)
    #expect(tracker.apply(reply, now: 5) == .stale)
    #expect(order.pointee.phaseValue == .live && order.pointee.inFlightValue == .amend)
    #expect(tracker.counters.lateReplies == 1)
  }

  @Test func `R02 a late reply that contradicts what is known asks, whatever is in flight`() throws {
    for request in [InFlight.none, .cancel] {
      var tracker = try Say.tracker()
      var now: Nanoseconds = 10
      let order = tracker.rest(.buy, 100, 7)
      let reply = lose(&tracker, order, 101, 5, now: &now)
      if request == .cancel { tracker.beginCancel(order, now: now) }
      #expect(tracker.apply(reply, now: now + 1) == .changed)
      #expect(order.pointee.phaseValue == .unknown && order.pointee.inFlightValue == request)
      #expect(tracker.buys == 7)
      // Nor does the cancel's refusal say how the order stands.
      _ = tracker.refuse(.cancel(order.pointee.client_id), proof: .noEffect, now: now + 2)
      #expect(order.pointee.phaseValue == .unknown)
      tracker.beginQuery(sentAt: now + 3)
      _ = tracker.apply(
        Say.report(order, change: .existing, source: .query, price: 101, qty: 5), now: now + 4)
      #expect(order.pointee.isSettled && order.pointee.price_ticks.rawValue == 101)
      #expect(tracker.buys == 5)
    }
  }

  @Test func `R04 the refusal of an amend does not settle an order that a late reply has made unknown`() throws {
    var tracker = try Say.tracker()
    var now: Nanoseconds = 10
    let order = tracker.rest(.buy, 100, 7)
    let reply = lose(&tracker, order, 101, 9, now: &now)
    amend(&tracker, order, 103, 8, now: now)
    _ = tracker.apply(reply, now: now + 1)
    _ = tracker.refuse(tracker.lastAmend(of: order), proof: .noEffect, now: now + 2)
    // The venue has it at 101 with 9 lots.
    #expect(order.pointee.phaseValue == .unknown)
    #expect(tracker.buys == 9)
  }

  @Test func `R02 the reply to the amend in flight with other numbers than were asked for makes the order unknown`()
    throws
  {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    amend(&tracker, order, 101, 9, now: 1)
    #expect(tracker.apply(tracker.amendReply(order, price: 100, qty: 7), now: 2) == .changed)
    #expect(order.pointee.phaseValue == .unknown && order.pointee.inFlightValue == .amend)
    #expect(tracker.buys == 9)
  }

  @Test func `serials rise with each amend of an order, are counted for each order apart, and never are 0`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    #expect(tracker.amendSerial(of: order) == 0)
    var seen: [UInt16] = []
    for step in 0..<10_001 as Range<Int64> {
      amend(&tracker, order, 100 + step % 2 + 1, 7, now: step)
      seen.append(tracker.amendSerial(of: order))
      _ = tracker.apply(tracker.amendReply(order), now: step)
    }
    #expect(seen[0..<9999].elementsEqual(1...9999))
    #expect(seen[9999...] == [1, 2])
    let other = tracker.rest(.buy, 90, 1)
    #expect(tracker.amendSerial(of: other) == 0)
    amend(&tracker, other, 91, 1, now: 3)
    #expect(tracker.amendSerial(of: other) == 1 && tracker.amendSerial(of: order) == 2)
  }

  @Test func `R13 an answer to an amend of an earlier life is not about an order of this one with the same number`()
    throws
  {
    var before = try Say.tracker()
    let old = before.rest(.buy, 100, 7)
    before.beginAmend(old, price: PriceTicks(rawValue: 101), qty: QtyLots(rawValue: 9), now: 1)
    var reply = before.amendReply(old)
    reply.venueID = Say.id("OLD")

    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7)
    #expect(order.pointee.client_id == old.pointee.client_id)
    // It rests and is not ours: the session cancels it by the venue's id.
    #expect(tracker.apply(reply, now: 2) == .orphan)
    #expect(order.pointee.inFlightValue == .insert && order.pointee.venue_id.count == 0)
    _ = tracker.refuse(.amend(order.pointee.client_id, serial: 1), proof: .noEffect, now: 3)
    #expect(order.pointee.phaseValue == .inserting)
    _ = tracker.apply(Say.report(order), now: 4)
    #expect(tracker.apply(reply, now: 5) == .orphan)
    #expect(order.pointee.isSettled && order.pointee.price_ticks.rawValue == 100)
  }
}
