public import Apus
import CSupport

/// The question at the end of every scenario: has every invariant held, and does the engine's account of orders, fills,
/// position, fees and cash equal the venue's?
public struct ChaosVerdict: Sendable {
  /// A number that both sides know.
  public struct Item: Sendable {
    public var invariant: Invariant
    public var name: String
    public var engine: String
    public var venue: String
    /// Whether the verdict depends on it.
    public var isDemanded = true
    public var isEqual: Bool { engine == venue }
  }

  public var plan: FaultPlan
  public var items: [Item] = []
  /// What went wrong on the way, in the order of time, and then what was found at the end.
  public var violations: [Violation] = []
  /// The largest worst case of either side of any instrument, by the venue's books, and its limit.
  public var worstLots: Int64 = 0
  public var limitLots: Int64 = 0
  /// From the end of the last fault until every instrument was quoted again; `nil` if that did not happen.
  public var recovery: Nanoseconds?
  public var fills = 0
  public var reconnects = 0
  /// Moves to a connection that was made before the venue closed the last one.
  public var moves: Int { counters.moves }
  public var struck = 0
  /// Times that a position was taken over from the venue, with a record: then the executions behind it are not known.
  public var adjustments = 0
  /// What the engine counted, and what it sent while the plan went on.
  public var counters: LaneCounters
  public var tracker: TrackerCounters
  public var sent: [FrameKinds: Int] = [:]
  /// Order messages about instruments after their expiry.
  public var aboutExpired = 0
  /// Sessions that the venue's dead-man timer ended.
  public var deadMen = 0
  /// How long none of our orders rested at the venue, while the plan went on.
  public var timeWithoutOrders: Nanoseconds = 0
  /// Lives of the engine, and halts of the manager that were verified.
  public var lives = 1
  public var halts = 0
  /// How long the run was, on virtual time.
  public var virtualTime: Nanoseconds = 0

  public var differences: [Item] { items.filter { $0.isDemanded && !$0.isEqual } }
  public var isPassed: Bool { differences.isEmpty && violations.isEmpty }
  /// The invariants that did not hold, each once; the first is what the run failed of.
  public var failures: [Invariant] {
    var list: [Invariant] = []
    for invariant in violations.map(\.invariant) + differences.map(\.invariant) where !list.contains(invariant) {
      list.append(invariant)
    }
    return list
  }

