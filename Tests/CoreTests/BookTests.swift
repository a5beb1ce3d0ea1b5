import Apus
import CSupport
import Testing

extension Book {
  /// Plain integers, to keep the tests readable.
  @discardableResult
  fileprivate mutating func set(_ side: Side, _ price: Int64, _ qty: Int64) -> Bool {
    set(side, PriceTicks(rawValue: price), QtyLots(rawValue: qty))
  }

  fileprivate func top(_ side: Side) -> Level? { best(side).map(Level.init) }

  fileprivate func qty(_ side: Side, at price: Int64) -> Int64 {
    qty(side, at: PriceTicks(rawValue: price)).rawValue
  }

  /// All levels of a side as a walk gives them.
  fileprivate func levels(_ side: Side) -> ArraySlice<Level> {
    var result: ArraySlice<Level> = []
    var cursor = walk(side)
    while let level = next(&cursor) { result.append(Level(level)) }
    return result
  }
}

private struct Level: Equatable {
  var price: Int64
  var qty: Int64

  init(_ price: Int64, _ qty: Int64) {
    self.price = price
    self.qty = qty
  }
  init(_ level: BookLevel) { self.init(level.price_ticks.rawValue, level.qty_lots.rawValue) }
}

/// The obvious book: one array a side, best first, searched by bisection.
private struct ModelBook {
  var levels: [[Level]] = [[], []]

  private func place(_ side: Side, _ price: Int64) -> Int {
    let side0 = Int(side.rawValue)
    var low = 0
    var high = levels[side0].count
    while low < high {
      let middle = (low + high) / 2
      let isBetter = side == .buy ? levels[side0][middle].price > price : levels[side0][middle].price < price
      if isBetter { low = middle + 1 } else { high = middle }
    }
    return low
  }

  mutating func set(_ side: Side, _ price: Int64, _ qty: Int64) {
    let at = place(side, price)
    let number = Int(side.rawValue)
    let exists = at < levels[number].count && levels[number][at].price == price
    switch (exists, qty > 0) {
    case (true, true): levels[number][at].qty = qty
    case (true, false): levels[number].remove(at: at)
    case (false, true): levels[number].insert(Level(price, qty), at: at)
    case (false, false): break
    }
  }

  /// Forgets the levels at or beyond a price.
  mutating func forget(_ side: Side, from horizon: Int64) {
    levels[Int(side.rawValue)].removeAll { side == .buy ? $0.price <= horizon : $0.price >= horizon }
  }

  func qty(_ side: Side, at price: Int64) -> Int64 {
    let at = place(side, price)
    let all = levels[Int(side.rawValue)]
    return at < all.count && all[at].price == price ? all[at].qty : 0
  }

  var isCrossed: Bool {
    guard let bid = levels[0].first, let ask = levels[1].first else { return false }
    return bid.price >= ask.price
  }
}

private let sides: [Side] = [.buy, .sell]

@Suite struct BookTests {
  @Test func `an empty book has no best, no level, and is not crossed`() throws {
    var book = try Book()
    let removed = book.set(.buy, 10, 0)
    let best = book.top(.buy) ?? book.top(.sell)
    let level = book.level(.sell, 0)
    let walked = book.levels(.buy)
    let crossed = book.isCrossed
    let depth = book.depth(.buy) + book.depth(.sell)
    #expect(!removed && best == nil && level == nil && walked.isEmpty && !crossed && depth == 0)
    book.set(.buy, 10, 1)
    let oneSided = book.isCrossed
    #expect(!oneSided)
  }

  @Test(arguments: sides)
  func `only a change of the best price or size is reported`(side: Side) throws {
    var book = try Book()
    let worse: Int64 = side == .buy ? -1 : 1
    let changes = [
      book.set(side, 100, 5),  // first
      book.set(side, 100, 5),  // the same again
      book.set(side, 100, 6),  // size
      book.set(side, 100 + worse, 9),  // behind
      book.set(side, 100 + worse, 0),
      book.set(side, 100 - worse, 0),  // was not there
      book.set(side, 100 - worse, 6),  // better, same size
      book.set(side, 100 - worse, 0),  // back, same size
      book.set(side, 100 + worse * 90_000, 4),  // far behind
      book.set(side, 100, 0),  // the far one is the best now
      book.set(side, 100 + worse * 90_000, 0),  // empty
      book.set(side, 100 + worse * 90_000, 0),
    ]
    #expect(changes == [true, false, true, false, false, false, true, true, false, true, true, false])
  }

