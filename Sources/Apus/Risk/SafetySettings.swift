public import CSupport

/// The safety rules of one lane. Durations in nanoseconds, money in 10⁻⁸ of the quote currency; 0 switches a rule off.
///
/// The initial values here are "off": those that an operator gets are the configuration's (``SafetySection``).
public struct SafetySettings: Codable, Equatable, Sendable {
  /// What the level "widen" multiplies half-spreads by, thousandths.
  public var widenPermille: Int32 = 2000
  /// Flattening: farthest price from the mark, 10⁻² basis points, and the pause between two orders of an instrument.
  public var flattenWorstCentiBps: Int64 = 50_00
  public var flattenInterval: Nanoseconds = 250_000_000

  /// Loss since the start or the last re-arming, and fall from the best since then.
  public var maximumLossE8: MoneyE8 = 0
  public var maximumDrawdownE8: MoneyE8 = 0
  public var lossLevel = StopLevel.cancelAll

  /// Inserts and amends of one instrument: in a minute, and since its last fill.
  public var messagesPerMinute = 0
  public var messagesPerFill = 0
  public var churnPause: Nanoseconds = 10_000_000_000

  /// Equal refusals in a row that open the breaker, and how long it stays open: at first, and at most.
  public var rejectCount = 3
  public var rejectPause: Nanoseconds = 100_000_000
  public var longestRejectPause: Nanoseconds = 5_000_000_000

  /// Silence of the book; age of the mark by the venue's own time of it; time without any change of the index.
  public var bookStaleAfter: Nanoseconds = 0
  public var markStaleAfter: Nanoseconds = 0
  public var indexStaleAfter: Nanoseconds = 0

  /// Largest difference of the clocks, either way.
  public var clockOffsetLimit: Nanoseconds = 0

  /// Smoothed time to an answer, or age of the oldest request without one.
  public var slowAckWiden: Nanoseconds = 0
  public var slowAckStop: Nanoseconds = 0
  public var slowAckPause: Nanoseconds = 5_000_000_000

  /// Fills of one side of an instrument within `toxicWindow`, at most 256; the mark's move against a fill, 10⁻² basis
  /// points, within `toxicMoveWindow`.
  public var toxicFills = 0
  public var toxicWindow: Nanoseconds = 1_000_000_000
  public var toxicMoveCentiBps: Int64 = 0
  public var toxicMoveWindow: Nanoseconds = 1_000_000_000
  public var toxicPause: Nanoseconds = 5_000_000_000

  public init() {}
}
