public import Apus
import CSupport

/// A recorded market, played against the venue at any speed.
///
/// Reads lines `<local receive time, ns> <JSON>` of Binance USDⓈ-M `bookTicker`, `depthUpdate`, `trade` and
/// REST depth snapshots, streaming. Sizes are gathered per tick of the venue (bids rounded down,
/// asks up); fractions of a lot are left out of levels, and carried on from trade to trade.
/// Updates that the snapshot contains are skipped; `bookTicker` corrects the touch between depth updates.
/// The index is the mid of the touch.
public final class RecordedFlow: MarketFlow {
  /// What was read, and what was odd about it.
  public struct Statistics: Equatable, Sendable {
    public var lines = 0
    /// Lines that are not in the format.
    public var malformed = 0
    public var levels = 0
    public var trades = 0
    public var tickers = 0
    /// Depth updates and tickers older than what is known already.
    public var stale = 0
    /// Depth updates whose predecessor is missing.
    public var gaps = 0
    public init() {}
  }

  public private(set) var statistics = Statistics()

  private let reader: LineReader
  private let instrument: FlowInstrument
  private let speedThousandths: Int64
  private let startTime: Nanoseconds
  private var origin: Nanoseconds?
  private var scanner = FeedScanner()
  private var bids: FeedSide
  private var asks: FeedSide

  private var pending: [FlowEvent] = []
  private var pendingTime: Nanoseconds?
  private var lastTime: Nanoseconds = 0
  private var nextIndex: Nanoseconds = .min

  private var snapshotID: Int64?
  private var depthID: Int64 = 0
  /// Touch of the last ticker, and its update id; older depth levels must not reach past it.
  private var touchID: Int64 = 0
  private var touchBid: Int64 = 0
  private var touchAsk: Int64 = 0
  /// Depth levels from before the snapshot, bounded; those newer than it are applied again.
  private var early: [(id: Int64, side: Side, price: Int64, size: Int64)] = []
  private static let earlyLimit = 200_000
  private var carry: (buy: Int64, sell: Int64) = (0, 0)
  private var ticks: [Int64] = []

  /// - Parameters:
  ///   - speedThousandths: 1000 plays in real time, 20,000 twenty times as fast; 1 … 1,000,000.
  ///   - startTime: When the first line is due on the venue's clock.
  ///   - origin: The local time of the recording that counts as its start; the first line's by default.
  ///     Give several recordings of the same minutes the same origin.
  public init(
    path: String, instrument: FlowInstrument, speedThousandths: Int64 = 1000, startTime: Nanoseconds = 0,
    origin: Nanoseconds? = nil
  ) throws(RecordingError) {
    reader = try LineReader(path: path)
    self.instrument = instrument
    self.speedThousandths = min(max(1, speedThousandths), 1_000_000)
    self.startTime = startTime
    self.origin = origin
    lastTime = startTime
    bids = FeedSide(side: .buy, tickE8: instrument.grid.tickE8)
    asks = FeedSide(side: .sell, tickE8: instrument.grid.tickE8)
    readAhead()
  }

  public var nextTime: Nanoseconds? { pendingTime }

  public func next(into events: inout [FlowEvent]) {
    events += pending
    readAhead()
  }

  /// Reads lines until one has something to say.
  private func readAhead() {
    pending.removeAll(keepingCapacity: true)
    while let text = reader.next() {
      statistics.lines += 1
      guard let line = scanner.scan(text) else {
        if !text.isEmpty { statistics.malformed += 1 }
        continue
      }
      let origin = origin ?? line.localTime
      self.origin = origin
      // A stamp before the origin is due at once; one eleven days later is as good as never.
      let elapsed = min(max(line.localTime, origin) - origin, 1_000_000_000_000_000)
      let time = startTime + Decimal.scaled(elapsed, 1000, over: speedThousandths)
      lastTime = max(lastTime, time)
      take(line)
      if !pending.isEmpty {
        pendingTime = lastTime
        return
      }
    }
    pendingTime = nil
  }

