import Apus
import ApusRollout
import ArgumentParser
import CSupport
import Foundation

/// The engine that `apus halt` and `apus resume` speak to.
struct EngineChoice: ParsableArguments {
  @Option(
    help: "The engine's telemetry file: DATA_DIRECTORY/telemetry. Default: the one of --config.", completion: .file())
  var telemetry: String?

  @Option(
    name: .customLong("config"), help: "The configuration file that the engine runs with.", completion: .file())
  var configPath: String?

  func validate() throws {
    if (telemetry == nil) == (configPath == nil) {
      throw ValidationError("name the engine with either --telemetry FILE or --config FILE")
    }
  }

  /// Looks which engines of the configuration run: a rollout moves from its data directory to the one beside it and back, and
  /// has both while it lasts. Without any, the configuration's own, and the one beside if it was ever used; never empty.
  func paths() throws -> @Sendable () -> [String] {
    if let telemetry { return { [telemetry] } }
    let slots = try slots()
    return {
      let taken = slots.filter(\.isTaken)
      return taken.isEmpty ? Self.used(slots) : taken.map(\.telemetryPath)
    }
  }

  /// Of engines that run, and of those that may be started any moment, as on the way back of a rollout.
  func usedPaths() throws -> [String] { try telemetry.map { [$0] } ?? Self.used(slots()) }

  private func slots() throws -> [EngineSlot] {
    do {
      return EngineSlot.all(try ConfigurationFile.load(path: configPath ?? ""))
    } catch {
      throw Exit.fail(Exit.configuration, "\(error)")
    }
  }

  private static func used(_ slots: [EngineSlot]) -> [String] {
    let paths = slots.map(\.telemetryPath)
    return [paths[0]] + paths.dropFirst().filter { FileManager.default.fileExists(atPath: $0) }
  }

  func reader(_ path: String) throws -> TelemetryReader {
    do {
      return try TelemetryReader(path: path)
    } catch {
      throw Exit.fail(Exit.system, "\(error)")
    }
  }
}

/// The levels that can be asked for, in the order of the ladder.
enum HaltLevel: String, CaseIterable, ExpressibleByArgument {
  case widen
  case noNew = "no-new"
  case cancel, flatten, disconnect

  var level: StopLevel {
    switch self {
    case .widen: .widen
    case .noNew: .noNewOrders
    case .cancel: .cancelAll
    case .flatten: .flatten
    case .disconnect: .disconnect
    }
  }
}

struct HaltCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "halt",
    abstract: "Halt a running engine: widen, no new orders, cancel all, flatten or disconnect.",
    discussion: """
      Writes the stop word of the engine's telemetry file, which works whether or not the engine's loop is healthy, and \
      waits for the lane's answer. A level includes the lower ones, but disconnect does not wait for a position to be \
      closed. Nothing but `apus resume` takes it back: it outlives reconnects and restarts. With --config, both engines of a \
      rollout are halted. flatten shows its plan and \
      asks first, unless --yes. Exit codes: 0 obeyed, and verified at the venue where the level asks for that; 75 not \
      verified in time, the request stays; 69 no engine is running or it does not answer, the request is kept for it; 71 \
      the file cannot be used; 1 not confirmed by the person who was asked.
      """)

  @Option(help: "widen, no-new, cancel, flatten or disconnect.")
  var level = HaltLevel.cancel

  @OptionGroup var engine: EngineChoice

  @Flag(name: [.short, .long], help: "Do not ask before flattening.")
  var yes = false

  @Option(help: "Who and why, for the file and the log of the engine; 119 bytes of it are kept.")
  var cause: String?

  @Option(help: "Seconds to wait for the venue's confirmation.")
  var wait: Double = 20

  func validate() throws {
    if !(wait >= 0 && wait <= 3600) { throw ValidationError("--wait must be from 0 to 3600") }
  }

  func run() throws {
    let paths = try engine.paths()()
    if level == .flatten {
      for path in paths {
        let reader = try engine.reader(path)
        say(FlattenText.plan(of: reader.snapshot(), isAlive: reader.isWriterAlive))
      }
      if !yes {
        guard isatty(STDIN_FILENO) == 1 else {
          throw Exit.fail(ExitCode(1), "nobody can be asked here; flatten with --yes")
        }
        FileHandle.standardOutput.write(Data("Close these positions now? Type yes: ".utf8))
        guard readLine()?.lowercased() == "yes" else {
          throw Exit.fail(ExitCode(1), "not confirmed; nothing was asked for")
        }
      }
    }
    // All of them first: one that does not answer must not hold up the others.
    var failure: (any Error)?
    var asked: [String] = []
    for path in paths {
      do {
        try TelemetryControl.requestStop(
          path: path, level: level.level, cause: word)
        asked.append(path)
      } catch {
        failure = Exit.fail(Exit.system, "\(error)")
      }
    }
    // One that is started meanwhile, as a rollout may, obeys from its beginning.
    for path in try engine.usedPaths() where !asked.contains(path) {
      guard let stop = (try? TelemetryReader(path: path))?.snapshot().stop, stop.level < level.level else { continue }
      try? TelemetryControl.requestStop(path: path, level: level.level, cause: word)
    }
    for path in asked {
      do { try wait(for: path) } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
  }

  private var word: String { cause ?? "apus halt --level \(level.rawValue), process \(getpid())" }

  private func wait(for path: String) throws {
    let reader = try engine.reader(path)
    guard reader.isWriterAlive else {
      throw Exit.fail(
        Exit.unreachable,
        "no engine writes \(path): the halt is kept there and obeyed by the next one that starts. Orders of one that has "
          + "died are cancelled by the venue's cancel-on-disconnect: look at the venue")
    }
    try HaltWait(reader: reader, level: level.level, seconds: wait).run()
  }
}

