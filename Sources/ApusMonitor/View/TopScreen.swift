import Apus

/// One line of a terminal screen: pieces of text with a style each.
public struct ScreenLine: Equatable, Sendable {
  public enum Style: Equatable, Sendable {
    case plain, dim, bold, title, good, warning, bad
  }

  public struct Piece: Equatable, Sendable {
    public var text: String
    public var style: Style
  }

  public private(set) var pieces: [Piece] = []
  public private(set) var width = 0

  public init() {}

  public init(_ text: String, _ style: Style = .plain) { add(text, style) }

  public mutating func add(_ text: String, _ style: Style = .plain) {
    pieces.append(Piece(text: text, style: style))
    width += text.count
  }

  public var text: String { pieces.map(\.text).joined() }

  /// At most `columns` wide; what is cut is marked.
  func cut(_ columns: Int) -> ScreenLine {
    guard width > columns else { return self }
    var line = ScreenLine()
    for piece in pieces {
      let left = columns - line.width
      guard left > 0 else { break }
      if piece.text.count <= left, line.width + piece.text.count < columns || piece == pieces.last {
        line.add(piece.text, piece.style)
      } else {
        line.add(piece.text.prefix(left - 1) + "…", piece.style)
        break
      }
    }
    return line
  }

  /// With escape sequences for the styles, or without any.
  public func rendered(inColour: Bool) -> String {
    guard inColour else { return text }
    return pieces.map { piece in
      switch piece.style {
      case .plain: piece.text
      case .dim: "\u{1B}[2m\(piece.text)\u{1B}[0m"
      case .bold: "\u{1B}[1m\(piece.text)\u{1B}[0m"
      case .title: "\u{1B}[7m\(piece.text)\u{1B}[0m"
      case .good: "\u{1B}[32m\(piece.text)\u{1B}[0m"
      case .warning: "\u{1B}[33m\(piece.text)\u{1B}[0m"
      case .bad: "\u{1B}[1;31m\(piece.text)\u{1B}[0m"
      }
    }.joined()
  }
}

/// Draws an engine on a terminal of any size from 60 × 16: 80 × 24 shows everything that matters, more shows more.
public struct TopScreen: Sendable {
  public enum Order: String, CaseIterable, Sendable {
    case configured, name, pnl, exposure, age
  }

  /// Where the table of instruments begins, and how it is sorted.
  public var order = Order.configured
  public var first = 0
  /// Shown in place of the list of keys: a question, or an answer.
  public var prompt: String?
  /// Engines that can be looked at: two while a rollout lasts.
  public var engines = 1

  public init() {}

  /// - Parameters:
  ///   - view: `nil`: there is nothing to show, and `problem` says why.
  /// - Returns: exactly `rows` lines of at most `columns` characters.
  public mutating func draw(_ view: EngineView?, problem: String? = nil, columns: Int, rows: Int) -> [ScreenLine] {
    var lines: [ScreenLine] = []
    if let view {
      lines.append(title(view, columns))
      if let worst = view.alerts.first {
        lines.append(ScreenLine(AlertText.line(view.alerts), worst.severity == .page ? .bad : .warning))
      }
      lines += heads(view.lanes, rows: rows)
      let instruments = view.lanes.flatMap(\.instruments)
      let events = view.lanes.flatMap { lane in lane.events.map { (lane.name, $0) } }.sorted { $0.1.ago > $1.1.ago }
      let shownEvents = Array(events.suffix(max(1, min(4, rows - lines.count - 6))))
      let room = max(1, rows - lines.count - shownEvents.count - 3)
      lines += table(instruments, columns: columns, room: room)
      while lines.count < rows - shownEvents.count - 1 { lines.append(ScreenLine()) }
      for (lane, event) in shownEvents {
        lines.append(ScreenLine("\(pad(Self.time(event.ago) + " ago", 9)) \(lane): \(event.text)", .dim))
      }
    } else {
      lines.append(ScreenLine(pad("apus top", columns), .title))
      lines.append(ScreenLine())
      lines.append(ScreenLine(problem ?? "nothing to show", .bad))
    }
    while lines.count < rows - 1 { lines.append(ScreenLine()) }
    lines = Array(lines.prefix(rows - 1))
    lines.append(prompt.map { ScreenLine($0, .bold) } ?? Self.keys(hasOthers: engines > 1))
    return lines.map { $0.cut(columns) }
  }

  private static func keys(hasOthers: Bool) -> ScreenLine {
    var line = ScreenLine()
    if hasOthers { line.add("e other engine  ", .bold) }
    line.add("p pause  r resume  h halt  o order's journey  s sort  ↑↓ scroll  q quit", .dim)
    return line
  }

