public import Apus
import CSupport

/// What the network does to bytes, as TCP allows it; zeroes stand for nothing.
struct NetworkConditions: Equatable {
  /// The largest piece in which bytes arrive.
  var piece = 0
  /// What arrives within this time arrives together.
  var gather: Nanoseconds = 0
  var jitter: Nanoseconds = 0
  /// The most that the engine's socket takes at once.
  var write = 0

  var isCalm: Bool { piece == 0 && gather == 0 && jitter == 0 }
}

/// Does to frames what a list of timed faults says.
///
/// Free of I/O and of clocks: it serves a simulated network on virtual time and a proxy between sockets. Times count
/// from the begin of the plan and never run backwards. Deterministic by seed. One thread.
public final class FaultInjector {
  private struct Active {
    var timed: TimedFault
    var struck = 0
    /// It has been carried out, or has been struck off.
    var isDone = false
    var hasBegun = false
  }

  private struct Held {
    var at: Nanoseconds
    var sequence: UInt64
    var direction: FrameDirection
    var link: UInt64
    var bytes: [UInt8]
  }

  @exclusivity(unchecked) private var list: [Active]
  /// What strikes frames, in the order of the plan: without what would have to be retained to be looked at.
  private struct FrameFault {
    var at: Nanoseconds
    var end: Nanoseconds
    var kinds: FrameKinds
    var permille: Int
    var index: Int
  }
  private let frameFaults: [FrameFault]
  /// All begins and ends, in order.
  private let boundaries: [Nanoseconds]
  /// Whether the plan has faults for which requests, or the instruments that they name, are to be remembered.
  private let remembersInstruments: Bool
  private let remembersRate: Bool
  private let answersRequests: Bool
  let haltsMarkets: Bool
  @exclusivity(unchecked) private var random: SplitMix
  @exclusivity(unchecked) private var held: [Held] = []
  private var sequence: UInt64 = 0
  /// Frames that wait for the next one of their direction to pass.
  @exclusivity(unchecked) private var swapping:
    [(direction: FrameDirection, link: UInt64, since: Nanoseconds, bytes: [UInt8])] = []
  /// The instrument of each order, by client id: amends do not name it.
  private var instruments: [UInt64: String] = [:]
  /// Times of the last order messages, for `throttle`.
  private var recent: [Nanoseconds] = []
  /// Instruments that are gone for good.
  private var expired: Set<String> = []
  /// Called for each frame that is struck: when, what was done, the kind of frame.
  public var note: ((Nanoseconds, Fault, FrameKinds) -> Void)?
  /// Order messages about instruments that have expired.
  public private(set) var aboutExpired = 0
  /// Frames struck so far.
  @exclusivity(unchecked) public private(set) var struck = 0

  /// A frame waits this long for another to change places with.
  private static let longestSwap: Nanoseconds = 100_000_000

  public init(_ faults: [TimedFault], seed: UInt64) {
    list = faults.map { Active(timed: $0) }
    frameFaults = faults.enumerated().filter(\.element.fault.isAboutFrames).map {
      FrameFault(
        at: $0.element.at, end: $0.element.end, kinds: $0.element.fault.kinds, permille: $0.element.permille,
        index: $0.offset)
    }
    end = faults.reduce(0) { max($0, $1.end) }
    boundaries = Array(Set(faults.flatMap { [$0.at, $0.end] })).sorted()
    remembersInstruments = faults.contains {
      switch $0.fault {
      case .halt, .expire: true
      default: false
      }
    }
    haltsMarkets = faults.contains { if case .halt = $0.fault { true } else { false } }
    remembersRate = faults.contains { if case .throttle = $0.fault { true } else { false } }
    answersRequests = faults.contains {
      switch $0.fault {
      case .refuse, .throttle, .refuseLogins, .halt, .expire: true
      default: false
      }
    }
    random = SplitMix(seed: seed ^ 0xFA_17)
  }

  // MARK: - Time

  /// What is momentary and due, and what begins to last, since the last call, in the order of the plan.
  public func begin(now: Nanoseconds) -> [TimedFault] {
    var due: [TimedFault] = []
    for index in list.indices where !list[index].hasBegun && list[index].timed.at <= now {
      list[index].hasBegun = true
      if list[index].timed.fault.isMomentary { list[index].isDone = true }
      if case .expire(let name) = list[index].timed.fault { expired.insert(name) }
      due.append(list[index].timed)
    }
    nextBegin = list.reduce(.max) { $1.hasBegun ? $0 : min($0, $1.timed.at) }
    return due
  }