struct ResumeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume",
    abstract: "Re-arm an engine that was halted, by apus halt, a signal, a rule or its watchdog.",
    discussion: """
      Takes the stop word back and makes the engine let go of every latch. Loss, drawdown and pauses count anew from \
      here. Look at the cause first: one that still holds halts again. Exit codes: 0 the engine has re-armed; 69 no \
      engine is running or it does not answer, the stop word is taken back all the same; 71 the file cannot be used.
      """)

  @OptionGroup var engine: EngineChoice

  func run() throws {
    var failure: (any Error)?
    let (paths, used) = (try engine.paths()(), try engine.usedPaths())
    for path in paths {
      // What a rollout takes back, or has ended, stays halted beside the other engine.
      if used.count > 1, let stop = (try? TelemetryReader(path: path))?.snapshot().stop, stop.cause.hasPrefix("rollout: ") {
        say("\(path) stays halted (\(stop.cause)): that is for its rollout to take back; if none is under way, apus resume --telemetry \(path)")
        continue
      }
      do { try resume(path) } catch { failure = failure ?? error }
    }
    // `apus halt` reaches places in which nothing runs, too.
    for path in used where !paths.contains(path) {
      guard let stop = (try? TelemetryReader(path: path))?.snapshot().stop, !stop.cause.hasPrefix("rollout: ") else { continue }
      try? TelemetryControl.clearStop(path: path)
    }
    if let failure { throw failure }
  }

  private func resume(_ path: String) throws {
    let reader = try engine.reader(path)
    for lane in reader.snapshot().lanes {
      guard let halt = lane.halt, halt.level > .none else { continue }
      say("\(lane.name): was \(halt.level.text), because of \(halt.cause)")
    }
    do {
      try TelemetryControl.clearStop(path: path)
    } catch {
      throw Exit.fail(Exit.system, "\(error)")
    }
    guard reader.isWriterAlive else {
      throw Exit.fail(Exit.unreachable, "no engine writes \(path); the next one that starts is not halted")
    }
    let wanted = reader.snapshot().stop.rearmCount
    let deadline = Date().addingTimeInterval(3)
    while true {
      let lanes = reader.snapshot().lanes.filter { $0.state != .stopped }
      if !lanes.isEmpty, lanes.allSatisfy({ $0.halt.map { $0.rearmCount == wanted } ?? false }) {
        for lane in lanes {
          let level = lane.halt?.level ?? .none
          say(
            "\(lane.name): re-armed; \(level == .none ? "no level is in force" : "still \(level.text): \(lane.halt?.cause ?? "")")"
          )
        }
        return
      }
      guard Date() < deadline else {
        throw Exit.fail(Exit.unreachable, "the engine does not answer; it re-arms when it does")
      }
      usleep(20_000)
    }
  }
}

/// Waits until every lane has done what was asked, and says how that goes.
struct HaltWait: ~Copyable {
  let reader: TelemetryReader
  let level: StopLevel
  let seconds: Double

  init(reader: consuming TelemetryReader, level: StopLevel, seconds: Double) {
    self.reader = reader
    self.level = level
    self.seconds = seconds
  }

  /// A lane that has not answered for this long does not answer.
  private static let patience = 2.0

  func run() throws {
    let start = Date()
    var shown: [Int: String] = [:]
    var hasWarned = false
    while true {
      let snapshot = reader.snapshot()
      let lanes = snapshot.lanes.filter { $0.state != .stopped }
      var done = true
      var answered = true
      for lane in lanes {
        let line = text(of: lane)
        if shown[lane.index] != line, hasAnswered(lane) { say("\(lane.name): \(line)") }
        shown[lane.index] = line
        if !hasAnswered(lane) { answered = false }
        if !isDone(lane) { done = false }
      }
      if done {
        if lanes.isEmpty { say("no lane is running") }
        return
      }
      let waited = Date().timeIntervalSince(start)
      if !answered, waited > Self.patience, !hasWarned {
        hasWarned = true
        for lane in lanes where !hasAnswered(lane) { say("\(lane.name): \(silence(of: lane))") }
      }
      if !reader.isWriterAlive {
        throw Exit.fail(
          Exit.unreachable,
          "the engine has ended meanwhile; the halt is kept for the next one. Look at the venue for what is left")
      }
      if waited > seconds {
        throw answered
          ? Exit.fail(
            Exit.unverified, "not verified within \(seconds) s; the engine goes on trying, and the request stays")
          : Exit.fail(Exit.unreachable, "the engine does not answer; the request stays. Look at the venue")
      }
      usleep(20_000)
    }
  }

