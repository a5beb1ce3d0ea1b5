import CSupport
import TestSupport
import Testing

@testable import Apus

/// The limits at their edges. Mark 100, 1 lot at 1 tick = 100,000 · 10⁻⁸; see `Desk.limits`.
@Suite struct RiskGateTests {
  @Test func `R54 nothing is traded without limits, nor where limits of another instrument are loaded`() throws {
    var desk = try Desk()
    desk.gate = RiskGate(instrumentCapacity: 2)
    #expect(desk.judgeInsert(.buy, 99, 5) == .noLimits)
    desk.gate.load(Desk.limits, for: 1)
    #expect(desk.judgeInsert(.buy, 99, 5) == .noLimits)
    desk.gate.load(Desk.limits, for: 0)
    #expect(desk.judgeInsert(.buy, 99, 5) == nil)
  }

  @Test func `R64 a price of 0 or less is for combinations alone, whose collar is a share of the index`() throws {
    var desk = try Desk()
    #expect(desk.judgeInsert(.buy, 1, 5) == nil)
    #expect(desk.judgeInsert(.buy, 0, 5) == .collar)
    #expect(desk.judgeInsert(.buy, -1, 5) == .collar)
    func judge(_ side: Side, _ price: Int64, markE8: Int64) -> RiskRefusal? {
      var market = desk.riskMarket
      market.isCombination = true
      market.indexE8 = 100 * Desk.grid.tickE8
      market.markE8 = markE8
      let command = Desk.command(.insert, side, price, 5)
      guard
        case .refused(let cause) = desk.gate.check(command, order: nil, state: desk.tracker.state(0), market: market)
      else { return nil }
      return cause
    }
    // The limit of 10 % of the index is 10 ticks around a mark of −3 ticks, and of 0.
    let mark = -3 * Desk.grid.tickE8
    let width = 100 * Desk.grid.tickE8 / 1_000_000 * Desk.limits.collarCentiBps / Desk.grid.tickE8
    #expect(judge(.buy, -3 + width, markE8: mark) == nil)
    #expect(judge(.buy, -3 + width + 1, markE8: mark) == .collar)
    #expect(judge(.sell, -3 - width, markE8: mark) == nil)
    #expect(judge(.sell, -3 - width - 1, markE8: mark) == .collar)
    #expect(judge(.buy, 0, markE8: 0) == nil)
  }

  @Test func `R22 an unknown position refuses, a position of zero does not`() throws {
    var unknown = try Desk(position: nil)
    #expect(unknown.judgeInsert(.sell, 101, 5) == .positionUnknown)
    var flat = try Desk(position: 0)
    #expect(flat.judgeInsert(.sell, 101, 5) == nil)
  }

  @Test func `an order is as large as the limit at most, and as small as the venue's least at least`() throws {
    var desk = try Desk()
    #expect(desk.judgeInsert(.buy, 50, 40) == nil)
    #expect(desk.judgeInsert(.buy, 50, 41) == .orderSize)
    #expect(desk.judgeInsert(.buy, 50, 2) == nil)
    #expect(desk.judgeInsert(.buy, 50, 1) == .orderSize)
    #expect(desk.judgeInsert(.buy, 50, 0) == .orderSize)
    #expect(desk.judgeInsert(.buy, 50, -3) == .orderSize)
  }

  @Test func `the size of an amend is what will rest: what has been filled does not count`() throws {
    var desk = try Desk()
    let order = desk.resting(.buy, 99, 40)
    desk.fill(order, 30)
    #expect(desk.judgeAmend(order, 99, 70) == nil)
    #expect(desk.judgeAmend(order, 99, 71) == .orderSize)
    #expect(desk.judgeAmend(order, 99, 31) == nil)  // shrinking below the least size takes risk off
    #expect(desk.judgeAmend(order, 99, 30) == .orderSize)
  }

