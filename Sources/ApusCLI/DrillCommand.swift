import Apus
import ArgumentParser
import CSupport
import Foundation

struct DrillCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drill",
    abstract: "Prove the watchdog and cancel-on-disconnect: stall an engine and time until nothing of it rests.",
    discussion: """
      First kind: the lane's thread is made to sleep while it quotes; its watchdog has to pull the quotes. Second kind: \
      the whole process is stopped (SIGSTOP); the venue's dead-man timer has to. An observer with a connection of its own \
      asks the venue until no order of the engine rests, and the times are printed as a histogram. Without --config it \
      runs on a simulated venue of its own; with it, on the venue of that file, with real orders: use a test network and \
      small sizes, and stop any engine of that name first. Exit codes: 0 flat in time in each round; 75 not; others as for `apus run`.
      """)

  @Option(name: .customLong("config"), help: "Drill on the venue of this configuration.", completion: .file())
  var configPath: String?

  @Option(help: "Rounds in which the lane's thread is stopped, 0 to 1000.")
  var laneRounds = 10

  @Option(
    help: "Rounds in which the whole process is stopped, 0 to 100; each takes the dead-man timer and a reconnect.")
  var processRounds = 3

  @OptionGroup var confirmation: ProductionConfirmation

  func validate() throws {
    guard (0...1000).contains(laneRounds) else { throw ValidationError("--lane-rounds must be from 0 to 1000") }
    guard (0...100).contains(processRounds) else { throw ValidationError("--process-rounds must be from 0 to 100") }
  }

  @MainActor func run() async throws {
    let room = "\(NSTemporaryDirectory())/apus-drill-\(getpid())"
    do {
      try FileManager.default.createDirectory(
        atPath: room, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw Exit.fail(Exit.system, "cannot make the directory \(room): \(error.localizedDescription)")
    }
    defer { try? FileManager.default.removeItem(atPath: room) }
    var venue: ChildProcess?
    defer {
      venue?.terminate()
      _ = venue?.wait(seconds: 5)
    }
    let path: String
    if let configPath {
      path = configPath
    } else {
      (venue, path) = try startVenue(room)
    }
    let configuration: Configuration
    do {
      configuration = try ConfigurationFile.load(path: path)
    } catch {
      throw Exit.fail(Exit.configuration, "\(error)")
    }
    try confirmation.check(configuration)
    do {
      try drill(configuration, path)
    } catch let error as EngineError {
      throw Exit.fail(Exit.code(of: error.kind), error.description)
    }
  }

  private func drill(_ configuration: Configuration, _ path: String) throws {
    let observer = try VenueObserver(configuration)
    var isGood = true
    if laneRounds > 0, !configuration.watchdog.enabled {
      say("watchdog.enabled is false: the rounds that stop the lane are left out")
    } else if laneRounds > 0 {
      let limit = Double(configuration.watchdog.stallMs) / 1000 + 1
      let times = try LaneDrill(configuration, observer, limit: limit).run(rounds: laneRounds)
      say(
        DrillTable.text(
          "lane stopped, watchdog.stall_ms \(configuration.watchdog.stallMs)", times, rounds: laneRounds, limit: limit))
      isGood = isGood && times.count == laneRounds && times.allSatisfy { $0 <= limit }
    }
    if processRounds > 0 {
      let limit = Double(configuration.venue.cancelOnDisconnectSeconds) + 2
      let times = try ProcessDrill(path, confirmation.arguments, observer, limit: limit).run(rounds: processRounds)
      say(
        DrillTable.text(
          "process stopped, cancel_on_disconnect_seconds \(configuration.venue.cancelOnDisconnectSeconds)", times,
          rounds: processRounds, limit: limit))
      isGood = isGood && times.count == processRounds && times.allSatisfy { $0 <= limit }
    }
    guard isGood else { throw Exit.fail(Exit.unverified, "not flat in time in every round") }
  }

  private func startVenue(_ room: String) throws -> (ChildProcess, String) {
    let key = try SigningKey.generate()
    try Data(key.publicPEM().utf8).write(to: URL(fileURLWithPath: "\(room)/public.pem"))
    let pem = try key.withPrivatePEM { [UInt8]($0) }
    try writeFile(pem, to: "\(room)/key.pem", mode: 0o600)
    let venue = try ChildProcess(
      "the venue",
      arguments: ["venue", "--port", "0", "--key", "drill=\(room)/public.pem", "--die-with-parent"])
    guard let line = venue.waitForLine(prefix: "listening on ") else {
      throw Exit.fail(Exit.system, "the venue did not start; its own message is above")
    }
    venue.watchOutput()
    let instrument = InstrumentSection(
      name: "BTC-PERPETUAL",
      ladder: LadderSection(
        levels: 3, halfSpreadBps: DecimalE8(e8: 30_000_000), stepTicks: 2, size: DecimalE8(e8: 2_000_000),
        skewBps: DecimalE8(e8: 150_000_000)),
      limits: LimitsSection(
        maxPosition: .one, maxOrder: DecimalE8(e8: 10_000_000), maxNotional: DecimalE8(e8: 20_000 * 100_000_000),
        collarBps: DecimalE8(e8: 100 * 100_000_000), maxOrders: 12))
    let configuration = Configuration(
      engine: EngineSection(name: "drill", core: .none, idle: .park, dataDirectory: "\(room)/data", journal: false),
      venue: VenueSection(
        url: String(line.dropFirst("listening on ".count)), keyID: "drill", privateKeyFile: "\(room)/key.pem"),
      instruments: [instrument], watchdog: WatchdogSection(stallMs: 500))
    let path = "\(room)/drill.yaml"
    try Data(ConfigurationFile.text(of: configuration).utf8).write(to: URL(fileURLWithPath: path))
    return (venue, path)
  }
}

