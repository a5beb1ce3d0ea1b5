import Apus
import CSupport
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Serves a simulated venue over TCP: WebSocket, with or without TLS, on one thread.
///
/// Made on any thread; `run` is called once, from the thread that shall do all the work, and returns what there is to
/// tell. Only `stop` and `perform` may be called meanwhile. The venue's time is that of the monotonic clock since `init`; its wall
/// clock starts at the machine's.
// Sendable: the stop word is atomic, the actions are behind a lock and the waker is made for other threads. All else belongs to the thread in `run`,
// which `hasRun` keeps to one; flow and verifier are handed over by `sending`.
public final class VenueServer: @unchecked Sendable {
  private let configuration: VenueServerConfiguration
  private let venue: any VenueSimulation
  private let gate: GatedFlow?
  private var driver: SocketDriver
  private let waker: DriverWaker
  private let stopWord = Atomic<Bool>(false)
  private let hasRun = Atomic<Bool>(false)
  private let actions = Mutex<[@Sendable (any VenueSimulation, Nanoseconds) -> Void]>([])
  private let hasActions = Atomic<Bool>(false)
  /// The venue's time 0 by `EngineClock`.
  let origin: Nanoseconds

  /// What is listened on; never 0.
  public let port: UInt16
  /// Why it goes through epoll although io_uring would have been taken; one sentence for an operator.
  public let driverRefusal: String?

  private var connections: [ServerConnection?]
  private var byID: [ConnectionID: ServerConnection] = [:]
  private var nextID: UInt64 = 0
  private var dirty: [ServerConnection] = []
  private var doomed: [ServerConnection] = []
  private var answeredHTTP: [ServerConnection] = []
  private var report = VenueReport()
  private let plaintext: UnsafeMutableBufferPointer<UInt8>
  private var nextCheck: Nanoseconds = 0
  private var endAt = Nanoseconds.max
  private var isStopping = false
  /// What clients have sent, until the venue is to read it; in that order.
  private var held: [Held] = []
  private var heldFirst = 0

  private struct Held {
    enum Message {
      case text([UInt8])
      case request(HTTPRequest)
      case gone
    }
    var due: Nanoseconds
    var connection: ConnectionID
    var message: Message
  }

  /// How often deadlines and pings are looked at.
  private static let checkInterval: Nanoseconds = 50_000_000
  /// From the end of the flow to the stop: the account feeds may be 50 ms late.
  private static let lingerTime: Nanoseconds = 200_000_000

  /// Listens at once; connections wait until `run`.
  ///
  /// - Parameters:
  ///   - venue: Its `wallClockBase` is replaced by the time now.
  ///   - verifier: Checks login tokens; without one every key is accepted.
  public convenience init(
    _ configuration: VenueServerConfiguration, venue: VenueConfiguration = VenueConfiguration(),
    flow: sending (any MarketFlow)? = nil, verifier: sending (any TokenVerifier)? = nil
  ) throws(VenueServerError) {
    let gate: GatedFlow? = if configuration.waitsForClient, let flow { GatedFlow(flow) } else { nil }
    try self.init(configuration, gate: gate) { (base) throws(VenueError) in
      var venueConfiguration = venue
      venueConfiguration.wallClockBase = base
      return try SimulatedVenue(venueConfiguration, flow: gate ?? flow, verifier: verifier)
    }
  }

  /// The same for a venue that speaks Deribit's protocol, over WebSocket and HTTP on one port.
  public convenience init(
    _ configuration: VenueServerConfiguration, deribit: DeribitConfiguration, flow: sending (any MarketFlow)? = nil
  ) throws(VenueServerError) {
    let gate: GatedFlow? = if configuration.waitsForClient, let flow { GatedFlow(flow) } else { nil }
    try self.init(configuration, gate: gate) { (base) throws(VenueError) in
      var settings = deribit
      settings.wallClockBase = base
      return try DeribitVenue(settings, flow: gate ?? flow)
    }
  }

