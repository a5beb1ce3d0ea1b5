public import CSupport

/// Both ends of a new single-producer, single-consumer ring; take them apart and give each to a thread.
///
/// A record is one cache line: 56 bytes of payload and the sequence number that publishes it.
@frozen
public struct Ring: ~Copyable, Sendable {
  public var producer: RingProducer
  public var consumer: RingConsumer

  /// Allocates a ring of `capacity` records, a power of two within 1 … 2²⁴, 64 bytes each.
  public init(capacity: Int) throws(SystemError) {
    var ring: OpaquePointer?
    let result = unsafe apus_spsc_create(UInt32(clamping: capacity), &ring)
    guard let ring = unsafe ring, result == 0 else {
      throw SystemError(
        "create a ring of \(capacity) records", result: result,
        advice: result == -22 ? "its capacity must be a power of two within 1 ... \(1 << 24)" : nil)
    }
    let storage = unsafe RingStorage(ring: ring, memory: nil)
    producer = RingProducer(storage: storage)
    consumer = RingConsumer(storage: storage)
  }

  /// Builds the ring in `memory`, local to a node or locked, which lives as long as either end.
  public init(capacity: Int, in memory: consuming LockedMemory) throws(SystemError) {
    var ring: OpaquePointer?
    let result = unsafe apus_spsc_place(memory.base, memory.count, UInt32(clamping: capacity), &ring)
    guard let ring = unsafe ring, result == 0 else {
      throw SystemError(
        "place a ring of \(capacity) records in \(memory.count) bytes", result: result,
        advice: "it needs a power of two within 1 ... \(1 << 24) and Ring.byteCount(capacity:) bytes")
    }
    let storage = unsafe RingStorage(ring: ring, memory: memory)
    producer = RingProducer(storage: storage)
    consumer = RingConsumer(storage: storage)
  }

  /// Bytes that `init(capacity:in:)` needs; `nil` if `capacity` is not a power of two within 1 … 2²⁴.
  public static func byteCount(capacity: Int) -> Int? {
    let bytes = apus_spsc_bytes(UInt32(clamping: capacity))
    return bytes == 0 ? nil : bytes
  }
}

/// What both ends share; freed when the last of them is gone.
// Sendable: immutable; what it points to is touched through the ends alone.
@usableFromInline
final class RingStorage: @unchecked Sendable {
  let ring: OpaquePointer
  private let memory: LockedMemory?

  init(ring: OpaquePointer, memory: consuming LockedMemory?) {
    unsafe self.ring = unsafe ring
    self.memory = memory
  }

  deinit {
    if memory == nil {
      unsafe apus_spsc_destroy(ring)
    }
  }
}

/// The writing end of a ring, owned by one thread at a time.
// Sendable: the ends meet only through apus_spsc's acquire/release pairs, and being noncopyable, each
// end has exactly one owner.
@safe
public struct RingProducer: ~Copyable, @unchecked Sendable {
  @usableFromInline let ring: OpaquePointer
  private let storage: RingStorage

  init(storage: RingStorage) {
    unsafe ring = unsafe storage.ring
    self.storage = storage
  }

  /// Publishes `record`, or returns `false` if the ring is full.
  ///
  /// Mutating, so that exclusivity rules out two pushes at once.
  @inlinable @inline(always) @_noLocks
  public mutating func push(_ record: RingRecord) -> Bool {
    guard let slot = unsafe apus_spsc_claim(ring) else { return false }
    unsafe slot.assumingMemoryBound(to: RingRecord.self).pointee = record
    unsafe apus_spsc_publish(ring)
    return true
  }

  /// Publishes a plain value of at most 56 bytes, or returns `false` if the ring is full.
  ///
  /// The consumer must pop the same type. Traps if the type is larger than a record.
  // No @_noLocks: a generic body may ask for metadata. A @_noLocks caller specialises and checks it.
  @inlinable @inline(always)
  public mutating func push<Payload: BitwiseCopyable>(_ payload: Payload) -> Bool {
    precondition(MemoryLayout<Payload>.size <= Int(APUS_RING_PAYLOAD_BYTES), "payload exceeds a ring record")
    guard let slot = unsafe apus_spsc_claim(ring) else { return false }
    unsafe slot.assumingMemoryBound(to: Payload.self).pointee = payload
    unsafe apus_spsc_publish(ring)
    return true
  }

  /// The next free record's 56 bytes, to be filled in place and then published; `nil` if the ring is
  /// full. They hold what an earlier record left.
  @unsafe @inlinable @inline(always) @_noLocks
  public mutating func claim() -> UnsafeMutableRawPointer? { unsafe apus_spsc_claim(ring) }

  /// Publishes what the last successful `claim` returned.
  @unsafe @inlinable @inline(always) @_noLocks
  public mutating func publish() { unsafe apus_spsc_publish(ring) }

  public var statistics: RingStatistics { unsafe RingStatistics(ring) }
}

/// The reading end of a ring, owned by one thread at a time.
// Sendable: as RingProducer.
@safe
public struct RingConsumer: ~Copyable, @unchecked Sendable {
  @usableFromInline let ring: OpaquePointer
  private let storage: RingStorage

  init(storage: RingStorage) {
    unsafe ring = unsafe storage.ring
    self.storage = storage
  }

  /// Takes the oldest record, or `nil` if the ring is empty.
  @inlinable @inline(always) @_noLocks
  public mutating func pop() -> RingRecord? {
    guard let slot = unsafe apus_spsc_front(ring) else { return nil }
    let record = unsafe slot.assumingMemoryBound(to: RingRecord.self).pointee
    unsafe apus_spsc_release(ring)
    return record
  }

  /// Takes the oldest record as the type that was pushed, or `nil` if the ring is empty.
  @inlinable @inline(always)
  public mutating func pop<Payload: BitwiseCopyable>(as type: Payload.Type) -> Payload? {
    precondition(MemoryLayout<Payload>.size <= Int(APUS_RING_PAYLOAD_BYTES), "payload exceeds a ring record")
    guard let slot = unsafe apus_spsc_front(ring) else { return nil }
    let payload = unsafe slot.assumingMemoryBound(to: Payload.self).pointee
    unsafe apus_spsc_release(ring)
    return payload
  }

  /// The oldest record's 56 bytes, to be read in place and then released; `nil` if the ring is empty.
  @unsafe @inlinable @inline(always) @_noLocks
  public mutating func front() -> UnsafeRawPointer? { unsafe apus_spsc_front(ring) }

  /// Gives back what the last successful `front` returned.
  @unsafe @inlinable @inline(always) @_noLocks
  public mutating func release() { unsafe apus_spsc_release(ring) }

  public var statistics: RingStatistics { unsafe RingStatistics(ring) }
}

/// How full a ring is and has been; either end can tell.
public struct RingStatistics: Equatable, Sendable {
  /// Records that fit.
  public let capacity: Int
  /// Records waiting, exact while the other end rests.
  public let depth: Int
  /// The greatest depth so far; below an eighth of the capacity a lower bound.
  public let highWater: Int
  /// How often a full ring refused.
  public let refused: UInt64

  init(_ ring: OpaquePointer) {
    capacity = unsafe Int(apus_spsc_capacity(ring))
    depth = unsafe Int(apus_spsc_depth(ring))
    highWater = unsafe Int(apus_spsc_high_water(ring))
    refused = unsafe apus_spsc_refused(ring)
  }
}
