public import Apus
import CSupport

/// Why a journal cannot be played as a market; one sentence for people.
public struct JournalMarketError: Error, CustomStringConvertible, Sendable {
  public let description: String
}

/// The market that a journal has seen: the run of an engine, or public frames alone.
///
/// Books, trades and tickers that came in are read as the lane reads them. What rested of ours at a level when the book
/// spoke of it is taken out of it, and trades that we made as takers are left out: the others' market remains. Levels
/// that leave the shown depth because better ones came are not gone: they keep the size that they last showed.
public final class JournalMarket {
  public let path: String
  public let bootEpoch: UInt64
  /// How the run was set up; `nil` if the journal holds public frames only.
  public let run: RecordedRun?
  /// What is missing of the run, in order; over it the market is away, and begins without a book.
  public let gaps: [JournalGap]
  /// The instruments whose books the journal holds, as the venue would list them, with the first index seen.
  public private(set) var instruments: [InstrumentSpec] = []

  private let channels: [String]
  private let names: [String]

  /// Reads a journal once to learn what is in it.
  ///
  /// - Parameters:
  ///   - path: The journal's directory.
  ///   - epoch: Which run; the last one with a book by default.
  /// - Throws: `MappedFileError`, `JournalMarketError`, `ReplayError`.
  public init(path: String, epoch: UInt64? = nil) throws {
    self.path = path
    var channelsByEpoch: [UInt64: [String]] = [:]
    var runs: [UInt64: RecordedRun] = [:]
    var epochs: [UInt64] = []
    var reader = try GapReader(path: path)
    while let record = reader.next() {
      if epochs.last != record.bootEpoch { epochs.append(record.bootEpoch) }
      switch record.kind {
      case .run: if let run = try? RecordedRun(description: record) { runs[record.bootEpoch] = run }
      case .inbound, .more:
        guard let name = Self.channel(record.payload) else { continue }
        if channelsByEpoch[record.bootEpoch, default: []].last == name { continue }
        if channelsByEpoch[record.bootEpoch]?.contains(name) != true {
          channelsByEpoch[record.bootEpoch, default: []].append(name)
        }
      default: continue
      }
    }
    func hasBook(_ epoch: UInt64) -> Bool { channelsByEpoch[epoch]?.contains { $0.hasPrefix("book.") } == true }
    guard let chosen = epoch ?? epochs.last(where: hasBook), hasBook(chosen) else {
      try Self.refuse(runs[epoch ?? epochs.last ?? 0], path)
      throw JournalMarketError(
        description: epoch.map { "\(path) holds no book of the run \($0)" }
          ?? "\(path) holds no book of any run: record one with an engine that has quoted, or give a recording")
    }
    try Self.refuse(runs[chosen], path)
    bootEpoch = chosen
    run = runs[chosen]
    gaps = reader.gaps(of: chosen)
    channels = channelsByEpoch[chosen] ?? []
    var names: [String] = run?.settings.instruments.map(\.name) ?? []
    for channel in channels where channel.hasPrefix("book.") {
      let name = String(channel.split(separator: ".")[1])
      if !names.contains(name) { names.append(name) }
    }
    self.names = names
    try survey()
  }

  /// - Throws: if the run was made at a venue whose journals are not read as markets.
  static func refuse(_ run: RecordedRun?, _ path: String) throws(JournalMarketError) {
    guard let run, run.settings.venue != .thalex else { return }
    throw JournalMarketError(
      description: "the run \(run.bootEpoch) in \(path) was made with the venue kind \(run.settings.venue.rawValue): "
        + "only journals of the kind thalex are read for a backtest, a what-if and their latencies")
  }

