public import CSupport
import Glibc

/// Why a socket or the driver itself could not be set up.
public struct SocketError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The positive `errno`.
  public let code: Int32
  /// One sentence for an operator, with the way out.
  public let description: String
}

/// What became of bytes handed to a connection.
public enum SendOutcome: Equatable, Sendable {
  /// Queued; they leave with the next flush or poll.
  case queued
  /// Not enough room and nothing queued; a `writable` event will follow.
  case full
  /// The connection is not open (stale handle, not connected yet, closing).
  case notConnected
  /// More bytes than the whole send buffer holds.
  case tooLarge

  @inlinable @inline(always)
  init(_ result: Int32) {
    self =
      if result == 0 { .queued } else if result == -ENOBUFS { .full } else if result == -EMSGSIZE { .tooLarge } else {
        .notConnected
      }
  }
}

extension SocketDriverConfiguration {
  /// What is not given, or 0, takes the driver's default: room for a lane with a few venues.
  ///
  /// - Parameters:
  ///   - connections: 1 ... 8192, open and closing ones together.
  ///   - receiveBufferBytes: Size of each receive buffer, 64 ... 1 MiB.
  ///   - receiveBuffers: Their number, a power of two from 2 to 32768.
  ///   - sendBufferBytes: For each connection, up to 16 MiB; rounded up to a power of two, at least 4 KiB.
  ///   - closeTimeout: How long an orderly close may wait for the peer, > 0.
  ///   - kind: `automatic` takes io_uring, or epoll if the system does not let us have it.
  public init(
    connections: Int, receiveBufferBytes: Int = 0, receiveBuffers: Int = 0, sendBufferBytes: Int = 0,
    closeTimeout: Nanoseconds = 0, kind: SocketDriverKind = .automatic
  ) {
    self.init(
      max_connections: UInt32(clamping: connections), receive_buffer_bytes: UInt32(clamping: receiveBufferBytes),
      receive_buffer_count: UInt32(clamping: receiveBuffers), send_buffer_bytes: UInt32(clamping: sendBufferBytes),
      kind: kind, close_timeout_ns: closeTimeout)
  }
}

extension DriverChoice {
  public var kind: SocketDriverKind {
    switch self {
    case .automatic: .automatic
    case .ioUring: .ioUring
    case .epoll: .epoll
    }
  }
}

extension EngineSection {
  /// What the lane's socket goes through: `auto` decides by how the lane waits.
  public var driverKind: SocketDriverKind {
    driver == .automatic && idle == .spin ? .epoll : driver.kind
  }
}

extension ConnectionHandle {
  /// Index for the owner's own table, 0 ..< the configured number of connections.
  @inlinable public var slot: Int { @inline(always) @_noLocks get { Int(apus_connection_slot(self)) } }
}

extension SocketEvent {
  /// The received bytes: valid until the event is released. Empty for other events.
  @inlinable @inline(always)
  public var payload: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: bytes, count: Int(count)) }
}

/// TCP sockets through io_uring or epoll: the owner polls, nothing calls back, nothing allocates after set-up.
///
/// One thread owns a driver. The first `poll` or `flush` binds it to the calling thread; until then it
/// may be moved. Every connection ends with exactly one `closed` or `connectFailed` event, after which
/// its handle is refused everywhere.
// Sendable: noncopyable, so it has one owner at a time; a second polling thread is refused.
public struct SocketDriver: ~Copyable, @unchecked Sendable {
  @usableFromInline let driver: OpaquePointer
  /// The events of the last poll.
  @usableFromInline let events: UnsafeMutablePointer<SocketEvent>
  @usableFromInline let eventCapacity: UInt32

  /// - Parameter eventsPerPoll: How many events one poll delivers at most, > 0.
  public init(
    _ configuration: SocketDriverConfiguration = SocketDriverConfiguration(), eventsPerPoll: Int = 64
  ) throws(SocketError) {
    precondition(eventsPerPoll > 0, "eventsPerPoll must be above 0")
    var configuration = configuration
    var created: OpaquePointer?
    let result = apus_driver_create(&configuration, &created)
    guard result == 0, let created else {
      throw SocketError(code: -result, description: sentence { apus_driver_explain_create(result, $0, $1) })
    }
    driver = created
    events = .allocate(capacity: eventsPerPoll)
    eventCapacity = UInt32(eventsPerPoll)
  }

  /// What it became: `ioUring` or `epoll`.
  public var kind: SocketDriverKind { apus_driver_kind_of(driver) }

  /// Why `automatic` did not become io_uring, and what to change: one sentence for an operator; `nil` if it did, or if
  /// a kind was asked for by name.
  public var refusal: String? {
    let error = apus_driver_refusal(driver)
    return error == 0 ? nil : sentence { apus_driver_explain_refusal(error, $0, $1) }
  }

  /// Closes every socket at once; pending output is dropped.
  deinit {
    apus_driver_destroy(driver)
    events.deallocate()
  }

  /// Listens on a numeric address; port 0 lets the kernel choose. At most 8 listeners.
  public mutating func listen(
    host: String, port: UInt16 = 0
  ) throws(SocketError) -> (listener: UInt16, port: UInt16) {
    var bound: UInt16 = 0
    let result = apus_driver_listen(driver, host, port, &bound)
    guard result >= 0 else {
      throw SocketError(
        code: -result, description: sentence { apus_driver_explain_listen(result, host, port, $0, $1) })
    }
    return (UInt16(result), bound)
  }