  /// The same for a venue that speaks Bybit's V5 protocol: three WebSockets and HTTP on one port, at paths that begin with
  /// `/v5`. The path of the configuration counts for nothing.
  public convenience init(
    _ configuration: VenueServerConfiguration, bybit: BybitConfiguration, flow: sending (any MarketFlow)? = nil
  ) throws(VenueServerError) {
    let gate: GatedFlow? = if configuration.waitsForClient, let flow { GatedFlow(flow) } else { nil }
    var configuration = configuration
    configuration.path = ""
    configuration.shownPath = "/v5"
    try self.init(configuration, gate: gate) { (base) throws(VenueError) in
      var settings = bybit
      settings.wallClockBase = base
      return try SimulatedBybit(settings, flow: gate ?? flow)
    }
  }

  /// - Parameter make: Makes the venue, given its wall clock's time at its start.
  private init(
    _ configuration: VenueServerConfiguration, gate: GatedFlow?,
    make: (Nanoseconds) throws(VenueError) -> any VenueSimulation
  ) throws(VenueServerError) {
    try Self.check(configuration)
    self.configuration = configuration
    var driver: SocketDriver
    do {
      driver = try SocketDriver(
        SocketDriverConfiguration(
          connections: configuration.maximumConnections, sendBufferBytes: 64 * 1024,
          closeTimeout: configuration.closeTimeout, kind: configuration.driver.kind),
        eventsPerPoll: 256)
    } catch { throw .driver(error) }
    do {
      port = try driver.listen(host: configuration.host, port: configuration.port).port
    } catch { throw .listen(error) }
    waker = driver.makeWaker()
    driverRefusal = driver.refusal
    self.driver = driver
    connections = Array(repeating: nil, count: configuration.maximumConnections)
    self.gate = gate
    origin = EngineClock.now()
    do {
      venue = try make(origin + EngineClock.wallOffset() + configuration.clockError)
    } catch { throw .venue(error) }
    plaintext = .allocate(capacity: 32 * 1024)
  }

  deinit { plaintext.deallocate() }

  private static func check(_ configuration: VenueServerConfiguration) throws(VenueServerError) {
    guard (1...4096).contains(configuration.maximumConnections) else {
      throw .configuration("it can serve 1 to 4096 connections, not \(configuration.maximumConnections)")
    }
    guard configuration.pingInterval > 0, configuration.handshakeTimeout > 0, configuration.closeTimeout > 0,
      configuration.missedPongs > 0
    else { throw .configuration("intervals, time-outs and the number of missed pongs must be above 0") }
    do {
      _ = try makeEndpoint(configuration)
    } catch { throw .configuration("\(error)") }
  }

  private static func makeEndpoint(
    _ configuration: VenueServerConfiguration
  ) throws(WebSocketSetupError) -> WebSocketEndpoint {
    try WebSocketEndpoint(
      server: configuration.path,
      limits: .init(messageBytes: configuration.messageLimitBytes, outputBytes: configuration.outputLimitBytes))
  }

  /// Where clients connect to, `ws://127.0.0.1:8765/ws/api/v2` say.
  public var url: String {
    let host = configuration.host.contains(":") ? "[\(configuration.host)]" : configuration.host
    return
      "\(configuration.tls == nil ? "ws" : "wss")://\(host):\(port)\(configuration.shownPath ?? configuration.path)"
  }

  /// Ends `run`: every connection is closed with 1001 after what is queued for it.
  ///
  /// From any thread, before or during `run`, as often as one likes; it neither waits nor locks.
  public func stop() {
    // Relaxed: the word carries no other data, and the wake makes the server look at it.
    stopWord.store(true, ordering: .relaxed)
    waker.wake()
  }

  /// The market flow has something new. From any thread, before or during `run`; it neither waits nor locks.
  func wake() { waker.wake() }

  /// Has something done to the venue by the server's thread, at its time: faults, listings, questions.
  ///
  /// From any thread, before or during `run`; in the order of the calls, each soon and once. What is asked for after the
  /// stop is not done.
  public func perform(_ action: @escaping @Sendable (_ venue: SimulatedVenue, _ now: Nanoseconds) -> Void) {
    enqueue(action)
  }

  /// The same where the venue is a Deribit.
  public func performOnDeribit(_ action: @escaping @Sendable (_ venue: DeribitVenue, _ now: Nanoseconds) -> Void) {
    enqueue(action)
  }

