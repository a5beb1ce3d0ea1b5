import Apus
import Foundation
import Testing

@testable import ApusRelease

/// A directory with a program and configurations, and a root for releases of them; goes away with the test.
final class ReleaseRoom {
  let path: String
  var root: ReleaseRoot { ReleaseRoot(path: "\(path)/releases") }

  init() throws {
    path = "\(NSTemporaryDirectory())/apus-release-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try write("#!/bin/sh\necho one\n", to: "apus", mode: 0o755)
    try write("#!/bin/sh\necho another\n", to: "apus-2", mode: 0o755)
    for (mode, text) in Self.configurations { try write(text, to: "\(mode).yaml") }
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func write(_ text: String, to name: String, mode: Int = 0o600) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: file(name)))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file(name))
  }

  func text(_ name: String) throws -> String { try String(contentsOfFile: file(name), encoding: .utf8) }
  func names(_ name: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: file(name)).sorted()
  }

  /// The same strategy in each mode.
  static let configurations: [EngineMode: String] = [
    .simulated: configuration("ws://127.0.0.1:8765/ws/api/v2"),
    .shadow: configuration(
      "wss://thalex.com/ws/api/v2", data: "shadow", more: "mode: shadow", end: "shadow: {queue_model: log}\n"),
    .testnet: configuration("wss://testnet.thalex.com/ws/api/v2", key: "T1", data: "test"),
    .production: configuration("wss://thalex.com/ws/api/v2", key: "P1", data: "prod", more: "mode: production"),
  ]

  static func configuration(
    _ url: String, key: String = "K1", data: String = "data", more: String = "idle: park", end: String = ""
  ) -> String {
    """
    engine:
      name: desk_1
      data_directory: \(data)
      \(more == "idle: park" ? more : "idle: park\n  " + more)
    venue: {url: "\(url)", key_id: \(key), private_key_file: \(key).pem}
    instruments:
      - name: BTC-PERPETUAL
        ladder: {levels: 1, half_spread_bps: 1, step_ticks: 1, size: 0.01, skew_bps: 1}
        limits: {max_position: 0.1, max_order: 0.1, max_notional: 10000, collar_bps: 50, max_orders: 4}
    \(end)
    """
  }

  func packing(
    _ name: String, _ mode: EngineMode = .simulated, program: ReleasePacking.Program? = nil,
    configuration: String? = nil,
    note: String? = nil
  ) -> ReleasePacking {
    ReleasePacking(
      root: root, name: name, configurationPath: configuration.map(file) ?? file("\(mode).yaml"),
      program: program ?? .file(file("apus")), note: note)
  }

  @discardableResult func pack(
    _ name: String, _ mode: EngineMode = .simulated, program: ReleasePacking.Program? = nil,
    configuration: String? = nil
  ) throws -> Release {
    try packing(name, mode, program: program, configuration: configuration).run(describe: Self.describe)
  }

  static func describe(_ program: String, _ configuration: String) throws(ReleaseError) -> ReleaseSubject {
    do {
      return ReleaseSubject(try ConfigurationFile.load(path: configuration), libraries: [])
    } catch {
      throw ReleaseError(.configuration, error.description)
    }
  }

  /// A report of a run of that release that went well, with what `change` makes of it.
  @discardableResult func report(
    of release: Release, run: Int = 1, _ change: (inout [String: Any]) -> Void = { _ in }
  ) throws -> String {
    let manifest = release.manifest
    var report: [String: Any] = [
      "mode": manifest.mode.rawValue, "configuration_sha256": manifest.configurationSha256,
      "program_sha256": manifest.program["apus"] ?? "", "seconds": 61.5, "is_stop_verified": true, "orders_left": 0,
      "unknown_orders": 0, "limit_breaches": 0, "messages_sent": 10, "runs": [run],
    ]
    change(&report)
    let path = file("report.json")
    try JSONSerialization.data(withJSONObject: report).write(to: URL(fileURLWithPath: path))
    return path
  }

  func pass(_ release: Release, run: Int = 1) throws {
    _ = try release.recordPass(mode: release.manifest.mode, reportPath: report(of: release, run: run))
  }
}

/// The error that `body` must throw.
func failure(
  _ kind: ReleaseError.Kind, _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation,
  of body: () throws -> Void
) {
  do {
    try body()
    Issue.record("it was not refused", sourceLocation: sourceLocation)
  } catch let error as ReleaseError {
    #expect(error.kind == kind, "\(error)", sourceLocation: sourceLocation)
    for part in parts { #expect(error.description.contains(part), "\(error)", sourceLocation: sourceLocation) }
  } catch {
    Issue.record("another error: \(error)", sourceLocation: sourceLocation)
  }
}
