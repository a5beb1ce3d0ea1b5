public import CSupport
import Glibc

/// What an order asks for besides side, price and size (protocol reference 9.1).
public enum BybitOrderKind: UInt8, Sendable, CaseIterable {
  /// Is cancelled if it would take.
  case postOnly
  /// Takes what it can at once, only reduces the position, and never rests.
  case reduction
  /// Takes what it can at once, and never rests.
  case immediate
  /// Rests, and may take.
  case goodTillCancelled
}

/// One order of a batch.
public struct BybitBatchOrder: Sendable {
  public var clientID: UInt64
  public var instrument: InstrumentIndex
  /// Not used by amends and cancels.
  public var side: Side
  /// Neither is used by cancels. The size of an amend is the new total, executed part included.
  public var price: PriceTicks
  public var qty: QtyLots

  public init(
    clientID: UInt64, instrument: InstrumentIndex, side: Side = .buy, price: PriceTicks = PriceTicks(rawValue: 0),
    qty: QtyLots = QtyLots(rawValue: 0)
  ) {
    self.clientID = clientID
    self.instrument = instrument
    self.side = side
    self.price = price
    self.qty = qty
  }
}

/// Writes requests to Bybit V5 as JSON text into memory of the caller.
///
/// Every function returns the number of bytes written, or 0 if the text, with 32 bytes to spare, does not fit; then
/// the memory is undefined. A request's id is `<RequestID>-<serial>`: the venue refuses an id that it has seen on a
/// connection before, and the same order is amended again and again. Prices and sizes are integers on the grid that
/// `setInstrument` was given. The order requests allocate nothing: all that does not change from one to the next has
/// been written once, and is copied in whole vectors round the numbers; they want room for `orderCapacity` bytes.
///
/// Thread: one owner.
// Sendable: the memory behind its pointers is its own, and being noncopyable it has one owner.
public struct BybitEncoder: ~Copyable, @unchecked Sendable {
  /// What the frames of one instrument have in common, and its grid.
  private struct Template {
    var tick: DecimalUnit
    var lot: DecimalUnit
    /// From behind the time to before the size, of a single order.
    var buy = FramePiece()
    var sell = FramePiece()
    /// From behind the time to before the client id.
    var amend = FramePiece()
    var cancel = FramePiece()
    /// From behind the time to before the venue's id.
    var cancelByID = FramePiece()
    /// The same for an order of a batch, from its `{` on.
    var batchBuy = FramePiece()
    var batchSell = FramePiece()
    var batchNamed = FramePiece()

    func free() {
      for piece in [buy, sell, amend, cancel, cancelByID, batchBuy, batchSell, batchNamed] { piece.free() }
    }
  }

  /// More than the longest order request about one order, with the bytes that copies in whole vectors write behind it.
  public static let orderCapacity = 704
  /// What a batch takes: for itself, for each order.
  private static let batchBytes = (itself: 320, order: 320)
  /// The most that a batch of so many orders takes.
  public static func batchCapacity(orders: Int) -> Int { batchBytes.itself + orders * batchBytes.order }

  private let capacity: Int
  private let templates: UnsafeMutablePointer<Template>
  /// `","timeInForce":"PostOnly","positionIdx":0,"orderLinkId":"` and the label; by `BybitOrderKind`.
  private let ends: (FramePiece, FramePiece, FramePiece, FramePiece)
  private let label: String
  private let window: Int64
  /// From behind the time on:
  /// `","X-BAPI-RECV-WINDOW":"…"},"op":"order.…-batch","args":[{"category":"linear","request":[`
  private let batchCreate: FramePiece
  private let batchAmend: FramePiece
  private let batchCancel: FramePiece
  private var serial: UInt32 = 0
  /// The last time, to 10 s, and its text: of the next one only four digits have to be made.
  private var timeBase: Int64 = -1
  private var timeText = SIMD16<UInt8>(repeating: 0x30)

