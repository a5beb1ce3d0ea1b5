public import Apus
import CSupport

/// A lane and a simulated venue on virtual time with a network between them that a plan makes go wrong.
///
/// Real bytes through real WebSocket framing on both sides. Deterministic: the same plan gives the same run, byte for
/// byte, and so the plan's line replays it. One thread.
///
/// What is looked at in every step is not checked for overlapping accesses at run time (`@exclusivity(unchecked)`): the
/// checks were a fifth of the time of a run, and no step is entered from within another.
public final class ChaosWorld {
  public let plan: FaultPlan
  public let injector: FaultInjector
  let venue: SimulatedVenue
  private let flow: FaultyFlow
  /// The lane, in memory of its own: as a stored property it would be copied to the stack whenever it is looked at.
  private let place = UnsafeMutablePointer<SimulatedLane>.allocate(capacity: 1)
  var lane: SimulatedLane {
    unsafeAddress { UnsafePointer(place) }
    unsafeMutableAddress { place }
  }
  private let clock: TokenClock
  /// Where the lane's run is recorded, and the helper's end of that.
  private let journalPath: String?
  @exclusivity(unchecked) private var journal: JournalService?
  private var random: SplitMix
  /// Decides what the network and the disk do.
  @exclusivity(unchecked) private var weather: SplitMix
  /// Decides where in a turn the engine dies.
  private var deaths: SplitMix
  /// Since when it is to die in the middle of a turn.
  @exclusivity(unchecked) private var dyingSince: Nanoseconds?
  @exclusivity(unchecked) private var manager: SimulatedManager?
  @exclusivity(unchecked) private var nextTell: Nanoseconds = 0
  @exclusivity(unchecked) private var nextManagerTurn: Nanoseconds = 0
  /// When a person re-arms what the manager has halted; `nil`: nothing is halted, or it is not verified yet.
  @exclusivity(unchecked) private var rearmAt: Nanoseconds?
  @exclusivity(unchecked) private var isStopping = false
  /// Halts by the manager that were verified.
  private(set) var haltCount = 0
  /// Lives of the engine so far; a crash begins another.
  @exclusivity(unchecked) private(set) var life = 1
  /// Labels of the lives whose orders the lane answers for: its own, and those whose account was handed over to it.
  private var knownLabels: Set<String> = []
  /// The lane knows the executions of every life.
  var isAccountWhole: Bool { life == knownLabels.count }
  var settings: LaneSettings

  /// A connection: the venue's end of its WebSocket, and what is under way.
  private final class Wire {
    let id: ConnectionID
    var endpoint: WebSocketEndpoint
    var toVenue = ParcelQueue()
    var toLane = ParcelQueue()
    /// When the engine's socket takes bytes again; only where it takes few at a time.
    var writableAt: Nanoseconds = .min

    init(_ id: ConnectionID) throws {
      self.id = id
      endpoint = try WebSocketEndpoint(server: "/ws/api/v2")
    }
  }
  /// The lane's connection, and the one that it has made beside it, if it has.
  @exclusivity(unchecked) private var main: Wire?
  @exclusivity(unchecked) private var spare: Wire?
  /// Connections that the engine has given up while the venue has not noticed: what was on its way to the venue arrives.
  @exclusivity(unchecked) private var ghosts: [Wire] = []
  private var connectionCount: UInt64 = 0
  public var isUp: Bool { main != nil }

  @exclusivity(unchecked) public private(set) var now: Nanoseconds = 0
  /// When the plan began; `nil` before.
  @exclusivity(unchecked) private(set) var planBegan: Nanoseconds?
  private var halted: Set<String> = []
  private(set) var expired: Set<String> = []
  /// Invariants that did not hold, each once, in the order of time.
  @exclusivity(unchecked) public internal(set) var violations: [Violation] = []
  /// What the invariants remember.
  @exclusivity(unchecked) var memory: InvariantMemory
  /// Takes a line for each thing worth knowing; nothing is formatted without one.
  @exclusivity(unchecked) public var trace: ((Nanoseconds, String) -> Void)?

  private static func label(_ life: UInt64) -> String { "apus-chaos-" + String(life, radix: 36) }

  private static let key = "K1"
  @exclusivity(unchecked) private var account: Account?
  static let account = "A1"

  /// Where the journal lies if nobody asked for it. Declared behind what holds its files open: it goes last.
  private let directory: MemoryDirectory?

