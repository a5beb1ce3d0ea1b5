public import Apus
public import ApusHost
import Glibc

/// What a program says of itself and of a configuration. Asked of the very program that a release will run: another
/// version of it may know other keys and other defaults.
public struct ReleaseSubject: Codable, Equatable, Sendable {
  public var build: Build
  /// Libraries that come with the program and not with the system, which a release therefore takes along; paths.
  public var libraries: [String]
  public var engineName: String
  public var mode: EngineMode
  public var configurationSha256: String
  public var promotionSha256: String

  /// Of the program that asks.
  public init(_ configuration: Configuration, libraries: [String] = Self.ownLibraries()) {
    build = Build.current()
    self.libraries = libraries
    engineName = configuration.engine.name
    mode = configuration.mode
    configurationSha256 = ConfigurationFile.sha256(of: configuration)
    promotionSha256 = ConfigurationFile.sha256(of: configuration.forPromotion)
  }

  /// Mapped libraries that lie beside this program, or are the toolchain's Swift runtime.
  public static func ownLibraries() -> [String] {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    guard realpath("/proc/self/exe", &path) != nil,
      let maps = try? Files.read("/proc/self/maps", limit: 16 << 20)
    else { return [] }
    let program = String(decoding: path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let folder = program[...(program.lastIndex(of: "/") ?? program.startIndex)]
    var libraries: Set<String> = []
    for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") {
      guard let slash = line.firstIndex(of: "/") else { continue }
      let file = line[slash...]
      let isOwn = file.hasPrefix(folder) && !file.dropFirst(folder.count).contains("/")
      if isOwn || file.contains("/swift/linux/"), file.contains(".so") { libraries.insert(String(file)) }
    }
    return libraries.sorted()
  }
}

extension Configuration {
  /// What must be equal for a pass in one mode to count for the next: everything but the mode, the data directory, the
  /// section `shadow`, and of each venue `url`, `rest_url`, `ca_file`, `key_id`, `private_key_file`, `private_key_env` and `account`.
  var forPromotion: Configuration {
    func stripped(_ venue: VenueSection) -> VenueSection {
      var venue = venue
      venue.url = ""
      venue.restURL = nil
      venue.caFile = nil
      venue.keyID = ""
      venue.privateKeyFile = nil
      venue.privateKeyEnv = nil
      venue.account = nil
      return venue
    }
    var same = self
    same.engine.mode = nil
    same.engine.dataDirectory = ""
    same.shadow = ShadowSection()
    same.venue = stripped(venue)
    for index in same.moreVenues.indices { same.moreVenues[index].venue = stripped(moreVenues[index].venue) }
    return same
  }
}
