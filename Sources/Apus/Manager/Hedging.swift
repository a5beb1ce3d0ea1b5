import CSupport

/// When and how the position of all venues is closed at the one that hedges. Amounts in 10⁻⁸ coins; free of clocks.
struct Hedging {
  let settings: UnderlyingSettings.Hedge
  private var budget: TakeBudget
  /// Since when the position has been beyond its band, until it is back well within.
  private(set) var since: Nanoseconds?
  private var askedAt: Nanoseconds?
  /// The venue is away, or has not been back for long enough.
  private(set) var isLost = true
  private var backSince: Nanoseconds?
  private var hasBeenThere = false

  /// A hedge that came to nothing, for whatever reason, is not asked for again in each turn.
  static let pause: Nanoseconds = 100_000_000
  /// A venue that has just come back may be gone again.
  static let probation: Nanoseconds = 1_000_000_000

  init(_ settings: UnderlyingSettings.Hedge) {
    self.settings = settings
    budget = TakeBudget(perMinuteE8: settings.perMinuteE8)
  }

  /// - Parameters:
  ///   - position: of all venues; `nil`: not known.
  ///   - isThere: the hedging venue is ready.
  mutating func turn(position: Int64?, isThere: Bool, now: Nanoseconds) {
    if !isThere {
      isLost = true
      backSince = nil
    } else if isLost {
      let since = backSince ?? now
      backSince = since
      // At the start there is nothing to distrust.
      if now - since >= Self.probation || !hasBeenThere { isLost = false }
      hasBeenThere = true
    }
    guard let position else { return }
    if abs(position) > settings.bandE8 {
      since = since ?? now
    } else if abs(position) <= settings.bandE8 / 2 {
      since = nil
    }
  }

  /// What an order that waits is to buy, or to sell if negative.
  func passive(position: Int64) -> Int64 {
    guard settings.patience > 0, since != nil, !isLost else { return 0 }
    return -position
  }

  /// What is to be bought by taking now, or sold if negative.
  mutating func taking(position: Int64, now: Nanoseconds) -> Int64 {
    guard let since, abs(position) > settings.bandE8, now - since >= settings.patience,
      askedAt.map({ now - $0 >= Self.pause }) ?? true
    else { return 0 }
    let amount = min(abs(position), budget.available(now: now))
    // Not in crumbs, as fast as the budget fills again.
    guard amount >= min(abs(position), settings.perMinuteE8 / 20) else { return 0 }
    return position > 0 ? -amount : amount
  }

  mutating func asked(_ coinsE8: Int64, now: Nanoseconds) {
    askedAt = now
    budget.spend(abs(coinsE8))
  }
}
