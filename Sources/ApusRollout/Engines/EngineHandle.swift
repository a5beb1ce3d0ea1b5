import Apus
import CSupport
import Foundation
import Synchronization

/// One engine of a rollout, as its supervisor has it in hand: what it runs with, how it is started, looked at, asked and ended.
///
/// One thread; what takes time, such as asking for other shares or asking the venue, goes on beside.
final class EngineHandle {
  let label: String
  /// Of the release, to be started.
  let program: String
  let configuration: Configuration
  /// What closes its positions when it is gone.
  private let closer: (program: String, configuration: Configuration)?
  private let room: String
  private let rollout: String
  private let isConfirmed: Bool
  private let process: EngineProcess
  /// Other shares; and what the venue is asked. Neither waits for the other.
  private let errand = Errand()
  private let sweeping = Errand()
  private var open: OpenFile?
  private var sampler = EngineSampler()
  private var memory: (bytes: Int, at: Nanoseconds)?

  /// What it quotes by for certain, and in which life of it.
  private var shares: (table: ShareTable, bootEpoch: UInt64?)?
  private var problem: String?
  private var changed: String?
  private var ordersAtVenue: Int?
  /// When it was started by this supervisor, CLOCK_MONOTONIC. What the file shows of before is of an earlier life.
  private var startedAt: Nanoseconds?

  /// A mapped file that stays open between two looks.
  private final class OpenFile {
    let reader: TelemetryReader
    init(_ path: String) throws { reader = try TelemetryReader(path: path) }
  }

  /// - Parameters:
  ///   - label: Names its files in `room`.
  ///   - rollout: Of which it keeps the report of its end.
  ///   - configuration: With the name and the data directory of this engine.
  ///   - closer: The other release's program, and its configuration with this engine's slot and accounts.
  ///   - isConfirmed: A person has confirmed that the release's engine trades real money.
  init(
    label: String, program: String, configuration: Configuration, room: String, rollout: String,
    closer: (program: String, configuration: Configuration)? = nil, isConfirmed: Bool = false
  ) {
    self.label = label
    self.program = program
    self.configuration = configuration
    self.room = room
    self.rollout = rollout
    self.closer = closer
    self.isConfirmed = isConfirmed
    // By the slot: the candidate of one rollout is the incumbent of the next.
    let slot = URL(fileURLWithPath: configuration.engine.dataDirectory).lastPathComponent
    process = EngineProcess(lockPath: "\(room)/\(slot).lock")
  }

  var telemetryPath: String { configuration.engine.dataDirectory + "/telemetry" }
  private var reportPath: String { "\(room)/\(label)-report-\(rollout).json" }
  var logPath: String { "\(room)/\(label).log" }

  /// Of what is quoted: `name`, or `venue:name` where there are several venues.
  static func instruments(of configuration: Configuration) -> [String] {
    let lanes = configuration.lanes.filter { $0.venue.role == .quote }
    let isNamed = configuration.lanes.count > 1
    return lanes.flatMap { lane in lane.instruments.map { isNamed ? "\(lane.venue.name):\($0.name)" : $0.name } }
  }

  /// The configuration with these shares; instruments that are not named keep theirs.
  func configuration(_ table: ShareTable) -> Configuration {
    var changed = configuration
    let isNamed = !configuration.moreVenues.isEmpty
    func share(_ venue: VenueSection, _ sections: inout [InstrumentSection]) {
      for index in sections.indices {
        let name = isNamed ? "\(venue.name):\(sections[index].name)" : sections[index].name
        guard let share = table[name] else { continue }
        sections[index].share = share == .one ? nil : share
      }
    }
    share(changed.venue, &changed.instruments)
    for index in changed.moreVenues.indices {
      share(changed.moreVenues[index].venue, &changed.moreVenues[index].instruments)
    }
    return changed
  }

  // MARK: - Deeds

  func start(_ table: ShareTable?) throws(SystemError) {
    try start(program, table.map(configuration) ?? configuration, table)
  }

  /// Sets the stop word to `flatten`, and starts what obeys it where nothing runs.
  func close(cause: String) throws {
    try halt(.flatten, cause: cause)
    guard let closer, !(open?.reader.isWriterAlive ?? false) else { return }
    try start(closer.program, closer.configuration, nil, obeysStop: true)
  }

  /// A stop word that a rollout has left in this slot, for what somebody else might have started there. It stays where the
  /// last engine had latched for a reason of its own, too: that is for a person to take back.
  private func clearOwnStop() {
    guard let snapshot = (try? TelemetryReader(path: telemetryPath))?.snapshot(), snapshot.stop.level > .none,
      snapshot.stop.cause.hasPrefix("rollout: ")
    else { return }
    let halts = snapshot.lanes.compactMap(\.halt).filter { $0.latchedLevel > .none }
    if halts.allSatisfy({ EngineSight.isStopWordAlone($0.cause) }) { try? rearm() }
  }

