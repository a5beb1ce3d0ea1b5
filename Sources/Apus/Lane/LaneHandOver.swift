import CSupport

/// How far a lane has come with the move from a connection that the venue is going to close to one that is made beside
/// it (make before break). All that is decided about it is decided here; sockets and TLS are the network's.
struct HandOver: Sendable {
  enum Phase: UInt8, Sendable {
    case none
    /// A second connection is wanted; the first one quotes on.
    case preparing
    /// The second one stands. What the first one has in the market is being cancelled, and its last reports are read.
    case leaving
    /// The network is to change over now.
    case due
  }

  /// How far the second connection has come.
  enum Standby: UInt8, Sendable {
    case down
    /// The WebSocket is being opened.
    case opening
    case loggingIn
    /// Logged in, with the dead-man timer set.
    case stands
    /// Refused or broken: the network is to drop it.
    case failed
  }

  var phase = Phase.none
  var standby = Standby.down
  /// When the venue announced the closure.
  var announcedAt: Nanoseconds = 0
  /// When the second connection's WebSocket began to be opened.
  var openedAt: Nanoseconds = 0
  /// Not before this time is a second connection tried again.
  var retryAt: Nanoseconds = 0
  /// When the first connection began to be left, and when the venue confirmed that everything there is cancelled.
  var leftAt: Nanoseconds = 0
  var confirmedAt: Nanoseconds?
  /// The message rate that the venue has granted to the second connection.
  var messageRate: Int64 = 0
  /// When the second connection, which stands, last gave a sign of life: the venue closes those that do not.
  var lastPing: Nanoseconds = 0

  /// Between two tries of a second connection.
  static let retryInterval: Nanoseconds = 1_000_000_000
  /// How long reports are waited for after the venue has confirmed that everything is cancelled.
  static let reportTime: Nanoseconds = 250_000_000
  /// Between two looks whether the last reports have come.
  static let lookInterval: Nanoseconds = 1_000_000
}

/// The second connection's end of its WebSocket, and what its login is told.
struct LaneStandby: ~Copyable {
  var endpoint: WebSocketEndpoint
  var sink = StandbySink()

  init() throws(WebSocketSetupError) { endpoint = try WebSocketEndpoint(client: .init()) }
}

/// Make before break: when the venue announces that it will close the connection, the next session is prepared on a second
/// one while the first one quotes on. Cold: it runs once in weeks.
extension Lane where Adapter: ~Copyable {
  /// The venue has announced that it will close this connection.
  mutating func closureAnnounced(_ now: Nanoseconds) {
    guard session.handOver.phase == .none else { return }
    // The stop has time to end on this connection.
    if stop.isFinal { return }
    guard Adapter.makesStandby, adapter.phase == .ready, !stop.isRequested, settings.closureWindow > 0 else {
      session.closeReason = .reconnectRequested
      return
    }
    session.handOver = HandOver()
    session.handOver.phase = .preparing
    session.handOver.announcedAt = now
    session.handOver.retryAt = now
    output.records.note("the venue will close the connection: preparing another one", now: now)
  }

  // MARK: - What the network does

  /// Whether a second connection is to be made now.
  func wantsStandby(_ now: Nanoseconds) -> Bool {
    session.handOver.phase == .preparing && session.handOver.standby == .down && now >= session.handOver.retryAt
  }

  /// Whether a second connection that is up, or being made, is still wanted. If not, the network drops it.
  var keepsStandby: Bool { session.handOver.phase != .none && session.handOver.standby != .failed }

  /// Whether the network is to change over now: close the first connection and call `moveOver`.
  var isMoveDue: Bool { session.handOver.phase == .due }

  /// The second connection's transport is up: begins its WebSocket upgrade. As `connected`.
  mutating func standbyConnected(key: [UInt8], maskSeed: UInt64, now: Nanoseconds) throws(WebSocketSetupError) {
    setTime(now)
    output.records.spareConnected(key: key, maskSeed: maskSeed, now: now)
    try standby.endpoint.start(host: settings.host, path: settings.path, key: key, maskSeed: maskSeed)
    standby.sink = StandbySink()
    session.handOver.standby = .opening
    session.handOver.openedAt = now
  }

