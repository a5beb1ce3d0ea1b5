import CSupport
import Glibc
import TestSupport
import Testing

@testable import Apus

/// Black's formula, the smile, the chain and its quoters.
@Suite struct OptionsTests {
  private static let second: Nanoseconds = 1_000_000_000

  private func black(
    _ isCall: Bool, _ forward: Double, _ strike: Double, _ volatility: Double, years: Double
  ) -> Black76 {
    Black76(
      isCall: isCall, forward: forward, strike: strike, logMoney: log(strike / forward), volatility: volatility,
      rootYears: years.squareRoot())
  }

  // MARK: - Black

  @Test func `known values, parity, and the limits of no time and no volatility`() {
    // At the money: F (2 N(σ√T / 2) − 1).
    #expect(abs(black(true, 100, 100, 0.2, years: 1).price - 7.965567) < 1e-6)
    var random = SplitMix(seed: 5)
    for _ in 0..<1000 {
      let forward = Double.random(in: 10...100_000, using: &random)
      let strike = forward * Double.random(in: 0.3...3, using: &random)
      let sigma = Double.random(in: 0.05...2, using: &random)
      let years = Double.random(in: 0.001...2, using: &random)
      let (call, put) = (
        black(true, forward, strike, sigma, years: years), black(false, forward, strike, sigma, years: years)
      )
      #expect(abs(call.price - put.price - (forward - strike)) < forward * 1e-12)
      #expect(abs(call.delta - put.delta - 1) < 1e-12)
      #expect(call.price >= max(0, forward - strike) - forward * 1e-12 && call.price <= forward)
      #expect(call.vega >= 0 && call.gamma >= 0)
    }
    #expect(black(true, 110, 100, 0, years: 1).price == 10)
    #expect(black(false, 110, 100, 0.5, years: 0).price == 0)
    #expect(black(false, 90, 100, 0.5, years: 0).delta == -1)
  }

  @Test func `delta, gamma and vega are the slopes of the price`() {
    for (strike, isCall) in [(55_000.0, true), (60_000, false), (66_000, true)] {
      let (forward, sigma, years) = (60_000.0, 0.5, 0.1)
      let value = black(isCall, forward, strike, sigma, years: years)
      let (up, down) = (
        black(isCall, forward + 1, strike, sigma, years: years), black(isCall, forward - 1, strike, sigma, years: years)
      )
      #expect(abs((up.price - down.price) / 2 - value.delta) < 1e-6)
      #expect(abs(up.price - 2 * value.price + down.price - value.gamma) < 1e-6)
      let more = black(isCall, forward, strike, sigma + 1e-4, years: years)
      let less = black(isCall, forward, strike, sigma - 1e-4, years: years)
      #expect(abs((more.price - less.price) / 2e-4 / value.vega - 1) < 1e-5)
    }
  }

  // MARK: - Smile

  private func fitted(_ smile: VolatilitySmile, strikes: [Double], noise: Double = 0, seed: UInt64 = 1)
    -> VolatilitySmile?
  {
    var random = SplitMix(seed: seed)
    var fit = SmileFit(scale: smile.scale, rootYears: smile.rootYears)
    for money in strikes {
      fit.add(smile.volatility(logMoney: money) + noise * Double.random(in: -1...1, using: &random), logMoney: money)
    }
    return fit.smile()
  }

  private var typical: VolatilitySmile {
    var smile = VolatilitySmile()
    (smile.level, smile.slope, smile.curvature) = (0.45, -0.01, 0.02)
    (smile.scale, smile.rootYears) = (0.06, 0.1387)
    return smile
  }

  @Test func `a parabola is found again, exactly without noise and nearly with it`() throws {
    let strikes = (-20...20).map { Double($0) * 0.008 }
    let exact = try #require(fitted(typical, strikes: strikes))
    let noisy = try #require(fitted(typical, strikes: strikes, noise: 0.01))
    for money in strikes {
      #expect(abs(exact.volatility(logMoney: money) - typical.volatility(logMoney: money)) < 1e-6)
      #expect(abs(noisy.volatility(logMoney: money) - typical.volatility(logMoney: money)) < 0.01)
    }
    #expect(exact.isFreeOfButterflies)
  }

