public import Apus
import CSupport

/// The engine's own lane against a recorded market, with a model of the queues that its quotes stand in.
///
/// The lane, its decoder and encoder, its reconciler and its risk gate are those that trade; the market is the recording,
/// played to the simulated venue on virtual time (`FillModel`, `QueueModel`). The same plan and feed give the same bytes.
public struct Backtest {
  private let plan: QuotingTrial.Plan
  private let flow: any MarketFlow
  private let names: [String]
  private let gaps: [JournalGap]

  /// - Parameters:
  ///   - plan: `fillModel` must be set.
  ///   - feeds: What the feeds are called in the report.
  ///   - gaps: What is missing of them, and of what the latencies were measured by, for the report.
  public init(_ plan: QuotingTrial.Plan, flow: any MarketFlow, feeds: [String], gaps: [JournalGap] = []) {
    precondition(plan.fillModel != nil, "a backtest needs a fill model")
    self.plan = plan
    self.flow = flow
    names = feeds
    self.gaps = gaps
  }

  /// Runs until the feed ends, or for this long.
  ///
  /// - Throws: `VenueError`, or if memory for the lane cannot be had.
  public func run(for duration: Nanoseconds = .max) throws -> BacktestReport {
    let recorder = BacktestRecorder(plan.instruments)
    let trial = try QuotingTrial(plan, flow: flow, observer: recorder)
    let outcome = try trial.run(for: duration)
    var report = recorder.tally.report()
    report.circumstances.model = plan.fillModel?.queue.text ?? ""
    report.circumstances.feedLatency = plan.feedLatency.text
    report.circumstances.orderLatency = plan.orderLatency.text
    report.circumstances.seed = plan.seed
    report.circumstances.feeds = names
    report.circumstances.gaps = gaps
    let standard = VenueConfiguration()
    report.circumstances.makerFeeE6 = plan.makerFeeE6 ?? standard.makerFeeE6
    report.circumstances.takerFeeE6 = plan.takerFeeE6 ?? standard.takerFeeE6
    report.circumstances.failure = trial.failure
    report.messages.orders = outcome.orderMessages
    report.messages.cancels = outcome.cancels
    report.messages.violations = outcome.violations
    report.messages.refused = outcome.refused
    return report
  }
}

/// Takes down what a trial does, for the report.
final class BacktestRecorder: TrialObserver {
  let tally: TradingTally
  private var seenFills = 0

  init(_ instruments: [InstrumentSpec]) { tally = TradingTally(instruments.map { ($0.name, $0.grid) }) }

  func observe(_ venue: SimulatedVenue, _ account: Account?, now: Nanoseconds) {
    tally.begin(now)
    for index in tally.tracks.indices {
      let market = venue.markets[index]
      let touch = market.touch
      tally.tracks[index].bid = touch.bid ?? 0
      tally.tracks[index].ask = touch.ask ?? 0
      if touch.bid != nil || touch.ask != nil { tally.tracks[index].midE8 = market.midE8 }
      tally.tracks[index].ownBid = 0
      tally.tracks[index].ownAsk = 0
      tally.tracks[index].marketLots = market.volumeLots
    }
    if let account { look(account, venue) }
    tally.end()
  }

  private func look(_ account: Account, _ venue: SimulatedVenue) {
    for order in account.orders {
      let index = order.market.index
      let price = order.price.rawValue
      if order.side == .buy {
        tally.tracks[index].ownBid = max(tally.tracks[index].ownBid, price)
      } else if tally.tracks[index].ownAsk == 0 || price < tally.tracks[index].ownAsk {
        tally.tracks[index].ownAsk = price
      }
    }
    while seenFills < account.fills.count {
      let fill = account.fills[seenFills]
      seenFills += 1
      tally.add(
        fill.market, time: fill.time, side: fill.side, priceE8: fill.priceE8, lots: fill.lots.rawValue,
        isMaker: fill.isMaker, feeE8: fill.feeE8, midE8: fill.midE8, cause: fill.cause)
    }
    for (index, position) in account.positions.enumerated() {
      tally.tracks[index].fundingE8 = position.settledFundingE8 + position.fundingE8(venue.markets[index])
    }
  }
}
