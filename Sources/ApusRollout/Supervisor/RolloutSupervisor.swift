public import Apus
import ApusRelease
import Foundation
import Synchronization

/// What a supervisor is given from outside: it has neither rules of alerts nor a way to tell them.
public struct RolloutHooks: Sendable {
  /// The most urgent alert of the engine with this telemetry file, of this severity or above.
  public var alert: @Sendable (_ telemetryPath: String, AlertSeverity) -> String?
  /// What people should hear of.
  public var announce: @Sendable (RolloutLine) -> Void

  public init(
    alert: @escaping @Sendable (String, AlertSeverity) -> String? = { _, _ in nil },
    announce: @escaping @Sendable (RolloutLine) -> Void
  ) {
    self.alert = alert
    self.announce = announce
  }
}

/// Rolls one release out: looks at both engines, lets the machine decide, does what it says.
///
/// Its state is on disk before it acts, and the engines are processes of their own: when it is killed they trade on as they
/// were, and the next supervisor goes on where it was. One thread; `abort` may be asked for from any.
public final class RolloutSupervisor {
  public let store: RolloutStore
  private let hooks: RolloutHooks
  private var machine: RolloutMachine
  private let lock: DirectoryLockHolder
  private let candidate: EngineHandle
  private let incumbent: EngineHandle
  private let shadows: (candidate: EngineHandle, incumbent: EngineHandle)
  private let staging: StagingErrand
  /// Ends it from any thread.
  public let abort = RolloutAbort()

  private var saved: RolloutState?
  /// The state could not be written the last time.
  private var isUnkept = false
  private var sliceBegan: Nanoseconds?
  private var slicePhase = RolloutPhase.staging
  private var alertAt: Nanoseconds = 0
  private var alert: String?

  /// Between two looks, microseconds; on the way back every one of them counts.
  private static let interval: UInt32 = 10_000
  private static let urgentInterval: UInt32 = 1000
  private static let alertInterval: Nanoseconds = 500_000_000

  public var state: RolloutState { machine.state }

  /// Holds a lock as long as the supervisor lives.
  private final class DirectoryLockHolder {
    let lock: DirectoryLock
    init(_ lock: consuming DirectoryLock) { self.lock = lock }
  }

  /// Takes up the rollout that is under way, or begins one.
  ///
  /// - Parameters:
  ///   - candidate: Directory of the release.
  ///   - production: Confirms production for the engines that are started.
  ///   - override: Why rules against this rollout need not hold; it is kept.
  public init(
    candidate directory: String, plan: RolloutPlan, production: String?, override: String?, hooks: RolloutHooks
  ) throws(RolloutError) {
    var preparation = try RolloutPreparation(candidate: directory)
    store = preparation.store
    try store.makeDirectories()
    lock = DirectoryLockHolder(try store.lock())
    self.hooks = hooks
    if let last = try store.state(), last.phase == .done { try Self.conclude(last, in: store) }
    let state = try preparation.state(plan: plan, override: override)
    let (new, old) = (preparation.candidateConfiguration, try preparation.incumbentConfiguration(state))
    let room = store.enginesDirectory
    let (release, before) = (preparation.candidate, try preparation.incumbent(state))
    func trading(_ role: RolloutRole, _ release: Release, _ configuration: Configuration, _ closer: Release, _ closing: Configuration)
      -> EngineHandle
    {
      EngineHandle(
        label: role.rawValue, program: release.programPath, configuration: configuration, room: room, rollout: state.id,
        closer: (closer.programPath, closing), isConfirmed: production != nil)
    }
    func shadow(_ label: String, _ release: Release, _ configuration: Configuration, _ place: Int) -> EngineHandle {
      EngineHandle(
        label: "shadow-\(label)", program: release.programPath,
        configuration: configuration.asShadow(name: "shadow_\(label.prefix(1))", in: "\(room)/shadow-\(label)", place: place), room: room,
        rollout: state.id)
    }
    let placing = state.incumbentPlacing
    candidate = trading(
      .candidate, release, new.placed(in: state.candidateSlot, placing.other), before,
      old.onAccounts(of: new).placed(in: state.candidateSlot, placing.other))
    incumbent = trading(
      .incumbent, before, old.placed(in: state.incumbentSlot, placing), release,
      new.onAccounts(of: old).placed(in: state.incumbentSlot, placing).begunAnew())
    shadows = (shadow("candidate", release, new, 0), shadow("incumbent", before, old, 1))
    staging = StagingErrand(
      Staging(
        plan: state.plan, candidate: release, incumbent: before, candidateConfiguration: new, incumbentConfiguration: old,
        room: room, baselinePath: store.baselinePath))
    machine = RolloutMachine(state)
    // Before anything is begun: what cannot be audited is not overridden. Of one that is taken up nothing is broken anew.
    if let why = override { try tellOverride(why, preparation) }
    try save()
    if state.plan != plan { note(.warn, "the plan of the beginning holds, not what the file says now") }
  }

