import CSupport
import Glibc
import Testing

@testable import Apus

/// The two models of Avellaneda and Stoikov, the pull, and make-and-hedge: their formulas by hand.
@Suite struct ModelStrategyTests {
  private static let second: Nanoseconds = 1_000_000_000

  private func wide(_ now: Nanoseconds, position: Int64 = 0, widen: Int32 = 1000) -> QuoteView {
    StrategyDesk.view(at: now, bid: 59_000, ask: 61_001, position: position, widen: widen)
  }

  @Test func `the coefficients are those of the papers`() {
    // Table 1 of Avellaneda and Stoikov: γ 0.1, k 1.5, σ 2, T 1; the spread at t = 0 is γσ²T + 2/γ ln(1 + γ/k) = 1.69.
    let fill = AvellanedaStoikov.fillPart(aversion: 0.1, decay: 1.5)
    #expect(abs(2 * fill + 0.1 * 4 - 1.6908) < 1e-3)
    // The asymptotic step, with the power written out.
    let arrivals = IntensityEstimator.Estimate(arrivals: 0.9, decay: 0.3)
    let step = GLFT.step(aversion: 0.01, variance: 0.09, arrivals)
    let power = pow(1 + 0.01 / 0.3, 1 + 0.3 / 0.01)
    #expect(abs(step - (0.09 * 0.01 / (2 * 0.3 * 0.9) * power).squareRoot()) < 1e-12)
    // Without fear of risk the spread is that of the fills alone, 1/k each side.
    #expect(abs(AvellanedaStoikov.fillPart(aversion: 1e-9, decay: 0.5) - 2) < 1e-6)
  }

  @Test func `without estimates nothing is quoted, or the ladder where that is asked for`() {
    let waits = StrategyUnderTest.glft.make()
    let starts = StrategyUnderTest.glftThatStartsWithLadder.make()
    let ladder = StrategyUnderTest.ladder.make()
    let view = StrategyDesk.view()
    #expect(StrategyDesk.quotes(waits, view).bids.isEmpty)
    #expect(StrategyDesk.quotes(starts, view) == StrategyDesk.quotes(ladder, view))
    let (now, bid) = StrategyDesk.warm(starts)
    let after = StrategyDesk.view(at: now, bid: bid, ask: bid + 1, position: 50)
    #expect(StrategyDesk.quotes(starts, after) != StrategyDesk.quotes(ladder, after))
  }

  @Test func `GLFT moves both quotes one step for each order held`() throws {
    let (strategy, now) = StrategyUnderTest.glft.warmed()
    let flat = try #require(StrategyDesk.quotes(strategy, wide(now)).bids.first).price.rawValue
    let ten = try #require(StrategyDesk.quotes(strategy, wide(now, position: 100)).bids.first).price.rawValue
    let five = try #require(StrategyDesk.quotes(strategy, wide(now, position: 50)).bids.first).price.rawValue
    #expect(ten < flat)
    // Linear up to the rounding.
    #expect(abs((flat - ten) - 2 * (flat - five)) <= 2)
  }

  @Test func `at the end of a period Avellaneda and Stoikov lean no more, and at the beginning of the next again`()
    throws
  {
    let strategy = StrategyUnderTest.avellanedaStoikov.make()
    // The epoch is a multiple of the period of 600 s.
    #expect(StrategyDesk.epoch % 600 == 0)
    let (now, _) = StrategyDesk.warm(strategy, seconds: 599)
    func lean(_ at: Nanoseconds) throws -> Int64 {
      let flat = try #require(StrategyDesk.quotes(strategy, wide(at)).bids.first).price.rawValue
      return try flat - #require(StrategyDesk.quotes(strategy, wide(at, position: 100)).bids.first).price.rawValue
    }
    let atEnd = try lean(now + Self.second * 9 / 10)
    let atBegin = try lean(now + Self.second * 11 / 10)
    #expect(atEnd <= 1)
    #expect(atBegin > 10)
  }

  @Test func `R57 the least half-spread holds whatever the model says`() throws {
    var parameters = StrategyUnderTest.inventory
    parameters.leastHalfSpreadCentiBps = 2000
    let strategy = StrategyBox(GLFT(parameters, grid: StrategyDesk.grid))
    let (now, _) = StrategyDesk.warm(strategy)
    let (bids, asks) = StrategyDesk.quotes(strategy, wide(now))
    #expect(try #require(asks.first).price.rawValue - #require(bids.first).price.rawValue >= 2 * 60_000 * 20 / 10_000)
  }

  // MARK: - Order flow

