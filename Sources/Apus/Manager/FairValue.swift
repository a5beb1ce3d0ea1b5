import Glibc

/// What one underlying is worth by the tops of several venues, in each venue's own terms.
///
/// Free of clocks and I/O: tops come in with sizes and a time, prices in 10⁻⁸ of the quote currency come out. Between any
/// two venues there is a slow basis, so that contracts with different premiums compare; the fair price at one venue is a mean
/// of what all of them say, each moved by its basis to that venue. A venue counts the more, the fresher its top is, the more
/// depth it shows, and the more it leads the others. Who is too far from the median is not believed.
///
/// The same tops at the same times give the same prices, in whatever order those of different venues came. Nothing is
/// allocated after `init`; memory grows with the square of the number of venues.
public struct FairValue: Sendable {
  /// What of a top is the venue's price.
  public enum Price: String, Codable, CaseIterable, Sendable {
    case mid
    /// The mid moved towards the side with less on it, by the share of the other side.
    case micro
  }

  public struct Settings: Equatable, Sendable {
    public var price = Price.mid
    /// A top that is older by this counts half as much.
    public var halfLife: Nanoseconds = 500_000_000
    /// An older top does not count at all.
    public var staleAfter: Nanoseconds = 3_000_000_000
    /// A change of the distance between two venues is half of it in the basis after this.
    public var basisHalfLife: Nanoseconds = 60_000_000_000
    /// Distance from the median from which on a venue is not believed, 10⁻² basis points.
    public var outlierCentiBps: Int64 = 2000
    /// Samples of a distance before it is a basis.
    public var warmUp = 10
    /// Basis and leads are learned from one sample in each interval of this length.
    public var sampleInterval: Nanoseconds = 20_000_000

    public init() {}
  }

  /// The best prices of others at one venue, 10⁻⁸ of the quote currency, and their sizes, 10⁻⁸ coins.
  public struct Top: Equatable, Sendable {
    public var bidE8, askE8: Int64
    public var bidSizeE8, askSizeE8: Int64
    /// When the venue last said so.
    public var time: Nanoseconds

    public init(bidE8: Int64, askE8: Int64, bidSizeE8: Int64, askSizeE8: Int64, time: Nanoseconds) {
      self.bidE8 = bidE8
      self.askE8 = askE8
      self.bidSizeE8 = bidSizeE8
      self.askSizeE8 = askSizeE8
      self.time = time
    }

    /// `nil` unless there are two sides that do not cross.
    func priceE8(_ price: Price) -> Int64? {
      guard bidE8 > 0, askE8 >= bidE8 else { return nil }
      let mid = bidE8 + (askE8 - bidE8) / 2
      guard price == .micro, bidSizeE8 > 0, askSizeE8 > 0 else { return mid }
      let weighted = Int128(askE8 - bidE8) * Int128(bidSizeE8) / (Int128(bidSizeE8) + Int128(askSizeE8))
      return bidE8 + Int64(weighted)
    }

    /// What can be had on either side.
    var depthE8: Int64 { max(1, min(bidSizeE8, askSizeE8)) }
  }

  /// From an older top nothing is learned: its venue may have fallen silent while the others move.
  static let learnable: Nanoseconds = 500_000_000
  /// At most so many venues are in one estimate.
  public static let largestCount = 32

  public let settings: Settings
  public let count: Int
  /// Rises whenever a price in `valuesE8` changes.
  public private(set) var version: UInt64 = 0
  /// Of the newest top that went into the prices; 0 before the first.
  public private(set) var time: Nanoseconds = 0
  /// The fair price in each venue's own terms; 0: there is none.
  public private(set) var valuesE8: [Int64]

  private var tops: [Top?]
  private var pricesE8: [Int64]
  private var isFresh: [Bool]
  private var isRecent: [Bool]
  private var weights: [Double]
  private var basis: PairBasis
  private var leads: LeadLag
  private var lastSample: Nanoseconds?
  /// Room for one estimate.
  private var sorted: [Int64]

  public init(_ settings: Settings, count: Int) {
    precondition(count <= Self.largestCount, "a fair value has at most \(Self.largestCount) venues")
    self.settings = settings
    self.count = count
    valuesE8 = Array(repeating: 0, count: count)
    tops = Array(repeating: nil, count: count)
    pricesE8 = valuesE8
    isFresh = Array(repeating: false, count: count)
    isRecent = isFresh
    weights = Array(repeating: 0, count: count)
    let samples = Double(settings.basisHalfLife) / Double(max(1, settings.sampleInterval))
    basis = PairBasis(count: count, halfLife: samples, warmUp: settings.warmUp)
    leads = LeadLag(count: count, halfLife: samples)
    sorted = []
    sorted.reserveCapacity(count)
  }

