import Apus
import CSupport
import Foundation
import TestSupport
import Testing

/// The kernels that this processor runs, but for the general reader that they are checked against.
private let fastLevels = [ScanLevel.portable, .neon, .avx2, .avx512].filter { apus_scan_runs($0) }

/// Memory between pages that nobody may touch: text at its very start, or at its very end.
private final class GuardedMemory {
  private let base: UnsafeMutableRawPointer
  private static let page = sysconf(Int32(_SC_PAGESIZE))
  private static let inner = 64 * page

  init() {
    base = mmap(nil, Self.inner + 2 * Self.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    mprotect(base, Self.page, PROT_NONE)
    mprotect(base + Self.page + Self.inner, Self.page, PROT_NONE)
  }
  deinit { munmap(base, Self.inner + 2 * Self.page) }

  func with<T>(_ bytes: [UInt8], atEnd: Bool, _ body: (UnsafeRawBufferPointer) -> T) -> T {
    precondition(bytes.count <= Self.inner)
    let start = base + Self.page + (atEnd ? Self.inner - bytes.count : 0)
    UnsafeMutableRawBufferPointer(start: start, count: bytes.count).copyBytes(from: bytes)
    return body(UnsafeRawBufferPointer(start: start, count: bytes.count))
  }
}

/// What one scan found, as text.
private final class Scanner {
  static let keys = ["a", "bc", "price", "amount", "longer_key_with_28_characters", "time"].map {
    String($0.prefix(28))
  }
  let index: OpaquePointer
  let members: OpaquePointer
  let shape: OpaquePointer

  init(_ level: ScanLevel) {
    var index: OpaquePointer?, members: OpaquePointer?, shape: OpaquePointer?
    let keys = Self.keys.map { UnsafePointer(strdup($0)!) }
    defer { keys.forEach { free(UnsafeMutablePointer(mutating: $0)) } }
    precondition(apus_index_create(level, &index) == 0 && apus_members_create(1, &members) == 0)
    precondition(apus_json_shape_create(keys, UInt32(keys.count), &shape) == 0)
    self.index = index!
    self.members = members!
    self.shape = shape!
    for key in 0..<UInt32(keys.count) where key != 3 { apus_json_shape_want(self.shape, key) }
  }
  deinit {
    apus_index_destroy(index)
    apus_members_destroy(members)
    apus_json_shape_destroy(shape)
  }