  /// - Parameter journal: a directory in which all lives of the engine leave their journal; `nil`: one in memory if the
  ///   plan has the engine die, and none otherwise.
  public init(_ plan: FaultPlan, journal journalPath: String? = nil) throws {
    self.plan = plan
    directory = journalPath == nil && plan.hasCrash ? try MemoryDirectory() : nil
    let journalPath = journalPath ?? directory?.path
    self.journalPath = journalPath
    injector = FaultInjector(plan.faults, seed: plan.seed)
    random = SplitMix(seed: plan.seed ^ 0xC4A0_5000)
    weather = SplitMix(seed: plan.seed ^ 0x7EA7_4E12)
    deaths = SplitMix(seed: plan.seed ^ 0xDEA7_4504)
    var configuration = VenueConfiguration()
    configuration.seed = plan.seed
    configuration.instruments = try plan.instruments.map { name in
      guard let spec = Self.spec(name) else { throw PlanError(piece: "instruments=\(name)") }
      return spec
    }
    configuration.notifiesBeforeReply = plan.notifiesBeforeReply
    configuration.accountFeedDelay = plan.feedDelay
    configuration.maximumRestingOrders = 8192
    configuration.maximumLevels = 4096
    flow = FaultyFlow(
      SyntheticFlow(
        seed: plan.seed,
        streams: configuration.instruments.enumerated().map { index, spec in
          SyntheticFlow.Stream(
            instrument: FlowInstrument(index: index, grid: spec.grid), startE8: spec.initialIndexE8,
            levelLots: spec.premiumLots.rawValue / 2)
        }, speedThousandths: plan.pace))
    venue = try SimulatedVenue(configuration, flow: flow)
    settings = Self.settings(plan, configuration.instruments)
    clock = TokenClock(base: configuration.wallClockBase)
    var writer: JournalWriter?
    if let journalPath {
      let ends = try Self.openJournal(journalPath, plan, life: 1, now: 0)
      journal = .some(ends.service)
      writer = .some(ends.writer)
    }
    memory = InvariantMemory(
      instruments: plan.instruments.count, gate: Self.gate(configuration, settings))
    knownLabels = [settings.label]
    do {
      place.initialize(to: try Self.makeLane(settings, plan, clock, writer.take()))
    } catch {
      place.deallocate()
      throw error
    }
    manager = try Self.makeManager(plan)
    injector.note = { [unowned self] _, fault, kinds in
      if let trace = self.trace { trace(self.now, "fault: \(fault.text) strikes a frame of \(kinds.text)") }
    }
  }

  deinit {
    place.deinitialize(count: 1)
    place.deallocate()
    venue.letGo()
  }

  private static func spec(_ name: String) -> InstrumentSpec? {
    switch name {
    case "BTC-PERPETUAL": return .btcPerpetual
    case "ETH-PERPETUAL": return .ethPerpetual
    default:
      guard name.hasPrefix("BTC-") else { return nil }
      var spec = InstrumentSpec.btcPerpetual
      spec.name = name
      spec.kind = .future
      spec.expiryDate = "2026-12-25"
      spec.expirySeconds = 1_798_185_600
      return spec
    }
  }

  private static func settings(_ plan: FaultPlan, _ specs: [InstrumentSpec]) -> LaneSettings {
    var settings = LaneSettings()
    settings.labelPrefix = "apus-chaos-"
    settings.label = Self.label(1)
    settings.seed = plan.seed | 1
    // Now and then used up.
    settings.protection.trade = DecimalE8(e8: 20 * plan.sizeLots * (specs.map(\.grid.lotE8).max() ?? 1))
    settings.protection.quote = settings.protection.trade
    settings.instruments = specs.map { spec in
      var instrument = InstrumentSettings(
        name: spec.name, maximumPosition: DecimalE8(e8: plan.limitLots * spec.grid.lotE8),
        maximumOrder: DecimalE8(e8: plan.sizeLots * 10 * spec.grid.lotE8),
        maximumNotional: DecimalE8(e8: 100_000_000_000_000), collarCentiBps: 20_000,
        maximumOrders: (plan.usesMassQuotes ? 4 : 2) * plan.levels + 8, priceToleranceTicks: 1, keepSizePermille: 500,
        bookDepth: 10, staleAfter: 5_000_000_000)
      instrument.usesMassQuotes = plan.usesMassQuotes
      instrument.awaitsDirective = plan.isAroundFair
      return instrument
    }
    return settings
  }

  private static func openJournal(
    _ path: String, _ plan: FaultPlan, life: Int, now: Nanoseconds
  ) throws -> JournalEnds {
    let losesPower = plan.faults.contains { $0.fault == .powerCut }
    return try JournalEnds(
      path: path, name: "chaos",
      configuration: JournalConfiguration(
        segmentBytes: 1 << 20, bootEpoch: UInt64(life), sync: losesPower ? .interval : .none,
        syncInterval: [100, 500, 2000][Int(plan.seed % 3)] * 1_000_000), now: now)
  }

