import CSupport
import Glibc
import Synchronization

/// What other threads may ask of a lane's thread, and what it tells them.
///
/// One word holds all requests, so that a turn of the lane looks at one word: bit 0 the stop, bit 1 a stall for a
/// drill, four bits each from bit 4 on the levels that signal, program and watchdog ask for, and from bit 32 on the
/// count of re-armings.
final class LaneControl: Sendable {
  private let requests = Atomic<UInt64>(0)
  private let stallTime = Atomic<Int64>(0)
  /// The lane's sign of life; 0 while nothing of ours can rest, or nobody need watch.
  private let beatWord = Atomic<Int64>(0)
  /// The stop word's level as the lane has last obeyed it, and the highest level that is latched.
  private let obeyed = Atomic<UInt32>(0)
  private let latched = Atomic<UInt64>(0)
  private let rearmed = Atomic<UInt32>(0)
  /// Cold: the lane itself never takes this lock.
  private let waker = Mutex<DriverWaker?>(nil)
  /// Parameters to be taken over. Cold: the lane takes this lock when it has been told to look.
  private let parameters = Mutex<ParameterChange?>(nil)
  private let adoptedVersion = Atomic<UInt32>(0)
  private let offeredAt = Atomic<Int64>(0)
  private let adoptionDelay = Atomic<Int64>(0)

  static let stopBit: UInt64 = 1
  static let stallBit: UInt64 = 2
  static let parameterBit: UInt64 = 4
  static let levelBits: UInt64 = 0xF_FFF0

  /// The place of a cause's level in the word.
  static func shift(_ cause: HaltCause) -> UInt64 {
    switch cause {
    case .signal: 4
    case .program: 8
    case .journal: 16
    default: 12
    }
  }

  private func change(_ body: (UInt64) -> UInt64) {
    exchange(body)
    waker.withLock { $0?.wake() }
  }

  private func exchange(_ body: (UInt64) -> UInt64) {
    // Relaxed: the word carries no other data, and the wake, if the lane sleeps, makes it look at the word.
    var old = requests.load(ordering: .relaxed)
    while true {
      let (exchanged, seen) = requests.weakCompareExchange(expected: old, desired: body(old), ordering: .relaxed)
      if exchanged { return }
      old = seen
    }
  }

  func requestStop() { change { $0 | Self.stopBit } }

  /// Asks for a level or more. Any thread; idempotent.
  ///
  /// - Parameter cause: `signal`, `program`, `watchdog` or `journal`.
  func requestHalt(_ level: StopLevel, _ cause: HaltCause) {
    let shift = Self.shift(cause)
    change { word in
      let asked = max(word >> shift & 15, UInt64(level.rawValue))
      return word & ~(15 << shift) | asked << shift
    }
  }

  /// Asks for the re-arming: everything asked for before is forgotten.
  func requestRearm() { change { ($0 & ~Self.levelBits) &+ 1 << 32 } }

  /// Lane: forgets the levels of the word that it has seen; if there is a newer word, that is handled next.
  func clearLevels(of word: UInt64) -> UInt64 {
    let desired = word & ~Self.levelBits
    let (exchanged, _) = requests.compareExchange(expected: word, desired: desired, ordering: .relaxed)
    return exchanged ? desired : word
  }

  /// For drills: makes the lane's thread sleep. Any thread.
  func requestStall(_ time: Nanoseconds) {
    stallTime.store(time, ordering: .relaxed)
    change { $0 | Self.stallBit }
  }

  /// Lane.
  func takeStall() -> Nanoseconds {
    exchange { $0 & ~Self.stallBit }
    return stallTime.exchange(0, ordering: .relaxed)
  }

  /// Hands parameters over; the lane takes them in its next turn. Those that it has not taken yet give way. Any thread.
  func offer(_ new: ParameterChange, now: Nanoseconds) {
    offeredAt.store(now, ordering: .relaxed)
    parameters.withLock { $0 = new }
    change { $0 | Self.parameterBit }
  }

  /// Lane.
  func takeParameters() -> ParameterChange? {
    exchange { $0 & ~Self.parameterBit }
    return parameters.withLock { $0.take() }
  }