  private static func channel(_ payload: [UInt8]) -> String? {
    let prefix = Array("{\"channel_name\":\"".utf8)
    guard payload.starts(with: prefix) else { return nil }
    return String(decoding: payload[prefix.count...].prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
  }

  /// A decoder that knows the channels of the journal.
  fileprivate func makeDecoder() throws -> ThalexDecoder {
    var decoder = try ThalexDecoder(
      instrumentCapacity: max(1, names.count), channelCapacity: channels.count + 8,
      labelPrefix: run?.settings.labelPrefix ?? "", ownLabel: run?.settings.label ?? "")
    var indexes: [String: InstrumentIndex] = [:]
    for name in names { indexes[name] = try decoder.want(instrument: name) }
    let hasBookTrades = Set(channels.filter { $0.hasPrefix("book.") }.map { $0.split(separator: ".")[1] })
    for channel in channels {
      let parts = channel.split(separator: ".")
      switch parts.first {
      case "book":
        if let index = indexes[String(parts[1])] {
          try decoder.register(channel: channel, kind: .book, instrument: index)
        }
      case "ticker", "lwt":
        if let index = indexes[String(parts[1])] {
          try decoder.register(channel: channel, kind: parts[0] == "lwt" ? .lightTicker : .ticker, instrument: index)
        }
      case "recent_trades" where parts.count > 1 && !hasBookTrades.contains(parts[1]):
        try decoder.register(channel: channel, kind: .recentTrades)
      case "instruments": try decoder.register(channel: channel, kind: .instruments)
      case "session": if channel == "session.orders" { try decoder.register(channel: channel, kind: .sessionOrders) }
      case "account":
        if channel == "account.trade_history" { try decoder.register(channel: channel, kind: .tradeHistory) }
      default: break
      }
    }
    return decoder
  }

  private func survey() throws {
    var frames = try JournalFrames(self)
    while let step = frames.next() {
      _ = step
      if frames.sink.states.allSatisfy({ $0.indexE8 > 0 && $0.info != nil && $0.midTicks != nil }) { break }
    }
    for (index, name) in names.enumerated() {
      let state = frames.sink.states[index]
      guard let info = state.info else {
        throw JournalMarketError(
          description: "\(path) does not hold the venue's list of instruments with \(name): its tick is not known")
      }
      let base = String(name.prefix { $0 != "-" })
      let indexE8 = state.indexE8 > 0 ? state.indexE8 : (state.midTicks ?? 0) * info.grid.tickE8
      guard indexE8 > 0 else {
        throw JournalMarketError(description: "\(path) holds neither an index nor a book of \(name)")
      }
      instruments.append(
        InstrumentSpec(
          name: name, product: "F\(base)USD", underlying: "\(base)USD",
          kind: info.kind == .future ? .future : .perpetual, grid: info.grid, initialIndexE8: indexE8,
          premiumLots: QtyLots(rawValue: max(1, (base == "BTC" ? 100_000_000 : 2_000_000_000) / info.grid.lotE8))))
    }
  }

  /// The market of the run, from its first frame on, for a venue that lists `names` in this order.
  public func flow(for names: [String]) throws -> any MarketFlow {
    try JournalFlow(self, places: self.names.map { names.firstIndex(of: $0) })
  }

  /// What the run itself did, as its journal says: quotes, fills and fees, and what they came to at the mid.
  ///
  /// Funding is not in it. The position before the run is not counted.
  public func recorded() throws -> BacktestReport {
    let tally = TradingTally(instruments.map { ($0.name, $0.grid) })
    var frames = try JournalFrames(self)
    var messages = BacktestReport.Messages()
    while let step = frames.next() {
      tally.begin(step.time)
      for index in tally.tracks.indices {
        let state = frames.sink.states[index]
        tally.tracks[index].bid = state.best(.buy) ?? 0
        tally.tracks[index].ask = state.best(.sell) ?? 0
        if let bid = state.best(.buy), let ask = state.best(.sell) {
          tally.tracks[index].midE8 = (bid + ask) * tally.tracks[index].grid.tickE8 / 2
        }
        tally.tracks[index].ownBid = 0
        tally.tracks[index].ownAsk = 0
      }
      for order in frames.sink.own.values {
        let index = Int(order.instrument)
        if order.side == .buy {
          tally.tracks[index].ownBid = max(tally.tracks[index].ownBid, order.price)
        } else if tally.tracks[index].ownAsk == 0 || order.price < tally.tracks[index].ownAsk {
          tally.tracks[index].ownAsk = order.price
        }
      }
      if let fill = step.fill { book(fill, step.time, tally) }
      switch step.outbound {
      case .some(let kind) where FrameKinds.changes.contains(kind): messages.orders += 1
      case .some(.cancels): messages.cancels += 1
      default: break
      }
      if step.isRefusal { messages.refused += 1 }
      tally.end()
    }
    for (index, lots) in frames.sink.states.map(\.tradedLots).enumerated() { tally.tracks[index].marketLots = lots }
    var report = tally.report()
    report.messages = messages
    report.circumstances.model = "recorded"
    report.circumstances.gaps = gaps
    report.circumstances.feeds = [String(path.split(separator: "/").last ?? "")]
    return report
  }

  private func book(_ fill: FillRecord, _ time: Nanoseconds, _ tally: TradingTally) {
    let index = Int(fill.instrument_index)
    guard index < tally.tracks.count else { return }
    if fill.is_fee_only == 1 {
      tally.addFee(index, fill.fee_e8)
      return
    }
    let priceE8 = fill.price_ticks.rawValue * tally.tracks[index].grid.tickE8
    let mid = tally.tracks[index].midE8
    tally.add(
      index, time: time, side: fill.side == 0 ? .buy : .sell, priceE8: priceE8, lots: fill.qty_lots.rawValue,
      isMaker: fill.is_maker == 1, feeE8: fill.has_fee == 1 ? fill.fee_e8 : 0, midE8: mid > 0 ? mid : priceE8)
  }

  // MARK: - Frames

  /// Reads the frames of the run in order, with their times from the first one on.
  fileprivate struct JournalFrames: ~Copyable {
    struct Step {
      var time: Nanoseconds
      var fill: FillRecord?
      var outbound: FrameKinds?
      var isRefusal = false
      /// Records are missing from here on: what was known of the books is gone.
      var isGap = false
    }

    private var reader: GapReader
    /// The record behind a gap.
    private var held: JournalRecord?
    private var last: Nanoseconds = 0
    private var decoder: ThalexDecoder
    private let epoch: UInt64
    private var first: Nanoseconds?
    private let text: UnsafeMutableRawPointer
    private static var capacity: Int { 2 << 20 }
    private static var padding: Int { 64 }
    var sink: JournalSink

    init(_ market: JournalMarket) throws {
      let reader = try GapReader(path: market.path)
      let decoder = try market.makeDecoder()
      self.reader = reader
      self.decoder = decoder
      epoch = market.bootEpoch
      var depths = [Int](repeating: .max, count: market.names.count)
      for channel in market.channels where channel.hasPrefix("book.") {
        let parts = channel.split(separator: ".")
        if parts.count > 3, let depth = Int(parts[3]), let index = market.names.firstIndex(of: String(parts[1])) {
          depths[index] = depth
        }
      }
      sink = JournalSink(depths: depths)
      text = .allocate(byteCount: Self.capacity + Self.padding, alignment: 64)
    }

    deinit { text.deallocate() }

    mutating func next() -> Step? {
      while let record = held ?? reader.next() {
        guard record.bootEpoch == epoch else { continue }
        let start = first ?? record.time
        if held == nil, reader.isBehindGap, first != nil {
          held = record
          sink.events.removeAll(keepingCapacity: true)
          sink.forget()
          return Step(time: last, isGap: true)
        }
        held = nil
        var step = Step(time: max(0, record.time - start))
        last = step.time
        switch record.kind {
        case .inbound, .more:
          first = start
          guard record.payload.count <= Self.capacity else { continue }
          record.payload.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { text.copyMemory(from: base, byteCount: bytes.count) }
            if FrameFacts(bytes, .toEngine).kind == .refusals { step.isRefusal = true }
          }
          (text + record.payload.count).initializeMemory(as: UInt8.self, repeating: 0, count: Self.padding)
          sink.events.removeAll(keepingCapacity: true)
          decoder.decode(UnsafeRawBufferPointer(start: text, count: record.payload.count), into: &sink)
          return step
        case .fill where record.payload.count >= MemoryLayout<FillRecord>.size:
          step.fill = record.payload.withUnsafeBytes { $0.loadUnaligned(as: FillRecord.self) }
          return step
        case .outbound:
          step.outbound = record.payload.withUnsafeBytes { FrameFacts($0, .toVenue).kind }
          return step
        default: continue
        }
      }
      return nil
    }
  }

