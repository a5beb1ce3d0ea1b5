import CSupport

/// Tells the manager the tops of a lane's instruments: on change, at most once a millisecond, and each quarter of a second
/// that they still stand.
///
/// Never waits. What finds the ring full is told later, as it is then: the latest, not the history. On the lane's thread;
/// allocates nothing after `init`.
struct LaneTops: ~Copyable {
  private var ring: RingProducer
  private let told: UnsafeMutableBufferPointer<LaneTop>
  private var nextAt = LaneSession.never
  /// Where the next round begins, so that a full ring does not always leave out the same ones.
  private var first = 0
  /// Tops that found the ring full.
  private(set) var heldCount = 0

  static let interval: Nanoseconds = 1_000_000
  static let repetition: Nanoseconds = 250_000_000

  var highWater: Int { ring.statistics.highWater }

  /// - Parameter instruments: those that the manager wants to hear of.
  init(ring: consuming RingProducer, instruments: [InstrumentIndex]) {
    self.ring = ring
    told = .allocate(capacity: instruments.count)
    for (place, instrument) in instruments.enumerated() {
      told.initializeElement(at: place, to: LaneTop(instrument: instrument, isThere: false))
    }
  }

  deinit { told.deallocate() }

  /// Cheap when nothing is due; after each turn in which the lane's orders have left.
  @inline(__always)
  mutating func tell<A: ExchangeAdapter & ~Copyable>(_ lane: inout Lane<A>, now: Nanoseconds) {
    guard now >= nextAt else { return }
    tellAll(&lane, now)
  }

  @inline(never)
  private mutating func tellAll<A: ExchangeAdapter & ~Copyable>(_ lane: inout Lane<A>, _ now: Nanoseconds) {
    nextAt = now + Self.interval
    for step in 0..<told.count {
      let place = first + step < told.count ? first + step : first + step - told.count
      let top = Self.top(told[place].instrument, &lane)
      guard !top.says(the: told[place]) || top.time - told[place].time >= Self.repetition else { continue }
      guard ring.push(top) else {
        heldCount += 1
        first = place
        return
      }
      told[place] = top
    }
  }

  static func top<A: ExchangeAdapter & ~Copyable>(_ instrument: InstrumentIndex, _ lane: inout Lane<A>) -> LaneTop {
    var top = LaneTop(instrument: instrument, isThere: false)
    let market = lane.core.markets + Int(instrument)
    let state = lane.core.tracker.state(instrument)
    guard lane.adapter.phase == .ready, let info = market.pointee.info, market.pointee.isBookValid,
      !market.pointee.book.isCrossed,
      let bid = market.pointee.book.bestOfOthers(.buy, own: state.pointee.bids),
      let ask = market.pointee.book.bestOfOthers(.sell, own: state.pointee.asks)
    else { return top }
    let unit = Underlying.unitE12(
      info, markE8: market.pointee.lastMarkE8, deltaE8: market.pointee.ticker.delta)
    func coins(_ lots: QtyLots) -> Int64 { Int64(clamping: Int128(lots.rawValue) * Int128(unit) / 10_000) }
    top.isThere = true
    top.bidE8 = Int64(clamping: Int128(bid.price.rawValue) * Int128(info.grid.tickE8))
    top.askE8 = Int64(clamping: Int128(ask.price.rawValue) * Int128(info.grid.tickE8))
    top.bidSizeE8 = coins(bid.qty)
    top.askSizeE8 = coins(ask.qty)
    top.time = max(market.pointee.bookTime, market.pointee.tickerTime)
    return top
  }
}
