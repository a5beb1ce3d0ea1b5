import Apus
import ArgumentParser
import Foundation

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Repeat a recorded run with this engine's code, and compare every frame, fill and note.",
    discussion: """
      DIR is a journal's directory, or the data directory or demo directory that holds one for each venue. Each run in \
      it is repeated at its recorded times, without any connection: what came in goes to a new lane, and what that sends \
      and books has to be the recorded bytes. The first difference is named by record, time, connection, stage and field. \
      A torn tail, or a damaged segment, is reported and the run repeated as far as it is whole. Exit codes: 0 all is \
      equal; 1 something differs; 65 equal, but the journal is damaged, records could not be written, or a run could not \
      be repeated; 66 there is no journal to be read, no such run, or no such order.
      """)

  @Argument(help: ArgumentHelp("The journal's directory.", valueName: "dir"), completion: .directory)
  var directory: String

  @Option(
    help: ArgumentHelp(
      "End early: behind this record (1200), or this long after the run's beginning (2.5s). Shows how the lane stands then.",
      valueName: "record|time"))
  var until: LimitArgument?

  @Option(
    help: ArgumentHelp(
      "Tell the journey of one order, by its client order id or the venue's: each frame that names it, its state before "
        + "and after, and the book.", valueName: "id"))
  var order: String?

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp(
      "Only the run with this number, as the summary names it. Default: all runs.", valueName: "number"))
  var epoch: UInt64?

  @Option(
    help: ArgumentHelp(
      "Instead of repeating the run, quote its market with this configuration: what was recorded, the run's own "
        + "parameters and these ones, both by the fill model of `apus backtest`, side by side.", valueName: "config"),
    completion: .file())
  var whatIf: String?

  @OptionGroup(title: "For --what-if") var fills: FillOptions

  func validate() throws {
    guard whatIf != nil else { return }
    if until != nil || order != nil {
      throw ValidationError("--what-if looks at the whole run: leave --until and --order out")
    }
    try fills.check()
  }

  func run() throws {
    if let whatIf {
      return try WhatIf.run(
        journal: try JournalDirectory.find(directory), epoch: epoch, configPath: whatIf, options: fills)
    }
    EngineClock.start()
    let paths = JournalDirectory.all(directory)
    var total = Outcome()
    for path in paths {
      if paths.count > 1 { print("\(URL(fileURLWithPath: path).lastPathComponent):") }
      let outcome = try replay(path)
      total.differs = total.differs || outcome.differs
      total.isDamaged = total.isDamaged || outcome.isDamaged
      total.isNamed = total.isNamed || outcome.isNamed
    }
    let isUnknown = order != nil && !total.isNamed
    if let order, isUnknown {
      _ = Exit.fail(
        Exit.unreadable,
        "no frame names the order \(order): give its client order id, a whole number, or the venue's id")
    }
    if total.differs { throw Exit.replayDiffers }
    if total.isDamaged { throw Exit.damaged }
    if isUnknown { throw Exit.unreadable }
  }

  private struct Outcome {
    var differs = false
    var isDamaged = false
    /// A frame has named the order that was asked for.
    var isNamed = false
  }

  private func replay(_ path: String) throws -> Outcome {
    var replay: Replay
    do {
      replay = try Replay(path: path)
    } catch {
      throw Exit.fail(Exit.unreadable, "\(error)")
    }
    var outcome = Outcome()
    var count = 0
    func tell(_ line: String) {
      outcome.isNamed = true
      print(line)
    }
    var shown = 0
    func showUnreadable(_ all: [String]) {
      for problem in all.dropFirst(shown) { print("not repeated: \(problem)") }
      shown = all.count
    }
    while let result = replay.next(epoch: epoch, until: until?.limit, order: order, tell: tell) {
      count += 1
      showUnreadable(replay.unreadable)
      show(result)
      if result.difference != nil { outcome.differs = true }
      if result.isDamaged || result.refusal != nil { outcome.isDamaged = true }
    }
    showUnreadable(replay.unreadable)
    if epoch == nil, shown > 0 { outcome.isDamaged = true }
    guard count > 0 || outcome.isDamaged else {
      throw Exit.fail(
        Exit.unreadable,
        "\(path) holds no \(epoch.map { "run \($0)" } ?? "run"): give the directory of an engine's journal")
    }
    return outcome
  }

  private func show(_ run: Replay.Run) {
    if let refusal = run.refusal {
      print("run \(run.bootEpoch) cannot be repeated: \(refusal)")
      return
    }
    let seconds = Double(run.laneTime) / 1e9
    let took = Double(max(run.replayTime, 1)) / 1e9
    print(
      "run \(run.bootEpoch): \(run.counts.framesIn) frames in, \(run.counts.framesOut) out, \(run.counts.fills) fills, "
        + "\(run.counts.records) records; \(String(format: "%.3f", seconds)) s of the lane's time in "
        + "\(String(format: "%.3f", took)) s, \(Int(Double(run.counts.framesIn) / took)) frames in a second")
    if until != nil { run.state.forEach { print("  \($0)") } }
    if let difference = run.difference {
      let wall = Date(timeIntervalSince1970: Double(difference.wallTime) / 1e9)
      print(
        "  differs at record \(difference.recordNumber), lane time \(difference.time) ns "
          + "(\(wall.formatted(.iso8601.time(includingFractionalSeconds: true)))), connection \(difference.connection), "
          + "\(difference.stage.rawValue): \(difference.what)")
      for field in difference.fields {
        print("  field \(field.name): \(field.recorded) recorded, \(field.replayed) replayed")
      }
      print("  recorded: \(difference.recorded)")
      print("  replayed: \(difference.replayed)")
    } else if run.isDamaged {
      print("  equal as far as the journal is whole")
    } else {
      print("  equal: every frame out, fill and note is the recorded one")
    }
    if let gap = run.gap { print("  the journal \(run.isDamaged ? "is damaged" : "ends early"): \(gap)") }
  }
}

/// A record number, or a time such as `2.5s`.
struct LimitArgument: ExpressibleByArgument {
  let limit: Replay.Limit

  init?(argument: String) {
    if argument.hasSuffix("s"), let seconds = Double(argument.dropLast()), seconds >= 0, seconds < 1e9 {
      limit = .time(Int64(seconds * 1e9))
    } else if let number = UInt64(argument) {
      limit = .record(number)
    } else {
      return nil
    }
  }
}
