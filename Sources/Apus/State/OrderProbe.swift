import CSupport

/// Our orders and the requests about them, one by one: the account of orders, encoder, WebSocket and decoder of one
/// instrument, without a lane, a venue or a clock.
///
/// For benchmarks. Everything that is done to an order is the engine's own; the probe decides nothing and checks no
/// risk. The grid is that of the venue's BTC-PERPETUAL with a lot of 0.001.
///
/// One thread. Deterministic.
public struct OrderProbe: ~Copyable {
  private static let instrument = "BTC-PERPETUAL"
  private static let label = "apus-0"

  private var desk: Desk
  private var encoder: ThalexEncoder
  private var decoder: ThalexDecoder
  private var endpoint: WebSocketEndpoint
  /// The order that `call` is about, and the venue's consent to its amend, framed.
  private let first: (clientID: UInt64, price: PriceTicks, qty: QtyLots)
  private let reply: [UInt8]
  private var now: Nanoseconds = 1

  /// A probe with one order at rest.
  ///
  /// - Parameter ordersPerSide: Orders that a side can hold, 1 ... 1000.
  /// - Throws: if the memory for so many cannot be had.
  public init(ordersPerSide: Int) throws {
    let tracker = try StateTracker(
      instrumentCapacity: 1, orderCapacity: 4096, ordersPerSide: ordersPerSide, idBits: 32, firstGeneration: 1,
      tradeMemory: 64)
    let first = (
      clientID: tracker.slab.nextClientID, price: PriceTicks(rawValue: 100_000), qty: QtyLots(rawValue: 1500)
    )
    var desk = Desk(tracker: tracker, awaited: .amend(first.clientID, serial: 1))
    var decoder = try ThalexDecoder(instrumentCapacity: 1, channelCapacity: 8, labelPrefix: "apus-")
    var encoder = try ThalexEncoder(instrumentCapacity: 1, label: Self.label)
    let index = try decoder.want(instrument: Self.instrument)
    let listing =
      "{\"id\":\(RequestID.session(.instruments)),\"result\":[{\"instrument_name\":\"\(Self.instrument)\","
      + "\"tick_size\":1,\"volume_tick_size\":0.001,\"min_order_amount\":0.001,\"type\":\"perpetual\"}]}"
    Array(listing.utf8).withUnsafeBytes { decoder.decode($0, into: &desk) }
    guard let info = decoder.info(of: index) else {
      throw LaneFailure(.refused, "the probe's instrument was not taken over")
    }
    try encoder.setInstrument(index, name: Self.instrument, grid: info.grid)
    desk.tracker.list(info)

    var endpoint = try WebSocketEndpoint(client: .init())
    try endpoint.start(host: "127.0.0.1", path: "/", key: Array(1...16), maskSeed: 1)
    var venue = try WebSocketEndpoint(server: "/")
    Self.move(&endpoint, &venue)
    Self.move(&venue, &endpoint)
    var text = Self.consent(toAmendOf: first.clientID)
    text.withUTF8 { _ = venue.sendText(UnsafeRawBufferPointer($0)) }

    self.first = first
    reply = Array(venue.output)
    self.desk = desk
    self.encoder = encoder
    self.decoder = decoder
    self.endpoint = endpoint
    _ = submit(.buy, price: first.price, qty: first.qty)
    discardOutput()
    rest()
  }

  private static func move(_ from: inout WebSocketEndpoint, _ to: inout WebSocketEndpoint) {
    to.receive(from.output)
    while true {
      if case .none = to.next() { break }
    }
    from.consumeOutput(from.output.count)
  }

  /// In the shape of the venue's samples.
  private static func consent(toAmendOf id: UInt64) -> String {
    "{\"id\":\(RequestID.amend(id, serial: 1)),\"result\":{\"order_id\":\"001F3C260000000A\",\"order_type\":\"limit\","
      + "\"time_in_force\":\"good_till_cancelled\",\"instrument_name\":\"\(instrument)\",\"direction\":\"buy\","
      + "\"price\":100000,\"amount\":1.5,\"filled_amount\":0,\"remaining_amount\":1.5,\"label\":\"\(label)\","
      + "\"client_order_id\":\(id),\"status\":\"open\",\"fills\":[],\"change_reason\":\"amend\","
      + "\"insert_reason\":\"client_request\",\"create_time\":1776715498.201377,\"persistent\":false}}"
  }

  // MARK: - A request and its answer

