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

  public init() {}
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
  /// Negative = short.
  public var position: QtyLots
  /// The largest position, long or short, that the limits allow, ≥ 0.
  public var maximumPosition: QtyLots
  public var directive: Directive

  public init(
    now: Nanoseconds, instrument: InstrumentIndex, grid: InstrumentGrid, bestBid: Quote, bestAsk: Quote,
    markE8: Int64, indexE8: Int64, position: QtyLots, maximumPosition: QtyLots, directive: Directive
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
}

/// A strategy behind one virtual call, so that the lane itself is not generic over it.
@usableFromInline
class AnyStrategy {
  @usableFromInline init() {}
  @usableFromInline func quote(_ view: QuoteView, into ladders: inout Ladders) {}
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
}
