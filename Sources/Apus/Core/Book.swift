public import CSupport

/// The price levels of one instrument, as the venue last told them.
///
/// Sizes are absolute. Round the touch a window of 4,096 ticks keeps them by price, so that an update
/// costs the same at any depth (R30); worse levels wait in a sorted tail of fixed capacity. A full
/// tail drops its worst level: see `isComplete(_:)`. Prices are at most 2⁶⁰ ticks either way; zero and
/// negative ones are like any other. Nothing allocates after `init`. One thread at a time.
// Sendable: it may be moved to the thread that will own it; noncopyable, it has one owner.
@safe
public struct Book: ~Copyable, @unchecked Sendable {
  @usableFromInline let book: OpaquePointer

  /// Tail capacities that a book can have.
  public static let tailCapacities = Int(APUS_BOOK_MIN_TAIL)...Int(APUS_BOOK_MAX_TAIL)

  /// Bytes of the memory block for `init(tailLevels:memory:)`, at a multiple of `memoryAlignment`.
  public static func memoryBytes(tailLevels: Int) -> Int { apus_book_bytes(UInt32(clamping: tailLevels)) }
  public static let memoryAlignment = Int(APUS_BOOK_ALIGNMENT)

  /// Makes an empty book.
  ///
  /// - Parameters:
  ///   - tailLevels: Levels that each side keeps beyond its window, 64 ... 262,144; 67 bytes a level
  ///     and side come on top of the 67 kB of the two windows.
  ///   - memory: A block for the book that outlives it, or `nil` to allocate one.
  public init(tailLevels: Int = 1024, memory: UnsafeMutableRawBufferPointer? = nil) throws(CapacityError) {
    var made: OpaquePointer?
    let code = unsafe apus_book_create(
      UInt32(clamping: tailLevels), memory?.baseAddress, memory?.count ?? 0, &made)
    guard code == 0, let made = unsafe made else {
      let what = "a book with tails of \(tailLevels) levels"
      throw code == -12
        ? .outOfMemory(what)
        : .refused(
          "could not create \(what): tails must have \(APUS_BOOK_MIN_TAIL) to \(APUS_BOOK_MAX_TAIL) levels and memory "
            + "\(Self.memoryBytes(tailLevels: tailLevels)) bytes at a multiple of \(APUS_BOOK_ALIGNMENT)")
    }
    unsafe self.book = made
  }

  deinit { unsafe apus_book_destroy(book) }

  /// Sets the size of a level; a size of 0 (or below) removes it.
  ///
  /// - Returns: Whether the side's best price or best size changed.
  @inlinable @inline(always) @_noLocks @discardableResult
  public mutating func set(_ side: Side, _ price: PriceTicks, _ qty: QtyLots) -> Bool {
    unsafe apus_book_set(book, side, price, qty)
  }

  /// Removes all levels of both sides. What was dropped before no longer matters.
  @inlinable @_noLocks
  public mutating func clear() { unsafe apus_book_clear(book) }

  /// Keeps the best `levels` of a side: for channels of limited depth, whose levels fall out of sight
  /// without a word. They do not count as dropped.
  @inlinable @inline(always) @_noLocks
  public mutating func truncate(_ side: Side, to levels: Int) {
    unsafe apus_book_truncate(book, side, UInt32(clamping: levels))
  }

  /// The best level of a side, or `nil` if the side is empty.
  @inlinable @inline(always) @_noLocks
  public func best(_ side: Side) -> BookLevel? {
    let level = unsafe apus_book_best(book, side)
    return level.qty_lots.rawValue != 0 ? level : nil
  }

  /// Whether both sides have levels and the best bid is at or above the best ask: a locked book
  /// counts as crossed.
  @inlinable public var isCrossed: Bool {
    @inline(always) @_noLocks get { unsafe apus_book_crossed(book) }
  }

  /// Number of levels of a side.
  @inlinable @inline(always) @_noLocks
  public func depth(_ side: Side) -> Int { Int(unsafe apus_book_depth(book, side)) }

  /// The size at a price, 0 if there is no such level.
  @inlinable @inline(always) @_noLocks
  public func qty(_ side: Side, at price: PriceTicks) -> QtyLots { unsafe apus_book_qty_at(book, side, price) }

  /// The level of rank `index` on its side, 0 being the best; `nil` if there are not that many.
  ///
  /// For the first few levels in turn a walk is cheaper.
  @inlinable @inline(always) @_noLocks
  public func level(_ side: Side, _ index: Int) -> BookLevel? {
    let level = unsafe apus_book_level_at(book, side, UInt64(bitPattern: Int64(index)))
    return level.qty_lots.rawValue != 0 ? level : nil
  }

  /// Starts a walk over a side, best first. A change of that side ends the walk.
  ///
  ///     var walk = book.walk(.buy)
  ///     while let level = book.next(&walk) { … }
  @inlinable @inline(always) @_noLocks
  public func walk(_ side: Side) -> BookCursor { unsafe apus_book_walk(book, side) }

  /// The next level of a walk, or `nil` at its end.
  @inlinable @inline(always) @_noLocks
  public func next(_ cursor: inout BookCursor) -> BookLevel? {
    // By value: a pointer to a local costs its function a stack protector.
    let step = unsafe apus_book_next_step(book, cursor)
    cursor = step.cursor
    return step.level.qty_lots.rawValue != 0 ? step.level : nil
  }

  /// Levels dropped since `init`, because a tail was full or a price out of range.
  @inlinable public var droppedCount: UInt64 {
    @inline(always) @_noLocks get { unsafe apus_book_dropped(book) }
  }

  /// Whether no level of the side was dropped for lack of room since it was cleared.
  ///
  /// If not, the side is exact for prices better than `horizon(_:)` and silent about the rest; only
  /// a fresh snapshot makes it whole.
  @inlinable @inline(always) @_noLocks
  public func isComplete(_ side: Side) -> Bool { unsafe apus_book_is_complete(book, side) }

  /// The best price that was dropped since the side was cleared; `nil` if none was.
  @inlinable @inline(always) @_noLocks
  public func horizon(_ side: Side) -> PriceTicks? {
    isComplete(side) ? nil : unsafe apus_book_horizon(book, side)
  }
}
