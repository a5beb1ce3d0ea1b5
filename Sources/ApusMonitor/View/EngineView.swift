public import Apus
import CSupport

/// What an engine shows of itself at one moment, in natural units: for a screen, a page, or a script.
///
/// Prices and quantities are numbers of the quote currency and of contracts, durations seconds unless the name says
/// otherwise. What is not known is absent.
public struct EngineView: Codable, Equatable, Sendable {
  public struct Span: Codable, Equatable, Sendable {
    public var name: String
    /// Values since the engine's start, and in the last ten seconds or since the first look.
    public var count: UInt64
    public var recentCount: UInt64
    /// Nanoseconds, of the last ten seconds if something was counted in them, else since the start.
    public var p50: Nanoseconds
    public var p99: Nanoseconds
    public var p999: Nanoseconds
    public var max: Nanoseconds
  }

  public struct Side: Codable, Equatable, Sendable {
    public var price: Double
    public var quantity: Double
    public var levels: Int
    /// How far behind the best of the others' side, basis points of the mid; negative is in front of it.
    public var distanceBps: Double?
    /// Since when our best has its price, seconds.
    public var age: Double?
  }

  public struct Instrument: Codable, Equatable, Sendable {
    public var name: String
    /// Decimals of prices and of quantities.
    public var priceDecimals: Int
    public var quantityDecimals: Int
    public var bid: Double?
    public var ask: Double?
    public var mark: Double?
    public var marketAge: Double?
    public var ownBid: Side?
    public var ownAsk: Side?
    public var position: Double?
    /// Another engine has the instrument, and with it the position.
    public var isHandedOver: Bool
    public var limit: Double
    /// The larger of both directions if all that may still trade does, and what of it is not proven.
    public var worst: Double
    public var unproven: Double
    /// After fees.
    public var pnl: Double
    public var fees: Double
    public var fills: UInt64
    public var traded: Double
    /// Share of the time with both sides quoted, 0 ... 1.
    public var quotedShare: Double?
    /// Why it is not quoted.
    public var block: String?
    public var adjustments: UInt64
  }

  public struct Halt: Codable, Equatable, Sendable {
    public var level: String
    public var latched: String
    public var outcome: String
    public var cause: String
    public var ordersLeft: Int
    /// When the venue confirmed that nothing of ours rests, seconds ago.
    public var verifiedAgo: Double?
  }

  public struct Event: Codable, Equatable, Sendable {
    /// Seconds ago.
    public var ago: Double
    public var text: String
  }

  public struct Lane: Codable, Equatable, Sendable {
    public var name: String
    public var state: String
    public var since: Double
    public var cause: String
    public var heartbeatAge: Double
    /// All counters, and how fast those that only rise did rise in the last interval, per second.
    public var counters: [String: UInt64]
    public var rates: [String: Double]
    public var spans: [Span]
    public var performance = VenuePerformance()
    public var halt: Halt?
    public var watchdog: String?
    public var instruments: [Instrument]
    public var events: [Event]

    /// Sums over the instruments.
    public var pnl: Double { instruments.reduce(0) { $0 + $1.pnl } }
    public var fees: Double { instruments.reduce(0) { $0 + $1.fees } }
    public var fills: UInt64 { instruments.reduce(0) { $0 + $1.fills } }
  }

  public var name: String
  /// `simulated`, `shadow`, `testnet`, `production`; absent if the engine does not say.
  public var mode: String?
  /// The release that its program lies in; absent if that is none.
  public var release: String?
  public var processID: Int64
  public var bootEpoch: UInt64
  public var isAlive: Bool
  /// Since the start, seconds.
  public var uptime: Double
  public var heartbeatAge: Double
  /// Asked from outside, by the stop word.
  public var stopRequested: String
  public var stopCause: String
  public var lanes: [Lane]
  /// Of whoever looks and keeps an alert engine; else empty.
  public var alerts: [AlertView] = []

  public var pnl: Double { lanes.reduce(0) { $0 + $1.pnl } }
}

/// Looks at one telemetry file again and again; keeps what rates and recent percentiles need.
public struct EngineObserver: ~Copyable {
  private var last: (at: Nanoseconds, counters: [[UInt64]], bootEpoch: UInt64)?
  /// Of this start; its manifest is written shortly after the telemetry file.
  private var release: (bootEpoch: UInt64, name: String)?
  /// Copies of each span, oldest first, at least a second apart and at most ten seconds old.
  private var histograms: [SpanKey: [(at: Nanoseconds, copy: LatencyHistogramBox)]] = [:]
  private static let window: Nanoseconds = 10_000_000_000