  /// When something begins, ends or is to be sent next; `.max` if never.
  public func nextTime(after now: Nanoseconds) -> Nanoseconds {
    var next = now < conditions.until && now >= conditions.since ? conditions.until : boundary(after: now)
    // What is due and still here waits for a silence to end.
    for frame in held where frame.at > now { next = min(next, frame.at) }
    for frame in swapping where frame.since + Self.longestSwap > now {
      next = min(next, frame.since + Self.longestSwap)
    }
    return next
  }

  /// When the last fault of the plan is over.
  public let end: Nanoseconds

  /// Whether a lasting fault is on.
  private func has(_ now: Nanoseconds, _ fits: (Fault) -> Bool) -> Bool {
    for entry in list where entry.timed.at <= now && now < entry.timed.end && fits(entry.timed.fault) { return true }
    return false
  }

  /// What holds between two boundaries.
  private struct Conditions {
    var since: Nanoseconds = .max
    var until: Nanoseconds = .min
    var isAnyOn = false
    var isSilent = false
    var isReadStalled = false
    var isWriteStalled = false
    var isUnreachable = false
    var clockError: Nanoseconds = 0
    var network = NetworkConditions()
  }
  @exclusivity(unchecked) private var conditions = Conditions()

  private func boundary(after now: Nanoseconds) -> Nanoseconds { boundaries.first { $0 > now } ?? .max }

  /// What holds now; looked up anew only when something begins or ends.
  private func look(_ now: Nanoseconds) -> Conditions {
    if now < conditions.since || now >= conditions.until { lookAnew(now) }
    return conditions
  }

  @inline(never)
  private func lookAnew(_ now: Nanoseconds) {
    var found = Conditions()
    found.since = boundaries.last { $0 <= now } ?? .min
    found.until = boundary(after: now)
    for entry in list where entry.timed.at <= now && now < entry.timed.end {
      found.isAnyOn = true
      switch entry.timed.fault {
      case .silence: found.isSilent = true
      case .stallReads: found.isReadStalled = true
      case .stallWrites: found.isWriteStalled = true
      case .unreachable: found.isUnreachable = true
      case .clockStep(let by): found.clockError += by
      case .fragment(let bytes): found.network.piece = bytes
      case .merge(let time): found.network.gather = time
      case .jitter(let time): found.network.jitter = time
      case .shortWrites(let bytes): found.network.write = bytes
      default: break
      }
    }
    conditions = found
  }

  public func isSilent(_ now: Nanoseconds) -> Bool { look(now).isSilent }
  public func isReadStalled(_ now: Nanoseconds) -> Bool { look(now).isReadStalled }
  public func isWriteStalled(_ now: Nanoseconds) -> Bool { look(now).isWriteStalled }
  public func isUnreachable(_ now: Nanoseconds) -> Bool { look(now).isUnreachable }
  public func isHalted(_ instrument: String, _ now: Nanoseconds) -> Bool {
    haltsMarkets && has(now) { $0 == .halt(instrument) }
  }

  /// By how much our wall clock is wrong.
  public func clockError(_ now: Nanoseconds) -> Nanoseconds { look(now).clockError }

  /// What the network does to bytes.
  func network(_ now: Nanoseconds) -> NetworkConditions { look(now).network }

  /// Whether something begins at `now` or before that has not been asked for by `begin`.
  func hasDue(_ now: Nanoseconds) -> Bool { now >= nextBegin }
  @exclusivity(unchecked) private var nextBegin: Nanoseconds = .min

  // MARK: - Frames

  /// What becomes of a frame.
  public enum Passage {
    /// It goes on as it is.
    case unchanged
    /// These go on in its place, in this order; may be none.
    case instead([[UInt8]])
    /// A request that is answered on the spot: the reply goes back, and nothing goes on.
    case answered([UInt8])
  }

