import Foundation
import Glibc

/// Where a demonstration keeps what its processes write.
enum WorkingDirectory {
  /// The directory that was asked for, made if missing, or a new temporary one; for its owner alone.
  ///
  /// - Throws: an exit with a sentence.
  static func make(_ directory: String?, prefix: String) throws -> String {
    if let directory {
      do {
        try FileManager.default.createDirectory(
          atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      } catch {
        throw Exit.fail(Exit.system, "cannot make the directory \(directory): \(error.localizedDescription)")
      }
      return directory
    }
    var template = Array("\(NSTemporaryDirectory())/\(prefix)-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw Exit.fail(
        Exit.system, "cannot make a temporary directory: \(String(cString: strerror(errno))); give one with --directory"
      )
    }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