  /// - Parameters:
  ///   - instrumentCapacity: Indexes 0 ..< instrumentCapacity can be set.
  ///   - label: How the `orderLinkId` of each order begins; `A-Z a-z 0-9 _ -`, at most 26 bytes.
  ///   - requestWindow: Milliseconds for which a request is good.
  public init(
    instrumentCapacity: Int, label: String, requestWindow: Int64 = BybitVenue.requestWindowMilliseconds
  ) throws(TableError) {
    guard (1..<Int(InstrumentIndex.max)).contains(instrumentCapacity), (1...60_000).contains(requestWindow) else {
      throw .capacity(instrumentCapacity)
    }
    let isPlain = label.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x2D: true
      default: false
      }
    }
    guard isPlain, !label.isEmpty, label.utf8.count + OrderTag.digits <= BybitVenue.tagLimit else {
      throw .unusableName(label)
    }
    self.label = label
    window = requestWindow
    capacity = instrumentCapacity
    let link = ",\"positionIdx\":0,\"orderLinkId\":\"\(label)"
    ends = (
      FramePiece("\",\"timeInForce\":\"PostOnly\"" + link),
      FramePiece("\",\"timeInForce\":\"IOC\",\"reduceOnly\":true" + link),
      FramePiece("\",\"timeInForce\":\"IOC\"" + link),
      FramePiece("\",\"timeInForce\":\"GTC\"" + link)
    )
    func batch(_ operation: String) -> FramePiece {
      FramePiece(
        "\",\"X-BAPI-RECV-WINDOW\":\"\(requestWindow)\"},\"op\":\"\(operation)\",\"args\":[{\"category\":\"linear\",\"request\":["
      )
    }
    batchCreate = batch("order.create-batch")
    batchAmend = batch("order.amend-batch")
    batchCancel = batch("order.cancel-batch")
    templates = .allocate(capacity: instrumentCapacity)
    templates.initialize(
      repeating: Template(tick: apus_decimal_unit_make(0), lot: apus_decimal_unit_make(0)), count: instrumentCapacity)
  }

  deinit {
    for index in 0..<capacity { templates[index].free() }
    templates.deallocate()
    for piece in [ends.0, ends.1, ends.2, ends.3, batchCreate, batchAmend, batchCancel] { piece.free() }
  }

  /// Sets or replaces the symbol and grid of an instrument. Cold.
  public mutating func setInstrument(_ index: InstrumentIndex, name: String, grid: InstrumentGrid) throws(TableError) {
    guard Int(index) < capacity else { throw .full(capacity: capacity) }
    let isPlain = name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
    guard (1...40).contains(name.utf8.count), isPlain else { throw .unusableName(name) }
    func head(_ operation: String) -> String {
      "\",\"X-BAPI-RECV-WINDOW\":\"\(window)\"},\"op\":\"\(operation)\",\"args\":[{\"category\":\"linear\",\"symbol\":\"\(name)\""
    }
    func order(_ side: String) -> String { ",\"side\":\"\(side)\",\"orderType\":\"Limit\",\"qty\":\"" }
    let link = ",\"orderLinkId\":\"\(label)"
    templates[Int(index)].free()
    templates[Int(index)] = Template(
      tick: apus_decimal_unit_make(grid.tickE8), lot: apus_decimal_unit_make(grid.lotE8),
      buy: FramePiece(head("order.create") + order("Buy")), sell: FramePiece(head("order.create") + order("Sell")),
      amend: FramePiece(head("order.amend") + link), cancel: FramePiece(head("order.cancel") + link),
      cancelByID: FramePiece(head("order.cancel") + ",\"orderId\":\""),
      batchBuy: FramePiece("{\"symbol\":\"\(name)\"" + order("Buy")),
      batchSell: FramePiece("{\"symbol\":\"\(name)\"" + order("Sell")),
      batchNamed: FramePiece("{\"symbol\":\"\(name)\"" + link))
  }

  // MARK: Orders

  /// The beginning of a request, up to and with the time.
  @inline(__always)
  private mutating func begin(_ text: inout OrderFrame, _ milliseconds: Int64) {
    serial &+= 1
    text.put("-")
    text.number(UInt64(serial))
    text.put("\",\"header\":{\"X-BAPI-TIMESTAMP\":\"")
    let rest = UInt64(bitPattern: milliseconds &- timeBase)
    if rest < 10_000, timeBase > 0 {
      text.time(timeText, UInt32(truncatingIfNeeded: rest))
    } else {
      newTime(&text, milliseconds)
    }
  }

  @inline(never)
  private mutating func newTime(_ text: inout OrderFrame, _ milliseconds: Int64) {
    text.number(UInt64(bitPattern: max(0, milliseconds)))
    // 13 digits: from 2001 to 2286.
    guard (1_000_000_000_000..<10_000_000_000_000).contains(milliseconds) else {
      timeBase = -1
      return
    }
    timeBase = milliseconds - milliseconds % 10_000
    var rest = timeBase
    for place in (0..<13).reversed() {
      timeText[place] = 0x30 + UInt8(rest % 10)
      rest /= 10
    }
  }

  @inline(__always)
  private func end(_ kind: BybitOrderKind) -> FramePiece {
    switch kind {
    case .postOnly: ends.0
    case .reduction: ends.1
    case .immediate: ends.2
    case .goodTillCancelled: ends.3
    }
  }

  /// `order.create` of a limit order, under the id of `RequestID.insert(clientID)`.
  ///
  /// - Parameters:
  ///   - clientID: 1 ... `RequestID.operandLimit`.
  ///   - milliseconds: The time by the venue's clock since the Unix epoch.
  public mutating func create(
    into memory: UnsafeMutableRawBufferPointer, clientID: UInt64, instrument: InstrumentIndex, side: Side,
    price: PriceTicks, qty: QtyLots, kind: BybitOrderKind = .postOnly, milliseconds: Int64
  ) -> Int {
    guard Int(instrument) < capacity, var text = OrderFrame(memory, Self.orderCapacity) else { return 0 }
    let template = templates + Int(instrument)
    guard template.pointee.buy.count > 0 else { return 0 }
    text.put("{\"reqId\":\"")
    _ = text.id(clientID, RequestID.insertOperation)
    begin(&text, milliseconds)
    text.put(side == .buy ? template.pointee.buy : template.pointee.sell)
    text.decimal(qty.rawValue, template.pointee.lot)
    text.put("\",\"price\":\"")
    text.decimal(price.rawValue, template.pointee.tick)
    text.put(end(kind))
    text.tag(clientID)
    text.put("\"}]}")
    return text.count
  }

  /// `order.amend` by client id; `qty` is the new total, executed part included. Id
  /// `RequestID.amend(clientID, serial:)`. The venue refuses an amend that changes nothing.
  ///
  /// - Parameters:
  ///   - clientID: 1 ... `RequestID.amendedLimit`.
  ///   - serial: Which amend of the order it is, 1 ... 9,999.
  public mutating func amend(
    into memory: UnsafeMutableRawBufferPointer, clientID: UInt64, serial: UInt16, instrument: InstrumentIndex,
    price: PriceTicks, qty: QtyLots, milliseconds: Int64
  ) -> Int {
    guard Int(instrument) < capacity, var text = OrderFrame(memory, Self.orderCapacity) else { return 0 }
    let template = templates + Int(instrument)
    guard template.pointee.buy.count > 0 else { return 0 }
    text.put("{\"reqId\":\"")
    _ = text.amendID(clientID, serial)
    begin(&text, milliseconds)
    text.put(template.pointee.amend)
    text.tag(clientID)
    text.put("\",\"qty\":\"")
    text.decimal(qty.rawValue, template.pointee.lot)
    text.put("\",\"price\":\"")
    text.decimal(price.rawValue, template.pointee.tick)
    text.put("\"}]}")
    return text.count
  }

  /// `order.cancel` by client id, under `RequestID.cancel(clientID)`.
  public mutating func cancel(
    into memory: UnsafeMutableRawBufferPointer, clientID: UInt64, instrument: InstrumentIndex, milliseconds: Int64
  ) -> Int {
    guard Int(instrument) < capacity, var text = OrderFrame(memory, Self.orderCapacity) else { return 0 }
    let template = templates + Int(instrument)
    guard template.pointee.buy.count > 0 else { return 0 }
    text.put("{\"reqId\":\"")
    _ = text.id(clientID, RequestID.cancelOperation)
    begin(&text, milliseconds)
    text.put(template.pointee.cancel)
    text.tag(clientID)
    text.put("\"}]}")
    return text.count
  }

  /// `order.cancel` by the venue's id, for an order of an earlier life.
  ///
  /// - Parameter operand: Stands for the order in the request id, `RequestID.cancel(operand)`.
  public mutating func cancel(
    into memory: UnsafeMutableRawBufferPointer, venueID: VenueID, operand: UInt64, instrument: InstrumentIndex,
    milliseconds: Int64
  ) -> Int {
    guard Int(instrument) < capacity, venueID.count > 0, var text = OrderFrame(memory, Self.orderCapacity) else {
      return 0
    }
    let template = templates + Int(instrument)
    guard template.pointee.buy.count > 0, text.canHold(venueID) else { return 0 }
    text.put("{\"reqId\":\"")
    _ = text.id(operand, RequestID.cancelOperation)
    begin(&text, milliseconds)
    text.put(template.pointee.cancelByID)
    text.put(venueID)
    text.put("\"}]}")
    return text.count
  }

  // MARK: Batches

  private enum Batch { case create, amend, cancel }

  /// `order.create-batch`, each order as `create` writes it. Costs as many requests as it has orders, of a budget of
  /// its own.
  ///
  /// - Parameters:
  ///   - memory: `batchCapacity` says how much is asked for.
  ///   - id: Of the batch as a whole, such as `RequestID.massQuote(serial)`; its orders are answered by their own.
  ///   - orders: 1 ... `BybitVenue.batchLimit`, each of an instrument that is set.
  /// - Returns: 0 also if `orders` are not as said.
  public mutating func create(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, orders: UnsafeBufferPointer<BybitBatchOrder>,
    kind: BybitOrderKind = .postOnly, milliseconds: Int64
  ) -> Int {
    batch(.create, memory, id, orders, kind, milliseconds)
  }

  public mutating func amend(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, orders: UnsafeBufferPointer<BybitBatchOrder>,
    milliseconds: Int64
  ) -> Int {
    batch(.amend, memory, id, orders, .postOnly, milliseconds)
  }

  public mutating func cancel(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, orders: UnsafeBufferPointer<BybitBatchOrder>,
    milliseconds: Int64
  ) -> Int {
    batch(.cancel, memory, id, orders, .postOnly, milliseconds)
  }

  private mutating func batch(
    _ batch: Batch, _ memory: UnsafeMutableRawBufferPointer, _ id: UInt64,
    _ orders: UnsafeBufferPointer<BybitBatchOrder>, _ kind: BybitOrderKind, _ milliseconds: Int64
  ) -> Int {
    guard (1...BybitVenue.batchLimit).contains(orders.count) else { return 0 }
    for order in orders {
      guard Int(order.instrument) < capacity, templates[Int(order.instrument)].buy.count > 0 else { return 0 }
    }
    guard var text = OrderFrame(memory, Self.batchCapacity(orders: orders.count)) else { return 0 }
    text.put("{\"reqId\":\"")
    text.number(id)
    begin(&text, milliseconds)
    switch batch {
    case .create: text.put(batchCreate)
    case .amend: text.put(batchAmend)
    case .cancel: text.put(batchCancel)
    }
    for order in orders {
      let template = templates + Int(order.instrument)
      if batch == .create {
        text.put(order.side == .buy ? template.pointee.batchBuy : template.pointee.batchSell)
        text.decimal(order.qty.rawValue, template.pointee.lot)
        text.put("\",\"price\":\"")
        text.decimal(order.price.rawValue, template.pointee.tick)
        text.put(end(kind))
        text.tag(order.clientID)
      } else {
        text.put(template.pointee.batchNamed)
        text.tag(order.clientID)
        if batch == .amend {
          text.put("\",\"qty\":\"")
          text.decimal(order.qty.rawValue, template.pointee.lot)
          text.put("\",\"price\":\"")
          text.decimal(order.price.rawValue, template.pointee.tick)
        }
      }
      text.put("\"},")
    }
    text.takeBack(1)
    text.put("]}]}")
    return text.count
  }

  // MARK: Session requests; cold

  /// Which connection a request is for: they name the id of a request differently.
  public enum Connection: Sendable { case stream, orders }

  /// `auth`. The signature is that of `BybitCredentials.loginSignature`, for the same `expires`.
  ///
  /// - Parameter expires: Milliseconds by the venue's clock, some time ahead.
  public mutating func login(
    into memory: UnsafeMutableRawBufferPointer, id: UInt64, key: String, expires: Int64, signature: String,
    connection: Connection
  ) -> Int {
    serial &+= 1
    var text = RequestText(memory)
    text.append(connection == .stream ? "{\"req_id\":\"" : "{\"reqId\":\"")
    text.number(id)
    text.append("-")
    text.number(UInt64(serial))
    text.append("\",\"op\":\"auth\",\"args\":[")
    text.quote(key)
    text.append(",")
    text.number(UInt64(bitPattern: max(0, expires)))
    text.append(",")
    text.quote(signature)
    text.append("]}")
    return text.count
  }

  /// `subscribe`. One unknown topic fails the whole request; topics of the two forms, `order` and `order.linear`, must
  /// not stand in one.
  public mutating func subscribe(into memory: UnsafeMutableRawBufferPointer, id: UInt64, topics: [String]) -> Int {
    topicRequest(memory, "subscribe", id, topics)
  }

  public mutating func unsubscribe(into memory: UnsafeMutableRawBufferPointer, id: UInt64, topics: [String]) -> Int {
    topicRequest(memory, "unsubscribe", id, topics)
  }

  private mutating func topicRequest(
    _ memory: UnsafeMutableRawBufferPointer, _ operation: StaticString, _ id: UInt64, _ topics: [String]
  ) -> Int {
    serial &+= 1
    var text = RequestText(memory)
    text.append("{\"req_id\":\"")
    text.number(id)
    text.append("-")
    text.number(UInt64(serial))
    text.append("\",\"op\":\"")
    text.append(operation)
    text.append("\",\"args\":[")
    for (position, topic) in topics.enumerated() {
      if position > 0 { text.append(",") }
      text.quote(topic)
    }
    text.append("]}")
    return text.count
  }

  /// `ping`, which every connection wants each 20 s.
  public func ping(into memory: UnsafeMutableRawBufferPointer) -> Int {
    var text = RequestText(memory)
    text.append("{\"op\":\"ping\"}")
    return text.count
  }
}

/// What only Bybit's order frames have.
extension OrderFrame {
  /// A time of 13 digits, of which `digits` has the first nine and `rest` < 10,000 is the last four.
  @inline(__always)
  mutating func time(_ digits: SIMD16<UInt8>, _ rest: UInt32) {
    put(digits, upTo: 9)
    put(four: rest)
  }

  /// The id is one that can stand in JSON as it is.
  func canHold(_ id: VenueID) -> Bool {
    var bytes = id
    let count = Int(id.count)
    return withUnsafeBytes(of: &bytes) { bytes in
      bytes.prefix(count).allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
    }
  }
}
