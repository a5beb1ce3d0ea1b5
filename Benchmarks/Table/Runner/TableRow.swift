import Foundation
import Pieces

/// A row in the JSON of another program: `row` and `unit` are needed, the rest may be missing or null.
struct OtherRow: Decodable {
  struct Peer: Decodable {
    var name: String
    var value: Double?
  }

  /// A number, or a text that says it.
  enum Target: Decodable {
    case number(Double)
    case text(String)

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let number = try? container.decode(Double.self) {
        self = .number(number)
      } else {
        self = .text(try container.decode(String.self))
      }
    }
  }

  var row: String
  var unit: String
  var ours: Double?
  var target: Target?
  var met: Bool?
  var peers: [Peer]?
  var conditions: String?
}

/// One printed line, from this program or from another one's JSON file.
struct TableRow {
  struct Peer {
    var name: String
    var value: Double?
  }

  var row: String
  var unit: String
  /// `nil`: not measurable now, or not built.
  var ours: Double?
  var target: String?
  var targetValue: Double?
  var met: Bool?
  var peers: [Peer]
  var conditions: String
  /// Printed below the row.
  var remark: String?
  var isMoreBetter = false

  static let earlierMark = " (earlier measurement on this kind of machine)"

  /// Ours over the best peer measured in this run: below 1 is better, whatever the unit.
  var ratio: Double? {
    let floors: Set<String> = [bounceName, "bare rdtsc"]
    let values = peers.filter { !floors.contains($0.name) && !$0.name.hasSuffix(Self.earlierMark) }
      .compactMap(\.value).filter { $0 > 0 }
    guard let ours, ours > 0, let best = isMoreBetter ? values.max() : values.min() else { return nil }
    return isMoreBetter ? best / ours : ours / best
  }

  /// The figures of one row's piece.
  init(_ row: Row, _ result: PieceResult) {
    self.row = row.title
    unit = row.unit
    func shown(_ nanoseconds: Double?) -> Double? {
      guard case .millionsPerSecond = row.statistic else { return nanoseconds }
      return nanoseconds.map { 1000 / $0 }
    }
    if case .percentile(let percent) = row.statistic {
      ours = result.samples.isEmpty ? nil : Double(Statistics.percentile(percent, of: result.samples))
    } else {
      ours = shown(result.oursMedian)
    }
    if case .millionsPerSecond = row.statistic { isMoreBetter = true }
    peers = result.peers.map { Peer(name: $0.name, value: shown($0.median)) }
    var conditions = result.conditions
    if let spread = result.spread, spread > 0 {
      conditions.append("half the quartile distance \(Self.percent(spread))")
    }
    if !row.note.isEmpty { conditions.insert(row.note, at: 0) }
    self.conditions = conditions.joined(separator: "; ")
    addEarlier(row)
    judge(row.target)
    remark = Self.remark(row, result, isMissing: ours == nil)
  }

  /// A row that no piece runs.
  init(_ row: Row, ours: Double?, conditions: String, isMoreBetter: Bool = false) {
    self.row = row.title
    unit = row.unit
    self.ours = ours
    self.isMoreBetter = isMoreBetter
    peers = []
    self.conditions = conditions
    remark = ours == nil ? conditions : nil
    addEarlier(row)
    judge(row.target)
  }

  private static func remark(_ row: Row, _ result: PieceResult, isMissing: Bool) -> String? {
    switch row.statistic {
    case .percentile(99.9): result.conditions.last
    case .percentile: nil
    default: isMissing || result.conditions.contains { $0.contains("dropped") } ? result.conditions.last : nil
    }
  }

  /// Figures of peers that this run did not measure.
  private mutating func addEarlier(_ row: Row) {
    for earlier in row.earlier
    where !peers.contains(where: { $0.value != nil && $0.name.lowercased().hasPrefix(earlier.name.lowercased()) }) {
      peers.append(Peer(name: earlier.name + Self.earlierMark, value: earlier.value))
    }
  }

