import CSupport

/// A second connection to the venue beside a lane's: logged in, asking what rests and cancelling by the venue's id.
///
/// For the watchdog and for drills; it quotes nothing and needs no lane. It blocks for as long as it is told to, and it
/// allocates: not for a lane's thread. One thread at a time.
struct SideLink: ~Copyable {
  enum State: Comparable {
    case down, connecting, securing, opening, loggingIn, listing, ready
  }

  struct Settings {
    var address: VenueAddress
    var account: String?
    var instruments: [String]
    /// Orders whose label begins so are ours (R14).
    var labelPrefix: String
    var tls: TLSContext?
    /// Made anew for each login, from the key's one source of times.
    var makeToken: @Sendable () -> String
  }

  /// Between two pings of an idle connection, and how long the venue may be silent.
  static let pingInterval: Nanoseconds = 5_000_000_000
  static let silenceLimit: Nanoseconds = 16_000_000_000
  private static let setupTimeout: Nanoseconds = 10_000_000_000
  private static let longestBackoff: Nanoseconds = 30_000_000_000

  private let settings: Settings
  private var driver: SocketDriver
  private var endpoint: WebSocketEndpoint
  private var tls: TLSSession?
  private var decoder: ThalexDecoder
  private let encoder: ThalexEncoder
  private var sink = SideSink()
  private var connection = ConnectionHandle(rawValue: 0)
  private(set) var state = State.down
  private var since: Nanoseconds = 0
  private var lastHeard: Nanoseconds = 0
  private var lastPing: Nanoseconds = 0
  private var retryAt: Nanoseconds = 0
  private var failures = 0
  private var serial: UInt64 = 1 << 20
  private var queryAt: Nanoseconds?
  private let plaintext: UnsafeMutableBufferPointer<UInt8>
  /// Whether a connection is wanted at all.
  var isWanted = true

  init(_ settings: Settings) throws {
    var decoder = try ThalexDecoder(
      instrumentCapacity: max(settings.instruments.count, 1), channelCapacity: 1, labelPrefix: settings.labelPrefix)
    for name in settings.instruments { _ = try decoder.want(instrument: name) }
    let encoder = try ThalexEncoder(instrumentCapacity: max(settings.instruments.count, 1), label: "")
    let endpoint = try WebSocketEndpoint(client: .init())
    let driver = try SocketDriver(
      SocketDriverConfiguration(
        connections: 2, receiveBufferBytes: 64 * 1024, receiveBuffers: 8, sendBufferBytes: 1 << 18, kind: .epoll),
      eventsPerPoll: 16)
    self.settings = settings
    self.decoder = decoder
    self.encoder = encoder
    self.endpoint = endpoint
    self.driver = driver
    plaintext = .allocate(capacity: 32 * 1024)
  }

  deinit { plaintext.deallocate() }

  /// What wakes `turn` from another thread.
  func makeWaker() -> DriverWaker { driver.makeWaker() }

  /// Takes in what has arrived, keeps the connection up, sends what is pending. Sleeps for up to `wait`.
  mutating func turn(wait: Nanoseconds) {
    let count = driver.poll(wait: wait)
    let now = EngineClock.now()
    if count > 0 { for index in 0..<count { handle(driver.event(at: index), now) } }
    mind(now)
    flush()
  }

  // MARK: - Requests

  /// Asks what rests; the answer is in `takeAnswer`. False if there is no session or a question is under way.
  mutating func askForOrders() -> Bool {
    let now = EngineClock.now()
    // A question that is not answered is asked again.
    if let asked = queryAt, now - asked < 1_000_000_000 { return false }
    guard state == .ready else { return false }
    serial += 1
    let id = ThalexRequestID.session(.openOrders, serial: serial)
    decoder.awaitedOrdersID = id
    sink.beginQuestion()
    guard write({ encoder, memory in encoder.openOrders(into: memory, id: id) }) else { return false }
    queryAt = now
    return true
  }

