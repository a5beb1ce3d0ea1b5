public import Apus
import CSupport
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// A simulated venue on a TCP port of this machine that lets things go wrong on command: for a real engine.
///
/// WebSocket without TLS, on one thread. What goes wrong is the same `FaultInjector` as on virtual time, between the
/// framing and the venue; connections are reset for real. Made on any thread; `run` is called once, from the thread
/// that does the work. `stop`, `play`, `books` and the like may be called from other threads while it runs.
// Sendable: all but the mailbox, the stop word and the waker belongs to the thread in `run`; others reach it through
// the mailbox only.
public final class ChaosServer: @unchecked Sendable {
  private let venue: SimulatedVenue
  private let flow: FaultyFlow
  private let names: [String]
  private var driver: SocketDriver
  private let waker: DriverWaker
  private let stopWord = Atomic<Bool>(false)
  private let mailbox = Mutex<[@Sendable (ChaosServer) -> Void]>([])
  private let origin: Nanoseconds
  private let seed: UInt64
  private var plays: UInt64 = 0

  public let port: UInt16
  public var url: String { "ws://127.0.0.1:\(port)/ws/api/v2" }

  private var injector = FaultInjector([], seed: 1)
  private var playBegan: Nanoseconds = 0
  private var halted: Set<String> = []

  private final class Peer {
    let id: ConnectionID
    let handle: ConnectionHandle
    var endpoint: WebSocketEndpoint
    /// The WebSocket is open, and the venue knows of it.
    var isKnown = false
    var isLeaving = false
    /// Bytes that have come while nothing is read.
    var waiting: [UInt8] = []

    init(id: ConnectionID, handle: ConnectionHandle) throws(WebSocketSetupError) {
      self.id = id
      self.handle = handle
      endpoint = try WebSocketEndpoint(
        server: "/ws/api/v2", limits: .init(messageBytes: 1 << 18, outputBytes: 8 << 20))
    }
  }
  private var peers: [UInt16: Peer] = [:]
  private var peersByID: [ConnectionID: Peer] = [:]
  private var nextID: UInt64 = 0

  /// - Parameters:
  ///   - instruments: `BTC-PERPETUAL` and `ETH-PERPETUAL`, or one of them.
  ///   - verifier: checks login tokens.
  public init(
    instruments: [InstrumentSpec], seed: UInt64, driver choice: DriverChoice, verifier: sending (any TokenVerifier)?
  ) throws(VenueServerError) {
    self.seed = seed
    names = instruments.map(\.name)
    var driver: SocketDriver
    do {
      driver = try SocketDriver(
        SocketDriverConfiguration(
          connections: 64, sendBufferBytes: 64 * 1024, closeTimeout: 1_000_000_000, kind: choice.kind),
        eventsPerPoll: 64)
    } catch { throw .driver(error) }
    do {
      port = try driver.listen(host: "127.0.0.1", port: 0).port
    } catch { throw .listen(error) }
    waker = driver.makeWaker()
    self.driver = driver
    origin = EngineClock.now()
    flow = FaultyFlow(
      SyntheticFlow(
        seed: seed,
        streams: instruments.enumerated().map { index, spec in
          SyntheticFlow.Stream(
            instrument: FlowInstrument(index: index, grid: spec.grid), startE8: spec.initialIndexE8,
            levelLots: spec.premiumLots.rawValue / 2)
        }))
    var configuration = VenueConfiguration()
    configuration.instruments = instruments
    configuration.seed = seed
    configuration.wallClockBase = origin + EngineClock.wallOffset()
    do {
      venue = try SimulatedVenue(configuration, flow: flow, verifier: verifier)
    } catch { throw .venue(error) }
  }

  // MARK: - From other threads

  /// Ends `run`. Idempotent.
  public func stop() {
    // Relaxed: the word carries no other data, and the wake makes the server look at it.
    stopWord.store(true, ordering: .relaxed)
    waker.wake()
  }

  /// Has `body` called on the server's thread, and waits for it. Only while `run` runs.
  private func ask<T: Sendable>(_ body: @escaping @Sendable (ChaosServer) -> T) -> T? {
    let box = AnswerBox<T>()
    mailbox.withLock { $0.append { server in box.set(body(server)) } }
    waker.wake()
    return box.wait()
  }

  /// Lets faults go wrong from now on, in place of what went wrong before; their times count from now.
  public func play(_ faults: [TimedFault]) {
    _ = ask { server in
      server.plays += 1
      server.injector = FaultInjector(faults, seed: server.seed &+ server.plays)
      server.playBegan = server.elapsed()
      return true
    }
  }

  /// Frames that the faults of the last `play` have struck.
  public var struck: Int { ask { $0.injector.struck } ?? 0 }

  /// The venue's own books of the one account; `nil` before the first login.
  public var books: AccountBooks? {
    ask { server in server.venue.accountNames.first.flatMap { server.venue.books($0) } } ?? nil
  }

