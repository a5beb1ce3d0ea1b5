import ApusMonitor
import CSupport
import Foundation
import Testing

@testable import Apus
@testable import ApusExchange

/// A world whose lane shows itself in a telemetry file, which an alert engine looks at twice a second of virtual time.
private final class WatchedWorld {
  let room: JournalRoom
  let world: LaneWorld
  private var telemetry: LaneTelemetry
  private let reader: TelemetryReader
  private var observer = EngineObserver()
  private var engine: AlertEngine
  private(set) var changes: [AlertChange] = []
  /// Whether the lane's thread gets to show itself.
  var laneTurns = true

  /// - Parameters:
  ///   - rules: YAML of changed bounds; most shorten a window, so that the test is short.
  ///   - previous: whose alert engine goes on: the engine was restarted.
  init(
    _ world: LaneWorld, rules: String = "", ring: consuming RingProducer? = nil,
    previous: WatchedWorld? = nil
  ) throws {
    room = try JournalRoom()
    let path = room.path + "/telemetry"
    self.world = world
    var writer = try TelemetryWriter(path: path, name: "desk", bootEpoch: previous == nil ? 1 : 2, now: world.now)
    let lane = writer.openLane(0, name: "thalex", now: world.now)
    telemetry = LaneTelemetry(file: writer, lane: lane, instrumentNames: ["BTC-PERPETUAL"], updates: ring)
    reader = try TelemetryReader(path: path)
    let file = try AlertFile.parse(rules.isEmpty ? "" : "rules: \(rules)", shapes: AlertRule.shapes)
    engine = previous?.engine ?? AlertEngine(rules: AlertRule.rules(file))
    offset = previous.map { $0.now + 1_000_000_000 } ?? 0
  }

  /// Virtual times begin at zero in each world; the alert engine's clock goes on.
  private let offset: Nanoseconds
  private var now: Nanoseconds { world.now + offset }

  var active: [String] { engine.active(now: now).map(\.name) }

  private func look() {
    if laneTurns { world.show(in: &telemetry) }
    let view = observer.look(reader, now: world.now)
    changes += engine.step(AlertInputs(now: now, wall: now, view: view))
  }

  func run(seconds: Double) throws {
    _ = try run(limit: seconds) { false }
  }

  private func run(limit seconds: Double, until isDone: () -> Bool) throws -> Bool {
    let end = world.now + Nanoseconds(seconds * 1e9)
    while world.now < end {
      try world.run(for: 500_000_000)
      look()
      if isDone() { return true }
    }
    return isDone()
  }

  func quotes() throws {
    let isQuoting = try run(limit: 30) { world.quoted.bids >= 3 && world.quoted.asks >= 3 }
    try #require(isQuoting)
  }

  /// Virtual time passes until an alert fires, or clears.
  func expect(_ name: String, _ kind: AlertChange.Kind, within seconds: Double) throws {
    let from = changes.count
    let has = try run(limit: seconds) {
      changes[from...].contains { $0.alert.name == name && $0.kind == kind }
        && active.contains(name) == (kind == .fired)
    }
    #expect(has, "\(name) has not \(kind.rawValue) within \(seconds) s; \(active), \(changes.map(\.text))")
  }

  func note(turn: Nanoseconds) { telemetry.noteTurn(turn) }
}

/// Each alert's condition, caused at the simulated venue or around the lane; virtual time.
@Suite struct AlertConditionTests {
  private func watched(seed: UInt64, rules: String = "", _ change: (inout LaneSettings) -> Void = { _ in }) throws
    -> WatchedWorld
  {
    var settings = LaneWorld.settings()
    change(&settings)
    return try WatchedWorld(LaneWorld(seed: seed, settings: settings), rules: rules)
  }

  private static func isMarketData(_ text: String) -> Bool {
    text.hasPrefix("{\"channel_name\":\"ticker") || text.hasPrefix("{\"channel_name\":\"book")
  }

  @Test(arguments: [1, 2] as [UInt64])
  func `a lane that is well tells nothing under the defaults`(seed: UInt64) throws {
    let watched = try watched(seed: seed)
    try watched.world.grant(messages: 45)
    try watched.run(seconds: 90)
    #expect(watched.changes.map(\.text) == [])
    #expect(watched.world.fills > 0)
  }

  @Test func `ApusLaneSilent: the lane does not turn`() throws {
    let watched = try watched(seed: 3)
    try watched.quotes()
    // A lane that has not turned for a second of its life has more time.
    try watched.run(seconds: 3)
    watched.laneTurns = false
    try watched.expect("ApusLaneSilent", .fired, within: 3.5)
    // What is not seen any more stays as it was: no other alert speaks of the silent lane.
    try watched.run(seconds: 20)
    #expect(watched.active == ["ApusLaneSilent"])
    watched.laneTurns = true
    try watched.expect("ApusLaneSilent", .cleared, within: 4)
  }