  private struct SpanKey: Hashable {
    var lane: Int
    var span: UInt32
  }

  public init() {}

  /// - Parameters:
  ///   - now: CLOCK_MONOTONIC.
  public mutating func look(_ reader: borrowing TelemetryReader, now: Nanoseconds = TelemetrySnapshot.monotonicNow)
    -> EngineView
  {
    let snapshot = reader.snapshot()
    let before = last.flatMap { $0.bootEpoch == snapshot.bootEpoch ? $0 : nil }
    if before == nil { histograms = [:] }
    let interval = before.map { Double(now - $0.at) / 1e9 } ?? 0
    var lanes: [EngineView.Lane] = []
    for (place, lane) in snapshot.lanes.enumerated() {
      var counters: [String: UInt64] = [:]
      var rates: [String: Double] = [:]
      for (slot, counter) in lane.counters.enumerated() {
        counters[counter.name] = counter.value
        guard !counter.isLevel, interval > 0, let old = before?.counters[safe: place]?[safe: slot],
          counter.value >= old
        else { continue }
        rates[counter.name] = Double(counter.value - old) / interval
      }
      lanes.append(
        EngineView.Lane(
          name: lane.name, state: Self.name(lane.state), since: Self.age(lane.stateSince, now), cause: lane.cause,
          heartbeatAge: Self.age(lane.heartbeat, now), counters: counters, rates: rates,
          spans: spans(of: lane.index, reader, now), performance: VenuePerformance(lane),
          halt: lane.halt.map { EngineView.Halt($0, now) },
          watchdog: lane.watchdog.map { "\($0.state)" },
          instruments: lane.instruments.map { EngineView.Instrument($0, now) },
          events: lane.events.map { EngineView.Event(ago: Self.age($0.at, now), text: $0.text) }))
    }
    last = (now, snapshot.lanes.map { $0.counters.map(\.value) }, snapshot.bootEpoch)
    if release?.bootEpoch != snapshot.bootEpoch { release = reader.release(of: snapshot.bootEpoch).map { (snapshot.bootEpoch, $0) } }
    return EngineView(
      name: snapshot.name, mode: snapshot.mode?.rawValue, release: release?.name, processID: snapshot.processID, bootEpoch: snapshot.bootEpoch,
      isAlive: reader.isWriterAlive, uptime: Self.age(snapshot.start, now),
      heartbeatAge: Self.age(snapshot.heartbeat, now), stopRequested: snapshot.stop.level.text,
      stopCause: snapshot.stop.cause, lanes: lanes)
  }

  static func age(_ time: Nanoseconds, _ now: Nanoseconds) -> Double { Double(max(0, now - time)) / 1e9 }

  private static func name(_ state: LaneState?) -> String {
    switch state {
    case .connecting: "connecting"
    case .syncing: "synchronising"
    case .quoting: "quoting"
    case .frozen: "not quoting"
    case .stopping: "stopping"
    case .stopped: "stopped"
    case nil: "unknown"
    }
  }

  private mutating func spans(of lane: Int, _ reader: borrowing TelemetryReader, _ at: Nanoseconds)
    -> [EngineView.Span]
  {
    var spans: [EngineView.Span] = []
    for number in 0..<UInt32(APUS_TELEMETRY_SPANS_NAMED) {
      guard let name = unsafe apus_telemetry_span_name(number), let span = TelemetrySpan(rawValue: number),
        let now = reader.withSpan(lane: lane, span, { LatencyHistogramBox($0) }) ?? nil
      else { continue }
      let key = SpanKey(lane: lane, span: number)
      var copies = histograms[key] ?? []
      copies.removeAll { at - $0.at > Self.window }
      let recent = copies.first.map { now.since($0.copy) }
      if at - (copies.last?.at ?? .min / 2) >= 1_000_000_000 { copies.append((at, now)) }
      histograms[key] = copies
      let shown = recent.flatMap { $0.count > 0 ? $0 : nil } ?? now
      spans.append(
        EngineView.Span(
          name: unsafe String(cString: name), count: now.count, recentCount: recent?.count ?? 0,
          p50: shown.percentile(50), p99: shown.percentile(99), p999: shown.percentile(99.9), max: shown.max))
    }
    return spans
  }
}

/// A copy of a histogram that can be kept in a dictionary.
private final class LatencyHistogramBox {
  private let histogram: LatencyHistogram

