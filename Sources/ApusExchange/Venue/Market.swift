import Apus
import CSupport
import Glibc

/// A trade as the public sees it.
struct PublicTrade {
  var price: PriceTicks
  var lots: QtyLots
  var aggressor: Side
  var time: Nanoseconds
  /// The call of the matching engine that made it: the trades of one aggressor have the same.
  var match: UInt64 = 0
  /// Which way the price went: 0 up, 1 as before and before that up, 2 down, 3 as before and before that down.
  var tick: UInt8 = 0
  var markE8: Int64 = 0
  var indexE8: Int64 = 0
}

/// An index and the instruments that follow it.
final class Underlying {
  let name: [UInt8]
  /// What the market flow said last; becomes the index at the next mark update.
  var latestE8: Int64
  var indexE8: Int64
  var previousSettlementE8: Int64
  /// Average of the index over the half hour before an expiry (reference 4.3).
  var window: ExpirationWindow?
  /// Second since the epoch of the last final settlement.
  var settledAt: Int64 = 0
  var time: Nanoseconds = 0
  var markets: [Market] = []

  init(name: String, indexE8: Int64) {
    self.name = Array(name.utf8)
    latestE8 = indexE8
    self.indexE8 = indexE8
    previousSettlementE8 = indexE8
  }
}

/// A level that the flow spoke of while its instrument was halted.
struct MissedLevel: Hashable {
  var side: Side
  var value: Int64
}

/// a / b, rounded down.
func floorDivision(_ a: Int64, _ b: Int64) -> Int64 { a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0) }

/// One listed instrument: its matching engine, its background orders, its statistics.
final class Market {
  let index: Int
  private(set) var spec: InstrumentSpec
  let name: [UInt8]
  let underlying: Underlying
  /// What one lot costs at one tick, 10⁻⁸ USD.
  private(set) var tickLotE8: Int64
  /// The tick that the market flow counts in: that of the listing.
  let flowTickE8: Int64
  /// When it was listed; the first perpetuals are older than the venue's clock.
  var listTime: Nanoseconds?
  var engine: MatchingEngine
  var background: BackgroundBook
  /// Decides what the flow trades with participants; `nil`: price and time in the matching engine do.
  let queue: QueueBook?

  /// Resting lots of both sides.
  var totalBids: Int64 = 0
  var totalAsks: Int64 = 0
  var bookTime: Nanoseconds = 0
  /// The book changed since the last publication.
  var isBookChanged = false
  /// Orders are refused; what rests stays.
  var isHalted = false
  /// What the flow said during a halt: the latest size by side and price, in its ticks.
  var missed: [MissedLevel: Int64] = [:]
  /// False once it has expired.
  var isListed = true
  /// Prices whose size changed since the last publication, if a full-depth channel wants them.
  var touchedBids: [Int64] = []
  var touchedAsks: [Int64] = []
  var collectsTouched = false

  var lastPrice: PriceTicks?
  var firstPrice = PriceTicks(rawValue: 0)
  var lowPrice = PriceTicks(rawValue: 0)
  var highPrice = PriceTicks(rawValue: 0)
  var volumeLots: Int64 = 0
  /// Σ price · lots.
  var value: Int64 = 0
  private var lastTick: UInt8 = 0
  /// The last trades; number n sits at n mod capacity.
  private(set) var trades: [PublicTrade] = []
  private(set) var tradeCount = 0
  static let tradeCapacity = 4096

  var markE8: Int64
  var markTime: Nanoseconds = 0
  private var premiumE8: Int64 = 0
  /// Options: the last model values, fractions in 10⁻¹²; the forward also of futures.
  var volatilityE12: Int64 = 0
  var deltaE12: Int64 = 1_000_000_000_000
  var forwardE8: Int64 = 0
  /// Rolls: far and near leg.
  let legs: [Market]
  /// Expired instruments: the final price of the instrument and of the index.
  var settlement: (priceE8: Int64, indexE8: Int64)?
  /// Where the venue's own quotes stand, and how far apart; ticks.
  var ownQuotes: (bid: Int64, ask: Int64, step: Int64)?
  private(set) var fundingRateE12: Int64 = 0
  /// Of one long contract, since the last daily settlement and before it.
  private(set) var fundingMarkE8: Int64 = 0
  private var paidFundingE8: Int64 = 0
  var totalFundingE8: Int64 { paidFundingE8 + fundingMarkE8 }
  private var fundingRemainder: Int128 = 0
  private var rateSum: Int128 = 0
  private var rateCount: Int64 = 0
  /// Public channels of this instrument, books first.
  var channels: [Channel] = []

