import Apus
import ApusExchange
import CSupport
import Testing

@Suite struct SelfTradeTests {
  @Test func `an order trades down to the first of its own owner, which stays, and the rest is cancelled`() throws {
    let desk = try MatchingDesk()
    desk.sell(2, at: 100, tag: 1, owner: 2)
    desk.sell(2, at: 101, tag: 2, owner: 2)
    desk.sell(2, at: 101, tag: 3, owner: 1)
    desk.sell(2, at: 101, tag: 4, owner: 2)
    #expect(
      desk.buy(9, at: 105, tag: 5, owner: 1) == [
        "trade #5 2@100 left 7, maker #1 left 0",
        "trade #5 2@101 left 5, maker #2 left 0",
        "cancelled #5 5/9@105 selfTrade",
      ])
    #expect(desk.book(.sell) == ["101: #3 2, #4 2"])
    #expect(desk.book(.buy) == [])
  }

  @Test func `an order that is done before it meets its own is not affected`() throws {
    let desk = try MatchingDesk()
    desk.sell(2, at: 100, tag: 1)
    desk.sell(2, at: 100, tag: 2, owner: 1)
    #expect(
      desk.buy(2, at: 100, tag: 3, owner: 1) == ["trade #3 2@100 left 0, maker #1 left 0", "done #3 0/2@100"])
    desk.sell(2, at: 99, tag: 4)
    #expect(
      desk.buy(3, at: 99, tag: 5, owner: 1) == ["trade #5 2@99 left 1, maker #4 left 0", "accepted #5 1/3@99"],
      "its own lies behind its price")
  }

  @Test func `the first maker being its own, an order trades nothing`() throws {
    let desk = try MatchingDesk()
    desk.buy(2, at: 100, tag: 1, owner: 1)
    #expect(desk.sell(2, at: 100, tag: 2, owner: 1, .market) == ["cancelled #2 2/2@100 selfTrade"])
    #expect(desk.sell(2, at: 100, tag: 3, owner: 1, .immediateOrCancel) == ["cancelled #3 2/2@100 selfTrade"])
    #expect(desk.book(.buy) == ["100: #1 2"])
  }

  @Test func `anonymous orders trade with one another`() throws {
    let desk = try MatchingDesk()
    desk.buy(2, at: 100, tag: 1)
    #expect(desk.sell(2, at: 100, tag: 2) == ["trade #2 2@100 left 0, maker #1 left 0", "done #2 0/2@100"])
    desk.buy(2, at: 100, tag: 3)
    #expect(
      desk.sell(2, at: 100, tag: 4, .selfTradeNoFill) == ["trade #4 2@100 left 0, maker #3 left 0", "done #4 0/2@100"])
  }

  @Test func `no-fill trades nothing at all if it would meet its own before it is done`() throws {
    let desk = try MatchingDesk()
    desk.sell(2, at: 100, tag: 1)
    desk.sell(2, at: 101, tag: 2)
    desk.sell(2, at: 102, tag: 3, owner: 1)
    #expect(desk.buy(5, at: 105, tag: 4, owner: 1, .selfTradeNoFill) == ["cancelled #4 5/5@105 selfTrade"])
    #expect(
      desk.buy(5, tag: 5, owner: 1, [.market, .selfTradeNoFill]) == ["cancelled #5 5/5@0 selfTrade"])
    #expect(desk.book(.sell) == ["100: #1 2", "101: #2 2", "102: #3 2"])
    #expect(
      desk.buy(4, at: 105, tag: 6, owner: 1, .selfTradeNoFill) == [
        "trade #6 2@100 left 2, maker #1 left 0", "trade #6 2@101 left 0, maker #2 left 0", "done #6 0/4@105",
      ], "exactly enough before its own")
  }

  @Test func `no-fill trades and rests if its own lies behind its price`() throws {
    let desk = try MatchingDesk()
    desk.sell(2, at: 100, tag: 1)
    desk.sell(2, at: 102, tag: 2, owner: 1)
    #expect(
      desk.buy(5, at: 101, tag: 3, owner: 1, .selfTradeNoFill) == [
        "trade #3 2@100 left 3, maker #1 left 0", "accepted #3 3/5@101",
      ])
  }

  @Test func `a modified order meets its own too, and is gone with what it could not trade`() throws {
    let desk = try MatchingDesk()
    desk.sell(2, at: 100, tag: 1)
    desk.sell(2, at: 101, tag: 2, owner: 1)
    desk.buy(5, at: 90, tag: 3, owner: 1)
    #expect(
      desk.modify(3, to: 6, at: 101) == [
        "trade #3 2@100 left 4, maker #1 left 0", "cancelled #3 4/6@101 selfTrade",
      ])
    #expect(desk.book(.buy) == [])
    #expect(desk.book(.sell) == ["101: #2 2"])
  }

  @Test func `no-fill holds for later modifies`() throws {
    let desk = try MatchingDesk()
    desk.sell(2, at: 100, tag: 1)
    desk.sell(2, at: 101, tag: 2, owner: 1)
    desk.buy(5, at: 90, tag: 3, owner: 1, .selfTradeNoFill)
    #expect(desk.modify(3, to: 6, at: 101) == ["cancelled #3 6/6@101 selfTrade"])
    #expect(desk.book(.sell) == ["100: #1 2", "101: #2 2"])
  }
}

