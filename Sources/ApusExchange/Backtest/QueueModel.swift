public import Apus

#if canImport(Glibc)
  import Glibc
#endif

extension QueueModel {
  /// The chance that a cancelled lot stood behind us.
  func behind(front: Double, back: Double) -> Double {
    let (f, b): (Double, Double)
    switch self {
    case .riskAverse: return 1
    case .power(let n): (f, b) = (pow(front, n), pow(back, n))
    case .log: (f, b) = (log1p(front), log1p(back))
    }
    // Nobody on either side: nothing can have been cancelled before us.
    return f + b > 0 ? b / (f + b) : 1
  }

  /// Lots before us after `cancelled` lots have left a level of `old` lots without a trade.
  func front(_ front: Double, old: Double, cancelled: Double) -> Double {
    if self == .riskAverse { return min(front, old - cancelled) }
    let back = max(0, old - front)
    let p = behind(front: front, back: back)
    let moved = front - (1 - p) * cancelled + min(0, back - p * cancelled)
    return max(0, min(moved, old - cancelled))
  }
}

/// How orders of ours trade against a recorded market.
public struct FillModel: Sendable, Equatable {
  public var queue: QueueModel
  /// What keeps an order's place when it is amended.
  public var rules: QueueRules
  /// A level may shrink this long before the trade that shrank it is reported: the two then are one.
  public var tradeLag: Nanoseconds

  public init(
    queue: QueueModel = .riskAverse, rules: QueueRules = QueueRules(), tradeLag: Nanoseconds = 20_000_000
  ) {
    self.queue = queue
    self.rules = rules
    self.tradeLag = tradeLag
  }
}
