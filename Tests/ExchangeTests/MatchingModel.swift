import Apus
import ApusExchange
import CSupport

/// What one report says, without the handles, which only the engine can choose.
struct ModelReport: Equatable {
  var kind: MatchReportKind
  var reason = MatchReason.none
  var tag: UInt64 = 0
  var owner: UInt32 = 0
  var side = Side.buy
  /// Whether the order that the call was about has a handle at this point.
  var hasHandle = false
  var price: Int64 = 0
  var quantity: Int64 = 0
  var remaining: Int64 = 0
  var makerTag: UInt64 = 0
  var makerOwner: UInt32 = 0
  var makerRemaining: Int64 = 0
}

/// The rules once more, as plainly as possible: one array of resting orders, searched and sorted for
/// every question. Orders are known by their tags.
struct MatchingModel {
  struct Order: Equatable {
    var tag: UInt64
    var owner: UInt32
    var side: Side
    var noFill: Bool
    var price: Int64
    var total: Int64
    var remaining: Int64
    var arrival: Int
  }

  let limits: MatchLimits
  var resting: [Order] = []
  var reports: [ModelReport] = []
  private var arrivals = 0

  init(limits: MatchLimits) { self.limits = limits }

  // MARK: Questions

  /// A side's orders in the order in which they would trade.
  func queue(_ side: Side) -> Listing<Order> {
    Listing(
      resting.filter { $0.side == side }.sorted { a, b in
        if a.price != b.price { return side == .buy ? a.price > b.price : a.price < b.price }
        return a.arrival < b.arrival
      })
  }

  func best(_ side: Side) -> Int64? { queue(side).items.first?.price }

  private func total(_ side: Side, at price: Int64, without tag: UInt64? = nil) -> Int128 {
    resting.filter { $0.side == side && $0.price == price && $0.tag != tag }.reduce(0) { $0 + Int128($1.remaining) }
  }

  private func levelCount(_ side: Side, without tag: UInt64? = nil) -> Int {
    Set(resting.filter { $0.side == side && $0.tag != tag }.map(\.price)).count
  }

  private func allows(price: Int64) -> Bool { price >= limits.minPrice.rawValue && price <= limits.maxPrice.rawValue }
  private func allows(quantity: Int64) -> Bool { quantity >= 1 && quantity <= 1 << 53 }

  /// Whether an order of `quantity` could lie at `price`, were it not for the order `tag`.
  private func hasRoom(_ side: Side, price: Int64, quantity: Int64, without tag: UInt64? = nil) -> Bool {
    let there = total(side, at: price, without: tag)
    if there == 0 { return levelCount(side, without: tag) < min(limits.maxLevels, limits.maxOrders) }
    return there + Int128(quantity) <= Int128(Int64.max)
  }

  private func crosses(_ side: Side, price: Int64?) -> Bool {
    guard let best = best(side.opposite) else { return false }
    guard let price else { return true }
    return side == .buy ? best <= price : best >= price
  }

  // MARK: Requests

  mutating func submit(_ new: MatchOrder) {
    reports = []
    let flags = MatchFlags(rawValue: new.flagBits)
    let side: Side = new.sideCode == 1 ? .sell : .buy
    var order = Order(
      tag: new.tag, owner: new.owner, side: side, noFill: flags.contains(.selfTradeNoFill), price: new.price.rawValue,
      total: new.quantity.rawValue, remaining: new.quantity.rawValue, arrival: 0)

    let known: MatchFlags = [.market, .immediateOrCancel, .postOnly, .postOnlyReject, .reduceOnly, .selfTradeNoFill]
    let immediate = flags.contains(.market) || flags.contains(.immediateOrCancel)
    if new.sideCode > 1 || !flags.isSubset(of: known) || (flags.contains(.postOnly) && immediate)
      || (flags.contains(.postOnlyReject) && !flags.contains(.postOnly))
    {
      return say(.rejected, order, .badFlags, hasHandle: false)
    }
    if !flags.contains(.market), !allows(price: order.price) {
      return say(.rejected, order, .badPrice, hasHandle: false)
    }
    if !allows(quantity: order.total) { return say(.rejected, order, .badQty, hasHandle: false) }
    if flags.contains(.reduceOnly) {
      if new.reducible.rawValue <= 0 { return say(.rejected, order, .reduceOnly, hasHandle: false) }
      order.total = min(order.total, new.reducible.rawValue)
      order.remaining = order.total
    }
    if flags.contains(.postOnly), crosses(side, price: order.price) {
      let moved = best(side.opposite)! - Int64(side.sign)
      if flags.contains(.postOnlyReject) || !allows(price: moved) {
        return say(.cancelled, order, .immediate, hasHandle: false)
      }
      order.price = moved
    }
    if !immediate {
      if resting.count == Int(limits.maxOrders) || !hasRoom(side, price: order.price, quantity: order.total) {
        return say(.rejected, order, .full, hasHandle: false)
      }
    }
    let selfTrade = trade(&order, limit: flags.contains(.market) ? nil : order.price, hasHandle: false)
    if order.remaining == 0 { return say(.done, order, hasHandle: false) }
    if selfTrade { return say(.cancelled, order, .selfTrade, hasHandle: false) }
    if immediate { return say(.cancelled, order, .immediate, hasHandle: false) }
    add(order)
    say(.accepted, order, hasHandle: true)
  }

