import Apus
import ApusExchange
import CSupport
import Foundation

/// A real engine, in a process of its own, on real sockets, against a venue that lets things go wrong.
@MainActor final class LiveChaos {
  /// What one scenario amounted to.
  struct Result {
    var scenario: FaultScenario
    var problems: [String] = []
    var worstLots: Int64 = 0
    var limitLots: Int64 = 0
    var areBooksEqual = false
    /// From the end of the last fault until every instrument was quoted again.
    var recovery: Double?
    var isPassed: Bool { problems.isEmpty }
  }

  private static let instruments: [InstrumentSpec] = [.btcPerpetual, .ethPerpetual]
  private static let limitLots: Int64 = 200
  private static let sizeLots: Int64 = 20

  private let room: String
  private let server: ChaosServer
  private let stopping: StopFlag
  private let start = Date()
  private var engine: ChildProcess?
  private var lives = 0
  private(set) var results: [Result] = []

  init(room: String, seed: UInt64, driver: DriverChoice, stopping: StopFlag) throws {
    self.room = room
    self.stopping = stopping
    EngineClock.start()
    let key = try SigningKey.generate()
    let pem = try key.withPrivatePEM { Array($0) }
    try writeFile(pem, to: "\(room)/key.pem", mode: 0o600)
    var registry = KeyRegistry()
    registry.register(try VerifyingKey(pem: Array(key.publicPEM().utf8)), as: "chaos")
    server = try ChaosServer(instruments: Self.instruments, seed: seed, driver: driver, verifier: registry)
    let configuration = Self.configuration(url: server.url, room: room, driver: driver)
    try writeFile(Array(ConfigurationFile.text(of: configuration).utf8), to: "\(room)/chaos.yaml", mode: 0o600)
  }

  private static func configuration(url: String, room: String, driver: DriverChoice) -> Configuration {
    let sections = instruments.map { spec in
      let lot = spec.grid.lotE8
      return InstrumentSection(
        name: spec.name,
        ladder: LadderSection(
          levels: 3, halfSpreadBps: DecimalE8(e8: 20_000_000), stepTicks: 2, size: DecimalE8(e8: sizeLots * lot),
          skewBps: DecimalE8(e8: 100_000_000), keepWithinTicks: 1, keepSize: DecimalE8(e8: 40_000_000)),
        limits: LimitsSection(
          maxPosition: DecimalE8(e8: limitLots * lot), maxOrder: DecimalE8(e8: sizeLots * 5 * lot),
          maxNotional: DecimalE8(e8: 20_000 * 100_000_000), collarBps: DecimalE8(e8: 200 * 100_000_000), maxOrders: 12))
    }
    return Configuration(
      engine: EngineSection(name: "chaos", core: .none, idle: .park, driver: driver, dataDirectory: "\(room)/data"),
      venue: VenueSection(url: url, keyID: "chaos", privateKeyFile: "\(room)/key.pem", caFile: nil),
      instruments: sections)
  }

  // MARK: - The run

