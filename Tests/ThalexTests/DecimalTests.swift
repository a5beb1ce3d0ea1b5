import Apus
import CSupport
import TestSupport
import Testing

/// Decimal arithmetic on digit strings: slow, and obvious.
enum SlowDecimal {
  /// `text` × 10^places, rounded half away from zero, and whether rounding changed it; `nil` outside ±(2⁶³ − 1).
  static func scaled(_ text: String, places: Int) -> (value: Int64, isExact: Bool)? {
    var digits: [Int] = []
    var exponent = 0
    var isNegative = false
    var hasPoint = false
    var characters = Array(text)
    if let e = characters.firstIndex(where: { $0 == "e" || $0 == "E" }) {
      exponent = Int(String(characters[(e + 1)...]).replacing("+", with: "")) ?? 0
      characters = Array(characters[..<e])
    }
    for character in characters {
      if character == "-" {
        isNegative = true
      } else if character == "." {
        hasPoint = true
      } else {
        digits.append(character.wholeNumberValue ?? 0)
        if hasPoint { exponent -= 1 }
      }
    }
    // The point stands behind digit `point`.
    let point = digits.count + exponent + places
    var whole: [Int] = []
    if point > 0 { for i in 0..<point { whole.append(i < digits.count ? digits[i] : 0) } }
    let rest = point >= digits.count ? [] : (point >= 0 ? Array(digits[point...]) : [0] + digits)
    var carry = (rest.first ?? 0) >= 5 ? 1 : 0
    for i in whole.indices.reversed() {
      whole[i] += carry
      carry = whole[i] / 10
      whole[i] %= 10
    }
    if carry == 1 { whole.insert(1, at: 0) }
    let stripped = whole.drop { $0 == 0 }
    if stripped.count > 19 { return nil }
    guard let value = Int64(stripped.map(String.init).joined()) ?? (stripped.isEmpty ? 0 : nil) else { return nil }
    return (isNegative ? -value : value, rest.allSatisfy { $0 == 0 })
  }

  static func randomText(_ random: inout SplitMix) -> String {
    func digits(_ count: Int) -> String { String((0..<count).map { _ in "0123456789".randomElement(using: &random)! }) }
    var text = Bool.random(using: &random) ? "-" : ""
    let whole = Int.random(in: 0...(Bool.random(using: &random) ? 6 : 21), using: &random)
    text += whole == 0 ? "0" : "123456789".randomElement(using: &random).map(String.init)! + digits(whole - 1)
    if Int.random(in: 0..<4, using: &random) > 0 {
      text += "." + digits(Int.random(in: 1...(Bool.random(using: &random) ? 8 : 24), using: &random))
    }
    if Int.random(in: 0..<4, using: &random) == 0 {
      text +=
        ["e", "E"].randomElement(using: &random)! + ["", "+", "-"].randomElement(using: &random)!
        + String(Int.random(in: 0...30, using: &random))
    }
    return text
  }
}

/// Scans text that ends where its memory ends, or that other bytes follow.
private func scan(_ text: String, behind: String = "") -> (number: ScannedDecimal, count: Int)? {
  let bytes = Array((text + behind).utf8)
  let memory = UnsafeMutablePointer<CChar>.allocate(capacity: max(1, bytes.count))
  defer { memory.deallocate() }
  for (i, byte) in bytes.enumerated() { memory[i] = CChar(bitPattern: byte) }
  var number = ScannedDecimal()
  guard let end = apus_decimal_scan(memory, memory + bytes.count, &number) else { return nil }
  return (number, end - UnsafePointer(memory))
}

/// Steps over text that ends where its memory ends, or that other bytes follow; how many bytes it is.
private func skip(_ text: String, behind: String = "") -> Int? {
  let bytes = Array((text + behind).utf8)
  return bytes.withUnsafeBytes { bytes in
    let start = bytes.baseAddress.map { $0.assumingMemoryBound(to: CChar.self) }
    return start.flatMap { apus_decimal_skip($0, $0 + bytes.count) }.map { $0 - start! }
  }
}

private func write(_ steps: Int64, _ stepE8: Int64) -> String? {
  let memory = UnsafeMutablePointer<CChar>.allocate(capacity: Int(APUS_DECIMAL_TEXT_CAPACITY))
  defer { memory.deallocate() }
  func text(_ count: Int) -> String? {
    count == 0 ? nil : String((0..<count).map { Character(UnicodeScalar(UInt8(bitPattern: memory[$0]))) })
  }
  let general = text(apus_decimal_write(steps, stepE8, memory))
  // The way of an ordinary grid has to write the same.
  let fast = text(apus_decimal_write_unit(steps, apus_decimal_unit_make(stepE8), memory))
  return general == fast ? general : "\(general ?? "nothing"), but by its unit \(fast ?? "nothing")"
}

