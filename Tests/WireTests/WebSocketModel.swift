import Apus
import CSupport
import Testing

/// `#expect` for conditions that call a noncopyable value, which the macro would copy.
func check(_ condition: Bool, _ comment: Comment? = nil, at location: SourceLocation = #_sourceLocation) {
  #expect(condition, comment, sourceLocation: location)
}

/// `#require` for the same.
func present<Value>(_ value: Value?, at location: SourceLocation = #_sourceLocation) throws -> Value {
  try #require(value, sourceLocation: location)
}

/// Random numbers that a printed seed brings back.
struct WebSocketDice: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }
}

/// An event with its payload copied out.
enum SeenEvent: Equatable {
  case opened
  case text([UInt8])
  case binary([UInt8])
  case ping([UInt8])
  case pong([UInt8])
  case closed(code: UInt16, reason: String)
  case failed(WebSocketFailure)

  static func text(_ text: String) -> Self { .text(Array(text.utf8)) }
}

extension WebSocketEndpoint {
  /// Receives bytes that are gone afterwards, and returns what happened.
  mutating func take(_ bytes: [UInt8]) -> [SeenEvent] {
    // Of the exact size, so that a sanitizer sees a read behind the end.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { buffer.deallocate() }
    buffer.copyBytes(from: bytes)
    var seen: [SeenEvent] = []
    receive(UnsafeRawBufferPointer(buffer))
    while true {
      switch next() {
      case .none:
        buffer.initializeMemory(as: UInt8.self, repeating: 0xEE)
        return seen
      case .opened: seen.append(.opened)
      case .text(let payload): seen.append(.text(Array(payload)))
      case .binary(let payload): seen.append(.binary(Array(payload)))
      case .ping(let payload): seen.append(.ping(Array(payload)))
      case .pong(let payload): seen.append(.pong(Array(payload)))
      case .closed(let code, let reason):
        seen.append(.closed(code: code, reason: String(decoding: reason, as: UTF8.self)))
      case .failed(let failure): seen.append(.failed(failure))
      }
    }
  }

  /// Receives bytes in pieces that end before each of `cuts`, which are in order.
  mutating func take(_ bytes: [UInt8], cuts: [Int]) -> [SeenEvent] {
    var seen: [SeenEvent] = []
    for (start, end) in zip([0] + cuts, cuts + [bytes.count]) { seen += take(Array(bytes[start..<end])) }
    return seen
  }

  mutating func drainOutput() -> [UInt8] {
    let bytes = Array(output)
    consumeOutput(bytes.count)
    return bytes
  }

  mutating func send(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { sendText(UnsafeRawBufferPointer($0)) }
  }

  mutating func ping(_ payload: [UInt8]) -> Bool { payload.withUnsafeBytes { ping($0) } }

  /// An endpoint past its handshake, with nothing in its output.
  static func opened(_ role: WebSocketRole, limits: Limits = Limits(messageBytes: 70_000, outputBytes: 4096)) throws
    -> WebSocketEndpoint
  {
    switch role {
    case .client:
      var client = try WebSocketEndpoint(client: limits)
      try client.start(host: "h", path: "/", key: sampleKey, maskSeed: 1)
      _ = client.drainOutput()
      guard client.take(sampleAnswer()) == [.opened] else { throw WebSocketFailure.notHTTP }
      return client
    case .server:
      var server = try WebSocketEndpoint(server: "/chat", limits: limits)
      guard server.take(sampleRequest()) == [.opened] else { throw WebSocketFailure.notHTTP }
      _ = server.drainOutput()
      return server
    }
  }
}

/// The key of RFC 6455, section 1.3: base64 "dGhlIHNhbXBsZSBub25jZQ==".
let sampleKey = Array("the sample nonce".utf8)

