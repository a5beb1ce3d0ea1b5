import Apus
import CSupport
import Testing

@testable import Apus

/// Answers and reports in orders that the venue does not rule out, and numbers that cannot be true.
@Suite struct StateTrackerFaultTests {
  private func amend(
    _ tracker: inout StateTracker, _ order: OrderPointer, _ price: Int64, _ qty: Int64, now: Nanoseconds
  ) {
    tracker.beginAmend(order, price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty), now: now)
  }

  @Test func `R19 an order given up for absence that the venue then reports live counts again`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7, now: 100)
    let late = Say.report(order, source: .reply)
    _ = tracker.expire(sentBefore: 200, now: 300)
    tracker.beginQuery(sentAt: 400)
    _ = tracker.endQuery(grace: 100, now: 410)
    tracker.tradesAnswered(askedAt: 2000, lag: 1)
    #expect(tracker.buys == 0)
    tracker.purge(now: 400 + 50_000_000_000)
    #expect(tracker.apply(late, now: 50_000_000_400) == .changed)
    #expect(order.pointee.phaseValue == .unknown)
    #expect(tracker.buys == 7)
    #expect(tracker.unknownCount == 1)
    tracker.purge(now: 400_000_000_000)
    #expect(tracker.order(order.pointee.client_id) != nil)
    #expect(tracker.apply(Say.report(order, .cancelled, change: .cancel), now: 400_000_000_001) == .ended)
    #expect(tracker.buys == 0)
  }

  @Test func `R02 a query sent before the last acknowledgement cannot undo it`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    let before = Say.report(order, change: .existing, source: .query)
    tracker.beginQuery(sentAt: 10)
    amend(&tracker, order, 105, 9, now: 11)
    _ = tracker.apply(tracker.amendReply(order), now: 12)
    #expect(tracker.apply(before, now: 13) == .stale)
    #expect(order.pointee.price_ticks.rawValue == 105)
    #expect(tracker.buys == 9)
  }

  @Test func `R02 the reply to the insert, after its feed item, does not answer the amend that followed`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7)
    let reply = Say.report(order, source: .reply)
    _ = tracker.apply(Say.report(order), now: 1)
    amend(&tracker, order, 105, 9, now: 2)
    #expect(tracker.apply(reply, now: 3) == .stale)
    #expect(order.pointee.inFlightValue == .amend)
    #expect(tracker.apply(tracker.amendReply(order), now: 4) == .changed)
    #expect(order.pointee.price_ticks.rawValue == 105)
    #expect(tracker.buys == 9)
    #expect(tracker.counters.impossible == 0)
  }

  @Test func `R02 the feed item of an earlier amend to the same price and size does not answer the amend in flight`()
    throws
  {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    amend(&tracker, order, 101, 9, now: 2)
    let first = Say.report(order, change: .amend)
    _ = tracker.apply(tracker.amendReply(order), now: 3)
    amend(&tracker, order, 100, 7, now: 4)
    _ = tracker.apply(tracker.amendReply(order), now: 5)
    amend(&tracker, order, 101, 9, now: 6)
    #expect(tracker.apply(first, now: 7) == .stale)
    #expect(order.pointee.inFlightValue == .amend)
    _ = tracker.refuse(tracker.lastAmend(of: order), proof: .noEffect, now: 8)
    #expect(order.pointee.price_ticks.rawValue == 100)
    #expect(tracker.buys == 7)
  }

  @Test func `R04 a reply that a fill has overtaken still answers its request`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    amend(&tracker, order, 105, 7, now: 2)
    _ = tracker.apply(Say.fill(order, "T1", qty: 2), now: 3)
    _ = tracker.apply(Say.report(order, .partiallyFilled, change: .fill, filled: 2), now: 3)
    #expect(tracker.apply(tracker.amendReply(order, filled: 0), now: 4) == .changed)
    #expect(order.pointee.inFlightValue == .none)
    #expect(order.pointee.price_ticks.rawValue == 105)
    #expect(tracker.buys == 5)
  }

  @Test func `R18 an order that is larger at the venue than it can be is reserved, then settled by a query`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    #expect(tracker.apply(tracker.amendReply(order, qty: 20), now: 1) == .impossible)
    #expect(tracker.buys == 20)
    tracker.beginQuery(sentAt: 10)
    #expect(tracker.apply(Say.report(order, change: .existing, source: .query, qty: 20), now: 11) == .changed)
    #expect(order.pointee.phaseValue == .live)
    #expect(tracker.unknownCount == 0)
    #expect(tracker.buys == 20)
  }

  @Test func `R01 the venue's word ends an order even with a size that it should not have`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    #expect(tracker.apply(Say.report(order, .cancelled, change: .cancel, qty: 20), now: 1) == .ended)
    #expect(tracker.buys == 0)
  }

  @Test func `R05 sizes and prices that overflow every sum are refused, not trapped on`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    #expect(tracker.apply(Say.fill(order, "T1", qty: .max, price: .max), now: 1) == .impossible)
    #expect(tracker.position == 0)
    #expect(tracker.apply(Say.report(order, .filled, change: .fill, qty: .max, filled: .max), now: 2) == .impossible)
    let differs = tracker.setPosition(0, QtyLots(rawValue: .max), mark: PriceTicks(rawValue: 60_000))
    #expect(!differs)
    #expect(tracker.position == 0)
    _ = tracker.apply(Say.report(order, .cancelled, change: .cancel), now: 3)
    _ = tracker.apply(Say.report(order, .filled, change: .fill, qty: .max, filled: .max), now: 4)
    #expect(tracker.buys == 0)
  }

  @Test func `R06 a trade of an order whose venue id was never learnt is matched by our label and number`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7)
    var trade = Say.fill(order, "T1", qty: 7, source: .query, fee: 3)
    trade.isLabelledOurs = false
    #expect(tracker.apply(trade, now: 1) == .foreign)
    trade.isLabelledOurs = true
    #expect(tracker.apply(trade, now: 2) == .booked)
    #expect(tracker.position == 7)
  }

  @Test func `R14 a query's order of others with our number is not taken for ours`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7)
    var other = Say.report(order, change: .existing, source: .query, venueID: "THEIRS")
    other.isLabelledOurs = false
    tracker.beginQuery(sentAt: 5)
    #expect(tracker.apply(other, now: 6) == .foreign)
    #expect(order.pointee.inFlightValue == .insert)
  }

  @Test func `R19 a late refusal of a lost amend does not settle the amend after it`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    amend(&tracker, order, 101, 8, now: 1)
    let lost = tracker.lastAmend(of: order)
    _ = tracker.expire(sentBefore: 2, now: 3)
    let late = 3 + LaneSession.absenceGrace
    tracker.beginQuery(sentAt: late)
    _ = tracker.apply(Say.report(order, change: .existing, source: .query, price: 100, qty: 7), now: late + 1)
    #expect(order.pointee.phaseValue == .live)
    amend(&tracker, order, 102, 9, now: late + 2)
    _ = tracker.refuse(lost, proof: .noEffect, now: late + 3)
    #expect(order.pointee.phaseValue == .live && order.pointee.inFlightValue == .amend)
    #expect(tracker.counters.lateReplies == 1)
    #expect(tracker.buys == 9)
    // Without a serial it may be of either.
    _ = tracker.refuse(.amend(order.pointee.client_id), proof: .noEffect, now: late + 3)
    #expect(order.pointee.phaseValue == .unknown && order.pointee.inFlightValue == .amend)
    #expect(tracker.buys == 9)
    _ = tracker.apply(tracker.amendReply(order, price: 102, qty: 9), now: late + 4)
    #expect(order.pointee.phaseValue == .live)
    #expect(tracker.buys == 9)
  }

  @Test func `R04 an insert that is refused after it has traded is not believed dead`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7)
    _ = tracker.apply(Say.fill(order, "T1", qty: 2), now: 1)
    _ = tracker.refuse(.insert(order.pointee.client_id), proof: .noEffect, now: 2)
    #expect(order.pointee.phaseValue == .unknown)
    #expect(tracker.buys == 5)
  }

  @Test func `R05 what cannot be true of a dead order is counted, and no fills are waited for`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    _ = tracker.apply(Say.report(order, .cancelled, change: .cancel), now: 1)
    let overfilled = tracker.apply(Say.report(order, .filled, change: .fill, filled: 8), now: 2)
    let strange = tracker.apply(Say.report(order, .other), now: 3)
    #expect(overfilled == .impossible && strange == .impossible)
    #expect(tracker.counters.impossible == 2)
    #expect(tracker.buys == 0 && tracker.missingFillOrders == 0)
  }

  @Test func `R05 a request for an order that is not settled is refused and counted, and the order stays as it is`()
    throws
  {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    _ = tracker.apply(Say.report(order, .cancelled, change: .cancel), now: 1)
    let isAmended = tracker.beginAmend(order, price: PriceTicks(rawValue: 1), qty: QtyLots(rawValue: 9), now: 2)
    let isCancelled = tracker.beginCancel(order, now: 2)
    let isTakenBack = tracker.takeBack(order, now: 2)
    #expect(!isAmended && !isCancelled && !isTakenBack)
    #expect(order.pointee.phaseValue == .dead && order.pointee.inFlightValue == .none)
    #expect(tracker.counters.impossible == 3 && tracker.inFlightCount == 0)
  }

  @Test func `R07 as long as the venue's position differs from ours the worse of both limits`() throws {
    var tracker = try Say.tracker()
    _ = tracker.rest(.buy, 100, 3)
    tracker.notePosition(0, stated: QtyLots(rawValue: 5))
    let (buy, sell) = tracker.with(0) {
      ($0.room(for: .buy, limit: QtyLots(rawValue: 10)), $0.room(for: .sell, limit: QtyLots(rawValue: 10)))
    }
    #expect(buy.rawValue == 2)
    #expect(sell.rawValue == 10)
  }

  @Test func `R07 what the venue's position may not contain yet counts on top of it`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.sell, 100, 3)
    tracker.notePosition(0, stated: QtyLots(rawValue: -5))
    _ = tracker.apply(Say.fill(order, "T1", qty: 3), now: 1)
    // Ours is -3; the venue's -5 may or may not contain the sale.
    let room = tracker.with(0) { $0.room(for: .sell, limit: QtyLots(rawValue: 10)) }
    #expect(room.rawValue == 2)
    tracker.stepRecentFills()
    tracker.stepRecentFills()
    let later = tracker.with(0) { $0.room(for: .sell, limit: QtyLots(rawValue: 10)) }
    #expect(later.rawValue == 5)
  }

  @Test
  func `R06 R56 an execution told after the position that contains it is counted, but does not move the position`()
    throws
  {
    let unit: Nanoseconds = 1_000_000_000
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 5)
    // The venue's 2 was asked for at 10 s of its clock, and taken over at a price of 90.
    _ = tracker.setPosition(0, QtyLots(rawValue: 2), mark: PriceTicks(rawValue: 90))
    tracker.confirmPosition(0, askedAt: 10 * unit, mark: PriceTicks(rawValue: 90))

    var early = Say.fill(order, "T1", qty: 2)
    early.time = 9 * unit
    let first = tracker.apply(early, now: 1)
    #expect(first == .booked)
    #expect(tracker.position == 2)
    #expect(tracker.buys == 3)
    let (cash, bought) = tracker.with(0) { ($0.cashE8, $0.boughtLots.rawValue) }
    // Bought at 100, not at 90: the price, tick and lot make 10⁵ · 10⁻⁸ USD of one tick and lot.
    #expect(cash == -200 * 100_000)
    #expect(bought == 2)

    // Executed in the last second before the question: nobody knows, and the position moves.
    var late = Say.fill(order, "T2", qty: 1)
    late.time = 9 * unit + 1
    let second = tracker.apply(late, now: 1)
    #expect(second == .booked)
    #expect(tracker.position == 3)
  }

  @Test func `R07 counts that have become equal by chance are not taken for agreement`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 6)
    // The venue has 3 that we have not been told of; then we buy 3 that its statement does not contain.
    tracker.notePosition(0, stated: QtyLots(rawValue: 3))
    _ = tracker.apply(Say.fill(order, "T1", qty: 3), now: 1)
    let room = tracker.with(0) { $0.room(for: .buy, limit: QtyLots(rawValue: 10)) }
    #expect(room.rawValue == 10 - 6 - 3)
    tracker.notePosition(0, stated: QtyLots(rawValue: 3))
    let agreed = tracker.with(0) { $0.room(for: .buy, limit: QtyLots(rawValue: 10)) }
    #expect(agreed.rawValue == 10 - 3 - 3)
  }

  /// The grid of the tracker with another lot.
  private func info(lotE8: Int64) -> InstrumentInfo {
    InstrumentInfo(
      index: 0, kind: .perpetual,
      grid: InstrumentGrid(tickE8: 100_000_000, lotE8: lotE8, minimumLots: QtyLots(rawValue: 1)), expirySeconds: 0)
  }

  @Test func `R32 a finer lot leaves position, orders and exposure the same amounts`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 10)
    _ = tracker.apply(Say.fill(order, "T1", qty: 4), now: 1)
    tracker.list(info(lotE8: 50_000))
    #expect(tracker.position == 8)
    #expect(order.pointee.qty_lots.rawValue == 20)
    #expect(order.pointee.filled_lots.rawValue == 8)
    #expect(tracker.buys == 12)
    let cost = tracker.with(0) { $0.value.worth(QtyLots(rawValue: 1), at: PriceTicks(rawValue: 1)) ?? 0 }
    #expect(cost == 50_000)
  }

  @Test func `R22 R32 a coarser lot never makes smaller what may still trade, and a broken position is unknown`() throws
  {
    var tracker = try Say.tracker()
    let order = tracker.rest(.sell, 100, 7)
    let ended = tracker.rest(.sell, 101, 3)
    _ = tracker.apply(Say.fill(order, "T1", qty: 1), now: 1)
    _ = tracker.apply(Say.fill(ended, "T2", qty: 3), now: 1)
    _ = tracker.apply(Say.report(ended, .filled, change: .fill, filled: 3), now: 1)
    tracker.list(info(lotE8: 200_000))
    #expect(tracker.position == -2)
    #expect(order.pointee.worstCaseLots.rawValue == 4)
    #expect(tracker.sells == 4)
    // What was told of in full is not opened again by the rounding.
    #expect(ended.pointee.worstCaseLots == .zero)
    #expect(tracker.missingFillOrders == 0)
    tracker.list(info(lotE8: 300_000))
    #expect(tracker.position == nil)
  }
}