  /// Rules that do not hold are told of before anything trades.
  private func tellOverride(_ why: String, _ preparation: RolloutPreparation) throws(RolloutError) {
    for rule in preparation.broken {
      note(.page, "OVERRIDDEN: \(rule). Reason given: \(why)")
      do throws(ReleaseError) {
        try store.root.noteRollout(of: preparation.candidate, why: why, overridden: rule)
      } catch {
        throw RolloutError(.unwritable, error.description)
      }
    }
  }

  /// Until the rollout has ended, one way or the other.
  public func run() throws(RolloutError) -> RolloutState {
    if !machine.state.stages.isEmpty {
      let stage = machine.state.stages.last.map { ": \($0.name)" } ?? ""
      note(.info, "a supervisor goes on with \(machine.state.candidate) against \(machine.state.incumbent)\(stage): \(machine.state.words)")
    }
    while machine.state.phase != .done {
      try turn()
      let isUrgent = machine.state.phase == .halt || machine.state.phase == .giveBack
      usleep(isUrgent ? Self.urgentInterval : Self.interval)
    }
    try save()
    try Self.conclude(machine.state, in: store)
    return machine.state
  }

  // MARK: - One turn

  private func turn() throws(RolloutError) {
    let sight = look()
    let commands = machine.turn(sight)
    // First what takes risk off: to halt what is halted already changes nothing.
    for command in commands { if case .halt = command { execute(command) } }
    if hasChanged { try keep() }
    for command in commands {
      if case .halt = command { continue }
      execute(command)
    }
  }

  private func look() -> RolloutSight {
    let now = TelemetrySnapshot.monotonicNow
    let state = machine.state
    let isShadow = state.phase == .shadow || state.phase == .shadowEnd
    let (own, other) = isShadow ? shadows : (candidate, incumbent)
    var sight = RolloutSight(now: now, wall: Self.wallNow, candidate: own.look(now: now), incumbent: other.look(now: now))
    sight.staging = state.phase == .staging ? staging.sight : .idle
    sight.requests = store.takeRequests()
    if let request = abort.take() { sight.requests.append(request) }
    if sight.candidate.isShown {
      if now - alertAt >= Self.alertInterval {
        alertAt = now
        alert = hooks.alert(own.telemetryPath, state.plan.stops.alert)
      }
      sight.candidate.alert = alert
    } else {
      alert = nil
    }
    if state.phase == .settle { sight.currentRelease = store.root.current }
    sight.slice = slice(own, other, state, now)
    return sight
  }

