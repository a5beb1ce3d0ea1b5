import Apus
import ApusExchange
import ArgumentParser
import CSupport
import Foundation

struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Watch the engine quote on a simulated venue: two processes on this machine.",
    discussion: """
      Starts `apus venue` and `apus run` with a key and a configuration made for the occasion, shows a live table, \
      and at the end compares the engine's orders, position, fills and fees with the venue's own books. Ctrl-C \
      ends it at any moment with the report. Exit codes: 0 the books are equal; 1 they differ; 66 the feed cannot be \
      read; others as for `apus run`.
      """)

  @Option(help: "End after this many seconds. Default: at the end of the feed, or at Ctrl-C.")
  var seconds: Double?

  @Option(
    help: "Recorded market data for the venue (collector format, .gz or plain). Default: a synthetic market.",
    completion: .file())
  var feed: String?

  @Option(help: "How much faster than real time the market moves, 0.001 to 1000.")
  var speed: Double = 1

  @Option(help: "Seed of the synthetic market and of the venue's delays.")
  var seed: UInt64 = 1

  @Flag(help: "Use TLS 1.3 between engine and venue.")
  var tls = false

  @Flag(help: "Replace whole sides by mass quotes instead of order by order.")
  var massQuotes = false

  @Option(
    help: "What the sockets of both go through: auto takes io_uring, or epoll where the system does not allow it.")
  var driver = DriverChoice.automatic

  @Option(help: "Also write the report as JSON to this file.", completion: .file())
  var report: String?

  @Option(
    help: "Keep configuration, key, journal, telemetry and books in this directory. Default: a temporary one.",
    completion: .directory)
  var directory: String?

  @Option(
    help: ArgumentHelp(
      "Keep when the engine's ticks took longer than this, in data/slow-ticks.csv of --directory, for tools/profile.",
      valueName: "microseconds"))
  var slowTicksAbove: SlowTickArgument?

  func validate() throws {
    if slowTicksAbove != nil, directory == nil {
      throw ValidationError("--slow-ticks-above needs --directory: that is where the file stays")
    }
    if let seconds, !(seconds > 0) { throw ValidationError("--seconds must be above 0") }
    guard speed >= 0.001, speed <= 1000 else { throw ValidationError("--speed must be from 0.001 to 1000") }
  }

  @MainActor func run() async throws {
    if let feed, access(feed, R_OK) != 0 {
      throw Exit.fail(
        ExitCode(66), "cannot read the feed \(feed): \(String(cString: strerror(errno))); give the path of a recording")
    }
    let stopping = StopFlag()
    do {
      try SignalWatcher.start { stopping.set() }
    } catch {
      throw Exit.fail(Exit.system, "\(error)")
    }

    if driver == .automatic, let refusal = (try? SocketDriver())?.refusal { say("apus: \(refusal)") }
    let room = try WorkingDirectory.make(directory, prefix: "apus-demo")
    defer { if directory == nil { try? FileManager.default.removeItem(atPath: room) } }
    do {
      try perform(in: room, stopping)
    } catch let code as ExitCode {
      throw code
    } catch {
      throw Exit.fail(Exit.system, "\(error)")
    }
  }

  private func perform(in room: String, _ stopping: StopFlag) throws {
    let key = try SigningKey.generate()
    try Data(key.publicPEM().utf8).write(to: URL(fileURLWithPath: "\(room)/public.pem"))
    try writeSecret(key, to: "\(room)/key.pem")

    let books = "\(room)/venue-books.json"
    let engineReport = "\(room)/engine-report.json"
    for stale in [books, engineReport, "\(room)/data/slow-ticks.csv"] { unlink(stale) }
    let venue = try ChildProcess("the venue", arguments: venueArguments(room, books))
    defer { venue.terminate() }
    guard let line = venue.waitForLine(prefix: "listening on ") else {
      let code = venue.wait(seconds: 2)
      throw Exit.fail(
        ExitCode(code == 0 ? Exit.system.rawValue : code),
        "the venue did not start (exit code \(code)); its own message is above")
    }
    // At the end of a recording the engine stops first, while the venue still answers.
    venue.watchOutput { if $0 == VenueCommand.endOfFeed { stopping.set() } }

    let configuration = demoConfiguration(url: String(line.dropFirst("listening on ".count)), room: room)
    let configPath = "\(room)/demo.yaml"
    try Data(ConfigurationFile.text(of: configuration).utf8).write(to: URL(fileURLWithPath: configPath))
    let engine = try ChildProcess(
      "the engine",
      arguments: ["run", "--config", configPath, "--report", engineReport, "--quiet", "--die-with-parent"]
        + (slowTicksAbove.map { ["--slow-ticks-above", "\($0.microseconds)"] } ?? []))
    defer { engine.terminate() }
    engine.watchOutput()

    watch(
      engine, venue, telemetry: "\(room)/data/telemetry", limit: configuration.instruments[0].limits.maxPosition,
      stopping)
    engine.terminate()
    let engineCode = engine.wait(seconds: 30)
    venue.terminate()
    let venueCode = venue.wait(seconds: 10)
    guard FileManager.default.fileExists(atPath: engineReport) else {
      throw Exit.fail(
        ExitCode(engineCode == 0 ? Exit.system.rawValue : engineCode),
        "the engine ended without a report (exit code \(engineCode)); its own message is above")
    }
    try conclude(room, engineReport: engineReport, books: books, engineCode: engineCode, venueCode: venueCode)
  }

  private func venueArguments(_ room: String, _ books: String) -> [String] {
    var arguments = [
      "venue", "--port", "0", "--seed", "\(seed)", "--speed", "\(speed)", "--key", "demo=\(room)/public.pem",
      "--books", books, "--wait-for-client", "--die-with-parent", "--driver", driver.rawValue,
    ]
    if let cores = try? CPU.allowedCores(), cores.count >= 2 { arguments += ["--core", "\(cores[0])"] }
    if let feed { arguments += ["--feed", feed] }
    if tls { arguments += ["--tls", "--write-certificate", "\(room)/certificate.pem"] }
    return arguments
  }

  private var isEther: Bool {
    feed.map { URL(fileURLWithPath: $0).lastPathComponent.lowercased().contains("ethusdt") } ?? false
  }

  /// The demo's configuration: written to a file and read back by `apus run` like anybody's.
  private func demoConfiguration(url: String, room: String) -> Configuration {
    let size = DecimalE8(e8: isEther ? 50_000_000 : 2_000_000)
    let instrument = InstrumentSection(
      name: isEther ? "ETH-PERPETUAL" : "BTC-PERPETUAL",
      ladder: LadderSection(
        levels: 3, halfSpreadBps: DecimalE8(e8: 30_000_000), stepTicks: 2, size: size,
        skewBps: DecimalE8(e8: 150_000_000), keepWithinTicks: 1, keepSize: DecimalE8(e8: 40_000_000)),
      limits: LimitsSection(
        maxPosition: DecimalE8(e8: size.e8 * 50), maxOrder: DecimalE8(e8: size.e8 * 5),
        maxNotional: DecimalE8(e8: 20_000 * 100_000_000), collarBps: DecimalE8(e8: 100 * 100_000_000), maxOrders: 12),
      massQuotes: massQuotes)
    return Configuration(
      engine: EngineSection(
        name: "demo", core: .automatic, idle: coreCount >= 2 ? .spin : .park, driver: driver,
        // A profiler attaches to the engine; its key is good for this demonstration only.
        dataDirectory: "\(room)/data", coreDumps: slowTicksAbove != nil),
      venue: VenueSection(
        url: url, keyID: "demo", privateKeyFile: "\(room)/key.pem", caFile: tls ? "\(room)/certificate.pem" : nil),
      instruments: [instrument], safety: safety)
  }

  /// A recording's trades come as they came, whatever our quotes do: they are not flow that has found us.
  private var safety: SafetySection {
    var safety = SafetySection().scaled(toSpeed: speed)
    if feed != nil { safety.toxicFills = 0 }
    return safety
  }

  private var coreCount: Int { (try? CPU.allowedCores())?.count ?? 1 }

  private func writeSecret(_ key: SigningKey, to path: String) throws {
    unlink(path)
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard file >= 0 else {
      throw Exit.fail(Exit.system, "cannot write \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(file) }
    let written = try key.withPrivatePEM { write(file, $0.baseAddress, $0.count) == $0.count }
    guard written else { throw Exit.fail(Exit.system, "cannot write \(path): \(String(cString: strerror(errno)))") }
  }

  /// Shows the table until the end of time, of the feed, of a process, or of the user's patience.
  private func watch(
    _ engine: ChildProcess, _ venue: ChildProcess, telemetry path: String, limit: DecimalE8, _ stopping: StopFlag
  ) {
    var table = DemoTable()
    let start = Date()
    var next = 1.0
    while !stopping.isSet, engine.poll() == nil, venue.poll() == nil {
      let elapsed = Date().timeIntervalSince(start)
      if let seconds, elapsed >= seconds { return }
      if elapsed >= next {
        next += 1
        // Opened each time: the file appears when the engine is up.
        if let reader = try? TelemetryReader(path: path) {
          let latency = reader.withSpan(lane: 0, .tickToOrder) { memory -> (p50: Nanoseconds, p99: Nanoseconds)? in
            guard let start = memory.baseAddress, memory.count >= LatencyHistogram.byteCount else { return nil }
            let histogram = start.assumingMemoryBound(to: apus_histogram.self)
            guard LatencyHistogram.count(of: histogram) > 0 else { return nil }
            return (LatencyHistogram.percentile(50, of: histogram), LatencyHistogram.percentile(99, of: histogram))
          }
          table.draw(reader.snapshot(), latency: latency ?? nil, elapsed: elapsed, limitE8: limit.e8)
        }
      }
      usleep(20_000)
    }
  }

  private func conclude(
    _ room: String, engineReport: String, books: String, engineCode: Int32, venueCode: Int32
  ) throws {
    let engine = try EngineReport(json: Data(contentsOf: URL(fileURLWithPath: engineReport)))
    guard let data = try? Data(contentsOf: URL(fileURLWithPath: books)) else {
      throw Exit.fail(
        Exit.booksDiffer, "the venue ended without writing its books (exit code \(venueCode)): nothing to compare with")
    }
    let accounts = try JSONDecoder().decode([AccountBooks].self, from: data)
    let result = DemoReport(engine: engine, venue: accounts.first)
    say("")
    say(engine.text)
    say("")
    say(result.comparisonText)
    if let slowTicksAbove {
      let path = "\(room)/data/slow-ticks.csv"
      let isThere = FileManager.default.fileExists(atPath: path)
      say(
        "\n" + (isThere ? "" : "not written: ")
          + "when ticks took longer than \(slowTicksAbove.microseconds) µs: \(path)")
    }
    if let report {
      do {
        try result.json().write(to: URL(fileURLWithPath: report), options: .atomic)
      } catch {
        throw Exit.fail(Exit.system, "could not write the report to \(report): \(error.localizedDescription)")
      }
    }
    guard result.booksEqual else { throw Exit.booksDiffer }
  }
}

/// Set once, by a signal.
final class StopFlag: @unchecked Sendable {
  // Sendable: a lock guards the only field.
  private let lock = NSLock()
  private var value = false
  func set() { lock.withLock { value = true } }
  var isSet: Bool { lock.withLock { value } }
}
