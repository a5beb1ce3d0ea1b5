import CSupport
import Testing

@testable import Apus

/// What executions have gained some time later, by hand.
@Suite struct MarkoutTests {
  private static let unit: Int64 = 100_000_000
  private static let second: Nanoseconds = 1_000_000_000

  @Test func `a bid gains when the market rises, an offer when it falls, each at its horizon and once`() {
    var markouts = Markouts(instruments: 2)
    // 2 bought at 100, 1 sold at 100, half a second apart.
    markouts.note(0, priceE8: 100 * Self.unit, qtyE8: 2 * Self.unit, contract: .linear, now: 0)
    markouts.note(0, priceE8: 100 * Self.unit, qtyE8: -Self.unit, contract: .linear, now: Self.second / 2)
    markouts.settle(now: Self.second - 1) { _ in 103 * Self.unit }
    #expect(markouts.sums(0).0 == MarkoutSum())
    markouts.settle(now: Self.second) { _ in 103 * Self.unit }
    #expect(markouts.sums(0).0 == MarkoutSum(valueE8: 6 * Self.unit, tradedE8: 200 * Self.unit))
    markouts.settle(now: 2 * Self.second) { _ in 103 * Self.unit }
    #expect(markouts.sums(0).0 == MarkoutSum(valueE8: 3 * Self.unit, tradedE8: 300 * Self.unit))
    #expect(markouts.sums(0).1 == MarkoutSum() && markouts.sums(1).0 == MarkoutSum())
    markouts.settle(now: 11 * Self.second) { _ in 99 * Self.unit }
    #expect(markouts.sums(0).1 == MarkoutSum(valueE8: -Self.unit, tradedE8: 300 * Self.unit))
    #expect(markouts.sums(0).1.basisPoints == -1e4 / 300)
    markouts.settle(now: 61 * Self.second) { _ in 100 * Self.unit }
    #expect(markouts.sums(0).2 == MarkoutSum(valueE8: 0, tradedE8: 300 * Self.unit))
    #expect(markouts.sums(0).0.tradedE8 == 300 * Self.unit && markouts.leftOut == 0)
  }

  @Test func `an inverse contract is an amount of money, and gains by the relative move`() {
    var markouts = Markouts(instruments: 1)
    // 1,000 USD bought at 50,000; 1 % higher a second later: 10 USD.
    markouts.note(0, priceE8: 50_000 * Self.unit, qtyE8: 1000 * Self.unit, contract: .inverse, now: 0)
    markouts.settle(now: Self.second) { _ in 50_500 * Self.unit }
    #expect(markouts.sums(0).0 == MarkoutSum(valueE8: 10 * Self.unit, tradedE8: 1000 * Self.unit))
  }

  @Test func `what finds no market, or no room, is left out and counted`() {
    var markouts = Markouts(instruments: 1)
    for _ in 0..<Markouts.capacity + 3 {
      markouts.note(0, priceE8: Self.unit, qtyE8: Self.unit, contract: .linear, now: 0)
    }
    #expect(markouts.leftOut == 3)
    markouts.settle(now: Self.second) { _ in 0 }
    #expect(markouts.leftOut == 3 + Markouts.capacity && markouts.sums(0).0 == MarkoutSum())
    // The slowest horizon frees the room, and the memory is used again.
    markouts.settle(now: 60 * Self.second) { _ in 2 * Self.unit }
    #expect(markouts.sums(0).2.valueE8 == Int64(Markouts.capacity) * Self.unit)
    markouts.note(0, priceE8: Self.unit, qtyE8: Self.unit, contract: .linear, now: 60 * Self.second)
    markouts.settle(now: 61 * Self.second) { _ in 3 * Self.unit }
    #expect(markouts.sums(0).0 == MarkoutSum(valueE8: 2 * Self.unit, tradedE8: Self.unit))
  }

  @Test func `a lane's own executions are held against the middle of the others' quotes`() throws {
    var probe = try Quiet()
    let price = probe.bestOwn.bid
    probe.fillBest(.buy, lots: 5)
    #expect(probe.lane.lane.core.tracker.with(0) { $0.ordersFilled } == 1)
    probe.fillBest(.sell, lots: 5)
    probe.pass(1_100_000_000)
    let now = probe.now
    probe.lane.lane.settleMarkouts(now: now)
    let sum = probe.lane.lane.markouts.sums(0).0
    // 0.005 contracts, the middle is 100,000.
    #expect(sum.valueE8 >= (100_000 - price) * Self.unit * 5 / 1000 && sum.tradedE8 > 0)
    #expect(probe.lane.lane.markouts.leftOut == 0)
  }
}
