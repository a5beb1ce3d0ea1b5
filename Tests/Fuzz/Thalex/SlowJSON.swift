/// A JSON value as it is spelled (RFC 8259), by recursive descent over bytes: slow, and obviously right.
///
/// Whether strings are UTF-8 is not its business, as it is not the decoder's.
indirect enum SlowJSON: Equatable, Sendable {
  case null
  case bool(Bool)
  /// As spelled.
  case number([UInt8])
  /// Between the quotes, escapes as spelled.
  case string([UInt8])
  case array([SlowJSON])
  case object([Member])

  struct Member: Equatable, Sendable {
    /// As spelled, without the quotes.
    var key: [UInt8]
    var value: SlowJSON
    var name: [UInt8] { SlowJSON.meaning(of: key) }
  }

  /// The value of a whole text, or `nil` if that is no JSON or deeper than 400.
  static func parse(_ text: ArraySlice<UInt8>) -> SlowJSON? {
    var reader = Reader(rest: text)
    guard let value = reader.value(depth: 0) else { return nil }
    reader.space()
    return reader.rest.isEmpty ? value : nil
  }

  /// Containers inside one another.
  var depth: Int {
    switch self {
    case .array(let items): 1 + (items.map(\.depth).max() ?? 0)
    case .object(let members): 1 + (members.map(\.value.depth).max() ?? 0)
    default: 0
    }
  }

  /// Some object has a member twice.
  /// Whether it has a number that 64 bits may not hold in 10⁻⁸. Such a level of a book is refused by the general reader,
  /// and delivered by the fast one if its ticks fit; a receiver has bounds of its own far below.
  var hasHugeNumbers: Bool {
    switch self {
    case .array(let items): items.contains { $0.hasHugeNumbers }
    case .object(let members): members.contains { $0.value.hasHugeNumbers }
    case .number(let spelled): spelled.drop { $0 == 0x2D }.prefix { (0x30...0x39).contains($0) }.count > 10
    default: false
    }
  }

  var hasTwins: Bool {
    switch self {
    case .array(let items): items.contains { $0.hasTwins }
    case .object(let members):
      Set(members.map(\.name)).count < members.count || members.contains { $0.value.hasTwins }
    default: false
    }
  }

  /// Bytes of strings and keys that contain escapes.
  var escapedBytes: Int {
    switch self {
    case .string(let raw): raw.contains(0x5C) ? raw.count : 0
    case .array(let items): items.reduce(0) { $0 + $1.escapedBytes }
    case .object(let members): members.reduce(0) { $0 + $1.value.escapedBytes }
    default: 0
    }
  }

  /// The bytes that a string means. A lone half of a surrogate pair means U+FFFD.
  static func meaning(of raw: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    var at = 0
    func unit(_ place: Int) -> UInt32? {
      guard place + 6 <= raw.count, raw[place] == 0x5C, raw[place + 1] == UInt8(ascii: "u") else { return nil }
      return UInt32(String(decoding: raw[place + 2..<place + 6], as: UTF8.self), radix: 16)
    }
    while at < raw.count {
      guard raw[at] == 0x5C else {
        out.append(raw[at])
        at += 1
        continue
      }
      guard let first = unit(at) else {
        let meanings: [UInt8: UInt8] = [
          UInt8(ascii: "b"): 8, UInt8(ascii: "f"): 12, UInt8(ascii: "n"): 10, UInt8(ascii: "r"): 13,
          UInt8(ascii: "t"): 9,
        ]
        out.append(meanings[raw[at + 1]] ?? raw[at + 1])
        at += 2
        continue
      }
      at += 6
      var scalar = Unicode.Scalar(first) ?? "\u{FFFD}"
      if first >> 10 == 0x36, let second = unit(at), second >> 10 == 0x37 {
        scalar = Unicode.Scalar(0x10000 + (first & 0x3FF) << 10 + (second & 0x3FF)) ?? "\u{FFFD}"
        at += 6
      }
      out += Array(String(Character(scalar)).utf8)
    }
    return out
  }

  private struct Reader {
    var rest: ArraySlice<UInt8>

    mutating func space() {
      while let byte = rest.first, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { rest.removeFirst() }
    }

    mutating func take(_ byte: Unicode.Scalar) -> Bool {
      guard rest.first == UInt8(ascii: byte) else { return false }
      rest.removeFirst()
      return true
    }

    mutating func word(_ text: StaticString) -> Bool {
      let bytes = text.withUTF8Buffer { Array($0) }
      guard rest.starts(with: bytes) else { return false }
      rest.removeFirst(bytes.count)
      return true
    }

    mutating func digits() -> Bool {
      let before = rest.count
      while let byte = rest.first, (0x30...0x39).contains(byte) { rest.removeFirst() }
      return rest.count != before
    }

    mutating func number() -> SlowJSON? {
      let start = rest.startIndex
      let whole = rest
      _ = take("-")
      if !take("0"), !digits() { return nil }
      if take("."), !digits() { return nil }
      if take("e") || take("E") {
        if !take("+") { _ = take("-") }
        if !digits() { return nil }
      }
      return .number(Array(whole[start..<rest.startIndex]))
    }

    /// A string with its quotes; what is between them.
    mutating func string() -> [UInt8]? {
      guard take("\"") else { return nil }
      var raw: [UInt8] = []
      while let byte = rest.popFirst() {
        if byte == 0x22 { return raw }
        if byte < 0x20 { return nil }
        raw.append(byte)
        guard byte == 0x5C else { continue }
        guard let escape = rest.popFirst() else { return nil }
        raw.append(escape)
        if escape == UInt8(ascii: "u") {
          for _ in 0..<4 {
            guard let digit = rest.popFirst(), Character(Unicode.Scalar(digit)).isASCII,
              Character(Unicode.Scalar(digit)).isHexDigit
            else { return nil }
            raw.append(digit)
          }
        } else if !"\"\\/bfnrt".utf8.contains(escape) {
          return nil
        }
      }
      return nil
    }

    mutating func value(depth: Int) -> SlowJSON? {
      guard depth < 400 else { return nil }
      space()
      switch rest.first {
      case UInt8(ascii: "\""): return string().map { .string($0) }
      case UInt8(ascii: "n"): return word("null") ? .null : nil
      case UInt8(ascii: "t"): return word("true") ? .bool(true) : nil
      case UInt8(ascii: "f"): return word("false") ? .bool(false) : nil
      case UInt8(ascii: "["):
        rest.removeFirst()
        var items: [SlowJSON] = []
        space()
        if take("]") { return .array(items) }
        repeat {
          guard let item = value(depth: depth + 1) else { return nil }
          items.append(item)
          space()
        } while take(",")
        return take("]") ? .array(items) : nil
      case UInt8(ascii: "{"):
        rest.removeFirst()
        var members: [Member] = []
        space()
        if take("}") { return .object(members) }
        repeat {
          space()
          guard let key = string() else { return nil }
          space()
          guard take(":"), let value = value(depth: depth + 1) else { return nil }
          members.append(Member(key: key, value: value))
          space()
        } while take(",")
        return take("}") ? .object(members) : nil
      default: return number()
      }
    }
  }
}

