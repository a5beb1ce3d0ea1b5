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
  /// One for each venue.
  private let controls: [LaneControl]
  /// Makes what makes the strategies of the lane at this place: each maker has what its strategies share.
  private let strategies: @Sendable (Int) -> StrategyMaking
  /// The strategies are those of the configuration.
  private let quotesConfigured: Bool
  private let standIn: (any VenueStandIn)?
  private let hasRun = Atomic<Bool>(false)
  /// What is quoted by now, and how often that has changed.
  private let live: Mutex<(configuration: Configuration, version: UInt32)>

  /// An engine that quotes by the strategies of its configuration.
  ///
  /// - Parameter standIn: Brings the venues of a shadow run; without one a configuration for shadow is refused by `run`.
  public convenience init(_ configuration: Configuration, standIn: (any VenueStandIn)? = nil) {
    let lanes = configuration.lanes.map(\.instruments)
    self.init(configuration, standIn, quotesConfigured: true) { lane in
      StrategyMaking(StrategyMaker(lanes[lane]))
    }
  }

  /// An engine with a strategy of its own.
  ///
  /// - Parameters:
  ///   - standIn: Brings the venues of a shadow run; without one a configuration for shadow is refused by `run`.
  ///   - strategy: Makes the strategy of one instrument when the venue has listed it; called on
  ///   the lane's thread with the instrument's place among those of its venue, its name (with several venues
  ///   `venue:instrument`), and its grid. Unless
  ///   `engine.rehearsal` is false it is asked once more, before anything connects, for a strategy that sees a
  ///   made-up market of the first instrument (a tick of 1, a lot of 0.001) and is then thrown away.
  @inlinable
  public convenience init<S: Strategy>(
    _ configuration: Configuration, standIn: (any VenueStandIn)? = nil,
    strategy: @escaping @Sendable (InstrumentIndex, String, InstrumentInfo) -> S
  ) {
    self.init(boxed: configuration, standIn) { StrategyBox(strategy($0, $1, $2)) }
  }

  @usableFromInline
  convenience init(
    boxed configuration: Configuration, _ standIn: (any VenueStandIn)?,
    makeStrategy: @escaping @Sendable (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy
  ) {
    self.init(configuration, standIn, quotesConfigured: false) { _ in StrategyMaking(makeStrategy) }
  }

  private init(
    _ configuration: Configuration, _ standIn: (any VenueStandIn)?, quotesConfigured: Bool,
    strategies: @escaping @Sendable (Int) -> StrategyMaking
  ) {
    self.configuration = configuration
    self.standIn = standIn
    self.quotesConfigured = quotesConfigured
    self.strategies = strategies
    controls = configuration.lanes.map { _ in LaneControl() }
    live = Mutex((configuration, 0))
    telemetryPath = configuration.engine.dataDirectory + "/telemetry"
  }

  /// What an instrument is called where there is more than one venue.
  static func name(_ instrument: String, in lane: Configuration, of count: Int) -> String {
    count > 1 ? "\(lane.venue.name):\(instrument)" : instrument
  }

  /// Asks for the end: cancel everything, verify at the venue, report. Any thread; idempotent.
  public func requestStop() { for control in controls { control.requestStop() } }

  /// Asks for a level of the kill ladder or more. It stays until `resume`, or `apus resume`. Any thread; idempotent.
  public func halt(_ level: StopLevel) { for control in controls { control.requestHalt(level, .program) } }

  /// As `halt`, on behalf of a signal.
  public func haltBySignal(_ level: StopLevel) { for control in controls { control.requestHalt(level, .signal) } }

  /// Re-arms: every latch of the kill ladder is let go, and loss and drawdown count anew. Only for a person to decide.
  /// A cause that still holds latches again. Any thread.
  ///
  /// A stop word that another process has set in the telemetry file is taken back too.
  public func resume() {
    for control in controls { control.requestRearm() }
    try? TelemetryControl.clearStop(path: telemetryPath)
  }

  /// Gives the running engine other parameters: of each instrument the ladder, the limits, the share, the strategy's parameters and
  /// those of the order flow, and when its market is stale. Each lane takes them over in its next turn, all at once: no
  /// quote is made of old and new ones. They are in the journal. Any thread, also before `run`; a restart begins with the
  /// file that it is given.
  ///
  /// - Returns: the version, 1, 2, …; `parameterVersion` is this once every lane quotes by it.
  /// - Throws: if `new` differs in anything that needs a restart, or the strategies are the program's own. Nothing has
  ///   changed then.
  @discardableResult
  public func adopt(_ new: Configuration) throws(ParameterRefusal) -> UInt32 {
    guard quotesConfigured else {
      throw ParameterRefusal(description: "the strategies are the program's own, which alone can give them parameters")
    }
    let result = live.withLock { live -> Result<UInt32, ParameterRefusal> in
      Result { () throws(ParameterRefusal) in
        let adopted = try live.configuration.adopting(new)
        let version = live.version + 1
        do {
          let changes = try adopted.lanes.map { try ParameterChange(version: version, sections: $0.instruments) }
          let now = EngineClock.now()
          for (control, change) in zip(controls, changes) { control.offer(change, now: now) }
        } catch {
          throw ParameterRefusal(description: "the parameters cannot be written down: \(error)")
        }
        live = (adopted, version)
        return version
      }
    }
    return try result.get()
  }

  /// The configuration with every change since the start.
  public var liveConfiguration: Configuration { live.withLock(\.configuration) }
  /// The last version that was handed to the lanes.
  var offeredVersion: UInt32 { live.withLock(\.version) }
  /// From handing the last one over until the last lane had taken it over.
  var parameterDelay: Nanoseconds { controls.map(\.parameterDelay).max() ?? 0 }

  /// The version of the parameters that every lane quotes by; 0: those of the start.
  public var parameterVersion: UInt32 { controls.map(\.parameterVersion).min() ?? 0 }

  /// For drills: the first venue's lane sleeps, as if it had stalled; the watchdog should pull the quotes. Any thread.
  ///
  /// - Parameter seconds: 0 ... 60.
  public func stallLane(seconds: Double) {
    controls[0].requestStall(Nanoseconds(min(max(seconds, 0), 60) * 1e9))
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
    let controls = controls
    let timer: EngineThread
    do {
      timer = try EngineThread(name: "apus-timer") {
        var left = seconds
        while left > 0, !controls[0].isStopRequested {
          usleep(useconds_t(min(left, 0.05) * 1e6))
          left -= 0.05
        }
        for control in controls { control.requestStop() }
      }
    } catch {
      throw EngineError(.system, error.description)
    }
    defer {
      requestStop()
      timer.join()
    }
    return try run()
  }

  // MARK: - Putting it together

  private func assemble(_ slowTicksAbove: Nanoseconds?, _ notice: (String) -> Void) throws -> EngineReport {
    EngineClock.start()
    let venues = try startStandIn(notice)
    let start = EngineClock.now()
    let wallStart = start + EngineClock.wallOffset()
    let bootEpoch = UInt64(wallStart / 1_000_000)
    var lanes: [EngineLane] = []
    let plans = configuration.lanes
    for (index, given) in plans.enumerated() {
      let lane = venues?[index].replacing(given) ?? given
      let parts = EngineLane.Parts(
        configuration: lane, given: given, secret: venues?[index].secret, index: index, laneCount: plans.count, control: controls[index], bootEpoch: bootEpoch,
        start: start, quotesConfigured: quotesConfigured,
        failed: { [controls] in for control in controls { control.requestStop() } })
      switch lane.venue.kind {
      case .thalex: lanes.append(try VenueLane<ThalexAdapter>(parts) { $0.run() })
      case .deribit: lanes.append(try VenueLane<DeribitAdapter>(parts) { $0.run() })
      case .bybit: lanes.append(try VenueLane<BybitAdapter>(parts) { $0.run() })
      }
    }
    let (cores, idle) = try chooseCores(lanes.count, notice)

    try makeDataDirectory()
    for lane in lanes { try lane.openJournal(notice) }
    var telemetryFile = try TelemetryWriter(
      path: telemetryPath, name: configuration.engine.name, mode: configuration.mode, bootEpoch: bootEpoch, now: start)
    let kept = telemetryFile.stopRequest
    if kept.level > .none {
      notice(
        "halted since before this start: \(kept.level.text)\(kept.cause.isEmpty ? "" : " (\(kept.cause))"); "
          + "apus resume --telemetry \(telemetryPath) re-arms")
    }
    for lane in lanes {
      try lane.prepare(
        core: cores[lane.index], idle: idle, slowTicksAbove: slowTicksAbove, telemetry: &telemetryFile, notice: notice,
        strategies: strategies(lane.index))
    }
    // The first lane gives the engine's own sign of life.
    lanes[0].keep(telemetryFile)
    let manifest = RunManifest(
      configuration, bootEpoch: bootEpoch, startedAt: wallStart, core: cores[0], driver: lanes[0].driverKind,
      driverRefusal: lanes[0].driverRefusal)
    if let problem = manifest.write(to: configuration.engine.dataDirectory) { notice(problem) }

    let manager = ManagerThread(
      ManagerWork(
        manager: StrategyManager(
          settings: managerSettings, instruments: plans.map { $0.instruments.map(\.name) }),
        lanes: lanes.map { $0.takeManagerLink() }))
    let helper = HelperWork(
      lanes: lanes, latches: controls.map { LatchKeeper(control: $0, path: telemetryPath) },
      parameters: ParameterDesk(self))
    let helperThread = try EngineThread(name: "apus-helper") { helper.run() }
    do {
      try manager.start()
      for lane in lanes { try lane.start(rehearses: configuration.engine.rehearsal, strategies: strategies) }
    } catch {
      // Those that run already cancel what they have.
      requestStop()
      for lane in lanes {
        lane.join()
        lane.stopHelpers()
      }
      manager.stop()
      helper.stop()
      helperThread.join()
      throw error
    }
    for lane in lanes { lane.join() }
    manager.stop()
    helper.stop()
    helperThread.join()
    for lane in lanes { lane.stopHelpers() }

    let seconds = Double(EngineClock.now() - start) / 1e9
    var reports: [EngineReport] = []
    for lane in lanes {
      var report = lane.report(seconds: seconds)
      report.journalProblem = lane.journalProblem
      report.journalRecordsLost = lane.keeper?.lostCount ?? 0
      if slowTicksAbove != nil { notice(lane.writeSlowTicks(to: lane.slowTicksPath(slowTicksPath))) }
      reports.append(report)
    }
    let failures = lanes.compactMap { lane in lane.failure.map { (lane, $0) } }
    if let (lane, failure) = failures.first {
      let description = (lanes.count > 1 ? "\(lane.configuration.venue.name): " : "") + failure.description
      guard reports.contains(where: { $0.ordersLeft > 0 || $0.inserts + $0.massQuotes > 0 }) else {
        throw EngineError(failure.engineKind, description)
      }
      reports[lane.index].failure = description
    }
    for (index, lane) in lanes.enumerated() {
      lane.letGo()
      let runs = lane.runs
      reports[index].runs = runs
      if configuration.engine.journal { readTrades(from: lane.journalPath, of: Set(runs), into: &reports[index]) }
    }
    var report = EngineReport(configuration.engine.name, reports, names: plans.map(\.venue.name))
    report.underlyings = manager.finalPositions()
    report.mode = configuration.mode
    report.configurationSha256 = ConfigurationFile.sha256(of: configuration)
    return report
  }

  /// The venues that stand in for the configured ones in a shadow run; `nil` in every other.
  private func startStandIn(_ notice: (String) -> Void) throws(EngineError) -> [StandInVenue]? {
    guard configuration.mode == .shadow else { return nil }
    guard let standIn else {
      throw EngineError(
        .configuration,
        "engine.mode is shadow, but this program brings no venue that stands in for the real one: use apus run, or choose "
          + "another mode")
    }
    let venues = try standIn.start(configuration, isStopped: { controls[0].isStopRequested }, notice: notice)
    precondition(venues.count == configuration.lanes.count, "one for each venue")
    return venues
  }

  private var managerSettings: ManagerSettings {
    var settings = ManagerSettings(
      maximumLossE8: configuration.manager.maxLoss.e8, widenAtLossE8: configuration.manager.widenAtLoss.e8,
      widenPermille: Int32(clamping: configuration.manager.widenFactor.permille),
      maximumDrawdownE8: configuration.manager.maxDrawdown.e8, haltLevel: configuration.safety.lossLevel.level)
    settings.maximumExposureE8 = configuration.manager.maxExposure.e8
    settings.darkAfter = Nanoseconds(configuration.manager.darkAfterMs) * 1_000_000
    settings.referenceLanes = Set(configuration.lanes.indices.filter { configuration.lanes[$0].venue.role == .reference })
    settings.underlyings = configuration.underlyings.map { UnderlyingSettings($0, configuration.lanes) }
    return settings
  }

  /// Of a link that looks at this engine's orders at its first venue from outside.
  func sideLinkSettings() throws -> SideSettings {
    EngineClock.start()
    return try EngineLane.sideLinkSettings(configuration.lanes[0])
  }

  /// A core for each lane, and how the lanes wait: more lanes than there are cores for must not spin.
  private func chooseCores(_ count: Int, _ notice: (String) -> Void) throws -> ([Int?], IdleStrategy) {
    let allowed = try CPU.allowedCores()
    var idle = configuration.engine.idle
    if count > 1, idle == .spin, count >= allowed.count {
      idle = .yield
      notice(
        "\(count) lanes on \(allowed.count) cores: they yield instead of spinning; give the engine \(count + 1) cores to "
          + "let each spin on its own")
    }
    if case .core(let core) = configuration.engine.core, !allowed.contains(core) {
      throw EngineError(
        .configuration,
        "engine.core is \(core), but this process may use only the cores \(allowed.map(String.init).joined(separator: ", ")): choose one of these, auto or none"
      )
    }
    return (configuration.engine.core.cores(lanes: count, allowed: allowed), idle)
  }

  private func makeDataDirectory() throws {
    let path = configuration.engine.dataDirectory
    // Its parents, too: a path such as data/desk_1 is a name for both.
    for place in path.indices where path[place] == "/" && place > path.startIndex { mkdir(String(path[..<place]), 0o700) }
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
