/// Black–Scholes on a forward with zero rate, and the volatility that it is fed with.
///
/// Models may use `Double`; what leaves is rounded to 10⁻⁸ USD once. Logarithm, exponential and the normal distribution
/// are made of the four operations and the square root, which every machine rounds in the same way: the same inputs
/// give the same bits everywhere, unlike the functions of a C library.
enum OptionModel {
  struct Value {
    var priceE8: Int64
    /// Fractions, in 10⁻¹².
    var deltaE12: Int64
    var volatilityE12: Int64
  }

  /// - Parameters:
  ///   - forwardE8: > 0.
  ///   - strikeE8: > 0.
  ///   - seconds: Until expiry; at 0 and below the value is what an exercise would bring.
  static func value(_ type: InstrumentSpec.OptionType, forwardE8: Int64, strikeE8: Int64, seconds: Double) -> Value {
    let forward = Double(forwardE8)
    let strike = Double(strikeE8)
    let years = max(seconds, 1) / 31_536_000
    let root = years.squareRoot()
    let money = logarithm(strike / forward)
    let sigma = volatility(money: money, rootYears: root)
    let deviation = sigma * root
    let upper = -money / deviation + deviation / 2
    let callDelta = normal(upper)
    let call = max(0, forward * callDelta - strike * normal(upper - deviation))
    let price = type == .call ? call : max(0, call - forward + strike)
    let delta = type == .call ? callDelta : callDelta - 1
    // Nothing is worth less than a cent here: a mark of 0 would leave no room between the collars.
    return Value(
      priceE8: max(1_000_000, Int64(price.rounded())), deltaE12: Int64((delta * 1e12).rounded()),
      volatilityE12: Int64((sigma * 1e12).rounded()))
  }

  /// A smile: 45 % at the money, more on both sides by the distance in deviations, and a little more below than above.
  static func volatility(money: Double, rootYears: Double) -> Double {
    let distance = max(-4, min(4, money / (0.45 * rootYears)))
    return max(0.2, 0.45 + 0.02 * distance * distance - 0.01 * distance)
  }

  /// The normal distribution function: the rational approximation 26.2.17 of Abramowitz and Stegun, error below 7.5e-8.
  static func normal(_ x: Double) -> Double {
    let distance = abs(x)
    if distance > 37 { return x > 0 ? 1 : 0 }
    let t = 1 / (1 + 0.2316419 * distance)
    let polynomial =
      t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    let tail = exponential(-distance * distance / 2) * 0.3989422804014327 * polynomial
    return x > 0 ? 1 - tail : tail
  }

  static func exponential(_ x: Double) -> Double {
    // x = n · ln 2 + r, |r| ≤ ln 2 / 2, and a Taylor series for r.
    let turns = (x / 0.6931471805599453).rounded()
    let rest = x - turns * 0.6931471805599453
    var term = 1.0
    var sum = 1.0
    for index in 1...18 {
      term *= rest / Double(index)
      sum += term
    }
    return sum * power(turns)
  }

  /// 2^turns.
  private static func power(_ turns: Double) -> Double {
    if turns < -1020 { return 0 }
    return Double(sign: .plus, exponent: Int(min(turns, 1020)), significand: 1)
  }

  /// Natural logarithm of a positive number.
  static func logarithm(_ x: Double) -> Double {
    // x = m · 2^e, m in [1, 2); ln m = 2 artanh((m − 1) / (m + 1)).
    var exponent = Double(x.exponent)
    var fraction = x.significand
    if fraction > 1.4142135623730951 {
      fraction /= 2
      exponent += 1
    }
    let ratio = (fraction - 1) / (fraction + 1)
    let square = ratio * ratio
    var power = ratio
    var sum = 0.0
    for index in 0..<20 {
      sum += power / Double(2 * index + 1)
      power *= square
    }
    return 2 * sum + exponent * 0.6931471805599453
  }
}