  @Test func `the notional is price times size, to the last unit`() throws {
    var desk = try Desk()
    var limits = Desk.limits
    limits.maximumNotionalE8 = 99 * 20 * 100_000
    desk.gate.load(limits, for: 0)
    #expect(desk.judgeInsert(.buy, 99, 20) == nil)
    #expect(desk.judgeInsert(.buy, 99, 21) == .notional)
    limits.maximumNotionalE8 -= 1
    desk.gate.load(limits, for: 0)
    #expect(desk.judgeInsert(.buy, 99, 20) == .notional)
    #expect(desk.judgeInsert(.buy, 98, 20) == nil)
  }

  @Test func `a notional beyond 64 bits is refused, not wrapped into a small one`() throws {
    var desk = try Desk()
    var limits = Desk.limits
    limits.maximumOrder = QtyLots(rawValue: .max)
    limits.maximumPosition = QtyLots(rawValue: .max)
    limits.maximumNotionalE8 = .max
    desk.gate.load(limits, for: 0)
    // 99 · 100,000 · size passes 2⁶³ at about 9.3 · 10¹¹ lots; just above 2⁶⁴ it would wrap to almost nothing.
    #expect(desk.judgeInsert(.buy, 99, 931_653_740_000) == nil)
    #expect(desk.judgeInsert(.buy, 99, 931_653_750_000) == .notional)
    #expect(desk.judgeInsert(.buy, 99, 1_863_307_482_000) == .notional)
    #expect(desk.judgeInsert(.buy, 99, .max) == .notional)
  }

  @Test func `an instrument whose grid gives no whole value of a tick and lot is not traded`() throws {
    var desk = try Desk()
    desk.tracker.state(0).pointee.value = ContractValue()
    #expect(desk.judgeInsert(.buy, 99, 5) == .notional)
  }

  // MARK: - Exposure

  @Test(arguments: [Side.buy, .sell])
  func `R07 position and open orders of a side together meet the limit and do not pass it`(side: Side) throws {
    let price: Int64 = side == .buy ? 99 : 101
    var desk = try Desk(position: side.sign * 30)
    desk.resting(side, price - 1 * side.sign, 40)
    #expect(desk.judgeInsert(side, price, 30) == nil)
    #expect(desk.judgeInsert(side, price, 31) == .exposure)
    // The other side has all of its own room, and the position on top of it.
    #expect(desk.judgeInsert(side.opposite, 100 + side.sign, 40) == nil)
  }

  @Test func `R07 an order in flight, one of unknown outcome, one being cancelled and a reported fill all count`()
    throws
  {
    var desk = try Desk()
    _ = desk.sent(.buy, 90, 20)
    let lost = desk.sent(.buy, 91, 20)
    desk.tracker.markUnknown(lost, now: 5)
    let leaving = desk.resting(.buy, 92, 20)
    desk.tracker.beginCancel(leaving, now: 5)
    // Ended by the venue's word as filled with 20, of which no fill has been booked yet.
    let ended = desk.resting(.buy, 93, 20)
    var report = OrderReport()
    report.source = .feed
    report.status = .filled
    report.instrument = 0
    report.side = .buy
    report.clientID = ended.pointee.client_id
    report.hasPrice = true
    report.price = ended.pointee.price_ticks
    report.qty = QtyLots(rawValue: 20)
    report.filled = report.qty
    #expect(desk.tracker.apply(report, now: 6) == .ended)
    #expect(desk.judgeInsert(.buy, 94, 20) == nil)
    #expect(desk.judgeInsert(.buy, 94, 21) == .exposure)
    // The fill moves from the order to the position: the worst case stays.
    desk.fill(ended, 20)
    #expect(desk.judgeInsert(.buy, 94, 20) == nil)
    #expect(desk.judgeInsert(.buy, 94, 21) == .exposure)
    // Proven dead, the order in its cancel gives its room back.
    desk.confirm(leaving)
    #expect(desk.judgeInsert(.buy, 94, 40) == nil)
  }

