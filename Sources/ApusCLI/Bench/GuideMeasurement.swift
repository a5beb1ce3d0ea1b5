import Apus
import CSupport
import Foundation

/// One row's own figure.
struct GuideFigure {
  /// Nanoseconds, or per second.
  var value: Double
  /// How it was measured.
  var conditions: String
}

/// Times what stands behind each row: in memory, on one thread, warm.
struct GuideMeasurement {
  typealias Key = GuideRow.Key

  /// Quotes a side in the rows of a whole lane.
  static let levels = 3
  /// Lanes of the rows of several venues.
  static let venues = 3
  /// More samples than these tell nothing new.
  private static let sampleLimit = 100_000

  private(set) var figures: [Key: GuideFigure] = [:]
  /// Seconds of a row of latency; the three runs of sustained work get four times as much.
  private let slice: Double

  private init(seconds: Double) { slice = seconds / 22 }

  /// Measures all rows in about `seconds`, and the time that preparing takes.
  static func run(seconds: Double) throws -> [Key: GuideFigure] {
    var measurement = GuideMeasurement(seconds: seconds)
    try measurement.requests()
    try measurement.buckets()
    try measurement.reconciler(.reconcile, levels: 10, batch: 400)
    try measurement.reconciler(.reconcileLarge, levels: 1000, batch: 4)
    try measurement.submissions()
    try measurement.openOrders()
    try measurement.strategyAndManager()
    let placing = try OrderScript.placing(levels: levels, rounds: 100)
    try measurement.oneVenue(placing)
    try measurement.severalVenues(placing)
    try measurement.reconciliations()
    return measurement.figures
  }

  // MARK: - Statistics

  /// Batches are timed one by one, and the median batch counts.
  private mutating func batches(_ key: Key, of count: Int, _ run: (Int) throws -> Nanoseconds) throws {
    for _ in 0..<3 { _ = try run(count) }
    var samples: [Double] = []
    let end = EngineClock.now() + Nanoseconds(slice * 1e9)
    repeat {
      sched_yield()
      samples.append(Double(try run(count)) / Double(count))
    } while EngineClock.now() < end && samples.count < Self.sampleLimit
    note(key, samples, "batches of \(count)")
  }

  private mutating func note(_ key: Key, _ samples: [Double], _ what: String) {
    let sorted = samples.sorted()
    func percentile(_ percent: Int) -> Double { sorted[min(sorted.count - 1, sorted.count * percent / 100)] }
    let median = percentile(50)
    let spread = median > 0 ? (percentile(75) - percentile(25)) / 2 / median : 0
    figures[key] = GuideFigure(
      value: median,
      conditions: "median of \(samples.count) \(what); half the quartile distance "
        + String(format: "%.1f %%", 100 * spread))
  }

  private mutating func note(_ key: Key, _ work: Work, _ what: String) {
    let total = work.total
    let seconds = Double(total.time) / 1e9
    figures[key] = GuideFigure(
      value: Double(total.count) / max(seconds, 1e-9),
      conditions: "\(total.count) \(what) in \(String(format: "%.2f", seconds)) s"
        + (work.dropped == 0
          ? ""
          : work.count > 0
            ? "; \(work.dropped) rounds left out in which others took the core"
            : "; others took the core in every round"))
  }

  // MARK: - Pieces

  private mutating func requests() throws {
    var probe = try OrderProbe(ordersPerSide: 64)
    try batches(.request, of: 200) { count in
      var matched = 0
      let start = EngineClock.now()
      for _ in 0..<count where probe.call() { matched += 1 }
      let time = EngineClock.now() - start
      guard matched == count else { throw BenchFailure("\(matched) of \(count) replies were matched") }
      return time
    }
  }

