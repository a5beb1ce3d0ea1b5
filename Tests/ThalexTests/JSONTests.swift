import Apus
import CSupport
import Foundation
import TestSupport
import Testing

/// Runs `body` on a cursor over memory that ends where the text ends.
private func withCursor<T>(_ bytes: [UInt8], _ body: (inout JSONCursor) -> T) -> T {
  let memory = UnsafeMutablePointer<CChar>.allocate(capacity: max(1, bytes.count))
  defer { memory.deallocate() }
  for (i, byte) in bytes.enumerated() { memory[i] = CChar(bitPattern: byte) }
  var json = apus_json_begin(memory, bytes.count)
  return body(&json)
}

private func isValid(_ bytes: [UInt8]) -> Bool {
  withCursor(bytes) { apus_json_skip(&$0) && apus_json_finish(&$0) }
}

@Suite struct JSONTests {
  @Test func `well-formed texts pass and malformed ones fail`() {
    for text in [
      "0", "-1.5e+3", "null", "true", " [ ] ", "{ }", #"{"a":[1,{"b":null}],"c":"\u00e9\n"}"#, #""""#, #"{"":0}"#,
      "\t[1,\r\n2]",
    ] {
      #expect(isValid([UInt8](text.utf8)), "\(text)")
    }
    for text in [
      "", " ", "nul", "truex", "[", "]", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "[1}",
      "{\"a\":1]",
      "\"", #""\x""#, #""\u12g4""#, "\"\u{1}\"", "01", "1 2", "[1]]", "{\"a\":1 \"b\":2}", "-", "[-]", "'a'", #""\"#,
      #""\u12"#,
    ] {
      #expect(!isValid([UInt8](text.utf8)), "\(text)")
    }
  }

  @Test func `nesting is bounded`() {
    func nested(_ depth: Int) -> [UInt8] {
      [UInt8](String(repeating: "[", count: depth).utf8) + [UInt8](String(repeating: "]", count: depth).utf8)
    }
    #expect(isValid(nested(64)))
    #expect(!isValid(nested(66)))
    #expect(!isValid([UInt8](repeating: 0x5B, count: 100_000)))
  }

