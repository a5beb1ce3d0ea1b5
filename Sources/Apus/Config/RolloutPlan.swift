import Yams

/// How a release is rolled out: the file of `apus rollout --plan`.
///
///     staging:
///       recordings: /var/lib/apus/recorded/monday
///     shadow:
///       at_least_s: 900
///       messages: 5000
///     steps:
///       - instruments: 1
///         at_least_s: 600
///         fills: 30
///       - instruments: 50%
///       - instruments: 100%
///     gates:
///       confidence: 0.99
///     stops:
///       max_loss: 500
public struct RolloutPlan: Codable, Equatable, Sendable {
  public var staging = StagingSection()
  /// `nil`: no such stage.
  public var shadow: WatchSection?
  /// In order; the last one leaves nothing to the incumbent.
  public var steps: [StepSection] = []
  public var gates = GateSection()
  public var stops = StopSection()
  public var patience = PatienceSection()

  public init() {}

  /// Before anything of the candidate reaches a venue.
  public struct StagingSection: Codable, Equatable, Sendable {
    /// Journals of sessions that the candidate has to repeat to the byte; directories, with commas between them.
    public var recordings: String?
    /// Why the candidate does not repeat them; without it a difference ends the rollout.
    public var difference: String?
    /// CPU time of a replay, candidate to incumbent.
    public var slowerAtMost = DecimalE8(e8: 115_000_000)
    /// Most pairs of replays that are timed; fewer if it is decided before.
    public var pairs = 30
    /// Whether limits of the candidate may be above the incumbent's.
    public var mayRaiseLimits = false
    /// Whether the doctor's findings end the rollout.
    public var needsHealthyHost = false

    enum CodingKeys: String, CodingKey, CaseIterable {
      case recordings, difference
      case slowerAtMost = "slower_at_most"
      case pairs
      case mayRaiseLimits = "limits_may_rise"
      case needsHealthyHost = "healthy_host"
    }
  }

  /// What has to be seen before the next stage.
  public struct WatchSection: Codable, Equatable, Sendable {
    public var atLeastSeconds = 600
    /// Stays no longer than this: what has not been seen by then ends the rollout; 0: waits.
    public var atMostSeconds = 0
    /// Of the candidate.
    public var messages = 0
    public var fills = 0

    enum CodingKeys: String, CodingKey, CaseIterable {
      case atLeastSeconds = "at_least_s"
      case atMostSeconds = "at_most_s"
      case messages, fills
    }
  }

  /// A part that the candidate takes over.
  public struct StepSection: Codable, Equatable, Sendable {
    /// How many, such as `1`, what part of them, such as `25%`, or which, with commas between them. Whole instruments on
    /// the same account.
    public var instruments: String?
    /// What part of the size and of the limit of every instrument, on an account of the candidate's own.
    public var size: DecimalE8?
    public var watch = WatchSection()
    /// When it may begin, UTC: `02:00-05:30`, with commas between several; any time by default.
    public var hours: String?

    enum CodingKeys: String, CodingKey, CaseIterable {
      case instruments, size, hours, watch
    }
  }

  /// The candidate against the incumbent, slice by slice of the same minutes.
  public struct GateSection: Codable, Equatable, Sendable {
    /// Of a breach: with 0.99 one stage in a hundred of a candidate that is no worse would be taken back.
    public var confidence = DecimalE8(e8: 99_000_000)
    public var sliceSeconds = 5
    /// Median and 99th percentile of each span, candidate to incumbent; in steps, where they are of other instruments, 1.15
    /// times that.
    public var spanRatio = DecimalE8(e8: 115_000_000)
    /// Messages from the venue that are worked off, candidate to incumbent; looked at in the shadow, where both see the same.
    public var throughputRatio = DecimalE8(e8: 80_000_000)
    /// Rejected requests a request, candidate to incumbent.
    public var rejectRatio = DecimalE8(e8: 200_000_000)
    /// Gaps, reconnects, positions taken over, impossible reports and rate violations a message, candidate to incumbent.
    public var errorRatio = DecimalE8(e8: 200_000_000)
    /// Growth of resident memory above the incumbent's, kilobytes a second.
    public var memoryGrowth = 64
    /// Markouts below the incumbent's by more than this, basis points.
    public var markoutBps = DecimalE8(e8: 20_000_000)
    /// Profit below the incumbent's by more than this, basis points of what the position limits are worth, a minute.
    public var profitBps = DecimalE8(e8: 100_000_000)

    enum CodingKeys: String, CodingKey, CaseIterable {
      case confidence
      case sliceSeconds = "slice_s"
      case spanRatio = "span_ratio"
      case throughputRatio = "throughput_ratio"
      case rejectRatio = "reject_ratio"
      case errorRatio = "error_ratio"
      case memoryGrowth = "memory_growth_kb_s"
      case markoutBps = "markout_bps"
      case profitBps = "profit_bps"
    }
  }

