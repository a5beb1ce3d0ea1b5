import CSupport
import TestSupport
import Testing

@testable import Apus

@Suite struct LadderStrategyTests {
  static let grid = InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1))

  static func view(
    bid: Int64 = 60_000, ask: Int64 = 60_001, position: Int64 = 0, maximum: Int64 = 100, widen: Int32 = 1000,
    mark: Int64 = 0
  ) -> QuoteView {
    var directive = Directive()
    directive.widenPermille = widen
    return QuoteView(
      now: 0, instrument: 0, grid: grid,
      bestBid: Quote(price: PriceTicks(rawValue: bid), qty: QtyLots(rawValue: 5)),
      bestAsk: Quote(price: PriceTicks(rawValue: ask), qty: QtyLots(rawValue: 5)), markE8: mark, indexE8: 0,
      position: QtyLots(rawValue: position), maximumPosition: QtyLots(rawValue: maximum), directive: directive)
  }

  static func quote(_ parameters: LadderParameters, _ view: QuoteView) -> (bids: [Quote], asks: [Quote]) {
    var strategy = LadderStrategy(parameters)
    var ladders = Ladders(capacity: 32)
    strategy.quote(view, into: &ladders)
    let bids = (0..<ladders.bids.count).map { ladders.bids[$0] }
    let asks = (0..<ladders.asks.count).map { ladders.asks[$0] }
    return (bids, asks)
  }

  static let plain = LadderParameters(
    levels: 3, halfSpreadCentiBps: 50, stepTicks: 2, size: QtyLots(rawValue: 10), skewCentiBps: 200)

  @Test func `levels, spread, step and size are as asked for, bids rounded down and asks up`() {
    let (bids, asks) = Self.quote(Self.plain, Self.view())
    // Half a basis point of 60,000.5 is 3.000025: bids at or below 59,997.4…, asks at or above 60,003.5….
    #expect(bids.map(\.price.rawValue) == [59_997, 59_995, 59_993])
    #expect(asks.map(\.price.rawValue) == [60_004, 60_006, 60_008])
    #expect(bids.allSatisfy { $0.qty.rawValue == 10 } && asks.allSatisfy { $0.qty.rawValue == 10 })
  }

  @Test func `growth makes outer levels larger`() {
    var parameters = Self.plain
    parameters.growthPermille = 500
    #expect(Self.quote(parameters, Self.view()).bids.map(\.qty.rawValue) == [10, 15, 22])
  }

  @Test func `R46 quotes never cross the market, however narrow the spread asked for`() {
    var parameters = Self.plain
    parameters.halfSpreadCentiBps = 0
    parameters.skewCentiBps = 10_000
    for position in stride(from: -100 as Int64, through: 100, by: 10) {
      let (bids, asks) = Self.quote(parameters, Self.view(position: position))
      #expect(bids.allSatisfy { $0.price.rawValue < 60_001 })
      #expect(asks.allSatisfy { $0.price.rawValue > 60_000 })
    }
  }

  @Test func `R60 skew moves the unloading quote towards the market and never away, at every size of the position`() {
    let flat = Self.quote(Self.plain, Self.view())
    var lastAsk = flat.asks[0].price.rawValue
    var lastBid = flat.bids[0].price.rawValue
    for position in 0...150 as ClosedRange<Int64> {
      let long = Self.quote(Self.plain, Self.view(position: position))
      #expect(long.asks[0].price.rawValue <= lastAsk)
      #expect(long.bids[0].price.rawValue <= flat.bids[0].price.rawValue)
      lastAsk = long.asks[0].price.rawValue
      let short = Self.quote(Self.plain, Self.view(position: -position))
      #expect(short.bids[0].price.rawValue >= lastBid)
      #expect(short.asks[0].price.rawValue >= flat.asks[0].price.rawValue)
      lastBid = short.bids[0].price.rawValue
    }
    #expect(lastAsk < flat.asks[0].price.rawValue)
    #expect(lastBid > flat.bids[0].price.rawValue)
  }

  @Test func `a directive widens, and one that forbids quoting empties both ladders`() {
    let (bids, _) = Self.quote(Self.plain, Self.view(widen: 2000))
    #expect(bids[0].price.rawValue == 59_994)
    var view = Self.view()
    view.directive.isQuotingAllowed = false
    let none = Self.quote(Self.plain, view)
    #expect(none.bids.isEmpty && none.asks.isEmpty)
  }

  @Test func `the mark price pulls the fair price by its weight`() {
    var parameters = Self.plain
    parameters.markWeightPermille = 500
    let (bids, _) = Self.quote(parameters, Self.view(mark: 60_010 * 100_000_000))
    let (plain, _) = Self.quote(Self.plain, Self.view())
    #expect(bids[0].price.rawValue > plain[0].price.rawValue)
  }

  @Test(arguments: 1...50 as ClosedRange<UInt64>)
  func `R59 whatever the parameters, quotes are ordered, distinct, and within the asked distance`(seed: UInt64) {
    var random = SplitMix(seed: seed)
    let parameters = LadderParameters(
      levels: .random(in: 1...20, using: &random), halfSpreadCentiBps: .random(in: 0...5000, using: &random),
      stepTicks: .random(in: 1...20, using: &random), size: QtyLots(rawValue: .random(in: 1...1000, using: &random)),
      growthPermille: .random(in: 0...300, using: &random), skewCentiBps: .random(in: 0...5000, using: &random),
      markWeightPermille: .random(in: 0...1000, using: &random))
    let bid = Int64.random(in: 1000...100_000, using: &random)
    let view = Self.view(
      bid: bid, ask: bid + .random(in: 1...50, using: &random), position: .random(in: -300...300, using: &random),
      mark: (bid + .random(in: -20...20, using: &random)) * 100_000_000)
    let (bids, asks) = Self.quote(parameters, view)
    #expect(bids.count == parameters.levels && asks.count == parameters.levels)
    #expect(zip(bids, bids.dropFirst()).allSatisfy { $0.price.rawValue - $1.price.rawValue == parameters.stepTicks })
    #expect(zip(asks, asks.dropFirst()).allSatisfy { $1.price.rawValue - $0.price.rawValue == parameters.stepTicks })
    #expect(bids[0].price < asks[0].price)
    // A signal bounds what it can do: spread, skew and mark together, and the touch.
    let reach = bid / 10_000 * 110 + 100
    #expect(abs(bids[0].price.rawValue - bid) <= reach && abs(asks[0].price.rawValue - bid) <= reach)
  }
}
