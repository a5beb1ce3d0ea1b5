import CSupport
import TestSupport

@testable import Apus

/// Views of a made-up market, and what a strategy makes of them.
enum StrategyDesk {
  /// Tick 1 USD, lot 0.001.
  static let grid = InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1))
  static let second: Nanoseconds = 1_000_000_000
  /// The second since the epoch at which the tests' markets begin: a Monday of 2026.
  static let epoch: Int64 = 1_776_000_000
  /// A week later.
  static let expiry = epoch + 7 * 86_400

  static func quote(_ price: Int64, _ lots: Int64) -> Quote {
    Quote(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: lots))
  }

  static func view(
    at now: Nanoseconds = 0, bid: Int64 = 60_000, ask: Int64 = 60_001, bidLots: Int64 = 500, askLots: Int64 = 500,
    position: Int64 = 0, limit: Int64 = 100, widen: Int32 = 1000, target: Int64 = 0, fairE8: Int64 = 0, mark: Int64 = 0,
    instrument: InstrumentIndex = 0, volatilityE8: Int64 = 0, forward: Int64 = 0, grid: InstrumentGrid = grid
  ) -> QuoteView {
    var directive = Directive()
    directive.widenPermille = widen
    directive.targetPosition = QtyLots(rawValue: target)
    directive.fairValueE8 = fairE8
    return QuoteView(
      now: now, instrument: instrument, grid: grid, bestBid: quote(bid, bidLots), bestAsk: quote(ask, askLots),
      markE8: mark, indexE8: 0, position: QtyLots(rawValue: position), maximumPosition: QtyLots(rawValue: limit),
      directive: directive, venueTime: epoch * second &+ now, volatilityE8: volatilityE8,
      forwardE8: forward * 100_000_000)
  }

  static func trade(_ price: Int64, _ aggressor: Side, at time: Nanoseconds) -> PublicTrade {
    PublicTrade(time: time, price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: 5), aggressor: aggressor)
  }

  static func quotes(_ strategy: AnyStrategy, _ view: QuoteView) -> (bids: [Quote], asks: [Quote]) {
    var ladders = Ladders(capacity: 32)
    strategy.quote(view, into: &ladders)
    return ((0..<ladders.bids.count).map { ladders.bids[$0] }, (0..<ladders.asks.count).map { ladders.asks[$0] })
  }

  /// Ten minutes of a market that walks, with takers that reach a few ticks; returns when it ended and its last bid.
  @discardableResult
  static func warm(_ strategy: AnyStrategy, seed: UInt64 = 1, seconds: Int64 = 600) -> (now: Nanoseconds, bid: Int64) {
    var random = SplitMix(seed: seed)
    var bid: Int64 = 60_000
    var now: Nanoseconds = 0
    var ladders = Ladders(capacity: 32)
    for _ in 0..<seconds * 10 {
      now += second / 10
      if random.next() % 4 == 0 { bid += random.next() % 2 == 0 ? 1 : -1 }
      if random.next() % 3 == 0 {
        // Geometric: each tick farther half as likely.
        let reach = Int64(random.next().trailingZeroBitCount % 8)
        strategy.trade(
          random.next() % 2 == 0 ? trade(bid + 1 + reach, .buy, at: now) : trade(bid - reach, .sell, at: now))
      }
      ladders.removeAll()
      strategy.quote(view(at: now, bid: bid, ask: bid + 1), into: &ladders)
    }
    return (now, bid)
  }
}

/// Every strategy of the engine, as the tests make them.
enum StrategyUnderTest: String, CaseIterable, Sendable {
  case ladder, avellanedaStoikov, glft, glftThatStartsWithLadder, orderFlowOnLadder, makeAndHedge, call, put

  static let shape = LadderShape(levels: 3, stepTicks: 2, size: QtyLots(rawValue: 10))
  static let steps = LadderParameters(
    levels: 3, halfSpreadCentiBps: 50, stepTicks: 2, size: QtyLots(rawValue: 10), skewCentiBps: 200)
  static let inventory = InventoryParameters(shape: shape, riskAversion: 0.05, leastHalfSpreadCentiBps: 10)
  static let options = OptionsParameters(
    shape: LadderShape(levels: 2, stepTicks: 1, size: QtyLots(rawValue: 10)), volatilityHalfSpread: 0.01,
    deltaHalfSpreadCentiBps: 100, vegaSkew: 0.02, deltaSkewCentiBps: 500, skewCentiBps: 500,
    largest: ChainGreeks(delta: 1, gamma: 0.01, vega: 100_000))

  func make() -> AnyStrategy {
    switch self {
    case .ladder: StrategyBox(LadderStrategy(Self.steps))
    case .avellanedaStoikov:
      StrategyBox(AvellanedaStoikov(Self.inventory, horizon: 600_000_000_000, grid: StrategyDesk.grid))
    case .glft: StrategyBox(GLFT(Self.inventory, grid: StrategyDesk.grid))
    case .glftThatStartsWithLadder:
      StrategyBox(
        GLFT(
          InventoryParameters(shape: Self.shape, riskAversion: 0.05, start: Self.steps), grid: StrategyDesk.grid))
    case .orderFlowOnLadder:
      OrderFlowBox(
        StrategyBox(LadderStrategy(Self.steps)),
        OrderFlowParameters(halfLife: 500_000_000, widenAt: 2, pullAt: 4, widenCentiBps: 100))
    case .makeAndHedge:
      StrategyBox(
        MakeAndHedge(
          MakeAndHedgeParameters(
            shape: Self.shape, makerFeeCentiBps: 100, hedgeFeeCentiBps: 300, hedgeHalfSpreadCentiBps: 10,
            slippageCentiBps: 20, edgeCentiBps: 50, skewCentiBps: 200)))
    case .call: StrategyBox(Self.option(.call, strike: 60_000, index: 0, ChainModel(capacity: 1)))
    case .put: StrategyBox(Self.option(.put, strike: 60_000, index: 0, ChainModel(capacity: 1)))
    }
  }

  static func info(
    _ type: OptionType, strike: Int64, index: InstrumentIndex, expiry: Int64 = StrategyDesk.expiry
  ) -> InstrumentInfo {
    InstrumentInfo(
      index: index, kind: .option, grid: StrategyDesk.grid, expirySeconds: expiry, optionType: type,
      strikeE8: strike * 100_000_000)
  }

  static func option(
    _ type: OptionType, strike: Int64, index: InstrumentIndex, _ chain: ChainModel,
    _ parameters: OptionsParameters = options
  ) -> OptionsQuoter {
    OptionsQuoter(parameters, chain: chain, info: info(type, strike: strike, index: index))
  }

  var isOption: Bool { self == .call || self == .put }

  /// A view in which it has all that it needs to quote.
  func view(
    at now: Nanoseconds, bid: Int64? = nil, ask: Int64? = nil, position: Int64 = 0, widen: Int32 = 1000
  ) -> QuoteView {
    let low = bid ?? (isOption ? 1700 : 60_000)
    let high = ask ?? (isOption ? 2000 : 60_001)
    return StrategyDesk.view(
      at: now, bid: low, ask: high, position: position, widen: widen,
      fairE8: (low + high) * 50_000_000, volatilityE8: 45_000_000, forward: 60_000)
  }

  /// After a market from which its estimates come.
  func warmed() -> (strategy: AnyStrategy, now: Nanoseconds) {
    let strategy = make()
    return (strategy, isOption ? 0 : StrategyDesk.warm(strategy).now)
  }
}
