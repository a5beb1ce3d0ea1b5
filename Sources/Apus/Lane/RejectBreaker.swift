/// Refusals of inserts and amends of one instrument (R44, R62): the third in a row opens the breaker for a while, and
/// each one that follows for longer. After the pause one attempt is made; the first acceptance closes it.
///
/// A streak counts equal refusals: the same error code. Different ones count together up to twice as many, so that a
/// venue that refuses everything in turn is noticed too.
struct RejectBreaker: Sendable {
  private var equal = 0
  private var total = 0
  /// The error code of the streak.
  private(set) var code: Int64 = 0
  /// Nothing is sent before.
  private(set) var until = LaneSession.never

  mutating func note(code: Int64, rules: BreakerRules, now: Nanoseconds) {
    equal = code == self.code ? equal + 1 : 1
    self.code = code
    total += 1
    let limit = max(rules.count, 1)
    let over = max(equal - limit, total - 2 * limit)
    guard over >= 0 else { return }
    until = now + min(rules.longestPause, rules.pause << min(Nanoseconds(over), 20))
  }
}

/// What of the safety rules a breaker needs; small, so that it is passed in registers.
struct BreakerRules: Sendable {
  var count: Int
  var pause: Nanoseconds
  var longestPause: Nanoseconds

  init(_ settings: SafetySettings) {
    count = settings.rejectCount
    pause = settings.rejectPause
    longestPause = settings.longestRejectPause
  }
}
