public import Apus

/// A simulated venue as sockets, worlds and trials see it: free of I/O and clocks.
///
/// Connection events, messages and time go in; messages come out through `drain`. Every call that takes a time first does
/// what was due until then. Times are nanoseconds since the venue's start and never run backwards. Not thread-safe. The
/// same configuration, seed, flow and calls give the same bytes.
public protocol VenueSimulation: AnyObject {
  /// A connection was accepted. The id must not have been used before.
  func connect(_ id: ConnectionID, now: Nanoseconds)
  /// The same where the target of the handshake (path and query) says what the connection is for.
  func connect(_ id: ConnectionID, target: String, now: Nanoseconds)
  /// The paths at which there are WebSockets; empty for the one that the server is told.
  var webSocketPaths: [String] { get }
  /// A text message arrived; `text` is its whole payload. Ignored if the connection is gone.
  func receive(_ id: ConnectionID, text: UnsafeRawBufferPointer, now: Nanoseconds)
  /// A ping, or any other frame that carries no message, arrived.
  func pinged(_ id: ConnectionID, now: Nanoseconds)
  /// The connection is gone. Harmless if repeated.
  func disconnected(_ id: ConnectionID, now: Nanoseconds)

  /// Whether plain HTTP requests are taken too.
  var servesHTTP: Bool { get }
  /// A connection was accepted that sends HTTP requests. The id must not have been used before.
  func connectHTTP(_ id: ConnectionID, now: Nanoseconds)
  /// An HTTP request arrived. Its response comes out of `drain` as one text, head and body as they go on the wire; the
  /// next request waits for it.
  func receive(_ id: ConnectionID, request: HTTPRequest, now: Nanoseconds)

  /// Does everything that is due until `target`, in the order of time.
  func advance(to target: Nanoseconds)
  /// When `advance` has something to do next; `.max` if never.
  var nextWake: Nanoseconds { get }
  /// The market flow has come to its end (true without a flow).
  var isFinished: Bool { get }

  var hasOutput: Bool { get }
  /// Hands over everything that waits to be sent, in order. `deliver` must not call the venue.
  func drain(_ deliver: (ConnectionID, Outgoing) -> Void)
  /// What a close frame of this code says in words; empty for nothing.
  func closeReason(_ code: UInt16) -> String

  var now: Nanoseconds { get }
  var statistics: VenueStatistics { get }
  /// Somebody has logged in since the start.
  var hasAccounts: Bool { get }
  /// Names of all accounts that have logged in, in that order.
  var accountNames: [String] { get }
  /// The books of an account as of now; `nil` if it has never logged in.
  func books(_ name: String) -> AccountBooks?
  /// Names of all instruments that are listed, in the order of their listing.
  var instrumentNames: [String] { get }
  /// What is wrong with the venue's own bookkeeping, which takes a walk through all of it; `nil` if all is well.
  func brokenInvariant() -> String?

  /// Lets go of what holds each other in circles, so that thousands of venues fit one process. The venue's last call.
  func letGo()
}

extension VenueSimulation {
  public func connect(_ id: ConnectionID, target: String, now: Nanoseconds) { connect(id, now: now) }
  public var webSocketPaths: [String] { [] }
  public var servesHTTP: Bool { false }
  public func connectHTTP(_ id: ConnectionID, now: Nanoseconds) { preconditionFailure("this venue knows no HTTP") }
  public func receive(_ id: ConnectionID, request: HTTPRequest, now: Nanoseconds) {}
  public func closeReason(_ code: UInt16) -> String { "" }

  /// As above, for text in memory.
  public func receive(_ id: ConnectionID, text: String, now: Nanoseconds) {
    var text = text
    text.withUTF8 { receive(id, text: UnsafeRawBufferPointer($0), now: now) }
  }
}

extension ExchangeCore {
  public var hasAccounts: Bool { !accountList.isEmpty }
}

/// An HTTP request as it came.
public struct HTTPRequest: Sendable, Equatable {
  /// `GET` or `POST`, say.
  public var method: String
  /// Path and query as they stand in the request line.
  public var target: String
  /// Values by name in lower case; of a name that came twice, the first.
  public var headers: [String: String]
  public var body: [UInt8]

  public init(method: String, target: String, headers: [String: String] = [:], body: [UInt8] = []) {
    self.method = method
    self.target = target
    self.headers = headers
    self.body = body
  }
}