  private mutating func buckets() throws {
    // One token a ns, one taken each ns: always granted.
    var bucket = TokenBucket(try BucketRate(capacity: 1000, tokensPerSecond: 1_000_000_000))
    var first: Nanoseconds = 0
    try batches(.bucket, of: 20_000) { count in
      var granted = 0
      let last = first + Nanoseconds(count)
      let start = EngineClock.now()
      for now in first..<last where bucket.tryTake(now: now) == .taken { granted += 1 }
      let time = EngineClock.now() - start
      first = last
      guard granted == count else { throw BenchFailure("\(granted) of \(count) tokens were granted") }
      return time
    }
  }

  private mutating func reconciler(_ key: Key, levels: Int, batch: Int) throws {
    var probe = try ReconcilerProbe(levels: levels)
    try batches(key, of: batch) { count in try Self.reconcile(&probe, levels, count) }
  }

  private static func reconcile(_ probe: inout ReconcilerProbe, _ levels: Int, _ count: Int) throws -> Nanoseconds {
    var commands = 0
    let start = EngineClock.now()
    for index in 0..<count { commands &+= probe.reconcile(index & 1 == 0 ? .up : .down) }
    let time = EngineClock.now() - start
    guard commands == 2 * levels * count else {
      throw BenchFailure("\(commands) commands of \(count) comparisons of \(levels) levels a side")
    }
    return time
  }

  private mutating func submissions() throws {
    var probe = try OrderProbe(ordersPerSide: 64)
    let qty = QtyLots(rawValue: 1500)
    probe.endAll()
    try batches(.enter, of: 20) { count in
      var entered = 0
      let start = EngineClock.now()
      for level in 0..<Int64(count / 2) {
        if probe.enter(.buy, price: PriceTicks(rawValue: 99_990 - 2 * level), qty: qty) { entered += 1 }
        if probe.enter(.sell, price: PriceTicks(rawValue: 100_010 + 2 * level), qty: qty) { entered += 1 }
      }
      let time = EngineClock.now() - start
      guard entered == count, probe.openCount == count else {
        throw BenchFailure("\(entered) of \(count) orders were entered")
      }
      probe.endAll()
      return time
    }
    try batches(.submit, of: 20) { count in
      var submitted = 0
      let start = EngineClock.now()
      for level in 0..<Int64(count / 2) {
        if probe.submit(.buy, price: PriceTicks(rawValue: 99_990 - 2 * level), qty: qty) { submitted += 1 }
        if probe.submit(.sell, price: PriceTicks(rawValue: 100_010 + 2 * level), qty: qty) { submitted += 1 }
      }
      let time = EngineClock.now() - start
      guard submitted == count, probe.openCount == count else {
        throw BenchFailure("\(submitted) of \(count) orders were submitted")
      }
      probe.discardOutput()
      probe.endAll()
      return time
    }
  }

  private mutating func openOrders() throws {
    var probe = try OrderProbe(ordersPerSide: 64)
    probe.endAll()
    let qty = QtyLots(rawValue: 1500)
    var expected: Int64 = 0
    for level in 0..<10 as Range<Int64> {
      let prices = (bid: PriceTicks(rawValue: 99_990 - 2 * level), ask: PriceTicks(rawValue: 100_010 + 2 * level))
      guard probe.submit(.buy, price: prices.bid, qty: qty), probe.submit(.sell, price: prices.ask, qty: qty) else {
        throw BenchFailure("an order was not submitted")
      }
      expected += (prices.bid.rawValue + prices.ask.rawValue) * qty.rawValue
    }
    probe.discardOutput()
    probe.rest()
    try batches(.orders, of: 1000) { count in
      var sum: Int64 = 0
      let start = EngineClock.now()
      for _ in 0..<count { sum = Self.walk(probe, adding: sum) }
      let time = EngineClock.now() - start
      guard sum == expected &* Int64(count) else { throw BenchFailure("a walk did not read every open order") }
      return time
    }
    let ids = (0..<probe.openCount).map { probe.clientID($0) }
    try batches(.order, of: 1000 * ids.count) { count in
      var found = 0
      let start = EngineClock.now()
      for _ in 0..<count / ids.count {
        for id in ids where probe.find(id) != nil { found += 1 }
      }
      let time = EngineClock.now() - start
      guard found == count else { throw BenchFailure("\(found) of \(count) orders were found") }
      return time
    }
  }

