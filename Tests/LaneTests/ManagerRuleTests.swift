import CSupport
import Testing

@testable import Apus

/// What the manager asks because of the tops, positions and states of several venues: lots of 0.001 coin at 1,000.
@Suite struct ManagerRuleTests {
  private static let unit: Int64 = 100_000_000
  private static let ms: Nanoseconds = 1_000_000

  /// A manager over lanes of one instrument each, which do at once what they are asked.
  private struct Desk {
    var manager: StrategyManager
    var now: Nanoseconds = 0
    var positions: [Int64]
    var isReady: [Bool]
    private var serials: [UInt32]
    private(set) var lasting: [DirectiveMessage?]
    private(set) var orders: [(lane: Int, lots: Int64, slippage: Int64)] = []

    init(
      lanes: Int, references: Set<Int> = [], change: (inout ManagerSettings) -> Void = { _ in },
      underlying: (inout UnderlyingSettings) -> Void = { _ in }
    ) {
      var settings = ManagerSettings()
      var one = UnderlyingSettings(name: "BTC", maximumE8: unit, skews: false)
      underlying(&one)
      settings.underlyings = [one]
      settings.referenceLanes = references
      change(&settings)
      manager = StrategyManager(
        settings: settings, instruments: Array(repeating: ["BTC-PERPETUAL"], count: lanes))
      positions = Array(repeating: 0, count: lanes)
      isReady = Array(repeating: true, count: lanes)
      serials = Array(repeating: 0, count: lanes)
      lasting = Array(repeating: nil, count: lanes)
    }

    /// Every lane tells how it stands, then the manager has its turn.
    mutating func turn(after pause: Nanoseconds = 10 * ms, silent: Set<Int> = []) {
      now += pause
      for lane in positions.indices where !silent.contains(lane) {
        manager.note(
          LaneUpdate(
            instrument: 0, isPositionKnown: true, isReady: isReady[lane], position: positions[lane],
            worstLong: positions[lane], worstShort: -positions[lane], markE8: 1000 * unit, profitE8: 0,
            serial: serials[lane], unitE12: 1_000_000_000), lane: lane, now: now)
      }
      for (lane, message) in manager.prices(now: now) + manager.messages(isAll: manager.decide(), now: now) {
        #expect(message.serial == (serials[lane] &+ 1), "messages to a lane are numbered without gaps")
        serials[lane] = message.serial
        if message.isHedge {
          orders.append((lane, message.targetPosition, message.longCap))
        } else {
          lasting[lane] = message
        }
      }
    }

    mutating func top(_ lane: Int, _ bid: Int64, _ ask: Int64, size: Int64 = unit) {
      manager.note(
        LaneTop(
          instrument: 0, isThere: true, bidE8: bid * unit, askE8: ask * unit, bidSizeE8: size, askSizeE8: size, time: now),
        lane: lane)
    }

    mutating func forgetOrders() { orders = [] }
  }

  // MARK: - A fair value

  private static func withFair(_ underlying: inout UnderlyingSettings) {
    underlying.fair = FairValue.Settings()
    underlying.fair!.warmUp = 1
  }

  @Test func `the fair value is told to every lane that quotes in its own terms, and to none that is only looked at`() {
    var desk = Desk(lanes: 3, references: [2], underlying: Self.withFair)
    desk.turn()
    #expect(desk.lasting[0]?.fairValueE8 == 0 && desk.lasting[2] == nil)
    desk.top(0, 999, 1001)
    desk.top(1, 1009, 1011)
    desk.top(2, 999, 1001)
    desk.turn()
    #expect(desk.lasting[0]?.fairValueE8 == 1000 * Self.unit && desk.lasting[1]?.fairValueE8 == 1010 * Self.unit)
    // The reference alone moves: the value at the others follows it by its share.
    desk.top(2, 1000, 1002)
    desk.turn(after: 6 * Self.ms)
    let moved = desk.lasting[0]?.fairValueE8 ?? 0
    #expect(moved > 1000 * Self.unit && moved < 1001 * Self.unit)
    #expect(desk.lasting[2] == nil)
  }

