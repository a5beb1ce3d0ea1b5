import Apus
import ApusHost
import Glibc

/// Makes a release: in a directory beside its place, synced, and then renamed into it. A release is therefore there
/// as a whole or not at all, whenever the packing process ends.
public struct ReleasePacking: Sendable {
  public enum Program: Sendable {
    /// This file, which may be a link.
    case file(String)
    /// That of another release of the same root: the new one is of a configuration alone.
    case base(String)
  }

  /// What has been done; for tests that end the process there.
  public enum Step: CaseIterable, Sendable {
    case begun, configured, described, copied, sealed, verified, placed
  }

  public var root: ReleaseRoot
  public var name: String
  public var configurationPath: String
  public var program: Program
  public var note: String?

  public init(
    root: ReleaseRoot, name: String, configurationPath: String, program: Program, note: String? = nil
  ) {
    self.root = root
    self.name = name
    self.configurationPath = configurationPath
    self.program = program
    self.note = note
  }

  /// - Parameter describe: What the program at the first path says of itself and of the configuration at the second,
  ///   which it refuses with a `ReleaseError` if that is wrong.
  public func run(
    describe: (_ program: String, _ configuration: String) throws(ReleaseError) -> ReleaseSubject,
    step: (Step) -> Void = { _ in }
  ) throws(ReleaseError) -> Release {
    try Self.check(name: name)
    let text: String
    do {
      text = try ConfigurationFile.content(of: configurationPath)
    } catch {
      throw ReleaseError(.configuration, error.description)
    }
    if let problem = SecretScan.problem(text) {
      throw ReleaseError(.configuration, "\(configurationPath): \(problem)")
    }
    let base = try baseRelease()
    do {
      return try run(Array(text.utf8), base, describe, step)
    } catch let error as ReleaseError {
      throw error
    } catch let error as SystemError {
      throw ReleaseError(.unwritable, error)
    } catch {
      throw ReleaseError(.unwritable, "\(error)")
    }
  }

  private func run(
    _ configuration: [UInt8], _ base: Release?, _ describe: (String, String) throws(ReleaseError) -> ReleaseSubject,
    _ step: (Step) -> Void
  ) throws -> Release {
    let place = "\(root.path)/\(name)"
    let (staging, lock) = try begin(place)
    // Held until the end: while it is, nobody takes the directory for one that was left.
    defer { withExtendedLifetime(lock) {} }
    var isPlaced = false
    defer { if !isPlaced { Files.removeDirectory(staging) } }
    step(.begun)

    let configurationCopy = "\(staging)/\(ReleaseManifest.configurationName)"
    try Files.write(configuration, to: configurationCopy, mode: 0o644)
    step(.configured)
    var source = base?.programPath ?? ""
    if case .file(let path) = program { source = path }
    let subject = try describe(source, configurationCopy)
    step(.described)

    if let base {
      for file in base.manifest.program.keys { try Self.link("\(base.directory)/\(file)", to: "\(staging)/\(file)") }
    } else {
      try Self.copyProgram(source, to: "\(staging)/\(ReleaseManifest.programName)")
      for library in subject.libraries {
        let file = library.split(separator: "/").last ?? ""
        try Files.copy(library, to: "\(staging)/\(file)", mode: 0o644)
      }
    }
    if subject.build.revision != "unknown" {
      // Where the program looks for it, wherever it lies.
      try Files.write(
        Array("\(subject.build.revision)\n".utf8), to: "\(staging)/\(ReleaseManifest.revisionName)", mode: 0o644)
    }
    step(.copied)

    let manifest = ReleaseManifest(
      name: name, createdAt: WallTime.now(), subject: subject, base: base?.manifest.name, note: note,
      files: try Self.files(in: staging))
    try manifest.write(to: staging, by: "\(staging)/.manifest.new")
    step(.sealed)

    let problems = try Release(directory: staging).problems(named: name)
    guard problems.isEmpty else {
      throw ReleaseError(
        .damaged, "what was packed is not what was read: \(problems.map(\.description).joined(separator: "; "))")
    }
    step(.verified)
    let rootLock = try DirectoryLock.wait(root.path)
    defer { withExtendedLifetime(rootLock) {} }
    try refuseTaken(place)
    guard rename(staging, place) == 0 else { throw Files.failure("move the release to \(place)") }
    isPlaced = true
    try Files.syncDirectory(root.path)
    step(.placed)
    return try Release(directory: place)
  }