  private let capacity: Int
  private let prices: UnsafeMutablePointer<PriceTicks>
  private let sizes: UnsafeMutablePointer<QtyLots>

  init(
    index: Int, spec: InstrumentSpec, underlying: Underlying, legs: [Market], configuration: VenueConfiguration
  ) throws(VenueError) {
    self.index = index
    self.legs = legs
    flowTickE8 = spec.grid.tickE8
    let isCombination = spec.kind == .combination
    let isSmall = spec.isQuotedByVenue
    background = BackgroundBook(span: isSmall ? 1 << 13 : 1 << 17, allowsNegative: isCombination)
    queue = isSmall || isCombination ? nil : configuration.fillModel.map { QueueBook(model: $0) }
    self.spec = spec
    name = Array(spec.name.utf8)
    self.underlying = underlying
    guard let unit = spec.grid.tickLotE8 else {
      throw .configuration("\(spec.name): a lot at one tick must be worth a whole multiple of 1e-8 USD")
    }
    tickLotE8 = unit
    markE8 = underlying.indexE8
    let levels = isSmall ? min(configuration.maximumLevels, 1024) : configuration.maximumLevels
    capacity = Int(levels)
    prices = .allocate(capacity: capacity)
    prices.initialize(repeating: PriceTicks(rawValue: 0), count: capacity)
    sizes = .allocate(capacity: capacity)
    sizes.initialize(repeating: .zero, count: capacity)
    do {
      engine = try MatchingEngine(
        limits: MatchLimits(
          maxOrders: isSmall ? min(configuration.maximumRestingOrders, 8192) : configuration.maximumRestingOrders,
          maxLevels: levels, minPrice: PriceTicks(rawValue: isCombination ? -(1 << 40) : 1),
          maxPrice: PriceTicks(rawValue: 1 << 40)))
    } catch {
      prices.deallocate()
      sizes.deallocate()
      throw .matchingEngine(spec.name, error)
    }
    underlying.markets.append(self)
  }

  deinit {
    prices.deallocate()
    sizes.deallocate()
  }

  var indexE8: Int64 { underlying.indexE8 }

  /// What lots cost together at a price, 10⁻⁸ of the currency that settles them. Inverse contracts are worth coins, the
  /// fewer the higher the price: their value is negative, so that a buyer gains when it rises.
  func valueE8(lots: Int64, priceE8: Int64) -> MoneyE8 {
    let amountE8 = lots * spec.grid.lotE8
    return spec.isInverse
      ? -Decimal.scaled(amountE8, 100_000_000, over: priceE8) : Decimal.scaled(priceE8, amountE8, over: 100_000_000)
  }

  /// New asks are checked against the lower, new bids against the upper end.
  func collarE8(_ configuration: VenueConfiguration) -> (low: Int64, high: Int64) {
    let points = spec.kind == .option ? configuration.optionCollarBasisPoints : configuration.collarBasisPoints
    // A share of a roll's own mark, which may be 0, would be no room at all.
    let width = Decimal.scaled(spec.kind == .combination ? indexE8 : markE8, points, over: 10_000)
    return (markE8 - width, markE8 + width)
  }

  /// A new tick size; the book must be empty, or rest where both grids meet.
  func setTick(_ tickE8: Int64, tickLotE8: Int64) {
    value = Decimal.scaled(value, self.tickLotE8, over: tickLotE8)
    lastPrice = lastPrice.map { regrid($0, tickE8) }
    firstPrice = regrid(firstPrice, tickE8)
    lowPrice = regrid(lowPrice, tickE8)
    highPrice = regrid(highPrice, tickE8)
    for index in trades.indices { trades[index].price = regrid(trades[index].price, tickE8) }
    spec.grid.tickE8 = tickE8
    self.tickLotE8 = tickLotE8
    ownQuotes = nil
  }

  private func regrid(_ price: PriceTicks, _ tickE8: Int64) -> PriceTicks {
    PriceTicks(rawValue: price.rawValue * spec.grid.tickE8 / tickE8)
  }

  /// A price of the flow on the present grid: bids rounded down, asks up.
  func ticks(ofFlow value: Int64, _ side: Side) -> Int64 {
    if flowTickE8 == spec.grid.tickE8 { return value }
    let e8 = value * flowTickE8
    return side == .buy ? floorDivision(e8, spec.grid.tickE8) : -floorDivision(-e8, spec.grid.tickE8)
  }

  /// Lots of others that rest at a price.
  func shown(_ side: Side, _ price: PriceTicks) -> Int64 {
    guard background.isPlaced, let slot = background.slot(price) else { return 0 }
    return background.lots(side, slot)
  }

