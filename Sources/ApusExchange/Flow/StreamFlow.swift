public import Apus
import CSupport
import Glibc

/// A market that `apus record` has kept, played against the venue at any speed.
///
/// Reads the directory of a recording, streaming. The books are those of the recorded book channels, level by level, and
/// so are the trades; the index is that of the tickers. Where the venue's grid is coarser than the recorded one sizes are
/// gathered per tick (bids rounded down, asks up), and fractions of a lot are left out. Through a gap in the connection
/// the books stay as they were; one between two runs of the recorder is cut to a second.
public final class StreamFlow: MarketFlow {
  /// What was read, and what was odd about it.
  public struct Statistics: Equatable, Sendable {
    public var frames = 0
    public var levels = 0
    public var trades = 0
    public var tickers = 0
    /// Frames, or items in them, that the decoder refused.
    public var refused = 0
    /// Damaged or missing segments.
    public var gaps = 0
    public init() {}
  }

  public var statistics: Statistics { sink.statistics }

  private var reader: JournalReader
  private let instruments: [String: FlowInstrument]
  private var decoder: ThalexDecoder?
  private var sink = StreamSink()
  private let speedThousandths: Int64
  private let startTime: Nanoseconds
  private var origin: Nanoseconds?
  private var shift: Nanoseconds = 0
  private var lastStamp: Nanoseconds?
  private var epoch: UInt64 = 0
  private var text: [UInt8] = []
  private var pendingTime: Nanoseconds?
  private var lastTime: Nanoseconds

  /// - Parameters:
  ///   - instruments: Which recorded instruments are played, by name, and where.
  ///   - speedThousandths: 1000 plays in real time; 1 … 1,000,000.
  ///   - startTime: When the first record is due on the venue's clock.
  ///   - origin: The wall clock that counts as the recording's start, nanoseconds since 1970 UTC; the first record's by
  ///     default.
  public init(
    directory: String, instruments: [String: FlowInstrument], speedThousandths: Int64 = 1000,
    startTime: Nanoseconds = 0, origin: Nanoseconds? = nil
  ) throws(MappedFileError) {
    reader = try JournalReader(path: directory)
    self.instruments = instruments
    self.speedThousandths = min(max(1, speedThousandths), 1_000_000)
    self.startTime = startTime
    self.origin = origin
    lastTime = startTime
    readAhead()
  }

  public var nextTime: Nanoseconds? { pendingTime }

  public func next(into events: inout [FlowEvent]) {
    events += sink.pending
    readAhead()
  }

  private func readAhead() {
    sink.pending.removeAll(keepingCapacity: true)
    while let record = nextRecord() {
      switch record.kind {
      case .run: begin(record)
      case .inbound, .more: decode(record.payload)
      default: continue
      }
      guard !sink.pending.isEmpty else { continue }
      let origin = origin ?? record.wallTime
      self.origin = origin
      let elapsed = min(max(record.wallTime - shift, origin) - origin, 1_000_000_000_000_000)
      lastTime = max(lastTime, startTime + Decimal.scaled(elapsed, 1000, over: speedThousandths))
      pendingTime = lastTime
      return
    }
    pendingTime = nil
  }

  private func nextRecord() -> JournalRecord? {
    while true {
      if let record = reader.next() {
        if record.bootEpoch != epoch {
          epoch = record.bootEpoch
          if let lastStamp {
            // Nor does it go back, if the wall clock was set back meanwhile.
            let pause = record.wallTime - shift - lastStamp
            shift += pause - min(max(pause, 0), 1_000_000_000)
          }
        }
        lastStamp = record.wallTime - shift
        return record
      }
      guard reader.stop.finding != .end else { return nil }
      sink.statistics.gaps += 1
      guard reader.skipSegment() else { return nil }
    }
  }

  /// A run of the recorder begins.
  private func begin(_ record: JournalRecord) {
    guard let description = RecordingDescription(text: record.payload) else { return }
    decoder = Self.decoder(description)
    sink.begin(
      description.instruments.map { instruments[$0] }, levels: description.levels)
  }

