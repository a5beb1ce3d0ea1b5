import Apus
import CSupport
import Foundation
import Testing

@testable import ApusMonitor

@Suite struct PrometheusTextTests {
  @Test func `a snapshot is rendered to the letter`() throws {
    let directory = try MonitorDirectory()
    var writer = try TelemetryWriter(path: directory.file, name: "mm", bootEpoch: 7, now: 1_000_000_000)
    guard var lane = writer.openLane(0, name: "thalex", now: 2_000_000_000) else { throw NoLane() }
    lane.add(12, to: .framesIn)
    lane.set(.ordersLive, to: 4)
    lane.show(.quoting, cause: "", since: 0)
    var value = InstrumentTelemetry(
      name: "BTC-PERPETUAL",
      grid: InstrumentGrid(tickE8: 50_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)))
    value.bid_ticks = PriceTicks(rawValue: 120_001)
    value.bid_lots = QtyLots(rawValue: 1_500)
    value.own_ask_ticks = PriceTicks(rawValue: 120_005)
    value.own_ask_lots = QtyLots(rawValue: 10)
    value.own_ask_level_count = 2
    value.mark_e8 = 6_000_012_345_678
    value.position_lots = QtyLots(rawValue: -3)
    value.flags = UInt64(APUS_TELEMETRY_POSITION_KNOWN)
    value.pnl_e8 = -1
    value.fees_e8 = 250_000_000
    value.fill_count = 3
    value.quoted_ns = 1_500_000_000
    value.observed_ns = 2_000_000_000
    _ = lane.show(&value, at: 0)