  /// Lane.
  func noteParameters(_ version: UInt32, now: Nanoseconds) {
    adoptionDelay.store(now - offeredAt.load(ordering: .relaxed), ordering: .relaxed)
    // Releases the delay.
    adoptedVersion.store(version, ordering: .releasing)
  }
  /// From the offer until the lane had taken it over, quotes and all.
  var parameterDelay: Nanoseconds { adoptionDelay.load(ordering: .relaxed) }
  /// The version of the parameters that the lane quotes by; 0: those of the start.
  var parameterVersion: UInt32 { adoptedVersion.load(ordering: .acquiring) }

  var word: UInt64 { requests.load(ordering: .relaxed) }

  @inline(__always)
  func beat(_ now: Nanoseconds) { beatWord.store(now, ordering: .relaxed) }
  var lastBeat: Nanoseconds { beatWord.load(ordering: .relaxed) }

  func noteHalt(obeyed level: StopLevel, latched other: StopLevel, rearmCount: UInt32, rearmings: UInt32) {
    rearmed.store(rearmings, ordering: .relaxed)
    obeyed.store(level.rawValue, ordering: .relaxed)
    // One word: the level, and the count of re-armings in the file that it comes after.
    latched.store(UInt64(rearmCount) << 8 | UInt64(other.rawValue), ordering: .relaxed)
  }
  var obeyedLevel: StopLevel { StopLevel(rawValue: obeyed.load(ordering: .relaxed)) ?? .disconnect }
  /// Re-armings that the lane has carried out.
  var rearmings: UInt32 { rearmed.load(ordering: .relaxed) }
  var latch: (level: StopLevel, rearmCount: UInt32) {
    let word = latched.load(ordering: .relaxed)
    return (
      StopLevel(rawValue: UInt32(truncatingIfNeeded: word & 255)) ?? .disconnect, UInt32(truncatingIfNeeded: word >> 8)
    )
  }

  /// For a lane that may sleep; before it runs.
  func attach(_ waker: DriverWaker) { self.waker.withLock { $0 = waker } }
  var isStopRequested: Bool { word & Self.stopBit != 0 }
}

/// Why a lane cannot go on; for an operator.
public struct LaneFailure: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// The venue could not be reached, or its certificate is not trusted.
    case unreachable
    /// The venue refused the login or something else that the session cannot do without.
    case refused
    /// The operating system refused something.
    case system
  }
  public let kind: Kind
  public let description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}

/// The thin shell around a lane: sockets, TLS, clock, stop word, telemetry. It decides nothing about orders.
struct LaneRunner<Adapter: ExchangeAdapter & ~Copyable>: ~Copyable {
  var lane: Lane<Adapter>
  var driver: SocketDriver
  /// Of the connection that is up or being secured; `nil` without TLS.
  var tls: TLSSession?
  let tlsContext: TLSContext?
  let host: String
  let port: UInt16
  /// The second connection, while the venue has announced that it will close the first one.
  var spare: SpareLink
  /// The session's other connections, at venues that have several.
  var companions: CompanionLinks
  private var idle: IdleWait
  private var nextStep = IdleWait.Step.spin
  private let control: LaneControl
  private var directives: RingConsumer?
  private(set) var telemetry: LaneTelemetry
  private(set) var slowTicks: SlowTicks

  private enum Link { case down, connecting, securing, up }
  private var link = Link.down
  /// When the connection now being made was begun.
  private var linkSince: Nanoseconds = 0
  var connection = ConnectionHandle(rawValue: 0)
  private var hasBeenUp = false
  /// When the turn began in which something has come in; 0: nothing has.
  private var busySince: Nanoseconds = 0
  /// The last transport error, for people.
  var lastError = ""
  private(set) var failure: LaneFailure?
  let plaintext: UnsafeMutableBufferPointer<UInt8>
  private var nextPublishAt: Nanoseconds = 0
  /// The words as last handled: of this process, and of the telemetry file.
  private var seenRequests: UInt64 = 0
  private var seenOrder: UInt64 = 0
  private var shownChanges = 0

