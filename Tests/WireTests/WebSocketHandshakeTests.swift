import Apus
import CSupport
import Glibc
import Testing

@Suite struct WebSocketHandshakeTests {
  private let small = WebSocketEndpoint.Limits(messageBytes: 125, outputBytes: 1024)

  // MARK: Client

  private func client() throws -> WebSocketEndpoint {
    var client = try WebSocketEndpoint(client: small)
    try client.start(host: "server.example.com", path: "/chat", key: sampleKey, maskSeed: 1)
    _ = client.drainOutput()
    return client
  }

  private func answer(_ bytes: [UInt8]) throws -> SeenEvent? {
    var client = try client()
    let seen = client.take(bytes)
    let rest = client.drainOutput()
    #expect(seen.count <= 1)
    #expect(rest.isEmpty, "nothing is sent to a server that refused")
    if case .failed? = seen.first {
      let state = client.state
      #expect(state == .closed)
      check(client.take(sampleAnswer()) == [], "what follows a failure is dropped")
    }
    return seen.first
  }

  @Test func `a client asks as in RFC 6455 section 1·2, byte for byte`() throws {
    var client = try WebSocketEndpoint(client: small)
    check(client.state == .closed)
    try client.start(
      host: "server.example.com", path: "/chat?a=1", headers: [("User-Agent", "apus"), ("X-Token", "a: b")],
      key: sampleKey,
      maskSeed: 1)
    check(client.state == .connecting)
    let request = String(decoding: client.drainOutput(), as: UTF8.self)
    #expect(
      request == """
        GET /chat?a=1 HTTP/1.1\r
        Host: server.example.com\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        Sec-WebSocket-Version: 13\r
        User-Agent: apus\r
        X-Token: a: b\r
        \r\n
        """)
  }

  @Test(arguments: ["A: b", "A: b\r", "A: b\n", "A: b\r\nC: d\r"])
  func `fields whose last line does not end are refused`(fields: String) {
    var client: OpaquePointer?
    let limits = apus_ws_limits(max_message_bytes: 125, output_bytes: 1024)
    let created = apus_ws_endpoint_create(.client, limits, nil, &client)
    #expect(created == 0)
    guard let client else { return }
    defer { apus_ws_endpoint_destroy(client) }
    let refused = apus_ws_endpoint_start(client, "localhost", "/", fields, [UInt8](repeating: 7, count: 16), 1)
    let accepted = apus_ws_endpoint_start(client, "localhost", "/", "A: b\r\n", [UInt8](repeating: 7, count: 16), 1)
    #expect(refused == -EBADMSG && accepted == 0)
  }

  @Test func `the answer of RFC 6455 section 1·3 opens a client`() throws {
    #expect(try answer(sampleAnswer()) == .opened)
  }

  @Test func `names and tokens of an answer are compared in any case, in lists, with any spaces`() throws {
    #expect(
      try answer(
        sampleAnswer(
          status: "HTTP/1.1 101", upgrade: "uPGRADE:WebSocket", connection: "connection: keep-alive ,\tUPGRADE",
          accept: "SEC-WEBSOCKET-ACCEPT:   s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \t",
          extra: ["Server: x", "Server: y", "Empty:"])) == .opened)
  }

  @Test func `an answer without what the protocol demands is refused for that reason`() throws {
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    #expect(try answer(sampleAnswer(upgrade: nil)) == .failed(.noUpgrade))
    #expect(try answer(sampleAnswer(upgrade: "Upgrade: websockets")) == .failed(.noUpgrade))
    #expect(try answer(sampleAnswer(connection: nil)) == .failed(.noConnectionUpgrade))
    #expect(try answer(sampleAnswer(connection: "Connection: close")) == .failed(.noConnectionUpgrade))
    #expect(try answer(sampleAnswer(accept: nil)) == .failed(.wrongAccept))
    #expect(try answer(sampleAnswer(accept: accept.lowercased())) == .failed(.wrongAccept))
    #expect(try answer(sampleAnswer(accept: accept + "=")) == .failed(.wrongAccept))
    #expect(try answer(sampleAnswer(extra: [accept])) == .failed(.wrongAccept))
    #expect(
      try answer(sampleAnswer(extra: ["Sec-WebSocket-Extensions: permessage-deflate"])) == .failed(.extensionNotOffered)
    )
    #expect(try answer(sampleAnswer(extra: ["sec-websocket-protocol: chat"])) == .failed(.subprotocolNotOffered))
  }

  @Test(arguments: [200, 301, 302, 400, 401, 403, 404, 426, 429, 503] as [UInt16])
  func `another HTTP status is reported with what to do about it`(status: UInt16) throws {
    let failure = WebSocketFailure.refused(status: status)
    #expect(
      try answer(sampleAnswer(status: "HTTP/1.1 \(status) Some Reason") + Array("a body".utf8)) == .failed(failure))
    #expect(try answer(sampleAnswer(status: "HTTP/1.0 \(status)", upgrade: nil)) == .failed(failure))
    #expect("\(failure)".contains("HTTP status \(status) instead of 101: "))
    #expect(failure.closeCode == nil)
  }

  @Test func `the fields of a refusal can be read`() throws {
    var client = try client()
    let seen = client.take(
      sampleAnswer(status: "HTTP/1.1 429 Slow Down", extra: ["retry-after:  17 ", "Retry-After: 99"]))
    #expect(seen == [.failed(.refused(status: 429))])
    check(client.header("Retry-After") == "17")
    check(client.header("Location") == nil)
  }

  @Test(arguments: [
    "HTTP/1.1 1O1 Switching", "HTTP/1.1 10", "HTTP/1.1  101", "HTTP/1.1 1011", "HTTP/2.0 101 x", "HTTP/1.0 101 x",
    "ICY 200 OK",
    "HTTP/1.1 101 \u{7}",
  ])
  func `a first line that is not HTTP 1·1 is refused`(line: String) throws {
    #expect(try answer(sampleAnswer(status: line)) == .failed(.notHTTP))
  }

  @Test(arguments: ["No colon", ": no name", "Sp ace: x", "Name : x", " folded", "Ctrl: \u{1}", "Bare: x\ny: z"])
  func `a malformed field is refused`(line: String) throws {
    #expect(try answer(sampleAnswer(extra: [line])) == .failed(.notHTTP))
    #expect(try request(sampleRequest(extra: [line])).status == 400)
  }

  @Test func `what is plainly not HTTP is refused at once, without waiting for more`() throws {
    #expect(try answer([0x15, 3, 3]) == .failed(.notHTTP))
    #expect(try answer(Array("HTTQ".utf8)) == .failed(.notHTTP))
    #expect(try answer(Array("HTTP/1.".utf8)) == nil)
    #expect(try request([0x16, 3, 1]).status == 400)
  }

  @Test func `a head of 16 KiB is read, and one byte more is refused`() throws {
    for (excess, expected) in [(0, SeenEvent.opened), (1, .failed(.headTooLong)), (100_000, .failed(.headTooLong))] {
      let bare = sampleAnswer(extra: ["X: "]).count
      let flood = String(repeating: "a", count: Int(APUS_WS_HEAD_LIMIT) - bare + excess)
      #expect(try answer(sampleAnswer(extra: ["X: " + flood])) == expected)
    }
    let bare = sampleRequest(extra: ["X: "]).count
    let most = Int(APUS_WS_HEAD_LIMIT) - bare
    #expect(try request(sampleRequest(extra: ["X: " + String(repeating: "a", count: most)])).status == 101)
    #expect(try request(sampleRequest(extra: ["X: " + String(repeating: "a", count: most + 1)])).status == 431)
  }

  @Test func `an answer may come cut anywhere, with frames behind it`() throws {
    let stream = sampleAnswer() + ModelFrame(opcode: 1, payload: Array("x".utf8)).bytes
    for cut in 0...stream.count {
      var client = try client()
      let seen = client.take(stream, cuts: [cut])
      #expect(seen == [.opened, .text("x")])
    }
    var client = try client()
    let seen = client.take(stream, cuts: Array(1..<stream.count))
    #expect(seen == [.opened, .text("x")])
  }

  @Test func `a start that would not make a well-formed request says why, without secrets`() throws {
    var client = try WebSocketEndpoint(client: small)
    func failure(
      host: String = "h", path: String = "/", headers: [(name: String, value: String)] = [], key: [UInt8] = sampleKey,
      _ client: inout WebSocketEndpoint
    ) -> WebSocketSetupError? {
      do throws(WebSocketSetupError) {
        try client.start(host: host, path: path, headers: headers, key: key, maskSeed: 0)
        return nil
      } catch {
        return error
      }
    }
    for host in ["", "a b", "a\r\nX: y", "a\0b", "hö"] { check(failure(host: host, &client) == .invalidHost(host)) }
    for path in ["", "x", "/a b", "/\r\n", "/\0", "/ö"] { check(failure(path: path, &client) == .invalidPath(path)) }
    for name in [
      "", "a b", "host", "Upgrade", "CONNECTION", "Sec-WebSocket-Key", "Sec-WebSocket-Extensions",
      "sec-websocket-protocol", "Content-Length", "Transfer-Encoding", "a\r\nb", "é",
    ] {
      check(failure(headers: [(name, "secret")], &client) == .invalidHeaders(names: [name]))
    }
    for value in ["a\r\nHost: evil", "a\0", "a\u{7}"] {
      let error = failure(headers: [("Token", "secret" + value)], &client)
      #expect(error == .invalidHeaders(names: ["Token"]))
      #expect(!"\(error!)".contains("secret"))
    }
    check(!"\(failure(path: "/a b?listenKey=secret", &client)!)".contains("secret"))
    check(failure(key: [1, 2, 3], &client) == .invalidKey(count: 3))
    check(client.state == .closed)
    check(client.output.isEmpty)

    check(failure(path: "/" + String(repeating: "a", count: 1024), &client) == .requestTooLong)
    check(client.state == .closed)
    var server = try WebSocketEndpoint(server: "/")
    check(failure(&server) == .notAClient)
    check(server.state == .connecting)
  }

  // MARK: Server

  private func request(
    _ bytes: [UInt8], path: String = "/chat"
  ) throws -> (status: UInt16, text: String, target: String) {
    var server = try WebSocketEndpoint(server: path, limits: small)
    let seen = server.take(bytes)
    let target = server.requestTarget
    let state = server.state
    let text = String(decoding: server.drainOutput(), as: UTF8.self)
    #expect(seen.count == 1)
    switch seen.first {
    case .opened:
      #expect(state == .open)
      return (status: 101, text: text, target: target)
    case .failed(.requestRefused(let status)):
      #expect(state == .closed)
      #expect(text.hasPrefix("HTTP/1.1 \(status) "))
      // The length that it states is the length that it has.
      let parts = text.split(separator: "\r\n\r\n", omittingEmptySubsequences: false)
      #expect(parts.count == 2)
      #expect(text.contains("\r\nContent-Length: \(parts[1].utf8.count)\r\n"))
      #expect(text.contains("\r\nConnection: close\r\n"))
      #expect(parts[1].hasSuffix("\n"))
      return (status: status, text: text, target: target)
    default:
      Issue.record("\(seen)")
      return (status: 0, text: text, target: target)
    }
  }

  @Test func `the request of RFC 6455 is answered byte for byte`() throws {
    let answer = try request(
      sampleRequest(extra: ["Origin: http://example.com", "Sec-WebSocket-Protocol: chat, superchat"]))
    #expect(Array(answer.text.utf8) == sampleAnswer())
    #expect(answer.target == "/chat")
  }

  @Test func `a server takes fields in any order and case, repeated ones, and leaves out what it does not speak`()
    throws
  {
    let lines = [
      "GET /ws/api/v2?x=1 HTTP/1.1", "user-agent: one", "sec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==",
      "SEC-WEBSOCKET-VERSION:\t13",
      "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "cOnNeCtIoN: keep-alive",
      "Connection: foo, upgrade",
      "User-Agent: two", "UPGRADE: h2c, WebSocket", "hOST: localhost:1", "Content-Length: 0",
    ]
    let answer = try request(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8), path: "/ws/api/v2")
    #expect(Array(answer.text.utf8) == sampleAnswer())
    #expect(answer.target == "/ws/api/v2?x=1")
  }

  @Test func `each bad request gets the status that it deserves`() throws {
    func status(_ bytes: [UInt8]) throws -> UInt16 { try request(bytes).status }
    #expect(try status(sampleRequest(line: "GET /other HTTP/1.1")) == 404)
    #expect(try status(sampleRequest(line: "GET /chat/ HTTP/1.1")) == 404)
    #expect(try status(sampleRequest(line: "GET /chatter HTTP/1.1")) == 404)
    #expect(try status(sampleRequest(line: "POST /chat HTTP/1.1")) == 405)
    #expect(try status(sampleRequest(line: "get /chat HTTP/1.1")) == 400, "a method begins with a capital letter")
    #expect(try status(sampleRequest(line: "GET /chat HTTP/1.0")) == 400)
    #expect(try status(sampleRequest(line: "GET /chat HTTP/2.0")) == 400)
    #expect(try status(sampleRequest(line: "GET  HTTP/1.1")) == 400)
    #expect(try status(sampleRequest(line: "GET chat HTTP/1.1")) == 400)
    #expect(try status(sampleRequest(line: "GET /chat")) == 400)
    #expect(try status(sampleRequest(line: "GE(T /chat HTTP/1.1")) == 400)
    #expect(try status(sampleRequest(host: nil)) == 400)
    #expect(try status(sampleRequest(extra: ["Host: two"])) == 400)
    #expect(try status(sampleRequest(key: nil)) == 400)
    #expect(try status(sampleRequest(key: "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=")) == 400)
    #expect(try status(sampleRequest(key: "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ*==")) == 400)
    #expect(try status(sampleRequest(extra: ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])) == 400)
    #expect(try status(sampleRequest(extra: ["Content-Length: 5"])) == 400)
    #expect(try status(sampleRequest(extra: ["Content-Length: 0", "Content-Length: 5"])) == 400)
    #expect(try status(sampleRequest(extra: ["Transfer-Encoding: chunked"])) == 400)
    #expect(try status(sampleRequest(upgrade: nil)) == 426)
    #expect(try status(sampleRequest(connection: "Connection: keep-alive")) == 426)
    #expect(try status(sampleRequest(version: "Sec-WebSocket-Version: 8")) == 426)
    #expect(try status(sampleRequest(version: nil)) == 426)
    #expect(try request(sampleRequest(upgrade: nil)).text.contains("Sec-WebSocket-Version: 13\r\n"))
    #expect(try request(sampleRequest(line: "PUT /chat HTTP/1.1")).text.contains("Allow: GET\r\n"))
  }

  @Test func `an empty path takes any, and a target may be absolute`() throws {
    let any = try request(sampleRequest(line: "GET /what/ever?q HTTP/1.1"), path: "")
    #expect(any.status == 101 && any.target == "/what/ever?q")
    let absolute = try request(sampleRequest(line: "GET http://host:1/chat?q HTTP/1.1"))
    #expect(absolute.status == 101 && absolute.target == "/chat?q")
    #expect(try request(sampleRequest(line: "GET ws://host HTTP/1.1")).status == 404)
    #expect(try request(sampleRequest(line: "GET http://host HTTP/1.1"), path: "/").status == 101)
  }

  @Test func `a request may come cut anywhere, with a frame behind it`() throws {
    let stream = sampleRequest() + ModelFrame(opcode: 1, payload: Array("x".utf8), mask: [1, 2, 3, 4]).bytes
    for cut in 0...stream.count {
      var server = try WebSocketEndpoint(server: "/chat", limits: small)
      let seen = server.take(stream, cuts: [cut])
      #expect(seen == [.opened, .text("x")])
    }
  }

  @Test func `after a reset a server takes the next request, and a started client forgets the last answer`() throws {
    var server = try WebSocketEndpoint(server: "/chat", limits: small)
    _ = server.take(sampleRequest(line: "GET /no HTTP/1.1"))
    server.reset()
    check(server.output.isEmpty)
    let seen = server.take(sampleRequest())
    #expect(seen == [.opened])

    var client = try WebSocketEndpoint.opened(.client)
    _ = client.send("left over")
    _ = client.take([0x01, 0x03, 0x41])
    try client.start(host: "h", path: "/", key: sampleKey, maskSeed: 2)
    check(client.framesIn == 0 && client.framesOut == 0)
    check(String(decoding: client.drainOutput(), as: UTF8.self).hasPrefix("GET / HTTP/1.1\r\n"))
    let again = client.take(sampleAnswer() + [0x81, 0x01, 0x42])
    #expect(again == [.opened, .text("B")])
  }

  @Test func `limits and paths out of range are refused with the range`() {
    func failure(_ limits: WebSocketEndpoint.Limits) -> WebSocketSetupError? {
      do throws(WebSocketSetupError) {
        _ = try WebSocketEndpoint(client: limits)
        return nil
      } catch {
        return error
      }
    }
    for (message, output) in [(124, 1024), (125, 1023), (-1, 1024), (125, -1), (1 << 31, 1024), (125, 1 << 31)] {
      let limits = WebSocketEndpoint.Limits(messageBytes: message, outputBytes: output)
      #expect(failure(limits) == .invalidLimits(limits))
    }
    #expect(failure(.init(messageBytes: 125, outputBytes: 1024)) == nil)
    for path in ["x", "/a\0b", "/" + String(repeating: "a", count: 255)] {
      #expect(throws: WebSocketSetupError.invalidPath(path)) { _ = try WebSocketEndpoint(server: path) }
    }
  }
}
