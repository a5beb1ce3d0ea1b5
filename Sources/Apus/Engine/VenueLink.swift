import CSupport

/// What a `VenueLink` carries texts for.
protocol LinkSession: ~Copyable {
  /// The session stands: from here on the link is kept up by pings, and a lost one is made anew without a longer pause.
  var isReady: Bool { get }
  /// A connection is about to ask for the WebSocket upgrade.
  mutating func connected(key: [UInt8], maskSeed: UInt64, now: Nanoseconds)
  mutating func opened(_ link: inout VenueLink, now: Nanoseconds)
  /// Bytes have arrived; their texts follow, then `endRead`.
  mutating func beginRead(now: Nanoseconds)
  /// False gives the connection up.
  mutating func text(_ text: UnsafeRawBufferPointer, _ link: inout VenueLink, now: Nanoseconds) -> Bool
  mutating func endRead(now: Nanoseconds)
  /// What arrives on a link without a WebSocket. False gives the connection up.
  mutating func bytes(_ bytes: UnsafeRawBufferPointer, now: Nanoseconds) -> Bool
  mutating func lost(now: Nanoseconds)
}

extension LinkSession where Self: ~Copyable {
  mutating func connected(key: [UInt8], maskSeed: UInt64, now: Nanoseconds) {}
  mutating func beginRead(now: Nanoseconds) {}
  mutating func endRead(now: Nanoseconds) {}
  mutating func bytes(_ bytes: UnsafeRawBufferPointer, now: Nanoseconds) -> Bool { true }
}

/// A connection to a venue that is no lane's: made, and made anew when it is lost. A WebSocket is kept up by pings;
/// without one the bytes are the session's.
///
/// It blocks for as long as it is told to, and it allocates: not for a lane's thread. One thread at a time.
struct VenueLink: ~Copyable {
  enum State: Comparable {
    case down, connecting, securing, opening, open
  }

  /// Between two pings of an idle connection, and how long the venue may be silent.
  static let pingInterval: Nanoseconds = 5_000_000_000
  static let silenceLimit: Nanoseconds = 16_000_000_000
  private static let setupTimeout: Nanoseconds = 10_000_000_000
  private static let longestBackoff: Nanoseconds = 30_000_000_000

  private let address: VenueAddress
  private let context: TLSContext?
  private var driver: SocketDriver
  private let isWebSocket: Bool
  var endpoint: WebSocketEndpoint
  /// What is to be sent without a WebSocket.
  private var outgoing = OutgoingBytes()
  private var tls: TLSSession?
  private var connection = ConnectionHandle(rawValue: 0)
  private(set) var state = State.down
  private var since: Nanoseconds = 0
  private var lastHeard: Nanoseconds = 0
  private var lastPing: Nanoseconds = 0
  private var retryAt: Nanoseconds = 0
  private var failures = 0
  private let plaintext: UnsafeMutableBufferPointer<UInt8>
  /// Whether a connection is wanted at all.
  var isWanted = true
  /// Why the last connection could not be made or was lost, for people.
  private(set) var lastProblem: String?

  init(address: VenueAddress, tls context: TLSContext?, receiveBuffers: Int = 8, isWebSocket: Bool = true) throws {
    let endpoint = try WebSocketEndpoint(client: .init())
    let driver = try SocketDriver(
      SocketDriverConfiguration(
        connections: 2, receiveBufferBytes: 64 * 1024, receiveBuffers: receiveBuffers, sendBufferBytes: 1 << 18,
        kind: .epoll),
      eventsPerPoll: 16)
    self.address = address
    self.isWebSocket = isWebSocket
    self.context = context
    self.endpoint = endpoint
    self.driver = driver
    plaintext = .allocate(capacity: 32 * 1024)
  }

  deinit { plaintext.deallocate() }

  /// What wakes `turn` from another thread.
  func makeWaker() -> DriverWaker { driver.makeWaker() }

