import CSupport
import Glibc

/// The known keys of one kind of JSON object. It remembers the order in which members came, so a thread of its own.
struct JSONShape: ~Copyable {
  let pointer: OpaquePointer

  /// - Parameters:
  ///   - keys: At most 64 texts of 1...28 bytes; their positions are what `field` returns. Those from the 33rd on are only
  ///     stepped over by a `MemberTable`.
  ///   - wanted: Bit i: numbers of key i are converted by a `MemberTable`, and not only checked.
  init(_ keys: [String], wanted: UInt32 = 0) throws(TableError) {
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
    for key in 0..<UInt32(keys.count) where wanted >> key & 1 == 1 { apus_json_shape_want(created, key) }
  }

  deinit { apus_json_shape_destroy(pointer) }
}

/// Where the values of a frame may end, and which kernels look for them.
struct ScanIndex: ~Copyable {
  let pointer: OpaquePointer

  init(_ level: ScanLevel) throws(TableError) {
    var created: OpaquePointer?
    let outcome = apus_index_create(level, &created)
    guard outcome == 0, let created else {
      throw outcome == -EINVAL ? .unusableName("scan level \(level.rawValue)") : .outOfMemory
    }
    pointer = created
  }

  deinit { apus_index_destroy(pointer) }
}

/// The members of one object, read in one call, or of `count` objects. What it holds is valid until the next object is
/// read into it.
struct MemberTable: ~Copyable {
  let pointer: OpaquePointer

  init(count: Int = 1) throws(TableError) {
    var created: OpaquePointer?
    guard apus_members_create(UInt32(count), &created) == 0, let created else { throw .outOfMemory }
    pointer = created
  }

  @inline(always)
  subscript(_ position: Int) -> OpaquePointer { apus_members_at(pointer, position) }

  deinit { apus_members_destroy(pointer) }
}

/// Reading typed members. A member of another type than asked for is stepped over and noted in `wrong`, so that
/// one odd item leaves the rest of an array readable; only text that is no JSON makes the cursor fail.
extension JSONCursor {
  @inline(always) @_noLocks
  mutating func isNext(_ kind: JSONKind) -> Bool { apus_json_peek(&self) == kind }

  /// Steps over `text` if it stands here.
  @inline(always)
  mutating func accept(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    let bytes = UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
    guard end - at >= count, apus_json_same(at, bytes, count) else { return false }
    at += count
    return true
  }

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
    return apus_json_same(bytes, UnsafeRawPointer(word.utf8Start).assumingMemoryBound(to: CChar.self), count)
  }
}
