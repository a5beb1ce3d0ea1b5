/// What may be taken within a minute, coins: full at first, and full again after a minute. Free of clocks.
struct TakeBudget {
  /// 10⁻⁸ coins; 0: there is no bound.
  private let perMinuteE8: Int64
  private var leftE8: Int64
  private var time: Nanoseconds?

  private static let minute: Nanoseconds = 60_000_000_000

  init(perMinuteE8: Int64) {
    self.perMinuteE8 = perMinuteE8
    leftE8 = perMinuteE8
  }

  /// `now` never falls.
  mutating func available(now: Nanoseconds) -> Int64 {
    guard perMinuteE8 > 0 else { return .max }
    let gained = Int128(perMinuteE8) * Int128(min(now - (time ?? now), Self.minute)) / Int128(Self.minute)
    // What is less than a unit is not lost: the time is kept until it is one.
    if gained > 0 || time == nil { time = now }
    leftE8 = min(perMinuteE8, leftE8 + Int64(gained))
    return leftE8
  }

  /// What was asked for counts, whether or not it trades.
  mutating func spend(_ coinsE8: Int64) { if perMinuteE8 > 0 { leftE8 = max(0, leftE8 - coinsE8) } }
}
