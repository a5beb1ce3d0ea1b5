public import Apus
import CSupport

/// Looks at a trial after each of its steps.
protocol TrialObserver: AnyObject {
  /// - Parameter account: The lane's; `nil` before its login.
  func observe(_ venue: SimulatedVenue, _ account: Account?, now: Nanoseconds)
}

/// A lane that quotes a market through a simulated venue on virtual time, and what came of it.
///
/// The network loses nothing and keeps the order of what it carries. What is measured here is how the lane spends its
/// order messages; a `TrialObserver` may measure more. Deterministic: the same market and settings give the same outcome.
/// One thread.
public final class QuotingTrial {
  /// What is quoted, and how.
  public struct Plan: Sendable {
    public var instruments: [InstrumentSpec]
    /// One for each instrument; not used with `configuration`.
    public var ladders: [LadderParameters]
    /// Whose strategies quote, instead of the ladders; its instruments are those of `settings`.
    public var configuration: Configuration?
    /// Parameters that are taken over while it runs, in order of time; with `configuration` only.
    public var changes: [(at: Nanoseconds, configuration: Configuration)] = []
    /// The lane is told a fair value with its directives: the index of the venue, in a recording the middle of the recorded
    /// market, as it is when a message of the market's takes `feedLatency` to arrive. As a manager that sees the market of
    /// the recording would.
    public var tellsFairValue = false
    /// One for each instrument; name and market are those of `instruments`.
    public var settings: LaneSettings
    /// One way: what the market says, what the lane asks for, and how that is answered.
    public var feedLatency = LatencyModel.constant(500_000)
    public var orderLatency = LatencyModel.constant(500_000)
    public var replyLatency = LatencyModel.constant(500_000)
    /// All three, constant.
    public var latency: Nanoseconds = 500_000 {
      didSet {
        feedLatency = .constant(latency)
        orderLatency = .constant(latency)
        replyLatency = .constant(latency)
      }
    }
    /// How the quotes trade against the market; `nil`: as in the venue's matching engine.
    public var fillModel: FillModel?
    /// Fees in units of 10⁻⁶ of the value; `nil`: those of the simulated venue.
    public var makerFeeE6: Int64?
    public var takerFeeE6: Int64?
    /// Order messages a second that the venue grants.
    public var messageRate = 50
    public var seed: UInt64 = 1

    public init(instruments: [InstrumentSpec], ladders: [LadderParameters], settings: LaneSettings) {
      precondition(instruments.count == ladders.count && instruments.count == settings.instruments.count)
      self.instruments = instruments
      self.ladders = ladders
      self.settings = settings
    }

    /// Quotes by the strategies of a configuration from now on; `nil`: by the ladders.
    public mutating func quote(_ configuration: Configuration?) {
      self.configuration = configuration
      tellsFairValue = configuration?.instruments.contains { $0.strategy.kind == .makeAndHedge } ?? false
    }
  }

  /// Sums over all instruments. Times in nanoseconds, money in 10⁻⁸ USD.
  public struct Outcome: Sendable {
    /// Time of the market, from the first moment with quotes; times the number of instruments.
    public var watched: Nanoseconds = 0
    /// Of it, with a bid and an ask of ours at the venue.
    public var quoted: Nanoseconds = 0
    /// Requests that count as order messages, and cancels, which have a limit of their own.
    public var orderMessages = 0
    public var cancels = 0
    /// Requests that the venue refused for their rate.
    public var violations = 0
    /// Requests about orders that the venue refused, post-only ones that would have traded among them.
    public var refused = 0
    /// How long ago the price of each quote that was hit had been set.
    public var ages: [Nanoseconds] = []
    /// For each quote that was hit how far its price was on the good side of the index, 10⁻⁸ of the price, and
    /// the same with the index of one second later.
    public var edges: [Int64] = []
    public var edgesAfterSecond: [Int64] = []
    public var fills = 0
    public var tradedE8: MoneyE8 = 0
    public var feesE8: MoneyE8 = 0
    /// Realised and open profit, after fees.
    public var profitE8: MoneyE8 = 0
  }

  private var plan: Plan
  private let flow: any MarketFlow
  private let venue: SimulatedVenue
  private var lane: SimulatedLane
  private let clock: TokenClock
  private var server: WebSocketEndpoint
  private let connection = ConnectionID(1)
  private var isUp = false
  private var toVenue = ParcelQueue()
  private var toLane = ParcelQueue()
  /// When the last parcel of each way arrives: none overtakes another.
  private var lastToVenue: Nanoseconds = 0
  private var lastToLane: Nanoseconds = 0
  private var delays: SplitMix
  private let observer: (any TrialObserver)?
  private var now: Nanoseconds = 0
  private var outcome = Outcome()

