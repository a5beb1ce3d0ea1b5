import CSupport

/// How a lane spends the order messages that a venue grants.
public enum MessageSpending: UInt8, Codable, Sendable, CaseIterable {
  /// When anything of an instrument has to move: cancel all its orders and insert them anew. To be compared with.
  case naively
  /// Only what has to change, first come, first served. To be compared with.
  case inOrder
  /// What is most wrong and most likely to be hit goes first; small corrections wait while messages are scarce.
  case byValue
}

/// What a change of a quote is worth: how wrong the quote is × how likely it is to be hit.
///
/// In thousandths of the edge, the distance of the side's best desired quote from the market's other side. A quote that is wrong by
/// its whole edge, at the front, is worth 1000; at twice the distance from the market it is hit half as often, and
/// worth 500. So instruments with wide and narrow markets compare.
struct MessageValue {
  /// A side without any quote comes before everything else (R42).
  static let missingSide: Int64 = 1_000_000
  /// A quote that is too bold loses money when it is hit, one that is too shy only misses some.
  static let boldness: Int64 = 4
  /// Above this a standing quote is too bold by its whole edge: better none than that one.
  static let worseThanNone: Int64 = 1000 * boldness

  let side: Side
  /// The market's best price on the other side.
  let far: PriceTicks
  /// ≥ 1 tick.
  let edge: Int64

  init(side: Side, far: PriceTicks, bestDesired: PriceTicks) {
    self.side = side
    self.far = far
    edge = max(1, (far - bestDesired).rawValue * side.sign)
  }

  /// The distance at which a price is hit, ≥ the edge.
  private func reach(_ price: PriceTicks) -> Int64 { max(edge, (far - price).rawValue * side.sign) }

  /// A new quote: all of its edge is missed without it.
  func insert(at price: PriceTicks) -> Int64 { 1000 &* edge / reach(price) }

  /// A standing quote that should be at another price.
  func move(from standing: PriceTicks, to wanted: PriceTicks) -> Int64 {
    let wrong = abs((standing - wanted).rawValue)
    let isBold = side.isBetter(standing, than: wanted)
    return (isBold ? 1000 &* Self.boldness : 1000) &* wrong / reach(isBold ? standing : wanted)
  }

  /// A standing quote of which `missing` of the `wanted` lots, > 0, are not there, or are there too much.
  func resize(at price: PriceTicks, missing: QtyLots, of wanted: QtyLots) -> Int64 {
    LadderStrategy.scaled(insert(at: price), abs(missing.rawValue), max(1, wanted.rawValue))
  }
}

extension TokenBucket {
  /// Nothing can be bought: there is no token.
  static var priceless: Int64 { .max }

  /// The price of a message, on the scale of `MessageValue`: it doubles with each tenth of the bucket that is used, from
  /// 1 when it is full to about 1000 when it is empty.
  ///
  /// So a large error can always be paid, and a small one waits until messages are plenty: often the market has undone it by
  /// then. No forecast is needed: the level of the bucket settles where what is worth its price comes as fast
  /// as the venue grants messages.
  func price(now: Nanoseconds) -> Int64 {
    let debt = debt(now: now)
    guard debt <= burst - rate.interval_ns else { return Self.priceless }
    return 1 << (10 &* debt / burst)
  }

  /// The first time at which a change of this value can be paid.
  func time(toPay value: Int64, now: Nanoseconds) -> Nanoseconds {
    let tenths = Int64(min(10, 63 - max(1, value).leadingZeroBitCount))
    let bearable = max(min(burst / 10 &* (tenths + 1) - 1, burst - rate.interval_ns), 0)
    return max(now, now + debt(now: now) - bearable)
  }

  /// A quarter of the bucket at most is used: nothing has to be weighed.
  @inline(__always)
  func isPlenty(now: Nanoseconds) -> Bool { debt(now: now) &* 4 <= burst }
}
