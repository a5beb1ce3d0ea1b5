import Apus
import CSupport
import Foundation
import Synchronization
import Testing

/// A venue, an incumbent that runs from a release, and room for candidates.
final class RolloutStage {
  let stage: RunTests.Stage
  let root: String
  private(set) var incumbent: Program?

  static let apus = Program.buildDirectory.appendingPathComponent("apus").path

  /// - Parameters:
  ///   - incumbent: YAML of its instruments; those of `instruments` by default.
  ///   - venue: Options of `apus venue`.
  init(
    incumbent instruments: String = RolloutStage.instruments(), venue: [String] = [], keys: [String] = ["K1"]
  ) throws {
    stage = try RunTests.Stage(venue + Self.feeds, keys: keys)
    root = stage.room.file("releases")
    try pack("v1", instruments, ["--binary", Self.apus])
    try run("release", "use", root, "v1")
    try startIncumbent()
  }

  var room: Room { stage.room }

  /// Recorded markets of both instruments, which lie beside the project and are not part of it, or where APUS_MARKET_DATA says;
  /// without them the market is made up.
  static let feeds: [String] = {
    let directory = ProcessInfo.processInfo.environment["APUS_MARKET_DATA"] ?? Places.package + "/../shared/market-data"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    print("rollouts on a market that is \(names.isEmpty ? "made up: no recording in \(directory)" : "recorded")")
    return names.filter { $0.contains("btcusdt") || $0.contains("ethusdt") }.sorted().flatMap { ["--feed", "\(directory)/\($0)"] }
  }()

  /// Two instruments with small ladders.
  static func instruments(
    halfSpread: String = "1", size: String = "0.02", bitcoinPosition: String = "0.5", ethereumPosition: String = "5"
  ) -> String {
    """
    instruments:
      - name: BTC-PERPETUAL
        ladder: {levels: 2, half_spread_bps: \(halfSpread), step_ticks: 2, size: \(size), skew_bps: 1.0}
        limits: {max_position: \(bitcoinPosition), max_order: 0.1, max_notional: 20000, collar_bps: 100, max_orders: 12}
      - name: ETH-PERPETUAL
        ladder: {levels: 2, half_spread_bps: \(halfSpread), step_ticks: 2, size: 0.2, skew_bps: 1.0}
        limits: {max_position: \(ethereumPosition), max_order: 1, max_notional: 20000, collar_bps: 100, max_orders: 12}
    """
  }

  @discardableResult
  func run(_ arguments: String..., code: Int32 = 0, sourceLocation: SourceLocation = #_sourceLocation) throws -> Program {
    let program = try Program("apus", arguments)
    #expect(program.wait() == code, "\(program.err)\(program.out)", sourceLocation: sourceLocation)
    return program
  }

  /// A release of the root; its program is that of `v1` unless another one is given.
  func pack(_ name: String, _ instruments: String, _ options: [String] = ["--base", "v1"], more: String = "", key: String = "K1")
    throws
  {
    let packer = try packer(name, instruments, options, more: more, key: key)
    #expect(packer.wait() == 0, "\(packer.err)")
  }

  func packer(
    _ name: String, _ instruments: String, _ options: [String] = ["--base", "v1"], more: String = "", key: String = "K1"
  ) throws -> Program {
    try room.write(
      """
      engine:
        name: desk
        core: none
        idle: park
        data_directory: \(room.file("data"))
      venue:
        url: \(stage.url)
        key_id: \(key)
        private_key_file: \(room.file("key.pem"))
      \(more)\(instruments)
      """, to: "\(name).yaml")
    return try Program(
      "apus", ["release", "pack", "--config", room.file("\(name).yaml"), "--name", name, "--to", root] + options)
  }

