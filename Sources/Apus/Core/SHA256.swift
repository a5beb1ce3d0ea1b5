import CSupport
import Glibc

/// SHA-256, for telling contents apart. Cold; any thread.
package enum SHA256 {
  /// 64 hexadecimal digits.
  package static func text(of text: String) -> String {
    let bytes = Array(text.utf8)
    return bytes.withUnsafeBytes { Self.text(of: $0) }
  }

  /// Of a file's content, likewise. Read rather than mapped: a bad disk is an error and not a signal.
  package static func text(ofFile path: String) throws(SystemError) -> String {
    func failure() -> SystemError { SystemError("read \(path)", result: -errno) }
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw failure() }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw failure() }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw SystemError("read \(path)", result: -EINVAL, advice: "it is not a regular file")
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(status.st_size), alignment: 16)
    defer { buffer.deallocate() }
    var count = 0
    while count < buffer.count {
      let got = read(file, buffer.baseAddress! + count, buffer.count - count)
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw failure() }
      if got == 0 { break }
      count += got
    }
    let hash = text(of: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    // An empty one would make two files equal that were never compared.
    guard hash.count == 64 else {
      throw SystemError("hash \(path)", result: -EIO, advice: "the cryptographic library failed")
    }
    return hash
  }

  /// Of the file that this process runs; also after that was replaced or removed.
  package static func textOfThisProgram() throws(SystemError) -> String { try text(ofFile: "/proc/self/exe") }

  private static func text(of bytes: UnsafeRawBufferPointer) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65) { buffer in
      guard let out = buffer.baseAddress,
        apus_sha256_text(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, out) == 0
      else { return "" }
      return String(cString: out)
    }
  }
}
