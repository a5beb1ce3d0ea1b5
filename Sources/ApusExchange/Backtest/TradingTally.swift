import Apus
import CSupport

/// Adds up what quotes and fills came to: of a backtest, and of a recorded run. One thread, times that never go back.
///
/// Each moment is a call of `begin`, changes of the tracks, and a call of `end`.
final class TradingTally {
  static let horizons: [Nanoseconds] = [1_000_000_000, 10_000_000_000, 60_000_000_000]
  /// Times in the series at most.
  private static let capacity = 2400

  /// How one instrument stands, and its sums so far.
  struct Track {
    let name: String
    let grid: InstrumentGrid
    /// The others' best prices, ticks; 0 = none.
    var bid: Int64 = 0
    var ask: Int64 = 0
    var midE8: Int64 = 0
    /// Our best quotes, ticks; 0 = none.
    var ownBid: Int64 = 0
    var ownAsk: Int64 = 0
    var fundingE8: MoneyE8 = 0
    var marketLots: Int64 = 0

    fileprivate(set) var lots: Int64 = 0
    fileprivate var cashE8: MoneyE8 = 0
    fileprivate var report: BacktestReport.Instrument
    fileprivate var hasBegun = false
    /// Σ distance · time, 10⁻⁸ of the mid times nanoseconds, and Σ |lots| · time.
    fileprivate var bidDistance: Int128 = 0
    fileprivate var askDistance: Int128 = 0
    fileprivate var positionTime: Int128 = 0
    fileprivate var observed: Nanoseconds = 0
    /// Fills that wait for each horizon: those before have been answered.
    fileprivate var answered = [Int](repeating: 0, count: horizons.count)
    fileprivate var low = Int64.max
    fileprivate var high = Int64.min
    fileprivate var best = MoneyE8(0)

    fileprivate var profitE8: MoneyE8 {
      cashE8 + valueE8(lots: lots, priceE8: midE8, grid: grid) - report.figures.feesE8 + fundingE8
    }

    /// The profit, once it has been held against the highest so far.
    fileprivate mutating func fall() -> MoneyE8 {
      let profit = profitE8
      best = max(best, profit)
      report.figures.drawdownE8 = max(report.figures.drawdownE8, best - profit)
      return profit
    }

    fileprivate mutating func pass(_ elapsed: Nanoseconds) {
      if midE8 > 0 {
        observed += elapsed
        positionTime += Int128(abs(lots)) * Int128(elapsed)
      }
      guard hasBegun else { return }
      report.figures.watched += elapsed
      if ownBid > 0 {
        report.figures.quotedBid += elapsed
        bidDistance += Int128(distance(midE8 - ownBid * grid.tickE8)) * Int128(elapsed)
      }
      if ownAsk > 0 {
        report.figures.quotedAsk += elapsed
        askDistance += Int128(distance(ownAsk * grid.tickE8 - midE8)) * Int128(elapsed)
      }
      if ownBid > 0, ownAsk > 0 { report.figures.quotedBoth += elapsed }
    }

    private func distance(_ e8: Int64) -> Int64 { midE8 > 0 ? Decimal.scaled(e8, 100_000_000, over: midE8) : 0 }

    /// Answers the horizons that end before `time`, or also those that end at it.
    fileprivate mutating func answer(before time: Nanoseconds, orAt isIncluded: Bool) {
      for (place, horizon) in horizons.enumerated() {
        while answered[place] < report.fills.count {
          let due = report.fills[answered[place]].time + horizon
          guard isIncluded ? due <= time : due < time else { break }
          report.fills[answered[place]].midsAfter[place] = midE8
          answered[place] += 1
        }
      }
    }
  }

  var tracks: [Track]
  private var now: Nanoseconds = 0
  private var total = BacktestReport.Figures()
  private var bestProfit = MoneyE8(0)

  private struct Sample {
    var bucket: Int64
    var time: Nanoseconds
    var values: [Values]
  }
  private struct Values {
    var bid: Int64
    var ask: Int64
    /// 0: there was no mid.
    var low: Int64
    var high: Int64
    var ownBid: Int64
    var ownAsk: Int64
    var position: Int64
    var profitE8: MoneyE8
  }
  private var samples: [Sample] = []
  private var interval: Nanoseconds = 10_000_000