  /// Bytes of the second connection's plain stream.
  mutating func standbyReceive(_ bytes: UnsafeRawBufferPointer, now: Nanoseconds) {
    guard session.handOver.standby != .failed, session.handOver.standby != .down else { return }
    setTime(now)
    standby.endpoint.receive(bytes)
    output.records.beginRead()
    while session.handOver.standby != .failed {
      switch standby.endpoint.next() {
      case .none: return
      case .opened: standbyOpened(now)
      case .text(let text): standbyHandle(text, now)
      case .binary, .ping, .pong: continue
      case .closed, .failed: standbyClosed(now)
      }
    }
  }

  mutating func standbyOpened(_ now: Nanoseconds) {
    onStandby { $0.output.records.event(.opened, now: now) }
    session.handOver.standby = .loggingIn
    let token = makeToken()
    let isWritten = onStandby { $0.adapter.openStandby(token: token, output: &$0.output) }
    if !isWritten { standbyFailed(code: 0, now) }
  }

  mutating func standbyHandle(_ text: UnsafeRawBufferPointer, _ now: Nanoseconds) {
    onStandby { $0.output.records.inbound(text, now: now) }
    adapter.decode(text, into: &standby.sink)
    if let event = standby.sink.take() { advanceStandby(event, now) }
  }

  mutating func standbyClosed(_ now: Nanoseconds) {
    onStandby { $0.output.records.event(.closed, now: now) }
    standbyFailed(code: 0, now)
  }

  /// What is written and noted in `body` goes to the second connection.
  private mutating func onStandby<Result>(_ body: (inout Self) -> Result) -> Result {
    swap(&output.endpoint, &standby.endpoint)
    output.records.swapConnections()
    let result = body(&self)
    output.records.swapConnections()
    swap(&output.endpoint, &standby.endpoint)
    return result
  }

  /// The second connection could not be made, or is gone. The first one goes on.
  mutating func standbyLost(now: Nanoseconds) {
    setTime(now)
    output.records.control(.spareLost, now: now)
    standby.endpoint.reset()
    session.handOver.standby = .down
    session.handOver.retryAt = now + HandOver.retryInterval
    guard session.handOver.phase == .leaving || session.handOver.phase == .due else { return }
    session.handOver.phase = .preparing
    adapter.stay()
    core.markAllDirty()
  }

  /// The first connection is gone or to be given up: whether the second one, which stands, takes over at once.
  var takesOver: Bool {
    guard session.handOver.phase == .leaving || session.handOver.phase == .due else { return false }
    switch session.closeReason {
    // What has been subscribed for must be subscribed for anew, or nothing at all.
    case .instrumentChanged, .halted, .stopped, .refused: return false
    default: return true
    }
  }

  /// The network has changed over: the second connection is the session's from here on, the first one is closed.
  ///
  /// If all that the first one had in the market is proven to be over, the account is as complete as it was while
  /// quoting: what is asked now only confirms that. Otherwise it is a gap like any other.
  mutating func moveOver(now: Nanoseconds) {
    setTime(now)
    output.records.swapConnections()
    output.records.control(.movedOver, now: now)
    let isClean = session.handOver.confirmedAt != nil && isEverythingOver
    let rate = session.handOver.messageRate
    adapter.lost()
    core.connectionLost(now: now)
    quotes.closeAll()
    swap(&output.endpoint, &standby.endpoint)
    standby.endpoint.reset()
    session.began(now: now)
    session.openedAt = now
    session.isFrozen = true
    session.isMovedOver = true
    session.isUnbroken = isClean
    session.lastOrderQuery = LaneSession.never
    if !isClean { core.counters.gaps += 1 }
    core.counters.moves += 1
    adapter.movedOver(messageRate: rate, output: &output)
    applyGrantedRate(now)
    // Behind the subscriptions, so that nothing can fall between the answer and the feed.
    if isClean {
      askForOrders(now)
      askForTrades(now)
    }
    output.records.note(
      isClean ? "moved over to another connection" : "moved over to another connection, with orders unknown", now: now)
    accountQuotedTime(now)
  }

  /// A stop or a halt outranks the move: what it cancels and verifies, it does on the connection that is there.
  mutating func giveUpHandOver(_ now: Nanoseconds) {
    guard session.handOver.phase != .none else { return }
    session.handOver = HandOver()
    adapter.stay()
    output.records.note("the second connection is given up", now: now)
  }