  @Test func `a fair value that stands is repeated before it is forgotten, and one that is lost is taken back`() {
    var desk = Desk(lanes: 1, underlying: Self.withFair)
    desk.turn()
    desk.top(0, 999, 1001)
    desk.turn()
    var repeats = 0
    var serial = desk.lasting[0]?.serial
    for _ in 0..<400 {
      desk.top(0, 999, 1001)
      desk.turn()
      if desk.lasting[0]?.serial != serial { repeats += 1 }
      serial = desk.lasting[0]?.serial
    }
    #expect((3...5).contains(repeats) && UnderlyingBook.fairRepetition < Directive.fairValueLifetime)
    for _ in 0..<301 { desk.turn() }
    #expect(desk.lasting[0]?.fairValueE8 == 0)
  }

  // MARK: - Hedges

  private static func hedge(_ change: (inout UnderlyingSettings.Hedge) -> Void = { _ in })
    -> (inout UnderlyingSettings) -> Void
  {
    var hedge = UnderlyingSettings.Hedge(lane: 1, instrument: 0, bandE8: unit / 20, slippageCentiBps: 500)
    change(&hedge)
    return { [hedge] in $0.hedge = hedge }
  }

  @Test func `a position beyond its band is closed by taking, within the slippage`() {
    var desk = Desk(lanes: 2, underlying: Self.hedge())
    desk.turn()
    desk.positions[0] = 50
    desk.turn()
    #expect(desk.orders.isEmpty)
    desk.positions[0] = 70
    desk.turn()
    #expect(desk.orders.count == 1 && desk.orders[0] == (1, -70, 500))
  }

  @Test func `an order that waits is tried first, and one that takes follows when patience ends`() {
    var desk = Desk(lanes: 2, underlying: Self.hedge { $0.patience = 200 * Self.ms })
    desk.turn()
    desk.positions[0] = -80
    desk.turn()
    // Short 0.08: to be bought, at the venue that hedges alone.
    #expect(desk.lasting[1]?.passiveLots == 80 && desk.lasting[0]?.passiveLots == 0 && desk.orders.isEmpty)
    for _ in 0..<18 { desk.turn() }
    #expect(desk.orders.isEmpty)
    for _ in 0..<3 { desk.turn() }
    #expect(desk.orders.count == 1 && desk.orders[0] == (1, 80, 500))
    // Closed: nothing waits any more.
    desk.positions[1] = 80
    desk.turn()
    #expect(desk.lasting[1]?.passiveLots == 0)
  }

  @Test func `hedges take no more within a minute than their budget`() {
    var desk = Desk(lanes: 2, underlying: Self.hedge { $0.perMinuteE8 = Self.unit / 10 })
    desk.turn()
    desk.positions[0] = 400
    // Nothing trades: it is asked again, until the budget is used up.
    for _ in 0..<100 { desk.turn() }
    #expect(desk.orders.map(\.lots) == [-100])
    desk.forgetOrders()
    for _ in 0..<600 { desk.turn(after: 100 * Self.ms) }
    let more = -desk.orders.reduce(0) { $0 + $1.lots }
    #expect((90...101).contains(more))
  }

  @Test(arguments: HedgeLoss.allCases)
  func `without the venue that hedges quoting goes on, widens or stops, as the rule says`(rule: HedgeLoss) {
    var desk = Desk(lanes: 2, underlying: Self.hedge { $0.whenLost = rule })
    for _ in 0..<5 { desk.turn() }
    func isNormal() -> Bool { desk.lasting[0]?.isQuotingAllowed == true && desk.lasting[0]?.widenPermille == 1000 }
    #expect(isNormal())
    desk.isReady[1] = false
    desk.turn()
    switch rule {
    case .quote: #expect(isNormal())
    case .widen: #expect(desk.lasting[0]?.widenPermille == 2000 && desk.lasting[0]?.isQuotingAllowed == true)
    case .stop: #expect(desk.lasting[0]?.isQuotingAllowed == false)
    }
    // Back, and on probation for a second.
    desk.isReady[1] = true
    desk.turn()
    #expect(isNormal() == (rule == .quote))
    for _ in 0..<101 { desk.turn() }
    #expect(isNormal())
    // Silence is as good as absence.
    for _ in 0..<101 { desk.turn(silent: [1]) }
    #expect(isNormal() == (rule == .quote))
    // A position cannot be closed there meanwhile, and nobody is asked to.
    desk.positions[0] = 200
    desk.turn(silent: [1])
    #expect(desk.orders.isEmpty)
  }

