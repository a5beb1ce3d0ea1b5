import Apus
import CSupport
import Foundation
import Testing

/// One engine at two venues over real sockets: what becomes of one venue is no matter of the other's lane.
@Suite(.serialized, .timeLimit(.minutes(4))) struct IsolationTests {
  /// What the first lane did in a while.
  private struct Window {
    var ticks: UInt64
    var p99: Nanoseconds
    var quotedShare: Double
  }

  /// How much worse a lane may look while the other's venue is in trouble: the machine has other work too, and a lane that parks
  /// waits for the scheduler. In virtual time it is exactly the same; see ManyVenuesTests.
  private static let largestFactor: Nanoseconds = 3
  private static let largestExtra: Nanoseconds = 3_000_000
  private static let largestLoss = 0.05

  private final class Copy {
    var histogram: LatencyHistogram

    init?(_ memory: UnsafeRawBufferPointer) {
      guard let start = memory.baseAddress else { return nil }
      histogram = LatencyHistogram.snapshot(of: start.assumingMemoryBound(to: apus_histogram.self))
    }
  }

  private func look(_ path: String) throws -> (copy: Copy, quoted: Nanoseconds, observed: Nanoseconds) {
    let telemetry = try TelemetryReader(path: path)
    let lane = try #require(telemetry.snapshot().lanes.first)
    return (
      try #require(telemetry.withSpan(lane: 0, TelemetrySpan.tickToOrder) { Copy($0) } ?? nil), lane.instruments.reduce(0) { $0 + $1.quoted },
      lane.instruments.reduce(0) { $0 + $1.observed }
    )
  }

  private func window(_ path: String, seconds: Double, _ meanwhile: () -> Void = {}) throws -> Window {
    let before = try look(path)
    let end = Date().addingTimeInterval(seconds)
    while Date() < end {
      meanwhile()
      usleep(10_000)
    }
    let after = try look(path)
    after.copy.histogram.subtract(before.copy.histogram)
    return Window(
      ticks: after.copy.histogram.count, p99: after.copy.histogram.percentile(99),
      quotedShare: Double(after.quoted - before.quoted) / Double(max(1, after.observed - before.observed)))
  }

  @Test func `one venue stalls, is throttled, is killed: the other lane's latency and quoted time do not move`() throws {
    let stage = try RunTests.Stage(["--seed", "3"])
    try stage.room.write("kJ3xW9mQe5VtB8yLzR2nD6uPhG0sAfXcOi4jTbE1\n", to: "secret.txt")
    let other = try Program(
      "apus",
      [
        "venue", "--protocol", "deribit", "--port", "0", "--seed", "4", "--order-rate", "50", "--client",
        "desk=\(stage.room.file("secret.txt"))",
      ])
    #expect(other.waitFor("listening on "), "\(other.err)")
    let line = other.out.split(separator: "\n").first { $0.hasPrefix("listening on ") } ?? ""
    try stage.room.write(
      """
      engine: {name: test, core: none, idle: park, data_directory: \(stage.room.file("data"))}
      defaults:
        ladder: {levels: 2, half_spread_bps: 0.3, step_ticks: 2, size: 0.02, skew_bps: 1.0}
        limits: {max_position: 0.5, max_order: 0.1, max_notional: 20000, collar_bps: 100, max_orders: 12}
      venues:
        - kind: thalex
          url: \(stage.url)
          key_id: K1
          private_key_file: \(stage.room.file("key.pem"))
          instruments:
            - name: BTC-PERPETUAL
        - kind: deribit
          url: \(line.dropFirst("listening on ".count))
          key_id: desk
          private_key_file: \(stage.room.file("secret.txt"))
          instruments:
            - name: BTC_USDC-PERPETUAL
      """, to: "two.yaml")
    let engine = try Program("apus", ["run", "--config", stage.room.file("two.yaml")])
    let path = stage.room.file("data/telemetry")
    func isQuoting(_ lane: Int) -> Bool {
      let lanes = (try? TelemetryReader(path: path))?.snapshot().lanes ?? []
      return lanes.count == 2 && lanes[lane].state == .quoting && lanes[lane][.ordersLive] > 0
    }
    let deadline = Date().addingTimeInterval(40)
    while Date() < deadline, !(isQuoting(0) && isQuoting(1)) { usleep(20_000) }
    #expect(isQuoting(0) && isQuoting(1), "\(engine.out) \(engine.err)")

    let quiet = try window(path, seconds: 5)
    other.signal(SIGSTOP)
    let stalled = try window(path, seconds: 5)
    #expect(!isQuoting(1), "the stalled venue's lane has noticed")
    other.signal(SIGCONT)
    // A tenth of the time it may run.
    let throttled = try window(path, seconds: 5) {
      other.signal(SIGSTOP)
      usleep(90_000)
      other.signal(SIGCONT)
    }
    other.signal(SIGKILL)
    let killed = try window(path, seconds: 5)
    #expect(isQuoting(0) && !isQuoting(1))
    #expect(quiet.ticks > 50)
    for (name, seen) in [("stalled", stalled), ("throttled", throttled), ("killed", killed)] {
      #expect(seen.ticks > quiet.ticks / 2, "\(name): \(seen), quiet \(quiet)")
      #expect(seen.p99 <= quiet.p99 * Self.largestFactor + Self.largestExtra, "\(name): \(seen), quiet \(quiet)")
      #expect(seen.quotedShare >= quiet.quotedShare - Self.largestLoss, "\(name): \(seen), quiet \(quiet)")
    }
    engine.signal(SIGTERM)
    _ = engine.wait()
    try stage.expectNothingLeft()
  }
}
