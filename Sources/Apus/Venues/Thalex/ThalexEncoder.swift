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

/// What a mass quote asks for; it holds for every side in it (protocol reference 6.5).
public struct ThalexMassQuoteOptions: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// A crossing price is moved away until it does not cross.
  public static let postOnly = Self(rawValue: 1)
  /// With `postOnly`: the quote is removed instead of moved.
  public static let rejectPostOnly = Self(rawValue: 2)
}

/// How the sides of a mass quote are written. Both replace the side; the venue reads either.
public enum ThalexMassQuoteForm: Sendable {
  /// `[[price,amount],…]`, up to 10 levels.
  case ladder
  /// `{"p":price,"a":amount}`, one level at most; an amount of 0 takes the quote away. An empty side is written as an
  /// empty ladder, because the object form has no word for it.
  case singleLevel
}

/// What happens to a price beyond the instrument's collar. `venueDefault` leaves the member out.
public enum ThalexCollar: UInt8, Sendable {
  case venueDefault, ignore, reject, clamp
}

/// What happens when an order of ours would trade with another of ours; the owner of the orders has to be enabled for
/// anything but the venue's own choice (protocol reference 8.6). `venueDefault` leaves the members out.
public struct ThalexSelfTrade: Equatable, Sendable {
  /// Whose orders count as ours.
  public enum Level: UInt8, Sendable, CaseIterable { case venueDefault, customer, account, disabled }
  /// Whether the incoming order may trade until it meets one of ours, or not at all.
  public enum Action: UInt8, Sendable, CaseIterable { case venueDefault, partialFill, noFill }
  public var level: Level { Level(rawValue: bits & 3) ?? .venueDefault }
  public var action: Action { Action(rawValue: bits >> 2) ?? .venueDefault }
  /// One byte, so that the usual choice is one comparison.
  private let bits: UInt8

  public init(level: Level = .venueDefault, action: Action = .venueDefault) {
    bits = level.rawValue | action.rawValue << 2
  }

  @inline(__always)
  var isVenueDefault: Bool { bits == 0 }

  public static let venueDefault = Self()
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

/// One entry of a mass quote (protocol reference 6.5).
public typealias ThalexMassQuote = MassQuote

/// Writes requests to Thalex as JSON text into memory of the caller.
///
/// Every function returns the number of bytes written, or 0 if the text, with 32 bytes to spare, does not fit; then
/// the memory is undefined. Request ids come from `RequestID`. Prices and sizes are integers on the grid that
/// `setInstrument` was given. The order requests allocate nothing: all that does not change from one to the next has
/// been written once, and is copied in whole vectors round the numbers; they want room for `orderCapacity` bytes.
///
/// Thread: one owner.
// Sendable: the memory behind its pointers is its own, and being noncopyable it has one owner.
public struct ThalexEncoder: ~Copyable, @unchecked Sendable {
  /// What the frames of one instrument have in common, and its grid.
  private struct Template {
    var tick: DecimalUnit
    var lot: DecimalUnit
    /// `,"params":{"direction":"buy","instrument_name":"…","amount":`
    var buy = FramePiece()
    var sell = FramePiece()
    /// The quoted name.
    var name = FramePiece()
    /// `{"i":"…"` in a mass quote.
    var quoted = FramePiece()

    func free() {
      buy.free()
      sell.free()
      name.free()
      quoted.free()
    }
  }

  /// A protection group: its name, and what one lot of it is.
  private struct Product {
    var name = FramePiece()
    var lot: DecimalUnit
  }

  /// More than the longest insert, amend or cancel, with the bytes that copies in whole vectors write behind it.
  public static let orderCapacity = 640
  /// What a mass quote takes: for itself, for each instrument, for each level.
  private static let massQuoteBytes = (itself: 320, instrument: 128, level: 56)
  /// The most that a mass quote of so many instruments and levels in all takes.
  public static func massQuoteCapacity(instruments: Int, levels: Int) -> Int {
    massQuoteBytes.itself + instruments * massQuoteBytes.instrument + levels * massQuoteBytes.level
  }

