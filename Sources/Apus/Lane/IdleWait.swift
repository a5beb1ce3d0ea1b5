/// How a lane's thread waits when a poll has found nothing: spinning, letting others run, or asleep in the driver.
///
/// One thread; free of I/O. Told after each poll what it found, it says what to do before the next.
struct IdleWait: Sendable {
  enum Step: Equatable, Sendable {
    case spin
    /// Let another thread run, if one wants the core.
    case yield
    /// Sleep in the driver until an event, a wake, or the next timer.
    case park
  }

  let strategy: IdleStrategy
  private let spinTime: Nanoseconds
  /// From the last event to the sleep; `.max` never sleeps.
  private let awakeTime: Nanoseconds
  private var lastEventAt: Nanoseconds = 0

  /// - Parameters:
  ///   - spinTime: `yield`: how long it spins after an event, ≥ 0.
  ///   - yieldTime: `yield`: how much longer it then stays awake; 0 for ever.
  init(_ strategy: IdleStrategy, spinTime: Nanoseconds = 50_000, yieldTime: Nanoseconds = 0) {
    self.strategy = strategy
    self.spinTime = spinTime
    awakeTime = yieldTime == 0 ? .max : spinTime + yieldTime
  }

  /// Whether another thread has to wake this one.
  var maySleep: Bool { strategy == .park || (strategy == .yield && awakeTime != .max) }

  /// After a poll at `now`.
  mutating func step(after events: Int, now: Nanoseconds) -> Step {
    switch strategy {
    case .spin:
      return .spin
    case .park:
      return .park
    case .yield:
      if events > 0 { lastEventAt = now }
      let quiet = now - lastEventAt
      return quiet < spinTime ? .spin : quiet < awakeTime ? .yield : .park
    }
  }
}