  @Test func `buying takes the asks away, first by distance, then wholly, until it has faded; the bids stay`() throws {
    let strategy = StrategyUnderTest.orderFlowOnLadder.make()
    let plain = StrategyUnderTest.ladder.make()
    var now: Nanoseconds = 0
    // A calm market: enough looks, and a mean size of 500.
    for _ in 0..<100 {
      now += Self.second / 10
      _ = StrategyDesk.quotes(strategy, StrategyDesk.view(at: now))
    }
    let calm = StrategyDesk.view(at: now)
    #expect(StrategyDesk.quotes(strategy, calm) == StrategyDesk.quotes(plain, calm))
    // Three best levels of buying.
    let rising = StrategyDesk.view(at: now, bidLots: 2000)
    let moved = StrategyDesk.quotes(strategy, rising)
    #expect(moved.bids == StrategyDesk.quotes(plain, rising).bids)
    #expect(try #require(moved.asks.first).price > #require(StrategyDesk.quotes(plain, rising).asks.first).price)
    // Three more.
    let run = StrategyDesk.view(at: now, bidLots: 3500)
    #expect(StrategyDesk.quotes(strategy, run).asks.isEmpty)
    #expect(StrategyDesk.quotes(strategy, run).bids.count == 3)
    // A half-life later the signal is at 3, above the threshold to come back.
    let later = StrategyDesk.view(at: now + Self.second / 2, bidLots: 3500)
    #expect(StrategyDesk.quotes(strategy, later).asks.isEmpty)
    let calmAgain = StrategyDesk.view(at: now + 3 * Self.second, bidLots: 3500)
    #expect(StrategyDesk.quotes(strategy, calmAgain).asks.count == 3)
  }

  @Test func `selling takes the bids away`() {
    let strategy = StrategyUnderTest.orderFlowOnLadder.make()
    for step in 1...100 as ClosedRange<Int64> {
      _ = StrategyDesk.quotes(strategy, StrategyDesk.view(at: step * Self.second / 10))
    }
    // The bid falls: what rested at it is gone, and so is what was behind it.
    for fall in 1...6 as ClosedRange<Int64> {
      _ = StrategyDesk.quotes(
        strategy, StrategyDesk.view(at: 10 * Self.second + fall, bid: 60_000 - fall, ask: 60_001 - fall))
    }
    let (bids, asks) = StrategyDesk.quotes(
      strategy, StrategyDesk.view(at: 10 * Self.second + 7, bid: 59_993, ask: 59_994))
    #expect(bids.isEmpty && asks.count == 3)
  }

  // MARK: - Make and hedge

  private static let hedged = MakeAndHedgeParameters(
    shape: StrategyUnderTest.shape, makerFeeCentiBps: 100, hedgeFeeCentiBps: 300, hedgeHalfSpreadCentiBps: 10,
    slippageCentiBps: 20, edgeCentiBps: 50, skewCentiBps: 0)

  @Test(arguments: [60_000_00, 59_876_54, 60_321_09] as [Int64])
  func `a fill here and its hedge there leave the edge, after all fees`(fairCents: Int64) throws {
    let strategy = StrategyBox(MakeAndHedge(Self.hedged))
    let fair = Double(fairCents) / 100
    let view = StrategyDesk.view(bid: 59_000, ask: 61_001, fairE8: fairCents * 1_000_000)
    let (bids, asks) = StrategyDesk.quotes(strategy, view)
    let bid = Double(try #require(bids.first).price.rawValue)
    let ask = Double(try #require(asks.first).price.rawValue)
    // Bought here, sold there at the bid less slippage.
    let bought = fair * (1 - 0.00001 - 0.00002) - fair * 0.0003 - bid * (1 + 0.0001)
    let sold = ask * (1 - 0.0001) - fair * (1 + 0.00001 + 0.00002) - fair * 0.0003
    // The edge of half a basis point, and less than a tick more for the rounding.
    #expect(bought >= fair * 0.00005 - 1e-6 && bought < fair * 0.00005 + 1.01)
    #expect(sold >= fair * 0.00005 - 1e-6 && sold < fair * 0.00005 + 1.01)
  }

  @Test func `without a fair value, or with one far from the market here, nothing is quoted`() {
    let strategy = StrategyBox(MakeAndHedge(Self.hedged))
    #expect(StrategyDesk.quotes(strategy, StrategyDesk.view()).bids.isEmpty)
    let far = StrategyDesk.view(fairE8: 60_700 * 100_000_000)
    #expect(StrategyDesk.quotes(strategy, far).bids.isEmpty && StrategyDesk.quotes(strategy, far).asks.isEmpty)
    let near = StrategyDesk.view(fairE8: 60_500 * 100_000_000)
    #expect(StrategyDesk.quotes(strategy, near).bids.count == 3)
  }
}
