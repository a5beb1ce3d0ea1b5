public import CSupport
import Glibc

/// Why TLS could not be set up or did not succeed, as one sentence for an operator.
public struct TLSError: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String
}

/// Trust and certificates, shared by sessions and by threads.
// Sendable: immutable after creation; the C side counts references atomically.
public final class TLSContext: @unchecked Sendable {
  /// Whose signature on a server's certificate is believed.
  public enum Trust: Sendable {
    /// The machine's store.
    case system
    /// Only the certificates in this PEM text.
    case pem([UInt8])
    /// Only the certificates in this PEM file.
    case file(String)
  }

  fileprivate let context: OpaquePointer

  private init(_ context: OpaquePointer) { self.context = context }

  deinit { apus_tls_context_destroy(context) }

  /// For connecting. The certificate and the host are always verified; TLS 1.3 is required unless `allowTLS12`.
  public static func client(trusting trust: Trust = .system, allowTLS12: Bool = false) throws(TLSError) -> TLSContext {
    try make { context, error, capacity in
      switch trust {
      case .system:
        return apus_tls_client_context(nil, 0, allowTLS12, &context, error, capacity)
      case .pem(let pem):
        // A pointer to an empty array may be nil, which would mean the system's store.
        return (pem.isEmpty ? [0] : pem).withUnsafeBufferPointer {
          apus_tls_client_context($0.baseAddress, pem.count, allowTLS12, &context, error, capacity)
        }
      case .file(let path):
        return apus_tls_client_context_file(path, allowTLS12, &context, error, capacity)
      }
    }
  }

  /// For accepting, with a PEM certificate chain (leaf first) and its key.
  public static func server(
    certificateFile: String, keyFile: String, allowTLS12: Bool = false
  ) throws(TLSError) -> TLSContext {
    try make { context, error, capacity in
      apus_tls_server_context_file(certificateFile, keyFile, allowTLS12, &context, error, capacity)
    }
  }

  /// For accepting in demonstrations: a new self-signed certificate, whose key exists only in memory.
  ///
  /// - Parameters:
  ///   - names: DNS names and addresses that clients will ask for.
  ///   - seconds: Validity, relative to now.
  /// - Returns: The context, and the certificate as PEM; a client that trusts it trusts exactly this server.
  public static func selfSignedServer(
    names: [String], validFor seconds: Range<Int64> = -3600..<(90 * 86_400), allowTLS12: Bool = false
  ) throws(TLSError) -> (context: TLSContext, certificatePEM: [UInt8]) {
    var pem = [UInt8](repeating: 0, count: 8192)
    var pemCount = 0
    let context = try make { context, error, capacity in
      apus_tls_server_context_self_signed(
        names.joined(separator: ","), seconds.lowerBound, seconds.upperBound, allowTLS12, &context, &pem, pem.count,
        &pemCount, error, capacity)
    }
    return (context, Array(pem[..<pemCount]))
  }

  private static func make(
    _ body: (inout OpaquePointer?, UnsafeMutablePointer<CChar>, Int) -> Int32
  ) throws(TLSError) -> TLSContext {
    var context: OpaquePointer?
    let text = sentence { error, capacity in _ = body(&context, error, capacity) }
    guard let context else { throw TLSError(description: text) }
    return TLSContext(context)
  }
}

/// One end of a TLS connection: ciphertext in and out, plaintext in and out, no I/O.
///
/// Feed what the socket received, then `read` until it returns `.nothing`; send what `withPending`
/// shows whenever there is any. One thread at a time.
// Sendable: noncopyable, and the C side is touched only through it.
public struct TLSSession: ~Copyable, @unchecked Sendable {
  @usableFromInline let tls: OpaquePointer

  public enum Read: Equatable, Sendable {
    /// So many bytes of plaintext.
    case bytes(Int)
    /// More ciphertext is needed.
    case nothing
    /// The peer closed in an orderly way: no more will come.
    case closed
    /// `error` says why.
    case failed
  }