@Suite struct MatchingBoundsTests {
  @Test func `without a free slot an order that may rest is rejected before it trades`() throws {
    let desk = try MatchingDesk(.small(orders: 2))
    desk.sell(2, at: 100, tag: 1)
    desk.sell(2, at: 101, tag: 2)
    #expect(desk.buy(2, at: 100, tag: 3) == ["rejected #3 2/2@100 full"])
    #expect(desk.buy(2, at: 1, tag: 4, .postOnly) == ["rejected #4 2/2@1 full"])
    #expect(
      desk.buy(2, at: 100, tag: 5, .immediateOrCancel) == ["trade #5 2@100 left 0, maker #1 left 0", "done #5 0/2@100"])
    #expect(desk.buy(2, at: 1, tag: 6) == ["accepted #6 2/2@1"], "the trade freed a slot")
  }

  @Test func `without a free level only prices that exist take orders`() throws {
    let desk = try MatchingDesk(.small(levels: 2))
    desk.buy(1, at: 10, tag: 1)
    desk.buy(1, at: 20, tag: 2)
    #expect(desk.buy(1, at: 15, tag: 3) == ["rejected #3 1/1@15 full"])
    #expect(desk.buy(1, at: 10, tag: 4) == ["accepted #4 1/1@10"])
    desk.sell(1, at: 30, tag: 5)
    #expect(desk.buy(1, at: 30, tag: 6) == ["rejected #6 1/1@30 full"], "it might have had to rest at 30")
    #expect(desk.modify(1, to: 1, at: 11) == ["rejected #1 1/1@10 full"])
    #expect(desk.modify(4, to: 1, at: 20) == ["amended #4 1/1@20"])
    #expect(desk.modify(1, to: 1, at: 11) == ["amended #1 1/1@11"], "it leaves the level that it frees")
    #expect(desk.book(.buy) == ["20: #2 1, #4 1", "11: #1 1"])
  }

  @Test func `a level's total never passes 2^63 - 1`() throws {
    let desk = try MatchingDesk(.small(orders: 2000))
    let most = Int64(1) << 53
    for tag in 1...1023 { desk.buy(most, at: 7, tag: UInt64(tag)) }
    let depth = desk.engine.depth(.buy, at: PriceTicks(rawValue: 7)).rawValue
    #expect(depth == 1023 << 53)
    #expect(desk.buy(most, at: 7, tag: 1024) == ["rejected #1024 \(most)/\(most)@7 full"])
    #expect(desk.buy(most - 1, at: 7, tag: 1025) == ["accepted #1025 \(most - 1)/\(most - 1)@7"])
    #expect(desk.modify(1025, to: most, at: 7) == ["rejected #1025 \(most - 1)/\(most - 1)@7 full"])
    desk.modify(1025, to: most - 2, at: 7)
    #expect(desk.modify(1025, to: most - 1, at: 7) == ["amended #1025 \(most - 1)/\(most - 1)@7"], "2^63 - 1 exactly")
    desk.buy(most, at: 6, tag: 1026)
    #expect(desk.modify(1026, to: 1, at: 7) == ["rejected #1026 \(most)/\(most)@6 full"])
    #expect(
      desk.sell(1, at: 7, tag: 1027) == ["trade #1027 1@7 left 0, maker #1 left \(most - 1)", "done #1027 0/1@7"])
    #expect(desk.modify(1026, to: 1, at: 7) == ["amended #1026 1/1@7"])
  }

  @Test func `one order can sweep a full book`() throws {
    let desk = try MatchingDesk(.small(orders: 500, levels: 500))
    for tag in 1...500 { desk.sell(1, at: Int64(tag) * 1000, tag: UInt64(tag)) }
    let reports = desk.buy(501, tag: 501, .market)
    #expect(reports.items.count == 501)
    #expect(reports.items.last == "cancelled #501 1/501@0 immediate")
    #expect(desk.engine.count == 0)
  }

  @Test func `an engine of one order and one level works`() throws {
    let desk = try MatchingDesk(.small(orders: 1, levels: 1))
    for round in 0..<100 as Range<UInt64> {
      #expect(desk.sell(2, at: Int64(round) << 30, tag: round) == ["accepted #\(round) 2/2@\(round << 30)"])
      desk.cancel(round)
    }
    #expect(desk.engine.count == 0)
  }
}