  init(
    lane: consuming Lane<Adapter>, driver: consuming SocketDriver, tlsContext: TLSContext?, host: String,
    port: UInt16, idle: IdleWait, control: LaneControl, directives: consuming RingConsumer?,
    telemetry: consuming LaneTelemetry, slowTicks: consuming SlowTicks, desk: consuming DeskEnd? = nil
  ) {
    self.lane = lane
    self.driver = driver
    self.tlsContext = tlsContext
    self.host = host
    spare = SpareLink(host: host)
    companions = CompanionLinks(count: Adapter.companionCount, desk: desk)
    self.port = port
    self.idle = idle
    self.control = control
    self.directives = directives
    self.telemetry = telemetry
    self.slowTicks = slowTicks
    // A level that is kept there from an earlier life is obeyed in the first turn.
    seenOrder = self.telemetry.controlWord & ~0xFFFF_FFFF
    self.lane.safety.rearmCount = UInt32(truncatingIfNeeded: seenOrder >> 32)
    self.lane.core.acks.span = self.telemetry.acknowledgeSpan
    plaintext = .allocate(capacity: 32 * 1024)
  }

  deinit { plaintext.deallocate() }

  /// From here on this lane gives the engine's sign of life in its telemetry file.
  mutating func keep(_ file: consuming TelemetryWriter) { telemetry.keep(file) }

  /// Runs until the lane has stopped or cannot go on.
  mutating func run() {
    noteWallClock(EngineClock.now())
    while !lane.isStopped, failure == nil {
      // The turns of a ready session are what RealtimeSanitizer's build checks.
      let isReady = lane.adapter.phase == .ready
      if isReady { apus_realtime_enter() }
      turn()
      if isReady { apus_realtime_exit() }
    }
    finish()
  }

  /// One turn: what has arrived, what is due, what is to be sent.
  private mutating func turn() {
    let count = driver.poll(wait: nextStep == .park ? sleepTime() : 0)
    // t0: the completion has been reaped.
    let now = EngineClock.now()
    telemetry.noteTurn()
    if count > 0 { lane.stages.begin(now) }
    // Of the turn before, if something came in and the lane did not sleep since.
    if busySince > 0, nextStep != .park { telemetry.noteTurn(now - busySince) }
    busySince = count > 0 ? now : 0
    let ordersBefore = lane.ordersSent
    // Before the events: after a stall they are old, and the watchdog may have latched meanwhile.
    if control.word != seenRequests { obeyRequests(now) }
    if count > 0 {
      for index in 0..<count { handle(driver.event(at: index), now) }
    } else if count < 0 {
      driverFailed(-count)
      return
    }
    nextStep = idle.step(after: count, now: now)
    if nextStep == .yield {
      apus_realtime_allow_begin()
      sched_yield()
      apus_realtime_allow_end()
    }
    if directives != nil {
      while let message = directives!.pop(as: DirectiveMessage.self) {
        lane.take(message, now: now)
        // The manager waits for the word that its directive is obeyed.
        nextPublishAt = 0
      }
    }
    if telemetry.controlWord != seenOrder { obeyOrder(now) }
    lane.tick(now: now)
    if lane.ordersSent != ordersBefore {
      // The order's frame is written; what follows is TLS and the kernel. Recorded when it has left.
      let framed = EngineClock.now()
      if lane.stages.isOn {
        // What is left of the turn was looking at what was not to be changed.
        lane.stages.note(.decide, framed)
        telemetry.noteStages(lane.stages)
      }
      send()
      driver.flush()
      // t1: the order is with the kernel.
      if count > 0 {
        telemetry.noteTick(toFrame: framed - now, toOrder: EngineClock.now() - now)
      }
    } else {
      send()
    }
    lane.stages.finish()
    if Adapter.companionCount > 0 { turnCompanions(now) }
    telemetry.tellTops(&lane, now: now)
    mindLink(now)
    let phase = lane.adapter.phase
    control.beat(phase == .ready || phase == .leaving ? now : 0)
    if lane.safety.changeCount != shownChanges { showHalt(now) }
    // So is an execution: it is for all lanes to know.
    if lane.core.lastFillAt >= now { nextPublishAt = 0 }
    if now >= nextPublishAt, telemetry.publish(&lane, error: lastError, now: now) {
      nextPublishAt = now + 50_000_000
      noteWallClock(now)
    }
    if count > 0, slowTicks.isOn {
      slowTicks.note(from: now, to: EngineClock.now(), orders: lane.ordersSent - ordersBefore)
    }
  }

  // MARK: - What is asked from outside

