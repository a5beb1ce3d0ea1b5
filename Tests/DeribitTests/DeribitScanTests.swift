import CSupport
import Foundation
import TestSupport
import Testing

@testable import Apus

/// The kernels that this processor runs, but for the general reader that they are checked against.
private let fastLevels = [ScanLevel.portable, .neon, .avx2, .avx512].filter { apus_scan_runs($0) }

private final class Box {
  var bench: DeribitBench
  init(_ level: ScanLevel) throws { bench = try DeribitBench(level: level) }
}

@Suite struct DeribitScanTests {
  private static func number(_ random: inout SplitMix, _ whole: Int, _ decimals: [String]) -> String {
    if Int.random(in: 0..<400, using: &random) == 0 {
      return [
        "0", "00", "01", "-1", "-0.5", "1e5", "1.5e-05", "1.", ".5", "-", "1 ", " 1", "+1", "1.5.5", "0.0", "null",
        "12345678901234567890", "123456789012345", "1234567890123456", "12345678.12345678", "9223372036854775807",
        "\"1\"",
      ].randomElement(using: &random)!
    }
    return "\(Int.random(in: 1...whole, using: &random))" + decimals.randomElement(using: &random)!
  }

  private static func side(_ count: Int, _ random: inout SplitMix) -> String {
    (0..<count).map { _ in
      let isOdd = Int.random(in: 0..<500, using: &random) == 0
      let words = isOdd ? ["", "n\\u0065w", "ne,w", "newer", "delet]", "changed"] : ["new", "change", "delete"]
      let price = number(&random, [9, 999, 99_999].randomElement(using: &random)!, ["", ".0", ".5"])
      let amount = number(&random, 9_999, ["0", "0.0"])
      return "[\"\(words.randomElement(using: &random)!)\",\(price),\(amount)]"
    }.joined(separator: ",")
  }