@Suite struct DecimalTests {
  @Test(arguments: [UInt64(1), 2, 3])
  func `R46_ random numbers agree with arithmetic on digit strings`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    var mismatches: [String] = []
    for _ in 0..<40_000 {
      let text = SlowDecimal.randomText(&random)
      for behind in ["", ",", "                                   ]"] {
        guard let scanned = scan(text, behind: behind), scanned.count == text.utf8.count,
          skip(text, behind: behind) == scanned.count
        else {
          mismatches.append("\(text): not read")
          continue
        }
        var number = scanned.number
        for places in [0, 8, 9, 12] {
          var value: Int64 = 77
          let outcome = apus_decimal_to_scaled(&number, Int32(places), &value)
          let expected = SlowDecimal.scaled(text, places: places)
          let isRight =
            switch outcome {
            case .overflow: expected == nil && value == 77
            case .exact: expected.map { $0.value == value && $0.isExact } ?? false
            case .inexact: expected.map { $0.value == value && !$0.isExact } ?? false
            case .offGrid: false
            }
          if !isRight { mismatches.append("\(text) places \(places): \(outcome) \(value)") }
        }
      }
    }
    #expect(mismatches.isEmpty, "seed \(seed): \(mismatches.prefix(5))")
  }

  @Test func `R46_ whole steps are counted after rounding to 8 decimals, all else is off the grid`() throws {
    let cases: [(String, Int64, Int64?)] = [
      ("76280", 100_000_000, 76280), ("76280.0", 100_000_000, 76280), ("7.628e4", 100_000_000, 76280),
      ("76280.5", 100_000_000, nil), ("0.30000000000000004", 100_000, 300), ("3.0999999999999999", 10_000_000, 31),
      ("-12.5", 50_000_000, -25), ("0.0005", 100_000, nil), ("1e-05", 1_000, 1), ("0", 100_000_000, 0),
      ("5", 500_000_000, 1), ("7", 500_000_000, nil), ("0.000000004", 1, 0), ("0.000000005", 1, 1),
      ("92233720368.54775807", 1, Int64.max), ("92233720368.547758075", 1, nil), ("1e300", 1, nil),
      ("12.3", 300_000_000, nil), ("12", 300_000_000, 4),
    ]
    for (text, step, expected) in cases {
      var number = try #require(scan(text)).number
      var grid = apus_step_make(step)
      var steps: Int64 = 0
      let outcome = apus_decimal_to_steps(&number, &grid, &steps)
      let isOnGrid = outcome == .exact || outcome == .inexact
      #expect((isOnGrid ? steps : nil) == expected, "\(text) in steps of \(step): \(outcome)")
    }
  }

  @Test func `R46_ the multiplication that replaces the division agrees with it for any step`() {
    var random = SplitMix(seed: 11)
    var mismatches = 0
    for _ in 0..<200_000 {
      let step = Int64(truncatingIfNeeded: (random.next() >> 1) >> UInt64.random(in: 0..<63, using: &random)) | 1
      let grid = apus_step_make((step << Int64.random(in: 0..<3, using: &random)) & Int64.max)
      guard grid.step_e8 > 0 else { continue }
      var value = Int64(bitPattern: random.next()) >> Int64.random(in: 0..<64, using: &random)
      if Bool.random(using: &random) { value = value / grid.step_e8 * grid.step_e8 }
      if value == .min { continue }
      var copy = grid
      var steps: Int64 = 0
      let isWhole = apus_step_count(&copy, value, &steps) == .exact
      if isWhole != (value % grid.step_e8 == 0) || (isWhole && steps != value / grid.step_e8) { mismatches += 1 }
    }
    #expect(mismatches == 0)
    var none = apus_step_make(0)
    var steps: Int64 = 5
    let outcome = apus_step_count(&none, 1, &steps)
    #expect(outcome == .offGrid && steps == 5)
  }

  @Test func `R46_ every value survives being written and read`() throws {
    var random = SplitMix(seed: 23)
    var values: [Int64] = [0, 1, -1, 99_999_999, 100_000_000, 100_000_001, .max, -.max, 7_628_000_000_000]
    for _ in 0..<200_000 {
      values.append(Int64(bitPattern: random.next()) >> Int64.random(in: 0..<64, using: &random))
    }
    var mismatches: [Int64] = []
    for value in values where value != .min {
      guard let text = write(value, 1), let scanned = scan(text), scanned.count == text.utf8.count else {
        mismatches.append(value)
        continue
      }
      var number = scanned.number
      var again: Int64 = 0
      if apus_decimal_to_e8(&number, &again) != .exact || again != value { mismatches.append(value) }
      if text.contains("."), text.hasSuffix("0") { mismatches.append(value) }
    }
    #expect(mismatches.isEmpty, "\(mismatches.prefix(5))")
  }

  @Test func `the text is the shortest one`() {
    #expect(write(76280, 100_000_000) == "76280")
    #expect(write(100, 100_000) == "0.1")
    #expect(write(-125, 10_000_000) == "-12.5")
    #expect(write(0, 5) == "0")
    #expect(write(1, 1) == "0.00000001")
    #expect(write(.max, 1) == "92233720368.54775807")
    #expect(write(.min, 1) == "-92233720368.54775808")
    #expect(write(.max, 2) == nil)
  }

  @Test func `ids use all of 64 bits`() throws {
    for text in ["0", "1001", "1001.0", "18446744073709551615", "1844674407370955161.5e1"] {
      var number = try #require(scan(text)).number
      var value: UInt64 = 7
      let isWhole = apus_decimal_to_u64(&number, &value)
      #expect(isWhole, "\(text)")
      if !text.contains(".") { #expect(String(value) == text) }
    }
    for text in ["-1", "1.5", "18446744073709551616", "1e30", "184467440737095516150"] {
      var number = try #require(scan(text)).number
      var value: UInt64 = 7
      let isWhole = apus_decimal_to_u64(&number, &value)
      #expect(!isWhole && value == 7, "\(text)")
    }
  }

  @Test func `what JSON does not call a number is refused`() {
    for text in ["", "-", "+1", ".5", "1.", "01", "-01", "00", "1e", "1e+", "e5", "NaN", "1.e5", "--1"] {
      for behind in ["", "                                     "] {
        let result = scan(text, behind: behind)
        #expect(result == nil, "\(text)")
        #expect(skip(text, behind: behind) == nil, "\(text)")
      }
    }
  }
}