  /// Forgets the largest worst case and position seen so far: each scenario has its own.
  public func forgetExposure() {
    _ = ask { server in
      for account in server.venue.accountList {
        for index in account.positions.indices {
          account.positions[index].worstLong = 0
          account.positions[index].worstShort = 0
          account.positions[index].maximumLots = 0
          account.positions[index].noteExposure()
        }
      }
      return true
    }
  }

  // MARK: - Time without orders

  private var emptySince: Nanoseconds?
  private var emptyTime: Nanoseconds = 0

  /// How long the one account has had no order in the book since the last call, by this server's turns: to a fraction of
  /// a millisecond.
  public func takeTimeWithoutOrders() -> Nanoseconds {
    ask { server in
      server.noteOrders(server.elapsed())
      defer { server.emptyTime = 0 }
      return server.emptyTime
    } ?? 0
  }

  private func noteOrders(_ now: Nanoseconds) {
    if let since = emptySince { emptyTime += now - since }
    emptySince = venue.accountList.first.map(\.orders.isEmpty) == false ? nil : now
  }

  // MARK: - The loop

  private func elapsed() -> Nanoseconds { EngineClock.now() - origin }
  private func playTime(_ now: Nanoseconds) -> Nanoseconds { now - playBegan }

  /// Serves until `stop`.
  public func run() throws(VenueServerError) {
    venue.advance(to: 0)
    // Relaxed: see stop().
    while !stopWord.load(ordering: .relaxed) {
      let now = elapsed()
      var next = min(venue.nextWake, now + 20_000_000)
      let planned = injector.nextTime(after: playTime(now))
      if planned != .max { next = min(next, playBegan + planned) }
      let count = driver.poll(wait: max(0, next - now))
      guard count >= 0 else {
        throw .failed(SystemError("go on serving the venue", result: Int32(clamping: count)))
      }
      turn(count)
    }
    // Whoever still waits gets its answer.
    for body in takeMail() { body(self) }
    for peer in peersByID.values { driver.abort(peer.handle) }
    _ = driver.poll(wait: 0)
  }

  private func takeMail() -> [@Sendable (ChaosServer) -> Void] {
    mailbox.withLock { waiting in
      let list = waiting
      waiting = []
      return list
    }
  }

  private func turn(_ count: Int) {
    let now = elapsed()
    for index in 0..<count { handle(driver.event(at: index), now) }
    for body in takeMail() { body(self) }
    carryOut(now)
    venue.advance(to: now)
    noteOrders(now)
    if !isDeaf(now) {
      for peer in peersByID.values.sorted(by: { $0.id < $1.id }) where !peer.waiting.isEmpty {
        let bytes = peer.waiting
        peer.waiting.removeAll()
        bytes.withUnsafeBytes { consume($0, peer, now) }
      }
      for peer in peersByID.values.sorted(by: { $0.id < $1.id }) {
        for frame in injector.release(.toVenue, now: playTime(now), link: peer.id.rawValue) {
          frame.withUnsafeBytes { venue.receive(peer.id, text: $0, now: now) }
        }
      }
    }
    drain(now)
    for peer in peersByID.values.sorted(by: { $0.id < $1.id }) {
      for frame in injector.release(.toEngine, now: playTime(now), link: peer.id.rawValue) { send(frame, peer) }
    }
    push(now)
    noteOrders(elapsed())
    driver.flush()
  }

  private func isDeaf(_ now: Nanoseconds) -> Bool {
    injector.isSilent(playTime(now)) || injector.isWriteStalled(playTime(now))
  }

  private func carryOut(_ now: Nanoseconds) {
    for timed in injector.begin(now: playTime(now)) {
      switch timed.fault {
      case .reset: dropAll(now, venueKnows: true)
      case .abandon: dropAll(now, venueKnows: false)
      case .restart(let keepsBook):
        venue.restartForFault(keepsBook: keepsBook, now: now)
        dropAll(now, venueKnows: true)
      case .tick(let name, let factor):
        guard let index = names.firstIndex(of: name) else { continue }
        if venue.refineTickForFault(name, factor: factor, now: now) { flow.refine(index, factor) }
      case .expire(let name): venue.expireForFault(name, now: now)
      case .closure: venue.announceClosure(notice: timed.lasting, now: now)
      default: break
      }
    }
    for (index, name) in names.enumerated() {
      let isHalted = injector.isHalted(name, playTime(now))
      guard isHalted != halted.contains(name) else { continue }
      if isHalted { halted.insert(name) } else { halted.remove(name) }
      flow.halt(index, isHalted)
    }
  }

  // MARK: - Connections

