import CSupport
import Glibc

/// The first place at which a replay is not what was recorded.
public struct ReplayDifference: Sendable {
  /// What the recorded record is in a turn of the lane.
  public enum Stage: String, Sendable {
    /// What the lane was handed: a frame in, a timer, a directive, a control record, parameters.
    case input
    /// What the lane sent: a frame out.
    case decision
    /// What the lane booked: a fill, an account.
    case booking
    /// What the lane told for people.
    case note
    /// Of no known kind.
    case unknown

    init(_ kind: JournalKind?) {
      switch kind {
      case .inbound, .more, .timer, .directive, .control, .parameters, .run: self = .input
      case .outbound: self = .decision
      case .fill, .account: self = .booking
      case .note: self = .note
      case .none: self = .unknown
      }
    }
  }

  /// A value that differs.
  public struct Field: Equatable, Sendable {
    /// Of a frame its place in the JSON text, as in `params.price`; of other records as `apus_journal.h` and `apus_fill.h`
    /// name it, as in `account.bought_lots`; `kind`, `connection` and `time_ns` of any record.
    public var name: String
    public var recorded: String
    public var replayed: String
  }

  /// In the run's numbering, from 1.
  public var recordNumber: UInt64
  /// On the lane's clock, and the same moment in nanoseconds since 1970 UTC.
  public var time: Nanoseconds
  public var wallTime: Nanoseconds
  public var connection: UInt32
  public var stage: Stage
  /// What it is that differs, in a sentence.
  public var what: String
  /// Each value of the record that differs; of a text the first one. Empty for a text without names before its first
  /// difference.
  public var fields: [Field]
  /// Readable cuts of both, around the first byte that differs.
  public var recorded: String
  public var replayed: String

  /// - Parameter replayed: what the lane made instead; `nil`: nothing.
  init(
    _ record: apus_journal_record, _ kind: JournalKind?, _ payload: UnsafeRawBufferPointer,
    replayed: (kind: JournalKind, connection: UInt32, time: Nanoseconds, payload: UnsafeRawBufferPointer)?
  ) {
    recordNumber = record.record_number
    time = record.time_ns
    wallTime = record.wall_ns
    connection = record.connection
    stage = Stage(kind)
    let name = RecordText.name(kind)
    guard let replayed, replayed.kind == kind else {
      let made = replayed.map { RecordText.name($0.kind) } ?? "nothing"
      what = "recorded is \(name), the replay made \(made)"
      fields = [Field(name: "kind", recorded: name, replayed: made)]
      recorded = RecordText.cut(kind, payload, around: 0)
      self.replayed = replayed.map { RecordText.cut($0.kind, $0.payload, around: 0) } ?? "nothing"
      return
    }
    let place = Self.firstDifference(payload, replayed.payload)
    fields = place.map { RecordFields.differences(replayed.kind, payload, replayed.payload, at: $0) } ?? []
    var places = fields.map(\.name)
    if let place, RecordText.isText(kind) || fields.isEmpty {
      what = "\(name) differs\(places.first.map { " in \($0)," } ?? "") from its byte \(place) on"
      places = []
    } else {
      what = "\(name) differs in "
    }
    if record.connection != replayed.connection {
      fields.append(
        Field(name: "connection", recorded: "\(record.connection)", replayed: "\(replayed.connection)"))
      places.append("connection")
    }
    if record.time_ns != replayed.time {
      fields.append(Field(name: "time_ns", recorded: "\(record.time_ns)", replayed: "\(replayed.time)"))
      places.append("time_ns")
    }
    if what.hasSuffix(" in ") {
      what += places.joined(separator: ", ")
    } else if !places.isEmpty {
      what += ", and in \(places.joined(separator: " and "))"
    }
    recorded = RecordText.cut(kind, payload, around: place ?? 0)
    self.replayed = RecordText.cut(kind, replayed.payload, around: place ?? 0)
  }

