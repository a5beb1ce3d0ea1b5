/// A smile of one expiry: volatility as a parabola in log-moneyness, counted in deviations.
///
///     σ(x) = a + b x + c x²,   x = ln(K/F) / (σ₀ √T), held within ±4
///
/// `SmileFit` finds a, b and c. σ₀ only scales: it is the plain mean of the volatilities that were fitted.
public struct VolatilitySmile: Equatable, Sendable {
  public var level = 0.0
  public var slope = 0.0
  public var curvature = 0.0
  /// σ₀ √T, > 0.
  public var scale = 1.0
  public var rootYears = 0.0

  /// Beyond this many deviations the smile is flat.
  public static let wing = 4.0
  /// Volatilities of a year that are believed.
  public static let believed = 0.01...5.0

  public init() {}

  /// - Parameter logMoney: ln(strike / forward).
  @inline(__always)
  public func volatility(logMoney: Double) -> Double { volatility(deviations: Self.held(logMoney / scale)) }

  @inline(__always)
  static func held(_ deviations: Double) -> Double { max(-wing, min(wing, deviations)) }

  @inline(__always)
  private func volatility(deviations x: Double) -> Double {
    max(Self.believed.lowerBound, min(Self.believed.upperBound, level + x * (slope + x * curvature)))
  }

  /// Total variance at the money.
  public var variance: Double { level * level * rootYears * rootYears }

  /// Whether the density that the smile implies is nowhere negative at whole deviations within the wings, so that no
  /// butterfly has a negative price there: Gatheral's g(k) = (1 − k w′ / 2w)² − w′²/4 · (1/w + 1/4) + w″/2 ≥ 0 for the total
  /// variance w (J. Gatheral, A. Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14 (2014), section 2).
  public var isFreeOfButterflies: Bool {
    var x = -Self.wing
    while x <= Self.wing {
      let sigma = level + x * (slope + x * curvature)
      guard Self.believed.contains(sigma) else { return false }
      let years = rootYears * rootYears
      let first = (slope + 2 * curvature * x) / scale
      let second = 2 * curvature / (scale * scale)
      let total = sigma * sigma * years
      let rise = 2 * sigma * first * years
      let bend = 2 * (first * first + sigma * second) * years
      let lean = 1 - x * scale * rise / (2 * total)
      guard lean * lean - rise * rise / 4 * (1 / total + 0.25) + bend / 2 >= 0 else { return false }
      x += 1
    }
    return true
  }

  /// Halves slope and curvature until no butterfly is free; a flat smile never has one. Returns how often.
  mutating func flattenIfNeeded() -> Int {
    var times = 0
    while !isFreeOfButterflies, times < 8 {
      slope /= 2
      curvature /= 2
      times += 1
    }
    if times == 8, !isFreeOfButterflies {
      slope = 0
      curvature = 0
      level = max(Self.believed.lowerBound, min(Self.believed.upperBound, level))
    }
    return times
  }
}

/// Weighted least squares for a smile: give it each volatility, then ask. A weight falls with the distance from the money, as
/// 1 / (1 + x²)²: far from it a mark says little about anything but itself.
struct SmileFit {
  private let scale: Double
  private let rootYears: Double
  private var moments = (0.0, 0.0, 0.0, 0.0, 0.0)
  private var sums = (0.0, 0.0, 0.0)

  /// - Parameters:
  ///   - scale: σ₀ √T, > 0.
  ///   - rootYears: √T, > 0.
  init(scale: Double, rootYears: Double) {
    self.scale = scale
    self.rootYears = rootYears
  }

  @inline(__always)
  mutating func add(_ volatility: Double, logMoney: Double) {
    let x = VolatilitySmile.held(logMoney / scale)
    let near = 1 / (1 + x * x)
    let weight = near * near
    let (first, second) = (weight * x, weight * x * x)
    moments = (
      moments.0 + weight, moments.1 + first, moments.2 + second, moments.3 + second * x, moments.4 + second * x * x
    )
    sums = (sums.0 + weight * volatility, sums.1 + first * volatility, sums.2 + second * volatility)
  }

  /// `nil` without a volatility. A little of a ridge holds slope and curvature where the strikes do not; about the means, so
  /// that few strikes leave nothing but rounding for it to divide.
  func smile() -> VolatilitySmile? {
    guard moments.0 > 0 else { return nil }
    let ridge = moments.0 * 1e-7
    let (meanX, meanXX, mean) = (moments.1 / moments.0, moments.2 / moments.0, sums.0 / moments.0)
    let xx = moments.2 - moments.1 * meanX + ridge
    let xq = moments.3 - moments.1 * meanXX
    let qq = moments.4 - moments.2 * meanXX + ridge
    let xy = sums.1 - moments.1 * mean
    let qy = sums.2 - moments.2 * mean
    let determinant = xx * qq - xq * xq
    var smile = VolatilitySmile()
    smile.scale = scale
    smile.rootYears = rootYears
    smile.slope = (xy * qq - qy * xq) / determinant
    smile.curvature = (qy * xx - xy * xq) / determinant
    smile.level = mean - smile.slope * meanX - smile.curvature * meanXX
    guard smile.level.isFinite, smile.slope.isFinite, smile.curvature.isFinite,
      VolatilitySmile.believed.contains(smile.level)
    else { return nil }
    return smile
  }
}