  /// Reads tickers and books of a recording, and nothing else.
  fileprivate static func decoder(_ description: RecordingDescription) -> ThalexDecoder? {
    let count = description.instruments.count
    guard
      var decoder = try? ThalexDecoder(
        instrumentCapacity: max(count, 1), channelCapacity: 2 + description.channels.count, labelPrefix: "")
    else { return nil }
    for name in description.instruments {
      guard let index = try? decoder.want(instrument: name) else { return nil }
      for channel in description.channels {
        if channel == "ticker.\(name).raw" {
          try? decoder.register(channel: channel, kind: .ticker, instrument: index)
        } else if channel.hasPrefix("book.\(name).") {
          try? decoder.register(channel: channel, kind: .book, instrument: index)
        }
      }
    }
    try? decoder.register(channel: "instruments", kind: .instruments)
    for channel in description.channels where channel.hasPrefix("recent_trades.") {
      try? decoder.register(channel: channel, kind: .other)
    }
    return decoder
  }

  private func decode(_ payload: [UInt8]) {
    guard decoder != nil else { return }
    sink.statistics.frames += 1
    text.removeAll(keepingCapacity: true)
    text += payload
    // The decoder may look at a few bytes behind a text: they are zero.
    text += repeatElement(0, count: 64)
    text.withUnsafeBytes {
      decoder!.decode(UnsafeRawBufferPointer(rebasing: $0[..<payload.count]), into: &sink)
    }
  }

  // MARK: - Looking

  /// What the beginning of a recording says.
  struct Beginning: Equatable {
    var instruments: [String]
    var start: Nanoseconds
    /// First index, or mark, of each instrument that a ticker has come of.
    var pricesE8: [String: Int64] = [:]
  }

  /// Reads the first frames of a directory; `nil` if it is no recording.
  static func look(at directory: String) throws(MappedFileError) -> Beginning? {
    var reader = try JournalReader(path: directory)
    guard let first = reader.next(), first.kind == .run,
      let description = RecordingDescription(text: first.payload), var decoder = decoder(description)
    else { return nil }
    var found = Beginning(instruments: description.instruments, start: first.wallTime)
    var sink = FirstPrices()
    var text: [UInt8] = []
    var frames = 0
    while frames < 100_000, found.pricesE8.count < description.instruments.count, let record = reader.next() {
      guard record.kind == .inbound || record.kind == .more else { continue }
      frames += 1
      text = record.payload + repeatElement(0, count: 64)
      text.withUnsafeBytes {
        decoder.decode(UnsafeRawBufferPointer(rebasing: $0[..<record.payload.count]), into: &sink)
      }
      for (index, price) in sink.prices { found.pricesE8[description.instruments[Int(index)]] = price }
    }
    return found
  }
}

/// Whether a path is a directory, as recordings of `apus record` are.
func isDirectory(_ path: String) -> Bool {
  var facts = stat()
  return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
}

private struct FirstPrices: ~Copyable, SelectiveEventSink {
  var prices: [InstrumentIndex: Int64] = [:]

  mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker) {
    let price = ticker.indexE8 != 0 ? ticker.indexE8 : ticker.markE8
    if price > 0, prices[instrument] == nil { prices[instrument] = price }
  }
}

/// Turns decoded books, trades and tickers into what the rest of the market does.
struct StreamSink: ~Copyable, SelectiveEventSink {
  private struct Place {
    var target: FlowInstrument
    /// As the recorded venue lists it; 0 before.
    var tickE8: Int64 = 0
    var lotE8: Int64 = 0
    var bids: FeedSide
    var asks: FeedSide
    var indexE8: Int64 = 0
  }
  private var places: [Place?] = []
  private var levels: Int?
  var pending: [FlowEvent] = []
  var statistics = StreamFlow.Statistics()
  private var bidTicks: [Int64] = []
  private var askTicks: [Int64] = []

