public import CSupport
import Glibc

/// Why a key could not be used. Never carries any of the key's text (R57).
public enum KeyError: Error, Equatable, Sendable, CustomStringConvertible {
  case unreadable(path: String, code: Int32)
  case notARegularFile(path: String)
  case modeTooOpen(path: String)
  case tooLarge(path: String)
  /// Not an RSA key in PEM.
  case malformed(path: String?)
  /// Inconsistent, or not of 2048 to 16384 bits.
  case rejected(path: String?)
  case hasPassphrase(path: String?)
  /// The cryptographic library failed.
  case failed

  public var description: String {
    func name(_ path: String?) -> String { path.map { "the key file \($0)" } ?? "the key" }
    return switch self {
    case .unreadable(let path, let code): "could not read \(name(path)): \(String(cString: strerror(code)))"
    case .notARegularFile(let path): "could not use \(name(path)): it is not a regular file"
    case .modeTooOpen(let path):
      "could not use \(name(path)): others may read it; restrict it to its owner (chmod 600 \(path))"
    case .tooLarge(let path): "could not use \(name(path)): it is larger than 64 KiB; is it the right file?"
    case .malformed(let path):
      "could not use \(name(path)): it is not an RSA key in PEM (-----BEGIN RSA PRIVATE KEY-----, "
        + "-----BEGIN PRIVATE KEY----- or, for a public key, -----BEGIN PUBLIC KEY-----)"
    case .rejected(let path): "could not use \(name(path)): its numbers do not fit, or it is not of 2048 to 16384 bits"
    case .hasPassphrase(let path):
      "could not use \(name(path)): it is protected by a passphrase; store it without one, readable by its owner only"
    case .failed: "could not use the key: the cryptographic library failed"
    }
  }

  init(_ result: Int32, path: String?) {
    self =
      switch (result, path) {
      case (-EBADMSG, _): .malformed(path: path)
      case (-EKEYREJECTED, _): .rejected(path: path)
      case (-EOPNOTSUPP, _): .hasPassphrase(path: path)
      case (-EPERM, let path?): .modeTooOpen(path: path)
      case (-EINVAL, let path?), (-EISDIR, let path?): .notARegularFile(path: path)
      case (-EFBIG, let path?): .tooLarge(path: path)
      case (_, let path?): .unreadable(path: path, code: -result)
      default: .failed
      }
  }
}

/// As many bytes as the key has.
public struct Signature: Equatable, Sendable { public let bytes: [UInt8] }

/// An RSA private key that signs login tokens. Cold path.
// Sendable: immutable, and each call has its own OpenSSL context.
public final class SigningKey: @unchecked Sendable {
  private let key: OpaquePointer

  private init(_ key: OpaquePointer) { self.key = key }

  deinit { apus_signing_key_destroy(key) }

  /// From a PEM file (PKCS#1 or PKCS#8) that must be a regular file of mode 0600 or stricter.
  public convenience init(file path: String) throws(KeyError) {
    var key: OpaquePointer?
    let result = apus_signing_key_from_file(path, &key)
    guard result == 0, let key else { throw KeyError(result, path: path) }
    self.init(key)
  }

  /// From PEM text (PKCS#1 or PKCS#8). The caller wipes its own copy.
  public convenience init(pem: UnsafeBufferPointer<UInt8>) throws(KeyError) {
    var key: OpaquePointer?
    guard let start = pem.baseAddress else { throw .malformed(path: nil) }
    let result = apus_signing_key_from_pem(start, pem.count, &key)
    guard result == 0, let key else { throw KeyError(result, path: nil) }
    self.init(key)
  }

  /// A new key, for demonstrations and tests.
  public static func generate(bits: UInt32 = 2048) throws(KeyError) -> SigningKey {
    var key: OpaquePointer?
    guard apus_signing_key_generate(bits, &key) == 0, let key else { throw .failed }
    return SigningKey(key)
  }

  /// The signature of `bytes`, RSASSA-PKCS1-v1_5: deterministic.
  public func sign(_ bytes: some Collection<UInt8>, hash: SignatureHash = .sha512) throws(KeyError) -> Signature {
    var signature = [UInt8](repeating: 0, count: apus_signing_key_signature_bytes(key))
    let message = Array(bytes)
    let count = apus_signing_key_sign(key, hash, message, message.count, &signature, signature.count)
    guard count > 0 else { throw .failed }
    return Signature(bytes: Array(signature[..<Int(count)]))
  }

  public func verifyingKey() throws(KeyError) -> VerifyingKey {
    var verifying: OpaquePointer?
    guard apus_verifying_key_of(key, &verifying) == 0, let verifying else { throw .failed }
    return VerifyingKey(owning: verifying)
  }

