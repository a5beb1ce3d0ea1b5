import Apus
import ApusExchange
import CSupport
import Foundation
import Synchronization
import Testing

struct ServerTestError: Error, CustomStringConvertible {
  var description: String
}

/// A server that runs on a thread of its own until `stop`.
final class RunningServer {
  let server: VenueServer
  private let outcome = Outcome()

  private final class Outcome: Sendable {
    let result = Mutex<Result<VenueReport, any Error>?>(nil)
    let finished = DispatchSemaphore(value: 0)
  }

  init(_ server: VenueServer) {
    self.server = server
    let outcome = outcome
    Thread {
      let result = Result<VenueReport, any Error> { try server.run() }
      outcome.result.withLock { $0 = result }
      outcome.finished.signal()
    }.start()
  }

  /// A server on a port of its own choice, with a wide and calm BTC market unless told otherwise.
  convenience init(
    flow: sending (any MarketFlow)? = ScriptedFlow(wideMarket), keys: KeyRegistry? = nil,
    venue: VenueConfiguration = VenueConfiguration(), _ adjust: (inout VenueServerConfiguration) -> Void = { _ in }
  ) throws {
    var configuration = VenueServerConfiguration()
    configuration.port = 0
    // A client that waits for the end of the server reads nothing meanwhile.
    configuration.closeTimeout = 200_000_000
    adjust(&configuration)
    self.init(try VenueServer(configuration, venue: venue, flow: flow, verifier: keys))
  }

  /// What the server has to tell at its end, asked for if `asked`.
  func finish(asked: Bool = true, seconds: Double = 10) throws -> VenueReport {
    if asked { server.stop() }
    guard outcome.finished.wait(timeout: .now() + seconds) == .success,
      let result = outcome.result.withLock({ $0 })
    else { throw ServerTestError(description: "the server did not end") }
    return try result.get()
  }

  deinit { server.stop() }
}

/// BTC: bid 61,790 and ask 61,810, 10 each; index 61,800.
let wideMarket: [(Nanoseconds, [FlowEvent])] = [
  (0, [.index(0, e8: 61_800_00000000), .level(0, .buy, 61_790, 10_000), .level(0, .sell, 61_810, 10_000)])
]

/// Several client connections of one thread, with the engine's own pieces.
final class VenueClients {
  final class TLSEnd {
    var session: TLSSession
    init(_ session: consuming TLSSession) { self.session = session }
  }

  final class Connection {
    var handle: ConnectionHandle
    var endpoint: WebSocketEndpoint
    let tls: TLSEnd?
    var inbox: [Received] = []
    /// The server's close code.
    var closeCode: UInt16?
    var isOpen = false
    var isGone = false
    /// Why TLS or the handshake failed.
    var failure: String?
    /// Reads nothing that arrives.
    var isDeaf = false
    var pings = 0

    init(handle: ConnectionHandle, endpoint: consuming WebSocketEndpoint, tls: TLSEnd?) {
      self.handle = handle
      self.endpoint = endpoint
      self.tls = tls
    }
  }

