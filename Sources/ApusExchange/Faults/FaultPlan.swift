public import Apus

/// A world and what goes wrong in it, as one value; written as one line from which it can be replayed.
public struct FaultPlan: Equatable, Sendable {
  /// Decides everything that is random: the market, the venue's delays, which frames are struck.
  public var seed: UInt64 = 1
  public var instruments: [String] = ["BTC-PERPETUAL"]
  /// Quotes a side, and their size.
  public var levels = 3
  public var sizeLots: Int64 = 20
  /// The largest position of each instrument, lots.
  public var limitLots: Int64 = 100
  /// One way, to the venue; and back, where that differs.
  public var latency: Nanoseconds = 1_000_000
  public var back: Nanoseconds?
  /// How fast the market moves, thousandths of its usual pace.
  public var pace: Int64 = 1000
  /// How often the strategy manager has its turn; 0: there is none.
  public var managerTurn: Nanoseconds = 0
  /// The loss at which it widens, and the fall from the best profit at which it halts, US cents; 0: never.
  public var widenCents: Int64 = 0
  public var drawdownCents: Int64 = 0
  /// The engine quotes around the manager's fair value.
  public var isAroundFair = false
  /// The venue sends notifications before the reply.
  public var notifiesBeforeReply = false
  /// The engine quotes with mass quotes instead of order by order.
  public var usesMassQuotes = false
  /// By how much account.trade_history and the portfolio lag behind.
  public var feedDelay: ClosedRange<Nanoseconds> = 5_000_000...50_000_000
  /// How long the faults may take; then the world is given time to recover and the engine is stopped.
  public var length: Nanoseconds = 20_000_000_000
  public var faults: [TimedFault] = []

  public init() {}

  public var text: String {
    var head =
      "seed=\(seed) instruments=\(instruments.joined(separator: ",")) levels=\(levels) size=\(sizeLots) "
      + "limit=\(limitLots) latency=\(TimeText.text(latency)) lag=\(TimeText.text(feedDelay)) for=\(TimeText.text(length))"
    if let back { head += " back=\(TimeText.text(back))" }
    if pace != 1000 { head += " pace=\(pace)" }
    if managerTurn > 0 { head += " manager=\(TimeText.text(managerTurn))" }
    if widenCents > 0 { head += " widen=\(widenCents)" }
    if drawdownCents > 0 { head += " drawdown=\(drawdownCents)" }
    if isAroundFair { head += " fair" }
    if notifiesBeforeReply { head += " notifies-first" }
    if usesMassQuotes { head += " mass-quotes" }
    return ([head] + faults.map(\.text)).joined(separator: " | ")
  }

  /// The same for people: the world in the first line, then a line for each thing that goes wrong, in the order of time.
  public var story: [String] {
    let head = text.split(separator: "|", maxSplits: 1).first.map { String($0).trimmingSpaces } ?? ""
    let lines = faults.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
    return [head] + lines.map { "  at " + $0.element.text }
  }

  /// Whether the engine dies on the way: then its lives write a journal.
  public var hasCrash: Bool { faults.contains { $0.fault.killsEngine || $0.fault == .powerCut } }

  /// - Throws: a sentence that names the piece that cannot be read.
  public init(text: String) throws(PlanError) {
    self.init()
    let parts = text.split(separator: "|", omittingEmptySubsequences: false)
    for word in (parts.first ?? "").split(separator: " ") {
      if word == "notifies-first" {
        notifiesBeforeReply = true
        continue
      }
      if word == "fair" {
        isAroundFair = true
        continue
      }
      if word == "mass-quotes" {
        usesMassQuotes = true
        continue
      }
      let pair = word.split(separator: "=", maxSplits: 1)
      guard pair.count == 2, set(pair[0], pair[1]) else { throw PlanError(piece: String(word)) }
    }
    for part in parts.dropFirst() {
      guard let fault = TimedFault(text: part) else {
        throw PlanError(piece: part.split(separator: " ").joined(separator: " "))
      }
      faults.append(fault)
    }
  }

  private mutating func set(_ key: Substring, _ value: Substring) -> Bool {
    func take<T>(_ parsed: T?, _ place: WritableKeyPath<Self, T>) -> Bool {
      guard let parsed else { return false }
      self[keyPath: place] = parsed
      return true
    }
    switch key {
    case "seed": return take(UInt64(value), \.seed)
    case "instruments": return take(value.split(separator: ",").map(String.init), \.instruments)
    case "levels": return take(Int(value).flatMap { (1...16).contains($0) ? $0 : nil }, \.levels)
    case "size": return take(Int64(value).flatMap { $0 > 0 ? $0 : nil }, \.sizeLots)
    case "limit": return take(Int64(value).flatMap { $0 > 0 ? $0 : nil }, \.limitLots)
    case "latency": return take(TimeText.time(value).flatMap { $0 >= 0 ? $0 : nil }, \.latency)
    case "back": return take(TimeText.time(value).flatMap { $0 >= 0 ? .some($0) : nil }, \.back)
    case "pace": return take(Int64(value).flatMap { (1...1_000_000).contains($0) ? $0 : nil }, \.pace)
    case "manager": return take(TimeText.time(value).flatMap { $0 > 0 ? $0 : nil }, \.managerTurn)
    case "widen": return take(Int64(value).flatMap { $0 > 0 ? $0 : nil }, \.widenCents)
    case "drawdown": return take(Int64(value).flatMap { $0 > 0 ? $0 : nil }, \.drawdownCents)
    case "lag": return take(TimeText.range(value), \.feedDelay)
    case "for": return take(TimeText.time(value).flatMap { $0 > 0 ? $0 : nil }, \.length)
    default: return false
    }
  }
}

/// A piece of a plan that cannot be read.
public struct PlanError: Error, CustomStringConvertible {
  public let piece: String
  public var description: String {
    "the plan has a piece that cannot be read: \"\(piece)\"; pieces look like \"seed=7\" or \"2s+10s drop orders 20/1000\""
  }
}

extension String {
  fileprivate var trimmingSpaces: String {
    var text = self[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
