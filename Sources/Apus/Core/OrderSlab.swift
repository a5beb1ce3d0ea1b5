public import CSupport

/// Why a slab or a book could not be made.
public enum CapacityError: Error, Equatable, CustomStringConvertible {
  /// The operand says what was asked for and what is allowed.
  case refused(String)
  case outOfMemory(String)

  public var description: String {
    switch self {
    case .refused(let text): text
    case .outOfMemory(let what): "could not create \(what): out of memory"
    }
  }
}

/// All orders of a lane: a fixed number of records, found in a few instructions by our client id
/// or by the venue's id, and chained into lists.
///
/// A client id is `generation << indexBits | slot index`, so an id of an earlier tenant of a slot
/// finds nothing. A record stays where it is until it is erased; its pointer is valid that long.
/// The members `client_id`, `venue_id`, `next` and `previous` belong to the slab; the rest of a
/// record is the caller's. One thread at a time.
// Sendable: it may be moved to the thread that will own it; noncopyable, it has one owner.
@safe
public struct OrderSlab: ~Copyable, @unchecked Sendable {
  public typealias Record = UnsafeMutablePointer<OrderRecord>

  @usableFromInline let slab: OpaquePointer

  /// Capacities that a slab can have.
  public static let capacities = 1...Int(APUS_SLAB_MAX_CAPACITY)

  /// Bytes of the memory block for `init(capacity:idBits:firstGeneration:memory:)`, at a multiple
  /// of `memoryAlignment`.
  public static func memoryBytes(capacity: Int) -> Int {
    apus_slab_bytes(UInt32(clamping: capacity))
  }
  public static let memoryAlignment = Int(APUS_SLAB_ALIGNMENT)

  /// Makes an empty slab; everything it will ever need is allocated here.
  ///
  /// - Parameters:
  ///   - capacity: Orders alive at once, 1 ... 1,048,576.
  ///   - idBits: Width of a client id, at most 63; at least two bits more than a slot index needs.
  ///   - firstGeneration: The generation that the first tenants get. A restart that must not reuse
  ///     the ids of the run before passes a later one (R17).
  ///   - memory: A block for the slab that outlives it, or `nil` to allocate one.
  public init(
    capacity: Int, idBits: Int = 32, firstGeneration: UInt64 = 1,
    memory: UnsafeMutableRawBufferPointer? = nil
  ) throws(CapacityError) {
    var made: OpaquePointer?
    let code = unsafe apus_slab_create(
      UInt32(clamping: capacity), UInt32(clamping: idBits), firstGeneration, memory?.baseAddress,
      memory?.count ?? 0, &made)
    guard code == 0, let made = unsafe made else {
      let what = "a slab of \(capacity) orders with ids of \(idBits) bits from generation \(firstGeneration)"
      throw code == -12
        ? .outOfMemory(what)
        : .refused(
          "could not create \(what): capacity must be 1 to \(APUS_SLAB_MAX_CAPACITY), ids must have at most 63 bits, "
            + "two more than a slot index, the generation must be above 0 and fit, and memory must have "
            + "\(Self.memoryBytes(capacity: capacity)) bytes at a multiple of \(APUS_SLAB_ALIGNMENT)")
    }
    unsafe self.slab = made
  }

  deinit { unsafe apus_slab_destroy(slab) }

  @inlinable public var capacity: Int { @inline(always) @_noLocks get { Int(unsafe apus_slab_capacity(slab)) } }

  /// Records in use.
  @inlinable public var count: Int { @inline(always) @_noLocks get { Int(unsafe apus_slab_count(slab)) } }

  /// The client id that the next insert will give; 0 if the slab is full.
  @inlinable public var nextClientID: UInt64 { @inline(always) @_noLocks get { unsafe apus_slab_next_id(slab) } }

  /// A record with its client id set and all else zero, or `nil` if the slab is full.
  @inlinable @inline(always) @_noLocks
  public mutating func insert() -> Record? { unsafe apus_slab_insert(slab) }

  /// The live order of a client id; `nil` for an id that is stale, foreign or 0.
  @inlinable @inline(always) @_noLocks
  public func find(clientID: UInt64) -> Record? { unsafe apus_slab_find(slab, clientID) }

  /// The live order to which a venue id is bound.
  @inlinable @inline(always) @_noLocks
  public func find(venueID: VenueID) -> Record? { unsafe apus_slab_find_venue_id_copy(slab, venueID) }

  /// The live order in a slot, for scans over `0 ..< capacity`.
  @inlinable @inline(always) @_noLocks
  public func record(at index: Int) -> Record? { unsafe apus_slab_at(slab, UInt64(bitPattern: Int64(index))) }

  /// Slot index of a live record of this slab, 0 ..< capacity.
  @inlinable @inline(always) @_noLocks
  public func index(of record: Record) -> Int { Int(unsafe apus_slab_index(slab, record)) }

  /// Lets `find(venueID:)` find the order, in place of an earlier venue id if it has one.
  ///
  /// - Returns: `false`, with nothing changed, if the id is empty or another live order has it.
  @inlinable @inline(always) @_noLocks
  public mutating func bind(_ record: Record, venueID: VenueID) -> Bool {
    unsafe apus_slab_bind_venue_id_copy(slab, record, venueID)
  }

  /// Takes the venue id away from the order; nothing happens if it has none.
  @inlinable @inline(always) @_noLocks
  public mutating func unbindVenueID(_ record: Record) { unsafe apus_slab_unbind_venue_id(slab, record) }

  /// Frees a record that is in no list. Its ids stop to be found; its pointer must not be used again.
  @inlinable @inline(always) @_noLocks
  public mutating func erase(_ record: Record) { unsafe apus_slab_erase(slab, record, nil) }

  /// Frees a record that is in `list`.
  @inlinable @inline(always) @_noLocks
  public mutating func erase(_ record: Record, from list: inout OrderList) {
    unsafe apus_slab_erase(slab, record, &list)
  }

  // MARK: Lists. A record is in at most one; `OrderList()` is an empty one.

  @inlinable @inline(always) @_noLocks
  public mutating func append(_ record: Record, to list: inout OrderList) {
    unsafe apus_list_append(slab, &list, record)
  }

  /// Puts a record before `member`, or at the end if that is `nil`.
  @inlinable @inline(always) @_noLocks
  public mutating func insert(_ record: Record, into list: inout OrderList, before member: Record?) {
    unsafe apus_list_insert_before(slab, &list, record, member)
  }

  /// Puts a record after `member`, or at the beginning if that is `nil`.
  @inlinable @inline(always) @_noLocks
  public mutating func insert(_ record: Record, into list: inout OrderList, after member: Record?) {
    unsafe apus_list_insert_after(slab, &list, record, member)
  }

  /// Takes a record out of its list; it stays alive.
  @inlinable @inline(always) @_noLocks
  public mutating func remove(_ record: Record, from list: inout OrderList) {
    unsafe apus_list_remove(slab, &list, record)
  }

  @inlinable @inline(always) @_noLocks
  public func first(of list: OrderList) -> Record? { unsafe apus_slab_follow(slab, list.first) }

  @inlinable @inline(always) @_noLocks
  public func last(of list: OrderList) -> Record? { unsafe apus_slab_follow(slab, list.last) }

  /// The next member of the record's list. Take it before removing the record.
  @inlinable @inline(always) @_noLocks
  public func next(after record: Record) -> Record? { unsafe apus_list_next(slab, record) }

  @inlinable @inline(always) @_noLocks
  public func previous(before record: Record) -> Record? { unsafe apus_list_previous(slab, record) }
}