  private let capacity: Int
  private let templates: UnsafeMutablePointer<Template>
  /// `,"label":"…"`, empty without a label; the same with `,"post_only":true}}` behind it.
  private let label: FramePiece
  private let postOnlyEnd: FramePiece
  /// `],"label":"…","post_only":true}}`
  private let massQuoteEnd: FramePiece
  private let products: UnsafeMutablePointer<Product>

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
    let member = label.isEmpty ? "" : ",\"label\":\"\(label)\""
    self.label = FramePiece(member)
    postOnlyEnd = FramePiece(member + ",\"post_only\":true}}")
    massQuoteEnd = FramePiece("]" + member + ",\"post_only\":true}}")
    capacity = instrumentCapacity
    products = .allocate(capacity: ThalexDecoder.productCapacity)
    products.initialize(
      repeating: Product(lot: apus_decimal_unit_make(0)), count: ThalexDecoder.productCapacity)
    templates = .allocate(capacity: instrumentCapacity)
    templates.initialize(
      repeating: Template(tick: apus_decimal_unit_make(0), lot: apus_decimal_unit_make(0)), count: instrumentCapacity)
  }

  deinit {
    for index in 0..<capacity { templates[index].free() }
    templates.deallocate()
    for index in 0..<ThalexDecoder.productCapacity { products[index].name.free() }
    products.deallocate()
    label.free()
    postOnlyEnd.free()
    massQuoteEnd.free()
  }

  /// Sets or replaces the name and grid of an instrument. Cold.
  public mutating func setInstrument(_ index: InstrumentIndex, name: String, grid: InstrumentGrid) throws(TableError) {
    guard Int(index) < capacity else { throw .full(capacity: capacity) }
    guard (1...63).contains(name.utf8.count) else { throw .unusableName(name) }
    // The name with its quotes; escapes make it longer than a frame has room for only if it is no name at all.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 512, alignment: 1)
    defer { memory.deallocate() }
    var text = RequestText(memory)
    text.quote(name)
    guard (1...80).contains(text.count) else { throw .unusableName(name) }
    let quoted = String(decoding: memory[..<text.count], as: UTF8.self)
    templates[Int(index)].free()
    templates[Int(index)] = Template(
      tick: apus_decimal_unit_make(grid.tickE8), lot: apus_decimal_unit_make(grid.lotE8),
      buy: FramePiece(",\"params\":{\"direction\":\"buy\",\"instrument_name\":\(quoted),\"amount\":"),
      sell: FramePiece(",\"params\":{\"direction\":\"sell\",\"instrument_name\":\(quoted),\"amount\":"),
      name: FramePiece(quoted), quoted: FramePiece("{\"i\":\(quoted)"))
  }

