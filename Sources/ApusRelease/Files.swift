import Apus
import ApusHost
import Glibc

/// Files and directories, synced: what has been said to be done survives a power cut.
package enum Files {
  static func failure(_ attempt: String) -> SystemError { SystemError(attempt, result: -errno) }

  /// A regular file of at most `limit` bytes; one of `/proc`, whose size is not known, too.
  static func read(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw failure("read \(path)") }
    defer { close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let got = Glibc.read(file, &chunk, chunk.count)
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw failure("read \(path)") }
      if got == 0 { return bytes }
      bytes += chunk[..<got]
      guard bytes.count <= limit else {
        throw SystemError(
          "read \(path)", result: -EFBIG, advice: "it is larger than \(limit) bytes, is it the right file?")
      }
    }
  }

  /// Copies a regular file to a new one, and syncs it. The process's umask applies.
  static func copy(_ source: String, to path: String, mode: mode_t) throws(SystemError) {
    let from = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard from >= 0 else { throw failure("read \(source)") }
    defer { close(from) }
    var status = stat()
    guard fstat(from, &status) == 0 else { throw failure("read \(source)") }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw SystemError("read \(source)", result: -EINVAL, advice: "it is not a regular file")
    }
    try create(path, mode: mode) { file in
      var chunk = [UInt8](repeating: 0, count: 1 << 20)
      while true {
        let got = Glibc.read(from, &chunk, chunk.count)
        if got < 0, errno == EINTR { continue }
        guard got >= 0 else { return errno }
        if got == 0 { return 0 }
        let code = write(chunk[..<got], to: file)
        if code != 0 { return code }
      }
    }
  }

  /// A new file with these bytes, synced.
  static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(SystemError) {
    try create(path, mode: mode) { write(bytes[...], to: $0) }
  }

  /// Appends to a file, which is made if it is missing, and syncs it.
  ///
  /// - Parameter separator: Goes in front if the last append was cut short.
  package static func append(line: String, to path: String) throws(SystemError) {
    let file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw failure("write \(path)") }
    defer { close(file) }
    let end = lseek(file, 0, SEEK_END)
    var last: UInt8 = 10
    if end > 0 { _ = pread(file, &last, 1, end - 1) }
    let code = write(Array(((last == 10 ? "" : "\n") + line + "\n").utf8)[...], to: file)
    guard code == 0 else { throw SystemError("write \(path)", result: -code) }
    guard fsync(file) == 0 else { throw failure("write \(path)") }
  }

  static func syncDirectory(_ path: String) throws(SystemError) {
    let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw failure("open \(path)") }
    defer { close(directory) }
    guard fsync(directory) == 0 else { throw failure("write \(path)") }
  }

  /// A directory without directories in it; what cannot be removed stays.
  static func removeDirectory(_ path: String) {
    for name in HostTree().names(in: path) { unlink("\(path)/\(name)") }
    rmdir(path)
  }

  private static func create(
    _ path: String, mode: mode_t, _ fill: (CInt) -> CInt
  ) throws(SystemError) {
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard file >= 0 else { throw failure("write \(path)") }
    var code = fill(file)
    if code == 0, fsync(file) != 0 { code = errno }
    if close(file) != 0, code == 0 { code = errno }
    guard code == 0 else { throw SystemError("write \(path)", result: -code) }
  }

  /// The error's number, or 0.
  private static func write(_ bytes: ArraySlice<UInt8>, to file: CInt) -> CInt {
    bytes.withUnsafeBytes { bytes in
      var offset = 0
      while offset < bytes.count {
        let written = Glibc.write(file, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
        if written >= 0 { offset += written } else if errno != EINTR { return errno }
      }
      return 0
    }
  }
}

/// Holds a directory for one process, or one thread of it, until it goes: also at the end of the process.
package struct DirectoryLock: ~Copyable {
  private let descriptor: CInt

  private init(descriptor: CInt) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Waits until the others have let go.
  static func wait(_ path: String) throws(SystemError) -> DirectoryLock {
    DirectoryLock(descriptor: try open(path, LOCK_EX))
  }

  /// `nil` if another one holds it.
  package static func attempt(_ path: String) throws(SystemError) -> DirectoryLock? {
    let descriptor = try open(path, LOCK_EX | LOCK_NB)
    return descriptor < 0 ? nil : DirectoryLock(descriptor: descriptor)
  }

  /// The locked directory, or -1 if another one holds it and this was not to wait.
  private static func open(_ path: String, _ operation: CInt) throws(SystemError) -> CInt {
    let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Files.failure("open \(path)") }
    while flock(descriptor, operation) != 0 {
      let code = errno
      if code == EINTR { continue }
      close(descriptor)
      if code == EWOULDBLOCK { return -1 }
      throw SystemError("lock \(path)", result: -code)
    }
    return descriptor
  }
}