  /// The same where the venue is a Bybit.
  public func performOnBybit(_ action: @escaping @Sendable (_ venue: SimulatedBybit, _ now: Nanoseconds) -> Void) {
    enqueue(action)
  }

  private func enqueue<Venue: VenueSimulation & SendableMetatype>(
    _ action: @escaping @Sendable (Venue, Nanoseconds) -> Void
  ) {
    let checked: @Sendable (any VenueSimulation, Nanoseconds) -> Void = { venue, now in
      guard let venue = venue as? Venue else { preconditionFailure("the venue speaks another protocol") }
      action(venue, now)
    }
    actions.withLock { $0.append(checked) }
    // Release, pairs with the acquire in `act`: whoever sees the flag finds the action.
    hasActions.store(true, ordering: .releasing)
    waker.wake()
  }

  private func act(_ now: Nanoseconds) {
    guard hasActions.exchange(false, ordering: .acquiring) else { return }
    let list = actions.withLock { list in
      defer { list.removeAll() }
      return list
    }
    for action in list { action(venue, now) }
  }

  // MARK: - The loop

  private func elapsed() -> Nanoseconds { EngineClock.now() - origin }

  /// Serves until `stop`, or the end of the flow if so configured. Once, from one thread (a second call traps).
  public func run() throws(VenueServerError) -> VenueReport {
    precondition(!hasRun.exchange(true, ordering: .relaxed), "a venue server runs once")
    venue.advance(to: 0)
    // Relaxed: see stop().
    while !stopWord.load(ordering: .relaxed), elapsed() < endAt {
      try turn(wait: configuration.idle == .park ? sleepTime() : 0)
    }
    try finish()
    return report
  }

  private var hasEnded = false

  private func sleepTime() -> Nanoseconds {
    let release = heldFirst < held.count ? held[heldFirst].due : .max
    return max(0, min(venue.nextWake, nextCheck, endAt, release) - elapsed())
  }

  private func turn(wait: Nanoseconds) throws(VenueServerError) {
    let count = driver.poll(wait: wait)
    guard count >= 0 else {
      throw .failed(SystemError("go on serving the venue", result: Int32(clamping: count)))
    }
    let now = elapsed()
    for index in 0..<count { handle(driver.event(at: index), now) }
    if let gate, !gate.isOpen, venue.hasAccounts { gate.open(now: now) }
    release(now)
    if !isStopping {
      venue.advance(to: now)
      act(now)
      if !hasEnded, venue.isFinished {
        hasEnded = true
        configuration.noteEnd?()
        if configuration.stopsAtEnd { endAt = now + Self.lingerTime }
      }
    }
    if now >= nextCheck {
      nextCheck = now + Self.checkInterval
      check(now)
    }
    deliver(now)
    push(now)
    if count == 0, wait == 0, configuration.idle == .yield { sched_yield() }
    // What is queued leaves with the next poll, unless that one would only spin.
    if wait == 0 { driver.flush() }
  }

  /// The books as they are, then farewell to everybody.
  private func finish() throws(VenueServerError) {
    let now = elapsed()
    venue.advance(to: now)
    deliver(now)
    report.duration = now
    report.books = venue.accountNames.compactMap { venue.books($0) }
    isStopping = true
    for connection in byID.values.sorted(by: { $0.id < $1.id }) {
      switch connection.phase {
      case .open: close(connection, code: 1001, now)
      case .http: fail(connection, now)
      default: abandonHandshake(connection)
      }
    }
    // The peers' answers and the driver's own closing, each within its time-out.
    let deadline = now + 2 * configuration.closeTimeout + Self.checkInterval
    deliver(now)
    push(now)
    while !byID.isEmpty, elapsed() < deadline { try turn(wait: 10_000_000) }
    report.venue = venue.statistics
    report.refused += driver.counters.accept_refused
  }

  private func abandonHandshake(_ connection: ServerConnection) {
    if connection.phase == .handshake { drop(connection) }
  }

  // MARK: - Events

