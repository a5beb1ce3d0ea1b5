import Apus
import CSupport

/// What one rule measures at one place at one moment.
struct AlertReading: Sendable {
  var lane: String?
  var subject: String?
  var value: Double
  /// In place of the rule's.
  var bound: Double?
  var found: String
}

/// Counters of the last minutes, to tell by how much they rose.
struct AlertHistory: Sendable {
  private struct Key: Hashable {
    var lane: String
    var counter: String
  }
  private struct Sample {
    var at: Nanoseconds
    var value: UInt64
  }
  private var samples: [Key: [Sample]] = [:]
  private var bootEpoch: UInt64?
  private var keep: Nanoseconds

  static let counters = [
    "frames_in", "ring_full", "positions_adjusted", "edge_refusals", "gaps", "rejects", "rate_violations", "reconnects",
    "limit_breaches",
  ]

  /// - Parameter keep: Seconds that are asked about at most.
  init(keep: Double) { self.keep = Nanoseconds(min(keep, 86_400) * 1e9) }

  mutating func note(_ view: EngineView, now: Nanoseconds) {
    if bootEpoch != view.bootEpoch {
      samples = [:]
      bootEpoch = view.bootEpoch
    }
    for lane in view.lanes {
      for counter in Self.counters {
        guard let value = lane.counters[counter] else { continue }
        var known = samples[Key(lane: lane.name, counter: counter)] ?? []
        if let last = known.last, value < last.value { known = [] }
        if let last = known.last, now - last.at < 200_000_000 { continue }
        known.append(Sample(at: now, value: value))
        // One older than asked for stays: the increase is over the whole time then.
        while known.count > 2, now - known[1].at >= keep { known.removeFirst() }
        samples[Key(lane: lane.name, counter: counter)] = known
      }
    }
  }

  /// By how much a counter rose in the last `window` seconds; of an engine that is younger, since its start.
  func increase(_ lane: EngineView.Lane, _ counter: String, window: Double, uptime: Double, now: Nanoseconds) -> UInt64
  {
    let value = lane.counters[counter] ?? 0
    if uptime <= window { return value }
    let from = now - Nanoseconds(window * 1e9)
    let known = samples[Key(lane: lane.name, counter: counter)] ?? []
    guard let base = known.last(where: { $0.at <= from }) ?? known.first, value >= base.value else { return 0 }
    return value - base.value
  }

  /// Rises a second in the last `recent` seconds, and in the time before that; `nil` before half of it has passed.
  func rates(_ lane: EngineView.Lane, _ counter: String, recent: Double, window: Double, now: Nanoseconds)
    -> (recent: Double, before: Double)?
  {
    let known = samples[Key(lane: lane.name, counter: counter)] ?? []
    guard let value = lane.counters[counter],
      let first = known.first(where: { now - $0.at <= Nanoseconds(window * 1e9) }),
      let middle = known.last(where: { now - $0.at >= Nanoseconds(recent * 1e9) }), value >= middle.value
    else { return nil }
    let length = Double(middle.at - first.at) / 1e9
    guard length >= max(1, window / 2 - recent) else { return nil }
    return (
      Double(value - middle.value) / (Double(now - middle.at) / 1e9), Double(middle.value - first.value) / length
    )
  }
}

/// What all rules measure at one moment.
struct AlertMeasurement {
  let inputs: AlertInputs
  let history: AlertHistory

  /// A heartbeat this old says that the rest of the lane is old too.
  static let silence = 2.0
  /// So long a lane may take from the engine's start to its first turn.
  static let preparation = 15.0
  /// Frames a second below which a lane is too quiet to tell that it got quieter.
  static let leastFrames = 1.0
  /// A lane with more instruments than these is judged as one.
  static let instrumentsApart = 16

  private var view: EngineView? { inputs.view }
  /// All lanes are stopped: the engine has ended in order.
  private var hasEnded: Bool {
    view.map { !$0.lanes.isEmpty && $0.lanes.allSatisfy { $0.state == "stopped" } } ?? false
  }
  private func isTold(_ lane: EngineView.Lane) -> Bool {
    (view?.isAlive ?? false) && lane.heartbeatAge <= Self.silence
  }

  /// Lanes of which nothing new is known: what was found there stays as it is. `nil`: that goes for everything.
  func unknownLanes() -> Set<String>? {
    guard let view else { return nil }
    if hasEnded { return [] }
    return Set(view.lanes.filter { !isTold($0) }.map(\.name))
  }

  private static let ofTheHost: Set<String> = [
    "ApusMonitorBlind", "ApusRouteFailing", "ApusMemoryHigh", "ApusDiskLow", "ApusFilesLow",
  ]

