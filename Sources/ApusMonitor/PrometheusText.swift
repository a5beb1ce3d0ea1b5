public import Apus
import CSupport

/// Renders telemetry in the Prometheus text exposition format, version 0.0.4.
///
/// Every metric is named `apus_…`. Prices, quantities and money are in natural units (quote currency,
/// contracts), written as exact decimals of the integers behind them; durations are in seconds.
/// Source: prometheus.io, "Exposition formats", text-based format.
public struct PrometheusText {
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// The latencies of one span, as cumulative buckets.
  public struct SpanHistogram: Equatable, Sendable {
    /// Upper bounds of the buckets, nanoseconds: 50 ns to 10 s in steps of about two, which suit microseconds.
    public static let bounds: [Nanoseconds] =
      [
        50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
        5_000_000, 10_000_000, 20_000_000, 50_000_000, 100_000_000, 200_000_000, 500_000_000, 1_000_000_000,
        2_000_000_000, 5_000_000_000, 10_000_000_000,
      ]

    public var count: UInt64
    public var sum: Nanoseconds
    /// For each bound, how many values do not exceed it.
    public var counts: [UInt64]

    public init(count: UInt64, sum: Nanoseconds, counts: [UInt64]) {
      self.count = count
      self.sum = sum
      self.counts = counts
    }

    /// Counts the buckets of a mapped histogram, beside its writer; `nil` if nothing is in it.
    ///
    /// A value within 3.2 % below a bound may be counted above it: so fine are the buckets in the file.
    public init?(_ memory: UnsafeRawBufferPointer) {
      guard memory.count >= LatencyHistogram.byteCount, let start = memory.baseAddress else { return nil }
      let copy = LatencyHistogram.snapshot(of: start.assumingMemoryBound(to: apus_histogram.self))
      guard copy.count > 0 else { return nil }
      self.init(
        count: copy.count, sum: Nanoseconds(clamping: copy.sum), counts: Self.bounds.map { copy.count(upTo: $0) })
    }
  }

  private enum Kind: String {
    case counter, gauge, histogram
  }

  private struct Family {
    var name: String
    var kind: Kind
    var help: String
    var samples = ""
  }

  private var families: [Family] = []
  private var places: [String: Int] = [:]

  /// - Parameters:
  ///   - isAlive: Whether the process that writes the file lives.
  ///   - process: What the system knows of that process; `nil` leaves it out.
  ///   - now: CLOCK_MONOTONIC, to tell the age of heartbeats.
  ///   - span: What to print of a lane's span; `nil` leaves it out.
  public static func render(
    _ snapshot: TelemetrySnapshot, isAlive: Bool, process: ProcessUse? = nil, now: Nanoseconds,
    span: (_ lane: Int, _ span: TelemetrySpan) -> SpanHistogram? = { _, _ in nil }
  ) -> String {
    var text = PrometheusText()
    text.addEngine(snapshot, isAlive: isAlive, now: now)
    if let process { text.addProcess(process) }
    for lane in snapshot.lanes {
      text.addLane(lane, now: now)
      for instrument in lane.instruments { text.addInstrument(instrument, lane: lane.name, now: now) }
      for number in 0..<UInt32(APUS_TELEMETRY_SPANS_NAMED) {
        guard let name = unsafe apus_telemetry_span_name(number), let index = TelemetrySpan(rawValue: number),
          let histogram = span(lane.index, index)
        else { continue }
        text.addSpan(histogram, labels: [("lane", lane.name), ("span", unsafe String(cString: name))])
      }
    }
    return text.families.map { family in
      "# HELP \(family.name) \(escapeHelp(family.help))\n# TYPE \(family.name) \(family.kind.rawValue)\n\(family.samples)"
    }.joined()
  }

  // MARK: - What is shown

  private mutating func addEngine(_ snapshot: TelemetrySnapshot, isAlive: Bool, now: Nanoseconds) {
    add(
      "apus_engine_info", .gauge, "Always 1; its labels say which engine this is",
      [
        ("name", snapshot.name), ("mode", snapshot.mode?.rawValue ?? "unknown"), ("pid", "\(snapshot.processID)"),
        ("boot_epoch", "\(snapshot.bootEpoch)"),
      ], "1")
    add("apus_engine_alive", .gauge, "1 while the engine's process lives", [], isAlive ? "1" : "0")
    add(
      "apus_start_time_seconds", .gauge, "When the engine started, seconds since 1970 UTC", [],
      decimal(Int128(snapshot.startWallTime), digits: 9))
    add(
      "apus_heartbeat_age_seconds", .gauge, "Time since the engine's last sign of life", [],
      decimal(Int128(now - snapshot.heartbeat), digits: 9))
    add(
      "apus_stop_requested_level", .gauge,
      "Asked from outside: 0 none, 1 widen, 2 no new orders, 3 cancel all, 4 flatten, 5 disconnect", [],
      "\(snapshot.stop.level.rawValue)")
  }

