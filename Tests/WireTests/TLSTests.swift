import Apus
import CSupport
import Foundation
import Synchronization
import Testing

extension TLSSession {
  mutating func write(_ bytes: [UInt8]) -> Write { bytes.withUnsafeBufferPointer { write($0) } }
  mutating func feed(_ bytes: [UInt8]) -> Int? { bytes.withUnsafeBufferPointer { feed($0) } }

  /// Moves everything pending, at most `limit` bytes, to the end of `out`.
  mutating func takePending(into out: inout [UInt8], limit: Int = .max) {
    let bytes = pending().prefix(limit)
    out += bytes
    take(bytes.count)
  }

  /// Appends what can be decrypted now; returns why it ended.
  mutating func readAll(into plaintext: inout [UInt8], chunk: Int = 16_384) -> Read {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: chunk) { buffer in
      while true {
        let result = read(into: buffer)
        guard case .bytes(let count) = result else { return result }
        plaintext += buffer[..<count]
      }
    }
  }
}

/// Two sessions joined in memory.
struct TLSPair: ~Copyable {
  var client: TLSSession
  var server: TLSSession
  var clientGot: [UInt8] = []
  var serverGot: [UInt8] = []

  init(
    names: [String] = ["localhost", "127.0.0.1"], host: String = "localhost", validFor: Range<Int64> = -60..<3600,
    trust: TLSContext.Trust? = nil
  ) throws {
    let (context, pem) = try TLSContext.selfSignedServer(names: names, validFor: validFor)
    let trusting = try TLSContext.client(trusting: trust ?? .pem(pem))
    self.init(client: try TLSSession(client: trusting, host: host), server: try TLSSession(server: context))
  }

  init(client: consuming TLSSession, server: consuming TLSSession) {
    self.client = client
    self.server = server
  }

  /// Carries ciphertext in pieces of at most `piece` bytes until nothing moves.
  mutating func carry(piece: Int = .max) {
    var moved = true
    while moved {
      moved = false
      var up: [UInt8] = []
      client.takePending(into: &up, limit: piece)
      if !up.isEmpty {
        moved = true
        _ = server.feed(up)
      }
      _ = server.readAll(into: &serverGot)
      var down: [UInt8] = []
      server.takePending(into: &down, limit: piece)
      if !down.isEmpty {
        moved = true
        _ = client.feed(down)
      }
      _ = client.readAll(into: &clientGot)
    }
  }
}

@Suite struct TLSTests {
  @Test(arguments: [Int.max, 1, 7, 1000])
  func `two sessions agree and exchange plaintext, however the ciphertext is cut`(piece: Int) throws {
    var pair = try TLSPair()
    #expect(pair.client.write([1]) == .notReady)
    pair.carry(piece: piece)
    let states = [pair.client.state, pair.server.state]
    #expect(states == [.ready, .ready])
    let summary = pair.client.summary
    #expect(summary == "TLSv1.3 TLS_AES_128_GCM_SHA256")
    let up = [UInt8](stream: 1, count: 3000), down = [UInt8](stream: 2, count: 20_000)
    #expect(pair.client.write(up) == .queued)
    #expect(pair.server.write(down) == .queued)
    pair.carry(piece: piece)
    let got = [pair.serverGot, pair.clientGot]
    #expect(got == [up, down])
  }

  @Test(arguments: ["127.0.0.1", "venue.example", "::1"])
  func `a certificate is accepted for each name it carries`(host: String) throws {
    var pair = try TLSPair(names: ["venue.example", "127.0.0.1", "::1"], host: host)
    pair.carry()
    let state = pair.client.state
    #expect(state == .ready)
  }

