import Apus
import CSupport
import Testing

/// The pure functions of apus_ws.h.
@Suite struct WebSocketFramingTests {
  private func parse(_ bytes: [UInt8], masked: Bool) -> (WebSocketParse, WebSocketHeader) {
    var header = WebSocketHeader()
    let result = unsafe bytes.withUnsafeBufferPointer { bytes in
      // An empty array may have no address.
      var none: UInt8 = 0
      return unsafe withUnsafePointer(to: &none) { none in
        unsafe apus_ws_header_parse(bytes.baseAddress ?? none, bytes.count, masked, &header)
      }
    }
    return (result, header)
  }

  @Test(
    arguments: [0, 1, 2, 124, 125, 126, 127, 255, 256, 65535, 65536, 65537, 1 << 24, 1 << 40, Int.max], [false, true])
  func `a header that was built is parsed back, and needs all of its bytes`(length: Int, masked: Bool) {
    for opcode in [1, 2, 9] as [UInt8] where opcode < 8 || length < 126 {
      var bytes = [UInt8](repeating: 0xAA, count: 32)
      let size = bytes.withUnsafeMutableBufferPointer {
        apus_ws_header_build($0.baseAddress!, opcode, length, masked, 0x1122_3344)
      }
      #expect(size == apus_ws_header_size(length, masked))
      #expect(bytes[size...].allSatisfy { $0 == 0xAA })
      for count in 0..<size { #expect(parse(Array(bytes[..<count]), masked: masked).0 == .short) }
      for slack in 0...16 {
        let (result, header) = parse(Array(bytes[..<size]) + [UInt8](repeating: 0x5A, count: slack), masked: masked)
        #expect(result == .ready)
        #expect(Int(header.header_bytes) == size)
        #expect(header.payload_bytes == UInt64(length))
        #expect(header.opcode == opcode)
        #expect(header.is_final)
        #expect(header.mask_key == (masked ? 0x1122_3344 : 0))
      }
    }
  }

  @Test func `every first pair of bytes is judged as RFC 6455 section 5·2 says`() {
    for first in 0...255 as ClosedRange<UInt8> {
      for second in 0...255 as ClosedRange<UInt8> {
        for masked in [false, true] {
          let opcode = first & 15
          let length = second & 127
          let expected: WebSocketParse =
            if first & 0x70 != 0 { .reservedBits } else if [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].contains(opcode) {
              .opcode
            } else if (second >= 128) != masked { .mask } else if opcode >= 8 && (first < 128 || length > 125) {
              .control
            } else if length < 126 && !masked { .ready } else { .short }
          let found = parse([first, second], masked: masked).0
          if found != expected { Issue.record("\(first) \(second) masked \(masked): \(found)") }
        }
      }
    }
  }

  @Test(
    arguments: [[126, 0, 125], [126, 0, 0], [127, 0, 0, 0, 0, 0, 0, 255, 255], [127, 128, 0, 0, 0, 0, 0, 0, 0]]
      as [[UInt8]])
  func `a length that is not minimal, or has the top bit, is refused`(length: [UInt8]) {
    #expect(parse([0x82] + length, masked: false).0 == .length)
    #expect(parse([0x82] + length + [UInt8](repeating: 1, count: 20), masked: false).0 == .length)
    #expect(parse([0x82, length[0] | 0x80] + length[1...] + [1, 2, 3, 4], masked: true).0 == .length)
  }

  @Test func `masking is exclusive or with the key, at every length, alignment and key phase`() {
    var dice = WebSocketDice(state: 7)
    let source = dice.bytes(512)
    var wrong = 0
    for count in 0...300 {
      for shift in 0..<17 {
        let key = UInt32.random(in: 0...UInt32.max, using: &dice)
        let phase = apus_ws_key_at(key, shift)
        let keyBytes = (0..<4).map { UInt8(truncatingIfNeeded: key >> (8 * $0)) }
        let from = shift * 5 % 13
        let expected = (0..<count).map { source[from + $0] ^ keyBytes[(shift + $0) % 4] }
        var copy = [UInt8](repeating: 0x77, count: 400)
        var place = [UInt8](repeating: 0x77, count: 400)
        place.replaceSubrange(shift..<shift + count, with: source[from..<from + count])
        source.withUnsafeBufferPointer { source in
          copy.withUnsafeMutableBufferPointer {
            apus_ws_mask($0.baseAddress! + shift, source.baseAddress! + from, count, phase)
          }
        }
        place.withUnsafeMutableBufferPointer {
          apus_ws_mask($0.baseAddress! + shift, $0.baseAddress! + shift, count, phase)
        }
        let whole =
          [UInt8](repeating: 0x77, count: shift) + expected + [UInt8](repeating: 0x77, count: 400 - shift - count)
        if copy != whole || place != whole { wrong += 1 }
      }
    }
    #expect(wrong == 0)
  }

  @Test func `a key moves on by whole and part words`() {
    let key: UInt32 = 0x4433_2211  // bytes 11 22 33 44
    #expect(
      [0, 1, 2, 3, 4, 7].map { apus_ws_key_at(key, $0) } == [
        key, 0x1144_3322, 0x2211_4433, 0x3322_1144, key, 0x3322_1144,
      ])
  }