  /// The flow: a step for each frame that says something about the market.
  private final class JournalFlow: MarketFlow {
    private var frames: JournalFrames
    private var pending: [FlowEvent] = []
    private(set) var nextTime: Nanoseconds?
    /// Where the venue lists each instrument of the journal; `nil`: not at all.
    private let places: [Int?]
    private var isAway = false

    init(_ market: JournalMarket, places: [Int?]) throws {
      frames = try JournalFrames(market)
      self.places = places
      readAhead()
    }

    func next(into events: inout [FlowEvent]) {
      events += pending
      readAhead()
    }

    private func readAhead() {
      nextTime = nil
      while let step = frames.next() {
        guard step.fill == nil, step.outbound == nil else { continue }
        pending.removeAll(keepingCapacity: true)
        for event in frames.sink.events {
          guard let place = places[Int(event.instrument)] else { continue }
          var event = event
          event.instrument = Int32(place)
          pending.append(event)
        }
        if step.isGap {
          pending.append(.away)
          isAway = true
        } else if isAway, frames.sink.isWhole({ places[$0] != nil }) {
          pending.append(.back)
          isAway = false
        }
        if pending.isEmpty { continue }
        nextTime = step.time
        return
      }
    }
  }
}

/// Keeps the others' market of a journal, and says what changes in it.
struct JournalSink: SelectiveEventSink {
  struct State {
    var info: InstrumentInfo?
    var indexE8: Int64 = 0
    var tradedLots: Int64 = 0
    let depth: Int
    /// By price in ticks: as the book shows it, and what of it was said to be the others'.
    var shown: [[Int64: Int64]] = [[:], [:]]
    var said: [[Int64: Int64]] = [[:], [:]]
    var touched: [[Int64]] = [[], []]

