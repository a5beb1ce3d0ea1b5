import CSupport
import Glibc
import Synchronization

/// Socket and TLS of a second connection, until it takes the place of the first one.
struct SpareLink: ~Copyable {
  enum State: Comparable { case none, resolving, connecting, securing, up }

  var state = State.none
  var connection = ConnectionHandle(rawValue: 0)
  var tls: TLSSession?
  /// When this try began.
  var since: Nanoseconds = 0
  let lookup: HostLookup
  /// Tries so far: a host with several addresses is tried at one after the other.
  var tries = 0

  init(host: String) { lookup = HostLookup(host) }

  deinit { lookup.end() }

  func owns(_ handle: ConnectionHandle) -> Bool { state >= .connecting && handle == connection }

  var isSecured: Bool {
    switch tls {
    case .some(let session): session.state == .ready
    case .none: false
    }
  }
}

/// The addresses of a host, asked for on a thread of its own: the lane that wants to know is quoting.
///
/// The thread is started by whoever makes the lane, before the lane has a core and a priority of its own, and sleeps until
/// it is asked. An address needs no thread.
final class HostLookup: @unchecked Sendable {
  // Sendable: the semaphore is made for several threads, and the rest is behind the lock.
  private struct State {
    var addresses: [String]?
    var isEnding = false
  }

  private let host: String
  private let state = Mutex(State())
  private let asked: UnsafeMutablePointer<sem_t>
  private let hasThread: Bool

  /// Addresses as text; empty if there are none, `nil` as long as that is not known.
  var addresses: [String]? { state.withLock { $0.addresses } }

  init(_ host: String) {
    self.host = host
    asked = .allocate(capacity: 1)
    sem_init(asked, 0, 0)
    let numeric = Self.resolve(host, flags: AI_NUMERICHOST)
    hasThread = numeric.isEmpty
    guard hasThread else {
      state.withLock { $0.addresses = numeric }
      return
    }
    let reference = Unmanaged.passRetained(self)
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        let lookup = Unmanaged<HostLookup>.fromOpaque(argument!).takeRetainedValue()
        try? CPU.nameCurrentThread("apus-lookup")
        lookup.serve()
        return nil
      }, reference.toOpaque())
    guard code == 0 else {
      reference.release()
      state.withLock { $0.addresses = [] }
      return
    }
    pthread_detach(thread)
  }

  deinit {
    sem_destroy(asked)
    asked.deallocate()
  }

  private func serve() {
    while true {
      while sem_wait(asked) != 0 {}
      if state.withLock({ $0.isEnding }) { return }
      let list = Self.resolve(host, flags: 0)
      state.withLock { $0.addresses = list }
    }
  }

  /// Asks anew; the answer is in `addresses`. Does not wait.
  func ask() {
    guard hasThread else { return }
    state.withLock { $0.addresses = nil }
    sem_post(asked)
  }

  /// Lets the thread end.
  func end() {
    guard hasThread else { return }
    state.withLock { $0.isEnding = true }
    sem_post(asked)
  }

  private static func resolve(_ host: String, flags: Int32) -> [String] {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = flags
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
    defer { freeaddrinfo(list) }
    var texts: [String] = []
    var item = list
    while let entry = item {
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      if getnameinfo(
        entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
      {
        texts.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
      }
      item = entry.pointee.ai_next
    }
    return texts
  }
}

/// The second connection of a lane whose venue will close the first one. Cold, and beside the quoting that goes on: a
/// TLS handshake and the signature of a login take a few milliseconds of the lane's thread, once.
extension LaneRunner where Adapter: ~Copyable {
  /// Each turn while a second connection is wanted or there.
  @inline(never)
  mutating func mindSpare(_ now: Nanoseconds) {
    apus_realtime_allow_begin()
    defer { apus_realtime_allow_end() }
    if lane.isMoveDue, spare.state == .up {
      changeOver(isGone: false, now)
      return
    }
    if spare.state != .none, !lane.keepsStandby { spareFailed(now) }
    switch spare.state {
    case .none:
      guard lane.wantsStandby(now) else { return }
      spare.lookup.ask()
      spare.state = .resolving
      spare.since = now
    case .resolving:
      if let addresses = spare.lookup.addresses { connectSpare(addresses, now) } else { timeSpare(now) }
    case .connecting, .securing:
      timeSpare(now)
    case .up:
      break
    }
    sendSpare()
  }

  private mutating func timeSpare(_ now: Nanoseconds) {
    if now - spare.since > lane.settings.requestTimeout { spareFailed(now) }
  }