  /// Runs scenarios one after the other; then, for `minutes` in all, some of them again, drawn by `seed`.
  ///
  /// - Returns: whether every verdict was good, the final comparison of the books included.
  func run(_ scenarios: [FaultScenario], minutes: Double?, seed: UInt64) throws -> Bool {
    let server = server
    Thread.detachNewThread {
      do {
        try server.run()
      } catch { complain("\(error)") }
    }
    defer { server.stop() }
    try startEngine()
    defer { engine?.terminate() }
    note("engine and venue are up; limit \(Self.limitLots) lots of each instrument")
    guard waitForQuotes(seconds: 30) else {
      if stopping.isSet { return conclude() }
      say("FAILED: the engine did not begin to quote within 30 s: \(snapshot()?.lanes.first?.cause ?? "no telemetry")")
      return false
    }
    note("quoting")
    pause(1)
    for scenario in scenarios where !stopping.isSet { try play(scenario) }
    var state = seed
    while let minutes, !stopping.isSet, Date().timeIntervalSince(start) < minutes * 60 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      try play(scenarios[Int((state >> 33) % UInt64(scenarios.count))])
    }
    return conclude()
  }

  private func startEngine() throws {
    lives += 1
    unlink("\(room)/data/telemetry")
    let child = try ChildProcess(
      "the engine",
      arguments: [
        "run", "--config", "\(room)/chaos.yaml", "--report", "\(room)/report.json", "--quiet", "--die-with-parent",
      ])
    child.watchOutput()
    engine = child
  }

  private func play(_ scenario: FaultScenario) throws {
    var result = Result(scenario: scenario, limitLots: Self.limitLots)
    note("\(scenario.name): \(scenario.story)")
    server.forgetExposure()
    let before = counters()
    let faults = scenario.plan.faults
    server.play(faults.filter { !$0.fault.killsEngine })
    let begin = Date()
    let end = begin.addingTimeInterval(Double(faults.reduce(0) { max($0, $1.end) }) / 1e9)
    var killAt = faults.first { $0.fault.killsEngine }.map { begin.addingTimeInterval(Double($0.at) / 1e9) }

    var watch = Watch()
    var isBack = false
    let deadline = end.addingTimeInterval(Double(scenario.recovery) / 1e9 + 5)
    while Date() < deadline, !stopping.isSet {
      if let at = killAt, Date() >= at {
        killAt = nil
        try killEngine()
      }
      watch.look(snapshot(), names: Self.instruments.map(\.name))
      // The telemetry needs a moment to show that something is wrong.
      let now = Date()
      if now.timeIntervalSince(end) > 0.25, watch.isQuoting, now.timeIntervalSince(watch.lastGap ?? .distantPast) > 0.25
      {
        isBack = true
        break
      }
      usleep(10_000)
    }
    if stopping.isSet { return }
    result.recovery = isBack ? max(0, (watch.lastGap ?? end).timeIntervalSince(end)) : nil
    if !isBack { result.problems.append("not quoting again: \(snapshot()?.lanes.first?.cause ?? "no telemetry")") }
    if let recovery = result.recovery, recovery > Double(scenario.recovery) / 1e9 {
      result.problems.append("quoting again only after \(seconds(recovery))")
    }
    let difference = waitForEqualBooks(seconds: 10)
    result.areBooksEqual = difference == nil
    if let difference { result.problems.append(difference) }
    for position in server.books?.positions ?? [] {
      result.worstLots = max(result.worstLots, position.worstLongLots, position.worstShortLots)
    }
    if result.worstLots > Self.limitLots { result.problems.append("exposure passed the limit") }
    let did = watch.story(before, counters(), isNewLife: faults.contains { $0.fault.killsEngine })
    note(
      "    \(result.isPassed ? "ok" : "FAILED") \(did); "
        + (result.recovery.map {
          $0 < 0.01 ? "quoting at the end of it" : "quoting again \(seconds($0)) after the end of it"
        }
          ?? "not quoting again") + "; worst case \(result.worstLots) of \(Self.limitLots)")
    for problem in result.problems { note("    \(problem)") }
    results.append(result)
    server.play([])
  }

  /// `kill -9`, and a new life.
  private func killEngine() throws {
    engine?.kill()
    _ = engine?.wait(seconds: 5)
    pause(0.3)
    try startEngine()
  }

  // MARK: - Looking

  private func snapshot() -> TelemetrySnapshot? { (try? TelemetryReader(path: "\(room)/data/telemetry"))?.snapshot() }

  private func counters() -> LaneSnapshot? { snapshot()?.lanes.first }

  private func waitForQuotes(seconds: Double) -> Bool {
    let deadline = Date().addingTimeInterval(seconds)
    var watch = Watch()
    while Date() < deadline, !stopping.isSet {
      watch.look(snapshot(), names: Self.instruments.map(\.name))
      if watch.isQuoting { return true }
      if let code = engine?.poll() {
        say("FAILED: the engine ended with exit code \(code); its own message is above")
        return false
      }
      usleep(20_000)
    }
    return false
  }

  /// `nil` once the engine's figures and the venue's books are the same at one moment; else what differs.
  private func waitForEqualBooks(seconds: Double) -> String? {
    let deadline = Date().addingTimeInterval(seconds)
    var difference: String? = "no books to compare"
    while Date() < deadline, !stopping.isSet {
      if let books = server.books, let lane = counters() {
        difference = compare(lane, books)
        if difference == nil { return nil }
      }
      usleep(5_000)
    }
    return stopping.isSet ? nil : difference
  }

  private func compare(_ lane: LaneSnapshot, _ books: AccountBooks) -> String? {
    for shown in lane.instruments {
      guard let position = books.positions.first(where: { $0.instrument == shown.name }) else { continue }
      if shown.position?.rawValue != position.lots {
        return
          "\(shown.name) position: engine \(shown.position.map { "\($0.rawValue)" } ?? "unknown"), venue \(position.lots)"
      }
      let own = books.fills.filter { $0.instrument == shown.name }
      if shown.fills != UInt64(own.count) { return "\(shown.name) fills: engine \(shown.fills), venue \(own.count)" }
      let fees = own.reduce(0) { $0 + $1.feeE8 }
      if shown.feesE8 != fees { return "\(shown.name) fees: engine \(shown.feesE8), venue \(fees)" }
    }
    return nil
  }

  // MARK: - The end

  /// Stops the engine, compares the books item by item, and prints the table.
  private func conclude() -> Bool {
    note(stopping.isSet ? "asked to end; stopping the engine" : "stopping the engine")
    engine?.terminate()
    let code = engine?.wait(seconds: 30) ?? 0
    let books = server.books
    table()
    guard let data = FileManager.default.contents(atPath: "\(room)/report.json"),
      let report = try? EngineReport(json: data)
    else {
      // Asked to end before there was anything to report.
      if stopping.isSet, results.isEmpty { return true }
      say("FAILED: the engine ended without a report (exit code \(code))")
      return false
    }
    let comparison = BooksComparison(engine: report, venue: books)
    for item in comparison.items where !item.isEqual {
      say("  \(item.name): engine \(item.engine), venue \(item.venue): DIFFERENT")
    }
    let failed = results.count { !$0.isPassed }
    let isGood = comparison.isEqual && failed == 0 && report.isStopVerified
    let adjustments = report.instruments.reduce(0) { $0 + $1.positionAdjustments }
    say(
      "\(results.count - failed) of \(results.count) scenarios passed; at the end the books are "
        + (comparison.isEqual ? "equal in all \(comparison.items.count) items" : "DIFFERENT")
        + ", the stop is " + (report.isStopVerified ? "verified" : "NOT verified")
        + (adjustments > 0 ? ", positions were taken over \(adjustments) times" : "")
        + (lives > 1 ? "; the engine had \(lives) lives" : ""))
    return isGood
  }

  private func table() {
    say("")
    let width = (results.map(\.scenario.name.count) + [8]).max() ?? 8
    func row(_ cells: [String]) -> String {
      let widths = [width, 14, 8, 12, 9, 0]
      return zip(cells, widths).map { $0 + String(repeating: " ", count: max(0, $1 - $0.count)) }.joined(
        separator: "  ")
    }
    say(row(["scenario", "requirement", "verdict", "worst/limit", "books", "quoting again after"]))
    for result in results {
      say(
        row([
          result.scenario.name, result.scenario.requirements.joined(separator: " "),
          result.isPassed ? "passed" : "FAILED", "\(result.worstLots)/\(result.limitLots)",
          result.areBooksEqual ? "equal" : "DIFFER", result.recovery.map { seconds($0) } ?? "not at all",
        ]))
    }
    say("")
  }

  private func pause(_ seconds: Double) {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end, !stopping.isSet { usleep(10_000) }
  }

  private func note(_ text: String) { say("\(Figures.clock(Date().timeIntervalSince(start)))  \(text)") }

  private func seconds(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100) s"
  }
}

