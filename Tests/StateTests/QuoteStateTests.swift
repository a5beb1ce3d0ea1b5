import CSupport
import Testing

@testable import Apus

/// What becomes of announced and replaced quotes; the cases of the article MassQuotes.
@Suite struct QuoteStateTests {
  /// A standing quote, and a mass quote under way that repeats it and adds one.
  private struct UnderWay: ~Copyable {
    var tracker: StateTracker
    let standing: OrderPointer
    let repeated: OrderPointer
    let new: OrderPointer

    init() throws {
      func quote(_ price: Int64) -> Quote {
        Quote(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: 5))
      }
      var tracker = try Say.tracker()
      standing = tracker.beginQuote(0, .buy, quote(100), now: 0)!
      var report = Say.report(standing)
      report.clientID = 0
      report.isOurQuote = true
      _ = tracker.apply(report, now: 0)
      tracker.beginReplacement(0, .buy, now: 1)
      repeated = tracker.beginQuote(0, .buy, quote(100), now: 1)!
      new = tracker.beginQuote(0, .buy, quote(99), now: 1)!
      self.tracker = tracker
    }
  }

  @Test func `R07 while a mass quote is under way the old and the new count`() throws {
    let world = try UnderWay()
    #expect(world.tracker.buys == 15)
  }

  /// A report of the order feed about a quote.
  private static func quote(
    _ order: OrderPointer, _ status: OrderStatus = .open, _ change: ChangeReason = .insert, _ venueID: String = "",
    _ deletion: DeleteReason = .none
  ) -> OrderReport {
    var report = Say.report(order, status, change: change, venueID: venueID)
    report.clientID = 0
    report.isOurQuote = true
    report.deletion = deletion
    return report
  }

  @Test func `an answered mass quote leaves a repeated quote as it was if the feed has told what it did`() throws {
    var world = try UnderWay()
    _ = world.tracker.apply(Self.quote(world.new), now: 6)
    world.tracker.quotesAnswered(0, .buy, processedBy: 5, now: 10)
    #expect(world.standing.pointee.isSettled)
    #expect(world.repeated.pointee.phaseValue == .dead)
    #expect(world.new.pointee.isSettled)
    #expect(world.tracker.buys == 10)
  }

  @Test func `what else the mass quote did may have been told of another side`() throws {
    var world = try UnderWay()
    world.tracker.quotesAnswered(0, .buy, processedBy: 5, isTold: true, now: 10)
    #expect(world.standing.pointee.isSettled)
    #expect(world.repeated.pointee.phaseValue == .dead)
    #expect(world.new.pointee.phaseValue == .unknown)
    #expect(world.tracker.buys == 10)
  }

  @Test func `R01 R07 if the feed has told nothing a repetition is not believed: the first may have gone unseen`()
    throws
  {
    var world = try UnderWay()
    world.tracker.quotesAnswered(0, .buy, processedBy: 5, now: 10)
    for order in [world.standing, world.repeated, world.new] { #expect(order.pointee.phaseValue == .unknown) }
    #expect(world.tracker.buys == 15)
  }

  @Test(arguments: [true, false])
  func `R04 R07 a query that lists the standing quote proves that the repetition was never placed, and no other does`(
    isListed: Bool
  ) throws {
    var world = try UnderWay()
    let second = LaneSession.absenceGrace
    world.tracker.quotesAnswered(0, .buy, processedBy: second, now: second)
    world.tracker.beginQuery(sentAt: second + 5)
    if isListed {
      var listed = Self.quote(world.standing, .open, .existing)
      listed.source = .query
      _ = world.tracker.apply(listed, now: second + 6)
    }
    let ended = world.tracker.endQuery(grace: LaneSession.absenceGrace, now: second + 6)
    #expect(ended == (isListed ? 2 : 3))
    #expect(world.standing.pointee.isSettled == isListed)
    // What was given up for its absence may have traded; what was never placed may not.
    #expect(world.tracker.buys == (isListed ? 5 + 5 : 15))
  }

  @Test func `R04 R07 a query that lists a quote of a later mass quote proves nothing about an earlier one`() throws {
    var world = try UnderWay()
    let second = LaneSession.absenceGrace
    world.tracker.quotesAnswered(0, .buy, processedBy: nil, now: 1)
    _ = world.tracker.apply(Self.quote(world.standing, .filled, .fill, "", .filled), now: 2)
    world.tracker.beginReplacement(0, .buy, now: 3)
    let later = world.tracker.beginQuote(
      0, .buy, Quote(price: PriceTicks(rawValue: 98), qty: QtyLots(rawValue: 5)), now: 3)!
    _ = world.tracker.apply(Self.quote(later), now: 4)
    world.tracker.beginReplacement(0, .buy, now: 5)
    // By now it has the price of the one that nothing was heard of.
    world.repeated.pointee.target_ticks = PriceTicks(rawValue: 98)
    world.tracker.beginQuery(sentAt: 2 * second)
    var listed = Self.quote(later, .open, .existing)
    listed.source = .query
    _ = world.tracker.apply(listed, now: 2 * second + 1)
    _ = world.tracker.endQuery(grace: second, now: 2 * second + 1)
    #expect(world.repeated.pointee.phaseValue == .dead && world.repeated.pointee.worstCaseLots.rawValue == 5)
  }

  @Test func `R01 R07 the end of another quote proves the feed's completeness only if a mass quote has taken it away`()
    throws
  {
    for (status, change, deletion, isProof) in [
      (OrderStatus.cancelled, ChangeReason.cancel, DeleteReason.replaced, true),
      (.cancelled, .cancel, .clientCancel, true), (.cancelled, .cancel, .protection, false),
      (.filled, .fill, .filled, false),
    ] {
      var world = try UnderWay()
      _ = world.tracker.apply(Self.quote(world.new), now: 2)
      world.tracker.quotesAnswered(0, .buy, processedBy: 3, now: 4)
      // The next mass quote repeats one of the two.
      world.tracker.beginReplacement(0, .buy, now: 5)
      let again = world.tracker.beginQuote(
        0, .buy, Quote(price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: 5)), now: 5)!
      _ = world.tracker.apply(Self.quote(world.new, status, change, "", deletion), now: 6)
      world.tracker.quotesAnswered(0, .buy, processedBy: 7, now: 8)
      #expect(world.standing.pointee.isSettled == isProof, "\(deletion)")
      #expect(again.pointee.phaseValue == (isProof ? .dead : .unknown), "\(deletion)")
    }
  }

  @Test func `R06 an execution that bears this run's label is booked, although its quote is taken for gone`() throws {
    var world = try UnderWay()
    var fill = Say.fill(world.repeated, "T1", qty: 5, price: 100)
    fill.clientID = 0
    fill.venueID = Say.id("UNKNOWN")
    fill.isLabelledOurs = true
    fill.isOurQuote = true
    _ = world.tracker.apply(Self.quote(world.new), now: 6)
    world.tracker.quotesAnswered(0, .buy, processedBy: 5, now: 10)
    // Not before the account has begun: then it would be part of the opening balance.
    var outcomes = [world.tracker.apply(fill, now: 11)]
    world.tracker.open(0, at: 1_000)
    outcomes.append(world.tracker.apply(fill, now: 12))
    outcomes.append(world.tracker.apply(fill, now: 13))
    #expect(outcomes == [.foreign, .booked, .duplicate])
    #expect(world.tracker.position == 5 && world.tracker.counters.inheritedFills == 1)
    // What is believed to rest still counts.
    #expect(world.tracker.buys == 10)
  }

  @Test func `R01 without an answer nothing is concluded: the mass quote may still replace what stands`() throws {
    var world = try UnderWay()
    world.tracker.quotesAnswered(0, .buy, processedBy: nil, now: 10)
    for order in [world.standing, world.repeated, world.new] { #expect(order.pointee.phaseValue == .unknown) }
    #expect(world.tracker.buys == 15)
  }

  @Test func `a refused mass quote leaves what stood`() throws {
    var world = try UnderWay()
    world.tracker.quotesHadNoEffect(0, .buy, now: 10)
    #expect(world.standing.pointee.isSettled)
    #expect(world.repeated.pointee.phaseValue == .dead && world.new.pointee.phaseValue == .dead)
    #expect(world.tracker.buys == 5)
  }

  @Test func `R04 a quote that has traded is not believed dead because its mass quote is refused`() throws {
    var world = try UnderWay()
    var fill = Say.fill(world.new, "T1", qty: 2, price: 99)
    fill.clientID = 0
    fill.isOurQuote = true
    _ = world.tracker.apply(fill, now: 2)
    world.tracker.quotesHadNoEffect(0, .buy, now: 10)
    #expect(world.new.pointee.phaseValue == .unknown)
    #expect(world.tracker.buys == 5 + 3)
  }

  @Test func `R02 a query from before an announcement does not give the new quote the id of an older one`() throws {
    var world = try UnderWay()
    var older = Say.report(world.new, change: .existing, source: .query, venueID: "OLDER")
    older.clientID = 0
    older.isOurQuote = true
    world.tracker.beginQuery(sentAt: 1)
    let outcome = world.tracker.apply(older, now: 2)
    #expect(outcome == .stale)
    #expect(world.new.pointee.venue_id.count == 0)
  }

  @Test func `R19 a late refusal of a cancel does not settle a quote that a mass quote is replacing`() throws {
    var world = try UnderWay()
    let refused = world.tracker.refuse(.cancel(world.standing.pointee.client_id), proof: .noEffect, now: 5)
    #expect(refused == nil)
    #expect(!world.standing.pointee.isSettled)
  }

  @Test func `R06 R09 an execution that is told before its quote's first report finds the quote by side and price`()
    throws
  {
    var world = try UnderWay()
    var fill = Say.fill(world.new, "T1", qty: 2, price: 99)
    fill.clientID = 0
    fill.isOurQuote = true
    let outcome = world.tracker.apply(fill, now: 2)
    #expect(outcome == .booked)
    #expect(world.new.pointee.filled_lots.rawValue == 2)
    #expect(world.tracker.position == 2)
  }

  @Test
  func `R06 R56 of a continued account the label tells which runs it is of, where it names one, and else the time`()
    throws
  {
    for (run, time, outcome) in [
      (UInt64(35), Nanoseconds(2_000), FillOutcome.foreign), (36, 500, .booked), (37, 0, .booked), (0, 500, .foreign),
      (0, 2_000, .booked),
    ] {
      var tracker = try Say.tracker()
      tracker.carriesAccount = true
      tracker.firstRun = 36
      tracker.open(0, at: 1_000)
      let order = tracker.rest(.buy, 100, 5)
      var fill = Say.fill(order, "T1", qty: 5)
      fill.clientID = 0
      fill.venueID = Say.id("EARLIER")
      fill.source = .query
      fill.isLabelledOurs = true
      fill.run = run
      fill.time = time
      let found = tracker.apply(fill, now: 1)
      #expect(found == outcome, "run \(run), time \(time)")
    }
  }

  @Test func `R14 an execution of an earlier life is not taken for one of ours`() throws {
    var world = try UnderWay()
    var fill = Say.fill(world.new, "T1", qty: 2, price: 99)
    fill.clientID = 0
    fill.venueID = Say.id("EARLIER")
    fill.source = .query
    let outcome = world.tracker.apply(fill, now: 2)
    #expect(outcome == .foreign)
    #expect(world.tracker.position == 0)
  }
}
