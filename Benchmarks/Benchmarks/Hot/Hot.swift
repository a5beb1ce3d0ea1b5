import Apus
import Benchmark
import Pieces

// Every piece under the ordo-one library: percentiles over many runs, baselines and comparisons of them. What a piece
// times stands beside it, in Pieces; tools/bench sets the same pieces beside their peers.
let benchmarks: @Sendable () -> Void = {
  EngineClock.start()
  let cores = try? CPU.allowedCores()
  let last = cores?.last ?? 0
  let places = Cores(main: last, other: cores.flatMap { $0.count > 1 ? $0[$0.count - 2] : nil })
  for piece in Piece.all {
    guard let row = Row.all.first(where: { $0.key == piece.key }) else {
      // Table complains of a piece without a row; here the key will do for a name.
      add(piece, name: piece.key, places)
      continue
    }
    add(piece, name: row.pieceTitle, places)
  }
}

/// Picoseconds, because the library's figures are whole numbers.
private let operationTime = BenchmarkMetric.custom(
  "one operation (ps)", polarity: .prefersSmaller, useScalingFactor: false)
private let stepTime = BenchmarkMetric.custom("one step (ns)", polarity: .prefersSmaller, useScalingFactor: false)

private func add(_ piece: Piece, name: String, _ cores: Cores) {
  switch piece.measure {
  case .batch(let count), .crossCore(let count), .flow(_, let count):
    let configuration = Benchmark.Configuration(
      metrics: [operationTime], warmupIterations: 2, maxDuration: .seconds(1), maxIterations: 500)
    var made: Result<Runner, any Error>?
    Benchmark(name, configuration: configuration) { benchmark in
      // Once for all iterations: a flow goes on where it was, and caches stay warm.
      let runner = made ?? Result { try piece.make(cores) }
      made = runner
      try CPU.pinCurrentThread(to: cores.main)
      let time = try runner.get().run(count)
      benchmark.measurement(operationTime, Int((Double(time) * 1000 / Double(count)).rounded()))
    }
  case .samples:
    let configuration = Benchmark.Configuration(
      metrics: [stepTime], warmupIterations: 1, maxDuration: .seconds(3), maxIterations: 20)
    Benchmark(name, configuration: configuration) { benchmark in
      try CPU.pinCurrentThread(to: cores.main)
      var samples: [Nanoseconds] = []
      try piece.make(cores).run(into: &samples)
      for sample in samples { benchmark.measurement(stepTime, Int(sample)) }
    }
  }
}
