import CSupport

/// Bids at one venue above asks at another, and what is done about them. Amounts in 10⁻⁸; free of clocks.
///
/// Prices are compared in terms of the cheap venue: the dear one's bid less the basis between them, and less what taking
/// costs at both.
struct CrossedBooks {
  /// Bids at `dear` are above asks at `cheap`.
  struct Cross: Equatable {
    var dear: Int
    var cheap: Int
    /// What is left after basis and fees, 10⁻² basis points of the price.
    var edgeCentiBps: Int64
    /// What both sides show.
    var sizeE8: Int64
  }

  let settings: UnderlyingSettings.Crossed
  private var budget: TakeBudget
  /// By source: until when a side is not quoted.
  private(set) var noBidsUntil: [Nanoseconds]
  private(set) var noAsksUntil: [Nanoseconds]
  private var takenAt: Nanoseconds?
  /// Turns in which books were crossed, and pairs of orders sent to take both prices.
  private(set) var seenCount = 0
  private(set) var takenCount = 0

  /// Sides come back when the books have not been crossed for so long.
  static let hold: Nanoseconds = 250_000_000
  /// Prices that count must be younger: a market that stands is told four times a second.
  static let oldest: Nanoseconds = 500_000_000
  /// Between two attempts: fills, and the position that they leave, are to be known first.
  static let pause: Nanoseconds = 1_000_000_000

  init(_ settings: UnderlyingSettings.Crossed, count: Int) {
    self.settings = settings
    budget = TakeBudget(perMinuteE8: settings.perMinuteE8)
    noBidsUntil = Array(repeating: 0, count: count)
    noAsksUntil = noBidsUntil
  }

  /// - Parameter lanes: of each source.
  /// - Returns: every crossed pair; the one with the best edge first.
  func find(_ fair: FairValue, lanes: [Int], now: Nanoseconds) -> [Cross] {
    func top(_ source: Int) -> FairValue.Top? {
      fair.freshTop(of: source).flatMap { now - $0.time <= Self.oldest ? $0 : nil }
    }
    var found: [Cross] = []
    for dear in lanes.indices {
      guard let high = top(dear) else { continue }
      for cheap in lanes.indices where lanes[cheap] != lanes[dear] {
        guard let low = top(cheap), let basis = fair.basisE8(of: dear, over: cheap), low.askE8 > 0
        else { continue }
        let fees = FairValue.share(high.bidE8, fee(lanes[dear])) + FairValue.share(low.askE8, fee(lanes[cheap]))
        let edge = Int128(high.bidE8 - basis - low.askE8 - fees) * 1_000_000 / Int128(low.askE8)
        guard edge > 0, edge >= settings.edgeCentiBps else { continue }
        found.append(
          Cross(
            dear: dear, cheap: cheap, edgeCentiBps: Int64(clamping: edge),
            sizeE8: min(high.bidSizeE8, low.askSizeE8)))
      }
    }
    return found.sorted { $0.edgeCentiBps > $1.edgeCentiBps }
  }

  private func fee(_ lane: Int) -> Int64 {
    settings.feesCentiBps.indices.contains(lane) ? settings.feesCentiBps[lane] : 0
  }

  /// If the dear venue is wrong, our bids there pay too much; if the cheap one is, our asks there give too cheaply.
  mutating func note(_ found: [Cross], now: Nanoseconds) {
    guard settings.rule != .ignore, !found.isEmpty else { return }
    seenCount += 1
    for cross in found {
      noBidsUntil[cross.dear] = now + Self.hold
      noAsksUntil[cross.cheap] = now + Self.hold
    }
  }

  /// What may be taken of a cross now, coins; 0: nothing.
  ///
  /// - Parameter largestEdge: from which on one of the venues is not believed, 10⁻² basis points.
  mutating func taking(_ cross: Cross, largestEdge: Int64, now: Nanoseconds) -> Int64 {
    guard settings.rule == .take, cross.edgeCentiBps <= largestEdge, takenAt.map({ now - $0 >= Self.pause }) ?? true
    else { return 0 }
    return min(cross.sizeE8, settings.sizeE8, budget.available(now: now))
  }

  /// Half of the edge for each order: at the worst both prices together leave nothing.
  func slippageCentiBps(_ cross: Cross) -> Int64 { cross.edgeCentiBps / 2 }

  mutating func took(_ coinsE8: Int64, now: Nanoseconds) {
    takenAt = now
    takenCount += 1
    budget.spend(coinsE8)
  }
}
