import Apus
import ApusMonitor
import CSupport
import Foundation

/// What `apus top` shows and is asked for, apart from the terminal.
struct TopSession {
  /// Of the telemetry files that can be looked at now; never empty.
  private let places: () -> [String]
  private let rules: [AlertRule]
  /// Which of them.
  private var chosen = 0
  private var path: String
  private var reader: ReaderBox?
  private var screen = TopScreen()
  private var question: Question?
  /// Lines in place of the screen: an order's journey.
  private var page: [String]?
  private var pageFirst = 0
  private var notice: (text: String, until: Nanoseconds)?

  /// A telemetry file that stays open between two looks, and what rates need.
  private final class ReaderBox {
    let reader: TelemetryReader
    private var observer = EngineObserver()

    init(_ path: String) throws { reader = try TelemetryReader(path: path) }

    func look() -> EngineView { observer.look(reader) }
  }

  private var watch: AlertWatch

  /// Something that has to be typed.
  private struct Question {
    enum Kind: Equatable {
      case pause, resume, level, order
    }
    var kind: Kind
    var typed = ""

    var text: String {
      switch kind {
      case .pause: "Cancel all orders and hold still? Type pause: \(typed)"
      case .resume: "Let go of all latches and quote? Type resume: \(typed)"
      case .level: "Halt: type widen, no-new, cancel, flatten or disconnect: \(typed)"
      case .order: "Client order id or venue's id of the order: \(typed)"
      }
    }
  }

  init(places: @escaping () -> [String], rules: [AlertRule] = AlertRule.standard) {
    self.places = places
    self.rules = rules
    path = places()[0]
    watch = AlertWatch(path: path, rules: rules)
  }

  // MARK: - Drawing

  mutating func draw(columns: Int, rows: Int) -> [ScreenLine] {
    if let page { return draw(page, columns: columns, rows: rows) }
    if let notice, TelemetrySnapshot.monotonicNow > notice.until { self.notice = nil }
    screen.prompt = question?.text ?? notice?.text
    // What is asked now is meant for the engine that is shown.
    if question == nil { choosePlace() }
    do {
      // A restarted engine has another file.
      if reader?.reader.isReplaced ?? true { reader = try ReaderBox(path) }
      return screen.draw(reader.map { watch.look($0.look()) }, columns: columns, rows: rows)
    } catch {
      reader = nil
      watch.lookFailed("\(error)")
      return screen.draw(nil, problem: "\(error)", columns: columns, rows: rows)
    }
  }

  /// A rollout brings a second engine, and may end with that alone.
  private mutating func choosePlace() {
    let places = places()
    screen.engines = places.count
    chosen = min(chosen, places.count - 1)
    guard places[chosen] != path else { return }
    path = places[chosen]
    reader = nil
    watch = AlertWatch(path: path, rules: rules)
  }

  private mutating func draw(_ page: [String], columns: Int, rows: Int) -> [ScreenLine] {
    let width = max(20, columns)
    let wrapped = page.flatMap { line in
      stride(from: 0, to: max(1, line.count), by: width).map { String(line.dropFirst($0).prefix(width)) }
    }
    pageFirst = max(0, min(pageFirst, wrapped.count - (rows - 1)))
    var lines = wrapped.dropFirst(pageFirst).prefix(rows - 1).map { ScreenLine($0) }
    while lines.count < rows - 1 { lines.append(ScreenLine()) }
    lines.append(ScreenLine("↑↓ scroll  space next page  q back", .dim))
    return lines
  }

  // MARK: - Keys

  /// Returns whether to go on.
  mutating func press(_ key: RawTerminal.Key) -> Bool {
    if key == .end { return false }
    if page != nil {
      turnPage(key)
    } else if question != nil {
      answer(key)
    } else {
      return command(key)
    }
    return true
  }

  private mutating func turnPage(_ key: RawTerminal.Key) {
    switch key {
    case .up, .character("k"): pageFirst -= 1
    case .down, .character("j"): pageFirst += 1
    case .character(" "): pageFirst += 20
    case .character("q"), .escape: page = nil
    default: break
    }
  }

  private mutating func command(_ key: RawTerminal.Key) -> Bool {
    notice = nil
    switch key {
    case .character("q"): return false
    case .character("e"):
      chosen = screen.engines > 1 ? (chosen + 1) % screen.engines : 0
      if screen.engines == 1 { tell("no other engine of this configuration runs") }
    case .character("p"): question = Question(kind: .pause)
    case .character("h"): question = Question(kind: .level)
    case .character("r"): question = Question(kind: .resume)
    case .character("o"): question = Question(kind: .order)
    case .character("s"):
      let all = TopScreen.Order.allCases
      screen.order = all[((all.firstIndex(of: screen.order) ?? 0) + 1) % all.count]
      screen.first = 0
      tell("sorted by \(screen.order.rawValue)")
    case .up, .character("k"): screen.first = max(0, screen.first - 1)
    case .down, .character("j"): screen.first += 1
    default: break
    }
    return true
  }

  private mutating func answer(_ key: RawTerminal.Key) {
    switch key {
    case .character(let character): question?.typed.append(character)
    case .erase: _ = question?.typed.popLast()
    case .escape:
      question = nil
      tell("nothing was asked for")
    case .enter:
      guard let asked = question else { return }
      question = nil
      carryOut(asked)
    default: break
    }
  }

  private mutating func carryOut(_ asked: Question) {
    let typed = asked.typed.trimmingCharacters(in: .whitespaces)
    switch asked.kind {
    case .pause where typed == "pause": ask(.cancelAll, "pause")
    case .resume where typed == "resume":
      do {
        try TelemetryControl.clearStop(path: path)
        tell("asked to resume; a cause that still holds latches again")
      } catch {
        tell("\(error)")
      }
    case .level where HaltLevel(rawValue: typed) != nil: ask(HaltLevel(rawValue: typed)?.level ?? .cancelAll, typed)
    case .order where !typed.isEmpty: page = journey(of: typed)
    default: tell("nothing was asked for")
    }
  }

  private mutating func ask(_ level: StopLevel, _ word: String) {
    do {
      try TelemetryControl.requestStop(path: path, level: level, cause: "apus top: \(word), process \(getpid())")
      tell("asked for: \(level.text); the ladder's line tells what comes of it")
    } catch {
      tell("\(error)")
    }
  }

  private mutating func tell(_ text: String) { notice = (text, TelemetrySnapshot.monotonicNow + 6_000_000_000) }

  /// From the journals beside the telemetry file, as `apus replay --order` tells it.
  private mutating func journey(of order: String) -> [String] {
    pageFirst = 0
    let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
    let journals = JournalDirectory.all(directory)
    var lines: [String] = []
    for journal in journals {
      let name = journals.count > 1 ? URL(fileURLWithPath: journal).lastPathComponent + ", " : ""
      do {
        var replay = try Replay(path: journal)
        var told: [String] = []
        while let run = replay.next(order: order, tell: { told.append($0) }) {
          if !told.isEmpty { lines += ["\(name)run \(run.bootEpoch)"] + told }
          if let refusal = run.refusal, told.isEmpty {
            lines.append("\(name)run \(run.bootEpoch) cannot be told: \(refusal)")
          }
          told = []
        }
      } catch {
        lines.append("\(error)")
      }
    }
    return lines.isEmpty ? ["\(directory) has no order \(order) in its journals"] : lines
  }
}