  /// A release whose program has a fault of `faults.c`.
  func packFault(_ fault: String, as name: String, after seconds: Double = 3, key: String = "K1") throws {
    let library = room.file("faults.so")
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("faults.c").path
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    compiler.arguments = ["clang", "-O1", "-shared", "-fPIC", "-o", library, source, "-lpthread", "-ldl"]
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0)
    try room.write(
      """
      #!/bin/sh
      export APUS_TEST_FAULT=\(fault) APUS_TEST_FAULT_AFTER=\(seconds) LD_PRELOAD=\(library)
      exec \(root)/v1/apus "$@"

      """, to: "bad-apus", mode: 0o755)
    try pack(name, Self.instruments(), ["--binary", room.file("bad-apus")], key: key)
  }

  func startIncumbent(_ name: String = "v1") throws {
    let program = try Program("env", [], shell: "exec \(root)/\(name)/apus run --config \(root)/\(name)/config.yaml --quiet")
    incumbent = program
    #expect(wait { self.lane("data")?.state == .quoting })
  }

  func lane(_ data: String) -> LaneSnapshot? {
    (try? TelemetryReader(path: room.file("\(data)/telemetry")))?.snapshot().lanes.first
  }

  func wait(_ seconds: Double = 30, until isSo: () -> Bool) -> Bool {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
      if isSo() { return true }
      usleep(20_000)
    }
    return false
  }

  /// A plan of two steps of this length whose gates bear a machine with much else to do.
  func plan(seconds: Int = 3, _ more: String = "", heartbeat: Int = 5000, stops: String = "at_limit_s: 0") throws -> String {
    try room.write(
      """
      steps:
        - {instruments: 1, at_least_s: \(seconds)}
        - {instruments: 100%, at_least_s: \(seconds)}
      gates: {slice_s: 1, span_ratio: 100, confidence: 0.95, memory_growth_kb_s: 2000, markout_bps: 100, profit_bps: 1000}
      stops: {heartbeat_ms: \(heartbeat), \(stops)}
      \(more)
      """, to: "plan.yaml")
    return room.file("plan.yaml")
  }

  /// - Parameter shell: Behind the command, such as ` | head -n 1`.
  func rollout(_ candidate: String, _ plan: String, _ options: [String] = [], shell: String? = nil) throws -> Program {
    let words = ["rollout", "--candidate", "\(root)/\(candidate)", "--plan", plan] + options
    guard let shell else { return try Program("apus", words) }
    return try Program("env", [], shell: "'\(Self.apus)' \(words.map { "'\($0)'" }.joined(separator: " "))\(shell); exit")
  }

  /// The report of the last rollout.
  func report() throws -> [String: Any] {
    let directory = "\(root)/rollout/reports"
    let names = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".json") }
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(try #require(names.max()))"))
    return try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
  }

  var current: String { (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(root)/current")) ?? "" }

  /// A plan of two steps by size, for accounts of their own.
  func sizePlan(seconds: Int = 3, last: Int = 3) throws -> String {
    let path = try plan(seconds: seconds)
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try room.write(
      text.replacing("instruments: 1,", with: "size: 0.5,")
        .replacing("instruments: 100%, at_least_s: \(seconds)", with: "size: 1, at_least_s: \(last)"), to: "sizes.yaml")
    return room.file("sizes.yaml")
  }

  /// Ends the engine that runs with a data directory, and expects the venue's books to be its own: positions, and no order.
  /// Other accounts have nothing.
  func expectEqualBooks(_ data: String = "data", account: String = "A1", sourceLocation: SourceLocation = #_sourceLocation) throws {
    let other = data == "data" ? "data-b" : "data"
    #expect(
      (try? TelemetryReader(path: room.file("\(other)/telemetry")))?.isWriterAlive ?? false == false, "the other engine runs",
      sourceLocation: sourceLocation)
    let reader = try TelemetryReader(path: room.file("\(data)/telemetry"))
    kill(pid_t(reader.snapshot().processID), SIGTERM)
    #expect(wait { !reader.isWriterAlive }, "it did not end", sourceLocation: sourceLocation)
    let held = reader.snapshot().lanes.flatMap(\.instruments).map { ($0.name, $0.position?.rawValue) }
    let accounts = try stage.books()
    #expect(!accounts.isEmpty, sourceLocation: sourceLocation)
    for books in accounts {
      let open = books["openOrders"] as? [Any] ?? []
      #expect(open.isEmpty, "orders are left: \(open)", sourceLocation: sourceLocation)
      let positions = books["positions"] as? [[String: Any]] ?? []
      let isOther = books["account"] as? String != account
      for (name, lots) in held {
        let stated = positions.first { $0["instrument"] as? String == name }?["lots"] as? Int ?? 0
        #expect(isOther ? stated == 0 : Int(lots ?? .max) == stated, "\(name): \(books)", sourceLocation: sourceLocation)
      }
    }
  }
}

/// Looks all the time whether what both engines of a rollout may reach together stays within the limit of one.
///
/// The candidate is read first: what it has by then, the incumbent has given up before.
final class CommonExposure: Sendable {
  private struct Seen {
    var isEnded = false
    var looks = 0
    /// In which both could trade something.
    var shared = 0
    var breach: String?
  }
  private let seen = Mutex(Seen())
  private let done = DispatchSemaphore(value: 0)

  init(_ stage: RolloutStage) {
    let paths = ["data-b", "data"].map { stage.room.file("\($0)/telemetry") }
    let limits = stage.lane("data")?.instruments.map(\.limit.rawValue) ?? []
    Thread.detachNewThread { [self] in
      while !seen.withLock({ $0.isEnded }) {
        let engines = paths.map { (try? TelemetryReader(path: $0))?.snapshot().lanes.first?.instruments ?? [] }
        look(engines, limits)
        usleep(1000)
      }
      done.signal()
    }
  }

  private func look(_ engines: [[InstrumentSnapshot]], _ limits: [Int64]) {
    seen.withLock { seen in
      seen.looks += 1
      if engines.allSatisfy({ $0.contains { $0.worstLong > .zero || $0.worstShort > .zero } }) { seen.shared += 1 }
      for (index, limit) in limits.enumerated() {
        for (side, worst) in [("long", \InstrumentSnapshot.worstLong), ("short", \.worstShort)] {
          let parts = engines.map { $0.indices.contains(index) ? max(0, $0[index][keyPath: worst].rawValue) : 0 }
          guard parts.reduce(0, +) > limit, seen.breach == nil else { continue }
          seen.breach = "\(index) \(side): \(parts) with a limit of \(limit)"
        }
      }
    }
  }

  func end() -> (looks: Int, shared: Int, breach: String?) {
    seen.withLock { $0.isEnded = true }
    done.wait()
    return seen.withLock { ($0.looks, $0.shared, $0.breach) }
  }
}