  mutating func begin(_ instruments: [FlowInstrument?], levels: Int?) {
    let old = places
    places = instruments.map { target in
      guard let target else { return nil }
      // What stands in the venue's book is taken away by the next snapshot.
      let known = old.first { $0?.target == target }.flatMap { $0 }
      return Place(
        target: target, bids: known?.bids ?? FeedSide(side: .buy, tickE8: target.grid.tickE8),
        asks: known?.asks ?? FeedSide(side: .sell, tickE8: target.grid.tickE8))
    }
    self.levels = levels
  }

  private func place(_ instrument: InstrumentIndex) -> Int? {
    Int(instrument) < places.count && places[Int(instrument)] != nil ? Int(instrument) : nil
  }

  mutating func instrument(_ info: InstrumentInfo, isListed: Bool) {
    guard isListed, let place = place(info.index) else { return }
    places[place]!.tickE8 = info.grid.tickE8
    places[place]!.lotE8 = info.grid.lotE8
  }

  mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker) {
    statistics.tickers += 1
    guard let place = place(instrument), ticker.indexE8 > 0, ticker.indexE8 != places[place]!.indexE8 else { return }
    places[place]!.indexE8 = ticker.indexE8
    pending.append(.index(places[place]!.target.index, e8: ticker.indexE8))
  }

  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
    bidTicks.removeAll(keepingCapacity: true)
    askTicks.removeAll(keepingCapacity: true)
    guard isSnapshot, let place = place(instrument) else { return }
    places[place]!.bids.removeAll(touched: &bidTicks)
    places[place]!.asks.removeAll(touched: &askTicks)
  }

  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    guard let place = place(instrument) else { return }
    statistics.levels += 1
    let (priceE8, first) = price.rawValue.multipliedReportingOverflow(by: places[place]!.tickE8)
    let (sizeE8, second) = qty.rawValue.multipliedReportingOverflow(by: places[place]!.lotE8)
    guard !first, !second, priceE8 > 0 else { return }
    if side == .buy {
      places[place]!.bids.set(priceE8, sizeE8, touched: &bidTicks)
    } else {
      places[place]!.asks.set(priceE8, sizeE8, touched: &askTicks)
    }
  }

  mutating func bookEnd(_ instrument: InstrumentIndex) {
    guard let place = place(instrument) else { return }
    if let levels {
      places[place]!.bids.keepBest(levels, touched: &bidTicks)
      places[place]!.asks.keepBest(levels, touched: &askTicks)
    }
    let target = places[place]!.target
    func emit(_ side: Side, _ ticks: inout [Int64], _ total: (Int64) -> Int64) {
      ticks.sort()
      var previous = Int64.min
      for tick in ticks where tick != previous {
        previous = tick
        pending.append(.level(target.index, side, tick, total(tick) / target.grid.lotE8))
      }
    }
    emit(.buy, &bidTicks) { places[place]!.bids.total(tick: $0) }
    emit(.sell, &askTicks) { places[place]!.asks.total(tick: $0) }
  }

  mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {
    guard let place = place(instrument) else { return }
    statistics.trades += 1
    let (target, tickE8) = (places[place]!.target, places[place]!.tickE8)
    let (priceE8, first) = price.rawValue.multipliedReportingOverflow(by: tickE8)
    let (sizeE8, second) = qty.rawValue.multipliedReportingOverflow(by: places[place]!.lotE8)
    guard !first, !second, priceE8 > 0, sizeE8 >= target.grid.lotE8 else { return }
    let tick = target.grid.tickE8
    pending.append(
      .trade(
        target.index, aggressor: aggressor, aggressor == .buy ? (priceE8 + tick - 1) / tick : priceE8 / tick,
        sizeE8 / target.grid.lotE8))
  }

  mutating func refusedAtEdge(_ problem: DecodeProblem) { statistics.refused += 1 }
}
