/// The volatility of a price, from its own path: in price units per square root of a second.
///
/// `σ² = Σ w (Δp)² / Σ w Δt` over samples at least `interval` apart, where a sample's weight `w` halves every `halfLife`. A
/// price that stays is a sample too: its Δt counts. Sampling leaves out most of the bounce between bid and ask, which would
/// look like volatility. Fixed memory, a few operations a call, no clock of its own.
public struct VolatilityEstimator: Equatable, Sendable {
  public let interval: Nanoseconds
  public let halfLife: Nanoseconds
  /// Samples before there is an estimate.
  public let minimumSamples: Int

  private var squares = 0.0
  private var seconds = 0.0
  private var lastPrice = 0.0
  private var lastTime: Nanoseconds?
  public private(set) var samples = 0

  /// - Parameters:
  ///   - interval: > 0.
  ///   - halfLife: > 0.
  public init(interval: Nanoseconds, halfLife: Nanoseconds, minimumSamples: Int = 30) {
    self.interval = interval
    self.halfLife = halfLife
    self.minimumSamples = minimumSamples
  }

  /// - Parameters:
  ///   - price: in price units.
  ///   - now: must not run backwards; if it does, the sampling begins anew.
  @inline(__always)
  public mutating func note(_ price: Double, now: Nanoseconds) {
    guard let last = lastTime, now >= last else {
      lastTime = now
      lastPrice = price
      return
    }
    let elapsed = now &- last
    guard elapsed >= interval else { return }
    let left = Decay.half(Double(elapsed) / Double(halfLife))
    let move = price - lastPrice
    squares = squares * left + move * move
    seconds = seconds * left + Double(elapsed) * 1e-9
    samples = min(samples + 1, 1 << 32)
    lastTime = now
    lastPrice = price
  }

  /// σ² in squared price units per second; `nil` while there are too few samples.
  public var variance: Double? {
    guard samples >= minimumSamples, seconds > 0 else { return nil }
    let variance = squares / seconds
    return variance.isFinite ? variance : nil
  }
}