  private mutating func addLane(_ lane: LaneSnapshot, now: Nanoseconds) {
    let label = ("lane", lane.name)
    add(
      "apus_lane_heartbeat_age_seconds", .gauge, "Time since the lane's last sign of life", [label],
      decimal(Int128(now - lane.heartbeat), digits: 9))
    for (state, name) in Self.states {
      add(
        "apus_lane_state", .gauge, "1 for the state that the lane is in, 0 for the others",
        [label, ("state", name)], lane.state == state ? "1" : "0")
    }
    for counter in lane.counters {
      if counter.name == "clock_offset_us" {
        // Prometheus knows seconds.
        add(
          "apus_clock_offset_seconds", .gauge, "Our clock against the venue's, without a sign", [label],
          decimal(Int128(counter.value), digits: 6))
        continue
      }
      let name = "apus_" + (Self.units[counter.name] ?? metricName(counter.name)) + (counter.isLevel ? "" : "_total")
      add(
        name, counter.isLevel ? .gauge : .counter, counter.help ?? "A counter of a later version", [label],
        "\(counter.value)")
    }
    add(
      "apus_events_total", .counter, "Events that the lane told people about, such as a lost connection", [label],
      "\(lane.eventCount)")
    addPerformance(VenuePerformance(lane), label)
    if let halt = lane.halt {
      add(
        "apus_halt_latched_level", .gauge, "Level of the kill ladder that only a person takes back", [label],
        "\(halt.latchedLevel.rawValue)")
      for (outcome, name) in Self.outcomes {
        add(
          "apus_halt_outcome", .gauge, "1 for how far the lane has come with what the kill ladder asks of it",
          [label, ("outcome", name)], halt.outcome == outcome ? "1" : "0")
      }
      add(
        "apus_halt_orders_left", .gauge, "Orders of ours that may still rest after a halt", [label],
        "\(halt.ordersLeft)")
    }
    if let watchdog = lane.watchdog {
      add(
        "apus_watchdog_state", .gauge, "0 off, 1 connecting, 2 watching, 3 pulling the quotes, 4 pulled", [label],
        "\(watchdog.state.rawValue)")
    }
  }

  /// Counters whose name in the file does not end with their unit.
  private static let units = ["bytes_in": "receive_bytes", "bytes_out": "transmit_bytes"]

  private mutating func addPerformance(_ performance: VenuePerformance, _ label: (String, String)) {
    for (name, help, value) in [
      ("apus_reject_ratio", "Share of the requests about orders that the venue rejected", performance.rejectRatio),
      ("apus_fill_ratio", "Share of the accepted orders of which something was executed", performance.fillRatio),
      ("apus_requests_per_fill", "Requests about orders for one execution", performance.requestsPerFill),
      (
        "apus_requests_per_million", "Requests about orders for a million of the quote currency traded",
        performance.requestsPerMillion
      ),
      ("apus_fee_bps", "Fees in basis points of what was traded", performance.feeBps),
      ("apus_quoted_ratio", "Share of the time with both sides quoted", performance.quotedShare),
    ] {
      if let value { add(name, .gauge, help, [label], "\(value)") }
    }
    for markout in performance.markouts where markout.traded > 0 {
      let labels = [label, ("horizon", "\(markout.horizon)s")]
      if let basisPoints = markout.basisPoints {
        add(
          "apus_markout_bps", .gauge, "What executions have gained after the horizon, basis points of what was traded",
          labels,
          "\(basisPoints)")
      }
      add("apus_markout_value", .gauge, "The same in the quote currency", labels, "\(markout.value)")
      add("apus_markout_traded_value", .gauge, "What these executions traded", labels, "\(markout.traded)")
    }
  }

