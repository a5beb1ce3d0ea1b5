import CSupport
import Glibc
import Synchronization

/// Why an engine could not be made or started; one sentence for an operator.
public struct EngineError: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable {
    case configuration, system, unreachable, refused
  }
  public let kind: Kind
  public let description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}

/// The engine: one lane for the configured venue, the strategy manager, journal and telemetry.
///
/// `run` blocks its caller until `requestStop` or a failure; `requestStop` may be called from any
/// thread. An engine runs once.
public final class Engine: Sendable {
  public let configuration: Configuration
  /// The file in which this engine shows itself.
  public let telemetryPath: String
  /// The file that a run with `slowTicksAbove` leaves; a header, then a line a slow tick: `begin_ns,end_ns,orders`,
  /// times in nanoseconds of CLOCK_MONOTONIC.
  public var slowTicksPath: String { configuration.engine.dataDirectory + "/slow-ticks.csv" }
  private let control = LaneControl()
  private let makeStrategy: @Sendable (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy
  /// The strategies are the ladders of the configuration.
  private let quotesLadders: Bool
  private let hasRun = Atomic<Bool>(false)

  /// An engine that quotes the ladders of its configuration.
  public convenience init(_ configuration: Configuration) {
    let sections = configuration.instruments
    self.init(boxed: configuration, quotesLadders: true) { index, _, info in
      StrategyBox(LadderStrategy(sections[Int(index)].ladder.parameters(on: info.grid)))
    }
  }

  /// An engine with a strategy of its own.
  ///
  /// - Parameter strategy: Makes the strategy of one instrument when the venue has listed it; called on
  ///   the lane's thread with the instrument's place in the configuration, its name, and its grid. Unless
  ///   `engine.rehearsal` is false it is asked once more, before anything connects, for a strategy that sees a
  ///   made-up market of the first instrument (a tick of 1, a lot of 0.001) and is then thrown away.
  @inlinable
  public convenience init<S: Strategy>(
    _ configuration: Configuration, strategy: @escaping @Sendable (InstrumentIndex, String, InstrumentInfo) -> S
  ) {
    self.init(boxed: configuration) { StrategyBox(strategy($0, $1, $2)) }
  }

  @usableFromInline
  init(
    boxed configuration: Configuration, quotesLadders: Bool = false,
    makeStrategy: @escaping @Sendable (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy
  ) {
    self.configuration = configuration
    self.quotesLadders = quotesLadders
    self.makeStrategy = makeStrategy
    telemetryPath = configuration.engine.dataDirectory + "/telemetry"
  }

  /// Asks for the end: cancel everything, verify at the venue, report. Any thread; idempotent.
  public func requestStop() { control.requestStop() }

  /// Asks for a level of the kill ladder or more. It stays until `resume`, or `apus resume`. Any thread; idempotent.
  public func halt(_ level: StopLevel) { control.requestHalt(level, .program) }

  /// As `halt`, on behalf of a signal.
  public func haltBySignal(_ level: StopLevel) { control.requestHalt(level, .signal) }

  /// Re-arms: every latch of the kill ladder is let go, and loss and drawdown count anew. Only for a person to decide.
  /// A cause that still holds latches again. Any thread.
  ///
  /// A stop word that another process has set in the telemetry file is taken back too.
  public func resume() {
    control.requestRearm()
    try? TelemetryControl.clearStop(path: telemetryPath)
  }

  /// For drills: the lane's thread sleeps, as if it had stalled; the watchdog should pull the quotes. Any thread.
  ///
  /// - Parameter seconds: 0 ... 60.
  public func stallLane(seconds: Double) {
    control.requestStall(Nanoseconds(min(max(seconds, 0), 60) * 1e9))
  }

  /// Runs until stopped, and reports. The lane runs on a thread of its own, pinned if so configured.
  ///
  /// - Parameters:
  ///   - slowTicksAbove: When ticks took longer than this, ns, is written to `slowTicksPath` at the end, for a
  ///     profiler; `nil` keeps no account of them.
  ///   - notice: Takes sentences for an operator about how this run differs from what one may expect, for example
  ///     that it does without io_uring, and about the slow ticks. On the caller's thread, before the lane starts and
  ///     after it has ended.
  /// - Throws: if the venue could not be reached or refused the session at the start, or the system
  ///   refused something. Nothing of ours is at the venue then.
  public func run(
    slowTicksAbove: Nanoseconds? = nil, notice: (String) -> Void = { _ in }
  ) throws(EngineError) -> EngineReport {
    guard hasRun.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else {
      throw EngineError(.system, "an engine runs once; make a new one")
    }
    do {
      return try assemble(slowTicksAbove, notice)
    } catch let error as EngineError {
      throw error
    } catch {
      throw EngineError(.system, "\(error)")
    }
  }

  /// Runs for a time, then stops as `requestStop` does.
  public func run(seconds: Double) throws(EngineError) -> EngineReport {
    let control = control
    let timer: EngineThread
    do {
      timer = try EngineThread(name: "apus-timer") {
        var left = seconds
        while left > 0, !control.isStopRequested {
          usleep(useconds_t(min(left, 0.05) * 1e6))
          left -= 0.05
        }
        control.requestStop()
      }
    } catch {
      throw EngineError(.system, error.description)
    }
    defer {
      control.requestStop()
      timer.join()
    }
    return try run()
  }

  // MARK: - Putting it together

  private func assemble(_ slowTicksAbove: Nanoseconds?, _ notice: (String) -> Void) throws -> EngineReport {
    switch configuration.venue.kind {
    case .thalex: try assemble(ThalexAdapter.self, slowTicksAbove, notice)
    case .deribit: try assemble(DeribitAdapter.self, slowTicksAbove, notice)
    }
  }

  private func assemble<Adapter: ExchangeAdapter & ~Copyable>(
    _: Adapter.Type, _ slowTicksAbove: Nanoseconds?, _ notice: (String) -> Void
  ) throws -> EngineReport {
    EngineClock.start()
    let start = EngineClock.now()
    let wallStart = start + EngineClock.wallOffset()
    let bootEpoch = UInt64(wallStart / 1_000_000)
    let venue = configuration.venue
    guard let address = VenueAddress(venue.url) else {
      throw EngineError(
        .configuration, "venue.url \(venue.url) is not ws://host:port/path or wss://host[:port]/path")
    }
    let login = try VenueLogin(configuration)
    let core = try chooseCore()

    try makeDataDirectory()
    let journalPath = configuration.engine.dataDirectory + "/journal"
    let settings = continued(laneSettings(address: address, bootEpoch: bootEpoch), journalPath, notice)
    var journalWriter: JournalWriter?
    let helper = HelperWork()
    if configuration.engine.journal {
      let ends = try JournalEnds(
        path: journalPath, name: configuration.engine.name,
        configuration: JournalConfiguration(configuration.journal, bootEpoch: bootEpoch), now: start)
      helper.journal = JournalKeeper(
        ends.service, path: journalPath, section: configuration.journal, control: control)
      journalWriter = .some(ends.writer)
    }
    var telemetryFile = try TelemetryWriter(
      path: telemetryPath, name: configuration.engine.name, bootEpoch: bootEpoch, now: start)
    let kept = telemetryFile.stopRequest
    if kept.level > .none {
      notice(
        "halted since before this start: \(kept.level.text)\(kept.cause.isEmpty ? "" : " (\(kept.cause))"); "
          + "apus resume --telemetry \(telemetryPath) re-arms")
    }
    let telemetryLane = telemetryFile.openLane(0, name: venue.kind.rawValue, now: start)
    // What the lane touches on each tick lies in memory of its own node, locked, touched before the first tick,
    // and in huge pages where the kernel has some.
    let node = core.flatMap { try? CPU.node(ofCore: $0) }
    func laneMemory(_ bytes: Int) throws(SystemError) -> LockedMemory {
      try LockedMemory(count: bytes, node: node, wishes: [.locked, .hugePages, .notDumped])
    }
    let updates = try Ring(capacity: 1024, in: laneMemory(Ring.byteCount(capacity: 1024) ?? 0))
    let directives = try Ring(capacity: 256, in: laneMemory(Ring.byteCount(capacity: 256) ?? 0))

    let names = configuration.instruments.map(\.name)
    let adapter = try Adapter(settings)
    var output = LaneOutput(
      endpoint: try WebSocketEndpoint(client: .init()), records: LaneRecords(journal: journalWriter.take()))
    output.records.goesOnWithoutJournal = configuration.journal.onFailure == .continue
    if output.records.isOn {
      let description = RunDescription(settings: settings, configuration: configuration, isLadder: quotesLadders)
      output.records.run(try description.text(), now: start)
    }
    let makeToken = login.makeToken
    let tls = address.isEncrypted ? try tlsContext() : nil
    var watchdogTelemetry = telemetryFile.openWatchdog(0)
    let orderMemory = try laneMemory(OrderSlab.memoryBytes(capacity: settings.orderCapacity))
    let bookMemory = try laneMemory(
      LaneCore.bookBytes(instrumentCount: names.count, bookLevels: Lane<Adapter>.bookLevels))
    let lane = try Lane(
      settings: settings, adapter: adapter, output: output, orderMemory: .some(orderMemory),
      bookMemory: .some(bookMemory),
      makeToken: makeToken, makeStrategy: makeStrategy)
    let driver = try SocketDriver(
      SocketDriverConfiguration(
        connections: 8, receiveBufferBytes: 64 * 1024, receiveBuffers: 64, sendBufferBytes: 1 << 20,
        kind: configuration.engine.driverKind))
    if let refusal = driver.refusal {
      notice(refusal)
    } else if configuration.engine.driver == .automatic, driver.kind == .epoll {
      notice("using epoll: a lane that spins reads its one connection soonest through it; engine.driver names another")
    }
    let manifest = RunManifest(
      configuration, bootEpoch: bootEpoch, startedAt: wallStart, core: core, driver: driver.kind,
      driverRefusal: driver.refusal)
    if let problem = manifest.write(to: configuration.engine.dataDirectory) { notice(problem) }
    let idle = IdleWait(
      configuration.engine.idle, spinTime: Nanoseconds(configuration.engine.idleSpinUs) * 1000,
      yieldTime: Nanoseconds(configuration.engine.idleYieldUs) * 1000)
    let waker = idle.maySleep ? driver.makeWaker() : nil
    if let waker { control.attach(waker) }
    let runner = LaneRunner(
      lane: lane, driver: driver, tlsContext: tls, host: address.host, port: address.port,
      idle: idle, control: control, directives: .some(directives.consumer),
      telemetry: LaneTelemetry(
        file: .some(telemetryFile), lane: telemetryLane, instrumentNames: names, updates: .some(updates.producer)),
      slowTicks: SlowTicks(above: slowTicksAbove))

    let box = LaneBox(runner)
    helper.manager = ManagerWork(
      manager: StrategyManager(settings: managerSettings, instrumentsPerLane: [names.count]),
      updates: updates.consumer, directives: directives.producer, waker: waker, control: control)
    helper.latches = LatchKeeper(control: control, path: telemetryPath)
    let helperThread = try EngineThread(name: "apus-helper") { helper.run() }
    var watchdog: Watchdog?
    if configuration.watchdog.enabled, let telemetry = watchdogTelemetry.take() {
      let link = try SideLink(
        sideLinkSettings(address: address, labelPrefix: settings.labelPrefix, tls: tls, makeToken: makeToken))
      watchdog = Watchdog(
        link: link, control: control, telemetry: telemetry,
        stall: Nanoseconds(configuration.watchdog.stallMs) * 1_000_000,
        mayCancelMassQuotes: configuration.watchdog.cancelMassQuotes)
    }
    let watchdogThread = try watchdog.map { watchdog in
      try EngineThread(name: "apus-watchdog") { watchdog.run() }
    }
    let rehearses = configuration.engine.rehearsal
    let laneThread = try EngineThread(name: "apus-lane-0", core: core) { [makeStrategy] in
      // A rehearsal that cannot be held, for lack of memory, is no reason not to trade.
      if rehearses { _ = try? LaneRehearsal.run(settings: settings, makeStrategy: makeStrategy) }
      box.run()
    }
    laneThread.join()
    helper.stop()
    helperThread.join()
    watchdog?.stop()
    watchdogThread?.join()

    let seconds = Double(EngineClock.now() - start) / 1e9
    var report = box.report(name: configuration.engine.name, seconds: seconds, instrumentNames: names)
    report.journalProblem = helper.problem
    report.journalRecordsLost = helper.journal?.lostCount ?? 0
    if slowTicksAbove != nil { notice(box.writeSlowTicks(to: slowTicksPath)) }
    if let failure = box.failure {
      guard report.ordersLeft > 0 || report.inserts + report.massQuotes > 0 else {
        throw EngineError(failure.engineKind, failure.description)
      }
      report.failure = failure.description
    }
    box.letGo()
    helper.journal = nil
    let runs = (settings.carried?.runs ?? []) + [bootEpoch]
    report.runs = runs
    if configuration.engine.journal { readTrades(from: journalPath, of: Set(runs), into: &report) }
    return report
  }

  private func laneSettings(address: VenueAddress, bootEpoch: UInt64) -> LaneSettings {
    var settings = LaneSettings(configuration, labelPrefix: labelPrefix, bootEpoch: bootEpoch)
    settings.host = address.hostField
    settings.path = address.path
    return settings
  }

  /// The settings with the account of the last run, if that was killed.
  private func continued(_ settings: LaneSettings, _ path: String, _ notice: (String) -> Void) -> LaneSettings {
    guard configuration.engine.journal, configuration.engine.continues else { return settings }
    var settings = settings
    switch AccountRecovery.read(path, for: settings) {
    case .nothing: break
    case .lost(let why):
      notice("the last run was not ended and is not continued: \(why); positions are taken over from the venue")
    case .account(let account):
      let fills = account.instruments.reduce(0) { $0 + $1.fills }
      notice(
        "the last run was not ended: going on with its account of \(fills) fills in \(account.instruments.count) "
          + "instruments, after the venue has been asked for what it has missed")
      settings.carried = account
    }
    return settings
  }

  private var managerSettings: ManagerSettings {
    ManagerSettings(
      maximumLossE8: configuration.manager.maxLoss.e8, widenAtLossE8: configuration.manager.widenAtLoss.e8,
      widenPermille: Int32(clamping: configuration.manager.widenFactor.permille),
      maximumDrawdownE8: configuration.manager.maxDrawdown.e8, haltLevel: configuration.safety.lossLevel.level)
  }

  private func sideLinkSettings(
    address: VenueAddress, labelPrefix: String, tls: TLSContext?, makeToken: @escaping @Sendable () -> String
  ) -> SideLink.Settings {
    SideLink.Settings(
      venue: configuration.venue.kind, address: address, account: configuration.venue.account,
      instruments: configuration.instruments.map(\.name),
      labelPrefix: labelPrefix, tls: tls, makeToken: makeToken)
  }

  /// Of a link that looks at this engine's orders from outside.
  func sideLinkSettings() throws -> SideLink.Settings {
    EngineClock.start()
    let venue = configuration.venue
    guard let address = VenueAddress(venue.url) else {
      throw EngineError(.configuration, "venue.url \(venue.url) is not ws://host:port/path or wss://host[:port]/path")
    }
    return sideLinkSettings(
      address: address, labelPrefix: labelPrefix, tls: address.isEncrypted ? try tlsContext() : nil,
      makeToken: try VenueLogin(configuration).makeToken)
  }

  private var labelPrefix: String { "apus-\(configuration.engine.name)-" }

  private func tlsContext() throws -> TLSContext {
    if let path = configuration.venue.caFile { return try TLSContext.client(trusting: .file(path)) }
    return try TLSContext.client()
  }

  private func chooseCore() throws -> Int? {
    switch configuration.engine.core {
    case .none: return nil
    case .core(let core):
      let allowed = try CPU.allowedCores()
      guard allowed.contains(core) else {
        throw EngineError(
          .configuration,
          "engine.core is \(core), but this process may use only the cores \(allowed.map(String.init).joined(separator: ", ")): choose one of these, auto or none"
        )
      }
      return core
    case .automatic:
      let allowed = try CPU.allowedCores()
      return allowed.count >= 2 ? allowed.last : nil
    }
  }

  private func makeDataDirectory() throws {
    let path = configuration.engine.dataDirectory
    guard mkdir(path, 0o700) != 0, errno != EEXIST else { return }
    throw EngineError(
      .system,
      "could not make the data directory \(path): \(String(cString: strerror(errno))): set engine.data_directory to a directory that can be written"
    )
  }

  /// Reads back the executions of this run and of those that it continues.
  private func readTrades(from path: String, of runs: Set<UInt64>, into report: inout EngineReport) {
    do {
      var reader = try JournalReader(path: path)
      var places: [String: Int] = [:]
      while let record = reader.next() {
        guard runs.contains(record.bootEpoch), record.kind == .fill else { continue }
        report.note(record.payload, places: &places)
      }
      let stop = reader.stop
      if stop.finding != .end { report.journalProblem = "\(stop)" }
    } catch {
      report.journalProblem = "\(error)"
    }
  }
}

extension LaneFailure {
  fileprivate var engineKind: EngineError.Kind {
    switch kind {
    case .unreachable: .unreachable
    case .refused: .refused
    case .system: .system
    }
  }
}

/// Holds the lane while its thread runs it, and afterwards for the report.
private final class LaneBox<Adapter: ExchangeAdapter & ~Copyable>: @unchecked Sendable {
  // Sendable: used by the lane's thread, and by its starter only after that thread has been joined.
  private var runner: LaneRunner<Adapter>?
  private(set) var failure: LaneFailure?

  init(_ runner: consuming LaneRunner<Adapter>) { self.runner = .some(runner) }

  func run() {
    guard var runner = runner.take() else { return }
    runner.run()
    failure = runner.failure
    self.runner = .some(runner)
  }

  func report(name: String, seconds: Double, instrumentNames: [String]) -> EngineReport {
    guard let runner = runner.take() else { preconditionFailure("the lane has been let go") }
    let report = runner.report(name: name, seconds: seconds, instrumentNames: instrumentNames)
    self.runner = .some(runner)
    return report
  }

  /// Writes the file of the slow ticks, and says so in a sentence.
  func writeSlowTicks(to path: String) -> String {
    guard let runner = runner.take() else { preconditionFailure("the lane has been let go") }
    let (count, kept, threshold) = (runner.slowTicks.count, runner.slowTicks.keptCount, runner.slowTicks.threshold)
    var problem: SystemError?
    do {
      try runner.slowTicks.write(to: path)
    } catch {
      problem = error
    }
    self.runner = .some(runner)
    if let problem { return problem.description }
    let which = count > kept ? "the last \(kept) of them" : "they"
    return "\(count) ticks took longer than \(threshold / 1000) µs; \(which) are in \(path)"
  }

  func letGo() { runner = nil }
}

/// The engine's helper thread: journal segments, the clock's fit, and the strategy manager.
private final class HelperWork: @unchecked Sendable {
  // Sendable: `journal`, `manager` and `latches` are set before the thread starts and read after it has been joined; in
  // between only the thread touches them.
  var journal: JournalKeeper?
  var manager: ManagerWork?
  var latches: LatchKeeper?
  /// What was wrong with the journal; once the thread has ended.
  var problem: String? {
    journal?.look()
    let problems = (journal?.problems ?? []) + [journal?.lostText].compactMap { $0 }
    return problems.isEmpty ? nil : problems.joined(separator: "; ")
  }
  private let stopWord = Atomic<Bool>(false)

  func stop() { stopWord.store(true, ordering: .relaxed) }

  func run() {
    var turn = 0
    while !stopWord.load(ordering: .relaxed) {
      let now = EngineClock.now()
      journal?.turn(now: now)
      if turn % 500 == 0 { EngineClock.refit() }
      if turn % 5 == 0 { manager?.turn() }
      if turn % 25 == 0 { latches?.turn() }
      turn += 1
      usleep(2000)
    }
  }
}

/// The strategy manager with its rings.
final class ManagerWork {
  private var manager: StrategyManager
  private var updates: RingConsumer
  private var directives: RingProducer
  private let waker: DriverWaker?
  private let control: LaneControl
  private var rearmings: UInt32 = 0
  private var pending: [DirectiveMessage] = []

  /// - Parameter waker: Of the lane's driver, if the lane may be asleep when a directive comes.
  init(
    manager: StrategyManager, updates: consuming RingConsumer, directives: consuming RingProducer, waker: DriverWaker?,
    control: LaneControl
  ) {
    self.manager = manager
    self.updates = updates
    self.directives = directives
    self.waker = waker
    self.control = control
  }

  func turn() {
    while let update = updates.pop(as: LaneUpdate.self) { manager.note(update, lane: 0) }
    if manager.decide() { pending = manager.directives(lane: 0) }
    // The lane was re-armed by hand: what was met counts anew.
    if control.rearmings != rearmings {
      rearmings = control.rearmings
      manager.rearm()
      pending = manager.directives(lane: 0)
    }
    // A full ring keeps the rest for the next turn: a directive is never dropped.
    guard !pending.isEmpty else { return }
    while let message = pending.first, directives.push(message) { pending.removeFirst() }
    waker?.wake()
  }
}
