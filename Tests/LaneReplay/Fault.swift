import Apus
import Foundation

/// Faults that the guards must see: each is committed inside the lane, by the strategy that it calls.
enum Fault: String, CaseIterable {
  case none
  /// One allocation, on the tenth call.
  case allocate
  /// One lock, on the tenth call.
  case lock
  /// Some hundred instructions more in each call.
  case work
}

private let lock = NSLock()

/// The engine's own strategy, spoilt.
struct FaultyStrategy: Strategy, Sendable {
  private var inner: LadderStrategy
  private let fault: Fault
  private var calls = 0
  private var waste: UInt64 = 1
  private var kept: [Int] = []

  init(_ inner: LadderStrategy, fault: Fault) {
    self.inner = inner
    self.fault = fault
    lock.name = "fault"
  }

  mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {
    calls += 1
    inner.quote(view, into: &ladders)
    switch fault {
    case .none: break
    case .allocate: if calls == 10 { kept = Array(repeating: calls, count: calls) }
    case .lock: if calls == 10 { lock.withLock {} }
    case .work:
      for _ in 0..<100 {
        waste ^= waste << 13
        waste ^= waste >> 7
      }
    }
  }
}
