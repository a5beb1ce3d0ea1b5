/// How far our clock is from a venue's, from the times in the venue's messages (R48).
///
/// Each message gives our time of arrival less the venue's time in it: the difference of the clocks, and the delay of
/// the message, which is never negative. The least of a window therefore is the best estimate: the difference and the
/// shortest delay seen. One thread; fixed memory.
struct ClockOffset: Sendable {
  /// The window is made of slots, so that old samples leave it one slot at a time.
  static let slotLength: Nanoseconds = 10_000_000_000
  private static let slotCount = 6
  private static let nothing = Nanoseconds.max

  private var slots: (Nanoseconds, Nanoseconds, Nanoseconds, Nanoseconds, Nanoseconds, Nanoseconds) = (
    nothing, nothing, nothing, nothing, nothing, nothing
  )
  private var slotEnd: Nanoseconds = 0
  /// Our time less the venue's at best, nanoseconds: positive, we are ahead. `nil` before the first message.
  private(set) var estimate: Nanoseconds?
  /// When the first sample came.
  private(set) var firstAt: Nanoseconds?

  /// - Parameters:
  ///   - arrival: by our wall clock, nanoseconds since 1970.
  ///   - venueTime: in the message, likewise.
  ///   - now: on the lane's clock.
  mutating func note(arrival: Nanoseconds, venueTime: Nanoseconds, now: Nanoseconds) {
    turn(now)
    let (sample, overflow) = arrival.subtractingReportingOverflow(venueTime)
    guard !overflow else { return }
    firstAt = firstAt ?? now
    slots.0 = min(slots.0, sample)
    settle()
  }

  /// Lets old samples go; to be called now and then.
  mutating func turn(_ now: Nanoseconds) {
    guard now >= slotEnd else { return }
    // After a long silence all slots are old; more than one window of turns is never needed.
    var turns = 0
    while now >= slotEnd, turns < Self.slotCount {
      slots = (Self.nothing, slots.0, slots.1, slots.2, slots.3, slots.4)
      slotEnd += Self.slotLength
      turns += 1
    }
    slotEnd = max(slotEnd, now + Self.slotLength)
    settle()
  }

  private mutating func settle() {
    let least = min(slots.0, min(slots.1, min(slots.2, min(slots.3, min(slots.4, slots.5)))))
    // Without a sample in the window the last estimate is still the best one.
    if least != Self.nothing { estimate = least }
  }
}
