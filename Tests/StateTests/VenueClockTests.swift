import CSupport
import Testing

@testable import Apus

@Suite struct VenueClockTests {
  private let second: Nanoseconds = 1_000_000_000
  private let start: Nanoseconds = 1_776_715_000_000_000_000

  @Test func `it follows what the venue states and never runs backwards`() {
    var clock = VenueClock()
    clock.note(0, now: 0)
    #expect(clock.latest == 0)
    clock.note(start, now: 0)
    clock.note(start + second, now: second)
    clock.note(start, now: 2 * second)
    #expect(clock.latest == start + second)
    // After a silence of an hour it is an hour later there too.
    clock.note(start + 3600 * second, now: 3600 * second)
    #expect(clock.latest == start + 3600 * second)
  }

  @Test func `R56 what it shows now is estimated by the time that has passed since it was stated last`() {
    var clock = VenueClock()
    #expect(clock.estimate(now: 5 * second) == 0)
    clock.note(start, now: second)
    #expect(clock.estimate(now: second) == start)
    #expect(clock.estimate(now: 4 * second) == start + 3 * second)
    // A late message with an earlier time changes nothing.
    clock.note(start - second, now: 4 * second)
    #expect(clock.estimate(now: 5 * second) == start + 4 * second)
    clock.note(start + 6 * second, now: 6 * second)
    #expect(clock.estimate(now: 6 * second) == start + 6 * second)
  }

  @Test func `R05 one time far ahead or behind is not believed, many are`() {
    var clock = VenueClock()
    clock.note(start, now: 0)
    for ahead in [86_400 * second, -86_400 * second] {
      clock.note(start + ahead, now: second)
      #expect(clock.latest == start)
      clock.note(start, now: second)
    }
    for _ in 1..<VenueClock.patience { clock.note(start - 7200 * second, now: second) }
    #expect(clock.latest == start)
    clock.note(start - 7200 * second, now: second)
    #expect(clock.latest == start - 7200 * second)
    clock.note(start - 7199 * second, now: 2 * second)
    #expect(clock.latest == start - 7199 * second)
  }
}