  /// `nil`: it cannot be told now.
  func readings(_ rule: AlertRule) -> [AlertReading]? {
    if Self.ofTheHost.contains(rule.name) { return host(rule) }
    guard let view else { return nil }
    if hasEnded { return [] }
    switch rule.name {
    case "ApusEngineDown":
      return [
        AlertReading(
          value: view.isAlive ? 0 : 1,
          found:
            "process \(view.processID) does not run, its last sign of life is \(TopScreen.time(view.heartbeatAge)) old")
      ]
    case "ApusLaneSilent":
      guard view.isAlive else { return nil }
      return view.lanes.filter { $0.state != "stopped" }.map { lane in
        // One that has not turned yet still prepares itself.
        let hasBegun = view.uptime - lane.heartbeatAge > 1
        return AlertReading(
          lane: lane.name, value: lane.heartbeatAge, bound: hasBegun ? nil : max(rule.bound, Self.preparation),
          found: "nothing for \(TopScreen.time(lane.heartbeatAge)), process \(view.processID) exists")
      }
    default:
      return view.lanes.filter { isTold($0) && $0.state != "stopped" }.flatMap { readings(rule, $0, view) }
    }
  }

  // MARK: - The host

  private func host(_ rule: AlertRule) -> [AlertReading] {
    let host = inputs.host
    switch rule.name {
    case "ApusMonitorBlind": return [AlertReading(value: view == nil ? 1 : 0, found: inputs.problem)]
    case "ApusRouteFailing":
      return inputs.routeFaults.map { AlertReading(subject: $0.route, value: 1, found: $0.reason) }
    case "ApusMemoryHigh":
      var readings: [AlertReading] = []
      if let used = host.residentBytes, let limit = host.memoryLimitBytes, limit > 0 {
        let share = Double(used) / Double(limit)
        readings.append(
          AlertReading(
            subject: "engine", value: share,
            found: "\(TopScreen.percent(share)), \(used >> 20) of \(limit >> 20) MiB"))
      }
      if let free = host.availableBytes, let total = host.totalBytes, total > 0 {
        let share = 1 - Double(min(free, total)) / Double(total)
        readings.append(
          AlertReading(
            subject: "machine", value: share,
            found: "\(TopScreen.percent(share)), \(free >> 20) of \(total >> 20) MiB are free"))
      }
      return readings
    case "ApusDiskLow":
      return host.diskFreeBytes.map {
        [AlertReading(subject: host.dataDirectory, value: Double($0), found: "\($0 >> 20) MiB are free")]
      } ?? []
    case "ApusFilesLow":
      guard let open = host.filesOpen, let limit = host.filesLimit, limit > 0 else { return [] }
      return [AlertReading(value: Double(open) / Double(limit), found: "\(open) of \(limit)")]
    default: return []
    }
  }

  // MARK: - A lane

  private func readings(_ rule: AlertRule, _ lane: EngineView.Lane, _ view: EngineView) -> [AlertReading] {
    func count(_ name: String) -> UInt64 { lane.counters[name] ?? 0 }
    func rise(_ name: String) -> UInt64 {
      history.increase(lane, name, window: rule.window, uptime: view.uptime, now: inputs.now)
    }
    let during = "in \(TopScreen.time(rule.window))"
    func one(_ value: Double, _ found: String) -> [AlertReading] {
      [AlertReading(lane: lane.name, value: value, found: found)]
    }
    func risen(_ name: String) -> [AlertReading] { one(Double(rise(name)), "\(rise(name)) \(during)") }

    switch rule.name {
    case "ApusHighLatency": return latencies(rule, lane)
    case "ApusThroughputFallen":
      guard let rates = history.rates(lane, "frames_in", recent: 5, window: rule.window, now: inputs.now),
        rates.before >= Self.leastFrames
      else { return [] }
      return one(
        rates.recent / rates.before,
        "\(TopScreen.short(rates.recent)) frames a second, \(TopScreen.short(rates.before)) before")
    case "ApusRingFull": return risen("ring_full")
    case "ApusImpossibleReport": return risen("edge_refusals")
    case "ApusStreamGap": return risen("gaps")
    case "ApusRejects": return risen("rejects")
    case "ApusErrors":
      return [
        ("rate limits exceeded", "rate_violations", nil), ("reconnects", "reconnects", nil),
        ("risk limits exceeded", "limit_breaches", 0.0),
      ].map {
        AlertReading(
          lane: lane.name, subject: $0.0, value: Double(rise($0.1)), bound: $0.2, found: "\(rise($0.1)) \(during)")
      }
    case "ApusClockOff":
      let offset = Double(count("clock_offset_us")) / 1e6
      return one(offset, "\(TopScreen.fixed(offset, 3)) s apart")
    case "ApusBooksDiffer":
      let taken = rise("positions_adjusted")
      return [
        AlertReading(
          lane: lane.name, subject: "stated position", value: count("positions_differ") > 0 ? 1 : 0,
          found: "the venue's last word about a position is not ours"),
        AlertReading(
          lane: lane.name, subject: "position taken over", value: taken > 0 ? 1 : 0,
          found: "the venue's position was taken over \(taken) times \(during)"),
      ]
    case "ApusMarketStale": return instruments(lane, stale)
    case "ApusNotQuoting":
      let isQuoting = lane.state == "quoting" || lane.state == "stopping" || EngineView.tellsHandedOver(lane.cause)
      let whole = one(isQuoting ? 0 : 1, "\(lane.state) for \(TopScreen.time(lane.since)): \(lane.cause)")
      return isQuoting ? whole + instruments(lane, quoteless) : whole
    case "ApusStalled": return stalls(lane)
    case "ApusBudgetLow":
      guard count("message_budget") > 0 else { return [] }
      let share = Double(count("budget_left")) / Double(count("message_budget"))
      return one(share, "\(count("budget_left")) messages left, \(count("message_budget")) a second come")
    case "ApusLoss": return one(-lane.pnl, "\(TopScreen.money(-lane.pnl)) lost")
    case "ApusProtectionHit": return instruments(lane, unprotected)
    case "ApusHalted":
      guard let halt = lane.halt else { return [] }
      return one(halt.latched == StopLevel.none.text ? 0 : 1, "\(halt.latched), by \(halt.cause)")
    case "ApusJournalFailed": return one(count("journal_failed") > 0 ? 1 : 0, "a record could not be written")
    default: return []
    }
  }

