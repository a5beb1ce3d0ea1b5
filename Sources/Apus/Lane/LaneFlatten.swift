import CSupport

/// Closing the position: when nothing rests any more, one reduce-only order after the other that takes what is
/// displayed, at no worse price than configured, until the venue says that there is no position.
extension Lane where Adapter: ~Copyable {
  /// What closing the position of an instrument would begin with now; `nil` if there is nothing to close.
  func flattenPlan(_ instrument: InstrumentIndex) -> FlattenPlan? {
    FlattenPlan(
      market: core.markets + Int(instrument), state: core.tracker.state(instrument),
      limits: risk.limits(for: instrument), worstCentiBps: safety.settings.flattenWorstCentiBps)
  }

  /// The next orders, if the ones before are settled and the venue agrees about the position.
  mutating func runFlatten(_ now: Nanoseconds) {
    guard safety.ladder.latchedLevel == .flatten, adapter.phase == .ready, !session.isFrozen, now >= safety.flattenAt,
      core.tracker.inFlightCount == 0, core.tracker.unknownCount == 0, core.tracker.liveCount == 0, positionsAgree
    else { return }
    safety.flattenAt = now + safety.settings.flattenInterval
    for index in 0..<core.instrumentCount {
      guard let plan = flattenPlan(InstrumentIndex(index)), plan.qty > .zero else { continue }
      sendReduction(InstrumentIndex(index), plan, now)
    }
  }

  private mutating func sendReduction(_ instrument: InstrumentIndex, _ plan: FlattenPlan, _ now: Nanoseconds) {
    let command = Command(
      kind: .insert, side: plan.side, instrument: instrument, clientID: 0, price: plan.limit, qty: plan.qty)
    guard let approved = risk.passReduction(command, worst: plan.worst, state: core.tracker.state(instrument)),
      orderBudget.tryTake(keeping: 0, now: now) == .taken, let buffer = output.begin()
    else { return }
    guard
      let order = core.tracker.beginInsert(instrument, plan.side, price: plan.limit, qty: plan.qty, now: now)
    else {
      output.drop()
      return
    }
    let count = adapter.encodeTake(approved, clientID: order.pointee.client_id, isReduceOnly: true, now: now, into: buffer)
    if count == 0 { output.drop() }
    guard count > 0, output.commit(buffer, count) else {
      core.tracker.takeBack(order, now: now)
      return
    }
    output.records.note("flattening: a reduce-only order was sent", now: now)
    core.counters.inserts += 1
    messagesSent += 1
  }
}