/// Waits and times; what both kinds of drills share.
private struct DrillClock {
  let observer: VenueObserver
  /// A round that takes longer has failed; it is waited for a little longer, to say by how much.
  let limit: Double

  func waitUntilQuoting(seconds: Double) -> Bool {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
      // Its first order may be alone; a moment later both sides stand.
      if let count = observer.resting(within: 2), count > 0 {
        usleep(1_000_000)
        if let count = observer.resting(within: 2), count > 1 { return true }
      }
      usleep(20_000)
    }
    return false
  }

  /// Seconds until the venue says that nothing rests; `nil` if that takes too long.
  func timeUntilFlat() -> Double? {
    let start = EngineClock.now()
    while true {
      let asked = EngineClock.now()
      let count = observer.resting(within: 1)
      let passed = Double(EngineClock.now() - start) / 1e9
      if count == 0 { return passed }
      if passed > 2 * limit + 5 { return nil }
      // 200 questions a second are enough.
      let rest = 5_000_000 - (EngineClock.now() - asked)
      if rest > 0 { usleep(useconds_t(rest / 1000)) }
    }
  }
}

/// The engine runs in this process, so that its lane can be made to sleep.
private struct LaneDrill {
  private let clock: DrillClock
  private let engine: Engine
  private let stall: Double

  init(_ configuration: Configuration, _ observer: VenueObserver, limit: Double) {
    clock = DrillClock(observer: observer, limit: limit)
    engine = Engine(configuration)
    stall = Double(configuration.watchdog.stallMs) / 1000 + 2
  }

  private final class Outcome: @unchecked Sendable {
    // Sendable: a lock guards the only field.
    private let lock = NSLock()
    private var error: EngineError?
    func fail(_ value: EngineError) { lock.withLock { error = value } }
    var failure: EngineError? { lock.withLock { error } }
  }