  /// What the engine may send: the venue's rate less its own reserve, a full bucket for each session.
  private static func gate(_ venue: VenueConfiguration, _ settings: LaneSettings) -> RateGate {
    RateGate(rate: venue.sessionMessageRate - settings.reserveMessages)
  }

  private static func makeManager(_ plan: FaultPlan) throws -> SimulatedManager? {
    guard plan.managerTurn > 0 else { return nil }
    let cent: MoneyE8 = 1_000_000
    var settings = ManagerSettings(
      widenAtLossE8: plan.widenCents * cent, maximumDrawdownE8: plan.drawdownCents * cent)
    if plan.isAroundFair {
      settings.underlyings = Set(plan.instruments.map { $0.prefix { $0 != "-" } }).sorted().map { name in
        var underlying = UnderlyingSettings(name: String(name), maximumE8: 1_000_000 * 100_000_000, skews: false)
        underlying.fair = FairValue.Settings()
        return underlying
      }
    }
    return try SimulatedManager(settings: settings, instrumentNames: plan.instruments)
  }

  private static func makeLane(
    _ settings: LaneSettings, _ plan: FaultPlan, _ clock: TokenClock, _ journal: consuming JournalWriter? = nil
  ) throws -> SimulatedLane {
    let ladder = LadderParameters(
      levels: plan.levels, halfSpreadCentiBps: 20, stepTicks: 2, size: QtyLots(rawValue: plan.sizeLots),
      skewCentiBps: 100, isAroundFair: plan.isAroundFair ? true : nil)
    return try SimulatedLane(
      settings: settings, ladders: Array(repeating: ladder, count: settings.instruments.count),
      makeToken: { clock.token() }, journal: journal)
  }

  // MARK: - Running

  /// Runs for a time, or until the engine has stopped.
  public func run(for duration: Nanoseconds) throws {
    let end = now + duration
    while now < end, !lane.isStopped { try step(until: end) }
  }

  /// Runs until `condition` holds; false if it does not within `limit`.
  public func run(limit: Nanoseconds, until condition: (ChaosWorld) -> Bool) throws -> Bool {
    let end = now + limit
    while now < end {
      if condition(self) { return true }
      try step(until: end)
    }
    return condition(self)
  }

  /// The time of the plan begins now.
  public func beginPlan() { planBegan = now }

  private var planTime: Nanoseconds { planBegan.map { now - $0 } ?? -1 }

  private func step(until end: Nanoseconds) throws {
    // Everything that can happen next; the lane's timers at least every ten milliseconds.
    var next = min(end, lane.nextDueAt, venue.nextWake)
    // What cannot happen before a stall or a silence is over is no reason to look: their ends are.
    if !injector.isSilent(planTime) {
      if let main { next = min(next, nextTime(main)) }
      if let spare { next = min(next, nextTime(spare)) }
      for ghost in ghosts where !injector.isWriteStalled(planTime) { next = min(next, ghost.toVenue.nextTime ?? .max) }
      if !isUp, !injector.isUnreachable(planTime) { next = min(next, lane.retryAt) }
    }
    if let planBegan {
      let planned = injector.nextTime(after: planTime)
      if planned != .max { next = min(next, planBegan + planned) }
    }
    // Time never stands still.
    let before = now
    now = min(end, max(next, now + 50_000))
    if let planBegan, before < planBegan + max(plan.length, injector.end), let ledger, ledger.orders.isEmpty {
      timeWithoutOrders += now - before
    }
    clock.now = now
    if planBegan != nil {
      clock.error = injector.clockError(planTime)
      try carryOut()
    }
    let written = dyingSince == nil ? 0 : recordCount
    if !isUp { try connectIfDue() }
    if isUp, spare == nil, lane.wantsStandby(now: now) { try connectSpare() }
    venue.advance(to: now)
    let isSilent = injector.isSilent(planTime)
    if !isSilent {
      let isStalled = injector.isWriteStalled(planTime)
      if let main { exchangeToVenue(main, isStalled) }
      if let spare { exchangeToVenue(spare, isStalled) }
      for ghost in ghosts { exchangeToVenue(ghost, isStalled) }
    }
    drainVenue()
    if !isSilent, !injector.isReadStalled(planTime) {
      deliverToLane(waitedSince: before)
      deliverToStandby(waitedSince: before)
    }
    if manager != nil { takeDirectives() }
    lane.tick(now: now)
    if journal != nil { try journal!.service(now: now) }
    let hasDied = dyingSince != nil ? try dieInTurn(since: written) : false
    if !hasDied {
      collectLane()
      mindConnections()
      if manager != nil { runManager() }
    }
    checkInvariants()
    if hasRequests { lookForStrays() }
    hasRequests = false
    if trace != nil { watchFills() }
  }

