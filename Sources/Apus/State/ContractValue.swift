import CSupport

/// What lots of one instrument are worth. Money in 10⁻⁸.
///
/// A linear contract is paid in the quote currency: `q` of it bought at `p` cost `q · p`. An inverse one is an amount of
/// the quote currency paid in the underlying: `q` bought at `p` and sold at `m` gain `q · (1/p − 1/m)`, so its worth at a
/// price is `−q / p` (Deribit protocol, section 9). With that the same account serves both: cash falls by the worth of
/// what is bought, and profit is cash and the worth of the position at the mark.
public struct ContractValue: Equatable, Sendable {
  public let contract: ContractKind
  /// Linear: what one lot costs at a price of one tick; 0 until the instrument is listed.
  private let tickLotE8: MoneyE8
  private let tickE8: Int64
  private let lotE8: Int64

  /// Of an instrument that is not listed yet: no lot of it has a known worth.
  init() {
    contract = .linear
    tickLotE8 = 0
    tickE8 = 0
    lotE8 = 0
  }

  init(_ contract: ContractKind, _ grid: InstrumentGrid) {
    self.contract = contract
    tickLotE8 = grid.tickLotE8 ?? 0
    tickE8 = grid.tickE8
    lotE8 = grid.lotE8
  }

  /// In the currency of settlement; `nil` if it leaves 64 bits.
  @inline(__always)
  func worth(_ lots: QtyLots, at price: PriceTicks) -> MoneyE8? {
    guard contract == .linear else { return inverseWorth(lots, price) }
    let (value, first) = price.rawValue.multipliedReportingOverflow(by: lots.rawValue)
    let (cost, second) = value.multipliedReportingOverflow(by: tickLotE8)
    return first || second ? nil : cost
  }

  /// Rounded to the nearest 10⁻⁸ coin, halves away from zero.
  @inline(never)
  private func inverseWorth(_ lots: QtyLots, _ price: PriceTicks) -> MoneyE8? {
    guard price.rawValue > 0, tickE8 > 0 else { return nil }
    return MoneyE8(exactly: Self.coins(lots.rawValue, lotE8, Int128(price.rawValue) * Int128(tickE8)))
  }

  /// −(lots · lot) / price, both in 10⁻⁸, as 10⁻⁸ coins.
  private static func coins(_ lots: Int64, _ lotE8: Int64, _ priceE8: Int128) -> Int128 {
    let amount = -Int128(lots) * Int128(lotE8) * 100_000_000
    let half = priceE8 / 2
    return (amount + (amount < 0 ? -half : half)) / priceE8
  }

  /// At a price that lies between ticks, such as a mark.
  func worth(_ lots: QtyLots, atE8 priceE8: Int64) -> Int128 {
    guard tickE8 > 0 else { return 0 }
    switch contract {
    case .linear: return Int128(lots.rawValue) * Int128(tickLotE8) * Int128(priceE8) / Int128(tickE8)
    case .inverse: return priceE8 > 0 ? Self.coins(lots.rawValue, lotE8, Int128(priceE8)) : 0
    }
  }

  /// The size of a trade in the quote currency, 0 or more; `nil` if it leaves 64 bits or is not known.
  @inline(__always)
  func notional(_ lots: QtyLots, at price: PriceTicks) -> MoneyE8? {
    if contract == .inverse {
      let (value, isOver) = lots.rawValue.multipliedReportingOverflow(by: lotE8)
      return isOver || value == .min ? nil : abs(value)
    }
    guard tickLotE8 > 0, let value = worth(lots, at: price), value != .min else { return nil }
    return abs(value)
  }

  /// Settled money in the quote currency, at the mark where that is another one.
  func inQuote(_ money: Int128, markE8: Int64) -> MoneyE8 {
    contract == .linear ? MoneyE8(clamping: money) : MoneyE8(clamping: money * Int128(markE8) / 100_000_000)
  }
}
