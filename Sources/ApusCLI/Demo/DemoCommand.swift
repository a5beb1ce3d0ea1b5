import Apus
import ApusExchange
import ArgumentParser
import CSupport
import Foundation

struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Watch the engine quote on simulated venues: two or more processes on this machine.",
    discussion: """
      With --venues thalex,bybit,deribit it quotes BTC on all of them, keeps one position over all, and closes at Deribit \
      what is filled. Starts `apus venue` (for each venue) and `apus run` with a key and a configuration made for the occasion, shows a live table, \
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

  @Option(
    help: ArgumentHelp(
      "The venues to quote on: thalex, deribit, bybit, or several with commas between them.", valueName: "names"))
  var venues = VenueList([.thalex])

  @Option(
    help: ArgumentHelp("Requests about orders a second that each venue grants, 1 to 100000.", valueName: "n"))
  var orderRate = 50

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
    try TimeLimit.check(seconds, "--seconds")
    if massQuotes, let venue = venues.kinds.first(where: { $0.massQuoteLevels == 0 }) {
      throw ValidationError(
        "--mass-quotes cannot be used with \(venue.rawValue): Apus sends it no mass quotes; leave it out of --venues")
    }
    guard (1...100_000).contains(orderRate) else { throw ValidationError("--order-rate must be from 1 to 100000") }
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
    let engineReport = "\(room)/engine-report.json"
    for stale in [engineReport, "\(room)/data/slow-ticks.csv"] { unlink(stale) }
    var running: [RunningVenue] = []
    defer { for venue in running { venue.process.terminate() } }
    for kind in venues.kinds { running.append(try start(kind, in: room, stopping)) }

    let configuration = demoConfiguration(running, room: room)
    let configPath = "\(room)/demo.yaml"
    try Data(ConfigurationFile.text(of: configuration).utf8).write(to: URL(fileURLWithPath: configPath))
    let engine = try ChildProcess(
      "the engine",
      arguments: ["run", "--config", configPath, "--report", engineReport, "--quiet", "--die-with-parent"]
        + (slowTicksAbove.map { ["--slow-ticks-above", "\($0.microseconds)"] } ?? []))
    defer { engine.terminate() }
    engine.watchOutput()

    watch(
      engine, running, telemetry: "\(room)/data/telemetry",
      limits: configuration.lanes.map { $0.instruments[0].limits.maxPosition }, stopping)
    engine.terminate()
    let engineCode = engine.wait(seconds: 30)
    let lost = running.filter { $0.process.poll() != nil }.map(\.kind)
    for venue in running { venue.process.terminate() }
    let venueCodes = running.map { $0.process.wait(seconds: 10) }
    guard FileManager.default.fileExists(atPath: engineReport) else {
      throw Exit.fail(
        ExitCode(engineCode == 0 ? Exit.system.rawValue : engineCode),
        "the engine ended without a report (exit code \(engineCode)); its own message is above")
    }
    try conclude(room, engineReport: engineReport, running, lost: lost, venueCodes: venueCodes)
  }

  /// A venue that is up, and where it leaves its books.
  private struct RunningVenue {
    var kind: VenueKind
    var process: ChildProcess
    var url: String
    /// Where questions go by HTTP, if that is not to be guessed.
    var restURL: String? {
      guard kind == .bybit, let host = url.split(separator: "/").dropFirst().first else { return nil }
      return "\(url.hasPrefix("wss") ? "https" : "http")://\(host)"
    }
    var books: String
    /// The file with the engine's key or secret.
    var secret: String
    var certificate: String
  }

  private func start(_ kind: VenueKind, in room: String, _ stopping: StopFlag) throws -> RunningVenue {
    let prefix = venues.kinds.count > 1 ? "\(kind.rawValue)-" : ""
    let books = "\(room)/\(prefix)venue-books.json"
    let secret = "\(room)/\(prefix)key.pem"
    let certificate = "\(room)/\(prefix)certificate.pem"
    unlink(books)
    var arguments = venueArguments(books)
    switch kind {
    case .thalex:
      let key = try SigningKey.generate()
      let publicKey = "\(room)/\(prefix)public.pem"
      try Data(key.publicPEM().utf8).write(to: URL(fileURLWithPath: publicKey))
      var pem: [UInt8] = []
      try key.withPrivatePEM { pem = Array($0) }
      defer { for index in pem.indices { pem[index] = 0 } }
      try pem.withUnsafeBytes { try writeSecret($0, to: secret) }
      arguments += ["--key", "demo=\(publicKey)", "--order-rate", "\(orderRate)"]
    case .deribit, .bybit:
      let random = (0..<40).map { _ in "abcdefghijkmnpqrstuvwxyz23456789".randomElement() ?? "a" }
      try Array(String(random).utf8).withUnsafeBytes { try writeSecret($0, to: secret) }
      arguments += ["--protocol", kind.rawValue, "--client", "demo=\(secret)", "--order-rate", "\(orderRate)"]
    }
    if tls { arguments += ["--tls", "--write-certificate", certificate] }
    let process = try ChildProcess("the venue", arguments: arguments)
    guard let line = process.waitForLine(prefix: "listening on ") else {
      let code = process.wait(seconds: 2)
      throw Exit.fail(
        ExitCode(code == 0 ? Exit.system.rawValue : code),
        "the venue did not start (exit code \(code)); its own message is above")
    }
    // At the end of a recording the engine stops first, while the venue still answers.
    process.watchOutput { if $0 == VenueCommand.endOfFeed { stopping.set() } }
    return RunningVenue(
      kind: kind, process: process, url: String(line.dropFirst("listening on ".count)), books: books, secret: secret,
      certificate: certificate)
  }

  private func venueArguments(_ books: String) -> [String] {
    var arguments = [
      "venue", "--port", "0", "--seed", "\(seed)", "--speed", "\(speed)", "--books", books, "--wait-for-client",
      "--die-with-parent", "--driver", driver.rawValue,
    ]
    if let cores = try? CPU.allowedCores(), cores.count >= 2 { arguments += ["--core", "\(cores[0])"] }
    if let feed { arguments += ["--feed", feed] }
    return arguments
  }

  private var isEther: Bool {
    feed.map { URL(fileURLWithPath: $0).lastPathComponent.lowercased().contains("ethusdt") } ?? false
  }

  /// The demo's configuration: written to a file and read back by `apus run` like anybody's.
  private func demoConfiguration(_ running: [RunningVenue], room: String) -> Configuration {
    let size = DecimalE8(e8: isEther ? 50_000_000 : 2_000_000)
    let coin = isEther ? "ETH" : "BTC"
    let entries = running.map { venue in
      let name =
        switch venue.kind {
        case .thalex: "\(coin)-PERPETUAL"
        // The contract that is counted in coins, as the others are.
        case .deribit: "\(coin)_USDC-PERPETUAL"
        case .bybit: "\(coin)USDT"
        }
      let instrument = InstrumentSection(
        name: name,
        ladder: LadderSection(
          levels: massQuotes ? min(3, venue.kind.massQuoteLevels) : 3, halfSpreadBps: DecimalE8(e8: 30_000_000), stepTicks: 2, size: size,
          skewBps: DecimalE8(e8: 150_000_000), keepWithinTicks: 1, keepSize: DecimalE8(e8: 40_000_000)),
        limits: LimitsSection(
          maxPosition: DecimalE8(e8: size.e8 * 50), maxOrder: DecimalE8(e8: size.e8 * 5),
          maxNotional: DecimalE8(e8: 20_000 * 100_000_000), collarBps: DecimalE8(e8: 100 * 100_000_000),
          maxOrders: 12),
        massQuotes: massQuotes)
      return Configuration.VenueEntry(
        venue: VenueSection(
          kind: venue.kind, url: venue.url, restURL: venue.restURL, keyID: "demo", privateKeyFile: venue.secret,
          caFile: tls ? venue.certificate : nil),
        instruments: [instrument])
    }
    var configuration = Configuration(
      engine: EngineSection(
        name: "demo", core: .automatic, idle: coreCount >= 2 ? .spin : .park, driver: driver,
        // A profiler attaches to the engine; its key is good for this demonstration only.
        dataDirectory: "\(room)/data", coreDumps: slowTicksAbove != nil),
      venue: entries[0].venue, instruments: entries[0].instruments, safety: safety,
      moreVenues: Array(entries.dropFirst()))
    if let deribit = entries.first(where: { $0.venue.kind == .deribit }), entries.count > 1 {
      configuration.underlyings = [
        UnderlyingSection(
          name: coin, maxPosition: DecimalE8(e8: size.e8 * 40), hedge: "deribit:\(deribit.instruments[0].name)",
          hedgeBand: DecimalE8(e8: size.e8 * 5))
      ]
    }
    return configuration
  }

  /// A recording's trades come as they came, whatever our quotes do: they are not flow that has found us.
  private var safety: SafetySection {
    var safety = SafetySection().scaled(toSpeed: speed)
    if feed != nil { safety.toxicFills = 0 }
    return safety
  }

  private var coreCount: Int { (try? CPU.allowedCores())?.count ?? 1 }

  private func writeSecret(_ secret: UnsafeRawBufferPointer, to path: String) throws {
    unlink(path)
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard file >= 0 else {
      throw Exit.fail(Exit.system, "cannot write \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(file) }
    guard write(file, secret.baseAddress, secret.count) == secret.count else {
      throw Exit.fail(Exit.system, "cannot write \(path): \(String(cString: strerror(errno)))")
    }
  }

  /// Shows the table until the end of time, of the feed, of the engine, of all venues, or of the user's patience.
  private func watch(
    _ engine: ChildProcess, _ venues: [RunningVenue], telemetry path: String, limits: [DecimalE8], _ stopping: StopFlag
  ) {
    var table = DemoTable()
    let start = Date()
    var next = 1.0
    var alive = venues
    while !stopping.isSet, engine.poll() == nil {
      for venue in alive {
        guard let code = venue.process.poll() else { continue }
        alive.removeAll { $0.kind == venue.kind }
        if !alive.isEmpty {
          say("\(venue.kind.rawValue): the venue has ended (exit code \(code)); the engine goes on at the others")
        }
      }
      if alive.isEmpty { return }
      let elapsed = Date().timeIntervalSince(start)
      if let seconds, elapsed >= seconds { return }
      if elapsed >= next {
        next += 1
        // Opened each time: the file appears when the engine is up.
        if let reader = try? TelemetryReader(path: path) {
          let latencies = limits.indices.map { lane in
            reader.withSpan(lane: lane, .tickToOrder) { memory -> (p50: Nanoseconds, p99: Nanoseconds)? in
              guard let start = memory.baseAddress, memory.count >= LatencyHistogram.byteCount else { return nil }
              let histogram = start.assumingMemoryBound(to: apus_histogram.self)
              guard LatencyHistogram.count(of: histogram) > 0 else { return nil }
              return (LatencyHistogram.percentile(50, of: histogram), LatencyHistogram.percentile(99, of: histogram))
            } ?? nil
          }
          table.draw(reader.snapshot(), latencies: latencies, elapsed: elapsed, limitsE8: limits.map(\.e8))
        }
      }
      usleep(20_000)
    }
  }

  private func conclude(
    _ room: String, engineReport: String, _ running: [RunningVenue], lost: [VenueKind], venueCodes: [Int32]
  ) throws {
    let engine = try EngineReport(json: Data(contentsOf: URL(fileURLWithPath: engineReport)))
    var accounts: [AccountBooks?] = []
    for (venue, code) in zip(running, venueCodes) {
      if running.count > 1, lost.contains(venue.kind) {
        accounts.append(nil)
        continue
      }
      guard let data = try? Data(contentsOf: URL(fileURLWithPath: venue.books)) else {
        throw Exit.fail(
          Exit.booksDiffer,
          "the venue \(venue.kind.rawValue) ended without writing its books (exit code \(code)): nothing to compare with"
        )
      }
      accounts.append(try JSONDecoder().decode([AccountBooks].self, from: data).first)
    }
    let names = running.count > 1 ? lost.map(\.rawValue) : []
    let result = DemoReport(engine: engine, venues: accounts, lost: names)
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
    guard names.isEmpty else {
      throw Exit.fail(
        Exit.booksDiffer,
        "the venue \(names.joined(separator: " and ")) ended early, and its books with it: it could not be compared")
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

/// Venues by name, with commas between them.
struct VenueList: ExpressibleByArgument {
  let kinds: [VenueKind]

  init(_ kinds: [VenueKind]) { self.kinds = kinds }

  init?(argument: String) {
    var kinds: [VenueKind] = []
    for name in argument.split(separator: ",") {
      guard let kind = VenueKind(rawValue: name.trimmingCharacters(in: .whitespaces)), !kinds.contains(kind) else {
        return nil
      }
      kinds.append(kind)
    }
    guard !kinds.isEmpty else { return nil }
    self.kinds = kinds
  }

  var defaultValueDescription: String { kinds.map(\.rawValue).joined(separator: ",") }
}