  @Test func `R31_ locked counts as crossed, one tick apart does not`() throws {
    var book = try Book()
    book.set(.buy, 0, 1)
    book.set(.sell, 1, 1)
    let apart = book.isCrossed
    book.set(.sell, 0, 1)
    let locked = book.isCrossed
    book.set(.sell, -70_000, 1)
    let crossed = book.isCrossed
    book.set(.sell, -70_000, 0)
    book.set(.sell, 0, 0)
    let again = book.isCrossed
    #expect(!apart && locked && crossed && !again)
  }

  @Test func `levels come best first on both sides, through zero and from the tail`() throws {
    var book = try Book()
    let prices: [Int64] = [-1_000_000, -5000, -64, -63, -1, 0, 1, 63, 64, 5000, 1_000_000]
    for price in prices.shuffled() {
      book.set(.buy, price, price * price + 1)
      book.set(.sell, price, price * price + 2)
    }
    let bids = book.levels(.buy).map(\.price)
    let asks = book.levels(.sell).map(\.price)
    #expect(bids == prices.reversed())
    #expect(asks == prices)
    var byIndex: [Int64] = []
    for index in 0..<12 {
      if let level = book.level(.buy, index) { byIndex.append(level.price_ticks.rawValue) }
    }
    #expect(byIndex == prices.reversed())
    let negative = book.level(.buy, -1)
    #expect(negative == nil)
    let far = book.qty(.sell, at: -1_000_000)
    let near = book.qty(.sell, at: 64)
    let none = book.qty(.sell, at: 65)
    #expect(far == 1_000_000_000_002 && near == 64 * 64 + 2 && none == 0)
  }

  @Test func `a size below zero removes`() throws {
    var book = try Book()
    book.set(.buy, 7, 3)
    let changed = book.set(.buy, 7, -1)
    let best = book.top(.buy)
    #expect(changed && best == nil)
  }

  @Test func `the ends of the price range work, what is beyond is dropped and counted`() throws {
    var book = try Book()
    let end = Int64(1) << 60
    for side in sides {
      book.set(side, end, 1)
      book.set(side, -end, 2)
      book.set(side, 0, 3)
      let changes = [
        book.set(side, end + 1, 4), book.set(side, -end - 1, 4), book.set(side, .max, 4), book.set(side, .min, 4),
        book.set(side, .max, 0),
      ]
      let prices = book.levels(side).map(\.price)
      let far = book.qty(side, at: .max) + book.qty(side, at: .min)
      #expect(!changes.contains(true))
      #expect(prices == (side == .buy ? [end, 0, -end] : [-end, 0, end]))
      #expect(far == 0)
    }
    let dropped = book.droppedCount
    let complete = book.isComplete(.buy) && book.isComplete(.sell)
    #expect(dropped == 8)
    #expect(complete)
  }

  @Test func `clear empties both sides and keeps the count of dropped levels`() throws {
    var book = try Book(tailLevels: 64)
    for price in Int64(0)..<9000 {
      book.set(.buy, -price, 1)
      book.set(.sell, 1 + price, 1)
    }
    let dropped = book.droppedCount
    book.clear()
    let depth = book.depth(.buy) + book.depth(.sell)
    let complete = book.isComplete(.buy) && book.isComplete(.sell)
    var left: Int64 = 0
    for price in Int64(-9000)...9000 { left += book.qty(.buy, at: price) + book.qty(.sell, at: price) }
    let kept = book.droppedCount
    #expect(dropped > 0 && kept == dropped && depth == 0 && left == 0 && complete)
    book.set(.buy, -8999, 4)
    let best = book.top(.buy)
    #expect(best == Level(-8999, 4))
  }

