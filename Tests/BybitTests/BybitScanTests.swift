import Apus
import CSupport
import Foundation
import Testing

/// The kernels that this processor runs, but for the general reader that they are checked against.
private let fastLevels = [ScanLevel.portable, .neon, .avx2, .avx512].filter { apus_scan_runs($0) }

private final class Box {
  var bench: Bench
  init(_ bench: consuming Bench) { self.bench = bench }
}

/// Frames like the venue's, of random content.
private enum Frames {
  static func number(_ random: inout SplitMix, _ whole: Int, _ places: Int) -> String {
    let places = Int.random(in: 0...places, using: &random)
    let decimals = (0..<places).map { _ in String(Int.random(in: 0...9, using: &random)) }.joined()
    return "\(Int.random(in: 0...whole, using: &random))" + (places > 0 ? "." + decimals : "")
  }

  private static func odd(_ random: inout SplitMix) -> String {
    [
      "", "0", "00", "01", "-1", "-0.5", "1e5", "1.5e-05", "1.", ".5", "-", "1 ", " 1", "+1", "0x1", "1,5", "1.5.5",
      "0.0",
      "12345678901234567890", "123456789012345", "1234567890123456", "12345678.12345678", "0.00000001", "0.000000001",
      "9223372036854775807", "99999999999999999999999999", "1\\u0030",
    ].randomElement(using: &random)!
  }

  private static func side(_ count: Int, _ random: inout SplitMix) -> String {
    (0..<count).map { _ in
      let isOdd = Int.random(in: 0..<1_500, using: &random) == 0
      let price = isOdd ? odd(&random) : number(&random, [9, 999, 99_999, 9_999_999].randomElement(using: &random)!, 1)
      let size = Int.random(in: 0..<1_500, using: &random) == 0 ? odd(&random) : number(&random, 9_999, 3)
      return "[\"\(price)\",\"\(size)\"]"
    }.joined(separator: ",")
  }

  static func books(_ random: inout SplitMix) -> [(Source, [UInt8])] {
    var frames: [(Source, [UInt8])] = []
    var update = 100
    for count in [0, 1, 2, 3, 10, 25, 50, 200, 300] {
      for type in ["snapshot", "delta", "delta"] {
        update += Int.random(in: 0..<12, using: &random) == 0 ? 2 : 1
        frames.append(
          (
            .market,
            [UInt8](
              "{\"topic\":\"orderbook.50.BTCUSDT\",\"type\":\"\(type)\",\"ts\":1791270738600,\"data\":{\"s\":\"BTCUSDT\",\"b\":[\(side(count, &random))],\"a\":[\(side(count / 2, &random))],\"u\":\(update),\"seq\":9688537112},\"cts\":1791270738596}"
                .utf8)
          ))
      }
    }
    return frames
  }

  static func damaged(_ bytes: [UInt8], _ random: inout SplitMix) -> [UInt8] {
    let letters = [UInt8](#"{}[]",:.eE-+0123456789nultrefas\ "#.utf8)
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...2, using: &random) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes.remove(at: at)
      case 2: bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
      case 3: bytes.insert(letters.randomElement(using: &random)!, at: at)
      default: bytes[at] = letters.randomElement(using: &random)!
      }
    }
    return bytes
  }

  /// The same members in another order, with blanks.
  static func shuffled(_ bytes: [UInt8], _ random: inout SplitMix) -> [UInt8] {
    guard let value = try? JSONSerialization.jsonObject(with: Data(bytes)) else { return bytes }
    func blank() -> String {
      Int.random(in: 0..<5, using: &random) == 0 ? [" ", "\n", "\t "].randomElement(using: &random)! : ""
    }
    func write(_ value: Any) -> String {
      switch value {
      case let object as [String: Any]:
        let members = object.sorted { $0.key < $1.key }.shuffled(using: &random).map {
          "\(blank())\"\($0.key)\"\(blank()):\(write($0.value))"
        }
        return "{" + members.joined(separator: ",") + blank() + "}"
      case let array as [Any]: return "[" + blank() + array.map { write($0) }.joined(separator: "," + blank()) + "]"
      case let text as String:
        let data = try? JSONSerialization.data(withJSONObject: [text])
        return String(decoding: data ?? Data(), as: UTF8.self).dropFirst().dropLast() + blank()
      case let number as NSNumber where CFGetTypeIDIsBool(number): return number.boolValue ? "true" : "false"
      case is NSNull: return "null"
      default: return "\(value)" + blank()
      }
    }
    return [UInt8](write(value).utf8)
  }

  private static func CFGetTypeIDIsBool(_ number: NSNumber) -> Bool { String(cString: number.objCType) == "c" }
}

