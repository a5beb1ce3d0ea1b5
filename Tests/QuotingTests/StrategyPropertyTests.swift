import CSupport
import TestSupport
import Testing

@testable import Apus

/// What holds of every strategy.
@Suite struct StrategyPropertyTests {
  @Test(arguments: StrategyUnderTest.allCases)
  func `with all it needs it quotes both sides`(under: StrategyUnderTest) {
    let (strategy, now) = under.warmed()
    let (bids, asks) = StrategyDesk.quotes(strategy, under.view(at: now))
    #expect(!bids.isEmpty && !asks.isEmpty)
  }

  @Test(arguments: StrategyUnderTest.allCases)
  func `R46 R59 quotes cross neither the market nor each other, and no size is above the one asked for`(
    under: StrategyUnderTest
  ) {
    let (strategy, start) = under.warmed()
    var random = SplitMix(seed: 7)
    for step in 1...2000 as ClosedRange<Int64> {
      let bid =
        under.isOption
        ? Int64.random(in: 1...4000, using: &random) : 60_000 + Int64.random(in: -50...50, using: &random)
      let ask = bid + .random(in: 1...40, using: &random)
      let view = under.view(
        at: start + step * 50_000_000, bid: bid, ask: ask, position: .random(in: -150...150, using: &random),
        widen: .random(in: 1000...3000, using: &random))
      let (bids, asks) = StrategyDesk.quotes(strategy, view)
      #expect(bids.allSatisfy { $0.price.rawValue < ask && $0.qty.rawValue > 0 && $0.qty.rawValue <= 10 })
      #expect(asks.allSatisfy { $0.price.rawValue > bid && $0.qty.rawValue > 0 && $0.qty.rawValue <= 10 })
      if let bid = bids.first, let ask = asks.first { #expect(bid.price < ask.price) }
    }
  }

  @Test(arguments: StrategyUnderTest.allCases)
  func `R60 the longer the position the lower both sides, never the other way`(under: StrategyUnderTest) {
    let (strategy, now) = under.warmed()
    var lastBid = Int64.max
    var lastAsk = Int64.max
    var first: (Int64, Int64)?
    for position in stride(from: Int64(-100), through: 100, by: 5) {
      // A market wide enough not to bound what is asked for.
      let view =
        under.isOption
        ? under.view(at: now, bid: 1, ask: 20_000, position: position)
        : under.view(at: now, bid: 59_000, ask: 61_001, position: position)
      let (bids, asks) = StrategyDesk.quotes(strategy, view)
      if let bid = bids.first?.price.rawValue {
        #expect(bid <= lastBid)
        lastBid = bid
      }
      if let ask = asks.first?.price.rawValue {
        #expect(ask <= lastAsk)
        lastAsk = ask
        if first == nil, let bid = bids.first?.price.rawValue { first = (bid, ask) }
      }
    }
    #expect(first.map { lastBid < $0.0 && lastAsk < $0.1 } == true)
  }

  @Test(arguments: StrategyUnderTest.allCases)
  func `wider when the manager asks for it, and silent when it forbids quoting`(under: StrategyUnderTest) throws {
    let (strategy, now) = under.warmed()
    let (low, high): (Int64, Int64) = under.isOption ? (1, 20_000) : (59_900, 60_101)
    let near = StrategyDesk.quotes(strategy, under.view(at: now, bid: low, ask: high))
    let far = StrategyDesk.quotes(strategy, under.view(at: now, bid: low, ask: high, widen: 2500))
    let bids = (try #require(near.bids.first).price, try #require(far.bids.first).price)
    let asks = (try #require(near.asks.first).price, try #require(far.asks.first).price)
    #expect(bids.1 < bids.0)
    #expect(asks.1 > asks.0)
    var view = under.view(at: now)
    view.directive.isQuotingAllowed = false
    let none = StrategyDesk.quotes(strategy, view)
    #expect(none.bids.isEmpty && none.asks.isEmpty)
  }

  @Test(arguments: StrategyUnderTest.allCases)
  func `the same inputs give the same quotes`(under: StrategyUnderTest) {
    let (one, now) = under.warmed()
    let (other, _) = under.warmed()
    var random = SplitMix(seed: 3)
    for step in 1...500 as ClosedRange<Int64> {
      let bid =
        under.isOption
        ? 1800 + Int64.random(in: 0...9, using: &random) : 60_000 + Int64.random(in: -5...5, using: &random)
      let view = under.view(
        at: now + step * 10_000_000, bid: bid, ask: bid + 2, position: .random(in: -100...100, using: &random))
      #expect(StrategyDesk.quotes(one, view) == StrategyDesk.quotes(other, view))
    }
  }

  /// Whatever the lane lets through its edge, and worse.
  @Test(arguments: StrategyUnderTest.allCases)
  func `no input traps, and after it the strategy quotes sound prices or none`(under: StrategyUnderTest) {
    var random = SplitMix(seed: 99)
    let edges: [Int64] = [0, 1, -1, 1 << 40, -(1 << 40), 1 << 20, 60_000]
    func any(_ list: [Int64]) -> Int64 { list[Int(random.next() % UInt64(list.count))] }
    let strategy = under.make()
    for _ in 0..<20_000 {
      var view = under.view(at: any([0, -1, .max, .min, 1_000_000_000, 1 << 50, 12_345]))
      view.bestBid = StrategyDesk.quote(any(edges), any([1, 1 << 40, .max]))
      view.bestAsk = StrategyDesk.quote(any(edges), any([1, 1 << 40, .max]))
      view.position = QtyLots(rawValue: any([0, 1 << 50, -(1 << 50), 3]))
      view.maximumPosition = QtyLots(rawValue: any([0, 1, 1 << 50]))
      view.directive.fairValueE8 = any([0, -1, .max, 1 << 53, 6_000_000_000_000])
      view.directive.widenPermille = Int32(truncatingIfNeeded: any([1000, 0, -5, 1 << 30]))
      view.volatilityE8 = any([0, -1, .max, 1, 45_000_000, 500_000_000])
      view.forwardE8 = any([0, -1, .max, 1, 1 << 53, 6_000_000_000_000])
      view.venueTime = any([0, -1, .max, .min, StrategyDesk.epoch * 1_000_000_000, StrategyDesk.expiry * 1_000_000_000])
      view.markE8 = any([0, -1, 1 << 53, 6_000_000_000_000])
      strategy.trade(
        PublicTrade(
          time: any([0, -1, .max, .min, 5]), price: PriceTicks(rawValue: any(edges)),
          qty: QtyLots(rawValue: any([0, .max])),
          aggressor: random.next() % 2 == 0 ? .buy : .sell))
      let (bids, asks) = StrategyDesk.quotes(strategy, view)
      #expect(bids.allSatisfy { $0.price < view.bestAsk.price && $0.qty.rawValue <= 10 })
      #expect(asks.allSatisfy { $0.price > view.bestBid.price && $0.qty.rawValue <= 10 })
    }
  }
}
