import CSupport
import TestSupport
import Testing

@testable import Apus

/// R61: an instrument is looked at when something has changed that matters to its quotes, and only then.
@Suite struct EarlyExitTests {
  /// How many times `body` makes the lane look.
  private func looks(_ quiet: inout Quiet, _ body: (inout Quiet) -> Void) -> Int {
    let before = quiet.looks
    body(&quiet)
    return quiet.looks - before
  }

  @Test func `a lane on a quiet market quotes three levels a side`() throws {
    let quiet = try Quiet()
    #expect(quiet.resting == (3, 3))
  }

  @Test func `R61 a tick that changes nothing yields no look, however often it comes`() throws {
    var quiet = try Quiet()
    let count = looks(&quiet) { quiet in
      for step in 0..<100 { quiet.say(Quiet.ticker(mark: 100_000, last: 99_000 + step)) }
    }
    #expect(count == 0)
  }

  @Test func `R61 a book update behind the best yields no look, nor does one that repeats the best`() throws {
    var quiet = try Quiet()
    let count = looks(&quiet) { quiet in
      quiet.book(bids: "[99970,7,7],[99960,1,1]", asks: "[100030,1,1]")
      quiet.book(bids: "[99990,1,1]")
    }
    #expect(count == 0)
  }

  @Test func `timers yield no look while nothing changes`() throws {
    var quiet = try Quiet()
    let count = looks(&quiet) { $0.pass(500_000_000) }
    #expect(count == 0)
  }

  @Test func `R61 a new mark, a new best price and a new best size each yield one look`() throws {
    var quiet = try Quiet()
    #expect(looks(&quiet) { $0.market(mark: 100_001) } == 1)
    // The quotes lean on the mid: a best that moves by little leaves them where they are.
    #expect(looks(&quiet) { $0.book(bids: "[99990,3,3]") } == 1)
    #expect(looks(&quiet) { $0.book(bids: "[99991,1,1]") } >= 1)
    #expect(looks(&quiet) { $0.book(asks: "[100010,0,0]") } >= 1)
  }

  @Test func `R61 a refused order is looked at again, without a tick, and its quote comes back`() throws {
    var quiet = try Quiet()
    // Two sides are pulled by a halt, then one insert of the return is refused.
    var halt = Directive()
    halt.isQuotingAllowed = false
    quiet.direct(halt)
    #expect(quiet.resting == (0, 0))
    quiet.refusal = 6
    quiet.direct(Directive())
    quiet.pass(20_000_000)
    #expect(quiet.refusal == nil)
    #expect(quiet.resting == (3, 3))
    #expect(quiet.lane.lane.core.counters.rejects == 1)
  }

  @Test func `R61 a refused amend is looked at again, and the quote gets where it should be`() throws {
    var quiet = try Quiet()
    quiet.refusal = 6
    quiet.book(bids: "[99990,0,0],[100050,1,1]", asks: "[100010,0,0],[100020,0,0],[100070,1,1]")
    quiet.pass(20_000_000)
    let moved = quiet.bestOwn
    #expect(quiet.refusal == nil)
    #expect(quiet.resting == (3, 3))
    var other = try Quiet()
    other.book(bids: "[99990,0,0],[100050,1,1]", asks: "[100010,0,0],[100020,0,0],[100070,1,1]")
    #expect(moved == other.bestOwn)
  }

  @Test func `R61 a fill always yields a new look, though the market stands still, and its level is filled up`() throws
  {
    var quiet = try Quiet()
    let count = looks(&quiet) { $0.fillBest(.buy, lots: 12) }
    #expect(count >= 1)
    #expect(quiet.lane.lane.core.tracker.with(0) { $0.position?.rawValue } == 12)
    // The rest of that level is below what the policy keeps (half): it was topped up.
    let open = quiet.lane.lane.core.tracker.with(0) { $0.openBuyLots.rawValue }
    #expect(open == 60)
  }

  @Test func `R61 a fill that only the trade feed has told yields a new look too`() throws {
    var quiet = try Quiet()
    let count = looks(&quiet) { $0.tradeBest(.sell, lots: 12) }
    #expect(quiet.lane.lane.core.tracker.with(0) { $0.position?.rawValue } == -12)
    #expect(count >= 1)
  }

  @Test func `R61 the second telling of a fill is nothing new and yields no look`() throws {
    var quiet = try Quiet()
    quiet.fillBest(.buy, lots: 1)
    #expect(looks(&quiet) { $0.repeatFill() } == 0)
  }

  @Test func `R61 an order that the venue cancels by itself is looked at, and replaced`() throws {
    var quiet = try Quiet()
    #expect(looks(&quiet) { $0.cancelBest(.sell) } >= 1)
    #expect(quiet.resting == (3, 3))
  }

  @Test func `R61 a directive always yields a look, also one that changes nothing`() throws {
    var quiet = try Quiet()
    #expect(looks(&quiet) { $0.direct(Directive()) } == 1)
    #expect(looks(&quiet) { $0.direct(Directive()) } == 1)
  }

  @Test func `R61 a position that the venue states and that differs is taken over, and yields a look`() throws {
    var quiet = try Quiet()
    let before = quiet.bestOwn
    let count = looks(&quiet) { quiet in
      quiet.statedPosition = "0.25"
      quiet.say(
        #"{"channel_name":"account.portfolio","notification":[{"instrument_name":"BTC-PERPETUAL","position":0.25,"mark_price":100000}]}"#
      )
      // The venue is asked again and again before it is believed against our own count.
      for step in 0..<20 {
        quiet.pass(1_000_000_000)
        quiet.say(Quiet.ticker(mark: 100_000, last: 99_000 + step))
      }
    }
    #expect(quiet.lane.lane.core.tracker.with(0) { $0.position?.rawValue } == 250)
    #expect(count >= 1)
    // Half of the largest position: the quotes lean down.
    #expect(quiet.bestOwn.bid < before.bid && quiet.bestOwn.ask < before.ask)
  }

  @Test func `R29 R61 a feed that falls silent yields a look by a timer, which pulls`() throws {
    var quiet = try Quiet()
    let count = looks(&quiet) { $0.pass(6_000_000_000) }
    #expect(count >= 1)
    #expect(quiet.resting == (0, 0))
    quiet.market(mark: 100_000)
    #expect(quiet.resting == (3, 3))
  }
}
