public import CSupport
import Glibc

/// What an insert asks for besides side, price and size (protocol reference 6.1).
public struct ThalexInsertOptions: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// A crossing price is moved to one tick behind the opposite best.
  public static let postOnly = Self(rawValue: 1)
  /// With `postOnly`: the order is cancelled instead of moved.
  public static let rejectPostOnly = Self(rawValue: 2)
  public static let reduceOnly = Self(rawValue: 4)
  /// Illegal together with `postOnly`.
  public static let immediateOrCancel = Self(rawValue: 8)
}

/// What happens to a price beyond the instrument's collar. `venueDefault` leaves the member out.
public enum ThalexCollar: UInt8, Sendable {
  case venueDefault, ignore, reject, clamp
}

/// A page of the trade history (OpenAPI `private/trade_history`).
public struct ThalexTradeQuery: Sendable {
  /// At most 1000 rows.
  public var limit: Int?
  /// Seconds since the Unix epoch.
  public var timeLow: Int64?
  public var timeHigh: Int64?
  /// Where the page before ended.
  public var bookmark: String?
  public var isAscending: Bool?
  /// Comma-separated.
  public var instrumentNames: String?
  public var label: String?

  public init(
    limit: Int? = nil, timeLow: Int64? = nil, timeHigh: Int64? = nil, bookmark: String? = nil, isAscending: Bool? = nil,
    instrumentNames: String? = nil, label: String? = nil
  ) {
    self.limit = limit
    self.timeLow = timeLow
    self.timeHigh = timeHigh
    self.bookmark = bookmark
    self.isAscending = isAscending
    self.instrumentNames = instrumentNames
    self.label = label
  }
}

/// Writes requests to Thalex as JSON text into memory of the caller.
///
/// Every function returns the number of bytes written, or 0 if the text, with 32 bytes to spare, does not fit; then
/// the memory is undefined. Request ids come from `ThalexRequestID`. Prices and sizes are integers on the grid that
/// `setInstrument` was given. The four order requests allocate nothing.
///
/// Thread: one owner.
// Sendable: the memory behind its pointers is its own, and being noncopyable it has one owner.
public struct ThalexEncoder: ~Copyable, @unchecked Sendable {
  /// `,"params":{"direction":"…","instrument_name":"…","amount":` of both sides of one instrument, side by side.
  private struct Template {
    var grid: InstrumentGrid
    var start: Int
    var buyCount: Int
    var sellCount: Int
  }

  private static let templateCapacity = 320

  private let capacity: Int
  private let templates: UnsafeMutablePointer<Template>
  private let texts: UnsafeMutablePointer<CChar>
  private let label: UnsafeMutableBufferPointer<CChar>