  private var driver: SocketDriver
  private(set) var connections: [Connection] = []
  private let port: UInt16
  private let trust: TLSContext?
  private let plaintext = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 32_768)

  init(_ server: VenueServer, trusting trust: TLSContext? = nil) throws {
    driver = try SocketDriver(SocketDriverConfiguration(connections: 64))
    port = server.port
    self.trust = trust
  }

  deinit { plaintext.deallocate() }

  /// Starts a connection; its upgrade request leaves as soon as it can.
  func start(path: String = "/ws/api/v2", host: String = "127.0.0.1") throws -> Connection {
    let handle = try driver.connect(host: "127.0.0.1", port: port)
    var endpoint = try WebSocketEndpoint(client: .init())
    try endpoint.start(
      host: "127.0.0.1:\(port)", path: path, key: [UInt8](repeating: 7, count: 16), maskSeed: UInt64(connections.count))
    let tls = try trust.map { TLSEnd(try TLSSession(client: $0, host: host)) }
    let connection = Connection(handle: handle, endpoint: endpoint, tls: tls)
    connections.append(connection)
    return connection
  }

  func open() throws -> Connection {
    let connection = try start()
    try wait("the connection to open") { connection.isOpen || connection.isGone }
    guard connection.isOpen else { throw ServerTestError(description: connection.failure ?? "not opened") }
    return connection
  }

  func wait(_ what: String, seconds: Double = 10, until done: () -> Bool) throws {
    let end = Date().addingTimeInterval(seconds)
    while !done() {
      guard Date() < end else { throw ServerTestError(description: "waited \(seconds) s for \(what)") }
      turn()
    }
  }

  /// Lets time pass.
  func pass(seconds: Double) {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end { turn() }
  }

  func turn() {
    for connection in connections { push(connection) }
    let count = driver.poll(wait: 2_000_000)
    for index in 0..<max(0, count) {
      let event = driver.event(at: index)
      let connection = connections.first { $0.handle == event.connection }
      switch event.kind {
      case .received:
        if let connection { received(event.payload, connection) }
        driver.release(event)
      case .closed, .connectFailed: connection?.isGone = true
      default: break
      }
    }
    for connection in connections { push(connection) }
  }

  private func received(_ bytes: UnsafeBufferPointer<UInt8>, _ connection: Connection) {
    guard connection.tls != nil else {
      consume(UnsafeRawBufferPointer(bytes), connection)
      return
    }
    var offset = 0
    while offset < bytes.count,
      let taken = connection.tls!.session.feed(UnsafeBufferPointer(rebasing: bytes[offset...]))
    {
      offset += taken
      while case .bytes(let count) = connection.tls!.session.read(into: plaintext) {
        consume(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(plaintext)[..<count]), connection)
      }
      if taken == 0 { break }
    }
    connection.failure = connection.tls!.session.error?.description ?? connection.failure
  }

  private func consume(_ bytes: UnsafeRawBufferPointer, _ connection: Connection) {
    connection.endpoint.receive(bytes)
    while true {
      switch connection.endpoint.next() {
      case .none: return
      case .opened: connection.isOpen = true
      case .text(let text):
        let data = Data(text)
        let json = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any]
        connection.inbox.append(Received(text: String(decoding: data, as: UTF8.self), json: json ?? [:]))
      case .closed(let code, _): connection.closeCode = code
      case .failed(let failure): connection.failure = "\(failure)"
      case .ping: connection.pings += 1
      case .pong, .binary: break
      }
    }
  }

  private func push(_ connection: Connection) {
    guard !connection.isGone else { return }
    func carry(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
      let count = min(bytes.count, driver.sendSpace(connection.handle).count)
      guard count > 0, driver.send(.init(rebasing: bytes.prefix(count)), on: connection.handle) == .queued else {
        return 0
      }
      return count
    }
    if connection.tls != nil {
      let output = connection.endpoint.output.bindMemory(to: UInt8.self)
      if output.count > 0, connection.tls!.session.state == .ready, connection.tls!.session.write(output) == .queued {
        connection.endpoint.consumeOutput(output.count)
      }
      connection.tls!.session.take(carry(connection.tls!.session.pending()))
    } else {
      connection.endpoint.consumeOutput(carry(connection.endpoint.output.bindMemory(to: UInt8.self)))
    }
  }

  // MARK: requests

  func send(_ connection: Connection, _ text: String) -> Bool {
    var text = text
    return text.withUTF8 { connection.endpoint.sendText(UnsafeRawBufferPointer($0)) }
  }

  /// Sends a request and waits for its reply; notifications stay in the inbox.
  func ask(_ connection: Connection, _ method: String, _ params: String = "{}", id: Int = 7) throws -> Received {
    guard send(connection, "{\"method\":\"\(method)\",\"id\":\(id),\"params\":\(params)}") else {
      throw ServerTestError(description: "\(method) could not be sent")
    }
    return try reply(connection, id: id)
  }

  func reply(_ connection: Connection, id: Int) throws -> Received {
    var found: Int?
    try wait("the reply \(id)") {
      found = connection.inbox.firstIndex { ($0.json["id"] as? Int) == id && $0.channel == nil }
      return found != nil || connection.isGone
    }
    guard let found else { throw ServerTestError(description: "the connection ended before reply \(id)") }
    return connection.inbox.remove(at: found)
  }

  /// Waits for a notification of a channel that satisfies `matches`.
  func notification(
    _ connection: Connection, _ channel: String, where matches: (Received) -> Bool = { _ in true }
  ) throws -> Received {
    var found: Int?
    try wait("a notification of \(channel)") {
      found = connection.inbox.firstIndex { $0.channel == channel && matches($0) }
      return found != nil
    }
    guard let found else { throw ServerTestError(description: "no notification of \(channel)") }
    return connection.inbox.remove(at: found)
  }

  func login(_ connection: Connection, key: SigningKey, id: String, times: IssuedAtSource) throws -> Received {
    let now = Nanoseconds(Date().timeIntervalSince1970 * 1e9)
    let token = try JSONWebToken.make(keyID: id, key: key, issuedAt: times.next(wallClock: now))
    return try ask(connection, "public/login", "{\"token\":\"\(token)\"}")
  }

  func abort(_ connection: Connection) {
    driver.abort(connection.handle)
    driver.flush()
  }
}
