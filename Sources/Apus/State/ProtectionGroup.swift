import CSupport

/// The venue's protection of one product's mass quotes, as far as we know it (Thalex protocol 8.5).
///
/// The venue counts down what the group's quotes trade and cancels them all when nothing remains; then it takes no mass
/// quote for the product until the group has been set again. Cancelling all mass quotes, the end of the
/// session and a failover take the group away.
///
/// | state | set asked for | set | set refused | refill | executed, some remains | executed, none remains | removed | quote refused: not set |
/// |---|---|---|---|---|---|---|---|---|
/// | unset | setting | – | – | armed | – | exhausted | – | – |
/// | setting | – | armed | unset | armed | – | exhausted | unset | – |
/// | armed | setting | – | – | armed | armed | exhausted | unset | exhausted |
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

  var isArmed: Bool { state == .armed }

  mutating func note(_ event: Event, now: Nanoseconds) {
    if case .executed(let lots) = event { remaining = lots }
    let next = next(event)
    if event == .refused { refusals += 1 }
    if event == .set || event == .refill { refusals = 0 }
    guard next != state else { return }
    if next == .exhausted { hits += 1 }
    state = next
    since = now
  }

  private func next(_ event: Event) -> State {
    switch (state, event) {
    case (.unset, .asked), (.armed, .asked), (.exhausted, .asked): .setting
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