  /// - Parameters:
  ///   - instrumentCapacity: Indexes 0 ..< instrumentCapacity can be set.
  ///   - label: Goes into every insert, empty for none; `A-Z a-z 0-9 < > | _ -`, at most 32 characters.
  public init(instrumentCapacity: Int, label: String) throws(TableError) {
    guard (1..<Int(InstrumentIndex.max)).contains(instrumentCapacity) else { throw .capacity(instrumentCapacity) }
    let isPlain = label.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x3C, 0x3E, 0x7C, 0x5F, 0x2D: true
      default: false
      }
    }
    guard isPlain, label.utf8.count <= 32 else { throw .unusableName(label) }
    capacity = instrumentCapacity
    templates = .allocate(capacity: instrumentCapacity)
    let noGrid = InstrumentGrid(tickE8: 0, lotE8: 0, minimumLots: QtyLots(rawValue: 0))
    templates.initialize(
      repeating: Template(grid: noGrid, start: 0, buyCount: 0, sellCount: 0), count: instrumentCapacity)
    texts = .allocate(capacity: instrumentCapacity * Self.templateCapacity)
    let bytes = UnsafeMutableBufferPointer<CChar>.allocate(capacity: label.utf8.count)
    _ = bytes.initialize(from: label.utf8.lazy.map { CChar(bitPattern: $0) })
    self.label = bytes
  }

  deinit {
    templates.deallocate()
    texts.deallocate()
    label.deallocate()
  }

  /// Sets or replaces the name and grid of an instrument. Cold.
  public mutating func setInstrument(_ index: InstrumentIndex, name: String, grid: InstrumentGrid) throws(TableError) {
    guard Int(index) < capacity else { throw .full(capacity: capacity) }
    guard (1...63).contains(name.utf8.count) else { throw .unusableName(name) }
    let start = Int(index) * Self.templateCapacity
    var counts: [Int] = []
    for direction in ["buy", "sell"] {
      let offset = start + counts.reduce(0, +)
      var text = ThalexText(UnsafeMutableRawBufferPointer(start: texts + offset, count: Self.templateCapacity / 2))
      text.append(",\"params\":{\"direction\":\"")
      text.appendText(direction)
      text.append("\",\"instrument_name\":")
      text.quote(name)
      text.append(",\"amount\":")
      guard text.count > 0 else { throw .unusableName(name) }
      counts.append(text.count)
    }
    templates[Int(index)] = Template(grid: grid, start: start, buyCount: counts[0], sellCount: counts[1])
  }

  // MARK: Orders

  /// `private/insert` of a limit order, under the id `ThalexRequestID.insert(clientID)`.
  ///
  /// - Parameter clientID: 1 ... `ThalexRequestID.operandLimit`.
  public func insert(
    into memory: UnsafeMutableRawBufferPointer, clientID: UInt64, instrument: InstrumentIndex, side: Side,
    price: PriceTicks, qty: QtyLots, options: ThalexInsertOptions = [], collar: ThalexCollar = .venueDefault
  ) -> Int {
    guard Int(instrument) < capacity else { return 0 }
    let template = templates[Int(instrument)]
    guard template.buyCount > 0 else { return 0 }
    var text = ThalexText(memory)
    text.append("{\"method\":\"private/insert\",\"id\":")
    text.number(ThalexRequestID.insert(clientID))
    if side == .buy {
      text.append(texts + template.start, template.buyCount)
    } else {
      text.append(texts + template.start + template.buyCount, template.sellCount)
    }
    text.decimal(qty.rawValue, template.grid.lotE8)
    text.append(",\"price\":")
    text.decimal(price.rawValue, template.grid.tickE8)
    text.append(",\"client_order_id\":")
    text.number(clientID)
    if let bytes = label.baseAddress, !label.isEmpty {
      text.append(",\"label\":\"")
      text.append(bytes, label.count)
      text.append("\"")
    }
    if options.contains(.postOnly) { text.append(",\"post_only\":true") }
    if options.contains(.rejectPostOnly) { text.append(",\"reject_post_only\":true") }
    if options.contains(.reduceOnly) { text.append(",\"reduce_only\":true") }
    if options.contains(.immediateOrCancel) { text.append(",\"time_in_force\":\"immediate_or_cancel\"") }
    text.collar(collar)
    text.append("}}")
    return text.count
  }

  /// `private/amend` by client order id; `qty` is the new total, executed part included. Id
  /// `ThalexRequestID.amend(clientID)`.
  public func amend(
    into memory: UnsafeMutableRawBufferPointer, clientID: UInt64, instrument: InstrumentIndex, price: PriceTicks,
    qty: QtyLots, collar: ThalexCollar = .venueDefault
  ) -> Int {
    guard Int(instrument) < capacity, templates[Int(instrument)].buyCount > 0 else { return 0 }
    let grid = templates[Int(instrument)].grid
    var text = ThalexText(memory)
    text.append("{\"method\":\"private/amend\",\"id\":")
    text.number(ThalexRequestID.amend(clientID))
    text.append(",\"params\":{\"client_order_id\":")
    text.number(clientID)
    text.append(",\"price\":")
    text.decimal(price.rawValue, grid.tickE8)
    text.append(",\"amount\":")
    text.decimal(qty.rawValue, grid.lotE8)
    text.collar(collar)
    text.append("}}")
    return text.count
  }

  /// `private/cancel` by client order id, under `ThalexRequestID.cancel(clientID)`.
  public func cancel(into memory: UnsafeMutableRawBufferPointer, clientID: UInt64) -> Int {
    var text = ThalexText(memory)
    text.append("{\"method\":\"private/cancel\",\"id\":")
    text.number(ThalexRequestID.cancel(clientID))
    text.append(",\"params\":{\"client_order_id\":")
    text.number(clientID)
    text.append("}}")
    return text.count
  }

  /// `private/cancel` by the venue's order id, for orders of earlier sessions.
  ///
  /// - Parameter operand: Stands for the order in the request id, `ThalexRequestID.cancel(operand)`.
  public func cancel(into memory: UnsafeMutableRawBufferPointer, venueID: VenueID, operand: UInt64) -> Int {
    var venueID = venueID
    guard venueID.count > 0 else { return 0 }
    var text = ThalexText(memory)
    text.append("{\"method\":\"private/cancel\",\"id\":")
    text.number(ThalexRequestID.cancel(operand))
    text.append(",\"params\":{\"order_id\":\"")
    let count = Int(venueID.count)
    let isPlain = withUnsafeBytes(of: &venueID) { bytes in
      text.append(bytes.baseAddress!.assumingMemoryBound(to: CChar.self), count)
      return bytes.prefix(count).allSatisfy { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C }
    }
    text.append("\"}}")
    return isPlain ? text.count : 0
  }

  // MARK: Session

  public func login(into memory: UnsafeMutableRawBufferPointer, id: UInt64, token: String, account: String? = nil)
    -> Int
  {
    request(memory, "public/login", id) { text in
      text.append("\"token\":")
      text.quote(token)
      if let account {
        text.append(",\"account\":")
        text.quote(account)
      }
    }
  }

  public func setCancelOnDisconnect(into memory: UnsafeMutableRawBufferPointer, id: UInt64, seconds: UInt64) -> Int {
    request(memory, "private/set_cancel_on_disconnect", id) { text in
      text.append("\"timeout_secs\":")
      text.number(seconds)
    }
  }

  /// `public/subscribe`, or `private/subscribe` for channels that need a login.
  public func subscribe(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, channels: [String], isPrivate: Bool
  ) -> Int {
    request(memory, isPrivate ? "private/subscribe" : "public/subscribe", id) { $0.channels(channels) }
  }

  /// Public and private channels may be mixed.
  public func unsubscribe(into memory: UnsafeMutableRawBufferPointer, id: UInt64, channels: [String]) -> Int {
    request(memory, "unsubscribe", id) { $0.channels(channels) }
  }

  public func instruments(into memory: UnsafeMutableRawBufferPointer, id: UInt64) -> Int {
    request(memory, "public/instruments", id) { _ in }
  }

  public func openOrders(into memory: UnsafeMutableRawBufferPointer, id: UInt64) -> Int {
    request(memory, "private/open_orders", id) { _ in }
  }

  public func portfolio(into memory: UnsafeMutableRawBufferPointer, id: UInt64) -> Int {
    request(memory, "private/portfolio", id) { _ in }
  }

  public func systemInfo(into memory: UnsafeMutableRawBufferPointer, id: UInt64) -> Int {
    request(memory, "public/system_info", id) { _ in }
  }

  /// Every order of the account, whoever sent it (R14).
  public func cancelAll(into memory: UnsafeMutableRawBufferPointer, id: UInt64) -> Int {
    request(memory, "private/cancel_all", id) { _ in }
  }

  /// Every non-persistent order of this session, inserts in flight included.
  public func cancelSession(into memory: UnsafeMutableRawBufferPointer, id: UInt64) -> Int {
    request(memory, "private/cancel_session", id) { _ in }
  }

  public func tradeHistory(into memory: UnsafeMutableRawBufferPointer, id: UInt64, query: ThalexTradeQuery) -> Int {
    request(memory, "private/trade_history", id) { text in
      if let limit = query.limit { text.member("limit", Int64(limit)) }
      if let low = query.timeLow { text.member("time_low", low) }
      if let high = query.timeHigh { text.member("time_high", high) }
      if let bookmark = query.bookmark { text.member("bookmark", bookmark) }
      if let isAscending = query.isAscending { text.member("sort", isAscending ? "ascending" : "descending") }
      if let names = query.instrumentNames { text.member("instrument_names", names) }
      if let label = query.label { text.member("label", label) }
    }
  }

  private func request(
    _ memory: UnsafeMutableRawBufferPointer, _ method: StaticString, _ id: UInt64, _ params: (inout ThalexText) -> Void
  ) -> Int {
    var text = ThalexText(memory)
    text.append("{\"method\":\"")
    text.append(method)
    text.append("\",\"id\":")
    text.number(id)
    text.append(",\"params\":{")
    params(&text)
    text.append("}}")
    return text.count
  }
}
