import Glibc

@testable import ApusRollout

/// Two engines that quote in a market that is made up: slices of five seconds, as telemetry would show them.
///
/// Prices have trends (`persistence`: autocorrelation of moves from one slice to the next) and move together (`common`: part of
/// the variance). Who buys does so as prices fall; the skew brings positions back. Rejects come in bursts of 5 to 40 that may go
/// on for slices, at one instrument or at all of them at once. What else the host does makes an engine slower for
/// slices.
struct MadeUpMarket {
  var persistence = 0.0
  var common = 0.5
  /// Instruments of each engine; both have all of ten, as in the shadow, or parts of them.
  var candidates = 0..<10
  var incumbents = 0..<10
  /// Of the candidate; 1 is right.
  var skew = 1.0
  /// Time of the candidate's spans, of the incumbent's.
  var slowness = 1.0

  private static let instruments = 10
  /// Standard deviation of a slice's move, basis points.
  private static let move = 1.5
  /// Part of a limit that trades in a slice.
  private static let size = 0.08
  /// What an instrument's limit is worth, quote currency.
  private static let limit = 100_000.0

  /// One engine's state.
  private struct Engine {
    var positions = [Double](repeating: 0, count: MadeUpMarket.instruments)
    /// What was bought net in each of the last slices, parts of a limit: twelve make the minute of the longest markout.
    var net: [[Double]] = []
    var traded: [Double] = []
    /// What else the host does on its core.
    var noise = 0.0
  }

  /// Runs both until a gate is breached.
  ///
  /// - Returns: The gate and the number of slices.
  func breach(_ keeper: GateKeeper, slices: Int, seed: UInt64) -> (gate: String, slices: Int)? {
    var keeper = keeper
    var random = Gauss(seed: seed)
    var trend = (all: 0.0, own: [Double](repeating: 0, count: Self.instruments))
    var engines = (Engine(), Engine())
    var moves: [[Double]] = []
    var bursts = [Int](repeating: 0, count: Self.instruments)
    let (keep, fresh) = (persistence, (1 - persistence * persistence).squareRoot())
    for _ in 0..<slices {
      trend.all = keep * trend.all + fresh * random.next()
      let isCommonBurst = random.uniform() < 0.01
      for place in 0..<Self.instruments {
        trend.own[place] = keep * trend.own[place] + fresh * random.next()
        // A burst goes on with a chance of two thirds.
        let goesOn = bursts[place] > 0 && random.uniform() < 2.0 / 3
        bursts[place] = goesOn || isCommonBurst || random.uniform() < 0.01 ? 5 + Int(random.uniform() * 36) : 0
      }
      let move = trend.own.map { Self.move * (common.squareRoot() * trend.all + (1 - common).squareRoot() * $0) }
      moves.append(move)
      if moves.count > 12 { moves.removeFirst() }
      let own = Self.slice(&engines.0, candidates, skew, slowness, moves, bursts, &random)
      let other = Self.slice(&engines.1, incumbents, 1, 1, moves, bursts, &random)
      keeper.note(candidate: own, incumbent: other)
      if let breach = keeper.breach { return (breach.gate, keeper.slices) }
    }
    return nil
  }

  private static func slice(
    _ engine: inout Engine, _ range: Range<Int>, _ skew: Double, _ slowness: Double, _ moves: [[Double]], _ bursts: [Int],
    _ random: inout Gauss
  ) -> SliceFigures {
    var figures = SliceFigures()
    figures.seconds = 5
    let move = moves[moves.count - 1]
    var net = [Double](repeating: 0, count: instruments)
    var traded = 0.0
    var profit = 0.0
    for place in range {
      let before = engine.positions[place]
      let wanted = size * (random.next() - 0.7 * move[place] / Self.move - skew * before)
      let after = min(max(before + wanted, -1), 1)
      let volume = size * 1.5 * abs(random.next()) + abs(wanted)
      profit += before * move[place] + 0.3 * volume + (after - before) * move[place] / 2
      (net[place], engine.positions[place]) = (after - before, after)
      traded += volume
      figures.inventory.append(SliceFigures.Inventory(before: before, change: after - before))
      figures.rejects += bursts[place]
    }
    engine.net.append(net)
    engine.traded.append(traded)
    if engine.net.count > 12 {
      engine.net.removeFirst()
      engine.traded.removeFirst()
    }
    figures.limitValue = limit * Double(range.count)
    figures.profit = profit * limit * 1e-4
    figures.traded = traded * limit
    figures.fills = range.count
    figures.requests = 100 * range.count
    figures.frames = 1000 * range.count
    // The fills of a slice are marked as many slices later as the horizon is long.
    for (seconds, back) in [(1, 1), (10, 2), (60, 12)] {
      guard engine.net.count >= back else { continue }
      let bought = engine.net[engine.net.count - back]
      var value = 0.0
      for place in range {
        for later in moves.suffix(back) { value += bought[place] * later[place] }
      }
      let volume = engine.traded[engine.traded.count - back]
      figures.markouts.append(
        SliceFigures.Markout(seconds: seconds, value: (value + 0.3 * volume) * limit * 1e-4, traded: volume * limit))
    }
    if figures.markouts.count < 3 { figures.markouts = [1, 10, 60].map { SliceFigures.Markout(seconds: $0, value: 0, traded: 0) } }
    engine.noise = 0.8 * engine.noise + 0.6 * random.next()
    for name in GateKeeper.ownSpans {
      figures.spans.append(
        SliceFigures.Span(
          name: name, count: 1000, median: Int64(10_000 * slowness * exp(0.05 * engine.noise + 0.03 * random.next())),
          high: Int64(50_000 * slowness * exp(0.2 * engine.noise + 0.2 * random.next()))))
    }
    return figures
  }
}

/// Normally distributed numbers (the sum of twelve uniform ones, less six).
struct Gauss {
  private var random: SplitMix
  init(seed: UInt64) { random = SplitMix(seed: seed) }
  mutating func uniform() -> Double { Double(random.next() >> 11) * 0x1p-53 }
  mutating func next() -> Double {
    var sum = -6.0
    for _ in 0..<6 {
      let bits = random.next()
      sum += Double(bits >> 32) * 0x1p-32 + Double(bits & 0xFFFF_FFFF) * 0x1p-32
    }
    return sum
  }
}
