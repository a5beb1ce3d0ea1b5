import Foundation
import Synchronization

/// A program started by a test: its output is gathered, its end is waited for, and it does not outlive the test.
final class ChildProcess {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  private let process = Process()
  private let lines = Lines()
  private let errors = Lines()
  private let name: String

  /// What a pipe has brought so far.
  private final class Lines: Sendable {
    private let text = Mutex<[UInt8]>([])
    private let ended = DispatchSemaphore(value: 0)

    /// Reads on a thread of its own until the other side closes.
    func gather(_ handle: FileHandle) {
      let file = handle.fileDescriptor
      Thread { [self] in
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
          let count = read(file, &chunk, chunk.count)
          guard count > 0 || (count < 0 && errno == EINTR) else { break }
          if count > 0 { text.withLock { $0 += chunk[..<count] } }
        }
        ended.signal()
        // The handle lives until here.
        withExtendedLifetime(handle) {}
      }.start()
    }

    var content: String { text.withLock { String(decoding: $0, as: UTF8.self) } }
    func waitForEnd(_ time: DispatchTime) { _ = ended.wait(timeout: time) }
  }

  init(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws {
    name = program.split(separator: "/").last.map(String.init) ?? program
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    let out = Pipe()
    let err = Pipe()
    process.standardOutput = out
    process.standardError = err
    try process.run()
    lines.gather(out.fileHandleForReading)
    errors.gather(err.fileHandleForReading)
  }

  deinit {
    guard process.isRunning else { return }
    // Not SIGTERM: a child may have been started with that blocked.
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  var output: String { lines.content }
  var errorOutput: String { errors.content }

  func terminate() { kill(process.processIdentifier, SIGTERM) }
  func interrupt() { kill(process.processIdentifier, SIGINT) }

  /// The first whole line of output that starts with `prefix`.
  func line(startingWith prefix: String, seconds: Double) throws -> String {
    let end = Date().addingTimeInterval(seconds)
    while true {
      let text = output
      let whole = text[..<(text.lastIndex(of: "\n") ?? text.startIndex)]
      if let line = whole.split(separator: "\n").first(where: { $0.hasPrefix(prefix) }) { return String(line) }
      guard process.isRunning, Date() < end else {
        throw Failure(description: "\(name) did not print '\(prefix)…'; it printed: \(output)\(errorOutput)")
      }
      usleep(10_000)
    }
  }

  /// The exit code; it is killed, and that is an error, if it does not end in time.
  func waitForExit(seconds: Double) throws -> Int32 {
    let end = Date().addingTimeInterval(seconds)
    while process.isRunning {
      guard Date() < end else {
        kill(process.processIdentifier, SIGKILL)
        throw Failure(description: "\(name) did not end within \(seconds) s; it printed: \(output)\(errorOutput)")
      }
      usleep(10_000)
    }
    process.waitUntilExit()
    lines.waitForEnd(.now() + 5)
    errors.waitForEnd(.now() + 5)
    return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
  }
}

/// Places that the tests need.
enum Places {
  /// The command line's binary, which is built beside the test bundle.
  static func apus() throws -> String {
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    var folder = URL(fileURLWithPath: tests).deletingLastPathComponent()
    let bundles = CommandLine.arguments.filter { $0.hasSuffix(".xctest") }.map {
      URL(fileURLWithPath: $0).deletingLastPathComponent()
    }
    for candidate in [folder] + bundles where FileManager.default.isExecutableFile(atPath: candidate.path + "/apus") {
      folder = candidate
      return folder.path + "/apus"
    }
    throw ChildProcess.Failure(description: "there is no binary 'apus' in \(folder.path); build the product apus first")
  }

  static var package: String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .path
  }
  static var pythonScripts: String { package + "/Tests/EndToEndTests/python" }
}

/// A directory, readable by nobody else, that goes away with its owner.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "/apus-e2e-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }
}
