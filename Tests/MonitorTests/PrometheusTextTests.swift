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
    for text in ["connected", "quoting"] { lane.add(event: text, at: 0) }
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
    value.own_ask_since_ns = 3_000_000_000
    value.market_ns = 3_250_000_000
    value.worst_long_lots = QtyLots(rawValue: 20)
    value.worst_short_lots = QtyLots(rawValue: 13)
    value.unproven_buy_lots = QtyLots(rawValue: 5)
    value.limit_lots = QtyLots(rawValue: 100)
    value.bought_lots = QtyLots(rawValue: 1)
    value.sold_lots = QtyLots(rawValue: 4)
    value.traded_e8 = 30_050_000_000
    value.adjustment_count = 1
    _ = lane.show(&value, at: 0)

    var snapshot = try TelemetryReader(path: directory.file).snapshot()
    snapshot.processID = 99
    snapshot.startWallTime = 1_700_000_000_250_000_000
    snapshot.lanes[0].counters.removeAll { !["frames_in", "orders_live"].contains($0.name) }
    let text = PrometheusText.render(snapshot, isAlive: true, now: 3_500_000_000) { lane, span in
      guard lane == 0, span == .turn else { return nil }
      return PrometheusText.SpanHistogram(
        count: 3, sum: 3_000, counts: PrometheusText.SpanHistogram.bounds.map { $0 < 1_000 ? 0 : $0 < 2_000 ? 1 : 2 })
    }
    let buckets = text.split(separator: "\n").filter { $0.hasPrefix("apus_span_seconds_bucket") }
    #expect(buckets.count == 27)
    #expect(buckets.first == "apus_span_seconds_bucket{lane=\"thalex\",span=\"turn\",le=\"0.00000005\"} 0")
    #expect(buckets[4] == "apus_span_seconds_bucket{lane=\"thalex\",span=\"turn\",le=\"0.000001\"} 1")
    #expect(buckets[25] == "apus_span_seconds_bucket{lane=\"thalex\",span=\"turn\",le=\"10\"} 2")
    #expect(buckets.last == "apus_span_seconds_bucket{lane=\"thalex\",span=\"turn\",le=\"+Inf\"} 3")
    let others = text.split(separator: "\n").filter { !$0.hasPrefix("apus_span_seconds_bucket") }
    #expect(others.joined(separator: "\n") + "\n" == Self.expected)
  }

  @Test func `a span's buckets are counted from the mapped histogram, and rise to its count`() throws {
    var histogram = LatencyHistogram()
    for value in [100, 900, 1_000_000, 40_000_000_000] as [Nanoseconds] { histogram.record(value) }
    let directory = try MonitorDirectory()
    var writer = try TelemetryWriter(path: directory.file, name: "mm", bootEpoch: 7, now: 0)
    guard let lane = writer.openLane(0, name: "l", now: 0) else { throw NoLane() }
    let reader = try TelemetryReader(path: directory.file)
    #expect(reader.withSpan(lane: 0, .turn) { PrometheusText.SpanHistogram($0) } == .some(nil))
    for value in [100, 900, 1_000_000, 40_000_000_000] as [Nanoseconds] {
      LatencyHistogram.record(
        value, in: lane.span(.turn).baseAddress!.assumingMemoryBound(to: apus_histogram.self))
    }
    let seen = try #require(reader.withSpan(lane: 0, .turn) { PrometheusText.SpanHistogram($0) } ?? nil)
    #expect(seen.count == 4 && seen.sum == 40_001_001_000)
    #expect(seen.counts == PrometheusText.SpanHistogram.bounds.map { histogram.count(upTo: $0) })
    #expect(seen.counts.first == 0 && seen.counts[2] == 1 && seen.counts.last == 3)
    #expect(zip(seen.counts, seen.counts.dropFirst()).allSatisfy { $0 <= $1 })
    // One second is a bucket's bound and the one before it is less: a value lies in the first bucket that holds it.
    let place = try #require(PrometheusText.SpanHistogram.bounds.firstIndex(of: 1_000))
    #expect(seen.counts[place] == 2 && seen.counts[place - 1] == 1)
  }

  @Test func `the process, its threads and the disk are shown in base units`() throws {
    let directory = try MonitorDirectory()
    let proc = directory.path + "/proc"
    func write(_ text: String, _ name: String) throws {
      let url = URL(fileURLWithPath: "\(proc)/\(name)")
      try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
    try write("Name:\tapus\nVmRSS:\t    2048 kB\n", "77/status")
    try write(
      "Limit Soft Hard Units\nMax open files            1024                 4096                 files\n", "77/limits")
    for name in ["0", "1", "2"] { try write("", "77/fd/\(name)") }
    let tail = "S 1 1 1 0 -1 0 11 0 3 0 250 50 0 0 20 0 1 0 0 0 0"
    for thread in ["78", "79"] {
      try write("\(thread) (a b) c) \(tail)\n", "77/task/\(thread)/stat")
      try write("voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t2\n", "77/task/\(thread)/status")
    }
    try write("1500000000 20 3\n", "77/task/78/schedstat")
    try write("MemTotal:        8192 kB\nMemAvailable:    4096 kB\n", "meminfo")
    let use = try #require(ProcessUse(of: 77, dataDirectory: directory.path, proc: proc))
    #expect(use.residentBytes == 2 << 20 && use.openFiles == 3 && use.fileLimit == 1024)
    #expect(use.memoryAvailableBytes == 4 << 20 && use.memorySizeBytes == 8 << 20)
    #expect((use.dataFreeBytes ?? 0) > 0 && (use.dataSizeBytes ?? 0) >= (use.dataFreeBytes ?? 0))
    let threads = try #require(use.threads.first)
    // One counts in nanoseconds, the other, of a kernel without that, in hundredths of a second.
    #expect(threads.name == "a b) c" && threads.count == 2 && threads.cpuSeconds == 1.5 + 3)
    #expect(threads.voluntarySwitches == 10 && threads.involuntarySwitches == 4)
    #expect(threads.minorFaults == 22 && threads.majorFaults == 6)
    #expect(ProcessUse(of: 76, dataDirectory: directory.path, proc: proc) == nil)

    _ = try TelemetryWriter(path: directory.file, name: "mm", bootEpoch: 7, now: 0)
    let text = PrometheusText.render(
      try TelemetryReader(path: directory.file).snapshot(), isAlive: true, process: use, now: 0)
    for line in [
      "apus_process_resident_memory_bytes 2097152", "apus_process_open_fds 3", "apus_process_max_fds 1024",
      "apus_threads{thread=\"a b) c\"} 2", "apus_thread_cpu_seconds_total{thread=\"a b) c\"} 4.5",
      "apus_thread_context_switches_total{thread=\"a b) c\",kind=\"involuntary\"} 4",
      "apus_thread_page_faults_total{thread=\"a b) c\",kind=\"major\"} 6", "apus_host_memory_size_bytes 8388608",
    ] { #expect(text.contains("\n\(line)\n"), "\(line)") }

    var later = use
    later.threads[0].cpuSeconds += 1
    later.threads[0].voluntarySwitches += 10
    later.rate(since: use, seconds: 2)
    #expect(later.threads[0].cpuShare == 0.5 && later.threads[0].voluntaryRate == 5)
  }

  @Test func `counters of bytes have their unit at the end of the name`() throws {
    let directory = try MonitorDirectory()
    var writer = try TelemetryWriter(path: directory.file, name: "mm", bootEpoch: 7, now: 0)
    guard var lane = writer.openLane(0, name: "thalex", now: 0) else { throw NoLane() }
    lane.set(.bytesIn, to: 1234)
    lane.set(.bytesOut, to: 56)
    lane.set(.refusedLate, to: 7)
    let text = PrometheusText.render(try TelemetryReader(path: directory.file).snapshot(), isAlive: true, now: 0)
    for line in [
      "# TYPE apus_receive_bytes_total counter", "apus_receive_bytes_total{lane=\"thalex\"} 1234",
      "apus_transmit_bytes_total{lane=\"thalex\"} 56", "apus_refused_late_total{lane=\"thalex\"} 7",
      "apus_rejects_total{lane=\"thalex\"} 0",
    ] { #expect(text.contains("\n\(line)\n"), "\(line)") }
  }

  @Test func `this process's own threads are found in the real proc`() throws {
    let use = try #require(ProcessUse(of: Int64(getpid()), dataDirectory: "/"))
    #expect(use.residentBytes > 1 << 20 && use.openFiles >= 3 && !use.threads.isEmpty)
    #expect(use.threads.reduce(0) { $0 + $1.cpuSeconds } > 0)
  }

  @Test func `the history is bounded in rows and columns, and its gaps are null`() throws {
    var history = MonitorHistory()
    history.append(["a": 1, "b\"": 0.5], at: 10)
    history.append(["a": 2.25], at: 11.5)
    #expect(
      String(decoding: history.json(), as: UTF8.self)
        == "{\"at\":[10,11.5],\"columns\":{\"a\":[1,2.25],\"b\\\"\":[0.5,null]}}")
    for second in 0..<2_000 { history.append(["x\(second)": 1, "y": Double(second)], at: Double(second)) }
    #expect(history.count == MonitorHistory.rowLimit)
    struct Read: Decodable {
      var at: [Double]
      var columns: [String: [Double?]]
    }
    let read = try JSONDecoder().decode(Read.self, from: history.json())
    #expect(read.at.first == 1_100 && read.at.last == 1_999)
    #expect(read.columns["y"]?.last == 1_999 && read.columns.count <= MonitorHistory.columnLimit)
    // What was last seen long ago makes room for what is new.
    #expect(read.columns["x1999"]?.last == 1 && read.columns["a"] == nil)
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
    #expect(text.contains("apus_engine_info{name=\"a\\\"b\\\\c\r\\nd{}\",mode=\"unknown\",pid="))
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
    apus_engine_info{name="mm",mode="unknown",pid="99",boot_epoch="7"} 1
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
    # HELP apus_events_total Events that the lane told people about, such as a lost connection
    # TYPE apus_events_total counter
    apus_events_total{lane="thalex"} 2
    # HELP apus_requests_per_million Requests about orders for a million of the quote currency traded
    # TYPE apus_requests_per_million gauge
    apus_requests_per_million{lane="thalex"} 0.0
    # HELP apus_fee_bps Fees in basis points of what was traded
    # TYPE apus_fee_bps gauge
    apus_fee_bps{lane="thalex"} 83.19467554076539
    # HELP apus_quoted_ratio Share of the time with both sides quoted
    # TYPE apus_quoted_ratio gauge
    apus_quoted_ratio{lane="thalex"} 0.75
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
    # HELP apus_own_age_seconds Time since our best has its price
    # TYPE apus_own_age_seconds gauge
    apus_own_age_seconds{lane="thalex",instrument="BTC-PERPETUAL",side="ask"} 0.5
    # HELP apus_market_age_seconds Time since the last ticker
    # TYPE apus_market_age_seconds gauge
    apus_market_age_seconds{lane="thalex",instrument="BTC-PERPETUAL"} 0.25
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
    # HELP apus_exposure_contracts Position, of this side, if all that may still trade does
    # TYPE apus_exposure_contracts gauge
    apus_exposure_contracts{lane="thalex",instrument="BTC-PERPETUAL",side="long"} 0.02
    apus_exposure_contracts{lane="thalex",instrument="BTC-PERPETUAL",side="short"} 0.013
    # HELP apus_exposure_unproven_contracts Of the exposure, requests without an answer and orders of unknown state
    # TYPE apus_exposure_unproven_contracts gauge
    apus_exposure_unproven_contracts{lane="thalex",instrument="BTC-PERPETUAL",side="buy"} 0.005
    apus_exposure_unproven_contracts{lane="thalex",instrument="BTC-PERPETUAL",side="sell"} 0
    # HELP apus_exposure_limit_contracts Limit of position and exposure
    # TYPE apus_exposure_limit_contracts gauge
    apus_exposure_limit_contracts{lane="thalex",instrument="BTC-PERPETUAL"} 0.1
    # HELP apus_traded_contracts_total Contracts traded
    # TYPE apus_traded_contracts_total counter
    apus_traded_contracts_total{lane="thalex",instrument="BTC-PERPETUAL",side="buy"} 0.001
    apus_traded_contracts_total{lane="thalex",instrument="BTC-PERPETUAL",side="sell"} 0.004
    # HELP apus_traded_value_total Value of all executions in the quote currency
    # TYPE apus_traded_value_total counter
    apus_traded_value_total{lane="thalex",instrument="BTC-PERPETUAL"} 300.5
    # HELP apus_position_adjustments_total Times that the venue's position was taken over because it differed
    # TYPE apus_position_adjustments_total counter
    apus_position_adjustments_total{lane="thalex",instrument="BTC-PERPETUAL"} 1
    # HELP apus_instrument_blocked 1 while something keeps the instrument from being quoted
    # TYPE apus_instrument_blocked gauge
    apus_instrument_blocked{lane="thalex",instrument="BTC-PERPETUAL"} 0
    # HELP apus_span_seconds Latency of a stage
    # TYPE apus_span_seconds histogram
    apus_span_seconds_sum{lane="thalex",span="turn"} 0.000003
    apus_span_seconds_count{lane="thalex",span="turn"} 3

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
