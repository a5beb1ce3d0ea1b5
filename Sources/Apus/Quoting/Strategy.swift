import CSupport

/// What the manager asks of a lane for one instrument. The neutral directive changes nothing.
public struct Directive: Equatable, Sendable {
  /// Half-spreads are multiplied by this many thousandths, ≥ 1000 in ordinary use.
  public var widenPermille: Int32 = 1000
  /// False: cancel everything and add nothing, until a later directive says otherwise.
  public var isQuotingAllowed = true
  /// The position to steer towards, lots.
  public var targetPosition = QtyLots(rawValue: 0)
  /// The largest worst case, long and short, that the manager leaves to this instrument of what all venues share.
  public var longCap = QtyLots(rawValue: .max)
  public var shortCap = QtyLots(rawValue: .max)
  /// What the instrument is worth by the tops of all venues, in this venue's own terms: 10⁻⁸ of the quote currency; 0: there
  /// is no such value. Never older than `fairValueLifetime` when a strategy sees it.
  public var fairValueE8: Int64 = 0
  /// A side that is not to be quoted, because another venue's prices say that it would be taken at a loss.
  public var pullsBids = false
  public var pullsAsks = false
  /// What is to be bought by an order that waits at the best price, beside what the strategy quotes; sold if negative.
  public var passiveHedge = QtyLots(rawValue: 0)
  /// When the lane got it, on the lane's clock.
  var time: Nanoseconds = 0

  /// The manager repeats a fair value that stands: one that it has not repeated for so long is none.
  public static let fairValueLifetime: Nanoseconds = 3_000_000_000

  public init() {}

  /// As a strategy may see it at `now`.
  @inline(__always)
  func fresh(now: Nanoseconds) -> Directive {
    guard fairValueE8 != 0, now - time > Self.fairValueLifetime else { return self }
    var directive = self
    directive.fairValueE8 = 0
    return directive
  }
}

/// Everything that a strategy may look at: values only, of one instrument at one moment.
public struct QuoteView: Sendable {
  /// On the lane's clock.
  public var now: Nanoseconds
  public var instrument: InstrumentIndex
  public var grid: InstrumentGrid
  /// The best prices and sizes of others: our own orders are taken out.
  public var bestBid: Quote
  public var bestAsk: Quote
  /// 10⁻⁸ of the quote currency; 0 if the venue has not said.
  public var markE8: Int64
  public var indexE8: Int64
  /// The venue's clock, nanoseconds since the Unix epoch, as its last ticker tells it; 0 if it has not said.
  public var venueTime: Nanoseconds
  /// Of an option's mark, as the venue's ticker states them, 10⁻⁸: volatility (0.369 is 36.9 %), delta (−1 ... 1), and the
  /// price of the future that it is computed from in the quote currency. 0 if the venue does not say.
  public var volatilityE8: Int64
  public var deltaE8: Int64
  public var forwardE8: Int64
  /// Negative = short.
  public var position: QtyLots
  /// The largest position, long or short, that the limits allow, ≥ 0.
  public var maximumPosition: QtyLots
  public var directive: Directive

  public init(
    now: Nanoseconds, instrument: InstrumentIndex, grid: InstrumentGrid, bestBid: Quote, bestAsk: Quote,
    markE8: Int64, indexE8: Int64, position: QtyLots, maximumPosition: QtyLots, directive: Directive,
    venueTime: Nanoseconds = 0, volatilityE8: Int64 = 0, deltaE8: Int64 = 0, forwardE8: Int64 = 0
  ) {
    self.now = now
    self.instrument = instrument
    self.grid = grid
    self.bestBid = bestBid
    self.bestAsk = bestAsk
    self.markE8 = markE8
    self.indexE8 = indexE8
    self.position = position
    self.maximumPosition = maximumPosition
    self.directive = directive
    self.venueTime = venueTime
    self.volatilityE8 = volatilityE8
    self.deltaE8 = deltaE8
    self.forwardE8 = forwardE8
  }
}

/// Decides which quotes should stand. Called on the lane's thread whenever something that a
/// strategy can see has changed; it neither blocks nor allocates nor reads a clock.
///
/// The engine keeps it safe: whatever a strategy asks for is cut to the limits, never crosses the
/// market, and is sent only as far as the venue's message rate allows.
public protocol Strategy: SendableMetatype {
  /// States the quotes wanted now. `ladders` comes empty; what is left empty is pulled.
  mutating func quote(_ view: QuoteView, into ladders: inout Ladders)

  /// A trade that the venue has made public, our own among them, told before the `quote` that follows it; the oldest
  /// are left out if more than `TradeTape.capacity` came in between. Not every strategy needs it.
  mutating func trade(_ trade: PublicTrade)

  /// Told instead of `quote` where nothing may be quoted, for example because a side of the market is empty. The view is as
  /// for `quote`, but for the best prices, which are 0. For strategies of several instruments that count what is held.
  mutating func hold(_ view: QuoteView)
}

extension Strategy {
  @inlinable public mutating func trade(_ trade: PublicTrade) {}
  @inlinable public mutating func hold(_ view: QuoteView) {}
}

/// A strategy behind one virtual call, so that the lane itself is not generic over it.
@usableFromInline
class AnyStrategy {
  @usableFromInline init() {}
  @usableFromInline func quote(_ view: QuoteView, into ladders: inout Ladders) {}
  @usableFromInline func trade(_ trade: PublicTrade) {}
  @usableFromInline func hold(_ view: QuoteView) {}
}

/// Inlinable, so that a strategy of another module is specialised there.
@usableFromInline
final class StrategyBox<S: Strategy>: AnyStrategy {
  // Unchecked: called by the lane alone, and a strategy cannot reach its own box.
  @exclusivity(unchecked) @usableFromInline final var strategy: S

  @inlinable init(_ strategy: S) {
    self.strategy = strategy
    super.init()
  }

  @inlinable override func quote(_ view: QuoteView, into ladders: inout Ladders) {
    strategy.quote(view, into: &ladders)
  }

  @inlinable override func trade(_ trade: PublicTrade) { strategy.trade(trade) }
  @inlinable override func hold(_ view: QuoteView) { strategy.hold(view) }
}
