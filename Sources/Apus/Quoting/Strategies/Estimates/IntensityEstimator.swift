import CSupport
import Glibc

/// How often a quote at a distance from the middle is reached by takers: `λ(δ) = A · e^(−k δ)` a second, each side.
///
/// Time is cut into intervals. In each, and for each side, the farthest trade from the middle at the interval's beginning
/// is the reach of that side. A quote at δ is reached in a share `p(δ)` of the intervals, so its intensity is
/// `−ln(1 − p(δ)) / interval`, and a weighted least-squares line through `ln λ` over the reached distances gives `ln A` and
/// `−k`; the weights are the counts, whose inverse the variance of `ln λ` is. Distances at which hardly fewer intervals
/// reach than at 0, within the spread of the market, are left out but for the last of them.
///
/// Counts lie in 32 bins; when a tenth of them lies beyond the last one, bins are joined in pairs. They halve every
/// `halfLife`. Fixed memory; the logarithms are taken in `refresh`, which the caller asks for seldom.
public struct IntensityEstimator: Sendable {
  /// `A` in fills a second, `k` per price unit; both > 0 and finite.
  public struct Estimate: Equatable, Sendable {
    public var arrivals: Double
    public var decay: Double

    public init(arrivals: Double, decay: Double) {
      self.arrivals = arrivals
      self.decay = decay
    }
  }

  static let binCount = 32
  /// Intervals without a call that count, at most: nothing was heard of the market in a longer pause.
  static let longestPause: Int64 = 100

  public let interval: Nanoseconds
  public let halfLife: Nanoseconds
  /// Reached intervals before there is an estimate.
  public let minimumReaches: Double

  /// The size of a bin in price units.
  public private(set) var width: Double
  /// By distance in bins, the last for what is beyond.
  private var counts = InlineArray<33, Double>(repeating: 0)
  /// Intervals, those of both sides counted.
  private var trials = 0.0
  private var begin: Nanoseconds?
  private var middle = 0.0
  private var buyReach = -1.0
  private var sellReach = -1.0
  private var refreshed: Nanoseconds = 0
  public private(set) var estimate: Estimate?

  /// - Parameters:
  ///   - width: of a bin to begin with, price units, > 0; half a tick does.
  ///   - interval: > 0.
  ///   - halfLife: > 0.
  public init(width: Double, interval: Nanoseconds, halfLife: Nanoseconds, minimumReaches: Double = 20) {
    self.width = width
    self.interval = interval
    self.halfLife = halfLife
    self.minimumReaches = minimumReaches
  }

  /// A public trade at `price`, in price units, heard at `time`.
  @inline(__always)
  public mutating func note(tradeAt price: Double, aggressor: Side, time: Nanoseconds) {
    guard let begin, time >= begin else { return }
    if aggressor == .buy {
      buyReach = max(buyReach, price - middle)
    } else {
      sellReach = max(sellReach, middle - price)
    }
  }

  /// The middle of the market, in price units, after the trades that came before it.
  @inline(__always)
  public mutating func note(_ price: Double, now: Nanoseconds) {
    guard let start = begin, now >= start else {
      restart(price, now)
      refreshed = now
      return
    }
    let elapsed = now &- start
    guard elapsed >= interval else { return }
    trials += 2 * Double(min(elapsed / interval, Self.longestPause))
    count(buyReach)
    count(sellReach)
    restart(price, now)
  }

  private mutating func restart(_ price: Double, _ now: Nanoseconds) {
    begin = now
    middle = price
    buyReach = -1
    sellReach = -1
  }

  private mutating func count(_ reach: Double) {
    guard reach >= 0 else { return }
    let bin = reach / width
    counts[bin < Double(Self.binCount) ? Int(bin) : Self.binCount] += 1
  }

  /// Lets old counts fade and fits the line anew. An estimate that cannot be had leaves the last one.
  public mutating func refresh(now: Nanoseconds) {
    let left = Decay.half(Double(max(0, now &- refreshed)) / Double(halfLife))
    refreshed = now
    trials *= left
    var total = 0.0
    for bin in 0...Self.binCount {
      counts[bin] *= left
      total += counts[bin]
    }
    if counts[Self.binCount] > total / 10, width < 1e12 { joinBins() }
    guard total >= minimumReaches, let fitted = fit(total) else { return }
    estimate = fitted
  }

  private mutating func joinBins() {
    width *= 2
    for bin in 0..<Self.binCount / 2 { counts[bin] = counts[2 * bin] + counts[2 * bin + 1] }
    for bin in Self.binCount / 2..<Self.binCount { counts[bin] = 0 }
    // At least so far.
    counts[Self.binCount / 2] = counts[Self.binCount]
    counts[Self.binCount] = 0
  }

  private mutating func fit(_ total: Double) -> Estimate? {
    let seconds = Double(interval) * 1e-9
    var reached = counts[Self.binCount]
    var points = 0
    var (sum, sumX, sumY, sumXX, sumXY) = (0.0, 0.0, 0.0, 0.0, 0.0)
    var bin = Self.binCount - 1
    while bin >= 0 {
      reached += counts[bin]
      defer { bin -= 1 }
      // An empty bin repeats the point beyond it.
      guard reached >= 3, counts[bin] > 0 else { continue }
      let share = min(reached / trials, 0.999)
      let x = Double(bin) * width
      let y = log(-log1p(-share) / seconds)
      points += 1
      sum += reached
      sumX += reached * x
      sumY += reached * y
      sumXX += reached * x * x
      sumXY += reached * x * y
      if reached > total * 0.95 { break }
    }
    guard points >= 3 else { return nil }
    let spread = sum * sumXX - sumX * sumX
    let decay = -(sum * sumXY - sumX * sumY) / spread
    let arrivals = exp((sumY + decay * sumX) / sum)
    guard decay > 0, decay.isFinite, arrivals > 0, arrivals.isFinite else { return nil }
    return Estimate(arrivals: arrivals, decay: decay)
  }
}