  /// Both engines over the same time; `nil` while a slice is under way.
  private func slice(
    _ own: EngineHandle, _ other: EngineHandle, _ state: RolloutState, _ now: Nanoseconds
  ) -> (candidate: SliceFigures, incumbent: SliceFigures)? {
    let isWatched = state.phase == .shadow || state.phase == .watch
    if !isWatched || slicePhase != state.phase {
      slicePhase = state.phase
      sliceBegan = nil
      guard isWatched else { return nil }
    }
    guard let began = sliceBegan else {
      own.forgetSlice()
      other.forgetSlice()
      _ = (own.slice(now: now), other.slice(now: now))
      sliceBegan = now
      return nil
    }
    guard now - began >= Nanoseconds(state.plan.gates.sliceSeconds) * 1_000_000_000 else { return nil }
    sliceBegan = now
    guard let first = own.slice(now: now), let second = other.slice(now: now) else { return nil }
    return (first, second)
  }

  private func execute(_ command: RolloutCommand) {
    func handle(_ role: RolloutRole) -> EngineHandle { role == .candidate ? candidate : incumbent }
    do {
      switch command {
      case .stage: staging.begin()
      case .start(let role, let shares):
        note(.info, "starting the \(role.rawValue): \(Self.text(shares))")
        try handle(role).start(shares)
      case .startShadows:
        for shadow in [shadows.candidate, shadows.incumbent] { try shadow.start(nil) }
      case .stopShadows: for shadow in [shadows.candidate, shadows.incumbent] { shadow.signal(SIGTERM) }
      case .killShadows: for shadow in [shadows.candidate, shadows.incumbent] { shadow.signal(SIGKILL) }
      case .apply(let role, let shares):
        if machine.state.phase == .giveUp { try mark() }
        handle(role).apply(shares, isFirst: machine.state.phase == .giveUp && !machine.state.hasTraded)
      case .halt(let role, let level, let cause):
        if machine.state.phase == .giveUp { try mark() }
        try handle(role).halt(level, cause: cause)
      case .close(let role, let cause):
        note(.warn, "the \(role.rawValue)'s positions are closed by the other release's program")
        try handle(role).close(cause: cause)
      case .rearm(let role): try handle(role).rearm()
      case .terminate(let role): handle(role).signal(SIGTERM)
      case .kill(let role): handle(role).signal(SIGKILL)
      case .sweep(let role): handle(role).sweep()
      case .use:
        let change = try store.root.use(machine.state.candidate, override: machine.state.override)
        note(.info, "current: \(change.from ?? "nothing") → \(machine.state.candidate)")
      case .tell(let severity, let text): note(severity, text)
      }
    } catch {
      note(.warn, "\(error)")
    }
  }

  /// From the first hand-over on nobody else may start an engine in either slot.
  private func mark() throws(SystemError) {
    let mark = RolloutMark(root: store.root.path, rollout: machine.state.id)
    for slot in [machine.state.incumbentSlot, machine.state.candidateSlot] { try mark.write(to: slot.dataDirectory) }
  }

  private static func text(_ shares: ShareTable) -> String {
    let some = shares.filter { $0.value != .zero }.keys.sorted()
    return some.isEmpty ? "nothing yet" : some.joined(separator: ", ")
  }

  // MARK: - What stays

  /// Watching changes every look; what matters after a kill is kept once a slice.
  private var hasChanged: Bool { machine.state != saved }

  private func save() throws(RolloutError) {
    try store.save(machine.state)
    saved = machine.state
  }

  /// What cannot be kept ends a rollout: a supervisor that was killed could not go on with it. The way back does not wait for it.
  private func keep() throws(RolloutError) {
    do throws(RolloutError) {
      try save()
      isUnkept = false
    } catch {
      guard machine.state.hasTraded || machine.state.phase == .giveUp else { throw error }
      if !isUnkept { note(.page, error.description) }
      isUnkept = true
      abort.request(error.description)
    }
  }

  private func note(_ severity: AlertSeverity, _ text: String) {
    let line = RolloutLine(at: WallTime.now(), rollout: machine.state.id, severity: severity, text: text)
    // What cannot be written is at least told.
    do { try store.note(line) } catch { hooks.announce(RolloutLine(at: line.at, rollout: line.rollout, severity: .warn, text: "\(error)")) }
    hooks.announce(line)
  }

