import CSupport
import Testing

@testable import Apus

@Suite struct LatencyHistogramTests {
  @Test func `an empty histogram has no values and percentiles of 0`() {
    let histogram = LatencyHistogram()
    #expect(histogram.count == 0 && histogram.sum == 0 && histogram.max == 0)
    #expect(histogram.percentile(50) == 0 && histogram.percentile(100) == 0)
  }

  @Test func `the buckets cover every value once, in order, each at most a 32nd as wide as its values`() {
    var next: UInt64 = 0
    for index in 0..<UInt32(1888) {
      let low = apus_histogram_bucket_low(index)
      let high = apus_histogram_bucket_high(index)
      let width = high - low + 1
      guard low == next, apus_histogram_index(low) == index, apus_histogram_index(high) == index,
        width == 1 || width * 32 <= low
      else {
        Issue.record("bucket \(index): \(low) ... \(high)")
        return
      }
      next = high + 1
    }
    #expect(next == 1 << 63)
  }

  @Test(arguments: [0, 1, 31, 32, 63, 64, 65, 999, 60_000_000_000, Int64.max] as [Int64])
  func `a single value is reported exactly by every percentile`(value: Int64) {
    var histogram = LatencyHistogram()
    histogram.record(value)
    #expect(histogram.count == 1 && histogram.max == value && histogram.sum == UInt64(value))
    #expect(histogram.percentile(0) == value && histogram.percentile(50) == value && histogram.percentile(100) == value)
  }

  @Test func `a negative latency counts as 0`() {
    var histogram = LatencyHistogram()
    histogram.record(-5)
    histogram.record(.min)
    #expect(histogram.count == 2 && histogram.sum == 0 && histogram.max == 0 && histogram.percentile(100) == 0)
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `percentiles are never below the sorted values' and at most a 32nd above`(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var histogram = LatencyHistogram()
    var values: [Int64] = []
    for _ in 0..<30_000 {
      // All magnitudes from 1 ns to 70 s.
      let value = Int64(random.next() >> UInt64.random(in: 28...63, using: &random))
      values.append(value)
      histogram.record(value)
    }
    values.sort()
    #expect(histogram.count == 30_000)
    #expect(histogram.max == values.last)
    #expect(histogram.sum == values.reduce(0) { $0 + UInt64($1) })
    for percent in [0.0, 0.01, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 100] {
      let perMillion = Int(percent * 10_000)
      let rank = max(1, (perMillion * values.count + 999_999) / 1_000_000)
      let exact = values[rank - 1]
      let reported = histogram.percentile(percent)
      #expect(reported >= exact && reported - exact <= exact / 32, "\(percent) %, seed \(seed)")
    }
  }

  @Test func `merged halves equal the whole`() {
    var random = SplitMix64(seed: 9)
    var whole = LatencyHistogram()
    var left = LatencyHistogram()
    var right = LatencyHistogram()
    for _ in 0..<5000 {
      let value = Int64(random.next() >> UInt64.random(in: 30...63, using: &random))
      whole.record(value)
      if value % 2 == 0 { left.record(value) } else { right.record(value) }
    }
    left.merge(right)
    let isSame = left.isSame(as: whole)
    #expect(isSame)
  }

  @Test func `a snapshot stands still, and subtracting it leaves what came later`() {
    var histogram = LatencyHistogram()
    for value in 1...1000 as ClosedRange<Int64> { histogram.record(value) }
    histogram.record(1_000_000)
    let earlier = histogram.snapshot()
    for value in 1...100 as ClosedRange<Int64> { histogram.record(value * 10) }
    #expect(earlier.count == 1001 && histogram.count == 1101)

    var interval = histogram.snapshot()
    interval.subtract(earlier)
    #expect(interval.count == 100 && interval.sum == 50_500)
    // The maximum of the interval is known to its bucket only.
    #expect(interval.max >= 1000 && interval.max <= 1031)
    #expect(interval.percentile(50) >= 500 && interval.percentile(50) <= 515)

    let same = interval.snapshot()
    interval.subtract(same)
    #expect(interval.count == 0 && interval.max == 0 && interval.sum == 0)
  }

  @Test func `subtracting across a reset leaves all that came since`() {
    var histogram = LatencyHistogram()
    for _ in 0..<10 { histogram.record(5) }
    let earlier = histogram.snapshot()
    histogram.reset()
    let isEmpty = histogram.isSame(as: LatencyHistogram())
    #expect(isEmpty)
    histogram.record(7)
    var interval = histogram.snapshot()
    interval.subtract(earlier)
    #expect(interval.count == 1 && interval.sum == 7 && interval.max == 7)
  }

  @Test func `zeroed memory of others' is an empty histogram`() throws {
    let memory = try LockedMemory(count: LatencyHistogram.byteCount, wishes: [])
    let histogram = unsafe memory.base.assumingMemoryBound(to: apus_histogram.self)
    for value in 0..<100 as Range<Int64> { unsafe LatencyHistogram.record(value, in: histogram) }
    unsafe #expect(LatencyHistogram.count(of: histogram) == 100)
    unsafe #expect(LatencyHistogram.max(of: histogram) == 99)
    unsafe #expect(LatencyHistogram.sum(of: histogram) == 4950)
    unsafe #expect(LatencyHistogram.percentile(50, of: histogram) == 49)
    unsafe #expect(LatencyHistogram.count(upTo: 9, of: histogram) == 10)
    unsafe #expect(LatencyHistogram.count(upTo: -1, of: histogram) == 0)
    unsafe #expect(LatencyHistogram.count(upTo: .max, of: histogram) == 100)
    let copy = unsafe LatencyHistogram.snapshot(of: histogram)
    #expect(copy.count == 100)
  }
}

extension LatencyHistogram {
  borrowing func isSame(as other: borrowing LatencyHistogram) -> Bool {
    for index in 0..<UInt32(1888) {
      let mine = unsafe apus_histogram_bucket_count(histogram, index)
      let theirs = unsafe apus_histogram_bucket_count(other.histogram, index)
      if mine != theirs { return false }
    }
    return count == other.count && sum == other.sum && max == other.max
  }
}
