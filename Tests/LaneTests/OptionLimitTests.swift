import CSupport
import Testing

@testable import Apus

/// Options under a common limit: lots of 0.1 coin count by their delta, beside a perpetual with lots of 0.001 coin at 1,000.
@Suite struct OptionLimitTests {
  private static let unit: Int64 = 100_000_000
  private static let names = ["BTC-1JAN27-900-P", "BTC-PERPETUAL", "BTC-1JAN27-1100-C"]
  private static let (put, perpetual, call) = (0, 1, 2)

  /// One lane that does at once what it is asked.
  private struct Desk {
    var manager: StrategyManager
    var now: Nanoseconds = 0
    var positions: [Int64] = [0, 0, 0]
    /// What may trade on each side beside the position: half of what is allowed, or everything.
    var usesAll = false
    var deltas: [Double?] = [-0.25, nil, 0.5]
    private var serials: [UInt32] = [0, 0, 0]
    private(set) var lasting: [DirectiveMessage?] = [nil, nil, nil]
    private(set) var hedges: [Int64] = []

    init(limits: [Int64] = [100, 1000, 100], underlying: (inout UnderlyingSettings) -> Void = { _ in }) {
      var settings = ManagerSettings()
      var one = UnderlyingSettings(name: "BTC", maximumE8: unit, skews: true)
      underlying(&one)
      settings.underlyings = [one]
      manager = StrategyManager(settings: settings, instruments: [names])
      for (index, limit) in limits.enumerated() {
        manager.note(LaneUpdate.limit(QtyLots(rawValue: limit), of: InstrumentIndex(index)), lane: 0)
      }
    }

    /// Coins of a lot.
    func coins(_ index: Int) -> Double { deltas[index].map { $0 * 0.1 } ?? 0.001 }

    mutating func turn() {
      now += 10_000_000
      for index in names.indices {
        let isOption = index != perpetual
        let unitE12: Int64 = isOption ? (deltas[index].map { Int64($0 * 1e11) } ?? 0) : 1_000_000_000
        let (long, short) = (lasting[index]?.longCap ?? 0, lasting[index]?.shortCap ?? 0)
        manager.note(
          LaneUpdate(
            instrument: InstrumentIndex(index), isPositionKnown: true, isReady: true, position: positions[index],
            worstLong: usesAll ? long : positions[index], worstShort: usesAll ? short : -positions[index],
            markE8: isOption ? 7 * unit : 1000 * unit, profitE8: 0, serial: serials[index], unitE12: unitE12),
          lane: 0, now: now)
      }
      for (_, message) in manager.messages(isAll: manager.decide(), now: now) {
        serials[Int(message.instrument)] = message.serial
        if message.isHedge { hedges.append(message.targetPosition) } else { lasting[Int(message.instrument)] = message }
      }
    }

    /// What all caps together allow to be held, in coins.
    var allowed: (long: Double, short: Double) {
      var sum = (long: 0.0, short: 0.0)
      for index in names.indices {
        guard let message = lasting[index] else { continue }
        let coins = coins(index)
        sum.long += coins * Double(coins > 0 ? message.longCap : -message.shortCap)
        sum.short += coins * Double(coins > 0 ? message.shortCap : -message.longCap)
      }
      return sum
    }
  }

  @Test func `an option is as much of the underlying as its delta says, and who is long puts is short`() {
    var desk = Desk { $0.hedge = .init(lane: 0, instrument: 1, bandE8: Self.unit / 100, slippageCentiBps: 500) }
    desk.positions = [20, 0, 4]
    desk.turn()
    // 20 · 0.1 · −0.25 + 4 · 0.1 · 0.5.
    #expect(desk.manager.position(0) == -30_000_000)
    #expect(desk.hedges == [300], "the perpetual closes what the options are")
    // The long put leaves the others less to sell and more to buy.
    let perpetual = desk.lasting[Self.perpetual]
    #expect((perpetual?.shortCap ?? 0) * 3 < (perpetual?.longCap ?? 0) * 2, "\(desk.allowed)")
  }

