import Apus
import CSupport
import Glibc
import Testing

@Suite struct HistogramStressTests {
  @Test func `R38_ a reader beside the writer sees counts that only grow and percentiles within range`() throws {
    let memory = try LockedMemory(count: LatencyHistogram.byteCount, wishes: [])
    // Sendable by what is tested: one writer, any readers.
    struct Shared: @unchecked Sendable { let histogram: UnsafeMutablePointer<apus_histogram> }
    let shared = unsafe Shared(histogram: memory.base.assumingMemoryBound(to: apus_histogram.self))
    let count = UInt64(max(10_000, 1_000_000 * StressTime.seconds))
    let mistakes = Tally()
    runTogether([
      {
        for number in 0..<count {
          unsafe LatencyHistogram.record(100 + Nanoseconds(number % 900), in: shared.histogram)
        }
      },
      {
        var bad: Int64 = 0
        var latest: UInt64 = 0
        while latest < count {
          let snapshot = unsafe LatencyHistogram.snapshot(of: shared.histogram)
          if snapshot.count < latest || snapshot.count > count { bad += 1 }
          latest = snapshot.count
          if latest > 0 {
            let median = snapshot.percentile(50)
            if median < 100 || median > 1023 { bad += 1 }
          }
          sched_yield()
        }
        mistakes.value = bad
      },
    ])
    #expect(mistakes.value == 0)
    unsafe #expect(LatencyHistogram.max(of: shared.histogram) == 999)
    #expect(memory.count > 0)
  }
}

@Suite struct ClockStressTests {
  @Test func `time handed from thread to thread never runs backwards while the clock is refitted`() throws {
    EngineClock.start()
    let end = EngineClock.now() + Nanoseconds(max(1, StressTime.seconds) * 1e9)
    // Each thread passes its reading on; the other's next reading must not be earlier.
    let there = try Ring(capacity: 1)
    let back = try Ring(capacity: 1)
    let (toB, fromA) = (Parcel(there.producer), Parcel(there.consumer))
    let (toA, fromB) = (Parcel(back.producer), Parcel(back.consumer))
    let mistakes = [Tally(), Tally()]
    let exchanges = Tally()
    runTogether([
      {
        var out = toB.take()
        var into = fromB.take()
        var received: Nanoseconds = 0
        while received < end {
          let now = EngineClock.orderedNow()
          if now < received { mistakes[0].value += 1 }
          while !out.push(now) { sched_yield() }
          while true {
            if let reading = into.pop(as: Nanoseconds.self) {
              received = reading
              break
            }
            sched_yield()
          }
          exchanges.value += 1
        }
        while !out.push(Nanoseconds.max) { sched_yield() }
      },
      {
        var out = toA.take()
        var into = fromA.take()
        while true {
          guard let received = into.pop(as: Nanoseconds.self) else {
            sched_yield()
            continue
          }
          if received == .max { return }
          let now = EngineClock.orderedNow()
          if now < received { mistakes[1].value += 1 }
          while !out.push(now) { sched_yield() }
        }
      },
      {
        while EngineClock.now() < end {
          EngineClock.refit()
          usleep(3000)
        }
      },
    ])
    #expect(exchanges.value > 10)
    #expect(mistakes[0].value + mistakes[1].value == 0)
  }
}