  // MARK: - What the lane does

  private mutating func advanceStandby(_ event: SessionEvent, _ now: Nanoseconds) {
    let step = onStandby { $0.adapter.advanceStandby(event, output: &$0.output) }
    switch step {
    case .continues: break
    case .refused(let code): standbyFailed(code: code, now)
    case .stands(let rate):
      session.handOver.standby = .stands
      session.handOver.messageRate = rate
      session.handOver.lastPing = now
      output.records.note("the second connection stands", now: now)
      leaveIfCalm(now)
    }
  }

  private mutating func standbyFailed(code: Int64, _ now: Nanoseconds) {
    session.handOver.standby = .failed
    output.records.note("the second connection could not be made", now: now)
    // Room for another one is only when this one is closed.
    if Adapter.isConnectionLimit(code: code) { breakBeforeMake(now) }
  }

  /// The preparation has failed: as if there had been no announcement in advance.
  private mutating func breakBeforeMake(_ now: Nanoseconds) {
    session.handOver.phase = .none
    session.closeReason = .reconnectRequested
  }

  /// Begins the move at a moment at which no order is unknown, if there is one in the first half of the time.
  private mutating func leaveIfCalm(_ now: Nanoseconds) {
    let isCalm = core.tracker.unknownCount == 0 && quotes.openSides == 0
    if isCalm || now - session.handOver.announcedAt > settings.closureWindow / 2 { leave(now) }
  }

  private mutating func leave(_ now: Nanoseconds) {
    guard session.handOver.phase == .preparing, adapter.leave(output: &output) else { return }
    session.handOver.phase = .leaving
    session.handOver.leftAt = now
    session.handOver.confirmedAt = nil
    // The orders end where quoting ends, not one by one.
    core.markAllDirty()
  }

  /// The venue has answered the cancel of everything on the first connection, or refused it.
  mutating func leavingAnswered(isDone: Bool, _ now: Nanoseconds) {
    guard session.handOver.phase == .leaving else { return }
    if isDone {
      session.handOver.confirmedAt = now
    } else {
      // The connection's end cancels as well.
      session.handOver.phase = .due
    }
    nextTimerAt = now
  }

  /// By the timers.
  @inline(never)
  mutating func runHandOver(_ now: Nanoseconds) {
    switch session.handOver.phase {
    case .none, .due:
      break
    case .preparing:
      if now - session.handOver.announcedAt > settings.closureWindow {
        output.records.note("no second connection in time: closing the first one", now: now)
        breakBeforeMake(now)
      } else if session.handOver.standby == .stands {
        if now - session.handOver.lastPing >= settings.pingInterval {
          session.handOver.lastPing = now
          _ = standby.endpoint.ping(UnsafeRawBufferPointer(start: nil, count: 0))
        }
        leaveIfCalm(now)
      } else if session.handOver.standby != .down, session.handOver.standby != .failed,
        now - session.handOver.openedAt > settings.requestTimeout
      {
        standbyFailed(code: 0, now)
      }
    case .leaving:
      nextTimerAt = min(nextTimerAt, now + HandOver.lookInterval)
      if hasMassQuotes { runQuoteTimers(now) }
      if now - session.handOver.leftAt > settings.requestTimeout {
        session.handOver.phase = .due
      } else if let confirmed = session.handOver.confirmedAt {
        if isEverythingOver || now - confirmed > HandOver.reportTime { session.handOver.phase = .due }
      }
    }
  }

  /// Every order of ours is proven to have ended. What it may have traded untold counts as exposure until the trades have
  /// been asked for, here as while quoting.
  private var isEverythingOver: Bool {
    core.tracker.liveCount == 0 && core.tracker.unknownCount == 0 && core.tracker.inFlightCount == 0
  }
}

/// Takes from the decoder what the login of a second connection needs.
struct StandbySink: SelectiveEventSink {
  private var event: SessionEvent?

  mutating func take() -> SessionEvent? {
    defer { event = nil }
    return event
  }

  mutating func replied(_ request: RequestKind, value: Int64) {
    if case .session(let kind) = request { event = .replied(kind, value: value) }
  }

  mutating func refused(_ request: RequestKind, code: Int64) {
    if case .session(let kind) = request { event = .refused(kind, code: code) }
  }
}