  private func handle(_ event: SocketEvent, _ now: Nanoseconds) {
    switch event.kind {
    case .accepted:
      guard !injector.isUnreachable(playTime(now)), !injector.isSilent(playTime(now)) else {
        driver.abort(event.connection)
        return
      }
      nextID += 1
      guard let peer = try? Peer(id: ConnectionID(nextID), handle: event.connection) else {
        driver.abort(event.connection)
        return
      }
      peers[UInt16(event.connection.slot)] = peer
      peersByID[peer.id] = peer
    case .received:
      if let peer = find(event.connection) {
        if isDeaf(now) {
          peer.waiting += event.payload
        } else {
          consume(UnsafeRawBufferPointer(event.payload), peer, now)
        }
      }
      driver.release(event)
    case .closed, .connectFailed:
      guard let peer = find(event.connection) else { return }
      peers[UInt16(event.connection.slot)] = nil
      forget(peer, now)
    case .writable, .connected: break
    }
  }

  private func find(_ handle: ConnectionHandle) -> Peer? {
    guard let peer = peers[UInt16(handle.slot)], peer.handle == handle else { return nil }
    return peer
  }

  private func forget(_ peer: Peer, _ now: Nanoseconds) {
    guard peersByID.removeValue(forKey: peer.id) != nil else { return }
    injector.connectionLost(link: peer.id.rawValue)
    if peer.isKnown {
      peer.isKnown = false
      venue.disconnected(peer.id, now: now)
    }
  }

  /// Resets every connection. A venue that does not know goes on waiting for its dead-man timer.
  private func dropAll(_ now: Nanoseconds, venueKnows: Bool) {
    for peer in peersByID.values.sorted(by: { $0.id < $1.id }) {
      if !venueKnows { peer.isKnown = false }
      forget(peer, now)
      driver.abort(peer.handle)
    }
  }

  // MARK: - Frames

  private func consume(_ bytes: UnsafeRawBufferPointer, _ peer: Peer, _ now: Nanoseconds) {
    peer.endpoint.receive(bytes)
    while true {
      switch peer.endpoint.next() {
      case .none: return
      case .opened:
        peer.isKnown = true
        venue.connect(peer.id, now: now)
      case .text(let text): if peer.isKnown { request(text, peer, now) }
      case .binary: continue
      case .ping, .pong: if peer.isKnown { venue.pinged(peer.id, now: now) }
      case .closed, .failed:
        peer.isLeaving = true
        forgetSession(peer, now)
        return
      }
    }
  }

  private func forgetSession(_ peer: Peer, _ now: Nanoseconds) {
    guard peer.isKnown else { return }
    peer.isKnown = false
    venue.disconnected(peer.id, now: now)
  }

  private func request(_ text: UnsafeRawBufferPointer, _ peer: Peer, _ now: Nanoseconds) {
    switch injector.pass(text, .toVenue, now: playTime(now), link: peer.id.rawValue) {
    case .unchanged: venue.receive(peer.id, text: text, now: now)
    case .instead(let frames):
      if frames.isEmpty { venue.pinged(peer.id, now: now) }
      for frame in frames { frame.withUnsafeBytes { venue.receive(peer.id, text: $0, now: now) } }
    case .answered(let reply):
      venue.pinged(peer.id, now: now)
      send(reply, peer)
    }
  }

  private func send(_ bytes: [UInt8], _ peer: Peer) {
    bytes.withUnsafeBytes { _ = peer.endpoint.sendText($0) }
  }

  private func drain(_ now: Nanoseconds) {
    while venue.hasOutput {
      venue.drain { id, outgoing in
        guard let peer = peersByID[id] else { return }
        switch outgoing {
        case .text(let text):
          switch injector.pass(text, .toEngine, now: playTime(now), link: id.rawValue) {
          case .unchanged: _ = peer.endpoint.sendText(text)
          case .instead(let frames): for frame in frames { send(frame, peer) }
          case .answered: break
          }
        case .close(let code):
          peer.endpoint.close(code: code)
          peer.isKnown = false
        }
      }
    }
  }

  private func push(_ now: Nanoseconds) {
    // What is not read piles up here.
    guard !injector.isSilent(playTime(now)), !injector.isReadStalled(playTime(now)) else { return }
    for peer in peersByID.values.sorted(by: { $0.id < $1.id }) {
      while true {
        let output = peer.endpoint.output.bindMemory(to: UInt8.self)
        guard output.count > 0 else { break }
        let space = driver.sendSpace(peer.handle).count
        let count = min(output.count, space)
        guard count > 0, driver.send(UnsafeBufferPointer(rebasing: output.prefix(count)), on: peer.handle) == .queued
        else { break }
        peer.endpoint.consumeOutput(count)
      }
      if peer.isLeaving, peer.endpoint.output.count == 0 { driver.close(peer.handle) }
    }
  }
}

/// One answer from the server's thread.
private final class AnswerBox<T: Sendable>: Sendable {
  private let value = Mutex<T?>(nil)
  private let isThere = Atomic<Bool>(false)

  func set(_ answer: T) {
    value.withLock { $0 = answer }
    // Release, pairs with wait(): who sees the word sees the value.
    isThere.store(true, ordering: .releasing)
  }

  /// `nil` if the server does not answer within 5 s.
  func wait() -> T? {
    for _ in 0..<50_000 {
      if isThere.load(ordering: .acquiring) { return value.withLock { $0 } }
      usleep(100)
    }
    return nil
  }
}
