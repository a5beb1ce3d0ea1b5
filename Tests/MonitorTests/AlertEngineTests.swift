import Apus
import Foundation
import Testing

@testable import ApusMonitor

/// Windows, hysteresis, deduplication and the limit on telling, on made-up looks.
@Suite struct AlertEngineTests {
  /// One rule over made-up looks: the value is a lane's loss.
  private struct Bench {
    var engine: AlertEngine
    var changes: [AlertChange] = []
    private(set) var now: Nanoseconds = 1_000_000_000_000

    init(hold: Double = 0, clearHold: Double = 0, repeatAfter: Double = 300) throws {
      var rule = try #require(AlertRule.standard.first { $0.name == "ApusLoss" })
      rule.bound = 10
      rule.clear = 5
      rule.hold = hold
      rule.clearHold = clearHold
      rule.repeatAfter = repeatAfter
      engine = AlertEngine(rules: [rule])
    }

    /// Looks once a second for so long; what was told.
    @discardableResult
    mutating func look(_ losses: [String: Double]?, seconds: Int = 1) -> [String] {
      var told: [String] = []
      for _ in 0..<seconds {
        now += 1_000_000_000
        let view = losses.map { losses in
          AlertEngineTests.view(losses.sorted { $0.key < $1.key }.map { AlertEngineTests.lane($0.key, loss: $0.value) })
        }
        let new = engine.step(AlertInputs(now: now, wall: now, view: view))
        changes += new
        told += new.map { "\($0.kind.rawValue) \($0.alert.lane ?? "-")" }
      }
      return told
    }

    var active: [String] { engine.active(now: now).compactMap(\.lane) }
  }

  static func lane(_ name: String, loss: Double = 0, counters: [String: UInt64] = [:]) -> EngineView.Lane {
    EngineView.Lane(
      name: name, state: "quoting", since: 100, cause: "", heartbeatAge: 0.1, counters: counters, rates: [:], spans: [],
      halt: nil, watchdog: nil, instruments: [instrument(loss: loss)], events: [])
  }

  static func instrument(_ name: String = "BTC-PERPETUAL", loss: Double = 0, age: Double = 0) -> EngineView.Instrument {
    let side = EngineView.Side(price: 1, quantity: 1, levels: 1)
    return EngineView.Instrument(
      name: name, priceDecimals: 0, quantityDecimals: 3, marketAge: age, ownBid: side, ownAsk: side, isHandedOver: false, limit: 1, worst: 0,
      unproven: 0, pnl: -loss, fees: 0, fills: 0, traded: 0, adjustments: 0)
  }

  static func view(_ lanes: [EngineView.Lane], isAlive: Bool = true, uptime: Double = 1000, epoch: UInt64 = 1)
    -> EngineView
  {
    EngineView(
      name: "desk", processID: 1, bootEpoch: epoch, isAlive: isAlive, uptime: uptime, heartbeatAge: 0.1,
      stopRequested: "quoting", stopCause: "", lanes: lanes)
  }

  @Test func `an alert fires only after its condition has held without a break`() throws {
    var bench = try Bench(hold: 3)
    #expect(bench.look(["a": 11], seconds: 3) == [])
    #expect(bench.look(["a": 9]) == [])
    #expect(bench.look(["a": 11], seconds: 3) == [])
    #expect(bench.active == [])
    #expect(bench.look(["a": 11]) == ["fired a"])
    #expect(bench.active == ["a"])
  }

  @Test func `it clears only below the lower bound, and only after a time there`() throws {
    var bench = try Bench(clearHold: 3)
    #expect(bench.look(["a": 11]) == ["fired a"])
    #expect(bench.look(["a": 6], seconds: 60) == [], "between the bounds nothing changes")
    #expect(bench.look(["a": 5], seconds: 3) == [])
    #expect(bench.look(["a": 6]) == [], "the time begins anew")
    #expect(bench.look(["a": 5], seconds: 3) == [])
    #expect(bench.active == ["a"])
    #expect(bench.look(["a": 5]) == ["cleared a"])
    #expect(bench.active == [])
  }

  @Test func `exactly the bound does not fire, and what is not a number does not either`() throws {
    var bench = try Bench()
    #expect(bench.look(["a": 10], seconds: 5) == [])
    #expect(bench.look(["a": .nan], seconds: 5) == [])
    #expect(bench.active == [])
  }

  @Test func `each lane has an alert of its own, told once`() throws {
    var bench = try Bench()
    #expect(bench.look(["a": 11, "b": 1]) == ["fired a"])
    #expect(bench.look(["a": 12, "b": 11], seconds: 10) == ["fired b"])
    #expect(bench.active == ["a", "b"])
    #expect(bench.look(["b": 11]) == ["cleared a"], "a lane that is gone has no loss")
    #expect(bench.active == ["b"])
  }

