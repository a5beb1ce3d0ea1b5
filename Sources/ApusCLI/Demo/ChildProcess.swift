import Foundation
import Glibc

/// A child in a process group of its own, so that Ctrl-C reaches only its parent, which ends it in order.
final class ChildProcess {
  let name: String
  private let id: pid_t
  private var status: Int32?
  /// The child's standard output.
  private let output: FileHandle

  struct StartFailure: Error, CustomStringConvertible {
    let description: String
  }

  /// Starts this program again with other arguments.
  init(_ name: String, arguments: [String]) throws {
    self.name = name
    var pipes: [Int32] = [0, 0]
    guard pipe(&pipes) == 0 else {
      throw StartFailure(description: "could not make a pipe: \(String(cString: strerror(errno)))")
    }
    // Neither end is to be inherited by children as it is; standard output gets a copy below.
    _ = fcntl(pipes[0], F_SETFD, FD_CLOEXEC)
    _ = fcntl(pipes[1], F_SETFD, FD_CLOEXEC)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    // Signals that the parent watches are blocked there; a child starts with none blocked.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    var words: [UnsafeMutablePointer<CChar>?] = (["apus"] + arguments).map { strdup($0) }
    words.append(nil)
    defer { words.forEach { free($0) } }
    var child = pid_t()
    let code = posix_spawn(&child, "/proc/self/exe", &actions, &attributes, words, environ)
    close(pipes[1])
    guard code == 0 else {
      close(pipes[0])
      throw StartFailure(description: "could not start \(name): \(String(cString: strerror(code)))")
    }
    id = child
    output = FileHandle(fileDescriptor: pipes[0], closeOnDealloc: true)
  }

  /// Reads the child's output up to the first line that starts with `prefix`; nil if it ends before.
  func waitForLine(prefix: String) -> String? {
    var line = ""
    while let byte = try? output.read(upToCount: 1), let first = byte.first {
      if first == 0x0A {
        if line.hasPrefix(prefix) { return line }
        line = ""
      } else {
        line.unicodeScalars.append(Unicode.Scalar(first))
      }
    }
    return nil
  }

  /// Goes on reading what it prints, so that it never waits for a reader; tells each line.
  func watchOutput(_ note: @escaping @Sendable (String) -> Void = { _ in }) {
    let output = output
    Thread.detachNewThread {
      var rest = Data()
      // `availableData` gives what there is; `read(upToCount:)` would wait for all of it.
      while case let data = output.availableData, !data.isEmpty {
        rest += data
        while let end = rest.firstIndex(of: 0x0A) {
          note(String(decoding: rest[..<end], as: UTF8.self))
          rest = Data(rest[rest.index(after: end)...])
        }
      }
    }
  }

  /// The exit code once it has ended (128 + signal if one ended it), nil while it runs.
  func poll() -> Int32? {
    if status == nil {
      var word: Int32 = 0
      if waitpid(id, &word, WNOHANG) == id { status = word & 0x7F == 0 ? (word >> 8) & 0xFF : 128 + (word & 0x7F) }
    }
    return status
  }

  /// Nothing happens if it has ended.
  func signal(_ number: Int32) { if poll() == nil { Glibc.kill(id, number) } }

  /// `kill -9`.
  func kill() { signal(SIGKILL) }

  func terminate() { signal(SIGTERM) }

  /// Waits for the end, at most `seconds`; then ends it by force.
  @discardableResult
  func wait(seconds: Double) -> Int32 {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
      if let code = poll() { return code }
      usleep(5000)
    }
    Glibc.kill(id, SIGKILL)
    while poll() == nil { usleep(1000) }
    return poll() ?? 128
  }
}
