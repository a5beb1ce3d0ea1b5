import CSupport
import TestSupport
import Testing

@testable import Apus

@Suite struct LadderTests {
  private func quotes(_ ladder: borrowing Ladder) -> [Quote] { (0..<ladder.count).map { ladder[$0] } }

  private func quote(_ price: Int64, _ qty: Int64) -> Quote {
    Quote(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty))
  }

  @Test(arguments: [Side.buy, .sell])
  func `quotes stand best first, whatever the order in which they are added`(side: Side) {
    var ladder = Ladder(side: side, capacity: 8)
    for price in [100, 103, 101, 102] as [Int64] {
      let added = ladder.add(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: price))
      #expect(added)
    }
    let prices = quotes(ladder).map(\.price.rawValue)
    #expect(prices == (side == .buy ? [103, 102, 101, 100] : [100, 101, 102, 103]))
  }

  @Test func `a price that stands already takes the size on, in a full ladder too`() {
    var ladder = Ladder(side: .buy, capacity: 2)
    ladder.add(price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: 1))
    ladder.add(price: PriceTicks(rawValue: 99), qty: QtyLots(rawValue: 2))
    let added = ladder.add(price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: 5))
    #expect(added)
    let refused = ladder.add(price: PriceTicks(rawValue: 101), qty: QtyLots(rawValue: 1))
    #expect(!refused)
    #expect(quotes(ladder) == [quote(100, 6), quote(99, 2)])
  }

  @Test(arguments: [0, -1, .min] as [Int64])
  func `a size that is not positive is refused`(qty: Int64) {
    var ladder = Ladder(side: .sell, capacity: 2)
    let added = ladder.add(price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: qty))
    let count = ladder.count
    #expect(!added && count == 0)
  }

  @Test func `an index beyond the quotes traps`() async {
    await #expect(processExitsWith: .failure) {
      let ladder = Ladder(side: .sell, capacity: 2)
      _ = ladder[0]
    }
  }

  @Test(arguments: 1...100 as ClosedRange<UInt64>)
  func `random ladders, clipped, equal a sorted list treated one step after another`(seed: UInt64) {
    var random = SplitMix(seed: seed)
    for _ in 0..<20 {
      let side: Side = random.chance(500) ? .buy : .sell
      var ladder = Ladder(side: side, capacity: 12)
      var model: [Int64: Int64] = [:]
      for _ in 0..<Int.random(in: 0...30, using: &random) {
        let price = Int64.random(in: 0...20, using: &random)
        let qty = Int64.random(in: 0...9, using: &random)
        let fits = qty > 0 && (model[price] != nil || model.count < 12)
        let added = ladder.add(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty))
        #expect(added == fits, "seed \(seed)")
        if fits { model[price, default: 0] += qty }
      }
      var expected = model.map { quote($0.key, $0.value) }
        .sorted { side == .buy ? $0.price > $1.price : $0.price < $1.price }
      #expect(quotes(ladder) == expected, "seed \(seed)")

      let bound = PriceTicks(rawValue: .random(in: 0...20, using: &random))
      let limit = Int64.random(in: -5...80, using: &random)
      let least = QtyLots(rawValue: .random(in: 0...6, using: &random))
      ladder.clip(bound: bound, limit: QtyLots(rawValue: limit), minimum: least)
      expected.removeAll { side == .buy ? $0.price > bound : $0.price < bound }
      var room = max(limit, 0)
      expected = expected.compactMap {
        let kept = min($0.qty.rawValue, room)
        room -= kept
        return kept > 0 ? quote($0.price.rawValue, kept) : nil
      }
      expected.removeAll { $0.qty < least }
      #expect(quotes(ladder) == expected, "seed \(seed)")
    }
  }
}
