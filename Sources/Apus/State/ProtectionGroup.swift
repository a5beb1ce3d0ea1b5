import CSupport

/// The venue's protection of one product's mass quotes, as far as we know it (Thalex protocol 8.5).
///
/// The venue counts down what the group's quotes trade and cancels them all when nothing remains; then it takes no mass
/// quote for the product until the group has been set again. Cancelling all mass quotes, the end of the
/// session and a failover take the group away. Setting an armed group again refills it.
///
/// | state | set asked for | set | set refused | refill | executed, some remains | executed, none remains | removed | quote refused: not set |
/// |---|---|---|---|---|---|---|---|---|
/// | unset | setting | – | – | armed | – | exhausted | – | – |
/// | setting | – | armed | unset | armed | – | exhausted | unset | – |
/// | armed | – | – | – | – | – | exhausted | unset | exhausted |
/// | exhausted | setting | – | – | armed | – | – | unset | – |
struct ProtectionGroup {
  enum State: UInt8, CaseIterable, Sendable {
    /// The venue has no group of ours: it takes no mass quote.
    case unset
    /// Asked for, not answered.
    case setting
    case armed
    /// Used up: the venue has cancelled the group's quotes.
    case exhausted
  }

  enum Event: Equatable, Sendable {
    case asked, set, refused, refill
    case executed(remaining: QtyLots)
    case removed
    case quoteRefused
  }

  private(set) var state = State.unset
  /// When the state was entered.
  private(set) var since: Nanoseconds = LaneSession.never
  /// What may still trade, lots of the group; as the venue last said.
  private(set) var remaining = QtyLots(rawValue: 0)
  /// Times that the group was used up.
  private(set) var hits = 0
  /// Refusals to set it in a row.
  private(set) var refusals = 0

  /// When it was last asked to be set or refilled.
  private(set) var askedAt: Nanoseconds = LaneSession.never
  /// Something of it has traded since it was set.
  private(set) var hasTraded = false

  var isArmed: Bool { state == .armed }

  mutating func note(_ event: Event, now: Nanoseconds) {
    switch event {
    case .executed(let lots):
      remaining = lots
      hasTraded = true
    case .asked: askedAt = now
    case .refused: refusals += 1
    case .set, .refill:
      refusals = 0
      hasTraded = false
    case .removed, .quoteRefused: break
    }
    let next = next(event)
    guard next != state else { return }
    if next == .exhausted { hits += 1 }
    state = next
    since = now
  }

  private func next(_ event: Event) -> State {
    switch (state, event) {
    case (.unset, .asked), (.exhausted, .asked): .setting
    case (.setting, .set): .armed
    case (.setting, .refused): .unset
    case (_, .refill): .armed
    case (.exhausted, .executed): .exhausted
    case (_, .executed(let lots)) where lots <= .zero: .exhausted
    case (_, .removed): .unset
    case (.armed, .quoteRefused): .exhausted
    default: state
    }
  }
}
