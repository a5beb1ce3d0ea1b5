import CSupport
import Testing

@testable import Apus

/// Venues whose replies only acknowledge, as Bybit's: the account's feed says how an order stands.
@Suite struct AcknowledgementTests {
  private func tracker() throws -> StateTracker { try Say.tracker(repliesAreState: false) }

  @Test func `R02 an acknowledged insert has a name, and rests only when the feed says so`() throws {
    var tracker = try tracker()
    let order = tracker.insert(.buy, 100, 7)
    tracker.name(order.pointee.client_id, Say.id("V1"))
    #expect(order.pointee.venue_id.count == 2)
    #expect(order.pointee.phaseValue == .inserting && order.pointee.inFlightValue == .insert && tracker.buys == 7)
    #expect(tracker.apply(Say.report(order, venueID: "V1"), now: 1) == .changed)
    #expect(order.pointee.phaseValue == .live && order.pointee.inFlightValue == .none)
  }

  @Test func `R02 the feed's word for what an amend asked for settles it, an older one does not`() throws {
    var tracker = try tracker()
    let order = tracker.rest(.buy, 100, 7)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 105), qty: QtyLots(rawValue: 7), now: 2)
    #expect(tracker.apply(Say.report(order, price: 100, qty: 7), now: 3) == .stale)
    #expect(order.pointee.inFlightValue == .amend)
    #expect(tracker.apply(Say.report(order, price: 105, qty: 7), now: 4) == .changed)
    #expect(order.pointee.inFlightValue == .none && order.pointee.price_ticks.rawValue == 105)
  }

  @Test func `R02 R07 an item that shows what is asked for, but from before what was confirmed, settles nothing`() throws {
    var tracker = try tracker()
    let order = tracker.insert(.buy, 100, 7)
    func report(_ source: ReportSource, qty: Int64, filled: Int64 = 0, at time: Nanoseconds) -> OrderReport {
      var report = Say.report(order, source: source, price: 100, qty: qty, filled: filled)
      report.updateTime = time
      return report
    }
    _ = tracker.apply(report(.feed, qty: 7, at: 1_000_000), now: 1)
    // Made larger, which a question tells before the feed does; then asked to be as it was.
    tracker.beginAmend(order, price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: 9), now: 2)
    tracker.beginQuery(sentAt: 3)
    #expect(tracker.apply(report(.query, qty: 9, at: 5_000_000), now: 4) == .changed)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: 7), now: 5)
    #expect(tracker.apply(report(.feed, qty: 7, at: 1_000_000), now: 6) == .stale)
    #expect(order.pointee.inFlightValue == .amend && tracker.buys == 9)
    #expect(tracker.apply(report(.feed, qty: 7, at: 8_000_000), now: 7) == .changed)
    #expect(order.pointee.inFlightValue == .none && tracker.buys == 7)

    // Nor does one that does not know of an execution that was booked.
    tracker.beginAmend(order, price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: 5), now: 8)
    _ = tracker.apply(Say.fill(order, "T1", qty: 2), now: 9)
    #expect(tracker.apply(report(.feed, qty: 5, at: 9_000_000), now: 10) == .stale)
    #expect(tracker.apply(report(.feed, qty: 5, filled: 2, at: 10_000_000), now: 11) == .changed)
    #expect(tracker.buys == 3)
  }

  @Test func `R02 where replies are state the feed's word alone settles no amend`() throws {
    var tracker = try Say.tracker()
    let order = tracker.rest(.buy, 100, 7)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 105), qty: QtyLots(rawValue: 7), now: 2)
    #expect(tracker.apply(Say.report(order, price: 105, qty: 7), now: 4) == .stale)
    #expect(order.pointee.inFlightValue == .amend)
  }

  @Test func `R07 an amend whose word of the feed is lost counts at the larger size until a query settles it`() throws {
    var tracker = try tracker()
    let order = tracker.rest(.buy, 100, 7)
    tracker.beginAmend(order, price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: 9), now: 2)
    tracker.markUnknown(order, now: 3_000_000_000)
    #expect(tracker.buys == 9)
    tracker.beginQuery(sentAt: 10_000_000_000)
    #expect(tracker.apply(Say.report(order, source: .query, price: 100, qty: 9), now: 10_100_000_000) == .changed)
    #expect(order.pointee.phaseValue == .live && tracker.buys == 9)
  }

  @Test func `R09 the feed may tell of the order before its acknowledgement`() throws {
    var tracker = try tracker()
    let order = tracker.insert(.sell, 100, 7)
    #expect(tracker.apply(Say.report(order, venueID: "V1"), now: 1) == .changed)
    tracker.name(order.pointee.client_id, Say.id("V2"))
    #expect(order.pointee.venue_id.text == "V1" && order.pointee.phaseValue == .live)
  }
}
