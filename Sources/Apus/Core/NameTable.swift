public import CSupport
import Glibc

/// Why a table of fixed size could not be built or extended.
public enum TableError: Error, Equatable, CustomStringConvertible {
  case outOfMemory
  case full(capacity: Int)
  case capacity(Int)
  case unusableName(String)
  case duplicate(String)

  public var description: String {
    switch self {
    case .outOfMemory: "could not allocate the table: out of memory"
    case .full(let capacity): "could not add a name: the table holds its \(capacity) already"
    case .capacity(let capacity): "could not create a table for \(capacity) entries: the number is out of range"
    case .unusableName(let name): "could not add the name \"\(name)\": it is empty, too long or not plain text"
    case .duplicate(let name): "could not add the name \"\(name)\": it is there already"
    }
  }
}

/// Short byte strings (1...63 bytes) to numbers, with a capacity fixed at creation.
///
/// One owner; adding and removing are for set-up, `find` is hot and reads exactly the bytes given.
public struct NameTable: ~Copyable {
  @usableFromInline let table: OpaquePointer
  public let capacity: Int

  public init(capacity: Int) throws(TableError) {
    var created: OpaquePointer?
    let outcome = apus_names_create(UInt32(clamping: capacity), &created)
    guard outcome == 0, let created else {
      throw outcome == -EINVAL ? .capacity(capacity) : .outOfMemory
    }
    table = created
    self.capacity = capacity
  }

  deinit { apus_names_destroy(table) }

  /// Adds a name; `value` is below `UInt32.max`.
  public mutating func add(_ name: String, value: UInt32) throws(TableError) {
    var name = name
    let outcome = name.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { text -> Int32 in
        guard let start = text.baseAddress else { return -EINVAL }
        return apus_names_add(table, start, text.count, value)
      }
    }
    switch outcome {
    case 0: return
    case -EEXIST: throw .duplicate(name)
    case -ENOSPC: throw .full(capacity: capacity)
    default: throw .unusableName(name)
    }
  }

  /// Returns whether the name was there.
  @discardableResult
  public mutating func remove(_ name: String) -> Bool {
    var name = name
    return name.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { text in
        guard let start = text.baseAddress else { return false }
        return apus_names_remove(table, start, text.count)
      }
    }
  }

  public borrowing func value(of name: String) -> UInt32? {
    var name = name
    return name.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { text in
        guard let start = text.baseAddress else { return nil }
        return find(start, text.count)
      }
    }
  }

  /// The value of the bytes, or `nil`. Hot.
  @inlinable @inline(always) @_noLocks
  public borrowing func find(_ text: UnsafePointer<CChar>, _ count: Int) -> UInt32? {
    let value = apus_names_find(table, text, count)
    return value == UInt32.max ? nil : value
  }
}