  @Test(arguments: sides)
  func `truncation keeps the best levels, wherever the others are`(side: Side) throws {
    var book = try Book(tailLevels: 4096)
    let worse: Int64 = side == .buy ? -1 : 1
    for level in Int64(0)..<6000 { book.set(side, worse * level, level + 1) }
    for keep in [7000, 6000, 5000, 3000, 25, 1, 0] {
      book.truncate(side, to: keep)
      let depth = book.depth(side)
      let isRight = book.levels(side).elementsEqual((0..<Int64(min(keep, 6000))).map { Level(worse * $0, $0 + 1) })
      #expect(depth == min(keep, 6000))
      #expect(isRight, "\(keep)")
    }
    let best = book.top(side)
    let dropped = book.droppedCount
    #expect(best == nil && dropped == 0)
  }

  @Test(arguments: sides)
  func `a full tail drops the worst, and the best is right or absent, never wrong`(side: Side) throws {
    var book = try Book(tailLevels: 64)
    let worse: Int64 = side == .buy ? -1 : 1
    // The touch, then 100 levels far behind it: 64 fit.
    book.set(side, 0, 1)
    for level in Int64(1)...100 { book.set(side, worse * level * 10_000, level) }
    let depth = book.depth(side)
    let dropped = book.droppedCount
    let horizon = book.horizon(side)
    #expect(depth == 65 && dropped == 36)
    #expect(horizon == PriceTicks(rawValue: worse * 650_000))
    // A better one pushes the worst out.
    book.set(side, worse * 5000, 9)
    let pushed = book.horizon(side)
    #expect(pushed == PriceTicks(rawValue: worse * 640_000))
    // Everything that is known goes away. What was dropped and is now the best must not be guessed at,
    // and a level beyond it must not pass for the best.
    book.set(side, worse * 5000, 0)
    book.set(side, 0, 0)
    for level in Int64(1)...63 { book.set(side, worse * level * 10_000, 0) }
    let changed = book.set(side, worse * 700_000, 3)
    let best = book.top(side)
    let count = book.depth(side)
    #expect(!changed && best == nil && count == 0)
    // A better level than that is known to be the best.
    book.set(side, worse * 639_999, 2)
    book.set(side, worse * 640_000, 2)
    let known = book.levels(side)
    #expect(known == [Level(worse * 639_999, 2)])
    book.clear()
    book.set(side, worse * 700_000, 3)
    let whole = book.top(side)
    #expect(whole == Level(worse * 700_000, 3))
  }