  /// Asks the question about a world whose engine has been asked to stop.
  public init(_ world: ChaosWorld) {
    plan = world.plan
    violations = world.violations
    limitLots = plan.limitLots
    struck = world.injector.struck
    virtualTime = world.now
    lives = world.life
    halts = world.haltCount
    counters = world.lane.counters
    tracker = world.lane.trackerCounters
    reconnects = counters.reconnects
    sent = world.sent
    aboutExpired = world.injector.aboutExpired
    deadMen = Int(world.venue.statistics.timeouts)
    timeWithoutOrders = world.timeWithoutOrders
    if !world.lane.isStopped {
      note(.stop, world, "the engine did not come to a stop: \(world.lane.statusText)")
    } else if !world.lane.isStopVerified {
      note(.stop, world, "the stop was not verified at the venue")
    }
    // Price, size, grid and collar are known before an order is sent.
    for code in [13, 14, 15, 43, 45, 50] as [UInt64] {
      if let count = world.refusals[code] {
        note(.session, world, "the venue refused \(count) orders with error \(code)")
      }
    }
    if let broken = world.brokenLedger() { note(.venue, world, broken) }
    guard let ledger = world.ledger else {
      note(.session, world, "the engine never logged in")
      return
    }
    items.append(Item(invariant: .orders, name: "orders that rest", engine: "0", venue: "\(ledger.orders.count)"))
    items.append(
      Item(invariant: .orders, name: "orders of unknown state", engine: "\(world.lane.unknownOrders)", venue: "0"))
    items.append(
      Item(
        invariant: .rate, name: "rate violations", engine: "0", venue: "\(ledger.violations)",
        isDemanded: !plan.bunchesRequests))
    for (index, name) in plan.instruments.enumerated() {
      let ours = world.lane.account(InstrumentIndex(index))
      let theirs = ledger.positions[index]
      adjustments += ours.adjustments
      worstLots = max(worstLots, theirs.worstLong, theirs.worstShort)
      // Of a life whose account was not handed over the engine knows the position only.
      let fills = ledger.fills.filter { $0.market == index && world.isKnownToLane($0.label) }
      self.fills += fills.count
      func sum(_ side: Side) -> Int64 { fills.reduce(0) { $0 + ($1.side == side ? $1.lots.rawValue : 0) } }
      let isTold = ours.adjustments == 0
      func add(_ invariant: Invariant, _ what: String, _ engine: String, _ venue: String, _ isDemanded: Bool) {
        items.append(
          Item(invariant: invariant, name: "\(name) \(what)", engine: engine, venue: venue, isDemanded: isDemanded))
      }
      add(.books, "position", ours.position.map { "\($0)" } ?? "unknown", "\(theirs.lots)", true)
      add(.books, "open buys", "\(ours.openBuys)", "\(theirs.openBuys)", true)
      add(.books, "open sells", "\(ours.openSells)", "\(theirs.openSells)", true)
      add(.booking, "fills", "\(ours.fills)", "\(fills.count)", isTold)
      add(.booking, "bought", "\(ours.bought)", "\(sum(.buy))", isTold)
      add(.booking, "sold", "\(ours.sold)", "\(sum(.sell))", isTold)
      let fees = fills.reduce(0) { $0 + $1.feeE8 }
      add(.money, "fees, 10⁻⁸ USD", "\(ours.feesE8)", "\(fees)", isTold)
      let lotE8 = world.venue.markets[index].spec.grid.lotE8
      let cash = fills.reduce(Int128(0)) { sum, fill in
        sum - Int128(fill.side.sign * fill.lots.rawValue) * Int128(world.venue.priceE8(of: fill)) * Int128(lotE8)
      }
      let isAll = isTold && world.isAccountWhole
      add(.money, "cash, 10⁻⁸ USD", "\(ours.cashE8)", "\(cash / 100_000_000)", isAll)
      // The venue's own account, at the mark that the engine saw last.
      guard let (profit, markE8) = world.lane.profit(InstrumentIndex(index)) else { continue }
      let value = Int128(theirs.lots) * Int128(lotE8) * Int128(markE8) / 100_000_000
      add(.money, "profit, 10⁻⁸ USD", "\(profit)", "\(Int128(theirs.cash) + value - Int128(theirs.feesE8))", isAll)
    }
  }

  mutating func note(_ invariant: Invariant, _ world: ChaosWorld, _ text: String) {
    violations.append(Violation(invariant: invariant, at: world.now, text: text))
  }

  /// How many requests of these kinds the engine sent while the plan went on.
  public func sent(_ kinds: FrameKinds) -> Int {
    sent.reduce(0) { $0 + ($1.key.isDisjoint(with: kinds) ? 0 : $1.value) }
  }

  /// A line for a list of runs.
  public var line: String {
    let state =
      isPassed
      ? (adjustments > 0 ? "passed, \(adjustments) taken over" : "passed")
      : "FAILED (\(failures.map(\.rawValue).joined(separator: "; ")))"
    return
      "seed \(plan.seed): \(state); worst case \(worstLots) of \(limitLots), \(fills) fills, \(reconnects) reconnects, "
      + (moves > 0 ? "\(moves) moved over, " : "")
      + "\(struck) frames struck, recovery \(recovery.map { TimeText.text($0 / 1_000_000 * 1_000_000) } ?? "none")"
  }