  private mutating func addInstrument(_ instrument: InstrumentSnapshot, lane: String, now: Nanoseconds) {
    let labels = [("lane", lane), ("instrument", instrument.name)]
    func price(_ quote: ShownQuote) -> String { product(quote.price.rawValue, instrument.tickE8) }
    func quantity(_ lots: Int64) -> String { product(lots, instrument.lotE8) }

    for (side, quote) in [("bid", instrument.bid), ("ask", instrument.ask)] {
      guard let quote else { continue }
      let labels = labels + [("side", side)]
      add("apus_market_price", .gauge, "Best price of the market without our own orders", labels, price(quote))
      add(
        "apus_market_quantity", .gauge, "Contracts at the best price of the market without our own orders", labels,
        quantity(quote.quantity.rawValue))
    }
    for (side, quote, levels, since) in [
      ("bid", instrument.ownBid, instrument.ownBidLevels, instrument.ownBidSince),
      ("ask", instrument.ownAsk, instrument.ownAskLevels, instrument.ownAskSince),
    ] {
      let labels = labels + [("side", side)]
      add("apus_own_levels", .gauge, "Levels quoted", labels, "\(levels)")
      guard let quote else { continue }
      add("apus_own_price", .gauge, "Our best price", labels, price(quote))
      add("apus_own_quantity", .gauge, "Contracts at our best price", labels, quantity(quote.quantity.rawValue))
      if let since {
        add(
          "apus_own_age_seconds", .gauge, "Time since our best has its price", labels,
          decimal(Int128(max(0, now - since)), digits: 9))
      }
    }
    if let at = instrument.marketAt {
      add(
        "apus_market_age_seconds", .gauge, "Time since the last ticker", labels,
        decimal(Int128(max(0, now - at)), digits: 9))
    }
    if let mark = instrument.markE8 {
      add("apus_mark_price", .gauge, "Mark price", labels, decimal(Int128(mark), digits: 8))
    }
    add(
      "apus_position_known", .gauge, "1 when the position is known; quoting is forbidden otherwise", labels,
      instrument.position == nil ? "0" : "1")
    if let position = instrument.position {
      add("apus_position_contracts", .gauge, "Position, negative when short", labels, quantity(position.rawValue))
    }
    add(
      "apus_pnl", .gauge, "Realised and unrealised result in the quote currency, fees not deducted", labels,
      decimal(Int128(instrument.pnlE8), digits: 8))
    add("apus_fees", .gauge, "Fees paid in the quote currency", labels, decimal(Int128(instrument.feesE8), digits: 8))
    add("apus_instrument_fills_total", .counter, "Fills of the instrument", labels, "\(instrument.fills)")
    add(
      "apus_quoted_seconds_total", .counter, "Time with both sides live", labels,
      decimal(Int128(instrument.quoted), digits: 9))
    add(
      "apus_observed_seconds_total", .counter, "Time in which both sides could have been live", labels,
      decimal(Int128(instrument.observed), digits: 9))
    for (side, worst) in [("long", instrument.worstLong), ("short", instrument.worstShort)] {
      add(
        "apus_exposure_contracts", .gauge, "Position, of this side, if all that may still trade does",
        labels + [("side", side)], quantity(worst.rawValue))
    }
    for (side, unproven) in [("buy", instrument.unprovenBuys), ("sell", instrument.unprovenSells)] {
      add(
        "apus_exposure_unproven_contracts", .gauge,
        "Of the exposure, requests without an answer and orders of unknown state", labels + [("side", side)],
        quantity(unproven.rawValue))
    }
    if instrument.limit > .zero {
      add(
        "apus_exposure_limit_contracts", .gauge, "Limit of position and exposure", labels,
        quantity(instrument.limit.rawValue))
    }
    for (side, traded) in [("buy", instrument.bought), ("sell", instrument.sold)] {
      add(
        "apus_traded_contracts_total", .counter, "Contracts traded", labels + [("side", side)],
        quantity(traded.rawValue))
    }
    add(
      "apus_traded_value_total", .counter, "Value of all executions in the quote currency", labels,
      decimal(Int128(instrument.tradedE8), digits: 8))
    add(
      "apus_position_adjustments_total", .counter, "Times that the venue's position was taken over because it differed",
      labels, "\(instrument.adjustments)")
    // The reason holds figures and so is no label; /api/view has it.
    add(
      "apus_instrument_blocked", .gauge, "1 while something keeps the instrument from being quoted", labels,
      instrument.block.isEmpty ? "0" : "1")
  }

