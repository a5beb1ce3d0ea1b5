import Testing

@testable import Apus
@testable import ApusRollout

/// Gates on figures that are made up: how often they take a good candidate back, and how soon a bad one.
@Suite struct GateKeeperTests {
  private static func keeper(isSameInput: Bool = true) -> GateKeeper { GateKeeper(RolloutPlan().gates, isSameInput: isSameInput) }

  private static func slice(_ change: (inout SliceFigures) -> Void = { _ in }) -> SliceFigures {
    var figures = SliceFigures()
    figures.seconds = 5
    figures.requests = 1000
    figures.frames = 10_000
    figures.limitValue = 1_000_000
    figures.profit = 1
    change(&figures)
    return figures
  }

  // MARK: - Good candidates

  /// Half an hour each, with trends and without, and with the instruments of one market or of several.
  @Test(arguments: [
    MadeUpMarket(persistence: 0, common: 0.9),
    MadeUpMarket(persistence: 0.8, common: 0.9),
    MadeUpMarket(persistence: 0.8, common: 0, candidates: 0..<1, incumbents: 1..<10),
    MadeUpMarket(persistence: 0.8, common: 0.5, candidates: 0..<9, incumbents: 9..<10),
    MadeUpMarket(persistence: 0.8, common: 0.5, candidates: 0..<5, incumbents: 5..<10),
  ])
  func `a candidate that is no worse is taken back as seldom as promised, in markets with trends and bursts`(market: MadeUpMarket) {
    let keeper = Self.keeper(isSameInput: market.candidates == market.incumbents)
    let runs: UInt64 = 100
    var found: [String] = []
    for seed in 0..<runs {
      if let breach = market.breach(keeper, slices: 360, seed: seed) { found.append("\(breach.gate) after \(breach.slices)") }
    }
    #expect(found.count <= Int(runs) / 100, "\(found)")
  }

  @Test func `where the positions of both grow, nobody is to blame; where the incumbent has none, nobody is asked`() {
    for others in [0, 10] {
      var keeper = Self.keeper()
      for _ in 0..<60 {
        let own = Self.slice { $0.inventory = (0..<10).map { _ in SliceFigures.Inventory(before: 0.5, change: 0.05) } }
        let other = Self.slice { $0.inventory = (0..<others).map { _ in SliceFigures.Inventory(before: -0.4, change: -0.1) } }
        keeper.note(candidate: own, incumbent: other)
      }
      #expect(keeper.breach == nil, "\(keeper.verdicts)")
      #expect(keeper.verdicts.contains { $0.gate == "inventory" } == (others > 0))
    }
  }

  @Test func `an incumbent without limits, as in the last step, is nothing to hold profit against`() {
    var keeper = Self.keeper(isSameInput: false)
    for _ in 0..<500 {
      keeper.note(candidate: Self.slice { $0.profit = -1000 }, incumbent: Self.slice { ($0.profit, $0.limitValue) = (0, 0) })
    }
    #expect(!keeper.verdicts.contains { $0.gate.hasPrefix("profit") }, "\(keeper.verdicts)")
  }

  // MARK: - Bad candidates

  @Test func `a skew of the wrong sign is found in the shadow`() {
    var slices: [Int] = []
    for seed in 0..<40 as Range<UInt64> {
      let market = MadeUpMarket(persistence: 0, common: 0.5, skew: -1)
      if let breach = market.breach(Self.keeper(), slices: 360, seed: seed) { slices.append(breach.slices) }
    }
    slices.sort()
    #expect(slices.count >= 38 && slices[20] <= 120, "\(slices)")
  }

  /// 10 000 of limits worth a million in each third slice, and 1 in the others, while the incumbent earns 1.
  @Test(arguments: [true, false])
  func `losses that are rare and large are found`(isSameInput: Bool) throws {
    var keeper = Self.keeper(isSameInput: isSameInput)
    var slices = 0
    while keeper.breach == nil, slices < 360 {
      slices += 1
      keeper.note(candidate: Self.slice { $0.profit = slices % 3 == 0 ? -10_000 : 1 }, incumbent: Self.slice())
    }
    let breach = try #require(keeper.breach)
    #expect(slices <= 90 && breach.gate.hasPrefix("profit"), "\(breach)")
    if isSameInput {
      #expect(breach.gate == "profit size" && breach.evidence.hasPrefix("worse by "), "\(breach)")
    }
  }

  /// The incumbent has one reject now and then.
  @Test func `a storm of rejects is found, a burst of them is not one`() {
    var keeper = Self.keeper()
    keeper.note(candidate: Self.slice { $0.rejects = 23 }, incumbent: Self.slice())
    keeper.note(candidate: Self.slice(), incumbent: Self.slice())
    #expect(keeper.verdicts.contains { $0.gate == "rejects" && $0.evidence == "23 against 0, at 1 times" })
    #expect(keeper.verdicts.allSatisfy { $0.wealth < 2 }, "\(keeper.verdicts)")
    while keeper.breach == nil, keeper.slices < 100 {
      keeper.note(
        candidate: Self.slice { $0.rejects = 20 }, incumbent: Self.slice { $0.rejects = keeper.slices % 4 == 0 ? 1 : 0 })
    }
    #expect(keeper.breach?.gate == "rejects" && keeper.slices <= 60, "\(keeper.verdicts)")
  }

  // MARK: - Spans

  @Test func `a program that takes 1.3 times as long is found in the shadow, with other instruments it is given room`() throws {
    var slices: [Int] = []
    for seed in 0..<20 as Range<UInt64> {
      let found = try #require(MadeUpMarket(slowness: 1.3).breach(Self.keeper(), slices: 360, seed: seed))
      #expect(found.gate.hasSuffix("p50") || found.gate.hasSuffix("p99"), "\(found)")
      slices.append(found.slices)
      let market = MadeUpMarket(candidates: 0..<1, incumbents: 1..<10, slowness: 1.2)
      #expect(market.breach(Self.keeper(isSameInput: false), slices: 360, seed: seed) == nil)
    }
    #expect(slices.sorted()[10] <= 75 && slices.max() ?? 0 <= 180, "\(slices.sorted())")
  }
}
