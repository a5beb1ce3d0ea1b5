import Apus
import CSupport

/// The places of participants' orders in the queues of one recorded market.
///
/// It decides which resting orders a recorded trade fills. The recording never changes for our sake: what we take away
/// from it, as takers or by standing in the way of a quote, is remembered until the level is gone, so that nothing is
/// taken twice.
final class QueueBook {
  /// A resting order, and what is known of its place.
  struct Place {
    let order: VenueOrder
    /// Lots of others that trade before it.
    var ahead: Double
    /// Lots by which it moved up when its level shrank without a trade, and when that was last.
    var early: Double = 0
    var earlyAt: Nanoseconds = 0
  }

  /// What the trades of a level explain of its next change, and what of its last change no trade has explained yet.
  private struct Flow {
    var traded: Int64 = 0
    var unexplained: Int64 = 0
    var at: Nanoseconds = 0
  }

  private struct Level: Hashable {
    var side: Side
    var price: Int64
  }

  struct Execution {
    var order: VenueOrder
    var lots: Int64
    var cause: FillCause
  }

  let model: FillModel
  /// Best price first; at a price in the order of arrival.
  private(set) var bids: [Place] = []
  private(set) var asks: [Place] = []
  private var flows: [Level: Flow] = [:]
  /// Lots of a recorded level that are gone because of us.
  private var used: [Level: Int64] = [:]

  init(model: FillModel) { self.model = model }

  // MARK: - Orders

  /// An order rests anew, behind the `shown` lots of others at its price.
  func join(_ order: VenueOrder, shown: Int64) {
    let place = Place(order: order, ahead: Double(shown))
    if order.side == .buy { Self.insert(place, &bids) } else { Self.insert(place, &asks) }
    let level = Level(side: order.side, price: order.price.rawValue)
    // What was traded before it came does not move it: a level counts trades from its first order on.
    if flows[level] == nil { flows[level] = Flow() }
  }

  private static func insert(_ place: Place, _ places: inout [Place]) {
    let side = place.order.side
    let price = place.order.price
    var position = places.count
    while position > 0, side.isBetter(price, than: places[position - 1].order.price) { position -= 1 }
    places.insert(place, at: position)
  }

  /// An order does not rest any more.
  func leave(_ order: VenueOrder) {
    if order.side == .buy { Self.remove(order, &bids) } else { Self.remove(order, &asks) }
    let places = order.side == .buy ? bids : asks
    // Its price may have been changed by now: what no order needs is dropped.
    flows = flows.filter { level, _ in
      level.side != order.side || places.contains { $0.order.price.rawValue == level.price }
    }
  }

  private static func remove(_ order: VenueOrder, _ places: inout [Place]) {
    if let position = places.firstIndex(where: { $0.order === order }) { places.remove(at: position) }
  }

  /// An order was amended: it keeps its place as the rules say, or goes to the back of the queue of its price.
  func amend(_ order: VenueOrder, oldPrice: PriceTicks, oldLots: QtyLots, shown: Int64) {
    if order.price == oldPrice {
      if order.remaining == oldLots { return }
      if order.remaining < oldLots ? model.rules.keepsReduced : model.rules.keepsEnlarged { return }
    }
    leave(order)
    join(order, shown: shown)
  }

  /// Lots of others before a resting order; `nil` if it does not rest.
  func ahead(of order: VenueOrder) -> Double? {
    (order.side == .buy ? bids : asks).first { $0.order === order }?.ahead
  }

  // MARK: - Levels

  /// What is left of a recorded level after what we have taken from it.
  func shown(_ side: Side, _ price: Int64, recorded: Int64) -> Int64 {
    if used.isEmpty { return recorded }
    let level = Level(side: side, price: price)
    guard let taken = used[level] else { return recorded }
    let still = min(taken, max(0, recorded))
    used[level] = still == 0 ? nil : still
    return recorded - still
  }