  private init(_ histogram: consuming LatencyHistogram) { self.histogram = histogram }

  init?(_ memory: UnsafeRawBufferPointer) {
    guard memory.count >= LatencyHistogram.byteCount, let start = memory.baseAddress else { return nil }
    histogram = unsafe LatencyHistogram.snapshot(of: start.assumingMemoryBound(to: apus_histogram.self))
  }

  func since(_ earlier: LatencyHistogramBox) -> LatencyHistogramBox {
    var later = histogram.snapshot()
    later.subtract(earlier.histogram)
    return LatencyHistogramBox(later)
  }

  var count: UInt64 { histogram.count }
  var max: Nanoseconds { histogram.max }
  func percentile(_ percent: Double) -> Nanoseconds { histogram.percentile(percent) }
}

extension EngineView.Instrument {
  init(_ shown: InstrumentSnapshot, _ now: Nanoseconds) {
    func price(_ ticks: PriceTicks) -> Double { Double(ticks.rawValue) * Double(shown.tickE8) / 1e8 }
    func quantity(_ lots: QtyLots) -> Double { Double(lots.rawValue) * Double(shown.lotE8) / 1e8 }
    name = shown.name
    priceDecimals = Self.decimals(of: shown.tickE8)
    quantityDecimals = Self.decimals(of: shown.lotE8)
    bid = shown.bid.map { price($0.price) }
    ask = shown.ask.map { price($0.price) }
    mark = shown.markE8.map { Double($0) / 1e8 }
    marketAge = shown.marketAt.map { EngineObserver.age($0, now) }
    let middle: Double? =
      switch (bid, ask) {
      case (.some(let bid), .some(let ask)): (bid + ask) / 2
      default: mark
      }
    func side(_ quote: ShownQuote?, _ levels: Int, _ since: Nanoseconds?, _ other: Double?, _ sign: Double)
      -> EngineView.Side?
    {
      guard let quote else { return nil }
      let own = price(quote.price)
      var distance: Double?
      if let other, let middle, middle != 0 { distance = sign * (other - own) / abs(middle) * 10_000 }
      return EngineView.Side(
        price: own, quantity: quantity(quote.quantity), levels: levels, distanceBps: distance,
        age: since.map { EngineObserver.age($0, now) })
    }
    ownBid = side(shown.ownBid, shown.ownBidLevels, shown.ownBidSince, bid, 1)
    ownAsk = side(shown.ownAsk, shown.ownAskLevels, shown.ownAskSince, ask, -1)
    position = shown.position.map(quantity)
    isHandedOver = EngineView.tellsHandedOver(shown.block)
    limit = quantity(shown.limit)
    worst = max(quantity(shown.worstLong), quantity(shown.worstShort))
    unproven = quantity(shown.unprovenBuys) + quantity(shown.unprovenSells)
    pnl = Double(shown.pnlE8 - shown.feesE8) / 1e8
    fees = Double(shown.feesE8) / 1e8
    fills = shown.fills
    traded = Double(shown.tradedE8) / 1e8
    quotedShare = shown.observed > 0 ? Double(shown.quoted) / Double(shown.observed) : nil
    block = shown.block.isEmpty ? nil : shown.block
    adjustments = shown.adjustments
  }

  /// Decimals that a step needs: 3 for a lot of 0.001.
  private static func decimals(of stepE8: Int64) -> Int {
    var (step, places) = (stepE8, 8)
    while places > 0, step > 0, step % 10 == 0 {
      step /= 10
      places -= 1
    }
    return places
  }
}

extension EngineView.Halt {
  init(_ halt: HaltSnapshot, _ now: Nanoseconds) {
    level = halt.level.text
    latched = halt.latchedLevel.text
    outcome = Self.name(halt.outcome)
    cause = halt.cause
    ordersLeft = halt.ordersLeft
    verifiedAgo = halt.verifiedAt.map { EngineObserver.age($0, now) }
  }

  private static func name(_ outcome: HaltOutcome) -> String {
    switch outcome {
    case .none: "none"
    case .obeyed: "obeyed"
    case .working: "working"
    case .verified: "verified"
    case .closing: "closing"
    case .flat: "flat"
    case .offline: "offline"
    }
  }
}

extension Array {
  fileprivate subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}

extension EngineView {
  /// Whether a cause not to quote is that another engine has the instrument. The file keeps the beginning of the text.
  static func tellsHandedOver(_ cause: String) -> Bool { cause.count > 20 && QuotingBlock.handedOver.text.hasPrefix(cause) }
}
