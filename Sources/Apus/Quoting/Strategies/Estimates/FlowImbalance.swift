import CSupport

/// The pressure of the flow of orders at the best prices: order flow imbalance after Cont, Kukanov and Stoikov.
///
/// Each look adds `e = [b ≥ b′] q_b − [b ≤ b′] q_b′ − [a ≤ a′] q_a + [a ≥ a′] q_a′`, where b and a are the best prices, q their
/// sizes, and ′ marks those of the look before. The sum halves every `halfLife`. Divided by the mean size of a best level it
/// says how many best levels of buying (positive) or selling lately came in net. Fixed memory, no clock of its own.
public struct FlowImbalance: Equatable, Sendable {
  public let halfLife: Nanoseconds
  /// The mean size of a level is that of a time twenty times as long.
  private let depthHalfLife: Double
  /// Looks before there is a value.
  public let minimumLooks: Int

  private var sum = 0.0
  private var depth = 0.0
  private var depthSeconds = 0.0
  private var bid = Quote(price: PriceTicks(rawValue: 0), qty: QtyLots(rawValue: 0))
  private var ask = Quote(price: PriceTicks(rawValue: 0), qty: QtyLots(rawValue: 0))
  private var lastTime: Nanoseconds = 0
  public private(set) var looks = 0

  /// - Parameter halfLife: > 0.
  public init(halfLife: Nanoseconds, minimumLooks: Int = 50) {
    self.halfLife = halfLife
    depthHalfLife = 20 * Double(halfLife)
    self.minimumLooks = minimumLooks
  }

  /// - Parameters:
  ///   - bid, ask: the best quotes of others.
  ///   - now: must not run backwards; if it does, no time has passed.
  @inline(__always)
  public mutating func note(bid: Quote, ask: Quote, now: Nanoseconds) {
    if looks > 0 {
      let elapsed = Double(max(0, now &- lastTime))
      let left = Decay.half(elapsed / depthHalfLife)
      depth = depth * left + (Double(self.bid.qty.rawValue) + Double(self.ask.qty.rawValue)) / 2 * elapsed * 1e-9
      depthSeconds = depthSeconds * left + elapsed * 1e-9
      sum = sum * Decay.half(elapsed / Double(halfLife)) + change(bid, ask)
    }
    self.bid = bid
    self.ask = ask
    lastTime = now
    looks = min(looks + 1, 1 << 32)
  }

  @inline(__always)
  private func change(_ newBid: Quote, _ newAsk: Quote) -> Double {
    var flow = 0.0
    if newBid.price >= bid.price { flow += Double(newBid.qty.rawValue) }
    if newBid.price <= bid.price { flow -= Double(bid.qty.rawValue) }
    if newAsk.price <= ask.price { flow -= Double(newAsk.qty.rawValue) }
    if newAsk.price >= ask.price { flow += Double(ask.qty.rawValue) }
    return flow
  }

  /// In mean sizes of a best level; positive: buying. 0 while too little has been seen.
  public var value: Double {
    guard looks >= minimumLooks, depthSeconds > 0, depth > 0 else { return 0 }
    let value = sum * depthSeconds / depth
    return value.isFinite ? value : 0
  }
}
