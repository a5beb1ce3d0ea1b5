import Apus
import CBench
import CSupport

/// How directives could reach a lane: a ring that keeps each of them, or a slot that keeps the latest.
let slotPieces: [Piece] = [
  Piece("ring.idle", .batch(20_000)) { _ in Timed(try RingIdle()) },
  Piece("slot.same", .batch(20_000)) { _ in Timed(try SlotSameThread()) },
  Piece("slot.idle", .batch(20_000)) { _ in Timed(try SlotIdle()) },
  Piece("slot.trip", .crossCore(500)) { cores in Timed(SlotTrip(cores: cores)) },
]

/// Memory of one slot.
// Sendable: the ends meet only through the slot's sequence.
private final class Slot: @unchecked Sendable {
  let memory: OpaquePointer

  init() throws {
    guard let memory = apus_slot_create() else { throw PieceError("there is no memory for a slot") }
    self.memory = memory
  }

  deinit { apus_slot_destroy(memory) }
}

private func message(_ number: UInt64) -> apus_slot_message { apus_slot_message(words: (number, 1, 2, 3, 4, 5, number)) }

/// A look of a lane's turn at a ring in which nothing is.
private struct RingIdle: Operation, ~Copyable {
  private var ring: Ring

  init() throws { ring = try Ring(capacity: 64) }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var found = 0
    let start = EngineClock.now()
    for _ in 0..<count where ring.consumer.pop() != nil { found += 1 }
    let time = EngineClock.now() - start
    guard found == 0 else { throw PieceError("an empty ring had a record") }
    return time
  }
}

/// The same at a slot.
private struct SlotIdle: Operation {
  private let slot: Slot

  init() throws { slot = try Slot() }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var seen: UInt64 = 0
    var found = 0
    var read = message(0)
    let memory = slot.memory
    let start = EngineClock.now()
    for _ in 0..<count where apus_slot_read(memory, &seen, &read) { found += 1 }
    let time = EngineClock.now() - start
    guard found == 0 else { throw PieceError("an empty slot had a message") }
    return time
  }
}

/// Write and read of 56 bytes by one thread.
private struct SlotSameThread: Operation {
  private let slot: Slot
  private var seen: UInt64 = 0

  init() throws { slot = try Slot() }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum: UInt64 = 0
    var read = message(0)
    var seen = self.seen
    let memory = slot.memory
    let start = EngineClock.now()
    for number in 0..<UInt64(count) {
      var written = message(number)
      apus_slot_write(memory, &written)
      if apus_slot_read(memory, &seen, &read) { sum &+= read.words.0 &+ read.words.6 }
    }
    let time = EngineClock.now() - start
    self.seen = seen
    guard sum == UInt64(count) * UInt64(count - 1) else { throw PieceError("the slot lost messages") }
    return time
  }
}

/// A message through one slot to another core and back through a second slot: one trip at a time.
private struct SlotTrip: Operation {
  private static let warmTrips = 200
  let cores: Cores

  mutating func run(_ count: Int) throws -> Nanoseconds {
    let (forth, back) = (try Slot(), try Slot())
    let trips = Self.warmTrips + count
    let partner = try Partner(cores) {
      var seen: UInt64 = 0
      var read = message(0)
      for _ in 0..<trips {
        while !apus_slot_read(forth.memory, &seen, &read) {}
        apus_slot_write(back.memory, &read)
      }
    }
    var seen: UInt64 = 0
    for number in 0..<UInt64(Self.warmTrips) { Self.trip(forth, back, number, &seen) }
    let start = EngineClock.orderedNow()
    for number in 0..<UInt64(count) { Self.trip(forth, back, number, &seen) }
    let time = EngineClock.orderedNow() - start
    partner.join()
    return time
  }

  @inline(__always)
  private static func trip(_ forth: Slot, _ back: Slot, _ number: UInt64, _ seen: inout UInt64) {
    var written = message(number)
    var read = written
    apus_slot_write(forth.memory, &written)
    while !apus_slot_read(back.memory, &seen, &read) {}
  }
}