  // MARK: - The head

  private func title(_ view: EngineView, _ columns: Int) -> ScreenLine {
    let state =
      view.isAlive ? (view.heartbeatAge > 2 ? "SILENT for \(Self.time(view.heartbeatAge))" : "running") : "NOT RUNNING"
    let right = "\(state)  PnL \(Self.money(view.pnl)) "
    // Where there is little room, the state goes before the process.
    func left(withProcess: Bool) -> String {
      let parts = [
        view.mode, view.release.map { "release \($0)" }, withProcess ? "pid \(view.processID)" : nil, "up \(Self.clock(view.uptime))",
      ]
      return " apus \(view.name)" + parts.compactMap { $0.map { "  \($0)" } }.joined()
    }
    let whole = left(withProcess: true)
    let left = whole.count + 2 + right.count <= columns ? whole : left(withProcess: false)
    var line = ScreenLine(pad(left, max(left.count + 2, columns - right.count)), .title)
    line.add(right, view.isAlive && view.heartbeatAge <= 2 ? .title : .bad)
    return line
  }

  private func state(_ lane: EngineView.Lane, withCause: Bool = true) -> ScreenLine {
    var line = ScreenLine("\(lane.name) ", .bold)
    line.add(lane.state, lane.state == "quoting" ? .good : lane.state == "stopped" ? .dim : .warning)
    line.add(" for \(Self.time(lane.since))")
    if withCause, lane.state != "quoting", !lane.cause.isEmpty { line.add(": \(lane.cause)", .warning) }
    if lane.heartbeatAge > 2, lane.state != "stopped" {
      line.add("  no sign of life for \(Self.time(lane.heartbeatAge))", .bad)
    }
    return line
  }

  /// What is said of each lane, as much as leaves room for the instruments.
  private func heads(_ lanes: [EngineView.Lane], rows: Int) -> [ScreenLine] {
    let whole = lanes.flatMap { head($0, isTall: rows >= 30 * lanes.count) }
    if lanes.count == 1 || whole.count + 8 <= rows { return whole }
    let middle = lanes.flatMap { middleHead($0) }
    return middle.count + 8 <= rows ? middle : lanes.flatMap { shortHead($0) }
  }

  /// Three lines of a lane among several: how it is, what it spends, how fast it is.
  private func middleHead(_ lane: EngineView.Lane) -> [ScreenLine] {
    var second = spending(lane)
    addErrors(lane, to: &second)
    second.add("  PnL \(Self.money(lane.pnl))", lane.pnl < 0 ? .warning : .plain)
    var third = ScreenLine("  ")
    for (name, title) in [("tick_to_order", "tick to order"), ("acknowledge", "ack")] {
      guard let span = lane.spans.first(where: { $0.name == name && $0.count > 0 }) else { continue }
      if third.width > 2 { third.add("   ") }
      third.add(title, .dim)
      third.add(" p50 \(Self.duration(span.p50)) p99 \(Self.duration(span.p99)) max \(Self.duration(span.max))")
    }
    return [stateAmongSeveral(lane), second, third]
  }

  /// Two lines of a lane among many: how it is, and what it spends.
  private func shortHead(_ lane: EngineView.Lane) -> [ScreenLine] {
    var second = spending(lane)
    addErrors(lane, to: &second)
    if let span = lane.spans.first(where: { $0.name == "tick_to_order" && $0.count > 0 }) {
      second.add("  tick to order p50 \(Self.duration(span.p50)) p99 \(Self.duration(span.p99))")
    }
    return [stateAmongSeveral(lane), second]
  }

  private func stateAmongSeveral(_ lane: EngineView.Lane) -> ScreenLine {
    let halt = lane.halt.flatMap { $0.level != "quoting" || $0.latched != "quoting" ? $0 : nil }
    // Of a halted lane the ladder's cause is the lane's.
    var line = state(lane, withCause: halt == nil)
    if let halt { line.add("  \(halt.level), \(outcome(halt)): \(halt.cause)", .bad) }
    if let watchdog = lane.watchdog, watchdog != "watching", watchdog != "off" {
      line.add("  watchdog \(watchdog)", .warning)
    }
    addTraffic(lane, to: &line)
    return line
  }

  private func spending(_ lane: EngineView.Lane) -> ScreenLine {
    func count(_ name: String) -> UInt64 { lane.counters[name] ?? 0 }
    var line = ScreenLine("  budget \(count("budget_left")), \(count("message_budget"))/s")
    line.add("  live \(count("orders_live"))")
    if count("orders_unknown") > 0 { line.add("  unknown \(count("orders_unknown"))", .warning) }
    line.add("  fills \(count("fills"))")
    return line
  }