  /// Our orders that rest, once an answer has come; `nil` before.
  mutating func takeAnswer() -> [VenueID]? {
    guard sink.isAnswered else { return nil }
    sink.isAnswered = false
    queryAt = nil
    return (0..<sink.count).map { sink.resting[$0] }
  }

  mutating func cancel(_ order: VenueID) {
    _ = write { encoder, memory in encoder.cancel(into: memory, venueID: order, operand: 0) }
  }

  /// Every mass quote of the account, those of other engines included.
  mutating func cancelMassQuotes() {
    var text = "{\"method\":\"private/cancel_mass_quote\",\"id\":\(UInt64(1) << 40),\"params\":{}}"
    text.withUTF8 { _ = endpoint.sendText(UnsafeRawBufferPointer($0)) }
    flush()
  }

  private mutating func write(_ encode: (borrowing ThalexEncoder, UnsafeMutableRawBufferPointer) -> Int) -> Bool {
    let capacity = LaneOutput.frameCapacity
    guard let start = endpoint.beginText(maximum: capacity) else { return false }
    let count = encode(encoder, UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(start), count: capacity))
    guard count > 0 else {
      endpoint.dropText()
      return false
    }
    let isSent = endpoint.commitText(count)
    flush()
    return isSent
  }

  // MARK: - The connection

  private mutating func mind(_ now: Nanoseconds) {
    switch state {
    case .down:
      guard isWanted, now >= retryAt else { return }
      do {
        connection = try driver.connect(host: settings.address.host, port: settings.address.port)
        state = .connecting
        since = now
      } catch {
        lost(now)
      }
    case .ready:
      if now - lastHeard > Self.silenceLimit { return lost(now) }
      if now - lastPing >= Self.pingInterval {
        lastPing = now
        _ = endpoint.ping(UnsafeRawBufferPointer(start: nil, count: 0))
      }
    default:
      if now - since > Self.setupTimeout { lost(now) }
    }
  }

  private mutating func lost(_ now: Nanoseconds) {
    if state != .down { driver.abort(connection) }
    state = .down
    tls = nil
    queryAt = nil
    sink = SideSink()
    endpoint.reset()
    retryAt = now + min(Self.longestBackoff, 500_000_000 << min(failures, 8))
    failures += 1
  }

  private mutating func handle(_ event: SocketEvent, _ now: Nanoseconds) {
    let isOurs = event.connection == connection && state != .down
    switch event.kind {
    case .received:
      if isOurs { received(event.payload, now) }
      driver.release(event)
    case .connected:
      if isOurs { connected(now) }
    case .connectFailed, .closed:
      if isOurs { lost(now) }
    case .accepted, .writable: break
    }
  }

  private mutating func connected(_ now: Nanoseconds) {
    guard let context = settings.tls else { return open(now) }
    do {
      tls = try TLSSession(client: context, host: settings.address.host)
      state = .securing
    } catch {
      lost(now)
    }
  }

  private mutating func open(_ now: Nanoseconds) {
    guard let random = secureRandomBytes(count: 24) else { return lost(now) }
    let seed = random[16...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    do {
      try endpoint.start(
        host: settings.address.hostField, path: settings.address.path, key: Array(random[..<16]), maskSeed: seed)
      state = .opening
      lastHeard = now
      lastPing = now
    } catch {
      lost(now)
    }
  }

  private mutating func received(_ bytes: UnsafeBufferPointer<UInt8>, _ now: Nanoseconds) {
    lastHeard = now
    guard tls != nil else { return plain(UnsafeRawBufferPointer(bytes), now) }
    var offset = 0
    while offset < bytes.count, tls != nil {
      guard let taken = tls!.feed(UnsafeBufferPointer(rebasing: bytes[offset...])) else { return lost(now) }
      offset += taken
      reading: while tls != nil {
        let read = tls!.read(into: plaintext)
        if state == .securing, isSecured { open(now) }
        switch read {
        case .bytes(let count):
          plain(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(plaintext)[..<count]), now)
        case .nothing: break reading
        case .closed, .failed: return lost(now)
        }
      }
      if taken == 0 { return }
    }
  }

  private var isSecured: Bool {
    switch tls {
    case .some(let session): session.state == .ready
    case .none: false
    }
  }

  private mutating func plain(_ bytes: UnsafeRawBufferPointer, _ now: Nanoseconds) {
    endpoint.receive(bytes)
    while true {
      switch endpoint.next() {
      case .none: return
      case .opened:
        state = .loggingIn
        let token = settings.makeToken()
        let account = settings.account
        _ = write { encoder, memory in
          encoder.login(into: memory, id: ThalexRequestID.session(.login), token: token, account: account)
        }
      case .text(let text):
        decoder.decode(text, into: &sink)
        advance(now)
        if state == .down { return }
      case .closed, .failed:
        lost(now)
        return
      case .binary, .ping, .pong: continue
      }
    }
  }

  private mutating func advance(_ now: Nanoseconds) {
    if sink.isRefused { return lost(now) }
    if state == .loggingIn, sink.isLoggedIn {
      state = .listing
      _ = write { encoder, memory in encoder.instruments(into: memory, id: ThalexRequestID.session(.instruments)) }
    }
    if state == .listing, sink.isListed {
      state = .ready
      failures = 0
    }
  }

  private mutating func flush() {
    guard state > .connecting else { return }
    if tls == nil, settings.tls == nil {
      let bytes = endpoint.output.bindMemory(to: UInt8.self)
      let piece = UnsafeBufferPointer(rebasing: bytes.prefix(driver.sendSpace(connection).count))
      if piece.count > 0, driver.send(piece, on: connection) == .queued { endpoint.consumeOutput(piece.count) }
    } else if tls != nil {
      let bytes = endpoint.output.bindMemory(to: UInt8.self)
      let piece = UnsafeBufferPointer(rebasing: bytes.prefix(Int(APUS_TLS_WRITE_BYTES)))
      if piece.count > 0, tls!.write(piece) == .queued { endpoint.consumeOutput(piece.count) }
      while true {
        let pending = tls!.pending()
        let room = driver.sendSpace(connection).count
        guard pending.count > 0, room > 0 else { break }
        let part = UnsafeBufferPointer(rebasing: pending.prefix(room))
        guard driver.send(part, on: connection) == .queued else { break }
        tls!.take(part.count)
      }
    }
    driver.flush()
  }
}

