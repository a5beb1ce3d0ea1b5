import CSupport

/// A connection of the session beside the main one, as the lane sees it.
struct LaneCompanion: ~Copyable {
  var endpoint: WebSocketEndpoint
  /// Its number in the journal; 0: there is none now.
  var connection: UInt32 = 0
  /// The WebSocket is open, or for the desk: questions can be asked.
  var isOpen = false
  var lastHeard: Nanoseconds = 0

  init() throws(WebSocketSetupError) { endpoint = try WebSocketEndpoint(client: .init()) }
}

/// The companions of a lane's connection, by place, and the questions for the desk that the network has not taken yet.
struct LaneCompanions: ~Copyable, @unchecked Sendable {
  // Sendable: the memory is owned by it alone.
  private let memory: UnsafeMutablePointer<LaneCompanion>
  let count: Int
  /// Lengths and texts of questions, oldest first.
  private let questions: UnsafeMutableRawBufferPointer
  private var questionCount = 0
  private static let questionsAtOnce = 8

  /// - Parameter count: 0 for a venue with one connection.
  init(count: Int) throws(WebSocketSetupError) {
    let memory = UnsafeMutablePointer<LaneCompanion>.allocate(capacity: max(count, 1))
    var made = 0
    do {
      while made < count {
        (memory + made).initialize(to: try LaneCompanion())
        made += 1
      }
    } catch {
      memory.deinitialize(count: made)
      memory.deallocate()
      throw error
    }
    self.memory = memory
    self.count = count
    questions = .allocate(
      byteCount: count > 0 ? Self.questionsAtOnce * Self.stride : 0, alignment: MemoryLayout<Int>.alignment)
  }

  deinit {
    memory.deinitialize(count: count)
    memory.deallocate()
    questions.deallocate()
  }

  private static var stride: Int { DeskRequest.capacity + MemoryLayout<Int>.size }

  @inline(__always)
  func at(_ place: Int) -> UnsafeMutablePointer<LaneCompanion> {
    precondition(place >= 0 && place < count)
    return memory + place
  }

  /// The place of the companion with this number in the journal.
  func place(of connection: UInt32) -> Int? { (0..<count).first { memory[$0].connection == connection } }

  mutating func reset() {
    for place in 0..<count {
      memory[place].endpoint.reset()
      memory[place].connection = 0
      memory[place].isOpen = false
    }
    questionCount = 0
  }

  /// Room for a question; `nil` if too many wait.
  func beginQuestion() -> UnsafeMutableRawBufferPointer? {
    guard questionCount < Self.questionsAtOnce, let base = questions.baseAddress else { return nil }
    return UnsafeMutableRawBufferPointer(
      start: base + questionCount * Self.stride + MemoryLayout<Int>.size, count: DeskRequest.capacity)
  }

  mutating func commitQuestion(_ count: Int) {
    questions.baseAddress!.storeBytes(of: count, toByteOffset: questionCount * Self.stride, as: Int.self)
    questionCount += 1
  }

  var hasQuestions: Bool { questionCount > 0 }

  /// Hands the oldest question to `body`, which says whether it has taken it.
  mutating func takeQuestion(_ body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
    guard questionCount > 0, let base = questions.baseAddress else { return false }
    let count = base.loadUnaligned(as: Int.self)
    guard body(UnsafeRawBufferPointer(start: base + MemoryLayout<Int>.size, count: count)) else { return false }
    questionCount -= 1
    base.copyMemory(from: base + Self.stride, byteCount: questionCount * Self.stride)
    return true
  }
}

extension LaneOutput {
  /// What is written and noted in `body` goes to a companion. Cold.
  @discardableResult
  mutating func on<Result>(_ place: Int, _ body: (inout LaneOutput) -> Result) -> Result {
    let companion = companions.at(place)
    swap(&endpoint, &companion.pointee.endpoint)
    let main = records.on(companion.pointee.connection)
    let result = body(&self)
    _ = records.on(main)
    swap(&endpoint, &companion.pointee.endpoint)
    return result
  }

  /// Writes a question for the desk at `place`; false if there is no room, or nothing to ask.
  mutating func ask(_ place: Int, _ encode: (UnsafeMutableRawBufferPointer) -> Int) -> Bool {
    guard !(records.isReplay && records.hadNoRoom()), let buffer = companions.beginQuestion() else {
      records.noRoom(now: now)
      return false
    }
    let count = encode(buffer)
    guard count > 0 else { return false }
    let main = records.on(companions.at(place).pointee.connection)
    records.outbound(UnsafeRawBufferPointer(start: buffer.baseAddress, count: count), now: now)
    _ = records.on(main)
    companions.commitQuestion(count)
    bytesOut += count
    return true
  }
}

/// Sessions of several connections. They stand and fall together: when one is lost all of them are made anew.
extension Lane where Adapter: ~Copyable {
  /// How long after the loss of a companion the main connection is kept, to take away what rests.
  private static var farewell: Nanoseconds { 100_000_000 }

  /// Whether the companions that are down are to be connected now.
  var wantsCompanions: Bool {
    Adapter.companionCount > 0 && adapter.phase != .offline && adapter.phase != .failed
      && session.companionLostAt == nil
  }

  /// The main connection is up: the desk may be asked.
  mutating func openDesk(_ now: Nanoseconds) {
    for place in 0..<Adapter.companionCount where Adapter.companion(place) == .desk {
      let desk = output.companions.at(place)
      desk.pointee.connection = output.records.newConnection()
      desk.pointee.isOpen = true
      desk.pointee.lastHeard = now
    }
  }