  @Test func `R07 an amend counts by its growth; until answered both of its sizes count, the larger one`() throws {
    var desk = try Desk(position: 60)
    let order = desk.resting(.buy, 90, 20)
    #expect(desk.judgeAmend(order, 91, 40) == nil)
    desk.resting(.buy, 89, 10)
    #expect(desk.judgeAmend(order, 91, 30) == nil)
    #expect(desk.judgeAmend(order, 91, 31) == .exposure)
    // Growing: counts in full from the moment it is sent.
    desk.amend(order, 91, 30)
    #expect(desk.judgeInsert(.buy, 88, 2) == .exposure)
    desk.confirm(order)
    // Shrinking: the room is there only when the venue has said so.
    desk.amend(order, 91, 10)
    #expect(desk.judgeInsert(.buy, 88, 2) == .exposure)
    desk.confirm(order)
    #expect(desk.judgeInsert(.buy, 88, 20) == nil)
    #expect(desk.judgeInsert(.buy, 88, 21) == .exposure)
  }

  @Test func `an order that does not grow may move although the side is beyond its limit`() throws {
    var desk = try Desk(position: 90)
    let order = desk.resting(.buy, 90, 10)
    _ = desk.tracker.setPosition(0, QtyLots(rawValue: 120), mark: PriceTicks(rawValue: 100))
    #expect(desk.judgeAmend(order, 85, 10) == nil)
    #expect(desk.judgeAmend(order, 85, 5) == nil)
    #expect(desk.judgeAmend(order, 85, 11) == .exposure)
    #expect(desk.judgeInsert(.buy, 85, 2) == .exposure)
    // Selling out of the position is open: 120 long and 100 short allowed is room for 220.
    #expect(desk.judgeInsert(.sell, 101, 40) == nil)
  }

  // MARK: - Prices

  @Test func `the collar bounds the aggressive side of the mark only, and its edge belongs to it`() throws {
    var desk = try Desk()
    // 2 % of 100 USD.
    #expect(desk.judgeInsert(.buy, 102, 5) == nil)
    #expect(desk.judgeInsert(.buy, 103, 5) == .collar)
    #expect(desk.judgeInsert(.sell, 98, 5) == nil)
    #expect(desk.judgeInsert(.sell, 97, 5) == .collar)
    #expect(desk.judgeInsert(.buy, 1, 5) == nil)
    #expect(desk.judgeInsert(.sell, 700, 5) == nil)
  }

  @Test func `the collar lies where the mark lies between two ticks`() throws {
    var desk = try Desk()
    desk.market.ticker.markE8 = 9_990_000_000  // 99.9; 2 % above is 101.898, below 97.902
    #expect(desk.judgeInsert(.buy, 101, 5) == nil)
    #expect(desk.judgeInsert(.buy, 102, 5) == .collar)
    #expect(desk.judgeInsert(.sell, 98, 5) == nil)
    #expect(desk.judgeInsert(.sell, 97, 5) == .collar)
  }

  @Test func `the venue's own collars hold too, each for its side, and 0 is none`() throws {
    var desk = try Desk()
    desk.market.ticker.collarHighE8 = 101 * 100_000_000
    desk.market.ticker.collarLowE8 = 99 * 100_000_000
    #expect(desk.judgeInsert(.buy, 101, 5) == nil)
    #expect(desk.judgeInsert(.buy, 102, 5) == .collar)
    #expect(desk.judgeInsert(.sell, 99, 5) == nil)
    #expect(desk.judgeInsert(.sell, 98, 5) == .collar)
    #expect(desk.judgeInsert(.buy, 50, 5) == nil)
    desk.market.ticker.collarHighE8 = 0
    desk.market.ticker.collarLowE8 = 0
    #expect(desk.judgeInsert(.buy, 102, 5) == nil)
  }

  @Test func `without a mark nothing passes`() throws {
    var desk = try Desk()
    desk.market.ticker.markE8 = 0
    #expect(desk.judgeInsert(.buy, 99, 5) == .collar)
  }

  // MARK: - Own orders

