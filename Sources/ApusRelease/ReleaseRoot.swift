import Apus
import ApusHost
import Glibc

/// A directory of releases, and the link `current` to one of them.
public struct ReleaseRoot: Equatable, Sendable {
  public let path: String

  static let currentName = "current"
  static let auditName = "audit.jsonl"
  /// Where a rollout keeps its state.
  public static let rolloutName = "rollout"

  public init(path: String) {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.path = path
  }

  /// What a switch has changed.
  public struct Switch: Equatable, Sendable {
    public var release: Release
    /// The current release before.
    public var from: String?
    /// The rule that was overridden, in a sentence.
    public var overridden: String?
  }

  /// One release of the list.
  public struct Entry: Equatable, Sendable {
    public var name: String
    public var isCurrent: Bool
    /// `nil` if it cannot be read.
    public var manifest: ReleaseManifest?
    public var problem: String?
    /// Switches to it, and rollouts of it, against a rule.
    public var overrides: [AuditLine]
  }

  var audit: ReleaseAudit { ReleaseAudit(path: "\(path)/\(Self.auditName)") }

  public func release(_ name: String) throws(ReleaseError) -> Release {
    try ReleasePacking.check(name: name)
    return try Release(directory: "\(path)/\(name)")
  }

  /// The name that `current` leads to; `nil` if there is none.
  public var current: String? {
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = buffer.withUnsafeMutableBytes { bytes in
      bytes.withMemoryRebound(to: CChar.self) { readlink("\(path)/\(Self.currentName)", $0.baseAddress!, $0.count) }
    }
    guard count > 0, count < buffer.count else { return nil }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }

  /// Newest last. Manifests are read, files are not: that is what `Release.problems` is for.
  public func list() throws(ReleaseError) -> [Entry] {
    try checkIsThere()
    let overrides = Dictionary(grouping: try audit.lines().filter { $0.overridden != nil }, by: \.release)
    let current = current
    let entries = directories().map { name in
      var entry = Entry(
        name: name, isCurrent: name == current, manifest: nil, problem: nil, overrides: overrides[name] ?? [])
      do throws(ReleaseError) {
        entry.manifest = try Release(directory: "\(path)/\(name)").manifest
      } catch {
        entry.problem = error.description
      }
      return entry
    }
    return entries.sorted { ($0.manifest?.createdAt ?? "", $0.name) < ($1.manifest?.createdAt ?? "", $1.name) }
  }

  /// Makes a release the current one, in one atomic step, after it was verified.
  ///
  /// - Parameters:
  ///   - reason: Why the promotion rule need not hold; it is audited. `nil`: it must.
  ///   - live: Gives the running engine the release's parameters; called when nothing else stands in the way, of a release
  ///     that has the current one's program. Where it throws nothing is switched.
  public func use(
    _ name: String, override reason: String? = nil, live: ((Release) throws(ReleaseError) -> Void)? = nil
  ) throws(ReleaseError) -> Switch {
    let lock = try lock()
    defer { withExtendedLifetime(lock) {} }
    let release = try release(name)
    try release.check()
    let from = current
    guard from != name else {
      try live?(release)
      return Switch(release: release, from: from)
    }
    let broken = PromotionRule.problem(release.manifest, among: directories().compactMap { manifest($0) })
    if let broken, reason == nil {
      throw ReleaseError(.notPermitted, "\(broken); or say why it need not: --override REASON")
    }
    try adopt(release, over: from, live)
    try change(
      to: name,
      AuditLine(
        at: WallTime.now(), user: AuditLine.currentUser(), what: .use, release: name, mode: release.manifest.mode,
        from: from, why: broken == nil ? nil : reason, overridden: broken))
    return Switch(release: release, from: from, overridden: broken)
  }

  /// Makes the release current that was so before. Asks for no passes: what was let in once may return.
  ///
  /// - Parameter live: As for `use`.
  public func back(live: ((Release) throws(ReleaseError) -> Void)? = nil) throws(ReleaseError) -> Switch {
    let lock = try lock()
    defer { withExtendedLifetime(lock) {} }
    let from = current
    guard let name = ReleaseAudit.before(from, try audit.lines()).last else {
      throw ReleaseError(
        .unreadable,
        "there is no release before \(from ?? "the first"), by \(audit.path): choose one with apus release use")
    }
    let release = try release(name)
    try release.check()
    try adopt(release, over: from, live)
    try change(
      to: name,
      AuditLine(
        at: WallTime.now(), user: AuditLine.currentUser(), what: .back, release: name, mode: release.manifest.mode,
        from: from))
    return Switch(release: release, from: from)
  }

  /// The rule that forbids to make a release the current one, in a sentence; `nil`: none does.
  public func promotionProblem(of release: Release) -> String? {
    PromotionRule.problem(release.manifest, among: directories().compactMap { manifest($0) })
  }

  /// Keeps that a release is rolled out although a rule forbids it.
  public func noteRollout(of release: Release, why: String, overridden: String) throws(ReleaseError) {
    try audit.append(
      AuditLine(
        at: WallTime.now(), user: AuditLine.currentUser(), what: .rollout, release: release.manifest.name,
        mode: release.manifest.mode, from: current, why: why, overridden: overridden))
  }

  // MARK: - Pieces

  /// A release of configuration alone is taken over by the engine that runs.
  private func adopt(
    _ release: Release, over current: String?, _ live: ((Release) throws(ReleaseError) -> Void)?
  ) throws(ReleaseError) {
    guard let live else { return }
    guard let current else {
      throw ReleaseError(
        .unreadable, "no release is current in \(path), so it is not known what runs: switch without --live first")
    }
    guard let before = manifest(current), before.program == release.manifest.program else {
      throw ReleaseError(
        .needsRestart,
        "\(release.manifest.name) has another program than \(current): switch without --live and restart, or "
          + "roll it out with apus rollout")
    }
    try live(release)
  }

  private func change(to name: String, _ line: AuditLine) throws(ReleaseError) {
    let link = "\(path)/\(Self.currentName)"
    var status = stat()
    if lstat(link, &status) == 0, status.st_mode & S_IFMT != S_IFLNK {
      throw ReleaseError(.unwritable, "\(link) is not a link: move it away, it is for the current release")
    }
    // First the record: a switch that nobody knows of is worse than a record without a switch, which is recognised.
    try audit.append(line)
    let temporary = "\(path)/.\(Self.currentName).new"
    unlink(temporary)
    guard symlink(name, temporary) == 0, rename(temporary, link) == 0 else {
      throw ReleaseError(.unwritable, Files.failure("switch \(link) to \(name)"))
    }
    do {
      try Files.syncDirectory(path)
    } catch {
      throw ReleaseError(.unwritable, error)
    }
  }

  func lock() throws(ReleaseError) -> DirectoryLock {
    try checkIsThere()
    do {
      return try DirectoryLock.wait(path)
    } catch {
      throw ReleaseError(.unwritable, error)
    }
  }

  private func checkIsThere() throws(ReleaseError) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw ReleaseError(.unreadable, Files.failure("read the releases in \(path)"))
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw ReleaseError(.unreadable, "\(path) is not a directory of releases")
    }
  }

  private func directories() -> [String] {
    HostTree().names(in: path).filter { name in
      var status = stat()
      return !name.hasPrefix(".") && name != Self.rolloutName && lstat("\(path)/\(name)", &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
  }

  private func manifest(_ name: String) -> ReleaseManifest? { (try? Release(directory: "\(path)/\(name)"))?.manifest }
}