  /// What ends the rollout by itself, however the incumbent fares.
  public struct StopSection: Codable, Equatable, Sendable {
    /// Loss of the candidate since its start, quote currency; 0: none.
    public var maxLoss = DecimalE8.zero
    /// Loss of candidate and incumbent together since the stage began; 0: none.
    public var maxCommonLoss = DecimalE8.zero
    /// Rejected requests within a second.
    public var rejects = 50
    /// Orders of the candidate whose outcome is not known, for longer than a second.
    public var unknownOrders = 20
    public var memoryMB = 8192
    /// No sign of life of the candidate for this long.
    public var heartbeatMs = 1000
    /// A position of the candidate at its limit, or within a twentieth of it, for this long; 0: none.
    public var atLimitSeconds = 600
    /// Alerts of the candidate of this severity or above.
    public var alert = AlertSeverity.page

    enum CodingKeys: String, CodingKey, CaseIterable {
      case maxLoss = "max_loss"
      case maxCommonLoss = "max_common_loss"
      case rejects = "rejects_per_s"
      case unknownOrders = "unknown_orders"
      case memoryMB = "memory_mb"
      case heartbeatMs = "heartbeat_ms"
      case atLimitSeconds = "at_limit_s"
      case alert
    }
  }

  /// How long each is waited for, seconds.
  public struct PatienceSection: Codable, Equatable, Sendable {
    /// An engine until it quotes.
    public var start = 30
    /// What a step takes from the incumbent, until nothing of it rests there.
    public var handOver = 30
    /// An engine that is told to end.
    public var stop = 25
    /// The incumbent, until it has everything again.
    public var giveBack = 30

    enum CodingKeys: String, CodingKey, CaseIterable {
      case start = "start_s"
      case handOver = "hand_over_s"
      case stop = "stop_s"
      case giveBack = "give_back_s"
    }
  }
}

extension RolloutPlan {
  /// - Throws: All problems of the file at once, in the order of its lines.
  public static func load(path: String) throws(ConfigurationError) -> RolloutPlan {
    try parse(try ConfigurationFile.content(of: path), path: path)
  }

  /// Reads YAML text; `path` is the name that messages give it.
  public static func parse(_ text: String, path: String = "plan") throws(ConfigurationError) -> RolloutPlan {
    let yaml = ConfigurationYAML(text)
    if let failure = yaml.failure { throw ConfigurationError(path: path, problems: [failure]) }
    var reader = ConfigurationReader(yaml)
    let plan = reader.readPlan(yaml)
    guard reader.problems.isEmpty else { throw ConfigurationFile.error(path, reader.problems) }
    return plan
  }
}

/// What of the instruments a step gives to the candidate.
public enum RolloutSelection: Equatable, Sendable {
  case count(Int)
  /// Percent, 1 ... 100.
  case part(Int)
  case named([String])

  public init?(_ text: String) {
    let text = text.trimmed
    if text.hasSuffix("%") {
      guard let part = Int(text.dropLast()), (1...100).contains(part) else { return nil }
      self = .part(part)
    } else if text.utf8.allSatisfy({ (48...57).contains($0) }) {
      guard let count = Int(text), count > 0 else { return nil }
      self = .count(count)
    } else {
      let names = text.split(separator: ",").map { String($0).trimmed }
      guard !names.isEmpty, names.allSatisfy({ !$0.isEmpty }), Set(names).count == names.count else { return nil }
      self = .named(names)
    }
  }
}

/// Times of day, UTC; one may reach over midnight.
public struct RolloutHours: Equatable, Sendable {
  /// Minutes of the day.
  public var spans: [(from: Int, to: Int)]

  public static func == (left: Self, right: Self) -> Bool {
    left.spans.map(\.from) == right.spans.map(\.from) && left.spans.map(\.to) == right.spans.map(\.to)
  }

  public init?(_ text: String) {
    spans = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = String(part).trimmed.split(separator: "-", omittingEmptySubsequences: false)
      guard ends.count == 2, let from = Self.minute(ends[0]), let to = Self.minute(ends[1]), from != to else { return nil }
      spans.append((from, to))
    }
  }

  private static func minute(_ text: Substring) -> Int? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ $0.count == 2 && $0.utf8.allSatisfy { (48...57).contains($0) } }),
      let hour = Int(parts[0]), let minute = Int(parts[1]), hour < 24, minute < 60
    else { return nil }
    return hour * 60 + minute
  }

  /// - Parameter wall: Nanoseconds since 1970 UTC.
  public func contain(wall: Int64) -> Bool {
    let minute = Int(wall / 60_000_000_000 % 1440)
    return spans.contains { $0.from < $0.to ? ($0.from..<$0.to).contains(minute) : minute >= $0.from || minute < $0.to }
  }
}

extension String {
  fileprivate var trimmed: String {
    var text = self[...]
    while text.first == " " { text.removeFirst() }
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