  @Test func `as many orders as allowed, both sides together, and amends are none`() throws {
    var desk = try Desk()
    var last: OrderPointer?
    for step in 0..<5 as Range<Int64> {
      last = desk.resting(.buy, 90 - step, 2)
      if step < 4 { desk.resting(.sell, 110 + step, 2) }
    }
    #expect(desk.judgeInsert(.sell, 120, 2) == nil)
    _ = desk.sent(.sell, 120, 2)
    #expect(desk.judgeInsert(.sell, 121, 2) == .tooManyOrders)
    #expect(desk.judgeAmend(try #require(last), 80, 2) == nil)
  }

  @Test func `a price that would meet an order of our own is refused, one tick behind it is not`() throws {
    var desk = try Desk()
    desk.resting(.sell, 101, 5)
    #expect(desk.judgeInsert(.buy, 101, 5) == .selfCross)
    #expect(desk.judgeInsert(.buy, 102, 5) == .selfCross)
    #expect(desk.judgeInsert(.buy, 100, 5) == nil)
    desk.resting(.buy, 99, 5)
    #expect(desk.judgeInsert(.sell, 99, 5) == .selfCross)
    #expect(desk.judgeInsert(.sell, 100, 5) == nil)
  }

  @Test func `an own order with an amend in flight is in the way at both of its prices`() throws {
    var desk = try Desk()
    let up = desk.resting(.sell, 100, 5)
    desk.amend(up, 102, 5)
    #expect(desk.judgeInsert(.buy, 100, 5) == .selfCross)
    #expect(desk.judgeInsert(.buy, 99, 5) == nil)
    desk.confirm(up)
    #expect(desk.judgeInsert(.buy, 101, 5) == nil)
    desk.amend(up, 100, 5)
    #expect(desk.judgeInsert(.buy, 101, 5) == .selfCross)
    // Whatever the outcome is, while it is not known.
    desk.tracker.markUnknown(up, now: 9)
    #expect(desk.judgeInsert(.buy, 101, 5) == .selfCross)
  }

  @Test func `an own order being cancelled, in flight or unknown is still in the way`() throws {
    var desk = try Desk()
    let leaving = desk.resting(.sell, 100, 5)
    desk.tracker.beginCancel(leaving, now: 5)
    #expect(desk.judgeInsert(.buy, 100, 5) == .selfCross)
    desk.confirm(leaving)
    #expect(desk.judgeInsert(.buy, 100, 5) == nil)
    let flying = desk.sent(.buy, 99, 5)
    #expect(desk.judgeInsert(.sell, 99, 5) == .selfCross)
    desk.tracker.markUnknown(flying, now: 9)
    #expect(desk.judgeInsert(.sell, 99, 5) == .selfCross)
  }

  // MARK: - The gate as such

  @Test func `each refusal is counted under its cause, and a pass under none`() throws {
    var desk = try Desk()
    _ = desk.judgeInsert(.buy, 50, 41)
    _ = desk.judgeInsert(.buy, 50, 41)
    _ = desk.judgeInsert(.buy, 103, 5)
    _ = desk.judgeInsert(.buy, 99, 5)
    let counts = RiskRefusal.allCases.map { desk.gate.refusalCount($0) }
    #expect(counts == RiskRefusal.allCases.map { $0 == .orderSize ? 2 : $0 == .collar ? 1 : 0 })
  }

  @Test func `R62 a refusal leaves nothing behind: the next command is judged as if there had been none`() throws {
    var desk = try Desk()
    for _ in 0..<1000 { _ = desk.judgeInsert(.buy, 500, 5) }
    #expect(desk.judgeInsert(.buy, 99, 5) == nil)
  }

  @Test func `a cancel passes whatever the state, without limits too`() throws {
    var desk = try Desk(position: nil)
    desk.gate = RiskGate(instrumentCapacity: 1)
    let order = desk.sent(.buy, 99, 5)
    let command = Desk.command(.cancel, .buy, 99, 0, order)
    #expect(desk.gate.passCancel(command).command == command)
  }

  @Test func `R54 only a cancel can take the cancel's way through the gate`() async {
    await #expect(processExitsWith: .failure) {
      let gate = RiskGate(instrumentCapacity: 1)
      _ = gate.passCancel(Desk.command(.insert, .buy, 99, 5))
    }
  }
}