  // MARK: - Crossed books

  private static func crossed(_ rule: CrossedRule, _ change: @escaping (inout UnderlyingSettings.Crossed) -> Void = { _ in })
    -> (inout UnderlyingSettings) -> Void
  {
    {
      withFair(&$0)
      $0.fair!.outlierCentiBps = 10_000
      $0.crossed.rule = rule
      $0.crossed.sizeE8 = unit / 10
      $0.crossed.perMinuteE8 = unit
      $0.crossed.feesCentiBps = [500, 500]
      change(&$0.crossed)
    }
  }

  /// The first venue is dearer by 8 on 1,000, which is 80 basis points, and taking costs 10 of them.
  private static func cross(_ desk: inout Desk, by move: Int64 = 10) {
    // Long enough for the basis not to follow at once.
    for _ in 0..<600 {
      desk.top(0, 999, 1001)
      desk.top(1, 999, 1001)
      desk.turn()
    }
    desk.top(0, 999 + move, 1001 + move)
    desk.turn(after: 5 * ms)
  }

  @Test(arguments: CrossedRule.allCases)
  func `crossed books pull the sides that would be taken at a loss, or are left alone, by rule`(rule: CrossedRule) {
    var desk = Desk(lanes: 2, underlying: Self.crossed(rule))
    Self.cross(&desk)
    let isPulled = rule != .ignore
    #expect(desk.lasting[0]?.pullsBids == isPulled && desk.lasting[0]?.pullsAsks == false)
    #expect(desk.lasting[1]?.pullsAsks == isPulled && desk.lasting[1]?.pullsBids == false)
    #expect(desk.orders.isEmpty == (rule != .take))
    // No longer crossed: the sides come back after a quarter of a second.
    desk.top(0, 999, 1001)
    desk.top(1, 999, 1001)
    for _ in 0..<20 { desk.turn() }
    #expect(desk.lasting[0]?.pullsBids == isPulled)
    for _ in 0..<10 { desk.turn() }
    #expect(desk.lasting[0]?.pullsBids == false && desk.lasting[1]?.pullsAsks == false)
  }

  @Test func `both prices are taken, at worst for nothing, in one pair at a time and within the budget`() {
    var desk = Desk(lanes: 2, underlying: Self.crossed(.take) { $0.perMinuteE8 = Self.unit / 5 })
    Self.cross(&desk)
    #expect(desk.orders.map(\.lane) == [1, 0] && desk.orders.map(\.lots) == [100, -100])
    // (1009 − 1001 − 5 bps of each) ÷ 1001 = 69.8 bps; half of that for each order.
    #expect(desk.orders.allSatisfy { (3400...3550).contains($0.slippage) })
    for _ in 0..<300 {
      desk.top(0, 1009, 1011)
      desk.top(1, 999, 1001)
      desk.turn()
    }
    // 0.2 a minute: the second pair after a second, and what three seconds bring is less than the rest of a third one.
    let bought = desk.orders.filter { $0.lane == 1 }.reduce(0) { $0 + $1.lots }
    #expect((200...211).contains(bought))
    #expect(bought == -desk.orders.filter { $0.lane == 0 }.reduce(0) { $0 + $1.lots })
  }

  @Test func `an edge that is not believed is avoided and not taken, and an old price counts for nothing`() {
    var desk = Desk(lanes: 2, underlying: Self.crossed(.take))
    Self.cross(&desk, by: 50)
    #expect(desk.orders.isEmpty && desk.lasting[0]?.pullsBids == true)
    var old = Desk(lanes: 2, underlying: Self.crossed(.take))
    old.turn()
    old.top(0, 999, 1001)
    old.top(1, 999, 1001)
    old.turn()
    // The second venue has said nothing for 0.6 s.
    old.turn(after: 600 * Self.ms)
    old.top(0, 1009, 1011)
    old.turn(after: 5 * Self.ms)
    #expect(old.orders.isEmpty && old.lasting[0]?.pullsBids == false)
  }

  @Test func `a venue that is only looked at warns, and is not traded at`() {
    var desk = Desk(lanes: 2, references: [1], underlying: Self.crossed(.take))
    Self.cross(&desk)
    #expect(desk.lasting[0]?.pullsBids == true && desk.orders.isEmpty && desk.lasting[1] == nil)
  }