  private func nextTime(_ wire: Wire) -> Nanoseconds {
    var next = Nanoseconds.max
    if !injector.isWriteStalled(planTime) { next = wire.toVenue.nextTime ?? .max }
    if !injector.isReadStalled(planTime) { next = min(next, wire.toLane.nextTime ?? .max) }
    if wire.writableAt > now { next = min(next, wire.writableAt) }
    return next
  }

  private func exchangeToVenue(_ wire: Wire, _ isStalled: Bool) {
    releaseToVenue(wire)
    if !isStalled { deliverToVenue(wire) }
  }

  // MARK: - The manager

  private static let tellInterval: Nanoseconds = 50_000_000
  /// A person who has been called looks, and re-arms.
  private static let rearmAfter: Nanoseconds = 1_500_000_000

  private func takeDirectives() {
    guard manager!.direct(&lane, now: now) else { return }
    trace?(now, "the lane obeys the manager\(lane.isHalted ? ", and is halted" : "")")
  }

  private func runManager() {
    if plan.isAroundFair { manager!.tellTops(&lane, now: now) }
    if now >= nextTell {
      nextTell = now + Self.tellInterval
      manager!.tell(&lane, now: now)
    }
    if now >= nextManagerTurn {
      nextManagerTurn = now + plan.managerTurn
      manager!.turn(now: now)
    }
    guard lane.isHalted, !isStopping else {
      rearmAt = nil
      return
    }
    if let rearmAt {
      guard now >= rearmAt else { return }
      self.rearmAt = nil
      trace?(now, "a person re-arms")
      manager!.rearm(&lane, now: now)
      collectLane()
    } else if lane.isHaltVerified {
      trace?(now, "the halt is verified")
      haltCount += 1
      rearmAt = now + Self.rearmAfter
    }
  }

  @exclusivity(unchecked) private var tracedFills = 0
  private var tracedAccounts: [SimulatedLane.Account] = []

  /// For the trace: executions as the venue makes them and as the engine learns of them.
  private func watchFills() {
    if let ledger {
      while tracedFills < ledger.fills.count {
        let fill = ledger.fills[tracedFills]
        tracedFills += 1
        trace?(
          now,
          "VENUE fill: #\(fill.clientID.map { "\($0)" } ?? "?") \(plan.instruments[fill.market]) \(fill.side == .buy ? "buys" : "sells") "
            + "\(fill.lots.rawValue) at \(Double(venue.priceE8(of: fill)) / 1e8), position \(fill.positionAfter.rawValue)"
        )
      }
    }
    for index in plan.instruments.indices {
      let account = lane.account(InstrumentIndex(index))
      if tracedAccounts.count <= index { tracedAccounts.append(account) }
      let before = tracedAccounts[index]
      tracedAccounts[index] = account
      if account.fills != before.fills || account.position != before.position
        || account.adjustments != before.adjustments
      {
        trace?(
          now,
          "ENGINE \(plan.instruments[index]): fills \(before.fills) to \(account.fills), position "
            + "\(before.position.map { "\($0)" } ?? "unknown") to \(account.position.map { "\($0)" } ?? "unknown")"
            + (account.adjustments != before.adjustments ? ", TAKEN OVER" : ""))
      }
    }
  }

  private func carryOut() throws {
    guard injector.hasDue(planTime) || injector.haltsMarkets else { return }
    for timed in injector.begin(now: planTime) {
      trace?(now, "fault: \(timed.text)")
      switch timed.fault {
      case .reset: drop()
      case .abandon: abandon()
      case .restart(let keepsBook):
        venue.restartForFault(keepsBook: keepsBook, now: now)
        for ghost in ghosts { injector.connectionLost(link: ghost.id.rawValue) }
        ghosts = []
        drop()
      case .closure: venue.announceClosure(notice: timed.lasting, now: now)
      case .tick(let name, let factor):
        guard let index = plan.instruments.firstIndex(of: name) else { continue }
        if venue.refineTickForFault(name, factor: factor, now: now) { flow.refine(index, factor) }
      case .expire(let name):
        expired.insert(name)
        venue.expireForFault(name, now: now)
      case .crash: try die(losesPower: false)
      case .crashInTurn: dyingSince = now
      case .powerCut: try die(losesPower: true)
      default: break
      }
    }
    for (index, name) in plan.instruments.enumerated() {
      let isHalted = injector.isHalted(name, planTime)
      guard isHalted != halted.contains(name) else { continue }
      if isHalted { halted.insert(name) } else { halted.remove(name) }
      flow.halt(index, isHalted)
    }
  }

