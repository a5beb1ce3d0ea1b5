import Glibc
import Testing

@testable import Apus

@Suite struct SecretTests {
  private func text(_ secret: borrowing Secret) -> String {
    secret.withBytes { String(decoding: $0, as: UTF8.self) }
  }

  private func message(_ load: () throws(SecretError) -> Void) -> String {
    do {
      try load()
      return ""
    } catch { return error.description }
  }

  @Test(arguments: [0o600, 0o400])
  func `R57_ a secret is read from a file that only its owner may read`(mode: Int) throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("key.pem", "hush\nhush\n", mode: mode)
    let secret = try Secret.load(file: path)
    #expect(text(secret) == "hush\nhush\n")
    #expect(secret.byteCount == 10)
  }

  @Test(arguments: [0o644, 0o640, 0o604, 0o660, 0o601, 0o700, 0o4600])
  func `R57_ a file that others may use is refused with its mode and the remedy`(mode: Int) throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("key.pem", "hush", mode: 0o600)
    #expect(chmod(path, mode_t(mode)) == 0)
    let shown = String(mode, radix: 8)
    let expected =
      "could not use the secret in \(path): its mode is \(shown.count < 4 ? "0" + shown : shown), but must be 0600 or "
      + "stricter: chmod 600 \(path)"
    #expect(message { () throws(SecretError) in _ = try Secret.load(file: path) } == expected)
  }

  @Test func `a file that is missing, a directory, a pipe, empty or too large is refused`() throws {
    let directory = try TemporaryDirectory()
    func message(_ path: String) -> String {
      self.message { () throws(SecretError) in _ = try Secret.load(file: path) }
    }
    let missing = "\(directory.path)/none.pem"
    #expect(message(missing) == "could not read the secret in \(missing): No such file or directory")
    #expect(message(directory.path).hasSuffix(": it is not a regular file"))
    let pipe = "\(directory.path)/pipe"
    #expect(mkfifo(pipe, 0o600) == 0)
    #expect(message(pipe).hasSuffix(": it is not a regular file"))
    #expect(message(try directory.write("empty", "")).hasSuffix(": the file is empty"))
    let large = try directory.write("large", bytes: [UInt8](repeating: 65, count: 65537))
    #expect(message(large).hasSuffix("it is larger than 64 KiB, is it the right file?"))
    let full = try directory.write("full", bytes: [UInt8](repeating: 65, count: 65536))
    #expect(try Secret.load(file: full).byteCount == 65536)
  }

  @Test func `a symbolic link is judged by what it leads to`() throws {
    let directory = try TemporaryDirectory()
    let open = try directory.write("open.pem", "hush", mode: 0o644)
    let link = "\(directory.path)/link.pem"
    #expect(symlink(open, link) == 0)
    #expect(message { () throws(SecretError) in _ = try Secret.load(file: link) }.contains("its mode is 0644"))
    #expect(chmod(open, 0o600) == 0)
    #expect(text(try Secret.load(file: link)) == "hush")
  }

  @Test func `a file of another user is refused with both users`() {
    let error = SecretError.otherOwner(path: "key.pem", owner: 0, user: 1000)
    #expect(
      error.description == "could not use the secret in key.pem: it belongs to user 0, but must belong to user 1000, "
        + "who runs this: chown 1000 key.pem")
  }

  @Test func `R57_ a secret leaves the environment when it is read`() throws {
    let name = "APUS_TEST_SECRET_\(getpid())"
    #expect(setenv(name, "hush", 1) == 0)
    let secret = try Secret.load(environment: name)
    #expect(text(secret) == "hush")
    #expect(unsafe getenv(name) == nil)
    #expect(
      message { () throws(SecretError) in _ = try Secret.load(environment: name) }
        == "could not find the secret: the environment variable \(name) is not set; set it, or use private_key_file")
    #expect(setenv(name, "", 1) == 0)
    #expect(
      message { () throws(SecretError) in _ = try Secret.load(environment: name) }
        == "could not use the secret: the environment variable \(name) is empty")
    unsetenv(name)
  }

  @Test func `the venue's section says where the key is`() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("key.pem", "from the file")
    let file = VenueSection(url: "", keyID: "", privateKeyFile: path)
    #expect(text(try Secret.load(privateKeyOf: file)) == "from the file")
    let name = "APUS_TEST_VENUE_\(getpid())"
    #expect(setenv(name, "from the environment", 1) == 0)
    let variable = VenueSection(url: "", keyID: "", privateKeyEnv: name)
    #expect(text(try Secret.load(privateKeyOf: variable)) == "from the environment")
  }

  @Test func `R57_ the secret given in place of its path or name is not shown`() {
    let token = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA1"
    #expect(!message { () throws(SecretError) in _ = try Secret.load(file: token) }.contains(token))
    #expect(!message { () throws(SecretError) in _ = try Secret.load(environment: token) }.contains(token))
    let pem = "-----BEGIN PRIVATE KEY-----\nx"
    #expect(!message { () throws(SecretError) in _ = try Secret.load(file: pem) }.contains("BEGIN"))
  }

  /// Piece by piece: Foundation takes a short read of such a file for its end.
  private static func read(_ path: String) -> String {
    let file = open(path, O_RDONLY)
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = Glibc.read(file, &buffer, buffer.count)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
    }
  }

  @Test func `R57_ a secret's pages are kept out of core dumps`() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("key.pem", "hush")
    let secret = try Secret.load(file: path)
    let address = secret.withBytes { UInt(bitPattern: $0.baseAddress) }
    var flags: Substring?
    var isInside = false
    for line in Self.read("/proc/self/smaps").split(separator: "\n") {
      let words = line.split(separator: " ")
      if let range = words.first?.split(separator: "-"), range.count == 2,
        let start = UInt(range[0], radix: 16), let end = UInt(range[1], radix: 16)
      {
        isInside = start <= address && address < end
      } else if isInside, line.hasPrefix("VmFlags:") {
        flags = line
        break
      }
    }
    #expect(flags?.split(separator: " ").contains("dd") == true)
    #expect(secret.byteCount == 4)
  }
}