  /// A venue's top, or `nil`: it has no market now. What is older than the last one is left aside.
  public mutating func note(_ top: Top?, from venue: Int) {
    if let top, let last = tops[venue], top.time < last.time { return }
    tops[venue] = top
  }

  /// Prices everything anew, and learns if a sample is due. `now` never falls.
  public mutating func turn(now: Nanoseconds) {
    look(now)
    let sample = now / settings.sampleInterval
    if sample != lastSample {
      let isNext = lastSample.map { sample == $0 + 1 } ?? false
      lastSample = sample
      for venue in 0..<count { isRecent[venue] = isFresh[venue] && now - tops[venue]!.time <= Self.learnable }
      basis.learn(pricesE8, isRecent, boundCentiBps: settings.outlierCentiBps)
      leads.learn(pricesE8, isRecent, isNext: isNext)
    }
    weigh(now)
    var hasChanged = false
    for venue in 0..<count {
      let value = estimate(for: venue)
      if value != valuesE8[venue] { hasChanged = true }
      valuesE8[venue] = value
    }
    if hasChanged { version += 1 }
  }

  /// How much more a price at `venue` is than one at `other`; `nil` until that is known.
  public func basisE8(of venue: Int, over other: Int) -> Int64? { basis.valueE8(venue, other) }

  /// How much a venue leads the others, −1 (it follows) … 1.
  public func lead(of venue: Int) -> Double { leads.score(venue) }

  /// The top of a venue, if it still counts.
  public func freshTop(of venue: Int) -> Top? { isFresh[venue] ? tops[venue] : nil }

  // MARK: - One estimate

  private mutating func look(_ now: Nanoseconds) {
    for venue in 0..<count {
      isFresh[venue] = false
      guard let top = tops[venue], now - top.time <= settings.staleAfter, let price = top.priceE8(settings.price)
      else { continue }
      pricesE8[venue] = price
      isFresh[venue] = true
      time = max(time, top.time)
    }
  }

  /// Depth counts from a quarter to four times the median depth: what is displayed costs nothing.
  private mutating func weigh(_ now: Nanoseconds) {
    sorted.removeAll(keepingCapacity: true)
    for venue in 0..<count where isFresh[venue] { sorted.append(tops[venue]!.depthE8) }
    guard !sorted.isEmpty else { return }
    sorted.sort()
    let median = Double(sorted[sorted.count / 2])
    for venue in 0..<count where isFresh[venue] {
      let top = tops[venue]!
      let age = Double(max(0, now - top.time)) / Double(settings.halfLife)
      let depth = min(4, max(0.25, Double(top.depthE8) / median))
      weights[venue] = exp2(2 * leads.score(venue) - age) * depth
    }
  }

  /// What a venue says, in the terms of another; `nil` if that is not known.
  private func moved(_ venue: Int, to other: Int) -> Int64? {
    guard isFresh[venue] else { return nil }
    guard venue != other else { return pricesE8[venue] }
    return basis.valueE8(other, venue).map { pricesE8[venue] + $0 }
  }

  /// The rule of who is believed: with three venues or more, who is within the bound of the median, if that is more than
  /// half of them; of two that are farther apart than the bound, neither; one alone, always.
  private mutating func estimate(for venue: Int) -> Int64 {
    sorted.removeAll(keepingCapacity: true)
    for other in 0..<count { if let value = moved(other, to: venue) { sorted.append(value) } }
    guard let first = sorted.first else { return 0 }
    guard sorted.count > 1 else { return max(0, first) }
    sorted.sort()
    let middle = sorted.count / 2
    let median =
      sorted.count % 2 == 1 ? sorted[middle] : sorted[middle - 1] + (sorted[middle] - sorted[middle - 1]) / 2
    let bound = Self.share(median, settings.outlierCentiBps)
    if sorted.count == 2, sorted[1] - sorted[0] > bound { return 0 }
    var accepted = 0
    var lowest = Int64.max, highest = Int64.min
    var weight = 0.0, moment = 0.0
    for other in 0..<count {
      guard let value = moved(other, to: venue), abs(value - median) <= bound else { continue }
      accepted += 1
      lowest = min(lowest, value)
      highest = max(highest, value)
      weight += weights[other]
      moment += weights[other] * Double(value - median)
    }
    guard 2 * accepted > sorted.count, weight > 0 else { return 0 }
    // To the nearest 10⁻⁸, and whatever `Double` has lost, never beyond those that are believed.
    let mean = median + Int64((moment / weight).rounded())
    return max(0, min(highest, max(lowest, mean)))
  }

