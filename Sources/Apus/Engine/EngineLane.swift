import CSupport
import Glibc

/// One venue's lane with everything that is its alone: journal, rings, watchdog, thread.
///
/// The engine prepares all of them, starts them, and waits for them; after `join` it may ask for the report.
class EngineLane {
  /// What a lane is made of before anything is opened.
  struct Parts {
    /// Of this venue alone; with the venue that stands in, if one does.
    var configuration: Configuration
    /// The same as it was given.
    var given: Configuration
    /// What is logged in with where a venue stands in.
    var secret: [UInt8]?
    var index: Int
    var laneCount: Int
    var control: LaneControl
    var bootEpoch: UInt64
    var start: Nanoseconds
    var quotesConfigured: Bool
    /// Called on the lane's thread when it cannot go on.
    var failed: @Sendable () -> Void
  }

  let parts: Parts
  let address: VenueAddress
  let login: VenueLogin
  fileprivate(set) var keeper: JournalKeeper?
  fileprivate(set) var driverKind = SocketDriverKind.epoll
  fileprivate(set) var driverRefusal: String?
  /// Boot epochs of the runs whose account this is.
  fileprivate(set) var runs: [UInt64] = []
  fileprivate var settings = LaneSettings()
  fileprivate var journalWriter: JournalWriter?
  fileprivate var updates: RingConsumer?
  fileprivate var tops: RingConsumer?
  fileprivate var directives: RingProducer?
  fileprivate var waker: DriverWaker?
  fileprivate var watchdog: Watchdog?
  private var watchdogThread: EngineThread?
  private var thread: EngineThread?

  init(_ parts: Parts) throws {
    let venue = parts.configuration.venue
    guard let address = VenueAddress(venue.url) else {
      throw EngineError(
        .configuration, "venue.url \(venue.url) is not ws://host:port/path or wss://host[:port]/path")
    }
    self.parts = parts
    self.address = address
    login = try VenueLogin(parts.configuration, given: parts.secret)
  }

  var configuration: Configuration { parts.configuration }
  var index: Int { parts.index }
  /// Of its instruments, with the venue's name before them if there are several venues.
  var names: [String] {
    configuration.instruments.map { Engine.name($0.name, in: configuration, of: parts.laneCount) }
  }
  /// Ends the name of a file that each lane has of its own.
  private var suffix: String { parts.laneCount > 1 ? "-\(configuration.venue.name)" : "" }
  var journalPath: String { configuration.engine.dataDirectory + "/journal" + suffix }
  func slowTicksPath(_ path: String) -> String {
    suffix.isEmpty ? path : path.replacing(".csv", with: "\(suffix).csv")
  }

  /// Reads what the last run has left, and opens the journal.
  func openJournal(_ notice: (String) -> Void) throws {
    let engine = configuration.engine
    settings = continued(laneSettings, notice)
    runs = (settings.carried?.runs ?? []) + [parts.bootEpoch]
    guard engine.journal else { return }
    let ends = try JournalEnds(
      path: journalPath, name: engine.name,
      configuration: JournalConfiguration(configuration.journal, bootEpoch: parts.bootEpoch), now: parts.start)
    keeper = JournalKeeper(ends.service, path: journalPath, section: configuration.journal, control: parts.control)
    journalWriter = .some(ends.writer)
  }

  /// Opens the driver, and makes the lane.
  func prepare(
    core: Int?, idle: IdleStrategy, slowTicksAbove: Nanoseconds?, telemetry: inout TelemetryWriter,
    notice: (String) -> Void, strategies: StrategyMaking
  ) throws { fatalError("of a venue") }
  /// Keeps the engine's telemetry file, and shows its sign of life.
  func keep(_ file: consuming TelemetryWriter) { fatalError("of a venue") }
  fileprivate func run() { fatalError("of a venue") }
  /// What asks the venue by HTTP, if that is needed.
  fileprivate func startDesk() throws {}
  fileprivate func stopDesk() {}
  fileprivate var core: Int? { nil }
  var failure: LaneFailure? { nil }
  func report(seconds: Double) -> EngineReport { fatalError("of a venue") }
  /// Writes the file of the slow ticks, and says so in a sentence.
  func writeSlowTicks(to path: String) -> String { "" }
  /// Closes the journal, for those who read it.
  func letGo() { keeper = nil }

  func takeManagerLink() -> ManagerLink {
    guard let updates = updates.take(), let directives = directives.take() else {
      preconditionFailure("the manager's ends of the rings are taken once, after prepare")
    }
    return ManagerLink(
      updates: updates, tops: tops.take(), directives: directives, waker: waker, control: parts.control)
  }

