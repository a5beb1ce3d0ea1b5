/// The parts of a venue's URL.
public struct VenueAddress: Equatable, Sendable {
  /// `wss`: TLS; `ws` is for a venue on this machine or in a laboratory.
  public let isEncrypted: Bool
  /// A name or an address; an IPv6 address without its brackets.
  public let host: String
  public let port: UInt16
  /// Starts with `/`.
  public let path: String

  /// The value of the HTTP field `Host`: with the port unless it is the scheme's own, and IPv6 in brackets.
  public var hostField: String {
    let name = host.contains(":") ? "[\(host)]" : host
    return port == (isEncrypted ? 443 : 80) ? name : "\(name):\(port)"
  }

  /// `ws://host:port/path` or `wss://host[:port]/path`; `nil` for anything else.
  public init?(_ url: String) {
    guard case .success(let address) = Self.parse(url) else { return nil }
    self = address
  }

  /// `https://host[:port]` or `http://host:port`; `nil` for anything else.
  public init?(rest url: String) {
    for (scheme, socket) in [("https://", "wss://"), ("http://", "ws://")] where url.hasPrefix(scheme) {
      let rest = url.dropFirst(scheme.count)
      guard !rest.contains("/") else { return nil }
      self.init(socket + rest + "/")
      return
    }
    return nil
  }

  private init(isEncrypted: Bool, host: String, port: UInt16, path: String) {
    self.isEncrypted = isEncrypted
    self.host = host
    self.port = port
    self.path = path
  }

  static func parse(_ url: String) -> Result<Self, ConfigurationAdvice> {
    guard let mark = url.firstRange(of: "://") else {
      return .failure(.init("begin it with wss:// (or ws:// for a venue without TLS)"))
    }
    let isEncrypted: Bool
    switch url[..<mark.lowerBound] {
    case "wss": isEncrypted = true
    case "ws": isEncrypted = false
    case "https": return .failure(.init("write wss:// instead of https://"))
    case "http": return .failure(.init("write ws:// instead of http://"))
    default: return .failure(.init("use the scheme wss:// (or ws:// for a venue without TLS)"))
    }
    let rest = url[mark.upperBound...]
    if rest.contains("@") { return .failure(.init("take user name and password out, the login uses the key")) }
    if rest.contains("?") || rest.contains("#") { return .failure(.init("end it with the path, without ? and #")) }
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    let path = rest[slash...]
    guard !path.isEmpty else { return .failure(.init("add the path, for example /ws/api/v2")) }
    guard path.utf8.count <= 255, path.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
      return .failure(.init("shorten the path to 255 characters without spaces"))
    }

    var host = rest[..<slash]
    var portText: Substring?
    if host.hasPrefix("[") {
      guard let close = host.firstIndex(of: "]") else { return .failure(.init("close the bracket of the address")) }
      let after = host[host.index(after: close)...]
      host = host[host.index(after: host.startIndex)..<close]
      guard host.contains(":"), host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }),
        after.isEmpty || after.hasPrefix(":")
      else { return .failure(.init("write an IPv6 address as [::1]:8765")) }
      if !after.isEmpty { portText = after.dropFirst() }
    } else if let colon = host.firstIndex(of: ":") {
      portText = host[host.index(after: colon)...]
      host = host[..<colon]
    }
    let isName = host.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "." || $0 == ":") }
    guard !host.isEmpty, host.utf8.count <= 253, isName else {
      return .failure(.init("give a host name or an address between :// and the path"))
    }
    if portText == nil, !isEncrypted {
      return .failure(.init("add the port, for example ws://127.0.0.1:8765/ws/api/v2"))
    }
    guard let portText else {
      return .success(Self(isEncrypted: isEncrypted, host: String(host), port: 443, path: String(path)))
    }
    guard portText.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let port = UInt16(portText), port > 0 else {
      return .failure(.init("give a port from 1 to 65535"))
    }
    return .success(Self(isEncrypted: isEncrypted, host: String(host), port: port, path: String(path)))
  }
}