  @Test func `while it lasts it is told again, no more often than allowed`() throws {
    var bench = try Bench(repeatAfter: 60)
    let told = bench.look(["a": 11], seconds: 181)
    #expect(told == ["fired a", "repeated a", "repeated a", "repeated a"])
    #expect(bench.changes.map { $0.number } == [1, 2, 3, 4])
    #expect(bench.changes.last?.alert.age == 180)
  }

  @Test func `one that comes and goes is told seldom, and what was held back is counted`() throws {
    var bench = try Bench(repeatAfter: 50)
    var told: [String] = []
    for _ in 0..<10 {
      told += bench.look(["a": 11])
      told += bench.look(["a": 0])
    }
    // Ten firings in 20 s: at 0 and at 10 s, each with its end.
    #expect(told == ["fired a", "cleared a", "fired a", "cleared a"])
    #expect(bench.changes[2].held == 4)
    #expect(bench.changes[2].text.contains("and 4 more in between"))
    // One that was held back and stays is told when it may be.
    #expect(bench.look(["a": 11], seconds: 20).filter { $0 == "fired a" }.count == 1)
  }

  @Test func `a firing that is held back is told when it may be, if it lasts`() throws {
    var bench = try Bench(repeatAfter: 50)
    _ = bench.look(["a": 11])
    _ = bench.look(["a": 0])
    #expect(bench.look(["a": 11], seconds: 8) == [])
    #expect(bench.active == ["a"], "it holds, though it was not told yet")
    #expect(bench.look(["a": 11]) == ["fired a"])
    #expect(bench.changes.last?.held == 0 && bench.changes.last?.alert.age == 8)
  }

  @Test func `while nothing can be seen an alert stays as it was`() throws {
    var bench = try Bench(clearHold: 2)
    _ = bench.look(["a": 11])
    #expect(bench.look(nil, seconds: 100) == [])
    #expect(bench.active == ["a"])
    #expect(bench.look(["a": 0], seconds: 3) == ["cleared a"])
  }

  @Test func `of a dead engine only that is told, and after an orderly end nothing`() throws {
    var engine = AlertEngine()
    var now: Nanoseconds = 1_000_000_000
    func look(_ view: EngineView, seconds: Int) -> [String] {
      var told: [String] = []
      for _ in 0..<seconds {
        now += 1_000_000_000
        told += engine.step(AlertInputs(now: now, wall: now, view: view)).map { "\($0.kind.rawValue) \($0.alert.name)" }
      }
      return told
    }
    var lane = Self.lane("a", counters: ["journal_failed": 1])
    #expect(look(Self.view([lane]), seconds: 2) == ["fired ApusJournalFailed"])
    lane.heartbeatAge = 50
    lane.instruments[0].marketAge = 50
    #expect(look(Self.view([lane], isAlive: false), seconds: 50) == ["fired ApusEngineDown"])
    lane.state = "stopped"
    let ended = look(Self.view([lane], isAlive: false), seconds: 10)
    #expect(Set(ended) == ["cleared ApusEngineDown", "cleared ApusJournalFailed"])
    #expect(engine.active(now: now).isEmpty)
  }

  @Test func `a lane that still prepares itself is not silent, unless it takes too long`() throws {
    var engine = AlertEngine()
    var told: [String] = []
    for second in 1...20 as ClosedRange<Int64> {
      var lane = Self.lane("a")
      lane.state = "connecting"
      lane.heartbeatAge = Double(second)
      let view = Self.view([lane], uptime: Double(second) + 0.1)
      told += engine.step(AlertInputs(now: second * 1_000_000_000, wall: 0, view: view)).map {
        "\($0.alert.name) at \(second)"
      }
    }
    #expect(told == ["ApusLaneSilent at 16"])
  }

