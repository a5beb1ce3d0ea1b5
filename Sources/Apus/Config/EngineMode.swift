/// What is at stake in a run. The same code trades in all of them.
public enum EngineMode: String, Codable, CaseIterable, Sendable {
  /// Simulated venues on this machine.
  case simulated
  /// The live market of a real venue, and orders that never leave this process: a simulated venue stands in.
  case shadow
  /// A venue's test network: real connections, play money.
  case testnet
  /// Real money.
  case production

  /// The mode that a release has to have passed before this one.
  public var predecessor: EngineMode? {
    switch self {
    case .simulated: nil
    case .shadow: .simulated
    case .testnet: .shadow
    case .production: .testnet
    }
  }
}

/// What is known of a venue's address by its host's name.
enum VenueHost: Sendable {
  case loopback
  case test
  case production
  case unknown

  init(_ host: String) {
    let host = host.lowercased()
    if host == "localhost" || host == "::1" || Self.isIPv4Loopback(host) {
      self = .loopback
    } else if Self.testHosts.contains(host) {
      self = .test
    } else if Self.productionHosts.contains(host) || Self.productionPrefixes.contains(where: host.hasPrefix) {
      self = .production
    } else {
      self = .unknown
    }
  }

  /// The mode that this host alone leaves no doubt about.
  var impliedMode: EngineMode? {
    switch self {
    case .loopback: .simulated
    case .test: .testnet
    case .production, .unknown: nil
    }
  }

  func fits(_ mode: EngineMode) -> Bool {
    switch (self, mode) {
    // Nothing that could trade is sent there, whoever it is.
    case (_, .shadow): true
    case (.unknown, .testnet), (.unknown, .production): true
    case (.production, .production): true
    default: impliedMode == mode
    }
  }

  /// For messages: what such a host is.
  var meaning: String {
    switch self {
    case .loopback: "this machine"
    case .test: "a venue's test network"
    case .production: "a venue's production"
    case .unknown: "neither this machine nor a known test network"
    }
  }

  /// 127.0.0.0/8 (RFC 1122, section 3.2.1.3). Four numbers: a name such as 127.example.com may lead anywhere.
  private static func isIPv4Loopback(_ host: String) -> Bool {
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }

  /// Thalex: docs, Getting Started; Deribit: docs, Overview; Bybit: V5, Integration Guidance and WebSocket Connect.
  private static let testHosts: Set = [
    "testnet.thalex.com", "test.deribit.com", "api-testnet.bybit.com", "stream-testnet.bybit.com",
  ]
  private static let productionHosts: Set = ["thalex.com", "www.thalex.com", "deribit.com", "www.deribit.com"]
  /// Bybit has hosts of these names in several countries.
  private static let productionPrefixes = [
    "api.bybit.", "stream.bybit.", "api.bytick.", "stream.bytick.", "api.bybitgeorgia.", "stream.bybitgeorgia.",
  ]
}

extension Configuration {
  /// As given, or as the first venue's address says. The worst case of a configuration that was not read from a file,
  /// where neither says it: production.
  public var mode: EngineMode {
    if let mode = engine.mode { return mode }
    return VenueAddress(venue.url).flatMap { VenueHost($0.host).impliedMode } ?? .production
  }
}

extension ConfigurationChecks {
  /// What `engine.mode` says, or leaves to be read off, must be true of each address that the engine talks to.
  mutating func checkMode(_ configuration: Configuration, venuePaths: [String]) {
    guard places["engine.mode"] != nil || given["engine.mode"] == nil else { return }
    var first: (mode: EngineMode, path: String)?
    for (path, venue) in zip(venuePaths, configuration.lanes.map(\.venue)) {
      let addresses = [
        ("\(path).url", VenueAddress(venue.url)), ("\(path).rest_url", venue.restURL.flatMap(VenueAddress.init(rest:))),
      ]
      for (key, address) in addresses {
        guard let place = places[key], let address else { continue }
        let host = VenueHost(address.host)
        let found = "is on \(ShownText.of(address.host)), which is \(host.meaning)"
        if let mode = configuration.engine.mode {
          guard !host.fits(mode) else { continue }
          let line = places["engine.mode"].map { " on line \($0.line)" } ?? ""
          report(
            place, key,
            "\(found), but engine.mode\(line) is \(mode.rawValue), \(Self.demand(mode)): change the address or the mode"
          )
        } else if let implied = host.impliedMode {
          if let first, first.mode != implied {
            report(
              place, key,
              "\(found), but \(first.path) makes the engine's mode \(first.mode.rawValue): all venues of an engine "
                + "have one mode, give the other to a second engine")
          }
          first = first ?? (implied, key)
        } else {
          report(
            place, key,
            "\(found): give engine.mode, \(EngineMode.shadow.rawValue), \(EngineMode.testnet.rawValue) or "
              + EngineMode.production.rawValue)
        }
      }
    }
  }

  private static func demand(_ mode: EngineMode) -> String {
    switch mode {
    case .simulated: "which is for addresses of this machine alone"
    case .shadow: "which takes every address"
    case .testnet: "which is for test networks alone"
    case .production: "which is for neither this machine nor test networks"
    }
  }
}
