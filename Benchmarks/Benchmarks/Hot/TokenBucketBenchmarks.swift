import Apus
import Benchmark
import CSupport

func tokenBucketBenchmarks() {
  Benchmark("TokenBucket tryTake, single writer, granted") { benchmark in
    var bucket = TokenBucket(try BucketRate(capacity: 1000, tokensPerSecond: 1_000_000_000))
    var granted = 0
    benchmark.startMeasurement()
    for now in 0..<Int64(benchmark.scaledIterations.count) where bucket.tryTake(now: now) == .taken { granted += 1 }
    benchmark.stopMeasurement()
    blackHole(granted)
  }

  Benchmark("TokenBucket tryTake, single writer, refused") { benchmark in
    var bucket = TokenBucket(try BucketRate(capacity: 10, tokensPerSecond: 1))
    _ = bucket.tryTake(10, now: 0)
    var granted = 0
    benchmark.startMeasurement()
    for now in 0..<Int64(benchmark.scaledIterations.count) where bucket.tryTake(now: now) == .taken { granted += 1 }
    benchmark.stopMeasurement()
    blackHole(granted)
  }

  Benchmark("SharedTokenBucket tryTake, one thread, granted") { benchmark in
    let bucket = try SharedTokenBucket(BucketRate(capacity: 1000, tokensPerSecond: 1_000_000_000))
    var granted = 0
    benchmark.startMeasurement()
    for now in 0..<Int64(benchmark.scaledIterations.count) where bucket.tryTake(now: now) == .taken { granted += 1 }
    benchmark.stopMeasurement()
    blackHole(granted)
  }
}
