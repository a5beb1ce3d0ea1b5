import Apus
import ApusExchange
import CSupport
import Foundation
import Synchronization
import Testing

/// HTTP beside WebSocket on one port (reference 1, 4.2).
@Suite(.timeLimit(.minutes(1))) struct DeribitServerTests {
  // MARK: the core

  func get(_ target: String, _ headers: [String: String] = [:]) -> HTTPRequest {
    HTTPRequest(method: "GET", target: target, headers: headers)
  }

  @Test func `a GET takes its parameters as text, and an error has status 400`() throws {
    let h = try DeribitHarness()
    let id = ConnectionID(1)
    let ticker = h.http(id, get("/api/v2/public/ticker?instrument_name=BTC-PERPETUAL"))
    #expect(ticker.status == 200 && ticker.body.object.number("best_bid_price") == 60_000)
    #expect(ticker.body.json["id"] == nil)
    let all = h.http(id, get("/api/v2/public/get_instruments"))
    #expect(all.body.list.count == 3)
    let wrong = h.http(id, get("/api/v2/public/ticker?instrument_name=NO%2DNE"))
    #expect(wrong.status == 400 && wrong.body.code == -32602)
    #expect(h.http(id, get("/elsewhere")).status == 400)
    #expect(h.http(id, get("/api/v2/public/subscribe?channels=x")).body.code == 10030)
    #expect(h.http(id, get("/api/v2/private/get_positions")).body.code == 13009)
  }

  @Test func `a signed GET is verified over the target as it was sent`() throws {
    let h = try DeribitHarness()
    let id = ConnectionID(1)
    let target =
      "/api/v2/private/buy?instrument_name=BTC-PERPETUAL&amount=10&type=limit&price=59000&post_only=true&label=x%201"
    func header(_ target: String, time: Int64? = nil, swapped: Bool = false) -> [String: String] {
      let time = time ?? h.milliseconds
      let signature = deribitSignature("\(time)\na1b2c3d4e5\nGET\n\(target)\n\n")
      return [
        "authorization": swapped
          ? "deri-hmac-sha256 id=desk,ts=\(time),sig=\(signature),nonce=a1b2c3d4e5"
          : "deri-hmac-sha256 id=desk,ts=\(time),nonce=a1b2c3d4e5,sig=\(signature)"
      ]
    }
    for swapped in [false, true] {
      let placed = h.http(id, get(target, header(target, swapped: swapped)))
      #expect(placed.status == 200 && placed.body.order.text("label") == "x 1")
      #expect(placed.body.order["post_only"] as? Bool == true)
    }
    let other = target.replacingOccurrences(of: "59000", with: "59001")
    #expect(h.http(id, get(other, header(target))).body.code == 13009)
    #expect(h.http(id, get(target, header(target, time: h.milliseconds - 61_000))).body.code == 13009)
    // The vector of the reference.
    let vector =
      "1790867074000\na1b2c3d4e5\nGET\n/api/v2/private/buy?instrument_name=BTC-PERPETUAL&amount=10&type=limit&price=50000\n\n"
    #expect(deribitSignature(vector) == "5b6b2da3d1a093f715eeb8a7087b7bf8b8f14181bd92d9230d3f2ae0ad71fba1")
    // Orders over HTTP belong to no connection.
    h.venue.disconnected(id, now: h.now)
    #expect(h.venue.books("desk")?.openOrders.count == 2)
  }

  @Test func `a POST has the method in its body, and is authorised by bearer or basic`() throws {
    let h = try DeribitHarness()
    let id = ConnectionID(1)
    func post(_ body: String, _ authorization: String? = nil) -> (status: Int, body: DeribitMessage) {
      h.http(
        id,
        HTTPRequest(
          method: "POST", target: "/api/v2/private/get_positions",
          headers: authorization.map { ["authorization": $0] } ?? [:], body: Array(body.utf8)))
    }
    #expect(post(#"{"params":{}}"#).body.code == 11050)
    #expect(post("nonsense").status == 400)
    let auth = post(
      #"{"jsonrpc":"2.0","id":3,"method":"public/auth","params":{"grant_type":"client_credentials","client_id":"desk","client_secret":"\#(DeribitHarness.secret)"}}"#
    )
    #expect(auth.status == 200 && auth.body.json["id"] as? Int == 3)
    let token = auth.body.object.text("access_token")
    let question = #"{"jsonrpc":"2.0","id":4,"method":"private/get_positions","params":{}}"#
    #expect(post(question, "bearer \(token)").status == 200)
    #expect(post(question, "Bearer x").body.code == 13009)
    let pair = Data("desk:\(DeribitHarness.secret)".utf8).base64EncodedString()
    #expect(post(question, "Basic \(pair)").status == 200)
    #expect(post(question, "Basic \(Data("desk:no".utf8).base64EncodedString())").status == 400)
    // The next request is nobody's again.
    #expect(post(question).body.code == 13009)
  }

  // MARK: over sockets

  /// A server with a calm market, and one client secret.
  static func serve(_ adjust: (inout DeribitConfiguration) -> Void = { _ in }) throws -> RunningServer {
    var configuration = VenueServerConfiguration()
    configuration.port = 0
    configuration.closeTimeout = 200_000_000
    var venue = DeribitConfiguration()
    venue.clients = [DeribitClient(id: "desk", secret: DeribitHarness.secret, account: "desk")]
    adjust(&venue)
    return RunningServer(try VenueServer(configuration, deribit: venue, flow: ScriptedFlow([(0, DeribitHarness.calm)])))
  }

  /// Sends bytes on a connection of its own and returns what comes until the peer closes or `count` responses are there.
  ///
  /// - Parameter ending: of the last response.
  static func raw(_ port: UInt16, _ pieces: [String], responses count: Int, ending: String = "}") throws -> String {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(file) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw ServerTestError(description: "no connection") }
    var patience = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    for piece in pieces {
      let bytes = Array(piece.utf8)
      guard write(file, bytes, bytes.count) == bytes.count else { throw ServerTestError(description: "not written") }
      usleep(2000)
    }
    var text = ""
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while text.components(separatedBy: "HTTP/1.1 ").count <= count || !text.hasSuffix(ending) {
      let got = read(file, &buffer, buffer.count)
      // With a timeout set a signal to the process ends it, whatever the handler asks for (signal(7)).
      if got < 0, errno == EINTR { continue }
      if got < 0, errno != EAGAIN { throw ServerTestError(description: "read: \(String(cString: strerror(errno))) after \(text)") }
      guard got > 0 else { break }
      text += String(decoding: buffer[..<got], as: UTF8.self)
    }
    return text
  }

  @Test func `requests come in pieces or together on one connection that stays open`() throws {
    let running = try Self.serve()
    let request = "GET /api/v2/public/get_time HTTP/1.1\r\nHost: x\r\n\r\n"
    let body = #"{"jsonrpc":"2.0","id":9,"method":"public/test","params":{}}"#
    let post = "POST /api/v2/public/test HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    let split = request.map(String.init)
    let text = try Self.raw(running.server.port, split + [request + post + request], responses: 4)
    #expect(text.components(separatedBy: "HTTP/1.1 200 OK").count == 5)
    #expect(text.contains(#""id":9,"result":{"version":"1.2.26"}"#))
    let report = try running.finish()
    #expect(report.connections == 1 && report.failedHandshakes == 0 && report.venue.received == 4)
  }

  @Test(arguments: [
    ("GET /api/v2/public/get_time HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "411"),
    ("POST /api/v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", "413"),
    ("nonsense\r\n\r\n", "400"), ("GET / HTTP/1.1\r\nBroken\r\n\r\n", "400"),
    (String(repeating: "x", count: 20_000), "431"),
  ])
  func `what is no request is refused, and the connection ends`(text: String, status: String) throws {
    let running = try Self.serve()
    #expect(try Self.raw(running.server.port, [text], responses: 2).hasPrefix("HTTP/1.1 \(status) "))
    _ = try running.finish()
  }

  @Test func `a close is asked for and done`() throws {
    let running = try Self.serve()
    let text = try Self.raw(
      running.server.port, ["GET /api/v2/public/get_time HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
      responses: 2)
    #expect(text.contains("Connection: close") && text.hasSuffix("}"))
    _ = try running.finish()
  }

  @Test func `a WebSocket trades on the same port, and what goes on is asked for over HTTP`() throws {
    let running = try Self.serve()
    let clients = try VenueClients(running.server)
    let connection = try clients.open()
    let auth = try clients.ask(
      connection, "public/auth",
      #"{"grant_type":"client_credentials","client_id":"desk","client_secret":"\#(DeribitHarness.secret)"}"#)
    #expect(auth.object["access_token"] != nil)
    let placed = try clients.ask(
      connection, "private/buy", #"{"instrument_name":"BTC-PERPETUAL","amount":10,"price":59000,"post_only":true}"#)
    #expect((placed.object["order"] as? [String: Any])?.text("order_state") == "open")
    let pair = Data("desk:\(DeribitHarness.secret)".utf8).base64EncodedString()
    let text = try Self.raw(
      running.server.port,
      ["GET /api/v2/private/get_open_orders HTTP/1.1\r\nHost: x\r\nAuthorization: Basic \(pair)\r\n\r\n"], responses: 1)
    #expect(text.contains(#""price":59000.0"#))
    let seen = Mutex(0)
    running.server.performOnDeribit { venue, now in
      seen.withLock { $0 = venue.accountNames.count }
      venue.disconnectAll(code: 1012, now: now)
    }
    try clients.wait("the close") { connection.isGone }
    #expect(connection.closeCode == 1012 && seen.withLock { $0 } == 1)
    let report = try running.finish()
    #expect(report.opened == 1 && report.books.map(\.openOrders.count) == [1])
  }

  @Test func `a connection that has spoken HTTP can become a WebSocket`() throws {
    let running = try Self.serve()
    let text = try Self.raw(
      running.server.port,
      [
        "GET /api/v2/public/get_time HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /ws/api/v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: BwcHBwcHBwcHBwcHBwcHBw==\r\n\r\n",
      ], responses: 1)
    #expect(text.contains("HTTP/1.1 200 OK") && (text.contains("101 Switching Protocols") || text.hasSuffix("}")))
    let report = try running.finish()
    #expect(report.opened == 1 && report.failedHandshakes == 0)
  }
}