  /// `nil` if the shorter one is the other, or its beginning as of older directives.
  private static func firstDifference(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int? {
    if JournalPlayer.areEqual(left, right) { return nil }
    let count = min(left.count, right.count)
    return (0..<count).first { left[$0] != right[$0] } ?? count
  }
}

/// The values of records, by name.
enum RecordFields {
  /// The values that differ.
  ///
  /// - Parameter place: the first byte that differs; it may be the end of one of them.
  static func differences(
    _ kind: JournalKind, _ recorded: UnsafeRawBufferPointer, _ replayed: UnsafeRawBufferPointer, at place: Int
  ) -> [ReplayDifference.Field] {
    if RecordText.isText(kind) { return textDifference(recorded, replayed, at: place).map { [$0] } ?? [] }
    guard let first = values(kind, recorded), let second = values(kind, replayed), first.count == second.count else {
      return [.init(name: "length", recorded: "\(recorded.count) bytes", replayed: "\(replayed.count) bytes")]
    }
    return zip(first, second).filter { $0.1 != $1.1 }.map { .init(name: $0.0, recorded: $0.1, replayed: $1.1) }
  }

  private typealias Values = [(String, String)]

  /// `nil` for a record of another size.
  private static func values(_ kind: JournalKind, _ payload: UnsafeRawBufferPointer) -> Values? {
    func load<Record>(_: Record.Type) -> Record? {
      payload.count == MemoryLayout<Record>.size ? payload.loadUnaligned(as: Record.self) : nil
    }
    switch kind {
    case .fill:
      if let record = load(BookedFillRecord.self) {
        return values(record.fill) + values(record.account).map { ("account.\($0)", $1) }
      }
      return load(FillRecord.self).map(values)
    case .account: return load(AccountRecord.self).map(values)
    case .directive: return JournalPlayer.directive(payload).map(values)
    case .control: return load(ControlRecord.self).map(values)
    default: return []
    }
  }

  private static func values(_ fill: FillRecord) -> Values {
    [
      ("trade_id", fill.trade_id.text), ("order_id", fill.order_id.text),
      ("price_ticks", "\(fill.price_ticks.rawValue)"),
      ("qty_lots", "\(fill.qty_lots.rawValue)"), ("fee_e8", "\(fill.fee_e8)"),
      ("venue_time_ns", "\(fill.venue_time_ns)"),
      ("instrument_index", "\(fill.instrument_index)"), ("side", fill.side == 0 ? "buy" : "sell"),
      ("is_maker", "\(fill.is_maker)"), ("has_fee", "\(fill.has_fee)"), ("is_fee_only", "\(fill.is_fee_only)"),
    ]
  }

  private static func values(_ account: AccountRecord) -> Values {
    [
      ("position_lots", "\(account.position_lots.rawValue)"), ("lot_e8", "\(account.lot_e8)"),
      ("cash_e8", "\(account.cash_e8)"), ("fees_e8", "\(account.fees_e8)"),
      ("bought_lots", "\(account.bought_lots.rawValue)"), ("sold_lots", "\(account.sold_lots.rawValue)"),
      ("traded_e8", "\(account.traded_e8)"), ("opened_ns", "\(account.opened_ns)"),
      ("included_until_ns", "\(account.included_until_ns)"),
      ("included_mark_ticks", "\(account.included_mark_ticks.rawValue)"), ("venue_time_ns", "\(account.venue_time_ns)"),
      ("fill_count", "\(account.fill_count)"), ("fills_without_fee", "\(account.fills_without_fee)"),
      ("adjustment_count", "\(account.adjustment_count)"), ("instrument_index", "\(account.instrument_index)"),
      ("is_position_known", "\(account.is_position_known)"),
    ]
  }

  private static func values(_ directive: DirectiveRecord) -> Values {
    [
      ("instrument_index", "\(directive.instrument_index)"), ("is_quoting_allowed", "\(directive.is_quoting_allowed)"),
      ("flags", "\(directive.flags)"), ("widen_permille", "\(directive.widen_permille)"),
      ("target_lots", "\(directive.target_lots)"), ("long_cap_lots", "\(directive.long_cap_lots)"),
      ("short_cap_lots", "\(directive.short_cap_lots)"), ("fair_value_e8", "\(directive.fair_value_e8)"),
      ("passive_lots", "\(directive.passive_lots)"),
    ]
  }