  /// All that differs, for people; ends with the way to replay.
  public var account: String {
    var lines = [line]
    for violation in violations {
      lines.append(
        "  \(violation.invariant.rawValue): does not hold at \(TimeText.text(violation.at / 1000 * 1000)): \(violation.text)"
      )
      if !violation.engineView.isEmpty {
        lines.append("  as the engine saw it then:")
        for row in violation.engineView { lines.append("    \(row)") }
        lines.append("  as the venue had it:")
        for row in violation.venueView { lines.append("    \(row)") }
      }
    }
    for item in differences {
      lines.append("  \(item.invariant.rawValue): \(item.name): engine \(item.engine), venue \(item.venue)")
    }
    lines.append("  plan: \(plan.text)")
    return lines.joined(separator: "\n")
  }
}

extension FaultPlan {
  /// What the venue tells of an order may be lost, and be asked for only when the order is to be changed.
  var losesReports: Bool {
    faults.contains {
      switch $0.fault {
      case .drop(let kinds), .corrupt(let kinds): !kinds.isDisjoint(with: [.orders, .replies])
      case .mask, .reset, .abandon, .silence, .restart, .crash, .crashInTurn, .powerCut: true
      default: false
      }
    }
  }

  /// What was sent at an allowed rate may reach the venue faster than that.
  var bunchesRequests: Bool {
    faults.contains {
      switch $0.fault {
      case .stallWrites, .silence, .shortWrites, .merge: true
      case .jitter(let time): time > 2_000_000
      case .delay(let kinds, _): !kinds.isDisjoint(with: .changes)
      default: false
      }
    }
  }
}

/// One run of a plan from the first quote to the verdict.
public enum ChaosRun {
  /// Virtual times: how long to wait for the first quotes, for recovery, and for the stop.
  private static let patience: Nanoseconds = 60_000_000_000
  private static let settling: Nanoseconds = 8_000_000_000
  /// And how long for a moment in which nothing is under way.
  private static let quiet: Nanoseconds = 3_000_000_000

  /// - Parameters:
  ///   - journal: a directory for the journal of the engine's lives, see ``ChaosWorld``.
  ///   - trace: takes a line for each thing worth knowing.
  public static func run(
    _ plan: FaultPlan, journal: String? = nil, trace: ((Nanoseconds, String) -> Void)? = nil
  ) throws -> ChaosVerdict {
    let world = try ChaosWorld(plan, journal: journal)
    world.trace = trace
    guard try world.run(limit: patience, until: { $0.isQuoting }) else {
      var verdict = ChaosVerdict(world)
      verdict.note(
        .recovery, world, "the engine did not begin to quote: \(world.engineView(0).joined(separator: "; "))")
      return verdict
    }
    world.beginPlan()
    trace?(world.now, "the plan begins")
    let length = max(plan.length, world.injector.end)
    try world.run(for: length)
    trace?(world.now, "the last fault is over")
    let over = world.now
    let hasRecovered = try world.run(limit: patience, until: { $0.isQuoting })
    let recovery = hasRecovered ? world.now - over : nil
    trace?(world.now, hasRecovered ? "quoting again" : "NOT quoting again")
    try world.run(for: settling)
    let blocks = hasRecovered ? "" : plan.instruments.indices.map { world.engineView($0)[0] }.joined(separator: "; ")
    trace?(world.now, "the market is paused")
    world.pauseMarket()
    if try world.run(limit: quiet, until: { $0.isQuiet }) {
      trace?(world.now, "nothing is under way")
      world.compareOrders()
    }
    trace?(world.now, "stop")
    world.requestStop()
    _ = try world.run(limit: patience, until: { $0.isStopped })
    if trace != nil {
      for index in plan.instruments.indices {
        for row in world.engineView(index) { trace?(world.now, "engine, \(plan.instruments[index]): \(row)") }
        for row in world.venueView(index) { trace?(world.now, "venue,  \(plan.instruments[index]): \(row)") }
      }
    }
    var verdict = ChaosVerdict(world)
    verdict.recovery = recovery
    if !hasRecovered {
      verdict.note(.recovery, world, "no quotes again within 60 s after the last fault: \(blocks)")
    }
    return verdict
  }
}
