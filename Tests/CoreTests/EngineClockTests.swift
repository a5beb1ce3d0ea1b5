import CSupport
import Glibc
import Testing

@testable import Apus

// One clock for the whole process: the tests take turns.
@Suite(.serialized) struct EngineClockTests {
  @Test func `the clock follows the kernel's within its uncertainty, and refits bring it closer`() {
    EngineClock.start()
    for _ in 0..<4 {
      usleep(20_000)
      EngineClock.refit()
    }
    var closest = Int64.max
    for _ in 0..<100 {
      let before = apus_clock_system_ns()
      let now = EngineClock.now()
      let after = apus_clock_system_ns()
      closest = min(closest, max(before - now, now - after, 0))
    }
    #expect(closest < 100_000)
  }

  @Test func `starting again changes nothing and reports the same source`() {
    let first = EngineClock.start()
    #expect(EngineClock.start() == first && EngineClock.source == first)
  }

  @Test func `readings never run backwards across refits`() {
    EngineClock.start()
    var latest = EngineClock.now()
    var steps = 0
    let end = latest + 300_000_000
    while latest < end {
      EngineClock.refit()
      for _ in 0..<5000 {
        let now = EngineClock.now()
        if now < latest { steps += 1 }
        latest = now
      }
    }
    #expect(steps == 0)
  }

  @Test func `a refit too early after the last one changes nothing`() {
    EngineClock.start()
    usleep(15_000)
    _ = EngineClock.refit()
    #expect(!EngineClock.refit().changed)
  }

  @Test func `the line is continuous where it bends`() {
    let slow: UInt64 = (1 << 32) / 4
    let fast: UInt64 = (1 << 32) / 2
    func line(_ ticks: UInt64) -> Int64 { apus_clock_line_ns(ticks, 1000, 500, slow, fast) }
    #expect(line(1000) == 500 && line(996) == 499 && line(1002) == 501 && line(0) == 250)
    var latest = Int64.min
    for ticks in 0..<3000 as Range<UInt64> {
      let now = line(ticks)
      if now < latest {
        Issue.record("runs backwards at tick \(ticks)")
        return
      }
      latest = now
    }
  }

  @Test func `the line is exact to the nanosecond ten years from its base`() {
    // 2.6 GHz: ns per tick with 32 fraction bits, and the same product in wider integers.
    let slope = UInt64((1 << 32) * 10 / 26)
    let ticks = UInt64(2_600_000_000) * 86_400 * 3650
    let (high, low) = ticks.multipliedFullWidth(by: slope)
    let expected = Int64(high << 32 | low >> 32)
    #expect(apus_clock_line_ns(ticks, 0, 0, slope, slope) == expected)
  }

  @Test func `the wall offset turns a reading into Unix time`() {
    EngineClock.start()
    EngineClock.refit()
    let offset = EngineClock.wallOffset()
    var wall = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &wall)
    let unix = Int64(wall.tv_sec) * 1_000_000_000 + Int64(wall.tv_nsec)
    #expect(abs(EngineClock.now() + offset - unix) < 100_000_000)
  }
}