  /// The price of a resting order, and since when.
  private struct Standing {
    var price: PriceTicks
    var since: Nanoseconds
  }
  private var standing: [UInt64: Standing] = [:]
  private var seenFills = 0
  /// Executions whose second has not passed yet, by their place in the account's list.
  private var waiting: [(fill: Int, until: Nanoseconds)] = []
  /// Told last and when, by instrument, and those under way to the lane.
  private var fairValues: [(valueE8: Int64, time: Nanoseconds)]
  private var toldValues: [(at: Nanoseconds, instrument: Int, valueE8: Int64)] = []
  private var wasQuoted: [Bool]
  private var hasBegun: [Bool]

  /// - Parameter journal: Where the lane's run is recorded, as an engine's; `nil`: nowhere.
  /// - Throws: `VenueError`, or if memory for the lane cannot be had.
  public convenience init(_ plan: Plan, flow: any MarketFlow, journal: consuming JournalWriter? = nil) throws {
    try self.init(plan, flow: flow, observer: nil, journal: journal)
  }

  init(
    _ plan: Plan, flow: any MarketFlow, observer: (any TrialObserver)?, journal: consuming JournalWriter? = nil
  ) throws {
    self.plan = plan
    self.observer = observer
    delays = SplitMix(seed: plan.seed ^ 0x1A7E_9C1E_5000_0001)
    self.flow = flow
    var configuration = VenueConfiguration()
    configuration.seed = plan.seed
    configuration.instruments = plan.instruments
    configuration.sessionMessageRate = plan.messageRate
    configuration.markInterval = 100_000_000
    configuration.fillModel = plan.fillModel
    if let fee = plan.makerFeeE6 { configuration.makerFeeE6 = fee }
    if let fee = plan.takerFeeE6 { configuration.takerFeeE6 = fee }
    venue = try SimulatedVenue(configuration, flow: flow)
    let clock = TokenClock(base: configuration.wallClockBase)
    self.clock = clock
    var settings = plan.settings
    settings.seed = plan.seed | 1
    if let configuration = plan.configuration {
      lane = try SimulatedLane(
        settings: settings, strategiesOf: configuration, makeToken: { clock.token() }, journal: journal)
    } else {
      lane = try SimulatedLane(
        settings: settings, ladders: plan.ladders, makeToken: { clock.token() }, journal: journal)
    }
    fairValues = Array(repeating: (0, 0), count: plan.instruments.count)
    server = try WebSocketEndpoint(server: settings.path)
    wasQuoted = Array(repeating: false, count: plan.instruments.count)
    hasBegun = wasQuoted
  }

  deinit { venue.letGo() }

  /// Runs until the market has nothing more to say, or for this long.
  public func run(for duration: Nanoseconds = .max) throws -> Outcome {
    venue.connect(connection, now: now)
    try lane.connected(key: Array(repeating: 7, count: 16), maskSeed: plan.seed, now: now)
    isUp = true
    while now < duration, !flow.isFinished, isUp {
      step(until: duration)
      while let change = plan.changes.first, change.at <= now {
        plan.changes.removeFirst()
        try lane.adopt(change.configuration, now: now)
        collectLane()
      }
    }
    settleAccounts()
    return outcome
  }

  private func step(until end: Nanoseconds) {
    var next = min(end, lane.nextDueAt, venue.nextWake)
    if let time = toVenue.nextTime { next = min(next, time) }
    if let time = toLane.nextTime { next = min(next, time) }
    if let told = toldValues.first { next = min(next, told.at) }
    if let change = plan.changes.first { next = min(next, change.at) }
    let before = now
    now = min(end, max(next, now + 1000))
    account(now - before)
    clock.now = now
    venue.advance(to: now)
    deliverToVenue()
    drainVenue()
    deliverToLane()
    if plan.tellsFairValue { tellFairValues() }
    lane.tick(now: now)
    collectLane()
    look()
    observer?.observe(venue, ledger, now: now)
    if let reason = lane.closeReason { fail(reason) }
  }

  /// The network never breaks: a lane that closes has a reason of its own, and the trial says so by ending.
  private func fail(_ reason: String) {
    isUp = false
    failure = reason
  }

  /// Why the trial ended before its market did.
  public private(set) var failure: String?

  // MARK: - The network

  private func collectLane() {
    let output = lane.output
    guard output.count > 0 else { return }
    lastToVenue = max(lastToVenue, now + plan.orderLatency.draw(&delays))
    toVenue.append(output, at: lastToVenue)
    lane.consumeOutput(output.count)
  }

  private func deliverToVenue() {
    while let parcel = toVenue.take(by: now) {
      parcel.withUnsafeBytes { bytes in
        server.receive(bytes)
        reading: while true {
          switch server.next() {
          case .none: break reading
          case .text(let text): request(text)
          case .ping, .pong: venue.pinged(connection, now: now)
          default: continue
          }
        }
      }
    }
  }

