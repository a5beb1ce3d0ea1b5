import Apus
import Benchmark
import CSupport

func ringBenchmarks() {
  Benchmark("Ring push+pop, 56 bytes, one thread, one at a time") { benchmark in
    var ring = try Ring(capacity: 1024)
    var sum: UInt64 = 0
    benchmark.startMeasurement()
    for number in 0..<UInt64(benchmark.scaledIterations.count) {
      _ = ring.producer.push(RingRecord(words: (number, 1, 2, 3, 4, 5, number)))
      if let record = ring.consumer.pop() { sum &+= record.words.0 &+ record.words.6 }
    }
    benchmark.stopMeasurement()
    blackHole(sum)
  }

  Benchmark("Ring push+pop, 56 bytes, one thread, 50 at a time") { benchmark in
    var ring = try Ring(capacity: 1024)
    var sum: UInt64 = 0
    benchmark.startMeasurement()
    for burst in 0..<UInt64(benchmark.scaledIterations.count / 50) {
      for _ in 0..<50 { _ = ring.producer.push(RingRecord(words: (burst, 1, 2, 3, 4, 5, burst))) }
      while let record = ring.consumer.pop() { sum &+= record.words.0 &+ record.words.6 }
    }
    benchmark.stopMeasurement()
    blackHole(sum)
  }
}