  private mutating func connectSpare(_ addresses: [String], _ now: Nanoseconds) {
    spare.tries += 1
    guard !addresses.isEmpty,
      let handle = try? driver.connect(host: addresses[(spare.tries - 1) % addresses.count], port: port)
    else { return spareFailed(now) }
    spare.connection = handle
    spare.state = .connecting
  }

  /// A driver's event of the second connection.
  @inline(never)
  mutating func handleSpare(_ event: SocketEvent, _ now: Nanoseconds) {
    apus_realtime_allow_begin()
    defer { apus_realtime_allow_end() }
    switch event.kind {
    case .received: spareReceived(event.payload, now)
    case .connected: spareConnected(now)
    case .connectFailed, .closed: spareFailed(now)
    case .accepted, .writable: break
    }
  }

  private mutating func spareConnected(_ now: Nanoseconds) {
    guard let tlsContext else { return openSpare(now) }
    do {
      spare.tls = try TLSSession(client: tlsContext, host: host)
      spare.state = .securing
      sendSpare()
    } catch {
      spareFailed(now)
    }
  }

  private mutating func openSpare(_ now: Nanoseconds) {
    guard let random = secureRandomBytes(count: 24) else { return spareFailed(now) }
    let seed = random[16...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    do {
      try lane.standbyConnected(key: Array(random[..<16]), maskSeed: seed, now: now)
      spare.state = .up
    } catch {
      spareFailed(now)
    }
  }

  private mutating func spareReceived(_ bytes: UnsafeBufferPointer<UInt8>, _ now: Nanoseconds) {
    guard spare.tls != nil else {
      if spare.state == .up { lane.standbyReceive(UnsafeRawBufferPointer(bytes), now: now) }
      return
    }
    var offset = 0
    while offset < bytes.count {
      guard let taken = spare.tls!.feed(UnsafeBufferPointer(rebasing: bytes[offset...])) else {
        return spareFailed(now)
      }
      offset += taken
      reading: while true {
        let read = spare.tls!.read(into: plaintext)
        if spare.state == .securing, spare.isSecured { openSpare(now) }
        guard spare.tls != nil else { return }
        switch read {
        case .bytes(let count):
          lane.standbyReceive(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(plaintext)[..<count]), now: now)
        case .nothing: break reading
        case .closed, .failed: return spareFailed(now)
        }
      }
      if taken == 0 { break }
    }
  }

  private mutating func sendSpare() {
    guard spare.state >= .securing else { return }
    if spare.state == .up {
      let bytes = lane.standby.endpoint.output.bindMemory(to: UInt8.self)
      if spare.tls != nil {
        let piece = UnsafeBufferPointer(rebasing: bytes.prefix(Int(APUS_TLS_WRITE_BYTES)))
        if piece.count > 0, spare.tls!.write(piece) == .queued { lane.standby.endpoint.consumeOutput(piece.count) }
      } else {
        let piece = UnsafeBufferPointer(rebasing: bytes.prefix(driver.sendSpace(spare.connection).count))
        if piece.count > 0, driver.send(piece, on: spare.connection) == .queued {
          lane.standby.endpoint.consumeOutput(piece.count)
        }
      }
    }
    while spare.tls != nil {
      let pending = spare.tls!.pending()
      let room = driver.sendSpace(spare.connection).count
      guard pending.count > 0, room > 0 else { break }
      let piece = UnsafeBufferPointer(rebasing: pending.prefix(room))
      guard driver.send(piece, on: spare.connection) == .queued else { break }
      spare.tls!.take(piece.count)
    }
  }

  /// The second connection could not be made, is gone, or is no longer wanted.
  private mutating func spareFailed(_ now: Nanoseconds) {
    dropSpare()
    lane.standbyLost(now: now)
  }

  /// Forgets the second connection.
  mutating func dropSpare() {
    if spare.state >= .connecting { driver.abort(spare.connection) }
    spare.state = .none
    spare.tls = nil
  }

  /// The second connection takes the place of the first one, which is closed: its last reports have been read, or it is
  /// gone.
  mutating func changeOver(isGone: Bool, _ now: Nanoseconds) {
    if isGone {
      driver.abort(connection)
    } else {
      _ = lane.output.endpoint.close(code: 1000)
      send()
      driver.close(connection)
    }
    connection = spare.connection
    tls = nil
    swap(&tls, &spare.tls)
    spare.state = .none
    spare.tries = 0
    lane.moveOver(now: now)
    send()
  }
}