  private func request(_ text: UnsafeRawBufferPointer) {
    let kind = FrameFacts(text, .toVenue).kind
    if FrameKinds.changes.contains(kind) {
      outcome.orderMessages += 1
    } else if kind == .cancels {
      outcome.cancels += 1
    }
    venue.receive(connection, text: text, now: now)
  }

  private func drainVenue() {
    // Pongs, and the answer to the upgrade.
    if server.output.count > 0 { flush(at: max(lastToLane, now + plan.replyLatency.draw(&delays))) }
    guard venue.hasOutput else { return }
    venue.drain { _, outgoing in
      switch outgoing {
      case .text(let text):
        let kind = FrameFacts(text, .toEngine).kind
        let latency = Self.marketData.contains(kind) ? plan.feedLatency : plan.replyLatency
        let at = max(lastToLane, now + latency.draw(&delays))
        // What arrives at one moment arrives in one read.
        if at != lastToLane { flush(at: lastToLane) }
        lastToLane = at
        _ = server.sendText(text)
      case .close(let code): fail("the venue closed the connection with \(code)")
      }
    }
    flush(at: lastToLane)
  }

  private static let marketData: FrameKinds = [.tickers, .books, .instruments, .system, .others]

  private func flush(at time: Nanoseconds) {
    let output = server.output
    guard output.count > 0 else { return }
    lastToLane = time
    toLane.append(output, at: time)
    server.consumeOutput(output.count)
  }

  private func deliverToLane() {
    while let parcel = toLane.take(by: now) { parcel.withUnsafeBytes { lane.receive($0, now: now) } }
  }

  /// What the index says is on its way, and what has arrived is told; a value that stands is repeated.
  private func tellFairValues() {
    for (index, market) in venue.markets.enumerated() {
      let value = market.underlying.latestE8
      let last = fairValues[index]
      guard value > 0, value != last.valueE8 || now - last.time >= 1_000_000_000 else { continue }
      fairValues[index] = (value, now)
      toldValues.append((now + plan.feedLatency.draw(&delays), index, value))
    }
    while let told = toldValues.first, told.at <= now {
      toldValues.removeFirst()
      var directive = Directive()
      directive.fairValueE8 = told.valueE8
      lane.direct(directive, instrument: InstrumentIndex(told.instrument), now: now)
    }
  }

  // MARK: - Looking

  private var ledger: Account? { venue.accounts.values.first }

  private func account(_ elapsed: Nanoseconds) {
    for index in wasQuoted.indices where hasBegun[index] {
      outcome.watched += elapsed
      if wasQuoted[index] { outcome.quoted += elapsed }
    }
  }

  private func look() {
    guard let ledger else { return }
    // Executions first: what was hit is gone from the list of orders, but not from our notes.
    while seenFills < ledger.fills.count {
      note(ledger.fills[seenFills])
      waiting.append((seenFills, now + 1_000_000_000))
      seenFills += 1
    }
    while let first = waiting.first, now >= first.until {
      outcome.edgesAfterSecond.append(edge(of: ledger.fills[first.fill]))
      waiting.removeFirst()
    }
    var bids: [Bool] = Array(repeating: false, count: wasQuoted.count)
    var asks = bids
    for order in ledger.orders {
      if order.side == .buy { bids[order.market.index] = true } else { asks[order.market.index] = true }
      if standing[order.number]?.price != order.price {
        standing[order.number] = Standing(price: order.price, since: now)
      }
    }
    if standing.count > 4 * (ledger.orders.count + 256) {
      let live = Set(ledger.orders.map(\.number))
      standing = standing.filter { live.contains($0.key) }
    }
    for index in wasQuoted.indices {
      wasQuoted[index] = bids[index] && asks[index]
      if wasQuoted[index] { hasBegun[index] = true }
    }
  }

  private func note(_ fill: Fill) {
    outcome.fills += 1
    if let quote = standing[fill.orderNumber] { outcome.ages.append(now - quote.since) }
    outcome.edges.append(edge(of: fill))
    let market = venue.markets[fill.market]
    outcome.tradedE8 += valueE8(lots: fill.lots.rawValue, priceE8: fill.priceE8, grid: market.spec.grid)
  }

  private func edge(of fill: Fill) -> Int64 {
    let indexE8 = venue.markets[fill.market].underlying.latestE8
    return Decimal.scaled(fill.side.sign * (indexE8 - fill.priceE8), 100_000_000, over: max(1, indexE8))
  }

  private func settleAccounts() {
    outcome.refused = lane.counters.rejects + lane.counters.refusedLate
    guard let ledger else { return }
    outcome.violations = Int(ledger.violations)
    for (market, position) in zip(venue.markets, ledger.positions) {
      outcome.feesE8 += position.feesE8
      outcome.profitE8 += position.realised + position.unrealisedE8(market) - position.feesE8
    }
  }
}