  public enum Write: Equatable, Sendable {
    /// Encrypted and pending, all of it.
    case queued
    /// Nothing taken: pending ciphertext must be sent first.
    case full
    /// The handshake is not done yet.
    case notReady
    /// Over `APUS_TLS_WRITE_BYTES` (96 KiB) at once.
    case tooLarge
    /// This end has closed.
    case closed
    /// `error` says why.
    case failed
  }

  /// The connecting end; `host` (a DNS name or an address) is what the certificate must be for.
  public init(client context: TLSContext, host: String) throws(TLSError) {
    var created: OpaquePointer?
    let result = apus_tls_create(context.context, host, &created)
    guard result == 0, let created else {
      throw TLSError(
        description: "could not start TLS with \(host): "
          + (result == -EINVAL ? "it needs a client context and a host name or address" : "out of memory"))
    }
    tls = created
  }

  /// The accepting end.
  public init(server context: TLSContext) throws(TLSError) {
    var created: OpaquePointer?
    let result = apus_tls_create(context.context, nil, &created)
    guard result == 0, let created else {
      throw TLSError(
        description: "could not accept TLS: " + (result == -EINVAL ? "it needs a server context" : "out of memory"))
    }
    tls = created
  }

  deinit { apus_tls_destroy(tls) }

  @inlinable @inline(always) public var state: TLSState { apus_tls_get_state(tls) }

  /// Why the session failed, for an operator; `nil` if it did not.
  public var error: TLSError? {
    state == .failed ? TLSError(description: String(cString: apus_tls_error(tls))) : nil
  }

  /// For example `TLSv1.3 TLS_AES_128_GCM_SHA256`.
  public var summary: String { sentence { apus_tls_describe(tls, $0, $1) } }

  /// Takes ciphertext. Returns how many bytes: fewer than given only if plaintext must be read first; `nil` if failed.
  @inlinable @inline(always) @_noLocks
  public mutating func feed(_ ciphertext: UnsafeBufferPointer<UInt8>) -> Int? {
    guard let start = ciphertext.baseAddress else { return state == .failed ? nil : 0 }
    let result = apus_tls_feed(tls, start, ciphertext.count)
    return result >= 0 ? Int(result) : nil
  }

  /// Decrypts into `buffer` (not empty); 16 KiB take a whole record.
  @inlinable @inline(always) @_noLocks
  public mutating func read(into buffer: UnsafeMutableBufferPointer<UInt8>) -> Read {
    guard let start = buffer.baseAddress else { return .nothing }
    let result = apus_tls_read(tls, start, buffer.count)
    if result > 0 { return .bytes(Int(result)) }
    if result == 0 { return .nothing }
    return result == -ESHUTDOWN ? .closed : .failed
  }

  /// Encrypts all of `plaintext`, or nothing.
  @inlinable @inline(always) @_noLocks
  public mutating func write(_ plaintext: UnsafeBufferPointer<UInt8>) -> Write {
    guard let start = plaintext.baseAddress else { return .queued }
    switch apus_tls_write(tls, start, plaintext.count) {
    case 0: return .queued
    case -ENOBUFS: return .full
    case -ENOTCONN: return .notReady
    case -EMSGSIZE: return .tooLarge
    case -ESHUTDOWN: return .closed
    default: return .failed
    }
  }

  /// Ciphertext to be sent, valid until the next call on this session; `take` what was sent.
  @inlinable @inline(always) @_noLocks
  public mutating func pending() -> UnsafeBufferPointer<UInt8> {
    var start: UnsafePointer<UInt8>?
    let count = apus_tls_pending(tls, &start)
    return UnsafeBufferPointer(start: start, count: count)
  }

  /// The first `count` pending bytes have been sent; more than are pending traps.
  @inlinable @inline(always) @_noLocks
  public mutating func take(_ count: Int) { apus_tls_take(tls, count) }

  /// Queues a close_notify behind what is pending.
  @_noLocks
  public mutating func close() { apus_tls_close(tls) }
}
