public import CSupport

/// Nanoseconds: a duration, or a point on the clock that the context names.
///
/// Decision code only ever receives these; it never reads a clock.
public typealias Nanoseconds = Int64

/// Money in units of 10⁻⁸ of the quote currency.
public typealias MoneyE8 = Int64

/// Position of an instrument in the lane's instrument table, 0 ..< table capacity.
public typealias InstrumentIndex = UInt16

extension PriceTicks: @retroactive Comparable {
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  @inlinable public static func + (a: Self, b: Self) -> Self { Self(rawValue: a.rawValue + b.rawValue) }
  @inlinable public static func - (a: Self, b: Self) -> Self { Self(rawValue: a.rawValue - b.rawValue) }
}

extension QtyLots: @retroactive Comparable {
  public static var zero: Self { Self(rawValue: 0) }
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  @inlinable public static func + (a: Self, b: Self) -> Self { Self(rawValue: a.rawValue + b.rawValue) }
  @inlinable public static func - (a: Self, b: Self) -> Self { Self(rawValue: a.rawValue - b.rawValue) }
  @inlinable public static func += (a: inout Self, b: Self) { a = a + b }
  @inlinable public static func -= (a: inout Self, b: Self) { a = a - b }
  @inlinable public static prefix func - (a: Self) -> Self { Self(rawValue: -a.rawValue) }
}

extension Side {
  /// +1 for a buy, −1 for a sell: what one filled lot does to the position.
  @inlinable public var sign: Int64 { self == .buy ? 1 : -1 }
  @inlinable public var opposite: Side { self == .buy ? .sell : .buy }

  /// Whether `a` is the more aggressive of two prices on this side.
  @inlinable public func isBetter(_ a: PriceTicks, than b: PriceTicks) -> Bool {
    self == .buy ? a > b : a < b
  }
}

/// The grid on which an instrument's prices and quantities lie, in units of 10⁻⁸.
///
/// It comes from the venue's instrument object and from nowhere else (R64).
public struct InstrumentGrid: Equatable, Sendable {
  /// Size of one tick in 10⁻⁸ of the quote currency, > 0; 100_000_000 for a tick of 1 USD.
  public var tickE8: Int64
  /// Size of one lot in 10⁻⁸ contracts, > 0; 100_000 for a lot of 0.001.
  public var lotE8: Int64
  /// The smallest order that the venue accepts, in lots, ≥ 1.
  public var minimumLots: QtyLots

  public init(tickE8: Int64, lotE8: Int64, minimumLots: QtyLots) {
    self.tickE8 = tickE8
    self.lotE8 = lotE8
    self.minimumLots = minimumLots
  }

  /// What one lot costs at a price of one tick, in 10⁻⁸ of the quote currency; `nil` if that is
  /// not a whole number, which no venue described so far has.
  public var tickLotE8: MoneyE8? {
    let (high, low) = tickE8.multipliedFullWidth(by: lotE8)
    let (quotient, remainder) = Int64(100_000_000).dividingFullWidth((high, low))
    return remainder == 0 ? quotient : nil
  }
}
