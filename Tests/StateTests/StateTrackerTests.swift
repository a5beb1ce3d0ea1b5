import Apus
import CSupport
import TestSupport
import Testing

@testable import Apus

@Suite struct StateTrackerTests {
  @Test func `an accepted order rests with the venue's price and its exposure is its size`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7)
    #expect(tracker.buys == 7)
    #expect(tracker.apply(Say.report(order, price: 99), now: 1) == .changed)
    #expect(order.pointee.phaseValue == .live)
    #expect(order.pointee.price_ticks.rawValue == 99)  // post-only moved it
    #expect(tracker.buys == 7)
    #expect(tracker.inFlightCount == 0)
  }

  @Test func `R01 a request without an answer makes the order unknown, and it keeps counting`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7, now: 10)
    let expired = tracker.expire(sentBefore: 11, now: 20)
    #expect(expired == 1)
    #expect(order.pointee.phaseValue == .unknown)
    #expect(tracker.unknownCount == 1)
    #expect(tracker.buys == 7)
    #expect(tracker.expire(sentBefore: 100, now: 101) == 0)
  }

  @Test func `R01 a lost connection makes every order unknown and ends none`() throws {
    var tracker = try Say.tracker()
    let resting = tracker.rest(.buy, 100, 3)
    let sent = tracker.insert(.sell, 110, 4)
    tracker.connectionLost(now: 5)
    #expect(resting.pointee.phaseValue == .unknown)
    #expect(sent.pointee.phaseValue == .unknown)
    #expect(tracker.buys == 3)
    #expect(tracker.sells == 4)
  }

  @Test func `R19 a late acceptance after a time-out is matched and does not double the exposure`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7, now: 10)
    _ = tracker.expire(sentBefore: 11, now: 20)
    let outcome = tracker.apply(Say.report(order, source: .reply), now: 30)
    #expect(outcome == .changed)
    #expect(order.pointee.phaseValue == .live)
    #expect(tracker.buys == 7)
    #expect(tracker.unknownCount == 0)
  }

  @Test func `R02 a report older than a booked fill cannot change the order`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    _ = tracker.apply(Say.fill(order, "T1", qty: 3), now: 1)
    let outcome = tracker.apply(Say.report(order, .open, price: 90, qty: 7, filled: 0), now: 2)
    #expect(outcome == .stale)
    #expect(order.pointee.price_ticks.rawValue == 100)
    #expect(tracker.buys == 4)
  }

  @Test func `R02 a late feed item of the insert cannot undo an acknowledged amend`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7)
    let inserted = Say.report(order)
    _ = tracker.apply(Say.report(order, source: .reply), now: 1)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 105), qty: QtyLots(rawValue: 7), now: 2)
    _ = tracker.apply(tracker.amendReply(order), now: 3)
    #expect(tracker.apply(inserted, now: 4) == .stale)
    #expect(order.pointee.price_ticks.rawValue == 105)
  }

  @Test func `R02 the late feed item of an earlier amend does not acknowledge the next one`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 101), qty: QtyLots(rawValue: 7), now: 2)
    let first = Say.report(order, change: .amend)
    _ = tracker.apply(tracker.amendReply(order), now: 3)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 102), qty: QtyLots(rawValue: 7), now: 4)
    #expect(tracker.apply(first, now: 5) == .stale)
    #expect(order.pointee.inFlightValue == .amend)
  }

  @Test func `R05 more executed than ordered, or a size that grew by itself, is refused and the order becomes unknown`()
    throws
  {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    #expect(tracker.apply(Say.report(order, qty: 70), now: 1) == .impossible)
    #expect(order.pointee.phaseValue == .unknown)
    #expect(order.pointee.qty_lots.rawValue == 7)
    let other = tracker.rest(.sell, 110, 5)
    #expect(tracker.apply(Say.report(other, qty: 5, filled: 6), now: 1) == .impossible)
    #expect(tracker.counters.impossible == 2)
  }

  @Test func `R05 a status word that is not known proves nothing`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    #expect(tracker.apply(Say.report(order, .other), now: 1) == .impossible)
    #expect(order.pointee.phaseValue == .unknown)
    #expect(tracker.buys == 7)
  }

  @Test func `R06 the same execution told by reply, feed and trade feed counts once, and its fee once`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    #expect(tracker.apply(Say.fill(order, "T1", qty: 3, source: .reply), now: 1) == .booked)
    #expect(tracker.apply(Say.fill(order, "T1", qty: 3, source: .feed), now: 2) == .duplicate)
    #expect(tracker.apply(Say.fill(order, "T1", qty: 3, source: .tradeFeed, fee: 31), now: 3) == .feeAdded)
    #expect(tracker.apply(Say.fill(order, "T1", qty: 3, source: .query, fee: 31), now: 4) == .duplicate)
    #expect(tracker.position == 3)
    let (fees, cash, without) = tracker.with(0) { ($0.feesE8, $0.cashE8, $0.fillsWithoutFee) }
    #expect(fees == 31)
    #expect(cash == -3 * 100 * 100_000)
    #expect(without == 0)
  }

  @Test func `R06 the trade feed may come first and brings the fee at once`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.sell, 100, 7)
    #expect(tracker.apply(Say.fill(order, "T1", qty: 2, source: .tradeFeed, fee: 5), now: 1) == .booked)
    #expect(tracker.apply(Say.fill(order, "T1", qty: 2), now: 2) == .duplicate)
    #expect(tracker.position == -2)
    #expect(tracker.with(0) { $0.feesE8 } == 5)
  }

  @Test func `R07 the worst case of a side is the position and everything that may still trade`() throws {
    var tracker = try Say.tracker()
    let first = tracker.rest(.buy, 100, 7)
    _ = tracker.insert(.buy, 99, 5)
    _ = tracker.rest(.sell, 105, 4)
    _ = tracker.apply(Say.fill(first, "T1", qty: 2), now: 1)
    let (long, short) = tracker.with(0) { ($0.worstLong.rawValue, $0.worstShort.rawValue) }
    #expect(long == 2 + 5 + 5)
    #expect(short == 4 - 2)
  }

  @Test func `R07 an amend in flight counts at the larger of both sizes`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: 9), now: 1)
    #expect(tracker.buys == 9)
    _ = tracker.apply(tracker.amendReply(order), now: 2)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: 2), now: 3)
    #expect(tracker.buys == 9)
    _ = tracker.apply(tracker.amendReply(order), now: 4)
    #expect(tracker.buys == 2)
  }

  @Test func `R07 an execution that was reported but whose fill is late still counts after the order's end`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    #expect(tracker.apply(Say.report(order, .filled, change: .fill, filled: 7), now: 1) == .ended)
    #expect(tracker.buys == 7)
    #expect(tracker.missingFillOrders == 1)
    #expect(tracker.apply(Say.fill(order, "T1", qty: 7), now: 2) == .booked)
    #expect(tracker.buys == 0)
    #expect(tracker.position == 7)
    #expect(tracker.counters.lateFills == 1)
  }

  @Test func `R09 a private update that arrives before the reply finds the order`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7)
    #expect(tracker.apply(Say.fill(order, "T1", qty: 2), now: 1) == .booked)
    #expect(tracker.apply(Say.report(order, .partiallyFilled, change: .fill, filled: 2), now: 1) == .changed)
    #expect(tracker.position == 2)
    #expect(tracker.buys == 5)
  }

  @Test func `an order that has ended is never opened again`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    let late = Say.report(order)
    _ = tracker.apply(Say.report(order, .cancelled, change: .cancel), now: 1)
    #expect(tracker.apply(late, now: 2) == .stale)
    #expect(order.pointee.phaseValue == .dead)
    #expect(tracker.buys == 0)
  }

  @Test func `an error that proves no effect ends an insert and settles an amend`() throws {
    var tracker = try Say.tracker()
    let refused = tracker.insert(.buy, 100, 7)
    _ = tracker.refuse(.insert(refused.pointee.client_id), proof: .noEffect, now: 1)
    #expect(refused.pointee.phaseValue == .dead)
    #expect(tracker.buys == 0)
    let order = tracker.rest(.buy, 100, 7)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 120), qty: QtyLots(rawValue: 9), now: 2)
    _ = tracker.refuse(tracker.lastAmend(of: order), proof: .noEffect, now: 3)
    #expect(order.pointee.inFlightValue == .none)
    #expect(order.pointee.effectivePrice.rawValue == 100)
    #expect(tracker.buys == 7)
  }

  @Test func `R04 order-not-found and ambiguous errors leave the order unknown until the venue proves its end`() throws
  {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    tracker.beginCancel(order, now: 1)
    _ = tracker.refuse(.cancel(order.pointee.client_id), proof: .orderGone, now: 2)
    #expect(order.pointee.phaseValue == .unknown)
    #expect(tracker.buys == 7)
    _ = tracker.apply(Say.fill(order, "T1", qty: 7), now: 3)
    _ = tracker.apply(Say.report(order, .filled, change: .fill, filled: 7), now: 3)
    #expect(order.pointee.phaseValue == .dead)
    #expect(tracker.unknownCount == 0)
    #expect(tracker.position == 7)
  }

  @Test func `R04 absence from a query ends an unknown order only if the query is young enough`() throws {
    var tracker = try Say.tracker()
    let order = tracker.insert(.buy, 100, 7, now: 100)
    _ = tracker.expire(sentBefore: 200, now: 300)
    tracker.beginQuery(sentAt: 350)
    #expect(tracker.endQuery(grace: 100, now: 360) == 0)
    tracker.beginQuery(sentAt: 400)
    #expect(tracker.endQuery(grace: 100, now: 410) == 1)
    #expect(order.pointee.phaseValue == .dead)
    // It may have traded unseen: that is known only when the trades have been asked for.
    #expect(tracker.buys == 7)
    tracker.tradesAnswered(askedAt: 1000, lag: 1000)
    #expect(tracker.buys == 7)
    tracker.tradesAnswered(askedAt: 1410, lag: 1000)
    #expect(tracker.buys == 0)
    #expect(tracker.missingFillOrders == 0)
  }

  @Test func `a query that lists an unknown order brings it back with the venue's values`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 101), qty: QtyLots(rawValue: 5), now: 1)
    _ = tracker.expire(sentBefore: 2, now: 3)
    let listed = Say.report(order, change: .existing, source: .query, price: 100, qty: 7)
    // Too early: the amend may still be on its way, or behind the query at the venue.
    tracker.beginQuery(sentAt: 2 + LaneSession.absenceGrace)
    let early = tracker.apply(listed, now: 2 + LaneSession.absenceGrace)
    #expect(early == .stale)
    #expect(order.pointee.phaseValue == .unknown)
    let late = 3 + LaneSession.absenceGrace
    tracker.beginQuery(sentAt: late)
    #expect(tracker.apply(listed, now: late) == .changed)
    #expect(tracker.endQuery(grace: 1, now: late) == 0)
    #expect(order.pointee.phaseValue == .live)
    #expect(order.pointee.price_ticks.rawValue == 100)
    #expect(tracker.buys == 7)
  }

  @Test func `R02 R07 a query that overtakes an amend does not make its order smaller`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 4)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 101), qty: QtyLots(rawValue: 20), now: 1)
    tracker.beginQuery(sentAt: 2)
    _ = tracker.apply(Say.report(order, change: .existing, source: .query, price: 100, qty: 4), now: 3)
    #expect(order.pointee.inFlightValue == .amend)
    #expect(tracker.buys == 20)
    // What the amend asked for settles it at once.
    tracker.beginQuery(sentAt: 4)
    _ = tracker.apply(Say.report(order, change: .existing, source: .query, price: 101, qty: 20), now: 5)
    #expect(order.pointee.isSettled)
    #expect(tracker.buys == 20)
  }

  @Test func `R14 an order of others is left alone, one of an earlier life is reported as orphan`() throws {
    var tracker = try Say.tracker()
    let known = tracker.rest(.buy, 100, 7)
    var other = Say.report(known, venueID: "FOREIGN")
    other.clientID = 0
    other.isLabelledOurs = false
    #expect(tracker.apply(other, now: 1) == .foreign)
    other.isLabelledOurs = true
    #expect(tracker.apply(other, now: 1) == .orphan)
    #expect(tracker.buys == 7)
  }

  @Test func `R17 the same client id in another session is not taken for ours`() throws {
    var tracker = try Say.tracker()
    let known = tracker.rest(.buy, 100, 7)
    var other = Say.report(known, .cancelled, change: .cancel, venueID: "ELSEWHERE")
    other.isLabelledOurs = false
    #expect(tracker.apply(other, now: 1) == .foreign)
    #expect(known.pointee.phaseValue == .live)
  }

  @Test func `R20 one refused order of many leaves the others as they are`() throws {
    var tracker = try Say.tracker()
    let orders = (0..<5).map { tracker.insert(.buy, 100 - $0, 2) }
    for (index, order) in orders.enumerated() {
      if index == 2 {
        _ = tracker.refuse(.insert(order.pointee.client_id), proof: .noEffect, now: 1)
      } else {
        _ = tracker.apply(Say.report(order), now: 1)
      }
    }
    #expect(tracker.liveCount == 4)
    #expect(tracker.buys == 8)
  }

  @Test func `R22 the position is unknown until the venue has stated it`() throws {
    var tracker = try StateTracker(
      instrumentCapacity: 1, orderCapacity: 16, ordersPerSide: 8, idBits: 32, firstGeneration: 1, tradeMemory: 16)
    #expect(tracker.position == nil)
    let differed = tracker.setPosition(0, QtyLots(rawValue: -4), mark: PriceTicks(rawValue: 10))
    #expect(!differed)
    #expect(tracker.position == -4)
  }

  @Test func `R56 a position that the venue states is taken over at the mark without profit or loss`() throws {
    var tracker = try Say.tracker()
    let differed = tracker.setPosition(0, QtyLots(rawValue: 6), mark: PriceTicks(rawValue: 100))
    #expect(differed)
    let (profit, count) = tracker.with(0) {
      ($0.profitE8(markE8: 100 * 100_000_000), $0.positionAdjustments)
    }
    #expect(profit == 0)
    #expect(count == 1)
  }

  @Test func `ended orders are forgotten after a while, but not while a fill is missing`() throws {
    var tracker = try Say.tracker(orders: 4)
    let complete = tracker.rest(.buy, 100, 1)
    let missing = tracker.rest(.buy, 99, 1)
    let ids = (complete.pointee.client_id, missing.pointee.client_id)
    _ = tracker.apply(Say.report(complete, .cancelled, change: .cancel), now: 1)
    _ = tracker.apply(Say.report(missing, .filled, change: .fill, filled: 1), now: 1)
    tracker.purge(now: 1 + StateTracker.remembrance)
    #expect(tracker.order(ids.0) == nil)
    #expect(tracker.order(ids.1) != nil)
  }

  /// Drives random requests and random, repeated and reordered statements of a model venue, and
  /// compares sums that the tracker keeps with sums made anew.
  @Test(arguments: 1...40 as ClosedRange<UInt64>)
  func `R06 R07 sums stay exact under random schedules of requests, reports and repeats`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    var tracker = try Say.tracker(orders: 512)
    var alive: [OrderPointer] = []
    var told: [FillReport] = []
    var position: Int64 = 0
    var now: Nanoseconds = 0
    for step in 0..<600 {
      now += 1_000_000
      switch Int.random(in: 0..<8, using: &random) {
      case 0, 1:
        guard alive.count < 40 else { continue }
        let side: Side = random.chance(500) ? .buy : .sell
        alive.append(
          tracker.insert(side, .random(in: 90...110, using: &random), .random(in: 1...9, using: &random), now: now))
      case 2:
        guard let order = alive.randomElement(using: &random), order.pointee.inFlightValue == .insert else { continue }
        _ = tracker.apply(Say.report(order), now: now)
      case 3:
        guard let order = alive.randomElement(using: &random), order.pointee.inFlightValue == .none,
          order.pointee.phaseValue == .live
        else { continue }
        tracker.beginAmend(
          order, price: PriceTicks(rawValue: .random(in: 90...110, using: &random)),
          qty: QtyLots(rawValue: order.pointee.filled_lots.rawValue + .random(in: 1...9, using: &random)), now: now)
      case 4:
        guard let order = alive.randomElement(using: &random), order.pointee.inFlightValue == .amend else { continue }
        if random.chance(700) {
          _ = tracker.apply(
            tracker.amendReply(order, filled: order.pointee.filled_lots.rawValue), now: now)
        } else {
          _ = tracker.refuse(tracker.lastAmend(of: order), proof: .noEffect, now: now)
        }
      case 5:
        guard let order = alive.randomElement(using: &random) else { continue }
        let left = order.pointee.effectiveRemaining.rawValue
        guard left > 0, order.pointee.phaseValue != .unknown else { continue }
        let qty = Int64.random(in: 1...left, using: &random)
        let fill = Say.fill(order, "T\(seed)-\(step)", qty: qty)
        if tracker.apply(fill, now: now) == .booked { position += order.pointee.sideValue.sign * qty }
        told.append(fill)
      case 6:
        if let again = told.randomElement(using: &random) {
          let outcome = tracker.apply(again, now: now)
          #expect(outcome == .duplicate || outcome == .foreign)
        }
      default:
        guard let order = alive.randomElement(using: &random), order.pointee.inFlightValue != .insert else { continue }
        let filled = order.pointee.filled_lots.rawValue
        _ = tracker.apply(
          Say.report(
            order, filled > 0 ? .cancelledPartiallyFilled : .cancelled, change: .cancel,
            qty: max(order.pointee.qty_lots.rawValue, filled), filled: filled), now: now)
      }
      alive.removeAll { $0.pointee.phaseValue == .dead }
      let expected = alive.reduce(into: (Int64(0), Int64(0))) { sums, order in
        let worst = order.pointee.worstCaseLots.rawValue
        if order.pointee.sideValue == .buy { sums.0 += worst } else { sums.1 += worst }
      }
      try #require(tracker.buys == expected.0 && tracker.sells == expected.1, "seed \(seed) step \(step)")
      try #require(tracker.position == position, "seed \(seed) step \(step)")
    }
  }
}
