public import CSupport

/// Why a WebSocket connection ended other than by a close.
public enum WebSocketFailure: Error, Equatable, Sendable {
  // The handshake, as a client sees it.
  case notHTTP
  /// The HTTP status that came instead of 101.
  case refused(status: UInt16)
  case noUpgrade
  case noConnectionUpgrade
  case wrongAccept
  case extensionNotOffered
  case subprotocolNotOffered
  case headTooLong
  /// Server: the HTTP status that it answered with.
  case requestRefused(status: UInt16)
  // Frames.
  case reservedBits
  case unknownOpcode
  case badControl
  case badMask
  case badLength
  case nothingToContinue
  case messageInterrupted
  case badClose
  case notUTF8
  case messageTooLong

  @inlinable @_noLocks
  init(_ raw: WebSocketFailureCode, code: UInt16) {
    switch raw {
    case .none: preconditionFailure("a failed connection without a reason")
    case .notHTTP: self = .notHTTP
    case .refused: self = .refused(status: code)
    case .noUpgrade: self = .noUpgrade
    case .noConnectionUpgrade: self = .noConnectionUpgrade
    case .wrongAccept: self = .wrongAccept
    case .extensionNotOffered: self = .extensionNotOffered
    case .subprotocolNotOffered: self = .subprotocolNotOffered
    case .headTooLong: self = .headTooLong
    case .requestRefused: self = .requestRefused(status: code)
    case .reservedBits: self = .reservedBits
    case .unknownOpcode: self = .unknownOpcode
    case .badControl: self = .badControl
    case .badMask: self = .badMask
    case .badLength: self = .badLength
    case .nothingToContinue: self = .nothingToContinue
    case .messageInterrupted: self = .messageInterrupted
    case .badClose: self = .badClose
    case .notUTF8: self = .notUTF8
    case .messageTooLong: self = .messageTooLong
    }
  }

  /// As C has it, with the HTTP status if there is one: the inverse of the initialiser.
  var raw: (WebSocketFailureCode, UInt16) {
    switch self {
    case .notHTTP: (.notHTTP, 0)
    case .refused(let status): (.refused, status)
    case .noUpgrade: (.noUpgrade, 0)
    case .noConnectionUpgrade: (.noConnectionUpgrade, 0)
    case .wrongAccept: (.wrongAccept, 0)
    case .extensionNotOffered: (.extensionNotOffered, 0)
    case .subprotocolNotOffered: (.subprotocolNotOffered, 0)
    case .headTooLong: (.headTooLong, 0)
    case .requestRefused(let status): (.requestRefused, status)
    case .reservedBits: (.reservedBits, 0)
    case .unknownOpcode: (.unknownOpcode, 0)
    case .badControl: (.badControl, 0)
    case .badMask: (.badMask, 0)
    case .badLength: (.badLength, 0)
    case .nothingToContinue: (.nothingToContinue, 0)
    case .messageInterrupted: (.messageInterrupted, 0)
    case .badClose: (.badClose, 0)
    case .notUTF8: (.notUTF8, 0)
    case .messageTooLong: (.messageTooLong, 0)
    }
  }

  /// The close code that tells the peer, queued if no close was queued before; `nil` in the handshake.
  public var closeCode: UInt16? {
    switch self {
    case .notHTTP, .refused, .noUpgrade, .noConnectionUpgrade, .wrongAccept, .extensionNotOffered,
      .subprotocolNotOffered, .headTooLong, .requestRefused:
      nil
    case .reservedBits, .unknownOpcode, .badControl, .badMask, .badLength, .nothingToContinue, .messageInterrupted,
      .badClose:
      1002
    case .notUTF8: 1007
    case .messageTooLong: 1009
    }
  }
}