  func start(
    rehearses: Bool, strategies: @escaping @Sendable (Int) -> StrategyMaking
  ) throws {
    try startDesk()
    if let watchdog { watchdogThread = try EngineThread(name: "apus-watchdog-\(index)") { watchdog.run() } }
    let settings = settings
    let names = names
    let place = index
    let box = UncheckedBox(self)
    thread = try EngineThread(name: "apus-lane-\(index)", core: core) {
      // A rehearsal that cannot be held, for lack of memory, is no reason not to trade.
      if rehearses {
        // What these strategies share is thrown away with them.
        let own = strategies(place)
        _ = try? LaneRehearsal.run(
          settings: settings, makeStrategy: { index, _, info in own.make(index, names[Int(index)], info) })
      }
      box.lane.run()
    }
  }

  func join() { thread?.join() }

  /// What runs beside the lane; after the lane has been joined.
  func stopHelpers() {
    stopDesk()
    watchdog?.stop()
    watchdogThread?.join()
  }

  /// What was wrong with the journal; after the end.
  var journalProblem: String? {
    keeper?.look()
    let problems = (keeper?.problems ?? []) + [keeper?.lostText].compactMap { $0 }
    return problems.isEmpty ? nil : problems.joined(separator: "; ")
  }

  private var laneSettings: LaneSettings {
    var settings = LaneSettings(
      configuration, labelPrefix: Self.labelPrefix(configuration), bootEpoch: parts.bootEpoch)
    settings.host = address.hostField
    settings.path = address.path
    return settings
  }