  /// Reads the object that starts behind `skip` bytes of the text.
  func scan(_ text: UnsafeRawBufferPointer, skip: Int) -> String {
    let start = text.baseAddress!.assumingMemoryBound(to: CChar.self)
    var json = apus_json_begin(start, text.count)
    json.at = start + skip
    apus_index_build(index, json.at, text.count - skip)
    guard apus_json_enter_object(&json), apus_members_scan(&json, shape, members, index) else { return "no JSON" }
    let numbers = apus_members_numbers(members), texts = apus_members_texts(members)
    let others = apus_members_others(members)
    var lines = ["to \(json.at - start)"]
    for key in 0..<Int32(Self.keys.count) {
      let bit = UInt32(1) << UInt32(key)
      if numbers & bit != 0 {
        let n = apus_members_decimal(members, key).pointee
        // Key 3 is not wanted: the general reader converts it, the kernels need not.
        lines.append(
          key == 3
            ? "number"
            : "\(n.mantissa) \(n.exponent) \(n.next_digit) \(n.truncated) \(n.sticky) \(n.negative)")
      }
      if (texts | others) & bit != 0 {
        let value = apus_members_value(members, key)
        lines.append(
          "\(texts & bit != 0 ? "text" : "other") \(value.bytes! - start)+\(value.count) \(texts & bit != 0 && value.has_escapes)"
        )
      }
    }
    return lines.joined(separator: ", ")
  }
}

@Suite struct ScanTests {
  private static func value(_ random: inout SplitMix) -> String {
    switch Int.random(in: 0..<12, using: &random) {
    case 0: return ["true", "false", "null", "[]", "{}", "[1,2]", #"{"a":"}"}"#].randomElement(using: &random)!
    case 1, 2:
      let count = Int.random(in: 0...40, using: &random)
      return "\"" + String((0..<count).map { _ in "abcXYZ019 _-.,:{}[]é".randomElement(using: &random)! }) + "\""
    case 3: return [#""a\"b""#, #""\u0041,""#, #""\\""#].randomElement(using: &random)!
    case 4, 5: return SlowDecimal.randomText(&random)
    case 6:
      let digits = String(
        (0..<Int.random(in: 1...20, using: &random)).map { _ in "0123456789".randomElement(using: &random)! })
      return "1" + digits
    default:
      let whole = Int.random(in: 0...Int.random(in: 1...999_999, using: &random), using: &random)
      let sign = Int.random(in: 0..<6, using: &random) == 0 ? "-" : ""
      let decimals = String(
        (0..<Int.random(in: 1...12, using: &random)).map { _ in "0123456789".randomElement(using: &random)! })
      let power = ["e-05", "e-7", "e+10", "E-12", "e5", "e-123"].randomElement(using: &random)!
      return sign + "\(whole)" + (Bool.random(using: &random) ? "." + decimals : "")
        + (Int.random(in: 0..<6, using: &random) == 0 ? power : "")
    }
  }

  @Test(arguments: [UInt64(1), 2, 3])
  func `every kernel finds in an object what the general reader finds`(seed: UInt64) {
    var random = SplitMix(seed: seed)
    let memory = GuardedMemory()
    let general = Scanner(.general)
    let fast = fastLevels.map { ($0, Scanner($0)) }
    var mismatches: [String] = []
    var read = 0
    for _ in 0..<3_000 {
      var keys = Scanner.keys
      if Int.random(in: 0..<4, using: &random) == 0 { keys.shuffle(using: &random) }
      if Int.random(in: 0..<4, using: &random) == 0 { keys.removeLast(Int.random(in: 0..<keys.count, using: &random)) }
      if Int.random(in: 0..<4, using: &random) == 0 { keys.insert("unknown", at: keys.startIndex) }
      if Int.random(in: 0..<16, using: &random) == 0, let first = keys.first { keys.append(first) }
      let blank = Int.random(in: 0..<8, using: &random) == 0 ? " " : ""
      let object = keys.map { "\"\($0)\":\(blank)\(Self.value(&random))" }.joined(separator: "," + blank)
      let skip = Int.random(in: 0..<100, using: &random)
      let behind = String(repeating: "}", count: Int.random(in: 0..<70, using: &random))
      var bytes = [UInt8]((String(repeating: "0", count: skip) + "{" + object + "}" + behind).utf8)
      if Int.random(in: 0..<3, using: &random) == 0 {
        for _ in 0..<Int.random(in: 1...2, using: &random) {
          bytes[Int.random(in: skip..<bytes.count, using: &random)] = [UInt8](#"{}[]",:.eE-+09 \"#.utf8)
            .randomElement(using: &random)!
        }
      }
      if Int.random(in: 0..<6, using: &random) == 0 {
        bytes.removeLast(Int.random(in: 0..<(bytes.count - skip), using: &random))
      }
      let expected = memory.with(bytes, atEnd: true) { general.scan($0, skip: skip) }
      if expected != "no JSON" { read += 1 }
      for (level, scanner) in fast {
        for atEnd in [true, false] {
          let found = memory.with(bytes, atEnd: atEnd) { scanner.scan($0, skip: skip) }
          if found != expected {
            mismatches.append(
              "\(level.rawValue): \(String(decoding: bytes[skip...], as: UTF8.self)): \(found), not \(expected)")
          }
        }
      }
    }
    #expect(mismatches.isEmpty, "seed \(seed), \(mismatches.count): \(mismatches.prefix(3))")
    #expect(read > 1_500)
  }

  @Test func `every kernel lists the same places, for every length and alignment`() {
    var random = SplitMix(seed: 7)
    let memory = GuardedMemory()
    for level in fastLevels where level != .portable {
      var created: OpaquePointer?
      #expect(apus_index_create(level, &created) == 0)
      let index = created!
      defer { apus_index_destroy(index) }
      var mismatches = 0
      for count in Array(0..<400)
        + [APUS_INDEX_BYTES - 1, APUS_INDEX_BYTES, APUS_INDEX_BYTES + 1, 20_000].map(Int.init)
      {
        for density in [2, 5, 40] {
          let bytes = (0..<count).map { _ -> UInt8 in
            Int.random(in: 0..<density, using: &random) == 0
              ? [0x2C, 0x5D, 0x7D].randomElement(using: &random)! : UInt8.random(in: 0...255, using: &random)
          }
          let expected = bytes.prefix(Int(APUS_INDEX_BYTES)).indices.filter { [0x2C, 0x5D, 0x7D].contains(bytes[$0]) }
          for atEnd in [true, false] {
            let found = memory.with(bytes, atEnd: atEnd) { text -> [Int] in
              guard let base = text.baseAddress else { return [] }
              apus_index_build(index, base.assumingMemoryBound(to: CChar.self), text.count)
              return (0..<apus_index_count(index)).map { Int(apus_index_end(index, $0)) }
            }
            if found != expected { mismatches += 1 }
          }
        }
      }
      #expect(mismatches == 0, "level \(level.rawValue)")
    }
  }

  @Test(arguments: [UInt64(11), 12])
  func `R05_ every kernel delivers what the general reader delivers, of whole and of damaged frames`(seed: UInt64)
    throws
  {
    var random = SplitMix(seed: seed)
    let memory = GuardedMemory()
    var general = try Bench(level: .general)
    let letters = [UInt8](#"{}[]",:.eE-+0123456789nultrefas\ "#.utf8)
    let frames = try Expected.all().map(\.bytes) + Wide.frames(&random)
    for level in fastLevels {
      var bench = try Bench(level: level)
      var mismatches: [String] = []
      for _ in 0..<20 {
        for frame in frames {
          var bytes = frame
          switch Int.random(in: 0..<4, using: &random) {
          case 0: bytes = JSONVariant.text(of: bytes, &random)
          case 1: break
          default:
            for _ in 0..<Int.random(in: 1...2, using: &random) {
              let at = Int.random(in: 0..<bytes.count, using: &random)
              switch Int.random(in: 0..<4, using: &random) {
              case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
              case 1: bytes.remove(at: at)
              default: bytes[at] = letters.randomElement(using: &random)!
              }
            }
          }
          let expected = memory.with(bytes, atEnd: true) { general.record($0).lines }
          let found = memory.with(bytes, atEnd: true) { bench.record($0).lines }
          if found != expected {
            mismatches.append("\(String(decoding: bytes, as: UTF8.self)): \(found), not \(expected)")
          }
        }
      }
      #expect(mismatches.isEmpty, "level \(level.rawValue), seed \(seed): \(mismatches.prefix(2))")
    }
  }

  /// Each ticker is read by what differs from the one before it; the general reader remembers nothing.
  @Test(arguments: [UInt64(21), 22, 23])
  func `R05_ tickers in a series are read as if each stood alone`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    let memory = GuardedMemory()
    var general = try Bench(level: .general)
    var benches: [(ScanLevel, Box)] = []
    for level in fastLevels { benches.append((level, Box(try Bench(level: level)))) }
    var delivered = 0
    var mismatches: [String] = []
    for option in [false, true] {
      var series = TickerSeries(isOption: option, &random)
      for _ in 0..<1500 {
        let bytes = series.next(&random)
        let expected = memory.with(bytes, atEnd: true) { general.record($0).lines }
        if expected.count == 1, expected[0].hasPrefix("ticker") { delivered += 1 }
        for (level, box) in benches {
          let found = memory.with(bytes, atEnd: true) { box.bench.record($0).lines }
          if found != expected {
            mismatches.append(
              "level \(level.rawValue): \(String(decoding: bytes, as: UTF8.self)): \(found), not \(expected)")
          }
        }
      }
    }
    // The series must consist of good tickers for the most part, or nothing is remembered.
    #expect(delivered > 1500)
    #expect(mismatches.isEmpty, "seed \(seed): \(mismatches.prefix(2))")
  }
}

private final class Box {
  var bench: Bench
  init(_ bench: consuming Bench) { self.bench = bench }
}

/// Tickers of one channel of which each differs from the one before in some members, and some are damaged.
private struct TickerSeries {
  private let channel: String
  private var members: [(key: String, value: String)]

  private static let keys = [
    "mark_price", "mark_timestamp", "best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount",
    "last_price", "delta", "volume_24h", "value_24h", "index", "collar_low", "collar_high", "open_interest",
    "funding_rate", "funding_mark", "forward", "iv", "new_member",
  ]

  init(isOption: Bool, _ random: inout SplitMix) {
    channel = isOption ? "ticker.BTC-21APR26-75000-P.1000ms" : "ticker.BTC-PERPETUAL.100ms"
    members = []
    for key in Self.keys { members.append((key, Self.plain(key, &random))) }
  }

  /// A value that is right for the member.
  private static func plain(_ key: String, _ random: inout SplitMix) -> String {
    let whole = [9, 99, 99_999].randomElement(using: &random)!
    switch key {
    // Both ticks divide 5.
    case "best_bid_price", "best_ask_price", "last_price": return "\(5 * Int.random(in: 1...whole, using: &random))"
    case "best_bid_amount", "best_ask_amount": return ["0", "0.1", "1.5", "12"].randomElement(using: &random)!
    case "mark_timestamp": return "1776715497.\(Int.random(in: 0...9_999_999, using: &random))"
    default: return Wide.number(&random, whole, 14)
    }
  }

  private static func odd(_ random: inout SplitMix) -> String {
    [
      "0", "00", "01", "-1", "-0.5", "1e5", "1.5e-05", "-1.25E-07", "null", "\"1\"", "true", "[1]", "{}", "1.", ".5",
      "", "-",
      "12345678901234567890", "1234567.12345678901234567890", "99999999999999999999999999", "0.000012713", "100.5",
      "1 ", " 1",
    ].randomElement(using: &random)!
  }

  mutating func next(_ random: inout SplitMix) -> [UInt8] {
    for _ in 0..<Int.random(in: 0...5, using: &random) {
      let at = Int.random(in: 0..<members.count, using: &random)
      let (key, value) = members[at]
      switch Int.random(in: 0..<6, using: &random) {
      case 0, 1: members[at].value = Self.plain(key, &random)
      default:
        // The same form with other digits.
        members[at].value = String(
          value.enumerated().map { place, letter in
            guard letter.isNumber, place > 0, !key.hasSuffix("price") || place + 1 < value.count else { return letter }
            return "0123456789".randomElement(using: &random)!
          })
      }
    }
    var written = members
    // Once in a while something that the next ticker no longer has.
    if Int.random(in: 0..<5, using: &random) == 0 {
      let at = Int.random(in: 0..<written.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: written.remove(at: at)
      case 1: written.insert(written[at], at: Int.random(in: 0...written.count, using: &random))
      case 2: written.swapAt(at, Int.random(in: 0..<written.count, using: &random))
      default: written[at].value = Self.odd(&random)
      }
    }
    // Or for good, as long as it is a number.
    if Int.random(in: 0..<40, using: &random) == 0 {
      let at = Int.random(in: 0..<members.count, using: &random)
      members[at].value = ["0", "-1.5", "1.25e-05", "0.123456789012345678901", "null"].randomElement(using: &random)!
    }
    let ending = Int.random(in: 0..<30, using: &random) == 0 ? ",\"snapshot\":false}" : "}"
    let object = written.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",")
    var bytes = [UInt8]("{\"channel_name\":\"\(channel)\",\"notification\":{\(object)}\(ending)".utf8)
    if Int.random(in: 0..<10, using: &random) == 0 {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<3, using: &random) {
      case 0: bytes[at] = [UInt8](#"{}[]",:.eE-+0123456789\ "#.utf8).randomElement(using: &random)!
      case 1: bytes.remove(at: at)
      default: bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
      }
    }
    return bytes
  }
}

/// Frames as large as busy markets make them.
private enum Wide {
  static func number(_ random: inout SplitMix, _ whole: Int, _ places: Int) -> String {
    let places = Int.random(in: 0...places, using: &random)
    let decimals = (0..<places).map { _ in String(Int.random(in: 0...9, using: &random)) }.joined()
    return "\(Int.random(in: 0...whole, using: &random))" + (places > 0 ? "." + decimals : "")
  }

  static func frames(_ random: inout SplitMix) -> [[UInt8]] {
    var frames: [String] = []
    for count in [1, 3, 10, 20, 40, 200] {
      func side(_ random: inout SplitMix) -> String {
        (0..<count).map { _ in
          "[\(Int.random(in: 70_000...80_000, using: &random)),\(number(&random, 20, 3)),\(number(&random, 20, 3))]"
        }.joined(separator: ",")
      }
      for end in ["", ",\"snapshot\":true", ",\"snapshot\":false"] {
        frames.append(
          "{\"channel_name\":\"book.BTC-PERPETUAL.none.10.100ms\",\"notification\":{\"trades\":[],\"bid_changes\":[\(side(&random))],\"ask_changes\":[\(side(&random))],\"total_bid_amount\":4.65,\"total_ask_amount\":3.5,\"time\":1776715497.209106}\(end)}"
        )
      }
      let orders = (0..<count).map { i in
        "{\"order_id\":\"001F3C26000000\(i)\",\"order_type\":\"limit\",\"time_in_force\":\"good_till_cancelled\",\"instrument_name\":\"BTC-PERPETUAL\",\"direction\":\"\(i % 2 == 0 ? "buy" : "sell")\",\"price\":\(76_280 + i).0,\"amount\":0.\(i + 1),\"filled_amount\":0.0,\"remaining_amount\":0.\(i + 1),\"label\":\"mm-\(i)\",\"client_order_id\":\(1_000 + i),\"status\":\"open\",\"fills\":[],\"change_reason\":\"insert\",\"insert_reason\":\"client_request\",\"create_time\":1776715498.\(201_377 + i),\"persistent\":\(i % 3 == 0)}"
      }.joined(separator: ",")
      frames.append("{\"channel_name\":\"session.orders\",\"notification\":[\(orders)]}")
    }
    for _ in 0..<10 {
      frames.append(
        "{\"channel_name\":\"ticker.BTC-PERPETUAL.100ms\",\"notification\":{\"mark_price\":\(number(&random, 99_999, 12)),\"mark_timestamp\":1776715497.\(number(&random, 9_999_999, 0)),\"best_bid_price\":\(number(&random, 99_999, 0)),\"best_bid_amount\":\(number(&random, 9, 3)),\"best_ask_price\":\(number(&random, 99_999, 0)),\"best_ask_amount\":\(number(&random, 9, 3)),\"last_price\":\(number(&random, 99_999, 1)),\"iv\":0.\(number(&random, 999_999_999, 0)),\"delta\":1,\"volume_24h\":\(number(&random, 9_999, 3)),\"index\":\(number(&random, 99_999, 14)),\"forward\":null,\"collar_low\":\(number(&random, 99_999, 4)),\"collar_high\":\(number(&random, 99_999, 4)),\"funding_rate\":1.\(number(&random, 999_999, 0))e-05,\"funding_mark\":-\(number(&random, 9, 12))}}"
      )
    }
    return frames.map { [UInt8]($0.utf8) }
  }
}