  @Test func `increases count over their window, from zero in a young engine, and not across a restart`() throws {
    let rules = AlertRule.standard.filter { $0.name == "ApusStreamGap" }
    func told(_ looks: [(seconds: Int, gaps: UInt64, uptime: Double, epoch: UInt64)]) -> [String] {
      var engine = AlertEngine(rules: rules)
      var now: Nanoseconds = 1_000_000_000
      var told: [String] = []
      for look in looks {
        for second in 0..<look.seconds {
          now += 1_000_000_000
          let view = Self.view(
            [Self.lane("a", counters: ["gaps": look.gaps])], uptime: look.uptime + Double(second), epoch: look.epoch)
          told += engine.step(AlertInputs(now: now, wall: now, view: view)).map {
            "\($0.kind.rawValue) at \(now / 1_000_000_000)"
          }
        }
      }
      return told
    }
    #expect(told([(10, 7, 1000, 1)]) == [], "what was before the first look of an old engine is not told")
    #expect(told([(2, 7, 10, 1)]) == ["fired at 2"], "a young one's is")
    // The gap at 12 leaves the window of 60 s at 72, and five seconds later it clears.
    #expect(told([(10, 7, 1000, 1), (100, 8, 1010, 1)]) == ["fired at 12", "cleared at 77"])
    #expect(told([(10, 7, 1000, 1), (10, 0, 1, 2)]) == [])
  }

  @Test func `throughput is judged against the lane's own past, and not before there is one`() throws {
    let rules = AlertRule.standard.filter { $0.name == "ApusThroughputFallen" }
    var engine = AlertEngine(rules: rules)
    var now: Nanoseconds = 0
    var frames: UInt64 = 0
    func run(_ seconds: Int, rate: UInt64) -> [AlertChange] {
      var changes: [AlertChange] = []
      for _ in 0..<seconds {
        now += 1_000_000_000
        frames += rate
        changes += engine.step(
          AlertInputs(now: now, wall: now, view: Self.view([Self.lane("a", counters: ["frames_in": frames])])))
      }
      return changes
    }
    #expect(run(20, rate: 100).isEmpty)
    #expect(run(10, rate: 0).isEmpty, "twenty seconds are no past")
    _ = run(200, rate: 100)
    let fallen = run(15, rate: 10)
    #expect(fallen.map(\.kind) == [.fired])
    #expect(fallen.first?.alert.found.contains("frames a second") == true)
    #expect(run(30, rate: 100).map(\.kind) == [.cleared])
  }

  @Test func `a lane of many instruments is one alert with the worst and some names`() throws {
    var lane = Self.lane("a")
    lane.instruments = (0..<40).map { Self.instrument("OPT-\($0)", age: $0 < 30 ? 100 : 0) }
    var engine = AlertEngine()
    var changes: [AlertChange] = []
    for second in 1...3 as ClosedRange<Int64> {
      changes += engine.step(AlertInputs(now: second * 1_000_000_000, wall: 0, view: Self.view([lane])))
    }
    let stale = changes.filter { $0.alert.name == "ApusMarketStale" }
    #expect(stale.count == 1)
    #expect(stale.first?.alert.found == "the last is 2m old (30 of 40 instruments: OPT-0, OPT-1, OPT-2 …)")
  }

  @Test func `what is told says what, where, found, allowed, what to do and where to read on, in one clean line`()
    throws
  {
    var lane = Self.lane("th\u{1B}[31malex\nx")
    lane.counters["journal_failed"] = 1
    var engine = AlertEngine()
    let text = try #require(engine.step(AlertInputs(now: 1, wall: 1, view: Self.view([lane]))).first).text
    for part in [
      "fired: ApusJournalFailed [page] (lane th", "quoting has stopped", "a record could not be written",
      "allowed is a journal on disk", "Free space", "See Runbook.md#ApusJournalFailed",
    ] { #expect(text.contains(part), "\(text)") }
    #expect(!text.contains("\u{1B}") && !text.contains("\n"))
  }

  @Test func `the host's memory, disk and descriptors are judged, and missing facts are no alert`() throws {
    var engine = AlertEngine()
    var now: Nanoseconds = 0
    func look(_ host: HostHeadroom, seconds: Int = 10) -> Set<String> {
      for _ in 0..<seconds {
        now += 1_000_000_000
        _ = engine.step(AlertInputs(now: now, wall: now, view: Self.view([Self.lane("a")]), host: host))
      }
      return Set(engine.active(now: now).map { "\($0.name) \($0.subject ?? "-")" })
    }
    var host = HostHeadroom()
    #expect(look(host) == [])
    host.residentBytes = 95
    host.memoryLimitBytes = 100
    host.availableBytes = 1
    host.totalBytes = 100
    host.diskFreeBytes = 1 << 20
    host.dataDirectory = "data"
    host.filesOpen = 90
    host.filesLimit = 100
    #expect(
      look(host) == ["ApusMemoryHigh engine", "ApusMemoryHigh machine", "ApusDiskLow data", "ApusFilesLow -"])
    host.residentBytes = 50
    host.availableBytes = 50
    host.diskFreeBytes = 1 << 40
    host.filesOpen = 10
    #expect(look(host) == [])
  }
}
