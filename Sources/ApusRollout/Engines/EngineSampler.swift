import Apus
import CSupport

/// Makes slices and the figures of the last second out of the telemetry of one engine.
///
/// One thread.
struct EngineSampler: ~Copyable {
  /// Sums since the engine's start.
  private struct Sums {
    var at: Nanoseconds
    var bootEpoch: UInt64
    var frames = 0
    var requests = 0
    var rejects = 0
    var errors = 0
    var fills = 0
    var memoryBytes = 0
    var profit = 0.0
    var traded = 0.0
    var limitValue = 0.0
    var markouts: [SliceFigures.Markout] = []
    /// As a part of the limit, by lane and instrument.
    var inventory: [String: Double] = [:]
  }

  /// Spans that gates or reports look at.
  private static let spans: [(span: TelemetrySpan, name: String)] = [
    (.tickToOrder, "tick_to_order"), (.turn, "turn"), (.decode, "decode"), (.decide, "decide"),
    (.acknowledge, "acknowledge"),
  ]

  private var begin: Sums?
  private var histograms: [LatencyHistogramBox] = []
  /// Of the last second: rejects so far and orders unknown then.
  private var recent: [(at: Nanoseconds, rejects: Int, unknown: Int)] = []
  /// Since when each position has been at its limit, by lane and instrument.
  private var atLimit: [String: Nanoseconds] = [:]

  init() {}

  /// Ends a slice and begins the next one.
  ///
  /// - Returns: `nil` at the first look, and after the engine has been started anew.
  mutating func slice(
    _ snapshot: TelemetrySnapshot, _ reader: borrowing TelemetryReader, memoryBytes: Int, now: Nanoseconds
  ) -> SliceFigures? {
    let sums = Self.sums(snapshot, memoryBytes: memoryBytes, now: now)
    let copies = Self.spans.map { Self.histogram($0.span, snapshot, reader) }
    defer {
      begin = sums
      histograms = copies
    }
    guard let begin, begin.bootEpoch == sums.bootEpoch, now > begin.at, histograms.count == copies.count else { return nil }
    var figures = SliceFigures()
    figures.seconds = Double(now - begin.at) / 1e9
    figures.frames = sums.frames - begin.frames
    figures.requests = sums.requests - begin.requests
    figures.rejects = sums.rejects - begin.rejects
    figures.errors = sums.errors - begin.errors
    figures.fills = sums.fills - begin.fills
    figures.memoryBytes = memoryBytes
    figures.memoryGrowth = begin.memoryBytes > 0 ? memoryBytes - begin.memoryBytes : 0
    figures.profit = sums.profit - begin.profit
    figures.traded = sums.traded - begin.traded
    figures.limitValue = sums.limitValue
    figures.markouts = zip(sums.markouts, begin.markouts).map {
      SliceFigures.Markout(seconds: $0.seconds, value: $0.value - $1.value, traded: $0.traded - $1.traded)
    }
    for (name, position) in sums.inventory.sorted(by: { $0.key < $1.key }) {
      guard let before = begin.inventory[name] else { continue }
      figures.inventory.append(SliceFigures.Inventory(before: before, change: position - before))
    }
    for (place, (_, name)) in Self.spans.enumerated() {
      var difference = copies[place].histogram.snapshot()
      difference.subtract(histograms[place].histogram)
      guard difference.count > 0 else { continue }
      figures.spans.append(
        SliceFigures.Span(
          name: name, count: Int(difference.count), median: difference.percentile(50), high: difference.percentile(99)))
    }
    return figures
  }

  /// The slice that is under way is given up: the next one begins with the next look.
  mutating func forget() {
    begin = nil
    histograms = []
  }

