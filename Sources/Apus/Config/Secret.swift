public import Glibc

/// Why a secret could not be loaded. Names where it was looked for, never any of its text (R57).
public enum SecretError: Error, Equatable, Sendable, CustomStringConvertible {
  case unreadable(path: String, code: CInt)
  case notARegularFile(path: String)
  /// `mode` is the file's twelve permission bits.
  case modeTooOpen(path: String, mode: mode_t)
  case otherOwner(path: String, owner: uid_t, user: uid_t)
  case emptyFile(path: String)
  case fileTooLarge(path: String)
  case unsetVariable(name: String)
  case emptyVariable(name: String)
  case outOfMemory(code: CInt)

  public var description: String {
    switch self {
    case .unreadable(let path, let code):
      return "could not read the secret in \(Self.shown(path)): \(String(cString: strerror(code)))"
    case .notARegularFile(let path):
      return "could not use the secret in \(Self.shown(path)): it is not a regular file"
    case .modeTooOpen(let path, let mode):
      return "could not use the secret in \(Self.shown(path)): its mode is \(Self.octal(mode)), but must be 0600 or "
        + "stricter: chmod 600 \(Self.shown(path))"
    case .otherOwner(let path, let owner, let user):
      return "could not use the secret in \(Self.shown(path)): it belongs to user \(owner), but must belong to user "
        + "\(user), who runs this: chown \(user) \(Self.shown(path))"
    case .emptyFile(let path): return "could not use the secret in \(Self.shown(path)): the file is empty"
    case .fileTooLarge(let path):
      return "could not use the secret in \(Self.shown(path)): it is larger than 64 KiB, is it the right file?"
    case .unsetVariable(let name):
      return "could not find the secret: the environment variable \(Self.shown(name)) is not set; set it, or use "
        + "private_key_file"
    case .emptyVariable(let name):
      return "could not use the secret: the environment variable \(Self.shown(name)) is empty"
    case .outOfMemory(let code): return "could not get memory for a secret: \(String(cString: strerror(code)))"
    }
  }

  private static func octal(_ mode: mode_t) -> String {
    let digits = String(mode, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }

  /// Someone may have given the secret itself where its place belongs.
  private static func shown(_ place: String) -> String {
    ShownText.looksSecret(place) || place.contains(where: \.isNewline) ? ShownText.of(place) : place
  }
}

/// A secret's bytes in pages of their own, which no core dump contains and which are wiped at the end of its life.
///
/// Cannot be copied, printed or compared.
@safe
public struct Secret: ~Copyable {
  private let bytes: UnsafeMutableRawPointer
  private let capacity: Int
  private var count = 0

  static let maximumBytes = 64 * 1024

  private init(capacity: Int) throws(SecretError) {
    let page = Int(sysconf(CInt(_SC_PAGESIZE)))
    let size = (max(capacity, 1) + page - 1) / page * page
    let memory = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory = unsafe memory, unsafe memory != MAP_FAILED else { throw .outOfMemory(code: errno) }
    unsafe madvise(memory, size, MADV_DONTDUMP)
    // Not written to swap, if the limit on locked memory allows.
    unsafe mlock(memory, size)
    unsafe bytes = memory
    self.capacity = size
  }

  deinit {
    unsafe explicit_bzero(bytes, capacity)
    unsafe munmap(bytes, capacity)
  }

  /// A copy of bytes whose owner wipes them; at most 64 KiB.
  init(copying source: some Collection<UInt8>) throws(SecretError) {
    precondition(source.count <= Self.maximumBytes)
    try self.init(capacity: source.count)
    unsafe UnsafeMutableRawBufferPointer(start: bytes, count: capacity).copyBytes(from: source)
    count = source.count
  }

  /// From a regular file that belongs to the current user and has mode 0600 or stricter; at most 64 KiB.
  ///
  /// A symbolic link is followed, and what it leads to is judged.
  public static func load(file path: String) throws(SecretError) -> Secret {
    // Not blocking: opening a pipe would wait for its writer.
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw .unreadable(path: path, code: errno) }
    defer { close(file) }
    var status = stat()
    guard unsafe fstat(file, &status) == 0 else { throw .unreadable(path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile(path: path) }
    let mode = status.st_mode & 0o7777
    guard mode & ~0o600 == 0 else { throw .modeTooOpen(path: path, mode: mode) }
    guard status.st_uid == geteuid() else {
      throw .otherOwner(path: path, owner: status.st_uid, user: geteuid())
    }
    guard status.st_size <= maximumBytes else { throw .fileTooLarge(path: path) }
    var secret = try Secret(capacity: Int(status.st_size))
    while secret.count < Int(status.st_size) {
      let got = unsafe read(file, secret.bytes + secret.count, Int(status.st_size) - secret.count)
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw .unreadable(path: path, code: errno) }
      if got == 0 { break }
      secret.count += got
    }
    guard secret.count > 0 else { throw .emptyFile(path: path) }
    return secret
  }

  /// From an environment variable, which is then wiped and unset: neither `/proc/<pid>/environ` nor a child
  /// process shows it any more, and a second call does not find it.
  ///
  /// To be called while the process has one thread, as all changes of the environment.
  public static func load(environment name: String) throws(SecretError) -> Secret {
    guard let value = unsafe getenv(name) else { throw .unsetVariable(name: name) }
    let count = unsafe strlen(value)
    guard count > 0 else { throw .emptyVariable(name: name) }
    var secret = try Secret(capacity: count)
    unsafe secret.bytes.copyMemory(from: value, byteCount: count)
    secret.count = count
    unsafe explicit_bzero(value, count)
    unsafe unsetenv(name)
    return secret
  }

  /// From where the venue's section says.
  public static func load(privateKeyOf venue: VenueSection) throws(SecretError) -> Secret {
    if let path = venue.privateKeyFile { return try load(file: path) }
    return try load(environment: venue.privateKeyEnv ?? VenueSection.CodingKeys.privateKeyEnv.stringValue)
  }

  public var byteCount: Int { count }

  /// Lends the bytes; they must not be kept or copied.
  public borrowing func withBytes<Value: ~Copyable, Failure: Error>(
    _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let start = unsafe bytes.assumingMemoryBound(to: UInt8.self)
    return try unsafe body(UnsafeBufferPointer(start: start, count: count))
  }
}
