import Apus
import ApusExchange
import CSupport

extension MatchLimits {
  static func small(
    orders: UInt32 = 64, levels: UInt32 = 64, prices: ClosedRange<Int64> = -(1 << 40)...(1 << 40)
  ) -> Self {
    Self(
      maxOrders: orders, maxLevels: levels, minPrice: PriceTicks(rawValue: prices.lowerBound),
      maxPrice: PriceTicks(rawValue: prices.upperBound))
  }
}

/// An array behind a name, for results of functions.
struct Listing<Element>: ExpressibleByArrayLiteral, CustomStringConvertible {
  var items: [Element]
  init(_ items: [Element]) { self.items = items }
  init(arrayLiteral items: Element...) { self.items = items }
  var description: String { items.map { "\($0)" }.joined(separator: "\n") }
}

extension Listing: Equatable where Element: Equatable {}

/// A matching engine whose orders are known by their tags and whose reports read as text:
/// `accepted #1 10/10@100` is remaining, total and price; `trade #2 4@100 left 6, maker #1 left 0` is a trade.
final class MatchingDesk {
  private(set) var engine: MatchingEngine
  private(set) var handles: [UInt64: UInt64] = [:]

  init(_ limits: MatchLimits = .small()) throws {
    engine = try MatchingEngine(limits: limits)
  }

  @discardableResult
  func buy(
    _ quantity: Int64, at price: Int64 = 0, tag: UInt64, owner: UInt32 = 0, _ flags: MatchFlags = [],
    reducible: Int64 = 0
  ) -> Listing<String> {
    enter(
      MatchOrder(
        tag: tag, owner: owner, side: .buy, flags: flags, price: PriceTicks(rawValue: price),
        quantity: QtyLots(rawValue: quantity), reducible: QtyLots(rawValue: reducible)))
  }

  @discardableResult
  func sell(
    _ quantity: Int64, at price: Int64 = 0, tag: UInt64, owner: UInt32 = 0, _ flags: MatchFlags = [],
    reducible: Int64 = 0
  ) -> Listing<String> {
    enter(
      MatchOrder(
        tag: tag, owner: owner, side: .sell, flags: flags, price: PriceTicks(rawValue: price),
        quantity: QtyLots(rawValue: quantity), reducible: QtyLots(rawValue: reducible)))
  }

  func enter(_ order: MatchOrder) -> Listing<String> {
    let handle = engine.submit(order)
    handles[order.tag] = handle
    return reports()
  }

  @discardableResult
  func cancel(_ tag: UInt64, reason: MatchReason = .client) -> Listing<String> {
    engine.cancel(handles[tag] ?? 0, reason: reason)
    return reports()
  }

  @discardableResult
  func modify(_ tag: UInt64, to quantity: Int64, at price: Int64) -> Listing<String> {
    engine.modify(handles[tag] ?? 0, price: PriceTicks(rawValue: price), remaining: QtyLots(rawValue: quantity))
    return reports()
  }

  /// The last call's reports; a broken invariant shows as one more line.
  private func reports() -> Listing<String> {
    var lines = (0..<engine.reportCount).map { engine.report($0).text }
    if let broken = engine.brokenInvariant() { lines.append("broken: \(broken)") }
    return Listing(lines)
  }

  /// A side, best first: `100: #1 10, #3 5` is a price and its queue, oldest first.
  func book(_ side: Side) -> Listing<String> {
    Listing(
      engine.everyLevel(side).items.map { level in
        let orders = engine.everyHandle(side, at: level.price).items.compactMap { engine.order($0) }
        let queue = orders.map { "#\($0.tag) \($0.remaining.rawValue)" }.joined(separator: ", ")
        return "\(level.price.rawValue): \(queue)"
      })
  }
}

extension MatchingEngine {
  func everyLevel(_ side: Side, maximum: Int = 4096) -> Listing<(price: PriceTicks, quantity: QtyLots)> {
    var prices = [PriceTicks](repeating: PriceTicks(rawValue: 0), count: maximum)
    var sizes = [QtyLots](repeating: .zero, count: maximum)
    var priceSpan = prices.mutableSpan
    var sizeSpan = sizes.mutableSpan
    let count = levels(side, prices: &priceSpan, sizes: &sizeSpan)
    return Listing((0..<count).map { (price: prices[$0], quantity: sizes[$0]) })
  }

  func everyHandle(_ side: Side, at price: PriceTicks) -> Listing<UInt64> {
    var handles = [UInt64](repeating: 0, count: count)
    var span = handles.mutableSpan
    let count = queue(side, at: price, handles: &span)
    return Listing(Array(handles.prefix(count)))
  }
}

extension MatchReport {
  var text: String {
    if kind == .trade {
      return "trade #\(tag) \(quantity.rawValue)@\(price.rawValue) left \(remaining.rawValue), "
        + "maker #\(makerTag) left \(makerRemaining.rawValue)"
    }
    let why = reason == .none ? "" : " \(reason.name)"
    return "\(kind.name) #\(tag) \(remaining.rawValue)/\(quantity.rawValue)@\(price.rawValue)\(why)"
  }
}

extension MatchReportKind {
  var name: String {
    switch self {
    case .accepted: "accepted"
    case .trade: "trade"
    case .done: "done"
    case .cancelled: "cancelled"
    case .rejected: "rejected"
    case .amended: "amended"
    }
  }
}

extension MatchReason {
  var name: String {
    switch self {
    case .none: "none"
    case .client: "client"
    case .immediate: "immediate"
    case .selfTrade: "selfTrade"
    case .reduceOnly: "reduceOnly"
    case .badPrice: "badPrice"
    case .badQty: "badQty"
    case .unknownOrder: "unknownOrder"
    case .full: "full"
    case .badFlags: "badFlags"
    }
  }
}
