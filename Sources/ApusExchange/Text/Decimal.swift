/// Decimal text to scaled integers, exactly: no `Double` on the way.
enum Decimal {
  /// The JSON number in `text`, times 10^`places`, rounded half away from zero; `nil` if `text` is not
  /// a number or the result does not fit.
  ///
  /// `0.30000000000000004` with 8 places is 30_000_000, as the venue rounds every price and amount.
  static func parse(_ text: UnsafeRawBufferPointer, places: Int) -> Int64? {
    var position = 0
    let end = text.count
    var isNegative = false
    if position < end, text[position] == UInt8(ascii: "-") {
      isNegative = true
      position += 1
    }
    // The first 30 significant digits decide; further ones only move the exponent.
    var digits: UInt128 = 0
    var digitCount = 0
    var exponent = 0
    var seenDigit = false
    func take(_ digit: UInt8, afterPoint: Bool) {
      seenDigit = true
      if digitCount < 30 {
        digits = digits * 10 + UInt128(digit - 48)
        if digits != 0 { digitCount += 1 }
        if afterPoint { exponent -= 1 }
      } else if !afterPoint {
        exponent += 1
      }
    }
    while position < end, text[position] &- 48 < 10 {
      take(text[position], afterPoint: false)
      position += 1
    }
    if position < end, text[position] == UInt8(ascii: ".") {
      position += 1
      while position < end, text[position] &- 48 < 10 {
        take(text[position], afterPoint: true)
        position += 1
      }
    }
    guard seenDigit else { return nil }
    if position < end, text[position] | 32 == UInt8(ascii: "e") {
      position += 1
      var negativeExponent = false
      if position < end, text[position] == UInt8(ascii: "-") || text[position] == UInt8(ascii: "+") {
        negativeExponent = text[position] == UInt8(ascii: "-")
        position += 1
      }
      guard position < end else { return nil }
      var written = 0
      while position < end, text[position] &- 48 < 10 {
        written = min(written * 10 + Int(text[position] - 48), 100_000)
        position += 1
      }
      exponent += negativeExponent ? -written : written
    }
    guard position == end else { return nil }
    if digits == 0 { return 0 }
    var shift = exponent + places
    while shift > 0 {
      let (product, overflow) = digits.multipliedReportingOverflow(by: 10)
      if overflow { return nil }
      digits = product
      shift -= 1
    }
    if shift < 0 {
      if shift < -38 { return 0 }
      var divisor: UInt128 = 1
      while shift < 0 {
        divisor *= 10
        shift += 1
      }
      let (quotient, remainder) = digits.quotientAndRemainder(dividingBy: divisor)
      digits = quotient + (remainder >= divisor - remainder ? 1 : 0)
    }
    guard digits <= UInt128(Int64.max) else { return nil }
    let magnitude = Int64(digits)
    return isNegative ? -magnitude : magnitude
  }

  /// a · b / c, rounded half away from zero. Traps if the result does not fit.
  static func scaled(_ a: Int64, _ b: Int64, over c: Int64) -> Int64 {
    let product = Int128(a) * Int128(b)
    let divisor = Int128(c)
    let (quotient, remainder) = product.quotientAndRemainder(dividingBy: divisor)
    let rounds = remainder.magnitude * 2 >= divisor.magnitude
    guard rounds else { return Int64(quotient) }
    return Int64(quotient + ((product < 0) == (divisor < 0) ? 1 : -1))
  }
}
