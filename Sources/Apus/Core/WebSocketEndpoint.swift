public import CSupport
import Glibc

/// One end of a WebSocket connection (RFC 6455), client or server, free of I/O.
///
/// Received plaintext goes in with ``receive(_:)``, then ``next()`` is asked until it says
/// ``WebSocketEvent/none``. What is to be sent comes out of ``output``. Sockets, TLS, time-outs and
/// entropy are the caller's. All memory is allocated by `init`; `start` after a disconnect reuses it.
///
/// Extensions and subprotocols are neither offered nor accepted, and messages are never sent in
/// fragments. One thread at a time.
// Sendable: the state belongs to this value alone, and being noncopyable, it has one owner.
@safe
public struct WebSocketEndpoint: ~Copyable, @unchecked Sendable {
  /// What an endpoint holds at most.
  public struct Limits: Equatable, Sendable {
    /// Bytes of a received message, fragments added up, 125 … 2³⁰; a longer one fails the connection.
    public var messageBytes: Int
    /// Bytes waiting for the wire, 1024 … 2³⁰; a send that would exceed them is refused. Twice as much
    /// memory is taken.
    public var outputBytes: Int

    public init(messageBytes: Int = 1 << 20, outputBytes: Int = 1 << 18) {
      self.messageBytes = messageBytes
      self.outputBytes = outputBytes
    }
  }

  @usableFromInline let endpoint: OpaquePointer

  /// A client, closed until ``start(host:path:headers:key:maskSeed:)``.
  public init(client limits: Limits = Limits()) throws(WebSocketSetupError) {
    unsafe endpoint = try Self.create(role: .client, path: "", limits: limits)
  }

  /// A server that waits for one upgrade request.
  ///
  /// - Parameter path: The path to accept, `/ws/api/v2` say; queries are not compared. Empty for any.
  public init(server path: String, limits: Limits = Limits()) throws(WebSocketSetupError) {
    guard path.isEmpty || path.hasPrefix("/"), path.utf8.count <= Int(APUS_WS_PATH_LIMIT), !path.utf8.contains(0) else {
      throw .invalidPath(path)
    }
    unsafe endpoint = try Self.create(role: .server, path: path, limits: limits)
  }

  private static func create(
    role: WebSocketRole, path: String, limits: Limits
  ) throws(WebSocketSetupError) -> OpaquePointer {
    var created: OpaquePointer?
    // What is negative is huge as size_t, and out of range there too.
    let raw = apus_ws_limits(
      max_message_bytes: limits.messageBytes, output_bytes: limits.outputBytes)
    let result = unsafe apus_ws_endpoint_create(role, raw, path, &created)
    guard let created = unsafe created else {
      throw result == -EINVAL ? .invalidLimits(limits) : .outOfMemory(limits)
    }
    return unsafe created
  }

  deinit { unsafe apus_ws_endpoint_destroy(endpoint) }