  private func handle(_ event: SocketEvent, _ now: Nanoseconds) {
    switch event.kind {
    case .accepted:
      accept(event.connection, now)
    case .received:
      if let connection = find(event.connection) { received(event.payload, connection, now) }
      driver.release(event)
    case .writable:
      if let connection = find(event.connection) { markDirty(connection) }
    case .closed, .connectFailed:
      guard let connection = find(event.connection) else { return }
      if connection.phase == .handshake { report.failedHandshakes += 1 }
      connection.phase = .left
      forget(connection, now)
      connections[event.connection.slot] = nil
      byID[connection.id] = nil
    case .connected:
      break
    }
  }

  private func find(_ handle: ConnectionHandle) -> ServerConnection? {
    guard let connection = connections[handle.slot], connection.handle == handle else { return nil }
    return connection
  }

  private func accept(_ handle: ConnectionHandle, _ now: Nanoseconds) {
    guard !isStopping else {
      driver.abort(handle)
      return
    }
    report.connections += 1
    nextID += 1
    let deadline = now + configuration.handshakeTimeout
    do {
      let endpoint = try Self.makeEndpoint(configuration)
      var tls: TLSSession?
      if let context = configuration.tls { tls = try TLSSession(server: context) }
      let connection = ServerConnection(
        id: ConnectionID(nextID), handle: handle, endpoint: endpoint, tls: tls, deadline: deadline)
      if venue.servesHTTP { connection.requests = HTTPReader(bodyLimit: configuration.messageLimitBytes) }
      connections[handle.slot] = connection
      byID[connection.id] = connection
    } catch {
      // Out of memory: one connection less.
      report.refused += 1
      driver.abort(handle)
    }
  }