  @Test func `every sample, and every damaged sample, is judged as the grammar says`() throws {
    var random = SplitMix(seed: 77)
    var mismatches: [String] = []
    for name in try Fixtures.names("") {
      let bytes = try Fixtures.bytes(name)
      if !isValid(bytes) { mismatches.append(name) }
      for _ in 0..<60 {
        var copy = bytes
        let letters = [UInt8](#"{}[]",:.e-+09 \ntfu"#.utf8)
        for _ in 0..<Int.random(in: 1...2, using: &random) {
          copy[Int.random(in: 0..<copy.count, using: &random)] = letters.randomElement(using: &random)!
        }
        if isValid(copy) != SlowJSON.isValid(copy) { mismatches.append(String(decoding: copy, as: UTF8.self)) }
      }
    }
    #expect(mismatches.isEmpty, "\(mismatches.count): \(mismatches.prefix(3))")
  }

  @Test func `a leap ends where a checked skip ends`() throws {
    var random = SplitMix(seed: 78)
    for name in try Fixtures.names("") {
      for bytes in [try Fixtures.bytes(name), JSONVariant.text(of: try Fixtures.bytes(name), &random)] {
        let ends = withCursor(bytes) { json -> Bool in
          var other = json
          let isSame = apus_json_skip(&json) && apus_json_leap(&other) && json.at == other.at
          return isSame
        }
        #expect(ends, "\(name)")
      }
    }
  }

  @Test func `the wide and the portable search find the same byte`() {
    var random = SplitMix(seed: 79)
    var mismatches = 0
    for _ in 0..<20_000 {
      let count = Int.random(in: 0..<70, using: &random)
      var bytes = (0..<count).map { _ in UInt8.random(in: 0x23...0xFF, using: &random) }
      if count > 0, Int.random(in: 0..<4, using: &random) > 0 {
        bytes[Int.random(in: 0..<count, using: &random)] = [0x22, 0x5C, 0x00, 0x1F, 0x20, 0x7F, 0x80, 0xA2]
          .randomElement(using: &random)!
      }
      let expected = bytes.firstIndex { $0 == 0x22 || $0 == 0x5C || $0 < 0x20 } ?? count
      withCursor(bytes) { json in
        if apus_json_special(json.at, json.end) - json.at != expected { mismatches += 1 }
        if apus_json_special_portable(json.at, json.end) - json.at != expected { mismatches += 1 }
      }
    }
    #expect(mismatches == 0)
  }

  @Test func `texts are the same when every byte is`() {
    for count in 0..<48 {
      let bytes = (0..<count).map { CChar(0x20 + $0) }
      #expect(apus_json_same(bytes, Array(bytes), count))
      for at in 0..<count {
        var other = bytes
        other[at] ^= 1
        #expect(!apus_json_same(bytes, other, count), "byte \(at) of \(count)")
      }
    }
  }

  @Test func `escapes are resolved as Foundation resolves them`() throws {
    for raw in [#"plain"#, #"\"\\\/\b\f\n\r\t"#, #"\u0041\u00e9\u20ac"#, #"\ud83d\ude00!"#, "é"] {
      let expected = try #require(
        JSONSerialization.jsonObject(with: Data("\"\(raw)\"".utf8), options: [.fragmentsAllowed]) as? String)
      let text = withCursor([UInt8]("\"\(raw)\"".utf8)) { json -> String? in
        var text = JSONText()
        guard apus_json_string(&json, &text), apus_json_finish(&json), let bytes = text.bytes else { return nil }
        var out = [CChar](repeating: 0, count: 100)
        let count = apus_json_unescape(bytes, text.count, &out, out.count)
        let short = apus_json_unescape(bytes, text.count, &out, Int(count) - 1)
        guard short == -1, text.has_escapes == raw.contains("\\") else { return nil }
        _ = apus_json_unescape(bytes, text.count, &out, out.count)
        return String(decoding: out[..<Int(count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      }
      #expect(text == expected)
    }
  }
}

/// RFC 8259, rule by rule. (Foundation's reader is of no use here: it takes trailing commas.)
struct SlowJSON {
  let bytes: [UInt8]
  var at = 0

  static func isValid(_ bytes: [UInt8]) -> Bool {
    var json = SlowJSON(bytes: bytes)
    return json.value() && json.at == bytes.count
  }

  var next: UInt8 { at < bytes.count ? bytes[at] : 0 }
  mutating func take(_ text: StaticString) -> Bool {
    let word = Array(text.description.utf8)
    guard bytes[at...].starts(with: word) else { return false }
    at += word.count
    return true
  }
  mutating func space() { while at < bytes.count, " \t\r\n".utf8.contains(bytes[at]) { at += 1 } }
  mutating func digits() -> Bool {
    let start = at
    while next >= 0x30, next <= 0x39 { at += 1 }
    return at > start
  }
  mutating func number() -> Bool {
    _ = take("-")
    if !take("0") { guard digits() else { return false } }
    if take(".") { guard digits() else { return false } }
    if take("e") || take("E") {
      _ = take("+") || take("-")
      return digits()
    }
    return true
  }
  mutating func string() -> Bool {
    guard take("\"") else { return false }
    while at < bytes.count, bytes[at] >= 0x20 {
      if take("\"") { return true }
      if take("\\") {
        if take("u") {
          for _ in 0..<4 {
            guard "0123456789abcdefABCDEF".utf8.contains(next) else { return false }
            at += 1
          }
        } else {
          guard "\"\\/bfnrt".utf8.contains(next) else { return false }
          at += 1
        }
      } else {
        at += 1
      }
    }
    return false
  }
  mutating func value() -> Bool {
    space()
    defer { space() }
    switch next {
    case UInt8(ascii: "{"):
      at += 1
      space()
      if take("}") { return true }
      repeat {
        space()
        guard string() else { return false }
        space()
        guard take(":"), value() else { return false }
      } while take(",")
      return take("}")
    case UInt8(ascii: "["):
      at += 1
      space()
      if take("]") { return true }
      repeat { guard value() else { return false } } while take(",")
      return take("]")
    case UInt8(ascii: "\""): return string()
    default: return take("null") || take("true") || take("false") || number()
    }
  }
}

/// The same JSON value as other text: white space, order of members, unknown members, escapes in keys.
enum JSONVariant {
  static func text(of bytes: [UInt8], _ random: inout SplitMix, hasExtras: Bool = true) -> [UInt8] {
    var json = Parser(bytes: bytes)
    let value = json.value()
    var out = ""
    write(value, &random, hasExtras, &out)
    return [UInt8](out.utf8)
  }

  /// Scalars keep their text, so that numbers stay what they are.
  indirect enum Value {
    case scalar(String)
    case array([Value])
    case object([(String, Value)])
  }

  struct Parser {
    let bytes: [UInt8]
    var at = 0
    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func space() { while at < bytes.count, bytes[at] <= 0x20 { at += 1 } }
    mutating func value() -> Value {
      space()
      switch bytes[at] {
      case UInt8(ascii: "{"):
        var members: [(String, Value)] = []
        at += 1
        space()
        while bytes[at] != UInt8(ascii: "}") {
          space()
          let key = scalar()
          space()
          at += 1
          members.append((key, value()))
          space()
          if bytes[at] == UInt8(ascii: ",") { at += 1 }
        }
        at += 1
        return .object(members)
      case UInt8(ascii: "["):
        var elements: [Value] = []
        at += 1
        space()
        while bytes[at] != UInt8(ascii: "]") {
          elements.append(value())
          space()
          if bytes[at] == UInt8(ascii: ",") { at += 1 }
          space()
        }
        at += 1
        return .array(elements)
      default: return .scalar(scalar())
      }
    }
    mutating func scalar() -> String {
      let start = at
      if bytes[at] == UInt8(ascii: "\"") {
        at += 1
        while bytes[at] != UInt8(ascii: "\"") { at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1 }
        at += 1
      } else {
        while at < bytes.count, !",]} \n".utf8.contains(bytes[at]) { at += 1 }
      }
      return String(decoding: bytes[start..<at], as: UTF8.self)
    }
  }

  static func blank(_ random: inout SplitMix) -> String {
    [" ", "\n", "\t ", "", "", ""].randomElement(using: &random)!
  }

  static func write(_ value: Value, _ random: inout SplitMix, _ hasExtras: Bool, _ out: inout String) {
    out += blank(&random)
    switch value {
    case .scalar(let text): out += text
    case .array(let elements):
      out += "["
      for (i, element) in elements.enumerated() {
        if i > 0 { out += "," }
        write(element, &random, hasExtras, &out)
      }
      out += blank(&random) + "]"
    case .object(var members):
      if hasExtras, Bool.random(using: &random) {
        members.append(
          (
            #""x_extra""#,
            .object([(#""price""#, .scalar("1")), (#""y""#, .array([.scalar(#""}]\"""#), .scalar("null")]))])
          ))
      }
      if hasExtras, Bool.random(using: &random) { members.append((#""\u0078""#, .scalar("-1.5e-3"))) }
      members.shuffle(using: &random)
      out += "{"
      for (i, (key, member)) in members.enumerated() {
        if i > 0 { out += "," }
        out += blank(&random)
        // Sometimes the key's second letter as an escape.
        if key.count > 3, Int.random(in: 0..<8, using: &random) == 0, !key.contains("\\") {
          let letter = key.utf8[key.utf8.index(after: key.utf8.startIndex)]
          out += "\"\\u00" + String(letter, radix: 16) + key.dropFirst(2)
        } else {
          out += key
        }
        out += blank(&random) + ":"
        write(member, &random, hasExtras, &out)
      }
      out += blank(&random) + "}"
    }
    out += blank(&random)
  }
}