  /// What came in and went out, and how often the lane looked.
  private func addTraffic(_ lane: EngineView.Lane, to line: inout ScreenLine) {
    func rate(_ name: String) -> String { lane.rates[name].map { Self.short($0) } ?? "–" }
    line.add("   in \(rate("frames_in"))/s \(rate("bytes_in"))B/s  out \(rate("frames_out"))/s \(rate("bytes_out"))B/s", .dim)
    line.add("  turns \(rate("turns"))/s", .dim)
  }

  /// Counters that are not zero.
  private func addErrors(_ lane: EngineView.Lane, to line: inout ScreenLine) {
    for (name, text, style) in Self.errors {
      if let count = lane.counters[name], count > 0 { line.add("  \(text) \(count)", style) }
    }
  }

  private static let errors: [(String, String, ScreenLine.Style)] = [
    ("rejects", "rejects", .warning), ("refused_late", "late", .plain),
    ("rate_violations", "rate violations", .warning), ("gaps", "gaps", .warning),
    ("reconnects", "reconnects", .warning), ("limit_breaches", "limit breaches", .bad),
    ("positions_adjusted", "positions taken over", .warning), ("journal_failed", "journal failed", .bad),
    ("journal_lost", "records lost", .bad),
  ]

  private func head(_ lane: EngineView.Lane, isTall: Bool) -> [ScreenLine] {
    func count(_ name: String) -> UInt64 { lane.counters[name] ?? 0 }
    func rate(_ name: String) -> String { lane.rates[name].map { Self.short($0) } ?? "–" }
    var first = state(lane)
    addTraffic(lane, to: &first)
    var ladder = ScreenLine("ladder  ")
    if let halt = lane.halt, halt.level != "quoting" || halt.latched != "quoting" {
      ladder.add("\(halt.level) (\(halt.cause)); \(outcome(halt))", .bad)
    } else {
      ladder.add("nothing in force", .good)
    }
    if let watchdog = lane.watchdog {
      ladder.add("   watchdog ")
      ladder.add(watchdog, watchdog == "watching" ? .plain : watchdog == "off" ? .dim : .warning)
    }
    if count("parameters") > 0 { ladder.add("   parameters \(count("parameters"))") }

    var budget = ScreenLine("budget  ")
    let (left, all) = (count("budget_left"), count("message_budget"))
    budget.add("\(left) left, \(all)/s come", all > 0 && left * 5 < all ? .warning : .plain)
    budget.add(
      "  /s: new \(rate("inserts")) amend \(rate("amends")) cancel \(rate("cancels")) mass \(rate("mass_quotes")) wait \(rate("messages_throttled"))"
    )

    var orders = ScreenLine("orders  ")
    orders.add("\(count("orders_live")) live, \(count("orders_in_flight")) in flight, ")
    orders.add("\(count("orders_unknown")) unknown", count("orders_unknown") > 0 ? .warning : .plain)
    orders.add("   fills \(count("fills"))")
    addErrors(lane, to: &orders)

    var lines = [first, ladder, budget, orders, venue(lane.performance)]
    lines.append(ScreenLine("last 10 s       p50      p99    p99.9      max    count", .dim))
    let spans = lane.spans.filter { $0.count > 0 }
    let stages = spans.filter { Self.stages.contains($0.name) }
    for span in spans where !Self.stages.contains(span.name) {
      lines.append(row(span))
      guard span.name == "tick_to_frame", !stages.isEmpty else { continue }
      lines += isTall ? stages.map { row($0) } : [line(of: stages)]
    }
    return lines
  }

  private func row(_ span: EngineView.Span) -> ScreenLine {
    let isStage = Self.stages.contains(span.name)
    let figures = [span.p50, span.p99, span.p999, span.max].map { right(Self.duration($0), 8) }
    return ScreenLine(
      "  \(pad((isStage ? "· " : "") + span.name.replacing("_", with: " "), 13))\(figures.joined(separator: " ")) "
        + right(Self.short(Double(span.count)), 8))
  }

  private static let stages = ["receive", "decode", "decide", "risk", "encode"]

  /// The parts of tick to frame in one line.
  private func line(of stages: [EngineView.Span]) -> ScreenLine {
    var line = ScreenLine("  · p99, µs    ")
    for span in stages {
      let time = Double(span.p99) / 1e3
      line.add(" \(span.name) ", .dim)
      line.add(Self.fixed(time, time < 100 ? 1 : 0))
    }
    return line
  }

