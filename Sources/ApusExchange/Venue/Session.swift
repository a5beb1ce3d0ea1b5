import Apus
import CSupport

/// A token bucket of capacity = refill per second, as one integer: the time at which it is full again.
struct RateGate {
  private(set) var rate: Int64
  private var fullAt: Nanoseconds = .min / 2
  private var closedUntil: Nanoseconds = .min

  init(rate: Int) { self.rate = Int64(rate) }

  private var interval: Nanoseconds { 1_000_000_000 / rate }

  /// Takes `cost` tokens, or starts the penalty and returns false.
  ///
  /// A cost above the rate takes what a full bucket holds: such a request would never pass otherwise.
  mutating func pass(now: Nanoseconds, penalty: Nanoseconds, cost: Int = 1) -> Bool {
    if now < closedUntil { return false }
    let after = max(fullAt, now) + interval * min(Int64(cost), rate)
    if after - now > interval * rate {
      if penalty > 0 { closedUntil = now + penalty }
      return false
    }
    fullAt = after
    return true
  }

  /// Everything fails until then, at least.
  mutating func shut(until time: Nanoseconds) { closedUntil = max(closedUntil, time) }

  /// Changes the rate; the tokens taken so far stay taken.
  mutating func setRate(_ newRate: Int, now: Nanoseconds) {
    let taken = max(0, fullAt - now)
    let old = interval
    rate = Int64(newRate)
    if taken > 0 { fullAt = now + taken / old * interval + taken % old * interval / old }
  }
}

/// One connection as the venue knows it.
final class Session {
  let id: ConnectionID
  /// `nil` before login.
  var account: Account?
  /// Cancel-on-disconnect timeout; 0 = off, orders are persistent.
  var timeout: Nanoseconds = 0
  var lastInbound: Nanoseconds
  /// When the timer for silence looks next.
  var nextLook: Nanoseconds = .max
  var messages: RateGate
  var cancels: RateGate
  var violations: UInt64 = 0
  var received: UInt64 = 0
  var isOpen = true
  /// Live orders by the client's number.
  var byClientID: [UInt64: VenueOrder] = [:]
  /// Live orders in the order of their insertion.
  var orders: [VenueOrder] = []
  var channels: [Channel] = []
  var privateChannels: PrivateChannels = []
  /// Live mass quotes by instrument and side, see `quoteKey`.
  var quotes: [Int: [VenueOrder]] = [:]
  /// Market-maker protection by product.
  var protection: [String: ProtectionGroup] = [:]

  static func quoteKey(_ market: Market, _ side: Side) -> Int { market.index * 2 + (side == .buy ? 0 : 1) }

  init(id: ConnectionID, now: Nanoseconds, configuration: VenueConfiguration) {
    self.id = id
    lastInbound = now
    messages = RateGate(rate: configuration.messageRate)
    cancels = RateGate(rate: configuration.cancelRate)
  }
}
