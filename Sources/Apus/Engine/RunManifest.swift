import ApusHost
import CSupport
import FoundationEssentials
import Glibc

/// What a run was made of: program, host, configuration, venue. Written at each start as `run.json` in the data
/// directory, and kept as `runs/<boot epoch>.json` for the last 64 starts. Without secrets and without their whereabouts.
struct RunManifest: Codable, Sendable {
  struct Engine: Codable, Sendable {
    var name: String
    var mode: String
    var processID: Int32
    /// `nil`: the lane's thread is not pinned.
    var core: Int?
    var idle: String
    var driver: String
    /// Why it is not io_uring.
    var driverRefusal: String?
    var mayDumpCore: Bool
  }
  struct Venue: Codable, Sendable {
    var kind: String
    /// Without a query.
    var address: String
    var instruments: Int
    /// What the adapter makes use of.
    var capabilities: [String]
  }

  /// Of this file.
  var version = 1
  /// UTC, RFC 3339.
  var startedAt: String
  /// Names this start in the journal, too.
  var bootEpoch: UInt64
  var build = Build.current()
  /// The release that the program lies in.
  var release = Build.release
  /// SHA-256 of the configuration with all defaults written out, as `ConfigurationFile.text(of:)` gives it.
  var configurationSha256: String
  var engine: Engine
  var venue: Venue
  var host: HostExamination

  static let keptCount = 64

  /// - Parameter startedAt: ns since 1970.
  init(
    _ configuration: Configuration, bootEpoch: UInt64, startedAt: Nanoseconds, core: Int?, driver: SocketDriverKind,
    driverRefusal: String?
  ) {
    self.startedAt = WallTime.text(of: startedAt)
    self.bootEpoch = bootEpoch
    configurationSha256 = ConfigurationFile.sha256(of: configuration)
    engine = Engine(
      name: configuration.engine.name, mode: configuration.mode.rawValue, processID: getpid(), core: core,
      idle: configuration.engine.idle.rawValue,
      driver: driver == .ioUring ? "io_uring" : "epoll", driverRefusal: driverRefusal,
      mayDumpCore: apus_may_dump_core())
    venue = Venue(
      kind: configuration.venue.kind.rawValue, address: String(configuration.venue.url.prefix { $0 != "?" }),
      instruments: configuration.instruments.count, capabilities: configuration.venue.kind.capabilities)
    host = HostExaminer.current(core: core ?? (try? CPU.allowedCores())?.last ?? 0)
  }

  func json() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return Array(try encoder.encode(self)) + [0x0A]
  }

  /// Writes both files; what went wrong, for an operator, or `nil`. A run goes on without them.
  func write(to directory: String) -> String? {
    do {
      let bytes = try json()
      let runs = "\(directory)/runs"
      guard mkdir(runs, 0o700) == 0 || errno == EEXIST else {
        throw SystemError("make the directory \(runs)", result: -errno)
      }
      try WholeFile.write(bytes, to: "\(runs)/\(bootEpoch).json", mode: 0o600)
      try WholeFile.write(bytes, to: "\(directory)/run.json", mode: 0o600)
      Self.removeOld(in: runs)
      return nil
    } catch {
      return "no manifest of this run: \(error)"
    }
  }

  private static func removeOld(in runs: String) {
    let epochs = HostTree().names(in: runs).compactMap { name in
      name.hasSuffix(".json") ? UInt64(name.dropLast(".json".count)) : nil
    }
    for epoch in epochs.sorted().dropLast(keptCount) { unlink("\(runs)/\(epoch).json") }
  }
}

extension TelemetryReader {
  /// The release that the program of this start lay in, from the manifest that the start left beside the telemetry file.
  ///
  /// - Returns: `nil` if it lay in none, or there is no manifest that can be read.
  public func release(of bootEpoch: UInt64) -> String? {
    struct Part: Decodable { var release: String? }
    let directory = path.lastIndex(of: "/").map { path[..<$0] } ?? "."
    guard let data = FileManager.default.contents(atPath: "\(directory)/runs/\(bootEpoch).json") else { return nil }
    return (try? JSONDecoder().decode(Part.self, from: data))?.release
  }
}

extension VenueKind {
  /// What its adapter makes use of; words are stable.
  var capabilities: [String] {
    switch self {
    case .thalex:
      [
        "amend", "announced_closure", "cancel_on_disconnect", "cancel_session", "client_order_ids", "mass_quotes",
        "trade_history",
      ]
    case .bybit: ["amend", "dead_man_protection", "order_tags", "several_connections", "trade_history"]
    case .deribit: ["amend", "cancel_on_disconnect", "inverse_contracts", "mass_quotes", "order_tags", "trade_history"]
    }
  }
}
