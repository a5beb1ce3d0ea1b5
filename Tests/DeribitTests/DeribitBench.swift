import CSupport
import Foundation
import TestSupport

@testable import Apus

/// The sample frames of the protocol reference, byte for byte.
enum DeribitFixtures {
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/deribit-samples")

  static func text(_ name: String) throws -> String {
    try String(contentsOf: directory.appendingPathComponent(name + ".json"), encoding: .utf8)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  static func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path)
      .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
  }
}

/// A decoder that knows the instruments and channels of the samples.
struct DeribitBench: ~Copyable {
  var decoder: DeribitDecoder
  static let inverse: InstrumentIndex = 0
  static let linear: InstrumentIndex = 1
  static let option: InstrumentIndex = 2
  static let label = "apus-desk-00000000"

  init(isListed: Bool = true, level: ScanLevel? = nil) throws {
    // Read before the decoder is made: a noncopyable field must not be left behind half-way by a throw.
    let listings = try isListed ? Self.listings() : []
    var decoder = try DeribitDecoder(
      instrumentCapacity: 4, labelPrefix: "apus-desk-", label: Self.label, scanLevel: level)
    for name in ["BTC-PERPETUAL", "BTC_USDC-PERPETUAL", "BTC-25DEC26-100000-C"] {
      let index = try decoder.want(instrument: name)
      try decoder.register(channel: "book.\(name).raw", kind: .book, instrument: index)
      try decoder.register(channel: "ticker.\(name).100ms", kind: .ticker, instrument: index)
    }
    try decoder.register(channel: "user.changes.future.BTC.raw", kind: .userChanges)
    try decoder.register(channel: "user.portfolio.btc", kind: .other)
    try decoder.register(channel: "trades.BTC-PERPETUAL.100ms", kind: .trades, instrument: 0)
    let product = try decoder.want(product: "btc_usd")
    try decoder.register(channel: "user.mmp_trigger.btc_usd", kind: .protection, product: product)
    self.decoder = decoder
    for listing in listings { _ = decode(listing) }
  }

  private static func listings() throws -> [String] {
    try ["instrument-inverse-perpetual", "instrument-linear-perpetual", "instrument-option-tick-steps"].map {
      try reply(RequestID.session(.instrument), $0)
    }
  }

  mutating func record(_ text: String) -> Recorder {
    var recorder = Recorder()
    let bytes = [UInt8](text.utf8)
    // Bytes that end where their memory ends.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    memory.copyBytes(from: bytes)
    decoder.decode(UnsafeRawBufferPointer(memory), into: &recorder)
    memory.deallocate()
    return recorder
  }

  mutating func decode(_ text: String) -> [String] { record(text).lines }

  /// A sample reply under an id of ours.
  static func reply(_ id: UInt64, _ name: String) throws -> String {
    let text = try DeribitFixtures.text(name)
    guard let start = text.range(of: #""id":"#), let end = text[start.upperBound...].firstIndex(of: ",") else {
      return text
    }
    return text.replacingCharacters(in: start.upperBound..<end, with: "\(id)")
  }
}
