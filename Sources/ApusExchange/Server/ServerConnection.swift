import Apus
import CSupport

/// One accepted connection: its framing, its TLS, and how far it has come.
final class ServerConnection {
  enum Phase {
    /// TLS and the upgrade request, until `deadline`.
    case handshake
    case open
    /// It speaks plain HTTP; requests are taken until `deadline`, which each one puts off.
    case http
    /// Our close frame is queued; the peer's is awaited until `deadline`.
    case closing
    /// Nothing more to hear; what is queued shall leave until `deadline`.
    case flushing
    /// The driver has been told to close; only its `closed` event is missing.
    case left
  }

  /// Another one after an upgrade of a connection that has spoken HTTP.
  var id: ConnectionID
  let handle: ConnectionHandle
  var endpoint: WebSocketEndpoint
  var tls: TLSSession?
  var phase = Phase.handshake
  var deadline: Nanoseconds
  /// The venue has a session for it.
  var isKnown = false
  var nextPing: Nanoseconds = .max
  var unansweredPings = 0
  /// It is in the server's list of connections with output.
  var isDirty = false
  /// The first bytes until it is known whether they ask for an upgrade, then the HTTP requests; `nil` where only WebSockets
  /// are served, or once it is one.
  var requests: HTTPReader?
  /// An HTTP request waits for its response.
  var isAnswering = false
  /// HTTP responses on their way.
  var plain: [UInt8] = []

  init(
    id: ConnectionID, handle: ConnectionHandle, endpoint: consuming WebSocketEndpoint, tls: consuming TLSSession?,
    deadline: Nanoseconds
  ) {
    self.id = id
    self.handle = handle
    self.endpoint = endpoint
    self.tls = tls
    self.deadline = deadline
  }

  /// Moves what is queued towards the kernel as far as there is room; the driver's `writable` event says when to go on.
  ///
  /// - Returns: Whether everything has been handed over.
  func push(_ driver: inout SocketDriver) -> Bool {
    guard phase != .left else { return true }
    while true {
      if tls != nil {
        guard pushCiphertext(&driver) else { return false }
      }
      if !plain.isEmpty {
        guard pushPlain(&driver) else { return false }
        continue
      }
      let output = endpoint.output.bindMemory(to: UInt8.self)
      guard output.count > 0 else { return true }
      if tls != nil {
        let piece = UnsafeBufferPointer(rebasing: output.prefix(Self.tlsPiece))
        // Before the handshake is done nothing is to be said; after a failure nothing can be.
        guard tls!.write(piece) == .queued else { return true }
        endpoint.consumeOutput(piece.count)
      } else {
        let sent = Self.send(output, on: handle, &driver)
        guard sent > 0 else { return false }
        endpoint.consumeOutput(sent)
      }
    }
  }

  /// Moves a piece of `plain`.
  private func pushPlain(_ driver: inout SocketDriver) -> Bool {
    let isSecure = tls != nil
    let sent: Int = plain.withUnsafeBufferPointer { bytes in
      let piece = UnsafeBufferPointer(rebasing: bytes.prefix(Self.tlsPiece))
      if isSecure { return tls!.write(piece) == .queued ? piece.count : -1 }
      return Self.send(bytes, on: handle, &driver)
    }
    // After a failure of TLS nothing can be said any more.
    if sent < 0 { plain.removeAll() } else { plain.removeFirst(sent) }
    return sent != 0
  }

  private static let tlsPiece = 64 * 1024

  private func pushCiphertext(_ driver: inout SocketDriver) -> Bool {
    while true {
      let pending = tls!.pending()
      guard pending.count > 0 else { return true }
      let sent = Self.send(pending, on: handle, &driver)
      guard sent > 0 else { return false }
      tls!.take(sent)
    }
  }

  /// Queues as many of `bytes`, which are some, as there is room for; if there is none, asks for a `writable` event.
  private static func send(
    _ bytes: UnsafeBufferPointer<UInt8>, on handle: ConnectionHandle, _ driver: inout SocketDriver
  ) -> Int {
    // A refused byte is what asks for the event.
    let count = max(1, min(bytes.count, driver.sendSpace(handle).count))
    let outcome = driver.send(UnsafeBufferPointer(rebasing: bytes.prefix(count)), on: handle)
    return outcome == .queued ? count : 0
  }
}
