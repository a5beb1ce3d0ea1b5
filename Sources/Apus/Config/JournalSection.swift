import CSupport

/// When what was recorded is forced to the disk.
public enum JournalSyncChoice: String, Codable, CaseIterable, Sendable {
  /// When the kernel thinks fit, about 30 s.
  case none
  /// Every `sync_interval_ms`.
  case interval
  /// At each turn of the helper's thread, about every 2 ms.
  case each
}

/// What quoting does when the journal cannot be written.
public enum JournalFailureChoice: String, Codable, CaseIterable, Sendable {
  case halt
  case `continue`
}

/// The journal's policies; `engine.journal` says whether there is one. See the DocC article "Journal".
public struct JournalSection: Codable, Equatable, Sendable {
  public var sync: JournalSyncChoice
  public var syncIntervalMs: Int
  /// Size of a segment's file.
  public var segmentMib: Int
  /// Segments of earlier runs that were last written longer ago are removed; 0: never.
  public var keepHours: Int
  /// The oldest segments are removed when all take more; 0: never.
  public var keepMib: Int
  /// With less free space than this quoting is halted; 0: no floor.
  public var minFreeMib: Int
  public var onFailure: JournalFailureChoice

  enum CodingKeys: String, CodingKey, CaseIterable {
    case sync
    case syncIntervalMs = "sync_interval_ms"
    case segmentMib = "segment_mib"
    case keepHours = "keep_hours"
    case keepMib = "keep_mib"
    case minFreeMib = "min_free_mib"
    case onFailure = "on_failure"
  }

  public init(
    sync: JournalSyncChoice = .interval, syncIntervalMs: Int = 1000, segmentMib: Int = 64, keepHours: Int = 0,
    keepMib: Int = 0, minFreeMib: Int = 256, onFailure: JournalFailureChoice = .halt
  ) {
    self.sync = sync
    self.syncIntervalMs = syncIntervalMs
    self.segmentMib = segmentMib
    self.keepHours = keepHours
    self.keepMib = keepMib
    self.minFreeMib = minFreeMib
    self.onFailure = onFailure
  }
}

extension Configuration {
  /// A configuration that an older version has written lacks sections.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let entries: [VenueEntry]
    if let venues = try container.decodeIfPresent([VenueEntry].self, forKey: .venues), !venues.isEmpty {
      entries = venues
    } else {
      entries = [
        VenueEntry(
          venue: try container.decode(VenueSection.self, forKey: .venue),
          instruments: try container.decode([InstrumentSection].self, forKey: .instruments))
      ]
    }
    self.init(
      version: try container.decode(Int.self, forKey: .version),
      engine: try container.decode(EngineSection.self, forKey: .engine), venue: entries[0].venue,
      instruments: entries[0].instruments,
      manager: try container.decode(ManagerSection.self, forKey: .manager),
      safety: try container.decode(SafetySection.self, forKey: .safety),
      watchdog: try container.decode(WatchdogSection.self, forKey: .watchdog),
      journal: try container.decodeIfPresent(JournalSection.self, forKey: .journal) ?? JournalSection(),
      moreVenues: Array(entries.dropFirst()),
      underlyings: try container.decodeIfPresent([UnderlyingSection].self, forKey: .underlyings) ?? [],
      shadow: try container.decodeIfPresent(ShadowSection.self, forKey: .shadow) ?? ShadowSection())
  }

  /// With the keys of a file.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(version, forKey: .version)
    try container.encode(engine, forKey: .engine)
    try container.encode(journal, forKey: .journal)
    if moreVenues.isEmpty {
      try container.encode(venue, forKey: .venue)
      try container.encode(instruments, forKey: .instruments)
    } else {
      try container.encode([VenueEntry(venue: venue, instruments: instruments)] + moreVenues, forKey: .venues)
    }
    try container.encode(manager, forKey: .manager)
    if !underlyings.isEmpty { try container.encode(underlyings, forKey: .underlyings) }
    try container.encode(safety, forKey: .safety)
    try container.encode(watchdog, forKey: .watchdog)
    try container.encode(shadow, forKey: .shadow)
  }
}

extension JournalConfiguration {
  init(_ section: JournalSection, bootEpoch: UInt64) {
    let sync: JournalSync =
      switch section.sync {
      case .none: .none
      case .interval: .interval
      case .each: .each
      }
    self.init(
      segmentBytes: section.segmentMib << 20, bootEpoch: bootEpoch, sync: sync,
      syncInterval: Nanoseconds(section.syncIntervalMs) * 1_000_000)
  }
}

extension JournalRetention {
  init(_ section: JournalSection) {
    self.init()
    keep_ns = Nanoseconds(section.keepHours) * 3_600_000_000_000
    keep_bytes = UInt64(section.keepMib) << 20
  }
}
