public import Apus
public import ApusHost
import FoundationEssentials
import Glibc

/// What a release is: `manifest.json` in its directory. Written once, but for the passes, which are added to it.
public struct ReleaseManifest: Codable, Equatable, Sendable {
  /// One file of the release; the manifest itself is not among them.
  public struct File: Codable, Equatable, Sendable {
    public var name: String
    public var bytes: Int
    /// 64 hexadecimal digits.
    public var sha256: String
    public var isExecutable: Bool
  }

  /// A run that went well enough for the next mode.
  public struct Pass: Codable, Equatable, Sendable {
    public var mode: EngineMode
    /// UTC, RFC 3339; when the pass was recorded.
    public var at: String
    /// The boot epoch of the run, as `run.json` and the journal have it.
    public var run: UInt64
    /// How long it ran, whole seconds.
    public var seconds: Int
    /// Whether the engine's books were the venue's; absent where nobody has compared them.
    public var booksEqual: Bool?
    /// Of the report that says so.
    public var reportSha256: String
  }

  /// Of this file; a reader refuses another one.
  public var version = Self.newestVersion
  static let newestVersion = 1
  public var name: String
  /// UTC, RFC 3339.
  public var createdAt: String
  /// Of the program, in the words of `run.json`.
  public var build: Build
  public var engineName: String
  public var mode: EngineMode
  /// As in `run.json` and in reports: of the configuration with all defaults written out.
  public var configurationSha256: String
  /// Of the same without mode, addresses and keys; see `Configuration.forPromotion`.
  public var promotionSha256: String
  /// The release whose program this one has, if it was packed as a configuration alone.
  public var base: String?
  public var note: String?
  public var files: [File]
  public var passed: [Pass] = []
  /// SHA-256 of this file with nothing here: a manifest that was cut, or changed by hand, is noticed.
  public var checksum = ""

  public static let fileName = "manifest.json"
  static let programName = "apus"
  static let configurationName = "config.yaml"
  static let revisionName = "revision"

  /// Content of the files that decide what a release does beside its configuration, by their names.
  var program: [String: String] {
    var hashes: [String: String] = [:]
    for file in files where file.name != Self.configurationName && file.name != Self.revisionName {
      hashes[file.name] = file.sha256
    }
    return hashes
  }

  /// Of everything that the release does; passes, which are added later, do not change it.
  public var contentSha256: String {
    SHA256.text(of: files.map { "\($0.name) \($0.sha256)\n" }.sorted().joined())
  }

  // MARK: - Reading and writing

  /// The whole file, with its checksum.
  func text() throws -> String {
    var sealed = self
    sealed.checksum = ""
    sealed.checksum = SHA256.text(of: try sealed.encoded())
    return try sealed.encoded() + "\n"
  }

  /// Puts it in place as a whole.
  ///
  /// - Parameter temporary: A path on the same file system, and not in a finished release, where a file left by a
  ///   process that was killed would be one too many. Nobody else writes there meanwhile.
  func write(to directory: String, by temporary: String) throws(ReleaseError) {
    do {
      unlink(temporary)
      // Whoever may read the directory may read it: it holds no secrets.
      try Files.write(Array(text().utf8), to: temporary, mode: 0o644)
      guard rename(temporary, "\(directory)/\(Self.fileName)") == 0 else {
        throw Files.failure("write the manifest in \(directory)")
      }
      try Files.syncDirectory(directory)
    } catch let error as SystemError {
      throw ReleaseError(.unwritable, error)
    } catch {
      throw ReleaseError(.unwritable, "could not write the manifest in \(directory): \(error)")
    }
  }

  /// Of the release in `directory`.
  init(directory: String) throws(ReleaseError) {
    let path = "\(directory)/\(Self.fileName)"
    let bytes: [UInt8]
    do {
      bytes = try Files.read(path, limit: 1 << 20)
    } catch {
      throw ReleaseError(
        error.code == ENOENT ? .unreadable : .damaged, "\(directory) is not a release that can be read: \(error)")
    }
    try self.init(Data(bytes), path: path)
  }

  private init(_ data: Data, path: String) throws(ReleaseError) {
    struct Head: Decodable { var version: Int }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    if let head = try? decoder.decode(Head.self, from: data), head.version != Self.newestVersion {
      throw ReleaseError(
        .damaged,
        "\(path) has version \(head.version), but this program reads version \(Self.newestVersion): use the program that "
          + "packed it")
    }
    let sealed: String?
    do {
      self = try decoder.decode(Self.self, from: data)
      var open = self
      open.checksum = ""
      sealed = SHA256.text(of: try open.encoded())
    } catch {
      throw ReleaseError(
        .damaged, "\(path) is cut short or is no manifest of a release (\(data.count) bytes): pack the release anew")
    }
    guard sealed == checksum else {
      throw ReleaseError(
        .damaged, "\(path) was changed since it was written (its checksum does not fit): pack the release anew")
    }
  }

  private func encoded() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  init(
    name: String, createdAt: String, subject: ReleaseSubject, base: String?, note: String?, files: [File]
  ) {
    self.name = name
    self.createdAt = createdAt
    build = subject.build
    engineName = subject.engineName
    mode = subject.mode
    configurationSha256 = subject.configurationSha256
    promotionSha256 = subject.promotionSha256
    self.base = base
    self.note = note
    self.files = files
  }
}