    init(depth: Int) { self.depth = depth }

    /// Of the others, ticks.
    func best(_ side: Side) -> Int64? {
      let prices = said[Int(side.rawValue)].keys
      return side == .buy ? prices.max() : prices.min()
    }
    var midTicks: Int64? {
      guard let bid = best(.buy), let ask = best(.sell) else { return nil }
      return (bid + ask) / 2
    }
  }

  struct OwnOrder {
    var instrument: InstrumentIndex
    var side: Side
    var price: Int64
    var lots: Int64
  }

  private(set) var states: [State]
  /// Resting orders of ours by the venue's id.
  private(set) var own: [String: OwnOrder] = [:]
  /// What the frame under way has said about the market.
  var events: [FlowEvent] = []
  /// Lots that we traded as takers, by instrument, side and price, and that the tape has not shown yet.
  private var taken: [TakenKey: Int64] = [:]
  private struct TakenKey: Hashable {
    var instrument: InstrumentIndex
    var side: Side
    var price: Int64
  }

  /// Instruments that had a bid and an ask before a gap.
  private var awaited: Set<Int> = []

  init(depths: [Int]) { states = depths.map { State(depth: $0) } }

  /// Records are missing: books and orders of ours are not known any more, and every level is said to be gone.
  ///
  /// What is said of a level from here on counts, and the others are not there until something is said of them.
  mutating func forget() {
    own = [:]
    taken = [:]
    for instrument in states.indices {
      if states[instrument].midTicks != nil { awaited.insert(instrument) }
      bookBegin(InstrumentIndex(instrument), isSnapshot: true)
      bookEnd(InstrumentIndex(instrument))
    }
  }

  /// Of the instruments that are asked for, each has a bid and an ask again that had them before the last gap.
  func isWhole(_ isAskedFor: (Int) -> Bool) -> Bool {
    awaited.allSatisfy { !isAskedFor($0) || states[$0].midTicks != nil }
  }

