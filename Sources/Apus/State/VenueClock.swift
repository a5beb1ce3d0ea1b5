import CSupport

/// The latest time that the venue has stated, as a bound from below on its clock.
///
/// A single time far ahead of the others is not believed: with it, what is executed from then on would pass for
/// something that an earlier answer contained. Times that stay away for `patience` messages in a row are: a clock was set.
struct VenueClock {
  /// How far a stated time may be ahead of the last one and the time that has passed since.
  static let tolerance: Nanoseconds = 10_000_000_000
  static let patience = 8

  /// Nanoseconds since the Unix epoch; 0 before the first.
  private(set) var latest: Nanoseconds = 0
  /// When `latest` was stated, on the lane's clock.
  private var latestAt: Nanoseconds = 0
  private var strange = 0

  /// What the venue's clock shows now, or a little earlier: the latest time that it has stated and what has passed since.
  /// 0 before the first.
  func estimate(now: Nanoseconds) -> Nanoseconds { latest == 0 ? 0 : latest + max(0, now - latestAt) }

  /// - Parameter time: 0 if the message had none.
  @inline(__always)
  mutating func note(_ time: Nanoseconds, now: Nanoseconds) {
    if time <= latest, time > latest - Self.tolerance {
      strange = 0
      return
    }
    noteNew(time, now)
  }

  @inline(never)
  private mutating func noteNew(_ time: Nanoseconds, _ now: Nanoseconds) {
    guard time > 0 else { return }
    let isExpected = time > latest && time - latest <= now - latestAt + Self.tolerance
    strange = isExpected || latest == 0 ? 0 : strange + 1
    guard strange == 0 || strange >= Self.patience else { return }
    strange = 0
    latest = time
    latestAt = now
  }
}
