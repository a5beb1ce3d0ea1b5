import Apus
import CSupport
import Testing

@testable import ApusExchange
@testable import ApusRollout

/// Bad parameters against good ones on the same made-up market, in virtual time: what the gates make of it.
@Suite struct BadQuotesTests {
  private static let second: Nanoseconds = 1_000_000_000

  /// Slices of five seconds of an account that is quoted for, as telemetry would show them.
  private final class Slicer: TrialObserver {
    private(set) var slices: [SliceFigures] = []
    private var current = SliceFigures()
    private var end: Nanoseconds = 5 * second
    private var seen = 0
    private var cash = 0.0
    private var equity = 0.0
    private var positionBefore = 0.0
    private var waiting: [(at: Nanoseconds, sign: Double, price: Double, amount: Double)] = []
    private let limit: Double

    init(limit: Double) { self.limit = limit }

    func observe(_ venue: SimulatedVenue, _ account: Account?, now: Nanoseconds) {
      guard let account else { return }
      let mid = Double(venue.markets[0].midE8) / 1e8
      while seen < account.fills.count {
        let fill = account.fills[seen]
        seen += 1
        let (price, amount) = (Double(fill.priceE8) / 1e8, Double(fill.lots.rawValue) / 1000)
        let sign: Double = fill.side == .buy ? 1 : -1
        cash -= sign * price * amount + Double(fill.feeE8) / 1e8
        current.fills += 1
        current.traded += price * amount
        waiting.append((now + BadQuotesTests.second, sign, price, amount))
      }
      while let first = waiting.first, first.at <= now {
        waiting.removeFirst()
        if current.markouts.isEmpty { current.markouts = [SliceFigures.Markout(seconds: 1, value: 0, traded: 0)] }
        current.markouts[0].value += first.sign * (mid - first.price) * first.amount
        current.markouts[0].traded += first.price * first.amount
      }
      guard now >= end else { return }
      let position = Double(account.positions[0].lots) / 1000
      let worth = cash + position * mid
      current.seconds = 5
      current.limitValue = limit * mid
      current.profit = worth - equity
      current.inventory = [SliceFigures.Inventory(before: positionBefore / limit, change: (position - positionBefore) / limit)]
      if current.markouts.isEmpty { current.markouts = [SliceFigures.Markout(seconds: 1, value: 0, traded: 0)] }
      slices.append(current)
      (equity, positionBefore, current) = (worth, position, SliceFigures())
      end += 5 * BadQuotesTests.second
    }
  }

  private static func slices(halfSpread: Int64, skew: Int64, seconds: Nanoseconds) throws -> [SliceFigures] {
    let spec = InstrumentSpec.btcPerpetual
    var settings = LaneSettings()
    settings.instruments = [
      InstrumentSettings(
        name: spec.name, maximumPosition: DecimalE8(e8: 50_000_000), maximumOrder: DecimalE8(e8: 10_000_000),
        maximumNotional: DecimalE8(e8: 100_000 * 100_000_000), collarCentiBps: 10_000, maximumOrders: 12,
        priceToleranceTicks: 0, keepSizePermille: 1000, bookDepth: 10, staleAfter: 5 * second)
    ]
    let ladder = LadderParameters(
      levels: 2, halfSpreadCentiBps: halfSpread, stepTicks: 1, size: QtyLots(rawValue: 50), skewCentiBps: skew)
    let slicer = Slicer(limit: 0.5)
    let flow = SyntheticFlow(
      seed: 11,
      streams: [
        SyntheticFlow.Stream(
          instrument: FlowInstrument(index: 0, grid: spec.grid), startE8: spec.initialIndexE8,
          levelLots: spec.premiumLots.rawValue / 2)
      ])
    _ = try QuotingTrial(
      QuotingTrial.Plan(instruments: [spec], ladders: [ladder], settings: settings), flow: flow, observer: slicer
    ).run(for: seconds * second)
    return slicer.slices
  }

  /// What ends the rollout first, and after how many slices; by the gates and stops of a plan that says nothing of them.
  private static func breach(_ candidate: [SliceFigures], _ incumbent: [SliceFigures]) -> (reason: String, slices: Int)? {
    var plan = RolloutPlan()
    plan.stops.atLimitSeconds = 120
    var keeper = GateKeeper(plan.gates, isSameInput: true)
    var sight = EngineSight()
    sight.isShown = true
    for (own, other) in zip(candidate, incumbent) {
      keeper.note(candidate: own, incumbent: other)
      if let breach = keeper.breach { return (breach.gate, keeper.slices) }
      sight.timeAtLimit = abs(own.inventory[0].before) < 0.95 ? 0 : sight.timeAtLimit + 5 * second
      if let stop = StopRules.breach(sight, plan.stops) { return (stop, keeper.slices) }
    }
    return nil
  }

  @Test func `a skew of the wrong sign, and quotes that are too tight, are found; a good change is not`() throws {
    let seconds: Nanoseconds = 300
    let incumbent = try Self.slices(halfSpread: 40, skew: 100, seconds: seconds)
    let good = try Self.slices(halfSpread: 44, skew: 110, seconds: seconds)
    #expect(incumbent.reduce(0) { $0 + $1.fills } > 100 && good.reduce(0) { $0 + $1.fills } > 100)
    let found = Self.breach(good, incumbent)
    #expect(found == nil, "\(String(describing: found))")

    let wrong = try #require(Self.breach(try Self.slices(halfSpread: 40, skew: -100, seconds: seconds), incumbent))
    #expect(wrong.reason.contains("at its limit for 120 s"), "\(wrong)")
    let tight = try #require(Self.breach(try Self.slices(halfSpread: 0, skew: 100, seconds: seconds), incumbent))
    #expect(tight.reason == "profit" && tight.slices < 30, "\(tight)")
  }
}
