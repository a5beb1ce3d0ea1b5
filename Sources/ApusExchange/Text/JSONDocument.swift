/// One parsed JSON text as a flat list of nodes that point into the text. Reusable; one thread.
///
/// Strict RFC 8259 grammar, nesting up to 32. The text must outlive the use of the nodes.
final class JSONDocument {
  enum Kind: UInt8 { case object, array, string, number, bool, null }

  struct Node {
    var kind: Kind
    /// The string contains a backslash.
    var isEscaped = false
    /// Byte range in the text; strings without their quotes.
    var start: Int
    var end: Int
    /// Index of the node after this one and all it contains.
    var next: Int
  }

  private var nodes: [Node] = []
  private var text = UnsafeRawBufferPointer(start: nil, count: 0)
  private var position = 0

  /// Parses all of `source`; node 0 is then its value. False if it is not one JSON value.
  func parse(_ source: UnsafeRawBufferPointer) -> Bool {
    nodes.removeAll(keepingCapacity: true)
    text = source
    position = 0
    var isASCII = true
    for byte in source where byte >= 0x80 {
      isASCII = false
      break
    }
    if !isASCII, String(validating: source, as: UTF8.self) == nil { return false }
    skipBlanks()
    guard value(depth: 0) else { return false }
    skipBlanks()
    return position == text.count
  }

  subscript(_ node: Int) -> Node { nodes[node] }