  /// Takes in what has arrived, keeps the connection up, sends what is pending. Sleeps for up to `wait`.
  mutating func turn(wait: Nanoseconds, _ session: inout some LinkSession & ~Copyable) {
    let count = driver.poll(wait: wait)
    let now = EngineClock.now()
    if count > 0 { for index in 0..<count { handle(driver.event(at: index), now, &session) } }
    mind(now, &session)
    flush()
  }

  /// Writes one text; false if there is no room for it, or nothing to write.
  mutating func write(_ encode: (UnsafeMutableRawBufferPointer) -> Int) -> Bool {
    let capacity = LaneOutput.frameCapacity
    guard let start = endpoint.beginText(maximum: capacity) else { return false }
    let count = encode(UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(start), count: capacity))
    guard count > 0 else {
      endpoint.dropText()
      return false
    }
    let isSent = endpoint.commitText(count)
    flush()
    return isSent
  }

  /// Without a WebSocket: bytes as they are.
  mutating func send(_ bytes: [UInt8]) {
    outgoing.append(bytes)
    flush()
  }

  /// Gives the connection up; the next one is made without a pause.
  mutating func drop(_ session: inout some LinkSession & ~Copyable) {
    guard state != .down else { return }
    lost("given up", EngineClock.now(), &session)
    failures = 0
    retryAt = 0
  }

  // MARK: - The connection

  private mutating func mind(_ now: Nanoseconds, _ session: inout some LinkSession & ~Copyable) {
    switch state {
    case .down:
      guard isWanted, now >= retryAt else { return }
      do {
        connection = try driver.connect(host: address.host, port: address.port)
        state = .connecting
        since = now
      } catch {
        lost("\(error)", now, &session)
      }
    case .open where session.isReady:
      failures = 0
      guard isWebSocket else { return }
      if now - lastHeard > Self.silenceLimit { return lost("the venue has been silent", now, &session) }
      if now - lastPing >= Self.pingInterval {
        lastPing = now
        _ = endpoint.ping(UnsafeRawBufferPointer(start: nil, count: 0))
      }
    default:
      if now - since > Self.setupTimeout { lost("no answer in time", now, &session) }
    }
  }

  private mutating func lost(_ problem: String, _ now: Nanoseconds, _ session: inout some LinkSession & ~Copyable) {
    if state != .down { driver.abort(connection) }
    state = .down
    tls = nil
    endpoint.reset()
    outgoing.removeAll()
    lastProblem = problem
    session.lost(now: now)
    retryAt = now + min(Self.longestBackoff, 500_000_000 << min(failures, 8))
    failures += 1
  }

  private mutating func handle(_ event: SocketEvent, _ now: Nanoseconds, _ session: inout some LinkSession & ~Copyable)
  {
    let isOurs = event.connection == connection && state != .down
    switch event.kind {
    case .received:
      if isOurs { received(event.payload, now, &session) }
      driver.release(event)
    case .connected:
      if isOurs { connected(now, &session) }
    case .connectFailed:
      if isOurs {
        lost(
          SocketDriver.explainConnect(error: event.error, host: address.host, port: address.port), now, &session)
      }
    case .closed:
      if isOurs { lost("the venue closed the connection", now, &session) }
    case .accepted, .writable: break
    }
  }

  private mutating func connected(_ now: Nanoseconds, _ session: inout some LinkSession & ~Copyable) {
    guard let context else { return open(now, &session) }
    do {
      tls = try TLSSession(client: context, host: address.host)
      state = .securing
    } catch {
      lost("\(error)", now, &session)
    }
  }

  private mutating func open(_ now: Nanoseconds, _ session: inout some LinkSession & ~Copyable) {
    guard isWebSocket else {
      state = .open
      session.opened(&self, now: now)
      return
    }
    guard let random = secureRandomBytes(count: 24) else { return lost("no random bytes", now, &session) }
    let seed = random[16...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let key = Array(random[..<16])
    do {
      try endpoint.start(host: address.hostField, path: address.path, key: key, maskSeed: seed)
      state = .opening
      lastHeard = now
      lastPing = now
      session.connected(key: key, maskSeed: seed, now: now)
    } catch {
      lost("\(error)", now, &session)
    }
  }

  private mutating func received(
    _ bytes: UnsafeBufferPointer<UInt8>, _ now: Nanoseconds, _ session: inout some LinkSession & ~Copyable
  ) {
    lastHeard = now
    guard tls != nil else { return plain(UnsafeRawBufferPointer(bytes), now, &session) }
    var offset = 0
    while offset < bytes.count, tls != nil {
      guard let taken = tls!.feed(UnsafeBufferPointer(rebasing: bytes[offset...])) else {
        return lost("TLS failed", now, &session)
      }
      offset += taken
      reading: while tls != nil {
        let read = tls!.read(into: plaintext)
        if state == .securing, isSecured { open(now, &session) }
        switch read {
        case .bytes(let count):
          plain(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(plaintext)[..<count]), now, &session)
        case .nothing: break reading
        case .closed, .failed: return lost("TLS was closed or failed", now, &session)
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

  private mutating func plain(
    _ bytes: UnsafeRawBufferPointer, _ now: Nanoseconds, _ session: inout some LinkSession & ~Copyable
  ) {
    guard isWebSocket else {
      if !session.bytes(bytes, now: now) { lost("the venue's answer cannot be read", now, &session) }
      return
    }
    endpoint.receive(bytes)
    session.beginRead(now: now)
    while true {
      switch endpoint.next() {
      case .none:
        session.endRead(now: now)
        return
      case .opened:
        state = .open
        session.opened(&self, now: now)
      case .text(let text):
        guard session.text(text, &self, now: now) else { return lost("the venue refused", now, &session) }
      case .closed(let code, _): return lost("the venue closed the WebSocket (code \(code))", now, &session)
      case .failed(let failure): return lost("\(failure)", now, &session)
      case .binary, .ping, .pong: continue
      }
    }
  }

  /// The first bytes of what is to be sent.
  private func pieceToSend(upTo room: Int) -> UnsafeBufferPointer<UInt8> {
    let all =
      isWebSocket
      ? endpoint.output.bindMemory(to: UInt8.self)
      : UnsafeBufferPointer(start: outgoing.memory, count: outgoing.count)
    return UnsafeBufferPointer(rebasing: all.prefix(room))
  }

  private mutating func took(_ count: Int) {
    if isWebSocket { endpoint.consumeOutput(count) } else { outgoing.removeFirst(count) }
  }

  mutating func flush() {
    guard state > .connecting else { return }
    if tls == nil, context == nil {
      let room = driver.sendSpace(connection).count
      let piece = pieceToSend(upTo: room)
      if piece.count > 0, driver.send(piece, on: connection) == .queued { took(piece.count) }
    } else if tls != nil {
      let piece = pieceToSend(upTo: Int(APUS_TLS_WRITE_BYTES))
      if piece.count > 0, tls!.write(piece) == .queued { took(piece.count) }
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

/// Bytes that wait to be sent, in memory that stays where it is until the next change.
private struct OutgoingBytes: ~Copyable {
  private(set) var memory: UnsafeMutablePointer<UInt8>?
  private(set) var count = 0
  private var capacity = 0

  deinit { memory?.deallocate() }

  mutating func append(_ bytes: [UInt8]) {
    if count + bytes.count > capacity {
      capacity = max(4096, 2 * (count + bytes.count))
      let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
      if let memory { larger.update(from: memory, count: count) }
      memory?.deallocate()
      memory = larger
    }
    guard let memory else { return }
    bytes.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { (memory + count).update(from: base, count: source.count) }
    }
    count += bytes.count
  }

  mutating func removeFirst(_ taken: Int) {
    count -= taken
    if let memory, count > 0 { memory.update(from: memory + taken, count: count) }
  }

  mutating func removeAll() { count = 0 }
}
