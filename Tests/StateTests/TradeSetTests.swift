import CSupport
import TestSupport
import Testing

@testable import Apus

@Suite struct TradeSetTests {
  private func id(_ number: Int) -> VenueID { Say.id("T\(number)") }

  @Test func `R06 an id is new once, and known from then on`() {
    var set = TradeSet(capacity: 8)
    #expect(set.contains(id(1)) == false)
    #expect(set.note(id(1), hasFee: false) == .new)
    #expect(set.contains(id(1)) == true)
    #expect(set.note(id(1), hasFee: false) == .known(hasFee: false))
    #expect(set.note(id(2), hasFee: false) == .new)
  }

  @Test func `looking does not note`() {
    var set = TradeSet(capacity: 8)
    #expect(set.contains(id(1)) == false)
    #expect(set.note(id(1), hasFee: true) == .new)
  }

  @Test func `the fee is told once: the first sighting with it is the one that finds it missing`() {
    var set = TradeSet(capacity: 8)
    #expect(set.note(id(1), hasFee: false) == .new)
    #expect(set.note(id(1), hasFee: true) == .known(hasFee: false))
    #expect(set.note(id(1), hasFee: true) == .known(hasFee: true))
    // A later report without it does not take it away.
    #expect(set.note(id(1), hasFee: false) == .known(hasFee: true))
    #expect(set.note(id(2), hasFee: true) == .new)
    #expect(set.note(id(2), hasFee: true) == .known(hasFee: true))
  }

  @Test func `the fee of an id in the older table is kept as well`() {
    var set = TradeSet(capacity: 4)
    #expect(set.note(id(0), hasFee: false) == .new)
    for number in 1...4 { #expect(set.note(id(number), hasFee: false) == .new) }
    #expect(set.note(id(0), hasFee: true) == .known(hasFee: false))
    #expect(set.note(id(0), hasFee: true) == .known(hasFee: true))
  }

  @Test(arguments: [1, 2, 16, 256])
  func `R06 the last ids, as many as the capacity, are always known, and after twice as many the oldest is not`(
    capacity: Int
  ) {
    var set = TradeSet(capacity: capacity)
    var forgotten = 0
    for number in 0..<(capacity * 9 + 3) {
      #expect(set.note(id(number), hasFee: false) == .new)
      for back in 0..<min(capacity, number + 1) where !set.contains(id(number - back)) {
        Issue.record("capacity \(capacity): forgot the \(back)th last of \(number)")
      }
      if number >= 2 * capacity, !set.contains(id(number - 2 * capacity)) { forgotten += 1 }
    }
    // Forgetting is not a promise to the trader but one to the memory.
    #expect(forgotten == capacity * 7 + 3)
  }

  @Test func `noting a known id does not age the others`() {
    var set = TradeSet(capacity: 4)
    #expect(set.note(id(0), hasFee: false) == .new)
    #expect(set.note(id(1), hasFee: false) == .new)
    for _ in 0..<100 { #expect(set.note(id(1), hasFee: false) == .known(hasFee: false)) }
    #expect(set.contains(id(0)) == true)
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func `R06 random repeats within the capacity are told apart exactly as by a plain set`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    let capacity = 64
    var set = TradeSet(capacity: capacity)
    var order: [Int] = []
    var fees: [Int: Bool] = [:]
    for step in 0..<4000 {
      // Only ids that must still be known, or new ones.
      let recent = order.suffix(capacity)
      let hasFee = random.chance(300)
      if random.chance(600), let old = recent.randomElement(using: &random) {
        let sighting = set.note(id(old), hasFee: hasFee)
        try #require(sighting == .known(hasFee: fees[old] ?? false), "seed \(seed) step \(step)")
        fees[old] = (fees[old] ?? false) || hasFee
      } else {
        let sighting = set.note(id(step), hasFee: hasFee)
        try #require(sighting == .new, "seed \(seed) step \(step)")
        order.append(step)
        fees[step] = hasFee
      }
    }
  }

  @Test func `a capacity that is no power of two traps`() async {
    await #expect(processExitsWith: .failure) { _ = TradeSet(capacity: 3) }
  }
}
