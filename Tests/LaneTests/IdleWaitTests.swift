import Testing

@testable import Apus

@Suite struct IdleWaitTests {
  @Test func `spin never lets go of the core, park always sleeps`() {
    var spin = IdleWait(.spin)
    var park = IdleWait(.park)
    for (events, now) in [(1, 0), (0, 1), (0, 10_000_000_000)] as [(Int, Nanoseconds)] {
      #expect(spin.step(after: events, now: now) == .spin)
      #expect(park.step(after: events, now: now) == .park)
    }
    #expect(!spin.maySleep && park.maySleep)
  }

  @Test func `yield spins after an event, then lets others run, then sleeps`() {
    var wait = IdleWait(.yield, spinTime: 50_000, yieldTime: 1_000_000)
    #expect(wait.maySleep)
    let steps = [(1, 5_000_000), (0, 5_049_999), (0, 5_050_000), (0, 6_049_999), (0, 6_050_000)].map {
      wait.step(after: $0.0, now: Nanoseconds($0.1))
    }
    #expect(steps == [.spin, .spin, .yield, .yield, .park])
    // An event wakes it altogether.
    #expect(wait.step(after: 3, now: 7_000_000) == .spin)
    #expect(wait.step(after: 0, now: 7_040_000) == .spin)
  }

  @Test func `yield without a time for it never sleeps, and without a time to spin yields at once`() {
    var wait = IdleWait(.yield, spinTime: 0, yieldTime: 0)
    #expect(!wait.maySleep)
    #expect(wait.step(after: 1, now: 1) == .yield)
    #expect(wait.step(after: 0, now: .max / 2) == .yield)
  }

  @Test func `a failed poll is not an event`() {
    var wait = IdleWait(.yield, spinTime: 10, yieldTime: 10)
    _ = wait.step(after: 1, now: 100)
    #expect(wait.step(after: -1, now: 115) == .yield)
  }
}