  /// History and report of one that has ended; again if a supervisor was killed before it had.
  private static func conclude(_ state: RolloutState, in store: RolloutStore) throws(RolloutError) {
    for slot in [state.incumbentSlot, state.candidateSlot] { RolloutMark.remove(from: slot.dataDirectory) }
    guard !store.history().contains(where: { $0.rollout == state.id }) else { return }
    try store.note(
      RolloutHistoryLine(
        at: WallTime.now(), rollout: state.id, candidate: state.candidate, checksum: state.checksum,
        incumbent: state.incumbent, outcome: state.outcome ?? .aborted, isBlameless: state.isBlameless, reason: state.reason, overridden: state.override))
    let report = RolloutReport(state, lines: store.lines(of: state.id))
    do {
      try WholeFile.write(Array(report.markdown.utf8), to: "\(store.reportsDirectory)/\(state.id).md", mode: 0o600)
      try WholeFile.write(Array(try report.json()), to: "\(store.reportsDirectory)/\(state.id).json", mode: 0o600)
    } catch {
      throw RolloutError(.unwritable, "the report could not be written: \(error)")
    }
  }

  /// Ends the record of a rollout that no supervisor can go on with. No engine is told anything.
  ///
  /// - Throws: while a supervisor is at work, or an engine of the candidate runs.
  public static func forget(_ store: RolloutStore, user: String, why: String) throws(RolloutError) -> RolloutState {
    func underWay() throws(RolloutError) -> RolloutState {
      guard let state = try store.state(), state.phase != .done else {
        throw RolloutError(.unreadable, "no rollout is under way in \(store.directory)")
      }
      return state
    }
    _ = try underWay()
    let lock = DirectoryLockHolder(try store.lock())
    defer { withExtendedLifetime(lock) {} }
    // Its supervisor may have ended it while we waited.
    var state = try underWay()
    let shadows = ["candidate", "incumbent"].map { EngineSlot(name: "", dataDirectory: "\(store.enginesDirectory)/shadow-\($0)") }
    for slot in [state.candidateSlot] + shadows where slot.isTaken {
      throw RolloutError(
        .busy,
        "an engine of the rollout still runs, with \(slot.dataDirectory): apus halt --telemetry \(slot.telemetryPath) --level flatten, "
          + "then end its process with SIGTERM")
    }
    state.phase = .done
    state.outcome = .aborted
    state.isAborted = true
    state.reason = "forgotten by \(user): \(why)"
    try store.save(state)
    try store.note(RolloutLine(at: WallTime.now(), rollout: state.id, severity: .warn, text: state.reason ?? ""))
    try conclude(state, in: store)
    return state
  }

  private static var wallNow: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

/// The wish that a rollout ends, from any thread.
public final class RolloutAbort: Sendable {
  private let wish = Mutex<String?>(nil)

  public func request(_ why: String) { wish.withLock { $0 = why } }

  func take() -> RolloutRequest? {
    wish.withLock { wish in
      defer { wish = nil }
      return wish.map { RolloutRequest(kind: .abort, user: AuditLine.currentUser(), why: $0) }
    }
  }
}

/// The staging, on a thread of its own.
private final class StagingErrand: Sendable {
  private let staging: Staging
  private let result = Mutex<StagingSight>(.idle)

  init(_ staging: Staging) { self.staging = staging }

  var sight: StagingSight { result.withLock { $0 } }

  func begin() {
    let isIdle = result.withLock { result -> Bool in
      guard result == .idle else { return false }
      result = .running
      return true
    }
    guard isIdle else { return }
    Thread.detachNewThread { [self] in
      let (lines, problem) = staging.run()
      result.withLock { $0 = problem.map { .failed(lines, $0) } ?? .passed(lines) }
    }
  }
}