  @Test func `one strike gives a flat smile, none gives none`() throws {
    let flat = try #require(fitted(typical, strikes: [0.01, 0.01]))
    #expect(abs(flat.volatility(logMoney: 0.2) - flat.volatility(logMoney: -0.2)) < 1e-6)
    #expect(abs(flat.volatility(logMoney: 0.01) - typical.volatility(logMoney: 0.01)) < 1e-6)
    #expect(fitted(typical, strikes: []) == nil)
  }

  @Test func `a smile with free butterflies is flattened until it has none`() {
    var smile = typical
    smile.curvature = -0.08
    #expect(!smile.isFreeOfButterflies)
    let times = smile.flattenIfNeeded()
    #expect(times > 0 && smile.isFreeOfButterflies)
    smile.slope = .infinity
    _ = smile.flattenIfNeeded()
    #expect(smile.isFreeOfButterflies)
  }

  /// The density that the smile implies, from prices of butterflies.
  @Test(arguments: [-0.03, -0.01, 0.0, 0.02, 0.06])
  func `what passes the check has no butterfly with a negative price at the points looked at`(curvature: Double) {
    var smile = typical
    smile.curvature = curvature
    _ = smile.flattenIfNeeded()
    for step in -3...3 {
      let money = Double(step) * smile.scale
      let strike = 60_000 * exp(money)
      func call(_ strike: Double) -> Double {
        let money = log(strike / 60_000)
        return Black76(
          isCall: true, forward: 60_000, strike: strike, logMoney: money, volatility: smile.volatility(logMoney: money),
          rootYears: smile.rootYears
        ).price
      }
      let width = 30.0
      #expect(call(strike - width) - 2 * call(strike) + call(strike + width) > -1e-6)
    }
  }

  // MARK: - Chain

  private static func view(
    _ instrument: InstrumentIndex, at now: Nanoseconds, position: Int64 = 0, volatility: Double = 0.45,
    forward: Int64 = 60_000
  ) -> QuoteView {
    StrategyDesk.view(
      at: now, bid: 1, ask: 40_000, position: position, limit: 1000, instrument: instrument,
      volatilityE8: Int64(volatility * 1e8), forward: forward)
  }

  /// Calls and puts at strikes around the money.
  private static func chain(
    strikes: [Int64], parameters: OptionsParameters = StrategyUnderTest.options, model: ChainModel? = nil
  ) -> (ChainModel, [AnyStrategy]) {
    let model = model ?? ChainModel(capacity: 2 * strikes.count + 1)
    var quoters: [AnyStrategy] = []
    for strike in strikes {
      for type in [OptionType.call, .put] {
        quoters.append(
          StrategyBox(
            StrategyUnderTest.option(type, strike: strike, index: InstrumentIndex(quoters.count), model, parameters)))
      }
    }
    return (model, quoters)
  }

  @Test func `the net Greeks are the sum over what is held, and follow it`() {
    let strikes: [Int64] = [54_000, 57_000, 60_000, 63_000, 66_000]
    let (model, quoters) = Self.chain(strikes: strikes)
    let positions: [Int64] = [500, -300, 0, 200, -1000, 400, 30, 0, 0, -70]
    let years = Double(StrategyDesk.expiry - StrategyDesk.epoch) / 31_536_000
    for round in 0...1 as ClosedRange<Int64> {
      for (index, quoter) in quoters.enumerated() {
        _ = StrategyDesk.quotes(
          quoter, Self.view(InstrumentIndex(index), at: round * Self.second / 100, position: positions[index]))
      }
    }
    var sum = ChainGreeks()
    for (index, position) in positions.enumerated() {
      let value = black(index % 2 == 0, 60_000, Double(strikes[index / 2]), 0.45, years: years)
      let contracts = Double(position) / 1000
      sum.delta += contracts * value.delta
      sum.gamma += contracts * value.gamma
      sum.vega += contracts * value.vega
    }
    #expect(abs(model.greeks.delta - sum.delta) < 1e-6)
    #expect(abs(model.greeks.gamma / sum.gamma - 1) < 1e-4)
    #expect(abs(model.greeks.vega / sum.vega - 1) < 1e-4)
    // Sold again.
    for (index, quoter) in quoters.enumerated() {
      _ = StrategyDesk.quotes(quoter, Self.view(InstrumentIndex(index), at: Self.second))
    }
    #expect(abs(model.greeks.delta) < 1e-12 && abs(model.greeks.vega) < 1e-9)
  }

