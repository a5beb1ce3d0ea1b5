import Foundation
import Testing

/// One of the programs that were built beside the tests, run as a user would run it.
final class Program: @unchecked Sendable {
  // Sendable: what the reading threads touch is behind the lock.
  private let process = Process()
  private let lock = NSLock()
  private var outText = ""
  private var errText = ""
  private let readers = DispatchGroup()

  static var buildDirectory: URL {
    URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
  }

  init(_ name: String = "apus", _ arguments: [String], shell prefix: String? = nil, environment: [String: String] = [:])
    throws
  {
    let path = Self.buildDirectory.appendingPathComponent(name).path
    if let prefix {
      process.executableURL = URL(fileURLWithPath: "/bin/bash")
      process.arguments = ["-c", "\(prefix); exec \"$0\" \"$@\"", path] + arguments
    } else {
      process.executableURL = URL(fileURLWithPath: path)
      process.arguments = arguments
    }
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let out = Pipe()
    let err = Pipe()
    process.standardOutput = out
    process.standardError = err
    process.standardInput = FileHandle.nullDevice
    try process.run()
    // Weak: a reading thread lives as long as the program, which would live as long as the thread.
    read(out) { [weak self] in self?.outText += $0 }
    read(err) { [weak self] in self?.errText += $0 }
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  private func read(_ pipe: Pipe, _ note: @escaping @Sendable (String) -> Void) {
    readers.enter()
    let lock = lock
    let readers = readers
    Thread.detachNewThread {
      while case let data = pipe.fileHandleForReading.availableData, !data.isEmpty {
        lock.withLock { note(String(decoding: data, as: UTF8.self)) }
      }
      readers.leave()
    }
  }

  var out: String { lock.withLock { outText } }
  var err: String { lock.withLock { errText } }
  var isRunning: Bool { process.isRunning }
  var identifier: Int32 { process.processIdentifier }

  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Waits for a text on standard output; false if it does not come in time.
  func waitFor(_ text: String, seconds: Double = 20) -> Bool {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
      if out.contains(text) { return true }
      if !process.isRunning { break }
      usleep(10_000)
    }
    return out.contains(text)
  }

  /// The exit code; the process is killed, and the test fails, if it does not end in time.
  func wait(seconds: Double = 60) -> Int32 {
    let deadline = Date().addingTimeInterval(seconds)
    while process.isRunning, Date() < deadline { usleep(10_000) }
    if process.isRunning {
      Issue.record("the program did not end within \(seconds) s; standard error: \(err)")
      kill(process.processIdentifier, SIGKILL)
    }
    process.waitUntilExit()
    _ = readers.wait(timeout: .now() + 5)
    return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
  }
}

/// A directory that goes away with the test.
final class Room {
  let path: String

  init() throws {
    path = "\(NSTemporaryDirectory())/apus-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  /// One instrument of a configuration, with a small ladder and small limits.
  static func quoted(_ instrument: String = "BTC-PERPETUAL") -> String {
    """
    instruments:
      - name: \(instrument)
        ladder: {levels: 2, half_spread_bps: 0.3, step_ticks: 2, size: 0.02, skew_bps: 1.0}
        limits: {max_position: 0.5, max_order: 0.1, max_notional: 20000, collar_bps: 100, max_orders: 12}
    """
  }

  func write(_ text: String, to name: String, mode: Int = 0o600) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: file(name)))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file(name))
  }

  func json(_ name: String) throws -> [String: Any] {
    let data = try Data(contentsOf: URL(fileURLWithPath: file(name)))
    return try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
  }
}
