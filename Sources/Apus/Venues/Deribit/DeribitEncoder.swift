public import CSupport
import Glibc

/// Writes requests to Deribit as JSON text into memory of the caller (protocol, sections 4 to 6, 10 and 15).
///
/// Every function returns the number of bytes written, or 0 if the text, with room to spare, does not fit; then the memory
/// is undefined. Request ids come from `RequestID`. Prices and amounts are integers on the grid that `setInstrument` was
/// given. The order requests allocate nothing; they want room for `orderCapacity` bytes.
///
/// Thread: one owner.
// Sendable: the memory behind its pointers is its own, and being noncopyable it has one owner.
public struct DeribitEncoder: ~Copyable, @unchecked Sendable {
  struct Template {
    var tick: DecimalUnit
    var lot: DecimalUnit
    /// `,"method":"private/buy","params":{"instrument_name":"…","type":"limit","amount":`
    var buy = FramePiece()
    var sell = FramePiece()
    /// `","instrument_name":"…","amount":`
    var named = FramePiece()
    /// `","currency":"…"}}`
    var currency = FramePiece()
    /// `{"instrument_name":"…","quote_set_id":"apus-…`
    var quote = FramePiece()

    func free() {
      buy.free()
      sell.free()
      named.free()
      currency.free()
      quote.free()
    }
  }

  /// Bytes that the venue takes for a label.
  static let labelLimit = 64
  /// More than the longest insert, amend or cancel, with the bytes that copies in whole vectors write behind it.
  static let orderCapacity = 768

  let capacity: Int
  let templates: UnsafeMutablePointer<Template>
  /// `,"label":"apus-…`, to which the tag's digits and a quote belong.
  private let label: FramePiece
  /// `"params":{"label":"apus-…`
  private let labelFirst: FramePiece
  private let labelText: String
  /// `,"method":"private/mass_quote",…,"quote_id":"` and the run's part of that.
  let quoteHead: FramePiece
  /// The group of this engine's mass quotes, within each index.
  let group: String

  /// - Parameters:
  ///   - labelPrefix: With what the labels of all lives begin; the group of the mass quotes is named after it.
  ///   - label: Of this life's orders; with a tag's digits at most `labelLimit` bytes.
  public init(instrumentCapacity: Int, labelPrefix: String? = nil, label: String) throws(TableError) {
    guard (1..<Int(InstrumentIndex.max)).contains(instrumentCapacity) else { throw .capacity(instrumentCapacity) }
    let isPlain = label.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
    guard isPlain, label.utf8.count + OrderTag.digits <= Self.labelLimit else { throw .unusableName(label) }
    labelText = label
    group = DeribitWords.group(of: labelPrefix ?? label)
    // What does not change of a mass quote, up to its serial. An answer in detail says how each order stands, and comes when
    // the matching engine has dealt with all of them.
    let run = labelPrefix.map { OrderTag.run(of: label.dropFirst($0.utf8.count)) } ?? 0
    quoteHead = FramePiece(
      #","method":"private/mass_quote","params":{"mmp_group":"\#(group)","detailed":true,"wait_for_response":true,"#
        + #""quote_id":"\#(run > 0 ? String(run) : "")"#)
    self.label = FramePiece(",\"label\":\"\(label)")
    labelFirst = FramePiece("\"params\":{\"label\":\"\(label)")
    capacity = instrumentCapacity
    templates = .allocate(capacity: instrumentCapacity)
    templates.initialize(
      repeating: Template(tick: apus_decimal_unit_make(0), lot: apus_decimal_unit_make(0)), count: instrumentCapacity)
  }

  deinit {
    for index in 0..<capacity { templates[index].free() }
    templates.deallocate()
    label.free()
    labelFirst.free()
    quoteHead.free()
  }

  /// Sets or replaces the name and grid of an instrument. Cold.
  public mutating func setInstrument(_ index: InstrumentIndex, name: String, grid: InstrumentGrid) throws(TableError) {
    guard Int(index) < capacity else { throw .full(capacity: capacity) }
    let isPlain = name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
    guard isPlain, (1...63).contains(name.utf8.count) else { throw .unusableName(name) }
    templates[Int(index)].free()
    let rest = "\"params\":{\"instrument_name\":\"\(name)\",\"type\":\"limit\",\"amount\":"
    templates[Int(index)] = Template(
      tick: apus_decimal_unit_make(grid.tickE8), lot: apus_decimal_unit_make(grid.lotE8),
      buy: FramePiece(",\"method\":\"private/buy\",\(rest)"), sell: FramePiece(",\"method\":\"private/sell\",\(rest)"),
      named: FramePiece("\",\"instrument_name\":\"\(name)\",\"amount\":"),
      currency: FramePiece("\",\"currency\":\"\(Self.currency(of: name))\"}}"),
      quote: FramePiece("{\"instrument_name\":\"\(name)\",\"quote_set_id\":\"\(labelText)"))
  }

  /// The currency under which an instrument is asked for: `USDC` of `BTC_USDC-PERPETUAL`, `BTC` of `BTC-25DEC26`
  /// (section 8).
  static func currency(of name: String) -> String {
    let pair = name.prefix { $0 != "-" }
    return String(pair.split(separator: "_").last ?? pair)
  }

  // MARK: - Orders

  public struct Options: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// A crossing price is moved behind the opposite best.
    public static let postOnly = Self(rawValue: 1)
    public static let immediateOrCancel = Self(rawValue: 2)
    public static let reduceOnly = Self(rawValue: 4)
  }

