import CSupport
import Glibc

/// A key and its secret, and what is signed with them (protocol reference 4). Cold.
///
/// The secret lies in locked pages that no core dump contains and is wiped when this is gone; nothing that is printed has
/// any of it (R57).
public struct BybitCredentials: ~Copyable, @unchecked Sendable {
  // Sendable: immutable after it was made, and the memory is its own.
  public let key: String
  private let secret: Secret

  /// - Returns: `nil` unless both are visible ASCII without quotes and backslashes, 1 ... 256 bytes, and there is memory.
  public init?(key: String, secret: some Collection<UInt8>) {
    func isPlain(_ bytes: some Collection<UInt8>) -> Bool {
      (1...256).contains(bytes.count) && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
    }
    guard isPlain(Array(key.utf8)), isPlain(secret), let secret = try? Secret(copying: secret) else { return nil }
    self.key = key
    self.secret = secret
  }

  /// HMAC-SHA256 in lower-case hexadecimal digits; `nil` if the cryptographic library failed.
  public func signature(of text: String) -> String? {
    guard let bytes = secret.withBytes({ hmacSHA256(key: $0, Array(text.utf8)) }) else { return nil }
    let digits = Array("0123456789abcdef".utf8)
    var hex: [UInt8] = []
    for byte in bytes { hex += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
    return String(decoding: hex, as: UTF8.self)
  }

  /// For the login of a WebSocket that is sent before `expires`, milliseconds by the venue's clock.
  public func loginSignature(expires: Int64) -> String? { signature(of: "GET/realtime\(expires)") }

  /// For a REST request: of the query of a GET, or of the body of a POST, exactly as they are sent.
  public func requestSignature(milliseconds: Int64, window: Int64, payload: String) -> String? {
    signature(of: "\(milliseconds)\(key)\(window)\(payload)")
  }
}

extension BybitCredentials {
  /// The header fields that prove whose a request is (protocol reference 4.2), each with its line end.
  func headers(
    of request: DeskRequest, milliseconds: Int64, window: Int64 = BybitVenue.requestWindowMilliseconds
  ) -> String {
    let signature = requestSignature(milliseconds: milliseconds, window: window, payload: String(request.payload))
    return "X-BAPI-API-KEY: \(key)\r\nX-BAPI-TIMESTAMP: \(milliseconds)\r\nX-BAPI-RECV-WINDOW: \(window)\r\n"
      + "X-BAPI-SIGN: \(signature ?? "")\r\n"
  }
}

/// What the login of a WebSocket is made with: good for one login, and for a few seconds.
struct BybitLogin {
  var key = ""
  var expires: Int64 = 0
  var signature = ""

  /// Long enough for a login that waits for a handshake.
  private static let lifetime: Int64 = 10_000

  /// As one text, for the lane; `milliseconds` by the venue's clock.
  static func token(_ credentials: borrowing BybitCredentials, milliseconds: Int64) -> String {
    let expires = milliseconds + lifetime
    return "\(expires) \(credentials.loginSignature(expires: expires) ?? "") \(credentials.key)"
  }

  /// A text that is no token gives a login that the venue refuses.
  init(token: String) {
    let words = token.split(separator: " ")
    guard words.count == 3, let expires = Int64(words[0]) else { return }
    self.expires = expires
    signature = String(words[1])
    key = String(words[2])
  }
}
