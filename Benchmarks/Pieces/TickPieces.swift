import Apus
import CSupport
import Glibc
import Synchronization

/// From the bytes of a market-data frame to the masked bytes of the order frames that it leads to, in memory:
/// WebSocket, decoding, book, strategy, reconciler, risk, encoding, WebSocket. No TLS, no sockets; the journal's hook
/// is there, without a journal behind it. Each tick is timed alone, between two readings of the clock (included);
/// the venue's answers are fed in between and not timed.
let tickPieces: [Piece] = [
  piece("tick.book.one") { try .walking(byMark: false) },
  piece("tick.ticker.one") { try .walking(byMark: true) },
  piece("tick.book.2") { try .moving(levels: 1) },
  piece("tick.book.6") { try .moving(levels: 3) },
  piece("tick.book.20") { try .moving(levels: 10) },
  piece("tick.unchanged.ticker") {
    try .standing { ThalexSamples.ticker(mark: "100100.0", last: 99_000 + $0 % 7, number: $0, isIndexSteady: true) }
  },
  piece("tick.unchanged.book") {
    try .standing { ThalexSamples.book(bids: "[99900,\(1 + $0 % 3),1]", asks: "") }
  },
  piece("tick.unchanged.look") {
    try .standing { ThalexSamples.ticker(mark: "10010\($0 % 2).0", last: 99_000, number: $0) }
  },
  shownPiece("tick.shown", looksPerSecond: 0),
  shownPiece("tick.shown.100", looksPerSecond: 100),
  shownPiece("tick.shown.always", looksPerSecond: .max),
]

private func piece(_ key: String, _ script: @escaping @Sendable () throws -> TickScript) -> Piece {
  Piece(key, .samples) { _ in Sampled(TickOperation(script: try script())) }
}

/// The tick of tick.ticker.one, and with it what a lane writes for others into its telemetry file.
private func shownPiece(_ key: String, looksPerSecond: Int) -> Piece {
  Piece(key, .samples) { cores in
    Sampled(ShownTickOperation(script: try .walking(byMark: true), looksPerSecond: looksPerSecond, cores: cores))
  }
}

/// While it runs, a thread on the other core reads the whole file through a mapping of its own, as `apus monitor` does.
private struct ShownTickOperation: SampledOperation, ~Copyable {
  let script: TickScript
  let looksPerSecond: Int
  let cores: Cores

  mutating func run(into samples: inout [Nanoseconds]) throws {
    let path = "/tmp/apus-bench-telemetry-\(getpid())"
    defer { unlink(path) }
    var file = try TelemetryWriter(path: path, name: "bench", bootEpoch: 1, now: 0)
    guard var lane = file.openLane(0, name: "bench", now: 0), let memory = lane.span(.tickToFrame).baseAddress else {
      throw PieceError("the telemetry file has no lane")
    }
    let span = memory.assumingMemoryBound(to: apus_histogram.self)
    var instrument = InstrumentTelemetry(
      name: "BTC-PERPETUAL", grid: InstrumentGrid(tickE8: 1, lotE8: 1, minimumLots: QtyLots(rawValue: 1)))
    var probe = try script.makeProbe()
    samples.reserveCapacity(samples.count + script.steps.count)

    let looker = Looker(path: path, looksPerSecond: looksPerSecond)
    let partner = looksPerSecond > 0 ? try Partner(cores) { looker.run() } : nil
    var isAsRecorded = true
    for (number, step) in script.steps.enumerated() {
      step.bytes.withUnsafeBytes { bytes in
        let start = EngineClock.now()
        probe.receive(bytes, now: step.now)
        let framed = EngineClock.now()
        LatencyHistogram.record(framed - start, in: span)
        lane.add(1, to: .framesIn)
        // A lane shows its instruments a few times a second; here it is a few times among these ticks.
        if number % 64 == 0 { _ = lane.show(&instrument, at: 0) }
        let end = EngineClock.now()
        if step.isTimed { samples.append(end - start) }
      }
      isAsRecorded = isAsRecorded && probe.outputCount == step.outputCount
      probe.discardOutput()
    }
    looker.isDone.store(true, ordering: .relaxed)
    partner?.join()
    guard isAsRecorded else { throw PieceError("the lane wrote something else than when the script was recorded") }
    guard looksPerSecond == 0 || looker.looks.load(ordering: .relaxed) > 0 else {
      throw PieceError("nobody could read the telemetry file")
    }
  }
}

private final class Looker: Sendable {
  let isDone = Atomic(false)
  let looks = Atomic(0)
  private let path: String
  private let looksPerSecond: Int

  init(path: String, looksPerSecond: Int) {
    self.path = path
    self.looksPerSecond = looksPerSecond
  }

