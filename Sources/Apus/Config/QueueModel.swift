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
}

extension QueueModel: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let model = Self(text: try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "risk-averse, log, or power:N, such as power:2")
    }
    self = model
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}