  /// Best prices of others in ticks; `nil` for a side without any.
  var touch: (bid: Int64?, ask: Int64?) {
    (
      background.bestBid >= 0 ? background.price(background.bestBid).rawValue : nil,
      background.bestAsk < background.span ? background.price(background.bestAsk).rawValue : nil
    )
  }

  /// Middle of the others' best quotes; of a market without two sides the one there is, else the mark.
  var midE8: Int64 {
    switch touch {
    case (let bid?, let ask?): (bid + ask) * spec.grid.tickE8 / 2
    case (let bid?, nil): bid * spec.grid.tickE8
    case (nil, let ask?): ask * spec.grid.tickE8
    case (nil, nil): markE8
    }
  }

  /// Best price and size of a side.
  func best(_ side: Side) -> (price: PriceTicks, lots: QtyLots)? {
    engine.best(side).map { ($0.price, $0.quantity) }
  }

  /// Up to `limit` levels, best first, in buffers that the next call overwrites.
  func levels(_ side: Side, limit: Int, _ body: (PriceTicks, QtyLots) -> Bool) {
    let limit = min(limit, capacity)
    var priceSpan = MutableSpan(_unsafeStart: prices, count: limit)
    var sizeSpan = MutableSpan(_unsafeStart: sizes, count: limit)
    let count = engine.levels(side, prices: &priceSpan, sizes: &sizeSpan)
    for level in 0..<count where !body(prices[level], sizes[level]) { return }
  }

  func addResting(_ side: Side, _ price: PriceTicks, _ lots: Int64, now: Nanoseconds) {
    isBookChanged = true
    bookTime = now
    if side == .buy {
      totalBids += lots
      if collectsTouched { touchedBids.append(price.rawValue) }
    } else {
      totalAsks += lots
      if collectsTouched { touchedAsks.append(price.rawValue) }
    }
  }

  func noteTrade(_ trade: PublicTrade) {
    var trade = trade
    if let last = lastPrice, last != trade.price {
      lastTick = trade.price > last ? 0 : 2
      trade.tick = lastTick
    } else {
      trade.tick = lastPrice == nil ? 0 : lastTick | 1
    }
    trade.markE8 = markE8
    trade.indexE8 = indexE8
    if trades.count < Self.tradeCapacity {
      trades.append(trade)
    } else {
      trades[tradeCount % Self.tradeCapacity] = trade
    }
    tradeCount += 1
    if lastPrice == nil {
      firstPrice = trade.price
      lowPrice = trade.price
      highPrice = trade.price
    }
    lastPrice = trade.price
    lowPrice = min(lowPrice, trade.price)
    highPrice = max(highPrice, trade.price)
    volumeLots += trade.lots.rawValue
    value += trade.price.rawValue * trade.lots.rawValue
  }

  /// Trades number `from` and later, as far as they are still kept.
  func recentTrades(from: Int, _ body: (PublicTrade) -> Void) {
    var number = max(from, tradeCount - Self.tradeCapacity, 0)
    while number < tradeCount {
      body(trades[number % Self.tradeCapacity])
      number += 1
    }
  }

  // MARK: mark and funding (reference 4.3)

  /// Average price of trading the premium size against one side; `nil` without enough liquidity.
  private func averagePriceE8(_ side: Side) -> Int64? {
    let wanted = spec.premiumLots.rawValue
    var left = wanted
    var cost: Int64 = 0
    levels(side, limit: 64) { price, lots in
      let taken = min(left, lots.rawValue)
      cost += price.rawValue * taken
      left -= taken
      return left > 0
    }
    return left > 0 ? nil : Decimal.scaled(cost, spec.grid.tickE8, over: wanted)
  }

  /// Takes over the index and moves mark and funding; to be called every `interval`.
  func updateMark(now: Nanoseconds, interval: Nanoseconds) {
    var premium: Int64 = 0
    if let bid = averagePriceE8(.buy), let ask = averagePriceE8(.sell) {
      premium = (bid + ask) / 2 - indexE8
      premiumE8 += (premium - premiumE8) * 2 / 31
    } else {
      premiumE8 = 0
    }
    markE8 = max(spec.grid.tickE8, indexE8 + premiumE8)
    forwardE8 = markE8
    markTime = now
    guard spec.kind == .perpetual else { return }
    let ratio = Decimal.scaled(markE8 - indexE8, 1_000_000_000_000, over: indexE8)
    let dampener: Int64 = 250_000_000
    fundingRateE12 = ratio > dampener ? ratio - dampener : ratio < -dampener ? ratio + dampener : 0
    rateSum += Int128(fundingRateE12)
    rateCount += 1
    // rate · index · interval / 8 h, the remainder carried on.
    let eightHours = Int128(28_800) * 1_000_000_000 * 1_000_000_000_000
    let accrued = Int128(fundingRateE12) * Int128(indexE8) * Int128(interval) + fundingRemainder
    fundingMarkE8 += Int64(accrued / eightHours)
    fundingRemainder = accrued % eightHours
  }

