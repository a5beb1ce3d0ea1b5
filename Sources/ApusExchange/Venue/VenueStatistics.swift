/// What a venue has counted since its start.
public struct VenueStatistics: Codable, Sendable, Equatable {
  /// Text messages in.
  public var received: UInt64 = 0
  /// Requests without `params`, which the real venue refuses.
  public var missingParams: UInt64 = 0
  public var malformed: UInt64 = 0
  public var rateViolations: UInt64 = 0
  public var failedLogins: UInt64 = 0
  /// Connections that turned cancel-on-disconnect on.
  public var sessions: UInt64 = 0
  /// Connections dropped for silence.
  public var timeouts: UInt64 = 0
  public var flowEvents: UInt64 = 0
  /// Levels of the flow that had no room: outside the window, or the matching engine was full.
  public var droppedLevels: UInt64 = 0
  /// Mass quotes that were not refused as a whole, and their sides or levels that were done and refused.
  public var massQuotes: UInt64 = 0
  public var quotesDone: UInt64 = 0
  public var quotesRefused: UInt64 = 0
  /// Protection groups that were exhausted.
  public var protectionHits: UInt64 = 0
  /// Trades between anybody.
  public var trades: UInt64 = 0

  public init() {}
}