  private mutating func judge(_ target: Target?) {
    switch target {
    case nil: break
    case .atMost(let limit):
      self.target = "≤ \(Self.number(limit))"
      targetValue = limit
      met = ours.map { $0 <= limit }
    case .atLeast(let limit):
      self.target = "≥ \(Self.number(limit))"
      targetValue = limit
      met = ours.map { $0 >= limit }
    case .atMostTimes(let factor, let name):
      self.target = "≤ \(String(format: "%.2f", factor)) × \(name)"
      guard let floor = peers.first(where: { $0.name == name })?.value else { return }
      targetValue = factor * floor
      met = ours.map { $0 <= factor * floor }
    }
  }

  // MARK: JSON

  /// A row of another program.
  init(_ other: OtherRow) {
    row = other.row
    unit = other.unit
    ours = other.ours
    isMoreBetter = other.unit.hasSuffix("/s")
    switch other.target {
    case .number(let number)?:
      targetValue = number
      target = (isMoreBetter ? "≥ " : "≤ ") + Self.number(number)
    case .text(let text)?: target = text
    case nil: break
    }
    met = other.met
    peers = (other.peers ?? []).map { Peer(name: $0.name, value: $0.value) }
    conditions = other.conditions ?? ""
    remark = ours == nil && !conditions.isEmpty ? conditions : nil
  }

  func json(machine: String) -> [String: Any] {
    func orNull(_ value: Any?) -> Any { value ?? NSNull() }
    func rounded(_ value: Double?) -> Any { orNull(value.map { ($0 * 1000).rounded() / 1000 }) }
    return [
      "row": row, "unit": unit, "ours": rounded(ours),
      "target": targetValue == nil ? orNull(target) : rounded(targetValue), "met": orNull(met),
      "peers": peers.map { ["name": $0.name, "value": rounded($0.value)] as [String: Any] },
      "conditions": [conditions, machine].filter { !$0.isEmpty }.joined(separator: "; "),
    ]
  }

  // MARK: Text

  static func number(_ value: Double) -> String {
    if value != 0, abs(value) < 10 {
      return value == value.rounded() ? String(Int(value)) : String(format: "%.2f", value)
    }
    if abs(value) < 100 { return value == value.rounded() ? String(Int(value)) : String(format: "%.1f", value) }
    var digits = String(Int(value.rounded()).magnitude)
    var place = digits.count - 3
    while place > 0 {
      digits.insert(",", at: digits.index(digits.startIndex, offsetBy: place))
      place -= 3
    }
    return (value < 0 ? "-" : "") + digits
  }

  static func percent(_ share: Double) -> String { String(format: "%.1f %%", 100 * share) }

  private var cells: [String] {
    let peers = peers.map { peer in
      let isEarlier = peer.name.hasSuffix(Self.earlierMark)
      let name = isEarlier ? String(peer.name.dropLast(Self.earlierMark.count)) : peer.name
      let value = peer.value.map { Self.number($0) } ?? "not measurable now"
      return isEarlier ? "[\(name) \(value)]" : "\(name) \(value)"
    }
    return [
      row, unit, ours.map { Self.number($0) } ?? "–", target ?? "–",
      met.map { $0 ? "yes" : "NO" } ?? "–", ratio.map { String(format: "%.2f", $0) } ?? "–",
      peers.joined(separator: ", "),
    ]
  }

  private static let header = ["row", "unit", "ours", "target", "met", "ours/best peer", "peers"]

  /// The rows as one aligned table.
  static func text(_ rows: [TableRow]) -> String {
    let lines = [header] + rows.map(\.cells)
    let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
      let padded = cells.enumerated().map { column, cell in
        let fill = String(repeating: " ", count: widths[column] - cell.count)
        // Figures to the right, texts to the left; the last column is not filled.
        return column == 2 || column == 5 ? fill + cell : column == cells.count - 1 ? cell : cell + fill
      }
      return cells[cells.count - 1].isEmpty
        ? padded.dropLast().joined(separator: "  ") : padded.joined(separator: "  ")
    }
    var text = line(header) + "\n"
    for (row, cells) in zip(rows, lines.dropFirst()) {
      text += line(cells) + "\n"
      if let remark = row.remark { text += "    " + remark + "\n" }
    }
    return text
  }
}