  mutating func instrument(_ info: InstrumentInfo, isListed: Bool) { states[Int(info.index)].info = info }

  mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker) {
    guard ticker.fields.contains(.index), ticker.indexE8 > 0 else { return }
    if states[Int(instrument)].indexE8 == ticker.indexE8 { return }
    states[Int(instrument)].indexE8 = ticker.indexE8
    events.append(.index(Int(instrument), e8: ticker.indexE8))
  }

  mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {
    states[Int(instrument)].tradedLots += qty.rawValue
    var lots = qty.rawValue
    let key = TakenKey(instrument: instrument, side: aggressor, price: price.rawValue)
    if let mine = taken[key] {
      let less = min(mine, lots)
      lots -= less
      taken[key] = mine == less ? nil : mine - less
    }
    if lots > 0 { events.append(.trade(Int(instrument), aggressor: aggressor, price.rawValue, lots)) }
  }

  mutating func fill(_ report: FillReport) {
    // Each trade comes by several ways; the feed of orders is the first.
    guard report.source == .reply || report.source == .feed, report.isLabelledOurs || report.isOurQuote,
      !report.isMaker, Int(report.instrument) < states.count
    else { return }
    taken[
      TakenKey(instrument: report.instrument, side: report.side, price: report.price.rawValue), default: 0] +=
      report.qty.rawValue
  }

  mutating func order(_ report: OrderReport) {
    guard report.isLabelledOurs || report.isOurQuote, Int(report.instrument) < states.count else { return }
    let id = withUnsafeBytes(of: report.venueID.bytes) {
      String(decoding: $0.prefix(Int(report.venueID.count)), as: UTF8.self)
    }
    if report.status.isLive, report.hasPrice, report.remaining.rawValue > 0 {
      own[id] = OwnOrder(
        instrument: report.instrument, side: report.side, price: report.price.rawValue,
        lots: report.remaining.rawValue)
    } else if report.status.isTerminal {
      own[id] = nil
    }
  }

  // MARK: - Books

  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
    guard isSnapshot else { return }
    for side in 0...1 {
      states[Int(instrument)].touched[side] += states[Int(instrument)].said[side].keys
      states[Int(instrument)].shown[side] = [:]
    }
  }

  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    let place = Int(side.rawValue)
    states[Int(instrument)].shown[place][price.rawValue] = qty.rawValue > 0 ? qty.rawValue : nil
    states[Int(instrument)].touched[place].append(price.rawValue)
  }

  mutating func bookEnd(_ instrument: InstrumentIndex) {
    for side in [Side.buy, .sell] { settle(Int(instrument), side) }
  }

  private mutating func settle(_ instrument: Int, _ side: Side) {
    let place = Int(side.rawValue)
    let shown = states[instrument].shown[place]
    let worst = side == .buy ? shown.keys.min() : shown.keys.max()
    let isCut = shown.count >= states[instrument].depth
    // Levels out of sight: known again, or gone, once the shown depth reaches as far.
    var prices = states[instrument].touched[place]
    prices += states[instrument].said[place].keys.filter { shown[$0] == nil }
    states[instrument].touched[place].removeAll(keepingCapacity: true)
    prices.sort()
    var previous = Int64.min
    for price in prices where price != previous {
      previous = price
      let lots: Int64
      if let raw = shown[price] {
        lots = max(0, raw - ownLots(instrument, side, price))
      } else if isCut, let worst, side == .buy ? price < worst : price > worst {
        continue
      } else {
        lots = 0
      }
      if states[instrument].said[place][price] ?? 0 == lots { continue }
      states[instrument].said[place][price] = lots > 0 ? lots : nil
      events.append(.level(instrument, side, price, lots))
    }
  }

  private func ownLots(_ instrument: Int, _ side: Side, _ price: Int64) -> Int64 {
    var sum: Int64 = 0
    for order in own.values where Int(order.instrument) == instrument && order.side == side && order.price == price {
      sum += order.lots
    }
    return sum
  }
}
