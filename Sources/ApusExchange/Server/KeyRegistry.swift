public import Apus
import CSupport

#if canImport(Glibc)
  import Glibc
#endif

/// Public keys by key id, checking login tokens for real: RSASSA-PKCS1-v1_5 with SHA-256, -384 or -512.
public struct KeyRegistry: TokenVerifier, Sendable {
  private var keys: [String: VerifyingKey] = [:]

  public init() {}

  public var isEmpty: Bool { keys.isEmpty }
  public var count: Int { keys.count }

  /// Registers a key, in place of an earlier one of the same id.
  public mutating func register(_ key: VerifyingKey, as keyID: String) { keys[keyID] = key }

  /// Registers the public key in a PEM file of at most 64 KiB.
  public mutating func register(file path: String, as keyID: String) throws(KeyError) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .unreadable(path: path, code: errno) }
    defer { close(file) }
    var information = stat()
    guard fstat(file, &information) == 0 else { throw .unreadable(path: path, code: errno) }
    guard information.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile(path: path) }
    guard information.st_size <= 65_536 else { throw .tooLarge(path: path) }
    var text = [UInt8](repeating: 0, count: 65_537)
    var count = 0
    while count < text.count {
      let got = text.withUnsafeMutableBytes { read(file, $0.baseAddress.map { $0 + count }, $0.count - count) }
      if got == 0 { break }
      if got > 0 { count += got } else if errno != EINTR { throw .unreadable(path: path, code: errno) }
    }
    do {
      register(try VerifyingKey(pem: text[..<count]), as: keyID)
    } catch {
      // Say which file it was.
      switch error {
      case .malformed: throw .malformed(path: path)
      case .rejected: throw .rejected(path: path)
      case .hasPassphrase: throw .hasPassphrase(path: path)
      default: throw error
      }
    }
  }

  public func verify(keyID: String, algorithm: String, signingInput: [UInt8], signature: [UInt8]) -> Bool {
    guard let key = keys[keyID], let hash = SignatureHash(algorithmName: algorithm) else { return false }
    return key.accepts(signature: signature, of: signingInput, hash: hash)
  }
}