  /// `private/buy` or `private/sell` of a limit order, under the id `RequestID.insert(clientID)`.
  public func insert(
    into memory: UnsafeMutableRawBufferPointer, clientID: UInt64, instrument: InstrumentIndex, side: Side,
    price: PriceTicks, qty: QtyLots, options: Options
  ) -> Int {
    guard Int(instrument) < capacity, var text = OrderFrame(memory, Self.orderCapacity) else { return 0 }
    let template = templates + Int(instrument)
    guard template.pointee.buy.count > 0 else { return 0 }
    text.put("{\"jsonrpc\":\"2.0\",\"id\":")
    _ = text.id(clientID, RequestID.insertOperation)
    text.put(side == .buy ? template.pointee.buy : template.pointee.sell)
    text.decimal(qty.rawValue, template.pointee.lot)
    text.put(",\"price\":")
    text.decimal(price.rawValue, template.pointee.tick)
    text.put(label)
    text.tag(clientID)
    if options == .postOnly {
      text.put("\",\"post_only\":true}}")
      return text.count
    }
    // Said in any case: the default is documented in two ways (section 10.1).
    text.put(options.contains(.postOnly) ? "\",\"post_only\":true" : "\",\"post_only\":false")
    if options.contains(.reduceOnly) { text.put(",\"reduce_only\":true") }
    if options.contains(.immediateOrCancel) { text.put(",\"time_in_force\":\"immediate_or_cancel\"") }
    text.put("}}")
    return text.count
  }

  /// `private/edit` by the venue's id, or `private/edit_by_label` while that is not known; `qty` is the new total,
  /// executed part included (section 10.2). Id `RequestID.amend(clientID, serial:)`.
  ///
  /// - Parameters:
  ///   - clientID: 1 ... `RequestID.amendedLimit`.
  ///   - serial: Which amend of the order it is, 1 ... 9,999.
  public func amend(
    into memory: UnsafeMutableRawBufferPointer, clientID: UInt64, serial: UInt16, venueID: UnsafePointer<VenueID>,
    instrument: InstrumentIndex, price: PriceTicks, qty: QtyLots
  ) -> Int {
    guard Int(instrument) < capacity, var text = OrderFrame(memory, Self.orderCapacity) else { return 0 }
    let template = templates + Int(instrument)
    guard template.pointee.buy.count > 0 else { return 0 }
    text.put("{\"jsonrpc\":\"2.0\",\"id\":")
    _ = text.amendID(clientID, serial)
    if venueID.pointee.count > 0 {
      text.put(",\"method\":\"private/edit\",\"params\":{\"order_id\":\"")
      text.put(venueID.pointee)
      text.put("\",\"amount\":")
    } else {
      text.put(",\"method\":\"private/edit_by_label\",")
      text.put(labelFirst)
      text.tag(clientID)
      text.put(template.pointee.named)
    }
    text.decimal(qty.rawValue, template.pointee.lot)
    text.put(",\"price\":")
    text.decimal(price.rawValue, template.pointee.tick)
    text.put(",\"post_only\":true}}")
    return text.count
  }

