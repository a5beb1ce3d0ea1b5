import CSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// The three ways to spend order messages, on the same market.
@Suite struct QuotingTrialTests {
  private func outcome(_ spending: MessageSpending, rate: Int, usesMassQuotes: Bool = false) throws
    -> QuotingTrial.Outcome
  {
    let specs = [InstrumentSpec.btcPerpetual, .ethPerpetual]
    var settings = LaneSettings()
    settings.spending = spending
    settings.instruments = specs.map { spec in
      var instrument = InstrumentSettings(
        name: spec.name, maximumPosition: DecimalE8(e8: 5000 * spec.grid.lotE8),
        maximumOrder: DecimalE8(e8: 100 * spec.grid.lotE8), maximumNotional: DecimalE8(e8: 100_000_000_000_000),
        collarCentiBps: 20_000, maximumOrders: 40, priceToleranceTicks: 0, keepSizePermille: 500, bookDepth: 10,
        staleAfter: 5_000_000_000)
      instrument.usesMassQuotes = usesMassQuotes
      return instrument
    }
    settings.protection.trade = DecimalE8(e8: 1_000_000_000_000)
    settings.protection.quote = settings.protection.trade
    let ladder = LadderParameters(
      levels: 3, halfSpreadCentiBps: 100, stepTicks: 2, size: QtyLots(rawValue: 20), skewCentiBps: 200)
    var plan = QuotingTrial.Plan(instruments: specs, ladders: [ladder, ladder], settings: settings)
    plan.messageRate = rate
    let flow = SyntheticFlow(
      seed: 3,
      streams: specs.enumerated().map { index, spec in
        SyntheticFlow.Stream(
          instrument: FlowInstrument(index: index, grid: spec.grid), startE8: spec.initialIndexE8,
          levelLots: spec.premiumLots.rawValue / 2)
      })
    let trial = try QuotingTrial(plan, flow: flow)
    let outcome = try trial.run(for: 60_000_000_000)
    #expect(trial.failure == nil)
    return outcome
  }

  @Test(arguments: MessageSpending.allCases, [12, 50])
  func `R39 R42 no way meets the venue's limit, and all of them trade`(_ spending: MessageSpending, rate: Int) throws {
    let outcome = try outcome(spending, rate: rate)
    #expect(outcome.violations == 0)
    #expect(outcome.fills > 0)
    #expect(outcome.orderMessages <= rate * 61)
    #expect(outcome.edges.count == outcome.fills)
    #expect(outcome.ages.count == outcome.fills)
  }

  @Test func `R42 by value a scarce budget keeps both sides quoted longer than naively`() throws {
    let byValue = try outcome(.byValue, rate: 12)
    let naive = try outcome(.naively, rate: 12)
    #expect(byValue.quoted * 10 > byValue.watched * 9)
    #expect(byValue.quoted > naive.quoted)
  }

  @Test func `with mass quotes a scarce budget does for both instruments`() throws {
    let mass = try outcome(.byValue, rate: 12, usesMassQuotes: true)
    #expect(mass.violations == 0)
    #expect(mass.fills > 0)
    #expect(mass.quoted * 100 > mass.watched * 98)
    #expect(mass.orderMessages <= 12 * 61)
  }

  @Test func `the same market and settings give the same outcome`() throws {
    let first = try outcome(.byValue, rate: 20)
    let second = try outcome(.byValue, rate: 20)
    #expect(first.orderMessages == second.orderMessages)
    #expect(first.quoted == second.quoted)
    #expect(first.edges == second.edges)
    #expect(first.profitE8 == second.profitE8)
  }
}
