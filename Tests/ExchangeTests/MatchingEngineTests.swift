import Apus
import ApusExchange
import CSupport
import Testing

@Suite struct MatchingEngineTests {
  // MARK: Priority and plain limit orders

  @Test func `an order trades at the makers' prices, the best first and at one price the oldest first`() throws {
    let desk = try MatchingDesk()
    desk.sell(5, at: 102, tag: 1)
    desk.sell(5, at: 101, tag: 2)
    desk.sell(5, at: 101, tag: 3)
    #expect(
      desk.buy(12, at: 102, tag: 4) == [
        "trade #4 5@101 left 7, maker #2 left 0",
        "trade #4 5@101 left 2, maker #3 left 0",
        "trade #4 2@102 left 0, maker #1 left 3",
        "done #4 0/12@102",
      ])
    #expect(desk.book(.sell) == ["102: #1 3"])
    #expect(desk.book(.buy) == [])
  }

  @Test func `what is left of a limit order rests at its own price, and is counted from its total size`() throws {
    let desk = try MatchingDesk()
    desk.buy(5, at: 100, tag: 1)
    #expect(
      desk.sell(8, at: 99, tag: 2) == ["trade #2 5@100 left 3, maker #1 left 0", "accepted #2 3/8@99"])
    let best = desk.engine.best(.sell)
    #expect(best?.price.rawValue == 99)
    #expect(best?.quantity.rawValue == 3)
    let noBuys = desk.engine.best(.buy) == nil
    #expect(noBuys)
    let resting = desk.engine.order(desk.handles[2]!)
    #expect(resting?.quantity.rawValue == 8)
    #expect(resting?.remaining.rawValue == 3)
  }

  @Test func `reports carry the handle once the order rests, and both owners`() throws {
    var engine = try MatchingEngine(limits: .small())
    let maker = engine.submit(
      MatchOrder(tag: 7, owner: 3, side: .sell, price: PriceTicks(rawValue: 10), quantity: QtyLots(rawValue: 4)))
    let taker = engine.submit(
      MatchOrder(tag: 8, owner: 4, side: .buy, price: PriceTicks(rawValue: 10), quantity: QtyLots(rawValue: 6)))
    let trade = engine.reports[0]
    let accepted = engine.reports[1]
    let count = engine.reports.count
    #expect(count == 2)
    #expect(maker != 0 && taker != 0 && maker != taker)
    #expect(trade.handle == 0 && trade.owner == 4 && trade.side == .buy)
    #expect(trade.makerHandle == maker && trade.makerTag == 7 && trade.makerOwner == 3)
    #expect(accepted.handle == taker && accepted.makerHandle == 0 && accepted.makerTag == 0)
  }

  /// First, last, second, last but one ...: neither rising nor falling.
  private static func interleaved(_ prices: [Int64]) -> some Sequence<Int64> {
    prices.indices.lazy.map { $0.isMultiple(of: 2) ? prices[$0 / 2] : prices[prices.count - 1 - $0 / 2] }
  }

  @Test func `levels come best first on both sides, wherever the prices lie`() throws {
    let desk = try MatchingDesk()
    let limit = Int64(1) << 40
    let buys: [Int64] = [-limit, -(1 << 33), -4097, -4096, -65, -64, -63, -1, 0, 1]
    for (index, price) in Self.interleaved(buys).enumerated() { desk.buy(1, at: price, tag: UInt64(index)) }
    let sells: [Int64] = [2, 63, 64, 65, 4095, 4096, 262_143, 262_144, 1 << 30, limit]
    for (index, price) in Self.interleaved(sells).enumerated() { desk.sell(2, at: price, tag: UInt64(100 + index)) }
    let buyPrices = desk.engine.everyLevel(.buy).items.map(\.price.rawValue)
    let sellPrices = desk.engine.everyLevel(.sell).items.map(\.price.rawValue)
    #expect(buyPrices == buys.reversed())
    #expect(sellPrices == sells)
    let depth = desk.engine.depth(.sell, at: PriceTicks(rawValue: limit)).rawValue
    let none = desk.engine.depth(.sell, at: PriceTicks(rawValue: .max)).rawValue
    #expect(depth == 2)
    #expect(none == 0)
    let three = desk.engine.everyLevel(.sell, maximum: 3).items.map(\.price.rawValue)
    #expect(three == [2, 63, 64])
  }

  // MARK: IOC and market

  @Test func `what an immediate order cannot trade is cancelled, down to its price and no further`() throws {
    let desk = try MatchingDesk()
    #expect(desk.buy(3, at: 100, tag: 1, .immediateOrCancel) == ["cancelled #1 3/3@100 immediate"])
    desk.sell(2, at: 100, tag: 2)
    desk.sell(2, at: 101, tag: 3)
    #expect(
      desk.buy(3, at: 100, tag: 4, .immediateOrCancel) == [
        "trade #4 2@100 left 1, maker #2 left 0", "cancelled #4 1/3@100 immediate",
      ])
    #expect(
      desk.buy(1, at: 101, tag: 5, .immediateOrCancel) == ["trade #5 1@101 left 0, maker #3 left 1", "done #5 0/1@101"])
  }

  @Test func `a market order ignores its price, takes all it can get, and never rests`() throws {
    let desk = try MatchingDesk()
    desk.buy(2, at: -(1 << 40), tag: 1)
    desk.buy(2, at: 5, tag: 2)
    #expect(
      desk.sell(5, at: .max, tag: 3, .market) == [
        "trade #3 2@5 left 3, maker #2 left 0",
        "trade #3 2@-1099511627776 left 1, maker #1 left 0",
        "cancelled #3 1/5@9223372036854775807 immediate",
      ])
    #expect(desk.sell(1, tag: 4, .market) == ["cancelled #4 1/1@0 immediate"])
  }

  // MARK: Post-only

  @Test func `a post-only order that would trade is moved to one tick behind the opposite best`() throws {
    let desk = try MatchingDesk()
    desk.sell(5, at: 101, tag: 1)
    #expect(desk.buy(2, at: 100, tag: 2, .postOnly) == ["accepted #2 2/2@100"])
    #expect(desk.buy(3, at: 150, tag: 3, .postOnly) == ["accepted #3 3/3@100"])
    #expect(desk.buy(3, at: 101, tag: 4, .postOnly) == ["accepted #4 3/3@100"])
    #expect(desk.book(.buy) == ["100: #2 2, #3 3, #4 3"])
    #expect(desk.sell(1, at: -7, tag: 5, .postOnly) == ["accepted #5 1/1@101"])
    #expect(desk.book(.sell) == ["101: #1 5, #5 1"])
  }

  @Test func `a post-only order does not trade with its own owner either, but moves behind it`() throws {
    let desk = try MatchingDesk()
    desk.sell(5, at: 101, tag: 1, owner: 9)
    #expect(desk.buy(2, at: 101, tag: 2, owner: 9, [.postOnly, .selfTradeNoFill]) == ["accepted #2 2/2@100"])
  }

  @Test func `post-only with reject is cancelled instead of moved, and rests if it need not move`() throws {
    let desk = try MatchingDesk()
    desk.sell(5, at: 101, tag: 1)
    #expect(desk.buy(2, at: 101, tag: 2, [.postOnly, .postOnlyReject]) == ["cancelled #2 2/2@101 immediate"])
    #expect(desk.buy(2, at: 100, tag: 3, [.postOnly, .postOnlyReject]) == ["accepted #3 2/2@100"])
  }

  @Test func `a post-only order whose new price would leave the instrument's prices is cancelled`() throws {
    let desk = try MatchingDesk(.small(prices: 1...1000))
    desk.sell(5, at: 1, tag: 1)
    #expect(desk.buy(2, at: 3, tag: 2, .postOnly) == ["cancelled #2 2/2@3 immediate"])
    desk.cancel(1)
    desk.buy(5, at: 1000, tag: 3)
    #expect(desk.sell(2, at: 3, tag: 4, .postOnly) == ["cancelled #4 2/2@3 immediate"])

    let wide = try MatchingDesk()
    wide.sell(1, at: -(1 << 40), tag: 1)
    #expect(wide.buy(1, at: 0, tag: 2, .postOnly) == ["cancelled #2 1/1@0 immediate"])
  }

  // MARK: Reduce-only

  @Test func `a reduce-only order is cut to what reduces, and refused if nothing does`() throws {
    let desk = try MatchingDesk()
    #expect(desk.buy(9, at: 100, tag: 1, .reduceOnly, reducible: 4) == ["accepted #1 4/4@100"])
    #expect(desk.buy(3, at: 99, tag: 2, .reduceOnly, reducible: 4) == ["accepted #2 3/3@99"])
    #expect(desk.buy(9, at: 100, tag: 3, .reduceOnly) == ["rejected #3 9/9@100 reduceOnly"])
    #expect(desk.sell(9, at: 100, tag: 4, .reduceOnly, reducible: -4) == ["rejected #4 9/9@100 reduceOnly"])
    #expect(
      desk.sell(9, tag: 5, [.reduceOnly, .market], reducible: 4) == [
        "trade #5 4@100 left 0, maker #1 left 0", "done #5 0/4@0",
      ])
    #expect(desk.sell(2, at: 100, tag: 6, reducible: 1) == ["accepted #6 2/2@100"], "not reduce-only")
  }

  // MARK: Cancel

  @Test func `a cancel reports what was left, with the caller's reason, and works once`() throws {
    let desk = try MatchingDesk()
    desk.buy(5, at: 100, tag: 1)
    desk.sell(2, at: 100, tag: 2)
    #expect(desk.cancel(1, reason: .reduceOnly) == ["cancelled #1 3/5@100 reduceOnly"])
    #expect(desk.cancel(1) == ["rejected #0 0/0@0 unknownOrder"])
    let echoed = desk.engine.report(0).handle
    #expect(echoed == desk.handles[1])
    #expect(desk.engine.count == 0)
  }

  @Test func `an old handle does not reach the order that took over its slot`() throws {
    let desk = try MatchingDesk(.small(orders: 1))
    desk.buy(5, at: 100, tag: 1)
    desk.cancel(1)
    desk.buy(6, at: 100, tag: 2)
    #expect(desk.cancel(1) == ["rejected #0 0/0@0 unknownOrder"])
    #expect(desk.modify(1, to: 1, at: 1) == ["rejected #0 0/0@0 unknownOrder"])
    #expect(desk.book(.buy) == ["100: #2 6"])
  }

  @Test(arguments: [0, 1, 64, 65, 0xFF_FFFF, 1 << 24, 2 << 24 | 1, .max] as [UInt64])
  func `a handle that was never given out names nothing`(handle: UInt64) throws {
    let desk = try MatchingDesk()
    desk.buy(5, at: 100, tag: 1)
    desk.buy(5, at: 100, tag: 2)
    desk.cancel(2)
    var engine = try MatchingEngine(limits: .small())
    let cancelled = engine.cancel(handle)
    let modified = engine.modify(handle, price: PriceTicks(rawValue: 1), remaining: QtyLots(rawValue: 1))
    let found = engine.order(handle) != nil
    #expect(!cancelled && !modified && !found)
    let other = desk.engine.order(handle)
    #expect(other == nil)
  }

  @Test func `cancelling from the front, the middle and the end keeps the others in order`() throws {
    let desk = try MatchingDesk()
    for tag in 1...5 { desk.buy(Int64(tag), at: 100, tag: UInt64(tag)) }
    desk.cancel(3)
    desk.cancel(1)
    desk.cancel(5)
    #expect(desk.book(.buy) == ["100: #2 2, #4 4"])
    let depth = desk.engine.depth(.buy, at: PriceTicks(rawValue: 100)).rawValue
    #expect(depth == 6)
  }

  // MARK: Modify

  @Test func `the same price and no larger a size keeps the place in the queue`() throws {
    let desk = try MatchingDesk()
    desk.buy(5, at: 100, tag: 1)
    desk.buy(5, at: 100, tag: 2)
    #expect(desk.modify(1, to: 3, at: 100) == ["amended #1 3/3@100"])
    #expect(desk.modify(1, to: 3, at: 100) == ["amended #1 3/3@100"])
    #expect(desk.book(.buy) == ["100: #1 3, #2 5"])
  }

  @Test func `a larger size or another price goes to the end of its queue, under the same handle`() throws {
    let desk = try MatchingDesk()
    desk.buy(5, at: 100, tag: 1)
    desk.buy(5, at: 100, tag: 2)
    desk.buy(5, at: 99, tag: 3)
    #expect(desk.modify(1, to: 6, at: 100) == ["amended #1 6/6@100"])
    #expect(desk.book(.buy) == ["100: #2 5, #1 6", "99: #3 5"])
    #expect(desk.modify(2, to: 4, at: 99) == ["amended #2 4/4@99"])
    #expect(desk.book(.buy) == ["100: #1 6", "99: #3 5, #2 4"])
    #expect(desk.modify(1, to: 9, at: 100) == ["amended #1 9/9@100"], "alone at its price")
    #expect(desk.cancel(2) == ["cancelled #2 4/4@99 client"])
  }

  @Test func `the size of a modify is what shall remain; the total grows by what was executed`() throws {
    let desk = try MatchingDesk()
    desk.buy(10, at: 100, tag: 1)
    desk.sell(4, at: 100, tag: 2)
    #expect(desk.modify(1, to: 5, at: 100) == ["amended #1 5/9@100"])
    #expect(desk.modify(1, to: 7, at: 101) == ["amended #1 7/11@101"])
  }

  @Test func `a modify that crosses trades, and rests with what is left or is done`() throws {
    let desk = try MatchingDesk()
    desk.buy(5, at: 99, tag: 1)
    desk.sell(3, at: 101, tag: 2)
    desk.sell(3, at: 102, tag: 3)
    #expect(
      desk.modify(1, to: 5, at: 101) == ["trade #1 3@101 left 2, maker #2 left 0", "amended #1 2/5@101"])
    let handle = desk.engine.report(0).handle
    #expect(handle == desk.handles[1], "the taker rested before, so its trades carry its handle")
    #expect(desk.modify(1, to: 2, at: 110) == ["trade #1 2@102 left 0, maker #3 left 1", "done #1 0/5@110"])
    #expect(desk.cancel(1) == ["rejected #0 0/0@0 unknownOrder"])
    #expect(desk.book(.buy) == [])
    #expect(desk.book(.sell) == ["102: #3 1"])
  }

  @Test func `a modify that is refused leaves the order where it was`() throws {
    let desk = try MatchingDesk(.small(prices: 1...1000))
    desk.buy(5, at: 100, tag: 1)
    desk.buy(5, at: 100, tag: 2)
    #expect(desk.modify(1, to: 0, at: 100) == ["rejected #1 5/5@100 badQty"])
    #expect(desk.modify(1, to: -1, at: 101) == ["rejected #1 5/5@100 badQty"])
    #expect(desk.modify(1, to: 1 << 53 + 1, at: 101) == ["rejected #1 5/5@100 badQty"])
    #expect(desk.modify(1, to: 5, at: 0) == ["rejected #1 5/5@100 badPrice"])
    #expect(desk.modify(1, to: 5, at: .max) == ["rejected #1 5/5@100 badPrice"])
    #expect(desk.book(.buy) == ["100: #1 5, #2 5"])
    desk.sell(1, at: 100, tag: 3)
    #expect(desk.modify(1, to: 1 << 53, at: 100) == ["rejected #1 4/5@100 badQty"], "with the executed lot above 2^53")
    #expect(desk.modify(1, to: 1 << 53 - 1, at: 100) == ["amended #1 9007199254740991/9007199254740992@100"])
  }

  @Test func `post-only and reduce-only end with the entry: a modify may trade`() throws {
    let desk = try MatchingDesk()
    desk.sell(5, at: 101, tag: 1)
    desk.buy(2, at: 100, tag: 2, [.postOnly, .postOnlyReject, .reduceOnly], reducible: 2)
    #expect(desk.modify(2, to: 3, at: 101) == ["trade #2 3@101 left 0, maker #1 left 2", "done #2 0/3@101"])
  }

  // MARK: What the venue must refuse

  @Test(
    arguments: [
      ([.market, .postOnly], 1, 1, "badFlags"), ([.immediateOrCancel, .postOnly], 1, 1, "badFlags"),
      (.postOnlyReject, 1, 1, "badFlags"), (MatchFlags(rawValue: 64), 1, 1, "badFlags"),
      (MatchFlags(rawValue: 128), 1, 1, "badFlags"),
      ([], 1, 0, "badQty"), ([], 1, -1, "badQty"), ([], 1, 1 << 53 + 1, "badQty"), (.market, 1, 0, "badQty"),
      ([], 1 << 40 + 1, 1, "badPrice"), ([], -(1 << 40) - 1, 1, "badPrice"), ([], .min, 1, "badPrice"),
      (.immediateOrCancel, .max, 1, "badPrice"),
    ] as [(MatchFlags, Int64, Int64, String)])
  func `an impossible order is rejected and leaves no trace`(
    flags: MatchFlags, price: Int64, quantity: Int64, reason: String
  ) throws {
    let desk = try MatchingDesk()
    #expect(
      desk.buy(quantity, at: price, tag: 1, flags) == ["rejected #1 \(quantity)/\(quantity)@\(price) \(reason)"])
    #expect(desk.handles[1] == 0)
    #expect(desk.engine.count == 0)
  }

  @Test func `an order without a valid side is rejected`() throws {
    var engine = try MatchingEngine(limits: .small())
    var order = MatchOrder(tag: 1, side: .buy, price: PriceTicks(rawValue: 1), quantity: QtyLots(rawValue: 1))
    order.sideCode = 2
    let handle = engine.submit(order)
    let reason = engine.reports[0].reason
    #expect(handle == 0 && reason == .badFlags)
  }

  @Test(
    arguments: [
      .small(orders: 0), .small(orders: 1 << 24), .small(levels: 0), .small(prices: -(1 << 40) - 1...0),
      .small(prices: 0...(1 << 40) + 1),
      MatchLimits(maxOrders: 1, maxLevels: 1, minPrice: PriceTicks(rawValue: 2), maxPrice: PriceTicks(rawValue: 1)),
    ] as [MatchLimits])
  func `limits out of range are refused with words`(limits: MatchLimits) {
    let error = #expect(throws: MatchingEngineError.self) { _ = try MatchingEngine(limits: limits) }
    #expect(error?.description.hasPrefix("could not create a matching engine of \(limits.maxOrders) orders") == true)
  }
}