  @Test func `R08 what is held of an option that may not be quoted counts all the same, also without a mark`() {
    let (model, quoters) = Self.chain(strikes: [60_000])
    quoters[0].hold(Self.view(0, at: 0, position: 500))
    #expect(abs(model.greeks.delta - 0.256) < 0.01)
    quoters[0].hold(Self.view(0, at: Self.second, position: 1000, volatility: 0))
    #expect(abs(model.greeks.delta - 0.512) < 0.02)
  }

  @Test func `a perpetual quoted beside the chain counts as delta, and expired options no longer count`() {
    let model = ChainModel(capacity: 3)
    let call = StrategyBox(StrategyUnderTest.option(.call, strike: 60_000, index: 0, model))
    let info = InstrumentInfo(index: 2, kind: .perpetual, grid: StrategyDesk.grid, expirySeconds: 0)
    let perpetual = ChainDeltaBox(StrategyBox(LadderStrategy(StrategyUnderTest.steps)), model, info)
    _ = StrategyDesk.quotes(perpetual, StrategyDesk.view(position: -700, instrument: 2))
    #expect(abs(model.greeks.delta + 0.7) < 1e-12)
    _ = StrategyDesk.quotes(call, Self.view(0, at: 0, position: 1000))
    let held = model.greeks.delta
    // Another expiry lives on, and its next fit adds up what is still there: the call has expired.
    let later = StrategyUnderTest.info(.call, strike: 60_000, index: 1, expiry: StrategyDesk.expiry + 604_800)
    let other = StrategyBox(OptionsQuoter(StrategyUnderTest.options, chain: model, info: later))
    var afterwards = Self.view(1, at: 8 * 86_400 * Self.second)
    afterwards.venueTime = (StrategyDesk.expiry + 86_400) * Self.second
    _ = StrategyDesk.quotes(other, afterwards)
    #expect(held > -0.3 && abs(model.greeks.delta + 0.7) < 1e-12)
  }

  @Test func `an expiry whose variance falls below that of the one before is not quoted`() {
    let model = ChainModel(capacity: 2)
    let near = StrategyBox(StrategyUnderTest.option(.call, strike: 60_000, index: 0, model))
    let far = StrategyBox(
      OptionsQuoter(
        StrategyUnderTest.options, chain: model,
        info: StrategyUnderTest.info(.call, strike: 60_000, index: 1, expiry: StrategyDesk.expiry + 86_400)))
    _ = StrategyDesk.quotes(near, Self.view(0, at: 0, volatility: 0.6))
    #expect(StrategyDesk.quotes(far, Self.view(1, at: 0, volatility: 0.6)).bids.count > 0)
    // 0.6² · 7 days is more than 0.5² · 8 days.
    #expect(StrategyDesk.quotes(far, Self.view(1, at: Self.second, volatility: 0.5)).bids.isEmpty)
  }

  @Test func `between fits the value follows the forward by delta and gamma, to a hundredth of a tick`() throws {
    let (model, quoters) = Self.chain(strikes: [60_000])
    _ = StrategyDesk.quotes(quoters[0], Self.view(0, at: 0))
    let fits = model.fits
    let value = try #require(model.shared.value(Self.view(0, at: 1000, forward: 60_060)))
    #expect(model.fits == fits)
    let years = Double(StrategyDesk.expiry - StrategyDesk.epoch) / 31_536_000
    #expect(abs(value.price - black(true, 60_060, 60_000, 0.45, years: years).price) < 0.01)
  }

  @Test func `an expiry is fitted at most so often, by marks that are fresh`() {
    let (model, quoters) = Self.chain(strikes: [57_000, 60_000, 63_000])
    for step in 0..<1000 as Range<Int64> {
      let index = Int(step % 6)
      _ = StrategyDesk.quotes(quoters[index], Self.view(InstrumentIndex(index), at: step * 1_000_000))
    }
    #expect(model.fits == 10)
    // One instrument alone is heard of from now on, with another volatility: after ten seconds the others count no more.
    for step in 0..<30 as Range<Int64> {
      _ = StrategyDesk.quotes(quoters[0], Self.view(0, at: 2 * Self.second + step * Self.second / 2, volatility: 0.9))
    }
    #expect(abs((model.smile(expiry: StrategyDesk.expiry)?.level ?? 0) - 0.9) < 0.05)
  }

  // MARK: - Quoter

