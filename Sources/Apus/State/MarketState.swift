import CSupport

/// What a lane knows of one instrument's market.
public struct MarketState: ~Copyable {
  public var book: Book
  public internal(set) var ticker = Ticker()
  public internal(set) var info: InstrumentInfo?
  /// The grid that the instrument's strategy was made for.
  var strategyGrid: InstrumentGrid?
  /// The last mark price ever stated, 10⁻⁸; survives a lost connection, for the accounts only.
  public internal(set) var lastMarkE8: Int64 = 0
  /// A snapshot has arrived on this connection and every change since could be applied.
  public internal(set) var isBookValid = false
  public internal(set) var bookTime: Nanoseconds = 0
  public internal(set) var tickerTime: Nanoseconds = 0
  /// Something that a strategy can see has changed since the last look.
  var isDirty = false
  /// When the book was first seen crossed; nil while it is not.
  private var crossedSince: Nanoseconds?
  /// The best prices of others at the last look: a level at or before one of these changes what a strategy
  /// sees, even behind our own quotes (R61).
  var watched: (bid: PriceTicks?, ask: PriceTicks?) = (nil, nil)
  /// A ticker has arrived since the last silence.
  var isFresh = false

  init(bookLevels: Int) throws(CapacityError) {
    book = try Book(tailLevels: bookLevels)
  }

  /// The connection is gone: nothing of the market is known until the next snapshot (R23).
  mutating func invalidate() {
    book.clear()
    ticker = Ticker()
    isBookValid = false
    tickerTime = 0
    bookTime = 0
    isFresh = false
    isDirty = true
    crossedSince = nil
  }

  /// How long every look has found the book crossed or locked.
  mutating func crossedFor(now: Nanoseconds) -> Nanoseconds {
    guard isBookValid, book.isCrossed else {
      crossedSince = nil
      return 0
    }
    let since = crossedSince ?? now
    crossedSince = since
    return now - since
  }

  /// The best quote of others: the best level whose size is more than what we have there.
  func bestOfOthers(_ side: Side, own: borrowing SideOrders) -> Quote? {
    var depth = 0
    while let level = book.level(side, depth) {
      var left = level.qty_lots
      for index in 0..<own.count {
        let order = own[index].pointee
        // Only what rests by the venue's word; an order on its way is not in the book yet.
        if order.price_ticks == level.price_ticks, order.phaseValue == .live {
          left -= order.qty_lots - order.filled_lots
        }
      }
      if left > .zero { return Quote(price: level.price_ticks, qty: left) }
      depth += 1
    }
    return nil
  }
}