  /// Never inlined, and each call waits for the one before: nothing can be moved out of the loop.
  @inline(never)
  private static func walk(_ probe: borrowing OrderProbe, adding sum: Int64) -> Int64 { sum &+ probe.walk() }

  // MARK: - Whole lanes

  private mutating func strategyAndManager() throws {
    var wide = Directive()
    wide.widenPermille = 3000
    let script = try OrderScript.moving(levels: Self.levels, wide: wide)
    var player = try ScriptPlayer(script)
    // The first turns have orders as they were inserted, and cold caches.
    try Self.turns(1000) {
      for cycle in 0..<2 {
        _ = try player.direct(cycle)
        _ = try player.answer(cycle)
      }
      player.again()
    }
    var samples: [Double] = []
    var end = EngineClock.now() + Nanoseconds(slice * 1e9)
    repeat {
      for cycle in 0..<2 {
        samples.append(Double(try player.direct(cycle)))
        _ = try player.answer(cycle)
      }
      player.again()
    } while EngineClock.now() < end && samples.count < Self.sampleLimit
    note(.strategy, samples, "runs timed one by one, the clock's readings included")

    var lanes = try ThreeLanes(script)
    var manager = ManagerProbe(
      settings: ManagerSettings(maximumLossE8: 0, widenAtLossE8: 500, widenPermille: wide.widenPermille),
      lanes: Self.venues)
    try Self.turns(1000) { _ = try Self.managerTurn(&manager, &lanes) }
    samples.removeAll()
    end = EngineClock.now() + Nanoseconds(slice * 1e9)
    repeat {
      let times = try Self.managerTurn(&manager, &lanes)
      samples += [Double(times.wide), Double(times.back)]
    } while EngineClock.now() < end && samples.count < Self.sampleLimit
    note(.manager, samples, "runs, manager and lanes timed one after the other, the clock's readings included")
  }

  /// Warms up, and not longer than a slow machine should take.
  private static func turns(_ count: Int, _ body: () throws -> Void) throws {
    let end = EngineClock.now() + 200_000_000
    for _ in 0..<count where EngineClock.now() < end { try body() }
  }

  /// A loss over all lanes widens the quotes, its end brings them back.
  private static func managerTurn(_ manager: inout ManagerProbe, _ lanes: inout ThreeLanes) throws
    -> (wide: Nanoseconds, back: Nanoseconds)
  {
    let wide = try managerRun(&manager, &lanes, profitE8: -200, cycle: 0)
    let back = try managerRun(&manager, &lanes, profitE8: 0, cycle: 1)
    lanes.again()
    return (wide, back)
  }

  private static func managerRun(
    _ manager: inout ManagerProbe, _ lanes: inout ThreeLanes, profitE8: MoneyE8, cycle: Int
  ) throws -> Nanoseconds {
    let start = EngineClock.now()
    for lane in 0..<venues { manager.note(profitE8: profitE8, lane: lane) }
    let isChanged = manager.decide()
    guard isChanged, let first = manager.directive(lane: 0), let second = manager.directive(lane: 1),
      let third = manager.directive(lane: 2)
    else { throw BenchFailure("the manager did not decide anew") }
    let time = EngineClock.now() - start
    let lanesTime = try lanes.direct(cycle, as: first, second, third)
    _ = try lanes.answer(cycle)
    return time + lanesTime
  }

  /// Cycles of a new player that are not counted.
  private static let warmCycles = 20