  /// Starts a connection, whose outcome is an event. Blocks while `host`, if it is a name, is resolved.
  ///
  /// - Parameters:
  ///   - localHost: Numeric local address to connect from.
  ///   - timeout: For each address that `host` resolves to (up to 4, tried in turn).
  public mutating func connect(
    host: String, port: UInt16, from localHost: String? = nil, timeout: Nanoseconds = 5_000_000_000
  ) throws(SocketError) -> ConnectionHandle {
    var handle = ConnectionHandle(rawValue: 0)
    let result = apus_driver_connect(driver, host, port, localHost, timeout, &handle)
    guard result == 0 else {
      throw SocketError(code: -result, description: Self.explainConnect(error: result, host: host, port: port))
    }
    return handle
  }

  /// A `connectFailed` event's `error` as a sentence for an operator.
  public static func explainConnect(error: Int32, host: String, port: UInt16) -> String {
    sentence { apus_driver_explain_connect(error, host, port, $0, $1) }
  }

  /// Sends what is pending, then closes; bounded by the configured close timeout. False if stale.
  @discardableResult
  public mutating func close(_ connection: ConnectionHandle) -> Bool { apus_driver_close(driver, connection) == 0 }

  /// Drops pending output and resets the connection. False if stale.
  @discardableResult
  public mutating func abort(_ connection: ConnectionHandle) -> Bool { apus_driver_abort(driver, connection) == 0 }

  /// Submits what is pending and collects events; read them with `event(at:)` before the next poll.
  ///
  /// - Parameter wait: 0 never blocks, and with io_uring an idle turn stays in user space; > 0 may sleep that long,
  ///   and ends early with an event, a wake or a signal (possibly without an event).
  /// - Returns: How many events, or a negative `errno` if the ring or the epoll set itself failed (`-EEXIST`: polled
  ///   from a second thread).
  @inlinable @inline(always) @_noLocks
  public mutating func poll(wait: Nanoseconds = 0) -> Int {
    Int(apus_driver_poll(driver, events, eventCapacity, wait))
  }

  /// An event of the last poll.
  @inlinable @inline(always) @_noLocks
  public func event(at index: Int) -> SocketEvent { events[index] }

  /// Gives a `received` event's buffer back, each exactly once (a second time traps).
  @inlinable @inline(always) @_noLocks
  public mutating func release(at index: Int) { apus_driver_release(driver, events + index) }

  /// As `release(at:)`, for an event kept beyond its poll.
  @_noLocks
  public mutating func release(_ event: SocketEvent) {
    var event = event
    apus_driver_release(driver, &event)
  }

  /// Queues a copy of `bytes`: all of it or nothing.
  @inlinable @inline(always) @_noLocks
  public mutating func send(_ bytes: UnsafeBufferPointer<UInt8>, on connection: ConnectionHandle) -> SendOutcome {
    guard let start = bytes.baseAddress, let count = UInt32(exactly: bytes.count) else {
      return bytes.count == 0 ? .queued : .tooLarge
    }
    return SendOutcome(apus_driver_send(driver, connection, start, count))
  }

  /// Where to write the next bytes of `connection`: contiguous, empty if full or not open. Then `commit`.
  @inlinable @inline(always) @_noLocks
  public mutating func sendSpace(_ connection: ConnectionHandle) -> UnsafeMutableBufferPointer<UInt8> {
    var start: UnsafeMutablePointer<UInt8>?
    var capacity: UInt32 = 0
    _ = apus_driver_send_space(driver, connection, &start, &capacity)
    return UnsafeMutableBufferPointer(start: start, count: Int(capacity))
  }

  /// Queues the first `count` bytes of the send space; more than its capacity traps.
  @inlinable @inline(always) @_noLocks
  public mutating func commit(_ count: Int, on connection: ConnectionHandle) -> SendOutcome {
    SendOutcome(apus_driver_commit(driver, connection, UInt32(count)))
  }

  /// Submits now. 0, or a negative `errno` as from `poll`.
  @inlinable @inline(always) @_noLocks @discardableResult
  public mutating func flush() -> Int { Int(apus_driver_flush(driver)) }

  /// Bytes queued and not yet taken by the kernel; 0 for a stale handle.
  public func unsent(_ connection: ConnectionHandle) -> Int { Int(apus_driver_unsent(driver, connection)) }

  /// Connections that hold a slot, closing ones included.
  public var connectionCount: Int { Int(apus_driver_connection_count(driver)) }

  public var counters: SocketDriverCounters {
    var counters = SocketDriverCounters()
    apus_driver_read_counters(driver, &counters)
    return counters
  }

  /// What other threads use to wake this driver's owner from a waiting poll.
  public func makeWaker() -> DriverWaker { DriverWaker(apus_driver_waker(driver)) }
}

/// Wakes a driver's owner from a waiting poll; may outlive the driver.
///
/// A wake that nobody waits for is consumed by a later poll, so the owner looks at its queues after
/// every poll.
// Sendable: the C side holds an atomic flag and an eventfd, and is reference-counted.
public final class DriverWaker: @unchecked Sendable {
  private let waker: OpaquePointer

  fileprivate init(_ waker: OpaquePointer) { self.waker = waker }

  deinit { apus_waker_release(waker) }

  /// From any thread. Unseen wakes are merged.
  public func wake() { apus_waker_wake(waker) }
}

/// What a C function writes as NUL-terminated text.
func sentence(_ write: (UnsafeMutablePointer<CChar>, Int) -> Void) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
    guard let start = buffer.baseAddress else { return "" }
    start.pointee = 0
    write(start, buffer.count)
    return String(cString: start)
  }
}
