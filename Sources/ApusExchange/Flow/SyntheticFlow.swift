public import Apus
import CSupport

/// A made-up market: the same seed gives the same events on every machine, since only integers are used.
///
/// Each instrument has a hidden fair price. Its volatility clusters (large moves raise the variance
/// of the next ones), trades excite further trades, and now and then somebody who knows more trades one
/// way for a second or two while the price follows: that is when a naive quoter is run over. The
/// spread widens with volatility and with bursts of trades. It never ends.
public final class SyntheticFlow: MarketFlow {
  /// One instrument to simulate.
  public struct Stream: Sendable {
    public var instrument: FlowInstrument
    /// Where the fair price starts, 10⁻⁸ USD, at least 1000 ticks.
    public var startE8: Int64
    /// Typical size of a level, lots, ≥ 1.
    public var levelLots: Int64
    /// Trades a second in quiet times; bursts bring more.
    public var tradesPerSecond: Int64

    public init(instrument: FlowInstrument, startE8: Int64, levelLots: Int64, tradesPerSecond: Int64 = 4) {
      self.instrument = instrument
      self.startE8 = startE8
      self.levelLots = levelLots
      self.tradesPerSecond = tradesPerSecond
    }
  }

  private var streams: [SyntheticMarket]
  private var step: Int64 = 0
  private let interval: Nanoseconds
  private var pending: [FlowEvent] = []
  private var pendingTime: Nanoseconds = 0

  /// - Parameters:
  ///   - speed: How much faster than real time the market moves, in thousandths, 1 … 1,000,000.
  public init(seed: UInt64, streams: [Stream], speedThousandths: Int64 = 1000) {
    precondition(!streams.isEmpty, "a synthetic flow needs an instrument")
    var seeds = SplitMix(seed: seed)
    self.streams = streams.map { SyntheticMarket($0, seed: seeds.next()) }
    interval = max(1, SyntheticMarket.stepTime * 1000 / min(max(1, speedThousandths), 1_000_000))
    for index in self.streams.indices { self.streams[index].open(into: &pending) }
  }

  /// BTC and ETH as a venue with the default instruments lists them.
  public convenience init(seed: UInt64, speedThousandths: Int64 = 1000) {
    let specs = [InstrumentSpec.btcPerpetual, .ethPerpetual]
    self.init(
      seed: seed,
      streams: specs.enumerated().map { index, spec in
        Stream(
          instrument: FlowInstrument(index: index, grid: spec.grid), startE8: spec.initialIndexE8,
          levelLots: spec.premiumLots.rawValue / 2)
      }, speedThousandths: speedThousandths)
  }

  public var nextTime: Nanoseconds? { pendingTime }

  public func next(into events: inout [FlowEvent]) {
    events += pending
    pending.removeAll(keepingCapacity: true)
    while pending.isEmpty {
      step += 1
      pendingTime = step * interval
      for index in streams.indices { streams[index].advance(step: step, into: &pending) }
    }
  }
}

/// The hidden state of one synthetic instrument. Prices are counted in 1/1024 tick.
private struct SyntheticMarket {
  static let stepTime: Nanoseconds = 10_000_000
  /// Levels shown on each side.
  private static let depth: Int64 = 20

  private let stream: SyntheticFlow.Stream
  private var random: SplitMix
  private var fair: Int64
  /// Variance of a step, and its long-run mean.
  private var variance: Int64
  private let baseVariance: Int64
  /// Additional likelihood of a trade at each chance, in 10⁻⁶.
  private var excitement: Int64 = 0
  private var lastSide = Side.buy
  private var runSteps: Int64 = 0
  private var runDrift: Int64 = 0
  private var basis: Int64 = 0
  private var bid: Int64 = 0
  private var ask: Int64 = 0
  /// Shown sizes; a price sits at its low bits.
  private var bidLots = [Int64](repeating: 0, count: 64)
  private var askLots = [Int64](repeating: 0, count: 64)

  init(_ stream: SyntheticFlow.Stream, seed: UInt64) {
    self.stream = stream
    random = SplitMix(seed: seed)
    let ticks = max(1000, stream.startE8 / stream.instrument.grid.tickE8)
    fair = ticks * 1024
    // 50 % a year is 8.9e-6 of the price in 10 ms.
    let deviation = max(16, fair * 89 / 10_000_000)
    baseVariance = deviation * deviation
    variance = baseVariance
  }

  private static func squareRoot(_ value: Int64) -> Int64 {
    guard value > 1 else { return max(0, value) }
    var root = Int64(1) << Int64((64 - value.leadingZeroBitCount + 1) / 2)
    while true {
      let better = (root + value / root) / 2
      if better >= root { return root }
      root = better
    }
  }

