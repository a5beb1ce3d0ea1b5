import CSupport
import Glibc

/// Text being written into memory of a fixed size. What does not fit makes the count 0, for good.
struct RequestText {
  private let start: UnsafeMutablePointer<CChar>?
  private var at: UnsafeMutablePointer<CChar>?
  /// Numbers are stored in whole words, so room for one is kept free at the end.
  private var room: Int
  private var needsComma = false
  private static let spare = Int(APUS_DECIMAL_TEXT_CAPACITY)

  init(_ memory: UnsafeMutableRawBufferPointer) {
    start = memory.baseAddress?.assumingMemoryBound(to: CChar.self)
    at = start
    room = memory.count - Self.spare
  }

  /// Bytes written, or 0 if they did not fit.
  var count: Int {
    guard let at, let start, room >= 0 else { return 0 }
    return at - start
  }

  @inline(always)
  mutating func append(_ bytes: UnsafePointer<CChar>, _ count: Int) {
    guard let to = at, room >= count else {
      room = -1
      return
    }
    memcpy(to, bytes, count)
    at = to + count
    room -= count
  }

  @inline(always)
  mutating func append(_ text: StaticString) {
    text.utf8Start.withMemoryRebound(to: CChar.self, capacity: text.utf8CodeUnitCount) {
      append($0, text.utf8CodeUnitCount)
    }
  }

  /// Named apart from the overload for literals: a literal would prefer `String`, and be slow.
  mutating func appendText(_ text: String) {
    for byte in text.utf8 { append(byte) }
  }

  @inline(always)
  private mutating func append(_ byte: UInt8) {
    var byte = CChar(bitPattern: byte)
    append(&byte, 1)
  }

  @inline(always)
  mutating func number(_ value: UInt64) {
    guard let to = at, room >= 0 else { return }
    advance(apus_decimal_write_u64(value, to))
  }

  /// `steps * stepE8` as a decimal; a product outside 64 bits does not fit.
  @inline(always)
  mutating func decimal(_ steps: Int64, _ stepE8: Int64) {
    guard let to = at, room >= 0 else { return }
    let count = apus_decimal_write(steps, stepE8, to)
    if count == 0 { room = -1 } else { advance(count) }
  }

  @inline(always)
  private mutating func advance(_ count: Int) {
    at = at.map { $0 + count }
    room -= count
  }

  /// A JSON string, escaped where JSON asks for it.
  mutating func quote(_ text: String) {
    append("\"")
    for byte in text.utf8 {
      switch byte {
      case 0x22, 0x5C:
        append(UInt8(0x5C))
        append(byte)
      case 0..<0x20:
        append("\\u00")
        let digits: StaticString = "0123456789abcdef"
        append(digits.utf8Start[Int(byte >> 4)])
        append(digits.utf8Start[Int(byte & 15)])
      default: append(byte)
      }
    }
    append("\"")
  }

  mutating func channels(_ names: [String]) {
    append("\"channels\":[")
    for (position, name) in names.enumerated() {
      if position > 0 { append(",") }
      quote(name)
    }
    append("]")
  }

  mutating func member(_ key: StaticString, _ value: Int64) {
    name(key)
    if value < 0 { append("-") }
    number(value.magnitude)
  }

  mutating func member(_ key: StaticString, _ value: String) {
    name(key)
    quote(value)
  }

  mutating func member(_ key: StaticString, _ isSet: Bool) {
    guard isSet else { return }
    name(key)
    append("true")
  }

  /// So many steps of 10⁻⁸ × `stepE8`.
  mutating func member(_ key: StaticString, _ steps: Int64, stepE8: Int64) {
    name(key)
    decimal(steps, stepE8)
  }

  /// The next member is the first of its object.
  mutating func beginObject() { needsComma = false }

  mutating func name(_ key: StaticString) {
    if needsComma { append(",") }
    needsComma = true
    append("\"")
    append(key)
    append("\":")
  }
}
