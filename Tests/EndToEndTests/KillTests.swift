import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

@testable import ApusCLI

/// `kill -9` at moments that nobody chose, of a real engine in a process of its own.
@Suite(.serialized) struct KillTests {
  /// Whether orders of an engine later than those of `lives` rest, by its own account.
  private func waitForOrders(_ stage: RunTests.Stage, beside lives: inout Set<UInt64>) -> Bool {
    let deadline = Date().addingTimeInterval(40)
    while Date() < deadline {
      let file = try? TelemetryReader(path: stage.room.file("data/telemetry"))
      if let snapshot = file?.snapshot(), !lives.contains(snapshot.bootEpoch), let lane = snapshot.lanes.first,
        lane.state == .quoting, lane[.ordersLive] > 0
      {
        lives.insert(snapshot.bootEpoch)
        return true
      }
      usleep(20_000)
    }
    return false
  }

  @Test func `R13 R56 an engine that is killed again and again ends with the venue's books, each execution once`()
    throws
  {
    let stage = try RunTests.Stage(["--seed", "5"])
    let config = try stage.configuration()
    var state: UInt64 = 0x9E37
    var continued = 0
    var lives: Set<UInt64> = []
    for life in 0..<16 {
      let engine = try Program("apus", ["run", "--config", config])
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      // Half of them while they start, the others while they quote.
      if life % 2 == 0 { #expect(waitForOrders(stage, beside: &lives), "\(engine.out) \(engine.err)") }
      usleep(useconds_t(10_000 + (state >> 33) % 700_000))
      engine.signal(SIGKILL)
      _ = engine.wait()
      if engine.out.contains("going on with its account") { continued += 1 }
    }
    #expect(continued > 5, "\(continued)")
    let engine = try Program("apus", ["run", "--config", config, "--report", stage.room.file("report.json")])
    #expect(waitForOrders(stage, beside: &lives), "\(engine.out) \(engine.err)")
    sleep(2)
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.err)")
    #expect(engine.out.contains("going on with its account"))
    let report = try EngineReport(json: Data(contentsOf: URL(fileURLWithPath: stage.room.file("report.json"))))
    let all = try JSONSerialization.data(withJSONObject: stage.books())
    let books = try #require(try JSONDecoder().decode([AccountBooks].self, from: all).first)
    let comparison = BooksComparison(engine: report, venue: books)
    #expect(comparison.isEqual, "\(comparison.items.filter { !$0.isEqual })")
    #expect(report.isStopVerified && report.runs.count > 5 && report.trades.count > 0)
    #expect(report.instruments.allSatisfy { $0.positionAdjustments == 0 })
  }
}