  @Test func `R07_ the caps of options and futures together are within the limit, on both sides, and are there to be used`() {
    for usesAll in [false, true] {
      var desk = Desk()
      desk.usesAll = usesAll
      for turn in 0..<100 {
        desk.turn()
        #expect(desk.allowed.long <= 1.000001 && desk.allowed.short <= 1.000001, "turn \(turn): \(desk.allowed)")
      }
      #expect(desk.allowed.long > 0.9 && desk.allowed.short > 0.9, "\(desk.allowed)")
    }
  }

  @Test func `R07_ when deltas grow what was handed out is called back`() {
    var desk = Desk()
    for _ in 0..<20 { desk.turn() }
    let before = desk.lasting[Self.call]?.longCap ?? 0
    for step in 1...50 {
      desk.deltas[Self.call] = 0.5 + 0.01 * Double(step)
      desk.turn()
      // A cap follows its unit in steps of a sixty-fourth, and what was lowered is obeyed in the next turn.
      #expect(desk.allowed.long <= 1.02, "step \(step): \(desk.allowed)")
    }
    #expect((desk.lasting[Self.call]?.longCap ?? 0) < before * 3 / 4)
    for _ in 0..<5 { desk.turn() }
    #expect(desk.allowed.long <= 1.000001 && desk.allowed.long > 0.9)
  }

  @Test func `who wants little leaves the rest to others`() {
    // Far from the money: 1 lot is 0.001 coins, and no more than 100 lots are ever held.
    var desk = Desk(limits: [100, 1000, 100])
    desk.deltas = [-0.01, nil, 0.01]
    for _ in 0..<20 { desk.turn() }
    #expect(desk.lasting[Self.call]?.longCap == 100 && desk.lasting[Self.put]?.longCap == 100)
    // 0.8 of 1 coin; equal shares would be 0.33.
    #expect((780...800).contains(desk.lasting[Self.perpetual]?.longCap ?? 0), "\(desk.allowed)")
  }

  @Test func `an option without a delta holds up nobody while it is flat, and everybody when it is not`() {
    var flat = Desk()
    flat.deltas[Self.put] = nil
    flat.turn()
    #expect(flat.lasting[Self.put]?.longCap ?? 0 == 0 && (flat.lasting[Self.perpetual]?.longCap ?? 0) > 0)
    var held = Desk()
    held.deltas[Self.put] = nil
    held.positions[Self.put] = 1
    held.turn()
    #expect(held.lasting.allSatisfy { $0?.longCap ?? 0 == 0 && $0?.shortCap ?? 0 == 0 })
    // It is told: all are served.
    held.deltas[Self.put] = -0.25
    held.turn()
    #expect((held.lasting[Self.perpetual]?.longCap ?? 0) > 0)
  }

  @Test func `options lean by their own strategy and make no fair value`() {
    var desk = Desk { $0.fair = FairValue.Settings() }
    desk.positions = [0, 200, 0]
    desk.turn()
    #expect(desk.lasting[Self.call]?.targetPosition == 0)
    desk.manager.note(
      LaneTop(
        instrument: InstrumentIndex(Self.call), isThere: true, bidE8: 6 * Self.unit, askE8: 8 * Self.unit,
        bidSizeE8: Self.unit, askSizeE8: Self.unit, time: desk.now), lane: 0)
    for _ in 0..<10 {
      _ = desk.manager.prices(now: desk.now)
      desk.turn()
    }
    #expect(desk.lasting.allSatisfy { $0?.fairValueE8 ?? 0 == 0 })
  }

  @Test(arguments: [
    // (type, delta, coins of a lot): a lot is 0.1.
    (OptionType.call, Int64?(50_000_000), Int64(50_000_000_000)), (.put, -25_000_000, -25_000_000_000), (.call, nil, 0),
    // All but worthless: a thousandth.
    (.call, 0, 100_000_000), (.put, 0, -100_000_000), (.none, -50_000_000, -50_000_000_000),
  ])
  func `a lot of an option is so many coins`(type: OptionType, delta: Int64?, unit: Int64) {
    let info = InstrumentInfo(
      index: 0, kind: .option,
      grid: InstrumentGrid(tickE8: Self.unit, lotE8: Self.unit / 10, minimumLots: QtyLots(rawValue: 1)),
      expirySeconds: 0, optionType: type)
    #expect(Underlying.unitE12(info, markE8: 7 * Self.unit, deltaE8: delta) == unit)
  }
}
