import Apus
import ApusExchange
import CSupport
import Foundation
import Synchronization
import Testing

/// One key for all tests: making one takes a tenth of a second.
private let sharedKey = Result { try SigningKey.generate() }

private func registry(_ ids: String...) throws -> (key: SigningKey, registry: KeyRegistry) {
  let key = try sharedKey.get()
  var registry = KeyRegistry()
  for id in ids { registry.register(try key.verifyingKey(), as: id) }
  return (key, registry)
}

@Suite(.timeLimit(.minutes(1))) struct VenueServerTests {
  @Test(arguments: [false, true])
  func `a client logs in, subscribes, is filled and cancels, with TLS or without`(isSecure: Bool) throws {
    let (key, keys) = try registry("K1", "K2")
    let secure = isSecure ? try TLSContext.selfSignedServer(names: ["localhost", "127.0.0.1"]) : nil
    let running = try RunningServer(keys: keys) { $0.tls = secure?.context }
    #expect(running.server.url == "\(isSecure ? "wss" : "ws")://127.0.0.1:\(running.server.port)/ws/api/v2")
    let clients = try VenueClients(
      running.server, trusting: try secure.map { try TLSContext.client(trusting: .pem($0.certificatePEM)) })
    let times = IssuedAtSource()
    let maker = try clients.open()
    #expect(try clients.login(maker, key: key, id: "K1", times: times).object.text("account_number") == "A1")
    #expect(
      try clients.ask(maker, "private/set_cancel_on_disconnect", "{\"timeout_secs\":6}").object.number("message_rate")
        == 50)
    let channels = try clients.ask(
      maker, "private/subscribe", "{\"channels\":[\"session.orders\",\"account.portfolio\",\"account.trade_history\"]}")
    #expect((channels.result as? [String])?.count == 3)
    _ = try clients.ask(maker, "public/subscribe", "{\"channels\":[\"ticker.BTC-PERPETUAL.raw\"]}")
    #expect(try clients.notification(maker, "ticker.BTC-PERPETUAL.raw").notification.number("best_bid_price") == 61_790)

    func order(_ direction: String, _ price: Int, _ amount: String, _ client: Int, postOnly: Bool) -> String {
      "{\"direction\":\"\(direction)\",\"instrument_name\":\"BTC-PERPETUAL\",\"amount\":\(amount),\"price\":\(price),"
        + "\"client_order_id\":\(client),\"post_only\":\(postOnly)}"
    }
    let placed = try clients.ask(maker, "private/insert", order("buy", 61_800, "0.5", 11, postOnly: true))
    #expect(placed.object.text("status") == "open")

    let taker = try clients.open()
    #expect(try clients.login(taker, key: key, id: "K2", times: times).errorCode == nil)
    let taken = try clients.ask(taker, "private/insert", order("sell", 61_800, "0.2", 21, postOnly: false))
    #expect(taken.object.text("status") == "filled")

    let update = try clients.notification(maker, "session.orders") {
      $0.list.first?.text("status") == "partially_filled"
    }
    #expect(update.list[0].number("remaining_amount") == 0.3)
    let trade = try clients.notification(maker, "account.trade_history") { !$0.list.isEmpty }
    #expect(trade.list[0].text("maker_taker") == "maker")
    let cancelled = try clients.ask(maker, "private/cancel", "{\"client_order_id\":11}")
    #expect(cancelled.object.text("status") == "cancelled_partially_filled")

    let report = try running.finish()
    #expect(report.connections == 2 && report.opened == 2 && report.failedHandshakes == 0)
    #expect(report.venue.trades == 1)
    #expect(report.books.map(\.account) == ["A1", "A2"])
    #expect(report.books.map { $0.positions[0].lots } == [200, -200])
    #expect(report.books.map(\.fills.count) == [1, 1])
  }

  @Test func `a token of the wrong key gets error 19 and a close with 1008`() throws {
    let (key, keys) = try registry("K1")
    let running = try RunningServer(keys: keys)
    let clients = try VenueClients(running.server)
    let times = IssuedAtSource()
    let stranger = try SigningKey.generate()
    for (signer, id) in [(stranger, "K1"), (key, "K9")] {
      let connection = try clients.open()
      #expect(try clients.login(connection, key: signer, id: id, times: times).errorCode == 19)
      try clients.wait("the close") { connection.isGone }
      #expect(connection.closeCode == 1008)
    }
    let connection = try clients.open()
    #expect(try clients.login(connection, key: key, id: "K1", times: times).errorCode == nil)
    #expect(try running.finish().venue.failedLogins == 2)
  }

  @Test(arguments: [SignatureHash.sha256, .sha384, .sha512])
  func `keys from PEM files check every hash that the venue allows`(hash: SignatureHash) throws {
    let key = try sharedKey.get()
    let directory = try Scratch()
    let path = directory.path("public.pem")
    try key.publicPEM().write(toFile: path, atomically: true, encoding: .utf8)
    var keys = KeyRegistry()
    try keys.register(file: path, as: "K1")
    let token = try JSONWebToken.make(keyID: "K1", key: key, issuedAt: 1_700_000_000_000_000, hash: hash)
    let parts = token.split(separator: ".")
    let input = Array("\(parts[0]).\(parts[1])".utf8)
    let signature = try #require(Base64URL.decode(parts[2]))
    #expect(keys.verify(keyID: "K1", algorithm: hash.algorithmName, signingInput: input, signature: signature))
    #expect(!keys.verify(keyID: "K2", algorithm: hash.algorithmName, signingInput: input, signature: signature))
    #expect(!keys.verify(keyID: "K1", algorithm: "none", signingInput: input, signature: signature))
    let other: SignatureHash = hash == .sha256 ? .sha512 : .sha256
    #expect(!keys.verify(keyID: "K1", algorithm: other.algorithmName, signingInput: input, signature: signature))
    #expect(!keys.verify(keyID: "K1", algorithm: hash.algorithmName, signingInput: input + [1], signature: signature))
    #expect(throws: KeyError.unreadable(path: directory.path("none"), code: ENOENT)) {
      try keys.register(file: directory.path("none"), as: "K3")
    }
    try "nothing".write(toFile: path, atomically: true, encoding: .utf8)
    #expect(throws: KeyError.malformed(path: path)) { try keys.register(file: path, as: "K3") }
  }

  @Test func `fifty connections at once are served, each with its own session`() throws {
    let key = try sharedKey.get()
    var keys = KeyRegistry()
    for number in 0..<50 { keys.register(try key.verifyingKey(), as: "K\(100 + number)") }
    let running = try RunningServer(keys: keys)
    let clients = try VenueClients(running.server)
    let times = IssuedAtSource()
    let all = try (0..<50).map { _ in try clients.start() }
    try clients.wait("all to open") { all.allSatisfy(\.isOpen) }
    let now = Nanoseconds(Date().timeIntervalSince1970 * 1e9)
    for (number, connection) in all.enumerated() {
      let token = try JSONWebToken.make(keyID: "K\(100 + number)", key: key, issuedAt: times.next(wallClock: now))
      #expect(
        clients.send(connection, "{\"method\":\"public/login\",\"id\":\(number),\"params\":{\"token\":\"\(token)\"}}"))
      #expect(
        clients.send(
          connection,
          "{\"method\":\"private/insert\",\"id\":\(1000 + number),\"params\":{\"direction\":\"buy\",\"instrument_name\":"
            + "\"BTC-PERPETUAL\",\"amount\":0.1,\"price\":\(61_700 + number),\"client_order_id\":1}}"))
    }
    for (number, connection) in all.enumerated() {
      #expect(try clients.reply(connection, id: number).object.text("account_number") == "A\(100 + number)")
      #expect(try clients.reply(connection, id: 1000 + number).object.number("price") == Double(61_700 + number))
    }
    let report = try running.finish()
    #expect(report.opened == 50 && report.books.count == 50)
    #expect(report.books.allSatisfy { $0.openOrders.count == 1 })
    try clients.wait("all to close") { all.allSatisfy(\.isGone) }
    #expect(all.allSatisfy { $0.closeCode == 1001 })
  }

  @Test func `a connection that is one too many is closed, and its place is free again later`() throws {
    let running = try RunningServer { $0.maximumConnections = 2 }
    let clients = try VenueClients(running.server)
    let first = try clients.open()
    _ = try clients.open()
    let third = try clients.start()
    try clients.wait("the refusal") { third.isGone }
    #expect(!third.isOpen)
    clients.abort(first)
    clients.pass(seconds: 0.1)
    #expect(try clients.ask(try clients.open(), "public/system_info").object.text("environment") == "testnet")
    let report = try running.finish()
    #expect(report.opened == 3 && report.refused == 1)
  }

  @Test func `who does not read is dropped, and nobody else notices`() throws {
    let running = try RunningServer { $0.outputLimitBytes = 256 * 1024 }
    let clients = try VenueClients(running.server)
    let good = try clients.open()
    let lazy = try LazyReader(port: running.server.port)
    #expect(lazy.isUpgraded)
    // Some 1.5 kB of answer to each: far more than all buffers on the way can hold.
    let isDropped = lazy.flood(requests: 40_000)
    #expect(isDropped)
    #expect(try clients.ask(good, "public/system_info").errorCode == nil)
    let report = try running.finish()
    #expect(report.slowReaders == 1)
  }

  @Test func `pings are answered, and who answers none is closed after two`() throws {
    let running = try RunningServer {
      $0.pingInterval = 100_000_000
    }
    let clients = try VenueClients(running.server)
    let good = try clients.open()
    let lazy = try LazyReader(port: running.server.port)
    #expect(lazy.isUpgraded)
    // Two pings, then a close frame with 1011 (0x03F3), all unmasked.
    try clients.wait("three pings") { good.pings >= 6 }
    let bytes = lazy.readToEnd()
    #expect(bytes == [0x89, 0, 0x89, 0, 0x88, 2, 0x03, 0xF3])
    #expect(!good.isGone)
    let report = try running.finish()
    #expect(report.deadPeers == 1)
  }

  @Test func `a server does what it is told from another thread`() throws {
    let running = try RunningServer()
    let clients = try VenueClients(running.server)
    let connection = try clients.open()
    running.server.perform { venue, now in
      venue.refusesLogins = true
      venue.announceReconnect(now: now)
    }
    let refused = try clients.login(connection, key: SigningKey.generate(), id: "K1", times: IssuedAtSource())
    #expect(refused.errorCode == 19)
    _ = try running.finish()
  }

  @Test func `a handshake that does not come is not waited for`() throws {
    let running = try RunningServer { $0.handshakeTimeout = 100_000_000 }
    let silent = try LazyReader(port: running.server.port, upgrades: false)
    #expect(silent.readToEnd() == nil)
    let report = try running.finish()
    #expect(report.failedHandshakes == 1 && report.opened == 0)
  }

  @Test func `another path and a client without TLS are refused`() throws {
    let plain = try RunningServer()
    let clients = try VenueClients(plain.server)
    let lost = try clients.start(path: "/elsewhere")
    try clients.wait("the refusal") { lost.isGone }
    #expect(lost.failure != nil && !lost.isOpen)
    let report = try plain.finish()
    #expect(report.failedHandshakes == 1)

    let secure = try RunningServer { $0.tls = try? TLSContext.selfSignedServer(names: ["localhost"]).context }
    let unaware = try VenueClients(secure.server)
    let hopeful = try unaware.start()
    try unaware.wait("the refusal") { hopeful.isGone }
    #expect(!hopeful.isOpen)
    #expect(try secure.finish().failedHandshakes == 1)
  }

  @Test func `a connection that goes away takes its orders along`() throws {
    let (key, keys) = try registry("K1", "K2")
    let running = try RunningServer(keys: keys)
    let clients = try VenueClients(running.server)
    let times = IssuedAtSource()
    let maker = try clients.open()
    _ = try clients.login(maker, key: key, id: "K1", times: times)
    _ = try clients.ask(maker, "private/set_cancel_on_disconnect", "{\"timeout_secs\":6}")
    _ = try clients.ask(
      maker, "private/insert",
      "{\"direction\":\"buy\",\"instrument_name\":\"BTC-PERPETUAL\",\"amount\":0.5,\"price\":61800,\"client_order_id\":1}"
    )
    let observer = try clients.open()
    _ = try clients.ask(observer, "public/subscribe", "{\"channels\":[\"ticker.BTC-PERPETUAL.raw\"]}")
    _ = try clients.notification(observer, "ticker.BTC-PERPETUAL.raw") {
      $0.notification.number("best_bid_price") == 61_800
    }
    clients.abort(maker)
    _ = try clients.notification(observer, "ticker.BTC-PERPETUAL.raw") {
      $0.notification.number("best_bid_price") == 61_790
    }
    let report = try running.finish()
    #expect(report.books[0].openOrders.isEmpty)
  }

  @Test func `what is held back is read late and in order, also what a connection has sent that is gone`() throws {
    let (key, keys) = try registry("K1")
    let running = try RunningServer(keys: keys) { $0.requestDelay = 300_000_000 }
    let clients = try VenueClients(running.server)
    let connection = try clients.open()
    let times = IssuedAtSource()
    func timed(_ body: () throws -> Void) rethrows -> Double {
      let start = Date()
      try body()
      return Date().timeIntervalSince(start)
    }
    let login = try timed { _ = try clients.login(connection, key: key, id: "K1", times: times) }
    #expect(login >= 0.3 && login < 1.5, "\(login)")
    // Two at once wait together, and come in their order.
    let both = try timed {
      _ = clients.send(connection, "{\"method\":\"public/system_info\",\"id\":8}")
      _ = clients.send(connection, "{\"method\":\"public/system_info\",\"id\":9}")
      _ = try clients.reply(connection, id: 8)
      _ = try clients.reply(connection, id: 9)
    }
    #expect(both >= 0.3 && both < 0.6 + 0.5, "\(both)")
    // An order and the end of the connection, one behind the other: the order still arrives.
    _ = clients.send(
      connection,
      "{\"method\":\"private/insert\",\"id\":10,\"params\":{\"direction\":\"buy\",\"instrument_name\":\"BTC-PERPETUAL\","
        + "\"amount\":0.1,\"price\":61800}}")
    clients.pass(seconds: 0.05)
    clients.abort(connection)
    clients.pass(seconds: 0.6)
    let report = try running.finish()
    #expect(report.venue.received == 4 && report.books.first?.openOrders.count == 1, "\(report)")
  }

  @Test func `the market waits for the first login if it is told to`() throws {
    let (key, keys) = try registry("K1")
    let flow = ScriptedFlow(wideMarket + [(50_000_000, [.level(0, .buy, 61_795, 1000)])])
    let running = try RunningServer(flow: flow, keys: keys) {
      $0.waitsForClient = true
      $0.stopsAtEnd = true
    }
    let clients = try VenueClients(running.server)
    let connection = try clients.open()
    _ = try clients.ask(connection, "public/subscribe", "{\"channels\":[\"ticker.BTC-PERPETUAL.raw\"]}")
    _ = try clients.notification(connection, "ticker.BTC-PERPETUAL.raw") {
      $0.notification.number("best_bid_price") == 61_790
    }
    clients.pass(seconds: 0.3)
    #expect(!connection.isGone)
    _ = try clients.login(connection, key: key, id: "K1", times: IssuedAtSource())
    _ = try clients.notification(connection, "ticker.BTC-PERPETUAL.raw") {
      $0.notification.number("best_bid_price") == 61_795
    }
    // And at its end the server ends by itself.
    try clients.wait("the end") { connection.isGone }
    #expect(connection.closeCode == 1001)
    #expect(try running.finish(asked: false).venue.flowEvents == 4)
  }

  @Test func `a server that spins serves like one that parks, and stops when asked before it runs`() throws {
    let running = try RunningServer { $0.idle = .yield }
    let clients = try VenueClients(running.server)
    #expect(try clients.ask(try clients.open(), "public/system_info").errorCode == nil)
    _ = try running.finish()
    var configuration = VenueServerConfiguration()
    configuration.port = 0
    let server = try VenueServer(configuration)
    server.stop()
    #expect(try RunningServer(server).finish(asked: false, seconds: 2).connections == 0)
  }

  @Test func `a port in use and impossible limits are told in a sentence`() throws {
    let running = try RunningServer()
    var configuration = VenueServerConfiguration()
    configuration.port = running.server.port
    let taken = failure(of: configuration)
    guard case .listen(let error)? = taken else {
      Issue.record("two servers on one port: \(String(describing: taken))")
      return
    }
    #expect(error.code == EADDRINUSE)
    #expect(error.description.contains("\(running.server.port)"))
    configuration.maximumConnections = 0
    #expect(
      failure(of: configuration)?.description
        == "could not start the venue: it can serve 1 to 4096 connections, not 0")
    _ = try running.finish()
  }

  private func failure(of configuration: VenueServerConfiguration) -> VenueServerError? {
    let result = Result { () throws(VenueServerError) in try VenueServer(configuration) }
    if case .failure(let error) = result { return error }
    return nil
  }
}