  func bytes(_ node: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: text[nodes[node].start..<nodes[node].end])
  }

  /// The bytes of a value as they were written, quotes included.
  func verbatim(_ node: Int) -> UnsafeRawBufferPointer {
    let quote = nodes[node].kind == .string ? 1 : 0
    return UnsafeRawBufferPointer(rebasing: text[nodes[node].start - quote..<nodes[node].end + quote])
  }

  /// The value of member `name` of an object, if it is there.
  func member(_ name: StaticString, of object: Int) -> Int? {
    guard nodes[object].kind == .object else { return nil }
    var key = object + 1
    while key < nodes[object].next {
      if equals(key, name) { return key + 1 }
      key = nodes[key + 1].next
    }
    return nil
  }

  /// Calls `body` with each element of an array.
  func forEach(in array: Int, _ body: (Int) -> Void) {
    var element = array + 1
    while element < nodes[array].next {
      body(element)
      element = nodes[element].next
    }
  }

  func equals(_ node: Int, _ word: StaticString) -> Bool {
    guard nodes[node].kind == .string else { return false }
    if nodes[node].isEscaped { return string(node) == "\(word)" }
    let span = bytes(node)
    guard span.count == word.utf8CodeUnitCount else { return false }
    for index in 0..<span.count where span[index] != word.utf8Start[index] { return false }
    return true
  }

  func isTrue(_ node: Int) -> Bool { nodes[node].kind == .bool && text[nodes[node].start] == UInt8(ascii: "t") }

  /// A string's text with its escapes resolved; `nil` for other kinds.
  func string(_ node: Int) -> String? {
    guard nodes[node].kind == .string else { return nil }
    let span = bytes(node)
    guard nodes[node].isEscaped else { return String(decoding: span, as: UTF8.self) }
    var units: [UInt16] = []
    var plain: [UInt8] = []
    var result = ""
    func flush() {
      if !units.isEmpty { result += String(decoding: units, as: UTF16.self) }
      if !plain.isEmpty { result += String(decoding: plain, as: UTF8.self) }
      units.removeAll()
      plain.removeAll()
    }
    var at = 0
    while at < span.count {
      if span[at] != UInt8(ascii: "\\") {
        if !units.isEmpty { flush() }
        plain.append(span[at])
        at += 1
        continue
      }
      let escape = span[at + 1]
      at += 2
      if escape == UInt8(ascii: "u") {
        if !plain.isEmpty { flush() }
        var unit: UInt16 = 0
        for offset in 0..<4 { unit = unit << 4 | UInt16(Self.nibble(span[at + offset])!) }
        units.append(unit)
        at += 4
        continue
      }
      if !units.isEmpty { flush() }
      switch escape {
      case UInt8(ascii: "n"): plain.append(10)
      case UInt8(ascii: "t"): plain.append(9)
      case UInt8(ascii: "r"): plain.append(13)
      case UInt8(ascii: "b"): plain.append(8)
      case UInt8(ascii: "f"): plain.append(12)
      default: plain.append(escape)
      }
    }
    flush()
    return result
  }

  /// A number times 10^`places`, rounded; `nil` for other kinds or if it does not fit.
  func decimal(_ node: Int, places: Int) -> Int64? {
    guard nodes[node].kind == .number else { return nil }
    return Decimal.parse(bytes(node), places: places)
  }

  /// A whole number of 0 … 2^64−1; fractions, exponents and signs are refused.
  func unsigned(_ node: Int) -> UInt64? {
    guard nodes[node].kind == .number else { return nil }
    var value: UInt64 = 0
    for byte in bytes(node) {
      guard byte &- 48 < 10 else { return nil }
      let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(byte - 48))
      guard !tooLarge, !carry else { return nil }
      value = sum
    }
    return value
  }

  // MARK: grammar

  private func skipBlanks() {
    while position < text.count {
      switch text[position] {
      case 32, 9, 10, 13: position += 1
      default: return
      }
    }
  }

  private func value(depth: Int) -> Bool {
    guard position < text.count, depth <= 32 else { return false }
    switch text[position] {
    case UInt8(ascii: "{"): return container(.object, closing: UInt8(ascii: "}"), depth: depth)
    case UInt8(ascii: "["): return container(.array, closing: UInt8(ascii: "]"), depth: depth)
    case UInt8(ascii: "\""): return stringValue()
    case UInt8(ascii: "t"): return word("true", .bool)
    case UInt8(ascii: "f"): return word("false", .bool)
    case UInt8(ascii: "n"): return word("null", .null)
    default: return number()
    }
  }

  private func container(_ kind: Kind, closing: UInt8, depth: Int) -> Bool {
    let own = nodes.count
    nodes.append(Node(kind: kind, start: position, end: position, next: 0))
    position += 1
    skipBlanks()
    if position < text.count, text[position] == closing {
      position += 1
      return finish(own)
    }
    while true {
      if kind == .object {
        guard position < text.count, text[position] == UInt8(ascii: "\""), stringValue() else { return false }
        skipBlanks()
        guard position < text.count, text[position] == UInt8(ascii: ":") else { return false }
        position += 1
        skipBlanks()
      }
      guard value(depth: depth + 1) else { return false }
      skipBlanks()
      guard position < text.count else { return false }
      let separator = text[position]
      position += 1
      if separator == closing { return finish(own) }
      guard separator == UInt8(ascii: ",") else { return false }
      skipBlanks()
    }
  }

  private func finish(_ node: Int) -> Bool {
    nodes[node].end = position
    nodes[node].next = nodes.count
    return true
  }

  private func stringValue() -> Bool {
    position += 1
    let start = position
    var isEscaped = false
    while position < text.count {
      let byte = text[position]
      if byte == UInt8(ascii: "\"") {
        nodes.append(
          Node(kind: .string, isEscaped: isEscaped, start: start, end: position, next: nodes.count + 1))
        position += 1
        return true
      }
      if byte < 0x20 { return false }
      if byte == UInt8(ascii: "\\") {
        isEscaped = true
        position += 1
        guard position < text.count else { return false }
        switch text[position] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
          UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
          break
        case UInt8(ascii: "u"):
          guard position + 4 < text.count else { return false }
          for offset in 1...4 where Self.nibble(text[position + offset]) == nil { return false }
          position += 4
        default: return false
        }
      }
      position += 1
    }
    return false
  }

  private static func nibble(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 65...70: byte - 55
    case 97...102: byte - 87
    default: nil
    }
  }

  private func word(_ word: StaticString, _ kind: Kind) -> Bool {
    let length = word.utf8CodeUnitCount
    guard position + length <= text.count else { return false }
    for offset in 0..<length where text[position + offset] != word.utf8Start[offset] { return false }
    nodes.append(Node(kind: kind, start: position, end: position + length, next: nodes.count + 1))
    position += length
    return true
  }

  private func digits() -> Bool {
    let start = position
    while position < text.count, text[position] &- 48 < 10 { position += 1 }
    return position > start
  }

  private func number() -> Bool {
    let start = position
    if text[position] == UInt8(ascii: "-") { position += 1 }
    let first = position
    guard digits() else { return false }
    if text[first] == 48, position > first + 1 { return false }
    if position < text.count, text[position] == UInt8(ascii: ".") {
      position += 1
      guard digits() else { return false }
    }
    if position < text.count, text[position] | 32 == UInt8(ascii: "e") {
      position += 1
      if position < text.count, text[position] == UInt8(ascii: "-") || text[position] == UInt8(ascii: "+") {
        position += 1
      }
      guard digits() else { return false }
    }
    nodes.append(Node(kind: .number, start: start, end: position, next: nodes.count + 1))
    return true
  }
}