  /// A companion's transport is up: begins its WebSocket upgrade. As `connected`.
  mutating func companionConnected(
    _ place: Int, key: [UInt8], maskSeed: UInt64, now: Nanoseconds
  ) throws(WebSocketSetupError) {
    guard place < Adapter.companionCount, case .socket(let path) = Adapter.companion(place) else { return }
    setTime(now)
    let companion = output.companions.at(place)
    companion.pointee.connection = output.records.companionConnected(place, key: key, maskSeed: maskSeed, now: now)
    companion.pointee.lastHeard = now
    try companion.pointee.endpoint.start(host: settings.host, path: settings.path + path, key: key, maskSeed: maskSeed)
  }

  /// Bytes of a companion's plain stream. As `receive`.
  mutating func receive(_ bytes: UnsafeRawBufferPointer, companion place: Int, now: Nanoseconds) {
    setTime(now)
    let companion = output.companions.at(place)
    companion.pointee.lastHeard = now
    companion.pointee.endpoint.receive(bytes)
    output.records.beginRead()
    while true {
      switch companion.pointee.endpoint.next() {
      case .none:
        companionHeard(place, now)
        lookAll(now)
        return
      case .opened:
        companionOpened(place, now)
      case .text(let text):
        handle(text, companion: place, now)
      case .binary, .ping, .pong:
        continue
      case .closed(let code, _):
        companionClosed(place, .closed, UInt64(code), 0, now)
        return
      case .failed(let failure):
        let (raw, code) = failure.raw
        companionClosed(place, .failed, UInt64(raw.rawValue), UInt64(code), now)
        return
      }
    }
  }

  /// A read has been dealt with; one in which nothing was said is noted too.
  mutating func companionHeard(_ place: Int, _ now: Nanoseconds) {
    let main = output.records.on(output.companions.at(place).pointee.connection)
    output.records.endRead(now: now)
    _ = output.records.on(main)
  }

  @inline(never)
  mutating func companionOpened(_ place: Int, _ now: Nanoseconds) {
    let main = output.records.on(output.companions.at(place).pointee.connection)
    output.records.event(.opened, now: now)
    _ = output.records.on(main)
    output.companions.at(place).pointee.isOpen = true
    adapter.openedCompanion(place, token: makeToken(), output: &output)
  }

  @inline(never)
  mutating func companionClosed(
    _ place: Int, _ kind: ControlKind, _ first: UInt64, _ second: UInt64, _ now: Nanoseconds
  ) {
    let main = output.records.on(output.companions.at(place).pointee.connection)
    output.records.event(kind, first, second, now: now)
    _ = output.records.on(main)
    giveUpCompanion(place, now)
  }

  /// A text of a companion, or an answer of the desk.
  mutating func handle(_ text: UnsafeRawBufferPointer, companion place: Int, _ now: Nanoseconds) {
    core.counters.framesIn += 1
    core.counters.bytesIn += text.count
    let main = output.records.on(output.companions.at(place).pointee.connection)
    output.records.inbound(text, now: now)
    _ = output.records.on(main)
    stages.end(.receive)
    adapter.decode(text, companion: place, into: &core)
    conclude(now)
    stages.end(.decode)
    adapter.goOn(output: &output)
  }

  /// A whole answer of the desk.
  mutating func answered(_ text: UnsafeRawBufferPointer, companion place: Int, now: Nanoseconds) {
    // One to a question of the session before is for nobody.
    guard output.companions.at(place).pointee.isOpen else { return }
    setTime(now)
    output.companions.at(place).pointee.lastHeard = now
    output.records.beginRead()
    handle(text, companion: place, now)
    lookAll(now)
  }

  /// The network has lost a companion.
  mutating func companionLost(_ place: Int, now: Nanoseconds) {
    setTime(now)
    output.records.control(.companionLost, UInt64(place), now: now)
    giveUpCompanion(place, now)
    lookAll(now)
  }

  /// Where the main connection stands, what rests is cancelled on it before all of them are made anew: without all of them
  /// nothing is known, and not every venue cancels by itself.
  private mutating func giveUpCompanion(_ place: Int, _ now: Nanoseconds) {
    output.companions.at(place).pointee.endpoint.reset()
    output.companions.at(place).pointee.isOpen = false
    guard session.companionLostAt == nil else { return }
    session.companionLostAt = now
    guard adapter.phase == .ready else {
      session.closeReason = .companion
      return
    }
    session.isFrozen = true
    core.markAllDirty()
    nextTimerAt = now
  }

  /// By the timers.
  @inline(never)
  mutating func mindCompanions(_ now: Nanoseconds) {
    if let lostAt = session.companionLostAt, now - lostAt >= Self.farewell { session.closeReason = .companion }
    for place in 0..<Adapter.companionCount where Adapter.companion(place) != .desk {
      let companion = output.companions.at(place)
      if companion.pointee.isOpen, now - companion.pointee.lastHeard > settings.silenceLimit {
        session.closeReason = .silence
      }
    }
  }

  /// Signs of life, every `pingInterval`.
  mutating func pingCompanions(_ now: Nanoseconds) {
    for place in 0..<Adapter.companionCount where output.companions.at(place).pointee.isOpen {
      if Adapter.companion(place) == .desk { continue }
      _ = output.companions.at(place).pointee.endpoint.ping(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    adapter.stayAlive(now: now, output: &output)
  }
}