  /// The settings with the account of the last run, if that was killed.
  private func continued(_ settings: LaneSettings, _ notice: (String) -> Void) -> LaneSettings {
    guard configuration.engine.journal, configuration.engine.continues else { return settings }
    var settings = settings
    switch AccountRecovery.read(journalPath, for: settings) {
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

  static func sideLinkSettings(_ configuration: Configuration, login: VenueLogin? = nil) throws -> SideSettings {
    let venue = configuration.venue
    guard let address = VenueAddress(venue.url) else {
      throw EngineError(.configuration, "venue.url \(venue.url) is not ws://host:port/path or wss://host[:port]/path")
    }
    let login = try login ?? VenueLogin(configuration)
    return SideSettings(
      venue: venue.kind, address: address, account: venue.account, instruments: configuration.instruments.map(\.name),
      labelPrefix: labelPrefix(configuration), tls: address.isEncrypted ? try tlsContext(venue) : nil,
      makeToken: login.makeToken, desk: try deskSettings(configuration, login))
  }

  /// Where the venue is asked by HTTP.
  static func deskSettings(_ configuration: Configuration, _ login: VenueLogin) throws -> HTTPLink.Settings {
    let venue = configuration.venue
    guard let address = venue.restURL.map({ VenueAddress(rest: $0) }) ?? VenueAddress(venue.url) else {
      throw EngineError(.configuration, "venue.rest_url is not http://host:port or https://host[:port]")
    }
    return HTTPLink.Settings(
      address: address, tls: address.isEncrypted ? try tlsContext(venue) : nil,
      timeout: Nanoseconds(venue.requestTimeoutMs) * 1_000_000, sign: login.sign)
  }

  static func labelPrefix(_ configuration: Configuration) -> String { "apus-\(configuration.engine.name)-" }

  static func tlsContext(_ venue: VenueSection) throws -> TLSContext {
    if let path = venue.caFile { return try TLSContext.client(trusting: .file(path)) }
    return try TLSContext.client()
  }
}

/// A lane on the way to its thread.
private final class UncheckedBox: @unchecked Sendable {
  // Sendable: the engine leaves the lane alone from the start of its thread until that has been joined.
  let lane: EngineLane
  init(_ lane: EngineLane) { self.lane = lane }
}

/// The lane of one kind of venue.
final class VenueLane<Adapter: ExchangeAdapter & ~Copyable>: EngineLane {
  private var runner: LaneRunner<Adapter>?
  /// Runs the lane. Given where the adapter's type is known, so that the lane's code is made for that one: a method of a
  /// generic class is not, and would look types up at run time.
  private let turn: (inout LaneRunner<Adapter>) -> Void
  private var laneCore: Int?
  private var desk: RequestDesk?
  private var deskThread: EngineThread?
  private var ended: LaneFailure?

  init(_ parts: Parts, run turn: @escaping (inout LaneRunner<Adapter>) -> Void) throws {
    self.turn = turn
    try super.init(parts)
  }

  override var core: Int? { laneCore }
  override var failure: LaneFailure? { ended }

  override func prepare(
    core: Int?, idle: IdleStrategy, slowTicksAbove: Nanoseconds?, telemetry: inout TelemetryWriter,
    notice: (String) -> Void, strategies: StrategyMaking
  ) throws {
    laneCore = core
    let engine = configuration.engine
    let shown = telemetry.openLane(index, name: configuration.venue.name, now: parts.start)
    // What the lane touches on each tick lies in memory of its own node, locked, touched before the first tick,
    // and in huge pages where the kernel has some.
    let node = core.flatMap { try? CPU.node(ofCore: $0) }
    func laneMemory(_ bytes: Int) throws(SystemError) -> LockedMemory {
      try LockedMemory(count: bytes, node: node, wishes: [.locked, .hugePages, .notDumped])
    }
    let updates = try Ring(capacity: 1024, in: laneMemory(Ring.byteCount(capacity: 1024) ?? 0))
    let directives = try Ring(capacity: 256, in: laneMemory(Ring.byteCount(capacity: 256) ?? 0))

    let adapter = try Adapter(settings)
    var output = try LaneOutput(
      records: LaneRecords(journal: journalWriter.take()), companions: Adapter.companionCount)
    output.records.goesOnWithoutJournal = configuration.journal.onFailure == .continue
    if output.records.isOn {
      // The mode is there whether it was given or read off the address.
      var described = parts.given
      described.engine.mode = parts.given.mode
      let description = RunDescription(
        settings: settings, configuration: described, isConfigured: parts.quotesConfigured, names: names)
      output.records.run(try description.text(), now: parts.start)
    }
    let tls = address.isEncrypted ? try Self.tlsContext(configuration.venue) : nil
    let orderMemory = try laneMemory(OrderSlab.memoryBytes(capacity: settings.orderCapacity))
    let bookMemory = try laneMemory(
      LaneCore.bookBytes(instrumentCount: names.count, bookLevels: Lane<Adapter>.bookLevels))
    let names = names
    let lane = try Lane(
      settings: settings, adapter: adapter, output: output, orderMemory: .some(orderMemory),
      bookMemory: .some(bookMemory), makeToken: login.makeToken,
      strategies: strategies.named(names))
    let driver = try SocketDriver(
      SocketDriverConfiguration(
        connections: 8, receiveBufferBytes: 64 * 1024, receiveBuffers: 64, sendBufferBytes: 1 << 20,
        kind: engine.driverKind))
    driverKind = driver.kind
    driverRefusal = driver.refusal
    if index == 0 {
      if let refusal = driver.refusal {
        notice(refusal)
      } else if engine.driver == .automatic, driver.kind == .epoll {
        notice(
          "using epoll: a lane that spins reads its one connection soonest through it; engine.driver names another")
      }
    }
    let wait = IdleWait(
      idle, spinTime: Nanoseconds(engine.idleSpinUs) * 1000, yieldTime: Nanoseconds(engine.idleYieldUs) * 1000)
    waker = wait.maySleep ? driver.makeWaker() : nil
    if let waker { parts.control.attach(waker) }
    self.updates = .some(updates.consumer)
    self.directives = .some(directives.producer)
    if (0..<Adapter.companionCount).contains(where: { Adapter.companion($0) == .desk }) {
      desk = try RequestDesk(Self.deskSettings(configuration, login), laneWaker: waker)
    }
    var laneTelemetry = LaneTelemetry(
      file: .none, lane: shown, instrumentNames: configuration.instruments.map(\.name),
      updates: .some(updates.producer))
    let priced = configuration.pricedInstruments
    if !priced.isEmpty {
      let tops = try Ring(capacity: 1024, in: laneMemory(Ring.byteCount(capacity: 1024) ?? 0))
      self.tops = .some(tops.consumer)
      laneTelemetry.keep(LaneTops(ring: tops.producer, instruments: priced))
    }
    runner = .some(
      LaneRunner(
        lane: lane, driver: driver, tlsContext: tls, host: address.host, port: address.port, idle: wait,
        control: parts.control, directives: .some(directives.consumer),
        telemetry: laneTelemetry, slowTicks: SlowTicks(above: slowTicksAbove), desk: desk?.takeLaneEnd()))
    if configuration.watchdog.enabled, configuration.venue.role == .quote, let watch = telemetry.openWatchdog(index) {
      watchdog = Watchdog(
        link: try Self.sideLinkSettings(configuration, login: login).makeLink(), control: parts.control,
        telemetry: watch, stall: Nanoseconds(configuration.watchdog.stallMs) * 1_000_000,
        mayCancelMassQuotes: configuration.watchdog.cancelMassQuotes)
    }
  }

  override func keep(_ file: consuming TelemetryWriter) {
    guard var runner = runner.take() else { return }
    runner.keep(file)
    self.runner = .some(runner)
  }

  override func startDesk() throws {
    if let desk { deskThread = try EngineThread(name: "apus-desk-\(index)") { desk.run() } }
  }

  override func stopDesk() {
    desk?.stop()
    deskThread?.join()
  }

  override func run() {
    guard var runner = runner.take() else { return }
    turn(&runner)
    ended = runner.failure
    self.runner = .some(runner)
    // A venue that cannot be traded at ends the run: the others cancel what they have.
    if ended != nil { parts.failed() }
  }

  override func report(seconds: Double) -> EngineReport {
    guard let runner = runner.take() else { preconditionFailure("the lane has been let go") }
    let report = runner.report(name: configuration.engine.name, seconds: seconds, instrumentNames: names)
    self.runner = .some(runner)
    return report
  }

  override func writeSlowTicks(to path: String) -> String {
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

  override func letGo() {
    runner = nil
    super.letGo()
  }
}
