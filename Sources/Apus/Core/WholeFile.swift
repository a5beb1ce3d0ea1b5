import Glibc

/// Writes a file as a whole: readers see the old content or the new, and nobody else's eyes see it on the way.
public enum WholeFile {
  /// By a temporary file beside it, synced, and a rename. Any thread.
  public static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(SystemError) {
    let temporary = "\(path).\(getpid()).tmp"
    unlink(temporary)
    let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard file >= 0 else { throw SystemError("write \(path)", result: -errno) }
    var code: CInt = 0
    bytes.withUnsafeBytes { bytes in
      var offset = 0
      while offset < bytes.count, code == 0 {
        let written = Glibc.write(file, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
        if written >= 0 { offset += written } else if errno != EINTR { code = errno }
      }
    }
    if code == 0, fsync(file) != 0 { code = errno }
    if close(file) != 0, code == 0 { code = errno }
    if code == 0, rename(temporary, path) != 0 { code = errno }
    guard code == 0 else {
      unlink(temporary)
      throw SystemError("write \(path)", result: -code)
    }
  }
}
