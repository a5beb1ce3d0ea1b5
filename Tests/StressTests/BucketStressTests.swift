import Apus
import CSupport
import Glibc
import Synchronization
import Testing

@Suite struct BucketStressTests {
  @Test func `many threads together take exactly what one bucket holds`() throws {
    // Time stands still: the capacity is all there is.
    let end = StressTime.end()
    repeat {
      let bucket = try SharedTokenBucket(BucketRate(capacity: 30_000, tokensPerSecond: 1000))
      // Two that spin at a time: more would only wait for a core.
      let tallies = (0..<2).map { _ in Tally() }
      runTogether(
        tallies.enumerated().map { index, tally in
          {
            let n = UInt32(index % 2 + 1)
            while bucket.tryTake(n, now: 5) == .taken { tally.value += Int64(n) }
            // The odd token that a taker of two leaves.
            while bucket.tryTake(1, now: 5) == .taken { tally.value += 1 }
          }
        })
      #expect(tallies.reduce(0) { $0 + $1.value } == 30_000)
    } while StressTime.now < end
  }

  @Test func `threads on one moving clock never exceed capacity and rate, nor stay below them`() throws {
    let capacity: Int64 = 50
    let bucket = try SharedTokenBucket(BucketRate(capacity: Int(capacity), tokensPerSecond: 100_000))
    let start = EngineClock.now()
    let end = start + Nanoseconds(StressTime.seconds * 1e9)
    let tallies = (0..<2).map { _ in Tally() }
    let latest = (0..<2).map { _ in Tally() }
    runTogether(
      zip(tallies, latest).map { tally, last in
        {
          var now = EngineClock.now()
          while now < end {
            if bucket.tryTake(now: now) == .taken {
              tally.value += 1
              last.value = now
            } else {
              sched_yield()
            }
            now = EngineClock.now()
          }
        }
      })
    let taken = tallies.reduce(0) { $0 + $1.value }
    let window = latest.map(\.value).max()! - start
    #expect(taken <= capacity + window / 10_000)
    #expect(taken >= capacity)
  }

  @Test func `R41_ a change of rate under load lets no more through than the rates in force`() throws {
    // A state judged by another rate than its own would open the bucket wide: the intervals are far apart.
    let rates = [
      try BucketRate(capacity: 10, tokensPerSecond: 1000),
      try BucketRate(capacity: 10, tokensPerSecond: 10_000),
      try BucketRate(capacity: 10, tokensPerSecond: 1),
    ]
    let bucket = try SharedTokenBucket(rates[0])
    let clock = SharedTime()
    let tallies = (0..<2).map { _ in Tally() }
    let changes = 3 * max(1, Int(1000 * StressTime.seconds))
    let step: Nanoseconds = 20_000
    let stepsPerRate = 25
    runTogether(
      tallies.map { tally in
        { @Sendable in
          while clock.now < .max {
            let now = clock.now
            for _ in 0..<16 where now < .max && bucket.tryTake(now: now) == .taken { tally.value += 1 }
            sched_yield()
          }
        }
      } + [
        {
          for change in 1...changes {
            for _ in 0..<stepsPerRate {
              clock.advance(by: step)
              if clock.now / step % 4 == 0 { sched_yield() }
            }
            bucket.reconfigure(rates[change % 3], now: clock.now)
          }
          clock.end()
        }
      ])
    let taken = tallies.reduce(0) { $0 + $1.value }
    let timePerRate = Int64(changes / 3 * stepsPerRate) * step
    let allowed = 10 + rates.reduce(0) { $0 + timePerRate / $1.interval_ns }
    #expect(taken > 0 && taken <= allowed)
  }
}

/// A virtual time that one thread moves and others read.
private final class SharedTime: Sendable {
  private let word = Atomic<Nanoseconds>(0)
  var now: Nanoseconds { word.load(ordering: .acquiring) }
  func advance(by step: Nanoseconds) { word.add(step, ordering: .releasing) }
  func end() { word.store(.max, ordering: .releasing) }
}
