import CSupport
import Foundation
import Testing

@testable import Apus
@testable import ApusExchange

/// The engine's lane on recorded markets: latencies, sums, journals.
@Suite struct BacktestTests {
  private static let specs = [InstrumentSpec.btcPerpetual]

  private func plan(_ adjust: (inout QuotingTrial.Plan) -> Void = { _ in }) -> QuotingTrial.Plan {
    var settings = LaneSettings()
    settings.labelPrefix = "apus-trial-"
    settings.label = "apus-trial-1"
    settings.instruments = Self.specs.map { spec in
      InstrumentSettings(
        name: spec.name, maximumPosition: DecimalE8(e8: 500 * spec.grid.lotE8),
        maximumOrder: DecimalE8(e8: 100 * spec.grid.lotE8), maximumNotional: DecimalE8(e8: 100_000_000_000_000),
        collarCentiBps: 20_000, maximumOrders: 40, priceToleranceTicks: 0, keepSizePermille: 500, bookDepth: 10,
        staleAfter: 5 * second)
    }
    let ladder = LadderParameters(
      levels: 2, halfSpreadCentiBps: 10, stepTicks: 1, size: QtyLots(rawValue: 20), skewCentiBps: 50)
    var plan = QuotingTrial.Plan(instruments: Self.specs, ladders: [ladder], settings: settings)
    plan.fillModel = FillModel(queue: .riskAverse)
    adjust(&plan)
    return plan
  }

  private func synthetic(seed: UInt64) -> SyntheticFlow {
    SyntheticFlow(
      seed: seed,
      streams: [
        SyntheticFlow.Stream(
          instrument: FlowInstrument(index: 0, grid: Self.specs[0].grid), startE8: Self.specs[0].initialIndexE8,
          levelLots: Self.specs[0].premiumLots.rawValue / 2)
      ])
  }

  // MARK: - Latency

  @Test(arguments: [(1, 1), (30, 1), (1, 30), (20, 45)] as [(Int64, Int64)])
  func `no fill comes before its order can have arrived`(feed: Int64, order: Int64) throws {
    // The market stands at 61,800 until it jumps to 61,900 at 10 s. From then on somebody sells there, in large lots, ten
    // times a millisecond: a bid at the new price is filled as soon as it is there.
    let jump = 10 * second
    var steps: [(Nanoseconds, [FlowEvent])] = [(0, ScriptedFlow.calm)]
    for tick in 1..<100 {
      // Signs of life, so that the market is not stale.
      steps.append((Nanoseconds(tick) * second / 10, [.level(0, .buy, 61_799, 2000 + Int64(tick % 2))]))
    }
    steps.append(
      (
        jump,
        [
          .level(0, .sell, 61_801, 0), .level(0, .sell, 61_802, 0), .level(0, .buy, 61_890, 1),
          .level(0, .sell, 61_910, 1), .index(0, e8: 61_900_00000000),
        ]
      ))
    for tick in 1...2000 {
      steps.append((jump + Nanoseconds(tick) * millisecond / 10, [.trade(0, aggressor: .sell, 61_850, 1000)]))
    }
    let plan = plan {
      $0.feedLatency = .constant(feed * millisecond)
      $0.orderLatency = .constant(order * millisecond)
      $0.replyLatency = .constant(order * millisecond)
    }
    let report = try Backtest(plan, flow: ScriptedFlow(steps), feeds: ["jump"]).run()
    #expect(report.circumstances.failure == nil)
    let bought = report.instruments[0].fills.filter { $0.isBuy && $0.priceE8 > 61_850_00000000 }
    let first = try #require(bought.first)
    let earliest = jump + (feed + order) * millisecond
    #expect(first.time >= earliest)
    // And it does come: the asks that the jump has filled are told of meanwhile, and answered, before the bids move.
    #expect(first.time < earliest + 5 * (feed + order) * millisecond)
  }

