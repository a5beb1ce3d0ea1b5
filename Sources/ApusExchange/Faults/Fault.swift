public import Apus

/// Something that goes wrong, on the way or at the venue.
public enum Fault: Equatable, Sendable {
  // Frames under way.
  /// They never arrive.
  case drop(FrameKinds)
  /// They arrive later by this much; later frames pass them.
  case delay(FrameKinds, ClosedRange<Nanoseconds>)
  /// They arrive, and once more this much later.
  case duplicate(FrameKinds, ClosedRange<Nanoseconds>)
  /// They change places with the next frame of their direction.
  case reorder(FrameKinds)
  /// They arrive cut short, with a byte that is no JSON, or with a word that means nothing.
  case corrupt(FrameKinds)
  /// Requests do not reach the venue and are answered with an error of this code.
  case refuse(FrameKinds, code: Int)
  /// Requests take effect, but the reply says an error of this code, which must be one that proves nothing.
  case mask(code: Int)

  // Connections.
  /// Both ends notice that the connection is gone.
  case reset
  /// The engine's end is gone and the venue does not notice.
  case abandon
  /// Nothing passes either way, and nobody notices.
  case silence
  /// The engine does not read; what the venue sends piles up.
  case stallReads
  /// The venue does not read; what the engine sends piles up.
  case stallWrites
  /// New connections are refused.
  case unreachable

  // Bytes under way, as TCP allows it: nothing is lost, and each connection keeps its order.
  /// They arrive in pieces of at most so many bytes, cut anywhere.
  case fragment(Int)
  /// What arrives within so much time arrives at once, in one piece.
  case merge(Nanoseconds)
  /// They are late by up to this much, those of each connection for itself.
  case jitter(Nanoseconds)
  /// The engine's socket takes at most so many bytes at a time.
  case shortWrites(Int)

  // The venue.
  /// The tick becomes smaller by this factor: orders are cancelled, the instrument is listed anew.
  case tick(String, finer: Int)
  /// The market stands still; orders are refused, cancels are not.
  case halt(String)
  /// The instrument is removed; its orders are cancelled.
  case expire(String)
  /// More order messages than this a second are refused with error 4.
  case throttle(rate: Int)
  case refuseLogins
  /// Our wall clock is wrong by this much.
  case clockStep(Nanoseconds)
  /// The venue's program ends and starts again; orders are still in its book, or are gone without a word.
  case restart(keepsBook: Bool)
  /// The venue announces that it will close its connections, and does so when the time is over. Those that are made
  /// meanwhile stay.
  case closure

  // The engine.
  /// `kill -9` and a new life.
  case crash
  /// The same in the middle of a turn in which something happens: its journal ends behind one of the turn's records, and only
  /// if that is the last one some of the bytes that were to be sent are on their way.
  case crashInTurn
  /// The engine's machine loses power: what its journal had not synced is lost or torn, and nobody tells the venue.
  case powerCut

  /// Happens at one moment; the others last for a time.
  public var isMomentary: Bool {
    switch self {
    case .reset, .abandon, .tick, .expire, .restart, .crash, .crashInTurn, .powerCut: true
    default: false
    }
  }

  /// `kill -9`.
  public var killsEngine: Bool { self == .crash || self == .crashInTurn }

  /// Strikes some frames and lets others pass.
  public var isAboutFrames: Bool {
    switch self {
    case .drop, .delay, .duplicate, .reorder, .corrupt, .refuse, .mask: true
    default: false
    }
  }

  var kinds: FrameKinds {
    switch self {
    case .drop(let kinds), .delay(let kinds, _), .duplicate(let kinds, _), .reorder(let kinds), .corrupt(let kinds),
      .refuse(let kinds, _):
      kinds
    case .mask: .replies
    default: []
    }
  }

