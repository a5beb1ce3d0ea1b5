import CSupport

/// Makes what Deribit's login wants: a signature by the client secret over the time and a number used once (protocol,
/// section 4.1). Cold.
public enum DeribitCredentials {
  /// The members of `public/auth` but for the grant type.
  ///
  /// - Parameters:
  ///   - clientID: As the venue shows it; not a secret.
  ///   - milliseconds: Since the Unix epoch; the venue takes a time of at most 60 s ago.
  ///   - nonce: Any text without quotes that is used once.
  /// - Throws: `KeyError.failed` if the cryptographic library failed.
  public static func members(
    clientID: String, secret: UnsafeRawBufferPointer, milliseconds: Int64, nonce: String
  ) throws(KeyError) -> String {
    let signature = try signature(secret: secret, milliseconds: milliseconds, nonce: nonce)
    return "\"client_id\":\"\(clientID)\",\"timestamp\":\(milliseconds),\"nonce\":\"\(nonce)\",\"data\":\"\","
      + "\"signature\":\"\(signature)\""
  }

  /// HMAC-SHA256 over `timestamp \n nonce \n data`, with empty data, as lower-case hexadecimal digits.
  static func signature(
    secret: UnsafeRawBufferPointer, milliseconds: Int64, nonce: String
  ) throws(KeyError) -> String {
    guard let digest = hmacSHA256(key: secret, text: "\(milliseconds)\n\(nonce)\n") else { throw .failed }
    return digest
  }
}
