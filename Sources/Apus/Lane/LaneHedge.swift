import CSupport

/// Hedging: one order that takes, asked for by the manager to close what was filled at another venue.
extension Lane where Adapter: ~Copyable {
  /// Whether the last order that was asked for is still under way.
  func isHedging(_ instrument: InstrumentIndex) -> Bool {
    let id = safety.instruments[Int(instrument)].hedgeOrder
    guard id != 0, let order = core.tracker.order(id) else { return false }
    // Dead is not settled: executions that the venue has not told yet may be open.
    return order.pointee.phaseValue != .dead || order.pointee.worstCaseLots > .zero
  }

  /// Buys so many lots, or sells if negative, at no worse a price than so far from the best; what is not there at once is
  /// left. It is cut to what the limits leave, ends a tick before our own orders, and waits, as any order, for the budget,
  /// the venue's refusals and the safety rules; the manager asks again.
  @inline(never)
  mutating func hedge(_ instrument: InstrumentIndex, lots: Int64, slippageCentiBps: Int64, now: Nanoseconds) {
    setTime(now)
    output.records.hedge(instrument, lots: lots, slippageCentiBps: slippageCentiBps, now: now)
    let state = core.tracker.state(instrument)
    let market = core.markets + Int(instrument)
    guard adapter.phase == .ready, !session.isFrozen, !stop.isRequested, safety.ladder.level < .noNewOrders,
      now >= core.throttledUntil, now >= core.refusedUntil(instrument), !isHedging(instrument),
      let info = market.pointee.info, market.pointee.isBookValid, let limits = risk.limits(for: instrument)
    else { return }
    let side: Side = lots > 0 ? .buy : .sell
    let room = state.pointee.room(for: side, limit: limits.maximum(side))
    guard
      let plan = HedgePlan(
        lots: lots, slippageCentiBps: slippageCentiBps,
        bid: market.pointee.book.bestOfOthers(.buy, own: state.pointee.bids),
        ask: market.pointee.book.bestOfOthers(.sell, own: state.pointee.asks),
        ownBid: state.pointee.bids.boldest, ownAsk: state.pointee.asks.boldest,
        largest: min(limits.maximumOrder, room)),
      plan.qty >= info.grid.minimumLots, safety.admit(isNew: true, instrument, now) == nil
    else { return }
    let command = Command(
      kind: .insert, side: plan.side, instrument: instrument, clientID: 0, price: plan.limit, qty: plan.qty)
    let verdict = risk.check(command, order: nil, state: state, market: RiskMarket(info, market.pointee.ticker))
    guard case .passed(let approved) = verdict, takeForOrder(now), let buffer = output.begin()
    else { return }
    guard let order = core.tracker.beginInsert(instrument, plan.side, price: plan.limit, qty: plan.qty, now: now) else {
      output.drop()
      return
    }
    let count = adapter.encodeTake(
      approved, clientID: order.pointee.client_id, isReduceOnly: false, now: now, into: buffer)
    if count == 0 { output.drop() }
    guard count > 0, output.commit(buffer, count) else {
      core.tracker.takeBack(order, now: now)
      return
    }
    safety.instruments[Int(instrument)].hedgeOrder = order.pointee.client_id
    core.counters.inserts += 1
    core.counters.hedges += 1
    safety.sent(instrument, now)
    noteOrderMessage()
  }
}

/// Side, size and limit of an order that hedges.
struct HedgePlan: Equatable {
  let side: Side
  let qty: QtyLots
  let limit: PriceTicks

  /// - Parameters:
  ///   - lots: To buy, or to sell if negative.
  ///   - bid: The best of others; `ownBid` the boldest of ours.
  ///   - largest: The largest order that may be sent.
  /// - Returns: `nil` if there is nothing to trade with, or nothing to do.
  init?(
    lots: Int64, slippageCentiBps: Int64, bid: Quote?, ask: Quote?, ownBid: PriceTicks? = nil,
    ownAsk: PriceTicks? = nil, largest: QtyLots
  ) {
    guard lots != 0, largest > .zero, let best = lots > 0 ? ask : bid else { return nil }
    side = lots > 0 ? .buy : .sell
    qty = min(QtyLots(rawValue: Int64(clamping: lots.magnitude)), largest)
    let away = LadderStrategy.scaled(abs(best.price.rawValue), slippageCentiBps, 1_000_000)
    var limit = best.price.rawValue + side.sign * away
    if side == .buy, let ownAsk { limit = min(limit, ownAsk.rawValue - 1) }
    if side == .sell, let ownBid { limit = max(limit, ownBid.rawValue + 1) }
    // Our own order stands before all others: there is nothing to take.
    guard side == .buy ? limit >= best.price.rawValue : limit <= best.price.rawValue else { return nil }
    self.limit = PriceTicks(rawValue: limit)
  }
}

extension SideOrders {
  /// The price of ours that meets the other side first, wherever that order may be by now; `nil` without one.
  var boldest: PriceTicks? {
    var boldest: PriceTicks?
    for index in 0..<count {
      let price = self[index].pointee.boldestPrice
      if boldest.map({ side.isBetter(price, than: $0) }) ?? true { boldest = price }
    }
    return boldest
  }
}