  /// The daily settlement pays what has accrued.
  func payFunding() {
    paidFundingE8 += fundingMarkE8
    fundingMarkE8 = 0
  }

  var averageFundingRateE12: Int64 { rateCount == 0 ? 0 : Int64(rateSum / Int128(rateCount)) }
}

/// The anonymous resting orders of the market flow, one per price and side, in a window of prices.
///
/// Prices outside the window are left out: it spans 131,072 ticks around the first price seen, 8,192 for instruments
/// that the venue itself quotes.
struct BackgroundBook: ~Copyable {
  let span: Int
  private let allowsNegative: Bool
  private(set) var base: Int64 = 0
  private(set) var isPlaced = false
  private let handles: UnsafeMutablePointer<UInt64>
  private let remaining: UnsafeMutablePointer<Int64>
  /// Slot of the best order of each side; −1 and `span` when there is none.
  private(set) var bestBid = -1
  private(set) var bestAsk: Int

  init(span: Int, allowsNegative: Bool) {
    self.span = span
    self.allowsNegative = allowsNegative
    bestAsk = span
    // Zero pages that are touched where prices are: a chain of hundreds of books stays small.
    guard let first = calloc(2 * span, 8), let second = calloc(2 * span, 8) else { fatalError("out of memory") }
    handles = first.bindMemory(to: UInt64.self, capacity: 2 * span)
    remaining = second.bindMemory(to: Int64.self, capacity: 2 * span)
  }

  deinit {
    free(handles)
    free(remaining)
  }

  mutating func slot(_ price: PriceTicks) -> Int? {
    if !isPlaced {
      isPlaced = true
      base = price.rawValue - Int64(span / 2)
      if !allowsNegative { base = max(1, base) }
    }
    let offset = price.rawValue - base
    return offset >= 0 && offset < Int64(span) ? Int(offset) : nil
  }

  /// Whether a price lies in the window, or would begin one.
  func contains(_ price: Int64) -> Bool { !isPlaced || (price >= base && price < base + Int64(span)) }

  /// Lets the next price place the window anew. Nothing may rest.
  mutating func displace() {
    precondition(bestBid < 0 && bestAsk == span, "orders rest in the window")
    isPlaced = false
  }

  func price(_ slot: Int) -> PriceTicks { PriceTicks(rawValue: base + Int64(slot)) }
  func handle(_ side: Side, _ slot: Int) -> UInt64 { handles[Int(side.rawValue) * span + slot] }
  func lots(_ side: Side, _ slot: Int) -> Int64 { remaining[Int(side.rawValue) * span + slot] }

  /// Records what rests at a slot now; `handle` 0 = nothing.
  mutating func set(_ side: Side, _ slot: Int, handle: UInt64, lots: Int64) {
    let at = Int(side.rawValue) * span + slot
    handles[at] = handle
    remaining[at] = lots
    if side == .buy {
      if handle != 0 {
        bestBid = max(bestBid, slot)
      } else if slot == bestBid {
        while bestBid >= 0, self.handle(.buy, bestBid) == 0 { bestBid -= 1 }
      }
    } else {
      if handle != 0 {
        bestAsk = min(bestAsk, slot)
      } else if slot == bestAsk {
        while bestAsk < span, self.handle(.sell, bestAsk) == 0 { bestAsk += 1 }
      }
    }
  }
}

/// Who an order in a matching engine belongs to, packed into its tag.
enum Tag {
  private static let backgroundBit: UInt64 = 1 << 63
  private static let sellBit: UInt64 = 1 << 62
  /// A print of the market flow; never rests.
  static let tape: UInt64 = 1 << 61

  static func background(_ side: Side, _ slot: Int) -> UInt64 {
    backgroundBit | (side == .sell ? sellBit : 0) | UInt64(slot)
  }
  static func isBackground(_ tag: UInt64) -> Bool { tag & backgroundBit != 0 }
  static func side(_ tag: UInt64) -> Side { tag & sellBit != 0 ? .sell : .buy }
  static func slot(_ tag: UInt64) -> Int { Int(tag & 0xFFFF_FFFF) }
}