  private func received(_ bytes: UnsafeBufferPointer<UInt8>, _ connection: ServerConnection, _ now: Nanoseconds) {
    guard connection.phase != .left, connection.phase != .flushing else { return }
    markDirty(connection)
    guard connection.tls != nil else {
      consume(UnsafeRawBufferPointer(bytes), connection, now)
      return
    }
    var offset = 0
    while offset < bytes.count {
      guard let taken = connection.tls!.feed(UnsafeBufferPointer(rebasing: bytes[offset...])) else {
        fail(connection, now)
        return
      }
      offset += taken
      var read = connection.tls!.read(into: plaintext)
      while case .bytes(let count) = read {
        consume(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(plaintext)[..<count]), connection, now)
        guard connection.phase != .flushing else { return }
        read = connection.tls!.read(into: plaintext)
      }
      switch read {
      case .closed, .failed:
        fail(connection, now)
        return
      case .nothing, .bytes:
        // Nothing was taken and nothing read: the buffer is full of a record that never ends.
        if taken == 0 {
          fail(connection, now)
          return
        }
      }
    }
  }

  /// Takes plaintext.
  private func consume(_ bytes: UnsafeRawBufferPointer, _ connection: ServerConnection, _ now: Nanoseconds) {
    guard connection.requests != nil else {
      take(bytes, connection, now)
      return
    }
    connection.requests?.append(bytes)
    if connection.phase == .handshake {
      guard let isUpgrade = connection.requests?.isUpgrade else { return }
      if isUpgrade { return upgrade(connection, now) }
      connection.phase = .http
      connection.isKnown = true
      venue.connectHTTP(connection.id, now: now)
    }
    if connection.phase == .http { serveHTTP(connection, now) }
  }

  /// What has come, and all that follows, belongs to a WebSocket.
  private func upgrade(_ connection: ServerConnection, _ now: Nanoseconds) {
    let paths = venue.webSocketPaths
    if !paths.isEmpty, let path = connection.requests?.path, !paths.contains(path) {
      connection.plain += HTTPReader.refusal(status: 404)
      return fail(connection, now)
    }
    let bytes = connection.requests?.buffer ?? []
    connection.requests = nil
    bytes.withUnsafeBytes { take($0, connection, now) }
  }

  /// Hands the next request to the venue, unless the one before it is still unanswered.
  private func serveHTTP(_ connection: ServerConnection, _ now: Nanoseconds) {
    guard connection.phase == .http, !connection.isAnswering else { return }
    if connection.requests?.isUpgrade == true {
      // Clients that keep connections for later use one of them.
      forget(connection, now)
      byID[connection.id] = nil
      nextID += 1
      connection.id = ConnectionID(nextID)
      byID[connection.id] = connection
      connection.phase = .handshake
      connection.deadline = now + configuration.handshakeTimeout
      return upgrade(connection, now)
    }
    guard let result = connection.requests?.next() else { return }
    switch result {
    case .none: connection.deadline = now + configuration.httpTimeout
    case .failed(let status):
      connection.plain += HTTPReader.refusal(status: status)
      fail(connection, now)
    case .request(let request):
      connection.deadline = .max
      connection.isAnswering = true
      submit(connection.id, .request(request), now)
    }
  }

  /// Takes what belongs to a WebSocket.
  private func take(_ bytes: UnsafeRawBufferPointer, _ connection: ServerConnection, _ now: Nanoseconds) {
    connection.endpoint.receive(bytes)
    while true {
      switch connection.endpoint.next() {
      case .none:
        return
      case .opened:
        connection.phase = .open
        connection.nextPing = now + configuration.pingInterval
        connection.isKnown = true
        report.opened += 1
        venue.connect(connection.id, target: connection.endpoint.requestTarget, now: now)
      case .text(let payload):
        guard connection.isKnown else { continue }
        // Not copied where nothing is held back.
        if configuration.requestDelay == 0 {
          venue.receive(connection.id, text: payload, now: now)
        } else {
          submit(connection.id, .text(Array(payload)), now)
        }
      case .binary:
        // The protocol knows text only (reference 1.2).
        close(connection, code: 1003, now)
      case .ping:
        if connection.isKnown { venue.pinged(connection.id, now: now) }
      case .pong:
        connection.unansweredPings = 0
        if connection.isKnown { venue.pinged(connection.id, now: now) }
      case .closed, .failed:
        fail(connection, now)
      }
    }
  }

  // MARK: - Requests that are held back

  /// Hands a message to the venue, now or when it is due.
  private func submit(_ connection: ConnectionID, _ message: Held.Message, _ now: Nanoseconds) {
    guard configuration.requestDelay > 0 else { return hand(connection, message, now) }
    held.append(Held(due: now + configuration.requestDelay, connection: connection, message: message))
  }

  private func release(_ now: Nanoseconds) {
    while heldFirst < held.count, held[heldFirst].due <= now {
      let next = held[heldFirst]
      heldFirst += 1
      hand(next.connection, next.message, next.due)
    }
    if heldFirst == held.count {
      held.removeAll(keepingCapacity: true)
      heldFirst = 0
    } else if heldFirst >= 1024 {
      held.removeFirst(heldFirst)
      heldFirst = 0
    }
  }

  private func hand(_ connection: ConnectionID, _ message: Held.Message, _ now: Nanoseconds) {
    switch message {
    case .text(let text): text.withUnsafeBytes { venue.receive(connection, text: $0, now: now) }
    case .request(let request): venue.receive(connection, request: request, now: now)
    case .gone: venue.disconnected(connection, now: now)
    }
  }

  // MARK: - The end of a connection

  /// Nothing more is to be heard; what is queued (a close, an alert, a refusal) still leaves.
  private func fail(_ connection: ServerConnection, _ now: Nanoseconds) {
    guard connection.phase != .flushing, connection.phase != .left else { return }
    if connection.phase == .handshake { report.failedHandshakes += 1 }
    connection.phase = .flushing
    connection.deadline = now + configuration.closeTimeout
    markDirty(connection)
    forget(connection, now)
  }

  /// Starts the closing handshake.
  private func close(_ connection: ServerConnection, code: UInt16, _ now: Nanoseconds) {
    guard connection.phase == .open else { return }
    connection.endpoint.close(code: code)
    connection.phase = .closing
    connection.deadline = now + configuration.closeTimeout
    markDirty(connection)
    forget(connection, now)
  }

  /// Resets the connection.
  private func drop(_ connection: ServerConnection) {
    connection.phase = .left
    driver.abort(connection.handle)
  }

  /// Its session ends at the venue, if it had one.
  private func forget(_ connection: ServerConnection, _ now: Nanoseconds) {
    guard connection.isKnown else { return }
    connection.isKnown = false
    submit(connection.id, .gone, now)
  }

  /// Deadlines and pings.
  private func check(_ now: Nanoseconds) {
    for case let connection? in connections {
      switch connection.phase {
      case .handshake:
        guard now >= connection.deadline else { continue }
        report.failedHandshakes += 1
        drop(connection)
      case .open:
        guard now >= connection.nextPing else { continue }
        connection.nextPing = now + configuration.pingInterval
        if connection.unansweredPings >= configuration.missedPongs {
          report.deadPeers += 1
          // The code that WebSocket libraries use for a keepalive time-out.
          close(connection, code: 1011, now)
        } else {
          connection.unansweredPings += 1
          // A full output means a slow reader; the next message finds that out.
          _ = connection.endpoint.ping(UnsafeRawBufferPointer(start: nil, count: 0))
          markDirty(connection)
        }
      case .http:
        if now >= connection.deadline { fail(connection, now) }
      case .closing:
        // The peer does not answer: leave after what is queued.
        if now >= connection.deadline { fail(connection, now) }
      case .flushing:
        if now >= connection.deadline { drop(connection) }
      case .left:
        break
      }
    }
  }

  // MARK: - Output

  private func markDirty(_ connection: ServerConnection) {
    guard !connection.isDirty else { return }
    connection.isDirty = true
    dirty.append(connection)
  }

  /// Frames what the venue has to say.
  private func deliver(_ now: Nanoseconds) {
    while venue.hasOutput {
      venue.drain { id, outgoing in
        guard let connection = byID[id] else { return }
        if connection.phase == .http { return answerHTTP(connection, outgoing, now) }
        guard connection.phase == .open else { return }
        switch outgoing {
        case .text(let bytes):
          if connection.endpoint.sendText(bytes) {
            report.sent += 1
            markDirty(connection)
          } else if !makeRoom(connection, for: bytes) {
            report.slowReaders += 1
            drop(connection)
            doomed.append(connection)
          }
        case .close(let code):
          connection.endpoint.close(code: code, reason: venue.closeReason(code))
          connection.phase = .closing
          connection.deadline = now + configuration.closeTimeout
          connection.isKnown = false
          markDirty(connection)
        }
      }
      // Who has its answer may have sent the next request already.
      let answered = answeredHTTP
      answeredHTTP.removeAll(keepingCapacity: true)
      for connection in answered { serveHTTP(connection, now) }
      // Their orders die, which others may hear of.
      let list = doomed
      doomed.removeAll(keepingCapacity: true)
      for connection in list { forget(connection, now) }
    }
  }

  /// A response, or the end of a connection that speaks HTTP.
  private func answerHTTP(_ connection: ServerConnection, _ outgoing: Outgoing, _ now: Nanoseconds) {
    switch outgoing {
    case .text(let bytes):
      connection.plain += bytes
      connection.isAnswering = false
      connection.deadline = now + configuration.httpTimeout
      answeredHTTP.append(connection)
      report.sent += 1
    case .close:
      connection.isKnown = false
      connection.phase = .flushing
      connection.deadline = now + configuration.closeTimeout
    }
    markDirty(connection)
  }

  /// A burst of one turn may exceed the output of a reader that is not slow at all: hands over what the kernel takes,
  /// and tries again.
  private func makeRoom(_ connection: ServerConnection, for bytes: UnsafeRawBufferPointer) -> Bool {
    _ = connection.push(&driver)
    driver.flush()
    guard connection.endpoint.sendText(bytes) else { return false }
    report.sent += 1
    markDirty(connection)
    return true
  }

  private func push(_ now: Nanoseconds) {
    guard !dirty.isEmpty else { return }
    let list = dirty
    dirty.removeAll(keepingCapacity: true)
    for connection in list {
      connection.isDirty = false
      guard connection.push(&driver), connection.phase == .flushing else { continue }
      if connection.tls != nil {
        connection.tls!.close()
        _ = connection.push(&driver)
      }
      connection.phase = .left
      driver.close(connection.handle)
    }
  }
}
