import Apus
import CSupport
import Testing

/// xorshift64*: small, seeded, the same on every machine.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed | 1 }

  /// A seed of the moment, printed so that a failure can be repeated.
  static func printed(_ what: String) -> SeededGenerator {
    let seed = UInt64.random(in: 1 ... .max)
    print("\(what): seed \(seed)")
    return SeededGenerator(seed: seed)
  }

  mutating func next() -> UInt64 {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return state &* 0x2545_F491_4F6C_DD1D
  }
}

private func venueID(_ text: String) -> VenueID {
  var id = VenueID()
  _ = apus_id_set(&id, text, text.utf8.count)
  return id
}

/// A record, where the test knows that there is room.
private func insert(into slab: inout OrderSlab) throws -> OrderSlab.Record {
  let record = slab.insert()
  return try #require(record)
}

@Suite struct SlabTests {
  @Test(arguments: [1, 2, 3, 64, 100])
  func `a slab takes exactly its capacity, then refuses`(capacity: Int) throws {
    var slab = try OrderSlab(capacity: capacity)
    var ids: Set<UInt64> = []
    while let record = slab.insert() { ids.insert(record.pointee.client_id) }
    let count = slab.count
    let next = slab.nextClientID
    #expect(ids.count == capacity)
    #expect(count == capacity)
    #expect(next == 0)
    #expect(!ids.contains(0))
  }

  @Test func `an id is generation and index, and the next one can be read ahead`() throws {
    var slab = try OrderSlab(capacity: 4096, idBits: 32)
    let ahead = slab.nextClientID
    let first = try insert(into: &slab)
    let second = try insert(into: &slab)
    #expect(ahead == 1 << 12)
    #expect(first.pointee.client_id == ahead)
    #expect(second.pointee.client_id == 1 << 12 | 1)
    let index = slab.index(of: second)
    #expect(index == 1)
  }

  @Test func `a record is zero but for its id, whatever its slot held before`() throws {
    var slab = try OrderSlab(capacity: 1)
    var list = OrderList()
    let old = try insert(into: &slab)
    old.pointee.qty_lots = QtyLots(rawValue: 9)
    old.pointee.phase = 3
    old.pointee.sent_ns = 77
    let bound = slab.bind(old, venueID: venueID("A"))
    slab.append(old, to: &list)
    slab.erase(old, from: &list)
    let new = try insert(into: &slab)
    let bytes = UnsafeRawBufferPointer(start: new, count: MemoryLayout<OrderRecord>.size)
    let zeroes = bytes.dropFirst(8).allSatisfy { $0 == 0 }
    #expect(bound)
    #expect(new.pointee.client_id == 2)
    #expect(zeroes)
    #expect(list.count == 0 && list.first == 0 && list.last == 0)
  }

  @Test func `a stale id, a foreign id and zero find nothing`() throws {
    var slab = try OrderSlab(capacity: 3, idBits: 10)
    let record = try insert(into: &slab)
    let id = record.pointee.client_id
    slab.erase(record)
    let stale = slab.find(clientID: id)
    var wrong = 0
    for candidate in UInt64(0)..<5000 where slab.find(clientID: candidate) != nil { wrong += 1 }
    for shift in 0..<64 where slab.find(clientID: 1 << UInt64(shift)) != nil { wrong += 1 }
    #expect(stale == nil)
    #expect(wrong == 0)
    let kept = try insert(into: &slab)
    let keptID = kept.pointee.client_id
    let found = slab.find(clientID: keptID)
    let beyond = slab.find(clientID: keptID | 1 << 40)
    #expect(found == kept)
    #expect(beyond == nil)
  }

  @Test func `generations wrap within their bits and never give zero`() throws {
    var slab = try OrderSlab(capacity: 4, idBits: 5)  // generations 1 ... 7
    var seen: [UInt64] = []
    for _ in 0..<(4 * 7 + 2) {
      let record = try insert(into: &slab)
      seen.append(record.pointee.client_id)
      slab.erase(record)
    }
    #expect(Set(seen.prefix(28)).count == 28)
    #expect(!seen.contains(0))
    #expect(seen.allSatisfy { $0 < 32 })
    #expect(seen[28] == seen[0] && seen[29] == seen[1])
  }

