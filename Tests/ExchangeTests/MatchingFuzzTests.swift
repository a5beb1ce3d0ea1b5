import Apus
import ApusExchange
import CSupport
import Testing

/// SplitMix64: a seed names a whole test run.
private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

private enum Request {
  case submit(MatchOrder)
  case cancel(UInt64, MatchReason)
  case modify(UInt64, price: Int64, remaining: Int64)
}

/// The shape of a random run, drawn from its seed: crowded or wide prices, few or many owners, tight or ample room.
private struct Flow {
  let limits: MatchLimits
  private var random: SeededGenerator
  private let spread: Int64
  private let owners: UInt32
  private let hugeSizes: Bool
  private let oddities: Int
  private var nextTag: UInt64 = 0

  init(seed: UInt64) {
    var random = SeededGenerator(state: seed)
    let orders = [1, 3, 8, 30, 80].randomElement(using: &random)! as UInt32
    let levels = [1, 2, 5, 40, 100].randomElement(using: &random)! as UInt32
    let lowest = [-(1 << 40), -(1 << 40), 1, -3].randomElement(using: &random)! as Int64
    limits = .small(orders: orders, levels: levels, prices: lowest...[1 << 40, 6].randomElement(using: &random)!)
    spread = [2, 4, 12, 100, 5000].randomElement(using: &random)!
    owners = [1, 2, 4, 30].randomElement(using: &random)!
    hugeSizes = Int.random(in: 0..<8, using: &random) == 0
    oddities = [20, 200, 10_000].randomElement(using: &random)!
    self.random = random
  }

  private mutating func chance(_ one: Int) -> Bool { Int.random(in: 0..<one, using: &random) == 0 }

  private mutating func price() -> Int64 {
    if chance(oddities) {
      return [-(1 << 40), 1 << 40, 1 << 40 + 1, .min, .max, 0, 1 << 30, -(1 << 20)].randomElement(using: &random)!
    }
    return Int64.random(in: -spread...spread, using: &random)
  }

  private mutating func quantity() -> Int64 {
    if chance(oddities) { return [0, -1, .min, .max, 1 << 53, 1 << 53 + 1].randomElement(using: &random)! }
    return hugeSizes
      ? Int64.random(in: (1 << 52)...(1 << 53), using: &random) : Int64.random(in: 1...20, using: &random)
  }

  private mutating func order() -> MatchOrder {
    var flags: MatchFlags = []
    switch Int.random(in: 0..<12, using: &random) {
    case 0: flags = .market
    case 1: flags = .immediateOrCancel
    case 2, 3: flags = .postOnly
    case 4: flags = [.postOnly, .postOnlyReject]
    case 5 where chance(oddities): flags = MatchFlags(rawValue: UInt8.random(in: 0...255, using: &random))
    default: break
    }
    if chance(6) { flags.insert(.reduceOnly) }
    if chance(3) { flags.insert(.selfTradeNoFill) }
    nextTag += 1
    var order = MatchOrder(
      tag: nextTag, owner: UInt32.random(in: 0...owners, using: &random), side: chance(2) ? .buy : .sell, flags: flags,
      price: PriceTicks(rawValue: price()), quantity: QtyLots(rawValue: quantity()),
      reducible: QtyLots(rawValue: Int64.random(in: -2...15, using: &random)))
    if chance(oddities) { order.sideCode = 2 }
    return order
  }

  /// The next request; cancels and modifies mostly name one of `live`.
  mutating func next(live: [MatchingModel.Order]) -> Request {
    let kind = Int.random(in: 0..<10, using: &random)
    if kind < 6 { return .submit(order()) }
    var tag = UInt64.random(in: 0...nextTag, using: &random)
    var price = price()
    if !chance(10), let target = live.randomElement(using: &random) {
      tag = target.tag
      if chance(3) { price = target.price }
    }
    if kind < 8 { return .cancel(tag, [.client, .reduceOnly, .selfTrade].randomElement(using: &random)!) }
    return .modify(tag, price: price, remaining: quantity())
  }
}

/// An engine and the model side by side, fed with the same requests.
private struct Duel: ~Copyable {
  var engine: MatchingEngine
  var model: MatchingModel
  /// The last handle that the engine gave to a tag.
  var handles: [UInt64: UInt64] = [:]