  private func take(_ line: FeedLine) {
    switch line.kind {
    case .trade: takeTrade(line)
    case .bookTicker: takeTicker(line)
    case .depthUpdate: takeDepth(line)
    case .snapshot: takeSnapshot(line)
    }
  }

  private func takeTrade(_ line: FeedLine) {
    statistics.trades += 1
    let side: Side = line.isBuyerMaker ? .sell : .buy
    let tick = instrument.grid.tickE8
    let lot = instrument.grid.lotE8
    let total = line.size + (side == .buy ? carry.buy : carry.sell)
    if side == .buy { carry.buy = total % lot } else { carry.sell = total % lot }
    guard total >= lot else { return }
    let price = side == .buy ? (line.price + tick - 1) / tick : line.price / tick
    pending.append(.trade(instrument.index, aggressor: side, price, total / lot))
  }

  private func takeTicker(_ line: FeedLine) {
    statistics.tickers += 1
    guard line.updateID > touchID, line.updateID >= depthID else {
      statistics.stale += 1
      return
    }
    touchID = line.updateID
    touchBid = line.bid
    touchAsk = line.ask
    ticks.removeAll(keepingCapacity: true)
    bids.removeBetter(than: line.bid, touched: &ticks)
    bids.set(line.bid, line.bidSize, touched: &ticks)
    emit(.buy)
    ticks.removeAll(keepingCapacity: true)
    asks.removeBetter(than: line.ask, touched: &ticks)
    asks.set(line.ask, line.askSize, touched: &ticks)
    emit(.sell)
    if lastTime >= nextIndex {
      nextIndex = lastTime + 100_000_000
      pending.append(.index(instrument.index, e8: (line.bid + line.ask) / 2))
    }
  }

  private func takeDepth(_ line: FeedLine) {
    if let snapshotID, line.updateID <= snapshotID {
      statistics.stale += 1
      return
    }
    if depthID != 0, line.previousID != 0, line.previousID != depthID { statistics.gaps += 1 }
    depthID = max(depthID, line.updateID)
    statistics.levels += scanner.bids.count + scanner.asks.count
    if snapshotID == nil, early.count < Self.earlyLimit {
      for level in scanner.bids { early.append((line.updateID, .buy, level.price, level.size)) }
      for level in scanner.asks { early.append((line.updateID, .sell, level.price, level.size)) }
    }
    let isBehind = line.updateID < touchID
    ticks.removeAll(keepingCapacity: true)
    for level in scanner.bids where !isBehind || level.price < touchBid {
      bids.set(level.price, level.size, touched: &ticks)
    }
    emit(.buy)
    ticks.removeAll(keepingCapacity: true)
    for level in scanner.asks where !isBehind || level.price > touchAsk {
      asks.set(level.price, level.size, touched: &ticks)
    }
    emit(.sell)
  }

  private func takeSnapshot(_ line: FeedLine) {
    guard snapshotID == nil || line.updateID > depthID else {
      statistics.stale += 1
      return
    }
    snapshotID = line.updateID
    depthID = max(depthID, line.updateID)
    for side in [Side.buy, Side.sell] {
      ticks.removeAll(keepingCapacity: true)
      let levels = side == .buy ? scanner.bids : scanner.asks
      if side == .buy {
        reload(&bids, levels, newerThan: line.updateID, snapshotID: line.updateID)
      } else {
        reload(&asks, levels, newerThan: line.updateID, snapshotID: line.updateID)
      }
      emit(side)
    }
    early = []
  }