extension WebSocketFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notHTTP:
      "the server's answer to the WebSocket upgrade is not HTTP/1.1: check host, port and whether TLS is expected"
    case .refused(let status):
      "the server answered the WebSocket upgrade with HTTP status \(status) instead of 101: \(Self.advice(status))"
    case .noUpgrade:
      "the server's 101 does not name websocket in Upgrade: check path and port, or a proxy in between"
    case .noConnectionUpgrade:
      "the server's 101 does not name upgrade in Connection: a proxy in between may strip it"
    case .wrongAccept:
      "the server's Sec-WebSocket-Accept does not belong to our key: a cache or proxy answered in its place"
    case .extensionNotOffered: "the server chose a WebSocket extension that was not offered; Apus offers none"
    case .subprotocolNotOffered: "the server chose a WebSocket subprotocol that was not offered; Apus offers none"
    case .headTooLong:
      "the head of the server's answer exceeds \(APUS_WS_HEAD_LIMIT) bytes: this is hardly the WebSocket of a venue"
    case .requestRefused(let status):
      "the client's request was not an acceptable WebSocket upgrade; answered HTTP \(status)"
    case .reservedBits:
      "the peer set reserved bits of a frame, as for an extension (compression?) that was not agreed on"
    case .unknownOpcode: "the peer sent a frame of an unknown kind, or the stream lost its framing"
    case .badControl: "the peer sent a ping, pong or close that is fragmented or longer than 125 bytes"
    case .badMask: "the peer's frame is masked as a server, or unmasked as a client, which the protocol forbids"
    case .badLength: "the peer encoded the length of a frame wrongly"
    case .nothingToContinue: "the peer continued a message that it had not begun"
    case .messageInterrupted: "the peer began a message inside another that was not complete"
    case .badClose: "the peer sent a close with a code that must not be sent, or with half a code"
    case .notUTF8: "the peer sent a text that is not UTF-8"
    case .messageTooLong:
      "the peer's message exceeds the endpoint's limit for messages: raise it if the venue sends such"
    }
  }

  private static func advice(_ status: UInt16) -> String {
    switch status {
    case 300..<400: "the address has moved; see its Location field and correct the configured URL"
    case 401, 403: "credentials, or the address that we come from, are not accepted"
    case 404: "the path is wrong"
    case 418, 429: "too many connections or requests; wait as long as its Retry-After field says"
    case 426: "it wants another version of the protocol"
    case 500...: "the venue is down or in maintenance; try again later"
    default: "check host, port and path"
    }
  }
}

/// Why an endpoint could not be made or started: a mistake of ours, not of the peer's.
public enum WebSocketSetupError: Error, Equatable, Sendable {
  case invalidLimits(WebSocketEndpoint.Limits)
  case outOfMemory(WebSocketEndpoint.Limits)
  case invalidHost(String)
  case invalidPath(String)
  case invalidHeaders(names: [String])
  case invalidKey(count: Int)
  case requestTooLong
  case notAClient
  case noSHA1
}

extension WebSocketSetupError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidLimits(let limits):
      """
      could not create a WebSocket endpoint for messages of \(limits.messageBytes) bytes with \(limits.outputBytes) \
      bytes of output: messages must be 125 to 2^30, output \(APUS_WS_OUTPUT_MIN) to 2^30
      """
    case .outOfMemory(let limits):
      """
      could not allocate a WebSocket endpoint for messages of \(limits.messageBytes) bytes with \
      \(limits.outputBytes) bytes of output
      """
    case .invalidHost(let host):
      "could not ask for a WebSocket at host '\(host)': a host is visible ASCII without spaces, and not empty"
    case .invalidPath(let path):
      // Without its query, which may hold a secret.
      """
      could not use '\(path.prefix { $0 != "?" })' as the path of a WebSocket: a path starts with '/', has only \
      visible ASCII (a server's at most \(APUS_WS_PATH_LIMIT) characters), and no spaces
      """
    case .invalidHeaders(let names):
      // Without the values, which may be secrets.
      """
      could not add the header fields \(names.joined(separator: ", ")) to a WebSocket request: names are tokens, \
      values one line of text, and the handshake's own fields or those of a body may not be given
      """
    case .invalidKey(let count): "could not start a WebSocket with a key of \(count) bytes: it is 16 random bytes"
    case .requestTooLong: "could not start a WebSocket: the request does not fit into the endpoint's output"
    case .notAClient: "could not start a WebSocket: the endpoint is a server, which waits for a request"
    case .noSHA1: "could not start a WebSocket: libcrypto offers no SHA-1, which the handshake needs"
    }
  }
}
