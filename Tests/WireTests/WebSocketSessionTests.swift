import Apus
import CSupport
import Testing

@Suite struct WebSocketSessionTests {
  private static let hello = Array("Hello".utf8)

  // MARK: RFC 6455, section 5.7

  @Test func `the examples of RFC 6455 section 5·7 are read byte for byte`() throws {
    var client = try WebSocketEndpoint.opened(.client)
    var server = try WebSocketEndpoint.opened(.server)
    check(client.take([0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]) == [.text("Hello")])
    check(server.take([0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]) == [.text("Hello")])
    check(client.take([0x01, 0x03, 0x48, 0x65, 0x6C]) == [])
    check(client.take([0x80, 0x02, 0x6C, 0x6F]) == [.text("Hello")])
    check(client.take([0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]) == [.ping(Self.hello)])
    check(ModelReceiver.frames(client.drainOutput(), masked: true).map { $0.map(\.payload) } == [Self.hello])
    check(server.take([0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]) == [.pong(Self.hello)])
    let short = [UInt8](repeating: 9, count: 256)
    let long = [UInt8](repeating: 8, count: 65536)
    check(client.take([0x82, 0x7E, 0x01, 0x00] + short) == [.binary(short)])
    check(client.take([0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0] + long) == [.binary(long)])
    check(client.framesIn == 6)
  }

