import Apus
import CSupport

/// The half hour before an expiry, over which the settlement price is averaged.
struct ExpirationWindow {
  static let length: Int64 = 1800

  /// Second since the epoch at which it ends.
  let end: Int64
  private var sum: Int128 = 0
  private var count: Int128 = 0
  private(set) var averageE8: Int64 = 0
  /// 0 … 1 in 10⁻¹².
  private(set) var progressE12: Int64 = 0
  private(set) var expectedE8: Int64 = 0

  init(end: Int64) { self.end = end }

  mutating func add(indexE8: Int64, wall: Nanoseconds) {
    sum += Int128(indexE8)
    count += 1
    averageE8 = Int64(sum / count)
    let passed = wall - (end - Self.length) * 1_000_000_000
    progressE12 = max(0, min(1_000_000_000_000, passed / Self.length * 1000))
    let rest = 1_000_000_000_000 - progressE12
    expectedE8 = Int64((Int128(averageE8) * Int128(progressE12) + Int128(indexE8) * Int128(rest)) / 1_000_000_000_000)
  }
}

/// Marks of everything, and the books of instruments that no flow feeds.
///
/// The model: a future is worth the index plus 5 % a year, an option what Black and Scholes say on that future, a roll the
/// difference of its legs. In instruments with `isQuotedByVenue` the venue keeps three levels a side around the mark and
/// lets others trade a little (`derivedTradesPerMark`); futures of that kind are marked at the model, not at their book.
extension ExchangeCore {
  /// The index counts from now on; marks follow it.
  func updateMarks(of underlying: Underlying) {
    let wall = wallClock
    updateWindow(of: underlying, wall: wall)
    for market in underlying.markets {
      switch market.spec.kind {
      case .perpetual: market.updateMark(now: now, interval: configuration.markInterval)
      case .future: updateFuture(market, wall)
      case .option, .combination: break
      }
    }
    for market in underlying.markets {
      switch market.spec.kind {
      case .perpetual, .future: break
      case .option: updateOption(market, wall)
      case .combination:
        market.markE8 = market.legs[0].markE8 - market.legs[1].markE8
        market.markTime = now
      }
    }
  }

  private func updateWindow(of underlying: Underlying, wall: Nanoseconds) {
    let next = underlying.markets.lazy.map(\.spec.expirySeconds).filter { $0 * 1_000_000_000 > wall }.min()
    guard let next, wall >= (next - ExpirationWindow.length) * 1_000_000_000 else {
      // Until it has been settled, an expiry keeps its average.
      if let window = underlying.window, window.end * 1_000_000_000 > wall { underlying.window = nil }
      return
    }
    var window = underlying.window.flatMap { $0.end == next ? $0 : nil } ?? ExpirationWindow(end: next)
    window.add(indexE8: underlying.indexE8, wall: wall)
    underlying.window = window
  }

  private func window(_ market: Market) -> ExpirationWindow? {
    market.underlying.window.flatMap { $0.end == market.spec.expirySeconds ? $0 : nil }
  }

  private func updateFuture(_ market: Market, _ wall: Nanoseconds) {
    market.updateMark(now: now, interval: configuration.markInterval)
    market.deltaE12 = 1_000_000_000_000
    if let window = window(market) {
      market.markE8 = window.expectedE8
      market.deltaE12 -= window.progressE12
    } else if market.spec.isQuotedByVenue {
      market.markE8 = carried(market.underlying, market.spec.expirySeconds, wall)
    }
    market.forwardE8 = market.markE8
  }

  /// The index plus 5 % a year.
  private func carried(_ underlying: Underlying, _ expiry: Int64, _ wall: Nanoseconds) -> Int64 {
    let seconds = max(0, expiry - wall / 1_000_000_000)
    return underlying.indexE8 + Decimal.scaled(underlying.indexE8, seconds * 5, over: 31_536_000 * 100)
  }

  /// What a contract on the underlying for that expiry is worth, and the future that says so.
  func forward(_ underlying: Underlying, _ expiry: Int64) -> (priceE8: Int64, future: Market?) {
    if let future = underlying.markets.first(where: { $0.spec.kind == .future && $0.spec.expirySeconds == expiry }) {
      return (future.markE8, future)
    }
    if let window = underlying.window, window.end == expiry { return (window.expectedE8, nil) }
    return (carried(underlying, expiry, wallClock), nil)
  }