/// The answer of section 1.3, with lines exchanged or added.
func sampleAnswer(
  status: String = "HTTP/1.1 101 Switching Protocols", upgrade: String? = "Upgrade: websocket",
  connection: String? = "Connection: Upgrade", accept: String? = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
  extra: [String] = []
) -> [UInt8] {
  let lines = [status] + [upgrade, connection, accept].compactMap { $0 } + extra
  return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
}

/// The request of section 1.2, with lines exchanged or added.
func sampleRequest(
  line: String = "GET /chat HTTP/1.1", host: String? = "Host: server.example.com",
  upgrade: String? = "Upgrade: websocket",
  connection: String? = "Connection: Upgrade", key: String? = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  version: String? = "Sec-WebSocket-Version: 13", extra: [String] = []
) -> [UInt8] {
  let lines = [line] + [host, upgrade, connection, key, version].compactMap { $0 } + extra
  return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
}

/// One frame, spelled out byte by byte.
struct ModelFrame: Equatable {
  var opcode: UInt8
  var payload: [UInt8]
  var isFinal = true
  var reserved: UInt8 = 0
  var mask: [UInt8]?

  var bytes: [UInt8] {
    var out = [(isFinal ? 0x80 : 0) | reserved << 4 | opcode]
    let maskBit: UInt8 = mask == nil ? 0 : 0x80
    if payload.count < 126 {
      out.append(maskBit | UInt8(payload.count))
    } else if payload.count < 65536 {
      out += [maskBit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    } else {
      out.append(maskBit | 127)
      out += stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: payload.count >> $0) }
    }
    if let mask {
      out += mask
      out += payload.enumerated().map { $1 ^ mask[$0 % 4] }
    } else {
      out += payload
    }
    return out
  }
}

/// Reads frames from a whole stream, one obvious step after the other. What it yields is what an
/// endpoint must, however the stream was cut.
struct ModelReceiver {
  var masked: Bool
  var maximum: Int
  var events: [SeenEvent] = []
  /// The frames that have to be answered, unmasked: pongs and at most one close at the end.
  var replies: [ModelFrame] = []
  var frames = 0

  private var message: [UInt8] = []
  private var messageOpcode: UInt8 = 0

  init(masked: Bool, maximum: Int) {
    self.masked = masked
    self.maximum = maximum
  }

  private mutating func fail(_ failure: WebSocketFailure) {
    events.append(.failed(failure))
    let code = failure.closeCode ?? 0
    replies.append(ModelFrame(opcode: 8, payload: [UInt8(code >> 8), UInt8(code & 0xFF)]))
  }

  mutating func read(_ stream: [UInt8]) {
    var at = 0
    while true {
      let rest = Array(stream[at...])
      guard rest.count >= 2 else { return }
      let opcode = rest[0] & 15
      let isFinal = rest[0] & 0x80 != 0
      let code = Int(rest[1] & 0x7F)
      if rest[0] & 0x70 != 0 { return fail(.reservedBits) }
      if ![0, 1, 2, 8, 9, 10].contains(opcode) { return fail(.unknownOpcode) }
      if (rest[1] & 0x80 != 0) != masked { return fail(.badMask) }
      if opcode >= 8 && (!isFinal || code > 125) { return fail(.badControl) }
      let lengthBytes = code == 126 ? 2 : code == 127 ? 8 : 0
      guard rest.count >= 2 + lengthBytes else { return }
      let length = lengthBytes == 0 ? UInt64(code) : rest[2..<2 + lengthBytes].reduce(0) { $0 << 8 | UInt64($1) }
      if (code == 126 && length < 126) || (code == 127 && (length < 65536 || length >> 63 == 1)) {
        return fail(.badLength)
      }
      let start = 2 + lengthBytes + (masked ? 4 : 0)
      guard rest.count >= start else { return }
      if opcode == 0 && messageOpcode == 0 { return fail(.nothingToContinue) }
      if (opcode == 1 || opcode == 2) && messageOpcode != 0 { return fail(.messageInterrupted) }
      if opcode < 8 && UInt64(message.count) + length > UInt64(maximum) { return fail(.messageTooLong) }
      let end = min(start + Int(length), rest.count)
      let isWhole = rest.count >= start + Int(length)
      var payload = Array(rest[start..<end])
      if masked { for i in payload.indices { payload[i] ^= rest[start - 4 + i % 4] } }
      if opcode >= 8 {
        guard isWhole else { return }
        frames += 1
        at += end
        if opcode == 9 {
          events.append(.ping(payload))
          replies.append(ModelFrame(opcode: 10, payload: payload))
        } else if opcode == 10 {
          events.append(.pong(payload))
        } else {
          return close(payload)
        }
        continue
      }
      if opcode != 0 { messageOpcode = opcode }
      message += payload
      if messageOpcode == 1 && !Self.canBecomeText(message) { return fail(.notUTF8) }
      guard isWhole else { return }
      frames += 1
      at += end
      if isFinal {
        if messageOpcode == 1 && String(validating: message, as: UTF8.self) == nil { return fail(.notUTF8) }
        events.append(messageOpcode == 1 ? .text(message) : .binary(message))
        message = []
        messageOpcode = 0
      }
    }
  }