  mutating func cancel(_ tag: UInt64, reason: MatchReason) {
    reports = []
    guard let index = resting.firstIndex(where: { $0.tag == tag }) else { return sayUnknown() }
    let order = resting.remove(at: index)
    say(.cancelled, order, reason, hasHandle: true)
  }

  mutating func modify(_ tag: UInt64, price: Int64, remaining: Int64) {
    reports = []
    guard let index = resting.firstIndex(where: { $0.tag == tag }) else { return sayUnknown() }
    var order = resting[index]
    if !allows(price: price) { return say(.rejected, order, .badPrice, hasHandle: true) }
    let executed = order.total - order.remaining
    if !allows(quantity: remaining) || !allows(quantity: executed + remaining) {
      return say(.rejected, order, .badQty, hasHandle: true)
    }
    let keepsPlace = price == order.price && remaining <= order.remaining
    if !keepsPlace, !hasRoom(order.side, price: price, quantity: remaining, without: tag) {
      return say(.rejected, order, .full, hasHandle: true)
    }
    order.price = price
    order.remaining = remaining
    order.total = executed + remaining
    if keepsPlace {
      resting[index] = order
      return say(.amended, order, hasHandle: true)
    }
    resting.remove(at: index)
    let selfTrade = trade(&order, limit: price, hasHandle: true)
    if order.remaining == 0 { return say(.done, order, hasHandle: true) }
    if selfTrade { return say(.cancelled, order, .selfTrade, hasHandle: true) }
    add(order)
    say(.amended, order, hasHandle: true)
  }

  // MARK: Steps

  /// Trades what can be traded; true if an order of its own owner stopped it.
  private mutating func trade(_ order: inout Order, limit: Int64?, hasHandle: Bool) -> Bool {
    var makers: [Order] = []
    var left = order.remaining
    var stopped = false
    for maker in queue(order.side.opposite).items {
      if left == 0 { break }
      if let limit, order.side == .buy ? maker.price > limit : maker.price < limit { break }
      if order.owner != 0, maker.owner == order.owner {
        stopped = true
        break
      }
      makers.append(maker)
      left -= min(left, maker.remaining)
    }
    if stopped && order.noFill { return true }
    for maker in makers {
      let index = resting.firstIndex { $0.tag == maker.tag }!
      let quantity = min(order.remaining, maker.remaining)
      order.remaining -= quantity
      resting[index].remaining -= quantity
      reports.append(
        ModelReport(
          kind: .trade, tag: order.tag, owner: order.owner, side: order.side, hasHandle: hasHandle, price: maker.price,
          quantity: quantity, remaining: order.remaining, makerTag: maker.tag, makerOwner: maker.owner,
          makerRemaining: maker.remaining - quantity))
      if resting[index].remaining == 0 { resting.remove(at: index) }
    }
    return stopped
  }

  private mutating func add(_ order: Order) {
    arrivals += 1
    resting.append(order)
    resting[resting.count - 1].arrival = arrivals
  }

  private mutating func say(_ kind: MatchReportKind, _ order: Order, _ reason: MatchReason = .none, hasHandle: Bool) {
    reports.append(
      ModelReport(
        kind: kind, reason: reason, tag: order.tag, owner: order.owner, side: order.side, hasHandle: hasHandle,
        price: order.price, quantity: order.total, remaining: order.remaining))
  }

  private mutating func sayUnknown() {
    reports.append(ModelReport(kind: .rejected, reason: .unknownOrder, hasHandle: true))
  }
}
