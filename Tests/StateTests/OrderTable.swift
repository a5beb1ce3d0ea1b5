import Foundation

/// The tables of `Tests/order-table.txt`: what each event does to an order in each state.
struct OrderTable {
  struct Cell: Equatable, CustomStringConvertible {
    var next: String
    /// What the account of orders answers, and its marks, as in the file's head.
    var words: [String]

    var withoutValues: Cell { Cell(next: next, words: words.filter { $0 != "values" }) }

    var description: String { ([next] + words).joined(separator: " ") }
  }

  struct Row {
    var key: String
    var text: String
    var cells: [String: Cell] = [:]
  }

  struct Malformed: Error, CustomStringConvertible {
    var description: String
  }

  private(set) var states: [String] = []
  /// Phase, request in flight and why no order is ever in that state.
  private(set) var impossible: [(phase: String, inFlight: String, why: String)] = []
  private(set) var rows: [Row] = []

  /// - Parameter name: `orders` or `quotes`.
  init(named name: String) throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "order-table.txt")
    let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
    var isWanted = false
    for (offset, line) in lines.enumerated() {
      let line = line.trimmingCharacters(in: .whitespaces)
      if line.isEmpty || line.hasPrefix("#") { continue }
      if line.hasPrefix("table ") {
        isWanted = line == "table \(name)"
        continue
      }
      guard isWanted else { continue }
      try take(line, where: "Tests/order-table.txt:\(offset + 1)")
    }
    guard !states.isEmpty, !rows.isEmpty else {
      throw Malformed(description: "Tests/order-table.txt has no table '\(name)' with states and events")
    }
  }

  private mutating func take(_ line: String, where place: String) throws {
    let words = line.split(separator: " ").map(String.init)
    switch words[0] {
    case "state":
      states.append(words[1])
    case "impossible":
      guard words.count > 3 else { throw Malformed(description: "\(place): not 'impossible PHASE IN-FLIGHT WHY'") }
      impossible.append((words[1], words[2], words[3...].joined(separator: " ")))
    case "event":
      guard words.count > 2, !rows.contains(where: { $0.key == words[1] }) else {
        throw Malformed(description: "\(place): not 'event KEY TEXT', or the key is there already")
      }
      rows.append(Row(key: words[1], text: words[2...].joined(separator: " ")))
    default:
      guard let arrow = words.firstIndex(of: "->"), arrow > 0, words.count > arrow + 1, !rows.isEmpty else {
        throw Malformed(description: "\(place): not 'STATE ... -> NEXT WORDS'")
      }
      for state in words[..<arrow] {
        let next = words[arrow + 1] == "=" ? state : words[arrow + 1]
        guard states.contains(state), states.contains(next) else {
          throw Malformed(description: "\(place): '\(state)' or '\(next)' is none of the table's states")
        }
        guard rows[rows.count - 1].cells[state] == nil else {
          throw Malformed(description: "\(place): a second cell for '\(state)'")
        }
        rows[rows.count - 1].cells[state] = Cell(next: next, words: Array(words[(arrow + 2)...]))
      }
    }
  }
}
