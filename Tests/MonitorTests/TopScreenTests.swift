import Apus
import ApusMonitor
import CSupport
import Testing

@Suite struct TopScreenTests {
  /// An engine with so many instruments, seen twice.
  private func view(instruments: Int = 1, name: String = "BTC-PERPETUAL", ownSince: Nanoseconds = 8_000_000_000) throws
    -> EngineView
  {
    let directory = try MonitorDirectory()
    let second: Nanoseconds = 1_000_000_000
    var writer = try TelemetryWriter(path: directory.file, name: "desk", mode: .testnet, bootEpoch: 7, now: 0)
    guard var lane = writer.openLane(0, name: "thalex", now: 0) else { throw NoLane() }
    lane.show(.quoting, cause: "quoting", since: second)
    lane.add(event: "logging in", at: second / 2)
    lane.set(.amends, to: 100)
    lane.set(.budgetLeft, to: 3)
    lane.set(.refusedLate, to: 4)
    lane.set(.journalLost, to: 9)
    lane.set(.messageBudget, to: 45)
    lane.set(.parameters, to: 3)
    let memory = lane.span(.tickToOrder)
    let histogram = try #require(memory.baseAddress).assumingMemoryBound(to: apus_histogram.self)
    for _ in 0..<100 { LatencyHistogram.record(50_000_000, in: histogram) }
    for span in [TelemetrySpan.tickToFrame, .receive, .decode, .decide, .risk, .encode] {
      let memory = lane.span(span)
      let histogram = try #require(memory.baseAddress).assumingMemoryBound(to: apus_histogram.self)
      for _ in 0..<10 { LatencyHistogram.record(Nanoseconds(span.rawValue) * 1000 + 500, in: histogram) }
    }
    let grid = InstrumentGrid(tickE8: 50_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1))
    for index in 0..<instruments {
      var value = InstrumentTelemetry(name: instruments == 1 ? name : "\(name)-\(index)", grid: grid)
      value.bid_ticks = PriceTicks(rawValue: 122_000)
      value.bid_lots = QtyLots(rawValue: 5)
      value.ask_ticks = PriceTicks(rawValue: 122_002)
      value.ask_lots = QtyLots(rawValue: 5)
      value.own_bid_ticks = PriceTicks(rawValue: 121_990)
      value.own_bid_lots = QtyLots(rawValue: 20)
      value.own_bid_since_ns = ownSince
      value.position_lots = QtyLots(rawValue: Int64(index) - 40)
      value.flags = UInt64(APUS_TELEMETRY_POSITION_KNOWN)
      value.limit_lots = QtyLots(rawValue: 100)
      value.worst_long_lots = QtyLots(rawValue: 95)
      value.unproven_buy_lots = QtyLots(rawValue: 20)
      value.pnl_e8 = 250_000_000 - Int64(index) * 100_000_000
      value.fees_e8 = 50_000_000
      _ = lane.show(&value, at: index)
    }
    let reader = try TelemetryReader(path: directory.file)
    var observer = EngineObserver()
    _ = observer.look(reader, now: 8 * second)
    lane.set(.amends, to: 110)
    lane.set(.bytesIn, to: 50_000)
    lane.set(.framesIn, to: 400)
    for _ in 0..<10 { LatencyHistogram.record(2000, in: histogram) }
    return observer.look(reader, now: 10 * second)
  }

  @Test func `figures are in natural units, rates and percentiles of what happened between two looks`() throws {
    let lane = try #require(try view().lanes.first)
    #expect(lane.state == "quoting" && lane.since == 9)
    #expect(try view().mode == "testnet")
    #expect(lane.rates["amends"] == 5 && lane.rates["budget_left"] == nil && lane.counters["budget_left"] == 3)
    let span = try #require(lane.spans.first { $0.name == "tick_to_order" })
    #expect(span.count == 110 && span.recentCount == 10 && span.p50 <= 2064 && span.p50 >= 2000)
    let shown = try #require(lane.instruments.first)
    #expect(shown.bid == 61_000 && shown.ask == 61_001 && shown.priceDecimals == 1 && shown.quantityDecimals == 3)
    #expect(shown.position == -0.04 && shown.worst == 0.095 && shown.unproven == 0.02 && shown.pnl == 2)
    let bid = try #require(shown.ownBid)
    #expect(bid.price == 60_995 && bid.age == 2)
    #expect(abs((bid.distanceBps ?? 0) - 5 / 61_000.5 * 10_000) < 1e-9)
    #expect(shown.ownAsk == nil)
    #expect(lane.events.map(\.text) == ["logging in"] && lane.events.map(\.ago) == [9.5])
  }

  @Test(arguments: [(60, 16), (80, 24), (100, 30), (132, 43), (200, 60), (10, 3)])
  func `a screen has its size, whatever there is to show`(columns: Int, rows: Int) throws {
    for view in [try view(), try view(instruments: 200), try view(name: String(repeating: "X", count: 31))] {
      var screen = TopScreen()
      for order in TopScreen.Order.allCases {
        screen.order = order
        screen.first = 1000
        let lines = screen.draw(view, columns: columns, rows: rows)
        #expect(lines.count == rows && lines.allSatisfy { $0.width <= columns && $0.text.count == $0.width })
      }
    }
    var empty = TopScreen()
    #expect(empty.draw(nil, problem: String(repeating: "y", count: 300), columns: columns, rows: rows).count == rows)
  }

  @Test func `80 by 24 show market, quotes, position, worst case, PnL, budget, latency and events`() throws {
    var screen = TopScreen()
    let text = screen.draw(try view(), columns: 80, rows: 24).map(\.text).joined(separator: "\n")
    for part in [
      "apus desk  testnet  pid ", "thalex quoting for 9s", "nothing in force", "3 left, 45/s come", "amend 5", "tick to order",
      "in 200/s 25.0kB/s", "parameters 3",
      "late 4", "records lost 9", "decode 6.5 decide 7.5 risk 8.5",
      "BTC-PERPETUAL",
      "61000.0", "61001.0", "0.8", "−0.040", "95 %*", "2.00", "logging in", "q quit", "NOT RUNNING",
    ] where part != "NOT RUNNING" {
      #expect(text.contains(part), "\(part) is missing in\n\(text)")
    }
  }

  @Test(arguments: [2, 3, 8]) func `80 by 24 have room for the instruments of several lanes`(count: Int) throws {
    var view = try view()
    let lane = try #require(view.lanes.first)
    view.lanes = (0..<count).map { index in
      var other = lane
      other.name = "venue\(index)"
      return other
    }
    var screen = TopScreen()
    let text = screen.draw(view, columns: 80, rows: 24).map(\.text)
    for index in 0..<count { #expect(text.contains { $0.hasPrefix("venue\(index) quoting") }, "\(text)") }
    #expect(text.contains { $0.hasPrefix("BTC-PERPETUAL ") }, "\(text)")
    if count > 2 { #expect(text.filter { $0.hasPrefix("  budget 3, 45/s") }.count == count) }
    // With three, latencies and results of each still have a line.
    if count == 3 {
      #expect(text.filter { $0.hasPrefix("  tick to order p50 ") && $0.contains(" max ") }.count == count)
      #expect(text.filter { $0.contains("PnL 2.00") && !$0.contains("apus desk") }.count == count)
    }
  }

  @Test func `where there is room each stage of a tick has its line below tick to frame`() throws {
    var screen = TopScreen()
    let text = screen.draw(try view(), columns: 100, rows: 40).map(\.text)
    let frame = try #require(text.firstIndex { $0.hasPrefix("  tick to frame") })
    #expect(
      text[(frame + 1)...].prefix(5).map { String($0.dropFirst(2).prefix(9)) }
        == ["· receive", "· decode ", "· decide ", "· risk   ", "· encode "])
  }

  @Test(arguments: [9_750_000_000, 9_999_000_000, 0] as [Nanoseconds])
  func `columns stay where they are, whatever the age, and of a long name the middle is left out`(since: Nanoseconds)
    throws
  {
    var screen = TopScreen()
    for columns in [80, 100, 120, 132] {
      let text = screen.draw(try view(name: "BTC-25DEC26-100000-C", ownSince: since), columns: columns, rows: 24).map(\.text)
      let title = try #require(text.first { $0.hasPrefix("instrument") })
      let row = try #require(text.first { $0.hasPrefix("BTC-25DEC") })
      #expect(title.contains("PnL") && row.contains(columns == 80 ? "…" : "BTC-25DEC26-100000-C"), "\(title)\n\(row)")
      #expect(row.contains("100000-C ") && row.contains(" 2.00"), "\(row)")
      #expect(title.count == row.count && title.count <= columns, "\(title)\n\(row)")
    }
  }

  @Test func `a table that does not fit can be scrolled, and is sorted by what was asked for`() throws {
    let view = try view(instruments: 60)
    var screen = TopScreen()
    screen.order = .pnl
    var text = screen.draw(view, columns: 80, rows: 24).map(\.text)
    #expect(text.contains { $0.hasPrefix("BTC-PERPETUAL-59") } && !text.contains { $0.hasPrefix("BTC-PERPETUAL-0 ") })
    screen.first = 59
    text = screen.draw(view, columns: 80, rows: 24).map(\.text)
    #expect(text.contains { $0.hasPrefix("BTC-PERPETUAL-0 ") } && !text.contains { $0.hasPrefix("BTC-PERPETUAL-59") })
    #expect(text.contains { $0.contains("of 60") })
  }

  @Test func `without colours there is no escape, and with them the same text`() throws {
    var screen = TopScreen()
    for line in screen.draw(try view(), columns: 80, rows: 24) {
      #expect(!line.rendered(inColour: false).contains("\u{1B}"))
      let coloured = line.rendered(inColour: true).replacing(/\u{1B}\[[0-9;]*m/, with: "")
      #expect(coloured == line.text)
    }
  }
}
