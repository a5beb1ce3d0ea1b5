import Apus
import CSupport

/// 10,000 live orders.
let slabPieces: [Piece] = [
  Piece("slab.find", .batch(20_000), input: { try SlabFind.input() }) { _ in Timed(try SlabFind()) },
  Piece("slab.churn", .batch(20_000), input: { Places.random.input }) { _ in Timed(try SlabChurn(.random)) },
  Piece("slab.churn.fifo", .batch(20_000), input: { Places.inOrder.input }) { _ in Timed(try SlabChurn(.inOrder)) },
  Piece("slab.venue", .batch(20_000), input: { Places.random.input }) { _ in Timed(try SlabVenueChurn()) },
  Piece("slab.venue.find", .batch(20_000), input: { Places.random.input }) { _ in Timed(try SlabVenueFind()) },
]

private let liveCount = 10_000

private func makeSlab() throws -> OrderSlab { try OrderSlab(capacity: 16_384, idBits: 32, firstGeneration: 1) }

/// Which of the live orders is next: the same places for us and for the peers, over and over.
///
/// Input of the rows that use them: 10,000 32-bit integers, 0 ..< 10,000.
private struct Places {
  let all: [UInt32]

  /// Each place as often as chance has it.
  static let random: Places = {
    var random = Random(seed: 99)
    return Places(all: (0..<liveCount).map { _ in UInt32(random.below(liveCount)) })
  }()
  /// One place after the other: the oldest order is next.
  static let inOrder = Places(all: (0..<UInt32(liveCount)).map { $0 })

  var input: [UInt8] { all.flatMap { withUnsafeBytes(of: $0, Array.init) } }
}

/// A venue's order id of 16 characters, made of a number in a few instructions, so that no table of texts is in the way.
///
/// The first eight bytes are `001F3C26`, the others the nibbles of the number, lowest first, each plus 0x30.
@inline(__always)
private func venueID(_ number: UInt32) -> VenueID {
  var spread = UInt64(number)
  spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF
  spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF
  spread = (spread | spread << 4) & 0x0F0F_0F0F_0F0F_0F0F
  // The last byte of an id is its length.
  return unsafeBitCast(
    (UInt64(0x3632_4333_4631_3030), spread | 0x3030_3030_3030_3030, UInt64(0), UInt64(0), UInt64(16) << 56),
    to: VenueID.self)
}

/// Random finds. Input: 10,000 live ids, then 10,000 ids to find, 64 bits each. Check: the sum of what was found.
private struct SlabFind: Operation, ~Copyable {
  private var slab: OrderSlab
  private let ids: [UInt64]

  init() throws {
    var slab = try makeSlab()
    let live = try Self.fill(&slab)
    self.slab = slab
    ids = Places.random.all.map { live[Int($0)] }
  }

  static func input() throws -> [UInt8] {
    var slab = try makeSlab()
    let live = try fill(&slab)
    var bytes: [UInt8] = []
    for id in live { bytes.append(raw: id) }
    for place in Places.random.all { bytes.append(raw: live[Int(place)]) }
    return bytes
  }

  private static func fill(_ slab: inout OrderSlab) throws -> [UInt64] {
    try (0..<liveCount).map { _ in
      guard let order = slab.insert() else { throw PieceError("the slab is full") }
      return order.pointee.client_id
    }
  }

  private func find(_ count: Int) -> UInt64 {
    var sum: UInt64 = 0
    ids.withUnsafeBufferPointer { ids in
      var index = 0
      for _ in 0..<count {
        if let order = slab.find(clientID: ids[index]) { sum &+= order.pointee.client_id }
        index += 1
        if index == liveCount { index = 0 }
      }
    }
    return sum
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    let start = EngineClock.now()
    let sum = find(count)
    let time = EngineClock.now() - start
    keep(Int64(bitPattern: sum))
    return time
  }

  mutating func check() throws -> [Int64] { [Int64(bitPattern: find(liveCount))] }
}