  mutating func open(into events: inout [FlowEvent]) {
    events.append(.index(stream.instrument.index, e8: fair / 1024 * stream.instrument.grid.tickE8))
    bid = fair / 1024
    ask = bid + 1
    for offset in 0..<Self.depth {
      place(.buy, bid - offset, into: &events)
      place(.sell, ask + offset, into: &events)
    }
  }

  /// Shows a level with a fresh size.
  private mutating func place(_ side: Side, _ price: Int64, into events: inout [FlowEvent]) {
    let behind = side == .buy ? bid - price : price - ask
    let lots = max(1, stream.levelLots * random.within(256...1792) / 1024 * (4 + behind) / 8)
    set(side, price, lots, into: &events)
  }

  private mutating func set(_ side: Side, _ price: Int64, _ lots: Int64, into events: inout [FlowEvent]) {
    if side == .buy { bidLots[Int(price & 63)] = lots } else { askLots[Int(price & 63)] = lots }
    events.append(.level(stream.instrument.index, side, price, lots))
  }

  mutating func advance(step: Int64, into events: inout [FlowEvent]) {
    let deviation = Self.squareRoot(variance)
    trade(into: &events)
    let move = deviation * random.bell() / 1024
    fair = max(200 * 1024, fair + move)
    variance = (baseVariance + 29 * variance + 2 * min(move * move, 100 * baseVariance)) / 32
    if runSteps > 0 {
      runSteps -= 1
      fair = max(200 * 1024, fair + runDrift)
    } else if random.below(400) == 0 {
      runSteps = random.within(50...300)
      runDrift = Self.squareRoot(baseVariance) * random.within(256...1024) / 1024 * (random.below(2) == 0 ? 1 : -1)
    }
    requote(deviation, into: &events)
    if step % 10 == 0 {
      basis = min(max(basis + random.bell() / 8, -3072), 3072)
      let value = (fair + basis) * stream.instrument.grid.tickE8 / 1024
      events.append(.index(stream.instrument.index, e8: value))
    }
  }

  private mutating func trade(into events: inout [FlowEvent]) {
    excitement -= excitement / 20
    // Four chances a step. A trade brings 0.6 more on average: bursts, but no explosion.
    let intensity = stream.tradesPerSecond * 2500 + excitement
    for _ in 0..<4 where random.below(1_000_000) < intensity {
      let buyPercent: Int64 = runSteps > 0 ? (runDrift > 0 ? 88 : 12) : lastSide == .buy ? 60 : 40
      let side: Side = random.below(100) < buyPercent ? .buy : .sell
      lastSide = side
      let kind = random.below(1000)
      let share =
        kind < 700 ? random.within(10...200) : kind < 950 ? random.within(200...1000) : random.within(1000...4000)
      let lots = max(1, stream.levelLots * share / 1000)
      // Up to three levels deep.
      let limit = side == .buy ? ask + 2 : bid - 2
      events.append(.trade(stream.instrument.index, aggressor: side, limit, lots))
      excitement += 7_500
      take(side, lots)
      fair += side.sign * min(2048, 256 * lots / stream.levelLots)
    }
  }

  /// Remembers what a trade took from the shown levels.
  private mutating func take(_ side: Side, _ lots: Int64) {
    var left = lots
    for offset in 0...2 where left > 0 {
      let price = side == .buy ? ask + Int64(offset) : bid - Int64(offset)
      let slot = Int(price & 63)
      let taken = min(left, side == .buy ? askLots[slot] : bidLots[slot])
      if side == .buy { askLots[slot] -= taken } else { bidLots[slot] -= taken }
      left -= taken
    }
  }

  private mutating func requote(_ deviation: Int64, into events: inout [FlowEvent]) {
    let half = 512 + deviation + excitement / 64
    let newBid = max(1 + Self.depth, (fair - half) / 1024)
    let newAsk = max(newBid + 1, (fair + half + 1023) / 1024)
    let oldBid = bid
    let oldAsk = ask
    bid = newBid
    ask = newAsk
    for price in (oldBid - Self.depth + 1)...oldBid where price > newBid || price <= newBid - Self.depth {
      set(.buy, price, 0, into: &events)
    }
    for price in oldAsk..<(oldAsk + Self.depth) where price < newAsk || price >= newAsk + Self.depth {
      set(.sell, price, 0, into: &events)
    }
    for offset in 0..<Self.depth {
      let below = newBid - offset
      let above = newAsk + offset
      if below > oldBid || below <= oldBid - Self.depth {
        place(.buy, below, into: &events)
      } else if bidLots[Int(below & 63)] == 0 || random.below(200) == 0 {
        place(.buy, below, into: &events)
      }
      if above < oldAsk || above >= oldAsk + Self.depth {
        place(.sell, above, into: &events)
      } else if askLots[Int(above & 63)] == 0 || random.below(200) == 0 {
        place(.sell, above, into: &events)
      }
    }
  }
}
