public import CSupport

/// Nanoseconds of CLOCK_MONOTONIC, read from the processor's counter where it can be trusted.
///
/// For lanes and drivers. Decision code never reads it: time is passed in.
public enum EngineClock {
  /// Finds and calibrates the counter (20 ms, once); until then readings come from the kernel.
  @discardableResult
  public static func start() -> ClockSource { apus_clock_start() }

  public static var source: ClockSource { apus_clock_source_now() }

  /// Now. Never less than an earlier reading of this thread. Any thread.
  @inlinable @inline(always) @_noLocks
  public static func now() -> Nanoseconds { apus_clock_now_ns() }

  /// Now, read after everything that this thread has loaded before: never less than a reading that another
  /// thread has handed over. A few nanoseconds dearer.
  @inlinable @inline(always) @_noLocks
  public static func orderedNow() -> Nanoseconds { apus_clock_now_ordered_ns() }

  /// Brings the counter's line back to the kernel's clock: from a helper thread, about once a second.
  @discardableResult
  public static func refit() -> ClockFit { apus_clock_refit() }

  /// Unix time less this clock. It changes when the wall clock is set or slewed.
  public static func wallOffset() -> Nanoseconds { apus_clock_wall_offset_ns() }
}