  /// Client: forgets the connection before, if there was one, and queues the upgrade request.
  ///
  /// - Parameters:
  ///   - host: What the Host field says, `thalex.com` or `localhost:8080`.
  ///   - path: Path and query, starting with `/`.
  ///   - headers: Further fields. Not those of the handshake itself (Host, Upgrade, Connection,
  ///     Sec-WebSocket-…), nor those that announce a body.
  ///   - key: 16 random bytes, new for each connection.
  ///   - maskSeed: Entropy for the mask keys, new for each connection.
  public mutating func start(
    host: String, path: String, headers: [(name: String, value: String)] = [], key: [UInt8], maskSeed: UInt64
  ) throws(WebSocketSetupError) {
    guard key.count == 16 else { throw .invalidKey(count: key.count) }
    guard !host.utf8.contains(0) else { throw .invalidHost(host) }
    guard !path.utf8.contains(0) else { throw .invalidPath(path) }
    var fields = ""
    for header in headers {
      // A line end would smuggle in a field of its own, a zero would cut off the rest.
      let text = "\(header.name): \(header.value)"
      guard !text.utf8.contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D }) else {
        throw .invalidHeaders(names: [header.name])
      }
      fields += text + "\r\n"
    }
    switch unsafe apus_ws_endpoint_start(endpoint, host, path, fields, key, maskSeed) {
    case 0: return
    case -EOPNOTSUPP: throw .notAClient
    case -EDESTADDRREQ: throw .invalidHost(host)
    case -EINVAL: throw .invalidPath(path)
    case -EBADMSG: throw .invalidHeaders(names: headers.map(\.name))
    case -ENOSPC: throw .requestTooLong
    default: throw .noSHA1
    }
  }

  /// Forgets the connection, unsent output included: a server waits for the next request, a client is
  /// closed until it is started.
  public mutating func reset() { unsafe apus_ws_endpoint_reset(endpoint) }

  /// Hands in received bytes; call ``next()`` until it says `none` before the next `receive` (trapped),
  /// and leave the bytes as they are until then. Any split of the stream will do.
  @inlinable @inline(always) @_noLocks
  public mutating func receive(_ bytes: UnsafeRawBufferPointer) {
    unsafe apus_ws_endpoint_receive(
      endpoint, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
  }

  /// The next thing that happened, or `none` when the received bytes are used up.
  @inlinable @inline(always) @_noLocks
  public mutating func next() -> WebSocketEvent {
    let event = unsafe apus_ws_endpoint_next(endpoint)
    let payload = unsafe UnsafeRawBufferPointer(start: event.bytes, count: event.count)
    switch unsafe event.kind {
    case .none: return unsafe .none
    case .opened: return unsafe .opened
    case .text: return unsafe .text(payload)
    case .binary: return unsafe .binary(payload)
    case .ping: return unsafe .ping(payload)
    case .pong: return unsafe .pong(payload)
    case .closed: return unsafe .closed(code: event.code, reason: payload)
    case .failed: return unsafe .failed(WebSocketFailure(event.failure, code: event.code))
    }
  }

  /// Room for a text of at most `maximum` bytes, to be written in place and committed.
  ///
  /// - Returns: The room, which stays where it is until ``commitText(_:)`` or ``dropText()``, or `nil` if
  ///   the endpoint is not open or the output is full. A pong or ping that comes up in between waits.
  @inlinable @inline(always) @_noLocks
  public mutating func beginText(maximum: Int) -> UnsafeMutablePointer<CChar>? {
    unsafe apus_ws_endpoint_begin_text(endpoint, maximum)
  }

  /// Queues the begun text with the first `count` bytes of its room, which are UTF-8; at most its
  /// maximum (trapped).
  ///
  /// - Returns: `false` if the endpoint was closed since, and the text is lost.
  @inlinable @inline(always) @_noLocks
  public mutating func commitText(_ count: Int) -> Bool {
    unsafe apus_ws_endpoint_commit_text(endpoint, count)
  }

  /// Forgets a begun text.
  @inlinable @inline(always) @_noLocks
  public mutating func dropText() { unsafe apus_ws_endpoint_drop_text(endpoint) }

  /// Queues a copy of `text`, which is UTF-8.
  ///
  /// - Returns: `false` if the endpoint is not open, a text is begun, or the output is full.
  @inlinable @inline(always) @_noLocks
  public mutating func sendText(_ text: UnsafeRawBufferPointer) -> Bool {
    unsafe apus_ws_endpoint_send_text(
      endpoint, text.baseAddress?.assumingMemoryBound(to: CChar.self), text.count)
  }

  /// Queues a ping of at most 125 bytes.
  ///
  /// - Returns: `false` if it is longer, the endpoint is not open, a text is begun, or the output is full.
  @inlinable @inline(always) @_noLocks
  public mutating func ping(_ payload: UnsafeRawBufferPointer) -> Bool {
    unsafe apus_ws_endpoint_ping(
      endpoint, payload.baseAddress?.assumingMemoryBound(to: UInt8.self), payload.count)
  }

  /// Starts the closing handshake, for which there is always room; a begun text is dropped. The
  /// peer's messages are still delivered until its close comes. A second close does nothing.
  ///
  /// - Parameter code: 1000 for a normal end, 1001 when going away; 3000 … 4999 are free for use.
  /// - Returns: `false`, and nothing happens, for a code that must not be on the wire.
  @inlinable @inline(always) @_noLocks @discardableResult
  public mutating func close(code: UInt16 = 1000) -> Bool { unsafe apus_ws_endpoint_close(endpoint, code) }

  /// The same with a reason of at most 123 bytes; without it if it is longer or there is no room for it.
  @discardableResult
  public mutating func close(code: UInt16, reason: String) -> Bool {
    let bytes = Array(reason.utf8)
    return unsafe apus_ws_endpoint_close_saying(endpoint, code, bytes, bytes.count)
  }

  /// The bytes for the wire, in order. They stay where they are until the next call that queues or
  /// consumes: copy them if the send outlives that.
  @inlinable @inline(always)
  public var output: UnsafeRawBufferPointer {
    let output = unsafe apus_ws_endpoint_output(endpoint)
    return unsafe UnsafeRawBufferPointer(start: output.bytes, count: output.count)
  }

  /// Takes the first `count` bytes off ``output``, which holds as many (trapped).
  @inlinable @inline(always) @_noLocks
  public mutating func consumeOutput(_ count: Int) {
    unsafe apus_ws_endpoint_consumed(endpoint, count)
  }

  @inlinable public var state: WebSocketState {
    @inline(always) @_noLocks get { unsafe apus_ws_endpoint_state(endpoint) }
  }

  /// Frames received on this connection, control frames and fragments included.
  @inlinable public var framesIn: UInt64 {
    @inline(always) @_noLocks get { unsafe apus_ws_endpoint_frames_in(endpoint) }
  }

  /// Frames queued on this connection, control frames included.
  @inlinable public var framesOut: UInt64 {
    @inline(always) @_noLocks get { unsafe apus_ws_endpoint_frames_out(endpoint) }
  }

  /// The first value of a field in the head that the peer sent, `Retry-After` of a refusal say; `nil` if
  /// it is missing or empty. Cold.
  public func header(_ name: String) -> String? {
    let value = unsafe apus_ws_endpoint_header(endpoint, name)
    guard unsafe value.count > 0 else { return nil }
    return unsafe String(decoding: UnsafeBufferPointer(start: value.bytes, count: value.count), as: UTF8.self)
  }

  /// Server: path and query of the request, empty before it has come. Cold.
  public var requestTarget: String {
    let target = unsafe apus_ws_endpoint_target(endpoint)
    return unsafe String(decoding: UnsafeBufferPointer(start: target.bytes, count: target.count), as: UTF8.self)
  }
}

/// What ``WebSocketEndpoint/next()`` tells. Payloads stay as they are until the next `receive` or `next`.
@unsafe
public enum WebSocketEvent {
  /// The received bytes are used up.
  case none
  /// The handshake is done.
  case opened
  /// A whole message, valid UTF-8.
  case text(UnsafeRawBufferPointer)
  /// A whole message.
  case binary(UnsafeRawBufferPointer)
  /// A ping; its pong is queued. If several come before a pong could leave, the last one is answered.
  case ping(UnsafeRawBufferPointer)
  case pong(UnsafeRawBufferPointer)
  /// The peer's close, 1005 if it gave no code. The reply is queued: flush the output, drop the transport.
  case closed(code: UInt16, reason: UnsafeRawBufferPointer)
  /// The connection is over. A close or an HTTP refusal may be queued: flush the output, drop the transport.
  case failed(WebSocketFailure)
}
