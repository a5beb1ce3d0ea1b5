public import Apus
import CSupport

/// Which instruments there are: listing, expiry and settlement (reference 4.3).
///
/// Simplified: an instrument settles at the average of the marks' index values since 07:30 UTC (at the index of the moment
/// if it expires outside that window); expiry costs no fee.
extension SimulatedVenue {
  /// Checks an instrument and makes its market, which is watched for its expiry.
  func add(_ spec: InstrumentSpec) throws(VenueError) -> Market {
    let market = try makeMarket(spec)
    if spec.kind != .perpetual { timers.set(.expiries, at: now + spec.expirySeconds * 1_000_000_000 - wallClock) }
    return market
  }

  /// Lists an instrument; channel `instruments` says so. Its legs, if any, must be listed.
  public func list(_ spec: InstrumentSpec, now: Nanoseconds) throws(VenueError) {
    advance(to: now)
    let market = try add(spec)
    market.listTime = self.now
    market.underlying.time = max(1, self.now)
    updateMarks(of: market.underlying)
    announce([], added: [market])
    if spec.isQuotedByVenue { quoteDerived() }
    settle(requester: nil)
  }

  /// Lets an instrument expire now, and with it the rolls that it is a leg of. False if it is not listed.
  @discardableResult
  public func expire(_ name: String, now: Nanoseconds) -> Bool {
    advance(to: now)
    guard let market = marketsByName[name] else { return false }
    expire([market])
    return true
  }

  /// What is due by the venue's wall clock.
  func expireDue() {
    let wall = wallClock
    expire(
      markets.filter { $0.isListed && $0.spec.kind != .perpetual && $0.spec.expirySeconds * 1_000_000_000 <= wall })
  }

  /// 08:00 UTC: what is open starts at the mark, funding is paid, and a new session begins (reference 4.3). Positions do
  /// not change, and there is no trade of it.
  func settleDaily() {
    // What expires now is settled finally, and not daily.
    expireDue()
    for underlying in underlyings where underlying.settledAt != wallClock / 1_000_000_000 {
      underlying.previousSettlementE8 = underlying.indexE8
    }
    for account in accountList {
      var changed: [Int] = []
      for market in markets where market.spec.kind != .combination && account.positions[market.index].hasTraded {
        // What a contract that is just gone has made belongs to the session that begins: else nobody would see it.
        guard market.isListed || market.spec.expirySeconds < wallClock / 1_000_000_000 else { continue }
        account.positions[market.index].settle(market)
        if account.positions[market.index].lots != 0 { changed.append(market.index) }
      }
      sendPortfolio(account, changed)
    }
    for market in markets { market.payFunding() }
    settle(requester: nil)
  }

  /// Orders die, positions are settled, the instruments are gone.
  private func expire(_ dying: [Market]) {
    guard !dying.isEmpty else { return }
    let gone = markets.filter { market in
      market.isListed
        && (dying.contains { $0 === market } || market.legs.contains { leg in dying.contains { $0 === leg } })
    }
    for market in gone {
      cancelAll(accountList.flatMap(\.orders).filter { $0.market === market }, deletion: .instrumentDeactivated)
      market.isListed = false
      marketsByName[market.spec.name] = nil
      market.underlying.markets.removeAll { $0 === market }
    }
    for market in gone where market.spec.kind != .combination { settlePositions(market) }
    for market in gone {
      clearBackground(market)
      cancelConditionals(market)
    }
    for underlying in underlyings {
      guard let window = underlying.window, window.end * 1_000_000_000 <= wallClock else { continue }
      underlying.previousSettlementE8 = window.averageE8
      underlying.settledAt = wallClock / 1_000_000_000
      underlying.window = nil
    }
    announce(gone, added: [])
    settle(requester: nil)
  }

  /// Channel `instruments`: what went, then what came.
  func announce(_ removed: [Market], added: [Market]) {
    guard let channel = channels["instruments"], !channel.subscribers.isEmpty, !(removed + added).isEmpty else {
      return
    }
    message.clear()
    message.raw("{\"channel_name\":\"instruments\",\"notification\":[")
    for (place, market) in (removed + added).enumerated() {
      message.raw(place == 0 ? "{\"" : ",{\"")
      message.raw(place < removed.count ? "removed\":" : "added\":")
      writeInstrument(message, market)
      message.byte(UInt8(ascii: "}"))
    }
    message.raw("]}")
    for session in channel.subscribers { outbox.post(session.id, message) }
  }
}
