import Apus

/// What the venue has to do at a certain time.
enum VenueTimer {
  case mark
  case summary
  case silence(Session)
  case channel(Channel)
  /// Something may have expired.
  case expiries
  /// The daily settlement, if it is the one that is expected: the clock may have been stepped.
  case settlement(at: Nanoseconds)
  case orderHistory(Account, orders: Range<Int>)
  /// Connections that were told that they will be closed.
  case closure([ConnectionID])
  case delivery(Account, fills: Range<Int>, markets: [Int])
}

/// Timers by time, then by the order in which they were set.
struct TimerQueue<Timer> {
  private struct Entry {
    var time: Nanoseconds
    var sequence: UInt64
    var timer: Timer
  }

  private var heap: [Entry] = []
  private var sequence: UInt64 = 0

  /// When the next timer is due; `.max` if there is none.
  var nextTime: Nanoseconds { heap.first?.time ?? .max }

  private static func isBefore(_ a: Entry, _ b: Entry) -> Bool {
    a.time != b.time ? a.time < b.time : a.sequence < b.sequence
  }

  mutating func set(_ timer: Timer, at time: Nanoseconds) {
    heap.append(Entry(time: time, sequence: sequence, timer: timer))
    sequence += 1
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard Self.isBefore(heap[child], heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> Timer? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if heap.isEmpty { return first.timer }
    heap[0] = last
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, Self.isBefore(heap[child + 1], heap[child]) { child += 1 }
      guard Self.isBefore(heap[child], heap[parent]) else { break }
      heap.swapAt(child, parent)
      parent = child
    }
    return first.timer
  }
}