  @Test func `nothing overtakes on the wire when latencies are drawn`() throws {
    let plan = plan {
      $0.feedLatency = .measured([100_000, 5_000_000, 300_000])
      $0.orderLatency = .measured([200_000, 9_000_000])
      $0.replyLatency = .measured([200_000, 9_000_000])
      $0.seed = 5
    }
    let report = try Backtest(plan, flow: synthetic(seed: 2), feeds: []).run(for: 30 * second)
    // A WebSocket whose bytes come in another order is closed at once.
    #expect(report.circumstances.failure == nil)
    #expect(report.messages.violations == 0)
    #expect(report.total.makerFills > 0)
  }

  // MARK: - Sums

  @Test(arguments: [QueueModel.riskAverse, .power(2), .log])
  func `R50 equal seeds give equal bytes, and the parts add up to the profit`(_ model: QueueModel) throws {
    func report(_ seed: UInt64) throws -> BacktestReport {
      let plan = plan {
        $0.fillModel = FillModel(queue: model)
        $0.orderLatency = .measured([300_000, 2_000_000, 700_000])
        $0.seed = seed
      }
      return try Backtest(plan, flow: synthetic(seed: 9), feeds: ["synthetic"]).run(for: 60 * second)
    }
    let first = try report(1)
    #expect(try first.json() == report(1).json())
    #expect(try first.json() != report(2).json())
    #expect(first.total.makerFills > 5)
    let figures = first.instruments[0].figures
    #expect(figures.profitE8 == figures.spreadE8 + figures.inventoryE8 - figures.feesE8 + figures.fundingE8)
    #expect(first.total.profitE8 == figures.profitE8)
    let fills = first.instruments[0].fills
    #expect(fills.map(\.time) == fills.map(\.time).sorted())
    let position = fills.reduce(0) { $0 + ($1.isBuy ? $1.lots : -$1.lots) }
    #expect(position == first.instruments[0].positionLots)
    #expect(first.times.count == first.instruments[0].series.profitE8.count)
    #expect(first.times.count <= 2400)
    #expect(first.instruments[0].series.profitE8.last == figures.profitE8)
    #expect(try JSONDecoder().decode(BacktestReport.self, from: Data(first.json())) == first)
  }

  @Test func `the report agrees with the venue's own books`() throws {
    let plan = plan()
    let recorder = BacktestRecorder(plan.instruments)
    let trial = try QuotingTrial(plan, flow: synthetic(seed: 4), observer: recorder)
    let outcome = try trial.run(for: 60 * second)
    let report = recorder.tally.report()
    #expect(outcome.fills == report.total.makerFills + report.total.takerFills)
    #expect(outcome.feesE8 == report.total.feesE8)
    #expect(outcome.tradedE8 == report.total.tradedE8)
    #expect(outcome.quoted > 0)
  }

  @Test func `a risk-averse queue is never filled more than one that hopes for cancels`() throws {
    func fills(_ model: QueueModel) throws -> Int64 {
      let report = try Backtest(
        plan { $0.fillModel = FillModel(queue: model) }, flow: synthetic(seed: 11), feeds: []
      ).run(for: 60 * second)
      return report.total.tradedE8
    }
    // Not a law for every market, for fills change what is quoted; on this one the order is clear.
    let averse = try fills(.riskAverse)
    #expect(averse > 0)
    #expect(try fills(.log) >= averse)
  }

  @Test func `the page holds the report and nothing from outside`() throws {
    let report = try Backtest(plan(), flow: synthetic(seed: 9), feeds: ["<b>"]).run(for: 20 * second)
    let page = String(decoding: try report.page(title: "A <title> & more"), as: UTF8.self)
    #expect(page.contains("<title>A &lt;title> &amp; more</title>"))
    #expect(!page.contains("http://") && !page.contains("https://") && !page.contains("src="))
    let start = try #require(page.range(of: "id=\"data\">"))
    let end = try #require(page.range(of: "</script>", range: start.upperBound..<page.endIndex))
    let data = Data(page[start.upperBound..<end.lowerBound].utf8)
    #expect(try JSONDecoder().decode(BacktestReport.self, from: data) == report)
    let lines = report.csv().split(separator: "\n")
    #expect(lines.count == report.instruments[0].fills.count + 1)
    #expect(lines[0].hasPrefix("time_s,instrument,side,role,cause,price,quantity,fee,mid,position_after,mid_1s"))
  }