  private func latencies(_ rule: AlertRule, _ lane: EngineView.Lane) -> [AlertReading] {
    let bounds = ["tick_to_frame": 1.0, "submit": 1, "tick_to_order": 1, "acknowledge": 20]
    return lane.spans.compactMap { span in
      guard let factor = bounds[span.name], span.recentCount >= 20 else { return nil }
      return AlertReading(
        lane: lane.name, subject: span.name, value: Double(span.p99) / 1e9, bound: rule.bound * factor,
        found: "p99 is \(TopScreen.duration(span.p99)) of \(span.recentCount) in 10 s")
    }
  }

  private func stalls(_ lane: EngineView.Lane) -> [AlertReading] {
    let turn = lane.spans.first { $0.name == "turn" && $0.recentCount > 0 }
    let longest = turn.map { Double($0.max) / 1e9 } ?? 0
    let isPulled = lane.watchdog == "pulling" || lane.watchdog == "pulled"
    return [
      AlertReading(
        lane: lane.name, subject: "turn", value: longest, found: "a turn took \(TopScreen.short(longest)) s"),
      AlertReading(
        lane: lane.name, subject: "watchdog", value: isPulled ? 1 : 0, bound: 0,
        found: "the watchdog has pulled the quotes (\(lane.watchdog ?? "off"))"),
    ]
  }

  /// One reading an instrument, or for many the worst with the names of some.
  private func instruments(
    _ lane: EngineView.Lane, _ judge: (EngineView.Instrument) -> (value: Double, found: String)?
  ) -> [AlertReading] {
    let found = lane.instruments.compactMap { shown in judge(shown).map { (shown.name, $0.value, $0.found) } }
    if lane.instruments.count <= Self.instrumentsApart {
      return found.map { AlertReading(lane: lane.name, subject: $0.0, value: $0.1, found: $0.2) }
    }
    guard let worst = found.max(by: { $0.1 < $1.1 }) else { return [] }
    let equal = found.filter { $0.1 > worst.1 / 2 }
    let names = equal.prefix(3).map(\.0).joined(separator: ", ")
    return [
      AlertReading(
        lane: lane.name, value: worst.1,
        found:
          "\(worst.2) (\(equal.count) of \(lane.instruments.count) instruments: \(names)\(equal.count > 3 ? " …" : ""))"
      )
    ]
  }

  private func stale(_ shown: EngineView.Instrument) -> (value: Double, found: String)? {
    shown.marketAge.map { ($0, "the last is \(TopScreen.time($0)) old") }
  }

  /// Neither side, or a cause not to quote: one side alone is what a position limit asks for.
  private func quoteless(_ shown: EngineView.Instrument) -> (value: Double, found: String)? {
    if shown.isHandedOver { return (0, "") }
    let isMissing = shown.ownBid == nil && shown.ownAsk == nil
    return (isMissing ? 1 : 0, shown.block ?? "no bid and no ask of ours")
  }

  private func unprotected(_ shown: EngineView.Instrument) -> (value: Double, found: String)? {
    // The file keeps the beginning of the text.
    let block = shown.block ?? ""
    let isHit = shown.fills > 0 && block.count > 20 && QuotingBlock.protection.text.hasPrefix(block)
    return (isHit ? 1 : 0, block)
  }
}
