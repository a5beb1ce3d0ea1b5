/// Latencies in nanoseconds, all of them kept: percentiles are exact.
struct Samples {
  private(set) var values: [Int64]

  init(_ values: [Int64]) { self.values = values.sorted() }

  var count: Int { values.count }
  var max: Int64 { values.last ?? 0 }

  /// The smallest value that `percent` of all do not exceed.
  func percentile(_ percent: Double) -> Int64 {
    guard !values.isEmpty else { return 0 }
    let rank = Int((percent / 100 * Double(values.count)).rounded(.up))
    return values[min(values.count, Swift.max(1, rank)) - 1]
  }

  /// A percentile with fewer than this many values above it is the luck of a few.
  func supports(_ percent: Double) -> Bool { Double(count) * (100 - percent) / 100 >= 5 }
}

func median(_ values: [Double]) -> Double {
  guard !values.isEmpty else { return 0 }
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

enum Statistics {
  /// Without Foundation's formats, which follow the locale.
  static func text(_ value: Double, _ decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let whole = Int64((value * scale).rounded())
    guard decimals > 0 else { return String(whole) }
    let digits = String(abs(whole))
    let padded = String(repeating: "0", count: Swift.max(0, decimals + 1 - digits.count)) + digits
    return (whole < 0 ? "-" : "") + padded.dropLast(decimals) + "." + padded.suffix(decimals)
  }

  /// Nanoseconds as microseconds.
  static func microseconds(_ value: Int64) -> String { text(Double(value) / 1000, value < 100_000 ? 2 : 0) }
}
