import CSupport
import TestSupport
import Testing

@testable import Apus

/// The limits once more, from what the test itself knows of each order, in wide integers.
private struct RiskModel {
  struct Order {
    let pointer: OrderPointer
    let side: Side
    /// What the venue has confirmed; size 0 before it has confirmed anything.
    var price: Int64 = 0
    var total: Int64 = 0
    /// What a request without an answer asks for.
    var pending: (price: Int64, total: Int64)?
    var isLeaving = false
    var isUnknown = false
    var filled: Int64 = 0

    /// Every total size that the order can have at the venue at this moment.
    var possibleTotals: [Int64] { [total] + (pending.map { [$0.total] } ?? []) }
    var possiblePrices: [Int64] { (total > 0 ? [price] : []) + (pending.map { [$0.price] } ?? []) }
    var worst: Int128 { possibleTotals.map { max(0, Int128($0) - Int128(filled)) }.max() ?? 0 }
  }

  var orders: [Order] = []
  var position: Int64?
  var limits: RiskLimits?
  var markE8: Int64 = 0
  var collarLowE8: Int64 = 0
  var collarHighE8: Int64 = 0

  func worst(_ side: Side) -> Int128 {
    Int128(side.sign) * Int128(position ?? 0) + orders.filter { $0.side == side }.map(\.worst).reduce(0, +)
  }

  /// Every cause for which the command may not leave.
  func causes(_ kind: CommandKind, _ side: Side, _ price: Int64, _ total: Int64, _ order: Order?) -> Set<RiskRefusal> {
    guard let limits else { return [.noLimits] }
    var causes: Set<RiskRefusal> = []
    if position == nil { causes.insert(.positionUnknown) }
    let rest = Int128(total) - Int128(order?.filled ?? 0)
    let least = kind == .insert ? Int128(Desk.grid.minimumLots.rawValue) : 1
    if rest < least || rest > Int128(limits.maximumOrder.rawValue) { causes.insert(.orderSize) }
    if Int128(abs(price)) * 100_000 * max(rest, 0) > Int128(limits.maximumNotionalE8) { causes.insert(.notional) }
    let now = order?.worst ?? 0
    if rest > now, worst(side) - now + rest > Int128(limits.maximumPosition.rawValue) { causes.insert(.exposure) }
    let priceE8 = Int128(price) * 100_000_000
    let away = Int128(side.sign) * (priceE8 - Int128(markE8))
    // Marks of this test are whole multiples of 10⁶ units, so that the collar is exact.
    if markE8 <= 0 || away * 1_000_000 > Int128(markE8) * Int128(limits.collarCentiBps) { causes.insert(.collar) }
    if side == .buy, collarHighE8 > 0, priceE8 > Int128(collarHighE8) { causes.insert(.collar) }
    if side == .sell, collarLowE8 > 0, priceE8 < Int128(collarLowE8) { causes.insert(.collar) }
    if kind == .insert, orders.count >= limits.maximumOrders { causes.insert(.tooManyOrders) }
    for other in orders where other.side != side {
      for theirs in other.possiblePrices where side == .buy ? theirs <= price : theirs >= price {
        causes.insert(.selfCross)
      }
    }
    return causes
  }
}

@Suite struct RiskModelTests {
  @Test(arguments: 1...60 as ClosedRange<UInt64>)
  func `R07 R47 random commands against random orders get the verdict of the slow model`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    var desk = try Desk(position: nil)
    var model = RiskModel()
    model.markE8 = desk.market.ticker.markE8
    desk.gate = RiskGate(instrumentCapacity: 1)
    var passed = 0
    var seen: Set<RiskRefusal> = []

