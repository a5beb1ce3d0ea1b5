/// The keys of what holds over several venues; see `ConfigurationSchema`.

extension ManagerSection: DescribedSection {
  static var blank: Self { Self() }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.maxLoss, \.maxLoss, .decimal(.zero...decimal(10_000_000_000)), .defaulted, unit: "quote currency",
      "Loss since the start or the last apus resume at which safety.loss_level is latched; 0 sets no limit."),
    .init(
      CodingKeys.maxDrawdown, \.maxDrawdown, .decimal(.zero...decimal(10_000_000_000)), .defaulted,
      unit: "quote currency",
      "Fall from the best profit at which safety.loss_level is latched; 0 sets no limit."),
    .init(
      CodingKeys.widenAtLoss, \.widenAtLoss, .decimal(.zero...decimal(10_000_000_000)), .defaulted,
      unit: "quote currency", "Loss at which the quotes are widened; 0 never widens."),
    .init(
      CodingKeys.widenFactor, \.widenFactor, .decimal(.one...decimal(10), decimals: 3), .defaulted, unit: "times",
      "By how much: 2 doubles the half-spread. Quotes whose hedging venue is away are widened so too."),
    .init(
      CodingKeys.maxExposure, \.maxExposure, .decimal(.zero...decimal(10_000_000_000)), .defaulted,
      unit: "quote currency",
      "What the worst cases of all underlyings may be worth together, at their marks; 0 sets no limit. Every instrument must "
        + "then be on one of underlyings."),
    .init(
      CodingKeys.darkAfterMs, \.darkAfterMs, .whole(100...60_000), .defaulted, unit: "ms",
      "A lane that says nothing for so long is taken for dark: nothing is hedged there."),
  ]
}

extension UnderlyingSection: DescribedSection {
  static var blank: Self { Self(name: "", maxPosition: .zero) }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.name, \.name,
      .name(1...16, of: "A-Z 0-9", advice: "write it as the instruments' names begin, for example BTC") {
        isWord($0) && !$0.isLowercase
      }, .required, "The underlying, as its instruments' names begin."),
    .init(
      CodingKeys.maxPosition, \.maxPosition, .decimal(.zero...decimal(1_000_000_000), isAboveLower: true), .required,
      unit: "coins",
      "Largest position at all venues together, long or short, everything counted that may still trade."),
    .init(
      CodingKeys.skew, \.skew, .flag, .defaulted, "Whether each venue's quotes lean against the position of all."),
    .init(
      CodingKeys.hedge, \.hedge,
      optional: .name(
        3...81, of: "A-Z a-z 0-9 - _ . : /", advice: "write venue:instrument, for example deribit:BTC-PERPETUAL"
      ) { isIdentifier($0) || $0 == ":" || $0 == "/" },
      "Where a position above hedge_band is closed by taking: venue:instrument."),
    .init(
      CodingKeys.hedgeBand, \.hedgeBand, .decimal(.zero...decimal(1_000_000_000)), .defaulted, unit: "coins",
      "Position up to which nothing is hedged."),
    .init(
      CodingKeys.hedgeSlippageBps, \.hedgeSlippageBps, .decimal(.zero...decimal(1000), decimals: 2), .defaulted,
      unit: "bps",
      "How far from the best price a hedge may trade."),
    .init(
      CodingKeys.hedgePatienceMs, \.hedgePatienceMs, .whole(0...600_000), .defaulted, unit: "ms",
      "How long an order that waits at the best price is tried before one takes; 0 takes at once."),
    .init(
      CodingKeys.hedgePerMinute, \.hedgePerMinute, .decimal(.zero...decimal(1_000_000_000)), .defaulted,
      unit: "coins/min", "The most that hedges take within a minute; 0 sets no limit."),
    .init(
      CodingKeys.hedgeLost, \.hedgeLost, .choice, .defaulted,
      "What quoting of the underlying does while the venue of hedge is away: quote goes on, widen multiplies the half-spread by "
        + "manager.widen_factor, stop pulls the quotes."),
    .init(
      CodingKeys.fair, \.fair, .choice, .defaulted,
      "What of each venue's top makes the fair value: mid, micro (weighted by the sizes), or none."),
    .init(
      CodingKeys.fairHalfLifeMs, \.fairHalfLifeMs, .whole(10...60_000), .defaulted, unit: "ms",
      "A top that is older by this counts half as much."),
    .init(
      CodingKeys.fairStaleMs, \.fairStaleMs, .whole(500...600_000), .defaulted, unit: "ms",
      "An older top does not count."),
    .init(
      CodingKeys.fairBasisSeconds, \.fairBasisSeconds, .whole(1...86_400), .defaulted, unit: "s",
      "Half-life of the basis between two venues, and of who leads whom."),
    .init(
      CodingKeys.fairOutlierBps, \.fairOutlierBps, .decimal(.zero...decimal(1000), isAboveLower: true, decimals: 2),
      .defaulted, unit: "bps", "A venue farther than this from the median is not believed."),
    .init(
      CodingKeys.crossed, \.crossed, .choice, .defaulted,
      "When a bid at one venue is above an ask at another, basis and fees deducted: ignore it, avoid it by pulling the sides "
        + "that would be taken at a loss, or take both prices."),
    .init(
      CodingKeys.crossedEdgeBps, \.crossedEdgeBps, .decimal(.zero...decimal(1000), decimals: 2), .defaulted, unit: "bps",
      "What has to be left after fees for books to count as crossed."),
    .init(
      CodingKeys.crossedSize, \.crossedSize, .decimal(.zero...decimal(1_000_000_000)), .defaulted, unit: "coins",
      "With crossed: take, the most that one attempt takes at each venue."),
    .init(
      CodingKeys.crossedPerMinute, \.crossedPerMinute, .decimal(.zero...decimal(1_000_000_000)), .defaulted,
      unit: "coins/min", "With crossed: take, the most that is taken within a minute."),
  ]
}