  // MARK: - Journals

  private final class Room {
    let path = NSTemporaryDirectory() + "/apus-backtest-\(UUID().uuidString)"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  /// Runs a plan with a journal, and returns what really came of it.
  private func record(
    _ plan: QuotingTrial.Plan, seed: UInt64, into path: String, for duration: Nanoseconds = 60 * second
  ) throws -> BacktestReport {
    let recorder = BacktestRecorder(plan.instruments)
    let ends = try JournalEnds(
      path: path, name: "trial",
      configuration: JournalConfiguration(segmentBytes: 256 << 20, bootEpoch: 1, sync: .none),
      now: 0)
    let trial = try QuotingTrial(
      plan, flow: synthetic(seed: seed), observer: recorder, journal: ends.writer)
    let outcome = try trial.run(for: duration)
    var report = recorder.tally.report()
    report.messages.orders = outcome.orderMessages
    report.messages.cancels = outcome.cancels
    return report
  }

  @Test func `a journal tells what its run did, and its market gives the same run by the same model`() throws {
    let room = try Room()
    let plan = plan { $0.latency = 200_000 }
    let real = try record(plan, seed: 6, into: room.path)
    #expect(real.total.makerFills > 10)

    let market = try JournalMarket(path: room.path)
    #expect(market.instruments.map(\.name) == ["BTC-PERPETUAL"])
    #expect(market.instruments[0].grid == Self.specs[0].grid)
    let recorded = try market.recorded()
    #expect(recorded.total.makerFills == real.total.makerFills)
    #expect(recorded.total.tradedE8 == real.total.tradedE8)
    #expect(recorded.instruments[0].positionLots == real.instruments[0].positionLots)
    #expect(recorded.messages.orders == real.messages.orders)
    #expect(recorded.messages.cancels == real.messages.cancels)
    // The fees of the last fills come too late for the journal.
    #expect(abs(recorded.total.feesE8 - real.total.feesE8) * 10 <= real.total.feesE8)

    // The same parameters on the market of the journal: about what really came of them.
    let run = try #require(market.run)
    let ladders = try #require(run.ladders(on: market.instruments.map(\.grid)))
    var same = QuotingTrial.Plan(instruments: market.instruments, ladders: ladders, settings: run.settings)
    same.fillModel = plan.fillModel
    same.latency = 200_000
    let again = try Backtest(same, flow: market.flow(for: ["BTC-PERPETUAL"]), feeds: []).run()
    #expect(again.circumstances.failure == nil)
    let share = Double(again.total.tradedE8) / Double(real.total.tradedE8)
    #expect(share > 0.8 && share < 1.25, "\(share)")
    let quoted = Double(again.total.quotedBoth) / Double(real.total.quotedBoth)
    #expect(quoted > 0.9 && quoted < 1.1, "\(quoted)")

    // Half a round trip is what one way took; the clocks are one.
    let latencies = try JournalLatencies(path: room.path)
    #expect(latencies.order.count > 100)
    #expect(latencies.order.allSatisfy { $0 >= 200_000 && $0 < 260_000 })
  }

  @Test func `a journal without a market says so`() throws {
    let room = try Room()
    #expect(throws: JournalMarketError.self) { _ = try JournalMarket(path: room.path) }
  }

