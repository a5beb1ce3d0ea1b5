import Apus
import Foundation

/// The venue's side of one instrument's mass quotes: what stands, and what it says to a request. Recording only.
struct QuoteBooks {
  private struct Standing {
    var id: String
    var price: String
    var amount: String
  }
  private var bids: [Standing] = []
  private var asks: [Standing] = []
  private var count = 0

  /// The order feed's items and the reply, as the venue sends them; `nil` for another request.
  mutating func answers(to request: String, id: String) -> [String]? {
    guard request.contains("\"private/mass_quote\""),
      let object = try? JSONSerialization.jsonObject(with: Data(request.utf8)) as? [String: Any],
      let params = object["params"] as? [String: Any], let quotes = params["quotes"] as? [[String: Any]],
      let entry = quotes.first
    else { return nil }
    var items: [String] = []
    var sides = 0
    if let levels = entry["b"] as? [[NSNumber]] { sides += Self.replace(&bids, &count, "buy", levels, &items) }
    if let levels = entry["a"] as? [[NSNumber]] { sides += Self.replace(&asks, &count, "sell", levels, &items) }
    let feed = "{\"channel_name\":\"session.orders\",\"notification\":[\(items.joined(separator: ","))]}"
    let reply = "{\"id\":\(id),\"result\":{\"n_success\":\(sides),\"n_fail\":0,\"errors\":[]}}"
    return items.isEmpty ? [reply] : [feed, reply]
  }

  private static func replace(
    _ side: inout [Standing], _ count: inout Int, _ direction: String, _ levels: [[NSNumber]], _ items: inout [String]
  ) -> Int {
    var kept: [Standing] = []
    var opened: [Standing] = []
    for level in levels {
      let (price, amount) = (level[0].stringValue, level[1].stringValue)
      if let standing = side.first(where: { $0.price == price && $0.amount == amount }) {
        kept.append(standing)
      } else {
        count += 1
        let id = String(count, radix: 16, uppercase: true)
        opened.append(
          Standing(id: String(repeating: "0", count: 16 - id.count) + id, price: price, amount: amount))
      }
    }
    for standing in side where !kept.contains(where: { $0.id == standing.id }) {
      items.append(item(standing, direction, isOpen: false))
    }
    for standing in opened { items.append(item(standing, direction, isOpen: true)) }
    side = kept + opened
    return levels.count
  }

  private static func item(_ order: Standing, _ direction: String, isOpen: Bool) -> String {
    "{\"order_id\":\"\(order.id)\",\"order_type\":\"limit\",\"time_in_force\":\"good_till_cancelled\","
      + "\"instrument_name\":\"\(LaneScript.instrument)\",\"direction\":\"\(direction)\",\"price\":\(order.price),"
      + "\"amount\":\(order.amount),\"filled_amount\":0,\"remaining_amount\":\(isOpen ? order.amount : "0"),"
      + "\"label\":\"\(LaneSettings().label)\",\"status\":\"\(isOpen ? "open" : "cancelled")\",\"fills\":[],"
      + "\"change_reason\":\"\(isOpen ? "insert" : "cancel")\",\"insert_reason\":\"client_request\","
      + "\"create_time\":1776715498.201377,\"persistent\":false"
      + (isOpen ? "}" : ",\"delete_reason\":\"replaced\",\"close_time\":1776715499.1}")
  }
}