  @inline(never)
  private mutating func obeyRequests(_ now: Nanoseconds) {
    if control.word & LaneControl.stallBit != 0 {
      let time = control.takeStall()
      apus_realtime_allow_begin()
      usleep(useconds_t(clamping: time / 1000))
      apus_realtime_allow_end()
    }
    if control.word & LaneControl.parameterBit != 0 { adoptParameters(now) }
    let word = control.word
    if word >> 32 != seenRequests >> 32 { lane.rearm(now: now) }
    obeyLevel(of: .signal, in: word, now)
    obeyLevel(of: .program, in: word, now)
    obeyLevel(of: .watchdog, in: word, now)
    obeyLevel(of: .journal, in: word, now)
    if word & LaneControl.stopBit != 0 { lane.requestStop(now: now) }
    // What is taken by clearing its bit, and was asked for since we looked, is news in the next turn.
    seenRequests = word & ~(LaneControl.stallBit | LaneControl.parameterBit)
  }

  /// As rare as a new listing, and as free to allocate.
  private mutating func adoptParameters(_ now: Nanoseconds) {
    apus_realtime_allow_begin()
    defer { apus_realtime_allow_end() }
    guard let change = control.takeParameters() else { return }
    lane.adopt(change, now: now)
    control.noteParameters(change.version, now: EngineClock.now())
    nextPublishAt = 0
  }

  private mutating func obeyLevel(of cause: HaltCause, in word: UInt64, _ now: Nanoseconds) {
    let level = StopLevel(rawValue: UInt32(truncatingIfNeeded: word >> LaneControl.shift(cause) & 15)) ?? .disconnect
    if level > .none { lane.halt(cause, at: level, now: now) }
  }

  @inline(never)
  private mutating func obeyOrder(_ now: Nanoseconds) {
    let word = telemetry.controlWord
    if word >> 32 != seenOrder >> 32 {
      lane.rearm(now: now)
      seenRequests = control.clearLevels(of: seenRequests)
    }
    let level = StopLevel(rawValue: UInt32(truncatingIfNeeded: word & 0xFFFF_FFFF)) ?? .disconnect
    // The engine's helper keeps latches there for the next life; those are no news. A higher level is, whoever wrote last.
    if level > lane.safety.ladder.latchedLevel || level > .none && telemetry.stopRequester != Int64(getpid()) {
      lane.halt(.otherProcess, at: level, now: now)
    }
    seenOrder = word
    lane.safety.obeyedLevel = level
    lane.safety.rearmCount = UInt32(truncatingIfNeeded: word >> 32)
    lane.safety.changeCount += 1
  }

  /// The lane itself reads no clock.
  @inline(never)
  private mutating func noteWallClock(_ now: Nanoseconds) { lane.noteWallClock(EngineClock.wallOffset(), now: now) }

  @inline(never)
  private mutating func showHalt(_ now: Nanoseconds) {
    shownChanges = lane.safety.changeCount
    control.noteHalt(
      obeyed: lane.safety.obeyedLevel, latched: lane.safety.ladder.latchedLevel,
      rearmCount: lane.safety.rearmCount, rearmings: lane.safety.rearmings)
    telemetry.publishHalt(&lane, now)
    guard lane.safety.isClockRefused, failure == nil else { return }
    apus_realtime_allow_begin()
    defer { apus_realtime_allow_end() }
    let offset = lane.safety.clock.estimate ?? 0
    failure = LaneFailure(
      .refused,
      "this machine's clock is \(abs(offset) / 1_000_000) ms \(offset > 0 ? "ahead of" : "behind") the venue's, but "
        + "may differ by \(lane.safety.settings.clockOffsetLimit / 1_000_000) ms: set the clock right, for example with "
        + "chrony, or raise safety.clock_offset_ms")
  }

  /// Until the next timer of the lane or of the telemetry file; 0 if one is due. Everything else that the lane acts on
  /// is an event or a wake.
  private func sleepTime() -> Nanoseconds {
    max(0, min(lane.nextDueAt, nextPublishAt) - EngineClock.now())
  }

