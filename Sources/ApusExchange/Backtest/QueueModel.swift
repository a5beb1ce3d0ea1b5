public import Apus

#if canImport(Glibc)
  import Glibc
#endif

/// How a resting order of ours moves forward in the queue of its price, when all that is recorded is how much rests there.
///
/// An order joins behind what the recorded level shows when it arrives. From then on trades at its price take from the
/// front. What leaves the level without a trade was cancelled, before us or behind us: here the models differ.
/// With `front` lots before us, `back` lots behind us and `c` lots cancelled, the probability models take
/// `p = f(back) / (f(back) + f(front))` for the chance that a cancelled lot stood behind us, so that on average
/// `(1 − p) · c` leave from the front; and what is more than stands behind us leaves from the front too.
/// The formulas are those of the documentation of hftbacktest (`ProbQueueModel`, `PowerProbQueueFunc`,
/// `LogProbQueueFunc`), which takes them from https://quant.stackexchange.com/questions/3782.
///
/// The expected value is taken, not a draw: the same feed gives one answer, and two configurations are compared
/// without the luck of two draws between them.
public enum QueueModel: Sendable, Equatable {
  /// Nothing that was cancelled stood before us. Only when less rests than stood before us have we moved up.
  case riskAverse
  /// `f(x) = xⁿ`, 0 < n ≤ 10.
  case power(Double)
  /// `f(x) = ln(1 + x)`.
  case log

  /// `risk-averse`, `log`, or `power:2`.
  public init?(text: String) {
    switch text {
    case "risk-averse": self = .riskAverse
    case "log": self = .log
    default:
      guard text.hasPrefix("power:"), let n = Double(text.dropFirst(6)), n > 0, n <= 10 else { return nil }
      self = .power(n)
    }
  }

  public var text: String {
    switch self {
    case .riskAverse: "risk-averse"
    case .power(let n): n == n.rounded() ? "power:\(Int(n))" : "power:\(n)"
    case .log: "log"
    }
  }

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
