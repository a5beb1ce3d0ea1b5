public import Apus
import CSupport

/// Renders telemetry in the Prometheus text exposition format, version 0.0.4.
///
/// Every metric is named `apus_…`. Prices, quantities and money are in natural units (quote currency,
/// contracts), written as exact decimals of the integers behind them; durations are in seconds.
/// Source: prometheus.io, "Exposition formats", text-based format.
public struct PrometheusText {
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// The latencies of one span, as whoever knows the histogram's layout sums them up.
  public struct SpanSummary: Equatable, Sendable {
    public struct Quantile: Equatable, Sendable {
      /// As it is printed, such as "0.99".
      public var label: String
      public var value: Nanoseconds

      public init(label: String, value: Nanoseconds) {
        self.label = label
        self.value = value
      }
    }

    public var count: UInt64
    public var sum: Nanoseconds
    public var quantiles: [Quantile]

    public init(count: UInt64, sum: Nanoseconds, quantiles: [Quantile]) {
      self.count = count
      self.sum = sum
      self.quantiles = quantiles
    }
  }

  private enum Kind: String {
    case counter, gauge, summary
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
  ///   - now: CLOCK_MONOTONIC, to tell the age of heartbeats.
  ///   - span: What to print of a lane's span; `nil` leaves it out.
  public static func render(
    _ snapshot: TelemetrySnapshot, isAlive: Bool, now: Nanoseconds,
    span: (_ lane: Int, _ span: TelemetrySpan) -> SpanSummary? = { _, _ in nil }
  ) -> String {
    var text = PrometheusText()
    text.addEngine(snapshot, isAlive: isAlive, now: now)
    for lane in snapshot.lanes {
      text.addLane(lane, now: now)
      for instrument in lane.instruments { text.addInstrument(instrument, lane: lane.name) }
      for number in 0..<UInt32(APUS_TELEMETRY_SPANS_NAMED) {
        guard let name = unsafe apus_telemetry_span_name(number), let index = TelemetrySpan(rawValue: number),
          let summary = span(lane.index, index)
        else { continue }
        text.addSpan(summary, labels: [("lane", lane.name), ("span", unsafe String(cString: name))])
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
      [("name", snapshot.name), ("pid", "\(snapshot.processID)"), ("boot_epoch", "\(snapshot.bootEpoch)")], "1")
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
      let name = "apus_" + metricName(counter.name) + (counter.isLevel ? "" : "_total")
      add(
        name, counter.isLevel ? .gauge : .counter, counter.help ?? "A counter of a later version", [label],
        "\(counter.value)")
    }
  }

  private mutating func addInstrument(_ instrument: InstrumentSnapshot, lane: String) {
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
    for (side, quote, levels) in [
      ("bid", instrument.ownBid, instrument.ownBidLevels), ("ask", instrument.ownAsk, instrument.ownAskLevels),
    ] {
      let labels = labels + [("side", side)]
      add("apus_own_levels", .gauge, "Levels quoted", labels, "\(levels)")
      guard let quote else { continue }
      add("apus_own_price", .gauge, "Our best price", labels, price(quote))
      add("apus_own_quantity", .gauge, "Contracts at our best price", labels, quantity(quote.quantity.rawValue))
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
  }

  private mutating func addSpan(_ summary: SpanSummary, labels: [(String, String)]) {
    let name = "apus_span_seconds", help = "Latency of a stage"
    for quantile in summary.quantiles {
      add(name, .summary, help, labels + [("quantile", quantile.label)], decimal(Int128(quantile.value), digits: 9))
    }
    add(name, .summary, help, labels, decimal(Int128(summary.sum), digits: 9), suffix: "_sum")
    add(name, .summary, help, labels, "\(summary.count)", suffix: "_count")
  }

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