  // MARK: - Pieces

  static func check(name: String) throws(ReleaseError) {
    let isGood =
      (1...64).contains(name.utf8.count) && name.utf8.first != UInt8(ascii: ".")
      && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
      && ![ReleaseRoot.currentName, ReleaseRoot.auditName, ReleaseRoot.rolloutName].contains(name)
    guard isGood else {
      throw ReleaseError(
        .arguments,
        "a release cannot be called \(ShownText.of(name)): give it 1 to 64 of A-Z a-z 0-9 - _ . that do not begin with a "
          + "point, and none of \(ReleaseRoot.currentName), \(ReleaseRoot.auditName) and \(ReleaseRoot.rolloutName)")
    }
  }

  private func baseRelease() throws(ReleaseError) -> Release? {
    guard case .base(let name) = program else { return nil }
    let release = try root.release(name)
    try release.check()
    return release
  }

  /// The root, made if missing, without what killed packers left, and a new directory in it.
  private func begin(_ place: String) throws -> (String, DirectoryLockBox) {
    guard mkdir(root.path, 0o755) == 0 || errno == EEXIST else {
      throw Files.failure("make the directory \(root.path)")
    }
    let rootLock = try DirectoryLock.wait(root.path)
    defer { withExtendedLifetime(rootLock) {} }
    try refuseTaken(place)
    for left in HostTree().names(in: root.path) where left.hasPrefix(".") && left.hasSuffix(Self.stagingSuffix) {
      let path = "\(root.path)/\(left)"
      if let lock = try? DirectoryLock.attempt(path) {
        Files.removeDirectory(path)
        withExtendedLifetime(lock) {}
      }
    }
    // Several threads may pack under one name; one of them will be refused at the end.
    var staging = ""
    for number in 0... {
      staging = "\(root.path)/.\(name).\(getpid()).\(number)\(Self.stagingSuffix)"
      if mkdir(staging, 0o755) == 0 { break }
      guard errno == EEXIST else { throw Files.failure("make the directory \(staging)") }
    }
    return (staging, DirectoryLockBox(try DirectoryLock.wait(staging)))
  }

  static let stagingSuffix = ".packing"

  private func refuseTaken(_ place: String) throws(ReleaseError) {
    var status = stat()
    guard lstat(place, &status) != 0 else {
      throw ReleaseError(
        .unwritable, "\(place) is there already: a release is never changed, choose another name for this one")
    }
  }

  private static func copyProgram(_ source: String, to path: String) throws {
    guard access(source, X_OK) == 0 else {
      throw ReleaseError(.unreadable, "\(source) is not a program that can be run: \(String(cString: strerror(errno)))")
    }
    try Files.copy(source, to: path, mode: 0o755)
  }

  /// A second name for the same file costs no space; a copy where the file system has none, or the file is somebody
  /// else's.
  private static func link(_ source: String, to path: String) throws(SystemError) {
    if Glibc.link(source, path) == 0 { return }
    try Files.copy(source, to: path, mode: access(source, X_OK) == 0 ? 0o755 : 0o644)
  }

  private static func files(in directory: String) throws -> [ReleaseManifest.File] {
    try HostTree().names(in: directory).map { name in
      let path = "\(directory)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0 else { throw Files.failure("read \(path)") }
      return ReleaseManifest.File(
        name: name, bytes: Int(status.st_size), sha256: try SHA256.text(ofFile: path),
        isExecutable: name == ReleaseManifest.programName)
    }
  }
}

/// Lets a lock be part of a tuple.
private final class DirectoryLockBox {
  private let lock: DirectoryLock
  init(_ lock: consuming DirectoryLock) { self.lock = lock }
}