  /// Rejected requests within the last second, and orders that were unknown all the time of it.
  mutating func lastSecond(_ snapshot: TelemetrySnapshot, now: Nanoseconds) -> (rejects: Int, unknown: Int) {
    let rejects = snapshot.lanes.reduce(0) { $0 + Int($1[.rejects]) }
    let unknown = snapshot.lanes.reduce(0) { $0 + Int($1[.ordersUnknown]) }
    recent.append((now, rejects, unknown))
    // One is kept that is older than a second: the last second begins there.
    while recent.count > 1, now - recent[1].at >= 1_000_000_000 { recent.removeFirst() }
    let isWhole = now - recent[0].at >= 1_000_000_000
    return (max(0, rejects - recent[0].rejects), isWhole ? recent.map(\.unknown).min() ?? 0 : 0)
  }

  /// For how long a position has been within a twentieth of its limit; of several the longest.
  mutating func timeAtLimit(_ snapshot: TelemetrySnapshot, now: Nanoseconds) -> Nanoseconds {
    var longest: Nanoseconds = 0
    for lane in snapshot.lanes {
      for instrument in lane.instruments {
        let name = Self.key(lane, instrument)
        guard let part = Self.inventory(instrument), abs(part) >= 0.95 else {
          atLimit[name] = nil
          continue
        }
        let since = atLimit[name] ?? now
        atLimit[name] = since
        longest = max(longest, now - since)
      }
    }
    return longest
  }

  private static func key(_ lane: LaneSnapshot, _ instrument: InstrumentSnapshot) -> String { "\(lane.index) \(instrument.name)" }

  /// The position as a part of its limit; `nil` if one of them is not known.
  private static func inventory(_ instrument: InstrumentSnapshot) -> Double? {
    guard let position = instrument.position, instrument.limit.rawValue > 0 else { return nil }
    return Double(position.rawValue) / Double(instrument.limit.rawValue)
  }

  private static func sums(_ snapshot: TelemetrySnapshot, memoryBytes: Int, now: Nanoseconds) -> Sums {
    var sums = Sums(at: now, bootEpoch: snapshot.bootEpoch)
    sums.memoryBytes = memoryBytes
    for lane in snapshot.lanes {
      func count(_ counters: TelemetryCounter...) -> Int { counters.reduce(0) { $0 + Int(clamping: lane[$1]) } }
      sums.frames += count(.framesIn)
      sums.requests += count(.inserts, .amends, .cancels, .massQuotes)
      sums.rejects += count(.rejects)
      sums.errors += count(.gaps, .reconnects, .edgeRefusals, .rateViolations, .positionsAdjusted)
      sums.fills += count(.fills)
      for instrument in lane.instruments {
        sums.profit += Double(instrument.pnlE8 - instrument.feesE8) / 1e8
        sums.traded += Double(instrument.tradedE8) / 1e8
        if let part = inventory(instrument) { sums.inventory[key(lane, instrument)] = part }
        let lots = instrument.bought.rawValue + instrument.sold.rawValue
        if lots > 0 {
          // What a lot is worth is seen by what was paid for it, whatever the contract.
          sums.limitValue += Double(instrument.limit.rawValue) * Double(instrument.tradedE8) / 1e8 / Double(lots)
        }
      }
      for (place, markout) in VenuePerformance(lane).markouts.enumerated() {
        if sums.markouts.count == place {
          sums.markouts.append(SliceFigures.Markout(seconds: markout.horizon, value: 0, traded: 0))
        }
        sums.markouts[place].value += markout.value
        sums.markouts[place].traded += markout.traded
      }
    }
    return sums
  }

  /// Of all lanes together.
  private static func histogram(
    _ span: TelemetrySpan, _ snapshot: TelemetrySnapshot, _ reader: borrowing TelemetryReader
  ) -> LatencyHistogramBox {
    var sum = LatencyHistogram()
    for lane in snapshot.lanes {
      _ = reader.withSpan(lane: lane.index, span) { memory in
        guard let start = memory.baseAddress, memory.count >= LatencyHistogram.byteCount else { return }
        sum.merge(LatencyHistogram.snapshot(of: start.assumingMemoryBound(to: apus_histogram.self)))
      }
    }
    return LatencyHistogramBox(sum)
  }
}

/// A histogram that can be an array's element.
private final class LatencyHistogramBox {
  let histogram: LatencyHistogram
  init(_ histogram: consuming LatencyHistogram) { self.histogram = histogram }
}