  @Test func `R17_ a restart at a later generation repeats no id`() throws {
    var before = try OrderSlab(capacity: 8, idBits: 32)
    var after = try OrderSlab(capacity: 8, idBits: 32, firstGeneration: 100)
    var ids: Set<UInt64> = []
    for _ in 0..<(8 * 99) {
      let record = try insert(into: &before)
      ids.insert(record.pointee.client_id)
      before.erase(record)
    }
    for _ in 0..<80 {
      let record = try insert(into: &after)
      ids.insert(record.pointee.client_id)
      after.erase(record)
    }
    #expect(ids.count == 8 * 99 + 80)
  }

  @Test func `free slots are reused oldest first`() throws {
    var slab = try OrderSlab(capacity: 4)
    var records: [OrderSlab.Record] = []
    while let record = slab.insert() { records.append(record) }
    for index in [2, 0, 3, 1] { slab.erase(records[index]) }
    var order: [Int] = []
    while let record = slab.insert() { order.append(slab.index(of: record)) }
    #expect(order == [2, 0, 3, 1])
  }

  @Test func `few slots are in use while few orders live, and no id comes back soon`() throws {
    let waiting = Int(APUS_SLAB_WAITING)
    var slab = try OrderSlab(capacity: 4096)
    let live = try insert(into: &slab)
    var seen: Set<UInt64> = [live.pointee.client_id]
    var indexes: Set<Int> = []
    for _ in 0..<(20 * waiting) {
      let next = slab.nextClientID
      let record = try insert(into: &slab)
      #expect(record.pointee.client_id == next)
      seen.insert(next)
      indexes.insert(slab.index(of: record))
      slab.erase(record)
    }
    #expect(seen.count == 20 * waiting + 1)
    #expect(indexes.count == waiting && slab.count == 1)
    // All of them can still be had.
    var more = 0
    while slab.insert() != nil { more += 1 }
    #expect(more == 4095 && slab.count == 4096)
  }

