import CSupport
import Testing

@testable import Apus

/// Quotes of a venue that says of each which mass quote placed it or changed it last, and that changes a standing quote
/// where another venue would place a new one.
@Suite struct NamedQuoteTests {
  /// A quote of 5 that rests as V1 since mass quote 7, and mass quote 8 under way that makes it 6 at another price.
  private struct UnderWay: ~Copyable {
    var tracker: StateTracker
    let standing: OrderPointer
    let next: OrderPointer

    init(filled: Int64 = 0) throws {
      var tracker = try Say.tracker()
      standing = tracker.beginQuote(0, .buy, NamedQuoteTests.quote(100, 5), serial: 7, now: 0)!
      _ = tracker.apply(NamedQuoteTests.report(7, "V1", 100, qty: 5), now: 0)
      if filled > 0 { _ = tracker.apply(NamedQuoteTests.fill(7, "V1", "T0", filled), now: 0) }
      tracker.beginReplacement(0, .buy, now: 1)
      next = tracker.beginQuote(0, .buy, NamedQuoteTests.quote(101, 6), serial: 8, now: 1)!
      self.tracker = tracker
    }
  }

  private static func quote(_ price: Int64, _ lots: Int64) -> Quote {
    Quote(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: lots))
  }

  private static func report(
    _ serial: UInt64, _ venueID: String, _ price: Int64, qty: Int64, filled: Int64 = 0, _ status: OrderStatus = .open,
    source: ReportSource = .feed
  ) -> OrderReport {
    var report = OrderReport()
    report.source = source
    report.status = status
    report.instrument = 0
    report.isLabelledOurs = true
    report.isOurQuote = true
    report.quoteSerial = serial
    report.venueID = Say.id(venueID)
    report.hasPrice = true
    report.price = PriceTicks(rawValue: price)
    report.qty = QtyLots(rawValue: qty)
    report.filled = QtyLots(rawValue: filled)
    report.remaining = status.isLive ? report.qty - report.filled : .zero
    return report
  }

  private static func fill(_ serial: UInt64, _ venueID: String, _ trade: String, _ lots: Int64) -> FillReport {
    var fill = FillReport()
    fill.instrument = 0
    fill.isMaker = true
    fill.isLabelledOurs = true
    fill.isOurQuote = true
    fill.quoteSerial = serial
    fill.venueID = Say.id(venueID)
    fill.tradeID = Say.id(trade)
    fill.price = PriceTicks(rawValue: 100)
    fill.qty = QtyLots(rawValue: lots)
    return fill
  }

  @Test func `R07 while a mass quote is under way the old and the new count`() throws {
    let world = try UnderWay()
    #expect(world.tracker.buys == 11)
  }

  @Test(arguments: [ReportSource.reply, .feed])
  func `a standing quote that was changed goes on as the announced one, under its id`(source: ReportSource) throws {
    var world = try UnderWay()
    let outcome = world.tracker.apply(Self.report(8, "V1", 101, qty: 6, source: source), now: 5)
    #expect(outcome == .changed)
    #expect(world.next.pointee.isSettled && world.next.pointee.price_ticks == PriceTicks(rawValue: 101))
    #expect(world.standing.pointee.phaseValue == .dead)
    #expect(world.tracker.buys == 6)
    let isSettled = world.tracker.areQuotesSettled(0, .buy)
    let named = world.tracker.order(Say.id("V1"))
    #expect(isSettled && named == world.next)
  }

  @Test func `R06 what the quote had traded is part of its size, and what it trades is booked to it once`() throws {
    var world = try UnderWay(filled: 2)
    // 6 rest beside the 2 that have traded.
    _ = world.tracker.apply(Self.report(8, "V1", 101, qty: 8, filled: 2), now: 5)
    #expect(world.tracker.buys == 6 && world.tracker.position == 2)
    // Told late: of before the change, and of after.
    _ = world.tracker.apply(Self.fill(7, "V1", "T0", 2), now: 6)
    _ = world.tracker.apply(Self.fill(8, "V1", "T1", 6), now: 6)
    #expect(world.tracker.position == 8 && world.tracker.buys == 0)
    _ = world.tracker.apply(Self.report(8, "V1", 101, qty: 8, filled: 8, .filled), now: 7)
    #expect(world.next.pointee.phaseValue == .dead)
    #expect(world.tracker.counters.impossible == 0 && world.tracker.missingFillOrders == 0)
  }

  @Test func `R06 R09 an execution of the changed quote that is told before the change finds it`() throws {
    var world = try UnderWay(filled: 4)
    // More than the old one had left: it is the new one's.
    let outcome = world.tracker.apply(Self.fill(8, "V1", "T1", 5), now: 5)
    #expect(outcome == .booked && world.tracker.position == 9)
    // Until the change is told, the old one's rest may have traded before it.
    #expect(world.tracker.buys == 2)
    _ = world.tracker.apply(Self.report(8, "V1", 101, qty: 10, filled: 9), now: 6)
    #expect(world.tracker.buys == 1 && world.tracker.counters.impossible == 0)
    #expect(world.next.pointee.isSettled)
  }

  @Test func `where the standing quote had gone the same mass quote has placed another order`() throws {
    var world = try UnderWay()
    _ = world.tracker.apply(Self.fill(7, "V1", "T0", 5), now: 4)
    _ = world.tracker.apply(Self.report(8, "V2", 101, qty: 6), now: 5)
    #expect(world.next.pointee.isSettled && world.tracker.buys == 6)
    // The end of the old one has not been told.
    let isEarly = world.tracker.areQuotesSettled(0, .buy)
    _ = world.tracker.apply(Self.report(7, "V1", 100, qty: 5, filled: 5, .filled), now: 6)
    let isSettled = world.tracker.areQuotesSettled(0, .buy)
    #expect(!isEarly && isSettled && world.tracker.buys == 6 && world.tracker.position == 5)
  }

  @Test func `R02 a report of before the change is too late`() throws {
    var world = try UnderWay()
    _ = world.tracker.apply(Self.report(8, "V1", 101, qty: 6), now: 5)
    let outcome = world.tracker.apply(Self.report(7, "V1", 100, qty: 5, source: .query), now: 6)
    #expect(outcome == .stale)
    #expect(world.next.pointee.isSettled && world.next.pointee.price_ticks == PriceTicks(rawValue: 101))
  }

  @Test func `R02 a change that a later mass quote made passes by one whose report is lost`() throws {
    var world = try UnderWay()
    world.tracker.quotesAnswered(0, .buy, processedBy: nil, now: 5)
    let last = world.tracker.beginQuote(0, .buy, Self.quote(102, 3), serial: 9, now: 6)!
    _ = world.tracker.apply(Self.report(9, "V1", 102, qty: 3), now: 7)
    #expect(last.pointee.isSettled && world.standing.pointee.phaseValue == .dead)
    #expect(world.next.pointee.phaseValue == .unknown && world.tracker.buys == 9)
    let late = world.tracker.apply(Self.report(8, "V1", 101, qty: 6), now: 8)
    #expect(late == .stale)
    #expect(last.pointee.price_ticks == PriceTicks(rawValue: 102))
  }

  @Test func `R04 a query that lists the quote as it was proves that the change was never made`() throws {
    var world = try UnderWay()
    world.tracker.quotesAnswered(0, .buy, processedBy: 5, now: 6)
    #expect(world.tracker.unknownCount == 2)
    world.tracker.beginQuery(sentAt: 10)
    _ = world.tracker.apply(Self.report(7, "V1", 100, qty: 5, source: .query), now: 11)
    _ = world.tracker.endQuery(grace: LaneSession.absenceGrace, now: 11)
    #expect(world.standing.pointee.isSettled && world.next.pointee.phaseValue == .dead)
    #expect(world.tracker.buys == 5 && world.tracker.missingFillOrders == 0)
  }

  @Test func `R01 R04 a query that lists neither leaves both counting until it is known what traded`() throws {
    var world = try UnderWay()
    world.tracker.quotesAnswered(0, .buy, processedBy: 5, now: 6)
    world.tracker.beginQuery(sentAt: 10)
    _ = world.tracker.endQuery(grace: LaneSession.absenceGrace, now: 11)
    #expect(world.tracker.unknownCount == 0 && world.tracker.buys == 11)
    // One that was given up for its absence is found by the mass quote that its execution names.
    let outcome = world.tracker.apply(Self.fill(8, "V2", "T1", 6), now: 12)
    #expect(outcome == .booked)
    #expect(world.tracker.buys == 5 && world.tracker.position == 6)
    world.tracker.tradesAnswered(askedAt: 20, lag: 1)
    #expect(world.tracker.buys == 0)
  }

  @Test func `R19 a quote that was given up for its absence lives on as the one that changed it`() throws {
    var world = try UnderWay()
    world.tracker.quotesAnswered(0, .buy, processedBy: 5, now: 6)
    world.tracker.beginQuery(sentAt: 10)
    _ = world.tracker.endQuery(grace: LaneSession.absenceGrace, now: 11)
    let last = world.tracker.beginQuote(0, .buy, Self.quote(102, 3), serial: 9, now: 12)!
    _ = world.tracker.apply(Self.report(9, "V1", 102, qty: 3), now: 13)
    #expect(last.pointee.isSettled)
    // What else was given up still counts: it may have been another order.
    #expect(world.tracker.buys == 3 + 6)
  }

  @Test func `R04 a side that failed was not placed, and what stood there is open until the venue tells`() throws {
    var world = try UnderWay()
    world.tracker.quoteFailed(0, .buy, serial: 8, now: 5)
    let isEarly = world.tracker.areQuotesSettled(0, .buy)
    #expect(world.next.pointee.phaseValue == .dead && world.tracker.buys == 5 && !isEarly)
    _ = world.tracker.apply(Self.report(7, "V1", 100, qty: 5, .cancelled), now: 6)
    let isSettled = world.tracker.areQuotesSettled(0, .buy)
    #expect(isSettled && world.tracker.buys == 0)
  }

  @Test func `R04 a side that failed after it was seen is of unknown state`() throws {
    var world = try UnderWay()
    _ = world.tracker.apply(Self.fill(8, "V1", "T1", 1), now: 4)
    world.tracker.quoteFailed(0, .buy, serial: 8, now: 5)
    #expect(world.next.pointee.phaseValue == .unknown)
  }

  @Test func `R14 an order in our group from before this life was changed: what it had traded is part of its size`()
    throws
  {
    var tracker = try Say.tracker()
    let quote = tracker.beginQuote(0, .buy, Self.quote(100, 5), serial: 1, now: 0)!
    _ = tracker.apply(Self.report(1, "V0", 100, qty: 8, filled: 3, .partiallyFilled), now: 1)
    #expect(quote.pointee.isSettled && tracker.counters.impossible == 0)
    // The three may be ours, told late.
    #expect(tracker.buys == 8)
  }

  @Test func `R18 a size that the mass quote did not ask for is reserved until a query tells`() throws {
    var world = try UnderWay()
    _ = world.tracker.apply(Self.report(8, "V1", 101, qty: 40), now: 5)
    #expect(world.next.pointee.phaseValue == .unknown && world.tracker.buys == 40)
  }

  @Test func `a refused mass quote leaves what stood`() throws {
    var world = try UnderWay()
    world.tracker.quotesHadNoEffect(0, .buy, now: 5)
    #expect(world.standing.pointee.isSettled && world.tracker.buys == 5)
  }
}
