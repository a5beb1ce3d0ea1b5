import Apus
import CSupport
import Synchronization

/// A market that happens now: what one thread hears of it, played to a venue on another as it comes.
///
/// It never ends. Each step is due when it was heard, and so at once.
final class LiveFlow: MarketFlow {
  private let queue: LiveQueue
  private var steps: [LiveQueue.Step] = []
  private var events: [FlowEvent] = []
  private var nextStep = 0
  private var nextEvent = 0
  private var lastTime: Nanoseconds = 0

  init(_ queue: LiveQueue) { self.queue = queue }

  var nextTime: Nanoseconds? {
    if nextStep == steps.count {
      steps.removeAll(keepingCapacity: true)
      events.removeAll(keepingCapacity: true)
      nextStep = 0
      nextEvent = 0
      queue.take(&steps, &events)
    }
    guard nextStep < steps.count, let origin = queue.origin else { return .max }
    return max(lastTime, steps[nextStep].time - origin)
  }

  func next(into events: inout [FlowEvent]) {
    lastTime = nextTime ?? lastTime
    let count = steps[nextStep].count
    events += self.events[nextEvent..<nextEvent + count]
    nextStep += 1
    nextEvent += count
  }
}

/// The way from the thread that hears of a market to the thread of the venue.
final class LiveQueue: Sendable {
  struct Step {
    /// By `EngineClock`.
    var time: Nanoseconds
    /// Events that belong to it.
    var count: Int
  }
  private struct Waiting {
    var steps: [Step] = []
    var events: [FlowEvent] = []
  }
  private let waiting = Mutex(Waiting())
  private let hasNews = Atomic<Bool>(false)
  private let start = Atomic<Nanoseconds>(.min)

  /// The venue's time 0 by `EngineClock`; nothing is due before it is known.
  var origin: Nanoseconds? {
    // Relaxed: a number alone, which never changes once it is there.
    let origin = start.load(ordering: .relaxed)
    return origin == .min ? nil : origin
  }

  func begin(at origin: Nanoseconds) { start.store(origin, ordering: .relaxed) }

  /// Any thread.
  func put(_ events: [FlowEvent], time: Nanoseconds) {
    waiting.withLock {
      $0.steps.append(Step(time: time, count: events.count))
      $0.events += events
    }
    // Release, pairs with the acquire in `take`: whoever sees the flag finds the step.
    hasNews.store(true, ordering: .releasing)
  }

  func take(_ steps: inout [Step], _ events: inout [FlowEvent]) {
    guard hasNews.exchange(false, ordering: .acquiring) else { return }
    waiting.withLock {
      swap(&steps, &$0.steps)
      swap(&events, &$0.events)
    }
  }
}
