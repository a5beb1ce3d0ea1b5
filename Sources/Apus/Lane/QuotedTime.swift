/// How long each instrument was watched, and how long both of its sides had a resting quote.
///
/// The clock starts with the first moment at which both sides rest, and then includes every gap,
/// lost connections too, until the stop.
struct QuotedTime: ~Copyable {
  struct Entry {
    var observed: Nanoseconds = 0
    var quoted: Nanoseconds = 0
    var last: Nanoseconds = 0
    var hasBegun = false
    var isStopped = false
    var wasTwoSided = false
  }

  private let entries: UnsafeMutablePointer<Entry>
  private let count: Int

  init(instruments: Int) {
    count = instruments
    entries = .allocate(capacity: instruments)
    entries.initialize(repeating: Entry(), count: instruments)
  }

  deinit { entries.deallocate() }

  subscript(index: Int) -> Entry { entries[index] }

  mutating func note(_ index: Int, isTwoSided: Bool, now: Nanoseconds) {
    let entry = entries + index
    if entry.pointee.isStopped { return }
    if entry.pointee.hasBegun {
      let elapsed = now - entry.pointee.last
      entry.pointee.observed += elapsed
      if entry.pointee.wasTwoSided { entry.pointee.quoted += elapsed }
    } else if isTwoSided {
      entry.pointee.hasBegun = true
    }
    entry.pointee.last = now
    entry.pointee.wasTwoSided = isTwoSided
  }

  /// Quoting ends on purpose: what follows does not count.
  mutating func stop(now: Nanoseconds) {
    for index in 0..<count {
      note(index, isTwoSided: false, now: now)
      entries[index].isStopped = true
    }
  }
}