  /// As in a plan: `delay replies,orders 0ms..50s`.
  public var text: String {
    switch self {
    case .drop(let kinds): "drop \(kinds.text)"
    case .delay(let kinds, let range): "delay \(kinds.text) \(TimeText.text(range))"
    case .duplicate(let kinds, let range): "duplicate \(kinds.text) \(TimeText.text(range))"
    case .reorder(let kinds): "reorder \(kinds.text)"
    case .corrupt(let kinds): "corrupt \(kinds.text)"
    case .refuse(let kinds, let code): "refuse \(kinds.text) \(code)"
    case .mask(let code): "mask \(code)"
    case .reset: "reset"
    case .abandon: "abandon"
    case .silence: "silence"
    case .stallReads: "stall-reads"
    case .stallWrites: "stall-writes"
    case .unreachable: "unreachable"
    case .tick(let name, let factor): "tick \(name) \(factor)"
    case .halt(let name): "halt \(name)"
    case .expire(let name): "expire \(name)"
    case .throttle(let rate): "throttle \(rate)"
    case .refuseLogins: "refuse-logins"
    case .clockStep(let by): "clock-step \(TimeText.text(by))"
    case .restart(let keepsBook): keepsBook ? "restart with-book" : "restart without-book"
    case .closure: "closure"
    case .crash: "crash"
    case .crashInTurn: "crash-in-turn"
    case .powerCut: "power-cut"
    case .fragment(let bytes): "fragment \(bytes)"
    case .merge(let time): "merge \(TimeText.text(time))"
    case .jitter(let time): "jitter \(TimeText.text(time))"
    case .shortWrites(let bytes): "short-writes \(bytes)"
    }
  }

  init?(words: [Substring]) {
    func kinds() -> FrameKinds? { words.count > 1 ? FrameKinds(text: words[1]) : nil }
    func number(_ place: Int) -> Int? { words.count > place ? Int(words[place]) : nil }
    func range() -> ClosedRange<Nanoseconds>? { words.count > 2 ? TimeText.range(words[2]) : nil }
    func time() -> Nanoseconds? { words.count > 1 ? TimeText.time(words[1]) : nil }
    func name() -> String? { words.count > 1 ? String(words[1]) : nil }
    var fault: Fault?
    switch words.first ?? "" {
    case "drop": fault = kinds().map { .drop($0) }
    case "delay": if let kinds = kinds(), let range = range() { fault = .delay(kinds, range) }
    case "duplicate": if let kinds = kinds(), let range = range() { fault = .duplicate(kinds, range) }
    case "reorder": fault = kinds().map { .reorder($0) }
    case "corrupt": fault = kinds().map { .corrupt($0) }
    case "refuse": if let kinds = kinds(), let code = number(2) { fault = .refuse(kinds, code: code) }
    case "mask": fault = number(1).map { .mask(code: $0) }
    case "reset": fault = .reset
    case "abandon": fault = .abandon
    case "silence": fault = .silence
    case "stall-reads": fault = .stallReads
    case "stall-writes": fault = .stallWrites
    case "unreachable": fault = .unreachable
    case "tick": if let name = name(), let factor = number(2), factor > 1 { fault = .tick(name, finer: factor) }
    case "halt": fault = name().map { .halt($0) }
    case "expire": fault = name().map { .expire($0) }
    case "throttle": fault = number(1).map { .throttle(rate: $0) }
    case "refuse-logins": fault = .refuseLogins
    case "clock-step": fault = words.count > 1 ? TimeText.time(words[1]).map { .clockStep($0) } : nil
    case "restart":
      switch words.count > 1 ? words[1] : "" {
      case "with-book": fault = .restart(keepsBook: true)
      case "without-book": fault = .restart(keepsBook: false)
      default: break
      }
    case "closure": fault = .closure
    case "crash": fault = .crash
    case "crash-in-turn": fault = .crashInTurn
    case "power-cut": fault = .powerCut
    case "fragment": if let bytes = number(1), bytes > 0 { fault = .fragment(bytes) }
    case "short-writes": if let bytes = number(1), bytes > 0 { fault = .shortWrites(bytes) }
    case "merge": if let time = time(), time > 0 { fault = .merge(time) }
    case "jitter": if let time = time(), time > 0 { fault = .jitter(time) }
    default: break
    }
    // Nothing may be left over.
    guard let fault, fault.text.split(separator: " ").count == words.count else { return nil }
    self = fault
  }
}

