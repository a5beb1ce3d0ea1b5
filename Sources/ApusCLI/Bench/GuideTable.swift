import Foundation

/// The guide's table with our column, for people and for programs.
struct GuideTable {
  let figures: [GuideRow.Key: GuideFigure]
  /// One line.
  let machine: String

  private var rows: [(row: GuideRow, figure: GuideFigure)] {
    GuideRow.all.compactMap { row in figures[row.key].map { (row, $0) } }
  }

  private static func isMet(_ row: GuideRow, _ ours: Double) -> Bool? {
    row.ratio(ours, to: row.python).map { $0 >= GuideRow.wantedRatio }
  }

  // MARK: - Text

  func text(explain: Bool) -> String {
    var lines = [machine, "", "The guide's table; every figure of ours measured now:", ""]
    lines += aligned()
    let judged = rows.compactMap { Self.isMet($0.row, $0.figure.value) }
    lines += [
      "",
      "\(judged.count { $0 }) of the \(judged.count) rows that were measured there are at least "
        + "\(Int(GuideRow.wantedRatio)) times ahead of the Python original.",
      "guide: before → after its own improvements. Python: the Python original of the guide's system, an earlier",
      "measurement on this kind of machine and not part of this run; * \(Self.derived).",
      "Ours is in memory on one core: no network, no TLS, no kernel; lane time runs as fast as the lane does.", "",
      "What is timed:",
    ]
    for (row, figure) in rows {
      lines += Self.wrapped("\(row.title): \(row.timed).", first: "  ", rest: "    ")
      if explain { lines += Self.wrapped("measured: \(figure.conditions)", first: "    ", rest: "    ") }
    }
    return lines.joined(separator: "\n")
  }

  /// Words in lines of at most 110 columns.
  private static func wrapped(_ text: String, first: String, rest: String) -> [String] {
    var lines: [String] = []
    var line = first
    var isEmpty = true
    for word in text.split(separator: " ") {
      if !isEmpty, line.count + 1 + word.count > 110 {
        lines.append(line)
        line = rest
        isEmpty = true
      }
      line += (isEmpty ? "" : " ") + word
      isEmpty = false
    }
    return lines + [line]
  }

  private static let derived = "derived: the inverse of its reconcile figure"

  private func aligned() -> [String] {
    let header = ["row", "guide", "Python", "ours", "to guide", "to Python", "≥ \(Int(GuideRow.wantedRatio)) × Python"]
    let cells = rows.map { row, figure in
      [
        row.title, row.guideText,
        row.python.map { Self.number($0, isRate: row.isRate) + (row.pythonNote == nil ? "" : "*") } ?? "–",
        Self.number(figure.value, isRate: row.isRate), Self.times(row.ratio(figure.value, to: row.after)),
        Self.times(row.ratio(figure.value, to: row.python)),
        Self.isMet(row, figure.value).map { $0 ? "met" : "NOT MET" } ?? "–",
      ]
    }
    let widths = header.indices.map { column in ([header] + cells).map { $0[column].count }.max() ?? 0 }
    return ([header] + cells).map { line in
      line.enumerated().map { column, cell in
        let fill = String(repeating: " ", count: widths[column] - cell.count)
        // Texts to the left, figures to the right; nothing is filled at the end.
        return column == 0 ? cell + fill : column == header.count - 1 ? cell : fill + cell
      }
      .joined(separator: "  ")
    }
  }

  /// Three digits that count, with a unit.
  static func number(_ value: Double, isRate: Bool) -> String {
    if isRate {
      return value >= 1e6 ? "\(digits(value / 1e6)) M/s" : "\(Figures.grouped(UInt64(value.rounded()))) /s"
    }
    switch value {
    case ..<1000: return "\(digits(value)) ns"
    case ..<1_000_000: return "\(digits(value / 1000)) µs"
    default: return "\(digits(value / 1e6)) ms"
    }
  }

  private static func digits(_ value: Double) -> String {
    String(format: value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value)
  }

  private static func times(_ ratio: Double?) -> String {
    guard let ratio else { return "–" }
    return (ratio < 100 ? digits(ratio) : Figures.grouped(UInt64(ratio))) + " ×"
  }

  // MARK: - JSON

  /// `row`, `unit`, `ours`, `target`, `met`, `peers` (`name`, `value`) and `conditions` of each row; what there is not
  /// is null.
  func json() throws -> Data {
    func orNull(_ value: Double?) -> Any { value.map { ($0 * 1000).rounded() / 1000 } ?? NSNull() }
    let list: [[String: Any]] = rows.map { row, figure in
      let peers: [(name: String, value: Double?)] = [
        ("guide before", row.before), ("guide after", row.after), ("Python original (earlier)", row.python),
      ]
      let notes = [row.timed, figure.conditions, row.pythonNote.map { "Python: \($0)" }, machine].compactMap { $0 }
      return [
        "row": "guide: \(row.title)", "unit": row.isRate ? "/s" : "ns", "ours": orNull(figure.value),
        "target": orNull(row.target), "met": Self.isMet(row, figure.value) ?? NSNull(),
        "peers": peers.map { ["name": $0.name, "value": orNull($0.value)] as [String: Any] },
        "conditions": notes.joined(separator: "; "),
      ]
    }
    var data = try JSONSerialization.data(
      withJSONObject: list, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    data.append(10)
    return data
  }
}
