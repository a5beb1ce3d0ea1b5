/// Every key of a configuration with type, unit, range, default and meaning, from the list that the reader uses.
public enum ConfigurationExplanation {
  /// For a terminal: a heading for each section, its keys in columns.
  public static var text: String {
    var lines: [String] = []
    let rows = ConfigurationSchema.sections.map { $0.keys.map(columns) }
    let widths = (0..<5).map { column in rows.joined().map { $0[column].count }.max() ?? 0 }
    for (section, rows) in zip(ConfigurationSchema.sections, rows) {
      if !lines.isEmpty { lines.append("") }
      lines.append(heading(section))
      for row in rows {
        let cells = zip(row, widths).map { $0.padding(to: $1) }.joined(separator: "  ")
        lines.append("  \(cells)  \(row[5])")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// For documentation: a table for each section.
  public static var markdown: String {
    var lines: [String] = []
    for section in ConfigurationSchema.sections {
      if !lines.isEmpty { lines.append("") }
      lines.append("### \(section.path.isEmpty ? "Top of the file" : "`\(section.path)`")")
      lines.append("")
      lines.append(section.isRequired ? section.meaning : "\(section.meaning) May be left out.")
      lines.append("")
      lines.append("| key | type | unit | range | default | meaning |")
      lines.append("|---|---|---|---|---|---|")
      for key in section.keys {
        let row = columns(key)
        lines.append("| `\(row[0])` | " + row[1...].joined(separator: " | ") + " |")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func heading(_ section: ConfigurationSchema.Description) -> String {
    guard !section.path.isEmpty else { return "top of the file" }
    return "\(section.path): \(section.meaning)\(section.isRequired ? "" : " May be left out.")"
  }

  private static func columns(_ key: ConfigurationSchema.Description.Key) -> [String] {
    let initial: String =
      switch key.presence {
      case .required: "required"
      case .optional: "none"
      case .defaulted(let text): text
      }
    return [key.name, key.type, key.unit.isEmpty ? "–" : key.unit, key.range, initial, key.meaning]
  }
}

extension String {
  fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