  private func hasAnswered(_ lane: LaneSnapshot) -> Bool { lane.halt.map { $0.obeyedLevel >= level } ?? false }

  private func isDone(_ lane: LaneSnapshot) -> Bool {
    guard hasAnswered(lane), let halt = lane.halt else { return false }
    switch level {
    case .none, .widen, .noNewOrders: return true
    case .cancelAll:
      return [.verified, .closing, .flat].contains(halt.outcome) || halt.outcome == .offline && halt.verifiedAt != nil
    case .flatten: return halt.outcome == .flat
    case .disconnect: return halt.outcome == .offline
    }
  }

  private func text(of lane: LaneSnapshot) -> String {
    guard let halt = lane.halt else { return "no answer" }
    switch halt.outcome {
    case .none: return "no level is in force"
    case .obeyed: return "\(halt.level.text)"
    case .working: return "cancelling and asking the venue; \(halt.ordersLeft) orders may be left"
    case .verified: return "the venue confirms that no order of ours is left"
    case .closing:
      let left = lane.instruments.filter { $0.position != .zero && !$0.isOthers }.map { "\($0.positionText) \($0.name)" }
      return "no order of ours is left; "
        + (left.isEmpty ? "asking the venue whether a position is" : "closing \(left.joined(separator: ", "))")
    case .flat: return "no order of ours is left, and no position"
    case .offline:
      return halt.verifiedAt != nil
        ? "disconnected; before that the venue confirmed that no order of ours was left"
        : "no connection; the venue's cancel-on-disconnect ends what is left, and nobody has confirmed it"
    }
  }

  private func silence(of lane: LaneSnapshot) -> String {
    let age = Double(TelemetrySnapshot.monotonicNow - lane.heartbeat) / 1e9
    var text = "does not answer; its last sign of life was \(String(format: "%.1f", age)) s ago"
    if let watchdog = lane.watchdog {
      switch watchdog.state {
      case .pulling: text += "; its watchdog is cancelling, \(watchdog.ordersLeft) orders may be left"
      case .pulled: text += "; its watchdog has cancelled, and the venue confirms that no order of ours is left"
      case .watching: text += "; its watchdog has not acted yet"
      case .off, .connecting: text += "; its watchdog has no connection"
      }
    }
    return text
  }
}

/// What a person is shown before a position is closed.
enum FlattenText {
  static func plan(of snapshot: TelemetrySnapshot, isAlive: Bool) -> String {
    var lines: [String] = []
    for lane in snapshot.lanes {
      let age = Double(TelemetrySnapshot.monotonicNow - lane.heartbeat) / 1e9
      for instrument in lane.instruments {
        if instrument.isOthers {
          lines.append("\(instrument.name): another engine has it, and its position")
          continue
        }
        guard let position = instrument.position else {
          lines.append("\(instrument.name): the position is not known; nothing is closed before it is")
          continue
        }
        guard position != .zero else { continue }
        var line = "\(instrument.name): position \(instrument.positionText)"
        if let plan = instrument.plan {
          let isSell = position > .zero
          line +=
            ", \(isSell ? "sell" : "buy") at \(isSell ? "no less" : "no more") than \(instrument.price(plan.worst))"
          line += "; displayed within: \(instrument.amount(plan.depth))"
          line +=
            plan.lots == .zero
            ? "; nothing can be taken now, it is waited for"
            : "; first order \(instrument.amount(plan.lots.magnitude)) at \(instrument.price(plan.limit))"
        } else {
          line += "; no plan: book or mark are not known"
        }
        lines.append(line)
      }
      if !isAlive || age > 2 { lines.append("(as of \(String(format: "%.1f", age)) s ago)") }
    }
    if lines.isEmpty { lines.append("there is no position to close; orders are cancelled") }
    return lines.joined(separator: "\n")
  }
}

extension QtyLots {
  fileprivate var magnitude: QtyLots { QtyLots(rawValue: abs(rawValue)) }
}

extension InstrumentSnapshot {
  /// Handed over (share 0).
  fileprivate var isOthers: Bool { position == nil && limit == .zero }
  fileprivate var positionText: String { position.map { amount($0) } ?? "unknown" }
  fileprivate func amount(_ lots: QtyLots) -> String { DecimalE8(e8: lots.rawValue &* lotE8).description }
  fileprivate func price(_ ticks: PriceTicks) -> String { DecimalE8(e8: ticks.rawValue &* tickE8).description }
}
