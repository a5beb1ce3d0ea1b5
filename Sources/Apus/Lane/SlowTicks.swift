import Glibc

/// When a lane's slow ticks were: the last of them, in memory of their own, for a profiler to look into.
///
/// A tick is a turn of the lane in which events arrived, from its first stamp to its end. One thread. Noting one
/// neither allocates nor calls the kernel. Times are those of `EngineClock`, which keeps to CLOCK_MONOTONIC within
/// some microseconds, so that they can be laid beside samples taken by that clock.
struct SlowTicks: ~Copyable {
  struct Entry: Equatable {
    var begin: Nanoseconds
    var end: Nanoseconds
    /// Orders that the tick sent.
    var orders: Int
  }

  /// Slow ticks that are kept, 3 MB; each later one takes the place of the oldest.
  static let capacity = 1 << 17

  /// Off, nothing is kept, and the lane need not read the clock for it.
  let isOn: Bool
  /// A tick that took longer is slow, ns.
  let threshold: Nanoseconds
  /// Slow ticks ever, those no longer kept included.
  private(set) var count = 0
  private let entries: UnsafeMutableBufferPointer<Entry>

  /// - Parameters:
  ///   - threshold: A tick that takes longer than this is kept, ns, ≥ 0; `nil` keeps none and takes no memory.
  ///   - capacity: A power of two.
  init(above threshold: Nanoseconds?, capacity: Int = SlowTicks.capacity) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0, "the capacity must be a power of two")
    isOn = threshold != nil
    self.threshold = threshold ?? .max
    entries = .allocate(capacity: threshold == nil ? 0 : capacity)
    // Writes to all of it: no page is missing when the first slow tick comes.
    entries.initialize(repeating: Entry(begin: 0, end: 0, orders: 0))
  }

  deinit { entries.deallocate() }

  /// One tick that is over.
  @inline(__always)
  mutating func note(from begin: Nanoseconds, to end: Nanoseconds, orders: Int) {
    guard end - begin > threshold, isOn else { return }
    entries[count & (entries.count - 1)] = Entry(begin: begin, end: end, orders: orders)
    count += 1
  }

  /// Slow ticks that are kept.
  var keptCount: Int { min(count, entries.count) }

  /// The slow tick at `place` of `0 ..< keptCount`, oldest first.
  subscript(place: Int) -> Entry {
    precondition(place >= 0 && place < keptCount, "no such slow tick")
    return entries[(count - keptCount + place) & (entries.count - 1)]
  }

  /// Writes a file with one line a slow tick, oldest first: `begin_ns,end_ns,orders`. Cold.
  func write(to path: String) throws(SystemError) {
    guard let file = fopen(path, "we") else {
      throw SystemError("write the slow ticks to \(path)", result: -errno)
    }
    var isWhole = fputs("begin_ns,end_ns,orders\n", file) >= 0
    for place in 0..<keptCount where isWhole {
      let entry = self[place]
      isWhole = fputs("\(entry.begin),\(entry.end),\(entry.orders)\n", file) >= 0
    }
    let code = errno
    guard fclose(file) == 0, isWhole else {
      throw SystemError("write the slow ticks to \(path)", result: isWhole ? -errno : -code)
    }
  }
}
