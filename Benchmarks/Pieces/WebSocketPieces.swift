import Apus
import CSupport

/// Framing, and the endpoint with everything that it checks; TLS for comparison.
let webSocketPieces: [Piece] = [
  Piece("ws.parse", .batch(50_000), input: { serverFrame(700) }) { _ in Timed(HeaderParse(serverFrame(700))) },
  Piece("ws.build", .batch(20_000), input: { payload(300) }) { _ in Timed(FrameBuild(payload(300))) },
  Piece("ws.receive", .batch(5000), input: { serverFrame(700) }) { _ in Timed(try EndpointReceive(serverFrame(700))) },
  Piece("ws.send", .batch(5000)) { _ in Timed(try EndpointSend()) },
  Piece("tls.300", .batch(50)) { _ in Timed(try TLSPair()) },
]

private func payload(_ count: Int) -> [UInt8] { (0..<count).map { 0x20 + UInt8($0 % 90) } }

/// An unmasked text frame, as a server sends it.
private func serverFrame(_ count: Int) -> [UInt8] {
  var frame = [UInt8](repeating: 0, count: apus_ws_header_size(count, false))
  _ = apus_ws_header_build(&frame, UInt8(APUS_WS_TEXT), count, false, 0)
  return frame + payload(count)
}

/// The header of a received frame, judged by the rules of RFC 6455.
///
/// Input: the frame. Check: bytes of header and payload, opcode, and whether it is the last fragment.
private struct HeaderParse: Operation {
  let frame: [UInt8]

  init(_ frame: [UInt8]) { self.frame = frame }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum: UInt64 = 0
    let time = frame.withUnsafeBufferPointer { frame in
      let start = EngineClock.now()
      for index in 0..<count {
        var header = WebSocketHeader()
        // The length varies, so that a header is parsed afresh each time.
        if apus_ws_header_parse(frame.baseAddress!, frame.count - index & 1, false, &header) == .ready {
          sum &+= header.payload_bytes &+ UInt64(header.header_bytes)
        }
      }
      return EngineClock.now() - start
    }
    guard sum == UInt64(count * frame.count) else { throw PieceError("\(sum) bytes parsed") }
    return time
  }

  mutating func check() throws -> [Int64] {
    var header = WebSocketHeader()
    guard apus_ws_header_parse(frame, frame.count, false, &header) == .ready else { throw PieceError("not parsed") }
    return [Int64(header.header_bytes), Int64(header.payload_bytes), Int64(header.opcode), header.is_final ? 1 : 0]
  }
}

/// A masked text frame from a payload that lies elsewhere: header, a new key, and a masked copy.
///
/// Input: the payload. Check: bytes of the frame, its first two bytes, FNV-1a of the payload after unmasking.
private struct FrameBuild: Operation, ~Copyable {
  private var keys: UInt64 = 1
  /// The payload and, behind it, the frame: in one block, because chance addresses make a factor of two.
  private let payload: UnsafeMutablePointer<UInt8>
  private let count: Int
  private let out: UnsafeMutablePointer<UInt8>

  init(_ payload: [UInt8]) {
    let block = UnsafeMutableRawPointer.allocate(byteCount: 2048, alignment: 4096)
    let bytes = block.bindMemory(to: UInt8.self, capacity: 2048)
    bytes.initialize(repeating: 0, count: 2048)
    bytes.update(from: payload, count: payload.count)
    self.payload = bytes
    count = payload.count
    out = bytes + 1024
  }

  deinit { UnsafeMutableRawPointer(payload).deallocate() }

  @inline(__always)
  private mutating func build() -> Int {
    let key = apus_ws_next_key(&keys)
    let header = apus_ws_header_build(out, UInt8(APUS_WS_TEXT), count, true, key)
    apus_ws_mask(out + header, payload, count, key)
    return header + count
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let start = EngineClock.now()
    for _ in 0..<count { sum &+= build() }
    let time = EngineClock.now() - start
    guard sum == (self.count + 8) * count else { throw PieceError("\(sum) bytes framed") }
    return time
  }

