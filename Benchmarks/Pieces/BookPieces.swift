import Apus
import CSupport

let bookPieces: [Piece] = [50, 10, 1000, 10_000].map { levels in
  Piece("book.\(levels)", .batch(20_000), input: { BookUpdates(levels: levels).input }) { _ in
    Timed(try BookTop(BookUpdates(levels: levels)))
  }
}

/// Updates within ten ticks of the touch, an eighth of them at the best price, an eighth of all a removal.
///
/// The book starts with `levels` a side of size 5: bids from 60,000 down, asks from 60,001 up.
/// Input: levels, then for each update side (0 buy, 1 sell), price and size, 64 bits each.
private struct BookUpdates {
  static let count = 8192
  let levels: Int
  let all: [(side: Side, price: PriceTicks, qty: QtyLots)]

  init(levels: Int) {
    self.levels = levels
    var random = Random(seed: 5)
    all = (0..<Self.count).map { _ in
      let depth = Int64(random.below(8) == 0 ? 0 : random.below(min(levels, 10)))
      let qty = Int64(random.below(8) == 0 ? 0 : 1 + random.below(32))
      return random.below(2) == 0
        ? (.buy, PriceTicks(rawValue: 60_000 - depth), QtyLots(rawValue: qty))
        : (.sell, PriceTicks(rawValue: 60_001 + depth), QtyLots(rawValue: qty))
    }
  }

  var input: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(raw: Int64(levels))
    for update in all {
      bytes.append(raw: Int64(update.side.rawValue))
      bytes.append(raw: update.price.rawValue)
      bytes.append(raw: update.qty.rawValue)
    }
    return bytes
  }
}

/// One update, then both best prices are read.
/// Check: the sum of both best prices after each of the updates.
private struct BookTop: Operation, ~Copyable {
  private var book: Book
  private let updates: BookUpdates
  private var step = 0

  init(_ updates: BookUpdates) throws {
    self.updates = updates
    book = try Book(tailLevels: 16_384)
    for step in 0..<Int64(updates.levels) {
      _ = book.set(.buy, PriceTicks(rawValue: 60_000 - step), QtyLots(rawValue: 5))
      _ = book.set(.sell, PriceTicks(rawValue: 60_001 + step), QtyLots(rawValue: 5))
    }
  }

  private mutating func update(_ count: Int) -> Int64 {
    var sum: Int64 = 0
    let updates = self.updates.all
    updates.withUnsafeBufferPointer { updates in
      for _ in 0..<count {
        let update = updates[step & (BookUpdates.count - 1)]
        step += 1
        _ = book.set(update.side, update.price, update.qty)
        if let bid = book.best(.buy), let ask = book.best(.sell) {
          sum &+= bid.price_ticks.rawValue &+ ask.price_ticks.rawValue
        }
      }
    }
    return sum
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    let start = EngineClock.now()
    let sum = update(count)
    let time = EngineClock.now() - start
    keep(sum)
    return time
  }

  mutating func check() throws -> [Int64] { [update(BookUpdates.count)] }
}