  private static func values(_ control: ControlRecord) -> Values {
    [
      ("control", control.kind.map(RecordText.word) ?? "\(control.control)"),
      ("is_continued", "\(control.is_continued)"),
      ("first", "\(control.first)"), ("second", "\(control.second)"), ("third", "\(control.third)"),
      ("fourth", "\(control.fourth)"),
    ]
  }

  private static func textDifference(
    _ recorded: UnsafeRawBufferPointer, _ replayed: UnsafeRawBufferPointer, at place: Int
  ) -> ReplayDifference.Field? {
    guard let found = JSONPlace(recorded, at: place) else { return nil }
    let first = JSONPlace.value(recorded, from: found.start), second = JSONPlace.value(replayed, from: found.start)
    if found.isName {
      return .init(name: found.path, recorded: "member \(first)", replayed: "member \(second)")
    }
    guard first == second else { return .init(name: found.path, recorded: first, replayed: second) }
    // The value is over: more follows in one of them.
    return .init(
      name: "what follows \(found.path)", recorded: JSONPlace.rest(recorded, from: place),
      replayed: JSONPlace.rest(replayed, from: place))
  }
}

/// Where in a JSON text a byte is. Texts that are not JSON have no names; one that has a head before its JSON has some.
struct JSONPlace {
  /// Names and indices from the outside in, as in `params.quotes[1].p`; "the frame" for the outermost.
  var path: String
  /// Where the value begins that the byte is of or behind, or the member's name.
  var start: Int
  /// The byte is of a member's name, or of where one is to come.
  var isName: Bool

  private struct Level {
    var isObject: Bool
    var name = ""
    var index = 0
  }

  /// - Returns: `nil` if no JSON object or array begins before the byte.
  init?(_ text: UnsafeRawBufferPointer, at place: Int) {
    var levels: [Level] = []
    var start = 0
    var stringStart: Int?
    var isEscaped = false
    // Between `{` or `,` and `:` of an object.
    var isName = false
    for index in 0..<min(place, text.count) {
      let byte = text[index]
      if let begin = stringStart {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          stringStart = nil
          if isName { levels[levels.count - 1].name = Self.string(text, begin + 1..<index) }
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        levels.append(Level(isObject: byte == UInt8(ascii: "{")))
        isName = byte == UInt8(ascii: "{")
        start = index + 1
      case _ where levels.isEmpty: continue
      case UInt8(ascii: "\""): stringStart = index
      case UInt8(ascii: ":"):
        isName = false
        start = index + 1
      case UInt8(ascii: ","):
        isName = levels[levels.count - 1].isObject
        levels[levels.count - 1].index += 1
        start = index + 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        levels.removeLast()
        isName = false
      default: continue
      }
    }
    guard !levels.isEmpty else { return nil }
    if isName { levels[levels.count - 1].name = "" }
    self.start = start
    self.isName = isName
    path = levels.enumerated().reduce(into: "") { path, level in
      let (place, level) = (level.offset, level.element)
      if !level.isObject {
        if !(isName && place == levels.count - 1) { path += "[\(level.index)]" }
      } else if !level.name.isEmpty {
        path += (path.isEmpty ? "" : ".") + level.name
      }
    }
    if path.isEmpty { path = "the frame" }
  }

  /// The value, or the member's name, that begins at a byte.
  static func value(_ text: UnsafeRawBufferPointer, from start: Int) -> String {
    guard start < text.count else { return "nothing" }
    var end = start
    if text[start] == UInt8(ascii: "\"") {
      var isEscaped = false
      repeat {
        isEscaped = !isEscaped && text[end] == UInt8(ascii: "\\")
        end += 1
      } while end < text.count && (isEscaped || text[end] != UInt8(ascii: "\""))
      end = min(end + 1, text.count)
    } else {
      let ends = Array(",}]".utf8)
      while end < text.count, !ends.contains(text[end]) { end += 1 }
    }
    return end == start ? rest(text, from: start) : string(text, start..<min(end, start + 80))
  }

  /// What comes from a byte on, the beginning of it.
  static func rest(_ text: UnsafeRawBufferPointer, from start: Int) -> String {
    start < text.count ? string(text, start..<min(text.count, start + 40)) : "nothing"
  }

  private static func string(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) -> String {
    String(decoding: UnsafeRawBufferPointer(rebasing: text[range]), as: UTF8.self)
  }
}
