import Apus
import ApusExchange
import Foundation
import Synchronization
import Testing

@testable import ApusCLI

/// `apus run` on a simulated Bybit that goes wrong in one way after the other.
@Suite(.timeLimit(.minutes(5)), .serialized) struct BybitRunTests {
  static let secret = "kJ3xW9mQe5VtB8yLzR2nD6uPhG0sAfXcOi4jTbE1"

  /// A venue in this process, on a thread of its own.
  private final class Stage: Sendable {
    let server: VenueServer
    private let outcome = Mutex<Result<VenueReport, any Error>?>(nil)

    init(_ adjust: (inout BybitConfiguration) -> Void) throws {
      var configuration = VenueServerConfiguration()
      configuration.port = 0
      var venue = BybitConfiguration()
      venue.clients = [BybitClient(key: "desk", secret: BybitRunTests.secret, account: "desk")]
      venue.orderRate = 50
      venue.messageDelay = 2_000_000
      adjust(&venue)
      server = try VenueServer(configuration, bybit: venue, flow: venue.syntheticFlow(seed: venue.seed))
      Thread.detachNewThread { [self] in
        let result = Result<VenueReport, any Error> { try server.run() }
        outcome.withLock { $0 = result }
      }
    }

    /// Whether orders come to rest within 20 s.
    func waitForOrders() -> Bool {
      let answer = OpenOrders()
      for _ in 0..<200 {
        server.performOnBybit { venue, _ in
          let count = venue.books("desk")?.openOrders.count ?? 0
          answer.count.withLock { $0 = count }
        }
        usleep(100_000)
        if answer.count.withLock({ $0 }) > 0 { return true }
      }
      return false
    }

    private final class OpenOrders: Sendable {
      let count = Mutex(0)
    }

    func finish() throws -> VenueReport {
      server.stop()
      for _ in 0..<1000 {
        if let result = outcome.withLock({ $0 }) { return try result.get() }
        usleep(10_000)
      }
      throw ChildProcess.Failure(description: "the venue did not end")
    }
  }

  private func configuration(_ room: Room, _ stage: Stage) throws -> String {
    try room.write(Self.secret + "\n", to: "secret.txt")
    chmod(room.file("secret.txt"), 0o600)
    try room.write(
      """
      version: 1
      engine:
        name: test
        core: none
        idle: park
        data_directory: \(room.file("data"))
      venue:
        kind: bybit
        url: \(stage.server.url)
        key_id: desk
        private_key_file: \(room.file("secret.txt"))
      instruments:
        - name: BTCUSDT
          ladder: {levels: 2, half_spread_bps: 0.3, step_ticks: 2, size: 0.02, skew_bps: 1}
          limits: {max_position: 2, max_order: 0.1, max_notional: 500000, collar_bps: 500, max_orders: 12}
      """, to: "test.yaml")
    return room.file("test.yaml")
  }

  enum Trouble: String {
    case gaps, restartedBooks, lostReplies, lostOrders, lostExecutions, repeatedExecutions, lateExecutions, lies
    case refusals, rates, tradeLost, streamLost, marketLost, allLost, tradeRestart, maintenance, lateCancels

    func strike(_ venue: SimulatedBybit, _ now: Nanoseconds) {
      switch self {
      case .gaps: venue.loseBookMessages("BTCUSDT", now: now)
      case .restartedBooks: venue.resendBooks("BTCUSDT", isRestart: true, now: now)
      case .lostReplies: venue.loseReplies(count: 3, now: now)
      case .lostOrders: venue.loseReports("order", count: 3, now: now)
      case .lostExecutions: venue.loseReports("execution", count: 1, now: now)
      case .repeatedExecutions: venue.repeatExecutions(count: 5, delay: 100_000_000, now: now)
      case .lateExecutions: venue.delayExecutions(by: 300_000_000, now: now)
      case .lies: venue.refuseOrders(count: 3, isLie: true, now: now)
      case .refusals: venue.refuseOrders(count: 3, now: now)
      case .rates: venue.drainRates("desk", now: now)
      case .tradeLost: venue.disconnectAll(.trade, now: now)
      case .streamLost: venue.disconnectAll(.privateStream, now: now)
      case .marketLost: venue.disconnectAll(.publicStream, now: now)
      case .allLost: venue.disconnectAll(now: now)
      case .tradeRestart: venue.restartTrade(now: now)
      case .maintenance: venue.setMaintenance(true, now: now)
      case .lateCancels: venue.acknowledgeLateCancels(count: 3, now: now)
      }
    }
    func relent(_ venue: SimulatedBybit, _ now: Nanoseconds) {
      venue.delayExecutions(by: 0, now: now)
      venue.setMaintenance(false, now: now)
    }
  }

  @Test(arguments: [
    [Trouble.gaps, .restartedBooks, .marketLost, .allLost],
    [.lostReplies, .lies, .refusals, .rates, .maintenance, .tradeRestart, .tradeLost],
    [.lostOrders, .lostExecutions, .repeatedExecutions, .lateExecutions, .lateCancels, .streamLost],
  ])
  func `whatever goes wrong, quoting goes on, and at the end the books are equal`(troubles: [Trouble]) throws {
    let room = try Room()
    let stage = try Stage { $0.messageOrder = .random }
    let engine = try Program(
      "apus", ["run", "--config", configuration(room, stage), "--report", room.file("report.json")])
    #expect(stage.waitForOrders(), "nothing was quoted: \(engine.err)\(engine.out)")
    for trouble in troubles {
      stage.server.performOnBybit { venue, now in trouble.strike(venue, now) }
      usleep(1_000_000)
      stage.server.performOnBybit { venue, now in trouble.relent(venue, now) }
      usleep(500_000)
      #expect(stage.waitForOrders(), "nothing is quoted after \(trouble)")
    }
    usleep(1_000_000)
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.err)\n\(engine.out)")
    let report = try EngineReport(json: Data(contentsOf: URL(fileURLWithPath: room.file("report.json"))))
    let venue = try stage.finish()
    let comparison = BooksComparison(engine: report, venue: venue.books.first)
    let different = comparison.items.filter { !$0.isEqual }
    #expect(different.isEmpty, "\(different)\n\(engine.out)")
    #expect(report.isStopVerified && report.limitBreaches == 0)
    #expect((venue.books.first?.fills.count ?? 0) > 3)
  }
}
