import CSupport

public struct OrderFlowParameters: Equatable, Sendable {
  /// After which an order's effect on the signal is half, > 0.
  public var halfLife: Nanoseconds
  /// The signal from which the side about to be run over moves away, in mean sizes of a best level, ≥ 0.
  public var widenAt: Double
  /// The signal at which that side is pulled, > `widenAt`. It comes back below `widenAt`.
  public var pullAt: Double
  /// How far that side has moved away just before it is pulled, in 10⁻² basis points of the price, ≥ 0.
  public var widenCentiBps: Int64

  public init(halfLife: Nanoseconds, widenAt: Double, pullAt: Double, widenCentiBps: Int64) {
    self.halfLife = halfLife
    self.widenAt = widenAt
    self.pullAt = pullAt
    self.widenCentiBps = widenCentiBps
  }
}

/// Takes the side away that the flow of orders is about to run over; sits on top of any strategy.
///
/// A strategy of one's own holds one beside what it wraps, and lets it have the last word:
///
///     mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {
///       inner.quote(view, into: &ladders)
///       flow.restrain(view, &ladders)
///     }
///
/// The signal is `FlowImbalance`. Source: R. Cont, A. Kukanov, S. Stoikov, "The price impact of order book events",
/// Journal of Financial Econometrics 12 (2014), section 2.1.
public struct OrderFlowPull: Sendable {
  public private(set) var parameters: OrderFlowParameters
  private var imbalance: FlowImbalance
  private var isBidPulled = false
  private var isAskPulled = false

  public init(_ parameters: OrderFlowParameters) {
    self.parameters = parameters
    imbalance = FlowImbalance(halfLife: parameters.halfLife)
  }

  /// Other parameters from the next look on; the flow counts on, unless it is to be forgotten in another time.
  mutating func retune(_ new: OrderFlowParameters) {
    if new.halfLife != parameters.halfLife { imbalance = FlowImbalance(halfLife: new.halfLife) }
    parameters = new
  }

  /// The signal as of the last look; positive: buying.
  public var signal: Double { imbalance.value }

  public mutating func restrain(_ view: QuoteView, _ ladders: inout Ladders) {
    imbalance.note(bid: view.bestBid, ask: view.bestAsk, now: view.now)
    let signal = imbalance.value
    isAskPulled = signal >= parameters.pullAt || isAskPulled && signal >= parameters.widenAt
    isBidPulled = -signal >= parameters.pullAt || isBidPulled && -signal >= parameters.widenAt
    if isAskPulled {
      ladders.asks.removeAll()
    } else if signal > parameters.widenAt {
      ladders.asks.moveAway(by: distance(signal, view))
    }
    if isBidPulled {
      ladders.bids.removeAll()
    } else if -signal > parameters.widenAt {
      ladders.bids.moveAway(by: distance(-signal, view))
    }
  }

  /// Ticks, rounded up.
  @inline(__always)
  private func distance(_ signal: Double, _ view: QuoteView) -> Int64 {
    let share = (signal - parameters.widenAt) / (parameters.pullAt - parameters.widenAt)
    let most = abs(view.fairTicks(markWeightPermille: 0)) * Double(parameters.widenCentiBps) * 1e-6
    return GridStep.up(max(0, min(1, share)) * most) ?? 0
  }
}

/// The pull on top of a strategy of the configuration.
final class OrderFlowBox: AnyStrategy {
  private let inner: Unmanaged<AnyStrategy>
  private var flow: OrderFlowPull

  init(_ inner: AnyStrategy, _ parameters: OrderFlowParameters) {
    self.inner = Unmanaged.passRetained(inner)
    flow = OrderFlowPull(parameters)
  }

  deinit { inner.release() }

  var base: AnyStrategy { inner.takeUnretainedValue() }
  func retune(_ parameters: OrderFlowParameters) { flow.retune(parameters) }

  override func quote(_ view: QuoteView, into ladders: inout Ladders) {
    inner._withUnsafeGuaranteedRef { $0.quote(view, into: &ladders) }
    flow.restrain(view, &ladders)
  }

  override func trade(_ trade: PublicTrade) { inner._withUnsafeGuaranteedRef { $0.trade(trade) } }
  override func hold(_ view: QuoteView) { inner._withUnsafeGuaranteedRef { $0.hold(view) } }
}