  /// Of this life, in the journal.
  private var recordCount: Int { journal?.countRecords() ?? 0 }

  /// The turn that has just been taken was never finished. The lane writes its records as it goes, and sends when it is done.
  ///
  /// - Returns: Whether it was one in which something happened.
  private func dieInTurn(since written: Int) throws -> Bool {
    let count = recordCount - written
    let isOverdue = now - (dyingSince ?? now) > 500_000_000
    guard count > 1 || lane.output.count > 0 || isOverdue else { return false }
    dyingSince = nil
    guard deaths.below(2) == 0 else {
      let kept = Int(deaths.below(Int64(count + 1)))
      trace?(now, "the engine has written \(kept) of \(count) records of a turn")
      try die(losesPower: false, kept: written + kept)
      return true
    }
    if let main {
      let sent = Int(deaths.below(Int64(lane.output.count + 1)))
      trace?(now, "the engine has sent \(sent) of \(lane.output.count) bytes of a turn")
      if sent > 0 { main.toVenue.append(UnsafeRawBufferPointer(rebasing: lane.output.prefix(sent)), at: now) }
      // The kernel sends what it was given.
      deliverToVenue(main, by: .max)
    }
    try die(losesPower: false)
    return true
  }

  /// The engine is gone at this moment, and another life begins.
  ///
  /// - Parameter kept: Only so many records of this life are in the journal; `nil`: all.
  private func die(losesPower: Bool, kept: Int? = nil) throws {
    // The kernel closes a killed process's connections; those of a machine without power end nowhere.
    for wire in [main, spare] {
      guard let wire else { continue }
      injector.connectionLost(link: wire.id.rawValue)
      if !losesPower { venue.disconnected(wire.id, now: now) }
    }
    main = nil
    spare = nil
    if !losesPower { venue.drain { _, _ in } }
    trace?(now, losesPower ? "the machine loses power" : "the engine is killed")
    var synced: UInt64 = 0
    if journal != nil { synced = journal!.abandon() }
    // The dead life lets go of its files before the next one opens them.
    lane = try Self.makeLane(settings, plan, clock)
    journal = nil
    if losesPower, let journalPath {
      let lost = try JournalDamage.cutPower(
        journalPath, epoch: UInt64(life), synced: synced, random: &weather)
      trace?(now, "\(lost) bytes of the journal were not synced")
    }
    if let kept, let journalPath {
      try JournalDamage.cutTurn(journalPath, epoch: UInt64(life), kept: kept, random: &deaths)
    }
    life += 1
    settings.label = Self.label(UInt64(life))
    settings.firstGeneration += 1000
    recoverAccount()
    var writer: JournalWriter?
    if let journalPath {
      let ends = try Self.openJournal(journalPath, plan, life: life, now: now)
      journal = .some(ends.service)
      writer = .some(ends.writer)
    }
    lane = try Self.makeLane(settings, plan, clock, writer.take())
    manager = try Self.makeManager(plan)
    rearmAt = nil
    memory = InvariantMemory(
      instruments: plan.instruments.count, gate: Self.gate(venue.configuration, settings))
  }

  /// The account that the lives before have left in the journal is handed to the next one, which then knows their executions.
  private func recoverAccount() {
    settings.carried = journalPath.flatMap { CarriedAccount.read(journal: $0, for: settings) }
    // A life whose journal a power cut has taken whole is told by the venue: its executions bear our label.
    let first = settings.carried?.runs.first ?? UInt64(life)
    knownLabels = Set((first...UInt64(life)).map { Self.label($0) })
  }

  /// Whether the lane answers for orders and executions with this label.
  func isKnownToLane(_ label: String?) -> Bool { label.map { knownLabels.contains($0) } ?? false }

  private func connectIfDue() throws {
    guard now >= lane.retryAt, !injector.isUnreachable(planTime), !injector.isSilent(planTime) else { return }
    main = try makeWire()
    memory.gate = Self.gate(venue.configuration, settings)
    try lane.connected(key: makeKey(), maskSeed: random.next(), now: now)
    trace?(now, "connected")
    collectLane()
  }

  private func makeWire() throws -> Wire {
    connectionCount += 1
    let wire = try Wire(ConnectionID(connectionCount))
    venue.connect(wire.id, now: now)
    return wire
  }

