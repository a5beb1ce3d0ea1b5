/// What one engine did in one slice of time.
public struct SliceFigures: Codable, Equatable, Sendable {
  public struct Span: Codable, Equatable, Sendable {
    /// As in the telemetry file, such as `tick_to_order`.
    public var name: String
    public var count: Int
    /// Nanoseconds.
    public var median: Int64
    public var high: Int64

    public init(name: String, count: Int, median: Int64, high: Int64) {
      self.name = name
      self.count = count
      self.median = median
      self.high = high
    }
  }

  /// Value of the markouts and what was traded for it, quote currency.
  public struct Markout: Codable, Equatable, Sendable {
    public var seconds: Int
    public var value: Double
    public var traded: Double

    public init(seconds: Int, value: Double, traded: Double) {
      self.seconds = seconds
      self.value = value
      self.traded = traded
    }
  }

  /// A position at the beginning, as a part of the limit, and how it changed; signed.
  public struct Inventory: Codable, Equatable, Sendable {
    public var before: Double
    public var change: Double

    public init(before: Double, change: Double) {
      self.before = before
      self.change = change
    }
  }

  public var seconds = 0.0
  public var frames = 0
  /// About orders.
  public var requests = 0
  public var rejects = 0
  /// Gaps, reconnects, positions taken over, impossible reports and rate violations.
  public var errors = 0
  public var fills = 0
  public var spans: [Span] = []
  /// Resident, at the end; 0 if it is not known.
  public var memoryBytes = 0
  public var memoryGrowth = 0
  /// Of the quote currency, after fees.
  public var profit = 0.0
  public var traded = 0.0
  /// What all limits of positions are worth, quote currency; 0 while nothing was traded that tells.
  public var limitValue = 0.0
  public var markouts: [Markout] = []
  public var inventory: [Inventory] = []

  public init() {}

  /// Basis points of what the limits are worth, a minute; `nil` if that is not known.
  var profitRate: Double? {
    if profit == 0 { return 0 }
    guard limitValue > 0, seconds > 0 else { return nil }
    return profit / limitValue * 10_000 * 60 / seconds
  }

  /// What part of the larger positions grew, 0 ... 1; `nil` if none of them changed. One figure of all instruments, for they
  /// move together, and of each its direction alone, so that few instruments have the same mean as many.
  var growing: Double? {
    let moved = inventory.filter { abs($0.before) >= GateKeeper.leastInventory && $0.change != 0 }
    guard !moved.isEmpty else { return nil }
    return Double(moved.count { $0.before * $0.change > 0 }) / Double(moved.count)
  }

  /// Sums over slices, for reports; spans and values of limits are those of the last one that had any.
  mutating func add(_ other: SliceFigures) {
    seconds += other.seconds
    frames += other.frames
    requests += other.requests
    rejects += other.rejects
    errors += other.errors
    fills += other.fills
    if !other.spans.isEmpty { spans = other.spans }
    if other.memoryBytes > 0 { memoryBytes = other.memoryBytes }
    memoryGrowth += other.memoryGrowth
    profit += other.profit
    traded += other.traded
    if other.limitValue > 0 { limitValue = other.limitValue }
    if markouts.isEmpty {
      markouts = other.markouts
    } else {
      for place in markouts.indices where other.markouts.indices.contains(place) {
        markouts[place].value += other.markouts[place].value
        markouts[place].traded += other.markouts[place].traded
      }
    }
  }
}