  private func updateOption(_ market: Market, _ wall: Nanoseconds) {
    let spec = market.spec
    let forward = forward(market.underlying, spec.expirySeconds)
    let left = spec.expirySeconds * 1_000_000_000 - wall
    let value = OptionModel.value(
      spec.optionType ?? .call, forwardE8: forward.priceE8, strikeE8: spec.strikeE8, seconds: Double(left) / 1e9)
    market.markE8 =
      spec.isPricedInCoin
      ? max(1, Decimal.scaled(value.priceE8, 100_000_000, over: max(1, market.indexE8))) : value.priceE8
    market.forwardE8 = forward.priceE8
    market.volatilityE12 = value.volatilityE12
    market.deltaE12 = value.deltaE12
    if let window = window(market) {
      let rest = 1_000_000_000_000 - window.progressE12
      market.deltaE12 = Decimal.scaled(value.deltaE12, rest, over: 1_000_000_000_000)
    }
    market.markTime = now
  }

  // MARK: quotes and trades of the venue's own

  func quoteDerived() {
    let list = markets.filter { $0.spec.isQuotedByVenue && $0.isListed && !$0.isHalted }
    guard !list.isEmpty else { return }
    for market in list { requote(market) }
    for _ in 0..<configuration.derivedTradesPerMark {
      let market = list[Int(derivedRandom.below(Int64(list.count)))]
      let side = derivedRandom.below(2) == 0 ? Side.buy : Side.sell
      let lots = market.spec.grid.minimumLots.rawValue * derivedRandom.within(1...20)
      guard let best = market.best(side.opposite) else { continue }
      printTrade(
        market,
        FlowEvent(
          kind: .trade, instrument: market.index, side: side, value: best.price.rawValue, lots: lots),
        isFlow: false)
    }
  }

  private static let ownLevels: Int64 = 3

  private func requote(_ market: Market) {
    let tick = market.spec.grid.tickE8
    // 4 % of an option, 2 basis points of a future, two ticks of a roll.
    let half: Int64 =
      switch market.spec.kind {
      case .option: max(tick / 2, market.markE8 / 25)
      case .combination: tick * 2
      case .perpetual, .future: max(tick / 2, market.markE8 / 5000)
      }
    var bid = floorDivision(market.markE8 - half, tick)
    var ask = max(bid + 1, -floorDivision(-(market.markE8 + half), tick))
    // Prices lie further apart where the instrument says so.
    let step = step(market, at: ask + Self.ownLevels)
    if step > 1 {
      bid = floorDivision(bid, step) * step
      ask = max(bid + step, -floorDivision(-ask, step) * step)
    }
    let lowest = bid - Self.ownLevels * step
    if !market.background.contains(market.spec.kind == .combination ? lowest : max(1, lowest))
      || !market.background.contains(ask + Self.ownLevels * step)
    {
      // The market has run away from the prices of its beginning.
      clearBackground(market)
      market.background.displace()
    }
    let old = market.ownQuotes
    if let old, old.bid == bid, old.ask == ask, old.step == step, derivedRandom.below(8) != 0 { return }
    market.ownQuotes = (bid, ask, step)
    // Outrights have no bids at 0 and below.
    func isShown(_ bid: Int64) -> Bool { bid > 0 || market.spec.kind == .combination }
    var events: [FlowEvent] = []
    if let old {
      for level in 0..<Self.ownLevels {
        let below = old.bid - level * old.step
        let above = old.ask + level * old.step
        if below > bid || below <= bid - Self.ownLevels * step || (bid - below) % step != 0, isShown(below) {
          events.append(.level(market.index, .buy, below, 0))
        }
        if above < ask || above >= ask + Self.ownLevels * step || (above - ask) % step != 0 {
          events.append(.level(market.index, .sell, above, 0))
        }
      }
    }
    let unit = market.spec.grid.minimumLots.rawValue
    for level in 0..<Self.ownLevels {
      let size = unit * derivedRandom.within(10...100)
      let otherSize = unit * derivedRandom.within(10...100)
      if isShown(bid - level * step) {
        events.append(.level(market.index, .buy, bid - level * step, size))
      }
      events.append(.level(market.index, .sell, ask + level * step, otherSize))
    }
    applyLevels(market, events, 0..<events.count, isFlow: false)
  }
}