  private func makeKey() -> [UInt8] {
    var key: [UInt8] = []
    for _ in 0..<16 { key.append(UInt8(random.below(256))) }
    return key
  }

  /// The lane wants a second connection beside the first one.
  private func connectSpare() throws {
    guard !injector.isSilent(planTime) else { return }
    guard !injector.isUnreachable(planTime) else { return lane.standbyLost(now: now) }
    spare = try makeWire()
    try lane.standbyConnected(key: makeKey(), maskSeed: random.next(), now: now)
    trace?(now, "a second connection is up")
    collectLane()
  }

  /// What the lane has decided about its connections.
  private func mindConnections() {
    if isUp, spare != nil, lane.isMoveDue || lane.closeReason != nil && lane.takesOver { changeOver() }
    if spare != nil, !lane.keepsStandby { dropSpare(venueKnows: true) }
    if isUp, let reason = lane.closeReason {
      trace?(now, "engine closes the connection: \(reason)")
      loseConnection(venueKnows: true)
    }
  }

  /// The second connection takes the place of the first one, which the engine closes.
  private func changeOver() {
    guard let old = main, let new = spare else { return }
    trace?(now, "engine moves over to the second connection")
    injector.connectionLost(link: old.id.rawValue)
    venue.disconnected(old.id, now: now)
    main = new
    spare = nil
    memory.gate = Self.gate(venue.configuration, settings)
    lane.moveOver(now: now)
    collectLane()
  }

  private func dropSpare(venueKnows: Bool) {
    guard let wire = spare else { return }
    spare = nil
    lose(wire, venueKnows)
    if venueKnows { venue.disconnected(wire.id, now: now) }
    lane.standbyLost(now: now)
    trace?(now, "the second connection is gone")
  }

  private func loseConnection(venueKnows: Bool) {
    guard let wire = main else { return }
    main = nil
    lose(wire, venueKnows)
    if venueKnows {
      venue.disconnected(wire.id, now: now)
      venue.drain { _, _ in }
    }
    lane.disconnected(now: now)
    trace?(now, venueKnows ? "disconnected" : "disconnected; the venue has not noticed")
  }

  /// What was under way on a connection is gone too, except, if the venue has not noticed, what was on its way there.
  private func lose(_ wire: Wire, _ venueKnows: Bool) {
    guard !venueKnows else { return injector.connectionLost(link: wire.id.rawValue) }
    injector.connectionLost(link: wire.id.rawValue, .toEngine)
    ghosts.append(wire)
  }

  /// The network breaks: all connections are gone.
  private func drop() {
    dropSpare(venueKnows: true)
    loseConnection(venueKnows: true)
  }

  private func abandon() {
    dropSpare(venueKnows: false)
    loseConnection(venueKnows: false)
  }

  // MARK: - The network

  private func collectLane() {
    let most = injector.network(planTime).write
    if let main {
      let count = send(lane.output, main, most)
      if count > 0 { lane.consumeOutput(count) }
    }
    if let spare {
      let count = send(lane.standbyOutput, spare, most)
      if count > 0 { lane.consumeStandbyOutput(count) }
    }
  }

  /// What the engine has written goes into its socket; returns how much of it.
  private func send(_ output: UnsafeRawBufferPointer, _ wire: Wire, _ most: Int) -> Int {
    guard output.count > 0, now >= wire.writableAt else { return 0 }
    var count = output.count
    if most > 0 {
      count = min(count, Int(weather.within(1...Int64(most))))
      wire.writableAt = now + weather.within(20_000...500_000)
    }
    ship(UnsafeRawBufferPointer(rebasing: output.prefix(count)), &wire.toVenue, plan.latency)
    return count
  }

