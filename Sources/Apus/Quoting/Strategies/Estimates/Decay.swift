/// How much of a sum is left after a time: half of it after each half-life.
enum Decay {
  private static let ln2 = 0.693_147_180_559_945_3

  /// 2^−x for x ≥ 0, to within 2·10⁻⁷, without a function of the C library; 0 for what is not a number.
  @inline(__always)
  static func half(_ x: Double) -> Double {
    guard x < 1000 else { return 0 }
    guard x > 0 else { return 1 }
    let whole = Int64(x)
    let y = -ln2 * (x - Double(whole))
    // The series of e^y up to y⁸, |y| < 0.7.
    let series =
      1 + y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4 * (1 + y / 5 * (1 + y / 6 * (1 + y / 7 * (1 + y / 8)))))))
    return series * Double(bitPattern: UInt64(1023 - whole) << 52)
  }
}
