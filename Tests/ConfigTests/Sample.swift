import Apus
import Testing

/// A small good file, to be spoiled by the tests.
enum Sample {
  static let text = """
    engine:
      name: desk_1
      data_directory: data
    venue:
      url: wss://testnet.thalex.com/ws/api/v2
      key_id: K1
      private_key_file: key.pem
    instruments:
      - name: BTC-PERPETUAL
        ladder:
          levels: 3
          half_spread_bps: 0.35
          step_ticks: 2
          size: 0.02
          skew_bps: 1
        limits:
          max_position: 0.5
          max_order: 0.1
          max_notional: 20000
          collar_bps: 20
          max_orders: 12
      - name: ETH-PERPETUAL
        ladder:
          levels: 1
          half_spread_bps: 1
          step_ticks: 1
          size: 1
          skew_bps: 0
        limits:
          max_position: 5
          max_order: 1
          max_notional: 5000
          collar_bps: 10.5
          max_orders: 2

    """

  /// The sample with the first `old` replaced, which must be there.
  static func text(_ old: String, _ new: String) -> String {
    guard let range = text.firstRange(of: old) else {
      Issue.record("the sample does not contain \(old)")
      return text
    }
    return text.replacingCharacters(in: range, with: new)
  }

  /// The messages for a text, or an empty list after a record of the surprise that it is good.
  static func problems(_ text: String, _ location: SourceLocation = #_sourceLocation) -> [String] {
    do {
      _ = try ConfigurationFile.parse(text, path: "a.yaml")
      Issue.record("no problem was found", sourceLocation: location)
      return []
    } catch {
      return error.description.split(separator: "\n").map(String.init)
    }
  }

  static func problems(_ old: String, _ new: String, _ location: SourceLocation = #_sourceLocation) -> [String] {
    problems(text(old, new), location)
  }
}

extension String {
  fileprivate func replacingCharacters(in range: Range<Index>, with other: String) -> String {
    self[..<range.lowerBound] + other + self[range.upperBound...]
  }
}
