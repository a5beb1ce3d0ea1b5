/// The kill ladder and the safety rules; see the DocC article "Safety". All keys have defaults; 0 switches a rule off.
public struct SafetySection: Codable, Equatable, Sendable {
  /// What the level "widen" multiplies the half-spread by.
  public var widenFactor: DecimalE8
  /// Flattening takes no price farther than this from the mark.
  public var flattenWorstBps: DecimalE8
  /// Between two orders of a flattening.
  public var flattenIntervalMs: Int
  /// Loss of one lane since the start or the last re-arming, quote currency.
  public var laneMaxLoss: DecimalE8
  /// Fall of one lane's profit from its best, quote currency.
  public var laneMaxDrawdown: DecimalE8
  /// Level that loss and drawdown latch, those of the manager included.
  public var lossLevel: LossLevel
  public var maxMessagesPerMinute: Int
  public var maxMessagesPerFill: Int
  public var churnPauseMs: Int
  public var rejectCount: Int
  public var rejectPauseMs: Int
  public var rejectLongestPauseMs: Int
  public var bookStaleMs: Int
  public var markStaleMs: Int
  public var indexStaleMs: Int
  public var clockOffsetMs: Int
  public var slowAckWidenMs: Int
  public var slowAckStopMs: Int
  public var slowAckPauseMs: Int
  public var toxicFills: Int
  public var toxicWindowMs: Int
  public var toxicMoveBps: DecimalE8
  public var toxicMoveMs: Int
  public var toxicPauseMs: Int

  enum CodingKeys: String, CodingKey, CaseIterable {
    case widenFactor = "widen_factor"
    case flattenWorstBps = "flatten_worst_bps"
    case flattenIntervalMs = "flatten_interval_ms"
    case laneMaxLoss = "lane_max_loss"
    case laneMaxDrawdown = "lane_max_drawdown"
    case lossLevel = "loss_level"
    case maxMessagesPerMinute = "max_messages_per_minute"
    case maxMessagesPerFill = "max_messages_per_fill"
    case churnPauseMs = "churn_pause_ms"
    case rejectCount = "reject_count"
    case rejectPauseMs = "reject_pause_ms"
    case rejectLongestPauseMs = "reject_longest_pause_ms"
    case bookStaleMs = "book_stale_ms"
    case markStaleMs = "mark_stale_ms"
    case indexStaleMs = "index_stale_ms"
    case clockOffsetMs = "clock_offset_ms"
    case slowAckWidenMs = "slow_ack_widen_ms"
    case slowAckStopMs = "slow_ack_stop_ms"
    case slowAckPauseMs = "slow_ack_pause_ms"
    case toxicFills = "toxic_fills"
    case toxicWindowMs = "toxic_window_ms"
    case toxicMoveBps = "toxic_move_bps"
    case toxicMoveMs = "toxic_move_ms"
    case toxicPauseMs = "toxic_pause_ms"
  }

  public init(
    widenFactor: DecimalE8 = .two, flattenWorstBps: DecimalE8 = DecimalE8(e8: 50_00000000),
    flattenIntervalMs: Int = 250, laneMaxLoss: DecimalE8 = .zero, laneMaxDrawdown: DecimalE8 = .zero,
    lossLevel: LossLevel = .cancel, maxMessagesPerMinute: Int = 3000, maxMessagesPerFill: Int = 50_000,
    churnPauseMs: Int = 10_000, rejectCount: Int = 3, rejectPauseMs: Int = 100, rejectLongestPauseMs: Int = 5000,
    bookStaleMs: Int = 120_000, markStaleMs: Int = 10_000, indexStaleMs: Int = 30_000, clockOffsetMs: Int = 2000,
    slowAckWidenMs: Int = 500, slowAckStopMs: Int = 1500, slowAckPauseMs: Int = 5000, toxicFills: Int = 20,
    toxicWindowMs: Int = 1000, toxicMoveBps: DecimalE8 = DecimalE8(e8: 20_00000000), toxicMoveMs: Int = 1000,
    toxicPauseMs: Int = 5000
  ) {
    self.widenFactor = widenFactor
    self.flattenWorstBps = flattenWorstBps
    self.flattenIntervalMs = flattenIntervalMs
    self.laneMaxLoss = laneMaxLoss
    self.laneMaxDrawdown = laneMaxDrawdown
    self.lossLevel = lossLevel
    self.maxMessagesPerMinute = maxMessagesPerMinute
    self.maxMessagesPerFill = maxMessagesPerFill
    self.churnPauseMs = churnPauseMs
    self.rejectCount = rejectCount
    self.rejectPauseMs = rejectPauseMs
    self.rejectLongestPauseMs = rejectLongestPauseMs
    self.bookStaleMs = bookStaleMs
    self.markStaleMs = markStaleMs
    self.indexStaleMs = indexStaleMs
    self.clockOffsetMs = clockOffsetMs
    self.slowAckWidenMs = slowAckWidenMs
    self.slowAckStopMs = slowAckStopMs
    self.slowAckPauseMs = slowAckPauseMs
    self.toxicFills = toxicFills
    self.toxicWindowMs = toxicWindowMs
    self.toxicMoveBps = toxicMoveBps
    self.toxicMoveMs = toxicMoveMs
    self.toxicPauseMs = toxicPauseMs
  }
}

extension SafetySection {
  /// No rule at all; only what people and limits ask for is left. For replays and benchmarks, whose clocks and prices
  /// are not of today.
  public static var off: Self {
    Self(
      maxMessagesPerMinute: 0, maxMessagesPerFill: 0, bookStaleMs: 0, markStaleMs: 0, indexStaleMs: 0, clockOffsetMs: 0,
      slowAckWidenMs: 0, slowAckStopMs: 0, toxicFills: 0, toxicMoveBps: .zero)
  }

  /// For a market that moves `speed` times as fast as a real one: what is judged by its pace is judged at that pace.
  public func scaled(toSpeed speed: Double) -> Self {
    guard speed != 1, speed > 0 else { return self }
    var scaled = self
    // Within the fast market's second, fills and moves are those of a minute; in a slow one data is old for longer.
    if speed > 1 {
      scaled.toxicFills = 0
      scaled.toxicMoveBps = .zero
      scaled.maxMessagesPerFill = 0
    } else {
      func longer(_ milliseconds: Int) -> Int { Int(min(Double(milliseconds) / speed, 3_600_000)) }
      scaled.bookStaleMs = longer(bookStaleMs)
      scaled.markStaleMs = longer(markStaleMs)
      scaled.indexStaleMs = longer(indexStaleMs)
    }
    return scaled
  }
}

/// The level of the kill ladder that a loss limit latches.
public enum LossLevel: String, Codable, CaseIterable, Sendable {
  case noNew = "no-new"
  case cancel, flatten, disconnect
}

/// The thread that pulls the quotes when the lane stalls.
public struct WatchdogSection: Codable, Equatable, Sendable {
  public var enabled: Bool
  /// A lane that gives no sign of life for this long has stalled.
  public var stallMs: Int
  /// Whether the venue's command for all mass quotes may be used, which reaches the mass quotes of every engine on the account.
  public var cancelMassQuotes: Bool

  enum CodingKeys: String, CodingKey, CaseIterable {
    case enabled
    case stallMs = "stall_ms"
    case cancelMassQuotes = "cancel_mass_quotes"
  }

  public init(enabled: Bool = true, stallMs: Int = 1000, cancelMassQuotes: Bool = false) {
    self.enabled = enabled
    self.stallMs = stallMs
    self.cancelMassQuotes = cancelMassQuotes
  }
}
