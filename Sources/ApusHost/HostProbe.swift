import CSupport
import Glibc

/// What a host does not tell through files but through system calls. Stored beside a captured tree.
public struct HostProbe: Codable, Equatable, Sendable {
  /// 0 if io_uring can be used, else the negative `errno` of the refusal; `nil` if it was not tried.
  public var ioUring: Int32?
  /// The kernel's clock; `nil` if it was not asked.
  public var clock: Clock?
  /// The venue's clock; `nil` if it was not asked.
  public var venue: Venue?

  public struct Clock: Codable, Equatable, Sendable {
    /// Negative `errno` if the kernel does not tell; else 0.
    public var error: Int32
    /// Of adjtimex(2): 0 … 4 synchronised, 5 not.
    public var state: Int32
    public var maximumErrorMicroseconds: Int64
  }

  /// The venue's clock less ours, between two bounds; or why it is not known.
  public enum Venue: Codable, Equatable, Sendable {
    case offset(address: String, fromMilliseconds: Double, toMilliseconds: Double)
    case notKnown(address: String, reason: String)
  }

  /// Asks this host, without the venue. A few milliseconds at most.
  public static func live() -> HostProbe {
    var clock = HostClock()
    apus_host_read_clock(&clock)
    return HostProbe(
      ioUring: apus_host_try_io_uring(),
      clock: Clock(error: clock.error, state: clock.state, maximumErrorMicroseconds: clock.max_error_us))
  }
}

/// How far a venue's clock is from ours, by the field Date of its answers to a WebSocket upgrade.
///
/// The field has whole seconds: one answer bounds the difference to a second, several at different parts of a second
/// narrow the bounds.
public enum VenueClockQuestion {
  /// Asks up to five times in about a second.
  ///
  /// - Parameters:
  ///   - path: Of the WebSocket; starts with `/`.
  ///   - timeout: For each step of a connection, ns.
  public static func ask(
    host: String, port: UInt16, path: String = "/", isEncrypted: Bool, timeout: Int64 = 3_000_000_000
  ) -> HostProbe.Venue {
    let address = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    var bounds = Bounds()
    for round in 0..<5 {
      if round > 0 { usleep(230_000) }
      var date = VenueDate()
      let result = apus_host_ask_date(host, port, path, isEncrypted, timeout, &date)
      guard result == 0 else {
        // Some answers are enough.
        if round > 0 { break }
        return .notKnown(address: address, reason: reason(result))
      }
      let text = withUnsafeBytes(of: date.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      let seconds = apus_host_parse_date(text)
      guard seconds >= 0 else {
        return .notKnown(address: address, reason: "its answer's field Date cannot be read: \(text.prefix(40))")
      }
      bounds.note(seconds: seconds, sent: date.sent_ns, received: date.received_ns)
    }
    guard bounds.low <= bounds.high else {
      return .notKnown(address: address, reason: "its answers contradict one another: several machines answer")
    }
    return .offset(
      address: address, fromMilliseconds: Double(bounds.low) / 1e6, toMilliseconds: Double(bounds.high) / 1e6)
  }

  /// The bounds of the difference that all answers so far allow, ns.
  struct Bounds: Equatable {
    var low = Int64.min
    var high = Int64.max

    /// The venue's clock showed `seconds` at some moment between `sent` and `received` of ours.
    mutating func note(seconds: Int64, sent: Int64, received: Int64) {
      low = max(low, seconds * 1_000_000_000 - received)
      high = min(high, (seconds + 1) * 1_000_000_000 - sent)
    }
  }

  private static func reason(_ result: Int32) -> String {
    switch -result {
    case ENODATA: "its answer has no field Date"
    case EKEYREJECTED: "its certificate is not trusted here"
    case EPROTO: "it did not answer as a web server does (TLS or plain: wss:// or ws://)"
    case ENOENT: "there is no such host"
    case EAGAIN: "its name cannot be resolved now"
    default: String(cString: strerror(-result))
    }
  }
}