  /// Rejects, executed orders, what an execution costs, and what the market did afterwards.
  private func venue(_ performance: VenuePerformance) -> ScreenLine {
    func share(_ ratio: Double?) -> String { ratio.map { Self.fixed($0 * 100, 1) + " %" } ?? "–" }
    var line = ScreenLine("venue   ")
    line.add("rejects \(share(performance.rejectRatio))", (performance.rejectRatio ?? 0) > 0.05 ? .warning : .plain)
    line.add("  orders filled \(share(performance.fillRatio))")
    line.add("  requests/fill \(performance.requestsPerFill.map { Self.short($0) } ?? "–")")
    line.add("  fees \(performance.feeBps.map { Self.fixed($0, 2) } ?? "–") bp")
    line.add("  markout")
    for markout in performance.markouts {
      line.add(
        " \(markout.horizon)s \(markout.basisPoints.map { Self.fixed($0, 2) } ?? "–")",
        (markout.basisPoints ?? 0) < 0 ? .warning : .plain)
    }
    line.add(" bp")
    if performance.hedges > 0 { line.add("  hedges \(performance.hedges)") }
    return line
  }

  private func outcome(_ halt: EngineView.Halt) -> String {
    switch halt.outcome {
    case "verified", "flat":
      halt.verifiedAgo.map { "verified at the venue \(Self.time($0)) ago" } ?? "verified at the venue"
    case "working": "\(halt.ordersLeft) orders may still rest"
    case "closing": "closing the position"
    case "offline": "no connection: nobody can be asked"
    default: "obeyed"
    }
  }

  // MARK: - The table

  private mutating func table(_ instruments: [EngineView.Instrument], columns: Int, room: Int) -> [ScreenLine] {
    let widths = [9, 9, 6, 6, 6, 9, 7, 9] + [9, 9, 7, 7, 12]
    let always = 8
    // The names get what the figures that are always shown leave.
    let nameRoom = columns - widths.prefix(always).reduce(0, +)
    let width = max(8, min(nameRoom, min(24, max(14, instruments.map(\.name.count).max() ?? 14))))
    var shownCount = always
    var total = width + widths.prefix(always).reduce(0, +)
    while shownCount < widths.count, total + widths[shownCount] <= columns {
      total += widths[shownCount]
      shownCount += 1
    }
    func row(_ cells: [(String, ScreenLine.Style)], _ more: [(String, ScreenLine.Style)]) -> ScreenLine {
      var line = ScreenLine()
      line.add(fit(cells[0].0, width), cells[0].1)
      for (cell, size) in zip((cells + more).dropFirst(), widths.prefix(shownCount)) {
        line.add(" " + right(cell.0, size - 1), cell.1)
      }
      return line
    }
    let sorted = sort(instruments)
    let bodyRoom = max(1, room - 1)
    first = max(0, min(first, sorted.count - bodyRoom))
    let title =
      sorted.count > bodyRoom ? "\(first + 1)–\(min(sorted.count, first + bodyRoom)) of \(sorted.count)" : "instrument"
    var lines = [
      row(
        [
          (title, .dim), ("bid", .dim), ("ask", .dim), ("−bp", .dim), ("+bp", .dim), ("age", .dim), ("position", .dim),
          ("worst", .dim), ("PnL", .dim),
        ],
        [("unproven", .dim), ("fees", .dim), ("fills", .dim), ("quoted", .dim), ("traded", .dim)])
    ]
    for shown in sorted.dropFirst(first).prefix(bodyRoom) {
      func price(_ value: Double?) -> String { value.map { Self.fixed($0, shown.priceDecimals) } ?? "–" }
      func distance(_ side: EngineView.Side?) -> (String, ScreenLine.Style) {
        guard let side else { return ("–", .warning) }
        return (side.distanceBps.map { Self.fixed($0, 1) } ?? "·", .plain)
      }
      let age = max(shown.ownBid?.age ?? 0, shown.ownAsk?.age ?? 0)
      let share = shown.limit > 0 ? shown.worst / shown.limit : 0
      let isStale = (shown.marketAge ?? 0) > 5
      var line = row(
        [
          (shown.name, .bold), (price(shown.bid), isStale ? .warning : .plain),
          (price(shown.ask), isStale ? .warning : .plain),
          distance(shown.ownBid), distance(shown.ownAsk),
          (shown.ownBid == nil && shown.ownAsk == nil ? "–" : Self.time(age), .plain),
          (
            shown.position.map { Self.fixed($0, shown.quantityDecimals) } ?? (shown.isHandedOver ? "given" : "unknown"),
            shown.position == nil && !shown.isHandedOver ? .bad : .plain
          ),
          (
            Self.percent(share) + (shown.unproven > 0 ? "*" : ""),
            share > 1 ? .bad : share > 0.9 ? .warning : .plain
          ),
          (Self.money(shown.pnl), shown.pnl < 0 ? .warning : .plain),
        ],
        [
          (Self.fixed(shown.unproven, shown.quantityDecimals), .plain), (Self.money(shown.fees), .plain),
          ("\(shown.fills)", .plain),
          (shown.quotedShare.map(Self.percent) ?? "–", .plain), (Self.short(shown.traded), .plain),
        ])
      // A few letters of it would say nothing, and look like more of the last figure.
      if let block = shown.block, columns - line.width > 15 { line.add("  \(block)", .warning) }
      lines.append(line)
    }
    return lines
  }

