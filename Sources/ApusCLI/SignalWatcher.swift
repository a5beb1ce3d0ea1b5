import Apus
import CSupport
import Glibc

/// Turns SIGINT and SIGTERM into one call of a closure on a thread of its own, and SIGUSR1 and SIGUSR2 into levels of
/// the kill ladder: no new orders, and cancel all.
///
/// The first SIGINT or SIGTERM calls it; another one, 300 ms later or more, ends the process at once, with 130 for SIGINT
/// (Ctrl-C) and 143 for SIGTERM.
///
/// Waiting for blocked signals (`sigwait`, `signalfd`) would need no handler, but cannot work in a program with an
/// asynchronous `main`: there libdispatch parks the main thread in `sigsuspend` with nothing blocked, and the kernel
/// hands it every signal of the process. So a handler does the least that a handler may: it writes to a pipe, which a
/// small thread reads.
enum SignalWatcher {
  /// Starts to listen; once in a process (a second call traps).
  ///
  /// - Parameters:
  ///   - halt: Called for each SIGUSR1 and SIGUSR2, on the waiting thread; `nil` leaves these signals alone.
  ///   - stop: Called once, on the waiting thread. A signal that comes before this call ends the process.
  static func start(
    halt: (@Sendable (StopLevel) -> Void)? = nil, _ stop: @escaping @Sendable () -> Void
  ) throws(SetupError) {
    precondition(signalPipe < 0, "signals are watched once")
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw SetupError(code: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let wait = Unmanaged.passRetained(Wait(end: ends[0], halt: halt, stop: stop))
    var thread = pthread_t()
    let result = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Wait>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, wait.toOpaque())
    guard result == 0 else {
      wait.release()
      for end in ends { close(end) }
      throw SetupError(code: result)
    }
    pthread_detach(thread)
    // Before the handlers, which read it.
    signalPipe = ends[1]
    for number in [SIGINT, SIGTERM] { signal(number, handle) }
    if halt != nil { for number in [SIGUSR1, SIGUSR2] { signal(number, handleHalt) } }
  }

  /// The signals cannot be listened to.
  struct SetupError: Error, CustomStringConvertible {
    let code: Int32
    var description: String { "could not listen for Ctrl-C: \(String(cString: strerror(code)))" }
  }

  private final class Wait: Sendable {
    private let end: Int32
    private let halt: (@Sendable (StopLevel) -> Void)?
    private let stop: @Sendable () -> Void

    init(end: Int32, halt: (@Sendable (StopLevel) -> Void)?, stop: @escaping @Sendable () -> Void) {
      self.end = end
      self.halt = halt
      self.stop = stop
    }

    func run() {
      while true {
        var byte: UInt8 = 0
        guard read(end, &byte, 1) == 1 else { continue }
        switch byte {
        case 1: stop()
        case 2: halt?(.noNewOrders)
        default: halt?(.cancelAll)
        }
      }
    }
  }
}

/// What the handler needs: written before it is installed, only read by it afterwards.
nonisolated(unsafe) private var signalPipe: Int32 = -1
/// When the first signal came, nanoseconds of the monotonic clock; 0: none has. Only the handler touches it.
nonisolated(unsafe) private var askedAt: Int64 = 0

/// `timeout`, and shells and service managers that signal a process and then its group, send everything twice: that is
/// one wish, not impatience.
private let oneWish: Int64 = 300_000_000

/// In a signal handler: no allocation, no lock, no call but `clock_gettime`, `write` and `_exit`.
private func handle(_ number: Int32) {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  let now = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  if askedAt > 0 {
    if now - askedAt > oneWish { _exit(128 + number) }
    return
  }
  askedAt = now
  var byte: UInt8 = 1
  _ = write(signalPipe, &byte, 1)
}

/// Likewise, for the signals that do not end the run.
private func handleHalt(_ number: Int32) {
  var byte: UInt8 = number == SIGUSR1 ? 2 : 3
  _ = write(signalPipe, &byte, 1)
}