  private func ship(_ bytes: UnsafeRawBufferPointer, _ queue: inout ParcelQueue, _ latency: Nanoseconds) {
    let conditions = injector.network(planTime)
    guard !conditions.isCalm else { return queue.append(bytes, at: now + latency) }
    var start = 0
    var at = now + latency + (conditions.jitter > 0 ? weather.within(0...conditions.jitter) : 0)
    while start < bytes.count {
      var end = bytes.count
      if conditions.piece > 0 { end = min(end, start + Int(weather.within(1...Int64(conditions.piece)))) }
      // Some pieces come right behind the one before, others after a while.
      if start > 0, weather.below(4) == 0 { at += weather.within(1...100_000) }
      let arrival = conditions.gather > 0 ? (at / conditions.gather + 1) * conditions.gather : at
      queue.append(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), at: arrival)
      start = end
    }
  }

  /// - Parameter time: What arrives by then; `nil`: by now.
  private func deliverToVenue(_ wire: Wire, by time: Nanoseconds? = nil) {
    let merges = injector.network(planTime).gather > 0
    var isAny = true
    while isAny {
      isAny = wire.toVenue.take(by: time ?? now, merges: merges) { bytes in
        wire.endpoint.receive(bytes)
        while true {
          switch wire.endpoint.next() {
          case .none: return
          case .text(let text): request(text, wire)
          case .ping, .pong: venue.pinged(wire.id, now: now)
          default: continue
          }
        }
      }
    }
  }

  @exclusivity(unchecked) private var hasRequests = false
  /// Requests of the engine while the plan went on, by kind.
  private(set) var sent: [FrameKinds: Int] = [:]
  /// How long none of our orders rested at the venue, while the plan went on.
  @exclusivity(unchecked) private(set) var timeWithoutOrders: Nanoseconds = 0

  private func request(_ text: UnsafeRawBufferPointer, _ wire: Wire) {
    hasRequests = true
    if let trace { trace(now, "→ " + FrameText.describe(text, .toVenue)) }
    guard let planBegan else { return venue.receive(wire.id, text: text, now: now) }
    if now <= planBegan + max(plan.length, injector.end) { sent[FrameFacts(text, .toVenue).kind, default: 0] += 1 }
    switch injector.pass(text, .toVenue, now: planTime, link: wire.id.rawValue) {
    case .unchanged: venue.receive(wire.id, text: text, now: now)
    case .instead(let frames):
      if frames.isEmpty { venue.pinged(wire.id, now: now) }
      for frame in frames { frame.withUnsafeBytes { venue.receive(wire.id, text: $0, now: now) } }
    case .answered(let reply):
      venue.pinged(wire.id, now: now)
      send(reply, wire)
    }
  }

  private func releaseToVenue(_ wire: Wire) {
    guard planBegan != nil, injector.holdsAny else { return }
    for frame in injector.release(.toVenue, now: planTime, link: wire.id.rawValue) {
      frame.withUnsafeBytes { bytes in
        if let trace { trace(now, "→ (late) " + FrameText.describe(bytes, .toVenue)) }
        venue.receive(wire.id, text: bytes, now: now)
      }
    }
  }

  private func send(_ bytes: [UInt8], _ wire: Wire) {
    bytes.withUnsafeBytes { bytes in
      if let trace, let line = FrameText.news(bytes) { trace(now, "← " + line) }
      _ = wire.endpoint.sendText(bytes)
    }
  }

  private func drainVenue() {
    if venue.hasOutput {
      var closed: [Wire] = []
      venue.drain { id, outgoing in
        guard let wire = id == main?.id ? main : id == spare?.id ? spare : nil else {
          if case .close = outgoing { ghosts.removeAll { $0.id == id } }
          return
        }
        switch outgoing {
        case .text(let text):
          noteRefusal(text)
          guard planBegan != nil else {
            if let trace, let line = FrameText.news(text) { trace(now, "← " + line) }
            _ = wire.endpoint.sendText(text)
            return
          }
          switch injector.pass(text, .toEngine, now: planTime, link: wire.id.rawValue) {
          case .unchanged:
            if let trace, let line = FrameText.news(text) { trace(now, "← " + line) }
            _ = wire.endpoint.sendText(text)
          case .instead(let frames): for frame in frames { send(frame, wire) }
          case .answered: break
          }
        case .close(let code):
          trace?(now, "the venue closes the connection with \(code)")
          wire.endpoint.close(code: code)
          closed.append(wire)
        }
      }
      for wire in closed {
        flush(wire)
        venue.disconnected(wire.id, now: now)
      }
    }
    if let main { releaseToLane(main) }
    if let spare { releaseToLane(spare) }
  }

  private func releaseToLane(_ wire: Wire) {
    if planBegan != nil, injector.holdsAny {
      for frame in injector.release(.toEngine, now: planTime, link: wire.id.rawValue) { send(frame, wire) }
    }
    flush(wire)
  }

  /// Orders that the venue itself refused, by error code.
  private(set) var refusals: [UInt64: Int] = [:]
  /// An order that rests far from the market, as text: its price was written on a wrong grid.
  private(set) var stray: String?

  private func noteRefusal(_ text: UnsafeRawBufferPointer) {
    guard text.starts(with: "{\"id\":"), let code = text.prefix(64).number(after: "\"error\":{\"code\":") else {
      return
    }
    refusals[code, default: 0] += 1
  }

  /// Looks at the prices of what rests, after something has been inserted or changed.
  private func lookForStrays() {
    guard stray == nil, let ledger else { return }
    for order in ledger.orders {
      let markE8 = order.market.markE8
      let priceE8 = order.price.rawValue * order.market.spec.grid.tickE8
      guard abs(priceE8 - markE8) > markE8 / 20 else { continue }
      stray =
        "#\(order.clientID.map { "\($0)" } ?? "?") \(order.side == .buy ? "buys" : "sells") \(order.market.spec.name) at "
        + "\(Double(priceE8) / 1e8) while the mark is \(Double(markE8) / 1e8)"
      violate(.prices, instrument: order.market.index, stray ?? "")
      return
    }
  }

  private func flush(_ wire: Wire) {
    let output = wire.endpoint.output
    guard output.count > 0 else { return }
    ship(output, &wire.toLane, plan.back ?? plan.latency)
    wire.endpoint.consumeOutput(output.count)
  }

  /// - Parameter before: What had arrived by then waited in the receive buffer while nothing was read: it comes in one read.
  private func deliverToLane(waitedSince before: Nanoseconds) {
    guard let main else { return }
    let merges = injector.network(planTime).gather > 0
    _ = main.toLane.take(by: before, merges: true) { lane.receive($0, now: now) }
    while main.toLane.take(by: now, merges: merges, { lane.receive($0, now: now) }) {}
  }

  private func deliverToStandby(waitedSince before: Nanoseconds) {
    guard let spare else { return }
    let merges = injector.network(planTime).gather > 0
    _ = spare.toLane.take(by: before, merges: true) { lane.standbyReceive($0, now: now) }
    while spare.toLane.take(by: now, merges: merges, { lane.standbyReceive($0, now: now) }) {}
  }

  // MARK: - Looking

  /// The account's books at the venue; `nil` before the first login.
  var ledger: Account? {
    if let account { return account }
    account = venue.accounts[Self.account]
    return account
  }

  /// Nothing is under way, and no answer is waited for.
  var isQuiet: Bool {
    guard let main, spare == nil, lane.isReady, lane.openQuestions == 0, !injector.holdsAny, !venue.hasOutput else {
      return false
    }
    return main.toVenue.nextTime == nil && main.toLane.nextTime == nil && lane.output.count == 0
  }

  /// What the engine believes about one instrument, one line each.
  public func engineView(_ index: Int) -> [String] {
    let account = lane.account(InstrumentIndex(index))
    return [
      "position \(account.position.map { "\($0)" } ?? "unknown"), stated \(account.stated.map { "\($0)" } ?? "unknown"), "
        + "may buy \(account.openBuys), may sell \(account.openSells), fills \(account.fills), "
        + "taken over \(account.adjustments) times, \(account.block.text)"
    ] + lane.describeOrders(InstrumentIndex(index))
  }

  /// What the venue's books say about one instrument, one line each.
  public func venueView(_ index: Int) -> [String] {
    guard let ledger else { return ["the account has never logged in"] }
    let position = ledger.positions[index]
    var lines = [
      "position \(position.lots), open buys \(position.openBuys), open sells \(position.openSells), "
        + "worst long \(position.worstLong), worst short \(position.worstShort)"
    ]
    for order in ledger.orders where order.market.index == index {
      lines.append(
        "#\(order.clientID.map { "\($0)" } ?? "?") \(order.side == .buy ? "buy" : "sell") \(order.amount.rawValue) at "
          + "\(order.price.rawValue), filled \(order.filled.rawValue), \(order.session == nil ? "of no session" : "open")"
          + (order.label == settings.label ? "" : ", of an earlier life"))
    }
    return lines
  }

  /// Whether the engine quotes, or could, in every instrument that is still listed and not halted.
  public var isQuoting: Bool {
    guard lane.isReady else { return false }
    for (index, name) in plan.instruments.enumerated() where !expired.contains(name) && !halted.contains(name) {
      let account = lane.account(InstrumentIndex(index))
      guard account.block == .none, account.restingBids + account.restingAsks > 0 else { return false }
    }
    return true
  }

  public var isStopped: Bool { lane.isStopped }
  public func requestStop() {
    isStopping = true
    flow.isPaused = false
    lane.requestStop(now: now)
  }

  /// The market holds its breath: no trades and no changes of the book.
  func pauseMarket() { flow.isPaused = true }
  var isReady: Bool { lane.isReady }
}

extension JournalService {
  /// Mutating: in an optional of a class a value that cannot be copied is changed in place or not used at all.
  fileprivate mutating func countRecords() -> Int { Int(status.appended_count) }
}
