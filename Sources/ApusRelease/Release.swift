import Apus
import ApusHost
import Glibc

/// A directory with a program, its configuration, and the manifest that says what they are.
public struct Release: Equatable, Sendable {
  public let directory: String
  public let manifest: ReleaseManifest

  /// Reads the manifest; the files are looked at by `problems`.
  public init(directory: String) throws(ReleaseError) {
    self.directory = directory
    manifest = try ReleaseManifest(directory: directory)
  }

  public var programPath: String { "\(directory)/\(ReleaseManifest.programName)" }
  public var configurationPath: String { "\(directory)/\(ReleaseManifest.configurationName)" }

  /// One way in which a release is not what its manifest says.
  public struct Problem: Equatable, Sendable, CustomStringConvertible {
    public var file: String
    public var description: String

    init(_ file: String, _ what: String) {
      self.file = file
      description = "\(file) \(what)"
    }
  }

  /// Everything that is missing, extra, changed or not executable; empty if nothing is. Reads all files.
  public func problems() -> [Problem] { problems(named: directoryName) }

  /// - Parameter name: What the directory is, or will be, called.
  func problems(named name: String) -> [Problem] {
    var problems: [Problem] = []
    if manifest.name != name {
      problems.append(Problem(ReleaseManifest.fileName, "is of the release \(manifest.name), but lies in \(name)"))
    }
    for file in manifest.files {
      let path = "\(directory)/\(file.name)"
      var status = stat()
      guard lstat(path, &status) == 0 else {
        problems.append(Problem(file.name, errno == ENOENT ? "is missing" : "cannot be read: \(Self.reason)"))
        continue
      }
      guard status.st_mode & S_IFMT == S_IFREG else {
        problems.append(Problem(file.name, "is not a regular file"))
        continue
      }
      if Int(status.st_size) != file.bytes {
        problems.append(Problem(file.name, "was changed: it has \(status.st_size) bytes and had \(file.bytes)"))
      } else {
        do {
          if try SHA256.text(ofFile: path) != file.sha256 {
            problems.append(Problem(file.name, "was changed: its SHA-256 is another one"))
          }
        } catch {
          problems.append(Problem(file.name, "cannot be read: \(error)"))
        }
      }
      if file.isExecutable, status.st_mode & 0o111 == 0 { problems.append(Problem(file.name, "is not executable")) }
    }
    let known = Set(manifest.files.map(\.name) + [ReleaseManifest.fileName])
    for file in HostTree().names(in: directory) where !known.contains(file) {
      problems.append(Problem(file, "is extra: the manifest does not know it"))
    }
    return problems
  }

  /// - Throws: all problems in one sentence, if there are any.
  func check() throws(ReleaseError) {
    let problems = problems()
    guard problems.isEmpty else {
      throw ReleaseError(
        .damaged,
        "the release \(directory) is damaged: \(problems.map(\.description).joined(separator: "; ")); pack it anew")
    }
  }

  /// As the file system has it, through links.
  private var directoryName: String {
    guard let path = realpath(directory, nil) else { return manifest.name }
    defer { free(path) }
    return String(String(cString: path).split(separator: "/").last ?? "")
  }

  private static var reason: String { String(cString: strerror(errno)) }
}
