import CSupport
import Glibc

/// SHA-256, for telling contents apart. Cold; any thread.
package enum SHA256 {
  /// 64 hexadecimal digits.
  package static func text(of text: String) -> String {
    let bytes = Array(text.utf8)
    return bytes.withUnsafeBytes { Self.text(of: $0) }
  }

  /// Of a file's content, likewise; the file is mapped, not copied.
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
    let count = Int(status.st_size)
    guard count > 0 else { return text(of: "") }
    guard let start = mmap(nil, count, PROT_READ, MAP_PRIVATE, file, 0), start != MAP_FAILED else { throw failure() }
    defer { munmap(start, count) }
    return text(of: UnsafeRawBufferPointer(start: start, count: count))
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