  /// Decides about one frame; `text` is its whole payload.
  ///
  /// - Parameter link: the connection, where there are several: what is held back leaves on the one on which it came.
  public func pass(
    _ text: UnsafeRawBufferPointer, _ direction: FrameDirection, now: Nanoseconds, link: UInt64 = 0
  ) -> Passage {
    guard hasWork(now) || !swapping.isEmpty || direction == .toVenue || !expired.isEmpty else { return .unchanged }
    let facts = FrameFacts(text, direction)
    if direction == .toVenue, answersRequests, let answer = answerInstead(text, facts, now) { return .answered(answer) }
    if direction == .toEngine, haltsMarkets || !expired.isEmpty, isFromHaltedMarket(text, facts, now) {
      return .instead([])
    }
    if direction == .toEngine, !expired.isEmpty, let rest = withoutExpired(text, facts) { return .instead([rest]) }
    var frames: [[UInt8]]?
    for entry in frameFaults {
      guard !entry.kinds.isDisjoint(with: facts.kind), entry.at <= now, now < entry.end, !list[entry.index].isDone,
        entry.permille >= 1000 || random.below(1000) < entry.permille
      else { continue }
      let index = entry.index
      let timed = list[index].timed
      list[index].struck += 1
      struck += 1
      if timed.count > 0, list[index].struck >= timed.count { list[index].isDone = true }
      note?(now, timed.fault, facts.kind)
      switch timed.fault {
      case .drop: frames = []
      case .delay(_, let range):
        hold(Array(text), direction, link, until: now + random.within(range))
        frames = []
      case .duplicate(_, let range):
        hold(Array(text), direction, link, until: now + random.within(range))
        frames = [Array(text)]
      case .reorder:
        swapping.append((direction, link, now, Array(text)))
        return .instead([])
      case .corrupt: frames = [spoil(text)]
      case .mask(let code):
        frames = [Self.refusal(facts.id, code: code)]
      default: continue
      }
      break
    }
    guard let place = swapping.firstIndex(where: { $0.direction == direction && $0.link == link }) else {
      return frames.map { .instead($0) } ?? .unchanged
    }
    var list = frames ?? [Array(text)]
    // Nothing passes the one that waits before something does.
    guard !list.isEmpty else { return .instead([]) }
    list.append(swapping.remove(at: place).bytes)
    return .instead(list)
  }

  private func hasWork(_ now: Nanoseconds) -> Bool { look(now).isAnyOn }

  private func isAnyDue(_ now: Nanoseconds) -> Bool {
    for frame in held where frame.at <= now { return true }
    for frame in swapping where frame.since + Self.longestSwap <= now { return true }
    return false
  }

  /// Whether frames are held back.
  var holdsAny: Bool { !held.isEmpty || !swapping.isEmpty }

  /// Frames that were held back and are due now, in order. To be asked at `nextTime`.
  public func release(_ direction: FrameDirection, now: Nanoseconds, link: UInt64 = 0) -> [[UInt8]] {
    guard isAnyDue(now) else { return [] }
    var due = held.filter { $0.direction == direction && $0.link == link && $0.at <= now }
    due.sort { ($0.at, $0.sequence) < ($1.at, $1.sequence) }
    held.removeAll { $0.direction == direction && $0.link == link && $0.at <= now }
    var frames = due.map(\.bytes)
    for waiting in swapping
    where waiting.direction == direction && waiting.link == link && waiting.since + Self.longestSwap <= now {
      frames.append(waiting.bytes)
    }
    swapping.removeAll { $0.direction == direction && $0.link == link && $0.since + Self.longestSwap <= now }
    return frames
  }

  /// A connection is gone, and with it what was under way; `direction`: only what was under way so.
  public func connectionLost(link: UInt64 = 0, _ direction: FrameDirection? = nil) {
    held.removeAll { $0.link == link && (direction == nil || $0.direction == direction) }
    swapping.removeAll { $0.link == link && (direction == nil || $0.direction == direction) }
  }

  private func hold(_ bytes: [UInt8], _ direction: FrameDirection, _ link: UInt64, until time: Nanoseconds) {
    held.append(Held(at: time, sequence: sequence, direction: direction, link: link, bytes: bytes))
    sequence += 1
  }

  private static func refusal(_ id: UInt64?, code: Int) -> [UInt8] {
    Array(
      "{\"id\":\(id.map { "\($0)" } ?? "null"),\"error\":{\"code\":\(code),\"message\":\"a fault on purpose\"}}".utf8)
  }

  /// Requests that the venue does not get to see.
  private func answerInstead(_ text: UnsafeRawBufferPointer, _ facts: FrameFacts, _ now: Nanoseconds) -> [UInt8]? {
    guard let id = facts.id else { return nil }
    let isChange = !facts.kind.isDisjoint(with: .changes)
    var instrument: String?
    if isChange, remembersInstruments, let client = text.number(after: "\"client_order_id\":") {
      if let name = text.word(after: "\"instrument_name\":\"") { instruments[client] = name }
      instrument = instruments[client]
    }
    if let instrument, expired.contains(instrument) {
      aboutExpired += 1
      return Self.refusal(id, code: 5)
    }
    if isChange, remembersRate {
      recent.removeAll { $0 + 1_000_000_000 <= now }
      recent.append(now)
    }
    for index in list.indices {
      let timed = list[index].timed
      guard timed.at <= now, now < timed.end, !list[index].isDone else { continue }
      var code: Int?
      switch timed.fault {
      case .refuse(let kinds, let wanted):
        guard !kinds.isDisjoint(with: facts.kind), timed.permille >= 1000 || random.below(1000) < timed.permille else {
          continue
        }
        code = wanted
      case .throttle(let rate) where isChange && recent.count > rate: code = 4
      case .refuseLogins where facts.kind == .logins: code = 19
      case .halt(let name) where isChange && instrument == name: code = 37
      default: continue
      }
      guard let code else { continue }
      list[index].struck += 1
      struck += 1
      if timed.count > 0, list[index].struck >= timed.count { list[index].isDone = true }
      note?(now, timed.fault, facts.kind)
      return Self.refusal(id, code: code)
    }
    return nil
  }

