import Apus
import ApusHost
import Foundation

/// An engine as a process of its own, which outlives its supervisor.
///
/// What tells that it lives is a lock that it inherited and that goes with it: no process id can be mistaken for another
/// one's, and a supervisor that comes later sees it too. One thread.
final class EngineProcess {
  private let lockPath: String
  private var child: pid_t?
  private(set) var exitCode: Int32?

  /// - Parameter lockPath: of a file for this purpose alone.
  init(lockPath: String) { self.lockPath = lockPath }

  /// Starts `program`, unless one that was started here runs.
  ///
  /// - Parameters:
  ///   - arguments: behind the program's name.
  ///   - environment: beside the supervisor's own.
  ///   - log: what it prints goes to the end of this file.
  func start(
    _ program: String, _ arguments: [String], environment: [String: String] = [:], log: String
  ) throws(SystemError) {
    let lock = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0 else { throw SystemError("open \(lockPath)", result: -errno) }
    defer { close(lock) }
    if flock(lock, LOCK_EX | LOCK_NB) != 0 { return }
    exitCode = nil
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    // The same open file, so the same lock; without the flag that would close it.
    posix_spawn_file_actions_adddup2(&actions, lock, Self.inheritedLock)
    Self.keepFilesToOurselves()
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    // A session of its own: the supervisor's terminal does not end it.
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | Int16(Self.newSession))
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    let variables = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
    let words = Self.cStrings([program] + arguments)
    let settings = Self.cStrings(variables.map { "\($0)=\($1)" }.sorted())
    defer { (words + settings).forEach { free($0) } }
    var identifier = pid_t()
    let code = posix_spawn(&identifier, program, &actions, &attributes, words, settings)
    guard code == 0 else { throw SystemError("start \(program)", result: -code) }
    child = identifier
    // For a supervisor that comes later.
    let text = Array("\(identifier)\n".utf8)
    _ = ftruncate(lock, 0)
    _ = pwrite(lock, text, text.count, 0)
  }

  /// Ended by `nil`; to be freed.
  private static func cStrings(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] { texts.map { strdup($0) } + [nil] }

  private static let inheritedLock: Int32 = 3

  /// Whoever started the supervisor may have left it more open files than it knows of, and who reads a pipe among them must
  /// not wait for the engine's end.
  private static func keepFilesToOurselves() {
    for name in HostTree().names(in: "/proc/self/fd") {
      guard let file = Int32(name), file > 2 else { continue }
      _ = fcntl(file, F_SETFD, FD_CLOEXEC)
    }
  }
  /// POSIX_SPAWN_SETSID of glibc 2.26.
  private static let newSession: Int32 = 0x80

  /// Exact, also where another supervisor has started it.
  var isRunning: Bool {
    reap()
    // Its files close a moment before its end can be asked for: until then it counts as running.
    if child != nil { return true }
    let lock = open(lockPath, O_RDWR | O_CLOEXEC)
    guard lock >= 0 else { return false }
    defer { close(lock) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else { return true }
    return false
  }

  /// While it lives: the child of this supervisor, or of one before it.
  var identifier: pid_t? {
    reap()
    if let child { return child }
    guard isRunning, let text = try? String(contentsOfFile: lockPath, encoding: .utf8) else { return nil }
    return pid_t(text.prefix { $0.isNumber })
  }

  private func reap() {
    guard let child else { return }
    var word: Int32 = 0
    guard waitpid(child, &word, WNOHANG) == child else { return }
    exitCode = word & 0x7F == 0 ? (word >> 8) & 0xFF : 128 + (word & 0x7F)
    self.child = nil
  }

  /// For people: `code 70`, or `signal 11 (Segmentation fault)`.
  var ending: String? {
    guard let exitCode else { return nil }
    guard exitCode > 128 else { return "code \(exitCode)" }
    return "signal \(exitCode - 128) (\(strsignal(exitCode - 128).map { String(cString: $0) } ?? "unknown"))"
  }
}