  @Test(arguments: ["other.example", "127.0.0.2"])
  func `another host's certificate is refused and the host named`(host: String) throws {
    var pair = try TLSPair(host: host)
    pair.carry()
    let state = pair.client.state
    let error = pair.client.error
    #expect(state == .failed)
    #expect(
      error?.description
        == "the certificate is for another host than \(host) (check the address, or who answers there)")
    #expect(pair.client.write([1]) == .failed)
    // The alert reaches the server, which says what the client did.
    let serverError = pair.server.error
    #expect(serverError?.description.contains("refused our certificate") == true)
  }

  @Test func `an issuer that is not trusted is refused`() throws {
    let other = try TLSContext.selfSignedServer(names: ["localhost"])
    for trust in [TLSContext.Trust.system, .pem(other.certificatePEM)] {
      var pair = try TLSPair(trust: trust)
      pair.carry()
      let error = pair.client.error
      #expect(error?.description.contains("not trusted") == true)
    }
  }

  @Test func `expired and future certificates are told apart`() throws {
    for (range, text) in [(Int64(-7200)..<Int64(-3600), "has expired"), (3600..<7200, "is not valid yet")] {
      var pair = try TLSPair(validFor: range)
      pair.carry()
      let error = pair.client.error
      #expect(error?.description.contains(text) == true)
    }
  }

  @Test func `large writes pass in whole, and a full buffer takes nothing`() throws {
    var pair = try TLSPair()
    pair.carry()
    #expect(pair.client.write([UInt8](repeating: 0, count: 96 * 1024 + 1)) == .tooLarge)
    let data = [UInt8](stream: 3, count: 96 * 1024)
    #expect(pair.client.write(data) == .queued)
    let before = pair.client.pending().count
    #expect(pair.client.write(data) == .full)
    let after = pair.client.pending().count
    #expect(before == after)
    pair.carry(piece: 5000)
    let got = pair.serverGot
    #expect(got == data)
  }

  @Test func `ciphertext beyond the buffer waits until plaintext is read`() throws {
    var pair = try TLSPair()
    pair.carry()
    var stream: [UInt8] = []
    for i in 0..<4 {
      #expect(pair.client.write([UInt8](stream: i, count: 90_000)) == .queued)
      pair.client.takePending(into: &stream)
    }
    var fed = 0
    var stalls = 0
    var got: [UInt8] = []
    while fed < stream.count {
      let taken = pair.server.feed(Array(stream[fed...]))
      fed += try #require(taken)
      if fed < stream.count { stalls += 1 }
      _ = pair.server.readAll(into: &got, chunk: 1000)
    }
    #expect(stalls > 0)
    var expected: [UInt8] = []
    for i in 0..<4 { expected += [UInt8](stream: i, count: 90_000) }
    #expect(got == expected)
  }

  @Test func `an orderly close is seen as one, and what was sent before arrives`() throws {
    var pair = try TLSPair()
    pair.carry()
    #expect(pair.client.write([1, 2, 3]) == .queued)
    pair.client.close()
    #expect(pair.client.write([4]) == .closed)
    pair.carry()
    let got = pair.serverGot
    let states = [pair.client.state, pair.server.state]
    #expect(got == [1, 2, 3])
    #expect(states == [.closed, .peerClosed])
    var more: [UInt8] = []
    #expect(pair.server.readAll(into: &more) == .closed)
    // The other direction is still open.
    #expect(pair.server.write([9]) == .queued)
    pair.carry()
    let answer = pair.clientGot
    #expect(answer == [9])
  }

  @Test func `a damaged record ends the session`() throws {
    var pair = try TLSPair()
    pair.carry()
    #expect(pair.client.write([UInt8](stream: 1, count: 100)) == .queued)
    var stream: [UInt8] = []
    pair.client.takePending(into: &stream)
    stream[50] ^= 1
    _ = pair.server.feed(stream)
    var got: [UInt8] = []
    #expect(pair.server.readAll(into: &got) == .failed)
    #expect(got.isEmpty)
    let error = pair.server.error
    #expect(error?.description.contains("damaged on the way") == true)
    #expect(pair.server.feed([1]) == nil)
  }

  @Test func `an end that does not speak TLS is named as such`() throws {
    var client = try TLSSession(client: try TLSContext.client(), host: "venue.example")
    #expect(client.feed(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)) == nil)
    let error = client.error
    #expect(
      error?.description
        == "TLS with venue.example failed: the other end does not speak TLS (is this a plain-text port?)")
  }

  @Test func `files that cannot be used are named`() throws {
    let missing = #expect(throws: TLSError.self) { _ = try TLSContext.client(trusting: .file("/nonexistent/ca.pem")) }
    #expect(missing?.description == "could not read the CA file /nonexistent/ca.pem: No such file or directory")
    #expect(throws: TLSError.self) { _ = try TLSContext.client(trusting: .pem([])) }
    #expect(throws: TLSError.self) { _ = try TLSContext.server(certificateFile: "/dev/null", keyFile: "/dev/null") }
    #expect(throws: TLSError.self) { _ = try TLSContext.selfSignedServer(names: ["two words"]) }
    let server = try TLSContext.selfSignedServer(names: ["localhost"]).context
    let swapped = #expect(throws: TLSError.self) { _ = try TLSSession(client: server, host: "localhost") }
    #expect(swapped?.description.contains("needs a client context") == true)
  }

  @Test func `a server with certificate files serves a client that trusts the file`() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("apus-tls-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let key = directory.appendingPathComponent("key.pem").path,
      certificate = directory.appendingPathComponent("c.pem").path
    let made = try runTool(
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
      "-out",
      certificate, "-subj", "/CN=demo", "-addext", "subjectAltName=DNS:demo.example")
    try #require(made != nil)
    var server = try TLSSession(server: try TLSContext.server(certificateFile: certificate, keyFile: key))
    var client = try TLSSession(client: try TLSContext.client(trusting: .file(certificate)), host: "demo.example")
    for _ in 0..<4 {
      var up: [UInt8] = [], down: [UInt8] = []
      client.takePending(into: &up)
      _ = server.feed(up)
      server.takePending(into: &down)
      _ = client.feed(down)
    }
    let states = [client.state, server.state]
    #expect(states == [.ready, .ready])
  }

  @Test(arguments: driverKinds) func `TLS runs over the socket driver`(kind: SocketDriverKind) throws {
    var driver = try SocketDriver(SocketDriverConfiguration(connections: 2, receiveBufferBytes: 700, kind: kind))
    let (context, pem) = try TLSContext.selfSignedServer(names: ["127.0.0.1"])
    var server = try TLSSession(server: context)
    var client = try TLSSession(client: try TLSContext.client(trusting: .pem(pem)), host: "127.0.0.1")
    let port = try driver.listen(host: "127.0.0.1").port
    let connection = try driver.connect(host: "127.0.0.1", port: port)
    let data = [UInt8](stream: 4, count: 60_000)
    var asked = false
    var serverGot: [UInt8] = [], clientGot: [UInt8] = []
    var ends = 0
    var orderly = true
    func flush(_ session: inout TLSSession, _ driver: inout SocketDriver, _ handle: ConnectionHandle) {
      let pending = session.pending()
      if !pending.isEmpty, driver.send(pending, on: handle) == .queued { session.take(pending.count) }
    }
    let done = pump(&driver) { driver, event in
      switch event.kind {
      case .connected:
        flush(&client, &driver, connection)
      case .received where event.connection == connection:
        _ = client.feed(event.payload)
        _ = client.readAll(into: &clientGot)
        if client.state == .ready, !asked {
          asked = client.write(data) == .queued
        }
        if clientGot.count == data.count { client.close() }
        flush(&client, &driver, connection)
        if client.state == .closed { driver.close(connection) }
      case .received:
        _ = server.feed(event.payload)
        var fresh: [UInt8] = []
        _ = server.readAll(into: &fresh)
        serverGot += fresh
        if !fresh.isEmpty { orderly = server.write(fresh) == .queued && orderly }
        flush(&server, &driver, event.connection)
      case .closed:
        ends += 1
      case .connectFailed, .accepted, .writable:
        break
      }
      return ends == 2
    }
    #expect(done)
    #expect(orderly)
    #expect(serverGot == data)
    #expect(clientGot == data)
    let state = server.state
    #expect(state == .peerClosed)
  }
}

/// Standard output of a command, or nil if it failed.
func runTool(_ command: String..., input: [UInt8] = []) throws -> Data? {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = command
  let output = Pipe(), source = Pipe()
  process.standardOutput = output
  process.standardInput = source
  process.standardError = FileHandle.nullDevice
  try process.run()
  try source.fileHandleForWriting.write(contentsOf: input)
  try source.fileHandleForWriting.close()
  let data = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return process.terminationStatus == 0 ? data : nil
}