  /// We have taken `lots` of a recorded level, from its front.
  func take(_ side: Side, _ price: Int64, _ lots: Int64) {
    guard lots > 0 else { return }
    used[Level(side: side, price: price), default: 0] += lots
    forEachPlace(side, price) { $0.ahead = max(0, $0.ahead - Double(lots)) }
  }

  private func forEachPlace(_ side: Side, _ price: Int64, _ body: (inout Place) -> Void) {
    if side == .buy {
      for index in bids.indices where bids[index].order.price.rawValue == price { body(&bids[index]) }
    } else {
      for index in asks.indices where asks[index].order.price.rawValue == price { body(&asks[index]) }
    }
  }

  /// A level shows `new` lots instead of `old`, those of participants not counted.
  func change(_ side: Side, _ price: Int64, old: Int64, new: Int64, now: Nanoseconds) {
    let level = Level(side: side, price: price)
    guard var flow = flows[level] else { return }
    // Trades have moved the queue already.
    let cancelled = old - new - flow.traded
    flow.traded = 0
    if cancelled > 0 {
      if now - flow.at > model.tradeLag { flow.unexplained = 0 }
      flow.unexplained += cancelled
      flow.at = now
    }
    flows[level] = flow
    forEachPlace(side, price) { place in
      guard cancelled > 0 else {
        place.ahead = min(place.ahead, Double(new))
        return
      }
      let before = place.ahead
      // Behind the trades the level stood at `new + cancelled`.
      place.ahead = model.queue.front(place.ahead, old: Double(new + cancelled), cancelled: Double(cancelled))
      if now - place.earlyAt > model.tradeLag { place.early = 0 }
      place.early += before - place.ahead
      place.earlyAt = now
    }
  }

  // MARK: - Trades

  /// What a recorded trade fills of ours, best and oldest first: at most its own size in total.
  func trade(aggressor: Side, price: PriceTicks, lots: Int64, now: Nanoseconds, into found: inout [Execution]) {
    let side = aggressor.opposite
    var left = lots
    if side == .buy {
      pass(&bids, side, price, &left, now, &found)
    } else {
      pass(&asks, side, price, &left, now, &found)
    }
    let level = Level(side: side, price: price.rawValue)
    if var flow = flows[level] {
      if now - flow.at > model.tradeLag { flow.unexplained = 0 }
      let explains = min(flow.unexplained, lots)
      flow.unexplained -= explains
      flow.traded += lots - explains
      flows[level] = flow
    }
  }

  private func pass(
    _ places: inout [Place], _ side: Side, _ price: PriceTicks, _ left: inout Int64, _ now: Nanoseconds,
    _ found: inout [Execution]
  ) {
    for index in places.indices {
      let order = places[index].order
      if side.isBetter(order.price, than: price) {
        // The trade went through our price: nobody stood before us any more.
        places[index].ahead = 0
        fill(order, min(order.remaining.rawValue, left), .through, &left, &found)
        continue
      }
      guard order.price == price else { break }
      if now - places[index].earlyAt > model.tradeLag { places[index].early = 0 }
      // What has moved us up before it was reported does not do so again.
      let moved = min(places[index].early, Double(left))
      places[index].early -= moved
      let volume = Double(left) - moved
      let ahead = places[index].ahead
      places[index].ahead = max(0, ahead - volume)
      // Whole lots only; a position known to a millionth of a lot is whole.
      let reach = Int64((volume - ahead + 1e-6).rounded(.down))
      if reach > 0 { fill(order, min(order.remaining.rawValue, reach), .queue, &left, &found) }
    }
  }

  private func fill(
    _ order: VenueOrder, _ lots: Int64, _ cause: FillCause, _ left: inout Int64, _ found: inout [Execution]
  ) {
    guard lots > 0 else { return }
    left -= lots
    found.append(Execution(order: order, lots: lots, cause: cause))
  }
}
