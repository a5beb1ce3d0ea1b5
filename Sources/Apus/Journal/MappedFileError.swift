import CSupport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Why a journal or a telemetry file could not be opened, in one sentence an operator can act on.
public struct MappedFileError: Error, Equatable, Sendable, CustomStringConvertible {
  public enum Cause: Equatable, Sendable {
    case fullDisk
    case fileSizeLimit
    case noPermission
    case readOnlyFileSystem
    case notADirectory
    case notFound
    /// Another process has it open for writing.
    case inUse
    case outOfMemory
    case invalidConfiguration(found: String, allowed: String)
    /// The file is of another version of the format.
    case otherVersion(found: UInt32, supported: UInt32)
    /// The file is something else, or damaged.
    case notThisFormat(found: String)
    /// Anything else that the system said: a value of `errno`.
    case system(Int32)
  }

  public let path: String
  /// What was being done, as in "open the journal".
  public let action: String
  public let cause: Cause

  public init(path: String, action: String, cause: Cause) {
    self.path = path
    self.action = action
    self.cause = cause
  }

  /// - Parameter code: `-errno`, as the C functions return it.
  init(path: String, action: String, code: Int32) {
    let cause: Cause =
      switch -code {
      case ENOSPC, EDQUOT: .fullDisk
      case EFBIG: .fileSizeLimit
      case EACCES, EPERM: .noPermission
      case EROFS: .readOnlyFileSystem
      case ENOTDIR: .notADirectory
      case ENOENT: .notFound
      case EBUSY: .inUse
      case ENOMEM: .outOfMemory
      default: .system(-code)
      }
    self.init(path: path, action: action, cause: cause)
  }

  public var description: String {
    "could not \(action) at \(path): \(explanation)"
  }

  private var explanation: String {
    switch cause {
    case .fullDisk:
      "the disk is full or over quota; free space there, or name a directory on another disk"
    case .fileSizeLimit:
      "the process may not make a file of that size; raise its limit (ulimit -f) or use smaller segments"
    case .noPermission:
      "permission was refused; give this user read and write access, or name a directory of its own"
    case .readOnlyFileSystem:
      "the file system is mounted read-only; name a directory on a writable one"
    case .notADirectory:
      "part of this path is a file, not a directory; name a directory"
    case .notFound:
      "there is no such file or directory; check the path, or create its parent directory"
    case .inUse:
      "another process is writing it; stop that process, or give this one a path of its own"
    case .outOfMemory:
      "there is not enough memory to map it; free memory, or use smaller segments"
    case .invalidConfiguration(let found, let allowed):
      "found \(found), allowed is \(allowed)"
    case .otherVersion(let found, let supported):
      "it has version \(found) of the format and this program knows version \(supported); use the program that wrote it"
    case .notThisFormat(let found):
      "\(found); name a file that this program wrote"
    case .system(let code):
      "the system said \"\(unsafe String(cString: strerror(code)))\" (errno \(code)); correct that and try again"
    }
  }
}
