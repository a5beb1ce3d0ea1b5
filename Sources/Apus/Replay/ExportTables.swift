/// What a column of an exported table holds.
public enum ExportType: String, Sendable {
  /// A whole number: a count, ticks, lots, 10⁻⁸ of the quote currency, or nanoseconds that passed.
  case integer
  case text
  /// An exact decimal with at most 8 decimals.
  case decimal
  /// Nanoseconds since 1970 UTC.
  case time
}

/// One value of a row.
public enum ExportValue: Equatable, Sendable {
  case null
  /// Also for `ExportType.time`.
  case integer(Int64)
  case text(String)
  case decimal(DecimalE8)

  static func count(_ value: Int) -> Self { .integer(Int64(value)) }
  static func maybe(_ value: Int64?) -> Self { value.map { .integer($0) } ?? .null }
  static func maybe(_ value: String?) -> Self { value.map { .text($0) } ?? .null }
}

public struct ExportColumn: Equatable, Sendable {
  public let name: String
  public let type: ExportType

  init(_ name: String, _ type: ExportType) {
    self.name = name
    self.type = type
  }
}

/// The tables that a journal is exported to; their columns, in order. Instruments have names, not numbers.
public enum ExportTable: String, CaseIterable, Sendable {
  case runs, instruments, orders
  case orderEvents = "order_events"
  case fills, quotes, spans

  public var name: String { rawValue }

  public var columns: [ExportColumn] { Self.columns[self] ?? [] }

  private static let columns: [ExportTable: [ExportColumn]] = {
    func list(_ text: String) -> [ExportColumn] {
      text.split(separator: " ").map { word in
        let parts = word.split(separator: ":").map(String.init)
        return ExportColumn(parts[0], parts.count == 1 ? .integer : ExportType(rawValue: parts[1]) ?? .text)
      }
    }
    return [
      .runs: list(
        "run began_ns:time ended_ns:time lane_duration_ns label:text strategy:text records frames_in frames_out "
          + "fill_records is_whole is_replayed problem:text"),
      .instruments: list(
        "run instrument:text kind:text tick:decimal lot:decimal tick_e8 lot_e8 position_lots bought_lots sold_lots "
          + "fills fees_e8 cash_e8"),
      .orders: list(
        "run client_id venue_id:text instrument:text side:text origin:text first_price:decimal first_price_ticks "
          + "last_price:decimal last_price_ticks size:decimal size_lots filled:decimal filled_lots amends state:text "
          + "end_reason:text sent_ns:time acknowledged_ns:time ended_ns:time"),
      .orderEvents: list(
        "run record time_ns:time connection event:text source:text client_id venue_id:text instrument:text side:text "
          + "price:decimal price_ticks size:decimal size_lots filled:decimal filled_lots status:text change:text "
          + "reason:text error_code"),
      .fills: list(
        "run record time_ns:time venue_time_ns:time trade_id:text venue_id:text client_id instrument:text side:text "
          + "price:decimal price_ticks size:decimal size_lots fee:decimal fee_e8 role:text"),
      .quotes: list(
        "run record time_ns:time instrument:text our_bid:decimal our_bid_ticks our_bid_lots our_ask:decimal "
          + "our_ask_ticks our_ask_lots bid:decimal bid_ticks bid_lots ask:decimal ask_ticks ask_lots mark:decimal"),
      .spans: list(
        "run record time_ns:time kind:text duration_ns from_record request:text outcome:text client_id instrument:text"),
    ]
  }()
}

/// Where the rows of an export go. One thread.
public protocol ExportWriter: AnyObject {
  /// - Parameter row: One value for each column of `table`.
  func write(_ row: [ExportValue], to table: ExportTable) throws
}