  init(limits: MatchLimits) throws {
    engine = try MatchingEngine(limits: limits)
    model = MatchingModel(limits: limits)
  }

  /// Lets both handle a request; what they disagree about, if anything.
  mutating func run(_ request: Request) -> String? {
    var asked: UInt64 = 0
    var rests: Bool
    var tag: UInt64
    switch request {
    case .submit(let order):
      model.submit(order)
      asked = engine.submit(order)
      rests = asked != 0
      tag = order.tag
      if rests {
        if handles.values.contains(asked) { return "handle \(asked) was given out twice" }
        handles[tag] = asked
      }
    case .cancel(let cancelled, let reason):
      tag = cancelled
      asked = handles[tag] ?? 0
      model.cancel(tag, reason: reason)
      let found = engine.cancel(asked, reason: reason)
      if found != (model.reports.last?.kind == .cancelled) { return "cancel returned \(found)" }
      rests = false
    case .modify(let modified, let price, let remaining):
      tag = modified
      asked = handles[tag] ?? 0
      model.modify(tag, price: price, remaining: remaining)
      rests = engine.modify(asked, price: PriceTicks(rawValue: price), remaining: QtyLots(rawValue: remaining))
    }
    if rests != model.resting.contains(where: { $0.tag == tag }) { return "whether #\(tag) rests: \(rests)" }
    return reportsDiffer(asked: asked) ?? bookDiffers() ?? engine.brokenInvariant()
  }

  private func reportsDiffer(asked: UInt64) -> String? {
    if engine.reportCount != model.reports.count {
      return "\(engine.reportCount) reports instead of \(model.reports.count)"
    }
    for (index, expected) in model.reports.enumerated() {
      let report = engine.report(index)
      let seen = ModelReport(
        kind: report.kind, reason: report.reason, tag: report.tag, owner: report.owner, side: report.side,
        hasHandle: report.handle == asked && (report.handle != 0 || expected.reason == .unknownOrder),
        price: report.price.rawValue, quantity: report.quantity.rawValue, remaining: report.remaining.rawValue,
        makerTag: report.makerTag, makerOwner: report.makerOwner, makerRemaining: report.makerRemaining.rawValue)
      let maker = report.kind == .trade ? handles[report.makerTag] : 0
      if !expected.hasHandle, report.handle != 0 { return "report \(index): a handle before it rests" }
      if report.makerHandle != maker { return "report \(index): maker handle \(report.makerHandle)" }
      // A bad side has no model: the code is echoed.
      if seen != expected, !(report.reason == .badFlags && report.sideCode > 1) {
        return "report \(index): \(seen) instead of \(expected)"
      }
    }
    return nil
  }

  private func bookDiffers() -> String? {
    if engine.count != model.resting.count { return "\(engine.count) orders instead of \(model.resting.count)" }
    for side in [Side.buy, .sell] {
      let expected = model.queue(side).items
      var seen: [MatchingModel.Order] = []
      var bests: [(price: PriceTicks, quantity: QtyLots)] = []
      for level in engine.everyLevel(side, maximum: 100).items {
        bests.append(level)
        if engine.depth(side, at: level.price) != level.quantity { return "depth at \(level.price)" }
        var total = QtyLots.zero
        for handle in engine.everyHandle(side, at: level.price).items {
          guard let order = engine.order(handle) else { return "handle \(handle) names nothing" }
          total += order.remaining
          seen.append(
            MatchingModel.Order(
              tag: order.tag, owner: order.owner, side: order.side, noFill: false, price: order.price.rawValue,
              total: order.quantity.rawValue, remaining: order.remaining.rawValue, arrival: 0))
        }
        if total != level.quantity { return "the sum of the orders at \(level.price)" }
      }
      let plain = expected.map { order in
        var order = order
        order.noFill = false
        order.arrival = 0
        return order
      }
      if seen != plain { return "\(side): \(seen) instead of \(plain)" }
      let best = engine.best(side)
      if best?.price != bests.first?.price || best?.quantity != bests.first?.quantity { return "best \(side)" }
    }
    return nil
  }
}