    var snapshot = try TelemetryReader(path: directory.file).snapshot()
    snapshot.processID = 99
    snapshot.startWallTime = 1_700_000_000_250_000_000
    snapshot.lanes[0].counters.removeAll { !["frames_in", "orders_live"].contains($0.name) }
    let text = PrometheusText.render(snapshot, isAlive: true, now: 3_500_000_000) { lane, span in
      guard lane == 0, span == .turn else { return nil }
      return PrometheusText.SpanSummary(
        count: 2, sum: 3_000, quantiles: [.init(label: "0.5", value: 1_000), .init(label: "0.99", value: 2_000)])
    }
    #expect(text == Self.expected)
  }

  @Test func `what is not known is left out rather than shown as zero`() throws {
    let directory = try MonitorDirectory()
    var writer = try TelemetryWriter(path: directory.file, name: "mm", bootEpoch: 7, now: 0)
    guard var lane = writer.openLane(0, name: "l", now: 0) else { throw NoLane() }
    var value = InstrumentTelemetry(
      name: "X", grid: InstrumentGrid(tickE8: 1, lotE8: 1, minimumLots: QtyLots(rawValue: 1)))
    _ = lane.show(&value, at: 0)
    let text = PrometheusText.render(try TelemetryReader(path: directory.file).snapshot(), isAlive: false, now: 0)
    for absent in ["apus_market_price", "apus_own_price", "apus_mark_price", "apus_position_contracts", "apus_span"] {
      #expect(!text.contains(absent))
    }
    #expect(text.contains("apus_position_known{lane=\"l\",instrument=\"X\"} 0\n"))
    #expect(text.contains("apus_engine_alive 0\n"))
  }

  @Test func `names cannot break out of their label`() throws {
    let directory = try MonitorDirectory()
    let hostile = "a\"b\\c\r\nd{}"
    var writer = try TelemetryWriter(path: directory.file, name: hostile, bootEpoch: 7, now: 0)
    _ = writer.openLane(0, name: hostile, now: 0)
    let text = PrometheusText.render(try TelemetryReader(path: directory.file).snapshot(), isAlive: true, now: 0)
    #expect(text.contains("apus_engine_info{name=\"a\\\"b\\\\c\r\\nd{}\",pid="))
    #expect(text.contains("apus_lane_heartbeat_age_seconds{lane=\"a\\\"b\\\\c\r\\nd{}\"} 0\n"))
    #expect(PrometheusText.escapeHelp("a\"\\\n") == "a\"\\\\\\n")
  }

  @Test func `every line is a comment or a sample, and families stand together`() throws {
    let directory = try MonitorDirectory()
    var writer = try TelemetryWriter(path: directory.file, name: "mm", bootEpoch: 7, now: 0)
    for index in 0..<4 {
      guard var lane = writer.openLane(index, name: "lane \(index)", now: 0) else { throw NoLane() }
      for number in 0..<3 {
        var value = InstrumentTelemetry(
          name: "I\(number)",
          grid: InstrumentGrid(tickE8: .max, lotE8: .max, minimumLots: QtyLots(rawValue: 1)))
        value.bid_ticks = PriceTicks(rawValue: .min)
        value.bid_lots = QtyLots(rawValue: .max)
        value.pnl_e8 = .min
        _ = lane.show(&value, at: number)
      }
    }
    let text = PrometheusText.render(try TelemetryReader(path: directory.file).snapshot(), isAlive: true, now: 5)
    let sample = /([a-z_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9]+(\.[0-9]+)?/
    var current = "", seen: Set<Substring> = []
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
      if line.hasPrefix("# HELP ") {
        current = String(line.split(separator: " ")[2])
        #expect(seen.insert(current[...]).inserted)
      } else if line.hasPrefix("# TYPE ") {
        #expect(line.split(separator: " ")[2] == current)
      } else {
        let match = try #require(line.wholeMatch(of: sample), "\(line)")
        #expect(match.1 == current)
      }
    }
    #expect(text.hasSuffix("\n"))
    #expect(seen.contains("apus_turns_total"))
  }

  static let expected = """
    # HELP apus_engine_info Always 1; its labels say which engine this is
    # TYPE apus_engine_info gauge
    apus_engine_info{name="mm",pid="99",boot_epoch="7"} 1
    # HELP apus_engine_alive 1 while the engine's process lives
    # TYPE apus_engine_alive gauge
    apus_engine_alive 1
    # HELP apus_start_time_seconds When the engine started, seconds since 1970 UTC
    # TYPE apus_start_time_seconds gauge
    apus_start_time_seconds 1700000000.25
    # HELP apus_heartbeat_age_seconds Time since the engine's last sign of life
    # TYPE apus_heartbeat_age_seconds gauge
    apus_heartbeat_age_seconds 2.5
    # HELP apus_stop_requested_level Asked from outside: 0 none, 1 widen, 2 no new orders, 3 cancel all, 4 flatten, 5 disconnect
    # TYPE apus_stop_requested_level gauge
    apus_stop_requested_level 0
    # HELP apus_lane_heartbeat_age_seconds Time since the lane's last sign of life
    # TYPE apus_lane_heartbeat_age_seconds gauge
    apus_lane_heartbeat_age_seconds{lane="thalex"} 1.5
    # HELP apus_lane_state 1 for the state that the lane is in, 0 for the others
    # TYPE apus_lane_state gauge
    apus_lane_state{lane="thalex",state="connecting"} 0
    apus_lane_state{lane="thalex",state="syncing"} 0
    apus_lane_state{lane="thalex",state="quoting"} 1
    apus_lane_state{lane="thalex",state="frozen"} 0
    apus_lane_state{lane="thalex",state="stopping"} 0
    apus_lane_state{lane="thalex",state="stopped"} 0
    # HELP apus_frames_in_total Frames received from the venue
    # TYPE apus_frames_in_total counter
    apus_frames_in_total{lane="thalex"} 12
    # HELP apus_orders_live Orders that count as live
    # TYPE apus_orders_live gauge
    apus_orders_live{lane="thalex"} 4
    # HELP apus_market_price Best price of the market without our own orders
    # TYPE apus_market_price gauge
    apus_market_price{lane="thalex",instrument="BTC-PERPETUAL",side="bid"} 60000.5
    # HELP apus_market_quantity Contracts at the best price of the market without our own orders
    # TYPE apus_market_quantity gauge
    apus_market_quantity{lane="thalex",instrument="BTC-PERPETUAL",side="bid"} 1.5
    # HELP apus_own_levels Levels quoted
    # TYPE apus_own_levels gauge
    apus_own_levels{lane="thalex",instrument="BTC-PERPETUAL",side="bid"} 0
    apus_own_levels{lane="thalex",instrument="BTC-PERPETUAL",side="ask"} 2
    # HELP apus_own_price Our best price
    # TYPE apus_own_price gauge
    apus_own_price{lane="thalex",instrument="BTC-PERPETUAL",side="ask"} 60002.5
    # HELP apus_own_quantity Contracts at our best price
    # TYPE apus_own_quantity gauge
    apus_own_quantity{lane="thalex",instrument="BTC-PERPETUAL",side="ask"} 0.01
    # HELP apus_mark_price Mark price
    # TYPE apus_mark_price gauge
    apus_mark_price{lane="thalex",instrument="BTC-PERPETUAL"} 60000.12345678
    # HELP apus_position_known 1 when the position is known; quoting is forbidden otherwise
    # TYPE apus_position_known gauge
    apus_position_known{lane="thalex",instrument="BTC-PERPETUAL"} 1
    # HELP apus_position_contracts Position, negative when short
    # TYPE apus_position_contracts gauge
    apus_position_contracts{lane="thalex",instrument="BTC-PERPETUAL"} -0.003
    # HELP apus_pnl Realised and unrealised result in the quote currency, fees not deducted
    # TYPE apus_pnl gauge
    apus_pnl{lane="thalex",instrument="BTC-PERPETUAL"} -0.00000001
    # HELP apus_fees Fees paid in the quote currency
    # TYPE apus_fees gauge
    apus_fees{lane="thalex",instrument="BTC-PERPETUAL"} 2.5
    # HELP apus_instrument_fills_total Fills of the instrument
    # TYPE apus_instrument_fills_total counter
    apus_instrument_fills_total{lane="thalex",instrument="BTC-PERPETUAL"} 3
    # HELP apus_quoted_seconds_total Time with both sides live
    # TYPE apus_quoted_seconds_total counter
    apus_quoted_seconds_total{lane="thalex",instrument="BTC-PERPETUAL"} 1.5
    # HELP apus_observed_seconds_total Time in which both sides could have been live
    # TYPE apus_observed_seconds_total counter
    apus_observed_seconds_total{lane="thalex",instrument="BTC-PERPETUAL"} 2
    # HELP apus_span_seconds Latency of a stage
    # TYPE apus_span_seconds summary
    apus_span_seconds{lane="thalex",span="turn",quantile="0.5"} 0.000001
    apus_span_seconds{lane="thalex",span="turn",quantile="0.99"} 0.000002
    apus_span_seconds_sum{lane="thalex",span="turn"} 0.000003
    apus_span_seconds_count{lane="thalex",span="turn"} 2

    """
}

struct NoLane: Error {}

/// A directory with room for one telemetry file; it goes away with its owner.
struct MonitorDirectory: ~Copyable {
  let path = NSTemporaryDirectory() + "/apus-monitor-" + UUID().uuidString
  var file: String { path + "/telemetry" }

  init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