  private mutating func finish() {
    let now = EngineClock.now()
    control.beat(0)
    dropSpare()
    dropCompanions()
    if link == .up {
      lane.output.endpoint.close(code: 1000)
      send()
      driver.close(connection)
      let deadline = now + 500_000_000
      while driver.connectionCount > 0, EngineClock.now() < deadline {
        let count = driver.poll(wait: 10_000_000)
        for index in 0..<max(count, 0) where driver.event(at: index).kind == .received { driver.release(at: index) }
      }
    }
    // A round that was under way is completed, and a whole one follows.
    for _ in 0..<2 { while !telemetry.publish(&lane, error: lastError, now: now) {} }
  }

  // MARK: - Events

  private mutating func handle(_ event: SocketEvent, _ now: Nanoseconds) {
    switch event.kind {
    case .received:
      if event.connection == connection {
        received(event.payload, now)
      } else if let place = companion(event) {
        companionReceived(place, event.payload, now)
      } else if spare.owns(event.connection) {
        handleSpare(event, now)
      }
      driver.release(event)
    case .connected, .connectFailed, .closed:
      if event.connection == connection {
        linkChanged(event.kind, error: event.error, now)
      } else if let place = companion(event) {
        companionChanged(place, event, now)
      } else if spare.owns(event.connection) {
        handleSpare(event, now)
      }
    case .accepted, .writable:
      break
    }
  }

  @inline(__always)
  private func companion(_ event: SocketEvent) -> Int? {
    Adapter.companionCount > 0 ? companions.place(of: event.connection) : nil
  }

  var isUp: Bool { link == .up }

  // What concerns the link itself is cold, and kept out of the turn: it makes texts, and so allocates.

  @inline(never)
  private mutating func driverFailed(_ error: Int) {
    failure = LaneFailure(.system, "the socket driver failed: error \(error)")
  }

  @inline(never)
  private mutating func linkChanged(_ kind: SocketEventKind, error: Int32, _ now: Nanoseconds) {
    switch kind {
    case .connected: connected(now)
    case .connectFailed: lost(SocketDriver.explainConnect(error: error, host: host, port: port), now)
    case .closed where link != .down: lost("the venue closed the connection", now)
    default: break
    }
  }

  private mutating func connected(_ now: Nanoseconds) {
    guard let tlsContext else {
      open(now)
      return
    }
    do {
      tls = try TLSSession(client: tlsContext, host: host)
      link = .securing
      pumpTLS()
    } catch {
      lost(error.description, now)
    }
  }

  @inline(never)
  private mutating func open(_ now: Nanoseconds) {
    guard let random = secureRandomBytes(count: 24) else {
      failure = LaneFailure(.system, "the system's random generator failed")
      return
    }
    let seed = random[16...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    do {
      try lane.connected(key: Array(random[..<16]), maskSeed: seed, now: now)
      link = .up
      hasBeenUp = true
    } catch {
      failure = LaneFailure(.system, "\(error)")
    }
  }

  private mutating func received(_ bytes: UnsafeBufferPointer<UInt8>, _ now: Nanoseconds) {
    guard tls != nil else {
      if link == .up { lane.receive(UnsafeRawBufferPointer(bytes), now: now) }
      return
    }
    var offset = 0
    while offset < bytes.count {
      guard let taken = tls!.feed(UnsafeBufferPointer(rebasing: bytes[offset...])) else {
        tlsFailed(now)
        return
      }
      offset += taken
      guard readPlaintext(now) else { return }
      if taken == 0 { break }
    }
    pumpTLS()
  }

  @inline(never)
  private mutating func tlsFailed(_ now: Nanoseconds) {
    let reason: String? =
      switch tls {
      case .some(let session): session.error?.description
      case .none: nil
      }
    lost(reason ?? "TLS failed", now)
  }

  private var isSecured: Bool {
    switch tls {
    case .some(let session): session.state == .ready
    case .none: false
    }
  }

  /// Reads what TLS has; false if the connection is lost.
  private mutating func readPlaintext(_ now: Nanoseconds) -> Bool {
    while tls != nil {
      let read = tls!.read(into: plaintext)
      if link == .securing, isSecured { open(now) }
      switch read {
      case .bytes(let count):
        lane.receive(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(plaintext)[..<count]), now: now)
      case .nothing:
        return true
      case .closed:
        linkChanged(.closed, error: 0, now)
        return false
      case .failed:
        tlsFailed(now)
        return false
      }
    }
    return false
  }

