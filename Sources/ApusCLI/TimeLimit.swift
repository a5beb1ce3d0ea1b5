import ArgumentParser

/// How long a command may be told to go on: above 0, and at most what nanoseconds hold with room to spare.
enum TimeLimit {
  /// - Parameters:
  ///   - most: in the option's unit.
  ///   - option: as it is typed.
  static func check(_ value: Double?, _ option: String, most: Double = 1e9) throws {
    guard let value, !(value > 0 && value <= most) else { return }
    throw ValidationError("\(option) must be above 0 and at most \(Int(most)), not \(value)")
  }
}
