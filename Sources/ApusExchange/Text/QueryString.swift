import Apus

/// The part of a request target behind its `?`.
enum QueryString {
  /// As a JSON object of strings; `nil` if its escapes are wrong.
  static func json(_ query: some StringProtocol) -> [UInt8]? {
    let out = TextBuffer()
    out.byte(UInt8(ascii: "{"))
    for (place, item) in query.split(separator: "&").enumerated() {
      let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = decoded(parts[0]), let value = decoded(parts.count > 1 ? parts[1] : "") else { return nil }
      if place > 0 { out.byte(UInt8(ascii: ",")) }
      out.quoted(name)
      out.byte(UInt8(ascii: ":"))
      out.quoted(value)
    }
    out.byte(UInt8(ascii: "}"))
    return Array(out.bytes)
  }

  /// Without its percent signs; `nil` if they are wrong.
  static func decoded(_ text: some StringProtocol) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "+"): bytes.append(32)
      case UInt8(ascii: "%"):
        guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
          return nil
        }
        bytes.append(value)
        rest = rest.dropFirst(2)
      default: bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }
}

/// HMAC-SHA256 of a text in lower-case hexadecimal digits; `nil` if the cryptographic library failed.
func hexSignature(of text: String, secret: String) -> String? {
  guard let bytes = Array(secret.utf8).withUnsafeBufferPointer({ hmacSHA256(key: $0, Array(text.utf8)) }) else {
    return nil
  }
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
