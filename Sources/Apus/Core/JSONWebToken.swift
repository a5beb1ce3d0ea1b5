public import CSupport
import FoundationEssentials
import Synchronization

/// Moments of issue for the tokens of one key, strictly increasing even if the wall clock steps back.
///
/// Thalex wants each token's `iat` later than that of every token used with the same key
/// (Thalex protocol notes, section 3.1), so all connections that share a key share one source.
public final class IssuedAtSource: Sendable {
  private let last = Mutex<Int64>(.min)

  public init() {}

  private static let sources = Mutex<[String: IssuedAtSource]>([:])

  /// The one source of this process for a key: all its connections must draw from it.
  public static func of(keyID: String) -> IssuedAtSource {
    sources.withLock { sources in
      if let source = sources[keyID] { return source }
      let source = IssuedAtSource()
      sources[keyID] = source
      return source
    }
  }

  /// The next moment, in microseconds since 1970: `wallClock` (nanoseconds since 1970), or 1 µs after the last one.
  public func next(wallClock: Nanoseconds) -> Int64 {
    last.withLock { last in
      let now = wallClock / 1000
      last = now > last ? now : last + 1
      return last
    }
  }
}

/// The login token of Thalex: a JWT in compact form, signed with RSASSA-PKCS1-v1_5.
///
/// Source: Thalex protocol notes, section 3.1. Single use: make a new one for each login.
public struct JSONWebToken: Equatable, Sendable {
  public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// Key ids are letters, digits, `-`, `_` and `.`.
    case invalidKeyID
    /// Negative, or beyond the year 9999.
    case invalidIssuedAt
    /// Not three parts of base64url with a JSON header and payload; names the part.
    case malformed(String)
    case unknownAlgorithm
    case signing(KeyError)

    public var description: String {
      switch self {
      case .invalidKeyID: "could not make a login token: the key id must consist of letters, digits, '-', '_' and '.'"
      case .invalidIssuedAt: "could not make a login token: the wall clock is outside the years 1970 to 9999"
      case .malformed(let part): "could not read the login token: its \(part) is malformed"
      case .unknownAlgorithm: "could not read the login token: its algorithm is not RS256, RS384 or RS512"
      case .signing(let error): "could not make a login token: \(error)"
      }
    }
  }

  private struct Header: Decodable { var alg, kid: String }
  private struct Payload: Decodable { var iat: Double }

  public let hash: SignatureHash
  public let keyID: String
  /// Microseconds since 1970; finer fractions are rounded.
  public let issuedAtMicroseconds: Int64
  private let signedText: [UInt8]
  private let signature: [UInt8]

  /// - Parameter issuedAt: Microseconds since 1970, from the key's `IssuedAtSource`.
  public static func make(
    keyID: String, key: SigningKey, issuedAt: Int64, hash: SignatureHash = .sha512
  ) throws(Failure) -> String {
    let allowed = keyID.utf8.allSatisfy { c in
      switch c {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
        true
      default: false
      }
    }
    guard allowed, !keyID.isEmpty else { throw .invalidKeyID }
    guard issuedAt >= 0, issuedAt < 253_402_300_800_000_000 else { throw .invalidIssuedAt }
    let fraction = String(1_000_000 + issuedAt % 1_000_000).dropFirst()
    let header = #"{"alg":"\#(hash.algorithmName)","kid":"\#(keyID)","typ":"JWT"}"#
    let payload = #"{"iat":\#(issuedAt / 1_000_000).\#(fraction)}"#
    let text = Base64URL.encode(header.utf8) + "." + Base64URL.encode(payload.utf8)
    do {
      return text + "." + Base64URL.encode(try key.sign(text.utf8, hash: hash).bytes)
    } catch {
      throw .signing(error)
    }
  }

  /// Reads a token without checking its signature; see `isSigned(by:)`.
  public init(parsing text: some StringProtocol) throws(Failure) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw .malformed("structure") }
    guard let headerBytes = Base64URL.decode(parts[0]),
      let header = try? JSONDecoder().decode(Header.self, from: Data(headerBytes))
    else { throw .malformed("header") }
    guard let payloadBytes = Base64URL.decode(parts[1]),
      let payload = try? JSONDecoder().decode(Payload.self, from: Data(payloadBytes)),
      payload.iat >= 0, payload.iat < 253_402_300_800
    else { throw .malformed("payload") }
    guard let signature = Base64URL.decode(parts[2]) else { throw .malformed("signature") }
    guard let hash = SignatureHash(algorithmName: header.alg) else { throw .unknownAlgorithm }
    self.hash = hash
    keyID = header.kid
    // A Double near today's seconds is exact to a quarter of a microsecond.
    issuedAtMicroseconds = Int64((payload.iat * 1_000_000).rounded())
    signedText = Array(text.utf8.prefix(parts[0].utf8.count + 1 + parts[1].utf8.count))
    self.signature = signature
  }

  public func isSigned(by key: VerifyingKey) -> Bool { key.accepts(signature: signature, of: signedText, hash: hash) }
}

extension SignatureHash {
  /// The `alg` of a token: `RS256`, `RS384` or `RS512`.
  public var algorithmName: String {
    switch self {
    case .sha256: "RS256"
    case .sha384: "RS384"
    case .sha512: "RS512"
    }
  }

  public init?(algorithmName: String) {
    switch algorithmName {
    case "RS256": self = .sha256
    case "RS384": self = .sha384
    case "RS512": self = .sha512
    default: return nil
    }
  }
}