/// A number as a string of digits: (-1)^isNegative * digits * 10^exponent.
struct SlowNumber {
  var isNegative = false
  /// 0...9, without leading zeros; empty for zero.
  var digits: [UInt8] = []
  var exponent = 0

  enum Outcome { case exact, inexact, overflow }

  /// - Parameter spelled: A number by the grammar of JSON.
  init(_ spelled: [UInt8]) {
    var text = spelled[...]
    if text.first == UInt8(ascii: "-") {
      isNegative = true
      text.removeFirst()
    }
    if let mark = text.firstIndex(where: { $0 | 0x20 == UInt8(ascii: "e") }) {
      // Beyond a million only "huge" and "tiny" matter.
      let power = String(decoding: text[(mark + 1)...], as: UTF8.self)
      exponent =
        Int(power).map { max(-1_000_000, min(1_000_000, $0)) } ?? (power.hasPrefix("-") ? -1_000_000 : 1_000_000)
      text = text[..<mark]
    }
    if let point = text.firstIndex(of: UInt8(ascii: ".")) {
      exponent -= text.distance(from: point, to: text.endIndex) - 1
    }
    digits = Array(text.filter { $0 != UInt8(ascii: ".") }.map { $0 - 0x30 }.drop { $0 == 0 })
  }

  /// Times 10^places, rounded half away from zero to a whole number of at most `limit`.
  func magnitude(places: Int, limit: UInt64) -> (outcome: Outcome, value: UInt64) {
    if digits.isEmpty { return (.exact, 0) }
    let whole = digits.count + exponent + places
    if whole > 20 { return (.overflow, 0) }
    var value: UInt128 = 0
    for place in 0..<max(whole, 0) { value = value * 10 + UInt128(place < digits.count ? digits[place] : 0) }
    let isExact = !digits.indices.contains { $0 >= whole && digits[$0] != 0 }
    if whole >= 0, whole < digits.count, digits[whole] >= 5 { value += 1 }
    return value > UInt128(limit) ? (.overflow, 0) : (isExact ? .exact : .inexact, UInt64(value))
  }

  func scaled(_ places: Int) -> (outcome: Outcome, value: Int64) {
    let (outcome, size) = magnitude(places: places, limit: UInt64(Int64.max))
    return (outcome, isNegative ? -Int64(size) : Int64(size))
  }

  /// A whole number from 0 to 2^64 - 1.
  var whole: UInt64? {
    let (outcome, size) = magnitude(places: 0, limit: .max)
    return outcome == .exact && (!isNegative || digits.isEmpty) ? size : nil
  }

  /// A whole count of steps after rounding to 8 decimals.
  func steps(_ stepE8: Int64) -> (outcome: Outcome, value: Int64)? {
    let (outcome, value) = scaled(8)
    if outcome == .overflow { return (.overflow, 0) }
    return value % stepE8 == 0 ? (outcome, value / stepE8) : nil
  }
}
