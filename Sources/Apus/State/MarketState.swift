import CSupport

/// Where an instrument's market lies; see `StatePointer`.
typealias MarketPointer = UnsafeMutablePointer<MarketState>

/// What a lane knows of one instrument's market.
public struct MarketState: ~Copyable {
  public var book: Book
  /// Public trades since the last look.
  var trades = TradeTape()
  public internal(set) var ticker = Ticker()
  public internal(set) var info: InstrumentInfo? {
    didSet { if let info { lastInfo = info } }
  }
  /// As it was listed last, if it is not now.
  private(set) var lastInfo: InstrumentInfo?
  /// The grid that the instrument's strategy was made for.
  var strategyGrid: InstrumentGrid?
  /// The last mark price ever stated, 10⁻⁸; survives a lost connection, for the accounts only.
  public internal(set) var lastMarkE8: Int64 = 0
  /// A snapshot has arrived on this connection and every change since could be applied.
  public internal(set) var isBookValid = false
  public internal(set) var bookTime: Nanoseconds = 0
  /// When a message of the book was found to be missing; 0 if none was on this connection.
  var bookLostAt: Nanoseconds = 0
  public internal(set) var tickerTime: Nanoseconds = 0
  /// When the book was first seen crossed; nil while it is not.
  private var crossedSince: Nanoseconds?
  /// The best prices of others at the last look: a level at or before one of these changes what a strategy
  /// sees, even behind our own quotes (R61).
  var watched: (bid: PriceTicks?, ask: PriceTicks?) = (nil, nil)
  /// A ticker has arrived since the last silence.
  var isFresh = false

  init(bookLevels: Int, memory: UnsafeMutableRawBufferPointer? = nil) throws(CapacityError) {
    book = try Book(tailLevels: bookLevels, memory: memory)
  }

  /// The connection is gone: nothing of the market is known until the next snapshot (R23).
  mutating func invalidate() {
    book.clear()
    ticker = Ticker()
    isBookValid = false
    tickerTime = 0
    bookTime = 0
    bookLostAt = 0
    isFresh = false
    crossedSince = nil
  }

  /// The venue's clock by its last ticker; 0 if that did not say.
  @inline(__always)
  func venueTime(now: Nanoseconds) -> Nanoseconds {
    ticker.venueTime == 0 ? 0 : ticker.venueTime &+ (now &- tickerTime)
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
}

extension Book {
  /// The best quote of others: the best level whose size is more than what we have there.
  @inline(__always)
  func bestOfOthers(_ side: Side, own: borrowing SideOrders) -> Quote? {
    guard let top = best(side) else { return nil }
    let left = top.qty_lots - own.restingLots(at: top.price_ticks)
    return left > .zero ? Quote(price: top.price_ticks, qty: left) : bestBehindOwn(side, own: own)
  }

  /// The best level is ours alone.
  @inline(never)
  private func bestBehindOwn(_ side: Side, own: borrowing SideOrders) -> Quote? {
    var walk = self.walk(side)
    while let level = next(&walk) {
      let left = level.qty_lots - own.restingLots(at: level.price_ticks)
      if left > .zero { return Quote(price: level.price_ticks, qty: left) }
    }
    return nil
  }
}
