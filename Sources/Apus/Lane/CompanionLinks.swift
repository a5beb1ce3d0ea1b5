import CSupport

/// Socket and TLS of a companion of the lane's connection.
struct CompanionLink: ~Copyable {
  enum State { case down, connecting, securing, up }

  var state = State.down
  var connection = ConnectionHandle(rawValue: 0)
  var tls: TLSSession?
  /// When this try began.
  var since: Nanoseconds = 0

  init() {}

  var isSecured: Bool {
    switch tls {
    case .some(let session): session.state == .ready
    case .none: false
    }
  }

  /// Sends what the endpoint has written, as far as there is room.
  mutating func send(_ endpoint: inout WebSocketEndpoint, _ driver: inout SocketDriver) {
    guard state == .securing || state == .up else { return }
    if state == .up, endpoint.output.count > 0 {
      let bytes = endpoint.output.bindMemory(to: UInt8.self)
      if tls != nil {
        let piece = UnsafeBufferPointer(rebasing: bytes.prefix(Int(APUS_TLS_WRITE_BYTES)))
        if tls!.write(piece) == .queued { endpoint.consumeOutput(piece.count) }
      } else {
        let piece = UnsafeBufferPointer(rebasing: bytes.prefix(driver.sendSpace(connection).count))
        if piece.count > 0, driver.send(piece, on: connection) == .queued { endpoint.consumeOutput(piece.count) }
      }
    }
    while tls != nil {
      let pending = tls!.pending()
      let room = driver.sendSpace(connection).count
      guard pending.count > 0, room > 0 else { return }
      let piece = UnsafeBufferPointer(rebasing: pending.prefix(room))
      guard driver.send(piece, on: connection) == .queued else { return }
      tls!.take(piece.count)
    }
  }
}

/// The links of a lane's companions, by place, and the lane's end of the desk.
struct CompanionLinks: ~Copyable, @unchecked Sendable {
  // Sendable: the memory is owned by it alone.
  private let memory: UnsafeMutablePointer<CompanionLink>
  let count: Int
  var desk: DeskEnd?

  init(count: Int, desk: consuming DeskEnd?) {
    memory = .allocate(capacity: max(count, 1))
    for place in 0..<count { (memory + place).initialize(to: CompanionLink()) }
    self.count = count
    self.desk = desk
  }

  deinit {
    memory.deinitialize(count: count)
    memory.deallocate()
  }

  @inline(__always)
  func at(_ place: Int) -> UnsafeMutablePointer<CompanionLink> { memory + place }

  @inline(__always)
  func place(of connection: ConnectionHandle) -> Int? {
    for place in 0..<count where memory[place].state != .down && memory[place].connection == connection { return place }
    return nil
  }
}

/// The connections of a session beside the main one.
extension LaneRunner where Adapter: ~Copyable {
  /// Each turn of a lane that has companions.
  @inline(__always)
  mutating func turnCompanions(_ now: Nanoseconds) {
    takeAnswers(now)
    sendCompanions()
    guard lane.wantsCompanions, isUp else { return }
    for place in 0..<Adapter.companionCount where companions.at(place).pointee.state != .up {
      mindCompanion(place, now)
    }
  }

  private mutating func takeAnswers(_ now: Nanoseconds) {
    while let answer = companions.desk?.takeAnswer() {
      lane.answered(answer.text, companion: Adapter.companionCount - 1, now: now)
      companions.desk?.giveBack(answer)
    }
    while lane.output.companions.hasQuestions, companions.desk != nil {
      guard lane.output.companions.takeQuestion({ companions.desk!.push($0) }) else { return }
    }
  }

  @inline(__always)
  mutating func sendCompanions() {
    for place in 0..<Adapter.companionCount {
      companions.at(place).pointee.send(&lane.output.companions.at(place).pointee.endpoint, &driver)
    }
  }

  /// Cold: until it stands.
  @inline(never)
  private mutating func mindCompanion(_ place: Int, _ now: Nanoseconds) {
    guard Adapter.companion(place) != .desk else { return }
    apus_realtime_allow_begin()
    defer { apus_realtime_allow_end() }
    let link = companions.at(place)
    guard link.pointee.state == .down else {
      if now - link.pointee.since > lane.settings.setupTimeout { companionLost(place, "no answer in time", now) }
      return
    }
    do {
      link.pointee.connection = try driver.connect(host: host, port: port)
      link.pointee.state = .connecting
      link.pointee.since = now
    } catch {
      companionLost(place, error.description, now)
    }
  }

  /// What the driver tells of a companion, bytes apart. Cold.
  @inline(never)
  mutating func companionChanged(_ place: Int, _ event: SocketEvent, _ now: Nanoseconds) {
    apus_realtime_allow_begin()
    defer { apus_realtime_allow_end() }
    switch event.kind {
    case .connected:
      guard let tlsContext else { return openCompanion(place, now) }
      do {
        companions.at(place).pointee.tls = try TLSSession(client: tlsContext, host: host)
        companions.at(place).pointee.state = .securing
      } catch {
        companionLost(place, error.description, now)
      }
    case .connectFailed:
      companionLost(place, SocketDriver.explainConnect(error: event.error, host: host, port: port), now)
    case .closed: companionLost(place, "the venue closed one of the session's connections", now)
    case .received, .accepted, .writable: break
    }
  }

  @inline(never)
  private mutating func openCompanion(_ place: Int, _ now: Nanoseconds) {
    guard let random = secureRandomBytes(count: 24) else {
      return companionLost(place, "the system's random generator failed", now)
    }
    let seed = random[16...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    do {
      try lane.companionConnected(place, key: Array(random[..<16]), maskSeed: seed, now: now)
      companions.at(place).pointee.state = .up
    } catch {
      companionLost(place, "\(error)", now)
    }
  }

  mutating func companionReceived(_ place: Int, _ bytes: UnsafeBufferPointer<UInt8>, _ now: Nanoseconds) {
    let link = companions.at(place)
    guard link.pointee.tls != nil else {
      if link.pointee.state == .up { lane.receive(UnsafeRawBufferPointer(bytes), companion: place, now: now) }
      return
    }
    var offset = 0
    while offset < bytes.count, link.pointee.tls != nil {
      guard let taken = link.pointee.tls!.feed(UnsafeBufferPointer(rebasing: bytes[offset...])) else {
        return companionLost(place, "TLS failed", now)
      }
      offset += taken
      reading: while link.pointee.tls != nil {
        let read = link.pointee.tls!.read(into: plaintext)
        if link.pointee.state == .securing, link.pointee.isSecured { openCompanion(place, now) }
        switch read {
        case .bytes(let count):
          lane.receive(
            UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(plaintext)[..<count]), companion: place, now: now)
        case .nothing: break reading
        case .closed, .failed:
          return companionLost(place, "the venue closed one of the session's connections, or TLS failed", now)
        }
      }
      if taken == 0 { break }
    }
  }

  @inline(never)
  private mutating func companionLost(_ place: Int, _ reason: String, _ now: Nanoseconds) {
    lastError = reason
    dropCompanion(place)
    lane.companionLost(place, now: now)
  }

  /// Forgets all companions: the session is over.
  mutating func dropCompanions() {
    for place in 0..<companions.count { dropCompanion(place) }
  }

  private mutating func dropCompanion(_ place: Int) {
    let link = companions.at(place)
    if link.pointee.state != .down { driver.abort(link.pointee.connection) }
    link.pointee.state = .down
    link.pointee.tls = nil
  }
}
