import CSupport
import Testing

@testable import Apus

/// How a lane spends its order messages when they are scarce.
@Suite struct MessageBudgetTests {
  /// Three quotes a side, the best 1,000 ticks away from the mid of 100,000: a tick is a thousandth of the edge.
  private static let ladder = LadderParameters(
    levels: 3, halfSpreadCentiBps: 10_000, stepTicks: 10, size: QtyLots(rawValue: 20), skewCentiBps: 0)

  private static func settings() -> LaneSettings {
    var settings = LaneWorld.settings()
    settings.instruments[0].priceToleranceTicks = 0
    return settings
  }

  /// A lane that quotes a market of one level a side, with all its messages.
  private static func rested(_ spending: MessageSpending = .byValue) throws -> Quiet {
    var settings = settings()
    settings.spending = spending
    var quiet = try Quiet(settings: settings, ladder: ladder)
    quiet.book(bids: "[99980,0,2],[99970,0,1]", asks: "[100020,0,2]")
    // What Thalex leaves after the reserve; the probe's venue grants a thousand times as much.
    quiet.lane.lane.orderBudget = TokenBucket(try BucketRate(capacity: 45, tokensPerSecond: 45))
    quiet.pass(2_000_000_000)
    quiet.forgetRequests()
    return quiet
  }

  /// The same after it has used that part of its messages.
  private static func busy(_ spending: MessageSpending = .byValue, used percent: Int64 = 60) throws -> Quiet {
    var quiet = try rested(spending)
    while used(quiet) < percent { _ = quiet.lane.lane.orderBudget.tryTake(now: quiet.now) }
    return quiet
  }

  /// The whole market of others moves, as one update.
  private static func move(_ quiet: inout Quiet, by ticks: Int64) {
    let bid = 99_990 + offset(quiet)
    let ask = 100_010 + offset(quiet)
    quiet.book(
      bids: "[\(bid),0,1],[\(bid + ticks),1,1]", asks: "[\(ask),0,1],[\(ask + ticks),1,1]")
  }

  private static func offset(_ quiet: borrowing Quiet) -> Int64 {
    quiet.lane.lane.core.markets[0].book.best(.buy).map { $0.price_ticks.rawValue - 99_990 } ?? 0
  }

  private static func used(_ quiet: borrowing Quiet) -> Int64 {
    quiet.lane.lane.orderBudget.debt(now: quiet.now) * 100 / quiet.lane.lane.orderBudget.burst
  }

  @Test func `with messages in plenty the smallest change is sent at once`() throws {
    var quiet = try Self.rested()
    Self.move(&quiet, by: 3)
    #expect(quiet.requests.count == 6)
  }

  @Test func `R42 a small correction waits while messages are scarce, and what the market undoes costs none`() throws {
    var quiet = try Self.busy()
    Self.move(&quiet, by: 3)
    #expect(quiet.requests.isEmpty)
    #expect(quiet.lane.lane.waiting.count == 1)
    Self.move(&quiet, by: -3)
    #expect(quiet.lane.lane.waiting.count == 0)
    quiet.pass(2_000_000_000)
    #expect(quiet.requests.isEmpty)
  }

  @Test func `R42 what has waited is sent when messages are plenty again`() throws {
    var quiet = try Self.busy()
    Self.move(&quiet, by: 3)
    #expect(quiet.requests.isEmpty)
    quiet.pass(2_000_000_000)
    #expect(quiet.requests.count == 6)
    #expect(quiet.lane.lane.waiting.count == 0)
    #expect(quiet.lane.lane.waiting.readyAt == .max)
  }

  @Test func `R42 a large move is paid for at once, what is too bold first and the front before what is behind`() throws
  {
    var quiet = try Self.busy()
    let before = quiet.bestOwn
    Self.move(&quiet, by: 300)
    #expect(quiet.requests.count >= 3)
    // The market went up: the asks were too low, the lowest the most.
    #expect(quiet.bestOwn.ask >= before.ask + 300)
    let first = try #require(quiet.requests.first)
    #expect(first.contains("\"price\":\(quiet.bestOwn.ask)"))
  }

  @Test func `R42 a side without quotes gets the last message`() throws {
    var quiet = try Self.busy(used: 90)
    for _ in 0..<3 { quiet.cancelBest(.buy) }
    #expect(quiet.resting.bids >= 1)
    #expect(quiet.requests.contains { $0.contains("private/insert") && $0.contains("buy") })
  }

  @Test func `what can only lose and cannot be moved is cancelled, for that costs no order message`() throws {
    var quiet = try Self.busy(used: 99)
    // Past our asks.
    Self.move(&quiet, by: 1200)
    #expect(quiet.requests.contains { $0.contains("private/cancel") })
    #expect(quiet.lane.lane.core.counters.throttled == 0)
  }

  @Test func `in order of arrival nothing waits, and naively everything is replaced`() throws {
    var quiet = try Self.busy(.inOrder)
    Self.move(&quiet, by: 3)
    #expect(!quiet.requests.isEmpty)
    var naive = try Self.rested(.naively)
    Self.move(&naive, by: 3)
    #expect(naive.requests.count { $0.contains("private/cancel") } == 6)
    #expect(naive.requests.count { $0.contains("private/insert") } == 6)
  }

  @Test func `of several instruments that wait the most valuable is the first`() {
    var waiting = WaitingChanges(instrumentCapacity: 8)
    #expect(waiting.mostValuable() == nil)
    waiting.note(3, value: 10)
    waiting.note(5, value: 40)
    waiting.note(6, value: 40)
    #expect(waiting.sum == 90)
    #expect(waiting.mostValuable()?.instrument == 5)
    waiting.note(3, value: 50)
    #expect(waiting.count == 3)
    #expect(waiting.sum == 130)
    #expect(waiting.mostValuable()?.instrument == 3)
    waiting.remove(3)
    waiting.remove(3)
    waiting.remove(5)
    #expect(waiting.count == 1)
    #expect(waiting.sum == 40)
    waiting.remove(6)
    #expect(waiting.mostValuable() == nil)
    #expect(waiting.sum == 0)
  }
}