  @Test func `R08 no side may bring the chain past its limits, and what brings it back is quoted whole`() {
    var parameters = StrategyUnderTest.options
    // A call at the money has a delta of about a half: 10 lots of 0.001 add 0.005.
    parameters.largest = ChainGreeks(delta: 0.1, gamma: 1, vega: 1e9)
    let (_, quoters) = Self.chain(strikes: [60_000], parameters: parameters)
    func sizes(_ position: Int64) -> (bid: Int64, ask: Int64) {
      let quotes = StrategyDesk.quotes(quoters[0], Self.view(0, at: 0, position: position))
      return (
        quotes.bids.reduce(0) { $0 + $1.qty.rawValue }, quotes.asks.reduce(0) { $0 + $1.qty.rawValue }
      )
    }
    #expect(sizes(0) == (20, 20))
    // Delta 0.512 each: 0.195 contracts are the limit.
    let nearly = sizes(185)
    #expect(nearly.bid > 0 && nearly.bid < 20 && nearly.ask == 20)
    #expect(Double(185 + nearly.bid) / 1000 * 0.53 < 0.11)
    #expect(sizes(300) == (0, 20))
    #expect(sizes(-300) == (20, 0))
  }

  @Test func `vega and gamma are limited as delta is`() {
    for limits in [ChainGreeks(delta: 1e9, gamma: 1e-6, vega: 1e9), ChainGreeks(delta: 1e9, gamma: 1, vega: 500)] {
      var parameters = StrategyUnderTest.options
      parameters.largest = limits
      let (_, quoters) = Self.chain(strikes: [60_000], parameters: parameters)
      // Long calls and long puts cancel in delta, and add up in gamma and vega.
      _ = StrategyDesk.quotes(quoters[0], Self.view(0, at: 0, position: 500))
      let put = StrategyDesk.quotes(quoters[1], Self.view(1, at: 0, position: 500))
      #expect(put.bids.isEmpty && !put.asks.isEmpty)
    }
  }

  @Test func `what the chain holds moves the quotes of all: long vega lowers, long delta lowers calls and raises puts`()
    throws
  {
    let (_, quoters) = Self.chain(strikes: [57_000, 60_000, 63_000])
    func tops(_ index: Int) throws -> (Int64, Int64) {
      let quotes = StrategyDesk.quotes(quoters[index], Self.view(InstrumentIndex(index), at: 0))
      return (try #require(quotes.bids.first).price.rawValue, try #require(quotes.asks.first).price.rawValue)
    }
    let (call, put) = (try tops(2), try tops(3))
    // Long a straddle: vega alone.
    _ = StrategyDesk.quotes(quoters[0], Self.view(0, at: 0, position: 500))
    let lowered = try tops(2)
    #expect(lowered.0 < call.0 && lowered.1 < call.1)
    // Short delta by puts bought instead: the put's own delta is against us.
    _ = StrategyDesk.quotes(quoters[0], Self.view(0, at: 0))
    _ = StrategyDesk.quotes(quoters[5], Self.view(5, at: 0, position: -900))
    let raised = try tops(3)
    #expect(raised.0 != put.0)
  }

  @Test func `an option without the venue's volatility, of no strike, paid in coins, or about to expire is not quoted`()
  {
    let model = ChainModel(capacity: 4)
    let good = StrategyBox(StrategyUnderTest.option(.call, strike: 60_000, index: 0, model))
    #expect(StrategyDesk.quotes(good, Self.view(0, at: 0)).bids.count == 2)
    #expect(StrategyDesk.quotes(good, Self.view(0, at: 0, volatility: 0)).bids.isEmpty)
    #expect(StrategyDesk.quotes(good, Self.view(0, at: 0, forward: 0)).bids.isEmpty)
    var late = Self.view(0, at: 0)
    late.venueTime = (StrategyDesk.expiry - 1800) * Self.second
    #expect(StrategyDesk.quotes(good, late).bids.isEmpty)
    var info = StrategyUnderTest.info(.call, strike: 60_000, index: 1)
    info.contract = .inverse
    let coins = StrategyBox(OptionsQuoter(StrategyUnderTest.options, chain: model, info: info))
    #expect(StrategyDesk.quotes(coins, Self.view(1, at: 0)).bids.isEmpty)
    let strikeless = StrategyBox(
      OptionsQuoter(StrategyUnderTest.options, chain: model, info: StrategyUnderTest.info(.call, strike: 0, index: 2)))
    #expect(StrategyDesk.quotes(strikeless, Self.view(2, at: 0)).bids.isEmpty)
  }
}