  /// Sets or replaces the name of a protection group and the lot in which its amounts are counted, which
  /// `ThalexDecoder.lotE8(ofProduct:)` gives. Cold.
  public mutating func setProduct(_ index: ProductIndex, name: String, lotE8: Int64) throws(TableError) {
    guard Int(index) < ThalexDecoder.productCapacity else { throw .full(capacity: ThalexDecoder.productCapacity) }
    guard (1...63).contains(name.utf8.count), name.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C }) else {
      throw .unusableName(name)
    }
    products[Int(index)].name.free()
    products[Int(index)] = Product(name: FramePiece("\"product\":\"\(name)\""), lot: apus_decimal_unit_make(lotE8))
  }

  // MARK: Orders

  /// `private/insert` of a limit order, under the id `RequestID.insert(clientID)`.
  ///
  /// - Parameter clientID: 1 ... `RequestID.operandLimit`.
  public func insert(
    into memory: UnsafeMutableRawBufferPointer, clientID: UInt64, instrument: InstrumentIndex, side: Side,
    price: PriceTicks, qty: QtyLots, options: ThalexInsertOptions = [], collar: ThalexCollar = .venueDefault,
    selfTrade: ThalexSelfTrade = .venueDefault
  ) -> Int {
    guard Int(instrument) < capacity, var text = OrderFrame(memory, Self.orderCapacity) else { return 0 }
    let template = templates + Int(instrument)
    guard template.pointee.buy.count > 0 else { return 0 }
    text.put("{\"method\":\"private/insert\",\"id\":")
    let digits = text.id(clientID, RequestID.insertOperation)
    text.put(side == .buy ? template.pointee.buy : template.pointee.sell)
    text.decimal(qty.rawValue, template.pointee.lot)
    text.put(",\"price\":")
    text.decimal(price.rawValue, template.pointee.tick)
    text.put(",\"client_order_id\":")
    text.put(digits)
    if options == .postOnly, collar == .venueDefault, selfTrade.isVenueDefault {
      text.put(postOnlyEnd)
      return text.count
    }
    text.put(label)
    if options.contains(.postOnly) { text.put(",\"post_only\":true") }
    if options.contains(.rejectPostOnly) { text.put(",\"reject_post_only\":true") }
    if options.contains(.reduceOnly) { text.put(",\"reduce_only\":true") }
    if options.contains(.immediateOrCancel) { text.put(",\"time_in_force\":\"immediate_or_cancel\"") }
    text.collar(collar)
    if !selfTrade.isVenueDefault { text.selfTrade(selfTrade) }
    text.put("}}")
    return text.count
  }

  /// `private/amend` by client order id; `qty` is the new total, executed part included. Id
  /// `RequestID.amend(clientID, serial:)`.
  ///
  /// - Parameters:
  ///   - clientID: 1 ... `RequestID.amendedLimit`.
  ///   - serial: Which amend of the order it is, 1 ... 9,999.
  public func amend(
    into memory: UnsafeMutableRawBufferPointer, clientID: UInt64, serial: UInt16, instrument: InstrumentIndex,
    price: PriceTicks, qty: QtyLots, collar: ThalexCollar = .venueDefault
  ) -> Int {
    guard Int(instrument) < capacity, var text = OrderFrame(memory, Self.orderCapacity) else { return 0 }
    let template = templates + Int(instrument)
    guard template.pointee.buy.count > 0 else { return 0 }
    text.put("{\"method\":\"private/amend\",\"id\":")
    let digits = text.amendID(clientID, serial)
    text.put(",\"params\":{\"client_order_id\":")
    text.put(digits)
    text.put(",\"price\":")
    text.decimal(price.rawValue, template.pointee.tick)
    text.put(",\"amount\":")
    text.decimal(qty.rawValue, template.pointee.lot)
    text.collar(collar)
    text.put("}}")
    return text.count
  }

  /// `private/cancel` by client order id, under `RequestID.cancel(clientID)`.
  public func cancel(into memory: UnsafeMutableRawBufferPointer, clientID: UInt64) -> Int {
    guard var text = OrderFrame(memory, Self.orderCapacity) else { return 0 }
    text.put("{\"method\":\"private/cancel\",\"id\":")
    let digits = text.id(clientID, RequestID.cancelOperation)
    text.put(",\"params\":{\"client_order_id\":")
    text.put(digits)
    text.put("}}")
    return text.count
  }

  /// `private/mass_quote`, which replaces each side that it names as a whole (protocol reference 6.5). It is answered by
  /// `massQuoted` with the serial of `id`, and counts as one message.
  ///
  /// - Parameters:
  ///   - memory: `massQuoteCapacity` says how much is asked for.
  ///   - id: `RequestID.massQuote(serial)`.
  ///   - quotes: At most 100, each of an instrument that is set, with at most 10 levels a side, in the single-level form
  ///     at most 1.
  ///   - form: Which of the venue's two encodings is written.
  /// - Returns: 0 also if `quotes` is empty or one of them is not as said.
  public func massQuote(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, quotes: UnsafeBufferPointer<ThalexMassQuote>,
    options: ThalexMassQuoteOptions = .postOnly, form: ThalexMassQuoteForm = .ladder,
    selfTrade: ThalexSelfTrade = .venueDefault
  ) -> Int {
    let deepest = form == .ladder ? 10 : 1
    guard (1...100).contains(quotes.count) else { return 0 }
    var levels = 0
    for quote in quotes {
      let bids = quote.bids?.count ?? 0
      let asks = quote.asks?.count ?? 0
      guard Int(quote.instrument) < capacity, templates[Int(quote.instrument)].quoted.count > 0, bids <= deepest,
        asks <= deepest
      else { return 0 }
      levels += bids + asks
    }
    guard var text = OrderFrame(memory, Self.massQuoteCapacity(instruments: quotes.count, levels: levels)) else {
      return 0
    }
    text.put("{\"method\":\"private/mass_quote\",\"id\":")
    text.number(id)
    text.put(",\"params\":{\"quotes\":[")
    for quote in quotes {
      let template = templates + Int(quote.instrument)
      text.put(template.pointee.quoted)
      if form == .ladder {
        if let bids = quote.bids { text.levels(",\"b\":[", bids, template.pointee.tick, template.pointee.lot) }
        if let asks = quote.asks { text.levels(",\"a\":[", asks, template.pointee.tick, template.pointee.lot) }
      } else {
        if let bids = quote.bids { text.level(",\"b\":", bids, template.pointee.tick, template.pointee.lot) }
        if let asks = quote.asks { text.level(",\"a\":", asks, template.pointee.tick, template.pointee.lot) }
      }
      text.put("},")
    }
    text.takeBack(1)
    if options == .postOnly, selfTrade.isVenueDefault {
      text.put(massQuoteEnd)
      return text.count
    }
    text.put("]")
    text.put(label)
    if options.contains(.postOnly) { text.put(",\"post_only\":true") }
    if options.contains(.rejectPostOnly) { text.put(",\"reject_post_only\":true") }
    if !selfTrade.isVenueDefault { text.selfTrade(selfTrade) }
    text.put("}}")
    return text.count
  }

  /// `private/set_mm_protection`, under `RequestID.protection(product, serial:)`. The last call for a group is in
  /// force, and fills up what it may trade. Without it the venue refuses mass quotes of the group.
  ///
  /// - Parameters:
  ///   - product: `setProduct` has named it; its lot counts both sizes.
  ///   - trade: Mass-quoted orders of the group may trade so much in all before the venue pulls the rest of them.
  ///     1 ... `quote`.
  ///   - quote: The largest size of one quote; margin is charged for it.
  public func setProtection(
    into memory: UnsafeMutableRawBufferPointer, product: ProductIndex, trade: QtyLots, quote: QtyLots,
    serial: UInt64 = 0
  ) -> Int {
    guard Int(product) < ThalexDecoder.productCapacity, products[Int(product)].name.count > 0, trade > QtyLots.zero,
      trade <= quote, var text = OrderFrame(memory, Self.orderCapacity)
    else { return 0 }
    text.put("{\"method\":\"private/set_mm_protection\",\"id\":")
    text.number(RequestID.protection(product, serial: serial))
    text.put(",\"params\":{")
    text.put(products[Int(product)].name)
    text.put(",\"trade_amount\":")
    text.decimal(trade.rawValue, products[Int(product)].lot)
    text.put(",\"quote_amount\":")
    text.decimal(quote.rawValue, products[Int(product)].lot)
    text.put("}}")
    return text.count
  }

  /// `private/cancel_mass_quote`, under `RequestID.cancelMassQuote(product, serial:)`: takes the mass quotes of a
  /// protection group away, or all with `noProduct`, in every session of the account, and removes the groups.
  public func cancelMassQuote(
    into memory: UnsafeMutableRawBufferPointer, product: ProductIndex, serial: UInt64 = 0
  ) -> Int {
    guard var text = OrderFrame(memory, Self.orderCapacity) else { return 0 }
    text.put("{\"method\":\"private/cancel_mass_quote\",\"id\":")
    text.number(RequestID.cancelMassQuote(product, serial: serial))
    text.put(",\"params\":{")
    if product != noProduct {
      guard Int(product) < ThalexDecoder.productCapacity, products[Int(product)].name.count > 0 else { return 0 }
      text.put(products[Int(product)].name)
    }
    text.put("}}")
    return text.count
  }

  /// `private/cancel` by the venue's order id, for orders of earlier sessions.
  ///
  /// - Parameter operand: Stands for the order in the request id, `RequestID.cancel(operand)`.
  public func cancel(into memory: UnsafeMutableRawBufferPointer, venueID: VenueID, operand: UInt64) -> Int {
    var venueID = venueID
    guard venueID.count > 0 else { return 0 }
    var text = RequestText(memory)
    text.append("{\"method\":\"private/cancel\",\"id\":")
    text.number(RequestID.cancel(operand))
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

  func request(
    _ memory: UnsafeMutableRawBufferPointer, _ method: StaticString, _ id: UInt64, _ params: (inout RequestText) -> Void
  ) -> Int {
    var text = RequestText(memory)
    text.append("{\"method\":\"")
    text.append(method)
    text.append("\",\"id\":")
    text.number(id)
    text.append(",\"params\":{")
    params(&text)
    text.append("}}")
    return text.count
  }

  /// A member of a cold request that names an instrument; false if it is not set.
  func instrument(_ index: InstrumentIndex, into text: inout RequestText) -> Bool {
    guard Int(index) < capacity, templates[Int(index)].name.count > 0 else { return false }
    text.name("instrument_name")
    templates[Int(index)].name.copy(into: &text)
    return true
  }

  /// Tick and lot of an instrument that is set, 10⁻⁸.
  func grid(_ index: InstrumentIndex) -> (tickE8: Int64, lotE8: Int64)? {
    guard Int(index) < capacity, templates[Int(index)].name.count > 0 else { return nil }
    return (templates[Int(index)].tick.step_e8, templates[Int(index)].lot.step_e8)
  }

  /// The label of every insert.
  func label(into text: inout RequestText) {
    label.copy(into: &text)
  }
}
