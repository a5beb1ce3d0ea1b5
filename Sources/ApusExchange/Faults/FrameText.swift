import Apus

/// Frames as one line for people who look for a fault.
enum FrameText {
  /// `nil` for market data, of which there is too much.
  static func news(_ text: UnsafeRawBufferPointer) -> String? {
    let kind = FrameFacts(text, .toEngine).kind
    return kind.isDisjoint(with: [.tickers, .books]) ? describe(text, .toEngine) : nil
  }

  static func describe(_ text: UnsafeRawBufferPointer, _ direction: FrameDirection) -> String {
    let facts = FrameFacts(text, direction)
    if facts.kind == .logins { return "logins" }
    let plain = String(decoding: text, as: UTF8.self)
    let head = facts.kind.text + (facts.id.map { " \(label($0))" } ?? "")
    switch facts.kind {
    case .inserts, .amends, .cancels:
      let words = ["instrument_name", "direction", "amount", "price", "order_id"].compactMap { value($0, plain[...]) }
      return "\(head) \(words.joined(separator: " "))"
    case .replies, .orders, .orderAnswers, .snapshots:
      let items = parts(plain, "{\"order_id\":")
      if items.isEmpty { return head + (facts.kind == .snapshots ? "" : " none") }
      return head + items.map { "\n             " + order($0) }.joined()
    case .trades, .tradeAnswers:
      let items = parts(plain, "{\"order_id\":")
      return head
        + (items.isEmpty ? " none" : items.suffix(8).map { "\n             " + trade($0) }.joined())
    case .positions, .positionAnswers:
      let items = parts(plain, "{\"instrument_name\":")
      return head
        + items.map { " \(value("instrument_name", $0) ?? "?") \(value("position", $0) ?? "?")" }.joined(separator: ",")
    default: return plain.count > 160 ? "\(head) \(plain.prefix(150))…" : "\(head) \(plain)"
    }
  }

  private static func label(_ id: UInt64) -> String {
    let request = RequestID.kind(of: id)
    if case .insert(let client) = request { return "#\(client) insert" }
    if case .amend(let client, let serial) = request { return "#\(client) amend \(serial)" }
    if case .cancel(let client) = request { return "#\(client) cancel" }
    if case .session(let request) = request { return "\(request) \(RequestID.serial(of: id))" }
    return request == .unknown ? "id \(id)" : "\(request)"
  }

  private static func parts(_ text: String, _ opening: String) -> [Substring] {
    var found: [Substring] = []
    var rest = text[...]
    while let place = rest.firstRange(of: opening) {
      let after = rest[place.upperBound...]
      let end = after.firstRange(of: opening)?.lowerBound ?? after.endIndex
      found.append(rest[place.lowerBound..<end])
      rest = after[end...]
    }
    return found
  }

  private static func value(_ key: String, _ text: Substring) -> String? {
    guard let place = text.firstRange(of: "\"\(key)\":") else { return nil }
    let rest = text[place.upperBound...]
    if rest.first == "\"" { return String(rest.dropFirst().prefix { $0 != "\"" }) }
    return String(rest.prefix { $0 != "," && $0 != "}" && $0 != "]" })
  }

  private static func order(_ item: Substring) -> String {
    let fills = parts(String(item), "{\"trade_id\":").map {
      "\(value("amount", $0) ?? "?") at \(value("price", $0) ?? "?") (trade …\((value("trade_id", $0) ?? "").suffix(4)))"
    }
    return "#\(value("client_order_id", item) ?? "?") \(value("instrument_name", item) ?? "") "
      + "\(value("direction", item) ?? "") \(value("amount", item) ?? "?") at \(value("price", item) ?? "?"), filled "
      + "\(value("filled_amount", item) ?? "?"), \(value("status", item) ?? "?") by \(value("change_reason", item) ?? "?")"
      + (fills.isEmpty ? "" : ", fills " + fills.joined(separator: " and "))
  }

  private static func trade(_ item: Substring) -> String {
    "#\(value("client_order_id", item) ?? "?") \(value("instrument_name", item) ?? "") "
      + "\(value("direction", item) ?? "") \(value("amount", item) ?? "?") at \(value("price", item) ?? "?"), position after "
      + "\(value("position_after", item) ?? "?") (trade …\((value("trade_id", item) ?? "").suffix(4)))"
  }
}
