/// An exact decimal with at most 8 decimals, as written in the file.
public struct DecimalE8: Hashable, Sendable {
  /// In units of 10⁻⁸.
  public var e8: Int64

  public init(e8: Int64) { self.e8 = e8 }

  /// The whole number of steps of `stepE8` > 0 that fit in, rounded towards zero.
  public func steps(of stepE8: Int64) -> Int64 { e8 / stepE8 }
  /// This part of it, 0 ... 1, rounded towards zero.
  public func part(_ share: DecimalE8) -> DecimalE8 {
    DecimalE8(e8: Int64(clamping: Int128(e8) * Int128(share.e8) / 100_000_000))
  }
  /// In thousandths, rounded towards zero.
  public var permille: Int64 { e8 / 100_000 }
  /// In hundredths, rounded towards zero.
  public var hundredths: Int64 { e8 / 1_000_000 }

  public static let zero = Self(e8: 0)
  public static let one = Self(e8: 100_000_000)
  public static let two = Self(e8: 200_000_000)
}

extension DecimalE8: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let value = Self(text) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "a decimal number with at most 8 decimals, such as 0.25")
    }
    self = value
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension DecimalE8: Comparable {
  public static func < (left: Self, right: Self) -> Bool { left.e8 < right.e8 }
}

extension DecimalE8: LosslessStringConvertible {
  /// Digits with at most one point and 8 decimals, optionally a sign; nothing else.
  public init?(_ text: String) {
    var digits = Substring(text)
    let isNegative = digits.hasPrefix("-")
    if isNegative { digits = digits.dropFirst() }
    let parts = digits.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = parts.first, !whole.isEmpty, whole.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
    var fraction = parts.count == 2 ? String(parts[1]) : "0"
    guard !fraction.isEmpty, fraction.utf8.count <= 8, fraction.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else {
      return nil
    }
    fraction += String(repeating: "0", count: 8 - fraction.utf8.count)
    guard let high = Int64(whole), let low = Int64(fraction) else { return nil }
    let (product, overflow) = high.multipliedReportingOverflow(by: 100_000_000)
    guard !overflow, !product.addingReportingOverflow(low).overflow else { return nil }
    e8 = isNegative ? -(product + low) : product + low
  }

  public var description: String {
    let magnitude = e8.magnitude
    var fraction = String(magnitude % 100_000_000)
    fraction = String(repeating: "0", count: 8 - fraction.utf8.count) + fraction
    while fraction.hasSuffix("0") { fraction.removeLast() }
    let whole = "\(e8 < 0 ? "-" : "")\(magnitude / 100_000_000)"
    return fraction.isEmpty ? whole : "\(whole).\(fraction)"
  }
}
