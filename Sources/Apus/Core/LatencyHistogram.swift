public import CSupport

/// Latencies in fixed memory (15 KiB): each power of two is cut into 32 buckets, all of 0 … 2⁶³ − 1 fits.
///
/// One thread writes. The static functions do the same on a histogram that lies elsewhere, such as in
/// the mapped telemetry file; reading one is safe beside its writer, also from another process.
@safe
public struct LatencyHistogram: ~Copyable, @unchecked Sendable {
  // Sendable: memory of its own, and being noncopyable, one owner.
  @usableFromInline let histogram: UnsafeMutablePointer<apus_histogram>

  /// An empty histogram.
  public init() {
    let raw = UnsafeMutableRawPointer.allocate(
      byteCount: MemoryLayout<apus_histogram>.size, alignment: Int(APUS_CACHE_LINE))
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<apus_histogram>.size)
    unsafe histogram = unsafe raw.assumingMemoryBound(to: apus_histogram.self)
  }

  deinit { unsafe UnsafeMutableRawPointer(histogram).deallocate() }

  /// Counts one value; a negative one counts as 0.
  @inlinable @inline(always) @_noLocks
  public mutating func record(_ value: Nanoseconds) { unsafe apus_histogram_record(histogram, value) }

  /// Values counted so far.
  public var count: UInt64 { unsafe apus_histogram_count(histogram) }
  /// Sum of the values.
  public var sum: UInt64 { unsafe apus_histogram_sum(histogram) }
  /// The greatest value, exact; 0 if there is none.
  public var max: Nanoseconds { unsafe Nanoseconds(clamping: apus_histogram_max(histogram)) }

  /// The bound that `percent` of the values do not exceed: never too low, at most 3.2 % too high, and
  /// never above `max`. 0 if there are no values.
  public func percentile(_ percent: Double) -> Nanoseconds { unsafe Self.percentile(percent, of: histogram) }

  /// How many values lie in buckets wholly at or below `value`: a cumulative Prometheus bucket.
  public func count(upTo value: Nanoseconds) -> UInt64 { unsafe Self.count(upTo: value, of: histogram) }

  /// Adds what `other` holds.
  public mutating func merge(_ other: borrowing LatencyHistogram) {
    unsafe apus_histogram_merge(histogram, other.histogram)
  }

  /// What it holds now, apart from what comes later.
  public func snapshot() -> LatencyHistogram { unsafe Self.snapshot(of: histogram) }

  /// Leaves the values counted since `earlier`, an older snapshot of the same histogram, was taken.
  public mutating func subtract(_ earlier: borrowing LatencyHistogram) {
    unsafe apus_histogram_subtract(histogram, earlier.histogram)
  }

  public mutating func reset() { unsafe apus_histogram_reset(histogram) }

  // MARK: Histograms in memory of others

  /// Bytes of one histogram; zeroed memory is an empty one. Aligned to 8.
  public static var byteCount: Int { MemoryLayout<apus_histogram>.size }

  /// Counts one value. The one writer's thread.
  @inlinable @inline(always) @_noLocks
  public static func record(_ value: Nanoseconds, in histogram: UnsafeMutablePointer<apus_histogram>) {
    unsafe apus_histogram_record(histogram, value)
  }

  /// As the property of the same name. Any thread or process.
  public static func count(of histogram: UnsafePointer<apus_histogram>) -> UInt64 {
    unsafe apus_histogram_count(histogram)
  }

  public static func sum(of histogram: UnsafePointer<apus_histogram>) -> UInt64 {
    unsafe apus_histogram_sum(histogram)
  }

  public static func max(of histogram: UnsafePointer<apus_histogram>) -> Nanoseconds {
    unsafe Nanoseconds(clamping: apus_histogram_max(histogram))
  }

  public static func percentile(_ percent: Double, of histogram: UnsafePointer<apus_histogram>) -> Nanoseconds {
    let perMillion = UInt32(Swift.max(0, Swift.min(1_000_000, (percent * 10_000).rounded())))
    return unsafe Nanoseconds(clamping: apus_histogram_percentile(histogram, perMillion))
  }

  /// How many values lie in buckets wholly at or below `value`: a cumulative Prometheus bucket.
  public static func count(upTo value: Nanoseconds, of histogram: UnsafePointer<apus_histogram>) -> UInt64 {
    value < 0 ? 0 : unsafe apus_histogram_count_up_to(histogram, UInt64(value))
  }

  /// A copy whose count is the sum of its buckets, whatever the writer does meanwhile.
  public static func snapshot(of histogram: UnsafePointer<apus_histogram>) -> LatencyHistogram {
    let copy = LatencyHistogram()
    unsafe apus_histogram_copy(copy.histogram, histogram)
    return copy
  }
}
