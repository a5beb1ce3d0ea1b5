import Apus

/// A market flow that stands still where trading is halted, and follows a finer tick.
final class FaultyFlow: MarketFlow {
  private let inner: any MarketFlow
  @exclusivity(unchecked) private var halted: Set<Int32> = []
  /// How many new ticks one tick of the flow is worth now.
  @exclusivity(unchecked) private var factors: [Int32: Int64] = [:]
  private var scratch: [FlowEvent] = []

  init(_ inner: any MarketFlow) { self.inner = inner }

  func halt(_ instrument: Int, _ isHalted: Bool) {
    if isHalted { halted.insert(Int32(instrument)) } else { halted.remove(Int32(instrument)) }
  }

  func refine(_ instrument: Int, _ factor: Int) { factors[Int32(instrument), default: 1] *= Int64(factor) }

  /// Nothing happens at all; what should have happens when it goes on.
  @exclusivity(unchecked) var isPaused = false

  var nextTime: Nanoseconds? { isPaused ? nil : inner.nextTime }

  func next(into events: inout [FlowEvent]) {
    guard !halted.isEmpty || !factors.isEmpty else {
      inner.next(into: &events)
      return
    }
    scratch.removeAll(keepingCapacity: true)
    inner.next(into: &scratch)
    for var event in scratch {
      if event.kind != .index {
        if halted.contains(event.instrument) { continue }
        event.value *= factors[event.instrument] ?? 1
      }
      events.append(event)
    }
  }
}