  private func reload(
    _ book: inout FeedSide, _ levels: [(price: Int64, size: Int64)], newerThan id: Int64, snapshotID: Int64
  ) {
    let isBehind = snapshotID < touchID
    // The ticker is newer: what it said about the touch stays.
    func isKept(_ price: Int64) -> Bool {
      isBehind && (book.side == .buy ? price >= touchBid : price <= touchAsk)
    }
    let touchSize = isBehind ? book.size(at: book.side == .buy ? touchBid : touchAsk) : 0
    book.removeAll(touched: &ticks)
    for level in levels where !isKept(level.price) { book.set(level.price, level.size, touched: &ticks) }
    for level in early where level.id > id && level.side == book.side && !isKept(level.price) {
      book.set(level.price, level.size, touched: &ticks)
    }
    if isBehind { book.set(book.side == .buy ? touchBid : touchAsk, touchSize, touched: &ticks) }
  }

  /// Appends the present size of every tick in `ticks`, each once.
  private func emit(_ side: Side) {
    ticks.sort()
    var previous = Int64.min
    for tick in ticks where tick != previous {
      previous = tick
      let size = side == .buy ? bids.total(tick: tick) : asks.total(tick: tick)
      pending.append(.level(instrument.index, side, tick, size / instrument.grid.lotE8))
    }
  }
}

/// One side of the recorded book at the feed's own prices, sorted so that the best is last.
struct FeedSide {
  let side: Side
  private let tickE8: Int64
  /// Prices of bids, negated prices of asks: ascending.
  private var keys: [Int64] = []
  private var sizes: [Int64] = []

  init(side: Side, tickE8: Int64) {
    self.side = side
    self.tickE8 = tickE8
  }

  private func key(_ price: Int64) -> Int64 { side == .buy ? price : -price }

  /// The venue's tick that a key belongs to: bids down, asks up.
  private func tick(_ key: Int64) -> Int64 { side == .buy ? key / tickE8 : (-key + tickE8 - 1) / tickE8 }

  private func lowerBound(_ key: Int64) -> Int {
    var low = 0
    var high = keys.count
    while low < high {
      let middle = (low + high) / 2
      if keys[middle] < key { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// New absolute size; 0 removes the level, and a level that is not there stays away.
  mutating func set(_ price: Int64, _ size: Int64, touched: inout [Int64]) {
    let key = key(price)
    let place = lowerBound(key)
    if place < keys.count, keys[place] == key {
      if sizes[place] == size { return }
      if size == 0 {
        keys.remove(at: place)
        sizes.remove(at: place)
      } else {
        sizes[place] = size
      }
    } else {
      if size == 0 { return }
      keys.insert(key, at: place)
      sizes.insert(size, at: place)
    }
    touched.append(tick(key))
  }

  mutating func removeBetter(than price: Int64, touched: inout [Int64]) {
    let limit = key(price)
    while let last = keys.last, last > limit {
      touched.append(tick(last))
      keys.removeLast()
      sizes.removeLast()
    }
  }

  /// Forgets all but the best levels.
  mutating func keepBest(_ count: Int, touched: inout [Int64]) {
    let excess = keys.count - count
    guard excess > 0 else { return }
    for key in keys[..<excess] { touched.append(tick(key)) }
    keys.removeFirst(excess)
    sizes.removeFirst(excess)
  }

  mutating func removeAll(touched: inout [Int64]) {
    for key in keys { touched.append(tick(key)) }
    keys.removeAll(keepingCapacity: true)
    sizes.removeAll(keepingCapacity: true)
  }

  func size(at price: Int64) -> Int64 {
    let place = lowerBound(key(price))
    return place < keys.count && keys[place] == key(price) ? sizes[place] : 0
  }

  /// Size of all prices of one tick of the venue.
  func total(tick wanted: Int64) -> Int64 {
    // Lowest key of the tick: bids wanted·tick …, asks −wanted·tick ….
    var place = lowerBound(side == .buy ? wanted * tickE8 : -wanted * tickE8)
    var sum: Int64 = 0
    while place < keys.count, tick(keys[place]) == wanted {
      // Sizes are below 2^60; a damaged recording must not overflow the sum.
      if sum < 1 << 61 { sum += sizes[place] }
      place += 1
    }
    return sum
  }
}
