import Foundation

/// Where the monitor listens: `127.0.0.1:9464`, `[::1]:9464`, `0.0.0.0:9464`; `localhost` is 127.0.0.1.
public struct ListenAddress: Equatable, Sendable, CustomStringConvertible {
  public var host: String
  public var port: UInt16

  public init(host: String = "127.0.0.1", port: UInt16) {
    self.host = host
    self.port = port
  }

  /// `nil` if the text is not ADDRESS:PORT with a numeric address.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    if host == "localhost" { host = "127.0.0.1" }
    var room = in6_addr()
    guard inet_pton(host.contains(":") ? AF_INET6 : AF_INET, host, &room) == 1 else { return nil }
    self.init(host: host, port: port)
  }

  public var isIPv6: Bool { host.contains(":") }
  /// Whether only this machine can reach it.
  public var isLoopback: Bool { host.hasPrefix("127.") || host == "::1" }
  public var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
