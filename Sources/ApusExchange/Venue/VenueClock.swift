import Apus

/// The venue's wall clock over its virtual time. Only tests and fault injection step it.
final class VenueClock {
  private let base: Nanoseconds
  private var steps: [(time: Nanoseconds, offset: Nanoseconds)] = []

  init(base: Nanoseconds) { self.base = base }

  /// Nanoseconds since the Unix epoch that the clock showed at a virtual time.
  func wall(_ time: Nanoseconds) -> Nanoseconds {
    base + time + (steps.last { $0.time <= time }?.offset ?? 0)
  }

  /// From `time` on it is `offset` away from where it would have been without any step.
  func set(offset: Nanoseconds, at time: Nanoseconds) { steps.append((time, offset)) }
}