  @Test(arguments: [VenueKind.deribit, .bybit])
  func `a journal of another venue is refused by the venue's name`(kind: VenueKind) throws {
    let room = try Room()
    var settings = plan().settings
    settings.venue = kind
    var ends = try JournalEnds(
      path: room.path, name: "trial", configuration: JournalConfiguration(bootEpoch: 7, sync: .none), now: 0)
    for (place, text) in [
      try RunDescription(settings: settings, ladders: plan().ladders).text(),
      #"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.raw","data":{}}}"#,
    ].enumerated() {
      #expect(
        Array(text.utf8).withUnsafeBytes {
          ends.writer.append(place == 0 ? .run : .inbound, connection: 0, time: 1, payload: $0)
        })
    }
    func expectRefusal(_ make: () throws -> Void) {
      #expect { try make() } throws: { error in
        let text = "\((error as? JournalMarketError)?.description ?? "")"
        return text.contains("the run 7 ") && text.contains("the venue kind \(kind.rawValue):")
      }
    }
    expectRefusal { _ = try JournalMarket(path: room.path) }
    expectRefusal { _ = try JournalMarket(path: room.path, epoch: 7) }
    expectRefusal { _ = try JournalLatencies(path: room.path) }
  }

  // MARK: - Damaged journals

  /// Writes a journal anew in small segments, and returns their paths.
  ///
  /// - Parameter refusing: So many records find no room.
  private func split(_ path: String, to copy: String, epochs: [UInt64] = [1], refusing: Int = 0) throws -> [String] {
    var refused = 0
    for epoch in epochs {
      var reader = try JournalReader(path: path)
      var ends = try JournalEnds(
        path: copy, name: "copy",
        configuration: JournalConfiguration(segmentBytes: 64 << 10, bootEpoch: epoch, sync: .none), now: 0)
      while let record = reader.next() {
        if refused >= refusing { try ends.service.service(now: 0) }
        guard let kind = record.kind else { continue }
        let isWritten = record.payload.withUnsafeBytes {
          ends.writer.append(kind, connection: record.connection, time: record.time, payload: $0)
        }
        if !isWritten { refused += 1 }
      }
    }
    #expect(refused == refusing)
    return try FileManager.default.contentsOfDirectory(atPath: copy).sorted().map { "\(copy)/\($0)" }
  }

  private func steps(_ market: JournalMarket) throws -> [(time: Nanoseconds, events: [FlowEvent])] {
    let flow = try market.flow(for: ["BTC-PERPETUAL"])
    var steps: [(time: Nanoseconds, events: [FlowEvent])] = []
    while let time = flow.nextTime {
      var events: [FlowEvent] = []
      flow.next(into: &events)
      steps.append((time, events))
    }
    return steps
  }

  @Test func `over a missing segment the market is away and without a book, and the report names it`() throws {
    let room = try Room()
    let plan = plan { $0.latency = 200_000 }
    _ = try record(plan, seed: 6, into: room.path + "/whole", for: 20 * second)
    let copy = room.path + "/copy"
    let files = try split(room.path + "/whole", to: copy)
    try #require(files.count > 5)
    let whole = try JournalMarket(path: copy)
    #expect(whole.gaps.isEmpty)
    #expect(try !steps(whole).contains { $0.events.contains(.away) })
    let allOrders = try JournalLatencies(path: copy)
    #expect(allOrders.gaps.isEmpty)

    try FileManager.default.removeItem(atPath: files[2])
    let market = try JournalMarket(path: copy)
    let gap = JournalGap("segment 3 is missing; restore it, or skip what it held")
    #expect(market.gaps == [gap])
    #expect(try market.recorded().circumstances.gaps == [gap])
    let latencies = try JournalLatencies(path: copy)
    #expect(latencies.gaps == [gap])
    #expect(latencies.order.count < allOrders.order.count)
    // No answer is taken for that of a question before the hole.
    #expect(latencies.order.allSatisfy { $0 < 260_000 })

    // What the flow has said to rest, as the venue would add it up.
    var book: [Side: Set<Int64>] = [:]
    var isAway = false
    var absences = 0
    for (_, events) in try steps(market) {
      for event in events {
        switch event.kind {
        case .level where event.lots > 0: book[event.side, default: []].insert(event.value)
        case .level: book[event.side]?.remove(event.value)
        case .away:
          absences += 1
          isAway = true
          #expect(book.count == 2 && book.values.allSatisfy(\.isEmpty))
        case .back:
          isAway = false
          #expect(book.values.allSatisfy { !$0.isEmpty })
        default: break
        }
      }
    }
    #expect(absences == 1 && !isAway)

    let report = try Backtest(plan, flow: market.flow(for: ["BTC-PERPETUAL"]), feeds: ["copy"], gaps: market.gaps).run()
    #expect(report.circumstances.failure == nil)
    #expect(report.circumstances.gaps == [gap])
    #expect(String(decoding: try report.page(title: ""), as: UTF8.self).contains(gap.description))
  }

  @Test func `over records that could not be written the market is away`() throws {
    let room = try Room()
    _ = try record(plan(), seed: 6, into: room.path + "/whole", for: 20 * second)
    _ = try split(room.path + "/whole", to: room.path + "/copy", refusing: 40)
    let market = try JournalMarket(path: room.path + "/copy")
    // Between two that find no room a smaller record may find some.
    let counts = market.gaps.compactMap { Int($0.description.prefix { $0.isNumber }) }
    #expect(counts.reduce(0, +) == 40 && counts.count == market.gaps.count, "\(market.gaps)")
    #expect(
      market.gaps.allSatisfy { !$0.isTail && $0.description.contains(" records could not be written before record ") })
    let turns = try steps(market).flatMap(\.events).filter { $0.kind == .away || $0.kind == .back }
    #expect(turns.filter { $0.kind == .away }.count == market.gaps.count)
    #expect(turns.last == .back)
  }

  @Test func `damage of another run is not the market's, and a torn tail is no damage`() throws {
    let room = try Room()
    _ = try record(plan(), seed: 6, into: room.path + "/whole", for: 20 * second)
    let copy = room.path + "/copy"
    let files = try split(room.path + "/whole", to: copy, epochs: [1, 2])
    try #require(files.count > 10)
    try FileManager.default.removeItem(atPath: files[1])
    #expect(try JournalMarket(path: copy).gaps == [])
    #expect(try JournalMarket(path: copy, epoch: 1).gaps.count == 1)
    #expect(try JournalLatencies(path: copy).gaps.count == 1)
    #expect(try JournalLatencies(path: copy, epoch: 2).gaps == [])

    var reader = try JournalReader(path: room.path + "/whole")
    var offset: UInt64 = 0
    while let record = reader.next() { offset = record.segmentOffset }
    let names = try FileManager.default.contentsOfDirectory(atPath: room.path + "/whole")
    let segment = URL(fileURLWithPath: room.path + "/whole/" + (names.min() ?? ""))
    let file = try FileHandle(forWritingTo: segment)
    try file.truncate(atOffset: offset + 20)
    try file.close()
    let torn = try JournalMarket(path: room.path + "/whole")
    #expect(torn.gaps.map(\.isTail) == [true], "\(torn.gaps)")
    #expect(try !steps(torn).contains { $0.events.contains(.away) })
  }

  // MARK: - Sums of a tally

  /// A position of 100 lots whose mid falls by 50 ticks for 1 ms, `lead` after it was bought, and rises by one again.
  private func fall(after lead: Nanoseconds) -> BacktestReport {
    let grid = Self.specs[0].grid
    let tally = TradingTally([("BTC-PERPETUAL", grid)])
    var time: Nanoseconds = 0
    func step(_ elapsed: Nanoseconds, midTicks: Int64, fill: Bool = false) {
      time += elapsed
      tally.begin(time)
      tally.tracks[0].bid = midTicks - 1
      tally.tracks[0].ask = midTicks + 1
      tally.tracks[0].midE8 = midTicks * grid.tickE8
      if fill {
        tally.add(
          0, time: time, side: .buy, priceE8: midTicks * grid.tickE8, lots: 100, isMaker: true, feeE8: 0,
          midE8: midTicks * grid.tickE8)
      }
      tally.end()
    }
    // Before there is a market.
    tally.begin(0)
    tally.end()
    step(millisecond, midTicks: 61_800, fill: true)
    for _ in 0..<(lead / (100 * millisecond)) { step(100 * millisecond, midTicks: 61_800) }
    step(millisecond, midTicks: 61_750)
    step(millisecond, midTicks: 61_801)
    for _ in 0..<10 { step(100 * millisecond, midTicks: 61_801) }
    return tally.report()
  }

  @Test func `the deepest fall does not depend on how long the feed is`() {
    let deep = valueE8(lots: 100, priceE8: 50 * Self.specs[0].grid.tickE8, grid: Self.specs[0].grid)
    for lead in [second, 600 * second, 3600 * second] {
      let report = fall(after: lead)
      #expect(report.instruments[0].figures.drawdownE8 == deep, "\(lead)")
      #expect(report.total.drawdownE8 == deep, "\(lead)")
    }
  }

  @Test func `the range of the mid begins with the first mid, however far the series is thinned out`() throws {
    for lead in [second, 3600 * second] {
      let series = fall(after: lead).instruments[0].series
      let lows = series.low.filter { $0 > 0 }
      #expect(lows.count >= series.low.count - 1)
      #expect(lows.min() == Int64(2 * 61_750))
      #expect(series.high.max() == Int64(2 * 61_801))
      #expect(series.low.first == Int64(2 * 61_800))
    }
  }

  // MARK: - The market of a journal

  @Test func `our own lots are taken out of the book, and what leaves the shown depth is kept`() {
    var sink = JournalSink(depths: [3])
    func told() -> [FlowEvent] {
      defer { sink.events = [] }
      return sink.events
    }
    func price(_ ticks: Int64) -> PriceTicks { PriceTicks(rawValue: ticks) }
    var order = OrderReport()
    order.isLabelledOurs = true
    order.status = .open
    order.hasPrice = true
    order.side = .buy
    order.instrument = 0
    order.price = price(100)
    order.remaining = QtyLots(rawValue: 4)
    _ = apus_id_set(&order.venueID, [CChar(65)], 1)
    sink.order(order)
    sink.bookBegin(0, isSnapshot: true)
    for (ticks, lots) in [(100, 9), (99, 5), (98, 7)] as [(Int64, Int64)] {
      sink.bookLevel(0, .buy, price(ticks), QtyLots(rawValue: lots))
    }
    sink.bookEnd(0)
    #expect(told() == [.level(0, .buy, 98, 7), .level(0, .buy, 99, 5), .level(0, .buy, 100, 5)])
    // A better level pushes the last one out of sight: it is still there.
    sink.bookBegin(0, isSnapshot: false)
    sink.bookLevel(0, .buy, price(101), QtyLots(rawValue: 2))
    sink.bookLevel(0, .buy, price(98), .zero)
    sink.bookEnd(0)
    #expect(told() == [.level(0, .buy, 101, 2)])
    // 99 goes, and 97 comes in sight: so 98 was gone meanwhile.
    sink.bookBegin(0, isSnapshot: false)
    sink.bookLevel(0, .buy, price(99), .zero)
    sink.bookLevel(0, .buy, price(97), QtyLots(rawValue: 1))
    sink.bookEnd(0)
    #expect(told() == [.level(0, .buy, 97, 1), .level(0, .buy, 98, 0), .level(0, .buy, 99, 0)])
    // Filled by others' trades: those stay in the tape. What we took ourselves does not.
    order.status = .filled
    sink.order(order)
    var fill = FillReport()
    fill.isLabelledOurs = true
    fill.instrument = 0
    fill.side = .sell
    fill.price = price(101)
    fill.qty = QtyLots(rawValue: 2)
    sink.fill(fill)
    sink.publicTrade(0, aggressor: .sell, price: price(101), qty: QtyLots(rawValue: 5), time: 0)
    sink.publicTrade(0, aggressor: .sell, price: price(100), qty: QtyLots(rawValue: 4), time: 0)
    #expect(told() == [.trade(0, aggressor: .sell, 101, 3), .trade(0, aggressor: .sell, 100, 4)])
  }
}
