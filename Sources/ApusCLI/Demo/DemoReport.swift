import Apus
import ApusExchange
import Foundation

/// What a demo amounted to, as JSON for scripts. Keys are stable; new ones may come.
struct DemoReport: Codable {
  struct Latency: Codable {
    var p50: Int64
    var p99: Int64
    var p999: Int64
    var max: Int64
  }

  var booksEqual: Bool
  var comparison: [BooksComparison.Item]
  var unknownOrders: Int
  var ordersLeft: Int
  var fills: Int
  /// Of the first instrument, 0 ... 1.
  var quotedShare: Double
  /// By the engine's own count, and by the venue's record of the largest position and worst case.
  var limitBreaches: Int
  /// By the venue's count.
  var rateViolations: Int
  var messagesPerMinute: Double
  var tickToOrderNs: Latency
  var seconds: Double
  var engine: EngineReport
  var venue: AccountBooks?
  /// With several venues: the books of each, in the order of `engine.lanes`.
  var venues: [AccountBooks?] = []
  /// Venues whose process ended before the engine's: their books are gone with them, and not compared.
  var lostVenues: [String]

  /// - Parameters:
  ///   - venues: the books of each of the engine's venues.
  ///   - lost: the names of those that ended early.
  init(engine: EngineReport, venues: [AccountBooks?], lost: [String] = []) {
    lostVenues = lost
    let lanes = engine.lanes.isEmpty ? [engine] : engine.lanes.map(\.withoutVenueNames)
    let compared = BooksComparison(engine: engine, venues: venues, lost: lost)
    comparison = compared.items
    booksEqual = compared.isEqual
    unknownOrders = engine.unknownOrders
    ordersLeft = engine.ordersLeft
    fills = engine.instruments.reduce(0) { $0 + $1.fills }
    quotedShare = engine.instruments.first?.quotedShare ?? 0
    var breaches = engine.limitBreaches
    for (lane, venue) in zip(lanes, venues) {
      for instrument in lane.instruments where instrument.limitLots > 0 {
        guard let position = venue?.positions.first(where: { $0.instrument == instrument.name }) else { continue }
        if position.maximumLots > instrument.limitLots { breaches += 1 }
        if max(position.worstLongLots, position.worstShortLots) > instrument.limitLots { breaches += 1 }
      }
    }
    limitBreaches = breaches
    rateViolations = venues.reduce(0) { $0 + Int($1?.rateViolations ?? 0) }
    messagesPerMinute = engine.messagesPerMinute
    tickToOrderNs = Latency(
      p50: engine.tickToOrder.p50, p99: engine.tickToOrder.p99, p999: engine.tickToOrder.p999,
      max: engine.tickToOrder.max)
    seconds = engine.seconds
    self.engine = engine
    venue = venues.first ?? nil
    if venues.count > 1 { self.venues = venues }
  }

  enum CodingKeys: String, CodingKey {
    case booksEqual = "books_equal"
    case comparison
    case unknownOrders = "unknown_orders"
    case ordersLeft = "orders_left"
    case fills
    case quotedShare = "quoted_share"
    case limitBreaches = "limit_breaches"
    case rateViolations = "rate_violations"
    case messagesPerMinute = "messages_per_minute"
    case tickToOrderNs = "tick_to_order_ns"
    case seconds, engine, venue, venues
    case lostVenues = "lost_venues"
  }

  func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self)
  }

  /// The comparison as a table, its last line the verdict.
  var comparisonText: String {
    var lines = ["books            \(Self.pad("engine", 22))\(Self.pad("venue", 22))"]
    for item in comparison {
      lines.append(
        "  \(Self.pad(item.name, 38))\(Self.pad(item.engine, 18))\(Self.pad(item.venue, 18))\(item.isEqual ? "equal" : "DIFFERENT")"
      )
    }
    lines[0] = "  \(Self.pad("books", 38))\(Self.pad("engine", 18))\(Self.pad("venue", 18))"
    let different = comparison.filter { !$0.isEqual }.count
    lines.append(
      booksEqual
        ? "books equal in all \(comparison.count) items; limit breaches \(limitBreaches), rate violations at the venue \(rateViolations), unknown orders \(unknownOrders)"
        : "books DIFFER in \(different) of \(comparison.count) items")
    return lines.joined(separator: "\n")
  }

  private static func pad(_ text: String, _ width: Int) -> String {
    text.count >= width ? text + " " : text + String(repeating: " ", count: width - text.count)
  }
}
