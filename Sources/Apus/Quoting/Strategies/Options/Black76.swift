import Glibc

/// The price of an option on a forward, and what moves it: Black's formula without discounting.
///
/// F. Black, "The pricing of commodity contracts", Journal of Financial Economics 3 (1976). The premium is paid in the
/// quote currency, and no interest is counted until the expiry.
public struct Black76: Equatable, Sendable {
  /// In the quote currency, of one contract on one unit of the underlying.
  public var price: Double
  /// By the forward: −1 ... 1.
  public var delta: Double
  /// By the forward, twice: per unit of the quote currency.
  public var gamma: Double
  /// By the volatility: the price of one whole unit, 100 points, of it.
  public var vega: Double

  /// - Parameters:
  ///   - forward, strike: > 0.
  ///   - logMoney: ln(strike / forward), which the caller has already.
  ///   - volatility: of a year, a fraction.
  ///   - rootYears: the square root of the years until expiry. Where it or the volatility is 0 or less, or no number, the value
  ///     is that of exercise.
  public init(isCall: Bool, forward: Double, strike: Double, logMoney: Double, volatility: Double, rootYears: Double) {
    let deviation = volatility * rootYears
    guard deviation > 1e-9 else {
      let inner = isCall ? forward - strike : strike - forward
      price = max(0, inner)
      delta = inner > 0 ? (isCall ? 1 : -1) : 0
      gamma = 0
      vega = 0
      return
    }
    let upper = deviation / 2 - logMoney / deviation
    let lower = upper - deviation
    let density = 0.398_942_280_401_432_7 * exp(-upper * upper / 2)
    // The tail that the formula asks for is taken itself, not as a difference from 1.
    price =
      isCall
      ? max(0, forward * Self.normal(upper) - strike * Self.normal(lower))
      : max(0, strike * Self.normal(-lower) - forward * Self.normal(-upper))
    delta = isCall ? Self.normal(upper) : -Self.normal(-upper)
    gamma = density / (forward * deviation)
    vega = forward * density * rootYears
  }

  /// The normal distribution function.
  static func normal(_ x: Double) -> Double { erfc(-x * 0.707_106_781_186_547_5) / 2 }
}