  mutating func check() throws -> [Int64] {
    let count = build()
    let key = [out[4], out[5], out[6], out[7]]
    let plain = (0..<self.count).map { out[8 + $0] ^ key[$0 % 4] }
    return [Int64(count), Int64(out[0]), Int64(out[1]), hash(of: plain)]
  }
}

/// A client and a server that have shaken hands.
private struct OpenEnds: ~Copyable {
  var client: WebSocketEndpoint
  var server: WebSocketEndpoint

  init() throws {
    var client = try WebSocketEndpoint(client: .init())
    var server = try WebSocketEndpoint(server: "/")
    try client.start(host: "localhost", path: "/", key: Array(1...16), maskSeed: 1)
    server.receive(client.output)
    client.consumeOutput(client.output.count)
    _ = server.next()
    client.receive(server.output)
    server.consumeOutput(server.output.count)
    _ = client.next()
    self.client = client
    self.server = server
  }
}

/// Received bytes to a delivered text: header, state of the connection, and the check for valid UTF-8.
private struct EndpointReceive: Operation, ~Copyable {
  private var ends: OpenEnds
  private let frame: [UInt8]

  init(_ frame: [UInt8]) throws {
    self.frame = frame
    ends = try OpenEnds()
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let frame = self.frame
    let time = frame.withUnsafeBytes { frame in
      let start = EngineClock.now()
      for _ in 0..<count {
        ends.client.receive(frame)
        while case .text(let text) = ends.client.next() { sum &+= text.count }
      }
      return EngineClock.now() - start
    }
    guard sum == 700 * count else { throw PieceError("\(sum) bytes of text delivered") }
    return time
  }

  /// Input: the frame. Check: bytes of the text that is delivered.
  mutating func check() throws -> [Int64] {
    let frame = self.frame
    var counts: [Int64] = []
    frame.withUnsafeBytes { frame in
      ends.client.receive(frame)
      while case .text(let text) = ends.client.next() { counts.append(Int64(text.count)) }
    }
    return counts
  }
}

/// The payload is already in the output: framed and masked in place.
private struct EndpointSend: Operation, ~Copyable {
  private var ends: OpenEnds

  init() throws { ends = try OpenEnds() }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let start = EngineClock.now()
    for _ in 0..<count where ends.client.beginText(maximum: 300) != nil && ends.client.commitText(300) {
      sum &+= ends.client.output.count
      ends.client.consumeOutput(ends.client.output.count)
    }
    let time = EngineClock.now() - start
    guard sum == 308 * count else { throw PieceError("\(sum) bytes framed") }
    return time
  }
}

/// 300 bytes: written and taken at one end, fed and read at the other.
private struct TLSPair: Operation, ~Copyable {
  private var client: TLSSession
  private var server: TLSSession
  private let buffer: UnsafeMutableBufferPointer<UInt8>
  private let payload = [UInt8](repeating: 7, count: 300)

  init() throws {
    let (context, pem) = try TLSContext.selfSignedServer(names: ["localhost"], validFor: -60..<3600)
    var client = try TLSSession(client: TLSContext.client(trusting: .pem(pem)), host: "localhost")
    var server = try TLSSession(server: context)
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 1 << 15)
    for _ in 0..<10 {
      carry(&client, &server, buffer)
      carry(&server, &client, buffer)
    }
    self.client = client
    self.server = server
    self.buffer = buffer
  }

  deinit { buffer.deallocate() }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let payload = self.payload
    let time = payload.withUnsafeBufferPointer { payload in
      let start = EngineClock.now()
      for _ in 0..<count {
        _ = client.write(payload)
        sum &+= carry(&client, &server, buffer)
      }
      return EngineClock.now() - start
    }
    guard sum == 300 * count else { throw PieceError("TLS carried \(sum) bytes") }
    return time
  }
}

/// Moves what one end has pending to the other; returns the plaintext bytes that arrived.
@discardableResult
private func carry(_ from: inout TLSSession, _ to: inout TLSSession, _ buffer: UnsafeMutableBufferPointer<UInt8>) -> Int
{
  let pending = from.pending()
  if pending.count > 0 {
    _ = to.feed(pending)
    from.take(pending.count)
  }
  var sum = 0
  while case .bytes(let count) = to.read(into: buffer) { sum &+= count }
  return sum
}
