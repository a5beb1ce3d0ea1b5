import CSupport
import Glibc

/// A constant part of a frame, in memory that may be read in whole vectors beyond its end.
struct FramePiece {
  fileprivate let bytes: UnsafeMutableRawPointer?
  let count: Int

  /// Empty.
  init() {
    bytes = nil
    count = 0
  }

  /// Cold: allocates.
  init(_ text: String) {
    let utf8 = Array(text.utf8)
    count = utf8.count
    guard count > 0 else {
      bytes = nil
      return
    }
    let room = (count + 31) / 32 * 32
    let memory = UnsafeMutableRawPointer.allocate(byteCount: room, alignment: 32)
    memset(memory, 0x20, room)
    memory.copyMemory(from: utf8, byteCount: count)
    bytes = memory
  }

  func free() { bytes?.deallocate() }

  func copy(into text: inout RequestText) {
    guard let bytes else { return }
    text.append(bytes.assumingMemoryBound(to: CChar.self), count)
  }
}

/// A frame being put together from constant parts and numbers, without a look at the room for each: whoever makes
/// one knows how long it can get.
///
/// Copies and numbers are stored in whole words and vectors; up to 31 bytes behind the text are overwritten.
struct OrderFrame {
  private let start: UnsafeMutableRawPointer
  private var at: UnsafeMutableRawPointer
  /// A product of steps left 64 bits: such a number cannot be written.
  private var isBroken = false

  /// - Parameter capacity: the most that will be written, overwritten bytes included.
  /// - Returns: `nil` if `memory` is smaller.
  @inline(__always)
  init?(_ memory: UnsafeMutableRawBufferPointer, _ capacity: Int) {
    guard let base = memory.baseAddress, memory.count >= capacity else { return nil }
    start = base
    at = base
  }

  /// Bytes written; 0 if a number could not be.
  var count: Int {
    @inline(__always) get { isBroken ? 0 : at - start }
  }

  /// A literal of known length: a few stores.
  @inline(__always)
  mutating func put(_ text: StaticString) {
    at.copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
    at += text.utf8CodeUnitCount
  }

  @inline(__always)
  mutating func put(_ piece: FramePiece) {
    guard let bytes = piece.bytes else { return }
    var offset = 0
    repeat {
      at.advanced(by: offset).storeBytes(
        of: bytes.advanced(by: offset).loadUnaligned(as: SIMD32<UInt8>.self), as: SIMD32<UInt8>.self)
      offset += 32
    } while offset < piece.count
    at += piece.count
  }

  @inline(__always)
  mutating func number(_ value: UInt64) {
    at += apus_decimal_write_u64(value, at.assumingMemoryBound(to: CChar.self))
  }

  /// Digits that have been written and will be needed again; at most 16 of them.
  struct Digits {
    fileprivate let start: UnsafeMutableRawPointer
    fileprivate let count: Int
  }

  /// The id of an order request, `clientID × 10 + operation` (see `RequestID`).
  ///
  /// - Returns: the client id's digits.
  @inline(__always)
  mutating func id(_ clientID: UInt64, _ operation: UInt64) -> Digits {
    let digits = Digits(start: at, count: apus_decimal_write_u64(clientID, at.assumingMemoryBound(to: CChar.self)))
    at += digits.count
    at.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: operation), as: UInt8.self)
    at += 1
    return digits
  }

  /// The id of an amend, `(clientID × 10,000 + serial) × 10 + operation`.
  ///
  /// - Parameter serial: 1 ... 9,999.
  /// - Returns: the client id's digits.
  @inline(__always)
  mutating func amendID(_ clientID: UInt64, _ serial: UInt16) -> Digits {
    let digits = Digits(start: at, count: apus_decimal_write_u64(clientID, at.assumingMemoryBound(to: CChar.self)))
    at += digits.count
    put(four: UInt32(serial))
    at.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: RequestID.amendOperation), as: UInt8.self)
    at += 1
    return digits
  }

  @inline(__always)
  mutating func put(_ digits: Digits) {
    at.storeBytes(of: digits.start.loadUnaligned(as: SIMD16<UInt8>.self), as: SIMD16<UInt8>.self)
    at += digits.count
  }

  /// The first `count` bytes of a vector.
  @inline(__always)
  mutating func put(_ bytes: SIMD16<UInt8>, upTo count: Int) {
    at.storeBytes(of: bytes, as: SIMD16<UInt8>.self)
    at += count
  }

  /// All four digits of a number below 10,000.
  @inline(__always)
  mutating func put(four value: UInt32) {
    at.storeBytes(of: apus_digits_four(value), as: UInt32.self)
    at += 4
  }

  /// A venue's id as it is.
  @inline(__always)
  mutating func put(_ id: VenueID) {
    var bytes = id
    let count = Int(id.count)
    withUnsafeBytes(of: &bytes) { bytes in
      if let start = bytes.baseAddress { at.copyMemory(from: start, byteCount: count) }
    }
    at += count
  }

  /// The client id's part of an `OrderTag`.
  @inline(__always)
  mutating func tag(_ clientID: UInt64) {
    OrderTag.write(clientID, to: at)
    at += OrderTag.digits
  }

  /// So many steps of `unit` as the shortest decimal.
  @inline(__always)
  mutating func decimal(_ steps: Int64, _ unit: DecimalUnit) {
    let count = apus_decimal_write_unit(steps, unit, at.assumingMemoryBound(to: CChar.self))
    if count == 0 { isBroken = true }
    at += count
  }

  @inline(__always)
  mutating func takeBack(_ count: Int) { at -= count }
}