  @Test func `mask keys follow from the seed and do not repeat soon`() {
    func keys(_ seed: UInt64) -> [UInt32] {
      var state = seed
      return (0..<2000).map { _ in apus_ws_next_key(&state) }
    }
    #expect(keys(1) == keys(1))
    #expect(keys(1) != keys(2))
    #expect(Set(keys(0)).count >= 1998)
    // Each bit is set about half the time.
    for bit in 0..<32 { #expect((800...1200).contains(keys(99).count { $0 >> bit & 1 == 1 })) }
  }

  @Test func `ASCII is told from the rest wherever one high byte lies`() {
    for count in 0...200 {
      var bytes = [UInt8](repeating: 0x7F, count: count + 1)
      let clean = bytes.withUnsafeBufferPointer { apus_ws_is_ascii($0.baseAddress!, count) }
      var missed = 0
      for i in 0..<count {
        bytes[i] = 0x80
        if bytes.withUnsafeBufferPointer({ apus_ws_is_ascii($0.baseAddress!, count) }) { missed += 1 }
        bytes[i] = 0x7F
      }
      bytes[count] = 0xFF
      let behind = bytes.withUnsafeBufferPointer { apus_ws_is_ascii($0.baseAddress!, count) }
      #expect(clean && behind && missed == 0)
    }
  }

  /// Feeds pieces and says whether the whole is a text.
  private func isText(_ bytes: [UInt8], cut: Int) -> Bool {
    var text = WebSocketText()
    return bytes.withUnsafeBufferPointer {
      guard let base = $0.baseAddress else { return true }
      return apus_ws_text_feed(&text, base, cut) && apus_ws_text_feed(&text, base + cut, bytes.count - cut)
        && text.missing == 0
    }
  }

  @Test func `every scalar is text, cut anywhere, and surrogates are not`() {
    var wrong = 0
    for value in 0...0x10FFFF as ClosedRange<UInt32> {
      if let scalar = Unicode.Scalar(value) {
        let bytes = Array(UTF8.encode(scalar)!)
        if !isText(bytes, cut: Int(value) % (bytes.count + 1)) { wrong += 1 }
      } else {
        let bytes = [0xE0 | UInt8(value >> 12), 0x80 | UInt8(value >> 6 & 63), 0x80 | UInt8(value & 63)]
        if isText(bytes, cut: 1) { wrong += 1 }
      }
    }
    #expect(wrong == 0)
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `random bytes are text exactly where the standard library says so`(seed: UInt64) {
    var dice = WebSocketDice(state: seed)
    let leads: [UInt8] = [
      0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF3, 0xF4, 0xF5,
      0xFF,
    ]
    for _ in 0..<20_000 {
      let bytes =
        (0..<Int.random(in: 0...6, using: &dice)).map { _ in leads.randomElement(using: &dice)! }
        + [UInt8](repeating: 0x61, count: dice.chance(50) ? 9 : 0)
      let expected = String(validating: bytes, as: UTF8.self) != nil
      let found = isText(bytes, cut: Int.random(in: 0...bytes.count, using: &dice))
      if found != expected { Issue.record("seed \(seed): \(bytes)") }
    }
  }

  @Test func `close codes are those that may be on the wire`() {
    let good = Set<UInt16>([1000, 1001, 1002, 1003] + Array(1007...1014) + Array(3000...4999))
    #expect((0...UInt16.max).filter { apus_ws_close_code_is_valid($0) } == good.sorted())
  }
}
