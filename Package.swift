// swift-tools-version: 6.2

import PackageDescription

let swiftSettings: [SwiftSetting] = [
  .enableExperimentalFeature("Lifetimes"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "apus",
  products: [
    .library(name: "Apus", targets: ["Apus"]),
    .library(name: "ApusExchange", targets: ["ApusExchange"]),
    .executable(name: "apus", targets: ["ApusCLI"]),
  ],
  dependencies: [
    // The command line: parsing, help, completion and exit codes.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    // Configuration files; its marks give line and column to error messages.
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    // The monitor's HTTP server: small, and without a tree of dependencies of its own.
    .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.0"),
    // The log that alerts go to: what other Swift programs log through, so that their handlers fit.
    .package(url: "https://github.com/apple/swift-log", from: "1.12.0"),
  ],
  targets: [
    // The hot path in C: rings, buckets, slab, books, sockets, framing, scanning, mapped files.
    .target(
      name: "CSupport",
      path: "CSupport",
      cSettings: [
        .enableWarning("all"),
        .enableWarning("extra"),
        .enableWarning("conversion"),
      ],
      linkerSettings: [
        .linkedLibrary("uring"),
        .linkedLibrary("numa"),
        .linkedLibrary("ssl"),
        .linkedLibrary("crypto"),
      ]
    ),
    // What a host is like, judged for a lane; all cold.
    .target(name: "ApusHost", dependencies: ["CSupport"], swiftSettings: swiftSettings),
    // The engine library: one module, so that the optimiser sees every hot call.
    .target(
      name: "Apus",
      dependencies: ["ApusHost", "CSupport", .product(name: "Yams", package: "Yams")],
      swiftSettings: swiftSettings
    ),
    // The other side: matching engine, simulated venues, market flow.
    .target(name: "ApusExchange", dependencies: ["Apus", "CSupport"], swiftSettings: swiftSettings),
    // Reads the telemetry file for people and for Prometheus.
    .target(
      name: "ApusMonitor",
      dependencies: [
        "Apus", "CSupport", .product(name: "FlyingFox", package: "FlyingFox"),
        .product(name: "FlyingSocks", package: "FlyingFox"), .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: swiftSettings
    ),
    // Releases on disk, packed, verified and switched: by operators and by what rolls them out, never by the engine.
    .target(name: "ApusRelease", dependencies: ["Apus", "ApusHost"], swiftSettings: swiftSettings),
    // Rolls a release out beside the one that it replaces: decisions, supervisor and its state on disk; no server, no alerts.
    .target(
      name: "ApusRollout", dependencies: ["Apus", "ApusHost", "ApusRelease", "CSupport"], swiftSettings: swiftSettings),
    // SQLite of the system, for `apus export` alone: its files open everywhere.
    .systemLibrary(name: "CSQLite", path: "Sources/CSQLite", providers: [.apt(["libsqlite3-dev"])]),
    .executableTarget(
      name: "ApusCLI",
      dependencies: [
        "Apus", "ApusExchange", "ApusHost", "ApusMonitor", "ApusRelease", "ApusRollout", "CSQLite",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swiftSettings
    ),
    // What several test targets share.
    .target(
      name: "TestSupport", dependencies: ["Apus", "CSupport"], path: "Tests/TestSupport", swiftSettings: swiftSettings),
    // Embedding, in the fewest lines; built and run by the tests.
    .executableTarget(
      name: "OwnStrategy", dependencies: ["Apus", "CSupport"], path: "Sources/Examples/OwnStrategy",
      swiftSettings: swiftSettings),
    // The lane under the eyes of the guards: sanitizer, machine code, instruction counts.
    .executableTarget(
      name: "LaneReplay", dependencies: ["Apus", "ApusExchange", "CSupport"], path: "Tests/LaneReplay",
      exclude: ["instructions.json"], swiftSettings: swiftSettings),
    .testTarget(name: "CoreTests", dependencies: ["Apus", "CSupport"], swiftSettings: swiftSettings),
    .testTarget(name: "WireTests", dependencies: ["Apus", "CSupport"], swiftSettings: swiftSettings),
    .testTarget(name: "ThalexTests", dependencies: ["Apus", "CSupport", "TestSupport"], swiftSettings: swiftSettings),
    .testTarget(
      name: "ConformanceTests", dependencies: ["Apus", "ApusExchange", "CSupport", "TestSupport"],
      swiftSettings: swiftSettings),
    .testTarget(name: "DeribitTests", dependencies: ["Apus", "CSupport", "TestSupport"], swiftSettings: swiftSettings),
    .testTarget(name: "BybitTests", dependencies: ["Apus", "CSupport"], swiftSettings: swiftSettings),
    .testTarget(name: "StateTests", dependencies: ["Apus", "CSupport", "TestSupport"], swiftSettings: swiftSettings),
    .testTarget(name: "QuotingTests", dependencies: ["Apus", "CSupport", "TestSupport"], swiftSettings: swiftSettings),
    .testTarget(name: "FilesTests", dependencies: ["Apus", "CSupport"], swiftSettings: swiftSettings),
    .testTarget(name: "ConfigTests", dependencies: ["Apus", "CSupport"], swiftSettings: swiftSettings),
    .testTarget(
      name: "ExchangeTests", dependencies: ["ApusExchange", "Apus", "CSupport"], swiftSettings: swiftSettings),
    .testTarget(
      name: "LaneTests", dependencies: ["Apus", "ApusExchange", "ApusMonitor", "CSupport", "TestSupport"],
      swiftSettings: swiftSettings),
    .testTarget(name: "HostTests", dependencies: ["ApusHost", "Apus", "CSupport"], swiftSettings: swiftSettings),
    .testTarget(
      name: "MonitorTests",
      dependencies: [
        "ApusMonitor", "Apus", "CSupport", .product(name: "FlyingFox", package: "FlyingFox"),
        .product(name: "FlyingSocks", package: "FlyingFox"),
      ],
      swiftSettings: swiftSettings),
    .testTarget(name: "ReleaseTests", dependencies: ["ApusRelease", "Apus", "ApusHost"], swiftSettings: swiftSettings),
    .testTarget(
      name: "RolloutTests", dependencies: ["ApusRollout", "Apus", "ApusExchange", "ApusRelease", "CSupport"], swiftSettings: swiftSettings),
    .testTarget(
      name: "EndToEndTests", dependencies: ["Apus", "ApusExchange", "ApusCLI", "CSupport", "OwnStrategy"],
      exclude: ["python", "Rollout/faults.c"],
      swiftSettings: swiftSettings),
    .testTarget(name: "StressTests", dependencies: ["Apus", "CSupport"], swiftSettings: swiftSettings),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