  private func start(
    _ program: String, _ configuration: Configuration, _ table: ShareTable?, obeysStop: Bool = false
  ) throws(SystemError) {
    guard !process.isRunning else { return }
    if !obeysStop { clearOwnStop() }
    let path = "\(room)/\(label).yaml"
    let text = ConfigurationFile.text(of: configuration)
    try WholeFile.write(Array(text.utf8), to: path, mode: 0o600)
    let now = TelemetrySnapshot.monotonicNow
    unlink(reportPath)
    // It is confirmed by the name that it has in its slot.
    let confirmation = isConfirmed && configuration.mode == .production ? ["--production", configuration.engine.name] : []
    try process.start(
      program, ["run", "--config", path, "--report", reportPath, "--quiet"] + confirmation,
      environment: [RolloutMark.variable: rollout], log: logPath)
    startedAt = now
    ordersAtVenue = nil
    shares = table.map { ($0, nil) }
    open = nil
    sampler.forget()
  }

  /// - Parameter isFirst: Nothing was handed over yet: what somebody has changed meanwhile is told, and left as it is.
  func apply(_ table: ShareTable, isFirst: Bool) {
    let text = ConfigurationFile.text(of: configuration(table))
    let data = configuration.engine.dataDirectory
    let epoch = open?.reader.snapshot().bootEpoch
    errand.begin {
      do throws(SystemError) {
        if isFirst, let answer = try ParameterRequest.send(text, dataDirectory: data, seconds: 3, isTrial: true) {
          let others = answer.changes.filter { !$0.prefix { $0 != " " }.hasSuffix(".share") }
          guard others.isEmpty else { return .changed(others.joined(separator: "; ")) }
        }
        guard let answer = try ParameterRequest.send(text, dataDirectory: data, seconds: 3) else {
          return .refused("it has not answered within 3 s")
        }
        if let refusal = answer.refusal { return .refused(refusal) }
        return .applied(table, epoch)
      } catch {
        return .refused("\(error)")
      }
    }
  }

  /// Asks the venues, over connections of our own, what rests of this engine, and cancels it until nothing does.
  func sweep() {
    ordersAtVenue = nil
    let lanes = configuration.lanes.filter { $0.venue.role == .quote }
    sweeping.begin {
      // All at once: one that does not answer holds up no other one.
      let answers = Mutex<[Int?]>([])
      let group = DispatchGroup()
      for lane in lanes {
        group.enter()
        Thread.detachNewThread {
          let count = (try? VenueObserver(lane).cancelAll(within: 8)) ?? nil
          answers.withLock { $0.append(count) }
          group.leave()
        }
      }
      group.wait()
      let counts = answers.withLock { $0 }
      return .swept(counts.contains(nil) ? nil : counts.reduce(0) { $0 + ($1 ?? 0) })
    }
  }

  func halt(_ level: StopLevel, cause: String) throws(MappedFileError) {
    try TelemetryControl.requestStop(path: telemetryPath, level: level, cause: cause)
  }

  func rearm() throws(MappedFileError) { try TelemetryControl.clearStop(path: telemetryPath) }

  func signal(_ number: Int32) {
    if let open, open.reader.isWriterAlive {
      kill(pid_t(open.reader.snapshot().processID), number)
    } else if let identifier = process.identifier {
      kill(identifier, number)
    }
  }

  // MARK: - Looks

  func look(now: Nanoseconds) -> EngineSight {
    takeErrands()
    if open == nil || open?.reader.isReplaced ?? true { open = try? OpenFile(telemetryPath) }
    var sight = EngineSight()
    sight.isApplying = errand.isBusy
    sight.isSweeping = sweeping.isBusy
    sight.problem = problem
    sight.changed = changed
    sight.ordersAtVenue = ordersAtVenue
    let isWritten = open?.reader.isWriterAlive ?? false
    sight.isRunning = isWritten || process.isRunning
    sight.ending = process.ending
    sight.exitCode = process.exitCode
    guard isWritten, let open else { return sight }
    let snapshot = open.reader.snapshot()
    if let startedAt, snapshot.start < startedAt { return sight }
    show(snapshot, in: &sight, now)
    let second = sampler.lastSecond(snapshot, now: now)
    sight.rejectsInSecond = second.rejects
    sight.unknownOrders = second.unknown
    sight.timeAtLimit = sampler.timeAtLimit(snapshot, now: now)
    sight.memoryBytes = memoryBytes(of: snapshot.processID, now)
    if let shares, shares.bootEpoch.map({ $0 == snapshot.bootEpoch }) ?? true {
      sight.shares = shares.table
      self.shares = (shares.table, snapshot.bootEpoch)
    } else if shares != nil {
      // Somebody else has started it anew, with everything.
      shares = nil
      sight.wasRestarted = true
    }
    return sight
  }