  /// So many 10⁻² basis points of a price.
  static func share(_ priceE8: Int64, _ centiBps: Int64) -> Int64 {
    Int64(clamping: Int128(abs(priceE8)) * Int128(centiBps) / 1_000_000)
  }
}

/// The slow distance between the prices of any two venues. Fixed memory.
struct PairBasis: Sendable {
  private let count: Int
  private let rate: Double
  private let warmUp: Int
  /// Of (a, b): price at a less price at b, 10⁻⁸; kept for a < b.
  private var means: [Double]
  private var samples: [Int]

  /// - Parameter halfLife: in samples.
  init(count: Int, halfLife: Double, warmUp: Int) {
    self.count = count
    self.warmUp = max(1, warmUp)
    rate = 1 - exp2(-1 / max(halfLife, 1e-9))
    means = Array(repeating: 0, count: count * count)
    samples = Array(repeating: 0, count: count * count)
  }

  func valueE8(_ a: Int, _ b: Int) -> Int64? {
    let (low, high) = (min(a, b), max(a, b))
    let place = low * count + high
    guard a != b else { return 0 }
    guard samples[place] >= warmUp else { return nil }
    let mean = Int64(means[place].rounded())
    return a < b ? mean : -mean
  }

  /// A venue that has gone mad moves its basis by no more than the bound's share of the rate with each sample.
  mutating func learn(_ pricesE8: [Int64], _ isFresh: [Bool], boundCentiBps: Int64) {
    for a in 0..<count where isFresh[a] {
      for b in (a + 1)..<max(count, a + 1) where isFresh[b] {
        let place = a * count + b
        let distance = Double(pricesE8[a] - pricesE8[b])
        samples[place] = min(samples[place] + 1, 1 << 40)
        var step = distance - means[place]
        if samples[place] > warmUp {
          let bound = Double(FairValue.share(pricesE8[b], boundCentiBps))
          step = min(bound, max(-bound, step))
        }
        means[place] += step * max(rate, 1 / Double(min(samples[place], 1 << 20)))
      }
    }
  }
}

/// Which venue's moves come before those of the others: correlations of each one's last move with the others' present one,
/// exponentially forgotten. Fixed memory.
struct LeadLag: Sendable {
  private let count: Int
  private let rate: Double
  private var prices: [Int64?]
  private var moves: [Double]
  private var present: [Double]
  private var variances: [Double]
  /// Of (a, b): the last move of a with the present one of b.
  private var products: [Double]

  /// - Parameter halfLife: in samples.
  init(count: Int, halfLife: Double) {
    self.count = count
    rate = 1 - exp2(-1 / max(halfLife, 1e-9))
    prices = Array(repeating: nil, count: count)
    moves = Array(repeating: 0, count: count)
    present = moves
    variances = moves
    products = Array(repeating: 0, count: count * count)
  }

  /// - Parameter isNext: the last sample was the one before this; otherwise moves begin anew.
  mutating func learn(_ pricesE8: [Int64], _ isFresh: [Bool], isNext: Bool) {
    for venue in 0..<count {
      present[venue] = 0
      if isNext, isFresh[venue], let before = prices[venue], before > 0 {
        present[venue] = Double(pricesE8[venue] - before) / Double(before)
      }
      prices[venue] = isFresh[venue] ? pricesE8[venue] : nil
      variances[venue] += rate * (present[venue] * present[venue] - variances[venue])
    }
    for a in 0..<count {
      for b in 0..<count where a != b {
        products[a * count + b] += rate * ((isNext ? moves[a] : 0) * present[b] - products[a * count + b])
      }
    }
    for venue in 0..<count { moves[venue] = present[venue] }
  }

  /// −1 … 1: the mean over the others of how much more its moves foretell theirs than theirs its own.
  func score(_ venue: Int) -> Double {
    var sum = 0.0
    var others = 0.0
    for other in 0..<count where other != venue {
      let scale = (variances[venue] * variances[other]).squareRoot()
      guard scale > 0 else { continue }
      sum += (products[venue * count + other] - products[other * count + venue]) / scale
      others += 1
    }
    return others > 0 ? min(1, max(-1, sum / others)) : 0
  }
}
