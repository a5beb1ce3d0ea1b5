import Foundation

/// One row of the table, and of the JSON file.
struct Row: Codable {
  struct Peer: Codable {
    var name: String
    var value: Double
  }

  var row: String
  var unit: String
  var ours: Double
  /// `nil`: shown for itself, there is nothing to meet.
  var target: Double?
  var met: Bool?
  var peers: [Peer] = []
  var conditions: String

  init(
    _ row: String, unit: String, ours: Double, target: Double? = nil, peers: [Peer] = [], conditions: String
  ) {
    func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
    self.row = row
    self.unit = unit
    self.ours = rounded(ours)
    self.target = target
    met = target.map { ours <= $0 }
    self.peers = peers.map { Peer(name: $0.name, value: rounded($0.value)) }
    self.conditions = conditions
  }

  private enum CodingKeys: String, CodingKey {
    case row, unit, ours, target, met, peers, conditions
  }

  /// All members in every row: `null` where there is no target.
  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(row, forKey: .row)
    try container.encode(unit, forKey: .unit)
    try container.encode(ours, forKey: .ours)
    try container.encode(target, forKey: .target)
    try container.encode(met, forKey: .met)
    try container.encode(peers, forKey: .peers)
    try container.encode(conditions, forKey: .conditions)
  }
}

/// A table of text: the first column to the left, the others to the right.
struct TextTable {
  private var lines: [[String]]
  init(_ heads: [String]) { lines = [heads] }
  mutating func add(_ cells: [String]) { lines.append(cells) }

  var text: String {
    let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { line in
      line.indices.map { column in
        let pad = String(repeating: " ", count: widths[column] - line[column].count)
        return column == 0 ? line[column] + pad : pad + line[column]
      }.joined(separator: "  ")
    }.joined(separator: "\n")
  }
}

func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
