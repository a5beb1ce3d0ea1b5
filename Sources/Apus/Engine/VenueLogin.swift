import CSupport

/// What a venue's logins are made with. Loaded once; makes a token for each connection, on any thread.
struct VenueLogin: Sendable {
  let makeToken: @Sendable () -> String
  /// The header fields of a request by HTTP that prove whose it is; empty where nothing is asked so.
  let sign: @Sendable (DeskRequest) -> String

  /// - Parameter given: The secret of a venue that stands in; `nil` loads the configured one.
  /// - Throws: `EngineError` with a sentence about the key.
  init(_ configuration: Configuration, given: [UInt8]? = nil) throws {
    // Before the key comes in: no dump of it, and its numbers in guarded pages. What the system refuses of this is no
    // reason not to trade; the run's manifest tells.
    if !configuration.engine.coreDumps { _ = apus_forbid_core_dumps() }
    _ = apus_crypto_guard_keys()
    let secret: Secret
    do {
      secret = try given.map { try Secret(copying: $0) } ?? Secret.load(privateKeyOf: configuration.venue)
    } catch {
      throw EngineError(.configuration, "\(error)")
    }
    let id = configuration.venue.keyID
    switch configuration.venue.kind {
    case .thalex:
      makeToken = try Self.webTokens(id: id, secret)
      sign = { _ in "" }
    case .deribit:
      makeToken = Self.signatures(id: id, secret)
      sign = { _ in "" }
    case .bybit:
      let box = try CredentialsBox(id, secret)
      makeToken = { BybitLogin.token(box.credentials, milliseconds: Self.milliseconds) }
      sign = { box.credentials.headers(of: $0, milliseconds: Self.milliseconds) }
    }
  }

  /// Thalex: a token signed with an RSA key; all of a key draw their times from one source.
  private static func webTokens(id: String, _ secret: borrowing Secret) throws -> @Sendable () -> String {
    let key: SigningKey
    do {
      key = try secret.withBytes { bytes throws(KeyError) -> SigningKey in try SigningKey(pem: bytes) }
    } catch {
      throw EngineError(.configuration, "the private key of the venue cannot be used: \(error)")
    }
    let issuedAt = IssuedAtSource.of(keyID: id)
    return {
      let time = issuedAt.next(wallClock: EngineClock.now() + EngineClock.wallOffset())
      // An empty token is refused by the venue, which names the cause to the operator.
      return (try? JSONWebToken.make(keyID: id, key: key, issuedAt: time)) ?? ""
    }
  }

  /// Deribit: a time and a number used once, signed with the client secret.
  private static func signatures(id: String, _ secret: consuming Secret) -> @Sendable () -> String {
    let box = SecretBox(secret)
    return {
      let time = milliseconds
      let nonce = (secureRandomBytes(count: 8) ?? []).reduce("n") { $0 + String($1, radix: 16) }
      return box.bytes {
        (try? DeribitCredentials.members(clientID: id, secret: $0, milliseconds: time, nonce: nonce)) ?? ""
      }
    }
  }
}

extension VenueLogin {
  /// Since the Unix epoch, by this machine's clock.
  fileprivate static var milliseconds: Int64 { (EngineClock.now() + EngineClock.wallOffset()) / 1_000_000 }
}

/// Keeps Bybit's key and secret for as long as logins may be made with them.
private final class CredentialsBox: Sendable {
  let credentials: BybitCredentials

  init(_ key: String, _ secret: consuming Secret) throws {
    let made = SecretBox(secret).bytes { BybitCredentials(key: key, secret: $0) }
    guard let made else {
      throw EngineError(
        .configuration,
        "the API secret of Bybit cannot be used: it must be a line of 1 to 256 visible characters, as the venue shows it")
    }
    credentials = made
  }
}

/// Keeps a secret for as long as logins may be made with it.
private final class SecretBox: @unchecked Sendable {
  // Sendable: never changed, and reading it is free of side effects.
  private let secret: Secret

  init(_ secret: consuming Secret) { self.secret = secret }

  /// The secret's bytes without white space at their end: a text file ends with a line break.
  func bytes<Result: ~Copyable>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    secret.withBytes { bytes in
      var count = bytes.count
      while count > 0, bytes[count - 1] <= 0x20 { count -= 1 }
      return body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[..<count]))
    }
  }
}
