import CSupport
import Testing

@Suite struct CRC32CTests {
  /// RFC 3720, appendix B.4, and the check value of the CRC catalogue ("123456789").
  static let published: [([UInt8], UInt32)] = [
    ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
    ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
    ((0..<32).map { UInt8($0) }, 0x46DD_794E),
    ((0..<32).map { UInt8(31 - $0) }, 0x113F_DB5C),
    (Array("123456789".utf8), 0xE306_9283),
    ([], 0),
  ]

  @Test(arguments: published)
  func `the published check values come out of both ways`(bytes: [UInt8], expected: UInt32) {
    #expect(apus_crc32c(0, bytes, bytes.count) == expected)
    #expect(apus_crc32c_portable(0, bytes, bytes.count) == expected)
  }

  @Test func `the processor's way equals the tables at every length and alignment`() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = TestRandom(state: seed)
    let bytes = (0..<20_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    var mismatches: [Int] = []
    bytes.withUnsafeBytes { buffer in
      for length in Array(0..<800) + [6143, 6144, 6145, 6335, 6336, 12_288, 12_289, 19_000] {
        let offset = Int.random(in: 0..<64, using: &random)
        let start = UInt32.random(in: 0...UInt32.max, using: &random)
        let from = buffer.baseAddress! + offset
        if apus_crc32c(start, from, length) != apus_crc32c_portable(start, from, length) {
          mismatches.append(length)
        }
      }
    }
    #expect(mismatches == [], "seed \(seed)")
  }

  @Test func `a CRC continued over two parts is that of the whole`() {
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let whole = apus_crc32c(0, bytes, bytes.count)
    for cut in stride(from: 0, through: 1000, by: 37) {
      let first = apus_crc32c(0, Array(bytes[..<cut]), cut)
      #expect(apus_crc32c(first, Array(bytes[cut...]), 1000 - cut) == whole)
    }
  }
}