/// Takes from the decoder what a side link needs: whether the session stands, and which orders of ours rest.
private struct SideSink: ~Copyable, SelectiveEventSink {
  private(set) var isLoggedIn = false
  private(set) var isListed = false
  private(set) var isRefused = false
  /// Fixed memory: the decoder's code is the lane's, whose guards find any allocation in it. What does not fit is in the
  /// answer to the next question.
  let resting: UnsafeMutablePointer<VenueID>
  private static let capacity = 1024
  private(set) var count = 0
  var isAnswered = false
  private var isInQuery = false

  init() { resting = .allocate(capacity: Self.capacity) }

  deinit { resting.deallocate() }

  mutating func beginQuestion() {
    isAnswered = false
    count = 0
  }

  mutating func snapshotBegin(_ kind: SnapshotKind) {
    guard kind == .openOrders else { return }
    isInQuery = true
    count = 0
  }

  mutating func snapshotEnd(_ kind: SnapshotKind) {
    guard kind == .openOrders, isInQuery else { return }
    isInQuery = false
    isAnswered = true
  }

  mutating func order(_ report: OrderReport) {
    guard isInQuery, report.isLabelledOurs, report.status.isLive, report.venueID.count > 0, count < Self.capacity
    else { return }
    resting[count] = report.venueID
    count += 1
  }

  mutating func replied(_ request: RequestKind, value: Int64) {
    switch request {
    case .session(.login): isLoggedIn = true
    case .session(.instruments): isListed = true
    default: break
    }
  }

  mutating func refused(_ request: RequestKind, code: Int64) {
    switch request {
    case .session(.login), .session(.instruments): isRefused = true
    default: break
    }
  }
}