  @Test func `impossible sizes are refused with the reason`() throws {
    for (capacity, bits, generation) in [
      (0, 32, 1), (-1, 32, 1), (1 << 20 + 1, 32, 1), (4096, 13, 1), (4096, 64, 1), (4, 32, 0), (4, 4, 4),
    ] as [(Int, Int, UInt64)] {
      #expect(throws: CapacityError.self) {
        _ = try OrderSlab(capacity: capacity, idBits: bits, firstGeneration: generation)
      }
    }
    let bytes = OrderSlab.memoryBytes(capacity: 10)
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes + 128, alignment: 128)
    defer { block.deallocate() }
    #expect(throws: CapacityError.self) {
      _ = try OrderSlab(capacity: 10, memory: .init(rebasing: block[..<(bytes - 1)]))
    }
    #expect(throws: CapacityError.self) {
      _ = try OrderSlab(capacity: 10, memory: .init(rebasing: block[64...]))
    }
  }

  @Test func `a slab lives inside the caller's memory block and leaves the rest alone`() throws {
    let bytes = OrderSlab.memoryBytes(capacity: 10)
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes + 128, alignment: 128)
    defer { block.deallocate() }
    block.initializeMemory(as: UInt8.self, repeating: 0xA5)
    do {
      var slab = try OrderSlab(capacity: 10, memory: .init(rebasing: block[..<bytes]))
      var inside = true
      var number = 0
      while let record = slab.insert() {
        let start = UnsafeMutableRawPointer(record) - block.baseAddress.unsafelyUnwrapped
        inside = inside && start >= 0 && start + 128 <= bytes && start % 128 == 0
        number += 1
        inside = slab.bind(record, venueID: venueID("id \(number)")) && inside
      }
      #expect(inside)
      #expect(number == 10)
    }
    let untouched = block[bytes...].allSatisfy { $0 == 0xA5 }
    #expect(untouched)
  }

  @Test func `a venue id finds its order until it is unbound, replaced or erased`() throws {
    var slab = try OrderSlab(capacity: 4)
    let one = try insert(into: &slab)
    let two = try insert(into: &slab)
    let empty = slab.bind(one, venueID: VenueID())
    let bound = slab.bind(one, venueID: venueID("A"))
    let again = slab.bind(one, venueID: venueID("A"))
    let taken = slab.bind(two, venueID: venueID("A"))
    #expect(!empty && bound && again && !taken)
    let two2 = slab.bind(two, venueID: venueID("B"))
    let replaced = slab.bind(one, venueID: venueID("C"))
    let a = slab.find(venueID: venueID("A"))
    let b = slab.find(venueID: venueID("B"))
    let c = slab.find(venueID: venueID("C"))
    #expect(two2 && replaced)
    #expect(a == nil && b == two && c == one)
    slab.unbindVenueID(two)
    slab.unbindVenueID(two)
    let unbound = slab.find(venueID: venueID("B"))
    let noID = two.pointee.venue_id.count
    #expect(unbound == nil && noID == 0)
    slab.erase(one)
    let erased = slab.find(venueID: venueID("C"))
    let nothing = slab.find(venueID: VenueID())
    #expect(erased == nil && nothing == nil)
  }

  /// Ids whose home bucket is the same in a slab of 16, taken from the front and the back of the
  /// table, so that the probe chain also runs over its end.
  @Test(arguments: [0, 1, 31, 62, 63] as [UInt64])
  func `venue ids that share a bucket are kept apart, in every order of removal`(bucket: UInt64) throws {
    // Capacity 16: a table of 64 entries whose bucket is bits 4 ... 9 of the hash.
    var ids: [VenueID] = []
    var number = 0
    while ids.count < 6 {
      var id = venueID("ORDER-\(number)")
      number += 1
      if (apus_id_hash(&id, 0) >> 4) & 63 == bucket { ids.append(id) }
    }
    // A neighbour that belongs one bucket further on must not move in front of its home.
    while ids.count < 7 {
      var id = venueID("ORDER-\(number)")
      number += 1
      if (apus_id_hash(&id, 0) >> 4) & 63 == (bucket + 1) & 63 { ids.append(id) }
    }
    var random = SeededGenerator.printed("shared bucket \(bucket)")
    var wrong = 0
    for _ in 0..<200 {
      var slab = try OrderSlab(capacity: 16)
      var live: [Int: OrderSlab.Record] = [:]
      for number in ids.indices.shuffled(using: &random) {
        guard let record = slab.insert(), slab.bind(record, venueID: ids[number]) else {
          wrong += 1
          continue
        }
        live[number] = record
      }
      for number in ids.indices.shuffled(using: &random) {
        if let record = live.removeValue(forKey: number) { slab.erase(record) }
        for other in ids.indices where slab.find(venueID: ids[other]) != live[other] { wrong += 1 }
      }
    }
    #expect(wrong == 0)
  }

  @Test func `lists keep the order that the caller gives them`() throws {
    var slab = try OrderSlab(capacity: 8)
    var list = OrderList()
    var records: [OrderSlab.Record] = []
    while let record = slab.insert() { records.append(record) }
    slab.append(records[0], to: &list)
    slab.append(records[1], to: &list)
    slab.insert(records[2], into: &list, before: records[0])
    slab.insert(records[3], into: &list, after: records[0])
    slab.insert(records[4], into: &list, after: nil)
    slab.insert(records[5], into: &list, before: nil)
    #expect(Self.members(slab, list) == [4, 2, 0, 3, 1, 5])
    slab.remove(records[4], from: &list)
    slab.remove(records[5], from: &list)
    slab.erase(records[0], from: &list)
    #expect(Self.members(slab, list) == [2, 3, 1])
    slab.remove(records[2], from: &list)
    slab.remove(records[3], from: &list)
    slab.remove(records[1], from: &list)
    #expect(Self.members(slab, list) == [])
    #expect(list.first == 0 && list.last == 0 && list.count == 0)
    slab.append(records[1], to: &list)
    #expect(Self.members(slab, list) == [1])
  }

  /// Slot indexes front to back; -1 is added if walking back gives anything else.
  private static func members(_ slab: borrowing OrderSlab, _ list: OrderList) -> ArraySlice<Int> {
    var forward: ArraySlice<Int> = []
    var backward: [Int] = []
    var at = slab.first(of: list)
    while let record = at {
      forward.append(slab.index(of: record))
      at = slab.next(after: record)
    }
    at = slab.last(of: list)
    while let record = at {
      backward.append(slab.index(of: record))
      at = slab.previous(before: record)
    }
    return Array(forward) == backward.reversed() && forward.count == list.count ? forward : forward + [-1]
  }

  @Test(arguments: [(1, 3), (2, 5), (7, 6), (16, 9), (100, 32), (1000, 63)])
  func `random churn agrees with a dictionary`(capacity: Int, idBits: Int) throws {
    struct Model {
      var venue: VenueID?
      var list: Int
      var price: Int64
    }
    var random = SeededGenerator.printed("churn of \(capacity)")
    var slab = try OrderSlab(capacity: capacity, idBits: idBits)
    var model: [UInt64: Model] = [:]
    var live: [UInt64] = []
    var stale: [UInt64] = []
    var lists = [OrderList](repeating: OrderList(), count: 3)
    var owners: [String: UInt64] = [:]
    var wrong: [String] = []
    func check(_ fine: Bool, _ what: @autoclosure () -> String) { if !fine { wrong.append(what()) } }

    for step in 0..<60_000 where wrong.count < 5 {
      switch Int.random(in: 0..<10, using: &random) {
      case 0...3:
        let ahead = slab.nextClientID
        let full = live.count == capacity
        guard let record = slab.insert() else {
          check(full && ahead == 0, "\(step): refused before it was full")
          continue
        }
        let id = record.pointee.client_id
        check(!full && id == ahead && id != 0 && model[id] == nil, "\(step): insert gave \(id)")
        // Sorted by price into one of three lists, as the state tracker does.
        let price = Int64.random(in: -5...5, using: &random)
        record.pointee.price_ticks = PriceTicks(rawValue: price)
        let which = Int.random(in: 0..<3, using: &random)
        var at = slab.first(of: lists[which])
        while let other = at, other.pointee.price_ticks.rawValue < price { at = slab.next(after: other) }
        slab.insert(record, into: &lists[which], before: at)
        model[id] = Model(venue: nil, list: which, price: price)
        live.append(id)
      case 4...6:
        guard let number = live.indices.randomElement(using: &random) else { continue }
        let id = live.remove(at: number)
        guard let record = slab.find(clientID: id), let entry = model.removeValue(forKey: id) else {
          check(false, "\(step): \(id) not found")
          continue
        }
        if let venue = entry.venue { owners[Self.text(venue)] = nil }
        slab.erase(record, from: &lists[entry.list])
        stale.append(id)
      case 7, 8:
        guard let id = live.randomElement(using: &random), let record = slab.find(clientID: id) else { continue }
        // Few names, so that they collide, are replaced and come back.
        let name = "V\(Int.random(in: 0..<(2 * capacity), using: &random))"
        let holder = owners[name]
        let bound = slab.bind(record, venueID: venueID(name))
        check(bound == (holder == nil || holder == id), "\(step): bind \(name)")
        if bound {
          if let before = model[id]?.venue { owners[Self.text(before)] = nil }
          owners[name] = id
          model[id]?.venue = venueID(name)
        }
      default:
        let name = "V\(Int.random(in: 0..<(2 * capacity), using: &random))"
        let found = slab.find(venueID: venueID(name))?.pointee.client_id
        check(found == owners[name], "\(step): \(name) found \(String(describing: found))")
        if let id = stale.randomElement(using: &random), model[id] == nil {
          let hit = slab.find(clientID: id)
          check(hit == nil, "\(step): stale \(id) found")
        }
      }
      check(slab.count == live.count, "\(step): count")
      if step % 500 == 0 {
        var prices: [[Int64]] = []
        for list in lists {
          var walked: [Int64] = []
          for index in Self.members(slab, list) {
            walked.append(slab.record(at: index)?.pointee.price_ticks.rawValue ?? .min)
          }
          prices.append(walked)
        }
        for which in 0..<3 {
          let expected = model.values.filter { $0.list == which }.map(\.price).sorted()
          check(prices[which] == expected, "\(step): list \(which)")
        }
        var occupied = 0
        for index in 0..<capacity where slab.record(at: index) != nil { occupied += 1 }
        check(occupied == live.count, "\(step): slots in use")
        for (name, id) in owners {
          let found = slab.find(venueID: venueID(name))?.pointee.client_id
          check(found == id, "\(step): \(name) lost")
        }
      }
    }
    #expect(wrong == [])
  }

  private static func text(_ id: VenueID) -> String {
    withUnsafeBytes(of: id) { String(decoding: $0.prefix(Int(id.count)), as: UTF8.self) }
  }

  @Test func `erasing twice, or erasing a linked record without its list, traps`() async {
    await #expect(processExitsWith: .failure) {
      var slab = try OrderSlab(capacity: 2)
      guard let record = slab.insert() else { return }
      slab.erase(record)
      slab.erase(record)
    }
    await #expect(processExitsWith: .failure) {
      var slab = try OrderSlab(capacity: 2)
      var list = OrderList()
      while let record = slab.insert() { slab.append(record, to: &list) }
      if let record = slab.first(of: list) { slab.erase(record) }
    }
  }
}