  /// The public half as PEM (SPKI).
  public func publicPEM() throws(KeyError) -> String {
    var pem = [UInt8](repeating: 0, count: 8192)
    let count = apus_signing_key_write_public_pem(key, &pem, pem.count)
    guard count > 0 else { throw .failed }
    return String(decoding: pem[..<Int(count)], as: UTF8.self)
  }

  /// Lends the private key as PEM to `body`, then wipes it; for writing a demonstration's key file.
  public func withPrivatePEM<Result>(pkcs8: Bool = true, _ body: (UnsafeBufferPointer<UInt8>) -> Result)
    throws(KeyError)
    -> Result
  {
    let capacity = 32_768
    let pem = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    defer {
      apus_wipe(pem, capacity)
      pem.deallocate()
    }
    let count = apus_signing_key_write_private_pem(key, pkcs8, pem, capacity)
    guard count > 0 else { throw .failed }
    return body(UnsafeBufferPointer(start: pem, count: Int(count)))
  }
}

/// An RSA public key that checks signatures.
// Sendable: immutable, and each call has its own OpenSSL context.
public final class VerifyingKey: @unchecked Sendable {
  private let key: OpaquePointer

  fileprivate init(owning key: OpaquePointer) { self.key = key }

  deinit { apus_verifying_key_destroy(key) }

  /// From PEM text: SPKI, or PKCS#1.
  public convenience init(pem: some Collection<UInt8>) throws(KeyError) {
    var key: OpaquePointer?
    let text = Array(pem)
    guard !text.isEmpty else { throw .malformed(path: nil) }
    let result = apus_verifying_key_from_pem(text, text.count, &key)
    guard result == 0, let key else { throw KeyError(result, path: nil) }
    self.init(owning: key)
  }

  public func accepts(
    signature: some Collection<UInt8>, of bytes: some Collection<UInt8>, hash: SignatureHash = .sha512
  ) -> Bool {
    let message = Array(bytes)
    let signature = Array(signature)
    return apus_verifying_key_accepts(key, hash, message, message.count, signature, signature.count)
  }
}

/// base64url without padding (RFC 4648, section 5).
public enum Base64URL {
  public static func encode(_ bytes: some Collection<UInt8>) -> String {
    let bytes = Array(bytes)
    return String(unsafeUninitializedCapacity: (4 * bytes.count + 2) / 3 + 1) { out in
      guard let start = out.baseAddress else { return 0 }
      return max(0, Int(apus_base64url_encode(bytes, bytes.count, start, out.count)))
    }
  }

  /// `nil` if `text` is not what an encoder makes (padding, other characters, spare bits).
  public static func decode(_ text: some StringProtocol) -> [UInt8]? {
    let text = Array(text.utf8)
    var out = [UInt8](repeating: 0, count: text.count * 3 / 4 + 1)
    let count = apus_base64url_decode(text, text.count, &out, out.count)
    return count >= 0 ? Array(out[..<Int(count)]) : nil
  }
}

/// HMAC with SHA-256 (RFC 2104) of `bytes`, 32 bytes; `nil` if the cryptographic library failed.
public func hmacSHA256(key: UnsafeBufferPointer<UInt8>, _ bytes: [UInt8]) -> [UInt8]? {
  guard let start = key.baseAddress else { return nil }
  var out = [UInt8](repeating: 0, count: Int(APUS_HMAC_SHA256_BYTES))
  return apus_hmac_sha256(start, key.count, bytes, bytes.count, &out) == 0 ? out : nil
}

/// Cryptographically secure bytes; `nil` if the system has no entropy.
public func secureRandomBytes(count: Int) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: count)
  return count == 0 || apus_random(&bytes, count) == 0 ? bytes : nil
}

/// HMAC-SHA256 of a text as 64 lower-case hexadecimal digits; `nil` if the cryptographic library failed. Cold.
func hmacSHA256(key: UnsafeRawBufferPointer, text: String) -> String? {
  var bytes = [UInt8](repeating: 0, count: Int(APUS_HMAC_SHA256_BYTES))
  var text = text
  let result = text.withUTF8 { text in
    bytes.withUnsafeMutableBufferPointer { out in
      key.withMemoryRebound(to: UInt8.self) { key in
        // An empty secret has no address; the library reads none of it.
        var nothing: UInt8 = 0
        return withUnsafeMutablePointer(to: &nothing) { spare in
          apus_hmac_sha256(
            key.baseAddress ?? UnsafePointer(spare), key.count, text.baseAddress ?? UnsafePointer(spare), text.count,
            out.baseAddress!)
        }
      }
    }
  }
  guard result == 0 else { return nil }
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
