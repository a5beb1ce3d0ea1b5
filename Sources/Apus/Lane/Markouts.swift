import CSupport

/// What executions have gained some time later against the middle of the others' quotes: below 0 the market went against us.
///
/// Each execution waits here for its horizons, in fixed memory; too many at once are left out and counted. Settled when the
/// lane shows itself, every 50 ms: a horizon is that much longer at most. On the lane's thread.
public struct Markouts: ~Copyable {
  /// 1 s, 10 s and 60 s after the execution, as a backtest has them.
  public static let horizons: [Nanoseconds] = [1_000_000_000, 10_000_000_000, 60_000_000_000]

  /// Prices and sizes in 10⁻⁸, so that a new grid changes nothing.
  private struct Waiting {
    var time: Nanoseconds
    var priceE8: Int64
    /// Negative: sold.
    var qtyE8: Int64
    var instrument: InstrumentIndex
    var isInverse: Bool
  }

  static let capacity = 4096
  private let waiting: UnsafeMutablePointer<Waiting>
  private let sums: UnsafeMutablePointer<MarkoutSum>
  private let instrumentCount: Int
  /// Executions ever noted; by horizon, those that it has answered. The slowest horizon frees the memory.
  private var noted = 0
  private var answered = (0, 0, 0)
  private(set) var leftOut = 0

  init(instruments: Int) {
    instrumentCount = instruments
    waiting = .allocate(capacity: Self.capacity)
    sums = .allocate(capacity: instruments * 3)
    sums.initialize(repeating: MarkoutSum(), count: instruments * 3)
  }

  deinit {
    waiting.deallocate()
    sums.deallocate()
  }

  mutating func sums(_ instrument: Int) -> (MarkoutSum, MarkoutSum, MarkoutSum) {
    let own = sums + 3 * instrument
    return (own[0], own[1], own[2])
  }

  /// An execution at a price in 10⁻⁸ of the quote currency, of contracts in 10⁻⁸, negative if sold.
  mutating func note(
    _ instrument: InstrumentIndex, priceE8: Int64, qtyE8: Int64, contract: ContractKind, now: Nanoseconds
  ) {
    guard Int(instrument) < instrumentCount, priceE8 > 0 else { return }
    guard noted - answered.2 < Self.capacity else {
      leftOut += 1
      return
    }
    (waiting + noted % Self.capacity).initialize(
      to: Waiting(
        time: now, priceE8: priceE8, qtyE8: qtyE8, instrument: instrument, isInverse: contract == .inverse))
    noted += 1
  }

  /// Settles what is due. `mids`: of each instrument, 10⁻⁸ of the quote currency; 0: there is no market, and what would be
  /// settled at it is left out.
  @inline(never)
  mutating func settle(now: Nanoseconds, mids: (Int) -> Int64) {
    answered.0 = settle(0, from: answered.0, until: now - 1_000_000_000, mids)
    answered.1 = settle(1, from: answered.1, until: now - 10_000_000_000, mids)
    answered.2 = settle(2, from: answered.2, until: now - 60_000_000_000, mids)
  }

  private mutating func settle(_ horizon: Int, from first: Int, until time: Nanoseconds, _ mids: (Int) -> Int64) -> Int {
    var next = first
    while next < noted, waiting[next % Self.capacity].time <= time {
      let fill = waiting[next % Self.capacity]
      next += 1
      let mid = mids(Int(fill.instrument))
      guard mid > 0 else {
        leftOut += 1
        continue
      }
      (sums + 3 * Int(fill.instrument) + horizon).pointee.add(
        qtyE8: fill.qtyE8, from: fill.priceE8, to: mid, isInverse: fill.isInverse)
    }
    return next
  }
}

/// Of several executions together, 10⁻⁸ of the quote currency.
public struct MarkoutSum: Equatable, Sendable {
  public var valueE8: MoneyE8 = 0
  /// What they traded.
  public var tradedE8: MoneyE8 = 0

  public init(valueE8: MoneyE8 = 0, tradedE8: MoneyE8 = 0) {
    self.valueE8 = valueE8
    self.tradedE8 = tradedE8
  }

  /// Basis points of what was traded; `nil` without executions.
  public var basisPoints: Double? { tradedE8 > 0 ? Double(valueE8) / Double(tradedE8) * 1e4 : nil }

  /// An inverse contract is an amount of money; its gain is paid in coins and counted at the price that it is marked at.
  fileprivate mutating func add(qtyE8: Int64, from priceE8: Int64, to midE8: Int64, isInverse: Bool) {
    let moved = Int128(qtyE8) * Int128(midE8 - priceE8)
    let gained = moved / Int128(isInverse ? priceE8 : 100_000_000)
    let traded = isInverse ? Int128(abs(qtyE8)) : Int128(abs(qtyE8)) * Int128(priceE8) / 100_000_000
    valueE8 = MoneyE8(clamping: Int128(valueE8) + gained)
    tradedE8 = MoneyE8(clamping: Int128(tradedE8) + traded)
  }
}
