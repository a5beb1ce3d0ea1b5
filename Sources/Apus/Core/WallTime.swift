import Glibc

/// Moments as people and other programs read them.
package enum WallTime {
  /// UTC, RFC 3339, whole seconds.
  ///
  /// - Parameter time: ns since 1970.
  package static func text(of time: Nanoseconds) -> String {
    var seconds = time_t(time / 1_000_000_000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func two(_ value: CInt) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let date = "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    return "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
  }

  package static func now() -> String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return text(of: Nanoseconds(time.tv_sec) * 1_000_000_000)
  }
}
