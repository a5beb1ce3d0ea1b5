import Apus
import CSupport
import Foundation
import Synchronization
import Testing

/// A directory that is removed with this object.
final class KeyScratch {
  let url: URL
  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(at: url) }

  func write(_ bytes: some Collection<UInt8>, to name: String, mode: mode_t = 0o600) throws -> String {
    let path = url.appendingPathComponent(name).path
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    chmod(path, mode)
    return path
  }
}

@Suite struct CryptoTests {
  static let key = try? SigningKey.generate()

  func key() throws -> SigningKey { try #require(Self.key) }

  func pem(_ key: SigningKey, pkcs8: Bool) throws -> String.UTF8View {
    try key.withPrivatePEM(pkcs8: pkcs8) { String(decoding: $0, as: UTF8.self) }.utf8
  }

  @Test(arguments: [("sha256", SignatureHash.sha256), ("sha384", .sha384), ("sha512", .sha512)])
  func `a signature equals the one that openssl makes`(name: String, hash: SignatureHash) throws {
    let scratch = try KeyScratch()
    let path = try scratch.write(pem(key(), pkcs8: true), to: "key.pem")
    for count in [0, 1, 200, 5000] {
      let message = [UInt8](stream: count, count: count)
      let file = try scratch.write(message, to: "message")
      let theirs = try #require(try runTool("openssl", "dgst", "-\(name)", "-sign", path, "-binary", file))
      let ours = try key().sign(message, hash: hash).bytes
      #expect(ours == Array(theirs))
      let verifying = try key().verifyingKey()
      #expect(verifying.accepts(signature: ours, of: message, hash: hash))
      #expect(!verifying.accepts(signature: ours, of: message + [0], hash: hash))
      #expect(!verifying.accepts(signature: ours.dropLast(), of: message, hash: hash))
      #expect(!verifying.accepts(signature: ours, of: message, hash: hash == .sha512 ? .sha256 : .sha512))
    }
  }

  @Test func `keys are read in every form that venues and tools write`() throws {
    let message = Array("header.payload".utf8)
    let signature = try key().sign(message)
    let scratch = try KeyScratch()
    for pkcs8 in [false, true] {
      let text = try Array(pem(key(), pkcs8: pkcs8))
      let label = pkcs8 ? "-----BEGIN PRIVATE KEY-----" : "-----BEGIN RSA PRIVATE KEY-----"
      #expect(String(decoding: text, as: UTF8.self).hasPrefix(label))
      let path = try scratch.write(text, to: "key-\(pkcs8).pem", mode: pkcs8 ? 0o400 : 0o600)
      #expect(try SigningKey(file: path).sign(message) == signature)
      #expect(try text.withUnsafeBufferPointer { try SigningKey(pem: $0).sign(message) } == signature)
    }
    let spki = try key().publicPEM()
    #expect(spki.hasPrefix("-----BEGIN PUBLIC KEY-----"))
    #expect(try VerifyingKey(pem: spki.utf8).accepts(signature: signature.bytes, of: message))
    let pkcs1 = try #require(try runTool("openssl", "rsa", "-pubin", "-RSAPublicKey_out", input: Array(spki.utf8)))
    #expect(try VerifyingKey(pem: Array(pkcs1)).accepts(signature: signature.bytes, of: message))
    #expect(throws: KeyError.malformed(path: nil)) { try VerifyingKey(pem: pem(key(), pkcs8: true)) }
  }

  @Test(arguments: [0o644, 0o640, 0o604, 0o660, 0o700, 0o601] as [mode_t])
  func `R57_ a key file that others may touch is refused`(mode: mode_t) throws {
    let scratch = try KeyScratch()
    let path = try scratch.write(pem(key(), pkcs8: true), to: "key.pem", mode: mode)
    #expect(throws: KeyError.modeTooOpen(path: path)) { try SigningKey(file: path) }
  }

  @Test func `a key file that is not a key file is refused, with the reason`() throws {
    let scratch = try KeyScratch()
    #expect(throws: KeyError.notARegularFile(path: scratch.url.path)) { try SigningKey(file: scratch.url.path) }
    let fifo = scratch.url.appendingPathComponent("fifo").path
    mkfifo(fifo, 0o600)
    #expect(throws: KeyError.notARegularFile(path: fifo)) { try SigningKey(file: fifo) }
    #expect(throws: KeyError.notARegularFile(path: "/dev/null")) { try SigningKey(file: "/dev/null") }
    let missing = scratch.url.appendingPathComponent("missing").path
    #expect(throws: KeyError.unreadable(path: missing, code: ENOENT)) { try SigningKey(file: missing) }
    let large = try scratch.write([UInt8](repeating: 65, count: 65_537), to: "large")
    #expect(throws: KeyError.tooLarge(path: large)) { try SigningKey(file: large) }
    let empty = try scratch.write([], to: "empty")
    #expect(throws: KeyError.malformed(path: empty)) { try SigningKey(file: empty) }
    let elliptic = try #require(
      try runTool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))
    #expect(throws: KeyError.malformed(path: nil)) {
      try elliptic.withUnsafeBytes { try SigningKey(pem: $0.bindMemory(to: UInt8.self)) }
    }
    let short = try #require(try runTool("openssl", "genrsa", "1024"))
    #expect(throws: KeyError.rejected(path: nil)) {
      try short.withUnsafeBytes { try SigningKey(pem: $0.bindMemory(to: UInt8.self)) }
    }
    let locked = try #require(
      try runTool("openssl", "pkey", "-aes128", "-passout", "pass:secret", input: Array(pem(key(), pkcs8: true))))
    #expect(throws: KeyError.hasPassphrase(path: nil)) {
      try locked.withUnsafeBytes { try SigningKey(pem: $0.bindMemory(to: UInt8.self)) }
    }
  }

  @Test func `R57_ no error about a key shows any of its text`() throws {
    let scratch = try KeyScratch()
    var text = String(try pem(key(), pkcs8: true))
    let secret = text.split(separator: "\n")[3]
    text = text.replacingOccurrences(of: "-----END", with: "-----DNE")
    let path = try scratch.write(text.utf8, to: "key.pem")
    let error = #expect(throws: KeyError.self) { try SigningKey(file: path) }
    let description = String(describing: error) + (error?.description ?? "")
    #expect(description.contains(path))
    #expect(!description.contains(secret.prefix(8)))
  }

  @Test func `base64url agrees with a slow model and refuses what no encoder makes`() throws {
    let seed = UInt64.random(in: 0..<1_000_000)
    var random = LoopbackRandom(state: seed)
    for _ in 0..<500 {
      let bytes = (0..<(random.next() % 70)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let model = Data(bytes).base64EncodedString().replacingOccurrences(of: "+", with: "-")
        .replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
      #expect(Base64URL.encode(bytes) == model, "seed \(seed)")
      #expect(Base64URL.decode(model) == bytes, "seed \(seed)")
    }
    for text in ["A", "AAAAA", "QQ==", "QR", "QUF", "A+AA", "A/AA", "AA A", "ÄA", "AA\nA"] {
      #expect(Base64URL.decode(text) == nil, "\(text)")
    }
    #expect(Base64URL.decode("") == [])
  }

  @Test func `a login token carries key id and time, and is signed`() throws {
    let token = try JSONWebToken.make(keyID: "K123456789", key: key(), issuedAt: 1_722_000_000_000_042)
    let parts = token.split(separator: ".")
    let header = try #require(Base64URL.decode(parts[0])), payload = try #require(Base64URL.decode(parts[1]))
    #expect(String(decoding: header, as: UTF8.self) == #"{"alg":"RS512","kid":"K123456789","typ":"JWT"}"#)
    #expect(String(decoding: payload, as: UTF8.self) == #"{"iat":1722000000.000042}"#)
    let scratch = try KeyScratch()
    let path = try scratch.write(pem(key(), pkcs8: false), to: "key.pem")
    let signed = try scratch.write("\(parts[0]).\(parts[1])".utf8, to: "signing_input")
    let theirs = try #require(try runTool("openssl", "dgst", "-sha512", "-sign", path, "-binary", signed))
    #expect(Base64URL.encode(Array(theirs)) == parts[2])

    let parsed = try JSONWebToken(parsing: token)
    #expect(parsed.keyID == "K123456789")
    #expect(parsed.issuedAtMicroseconds == 1_722_000_000_000_042)
    #expect(parsed.hash == .sha512)
    #expect(parsed.isSigned(by: try key().verifyingKey()))
    #expect(!parsed.isSigned(by: try SigningKey.generate().verifyingKey()))
    let forged = "\(parts[0]).\(Base64URL.encode(Array(#"{"iat":1722000001}"#.utf8))).\(parts[2])"
    let forgedToken = try JSONWebToken(parsing: forged)
    #expect(!forgedToken.isSigned(by: try key().verifyingKey()))
    #expect(forgedToken.issuedAtMicroseconds == 1_722_000_001_000_000)
  }

  @Test func `tokens that are not tokens are refused by part`() throws {
    func failure(_ text: String) -> JSONWebToken.Failure? {
      do {
        _ = try JSONWebToken(parsing: text)
        return nil
      } catch { return error }
    }
    let none = Base64URL.encode(Array(#"{"alg":"none","kid":"K1"}"#.utf8))
    let good = Base64URL.encode(Array(#"{"typ":"JWT","kid":"K1","alg":"RS256"}"#.utf8))
    let time = Base64URL.encode(Array(#"{"iat":1}"#.utf8))
    #expect(failure("a.b") == .malformed("structure"))
    #expect(failure("!.\(time).AA") == .malformed("header"))
    #expect(failure("\(good).\(good).AA") == .malformed("payload"))
    #expect(failure("\(good).\(time).A") == .malformed("signature"))
    #expect(failure("\(none).\(time).AA") == .unknownAlgorithm)
    #expect(failure("\(good).\(time).AA") == nil)
    #expect(throws: JSONWebToken.Failure.invalidKeyID) {
      _ = try JSONWebToken.make(keyID: #"K","x":""#, key: key(), issuedAt: 1)
    }
    #expect(throws: JSONWebToken.Failure.invalidIssuedAt) {
      _ = try JSONWebToken.make(keyID: "K1", key: key(), issuedAt: -1)
    }
  }

  @Test func `times of issue only ever rise, also when the wall clock steps back`() throws {
    let source = IssuedAtSource()
    let clock: [Int64] = [5_000_000_000, 5_000_000_000, 4_000_000_000, 4_000_000_999, 5_000_002_000, 9_000_000_000]
    #expect(
      clock.map { source.next(wallClock: $0) } == [5_000_000, 5_000_001, 5_000_002, 5_000_003, 5_000_004, 9_000_000])
    let all = Mutex<Set<Int64>>([])
    let workers = (0..<4).map { _ in
      LoopbackWorker {
        let mine = (0..<1000).map { _ in source.next(wallClock: 9_000_000_000) }
        all.withLock { $0.formUnion(mine) }
      }
    }
    let joined = workers.map { $0.join() }
    #expect(joined == [true, true, true, true])
    #expect(all.withLock { $0.count } == 4000)
  }

  @Test func `random bytes differ`() throws {
    let a = try #require(secureRandomBytes(count: 32)), b = try #require(secureRandomBytes(count: 32))
    #expect(a != b)
    #expect(secureRandomBytes(count: 0) == [])
  }
}