    for step in 0..<3000 {
      // The world changes.
      if step == 20 || random.chance(5) {
        let limits = RiskLimits(
          maximumPosition: QtyLots(rawValue: .random(in: 20...150, using: &random)),
          maximumOrder: QtyLots(rawValue: .random(in: 5...50, using: &random)),
          maximumNotionalE8: .random(in: 100_000_000...500_000_000, using: &random),
          collarCentiBps: .random(in: 0...50_000, using: &random), maximumOrders: .random(in: 2...14, using: &random))
        desk.gate.load(limits, for: 0)
        model.limits = limits
      }
      if random.chance(30) {
        model.markE8 = random.chance(100) ? 0 : .random(in: 9500...10500, using: &random) * 1_000_000
        model.collarLowE8 = random.chance(500) ? 0 : .random(in: 90...100, using: &random) * 100_000_000
        model.collarHighE8 = random.chance(500) ? 0 : .random(in: 100...110, using: &random) * 100_000_000
        desk.market.ticker.markE8 = model.markE8
        desk.market.ticker.collarLowE8 = model.collarLowE8
        desk.market.ticker.collarHighE8 = model.collarHighE8
      }
      if step == 40 || step > 40 && random.chance(5) {
        let position = Int64.random(in: -60...60, using: &random)
        _ = desk.tracker.setPosition(0, QtyLots(rawValue: position), mark: PriceTicks(rawValue: 100))
        model.position = position
      }
      try advanceOne(&desk, &model, &random)

      // A command is asked for.
      let side: Side = random.chance(500) ? .buy : .sell
      let price = 100 - side.sign * Int64.random(in: -8...12, using: &random)
      let candidates = model.orders.indices.filter {
        model.orders[$0].pending == nil && !model.orders[$0].isLeaving && !model.orders[$0].isUnknown
      }
      let amends = !candidates.isEmpty && random.chance(400)
      let place = amends ? candidates.randomElement(using: &random) : nil
      let order = place.map { model.orders[$0] }
      let total = Int64.random(in: -1...55, using: &random) + (order?.filled ?? 0)
      let kind: CommandKind = amends ? .amend : .insert
      let causes = model.causes(kind, order?.side ?? side, price, total, order)
      let verdict = desk.judge(Desk.command(kind, order?.side ?? side, price, total, order?.pointer), order?.pointer)
      if let verdict {
        try #require(causes.contains(verdict), "seed \(seed) step \(step): \(verdict) not among \(causes)")
        seen.insert(verdict)
        continue
      }
      try #require(causes.isEmpty, "seed \(seed) step \(step): passed in spite of \(causes)")
      passed += 1
      if let place {
        desk.amend(model.orders[place].pointer, price, total)
        model.orders[place].pending = (price, total)
      } else {
        var order = RiskModel.Order(pointer: desk.sent(side, price, total), side: side)
        order.pending = (price, total)
        model.orders.append(order)
      }
      try #require(Int128(desk.tracker.with(0) { $0.worstLong.rawValue }) == model.worst(.buy), "seed \(seed)")
      try #require(Int128(desk.tracker.with(0) { $0.worstShort.rawValue }) == model.worst(.sell), "seed \(seed)")
    }
    #expect(passed > 100, "seed \(seed)")
    #expect(seen.count >= 7, "seed \(seed) saw only \(seen)")
  }

  /// One order gets on: confirmed, refused, filled, cancelled, lost or found again.
  private func advanceOne(_ desk: inout Desk, _ model: inout RiskModel, _ random: inout SplitMix) throws {
    guard let place = model.orders.indices.randomElement(using: &random) else { return }
    let order = model.orders[place]
    switch Int.random(in: 0..<6, using: &random) {
    case 0, 1:
      if order.isLeaving {
        desk.confirm(order.pointer)
        model.orders.remove(at: place)
      } else if let pending = order.pending, pending.total > order.filled {
        desk.confirm(order.pointer)
        model.orders[place].price = pending.price
        model.orders[place].total = pending.total
        model.orders[place].pending = nil
        model.orders[place].isUnknown = false
      } else if order.pending == nil, order.isUnknown {
        desk.confirm(order.pointer)
        model.orders[place].isUnknown = false
      }
    case 2:
      guard !order.isUnknown, order.pending != nil || order.isLeaving else { return }
      let id = order.pointer.pointee.client_id
      let serial = desk.tracker.amendSerial(of: order.pointer)
      let kind: RequestKind =
        order.isLeaving ? .cancel(id) : order.total == 0 ? .insert(id) : .amend(id, serial: serial)
      _ = desk.tracker.refuse(kind, proof: .noEffect, now: 7)
      if order.total == 0 {
        model.orders.remove(at: place)
      } else {
        model.orders[place].pending = nil
        model.orders[place].isLeaving = false
      }
    case 3:
      guard order.total > order.filled + 1, model.position != nil else { return }
      let qty = Int64.random(in: 1..<(order.total - order.filled), using: &random)
      desk.fill(order.pointer, qty)
      model.orders[place].filled += qty
      model.position! += order.side.sign * qty
    case 4:
      guard order.pending == nil, !order.isLeaving, !order.isUnknown else { return }
      desk.tracker.beginCancel(order.pointer, now: 7)
      model.orders[place].isLeaving = true
    default:
      guard random.chance(100), !order.isUnknown else { return }
      desk.tracker.markUnknown(order.pointer, now: 7)
      model.orders[place].isUnknown = true
    }
  }

  private struct Resting {
    var order: OrderPointer
    var side: Side
    var price: Int64
    var total: Int64
    var filled: Int64 = 0
  }

  private struct Request {
    var order: OrderPointer
    var side: Side
    var price: Int64
    var total: Int64
  }

  /// The venue's reply with the truth of this moment; the executions themselves come on their own.
  private func tell(_ resting: Resting, _ desk: inout Desk) {
    var report = OrderReport()
    report.source = .reply
    report.status = resting.filled < resting.total ? .open : .filled
    report.side = resting.side
    report.instrument = 0
    report.clientID = resting.order.pointee.client_id
    report.hasPrice = true
    report.price = PriceTicks(rawValue: resting.price)
    report.qty = QtyLots(rawValue: resting.total)
    report.filled = QtyLots(rawValue: resting.filled)
    _ = desk.tracker.apply(report, now: 9)
  }

  /// R08 from the other side: a venue that the test keeps by itself carries requests out late, or not at
  /// all, and loses answers. Whatever trades there, its position stays within the limit.
  @Test(arguments: 1...60 as ClosedRange<UInt64>)
  func `R08 what passes the gate cannot take the venue's position past the limit, whatever is lost or late`(
    seed: UInt64
  ) throws {
    var random = SplitMix(seed: seed)
    var desk = try Desk(position: 0)
    let limit = Desk.limits.maximumPosition.rawValue
    var venue: [UInt64: Resting] = [:]
    var ids: [UInt64] = []  // in the order of arrival, so that a seed repeats
    var onTheWay: [Request] = []
    var lost: [Request] = []
    var untold: [(UInt64, Int64)] = []
    var position: Int64 = 0
    var traded = 0

    for step in 0..<2000 {
      // Ask for something, mostly as large as can be.
      let side: Side = random.chance(500) ? .buy : .sell
      let total = Int64.random(in: 2...40, using: &random)
      let price = 100 - side.sign * Int64.random(in: 1...20, using: &random)
      if let id = ids.randomElement(using: &random), random.chance(500), let order = desk.tracker.order(id),
        order.pointee.phaseValue == .live, order.pointee.inFlightValue == .none
      {
        let sum = total + order.pointee.filled_lots.rawValue
        let price = 100 - order.pointee.sideValue.sign * Int64.random(in: 1...20, using: &random)
        if desk.judgeAmend(order, price, sum) == nil {
          desk.amend(order, price, sum)
          onTheWay.append(Request(order: order, side: order.pointee.sideValue, price: price, total: sum))
        }
      } else if desk.judgeInsert(side, price, total) == nil {
        onTheWay.append(Request(order: desk.sent(side, price, total), side: side, price: price, total: total))
      }
      // A request arrives, in any order, or never does; its answer may be lost.
      if random.chance(700), let place = onTheWay.indices.randomElement(using: &random) {
        let request = onTheWay.remove(at: place)
        let id = request.order.pointee.client_id
        if random.chance(100) {
          desk.tracker.markUnknown(request.order, now: 9)
          lost.append(request)
        } else {
          if venue[id] == nil { ids.append(id) }
          var resting = venue[id] ?? Resting(order: request.order, side: request.side, price: 0, total: 0)
          // An order that is done cannot be amended; one amended to what it has traded is done.
          if venue[id] == nil || resting.total > resting.filled {
            resting.price = request.price
            resting.total = max(request.total, resting.filled)
          }
          venue[id] = resting
          if random.chance(800) { tell(resting, &desk) } else { desk.tracker.markUnknown(request.order, now: 9) }
        }
      }
      // What became of the unknown ones is found out in time.
      if random.chance(100), let request = lost.popLast() {
        let id = request.order.pointee.client_id
        let serial = desk.tracker.amendSerial(of: request.order)
        _ = desk.tracker.refuse(
          venue[id] == nil ? .insert(id) : .amend(id, serial: serial), proof: .noEffect, now: 9)
      }
      if random.chance(200), let id = ids.randomElement(using: &random), let order = desk.tracker.order(id),
        order.pointee.phaseValue == .unknown, !lost.contains(where: { $0.order == order })
      {
        if let resting = venue[id] { tell(resting, &desk) }
      }
      // The venue trades and tells it later, not in order.
      if random.chance(300), let id = ids.randomElement(using: &random), var resting = venue[id],
        resting.total > resting.filled
      {
        let qty = Int64.random(in: 1...(resting.total - resting.filled), using: &random)
        resting.filled += qty
        venue[id] = resting
        position += resting.side.sign * qty
        traded += 1
        untold.append((id, qty))
      }
      if random.chance(250), let place = untold.indices.randomElement(using: &random) {
        let (id, qty) = untold.remove(at: place)
        if let order = desk.tracker.order(id) { desk.fill(order, qty) }
      }
      let longest = venue.values.filter { $0.side == .buy }.map { max(0, $0.total - $0.filled) }.reduce(position, +)
      let shortest = venue.values.filter { $0.side == .sell }.map { max(0, $0.total - $0.filled) }.reduce(-position, +)
      try #require(longest <= limit && shortest <= limit, "seed \(seed) step \(step): \(longest) \(shortest)")
    }
    #expect(traded > 10, "seed \(seed)")
  }
}
