import Apus
import Benchmark
import CSupport

func clockBenchmarks() {
  Benchmark("EngineClock now, calibrated counter") { benchmark in
    EngineClock.start()
    var latest: Nanoseconds = 0
    benchmark.startMeasurement()
    for _ in benchmark.scaledIterations { latest &+= EngineClock.now() }
    benchmark.stopMeasurement()
    blackHole(latest)
  }

  Benchmark("clock_gettime(CLOCK_MONOTONIC), for comparison") { benchmark in
    var latest: Nanoseconds = 0
    benchmark.startMeasurement()
    for _ in benchmark.scaledIterations { latest &+= apus_clock_system_ns() }
    benchmark.stopMeasurement()
    blackHole(latest)
  }
}