  // MARK: - Output

  mutating func send() {
    guard link == .up else { return }
    let output = lane.output.endpoint.output
    guard output.count > 0 else { return }
    let bytes = output.bindMemory(to: UInt8.self)
    guard tls != nil else {
      let piece = UnsafeBufferPointer(rebasing: bytes.prefix(driver.sendSpace(connection).count))
      if piece.count > 0, driver.send(piece, on: connection) == .queued {
        lane.output.endpoint.consumeOutput(piece.count)
      }
      return
    }
    let piece = UnsafeBufferPointer(rebasing: bytes.prefix(Int(APUS_TLS_WRITE_BYTES)))
    if tls!.write(piece) == .queued { lane.output.endpoint.consumeOutput(piece.count) }
    pumpTLS()
  }

  private mutating func pumpTLS() {
    guard tls != nil else { return }
    while true {
      let pending = tls!.pending()
      let room = driver.sendSpace(connection).count
      guard pending.count > 0, room > 0 else { return }
      let piece = UnsafeBufferPointer(rebasing: pending.prefix(room))
      guard driver.send(piece, on: connection) == .queued else { return }
      tls!.take(piece.count)
    }
  }

  // MARK: - The link

  @inline(__always)
  private mutating func mindLink(_ now: Nanoseconds) {
    if lane.session.handOver.phase != .none || spare.state != .none { mindSpare(now) }
    if link == .up, lane.session.closeReason == .none { return }
    mindLinkSlowly(now)
  }

  @inline(never)
  private mutating func mindLinkSlowly(_ now: Nanoseconds) {
    switch link {
    case .down:
      guard !lane.isStopped, failure == nil, now >= lane.session.retryAt, lane.mayConnect else { return }
      do {
        connection = try driver.connect(host: host, port: port)
        link = .connecting
        linkSince = now
      } catch {
        lost(error.description, now)
      }
    case .connecting, .securing:
      // Nothing of ours can be at the venue if it was never reached.
      if !hasBeenUp, lane.stop.isRequested { lane.runStopUnreached(now: now) }
      if now - linkSince > lane.settings.setupTimeout {
        lost(
          link == .connecting ? "\(host) port \(port) does not answer" : "the TLS handshake was not completed in time",
          now)
      }
    case .up:
      guard lane.session.closeReason != .none else { return }
      apus_realtime_allow_begin()
      defer { apus_realtime_allow_end() }
      let reason = lane.session.closeReason
      send()
      if lane.isRefusalFinal {
        failure = LaneFailure(.refused, lane.adapter.statusText)
        return
      }
      lost(reason == .refused ? lane.adapter.statusText : reason.text, now)
    }
  }

  /// The connection is gone or is given up.
  @inline(never)
  private mutating func lost(_ reason: String, _ now: Nanoseconds) {
    apus_realtime_allow_begin()
    defer { apus_realtime_allow_end() }
    lastError = reason
    if link == .up, spare.state == .up, lane.takesOver {
      changeOver(isGone: true, now)
      return
    }
    if link != .down { driver.abort(connection) }
    link = .down
    tls = nil
    dropCompanions()
    lane.disconnected(now: now)
    // At the start a person is waiting for an answer; a session that has been ready is tried again for ever.
    if !hasBeenUp || !lane.session.hasBeenReady && lane.session.failures >= 3 {
      failure = LaneFailure(.unreachable, reason)
    }
  }
}

extension CloseReason {
  var text: String {
    switch self {
    case .none: "no reason"
    case .venueClosed(let code): "the venue closed the WebSocket with code \(code)"
    case .webSocket(let failure): "\(failure)"
    case .transport: "the connection broke"
    case .silence: "the venue was silent for too long"
    case .setupTimedOut: "the venue did not complete the start of the session in time"
    case .refused: "the venue refused the session"
    case .reconnectRequested: "the venue asked for a reconnect"
    case .brokenBook: "a book message could not be applied; a new snapshot is needed"
    case .escalation: "orders could not be cancelled; the connection is dropped so that the venue cancels them"
    case .companion: "one of the session's connections was lost"
    case .instrumentChanged: "the venue has changed a tick or lot size"
    case .halted: "the kill ladder disconnected"
    case .stopped: "stopped"
    }
  }
}
