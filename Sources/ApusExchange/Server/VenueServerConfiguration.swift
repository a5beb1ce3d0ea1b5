public import Apus

/// Where and how a simulated venue is served.
public struct VenueServerConfiguration: Sendable {
  /// Numeric address to listen on.
  public var host = "127.0.0.1"
  /// 0 lets the kernel choose.
  public var port: UInt16 = 8765
  /// What an upgrade request must ask for.
  public var path = "/ws/api/v2"
  /// What the paths of several WebSockets begin with, for the server's address.
  var shownPath: String?
  /// Connections speak TLS if there is one.
  public var tls: TLSContext?
  /// `park` sleeps in the kernel until a message or the market is due; the others never sleep.
  public var idle = IdleStrategy.park
  /// What the sockets go through; `VenueServer.driverRefusal` tells if `automatic` had to take epoll.
  public var driver = DriverChoice.automatic

  /// Connections at once, 1 … 4096; more are accepted and closed at once.
  public var maximumConnections = 256
  /// A connection that lets more than this wait for it is dropped, 1024 … 2³⁰ bytes.
  public var outputLimitBytes = 8 << 20
  /// The longest request, 125 … 2³⁰ bytes; a longer one is answered with close code 1009.
  public var messageLimitBytes = 1 << 18

  /// Pings of the server, and how many may go unanswered (reference 11).
  public var pingInterval: Nanoseconds = 15_000_000_000
  public var missedPongs = 2
  /// How long an HTTP connection may be idle.
  public var httpTimeout: Nanoseconds = 900_000_000_000
  /// From accept to the end of the WebSocket handshake, at most.
  public var handshakeTimeout: Nanoseconds = 10_000_000_000
  /// How long a closing connection may take to read what is left, and to answer.
  public var closeTimeout: Nanoseconds = 1_000_000_000

  /// How long what clients send is held back before the venue reads it; what the venue says leaves at once.
  public var requestDelay: Nanoseconds = 0

  /// How far the venue's clock is ahead of this machine's.
  public var clockError: Nanoseconds = 0

  /// Holds the market at its time 0 until somebody has logged in.
  public var waitsForClient = false
  /// Stops when the market flow has come to its end.
  public var stopsAtEnd = false
  /// Called once on the server's thread when the market flow has come to its end.
  public var noteEnd: (@Sendable () -> Void)?

  public init() {}
}

/// Why a venue server could not be made or go on; the description is for an operator.
public enum VenueServerError: Error, CustomStringConvertible {
  /// A limit or interval that is out of its range.
  case configuration(String)
  /// The simulated venue itself refused its configuration.
  case venue(VenueError)
  /// The socket driver could not be created.
  case driver(SocketError)
  /// The address cannot be listened on; `code` tells `EADDRINUSE` from the rest.
  case listen(SocketError)
  /// The socket driver failed while running.
  case failed(SystemError)

  public var description: String {
    switch self {
    case .configuration(let text): "could not start the venue: \(text)"
    case .venue(.configuration(let text)): "could not start the venue: \(text)"
    case .venue(.matchingEngine(let name, let error)):
      "could not start the venue: no matching engine for \(name) (\(error))"
    case .driver(let error), .listen(let error): error.description
    case .failed(let error): error.description
    }
  }
}

/// What a server has seen from its start to its stop.
public struct VenueReport: Codable, Sendable, Equatable {
  /// Connections accepted.
  public var connections: UInt64 = 0
  /// Those that completed the WebSocket handshake.
  public var opened: UInt64 = 0
  /// Refused for want of a free place.
  public var refused: UInt64 = 0
  /// TLS or WebSocket handshakes that failed or took too long.
  public var failedHandshakes: UInt64 = 0
  /// Dropped because they did not read.
  public var slowReaders: UInt64 = 0
  /// Dropped because they answered no ping.
  public var deadPeers: UInt64 = 0
  /// Text messages sent.
  public var sent: UInt64 = 0
  /// What the venue itself counted.
  public var venue = VenueStatistics()
  /// The books of every account that logged in, as they stood when the stop was asked for.
  public var books: [AccountBooks] = []
  /// From start to stop.
  public var duration: Nanoseconds = 0

  public init() {}
}
