/// A growing byte buffer that writes compact JSON: integers and scaled decimals, no floating point.
///
/// Memory is kept when the buffer is cleared, so that a warm buffer does not allocate. One thread.
final class TextBuffer {
  private var base: UnsafeMutablePointer<UInt8>
  private var used = 0
  private var capacity: Int

  init(capacity: Int = 1 << 12) {
    self.capacity = max(64, capacity)
    base = UnsafeMutablePointer<UInt8>.allocate(capacity: self.capacity)
  }

  deinit { base.deallocate() }

  var count: Int { used }
  var isEmpty: Bool { used == 0 }
  /// The bytes written so far; valid until the next write.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: used) }

  func clear() { used = 0 }
  /// Forgets what was written after the first `count` bytes.
  func truncate(to count: Int) { used = min(used, count) }

  private func room(_ more: Int) {
    if used + more <= capacity { return }
    var larger = capacity * 2
    while larger < used + more { larger *= 2 }
    let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
    moved.update(from: base, count: used)
    base.deallocate()
    base = moved
    capacity = larger
  }

  /// Whether `text` begins within the first `limit` bytes.
  func contains(_ text: StaticString, before limit: Int) -> Bool {
    let length = text.utf8CodeUnitCount
    guard length > 0 else { return true }
    for start in 0..<max(0, min(limit, used - length + 1)) {
      var place = 0
      while place < length, base[start + place] == text.utf8Start[place] { place += 1 }
      if place == length { return true }
    }
    return false
  }

  func raw(_ text: StaticString) {
    let length = text.utf8CodeUnitCount
    room(length)
    (base + used).update(from: text.utf8Start, count: length)
    used += length
  }

  func byte(_ value: UInt8) {
    room(1)
    base[used] = value
    used += 1
  }

  func append(_ source: UnsafeRawBufferPointer) {
    guard let start = source.baseAddress, source.count > 0 else { return }
    room(source.count)
    UnsafeMutableRawPointer(base + used).copyMemory(from: start, byteCount: source.count)
    used += source.count
  }

  func append(_ source: [UInt8]) {
    source.withUnsafeBytes { append($0) }
  }

  /// `text` as a JSON string with its quotes.
  func quoted(_ text: String) {
    byte(UInt8(ascii: "\""))
    for unit in text.utf8 {
      switch unit {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        byte(UInt8(ascii: "\\"))
        byte(unit)
      case 0..<0x20:
        raw("\\u00")
        hex(UInt64(unit), digits: 2)
      default: byte(unit)
      }
    }
    byte(UInt8(ascii: "\""))
  }

  func integer(_ value: Int64) {
    room(20)
    if value < 0 {
      base[used] = UInt8(ascii: "-")
      used += 1
    }
    digits(value.magnitude)
  }

  func integer(_ value: UInt64) {
    room(20)
    digits(value)
  }

  /// Needs 20 bytes of room.
  private func digits(_ value: UInt64) {
    var length = 1
    var bound: UInt64 = 10
    while length < 20, value >= bound {
      length += 1
      let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
      if overflow { break }
      bound = next
    }
    if length == 20 || value >= 10_000_000_000_000_000_000 { length = 20 }
    var rest = value
    var at = used + length
    used = at
    repeat {
      at -= 1
      let quotient = rest / 10
      base[at] = UInt8(truncatingIfNeeded: 48 &+ (rest &- quotient &* 10))
      rest = quotient
    } while rest != 0
  }

  func hex(_ value: UInt64, digits: Int) {
    room(digits)
    for position in stride(from: digits - 1, through: 0, by: -1) {
      let nibble = UInt8(truncatingIfNeeded: (value >> UInt64(position * 4)) & 15)
      base[used] = nibble < 10 ? 48 + nibble : 55 + nibble
      used += 1
    }
  }

  /// `value` · 10^−`places` without trailing zeros: `76280`, `0.1`, `-1.27`.
  ///
  /// `pointAlways` keeps one decimal for whole numbers (`76280.0`), which is how the venue prints orders.
  func decimal(_ value: Int64, places: Int, pointAlways: Bool = false) {
    room(44)
    if value < 0 {
      base[used] = UInt8(ascii: "-")
      used += 1
    }
    var scale: UInt64 = 1
    for _ in 0..<places { scale &*= 10 }
    let magnitude = value.magnitude
    let whole = magnitude / scale
    var fraction = magnitude &- whole &* scale
    digits(whole)
    if fraction == 0 {
      if pointAlways {
        base[used] = UInt8(ascii: ".")
        base[used + 1] = UInt8(ascii: "0")
        used += 2
      }
      return
    }
    base[used] = UInt8(ascii: ".")
    used += 1
    var length = places
    while fraction % 10 == 0 {
      fraction /= 10
      length -= 1
    }
    var at = used + length
    used = at
    while length > 0 {
      at -= 1
      length -= 1
      let quotient = fraction / 10
      base[at] = UInt8(truncatingIfNeeded: 48 &+ (fraction &- quotient &* 10))
      fraction = quotient
    }
  }

  /// A value in 10⁻⁸ as the venue prints market data: `76280`, `0.4`.
  func e8(_ value: Int64) { decimal(value, places: 8) }
  /// A value in 10⁻⁸ as the venue prints orders: `76280.0`, `0.4`.
  func e8Pointed(_ value: Int64) { decimal(value, places: 8, pointAlways: true) }
  /// A value in 10⁻⁸ with so many decimals, 0 … 8; what does not fit is cut off.
  func fixed(_ value: Int64, places: Int) {
    room(44)
    if value < 0 {
      base[used] = UInt8(ascii: "-")
      used += 1
    }
    digits(value.magnitude / 100_000_000)
    guard places > 0 else { return }
    base[used] = UInt8(ascii: ".")
    used += 1
    var fraction = value.magnitude % 100_000_000
    for _ in 0..<places {
      fraction *= 10
      base[used] = UInt8(truncatingIfNeeded: 48 + fraction / 100_000_000)
      used += 1
      fraction %= 100_000_000
    }
  }

  /// Nanoseconds since the Unix epoch as seconds with microseconds: `1776715498.201377`.
  func seconds(_ nanoseconds: Int64) { decimal(nanoseconds / 1000, places: 6, pointAlways: true) }
  func bool(_ value: Bool) { value ? raw("true") : raw("false") }
}