  func run() {
    guard let reader = try? TelemetryReader(path: path) else { return }
    repeat {
      let snapshot = reader.snapshot()
      for number in 0..<UInt32(APUS_TELEMETRY_SPANS_NAMED) {
        guard let span = TelemetrySpan(rawValue: number) else { continue }
        _ = reader.withSpan(lane: 0, span) { memory in
          LatencyHistogram.percentile(99, of: memory.baseAddress!.assumingMemoryBound(to: apus_histogram.self))
        }
      }
      looks.add(snapshot.lanes.count, ordering: .relaxed)
      if looksPerSecond < .max { usleep(UInt32(1_000_000 / looksPerSecond)) }
    } while !isDone.load(ordering: .relaxed)
  }
}

private struct TickOperation: SampledOperation, ~Copyable {
  let script: TickScript

  mutating func run(into samples: inout [Nanoseconds]) throws {
    samples.reserveCapacity(samples.count + script.steps.count)
    var probe = try script.makeProbe()
    for step in script.steps {
      step.bytes.withUnsafeBytes { bytes in
        let start = EngineClock.now()
        probe.receive(bytes, now: step.now)
        let end = EngineClock.now()
        if step.isTimed { samples.append(end - start) }
      }
      // A script that no longer makes the lane do what the row says must not pass unnoticed.
      guard probe.outputCount == step.outputCount else {
        throw PieceError("the lane wrote \(probe.outputCount) bytes where it wrote \(step.outputCount) when recorded")
      }
      probe.discardOutput()
    }
  }
}

/// Frames recorded against one probe, to be fed to others that are made alike: the lane is
/// deterministic, so the answers fit.
private struct TickScript {
  struct Step {
    var bytes: [UInt8]
    var now: Nanoseconds
    var isTimed: Bool
    var outputCount: Int
  }

  static let warmTicks = 500
  static let timedTicks = 2000

  let levels: Int
  let markWeight: Int64
  private(set) var steps: [Step] = []
  private var probe: LaneProbe.Box
  private var now: Nanoseconds

  private init(levels: Int, markWeight: Int64 = 0) throws {
    self.levels = levels
    self.markWeight = markWeight
    let made = try Self.makeProbe(levels: levels, markWeight: markWeight)
    now = made.startTime
    probe = LaneProbe.Box(made)
  }

  func makeProbe() throws -> LaneProbe { try Self.makeProbe(levels: levels, markWeight: markWeight) }

  private static func makeProbe(levels: Int, markWeight: Int64) throws -> LaneProbe {
    var settings = LaneSettings()
    settings.instruments = [
      InstrumentSettings(
        name: "BTC-PERPETUAL", maximumPosition: DecimalE8(e8: 1_000_000_000), maximumOrder: DecimalE8(e8: 100_000_000),
        maximumNotional: DecimalE8(e8: 1_000_000_000_000_000), collarCentiBps: 20_000, maximumOrders: 40,
        priceToleranceTicks: 0, keepSizePermille: 500, bookDepth: 10, staleAfter: 1_000_000_000_000)
    ]
    settings.silenceLimit = 1_000_000_000_000
    let ladder = LadderParameters(
      levels: levels, halfSpreadCentiBps: 100, stepTicks: 2, size: QtyLots(rawValue: 20), skewCentiBps: 100,
      markWeightPermille: markWeight)
    return try LaneProbe(settings: settings, strategy: LadderStrategy(ladder))
  }

  /// Feeds one text to the recording probe, then its answers until it is silent.
  ///
  /// - Parameter orders: how many requests the text itself must lead to; `nil` for any.
  private mutating func record(_ text: String, isTimed: Bool, orders: Int?) throws {
    var texts = [text]
    var isFirst = true
    now += 1_000_000
    while !texts.isEmpty {
      var answers: [String] = []
      for text in texts {
        now += 1000
        let step = probe.feed(text, now: now)
        steps.append(
          Step(bytes: step.bytes, now: now, isTimed: isTimed && isFirst, outputCount: step.outputCount))
        if isFirst, let orders, step.requests.count != orders {
          throw PieceError("a tick led to \(step.requests.count) orders, not to \(orders)")
        }
        isFirst = false
        answers += step.answers
      }
      texts = answers
    }
  }

  /// The middle of the market at the start. Half the spread, one basis point, is then a little more than ten ticks
  /// wherever a script goes, so that no rounding is a tie.
  private static let middle = 100_100

