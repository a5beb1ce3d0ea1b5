import Benchmark

// The list of pieces: a new one is a file <Piece>Benchmarks.swift and a line here.
let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = hotConfiguration
  ringBenchmarks()
  tokenBucketBenchmarks()
  histogramBenchmarks()
  clockBenchmarks()
  storeBenchmarks()
  wireBenchmarks()
  laneBenchmarks()
}

/// Percentiles of wall-clock time for one operation, measured a thousand at a time (`.kilo`).
/// `--scale` prints the thousand, which shows fractions of a nanosecond.
///
/// Allocations are not listed: without the library's jemalloc trait its counter stays at 0 whatever
/// happens. The check against them is `@_noLocks`.
var hotConfiguration: Benchmark.Configuration {
  Benchmark.Configuration(
    metrics: [.wallClock],
    timeUnits: .nanoseconds,
    warmupIterations: 100,
    scalingFactor: .kilo,
    maxDuration: .seconds(1),
    maxIterations: 20_000
  )
}
