// swift-tools-version: 6.2

import PackageDescription

// A package of its own, so that the engine never depends on the benchmark library.
let package = Package(
  name: "apus-benchmarks",
  dependencies: [
    .package(name: "apus", path: ".."),
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    // One target a room; one file a piece, listed in the room's own file.
    .executableTarget(
      name: "Hot",
      dependencies: [
        .product(name: "Apus", package: "apus"),
        .product(name: "ApusExchange", package: "apus"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/Hot",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
    )
  ],
  swiftLanguageModes: [.v6]
)