  @Test func `ApusHighLatency: the venue is far away for a while`() throws {
    let watched = try watched(seed: 4, rules: "{ApusHighLatency: {bound: 0.004}}")
    try watched.world.grant(messages: 45)
    try watched.quotes()
    watched.world.latency = 60_000_000
    try watched.expect("ApusHighLatency", .fired, within: 40)
    #expect(watched.changes.last?.alert.subject == "acknowledge")
    watched.world.latency = 100_000
    try watched.expect("ApusHighLatency", .cleared, within: 60)
  }

  @Test func `ApusThroughputFallen: the feeds fall silent`() throws {
    let watched = try watched(seed: 5, rules: "{ApusThroughputFallen: {window_s: 30}}")
    try watched.run(seconds: 25)
    watched.world.tamper = { Self.isMarketData($0) ? nil : $0 }
    try watched.expect("ApusThroughputFallen", .fired, within: 15)
    watched.world.tamper = nil
    try watched.expect("ApusThroughputFallen", .cleared, within: 40)
  }

  @Test func `ApusRingFull: nobody reads the lane's updates`() throws {
    let ring = try Ring(capacity: 16)
    let watched = try WatchedWorld(
      LaneWorld(seed: 6), rules: "{ApusRingFull: {window_s: 5}}", ring: ring.producer)
    try watched.expect("ApusRingFull", .fired, within: 15)
    // The engine is restarted, with a manager that reads.
    let second = try WatchedWorld(LaneWorld(seed: 6), previous: watched)
    try second.expect("ApusRingFull", .cleared, within: 20)
  }

  @Test func `ApusClockOff: our clock is wrong, and set right`() throws {
    let watched = try watched(seed: 7) { $0.safety.clockOffsetLimit = 20_000_000_000 }
    watched.world.clockError = 3_000_000_000
    try watched.expect("ApusClockOff", .fired, within: 10)
    watched.world.clockError = 0
    try watched.expect("ApusClockOff", .cleared, within: 60)
  }

  @Test func `ApusBooksDiffer: somebody trades by hand on the account`() throws {
    let watched = try watched(seed: 10, rules: "{ApusBooksDiffer: {window_s: 5}}")
    try watched.quotes()
    let other = watched.world.loginElsewhere()
    watched.world.venue.receive(
      other,
      text:
        #"{"method":"private/insert","id":2,"params":{"direction":"buy","instrument_name":"BTC-PERPETUAL","amount":0.2,"order_type":"market","stp_level":"disabled"}}"#,
      now: watched.world.now)
    try watched.expect("ApusBooksDiffer", .fired, within: 30)
    try watched.expect("ApusBooksDiffer", .cleared, within: 60)
  }

  @Test func `ApusImpossibleReport: the venue reports a fill beyond all bounds`() throws {
    let watched = try watched(seed: 12, rules: "{ApusImpossibleReport: {window_s: 5}}")
    try watched.quotes()
    let huge = "9223372036854775000"
    watched.world.inject(
      #"{"channel_name":"session.orders","notification":[{"order_id":"X1","instrument_name":"BTC-PERPETUAL","direction":"buy","price":\#(huge),"amount":9000000000000,"filled_amount":9000000000000,"remaining_amount":0,"status":"filled","fills":[{"trade_id":"H","price":\#(huge),"amount":9000000000000}],"change_reason":"fill","insert_reason":"client_request","create_time":1,"persistent":false}]}"#
    )
    try watched.expect("ApusImpossibleReport", .fired, within: 2)
    try watched.expect("ApusImpossibleReport", .cleared, within: 20)
  }

  @Test func `ApusStreamGap: the connection breaks`() throws {
    let watched = try watched(seed: 9, rules: "{ApusStreamGap: {window_s: 5}}")
    try watched.quotes()
    watched.world.drop()
    try watched.expect("ApusStreamGap", .fired, within: 2)
    try watched.expect("ApusStreamGap", .cleared, within: 20)
  }

  @Test func `ApusRejects: the venue refuses every order for a while`() throws {
    let watched = try watched(seed: 13, rules: "{ApusRejects: {bound: 3}}") { $0.safety.rejectCount = 20 }
    watched.world.fate = { $0.contains("private/insert") ? .refuse(24) : .pass }
    try watched.expect("ApusRejects", .fired, within: 20)
    watched.world.fate = nil
    try watched.expect("ApusRejects", .cleared, within: 30)
  }

  @Test func `amends that met an execution are counted apart, and no reason for ApusRejects`() throws {
    let watched = try watched(seed: 13)
    try watched.quotes()
    // Protocol 2.4: 1 is an order that is not there, any more.
    watched.world.fate = { $0.contains("private/amend") ? .refuse(1) : .pass }
    try watched.run(seconds: 20)
    let counters = watched.world.lane.core.counters
    #expect(counters.refusedLate > 6 && counters.rejects == 0, "\(counters)")
    #expect(!watched.changes.contains { $0.alert.name == "ApusRejects" }, "\(watched.changes.map(\.text))")
  }

