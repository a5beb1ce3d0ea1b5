import Apus
import Glibc

/// How long each stress test runs: `APUS_STRESS_SECONDS`, 1 if it is not set. `tools/stress --seconds N` sets it.
enum StressTime {
  static let seconds: Double = {
    guard let text = unsafe getenv("APUS_STRESS_SECONDS") else { return 1 }
    let words = unsafe String(cString: text)
    guard let seconds = Double(words), seconds > 0, seconds <= 86_400 else {
      preconditionFailure("APUS_STRESS_SECONDS is \"\(words)\": it must be a number above 0, at most 86400")
    }
    return seconds
  }()

  /// When a test that starts now ends, a `part` of the time being its own; on the clock of `now`.
  static func end(part: Double = 1) -> Nanoseconds { now + Nanoseconds(seconds * part * 1e9) }

  static var now: Nanoseconds {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Nanoseconds(time.tv_sec) * 1_000_000_000 + Nanoseconds(time.tv_nsec)
  }
}
