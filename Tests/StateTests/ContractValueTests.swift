import CSupport
import TestSupport
import Testing

@testable import Apus

@Suite struct ContractValueTests {
  private static let linear = ContractValue(
    .linear, InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)))
  private static let inverse = ContractValue(
    .inverse, InstrumentGrid(tickE8: 50_000_000, lotE8: 1_000_000_000, minimumLots: QtyLots(rawValue: 1)))

  @Test func `a linear lot costs its price, an inverse one gains what its coins fall`() {
    // 0.003 BTC at 60,000 USD.
    #expect(Self.linear.worth(QtyLots(rawValue: 3), at: PriceTicks(rawValue: 60_000)) == 18_000_000_000)
    // 1,000 USD at 50,000 USD are 0.02 BTC.
    #expect(Self.inverse.worth(QtyLots(rawValue: 100), at: PriceTicks(rawValue: 100_000)) == -2_000_000)
    #expect(Self.inverse.worth(QtyLots(rawValue: -100), at: PriceTicks(rawValue: 100_000)) == 2_000_000)
    #expect(Self.inverse.notional(QtyLots(rawValue: 100), at: PriceTicks(rawValue: 100_000)) == 100_000_000_000)
    #expect(Self.linear.notional(QtyLots(rawValue: -3), at: PriceTicks(rawValue: 60_000)) == 18_000_000_000)
    #expect(Self.inverse.worth(QtyLots(rawValue: 1), at: PriceTicks(rawValue: 0)) == nil)
    #expect(ContractValue().notional(QtyLots(rawValue: 1), at: PriceTicks(rawValue: 1)) == nil)
  }

  /// Bought at `entry` and valued at `exit`: amount · (1/entry − 1/exit), in 10⁻⁸ coins (protocol, section 9).
  @Test func `the profit of an inverse position is that of the reference`() {
    var random = SplitMix(seed: 3)
    for _ in 0..<2000 {
      let lots = Int64.random(in: -1_000_000...1_000_000, using: &random)
      let entry = Int64.random(in: 2...400_000, using: &random), exit = Int64.random(in: 2...400_000, using: &random)
      let cost = Self.inverse.worth(QtyLots(rawValue: lots), at: PriceTicks(rawValue: entry)) ?? .min
      let profit = Self.inverse.worth(QtyLots(rawValue: lots), atE8: exit * 50_000_000) - Int128(cost)
      // In units of 10⁻⁸ coins: 10 USD a lot, half a USD a tick.
      let exact = Double(lots) * 10 * 1e8 * (1 / (Double(entry) / 2) - 1 / (Double(exit) / 2))
      #expect(abs(Double(profit) - exact) <= 1 + abs(exact) * 1e-12)
    }
  }

  @Test func `money settled in coins is shown at the mark`() {
    #expect(Self.inverse.inQuote(2_000_000, markE8: 50_000 * 100_000_000) == 1_000 * 100_000_000)
    #expect(Self.linear.inQuote(5, markE8: 50_000 * 100_000_000) == 5)
  }
}