  private func isFromHaltedMarket(_ text: UnsafeRawBufferPointer, _ facts: FrameFacts, _ now: Nanoseconds) -> Bool {
    guard !facts.kind.isDisjoint(with: [.tickers, .books]) else { return false }
    let name = text.prefix(80)
    if facts.kind == .books { return expired.contains { Self.names(name, $0) } }
    for entry in list where entry.timed.at <= now && now < entry.timed.end {
      if case .halt(let instrument) = entry.timed.fault, Self.names(name, instrument) { return true }
    }
    return expired.contains { Self.names(name, $0) }
  }

  private static func names(_ bytes: Slice<UnsafeRawBufferPointer>, _ instrument: String) -> Bool {
    // {"channel_name":"ticker. are 24 bytes, with book. 22; a point follows the name.
    let rest = bytes.dropFirst(bytes.dropFirst(17).first == UInt8(ascii: "b") ? 22 : 24)
    return rest.starts(with: instrument.utf8) && rest.dropFirst(instrument.utf8.count).first == 46
  }

  /// Lists of instruments and of accepted channels no longer name what has expired.
  private func withoutExpired(_ text: UnsafeRawBufferPointer, _ facts: FrameFacts) -> [UInt8]? {
    let isSnapshot = facts.kind == .instruments && text.holds("\"snapshot\":true")
    guard facts.kind == .setupAnswers || isSnapshot else { return nil }
    var plain = String(decoding: text, as: UTF8.self)
    let before = plain.utf8.count
    for name in expired {
      for opening in ["{\"added\":{\"instrument_name\":\"\(name)\"", "{\"instrument_name\":\"\(name)\""] {
        guard let start = plain.firstRange(of: opening)?.lowerBound,
          let end = plain[start...].firstRange(of: opening.hasPrefix("{\"a") ? "}}" : "}")?.upperBound
        else { continue }
        Self.cut(&plain, start..<end)
      }
      for channel in ["ticker", "book"] {
        guard let start = plain.firstRange(of: "\"\(channel).\(name).")?.lowerBound,
          let end = plain[plain.index(after: start)...].firstRange(of: "\"")?.upperBound
        else { continue }
        Self.cut(&plain, start..<end)
      }
    }
    return plain.utf8.count == before ? nil : Array(plain.utf8)
  }

  /// Takes an element out of a list, and one of its commas.
  private static func cut(_ text: inout String, _ range: Range<String.Index>) {
    if range.upperBound < text.endIndex, text[range.upperBound] == "," {
      text.removeSubrange(range.lowerBound...range.upperBound)
    } else if range.lowerBound > text.startIndex, text[text.index(before: range.lowerBound)] == "," {
      text.removeSubrange(text.index(before: range.lowerBound)..<range.upperBound)
    } else {
      text.removeSubrange(range)
    }
  }

  /// Damage that a reader can see: a checksum below has missed it, or a proxy has cut the frame.
  private func spoil(_ text: UnsafeRawBufferPointer) -> [UInt8] {
    var bytes = Array(text)
    guard bytes.count > 8 else { return [UInt8(ascii: "{")] }
    switch random.below(3) {
    case 0:
      bytes.removeLast(Int(random.within(1...Int64(bytes.count - 2))))
      // Whole characters only: a text frame that is not UTF-8 would end the connection, which is another fault.
      while let last = bytes.last, last >= 0x80 { bytes.removeLast() }
    case 1:
      // A control character is allowed nowhere in JSON.
      let place = Int(random.below(Int64(bytes.count)))
      bytes[place] = bytes[place] < 0x80 ? 0x01 : bytes[place]
    default:
      // A known word becomes an unknown one of the same length.
      if let place = bytes.place(of: "\"status\":\"") {
        for offset in 0..<4 { bytes[place + 10 + offset] = UInt8(ascii: "z") }
      } else {
        bytes.removeLast()
      }
    }
    return bytes
  }
}
