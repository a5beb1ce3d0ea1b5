import Apus
import CSupport

/// Histogram and clock.
let meterPieces: [Piece] = [
  Piece("histogram.record", .batch(20_000)) { _ in Timed(HistogramRecord()) },
  Piece(
    "clock.read", .batch(5000),
    alternatives: [
      .init("bare rdtsc") { _ in Timed(CounterRead()) },
      .init("clock_gettime") { _ in Timed(SystemClockRead()) },
    ]
  ) { _ in Timed(ClockRead()) },
  Piece("histogram.percentile", .batch(100)) { _ in Timed(HistogramPercentile()) },
]

/// Values spread over 64 µs.
private struct HistogramRecord: Operation, ~Copyable {
  private var histogram = LatencyHistogram()
  private var value: UInt64 = 1

  mutating func run(_ count: Int) throws -> Nanoseconds {
    let before = histogram.count
    var value = self.value
    let start = EngineClock.now()
    for _ in 0..<count {
      // A multiplicative step: cheaper than what it feeds.
      value = value &* 0xD120_2E3B_7A6C_25F5 &+ 1
      histogram.record(Nanoseconds(value >> 48))
    }
    let time = EngineClock.now() - start
    self.value = value
    guard histogram.count - before == UInt64(count) else { throw PieceError("the histogram lost values") }
    return time
  }
}

private struct HistogramPercentile: Operation, ~Copyable {
  private var histogram = LatencyHistogram()

  init() {
    for value in 0..<10_000 as Range<Int64> { histogram.record(value * 7) }
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum: Nanoseconds = 0
    let start = EngineClock.now()
    for _ in 0..<count { sum &+= histogram.percentile(99.9) }
    let time = EngineClock.now() - start
    keep(sum)
    return time
  }
}

private struct ClockRead: Operation {
  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum: Nanoseconds = 0
    let start = EngineClock.now()
    for _ in 0..<count { sum &+= EngineClock.now() }
    let time = EngineClock.now() - start
    keep(sum)
    return time
  }
}

/// The processor's counter as it is: `rdtsc` on x86-64, `cntvct` on arm64.
private struct CounterRead: Operation {
  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum: UInt64 = 0
    let start = EngineClock.now()
    for _ in 0..<count { sum &+= apus_clock_ticks() }
    let time = EngineClock.now() - start
    keep(Int64(bitPattern: sum))
    return time
  }
}

private struct SystemClockRead: Operation {
  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum: Nanoseconds = 0
    let start = EngineClock.now()
    for _ in 0..<count { sum &+= apus_clock_system_ns() }
    let time = EngineClock.now() - start
    keep(sum)
    return time
  }
}
