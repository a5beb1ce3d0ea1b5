import Apus
import CSupport
import Testing

@testable import ApusMonitor

/// How well a venue does: one reckoning, shown everywhere.
@Suite struct VenuePerformanceTests {
  private func snapshot() throws -> (snapshot: TelemetrySnapshot, view: EngineView) {
    let directory = try MonitorDirectory()
    var writer = try TelemetryWriter(path: directory.file, name: "mm", bootEpoch: 7, now: 0)
    for (place, name) in ["thalex", "deribit"].enumerated() {
      guard var lane = writer.openLane(place, name: name, now: 0) else { throw NoLane() }
      guard place == 0 else { continue }
      for (counter, value) in [
        (.inserts, 60), (.amends, 30), (.cancels, 8), (.massQuotes, 2), (.rejects, 5), (.fills, 20),
        (.ordersAccepted, 50), (.ordersFilled, 10), (.hedges, 3),
      ] as [(TelemetryCounter, UInt64)] { lane.set(counter, to: value) }
      for (index, value) in [Int64(30), -10].enumerated() {
        var shown = InstrumentTelemetry(
          name: "I-\(index)", grid: InstrumentGrid(tickE8: 1, lotE8: 1, minimumLots: QtyLots(rawValue: 1)))
        shown.traded_e8 = 1_000 * 100_000_000
        shown.fees_e8 = -5_000_000
        shown.quoted_ns = 750_000_000
        shown.observed_ns = 1_000_000_000
        shown.markout_e8 = (value * 1_000_000, 0, 0)
        shown.marked_e8 = (500 * 100_000_000, 0, 0)
        _ = lane.show(&shown, at: index)
      }
    }
    let reader = try TelemetryReader(path: directory.file)
    var observer = EngineObserver()
    return (reader.snapshot(), observer.look(reader))
  }

  @Test func `the ratios are those of the counters, and what has no denominator is absent`() throws {
    let (snapshot, view) = try snapshot()
    let performance = VenuePerformance(snapshot.lanes[0])
    #expect(performance.requests == 100 && performance.rejectRatio == 0.05 && performance.fillRatio == 0.2)
    #expect(performance.requestsPerFill == 5 && performance.requestsPerMillion == 50_000)
    #expect(performance.feeBps == -0.5 && performance.quotedShare == 0.75 && performance.hedges == 3)
    // 0.3 and −0.1 of 1,000 traded: 2 basis points.
    #expect(performance.markouts.map(\.horizon) == [1, 10, 60])
    #expect(abs((performance.markouts[0].basisPoints ?? 0) - 2) < 1e-9 && performance.markouts[1].basisPoints == nil)
    let idle = VenuePerformance(snapshot.lanes[1])
    #expect(idle.rejectRatio == nil && idle.fillRatio == nil && idle.feeBps == nil && idle.requestsPerFill == nil)
    #expect(view.lanes.map(\.performance) == [performance, idle])
  }

  @Test func `the screen and Prometheus show the same`() throws {
    let (snapshot, view) = try snapshot()
    var screen = TopScreen()
    let lines = screen.draw(view, columns: 160, rows: 40).map(\.text)
    #expect(
      lines.contains {
        $0.hasPrefix("venue   rejects 5.0 %  orders filled 20.0 %  requests/fill 5  fees −0.50 bp  markout 1s 2.00 10s – 60s – bp")
          && $0.hasSuffix("hedges 3")
      }, "\(lines)")
    let text = PrometheusText.render(snapshot, isAlive: true, now: 0)
    for line in [
      #"apus_reject_ratio{lane="thalex"} 0.05"#, #"apus_fill_ratio{lane="thalex"} 0.2"#,
      #"apus_requests_per_fill{lane="thalex"} 5.0"#, #"apus_fee_bps{lane="thalex"} -0.5"#,
      #"apus_quoted_ratio{lane="thalex"} 0.75"#, #"apus_markout_traded_value{lane="thalex",horizon="1s"} 1000.0"#,
      #"apus_hedges_total{lane="thalex"} 3"#, #"apus_limit_breaches_total{lane="thalex"} 0"#,
      #"apus_ring_high_water{lane="thalex"} 0"#,
    ] { #expect(text.contains(line + "\n"), "\(line)") }
    #expect(!text.contains(#"apus_reject_ratio{lane="deribit"}"#) && !text.contains(#"horizon="10s""#))
  }
}