  init(_ instruments: [(name: String, grid: InstrumentGrid)]) {
    tracks = instruments.map { name, grid in
      Track(
        name: name, grid: grid,
        report: BacktestReport.Instrument(name: name, tickE8: grid.tickE8, lotE8: grid.lotE8))
    }
  }

  /// Time has passed until `time` with everything as it was.
  func begin(_ time: Nanoseconds) {
    let elapsed = time - now
    if elapsed > 0, time / interval != now / interval { sample() }
    for index in tracks.indices {
      tracks[index].answer(before: time, orAt: false)
      tracks[index].pass(elapsed)
    }
    now = time
  }

  /// Everything that happens at the time of `begin` has been said.
  func end() {
    var profit: MoneyE8 = 0
    for index in tracks.indices {
      tracks[index].answer(before: now, orAt: true)
      if tracks[index].ownBid > 0, tracks[index].ownAsk > 0 { tracks[index].hasBegun = true }
      let mid = tracks[index].midE8
      guard mid > 0 else { continue }
      tracks[index].low = min(tracks[index].low, mid)
      tracks[index].high = max(tracks[index].high, mid)
      profit += tracks[index].fall()
    }
    bestProfit = max(bestProfit, profit)
    total.drawdownE8 = max(total.drawdownE8, bestProfit - profit)
  }

  func add(
    _ index: Int, time: Nanoseconds, side: Side, priceE8: Int64, lots: Int64, isMaker: Bool, feeE8: MoneyE8,
    midE8: Int64, cause: FillCause = .match
  ) {
    let grid = tracks[index].grid
    let value = valueE8(lots: lots, priceE8: priceE8, grid: grid)
    tracks[index].lots += side.sign * lots
    tracks[index].cashE8 -= side.sign * value
    tracks[index].report.figures.feesE8 += feeE8
    tracks[index].report.figures.tradedE8 += value
    tracks[index].report.figures.spreadE8 += side.sign * (valueE8(lots: lots, priceE8: midE8, grid: grid) - value)
    if isMaker { tracks[index].report.figures.makerFills += 1 } else { tracks[index].report.figures.takerFills += 1 }
    switch cause {
    case .match: break
    case .queue: tracks[index].report.figures.queueFills += 1
    case .through: tracks[index].report.figures.throughFills += 1
    case .quote: tracks[index].report.figures.quoteFills += 1
    }
    if side == .buy { tracks[index].report.boughtLots += lots } else { tracks[index].report.soldLots += lots }
    tracks[index].report.largestPositionLots = max(
      tracks[index].report.largestPositionLots, abs(tracks[index].lots))
    tracks[index].report.fills.append(
      BacktestReport.Fill(
        time: time, isBuy: side == .buy, isMaker: isMaker, cause: cause, priceE8: priceE8, lots: lots, feeE8: feeE8,
        midE8: midE8,
        positionAfter: tracks[index].lots, midsAfter: Array(repeating: nil, count: Self.horizons.count)))
  }

  /// A fee that came after its fill.
  func addFee(_ index: Int, _ feeE8: MoneyE8) { tracks[index].report.figures.feesE8 += feeE8 }

  // MARK: - Series

  private func sample() {
    guard tracks.contains(where: { $0.midE8 > 0 }) else { return }
    var values: [Values] = []
    values.reserveCapacity(tracks.count)
    for index in tracks.indices {
      let track = tracks[index]
      let half = max(1, track.grid.tickE8 / 2)
      let hasMid = track.midE8 > 0
      values.append(
        Values(
          bid: track.bid, ask: track.ask, low: hasMid ? track.low / half : 0, high: hasMid ? track.high / half : 0,
          ownBid: track.ownBid, ownAsk: track.ownAsk, position: track.lots, profitE8: track.profitE8))
      guard hasMid else { continue }
      tracks[index].low = track.midE8
      tracks[index].high = track.midE8
    }
    samples.append(Sample(bucket: now / interval, time: now, values: values))
    if samples.count >= Self.capacity { thin() }
  }

  /// Half as many: of two neighbours the later, with the range of both.
  private func thin() {
    interval *= 2
    var kept: [Sample] = []
    for sample in samples {
      var sample = sample
      sample.bucket /= 2
      if let last = kept.last, last.bucket == sample.bucket {
        for index in sample.values.indices where last.values[index].low > 0 {
          sample.values[index].low = min(sample.values[index].low, last.values[index].low)
          sample.values[index].high = max(sample.values[index].high, last.values[index].high)
        }
        kept[kept.count - 1] = sample
      } else {
        kept.append(sample)
      }
    }
    samples = kept
  }

