import CSupport
import Testing

@testable import Apus

private func record(_ number: UInt64) -> RingRecord {
  RingRecord(words: (number, ~number, number &* 3, number, number, 0, number &+ 7))
}

private func isWhole(_ record: RingRecord, _ number: UInt64) -> Bool {
  let w = record.words
  return w.0 == number && w.1 == ~number && w.2 == number &* 3 && w.3 == number && w.4 == number && w.5 == 0
    && w.6 == number &+ 7
}

private struct Directive: BitwiseCopyable, Equatable {
  var instrument: UInt16
  var price: Int64
  var flags: (UInt8, UInt8)
  static func == (a: Self, b: Self) -> Bool {
    a.instrument == b.instrument && a.price == b.price && a.flags == b.flags
  }
}

@Suite struct RingTests {
  @Test(arguments: [1, 2, 8, 1024])
  func `R33_ a ring takes exactly its capacity, then refuses and counts`(capacity: Int) throws {
    var ring = try Ring(capacity: capacity)
    var accepted = 0
    while ring.producer.push(record(UInt64(accepted))) { accepted += 1 }
    #expect(accepted == capacity)
    let more = ring.producer.push(record(0))
    #expect(!more)
    let full = ring.producer.statistics
    #expect(full == ring.consumer.statistics)
    #expect(full.capacity == capacity && full.depth == capacity && full.highWater == capacity && full.refused == 2)

    let first = ring.consumer.pop()
    #expect(first.map { isWhole($0, 0) } == true)
    let again = ring.producer.push(record(9))
    #expect(again)
    let refused = !ring.producer.push(record(9))
    #expect(refused)
  }

