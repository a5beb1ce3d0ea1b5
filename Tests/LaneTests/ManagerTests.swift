import CSupport
import TestSupport
import Testing

@testable import Apus

@Suite struct ManagerTests {
  private func update(_ instrument: InstrumentIndex, profit: MoneyE8) -> LaneUpdate {
    LaneUpdate(
      instrument: instrument, isPositionKnown: true, isReady: true, position: 0, worstLong: 0, worstShort: 0,
      markE8: 1, profitE8: profit)
  }

  private func manager(maximumLoss: Int64 = 1000, widenAt: Int64 = 400) -> StrategyManager {
    StrategyManager(
      settings: ManagerSettings(maximumLossE8: maximumLoss, widenAtLossE8: widenAt, widenPermille: 2500),
      instrumentsPerLane: [2, 1])
  }

  @Test func `the neutral directive is given before anything is known`() {
    var manager = manager()
    let changed = manager.decide()
    #expect(!changed)
    for message in manager.directives(lane: 0) { #expect(message.directive == Directive()) }
    #expect(manager.directives(lane: 0).map(\.instrument) == [0, 1])
    #expect(manager.directives(lane: 1).map(\.instrument) == [0])
  }

  @Test func `R52 a loss widens every lane, and half of it narrows them again`() {
    var manager = manager()
    func decide(_ profit: MoneyE8) -> Bool {
      manager.note(update(0, profit: profit), lane: 0)
      return manager.decide()
    }
    #expect(!decide(-399))
    #expect(decide(-400))
    #expect(manager.level == .widened)
    #expect(manager.directives(lane: 1).allSatisfy { $0.widenPermille == 2500 && $0.isQuotingAllowed })
    // Between the half and the whole nothing flutters.
    #expect(!decide(-390))
    #expect(!decide(-200))
    #expect(decide(-199))
    #expect(manager.level == .normal)
    #expect(manager.directives(lane: 1).allSatisfy { $0.widenPermille == 1000 })
    #expect(!decide(-399))
  }

  @Test func `R52 the loss limit halts for good: a profit does not re-arm it`() {
    var manager = manager()
    manager.note(update(0, profit: -999), lane: 0)
    #expect(manager.decide() == true)
    #expect(manager.level == .widened)
    manager.note(update(0, profit: -1000), lane: 0)
    #expect(manager.decide() == true)
    #expect(manager.level == .halted)
    #expect(manager.directives(lane: 0).allSatisfy { !$0.isQuotingAllowed })
    manager.note(update(0, profit: 1_000_000), lane: 0)
    #expect(manager.decide() == false)
    #expect(manager.level == .halted)
    #expect(manager.directives(lane: 1).allSatisfy { !$0.isQuotingAllowed })
  }

  @Test func `the profit is that of all lanes and instruments together, the last update of each`() {
    var manager = manager()
    manager.note(update(0, profit: -5000), lane: 0)
    manager.note(update(0, profit: -500), lane: 0)
    manager.note(update(1, profit: 300), lane: 0)
    manager.note(update(0, profit: -100), lane: 1)
    #expect(manager.decide() == false)
    #expect(manager.profitE8 == -300)
    #expect(manager.level == .normal)
  }

  @Test func `an update of a lane or instrument that is not there is left aside`() {
    var manager = manager()
    manager.note(update(2, profit: -5000), lane: 0)
    manager.note(update(1, profit: -5000), lane: 1)
    manager.note(update(0, profit: -5000), lane: 2)
    #expect(manager.decide() == false)
    #expect(manager.profitE8 == 0)
  }

  @Test func `without limits no loss has a consequence`() {
    var manager = manager(maximumLoss: 0, widenAt: 0)
    manager.note(update(0, profit: -1_000_000_000), lane: 0)
    #expect(manager.decide() == false)
    #expect(manager.level == .normal)
  }

  @Test func `a directive passes a ring unchanged, and a full ring refuses it rather than lose it`() throws {
    var manager = manager()
    manager.note(update(0, profit: -400), lane: 0)
    _ = manager.decide()
    let messages = manager.directives(lane: 0)
    var ring = try Ring(capacity: 1)
    #expect(ring.producer.push(messages[0]) == true)
    #expect(ring.producer.push(messages[1]) == false)
    let first = ring.consumer.pop(as: DirectiveMessage.self)
    #expect(first?.instrument == 0)
    #expect(first?.directive.widenPermille == 2500)
    #expect(ring.producer.push(messages[1]) == true)
    let second = ring.consumer.pop(as: DirectiveMessage.self)
    #expect(second?.instrument == 1)
  }

  // MARK: - What a lane makes of a directive

  @Test func `R52 a halt pulls every quote of the lane, and quoting allowed again brings them back`() throws {
    var probe = try Quiet()
    try #require(probe.resting == (3, 3))
    var halt = Directive()
    halt.isQuotingAllowed = false
    probe.direct(halt)
    #expect(probe.resting == (0, 0))
    #expect(probe.lane.lane.quoting.block(0) == .directive)
    probe.market(mark: 100_050)
    #expect(probe.resting == (0, 0))
    probe.direct(Directive())
    #expect(probe.resting == (3, 3))
  }

  @Test func `a widening moves the best quotes away from each other by its factor`() throws {
    var probe = try Quiet()
    let narrow = probe.bestOwn
    var directive = Directive()
    directive.widenPermille = 3000
    probe.direct(directive)
    let wide = probe.bestOwn
    #expect(wide.ask - wide.bid > 2 * (narrow.ask - narrow.bid))
    probe.direct(Directive())
    #expect(probe.bestOwn == narrow)
  }

  @Test func `a directive for an instrument that the lane does not have is left aside`() throws {
    var probe = try Quiet()
    var halt = Directive()
    halt.isQuotingAllowed = false
    probe.lane.lane.direct(halt, instrument: 7, now: probe.now)
    #expect(probe.resting == (3, 3))
  }
}
