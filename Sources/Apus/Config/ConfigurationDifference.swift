import FoundationEssentials

/// A key whose value is another one in a second configuration.
public struct ConfigurationDifference: Equatable, Sendable, CustomStringConvertible {
  /// As in a file: `venues[1].instruments[0].ladder.half_spread_bps`.
  public var key: String
  /// As in a file; `nil`: it is not there.
  public var before: String?
  public var after: String?

  public var description: String { "\(key) \(before ?? "nothing") → \(after ?? "nothing")" }
}

extension Configuration {
  /// What is other in `new`, in the order of the keys.
  public func differences(to new: Configuration) -> [ConfigurationDifference] {
    let (before, after) = (leaves, new.leaves)
    return Set(before.keys).union(after.keys).sorted().compactMap {
      before[$0] == after[$0] ? nil : ConfigurationDifference(key: $0, before: before[$0], after: after[$0])
    }
  }

  private var leaves: [String: String] {
    guard let data = try? JSONEncoder().encode(self), let node = try? JSONDecoder().decode(Node.self, from: data) else {
      return [:]
    }
    var leaves: [String: String] = [:]
    node.collect("", &leaves)
    return leaves
  }

  private enum Node: Decodable {
    case mapping([String: Node])
    case list([Node])
    case leaf(String)

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      if let mapping = try? value.decode([String: Node].self) {
        self = .mapping(mapping)
      } else if let list = try? value.decode([Node].self) {
        self = .list(list)
      } else if let text = try? value.decode(String.self) {
        self = .leaf(text)
      } else if let number = try? value.decode(Int.self) {
        self = .leaf("\(number)")
      } else {
        self = .leaf(value.decodeNil() ? "none" : "\(try value.decode(Bool.self))")
      }
    }

    func collect(_ path: String, _ leaves: inout [String: String]) {
      switch self {
      case .leaf(let text): leaves[path] = text
      case .mapping(let entries):
        for (key, node) in entries { node.collect(path.isEmpty ? key : "\(path).\(key)", &leaves) }
      case .list(let nodes):
        for (index, node) in nodes.enumerated() { node.collect("\(path)[\(index)]", &leaves) }
      }
    }
  }
}