/// What was seen of the engine while things went wrong.
private struct Watch {
  private(set) var isQuoting = false
  /// When it was last seen without quotes in an instrument.
  private(set) var lastGap: Date?
  private var gapBegan: Date?
  private var longestGap = 0.0
  private var mostUnknown: UInt64 = 0

  mutating func look(_ snapshot: TelemetrySnapshot?, names: [String]) {
    let now = Date()
    let lane = snapshot?.lanes.first
    mostUnknown = max(mostUnknown, lane.map { $0[.ordersUnknown] } ?? 0)
    // One side may be empty for good reasons: the position is at its limit.
    isQuoting =
      lane.map { lane in
        lane.state == .quoting
          && names.allSatisfy { name in
            lane.instruments.contains { $0.name == name && $0.ownBidLevels + $0.ownAskLevels > 0 }
          }
      } ?? false
    if isQuoting {
      gapBegan = nil
    } else {
      lastGap = now
      if gapBegan == nil { gapBegan = now }
      longestGap = max(longestGap, now.timeIntervalSince(gapBegan ?? now))
    }
  }

  /// In words, from the differences of the counters.
  func story(_ before: LaneSnapshot?, _ after: LaneSnapshot?, isNewLife: Bool) -> String {
    func grown(_ counter: TelemetryCounter) -> UInt64 {
      guard let after else { return 0 }
      let old = isNewLife ? 0 : before.map { $0[counter] } ?? 0
      return after[counter] >= old ? after[counter] - old : 0
    }
    var parts: [String] = []
    if isNewLife { parts.append("a new life") }
    func add(_ count: UInt64, _ one: String, _ many: String) {
      if count > 0 { parts.append("\(count) \(count == 1 ? one : many)") }
    }
    add(grown(.reconnects), "reconnect", "reconnects")
    add(mostUnknown, "order unknown for a while", "orders unknown for a while")
    add(grown(.reconciliations), "question to the venue", "questions to the venue")
    add(grown(.rateViolations), "message throttled", "messages throttled")
    add(grown(.rejects), "refusal", "refusals")
    add(grown(.refusedLate), "request for an order that had ended", "requests for orders that had ended")
    add(grown(.edgeRefusals), "message refused at the edge", "messages refused at the edge")
    add(grown(.fills), "fill", "fills")
    add(grown(.fillsRepeated), "fill told again", "fills told again")
    if longestGap > 0.05 { parts.append("without quotes for \(Int(longestGap * 1000)) ms") }
    return parts.joined(separator: ", ")
  }
}