  func run(rounds: Int) throws -> [Double] {
    let engine = engine
    let outcome = Outcome()
    let ended = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      do throws(EngineError) { _ = try engine.run() } catch { outcome.fail(error) }
      ended.signal()
    }
    defer {
      engine.requestStop()
      ended.wait()
    }
    var times: [Double] = []
    for round in 0..<rounds {
      guard clock.waitUntilQuoting(seconds: 20) else {
        throw outcome.failure ?? EngineError(.unreachable, "the engine did not quote within 20 s in round \(round + 1)")
      }
      waitForWatchdog()
      engine.stallLane(seconds: stall)
      if let time = clock.timeUntilFlat() { times.append(time) }
      waitForHalt()
      engine.resume()
    }
    return times
  }

  /// Its connection is made once the lane's stands.
  private func waitForWatchdog() {
    let deadline = Date().addingTimeInterval(10)
    while Date() < deadline {
      let lanes = (try? TelemetryReader(path: engine.telemetryPath))?.snapshot().lanes ?? []
      if lanes.first?.watchdog?.state == .watching { return }
      usleep(10_000)
    }
  }

  /// Until the lane has woken up, and has cancelled and verified by itself what the watchdog's latch asks for.
  private func waitForHalt() {
    let deadline = Date().addingTimeInterval(stall + 10)
    while Date() < deadline {
      let lanes = (try? TelemetryReader(path: engine.telemetryPath))?.snapshot().lanes ?? []
      if lanes.first?.halt?.outcome == .verified { return }
      usleep(10_000)
    }
  }
}

/// The engine is a process of its own that is stopped and continued.
private struct ProcessDrill {
  private let clock: DrillClock
  private let path: String
  private let confirmation: [String]

  init(_ path: String, _ confirmation: [String], _ observer: VenueObserver, limit: Double) {
    clock = DrillClock(observer: observer, limit: limit)
    self.path = path
    self.confirmation = confirmation
  }

  func run(rounds: Int) throws -> [Double] {
    let engine = try ChildProcess(
      "the engine", arguments: ["run", "--config", path, "--quiet", "--die-with-parent"] + confirmation)
    defer {
      engine.signal(SIGCONT)
      engine.terminate()
      _ = engine.wait(seconds: 30)
    }
    engine.watchOutput()
    var times: [Double] = []
    for round in 0..<rounds {
      guard clock.waitUntilQuoting(seconds: 30) else {
        throw EngineError(.unreachable, "the engine did not quote within 30 s in round \(round + 1)")
      }
      engine.signal(SIGSTOP)
      if let time = clock.timeUntilFlat() { times.append(time) }
      engine.signal(SIGCONT)
    }
    return times
  }
}

/// Times as a histogram for a terminal.
enum DrillTable {
  static func text(_ title: String, _ times: [Double], rounds: Int, limit: Double) -> String {
    var lines = ["time until nothing rests: \(title); \(times.count) of \(rounds) rounds ended flat"]
    guard let least = times.min(), let most = times.max() else { return lines[0] }
    let sorted = times.sorted()
    func show(_ seconds: Double) -> String { String(format: "%.0f ms", seconds * 1000) }
    lines.append(
      "  least \(show(least)), median \(show(sorted[sorted.count / 2])), most \(show(most)); limit \(show(limit))")
    // Up to ten bins of a round width.
    let width = step((most - least) / 10)
    let first = (least / width).rounded(.down)
    var counts: [Int] = []
    for time in times {
      let bin = Int((time / width).rounded(.down) - first)
      while counts.count <= bin { counts.append(0) }
      counts[bin] += 1
    }
    let largest = counts.max() ?? 1
    for (bin, count) in counts.enumerated() {
      let from = (first + Double(bin)) * width
      let bar = String(repeating: "#", count: (count * 40 + largest - 1) / largest)
      lines.append("  \(padded(show(from))) to \(padded(show(from + width)))  \(padded("\(count)", 4))  \(bar)")
    }
    return lines.joined(separator: "\n")
  }

  /// The next of 1, 2, 5 times a power of ten milliseconds.
  static func step(_ width: Double) -> Double {
    var unit = 0.001
    while true {
      for factor in [1.0, 2, 5] where unit * factor >= width { return unit * factor }
      unit *= 10
    }
  }

  private static func padded(_ text: String, _ width: Int = 8) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
