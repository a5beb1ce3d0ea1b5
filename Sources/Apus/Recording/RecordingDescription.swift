import FoundationEssentials

/// What was recorded: the first record of each run of a recording.
public struct RecordingDescription: Codable, Equatable, Sendable {
  /// Tells a recording from a lane's run.
  public var recording = Self.newestVersion
  static let newestVersion = 1
  /// Without its query, which may hold a secret.
  public var url: String
  public var instruments: [String]
  public var channels: [String]

  public init(url: String, instruments: [String], levels: String) {
    self.url = String(url.prefix { $0 != "?" })
    self.instruments = instruments
    channels =
      ["instruments"]
      + instruments.flatMap { ["ticker.\($0).raw", Self.bookChannel($0, levels), "recent_trades.\($0).single"] }
  }

  static func bookChannel(_ instrument: String, _ levels: String) -> String { "book.\(instrument).none.\(levels).raw" }

  /// Levels a side that the books were asked for; `nil`: all.
  public var levels: Int? {
    guard let instrument = instruments.first else { return nil }
    let prefix = "book.\(instrument).none."
    let channel = channels.first { $0.hasPrefix(prefix) }
    return channel.flatMap { Int($0.dropFirst(prefix.count).prefix { $0 != "." }) }
  }

  /// `nil` if a run is not a recording.
  public init?(text: some Collection<UInt8>) {
    guard let found = try? JSONDecoder().decode(Self.self, from: Data(text)), found.recording <= Self.newestVersion
    else { return nil }
    self = found
  }

  func text() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}