  private mutating func addProcess(_ process: ProcessUse) {
    add("apus_process_resident_memory_bytes", .gauge, "Memory of the engine in RAM", [], "\(process.residentBytes)")
    add("apus_process_open_fds", .gauge, "Files that the engine has open", [], "\(process.openFiles)")
    if let limit = process.fileLimit {
      add("apus_process_max_fds", .gauge, "Files that the engine may have open", [], "\(limit)")
    }
    for threads in process.threads {
      let label = ("thread", threads.name)
      add("apus_threads", .gauge, "Threads of the engine by name", [label], "\(threads.count)")
      add(
        "apus_thread_cpu_seconds_total", .counter, "Time on a core, user and system", [label],
        decimal(Int128((threads.cpuSeconds * 1e9).rounded()), digits: 9))
      for (kind, count) in [("voluntary", threads.voluntarySwitches), ("involuntary", threads.involuntarySwitches)] {
        add(
          "apus_thread_context_switches_total", .counter, "Times that the thread left its core",
          [label, ("kind", kind)], "\(count)")
      }
      for (kind, count) in [("minor", threads.minorFaults), ("major", threads.majorFaults)] {
        add(
          "apus_thread_page_faults_total", .counter, "Page faults; a major one waited for a disk",
          [label, ("kind", kind)], "\(count)")
      }
    }
    for (name, help, bytes) in [
      ("apus_data_free_bytes", "Free space where the data directory is", process.dataFreeBytes),
      ("apus_data_size_bytes", "Size of the file system where the data directory is", process.dataSizeBytes),
      ("apus_host_memory_available_bytes", "Memory to be had without swapping", process.memoryAvailableBytes),
      ("apus_host_memory_size_bytes", "Memory of the machine", process.memorySizeBytes),
    ] {
      if let bytes { add(name, .gauge, help, [], "\(bytes)") }
    }
  }

  private mutating func addSpan(_ histogram: SpanHistogram, labels: [(String, String)]) {
    let name = "apus_span_seconds", help = "Latency of a stage"
    for (bound, count) in zip(SpanHistogram.bounds, histogram.counts) {
      let bound = ("le", decimal(Int128(bound), digits: 9))
      add(name, .histogram, help, labels + [bound], "\(count)", suffix: "_bucket")
    }
    add(name, .histogram, help, labels + [("le", "+Inf")], "\(histogram.count)", suffix: "_bucket")
    add(name, .histogram, help, labels, decimal(Int128(histogram.sum), digits: 9), suffix: "_sum")
    add(name, .histogram, help, labels, "\(histogram.count)", suffix: "_count")
  }

  private static let outcomes: [(HaltOutcome, String)] = [
    (.none, "none"), (.obeyed, "obeyed"), (.working, "working"), (.verified, "verified"), (.closing, "closing"),
    (.flat, "flat"), (.offline, "offline"),
  ]

  private static let states: [(LaneState, String)] = [
    (.connecting, "connecting"), (.syncing, "syncing"), (.quoting, "quoting"), (.frozen, "frozen"),
    (.stopping, "stopping"), (.stopped, "stopped"),
  ]

  // MARK: - The format

  /// All samples of a family stand together, behind its two comment lines.
  private mutating func add(
    _ name: String, _ kind: Kind, _ help: String, _ labels: [(String, String)], _ value: String, suffix: String = ""
  ) {
    let place: Int
    if let known = places[name] {
      place = known
    } else {
      place = families.count
      places[name] = place
      families.append(Family(name: name, kind: kind, help: help))
    }
    let list = labels.map { "\($0.0)=\"\(Self.escapeLabel($0.1))\"" }.joined(separator: ",")
    families[place].samples += name + suffix + (list.isEmpty ? "" : "{\(list)}") + " \(value)\n"
  }

  static func escapeLabel(_ value: String) -> String {
    escape(value, quotes: true)
  }

  static func escapeHelp(_ value: String) -> String {
    escape(value, quotes: false)
  }

  private static func escape(_ value: String, quotes: Bool) -> String {
    var escaped = ""
    // By scalar: "\r\n" is one character, and its line feed must not get through.
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": escaped += "\\\\"
      case "\n": escaped += "\\n"
      case "\"" where quotes: escaped += "\\\""
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }

  /// A name from another process, made fit for `[a-zA-Z0-9_]*`.
  private func metricName(_ name: String) -> String {
    String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
  }

  private func product(_ count: Int64, _ unitE8: Int64) -> String {
    decimal(Int128(count) * Int128(unitE8), digits: 8)
  }

  /// `value` ÷ 10^digits, without the zeros at its end.
  private func decimal(_ value: Int128, digits: Int) -> String {
    var text = String(value.magnitude)
    if text.count <= digits { text = String(repeating: "0", count: digits + 1 - text.count) + text }
    var fraction = text.suffix(digits)
    while fraction.last == "0" { fraction.removeLast() }
    let whole = text.dropLast(digits)
    return (value < 0 ? "-" : "") + whole + (fraction.isEmpty ? "" : "." + fraction)
  }
}