  @Test func `a server writes the examples of RFC 6455 section 5·7 byte for byte`() throws {
    var server = try WebSocketEndpoint.opened(.server)
    check(server.send("Hello"))
    check(server.drainOutput() == [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
    check(server.ping(Self.hello))
    check(server.drainOutput() == [0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
    check(server.close(code: 1000))
    check(server.drainOutput() == [0x88, 0x02, 0x03, 0xE8])
  }

  @Test(arguments: [0, 1, 5, 64, 125, 126, 300, 4000, 65535, 65536, 70_000])
  func `a client's text is masked with a key of its own and unmasks to what was written`(count: Int) throws {
    var client = try WebSocketEndpoint.opened(.client, limits: .init(messageBytes: 125, outputBytes: 160_000))
    let text = String(repeating: "x", count: count)
    check(client.send(text))
    let room = try present(client.beginText(maximum: count + 10))
    for i in 0..<count { room[i] = 0x79 }
    check(client.commitText(count))
    let frames = try present(ModelReceiver.frames(client.drainOutput(), masked: true))
    #expect(frames.map(\.payload) == [Array(text.utf8), [UInt8](repeating: 0x79, count: count)])
    #expect(frames.allSatisfy { $0.opcode == 1 && $0.isFinal })
    #expect(frames[0].mask != frames[1].mask)
    check(client.framesOut == 2)
  }

  @Test func `a whole message from a server is delivered where it lies`() throws {
    var client = try WebSocketEndpoint.opened(.client)
    let bytes =
      ModelFrame(opcode: 1, payload: Self.hello).bytes + ModelFrame(opcode: 1, payload: Array("é".utf8)).bytes
      + ModelFrame(opcode: 2, payload: [1, 2]).bytes
    var offsets: [Int] = []
    bytes.withUnsafeBytes { bytes in
      client.receive(bytes)
      while true {
        switch client.next() {
        case .text(let payload), .binary(let payload): offsets.append(payload.baseAddress! - bytes.baseAddress!)
        default: return
        }
      }
    }
    #expect(offsets == [2, 9, 13])
  }

  @Test func `receiving more before the last bytes are used up traps`() async {
    await #expect(processExitsWith: .failure) {
      var client = try WebSocketEndpoint.opened(.client)
      let bytes: [UInt8] = [0x81, 0x00]
      bytes.withUnsafeBytes {
        client.receive($0)
        client.receive($0)
      }
    }
  }

  // MARK: Against the model

  /// Every kind of frame, in the forms that have caused trouble.
  private static func session(masked: Bool) -> [UInt8] {
    let frames: [ModelFrame] = [
      .init(opcode: 1, payload: hello), .init(opcode: 1, payload: []), .init(opcode: 1, payload: Array("aé€😀".utf8)),
      .init(opcode: 9, payload: []), .init(opcode: 1, payload: Array("aé€😀z".utf8.prefix(5)), isFinal: false),
      .init(opcode: 9, payload: [1, 2, 3]), .init(opcode: 0, payload: [], isFinal: false),
      .init(opcode: 10, payload: [4]), .init(opcode: 0, payload: Array("aé€😀z".utf8.dropFirst(5))),
      .init(opcode: 2, payload: [UInt8](repeating: 200, count: 130)), .init(opcode: 2, payload: [], isFinal: false),
      .init(opcode: 0, payload: [0xFF]), .init(opcode: 8, payload: [0x03, 0xE9] + Array("büe".utf8)),
      .init(opcode: 1, payload: hello),
    ]
    return frames.flatMap { frame in
      var frame = frame
      frame.mask = masked ? [0x37, 0xFA, 0x21, UInt8(frame.payload.count)] : nil
      return frame.bytes
    }
  }

  /// What the endpoint must have sent in answer, or nothing if it is not made of whole frames.
  private func replies(_ endpoint: inout WebSocketEndpoint, role: WebSocketRole) -> [ModelFrame]? {
    ModelReceiver.frames(endpoint.drainOutput(), masked: role == .client).map { frames in
      frames.map { frame in
        var frame = frame
        frame.mask = nil
        return frame
      }
    }
  }

  @Test(arguments: [WebSocketRole.client, .server])
  func `a session means the same, cut at any two places or into single bytes`(role: WebSocketRole) throws {
    let stream = Self.session(masked: role == .server)
    var model = ModelReceiver(masked: role == .server, maximum: 70_000)
    model.read(stream)
    #expect(model.events.count == 10)
    #expect(model.events.last == .closed(code: 1001, reason: "büe"))
    var cuts = (0...stream.count).map { [$0] } + [Array(1..<stream.count)]
    for first in stride(from: 0, to: stream.count, by: 3) {
      for second in stride(from: first, to: stream.count, by: 7) { cuts.append([first, second]) }
    }
    for cut in cuts {
      var endpoint = try WebSocketEndpoint.opened(role)
      let seen = endpoint.take(stream, cuts: cut)
      let sent = replies(&endpoint, role: role)
      let count = endpoint.framesIn
      if seen != model.events || sent != model.replies || count != UInt64(model.frames) || endpoint.state != .closed {
        Issue.record("cut at \(cut): \(seen), sent \(String(describing: sent))")
        return
      }
    }
  }

  private func randomStream(masked: Bool, dice: inout WebSocketDice) -> [UInt8] {
    var bytes: [UInt8] = []
    var starts: [Int] = []
    func append(_ opcode: UInt8, _ payload: [UInt8], isFinal: Bool, _ dice: inout WebSocketDice) {
      starts.append(bytes.count)
      bytes += ModelFrame(opcode: opcode, payload: payload, isFinal: isFinal, mask: masked ? dice.bytes(4) : nil).bytes
    }
    let alphabet = ["a", "é", "€", "😀", "{\"id\":1}", String(repeating: "b", count: 70)]
    for _ in 0..<Int.random(in: 1...12, using: &dice) {
      let isText = dice.chance(70)
      let words = (0..<Int.random(in: 0...12, using: &dice)).map { _ in
        dice.chance(70) ? "quote" : alphabet.randomElement(using: &dice)!
      }
      var payload = isText ? Array(words.joined().utf8) : dice.bytes(Int.random(in: 0...200, using: &dice))
      if dice.chance(3) { payload += dice.bytes(1) }
      if dice.chance(2) { payload += [UInt8](repeating: 0x63, count: 700) }
      let pieces = dice.chance(60) ? 1 : Int.random(in: 2...4, using: &dice)
      for piece in 0..<pieces {
        let count = piece == pieces - 1 ? payload.count : Int.random(in: 0...payload.count, using: &dice)
        append(piece == 0 ? (isText ? 1 : 2) : 0, Array(payload.prefix(count)), isFinal: piece == pieces - 1, &dice)
        payload.removeFirst(count)
        while dice.chance(20) {
          append(dice.chance(50) ? 9 : 10, dice.bytes(Int.random(in: 0...125, using: &dice)), isFinal: true, &dice)
        }
      }
    }
    if dice.chance(30) {
      let codes: [UInt16] = [1000, 1001, 1005, 1011, 3000, 999, 1015]
      let code = codes.randomElement(using: &dice)!
      append(8, dice.chance(30) ? [] : [UInt8(code >> 8), UInt8(code & 255)] + Array("bye".utf8), isFinal: true, &dice)
    }
    // One wrong bit, mostly in the first two bytes of a header.
    if dice.chance(40) {
      let start = starts.randomElement(using: &dice)! + Int.random(in: 0...1, using: &dice)
      let place = dice.chance(70) ? start : Int.random(in: bytes.indices, using: &dice)
      bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &dice)
    }
    if dice.chance(20) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &dice)) }
    return bytes
  }

  @Test(arguments: [WebSocketRole.client, .server], [11, 12, 13, 14] as [UInt64])
  func `random sessions, damaged ones too, read as the model reads them`(role: WebSocketRole, seed: UInt64) throws {
    var dice = WebSocketDice(state: seed)
    var endings: Set<String> = []
    for round in 0..<600 {
      let stream = randomStream(masked: role == .server, dice: &dice)
      var model = ModelReceiver(masked: role == .server, maximum: 600)
      model.read(stream)
      let count = Int.random(in: 0...6, using: &dice)
      let cuts = (0..<count).map { _ in Int.random(in: 0...stream.count, using: &dice) }.sorted()
      var endpoint = try WebSocketEndpoint.opened(role, limits: .init(messageBytes: 600, outputBytes: 16384))
      let seen = endpoint.take(stream, cuts: cuts)
      let sent = replies(&endpoint, role: role)
      if case .failed(let failure)? = seen.last { endings.insert("\(failure)") }
      if seen != model.events || sent != model.replies {
        Issue.record("seed \(seed), round \(round): \(seen) is not \(model.events)")
        return
      }
    }
    #expect(endings.count >= 8, "the damage is of many kinds")
  }

  @Test(arguments: [21, 22, 23] as [UInt64])
  func `two endpoints talk, whatever is sent and however the wire cuts it`(seed: UInt64) throws {
    var dice = WebSocketDice(state: seed)
    var client = try WebSocketEndpoint(client: .init(messageBytes: 2000, outputBytes: 3000))
    var server = try WebSocketEndpoint(server: "/ws", limits: .init(messageBytes: 2000, outputBytes: 3000))
    for connection in 0..<20 {
      server.reset()
      try client.start(host: "localhost", path: "/ws", key: dice.bytes(16), maskSeed: dice.next())
      var toClient: [SeenEvent] = [.opened]
      var toServer: [SeenEvent] = [.opened]
      var atClient: [SeenEvent] = []
      var atServer: [SeenEvent] = []
      func act(_ end: inout WebSocketEndpoint, _ expected: inout [SeenEvent], _ dice: inout WebSocketDice) {
        let payload = Array(
          String(repeating: dice.chance(20) ? "€" : "p", count: Int.random(in: 0...400, using: &dice)).utf8)
        switch Int.random(in: 0..<4, using: &dice) {
        case 0:
          if payload.withUnsafeBytes({ end.sendText($0) }) { expected.append(.text(payload)) }
        case 1:
          guard let room = end.beginText(maximum: payload.count + Int.random(in: 0...300, using: &dice)) else { return }
          for i in payload.indices { room[i] = CChar(bitPattern: payload[i]) }
          if dice.chance(20) {
            end.dropText()
          } else if end.commitText(payload.count) {
            expected.append(.text(payload))
          }
        case 2:
          let short = Array(payload.prefix(20))
          if end.ping(short) { expected.append(.ping(short)) }
        default: break
        }
      }
      // A random part of what waits goes over the wire.
      func move(
        _ from: inout WebSocketEndpoint, _ to: inout WebSocketEndpoint, _ seen: inout [SeenEvent], all: Bool,
        _ dice: inout WebSocketDice
      ) {
        let count = all ? from.output.count : Int.random(in: 0...from.output.count, using: &dice)
        let bytes = Array(from.output.prefix(count))
        from.consumeOutput(count)
        seen += to.take(bytes)
      }
      for _ in 0..<150 {
        act(&client, &toServer, &dice)
        act(&server, &toClient, &dice)
        move(&client, &server, &atServer, all: false, &dice)
        move(&server, &client, &atClient, all: false, &dice)
      }
      if dice.chance(50) { client.close(code: 3000) } else { server.close(code: 1001) }
      for _ in 0..<4 {
        move(&client, &server, &atServer, all: true, &dice)
        move(&server, &client, &atClient, all: true, &dice)
      }
      let states = [client.state, server.state]
      #expect(states == [.closed, .closed])
      let code: UInt16 = atClient.last == .closed(code: 3000, reason: "") ? 3000 : 1001
      #expect(atClient.last == .closed(code: code, reason: "") && atServer.last == .closed(code: code, reason: ""))
      func isOwn(_ event: SeenEvent) -> Bool {
        switch event {
        case .pong, .closed: false
        default: true
        }
      }
      if atClient.filter(isOwn) != toClient || atServer.filter(isOwn) != toServer {
        Issue.record("seed \(seed), connection \(connection)")
        return
      }
    }
  }

  // MARK: Failures

  /// What one damaged frame leads to: the event, and the close code that was sent.
  private func fate(_ role: WebSocketRole, _ bytes: [UInt8], limit: Int = 1000) throws -> (
    WebSocketFailure?, code: UInt16?
  ) {
    var endpoint = try WebSocketEndpoint.opened(role, limits: .init(messageBytes: limit, outputBytes: 4096))
    let seen = endpoint.take(bytes)
    let sent = replies(&endpoint, role: role)
    guard case .failed(let failure)? = seen.last else { return (nil, nil) }
    check(endpoint.state == .closed)
    check(endpoint.take([0x81, 0x00]) == [])
    check(!endpoint.send("x") && !endpoint.ping([]) && endpoint.beginText(maximum: 1) == nil)
    let payload = sent?.last?.payload ?? []
    return (failure, payload.count == 2 ? UInt16(payload[0]) << 8 | UInt16(payload[1]) : nil)
  }

  @Test(
    arguments: [
      ([0xC1, 0x00], .reservedBits, 1002), ([0x83, 0x00], .unknownOpcode, 1002), ([0x09, 0x00], .badControl, 1002),
      ([0x89, 0x7E, 0x00, 0x7E], .badControl, 1002), ([0x81, 0x80], .badMask, 1002),
      ([0x81, 0x7E, 0x00, 0x7D], .badLength, 1002),
      ([0x80, 0x00], .nothingToContinue, 1002), ([0x01, 0x00, 0x81, 0x00], .messageInterrupted, 1002),
      ([0x88, 0x01, 0x03], .badClose, 1002), ([0x88, 0x02, 0x03, 0xED], .badClose, 1002),
      ([0x88, 0x03, 0x03, 0xE8, 0xFF], .notUTF8, 1007), ([0x81, 0x01, 0xFF], .notUTF8, 1007),
      ([0x81, 0x02, 0x41, 0xC3], .notUTF8, 1007), ([0x01, 0x01, 0xC3, 0x80, 0x01, 0x41], .notUTF8, 1007),
      ([0x01, 0x01, 0xC3, 0x80, 0x00], .notUTF8, 1007), ([0x81, 0x05, 0xFF], .notUTF8, 1007),
      ([0x82, 0x7E, 0x03, 0xE9], .messageTooLong, 1009),
      ([0x81, 0x7F, 0x7F, 0, 0, 0, 0, 0, 0, 0], .messageTooLong, 1009),
      ([0x02, 0x01, 0x00, 0x80, 0x7E, 0x03, 0xE8], .messageTooLong, 1009),
    ] as [([UInt8], WebSocketFailure, UInt16)])
  func `a server that breaks the protocol is told so by code`(bytes: [UInt8], failure: WebSocketFailure, code: UInt16)
    throws
  {
    let found = try fate(.client, bytes)
    #expect(found.0 == failure && found.code == code && failure.closeCode == code)
  }

  @Test func `a client that does not mask is told so`() throws {
    let found = try fate(.server, [0x81, 0x05] + Self.hello)
    #expect(found.0 == .badMask && found.code == 1002)
  }

  @Test func `a message at the limit is delivered, whole or in fragments`() throws {
    let payload = [UInt8](repeating: 0x61, count: 1000)
    for role in [WebSocketRole.client, .server] {
      let mask: [UInt8]? = role == .server ? [1, 2, 3, 4] : nil
      var endpoint = try WebSocketEndpoint.opened(role, limits: .init(messageBytes: 1000, outputBytes: 1024))
      let whole = endpoint.take(ModelFrame(opcode: 1, payload: payload, mask: mask).bytes)
      #expect(whole == [.text(payload)])
      let first = ModelFrame(opcode: 1, payload: Array(payload[..<999]), isFinal: false, mask: mask).bytes
      let pieces = endpoint.take(first + ModelFrame(opcode: 0, payload: [0x61], mask: mask).bytes, cuts: [500])
      #expect(pieces == [.text(payload)])
    }
  }

  // MARK: Closing

  @Test func `a close is answered once, with its own code`() throws {
    for (payload, code) in [([], 1005), ([0x03, 0xE8], 1000), ([0x0B, 0xB8, 0x41], 3000)] as [([UInt8], UInt16)] {
      var client = try WebSocketEndpoint.opened(.client)
      let frame = ModelFrame(opcode: 8, payload: payload).bytes
      let seen = client.take(frame + frame + [0x81, 0x00])
      #expect(seen == [.closed(code: code, reason: payload.count > 2 ? "A" : "")])
      let sent = replies(&client, role: .client)
      #expect(sent == [ModelFrame(opcode: 8, payload: Array(payload.prefix(2)))])
      client.close(code: 1000)
      check(client.output.isEmpty)
    }
  }

  @Test func `after our close nothing is sent, and what arrives is still delivered`() throws {
    var client = try WebSocketEndpoint.opened(.client)
    check(!client.close(code: 1005) && client.state == .open)
    check(client.close(code: 1001) && client.state == .closing)
    check(client.close(code: 1001))
    check(!client.send("x") && !client.ping([]) && client.beginText(maximum: 1) == nil)
    let seen = client.take([0x81, 0x01, 0x41, 0x89, 0x00, 0x88, 0x00])
    #expect(seen == [.text("A"), .ping([]), .closed(code: 1005, reason: "")])
    let sent = replies(&client, role: .client)
    #expect(sent == [ModelFrame(opcode: 8, payload: [0x03, 0xE9])])
    check(client.state == .closed)
  }

  @Test func `a close may say why, in so many bytes as a control frame holds`() throws {
    for (reason, shown) in [
      ("heartbeat close", "heartbeat close"), (String(repeating: "x", count: 123), String(repeating: "x", count: 123)),
      (String(repeating: "x", count: 124), ""), ("", ""),
    ] {
      for role in [WebSocketRole.client, .server] {
        var endpoint = try WebSocketEndpoint.opened(role)
        check(endpoint.close(code: 4000, reason: reason) && endpoint.state == .closing)
        check(!endpoint.send("x") && endpoint.close(code: 4000, reason: reason))
        let sent = replies(&endpoint, role: role)
        #expect(sent == [ModelFrame(opcode: 8, payload: [0x0F, 0xA0] + Array(shown.utf8))])
      }
    }
    var endpoint = try WebSocketEndpoint.opened(.client)
    check(!endpoint.close(code: 1005, reason: "x") && endpoint.state == .open)
    // Without room it is a bare close.
    var full = try WebSocketEndpoint.opened(.server, limits: .init(messageBytes: 125, outputBytes: 1024))
    check(full.send(String(repeating: "s", count: 1020)))
    check(full.close(code: 4000, reason: "heartbeat close"))
    let frames = replies(&full, role: .server)
    #expect(frames?.last == ModelFrame(opcode: 8, payload: [0x0F, 0xA0]))
  }

  @Test func `a close before the handshake is done just ends it`() throws {
    var client = try WebSocketEndpoint(client: .init())
    try client.start(host: "h", path: "/", key: sampleKey, maskSeed: 1)
    _ = client.drainOutput()
    client.close(code: 1000)
    check(client.state == .closed && client.output.isEmpty)
    check(client.take(sampleAnswer()) == [])
  }

  // MARK: Output

  @Test func `a full output refuses, keeps what it has, and always has room for a close`() throws {
    for role in [WebSocketRole.client, .server] {
      var endpoint = try WebSocketEndpoint.opened(role, limits: .init(messageBytes: 125, outputBytes: 1024))
      let header = role == .client ? 6 : 2
      var sent = 0
      while endpoint.send(String(repeating: "s", count: 100)) { sent += 1 }
      #expect(sent == 1024 / (header + 100))
      let rest = 1024 - sent * (header + 100)
      check(endpoint.beginText(maximum: rest - header + 1) == nil && endpoint.beginText(maximum: Int.max) == nil)
      let room = endpoint.beginText(maximum: rest - header)
      #expect(room != nil)
      endpoint.dropText()
      check(!endpoint.send(String(repeating: "s", count: rest - header + 1)))
      check(endpoint.send(String(repeating: "s", count: rest - header)))
      check(endpoint.output.count == 1024 && !endpoint.ping([]))
      endpoint.close(code: 1000)
      let frames = replies(&endpoint, role: role)
      #expect(frames?.count == sent + 2)
      #expect(frames?.last == ModelFrame(opcode: 8, payload: [0x03, 0xE8]))
    }
  }

  @Test func `while the output is full, the pong for the latest ping waits for room`() throws {
    var server = try WebSocketEndpoint.opened(.server, limits: .init(messageBytes: 125, outputBytes: 1024))
    check(server.send(String(repeating: "s", count: 1020)))
    let mask: [UInt8] = [0, 0, 0, 0]
    let pings =
      ModelFrame(opcode: 9, payload: [1], mask: mask).bytes + ModelFrame(opcode: 9, payload: [2], mask: mask).bytes
    check(server.take(pings) == [.ping([1]), .ping([2])])
    check(server.output.count == 1024)
    server.consumeOutput(2)
    check(server.output.count == 1022)
    server.consumeOutput(1)
    check(server.output.count == 1024)
    check(Array(server.output.suffix(3)) == [0x8A, 0x01, 0x02])
  }

  @Test func `a begun text stays where it is: pongs wait for it, a close drops it`() throws {
    var client = try WebSocketEndpoint.opened(.client)
    check(client.send("first"))
    var room = try present(client.beginText(maximum: 500))
    for i in 0..<200 { room[i] = 0x41 }
    check(client.take([0x89, 0x01, 0x07]) == [.ping([7])])
    check(!client.send("x") && !client.ping([]))
    client.consumeOutput(client.output.count)
    for i in 200..<300 { room[i] = 0x41 }
    check(client.commitText(300))
    check(!client.commitText(300), "committed once")
    check(
      replies(&client, role: .client) == [
        ModelFrame(opcode: 1, payload: [UInt8](repeating: 0x41, count: 300)), ModelFrame(opcode: 10, payload: [7]),
      ])
    room = try present(client.beginText(maximum: 10))
    check(client.take([0x89, 0x01, 0x08]) == [.ping([8])])
    client.dropText()
    check(replies(&client, role: .client) == [ModelFrame(opcode: 10, payload: [8])])
    room = try present(client.beginText(maximum: 10))
    room[0] = 0x42
    client.close(code: 1000)
    check(!client.commitText(1))
    check(replies(&client, role: .client) == [ModelFrame(opcode: 8, payload: [0x03, 0xE8])])
  }

  @Test func `a commit of less than was begun has the shortest header, whatever waits before it`() throws {
    for role in [WebSocketRole.client, .server] {
      for (maximum, count) in [(126, 125), (126, 0), (70_000, 65_535), (70_000, 100), (70_000, 0), (300, 126)] {
        for waiting in ["", "before"] {
          var endpoint = try WebSocketEndpoint.opened(role, limits: .init(messageBytes: 125, outputBytes: 80_000))
          var expected: [ModelFrame] = []
          if !waiting.isEmpty {
            check(endpoint.send(waiting))
            expected.append(ModelFrame(opcode: 1, payload: Array(waiting.utf8)))
          }
          let room = try present(endpoint.beginText(maximum: maximum))
          for i in 0..<count { room[i] = CChar(i % 100) }
          check(endpoint.commitText(count))
          check(endpoint.send("after"))
          expected.append(ModelFrame(opcode: 1, payload: (0..<count).map { UInt8($0 % 100) }))
          expected.append(ModelFrame(opcode: 1, payload: Array("after".utf8)))
          let sent = replies(&endpoint, role: role)
          #expect(sent == expected)
        }
      }
    }
  }

  @Test func `a commit or a consumption of more than there is traps`() async {
    await #expect(processExitsWith: .failure) {
      var client = try WebSocketEndpoint.opened(.client)
      _ = client.beginText(maximum: 10)
      _ = client.commitText(11)
    }
    await #expect(processExitsWith: .failure) {
      var client = try WebSocketEndpoint.opened(.client)
      client.consumeOutput(1)
    }
  }

  @Test func `every failure is described in a sentence of its own`() {
    let failures: [WebSocketFailure] = [
      .notHTTP, .refused(status: 401), .noUpgrade, .noConnectionUpgrade, .wrongAccept, .extensionNotOffered,
      .subprotocolNotOffered, .headTooLong, .requestRefused(status: 404), .reservedBits, .unknownOpcode, .badControl,
      .badMask,
      .badLength, .nothingToContinue, .messageInterrupted, .badClose, .notUTF8, .messageTooLong,
    ]
    #expect(Set(failures.map { "\($0)" }).count == failures.count)
    #expect(failures.allSatisfy { "\($0)".count > 30 })
  }
}
