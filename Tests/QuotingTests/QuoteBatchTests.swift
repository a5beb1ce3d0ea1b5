import CSupport
import Testing

@testable import Apus

/// How much of what one mass quote holds, by the rules of the venue.
@Suite struct QuoteBatchTests {
  @Test func `where groups have messages of their own, a batch takes one group`() {
    var deribit = QuoteBatch(rules: .deribit)
    deribit.takeAway(0, 1, bids: true, asks: false)
    let (same, other) = (deribit.hasRoom(for: 1), deribit.hasRoom(for: 2))
    #expect(same && !other)
    deribit.removeAll()
    let anew = deribit.hasRoom(for: 2)
    #expect(anew)
    var thalex = QuoteBatch(rules: .thalex)
    thalex.takeAway(0, 1, bids: true, asks: false)
    let both = thalex.hasRoom(for: 2)
    #expect(both)
  }

  @Test func `R63_ a batch holds no more than the venue takes of sides and of instruments`() {
    var deribit = QuoteBatch(rules: .deribit)
    var instruments = 0
    while deribit.hasRoom(for: 0), instruments < 1000 {
      deribit.takeAway(InstrumentIndex(instruments), 0, bids: true, asks: true)
      instruments += 1
    }
    #expect(instruments == 50)
    var thalex = QuoteBatch(rules: .thalex)
    instruments = 0
    while thalex.hasRoom(for: 0), instruments < 1000 {
      thalex.takeAway(InstrumentIndex(instruments), 0, bids: true, asks: true)
      instruments += 1
    }
    #expect(instruments == 100)
  }
}
