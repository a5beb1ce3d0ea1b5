import CSupport
import FoundationEssentials

extension StopLevel: @retroactive Codable {}
extension QtyLots: @retroactive Codable {}

/// How a lane was set up: the first record of each run. Without secrets.
struct RunDescription: Codable, Sendable {
  /// Of this object; a reader refuses a newer one.
  var version = Self.newestVersion
  static let newestVersion = 2

  enum Strategy: String, Codable, Sendable {
    /// The strategies of `configuration`, on the grid of each instrument.
    case configuredLadders
    /// Those of `ladders`.
    case ladders
    /// The program's own.
    case own
  }
  var strategy: Strategy
  var settings: LaneSettings
  /// One for each instrument of the settings.
  var ladders: [LadderParameters]?
  var configuration: Configuration?
  /// What the program's own strategies were told that the instruments are called; `nil`: as the venue calls them.
  var strategyNames: [String]?

  init(settings: LaneSettings, ladders: [LadderParameters]) {
    strategy = .ladders
    self.settings = Self.withoutQuery(settings)
    self.ladders = ladders
  }

  /// - Parameter names: of the instruments, as the strategies are told; `nil`: as the venue calls them.
  init(settings: LaneSettings, configuration: Configuration, isConfigured: Bool, names: [String]? = nil) {
    strategy = isConfigured ? .configuredLadders : .own
    self.settings = Self.withoutQuery(settings)
    if !isConfigured, let names, names != settings.instruments.map(\.name) { strategyNames = names }
    var shown = configuration
    // Where credentials are is nobody's business who only reads a journal.
    shown.venue.url = String(shown.venue.url.prefix { $0 != "?" })
    shown.venue.keyID = Self.hidden
    if shown.venue.privateKeyFile != nil { shown.venue.privateKeyFile = Self.hidden }
    if shown.venue.privateKeyEnv != nil { shown.venue.privateKeyEnv = Self.hidden }
    self.configuration = shown
  }

  private static let hidden = "not recorded"

  /// The query of a path may hold a secret, and only the upgrade request needs it.
  static func withoutQuery(_ settings: LaneSettings) -> LaneSettings {
    var settings = settings
    settings.path = String(settings.path.prefix { $0 != "?" })
    return settings
  }

  func text() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  /// - Throws: a sentence for people.
  init(text: UnsafeRawBufferPointer) throws(ReplayError) {
    struct Head: Decodable { var version: Int }
    let data = Data(text)
    let head = try? JSONDecoder().decode(Head.self, from: data)
    if let head, head.version > Self.newestVersion {
      throw ReplayError(
        "the run is described in version \(head.version) and this program knows \(Self.newestVersion); use a newer one")
    }
    if RecordingDescription(text: text) != nil {
      throw ReplayError("it is a recording of a venue's public stream, in which no lane has decided anything")
    }
    do {
      self = try JSONDecoder().decode(Self.self, from: data)
    } catch {
      throw ReplayError("the description of the run cannot be read: \(error)")
    }
    guard version == Self.newestVersion else {
      throw ReplayError("the run was recorded by an older version of this program; only that one can repeat it")
    }
    if strategy == .ladders, ladders?.count != settings.instruments.count {
      throw ReplayError("the description of the run has not one ladder for each instrument")
    }
    if let strategyNames, strategyNames.count != settings.instruments.count {
      throw ReplayError("the description of the run has not one name for each instrument")
    }
    if strategy == .configuredLadders, configuration?.instruments.count != settings.instruments.count {
      throw ReplayError("the configuration of the run and its settings have different instruments")
    }
  }

  /// Makes the strategies of this run; `nil` if only the program that ran it can, and none are given.
  ///
  /// - Parameter own: of this program, for a run that was quoted by such.
  func makeStrategy(own: StrategyMaking?) -> StrategyMaking? {
    switch strategy {
    case .configuredLadders:
      guard let sections = configuration?.instruments else { return nil }
      return StrategyMaking(StrategyMaker(sections))
    case .ladders:
      guard let ladders else { return nil }
      return StrategyMaking { index, _, _ in StrategyBox(LadderStrategy(ladders[Int(index)])) }
    case .own: return own?.named(strategyNames ?? settings.instruments.map(\.name))
    }
  }
}

/// Why a journal cannot be replayed; one sentence for people.
public struct ReplayError: Error, Sendable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