  /// `private/cancel` by the venue's id, or `private/cancel_by_label` while that is not known. The first is answered by
  /// the order, the second by a count.
  public func cancel(
    into memory: UnsafeMutableRawBufferPointer, clientID: UInt64, venueID: UnsafePointer<VenueID>,
    instrument: InstrumentIndex
  ) -> Int {
    guard var text = OrderFrame(memory, Self.orderCapacity) else { return 0 }
    text.put("{\"jsonrpc\":\"2.0\",\"id\":")
    _ = text.id(clientID, RequestID.cancelOperation)
    if venueID.pointee.count > 0 {
      text.put(",\"method\":\"private/cancel\",\"params\":{\"order_id\":\"")
      text.put(venueID.pointee)
      text.put("\"}}")
      return text.count
    }
    guard Int(instrument) < capacity, templates[Int(instrument)].currency.count > 0 else { return 0 }
    text.put(",\"method\":\"private/cancel_by_label\",")
    text.put(labelFirst)
    text.tag(clientID)
    text.put(templates[Int(instrument)].currency)
    return text.count
  }

  // MARK: - The session

  /// `public/auth` with `credentials`, the members that `DeribitCredentials` makes.
  func login(into memory: UnsafeMutableRawBufferPointer, credentials: String) -> Int {
    request(memory, RequestID.session(.login), "public/auth") {
      $0.append("\"grant_type\":\"client_signature\",")
      $0.appendText(credentials)
    }
  }

  func setHeartbeat(into memory: UnsafeMutableRawBufferPointer, seconds: Int64) -> Int {
    request(memory, RequestID.session(.heartbeat), "public/set_heartbeat") { $0.member("interval", seconds) }
  }

  /// What a `test_request` wants to hear.
  func test(into memory: UnsafeMutableRawBufferPointer, serial: UInt64) -> Int {
    request(memory, RequestID.session(.systemInfo, serial: serial), "public/test") { _ in }
  }

  func cancelOnDisconnect(into memory: UnsafeMutableRawBufferPointer) -> Int {
    request(memory, RequestID.session(.cancelOnDisconnect), "private/enable_cancel_on_disconnect") {
      $0.member("scope", "connection")
    }
  }

  func accountSummary(into memory: UnsafeMutableRawBufferPointer, currency: String) -> Int {
    request(memory, RequestID.session(.accountSummary), "private/get_account_summary") {
      $0.member("currency", currency)
    }
  }

  func instrument(into memory: UnsafeMutableRawBufferPointer, name: String, serial: UInt64) -> Int {
    request(memory, RequestID.session(.instrument, serial: serial), "public/get_instrument") {
      $0.member("instrument_name", name)
    }
  }

  func subscribe(into memory: UnsafeMutableRawBufferPointer, id: UInt64, channels: [String], isPrivate: Bool) -> Int {
    request(memory, id, isPrivate ? "private/subscribe" : "public/subscribe") { $0.channels(channels) }
  }

  func unsubscribe(into memory: UnsafeMutableRawBufferPointer, id: UInt64, channel: String) -> Int {
    request(memory, id, "public/unsubscribe") { $0.channels([channel]) }
  }

  func openOrders(into memory: UnsafeMutableRawBufferPointer, id: UInt64) -> Int {
    request(memory, id, "private/get_open_orders") { _ in }
  }

  func positions(into memory: UnsafeMutableRawBufferPointer, id: UInt64) -> Int {
    request(memory, id, "private/get_positions") { _ in }
  }

  /// Executions of one currency, oldest first. Times are milliseconds since the Unix epoch.
  func trades(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, currency: String, from: Int64, until: Int64, count: Int64
  ) -> Int {
    request(memory, id, "private/get_user_trades_by_currency_and_time") {
      $0.member("currency", currency)
      $0.member("start_timestamp", from)
      $0.member("end_timestamp", until)
      $0.member("count", count)
      $0.member("sorting", "asc")
    }
  }

  func request(
    _ memory: UnsafeMutableRawBufferPointer, _ id: UInt64, _ method: StaticString,
    _ parameters: (inout RequestText) -> Void
  ) -> Int {
    var text = RequestText(memory)
    text.append("{\"jsonrpc\":\"2.0\",\"id\":")
    text.number(id)
    text.append(",\"method\":\"")
    text.append(method)
    text.append("\",\"params\":{")
    text.beginObject()
    parameters(&text)
    text.append("}}")
    return text.count
  }
}