  private static func damaged(_ bytes: [UInt8], _ random: inout SplitMix) -> [UInt8] {
    let letters = [UInt8](#"{}[]",:.eE-+0123456789nultrefas\ "#.utf8)
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...2, using: &random) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<5, using: &random) {
      case 0: bytes.remove(at: at)
      case 1: bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
      case 2: bytes.insert(letters.randomElement(using: &random)!, at: at)
      default: bytes[at] = letters.randomElement(using: &random)!
      }
    }
    return bytes
  }

  @Test(arguments: [UInt64(1), 2])
  func `R05_ every kernel delivers what the general reader delivers, of whole and of damaged frames`(seed: UInt64)
    throws
  {
    var random = SplitMix(seed: seed)
    let general = try Box(.general)
    let fast = try fastLevels.map { ($0, try Box($0)) }
    let samples = try DeribitFixtures.names().map { try DeribitFixtures.text($0) }
    var mismatches: [String] = []
    var events = 0, levels = 0
    var last = 1
    for _ in 0..<20 {
      var frames = samples
      for count in [0, 1, 2, 3, 10, 50, 200, 700] {
        for type in ["snapshot", "change", "change"] {
          let next = last + Int.random(in: 1...3, using: &random)
          let previous = type == "change" ? "\"prev_change_id\":\(last)," : ""
          frames.append(
            "{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{\"channel\":\"book.BTC-PERPETUAL.raw\",\"data\":{\"type\":\"\(type)\",\"timestamp\":1790867074233,\(previous)\"instrument_name\":\"BTC-PERPETUAL\",\"change_id\":\(next),\"bids\":[\(Self.side(count, &random))],\"asks\":[\(Self.side(count / 2, &random))]}}}"
          )
          last = next
        }
      }
      for frame in frames {
        let text =
          Int.random(in: 0..<3, using: &random) > 0
          ? frame : String(decoding: Self.damaged([UInt8](frame.utf8), &random), as: UTF8.self)
        let expected = general.bench.decode(text)
        events += expected.filter { !$0.hasPrefix("edge") }.count
        levels += expected.filter { $0.hasPrefix("level") }.count
        for (level, box) in fast {
          let found = box.bench.decode(text)
          if found != expected {
            mismatches.append(
              "level \(level.rawValue): \(text.prefix(2000)): \(found.prefix(5)), not \(expected.prefix(5))")
          }
        }
      }
    }
    #expect(mismatches.isEmpty, "seed \(seed), \(mismatches.count): \(mismatches.prefix(2))")
    // Much of it must be readable, or little was compared.
    #expect(events > 3_000 && levels > 3_000, "\(events) events, \(levels) levels")
  }

  @Test(arguments: [UInt64(11), 12])
  func `levels with words are read alike by every kernel, and as exact decimals`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    let grids: [(Int64, Int64)] = [
      (50_000_000, 1_000_000_000), (100_000_000, 100_000), (7, 12_345_678_901), (10_000, 1),
    ]
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
        var tick = apus_step_make(grid.0), lot = apus_step_make(grid.1)
        var both = LevelGrid()
        apus_level_grid_set(&both, &tick, &lot)
        let text = (0..<Int.random(in: 0...12, using: &random)).map { _ -> String in
          let price = Int64.random(in: 1...10_000_000 >> Int64.random(in: 0..<20, using: &random), using: &random)
          let size = Int64.random(in: 0...10_000_000 >> Int64.random(in: 0..<20, using: &random), using: &random)
          steps.append((price, size))
          let word = ["new", "change", "delete"].randomElement(using: &random)!
          return "[\"\(word)\",\(Self.decimal(price, grid.0, &random)),\(Self.decimal(size, grid.1, &random))]"
        }.joined(separator: ",")
        let skip = Int.random(in: 40..<100, using: &random)
        let tail = Int.random(in: 0..<4, using: &random) == 0 ? "}}}" : ",\"asks\":[]}}}"
        var bytes = [UInt8]((String(repeating: "0", count: skip) + "[" + text + "]" + tail).utf8)
        // One mark in the place of another makes another text of it, which is the general reader's, or ends it early.
        let isDamaged = Int.random(in: 0..<3, using: &random) == 0
        if isDamaged {
          let marks = [UInt8](#"[]",."#.utf8)
          let places = (skip..<bytes.count - tail.utf8.count).filter { marks.dropLast().contains(bytes[$0]) }
          let place = places.randomElement(using: &random)!
          bytes[place] = marks.filter { $0 != bytes[place] }.randomElement(using: &random)!
        }
        // Bytes that end where their memory ends.
        let memory = UnsafeMutableBufferPointer<CChar>.allocate(capacity: bytes.count)
        defer { memory.deallocate() }
        for (place, byte) in bytes.enumerated() { memory[place] = CChar(bitPattern: byte) }
        let start = UnsafePointer<CChar>(memory.baseAddress!)
        var json = apus_json_begin(start, bytes.count)
        json.at = start + skip
        apus_index_build(index, json.at, bytes.count - skip)
        var out = [ScannedLevel](repeating: ScannedLevel(), count: 16)
        let count = apus_worded_levels_scan(&json, index, &both, &out, 16)
        guard count >= 0 else {
          if json.at != start + skip { mismatches.append("the cursor moved") }
          continue  // the general reader's business
        }
        let found = out.prefix(Int(count)).map { ($0.ticks, $0.lots) }
        let consumed = json.at - start
        if isDamaged {
          let part = Data(bytes[skip..<consumed])
          let whole = try? JSONSerialization.jsonObject(with: part) as? [[Any]]
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
    var decimals = String(100_000_000 + value % 100_000_000).dropFirst()
    let zeros = Int.random(in: 0...8, using: &random)
    while decimals.count > zeros, decimals.last == "0" { decimals = decimals.dropLast() }
    return "\(value / 100_000_000)" + (decimals.isEmpty ? "" : ".\(decimals)")
  }
}