  private func sort(_ instruments: [EngineView.Instrument]) -> [EngineView.Instrument] {
    func age(_ shown: EngineView.Instrument) -> Double { max(shown.ownBid?.age ?? 0, shown.ownAsk?.age ?? 0) }
    func share(_ shown: EngineView.Instrument) -> Double { shown.limit > 0 ? shown.worst / shown.limit : 0 }
    let by: (EngineView.Instrument, EngineView.Instrument) -> Bool
    switch order {
    case .configured: return instruments
    case .name: by = { $0.name < $1.name }
    case .pnl: by = { $0.pnl < $1.pnl }
    case .exposure: by = { share($0) > share($1) }
    case .age: by = { age($0) > age($1) }
    }
    // Equal ones keep their order, so that lines do not jump.
    return instruments.enumerated().sorted { by($0.1, $1.1) || !by($1.1, $0.1) && $0.0 < $1.0 }.map(\.1)
  }

  // MARK: - Figures

  private func pad(_ text: String, _ width: Int) -> String {
    text.count >= width ? String(text.prefix(width)) : text + String(repeating: " ", count: width - text.count)
  }

  /// Of a name that is too long the middle is left out: options differ at their ends.
  private func fit(_ text: String, _ width: Int) -> String {
    guard text.count > width else { return pad(text, width) }
    return String(text.prefix((width - 1) / 2)) + "…" + text.suffix(width - 1 - (width - 1) / 2)
  }

  private func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  static func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite else { return "–" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 1e15 else { return "\(value)" }
    let digits = String(UInt64(scaled))
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    let whole = padded.dropLast(decimals)
    return (value < 0 && scaled > 0 ? "−" : "") + whole + (decimals > 0 ? "." + padded.suffix(decimals) : "")
  }

  static func money(_ value: Double) -> String {
    abs(value) < 100_000 ? fixed(value, 2) : (value < 0 ? "−" : "") + short(abs(value))
  }

  static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }

  /// 950, 12.3k, 4.5M.
  static func short(_ value: Double) -> String {
    switch abs(value) {
    case ..<10: fixed(value, value == value.rounded() ? 0 : 1)
    case ..<10_000: fixed(value, 0)
    case ..<1e6: fixed(value / 1e3, 1) + "k"
    case ..<1e9: fixed(value / 1e6, 1) + "M"
    default: fixed(value / 1e9, 1) + "G"
    }
  }

  /// 35 s, 12 m, 3 h, in few characters.
  static func time(_ seconds: Double) -> String {
    switch seconds {
    case ..<0.995: "\(Int((seconds * 1000).rounded()))ms"
    case ..<99.5: "\(Int(seconds.rounded()))s"
    case ..<5970: "\(Int((seconds / 60).rounded()))m"
    case ..<356_400: "\(Int((seconds / 3600).rounded()))h"
    default: "\(Int((seconds / 86_400).rounded()))d"
    }
  }

  static func clock(_ seconds: Double) -> String {
    let whole = Int(seconds)
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(whole / 3600):\(two(whole / 60 % 60)):\(two(whole % 60))"
  }

  static func duration(_ nanoseconds: Int64) -> String {
    switch nanoseconds {
    case ..<1000: "\(nanoseconds) ns"
    case ..<100_000: fixed(Double(nanoseconds) / 1e3, 1) + " µs"
    case ..<1_000_000: fixed(Double(nanoseconds) / 1e3, 0) + " µs"
    case ..<100_000_000: fixed(Double(nanoseconds) / 1e6, 1) + " ms"
    default: fixed(Double(nanoseconds) / 1e9, 1) + " s"
    }
  }
}