@Suite struct MatchingFuzzTests {
  @Test(arguments: 0..<16 as Range<UInt64>)
  func `the engine and the plain model agree on every report and on the whole book`(batch: UInt64) throws {
    for seed in batch * 16..<(batch + 1) * 16 {
      var flow = Flow(seed: seed)
      var duel = try Duel(limits: flow.limits)
      for step in 0..<400 {
        let request = flow.next(live: duel.model.resting)
        if let difference = duel.run(request) {
          Issue.record("seed \(seed), step \(step), \(request): \(difference)")
          return
        }
      }
    }
  }

  @Test(arguments: 1000..<1040 as Range<UInt64>)
  func `quantity entered is traded, cancelled or resting, and buyers pay what sellers get`(seed: UInt64) throws {
    var flow = Flow(seed: seed)
    var model = MatchingModel(limits: flow.limits)  // only to know which orders to name
    var engine = try MatchingEngine(limits: flow.limits)
    var handles: [UInt64: UInt64] = [:]
    var sides: [UInt64: Side] = [:]
    var unfilled: [UInt64: Int128] = [:]
    var entered: Int128 = 0
    var traded: Int128 = 0
    var cancelled: Int128 = 0
    var paid: [Side: Int128] = [.buy: 0, .sell: 0]

    for step in 0..<1000 {
      let request = flow.next(live: model.resting)
      var before: MatchResting?
      var asks: Int64 = 0
      switch request {
      case .submit(let order):
        model.submit(order)
        handles[order.tag] = engine.submit(order)
      case .cancel(let tag, let reason):
        model.cancel(tag, reason: reason)
        before = engine.order(handles[tag] ?? 0)
        engine.cancel(handles[tag] ?? 0, reason: reason)
      case .modify(let tag, let price, let remaining):
        model.modify(tag, price: price, remaining: remaining)
        before = engine.order(handles[tag] ?? 0)
        asks = remaining
        engine.modify(handles[tag] ?? 0, price: PriceTicks(rawValue: price), remaining: QtyLots(rawValue: remaining))
      }
      let last = engine.report(engine.reportCount - 1)
      if last.kind == .rejected { continue }
      switch request {
      case .submit:
        entered += Int128(last.quantity.rawValue)
        unfilled[last.tag] = Int128(last.quantity.rawValue)
        sides[last.tag] = last.side
      case .modify:  // a modify enters the difference of the sizes, which may be negative
        let change = Int128(asks) - Int128(before!.remaining.rawValue)
        entered += change
        unfilled[last.tag]! += change
      case .cancel: break
      }
      for index in 0..<engine.reportCount - 1 {
        let trade = engine.report(index)
        let quantity = Int128(trade.quantity.rawValue)
        traded += 2 * quantity  // once for each of the two orders
        for tag in [trade.tag, trade.makerTag] {
          unfilled[tag]! -= quantity
          paid[sides[tag]!]! += quantity * Int128(trade.price.rawValue)
        }
      }
      if last.kind == .cancelled {
        cancelled += Int128(last.remaining.rawValue)
        unfilled[last.tag]! -= Int128(last.remaining.rawValue)
      }
      var resting: Int128 = 0
      for side in [Side.buy, .sell] {
        for level in engine.everyLevel(side, maximum: 100).items { resting += Int128(level.quantity.rawValue) }
      }
      guard entered == traded + cancelled + resting, paid[.buy] == paid[.sell] else {
        Issue.record(
          "seed \(seed), step \(step): \(entered) entered, \(traded), \(cancelled), \(resting); paid \(paid)")
        return
      }
    }
    var lost: [UInt64] = []
    for (tag, left) in unfilled where left != Int128(engine.order(handles[tag]!)?.remaining.rawValue ?? 0) {
      lost.append(tag)
    }
    #expect(lost.isEmpty, "seed \(seed): what an order reports is not what is left of it")
  }

  @Test(arguments: 2000..<2010 as Range<UInt64>)
  func `the same requests give the same reports, handles included`(seed: UInt64) throws {
    func run() throws -> Listing<String> {
      var flow = Flow(seed: seed)
      var duel = try Duel(limits: flow.limits)
      var lines: [String] = []
      for _ in 0..<300 {
        _ = duel.run(flow.next(live: duel.model.resting))
        for index in 0..<duel.engine.reportCount { lines.append("\(duel.engine.report(index))") }
      }
      return Listing(lines)
    }
    let same = try run() == run()
    #expect(same, "seed \(seed)")
  }
}