/// A plain blocking socket that upgrades and then does as little as it likes.
private final class LazyReader {
  private let file: Int32
  private(set) var isUpgraded = false

  init(port: UInt16, upgrades: Bool = true) throws {
    file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(result == 0)
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(file, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    guard upgrades else { return }
    let request =
      "GET /ws/api/v2 HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    _ = send(file, request, request.utf8.count, Int32(MSG_NOSIGNAL))
    // The head comes alone: nothing is said before the first request.
    var head: [UInt8] = []
    while !head.suffix(4).elementsEqual([13, 10, 13, 10]) {
      var byte: UInt8 = 0
      guard receive(&byte, 1) == 1 else { return }
      head.append(byte)
    }
    isUpgraded = head.starts(with: Array("HTTP/1.1 101".utf8))
  }

  deinit { close(file) }

  /// As `recv`. A signal, of a child of another test that ends, may interrupt a socket with a time limit: that is no end.
  private func receive(_ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int {
    while true {
      let result = recv(file, buffer, count, 0)
      if result >= 0 || errno != EINTR { return result }
    }
  }

  /// Sends requests without reading an answer; true if the server then drops us within ten seconds.
  func flood(requests: Int) -> Bool {
    let text = Array("{\"method\":\"public/instruments\",\"id\":1,\"params\":{}}".utf8)
    // Masked with zeros, which leaves the payload as it is.
    let frame = [0x81, 0x80 | UInt8(text.count), 0, 0, 0, 0] + text
    let batch = Array(repeatElement(frame, count: 20).joined())
    for _ in 0..<(requests / 20) where send(file, batch, batch.count, Int32(MSG_NOSIGNAL)) != batch.count { break }
    // Asks for nothing, and so hears of an error only.
    var wanted = pollfd(fd: file, events: 0, revents: 0)
    return poll(&wanted, 1, 10_000) == 1 && wanted.revents & Int16(POLLERR) != 0
  }

  /// All until the end of the stream; `nil` if the connection was reset.
  func readToEnd() -> [UInt8]? {
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = receive(&chunk, chunk.count)
      if count < 0 { return nil }
      if count == 0 { return all }
      all += chunk[..<count]
    }
  }
}

/// A directory that goes away with its owner.
private final class Scratch {
  private let root: String

  init() throws {
    root = NSTemporaryDirectory() + "/apus-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  func path(_ name: String) -> String { "\(root)/\(name)" }
}
