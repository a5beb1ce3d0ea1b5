/// The frames of a script, to be played again and again: the venue's answer to an amend bears the amend's own serial
/// (`RequestID`), which goes on with each of them.
struct ScriptBytes {
  private(set) var bytes: [UInt8]
  /// Where the four digits of a serial lie, and how many amends the order has in one play.
  private var serials: [(place: Int, step: Int)] = []

  private static let key = Array("\"id\":".utf8)
  private static let count = 9999

  /// - Parameters:
  ///   - answers: Places of the answers, one frame each.
  ///   - skipped: Amends of each order that were recorded before, and that are not played.
  init(_ bytes: [UInt8], answers: [Range<Int>], skipped: Int = 0) {
    self.bytes = bytes
    var places: [(place: Int, order: [UInt8])] = []
    var amends: [[UInt8]: Int] = [:]
    for range in answers {
      guard let start = bytes[range].indices.dropLast(Self.key.count).first(where: { bytes[$0...].starts(with: Self.key) }) else {
        continue
      }
      let digits = bytes[(start + Self.key.count)..<range.upperBound].prefix { (48...57).contains($0) }
      // Client id, serial, operation 7.
      guard digits.count > 5, digits.last == UInt8(ascii: "7") else { continue }
      let order = Array(digits.dropLast(5))
      places.append((digits.endIndex - 5, order))
      amends[order, default: 0] += 1
    }
    serials = places.map { ($0.place, amends[$0.order] ?? 0) }
    for serial in serials { move(serial.place, by: -skipped) }
  }

  /// The serials are those of the next play.
  mutating func again() {
    for (place, step) in serials { move(place, by: step) }
  }

  private mutating func move(_ place: Int, by step: Int) {
    let serial = bytes[place..<(place + 4)].reduce(0) { $0 * 10 + Int($1 - 48) }
    var rest = (serial - 1 + step) % Self.count + 1
    for digit in (place..<(place + 4)).reversed() {
      bytes[digit] = UInt8(48 + rest % 10)
      rest /= 10
    }
  }
}
