import Apus
import Foundation
import Glibc
import WireC

/// What the engine's process is told, as one word of JSON in its arguments.
struct EngineOrders: Codable {
  var url: String
  var core: Int
  var directory: String
  var caFile: String?
  var instruments: Int
  var followsMark: Bool
  var journal: Bool
  var idle: IdleStrategy
}

struct WireError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// The engine in a process of its own: the real one, through its public entry, pinned and spinning.
///
/// It can be stopped for a while (SIGSTOP), so that something else may have its core, and it dies with its parent.
final class EngineProcess {
  static let argument = "--run-engine"

  private let process: pid_t
  private let input: Int32
  private let output: FileHandle
  private var hasEnded = false
  private(set) var isPaused = false
  var id: pid_t { process }

  init(_ orders: EngineOrders) throws {
    var toChild: [Int32] = [0, 0]
    var fromChild: [Int32] = [0, 0]
    guard pipe(&toChild) == 0, pipe(&fromChild) == 0 else { throw WireError("could not make a pipe") }
    for end in [toChild[1], fromChild[0]] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
    posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
    posix_spawn_file_actions_addclose(&actions, toChild[0])
    posix_spawn_file_actions_addclose(&actions, fromChild[1])
    let text = String(decoding: try JSONEncoder().encode(orders), as: UTF8.self)
    let arguments: [String] = ["Wire", Self.argument, text]
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    words.append(nil)
    defer { words.forEach { free($0) } }
    var child = pid_t()
    let code = posix_spawn(&child, "/proc/self/exe", &actions, nil, &words, environ)
    close(toChild[0])
    close(fromChild[1])
    guard code == 0 else { throw WireError("could not start the engine's process: \(String(cString: strerror(code)))") }
    process = child
    input = toChild[1]
    output = FileHandle(fileDescriptor: fromChild[0], closeOnDealloc: true)
  }

  deinit {
    guard !hasEnded else { return }
    kill(process, SIGKILL)
    close(input)
    var status: Int32 = 0
    waitpid(process, &status, 0)
  }

  func pause() {
    guard !isPaused else { return }
    isPaused = true
    kill(process, SIGSTOP)
    var status: Int32 = 0
    waitpid(process, &status, WUNTRACED)
  }

  func resume() {
    guard isPaused else { return }
    isPaused = false
    kill(process, SIGCONT)
  }

  /// Tells it to stop; the venue must go on answering meanwhile. Then `report`.
  func askToStop() {
    resume()
    close(input)
  }

  /// Waits for its end.
  func report() throws -> EngineReport {
    let data = output.readDataToEndOfFile()
    var status: Int32 = 0
    waitpid(process, &status, 0)
    hasEnded = true
    guard let report = try? JSONDecoder().decode(EngineReport.self, from: data) else {
      throw WireError("the engine's process ended without a report; its own message is above")
    }
    return report
  }

  // MARK: - In the child

  static func run(_ text: String) -> Never {
    wire_die_with_parent()
    do {
      let orders = try JSONDecoder().decode(EngineOrders.self, from: Data(text.utf8))
      let engine = Engine(try configuration(orders))
      Thread.detachNewThread {
        var byte: UInt8 = 0
        while read(0, &byte, 1) > 0 {}
        engine.requestStop()
      }
      let report = try engine.run()
      FileHandle.standardOutput.write(try JSONEncoder().encode(report))
      exit(0)
    } catch {
      FileHandle.standardError.write(Data("wire: the engine: \(error)\n".utf8))
      exit(1)
    }
  }

  private static func configuration(_ orders: EngineOrders) throws -> Configuration {
    let key = try SigningKey.generate()
    let keyFile = "\(orders.directory)/key.pem"
    unlink(keyFile)
    let file = open(keyFile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    let isWritten = try key.withPrivatePEM { write(file, $0.baseAddress, $0.count) == $0.count }
    close(file)
    guard isWritten else { throw WireError("could not write \(keyFile)") }
    return Configuration(
      engine: EngineSection(
        name: "wire", core: .core(orders.core), idle: orders.idle,
        // The faster one for a single connection that is spun on; Benchmarks/Drivers compares both.
        driver: .epoll, dataDirectory: "\(orders.directory)/data",
        journal: orders.journal),
      venue: VenueSection(
        url: orders.url, keyID: "wire", privateKeyFile: keyFile, caFile: orders.caFile,
        cancelOnDisconnectSeconds: 60),
      instruments: Script.names(orders.instruments).map { name in
        InstrumentSection(
          name: name, ladder: Script.ladder(followsMark: orders.followsMark),
          limits: LimitsSection(
            maxPosition: DecimalE8(e8: 100_000_000), maxOrder: DecimalE8(e8: 100_000_000),
            maxNotional: DecimalE8(e8: 100_000_000 * 100_000_000), collarBps: DecimalE8(e8: 200 * 100_000_000),
            maxOrders: 12),
          bookDepth: Script.depth, staleAfterMs: 3_600_000)
      },
      // Its venue's times are those of a script, and it serves one connection.
      safety: .off, watchdog: WatchdogSection(enabled: false))
  }
}