  @Test func `ApusErrors: the connection is lost again and again`() throws {
    let watched = try watched(seed: 14, rules: "{ApusErrors: {window_s: 20}}")
    try watched.quotes()
    for _ in 0..<3 {
      watched.world.drop()
      try watched.run(seconds: 3)
    }
    #expect(watched.changes.contains { $0.alert.name == "ApusErrors" && $0.alert.subject == "reconnects" })
    try watched.expect("ApusErrors", .cleared, within: 40)
  }

  @Test func `ApusMarketStale and ApusNotQuoting: tickers stop, quotes are pulled, and both come back`() throws {
    let watched = try watched(seed: 15)
    try watched.quotes()
    watched.world.tamper = { $0.hasPrefix("{\"channel_name\":\"ticker") ? nil : $0 }
    try watched.expect("ApusMarketStale", .fired, within: 8)
    try watched.expect("ApusNotQuoting", .fired, within: 20)
    watched.world.tamper = nil
    try watched.expect("ApusNotQuoting", .cleared, within: 20)
    try watched.run(seconds: 5)
    #expect(watched.active == [])
    #expect(watched.changes.contains { $0.alert.name == "ApusMarketStale" && $0.kind == .cleared })
  }

  @Test func `ApusStalled: a turn takes two seconds`() throws {
    let watched = try watched(seed: 16)
    try watched.quotes()
    watched.note(turn: 2_000_000_000)
    try watched.expect("ApusStalled", .fired, within: 2)
    try watched.expect("ApusStalled", .cleared, within: 30)
  }

  @Test func `ApusBudgetLow: the venue grants fewer messages than the quotes want`() throws {
    let watched = try watched(seed: 17, rules: "{ApusBudgetLow: {bound: 0.3, clear: 0.5, for_s: 5}}") {
      $0.instruments[0].priceToleranceTicks = 0
      $0.spending = .inOrder
    }
    try watched.quotes()
    try watched.world.grant(messages: 1)
    try watched.expect("ApusBudgetLow", .fired, within: 60)
    try watched.world.grant(messages: 1000)
    try watched.expect("ApusBudgetLow", .cleared, within: 30)
  }

  @Test func `ApusLoss: fills lose money, and a new engine begins anew`() throws {
    let watched = try watched(seed: 18, rules: "{ApusLoss: {bound: 0.01, clear_for_s: 2}}")
    try watched.expect("ApusLoss", .fired, within: 120)
    let second = try WatchedWorld(LaneWorld(seed: 18), previous: watched)
    // Before it has traded.
    second.world.isUnreachable = true
    try second.expect("ApusLoss", .cleared, within: 10)
  }

  @Test func `ApusProtectionHit: fills use the protection of the mass quotes up`() throws {
    let watched = try watched(seed: 1) {
      $0.instruments[0].maximumPosition = DecimalE8(e8: 200 * 100_000)
      $0.instruments[0].usesMassQuotes = true
      $0.protection.trade = DecimalE8(e8: 20 * 100_000)
      $0.protection.quote = DecimalE8(e8: 10 * 100_000_000)
    }
    try watched.expect("ApusProtectionHit", .fired, within: 60)
    watched.world.tamper = { Self.isMarketData($0) ? nil : $0 }
    try watched.expect("ApusProtectionHit", .cleared, within: 60)
  }

  @Test func `ApusHalted: a person halts, and resumes`() throws {
    let watched = try watched(seed: 19)
    try watched.quotes()
    watched.world.halt(.cancelAll)
    try watched.expect("ApusHalted", .fired, within: 1)
    let told = try #require(watched.changes.last)
    #expect(told.alert.severity == .page && told.alert.found.contains("apus halt"))
    watched.world.rearm()
    try watched.expect("ApusHalted", .cleared, within: 4)
  }

  @Test func `ApusJournalFailed: no room for the next record, and a restart with room`() throws {
    let room = try JournalRoom()
    let path = room.path + "/journal"
    // Segments of one page, and nobody makes new ones: what a disk without space looks like to the lane.
    let journal = try JournalEnds(
      path: path, name: "desk", configuration: JournalConfiguration(segmentBytes: 4096, bootEpoch: 1, sync: .none),
      now: 0)
    let watched = try WatchedWorld(LaneWorld(seed: 20, journal: journal.writer))
    try watched.expect("ApusJournalFailed", .fired, within: 20)
    let second = try WatchedWorld(LaneWorld(seed: 20), previous: watched)
    try second.expect("ApusJournalFailed", .cleared, within: 10)
  }
}