  /// Writes an amend of the first order as a masked frame, takes the venue's framed answer in, decodes it, and finds
  /// the request and the order that it belongs to. The state of the order is left alone.
  ///
  /// - Returns: whether the answer was matched.
  public mutating func call() -> Bool {
    guard let room = endpoint.beginText(maximum: LaneOutput.frameCapacity) else { return false }
    let count = encoder.amend(
      into: UnsafeMutableRawBufferPointer(start: room, count: LaneOutput.frameCapacity), clientID: first.clientID,
      serial: 1, instrument: 0, price: first.price, qty: first.qty)
    guard count > 0, endpoint.commitText(count) else { return false }
    endpoint.consumeOutput(endpoint.output.count)

    desk.isAnswered = false
    desk.isFound = false
    reply.withUnsafeBytes { bytes in
      endpoint.receive(bytes)
      while case .text(let text) = endpoint.next() { decoder.decode(text, into: &desk) }
    }
    return desk.isAnswered && desk.isFound
  }

  // MARK: - Orders

  /// Takes a slot of the slab for a new order and enters it in the account of orders. Nothing is written.
  ///
  /// - Returns: `false`, with nothing changed, if the side is full.
  public mutating func enter(_ side: Side, price: PriceTicks, qty: QtyLots) -> Bool {
    desk.tracker.beginInsert(0, side, price: price, qty: qty, now: now) != nil
  }

  /// Enters a new order, and writes its masked frame.
  ///
  /// - Returns: `false`, with nothing changed, if the side or the output is full.
  public mutating func submit(_ side: Side, price: PriceTicks, qty: QtyLots) -> Bool {
    guard let room = endpoint.beginText(maximum: LaneOutput.frameCapacity) else { return false }
    guard let order = desk.tracker.beginInsert(0, side, price: price, qty: qty, now: now) else {
      endpoint.dropText()
      return false
    }
    let count = encoder.insert(
      into: UnsafeMutableRawBufferPointer(start: room, count: LaneOutput.frameCapacity),
      clientID: order.pointee.client_id, instrument: 0, side: side, price: price, qty: qty, options: .postOnly)
    return endpoint.commitText(count)
  }

  /// Forgets the output, as sending it does.
  public mutating func discardOutput() { endpoint.consumeOutput(endpoint.output.count) }

  /// The venue says of every order that it rests. Cold.
  public mutating func rest() { report(.open) }

  /// The venue ends every order, and their slots are free again. Cold.
  public mutating func endAll() {
    report(.cancelled)
    now += StateTracker.remembrance
    desk.tracker.purge(now: now)
  }

  /// Orders that are not dead.
  public var openCount: Int {
    let state = desk.tracker.state(0)
    return state.pointee.bids.count + state.pointee.asks.count
  }

  /// The client id of an open order, bids before asks, best first; `index` < `openCount`. Cold.
  public func clientID(_ index: Int) -> UInt64 {
    let state = desk.tracker.state(0)
    let bids = state.pointee.bids.count
    return (index < bids ? state.pointee.bids[index] : state.pointee.asks[index - bids]).pointee.client_id
  }

  /// Walks over all open orders and reads price and open size of each.
  ///
  /// - Returns: the sum of prices × sizes: of no use but to show that each was read.
  public func walk() -> Int64 {
    let state = desk.tracker.state(0)
    return Self.sum(state.pointee.bids) &+ Self.sum(state.pointee.asks)
  }

  private static func sum(_ orders: borrowing SideOrders) -> Int64 {
    var sum: Int64 = 0
    for index in 0..<orders.count {
      let order = orders[index]
      sum &+= order.pointee.effectivePrice.rawValue &* order.pointee.effectiveRemaining.rawValue
    }
    return sum
  }

  /// Finds an order by its client id.
  ///
  /// - Returns: its price; `nil` if there is no such order.
  public func find(_ clientID: UInt64) -> PriceTicks? { desk.tracker.order(clientID)?.pointee.effectivePrice }

  private mutating func report(_ status: OrderStatus) {
    for position in stride(from: openCount - 1, through: 0, by: -1) {
      guard let order = desk.tracker.order(clientID(position)) else { continue }
      var report = OrderReport()
      report.source = .reply
      report.status = status
      report.change = status == .open ? .insert : .cancel
      report.side = order.pointee.sideValue
      report.instrument = 0
      report.clientID = order.pointee.client_id
      report.hasPrice = true
      report.price = order.pointee.effectivePrice
      report.qty = order.pointee.effectiveRemaining
      report.remaining = status == .open ? report.qty : .zero
      _ = desk.tracker.apply(report, now: now)
    }
  }
}

/// Takes a decoded answer to the order that it is about.
private struct Desk: ~Copyable, SelectiveEventSink {
  var tracker: StateTracker
  let awaited: RequestKind
  var isAnswered = false
  var isFound = false

  init(tracker: consuming StateTracker, awaited: RequestKind) {
    self.tracker = tracker
    self.awaited = awaited
  }

  mutating func order(_ report: OrderReport) {
    guard let order = tracker.order(report.clientID) else { return }
    isFound = order.pointee.sideValue == report.side
  }
  mutating func replied(_ request: RequestKind, value: Int64) { isAnswered = request == awaited }
}
