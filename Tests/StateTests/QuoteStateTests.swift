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

  @Test func `an answered mass quote leaves a repeated quote as it was, and asks about what was not told of`() throws {
    var world = try UnderWay()
    world.tracker.quotesAnswered(0, .buy, processedBy: 5, now: 10)
    #expect(world.standing.pointee.isSettled)
    #expect(world.repeated.pointee.phaseValue == .dead)
    #expect(world.new.pointee.phaseValue == .unknown)
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
