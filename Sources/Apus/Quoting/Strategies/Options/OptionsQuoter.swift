import CSupport

/// How the options of a chain are quoted.
public struct OptionsParameters: Equatable, Sendable {
  public var shape: LadderShape
  /// Half-spread for what may be wrong with the volatility: this much of it, a fraction (0.01 is one point), times vega.
  public var volatilityHalfSpread: Double
  /// Half-spread for what hedging costs: this part of the forward, in 10⁻² basis points, times |delta|.
  public var deltaHalfSpreadCentiBps: Int64
  /// Least half-spread, in 10⁻² basis points of the option's own price.
  public var leastHalfSpreadCentiBps: Int64
  /// How far the volatility is moved against the chain's vega at its limit, a fraction, ≥ 0.
  public var vegaSkew: Double
  /// How far the forward is moved against the chain's delta at its limit, in 10⁻² basis points, ≥ 0.
  public var deltaSkewCentiBps: Int64
  /// How far the price is moved against a full position in the option itself, in 10⁻² basis points of it, ≥ 0.
  public var skewCentiBps: Int64
  /// The most that a quote may bring the chain to, either sign, > 0; in the units of `ChainGreeks`.
  public var largest: ChainGreeks

  public init(
    shape: LadderShape, volatilityHalfSpread: Double, deltaHalfSpreadCentiBps: Int64,
    leastHalfSpreadCentiBps: Int64 = 0, vegaSkew: Double = 0, deltaSkewCentiBps: Int64 = 0, skewCentiBps: Int64 = 0,
    largest: ChainGreeks
  ) {
    self.shape = shape
    self.volatilityHalfSpread = volatilityHalfSpread
    self.deltaHalfSpreadCentiBps = deltaHalfSpreadCentiBps
    self.leastHalfSpreadCentiBps = leastHalfSpreadCentiBps
    self.vegaSkew = vegaSkew
    self.deltaSkewCentiBps = deltaSkewCentiBps
    self.skewCentiBps = skewCentiBps
    self.largest = largest
  }
}

/// Quotes one option of a chain: Black's price with the chain's smile, moved against what the chain holds.
///
///     centre = V + vega · Δσ + delta · ΔF − V · skew · (position / limit)
///     Δσ = −vega skew · (chain's vega / its limit),   ΔF = −F · delta skew · (chain's delta / its limit)
///     half = max(vega · σ half-spread + |delta| · F · delta half-spread, least)
///
/// A side is cut to what keeps the chain's delta, gamma and vega within their limits, as if it alone traded.
public struct OptionsQuoter: Strategy {
  public internal(set) var parameters: OptionsParameters
  /// Keeps the memory alive that `chain` points to.
  private let owner: ChainModel
  private let chain: ChainPointer
  private let isMember: Bool

  /// - Parameter chain: shared by all quoters of the underlying in one lane, which are called on one thread.
  public init(_ parameters: OptionsParameters, chain: ChainModel, info: InstrumentInfo) {
    self.parameters = parameters
    owner = chain
    self.chain = chain.shared
    isMember = chain.shared.join(info)
  }

  public mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {
    guard isMember, let value = chain.value(view), view.directive.isQuotingAllowed else { return }
    let held = chain.state.pointee.greeks
    let forward = Double(view.forwardE8) * 1e-8
    let forwardMove =
      -forward * Double(parameters.deltaSkewCentiBps) * 1e-6 * share(held.delta, parameters.largest.delta)
    let volatilityMove = -parameters.vegaSkew * share(held.vega, parameters.largest.vega)
    let own = value.price * Double(parameters.skewCentiBps) * 1e-6 * view.fullness
    let centre = value.price + value.vega * volatilityMove + value.delta * forwardMove - own
    let half = max(
      value.vega * parameters.volatilityHalfSpread
        + abs(value.delta) * forward * Double(parameters.deltaHalfSpreadCentiBps) * 1e-6,
      value.price * Double(parameters.leastHalfSpreadCentiBps) * 1e-6)
    let tick = view.grid.tick
    parameters.shape.lay(
      centre: centre / tick, half: half * view.widening / tick,
      bidRoom: room(buying: 1, value, held, view.grid.lot), askRoom: room(buying: -1, value, held, view.grid.lot), view,
      into: &ladders)
  }

  public mutating func hold(_ view: QuoteView) {
    if isMember { _ = chain.value(view) }
  }

  @inline(__always)
  private func share(_ held: Double, _ largest: Double) -> Double { max(-1, min(1, held / largest)) }

  /// Lots that may be bought (1) or sold (−1) before one of the chain's Greeks is past its limit.
  @inline(__always)
  private func room(buying sign: Double, _ value: Black76, _ held: ChainGreeks, _ lot: Double) -> Int64 {
    let contracts = min(
      room(held.delta, sign * value.delta, parameters.largest.delta),
      room(held.gamma, sign * value.gamma, parameters.largest.gamma),
      room(held.vega, sign * value.vega, parameters.largest.vega))
    return GridStep.down(min(contracts / lot, 1e12)) ?? 0
  }

  @inline(__always)
  private func room(_ held: Double, _ each: Double, _ largest: Double) -> Double {
    // What a contract adds to nothing much is not limited by it.
    guard abs(each) > 1e-12 else { return 1e12 }
    return max(0, (each > 0 ? largest - held : largest + held) / abs(each))
  }
}

/// Tells a chain what is held of its future or perpetual, which another strategy quotes.
final class ChainDeltaBox: AnyStrategy {
  private let inner: Unmanaged<AnyStrategy>
  private let owner: ChainModel
  private let chain: ChainPointer
  private let contract: ContractKind

  init(_ inner: AnyStrategy, _ chain: ChainModel, _ info: InstrumentInfo) {
    self.inner = Unmanaged.passRetained(inner)
    owner = chain
    self.chain = chain.shared
    contract = info.contract
  }

  deinit { inner.release() }

  var base: AnyStrategy { inner.takeUnretainedValue() }

  override func quote(_ view: QuoteView, into ladders: inout Ladders) {
    count(view)
    inner._withUnsafeGuaranteedRef { $0.quote(view, into: &ladders) }
  }

  override func trade(_ trade: PublicTrade) { inner._withUnsafeGuaranteedRef { $0.trade(trade) } }

  override func hold(_ view: QuoteView) {
    count(view)
    inner._withUnsafeGuaranteedRef { $0.hold(view) }
  }

  @inline(__always)
  private func count(_ view: QuoteView) {
    let amount = Double(view.position.rawValue) * view.grid.lot
    if contract == .linear {
      chain.holdUnderlying(view.instrument, delta: amount)
    } else if view.markE8 > 0 {
      chain.holdUnderlying(view.instrument, delta: amount / (Double(view.markE8) * 1e-8))
    }
  }
}
