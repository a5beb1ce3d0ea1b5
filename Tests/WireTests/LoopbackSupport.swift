import Apus
import CSupport
import Foundation
import Testing

/// Every test of the driver's contract runs on both.
let driverKinds: [SocketDriverKind] = [.ioUring, .epoll]

extension SocketDriver {
  /// With the driver's defaults.
  init(_ kind: SocketDriverKind) throws(SocketError) {
    try self.init(SocketDriverConfiguration(connections: 0, kind: kind))
  }
}

extension SocketDriverKind: @retroactive CustomTestStringConvertible {
  public var testDescription: String {
    switch self {
    case .automatic: "automatic"
    case .ioUring: "io_uring"
    case .epoll: "epoll"
    }
  }
}

/// Polls until `step` returns true (done) or 60 s have passed (a sanitizer on a busy machine is slow); received buffers are given back after each step.
func pump(
  _ driver: inout SocketDriver, seconds: Double = 60, _ step: (inout SocketDriver, SocketEvent) throws -> Bool
) rethrows -> Bool {
  let end = Date().addingTimeInterval(seconds)
  var turns = 0
  while Date() < end {
    // Sleeping and spinning take different ways through a driver.
    turns += 1
    let count = driver.poll(wait: turns % 4 == 0 ? 0 : 1_000_000)
    guard count >= 0 else { return false }
    var done = false
    for i in 0..<count {
      let event = driver.event(at: i)
      // `done` is kept, so that every event of the turn is seen and released.
      if try step(&driver, event) { done = true }
      if event.kind == .received { driver.release(at: i) }
    }
    if done { return true }
  }
  return false
}

/// Polls for a while without expecting anything in particular.
func settle(_ driver: inout SocketDriver, seconds: Double = 0.05) {
  _ = pump(&driver, seconds: seconds) { _, _ in false }
}

extension SocketDriver {
  mutating func send(_ bytes: [UInt8], on connection: ConnectionHandle) -> SendOutcome {
    bytes.withUnsafeBufferPointer { send($0, on: connection) }
  }

  /// A connected pair within this driver.
  mutating func makePair() throws -> (client: ConnectionHandle, server: ConnectionHandle, port: UInt16) {
    let port = try listen(host: "127.0.0.1").port
    let client = try connect(host: "127.0.0.1", port: port)
    var server: ConnectionHandle?
    var connected = false
    let done = pump(&self) { _, event in
      if event.kind == .accepted { server = event.connection }
      if event.kind == .connected { connected = event.connection == client }
      return server != nil && connected
    }
    try #require(done)
    return (client, try #require(server), port)
  }
}

/// Bytes that differ between connections and positions.
extension [UInt8] {
  init(stream key: Int, from start: Int = 0, count: Int) {
    self = (start..<(start + count)).map { UInt8(truncatingIfNeeded: key &* 31 &+ $0 &* 7 &+ $0 >> 8) }
  }
}

/// A plain blocking TCP socket, as a peer that does not read, resets, or half-closes.
final class PlainSocket {
  let fd: Int32
  init(_ fd: Int32) { self.fd = fd }
  deinit { Glibc.close(fd) }

  static func address(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    return address
  }

  static func connected(to port: UInt16) throws -> PlainSocket {
    let socket = PlainSocket(Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    var address = address(port: port)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(socket.fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(result == 0)
    return socket
  }

  static func listening(backlog: Int32) throws -> (socket: PlainSocket, port: UInt16) {
    let socket = PlainSocket(Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    var address = address(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket.fd, $0, length) == 0 && listen(socket.fd, backlog) == 0 && getsockname(socket.fd, $0, &length) == 0
      }
    }
    try #require(result)
    return (socket, UInt16(bigEndian: address.sin_port))
  }

  /// Reads until the end of the stream, or nil after an error.
  func readAll() -> [UInt8]? {
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(fd, &chunk, chunk.count)
      if count < 0 { return nil }
      if count == 0 { return all }
      all += chunk[..<count]
    }
  }
}

/// Runs `body` on a new thread; `join` waits for it.
final class LoopbackWorker: Sendable {
  private let finished = DispatchSemaphore(value: 0)
  init(_ body: @escaping @Sendable () -> Void) {
    let finished = finished
    Thread {
      body()
      finished.signal()
    }.start()
  }
  func join() -> Bool { finished.wait(timeout: .now() + 60) == .success }
}

/// A small generator that a printed seed repeats.
struct LoopbackRandom: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