  @Test func `impossible sizes are refused with the reason`() {
    for levels in [-1, 0, 63, 1 << 18 + 1] {
      #expect(throws: CapacityError.self) { _ = try Book(tailLevels: levels) }
    }
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 128)
    defer { block.deallocate() }
    #expect(throws: CapacityError.self) { _ = try Book(tailLevels: 64, memory: block) }
  }

  @Test func `a book lives inside the caller's memory block and leaves the rest alone`() throws {
    let bytes = Book.memoryBytes(tailLevels: 64)
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes + 128, alignment: 128)
    defer { block.deallocate() }
    block.initializeMemory(as: UInt8.self, repeating: 0xA5)
    do {
      var book = try Book(tailLevels: 64, memory: .init(rebasing: block[..<bytes]))
      for price in Int64(0)..<20_000 {
        book.set(.buy, price &* 7919 % 20_011, 1)
        book.set(.sell, price &* 7919 % 20_011, 1)
      }
    }
    let untouched = block[bytes...].allSatisfy { $0 == 0xA5 }
    #expect(untouched)
  }

  struct Flow: Sendable {
    var tail: Int
    /// How far behind the touch new levels are set, in ticks.
    var width: Int64
    /// One step in so many moves the touch by up to `jump` ticks.
    var jumpEvery: Int
    var jump: Int64
  }

  @Test(arguments: [
    Flow(tail: 4096, width: 20, jumpEvery: 50, jump: 30),
    Flow(tail: 4096, width: 300, jumpEvery: 300, jump: 3000),
    Flow(tail: 4096, width: 4000, jumpEvery: 100, jump: 1000),
    Flow(tail: 4096, width: 30_000, jumpEvery: 1000, jump: 100_000),
    Flow(tail: 4096, width: 5000, jumpEvery: 20_000, jump: 1 << 50),
    Flow(tail: 64, width: 2500, jumpEvery: 400, jump: 700),
    Flow(tail: 64, width: 30_000, jumpEvery: 1000, jump: 100_000),
  ])
  func `R30_ the book agrees with a sorted model under random flow`(flow: Flow) throws {
    var random = SeededGenerator.printed("book of \(flow)")
    var book = try Book(tailLevels: flow.tail)
    var model = ModelBook()
    var middle: Int64 = 0
    var wrong: [String] = []
    func check(_ fine: Bool, _ what: @autoclosure () -> String) { if !fine { wrong.append(what()) } }

    /// One update on both, and everything that can be asked cheaply.
    func update(_ step: Int, _ side: Side, _ price: Int64, _ qty: Int64) {
      let number = Int(side.rawValue)
      let before = model.levels[number].first
      let changed = book.set(side, price, qty)
      model.set(side, price, qty)
      for which in sides {
        // What a full tail dropped is gone from the model as well; nothing else may be missing.
        if let horizon = book.horizon(which) { model.forget(which, from: horizon.rawValue) }
      }
      let expected = model.levels[number].first
      check(changed == (before != expected), "\(step): changed \(changed), \(String(describing: expected))")
      check(book.top(side) == expected, "\(step): best")
      check(book.depth(side) == model.levels[number].count, "\(step): depth")
      check(book.qty(side, at: price) == model.qty(side, at: price), "\(step): qty at \(price)")
      check(book.isCrossed == model.isCrossed, "\(step): crossed")
    }

    for step in 0..<30_000 where wrong.count < 5 {
      let side = sides[Int.random(in: 0...1, using: &random)]
      let number = Int(side.rawValue)
      let worse: Int64 = side == .buy ? -1 : 1
      if Int.random(in: 0..<flow.jumpEvery, using: &random) == 0 {
        middle += Int64.random(in: -flow.jump...flow.jump, using: &random)
      }
      switch Int.random(in: 0..<1000, using: &random) {
      case 0:
        if Int.random(in: 0..<5, using: &random) == 0 {
          book.clear()
          model = ModelBook()
        }
      case 1...5:
        // Keep most of a side, or few levels of it.
        let all = model.levels[number].count
        let keep = Bool.random(using: &random) ? max(0, all - 3) : Int.random(in: 0...all, using: &random)
        if Bool.random(using: &random) || keep > all / 2 {
          book.truncate(side, to: keep)
          model.levels[number].removeLast(all - keep)
        }
      case 6...30:
        // A sweep eats into the side.
        for _ in 0..<Int.random(in: 1...40, using: &random) {
          guard let best = model.levels[number].first else { break }
          update(step, side, best.price, 0)
        }
      case 31...35:
        // An order far from the market, on either hand of it.
        update(step, side, middle + Int64.random(in: -200_000...200_000, using: &random), 1)
      case 36...500:
        guard let level = model.levels[number].randomElement(using: &random) else { continue }
        update(step, side, level.price, Int64.random(in: 0...3, using: &random))
      default:
        let price = middle + worse * Int64.random(in: -2...flow.width, using: &random)
        update(step, side, price, Int64.random(in: 0...5, using: &random))
      }
      if step % 100 == 0 {
        for which in sides {
          let expected = model.levels[Int(which.rawValue)]
          check(book.levels(which).elementsEqual(expected), "\(step): walk")
          let index = Int.random(in: 0...expected.count, using: &random)
          let level = book.level(which, index).map(Level.init)
          check(level == (index < expected.count ? expected[index] : nil), "\(step): level \(index)")
        }
      }
    }
    if flow.tail > 64 {
      let complete = book.droppedCount == 0
      #expect(complete)
    }
    #expect(wrong == [])
  }
}
