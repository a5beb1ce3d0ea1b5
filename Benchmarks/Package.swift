// swift-tools-version: 6.2

import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

// A package of its own, so that the engine never depends on the benchmark library.
let package = Package(
  name: "apus-benchmarks",
  products: [.executable(name: "Wire", targets: ["Wire"])],
  dependencies: [
    .package(name: "apus", path: ".."),
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    // The machine's own floor (gaps, a bounced cache line), and what a peer in C or C++ looks like.
    .target(
      name: "CBench",
      path: "CBench",
      cSettings: [.enableWarning("all"), .enableWarning("extra"), .enableWarning("conversion")]
    ),
    // What is measured: one operation a row, used by Hot and by Table alike.
    .target(
      name: "Pieces",
      dependencies: [
        "CBench",
        .product(name: "Apus", package: "apus"),
        .product(name: "ApusExchange", package: "apus"),
      ],
      path: "Pieces",
      swiftSettings: strict
    ),
    // Ours beside the peers, interleaved, as one table: tools/bench runs it. (The benchmark library takes every
    // executable directly below a directory Benchmarks for its own; this one is a level deeper.)
    .executableTarget(
      name: "Table",
      dependencies: ["CBench", "Pieces", .product(name: "Apus", package: "apus")],
      path: "Table/Runner",
      swiftSettings: strict
    ),
    // The same pieces under the ordo-one benchmark library: swift package benchmark.
    .executableTarget(
      name: "Hot",
      dependencies: [
        "Pieces",
        .product(name: "Apus", package: "apus"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/Hot",
      swiftSettings: strict,
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
    ),
    // The engine over sockets, and its queueing: no benchmark library, a program of its own.
    .executableTarget(
      name: "Wire",
      dependencies: [.product(name: "Apus", package: "apus"), "WireC"],
      path: "Wire/Driver",
      swiftSettings: [.treatAllWarnings(as: .error)]
    ),
    // The thin venue and the bare echoes beside it.
    .target(
      name: "WireC",
      path: "Wire/C",
      cSettings: [.enableWarning("all"), .enableWarning("extra"), .enableWarning("conversion")],
      linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]
    ),
  ],
  swiftLanguageModes: [.v6]
)
