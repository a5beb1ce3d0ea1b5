import Apus

extension FaultPlan {
  /// A mixture drawn from a seed: a world of one to three instruments and a handful of faults that overlap.
  public static func random(seed: UInt64) -> FaultPlan {
    var random = SplitMix(seed: seed &* 0x9E37_79B9 ^ 0xA905)
    var plan = FaultPlan()
    plan.seed = seed
    let sets = [
      ["BTC-PERPETUAL"], ["BTC-PERPETUAL"], ["BTC-PERPETUAL", "ETH-PERPETUAL"],
      ["ETH-PERPETUAL", "BTC-25DEC26", "BTC-PERPETUAL"],
    ]
    plan.instruments = sets[Int(random.below(4))]
    plan.levels = [1, 3, 3, 8][Int(random.below(4))]
    plan.sizeLots = [5, 20][Int(random.below(2))]
    plan.limitLots = plan.sizeLots * random.within(2...10)
    plan.latency = [100_000, 1_000_000, 8_000_000, 16_000_000, 60_000_000][Int(random.below(5))]
    plan.notifiesBeforeReply = random.below(2) == 0
    plan.usesMassQuotes = seed % 4 == 3
    plan.feedDelay = [5_000_000...50_000_000, 5_000_000...50_000_000, 50_000_000...600_000_000][Int(random.below(3))]
    plan.length = random.within(12...24) * second
    // Loss, repetition and lateness of what is told about orders are always there; the rest comes and goes.
    plan.faults = background(&random, plan.length)
    for _ in 0..<random.within(1...5) { plan.faults.append(event(&random, plan)) }
    rare(&random, &plan)
    closure(&plan)
    surroundings(&plan)
    return plan
  }

  /// An announced closure, for one seed in six; the other seeds are what they would be without.
  private static func closure(_ plan: inout FaultPlan) {
    var random = SplitMix(seed: plan.seed &* 0xC2B2_AE35 ^ 0xC105_E000)
    guard random.below(6) == 0 else { return }
    let at = random.within(0...plan.length / (100 * milli) - 10) * 100 * milli
    // The venue keeps its word three times out of four.
    let notice = random.below(4) > 0 ? 10 * second : random.within(1...90) * 100 * milli
    plan.faults.append(TimedFault(at: at, lasting: notice, .closure))
  }

  /// The network, the pace of the market, the strategy manager, and how the engine dies: drawn by themselves, so that the
  /// other faults of a seed stay what they are.
  private static func surroundings(_ plan: inout FaultPlan) {
    var random = SplitMix(seed: plan.seed &* 0x9E6C_63D0 ^ 0x0E7A_0000)
    func oneIn(_ count: Int64) -> Bool { random.below(count) == 0 }
    func lasting() -> (at: Nanoseconds, lasting: Nanoseconds) {
      let at = random.within(0...plan.length / (200 * milli)) * 100 * milli
      return (at, random.within(5...100) * 100 * milli)
    }
    // Two ways of the same length are the exception. From 50 µs to 100 ms, each order of magnitude as likely.
    func latency() -> Nanoseconds { [50, 500, 5000][Int(random.below(3))] * 1000 * random.within(1...20) }
    if !oneIn(3) { plan.latency = latency() }
    if oneIn(2) { plan.back = latency() }
    if oneIn(2) {
      plan.faults.append(
        TimedFault(at: 0, lasting: plan.length, .jitter([200, 2000, 20_000, 150_000][Int(random.below(4))] * 1000)))
    }
    if oneIn(3) {
      let (at, time) = lasting()
      plan.faults.append(TimedFault(at: at, lasting: time, .fragment([7, 60, 500, 1400][Int(random.below(4))])))
    }
    if oneIn(4) {
      let (at, time) = lasting()
      plan.faults.append(TimedFault(at: at, lasting: time, .merge([1, 10, 100][Int(random.below(3))] * milli)))
    }
    if oneIn(4) {
      let (at, time) = lasting()
      plan.faults.append(TimedFault(at: at, lasting: time, .shortWrites([20, 150, 1000][Int(random.below(3))])))
    }
    plan.pace = [1000, 1000, 500, 250][Int(random.below(4))]
    if !oneIn(3) {
      plan.managerTurn = [10, 10, 60, 400][Int(random.below(4))] * milli
      plan.widenCents = [0, 5, 50, 500][Int(random.below(4))]
      plan.drawdownCents = oneIn(4) ? [20, 100, 400][Int(random.below(3))] : 0
    }
    // Two deaths out of five are those of the machine; and one life in six dies a second time.
    for index in plan.faults.indices where plan.faults[index].fault == .crash {
      if random.below(5) < 2 { plan.faults[index].fault = .powerCut }
    }
    if plan.hasCrash, oneIn(3) {
      let at = random.within(0...plan.length / (100 * milli)) * 100 * milli
      plan.faults.append(TimedFault(at: at, oneIn(2) ? .crash : .powerCut))
    }
    // Half of the engine's own deaths are in the middle of a turn. Drawn apart: all else of a seed stays what it was.
    var deaths = SplitMix(seed: plan.seed ^ 0xDEAD_7042)
    for index in plan.faults.indices where plan.faults[index].fault == .crash {
      if deaths.below(2) == 0 { plan.faults[index].fault = .crashInTurn }
    }
  }