/// A fault with its time. Times count from the begin of the plan.
public struct TimedFault: Equatable, Sendable {
  public var at: Nanoseconds
  /// 0 for what is momentary.
  public var lasting: Nanoseconds
  public var fault: Fault
  /// How many of a thousand frames it strikes.
  public var permille: Int
  /// It strikes so many frames and is over; 0 for any number.
  public var count: Int

  public init(
    at: Nanoseconds, lasting: Nanoseconds = 0, _ fault: Fault, permille: Int = 1000, count: Int = 0
  ) {
    self.at = at
    self.lasting = lasting
    self.fault = fault
    self.permille = permille
    self.count = count
  }

  public var end: Nanoseconds { at + lasting }

  /// `2s+10s drop orders,trades 20/1000`; a limit of frames as `x3`.
  public var text: String {
    TimeText.text(at) + (lasting > 0 ? "+" + TimeText.text(lasting) : "") + " " + fault.text
      + (permille < 1000 ? " \(permille)/1000" : "") + (count > 0 ? " x\(count)" : "")
  }

  public init?(text: some StringProtocol) {
    var words = text.split(separator: " ").map { Substring($0) }
    guard let first = words.first else { return nil }
    words.removeFirst()
    let times = first.split(separator: "+")
    guard let at = times.first.flatMap({ TimeText.time($0) }), times.count <= 2 else { return nil }
    var lasting: Nanoseconds = 0
    if times.count == 2 {
      guard let time = TimeText.time(times[1]) else { return nil }
      lasting = time
    }
    var permille = 1000
    var count = 0
    while let last = words.last {
      if last.hasSuffix("/1000"), let value = Int(last.dropLast(5)), (0...1000).contains(value) {
        permille = value
      } else if last.hasPrefix("x"), let value = Int(last.dropFirst()), value > 0 {
        count = value
      } else {
        break
      }
      words.removeLast()
    }
    guard let fault = Fault(words: words), fault.isMomentary == (lasting == 0) else { return nil }
    self.init(at: at, lasting: lasting, fault, permille: permille, count: count)
  }
}

/// Durations as text: `1500ms`, `-2s`, `0ms..50s`.
enum TimeText {
  static func text(_ time: Nanoseconds) -> String {
    if time % 1_000_000_000 == 0 { return "\(time / 1_000_000_000)s" }
    if time % 1_000_000 == 0 { return "\(time / 1_000_000)ms" }
    return time % 1000 == 0 ? "\(time / 1000)us" : "\(time)ns"
  }

  static func text(_ range: ClosedRange<Nanoseconds>) -> String {
    range.lowerBound == range.upperBound
      ? text(range.lowerBound) : "\(text(range.lowerBound))..\(text(range.upperBound))"
  }

  static func time(_ text: some StringProtocol) -> Nanoseconds? {
    for (unit, size) in [("ns", 1), ("us", 1000), ("ms", 1_000_000), ("s", 1_000_000_000)] as [(String, Int64)] {
      guard text.hasSuffix(unit), let value = Int64(text.dropLast(unit.count)) else { continue }
      let (product, overflows) = value.multipliedReportingOverflow(by: size)
      return overflows ? nil : product
    }
    return nil
  }

  static func range(_ text: some StringProtocol) -> ClosedRange<Nanoseconds>? {
    let ends = text.components(separatedBy: "..")
    guard let low = ends.first.flatMap({ time($0) }), let high = ends.last.flatMap({ time($0) }), ends.count <= 2,
      low >= 0, low <= high
    else { return nil }
    return low...high
  }
}

extension StringProtocol {
  /// Without Foundation.
  fileprivate func components(separatedBy separator: String) -> [String] {
    var parts: [String] = []
    var rest = String(self)[...]
    while let place = rest.firstRange(of: separator) {
      parts.append(String(rest[..<place.lowerBound]))
      rest = rest[place.upperBound...]
    }
    parts.append(String(rest))
    return parts
  }
}
