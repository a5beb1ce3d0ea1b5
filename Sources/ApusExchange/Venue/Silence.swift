import Apus

/// What becomes of a venue whose market comes from elsewhere while its source is away: it does not trade on old books.
extension ExchangeCore {
  /// From now on nothing is published, no mark moves and no order is taken; cancels are. What rests stays.
  func fallSilent() {
    guard !isSilent else { return }
    isSilent = true
    for market in markets { market.isHalted = true }
  }

  /// What the flow has said meanwhile counts: quotes of others that come through resting orders trade with them.
  func speakAgain() {
    guard isSilent else { return }
    isSilent = false
    for market in markets where market.isListed { catchUp(market) }
  }
}
