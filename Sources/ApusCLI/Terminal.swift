import Apus
import Glibc

/// A file that the command line could not read or write.
enum FileFailure: Error, CustomStringConvertible {
  case unreadable(path: String, code: Int32)
  case unwritable(path: String, code: Int32)

  var description: String {
    switch self {
    case .unreadable(let path, let code): "could not read \(path): \(String(cString: strerror(code)))"
    case .unwritable(let path, let code): "could not write \(path): \(String(cString: strerror(code)))"
    }
  }
}

/// Writes a line on standard output at once, whatever that is: a parent process may be waiting for it.
func say(_ line: String) { write(line + "\n", to: STDOUT_FILENO) }

/// Writes an error's sentence on standard error.
func complain(_ sentence: String) { write("Error: \(sentence)\n", to: STDERR_FILENO) }

private func write(_ text: String, to file: Int32) {
  var text = text
  text.withUTF8 { bytes in
    var offset = 0
    while offset < bytes.count {
      let written = Glibc.write(file, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
      if written >= 0 { offset += written } else if errno != EINTR { return }
    }
  }
}

/// Writes a file as a whole: readers see the old content or the new, and nobody else's eyes see it on the way.
func writeFile(_ bytes: [UInt8], to path: String, mode: mode_t) throws(FileFailure) {
  do {
    try WholeFile.write(bytes, to: path, mode: mode)
  } catch {
    throw .unwritable(path: path, code: error.code)
  }
}
