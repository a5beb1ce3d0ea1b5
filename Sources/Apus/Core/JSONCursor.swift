import CSupport
import Glibc

/// The known keys of one kind of JSON object. It remembers the order in which members came, so a thread of its own.
struct JSONShape: ~Copyable {
  let pointer: OpaquePointer

  /// - Parameter keys: At most 32 texts of 1...29 bytes; their positions are what `field` returns.
  init(_ keys: [String]) throws(TableError) {
    var created: OpaquePointer?
    let copies = keys.map { strdup($0) }
    defer { copies.forEach { free($0) } }
    let outcome = copies.map { UnsafePointer($0) }.withUnsafeBufferPointer { texts in
      texts.withMemoryRebound(to: UnsafePointer<CChar>.self) { texts in
        apus_json_shape_create(texts.baseAddress!, UInt32(texts.count), &created)
      }
    }
    guard outcome == 0, let created else {
      throw outcome == -EINVAL ? .unusableName(keys.joined(separator: ",")) : .outOfMemory
    }
    pointer = created
  }

  deinit { apus_json_shape_destroy(pointer) }
}

/// Reading typed members. A member of another type than asked for is stepped over and noted in `wrong`, so that
/// one odd item leaves the rest of an array readable; only text that is no JSON makes the cursor fail.
extension JSONCursor {
  @inline(always) @_noLocks
  mutating func isNext(_ kind: JSONKind) -> Bool { apus_json_peek(&self) == kind }

  @inline(always)
  mutating func skip() { _ = apus_json_step(&self) }

  /// Whether a number was read; `null` and other types leave `out` alone.
  @inline(always)
  mutating func number(_ out: inout ScannedDecimal, wrong: inout Bool) -> Bool {
    if at < end {
      let byte = UInt8(bitPattern: at.pointee)
      if byte &- 0x30 < 10 || byte == 0x2D { return apus_json_number(&self, &out) }
    }
    switch apus_json_peek(&self) {
    case .number: return apus_json_number(&self, &out)
    case .null: return apus_json_null(&self) && false
    default:
      wrong = true
      skip()
      return false
    }
  }

  /// Whether a string was read; `null` and other types leave `out` alone.
  @inline(always)
  mutating func text(_ out: inout JSONText, wrong: inout Bool) -> Bool {
    if at < end, at.pointee == 0x22 {
      at += 1
      return apus_json_string_rest(&self, &out)
    }
    switch apus_json_peek(&self) {
    case .string: return apus_json_string(&self, &out)
    case .null: return apus_json_null(&self) && false
    default:
      wrong = true
      skip()
      return false
    }
  }

  /// Whether `true` was read.
  @inline(always)
  mutating func flag(wrong: inout Bool) -> Bool {
    switch apus_json_peek(&self) {
    case .bool:
      var value = false
      return apus_json_bool(&self, &value) && value
    case .null: return apus_json_null(&self) && false
    default:
      wrong = true
      skip()
      return false
    }
  }

  /// Steps over the next value, checked completely, and returns a cursor on just that value.
  @inline(always)
  mutating func checkedSlice() -> JSONCursor {
    apus_json_space(&self)
    let start = at
    _ = apus_json_skip(&self)
    return apus_json_begin(start, failed ? 0 : at - start)
  }
}

extension JSONText {
  @inline(always)
  func equals(_ word: StaticString) -> Bool {
    guard let bytes, count == word.utf8CodeUnitCount else { return false }
    return memcmp(bytes, word.utf8Start, count) == 0
  }
}