  // MARK: - The end

  func report() -> BacktestReport {
    sample()
    var report = BacktestReport()
    report.times = samples.map(\.time)
    report.circumstances.duration = now
    total.markouts = Self.horizons.map { BacktestReport.Markout(horizon: $0) }
    for (index, track) in tracks.enumerated() {
      var instrument = track.report
      finish(&instrument, track)
      instrument.series = series(index)
      add(instrument.figures)
      report.instruments.append(instrument)
    }
    report.total = total
    return report
  }

  private func finish(_ instrument: inout BacktestReport.Instrument, _ track: Track) {
    var figures = instrument.figures
    instrument.positionLots = track.lots
    instrument.marketLots = track.marketLots
    if track.observed > 0 {
      instrument.meanPositionMilliLots = Int64(track.positionTime * 1000 / Int128(track.observed))
    }
    if figures.quotedBid > 0 { figures.bidDistanceE8 = Int64(track.bidDistance / Int128(figures.quotedBid)) }
    if figures.quotedAsk > 0 { figures.askDistanceE8 = Int64(track.askDistance / Int128(figures.quotedAsk)) }
    figures.fundingE8 = track.fundingE8
    figures.profitE8 = track.profitE8
    figures.inventoryE8 = figures.profitE8 - figures.spreadE8 + figures.feesE8 - figures.fundingE8
    figures.markouts = Self.horizons.enumerated().map { place, horizon in
      var markout = BacktestReport.Markout(horizon: horizon)
      for fill in instrument.fills {
        guard let mid = fill.midsAfter[place] else { continue }
        let value = valueE8(lots: fill.lots, priceE8: fill.priceE8, grid: track.grid)
        markout.fills += 1
        markout.tradedE8 += value
        markout.valueE8 +=
          (fill.isBuy ? 1 : -1) * (valueE8(lots: fill.lots, priceE8: mid, grid: track.grid) - value)
      }
      return markout
    }
    instrument.figures = figures
  }

  private func add(_ figures: BacktestReport.Figures) {
    // Means of distances: weighted by the time that they are of.
    func mean(_ a: Int64, _ aTime: Nanoseconds, _ b: Int64, _ bTime: Nanoseconds) -> Int64 {
      let time = Int128(aTime) + Int128(bTime)
      return time > 0 ? Int64((Int128(a) * Int128(aTime) + Int128(b) * Int128(bTime)) / time) : 0
    }
    total.bidDistanceE8 = mean(total.bidDistanceE8, total.quotedBid, figures.bidDistanceE8, figures.quotedBid)
    total.askDistanceE8 = mean(total.askDistanceE8, total.quotedAsk, figures.askDistanceE8, figures.quotedAsk)
    total.watched += figures.watched
    total.quotedBoth += figures.quotedBoth
    total.quotedBid += figures.quotedBid
    total.quotedAsk += figures.quotedAsk
    total.makerFills += figures.makerFills
    total.takerFills += figures.takerFills
    total.queueFills += figures.queueFills
    total.throughFills += figures.throughFills
    total.quoteFills += figures.quoteFills
    total.tradedE8 += figures.tradedE8
    total.spreadE8 += figures.spreadE8
    total.inventoryE8 += figures.inventoryE8
    total.feesE8 += figures.feesE8
    total.fundingE8 += figures.fundingE8
    total.profitE8 += figures.profitE8
    for place in total.markouts.indices {
      total.markouts[place].fills += figures.markouts[place].fills
      total.markouts[place].valueE8 += figures.markouts[place].valueE8
      total.markouts[place].tradedE8 += figures.markouts[place].tradedE8
    }
  }

  private func series(_ index: Int) -> BacktestReport.Series {
    var series = BacktestReport.Series()
    for sample in samples {
      let values = sample.values[index]
      series.bid.append(values.bid)
      series.ask.append(values.ask)
      series.low.append(values.low)
      series.high.append(values.high)
      series.ownBid.append(values.ownBid)
      series.ownAsk.append(values.ownAsk)
      series.position.append(values.position)
      series.profitE8.append(values.profitE8)
    }
    return series
  }
}
