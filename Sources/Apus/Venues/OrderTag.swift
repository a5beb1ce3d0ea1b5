import CSupport
import Glibc

/// The text by which an order of ours is known at a venue that takes a text and not a number: this life's label, and the
/// client order id as ten digits of base 32, as in `apus-desk-mh2k0x3400000000za`.
///
/// What begins with the engine's own prefix is ours (R14); what begins with this life's label too carries its client id.
/// Digits of base 32 keep the longest tag within the 36 bytes that Bybit takes, and are written by shifts.
struct OrderTag: ~Copyable, @unchecked Sendable {
  // Sendable: the bytes are owned by it alone.
  private let label: UnsafeMutableBufferPointer<UInt8>
  private let prefixCount: Int

  /// Whose order a tag names.
  enum Owner: Equatable {
    case other
    /// Of this engine, in this life or an earlier one, and with no client id of this life.
    case ours
    case ourOrder(UInt64)
  }

  /// Ten digits hold 50 bits, and a client id has 49 (`RequestID.operandLimit`).
  static let digits = 10

  /// - Parameters:
  ///   - prefix: The beginning of the labels of all lives of this engine.
  ///   - label: The label of this life; begins with `prefix`.
  ///   - limit: The most bytes that the venue takes.
  /// - Throws: `unusableName` if a tag would be longer.
  init(prefix: String, label: String, limit: Int) throws(TableError) {
    guard !prefix.isEmpty, label.hasPrefix(prefix), label.utf8.count + Self.digits <= limit else {
      throw .unusableName(label)
    }
    prefixCount = prefix.utf8.count
    self.label = .allocate(capacity: label.utf8.count)
    _ = self.label.initialize(from: label.utf8)
  }

  deinit { label.deallocate() }

  /// The digits of a client id, as the eight and two bytes that they are in memory.
  @inline(__always)
  static func digits(of clientID: UInt64) -> (first: UInt64, last: UInt16) {
    var first: UInt64 = 0
    for place in 0..<8 { first |= UInt64(digit(clientID >> UInt64(45 - 5 * place))) << UInt64(8 * place) }
    return (first.littleEndian, (UInt16(digit(clientID >> 5)) | UInt16(digit(clientID)) << 8).littleEndian)
  }

  /// Writes the digits of a client id; ten bytes.
  @inline(__always)
  static func write(_ clientID: UInt64, to memory: UnsafeMutableRawPointer) {
    let digits = digits(of: clientID)
    memory.storeBytes(of: digits.first, as: UInt64.self)
    memory.storeBytes(of: digits.last, toByteOffset: 8, as: UInt16.self)
  }

  @inline(__always)
  private static func digit(_ value: UInt64) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: value & 31)
    return value < 10 ? 0x30 + value : 0x57 + value
  }

  @inline(__always)
  func owner(of text: JSONText) -> Owner {
    guard let bytes = text.bytes, let own = label.baseAddress, text.count >= prefixCount,
      memcmp(bytes, own, prefixCount) == 0
    else { return .other }
    guard text.count == label.count + Self.digits, memcmp(bytes, own, label.count) == 0 else { return .ours }
    var value: UInt64 = 0
    for place in label.count..<text.count {
      let byte = UInt8(bitPattern: bytes[place])
      switch byte {
      case 0x30...0x39: value = value << 5 | UInt64(byte - 0x30)
      case 0x61...0x76: value = value << 5 | UInt64(byte - 0x57)
      default: return .ours
      }
    }
    return value == 0 || value > RequestID.operandLimit ? .ours : .ourOrder(value)
  }

  /// The run that a tag of ours names by its boot epoch; 0 if there is no such number.
  func run(of text: JSONText) -> UInt64 {
    guard let bytes = text.bytes, text.count > prefixCount + Self.digits else { return 0 }
    return Self.run(bytes + prefixCount, text.count - prefixCount - Self.digits)
  }

  /// The boot epoch that the text behind the prefix of a label names; 0 if that is no such number. Cold.
  static func run(of text: Substring) -> UInt64 {
    var text = text
    return text.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { $0.baseAddress.map { run($0, bytes.count) } ?? 0 }
    }
  }

  /// A boot epoch in base 36, as labels have it; 0 if that is no number of 64 bits.
  static func run(_ bytes: UnsafePointer<CChar>, _ count: Int) -> UInt64 {
    var run: UInt64 = 0
    for place in 0..<count {
      let digit: UInt64
      switch UInt8(bitPattern: bytes[place]) {
      case let byte where byte >= 0x30 && byte <= 0x39: digit = UInt64(byte - 0x30)
      case let byte where byte >= 0x61 && byte <= 0x7A: digit = UInt64(byte - 0x57)
      default: return 0
      }
      let (product, isLarge) = run.multipliedReportingOverflow(by: 36)
      let (sum, isLarger) = product.addingReportingOverflow(digit)
      if isLarge || isLarger { return 0 }
      run = sum
    }
    return run
  }
}
