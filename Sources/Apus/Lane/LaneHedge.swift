import CSupport

/// Hedging: one order that takes, asked for by the manager to close what was filled at another venue.
extension Lane where Adapter: ~Copyable {
  /// Whether the last order that was asked for is still under way.
  func isHedging(_ instrument: InstrumentIndex) -> Bool {
    let id = safety.instruments[Int(instrument)].hedgeOrder
    guard id != 0, let order = core.tracker.order(id) else { return false }
    return order.pointee.phaseValue != .dead
  }

  /// Buys so many lots, or sells if negative, at no worse a price than so far from the best; what is not there at once is
  /// left. Nothing is sent that the limits do not allow, or that would meet an order of our own.
  @inline(never)
  mutating func hedge(_ instrument: InstrumentIndex, lots: Int64, slippageCentiBps: Int64, now: Nanoseconds) {
    setTime(now)
    output.records.hedge(instrument, lots: lots, slippageCentiBps: slippageCentiBps, now: now)
    let state = core.tracker.state(instrument)
    let market = core.markets + Int(instrument)
    guard adapter.phase == .ready, !session.isFrozen, !stop.isRequested, safety.ladder.level < .noNewOrders,
      let info = market.pointee.info, market.pointee.isBookValid, let limits = risk.limits(for: instrument),
      let plan = HedgePlan(
        lots: lots, slippageCentiBps: slippageCentiBps,
        bid: market.pointee.book.bestOfOthers(.buy, own: state.pointee.bids),
        ask: market.pointee.book.bestOfOthers(.sell, own: state.pointee.asks), largest: limits.maximumOrder),
      plan.qty >= info.grid.minimumLots
    else { return }
    let command = Command(
      kind: .insert, side: plan.side, instrument: instrument, clientID: 0, price: plan.limit, qty: plan.qty)
    let verdict = risk.check(command, order: nil, state: state, market: RiskMarket(info, market.pointee.ticker))
    guard case .passed(let approved) = verdict, orderBudget.tryTake(now: now) == .taken, let buffer = output.begin()
    else { return }
    guard let order = core.tracker.beginInsert(instrument, plan.side, price: plan.limit, qty: plan.qty, now: now) else {
      output.drop()
      return
    }
    let count = adapter.encodeTake(approved, clientID: order.pointee.client_id, isReduceOnly: false, into: buffer)
    if count == 0 { output.drop() }
    guard count > 0, output.commit(buffer, count) else {
      core.tracker.takeBack(order, now: now)
      return
    }
    safety.instruments[Int(instrument)].hedgeOrder = order.pointee.client_id
    core.counters.inserts += 1
    core.counters.hedges += 1
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
  ///   - largest: The largest order that may be sent.
  /// - Returns: `nil` if there is nothing to trade with, or nothing to do.
  init?(lots: Int64, slippageCentiBps: Int64, bid: Quote?, ask: Quote?, largest: QtyLots) {
    guard lots != 0, let best = lots > 0 ? ask : bid else { return nil }
    side = lots > 0 ? .buy : .sell
    qty = min(QtyLots(rawValue: Int64(clamping: lots.magnitude)), largest)
    let away = LadderStrategy.scaled(abs(best.price.rawValue), slippageCentiBps, 1_000_000)
    limit = PriceTicks(rawValue: best.price.rawValue + side.sign * away)
  }
}