  private mutating func close(_ payload: [UInt8]) {
    if payload.isEmpty {
      events.append(.closed(code: 1005, reason: ""))
      return replies.append(ModelFrame(opcode: 8, payload: []))
    }
    guard payload.count >= 2 else { return fail(.badClose) }
    let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
    let good = Set<UInt16>([1000, 1001, 1002, 1003] + Array(1007...1014) + Array(3000...4999))
    guard good.contains(code) else { return fail(.badClose) }
    guard let reason = String(validating: payload[2...], as: UTF8.self) else { return fail(.notUTF8) }
    events.append(.closed(code: code, reason: reason))
    replies.append(ModelFrame(opcode: 8, payload: Array(payload[..<2])))
  }

  /// Whether some bytes behind these would make them UTF-8: tried, not reasoned.
  static func canBecomeText(_ bytes: [UInt8]) -> Bool {
    var endings: [[UInt8]] = [[]]
    for _ in 0..<4 {
      if endings.contains(where: { String(validating: bytes + $0, as: UTF8.self) != nil }) { return true }
      endings = endings.flatMap { ending in [0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF].map { ending + [$0] } }
    }
    return false
  }

  /// Takes apart what an endpoint has sent; `nil` if that is not whole frames.
  static func frames(_ stream: [UInt8], masked: Bool) -> [ModelFrame]? {
    var frames: [ModelFrame] = []
    var rest = stream[...]
    while !rest.isEmpty {
      var frame: ModelFrame?
      // The shortest prefix that is spelled exactly as the model would.
      for (head, code) in [(2, 0...125), (4, 126...126), (10, 127...127)] where rest.count >= head {
        let bytes = Array(rest)
        guard code.contains(Int(bytes[1] & 0x7F)), (bytes[1] & 0x80 != 0) == masked else { continue }
        let length = head == 2 ? Int(bytes[1] & 0x7F) : bytes[2..<head].reduce(0) { $0 << 8 | Int($1) }
        let start = head + (masked ? 4 : 0)
        guard bytes.count >= start + length else { continue }
        let mask = masked ? Array(bytes[head..<start]) : nil
        let payload = bytes[start..<start + length].enumerated().map { $1 ^ (mask?[$0 % 4] ?? 0) }
        let candidate = ModelFrame(opcode: bytes[0] & 15, payload: payload, isFinal: bytes[0] & 0x80 != 0, mask: mask)
        if candidate.bytes == Array(bytes[..<(start + length)]) { frame = candidate }
      }
      guard let frame else { return nil }
      rest = rest.dropFirst(frame.bytes.count)
      frames.append(frame)
    }
    return frames
  }
}
