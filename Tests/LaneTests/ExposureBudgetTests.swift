import CSupport
import TestSupport
import Testing

@testable import Apus

@Suite struct ExposureBudgetTests {
  /// A lane as the budget sees it: it never makes its worst case larger than the cap that it obeys, and its words and the
  /// manager's take their time.
  private struct Lane {
    var cap: Int64 = 0
    var worst: Int64
    var obeyed: UInt32 = 0
    var serial: UInt32 = 0
    var inbox: [(serial: UInt32, cap: Int64)] = []
    var outbox: [(worst: Int64, obeyed: UInt32)] = []
    var isDark = false
  }

  @Test(arguments: (1...40).map { UInt64($0) })
  func `R07_ all lanes together never pass the limit, however late their words are`(seed: UInt64) {
    var random = SplitMix(seed: seed)
    let limit: Int64 = 1000
    let count = Int.random(in: 1...4, using: &random)
    var budget = ExposureBudget(limit: limit, members: count)
    // Opening positions, within the limit together.
    var lanes = (0..<count).map { _ in
      Lane(worst: Int64.random(in: -300...(limit / Int64(count)), using: &random))
    }
    var used: Int64 = 0
    for step in 0..<6000 {
      for index in lanes.indices {
        if random.chance(5) { lanes[index].isDark.toggle() }
        guard !lanes[index].isDark else {
          // What rests at a dark venue may trade: the position moves, the worst case does not.
          continue
        }
        if !lanes[index].inbox.isEmpty, random.chance(300) {
          let message = lanes[index].inbox.removeFirst()
          lanes[index].cap = message.cap
          lanes[index].obeyed = message.serial
        }
        // New orders up to the cap, and orders that end.
        if random.chance(400), lanes[index].worst < lanes[index].cap {
          lanes[index].worst += Int64.random(in: 0...(lanes[index].cap - lanes[index].worst), using: &random)
        }
        if random.chance(300) { lanes[index].worst -= Int64.random(in: 0...100, using: &random) }
        if random.chance(200) { lanes[index].outbox.append((lanes[index].worst, lanes[index].obeyed)) }
      }
      let worst = lanes.reduce(0) { $0 + $1.worst }
      #expect(worst <= limit, "seed \(seed) step \(step)")
      used = max(used, worst)
      for index in lanes.indices where !lanes[index].outbox.isEmpty && random.chance(300) {
        let said = lanes[index].outbox.removeFirst()
        budget.note(index, worst: said.worst, obeyed: said.obeyed)
      }
      guard random.chance(200) else { continue }
      for (index, cap) in budget.caps().enumerated() where cap != lanes[index].inbox.last?.cap ?? lanes[index].cap {
        lanes[index].serial += 1
        lanes[index].inbox.append((lanes[index].serial, cap))
        budget.sent(cap, to: index, serial: lanes[index].serial)
      }
    }
    #expect(used > limit / 2, "seed \(seed): the limit is there to be used")
  }

  @Test func `nothing is given while one lane is unknown, and a dark lane keeps what it had`() {
    var budget = ExposureBudget(limit: 100, members: 2)
    budget.note(0, worst: 0, obeyed: 0)
    #expect(budget.caps() == [0, 0])
    budget.note(1, worst: 20, obeyed: 0)
    let first = budget.caps()
    #expect(first == [40, 60])
    budget.sent(40, to: 0, serial: 1)
    budget.sent(60, to: 1, serial: 1)
    budget.note(0, worst: 40, obeyed: 1)
    // The other one says nothing more: its 60 stay counted.
    for _ in 0..<10 { #expect(budget.caps()[0] <= 40) }
    #expect(budget.granted == 100)
  }

  @Test func `what is lowered counts until the lane has confirmed it`() {
    var budget = ExposureBudget(limit: 100, members: 2)
    budget.note(0, worst: 0, obeyed: 0)
    budget.note(1, worst: 0, obeyed: 0)
    #expect(budget.caps() == [50, 50])
    budget.sent(50, to: 0, serial: 1)
    budget.sent(50, to: 1, serial: 1)
    budget.note(0, worst: 50, obeyed: 1)
    budget.note(1, worst: 0, obeyed: 1)
    // The first is full, the second empty: 25 each of what is left, taken from the second first.
    #expect(budget.caps() == [50, 25])
    budget.sent(25, to: 1, serial: 2)
    #expect(budget.caps() == [50, 25])
    budget.note(1, worst: 0, obeyed: 2)
    #expect(budget.caps() == [75, 25])
  }
}

@Suite struct UnderlyingTests {
  @Test func `an instrument's name says what it is on`() {
    for (name, underlying) in [
      ("BTC-PERPETUAL", "BTC"), ("BTC_USDC-PERPETUAL", "BTC"), ("BTCUSDT", "BTC"), ("ETH-25DEC26-5000-P", "ETH"),
      ("BTCPERP", "BTC"), ("1000PEPEUSDT", "1000PEPE"), ("USDT", "USDT"),
    ] { #expect(Underlying.name(of: name) == underlying) }
  }

  @Test func `a lot is so many coins, whatever it is counted in`() {
    func info(_ lotE8: Int64, _ contract: ContractKind, _ kind: InstrumentKind = .perpetual) -> InstrumentInfo {
      InstrumentInfo(
        index: 0, kind: kind,
        grid: InstrumentGrid(tickE8: 50_000_000, lotE8: lotE8, minimumLots: QtyLots(rawValue: 1)), expirySeconds: 0,
        contract: contract)
    }
    #expect(Underlying.unitE12(info(100_000, .linear), markE8: 1, deltaE8: 0) == 1_000_000_000)
    // 10 USD at 50,000 USD.
    #expect(Underlying.unitE12(info(1_000_000_000, .inverse), markE8: 50_000_00000000, deltaE8: 0) == 200_000_000)
    #expect(Underlying.unitE12(info(1_000_000_000, .inverse), markE8: 0, deltaE8: 0) == 0)
    #expect(Underlying.unitE12(info(10_000_000, .linear, .option), markE8: 1, deltaE8: -25_000_000) == -25_000_000_000)
  }

  @Test func `a hedge takes from the best price on, as far as it may`() {
    let bid = Quote(price: PriceTicks(rawValue: 100_000), qty: QtyLots(rawValue: 5))
    let ask = Quote(price: PriceTicks(rawValue: 100_010), qty: QtyLots(rawValue: 5))
    let buy = HedgePlan(lots: 7, slippageCentiBps: 500, bid: bid, ask: ask, largest: QtyLots(rawValue: 10))
    #expect(buy?.side == .buy && buy?.qty == QtyLots(rawValue: 7) && buy?.limit == PriceTicks(rawValue: 100_060))
    let sell = HedgePlan(lots: -70, slippageCentiBps: 0, bid: bid, ask: ask, largest: QtyLots(rawValue: 10))
    #expect(sell?.side == .sell && sell?.qty == QtyLots(rawValue: 10) && sell?.limit == PriceTicks(rawValue: 100_000))
    #expect(HedgePlan(lots: 0, slippageCentiBps: 0, bid: bid, ask: ask, largest: QtyLots(rawValue: 1)) == nil)
    #expect(HedgePlan(lots: 1, slippageCentiBps: 0, bid: bid, ask: nil, largest: QtyLots(rawValue: 1)) == nil)
  }
}
