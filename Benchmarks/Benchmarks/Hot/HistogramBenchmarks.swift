import Apus
import Benchmark

func histogramBenchmarks() {
  Benchmark("LatencyHistogram record, values spread over 64 µs") { benchmark in
    var histogram = LatencyHistogram()
    var value: UInt64 = 1
    benchmark.startMeasurement()
    for _ in benchmark.scaledIterations {
      // A multiplicative step: cheaper than what it feeds.
      value = value &* 0xD120_2E3B_7A6C_25F5 &+ 1
      histogram.record(Nanoseconds(value >> 48))
    }
    benchmark.stopMeasurement()
    blackHole(histogram.count)
  }

  Benchmark("LatencyHistogram percentile", configuration: perCall) { benchmark in
    var histogram = LatencyHistogram()
    for value in 0..<10_000 as Range<Int64> { histogram.record(value * 7) }
    benchmark.startMeasurement()
    for _ in benchmark.scaledIterations { blackHole(histogram.percentile(99.9)) }
    benchmark.stopMeasurement()
  }
}

private var perCall: Benchmark.Configuration {
  var configuration = hotConfiguration
  configuration.maxIterations = 1000
  return configuration
}