/// A new order, and the end of a live one that is found by its id. Check: live orders after 50,000 of them.
private struct SlabChurn: Operation, ~Copyable {
  private var slab: OrderSlab
  private var ids: [UInt64] = []
  private let places: [UInt32]
  private var step = 0

  init(_ places: Places) throws {
    var slab = try makeSlab()
    let live = try (0..<liveCount).map { _ in
      guard let order = slab.insert() else { throw PieceError("the slab is full") }
      return order.pointee.client_id
    }
    self.slab = slab
    ids = live
    self.places = places.all
  }

  private mutating func churn(_ count: Int) {
    let places = self.places
    // Taken out for the loop: no check for uniqueness at each step.
    var taken = ids
    ids = []
    defer { ids = taken }
    taken.withUnsafeMutableBufferPointer { ids in
      for _ in 0..<count {
        let place = Int(places[step])
        step += 1
        if step == places.count { step = 0 }
        guard let new = slab.insert() else { return }
        if let old = slab.find(clientID: ids[place]) { slab.erase(old) }
        ids[place] = new.pointee.client_id
      }
    }
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    let start = EngineClock.now()
    churn(count)
    let time = EngineClock.now() - start
    guard slab.count == liveCount else { throw PieceError("\(slab.count) orders live, not \(liveCount)") }
    return time
  }

  mutating func check() throws -> [Int64] {
    churn(50_000)
    return [Int64(slab.count)]
  }
}

/// The same by the venue's id: a new order gets one, a live one is found by its own and ends.
///
/// Place p has the id of number 2p or 2p + 1, the other one each time. Check as above.
private struct SlabVenueChurn: Operation, ~Copyable {
  private var slab: OrderSlab
  private var numbers: [UInt32]
  private var step = 0

  init() throws {
    slab = try Self.filled()
    numbers = (0..<UInt32(liveCount)).map { 2 * $0 }
  }

  /// Place p has the id of number 2p.
  static func filled() throws -> OrderSlab {
    var slab = try makeSlab()
    for place in 0..<UInt32(liveCount) {
      guard let order = slab.insert(), slab.bind(order, venueID: venueID(2 * place)) else {
        throw PieceError("the slab is full")
      }
    }
    return slab
  }

  private mutating func churn(_ count: Int) {
    let places = Places.random.all
    numbers.withUnsafeMutableBufferPointer { numbers in
      for _ in 0..<count {
        let place = Int(places[step])
        step += 1
        if step == liveCount { step = 0 }
        let number = numbers[place]
        guard let new = slab.insert(), slab.bind(new, venueID: venueID(number ^ 1)) else { return }
        if let old = slab.find(venueID: venueID(number)) { slab.erase(old) }
        numbers[place] = number ^ 1
      }
    }
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    let start = EngineClock.now()
    churn(count)
    let time = EngineClock.now() - start
    guard slab.count == liveCount else {
      throw PieceError("\(slab.count) orders live, not \(liveCount)")
    }
    return time
  }

  mutating func check() throws -> [Int64] {
    churn(50_000)
    return [Int64(slab.count)]
  }
}

/// Random finds by the venue's id, that of number 2p at place p. Check: finds of 10,000.
private struct SlabVenueFind: Operation, ~Copyable {
  private var slab: OrderSlab

  init() throws { slab = try SlabVenueChurn.filled() }

  private func find(_ count: Int) -> Int {
    var found = 0
    Places.random.all.withUnsafeBufferPointer { places in
      var step = 0
      for _ in 0..<count {
        if slab.find(venueID: venueID(2 * places[step])) != nil { found += 1 }
        step += 1
        if step == liveCount { step = 0 }
      }
    }
    return found
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    let start = EngineClock.now()
    let found = find(count)
    let time = EngineClock.now() - start
    guard found == count else { throw PieceError("\(found) of \(count) orders found") }
    return time
  }

  mutating func check() throws -> [Int64] { [Int64(find(liveCount))] }
}