@Suite struct BybitScanTests {
  @Test(arguments: [UInt64(1), 2, 3])
  func `R05_ every kernel delivers what the general reader delivers, of whole and of damaged frames`(seed: UInt64)
    throws
  {
    var random = SplitMix(state: seed)
    let memory = GuardedMemory()
    let general = Box(try Bench(level: .general))
    var fast: [(ScanLevel, Box)] = []
    for level in fastLevels { fast.append((level, Box(try Bench(level: level)))) }
    let samples = try Expected.all.map { ($0.source, try Fixtures.bytes($0.name)) }
    var mismatches: [String] = []
    var impossible: [String] = []
    var events = 0, levels = 0
    for _ in 0..<40 {
      for (source, frame) in samples + Frames.books(&random) {
        var bytes = frame
        switch Int.random(in: 0..<4, using: &random) {
        case 0: break
        case 1: bytes = Frames.shuffled(bytes, &random)
        default: bytes = Frames.damaged(bytes, &random)
        }
        let expected = memory.with(bytes, atEnd: true) { general.bench.record($0, source) }
        impossible += expected.impossible
        events += expected.lines.filter { !$0.hasPrefix("edge") }.count
        levels += expected.lines.filter { $0.hasPrefix("level") }.count
        for (level, box) in fast {
          let found = memory.with(bytes, atEnd: Bool.random(using: &random)) { box.bench.record($0, source) }
          if found.lines != expected.lines {
            mismatches.append(
              "level \(level.rawValue): \(String(decoding: bytes, as: UTF8.self).prefix(2000)): \(found.lines.prefix(5)), not \(expected.lines.prefix(5))"
            )
          }
          impossible += found.impossible
        }
      }
    }
    #expect(mismatches.isEmpty, "seed \(seed), \(mismatches.count): \(mismatches.prefix(2))")
    #expect(impossible.isEmpty, "seed \(seed): \(impossible.prefix(3))")
    // Much of it must be readable, or little was compared.
    #expect(events > 3_000 && levels > 1_000, "\(events) events, \(levels) levels")
  }

  @Test(arguments: [UInt64(11), 12])
  func `levels in quotes are read alike by every kernel, and as exact decimals`(seed: UInt64) throws {
    var random = SplitMix(state: seed)
    let memory = GuardedMemory()
    let grids: [(Int64, Int64)] = [(10_000_000, 100_000), (50_000_000, 1_000_000), (7, 12_345_678_901), (100, 1)]
    var mismatches: [String] = []
    var read = 0
    for level in fastLevels {
      var created: OpaquePointer?
      #expect(apus_index_create(level, &created) == 0)
      let index = created!
      defer { apus_index_destroy(index) }
      for _ in 0..<3_000 {
        let grid = grids.randomElement(using: &random)!
        var steps: [(Int64, Int64)] = []
        let count = Int.random(in: 0...12, using: &random)
        var tick = apus_step_make(grid.0), lot = apus_step_make(grid.1)
        var both = LevelGrid()
        apus_level_grid_set(&both, &tick, &lot)
        let text = (0..<count).map { _ -> String in
          let price = Int64.random(in: 1...10_000_000 >> Int64.random(in: 0..<20, using: &random), using: &random)
          let size = Int64.random(in: 0...10_000_000 >> Int64.random(in: 0..<20, using: &random), using: &random)
          steps.append((price, size))
          return "[\"\(Self.decimal(price, grid.0, &random))\",\"\(Self.decimal(size, grid.1, &random))\"]"
        }.joined(separator: ",")
        let skip = Int.random(in: 40..<100, using: &random)
        let tail = Int.random(in: 0..<4, using: &random) == 0 ? "" : ",\"u\":1}"
        var bytes = [UInt8]((String(repeating: "0", count: skip) + "[" + text + "]" + tail).utf8)
        // One mark in the place of another makes another text of it, which is the general reader's, or ends it early.
        let isDamaged = Int.random(in: 0..<3, using: &random) == 0
        if isDamaged {
          let marks = [UInt8](#"[]",."#.utf8)
          let places = (skip..<bytes.count - tail.utf8.count).filter { marks.dropLast().contains(bytes[$0]) }
          let place = places.randomElement(using: &random)!
          bytes[place] = marks.filter { $0 != bytes[place] }.randomElement(using: &random)!
        }
        var consumed = 0
        let found = memory.with(bytes, atEnd: true) { text -> [(Int64, Int64)]? in
          let start = text.baseAddress!.assumingMemoryBound(to: CChar.self)
          var json = apus_json_begin(start, text.count)
          json.at = start + skip
          apus_index_build(index, json.at, text.count - skip)
          var out = [ScannedLevel](repeating: ScannedLevel(), count: 16)
          let count = apus_quoted_levels_scan(&json, index, &both, &out, 16)
          guard count >= 0 else {
            if json.at != start + skip { mismatches.append("the cursor moved") }
            return nil
          }
          consumed = json.at - start
          return out.prefix(Int(count)).map { ($0.ticks, $0.lots) }
        }
        guard let found else { continue }  // the general reader's business
        if isDamaged {
          let part = Data(bytes[skip..<consumed])
          let whole = try? JSONSerialization.jsonObject(with: part) as? [[String]]
          if whole?.count != found.count || !zip(found, steps).allSatisfy({ $0 == $1 }) {
            mismatches.append("level \(level.rawValue): \(String(decoding: bytes, as: UTF8.self)) was read")
          }
          continue
        }
        read += 1
        if consumed != bytes.count - tail.utf8.count { mismatches.append("the cursor is elsewhere") }
        if found.count != steps.count || !zip(found, steps).allSatisfy({ $0 == $1 }) {
          mismatches.append("level \(level.rawValue): \(text): \(found), not \(steps)")
        }
      }
    }
    #expect(mismatches.isEmpty, "seed \(seed), \(mismatches.count): \(mismatches.prefix(2))")
    let vectors = fastLevels.filter { $0 != .portable }.count
    #expect(read >= vectors * 700, "\(read)")
  }

  /// So many steps as text, with zeros at its end now and then.
  private static func decimal(_ steps: Int64, _ stepE8: Int64, _ random: inout SplitMix) -> String {
    let value = steps * stepE8
    let rest = String(100_000_000 + value % 100_000_000).dropFirst()
    var decimals = rest
    let zeros = Int.random(in: 0...8, using: &random)
    while decimals.count > zeros, decimals.last == "0" { decimals = decimals.dropLast() }
    return "\(value / 100_000_000)" + (decimals.isEmpty ? "" : ".\(decimals)")
  }
}