  @Test(arguments: [0, 3, 1000, -1, (1 << 24) + 1, 1 << 25, .max])
  func `a capacity that is not a power of two in range is refused with the reason`(capacity: Int) {
    let error = #expect(throws: SystemError.self) { _ = try Ring(capacity: capacity) }
    #expect(
      error?.description
        == "could not create a ring of \(capacity) records: its capacity must be a power of two within "
        + "1 ... 16777216 (Invalid argument)")
  }

  @Test func `an empty ring yields nothing, before and after use`() throws {
    var ring = try Ring(capacity: 4)
    #expect(ring.consumer.pop() == nil as RingRecord?)
    for number in 0..<40 as Range<UInt64> {
      let pushed = ring.producer.push(record(number))
      let popped = ring.consumer.pop()
      #expect(pushed && popped.map { isWhole($0, number) } == true)
      let more = ring.consumer.pop()
      #expect(more == nil as RingRecord?)
    }
    #expect(ring.consumer.statistics.depth == 0)
    #expect(ring.consumer.statistics.refused == 0)
  }

  @Test func `a value of any plain type passes through unchanged`() throws {
    var ring = try Ring(capacity: 2)
    let sent = Directive(instrument: 7, price: -3, flags: (1, 255))
    let pushed = ring.producer.push(sent)
    let received = ring.consumer.pop(as: Directive.self)
    #expect(pushed && received == sent)
    // The widest that fits, with the widest alignment.
    let wide: (SIMD4<UInt64>, SIMD2<UInt64>, UInt64) = (SIMD4(1, 2, 3, 4), SIMD2(5, 6), 7)
    let pushedWide = ring.producer.push(wide)
    let receivedWide = ring.consumer.pop(as: (SIMD4<UInt64>, SIMD2<UInt64>, UInt64).self)
    #expect(pushedWide && receivedWide?.0 == wide.0 && receivedWide?.1 == wide.1 && receivedWide?.2 == 7)
  }

  @Test func `a type larger than a record traps`() async {
    await #expect(processExitsWith: .failure) {
      var ring = try Ring(capacity: 2)
      _ = ring.producer.push((UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt8(0)))
    }
  }

  @Test func `claiming twice without publishing yields the same record, and nothing is seen of it`() throws {
    var ring = try Ring(capacity: 2)
    let first = unsafe ring.producer.claim()
    let second = unsafe ring.producer.claim()
    unsafe #expect(first != nil && first == second)
    let early = unsafe ring.consumer.front()
    unsafe #expect(early == nil)
    unsafe first?.storeBytes(of: 42, as: UInt64.self)
    unsafe ring.producer.publish()
    let front = unsafe ring.consumer.front()
    let same = unsafe ring.consumer.front()
    unsafe #expect(front?.load(as: UInt64.self) == 42 && front == same)
    unsafe ring.consumer.release()
    #expect(ring.consumer.statistics.depth == 0)
  }

  @Test func `either end may outlive the other`() throws {
    var consumer: RingConsumer
    do {
      var ring = try Ring(capacity: 4)
      _ = ring.producer.push(record(5))
      consumer = ring.consumer
    }
    let received = consumer.pop()
    #expect(received.map { isWhole($0, 5) } == true)
  }

  @Test func `a ring works in memory of the caller's, and refuses too little of it`() throws {
    let bytes = try #require(Ring.byteCount(capacity: 64))
    #expect(Ring.byteCount(capacity: 63) == nil)
    var ring = try Ring(capacity: 64, in: LockedMemory(count: bytes, wishes: []))
    var count: UInt64 = 0
    while ring.producer.push(record(count)) { count += 1 }
    #expect(count == 64)
    #expect(throws: SystemError.self) { _ = try Ring(capacity: 4096, in: LockedMemory(count: 4096, wishes: [])) }
  }

  @Test(arguments: [1, 4, 64, 256], [1, 2, 3] as [UInt64])
  func `a ring behaves as a bounded queue on random pushes and pops`(capacity: Int, seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var ring = try Ring(capacity: capacity)
    var model: [UInt64] = []
    var deepest = 0
    var refused: UInt64 = 0
    var next: UInt64 = 0
    var mistakes = 0
    for step in 0..<20_000 {
      // Phases that fill and phases that drain.
      let fills = (step / 700) % 2 == 0
      if random.next() % 10 < (fills ? 7 : 3) {
        let accepted = ring.producer.push(record(next))
        if accepted != (model.count < capacity) { mistakes += 1 }
        if accepted { model.append(next) } else { refused += 1 }
        next += 1
        deepest = max(deepest, model.count)
      } else {
        let received = ring.consumer.pop()
        let expected = model.isEmpty ? nil : model.removeFirst()
        switch (received, expected) {
        case (nil, nil): break
        case (let received?, let expected?) where isWhole(received, expected): break
        default: mistakes += 1
        }
      }
      let statistics = ring.producer.statistics
      let exact = deepest > max(1, capacity / 8)
      if statistics.depth != model.count || statistics.refused != refused
        || (exact ? statistics.highWater != deepest : statistics.highWater > deepest)
      {
        mistakes += 1
      }
    }
    #expect(mistakes == 0, "seed \(seed)")
  }

  @Test func `typed and untyped hand-over pass the check against locks and allocation`() throws {
    var ring = try Ring(capacity: 8)
    #expect(handOver(&ring.producer, &ring.consumer) == 12)
  }
}

/// Compiles only if neither way needs a lock, an allocation or metadata.
@_noLocks private func handOver(_ producer: inout RingProducer, _ consumer: inout RingConsumer) -> Int64 {
  _ = producer.push(Directive(instrument: 1, price: 12, flags: (0, 0)))
  let price = consumer.pop(as: Directive.self)?.price ?? 0
  _ = producer.push(RingRecord())
  _ = consumer.pop()
  return price
}

extension RingRecord: @retroactive Equatable {
  public static func == (a: Self, b: Self) -> Bool {
    (a.words.0, a.words.1, a.words.2, a.words.3, a.words.4, a.words.5) == (
      b.words.0, b.words.1, b.words.2, b.words.3, b.words.4, b.words.5
    ) && a.words.6 == b.words.6
  }
}