  private mutating func oneVenue(_ script: OrderScript) throws {
    let ordersPerCycle = 2 * Self.levels
    var placings: [Double] = []
    var orders = Work()
    var updates = Work()
    let end = EngineClock.now() + Nanoseconds(4 * slice * 1e9)
    repeat {
      var player = try ScriptPlayer(script)
      for cycle in script.cycles.indices {
        let directTime = try player.direct(cycle)
        let answerTime = try player.answer(cycle)
        guard cycle >= Self.warmCycles else { continue }
        let isPlacing = script.cycles[cycle].directive.isQuotingAllowed
        orders.add(isPlacing ? ordersPerCycle : 0, in: directTime + answerTime)
        updates.add(script.cycles[cycle].answers.count, in: answerTime)
        if isPlacing { placings.append(Double(directTime) / Double(ordersPerCycle)) }
      }
    } while EngineClock.now() < end && placings.count < Self.sampleLimit
    note(.place, placings, "looks, a sixth of each, the clock's readings included")
    note(.singleVenue, orders, "orders")
    note(.updates, updates, "updates")
  }

  private mutating func severalVenues(_ script: OrderScript) throws {
    var orders = Work()
    let end = EngineClock.now() + Nanoseconds(4 * slice * 1e9)
    repeat {
      var lanes = try ThreeLanes(script)
      for cycle in script.cycles.indices {
        let directive = script.cycles[cycle].directive
        let time = try lanes.direct(cycle, as: directive, directive, directive) + lanes.answer(cycle)
        guard cycle >= Self.warmCycles else { continue }
        orders.add(directive.isQuotingAllowed ? 2 * Self.levels * Self.venues : 0, in: time)
      }
    } while EngineClock.now() < end
    note(.multiVenue, orders, "orders")
  }

  private mutating func reconciliations() throws {
    var probe = try ReconcilerProbe(levels: 10)
    var work = Work()
    let end = EngineClock.now() + Nanoseconds(4 * slice * 1e9)
    repeat { work.add(1000, in: try Self.reconcile(&probe, 10, 1000)) } while EngineClock.now() < end
    note(.reconciliations, work, "reconciliations")
  }
}

/// Sustained work, added up round by round. A round in which the system gave the core to somebody else does not count.
private struct Work {
  private(set) var count = 0
  private(set) var time: Nanoseconds = 0
  private(set) var dropped = 0
  /// Where every round was disturbed they count all the same: a figure too low is better than none.
  private var disturbed: (count: Int, time: Nanoseconds) = (0, 0)
  private var switches = Work.forcedSwitches()

  mutating func add(_ count: Int, in time: Nanoseconds) {
    let now = Self.forcedSwitches()
    if now == switches {
      self.count += count
      self.time += time
    } else {
      dropped += 1
      disturbed = (disturbed.count + count, disturbed.time + time)
    }
    switches = now
  }

  /// What the rate is made of.
  var total: (count: Int, time: Nanoseconds) { count > 0 ? (count, time) : disturbed }

  /// How often this thread had to give up its core.
  private static func forcedSwitches() -> Int {
    var usage = rusage()
    let thread: CInt = 1  // RUSAGE_THREAD, which the C library shows to GNU sources only
    return getrusage(thread, &usage) == 0 ? Int(usage.ru_nivcsw) : 0
  }
}

/// Three lanes on one thread, one after the other.
private struct ThreeLanes: ~Copyable {
  private var first: ScriptPlayer
  private var second: ScriptPlayer
  private var third: ScriptPlayer

  init(_ script: OrderScript) throws {
    let first = try ScriptPlayer(script)
    let second = try ScriptPlayer(script)
    let third = try ScriptPlayer(script)
    self.first = first
    self.second = second
    self.third = third
  }

  mutating func direct(_ cycle: Int, as one: Directive, _ two: Directive, _ three: Directive) throws -> Nanoseconds {
    try first.direct(cycle, as: one) + second.direct(cycle, as: two) + third.direct(cycle, as: three)
  }

  mutating func answer(_ cycle: Int) throws -> Nanoseconds {
    try first.answer(cycle) + second.answer(cycle) + third.answer(cycle)
  }

  mutating func again() {
    first.again()
    second.again()
    third.again()
  }
}
