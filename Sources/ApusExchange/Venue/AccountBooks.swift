public import Apus
import CSupport

/// The venue's own record of one account, to be compared with what the account believes.
public struct AccountBooks: Codable, Equatable, Sendable {
  public struct OpenOrder: Codable, Equatable, Sendable {
    public var orderID: String
    public var clientOrderID: UInt64?
    public var instrument: String
    public var isBuy: Bool
    public var priceTicks: Int64
    public var amountLots: Int64
    public var filledLots: Int64
    public var remainingLots: Int64
    public var isPersistent: Bool
  }

  public struct Position: Codable, Equatable, Sendable {
    public var instrument: String
    /// Negative = short.
    public var lots: Int64
    /// Price profit that is realised, fees excluded, 10⁻⁸ USD.
    public var realisedE8: MoneyE8
    public var feesE8: MoneyE8
    public var openBuyLots: Int64
    public var openSellLots: Int64
    /// Largest |position| ever.
    public var maximumLots: Int64
    /// Largest position + all open buys, and −position + all open sells, ever; at least 0.
    public var worstLongLots: Int64
    public var worstShortLots: Int64
  }

  public struct Fill: Codable, Equatable, Sendable {
    public var tradeID: String
    public var orderID: String
    public var clientOrderID: UInt64?
    public var instrument: String
    public var isBuy: Bool
    /// In ticks of today's grid, what does not fit cut off (settlements only).
    public var priceTicks: Int64
    public var priceE8: Int64
    /// `normal`, also for the legs of a roll, or `expiration`.
    public var type: String
    /// Rolls: 0 = far leg, 1 = near leg; both have the same trade id.
    public var legIndex: Int
    public var lots: Int64
    public var feeE8: MoneyE8
    public var isMaker: Bool
    /// Nanoseconds since the Unix epoch.
    public var time: Nanoseconds
  }

  public var account: String
  public var openOrders: [OpenOrder]
  /// One for every instrument of the venue.
  public var positions: [Position]
  public var fills: [Fill]
  public var totalFeesE8: MoneyE8
  public var rateViolations: UInt64
  /// Text messages received from the account's connections, those before login included.
  public var messages: UInt64
}

extension ExchangeCore {
  /// The books of an account as of now; `nil` if it has never logged in.
  public func books(_ name: String) -> AccountBooks? {
    guard let account = accounts[name] else { return nil }
    let orders = account.orders.map { order in
      AccountBooks.OpenOrder(
        orderID: orderID(order.number, order.market), clientOrderID: order.clientID, instrument: order.market.spec.name,
        isBuy: order.side == .buy, priceTicks: order.price.rawValue, amountLots: order.amount.rawValue,
        filledLots: order.filled.rawValue, remainingLots: order.remaining.rawValue, isPersistent: order.isPersistent)
    }
    let positions = markets.map { market in
      let position = account.positions[market.index]
      return AccountBooks.Position(
        instrument: market.spec.name, lots: position.lots, realisedE8: position.realised,
        feesE8: position.feesE8, openBuyLots: position.openBuys, openSellLots: position.openSells,
        maximumLots: position.maximumLots, worstLongLots: position.worstLong, worstShortLots: position.worstShort)
    }
    let fills = account.fills.enumerated().map { index, fill in
      return AccountBooks.Fill(
        tradeID: tradeID(of: fill, index, account), orderID: orderID(fill.orderNumber, markets[fill.orderMarket]),
        clientOrderID: fill.clientID,
        instrument: markets[fill.market].spec.name, isBuy: fill.side == .buy,
        priceTicks: fill.priceE8 / markets[fill.market].spec.grid.tickE8,
        priceE8: fill.priceE8, type: fill.isExpiration ? "expiration" : "normal", legIndex: fill.legIndex,
        lots: fill.lots.rawValue, feeE8: fill.feeE8, isMaker: fill.isMaker, time: wall(fill.time))
    }
    return AccountBooks(
      account: name, openOrders: orders, positions: positions, fills: fills,
      totalFeesE8: positions.reduce(0) { $0 + $1.feesE8 }, rateViolations: account.violations,
      messages: account.messages)
  }

  /// Names of all accounts that have logged in, in that order.
  public var accountNames: [String] { accountList.map(\.name) }

  /// Names of all instruments that are listed, in the order of their listing.
  public var instrumentNames: [String] { markets.filter(\.isListed).map(\.spec.name) }

  /// What is wrong with the venue's own bookkeeping, which takes a walk through all of it; `nil` if all is well.
  public func brokenInvariant() -> String? {
    for market in markets {
      if let broken = market.engine.brokenInvariant() { return "\(market.spec.name): \(broken)" }
      for (side, total) in [(Side.buy, market.totalBids), (.sell, market.totalAsks)] {
        var resting: Int64 = 0
        market.levels(side, limit: .max) { _, lots in
          resting += lots.rawValue
          return true
        }
        if resting != total { return "\(market.spec.name): \(total) lots rest by the count, \(resting) in the book" }
      }
    }
    for order in orders.compactMap({ $0 }) {
      guard order.state.isLive, order.market.isListed, let resting = order.market.engine.order(order.handle),
        resting.remaining == order.remaining, resting.price == order.price
      else { return "order \(order.number) is not what rests in its book" }
      if order.isQuote, let session = order.session,
        session.quotes[Session.quoteKey(order.market, order.side)]?.contains(where: { $0 === order }) != true
      {
        return "quote \(order.number) is not among the quotes of its session"
      }
      if order.isQuote, order.session?.protection[order.market.spec.product]?.state == .exhausted {
        return "quote \(order.number) has outlived its protection"
      }
    }
    for account in accountList where account.quoteCount != account.orders.filter(\.isQuote).count {
      return "\(account.name) has another number of quotes than it counts"
    }
    return nil
  }
}
