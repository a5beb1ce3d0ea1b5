import CSupport
import Glibc
import TestSupport
import Testing

@testable import Apus

/// Estimators against markets whose parameters are known.
@Suite struct EstimateTests {
  private static let second: Nanoseconds = 1_000_000_000

  private static func uniform(_ random: inout SplitMix) -> Double { Double.random(in: 0..<1, using: &random) }
  /// Of a standard normal distribution.
  private static func bell(_ random: inout SplitMix) -> Double {
    (-2 * log(1 - uniform(&random))).squareRoot() * cos(2 * .pi * uniform(&random))
  }

  @Test func `what is left after a time is half to the power of half-lives`() {
    for step in 0...4000 {
      let x = Double(step) / 100
      #expect(abs(Decay.half(x) - pow(0.5, x)) < 2e-7 * pow(0.5, x))
    }
    #expect(Decay.half(-1) == 1 && Decay.half(.infinity) == 0 && Decay.half(.nan) == 0 && Decay.half(999.9) >= 0)
  }

  @Test(arguments: 1...5 as ClosedRange<UInt64>)
  func `the volatility of a random walk is found, in price units per root of a second`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    var estimator = VolatilityEstimator(interval: Self.second, halfLife: 600 * Self.second)
    var price = 100.0
    var now: Nanoseconds = 0
    for _ in 0..<100_000 {
      // Moves at odd times: 3 price units per root of a second.
      let step = Nanoseconds.random(in: 1_000_000...50_000_000, using: &random)
      now += step
      price += 3 * (Double(step) * 1e-9).squareRoot() * Self.bell(&random)
      estimator.note(price, now: now)
    }
    let sigma = try #require(estimator.variance).squareRoot()
    #expect(abs(sigma - 3) < 0.25)
  }

  @Test func `there is no volatility before enough samples, none of a price that stays, and it fades`() throws {
    var estimator = VolatilityEstimator(interval: Self.second, halfLife: 10 * Self.second, minimumSamples: 5)
    for step in 0...4 as ClosedRange<Int64> { estimator.note(50, now: step * Self.second) }
    #expect(estimator.variance == nil)
    estimator.note(50, now: 5 * Self.second)
    #expect(estimator.variance == 0)
    estimator.note(60, now: 6 * Self.second)
    let before = try #require(estimator.variance)
    #expect(before > 10)
    for step in 7...200 as ClosedRange<Int64> { estimator.note(60, now: step * Self.second) }
    #expect(try #require(estimator.variance) < before / 1000)
    // What comes within an interval is not a sample.
    let samples = estimator.samples
    estimator.note(1000, now: 200 * Self.second + 1)
    #expect(estimator.samples == samples)
  }

  /// Takers of both sides come at random, and reach exponentially far: the intensity of the model itself.
  @Test(arguments: [(2.0, 0.5), (0.5, 0.1), (5.0, 2.0)])
  func `arrivals and their decay with distance are found`(arrivals: Double, decay: Double) throws {
    var random = SplitMix(seed: 11)
    var estimator = IntensityEstimator(width: 0.25, interval: Self.second / 4, halfLife: 10_000 * Self.second)
    var now: Nanoseconds = 0
    var nextTrade = 0.0
    estimator.note(1000, now: 0)
    while now < 5000 * Self.second {
      now += Self.second / 100
      while nextTrade <= Double(now) * 1e-9 {
        let reach = -log(1 - Self.uniform(&random)) / decay
        let isBuy = random.next() % 2 == 0
        estimator.note(tradeAt: isBuy ? 1000 + reach : 1000 - reach, aggressor: isBuy ? .buy : .sell, time: now)
        nextTrade += -log(1 - Self.uniform(&random)) / (2 * arrivals)
      }
      estimator.note(1000, now: now)
      if now % Self.second == 0 { estimator.refresh(now: now) }
    }
    let estimate = try #require(estimator.estimate)
    #expect(abs(estimate.decay / decay - 1) < 0.15, "k \(estimate.decay)")
    #expect(abs(estimate.arrivals / arrivals - 1) < 0.2, "A \(estimate.arrivals)")
  }

  @Test func `too few trades give no estimate, and trades of before the interval are not counted`() {
    var estimator = IntensityEstimator(width: 1, interval: Self.second, halfLife: 100 * Self.second)
    estimator.note(100, now: 10 * Self.second)
    for step in 11...100 as ClosedRange<Int64> {
      estimator.note(tradeAt: 105, aggressor: .buy, time: 5 * Self.second)
      estimator.note(100, now: step * Self.second)
    }
    estimator.refresh(now: 100 * Self.second)
    #expect(estimator.estimate == nil)
  }

  @Test func `distances far beyond the bins widen them`() {
    var estimator = IntensityEstimator(width: 0.5, interval: Self.second, halfLife: 1000 * Self.second)
    var random = SplitMix(seed: 2)
    for step in 1...400 as ClosedRange<Int64> {
      estimator.note(tradeAt: 1000 - 400 * log(1 - Self.uniform(&random)), aggressor: .buy, time: step * Self.second)
      estimator.note(1000, now: step * Self.second)
      estimator.refresh(now: step * Self.second)
    }
    #expect(estimator.width >= 32)
    #expect(estimator.estimate != nil)
  }

  // MARK: - Order flow

  private func quote(_ price: Int64, _ lots: Int64) -> Quote { StrategyDesk.quote(price, lots) }

  /// Changes by hand, after the definition in the paper.
  @Test(
    arguments: [
      // A larger bid, a smaller bid, a better bid, a worse bid; the same for asks.
      ((100, 30), (101, 20), 10.0), ((100, 5), (101, 20), -15.0), ((101, 7), (102, 20), 7.0 + 20),
      ((99, 40), (101, 20), -20.0), ((100, 20), (101, 50), -30.0), ((100, 20), (101, 1), 19.0),
      ((100, 20), (102, 9), 20.0), ((100, 20), (101, 20), 0.0),
    ] as [((Int64, Int64), (Int64, Int64), Double)])
  func `a change of the best prices is the flow of the paper`(
    bid: (Int64, Int64), ask: (Int64, Int64), flow: Double
  ) {
    var imbalance = FlowImbalance(halfLife: Self.second, minimumLooks: 2)
    imbalance.note(bid: quote(100, 20), ask: quote(101, 20), now: 0)
    imbalance.note(bid: quote(bid.0, bid.1), ask: quote(ask.0, ask.1), now: Self.second)
    // The mean size of a best level was 20.
    #expect(abs(imbalance.value - flow / 20) < 1e-9)
  }

  @Test func `the flow fades by its half-life, and is 0 until enough was seen`() {
    var imbalance = FlowImbalance(halfLife: Self.second, minimumLooks: 4)
    imbalance.note(bid: quote(100, 20), ask: quote(101, 20), now: 0)
    imbalance.note(bid: quote(100, 20), ask: quote(101, 20), now: Self.second)
    imbalance.note(bid: quote(100, 60), ask: quote(101, 20), now: 2 * Self.second)
    #expect(imbalance.value == 0)
    imbalance.note(bid: quote(100, 60), ask: quote(101, 20), now: 2 * Self.second)
    let full = imbalance.value
    imbalance.note(bid: quote(100, 60), ask: quote(101, 20), now: 3 * Self.second)
    // The mean size has grown meanwhile, by what rested for that second.
    #expect(full > 1.9 && imbalance.value < full / 1.9)
  }
}