  private mutating func begin() throws {
    try record(ThalexSamples.ticker(mark: "\(Self.middle).0", last: 99_000), isTimed: false, orders: nil)
    let bids = (0..<10).map { "[\(Self.middle - 10 - $0),1.5,1.5]" }.joined(separator: ",")
    let asks = (0..<10).map { "[\(Self.middle + 10 + $0),1.5,1.5]" }.joined(separator: ",")
    try record(ThalexSamples.book(bids: bids, asks: asks, isSnapshot: true), isTimed: false, orders: nil)
  }

  /// The fair price walks in half ticks, one quote a side: each tick moves one quote, the bid and the ask in turn.
  static func walking(byMark: Bool) throws -> TickScript {
    var script = try TickScript(levels: 1, markWeight: byMark ? 1000 : 0)
    try script.begin()
    var half = 0
    for tick in -10..<warmTicks + timedTicks {
      // A triangle of eight ticks, so that a quote round the mark never reaches the other side of the book.
      let isRising = (tick + 10) / 16 % 2 == 0
      let next = half + (isRising ? 1 : -1)
      let orders = tick < 0 ? nil : 1
      if byMark {
        let mark = "\((2 * middle + next) / 2).\((2 * middle + next) % 2 * 5)"
        try script.record(
          ThalexSamples.ticker(mark: mark, last: 99_000, number: tick + 10), isTimed: tick >= warmTicks, orders: orders)
      } else {
        try script.record(walkedBook(from: half, to: next), isTimed: tick >= warmTicks, orders: orders)
      }
      half = next
    }
    return script
  }

  /// The side whose turn it is moves by one tick: odd halves have the ask one tick further up than the bid.
  private static func walkedBook(from half: Int, to next: Int) -> String {
    func bid(_ half: Int) -> Int { middle - 10 + half / 2 }
    func ask(_ half: Int) -> Int { middle + 10 + (half + 1) / 2 }
    let (oldBid, newBid) = (bid(half), bid(next))
    let (oldAsk, newAsk) = (ask(half), ask(next))
    if newBid > oldBid { return ThalexSamples.book(bids: "[\(newBid),1.5,1.5],[\(oldBid - 9),0,0]", asks: "") }
    if newBid < oldBid { return ThalexSamples.book(bids: "[\(oldBid),0,0],[\(newBid - 9),1.5,1.5]", asks: "") }
    if newAsk > oldAsk { return ThalexSamples.book(bids: "", asks: "[\(oldAsk),0,0],[\(newAsk + 9),1.5,1.5]") }
    return ThalexSamples.book(bids: "", asks: "[\(newAsk),1.5,1.5],[\(oldAsk + 9),0,0]")
  }

  /// Each tick takes the old best away and sets a new one, on both sides: all quotes of both sides move.
  static func moving(levels: Int) throws -> TickScript {
    var script = try TickScript(levels: levels)
    try script.begin()
    var bid = middle - 10
    for tick in 0..<warmTicks + timedTicks {
      let next = bid + (tick / 50 % 2 == 0 ? 1 : -1)
      let worst = next > bid ? bid - 9 : next - 9
      let text =
        next > bid
        ? ThalexSamples.book(
          bids: "[\(next),1.5,1.5],[\(worst),0,0]", asks: "[\(bid + 20),0,0],[\(next + 29),1.5,1.5]")
        : ThalexSamples.book(
          bids: "[\(bid),0,0],[\(worst),1.5,1.5]", asks: "[\(next + 20),1.5,1.5],[\(bid + 29),0,0]")
      try script.record(text, isTimed: tick >= warmTicks, orders: tick < 10 ? nil : 2 * levels)
      bid = next
    }
    return script
  }

  /// Nothing leads to an order: three quotes a side stand.
  static func standing(_ text: (Int) -> String) throws -> TickScript {
    var script = try TickScript(levels: 3)
    try script.begin()
    for tick in 0..<warmTicks + timedTicks {
      try script.record(text(tick), isTimed: tick >= warmTicks, orders: tick < 10 ? nil : 0)
    }
    return script
  }
}

extension LaneProbe {
  /// A probe that a copyable value can refer to, for recording.
  final class Box {
    private var probe: LaneProbe

    init(_ probe: consuming LaneProbe) { self.probe = probe }

    /// Feeds one text and tells what came of it, the venue's answers included.
    func feed(
      _ text: String, now: Nanoseconds
    ) -> (bytes: [UInt8], outputCount: Int, requests: [String], answers: [String]) {
      var bytes: [UInt8] = []
      probe.appendFrame(text, to: &bytes)
      bytes.withUnsafeBytes { probe.receive($0, now: now) }
      let outputCount = probe.outputCount
      var requests: [String] = []
      probe.takeRequests(into: &requests)
      return (bytes, outputCount, requests, requests.compactMap { probe.acknowledgement(of: $0) })
    }
  }
}