  private func show(_ snapshot: TelemetrySnapshot, in sight: inout EngineSight, _ now: Nanoseconds) {
    sight.isShown = !snapshot.lanes.isEmpty
    sight.processID = snapshot.processID
    sight.bootEpoch = snapshot.bootEpoch
    sight.stopCause = snapshot.stop.level > .none ? snapshot.stop.cause : ""
    sight.heartbeatAge = max(0, now - snapshot.oldestHeartbeat)
    let isNamed = snapshot.lanes.count > 1
    for (place, lane) in snapshot.lanes.enumerated() {
      let isQuote = configuration.lanes.indices.contains(place) ? configuration.lanes[place].venue.role == .quote : true
      if isQuote {
        sight.lanes.append(
          EngineSight.Lane(
            name: lane.name, isQuoting: lane.state == .quoting || lane.cause == QuotingBlock.handedOver.text,
            latched: lane.halt?.latchedLevel ?? .none,
            obeyed: lane.halt?.obeyedLevel ?? .none, outcome: lane.halt?.outcome ?? .none,
            ordersLeft: lane.halt?.ordersLeft ?? 0, cause: lane.halt?.cause ?? lane.cause, status: lane.cause))
      }
      sight.fills += Int(clamping: lane[.fills])
      for instrument in lane.instruments {
        sight.profit += Double(instrument.pnlE8 - instrument.feesE8) / 1e8
        guard isQuote else { continue }
        sight.instruments.append(
          EngineSight.Instrument(
            name: isNamed ? "\(configuration.lanes[place].venue.name):\(instrument.name)" : instrument.name,
            position: instrument.position?.rawValue,
            worstLong: instrument.worstLong.rawValue, worstShort: instrument.worstShort.rawValue,
            limit: instrument.limit.rawValue))
      }
    }
  }

  /// Ends a slice; `nil` at the first look.
  func slice(now: Nanoseconds) -> SliceFigures? {
    guard let open, open.reader.isWriterAlive else { return nil }
    return sampler.slice(open.reader.snapshot(), open.reader, memoryBytes: memory?.bytes ?? 0, now: now)
  }

  func forgetSlice() { sampler.forget() }

  private func takeErrands() {
    take(errand.take())
    take(sweeping.take())
  }

  private func take(_ result: Errand.Result?) {
    switch result {
    case nil: break
    case .applied(let table, let epoch):
      shares = (table, epoch)
      problem = nil
    case .refused(let why):
      shares = nil
      problem = why
    case .changed(let what): changed = what
    case .swept(let count): ordersAtVenue = count
    }
  }

  private func memoryBytes(of processID: Int64, _ now: Nanoseconds) -> Int {
    if let memory, now - memory.at < 250_000_000 { return memory.bytes }
    let bytes = Self.resident(processID)
    memory = (bytes, now)
    return bytes
  }

  /// What is its own: resident pages less those of files, by proc(5), statm. A journal is mapped, and grows.
  private static func resident(_ processID: Int64) -> Int {
    guard let text = try? String(contentsOfFile: "/proc/\(processID)/statm", encoding: .utf8) else { return 0 }
    let fields = text.split(separator: " ")
    guard fields.count > 2, let resident = Int(fields[1]), let shared = Int(fields[2]) else { return 0 }
    return max(0, resident - shared) * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}

/// Something that takes time and is waited for by looking again.
private final class Errand: Sendable {
  enum Result: Sendable {
    case applied(ShareTable, UInt64?)
    case refused(String)
    case changed(String)
    case swept(Int?)
  }

  private let state = Mutex<(isBusy: Bool, result: Result?)>((false, nil))

  var isBusy: Bool { state.withLock(\.isBusy) }

  /// One at a time: while one is under way another one is not begun.
  func begin(_ body: @escaping @Sendable () -> Result) {
    let mayBegin = state.withLock { state -> Bool in
      if state.isBusy { return false }
      state = (true, nil)
      return true
    }
    guard mayBegin else { return }
    Thread.detachNewThread { [self] in
      let result = body()
      state.withLock { $0 = (false, result) }
    }
  }

  func take() -> Result? {
    state.withLock { state in
      defer { state.result = nil }
      return state.result
    }
  }
}