  // MARK: - Over all underlyings

  @Test func `R07_ the caps of all underlyings together are worth no more than the limit over them`() {
    var settings = ManagerSettings()
    settings.underlyings = [
      UnderlyingSettings(name: "BTC", maximumE8: 10 * Self.unit, skews: false),
      UnderlyingSettings(name: "ETH", maximumE8: 100 * Self.unit, skews: false),
    ]
    settings.maximumExposureE8 = 6000 * Self.unit
    var manager = StrategyManager(settings: settings, instruments: [["BTC-PERPETUAL", "ETH-PERPETUAL"], ["BTCUSDT"]])
    let marks: [[Int64]] = [[1000, 50], [1000]]
    var serials: [[UInt32]] = [[0, 0], [0]]
    var caps: [[Int64]] = [[0, 0], [0]]
    for turn in 1...50 {
      for lane in 0..<2 {
        for instrument in marks[lane].indices {
          // Half of what is allowed is used.
          manager.note(
            LaneUpdate(
              instrument: InstrumentIndex(instrument), isPositionKnown: true, isReady: true,
              position: caps[lane][instrument] / 2, worstLong: caps[lane][instrument] / 2,
              worstShort: -caps[lane][instrument] / 2, markE8: marks[lane][instrument] * Self.unit, profitE8: 0,
              serial: serials[lane][instrument], unitE12: 1_000_000_000_000), lane: lane, now: Nanoseconds(turn) * Self.ms)
        }
      }
      for (lane, message) in manager.messages(isAll: false, now: Nanoseconds(turn) * Self.ms) {
        serials[lane][Int(message.instrument)] = message.serial
        caps[lane][Int(message.instrument)] = message.longCap
      }
      // Coins at their marks.
      let worth = 1000 * (caps[0][0] + caps[1][0]) + 50 * caps[0][1]
      #expect(worth <= 6000, "turn \(turn): \(caps)")
      #expect(caps[0][0] + caps[1][0] <= 10 && caps[0][1] <= 100)
    }
    #expect(1000 * (caps[0][0] + caps[1][0]) + 50 * caps[0][1] >= 5000, "the limit is there to be used: \(caps)")
  }

  // MARK: - What a lane makes of it

  private static func aroundFair() -> LadderParameters {
    var ladder = LaneWorld.ladder
    ladder.isAroundFair = true
    return ladder
  }

  @Test func `a ladder around the fair value quotes nothing without one, and nothing around one that was not repeated`() throws {
    let ordinary = try Quiet()
    let usual = ordinary.bestOwn
    var probe = try Quiet(ladder: Self.aroundFair())
    #expect(probe.resting == (0, 0) && probe.lane.lane.quoting.block(0) == .strategyEmpty)
    var directive = Directive()
    directive.fairValueE8 = 100_000 * Self.unit
    probe.direct(directive)
    #expect(probe.bestOwn == usual && probe.resting == (3, 3))
    directive.fairValueE8 = 100_010 * Self.unit
    probe.direct(directive)
    #expect(probe.bestOwn.ask == usual.ask + 10)
    probe.pass(2_900_000_000)
    probe.market(mark: 100_001)
    #expect(probe.resting == (3, 3))
    probe.pass(200_000_000)
    probe.market(mark: 100_002)
    #expect(probe.resting == (0, 0))
  }

  @Test func `a side that is to be pulled is pulled, and an order that waits is added at the best price`() throws {
    var probe = try Quiet()
    var directive = Directive()
    directive.pullsBids = true
    probe.direct(directive)
    #expect(probe.resting == (0, 3))
    directive.pullsBids = false
    directive.pullsAsks = true
    directive.passiveHedge = QtyLots(rawValue: 5)
    probe.direct(directive)
    #expect(probe.resting.asks == 0)
    let bids = probe.lane.lane.core.tracker.with(0) { state in
      (0..<state.bids.count).map { (state.bids[$0].pointee.price_ticks.rawValue, state.bids[$0].pointee.qty_lots.rawValue) }
    }
    #expect(bids.contains { $0.0 == 99_990 && $0.1 >= 5 })
    probe.direct(Directive())
    #expect(probe.resting == (3, 3))
  }
}
