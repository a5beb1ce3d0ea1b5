import CSupport
import Testing

@testable import Apus

@Suite struct MessageValueTests {
  private func ticks(_ value: Int64) -> PriceTicks { PriceTicks(rawValue: value) }
  private func lots(_ value: Int64) -> QtyLots { QtyLots(rawValue: value) }

  /// Bids around 900 below an ask of 1000, and asks around 1100 above a bid of 1000.
  private let bids = MessageValue(
    side: .buy, far: PriceTicks(rawValue: 1000), bestDesired: PriceTicks(rawValue: 900))
  private let asks = MessageValue(
    side: .sell, far: PriceTicks(rawValue: 1000), bestDesired: PriceTicks(rawValue: 1100))

  @Test func `R42 a missing quote is worth its edge, less the further away it stands`() {
    #expect(bids.insert(at: ticks(900)) == 1000)
    #expect(bids.insert(at: ticks(800)) == 500)
    #expect(asks.insert(at: ticks(1200)) == 500)
    #expect(asks.insert(at: ticks(1400)) == 250)
    // Nothing is worth more than to stand at the front.
    #expect(bids.insert(at: ticks(990)) == 1000)
  }

  @Test
  func `R42 a quote that is too bold counts more than one that is too shy, and one behind less than one in front`() {
    #expect(bids.move(from: ticks(890), to: ticks(900)) == 100)
    #expect(bids.move(from: ticks(910), to: ticks(900)) == 100 * MessageValue.boldness)
    #expect(asks.move(from: ticks(1110), to: ticks(1100)) == 100)
    #expect(asks.move(from: ticks(1090), to: ticks(1100)) == 100 * MessageValue.boldness)
    #expect(bids.move(from: ticks(790), to: ticks(800)) == 50)
    #expect(bids.move(from: ticks(800), to: ticks(800)) == 0)
    // Wrong by its whole edge, and bold: better none than that one.
    #expect(bids.move(from: ticks(1000), to: ticks(900)) == MessageValue.worseThanNone)
  }

  @Test func `R42 what is missing of a size counts by its share`() {
    #expect(bids.resize(at: ticks(900), missing: lots(5), of: lots(20)) == 250)
    #expect(bids.resize(at: ticks(900), missing: lots(-5), of: lots(20)) == 250)
    #expect(bids.resize(at: ticks(800), missing: lots(20), of: lots(20)) == 500)
  }

  @Test func `a market without width does not divide by zero`() {
    let value = MessageValue(side: .buy, far: ticks(1000), bestDesired: ticks(1000))
    #expect(value.edge == 1)
    #expect(value.insert(at: ticks(1000)) == 1000)
    #expect(value.move(from: ticks(1005), to: ticks(1000)) == 5000 * MessageValue.boldness)
  }

  @Test func `R42 a message costs twice as much with each tenth of the budget that is used`() throws {
    var bucket = TokenBucket(try BucketRate(capacity: 40, tokensPerSecond: 40))
    var prices: [Int64] = []
    for _ in 0..<10 {
      prices.append(bucket.price(now: 0))
      for _ in 0..<4 { _ = bucket.tryTake(now: 0) }
    }
    #expect(prices == (0..<10).map { 1 << Int64($0) })
    #expect(bucket.price(now: 0) == TokenBucket.priceless)
    // A token comes every 25 ms.
    #expect(bucket.price(now: 24_999_999) == TokenBucket.priceless)
    #expect(bucket.price(now: 25_000_000) == 512)
  }

  @Test(arguments: [1, 5, 40, 45, 1000])
  func `R42 the time to pay is the first at which the price is low enough`(capacity: Int) throws {
    for taken in 0...min(capacity, 64) {
      var bucket = TokenBucket(try BucketRate(capacity: capacity, tokensPerSecond: capacity))
      for _ in 0..<taken { _ = bucket.tryTake(now: 7) }
      for value: Int64 in [1, 2, 3, 37, 64, 700, 1024, 5000, MessageValue.missingSide] {
        let time = bucket.time(toPay: value, now: 7)
        #expect(bucket.price(now: time) <= value, "value \(value) of \(capacity), \(taken) taken")
        // A tenth of the time that a bucket takes to fill is cut to whole nanoseconds.
        if time > 27 { #expect(bucket.price(now: time - 20) > value, "value \(value) of \(capacity), \(taken) taken") }
      }
    }
  }
}