  /// What changes the world for good, now and then.
  private static func rare(_ random: inout SplitMix, _ plan: inout FaultPlan) {
    func at() -> Nanoseconds { random.within(0...plan.length / (100 * milli)) * 100 * milli }
    func name() -> String { plan.instruments[Int(random.below(Int64(plan.instruments.count)))] }
    let crashes = random.below(8) == 0
    if crashes { plan.faults.append(TimedFault(at: at(), .crash)) }
    if random.below(12) == 0 {
      plan.faults.append(TimedFault(at: at(), .tick(name(), finer: random.below(2) == 0 ? 2 : 5)))
    }
    if random.below(12) == 0, plan.instruments.count > 1 {
      let expiry = TimedFault(at: at(), .expire(name()))
      // A new life is refused at its start if the venue does not list what its configuration names: a mistake of a person.
      if !crashes { plan.faults.append(expiry) }
    }
    if random.below(12) == 0 {
      let step = (random.below(2) == 0 ? 1 : -1) * random.within(1...200) * second
      plan.faults.append(TimedFault(at: at(), lasting: random.within(10...60) * 100 * milli, .clockStep(step)))
    }
  }

  private static let second: Nanoseconds = 1_000_000_000
  private static let milli: Nanoseconds = 1_000_000

  private static func background(_ random: inout SplitMix, _ length: Nanoseconds) -> [TimedFault] {
    let told: FrameKinds = [.replies, .refusals, .orders, .trades, .positions]
    var list: [TimedFault] = []
    func permille(_ choices: [Int64]) -> Int { Int(choices[Int(random.below(Int64(choices.count)))]) }
    func add(_ fault: Fault, _ chance: Int) {
      if chance > 0 { list.append(TimedFault(at: 0, lasting: length, fault, permille: chance)) }
    }
    add(.drop(told), permille([0, 5, 20, 50]))
    add(.delay(told, milli...500 * milli), permille([0, 50, 200]))
    add(.delay(told, 4 * second...8 * second), permille([0, 0, 10]))
    add(.duplicate([.orders, .trades, .positions], milli...2 * second), permille([0, 20, 100]))
    add(.drop([.inserts, .amends, .cancels]), permille([0, 0, 10]))
    add(.delay([.inserts, .amends, .cancels, .queries], milli...300 * milli), permille([0, 0, 30]))
    add(.delay([.orderAnswers, .tradeAnswers, .positionAnswers], milli...2 * second), permille([0, 200]))
    add(.reorder([.replies, .orders]), permille([0, 0, 300]))
    add(.corrupt([.replies, .orders, .trades, .positions]), permille([0, 0, 0, 20]))
    return list
  }

  private static func event(_ random: inout SplitMix, _ plan: FaultPlan) -> TimedFault {
    let at = random.within(0...plan.length / (100 * milli) - 10) * 100 * milli
    func lasting(_ range: ClosedRange<Int64>) -> Nanoseconds { random.within(range) * 100 * milli }
    let name = plan.instruments[Int(random.below(Int64(plan.instruments.count)))]
    let orders: FrameKinds = [.inserts, .amends]
    switch random.below(24) {
    case 0, 1, 2: return TimedFault(at: at, .reset)
    case 3, 4, 5: return TimedFault(at: at, .abandon)
    case 6, 7: return TimedFault(at: at, lasting: lasting(5...100), .silence)
    case 8: return TimedFault(at: at, lasting: lasting(2...60), .stallReads)
    case 9: return TimedFault(at: at, lasting: lasting(2...60), .stallWrites)
    case 10: return TimedFault(at: at, lasting: lasting(10...80), .unreachable)
    case 11, 12: return TimedFault(at: at, .restart(keepsBook: true))
    case 13: return TimedFault(at: at, .restart(keepsBook: false))
    case 14: return TimedFault(at: at, lasting: lasting(5...50), .throttle(rate: Int(random.within(1...10))))
    case 15: return TimedFault(at: at, lasting: lasting(10...80), .halt(name))
    case 16: return TimedFault(at: at, lasting: lasting(10...60), .refuse(orders, code: 24))
    case 17: return TimedFault(at: at, lasting: lasting(5...30), .refuse([.cancels, .massCancels], code: 6))
    case 18: return TimedFault(at: at, lasting: lasting(5...40), .mask(code: 21), permille: 300)
    case 19:
      return TimedFault(
        at: at, lasting: lasting(5...40), .delay([.replies, .orders], 45 * second...55 * second), permille: 100,
        count: 3)
    case 20: return TimedFault(at: at, lasting: lasting(5...20), .drop([.replies, .orders]))
    case 21: return TimedFault(at: at, lasting: lasting(5...30), .drop([.trades, .positions]))
    case 22:
      return TimedFault(at: at, lasting: lasting(20...80), .drop([.orderAnswers, .tradeAnswers, .positionAnswers]))
    default: return TimedFault(at: at, lasting: lasting(20...60), .refuseLogins)
    }
  }
}
